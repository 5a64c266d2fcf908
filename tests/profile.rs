//! What a user may change of themselves: username, sex, password, head picture; and how pictures are given to anybody.

#![cfg(feature = "sqlite")] // the database of the server where no other is named

mod common;

use std::fs;
use std::io::{Read, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use common::peer::{Peer, expect_error, password};
use common::{Server, connect, raw_http, read_to_end};
use serde_json::{Value, json};

const FORM: &str = "Content-Type: application/x-www-form-urlencoded\r\n";
const PNG: &[u8] = b"\x89PNG\r\n\x1a\nand whatever else";

/// A POST with fields and a body: head and body of the answer.
fn post(server: &Server, user: Option<&Peer>, path: &str, fields: &str, body: &[u8]) -> (String, Vec<u8>) {
    let cookie = user.map_or(String::new(), |user| format!("Cookie: sid={}\r\n", user.session_id));
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: {}\r\n{cookie}{fields}Content-Length: {}\r\nConnection: close\r\n\r\n",
        server.http,
        body.len()
    );
    exchange(server, &[head.as_bytes(), body].concat())
}

fn exchange(server: &Server, request: &[u8]) -> (String, Vec<u8>) {
    let mut stream = connect(server.http);
    stream.write_all(request).expect("the server reads");
    let octets = read_to_end(&mut stream);
    let end = octets.windows(4).position(|four| four == b"\r\n\r\n").expect("a head");
    (String::from_utf8(octets[..end].to_vec()).expect("UTF-8"), octets[end + 4..].to_vec())
}

/// A form as the user of a connection: the JSON of the answer.
fn modify(server: &Server, user: &Peer, form: &str) -> Value {
    let (_, body) = post(server, Some(user), "/modifyUser", FORM, form.as_bytes());
    serde_json::from_slice(&body).expect("JSON")
}

fn upload(server: &Server, user: &Peer, picture: &[u8]) -> Value {
    serde_json::from_slice(&post(server, Some(user), "/uploadPicture", "", picture).1).expect("JSON")
}

fn get(server: &Server, method: &str, target: &str, fields: &str) -> (String, Vec<u8>) {
    let host = server.http;
    exchange(
        server,
        format!("{method} {target} HTTP/1.1\r\nHost: {host}\r\n{fields}Connection: close\r\n\r\n").as_bytes(),
    )
}

#[test]
fn a_new_username_reaches_the_friends_at_once_and_stays_also_when_one_goes_offline() {
    let server = Server::start();
    let (alice, mut bob) = server.alice_and_bob();
    let answer = modify(&server, &alice, "username=%E5%B0%8F%E7%BA%A2&sex=2");
    let user = json!({"uid": alice.uid, "loginName": "alice", "username": "小红", "sex": 2, "picUrl": ""});
    assert_eq!(answer, json!({"ok": true, "data": user}));
    let state = |online: bool| json!({"type": "FRIEND_STATE", "uid": alice.uid, "username": "小红", "online": online});
    assert_eq!(bob.expect("FRIEND_STATE"), state(true));
    let (before, after) = (state(true), state(false));
    drop(alice);
    assert_eq!(bob.expect("FRIEND_STATE"), after, "not the name of the LOGIN");
    let mut alice = server.log_in("alice");
    assert_eq!(bob.expect("FRIEND_STATE"), before);
    assert_eq!(alice.say(bob.uid, "hello")["type"], "ACK");
    assert_eq!(bob.expect("CHAT_SEND_MSG")["fromName"], "小红");

    for (form, named) in [
        ("", "username"),
        ("username=", "username"),
        ("sex=3", "sex"),
        ("picUrl=http%3A%2F%2Felsewhere%2Fx.png", "picUrl"),
        ("picUrl=%2Fstatic%2FheadPic%2F..%2F..%2Fminim.db", "picUrl"),
        ("pwd=new", "oldPwd"),
        ("pwd=&oldPwd=x", "pwd"),
    ] {
        let answer = modify(&server, &alice, form);
        assert_eq!(answer["error"], "badRequest", "{form}: {answer}");
        assert!(answer["text"].as_str().unwrap().contains(named), "{form}: {answer}");
    }
    assert!(get(&server, "GET", "/modifyUser?sex=1", "").0.starts_with("HTTP/1.1 405 "));
    assert!(post(&server, None, "/modifyUser?sex=1", "", b"").0.starts_with("HTTP/1.1 401 "));
}

#[test]
fn a_new_password_wants_the_old_one_and_ends_all_sessions() {
    let server = Server::start();
    let (mut alice, mut bob) = server.alice_and_bob();
    let form = |old: &str| format!("pwd=new+one&oldPwd={}", old.replace(' ', "+"));
    assert_eq!(modify(&server, &alice, &form("wrong"))["error"], "badLogin");
    alice.fence();
    assert_eq!(modify(&server, &alice, &form(&password("alice")))["ok"], true);
    let kicked = alice.expect("KICKED");
    assert_eq!(kicked["code"], "passwordChanged");
    alice.expect_closed();
    assert_eq!(bob.expect("FRIEND_STATE")["online"], false);
    assert_eq!(server.get("/getFriendsById", Some(&alice.session_id))["error"], "notLoggedIn");
    let mut again = server.peer();
    expect_error(&again.log_in_with("alice", &password("alice")), "badLogin");
    assert_eq!(again.log_in_with("alice", "new one")["type"], "LOGIN_OK");

    for _ in 0..5 {
        assert_eq!(modify(&server, &bob, &form("wrong"))["error"], "badLogin");
    }
    let braked = modify(&server, &bob, &form(&password("bob")));
    assert_eq!(braked["error"], "tooManyTries", "a wrong oldPwd counts as a wrong password");
}

#[test]
fn a_session_that_ends_while_its_request_is_still_coming_does_nothing_more() {
    let server = Server::start();
    let alice = server.new_user("alice");
    let form = "sex=2";
    let fields = format!("Cookie: sid={}\r\n{FORM}Expect: 100-continue\r\n", alice.session_id);
    let head = format!(
        "POST /modifyUser HTTP/1.1\r\nHost: {}\r\n{fields}Content-Length: {}\r\nConnection: close\r\n\r\n",
        server.http,
        form.len()
    );
    let mut stream = connect(server.http);
    stream.write_all(head.as_bytes()).expect("the server reads");
    let mut asked = [0; "HTTP/1.1 100 Continue\r\n\r\n".len()];
    stream.read_exact(&mut asked).expect("100: the session is known");
    assert!(asked.starts_with(b"HTTP/1.1 100 "));
    assert!(post(&server, Some(&alice), "/logout", FORM, b"").0.starts_with("HTTP/1.1 200 "));
    stream.write_all(form.as_bytes()).expect("the server reads");
    let answer = String::from_utf8(read_to_end(&mut stream)).expect("UTF-8");
    assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
    assert_eq!(server.log_in("alice").uid, alice.uid);
}

#[test]
fn one_old_password_changes_the_password_once() {
    let server = Server::with(&["--passwordRounds", "2000"]); // all are checked before the first is done
    let (alice, address) = (server.new_user("alice"), server.http);
    let request = |number: usize| {
        let form = format!("pwd=new{number}&oldPwd=alice's+password");
        let fields = format!("Host: {address}\r\nCookie: sid={}\r\n{FORM}", alice.session_id);
        let length = format!("Content-Length: {}\r\nConnection: close\r\n", form.len());
        format!("POST /modifyUser HTTP/1.1\r\n{fields}{length}\r\n{form}")
    };
    let heads: Vec<String> = thread::scope(|scope| {
        let ask = |request: String| scope.spawn(move || raw_http(address, request.as_bytes()).0);
        let threads: Vec<_> = (0..4).map(request).map(ask).collect();
        threads.into_iter().map(|thread| thread.join().expect("an answer")).collect()
    });
    let done: Vec<usize> = (0..4).filter(|&number| heads[number].starts_with("HTTP/1.1 200 ")).collect();
    assert_eq!(done.len(), 1, "{heads:?}");
    let answer = server.peer().log_in_with("alice", &format!("new{}", done[0]));
    assert_eq!(answer["type"], "LOGIN_OK");
}

#[test]
fn a_picture_is_stored_by_its_content_and_kept_for_ever_under_its_name() {
    let server = Server::start();
    let alice = server.new_user("alice");
    let pic_url = upload(&server, &alice, PNG)["data"]["picUrl"].as_str().expect("a picUrl").to_owned();
    let (folder, name) = pic_url["/static/headPic/".len()..].split_once('/').expect("DATE/NAME");
    assert_eq!((folder.len(), name.len(), &name[14..15], &name[36..]), (10, 40, "4", ".png"), "{pic_url}");
    assert_eq!(modify(&server, &alice, &format!("picUrl={pic_url}"))["data"]["picUrl"], pic_url);
    let found = server.get("/searchUserByLoginname?loginName=alice", Some(&alice.session_id));
    assert_eq!(found["data"][0]["picUrl"], pic_url);

    let (head, body) = get(&server, "GET", &pic_url, "");
    assert!(head.starts_with("HTTP/1.1 200 ") && body == PNG, "{head}");
    let tag = format!("\"{}\"", &name[..36]);
    for field in [
        "Content-Type: image/png".to_owned(),
        format!("ETag: {tag}"),
        "Cache-Control: public, max-age=31536000, immutable".to_owned(),
        "X-Content-Type-Options: nosniff".to_owned(),
    ] {
        assert!(head.contains(&format!("\r\n{field}")), "{field} in {head}");
    }
    let (of_head, nothing) = get(&server, "HEAD", &pic_url, "");
    assert!(nothing.is_empty() && of_head.contains(&format!("Content-Length: {}", PNG.len())), "{of_head}");
    for (field, status) in [
        (format!("If-None-Match: {tag}"), 304),
        (format!("If-None-Match: \"a,b\", W/{tag}"), 304),
        ("If-None-Match: *".to_owned(), 304),
        (format!("If-None-Match: ,\t{tag} ,"), 304),
        ("If-None-Match: \"other\"".to_owned(), 200),
        // Broken lists have no tags; a `w` is no `W`, a no-break space no blank.
        (format!("If-None-Match: {}", tag.trim_end_matches('"')), 200),
        (format!("If-None-Match: x{tag}"), 200),
        (format!("If-None-Match: W/ {tag}"), 200),
        (format!("If-None-Match: w/{tag}"), 200),
        (format!("If-None-Match: \"a\" {tag}"), 200),
        (format!("If-None-Match: *, {tag}"), 200),
        ("If-None-Match: \u{a0}*".to_owned(), 200),
        (format!("If-Match: w/{tag}"), 412),
        (format!("If-Match: {}", tag.trim_end_matches('"')), 412),
        ("If-Modified-Since: Sun, 06 Nov 2094 08:49:37 GMT".to_owned(), 200),
        (format!("If-Match: {tag}"), 200),
        (format!("If-Match: W/{tag}"), 412),
        ("If-Match: \"other\"".to_owned(), 412),
        ("Range: bytes=0-3".to_owned(), 200),
    ] {
        let (head, body) = get(&server, "GET", &pic_url, &format!("{field}\r\n"));
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{field}: {head}");
        assert_eq!(body == PNG, status == 200, "{field}");
        assert!(status != 304 || (head.contains(&tag) && !head.contains("Content-Length")), "{head}");
    }
    assert!(post(&server, Some(&alice), &pic_url, "", b"").0.starts_with("HTTP/1.1 405 "));

    for (start, ending) in [(&b"\xff\xd8\xff\xe0"[..], ".jpg"), (b"GIF87a", ".gif"), (b"GIF89a", ".gif")] {
        let stored = upload(&server, &alice, start)["data"]["picUrl"].clone();
        assert!(stored.as_str().expect("a picUrl").ends_with(ending), "{stored}");
    }
}

#[test]
fn what_is_no_picture_too_large_or_of_a_stranger_is_refused_and_leaves_nothing() {
    let server = Server::start();
    let alice = server.new_user("alice");
    for none in [&b""[..], b"<svg onload=alert(1)>", b"\x89PNG", b"GIF90a"] {
        assert_eq!(upload(&server, &alice, none)["error"], "badRequest");
    }
    let mut large = PNG.to_vec();
    large.resize(1024 * 1024 + 1, 0);
    let (head, _) = post(&server, Some(&alice), "/uploadPicture", "", &large);
    assert!(head.starts_with("HTTP/1.1 413 "), "{head}");
    large.pop();
    assert_eq!(upload(&server, &alice, &large)["ok"], true, "1 MiB may be");
    // Its body never comes: who waited for it would not be answered.
    for length in [900_000, 0] {
        let host = server.http;
        let head =
            format!("POST /uploadPicture HTTP/1.1\r\nHost: {host}\r\nContent-Length: {length}\r\n\r\n");
        let (head, _) = exchange(&server, head.as_bytes());
        assert!(head.starts_with("HTTP/1.1 401 ") && head.contains("Connection: close"), "{head}");
    }
    let days: Vec<_> = fs::read_dir(server.data().join("headPic")).unwrap().collect();
    assert_eq!(days.len(), 1);
}

#[test]
fn no_name_leads_out_of_the_folder_of_pictures() {
    let server = Server::start();
    let alice = server.new_user("alice");
    let pic_url = upload(&server, &alice, PNG)["data"]["picUrl"].as_str().unwrap().to_owned();
    let (day, name) = pic_url["/static/headPic/".len()..].split_once('/').unwrap();
    // Files that are there, so that only the form of their names keeps them in.
    let longer = name.replace(".png", "x.png");
    fs::write(server.data().join(name), PNG).unwrap();
    fs::write(server.data().join("headPic").join(day).join(&longer), PNG).unwrap();
    for place in [
        &format!("%2e%2e/{name}"),
        &format!("{day}/{longer}"),
        "../../minim.db",
        "..%2F..%2Fminim.db",
        "%2e%2e/minim.db",
        "%252e%252e/minim.db",
        "..%5c..%5cminim.db",
        "%c0%ae%c0%ae/minim.db",
        "2026-01-01/..%2f..%2fminim.db",
        "2026-01-01/%00",
        "2026-01-01/CON",
        "C:/minim.db",
        "~/minim.db",
        "",
        "/",
        day,
        &format!("{day}/"),
        &format!("{day}/{name}/"),
        &format!("{day}/{name}."),
        &format!("{day}/{name}%20"),
        &format!("{day}/{name}::$DATA"),
        &format!("{day}/{name};x"),
        &format!("{day}/{}", name.to_uppercase()),
        &format!("{day}/{}", name.replace(".png", ".jpg")),
        &format!("{day}/../{day}/{name}"),
        &format!("./{day}/{name}"),
    ] {
        let (head, body) = get(&server, "GET", &format!("/static/headPic/{place}"), "");
        let refused = head.starts_with("HTTP/1.1 404 ") || head.starts_with("HTTP/1.1 400 ");
        assert!(refused && body.starts_with(b"{\"ok\":false"), "{place}: {head}");
    }
    let (head, _) = get(&server, "GET", &pic_url.replace("static", "%73tatic"), "");
    assert!(head.starts_with("HTTP/1.1 200 "), "%73 is s: {head}");
}

#[test]
fn no_session_that_the_old_password_made_outlives_the_new_one() {
    let server = Server::with(&["--passwordRounds", "2000"]); // so that many a password is being checked meanwhile
    let address = server.http;
    let log_in = |form: &str| {
        let lines =
            format!("Host: {address}\r\n{FORM}Content-Length: {}\r\nConnection: close\r\n", form.len());
        let (head, _) = raw_http(address, format!("POST /login HTTP/1.1\r\n{lines}\r\n{form}").as_bytes());
        Some(head.split("sid=").nth(1)?.split(';').next()?.to_owned())
    };
    for name in ["alice", "bob", "carol", "dave", "eve"] {
        let mut user = server.new_user(name);
        let old = format!("{name}%27s%20password");
        let (is_done, form) = (AtomicBool::new(false), format!("loginName={name}&pwd={old}"));
        let (head, made) = thread::scope(|scope| {
            let knock = || {
                let mut made = Vec::new();
                while !is_done.load(Ordering::SeqCst) {
                    made.extend(log_in(&form));
                }
                made
            };
            let knockers: Vec<_> = (0..6).map(|_| scope.spawn(knock)).collect();
            // This session has a connection: it outlives the newer ones, of which there are too many.
            let lines = format!("Cookie: sid={}\r\n{FORM}", user.session_id);
            let (head, _) =
                post(&server, None, "/modifyUser", &lines, format!("pwd=new&oldPwd={old}").as_bytes());
            is_done.store(true, Ordering::SeqCst);
            let made = knockers.into_iter().flat_map(|knocker| knocker.join().expect("no panic"));
            (head, made.collect::<Vec<_>>())
        });
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        for sid in &made {
            let answer = server.get("/getFriendsById", Some(sid));
            assert_eq!(answer["error"], "notLoggedIn", "{name}: a session of the old password lives");
        }
        user.expect("KICKED");
    }
}
