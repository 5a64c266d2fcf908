//! The verbs: what stands behind `cargo run`.
//!
//! Exit codes: 0 ended as asked, 1 failed, 2 the command line or server.conf was wrong; the reason on standard error.

#![forbid(unsafe_code)]

use std::io::{self, BufReader, IsTerminal, Write};
use std::process::ExitCode;

use minim::client::screen::Look;
use minim::config::{self, Config, Own};
use minim::harmless::{harmless, harmless_name};
use minim::{cipher_page, client, demo, lan, server, tap};

const VERBS: &str = "\
minim: a LAN instant messenger to learn from

  cargo run                the same as `cargo run server`
  cargo run server         start the server; the first run makes the data folder and the database
  cargo run client         start a console client
  cargo run demo           the guided tour: a server and three clients in one process, with all socket calls
  cargo run des KEY BLOCK  show DES at work on one block: key schedule and 16 rounds (KEY and BLOCK: 16 hex digits)
  cargo run des KEY TEXT --text   show CBC at work on a text
  cargo run md5 TEXT       MD5 of a text, or with --file PATH of a file
  cargo run tap            a relay that shows, drops, repeats, delays or damages frames (between --tapPort and --chatPort)
  cargo run broadcast TEXT tell something to everybody on the LAN
  cargo run listen         show what is told to everybody, where no server does
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
        "demo" => play_demo,
        "des" => show_des,
        "md5" => show_md5,
        "tap" => start_tap,
        "broadcast" => broadcast,
        "listen" => listen,
        "help" => return help(),
        other => {
            return wrong(&format!(
                "there is no verb {other:?}; there are server, client, demo, tap, des, md5, broadcast, listen and help"
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

fn start_client(mut config: Config, own: Own) -> ExitCode {
    config.finds = own.value("find").is_some();
    if config.finds {
        match lan::find(&config) {
            Ok(found) => {
                minim::warnings::warn(&format!("found {} at {}", harmless_name(&found.name), found.ip));
                config.take(&found);
            }
            Err(reason) => return failed(&reason),
        }
    }
    let is_terminal = io::stdin().is_terminal() && io::stdout().is_terminal();
    let look = Look::from_environment(is_terminal);
    ExitCode::from(client::run(config, BufReader::new(io::stdin()), io::stdout(), look))
}

fn start_tap(config: Config, own: Own) -> ExitCode {
    match tap::run(config, &own, BufReader::new(io::stdin()), Box::new(io::stdout())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => failed(&reason),
    }
}

fn play_demo(config: Config, own: Own) -> ExitCode {
    match demo::run(config, own.value("fast").is_some()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => failed(&reason),
    }
}

/// A notice to everybody, from the user of this computer.
fn broadcast(config: Config, own: Own) -> ExitCode {
    let [text] = &own.words[..] else {
        return wrong("broadcast TEXT: one text, in quotes where it has blanks");
    };
    let user = ["USER", "USERNAME"].map(|name| std::env::var(name).unwrap_or_default());
    let user = user.iter().find(|name| !name.is_empty()).map_or("minim", |name| name.as_str());
    match lan::broadcast(&config, user, text) {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => failed(&reason),
    }
}

/// Notices, until it is ended. `--serverIp` says where the server is; here its default would hear nothing of the LAN.
fn listen(mut config: Config, _: Own) -> ExitCode {
    if config.server_ip.is_loopback() {
        config.server_ip = std::net::Ipv4Addr::UNSPECIFIED.into();
    }
    let Some(port) = config.udp_port else { return failed("there is nothing to hear: --udpPort is off") };
    let socket = match lan::open(&config, port) {
        Ok(socket) => socket,
        Err(error) => {
            return failed(&format!("cannot hear on UDP port {port} (does a server hear there?): {error}"));
        }
    };
    print(&format!(
        "udp       listening on {}\n",
        socket.address().map_or(String::new(), |address| address.to_string())
    ));
    lan::serve(&socket, None, |from, ip, text| {
        print(&format!("notice from {} at {ip}: {}\n", harmless_name(from), harmless(text)));
    });
    ExitCode::SUCCESS
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
    minim::warnings::warn(reason);
    ExitCode::FAILURE
}

fn wrong(error: &str) -> ExitCode {
    minim::warnings::warn(error);
    ExitCode::from(2)
}
