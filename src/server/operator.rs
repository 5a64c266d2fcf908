//! The server's console: what whoever runs the server can ask and do.
//!
//! Rules: a closed standard input ends this thread and nothing else, so that a server can run without a terminal.
//! Not here: what users do.

use std::io::{self, BufRead, ErrorKind, Write};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

use crate::clock::now_ms;
use crate::harmless::harmless;
use crate::limits::{LINGER_DEADLINE, SHORT_PAUSE};
use crate::md5_check::{hex, random_bytes};
use crate::message::{FromServer, Refusal, User};
use crate::server::{Server, people};

const HELP: &str = "\
/help           this
/who            who is online
/status         clients, messages, frames, bytes and commits since the start
/notice TEXT    tells something to everybody who is online
/kick NAME      ends the session of a user
/password NAME  gives a user who forgot theirs a new password
/quit           says goodbye and ends the server; nothing that was acknowledged is lost";

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
            "/who" => say(&online(server)),
            "/status" => say(&status(server)),
            "/notice" if argument.trim().is_empty() => say("/notice TEXT: what is to be told?"),
            "/notice" => {
                tell(server, argument.trim());
                say("notice sent");
            }
            "/kick" => say(&of_user(server, argument.trim(), kick)),
            "/password" => say(&of_user(server, argument.trim(), new_password)),
            "/quit" => {
                tell(server, "the server ends");
                server.online_users.close_all();
                server.transfers.close_all();
                wait_for_goodbyes(server);
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

fn status(server: &Server) -> String {
    let (traffic, counts) = (&server.traffic, &server.store.counts);
    let count = |counter: &AtomicU64| counter.load(Relaxed);
    format!(
        "clients   {}, of them online {}\nmessages  {}\nframes    received {}, sent {}\nbytes     received {}, sent {}\ncommits   {}",
        server.clients.taken(),
        server.online_users.uids().len(),
        count(&counts.messages),
        count(&traffic.frames_in),
        count(&traffic.frames_out),
        count(&traffic.bytes_in),
        count(&traffic.bytes_out),
        count(&counts.commits),
    )
}

/// BROADCAST from this server to everybody who is online.
fn tell(server: &Server, text: &str) {
    let ip = server.config.server_ip;
    let place = if ip.is_unspecified() { "the server".to_owned() } else { ip.to_string() };
    let from = format!("{} at {place}", server.config.name);
    let notice = FromServer::Broadcast { from, text: text.to_owned(), send_time: now_ms() };
    server.online_users.deliver_all(&notice);
}

/// Who reads has had the last word then; the others are waited for no longer than their own closing would take.
fn wait_for_goodbyes(server: &Server) {
    let deadline = server.config.deadline(LINGER_DEADLINE);
    while server.clients.taken() > 0 && Instant::now() < deadline {
        std::thread::sleep(SHORT_PAUSE);
    }
}

/// Does something about the user of this login name: what there is to say.
fn of_user(server: &Server, login_name: &str, act: fn(&Server, &User) -> Result<String, Refusal>) -> String {
    let done = match server.store.user_and_digest(login_name) {
        Ok(Some((user, _))) => act(server, &user),
        Ok(None) => Ok(format!("nobody is called {}", harmless(login_name))),
        Err(refusal) => Err(refusal),
    };
    done.unwrap_or_else(|refusal| refusal.text)
}

fn kick(server: &Server, user: &User) -> Result<String, Refusal> {
    let shown = harmless(&user.login_name);
    let Some(session) = server.online_users.session_of(user.uid) else {
        return Ok(format!("{shown} is not online"));
    };
    let text = "the operator of the server ended this session";
    people::end_session(server, &session, "byOperator", text);
    Ok(format!("{shown} was logged out"))
}

/// Whoever reads this console has the user's account; so it is in every class.
fn new_password(server: &Server, user: &User) -> Result<String, Refusal> {
    let pwd = hex(&random_bytes::<4>());
    people::set_password(server, user.uid, &pwd)?;
    Ok(format!("the password of {} is {pwd} now, all sessions have ended", harmless(&user.login_name)))
}
