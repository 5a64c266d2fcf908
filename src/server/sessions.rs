//! Who is logged in, and the brake on guessing passwords. Sessions live in memory: a restart ends them all.
//!
//! Rules: a session is known by its id, 16 random bytes as hexadecimal digits, and by nothing else. A LOGIN over chat
//! ends the user's chat session before it; sessions of POST /login live beside it, at most `SESSIONS_PER_USER` in all.
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
    is_chat: bool,
    /// When it began.
    pub begun: Instant,
    last_used: Instant,
}

/// All sessions of the server.
#[derive(Default)]
pub struct Sessions {
    /// Held to look up or change; no other lock is taken meanwhile.
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    by_id: HashMap<String, Session>,
    /// uid to the moment in which all sessions of theirs were ended last.
    ended_all: HashMap<u64, Instant>,
}

impl Table {
    fn all_ended_since(&self, uid: u64, since: Instant) -> bool {
        self.ended_all.get(&uid).is_some_and(|&ended| ended >= since)
    }
}

impl Sessions {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new session, and the two that end by it: where it is one over chat, the user's chat session before it (silently: its
    /// connection is closed when this one's enters `online_users`); and where the user would have more than
    /// `SESSIONS_PER_USER`, the one unused longest, `connected` (the id of theirs that has a connection now) last of all.
    /// None: since `checked`, when it was looked up which password is right, all sessions of the user were ended.
    pub fn begin(
        &self,
        uid: u64,
        is_chat: bool,
        checked: Instant,
        connected: Option<&str>,
    ) -> Option<(Session, Option<Session>, Option<Session>)> {
        let id = hex(&random_bytes::<16>());
        let mut table = self.table();
        if table.all_ended_since(uid, checked) {
            return None;
        }
        let now = Instant::now();
        let session = Session { id, uid, is_chat, begun: now, last_used: now };
        let Table { by_id, ended_all } = &mut *table;
        ended_all.retain(|_, ended| now.duration_since(*ended) <= SESSION_LIFE); // longer than any check of a password
        by_id.retain(|_, other| now.duration_since(other.last_used) <= SESSION_LIFE);
        let is_replaced = |_: &String, other: &mut Session| other.uid == uid && is_chat && other.is_chat;
        let replaced = by_id.extract_if(is_replaced).map(|(_, other)| other).last();

        let of_user: Vec<&Session> = by_id.values().filter(|other| other.uid == uid).collect();
        let is_full = of_user.len() >= SESSIONS_PER_USER;
        let order = |other: &&Session| (connected == Some(&other.id), other.last_used);
        let unused = of_user.into_iter().min_by_key(order).filter(|_| is_full).cloned();
        if let Some(other) = &unused {
            by_id.remove(&other.id);
        }
        by_id.insert(session.id.clone(), session.clone());
        Some((session, replaced, unused))
    }

    /// The session of an id, which is used by that. One that nobody used for `SESSION_LIFE` ends here instead.
    pub fn use_session(&self, id: &str) -> Option<Session> {
        let mut table = self.table();
        let session = table.by_id.get_mut(id)?;
        if session.last_used.elapsed() > SESSION_LIFE {
            table.by_id.remove(id);
            return None;
        }
        session.last_used = Instant::now();
        Some(session.clone())
    }

    /// Ends all sessions of a user, and those that would begin by a check of a password that is under way.
    pub fn end_all(&self, uid: u64) -> Vec<Session> {
        let mut table = self.table();
        table.ended_all.insert(uid, Instant::now());
        table.by_id.extract_if(|_, session| session.uid == uid).map(|(_, session)| session).collect()
    }

    /// Whether all sessions of a user were ended since then: a password that was right then need not be now.
    pub fn all_ended_since(&self, uid: u64, since: Instant) -> bool {
        self.table().all_ended_since(uid, since)
    }

    /// Ends a session, if it has not ended.
    pub fn end(&self, id: &str) {
        self.table().by_id.remove(id);
    }
}

/// The brake: after `FREE_TRIES` wrong passwords for one login name from one address, the next tries are refused for
/// 1, 2, 4 … `LONGEST_BRAKE` seconds. Other names and other addresses are not held up.
#[derive(Default)]
pub struct Brake {
    /// Held to look up or change, not while a password is checked; no other lock is taken meanwhile.
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
    /// Lets `check` look at a password: `Ok(None)` says that it was wrong. `tooManyTries` while the brake holds, and then
    /// the try counts for nothing. Tries at the same time wait for each other where together they could be too many.
    pub fn guard<T>(
        &self,
        login_key: &str,
        address: IpAddr,
        check: impl FnOnce() -> Result<Option<T>, Refusal>,
    ) -> Result<Option<T>, Refusal> {
        let key = (login_key.to_owned(), address);
        self.begin_try(&key)?;
        let outcome = check();
        if let Some(entry) = self.tries().get_mut(&key) {
            entry.under_way -= 1;
            match &outcome {
                Ok(Some(_)) => entry.wrong = 0,
                Ok(None) => entry.count_wrong(),
                Err(_) => {} // nobody knows
            }
        }
        self.decided.notify_all();
        outcome
    }

    fn tries(&self) -> MutexGuard<'_, HashMap<(String, IpAddr), Tries>> {
        self.tries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin_try(&self, key: &(String, IpAddr)) -> Result<(), Refusal> {
        let mut tries = self.tries();
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
}

impl Tries {
    fn count_wrong(&mut self) {
        self.wrong += 1;
        if self.wrong >= FREE_TRIES {
            let doublings = (self.wrong - FREE_TRIES).min(6); // 2^6 is above LONGEST_BRAKE
            let pause = Duration::from_secs((1 << doublings).min(LONGEST_BRAKE));
            self.braked_until = Instant::now() + pause;
        }
    }
}

/// Makes room in a full table: the half goes that has the fewest wrong passwords, and of those the longest unused. So who
/// fills it with invented names frees the name that it guesses at only by as many wrong passwords for each of them.
fn forget_some(tries: &mut HashMap<(String, IpAddr), Tries>) {
    if tries.len() >= BRAKE_ENTRIES {
        let order = |entry: &Tries| (entry.wrong, entry.last_used);
        let mut all: Vec<_> = tries.values().map(order).collect();
        all.sort_unstable();
        let middle = all[all.len() / 2];
        tries.retain(|_, entry| entry.under_way > 0 || order(entry) > middle);
    }
}
