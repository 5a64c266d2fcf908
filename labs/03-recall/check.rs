//! Lab 03, the check: RECALL over real sockets, the server driven by a client that is written from PROTOCOL.md alone, and two
//! real consoles. Nothing here waits for time to pass: what does not come is shown by something that comes behind it.

#[path = "../../tests/common/mod.rs"]
mod common;
#[path = "../variant.rs"]
mod variant;

use common::peer::Peer;
use common::{Server, friends, talking};
use serde_json::{Value, json};
use variant::part;

const SECRET: &str = "oops, the exam paper";
const BOB: u64 = 2; // his uid: Alice, 1, registers before him

/// Fails with the id, what was sent, what came, what should have come, and where it is written.
fn expect(is_right: bool, id: &str, sent: &str, came: impl std::fmt::Display, expected: &str) {
    assert!(
        is_right,
        "\n    {id} · sent: {sent}\n       came: {came}\n       expected: {expected}\n    Contract {id} in labs/03-recall/README.md"
    );
}

/// Sends RECALL with these fields and compares the code of the answer; that of an ACK is `ACK`.
fn recall(id: &str, peer: &mut Peer, mut fields: Value, expected: &str) {
    fields["type"] = part("lab03.type").into();
    let sent = format!("{fields} by uid {}", peer.uid);
    let answer = peer.request(fields);
    let code = if answer["type"] == "ERROR" { &answer["code"] } else { &answer["type"] };
    expect(code == expected, id, &sent, &answer, expected);
}

/// A server, two friends, and the id of what Alice has told Bob.
fn secret_told() -> (Server, Peer, Peer, u64) {
    let server = Server::start();
    let (mut alice, bob) = server.alice_and_bob();
    let id = alice.say(bob.uid, SECRET)["id"].as_u64().expect("ACK with id");
    (server, alice, bob, id)
}

/// What of this type was pushed: all that came before PING stands before PONG.
fn pushed(peer: &mut Peer, kind: &str) -> Vec<Value> {
    peer.fence();
    peer.take_aside().into_iter().filter(|push| push["type"] == kind).collect()
}

/// These RECALLs of Alice's messages came, and no others: id, isFriend, toId.
fn expect_told(id: &str, peer: &mut Peer, expected: &[(u64, bool, u64)]) {
    let kind = part("lab03.type");
    let push = |&(id, is_friend, to_id): &(u64, bool, u64)| json!({"type": kind, "id": id, "fromId": 1, "fromName": "Alice", "isFriend": is_friend, "toId": to_id});
    let (came, expected) = (Value::from(pushed(peer, &kind)), expected.iter().map(push).collect::<Value>());
    expect(came == expected, id, &format!("that; uid {} gets", peer.uid), came, &expected.to_string());
}

/// What waited for somebody who was away: a message that is one no more.
fn expect_recalled(id: &str, peer: &mut Peer) {
    let came = pushed(peer, "CHAT_SEND_MSG").pop().unwrap_or_default();
    let is_right = came["msgType"] == part("lab03.msgType") && came["msgText"] == "";
    expect(is_right, id, "LOGIN by who was away", &came, "the row, msgType changed and no text");
}

/// What the server says of a conversation: the records, the search for the secret, and what waits. The secret stands there
/// whole, or else nowhere, and its row says that it was taken back.
fn look_up(id: &str, server: &Server, peer: &Peer, with: (bool, u64), is_there: bool) -> String {
    let records = format!("/getChatRecords?isFriend={}&toId={}", with.0, with.1);
    let paths = [&records, &format!("{records}&text=exam"), "/getNoHandleMessages"];
    let found = paths.map(|path| format!("\n       {}", server.get(path, Some(&peer.session_id)))).concat();
    let is_gone = !found.contains("exam") && found.contains(&part("lab03.msgType"));
    let is_right = if is_there { found.contains(SECRET) } else { is_gone };
    let expected = if is_there { "the text" } else { "the row with another msgType, the text nowhere" };
    let sent = format!("/getChatRecords, its search, /getNoHandleMessages by uid {}", peer.uid);
    expect(is_right, id, &sent, &found, expected);
    found
}

#[test]
fn a1_a_friend_who_is_online_is_told_and_the_sender_gets_an_ack() {
    let (_server, mut alice, mut bob, id) = secret_told();
    recall("a1", &mut alice, json!({"id": id}), "ACK");
    expect_told("a1", &mut bob, &[(id, true, BOB)]);
}

#[test]
fn a2_a_friend_who_was_away_finds_it_without_its_text() {
    let (server, mut alice, bob, id) = secret_told();
    drop(bob);
    recall("a2", &mut alice, json!({"id": id}), "ACK");
    expect_recalled("a2", &mut server.log_in("bob"));
}

#[test]
fn a3_the_text_is_gone_from_the_database_read_or_unread() {
    let (server, mut alice, mut bob, read) = secret_told();
    let unread = alice.say(bob.uid, SECRET)["id"].clone();
    alice.say(bob.uid, "this one stays");
    bob.received(&[read]);
    bob.fence();
    recall("a3", &mut alice, json!({"id": read}), "ACK");
    recall("a3", &mut alice, json!({"id": unread}), "ACK");
    for (peer, other) in [(&alice, &bob), (&bob, &alice)] {
        let found = look_up("a3", &server, peer, (true, other.uid), false);
        expect(found.contains("this one stays"), "a3", "/getChatRecords", found, "also the third message");
    }
}

#[test]
fn a4_nobody_else_can_take_it_back() {
    let (server, mut alice, mut bob, id) = secret_told();
    recall("a4", &mut bob, json!({"id": id, "fromId": alice.uid}), &part("lab03.notSender"));
    look_up("a4", &server, &bob, (true, alice.uid), true);
    recall("a4", &mut alice, json!({"id": id}), "ACK");
}

#[test]
fn a5_it_is_too_late_by_the_clock_of_the_server() {
    let far = 9_000_000_000_000_u64; // in the year 2255, by the client's clock
    let window: u64 = part("lab03.window").parse().expect("seconds");
    let plain: &[&str] = &[];
    for (options, age) in [(plain, window / 2), (plain, window + 30), (&["--recallWindow", "0"], 0)] {
        let expected = if age == window / 2 { "ACK" } else { &*part("lab03.tooLate") };
        eprintln!("a5: a server with {options:?}, a message that is {age} s old");
        let server = Server::with(options);
        let (mut alice, bob) = server.alice_and_bob();
        let mut message = alice.text_to(bob.uid, SECRET);
        message["sendTime"] = far.into();
        let id = alice.request(message)["id"].clone();
        server.run_sql(&[format!("UPDATE message SET sendTime = sendTime - {age}000")]); // so long ago
        recall("a5", &mut alice, json!({"id": id, "sendTime": far}), expected);
        look_up("a5", &server, &bob, (true, alice.uid), expected != "ACK");
    }
}

#[test]
fn a6_in_a_group_the_row_of_every_member_goes() {
    let server = Server::start();
    let (mut alice, mut bob) = server.alice_and_bob();
    let (mut carol, mut dave) = (server.new_user("carol"), server.new_user("dave"));
    for other in [&mut carol, &mut dave] {
        server.befriend(&mut alice, other);
    }
    let g_id = server.make_group(&alice, &mut [&mut bob, &mut carol]);
    drop(carol);
    let text = json!({"type": "CHAT_SEND_MSG", "isFriend": false, "toId": g_id, "msgType": "TEXT", "msgText": SECRET});
    let id = alice.request(text)["id"].as_u64().expect("ACK with id");
    let ours = bob.expect("CHAT_SEND_MSG")["id"].as_u64().expect("an id");
    recall("a6", &mut alice, json!({"id": id}), "ACK");
    expect_told("a6", &mut bob, &[(ours, false, g_id)]);
    expect_told("a6", &mut alice, &[]); // an ACK is enough
    expect_told("a6", &mut dave, &[]); // a friend, and no member
    let mut carol = server.log_in("carol");
    expect_recalled("a6", &mut carol);
    for member in [&alice, &bob, &carol] {
        _ = look_up("a6", &server, member, (false, g_id), false);
    }
}

#[test]
fn a7_once_more_is_acknowledged_and_told_to_nobody() {
    let (server, mut alice, mut bob, id) = secret_told();
    (0..3).for_each(|_| recall("a7", &mut alice, json!({"id": id}), "ACK"));
    expect_told("a7", &mut bob, &[(id, true, BOB)]);
    recall("a7", &mut alice, json!({"id": id + 1}), "noSuchMessage");
    recall("a7", &mut server.new_user("mallory"), json!({"id": id}), "noSuchMessage"); // neither to nor from her
}

#[test]
fn a8_two_consoles_show_it() {
    let server = Server::start();
    friends(&server);
    let mut bob = server.console(&[]);
    bob.line("/login bob 123456");
    bob.expect("friends 1");
    let mut alice = talking(&server, &[], "alice", "bob");
    alice.line(SECRET);
    let sent = alice.expect("sent #");
    let id = &sent[sent.find('#').expect("#ID")..];
    bob.expect(SECRET);
    alice.line(&format!("/recall {}", &id[1..]));
    for (console, start) in [(&mut alice, "  "), (&mut bob, "* Alice ")] {
        let came = console.next_line().unwrap_or_default();
        let is_right = came.starts_with(start) && came.contains(id);
        expect(is_right, "a8", "/recall by Alice", &came, &format!("{start:?}, and {id} behind it"));
    }
    bob.bytes(b"/open alice\n/history\n/quit\n");
    let came = bob.finish().1.join("\n             ");
    let is_right = !came.contains("exam") && !came.contains("! ");
    expect(is_right, "a8", "/open alice, /history by Bob", &came, "no text, and no line that begins with !");
}

#[test]
fn g1_a_peer_that_knows_no_recall_goes_on() {
    let (_server, mut alice, mut bob, id) = secret_told();
    alice.request(json!({"type": part("lab03.type"), "id": id}));
    let id = alice.say(bob.uid, "still there?")["id"].clone();
    while bob.expect("CHAT_SEND_MSG")["id"] != id {}
}
