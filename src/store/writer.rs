//! The thread `store`, the only one that writes: it does what has gathered in one transaction, so that fifty who send
//! at once wait for one flush of the disk and not for fifty, and then tells all of them.
//!
//! Rules: nobody hears of success before COMMIT. A job refuses before it writes, and can be done again from its start:
//! where one statement of a batch fails, its jobs are done one by one, so that a bad one costs nobody else anything.
//! A connection that was lost is replaced once; then the database is away, and the next job tries again.
//! Not here: what a job does (store.rs).

use std::collections::HashSet;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;

use super::driver::{self, Connection, Failure};
use super::messages::{NewMessage, add_messages};
use super::{Counts, Stored, Trouble, by_rule};
use crate::config::Database;
use crate::limits::{DATABASE_BATCH, DATABASE_PING};
use crate::message::Refusal;
use crate::trace::{Note, Trace};

/// CHAT_SEND_MSG, or FILE_END, on its way to the disk.
pub struct Message {
    pub from: u64,
    pub new: NewMessage,
    pub answer: Sender<Result<Stored, Trouble>>,
}

impl Message {
    /// fromUid and clientNo, by which the message is known for ever.
    pub fn key(&self) -> [u64; 2] {
        [self.from, self.new.client_no]
    }
}

/// Any other change. What it finds out, it keeps for whoever waits.
pub struct Change {
    /// What it is, for the trace.
    pub what: String,
    pub work: Box<Work>,
    pub answer: Sender<Result<(), Trouble>>,
}

type Work = dyn FnMut(&mut Connection) -> Result<(), Trouble> + Send;

/// What the thread is asked for.
pub enum Job {
    Message(Message),
    Change(Change),
}

/// The jobs of one transaction: first the messages, by statements that they share, then the changes. None of them is
/// acknowledged yet, so any order is a true one.
#[derive(Default)]
struct Batch {
    messages: Vec<Message>,
    changes: Vec<Change>,
}

struct Writer {
    place: Database,
    /// None: it was lost.
    db: Option<Connection>,
    /// Messages whose COMMIT was never answered: they may be on the disk though nobody was told of them. Who repeats
    /// such a one is the first to be told, and so are its recipients.
    in_doubt: HashSet<[u64; 2]>,
    counts: Arc<Counts>,
    trace: Arc<Trace>,
}

/// Starts the thread. It ends when nobody can ask it any more.
pub fn start(
    place: &Database,
    db: Connection,
    counts: Arc<Counts>,
    trace: Arc<Trace>,
) -> io::Result<Sender<Job>> {
    let (sender, jobs) = channel();
    let mut writer = Writer { place: place.clone(), db: Some(db), in_doubt: HashSet::new(), counts, trace };
    thread::Builder::new().name("store".to_owned()).spawn(move || writer.serve(&jobs))?;
    Ok(sender)
}

impl Writer {
    fn serve(&mut self, jobs: &Receiver<Job>) {
        loop {
            match jobs.recv_timeout(DATABASE_PING) {
                Ok(first) => {
                    let mut batch = Batch::default();
                    batch.add(first);
                    jobs.try_iter().take(DATABASE_BATCH - 1).for_each(|job| batch.add(job));
                    if let Err((failure, batch)) = self.do_all(batch) {
                        // Who waits by now has waited as long; who asks when told so is tried again.
                        let waiting: Vec<Job> = jobs.try_iter().collect();
                        fail(batch.jobs().chain(waiting), &failure);
                    }
                }
                Err(RecvTimeoutError::Timeout) => {
                    let _ = self.transaction(&mut Batch::default()); // keeps the connection, and with it our lock
                }
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// Does a batch, and tells everybody in it how that went. An error: the database was not there, and nobody knows yet.
    fn do_all(&mut self, mut batch: Batch) -> Result<(), (Failure, Batch)> {
        let mut outcome = self.transaction(&mut batch);
        if let Err(failure @ Failure::InDoubt(_)) = &outcome {
            fail(batch.changes.drain(..).map(Job::Change), failure); // done again, it could be refused for being done
        }
        if matches!(outcome, Err(Failure::Gone(_) | Failure::InDoubt(_))) {
            outcome = self.transaction(&mut batch); // by a fresh connection: a quiet night may end the old one
        }
        match outcome {
            Ok(Done { stored, changed }) => {
                for (message, outcome) in batch.messages.iter().zip(stored) {
                    let _ = message.answer.send(outcome.map_err(Trouble::from)); // who left does not hear it
                }
                for (change, outcome) in batch.changes.iter().zip(changed) {
                    let _ = change.answer.send(outcome.map_err(Trouble::from));
                }
            }
            Err(Failure::Statement(_)) if batch.messages.len() + batch.changes.len() > 1 => {
                // Each hears how its own went.
                for job in batch.jobs() {
                    let mut alone = Batch::default();
                    alone.add(job);
                    if let Err((failure, alone)) = self.do_all(alone) {
                        fail(alone.jobs(), &failure);
                    }
                }
            }
            Err(failure @ Failure::Statement(_)) => fail(batch.jobs(), &failure),
            Err(failure) => return Err((failure, batch)),
        }
        Ok(())
    }

    /// All of a batch, or nothing: what each message and each change came to.
    fn transaction(&mut self, batch: &mut Batch) -> Result<Done, Failure> {
        let mut db = match self.db.take() {
            Some(db) => db,
            None => driver::open_to_write(&self.place, "")?,
        };
        let outcome = self.do_and_commit(&mut db, batch);
        match &outcome {
            Ok(Done { stored, .. }) => {
                self.counts.commits.fetch_add(1, Relaxed);
                let count = stored.iter().filter(|outcome| outcome.is_ok()).count();
                self.counts.messages.fetch_add(count as u64, Relaxed);
                let told = batch.messages.iter().zip(stored).filter(|(_, outcome)| outcome.is_ok());
                told.for_each(|(message, _)| _ = self.in_doubt.remove(&message.key()));
            }
            Err(Failure::InDoubt(_)) => self.in_doubt.extend(batch.messages.iter().map(Message::key)),
            Err(_) => {}
        }
        let is_usable = match outcome {
            Ok(_) => true,
            Err(Failure::Gone(_) | Failure::InDoubt(_)) => false, // what comes on it next may answer an earlier statement
            Err(_) => db.run_plain("ROLLBACK").is_ok(),
        };
        self.db = is_usable.then_some(db);
        outcome
    }

    /// From BEGIN to COMMIT, which is the moment from which all of it is on the disk.
    fn do_and_commit(&self, db: &mut Connection, batch: &mut Batch) -> Result<Done, Failure> {
        db.begin()?;
        db.changed(); // of an earlier batch
        let mut done =
            Done { stored: add_messages(db, &batch.messages, &self.in_doubt)?, changed: Vec::new() };
        let mut rows = vec![db.changed()]; // changed by the messages, and by each change
        for change in &mut batch.changes {
            done.changed.push(by_rule((change.work)(db))?);
            rows.push(db.changed());
        }
        let committed = db.run_plain("COMMIT").map_err(|failure| match failure {
            Failure::Gone(why) => Failure::InDoubt(why),
            other => other,
        });
        if self.trace.is_on() {
            self.say(batch, &done, &rows, &committed);
        }
        committed.map(|()| done)
    }

    /// The trace's lines about a batch: of each message its id, of each change how many rows it changed, or the rule that
    /// forbade it; last the commit. Where that failed, nothing was stored.
    fn say(&self, batch: &Batch, done: &Done, rows: &[u64], committed: &Result<(), Failure>) {
        let stored = done.stored.iter().map(|one| ("message", one.as_ref().map(|stored| stored.envelope.id)));
        let changes = batch.changes.iter().zip(&done.changed).zip(&rows[1..]);
        let changed = changes.map(|((change, one), rows)| (&*change.what, one.as_ref().map(|()| *rows)));
        for (what, outcome) in stored.chain(changed).filter(|_| committed.is_ok()) {
            let result = match outcome {
                Ok(number) => number.to_string(),
                Err(refusal) => format!("error: {}", refusal.code),
            };
            self.trace.call(&format!("stored({what})"), &result, &Note::default());
        }
        let rows: u64 = rows.iter().sum();
        let words = match committed {
            Ok(()) if done.stored.iter().any(Result::is_ok) => "on disk; only now the ACK",
            _ => "on disk",
        };
        let (result, words) = match committed {
            Ok(()) => ("ok".to_owned(), words),
            Err(failure) => (format!("error: {failure}"), ""),
        };
        if rows > 0 {
            let call = format!("commit({rows} {})", if rows == 1 { "row" } else { "rows" });
            self.trace.call(&call, &result, &Note::new(words));
        }
    }
}

/// What the messages and the changes of a batch came to, in order, where the database did its part.
struct Done {
    stored: Vec<Result<Stored, Refusal>>,
    changed: Vec<Result<(), Refusal>>,
}

impl Batch {
    fn add(&mut self, job: Job) {
        match job {
            Job::Message(message) => self.messages.push(message),
            Job::Change(change) => self.changes.push(change),
        }
    }

    fn jobs(self) -> impl Iterator<Item = Job> {
        self.messages.into_iter().map(Job::Message).chain(self.changes.into_iter().map(Job::Change))
    }
}

/// Tells all of them the same.
fn fail(jobs: impl Iterator<Item = Job>, failure: &Failure) {
    for job in jobs {
        match job {
            Job::Message(message) => _ = message.answer.send(Err(failure.clone().into())),
            Job::Change(change) => _ = change.answer.send(Err(failure.clone().into())),
        }
    }
}
