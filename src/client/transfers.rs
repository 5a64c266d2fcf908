//! Files and pictures: what is sent and fetched now, what came, and the commands about them.
//!
//! Rules: each transfer has a thread and a connection of its own (carrier.rs), so the chat never waits for one. A transfer
//! whose connection broke goes on by itself once there is a session, again and again; `/cancel` ends it, and what came so far
//! stays for the next `/get`. Small pictures are fetched at once. Not here: names on the disk (downloads.rs).
//! Start with `file` and `get`; `told` is what comes of them.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;
use std::time::Instant;

use crate::client::arguments::{needs, show_rows, take_word};
use crate::client::carrier::{Carrier, Download, Shared, Told, Upload};
use crate::client::conversation::Conversation;
use crate::client::groups::take_conversation;
use crate::client::picture::measure;
use crate::client::records::Record;
use crate::client::words::{Values, Words};
use crate::client::{Client, Event, Failure, away};
use crate::harmless::harmless_name;
use crate::limits::{
    ANSWER_DEADLINE, MAX_ACTIVE, MAX_NUMBER, MAX_PICTURE, PROGRESS_EVERY, RECORDS_LOOKED_AT, SHOWN_FILES,
    patiently,
};
use crate::message::{self, Code, Envelope, Refusal};

/// A transfer, from its command to its end and beyond.
pub struct Transfer {
    /// `u1` of what is sent, `#9` of what is fetched.
    label: String,
    /// The thread's number.
    number: u64,
    task: Task,
    /// The name, as it is shown; empty until it is known.
    shown_name: String,
    size: u64,
    shared: Arc<Shared>,
    state: State,
    tries: usize,
    /// When progress is said next, and how much was over at the beginning.
    next_progress: Instant,
    begun: (Instant, u64),
    /// Nobody asked for it.
    is_automatic: bool,
}

#[derive(Clone)]
enum Task {
    Upload(Upload),
    Download(Download),
}

#[derive(PartialEq)]
enum State {
    UnderWay,
    /// Until this moment, and until there is a connection.
    Waits(Instant),
    /// Over, and how.
    Over(String),
}

/// The text of a file in records: `name/size/MD5`.
pub fn file_text(file: &message::File) -> String {
    format!("{}/{}/{}", file.file_name, file.file_size, file.file_md5)
}

/// Name and size of a file in records; none where this is no file.
fn file_of((envelope, text): &Record) -> Option<(&str, u64)> {
    let mut fields = text.rsplitn(3, '/');
    let (_, size, name) = (fields.next()?, fields.next()?, fields.next()?);
    is_file(envelope).then_some((name, size.parse().ok()?))
}

fn is_file(envelope: &Envelope) -> bool {
    ["FILE", "PICTURE"].contains(&&*envelope.msg_type)
}

/// What is shown of a message: its text, or what file it is.
pub fn shown_text(words: Words, envelope: &Envelope, text: &str) -> String {
    if text.is_empty() || !is_file(envelope) {
        return text.to_owned();
    }
    let record = (envelope.clone(), text.to_owned());
    match file_of(&record) {
        Some((name, size)) => {
            let name = harmless_name(name);
            words.say("file.came", &[("FILE", &name), ("N", &size), ("ID", &envelope.id)])
        }
        None => text.to_owned(),
    }
}

/// `/file PATH [WHO|GROUP]`.
pub fn file(client: &mut Client, rest: &str) -> Result<(), Failure> {
    send(client, rest, "FILE")
}

/// `/picture PATH [WHO|GROUP]`: only what is one.
pub fn picture(client: &mut Client, rest: &str) -> Result<(), Failure> {
    send(client, rest, "PICTURE")
}

fn send(client: &mut Client, rest: &str, msg_type: &str) -> Result<(), Failure> {
    let (path, who) = split_path(rest).ok_or_else(|| needs(client, "PATH"))?;
    let with = match who {
        "" => client.session()?.open.ok_or_else(|| client.failure("noneOpen", &[]))?,
        who => take_conversation(client, who)?.0,
    };
    let path = Path::new(path);
    let shown = harmless_name(&path.to_string_lossy());
    let cannot_read = |client: &Client, why: &dyn std::fmt::Display| {
        Err(client.failure("cannotRead", &[("PATH", &shown), ("WHY", why)]))
    };
    let (size, format) = match look_at(path) {
        Ok(looked_at) => looked_at,
        Err(error) => return cannot_read(client, &error.kind()),
    };
    let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
        return cannot_read(client, &client.words.say("file.noName", &[]));
    };
    if msg_type == "PICTURE" && format.is_none() {
        return Err(client.failure("noPicture", &[("PATH", &shown)]));
    }
    require_room(client)?;
    let client_no = client.client_no();
    client.client_no(); // of FILE_END
    let session = client.session_mut()?;
    session.uploads += 1;
    let label = format!("u{}", session.uploads);
    let who = if with.is_friend { session.username(with.to_id) } else { session.conversation_name(with) };
    let file = message::File { file_name: name.to_owned(), file_size: size, file_md5: String::new() };
    let Conversation { is_friend, to_id } = with;
    let (path, msg_type) = (path.to_owned(), msg_type.to_owned());
    let upload = Upload { path, is_friend, to_id, file, msg_type, client_no };
    let shown_name = harmless_name(name);
    let values: Values = &[("FILE", &shown_name), ("WHO", &who), ("N", &size), ("ID", &label)];
    client.answer("file.sending", values);
    let transfer = Transfer::new(label, Task::Upload(upload), shown_name, size);
    start(client, transfer)
}

/// A path, and to whom it goes. In quotes, or as much of the line as is a file, so that names with spaces need no quotes.
fn split_path(rest: &str) -> Option<(&str, &str)> {
    if rest.starts_with(['"', '“', '”']) {
        return take_word(rest).map(|(path, who)| (path, who.trim()));
    }
    let mut ends: Vec<usize> = rest.match_indices(char::is_whitespace).map(|(at, _)| at).collect();
    ends.push(rest.len());
    let whole = ends.iter().rev().find(|end| Path::new(&rest[..**end]).is_file());
    let end = whole.or(ends.first()).copied().filter(|end| *end > 0)?;
    Some((&rest[..end], rest[end..].trim()))
}

/// The size of a file, and what picture it is.
fn look_at(path: &Path) -> std::io::Result<(u64, Option<String>)> {
    let file = File::open(path)?;
    let about = file.metadata()?;
    if !about.is_file() {
        return Err(std::io::ErrorKind::IsADirectory.into());
    }
    let mut octets = Vec::new();
    file.take(MAX_PICTURE as u64).read_to_end(&mut octets)?;
    let format = measure(&octets).map(|(format, width, height)| format!("{format}, {width}x{height}"));
    Ok((about.len(), format))
}

fn require_room(client: &Client) -> Result<(), Failure> {
    let is_full = client.transfers.iter().filter(|transfer| transfer.is_active()).count() >= MAX_ACTIVE;
    if is_full { Err(client.refused(Code::TooMany, &[])) } else { Ok(()) }
}

/// `/get ID [FOLDER]`: the answer says what file it is, once the server has said so.
pub fn get(client: &mut Client, rest: &str) -> Result<(), Failure> {
    let (id, folder) = take_word(rest).ok_or_else(|| needs(client, "ID"))?;
    let id: u64 = id.trim_start_matches('#').parse().map_err(|_| needs(client, "ID"))?;
    let folder = match take_word(folder) {
        None => client.config.data_dir.join("downloads"),
        Some((quoted, "")) => PathBuf::from(quoted),
        Some(_) => PathBuf::from(folder.trim()),
    };
    let label = format!("#{id}");
    if client.transfers.iter().any(|transfer| transfer.label == label && transfer.is_active()) {
        return Err(client.failure("file.again", &[("ID", &label)]));
    }
    require_room(client)?;
    fetch(client, id, folder, false)?;
    let place = client.transfers.len() - 1;
    let number = client.transfers[place].number;
    client.wait_while(ANSWER_DEADLINE, |client| {
        let waits = |transfer: &Transfer| transfer.number == number && transfer.is_active();
        client.transfers.iter().any(|transfer| waits(transfer) && transfer.shown_name.is_empty())
    });
    Ok(())
}

/// Fetches a small picture that has just come, unless it was before.
pub fn fetch_picture(client: &mut Client, record: &Record) {
    let small = file_of(record).is_some_and(|(_, size)| size <= MAX_PICTURE as u64);
    let Ok(session) = client.session() else { return };
    let (id, is_mine) = (record.0.id, record.0.from_id == session.me.uid);
    if record.0.msg_type == "PICTURE"
        && small
        && !is_mine
        && require_room(client).is_ok()
        && !is_saved(client, id)
    {
        let folder = client.config.data_dir.join("downloads");
        let _ = fetch(client, id, folder, true); // else /get
    }
}

fn fetch(client: &mut Client, id: u64, folder: PathBuf, is_automatic: bool) -> Result<(), Failure> {
    let server = format!("{}_{}", client.config.server_ip, client.config.chat_port).replace(':', "_");
    let part = folder.join(format!(".{server}-{}-{id}.part", client.session()?.me.uid));
    let download = Download { id, folder, part };
    let mut transfer = Transfer::new(format!("#{id}"), Task::Download(download), String::new(), 0);
    transfer.is_automatic = is_automatic;
    start(client, transfer)
}

impl Transfer {
    fn new(label: String, task: Task, shown_name: String, size: u64) -> Transfer {
        let now = Instant::now();
        Transfer {
            label,
            number: 0,
            task,
            shown_name,
            size,
            shared: Arc::default(),
            state: State::UnderWay,
            tries: 0,
            next_progress: now,
            begun: (now, 0),
            is_automatic: false,
        }
    }

    fn is_active(&self) -> bool {
        !matches!(self.state, State::Over(_))
    }

    /// 0 to 100; an empty file is over at once.
    fn percent(&self) -> u64 {
        let done = u128::from(self.shared.done.load(Relaxed));
        (done * 100).checked_div(u128::from(self.size)).map_or(100, |percent| percent.min(100) as u64)
    }

    /// Bytes a second since it began or went on.
    fn rate(&self) -> u64 {
        let done = self.shared.done.load(Relaxed).saturating_sub(self.begun.1);
        (done as f64 / self.begun.0.elapsed().as_secs_f64().max(0.001)) as u64
    }
}

/// Starts the thread of a transfer and keeps it in the list.
fn start(client: &mut Client, mut transfer: Transfer) -> Result<(), Failure> {
    client.threads += 1;
    transfer.number = client.threads;
    let number = transfer.number;
    let now = Instant::now();
    transfer.state = State::UnderWay;
    transfer.next_progress = now + patiently(PROGRESS_EVERY, client.config.patience);
    transfer.begun = (now, transfer.shared.done.load(Relaxed));
    let to_main = client.to_main.clone();
    let of_thread = to_main.clone();
    let carrier = Carrier {
        config: client.config.clone(),
        session_id: client.session()?.session_id.clone(),
        name: format!("F{number}"),
        shared: transfer.shared.clone(),
        tell: Box::new(move |told| _ = of_thread.send(Event::Transfer(number, told))),
    };
    let task = transfer.task.clone();
    let started = thread::Builder::new().name(format!("file {number}")).spawn(move || {
        let told = match &task {
            Task::Upload(upload) => carrier.upload(upload),
            Task::Download(download) => carrier.download(download),
        };
        let _ = to_main.send(Event::Transfer(number, told)); // an error: the client has ended
    });
    started.map_err(|error| client.failure("noThread", &[("WHY", &error)]))?;
    client.transfers.push(transfer);
    Ok(())
}

/// What the thread of a transfer has to say.
pub fn told(client: &mut Client, number: u64, told: Told) {
    let Some(place) = client.transfers.iter().position(|transfer| transfer.number == number) else { return };
    let transfer = &mut client.transfers[place];
    if !transfer.is_active() {
        return; // cancelled
    }
    let (label, name, size) = (transfer.label.clone(), transfer.shown_name.clone(), transfer.size);
    match told {
        Told::Begun(file) => {
            let is_first = transfer.shown_name.is_empty();
            (transfer.shown_name, transfer.size) = (harmless_name(&file.file_name), file.file_size);
            transfer.begun = (Instant::now(), transfer.shared.done.load(Relaxed));
            let (name, size, is_automatic) =
                (transfer.shown_name.clone(), transfer.size, transfer.is_automatic);
            if is_first && !is_automatic {
                client.answer("file.getting", &[("FILE", &name), ("N", &size), ("ID", &label)]);
            }
        }
        Told::Sent(id, file) => {
            let size = file.file_size;
            record_sent(client, place, id, &file);
            client.transfers.remove(place); // it stands in the records now
            let values: Values = &[("LABEL", &label), ("FILE", &name), ("ID", &id), ("N", &size)];
            client.event("file.sent", values);
        }
        Told::Saved(path) => {
            let shown = path.display().to_string();
            transfer.state = State::Over(client.words.say("file.state.saved", &[("PATH", &shown)]));
            let values: Values = &[("LABEL", &label), ("FILE", &name), ("PATH", &shown), ("N", &size)];
            client.event("file.saved", values);
            if let Ok((_, Some(format))) = look_at(&path) {
                client.event("file.picture", &[("LABEL", &label), ("FILE", &name), ("FORMAT", &format)]);
            }
            arrived(client, &label, &path);
        }
        Told::Lost => lost(client, place),
        Told::Refused(refusal) if is_passing(refusal.code) => lost(client, place),
        Told::Refused(refusal) => {
            let failure = explain(client, &client.transfers[place], refusal);
            failed(client, place, failure);
        }
        Told::Changed => {
            let failure = client.failure("file.changed", &[("FILE", &name)]);
            failed(client, place, failure);
        }
        Told::Broken(path, error) => {
            let key = if label.starts_with('u') { "cannotRead" } else { "cannotWrite" };
            let failure = client.failure(key, &[("PATH", &path.display()), ("WHY", &error.kind())]);
            failed(client, place, failure);
        }
    }
}

/// What may be otherwise at the next try.
fn is_passing(code: Code) -> bool {
    matches!(code, Code::DatabaseDown | Code::TooMany | Code::NotLoggedIn)
}

/// A refusal in our words, about this transfer.
fn explain(client: &Client, transfer: &Transfer, refusal: Refusal) -> Failure {
    let (mut username, mut who) = (String::new(), String::new());
    if let (Task::Upload(Upload { is_friend, to_id, .. }), Some(session)) = (&transfer.task, &client.session)
    {
        who = session.conversation_name(Conversation { is_friend: *is_friend, to_id: *to_id });
        username = if *is_friend { session.username(*to_id) } else { String::new() };
    }
    let id = transfer.label.trim_start_matches('#');
    let values: Values = &[
        ("FILE", &transfer.shown_name),
        ("ID", &id),
        ("USERNAME", &username),
        ("WHO", &who),
        ("GNAME", &who),
        ("N", &transfer.size),
    ];
    client.explain(refusal.into(), values)
}

/// It is over, and not as it should be.
fn failed(client: &mut Client, place: usize, failure: Failure) {
    client.transfers[place].state = State::Over(client.words.say("file.state.failed", &[]));
    client.fail(failure);
}

/// The connection broke: another one, after a pause that grows.
fn lost(client: &mut Client, place: usize) {
    let transfer = &mut client.transfers[place];
    if transfer.shared.done.load(Relaxed) > transfer.begun.1 {
        transfer.tries = 0; // it got on
    }
    let pause = away::pause(transfer.tries, client.config.patience);
    transfer.state = State::Waits(Instant::now() + pause);
    transfer.tries += 1;
}

/// What was sent is recorded, as a text is.
fn record_sent(client: &mut Client, place: usize, id: u64, file: &message::File) {
    let (Task::Upload(upload), Ok(session)) = (&client.transfers[place].task, client.session()) else {
        return;
    };
    let with = Conversation { is_friend: upload.is_friend, to_id: upload.to_id };
    let (from_id, from_name, msg_type) =
        (session.me.uid, session.me.username.clone(), upload.msg_type.clone());
    let (is_friend, to_id, send_time) = (with.is_friend, with.to_id, crate::clock::now_ms());
    let envelope = Envelope { id, from_id, from_name, is_friend, to_id, send_time, msg_type };
    client.record(with, (envelope, file_text(file)));
}

/// The server and the list of `/files` hear that a file is here.
fn arrived(client: &mut Client, label: &str, path: &Path) {
    let id = label.trim_start_matches('#').to_owned();
    // Of a file of one's own there is nothing to handle; without a connection it stays as it is.
    let _: Result<(), Failure> = client.http_get("/downloadFileSuccess", &[("msgId", &id)]);
    if let Ok(list) = client.saved_list() {
        let _ = list.append(&id, path); // what cannot be written is fetched again, if at all
    }
}

fn is_saved(client: &Client, id: u64) -> bool {
    client.saved_list().is_ok_and(|list| list.read().contains_key(&id))
}

impl Client {
    /// When a transfer wants something: to say how far it is, or to be tried again.
    pub(super) fn next_transfer_care(&self) -> Option<Instant> {
        let care = |transfer: &Transfer| match transfer.state {
            State::UnderWay => Some(transfer.next_progress),
            State::Waits(until) => self.connection.is_some().then_some(until),
            State::Over(_) => None,
        };
        self.transfers.iter().filter_map(care).min()
    }

    /// Does what is due.
    pub(super) fn look_after_transfers(&mut self) {
        let now = Instant::now();
        for place in 0..self.transfers.len() {
            let transfer = &mut self.transfers[place];
            match transfer.state {
                State::UnderWay if transfer.next_progress <= now => {
                    transfer.next_progress = now + patiently(PROGRESS_EVERY, self.config.patience);
                    self.say_progress(place);
                }
                State::Waits(until) if until <= now && self.connection.is_some() => {
                    let transfer = self.transfers.remove(place);
                    if let Err(failure) = start(self, transfer) {
                        self.fail(failure);
                    }
                    return; // the list is another one now
                }
                _ => {}
            }
        }
    }

    fn say_progress(&mut self, place: usize) {
        let transfer = &self.transfers[place];
        if transfer.shared.done.load(Relaxed) == transfer.begun.1 {
            return; // it is read for its MD5, or stands still
        }
        let (label, name, percent) =
            (transfer.label.clone(), transfer.shown_name.clone(), transfer.percent());
        let rate = transfer.rate();
        let rest = transfer.size.saturating_sub(transfer.shared.done.load(Relaxed));
        let left = rest.checked_div(rate).map_or("?".to_owned(), time);
        let rate = shown_rate(rate);
        let values: Values =
            &[("ID", &label), ("FILE", &name), ("PERCENT", &percent), ("RATE", &rate), ("LEFT", &left)];
        self.event("file.progress", values);
    }

    /// How many are not over.
    pub(super) fn active_transfers(&self) -> usize {
        self.transfers.iter().filter(|transfer| transfer.is_active()).count()
    }

    /// Ends all of them, with the session: how many were not over.
    pub(super) fn drop_transfers(&mut self) -> usize {
        let active = self.active_transfers();
        for transfer in std::mem::take(&mut self.transfers) {
            transfer.shared.is_cancelled.store(true, Relaxed);
            transfer.shared.cut();
        }
        active
    }
}

/// `4.1 MB/s`, `12 kB/s`.
fn shown_rate(rate: u64) -> String {
    match rate {
        1_000_000.. => format!("{:.1} MB/s", rate as f64 / 1e6),
        _ => format!("{} kB/s", rate / 1000),
    }
}

/// `2 s`, `3 min`, `2 h`.
fn time(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        _ => format!("{} h", seconds / 3600),
    }
}

/// `/cancel ID`.
pub fn cancel(client: &mut Client, rest: &str) -> Result<(), Failure> {
    let word = rest.trim();
    if word.is_empty() {
        return Err(needs(client, "ID"));
    }
    let is_meant = |transfer: &&mut Transfer| {
        transfer.is_active() && transfer.label.trim_start_matches('#') == word.trim_start_matches('#')
    };
    let Some(transfer) = client.transfers.iter_mut().find(is_meant) else {
        return Err(client.failure("file.none", &[("ID", &word)]));
    };
    transfer.state = State::Over(client.words.say("file.state.cancelled", &[]));
    transfer.shared.is_cancelled.store(true, Relaxed);
    transfer.shared.cut();
    let (name, percent) = (transfer.shown_name.clone(), transfer.percent());
    client.answer("file.cancelled", &[("FILE", &name), ("PERCENT", &percent)]);
    Ok(())
}

/// `/files`: what is and was under way in this session, and what else came, the newest `SHOWN_FILES`.
pub fn files(client: &mut Client, _: &str) -> Result<(), Failure> {
    let words = client.words;
    let saved = client.saved_list()?.read();
    let session = client.session()?;
    let friends = session.people.keys().map(|uid| Conversation { is_friend: true, to_id: *uid });
    let groups = session.groups.keys().map(|g_id| Conversation { is_friend: false, to_id: *g_id });
    let conversations: Vec<Conversation> = friends.chain(groups).collect();
    let mut rows = BTreeMap::new();
    let unread = session.unread.values().flatten().cloned().collect::<Vec<_>>();
    let mut records = unread;
    for with in conversations {
        records.extend(client.log_of(with)?.newest(MAX_NUMBER, RECORDS_LOOKED_AT).unwrap_or_default());
    }
    for record in &records {
        let Some((name, size)) = file_of(record) else { continue };
        let id = record.0.id;
        let state = match saved.get(&id) {
            Some(path) => words.say("file.state.saved", &[("PATH", &path.display())]),
            None if record.0.from_id == session.me.uid => words.say("file.state.sent", &[("ID", &id)]),
            None => words.say("file.state.waits", &[]),
        };
        let from = session.username(record.0.from_id);
        let size = words.say("file.size", &[("N", &size)]);
        rows.insert(id, vec![format!("#{id}"), harmless_name(name), size, from, state]);
    }
    let too_many = rows.len().saturating_sub(SHOWN_FILES);
    let mut rows: Vec<Vec<String>> = rows.into_values().skip(too_many).collect();
    let me = session.username(session.me.uid);
    for transfer in &client.transfers {
        let state = match &transfer.state {
            State::Over(how) => how.clone(),
            State::UnderWay => format!("{}%", transfer.percent()),
            State::Waits(_) => words.say("file.state.lost", &[("PERCENT", &transfer.percent())]),
        };
        let size = words.say("file.size", &[("N", &transfer.size)]);
        if let Some(row) = rows.iter_mut().find(|row| row[0] == transfer.label) {
            row[4] = state;
        } else if transfer.is_active() || transfer.label.starts_with('u') {
            rows.push(vec![transfer.label.clone(), transfer.shown_name.clone(), size, me.clone(), state]);
        }
    }
    let number = rows.len();
    show_rows(client, &rows);
    client.answer("files", &[("N", &number)]);
    Ok(())
}
