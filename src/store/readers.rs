//! The connections that read: a pool of `DATABASE_READERS`, and one of a single connection for searches, which take long.
//!
//! Rules: who finds none at rest waits for one, for a limited time. One that was lost is replaced once, for instance after a
//! quiet night; then the database is away, and whoever reads next tries again.

use std::sync::{Condvar, Mutex, PoisonError};

use super::Trouble;
use super::driver::{self, Connection, Failure};
use crate::config::Database;
use crate::limits::{DATABASE_BUSY_DEADLINE, DATABASE_READERS};

pub struct Readers {
    place: Database,
    /// Held to take a connection or give it back.
    pool: Mutex<Pool>,
    returned: Condvar,
}

struct Pool {
    /// Those at rest; None stands for one that is not open.
    idle: Vec<Option<Connection>>,
    /// Who waits for one. Mostly nobody: then waking, a call in the kernel, is spared.
    waiting: usize,
}

impl Readers {
    /// All that can be had are opened now: later there may be no descriptors left. One at least must open.
    pub fn open(place: &Database) -> Result<Readers, Failure> {
        let first = driver::open_to_read(place)?;
        let mut idle: Vec<Option<Connection>> =
            (1..DATABASE_READERS).map(|_| driver::open_to_read(place).ok()).collect();
        idle.push(Some(first));
        Ok(Readers::of(place, idle))
    }

    /// A pool of one, which is opened when it is asked for.
    pub fn one(place: &Database) -> Readers {
        Readers::of(place, vec![None])
    }

    fn of(place: &Database, idle: Vec<Option<Connection>>) -> Readers {
        Readers {
            place: place.clone(),
            pool: Mutex::new(Pool { idle, waiting: 0 }),
            returned: Condvar::new(),
        }
    }

    /// Does `job`, which only reads, by a connection of the pool.
    pub fn read<T>(&self, job: impl Fn(&mut Connection) -> Result<T, Trouble>) -> Result<T, Trouble> {
        let mut seat = self.take()?;
        let mut outcome = self.try_once(&mut seat, &job);
        if matches!(outcome, Err(Trouble::Failed(Failure::Gone(_)))) {
            outcome = self.try_once(&mut seat, &job);
        }
        self.give_back(seat);
        outcome
    }

    /// `seat` is empty afterwards when the connection was lost.
    fn try_once<T>(
        &self,
        seat: &mut Option<Connection>,
        job: impl Fn(&mut Connection) -> Result<T, Trouble>,
    ) -> Result<T, Trouble> {
        let mut db = match seat.take() {
            Some(db) => db,
            None => driver::open_to_read(&self.place)?,
        };
        let outcome = job(&mut db);
        if !matches!(outcome, Err(Trouble::Failed(Failure::Gone(_)))) {
            *seat = Some(db);
        }
        outcome
    }

    fn take(&self) -> Result<Option<Connection>, Failure> {
        let mut pool = self.pool.lock().unwrap_or_else(PoisonError::into_inner);
        if pool.idle.is_empty() {
            pool.waiting += 1;
            let none = |pool: &mut Pool| pool.idle.is_empty();
            let waited = self.returned.wait_timeout_while(pool, DATABASE_BUSY_DEADLINE, none);
            pool = waited.unwrap_or_else(PoisonError::into_inner).0;
            pool.waiting -= 1;
        }
        let taken = pool.idle.pop();
        taken.ok_or_else(|| {
            Failure::Down("all connections that read, or the one that searches, are in use".to_owned())
        })
    }

    /// Open ones are taken first.
    fn give_back(&self, connection: Option<Connection>) {
        let mut pool = self.pool.lock().unwrap_or_else(PoisonError::into_inner);
        let place = if connection.is_some() { pool.idle.len() } else { 0 };
        pool.idle.insert(place, connection);
        if pool.waiting > 0 {
            self.returned.notify_one();
        }
    }
}
