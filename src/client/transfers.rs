//! What is sent and fetched now, and what becomes of it.
//!
//! Rules: each transfer has a thread and a connection of its own (carrier.rs), so the chat never waits for one. One whose
//! connection broke goes on by itself once there is a session, again and again, after pauses that grow while nothing gets on;
//! a cause that stays is said once. Not here: what is typed (files.rs). Start with `begin_transfer`; `told` is what
//! comes of it.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;
use std::time::Instant;

use crate::client::carrier::{Carrier, Download, Shared, Told, Upload};
use crate::client::conversation::Conversation;
use crate::client::files::{self, file_text, shown, why_of};
use crate::client::words::Values;
use crate::client::{Client, Event, Failure, away};
use crate::clock::now_ms;
use crate::harmless::harmless_name;
use crate::limits::{MAX_ACTIVE, PROGRESS_EVERY, patiently};
use crate::message::{self, Code, Envelope, FileUpload, Refusal};

/// A transfer, from its command to its end and beyond.
pub struct Transfer {
    /// `u1` of what is sent, `#9` of what is fetched.
    pub label: String,
    /// What is to be done.
    pub task: Task,
    /// The name, as it is shown; empty until it is known.
    pub shown_name: String,
    /// Bytes.
    pub size: u64,
    /// Of the whole, once it is known.
    md5: String,
    /// How it stands.
    pub state: State,
    /// The thread's number.
    number: u64,
    shared: Arc<Shared>,
    /// Tries since it got on last.
    tries: usize,
    /// Why the last try did not get on, so that it is said once.
    trouble: Option<Code>,
    /// When progress is said next.
    next_progress: Instant,
    /// When its first byte went or came on this connection, and how many had before.
    begun: (Instant, u64),
    /// Nobody asked for it.
    is_automatic: bool,
}

/// One of the two.
#[derive(Clone)]
#[allow(missing_docs)]
pub enum Task {
    Upload(Upload),
    Download(Download),
}

/// How a transfer stands.
#[derive(PartialEq)]
pub enum State {
    /// Its thread is at work.
    UnderWay,
    /// Until this moment, and until there is a connection.
    Waits(Instant),
    /// By `/cancel`.
    Cancelled,
    /// It was said why.
    Failed,
    /// It is on the disk.
    Saved,
}

impl Transfer {
    /// Whether it is not over.
    pub fn is_active(&self) -> bool {
        matches!(self.state, State::UnderWay | State::Waits(_))
    }

    /// 0 to 100; an empty file is over at once, one that is not known yet not at all.
    pub fn percent(&self) -> u64 {
        if self.shown_name.is_empty() {
            return 0;
        }
        let done = u128::from(self.shared.done.load(Relaxed));
        (done * 100).checked_div(u128::from(self.size)).map_or(100, |percent| percent.min(100) as u64)
    }

    /// Ends its thread.
    pub fn cut(&self) {
        self.shared.is_cancelled.store(true, Relaxed);
        self.shared.cut();
    }

    /// Bytes of this connection so far.
    fn got_on(&self) -> u64 {
        self.shared.done.load(Relaxed).saturating_sub(self.begun.1)
    }
}

/// What the thread of a transfer has to say.
pub fn told(client: &mut Client, number: u64, told: Told) {
    let Some(place) = client.transfers.iter().position(|transfer| transfer.number == number) else { return };
    let transfer = &mut client.transfers[place];
    if !transfer.is_active() && !matches!(told, Told::Sent(..) | Told::Saved(_)) {
        return; // cancelled, unless that came too late
    }
    let (label, size) = (transfer.label.clone(), transfer.size);
    match told {
        Told::Begun(file) => {
            transfer.md5 = file.file_md5.clone();
            let is_news = transfer.shown_name.is_empty() && !transfer.is_automatic;
            (transfer.shown_name, transfer.size) = (harmless_name(&file.file_name), file.file_size);
            transfer.begun = (Instant::now(), transfer.shared.done.load(Relaxed));
            if is_news {
                let name = transfer.shown_name.clone();
                client.answer("file.getting", &[("FILE", &name), ("N", &file.file_size), ("ID", &label)]);
            }
        }
        Told::Sent(id, file) => {
            let transfer = client.transfers.remove(place); // it stands in the records from here on
            record_sent(client, &transfer.task, id, &file);
            let values: Values =
                &[("LABEL", &label), ("FILE", &transfer.shown_name), ("ID", &id), ("N", &file.file_size)];
            client.event("file.sent", values);
        }
        Told::Saved(path) => {
            transfer.state = State::Saved;
            let (name, shown) = (transfer.shown_name.clone(), path.display().to_string());
            let values: Values = &[("LABEL", &label), ("FILE", &name), ("PATH", &shown), ("N", &size)];
            client.event("file.saved", values);
            if let Some(format) = files::picture_format(&path) {
                client.event("file.picture", &[("LABEL", &label), ("FILE", &name), ("FORMAT", &format)]);
            }
            arrived(client, place, &path);
        }
        Told::Lost => lost(client, place),
        Told::Refused(refusal) if may_succeed_later(refusal.code) => {
            let is_news = transfer.trouble.replace(refusal.code) != Some(refusal.code);
            if is_news && refusal.code != Code::NotLoggedIn {
                let failure = explain(client, place, refusal);
                client.mention(failure);
            }
            lost(client, place);
        }
        Told::Refused(refusal) => {
            let failure = explain(client, place, refusal);
            failed(client, place, failure);
        }
        Told::Changed => {
            let failure = client.failure("file.changed", &[("FILE", &client.transfers[place].shown_name)]);
            failed(client, place, failure);
        }
        Told::Broken(path, error) => {
            let key = if matches!(transfer.task, Task::Upload(_)) { "cannotRead" } else { "cannotWrite" };
            let (path, why) = (shown(&path), why_of(client.words, error.kind()));
            let failure = client.failure(key, &[("PATH", &path), ("WHY", &why)]);
            failed(client, place, failure);
        }
    }
}

/// Codes of a refusal that is tried again. `notLoggedIn`: the session is an older one, a new one comes.
fn may_succeed_later(code: Code) -> bool {
    matches!(code, Code::DatabaseDown | Code::TooMany | Code::NotLoggedIn)
}

/// A refusal in our words, about this transfer.
fn explain(client: &Client, place: usize, refusal: Refusal) -> Failure {
    let transfer = &client.transfers[place];
    let (mut username, mut who, mut id) = (String::new(), String::new(), 0);
    match (&transfer.task, &client.session) {
        (Task::Upload(Upload { announced, .. }), Some(session)) => {
            let (is_friend, to_id) = (announced.is_friend, announced.to_id);
            who = session.conversation_name(Conversation { is_friend, to_id });
            username = if is_friend { session.username(to_id) } else { String::new() };
        }
        (Task::Download(download), _) => id = download.id,
        _ => {}
    }
    let name =
        if transfer.shown_name.is_empty() { files::name_of(client, id) } else { transfer.shown_name.clone() };
    let values: Values = &[
        ("FILE", &name),
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
    client.transfers[place].state = State::Failed;
    client.fail(failure);
}

/// The connection broke: another one, after a pause that grows.
fn lost(client: &mut Client, place: usize) {
    let transfer = &mut client.transfers[place];
    if transfer.got_on() > 0 {
        (transfer.tries, transfer.trouble) = (0, None);
    }
    let pause = away::pause(transfer.tries, client.config.patience);
    transfer.state = State::Waits(Instant::now() + pause);
    transfer.tries += 1;
}

/// What was sent is recorded, as a text is.
fn record_sent(client: &mut Client, task: &Task, id: u64, file: &message::File) {
    let (Task::Upload(upload), Ok(session)) = (task, client.session()) else { return };
    let FileUpload { is_friend, to_id, ref msg_type, .. } = upload.announced;
    let (from_id, from_name, msg_type) = (session.me.uid, session.me.username.clone(), msg_type.clone());
    let envelope = Envelope { id, from_id, from_name, is_friend, to_id, send_time: now_ms(), msg_type };
    client.record(Conversation { is_friend, to_id }, (envelope, file_text(file)));
}

/// The server and the list of `/files` hear that a file is here.
fn arrived(client: &mut Client, place: usize, path: &Path) {
    let transfer = &client.transfers[place];
    let Task::Download(Download { id, .. }) = transfer.task else { return };
    if let Ok(list) = client.saved_list() {
        let _ = list.append(id, &transfer.md5, path); // what cannot be written is fetched again, if at all
    }
    // Of a file of one's own there is nothing to handle; without a connection it stays as it is.
    let _: Result<(), Failure> = client.http_get("/downloadFileSuccess", &[("msgId", &id.to_string())]);
}

impl Client {
    /// A transfer from here on; the number of its thread.
    pub(super) fn begin_transfer(
        &mut self,
        label: String,
        task: Task,
        shown_name: String,
        size: u64,
        is_automatic: bool,
    ) -> Result<u64, Failure> {
        let now = Instant::now();
        let transfer = Transfer {
            label,
            task,
            shown_name,
            size,
            md5: String::new(),
            state: State::Waits(now),
            number: 0,
            shared: Arc::default(),
            tries: 0,
            trouble: None,
            next_progress: now,
            begun: (now, 0),
            is_automatic,
        };
        if self.has_room() {
            return self.start_transfer(transfer);
        }
        self.transfers.push(transfer);
        Ok(0) // a picture that nobody asked for can wait
    }

    /// Whether one more may be under way.
    pub(super) fn has_room(&self) -> bool {
        self.transfers.iter().filter(|transfer| transfer.state == State::UnderWay).count() < MAX_ACTIVE
    }

    /// Starts the thread of a transfer and keeps it in the list.
    fn start_transfer(&mut self, mut transfer: Transfer) -> Result<u64, Failure> {
        self.threads += 1;
        let number = self.threads;
        (transfer.number, transfer.state) = (number, State::UnderWay);
        transfer.next_progress = Instant::now() + patiently(PROGRESS_EVERY, self.config.patience);
        transfer.begun = (Instant::now(), transfer.shared.done.load(Relaxed));
        let (to_main, of_thread) = (self.to_main.clone(), self.to_main.clone());
        let carrier = Carrier {
            config: self.config.clone(),
            session_id: self.session()?.session_id.clone(),
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
        started.map_err(|error| self.failure("noThread", &[("WHY", &error)]))?;
        self.transfers.push(transfer);
        Ok(number)
    }

    /// The transfer whose thread has this number.
    pub(super) fn transfer(&self, number: u64) -> Option<&Transfer> {
        self.transfers.iter().find(|transfer| transfer.number == number)
    }

    /// When a transfer wants something: to say how far it is, or to be tried again.
    pub(super) fn next_transfer_care(&self) -> Option<Instant> {
        let care = |transfer: &Transfer| match transfer.state {
            State::UnderWay => Some(transfer.next_progress),
            State::Waits(until) => (self.connection.is_some() && self.has_room()).then_some(until),
            _ => None,
        };
        self.transfers.iter().filter_map(care).min()
    }

    /// Does what is due.
    pub(super) fn look_after_transfers(&mut self) {
        let now = Instant::now();
        for place in 0..self.transfers.len() {
            match self.transfers[place].state {
                State::UnderWay if self.transfers[place].next_progress <= now => {
                    self.transfers[place].next_progress =
                        now + patiently(PROGRESS_EVERY, self.config.patience);
                    self.say_progress(place);
                }
                State::Waits(until) if until <= now && self.connection.is_some() && self.has_room() => {
                    let transfer = self.transfers.remove(place);
                    if let Err(failure) = self.start_transfer(transfer) {
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
        let got_on = transfer.got_on();
        if got_on == 0 {
            return; // it is read for its MD5, or stands still
        }
        let rate = (got_on as f64 / transfer.begun.0.elapsed().as_secs_f64().max(0.001)) as u64;
        let rest = transfer.size.saturating_sub(transfer.shared.done.load(Relaxed));
        let left = files::time(rest / rate.max(1));
        let (label, name, percent) =
            (transfer.label.clone(), transfer.shown_name.clone(), transfer.percent());
        let rate = files::rate(rate);
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
        std::mem::take(&mut self.transfers).iter().for_each(Transfer::cut);
        active
    }
}
