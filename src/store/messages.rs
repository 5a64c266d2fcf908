//! Messages in the database: stored, waiting, looked up. A part of store.rs.
//!
//! Rules: what came before is found by sender and `clientNo`, whatever else has changed since. Of a private message there is
//! one row, of a group's one for each member, the sender's included. Not here: when all that is on the disk
//! (store/writer.rs), who hears of it (server/chat.rs). Start with `begin_message`, which hands a message
//! over, and `add_messages`, which stores it.

use std::collections::{HashMap, HashSet};
use std::sync::mpsc::channel;

use super::driver::{Connection, Failure, Row, Value, places};
use super::writer::{Job, Message};
use super::{
    Begun, COLUMNS, FRIEND, JOIN, MESSAGES, NOT_THERE, PAGE, SAID, Store, Trouble, by_rule, content,
    envelope, groups, pair, pushed, require_user,
};
use crate::clock::now_ms;
use crate::limits::MAX_SEARCHED;
use crate::message::{ChatSendMsg, Code, Envelope, FromServer, Record, Refusal, StoredFile};

/// What a message holds.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    /// msgText.
    Text(String),
    /// A file, which is on the disk before its message is.
    File(StoredFile),
}

impl Content {
    /// As it is pushed.
    pub fn pushed(self, envelope: Envelope) -> FromServer {
        match self {
            Content::Text(msg_text) => FromServer::ChatSendMsg { envelope, msg_text },
            Content::File(stored) => FromServer::ChatSendFile { envelope, stored },
        }
    }
}

/// A message that is to be stored.
pub struct NewMessage {
    /// The number of the request that stores it.
    pub client_no: u64,
    /// False: `to_id` is a group.
    pub is_friend: bool,
    /// A uid or a gId.
    pub to_id: u64,
    /// TEXT, EMOJI, PICTURE or FILE.
    pub msg_type: String,
    /// What it holds.
    pub content: Content,
}

impl From<ChatSendMsg> for NewMessage {
    fn from(request: ChatSendMsg) -> NewMessage {
        let ChatSendMsg { client_no, is_friend, to_id, msg_type, msg_text, .. } = request;
        NewMessage { client_no, is_friend, to_id, msg_type, content: Content::Text(msg_text) }
    }
}

/// A message that was stored, or had been stored before.
pub struct Stored {
    /// Who sent it to whom, with the sender's id of it and the server's time.
    pub envelope: Envelope,
    /// What it holds.
    pub content: Content,
    /// Who is to get it, and under which id; empty where the same request came before.
    pub recipients: Recipients,
}

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
    /// sendTime, in milliseconds since 1970, both ends included.
    pub from_time: Option<u64>,
    /// The other end.
    pub to_time: Option<u64>,
    /// Containing this, taken literally.
    pub text: Option<String>,
    /// TEXT, EMOJI, PICTURE or FILE.
    pub msg_type: Option<String>,
}

/// Uids, each with the id of their row of a message.
pub type Recipients = Vec<(u64, u64)>;

/// The members of each group, by gId.
type Groups = HashMap<u64, Vec<u64>>;

impl Store {
    /// CHAT_SEND_MSG and FILE_END: hands it to the thread that writes, and does not wait: what is begun together shares one
    /// flush of the disk. The same request (fromUid, clientNo) again gives the same answer and does nothing. For `finish`:
    /// `badRequest` where the number was used for another one, `notFriends`, `noSuchUser`, `noSuchGroup`.
    pub fn begin_message(&self, from: u64, new: NewMessage) -> Begun<Stored> {
        let (answer, outcome) = channel();
        let _ = self.writer.send(Job::Message(Message { from, new, answer })); // an error drops `answer`, as `finish` finds
        Begun(outcome)
    }

    /// Whether `from` may send something there now: `notFriends`, `noSuchUser`, `noSuchGroup`, `notMember`.
    pub fn may_send(&self, from: u64, is_friend: bool, to_id: u64) -> Result<(), Refusal> {
        self.read(|db| {
            let to = [Addressed { from, is_friend, to_id }];
            let (friends, groups) = (friendships(db, &to)?, members_of(db, &to)?);
            require_addressee(db, to[0], &friends, &groups)
        })
    }

    /// The id of the file that `from` has sent by a FILE_END with this number, and the file. `badRequest` where that number
    /// stored none.
    pub fn sent_file(&self, from: u64, client_no: u64) -> Result<(u64, StoredFile), Refusal> {
        let rows = self.read(|db| Ok(rows_by_key(db, &[[from, client_no]])?))?;
        let row = rows.get(&[from, client_no]);
        match row.map(|row| (row.number(0), content(row))) {
            Some((id, Content::File(stored))) => Ok((id, stored)),
            _ => Err(Refusal::bad("clientNo: no file was stored by this number")),
        }
    }

    /// The file of message `id`, which was sent to `uid` or by them. `noSuchMessage`.
    pub fn file_of(&self, uid: u64, id: u64) -> Result<StoredFile, Refusal> {
        let sql = format!("SELECT {COLUMNS} {MESSAGES} WHERE m.id = ? AND (m.toUid = ? OR m.fromUid = ?)");
        let rows = self.rows(&sql, &[id, uid, uid].map(Value::from))?;
        match rows.first().map(content) {
            Some(Content::File(stored)) => Ok(stored),
            _ => Err(no_such_file_message(id)),
        }
    }

    /// /downloadFileSuccess: the file of this message to `uid` has arrived, so it is handled. `noSuchMessage`.
    pub fn file_arrived(&self, uid: u64, id: u64) -> Result<(), Refusal> {
        let sql = "SELECT id FROM message WHERE id = ? AND toUid = ? AND fileName IS NOT NULL";
        if self.rows(sql, &[id, uid].map(Value::from))?.is_empty() {
            return Err(no_such_file_message(id));
        }
        self.finish(self.mark_received(uid, &[id]))
    }

    /// CHAT_RECEIVED: these messages to `uid` are handled, from one to `MAX_IDS`; for `finish`. Other ids and requests stay as
    /// they are.
    pub fn mark_received(&self, uid: u64, ids: &[u64]) -> Begun<()> {
        let sql = format!(
            "UPDATE message SET handle = 1, handleTime = ? \
             WHERE toUid = ? AND handle = 0 AND type = ? AND id IN ({})",
            places(ids.len())
        );
        let mut values = vec![now_ms().into(), uid.into(), SAID.into()];
        values.extend(ids.iter().map(|&id| Value::from(id)));
        let what = if self.trace.is_on() { handled(ids) } else { String::new() };
        self.begin(&what, move |db| Ok(db.run(&sql, &values).map(drop)?))
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
        let readers = if values.is_empty() { &self.readers } else { &self.searches };
        self.read_by(readers, |db| {
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
}

/// Station 4 of a message: stores those that gathered, as far as they may be, by a few statements for all of them. What
/// each came to, in order. `in_doubt`: what is on the disk of these, nobody was told of yet.
pub fn add_messages(
    db: &mut Connection,
    messages: &[Message],
    in_doubt: &HashSet<[u64; 2]>,
) -> Result<Vec<Result<Stored, Refusal>>, Failure> {
    let keys: Vec<[u64; 2]> = messages.iter().map(Message::key).collect();
    let mut rows = rows_by_key(db, &keys)?;
    let addressed: Vec<Addressed> = messages.iter().map(Addressed::of).collect();
    let friends = friendships(db, &addressed)?;
    let groups = members_of(db, &addressed)?;
    let mut known: HashSet<[u64; 2]> = rows.keys().copied().collect();
    let mut checks = Vec::new();
    let mut new = Vec::new();
    for (message, to) in messages.iter().zip(addressed) {
        let is_new = !known.contains(&message.key());
        let check = if is_new { by_rule(require_addressee(db, to, &friends, &groups))? } else { Ok(()) };
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
            (Ok(is_new), Some(row)) => require_same(&message.new, row).map(|()| {
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

fn no_such_file_message(id: u64) -> Refusal {
    Refusal::new(Code::NoSuchMessage, format!("msgId: there is no file {id} for you"))
}

/// As the trace says it: `handled 7`, `handled 7 and 2 more`.
fn handled(ids: &[u64]) -> String {
    let more = if ids.len() > 1 { format!(" and {} more", ids.len() - 1) } else { String::new() };
    format!("handled {}{more}", ids[0])
}

/// A row for the recipient, or for each member of the group; the sender's is handled.
fn insert_messages(db: &mut Connection, new: &[&Message], groups: &Groups) -> Result<(), Failure> {
    let insert = "INSERT INTO message \
                  (fromUid, toUid, type, gId, handle, handleTime, sendTime, clientNo, msgType, \
                  msgText, fileName, fileSize, fileMd5, filePath) VALUES";
    let now = now_ms();
    let mut private = Vec::new();
    for Message { from, new, .. } in new {
        let holds = match &new.content {
            Content::Text(text) => [text.as_str().into(), Value::Null, Value::Null, Value::Null, Value::Null],
            Content::File(StoredFile { file, file_path }) => {
                let (name, size) = (file.file_name.as_str().into(), file.file_size.into());
                [Value::Null, name, size, file.file_md5.as_str().into(), file_path.as_str().into()]
            }
        };
        let row = |to: u64, g_id: Option<u64>| {
            let is_own = g_id.is_some() && to == *from;
            let mut row = vec![
                Value::from(*from),
                to.into(),
                SAID.into(),
                g_id.map_or(Value::Null, Value::from),
                u64::from(is_own).into(),
                if is_own { now.into() } else { Value::Null },
                now.into(),
                new.client_no.into(),
                new.msg_type.as_str().into(),
            ];
            row.extend(holds.iter().cloned());
            row
        };
        let to = new.to_id;
        match groups.get(&to).filter(|_| !new.is_friend) {
            // One message at a time: its text is there for each member.
            Some(members) => {
                db.insert(insert, &members.iter().map(|&member| row(member, Some(to))).collect::<Vec<_>>())?;
            }
            None => private.push(row(to, None)),
        }
    }
    db.insert(insert, &private)
}

/// The rows of messages, by fromUid and clientNo; of those to a group the sender's.
pub fn rows_by_key(db: &mut Connection, keys: &[[u64; 2]]) -> Result<HashMap<[u64; 2], Row>, Failure> {
    let sql = format!(
        "SELECT {COLUMNS} {MESSAGES} WHERE (m.gId IS NULL OR m.toUid = m.fromUid) AND (m.fromUid, m.clientNo)"
    );
    let rows = db.rows_of_pairs(&sql, keys)?;
    Ok(rows.into_iter().map(|row| ([row.number(2), row.number(15)], row)).collect())
}

/// What the sender of the message in `row` is told, and, if it is private, the recipient.
fn stored(row: &Row, is_told: bool) -> Stored {
    let envelope = envelope(row);
    let recipients =
        if is_told && envelope.is_friend { vec![(envelope.to_id, envelope.id)] } else { Vec::new() };
    Stored { envelope, content: content(row), recipients }
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

/// From whom to whom something is to go.
#[derive(Clone, Copy)]
pub struct Addressed {
    pub from: u64,
    pub is_friend: bool,
    pub to_id: u64,
}

impl Addressed {
    fn of(message: &Message) -> Addressed {
        Addressed { from: message.from, is_friend: message.new.is_friend, to_id: message.new.to_id }
    }
}

/// Which of the senders and recipients are friends, by `pair`.
pub fn friendships(db: &mut Connection, to: &[Addressed]) -> Result<HashSet<[u64; 2]>, Failure> {
    let private = to.iter().filter(|to| to.is_friend);
    let pairs: Vec<[u64; 2]> = private.map(|to| pair(to.from, to.to_id)).collect();
    let rows = db.rows_of_pairs("SELECT uid, friendId FROM friends WHERE (uid, friendId)", &pairs)?;
    Ok(rows.iter().map(|row| pair(row.number(0), row.number(1))).collect())
}

/// The members of the groups to which messages go, as far as there are such groups.
fn members_of(db: &mut Connection, to: &[Addressed]) -> Result<Groups, Failure> {
    let ids: HashSet<u64> = to.iter().filter(|to| !to.is_friend).map(|to| to.to_id).collect();
    let mut groups = Groups::new();
    for g_id in ids {
        if let Ok(group) = by_rule(groups::group(db, g_id))? {
            groups.insert(g_id, group.members);
        }
    }
    Ok(groups)
}

/// The number of `new` was used for what stands in `row`: that must be the same.
fn require_same(new: &NewMessage, row: &Row) -> Result<(), Refusal> {
    let Envelope { is_friend, to_id, msg_type, .. } = envelope(row);
    let is_same = (is_friend, to_id) == (new.is_friend, new.to_id)
        && msg_type == new.msg_type
        && content(row) == new.content;
    if is_same { Ok(()) } else { Err(Refusal::bad("clientNo: was used for another message")) }
}

/// A new message may go to a friend, or to a group of one's own.
fn require_addressee(
    db: &mut Connection,
    Addressed { from, is_friend, to_id: to }: Addressed,
    friends: &HashSet<[u64; 2]>,
    groups: &Groups,
) -> Result<(), Trouble> {
    if !is_friend {
        return match groups.get(&to) {
            Some(members) if members.contains(&from) => Ok(()),
            Some(_) => Err(Refusal::new(Code::NotMember, "toId: not a group of yours").into()),
            None => Err(Refusal::new(Code::NoSuchGroup, format!("toId: there is no group {to}")).into()),
        };
    }
    if friends.contains(&pair(from, to)) {
        return Ok(());
    }
    require_user(db, to)?;
    Err(Refusal::new(Code::NotFriends, "toId: not a friend of yours").into())
}

/// A row of a message as /getChatRecords shows it.
fn record(row: &Row) -> Record {
    let handle_time = row.number(17);
    Record {
        message: pushed(row),
        handle: row.number(16),
        handle_time: (handle_time > 0).then_some(handle_time),
    }
}
