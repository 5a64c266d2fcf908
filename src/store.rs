//! The store: all the SQL there is, in words that SQLite and MySQL both take. It knows no socket.
//!
//! Rules: what a function here has returned `Ok` for is on the disk. Whatever is checked and then written stands in
//! one transaction, and one connection does all writing, so nothing changes between the check and the write. Reading
//! has connections of its own and waits for no writer. Nothing is found by "id above the last one seen".
//! Beneath it a driver (store/) only runs a statement with parameters. Not here: who hears of it (server/online.rs).
//! Start with `add_message`.

use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, PoisonError};

use crate::clock::now_ms;
use crate::config::Database;
use crate::limits::{DATABASE_READERS, MAX_FOUND, MAX_LISTED};
use crate::md5_check::{hex, md5};
use crate::message::{ChatSendMsg, Code, Envelope, FromServer, NewUser, Refusal, User};

#[cfg(not(feature = "sqlite"))]
mod absent;
#[cfg(feature = "sqlite")]
mod sqlite;
#[cfg(not(feature = "sqlite"))]
use absent::Connection;
#[cfg(feature = "sqlite")]
use sqlite::Connection;

/// The tables, and the text whose MD5 a database is known by.
const SCHEMA: &str = include_str!("../schema.sql");

/// `message.type`: a text.
const TEXT: u64 = 1;
/// `message.type`: asks to be friends. From here on a row is a request and waits for messageHandle.
const FRIEND: u64 = 3;

/// A value of a row or a parameter.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub enum Value {
    Null,
    Number(i64),
    Text(String),
}

impl From<u64> for Value {
    fn from(number: u64) -> Value {
        Value::Number(i64::try_from(number).unwrap_or(i64::MAX)) // ids and times lie below 2^53
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Value {
        Value::Text(text.to_owned())
    }
}

/// A row of a query. A column of another kind than was asked for reads as 0 or empty.
pub struct Row(Vec<Value>);

impl Row {
    fn number(&self, column: usize) -> u64 {
        match self.0.get(column) {
            Some(Value::Number(number)) => u64::try_from(*number).unwrap_or(0),
            _ => 0,
        }
    }

    fn text(&self, column: usize) -> String {
        match self.0.get(column) {
            Some(Value::Text(text)) => text.clone(),
            _ => String::new(),
        }
    }

    fn is_null(&self, column: usize) -> bool {
        matches!(self.0.get(column), None | Some(Value::Null))
    }

    /// The user whose five columns (`USER`) begin at `column`.
    fn user(&self, column: usize) -> User {
        User {
            uid: self.number(column),
            login_name: self.text(column + 1),
            username: self.text(column + 2),
            sex: self.number(column + 3),
            pic_url: self.text(column + 4),
        }
    }
}

/// What a driver reports.
#[derive(Debug)]
pub enum Failure {
    /// No room left where the database stands.
    DiskFull,
    /// The database is away, or no database; why.
    Down(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Failure::DiskFull => f.write_str("no room left on the disk of the database"),
            Failure::Down(why) => f.write_str(why),
        }
    }
}

/// Users hear that the database is away, not why; the operator reads why on standard error.
impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Refusal {
        eprintln!("database: {failure}");
        match failure {
            Failure::DiskFull => Refusal::new(Code::DiskFull, "no room left on the server"),
            Failure::Down(_) => {
                Refusal::new(Code::DatabaseDown, "the database is away, nothing was stored")
            }
        }
    }
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

/// The columns of a `User`, of table `u`.
const USER: &str = "u.id, u.loginName, u.username, u.sex, u.picUrl";

/// The columns that `pushed` reads.
const MESSAGE: &str = "SELECT m.id, m.type, m.fromUid, u.username, u.loginName, m.toUid, m.gId, g.gname, \
     m.sendTime, m.msgType, m.msgText FROM message m JOIN users u ON u.id = m.fromUid \
     LEFT JOIN groupChat g ON g.id = m.gId";

/// A row of `MESSAGE` as it was or would be pushed.
fn pushed(row: &Row) -> FromServer {
    let (id, from_id, from_name, send_time) =
        (row.number(0), row.number(2), row.text(3), row.number(8));
    let is_friend = row.is_null(6);
    if row.number(1) >= FRIEND {
        let kind = ["FRIEND", "GROUP", "JOIN"][(row.number(1) - FRIEND).min(2) as usize].to_owned();
        let (g_id, gname) =
            ((!is_friend).then(|| row.number(6)), (!is_friend).then(|| row.text(7)));
        let from_login_name = row.text(4);
        return FromServer::Request {
            id,
            from_id,
            from_name,
            from_login_name,
            kind,
            g_id,
            gname,
            send_time,
        };
    }
    let to_id = if is_friend { row.number(5) } else { row.number(6) };
    let msg_type = row.text(9);
    let envelope = Envelope { id, from_id, from_name, is_friend, to_id, send_time, msg_type };
    FromServer::ChatSendMsg { envelope, msg_text: row.text(10) }
}

/// The database, open for as long as the server runs.
pub struct Store {
    /// The one connection that writes. Held for one transaction; never together with another lock.
    writer: Mutex<Connection>,
    readers: Readers,
    /// Locked while the database is ours: a second server would not hear what this one acknowledged.
    _lock: File,
}

/// Connections that read: at most `DATABASE_READERS`, made when first needed.
struct Readers {
    path: PathBuf,
    /// Those at rest, and how many there are in all. Held to take one or give it back.
    idle: Mutex<(Vec<Connection>, usize)>,
    returned: Condvar,
}

impl Store {
    /// Opens the database, makes it where it is absent, and refuses one of another schema or program untouched. The
    /// error is a sentence for the operator.
    pub fn open(place: &Database) -> Result<Store, String> {
        let Database::Sqlite(path) = place else {
            return Err(format!(
                "{place}: this version keeps its data in SQLite alone: sqlite:PATH"
            ));
        };
        let sentence = |failure: Failure| format!("cannot use the database {place}: {failure}");
        let is_owned = is_new(path) || {
            let mut looked_at = Connection::look(path).map_err(sentence)?;
            check_schema(&mut looked_at, place).map_err(sentence)?
        };
        let lock = lock(path, place)?;
        let own = format!("INSERT INTO minimSchema VALUES ('{}');", schema_md5());
        if is_new(path) {
            Connection::create(path, &format!("{SCHEMA}{own}")).map_err(sentence)?;
        } else if !is_owned {
            Connection::run_alone(path, &own).map_err(sentence)?;
        }
        let writer = Connection::open(path).map_err(sentence)?;
        let idle = Mutex::new((Vec::new(), 0));
        let readers = Readers { path: path.clone(), idle, returned: Condvar::new() };
        Ok(Store { writer: Mutex::new(writer), readers, _lock: lock })
    }

    /// Does `job` in a transaction: all of it, or nothing when it returns an error.
    fn write<T>(
        &self,
        job: impl FnOnce(&mut Connection) -> Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        let mut connection = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        connection.begin()?;
        let outcome = job(&mut connection).and_then(|done| {
            connection.run("COMMIT", &[])?;
            Ok(done)
        });
        if outcome.is_err() {
            let _ = connection.run("ROLLBACK", &[]); // fails where the failure ended the transaction already
        }
        outcome
    }

    /// Does `job`, which only reads, by a connection that waits for no writer.
    fn read<T>(
        &self,
        job: impl FnOnce(&mut Connection) -> Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        let mut connection = self.readers.take()?;
        let outcome = job(&mut connection);
        self.readers.give_back(connection);
        outcome
    }

    /// All rows of one query.
    fn rows(&self, sql: &str, parameters: &[Value]) -> Result<Vec<Row>, Refusal> {
        self.read(|db| Ok(db.rows(sql, parameters)?))
    }

    /// Whether a user of this login name (in any case) exists.
    pub fn has_login_name(&self, login_name: &str) -> Result<bool, Refusal> {
        let rows =
            self.rows("SELECT id FROM users WHERE loginKey = ?", &[login_key(login_name)])?;
        Ok(!rows.is_empty())
    }

    /// A new user, with the digest of the password; the uid. `loginNameTaken`.
    pub fn add_user(&self, user: &NewUser, digest: &str) -> Result<u64, Refusal> {
        let key = login_key(&user.login_name);
        self.write(|db| {
            let by_key = "SELECT id FROM users WHERE loginKey = ?";
            if !db.rows(by_key, std::slice::from_ref(&key))?.is_empty() {
                let text = format!("loginName: {} is taken, choose another", user.login_name);
                return Err(Refusal::new(Code::LoginNameTaken, text));
            }
            let columns = "pwd, loginName, loginKey, username, sex, picUrl, updateTime";
            let values = [
                digest.into(),
                user.login_name.as_str().into(),
                key.clone(),
                user.username.as_str().into(),
                user.sex.into(),
                user.pic_url.as_str().into(),
                now_ms().into(),
            ];
            db.run(
                &format!("INSERT INTO users ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?)"),
                &values,
            )?;
            let rows = db.rows(by_key, std::slice::from_ref(&key))?;
            Ok(rows.first().map_or(0, |row| row.number(0)))
        })
    }

    /// The user of a login name, in any case, and the digest of the password.
    pub fn user_and_digest(&self, login_name: &str) -> Result<Option<(User, String)>, Refusal> {
        let sql = format!("SELECT {USER}, u.pwd FROM users u WHERE u.loginKey = ?");
        let rows = self.rows(&sql, &[login_key(login_name)])?;
        Ok(rows.first().map(|row| (row.user(0), row.text(5))))
    }

    /// The user of a uid.
    pub fn user(&self, uid: u64) -> Result<User, Refusal> {
        let rows =
            self.rows(&format!("SELECT {USER} FROM users u WHERE u.id = ?"), &[uid.into()])?;
        rows.first().map(|row| row.user(0)).ok_or_else(|| no_such_user(uid))
    }

    /// Users whose login name contains `part`, taken literally, in any case; by name, at most `MAX_FOUND`.
    pub fn search_users(&self, part: &str) -> Result<Vec<User>, Refusal> {
        let sql = format!(
            "SELECT {USER} FROM users u WHERE INSTR(u.loginKey, ?) > 0 ORDER BY u.loginKey LIMIT {MAX_FOUND}"
        );
        Ok(self.rows(&sql, &[login_key(part)])?.iter().map(|row| row.user(0)).collect())
    }

    /// The friends of a user, by login name.
    pub fn friends(&self, uid: u64) -> Result<Vec<User>, Refusal> {
        let sql = format!(
            "SELECT {USER}, u.loginKey FROM friends f JOIN users u ON u.id = f.friendId WHERE f.uid = ? \
             UNION ALL SELECT {USER}, u.loginKey FROM friends f JOIN users u ON u.id = f.uid \
             WHERE f.friendId = ? ORDER BY loginKey"
        );
        Ok(self.rows(&sql, &[uid.into(), uid.into()])?.iter().map(|row| row.user(0)).collect())
    }

    /// How many private messages of each sender wait for a user: pairs of uid and number.
    pub fn unread(&self, uid: u64) -> Result<Vec<(u64, u64)>, Refusal> {
        let sql = "SELECT fromUid, COUNT(*) FROM message \
                   WHERE toUid = ? AND handle = 0 AND type < ? AND gId IS NULL GROUP BY fromUid";
        let rows = self.rows(sql, &[uid.into(), FRIEND.into()])?;
        Ok(rows.iter().map(|row| (row.number(0), row.number(1))).collect())
    }

    /// The newest id among the messages and files that wait for a user, or 0.
    pub fn last_unhandled(&self, uid: u64) -> Result<u64, Refusal> {
        let sql = "SELECT MAX(id) FROM message WHERE toUid = ? AND handle = 0 AND type < ?";
        let rows = self.rows(sql, &[uid.into(), FRIEND.into()])?;
        Ok(rows.first().map_or(0, |row| row.number(0)))
    }

    /// What waits for a user above `after_id`, in order of id, at most `limit`: messages, or requests.
    pub fn unhandled(
        &self,
        uid: u64,
        requests: bool,
        after_id: u64,
        limit: usize,
    ) -> Result<Vec<FromServer>, Refusal> {
        let kind = if requests { ">=" } else { "<" };
        let sql = format!(
            "{MESSAGE} WHERE m.toUid = ? AND m.handle = 0 AND m.type {kind} {FRIEND} AND m.id > ? \
             ORDER BY m.id LIMIT {limit}"
        );
        Ok(self.rows(&sql, &[uid.into(), after_id.into()])?.iter().map(pushed).collect())
    }

    /// What waits for a user, in order of id, at most `MAX_LISTED`: messages and requests, or requests alone.
    pub fn no_handle_messages(
        &self,
        uid: u64,
        requests_alone: bool,
    ) -> Result<Vec<FromServer>, Refusal> {
        let least = if requests_alone { FRIEND } else { 0 };
        let sql = format!(
            "{MESSAGE} WHERE m.toUid = ? AND m.handle = 0 AND m.type >= ? ORDER BY m.id LIMIT {MAX_LISTED}"
        );
        Ok(self.rows(&sql, &[uid.into(), least.into()])?.iter().map(pushed).collect())
    }

    /// CHAT_SEND_MSG: the same request (fromUid, clientNo) again gives the same answer and does nothing. `badRequest`
    /// where the number was used for another one, `notFriends`, `noSuchUser`, `noSuchGroup`.
    pub fn add_message(&self, from: u64, request: &ChatSendMsg) -> Result<Stored, Refusal> {
        self.write(|db| {
            if let Some(stored) = sent_before(db, from, request)? {
                return Ok(stored);
            }
            if !request.is_friend {
                return Err(Refusal::new(
                    Code::NoSuchGroup,
                    format!("toId: there is no group {}", request.to_id),
                ));
            }
            if !are_friends(db, from, request.to_id)? {
                require_user(db, request.to_id)?;
                return Err(Refusal::new(Code::NotFriends, "toId: not a friend of yours"));
            }
            let columns = "fromUid, toUid, type, sendTime, clientNo, msgType, msgText";
            let values = [
                from.into(),
                request.to_id.into(),
                TEXT.into(),
                now_ms().into(),
                request.client_no.into(),
                request.msg_type.as_str().into(),
                request.msg_text.as_str().into(),
            ];
            db.run(
                &format!("INSERT INTO message ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?)"),
                &values,
            )?;
            let sql = format!("{MESSAGE} WHERE m.fromUid = ? AND m.clientNo = ?");
            let rows = db.rows(&sql, &[from.into(), request.client_no.into()])?;
            let deliveries = rows.iter().map(|row| (row.number(5), pushed(row))).collect();
            let (id, send_time) = rows.first().map_or((0, 0), |row| (row.number(0), row.number(8)));
            Ok(Stored { id, send_time, deliveries })
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

    /// Whether `uid` may ask `friend_id` to be friends: `badRequest` for oneself, `noSuchUser`, `already`.
    pub fn can_add_friend(&self, uid: u64, friend_id: u64) -> Result<(), Refusal> {
        self.read(|db| may_be_asked(db, uid, friend_id))
    }

    /// Asks `friend_id` to be friends: the request, and whether it is new. An open one is not asked again.
    pub fn ask_friend(
        &self,
        uid: u64,
        friend_id: u64,
    ) -> Result<(u64, Option<FromServer>), Refusal> {
        self.write(|db| {
            may_be_asked(db, uid, friend_id)?;
            let open = "SELECT id FROM message WHERE fromUid = ? AND toUid = ? AND type = ? AND handle = 0";
            let key = [uid.into(), friend_id.into(), FRIEND.into()];
            if let Some(row) = db.rows(open, &key)?.first() {
                return Ok((row.number(0), None));
            }
            let values = [uid.into(), friend_id.into(), FRIEND.into(), now_ms().into()];
            db.run("INSERT INTO message (fromUid, toUid, type, sendTime) VALUES (?, ?, ?, ?)", &values)?;
            let sql = format!("{MESSAGE} WHERE m.fromUid = ? AND m.toUid = ? AND m.type = ? AND m.handle = 0");
            let rows = db.rows(&sql, &key)?;
            Ok((rows.first().map_or(0, |row| row.number(0)), rows.first().map(pushed)))
        })
    }

    /// messageHandle of a request to `uid`. The new friend's uid where it was accepted. `noSuchMessage`, `already`.
    pub fn answer_request(&self, uid: u64, id: u64, accept: bool) -> Result<Option<u64>, Refusal> {
        self.write(|db| {
            let sql = "SELECT fromUid, handle FROM message WHERE id = ? AND toUid = ? AND type = ?";
            let rows = db.rows(sql, &[id.into(), uid.into(), FRIEND.into()])?;
            let Some(row) = rows.first() else {
                return Err(Refusal::new(
                    Code::NoSuchMessage,
                    format!("msgId: there is no request {id} to you"),
                ));
            };
            if row.number(1) != 0 {
                return Err(Refusal::new(
                    Code::Already,
                    format!("request {id} is answered already"),
                ));
            }
            let asker = row.number(0);
            let now = Value::from(now_ms());
            if !accept {
                let sql = "UPDATE message SET handle = 2, handleTime = ? WHERE id = ?";
                db.run(sql, &[now, id.into()])?;
                return Ok(None);
            }
            let all_open = "UPDATE message SET handle = 1, handleTime = ? \
                            WHERE fromUid = ? AND toUid = ? AND type = ? AND handle = 0";
            for (from, to) in [(asker, uid), (uid, asker)] {
                db.run(all_open, &[now.clone(), from.into(), to.into(), FRIEND.into()])?;
            }
            let pair = [asker.min(uid).into(), asker.max(uid).into(), now];
            if !are_friends(db, asker, uid)? {
                db.run("INSERT INTO friends (uid, friendId, updateTime) VALUES (?, ?, ?)", &pair)?;
            }
            Ok(Some(asker))
        })
    }

    /// Ends a friendship. `notFriends`, `noSuchUser`.
    pub fn delete_friend(&self, uid: u64, friend_id: u64) -> Result<(), Refusal> {
        self.write(|db| {
            require_user(db, friend_id)?;
            let pair = [uid.min(friend_id).into(), uid.max(friend_id).into()];
            let deleted = db.run("DELETE FROM friends WHERE uid = ? AND friendId = ?", &pair)?;
            if deleted == 0 {
                return Err(Refusal::new(Code::NotFriends, "friendId: not a friend of yours"));
            }
            Ok(())
        })
    }
}

/// Login names are compared in small letters; Rust folds them, so that both engines agree.
fn login_key(login_name: &str) -> Value {
    Value::Text(login_name.to_lowercase())
}

fn no_such_user(uid: u64) -> Refusal {
    Refusal::new(Code::NoSuchUser, format!("there is no user {uid}"))
}

fn require_user(db: &mut Connection, uid: u64) -> Result<(), Refusal> {
    let rows = db.rows("SELECT id FROM users WHERE id = ?", &[uid.into()])?;
    if rows.is_empty() { Err(no_such_user(uid)) } else { Ok(()) }
}

fn are_friends(db: &mut Connection, uid: u64, other: u64) -> Result<bool, Failure> {
    let pair = [uid.min(other).into(), uid.max(other).into()];
    Ok(!db.rows("SELECT id FROM friends WHERE uid = ? AND friendId = ?", &pair)?.is_empty())
}

fn may_be_asked(db: &mut Connection, uid: u64, friend_id: u64) -> Result<(), Refusal> {
    if uid == friend_id {
        return Err(Refusal::bad("friendId: that is yourself"));
    }
    require_user(db, friend_id)?;
    if are_friends(db, uid, friend_id)? {
        return Err(Refusal::new(Code::Already, "friendId: a friend of yours already"));
    }
    Ok(())
}

/// The answer to an earlier request of this number, if there was one, and if it was this request.
fn sent_before(
    db: &mut Connection,
    from: u64,
    request: &ChatSendMsg,
) -> Result<Option<Stored>, Refusal> {
    let sql = "SELECT id, sendTime, toUid, gId, msgType, msgText FROM message WHERE fromUid = ? AND clientNo = ?";
    let rows = db.rows(sql, &[from.into(), request.client_no.into()])?;
    let Some(row) = rows.first() else { return Ok(None) };
    let to_id = if row.is_null(3) { row.number(2) } else { row.number(3) };
    let same = (row.is_null(3), to_id) == (request.is_friend, request.to_id)
        && row.text(4) == request.msg_type
        && row.text(5) == request.msg_text;
    if !same {
        return Err(Refusal::bad("clientNo: was used for another message"));
    }
    Ok(Some(Stored { id: row.number(0), send_time: row.number(1), deliveries: Vec::new() }))
}

impl Readers {
    /// A connection at rest, a new one, or, when there are `DATABASE_READERS`, the next that is given back.
    fn take(&self) -> Result<Connection, Failure> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(connection) = idle.0.pop() {
                return Ok(connection);
            }
            if idle.1 < DATABASE_READERS {
                let connection = Connection::open(&self.path)?;
                idle.1 += 1;
                return Ok(connection);
            }
            idle = self.returned.wait(idle).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn give_back(&self, connection: Connection) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).0.push(connection);
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
    file.try_lock()
        .map_err(|_| format!("another server has the database {place} open: one at a time"))?;
    Ok(file)
}

/// The MD5 of schema.sql, by which a database is known.
fn schema_md5() -> String {
    hex(&md5(SCHEMA.as_bytes()))
}

/// Refuses a database that another schema or another program made. False: the tables were loaded by hand from
/// schema.sql, have no row yet, and are to be marked as ours.
fn check_schema(db: &mut Connection, place: &Database) -> Result<bool, Failure> {
    if !db.tables()?.iter().any(|table| table == "minimSchema") {
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
        None => Err(Failure::Down(
            "its tables hold rows, and nothing says which schema.sql made them".into(),
        )),
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
