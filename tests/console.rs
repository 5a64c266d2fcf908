//! The console client as a script drives it: real programs on pipes, line by line.

#![cfg(feature = "sqlite")] // where the servers of these tests keep their data, unless MINIM_TEST_DATABASE is set

mod common;

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use common::relay::Relay;
use common::{DEADLINE, Folder, PASSPHRASE, Program, Server, friends, make_group, run, script, talking};
use minim::client::words;
use minim::harmless::{harmless, harmless_name};
use minim::limits::{MAX_HISTORY, MAX_MSG_TEXT, MAX_NAME, MAX_UNREAD_BYTES, MAX_WIDTH, MIN_WIDTH};
use minim::socket::{self, Socket};
use minim::trace::Trace;
use minim::wire::hello_as_server;

#[test]
fn the_script_of_the_contract_prints_exactly_its_lines() {
    let server = Server::start();
    let lines = [
        "/register alice 123456 Alice",
        "/register bob 123456 Bob",
        "/add bob",
        "/friends",
        "/freinds",
        "hello",
    ];
    let (code, printed) = script(&server, &[], &lines);
    let first =
        format!("minim client {}, connected to {} (same passphrase)", env!("CARGO_PKG_VERSION"), server.chat);
    let expected = [
        first.as_str(),
        "  registered alice, uid 1",
        "  logged in as alice (Alice), uid 1",
        "  friends 0 (0 online), groups 0, unread 0, requests 0",
        "  registered bob, uid 2",
        "  asked Bob to be friends, request #1",
        "  friends 0, online 0",
        "! unknown command /freinds, did you mean /friends?",
        "! nobody is listening: /open WHO first, or /msg WHO TEXT",
        "  goodbye",
        "! commands failed: 2",
    ];
    assert_eq!(printed, expected);
    assert_eq!(code, 1);
}

#[test]
fn a_text_goes_both_ways_in_chinese_and_its_partner_waits_for_events() {
    let server = Server::start();
    friends(&server);
    let mut bob = server.console(&["--lang", "zh"]);
    for line in ["/登录 bob 123456", "／打开 alice", "/wait 你好，世界", "、私信 alice 你好 🙂"]
    {
        bob.line(line);
    }
    bob.expect("  正在与 Alice（alice）聊天，");
    let mut alice = talking(&server, &[], "alice", "bob");
    alice.line("你好，世界");
    alice.expect("  sent #");
    bob.expect("Alice: 你好，世界");
    bob.expect("  已出现：Alice: 你好，世界");
    alice.expect("Bob: 你好 🙂");
    assert_eq!(bob.finish().0, 0);
    assert_eq!(alice.finish().0, 0);
}

#[test]
fn what_waited_is_counted_at_login_shown_by_open_and_read_then() {
    let server = Server::start();
    friends(&server);
    let mut words = vec!["/login alice 123456".to_owned(), "/open bob".to_owned()];
    words.extend((1..=250).map(|number| format!("line {number}")));
    let lines: Vec<&str> = words.iter().map(String::as_str).collect();
    assert_eq!(script(&server, &[], &lines).0, 0);

    let (code, printed) = script(&server, &[], &["/login bob 123456", "/unread", "/open", "/unread", "/f"]);
    assert_eq!(code, 0);
    let text = printed.join("\n");
    assert!(text.contains("friends 1 (0 online), groups 0, unread 250, requests 0\n  unread: alice 250\n"));
    assert!(text.contains("  alice  250\n  unread 250\n"), "{text}");
    assert!(text.contains("  talking to Alice (alice), offline, unread 250\nAlice: line 1\nAlice: line 2\n"));
    assert!(text.contains("Alice: line 250\n  unread 0\n"), "{text}");
    assert!(text.contains("  1  alice  Alice  not said  offline  friend  unread 0\n  friends 1, online 0\n"));
    assert_eq!(printed.iter().filter(|line| line.starts_with("Alice: line ")).count(), 250);

    let (_, printed) = script(&server, &[], &["/login bob 123456", "/open"]);
    assert!(printed.contains(&"  friends 1 (0 online), groups 0, unread 0, requests 0".to_owned()));
    assert!(printed.contains(&"! nothing is unread".to_owned()));
}

#[test]
fn a_message_for_another_conversation_is_announced_and_stays_unread() {
    let server = Server::start();
    friends(&server);
    let mut bob = server.console(&[]);
    bob.line("/login bob 123456");
    bob.expect("friends 1 (0 online)");
    let mut alice = talking(&server, &[], "alice", "bob");
    bob.expect("* Alice is online");
    alice.line("one");
    bob.expect("* Alice: one (unread 1, /open alice)");
    alice.line("two");
    bob.expect("* Alice: two (unread 2, /open alice)");
    bob.line("/open Alice"); // the username will do, since only one known person has it
    bob.expect("  talking to Alice (alice), online, unread 2");
    bob.expect("Alice: two");
    bob.line("/close");
    bob.expect("  closed alice");
    alice.end_of_input();
    bob.expect("* Alice is offline");
}

#[test]
fn friends_come_and_go() {
    let server = Server::start();
    let registers = ["/register carol 1 Bob", "/register bob 123456 Bob", "/login carol 1", "/add bob"];
    assert_eq!(script(&server, &[], &registers).0, 0);
    assert_eq!(script(&server, &[], &["/register alice 123456 Alice m", "/add @2"]).0, 0);

    let mut bob = server.console(&[]);
    bob.line("/login bob 123456");
    bob.expect("  friends 0 (0 online), groups 0, unread 0, requests 2");
    bob.expect("* request #1: Bob (carol) wants to be your friend");
    bob.expect("* request #2: Alice (alice) wants to be your friend");
    for (line, answer) in [
        ("/accept", "! several requests wait: #1, #2"),
        ("/accept 9", "! there is no message #9 for you"),
        ("/accept nine", "! /accept needs ID: /accept [ID]"),
        ("/accept #2", "  accepted request #2"),
        ("", "* Alice is your friend now"),
        ("/requests", "* request #1: Bob (carol) wants to be your friend"),
        ("", "  requests 1"),
        ("/reject", "  rejected request #1"),
        ("/reject", "! no request waits"),
        ("/reject 1", "! request #1 is answered already"),
        ("/add ALICE", "! Alice is your friend already"),
        ("/add bob", "! the server refused this: "),
        ("/add nobody", "! nobody is called nobody"),
        ("/search A", "  3  alice  Alice  male      offline  friend"),
        ("", "  1  carol  Bob    not said  -        -"),
        ("", "  found 2"),
        ("/msg carol hi", "! Bob (carol) is not your friend: /add carol"),
        ("/open carol", "! Bob (carol) is not your friend: /add carol"),
        ("/delete alice", "  Alice is no longer your friend"),
        ("", "* Alice is no longer your friend"),
        ("/friends", "  friends 0, online 0"),
        ("/delete alice", "! Alice is not your friend: /add alice"),
    ] {
        if !line.is_empty() {
            bob.line(line);
        }
        let came = bob.next_line().expect("an answer");
        assert!(came.starts_with(answer), "{line}: {answer:?}, came {came:?}");
    }
}

#[test]
fn what_cannot_be_done_says_why_and_what_helps() {
    let server = Server::start();
    let mut console = server.console(&[]);
    console.next_line();
    for (line, answer) in [
        ("/friends", "! log in first: /login NAME"),
        ("hello", "! log in first: /login NAME"),
        ("/logout", "! log in first: /login NAME"),
        ("/login", "! /login needs NAME: /login [NAME [PASSWORD]]"),
        ("/login alice", "! /login needs PASSWORD: /login [NAME [PASSWORD]]"),
        ("/login alice 1", "! wrong name or password"),
        ("/register", "! /register needs NAME: /register [NAME PASSWORD [USERNAME [SEX]]]"),
        ("/register alice 1 Alice x", "! /register needs SEX (m or f): /register"),
        ("/register \" alice\" 1", "! the server refused this: loginName: "),
        ("/register \"a b\" 1", "  registered a b, uid 1"),
        ("", "  logged in as a b (a b), uid 1"),
        ("", "  friends 0 (0 online), groups 0, unread 0, requests 0"),
        ("/register “A B” 2", "! the login name A B is taken, choose another"),
        ("/hlep", "! unknown command /hlep, did you mean /help?"),
        ("/hlpe", "! unknown command /hlpe, /help lists all"),
        ("/", "! unknown command /, /help lists all"),
        ("/search", "! /search needs TEXT: /search TEXT"),
        ("/msg a", "! nobody is called a"),
        ("/msg \"a b\"", "! /msg needs TEXT: /msg WHO|GROUP TEXT"),
        ("/close", "! nobody is listening: /open WHO first, or /msg WHO TEXT"),
        ("/help /m", "  /msg WHO|GROUP TEXT"),
        ("", "  sends one message without opening"),
        ("", "  example: /msg bob see you at nine"),
        ("", "  on the wire: CHAT_SEND_MSG"),
        ("", "  WHO: a login name"),
        ("", "  GROUP: #GNAME or #GID"),
        ("/logout", "  logged out"),
        ("/q", "  goodbye"),
        ("", "! commands failed: 17"),
    ] {
        if !line.is_empty() {
            console.line(line);
        }
        let came = console.next_line().expect("an answer");
        assert!(came.starts_with(answer), "{line}: {answer:?}, came {came:?}");
    }
}

#[test]
fn a_script_takes_its_password_from_the_environment() {
    let server = Server::start();
    let mut console = server.console_with(&[], &[("MINIM_PASSWORD", "from outside")]);
    for line in ["/register alice", "/logout", "/login alice"] {
        console.line(line);
    }
    let (code, lines, _) = console.finish();
    assert_eq!(code, 0, "{lines:?}");
    assert_eq!(script(&server, &[], &["/login alice \"from outside\""]).0, 0);
}

#[test]
fn texts_are_shown_so_that_no_terminal_obeys_them() {
    let server = Server::start();
    let mut bob = server.console(&[]);
    bob.line("/register bob 1");
    bob.expect("requests 0");
    let mut mallory = server.peer();
    mallory.request(serde_json::json!({"type": "REGISTER", "loginName": "* mallory:",
        "pwd": "mallory's", "username": "! error, see", "sex": 0}));
    let login = mallory.log_in_with("* mallory:", "mallory's");
    let sid = login["sessionId"].as_str();
    server.get("/addFriendsOrGroup?friendId=1", sid);
    let line = bob.expect("* request #1: ");
    let who = "\"! error, see\" (\"* mallory:\")";
    assert_eq!(line, format!("* request #1: {who} wants to be your friend"));
    bob.line("/accept");
    bob.line("/open \"* mallory:\"");
    bob.expect("talking to \"! error, see\" (\"* mallory:\"), online, unread 0");

    let long: Vec<String> = (1..=30).map(|number| format!("line {number}")).collect();
    assert_eq!(mallory.say(1, &format!("{}\n! commands failed: 9", long.join("\n")))["type"], "ACK");
    bob.expect("\"! error, see\": line 1");
    for number in 2..=21 {
        assert_eq!(bob.next_line(), Some(format!("    line {number}")));
    }
    assert_eq!(bob.next_line().as_deref(), Some("    (more lines: 10, /history)"));
    mallory.say(1, "\u{202e}abc\u{2028}\t👨‍👩‍👧 e\u{301}\u{302}\u{303}\u{304}\u{305}\u{306}");
    let line = bob.expect("abc");
    let text = "\\u{202e}abc\\u{2028} 👨‍👩‍👧 e\u{301}\u{302}\u{303}\u{304}";
    assert_eq!(line, format!("\"! error, see\": {text}"));
}

#[test]
fn lines_of_any_bytes_and_any_length_do_no_harm() {
    let server = Server::start();
    friends(&server);
    let mut bob = talking(&server, &[], "bob", "alice");
    let mut alice = talking(&server, &[], "alice", "bob");
    alice.bytes(b"\xc4\xe3\n/help\r\n");
    alice.expect("! this line is not UTF-8");
    alice.expect("  /register");
    alice.bytes(b"/\x1b[2J{N}\n");
    assert_eq!(alice.expect("! unknown"), "! unknown command /\\x1b[2J{N}, /help lists all");
    alice.line("");
    alice.line(&"c".repeat(20_000));
    alice.expect("! a message has at most 16384 bytes, this one 20000");
    alice.line(&"d".repeat(16_384));
    alice.expect("  sent #");
    assert!(bob.expect("Alice: ").ends_with(&"d".repeat(16_384)));
    alice.line("//help and ／／help");
    alice.line("、 no command");
    alice.line("/paste");
    alice.bytes("first\n\n/quit\n.\n".as_bytes());
    assert_eq!(bob.next_line().as_deref(), Some("Alice: /help and ／／help"));
    assert_eq!(bob.next_line().as_deref(), Some("Alice: 、 no command"));
    assert_eq!(bob.next_line().as_deref(), Some("Alice: first"));
    assert_eq!(bob.next_line().as_deref(), Some("    "));
    assert_eq!(bob.next_line().as_deref(), Some("    /quit"));
    alice.bytes(b"/unread without a line feed at the end of input");
    let (code, lines, _) = alice.finish();
    assert_eq!((code, lines.last().map(String::as_str)), (1, Some("! commands failed: 3")));
}

#[test]
fn a_line_is_waited_for_once_and_what_wait_says_does_not_count() {
    let server = Server::start();
    let lines = ["/freinds", "/friends", "/wait first", "/wait first", "/wait first"];
    let (code, printed) = script(&server, &["--patience", "0.1"], &lines);
    let expected = [
        "! unknown command /freinds, did you mean /friends?",
        "! log in first: /login NAME",
        "  seen: ! log in first: /login NAME",
        "! not seen within 1 s: first",
        "! not seen within 1 s: first",
        "  goodbye",
        "! commands failed: 4",
    ];
    assert_eq!((code, &printed[1..]), (1, &expected.map(str::to_owned)[..]));
}

#[test]
fn a_killed_server_is_waited_for_and_each_text_arrives_once_in_order() {
    let mut server = Server::start();
    friends(&server);
    let mut bob = talking(&server, &[], "bob", "alice");
    let mut alice = talking(&server, &[], "alice", "bob");
    server.kill();
    alice.expect("! connection lost (the server closed it), trying again in 1 s");
    bob.expect("! connection lost (the server closed it), trying again in 1 s");
    alice.line("one");
    alice.expect("  not sent yet, waiting for the connection: 1");
    alice.line("two");
    alice.expect("  not sent yet, waiting for the connection: 2");
    alice.line("/friends");
    alice.expect("! not connected, /friends was not done");
    server.start_again();
    alice.expect("* connected again, logged in as alice");
    alice.expect("  sent #");
    alice.expect("  sent #");
    bob.expect("Alice: one");
    bob.expect("Alice: two");
    alice.line("three");
    bob.expect("Alice: three");
    for text in ["one", "two", "three"] {
        let line = format!("Alice: {text}");
        assert_eq!(bob.transcript.iter().filter(|shown| **shown == line).count(), 1, "{line}");
    }
    for console in [&alice, &bob] {
        let lost = console.transcript.iter().filter(|line| line.starts_with("! connection lost"));
        assert_eq!(lost.count(), 1);
    }
    assert_eq!(bob.finish().0, 0);
    let (code, lines, _) = alice.finish();
    assert_eq!((code, lines.last().map(String::as_str)), (1, Some("! commands failed: 1")));
}

#[test]
fn a_script_without_server_gives_up_and_what_was_not_sent_is_a_failure() {
    let mut server = Server::start();
    friends(&server);
    let mut alice = talking(&server, &["--patience", "0.2"], "alice", "bob");
    server.kill();
    alice.expect("! connection lost (the server closed it), trying again in 0.2 s");
    alice.line("one");
    alice.expect("  not sent yet, waiting for the connection: 1");
    while alice.next_line().is_some() {}
    assert_eq!(alice.transcript.last().map(String::as_str), Some("! commands failed: 1"));
    assert_eq!(alice.finish().0, 1);
}

#[test]
fn a_text_without_ack_is_sent_again_on_a_new_connection_and_arrives_once() {
    let server = Server::start();
    friends(&server);
    let mut bob = talking(&server, &[], "bob", "alice");
    let relay = Relay::start(server.chat);
    let port = relay.address.port().to_string();
    let mut alice = talking(&server, &["--chatPort", &port, "--patience", "0.2"], "alice", "bob");
    relay.mute();
    alice.line("once");
    bob.expect("Alice: once"); // it has arrived; the ACK is lost
    alice.expect("! connection lost (no answer), trying again in 0.2 s");
    alice.expect("* connected again, logged in as alice");
    alice.expect("  sent #");
    alice.line("and then this");
    bob.expect("Alice: and then this");
    assert_eq!(bob.transcript.iter().filter(|line| *line == "Alice: once").count(), 1);
    assert_eq!(alice.finish().0, 0);
}

#[test]
fn a_message_to_a_group_without_ack_arrives_once_at_each_member_too() {
    let server = Server::start();
    friends(&server);
    let relay = Relay::start(server.chat);
    let port = relay.address.port().to_string();
    let mut alice = talking(&server, &["--chatPort", &port, "--patience", "0.2"], "alice", "bob");
    let mut bob = talking(&server, &[], "bob", "alice");
    make_group(&mut alice, &mut bob, "five");
    let mut members = Vec::new();
    for name in ["carol", "dave", "erin"] {
        let member = server.new_user(name);
        let asked = server.get("/addFriendsOrGroup?gId=1", Some(&member.session_id));
        alice.expect(&format!("* request #{}", asked["data"]["id"]));
        alice.line(&format!("/accept {}", asked["data"]["id"]));
        alice.expect("  accepted request #");
        members.push(member);
    }
    relay.mute();
    alice.line("/msg #five once");
    bob.expect("* #five Alice: once");
    alice.expect("! connection lost (no answer), trying again in 0.2 s");
    alice.expect("* connected again, logged in as alice");
    alice.expect("  sent #");
    alice.line("/msg #five and then this");
    bob.expect("* #five Alice: and then this");
    for member in &mut members {
        let texts = [member.expect("CHAT_SEND_MSG"), member.expect("CHAT_SEND_MSG")];
        assert_eq!(texts.map(|message| message["msgText"].clone()), ["once", "and then this"]);
    }
    assert_eq!(bob.transcript.iter().filter(|line| line.contains("Alice: once")).count(), 1);
    assert_eq!(alice.transcript.iter().filter(|line| line.starts_with("  sent #")).count(), 1);
}

#[test]
fn what_changed_while_the_connection_was_lost_is_known_after_it() {
    let server = Server::start();
    friends(&server);
    let relay = Relay::start(server.chat);
    let port = relay.address.port().to_string();
    let mut alice = talking(&server, &[], "alice", "bob");
    let mut bob = talking(&server, &["--chatPort", &port, "--patience", "0.2"], "bob", "alice");
    make_group(&mut alice, &mut bob, "net");
    relay.mute();
    alice.line("/rename #net lab");
    alice.expect("group 1 is called #lab now");
    bob.line("are you there?");
    bob.expect("! connection lost (no answer), trying again in 0.2 s");
    bob.expect("* connected again, logged in as bob");
    alice.line("/msg #lab what bob missed");
    bob.expect("* #lab Alice: what bob missed (unread 1, /open #lab)");
}

#[test]
fn a_connection_on_which_nothing_comes_any_more_is_noticed_though_nobody_types() {
    let server = Server::start();
    friends(&server);
    let relay = Relay::start(server.chat);
    let port = relay.address.port().to_string();
    let mut bob = talking(&server, &["--chatPort", &port, "--patience", "0.05"], "bob", "alice");
    relay.mute(); // as when the computer has slept while the router forgot the connection
    bob.expect("! connection lost (no answer), trying again in 0.05 s");
    bob.expect("* connected again, logged in as bob");
}

#[test]
fn what_is_unread_of_a_group_can_be_read_also_when_one_has_left_it() {
    let server = Server::start();
    friends(&server);
    let mut alice = talking(&server, &[], "alice", "bob");
    let mut bob = talking(&server, &[], "bob", "alice");
    make_group(&mut alice, &mut bob, "net");
    alice.line("/msg #net before you go");
    bob.expect("* #net Alice: before you go (unread 1, /open #net)");
    bob.line("/leave #net");
    bob.expect("  left #net");
    bob.line("/open");
    bob.expect("  talking in #1 (group 1), members 0, online 0, unread 1");
    bob.expect("#1 Alice: before you go");
    bob.line("/open #1");
    bob.expect("! there is no group #1");
    bob.line("/unread");
    bob.expect("  unread 0");
}

#[test]
fn what_is_pasted_is_never_a_command_whatever_is_wrong() {
    let server = Server::start();
    friends(&server);
    for login in ["/login alice 123456", "/status"] {
        let (code, printed) =
            script(&server, &[], &[login, "/paste", "/quit", "/leave #x", ".", "/help quit"]);
        assert!(printed.contains(&"  /quit".to_owned()), "{printed:?}");
        let failures = printed.iter().filter(|line| line.starts_with("! ")).count();
        assert_eq!((code, failures), (1, 2), "{printed:?}");
    }
}

#[test]
fn more_than_a_client_keeps_may_wait_and_what_is_typed_meanwhile_gets_its_answer() {
    let server = Server::start();
    friends(&server);
    let count = MAX_UNREAD_BYTES / MAX_MSG_TEXT + 60;
    let text = |number: usize| format!("{number:05} {}", "x".repeat(MAX_MSG_TEXT - 6));
    let said = |number: usize| {
        let columns = "fromUid, toUid, type, handle, sendTime, clientNo, msgType, msgText";
        let text = text(number);
        format!("INSERT INTO message ({columns}) VALUES (1, 2, 1, 0, 1, {number}, 'TEXT', '{text}')")
    };
    server.run_sql(&(0..count).map(said).collect::<Vec<_>>()); // as if Alice had written it all
    // It takes longer than the client waits for an answer, but all the time something comes.
    let mut bob = server.console(&["--patience", "0.1", "--dataDir", "b"]);
    bob.line("/login bob 123456");
    bob.line("/msg alice hello");
    bob.expect("  sent #");
    let lost = bob.transcript.iter().find(|line| line.starts_with("! connection lost"));
    assert_eq!(lost, None);
    bob.line("/open alice");
    bob.expect(&format!("unread {count}"));
    for number in 0..count {
        assert_eq!(bob.next_line().map(|line| line[7..].to_owned()), Some(text(number)), "{number}");
    }
    bob.line("/unread");
    bob.expect("  unread 0");
}

#[test]
fn a_second_login_ends_the_first_script_at_once_and_no_offline_flicker_remains() {
    let server = Server::start();
    friends(&server);
    let mut bob = talking(&server, &[], "bob", "alice");
    let mut first = server.console(&[]);
    first.line("/login alice 123456");
    first.expect("requests 0");
    bob.expect("* Alice is online");
    let mut second = server.console(&[]);
    second.line("/login alice 123456");
    second.expect("requests 0");
    first.expect("* logged out: alice logged in at another place");
    assert_eq!(first.finish(), (1, vec![], String::new()));
    second.line("/msg bob here");
    bob.expect("Alice: here");
    let mut states = bob.transcript.iter().filter(|line| line.starts_with("* Alice is"));
    assert_eq!(states.next_back().map(String::as_str), Some("* Alice is online"));
}

#[test]
fn logging_in_as_somebody_else_logs_out_first() {
    let server = Server::start();
    friends(&server);
    let mut console = server.console(&[]);
    console.line("/login alice 123456");
    console.line("/login bob 123456");
    console.expect("logged in as bob (Bob), uid 2");
    console.line("/friends");
    assert_eq!(console.expect("alice"), "  1  alice  Alice  not said  offline  friend  unread 0");
}

#[test]
fn another_passphrase_or_no_server_is_told_on_standard_error_and_ends_with_1() {
    let server = Server::start();
    let wrong = server.console(&["--passphrase", "other"]).finish();
    let address = server.chat;
    let reason = format!("! {address} has another passphrase: start both with the same --passphrase\n");
    assert_eq!(wrong, (1, vec![], reason));

    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let free = listener.local_addr().expect("an address");
    drop(listener);
    let folder = Folder::new();
    let (code, lines, errors) =
        run(folder.path(), &["client", "--chatPort", &free.port().to_string(), "--lang", "en"]);
    assert_eq!((code, lines.as_str()), (1, ""));
    let start = format!("! nobody listens on {free} (");
    let end = "): is the server running? See --serverIp, --chatPort\n";
    assert!(errors.starts_with(&start) && errors.ends_with(end), "{errors}");
}

#[test]
fn when_nobody_reads_the_output_the_client_logs_out_and_ends_with_1() {
    let server = Server::start();
    friends(&server);
    let mut bob = talking(&server, &[], "bob", "alice");
    let port = server.chat.port().to_string();
    let mut command = Command::new(env!("CARGO_BIN_EXE_minim"));
    command.args(["client", "--lang", "en", "--chatPort", &port]).current_dir(server.folder());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut alice = command.spawn().expect("minim starts");
    let mut input = alice.stdin.take().expect("piped");
    let mut output = BufReader::new(alice.stdout.take().expect("piped"));
    input.write_all(b"/login alice 123456\n").expect("the client reads");
    let mut line = String::new();
    while !line.contains("requests 0") {
        line.clear();
        assert_ne!(output.read_line(&mut line).expect("UTF-8"), 0);
    }
    bob.expect("* Alice is online");
    drop(output);
    input.write_all(b"/friends\n").expect("the client reads");
    bob.expect("* Alice is offline");
    let ended = alice.wait_with_output().expect("a child of ours");
    assert_eq!(ended.status.code(), Some(1));
    assert_eq!(String::from_utf8_lossy(&ended.stderr), "");
    drop(input);
}

#[test]
fn everything_works_with_plain_http_too() {
    let server = Server::start();
    friends(&server);
    let (code, lines) = script(&server, &["--http", "plain"], &["/login bob 123456", "/friends"]);
    assert_eq!((code, lines[4].as_str()), (0, "  friends 1, online 0"));

    let server = Server::with(&["--http", "sealed"]); // it really is plain: this server turns it away
    let (code, lines) = script(&server, &["--http", "plain"], &["/register bob 123456"]);
    let turned_away = "! the server turned /getFriendsById away (this server takes sealed HTTP alone)";
    assert!(code == 1 && lines.iter().any(|line| line == turned_away), "{lines:?}");
}

/// The `{NAME}`s of a line, sorted.
fn places(line: &str) -> Vec<&str> {
    let mut places: Vec<&str> =
        line.split('{').skip(1).map(|behind| behind.split('}').next().expect("a name")).collect();
    places.sort_unstable();
    places
}

#[test]
fn every_word_stands_in_both_languages_once_and_is_used() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/client");
    let mut source = String::new();
    for file in fs::read_dir(folder).expect("a folder") {
        let path = file.expect("an entry").path();
        if path.extension().is_some_and(|extension| extension == "rs") {
            source += &fs::read_to_string(path).expect("UTF-8");
        }
    }
    for file in ["src/client.rs", "src/demo.rs"] {
        source += &fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).expect("UTF-8");
    }

    let mut seen = HashMap::new();
    for [key, english, chinese] in words::rows() {
        assert!(!english.is_empty(), "{key} has no words");
        assert_eq!(seen.insert(key, english), None, "{key} stands there twice");
        if !chinese.is_empty() {
            assert_eq!(places(english), places(chinese), "{key}");
        }
        let group = key.split('.').next().expect("a key");
        let by_group = ["help", "usage", "example", "wire", "argument", "refused", "sex", "request", "group"]
            .contains(&group);
        let base = key.strip_suffix(".shown").unwrap_or(key);
        assert!(by_group || source.contains(&format!("\"{base}\"")), "{key} is not used");
    }
    for name in source.split("name: \"").skip(1).map(|rest| rest.split('"').next().expect("a name")) {
        for part in ["help", "usage", "example", "wire"] {
            assert!(seen.contains_key(format!("{part}.{name}").as_str()), "{part}.{name} is missing");
        }
    }
    for call in ["say(\"", "answer(\"", "event(\"", "trouble(\"", "failure(\"", "question(client, \""] {
        for key in source.split(call).skip(1).map(|rest| rest.split('"').next().expect("a key")) {
            assert!(seen.contains_key(key), "{key} is not in words.txt");
        }
    }
}

#[test]
fn the_limits_that_the_words_name_are_those_that_hold() {
    let limits = [
        ("ask.loginName", 1, MAX_NAME),
        ("argument.N", 1, MAX_HISTORY),
        ("argument.WIDTH", MIN_WIDTH, MAX_WIDTH),
    ];
    for (key, least, most) in limits {
        let [_, english, chinese] = words::rows().find(|[name, ..]| *name == key).expect("a row");
        assert!(english.contains(&format!("{least} to {most}")), "{english}");
        assert!(chinese.contains(&format!("{least} 到 {most}")), "{chinese}");
    }
}

#[test]
fn a_group_is_made_filled_talked_in_renamed_and_ended() {
    let server = Server::start();
    friends(&server);
    let mut alice = talking(&server, &[], "alice", "bob");
    let mut bob = server.console(&[]);
    bob.line("/login bob 123456");
    bob.expect("  logged in as bob (Bob), uid 2");
    bob.expect("  friends 1 (1 online), groups 0, unread 0, requests 0");

    alice.line("/create 网络课设 bob");
    alice.expect("  created #网络课设, group 1, invited 1");
    alice.expect("* you are in #网络课设 now (group 1)");
    let asked = bob.expect("Alice (alice) invites you to #网络课设");
    assert!(asked.starts_with("* request #"), "{asked}");
    bob.line("/accept");
    bob.expect("  accepted request #");
    bob.expect("* you are in #网络课设 now (group 1)");
    alice.expect("* Bob joined #网络课设");
    bob.line("/msg #网络课设 明天几点验收？");
    bob.expect("  sent #");
    alice.expect("* #网络课设 Bob: 明天几点验收？ (unread 1, /open #网络课设)");
    alice.line("/unread");
    alice.expect("  #网络课设  1");
    alice.line("/open #1");
    alice.expect("  talking in #网络课设 (group 1), members 2, online 2, unread 1");
    alice.expect("#网络课设 Bob: 明天几点验收？");
    alice.line("九点，机房");
    alice.expect("  sent #");
    bob.expect("* #网络课设 Alice: 九点，机房 (unread 1, /open #网络课设)");
    bob.line("/o #网络课设");
    bob.expect("  talking in #网络课设 (group 1), members 2, online 2, unread 1");
    bob.expect("#网络课设 Alice: 九点，机房");
    bob.line("/groups");
    bob.expect("  1  #网络课设  members 2  owner Alice  unread 0");
    bob.expect("  groups 1");
    bob.line("/members");
    bob.expect("  1  alice  Alice  not said  online  friend  owner");
    bob.expect("  2  bob    Bob    not said  online  me");
    bob.expect("  members 2, online 2");
    for (line, answer) in [
        ("/rename x", "! only the owner of #网络课设 may do that"),
        ("/open #nothing", "! there is no group #nothing"),
        ("/join 99", "! there is no group #99"),
        ("/join 1", "! Bob is in #网络课设 already"),
        ("/invite alice", "! Alice is in #网络课设 already"),
        ("/dissolve", "! /dissolve needs GROUP: /dissolve GROUP"),
        ("/remove alice", "! only the owner of #网络课设 may do that"),
    ] {
        bob.line(line);
        bob.expect(answer);
    }

    let mut carol = server.console(&[]);
    carol.line("/register carol 123456 Carol");
    carol.expect("  logged in as carol (Carol), uid 3");
    carol.line("/join #1");
    carol.expect("  asked to join #网络课设, request #");
    alice.expect("Carol (carol) wants to join #网络课设");
    alice.line("/accept");
    alice.expect("* Carol joined #网络课设");
    carol.expect("* you are in #网络课设 now (group 1)");
    alice.line("/rename #网络课设 \"实验 三\"");
    alice.expect("  #网络课设 is now #实验 三");
    bob.expect("* group 1 is called #实验 三 now");
    bob.line("/msg \"#实验 三\" 好");
    bob.expect("  sent #");
    alice.line("/remove carol");
    alice.expect("  removed Carol from #实验 三");
    carol.expect("* you were removed from #实验 三");
    carol.line("/msg #1 why?");
    carol.expect("! you are not in #1"); // she knows it: something is unread there
    alice.line("/leave");
    alice.expect("  left #实验 三");
    bob.expect("* Alice left #实验 三");
    bob.expect("* Bob owns #实验 三 now");
    bob.line("/dissolve \"#实验 三\"");
    bob.expect("  dissolved #实验 三");
    bob.expect("* #实验 三 was dissolved");
    bob.line("anybody?");
    bob.expect("! nobody is listening");
}

#[test]
fn nothing_that_a_terminal_would_obey_is_left_in_a_text_and_emoji_stay_whole() {
    let cases = [
        ("a\x1b[2Jb", "a\\x1b[2Jb"),
        ("\u{9b}31m\u{7f}\0", "\\x9b31m\\x7f\\x00"),
        ("tab\tand\nline", "tab and line"),
        ("\u{202e}txt.exe", "\\u{202e}txt.exe"),
        ("\u{2066}\u{200f}\u{61c}\u{feff}\u{e0041}", "\\u{2066}\\u{200f}\\u{61c}\\u{feff}\\u{e0041}"),
        ("e\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}!", "e\u{301}\u{301}\u{301}\u{301}!"),
        ("你好👨‍👩‍👧🙂", "你好👨‍👩‍👧🙂"),
    ];
    for (text, shown) in cases {
        assert_eq!(harmless(text), shown);
    }
    let names = [
        ("Alice", "Alice"),
        ("小明", "小明"),
        ("a.b-c_d e", "a.b-c_d e"),
        ("* Bob is online", "\"* Bob is online\""),
        ("a  b", "\"a  b\""),
        ("[21:30] x", "\"[21:30] x\""),
        ("#7", "\"#7\""),
        ("", "\"\""),
    ];
    for (name, shown) in names {
        assert_eq!(harmless_name(name), shown);
    }
}

/// A server that says yes to LOGIN, answers nothing over HTTP, and pushes as fast as it can: the client must stop reading.
#[test]
fn a_server_that_pushes_while_its_client_waits_fills_no_memory() {
    let (folder, silent) = (Folder::new(), TcpListener::bind("127.0.0.1:0").expect("a port"));
    let http_port = silent.local_addr().expect("an address").port();
    let listener =
        socket::listen("127.0.0.1:0".parse().expect("an address"), "L", &Trace::off()).expect("a port");
    let chat_port = listener.address().expect("an address").port().to_string();
    let words = ["client", "--chatPort", &chat_port, "--patience", "5", "--lang", "en"];
    let mut console = Program::start(folder.path(), &words, &[]);
    let open = |socket: &Socket| {
        hello_as_server(socket, PASSPHRASE.as_bytes(), Instant::now() + DEADLINE).expect("a hello")
    };
    open(&socket::accept(&listener, "first").expect("the client, to see who we are"));
    console.line("/login alice 123456");
    let socket = socket::accept(&listener, "second").expect("the client");
    let (mut sender, mut receiver) = open(&socket);
    receiver.receive(&socket, Instant::now() + DEADLINE).expect("a frame").expect("LOGIN");
    let login_ok = serde_json::json!({"type": "LOGIN_OK", "clientNo": 1, "uid": 1, "loginName": "alice",
        "username": "A", "sex": 0, "picUrl": "", "sessionId": "0", "httpPort": http_port, "lastId": 0});
    socket.send(&sender.seal(login_ok.to_string().as_bytes()), Instant::now() + DEADLINE).expect("it reads");
    let notice =
        serde_json::json!({"type": "BROADCAST", "from": "x", "text": "x".repeat(8_000), "sendTime": 0});
    let notice = notice.to_string();
    let mut push = || socket.send(&sender.seal(notice.as_bytes()), Instant::now() + Duration::from_secs(1));
    let pushed = (0..4_000).take_while(|_| push().is_ok()).count(); // until neither it nor the system takes more
    assert!(pushed < 4_000, "{pushed} notices of 8,000 bytes, and no end");
}
