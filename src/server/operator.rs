//! The server's console: what whoever runs the server can ask and do.
//!
//! Rules: a closed standard input ends this thread and nothing else, so that a server can run without a terminal.
//! Not here: what users do.

use std::io::{self, BufRead, ErrorKind, Write};

use crate::harmless::harmless;
use crate::server::{Server, people};

const HELP: &str = "\
/help         this
/online       who is online
/kick NAME    ends the session of a user
/quit         ends the server; nothing that was acknowledged is lost";

/// Reads commands until `/quit`, which ends the process with 0.
pub fn serve(server: &Server) {
    for line in io::stdin().lock().lines() {
        let line = match line {
            Ok(line) => line,
            Err(error) if error.kind() == ErrorKind::InvalidData => continue, // no UTF-8: no command
            Err(_) => return,
        };
        let (command, argument) = line.trim().split_once(' ').unwrap_or((line.trim(), ""));
        match command {
            "" => {}
            "/help" => say(HELP),
            "/online" => say(&online(server)),
            "/kick" => say(&kick(server, argument.trim())),
            "/quit" => {
                say("goodbye");
                std::process::exit(0);
            }
            other => say(&format!("unknown command {}, /help lists all", harmless(other))),
        }
    }
}

/// A console that is gone is no reason to end.
fn say(text: &str) {
    let mut output = io::stdout().lock();
    let _ = writeln!(output, "{text}").and_then(|()| output.flush());
}

fn online(server: &Server) -> String {
    let uids = server.online_users.uids();
    let mut lines = String::new();
    for user in uids.iter().filter_map(|&uid| server.store.user(uid).ok()) {
        lines += &format!("{}  {}  {}\n", user.uid, harmless(&user.login_name), harmless(&user.username));
    }
    lines + &format!("online {}", uids.len())
}

fn kick(server: &Server, login_name: &str) -> String {
    let shown = harmless(login_name);
    let user = match server.store.user_and_digest(login_name) {
        Ok(Some((user, _))) => user,
        Ok(None) => return format!("nobody is called {shown}"),
        Err(refusal) => return refusal.text,
    };
    let Some(session) = server.online_users.session_of(user.uid) else {
        return format!("{shown} is not online");
    };
    let text = "the operator of the server ended this session";
    people::end_session(server, &session, "byOperator", text);
    format!("{shown} was logged out")
}
