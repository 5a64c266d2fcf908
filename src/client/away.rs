//! A lost connection, until there is a new one.
//!
//! Rules: after 1, 2, 4, 8, 16, 30, 30 … seconds it is tried again, with LOGIN and the password in memory; what is unsent
//! goes then, in order, and who one's friends and groups are is asked anew. With `--find` the server is looked for each
//! time. A LOGIN refused for good (`is_passing`) ends it, as KICKED does. A script gives up after `LEAVE_DEADLINE`.
//! Start with `connection_lost`; `look_after_connection` is called before every wait.

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use crate::client::groups::fetch_groups;
use crate::client::people::fetch_friends;
use crate::client::{Client, Failure};
use crate::harmless::harmless_name;
use crate::lan;
use crate::limits::{ANSWER_DEADLINE, AWAY_TOLD_AFTER, LEAVE_DEADLINE, RECONNECT_PAUSES, patiently};
use crate::message::Code;
use crate::wire;

/// What is to be done while there is no connection.
pub struct Away {
    /// Tries so far.
    tries: usize,
    next_try: Instant,
    /// When a script gives up, and a person is told once more.
    end_of_patience: Option<Instant>,
}

/// The pause before this try, counted from 0.
pub fn pause(tries: usize, patience: f64) -> Duration {
    let last = RECONNECT_PAUSES.len() - 1;
    patiently(Duration::from_secs(RECONNECT_PAUSES[tries.min(last)]), patience)
}

/// As it is said: `1`, `30`, `0.02`.
pub fn seconds(duration: Duration) -> String {
    duration.as_secs_f64().to_string()
}

impl Client {
    /// The connection is over. While somebody is logged in that is said, and a new one is tried.
    pub(super) fn connection_lost(&mut self, why: Option<wire::Error>) {
        self.close();
        if self.session.is_none() {
            return;
        }
        let (now, patience) = (Instant::now(), self.config.patience);
        let limit = if self.look.is_terminal { AWAY_TOLD_AFTER } else { LEAVE_DEADLINE };
        let end_of_patience = Some(now + patiently(limit, patience));
        self.away = Some(Away { tries: 0, next_try: now + pause(0, patience), end_of_patience });
        let why = self.reason(why);
        self.trouble("lost", &[("WHY", &why), ("N", &seconds(pause(0, patience)))]);
    }

    fn reason(&self, why: Option<wire::Error>) -> String {
        match why {
            Some(error) if error.is_timeout() => self.words.say("lost.silent", &[]),
            Some(wire::Error::Io(error)) if !is_close(error.kind()) => error.kind().to_string(),
            None | Some(wire::Error::Io(_)) => self.words.say("lost.closed", &[]),
            Some(other) => other.to_string(),
        }
    }

    /// KICKED: the session is over, and no other connection is made. It ends a script.
    pub(super) fn kicked(&mut self, code: &str, text: &str) {
        let Some(session) = &self.session else { return };
        let name = harmless_name(&session.me.login_name);
        self.close();
        self.end_session();
        let key = if code == "loggedInElsewhere" { "kicked.loggedInElsewhere" } else { "kicked" };
        self.event(key, &[("NAME", &name), ("TEXT", &text)]);
        if !self.look.is_terminal {
            self.exit_code = Some(1);
        }
    }

    /// When `look_after_connection` has something to do, if nothing else happens before.
    pub(super) fn next_care(&self) -> Option<Instant> {
        if let Some(away) = &self.away {
            return away.end_of_patience.into_iter().chain([away.next_try]).min();
        }
        let session = self.session.as_ref()?;
        let oldest = session.unsent.iter().filter_map(|text| text.sent_at).min();
        let heard = self.connection.as_ref().map(|connection| connection.heard.1);
        let since = oldest.map(|at| heard.map_or(at, |heard| heard.max(at)));
        let silence = since.map(|at| at + patiently(ANSWER_DEADLINE, self.config.patience));
        silence.into_iter().chain(session.send_again_at).min()
    }

    /// Does what is due: sends again what the database was not there for; ends a connection on which a text has no
    /// answer, since it will be sent again on the next one; tries for that next one; says that there is none.
    pub(super) fn look_after_connection(&mut self) {
        let now = Instant::now();
        if self.next_care().is_none_or(|due| due > now) {
            return;
        }
        let Some(away) = &mut self.away else {
            let again =
                self.session.as_mut().and_then(|session| session.send_again_at.take_if(|at| *at <= now));
            if again.is_some() {
                return self.send_unsent();
            }
            if self.has_heard() {
                return; // what waited for us comes before an answer, and it may be much
            }
            let silent = wire::Error::Io(ErrorKind::TimedOut.into());
            return self.connection_lost(Some(silent));
        };
        if away.next_try <= now {
            return self.try_again();
        }
        away.end_of_patience = None;
        if !self.look.is_terminal {
            self.exit_code = Some(1);
            return;
        }
        let patience = self.config.patience;
        let (after, every) = (patiently(AWAY_TOLD_AFTER, patience), pause(usize::MAX, patience));
        let (after, every) = (seconds(after), seconds(every));
        self.trouble("lost.still", &[("ADDRESS", &self.address()), ("N", &after), ("M", &every)]);
    }

    /// A new connection for the session that there is; what is unsent goes over it.
    pub(super) fn log_in_again(&mut self) -> Result<(), Failure> {
        let session = self.session()?;
        let (login_name, pwd) = (session.me.login_name.clone(), session.pwd.clone());
        self.log_in(&login_name, &pwd)?;
        self.away = None;
        self.send_unsent();
        Ok(())
    }

    /// Whether anything came since this was last asked.
    pub(super) fn has_heard(&mut self) -> bool {
        let Some(connection) = &mut self.connection else { return false };
        let (before, (_, received)) = (connection.heard.0, connection.socket.bytes());
        if received > before {
            connection.heard = (received, Instant::now());
        }
        received > before
    }

    fn try_again(&mut self) {
        let Some(session) = &self.session else { return };
        let name = harmless_name(&session.me.login_name);
        if self.config.finds
            && let Ok(found) = lan::find(&self.config)
        {
            let before = self.address();
            self.config.take(&found); // it may have another address now, and with that other records
            if self.address() != before {
                self.session.iter_mut().for_each(|session| session.recorded.clear());
            }
        }
        match self.log_in_again() {
            Ok(()) if self.connection.is_none() => {} // it was lost again at once, and that was said
            Ok(()) => {
                self.event("lost.found", &[("NAME", &name)]);
                // What the server told of friends and groups meanwhile was lost. Without HTTP the old names serve.
                let _ = fetch_friends(self).and_then(|_| fetch_groups(self));
            }
            Err(Failure::Refused(refusal)) if !is_passing(refusal.code) => {
                self.fail(refusal.into());
                self.end_session();
            }
            Err(_) => {
                if let Some(away) = &mut self.away {
                    away.tries += 1;
                    away.next_try = Instant::now() + pause(away.tries, self.config.patience);
                }
            }
        }
    }
}

/// What may be otherwise at the next try.
fn is_passing(code: Code) -> bool {
    matches!(code, Code::DatabaseDown | Code::TooMany | Code::TooManyTries)
}

/// The ways in which the end of a peer shows itself.
fn is_close(kind: ErrorKind) -> bool {
    use ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, NotConnected, UnexpectedEof};
    matches!(kind, BrokenPipe | ConnectionAborted | ConnectionReset | NotConnected | UnexpectedEof)
}
