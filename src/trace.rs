//! The wire made visible: what `--trace` writes, one line for each system call, and behind it the parts of what that carried.
//!
//! A line: `[thread  ] call(arguments) = result  note`; a part: `[thread  ]   LETTER text` (PROTOCOL.md, 10).
//! Rules: a line is one write, without a clock, so that two runs can be compared and a program can wait for a line. The level
//! belongs to a program and is shared by its connections; while it is off, a call costs one look at it and nothing is put
//! together. Who can no longer be written to gets no more. Texts and passwords show from `frames` on, never below.
//! Not here: the calls (socket.rs), when there is something to say (wire.rs, channel.rs, lan.rs, store/writer.rs).
//! Start with `Trace::call`; trace/lines.rs puts it together for a socket, trace/parts.rs the parts.

mod http;
mod lines;
mod parts;

use std::fmt;
use std::io::{self, IsTerminal, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use std::thread;

use crate::harmless::obeys_colours;

pub use http::HttpView;
pub use lines::{Lines, Outcome};
pub use parts::{Frame, Parts, View, Wrong, body_row, datagram, frame_rows, frames, kind, length_row};

/// How much of the wire to show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd)]
pub enum Level {
    /// Nothing.
    Off,
    /// The calls, and of what type the messages are.
    Steps,
    /// Also frames, HTTP messages and datagrams in their parts.
    Frames,
    /// Also the 16 rounds of the first block of each frame.
    Rounds,
}

/// All levels by their names, each at the place that is its number.
pub const LEVELS: [(&str, Level); 4] =
    [("off", Level::Off), ("steps", Level::Steps), ("frames", Level::Frames), ("rounds", Level::Rounds)];

impl Level {
    /// As it is typed.
    pub fn name(self) -> &'static str {
        LEVELS[self as usize].0
    }
}

type Write = dyn Fn(&[String]) -> bool + Send + Sync;

/// The trace of one program.
pub struct Trace {
    /// The place of its level in `LEVELS`.
    level: AtomicU8,
    /// Takes the lines of one call, one behind the other; false: nobody reads them.
    write: Box<Write>,
}

/// What is said behind a call about what it carried.
#[derive(Debug, Default)]
pub struct Note {
    /// On the line of the call; may be empty.
    pub words: String,
    /// The parts, each beginning with its letter.
    pub rows: Vec<String>,
}

impl Note {
    /// Words alone.
    pub fn new(words: impl Into<String>) -> Note {
        Note { words: words.into(), rows: Vec::new() }
    }
}

impl Trace {
    /// A trace whose lines `write` takes, those of one call together, without line feeds; it returns false when nobody reads
    /// them any more.
    pub fn new(level: Level, write: impl Fn(&[String]) -> bool + Send + Sync + 'static) -> Arc<Trace> {
        Arc::new(Trace { level: AtomicU8::new(level as u8), write: Box::new(write) })
    }

    /// None at all.
    pub fn off() -> Arc<Trace> {
        Trace::new(Level::Off, |_| false)
    }

    /// On standard error: at a terminal in colours, unless `NO_COLOR` says otherwise.
    pub fn on_standard_error(level: Level) -> Arc<Trace> {
        let is_coloured = obeys_colours(io::stderr().is_terminal());
        Trace::new(level, move |lines| {
            let mut output = io::stderr().lock(); // it has no buffer
            lines.iter().all(|line| {
                let line = if is_coloured { coloured(line) } else { line.clone() };
                output.write_all(format!("{line}\n").as_bytes()).is_ok()
            })
        })
    }

    /// How much there is of it now.
    pub fn level(&self) -> Level {
        LEVELS[usize::from(self.level.load(Relaxed))].1
    }

    /// Whether there is any.
    pub fn is_on(&self) -> bool {
        self.level.load(Relaxed) != Level::Off as u8
    }

    /// From here on so much.
    pub fn set_level(&self, level: Level) {
        self.level.store(level as u8, Relaxed);
    }

    /// One call of this thread, with its arguments, and what it came to: `=` in column 43, the note in column 57, where there
    /// is room.
    pub fn call(&self, call: &str, result: &str, note: &Note) {
        let thread = thread::current();
        let thread = thread.name().unwrap_or("?");
        let line = format!("[{thread:8}] {call}");
        let room = 42usize.saturating_sub(line.chars().count());
        let line = format!("{line}{:room$}= {result}", "", room = if room > 0 { room } else { 2 });
        let room = 56usize.saturating_sub(line.chars().count()).max(2);
        let line = format!("{line}{:room$}{}", "", note.words);
        let mut lines = vec![line.trim_end().to_owned()];
        lines.extend(note.rows.iter().map(|row| format!("[{thread:8}]   {row}")));
        if !(self.write)(&lines) {
            self.set_level(Level::Off);
        }
    }
}

impl fmt::Debug for Trace {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{:?}", self.level())
    }
}

/// A line in the colour of the part that it shows. The letters stand there all the same.
pub fn coloured(line: &str) -> String {
    let part = line.strip_prefix('[').and_then(|line| line.split_once("]   "));
    let part = part.map_or("", |(_, part)| part);
    let colour = match part.split_once(' ') {
        Some(("L" | "Q", _)) => "33",                        // yellow
        Some(("I", _)) => "35",                              // magenta
        Some(("C" | "H", _)) => "36",                        // cyan
        Some(("M", text)) if text.contains("wrong") => "31", // red
        Some(("M", _)) => "32",                              // green
        Some(("R", _)) => "2",                               // dim
        _ => return line.to_owned(),
    };
    format!("\x1b[{colour}m{line}\x1b[0m")
}
