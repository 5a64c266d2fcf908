//! The console client in a real terminal: tmux shows what a person would see, and types what they would type. Where there is
//! no tmux this is left out, and says so; terminal.rs has the same rules with an emulated one.

#![cfg(feature = "sqlite")] // where the servers of these tests keep their data, unless MINIM_TEST_DATABASE is set

mod common;

use std::process::{Command, Output};
use std::thread;
use std::time::{Duration, Instant};

use common::{DEADLINE, Server};

/// A window in a tmux of its own, in which a client runs.
struct Window {
    socket: String,
}

impl Window {
    /// None: there is no tmux.
    fn open(server: &Server, columns: usize, rows: usize) -> Option<Window> {
        let socket = server.folder().join("tmux").display().to_string();
        let client = format!(
            "cd {} && exec {} client --chatPort {} --httpPort {} --lang en",
            server.folder().display(),
            env!("CARGO_BIN_EXE_minim"),
            server.chat.port(),
            server.http.port()
        );
        let window = Window { socket };
        let (columns, rows) = (columns.to_string(), rows.to_string());
        let mut tmux = window.command();
        tmux.args(["-u", "-f", "/dev/null", "new-session", "-d", "-x", &columns, "-y", &rows, &client]);
        let Ok(output) = tmux.output() else {
            eprintln!("left out: there is no tmux here");
            return None;
        };
        assert!(output.status.success(), "{output:?}");
        Some(window)
    }

    fn command(&self) -> Command {
        let mut tmux = Command::new("tmux");
        tmux.args(["-S", &self.socket]).env("LC_ALL", "C.UTF-8").env_remove("TMUX").env_remove("COLUMNS");
        tmux
    }

    fn run(&self, words: &[&str]) -> String {
        let Output { status, stdout, stderr } = self.command().args(words).output().expect("tmux");
        assert!(status.success(), "{words:?}: {}", String::from_utf8_lossy(&stderr));
        String::from_utf8(stdout).expect("UTF-8")
    }

    fn keys(&self, text: &str) {
        self.run(&["send-keys", "-l", text]);
    }

    fn line(&self, text: &str) {
        self.keys(text);
        self.run(&["send-keys", "Enter"]);
    }

    /// All rows, those that scrolled away included.
    fn rows(&self) -> String {
        self.run(&["capture-pane", "-p", "-S", "-"])
    }

    /// The row in which the cursor stands.
    fn cursor_row(&self) -> String {
        let row = self.run(&["display-message", "-p", "#{cursor_y}"]).trim().parse().expect("a number");
        self.run(&["capture-pane", "-p"]).lines().nth(row).unwrap_or_default().to_owned()
    }

    /// tmux tells nobody when something appears, so it is asked again and again.
    fn wait(&self, what: &str, is_there: impl Fn() -> bool) {
        let deadline = Instant::now() + DEADLINE;
        while !is_there() {
            assert!(Instant::now() < deadline, "no {what:?} on the screen:\n{}", self.rows());
            thread::sleep(Duration::from_millis(10));
        }
    }

    fn wait_for_prompt(&self, prompt: &str) {
        self.wait(prompt, || self.cursor_row() == prompt);
    }

    /// Waits until a text is seen, however it was broken into rows.
    fn wait_for_text(&self, text: &str) {
        self.wait(text, || squeezed(&self.rows()).contains(&squeezed(text)));
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        let _ = self.command().arg("kill-server").output(); // the one behind our socket
    }
}

fn squeezed(text: &str) -> String {
    text.chars().filter(|c| !c.is_whitespace()).collect()
}

const PROMPT: &str = "bob > alice:";

#[test]
fn what_comes_and_what_is_typed_are_both_seen_whole_wherever_the_typed_row_stands() {
    for (columns, rows) in [(80, 24), (40, 10)] {
        let server = Server::start();
        let (mut alice, mut other) = server.alice_and_bob();
        let to = other.uid;
        let Some(bob) = Window::open(&server, columns, rows) else { return };
        bob.wait_for_prompt("minim>");
        bob.line("/login bob \"bob's password\"");
        other.expect("KICKED");
        bob.wait_for_prompt("bob>");
        bob.line(&format!("/width {columns}"));
        bob.line("/open alice");
        let mut seen = Vec::new();
        // Near the top, further down, at the bottom; then in a window of another size.
        for (place, enters) in [0, rows / 3, 2 * rows, 0].into_iter().enumerate() {
            if place == 3 {
                let (columns, rows) = (columns + 10, rows - 3);
                bob.run(&["resize-window", "-x", &columns.to_string(), "-y", &rows.to_string()]);
                bob.line(&format!("/width {columns}"));
                bob.wait_for_text(&format!("width is {columns}"));
            }
            for _ in 0..enters {
                bob.wait_for_prompt(PROMPT);
                bob.line("");
            }
            bob.wait_for_prompt(PROMPT);
            let typed = format!("我带电脑{place}");
            bob.keys(&typed);
            let row = format!("{PROMPT} {typed}");
            bob.wait_for_prompt(&row);
            for number in 0..6 {
                let text = format!("({place}.{number}) {}", "明天 nine 点，机房见。".repeat(number * 2));
                let text = text.trim_end().to_owned();
                alice.say(to, &text);
                bob.wait_for_text(&text);
                bob.wait_for_prompt(&row); // drawn again behind the text, perhaps a moment later
                seen.push(text);
            }
            bob.line("，九点到");
            assert_eq!(alice.expect("CHAT_SEND_MSG")["msgText"], format!("{typed}，九点到"));
            seen.push(format!("{typed}，九点到"));
        }
        bob.wait_for_prompt(PROMPT);
        let all = squeezed(&bob.rows());
        let mut rest = all.as_str();
        for text in &seen {
            let place = rest
                .find(&squeezed(text))
                .unwrap_or_else(|| panic!("{text:?} is not in its place:\n{}", bob.rows()));
            rest = &rest[place..];
        }
    }
}

/// The trace goes through the screen's thread: its rows stand above the typed one, and cut neither it nor each other.
#[test]
fn a_trace_at_a_terminal_does_not_disturb_what_is_typed() {
    let server = Server::start();
    let (mut alice, mut other) = server.alice_and_bob();
    let to = other.uid;
    let Some(bob) = Window::open(&server, 100, 24) else { return };
    bob.wait_for_prompt("minim>");
    bob.line("/login bob \"bob's password\"");
    other.expect("KICKED");
    bob.wait_for_prompt("bob>");
    for line in ["/width 100", "/open alice", "/trace rounds"] {
        bob.line(line);
    }
    bob.wait_for_text("trace is rounds");
    bob.wait_for_prompt(PROMPT);
    bob.keys("我带电脑");
    let row = format!("{PROMPT} 我带电脑");
    bob.wait_for_prompt(&row);
    for number in 0..5 {
        alice.say(to, &format!("message {number}."));
        bob.wait_for_text(&format!("Alice: message {number}."));
        bob.wait_for_prompt(&row); // below the trace, of which the text is a part only
    }
    bob.line("，九点到");
    assert_eq!(alice.expect("CHAT_SEND_MSG")["msgText"], "我带电脑，九点到");
    bob.line("/trace off");
    bob.wait_for_text("trace is off");
    let all = bob.rows();
    for (part, count) in [
        ("[reader  ]   R 16  ", 5),
        ("[reader  ]   R swap, IP^-1 = ", 5),
        ("out CHAT_RECEIVED", 5),
        ("out CHAT_SEND_MSG", 1),
    ] {
        let found = all.lines().filter(|line| line.contains(part)).count();
        assert!(found >= count, "{found} of {part:?}:\n{all}");
    }
}

#[test]
fn a_line_of_several_rows_is_sent_as_it_was_typed_whatever_comes_meanwhile() {
    let server = Server::start();
    let (mut alice, mut other) = server.alice_and_bob();
    let to = other.uid;
    let Some(bob) = Window::open(&server, 40, 10) else { return };
    bob.wait_for_prompt("minim>");
    bob.line("/login bob \"bob's password\"");
    other.expect("KICKED");
    bob.wait_for_prompt("bob>");
    bob.line("/open alice");
    bob.wait_for_prompt(PROMPT);
    let typed = "一二三四五六七八九十".repeat(10); // 200 columns
    bob.keys(&typed);
    bob.wait_for_text(&typed);
    for number in 1..=50 {
        alice.say(to, &format!("message {number}."));
    }
    bob.wait_for_text("message 50.");
    bob.run(&["resize-window", "-x", "80", "-y", "24"]);
    bob.run(&["send-keys", "Enter"]);
    assert_eq!(alice.expect("CHAT_SEND_MSG")["msgText"], typed);
    let rows = squeezed(&bob.rows());
    let mut rest = rows.as_str();
    for number in 1..=50 {
        let place =
            rest.find(&format!("message{number}.")).unwrap_or_else(|| panic!("no message {number}: {rows}"));
        rest = &rest[place..];
    }
}
