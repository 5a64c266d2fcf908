//! Chat records: the files that the client keeps, and what becomes of them when something is missing, torn or double.

#![cfg(feature = "sqlite")] // where the servers of these tests keep their data, unless MINIM_TEST_DATABASE is set

mod common;

use std::fs;
use std::path::PathBuf;

use common::{Server, friends, make_group, script, talking};
use minim::client::conversation::Conversation;
use minim::client::records::{decode_msg, encode_msg};
use minim::message::Envelope;

/// The file of a conversation, below this `--dataDir` of a client.
fn log(server: &Server, data: &str, uid: u64, name: &str) -> PathBuf {
    let folder = format!("{}_{}", server.chat.ip(), server.chat.port());
    server.folder().join(data).join("records").join(folder).join(uid.to_string()).join(name)
}

fn lines(path: &PathBuf) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert!(text.ends_with('\n'), "{text:?}");
    text.lines().map(str::to_owned).collect()
}

fn texts(path: &PathBuf) -> Vec<String> {
    lines(path).iter().filter_map(|line| line.split('\t').nth(5).map(str::to_owned)).collect()
}

#[test]
fn a_record_is_one_line_and_reads_back_as_it_was() {
    let with = Conversation { is_friend: true, to_id: 1 };
    let record = |from_id, text: &str| {
        let to_id = if from_id == 2 { 1 } else { 2 };
        let (from_name, msg_type) = ("Alice".to_owned(), "TEXT".to_owned());
        let envelope = Envelope {
            id: 7,
            from_id,
            from_name,
            is_friend: true,
            to_id,
            send_time: 1_684_500_000_123,
            msg_type,
        };
        (envelope, text.to_owned())
    };
    assert_eq!(encode_msg(&record(1, "你好\n第二行")), "7\t1684500000123\t1\tAlice\tTEXT\t你好\\n第二行");
    for text in
        ["see /etc/nginx", "C:\\new", "two\nlines", "\\\\n", "\\", "\t\r\n\\t\\r", "", "😀", "a\\\\\\nb"]
    {
        for from_id in [1, 2] {
            let line = encode_msg(&record(from_id, text));
            assert!(!line.contains(['\n', '\r']) && line.split('\t').count() == 6, "{line:?}");
            assert_eq!(decode_msg(line.as_bytes(), with, 2), Some(record(from_id, text)), "{line:?}");
        }
    }
    let mut strange = record(1, "x");
    strange.0.from_name = "A\tB\nC".to_owned();
    assert_eq!(decode_msg(encode_msg(&strange).as_bytes(), with, 2), Some(strange));
    for none in [
        "",
        "7",
        "7\t1\t1\tAlice\tTEXT",
        "7\t1\t1\tA\tTEXT\tx\ty",
        "x\t1\t1\tA\tTEXT\tx",
        "-1\t1\t1\tA\tTEXT\tx",
    ] {
        assert_eq!(decode_msg(none.as_bytes(), with, 2), None, "{none:?}");
    }
    assert_eq!(decode_msg(b"7\t1\t1\tA\tTEXT\t\xff", with, 2), None);
}

#[test]
fn what_is_said_is_recorded_on_both_sides_shown_or_not() {
    let server = Server::start();
    friends(&server);
    let mut alice = talking(&server, &["--dataDir", "a"], "alice", "bob");
    let mut bob = server.console(&["--dataDir", "b"]);
    bob.line("/login bob 123456");
    bob.expect("  friends 1");
    for text in ["C:\\new", "see /etc/nginx", "//first", "\\\\n", "你好", "/paste\ntwo\nlines\n."] {
        alice.line(text);
        bob.expect("* Alice: ");
    }
    alice.line("/history 6");
    let shown = ["C:\\new", "see /etc/nginx", "/first", "\\\\n", "你好", "two"];
    for text in shown {
        assert!(alice.expect("  #").ends_with(&format!(" Alice: {text}")) || text == "two", "{text}");
    }
    assert_eq!(alice.next_line().as_deref(), Some("    lines"));
    make_group(&mut alice, &mut bob, "net");
    bob.line("/msg #net in the group");
    alice.expect("* #net Bob: in the group");
    bob.line("/quit");
    alice.line("/quit");
    bob.expect("  goodbye");
    alice.expect("  goodbye");
    let expected = ["C:\\\\new", "see /etc/nginx", "/first", "\\\\\\\\n", "你好", "two\\nlines"];
    for (data, uid, name) in [("a", 1, "friend-2.log"), ("b", 2, "friend-1.log")] {
        let lines = lines(&log(&server, data, uid, name));
        let fields: Vec<Vec<&str>> = lines.iter().map(|line| line.split('\t').collect()).collect();
        assert!(fields.iter().all(|line| line[2..5] == ["1", "Alice", "TEXT"]), "{lines:?}");
        assert!(fields.iter().map(|line| line[5]).eq(expected), "{lines:?}");
        assert!(
            fields.iter().all(|line| line[1].len() == 13),
            "the server's clock, also for one's own: {lines:?}"
        );
    }
    for (data, uid) in [("a", 1), ("b", 2)] {
        assert_eq!(texts(&log(&server, data, uid, "group-1.log")), ["in the group"]);
    }
}

#[test]
fn what_was_said_at_another_place_is_fetched_and_stands_where_it_belongs() {
    let server = Server::start();
    friends(&server);
    let at = |place: &str, texts: &[&str]| {
        let mut lines = vec!["/login alice 123456", "/open bob"];
        lines.extend(texts);
        let (code, printed) = script(&server, &["--dataDir", place], &lines);
        assert_eq!(code, 0, "{printed:?}");
        printed
    };
    at("a", &["one", "two"]);
    at("b", &["three"]);
    let many: Vec<String> = (1..=250).map(|number| format!("number {number}")).collect();
    at("b", &many.iter().map(String::as_str).collect::<Vec<_>>());
    let bob = ["/login bob 123456", "/open alice", "four"];
    assert_eq!(script(&server, &["--dataDir", "bob"], &bob).0, 0);
    // At LOGIN "four" is pushed; what was said at b comes before it.
    let printed = at("a", &["five", "/history 5", "/history 500"]);
    let mut all = vec!["one".to_owned(), "two".to_owned(), "three".to_owned()];
    all.extend(many);
    all.extend(["four".to_owned(), "five".to_owned()]);
    assert_eq!(texts(&log(&server, "a", 1, "friend-2.log")), all);
    let shown: Vec<&str> = printed
        .iter()
        .filter(|line| line.starts_with("  #"))
        .filter_map(|line| line.split(": ").nth(1))
        .collect();
    assert_eq!(shown[..5], all[all.len() - 5..]);
    assert_eq!(shown[5..], all);
    let b = texts(&log(&server, "b", 1, "friend-2.log"));
    assert_eq!(b, all[2..all.len() - 2], "what is older than the first line is not stored");
    let printed = at("b", &["/history 500"]);
    assert_eq!(
        printed.iter().filter(|line| line.starts_with("  #")).count(),
        all.len(),
        "it is shown all the same"
    );
}

#[test]
fn torn_double_and_foreign_lines_do_no_harm() {
    let server = Server::start();
    friends(&server);
    let chat = ["/login alice 123456", "/open bob", "one", "two"];
    assert_eq!(script(&server, &["--dataDir", "a"], &chat).0, 0);
    let path = log(&server, "a", 1, "friend-2.log");
    let good = fs::read_to_string(&path).expect("two lines");
    let (first, second) = good.split_once('\n').expect("two lines");
    let torn = &second[..second.len() - 3]; // looks whole, says `t`
    fs::write(&path, format!("{first}\nnonsense\n\u{0}\n{first}\n{torn}")).expect("written");
    let chat = ["/login alice 123456", "/open bob", "three", "/history"];
    let (code, printed) = script(&server, &["--dataDir", "a"], &chat);
    assert_eq!(code, 0);
    let shown: Vec<&str> = printed.iter().filter_map(|line| line.split(" Alice: ").nth(1)).collect();
    assert_eq!(shown, ["one", "two", "three"], "{printed:?}");
    assert!(fs::read_to_string(&path).expect("the file").contains(&format!("{torn}\n{second}")));
}

#[test]
fn records_of_another_server_are_put_aside() {
    let server = Server::start();
    friends(&server);
    let chat = ["/login alice 123456", "/open bob", "one", "two"];
    assert_eq!(script(&server, &["--dataDir", "a"], &chat).0, 0);
    server.run_sql(&["DELETE FROM message WHERE type = 1".to_owned()]);
    let path = log(&server, "a", 1, "friend-2.log");
    let old = fs::read_to_string(&path).expect("two lines");
    let chat = ["/login alice 123456", "/open bob", "/history", "three", "/history"];
    let (code, printed) = script(&server, &["--dataDir", "a"], &chat);
    assert_eq!(code, 0);
    assert_eq!(
        printed.iter().filter(|line| line.starts_with("  messages ")).collect::<Vec<_>>(),
        ["  messages 0", "  messages 1"]
    );
    assert_eq!(texts(&path), ["three"]);
    assert_eq!(fs::read_to_string(path.with_extension("log.old")).expect("kept"), old);
}

#[test]
fn without_server_what_is_recorded_is_shown_and_that_it_is_not_all_is_said() {
    let mut server = Server::start();
    friends(&server);
    let mut alice = talking(&server, &["--dataDir", "a"], "alice", "bob");
    for text in ["one", "two", "three"] {
        alice.line(text);
        alice.expect("  sent #");
    }
    server.kill();
    alice.expect("! connection lost");
    alice.line("/history 2");
    alice.expect("Alice: two");
    alice.expect("Alice: three");
    alice.expect("  messages 2 (earlier: /history more)");
    alice.line("/history");
    alice.expect("Alice: one");
    alice.expect("Alice: three");
    alice.expect("! not connected: messages 3 are recorded here, the server may have earlier ones");
}

#[test]
fn a_folder_that_cannot_be_written_costs_the_records_alone() {
    let server = Server::start();
    friends(&server);
    fs::write(server.folder().join("a"), "a file in the way").expect("written");
    let chat = ["/login alice 123456", "/open bob", "one", "two", "/history"];
    let (code, printed) = script(&server, &["--dataDir", "a"], &chat);
    let troubles: Vec<&String> =
        printed.iter().filter(|line| line.starts_with("! cannot write a/records")).collect();
    assert_eq!((code, troubles.len()), (0, 1), "{printed:?}");
    assert!(printed.contains(&"  messages 2".to_owned()), "{printed:?}");
}

#[test]
fn what_could_not_be_written_is_fetched_before_anything_else_is() {
    let server = Server::start();
    friends(&server);
    let mut alice = talking(&server, &["--dataDir", "a"], "alice", "bob");
    let path = log(&server, "a", 1, "friend-2.log");
    let aside = path.with_extension("aside");
    alice.line("one");
    alice.expect("  sent #");
    fs::rename(&path, &aside).expect("moved");
    fs::create_dir(&path).expect("a folder in the way");
    alice.line("two");
    alice.expect("! cannot write ");
    alice.expect("  sent #");
    fs::remove_dir(&path).expect("empty");
    fs::rename(&aside, &path).expect("moved back");
    alice.line("three");
    alice.expect("  sent #");
    alice.line("/history");
    alice.expect("  messages 3");
    assert_eq!(texts(&path), ["one", "two", "three"]);
}
