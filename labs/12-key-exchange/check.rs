//! Lab 12, the check: MINIM/2 over real sockets. The server meets a client that is written from the handout, the console a server
//! that is, and both meet Mallory. What does not come is shown by an end, or by something behind it.

#[path = "../../tests/common/mod.rs"]
mod common;
mod mallory;
mod peer;
#[path = "../variant.rs"]
mod variant;

use std::collections::HashSet;
use std::io::Write;

use common::{PASSPHRASE, Server, connect, friends, raw_http, read_to_end, talking};
use mallory::{HONEST, Meddle, between, expect_minim_2};
use peer::*;

#[test]
fn a1_two_consoles_talk_and_it_is_minim_2() {
    let server = Server::start();
    let (address, recordings) = between(server.chat, HONEST);
    let (_, said) = start_console(address, &[]);
    expect(said.contains("same passphrase"), "a1", "a console starts", said, "same passphrase");
    let port = address.port().to_string();
    friends(&server);
    let mut bob = talking(&server, &["--chatPort", &port], "bob", "alice");
    let mut alice = talking(&server, &["--chatPort", &port], "alice", "bob");
    alice.line("你好");
    bob.expect("Alice: 你好");
    bob.line("hello");
    alice.expect("Bob: hello");
    _ = (alice.finish(), bob.finish());
    let frames = [0; 5].map(|_| expect_minim_2("a1", "two consoles talk", &next(&recordings)));
    let talked = frames.iter().filter(|frames| **frames > 1).count();
    expect(talked == 2, "a1", "two consoles talk", frames, "two connections with frames of a conversation");
}

#[test]
fn a2_a_recording_and_the_passphrase_are_not_enough() {
    let server = Server::start();
    let (address, recordings) = between(server.chat, HONEST);
    let sent = "a console's /register, recorded; then all that Mallory makes of that and the passphrase";
    let (mut alice, _folder) = console(address, &[]);
    alice.expect("same passphrase");
    alice.line("/register alice 123456 Alice");
    alice.finish();
    for _ in 0..3 {
        let recording = next(&recordings);
        let opened = mallory::read(&recording, PASSPHRASE);
        expect(opened.is_none(), "a2", sent, opened, "nothing that opens a frame");
        expect_minim_2("a2", sent, &recording);
    }
    let number = private();
    expect_pong("a2", "a client's hello through Mallory", client(address, PASSPHRASE, number));
    let recording = next(&recordings);
    let shared = power(public(&recording[1]), number);
    let opened = mallory::read_with(&recording, PASSPHRASE, &variant::part("lab12.order"), shared);
    expect(opened.as_deref() == Some(PING), "a2", "the same with the client's private number", opened, PING);
}

#[test]
fn a3_every_connection_has_fresh_public_numbers() {
    let server = Server::start();
    let (address, recordings) = between(server.chat, HONEST);
    let (mut alice, _folder) = console(address, &[]);
    alice.expect("same passphrase");
    alice.line("/register alice 123456 Alice");
    (0..4).for_each(|_| alice.bytes(b"/logout\n/login alice 123456\n"));
    alice.finish();
    let sent = "/register, four times /logout and /login";
    let mut seen = HashSet::new();
    for _ in 0..7 {
        let recording = next(&recordings);
        expect_minim_2("a3", sent, &recording);
        let numbers = [0, 1].map(|whose| public(&recording[whose]));
        let is_fresh = numbers.iter().all(|number| seen.insert(*number));
        expect(is_fresh, "a3", sent, (numbers, &seen), "two numbers that were never seen before");
    }
}

#[test]
fn a4_a_public_number_whose_powers_are_known_is_refused() {
    let server = Server::start();
    expect_pong("a4", "the public number 2 to the server", client(server.chat, PASSPHRASE, 1));
    let taken = greet(&mut connect(server.chat), P - 2).map(|(hello, _)| hello.publics[0]);
    expect(taken.is_ok(), "a4", "the public number p - 2 to the server", taken, "the server's hello");
    let (end, code, said) = meet(PASSPHRASE, |theirs| (2, theirs));
    expect(code == 0, "a4", "the public number 2 to a console", (end.err(), said), "a start");
    for (number, shared) in [(0, 0), (1, 1), (P - 1, 1), (P, 0), (P + 1, 1), (1 << 63, 1), (u64::MAX, 1)] {
        for address in [server.chat, server.http] {
            let came = greet(&mut connect(address), number).map_or_else(|end| end, |_| "a hello".to_owned());
            let sent = format!("the public number {number:#x} to the server at {address}");
            expect(came == CLOSED, "a4", &sent, &came, CLOSED);
        }
        let (end, code, said) = meet(PASSPHRASE, |_| (number, shared));
        let is_refused = end.is_ok() && code == 1 && said.contains("public");
        let sent = format!("the public number {number:#x} to a console");
        expect(is_refused, "a4", &sent, (end.err(), said), "a complaint with the word public");
    }
}

#[test]
fn a5_who_changes_a_public_number_is_noticed_by_both_ends() {
    let server = Server::start();
    let cases: [(&str, Meddle); 5] = [
        ("none", HONEST),
        ("the client's, by 2^40", |whose, number| if whose == 0 { 1 << 40 } else { number }),
        ("the server's, by 2^40", |whose, number| if whose == 1 { 1 << 40 } else { number }),
        ("both, by 2^40", |_, _| 1 << 40),
        ("both, by their squares", |_, number| times(number, number)),
    ];
    for (what, meddle) in cases {
        let (address, recordings) = between(server.chat, meddle);
        let (_, said) = start_console(address, &[]);
        let sent = format!("a hello between console and server; Mallory replaces public numbers: {what}");
        let frames = expect_minim_2("a5", &sent, &next(&recordings));
        let expected = if what == "none" { "same passphrase" } else { "another passphrase" };
        let is_right = said.contains(expected) && frames == 0;
        expect(is_right, "a5", &sent, (said, frames), &format!("{expected}, 0 frames"));
    }
    for (replaced, expected) in [(None, PONG), (Some(1 << 40), CLOSED)] {
        let (mut stream, number) = (connect(server.chat), private());
        let (mut hello, _) = greet(&mut stream, power(2, number)).unwrap_or_else(|error| panic!("{error}"));
        let shared = power(hello.publics[1], number);
        hello.publics[0] = replaced.unwrap_or(hello.publics[0]);
        let came = believing(stream, hello, PASSPHRASE, shared).ask(PING).unwrap_or_else(|end| end);
        let sent = format!("a frame whose keys are made with another public number: {replaced:?}");
        expect(came == expected, "a5", &sent, &came, expected);
    }
}

#[test]
fn a6_minim_1_is_refused_by_name_and_never_spoken() {
    for answers in [false, true] {
        let came = meet_old(PASSPHRASE, answers);
        let is_refused = came.code == 1 && came.said.contains("MINIM/2") && came.bytes == 32 && came.is_alone;
        let sent = if answers { "a right hello of MINIM/1" } else { "the end, as of a server of MINIM/1" };
        let expected = "exit code 1, a complaint that names MINIM/2; 32 bytes, and no other connection";
        expect(is_refused, "a6", sent, came, expected);
    }
    let server = Server::with(&["--trace", "steps"]);
    for (address, expected) in [(server.chat, ""), (server.http, "HTTP/1.1 400 ")] {
        let mut stream = connect(address);
        stream.write_all(b"MINIM/1\n0123456789abcdef").expect("the server reads");
        let came = String::from_utf8_lossy(&read_to_end(&mut stream)).into_owned();
        let is_right = came.starts_with(expected) && came.is_empty() == expected.is_empty();
        expect(is_right, "a6", "a client's hello of MINIM/1", came, &format!("{expected:?}, then the end"));
    }
    let trace = server.errors();
    let notes: Vec<&str> = trace.lines().filter(|line| line.contains("hello: ")).collect();
    let is_named = notes.iter().any(|note| note.contains("MINIM/2"));
    expect(is_named, "a6", "the same", notes, "a line of the trace that names MINIM/2");
}

#[test]
fn a7_a_client_and_a_server_written_from_the_handout_are_understood() {
    let server = Server::start();
    for number in [1, 2, u64::MAX, private(), private()] {
        let sent = format!("a client's hello, private number {number:#x}");
        expect_pong("a7", &sent, client(server.chat, PASSPHRASE, number));
    }
    let zero_first = |theirs| {
        let number = (3..).find(|number| power(theirs, *number) >> 56 == 0).expect("one of 128");
        (power(2, number), power(theirs, number))
    };
    let sent = "a server's hello; the shared number begins with a zero byte";
    let (end, code, said) = meet(PASSPHRASE, zero_first);
    expect(end.is_ok() && code == 0, "a7", sent, (end.err(), said), "a console that starts");
    let (address, streams) = listen();
    let (mut program, _folder) = console(address, &[]);
    program.line("/login alice 123456");
    let [_, login] = [0, 1].map(|_| answer(next(&streams), PASSPHRASE, zero_first));
    let body = login.and_then(|mut end| end.receive());
    let is_login = body.as_ref().is_ok_and(|body| body.contains(r#""loginName":"alice""#));
    expect(is_login, "a7", &format!("{sent}; then /login"), body, "LOGIN, under the keys of the handout");
}

#[test]
fn a8_another_passphrase_is_still_called_by_its_name() {
    let server = Server::with(&["--passphrase", "合肥工大"]);
    let (address, recordings) = between(server.chat, HONEST);
    for (passphrase, is_right) in [("合肥工业", false), ("合肥工大", true)] {
        let (code, said) = start_console(address, &["--passphrase", passphrase]);
        let sent = format!("a console with {passphrase} meets a server with 合肥工大");
        expect_minim_2("a8", &sent, &next(&recordings));
        let is_said = said.contains("has another passphrase") != is_right && (code == 0) == is_right;
        expect(is_said, "a8", &sent, said, if is_right { "a start" } else { "has another passphrase" });
    }
}

#[test]
fn g1_http_on_the_chat_port_is_answered_as_before() {
    let (head, _) = raw_http(Server::start().chat, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    expect(head.starts_with("HTTP/1.1 400 "), "g1", "GET / to the chat port", head, "HTTP/1.1 400");
}
