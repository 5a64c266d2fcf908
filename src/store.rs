//! The store: the SQL about our tables, in words that SQLite and MySQL both take. It knows no socket.
//!
//! Rules: what a function here has returned `Ok` for is on the disk. Whatever is checked and then written stands in
//! one transaction, and one thread does all writing (store/writer.rs), so nothing changes between the check and the
//! write. Reading has connections of its own (store/readers.rs) and waits for no writer. What a user has not received yet
//! is known by `handle`; "id above the last one" only turns the page. Beneath it a driver (store/driver.rs) runs a
//! statement with parameters. Not here: groups (store/groups.rs), who hears of it (server/online.rs). Start with
//! `begin_message`, which hands a message over, and `add_messages`, which stores it.

#[cfg(not(feature = "sqlite"))]
mod absent;
mod driver;
mod groups;
mod mysql;
#[cfg(test)]
#[path = "../tests/store/plans.rs"]
mod plans;
mod readers;
#[cfg(feature = "sqlite")]
mod sqlite;
mod writer;

use std::collections::{HashMap, HashSet};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, PoisonError};

use crate::clock::now_ms;
use crate::config::Database;
use crate::limits::{MAX_FOUND, MAX_SEARCHED};
use crate::md5_check::{hex, md5};
use crate::message::{Changes, ChatSendMsg, Code, Envelope, FromServer, NewUser, Record, Refusal, User};
use crate::warnings::Warnings;

pub use groups::{Group, Succession};

use driver::{Connection, Failure, Row, Value, places};
use readers::Readers;
use writer::{Change, Job, Message};

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
/// 8 msgText, 9 gId, 10 gname; and 11 clientNo, 12 handle, 13 handleTime.
const COLUMNS: &str = "m.id, m.type, m.fromUid, u.username, u.loginName, m.toUid, m.sendTime, m.msgType, m.msgText, \
                       m.gId, g.gname, m.clientNo, m.handle, m.handleTime";
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
    /// Held by who searches old messages: that takes long, and must leave connections to the others.
    searches: Mutex<()>,
    failures: Warnings,
}

/// Uids, each with the id of their row of a message.
pub type Recipients = Vec<(u64, u64)>;

/// A message that was stored, or had been stored before.
pub struct Stored {
    /// What it says, with the sender's id of it and the server's time.
    pub envelope: Envelope,
    /// The text.
    pub msg_text: String,
    /// Who is to get it, and under which id; empty where the same request came before.
    pub recipients: Recipients,
}

/// What came of messageHandle.
pub enum Answered {
    /// Nothing, and the asker does not hear of it.
    Refused,
    /// A friendship with this user.
    Friends(u64),
    /// This user is in the group now.
    Joined(u64, Group),
}

/// A job on its way to the disk, for `Store::finish`.
pub struct Begun<T>(Receiver<Result<T, Trouble>>);

/// A request that is open: its id, and, where it is new, who gets it.
pub type Asked = (u64, Option<(u64, FromServer)>);

/// What of all that waits for a user is asked for.
#[derive(Clone, Copy)]
#[allow(missing_docs)]
pub enum Waiting {
    Messages,
    Requests,
    All,
}

/// Which records of a conversation are wanted: the newest that pass every filter.
#[derive(Default)]
pub struct Wanted {
    /// False: `to_id` is a group.
    pub is_friend: bool,
    /// The other's uid, or a gId.
    pub to_id: u64,
    /// Ids below this one.
    pub before_id: u64,
    /// So many at most.
    pub limit: usize,
    /// Written by this uid.
    pub from_id: Option<u64>,
    /// sendTime, both ends included.
    pub from_time: Option<u64>,
    /// The other end.
    pub to_time: Option<u64>,
    /// Containing this, taken literally.
    pub text: Option<String>,
    /// TEXT, EMOJI, PICTURE or FILE.
    pub msg_type: Option<String>,
}

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
    pub fn open(place: &Database) -> Result<Store, String> {
        let opened = missing(place).and_then(|missing| {
            let writer = driver::open_to_write(place, &missing)?;
            Ok((writer, Readers::open(place)?))
        });
        let (writer, readers) =
            opened.map_err(|failure| format!("cannot use the database {place} (--database): {failure}"))?;
        let writer =
            writer::start(place, writer).map_err(|error| format!("no thread for the database: {error}"))?;
        Ok(Store { writer, readers, searches: Mutex::default(), failures: Warnings::default() })
    }

    /// Does `job` in a transaction: all of it, or nothing when it returns an error. It refuses before it writes, since
    /// others may share the transaction.
    fn write<T: Send + 'static>(
        &self,
        job: impl Fn(&mut Connection) -> Result<T, Trouble> + Send + 'static,
    ) -> Result<T, Refusal> {
        let (keep, kept) = channel();
        let work = move |db: &mut Connection| Ok(_ = keep.send(job(db)?));
        self.finish(self.begin(|answer| Job::Change(Change { work: Box::new(work), answer })))?;
        kept.try_iter().last().ok_or_else(|| self.refusal(no_writer())) // the last: a job may be done twice
    }

    /// Hands a job to the thread that writes.
    fn begin<T>(&self, job: impl FnOnce(Sender<Result<T, Trouble>>) -> Job) -> Begun<T> {
        let (answer, outcome) = channel();
        let _ = self.writer.send(job(answer)); // an error drops `answer`, as `finish` finds
        Begun(outcome)
    }

    /// Waits for what a job came to: after `Ok` it is on the disk.
    pub fn finish<T>(&self, begun: Begun<T>) -> Result<T, Refusal> {
        let outcome = begun.0.recv().unwrap_or_else(|_| Err(no_writer()));
        outcome.map_err(|trouble| self.refusal(trouble))
    }

    /// Does `job`, which only reads, by a connection that waits for no writer.
    fn read<T>(&self, job: impl Fn(&mut Connection) -> Result<T, Trouble>) -> Result<T, Refusal> {
        self.readers.read(job).map_err(|trouble| self.refusal(trouble))
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

    /// CHAT_SEND_MSG: hands it to the thread that writes, and does not wait: what is begun together shares one flush of
    /// the disk. The same request (fromUid, clientNo) again gives the same answer and does nothing. For `finish`:
    /// `badRequest` where the number was used for another one, `notFriends`, `noSuchUser`, `noSuchGroup`.
    pub fn begin_message(&self, from: u64, request: ChatSendMsg) -> Begun<Stored> {
        self.begin(|answer| Job::Message(Message { from, request, answer }))
    }

    /// CHAT_RECEIVED: these messages to `uid` are handled. Other ids and requests stay as they are.
    pub fn mark_received(&self, uid: u64, ids: &[u64]) -> Result<(), Refusal> {
        if ids.is_empty() {
            return Ok(());
        }
        let sql = format!(
            "UPDATE message SET handle = 1, handleTime = ? \
             WHERE toUid = ? AND handle = 0 AND type = ? AND id IN ({})",
            places(ids.len())
        );
        let mut values = vec![now_ms().into(), uid.into(), SAID.into()];
        values.extend(ids.iter().map(|&id| Value::from(id)));
        self.write(move |db| Ok(db.run(&sql, &values).map(drop)?))
    }

    /// What waits for a user above `after_id`, each with its id, in order of id, at most `limit`.
    pub fn unhandled(
        &self,
        uid: u64,
        kind: Waiting,
        after_id: u64,
        limit: usize,
    ) -> Result<Vec<(u64, FromServer)>, Refusal> {
        let types = match kind {
            Waiting::Messages => SAID..=SAID,
            Waiting::Requests => FRIEND..=JOIN,
            Waiting::All => SAID..=JOIN,
        };
        let sql = format!(
            "SELECT {COLUMNS} FROM (SELECT id FROM message WHERE toUid = ? AND handle = 0 AND type = ? AND id > ? \
             ORDER BY id LIMIT {limit}) {PAGE} ORDER BY m.id"
        );
        let mut rows = Vec::new();
        for kind in types {
            rows.extend(self.rows(&sql, &[uid.into(), kind.into(), after_id.into()])?);
        }
        rows.sort_by_key(|row| row.number(0));
        Ok(rows.iter().take(limit).map(|row| (row.number(0), pushed(row))).collect())
    }

    /// The newest id among the messages and files that wait for a user, or 0.
    pub fn last_unhandled(&self, uid: u64) -> Result<u64, Refusal> {
        let sql =
            "SELECT id FROM message WHERE toUid = ? AND handle = 0 AND type = ? ORDER BY id DESC LIMIT 1";
        let rows = self.rows(sql, &[uid.into(), SAID.into()])?;
        Ok(rows.first().map_or(0, |row| row.number(0)))
    }

    /// How many messages of each friend, (true, uid), and each group, (false, gId), wait for a user.
    pub fn unread(&self, uid: u64) -> Result<HashMap<(bool, u64), u64>, Refusal> {
        let sql = "SELECT fromUid, gId, COUNT(*) FROM message \
                   WHERE toUid = ? AND handle = 0 AND type = ? GROUP BY fromUid, gId";
        let rows = self.rows(sql, &[uid.into(), SAID.into()])?;
        let mut unread = HashMap::new();
        for row in rows {
            let (from, g_id) = (row.number(0), row.number(1));
            let conversation = if g_id == 0 { (true, from) } else { (false, g_id) };
            *unread.entry(conversation).or_default() += row.number(2);
        }
        Ok(unread)
    }

    /// Records of a conversation, newest last; of a group the rows of `uid`, who may have left it. Where there are filters,
    /// `MAX_SEARCHED` messages of each half are looked at. `noSuchUser`, `noSuchGroup`, `notMember`.
    pub fn records(&self, uid: u64, wanted: &Wanted) -> Result<Vec<Record>, Refusal> {
        let to = wanted.to_id;
        let (mut filters, mut values) = (String::new(), Vec::new());
        let mut filter = |sql: &str, value: Option<Value>| {
            if let Some(value) = value {
                filters += sql;
                values.push(value);
            }
        };
        filter(" AND m.msgType = ?", wanted.msg_type.as_deref().map(Value::from));
        filter(" AND INSTR(m.msgText, ?) > 0", wanted.text.as_deref().map(Value::from));
        filter(" AND m.sendTime >= ?", wanted.from_time.map(Value::from));
        filter(" AND m.sendTime <= ?", wanted.to_time.map(Value::from));
        // Each half is found by an index: what one wrote to the other, and the other way round; a group has one.
        let (sql, mut halves) = match wanted.is_friend {
            true => (
                "fromUid = ? AND toUid = ? AND gId IS NULL AND type = ?",
                vec![[uid, to, SAID], [to, uid, SAID]],
            ),
            false => ("gId = ? AND type = ? AND toUid = ?", vec![[to, SAID, uid]]),
        };
        match wanted.from_id {
            Some(from) if wanted.is_friend => halves.retain(|half| half[0] == from),
            from => filter(" AND m.fromUid = ?", from.map(Value::from)),
        }
        let (limit, looked_at) = (wanted.limit, if values.is_empty() { wanted.limit } else { MAX_SEARCHED });
        let sql = format!(
            "SELECT {COLUMNS} FROM (SELECT id FROM message WHERE {sql} AND id < ? ORDER BY id DESC LIMIT {looked_at}) \
             {PAGE} WHERE m.id > 0{filters} ORDER BY m.id DESC LIMIT {limit}"
        );
        let is_search = !values.is_empty();
        let _one_at_a_time = is_search.then(|| self.searches.lock().unwrap_or_else(PoisonError::into_inner));
        self.read(|db| {
            match wanted.is_friend {
                true => require_user(db, to)?,
                false => groups::require_reader(db, uid, to)?,
            }
            let mut rows = Vec::new();
            for half in &halves {
                let mut parameters = half.map(Value::from).to_vec();
                parameters.push(wanted.before_id.into());
                parameters.extend(values.iter().cloned());
                rows.extend(db.rows(&sql, &parameters)?);
            }
            rows.sort_by_key(|row| row.number(0));
            let too_many = rows.len().saturating_sub(limit);
            Ok(rows[too_many..].iter().map(record).collect())
        })
    }

    /// A new user, with the digest of the password; the uid. `loginNameTaken`.
    pub fn add_user(&self, new: &NewUser, digest: &str) -> Result<u64, Refusal> {
        let key = [login_key(&new.login_name)];
        let values = [
            digest.into(),
            new.login_name.as_str().into(),
            key[0].clone(),
            new.username.as_str().into(),
            new.sex.into(),
            new.pic_url.as_str().into(),
            now_ms().into(),
        ];
        let taken = format!("loginName: {} is taken, choose another", new.login_name);
        self.write(move |db| {
            let by_key = "SELECT id FROM users WHERE loginKey = ?";
            if !db.rows(by_key, &key)?.is_empty() {
                return Err(Refusal::new(Code::LoginNameTaken, taken.clone()).into());
            }
            let insert = "INSERT INTO users (pwd, loginName, loginKey, username, sex, picUrl, updateTime) \
                          VALUES (?, ?, ?, ?, ?, ?, ?)";
            db.run(insert, &values)?;
            Ok(the_row(db, by_key, &key)?.number(0))
        })
    }

    /// modifyUser: the user before and after. `digest`: of the new password. `noSuchUser`.
    pub fn modify_user(
        &self,
        uid: u64,
        changes: &Changes,
        digest: Option<String>,
    ) -> Result<(User, User), Refusal> {
        let changes = changes.clone();
        let select = format!("SELECT {USER}, u.pwd FROM users u WHERE u.id = ?");
        self.write(move |db| {
            let rows = db.rows(&select, &[uid.into()])?;
            let row = rows.first().ok_or_else(|| no_such_user(uid))?;
            let before = user(row);
            let after = User {
                username: changes.username.clone().unwrap_or_else(|| before.username.clone()),
                sex: changes.sex.unwrap_or(before.sex),
                pic_url: changes.pic_url.clone().unwrap_or_else(|| before.pic_url.clone()),
                ..before.clone()
            };
            let pwd = digest.clone().unwrap_or_else(|| row.text(5));
            let User { username, sex, pic_url, .. } = &after;
            let values =
                [username.as_str().into(), (*sex).into(), pic_url.as_str().into(), pwd.as_str().into()];
            let sql =
                "UPDATE users SET username = ?, sex = ?, picUrl = ?, pwd = ?, updateTime = ? WHERE id = ?";
            db.run(sql, &[&values[..], &[now_ms().into(), uid.into()]].concat())?;
            Ok((before, after))
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

    /// Asks `friend_id` to be friends.
    pub fn ask_friend(&self, uid: u64, friend_id: u64) -> Result<Asked, Refusal> {
        self.write(move |db| {
            may_be_asked(db, uid, friend_id)?;
            Ok(ask(db, uid, friend_id, FRIEND, None)?)
        })
    }

    /// messageHandle of a request to `uid`. `noSuchMessage`, `already`, `tooMany` where the group is full.
    pub fn answer_request(&self, uid: u64, id: u64, accept: bool) -> Result<Answered, Refusal> {
        self.write(move |db| {
            let sql =
                "SELECT fromUid, handle, type, gId FROM message WHERE id = ? AND toUid = ? AND type <> ?";
            let rows = db.rows(sql, &[id, uid, SAID].map(Value::from))?;
            let Some(row) = rows.first() else {
                let text = format!("msgId: there is no request {id} to you");
                return Err(Refusal::new(Code::NoSuchMessage, text).into());
            };
            if row.number(1) != 0 {
                return Err(Refusal::new(Code::Already, format!("request {id} is answered already")).into());
            }
            let (asker, now, g_id) = (row.number(0), now_ms(), row.number(3));
            if !accept {
                let refuse = "UPDATE message SET handle = 2, handleTime = ? WHERE id = ?";
                db.run(refuse, &[now.into(), id.into()])?;
                return Ok(Answered::Refused);
            }
            match row.number(2) {
                FRIEND => {
                    befriend(db, asker, uid, now)?;
                    Ok(Answered::Friends(asker))
                }
                GROUP => Ok(Answered::Joined(uid, groups::join(db, uid, g_id, now)?)),
                _ => Ok(Answered::Joined(asker, groups::join(db, asker, g_id, now)?)),
            }
        })
    }

    /// Ends a friendship. `notFriends`, `noSuchUser`.
    pub fn delete_friend(&self, uid: u64, friend_id: u64) -> Result<(), Refusal> {
        self.write(move |db| {
            require_user(db, friend_id)?;
            let delete = "DELETE FROM friends WHERE uid = ? AND friendId = ?";
            if db.run(delete, &pair(uid, friend_id).map(Value::from))? == 0 {
                return Err(Refusal::new(Code::NotFriends, "friendId: not a friend of yours").into());
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

/// A row that begins with `COLUMNS`, as it was or would be pushed.
fn pushed(row: &Row) -> FromServer {
    let kind = match row.number(1) {
        FRIEND => "FRIEND",
        GROUP => "GROUP",
        JOIN => "JOIN",
        _ => return FromServer::ChatSendMsg { envelope: envelope(row), msg_text: row.text(8) },
    };
    let (id, from_id, from_name, send_time) = (row.number(0), row.number(2), row.text(3), row.number(6));
    let (from_login_name, kind) = (row.text(4), kind.to_owned());
    let (g_id, gname) = (row.number(9), row.text(10));
    let (g_id, gname) = if g_id == 0 { (None, None) } else { (Some(g_id), Some(gname)) };
    FromServer::Request { id, from_id, from_name, from_login_name, kind, g_id, gname, send_time }
}

fn envelope(row: &Row) -> Envelope {
    let is_friend = row.number(9) == 0;
    let to_id = if is_friend { row.number(5) } else { row.number(9) };
    let (id, from_id, from_name, send_time) = (row.number(0), row.number(2), row.text(3), row.number(6));
    Envelope { id, from_id, from_name, is_friend, to_id, send_time, msg_type: row.text(7) }
}

/// Station 4 of a message: stores those that gathered, as far as they may be, by a few statements for all of them. What
/// each came to, in order. `in_doubt`: what is on the disk of these, nobody was told of yet.
fn add_messages(
    db: &mut Connection,
    messages: &[Message],
    in_doubt: &HashSet<[u64; 2]>,
) -> Result<Vec<Result<Stored, Refusal>>, Failure> {
    let keys: Vec<[u64; 2]> = messages.iter().map(Message::key).collect();
    let mut rows = rows_by_key(db, &keys)?;
    let friends = friendships(db, messages)?;
    let groups = members_of(db, messages)?;
    let mut known: HashSet<[u64; 2]> = rows.keys().copied().collect();
    let mut checks = Vec::new();
    let mut new = Vec::new();
    for message in messages {
        let is_new = !known.contains(&message.key());
        let check = if is_new { by_rule(require_addressee(db, message, &friends, &groups))? } else { Ok(()) };
        if is_new && check.is_ok() {
            known.insert(message.key()); // the same request may be in the batch again
            new.push(message);
        }
        checks.push(check.map(|()| is_new));
    }
    insert_messages(db, &new, &groups)?;
    let new: Vec<[u64; 2]> = new.iter().map(|message| message.key()).collect();
    rows.extend(rows_by_key(db, &new)?);

    let mut told = HashSet::new();
    let mut outcomes = Vec::new();
    for (message, check) in messages.iter().zip(checks) {
        let key = message.key();
        outcomes.push(match (check, rows.get(&key)) {
            (Err(refusal), _) => Err(refusal),
            (Ok(is_new), Some(row)) => require_same(&message.request, row).map(|()| {
                let is_told = (is_new || in_doubt.contains(&key)) && told.insert(key);
                stored(row, is_told)
            }),
            (Ok(_), None) => return Err(Failure::Statement(NOT_THERE.to_owned())),
        });
    }
    let is_to_group = |key: &[u64; 2]| rows.get(key).is_some_and(|row| !envelope(row).is_friend);
    let told: Vec<[u64; 2]> = told.into_iter().filter(is_to_group).collect();
    let mut members = members_told(db, &told)?;
    for (message, stored) in messages.iter().zip(&mut outcomes) {
        if let (Ok(stored), Some(members)) = (stored, members.remove(&message.key())) {
            stored.recipients = members; // of a request that is here twice the first has them
        }
    }
    Ok(outcomes)
}

/// A row for the recipient, or for each member of the group; the sender's is handled.
fn insert_messages(db: &mut Connection, new: &[&Message], groups: &Groups) -> Result<(), Failure> {
    let insert = "INSERT INTO message \
                  (fromUid, toUid, type, gId, handle, handleTime, sendTime, clientNo, msgType, msgText) VALUES";
    let now = now_ms();
    let mut private = Vec::new();
    for Message { from, request, .. } in new {
        let row = |to: u64, g_id: Option<u64>| {
            let is_own = g_id.is_some() && to == *from;
            vec![
                Value::from(*from),
                to.into(),
                SAID.into(),
                g_id.map_or(Value::Null, Value::from),
                u64::from(is_own).into(),
                if is_own { now.into() } else { Value::Null },
                now.into(),
                request.client_no.into(),
                request.msg_type.as_str().into(),
                request.msg_text.as_str().into(),
            ]
        };
        let to = request.to_id;
        match groups.get(&to).filter(|_| !request.is_friend) {
            // One message at a time: its text is there for each member.
            Some(members) => {
                db.insert(insert, &members.iter().map(|&member| row(member, Some(to))).collect::<Vec<_>>())?;
            }
            None => private.push(row(to, None)),
        }
    }
    db.insert(insert, &private)
}

/// What a job came to where the database did its part: done, or refused by a rule.
fn by_rule<T>(outcome: Result<T, Trouble>) -> Result<Result<T, Refusal>, Failure> {
    match outcome {
        Ok(done) => Ok(Ok(done)),
        Err(Trouble::Refused(refusal)) => Ok(Err(refusal)),
        Err(Trouble::Failed(failure)) => Err(failure),
    }
}

/// The rows of messages, by fromUid and clientNo; of those to a group the sender's.
fn rows_by_key(db: &mut Connection, keys: &[[u64; 2]]) -> Result<HashMap<[u64; 2], Row>, Failure> {
    let sql = format!(
        "SELECT {COLUMNS} {MESSAGES} WHERE (m.gId IS NULL OR m.toUid = m.fromUid) AND (m.fromUid, m.clientNo)"
    );
    let rows = db.rows_of_pairs(&sql, keys)?;
    Ok(rows.into_iter().map(|row| ([row.number(2), row.number(11)], row)).collect())
}

/// What the sender of the message in `row` is told, and, if it is private, the recipient.
fn stored(row: &Row, is_told: bool) -> Stored {
    let envelope = envelope(row);
    let recipients =
        if is_told && envelope.is_friend { vec![(envelope.to_id, envelope.id)] } else { Vec::new() };
    Stored { envelope, msg_text: row.text(8), recipients }
}

/// By key of each message to a group: all members but the sender, and the id of each one's row.
fn members_told(db: &mut Connection, keys: &[[u64; 2]]) -> Result<HashMap<[u64; 2], Recipients>, Failure> {
    let sql =
        "SELECT fromUid, clientNo, toUid, id FROM message WHERE toUid <> fromUid AND (fromUid, clientNo)";
    let mut members: HashMap<_, Recipients> = HashMap::new();
    for row in db.rows_of_pairs(sql, keys)? {
        let key = [row.number(0), row.number(1)];
        members.entry(key).or_default().push((row.number(2), row.number(3)));
    }
    Ok(members)
}

/// Which of the senders and recipients are friends, by `pair`.
fn friendships(db: &mut Connection, messages: &[Message]) -> Result<HashSet<[u64; 2]>, Failure> {
    let private = messages.iter().filter(|message| message.request.is_friend);
    let pairs: Vec<[u64; 2]> = private.map(|message| pair(message.from, message.request.to_id)).collect();
    let rows = db.rows_of_pairs("SELECT uid, friendId FROM friends WHERE (uid, friendId)", &pairs)?;
    Ok(rows.iter().map(|row| pair(row.number(0), row.number(1))).collect())
}

/// The members of each group, by gId.
type Groups = HashMap<u64, Vec<u64>>;

/// The members of the groups to which messages go, as far as there are such groups.
fn members_of(db: &mut Connection, messages: &[Message]) -> Result<Groups, Failure> {
    let to_groups = messages.iter().filter(|message| !message.request.is_friend);
    let ids: HashSet<u64> = to_groups.map(|message| message.request.to_id).collect();
    let mut groups = Groups::new();
    for g_id in ids {
        if let Ok(group) = by_rule(groups::group(db, g_id))? {
            groups.insert(g_id, group.members);
        }
    }
    Ok(groups)
}

/// The number of `request` was used for what stands in `row`: that must be the same.
fn require_same(request: &ChatSendMsg, row: &Row) -> Result<(), Refusal> {
    let Envelope { is_friend, to_id, msg_type, .. } = envelope(row);
    let is_same = (is_friend, to_id) == (request.is_friend, request.to_id)
        && msg_type == request.msg_type
        && row.text(8) == request.msg_text;
    if is_same { Ok(()) } else { Err(Refusal::bad("clientNo: was used for another message")) }
}

/// A new message may go to a friend, or to a group of one's own.
fn require_addressee(
    db: &mut Connection,
    message: &Message,
    friends: &HashSet<[u64; 2]>,
    groups: &Groups,
) -> Result<(), Trouble> {
    let to = message.request.to_id;
    if !message.request.is_friend {
        return match groups.get(&to) {
            Some(members) if members.contains(&message.from) => Ok(()),
            Some(_) => Err(Refusal::new(Code::NotMember, "toId: not a group of yours").into()),
            None => Err(Refusal::new(Code::NoSuchGroup, format!("toId: there is no group {to}")).into()),
        };
    }
    if friends.contains(&pair(message.from, to)) {
        return Ok(());
    }
    require_user(db, to)?;
    Err(Refusal::new(Code::NotFriends, "toId: not a friend of yours").into())
}

/// The thread that writes has ended: it never should.
fn no_writer() -> Trouble {
    Trouble::Failed(Failure::Down("the thread that writes has ended; start the server again".to_owned()))
}

const NOT_THERE: &str = "a row that was just written is not there";

/// A row of a message as /getChatRecords shows it.
fn record(row: &Row) -> Record {
    let handle_time = row.number(13);
    Record {
        message: pushed(row),
        handle: row.number(12),
        handle_time: (handle_time > 0).then_some(handle_time),
    }
}

/// The row that was written just now.
fn the_row(db: &mut Connection, sql: &str, parameters: &[Value]) -> Result<Row, Failure> {
    let row = db.rows(sql, parameters)?.into_iter().next();
    row.ok_or_else(|| Failure::Statement(NOT_THERE.to_owned()))
}

/// Login names are compared in small letters; Rust folds them, so that both engines agree.
fn login_key(login_name: &str) -> Value {
    Value::Text(login_name.to_lowercase())
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

/// `badRequest` for oneself, `noSuchUser`; `name` is the argument's.
fn are_friends(db: &mut Connection, uid: u64, other: u64, name: &str) -> Result<bool, Trouble> {
    if uid == other {
        return Err(Refusal::bad(format!("{name}: that is yourself")).into());
    }
    require_user(db, other)?;
    let sql = "SELECT id FROM friends WHERE uid = ? AND friendId = ?";
    Ok(!db.rows(sql, &pair(uid, other).map(Value::from))?.is_empty())
}

fn may_be_asked(db: &mut Connection, uid: u64, friend_id: u64) -> Result<(), Trouble> {
    if are_friends(db, uid, friend_id, "friendId")? {
        return Err(Refusal::new(Code::Already, "friendId: a friend of yours already").into());
    }
    Ok(())
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

/// Makes two users friends, and answers every open request between them.
fn befriend(db: &mut Connection, asker: u64, uid: u64, now: u64) -> Result<(), Failure> {
    let accept = "UPDATE message SET handle = 1, handleTime = ? \
                  WHERE fromUid = ? AND toUid = ? AND type = ? AND handle = 0";
    for (from, to) in [(asker, uid), (uid, asker)] {
        db.run(accept, &[now.into(), from.into(), to.into(), FRIEND.into()])?;
    }
    let [smaller, greater] = pair(asker, uid);
    let insert = "INSERT INTO friends (uid, friendId, updateTime) VALUES (?, ?, ?)"; // friends have no open request
    db.run(insert, &[smaller, greater, now].map(Value::from)).map(drop)
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
