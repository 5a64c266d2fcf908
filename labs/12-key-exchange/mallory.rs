//! Mallory for the check: she sits between two ends and keeps, or changes, what passes; later she tries to read it. She knows the
//! passphrase, and whatever crossed the wire; of private numbers she finds those below 2^32.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use crate::common::connect;
use crate::peer::{Hello, MAGIC, P, PUBLIC, SIZES, expect, frames, listen, power, public, times};
use crate::variant::part;

/// What passed on one connection, once both sides have ended: from the client, from the server.
pub type Recording = [Vec<u8>; 2];
/// What she makes of the public numbers: whose it is (0 the client's, 1 the server's), and the number.
pub type Meddle = fn(usize, u64) -> u64;

/// She changes nothing.
pub const HONEST: Meddle = |_, number| number;

/// Mallory between clients and a server.
pub fn between(server: SocketAddr, meddle: Meddle) -> (SocketAddr, Receiver<Recording>) {
    let (address, clients) = listen();
    let (sender, recordings) = channel();
    thread::spawn(move || {
        for client in clients {
            let ends = Arc::new([client, connect(server)]);
            let sender = sender.clone();
            thread::spawn(move || {
                let same = ends.clone();
                let back = thread::spawn(move || pass(&same[1], &same[0], 1, meddle));
                let recording = [pass(&ends[0], &ends[1], 0, meddle), back.join().unwrap_or_default()];
                sender.send(recording)
            });
        }
    });
    (address, recordings)
}

/// One direction, to its end. A hello is passed on when it is whole.
fn pass(mut from: &TcpStream, mut to: &TcpStream, whose: usize, meddle: Meddle) -> Vec<u8> {
    let (mut passed, mut held, mut piece) = (Vec::new(), Vec::new(), [0; 4096]);
    while let Ok(count @ 1..) = from.read(&mut piece) {
        passed.extend_from_slice(&piece[..count]);
        held.extend_from_slice(&piece[..count]);
        let is_first =
            passed.len() == held.len() && passed.iter().zip(MAGIC).all(|(came, byte)| came == byte);
        if is_first && held.len() < SIZES[whose] {
            continue;
        }
        if is_first {
            let number = meddle(whose, public(&held));
            held[PUBLIC].copy_from_slice(&number.to_be_bytes());
        }
        if to.write_all(&held).is_err() {
            break;
        }
        held.clear();
    }
    let _ = to.shutdown(Shutdown::Write);
    passed
}

/// Both directions are a part of a hello of MINIM/2 and whole frames behind it: how many from the client.
pub fn expect_minim_2(id: &str, sent: &str, recording: &Recording) -> usize {
    let counts = [0, 1].map(|whose| {
        let bytes = &recording[whose];
        let rest = bytes.get(SIZES[whose]..).filter(|_| bytes.starts_with(MAGIC)).and_then(frames);
        let came = bytes[..bytes.len().min(60)].escape_ascii().to_string();
        let who = ["the client", "the server"][whose];
        let expected = format!("from {who} a hello of MINIM/2, {} bytes, and whole frames", SIZES[whose]);
        expect(rest.is_some(), id, sent, came, &expected);
        rest.map_or(0, |frames| frames.len())
    });
    counts[0]
}

/// The client's first body, if keys of this kind open it.
pub fn read_with(recording: &Recording, passphrase: &str, order: &str, shared: u64) -> Option<String> {
    let sizes = if recording[0].starts_with(MAGIC) { SIZES } else { [24, 40] }; // or MINIM/1
    let hello = Hello::of([&recording[0], &recording[1]]);
    let frames = frames(recording[0].get(sizes[0]..)?)?;
    hello.keys(passphrase, "client", order, shared).open(frames.first()?)
}

/// All that she can think of: how it was opened, and the client's first body.
pub fn read(recording: &Recording, passphrase: &str) -> Option<(String, String)> {
    let order = part("lab12.order");
    let without: Vec<&str> = order.split_whitespace().filter(|part| *part != "shared").collect();
    for known in ["nonces", "publics", &without.join(" "), ""] {
        if let Some(body) = read_with(recording, passphrase, known, 0) {
            return Some((format!("derive(label || {known})"), body));
        }
    }
    let Hello { nonces, publics } = Hello::of([&recording[0], &recording[1]]);
    let halves =
        nonces.map(|nonce| [0, 8].map(|at| u64::from_be_bytes(nonce[at..at + 8].try_into().expect("8"))));
    let [a, b] = publics;
    let numbers = [0, 1, 2, P - 1, a, b, times(a, b), a.wrapping_mul(b), a.wrapping_add(b), a ^ b];
    let mut guesses: Vec<(String, u64)> =
        numbers.into_iter().map(|number| (format!("the shared number {number}"), number)).collect();
    for (whose, other) in [(0, b), (1, a)] {
        let found = logarithm(publics[whose]);
        guesses.extend(halves.concat().into_iter().chain(found).map(|private| {
            (
                format!("the private number {private} of {}", ["the client", "the server"][whose]),
                power(other, private),
            )
        }));
    }
    guesses
        .into_iter()
        .find_map(|(how, shared)| Some((how, read_with(recording, passphrase, &order, shared)?)))
}

/// The exponent of 2, if it is below 2^32: baby steps and giant steps (Shanks).
fn logarithm(number: u64) -> Option<u64> {
    const STEPS: u64 = 1 << 16;
    let mut babies = HashMap::new();
    let mut baby = 1;
    for step in 0..STEPS {
        babies.insert(baby, step);
        baby = times(baby, 2);
    }
    let giant = power(baby, P - 2); // 1 / 2^STEPS
    let mut left = number % P;
    for step in 0..STEPS {
        if let Some(baby) = babies.get(&left) {
            return Some(step * STEPS + baby);
        }
        left = times(left, giant);
    }
    None
}
