//! The chat protocol, by clients written from PROTOCOL.md alone: accounts, friends, messages, sessions, limits.

#![cfg(feature = "sqlite")] // where the servers of these tests keep their data, unless MINIM_TEST_DATABASE is set

mod common;

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use common::peer::{Peer, expect_error, password};
use common::{PASSPHRASE, Server, connect, dribble, read_to_end};
use minim::limits::{MAX_STRANGERS_EACH, OUTBOX_FRAMES};
use minim::message::{Code, FromServer};
use minim::server::online::{Item, OnlineUsers, Outbox};
use minim::server::sessions::{Brake, Sessions};
use minim::socket;
use minim::trace::Trace;
use minim::wire::MAGIC;
use serde_json::{Value, json};

/// Messages of one type that came and were put aside.
fn of_type<'a>(peer: &'a Peer, kind: &str) -> Vec<&'a Value> {
    peer.put_aside().iter().filter(|body| body["type"] == kind).collect()
}

#[test]
fn a_text_of_any_allowed_length_arrives_equal_and_a_longer_one_is_too_large() {
    let server = Server::start();
    let (mut alice, mut bob) = server.alice_and_bob();
    let texts =
        ["a".repeat(1_013), "合".repeat(341), "b".repeat(1_024), "c".repeat(16_384), "🙂".repeat(4_096)];
    for text in &texts {
        assert_eq!(alice.say(bob.uid, text)["type"], "ACK");
        assert_eq!(bob.expect("CHAT_SEND_MSG")["msgText"], *text);
    }
    let answer = alice.say(bob.uid, &"d".repeat(16_385));
    expect_error(&answer, "tooLarge");
    assert_eq!(answer["limit"], 16_384);
    assert_eq!(alice.say(bob.uid, "two\nlines\tand 你好👨‍👩‍👧")["type"], "ACK");
    assert_eq!(bob.expect("CHAT_SEND_MSG")["msgText"], "two\nlines\tand 你好👨‍👩‍👧");
}

#[test]
fn a_pushed_message_says_who_wrote_what_to_whom_and_the_server_says_when() {
    let server = Server::start();
    let (mut alice, mut bob) = server.alice_and_bob();
    for send_time in [json!(0), json!(1_000_000_000_000_000_000_u64), json!(-1), Value::Null] {
        let mut body = json!({"type": "CHAT_SEND_MSG", "isFriend": true, "toId": bob.uid,
            "sendTime": send_time, "msgType": "EMOJI", "msgText": "🙂", "fromId": bob.uid});
        if send_time.is_null() {
            body.as_object_mut().unwrap().remove("sendTime");
        }
        let ack = alice.request(body);
        let pushed = bob.expect("CHAT_SEND_MSG");
        let expected = json!({"type": "CHAT_SEND_MSG", "id": ack["id"], "fromId": alice.uid,
            "fromName": "Alice", "isFriend": true, "toId": bob.uid, "sendTime": ack["sendTime"],
            "msgType": "EMOJI", "msgText": "🙂"});
        assert_eq!(pushed, expected);
        let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_millis() as u64;
        assert!(now.abs_diff(ack["sendTime"].as_u64().unwrap()) < 60_000, "{ack}");
    }
}

#[test]
fn names_that_hide_or_play_with_a_terminal_are_refused_by_name() {
    let server = Server::start();
    let mut peer = server.peer();
    let long = "n".repeat(51);
    let invisible = "\u{200b}".repeat(15);
    let names = [
        "",
        "\u{3164}",
        "Bob\u{ad}",
        "Bob\u{115f}",
        "A\x1b[2J",
        "A\u{9b}",
        "Bob\u{200b}",
        "Bob\u{202e}",
        "Bob\u{61c}",
        "Bob\u{2028}",
        "Bob\u{e0041}",
        " Bob",
        "Bob ",
        "a\nb",
        &long,
        &invisible,
    ];
    for field in ["loginName", "username"] {
        for name in names {
            let mut body = json!({"type": "REGISTER", "loginName": "bob", "username": "Bob",
                "pwd": "secret", "sex": 0});
            body[field] = json!(name);
            let answer = peer.request(body);
            expect_error(&answer, "badRequest");
            assert!(answer["text"].as_str().unwrap().contains(field), "{answer}");
        }
    }
    let mut register = |body: Value| {
        let mut whole = json!({"type": "REGISTER", "loginName": "x", "username": "X", "pwd": "p", "sex": 0});
        whole.as_object_mut().unwrap().extend(body.as_object().unwrap().clone());
        peer.request(whole)
    };
    for (wrong, named) in [
        (json!({"sex": 3}), "sex"),
        (json!({"pwd": ""}), "pwd"),
        (json!({"pwd": "p".repeat(129)}), "pwd"),
        (json!({"pwd": "a\u{7}"}), "pwd"),
        (json!({"picUrl": "http://elsewhere/x.png"}), "picUrl"),
    ] {
        let answer = register(wrong);
        expect_error(&answer, "badRequest");
        assert!(answer["text"].as_str().unwrap().contains(named), "{answer}");
    }
    let fifty = "合".repeat(50);
    assert_eq!(
        register(json!({"loginName": fifty, "username": "Bob (bob) 🙂", "pwd": "p".repeat(128)}))["type"],
        "ACK"
    );
}

#[test]
fn a_login_name_is_unique_and_found_in_any_case() {
    let server = Server::start();
    let mut peer = server.peer();
    peer.register("Ünal");
    let again = json!({"type": "REGISTER", "loginName": "üNAL", "username": "U", "pwd": "x", "sex": 1});
    expect_error(&peer.request(again), "loginNameTaken");
    let answer = peer.log_in_with("üNAL", &password("Ünal"));
    assert_eq!((&answer["type"], &answer["loginName"]), (&json!("LOGIN_OK"), &json!("Ünal")));
}

#[test]
fn a_failed_login_may_be_tried_again_and_one_connection_serves_one_user() {
    let server = Server::start();
    let mut peer = server.peer();
    expect_error(&peer.request(json!({"type": "LOGOUT"})), "notLoggedIn");
    expect_error(&peer.say(1, "hello"), "notLoggedIn");
    peer.register("alice");
    let unknown = peer.log_in_with("nobody", "secret");
    let wrong = peer.log_in_with("alice", "wrong");
    expect_error(&unknown, "badLogin");
    assert_eq!(unknown["text"], wrong["text"], "nobody learns which of the two was wrong");
    peer.login("alice");
    expect_error(&peer.log_in_with("alice", &password("alice")), "badRequest");
    let resume = json!({"type": "RESUME", "sessionId": peer.session_id});
    expect_error(&peer.request(resume), "badRequest");
    peer.fence();
}

#[test]
fn friends_are_asked_accepted_told_and_deleted() {
    let server = Server::start();
    let (mut alice, mut bob) = (server.new_user("alice"), server.new_user("bob"));
    expect_error(&alice.say(bob.uid, "hello"), "notFriends");
    expect_error(&alice.say(alice.uid, "hello"), "notFriends");
    expect_error(&alice.say(99, "hello"), "noSuchUser");

    let ask = format!("/addFriendsOrGroup?friendId={}", bob.uid);
    let id = server.get(&ask, Some(&alice.session_id))["data"]["id"].clone();
    assert_eq!(server.get(&ask, Some(&alice.session_id))["data"]["id"], id, "an open request is asked once");
    let request = bob.expect("REQUEST");
    let expected = json!({"type": "REQUEST", "id": id, "fromId": alice.uid, "fromName": "Alice",
        "fromLoginName": "alice", "kind": "FRIEND", "sendTime": request["sendTime"]});
    assert_eq!(request, expected);

    let accept = format!("/messageHandle?msgId={id}&accept=true");
    assert_eq!(server.get(&accept, Some(&bob.session_id)), json!({"ok": true}));
    let added = json!({"type": "FRIENDS_CHANGED", "what": "added", "uid": bob.uid, "loginName": "bob",
        "username": "Bob"});
    assert_eq!(alice.receive(), Some(added));
    let state = json!({"type": "FRIEND_STATE", "uid": bob.uid, "username": "Bob", "online": true});
    assert_eq!(alice.receive(), Some(state));
    assert_eq!(bob.expect("FRIENDS_CHANGED")["uid"], alice.uid);
    assert_eq!(server.get(&accept, Some(&bob.session_id))["error"], "already");
    assert_eq!(server.get(&ask, Some(&alice.session_id))["error"], "already");

    assert_eq!(alice.say(bob.uid, "hello")["type"], "ACK");
    let delete = format!("/delete_friend?friendId={}", alice.uid);
    assert_eq!(server.get(&delete, Some(&bob.session_id)), json!({"ok": true}));
    assert_eq!(alice.expect("FRIENDS_CHANGED")["what"], "removed");
    assert_eq!(bob.expect("FRIENDS_CHANGED")["what"], "removed");
    expect_error(&alice.say(bob.uid, "still?"), "notFriends");
    assert_eq!(server.get(&delete, Some(&bob.session_id))["error"], "notFriends");
}

#[test]
fn accepting_one_request_answers_the_one_in_the_other_direction_too() {
    let server = Server::start();
    let (alice, bob) = (server.new_user("alice"), server.new_user("bob"));
    let from_alice = server.get(&format!("/addFriendsOrGroup?friendId={}", bob.uid), Some(&alice.session_id));
    let from_bob = server.get(&format!("/addFriendsOrGroup?friendId={}", alice.uid), Some(&bob.session_id));
    let handle = |id: &Value, accept: bool, sid: &str| {
        server.get(&format!("/messageHandle?msgId={id}&accept={accept}"), Some(sid))
    };
    let (first, second) = (&from_alice["data"]["id"], &from_bob["data"]["id"]);
    assert_eq!(handle(first, true, &alice.session_id)["error"], "noSuchMessage", "one's own request");
    assert_eq!(handle(first, true, &bob.session_id)["ok"], true);
    assert_eq!(handle(second, true, &alice.session_id)["error"], "already");
    assert_eq!(server.get("/getFriendsById", Some(&alice.session_id))["data"].as_array().unwrap().len(), 1);
}

#[test]
fn a_refused_request_tells_the_asker_nothing_and_may_be_asked_anew() {
    let server = Server::start();
    let (mut alice, mut bob) = (server.new_user("alice"), server.new_user("bob"));
    let ask = format!("/addFriendsOrGroup?friendId={}", bob.uid);
    let id = server.get(&ask, Some(&alice.session_id))["data"]["id"].clone();
    let refuse = format!("/messageHandle?msgId={id}&accept=false");
    assert_eq!(server.get(&refuse, Some(&bob.session_id))["ok"], true);
    let anew = server.get(&ask, Some(&alice.session_id))["data"]["id"].clone();
    assert_ne!(anew, id);
    bob.expect("REQUEST");
    assert_eq!(bob.expect("REQUEST")["id"], anew);
    alice.fence();
    assert!(alice.put_aside().is_empty(), "{:?}", alice.put_aside());
}

#[test]
fn what_waited_comes_at_login_in_order_then_requests_then_states_and_once_handled_never_again() {
    let server = Server::start();
    let (mut alice, bob) = server.alice_and_bob();
    let carol = server.new_user("carol");
    drop(bob);
    alice.expect("FRIEND_STATE"); // Bob went
    let mut ids = Vec::new();
    for number in 0..250 {
        ids.push(alice.say(2, &format!("while you were away {number}"))["id"].as_u64().unwrap());
    }
    let request = server.get("/addFriendsOrGroup?friendId=2", Some(&carol.session_id))["data"]["id"].clone();

    let mut bob = server.peer();
    let login_ok = bob.login("bob");
    assert_eq!(login_ok["lastId"], *ids.last().unwrap());
    for (number, id) in ids.iter().enumerate() {
        let message = bob.receive().unwrap();
        assert_eq!(message["msgText"], format!("while you were away {number}"));
        assert_eq!(message["id"], *id);
    }
    assert_eq!(bob.receive().unwrap()["id"], request);
    let state = json!({"type": "FRIEND_STATE", "uid": alice.uid, "username": "Alice", "online": true});
    assert_eq!(bob.receive(), Some(state));

    bob.received(&ids[..100]);
    bob.received(&[request.as_u64().unwrap(), 999_999]); // no messages: nothing happens
    bob.fence();
    let mut bob = server.log_in("bob");
    assert_eq!(bob.receive().unwrap()["id"], ids[100], "what was received does not come again");
    bob.received(&ids);
    bob.fence();
    let mut bob = server.peer();
    assert_eq!(bob.login("bob")["lastId"], 0);
    assert_eq!(bob.receive().unwrap()["id"], request, "a request waits for messageHandle");
    assert_eq!(bob.receive().unwrap()["type"], "FRIEND_STATE");
}

#[test]
fn nobody_can_handle_messages_of_others() {
    let server = Server::start();
    let (mut alice, bob) = server.alice_and_bob();
    let mut carol = server.new_user("carol");
    drop(bob);
    let id = alice.say(2, "for Bob")["id"].as_u64().unwrap();
    carol.received(&[id]);
    alice.received(&[id]);
    carol.fence();
    alice.fence();
    assert_eq!(server.log_in("bob").expect("CHAT_SEND_MSG")["id"], id);
}

#[test]
fn a_client_killed_with_unread_messages_finds_them_at_its_next_login() {
    let server = Server::start();
    let (mut alice, mut bob) = server.alice_and_bob();
    for number in 0..5 {
        alice.say(bob.uid, &number.to_string());
    }
    bob.expect("CHAT_SEND_MSG");
    drop(bob); // with four unread, and none reported as received
    let mut bob = server.log_in("bob");
    for number in 0..5 {
        assert_eq!(bob.expect("CHAT_SEND_MSG")["msgText"], number.to_string());
    }
}

#[test]
fn the_same_request_again_is_the_same_message_and_a_used_number_takes_no_other() {
    let server = Server::start();
    let (mut alice, mut bob) = server.alice_and_bob();
    let carol = server.new_user("carol");
    let body = |to: u64, kind: &str, text: &str| {
        json!({"type": "CHAT_SEND_MSG", "clientNo": 77, "isFriend": true, "toId": to, "sendTime": 0,
            "msgType": kind, "msgText": text})
    };
    let first = alice.request(body(bob.uid, "TEXT", "once"));
    let mut alice = server.log_in("alice"); // after a lost connection
    assert_eq!(alice.request(body(bob.uid, "TEXT", "once")), first);
    expect_error(&alice.request(body(bob.uid, "TEXT", "other")), "badRequest");
    expect_error(&alice.request(body(bob.uid, "EMOJI", "once")), "badRequest");
    expect_error(&alice.request(body(carol.uid, "TEXT", "once")), "badRequest");
    server.get(&format!("/delete_friend?friendId={}", bob.uid), Some(&alice.session_id));
    assert_eq!(alice.request(body(bob.uid, "TEXT", "once")), first, "also when the friendship is gone");
    bob.expect("FRIENDS_CHANGED");
    bob.fence();
    assert!(of_type(&bob, "CHAT_SEND_MSG").is_empty(), "Bob has it once");
}

#[test]
fn what_comes_in_one_piece_is_done_and_answered_in_order_and_each_number_once() {
    let server = Server::start();
    let (mut alice, mut bob) = server.alice_and_bob();
    let carol = server.new_user("carol");
    let (bob_uid, carol_uid) = (bob.uid, carol.uid);
    let message = |number: u64, text: &str, to: u64| {
        json!({"type": "CHAT_SEND_MSG", "clientNo": number, "isFriend": true, "toId": to,
            "msgType": "TEXT", "msgText": text})
    };
    alice.send_together(&[
        message(1, "a", bob_uid),
        message(2, "no", carol_uid),
        message(3, "b", bob_uid),
        message(1, "a", bob_uid),
        message(3, "other", bob_uid),
        json!({"type": "PING"}),
        message(4, "c", bob_uid),
        message(2, "d", bob_uid),
        message(4, "c", bob_uid),
        json!({"type": "LOGOUT", "clientNo": 9}),
    ]);

    let answers: Vec<Value> = std::iter::from_fn(|| alice.receive())
        .filter(|answer| answer["type"] != "FRIEND_STATE" && answer["type"] != "FRIENDS_CHANGED")
        .collect();
    let told: Vec<_> = answers.iter().map(|answer| (&answer["clientNo"], &answer["type"])).collect();
    assert_eq!(
        json!(told),
        json!([
            [1, "ACK"],
            [2, "ERROR"],
            [3, "ACK"],
            [1, "ACK"],
            [3, "ERROR"],
            [null, "PONG"],
            [4, "ACK"],
            [2, "ACK"],
            [4, "ACK"],
            [9, "ACK"],
        ])
    );
    expect_error(&answers[1], "notFriends");
    expect_error(&answers[4], "badRequest");
    assert_eq!((&answers[0], &answers[6]), (&answers[3], &answers[8]), "the same request, the same answer");
    bob.fence();
    let texts: Vec<&Value> =
        of_type(&bob, "CHAT_SEND_MSG").iter().map(|message| &message["msgText"]).collect();
    assert_eq!(json!(texts), json!(["a", "b", "c", "d"]), "each once");
}

#[test]
fn what_was_stored_is_delivered_though_its_sender_was_cut_off_in_the_same_moment() {
    let server = Server::start();
    let (mut alice, mut bob) = server.alice_and_bob();
    let texts = ["a", "b"].map(|text| alice.text_to(bob.uid, text).to_string());
    let mut piece = texts.map(|text| alice.seal(text.as_bytes())).concat();
    piece.extend(alice.frame(0, &[0; 8], &[0; 8])); // a number that was used
    alice.send_raw(&piece).unwrap();
    alice.expect_closed();
    assert_eq!(bob.expect("CHAT_SEND_MSG")["msgText"], "a");
    assert_eq!(bob.expect("CHAT_SEND_MSG")["msgText"], "b");
}

#[test]
fn what_was_acknowledged_survives_kill_9() {
    let mut server = Server::start();
    let (mut alice, bob) = server.alice_and_bob();
    drop(bob);
    for round in 0..5 {
        let mut ids = Vec::new();
        for number in 0..10 {
            ids.push(alice.say(2, &format!("{round} {number}"))["id"].as_u64().unwrap());
        }
        server.kill(); // right after the ACK
        server.start_again();
        let mut bob = server.log_in("bob");
        for (number, id) in ids.iter().enumerate() {
            let message = bob.expect("CHAT_SEND_MSG");
            assert_eq!(
                (&message["id"], &message["msgText"]),
                (&json!(id), &json!(format!("{round} {number}")))
            );
        }
        bob.received(&ids);
        bob.fence();
        alice = server.log_in("alice");
    }
}

#[test]
fn a_second_login_ends_the_first_everywhere_and_friends_see_no_flicker() {
    let server = Server::start();
    let (mut alice, mut bob) = server.alice_and_bob();
    for _ in 0..20 {
        let earlier_sid = bob.session_id.clone();
        let next = server.log_in("bob");
        let kicked = bob.receive().unwrap();
        assert_eq!((&kicked["type"], &kicked["code"]), (&json!("KICKED"), &json!("loggedInElsewhere")));
        bob.expect_closed();
        assert_eq!(server.get("/getFriendsById", Some(&earlier_sid))["error"], "notLoggedIn");
        bob = next;
        bob.expect("FRIEND_STATE");
        assert_eq!(server.get("/getFriendsById", Some(&bob.session_id))["ok"], true);
    }
    alice.fence();
    let states = of_type(&alice, "FRIEND_STATE");
    assert!(!states.is_empty() && states.iter().all(|state| state["online"] == true), "{states:?}");
    assert_eq!(alice.say(bob.uid, "to the last")["type"], "ACK");
    assert_eq!(bob.expect("CHAT_SEND_MSG")["msgText"], "to the last");
}

#[test]
fn many_logins_of_one_user_at_once_leave_exactly_one() {
    let server = Server::start();
    let (mut alice, mut bob) = server.alice_and_bob();
    let logins: Vec<_> = (0..20)
        .map(|_| {
            let mut peer = server.peer();
            thread::spawn(move || {
                peer.log_in_with("bob", &password("bob"));
                peer
            })
        })
        .collect();
    let mut peers: Vec<Peer> = logins.into_iter().map(|login| login.join().unwrap()).collect();
    bob.expect("KICKED");
    assert_eq!(alice.say(bob.uid, "who is there?")["type"], "ACK");
    let got = peers.iter_mut().filter_map(|peer| {
        loop {
            match peer.receive() {
                None => return None,
                Some(body) if body["type"] == "CHAT_SEND_MSG" => return Some(body),
                Some(_) => continue,
            }
        }
    });
    assert_eq!(got.count(), 1, "one connection gets it, the others are closed");
    alice.fence();
    let last = of_type(&alice, "FRIEND_STATE").last().map(|state| state["online"].clone());
    assert!(last.is_none_or(|online| online == true), "the last word about Bob must be true");
}

#[test]
fn friends_are_told_who_comes_and_goes() {
    let server = Server::start();
    let (mut alice, bob) = server.alice_and_bob();
    drop(bob);
    let state = |online: bool| json!({"type": "FRIEND_STATE", "uid": 2, "username": "Bob", "online": online});
    assert_eq!(alice.expect("FRIEND_STATE"), state(false));
    let mut bob = server.log_in("bob");
    assert_eq!(alice.expect("FRIEND_STATE"), state(true));
    let ack = bob.request(json!({"type": "LOGOUT"}));
    assert_eq!(ack["type"], "ACK");
    bob.expect_closed();
    assert_eq!(alice.expect("FRIEND_STATE"), state(false));
    assert_eq!(server.get("/getFriendsById", Some(&bob.session_id))["error"], "notLoggedIn");
}

#[test]
fn a_hundred_clients_log_in_at_once() {
    let server = Server::start();
    let names: Vec<String> = (0..100).map(|number| format!("user{number}")).collect();
    thread::scope(|scope| {
        for some in names.chunks(50) {
            let mut peer = server.peer();
            scope.spawn(move || some.iter().map(|name| peer.register(name)).sum::<u64>());
        }
    });
    let logins: Vec<_> = names
        .into_iter()
        .map(|name| {
            let mut peer = server.peer();
            thread::spawn(move || {
                peer.login(&name);
                peer
            })
        })
        .collect();
    let mut peers: Vec<Peer> = logins.into_iter().map(|login| login.join().unwrap()).collect();
    peers.iter_mut().for_each(Peer::fence); // all of them are online at the same time
}

#[test]
fn silent_and_dribbling_strangers_hold_up_nobody_and_are_all_gone_at_the_deadline() {
    let server = Server::with(&["--patience", "0.4"]); // LOGIN_DEADLINE: 4 s
    server.peer().register("alice");
    let mut silent: Vec<_> = (0..200).map(|_| connect(server.chat)).collect();
    let mut dribbling: Vec<_> = (0..50).map(|_| connect(server.chat)).collect();
    for stream in &mut dribbling {
        stream.write_all(&[&MAGIC[..], b"0"].concat()).unwrap();
    }
    let start = Instant::now();
    server.log_in("alice").fence();
    assert!(start.elapsed() < Duration::from_secs(3), "a login took {:?} meanwhile", start.elapsed());
    let (bytes, time) = dribble(&mut dribbling[0], b'1'); // a nonce has 16 bytes: it will not be whole
    assert_eq!(bytes, b"");
    assert!(time < Duration::from_secs(8), "every byte restarted the clock: {time:?}");
    for stream in silent.iter_mut().chain(&mut dribbling) {
        assert_eq!(read_to_end(stream), b"");
    }
}

#[test]
fn who_says_hello_and_does_not_log_in_is_a_stranger_still_and_takes_no_more_than_their_share() {
    let server = Server::start();
    let mut strangers: Vec<Peer> = (0..MAX_STRANGERS_EACH).map(|_| server.peer()).collect();
    assert!(Peer::try_connect(server.chat, PASSPHRASE.as_bytes()).is_err(), "no more of one address");
    let mut alice = strangers.pop().unwrap();
    alice.register("alice");
    alice.login("alice");
    server.peer().fence(); // there is room for one more
}

#[test]
fn who_says_hello_and_never_logs_in_is_closed_at_the_deadline() {
    let server = Server::with(&["--patience", "0.02"]);
    server.peer().expect_closed_silently();
}

#[test]
fn a_silent_client_gets_a_ping_and_is_closed_when_it_does_not_answer() {
    let server = Server::with(&["--patience", "0.06"]); // PING after 1.8 s, the end after 5.4 s
    let mut alice = server.new_user("alice");
    assert_eq!(alice.receive(), Some(json!({"type": "PING"})));
    alice.send(json!({"type": "PONG"}));
    assert_eq!(alice.receive(), Some(json!({"type": "PING"})), "once for each silence");
    assert_eq!(alice.receive(), None);
}

#[test]
fn more_clients_than_allowed_are_told_and_closed_and_a_free_place_is_given_again() {
    let server = Server::with(&["--maxClients", "2"]);
    let mut first = server.new_user("alice");
    let second = server.new_user("bob");
    let mut third = server.peer();
    let told = third.receive().unwrap();
    expect_error(&told, "tooMany");
    assert_eq!(told["clientNo"], Value::Null);
    third.expect_closed();
    drop(second);
    loop {
        let mut next = server.peer(); // the server needs a moment to notice that the second left
        next.send(json!({"type": "PING"}));
        if next.receive() == Some(json!({"type": "PONG"})) {
            break;
        }
    }
    first.fence();
}

#[test]
fn guessing_passwords_is_braked_for_that_name_and_forgotten_by_the_right_one() {
    let server = Server::start();
    let mut peer = server.peer();
    peer.register("alice");
    peer.register("bob");
    for _ in 0..5 {
        expect_error(&peer.log_in_with("alice", "wrong"), "badLogin");
    }
    let braked = peer.log_in_with("ALICE", &password("alice"));
    expect_error(&braked, "tooManyTries");
    assert_eq!(braked["limit"], 1);
    let over_http = "loginName=alice&pwd=wrong";
    let request = format!(
        "POST /login HTTP/1.1\r\nHost: {}\r\nContent-Type: application/x-www-form-urlencoded\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{over_http}",
        server.http,
        over_http.len()
    );
    let (head, body) = server.raw_http(request.as_bytes());
    assert!(head.starts_with("HTTP/1.1 429 ") && head.contains("\r\nRetry-After: 1"), "{head}");
    assert!(body.contains("tooManyTries"), "{body}");
    server.log_in("bob").fence(); // another name is not held up

    let login_ok = loop {
        let answer = peer.log_in_with("alice", &password("alice"));
        if answer["type"] == "LOGIN_OK" {
            break answer;
        }
        expect_error(&answer, "tooManyTries"); // the right password's tries count for nothing meanwhile
    };
    assert_eq!(login_ok["loginName"], "alice");
    let mut peer = server.peer();
    for _ in 0..5 {
        expect_error(&peer.log_in_with("alice", "wrong"), "badLogin"); // all of five again
    }
}

#[test]
fn guesses_at_the_same_time_are_counted_one_by_one() {
    let server = Server::start();
    server.peer().register("alice");
    let guesses: Vec<_> = (0..20)
        .map(|_| {
            let mut peer = server.peer();
            thread::spawn(move || peer.log_in_with("alice", "wrong")["code"].clone())
        })
        .collect();
    let codes: Vec<Value> = guesses.into_iter().map(|guess| guess.join().unwrap()).collect();
    let checked = codes.iter().filter(|code| *code == "badLogin").count();
    assert!((5..=7).contains(&checked), "{checked} of 20 guesses were checked"); // 5, and what a second lets pass
}

#[test]
fn a_client_that_does_not_read_is_cut_off_and_finds_everything_at_its_next_login() {
    let server = Server::start();
    let (mut alice, mut bob) = server.alice_and_bob();
    let mut carol = server.new_user("carol");
    server.befriend(&mut alice, &mut carol);
    let text = "x".repeat(16_000);
    let mut ids = Vec::new();
    while of_type(&alice, "FRIEND_STATE").is_empty() {
        ids.push(alice.say(bob.uid, &text)["id"].as_u64().unwrap()); // Bob reads nothing of it
        assert_eq!(alice.say(carol.uid, "meanwhile")["type"], "ACK");
        assert_eq!(carol.expect("CHAT_SEND_MSG")["msgText"], "meanwhile");
        assert!(ids.len() < 2_000, "Bob was never cut off");
    }
    bob.expect_closed();
    let mut bob = server.peer();
    assert_eq!(bob.login("bob")["lastId"], *ids.last().unwrap());
    for id in &ids[..20] {
        assert_eq!(bob.receive().unwrap()["id"], *id);
    }
}

#[test]
fn who_is_written_to_while_the_backlog_comes_is_not_cut_off_and_gets_all_in_order() {
    let server = Server::start();
    let (mut alice, bob) = server.alice_and_bob();
    let bob_uid = bob.uid;
    drop(bob);
    let message = |number: usize, text: &str| {
        let body = json!({"type": "CHAT_SEND_MSG", "clientNo": number, "isFriend": true, "toId": bob_uid,
            "msgType": "TEXT", "msgText": format!("{number} {text}")});
        body.to_string().into_bytes()
    };
    let long = "x".repeat(4_000);
    for number in 0..120 {
        alice.send_body(&message(number, &long));
    }
    alice.fence();
    let mut many = Vec::new();
    for number in 120..420 {
        many.extend(alice.seal(&message(number, "")));
    }
    let mut bob = server.peer();
    bob.login("bob");
    alice.send_raw(&many).unwrap(); // far more than may wait in a queue, while the first 120 are sealed
    let mut last_id = 0;
    for number in 0..420 {
        let mut message = bob.expect("CHAT_SEND_MSG");
        while message["id"].as_u64() <= Some(last_id) {
            message = bob.expect("CHAT_SEND_MSG"); // pushed as well as read from the database: clients drop it
        }
        last_id = message["id"].as_u64().unwrap();
        let text = message["msgText"].clone();
        assert!(text.as_str().unwrap().starts_with(&format!("{number} ")), "{number} was wanted");
    }
}

#[test]
fn invented_names_do_not_free_a_name_from_the_brake() {
    let brake = Brake::default();
    let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let wrong = |name: &str| brake.guard(name, address, || Ok(None::<()>));
    for _ in 0..8 {
        let _ = wrong("victim"); // the brake holds for a second, then two …
    }
    assert_eq!(wrong("victim").unwrap_err().code, Code::TooManyTries);
    for number in 0..12_000 {
        assert_eq!(wrong(&format!("invented {number}")), Ok(None));
    }
    for _ in 0..2 {
        let _ = wrong("victim"); // a second has passed, perhaps: then one more try is allowed, and not five
    }
    assert_eq!(wrong("victim").unwrap_err().code, Code::TooManyTries);
}

#[test]
fn who_asks_faster_than_it_reads_waits_for_room_and_who_is_pushed_too_much_is_cut_off() {
    let listener = socket::listen(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), "L", &Trace::off()).unwrap();
    let address = listener.address().unwrap();
    let client = socket::connect(address, Duration::from_secs(30), "C", &Trace::off()).unwrap();
    let outbox = Arc::new(Outbox::new(Arc::new(socket::accept(&listener, "1").unwrap())));
    let soon = || Instant::now() + Duration::from_secs(30);
    for _ in 0..OUTBOX_FRAMES {
        assert!(outbox.answer(&FromServer::Pong, soon()));
    }
    assert!(!outbox.answer(&FromServer::Pong, Instant::now()), "there is no room, and the deadline is now");
    let waiting = thread::spawn({
        let outbox = outbox.clone();
        move || outbox.answer(&FromServer::Pong, soon())
    });
    assert_eq!(outbox.take_all().len(), OUTBOX_FRAMES);
    assert!(waiting.join().unwrap(), "there was room once the writer had taken what waited");
    for _ in 0..OUTBOX_FRAMES {
        outbox.push(Arc::new(b"{}".to_vec()), true); // one too many, with the answer
    }
    assert!(outbox.is_closing() && outbox.take_all().is_empty());
    assert_eq!(client.recv(&mut [0], soon()).unwrap(), 0, "its connection is cut");
}

/// A LOGIN that is granted, and before it is online the password is another.
#[test]
fn a_session_that_ends_before_it_is_online_takes_the_one_it_replaced_along() {
    let listener = socket::listen(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), "L", &Trace::off()).unwrap();
    let address = listener.address().unwrap();
    let (users, sessions) = (OnlineUsers::default(), Sessions::default());
    let connection = || {
        let client = socket::connect(address, Duration::from_secs(30), "C", &Trace::off()).unwrap();
        (client, Arc::new(Outbox::new(Arc::new(socket::accept(&listener, "1").unwrap()))))
    };
    let begin = || sessions.begin(7, true, Instant::now(), None).expect("a session").0;
    let [(_first_client, first), (_client, second)] = [connection(), connection()];
    users.enter(&begin(), &sessions, &first, &FromServer::Pong);
    assert!(users.is_online(7) && !first.is_closing());
    let session = begin();
    sessions.end_all(7);
    users.enter(&session, &sessions, &second, &FromServer::Pong);
    assert!(first.is_closing() && second.is_closing() && !users.is_online(7));
    for (outbox, before) in [(&first, 2), (&second, 1)] {
        let items = outbox.take_all();
        let Some(Item::Body(last_word)) = items.last() else { panic!("no last word") };
        assert!(String::from_utf8_lossy(last_word).contains("passwordChanged"), "behind {before} others");
        assert_eq!(items.len(), before + 1);
    }
}

#[test]
fn who_ends_its_side_still_gets_the_answers_to_what_it_asked() {
    let server = Server::start();
    let (mut alice, mut bob) = server.alice_and_bob();
    let body = json!({"type": "CHAT_SEND_MSG", "clientNo": 5, "isFriend": true, "toId": bob.uid,
        "msgType": "TEXT", "msgText": "last"});
    alice.send(body);
    alice.stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(alice.expect("ACK")["clientNo"], 5);
    alice.expect_closed();
    assert_eq!(bob.expect("CHAT_SEND_MSG")["msgText"], "last");
}

/// `bytes     received N, sent M`
fn two_numbers(line: &str) -> (u64, u64) {
    let mut numbers = line.split(|c: char| !c.is_ascii_digit()).filter_map(|number| number.parse().ok());
    (numbers.next().expect("a number"), numbers.next().expect("another"))
}

#[test]
fn who_acknowledges_each_message_alone_does_not_wait_for_a_flush_of_each() {
    let mut server = Server::start();
    let (mut alice, mut bob) = server.alice_and_bob();
    let texts: Vec<Value> = (0..100).map(|number| alice.text_to(bob.uid, &format!("{number}"))).collect();
    alice.send_together(&texts);
    let ids: Vec<Value> = texts.iter().map(|_| bob.expect("CHAT_SEND_MSG")["id"].clone()).collect();
    let mut commits = || {
        server.program.line("/status");
        let line = server.program.expect("commits   ");
        line.split_whitespace().last().and_then(|word| word.parse().ok()).unwrap_or(0)
    };
    let before: u64 = commits();
    let one_by_one: Vec<Value> = ids.iter().map(|id| json!({"type": "CHAT_RECEIVED", "ids": [id]})).collect();
    bob.send_together(&one_by_one);
    bob.fence(); // behind all of them, and they are on the disk
    let after = commits();
    assert!((before + 1..before + 20).contains(&after), "{before} commits before, {after} after");
    let mut again = server.log_in("bob");
    again.fence();
    assert!(again.take_aside().iter().all(|told| told["type"] != "CHAT_SEND_MSG"), "nothing waits any more");
}

#[test]
fn the_operator_sees_who_is_online_and_can_end_a_session() {
    let mut server = Server::start();
    let mut alice = server.new_user("alice");
    server.program.line("/who");
    server.program.expect("alice  Alice");
    server.program.expect("online 1");
    server.program.line("/status");
    server.program.expect("clients   1, of them online 1");
    server.program.expect("messages  0");
    server.program.expect("frames    received 3, sent 3"); // REGISTER, LOGIN, PING, each answered
    let bytes = server.program.expect("bytes     received ");
    let (received, sent) = two_numbers(&bytes);
    assert!((200..1_000).contains(&received) && (200..1_000).contains(&sent), "{bytes}");
    server.program.expect("commits   1");
    server.program.line("/kick nobody");
    server.program.expect("nobody is called nobody");
    server.program.line("/kick ALICE");
    assert_eq!(alice.receive().unwrap()["code"], "byOperator");
    alice.expect_closed();
    assert_eq!(server.get("/getFriendsById", Some(&alice.session_id))["error"], "notLoggedIn");
    server.program.line("/what");
    server.program.expect("unknown command /what");
    server.program.line("/password alice");
    let said = server.program.expect("the password of alice is ");
    let pwd = said.split(' ').nth(5).expect("a password").to_owned();
    let mut again = server.peer();
    expect_error(&again.log_in_with("alice", &password("alice")), "badLogin");
    assert_eq!(again.log_in_with("alice", &pwd)["type"], "LOGIN_OK");
    server.program.line("/notice 九点重启");
    server.program.expect("notice sent");
    assert_eq!(again.expect("BROADCAST")["text"], "九点重启");
    server.program.line("/quit");
    assert_eq!(again.expect("BROADCAST")["text"], "the server ends");
    again.expect_closed();
    drop((alice, again)); // `/quit` waits a moment for who has not closed yet
    server.program.expect("goodbye");
    let (code, _, errors) = server.program.finish();
    assert_eq!((code, errors.as_str()), (0, ""));
}

#[test]
fn a_server_whose_standard_input_is_closed_goes_on() {
    let mut server = Server::start();
    server.program.end_of_input();
    server.new_user("alice").fence();
}

#[test]
fn a_server_killed_with_20_clients_is_back_on_its_ports_at_once() {
    let mut server = Server::start();
    let peers: Vec<Peer> = (0..20).map(|number| server.new_user(&format!("user{number}"))).collect();
    server.kill();
    server.start_again(); // panics where a port is still taken
    server.log_in("user7").fence();
    drop(peers);
}
