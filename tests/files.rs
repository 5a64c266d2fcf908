//! Files at the server: sent, kept, gone on with, and all that a sender can lie about, on raw frames.

#![cfg(feature = "sqlite")] // where the servers of these tests keep their data, unless MINIM_TEST_DATABASE is set

mod common;

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use common::peer::{Peer, expect_error};
use common::{DEADLINE, Folder, MINIM, PASSPHRASE, Program, Server, befriend, noise};
use minim::limits::{FILE_CHUNK_SIZE, FILE_LIFE, MAX_TRANSFERS, PART_LIFE};
use minim::md5_check::{hex, md5};
use serde_json::{Value, json};

/// A connection of RESUME for the user of `peer`.
fn resume(server: &Server, peer: &Peer) -> Peer {
    let mut transfer = server.peer();
    transfer.resume(&peer.session_id);
    transfer
}

/// FILE_UPLOAD of these bytes to a friend.
fn announce(to: &Peer, name: &str, bytes: &[u8]) -> Value {
    json!({"type": "FILE_UPLOAD", "isFriend": true, "toId": to.uid, "fileName": name, "fileSize": bytes.len(),
           "fileMd5": hex(&md5(bytes)), "msgType": "FILE"})
}

fn chunk(offset: usize, raw: &[u8]) -> Vec<u8> {
    let mut body = json!({"type": "FILE_CHUNK", "offset": offset}).to_string().into_bytes();
    body.push(b'\n');
    body.extend(raw);
    body
}

/// All chunks from `offset` on.
fn send_chunks(transfer: &mut Peer, bytes: &[u8], offset: usize) {
    for (number, piece) in bytes[offset..].chunks(FILE_CHUNK_SIZE).enumerate() {
        transfer.send_body(&chunk(offset + number * FILE_CHUNK_SIZE, piece));
    }
}

/// FILE_END with a fresh number.
fn end(transfer: &mut Peer) -> Value {
    transfer.request(json!({"type": "FILE_END"}))
}

/// Sends a file to a friend: its id.
fn upload(server: &Server, from: &Peer, to: &Peer, name: &str, bytes: &[u8]) -> u64 {
    let mut transfer = resume(server, from);
    let ready = transfer.request(announce(to, name, bytes));
    assert_eq!((&ready["type"], &ready["offset"]), (&json!("FILE_READY"), &json!(0)), "{ready}");
    send_chunks(&mut transfer, bytes, 0);
    let ack = end(&mut transfer);
    assert_eq!(ack["type"], "ACK", "{ack}");
    ack["id"].as_u64().expect("an id")
}

/// Receives the file of a message from `offset` on, on a connection of its own.
fn download(server: &Server, peer: &Peer, id: u64, offset: usize) -> Result<(Value, Vec<u8>), Value> {
    let mut transfer = resume(server, peer);
    let ready = transfer.request(json!({"type": "FILE_DOWNLOAD", "msgId": id, "offset": offset}));
    if ready["type"] != "FILE_READY" {
        return Err(ready);
    }
    let mut bytes = Vec::new();
    loop {
        let body = transfer.receive_body().expect("a body");
        let line = body.iter().position(|byte| *byte == b'\n').unwrap_or(body.len());
        let json: Value = serde_json::from_slice(&body[..line]).expect("JSON");
        match json["type"].as_str() {
            Some("FILE_CHUNK") => {
                assert_eq!(json["offset"], (offset + bytes.len()) as u64);
                let raw = &body[line + 1..];
                assert!((1..=FILE_CHUNK_SIZE).contains(&raw.len()));
                bytes.extend(raw);
            }
            Some("FILE_END") => {
                assert_eq!(json["clientNo"], ready["clientNo"]);
                return Ok((ready, bytes));
            }
            _ => panic!("{json}"),
        }
    }
}

/// Waits until that is so.
fn until(is_so: impl Fn() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < DEADLINE, "it never was");
        thread::yield_now();
    }
}

fn folder(server: &Server, name: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(server.data().join(name));
    entries.map_or(Vec::new(), |entries| entries.map(|entry| entry.expect("an entry").path()).collect())
}

#[test]
fn files_of_all_sizes_arrive_and_are_announced_when_they_are_whole() {
    let server = Server::start();
    let (alice, mut bob) = server.alice_and_bob();
    for size in [0, 1, 7, 8, 65_535, 65_536, 65_537, 5 * 1024 * 1024] {
        let (name, bytes) = (format!("文件 {size}.bin"), noise(size));
        let id = upload(&server, &alice, &bob, &name, &bytes);
        let pushed = bob.expect("CHAT_SEND_FILE");
        let file_path = pushed["filePath"].as_str().expect("a path").to_owned();
        let expected = json!({
            "type": "CHAT_SEND_FILE", "id": id, "fromId": alice.uid, "fromName": "Alice", "isFriend": true,
            "toId": bob.uid, "sendTime": pushed["sendTime"], "msgType": "FILE", "fileName": name,
            "fileSize": size, "fileMd5": hex(&md5(&bytes)), "filePath": file_path,
        });
        assert_eq!(pushed, expected);
        assert_eq!(fs::read(server.data().join(file_path)).expect("the file"), bytes);
        for peer in [&alice, &bob] {
            let (ready, came) = download(&server, peer, id, 0).expect("the file");
            assert_eq!((&ready["fileName"], &ready["fileSize"]), (&json!(name), &json!(size)));
            assert!(came == bytes, "{size} bytes");
        }
        let (_, rest) = download(&server, &bob, id, size / 2).expect("the rest");
        assert!(rest == bytes[size / 2..]);
        assert!(rest.is_empty() || download(&server, &bob, id, size).expect("nothing").1.is_empty());
        expect_error(&download(&server, &bob, id, size + 1).expect_err("no such place"), "badRequest");
    }
    assert!(folder(&server, "parts").is_empty(), "no part is left");
}

#[test]
fn a_file_to_a_group_is_stored_once_and_fetched_by_each_member() {
    let server = Server::start();
    let (mut alice, mut bob) = server.alice_and_bob();
    let mut carol = server.new_user("carol");
    server.befriend(&mut alice, &mut carol);
    let g_id = server.make_group(&alice, &mut [&mut bob, &mut carol]);
    let bytes = noise(100_000);
    let mut transfer = resume(&server, &alice);
    let mut request = announce(&bob, "plan.pdf", &bytes);
    (request["isFriend"], request["toId"]) = (json!(false), json!(g_id));
    assert_eq!(transfer.request(request)["type"], "FILE_READY");
    send_chunks(&mut transfer, &bytes, 0);
    let id_of_alice = end(&mut transfer)["id"].as_u64().expect("an id");
    let mut ids = vec![id_of_alice];
    for peer in [&mut bob, &mut carol] {
        let pushed = peer.expect("CHAT_SEND_FILE");
        assert_eq!((&pushed["isFriend"], &pushed["toId"]), (&json!(false), &json!(g_id)));
        let id = pushed["id"].as_u64().expect("an id");
        assert!(!ids.contains(&id), "an id of one's own");
        ids.push(id);
        assert!(download(&server, peer, id, 0).expect("the file").1 == bytes);
    }
    expect_error(&download(&server, &carol, ids[1], 0).expect_err("Bob's row"), "noSuchMessage");
    assert!(download(&server, &alice, id_of_alice, 0).expect("the sender too").1 == bytes);
    assert_eq!(folder(&server, "files").len(), 1, "stored once");
}

#[test]
fn strangers_get_nothing() {
    let server = Server::start();
    let (alice, bob) = server.alice_and_bob();
    let eve = server.new_user("eve");
    let id = upload(&server, &alice, &bob, "a.txt", b"secret");
    for wrong in [id, id + 1, 0] {
        expect_error(&download(&server, &eve, wrong, 0).expect_err("not hers"), "noSuchMessage");
    }
    let mut text = server.log_in("alice");
    let message = text.say(bob.uid, "no file")["id"].as_u64().expect("an id");
    expect_error(&download(&server, &text, message, 0).expect_err("a text"), "noSuchMessage");
    // To know the MD5 of a file is not to have it.
    let mut transfer = resume(&server, &eve);
    expect_error(&transfer.request(announce(&bob, "a.txt", b"secret")), "notFriends");
    let mut request = announce(&bob, "a.txt", b"secret");
    request["toId"] = json!(999);
    expect_error(&transfer.request(request.clone()), "noSuchUser");
    request["isFriend"] = json!(false);
    expect_error(&transfer.request(request), "noSuchGroup");
}

/// Each lie, on a connection of its own: refused by name, and closed where the bytes cannot be trusted any more.
#[test]
fn a_sender_that_lies_is_refused_and_nothing_is_stored() {
    let server = Server::with(&["--maxFileSize", "200000"]);
    let (alice, mut bob) = server.alice_and_bob();
    let bytes = noise(100_000);
    let begin = || {
        let mut transfer = resume(&server, &alice);
        assert_eq!(transfer.request(announce(&bob, "a.bin", &bytes))["offset"], 0);
        transfer
    };
    let long = vec![0; FILE_CHUNK_SIZE + 1];
    for (what, body) in [
        ("offset: the next byte is 0", chunk(1, b"x")),
        ("1 to 65536 bytes", chunk(0, b"")),
        ("1 to 65536 bytes", chunk(0, &long)),
        ("offset", b"{\"type\":\"FILE_CHUNK\"}\nx".to_vec()),
    ] {
        let mut transfer = begin();
        transfer.send_body(&body);
        let error = transfer.expect("ERROR");
        assert_eq!((&error["clientNo"], &error["code"]), (&Value::Null, &json!("badRequest")));
        assert!(error["text"].as_str().is_some_and(|text| text.contains(what)), "{error}");
        if !what.starts_with("offset") || what.len() > 6 {
            transfer.expect_closed();
        }
    }
    let mut transfer = begin();
    send_chunks(&mut transfer, &bytes, 0);
    transfer.send_body(&chunk(bytes.len(), b"x"));
    assert!(transfer.expect("ERROR")["text"].as_str().is_some_and(|text| text.contains("fileSize")));
    transfer.expect_closed();
    fs::remove_dir_all(server.data().join("parts")).expect("the parts");

    // The MD5: the part is thrown away, so the next try starts at 0.
    let mut transfer = resume(&server, &alice);
    let mut request = announce(&bob, "a.bin", &bytes);
    request["fileMd5"] = json!(hex(&md5(b"another")));
    assert_eq!(transfer.request(request.clone())["offset"], 0);
    send_chunks(&mut transfer, &bytes, 0);
    expect_error(&end(&mut transfer), "fileDamaged");
    let mut transfer = resume(&server, &alice);
    assert_eq!(transfer.request(request)["offset"], 0);

    // Sizes beyond 32 bits are sizes.
    let large = Server::start();
    let (carol, dave) = large.alice_and_bob();
    for (size, answer) in [(4_294_967_296_u64, "FILE_READY"), (4_294_967_297, "ERROR")] {
        let mut request = announce(&dave, "large", b"");
        request["fileSize"] = json!(size);
        let told = resume(&large, &carol).request(request);
        assert_eq!(told["type"], answer, "{told}");
        assert!(
            answer != "ERROR" || told["code"] == "tooLarge" && told["limit"] == 4_294_967_296_u64,
            "{told}"
        );
    }

    // The size: too large before a byte is sent; the end before all came leaves the part.
    let mut request = announce(&bob, "a.bin", &bytes);
    request["fileSize"] = json!(200_001);
    let answer = resume(&server, &alice).request(request);
    expect_error(&answer, "tooLarge");
    assert_eq!(answer["limit"], 200_000);
    let mut transfer = begin();
    transfer.send_body(&chunk(0, &bytes[..1000]));
    expect_error(&end(&mut transfer), "badRequest");
    assert_eq!(resume(&server, &alice).request(announce(&bob, "a.bin", &bytes))["offset"], 1000);

    for name in ["", ".", "..", "a/b", "F:\\x\\a.txt", "a\u{1b}[31m", &"x".repeat(256)] {
        let answer = resume(&server, &alice).request(announce(&bob, name, b"x"));
        expect_error(&answer, "badRequest");
        assert!(answer["text"].as_str().is_some_and(|text| text.starts_with("fileName")), "{answer}");
    }
    assert!(folder(&server, "files").is_empty());
    bob.fence();
    assert!(bob.put_aside().iter().all(|pushed| pushed["type"] != "CHAT_SEND_FILE"));
}

/// A number that stored one file stores no other, and harms none: not one of the same size, not at the same moment.
#[test]
fn a_used_number_harms_no_file() {
    let server = Server::start();
    let (alice, bob) = server.alice_and_bob();
    let (first, second) = (noise(50_000), noise(50_001)[1..].to_vec());
    let number = {
        let mut transfer = resume(&server, &alice);
        let number = transfer.next_client_no() + 1_000_000;
        transfer.request(announce(&bob, "one", &first));
        send_chunks(&mut transfer, &first, 0);
        assert_eq!(transfer.request(json!({"type": "FILE_END", "clientNo": number}))["type"], "ACK");
        number
    };
    for (name, bytes) in [("two", &second), ("other name", &first), ("empty", &Vec::new())] {
        let mut transfer = resume(&server, &alice);
        transfer.request(announce(&bob, name, bytes));
        send_chunks(&mut transfer, bytes, 0);
        expect_error(&transfer.request(json!({"type": "FILE_END", "clientNo": number})), "badRequest");
    }
    let id = resume(&server, &alice).request(json!({"type": "FILE_END", "clientNo": number}))["id"].as_u64();
    assert!(download(&server, &bob, id.expect("an id"), 0).expect("the file").1 == first);
    assert_eq!(folder(&server, "files").len(), 1);

    // Two at the same moment: one is stored, whichever, and whole.
    for round in 0..5 {
        let number = number + 10 + round;
        let mut both: Vec<Peer> = [&first, &second]
            .iter()
            .map(|bytes| {
                let mut transfer = resume(&server, &alice);
                transfer.request(announce(&bob, "race", bytes));
                send_chunks(&mut transfer, bytes, 0);
                transfer.fence();
                transfer
            })
            .collect();
        both.iter_mut().for_each(|transfer| transfer.send(json!({"type": "FILE_END", "clientNo": number})));
        let answers: Vec<Value> =
            both.iter_mut().map(|transfer| transfer.receive().expect("an answer")).collect();
        let stored: Vec<usize> = (0..2).filter(|place| answers[*place]["type"] == "ACK").collect();
        assert_eq!(stored.len(), 1, "{answers:?}");
        let id = answers[stored[0]]["id"].as_u64().expect("an id");
        assert!(download(&server, &bob, id, 0).expect("the file").1 == [&first, &second][stored[0]][..]);
    }
    assert!(folder(&server, "parts").is_empty());
}

#[test]
fn a_connection_of_resume_takes_files_alone_and_makes_one_transfer() {
    let server = Server::start();
    let (mut alice, bob) = server.alice_and_bob();
    expect_error(&alice.request(announce(&bob, "a", b"x")), "badRequest");
    expect_error(&alice.request(json!({"type": "FILE_END"})), "badRequest");
    expect_error(&alice.request(json!({"type": "RESUME", "sessionId": alice.session_id})), "badRequest");
    let mut nobody = server.peer();
    expect_error(&nobody.request(json!({"type": "RESUME", "sessionId": "0".repeat(32)})), "notLoggedIn");

    let mut transfer = resume(&server, &alice);
    for request in [
        json!({"type": "CHAT_SEND_MSG", "isFriend": true, "toId": bob.uid, "sendTime": 0, "msgType": "TEXT", "msgText": "x"}),
        json!({"type": "LOGIN", "loginName": "alice", "pwd": "alice's password"}),
        json!({"type": "RESUME", "sessionId": alice.session_id}),
        json!({"type": "LOGOUT"}),
    ] {
        expect_error(&transfer.request(request), "badRequest");
    }
    transfer.fence(); // PING, PONG
    assert_eq!(transfer.request(announce(&bob, "a", b"x"))["type"], "FILE_READY");
    expect_error(&transfer.request(announce(&bob, "b", b"y")), "badRequest");

    let mut many: Vec<Peer> = (1..MAX_TRANSFERS).map(|_| resume(&server, &alice)).collect();
    let mut more = server.peer();
    expect_error(&more.request(json!({"type": "RESUME", "sessionId": alice.session_id})), "tooMany");
    drop(many.pop());
    until(|| {
        let mut more = server.peer();
        more.request(json!({"type": "RESUME", "sessionId": alice.session_id}))["type"] == "ACK"
    });
    alice.request(json!({"type": "LOGOUT"}));
    assert_eq!(transfer.expect("KICKED")["code"], "loggedOut");
    transfer.expect_closed();
}

#[test]
fn a_newer_login_and_a_new_password_end_the_transfers_of_a_session() {
    let server = Server::start();
    let (alice, _bob) = server.alice_and_bob();
    let mut transfer = resume(&server, &alice);
    let again = server.log_in("alice");
    assert_eq!(transfer.expect("KICKED")["code"], "loggedInElsewhere");
    let mut transfer = resume(&server, &again);
    let form = "pwd=another%20one&oldPwd=alice%27s%20password";
    let request = format!(
        "POST /modifyUser HTTP/1.1\r\nHost: {}\r\nCookie: sid={}\r\nConnection: close\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{form}",
        server.http,
        again.session_id,
        form.len()
    );
    assert!(server.raw_http(request.as_bytes()).0.starts_with("HTTP/1.1 200 "));
    assert_eq!(transfer.expect("KICKED")["code"], "passwordChanged");
    transfer.expect_closed();
}

#[test]
fn an_upload_goes_on_where_it_ended_on_another_connection_and_behind_a_killed_server() {
    let mut server = Server::start();
    let (alice, bob) = server.alice_and_bob();
    let bytes = noise(300_000);
    let mut first = resume(&server, &alice);
    assert_eq!(first.request(announce(&bob, "a.bin", &bytes))["offset"], 0);
    first.send_body(&chunk(0, &bytes[..65_536]));
    first.fence();
    // On a second connection: it takes over, and the first is closed. Another user's, receiver's or size's begins anew.
    let mut second = resume(&server, &alice);
    assert_eq!(second.request(announce(&bob, "renamed.bin", &bytes))["offset"], 65_536);
    first.expect_closed();
    assert_eq!(resume(&server, &bob).request(announce(&alice, "a.bin", &bytes))["offset"], 0);
    second.send_body(&chunk(65_536, &bytes[65_536..100_000]));
    second.fence();
    server.kill();
    server.start_again();
    let (alice, mut bob) = (server.log_in("alice"), server.log_in("bob"));
    let mut third = resume(&server, &alice);
    assert_eq!(third.request(announce(&bob, "a.bin", &bytes))["offset"], 100_000);
    send_chunks(&mut third, &bytes, 100_000);
    let number = third.next_client_no();
    let ack = third.request(json!({"type": "FILE_END", "clientNo": number}));
    let id = ack["id"].as_u64().expect("an id");
    assert_eq!(bob.expect("CHAT_SEND_FILE")["id"], id);

    // The ACK was lost: the same FILE_END alone, again and again, says the same and does nothing.
    for _ in 0..2 {
        let again = resume(&server, &alice).request(json!({"type": "FILE_END", "clientNo": number}));
        assert_eq!((&again["type"], &again["id"]), (&json!("ACK"), &json!(id)));
    }
    expect_error(&resume(&server, &alice).request(json!({"type": "FILE_END"})), "badRequest");
    bob.fence();
    assert!(bob.put_aside().iter().all(|pushed| pushed["type"] != "CHAT_SEND_FILE"));
    assert!(download(&server, &bob, id, 0).expect("whole").1 == bytes);
}

#[test]
fn handle_follows_download_file_success_and_what_is_too_old_goes() {
    let mut server = Server::start();
    let (mut alice, bob) = server.alice_and_bob();
    let (first, second) =
        (upload(&server, &alice, &bob, "a", b"one"), upload(&server, &alice, &bob, "b", b"two"));
    let text = alice.say(bob.uid, "text")["id"].as_u64().expect("an id");
    let unread = |server: &Server, peer: &Peer| {
        server.get("/getFriendsById", Some(&peer.session_id))["data"][0]["unread"].clone()
    };
    assert_eq!(unread(&server, &bob), 3);
    for (peer, id, ok) in [
        (&bob, first, true),
        (&bob, first, true),
        (&alice, first, false),
        (&bob, text, false),
        (&bob, 999, false),
    ] {
        let answer = server.get(&format!("/downloadFileSuccess?msgId={id}"), Some(&peer.session_id));
        assert_eq!(answer["ok"], ok, "{answer}");
        assert!(ok || answer["error"] == "noSuchMessage");
    }
    assert_eq!(unread(&server, &bob), 2);
    let records = server.get(
        &format!("/getChatRecords?isFriend=true&toId={}&msgType=FILE", bob.uid),
        Some(&alice.session_id),
    );
    let handles: Vec<&Value> =
        records["data"].as_array().expect("a list").iter().map(|record| &record["handle"]).collect();
    assert_eq!(handles, [1, 0], "the sender sees what was fetched");

    let mut transfer = resume(&server, &alice);
    transfer.request(announce(&bob, "c", b"part"));
    transfer.send_body(&chunk(0, b"pa"));
    transfer.fence();
    drop(transfer);
    let make_older = |path: &PathBuf, age: Duration| {
        let file = fs::File::options().append(true).open(path).expect("the file");
        file.set_modified(SystemTime::now() - age - Duration::from_secs(1)).expect("a time");
    };
    let old = folder(&server, "files")
        .into_iter()
        .find(|path| fs::read(path).expect("a file") == b"one")
        .expect("it");
    make_older(&old, FILE_LIFE);
    server.start_again();
    let bob = server.log_in("bob");
    until(|| !old.exists());
    expect_error(&download(&server, &bob, first, 0).expect_err("gone"), "noSuchFile");
    assert_eq!(download(&server, &bob, second, 0).expect("there").1, b"two");
    let parts = folder(&server, "parts");
    assert_eq!(parts.len(), 1, "a young part stays");
    make_older(&parts[0], PART_LIFE);
    server.start_again();
    until(|| folder(&server, "parts").is_empty());
}

/// Who sends no more, or takes no more, is cut after `IDLE_DEADLINE` (here 2.7 s), and can go on later.
#[test]
fn a_silent_sender_and_a_deaf_receiver_are_cut_and_go_on_later() {
    let mut server = Server::with(&["--patience", "0.03", "--trace", "steps"]);
    let (alice, bob) = server.alice_and_bob();
    let bytes = noise(12_000_000);
    let id = upload(&server, &alice, &bob, "big", &bytes);
    let mut silent = resume(&server, &alice);
    silent.request(announce(&bob, "part", &bytes[1..]));
    silent.send_body(&chunk(0, &bytes[1..1001]));
    let mut deaf = resume(&server, &bob);
    deaf.request(json!({"type": "FILE_DOWNLOAD", "msgId": id, "offset": 0}));
    silent.expect_closed();
    server.program.expect_error("shutdown(5,"); // the fifth connection, which is the deaf one: it was cut
    // The kernel holds a few MiB for who does not read; behind them comes an end, and no FILE_END.
    let mut came = 0;
    while let Some(body) = deaf.receive_body() {
        assert!(!body.starts_with(b"{\"type\":\"FILE_END\""), "behind {came} bytes");
        came += body.len();
    }
    assert!(came < bytes.len());
    let again = server.log_in("alice"); // her chat was silent as well
    assert_eq!(resume(&server, &again).request(announce(&bob, "part", &bytes[1..]))["offset"], 1000);
}

/// Eight at once, while two people chat.
#[test]
fn eight_transfers_run_beside_the_chat() {
    let server = Server::start();
    let (mut alice, mut bob) = server.alice_and_bob();
    let bytes = noise(2_000_000);
    thread::scope(|scope| {
        for number in 0..8 {
            let (chat, alice, bob, bytes) = (server.chat, alice.session_id.clone(), bob.uid, &bytes);
            scope.spawn(move || {
                let mut transfer = Peer::connect(chat, PASSPHRASE);
                transfer.resume(&alice);
                let mine = [bytes, &[number as u8][..]].concat();
                let request = json!({"type": "FILE_UPLOAD", "isFriend": true, "toId": bob, "fileName": format!("{number}"),
                    "fileSize": mine.len(), "fileMd5": hex(&md5(&mine)), "msgType": "FILE"});
                assert_eq!(transfer.request(request)["type"], "FILE_READY");
                send_chunks(&mut transfer, &mine, 0);
                assert_eq!(end(&mut transfer)["type"], "ACK");
            });
        }
        for number in 0..50 {
            alice.say(bob.uid, &format!("{number}"));
            assert_eq!(bob.expect("CHAT_SEND_MSG")["msgText"], number.to_string());
        }
    });
    assert_eq!(folder(&server, "files").len(), 8);
}

/// A data folder on a disk of 8 MiB, in a mount namespace of its own; where the system does not let us, this is left out.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_refuses_the_file_early_gives_the_room_back_and_the_chat_goes_on() {
    let folder = Folder::new();
    let script = "mount -t tmpfs -o size=6m tmpfs disk && exec \"$0\" \"$@\"";
    let mut unshare = Command::new("unshare");
    unshare.args(["-rm", "sh", "-c", script, MINIM, "server", "--dataDir", "disk", "--chatPort", "0"]);
    unshare.args(["--httpPort", "0", "--udpPort", "off", "--patience", "5", "--passwordRounds", "1"]);
    fs::create_dir(folder.path().join("disk")).expect("a folder");
    let probe = ["-rm", "sh", "-c", "mount -t tmpfs tmpfs /mnt"];
    let may = Command::new("unshare").args(probe).stderr(Stdio::null()).status();
    if !may.is_ok_and(|status| status.success()) {
        eprintln!("left out: no mount namespaces here");
        return;
    }
    let mut server = Program::run(folder.path(), unshare);
    let chat =
        server.expect("chat      listening on ").rsplit(' ').next().expect("it").parse().expect("an address");
    let http =
        server.expect("http      listening on ").rsplit(' ').next().expect("it").parse().expect("an address");
    let (mut alice, mut bob) = (Peer::connect(chat, PASSPHRASE), Peer::connect(chat, PASSPHRASE));
    for (name, peer) in [("alice", &mut alice), ("bob", &mut bob)] {
        peer.register(name);
        peer.login(name);
    }
    befriend(http, &alice, &mut bob);

    let bytes = noise(16 * 1024 * 1024);
    let mut transfer = Peer::connect(chat, PASSPHRASE);
    transfer.resume(&alice.session_id);
    assert_eq!(transfer.request(announce(&bob, "big", &bytes))["type"], "FILE_READY");
    let mut sent = 0;
    for (number, piece) in bytes.chunks(FILE_CHUNK_SIZE).enumerate() {
        let frame = transfer.seal(&chunk(number * FILE_CHUNK_SIZE, piece));
        if transfer.send_raw(&frame).is_err() {
            break; // refused meanwhile
        }
        sent += piece.len();
        if number % 32 == 0 {
            alice.say(bob.uid, "meanwhile"); // stored, or not, but answered
        }
    }
    let error = transfer.expect("ERROR");
    assert_eq!(error["code"], "diskFull", "{error}");
    println!("refused behind {sent} bytes at the most");
    assert_eq!(alice.say(bob.uid, "there is room again")["type"], "ACK");
    let mut again = Peer::connect(chat, PASSPHRASE);
    again.resume(&alice.session_id);
    assert_eq!(again.request(announce(&bob, "small", &bytes[..1_000_000]))["offset"], 0);
    send_chunks(&mut again, &bytes[..1_000_000], 0);
    assert_eq!(end(&mut again)["type"], "ACK", "without a restart");
    drop((alice, bob, transfer, again)); // `/quit` waits a moment for who has not closed yet
    server.line("/quit");
    assert_eq!(server.finish().0, 0);
}

/// 300 MiB both ways, by the console client; in a release build: `cargo test --release --test files -- --ignored`.
#[test]
#[ignore = "takes long in a development build"]
fn three_hundred_mebibytes_arrive() {
    let server = Server::start();
    common::friends(&server);
    let bytes = noise(300 * 1024 * 1024);
    fs::write(server.folder().join("big"), &bytes).expect("written");
    let mut alice = common::talking(&server, &["--dataDir", "alice"], "alice", "bob");
    let mut bob = common::talking(&server, &["--dataDir", "bob"], "bob", "alice");
    alice.line("/file big");
    alice.expect("* u1 big sent as #");
    let id = bob.expect("Alice: sends big, 314572800 bytes: /get ");
    bob.line(&format!("/get {}", id.rsplit(' ').next().expect("an id")));
    bob.expect(" big saved as ");
    assert!(fs::read(server.folder().join("bob/downloads/big")).expect("the file") == bytes);
}
