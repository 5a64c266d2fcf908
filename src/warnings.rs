//! Warnings for the operator, on standard error: at most one a second of each kind, so that a flood of them fills no disk
//! and whoever can cause them writes no log. No texts, names or passwords of users belong in them.

use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// One kind of warning.
#[derive(Default)]
pub struct Warnings {
    /// When one was written last. Held for a moment; no other lock is taken meanwhile.
    written: Mutex<Option<Instant>>,
}

impl Warnings {
    /// Writes a warning, unless one of this kind was written within the last second.
    pub fn warn(&self, text: &str) {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        if written.is_some_and(|at| at.elapsed() < Duration::from_secs(1)) {
            return;
        }
        *written = Some(Instant::now());
        drop(written); // a stopped terminal holds up this thread alone
        warn(text);
    }
}

/// Writes one line on standard error. Where nobody reads that, nothing happens: `eprintln!` would panic.
pub fn warn(text: &str) {
    let _ = writeln!(io::stderr(), "minim: {text}");
}
