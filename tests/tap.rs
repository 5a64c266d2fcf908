//! `minim tap`: what it shows, and what becomes of frames that it drops, repeats, delays or damages.

#![cfg(feature = "sqlite")] // where the servers of these tests keep their data, unless MINIM_TEST_DATABASE is set

mod common;

use std::fs;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use common::peer::Peer;
use common::{PASSPHRASE, Program, Server, run};

/// A tap in front of a server, with these options.
fn tap(server: &Server, options: &[&str]) -> (Program, SocketAddr) {
    let port = server.chat.port().to_string();
    let words = [&["tap", "--tapPort", "0", "--chatPort", &port], options].concat();
    let mut tap = Program::start(server.folder(), &words, &[]);
    let line = tap.expect("tap       listening on 127.0.0.1:");
    let address =
        line.split(' ').find_map(|word| word.trim_end_matches(',').parse().ok()).expect("an address");
    tap.expect("Type out or in");
    (tap, address)
}

/// Alice behind the tap, logged in; her frames 0 was LOGIN.
fn alice(address: SocketAddr) -> Peer {
    let mut alice = Peer::connect(address, PASSPHRASE);
    alice.login("alice");
    alice
}

#[test]
fn every_frame_is_shown_as_on_the_wire_and_decrypted() {
    let server = Server::start();
    let (_alice, mut bob) = server.alice_and_bob();
    let (mut tap, address) = tap(&server, &[]);
    let mut alice = alice(address);
    tap.expect("1: hello: the passphrase is right");
    tap.expect("1: frame 0 out LOGIN, ");
    let length = tap.expect("  L 000000");
    let number = usize::from_str_radix(&length[4..12], 16).expect("hex");
    assert_eq!(length, format!("  {:53}= {number}", format!("L {number:08x}")));
    assert_eq!(tap.expect("  I ").len(), 4 + 16);
    assert!(tap.expect("  C ").split(' ').skip(3).all(|block| block.len() == 16));
    assert!(tap.expect("  M ").ends_with("   right: over sequence 0, I, C"));
    assert!(tap.expect("  B {").contains(r#""pwd":"alice's password""#), "that is the point");
    tap.expect("1: frame 0 in LOGIN_OK, ");
    alice.say(bob.uid, "你好\u{202e}");
    bob.expect("CHAT_SEND_MSG");
    tap.expect(" CHAT_SEND_MSG, ");
    assert!(tap.expect("  B {").contains(r"你好\u{202e}"));
    alice.say(bob.uid, &"x".repeat(6_000));
    tap.expect(" CHAT_SEND_MSG, ");
    assert!(tap.expect("  C ... ").ends_with(" blocks more"));
    assert!(tap.expect("  B {").ends_with(" bytes more"));
    alice.request(serde_json::json!({"type": "LOGOUT"}));
    drop(alice);
    tap.expect("1: in ended");
}

#[test]
fn damage_is_found_by_the_mac_and_costs_the_connection() {
    let server = Server::start();
    let (_alice, mut bob) = server.alice_and_bob();
    let (mut tap, address) = tap(&server, &["--seed", "1"]); // not a bit that only makes a length longer
    for (command, said, arrives) in [
        ("out drop", "  ! dropped", false),
        ("out repeat", "  ! sent twice", true),
        ("out flip 0", "  ! bit 0 flipped, in the length", false),
        ("out flip 40", "  ! bit 40 flipped, in the IV", false),
        ("out flip 100", "  ! bit 100 flipped, in the ciphertext", false),
        ("out flip", " flipped, in ", false),
    ] {
        let mut alice = alice(address);
        alice.fence();
        tap.line(command);
        tap.expect(&format!("waiting: {command}"));
        let text = alice.text_to(bob.uid, command);
        alice.send(text);
        tap.expect(said);
        let ping = serde_json::json!({"type": "PING"});
        alice.send(ping); // behind a frame that is missing its number is wrong too
        while let Some(answer) = alice.receive() {
            assert_ne!(answer["type"], "PONG", "{command}");
        }
        if arrives {
            assert_eq!(bob.expect("CHAT_SEND_MSG")["msgText"], command);
        }
    }
    bob.fence();
    assert!(
        bob.put_aside().iter().all(|told| told["type"] != "CHAT_SEND_MSG"),
        "nothing else arrived, or twice"
    );
}

#[test]
fn a_delayed_frame_arrives_later_and_whole_and_a_script_says_which() {
    let server = Server::start();
    let (_alice, bob) = server.alice_and_bob();
    fs::write(server.folder().join("script"), "# the second text\nout 2 delay 300 # ms\n\nin 0 delay 1\n")
        .expect("written");
    let (mut tap, address) = tap(&server, &["--script", "script", "--seed", "7"]);
    let mut alice = alice(address);
    tap.expect("  ! held back for 1 ms");
    assert_eq!(alice.say(bob.uid, "at once")["type"], "ACK");
    let start = Instant::now();
    assert_eq!(alice.say(bob.uid, "later")["type"], "ACK");
    assert!(start.elapsed() >= Duration::from_millis(300));
    tap.expect("  ! held back for 300 ms");
    assert_eq!(alice.say(bob.uid, "at once again")["type"], "ACK");
}

#[test]
fn a_seed_draws_the_same_bits_again() {
    let server = Server::start();
    server.alice_and_bob();
    fs::write(server.folder().join("script"), "out 1 flip\n").expect("written");
    let flipped = |seed: &str| {
        let (mut tap, address) = tap(&server, &["--script", "script", "--seed", seed]);
        let mut alice = alice(address);
        alice.send(serde_json::json!({"type": "PING"}));
        tap.expect(" flipped, in ")
    };
    assert_eq!(flipped("7"), flipped("7"));
    assert_ne!(flipped("7"), flipped("8"));
}

#[test]
fn another_passphrase_reads_nothing_and_wrong_words_are_said() {
    let server = Server::start();
    let (_alice, bob) = server.alice_and_bob();
    let (mut tap, address) = tap(&server, &["--passphrase", "another"]);
    let mut alice = alice(address);
    tap.expect("1: hello: another passphrase: nothing can be read");
    tap.expect("1: frame 0 out unreadable, ");
    assert!(tap.expect("  M ").ends_with("   not checked: the passphrase is another"));
    assert_eq!(alice.say(bob.uid, "all the same")["type"], "ACK");
    for line in ["up drop", "out", "out delay", "out delay x", "out flip 1 2", "out 3 drop"] {
        tap.line(line);
        let said = tap.expect(&format!("{line:?}: "));
        assert!(said.ends_with("it is out|in drop|repeat|delay MS|flip [BIT]"), "{said}");
    }
    let words = ["tap", "--tapPort", "0", "--script", "none"];
    let (code, _, errors) = run(server.folder(), &words);
    assert!(code == 1 && errors.contains("--script none: "), "{errors}");
    fs::write(server.folder().join("script"), "out drop\n").expect("written");
    let (code, _, errors) = run(server.folder(), &["tap", "--tapPort", "0", "--script", "script"]);
    assert!(code == 1 && errors.contains("no number of a frame"), "{errors}");
}
