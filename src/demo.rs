//! `minim demo`: the guided tour. A server and three consoles in one process, with all socket calls, on loopback and in a folder
//! that is gone afterwards.
//!
//! Rules: nothing is faked: these are the same server and the same client as behind the other verbs, over TCP. Each step says
//! what is to be seen, and has happened only when it was seen; what does not come ends the tour and says which step it was.
//! A program to read along: `TOUR` is the script. Start with `run`.

use std::fs;
use std::io::{self, BufRead, BufReader, IsTerminal, PipeWriter, Write};
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use crate::client::{self, screen::Look, words::Words};
use crate::config::{Config, Database};
use crate::harmless::obeys_colours;
use crate::lan;
use crate::limits::{DEMO_DEADLINE, DEMO_QUIET, SHORT_PAUSE, USUAL_WIDTH, patiently};
use crate::md5_check::{hex, random_bytes};
use crate::server;
use crate::trace::{Level, Trace, coloured};

/// What happens on the stage.
enum Act {
    /// A console is started for this person.
    Enters(&'static str),
    /// A file of this name and content lies in the folder of this person.
    Has(&'static str, &'static str, &'static [u8]),
    /// This person types a line; `{FOLDER}` is that folder.
    Types(&'static str, &'static str),
    /// On this person's console a row appears that contains this.
    Sees(&'static str, &'static str),
    /// This person's console ends, with exit code 0.
    Leaves(&'static str),
    /// Somebody on this PC tells everybody something, by UDP.
    Tells(&'static str),
}
use Act::{Enters, Has, Leaves, Sees, Tells, Types};

/// In the summary behind LOGIN, in any language: no friends, groups, requests.
const NOTHING_YET: &str = " 0";

/// A PNG of one grey dot: signature, and the chunks IHDR, IDAT, IEND (PNG specification, 5 and 11.2).
const DOT: &[u8] = b"\x89PNG\r\n\x1a\n\
    \0\0\0\x0dIHDR\0\0\0\x01\0\0\0\x01\x08\0\0\0\0\x3a\x7e\x9b\x55\
    \0\0\0\x0aIDAT\x78\x9c\x63\x68\0\0\0\x82\0\x81\x77\xcd\x72\xb6\
    \0\0\0\0IEND\xae\x42\x60\x82";

/// The tour: the key of each step's title in words.txt, and what happens in it.
const TOUR: &[(&str, &[Act])] = &[
    (
        "demo.register",
        &[
            Enters("alice"),
            Types("alice", "/register alice 123456 Alice"),
            Sees("alice", "Alice"),
            Sees("alice", NOTHING_YET),
        ],
    ),
    (
        "demo.others",
        &[
            Enters("bob"),
            Types("bob", "/register bob 654321 Bob"),
            Sees("bob", "Bob"),
            Sees("bob", NOTHING_YET),
            Enters("carol"),
            Types("carol", "/register carol 111111 Carol"),
            Sees("carol", "Carol"),
            Sees("carol", NOTHING_YET),
        ],
    ),
    (
        "demo.befriend",
        &[
            Types("alice", "/add bob"),
            Sees("alice", "#1"),
            Sees("bob", "#1"),
            Types("bob", "/accept"),
            Sees("bob", "Alice"),
            Sees("alice", "Bob"),
            Types("alice", "/add carol"),
            Sees("alice", "#2"),
            Sees("carol", "#2"),
            Types("carol", "/accept"),
            Sees("carol", "Alice"),
            Sees("alice", "Carol"),
        ],
    ),
    (
        "demo.message",
        &[
            Types("bob", "/open alice"),
            Sees("bob", "Alice"),
            Types("alice", "/open bob"),
            Types("alice", "Hello, 你好!"),
            Sees("bob", "Hello, 你好!"),
            Sees("alice", "#3"),
            Types("bob", "nice to see you :smile:"),
            Sees("alice", "nice to see you 😀"),
        ],
    ),
    (
        "demo.group",
        &[
            Types("alice", "/create lab bob carol"),
            Sees("bob", "lab"),
            Types("bob", "/accept"),
            Sees("bob", "lab"),
            Sees("alice", "Bob"),
            Sees("carol", "lab"),
            Types("carol", "/accept"),
            Sees("carol", "lab"),
            Sees("alice", "Carol"),
            Types("alice", "/msg #lab we meet at nine"),
            Sees("bob", "we meet at nine"),
            Sees("carol", "we meet at nine"),
        ],
    ),
    (
        "demo.offline",
        &[
            Leaves("bob"),
            Sees("alice", "Bob"),
            Types("alice", "/msg bob read this later"),
            Enters("bob"),
            Types("bob", "/login bob 654321"),
            Types("bob", "/open alice"),
            Sees("bob", "read this later"),
            Sees("alice", "Bob"),
        ],
    ),
    (
        "demo.file",
        &[
            Has("alice", "plan.txt", b"The plan of the lab, as a file.\n"),
            Types("alice", "/file {FOLDER}/plan.txt bob"),
            Sees("bob", "plan.txt"),
            Sees("alice", "MD5"),
            Types("bob", "/get 11"),
            Sees("bob", "MD5"),
            Has("alice", "dot.png", DOT),
            Types("alice", "/picture {FOLDER}/dot.png #lab"),
            Sees("bob", "PNG 1x1"),
            Sees("carol", "PNG 1x1"),
        ],
    ),
    (
        "demo.notice",
        &[
            Tells("the lab closes at nine"),
            Sees("alice", "the lab closes at nine"),
            Sees("bob", "the lab closes at nine"),
            Sees("carol", "the lab closes at nine"),
        ],
    ),
    ("demo.goodbye", &[Leaves("alice"), Leaves("bob"), Leaves("carol")]),
];

/// Where everything is shown.
struct Stage {
    config: Config,
    level: Level,
    has_colours: bool,
    folder: PathBuf,
    consoles: Vec<Console>,
}

/// One person's console.
struct Console {
    name: &'static str,
    keyboard: PipeWriter,
    rows: Receiver<String>,
    client: JoinHandle<u8>,
}

/// Plays the tour; `is_fast`: without waiting for Enter. An error names the step and what did not happen.
pub fn run(mut config: Config, is_fast: bool) -> Result<(), String> {
    let folder = std::env::temp_dir().join(format!("minim-demo-{}", hex(&random_bytes::<8>())));
    let level = if config.trace.is_on() { config.trace.level() } else { Level::Steps };
    let has_colours = obeys_colours(io::stdout().is_terminal());
    config.database = Database::Sqlite(folder.join("minim.db"));
    (config.chat_port, config.http_port, config.udp_port) = (0, 0, config.udp_port.map(|_| 0));
    (config.server_ip, config.broadcast) = (Ipv4Addr::LOCALHOST.into(), Vec::new()); // nobody else hears of it
    let mut stage = Stage { config, level, has_colours, folder: folder.clone(), consoles: Vec::new() };
    let is_paused = !is_fast && io::stdin().is_terminal() && io::stdout().is_terminal();
    let played = stage.play(is_paused);
    stage.consoles.clear();
    let deadline = stage.config.deadline(DEMO_DEADLINE);
    while folder.exists() && fs::remove_dir_all(&folder).is_err() {
        if Instant::now() > deadline {
            return played.and(Err(format!("demo: cannot remove {}", folder.display())));
        }
        thread::sleep(SHORT_PAUSE); // some systems remove no file that somebody is still closing
    }
    played?;
    show(&Words(stage.config.lang).say("demo.end", &[]));
    Ok(())
}

impl Stage {
    fn play(&mut self, is_paused: bool) -> Result<(), String> {
        let words = Words(self.config.lang);
        show(&words.say("demo.start", &[]));
        let (data_dir, trace) = (self.folder.clone(), self.trace("server"));
        let opened = server::open(Config { data_dir, trace, ..self.config.clone() })?;
        (self.config.chat_port, self.config.http_port) = (opened.chat.port(), opened.http.port());
        self.config.udp_port = opened.udp.map(|address| address.port());
        let server = opened.start()?;
        for (number, (title, acts)) in (1..).zip(TOUR) {
            let title = words.say(title, &[]);
            if is_paused {
                thread::sleep(DEMO_QUIET); // the last lines of the step before
                show(&words.say("demo.pause", &[]));
                let _ = io::stdin().lock().read_line(&mut String::new());
            }
            show(&format!("\n== {number}. {title}"));
            for act in *acts {
                self.perform(act).map_err(|what| format!("demo: step {number} ({title}) failed: {what}"))?;
            }
        }
        let deadline = self.config.deadline(DEMO_DEADLINE);
        while Arc::strong_count(&server) > 1 && Instant::now() < deadline {
            thread::sleep(SHORT_PAUSE); // its threads end with their connections
        }
        Ok(()) // with the server the database closes
    }

    /// An error says what did not happen.
    fn perform(&mut self, act: &Act) -> Result<(), String> {
        match act {
            Enters(name) => self.enter(name),
            Has(name, file, content) => {
                let folder = self.folder.join(name);
                let written =
                    fs::create_dir_all(&folder).and_then(|()| fs::write(folder.join(file), content));
                written.map_err(|error| format!("cannot write {file} for {name}: {error}"))
            }
            Types(name, line) => {
                let line = line.replace("{FOLDER}", &self.folder.join(name).to_string_lossy());
                show(&self.row(name, &format!("> {line}")));
                let typed = writeln!(self.console(name)?.keyboard, "{line}");
                typed.map_err(|error| format!("{name} cannot type: {error}"))
            }
            Sees(name, part) => self.wait_for_row(name, part),
            Leaves(name) => {
                let place = self.consoles.iter().position(|console| console.name == *name);
                let console = self.consoles.remove(place.ok_or_else(|| format!("{name} is not there"))?);
                drop(console.keyboard); // the end of its input ends a console
                for _ in console.rows {} // all that it still says
                match console.client.join() {
                    Ok(0) => Ok(()),
                    other => Err(format!("{name}'s console ended with {other:?}")),
                }
            }
            Tells(text) => {
                show(&self.row("udp", &format!("> {text}")));
                let config = Config { trace: self.trace("udp"), ..self.config.clone() };
                lan::broadcast(&config, "the teacher", text)
            }
        }
    }

    fn console(&mut self, name: &str) -> Result<&mut Console, String> {
        let found = self.consoles.iter_mut().find(|console| console.name == name);
        found.ok_or_else(|| format!("{name} is not there"))
    }

    /// Starts a console on pipes, in a thread that is its `main`.
    fn enter(&mut self, name: &'static str) -> Result<(), String> {
        let pipe = || io::pipe().map_err(|error| format!("no pipe: {error}"));
        let ((keys, keyboard), (output, screen)) = (pipe()?, pipe()?);
        let (data_dir, trace) = (self.folder.join(name), self.trace(name));
        let config = Config { data_dir, trace, ..self.config.clone() };
        let look = Look { is_terminal: false, has_escapes: false, has_colours: false, width: USUAL_WIDTH };
        let main = move || client::run(config, BufReader::new(keys), screen, look);
        let client = thread::Builder::new().name("main".to_owned()).spawn(main);
        let (seen, rows) = channel();
        let has_colours = self.has_colours;
        let shown = thread::Builder::new().name(format!("shows {name}")).spawn(move || {
            for row in BufReader::new(output).lines().map_while(Result::ok) {
                show(&labelled(name, &row, has_colours));
                let _ = seen.send(row); // an error: nobody waits any more
            }
        });
        let no_thread = |error: io::Error| format!("no thread: {error}");
        shown.map_err(no_thread)?;
        self.consoles.push(Console { name, keyboard, rows, client: client.map_err(no_thread)? });
        Ok(())
    }

    /// Waits for a row on this person's console; earlier ones are passed over.
    fn wait_for_row(&mut self, name: &str, part: &str) -> Result<(), String> {
        let limit = patiently(DEMO_DEADLINE, self.config.patience);
        let deadline = Instant::now() + limit;
        let console = self.console(name)?;
        loop {
            let row = console.rows.recv_timeout(deadline.saturating_duration_since(Instant::now()));
            match row {
                Ok(row) if row.starts_with("! ") => return Err(format!("{name} sees {row:?}, not {part:?}")),
                Ok(row) if row.contains(part) => return Ok(()),
                Ok(_) => {}
                Err(_) => return Err(format!("{name} does not see {part:?} within {limit:?}")),
            }
        }
    }

    /// The trace of one of the programs, on the stage.
    fn trace(&self, name: &'static str) -> Arc<Trace> {
        let has_colours = self.has_colours;
        Trace::new(self.level, move |lines| lines.iter().all(|line| show(&labelled(name, line, has_colours))))
    }

    fn row(&self, name: &str, row: &str) -> String {
        labelled(name, row, self.has_colours)
    }
}

/// A row with its owner before it, in the colour of the owner, or of the part of a frame that it shows.
fn labelled(name: &str, row: &str, has_colours: bool) -> String {
    let label = format!("{name:6} | ");
    if !has_colours {
        return label + row;
    }
    let colour = match name {
        "server" => "37", // white
        "alice" => "32",  // green
        "bob" => "33",    // yellow
        "carol" => "35",  // magenta
        _ => "36",        // cyan
    };
    format!("\x1b[{colour}m{label}{}\x1b[0m", coloured(row))
}

/// One line in one write. False: nobody looks any more.
fn show(line: &str) -> bool {
    io::stdout().lock().write_all(format!("{line}\n").as_bytes()).is_ok()
}
