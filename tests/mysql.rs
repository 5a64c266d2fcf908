//! The server on MariaDB or MySQL, and what only a database server does: it can be away, be killed, belong to another.
//! tests/mariadb.sh runs these, and all other tests of the suite as well.

mod common;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Instant;

use common::peer::{Peer, expect_error, password};
use common::{DEADLINE, Folder, Server, TestDatabase, get, raw_http, refused};
use minim::limits::DATABASE_DEADLINE;
use mysql::Conn;
use mysql::prelude::Queryable;
use serde_json::{Value, json};

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

    /// Sends a signal to the server; its process id.
    fn signal(&self, signal: &str) -> String {
        let pid = self.pid().expect("a process");
        assert!(Command::new("kill").args([signal, &pid]).status().expect("kill").success());
        pid
    }
}

impl Drop for MariaDb {
    fn drop(&mut self) {
        if let Some(pid) = self.pid() {
            let _ = Command::new("kill").args(["-CONT", &pid]).status(); // a test that failed may have left it frozen
        }
        drop(self.script.stdin.take()); // `cat` ends, and the script stops the server
        let _ = self.script.wait();
    }
}

/// A text to a friend, always the same request, until it is acknowledged: whoever gets no ACK sends again.
fn say_until_it_is_stored(sender: &mut Peer, message: &Value) -> Value {
    let start = Instant::now();
    loop {
        let answer = sender.request(message.clone());
        if answer["type"] == "ACK" {
            return answer;
        }
        expect_error(&answer, "databaseDown");
        assert!(start.elapsed() < DEADLINE, "still away");
    }
}

/// All records of a conversation, newest last: their ids.
fn ids_of_records(server: &Server, reader: &Peer, with: u64) -> Vec<Value> {
    let records = server.get(&format!("/getChatRecords?isFriend=true&toId={with}"), Some(&reader.session_id));
    records["data"].as_array().expect("a list").iter().map(|record| record["id"].clone()).collect()
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

    let killed = mariadb.signal("-9");
    let message = alice.text_to(bob.uid, "again and again");
    let after = say_until_it_is_stored(&mut alice, &message);
    assert_ne!(mariadb.pid(), Some(killed), "it was another process that answered");
    assert_eq!(alice.request(message)["id"], after["id"]);
    assert_eq!(bob.expect("CHAT_SEND_MSG")["id"], after["id"], "on the connection that he had");
    bob.fence();
    assert_eq!(ids_of_records(&server, &alice, bob.uid), [before["id"].clone(), after["id"].clone()]);
}

#[test]
#[ignore = "needs a database server: tests/mariadb.sh runs it"]
fn a_database_that_is_killed_while_a_backlog_is_sent_only_delays_it() {
    let mariadb = MariaDb::start(&[]);
    let server = Server::with(&["--database", &format!("{}minim", mariadb.url), "--patience", "20"]);
    let (mut alice, bob) = server.alice_and_bob();
    drop(bob);
    let text = "x".repeat(16_384); // 400 of them: more than the buffers of a connection
    let ids: Vec<Value> = (0..400).map(|_| alice.say(2, &text)["id"].clone()).collect();
    let mut bob = server.log_in("bob");
    assert_eq!(bob.expect("CHAT_SEND_MSG")["id"], ids[0]);
    mariadb.signal("-9");
    for id in &ids[1..] {
        assert_eq!(bob.expect("CHAT_SEND_MSG")["id"], *id);
    }
    assert_eq!(bob.expect("FRIEND_STATE")["online"], true);
}

#[test]
#[ignore = "needs a database server: tests/mariadb.sh runs it"]
fn a_frozen_database_costs_a_named_time_and_doubles_nothing() {
    let mariadb = MariaDb::start(&[]);
    let server = Server::with(&["--database", &format!("{}minim", mariadb.url)]);
    let (mut alice, mut bob) = server.alice_and_bob();
    mariadb.signal("-STOP");
    let message = alice.text_to(bob.uid, "ice");
    alice.send(message.clone());
    let (start, http) = (Instant::now(), server.http);
    thread::scope(|scope| {
        // Searches take turns, and none waits for another as long as for the database.
        for (peer, with) in [(&alice, bob.uid), (&bob, alice.uid), (&alice, bob.uid)] {
            let (target, sid) =
                (format!("/getChatRecords?isFriend=true&toId={with}&text=x"), peer.session_id.clone());
            scope.spawn(move || assert_eq!(get(http, &target, Some(&sid))["error"], "databaseDown"));
        }
    });
    assert!(start.elapsed() < 3 * DATABASE_DEADLINE, "{:?}", start.elapsed()); // a search, and a try to connect anew
    expect_error(&alice.expect("ERROR"), "databaseDown");
    mariadb.signal("-CONT");
    let stored = say_until_it_is_stored(&mut alice, &message);
    assert_eq!(bob.expect("CHAT_SEND_MSG")["id"], stored["id"]);
    assert_eq!(ids_of_records(&server, &bob, alice.uid), [stored["id"].clone()]);
}

/// Passes bytes between minim and the database, until minim sends COMMIT for a batch with this text in it: the database
/// gets that, and its answer is thrown away with the connection. Once.
fn loses_the_answer_to_commit(database: &str, text: &'static str) -> String {
    let (user, address) = database.trim_end_matches('/').rsplit_once('@').expect("user@address");
    let address = address.to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("{user}@{}/minim", listener.local_addr().expect("an address"));
    thread::spawn(move || {
        while let Ok((minim, _)) = listener.accept() {
            let database = TcpStream::connect(&address).expect("the database");
            let (mut from_minim, mut to_minim) = (minim.try_clone().unwrap(), minim);
            let (mut from_database, mut to_database) = (database.try_clone().unwrap(), database);
            thread::spawn(move || std::io::copy(&mut from_database, &mut to_minim));
            thread::spawn(move || {
                let (mut piece, mut has_text) = ([0; 65536], false);
                while let Ok(count @ 1..) = from_minim.read(&mut piece) {
                    let contains =
                        |part: &[u8]| piece[..count].windows(part.len()).any(|bytes| bytes == part);
                    has_text |= contains(text.as_bytes());
                    if has_text && contains(b"COMMIT") {
                        let _ = from_minim.shutdown(Shutdown::Both); // nothing more comes back
                    }
                    if to_database.write_all(&piece[..count]).is_err() {
                        break;
                    }
                }
                let _ = to_database.shutdown(Shutdown::Write);
            });
        }
    });
    url
}

#[test]
#[ignore = "needs a database server: tests/mariadb.sh runs it"]
fn a_commit_whose_answer_is_lost_is_told_to_all_once() {
    let mariadb = MariaDb::start(&[]);
    let server = Server::with(&["--database", &loses_the_answer_to_commit(&mariadb.url, "in doubt")]);
    let (mut alice, mut bob) = server.alice_and_bob();
    let message = alice.text_to(bob.uid, "in doubt");
    let stored = say_until_it_is_stored(&mut alice, &message);
    assert_eq!(bob.expect("CHAT_SEND_MSG")["id"], stored["id"], "who was not told before is told now");
    assert_eq!(alice.request(message), stored);
    bob.fence();
    assert!(bob.put_aside().iter().all(|pushed| pushed["type"] != "CHAT_SEND_MSG"), "once");
    assert_eq!(ids_of_records(&server, &alice, bob.uid), [stored["id"].clone()]);
}

/// The answer to a change of password is lost: it may be in force, so no session that the old one made may go on.
#[test]
#[ignore = "needs a database server: tests/mariadb.sh runs it"]
fn a_new_password_in_doubt_ends_all_sessions() {
    let mariadb = MariaDb::start(&[]);
    let server = Server::with(&["--database", &loses_the_answer_to_commit(&mariadb.url, "in doubt")]);
    let mut alice = server.new_user("alice");
    let form = "username=in+doubt&pwd=new&oldPwd=alice's+password";
    let head = format!("Host: {}\r\nCookie: sid={}\r\n", server.http, alice.session_id);
    let kind =
        format!("Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n", form.len());
    let request = format!("POST /modifyUser HTTP/1.1\r\n{head}{kind}Connection: close\r\n\r\n{form}");
    assert!(server.raw_http(request.as_bytes()).0.starts_with("HTTP/1.1 503 "));
    assert_eq!(alice.expect("KICKED")["code"], "passwordChanged");
    alice.expect_closed();
    assert_eq!(server.peer().log_in_with("alice", "new")["type"], "LOGIN_OK");
}

#[test]
#[ignore = "needs a database server: tests/mariadb.sh runs it"]
fn who_needs_a_row_that_another_program_has_locked_hears_of_it_and_nobody_else() {
    let server = Server::start();
    let (mut alice, mut bob) = server.alice_and_bob();
    let mut carol = server.new_user("carol");
    server.befriend(&mut alice, &mut carol);
    let database = server.database.as_ref().expect("MINIM_TEST_DATABASE");
    let mut other = database.connect().expect("a connection");
    other.query_drop(format!("USE {}", database.name())).unwrap();
    other.query_drop("BEGIN").unwrap();
    other.query_drop(format!("SELECT * FROM users WHERE id = {} FOR UPDATE", bob.uid)).unwrap();
    let (to_bob, to_carol) = (alice.text_to(bob.uid, "locked"), alice.text_to(carol.uid, "free"));
    alice.send_together(&[to_bob.clone(), to_carol.clone()]); // in one transaction at first
    expect_error(&alice.receive().unwrap(), "databaseDown");
    assert_eq!(alice.expect("ACK")["clientNo"], to_carol["clientNo"]);
    assert_eq!(carol.expect("CHAT_SEND_MSG")["msgText"], "free");
    other.query_drop("ROLLBACK").unwrap();
    let stored = say_until_it_is_stored(&mut alice, &to_bob);
    assert_eq!(bob.expect("CHAT_SEND_MSG")["id"], stored["id"]);
}

/// Until so many connections to a database wait for a table.
fn wait_for_locks(connection: &mut Conn, database: &TestDatabase, count: u64) {
    let sql = "SELECT COUNT(*) FROM information_schema.processlist \
               WHERE state = 'Waiting for table metadata lock' AND (db = ? OR info LIKE CONCAT('%', ?, '%'))";
    let start = Instant::now();
    while connection.exec_first::<u64, _, _>(sql, (database.name(), database.name())).unwrap() != Some(count)
    {
        assert!(start.elapsed() < DEADLINE, "{count} wait");
    }
}

/// A LOGIN is granted between two questions to the database: tables are locked so that each has to wait for us.
#[test]
#[ignore = "needs a database server: tests/mariadb.sh runs it"]
fn a_login_that_was_granted_is_not_taken_back_because_the_database_is_slow() {
    let server = Server::start();
    let (mut alice, bob) = server.alice_and_bob();
    let database = server.database.as_ref().expect("MINIM_TEST_DATABASE");
    let [mut messages, mut users] = [(); 2].map(|()| database.connect().expect("a connection"));
    messages.query_drop(format!("LOCK TABLES {}.message WRITE", database.name())).unwrap();
    let mut bob_again = server.peer();
    bob_again.send(json!({"type": "LOGIN", "clientNo": 1, "loginName": "bob", "pwd": password("bob")}));
    wait_for_locks(&mut users, database, 1);
    let lock = format!("LOCK TABLES {}.users WRITE", database.name());
    let locking = thread::spawn(move || users.query_drop(lock).map(|()| users)); // `message` refers to it: this waits too
    wait_for_locks(&mut messages, database, 2);
    messages.query_drop("UNLOCK TABLES").unwrap();
    let mut users = locking.join().unwrap().unwrap();
    assert_eq!(bob_again.expect("LOGIN_OK")["uid"], bob.uid);
    for _ in 0..3 {
        expect_error(&alice.say(bob.uid, "waits as long as any question of that LOGIN"), "databaseDown");
    }
    users.query_drop("UNLOCK TABLES").unwrap();
    bob_again.fence();
    assert_eq!(bob_again.put_aside().iter().find(|pushed| pushed["type"] == "KICKED"), None);
}

#[test]
#[ignore = "needs a database server: tests/mariadb.sh runs it"]
fn a_database_server_with_no_connection_left_is_waited_for_and_named() {
    let mariadb = MariaDb::start(&["--max-connections=10"]);
    let opts = mysql::Opts::from_url(&mariadb.url).expect("a URL");
    let connect = || Conn::new(mysql::OptsBuilder::from_opts(opts.clone()).prefer_socket(false));
    let mut others: Vec<Conn> = std::iter::from_fn(|| connect().ok()).collect();
    let mut root = others.pop().expect("the one that is kept for root");
    others.truncate(others.len() - 3); // three are left for minim: one writes, two read
    let connected = "SELECT variable_value FROM information_schema.global_status \
                     WHERE variable_name = 'Threads_connected'";
    let start = Instant::now();
    while root.query_first::<usize, _>(connected).unwrap() != Some(others.len() + 1) {
        assert!(start.elapsed() < DEADLINE, "the three have gone");
    }
    let server = Server::with(&["--database", &format!("{}minim", mariadb.url)]);
    let (mut alice, mut bob) = server.alice_and_bob();

    let body = format!("loginName=alice&pwd={}", password("alice"));
    let login = format!(
        "POST /login HTTP/1.1\r\nHost: {}\r\nContent-Type: application/x-www-form-urlencoded\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        server.http,
        body.len()
    );
    let statuses: Vec<String> = thread::scope(|scope| {
        let (address, login) = (server.http, login.as_bytes());
        let ask = move || raw_http(address, login).0[9..12].to_owned();
        let threads: Vec<_> = (0..100).map(|_| scope.spawn(ask)).collect();
        threads.into_iter().map(|thread| thread.join().expect("an answer")).collect()
    });
    assert!(statuses.iter().all(|status| status == "200" || status == "503"), "{statuses:?}");
    let sql = "SELECT id FROM information_schema.processlist WHERE db = 'minim'";
    let ids: Vec<u64> = root.query(sql).expect("the list");
    assert!(ids.len() <= 3, "{ids:?}");

    for id in ids {
        root.query_drop(format!("KILL {id}")).expect("killed");
    }
    let start = Instant::now();
    while others.len() < 10 {
        others.extend(connect()); // each place as soon as it is free; the eleventh is root's
        assert!(start.elapsed() < DEADLINE, "{} of 10", others.len());
    }
    let message = alice.text_to(bob.uid, "full");
    expect_error(&alice.request(message.clone()), "databaseDown");
    drop((others, root));
    let stored = say_until_it_is_stored(&mut alice, &message);
    assert_eq!(bob.expect("CHAT_SEND_MSG")["id"], stored["id"]);
    let errors = server.errors();
    assert!(errors.contains("1040") && errors.contains("up to 6"), "{errors}");
}

#[test]
#[ignore = "needs a database server: tests/mariadb.sh runs it"]
fn a_user_with_a_password_who_may_make_a_database_gets_one_and_another_is_refused() {
    let database = TestDatabase::new().expect("MINIM_TEST_DATABASE");
    let mut root = database.connect().expect("a connection");
    let (name, address) = (database.name(), database.url.split(['@', '/']).nth(3).expect("an address"));
    let accounts = [format!("'{name}_may'@'%'"), format!("'{name}_not'@'%'")];
    for account in &accounts {
        root.query_drop(format!("CREATE USER {account} IDENTIFIED BY 'p@ss w:rd/ü'")).unwrap();
    }
    root.query_drop(format!("GRANT ALL ON {name}.* TO {}", accounts[0])).unwrap();
    let url = |user: &str| format!("mysql://{name}_{user}:p%40ss%20w%3Ard%2F%C3%BC@{address}/{name}");
    let folder = Folder::new();
    let (code, errors) = refused(folder.path(), &["--database", &url("not")]);
    assert!(code == 1 && errors.contains("may not make or use it"), "{errors}");
    assert!(
        errors.contains("--database") && !errors.contains("w:rd") && !errors.contains("w%3Ard"),
        "{errors}"
    );
    let server = Server::with(&["--database", &url("may")]);
    server.new_user("alice").fence();
    drop(server);
    for account in &accounts {
        root.query_drop(format!("DROP USER {account}")).unwrap();
    }
}

#[test]
#[ignore = "needs a database server: tests/mariadb.sh runs it"]
fn texts_and_names_come_back_equal_whatever_the_servers_own_character_set_is() {
    for character_set in ["latin1", "utf8mb3"] {
        let mariadb = MariaDb::start(&[&format!("--character-set-server={character_set}")]);
        let mut server = Server::with(&["--database", &format!("{}minim", mariadb.url)]);
        let (mut alice, _bob) = server.alice_and_bob();
        let mut ming = server.peer();
        let registered = ming.request(json!({"type": "REGISTER", "loginName": "小明", "username": "小明🙂",
            "pwd": password("小明"), "sex": 1}));
        assert_eq!(registered["type"], "ACK", "{registered}");
        assert_eq!(ming.login("小明")["username"], "小明🙂");
        server.befriend(&mut ming, &mut alice);

        let texts = ["👨‍👩‍👧🙂", "ß", "ss", "é", "e", "e ", " e", "\u{301}e"];
        let ids: Vec<Value> = texts.iter().map(|text| ming.say(alice.uid, text)["id"].clone()).collect();
        for text in texts {
            let pushed = alice.expect("CHAT_SEND_MSG");
            assert_eq!((&pushed["msgText"], &pushed["fromName"]), (&json!(text), &json!("小明🙂")));
        }
        server.start_again();
        let mut alice = server.log_in("alice");
        for text in texts {
            let waited = alice.expect("CHAT_SEND_MSG");
            assert_eq!((&waited["msgText"], &waited["fromName"]), (&json!(text), &json!("小明🙂")));
        }
        assert_eq!(ids_of_records(&server, &alice, ming.uid), ids);
        for (part, number) in [("%C3%9F", 1), ("%20", 2)] {
            let target = format!("/getChatRecords?isFriend=true&toId={}&text={part}", ming.uid);
            let found = server.get(&target, Some(&alice.session_id));
            let found = found["data"].as_array().expect("a list");
            assert_eq!(found.len(), number, "ß is not ss, a blank is not nothing: {found:?}");
        }
        let mut other = Conn::new(mysql::Opts::from_url(&mariadb.url).expect("a URL")).expect("a connection");
        let sql = "SELECT msgText FROM minim.message WHERE msgText IS NOT NULL ORDER BY id";
        assert_eq!(other.query::<String, _>(sql).unwrap(), texts, "other programs read the same");
    }
}

#[test]
#[ignore = "needs a database server: tests/mariadb.sh runs it"]
fn tables_loaded_by_hand_from_schema_sql_are_taken() {
    let database = TestDatabase::new().expect("MINIM_TEST_DATABASE");
    let mut root = database.connect().expect("a connection");
    root.query_drop(format!("CREATE DATABASE {}", database.name())).unwrap();
    root.query_drop(format!("USE {}", database.name())).unwrap();
    for statement in include_str!("../schema.sql").split_inclusive(";\n") {
        root.query_drop(statement).unwrap();
    }
    let server = Server::with(&["--database", &database.url]);
    server.alice_and_bob().0.fence();
}
