//! Files as users send and fetch them: the console client against a real server, names, breaks, and what is said of it.

#![cfg(feature = "sqlite")] // where the servers of these tests keep their data, unless MINIM_TEST_DATABASE is set

mod common;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::Ordering::SeqCst;

use common::relay::Relay;
use common::{Program, Server, friends, make_group, noise, talking};
use minim::client::downloads::{create, safe_name};
use minim::md5_check::md5;

/// A console of its own data folder, in which NAME is logged in and talks to OTHER.
fn console(server: &Server, name: &str, other: &str) -> Program {
    talking(server, &["--dataDir", name], name, other)
}

fn write(server: &Server, name: &str, bytes: &[u8]) -> PathBuf {
    let path = server.folder().join(name);
    fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    fs::write(&path, bytes).expect("written");
    path
}

/// Files of this user, but for parts.
fn downloads(server: &Server, name: &str) -> Vec<String> {
    let folder = server.folder().join(name).join("downloads");
    let entries = fs::read_dir(folder).map_or(Vec::new(), |entries| entries.flatten().collect());
    let mut names: Vec<String> =
        entries.iter().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.retain(|name| !name.ends_with(".part"));
    names.sort();
    names
}

#[test]
fn a_file_goes_from_one_console_to_the_other_by_its_last_name_and_overwrites_nothing() {
    let server = Server::start();
    friends(&server);
    let (mut alice, mut bob) = (console(&server, "alice", "bob"), console(&server, "bob", "alice"));
    let bytes = noise(200_000);
    write(&server, "子 目录/报告（1）.txt", &bytes);
    alice.line("/file ./子 目录/报告（1）.txt");
    alice.expect("  sending \"报告（1）.txt\" to Bob, 200000 bytes, as u1");
    let sent = alice.expect("* u1 \"报告（1）.txt\" sent as #");
    assert!(sent.ends_with(", 200000 bytes, MD5 checked"), "{sent}");
    let came = bob.expect("Alice: sends \"报告（1）.txt\", 200000 bytes: /get ");
    let id = came.rsplit(' ').next().expect("an id").to_owned();
    for (number, name) in ["报告（1）.txt", "报告（1） (2).txt"].into_iter().enumerate() {
        bob.line(&format!("/get {id}"));
        bob.expect(&format!("  getting \"报告（1）.txt\", 200000 bytes, as #{id}"));
        let saved = bob.expect(&format!("* #{id} \"报告（1）.txt\" saved as "));
        assert!(saved.ends_with(", 200000 bytes, MD5 checked"), "{saved}");
        assert_eq!(downloads(&server, "bob").len(), number + 1);
        let path = server.folder().join("bob/downloads").join(name);
        assert!(fs::read(&path).expect("the file") == bytes, "{name}");
    }
    bob.line(&format!("/get #{id} \"another folder\""));
    bob.expect(&format!("* #{id} \"报告（1）.txt\" saved as another folder"));
    bob.line("/files");
    let row = bob.expect(&format!("  #{id}  "));
    assert!(row.contains("  200000 bytes  Alice  saved as "), "{row}");
    bob.expect("  files 1");
    alice.line("/files");
    let row = alice.expect(&format!("  #{id}  "));
    assert!(row.ends_with(&format!("  200000 bytes  Alice  sent as #{id}")), "{row}");
    alice.line("/history 1");
    alice.expect(&format!("  #{id} Alice: sends \"报告（1）.txt\", 200000 bytes: /get {id}"));
}

#[test]
fn an_empty_file_goes_to_a_friend_and_to_a_group() {
    let server = Server::start();
    friends(&server);
    let (mut alice, mut bob) = (console(&server, "alice", "bob"), console(&server, "bob", "alice"));
    make_group(&mut alice, &mut bob, "lab");
    write(&server, "empty", b"");
    for (line, name) in [
        ("/file empty", "Alice: sends empty, 0 bytes: /get "),
        ("/file empty #lab", "#lab Alice: sends empty, 0 bytes"),
    ] {
        alice.line(line);
        alice.expect(", 0 bytes, MD5 checked");
        let came = bob.expect(name);
        let id: String =
            came.split("/get ").nth(1).expect("an id").chars().take_while(char::is_ascii_digit).collect();
        bob.line(&format!("/get {id}"));
        bob.expect(&format!("* #{id} empty saved as "));
    }
    assert_eq!(downloads(&server, "bob"), ["empty", "empty (2)"]);
    assert!(!alice.transcript.iter().chain(&bob.transcript).any(|line| line.contains("NaN")));
}

#[test]
fn small_pictures_are_fetched_at_once_and_said_to_be_what_they_are() {
    let server = Server::start();
    friends(&server);
    let (mut alice, mut bob) = (console(&server, "alice", "bob"), console(&server, "bob", "alice"));
    let mut png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\x02\x80\0\0\x01\xe0\x08\x02\0\0\0".to_vec();
    png.extend(noise(5_000));
    write(&server, "cat.png", &png);
    write(&server, "no.png", b"a text");
    alice.line("/picture no.png");
    alice.expect("! no.png is no JPEG, PNG or GIF");
    alice.line("/picture cat.png bob");
    alice.expect("* u1 cat.png sent as #");
    bob.expect("Alice: sends cat.png, ");
    bob.expect(" cat.png saved as ");
    bob.expect(" cat.png is a picture: PNG 640x480");
    assert!(!bob.transcript.iter().any(|line| line.contains("getting")), "nobody asked");
    assert_eq!(fs::read(server.folder().join("bob/downloads/cat.png")).expect("the file"), png);
}

#[test]
fn what_cannot_be_sent_or_fetched_says_why() {
    let server = Server::with(&["--maxFileSize", "1000"]);
    friends(&server);
    let mut alice = console(&server, "alice", "bob");
    write(&server, "long", &[0; 1001]);
    write(&server, "short", b"x");
    let made = Command::new("mkfifo").arg(server.folder().join("fifo")).status();
    assert!(made.is_ok_and(|status| status.success()));
    for (line, answer) in [
        ("/file", "! /file needs PATH: /file PATH [WHO|GROUP]"),
        ("/file nothing", "! cannot read nothing: there is no such file"),
        ("/file data", "! cannot read data: it is a folder"),
        ("/file fifo bob", "! cannot read fifo: it is no file"),
        ("/file missing with blanks bob", "! cannot read missing: there is no such file"),
        ("/file short nobody", "! nobody is called nobody"),
        ("/file short bob extra", "! /file needs WHO"),
        ("/file long", "! too large: 1001 bytes, at most 1000"),
        ("/get", "! /get needs ID: /get ID [FOLDER]"),
        ("/get u1", "! /get needs the number of a message"),
        ("/get 99", "! there is no message #99 for you"),
        ("/cancel", "! /cancel needs ID: /cancel ID"),
        ("/cancel u7", "! no transfer u7 is under way: /files lists all"),
    ] {
        alice.line(line);
        let said = alice.expect("! ");
        assert!(said.starts_with(answer), "{line}: {said}");
    }
    alice.line("/delete bob");
    alice.expect("  Bob is no longer");
    alice.line("/file short bob");
    alice.expect("! Bob is not your friend");
    let (code, _, _) = alice.finish();
    assert_eq!(code, 1);
    assert!(downloads(&server, "alice").is_empty());
}

#[test]
fn names_are_made_harmless_for_every_system() {
    for (name, safe) in [
        ("a/b", "a_b"),
        ("F:\\x\\a.txt", "F__x_a.txt"),
        ("../../.bashrc", "_.._.._.bashrc"),
        (".hidden", "_.hidden"),
        ("CON", "_CON"),
        ("con.txt", "_con.txt"),
        ("LPT1.x", "_LPT1.x"),
        ("COM¹", "_COM¹"),
        ("console", "console"),
        ("a\u{1b}[31m", "a_[31m"),
        ("p\u{202e}gpj.exe", "p_gpj.exe"),
        ("what? \"<|>*\"", "what_ ______"),
        ("dots...", "dots"),
        ("", "file"),
        ("...", "file"),
        ("报告 1.txt", "报告 1.txt"),
    ] {
        assert_eq!(safe_name(name), safe, "{name:?}");
    }
    let server = Server::start();
    let (long, dotted, ending) = (
        format!("{}.txt", "长".repeat(83)),
        format!(".{}", "a".repeat(254)),
        format!("x.{}", "b".repeat(253)),
    );
    for name in [long, dotted, ending] {
        for number in 1..=3 {
            let (_, path) = create(server.folder(), &name).expect("a file");
            let made = path.file_name().expect("a name").to_str().expect("UTF-8");
            assert!(made.len() <= 255 && !made.starts_with('.'), "{made}");
            assert_eq!(made.contains('('), number > 1, "{made}");
        }
    }
}

/// What is on the server's disk is not what was sent, or is gone: nothing is kept, and which file it was is said.
#[test]
fn a_file_that_the_server_has_spoilt_or_lost_is_said_to_be_so() {
    let server = Server::start();
    friends(&server);
    let (mut alice, mut bob) = (console(&server, "alice", "bob"), console(&server, "bob", "alice"));
    let mut bytes = noise(300_000);
    write(&server, "plan.txt", &bytes);
    alice.line("/file plan.txt");
    alice.expect("* u1 plan.txt sent as #");
    let came = bob.expect("Alice: sends plan.txt, ");
    let get = format!("/get {}", came.rsplit(' ').next().expect("an id"));
    let entry = fs::read_dir(server.data().join("files")).expect("a folder").next().expect("a file");
    let stored = entry.expect("an entry").path();
    bytes[1000] ^= 1;
    fs::write(&stored, &bytes).expect("written");
    bob.line(&get);
    bob.expect("! plan.txt arrived damaged (MD5 differs), nothing kept");
    for spoil in [&|path: &Path| fs::write(path, b"short"), &|path: &Path| fs::remove_file(path)]
        as [&dyn Fn(&Path) -> std::io::Result<()>; 2]
    {
        spoil(&stored).expect("done");
        bob.line(&get);
        bob.expect("! the server no longer has plan.txt (#");
    }
    let folder = server.folder().join("bob/downloads");
    assert_eq!(fs::read_dir(folder).map_or(0, Iterator::count), 0, "no part either");
}

/// `/cancel` and `/get` at once: two threads never write one part.
#[test]
fn a_file_that_is_fetched_again_at_once_arrives_whole() {
    let server = Server::start();
    friends(&server);
    let (mut alice, mut bob) = (console(&server, "alice", "bob"), console(&server, "bob", "alice"));
    let bytes = noise(700_000);
    write(&server, "big", &bytes);
    alice.line("/file big");
    alice.expect("* u1 big sent as #");
    let came = bob.expect("Alice: sends big, ");
    let id = came.rsplit(' ').next().expect("an id").to_owned();
    for _ in 0..8 {
        bob.line(&format!("/get {id}"));
        bob.line(&format!("/cancel {id}"));
        bob.line(&format!("/get {id}"));
        bob.expect(" big saved as ");
    }
    for name in downloads(&server, "bob") {
        let came = fs::read(server.folder().join("bob/downloads").join(&name)).expect("the file");
        assert!(came == bytes, "{name} has {} bytes", came.len());
    }
}

/// The same address, another database: what was fetched from the old one says nothing of the new one.
#[test]
fn a_fresh_server_at_the_same_address_has_other_files() {
    let mut server = Server::start();
    let png = |width: u8| [&b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0"[..], &[width, 0, 0, 0, 9]].concat();
    for (round, name) in ["one.png", "two.png"].into_iter().enumerate() {
        friends(&server);
        let (mut alice, mut bob) = (console(&server, "alice", "bob"), console(&server, "bob", "alice"));
        write(&server, name, &png(round as u8 + 1));
        alice.line(&format!("/picture {name}"));
        alice.expect(&format!(" {name} sent as #"));
        bob.expect(&format!(" {name} saved as "));
        bob.line("/files");
        assert!(bob.expect("  #2  ").contains(&format!("  {name}  ")));
        drop((alice, bob));
        server.kill();
        if server.database.is_some() {
            return; // another engine keeps its rows
        }
        fs::remove_dir_all(server.data()).expect("the data");
        server.start_again();
    }
}

/// Somebody rewrites the file while it goes: nothing is stored, and the reason is said.
#[test]
fn a_file_that_changes_while_it_is_sent_is_no_file() {
    let server = Server::start();
    friends(&server);
    let mut alice = console(&server, "alice", "bob");
    let mut bytes = noise(6_000_000);
    let path = write(&server, "big", &bytes);
    alice.line("/file big");
    alice.expect("  sending big");
    until_part_grows(&server, 1);
    bytes.reverse();
    let mut file = fs::File::options().write(true).open(&path).expect("the file");
    file.write_all(&bytes).expect("written"); // of the same length
    alice.expect("! big changed while it was sent, nothing kept");
    assert!(fs::read_dir(server.data().join("files")).map_or(0, Iterator::count) == 0);
    assert!(fs::read_dir(server.data().join("parts")).map_or(0, Iterator::count) == 0);
}

/// Fifty connections that break at random places: all arrives whole, once, and nothing damaged.
#[test]
fn broken_at_random_places_every_file_arrives_whole() {
    let server = Server::start();
    friends(&server);
    // The first connection of a console is a look, the second its chat; then come those of files.
    let life = |number: usize| match number {
        0..3 => i64::MAX,
        _ if number.is_multiple_of(4) => number as i64 * 7_919_113 % 60_000, // before it has brought anything
        _ => 70_000 + number as i64 * 7_919_113 % 200_000,
    };
    let consoles: Vec<(Relay, Program)> = [("alice", "bob"), ("bob", "alice")]
        .into_iter()
        .map(|(name, other)| {
            let relay = Relay::cutting(server.chat, life);
            let port = relay.address.port().to_string();
            let words = ["--dataDir", name, "--patience", "0.1", "--chatPort", &port];
            (relay, talking(&server, &words, name, other))
        })
        .collect();
    let [(relay_of_alice, mut alice), (relay_of_bob, mut bob)] = consoles.try_into().ok().expect("two");
    let mut round = 0;
    let cuts = || relay_of_alice.cuts.load(SeqCst) + relay_of_bob.cuts.load(SeqCst);
    while cuts() < 50 {
        round += 1;
        let bytes = noise(1_500_000 + round);
        let name = format!("file{round}");
        write(&server, &name, &bytes);
        alice.line(&format!("/file {name}"));
        alice.expect(&format!(" {name} sent as #"));
        let came = bob.expect(&format!("Alice: sends {name}, "));
        bob.line(&format!("/get {}", came.rsplit(' ').next().expect("an id")));
        bob.expect(&format!(" {name} saved as "));
        let saved = fs::read(server.folder().join("bob/downloads").join(&name)).expect("the file");
        assert!(saved == bytes, "{name}");
    }
    println!("{} breaks, {round} files", cuts());
    assert_eq!(downloads(&server, "bob").len(), round);
    for console in [&alice, &bob] {
        assert!(!console.transcript.iter().any(|line| line.starts_with("! ")), "{:?}", console.transcript);
    }
}

/// The server is killed again and again while both send and fetch: all arrives whole in the end, and said once.
#[test]
fn a_killed_server_loses_no_file() {
    let mut server = Server::start();
    friends(&server);
    let quick = ["--patience", "0.1"];
    let console = |server: &Server, name: &str, other: &str| {
        talking(server, &[&quick[..], &["--dataDir", name]].concat(), name, other)
    };
    let (mut alice, mut bob) = (console(&server, "alice", "bob"), console(&server, "bob", "alice"));
    let bytes = noise(8_000_000);
    write(&server, "big", &bytes);
    alice.line("/file big");
    alice.expect("  sending big");
    for kills in 1..=3 {
        until_part_grows(&server, kills * 1_000_000);
        server.start_again();
        alice.expect("* connected again");
        bob.expect("* connected again");
    }
    alice.expect("* u1 big sent as #");
    let came = bob.expect("Alice: sends big, 8000000 bytes: /get ");
    let id = came.rsplit(' ').next().expect("an id").to_owned();
    bob.line(&format!("/get {id}"));
    bob.expect("  getting big");
    server.start_again();
    bob.expect(" big saved as ");
    let saved = fs::read(server.folder().join("bob/downloads/big")).expect("the file");
    assert_eq!(md5(&saved), md5(&bytes));
    assert_eq!(fs::read_dir(server.data().join("files")).map_or(0, Iterator::count), 1, "stored once");
    bob.line("/history 5");
    bob.expect("  messages 1");
}

/// Waits until the part of the one upload has that many bytes, or is a whole file already.
fn until_part_grows(server: &Server, size: u64) {
    let has = |folder: &str, size: u64| {
        let entries = fs::read_dir(server.data().join(folder))
            .map_or(Vec::new(), |entries| entries.flatten().collect());
        entries.iter().any(|entry| entry.metadata().is_ok_and(|about| about.len() >= size))
    };
    let start = std::time::Instant::now();
    while !has("parts", size) && !has("files", size) {
        assert!(start.elapsed() < common::DEADLINE, "it does not grow");
        std::thread::yield_now();
    }
}

#[test]
fn a_cancelled_transfer_goes_on_where_it_ended_and_progress_is_said() {
    let server = Server::start();
    friends(&server);
    let mut alice = talking(&server, &["--dataDir", "alice", "--patience", "0.05"], "alice", "bob");
    // At the end of its input a client waits for its files, but not for ever: on a busy machine not long enough.
    let mut bob = talking(&server, &["--dataDir", "bob", "--patience", "5"], "bob", "alice");
    let bytes = noise(7_000_000);
    write(&server, "big", &bytes);
    alice.line("/file big");
    let progress = alice.expect("* u1 big ");
    let (percent, rest) = progress["* u1 big ".len()..].split_once("%, ").expect("a percentage");
    assert!(percent.parse::<u64>().is_ok_and(|percent| percent <= 100), "{progress}");
    assert!(rest.contains("B/s, ") && rest.ends_with(" left"), "{progress}");
    alice.expect("* u1 big sent as #");
    let came = bob.expect("Alice: sends big, ");
    let id = came.rsplit(' ').next().expect("an id").to_owned();
    let folder = server.folder().join("bob/downloads");
    bob.line(&format!("/get {id}"));
    bob.expect("  getting big");
    until_any_grows(&folder, 1_000_000);
    bob.line(&format!("/cancel {id}"));
    let cancelled = bob.expect("  cancelled big at ");
    assert!(cancelled.ends_with('%'), "{cancelled}");
    bob.line("/files");
    let row = bob.expect(&format!("  #{id}  "));
    assert!(row.ends_with("  cancelled"), "{row}");
    let before = part_size(&folder);
    assert!((1_000_000..7_000_000).contains(&before), "{before}");
    bob.line(&format!("/get {id}"));
    bob.expect("  getting big");
    assert!(part_size(&folder) >= before, "it goes on");
    bob.expect(" big saved as ");
    assert!(fs::read(folder.join("big")).expect("the file") == bytes);
    // At the end of the input transfers are waited for.
    bob.line(&format!("/get {id}"));
    let (code, rest, _) = bob.finish();
    assert_eq!(code, 0, "{rest:?}");
    assert!(rest.iter().any(|line| line.contains(" big saved as ")), "{rest:?}");
}

fn part_size(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).map_or(Vec::new(), |entries| entries.flatten().collect());
    let part = entries.iter().find(|entry| entry.file_name().to_string_lossy().ends_with(".part"));
    part.and_then(|part| part.metadata().ok()).map_or(0, |about| about.len())
}

fn until_any_grows(folder: &Path, size: u64) {
    let start = std::time::Instant::now();
    while part_size(folder) < size {
        assert!(start.elapsed() < common::DEADLINE, "it does not grow");
        std::thread::yield_now();
    }
}
