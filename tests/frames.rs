//! Frames and bodies as no honest client sends them: it costs the sender's connection, and nothing else.

#![cfg(feature = "sqlite")] // where the servers of these tests keep their data, unless MINIM_TEST_DATABASE is set

mod common;

use std::io::{Read, Write};
use std::net::Shutdown;

use common::peer::{Peer, expect_error};
use common::{Server, connect, read_to_end};
use minim::wire::MAGIC;
use serde_json::{Value, json};

/// A message to `to` as a body, with the given number.
fn message(to: u64, client_no: u64, text: &str) -> Vec<u8> {
    let body = json!({"type": "CHAT_SEND_MSG", "clientNo": client_no, "isFriend": true, "toId": to,
        "sendTime": 0, "msgType": "TEXT", "msgText": text});
    body.to_string().into_bytes()
}

#[test]
fn frames_in_one_write_and_a_byte_at_a_time_are_the_same_frames() {
    let server = Server::start();
    let (mut alice, mut bob) = server.alice_and_bob();
    let mut together = Vec::new();
    for number in 0..20 {
        together.extend(alice.seal(&message(bob.uid, 100 + number, &format!("line {number}"))));
    }
    alice.send_raw(&together).unwrap();
    for byte in alice.seal(&message(bob.uid, 120, "line 20")) {
        alice.send_raw(&[byte]).unwrap();
    }
    for number in 0..21 {
        assert_eq!(alice.expect("ACK")["clientNo"], 100 + number);
        assert_eq!(bob.expect("CHAT_SEND_MSG")["msgText"], format!("line {number}"));
    }
}

#[test]
fn a_frame_cut_at_every_byte_brings_the_same_text() {
    let server = Server::start();
    let (mut alice, mut bob) = server.alice_and_bob();
    let length = alice.seal(&message(bob.uid, 1, "你好🙂")).len(); // sealed, not sent: take its number back
    alice.sending.sequence -= 1;
    for cut in 1..length {
        let frame = alice.seal(&message(bob.uid, 1000 + cut as u64, "你好🙂"));
        alice.send_raw(&frame[..cut]).unwrap();
        alice.send_raw(&frame[cut..]).unwrap();
        assert_eq!(bob.expect("CHAT_SEND_MSG")["msgText"], "你好🙂", "cut at byte {cut}");
    }
}

#[test]
fn a_body_that_is_no_request_is_refused_by_name_and_the_connection_lives() {
    let server = Server::start();
    let (mut alice, mut bob) = server.alice_and_bob();
    let with = |member: &str| {
        let rest = r#""isFriend":true,"sendTime":0,"msgType":"TEXT""#;
        format!(r#"{{"type":"CHAT_SEND_MSG","clientNo":7,{member},{rest}}}"#)
    };
    let bob_id = bob.uid;
    let bodies = [
        ("null".to_owned(), "object"),
        ("[]".to_owned(), "object"),
        ("7".to_owned(), "object"),
        ("".to_owned(), "object"),
        ("{\"type\":\"PING\"".to_owned(), "object"),
        ("{\"type\":\"PING\"} x".to_owned(), "object"),
        (format!("{{\"type\":\"PING\",\"x\":{}", "[".repeat(65_000)), "x"),
        ("[".repeat(65_534), "object"),
        (format!("\"{}\"", "\u{1f642}".repeat(10_000)), "object"), // a text, which no answer repeats
        (with(&format!(r#""toId":{bob_id},"msgText":null"#)), "msgText"),
        (with(r#""toId":"2","msgText":"a""#), "toId"),
        (with(r#""toId":1e400,"msgText":"a""#), "toId"),
        (with(r#""toId":-1,"msgText":"a""#), "toId"),
        (with(r#""toId":1.5,"msgText":"a""#), "toId"),
        (with(r#""toId":9007199254740992,"msgText":"a""#), "toId"),
        (with(&format!(r#""toId":1,"toId":{bob_id},"msgText":"a""#)), "toId"),
        (with(&format!(r#""toId":{bob_id}"#)), "msgText"),
        (with(&format!(r#""toId":{bob_id},"msgText":"""#)), "msgText"),
        (with(&format!(r#""toId":{bob_id},"msgText":"a\u0007""#)), "msgText"),
        (with(&format!(r#""toId":{bob_id},"msgText":"a","isFriend":1"#)), "isFriend"),
        (r#"{"clientNo":7}"#.to_owned(), "type"),
        (r#"{"type":null}"#.to_owned(), "type"),
        (r#"{"type":"SHOUT","clientNo":7}"#.to_owned(), "type"),
        (r#"{"type":"CHAT_RECEIVED","ids":[1,"2"]}"#.to_owned(), "ids"),
        (format!(r#"{{"type":"CHAT_RECEIVED","ids":{:?}}}"#, vec![1; 501]), "ids"),
    ];
    for (body, named) in bodies {
        alice.send_body(body.as_bytes());
        let answer = alice.expect("ERROR");
        let shown: String = body.chars().take(100).collect();
        expect_error(&answer, "badRequest");
        let text = answer["text"].as_str().unwrap();
        assert!(text.contains(named), "{shown}: {text:?} does not name {named}");
        assert!(text.chars().count() < 300, "{shown}: a long answer to a long request");
    }
    alice.send_body(b"{\"type\":\"PING\",\"x\":\"\xff\"}"); // no UTF-8
    expect_error(&alice.expect("ERROR"), "badRequest");
    alice.fence();
    bob.fence();
    let seen: Vec<&Value> = bob.put_aside().iter().filter(|body| body["type"] == "CHAT_SEND_MSG").collect();
    assert!(seen.is_empty(), "Bob saw {seen:?}");
}

#[test]
fn json_nested_200000_deep_is_refused_and_hurts_nobody() {
    let server = Server::start();
    let (mut alice, mut bob) = server.alice_and_bob();
    for deep in ["[".repeat(200_000), format!("{{\"type\":{}", "{\"a\":".repeat(200_000))] {
        alice.send_body(deep.as_bytes());
        expect_error(&alice.expect("ERROR"), "badRequest");
    }
    alice.fence();
    bob.fence();
}

#[test]
fn a_flipped_bit_in_any_part_of_a_frame_ends_its_connection_silently_and_nobody_elses() {
    let server = Server::start();
    let (mut alice, mut bob) = server.alice_and_bob();
    let length = alice.seal(&message(bob.uid, 1, "pay 100")).len();
    let (iv, ciphertext, mac) = (4 * 8, 12 * 8, (length - 16) * 8);
    for bit in [iv, iv + 63, ciphertext, ciphertext + 77, mac - 1, mac, mac + 127] {
        alice = server.log_in("alice");
        alice.fence();
        let mut frame = alice.seal(&message(bob.uid, bit as u64, "pay 100"));
        frame[bit / 8] ^= 0x80 >> (bit % 8);
        alice.send_raw(&frame).unwrap();
        alice.expect_closed_silently();
        bob.fence();
    }
    bob.fence();
    assert!(bob.put_aside().iter().all(|body| body["type"] != "CHAT_SEND_MSG"));
}

#[test]
fn a_replayed_reflected_swapped_or_left_out_frame_ends_its_connection_silently() {
    let server = Server::start();
    let (mut alice, mut bob) = server.alice_and_bob();

    let frame = alice.seal(&message(bob.uid, 1, "once"));
    alice.send_raw(&frame).unwrap();
    alice.expect("ACK");
    alice.send_raw(&frame).unwrap(); // replayed
    alice.expect_closed_silently();
    bob.expect("CHAT_SEND_MSG");

    alice = server.log_in("alice");
    alice.fence();
    let first = alice.seal(&message(bob.uid, 2, "first"));
    let second = alice.seal(&message(bob.uid, 3, "second"));
    alice.send_raw(&[second, first].concat()).unwrap(); // swapped
    alice.expect_closed_silently();

    alice = server.log_in("alice");
    alice.fence();
    alice.seal(&message(bob.uid, 4, "left out"));
    let next = alice.seal(&message(bob.uid, 5, "next"));
    alice.send_raw(&next).unwrap(); // one left out
    alice.expect_closed_silently();

    alice = server.log_in("alice");
    alice.fence();
    alice.send(json!({"type": "PING"}));
    let mut pong = [0; 4 + 8 + 16 + 16]; // the 15 bytes of {"type":"PONG"} and one of padding: two blocks
    alice.stream.read_exact(&mut pong).unwrap();
    alice.send_raw(&pong).unwrap(); // the server's own frame, sent back
    alice.expect_closed_silently();

    bob.fence();
    assert!(bob.put_aside().iter().all(|body| body["type"] != "CHAT_SEND_MSG"));
}

#[test]
fn lengths_that_no_frame_has_end_the_connection_at_the_fourth_byte() {
    let server = Server::start();
    let mut bob = server.new_user("bob");
    for length in [0_u32, 8, 24, 31, 33, 36, 8 * 1024 + 8, 1024 * 1024 + 8, 0xffff_fff8, u32::MAX] {
        let mut stranger = server.peer();
        stranger.send_raw(&length.to_be_bytes()).unwrap();
        stranger.expect_closed_silently();
    }
    for length in [0_u32, 1024 * 1024 + 8, 0xffff_fff8, u32::MAX] {
        bob.send_raw(&length.to_be_bytes()).unwrap();
        bob.expect_closed_silently();
        bob = server.log_in("bob");
        bob.fence();
    }
    bob.fence();
}

#[test]
fn the_longest_frames_are_taken_before_and_after_login() {
    let server = Server::start();
    let mut peer = server.peer();
    let padding = |total: usize| {
        let head = r#"{"type":"PING","x":""#;
        format!("{head}{}\"}}", "x".repeat(total - head.len() - 2))
    };
    peer.send_body(padding(8 * 1024 - 24 - 1).as_bytes());
    peer.expect("PONG");
    peer.register("bob");
    peer.login("bob");
    peer.send_body(padding(1024 * 1024 - 24 - 1).as_bytes());
    peer.expect("PONG");
}

#[test]
fn wrong_padding_under_a_right_mac_is_closed_without_a_word() {
    let server = Server::start();
    for last_block in [0x00_u64, 0x09, 0x0102_0304_0506_0702, 0x0303_0303_0303_0403] {
        let mut peer = server.peer();
        let iv = [7; 8];
        let ciphertext = peer.encrypt_unpadded(&iv, &last_block.to_be_bytes());
        let frame = peer.frame(0, &iv, &ciphertext);
        peer.send_raw(&frame).unwrap();
        peer.expect_closed_silently();
    }
}

#[test]
fn two_hundred_connections_of_random_bytes_cost_nobody_anything() {
    let server = Server::start();
    let (mut alice, mut bob) = server.alice_and_bob();
    let mut state = 0x2545_f491_4f6c_dd1d_u64; // xorshift: the same bytes in every run
    for number in 0..200 {
        let mut stream = connect(server.chat);
        let mut bytes: Vec<u8> = if number % 2 == 0 { MAGIC.to_vec() } else { Vec::new() };
        for _ in 0..40 + number {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            bytes.push((state >> 24) as u8);
        }
        let _ = stream.write_all(&bytes); // the server may have closed in the middle
        let _ = stream.shutdown(Shutdown::Write);
        read_to_end(&mut stream);
    }
    let answer = alice.say(bob.uid, "still here");
    assert_eq!(answer["type"], "ACK");
    assert_eq!(bob.expect("CHAT_SEND_MSG")["msgText"], "still here");
}

#[test]
fn a_peer_that_does_not_begin_with_the_magic_is_closed_and_http_is_answered() {
    let server = Server::start();
    let magic = String::from_utf8(MAGIC.to_vec()).expect("ASCII");
    let other_version = magic.replace(|letter: char| letter.is_numeric(), "9");
    for start in [&other_version, &magic.replace('\n', "\r"), &magic.to_lowercase(), "\x16\x03"] {
        let hello = format!("{start}0123456789abcdef");
        let mut stream = connect(server.chat);
        stream.write_all(hello.as_bytes()).unwrap();
        assert_eq!(read_to_end(&mut stream), b"", "{hello:?}");
    }
    for request in ["GET / HTTP/1.1\r\nHost: x\r\n\r\n", "POST /register HTTP/1.1\r\n\r\n"] {
        let mut stream = connect(server.chat);
        stream.write_all(request.as_bytes()).unwrap();
        let answer = String::from_utf8(read_to_end(&mut stream)).unwrap();
        assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
        assert!(answer.contains("chat port"), "{answer}");
    }
}

#[test]
fn another_passphrase_is_noticed_by_the_proof() {
    let nfc = "caf\u{e9}";
    let nfd = "cafe\u{301}";
    let long = "合".repeat(3_333);
    for (theirs, mine) in [("合肥工业", "合肥工大"), (nfc, nfd), ("hfut", "hfut "), ("x", "y"), (&long, "x")]
    {
        let server = Server::with(&["--passphrase", theirs]);
        let error = Peer::try_connect(server.chat, mine.as_bytes()).expect_err("another passphrase");
        assert!(error.contains("passphrase") || error.contains("proof"), "{error}");
        let mut right = Peer::try_connect(server.chat, theirs.as_bytes()).expect("the same passphrase");
        right.fence();
    }
}

/// The most memory that a process had so far, in KiB; Linux tells.
#[cfg(target_os = "linux")]
fn most_memory(process: u32) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).expect("a process of ours");
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("its peak");
    line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).expect("a number")
}

#[test]
#[cfg(target_os = "linux")]
fn what_no_field_of_ours_has_is_read_over_and_takes_no_memory() {
    let server = Server::start();
    let mut alice = server.new_user("alice");
    let before = most_memory(server.program.id());
    let list = format!("[{}0]", "{\"\":0},".repeat(130_000));
    let members: Vec<String> = (0..65_000).map(|number| format!("\"{number}\":{{\"\":0}}")).collect();
    for value in [list, format!("{{{}}}", members.join(","))] {
        for _ in 0..3 {
            alice.send_body(format!("{{\"type\":\"PING\",\"x\":{value}}}").as_bytes());
            alice.expect("PONG");
        }
    }
    let grown = most_memory(server.program.id()) - before;
    assert!(grown < 16 * 1024, "{grown} KiB for a body of 1 MiB");

    alice.send(json!({"type": "CHAT_RECEIVED", "ids": [[1]]}));
    expect_error(&alice.expect("ERROR"), "badRequest");
    let many: Vec<String> = (0..65).map(|number| format!("\"{number}\":0")).collect();
    alice.send_body(format!("{{\"type\":\"PING\",{}}}", many.join(",")).as_bytes());
    expect_error(&alice.expect("ERROR"), "badRequest");
    alice.fence();
}
