//! Who is logged in, and the brake on guessing passwords. Sessions live in memory: a restart ends them all.
//!
//! Rules: a session is known by its id, 16 random bytes as hexadecimal digits, and nothing else. A LOGIN over chat ends
//! the user's chat session before it; sessions of POST /login live beside it, at most `SESSIONS_PER_USER` in all.
//! Not here: the connections (online.rs) and what they are told when their session ends (people.rs).

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::limits::{BRAKE_ENTRIES, FREE_TRIES, LONGEST_BRAKE, SESSION_LIFE, SESSIONS_PER_USER};
use crate::md5_check::{hex, random_bytes};
use crate::message::{Code, Refusal};

/// One user, logged in at one place.
#[derive(Clone)]
pub struct Session {
    /// 32 hexadecimal digits; the cookie `sid`.
    pub id: String,
    /// Who.
    pub uid: u64,
    /// Whether LOGIN over chat made it.
    pub is_chat: bool,
    /// Counts up: of two sessions the later one has the greater.
    pub number: u64,
    last_used: Instant,
}

/// All sessions of the server.
#[derive(Default)]
pub struct Sessions {
    /// The sessions by id, and the last number. Held to look up or change, with no other lock.
    table: Mutex<(HashMap<String, Session>, u64)>,
}

impl Sessions {
    fn table(&self) -> MutexGuard<'_, (HashMap<String, Session>, u64)> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new session, and those that end by it: the earlier chat session, and what would be a ninth. `connected` is the
    /// id of the user's session that has a chat connection now: it is the last to go.
    pub fn begin(
        &self,
        uid: u64,
        is_chat: bool,
        connected: Option<&str>,
    ) -> (Session, Vec<Session>) {
        let mut table = self.table();
        let (by_id, last_number) = &mut *table;
        *last_number += 1;
        let id = hex(&random_bytes::<16>());
        let session = Session { id, uid, is_chat, number: *last_number, last_used: Instant::now() };

        let of_user = by_id.values().filter(|other| other.uid == uid);
        let (mut ended, others): (Vec<Session>, Vec<Session>) =
            of_user.cloned().partition(|other| is_chat && other.is_chat);
        if others.len() >= SESSIONS_PER_USER {
            let order = |other: &Session| (connected == Some(&other.id), other.last_used);
            ended.extend(others.into_iter().min_by_key(order));
        }
        for other in &ended {
            by_id.remove(&other.id);
        }
        by_id.insert(session.id.clone(), session.clone());
        (session, ended)
    }

    /// The session of an id; this counts as its use. One that nobody used for `SESSION_LIFE` ends here instead. A chat
    /// connection uses its session with every frame that comes.
    pub fn find(&self, id: &str) -> Option<Session> {
        let mut table = self.table();
        let session = table.0.get_mut(id)?;
        if session.last_used.elapsed() > SESSION_LIFE {
            table.0.remove(id);
            return None;
        }
        session.last_used = Instant::now();
        Some(session.clone())
    }

    /// Ends one session; none where it had ended before.
    pub fn end(&self, id: &str) -> Option<Session> {
        self.table().0.remove(id)
    }
}

/// The brake: after `FREE_TRIES` wrong passwords for one login name from one address, the next tries are refused for
/// 1, 2, 4 … `LONGEST_BRAKE` seconds. Other names and other addresses are not held up.
#[derive(Default)]
pub struct Brake {
    /// Held to look up or change, with no other lock, and not while a password is checked.
    tries: Mutex<HashMap<(String, IpAddr), Tries>>,
    decided: Condvar,
}

struct Tries {
    wrong: u32,
    /// Tries whose password is being checked right now.
    under_way: u32,
    braked_until: Instant,
    last_used: Instant,
}

impl Brake {
    /// Before a password is checked; `right` or `wrong` must follow. `tooManyTries` while the brake holds: then the try
    /// counts for nothing. Tries at the same time wait for each other where they could be too many together.
    pub fn begin_try(&self, login_key: &str, address: IpAddr) -> Result<(), Refusal> {
        let key = (login_key.to_owned(), address);
        let mut tries = self.tries.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let now = Instant::now();
            forget_some(&mut tries);
            let fresh = Tries { wrong: 0, under_way: 0, braked_until: now, last_used: now };
            let entry = tries.entry(key.clone()).or_insert(fresh);
            entry.last_used = now;
            if entry.braked_until > now {
                let seconds = (entry.braked_until - now).as_secs() + 1;
                let text = format!("too many wrong passwords, wait {seconds} s");
                return Err(Refusal { code: Code::TooManyTries, text, limit: Some(seconds) });
            }
            let at_once = FREE_TRIES.saturating_sub(entry.wrong).max(1);
            if entry.under_way < at_once {
                entry.under_way += 1;
                return Ok(());
            }
            tries = self.decided.wait(tries).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// The password was right: what was wrong before is forgotten.
    pub fn right(&self, login_key: &str, address: IpAddr) {
        self.decide(login_key, address, |entry| entry.wrong = 0);
    }

    /// The password was wrong.
    pub fn wrong(&self, login_key: &str, address: IpAddr) {
        self.decide(login_key, address, |entry| {
            entry.wrong += 1;
            if entry.wrong >= FREE_TRIES {
                let doublings = (entry.wrong - FREE_TRIES).min(6); // 2^6 is above LONGEST_BRAKE
                let pause = Duration::from_secs((1 << doublings).min(LONGEST_BRAKE));
                entry.braked_until = Instant::now() + pause;
            }
        });
    }

    /// Neither: the database could not say.
    pub fn undecided(&self, login_key: &str, address: IpAddr) {
        self.decide(login_key, address, |_| {});
    }

    fn decide(&self, login_key: &str, address: IpAddr, change: impl Fn(&mut Tries)) {
        let mut tries = self.tries.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = tries.get_mut(&(login_key.to_owned(), address)) {
            entry.under_way = entry.under_way.saturating_sub(1);
            change(entry);
        }
        self.decided.notify_all();
    }
}

/// Makes room in a full table: of those that nothing is under way for, the half that was unused longest.
fn forget_some(tries: &mut HashMap<(String, IpAddr), Tries>) {
    if tries.len() < BRAKE_ENTRIES {
        return;
    }
    let mut times: Vec<Instant> = tries.values().map(|entry| entry.last_used).collect();
    times.sort();
    let middle = times[times.len() / 2];
    tries.retain(|_, entry| entry.under_way > 0 || entry.last_used > middle);
}
