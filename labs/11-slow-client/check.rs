//! Lab 11, the check: TYPING, a client that does not read, hundreds that say nothing, a server without free descriptors.
//! What does not come is shown by what comes behind it; that the kernel holds all it takes, by the server's count of frames.

#[path = "../../tests/common/mod.rs"]
mod common;
#[path = "../variant.rs"]
mod variant;

use common::{PASSPHRASE, Server, connect, friends, peer::Peer, talking};
use serde_json::{Value, json};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::{fs, process::Command};
use variant::part;

const BOB: u64 = 2; // his uid: Alice, 1, registers before him
const ROUND: usize = 1_000; // TYPINGs between two looks at the server's count

/// Fails with the id, what was sent, what came, what should have come, and where it is written.
fn expect(is_right: bool, id: &str, sent: &str, came: impl std::fmt::Display, expected: &str) {
    let came = came.to_string();
    assert!(
        is_right,
        "\n    {id} · sent: {sent}\n       came: {came:.500}\n       expected: {expected:.500}\n    Contract {id} in labs/11-slow-client/README.md"
    );
}

fn typing(is_friend: bool, to_id: u64) -> Value {
    json!({"type": part("lab11.type"), "isFriend": is_friend, "toId": to_id})
}

/// What others are told by it.
fn told(uid: u64, name: &str, is_friend: bool, to_id: u64) -> Value {
    json!({"type": part("lab11.type"), "fromId": uid, "fromName": name, "isFriend": is_friend, "toId": to_id})
}

/// All that came to a peer before its PING was answered, but the ACKs of messages; of a message the text alone.
fn pushed(peer: &mut Peer) -> Vec<Value> {
    let fenced = catch_unwind(AssertUnwindSafe(|| peer.fence()));
    let pushes = peer.take_aside().into_iter().filter(|push| push["type"] != "ACK" || push["id"].is_null());
    let text = |mut push: Value| if push["type"] == "CHAT_SEND_MSG" { push["msgText"].take() } else { push };
    pushes.map(text).chain(fenced.err().map(|_| "no PONG: see the panic above".into())).collect()
}

fn check(id: &str, sent: &str, peer: &mut Peer, expected: &[Value]) {
    let came = pushed(peer);
    let (is_right, sent) = (came == expected, format!("{sent}; then uid {} gets", peer.uid));
    expect(is_right, id, &sent, json!(came), &json!(expected).to_string());
}

/// A text and a TYPING, in one write: all is well between two friends.
fn tells(id: &str, (from, name): (&mut Peer, &str), to: &mut Peer) {
    let (text, sent) = (from.text_to(to.uid, "hello"), format!("a text, then TYPING, by {name}"));
    from.send_together(&[text, typing(true, to.uid)]);
    check(id, &sent, from, &[]);
    check(id, &sent, to, &["hello".into(), told(from.uid, name, true, to.uid)]);
}

/// Bob reads nothing; Alice, whose name is long, sends TYPINGs until only her PONG goes out. How many; then `meanwhile`.
fn flood(id: &str, server: &mut Server, meanwhile: impl FnOnce()) -> (Peer, Peer, usize) {
    let (mut alice, mut bob) = (server.new_user(&"\u{1F40C}".repeat(50)), server.new_user("bob"));
    server.befriend(&mut alice, &mut bob);
    let body = typing(true, bob.uid).to_string();
    let (mut sent, mut gone, mut still, mut came) = (0, 0, false, vec![]);
    while !still && came.is_empty() && sent < 300 * ROUND {
        server.program.line("/status");
        let line = server.program.expect("frames    received "); // N, sent M
        let now: u64 = line.rsplit(' ').next().and_then(|sent| sent.parse().ok()).expect("a number");
        (still, gone) = (now - gone <= 1, now);
        let frames: Vec<u8> = (0..ROUND).flat_map(|_| alice.seal(body.as_bytes())).collect();
        alice.send_raw(&frames).expect("the server reads");
        (came, sent) = (pushed(&mut alice), sent + ROUND);
    }
    meanwhile();
    let what = format!("{sent} TYPINGs to Bob, who reads nothing; then Alice gets");
    expect(came.is_empty(), id, &what, json!(came), "PONG alone");
    (alice, bob, sent)
}

#[test]
fn a1_friends_and_members_see_it_behind_what_was_sent_before() {
    let server = Server::start();
    let (mut alice, mut bob) = server.alice_and_bob();
    let mut carol = server.new_user("carol");
    server.befriend(&mut alice, &mut carol);
    let g_id = server.make_group(&alice, &mut [&mut bob, &mut carol]);
    let _ = [&mut alice, &mut bob, &mut carol].map(pushed); // who joined
    tells("a1", (&mut alice, "Alice"), &mut bob);
    alice.send(typing(false, g_id));
    for (peer, times) in [(&mut alice, 0), (&mut bob, 1), (&mut carol, 1)] {
        check("a1", "TYPING to her group by Alice", peer, &vec![told(1, "Alice", false, g_id); times]);
    }
}

#[test]
fn a2_it_is_in_no_record_and_waits_for_nobody() {
    let server = Server::start();
    let (mut alice, mut bob) = server.alice_and_bob();
    tells("a2", (&mut alice, "Alice"), &mut bob);
    drop(bob);
    alice.expect("FRIEND_STATE"); // he is offline
    alice.send(typing(true, BOB));
    pushed(&mut alice);
    let mut bob = server.log_in("bob");
    let state = json!({"type": "FRIEND_STATE", "uid": 1, "username": "Alice", "online": true});
    check("a2", "TYPING by Alice while Bob was away; he logs in", &mut bob, &["hello".into(), state]);
    for target in ["/getChatRecords?isFriend=true&toId=1", "/getNoHandleMessages"] {
        let answer = server.get(target, Some(&bob.session_id));
        expect(answer["data"].as_array().map(Vec::len) == Some(1), "a2", target, &answer, "the text alone");
    }
}

#[test]
fn a3_who_does_not_read_stays_and_gets_every_message() {
    let mut server = Server::start();
    let (mut alice, mut bob, sent) = flood("a3", &mut server, || ());
    let texts: Vec<String> = (0..50).map(|n| n.to_string()).collect();
    texts.iter().for_each(|text| assert_eq!(alice.say(BOB, text)["type"], "ACK"));
    let (came, kind) = (pushed(&mut bob), part("lab11.type"));
    let (typings, others): (Vec<_>, Vec<_>) = came.into_iter().partition(|push| push["type"] == kind);
    expect(json!(others) == json!(texts), "a3", "50 texts; Bob reads", json!(others), "these 50, in order");
    let (is_right, what) = ((1..sent).contains(&typings.len()), format!("{sent} TYPINGs to Bob"));
    expect(is_right, "a3", &what, typings.len(), "some of them: not those that found no room");
}

#[test]
fn a4_meanwhile_all_others_are_served() {
    let mut server = Server::start();
    let (mut carol, mut dave) = (server.new_user("carol"), server.new_user("dave"));
    server.befriend(&mut carol, &mut dave);
    flood("a4", &mut server, || tells("a4", (&mut carol, "Carol"), &mut dave));
}

#[test]
fn a5_who_may_not_write_reaches_nobody_and_hears_nothing() {
    let server = Server::start();
    let (mut alice, mut bob) = server.alice_and_bob();
    let (g_id, mut carol) = (server.make_group(&alice, &mut [&mut bob]), server.new_user("carol"));
    let _ = [&mut alice, &mut bob].map(pushed); // who joined
    let all = [typing(true, BOB), typing(true, 3), typing(true, 99), typing(false, g_id), typing(false, 99)];
    carol.send_together(&all);
    let sent = "TYPING by Carol to Bob, herself, nobody, a group not hers, no group";
    check("a5", sent, &mut carol, &[]);
    tells("a5", (&mut alice, "Alice"), &mut bob);
    check("a5", "TYPING to Bob by Alice", &mut carol, &[]);
}

#[test]
fn a6_idle_clients_cost_two_threads_and_a_descriptor_each() {
    let server = Server::with(&["--patience", "1000"]); // they may take long to LOGIN
    let mut alice = server.new_user("alice");
    let at = format!("/proc/{}", server.program.id());
    let costs = || ["task", "fd"].map(|of| fs::read_dir(format!("{at}/{of}")).map_or(0, Iterator::count));
    let before = costs(); // 0: no Linux
    let mut idle: Vec<Peer> = (0..400).map(|_| server.peer()).collect();
    idle.iter_mut().for_each(|peer| (peer.fence(), peer.transcript.clear()).1); // a failure shows none of them
    let more = [0, 1].map(|at| costs()[at] - before[at]);
    let is_right = more == [800, 400] || before[0] == 0;
    expect(is_right, "a6", "400 hellos", json!(more), "[800, 400]: so many threads and descriptors more");
    let mut bob = server.new_user("bob");
    server.befriend(&mut alice, &mut bob);
    tells("a6", (&mut alice, "Alice"), &mut bob);
}

#[test]
fn a7_without_descriptors_it_goes_on_and_takes_clients_when_others_have_left() {
    let mut server = Server::with(&["--patience", "1000"]);
    let (mut alice, mut bob) = server.alice_and_bob();
    let limit = [&format!("--pid={}", server.program.id()), "--nofile=64"]; // as behind ulimit -n 64
    assert!(Command::new("prlimit").args(limit).status().expect("prlimit, of util-linux").success());
    let crowd: Vec<_> = (0..64).map(|_| connect(server.chat)).collect();
    server.program.expect_error("cannot take a connection");
    tells("a7", (&mut alice, "Alice"), &mut bob);
    drop(crowd);
    let came = Peer::try_connect(server.chat, PASSPHRASE.as_bytes()).err();
    expect(came.is_none(), "a7", "64 clients, who leave; then a hello", came.unwrap_or_default(), "a hello");
}

#[test]
fn a8_two_consoles_show_it_once_until_the_message() {
    let server = Server::start();
    friends(&server);
    let (mut alice, mut bob) = (talking(&server, &[], "alice", "bob"), talking(&server, &[], "bob", "alice"));
    alice.bytes(b"/writing\n/writing\nhello\n/writing\nhello\n");
    for expected in ["* Alice ", "Alice: hello", "* Alice ", "Alice: hello"] {
        let came = bob.next_line().unwrap_or_default();
        expect(came.starts_with(expected), "a8", "/writing twice, hello, /writing, hello", came, expected);
    }
}

#[test]
fn g1_messages_still_cut_off_who_does_not_read_and_wait_for_the_next_login() {
    let (server, mut ids) = (Server::start(), Vec::new());
    let (mut alice, _deaf) = server.alice_and_bob();
    while alice.put_aside().is_empty() {
        ids.push(alice.say(BOB, &"x".repeat(16_000))["id"].clone()); // until FRIEND_STATE: Bob is offline
        assert!(ids.len() < 2_000, "g1: Bob, who reads nothing, was never cut off");
    }
    let mut bob = server.log_in("bob");
    ids[..20].iter().for_each(|id| assert_eq!(bob.receive().expect("a message")["id"], *id));
}
