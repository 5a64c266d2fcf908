//! `minim tap`: somebody in the middle. A relay between clients and a server that shows every frame, as it is on the wire and
//! decrypted, and on command drops, repeats, delays or damages the next one.
//!
//! It needs nothing but the shared passphrase, since the nonces go in clear: who knows it can read all, and could write
//! frames of their own, which is left to the labs (PROTOCOL.md, 1). Who does not know it can only do damage, and is found out
//! by the MAC. `out` is what the client sends, `in` what it gets.
//! Not here: HTTP, which goes past it. Start with `relay`.

use std::fs;
use std::io::{BufRead, Write};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::config::{Config, Own};
use crate::limits::{
    ACCEPT_PAUSE, CONNECT_DEADLINE, LOGIN_DEADLINE, MAX_FRAME, RECEIVE_PIECE, TAP_LIFE, patiently,
};
use crate::md5_check::random_bytes;
use crate::socket::{self, Socket};
use crate::trace::{body_row, frame_rows, kind};
use crate::wire::{
    self, CLIENT_HELLO, IV_SIZE, LENGTH_SIZE, MAC_SIZE, MAGIC, NONCE_SIZE, Receiver, SERVER_HELLO, Secret,
    receive_exactly,
};

/// What happens to one frame.
#[derive(Debug, Clone, Copy, PartialEq)]
enum What {
    Drop,
    Repeat,
    Delay(Duration),
    /// The bit, counted from the first of the length field; drawn where it is not said.
    Flip(Option<u64>),
}

/// An accident that waits for its frame.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Accident {
    is_out: bool,
    /// The frame's number, from 0 in each direction of a connection. None: the next frame.
    number: Option<u64>,
    what: What,
}

/// What all connections share.
struct Tap {
    config: Config,
    accidents: Mutex<Vec<Accident>>,
    /// What random numbers are drawn from.
    seed: Mutex<u64>,
    output: Mutex<Box<dyn Write + Send>>,
}

/// Relays until it is ended. An error is a sentence.
pub fn run(
    config: Config,
    own: &Own,
    input: impl BufRead + Send + 'static,
    output: Box<dyn Write + Send>,
) -> Result<(), String> {
    let seed = match own.value("seed") {
        Some(seed) => seed.parse().map_err(|_| format!("--seed {seed}: not a whole number"))?,
        None => u64::from_be_bytes(random_bytes()),
    };
    let script = own.value("script").map_or(Ok(String::new()), |path| {
        fs::read_to_string(path).map_err(|error| format!("--script {path}: {error}"))
    })?;
    let lines = script.lines().map(|line| line.split('#').next().unwrap_or_default().trim());
    let accidents: Result<Vec<Accident>, String> =
        lines.filter(|line| !line.is_empty()).map(|line| parse(line, true)).collect();

    let address = SocketAddr::new(config.server_ip, config.tap_port);
    let listener = socket::listen(address, "L", &config.trace)
        .map_err(|error| format!("cannot listen on {address} (--tapPort): {error}"))?;
    let address = listener.address().map_err(|error| error.to_string())?;
    let server = SocketAddr::new(config.server_ip, config.chat_port);
    let tap =
        Tap { config, accidents: Mutex::new(accidents?), seed: Mutex::new(seed), output: Mutex::new(output) };
    let tap = Arc::new(tap);
    tap.say(&format!("tap       listening on {address}, relaying to {server}\n{HELP}"));

    let of_keyboard = tap.clone();
    named("keyboard".to_owned(), move || of_keyboard.read_commands(input))
        .map_err(|error| error.to_string())?;
    for number in 1.. {
        let Ok(client) = socket::accept(&listener, &format!("c{number}")) else {
            thread::sleep(ACCEPT_PAUSE); // no descriptors left: never at full speed
            continue;
        };
        let of_relay = tap.clone();
        let started = named(format!("in {number}"), move || {
            if let Err(error) = relay(&of_relay, number, Arc::new(client)) {
                of_relay.say(&format!("{number}: {error}"));
            }
        });
        if let Err(error) = started {
            tap.say(&format!("{number}: no thread: {error}"));
        }
    }
    Ok(())
}

const HELP: &str = "Type out or in (as seen from the client), then drop, repeat, delay MS or flip [BIT]: it happens to the next frame.";

/// `out flip 77`; in a script with the frame's number in front of the word: `out 3 flip 77`.
fn parse(line: &str, has_number: bool) -> Result<Accident, String> {
    let wrong = |what: &str| {
        let number = if has_number { " NUMBER" } else { "" };
        format!("{line:?}: {what}; it is out|in{number} drop|repeat|delay MS|flip [BIT]")
    };
    let mut words = line.split_whitespace();
    let is_out = match words.next() {
        Some("out") => true,
        Some("in") => false,
        _ => return Err(wrong("no direction")),
    };
    let mut number = None;
    if has_number {
        let found = words.next().and_then(|word| word.parse().ok());
        number = Some(found.ok_or_else(|| wrong("no number of a frame"))?);
    }
    let (word, value, rest) = (words.next().unwrap_or_default(), words.next(), words.next());
    let count =
        value.map(|value| value.parse::<u64>().map_err(|_| wrong("not a whole number"))).transpose()?;
    let what = match (word, count) {
        ("drop", None) => What::Drop,
        ("repeat", None) => What::Repeat,
        ("delay", Some(ms)) => What::Delay(Duration::from_millis(ms)),
        ("flip", bit) => What::Flip(bit),
        _ => return Err(wrong("no such accident")),
    };
    if rest.is_some() { Err(wrong("too many words")) } else { Ok(Accident { is_out, number, what }) }
}

/// A thread whose name the trace shows.
fn named(name: String, body: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
    thread::Builder::new().name(name).spawn(body).map(drop)
}

/// One connection: the hello gives the keys; then each direction has a thread.
fn relay(tap: &Arc<Tap>, connection: u64, client: Arc<Socket>) -> Result<(), String> {
    let config = &tap.config;
    let deadline = config.deadline(LOGIN_DEADLINE);
    let text = |error: std::io::Error| error.to_string();
    let mut client_hello = [0; CLIENT_HELLO];
    receive_exactly(&client, &mut client_hello, deadline).map_err(|_| "the client left before its hello")?;

    let address = SocketAddr::new(config.server_ip, config.chat_port);
    let (limit, name) = (patiently(CONNECT_DEADLINE, config.patience), format!("s{connection}"));
    let server = socket::connect(address, limit, &name, &config.trace);
    let server = Arc::new(server.map_err(|error| format!("cannot connect to {address}: {error}"))?);
    server.send(&client_hello, deadline).map_err(text)?;
    let mut server_hello = [0; SERVER_HELLO];
    receive_exactly(&server, &mut server_hello, deadline)
        .map_err(|_| "the server closed before its hello")?;
    client.send(&server_hello, deadline).map_err(text)?;
    let (server_nonce, proof) = server_hello[MAGIC.len()..].split_at(NONCE_SIZE);
    let secret = Secret {
        passphrase: config.passphrase.as_bytes(),
        client_nonce: &client_hello[MAGIC.len()..],
        server_nonce,
    };
    let knows = secret.derive("server proof") == *proof;
    let said = if knows { "the passphrase is right" } else { "another passphrase: nothing can be read" };
    tap.say(&format!("{connection}: hello: {said}"));

    let (mut of_client, mut of_server) = (secret.receiver("client"), secret.receiver("server"));
    of_client.after_login();
    of_server.after_login();
    let (tap_out, from, to) = (tap.clone(), client.clone(), server.clone());
    named(format!("out {connection}"), move || {
        tap_out.pass(connection, true, &from, &to, (of_client, knows))
    })
    .map_err(text)?;
    tap.pass(connection, false, &server, &client, (of_server, knows));
    Ok(())
}

impl Tap {
    /// One direction: frame after frame, until it ends.
    fn pass(
        &self,
        connection: u64,
        is_out: bool,
        from: &Socket,
        to: &Socket,
        (mut keys, knows): (Receiver, bool),
    ) {
        let deadline = Instant::now() + TAP_LIFE;
        let direction = if is_out { "out" } else { "in" };
        for number in 0.. {
            let mut frame = match receive_frame(from, deadline) {
                Ok(frame) => frame,
                Err(why) => {
                    self.say(&format!("{connection}: {direction} ended: {why}"));
                    break;
                }
            };
            let body = keys.open(&frame).ok();
            let accident = self.accident(is_out, number);
            let kind = body.as_deref().map_or("unreadable".to_owned(), |body| kind(body).unwrap_or_default());
            let mut rows =
                vec![format!("{connection}: frame {number} {direction} {kind}, {} bytes", frame.len())];
            let mac = match body {
                Some(_) => format!("right: over sequence {number}, I, C"),
                None if knows => "wrong".to_owned(),
                None => "not checked: the passphrase is another".to_owned(),
            };
            rows.extend(frame_rows(&wire::parts(&frame), &mac).iter().map(|row| format!("  {row}")));
            rows.extend(body.as_deref().map(|body| format!("  {}", body_row(body))));
            if let Some(what) = accident {
                rows.push(format!("  ! {}", self.damage(what, &mut frame)));
                if matches!(what, What::Flip(_)) {
                    let damaged = frame_rows(&wire::parts(&frame), "wrong, as it is passed on");
                    rows.extend(damaged.iter().map(|row| format!("  {row}")));
                }
            }
            self.say(&rows.join("\n"));
            if let Some(What::Delay(time)) = accident {
                thread::sleep(time);
            }
            let copies = match accident {
                Some(What::Drop) => 0,
                Some(What::Repeat) => 2,
                _ => 1,
            };
            if (0..copies).any(|_| to.send(&frame, deadline).is_err()) {
                self.say(&format!("{connection}: {direction} ended: the other side takes no more"));
                break;
            }
        }
        to.end(); // the other direction may still say something
    }

    /// What is to happen to this frame, which is then done with.
    fn accident(&self, is_out: bool, number: u64) -> Option<What> {
        let mut accidents = self.accidents.lock().unwrap_or_else(PoisonError::into_inner);
        let is_meant =
            |one: &Accident| one.is_out == is_out && one.number.is_none_or(|wanted| wanted == number);
        let place = accidents.iter().position(is_meant)?;
        Some(accidents.remove(place).what)
    }

    /// Flips, where that is what happens; says what happens.
    fn damage(&self, what: What, frame: &mut [u8]) -> String {
        let bits = frame.len() as u64 * 8;
        match what {
            What::Drop => "dropped".to_owned(),
            What::Repeat => "sent twice".to_owned(),
            What::Delay(time) => format!("held back for {} ms", time.as_millis()),
            What::Flip(bit) => {
                let bit = bit.unwrap_or_else(|| self.draw()) % bits;
                frame[(bit / 8) as usize] ^= 0x80 >> (bit % 8);
                format!("bit {bit} flipped, in {}", part_of(bit / 8, frame.len() as u64))
            }
        }
    }

    /// The next number of a sequence that the seed decides (xorshift64 of Marsaglia, 2003).
    fn draw(&self) -> u64 {
        let mut seed = self.seed.lock().unwrap_or_else(PoisonError::into_inner);
        let mut x = (*seed).max(1); // 0 would stay 0
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        *seed = x;
        x
    }

    fn read_commands(&self, input: impl BufRead) {
        for line in input.split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line);
            match parse(line.trim(), false) {
                _ if line.trim().is_empty() => {}
                Ok(accident) => {
                    self.accidents.lock().unwrap_or_else(PoisonError::into_inner).push(accident);
                    self.say(&format!("waiting: {}", line.trim()));
                }
                Err(error) => self.say(&error),
            }
        }
    }

    /// All rows at once: two directions never mix within a frame.
    fn say(&self, rows: &str) {
        let mut output = self.output.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = writeln!(output, "{rows}").and_then(|()| output.flush()); // who stopped reading still relays
    }
}

/// The part of a frame in which a byte lies.
fn part_of(byte: u64, length: u64) -> &'static str {
    match byte {
        _ if byte < LENGTH_SIZE as u64 => "the length",
        _ if byte < (LENGTH_SIZE + IV_SIZE) as u64 => "the IV",
        _ if byte >= length - MAC_SIZE as u64 => "the MAC",
        _ => "the ciphertext",
    }
}

/// One frame as it came, its length first.
fn receive_frame(from: &Socket, deadline: Instant) -> Result<Vec<u8>, wire::Error> {
    let mut frame = vec![0; LENGTH_SIZE];
    receive_exactly(from, &mut frame, deadline)?;
    let length = wire::frame_length(&frame, MAX_FRAME)?;
    while frame.len() < LENGTH_SIZE + length {
        let start = frame.len();
        frame.resize((LENGTH_SIZE + length).min(start + RECEIVE_PIECE), 0); // as it comes, not as it was announced
        receive_exactly(from, &mut frame[start..], deadline)?;
    }
    Ok(frame)
}
