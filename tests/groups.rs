//! Groups: who may do what, who hears of it, and that what is said reaches the members and nobody else.

#![cfg(feature = "sqlite")] // the database of the server where no other is named

mod common;

use common::peer::{Peer, expect_error};
use common::{PASSPHRASE, Server};
use minim::limits::GROUP_MEMBERS;
use serde_json::{Value, json};

/// The data of an answer that is no error.
fn data(answer: Value) -> Value {
    assert_eq!(answer["ok"], true, "{answer}");
    answer["data"].clone()
}

/// `code` of an answer that is one.
fn error(answer: &Value) -> &str {
    assert!(answer["ok"] == false && answer["text"].is_string(), "{answer}");
    answer["error"].as_str().expect("a code")
}

/// One path as the user of a connection.
fn ask(server: &Server, user: &Peer, target: &str) -> Value {
    server.get(target, Some(&user.session_id))
}

/// Alice's group with all of `others`, whom she has invited; what they are told of it is read.
fn group_of(server: &Server, alice: &mut Peer, others: &mut [&mut Peer]) -> u64 {
    for other in others.iter_mut() {
        server.befriend(alice, other);
    }
    let uids: Vec<String> = others.iter().map(|other| other.uid.to_string()).collect();
    let created =
        ask(server, alice, &format!("/createGroup?gname=%E8%AF%BE%E8%AE%BE&members={}", uids.join(",")));
    let g_id = data(created)["gId"].as_u64().expect("a gId");
    for place in 0..others.len() {
        let request = others[place].expect("REQUEST");
        assert_eq!(
            (&request["kind"], &request["gId"], &request["gname"]),
            (&json!("GROUP"), &json!(g_id), &json!("课设"))
        );
        data(ask(server, others[place], &format!("/messageHandle?msgId={}&accept=true", request["id"])));
        let uid = others[place].uid;
        for member in others[..=place].iter_mut() {
            let changed = member.expect("GROUP_CHANGED");
            assert_eq!((&changed["what"], &changed["uid"]), (&json!("joined"), &json!(uid)));
        }
    }
    alice.fence();
    let told: Vec<_> =
        alice.take_aside().into_iter().filter(|told| told["type"] == "GROUP_CHANGED").collect();
    assert_eq!(told.len(), 1 + others.len(), "{told:?}");
    assert_eq!(
        told[0],
        json!({"type": "GROUP_CHANGED", "what": "created", "gId": g_id, "gname": "课设", "uid": alice.uid,
            "username": "Alice", "byUid": alice.uid})
    );
    g_id
}

/// A text to a group: ACK or ERROR.
fn say(sender: &mut Peer, g_id: u64, text: &str) -> Value {
    let mut message = sender.text_to(g_id, text);
    message["isFriend"] = json!(false);
    sender.request(message)
}

/// What is told of a group next: `what` and whom it is about.
fn expect_change(peer: &mut Peer, what: &str, uid: u64, by_uid: u64) -> Value {
    let changed = peer.expect("GROUP_CHANGED");
    assert_eq!(
        (&changed["what"], &changed["uid"], &changed["byUid"]),
        (&json!(what), &json!(uid), &json!(by_uid))
    );
    changed
}

#[test]
fn what_is_said_in_a_group_reaches_each_member_under_an_id_of_their_own_and_nobody_else() {
    let mut server = Server::start();
    let (mut alice, mut bob, mut carol) =
        (server.new_user("alice"), server.new_user("bob"), server.new_user("carol"));
    let mut dave = server.new_user("dave");
    let g_id = group_of(&server, &mut alice, &mut [&mut bob, &mut carol]);

    let mut request = bob.text_to(g_id, "九点");
    request["isFriend"] = json!(false);
    let ack = bob.request(request.clone());
    assert_eq!(ack["type"], "ACK", "{ack}");
    let mut ids = vec![ack["id"].clone()];
    for member in [&mut alice, &mut carol] {
        let pushed = member.expect("CHAT_SEND_MSG");
        assert_eq!((&pushed["isFriend"], &pushed["toId"]), (&json!(false), &json!(g_id)));
        assert_eq!((&pushed["fromId"], &pushed["fromName"]), (&json!(bob.uid), &json!("Bob")));
        assert_eq!((&pushed["msgText"], &pushed["sendTime"]), (&json!("九点"), &ack["sendTime"]));
        assert!(!ids.contains(&pushed["id"]), "an id of their own: {pushed}");
        ids.push(pushed["id"].clone());
    }
    assert_eq!(bob.request(request.clone()), ack, "the same request, the same answer");
    request["msgText"] = json!("zehn");
    expect_error(&bob.request(request), "badRequest");
    expect_error(&say(&mut dave, g_id, "let me in"), "notMember");
    expect_error(&say(&mut alice, 999, "hello?"), "noSuchGroup");
    for peer in [&mut alice, &mut bob, &mut carol, &mut dave] {
        peer.fence();
        assert!(
            peer.put_aside().iter().all(|pushed| pushed["type"] != "CHAT_SEND_MSG"),
            "once, and not to others"
        );
    }

    drop(carol);
    let second = say(&mut alice, g_id, "and now?")["id"].clone();
    server.kill();
    server.start_again();
    let mut carol = server.log_in("carol");
    let waiting = [carol.expect("CHAT_SEND_MSG"), carol.expect("CHAT_SEND_MSG")];
    assert_eq!(waiting.clone().map(|message| message["msgText"].clone()), ["九点", "and now?"]);
    assert_eq!(waiting[0]["id"], ids[2], "as it was pushed");
    assert_ne!(waiting[1]["id"], second, "not the sender's");
    let groups = data(ask(&server, &carol, "/getGroups"));
    let row =
        json!([{"gId": g_id, "gname": "课设", "owner": alice.uid, "size": 3, "online": 1, "unread": 2}]);
    assert_eq!(groups, row);
    carol.received(&[waiting[0]["id"].as_u64().unwrap(), waiting[1]["id"].as_u64().unwrap()]);
    carol.fence();
    assert_eq!(data(ask(&server, &carol, "/getGroups"))[0]["unread"], 0);
}

#[test]
fn a_group_has_members_in_the_order_of_their_joining_a_size_and_a_name() {
    let server = Server::start();
    let (mut alice, mut bob, dave) =
        (server.new_user("alice"), server.new_user("bob"), server.new_user("dave"));
    let g_id = group_of(&server, &mut alice, &mut [&mut bob]);
    let members = data(ask(&server, &bob, &format!("/getGroupMembers?gId={g_id}")));
    let of = |place: usize, name: &str| members[place][name].clone();
    assert_eq!((of(0, "uid"), of(0, "owner"), of(0, "online")), (json!(alice.uid), json!(true), json!(true)));
    assert_eq!((of(1, "loginName"), of(1, "owner"), of(1, "sex")), (json!("bob"), json!(false), json!(0)));
    assert!(members[1]["joinTime"].as_u64() >= members[0]["joinTime"].as_u64(), "{members}");
    assert_eq!(members.as_array().unwrap().len(), 2);
    for path in ["/getGroupSize", "/getGroupMemberCount"] {
        assert_eq!(data(ask(&server, &dave, &format!("{path}?gId={g_id}"))), json!({"size": 2}));
    }
    assert_eq!(data(ask(&server, &dave, &format!("/getGnameByGid?gId={g_id}"))), json!({"gname": "课设"}));
    assert_eq!(data(ask(&server, &dave, "/getUsernameByUid?uid=1")), json!({"username": "Alice"}));
    assert_eq!(data(ask(&server, &dave, "/getGroups")), json!([]));
}

#[test]
fn only_members_look_and_invite_only_the_owner_manages_and_bad_arguments_are_named() {
    let server = Server::start();
    let (mut alice, mut bob) = (server.new_user("alice"), server.new_user("bob"));
    let (mut carol, dave) = (server.new_user("carol"), server.new_user("dave"));
    let g_id = group_of(&server, &mut alice, &mut [&mut bob]);
    server.befriend(&mut bob, &mut carol);
    let cases = [
        (&dave, format!("/getGroupMembers?gId={g_id}"), "notMember"),
        (&dave, format!("/addFriendsOrGroup?gId={g_id}&friendId={}", alice.uid), "notMember"),
        (&dave, format!("/quitGroup?gId={g_id}"), "notMember"),
        (&dave, format!("/modifyGroupName?gId={g_id}&gname=x"), "notMember"),
        (&dave, format!("/getChatRecords?isFriend=false&toId={g_id}"), "notMember"),
        (&bob, format!("/modifyGroupName?gId={g_id}&gname=x"), "notOwner"),
        (&bob, format!("/removeMember?gId={g_id}&uid={}", alice.uid), "notOwner"),
        (&bob, format!("/deleteGroup?gId={g_id}"), "notOwner"),
        (&bob, format!("/addFriendsOrGroup?gId={g_id}&friendId={}", alice.uid), "already"),
        (&bob, format!("/addFriendsOrGroup?gId={g_id}"), "already"),
        (&alice, format!("/addFriendsOrGroup?gId={g_id}&friendId={}", carol.uid), "notFriends"),
        (&alice, format!("/addFriendsOrGroup?gId={g_id}&friendId=99"), "noSuchUser"),
        (&alice, format!("/removeMember?gId={g_id}&uid={}", alice.uid), "badRequest"),
        (&alice, format!("/removeMember?gId={g_id}&uid={}", dave.uid), "notMember"),
        (&alice, format!("/modifyGroupName?gId={g_id}&gname="), "badRequest"),
        (&alice, format!("/modifyGroupName?gId={g_id}&gname=%E2%80%AEx"), "badRequest"),
        (&alice, "/createGroup".to_owned(), "badRequest"),
        (&alice, "/createGroup?gname=x&members=2,x".to_owned(), "badRequest"),
        (&alice, format!("/createGroup?gname=x&members={}", dave.uid), "notFriends"),
        (&alice, "/createGroup?gname=x&members=99".to_owned(), "noSuchUser"),
        (&alice, format!("/createGroup?gname=x&members={}", alice.uid), "badRequest"),
        (&alice, "/addFriendsOrGroup".to_owned(), "badRequest"),
    ];
    for (user, target, code) in cases {
        assert_eq!(error(&ask(&server, user, &target)), code, "{target}");
        assert_eq!(error(&server.get(&target, None)), "notLoggedIn", "{target}");
    }
    for path in [
        "/getGroupMembers",
        "/getGroupSize",
        "/getGroupMemberCount",
        "/getGnameByGid",
        "/deleteGroup",
        "/quitGroup",
    ] {
        assert_eq!(error(&ask(&server, &alice, &format!("{path}?gId=999"))), "noSuchGroup", "{path}");
        let missing = ask(&server, &alice, path);
        assert!(
            error(&missing) == "badRequest" && missing["text"].as_str().unwrap().contains("gId"),
            "{missing}"
        );
    }
    assert_eq!(
        data(ask(&server, &alice, "/getGroups")).as_array().unwrap().len(),
        1,
        "nothing was made in part"
    );
    carol.fence();
    assert!(carol.put_aside().iter().all(|told| told["type"] != "GROUP_CHANGED"));
}

#[test]
fn a_group_is_asked_the_owner_accepts_and_everybody_hears_of_each_change() {
    let server = Server::start();
    let (mut alice, mut bob, mut carol) =
        (server.new_user("alice"), server.new_user("bob"), server.new_user("carol"));
    let g_id = group_of(&server, &mut alice, &mut [&mut bob]);
    server.befriend(&mut bob, &mut carol);

    let id = data(ask(&server, &carol, &format!("/addFriendsOrGroup?gId={g_id}")))["id"].clone();
    let request = alice.expect("REQUEST");
    assert_eq!(
        (&request["id"], &request["kind"], &request["fromLoginName"]),
        (&id, &json!("JOIN"), &json!("carol"))
    );
    assert_eq!((&request["gId"], &request["gname"]), (&json!(g_id), &json!("课设")));
    assert_eq!(data(ask(&server, &carol, &format!("/addFriendsOrGroup?gId={g_id}")))["id"], id, "asked once");
    let invited = data(ask(&server, &bob, &format!("/addFriendsOrGroup?gId={g_id}&friendId={}", carol.uid)))
        ["id"]
        .clone();
    assert_eq!(carol.expect("REQUEST")["id"], invited);
    assert_eq!(
        error(&ask(&server, &bob, &format!("/messageHandle?msgId={id}&accept=true"))),
        "noSuchMessage"
    );
    data(ask(&server, &alice, &format!("/messageHandle?msgId={id}&accept=true")));
    for member in [&mut alice, &mut bob, &mut carol] {
        expect_change(member, "joined", 3, 1);
    }
    let invitation = format!("/messageHandle?msgId={invited}&accept=true");
    assert_eq!(error(&ask(&server, &carol, &invitation)), "already", "joining answers all that is open");
    assert_eq!(data(ask(&server, &carol, "/getNoHandleMessages?type=REQUEST")), json!([]));

    data(ask(&server, &alice, &format!("/modifyGroupName?gId={g_id}&gname=%F0%9F%98%80")));
    for member in [&mut alice, &mut bob, &mut carol] {
        assert_eq!(expect_change(member, "renamed", 1, 1)["gname"], "😀");
    }
    data(ask(&server, &alice, &format!("/removeMember?gId={g_id}&uid=3")));
    for member in [&mut alice, &mut bob, &mut carol] {
        assert_eq!(expect_change(member, "removed", 3, 1)["username"], "Carol");
    }
    expect_error(&say(&mut carol, g_id, "why?"), "notMember");
    say(&mut bob, g_id, "carol is gone");
    carol.fence();
    assert!(carol.put_aside().iter().all(|told| told["type"] != "CHAT_SEND_MSG"));
    data(ask(&server, &alice, &format!("/deleteGroup?gId={g_id}")));
    for member in [&mut alice, &mut bob] {
        expect_change(member, "deleted", 1, 1);
    }
    expect_error(&say(&mut alice, g_id, "anybody?"), "noSuchGroup");
    assert_eq!(data(ask(&server, &bob, "/getGroups")), json!([]));
}

#[test]
fn the_owner_who_quits_leaves_the_group_to_who_joined_first_with_the_open_requests_and_the_last_one_dissolves_it()
 {
    let server = Server::start();
    let (mut alice, mut bob, mut carol) =
        (server.new_user("alice"), server.new_user("bob"), server.new_user("carol"));
    let dave = server.new_user("dave");
    let g_id = group_of(&server, &mut alice, &mut [&mut carol, &mut bob]);
    let asked = data(ask(&server, &dave, &format!("/addFriendsOrGroup?gId={g_id}")))["id"].clone();
    assert_eq!(alice.expect("REQUEST")["id"], asked);
    data(ask(&server, &alice, &format!("/quitGroup?gId={g_id}")));
    for member in [&mut alice, &mut bob, &mut carol] {
        expect_change(member, "left", 1, 1);
        assert_eq!(expect_change(member, "owner", 3, 1)["username"], "Carol");
    }
    assert_eq!(carol.expect("REQUEST")["id"], asked, "who owns it now is asked");
    let accept = format!("/messageHandle?msgId={asked}&accept=true");
    assert_eq!(error(&ask(&server, &alice, &accept)), "noSuchMessage");
    data(ask(&server, &carol, &format!("/messageHandle?msgId={asked}&accept=false")));
    let again = data(ask(&server, &dave, &format!("/addFriendsOrGroup?gId={g_id}")))["id"].clone();
    assert_ne!(again, asked, "who was refused may ask anew");

    data(ask(&server, &bob, &format!("/quitGroup?gId={g_id}")));
    expect_change(&mut carol, "left", 2, 2);
    expect_change(&mut bob, "left", 2, 2);
    data(ask(&server, &carol, &format!("/quitGroup?gId={g_id}")));
    expect_change(&mut carol, "left", 3, 3);
    expect_change(&mut carol, "deleted", 3, 3);
    assert_eq!(error(&ask(&server, &dave, &format!("/getGnameByGid?gId={g_id}"))), "noSuchGroup");
    assert_eq!(error(&ask(&server, &carol, &format!("/messageHandle?msgId={again}&accept=true"))), "already");
    assert_eq!(data(ask(&server, &carol, "/getNoHandleMessages?type=REQUEST")), json!([]));
}

#[test]
fn with_a_member_their_open_invitations_end() {
    let server = Server::start();
    let (mut alice, mut bob, mut carol) =
        (server.new_user("alice"), server.new_user("bob"), server.new_user("carol"));
    let mut dave = server.new_user("dave");
    let g_id = group_of(&server, &mut alice, &mut [&mut bob, &mut carol]);
    server.befriend(&mut bob, &mut dave);
    server.befriend(&mut carol, &mut dave);
    for inviter in [&bob, &carol] {
        data(ask(&server, inviter, &format!("/addFriendsOrGroup?gId={g_id}&friendId={}", dave.uid)));
    }
    let (of_bob, of_carol) = (dave.expect("REQUEST")["id"].clone(), dave.expect("REQUEST")["id"].clone());
    data(ask(&server, &alice, &format!("/removeMember?gId={g_id}&uid={}", bob.uid)));
    let accept = |id: &Value| ask(&server, &dave, &format!("/messageHandle?msgId={id}&accept=true"));
    expect_change(&mut alice, "removed", bob.uid, 1);
    assert_eq!(error(&accept(&of_bob)), "already");
    data(accept(&of_carol));
    expect_change(&mut alice, "joined", dave.uid, dave.uid);
}

#[test]
fn records_of_a_group_are_ones_own_rows_also_when_one_has_left_or_it_is_no_more() {
    let server = Server::start();
    let (mut alice, mut bob, mut carol) =
        (server.new_user("alice"), server.new_user("bob"), server.new_user("carol"));
    let dave = server.new_user("dave");
    let g_id = group_of(&server, &mut alice, &mut [&mut bob, &mut carol]);
    let texts = |user: &Peer, filter: &str| -> Value {
        let records =
            data(ask(&server, user, &format!("/getChatRecords?isFriend=false&toId={g_id}{filter}")));
        records.as_array().unwrap().iter().map(|record| record["msgText"].clone()).collect()
    };
    assert_eq!(texts(&carol, ""), json!([]));
    for number in 1..=3 {
        say(&mut alice, g_id, &format!("a{number}"));
        say(&mut bob, g_id, &format!("b{number}"));
    }
    data(ask(&server, &alice, &format!("/removeMember?gId={g_id}&uid=3")));
    say(&mut alice, g_id, "after");
    assert_eq!(texts(&carol, ""), json!(["a1", "b1", "a2", "b2", "a3", "b3"]));
    assert_eq!(texts(&bob, ""), json!(["a1", "b1", "a2", "b2", "a3", "b3", "after"]));
    assert_eq!(texts(&bob, "&limit=2"), json!(["b3", "after"]));
    assert_eq!(texts(&bob, "&fromId=1&limit=2"), json!(["a3", "after"]));
    assert_eq!(texts(&bob, "&text=2&fromId=2"), json!(["b2"]));
    let page = data(ask(&server, &bob, &format!("/getChatRecords?isFriend=false&toId={g_id}&limit=1")));
    assert_eq!(texts(&bob, &format!("&limit=2&beforeId={}", page[0]["id"])), json!(["a3", "b3"]));
    let own = data(ask(&server, &alice, &format!("/getChatRecords?isFriend=false&toId={g_id}&limit=1")));
    assert_eq!(
        (&own[0]["handle"], &own[0]["isFriend"]),
        (&json!(1), &json!(false)),
        "one's own is read: {own}"
    );

    data(ask(&server, &alice, &format!("/deleteGroup?gId={g_id}")));
    assert_eq!(texts(&carol, "&limit=1"), json!(["b3"]), "also when it is no more");
    let target = format!("/getChatRecords?isFriend=false&toId={g_id}");
    assert_eq!(error(&ask(&server, &dave, &target)), "noSuchGroup");
    let private = data(ask(&server, &bob, "/getChatRecords?isFriend=true&toId=1"));
    assert_eq!(private, json!([]), "what is said in a group is in no private conversation");
}

#[test]
fn a_full_group_may_be_asked_and_accepting_is_too_many() {
    let server = Server::start();
    let (mut alice, mut bob) = (server.new_user("alice"), server.new_user("bob"));
    let g_id = group_of(&server, &mut alice, &mut [&mut bob]);
    let mut login = Peer::connect(server.chat, PASSPHRASE);
    let carol = login.register("carol");
    login.login("carol");
    let sql = |uid: usize| {
        [
            format!(
                "INSERT INTO users (id, pwd, loginName, loginKey, username, sex, picUrl, updateTime) \
                 VALUES ({uid}, '', 'u{uid}', 'u{uid}', 'U', 0, '', 1)"
            ),
            format!("INSERT INTO groupMembers (gId, uId, joinTime) VALUES ({g_id}, {uid}, 1)"),
        ]
    };
    let all: Vec<String> = (1000..1000 + GROUP_MEMBERS - 2).flat_map(sql).collect();
    server.run_sql(&all);
    assert_eq!(data(ask(&server, &bob, &format!("/getGroupSize?gId={g_id}")))["size"], GROUP_MEMBERS);
    let asked = data(ask(&server, &login, &format!("/addFriendsOrGroup?gId={g_id}")))["id"].clone();
    let accept = format!("/messageHandle?msgId={asked}&accept=true");
    assert_eq!(error(&ask(&server, &alice, &accept)), "tooMany");
    data(ask(&server, &alice, &format!("/removeMember?gId={g_id}&uid=1000")));
    data(ask(&server, &alice, &accept));
    assert_eq!(expect_change(&mut login, "joined", carol, alice.uid)["gId"], g_id);

    let text = "x".repeat(16_384);
    let ack = say(&mut bob, g_id, &text);
    assert_eq!(ack["type"], "ACK");
    assert_eq!(alice.expect("CHAT_SEND_MSG")["msgText"], text);
}

#[test]
fn each_message_reaches_who_is_removed_meanwhile_wholly_or_not_at_all() {
    let server = Server::start();
    let (mut alice, mut bob, carol) =
        (server.new_user("alice"), server.new_user("bob"), server.new_user("carol"));
    let mut carol = carol;
    let g_id = group_of(&server, &mut alice, &mut [&mut bob, &mut carol]);
    let uid = carol.uid;
    drop(carol);
    say(&mut alice, g_id, "m1");
    data(ask(&server, &alice, &format!("/removeMember?gId={g_id}&uid={uid}")));
    say(&mut alice, g_id, "m2");
    let mut carol = server.log_in("carol");
    assert_eq!(carol.expect("CHAT_SEND_MSG")["msgText"], "m1", "what was sent before is still delivered");
    carol.fence();
    assert!(carol.put_aside().iter().all(|pushed| pushed["type"] != "CHAT_SEND_MSG"));
    expect_error(&say(&mut carol, g_id, "m3"), "notMember");

    for round in 0..30 {
        data(ask(&server, &alice, &format!("/addFriendsOrGroup?gId={g_id}&friendId={uid}")));
        let request = carol.expect("REQUEST")["id"].clone();
        data(ask(&server, &carol, &format!("/messageHandle?msgId={request}&accept=true")));
        expect_change(&mut carol, "joined", uid, uid);
        let mut message = bob.text_to(g_id, &format!("race {round}"));
        message["isFriend"] = json!(false);
        bob.send(message); // under way while she is removed
        data(ask(&server, &alice, &format!("/removeMember?gId={g_id}&uid={uid}")));
        bob.expect("ACK");
        carol.fence();
        let told = carol.take_aside();
        let pushed: Vec<&Value> = told.iter().filter(|told| told["type"] == "CHAT_SEND_MSG").collect();
        let target = format!("/getChatRecords?isFriend=false&toId={g_id}&text=race+{round}");
        let found = data(ask(&server, &carol, &target));
        let records: Vec<&Value> = found
            .as_array()
            .unwrap()
            .iter()
            .filter(|record| record["msgText"] == format!("race {round}"))
            .collect();
        assert_eq!(pushed.len(), records.len(), "round {round}: {told:?} {records:?}");
        assert!(records.iter().zip(&pushed).all(|(record, pushed)| record["id"] == pushed["id"]));
    }
}
