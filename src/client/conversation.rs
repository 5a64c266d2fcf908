//! What the client knows: who is logged in, whom they know, what is unread, what is not sent yet, who is talked to.
//!
//! Rules: an id is shown once. A message counts as read when it was shown whole; what came for another conversation, or
//! waited at LOGIN, stays unread until `/open`. A text is kept until its answer comes and keeps its number, so that it
//! is sent again without becoming a second message. People are named by username, and typed by login name.
//! Not here: groups (groups.rs), files (files.rs), sockets (client.rs). Start with `receive`.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Instant;

use crate::client::history::Wanted;
use crate::client::records::Record;
use crate::client::screen::Line;
use crate::client::width::{cut, width};
use crate::client::words::{Values, Words};
use crate::client::{Client, Failure, files, groups};
use crate::clock::now_ms;
use crate::harmless::{harmless, harmless_name};
use crate::limits::{DATABASE_AGAIN, MAX_SEEN, MAX_SHOWN_LINES, MAX_UNREAD_BYTES, NOTICES_KEPT, patiently};
use crate::message::{ChatSendMsg, Code, Envelope, FromClient, FromServer, Refusal, User};

/// Whom one talks to, in the words of CHAT_SEND_MSG.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Conversation {
    /// True: `to_id` is a uid. False: a gId.
    pub is_friend: bool,
    /// Whom it is with.
    pub to_id: u64,
}

/// Somebody whom the user knows.
#[derive(Debug, Clone, Default)]
pub struct Person {
    /// Empty where it is not known.
    pub login_name: String,
    /// The name that others see.
    pub username: String,
    /// Whether they are friends.
    pub is_friend: bool,
    /// By the last FRIEND_STATE, at first by /getFriendsById. None: not known yet.
    pub is_online: Option<bool>,
}

/// A text without an answer so far.
pub struct Unsent {
    /// What is sent, the same each time.
    pub request: ChatSendMsg,
    /// When it was sent on the connection that stands; none: not yet.
    pub sent_at: Option<Instant>,
}

/// What is known from LOGIN to the end of the session, lost connections in between included.
#[derive(Default)]
pub struct Session {
    /// Who is logged in.
    pub me: User,
    /// To log in again after a lost connection.
    pub pwd: String,
    /// The cookie `sid`.
    pub session_id: String,
    /// Where HTTP is.
    pub http_port: u16,
    /// The newest message that waited at LOGIN: up to here they are counted, not listed.
    pub last_id: u64,
    /// By uid.
    pub people: BTreeMap<u64, Person>,
    /// The names of one's groups, by gId.
    pub groups: BTreeMap<u64, String>,
    /// Where plain text goes.
    pub open: Option<Conversation>,
    /// Of each conversation what came and was not shown whole: never empty. Without texts where they are too many.
    pub unread: BTreeMap<Conversation, Vec<Record>>,
    /// Of all texts in `unread`.
    pub unread_bytes: usize,
    /// Ids that came, the newest `MAX_SEEN` of them.
    pub seen: BTreeSet<u64>,
    /// In the order in which they were typed.
    pub unsent: VecDeque<Unsent>,
    /// Files sent so far: `u1`, `u2`.
    pub uploads: u64,
    /// Pictures that were fetched though nobody asked.
    pub pictures: u64,
    /// When LOGIN was, in milliseconds since 1970.
    pub since: u64,
    /// Up to which id the records of a conversation are complete; none where that could not be found out.
    pub recorded: BTreeMap<Conversation, Option<u64>>,
    /// That records cannot be written was said.
    pub cannot_record: bool,
    /// What was told to everybody, the last `NOTICES_KEPT`: from whom, and the text.
    pub notices: VecDeque<(String, String)>,
    /// What `/history more` shows; none where nothing earlier is known.
    pub earlier: Option<Wanted>,
    /// When texts go again for which the database was not there.
    pub send_again_at: Option<Instant>,
}

impl Session {
    /// A session that knows nobody yet.
    pub fn new(me: User, pwd: String, last_id: u64) -> Session {
        Session { me, pwd, last_id, since: now_ms(), ..Session::default() }
    }

    /// The name that others see; where two known people have the same, with something to tell them apart.
    pub fn username(&self, uid: u64) -> String {
        if uid == self.me.uid {
            return harmless_name(&self.me.username);
        }
        let Some(person) = self.people.get(&uid) else { return self.who(uid) };
        let name = harmless_name(&person.username);
        let is_same = |other: &&Person| other.username == person.username;
        match self.people.values().filter(is_same).count() {
            0 | 1 => name,
            _ => format!("{name} ({})", self.who(uid)),
        }
    }

    /// What can be typed for somebody: the login name, or `@UID` where that is not known.
    pub fn who(&self, uid: u64) -> String {
        match self.people.get(&uid).map(|person| person.login_name.as_str()) {
            None | Some("") => format!("@{uid}"),
            Some(name) if name.contains(' ') => format!("\"{}\"", harmless(name)),
            Some(name) => harmless_name(name),
        }
    }

    /// Takes note of somebody. An empty `login_name`: it was not said.
    pub fn meet(&mut self, uid: u64, login_name: &str, username: &str) -> &mut Person {
        let person = self.people.entry(uid).or_default();
        username.clone_into(&mut person.username);
        if !login_name.is_empty() {
            login_name.clone_into(&mut person.login_name);
        }
        person
    }

    /// False: this id came before.
    pub fn is_first_sight(&mut self, id: u64) -> bool {
        if self.seen.len() >= MAX_SEEN {
            self.seen.pop_first();
        }
        self.seen.insert(id)
    }

    /// Takes note of a message that was not shown; of its text, while there is room.
    pub fn keep_unread(&mut self, with: Conversation, (envelope, mut text): Record) {
        if self.unread_bytes + text.len() > MAX_UNREAD_BYTES {
            text.clear();
        }
        self.unread_bytes += text.len();
        self.unread.entry(with).or_default().push((envelope, text));
    }

    /// What is unread in a conversation, which is so no more.
    pub fn take_unread(&mut self, with: Conversation) -> Vec<Record> {
        let unread = self.unread.remove(&with).unwrap_or_default();
        self.unread_bytes -= unread.iter().map(|(_, text)| text.len()).sum::<usize>();
        unread
    }

    /// How many messages are unread in a conversation.
    pub fn unread_in(&self, with: Conversation) -> usize {
        self.unread.get(&with).map_or(0, Vec::len)
    }

    /// How many are unread in all of them.
    pub fn unread_in_all(&self) -> usize {
        self.unread.values().map(Vec::len).sum()
    }
}

impl Client {
    /// Who is logged in; else the failure that says how to.
    pub(super) fn session(&self) -> Result<&Session, Failure> {
        self.session.as_ref().ok_or_else(|| self.refused(Code::NotLoggedIn, &[]))
    }

    /// The same, to change something.
    pub(super) fn session_mut(&mut self) -> Result<&mut Session, Failure> {
        let failure = self.refused(Code::NotLoggedIn, &[]);
        self.session.as_mut().ok_or(failure)
    }

    /// `NAME [N]> `, or `NAME > CONVERSATION [N]: `, N being what is unread elsewhere.
    pub(super) fn prompt(&self) -> String {
        let Some(session) = &self.session else { return "minim> ".to_owned() };
        let name = harmless_name(&session.me.login_name);
        let here = session.open.map_or(0, |with| session.unread_in(with));
        let unread = match session.unread_in_all() - here {
            0 => String::new(),
            number => format!(" [{number}]"),
        };
        match session.open {
            Some(with) => format!("{name} > {}{unread}: ", session.conversation_name(with)),
            None => format!("{name}{unread}> "),
        }
    }
}

/// What the server sent: an answer, or something that happened.
pub fn receive(client: &mut Client, message: FromServer) {
    match message {
        FromServer::Ack { client_no, id, send_time } => {
            answered(client, client_no, Ok((id.unwrap_or_default(), send_time.unwrap_or_default())));
        }

        FromServer::Error { client_no: Some(client_no), refusal } => {
            answered(client, client_no, Err(refusal));
        }

        FromServer::ChatSendMsg { envelope, msg_text } => message_came(client, envelope, msg_text),

        FromServer::ChatSendFile { envelope, stored } => {
            message_came(client, envelope, files::file_text(&stored.file));
        }

        FromServer::Request { .. } => request(client, &message),

        FromServer::FriendState { uid, username, online } => friend_state(client, uid, &username, online),

        FromServer::FriendsChanged { what, uid, login_name, username } => {
            let Some(session) = &mut client.session else { return };
            let person = session.meet(uid, &login_name, &username);
            (person.is_friend, person.is_online) = (what == "added", None); // a FRIEND_STATE follows `added`
            let name = session.username(uid);
            let key = if what == "added" { "friend.added" } else { "friend.removed" };
            client.event(key, &[("USERNAME", &name)]);
        }

        FromServer::GroupChanged { .. } => groups::changed(client, &message),

        FromServer::Broadcast { from, text, .. } => notice(client, &from, text),

        FromServer::Kicked { code, text } => client.kicked(&code, &text),

        FromServer::Ping => client.send(&FromClient::Pong),

        FromServer::Pong => {
            if let Some(connection) = &mut client.connection {
                connection.pings = connection.pings.saturating_sub(1);
            }
        }

        _ => {} // whatever a later version sends
    }
}

/// CHAT_SEND_MSG: somebody wrote. Shown in the open conversation; elsewhere announced, and unread.
fn message_came(client: &mut Client, envelope: Envelope, msg_text: String) {
    let (id, from) = (envelope.id, envelope.from_id);
    let with = match envelope.is_friend {
        true => Conversation { is_friend: true, to_id: from },
        false => Conversation { is_friend: false, to_id: envelope.to_id },
    };
    let words = client.words;
    let Some(session) = &mut client.session else { return };
    if !session.is_first_sight(id) {
        let is_this = |(other, _): &Record| other.id == id;
        let waits = session.unread.get(&with).is_some_and(|waiting| waiting.iter().any(is_this));
        if !waits {
            client.send(&FromClient::ChatReceived { ids: vec![id] }); // shown; the server did not hear so
        }
        return;
    }
    if !session.people.contains_key(&from) {
        session.meet(from, "", &envelope.from_name);
    }
    client.record(with, (envelope.clone(), msg_text.clone()));
    files::fetch_picture(client, &(envelope.clone(), msg_text.clone()));
    let Some(session) = &mut client.session else { return };
    let is_open = session.open == Some(with);
    if is_open {
        let line = message_line(words, session, &envelope, &msg_text);
        if client.show(vec![line]) {
            return; // read, once the screen says that it was written
        }
    }
    let columns = client.look.is_terminal.then_some(client.look.width);
    let Some(session) = &mut client.session else { return };
    let shown = files::shown_text(words, &envelope, &msg_text);
    session.keep_unread(with, (envelope, msg_text));
    if id > session.last_id && !is_open {
        let line = elsewhere_line(words, columns, session, with, from, &shown);
        client.show(vec![line]);
    }
}

/// A message of the open conversation; of the further lines of its text at most `MAX_SHOWN_LINES` are shown.
pub fn message_line(words: Words, session: &Session, envelope: &Envelope, msg_text: &str) -> Line {
    let mut rows = message_rows(words, session, envelope, msg_text);
    let more = rows.len().saturating_sub(1 + MAX_SHOWN_LINES);
    if more > 0 {
        rows.truncate(1 + MAX_SHOWN_LINES);
        rows.push(words.say("moreLines", &[("N", &more)]));
    }
    Line { mark: String::new(), rows, sent: Some(envelope.send_time), id: Some(envelope.id) }
}

/// `NAME: TEXT`, in a group `#GNAME NAME: TEXT`; further lines of the text begin with four spaces.
pub fn message_rows(words: Words, session: &Session, envelope: &Envelope, msg_text: &str) -> Vec<String> {
    let name = session.username(envelope.from_id);
    let name = match envelope.is_friend {
        true => name,
        false => format!("{} {name}", session.group_name(envelope.to_id)),
    };
    let row = |(at, line): (usize, &str)| match at {
        0 => format!("{name}: {}", harmless(line)),
        _ => format!("    {}", harmless(line)),
    };
    files::shown_text(words, envelope, msg_text).split('\n').enumerate().map(row).collect()
}

/// A message of another conversation in one row; at a terminal its text is cut so that it fits.
fn elsewhere_line(
    words: Words,
    columns: Option<usize>,
    session: &Session,
    with: Conversation,
    from: u64,
    msg_text: &str,
) -> Line {
    let (name, who) = (session.username(from), session.conversation_name(with));
    let name = if with.is_friend { name } else { format!("{who} {name}") };
    let unread = session.unread_in(with);
    let row = |text: &str| {
        words.say("elsewhere", &[("NAME", &name), ("TEXT", &text), ("N", &unread), ("WHO", &who)])
    };
    let text = harmless(msg_text);
    match columns {
        Some(columns) => Line::new("* ", &row(&cut(&text, columns.saturating_sub(2 + width(&row("")))))),
        None => Line::new("* ", &row(&text)),
    }
}

/// REQUEST: somebody asks.
fn request(client: &mut Client, request: &FromServer) {
    let (FromServer::Request { id, .. }, Some(session)) = (request, &mut client.session) else {
        return;
    };
    let is_new = session.is_first_sight(*id);
    if let Some(line) = request_line(client.words, session, request).filter(|_| is_new) {
        client.show(vec![line]);
    }
}

/// The line of a request; none for kinds that this version does not have.
pub fn request_line(words: Words, session: &mut Session, request: &FromServer) -> Option<Line> {
    let FromServer::Request { id, from_id, from_name, from_login_name, kind, gname, .. } = request else {
        return None;
    };
    session.meet(*from_id, from_login_name, from_name);
    let (username, name) = (harmless_name(from_name), harmless_name(from_login_name));
    let group = groups::shown_name(gname.as_deref().unwrap_or_default());
    let values: Values = &[("ID", id), ("USERNAME", &username), ("NAME", &name), ("GNAME", &group)];
    let text = words.fill(&format!("request.{kind}"), values)?;
    Some(Line::new("* ", &text))
}

/// BROADCAST: a notice, `from` being a name and an address.
fn notice(client: &mut Client, from: &str, text: String) {
    let (name, address) = from.rsplit_once(" at ").unwrap_or((from, "?"));
    let from = format!("{} at {address}", harmless_name(name));
    client.event("notice", &[("FROM", &from), ("TEXT", &text)]);
    let Some(session) = &mut client.session else { return };
    session.notices.push_back((from, text));
    if session.notices.len() > NOTICES_KEPT {
        session.notices.pop_front();
    }
}

/// FRIEND_STATE: only what is new is said.
fn friend_state(client: &mut Client, uid: u64, username: &str, online: bool) {
    let Some(session) = &mut client.session else { return };
    let before = session.people.get(&uid).cloned();
    if before.as_ref().is_some_and(|person| !person.is_friend) {
        return; // it has passed the FRIENDS_CHANGED that ended the friendship
    }
    let before = before.unwrap_or_default();
    let old_name = session.username(uid);
    let person = session.meet(uid, "", username);
    (person.is_friend, person.is_online) = (true, Some(online));
    let name = session.username(uid);
    let Some(was_online) = before.is_online else { return }; // the first one is no news
    if before.username != username {
        client.event("state.renamed", &[("OLD", &old_name), ("USERNAME", &name)]);
    }
    if was_online != online {
        let key = if online { "state.online" } else { "state.offline" };
        client.event(key, &[("USERNAME", &name)]);
    }
}

/// ACK (id and sendTime) or ERROR: of a text it is the last word, unless the database is away, and the text is no longer kept.
fn answered(client: &mut Client, client_no: u64, answer: Result<(u64, u64), Refusal>) {
    let Some(session) = &mut client.session else { return };
    let place = session.unsent.iter().position(|text| text.request.client_no == client_no);
    let Some(place) = place else { return };
    if answer.as_ref().is_err_and(|refusal| refusal.code == Code::DatabaseDown) {
        session.unsent[place].sent_at = None; // it may be stored all the same: the same request finds out
        session.send_again_at = Some(Instant::now() + patiently(DATABASE_AGAIN, client.config.patience));
        return;
    }
    let Some(text) = session.unsent.remove(place) else { return };
    let ChatSendMsg { is_friend, to_id, msg_type, msg_text, .. } = text.request;
    let with = Conversation { is_friend, to_id };
    let (username, who) = (session.username(to_id), session.conversation_name(with));
    match answer {
        Ok((id, send_time)) => {
            let (from_id, from_name) = (session.me.uid, session.me.username.clone());
            let envelope = Envelope { id, from_id, from_name, is_friend, to_id, send_time, msg_type };
            client.record(with, (envelope, msg_text));
            client.answer("sent", &[("ID", &id)]);
        }
        Err(refusal) => {
            let size = msg_text.len();
            let values: Values = &[("USERNAME", &username), ("WHO", &who), ("GNAME", &who), ("N", &size)];
            let failure = client.explain(refusal.into(), values);
            client.fail(failure);
        }
    }
}
