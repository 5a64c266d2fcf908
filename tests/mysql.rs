//! The server on MariaDB or MySQL, and what only a database server does: it can be away, be killed, belong to another.
//! tests/mariadb.sh runs these, and all other tests of the suite as well.

mod common;

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use common::{DEADLINE, Folder, Server, TestDatabase, refused};
use mysql::prelude::Queryable;
use serde_json::json;

/// A MariaDB of a test's own, by tests/mariadb.sh: it ends with this.
struct MariaDb {
    script: Child,
    url: String,
    pid_file: String,
}

impl MariaDb {
    fn start(options: &[&str]) -> MariaDb {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/mariadb.sh");
        let mut command = Command::new("bash");
        command.arg(script).args(options).stdin(Stdio::piped()).stdout(Stdio::piped());
        command.args(["bash", "-c", "echo $MINIM_TEST_DATABASE; echo $MINIM_TEST_DATABASE_PID; exec cat"]);
        let mut script = command.spawn().expect("bash");
        let mut lines = BufReader::new(script.stdout.take().expect("piped")).lines().map_while(Result::ok);
        let (url, pid_file) = (lines.next().expect("the URL"), lines.next().expect("the file"));
        MariaDb { script, url, pid_file }
    }

    fn pid(&self) -> Option<String> {
        std::fs::read_to_string(&self.pid_file).ok().map(|pid| pid.trim().to_owned())
    }
}

impl Drop for MariaDb {
    fn drop(&mut self) {
        drop(self.script.stdin.take()); // `cat` ends, and the script stops the server
        let _ = self.script.wait();
    }
}

#[test]
#[ignore = "needs a database server: tests/mariadb.sh runs it"]
fn a_second_server_on_the_same_database_is_refused_by_name_and_the_first_unhurt() {
    let mut server = Server::start();
    let url = server.database.as_ref().expect("MINIM_TEST_DATABASE").url.clone();
    let mut alice = server.new_user("alice");
    let (code, errors) = refused(server.folder(), &["--dataDir", "other", "--database", &url]);
    assert!(code == 1 && errors.contains(&url) && errors.contains("another server"), "{errors}");
    alice.fence();
    server.kill();
    server.start_again();
    server.log_in("alice").fence();
}

#[test]
#[ignore = "needs a database server: tests/mariadb.sh runs it"]
fn connections_that_the_database_has_ended_are_replaced_and_nobody_notices() {
    let server = Server::start();
    let (mut alice, mut bob) = server.alice_and_bob();
    let database = server.database.as_ref().expect("MINIM_TEST_DATABASE");
    let mut root = database.connect().expect("a connection");
    let sql = format!("SELECT id FROM information_schema.processlist WHERE db = '{}'", database.name());
    let ids: Vec<u64> = root.query(sql).expect("the list");
    assert_eq!(ids.len(), 5, "one writes, four read");
    for id in ids {
        root.query_drop(format!("KILL {id}")).expect("killed");
    }
    assert_eq!(alice.say(bob.uid, "after a quiet night")["type"], "ACK");
    assert_eq!(bob.expect("CHAT_SEND_MSG")["msgText"], "after a quiet night");
    assert_eq!(server.get("/getFriendsById", Some(&alice.session_id))["ok"], true);
}

#[test]
#[ignore = "needs a database server: tests/mariadb.sh runs it"]
fn a_database_of_another_schema_or_program_is_refused_and_left_alone() {
    let mut server = Server::start();
    server.new_user("alice").fence();
    server.kill();
    let database = server.database.as_ref().expect("MINIM_TEST_DATABASE");
    let mut root = database.connect().expect("a connection");
    let name = database.name();
    root.query_drop(format!("UPDATE {name}.minimSchema SET md5 = '0123456789abcdef0123456789abcdef'"))
        .unwrap();
    let (code, errors) = refused(server.folder(), &["--database", &database.url]);
    assert!(code == 1 && errors.contains("0123456789abcdef0123456789abcdef"), "{errors}");
    assert!(errors.contains(&database.url), "{errors}");
    let md5: Option<String> = root.query_first(format!("SELECT md5 FROM {name}.minimSchema")).unwrap();
    assert_eq!(md5.as_deref(), Some("0123456789abcdef0123456789abcdef"));
    root.query_drop(format!("DROP TABLE {name}.minimSchema")).unwrap();
    let (code, errors) = refused(server.folder(), &["--database", &database.url]);
    assert!(code == 1 && errors.contains("not minim's"), "{errors}");
}

#[test]
#[ignore = "needs a database server: tests/mariadb.sh runs it"]
fn who_may_not_in_or_finds_nobody_is_told_in_one_line_without_the_password() {
    let folder = Folder::new();
    let database = TestDatabase::new().expect("MINIM_TEST_DATABASE");
    let server = database.url.split('@').nth(1).expect("an address").to_owned();
    let cases = [
        (format!("mysql://nobody:geheim@{server}"), "user"),
        ("mysql://root:geheim@127.0.0.1:1/minim".to_owned(), "running there"),
    ];
    for (url, named) in cases {
        let (code, errors) = refused(folder.path(), &["--database", &url]);
        assert_eq!(code, 1, "{errors}");
        assert!(errors.contains(named) && errors.contains("--database"), "{errors}");
        assert!(!errors.contains("geheim"), "{errors}");
    }
}

#[test]
#[ignore = "needs a database server: tests/mariadb.sh runs it"]
fn a_database_killed_meanwhile_comes_back_by_itself_with_all_that_was_acknowledged() {
    let mariadb =
        MariaDb::start(&["--lower-case-table-names=1", "--character-set-server=utf8mb3", "--sql-mode="]);
    let url = format!("{}minim", mariadb.url);
    let server = Server::with(&["--database", &url]);
    let (mut alice, mut bob) = server.alice_and_bob();
    let text = "👨‍👩‍👧🙂 ß ss é e ";
    let before = alice.say(bob.uid, text);
    assert_eq!(bob.expect("CHAT_SEND_MSG")["msgText"], text);

    let killed = mariadb.pid().expect("a process");
    assert!(Command::new("kill").args(["-9", &killed]).status().expect("kill").success());
    let client_no = alice.next_client_no();
    let message = json!({"type": "CHAT_SEND_MSG", "clientNo": client_no, "isFriend": true, "toId": bob.uid,
        "sendTime": 0, "msgType": "TEXT", "msgText": "again and again"});
    let start = Instant::now();
    let after = loop {
        let answer = alice.request(message.clone());
        if answer["type"] == "ACK" {
            break answer;
        }
        assert_eq!(answer["code"], "databaseDown");
        assert!(start.elapsed() < DEADLINE, "still away");
    };
    assert_ne!(mariadb.pid(), Some(killed), "it was another process that answered");
    assert_eq!(alice.request(message)["id"], after["id"]);
    assert_eq!(bob.expect("CHAT_SEND_MSG")["id"], after["id"], "on the connection that he had");
    bob.fence();
    let records =
        server.get(&format!("/getChatRecords?isFriend=true&toId={}", bob.uid), Some(&alice.session_id));
    let ids: Vec<_> =
        records["data"].as_array().expect("a list").iter().map(|row| row["id"].clone()).collect();
    assert_eq!(ids, [before["id"].clone(), after["id"].clone()]);
}
