//! What the console says when something cannot be done, where that takes more than a wrong word: real programs on pipes.

#![cfg(feature = "sqlite")] // where the servers of these tests keep their data, unless MINIM_TEST_DATABASE is set

mod common;

use std::process::Command;

use common::relay::Relay;
use common::{IN_A_FILE, Server, friends, make_group, script, talking};
use minim::limits::MAX_UNSENT;

#[test]
fn too_many_wrong_passwords_say_how_long_to_wait() {
    let server = Server::start();
    friends(&server);
    let mut lines = vec!["/login alice wrong"; 5];
    lines.push("/login alice 123456");
    let (code, printed) = script(&server, &[], &lines);
    let expected = ["! wrong name or password"; 5];
    assert_eq!((code, &printed[1..6]), (1, &expected.map(str::to_owned)[..]));
    assert!(
        ["1", "2"].map(|n| format!("! too many wrong passwords, wait {n} s")).contains(&printed[6]),
        "{printed:?}"
    );
}

#[test]
fn two_people_of_one_name_must_be_named_apart() {
    let server = Server::start();
    friends(&server);
    let lines = [
        "/register carol 123456 Robin",
        "/register dave 123456 Robin",
        "/login alice 123456",
        "/profile carol",
        "/profile dave",
        "/msg Robin hello",
    ];
    let (_, printed) = script(&server, &[], &lines);
    assert!(printed.contains(&"! Robin could be carol (@3), dave (@4): name one".to_owned()), "{printed:?}");
}

#[test]
fn who_was_removed_meanwhile_is_in_the_group_no_more() {
    let server = Server::start();
    friends(&server);
    let relay = Relay::start(server.chat);
    let port = relay.address.port().to_string();
    let mut bob = talking(&server, &["--chatPort", &port], "bob", "alice");
    let mut alice = talking(&server, &[], "alice", "bob");
    make_group(&mut alice, &mut bob, "net");
    relay.mute();
    alice.line("/remove bob #net");
    alice.expect("* Bob was removed from #net");
    bob.line("/members #net");
    bob.expect("! you are not in #net");
}

#[test]
fn without_connection_so_many_texts_wait_and_no_more() {
    let mut server = Server::start();
    friends(&server);
    let mut alice = talking(&server, &[], "alice", "bob");
    server.kill();
    alice.expect("! connection lost");
    for number in 1..=MAX_UNSENT {
        alice.line("text");
        alice.expect(&format!("  not sent yet, waiting for the connection: {number}"));
    }
    alice.line("one more");
    alice.expect("! too many at once, try again later");
}

#[test]
fn a_change_for_which_the_database_is_away_was_not_made() {
    let server = Server::with(&IN_A_FILE);
    friends(&server);
    let mut alice = talking(&server, &[], "alice", "bob");
    let other = rusqlite::Connection::open(server.data().join("minim.db")).expect("the database");
    other.execute_batch("BEGIN IMMEDIATE").expect("the lock");
    alice.line("/create net");
    alice.expect("! the server's database is away, nothing was stored, try again");
    other.execute_batch("ROLLBACK").expect("the lock is ours");
    alice.line("/create net");
    alice.expect("  created #net, group 1, invited 0");
}

#[cfg(unix)]
#[test]
fn a_server_that_does_not_answer_leaves_it_open_whether_it_happened() {
    let server = Server::start();
    friends(&server);
    let mut alice = talking(&server, &["--http", "plain", "--patience", "0.1"], "alice", "bob");
    let signal = |name: &str| {
        let id = server.program.id().to_string();
        assert!(Command::new("kill").args([name, &id]).status().expect("kill").success());
    };
    signal("-STOP");
    alice.line("/create net");
    alice.expect("! no answer to /create within 1 s, it may still happen");
    signal("-CONT");
}
