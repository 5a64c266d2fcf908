//! The verbs: what stands behind `cargo run`.
//!
//! Exit codes: 0 ended as asked, 1 failed, 2 the command line or server.conf was wrong; the reason on standard error.

#![forbid(unsafe_code)]

use std::io::{self, BufReader, IsTerminal, Write};
use std::process::ExitCode;

use minim::config::{self, Config};
use minim::{client, server};

const VERBS: &str = "\
minim: a LAN instant messenger to learn from

  cargo run                the same as `cargo run server`
  cargo run server         start the server; the first run makes the data folder and the database
  cargo run client         start a console client
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
        "help" => return help(),
        other => {
            return wrong(&format!("there is no verb {other:?}; there are server, client and help"));
        }
    };
    match config::read(&words) {
        Ok(None) => help(),
        Ok(Some(config)) => start(config),
        Err(error) => wrong(&error),
    }
}

fn start_server(config: Config) -> ExitCode {
    match server::run(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("minim: {reason}");
            ExitCode::FAILURE
        }
    }
}

fn start_client(config: Config) -> ExitCode {
    let is_terminal = io::stdin().is_terminal() && io::stdout().is_terminal();
    ExitCode::from(client::run(config, BufReader::new(io::stdin()), io::stdout(), is_terminal))
}

/// What there is, on standard output; one that is gone is no failure of ours.
fn help() -> ExitCode {
    let _ = io::stdout().write_all(format!("{VERBS}{}", config::help()).as_bytes());
    ExitCode::SUCCESS
}

fn wrong(error: &str) -> ExitCode {
    eprintln!("minim: {error}");
    ExitCode::from(2)
}
