//! The verbs: what stands behind `cargo run`.
//!
//! Exit codes: 0 ended as asked, 1 failed, 2 the command line or server.conf was wrong; the reason on standard error.

#![forbid(unsafe_code)]

use std::io::{self, BufReader, IsTerminal, Write};
use std::process::ExitCode;

use minim::client::screen::Look;
use minim::config::{self, Config, Own};
use minim::{cipher_page, client, server};

const VERBS: &str = "\
minim: a LAN instant messenger to learn from

  cargo run                the same as `cargo run server`
  cargo run server         start the server; the first run makes the data folder and the database
  cargo run client         start a console client
  cargo run des KEY BLOCK  show DES at work on one block: key schedule and 16 rounds (KEY and BLOCK: 16 hex digits)
  cargo run des KEY TEXT --text   show CBC at work on a text
  cargo run md5 TEXT       MD5 of a text, or with --file PATH of a file
  cargo run help           this; so does --help behind a verb

";

fn main() -> ExitCode {
    let mut words = Vec::new();
    for word in std::env::args_os().skip(1) {
        match word.into_string() {
            Ok(word) => words.push(word),
            Err(word) => return wrong(&format!("{word:?} is not UTF-8")),
        }
    }
    let verb = match words.first() {
        Some(word) if !word.starts_with("--") => words.remove(0),
        _ => "server".to_owned(),
    };
    let start = match verb.as_str() {
        "server" => start_server,
        "client" => start_client,
        "des" => show_des,
        "md5" => show_md5,
        "help" => return help(),
        other => {
            return wrong(&format!(
                "there is no verb {other:?}; there are server, client, des, md5 and help"
            ));
        }
    };
    match config::read(&verb, &words) {
        Ok(None) => help(),
        Ok(Some((config, own))) => start(config, own),
        Err(error) => wrong(&error),
    }
}

fn start_server(config: Config, _: Own) -> ExitCode {
    match server::run(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => failed(&reason),
    }
}

fn start_client(config: Config, _: Own) -> ExitCode {
    let is_terminal = io::stdin().is_terminal() && io::stdout().is_terminal();
    let look = Look::from_environment(is_terminal);
    ExitCode::from(client::run(config, BufReader::new(io::stdin()), io::stdout(), look))
}

fn show_des(_: Config, own: Own) -> ExitCode {
    show(cipher_page::des(&own))
}

fn show_md5(_: Config, own: Own) -> ExitCode {
    show(cipher_page::md5(&own))
}

fn show(page: Result<String, cipher_page::Error>) -> ExitCode {
    match page {
        Ok(page) => print(&page),
        Err(cipher_page::Error::CommandLine(sentence)) => wrong(&sentence),
        Err(cipher_page::Error::Unreadable(sentence)) => failed(&sentence),
    }
}

/// What there is.
fn help() -> ExitCode {
    print(&format!("{VERBS}{}", config::help()))
}

/// On standard output; one that is gone is no failure of ours.
fn print(page: &str) -> ExitCode {
    let _ = io::stdout().write_all(page.as_bytes());
    ExitCode::SUCCESS
}

fn failed(reason: &str) -> ExitCode {
    eprintln!("minim: {reason}");
    ExitCode::FAILURE
}

fn wrong(error: &str) -> ExitCode {
    eprintln!("minim: {error}");
    ExitCode::from(2)
}
