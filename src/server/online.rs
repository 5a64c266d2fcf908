//! Who is online, the `online_users` of the course brief, and a queue for each towards their socket.
//!
//! Rules: delivering never waits for another's socket: a body goes into a queue that is bounded in frames and bytes, and
//! each client's own thread writes. A client whose queue is full is cut off; what it missed waits in the database. An
//! entry is removed by the connection that made it, or when its session ends. Whether somebody is online is read in the
//! moment in which a friend is told, so the last word is always the true one.
//! Not here: what is pushed to whom (people.rs), the thread that writes (chat.rs).

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::limits::{OUTBOX_BYTES, OUTBOX_FRAMES};
use crate::message::{Envelope, FromServer, User, encode};
use crate::server::files::Download;
use crate::server::sessions::{Session, Sessions};
use crate::socket::Socket;
use crate::store::Stored;

/// What waits for a client's writing thread.
pub enum Item {
    /// One body, shared by all to whom the same is told.
    Body(Arc<Vec<u8>>),
    /// Here stands, for the user just logged in, all that waits in the database.
    Backlog(u64),
    /// Here goes a file.
    Download(Download),
}

impl Item {
    fn body(message: &FromServer) -> Item {
        Item::Body(Arc::new(encode(message)))
    }
}

/// KICKED of a session that a newer LOGIN has ended: code and text.
pub const ELSEWHERE: (&str, &str) = ("loggedInElsewhere", "logged in at another place");
/// KICKED of all sessions of a user whose password is another now, or may be.
pub const PASSWORD_CHANGED: (&str, &str) = ("passwordChanged", "the password was changed: log in again");

/// The queue between whoever has something for a client and the thread that writes to it.
pub struct Outbox {
    /// Held to put in or take out, never while sending.
    queue: Mutex<Queue>,
    changed: Condvar,
    socket: Arc<Socket>,
}

#[derive(Default)]
struct Queue {
    items: VecDeque<Item>,
    bytes: usize,
    /// What waited at LOGIN is still being sent: a message that is stored need not be queued, since that reaches it.
    catching_up: bool,
    /// Something stored was not queued for that reason.
    is_behind: bool,
    /// Nothing more is taken in; what is in is still sent.
    closing: bool,
    /// The reading thread has ended.
    reader_ended: bool,
}

impl Outbox {
    /// An empty queue towards `socket`.
    pub fn new(socket: Arc<Socket>) -> Outbox {
        Outbox { queue: Mutex::default(), changed: Condvar::new(), socket }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a body in, or cuts the client off: it does not read. Never waits. `is_stored`: the database has it too.
    pub fn push(&self, body: Arc<Vec<u8>>, is_stored: bool) {
        let mut queue = self.queue();
        if is_stored && queue.catching_up {
            queue.is_behind = true;
            return;
        }
        if queue.is_full() {
            queue.closing = true;
            queue.items.clear();
            self.changed.notify_all();
            return self.socket.cut();
        }
        self.put(&mut queue, Item::Body(body));
    }

    /// The writing thread has found nothing more that waits. True: so it was, and from here on all is queued. `at_last`: all
    /// is queued in any case, though something was stored since the last look, so that one more look is the last.
    pub fn caught_up(&self, at_last: bool) -> bool {
        let mut queue = self.queue();
        let is_behind = std::mem::take(&mut queue.is_behind);
        queue.catching_up = is_behind && !at_last;
        !is_behind
    }

    /// Puts in an answer to the client's own request; waits for room, so that who asks fast is answered all the same.
    /// False: the connection is closing, or there was no room until `deadline`.
    pub fn answer(&self, message: &FromServer, deadline: Instant) -> bool {
        let mut queue = self.queue();
        while queue.is_full() && !queue.closing {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            queue = self.changed.wait_timeout(queue, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        self.put(&mut queue, Item::body(message))
    }

    /// Puts in an answer, and behind it a file.
    pub fn answer_with_file(&self, message: &FromServer, download: Download) {
        let mut queue = self.queue();
        self.put(&mut queue, Item::body(message));
        self.put(&mut queue, Item::Download(download));
    }

    fn put(&self, queue: &mut Queue, item: Item) -> bool {
        if queue.closing {
            return false;
        }
        if let Item::Body(body) = &item {
            queue.bytes += body.len();
        }
        queue.items.push_back(item);
        self.changed.notify_all();
        true
    }

    /// Puts in a last word, if there is one. Then the writing thread ends our side.
    pub fn close(&self, last_word: Option<&FromServer>) {
        let mut queue = self.queue();
        if let Some(message) = last_word {
            self.put(&mut queue, Item::body(message));
        }
        queue.closing = true;
        self.changed.notify_all();
    }

    /// Whether the last word was said: no request that comes now is done.
    pub fn is_closing(&self) -> bool {
        self.queue().closing
    }

    /// Waits for something to write, and takes all of it. Empty: the last word was taken before.
    pub fn take_all(&self) -> Vec<Item> {
        let mut queue = self.queue();
        while queue.items.is_empty() && !queue.closing {
            queue = self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
        if queue.is_full() {
            self.changed.notify_all(); // an answer may wait for room
        }
        queue.bytes = 0;
        queue.items.drain(..).collect()
    }

    /// Waits until the last word was said, at most for `time`. Whether it was.
    pub fn wait_for_last_word(&self, time: Duration) -> bool {
        let waited = self.changed.wait_timeout_while(self.queue(), time, |queue| !queue.closing);
        waited.unwrap_or_else(PoisonError::into_inner).0.closing
    }

    /// The reading thread says that it has ended.
    pub fn reader_ended(&self) {
        self.queue().reader_ended = true;
        self.changed.notify_all();
    }

    /// Waits until the reading thread has ended, at most for `time`. Whether it has.
    pub fn wait_for_reader(&self, time: Duration) -> bool {
        let waited = self.changed.wait_timeout_while(self.queue(), time, |queue| !queue.reader_ended);
        waited.unwrap_or_else(PoisonError::into_inner).0.reader_ended
    }
}

impl Queue {
    fn is_full(&self) -> bool {
        self.items.len() >= OUTBOX_FRAMES || self.bytes >= OUTBOX_BYTES
    }
}

/// The brief's `online_users`.
#[derive(Default)]
pub struct OnlineUsers {
    /// uid to session and queue. Held to look up and to queue; never during a database call, and of the socket calls only
    /// during `cut`, which does not wait. With it a queue's lock or that of the sessions is taken, never the other way round.
    by_uid: Mutex<HashMap<u64, Online>>,
}

struct Online {
    session: Session,
    outbox: Arc<Outbox>,
}

impl OnlineUsers {
    fn by_uid(&self) -> MutexGuard<'_, HashMap<u64, Online>> {
        self.by_uid.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The user of `session` is online from now on, by `outbox`, into which the answer to LOGIN goes first and what
    /// waited second; all that is pushed from this moment on stands behind. The connection of an earlier session is
    /// closed with a last word; so is this one, if its own session has ended already.
    pub fn enter(&self, session: &Session, sessions: &Sessions, outbox: &Arc<Outbox>, login_ok: &FromServer) {
        let elsewhere = kicked(ELSEWHERE.0, ELSEWHERE.1);
        let mut by_uid = self.by_uid();
        let has_ended = |session: &Session| sessions.use_session(&session.id).is_none();
        let mut queue = outbox.queue();
        outbox.put(&mut queue, Item::body(login_ok));
        if has_ended(session) {
            drop(queue);
            let all_ended = sessions.all_ended_since(session.uid, session.begun);
            let (code, text) = if all_ended { PASSWORD_CHANGED } else { ELSEWHERE };
            let last_word = kicked(code, text);
            outbox.close(Some(&last_word));
            // Whoever ended this session found it without a connection, and the one before it had ended by this.
            if by_uid.get(&session.uid).is_some_and(|earlier| has_ended(&earlier.session)) {
                by_uid.remove(&session.uid).inspect(|earlier| earlier.outbox.close(Some(&last_word)));
            }
            return;
        }
        outbox.put(&mut queue, Item::Backlog(session.uid));
        queue.catching_up = true;
        drop(queue);
        let online = Online { session: session.clone(), outbox: outbox.clone() };
        if let Some(earlier) = by_uid.insert(session.uid, online) {
            earlier.outbox.close(Some(&elsewhere));
        }
    }

    /// The connection of `outbox` has ended. True: its user went offline by that, and was not replaced before.
    pub fn leave(&self, uid: u64, outbox: &Arc<Outbox>) -> bool {
        let mut by_uid = self.by_uid();
        let is_ours = by_uid.get(&uid).is_some_and(|online| Arc::ptr_eq(&online.outbox, outbox));
        is_ours && by_uid.remove(&uid).is_some()
    }

    /// Closes the connection of a session that has ended, with the reason as its last word. True: there was one, and its
    /// user is offline by that.
    pub fn kick(&self, session: &Session, code: &str, text: &str) -> bool {
        let mut by_uid = self.by_uid();
        let is_theirs = |online: &Online| online.session.id == session.id;
        if !by_uid.get(&session.uid).is_some_and(is_theirs) {
            return false;
        }
        let Some(online) = by_uid.remove(&session.uid) else { return false };
        online.outbox.close(Some(&kicked(code, text)));
        true
    }

    /// Delivers a message that is on the disk to whom it is for, each under their own id.
    pub fn deliver_stored(&self, stored: Stored) -> Stored {
        for &(to, id) in &stored.recipients {
            let envelope = Envelope { id, ..stored.envelope.clone() };
            self.deliver(to, &stored.content.clone().pushed(envelope));
        }
        stored
    }

    /// Station 5 of a message: puts it into the queue of a user who is online. Every push goes through `push_all`.
    pub fn deliver(&self, uid: u64, message: &FromServer) {
        let body = Arc::new(encode(message));
        // The backlog brings a message in any case, but a request may be answered before the backlog comes to it.
        let is_stored = matches!(message, FromServer::ChatSendMsg { .. } | FromServer::ChatSendFile { .. });
        push_all(&self.by_uid(), &[uid], &body, is_stored);
    }

    /// Closes all connections, once what is queued was sent.
    pub fn close_all(&self) {
        self.by_uid().values().for_each(|online| online.outbox.close(None));
    }

    /// Tells everybody who is online.
    pub fn deliver_all(&self, message: &FromServer) {
        let body = Arc::new(encode(message));
        let by_uid = self.by_uid();
        let uids: Vec<u64> = by_uid.keys().copied().collect();
        push_all(&by_uid, &uids, &body, false);
    }

    /// Tells each of `friends` the state in which a user is at this moment.
    pub fn deliver_state(&self, user: &User, friends: &[u64]) {
        let by_uid = self.by_uid();
        let (uid, username, online) = (user.uid, user.username.clone(), by_uid.contains_key(&user.uid));
        let body = Arc::new(encode(&FromServer::FriendState { uid, username, online }));
        push_all(&by_uid, friends, &body, false);
    }

    /// Whether a user is online.
    pub fn is_online(&self, uid: u64) -> bool {
        self.by_uid().contains_key(&uid)
    }

    /// The session by which a user is online.
    pub fn session_of(&self, uid: u64) -> Option<Session> {
        self.by_uid().get(&uid).map(|online| online.session.clone())
    }

    /// The uids of all who are online, smallest first.
    pub fn uids(&self) -> Vec<u64> {
        let mut uids: Vec<u64> = self.by_uid().keys().copied().collect();
        uids.sort_unstable();
        uids
    }
}

/// One body into the queues of those of `uids` who are online; all share it.
fn push_all(by_uid: &HashMap<u64, Online>, uids: &[u64], body: &Arc<Vec<u8>>, is_stored: bool) {
    for online in uids.iter().filter_map(|uid| by_uid.get(uid)) {
        online.outbox.push(body.clone(), is_stored);
    }
}

/// The last word to a connection whose session has ended.
pub fn kicked(code: &str, text: &str) -> FromServer {
    FromServer::Kicked { code: code.to_owned(), text: text.to_owned() }
}
