//! The lines of one socket: its name, and a line of a recv that waits for its note, since what came is known later than that
//! it came.

use std::fmt::{Arguments, Display};
use std::io::{self, ErrorKind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Note, Trace};

/// What a call came to: what is said of it, or the system's reason.
pub type Outcome<'a> = Result<&'a dyn Display, &'a io::Error>;

/// What the trace says of one socket. Dropping it says that the socket was closed.
#[derive(Debug)]
pub struct Lines {
    /// What the socket is called.
    pub name: String,
    /// The program's trace.
    pub trace: Arc<Trace>,
    /// Bytes wanted and got by the last recv, while its line has not been written.
    unsaid: Mutex<Option<(usize, usize)>>,
}

impl Lines {
    /// For a socket that is called `name`.
    pub fn new(name: &str, trace: &Arc<Trace>) -> Lines {
        Lines { name: name.to_owned(), trace: trace.clone(), unsaid: Mutex::default() }
    }

    /// `call(name, arguments) = outcome  note`.
    pub fn say(&self, call: &str, arguments: Arguments, outcome: Outcome, note: &Note) {
        if self.trace.is_on() {
            let arguments = arguments.to_string();
            let comma = if arguments.is_empty() { "" } else { ", " };
            let result = match outcome {
                Ok(result) => result.to_string(),
                Err(error) => format!("error: {}", reason(error)),
            };
            self.trace.call(&format!("{call}({}{comma}{arguments})", self.name), &result, note);
        }
    }

    /// The call that makes the socket, so that its name is what it comes to.
    pub fn say_socket(&self, is_ipv4: bool, kind: &str) {
        if self.trace.is_on() {
            let family = if is_ipv4 { "AF_INET" } else { "AF_INET6" };
            self.trace.call(&format!("socket({family}, {kind})"), &self.name, &Note::default());
        }
    }

    /// A recv: its line is written by `note`, or at the latest before the next one.
    pub fn received(&self, wanted: usize, received: &io::Result<usize>) {
        match received {
            _ if !self.trace.is_on() => {}
            Ok(count) => *self.unsaid() = Some((wanted, *count)),
            Err(error) => self.say("recv", format_args!("{wanted} wanted"), Err(error), &Note::default()),
        }
    }

    /// Writes the line of the last recv, with what there is to say of what came.
    pub fn note(&self, note: &Note) {
        let unsaid = if self.trace.is_on() { self.unsaid().take() } else { None };
        if let Some((wanted, count)) = unsaid {
            self.say("recv", format_args!("{wanted} wanted"), Ok(&count), note);
        }
    }

    fn unsaid(&self) -> MutexGuard<'_, Option<(usize, usize)>> {
        self.unsaid.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The kind of an error; where `std` has no name for it, the system's words.
fn reason(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::WouldBlock => "timed out".to_owned(),
        kind if kind.to_string() == "uncategorized error" => {
            let text = error.to_string();
            text.split(" (os error").next().unwrap_or_default().to_lowercase()
        }
        kind => kind.to_string(),
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        self.note(&Note::default());
        self.say("close", format_args!(""), Ok(&"ok"), &Note::default());
    }
}
