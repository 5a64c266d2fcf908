//! The store: the SQL about our tables, in words that SQLite and MySQL both take. It knows no socket.
//!
//! Rules: what a function here has returned `Ok` for is on the disk. Whatever is checked and then written stands in
//! one transaction, and one thread does all writing (store/writer.rs), so nothing changes between the check and the
//! write. Reading has connections of its own (store/readers.rs) and waits for no writer. What a user has not received yet
//! is known by `handle`; "id above the last one" only turns the page. Beneath it a driver (store/driver.rs) runs a
//! statement with parameters. Here is what all of it shares; the rest is in
//! store/messages.rs, store/people.rs and store/groups.rs. Not here: who hears of it (server/online.rs).
//! Start with `write` and `read`.

#[cfg(not(feature = "sqlite"))]
mod absent;
mod driver;
mod groups;
mod messages;
mod mysql;
mod people;
#[cfg(test)]
#[path = "../tests/store/plans.rs"]
mod plans;
mod readers;
#[cfg(feature = "sqlite")]
mod sqlite;
mod writer;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::mpsc::{Receiver, Sender, channel};

use crate::clock::now_ms;
use crate::config::Database;
use crate::md5_check::{hex, md5};
use crate::message::{Code, Envelope, File, FromServer, Refusal, StoredFile, User};
use crate::trace::Trace;
use crate::warnings::Warnings;

pub use groups::{Group, Succession};
pub use messages::{Content, NewMessage, Stored, Waiting, Wanted};
pub use people::Answered;

use driver::{Connection, Failure, Row, Value};
use readers::Readers;
use writer::{Change, Job};

/// The tables, and the text whose MD5 a database is known by.
const SCHEMA: &str = include_str!("../schema.sql");

/// `message.type` of what somebody said or sent: msgType tells which.
const SAID: u64 = 1;
/// `message.type` of who asks to be friends: a request, and waits for messageHandle.
const FRIEND: u64 = 2;
/// Who invites into a group.
const GROUP: u64 = 3;
/// Who wants to join a group: to its owner.
const JOIN: u64 = 4;

/// The columns that `user` reads: 0 uid, 1 loginName, 2 username, 3 sex, 4 picUrl.
const USER: &str = "u.id, u.loginName, u.username, u.sex, u.picUrl";
/// The columns that `pushed` reads: 0 id, 1 type, 2 fromUid, 3 username, 4 loginName, 5 toUid, 6 sendTime, 7 msgType,
/// 8 msgText, 9 gId, 10 gname, 11 fileName, 12 fileSize, 13 fileMd5, 14 filePath; and 15 clientNo, 16 handle, 17 handleTime.
const COLUMNS: &str = "m.id, m.type, m.fromUid, u.username, u.loginName, m.toUid, m.sendTime, m.msgType, m.msgText, \
                       m.gId, g.gname, m.fileName, m.fileSize, m.fileMd5, m.filePath, m.clientNo, m.handle, m.handleTime";
/// All messages, each with who wrote it and, where that is a group, in which. LEFT: the messages are looked up first,
/// whatever the engine guesses; MariaDB would else go through all users, and all that each of them wrote.
const MESSAGES: &str =
    "FROM message m LEFT JOIN users u ON u.id = m.fromUid LEFT JOIN groupChat g ON g.id = m.gId";
/// The messages whose ids an index alone has given. Asked for more than the id, MySQL would rather read all that stands
/// before a page in the middle.
const PAGE: &str = "page LEFT JOIN message m ON m.id = page.id LEFT JOIN users u ON u.id = m.fromUid \
                    LEFT JOIN groupChat g ON g.id = m.gId";

/// The database, open for as long as the server runs.
pub struct Store {
    /// To the thread that writes.
    writer: Sender<Job>,
    readers: Readers,
    /// The one that searches old messages: that takes long, and must leave connections to the others.
    searches: Readers,
    /// What was written since the start.
    pub counts: Arc<Counts>,
    failures: Warnings,
    trace: Arc<Trace>,
}

/// What was written since the start.
#[derive(Default)]
pub struct Counts {
    /// Messages that were stored.
    pub messages: AtomicU64,
    /// Transactions.
    pub commits: AtomicU64,
}

/// A job on its way to the disk, for `Store::finish`.
pub struct Begun<T>(Receiver<Result<T, Trouble>>);

/// A request that is open: its id, and, where it is new, who gets it.
pub type Asked = (u64, Option<(u64, FromServer)>);

/// Why a job was not done.
pub enum Trouble {
    /// A rule forbids it.
    Refused(Refusal),
    /// The database could not.
    Failed(Failure),
}

impl From<Refusal> for Trouble {
    fn from(refusal: Refusal) -> Trouble {
        Trouble::Refused(refusal)
    }
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Trouble {
        Trouble::Failed(failure)
    }
}

impl Store {
    /// Opens the database, makes it where it is absent, and refuses one of another schema or program untouched. The
    /// error is a sentence for the operator.
    pub fn open(place: &Database, trace: &Arc<Trace>) -> Result<Store, String> {
        let opened = missing(place).and_then(|missing| {
            let writer = driver::open_to_write(place, &missing)?;
            Ok((writer, Readers::open(place)?))
        });
        let (writer, readers) =
            opened.map_err(|failure| format!("cannot use the database {place} (--database): {failure}"))?;
        let counts = Arc::new(Counts::default());
        let writer = writer::start(place, writer, counts.clone(), trace.clone())
            .map_err(|error| format!("no thread for the database: {error}"))?;
        let (searches, failures, trace) = (Readers::one(place), Warnings::default(), trace.clone());
        Ok(Store { writer, readers, searches, counts, failures, trace })
    }

    /// Does `job` in a transaction: all of it, or nothing when it returns an error. It refuses before it writes, since
    /// others may share the transaction. `what`: for the trace.
    fn write<T: Send + 'static>(
        &self,
        what: &str,
        job: impl Fn(&mut Connection) -> Result<T, Trouble> + Send + 'static,
    ) -> Result<T, Refusal> {
        let (keep, kept) = channel();
        self.finish(self.begin(what, move |db| Ok(_ = keep.send(job(db)?))))?;
        kept.try_iter().last().ok_or_else(|| self.refusal(no_writer())) // the last: a job may be done twice
    }

    /// The same, of which `finish` tells what it came to.
    fn begin(
        &self,
        what: &str,
        job: impl Fn(&mut Connection) -> Result<(), Trouble> + Send + 'static,
    ) -> Begun<()> {
        let what = if self.trace.is_on() { what.to_owned() } else { String::new() };
        let (answer, outcome) = channel();
        let _ = self.writer.send(Job::Change(Change { what, work: Box::new(job), answer })); // as in `begin_message`
        Begun(outcome)
    }

    /// Waits for what a job came to: after `Ok` it is on the disk.
    pub fn finish<T>(&self, begun: Begun<T>) -> Result<T, Refusal> {
        let outcome = begun.0.recv().unwrap_or_else(|_| Err(no_writer()));
        outcome.map_err(|trouble| self.refusal(trouble))
    }

    /// Does `job`, which only reads, by a connection that waits for no writer.
    fn read<T>(&self, job: impl Fn(&mut Connection) -> Result<T, Trouble>) -> Result<T, Refusal> {
        self.read_by(&self.readers, job)
    }

    fn read_by<T>(
        &self,
        readers: &Readers,
        job: impl Fn(&mut Connection) -> Result<T, Trouble>,
    ) -> Result<T, Refusal> {
        readers.read(job).map_err(|trouble| self.refusal(trouble))
    }

    /// What users hear of a trouble. Why the database is away, the operator hears alone.
    fn refusal(&self, trouble: Trouble) -> Refusal {
        let failure = match trouble {
            Trouble::Refused(refusal) => return refusal,
            Trouble::Failed(failure) => failure,
        };
        self.failures.warn(&format!("database: {failure}"));
        match failure {
            Failure::DiskFull => Refusal::new(Code::DiskFull, "no room left on the server"),
            _ => Refusal::new(Code::DatabaseDown, "the database is away, try again"),
        }
    }

    /// All rows of one query.
    fn rows(&self, sql: &str, parameters: &[Value]) -> Result<Vec<Row>, Refusal> {
        self.read(|db| Ok(db.rows(sql, parameters)?))
    }
}

/// A row that begins with the columns of `USER`.
fn user(row: &Row) -> User {
    User {
        uid: row.number(0),
        login_name: row.text(1),
        username: row.text(2),
        sex: row.number(3),
        pic_url: row.text(4),
    }
}

/// A row that begins with `COLUMNS`, as it was or would be pushed.
fn pushed(row: &Row) -> FromServer {
    let kind = match row.number(1) {
        FRIEND => "FRIEND",
        GROUP => "GROUP",
        JOIN => "JOIN",
        _ => return content(row).pushed(envelope(row)),
    };
    let (id, from_id, from_name, send_time) = (row.number(0), row.number(2), row.text(3), row.number(6));
    let (from_login_name, kind) = (row.text(4), kind.to_owned());
    let (g_id, gname) = (row.number(9), row.text(10));
    let (g_id, gname) = if g_id == 0 { (None, None) } else { (Some(g_id), Some(gname)) };
    FromServer::Request { id, from_id, from_name, from_login_name, kind, g_id, gname, send_time }
}

/// What was said, or sent.
fn content(row: &Row) -> Content {
    match row.text(11) {
        file_name if file_name.is_empty() => Content::Text(row.text(8)),
        file_name => {
            let file = File { file_name, file_size: row.number(12), file_md5: row.text(13) };
            Content::File(StoredFile { file, file_path: row.text(14) })
        }
    }
}

fn envelope(row: &Row) -> Envelope {
    let is_friend = row.number(9) == 0;
    let to_id = if is_friend { row.number(5) } else { row.number(9) };
    let (id, from_id, from_name, send_time) = (row.number(0), row.number(2), row.text(3), row.number(6));
    Envelope { id, from_id, from_name, is_friend, to_id, send_time, msg_type: row.text(7) }
}

/// What a job came to where the database did its part: done, or refused by a rule.
fn by_rule<T>(outcome: Result<T, Trouble>) -> Result<Result<T, Refusal>, Failure> {
    match outcome {
        Ok(done) => Ok(Ok(done)),
        Err(Trouble::Refused(refusal)) => Ok(Err(refusal)),
        Err(Trouble::Failed(failure)) => Err(failure),
    }
}

/// The thread that writes has ended: it never should.
fn no_writer() -> Trouble {
    Trouble::Failed(Failure::Down("the thread that writes has ended; start the server again".to_owned()))
}

const NOT_THERE: &str = "a row that was just written is not there";

/// The row that was written just now.
fn the_row(db: &mut Connection, sql: &str, parameters: &[Value]) -> Result<Row, Failure> {
    let row = db.rows(sql, parameters)?.into_iter().next();
    row.ok_or_else(|| Failure::Statement(NOT_THERE.to_owned()))
}

/// The key of a friendship: the smaller uid first, whoever asked.
fn pair(uid: u64, other: u64) -> [u64; 2] {
    [uid.min(other), uid.max(other)]
}

fn no_such_user(uid: u64) -> Refusal {
    Refusal::new(Code::NoSuchUser, format!("there is no user {uid}"))
}

fn require_user(db: &mut Connection, uid: u64) -> Result<(), Trouble> {
    let rows = db.rows("SELECT id FROM users WHERE id = ?", &[uid.into()])?;
    if rows.is_empty() { Err(no_such_user(uid).into()) } else { Ok(()) }
}

/// Asks `to`, unless that is open already. A request about a group names it.
fn ask(db: &mut Connection, from: u64, to: u64, kind: u64, g_id: Option<u64>) -> Result<Asked, Failure> {
    let mut key = [from, to, kind].map(Value::from).to_vec();
    key.extend(g_id.map(Value::from));
    let of_group = if g_id.is_some() { "AND m.gId = ?" } else { "" };
    let open = format!(
        "SELECT {COLUMNS} {MESSAGES} WHERE m.fromUid = ? AND m.toUid = ? AND m.type = ? {of_group} AND m.handle = 0"
    );
    if let Some(row) = db.rows(&open, &key)?.first() {
        return Ok((row.number(0), None));
    }
    let values =
        [from.into(), to.into(), kind.into(), g_id.map_or(Value::Null, Value::from), now_ms().into()];
    db.run("INSERT INTO message (fromUid, toUid, type, gId, sendTime) VALUES (?, ?, ?, ?, ?)", &values)?;
    let row = the_row(db, &open, &key)?;
    Ok((row.number(0), Some((to, pushed(&row)))))
}

/// What must be run before the database is ours: tables and mark where there is none, the mark alone where the tables
/// were loaded by hand, nothing where this schema.sql made it. One of another schema or program is refused.
fn missing(place: &Database) -> Result<String, Failure> {
    let ours = hex(&md5(SCHEMA.as_bytes()));
    let mark = format!("INSERT INTO minimSchema VALUES ('{ours}');");
    let Some(mut db) = driver::look(place)? else { return Ok(format!("{SCHEMA}{mark}")) };
    if !db.tables()?.iter().any(|table| table.eq_ignore_ascii_case("minimSchema")) {
        let text =
            "its tables are not minim's, or not all of them; give another with --database or --dataDir";
        return Err(Failure::Down(text.to_owned()));
    }
    let rows = db.rows("SELECT md5 FROM minimSchema", &[])?;
    match rows.first().map(|row| row.text(0)) {
        Some(found) if found == ours => Ok(String::new()),
        Some(found) => Err(Failure::Down(format!(
            "its tables were made by another schema.sql (MD5 {found}, this one has {ours}); \
             start the version that made {place}, or give another with --database or --dataDir"
        ))),
        None if db.rows("SELECT id FROM users LIMIT 1", &[])?.is_empty() => Ok(mark), // other rows name a user
        None => {
            let text = "its tables hold rows, and nothing says which schema.sql made them";
            Err(Failure::Down(text.to_owned()))
        }
    }
}
