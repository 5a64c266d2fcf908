//! The console client at a terminal: the client in this process, and a terminal that is emulated here.

#![cfg(feature = "sqlite")] // where the servers of these tests keep their data, unless MINIM_TEST_DATABASE is set

mod common;

use std::io::{self, BufReader, Read, Write};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use common::{DEADLINE, Server};
use minim::client::screen::Look;
use minim::client::{run, width};
use minim::clock::{Civil, civil};
use minim::config;

/// What a terminal makes of the bytes that it gets: cells, a cursor, and the few sequences that the client uses.
struct Emulator {
    cells: Vec<Vec<Option<char>>>, // none: the second half of a wide character
    columns: usize,
    row: usize,
    column: usize,
    saved: (usize, usize),
    wraps: bool,
    conceals: bool,
    /// Characters that were drawn although they were to be concealed come as `?`.
    pending: Vec<u8>,
    scrolled: Vec<String>,
}

impl Emulator {
    fn new(columns: usize, rows: usize) -> Emulator {
        let cells = vec![vec![Some(' '); columns]; rows];
        let (pending, scrolled) = (Vec::new(), Vec::new());
        Emulator {
            cells,
            columns,
            row: 0,
            column: 0,
            saved: (0, 0),
            wraps: true,
            conceals: false,
            pending,
            scrolled,
        }
    }

    fn text_of(row: &[Option<char>]) -> String {
        row.iter().flatten().collect::<String>().trim_end().to_owned()
    }

    /// Rows that scrolled away, then those that are seen, without the empty ones at the end.
    fn rows(&self) -> Vec<String> {
        let mut rows = self.scrolled.clone();
        rows.extend(self.cells.iter().map(|row| Emulator::text_of(row)));
        while rows.last().is_some_and(String::is_empty) {
            rows.pop();
        }
        rows
    }

    fn cursor_row(&self) -> String {
        Emulator::text_of(&self.cells[self.row])
    }

    fn line_feed(&mut self) {
        if self.row + 1 < self.cells.len() {
            self.row += 1;
            return;
        }
        let first = self.cells.remove(0);
        self.scrolled.push(Emulator::text_of(&first));
        self.cells.push(vec![Some(' '); self.columns]);
    }

    fn draw(&mut self, c: char) {
        let wide = width::width(&c.to_string());
        if wide == 0 {
            return;
        }
        if self.column + wide > self.columns {
            if !self.wraps {
                return;
            }
            self.column = 0;
            self.line_feed();
        }
        self.cells[self.row][self.column] = Some(if self.conceals { '?' } else { c });
        if wide == 2 {
            self.cells[self.row][self.column + 1] = None;
        }
        self.column += wide;
    }

    /// Takes bytes as they come; what is no whole character or sequence yet waits.
    fn take(&mut self, bytes: &[u8]) {
        self.pending.extend_from_slice(bytes);
        let text = String::from_utf8(std::mem::take(&mut self.pending)).expect("whole characters");
        let mut rest = text.as_str();
        while let Some(c) = rest.chars().next() {
            rest = &rest[c.len_utf8()..];
            match c {
                '\r' => self.column = 0,
                '\n' => {
                    self.column = 0; // the kernel puts CR before it
                    self.line_feed();
                }
                '\x1b' => rest = self.sequence(rest),
                c if c.is_control() => panic!("{c:?} reaches the terminal"),
                c => self.draw(c),
            }
        }
    }

    fn sequence<'a>(&mut self, text: &'a str) -> &'a str {
        for (sequence, act) in SEQUENCES {
            if let Some(rest) = text.strip_prefix(sequence) {
                act(self);
                return rest;
            }
        }
        panic!("an unknown sequence: {:?}", &text[..text.len().min(8)]);
    }
}

type Act = fn(&mut Emulator);

const SEQUENCES: [(&str, Act); 10] = [
    ("7", |e| e.saved = (e.row, e.column)),
    ("8", |e| (e.row, e.column) = e.saved),
    ("[A", |e| e.row = e.row.saturating_sub(1)),
    ("[B", |e| e.row = (e.row + 1).min(e.cells.len() - 1)),
    ("[L", |e| {
        e.cells.pop();
        e.cells.insert(e.row, vec![Some(' '); e.columns]);
        e.column = 0;
    }),
    ("[K", |e| {
        let column = e.column;
        e.cells[e.row][column..].fill(Some(' '));
    }),
    ("[?7l", |e| e.wraps = false),
    ("[?7h", |e| e.wraps = true),
    ("[0m", |e| e.conceals = false),
    ("[8m", |e| e.conceals = true),
];

/// A client at a terminal: what it shows, and the keys that are typed.
struct Terminal {
    screen: Arc<(Mutex<Emulator>, Condvar)>,
    keys: Option<Sender<Vec<u8>>>,
    typed: String,
    client: Option<JoinHandle<u8>>,
}

struct Output(Arc<(Mutex<Emulator>, Condvar)>);

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.0.lock().expect("no panic while it draws").take(bytes);
        self.0.1.notify_all();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Input {
    lines: Receiver<Vec<u8>>,
    rest: Vec<u8>,
}

impl Read for Input {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.rest.is_empty() {
            self.rest = self.lines.recv().unwrap_or_default(); // empty: the end
        }
        let count = self.rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&self.rest[..count]);
        self.rest.drain(..count);
        Ok(count)
    }
}

impl Terminal {
    fn start(server: &Server, columns: usize, rows: usize, options: &[&str]) -> Terminal {
        Terminal::with(server, columns, rows, options, true)
    }

    fn with(server: &Server, columns: usize, rows: usize, options: &[&str], has_escapes: bool) -> Terminal {
        let (chat, http) = (server.chat.port().to_string(), server.http.port().to_string());
        let mut words = vec!["--chatPort", &chat, "--httpPort", &http, "--lang", "en"];
        words.extend(options);
        let words: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
        let Ok(Some((config, _))) = config::read("client", &words) else { panic!("the options are right") };

        let screen = Arc::new((Mutex::new(Emulator::new(columns, rows)), Condvar::new()));
        let (keys, lines) = channel();
        let input = BufReader::new(Input { lines, rest: Vec::new() });
        let output = Output(screen.clone());
        let look = Look { is_terminal: true, has_escapes, has_colours: false, width: columns };
        let client = thread::spawn(move || run(config, input, output, look));
        Terminal { screen, keys: Some(keys), typed: String::new(), client: Some(client) }
    }

    /// Types keys, which the terminal echoes; the client gets them with Enter.
    fn keys(&mut self, keys: &str) {
        self.screen.0.lock().expect("no panic").take(keys.as_bytes());
        self.typed += keys;
    }

    fn enter(&mut self) {
        self.screen.0.lock().expect("no panic").take(b"\r\n");
        let line = std::mem::take(&mut self.typed) + "\n";
        self.keys.as_ref().expect("open").send(line.into_bytes()).expect("the client reads");
    }

    /// Waits for `prompt` alone in the cursor's row, and answers it.
    fn answer(&mut self, prompt: &str, line: &str) {
        self.wait(prompt, |screen| screen.cursor_row() == prompt.trim_end());
        self.keys(line);
        self.enter();
    }

    fn wait(&self, what: &str, is_there: impl Fn(&Emulator) -> bool) {
        let deadline = Instant::now() + DEADLINE;
        let mut screen = self.screen.0.lock().expect("no panic");
        while !is_there(&screen) {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "no {what:?} on the screen:\n{}", screen.rows().join("\n"));
            screen = self.screen.1.wait_timeout(screen, left).expect("no panic").0;
        }
    }

    fn wait_for_row(&self, row: &str) {
        self.wait(row, |screen| screen.rows().iter().any(|shown| shown == row));
    }

    fn rows(&self) -> Vec<String> {
        self.screen.0.lock().expect("no panic").rows()
    }

    /// Ctrl-D on an empty line; the exit code.
    fn end(mut self) -> u8 {
        self.keys = None;
        self.client.take().expect("running").join().expect("no panic")
    }
}

/// The text behind the clock time of a message's row.
fn without_time(row: &str) -> String {
    match row.split_once("] ") {
        Some((time, text)) if time.len() == 6 && time.starts_with('[') => text.to_owned(),
        _ => row.to_owned(),
    }
}

#[test]
fn an_account_is_made_by_answering_questions_and_no_password_is_seen() {
    let server = Server::start();
    server.new_user("taken");
    let mut alice = Terminal::start(&server, 80, 40, &[]);
    alice.answer("minim> ", "/register");
    alice.answer("  login name (1 to 50 characters): ", "taken");
    alice.answer("  login name (1 to 50 characters): ", "alice");
    alice.answer("  name that others see: ", "Alice");
    alice.answer("  sex (m, f, Enter: not said): ", "f");
    alice.answer("  password (not shown): ", "123456");
    alice.answer("  password again (not shown): ", "123456");
    alice.answer("alice> ", "/login alice 123456");
    alice.answer("alice> ", "/login alice");
    alice.answer("  password (not shown): ", "1234");
    alice.answer("minim> ", "/quit");
    alice.wait_for_row("  goodbye");
    let first =
        format!("minim client {}, connected to {} (same passphrase)", env!("CARGO_PKG_VERSION"), server.chat);
    let expected = [
        first.as_str(),
        "/register makes an account, /login logs in, /help lists what there is.",
        "minim> /register",
        "  login name (1 to 50 characters): taken",
        "! the login name taken is taken, choose another",
        "  login name (1 to 50 characters): alice",
        "  alice is free",
        "  name that others see: Alice",
        "  sex (m, f, Enter: not said): f",
        "  Do not use a password that protects anything else: minim is for lessons.",
        "  The terminal only hides it: who copies this row meanwhile has the password.",
        "  password (not shown):",
        "  password again (not shown):",
        "  registered alice, uid 2",
        "  logged in as alice (Alice), uid 2",
        "  friends 0 (0 online), groups 0, unread 0, requests 0",
        "  logged in as alice (Alice), uid 2",
        "  friends 0 (0 online), groups 0, unread 0, requests 0",
        "alice> /login alice",
        "  password (not shown):",
        "! wrong name or password",
        "minim> /quit",
        "  goodbye",
    ];
    assert_eq!(alice.rows(), expected);
    assert_eq!(alice.end(), 0);
}

#[test]
fn a_message_appears_above_the_typed_row_which_stays_as_it_is() {
    let server = Server::start();
    let (mut peer, mut other) = server.alice_and_bob();
    let (to, columns) = (other.uid, 40);
    let mut bob = Terminal::start(&server, columns, 24, &[]);
    bob.answer("minim> ", "/login bob \"bob's password\"");
    other.expect("KICKED");
    bob.answer("bob> ", "/open alice");
    bob.wait("a prompt", |screen| screen.cursor_row() == "bob > alice:");
    bob.keys("我带电");
    let mut expected = Vec::new();
    for number in 1..=30 {
        let text = format!("{number} {}", "消息 text ".repeat(number % 7));
        let text = text.trim_end();
        peer.say(to, text);
        expected.push(format!("Alice: {text}"));
        let squeezed = format!("Alice: {text}").replace(' ', "");
        bob.wait(text, |screen| screen.rows().concat().replace(' ', "").contains(&squeezed));
        let screen = bob.screen.0.lock().expect("no panic");
        assert_eq!(screen.cursor_row(), "bob > alice: 我带电", "{number}");
        assert_eq!(screen.column, width::width("bob > alice: 我带电"), "{number}");
        assert!(screen.wraps);
    }
    let rows = bob.rows();
    let start = rows.iter().position(|row| row.ends_with("Alice: 1 消息 text")).expect("the first");
    let mut shown: Vec<String> = Vec::new();
    for row in &rows[start..rows.len() - 1] {
        match row.strip_prefix("    ") {
            Some(rest) => *shown.last_mut().expect("a first row") += rest,
            None => shown.push(without_time(row)),
        }
    }
    let without_blanks =
        |lines: &[String]| lines.iter().map(|line| line.replace(' ', "")).collect::<Vec<_>>();
    assert_eq!(without_blanks(&shown), without_blanks(&expected));

    bob.keys("还在");
    bob.enter();
    assert_eq!(peer.expect("CHAT_SEND_MSG")["msgText"], "我带电还在");
    bob.wait("a prompt", |screen| screen.cursor_row() == "bob > alice:");
    assert_eq!(bob.end(), 0);
}

#[test]
fn what_is_unread_elsewhere_stands_in_the_prompt_and_a_long_text_is_cut_to_one_row() {
    let server = Server::start();
    let (mut peer, mut other) = server.alice_and_bob();
    let to = other.uid;
    let mut bob = Terminal::start(&server, 60, 20, &["--timeZone", "+05:30"]);
    bob.answer("minim> ", "/login bob \"bob's password\"");
    other.expect("KICKED");
    bob.wait("a prompt", |screen| screen.cursor_row() == "bob>");
    peer.say(to, &"很长".repeat(40));
    bob.wait_for_row("* Alice: 很长很长很长很长很长很长... (unread 1, /open alice)");
    bob.enter();
    bob.answer("bob [1]> ", "/open");
    bob.wait("a prompt", |screen| screen.cursor_row() == "bob > alice:");
    let rows = bob.rows();
    let talking =
        rows.iter().position(|row| row == "  talking to Alice (alice), online, unread 1").expect("it");
    assert!(rows[talking + 1].starts_with("-- 20") && rows[talking + 1].ends_with(" (+05:30) --"));
    assert!(
        rows[talking + 2].starts_with('[') && without_time(&rows[talking + 2]).starts_with("Alice: 很长很")
    );
    assert_eq!(bob.end(), 0);
}

#[test]
fn a_push_while_a_password_is_typed_is_seen_and_the_password_is_not() {
    let server = Server::start();
    let (mut peer, mut other) = server.alice_and_bob();
    let to = other.uid;
    let mut bob = Terminal::start(&server, 80, 20, &[]);
    bob.answer("minim> ", "/login bob \"bob's password\"");
    other.expect("KICKED");
    bob.answer("bob> ", "/login carol");
    bob.wait("a question", |screen| screen.cursor_row() == "  password (not shown):");
    bob.keys("sec");
    peer.say(to, "hello");
    bob.wait_for_row("* Alice: hello (unread 1, /open alice)");
    bob.keys("ret");
    bob.wait("the password", |screen| screen.cursor_row() == "  password (not shown): ??????");
    bob.enter();
    bob.wait_for_row("! wrong name or password");
    let rows = bob.rows().join("\n");
    assert!(!rows.contains('?') && !rows.contains("sec"), "{rows}");
    assert_eq!(bob.end(), 0);
}

#[test]
fn a_server_that_stays_away_is_told_once_more_and_a_second_login_leaves_the_prompt() {
    let mut server = Server::start();
    server.alice_and_bob();
    let mut bob = Terminal::start(&server, 100, 20, &["--patience", "0.05"]);
    bob.answer("minim> ", "/login bob \"bob's password\"");
    bob.wait("a prompt", |screen| screen.cursor_row() == "bob>");
    server.kill();
    bob.wait_for_row("! connection lost (the server closed it), trying again in 0.05 s");
    let still = "! still no server at ADDRESS after 3 s, trying every 1.5 s, /quit ends";
    bob.wait_for_row(&still.replace("ADDRESS", &server.chat.to_string()));
    server.start_again();
    bob.wait_for_row("* connected again, logged in as bob");
    server.peer().login("bob");
    bob.wait_for_row("* logged out: bob logged in at another place");
    bob.enter();
    bob.wait("a prompt", |screen| screen.cursor_row() == "minim>");
    assert_eq!(bob.end(), 0);
}

#[test]
fn a_line_that_the_kernel_may_have_cut_is_refused() {
    let server = Server::start();
    let (mut peer, mut other) = server.alice_and_bob();
    let mut bob = Terminal::start(&server, 80, 20, &[]);
    bob.answer("minim> ", "/login bob \"bob's password\"");
    other.expect("KICKED");
    bob.answer("bob> ", "/open alice");
    bob.wait("a prompt", |screen| screen.cursor_row() == "bob > alice:");
    if cfg!(target_os = "linux") {
        bob.keys(&"x".repeat(4095));
        bob.enter();
        bob.wait_for_row("! the terminal may have cut this line at 4095 bytes: use /paste");
    }
    bob.answer("bob > alice: ", "/paste");
    bob.wait_for_row("  Paste now; a line with . alone ends it.");
    for line in ["one", "two", "."] {
        bob.keys(line);
        bob.enter();
    }
    assert_eq!(peer.expect("CHAT_SEND_MSG")["msgText"], "one\ntwo");
    assert_eq!(bob.end(), 0);
}

#[test]
fn a_new_password_is_asked_for_and_typed_twice() {
    let server = Server::start();
    server.new_user("alice");
    let mut alice = Terminal::start(&server, 80, 40, &[]);
    alice.answer("minim> ", "/login alice \"alice's password\"");
    alice.answer("alice> ", "/password");
    alice.answer("  old password (not shown): ", "alice's password");
    alice.answer("  password (not shown): ", "abcdef");
    alice.answer("  password again (not shown): ", "abcdeg");
    alice.wait_for_row("! the two passwords differ");
    alice.answer("  password (not shown): ", "abcdef");
    alice.answer("  password again (not shown): ", "abcdef");
    alice.wait_for_row("  password changed");
    alice.answer("alice> ", "/password abcdef ghijkl");
    alice.answer("alice> ", "/login alice ghijkl");
    alice.wait("a prompt", |screen| screen.cursor_row() == "alice>");
    let rows = alice.rows().join("\n");
    assert!(!rows.contains("abcde") && !rows.contains("ghijkl"), "{rows}");
    assert_eq!(alice.end(), 0);
}

#[test]
fn a_terminal_without_escape_sequences_gets_none_and_says_that_a_password_will_show() {
    let server = Server::start();
    let (mut peer, mut other) = server.alice_and_bob();
    let to = other.uid;
    let mut bob = Terminal::with(&server, 80, 40, &[], false);
    bob.answer("minim> ", "/login bob");
    bob.answer("  password (will show): ", "bob's password");
    other.expect("KICKED");
    bob.wait("a prompt", |screen| screen.cursor_row() == "bob>");
    bob.keys("half a li");
    peer.say(to, "hello");
    bob.wait_for_row("* Alice: hello (unread 1, /open alice)");
    bob.keys("ne");
    bob.enter();
    bob.wait_for_row("! nobody is listening: /open WHO first, or /msg WHO TEXT");
    assert_eq!(bob.end(), 0);
}

#[test]
fn each_console_shows_the_servers_time_in_its_own_zone() {
    let server = Server::start();
    let (mut peer, mut other) = server.alice_and_bob();
    let to = other.uid;
    peer.say(to, "when?");
    let sent = other.expect("CHAT_SEND_MSG")["sendTime"].as_u64().expect("a time");
    for (zone, offset) in [("+08:00", 480), ("-05:00", -300)] {
        let mut bob = Terminal::start(&server, 80, 20, &["--timeZone", zone]);
        bob.answer("minim> ", "/login bob \"bob's password\"");
        bob.answer("bob [1]> ", "/open alice");
        let Civil { year, month, day, hour, minute, .. } = civil(sent, offset);
        bob.wait_for_row(&format!("-- {year}-{month:02}-{day:02} ({zone}) --"));
        bob.wait_for_row(&format!("[{hour:02}:{minute:02}] Alice: when?"));
        bob.answer("bob > alice: ", "/history 1");
        bob.wait("the history", |screen| {
            let row = format!(" [{hour:02}:{minute:02}] Alice: when?");
            screen.rows().iter().any(|shown| shown.starts_with("  #") && shown.ends_with(&row))
        });
        assert_eq!(bob.end(), 0); // its CHAT_RECEIVED is on the disk behind LOGOUT's ACK
        server.run_sql(&["UPDATE message SET handle = 0".to_owned()]);
    }
}

#[test]
fn texts_that_cannot_be_sent_any_more_are_counted_at_the_end() {
    let mut server = Server::start();
    let (_peer, mut other) = server.alice_and_bob();
    let mut bob = Terminal::start(&server, 80, 20, &["--patience", "0.1"]);
    bob.answer("minim> ", "/login bob \"bob's password\"");
    other.expect("KICKED");
    bob.answer("bob> ", "/open alice");
    bob.wait("a prompt", |screen| screen.cursor_row() == "bob > alice:");
    server.kill();
    bob.wait("the news", |screen| screen.rows().iter().any(|row| row.starts_with("! connection lost")));
    bob.answer("bob > alice: ", "one");
    bob.answer("bob > alice: ", "two");
    bob.answer("bob > alice: ", "/quit");
    bob.wait_for_row("! texts that were not sent: 2");
    assert_eq!(bob.end(), 0);
}
