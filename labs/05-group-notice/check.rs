//! Lab 05, the check: notices to a group over real sockets, the server driven by a client that is written from PROTOCOL.md
//! alone, and two real consoles. Nothing here waits for time to pass: what does not come is shown by what comes behind it.

#[path = "../../tests/common/mod.rs"]
mod common;
#[path = "../variant.rs"]
mod variant;

use common::peer::Peer;
use common::{Server, friends, make_group, talking};
use serde_json::{Value, json};
use variant::part;

const NAMES: [&str; 5] = ["", "Dave", "Alice", "Bob", "Carol"]; // by uid

/// Fails with the id, what was sent, what came, what should have come, and where it is written.
fn expect(is_right: bool, id: &str, sent: &str, came: impl std::fmt::Display, expected: &str) {
    assert!(
        is_right,
        "\n    {id} · sent: {sent}\n       came: {came}\n       expected: {expected}\n    Contract {id} in labs/05-group-notice/README.md"
    );
}

/// Four users online, and Alice's group with Bob and Carol in it; its gId is also the uid of Dave, who is her friend.
fn lab() -> (Server, [Peer; 4], u64) {
    let server = Server::start();
    let mut dave = server.new_user("dave"); // the first user, as that is the first group
    let [mut alice, mut bob, mut carol] = ["alice", "bob", "carol"].map(|name| server.new_user(name));
    [&mut dave, &mut bob, &mut carol].into_iter().for_each(|friend| server.befriend(&mut alice, friend));
    let g_id = server.make_group(&alice, &mut [&mut bob, &mut carol]);
    assert_eq!(g_id, dave.uid);
    (server, [alice, bob, carol, dave], g_id)
}

fn notice(g_id: u64, text: &str) -> Value {
    json!({"type": "CHAT_SEND_MSG", "isFriend": false, "toId": g_id, "msgType": part("lab05.msgType"), "msgText": text})
}

/// Sends a request and compares the code of the answer; that of an ACK is `ACK`.
fn send(id: &str, peer: &mut Peer, request: Value, expected: &str) -> Value {
    let sent = format!("{request} by {}", NAMES[peer.uid as usize]);
    let answer = peer.request(request);
    let code = if answer["type"] == "ERROR" { &answer["code"] } else { &answer["type"] };
    expect(code == expected, id, &sent, &answer, expected);
    answer
}

/// The messages that were pushed since this was asked last: all that came before PING stands before PONG.
fn pushed(peer: &mut Peer) -> Vec<Value> {
    peer.fence();
    peer.take_aside().into_iter().filter(|push| push["type"] == "CHAT_SEND_MSG").collect()
}

/// Notices with these texts were pushed, in this order, and no other messages.
fn expect_told(id: &str, peer: &mut Peer, texts: &[&str]) {
    let came: Value = pushed(peer).iter().map(|push| json!([push["msgType"], push["msgText"]])).collect();
    let expected: Value = texts.iter().map(|text| json!([part("lab05.msgType"), text])).collect();
    let sent = format!("notices; {} gets, msgType and msgText of each message", NAMES[peer.uid as usize]);
    expect(came == expected, id, &sent, &came, &expected.to_string());
}

/// What /getGroupNotice says to somebody: its `data` is as expected, or its `error`.
fn expect_latest(id: &str, server: &Server, peer: &Peer, g_id: u64, expected: &Value) {
    let answer = server.get(&format!("/getGroupNotice?gId={g_id}"), Some(&peer.session_id));
    let found = answer.get(if answer["ok"] == true { "data" } else { "error" });
    let sent = format!("GET /getGroupNotice?gId={g_id} by {}", NAMES[peer.uid as usize]);
    expect(found == Some(expected), id, &sent, &answer, &expected.to_string());
}

/// The data of a notice that `from` has sent.
fn data(from: &Peer, text: &str, ack: &Value) -> Value {
    json!({"fromId": from.uid, "fromName": NAMES[from.uid as usize], "sendTime": ack["sendTime"], "msgText": text})
}

#[test]
fn a1_each_member_gets_it_once_and_the_sender_an_ack_alone() {
    let (_server, [mut alice, mut bob, mut carol, _], g_id) = lab();
    let ack = send("a1", &mut alice, notice(g_id, "exam at nine"), "ACK");
    let mut ids = vec![ack["id"].clone()];
    for member in [&mut bob, &mut carol] {
        let came = Value::from(pushed(member));
        let is_own = |id: &&Value| id.is_number() && !ids.contains(id);
        let id = Some(&came[0]["id"]).filter(is_own).cloned().unwrap_or("an id of their own".into());
        let expected = json!([{"type": "CHAT_SEND_MSG", "id": id, "fromId": alice.uid, "fromName": "Alice", "isFriend": false,
            "toId": g_id, "sendTime": ack["sendTime"], "msgType": part("lab05.msgType"), "msgText": "exam at nine"}]);
        expect(came == expected, "a1", "a notice; a member gets", &came, &expected.to_string());
        ids.push(id);
    }
    expect_told("a1", &mut alice, &[]);
}

#[test]
fn a2_who_is_no_member_gets_nothing() {
    let (_server, [mut alice, mut bob, _, mut dave], g_id) = lab();
    send("a2", &mut alice, notice(g_id, "exam at nine"), "ACK");
    expect_told("a2", &mut bob, &["exam at nine"]);
    expect_told("a2", &mut dave, &[]);
}

#[test]
fn a3_who_is_away_gets_it_at_login() {
    let (server, [mut alice, bob, ..], g_id) = lab();
    drop(bob);
    send("a3", &mut alice, notice(g_id, "exam at nine"), "ACK");
    expect_told("a3", &mut server.log_in("bob"), &["exam at nine"]);
}

#[test]
fn a4_nobody_but_the_owner_sends_one_and_to_nothing_but_a_group() {
    let (server, [mut alice, mut bob, mut carol, mut dave], g_id) = lab();
    let of_bob = server.make_group(&bob, &mut [&mut alice]);
    let (mut claimed, mut private) = (notice(g_id, "no exam"), notice(dave.uid, "no exam"));
    (claimed["fromId"], claimed["owner"], private["isFriend"]) = (alice.uid.into(), true.into(), true.into());
    send("a4", &mut bob, claimed, "notOwner"); // who owns another group
    send("a4", &mut carol, notice(g_id, "no exam"), "notOwner");
    send("a4", &mut dave, notice(g_id, "no exam"), "notMember");
    send("a4", &mut alice, private, "badRequest");
    [&mut alice, &mut bob, &mut carol, &mut dave].into_iter().for_each(|peer| expect_told("a4", peer, &[]));
    expect_latest("a4", &server, &alice, g_id, &Value::Null);
    send("a4", &mut bob, notice(of_bob, "a party"), "ACK");
    expect_told("a4", &mut alice, &["a party"]);
}

#[test]
fn a5_who_is_a_member_is_looked_up_each_time() {
    let (server, [mut alice, mut bob, mut carol, mut dave], g_id) = lab();
    let change = |peer: &Peer, path: &str| server.get(path, Some(&peer.session_id))["data"]["id"].clone();
    let one = send("a5", &mut alice, notice(g_id, "one"), "ACK");
    change(&alice, &format!("/removeMember?gId={g_id}&uid={}", carol.uid));
    let asked = change(&alice, &format!("/addFriendsOrGroup?gId={g_id}&friendId={}", dave.uid));
    change(&dave, &format!("/messageHandle?msgId={asked}&accept=true"));
    expect_latest("a5", &server, &dave, g_id, &data(&alice, "one", &one));
    expect_latest("a5", &server, &carol, g_id, &"notMember".into());
    let mut two = notice(g_id, "two");
    two["clientNo"] = alice.next_client_no().into();
    send("a5", &mut alice, two.clone(), "ACK");
    change(&alice, &format!("/quitGroup?gId={g_id}")); // Bob owns it now
    send("a5", &mut alice, two, "ACK"); // the same request is remembered
    send("a5", &mut alice, notice(g_id, "no exam"), "notMember");
    send("a5", &mut bob, notice(g_id, "three"), "ACK");
    expect_told("a5", &mut bob, &["one", "two"]);
    expect_told("a5", &mut carol, &["one"]);
    expect_told("a5", &mut dave, &["two", "three"]);
}

#[test]
fn a6_the_latest_of_each_group_is_for_its_members() {
    let (server, [mut alice, mut bob, _, dave], g_id) = lab();
    let of_bob = server.make_group(&bob, &mut [&mut alice]);
    send("a6", &mut alice, notice(g_id, "one"), "ACK");
    let two = send("a6", &mut alice, notice(g_id, "two"), "ACK");
    let mut text = notice(g_id, "no notice");
    text["msgType"] = "TEXT".into();
    send("a6", &mut alice, text, "ACK");
    let party = send("a6", &mut bob, notice(of_bob, "a party"), "ACK");
    for member in [&alice, &bob] {
        expect_latest("a6", &server, member, g_id, &data(&alice, "two", &two));
        expect_latest("a6", &server, member, of_bob, &data(&bob, "a party", &party));
    }
    expect_latest("a6", &server, &dave, g_id, &"notMember".into());
}

#[test]
fn a7_it_is_there_after_a_restart() {
    let (mut server, [mut alice, ..], g_id) = lab();
    let ack = send("a7", &mut alice, notice(g_id, "exam at nine"), "ACK");
    server.start_again();
    expect_latest("a7", &server, &server.log_in("bob"), g_id, &data(&alice, "exam at nine", &ack));
}

#[test]
fn a8_the_console_shows_it_as_a_notice() {
    let server = Server::start();
    friends(&server);
    let (mut alice, mut bob) = (talking(&server, &[], "alice", "bob"), talking(&server, &[], "bob", "alice"));
    make_group(&mut alice, &mut bob, "lab");
    alice.bytes(b"/announce #lab exam at nine\n/msg #lab first of all\n");
    bob.expect("first of all");
    bob.line("/open #lab");
    bob.expect("first of all"); // unread no more, and the group is open
    alice.bytes(b"/announce #lab exam at ten\n/msg #lab good luck\n");
    bob.expect("good luck");
    bob.bytes(b"/announce #lab\n/announce #lab no exam\n/quit\n");
    let came = [bob.transcript.clone(), bob.finish().1].concat();
    let start = "notice in #lab from Alice: exam at";
    let elsewhere = format!("* {start} nine (unread 1, /open #lab)\n");
    let others = format!("{start} nine\n{start} ten\n  {start} ten\n! only the owner of #lab may do that");
    let expected = elsewhere + &others;
    let missing = expected.lines().find(|line| !came.iter().any(|shown| shown == line)).unwrap_or_default();
    expect(missing.is_empty(), "a8", "/announce; Bob's console shows", came.join("\n             "), missing);
}

#[test]
fn g1_members_talk_as_before() {
    let (_server, [mut alice, mut bob, ..], g_id) = lab();
    let mut text = notice(g_id, "hello");
    text["msgType"] = "TEXT".into();
    send("g1", &mut bob, text, "ACK");
    expect(pushed(&mut alice).len() == 1, "g1", "that", "nothing at Alice", "one CHAT_SEND_MSG");
}
