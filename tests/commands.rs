//! The commands about one's profile, password and picture, and about old messages: real programs on pipes, line by line.

#![cfg(feature = "sqlite")] // where the servers of these tests keep their data, unless MINIM_TEST_DATABASE is set

mod common;

use std::fs;
use std::process::Command;

use common::{Server, friends, make_group, script, talking};
use minim::client::picture::measure;
use minim::clock::{Civil, civil, since_1970};
use minim::limits::MAX_PICTURE;

/// The smallest head of each: 3 columns, 2 rows.
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\0\x03\0\0\0\x02\x08\x02\0\0\0";
const GIF: &[u8] = b"GIF89a\x03\0\x02\0\0\0\0";
/// With a comment, a table, and a fill octet before the frame header.
const JPEG: &[u8] =
    b"\xff\xd8\xff\xfe\0\x05abc\xff\xc4\0\x03x\xff\xff\xc2\0\x0b\x08\0\x02\0\x03\x01\x01\x11\0";

#[test]
fn a_profile_is_shown_and_changed_and_friends_hear_of_it() {
    let server = Server::start();
    friends(&server);
    assert_eq!(script(&server, &[], &["/register carol 123456 Carol m"]).0, 0);
    let mut bob = talking(&server, &[], "bob", "alice");
    let lines = [
        "/login alice 123456",
        "/profile",
        "/profile BOB",
        "/资料 @3",
        "/profile carol",
        "/profile nobody",
        "/profile @99",
        "/set username 爱丽丝",
        "/修改 性别 女",
        "/profile",
        "/set",
        "/set age 3",
        "/set sex x",
        "/set username",
    ];
    let (code, printed) = script(&server, &[], &lines);
    let expected = [
        "  1  alice  Alice  not said  online  me",
        "  2  bob  Bob  not said  online  friend",
        "  3  -  Carol  -  -  -",
        "  3  carol  Carol  male  -  -",
        "! nobody is called nobody",
        "! nobody is called @99",
        "  username is now 爱丽丝",
        "  性别 is now female",
        "  1  alice  爱丽丝  female  online  me",
        "! /set needs FIELD (username or sex): /set username|sex VALUE",
        "! /set needs FIELD (username or sex): /set username|sex VALUE",
        "! /set needs SEX (m or f): /set username|sex VALUE",
        "! /set needs USERNAME: /set username|sex VALUE",
        "  goodbye",
        "! commands failed: 6",
    ];
    assert_eq!((code, &printed[3..]), (1, &expected.map(str::to_owned)[..]));
    bob.expect("* Alice is called 爱丽丝 now");
}

#[test]
fn a_new_password_keeps_the_session_and_is_the_one_that_counts() {
    let mut server = Server::start();
    friends(&server);
    let mut bob = talking(&server, &[], "bob", "alice");
    let mut alice = talking(&server, &[], "alice", "bob");
    alice.line("/password wrong 654321");
    alice.expect("! wrong name or password");
    alice.line("/password 123456");
    alice.expect("! /password needs OLD NEW: /password [OLD NEW]");
    alice.line("/改密码 123456 654321");
    alice.expect("  password changed");
    alice.line("still here");
    bob.expect("Alice: still here");
    alice.line("/friends");
    alice.expect("  friends 1, online 1");
    server.kill();
    alice.expect("! connection lost");
    server.start_again();
    alice.expect("* connected again, logged in as alice");
    let kicked = alice.transcript.iter().find(|line| line.starts_with("* logged out"));
    assert_eq!(kicked, None, "one's own change is no news");
    let (_, printed) = script(&server, &[], &["/login alice 123456", "/login alice 654321"]);
    assert_eq!(printed[1], "! wrong name or password");
    assert_eq!(printed[2], "  logged in as alice (Alice), uid 1");
}

#[test]
fn a_picture_is_looked_at_sent_and_fetched_by_others_and_overwrites_nothing() {
    let server = Server::start();
    friends(&server);
    let folder = server.folder();
    for (name, octets) in [("my cat.png", PNG), ("a.gif", GIF), ("a.jpg", JPEG), ("a.txt", b"GIF9")] {
        fs::write(folder.join(name), octets).expect("written");
    }
    fs::write(folder.join("large.png"), [PNG, &vec![0; MAX_PICTURE]].concat()).expect("written");
    let made = Command::new("mkfifo").arg(folder.join("fifo")).status(); // to read it would take for ever
    assert!(made.is_ok_and(|status| status.success()));
    let lines = [
        "/login alice 123456",
        "/avatar show",
        "/avatar my cat.png",
        "/avatar \"my cat.png\"",
        "/avatar a.gif",
        "/头像 a.jpg",
        "/avatar a.txt",
        "/avatar none.png",
        "/avatar large.png",
        "/avatar fifo",
        "/avatar",
    ];
    let (code, printed) = script(&server, &[], &lines);
    let expected = [
        "! Alice has no picture",
        "  picture set: PNG 3x2, 29 bytes",
        "  picture set: PNG 3x2, 29 bytes",
        "  picture set: GIF 3x2, 13 bytes",
        "  picture set: JPEG 3x2, 28 bytes",
        "! a.txt is no JPEG, PNG or GIF",
        "! cannot read none.png: there is no such file",
        "! too large: 1048605 bytes, at most 1048576",
        "! cannot read fifo: it is no file",
        "! /avatar needs PATH: /avatar PATH, /avatar show [WHO]",
        "  goodbye",
        "! commands failed: 6",
    ];
    assert_eq!((code, &printed[3..]), (1, &expected.map(str::to_owned)[..]));

    // A server, or who stores one without minim's client, can call anything a picture.
    let mut bob = server.peer();
    bob.log_in_with("bob", "123456");
    let post = |target: &str, body: &str| {
        let (host, sid, length) = (server.http, &bob.session_id, body.len());
        let lines =
            format!("Host: {host}\r\nCookie: sid={sid}\r\nContent-Length: {length}\r\nConnection: close\r\n");
        server.raw_http(format!("POST {target} HTTP/1.1\r\n{lines}\r\n{body}").as_bytes()).1
    };
    let answer = post("/uploadPicture", "GIF89a");
    let stored = answer.split('"').find(|piece| piece.starts_with("/static/")).expect("a picUrl").to_owned();
    assert!(post(&format!("/modifyUser?picUrl={stored}"), "").contains("\"ok\":true"));
    let lines = ["/login bob 123456", "/avatar show"];
    let (code, printed) = script(&server, &[], &lines);
    assert_eq!((code, &*printed[3]), (1, &*format!("! {stored} is no JPEG, PNG or GIF")));

    let lines = ["/login bob 123456", "/avatar show alice", "/头像 查看 alice"];
    let (code, printed) = script(&server, &[], &lines);
    assert_eq!(code, 0, "{printed:?}");
    let path = |line: &str| {
        let path = line.strip_prefix("  picture of Alice: JPEG 3x2, 28 bytes, saved as ");
        folder.join(path.unwrap_or_else(|| panic!("{line}")))
    };
    let (first, second) = (path(&printed[3]), path(&printed[4]));
    assert!(first.starts_with(server.data().join("downloads")), "{}", first.display());
    assert!(second.to_string_lossy().ends_with(" (2).jpg"), "{}", second.display());
    for path in [first, second] {
        assert_eq!(fs::read(path).expect("saved"), JPEG);
    }
}

#[test]
fn no_beginning_of_a_picture_is_measured_wrong() {
    for (octets, format) in [(PNG, "PNG"), (GIF, "GIF"), (JPEG, "JPEG")] {
        assert_eq!(measure(octets), Some((format, 3, 2)));
        for length in 0..octets.len() {
            let found = measure(&octets[..length]);
            assert!(found.is_none_or(|found| found == (format, 3, 2)), "{format}, {length}: {found:?}");
        }
    }
    assert_eq!(measure(b"\xff\xd8\xff\xfe\0\0\xff\xfe\0\0"), None, "segments of no length end somewhere");
    assert_eq!(measure(b"\xff\xd8\xff\xfe\xff\xff"), None);
    assert_eq!(measure(b"\xff\xd8x\xc0\0\0\0\0\0\0\0\0"), None);
}

#[test]
fn history_is_shown_by_pages_and_filtered() {
    let server = Server::start();
    friends(&server);
    let texts: Vec<String> = (1..=25).map(|number| format!("number {number}")).collect();
    let mut lines = vec!["/login bob 123456", "/open alice"];
    lines.extend(texts.iter().map(String::as_str));
    assert_eq!(script(&server, &[], &lines).0, 0);

    let today = civil(minim::clock::now_ms(), 0);
    let date = format!("{}-{:02}-{:02}", today.year, today.month, today.day);
    let filters = [
        format!("/history 500 since:{date}"), // the day may end between these lines, not before them
        format!("/history 500 until:{date} type:text from:bob text:number 2"),
        "/history since:2999-01-01T00:00".to_owned(),
        "/history until:2000-01-01".to_owned(),
        "/history type:emoji".to_owned(),
        "/history text:\"number 25\"".to_owned(),
    ];
    let mut lines =
        vec!["/login alice 123456", "/history", "/open bob", "answer", "/history more", "/history"];
    lines.extend(["/history more", "/history more", "/记录 2", "/history 2 from:alice"]);
    lines.extend(filters.iter().map(String::as_str));
    let (_, printed) = script(&server, &["--timeZone", "+00:00"], &lines);
    let start = printed.iter().position(|line| line.starts_with("  sent #")).expect("sent");
    let answer: u64 = printed[start].trim_start_matches("  sent #").parse().expect("an id");
    let bobs =
        |from: u64, to: u64| (from..=to).map(move |n| format!("  #{} Bob: number {n}", answer - 26 + n));
    let mine = || std::iter::once(format!("  #{answer} Alice: answer"));
    let said = |line: &str| std::iter::once(line.to_owned());
    let expected: Vec<String> = said("! no earlier messages: /history shows the newest")
        .chain(bobs(7, 25).chain(mine()).chain(said("  messages 20 (earlier: /history more)")))
        .chain(bobs(1, 6).chain(said("  messages 6")))
        .chain(said("! no earlier messages: /history shows the newest"))
        .chain(bobs(25, 25).chain(mine()).chain(said("  messages 2 (earlier: /history more)")))
        .chain(mine().chain(said("  messages 1")))
        .chain(bobs(1, 25).chain(mine()).chain(said("  messages 26")))
        .chain(bobs(2, 2).chain(bobs(20, 25)).chain(said("  messages 7")))
        .chain((0..3).flat_map(|_| said("  messages 0")))
        .chain(bobs(25, 25).chain(said("  messages 1")))
        .chain(said("  goodbye"))
        .chain(said("! commands failed: 3"))
        .collect();
    assert_eq!(printed[start + 1..], expected);
    assert!(printed.contains(&"! nobody is listening: /open WHO first, or /msg WHO TEXT".to_owned()));
}

#[test]
fn what_history_cannot_look_for_is_said() {
    let server = Server::start();
    friends(&server);
    let wrong = [
        "0",
        "501",
        "x",
        "from:",
        "from:nobody",
        "since:",
        "since:25:00",
        "since:2026-02-29",
        "until:+1-1-1",
    ];
    let more = ["type:x", "type:TEXT", "text:", "x:y", "5 6", "from:bob x"];
    let mut lines = vec!["/login alice 123456".to_owned(), "/open bob".to_owned()];
    lines.extend(wrong.iter().chain(&more).map(|argument| format!("/history {argument}")));
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let (_, printed) = script(&server, &[], &lines);
    let failures: Vec<&str> = printed[4..printed.len() - 2]
        .iter()
        .map(|line| line.split(": /history").next().unwrap_or_default())
        .collect();
    let number = "! /history needs N (1 to 500)";
    let time = "! /history needs TIME (21:30, 2026-11-24, 2026-11-24T21:30)";
    let kind = "! /history needs TYPE (text, emoji, picture, file)";
    let filter = "! /history needs FILTER (from: since: until: type: text:)";
    let expected = [
        number,
        number,
        number,
        filter,
        "! nobody is called nobody",
        time,
        time,
        time,
        time,
        kind,
        kind,
        filter,
        filter,
        filter,
        filter,
    ];
    assert_eq!(failures, expected);
}

#[test]
fn a_group_has_a_history_too_and_long_texts_are_shown_whole_there() {
    let server = Server::start();
    friends(&server);
    let mut bob = server.console(&[]);
    bob.line("/login bob 123456");
    let mut alice = talking(&server, &[], "alice", "bob");
    make_group(&mut alice, &mut bob, "net");
    bob.line("/open #net");
    bob.expect("  talking in #net");
    bob.line("/paste");
    for number in 1..=30 {
        bob.line(&format!("line {number}"));
    }
    bob.line(".");
    bob.expect("  sent #");
    alice.line("/open #net");
    alice.expect("    (more lines: 9, /history)");
    alice.line("/history");
    let first = alice.expect(" #net Bob: line 1");
    assert!(first.starts_with("  #"), "{first}");
    for number in 2..=30 {
        assert_eq!(alice.next_line(), Some(format!("    line {number}")));
    }
    alice.expect("  messages 1");
}

#[test]
fn a_moment_that_the_calendar_lacks_is_none() {
    let moment = |month, day, hour| Civil { year: 2026, month, day, hour, minute: 30, second: 0, weekday: 0 };
    assert_eq!(since_1970(moment(11, 24, 21), 8 * 60), Some(1_795_527_000_000));
    for (month, day, hour) in [(2, 29, 0), (13, 1, 0), (0, 1, 0), (4, 31, 0), (4, 0, 0), (4, 1, 24)] {
        assert_eq!(since_1970(moment(month, day, hour), 0), None, "{month}-{day} {hour}:30");
    }
    assert_eq!(since_1970(Civil { year: 1969, ..moment(12, 31, 0) }, 0), None);
}

#[test]
fn a_word_between_colons_becomes_an_emoji_and_a_text_of_emoji_alone_is_one() {
    let server = Server::start();
    friends(&server);
    let mut bob = talking(&server, &[], "bob", "alice");
    let lines = [
        "/login alice 123456",
        "/open bob",
        "写完了 :smile:",
        ":微笑: :smile::heart:",
        "at 12:30:45 :nothing: a:b",
        "😀👍",
        "/history type:emoji",
        "/emoji sm",
        "/表情 nothing",
    ];
    let (code, printed) = script(&server, &[], &lines);
    for text in ["写完了 😀", "😀 😀💖", "at 12:30:45 :nothing: a:b", "😀👍"] {
        let line = bob.expect("Alice: ");
        assert_eq!(line, format!("Alice: {text}"));
    }
    let history = printed.iter().skip_while(|line| !line.contains("Alice: "));
    let history: Vec<&str> = history.map(|line| line.split("Alice: ").last().expect("a piece")).collect();
    let expected =
        ["😀 😀💖", "😀👍", "  messages 2", "  😀 :smile:", "! no emoji is called nothing: /emoji lists all"];
    assert_eq!((code, &history[..5]), (1, &expected[..]));
    let (_, printed) = script(&server, &["--lang", "zh"], &["/emoji", "/emoji 微笑"]);
    assert_eq!(printed.len(), 1 + 5 + 1 + 1, "eight a row, forty in all: {printed:?}");
    assert_eq!(printed[6], "  😀 :微笑:");
}

#[test]
fn the_state_the_language_and_the_width_can_be_asked_and_changed() {
    let server = Server::start();
    friends(&server);
    let lines = [
        "/status",
        "/login alice 123456",
        "/open bob",
        "hello",
        "/status",
        "/width",
        "/width 80",
        "/width 19",
        "/width x",
        "/lang zh",
        "/宽度",
        "/lang fr",
        "/语言 en",
    ];
    let (code, printed) = script(&server, &["--timeZone", "+00:00"], &lines);
    let row = |line: &str| {
        let (name, value) = line.trim_start().split_once("  ").expect("two columns");
        (name.to_owned(), value.trim_start().to_owned())
    };
    let status: Vec<_> = printed[1..11].iter().map(|line| row(line)).collect();
    let names = [
        "server",
        "user",
        "since",
        "conversation",
        "frames",
        "bytes",
        "unread",
        "transfers",
        "trace",
        "width",
    ];
    assert!(status.iter().map(|(name, _)| name).eq(names), "{status:?}");
    let server_row = ("server".to_owned(), server.chat.to_string());
    assert_eq!(status[0], server_row);
    assert!(status[1..6].iter().all(|(_, value)| value == "-"), "{status:?}");
    let status: Vec<_> = printed[15..25].iter().map(|line| row(line)).collect();
    assert_eq!((&*status[1].1, &*status[3].1, &*status[6].1), ("alice", "bob", "0"));
    let today = civil(minim::clock::now_ms(), 0);
    assert!(status[2].1.starts_with(&today.year.to_string()) && status[2].1.len() == 16, "{status:?}");
    // LOGIN, PING, CHAT_SEND_MSG; LOGIN_OK, FRIEND_STATE, PONG, ACK
    assert_eq!(status[4].1, "sent 3, received 4");
    let bytes: Vec<u64> =
        status[5].1.split(|c: char| !c.is_ascii_digit()).filter_map(|n| n.parse().ok()).collect();
    assert!(bytes.len() == 2 && bytes.iter().all(|bytes| (150..2000).contains(bytes)), "{status:?}");
    let expected = [
        "  width is 60",
        "  width is 80",
        "! /width needs N (20 to 1000): /width [N]",
        "! /width needs N (20 to 1000): /width [N]",
        "  语言：中文",
        "  宽度：80 列",
        "! /lang 缺少 语言（en 或 zh）：/lang en|zh",
        "  language is en",
        "  goodbye",
        "! commands failed: 3",
    ];
    assert_eq!((code, &printed[25..]), (1, &expected.map(str::to_owned)[..]));
}

#[test]
fn each_command_has_its_page() {
    let server = Server::start();
    let lines = ["/help", "/help add", "/帮助 /建群", "/h typing", "/help ad", "/help nothing"];
    let (_, printed) = script(&server, &[], &lines);
    let commands = printed.iter().filter(|line| line.starts_with("  /")).count();
    assert!(commands > 35, "{printed:?}");
    let page = [
        "  /add WHO",
        "  asks somebody to be friends",
        "  example: /add bob",
        "  on the wire: GET /canAddFriends, GET /addFriendsOrGroup",
        "  WHO: a login name, a username that one known person has, or @UID; with spaces in quotes",
        "  /create GNAME [WHO...]",
    ];
    let at = printed.iter().position(|line| line == page[0]).expect("the page");
    assert_eq!(printed[at..at + page.len()], page.map(str::to_owned));
    assert!(printed.contains(&"! unknown command /ad, did you mean /add?".to_owned()));
    assert!(printed.contains(&"! unknown command /nothing, /help lists all".to_owned()));
    assert!(printed.iter().any(|line| line.contains("Ctrl-R")), "{printed:?}");
}
