//! The store: all the SQL there is, in words that SQLite and MySQL both take. It knows no socket.
//!
//! Rules: what a function here has returned `Ok` for is on the disk. Whatever is checked and then written stands in
//! one transaction, and one connection does all writing, so nothing changes between the check and the write. Reading
//! has connections of its own and waits for no writer. Nothing is found by "id above the last one seen".
//! Beneath it a driver (store/driver.rs) only runs a statement with parameters. Not here: who hears of it
//! (server/online.rs). Start with `add_message`.

mod driver;

use std::collections::HashMap;
use std::fs::File;
use std::path::Path;
use std::sync::{Condvar, Mutex, PoisonError};

use crate::clock::now_ms;
use crate::config::Database;
use crate::limits::{DATABASE_BUSY_DEADLINE, DATABASE_READERS, MAX_FOUND};
use crate::md5_check::{hex, md5};
use crate::message::{ChatSendMsg, Code, Envelope, FromServer, NewUser, Refusal, User};
use crate::warnings::Warnings;

use driver::{Connection, Failure, Row, Value};

/// The tables, and the text whose MD5 a database is known by.
const SCHEMA: &str = include_str!("../schema.sql");

/// `message.type` of a text.
const TEXT: u64 = 1;
/// `message.type` of who asks to be friends. From here on a row is a request, and waits for messageHandle.
const FRIEND: u64 = 3;

/// The columns that `user` reads: 0 uid, 1 loginName, 2 username, 3 sex, 4 picUrl.
const USER: &str = "u.id, u.loginName, u.username, u.sex, u.picUrl";
/// The columns that `pushed` reads: 0 id, 1 type, 2 fromUid, 3 username, 4 loginName, 5 toUid, 6 sendTime, 7 msgType,
/// 8 msgText.
const MESSAGE: &str = "SELECT m.id, m.type, m.fromUid, u.username, u.loginName, m.toUid, m.sendTime, \
                       m.msgType, m.msgText FROM message m JOIN users u ON u.id = m.fromUid";

/// The database, open for as long as the server runs.
pub struct Store {
    /// The one connection that writes. Held for one transaction; no other lock is taken meanwhile.
    writer: Mutex<Connection>,
    readers: Readers,
    failures: Warnings,
    /// Locked while the database is ours: a second server would not hear what this one acknowledged.
    _lock: File,
}

/// A message that was stored, or had been stored before.
pub struct Stored {
    /// The sender's id of it.
    pub id: u64,
    /// The server's time.
    pub send_time: u64,
    /// What each recipient is to get; empty where the same request came before.
    pub deliveries: Vec<(u64, FromServer)>,
}

/// What of all that waits for a user is asked for.
#[derive(Clone, Copy)]
#[allow(missing_docs)]
pub enum Waiting {
    Messages,
    Requests,
    All,
}

/// Why a job was not done.
enum Trouble {
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
    pub fn open(place: &Database) -> Result<Store, String> {
        let Database::Sqlite(path) = place else {
            let right = "this version keeps its data in SQLite alone, sqlite:PATH";
            return Err(format!("cannot use the database {place} (--database): {right}"));
        };
        let sentence = |failure: Failure| format!("cannot use the database {place}: {failure}");
        let mut is_unmarked = false;
        if !is_new(path) {
            let looked_at = Connection::look(path).and_then(|mut db| is_marked(&mut db, place));
            is_unmarked = !looked_at.map_err(sentence)?;
        }
        let lock = lock(path, place)?;
        let mark = format!("INSERT INTO minimSchema VALUES ('{}');", schema_md5());
        if is_new(path) {
            Connection::create(path, &format!("{SCHEMA}{mark}")).map_err(sentence)?;
        } else if is_unmarked {
            Connection::run_alone(path, &mark).map_err(sentence)?;
        }
        Store::open_ours(path, lock).map_err(sentence)
    }

    fn open_ours(path: &Path, lock: File) -> Result<Store, Failure> {
        let writer = Mutex::new(Connection::open(path)?);
        let mut idle = Vec::new();
        for _ in 0..DATABASE_READERS {
            idle.push(Connection::open(path)?); // now: later there may be no descriptors left
        }
        let readers = Readers { idle: Mutex::new(idle), returned: Condvar::new() };
        Ok(Store { writer, readers, failures: Warnings::default(), _lock: lock })
    }

    /// Does `job` in a transaction: all of it, or nothing when it returns an error.
    fn write<T>(&self, job: impl FnOnce(&mut Connection) -> Result<T, Trouble>) -> Result<T, Refusal> {
        let mut db = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let begun = db.run(Connection::BEGIN, &[]).map_err(Trouble::from);
        let outcome = begun.and_then(|_| job(&mut db)).and_then(|done| {
            db.run("COMMIT", &[])?;
            Ok(done)
        });
        if outcome.is_err() {
            let _ = db.run("ROLLBACK", &[]); // fails where the failure ended the transaction already
        }
        drop(db); // before anything is said: standard error may be slow
        outcome.map_err(|trouble| self.refusal(trouble))
    }

    /// Does `job`, which only reads, by a connection that waits for no writer.
    fn read<T>(&self, job: impl FnOnce(&mut Connection) -> Result<T, Trouble>) -> Result<T, Refusal> {
        let outcome = self.readers.take().map_err(Trouble::from).and_then(|mut db| {
            let outcome = job(&mut db);
            self.readers.give_back(db);
            outcome
        });
        outcome.map_err(|trouble| self.refusal(trouble))
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
            Failure::Down(_) => Refusal::new(Code::DatabaseDown, "the database is away, nothing was stored"),
        }
    }

    /// All rows of one query.
    fn rows(&self, sql: &str, parameters: &[Value]) -> Result<Vec<Row>, Refusal> {
        self.read(|db| Ok(db.rows(sql, parameters)?))
    }

    /// Station 4 of a message, CHAT_SEND_MSG: the same request (fromUid, clientNo) again gives the same answer and does nothing. `badRequest`
    /// where the number was used for another one, `notFriends`, `noSuchUser`, `noSuchGroup`.
    pub fn add_message(&self, from: u64, request: &ChatSendMsg) -> Result<Stored, Refusal> {
        self.write(|db| {
            if let Some(stored) = sent_before(db, from, request)? {
                return Ok(stored);
            }
            if !request.is_friend {
                let text = format!("toId: there is no group {}", request.to_id);
                return Err(Refusal::new(Code::NoSuchGroup, text).into());
            }
            if !are_friends(db, from, request.to_id)? {
                require_user(db, request.to_id)?;
                return Err(Refusal::new(Code::NotFriends, "toId: not a friend of yours").into());
            }
            let values = [
                from.into(),
                request.to_id.into(),
                TEXT.into(),
                now_ms().into(),
                request.client_no.into(),
                request.msg_type.as_str().into(),
                request.msg_text.as_str().into(),
            ];
            let insert = "INSERT INTO message (fromUid, toUid, type, sendTime, clientNo, msgType, msgText) \
                          VALUES (?, ?, ?, ?, ?, ?, ?)";
            db.run(insert, &values)?;
            let sql = format!("{MESSAGE} WHERE m.fromUid = ? AND m.clientNo = ?");
            let row = the_row(db, &sql, &[from.into(), request.client_no.into()])?;
            let deliveries = vec![(row.number(5), pushed(&row))];
            Ok(Stored { id: row.number(0), send_time: row.number(6), deliveries })
        })
    }

    /// CHAT_RECEIVED: these messages to `uid` are handled. Other ids and requests stay as they are.
    pub fn mark_received(&self, uid: u64, ids: &[u64]) -> Result<(), Refusal> {
        let sql = "UPDATE message SET handle = 1, handleTime = ? \
                   WHERE id = ? AND toUid = ? AND handle = 0 AND type < ?";
        let now = now_ms();
        self.write(|db| {
            for &id in ids {
                db.run(sql, &[now.into(), id.into(), uid.into(), FRIEND.into()])?;
            }
            Ok(())
        })
    }

    /// What waits for a user above `after_id`, each with its id, in order of id, at most `limit`.
    pub fn unhandled(
        &self,
        uid: u64,
        kind: Waiting,
        after_id: u64,
        limit: usize,
    ) -> Result<Vec<(u64, FromServer)>, Refusal> {
        let (least, below) = match kind {
            Waiting::Messages => (0, FRIEND),
            Waiting::Requests => (FRIEND, u64::MAX),
            Waiting::All => (0, u64::MAX),
        };
        let sql = format!(
            "{MESSAGE} WHERE m.toUid = ? AND m.handle = 0 AND m.type >= ? AND m.type < ? AND m.id > ? \
             ORDER BY m.id LIMIT {limit}"
        );
        let rows = self.rows(&sql, &[uid.into(), least.into(), below.into(), after_id.into()])?;
        Ok(rows.iter().map(|row| (row.number(0), pushed(row))).collect())
    }

    /// The newest id among the messages and files that wait for a user, or 0.
    pub fn last_unhandled(&self, uid: u64) -> Result<u64, Refusal> {
        let sql = "SELECT MAX(id) FROM message WHERE toUid = ? AND handle = 0 AND type < ?";
        let rows = self.rows(sql, &[uid.into(), FRIEND.into()])?;
        Ok(rows.first().map_or(0, |row| row.number(0)))
    }

    /// How many private messages of each sender, by uid, wait for a user.
    pub fn unread(&self, uid: u64) -> Result<HashMap<u64, u64>, Refusal> {
        let sql = "SELECT fromUid, COUNT(*) FROM message \
                   WHERE toUid = ? AND handle = 0 AND type < ? AND gId IS NULL GROUP BY fromUid";
        let rows = self.rows(sql, &[uid.into(), FRIEND.into()])?;
        Ok(rows.iter().map(|row| (row.number(0), row.number(1))).collect())
    }

    /// A new user, with the digest of the password; the uid. `loginNameTaken`.
    pub fn add_user(&self, new: &NewUser, digest: &str) -> Result<u64, Refusal> {
        let key = [login_key(&new.login_name)];
        let by_key = "SELECT id FROM users WHERE loginKey = ?";
        self.write(|db| {
            if !db.rows(by_key, &key)?.is_empty() {
                let text = format!("loginName: {} is taken, choose another", new.login_name);
                return Err(Refusal::new(Code::LoginNameTaken, text).into());
            }
            let values = [
                digest.into(),
                new.login_name.as_str().into(),
                key[0].clone(),
                new.username.as_str().into(),
                new.sex.into(),
                new.pic_url.as_str().into(),
                now_ms().into(),
            ];
            let insert = "INSERT INTO users (pwd, loginName, loginKey, username, sex, picUrl, updateTime) \
                          VALUES (?, ?, ?, ?, ?, ?, ?)";
            db.run(insert, &values)?;
            Ok(the_row(db, by_key, &key)?.number(0))
        })
    }

    /// The user of a login name, in any case, and the digest of the password.
    pub fn user_and_digest(&self, login_name: &str) -> Result<Option<(User, String)>, Refusal> {
        let sql = format!("SELECT {USER}, u.pwd FROM users u WHERE u.loginKey = ?");
        let rows = self.rows(&sql, &[login_key(login_name)])?;
        Ok(rows.first().map(|row| (user(row), row.text(5))))
    }

    /// The user of a uid. `noSuchUser`.
    pub fn user(&self, uid: u64) -> Result<User, Refusal> {
        let rows = self.rows(&format!("SELECT {USER} FROM users u WHERE u.id = ?"), &[uid.into()])?;
        rows.first().map(user).ok_or_else(|| no_such_user(uid))
    }

    /// Users whose login name contains `part`, taken literally, in any case; by name, at most `MAX_FOUND`. Who is called
    /// just so is always among them.
    pub fn search_users(&self, part: &str) -> Result<Vec<User>, Refusal> {
        let sql = format!(
            "SELECT {USER} FROM users u WHERE INSTR(u.loginKey, ?) > 0 ORDER BY u.loginKey LIMIT {MAX_FOUND}"
        );
        let mut found: Vec<User> = self.rows(&sql, &[login_key(part)])?.iter().map(user).collect();
        if found.len() == MAX_FOUND
            && let Some((exact, _)) = self.user_and_digest(part)?
            && !found.contains(&exact)
        {
            found.pop();
            found.insert(0, exact);
        }
        Ok(found)
    }

    /// The friends of a user, by login name.
    pub fn friends(&self, uid: u64) -> Result<Vec<User>, Refusal> {
        let sql = format!(
            "SELECT {USER}, u.loginKey FROM friends f JOIN users u ON u.id = f.friendId WHERE f.uid = ? \
             UNION ALL SELECT {USER}, u.loginKey FROM friends f JOIN users u ON u.id = f.uid \
             WHERE f.friendId = ? ORDER BY loginKey"
        );
        Ok(self.rows(&sql, &[uid.into(), uid.into()])?.iter().map(user).collect())
    }

    /// Whether `uid` may ask `friend_id` to be friends: `badRequest` for oneself, `noSuchUser`, `already`.
    pub fn can_add_friend(&self, uid: u64, friend_id: u64) -> Result<(), Refusal> {
        self.read(|db| may_be_asked(db, uid, friend_id))
    }

    /// Asks `friend_id` to be friends: the id of the request, and the request where it is new. An open one is not
    /// asked again.
    pub fn ask_friend(&self, uid: u64, friend_id: u64) -> Result<(u64, Option<FromServer>), Refusal> {
        let key = [uid.into(), friend_id.into(), FRIEND.into()];
        let open = format!("{MESSAGE} WHERE m.fromUid = ? AND m.toUid = ? AND m.type = ? AND m.handle = 0");
        self.write(|db| {
            may_be_asked(db, uid, friend_id)?;
            if let Some(row) = db.rows(&open, &key)?.first() {
                return Ok((row.number(0), None));
            }
            let values = [uid.into(), friend_id.into(), FRIEND.into(), now_ms().into()];
            db.run("INSERT INTO message (fromUid, toUid, type, sendTime) VALUES (?, ?, ?, ?)", &values)?;
            let row = the_row(db, &open, &key)?;
            Ok((row.number(0), Some(pushed(&row))))
        })
    }

    /// messageHandle of a request to `uid`. The new friend's uid where it was accepted. `noSuchMessage`, `already`.
    pub fn answer_request(&self, uid: u64, id: u64, accept: bool) -> Result<Option<u64>, Refusal> {
        self.write(|db| {
            let sql = "SELECT fromUid, handle FROM message WHERE id = ? AND toUid = ? AND type = ?";
            let rows = db.rows(sql, &[id.into(), uid.into(), FRIEND.into()])?;
            let Some(row) = rows.first() else {
                let text = format!("msgId: there is no request {id} to you");
                return Err(Refusal::new(Code::NoSuchMessage, text).into());
            };
            if row.number(1) != 0 {
                let text = format!("request {id} is answered already");
                return Err(Refusal::new(Code::Already, text).into());
            }
            let now = now_ms();
            if !accept {
                let refuse = "UPDATE message SET handle = 2, handleTime = ? WHERE id = ?";
                db.run(refuse, &[now.into(), id.into()])?;
                return Ok(None);
            }
            let asker = row.number(0);
            befriend(db, asker, uid, now)?;
            Ok(Some(asker))
        })
    }

    /// Ends a friendship. `notFriends`, `noSuchUser`.
    pub fn delete_friend(&self, uid: u64, friend_id: u64) -> Result<(), Refusal> {
        self.write(|db| {
            require_user(db, friend_id)?;
            let delete = "DELETE FROM friends WHERE uid = ? AND friendId = ?";
            if db.run(delete, &pair(uid, friend_id))? == 0 {
                let text = "friendId: not a friend of yours";
                return Err(Refusal::new(Code::NotFriends, text).into());
            }
            Ok(())
        })
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

/// A row of `MESSAGE` as it was or would be pushed.
fn pushed(row: &Row) -> FromServer {
    let (id, from_id, from_name, send_time) = (row.number(0), row.number(2), row.text(3), row.number(6));
    if row.number(1) == FRIEND {
        let (from_login_name, kind) = (row.text(4), "FRIEND".to_owned());
        let (g_id, gname) = (None, None);
        return FromServer::Request { id, from_id, from_name, from_login_name, kind, g_id, gname, send_time };
    }
    let (is_friend, to_id, msg_type) = (true, row.number(5), row.text(7));
    let envelope = Envelope { id, from_id, from_name, is_friend, to_id, send_time, msg_type };
    FromServer::ChatSendMsg { envelope, msg_text: row.text(8) }
}

/// The answer to an earlier request of this number, if there was one, and if it was this request.
fn sent_before(db: &mut Connection, from: u64, request: &ChatSendMsg) -> Result<Option<Stored>, Trouble> {
    let sql = "SELECT id, sendTime, toUid, msgType, msgText FROM message WHERE fromUid = ? AND clientNo = ?";
    let rows = db.rows(sql, &[from.into(), request.client_no.into()])?;
    let Some(row) = rows.first() else { return Ok(None) };
    let is_same = request.is_friend
        && row.number(2) == request.to_id
        && row.text(3) == request.msg_type
        && row.text(4) == request.msg_text;
    if !is_same {
        return Err(Refusal::bad("clientNo: was used for another message").into());
    }
    Ok(Some(Stored { id: row.number(0), send_time: row.number(1), deliveries: Vec::new() }))
}

/// The row that was written just now.
fn the_row(db: &mut Connection, sql: &str, parameters: &[Value]) -> Result<Row, Failure> {
    let row = db.rows(sql, parameters)?.into_iter().next();
    row.ok_or_else(|| Failure::Down("a row that was just written is not there".to_owned()))
}

/// Login names are compared in small letters; Rust folds them, so that both engines agree.
fn login_key(login_name: &str) -> Value {
    Value::Text(login_name.to_lowercase())
}

/// The key of a friendship: the smaller uid first, whoever asked.
fn pair(uid: u64, other: u64) -> [Value; 2] {
    [uid.min(other).into(), uid.max(other).into()]
}

fn no_such_user(uid: u64) -> Refusal {
    Refusal::new(Code::NoSuchUser, format!("there is no user {uid}"))
}

fn require_user(db: &mut Connection, uid: u64) -> Result<(), Trouble> {
    let rows = db.rows("SELECT id FROM users WHERE id = ?", &[uid.into()])?;
    if rows.is_empty() { Err(no_such_user(uid).into()) } else { Ok(()) }
}

fn are_friends(db: &mut Connection, uid: u64, other: u64) -> Result<bool, Failure> {
    let sql = "SELECT id FROM friends WHERE uid = ? AND friendId = ?";
    Ok(!db.rows(sql, &pair(uid, other))?.is_empty())
}

fn may_be_asked(db: &mut Connection, uid: u64, friend_id: u64) -> Result<(), Trouble> {
    if uid == friend_id {
        return Err(Refusal::bad("friendId: that is yourself").into());
    }
    require_user(db, friend_id)?;
    if are_friends(db, uid, friend_id)? {
        return Err(Refusal::new(Code::Already, "friendId: a friend of yours already").into());
    }
    Ok(())
}

/// Makes two users friends, and answers every open request between them.
fn befriend(db: &mut Connection, asker: u64, uid: u64, now: u64) -> Result<(), Failure> {
    let accept = "UPDATE message SET handle = 1, handleTime = ? \
                  WHERE fromUid = ? AND toUid = ? AND type = ? AND handle = 0";
    for (from, to) in [(asker, uid), (uid, asker)] {
        db.run(accept, &[now.into(), from.into(), to.into(), FRIEND.into()])?;
    }
    if !are_friends(db, asker, uid)? {
        let [smaller, greater] = pair(asker, uid);
        let insert = "INSERT INTO friends (uid, friendId, updateTime) VALUES (?, ?, ?)";
        db.run(insert, &[smaller, greater, now.into()])?;
    }
    Ok(())
}

/// The connections that read, `DATABASE_READERS` of them.
struct Readers {
    /// Those at rest. Held to take one or give it back.
    idle: Mutex<Vec<Connection>>,
    returned: Condvar,
}

impl Readers {
    /// A connection at rest, or the next that is given back.
    fn take(&self) -> Result<Connection, Failure> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.returned.wait_timeout_while(idle, DATABASE_BUSY_DEADLINE, |idle| idle.is_empty());
        let connection = waited.unwrap_or_else(PoisonError::into_inner).0.pop();
        connection.ok_or_else(|| Failure::Down("all connections that read are in use".to_owned()))
    }

    fn give_back(&self, connection: Connection) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
        self.returned.notify_one();
    }
}

/// Whether there is no database yet: no file, or an empty one, and no `-wal` that would belong to it.
fn is_new(path: &Path) -> bool {
    let is_empty = |path: &Path| std::fs::metadata(path).map_or(true, |file| file.len() == 0);
    is_empty(path) && is_empty(Path::new(&format!("{}-wal", path.display())))
}

/// Locks the file beside the database that says whose it is while a server runs.
fn lock(path: &Path, place: &Database) -> Result<File, String> {
    let name = format!("{}.lock", path.display());
    let file = File::create(&name).map_err(|error| format!("cannot write {name}: {error}"))?;
    let locked = file.try_lock();
    locked.map_err(|_| format!("another server has the database {place} open: one at a time"))?;
    Ok(file)
}

/// The MD5 of schema.sql, by which a database is known.
fn schema_md5() -> String {
    hex(&md5(SCHEMA.as_bytes()))
}

/// Whether this schema.sql made the database. False: its tables were loaded by hand, have no row yet, and are to be
/// marked as ours. A database that another schema or another program made is refused.
fn is_marked(db: &mut Connection, place: &Database) -> Result<bool, Failure> {
    if !db.rows(Connection::TABLES, &[])?.iter().any(|row| row.text(0) == "minimSchema") {
        let text = "it is not minim's; give another with --database or --dataDir";
        return Err(Failure::Down(text.to_owned()));
    }
    let rows = db.rows("SELECT md5 FROM minimSchema", &[])?;
    let ours = schema_md5();
    match rows.first().map(|row| row.text(0)) {
        Some(found) if found == ours => Ok(true),
        Some(found) => Err(Failure::Down(format!(
            "its tables were made by another schema.sql (MD5 {found}, this one has {ours}); \
             start the version that made {place}, or give another folder with --dataDir"
        ))),
        None if is_empty(db)? => Ok(false),
        None => {
            let text = "its tables hold rows, and nothing says which schema.sql made them";
            Err(Failure::Down(text.to_owned()))
        }
    }
}

/// Whether no table of ours has a row.
fn is_empty(db: &mut Connection) -> Result<bool, Failure> {
    for table in ["users", "friends", "groupChat", "groupMembers", "message"] {
        if !db.rows(&format!("SELECT id FROM {table} LIMIT 1"), &[])?.is_empty() {
            return Ok(false);
        }
    }
    Ok(true)
}
