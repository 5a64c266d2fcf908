//! The HTTP interface: plain and sealed, every path of this version, and what browsers must not be used for.

#![cfg(feature = "sqlite")] // where the servers of these tests keep their data, unless MINIM_TEST_DATABASE is set

mod common;

use std::io::Write;
use std::time::Duration;

use common::peer::{Peer, expect_error, password};
use common::{PASSPHRASE, Server, connect, dribble, read_to_end};
use minim::wire::MAGIC;
use serde_json::{Value, json};

/// One request with these header lines and this body; status, head and JSON of the answer.
fn ask(server: &Server, method: &str, target: &str, lines: &str, body: &str) -> (u16, String, Value) {
    let host = server.http;
    let length = if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
    let request = format!(
        "{method} {target} HTTP/1.1\r\nHost: {host}\r\n{lines}{length}Connection: close\r\n\r\n{body}"
    );
    let (head, body) = server.raw_http(request.as_bytes());
    let status = head[9..12].parse().unwrap_or_else(|_| panic!("no status in {head:?}"));
    (status, head, serde_json::from_str(&body).unwrap_or(Value::Null))
}

const FORM: &str = "Content-Type: application/x-www-form-urlencoded\r\n";
const JSON: &str = "Content-Type: application/json; charset=UTF-8\r\n";

/// Logs in over HTTP: the cookie line of further requests.
fn log_in(server: &Server, login_name: &str) -> String {
    let body = json!({"loginName": login_name, "pwd": password(login_name)}).to_string();
    let (status, head, _) = ask(server, "POST", "/login", JSON, &body);
    assert_eq!(status, 200);
    let sid = head.split("Set-Cookie: sid=").nth(1).expect("a cookie").split(';').next().unwrap();
    assert!(sid.len() == 32 && sid.bytes().all(|byte| byte.is_ascii_hexdigit()), "{head}");
    assert!(head.contains("; Path=/; HttpOnly; SameSite=Strict\r\n"), "{head}");
    format!("Cookie: sid={sid}\r\n")
}

#[test]
fn a_user_registers_logs_in_and_out_over_http() {
    let server = Server::start();
    let free = |name: &str| server.get(&format!("/checkLoginName?loginName={name}"), None);
    assert_eq!(free("bob"), json!({"ok": true, "data": {"available": true}}));
    let register = "/register?loginName=bob&pwd=bob%27s+password&username=%E5%B0%8F%E6%98%8E&sex=1";
    assert_eq!(server.get(register, None), json!({"ok": true, "data": {"uid": 1}}));
    assert_eq!(free("BOB")["data"]["available"], false);
    let (status, _, answer) = ask(&server, "GET", register, "", "");
    assert_eq!((status, &answer["error"]), (409, &json!("loginNameTaken")));
    assert_eq!(server.get("/register?loginName=x&pwd=p&username=X", None)["error"], "badRequest"); // no sex

    let cookie = log_in(&server, "bob");
    let user = json!({"uid": 1, "loginName": "bob", "username": "小明", "sex": 1, "picUrl": ""});
    let body = "loginName=bob&pwd=bob%27s+password";
    assert_eq!(ask(&server, "POST", "/login", FORM, body).2, json!({"ok": true, "data": user}));
    assert_eq!(ask(&server, "GET", "/getFriendsById", &cookie, "").2, json!({"ok": true, "data": []}));
    let (status, head, answer) = ask(&server, "POST", "/logout", &cookie, "");
    assert_eq!((status, answer), (200, json!({"ok": true})));
    assert!(head.contains("Set-Cookie: sid=; ") && head.contains("Max-Age=0"), "{head}");
    let (status, head, answer) = ask(&server, "GET", "/getFriendsById", &cookie, "");
    assert_eq!((status, &answer["error"]), (401, &json!("notLoggedIn")));
    assert!(head.contains("WWW-Authenticate: Minim realm=\"minim\""), "{head}");
    let (status, _, answer) = ask(&server, "POST", "/login", JSON, r#"{"loginName":"bob","pwd":"wrong"}"#);
    assert_eq!((status, &answer["error"]), (401, &json!("badLogin")));
}

#[test]
fn a_chat_session_is_a_cookie_and_logging_it_out_over_http_ends_the_connection() {
    let server = Server::start();
    let mut alice = server.new_user("alice");
    let at_http = log_in(&server, "alice"); // lives beside it
    alice.fence();
    let cookie = format!("Cookie: a=b; sid={}; c\r\n", alice.session_id);
    assert_eq!(ask(&server, "POST", "/logout", &cookie, "").0, 200);
    assert_eq!(alice.receive().unwrap()["code"], "loggedOut");
    alice.expect_closed();
    assert_eq!(ask(&server, "GET", "/getFriendsById", &at_http, "").0, 200);
}

#[test]
fn a_ninth_session_ends_the_one_that_was_unused_longest_and_a_connected_one_last() {
    let server = Server::start();
    let mut alice = server.new_user("alice"); // the oldest, but connected
    let cookies: Vec<String> = (0..7).map(|_| log_in(&server, "alice")).collect();
    assert_eq!(ask(&server, "GET", "/getFriendsById", &cookies[0], "").0, 200);
    log_in(&server, "alice");
    alice.fence();
    assert_eq!(ask(&server, "GET", "/getFriendsById", &cookies[0], "").0, 200);
    assert_eq!(ask(&server, "GET", "/getFriendsById", &cookies[1], "").0, 401);
}

#[test]
fn a_search_takes_its_text_literally_and_in_any_case() {
    let server = Server::start();
    let mut peer = server.peer();
    let names = ["a_b", "axb", "50%", "o'neil", "x\\y", "ÄRGER", "小明"];
    for name in names {
        peer.register(name);
    }
    peer.login("axb");
    let search = |text: &str| {
        let encoded: String = text.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let answer =
            server.get(&format!("/searchUserByLoginname?loginName={encoded}"), Some(&peer.session_id));
        let found: Vec<String> = match answer["data"].as_array() {
            Some(rows) => rows.iter().map(|row| row["loginName"].as_str().unwrap().to_owned()).collect(),
            None => vec![answer["error"].as_str().unwrap().to_owned()],
        };
        found.join(" ")
    };
    let cases = [
        ("_", "a_b"),
        ("%", "50%"),
        ("a_b", "a_b"),
        ("'", "o'neil"),
        ("\\", "x\\y"),
        ("", "badRequest"),
        ("X", "axb x\\y"),
        ("ärg", "ÄRGER"),
        ("明", "小明"),
        ("' OR 1=1 --", ""),
        ("nobody", ""),
    ];
    for (text, found) in cases {
        assert_eq!(search(text), found, "{text:?}");
    }
}

#[test]
fn a_search_gives_at_most_50_by_name_and_who_is_called_just_so_is_among_them() {
    let server = Server::start();
    let mut peer = server.peer();
    for number in 0..55 {
        peer.register(&format!("auser{:02}", 54 - number));
    }
    peer.register("user"); // by name the 56th
    peer.login("user");
    let search = |text: &str| {
        let target = format!("/searchUserByLoginname?loginName={text}");
        let answer = server.get(&target, Some(&peer.session_id));
        let rows = answer["data"].as_array().unwrap().clone();
        rows.iter().map(|row| row["loginName"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let found = search("ser");
    assert_eq!((found.len(), found[0].as_str(), found[49].as_str()), (50, "auser00", "auser49"));
    let found = search("USER");
    assert_eq!((found.len(), found[0].as_str(), found[49].as_str()), (50, "user", "auser48"));
}

#[test]
fn friends_are_listed_with_who_is_online_and_how_much_waits() {
    let server = Server::start();
    let (mut alice, mut bob) = server.alice_and_bob();
    for _ in 0..3 {
        alice.say(bob.uid, "hello");
    }
    let bob_id = bob.uid;
    let answer = server.get("/getFriendsById", Some(&bob.session_id));
    let row = json!({"uid": alice.uid, "loginName": "alice", "username": "Alice", "sex": 0, "picUrl": "",
        "online": true, "unread": 3});
    assert_eq!(answer["data"], json!([row]));
    let waiting = server.get("/getNoHandleMessages", Some(&bob.session_id));
    assert_eq!(waiting["data"].as_array().unwrap().len(), 3);
    assert_eq!(waiting["data"][0], bob.expect("CHAT_SEND_MSG"), "each as it was pushed");
    assert_eq!(server.get("/getNoHandleMessages?type=REQUEST", Some(&bob.session_id))["data"], json!([]));
    assert_eq!(server.get("/getNoHandleMessages?type=x", Some(&bob.session_id))["error"], "badRequest");
    drop(bob);
    alice.expect("FRIEND_STATE");
    let row = &server.get("/getFriendsById", Some(&alice.session_id))["data"][0];
    assert_eq!((&row["uid"], &row["online"], &row["unread"]), (&json!(bob_id), &json!(false), &json!(0)));
}

#[test]
fn records_come_by_pages_and_filters_to_the_two_partners_alone() {
    let server = Server::start();
    let (mut alice, mut bob) = server.alice_and_bob();
    for number in 1..=5 {
        alice.say(bob.uid, &format!("from alice {number}"));
        bob.say(alice.uid, &format!("50% from bob {number}"));
    }
    let carol = server.new_user("carol");
    let (alice_uid, bob_uid) = (alice.uid, bob.uid);
    let records = |sid: &str, other: u64, filters: &str| {
        server.get(&format!("/getChatRecords?isFriend=true&toId={other}{filters}"), Some(sid))
    };
    let texts = |answer: &Value| -> Vec<String> {
        let rows = answer["data"].as_array().unwrap_or_else(|| panic!("{answer}"));
        rows.iter().map(|row| row["msgText"].as_str().unwrap().to_owned()).collect()
    };
    let all = records(&alice.session_id, bob_uid, "");
    assert_eq!(all, records(&bob.session_id, alice_uid, ""), "both know a message by the same id");
    assert_eq!(texts(&all).len(), 10);
    assert_eq!((&all["data"][9]["handle"], &all["data"][9]["handleTime"]), (&json!(0), &json!(null)));
    let first_push = bob.expect("CHAT_SEND_MSG");
    assert!(first_push.as_object().unwrap().iter().all(|(name, value)| all["data"][0][name] == *value));

    bob.received(&[first_push["id"].as_u64().unwrap()]);
    bob.fence();
    let read = records(&alice.session_id, bob_uid, "");
    assert_eq!(read["data"][0]["handle"], 1, "the sender sees that it was read");
    assert!(read["data"][0]["handleTime"].as_u64() >= first_push["sendTime"].as_u64());

    let page = records(&alice.session_id, bob_uid, "&limit=3");
    assert_eq!(texts(&page), ["50% from bob 4", "from alice 5", "50% from bob 5"], "newest last");
    let before = format!("&limit=2&beforeId={}", page["data"][0]["id"]);
    assert_eq!(texts(&records(&alice.session_id, bob_uid, &before)), ["50% from bob 3", "from alice 4"]);
    assert_eq!(
        texts(&records(&alice.session_id, bob_uid, "&text=%25&limit=100")).len(),
        5,
        "taken literally"
    );
    assert_eq!(texts(&records(&alice.session_id, bob_uid, "&text=alice+5")), ["from alice 5"]);
    assert_eq!(texts(&records(&alice.session_id, bob_uid, &format!("&fromId={bob_uid}"))).len(), 5);
    assert_eq!(texts(&records(&alice.session_id, bob_uid, "&msgType=EMOJI")), [""; 0]);
    let time = all["data"][0]["sendTime"].as_u64().unwrap();
    assert_eq!(texts(&records(&alice.session_id, bob_uid, &format!("&toTime={}", time - 1))), [""; 0]);
    let from = format!("&fromTime={time}");
    assert_eq!(texts(&records(&alice.session_id, bob_uid, &from)).len(), 10, "both ends are included");

    assert_eq!(texts(&records(&carol.session_id, bob_uid, "")), [""; 0], "a stranger sees only their own");
    assert_eq!(records(&alice.session_id, 999, "")["error"], "noSuchUser");
    for bad in ["&limit=0", "&limit=101", "&limit=x", "&text=", "&msgType=SONG", "&beforeId=-1"] {
        let answer = records(&alice.session_id, bob_uid, bad);
        let name = bad[1..].split('=').next().unwrap();
        assert!(
            answer["error"] == "badRequest" && answer["text"].as_str().unwrap().contains(name),
            "{answer}"
        );
    }
}

#[test]
fn who_can_be_added_is_said_with_the_reason() {
    let server = Server::start();
    let (alice, bob) = server.alice_and_bob();
    let carol = server.new_user("carol");
    let can = |id: u64| server.get(&format!("/canAddFriends?friendId={id}"), Some(&alice.session_id));
    assert_eq!(can(carol.uid)["data"], json!({"canAdd": true}));
    for id in [alice.uid, bob.uid] {
        let answer = can(id);
        assert_eq!(answer["data"]["canAdd"], false);
        assert!(!answer["data"]["why"].as_str().unwrap().is_empty());
    }
    assert_eq!(can(99)["error"], "noSuchUser");
    assert_eq!(server.get("/canAddFriends", Some(&alice.session_id))["error"], "badRequest");
    let add =
        |arguments: &str| server.get(&format!("/addFriendsOrGroup?{arguments}"), Some(&alice.session_id));
    assert_eq!(add(&format!("friendId={}", alice.uid))["error"], "badRequest");
    assert_eq!(add("friendId=99")["error"], "noSuchUser");
    assert_eq!(add("friendId=3&gId=1")["error"], "noSuchGroup");
    assert_eq!(add("")["error"], "badRequest");
}

#[test]
fn a_missing_or_malformed_argument_is_named() {
    let server = Server::start();
    let alice = server.new_user("alice");
    let cookie = format!("Cookie: sid={}\r\n", alice.session_id);
    let cases = [
        ("/messageHandle?accept=true", "msgId"),
        ("/messageHandle?msgId=1", "accept"),
        ("/messageHandle?msgId=1&accept=yes", "accept"),
        ("/messageHandle?msgId=%2B1&accept=true", "msgId"),
        ("/messageHandle?msgId=1.0&accept=true", "msgId"),
        ("/messageHandle?msgId=9007199254740992&accept=true", "msgId"),
        ("/delete_friend?friendId=", "friendId"),
        ("/delete_friend?friendId=1&friendId=1", "friendId"),
        ("/checkLoginName?loginName=a%1Bb", "loginName"),
        ("/checkLoginName?loginName=%C4%E3", ""),
        ("/checkLoginName?loginName=%zz", ""),
    ];
    for (target, named) in cases {
        let (status, _, answer) = ask(&server, "GET", target, &cookie, "");
        assert_eq!((status, &answer["error"]), (400, &json!("badRequest")), "{target}");
        assert!(answer["text"].as_str().unwrap().contains(named), "{target}: {answer}");
    }
    let twice = ask(&server, "POST", "/delete_friend?friendId=2", &(cookie.clone() + FORM), "friendId=2");
    assert!(twice.0 == 400 && twice.2["text"].as_str().unwrap().contains("friendId"), "{twice:?}");
    let number = ask(&server, "POST", "/delete_friend", &(cookie + JSON), r#"{"friendId":99}"#);
    assert_eq!(number.2["error"], "noSuchUser");
}

#[test]
fn plus_percent_and_chinese_arrive_as_they_were_meant() {
    let server = Server::start();
    for (encoded, name) in [("a+b", "a b"), ("a%2Bb", "a+b"), ("%E4%BD%A0", "你"), ("你好", "你好")] {
        let target = format!("/register?loginName={encoded}&pwd=p&username=u&sex=0");
        assert_eq!(server.get(&target, None)["ok"], true, "{encoded}");
        let mut peer = server.peer();
        assert_eq!(peer.log_in_with(name, "p")["loginName"], name);
    }
}

#[test]
fn content_length_counts_bytes_and_a_request_cut_anywhere_gets_the_same_answer() {
    let server = Server::start();
    let mut alice = server.new_user("小明");
    alice.fence();
    let request = format!(
        "GET /searchUserByLoginname?loginName=%E6%98%8E HTTP/1.1\r\nHost: {}\r\nCookie: sid={}\r\n\
         Connection: close\r\n\r\n",
        server.http, alice.session_id
    );
    let (head, whole) = server.raw_http(request.as_bytes());
    assert!(whole.contains("小明"), "{whole}");
    assert!(head.contains(&format!("Content-Length: {}\r\n", whole.len())), "{head}");
    for cut in 1..request.len() {
        let mut stream = connect(server.http);
        stream.write_all(&request.as_bytes()[..cut]).unwrap();
        stream.write_all(&request.as_bytes()[cut..]).unwrap();
        let answer = String::from_utf8(read_to_end(&mut stream)).unwrap();
        assert_eq!(answer.split_once("\r\n\r\n").unwrap().1, whole, "cut at {cut}");
    }
}

#[test]
fn connections_are_kept_and_pipelined_requests_answered_in_order() {
    let server = Server::start();
    let mut stream = connect(server.http);
    let mut requests = String::new();
    for number in 0..20 {
        let close = if number == 19 { "Connection: close\r\n" } else { "" };
        requests += &format!(
            "GET /checkLoginName?loginName={} HTTP/1.1\r\nHost: {}\r\n{close}\r\n",
            if number % 2 == 0 { "free" } else { "" }, // an empty one is refused, and the connection lives
            server.http
        );
    }
    stream.write_all(requests.as_bytes()).unwrap();
    let answers = String::from_utf8(read_to_end(&mut stream)).unwrap();
    let statuses: Vec<&str> = answers.split("HTTP/1.1 ").skip(1).map(|answer| &answer[..3]).collect();
    assert_eq!(statuses, ["200", "400"].repeat(10));
}

#[test]
fn methods_paths_and_types_that_do_not_fit_have_their_status() {
    let server = Server::start();
    let alice = server.new_user("alice");
    let cookie = format!("Cookie: sid={}\r\n", alice.session_id);
    let cases = [
        ("GET", "/", "", "", 404),
        ("GET", "/getFriendsById/", "", "", 404),
        ("GET", "//getFriendsById", "", "", 404),
        ("GET", "/GetFriendsById", "", "", 404),
        ("GET", "/%67etFriendsById", "", "", 200),
        ("GET", "/x%2FgetFriendsById", "", "", 404),
        ("GET", "/../minim.db", "", "", 404),
        ("GET", "/login", "", "", 405),
        ("DELETE", "/getFriendsById", "", "", 405),
        ("HEAD", "/delete_friend?friendId=1", "", "", 405),
        ("HEAD", "/getFriendsById", "", "", 200),
        ("get", "/getFriendsById", "", "", 501),
        ("OPTIONS", "*", "", "", 204),
        ("POST", "/getFriendsById", "", "", 200),
        ("POST", "/getFriendsById", "Content-Type: text/plain\r\n", "a=b", 415),
        ("POST", "/getFriendsById", "", "a=b", 415),
        ("POST", "/getFriendsById", "Content-Type: application/json; charset=gbk\r\n", "{}", 415),
        ("POST", "/getFriendsById", JSON, "", 400),
        ("POST", "/getFriendsById", "Content-Type: application/json; charset =latin1\r\n", "{}", 415),
        (
            "POST",
            "/getFriendsById",
            "Content-Type: application/json;charset=utf-8;charset=latin1\r\n",
            "{}",
            415,
        ),
        ("POST", "/getFriendsById", "Content-Type: application/json;charset=\"\"utf-8\r\n", "{}", 415),
        ("POST", "/getFriendsById", "Content-Type: application/json\u{a0}\r\n", "{}", 415),
        ("POST", "/getFriendsById", &(FORM.to_owned() + JSON), "{}", 415),
        (
            "POST",
            "/getFriendsById",
            "Content-Type: Application/JSON ;x=\"a;charset=b\" ; ;charset=\"UTF-8\"\r\n",
            "{}",
            200,
        ),
        ("POST", "/getFriendsById", JSON, "[]", 400),
        ("POST", "/getFriendsById", JSON, r#"{"a":1,"a":2}"#, 400),
        ("GET", "/getFriendsById", "Content-Type: text/plain\r\n", "ignored", 200),
    ];
    for (method, target, lines, body, expected) in cases {
        let (status, head, _) = ask(&server, method, target, &(cookie.clone() + lines), body);
        assert_eq!(status, expected, "{method} {target} {lines:?}: {head}");
        assert!(status != 405 || head.contains("\r\nAllow: "), "{head}");
    }
    let (_, head, _) = ask(&server, "HEAD", "/getFriendsById", &cookie, "");
    let (_, get, _) = ask(&server, "GET", "/getFriendsById", &cookie, "");
    let without_date =
        |head: &str| head.lines().filter(|line| !line.starts_with("Date:")).collect::<Vec<_>>().join("\n");
    assert_eq!(without_date(&head), without_date(&get), "HEAD has GET's head");
}

#[test]
fn another_name_and_another_site_are_turned_away() {
    let server = Server::with(&["--httpHost", "minim.lan,"]);
    let alice = server.new_user("alice");
    let port = server.http.port();
    let ask_as = |host: &str, line: &str| {
        let request = format!(
            "GET /getFriendsById HTTP/1.1\r\nHost: {host}\r\nCookie: sid={}\r\n{line}Connection: close\r\n\r\n",
            alice.session_id
        );
        server.raw_http(request.as_bytes()).0[9..12].parse::<u16>().unwrap()
    };
    for host in ["127.0.0.1", "localhost", "LOCALHOST:1", "minim.lan", "192.168.1.7:8080", "[::1]:8080"] {
        assert_eq!(ask_as(host, ""), 200, "{host}");
    }
    for host in ["attacker.example", "minim.lan.attacker.example", "1.2.3.4.attacker.example", "x"] {
        assert_eq!(ask_as(host, ""), 403, "{host}");
    }
    assert_eq!(ask_as("", ""), 403, "nothing behind the comma is no name");
    let ours = format!("127.0.0.1:{port}");
    for line in ["Sec-Fetch-Site: same-origin", "Sec-Fetch-Site: none"] {
        assert_eq!(ask_as(&ours, &format!("{line}\r\n")), 200, "{line}");
    }
    assert_eq!(ask_as(&ours, &format!("Origin: http://{ours}\r\nReferer: http://{ours}/x\r\n")), 200);
    for (host, line) in [
        (&*ours, "Referer: /page"),
        (&ours, "Referer: page?x=a:b"),
        (&ours, &format!("Referer: HTTP://{ours}?x=1")),
        ("127.0.0.1:", "Origin: http://127.0.0.1"),
        ("LOCALHOST", "Origin: http://localhost:80"),
    ] {
        assert_eq!(ask_as(host, &format!("{line}\r\n")), 200, "{line}");
    }
    let nobody = |line: &str| {
        let request = format!("GET /checkLoginName?loginName=x HTTP/1.0\r\n{line}\r\n\r\n");
        server.raw_http(request.as_bytes()).0[9..12].to_owned()
    };
    assert_eq!(
        [nobody("A: b"), nobody("Origin: http://:80"), nobody("Referer: http:///x")],
        ["200", "403", "403"]
    );
    for line in [
        "Origin: null",
        "Origin: /",
        "Referer: //attacker.example/page",
        "Referer: about:blank",
        "Origin: http://127.0.0.1:1",
        "Origin: https://127.0.0.1",
        "Origin: http://attacker.example",
        "Referer: http://attacker.example/page",
        "Sec-Fetch-Site: cross-site",
        "Sec-Fetch-Site: same-site",
    ] {
        assert_eq!(ask_as(&ours, &format!("{line}\r\n")), 403, "{line}");
    }
}

#[test]
fn who_waits_to_be_asked_for_a_body_is_refused_before_it() {
    let server = Server::start();
    for lines in [FORM, "Content-Type: text/plain\r\n"] {
        let request = format!(
            "POST /logout HTTP/1.1\r\nHost: {}\r\n{lines}Content-Length: 1\r\nExpect: 100-continue\r\n\r\n",
            server.http
        );
        let (head, _) = server.raw_http(request.as_bytes());
        let status = if lines == FORM { "401" } else { "415" };
        assert!(
            head.starts_with(&format!("HTTP/1.1 {status} ")) && head.contains("Connection: close"),
            "{head}"
        );
    }
}

#[test]
fn all_arguments_together_are_counted_and_all_of_a_body_is_text() {
    let server = Server::start();
    let members: Vec<String> = (1..=32).map(|number| format!("\"b{number}\":1")).collect();
    let json = |count: usize| format!("{{{}}}", members[..count].join(","));
    let query: Vec<String> = (1..=32).map(|number| format!("a{number}=1")).collect();
    let status = |query: &str, body: &str| {
        ask(&server, "POST", &format!("/checkLoginName?{query}"), JSON, body).2["text"].clone()
    };
    assert_eq!(status(&query.join("&"), &json(32)), "loginName: missing");
    assert_eq!(status(&(query.join("&") + "&c=1"), &json(32)), "too many arguments");
    let body = [&b"{\"loginName\":\"a\",\"x\":[[\"\xff\"]]}"[..], b""].concat();
    let head = format!(
        "POST /checkLoginName HTTP/1.1\r\nHost: {}\r\n{JSON}Content-Length: {}\r\nConnection: close\r\n\r\n",
        server.http,
        body.len()
    );
    let (head, answer) = server.raw_http(&[head.as_bytes(), &body].concat());
    assert!(
        head.starts_with("HTTP/1.1 400 ") && answer.contains("text that is not UTF-8"),
        "{head} {answer}"
    );
}

#[test]
fn http_inside_the_sealed_channel_is_the_same_http_wherever_the_frames_end() {
    let server = Server::start();
    let alice = server.new_user("alice");
    let request = format!(
        "GET /getFriendsById HTTP/1.1\r\nHost: {}\r\nCookie: sid={}\r\n\r\n",
        server.http, alice.session_id
    );
    let mut channel = Peer::connect(server.http, PASSPHRASE);
    let mut answers = Vec::new();
    for size in [1, 7, 1_000] {
        for piece in request.as_bytes().chunks(size) {
            channel.send_body(piece);
            channel.send_body(b""); // means nothing
        }
        let mut answer = String::new();
        while !answer.contains("\"data\":[]}") {
            answer += &String::from_utf8(channel.receive_body().expect("an answer")).unwrap();
        }
        answers.push(answer[..15].to_owned());
    }
    assert_eq!(answers, ["HTTP/1.1 200 OK"; 3]);
    channel.send_raw(&(8 * 1024_u32 + 8).to_be_bytes()).unwrap(); // longer than a frame may be here
    channel.expect_closed();
}

#[test]
fn a_long_answer_in_the_sealed_channel_comes_in_frames_within_the_limit() {
    let server = Server::start();
    let (mut alice, mut bob) = server.alice_and_bob();
    for _ in 0..5 {
        alice.say(bob.uid, &"合".repeat(5_000));
    }
    bob.fence();
    let mut channel = Peer::connect(server.http, PASSPHRASE);
    let request = format!(
        "GET /getNoHandleMessages HTTP/1.1\r\nHost: {}\r\nCookie: sid={}\r\nConnection: close\r\n\r\n",
        server.http, bob.session_id
    );
    channel.send_body(request.as_bytes());
    let mut answer = Vec::new();
    while let Some(piece) = channel.receive_body() {
        assert!(piece.len() <= 8 * 1024 - 25, "{}", piece.len());
        answer.extend(piece);
    }
    let text = String::from_utf8(answer).unwrap();
    let body: Value = serde_json::from_str(text.split_once("\r\n\r\n").unwrap().1).unwrap();
    assert_eq!(body["data"].as_array().unwrap().len(), 5);
}

#[test]
fn a_sealed_server_answers_plain_requests_with_403() {
    let server = Server::with(&["--http", "sealed"]);
    let (status, head, answer) = ask(&server, "GET", "/checkLoginName?loginName=a", "", "");
    assert_eq!((status, &answer["error"]), (403, &json!("forbidden")));
    assert!(head.contains("Connection: close"), "{head}");
    let (head, _) = server.raw_http(b"GET  / HTTP/1.1\r\n\r\n");
    assert!(head.starts_with("HTTP/1.1 400 "), "a broken request has its usual status: {head}");
    let mut channel = Peer::connect(server.http, PASSPHRASE);
    channel.send_body(
        format!("GET /checkLoginName?loginName=a HTTP/1.1\r\nHost: {}\r\n\r\n", server.http).as_bytes(),
    );
    assert!(String::from_utf8(channel.receive_body().unwrap()).unwrap().starts_with("HTTP/1.1 200 "));
}

#[test]
fn silent_and_dribbling_http_connections_end_and_keep_nobody_out() {
    let server = Server::with(&["--patience", "0.2"]); // HEADER_DEADLINE: 2 s
    let mut silent: Vec<_> = (0..300).map(|_| connect(server.http)).collect();
    let mut begun = connect(server.http);
    begun.write_all(b"GET /check").unwrap();
    let mut dribbling = connect(server.http);
    let mut magic = connect(server.http);
    magic.write_all(&MAGIC[..7]).unwrap();
    assert_eq!(server.get("/checkLoginName?loginName=a", None)["ok"], true);
    let (answer, time) = dribble(&mut dribbling, b'G');
    assert!(answer.starts_with(b"HTTP/1.1 408 "), "{answer:?}");
    assert!(time < Duration::from_secs(5), "every octet restarted the clock: {time:?}");
    for stream in &mut silent {
        assert_eq!(read_to_end(stream), b"", "closed silently");
    }
    for stream in [&mut begun, &mut magic] {
        let answer = String::from_utf8(read_to_end(stream)).unwrap();
        assert!(answer.starts_with("HTTP/1.1 408 "), "{answer:?}");
    }
}

/// What Alice and Bob see of everything that is theirs.
fn view(server: &Server, users: [&Peer; 2], g_id: u64) -> Vec<Value> {
    let targets = [
        "/getFriendsById".to_owned(),
        "/getGroups".to_owned(),
        format!("/getGroupMembers?gId={g_id}"),
        "/getNoHandleMessages".to_owned(),
        format!("/getChatRecords?isFriend=false&toId={g_id}"),
        "/getChatRecords?isFriend=true&toId=1".to_owned(),
        "/getChatRecords?isFriend=true&toId=2".to_owned(),
        "/searchUserByLoginname?loginName=alice".to_owned(),
    ];
    let ask = |user: &Peer, target: &String| server.get(target, Some(&user.session_id));
    users.iter().flat_map(|user| targets.iter().map(|target| ask(user, target))).collect()
}

#[test]
fn ids_of_others_in_any_argument_never_widen_what_a_session_may_do() {
    let server = Server::start();
    let (mut alice, mut bob) = server.alice_and_bob();
    let (mut carol, mut mallory) = (server.new_user("carol"), server.new_user("mallory"));
    server.befriend(&mut mallory, &mut carol);
    let made = server.get("/createGroup?gname=ours&members=2", Some(&alice.session_id));
    let g_id = made["data"]["gId"].as_u64().unwrap();
    let invitation = bob.expect("REQUEST")["id"].as_u64().unwrap();
    server.get(&format!("/messageHandle?msgId={invitation}&accept=true"), Some(&bob.session_id));
    let asked = server.get("/addFriendsOrGroup?friendId=1", Some(&carol.session_id))["data"]["id"].clone();
    let message = alice.say(bob.uid, "private")["id"].clone();
    let mut in_group = alice.text_to(g_id, "among us");
    in_group["isFriend"] = json!(false);
    assert_eq!(alice.request(in_group)["type"], "ACK");
    alice.fence();
    bob.fence();

    let before = view(&server, [&alice, &bob], g_id);
    let as_alice = "uid=1&fromUid=1&userId=1&owner=1";
    for target in [
        format!("/delete_friend?friendId=2&{as_alice}"),
        format!("/modifyGroupName?gId={g_id}&gname=mine&{as_alice}"),
        format!("/removeMember?gId={g_id}&uid=2"),
        format!("/deleteGroup?gId={g_id}&{as_alice}"),
        format!("/quitGroup?gId={g_id}&{as_alice}"),
        format!("/getGroupMembers?gId={g_id}&{as_alice}"),
        format!("/addFriendsOrGroup?gId={g_id}&friendId=3&{as_alice}"),
        format!("/messageHandle?msgId={asked}&accept=true&{as_alice}"),
        format!("/messageHandle?msgId={asked}&accept=false"),
        format!("/messageHandle?msgId={invitation}&accept=false"),
        format!("/messageHandle?msgId={message}&accept=true"),
        format!("/createGroup?gname=x&members=1&{as_alice}"),
        format!("/getChatRecords?isFriend=false&toId={g_id}&fromId=1&{as_alice}"),
    ] {
        let answer = server.get(&target, Some(&mallory.session_id));
        assert_eq!(answer["ok"], false, "{target}: {answer}");
    }
    for target in [
        format!("/getFriendsById?{as_alice}"),
        format!("/getGroups?{as_alice}"),
        format!("/getNoHandleMessages?{as_alice}"),
        format!("/getChatRecords?isFriend=true&toId=1&fromId=2&{as_alice}"),
        format!("/getChatRecords?isFriend=true&toId=2&fromId=1&{as_alice}"),
    ] {
        let answer = server.get(&target, Some(&mallory.session_id)).to_string();
        assert!(answer.contains(r#""ok":true"#), "{target}: {answer}");
        assert!(!answer.contains("private") && !answer.contains("among us"), "{target}: {answer}");
        assert!(!answer.contains("Bob") && !answer.contains("ours"), "{target}: {answer}");
    }
    let cookie = format!("Cookie: sid={}\r\n{FORM}", mallory.session_id);
    let (status, _, changed) = ask(&server, "POST", "/modifyUser", &cookie, &format!("sex=1&{as_alice}"));
    assert!(status == 200 && changed["data"]["loginName"] == "mallory", "{changed}");
    mallory.received(&[message.as_u64().unwrap(), asked.as_u64().unwrap()]);
    mallory.fence();
    assert_eq!(view(&server, [&alice, &bob], g_id), before, "nothing of Alice's and Bob's has changed");
}

#[test]
fn whatever_a_text_holds_is_stored_as_it_is_or_refused_by_name() {
    let server = Server::start();
    let (mut alice, mut bob) = server.alice_and_bob();
    let cookie = format!("Cookie: sid={}\r\n{JSON}", alice.session_id);
    let post = |path: &str, body: Value| ask(&server, "POST", path, &cookie, &body.to_string());
    let allowed = [
        "'; DROP TABLE users; --",
        "\" OR \"\"=\"",
        "' OR 1=1 --",
        "50%",
        "a_b",
        "x\\y",
        "o'neil",
        "👨‍👩‍👧".split('\u{200d}').next().unwrap(), // a name has no joiner
        "{\"ok\":true}",
        "<b>&amp;",
        "?a=b&c#d",
    ];
    for text in allowed {
        let (status, _, answer) = post("/modifyUser", json!({"username": text}));
        assert!(status == 200 && answer["data"]["username"] == text, "{text}: {answer}");
        let (_, _, made) = post("/createGroup", json!({"gname": text}));
        let g_id = made["data"]["gId"].clone();
        let (_, _, gname) = post("/getGnameByGid", json!({"gId": g_id}));
        assert_eq!(gname["data"]["gname"], text);
        let (_, _, renamed) = post("/modifyGroupName", json!({"gId": g_id, "gname": format!("{text}.")}));
        assert_eq!(renamed["ok"], true, "{text}: {renamed}");
        let login_name = format!("{text} 1");
        let user = json!({"loginName": login_name, "pwd": text, "username": text, "sex": 0});
        let (_, _, made) = post("/register", user);
        let uid = made["data"]["uid"].clone();
        let (_, _, found) = post("/searchUserByLoginname", json!({"loginName": text}));
        assert!(found["data"].as_array().unwrap().iter().any(|user| user["uid"] == uid), "{text}: {found}");
        assert_eq!(alice.say(bob.uid, text)["type"], "ACK");
        assert_eq!(bob.expect("CHAT_SEND_MSG")["msgText"], text);
        let (_, _, records) =
            post("/getChatRecords", json!({"isFriend": true, "toId": bob.uid, "text": text}));
        assert_eq!(records["data"].as_array().unwrap().len(), 1, "{text}: {records}");
    }
    for text in ["a\r\nSet-Cookie: sid=1", "a\0b", "a\nb", "\u{7f}", "a\u{202e}b"] {
        for (path, body, name) in [
            ("/modifyUser", json!({"username": text}), "username"),
            ("/createGroup", json!({"gname": text}), "gname"),
            ("/register", json!({"loginName": text, "pwd": "x", "username": "x", "sex": 0}), "loginName"),
            ("/checkLoginName", json!({"loginName": text}), "loginName"),
        ] {
            let (status, head, answer) = post(path, body);
            assert_eq!((status, &answer["error"]), (400, &json!("badRequest")), "{path} {text:?}: {answer}");
            assert!(answer["text"].as_str().unwrap().contains(name), "{path}: {answer}");
            assert!(!head.contains("sid=1"), "{head}");
        }
        let (status, head, _) = post("/searchUserByLoginname", json!({"loginName": text}));
        assert!(status == 200 && !head.contains("sid=1"), "a search finds nothing: {head}");
    }
    expect_error(&alice.say(bob.uid, "a\0b"), "badRequest");
    assert_eq!(alice.say(bob.uid, "a\nb\tc")["type"], "ACK", "lines and tabs are text");
}
