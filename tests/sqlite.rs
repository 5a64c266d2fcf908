//! What only a database in a file does: its disk can be full, and any program can open it.

#![cfg(feature = "sqlite")]

mod common;

use std::fs;
use std::process::Command;

use common::peer::{Peer, expect_error, password};
use common::{Folder, IN_A_FILE, MINIM, PASSPHRASE, Program, Server};
use rusqlite::Connection;
use serde_json::json;

#[test]
fn a_file_that_another_program_has_locked_is_waited_for_and_named() {
    let server = Server::with(&IN_A_FILE);
    let (mut alice, mut bob) = server.alice_and_bob();
    let other = Connection::open(server.data().join("minim.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let message = alice.text_to(bob.uid, "locked");
    expect_error(&alice.request(message.clone()), "databaseDown");
    let friends = server.get("/getFriendsById", Some(&alice.session_id));
    assert_eq!(friends["ok"], true, "who reads waits for nobody");
    other.execute_batch("ROLLBACK").unwrap();
    let stored = alice.request(message);
    if stored["type"] == "ACK" {
        assert_eq!(bob.expect("CHAT_SEND_MSG")["id"], stored["id"]);
    }
    let errors = server.errors();
    assert_eq!(stored["type"], "ACK", "{stored}, {errors}");
    assert!(errors.contains("another program has held the file for more than 5 s"), "{errors}");
}

#[test]
fn the_console_keeps_a_text_until_the_database_is_back_and_sends_it_once() {
    let server = Server::with(&IN_A_FILE);
    let (alice, mut bob) = server.alice_and_bob();
    drop(alice);
    let mut console = server.console(&[]);
    console.line(&format!("/login alice \"{}\"", password("alice")));
    console.expect("logged in as alice");
    let other = Connection::open(server.data().join("minim.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    console.line("/msg bob patience");
    console.expect("not sent yet, waiting for the server's database: 1");
    other.execute_batch("ROLLBACK").unwrap();
    console.expect("sent #");
    console.end_of_input();
    assert_eq!(console.finish().0, 0);
    assert_eq!(bob.expect("CHAT_SEND_MSG")["msgText"], "patience");
    bob.fence();
    assert!(bob.put_aside().iter().all(|message| message["type"] != "CHAT_SEND_MSG"), "once");
}

#[test]
fn a_statement_that_fails_costs_those_of_the_same_batch_nothing() {
    let server = Server::with(&IN_A_FILE);
    let (mut alice, mut bob) = server.alice_and_bob();
    let other = Connection::open(server.data().join("minim.db")).unwrap();
    let trigger = "CREATE TRIGGER poison BEFORE INSERT ON message WHEN NEW.msgText = 'poison' \
                   BEGIN SELECT RAISE(ABORT, 'poison'); END";
    other.execute_batch(trigger).unwrap();
    let texts = ["a", "poison", "b"];
    let messages = texts.map(|text| alice.text_to(bob.uid, text));
    alice.send_together(&messages);
    let answers = texts.map(|_| alice.receive().expect("an answer")["type"].clone());
    assert_eq!(answers, ["ACK", "ERROR", "ACK"]);
    assert_eq!(bob.expect("CHAT_SEND_MSG")["msgText"], "a");
    assert_eq!(bob.expect("CHAT_SEND_MSG")["msgText"], "b");
}

#[test]
#[ignore = "needs Linux, and the right to make a mount namespace"]
fn a_full_disk_is_told_and_once_there_is_room_all_goes_on() {
    let folder = Folder::new();
    fs::create_dir(folder.path().join("data")).unwrap();
    let mount = "mount -t tmpfs -o size=2m none data && head -c 1600k /dev/zero >data/filler && exec \"$@\"";
    let mut command = Command::new("unshare");
    command.args(["--map-root-user", "--mount", "sh", "-c", mount, "sh", MINIM, "server"]);
    command.args(["--chatPort", "0", "--httpPort", "0", "--udpPort", "off"]).args(IN_A_FILE);
    let mut server = Program::run(folder.path(), command);
    let line = server.expect("chat      listening on ");
    let address = line.rsplit(' ').next().expect("an address").parse().expect("an address");
    let mut peer = Peer::connect(address, PASSPHRASE);
    let register = |number: usize| {
        let login_name = format!("user{number}");
        json!({"type": "REGISTER", "loginName": login_name, "username": "U", "pwd": "x", "sex": 0})
    };
    let full = (0..).find(|&number| {
        let answer = peer.request(register(number));
        answer["type"] != "ACK" && {
            expect_error(&answer, "diskFull");
            true
        }
    });
    let full = register(full.expect("an end"));
    expect_error(&peer.request(full.clone()), "diskFull");
    let data = format!("/proc/{}/root{}/data", server.id(), folder.path().display());
    fs::remove_file(format!("{data}/filler")).unwrap();
    assert_eq!(peer.request(full)["type"], "ACK");
    let login = peer.request(json!({"type": "LOGIN", "loginName": "user0", "pwd": "x"}));
    assert_eq!(login["type"], "LOGIN_OK");
}

#[test]
fn a_password_is_stored_with_the_rounds_of_its_day_and_stays_right_when_they_change() {
    let in_a_file = |rounds| [&IN_A_FILE[..], &["--passwordRounds", rounds]].concat();
    let mut server = Server::with(&in_a_file("3"));
    server.new_user("alice");
    assert!(stored_password(&server).starts_with("hmac-md5$3$"));

    server.options = in_a_file("70").into_iter().map(str::to_owned).collect();
    server.start_again();
    let alice = server.log_in("alice");
    assert!(stored_password(&server).starts_with("hmac-md5$3$"), "the text itself is not known");
    expect_error(&server.peer().log_in_with("alice", "another"), "badLogin");
    let form = "pwd=new&oldPwd=alice's+password";
    let head = format!("Host: {}\r\nCookie: sid={}\r\n", server.http, alice.session_id);
    let kind =
        format!("Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n", form.len());
    let (head, _) = server.raw_http(
        format!("POST /modifyUser HTTP/1.1\r\n{head}{kind}Connection: close\r\n\r\n{form}").as_bytes(),
    );
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    assert!(stored_password(&server).starts_with("hmac-md5$70$"));
    assert_eq!(server.peer().log_in_with("alice", "new")["type"], "LOGIN_OK");
}

fn stored_password(server: &Server) -> String {
    let file = Connection::open(server.data().join("minim.db")).expect("the database");
    file.query_row("SELECT pwd FROM users", [], |row| row.get(0)).expect("one user")
}
