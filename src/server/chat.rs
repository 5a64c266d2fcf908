//! One chat client from hello to goodbye: the thread that reads its requests, and the thread that writes to it.
//!
//! Rules: requests are done and answered in the order in which they come. A message is stored, then delivered, then
//! acknowledged. Whatever a client does wrong costs its own connection at the most. Who says a last word ends its own
//! side and reads on for a moment. Not here: what a request's fields may be (fields.rs), who is friends with whom
//! (people.rs). Start with `serve`; the way of one message is `chat_send_msg`.

use std::io::Read;
use std::sync::Arc;
use std::time::Instant;

use crate::fields;
use crate::http::Response;
use crate::limits::{
    BACKLOG_PAGE, BACKLOG_ROUNDS, DATABASE_AGAIN, FILE_CHUNK_SIZE, IDLE_DEADLINE, LINGER_DEADLINE,
    LOGIN_DEADLINE, MAX_STRANGERS, MAX_STRANGERS_EACH, PING_AFTER, patiently,
};
use crate::message::{ChatSendMsg, Code, FromClient, FromServer, Refusal, User, encode};
use crate::server::files::{Download, Transfer};
use crate::server::online::{Item, Outbox};
use crate::server::sessions::Session;
use crate::server::{Seat, Server, files, people, spawn};
use crate::socket::Socket;
use crate::store::{Begun, Store, Stored, Waiting};
use crate::trace::Note;
use crate::wire::{self, Receiver, Sender, hello_as_server};

/// One client, as its reading thread knows it.
struct Client {
    server: Arc<Server>,
    socket: Arc<Socket>,
    receiver: Receiver,
    outbox: Arc<Outbox>,
    /// When a connection without LOGIN ends.
    login_deadline: Instant,
    /// Until LOGIN or RESUME.
    stranger: Option<Seat>,
    /// Whose connection this is, after LOGIN.
    user: Option<(User, Session)>,
    /// What it is about, after RESUME.
    transfer: Option<Transfer>,
    /// Bytes that had been sent when that was last looked at.
    sent: u64,
    /// When the store last let it go on.
    busy_until: Instant,
    /// Messages on their way to the disk, in order, each with its clientNo: those that came together.
    begun: Vec<(u64, Begun<Stored>)>,
    /// CHAT_RECEIVEDs on their way to the disk.
    received: Vec<Begun<()>>,
}

/// The whole life of connection number `number`, on its reading thread.
pub fn serve(server: Arc<Server>, socket: Socket, number: u64) {
    let address = socket.peer().ip();
    let Some(stranger) = server.strangers.take(address, MAX_STRANGERS, MAX_STRANGERS_EACH) else { return };
    let socket = Arc::new(socket);
    let login_deadline = server.config.deadline(LOGIN_DEADLINE);
    let hello = hello_as_server(&socket, server.config.passphrase.as_bytes(), login_deadline);
    let (sender, receiver) = match hello {
        Ok(pair) => pair,
        Err(wire::Error::NotMinim(came)) if looks_like_http(&came) => {
            socket.note(&Note::new("hello: HTTP, which has a port of its own"));
            let text = "this is minim's chat port; HTTP has another, see --httpPort";
            let response = Response::error(400, "badRequest", text, None);
            return socket
                .last_word(&response.to_octets(false, true), server.config.deadline(LINGER_DEADLINE));
        }
        Err(wire::Error::NotMinim(came)) if came.is_empty() => {
            return socket.note(&Note::new("hello: the peer closed"));
        }
        Err(error) => return socket.note(&Note::new(format!("hello: {error}; the peer is told nothing"))),
    };
    let outbox = Arc::new(Outbox::new(socket.clone()));
    let seat = server.clients.take(address, server.config.max_clients, server.config.max_clients);
    if seat.is_none() {
        let full = Refusal::new(Code::TooMany, "the server is full, try again later");
        outbox.close(Some(&FromServer::Error { client_no: None, refusal: full }));
    }
    let writer = Writer { server: server.clone(), socket: socket.clone(), sender, outbox: outbox.clone() };
    let started = spawn(format!("write {number}"), move || writer.write_all(seat));
    if let Err(error) = started {
        return server.troubles.warn(&format!("no thread for a client: {error}"));
    }
    let mut client = Client {
        server,
        socket,
        receiver,
        outbox,
        login_deadline,
        stranger: Some(stranger),
        user: None,
        transfer: None,
        sent: 0,
        busy_until: Instant::now(),
        begun: Vec::new(),
        received: Vec::new(),
    };
    client.read_all();
}

/// Whether the first bytes are, or could become, a method and a space.
fn looks_like_http(came: &[u8]) -> bool {
    let method = came.iter().take_while(|byte| byte.is_ascii_uppercase()).count();
    let is_method = method > 0 && came.get(method).is_none_or(|&byte| byte == b' ');
    is_method && !wire::MAGIC.starts_with(came)
}

impl Client {
    /// Reads requests and answers them until the client closes, breaks the protocol, or is silent for too long.
    fn read_all(&mut self) {
        while let Some(body) = self.next_body() {
            if self.outbox.is_closing() {
                continue; // nothing is done after the last word; the writing thread ends this soon
            }
            let (json, raw) =
                if self.transfer.is_some() { fields::split_chunk(&body) } else { (&body[..], &[][..]) };
            let (client_no, request) = fields::parse(json);
            let goes_on = match request.and_then(|request| self.handle(request, raw)) {
                Ok(Some(answer)) => self.answer(answer),
                Ok(None) => true,
                Err(refusal) => self.answer(FromServer::Error { client_no, refusal }),
            };
            if !goes_on && !self.outbox.is_closing() {
                break;
            }
        }
    }

    /// The next body; none when the connection is over. Silence is met with a PING first.
    fn next_body(&mut self) -> Option<Vec<u8>> {
        let patience = self.server.config.patience;
        let mut pinged_at = None; // the last byte before the silence in which we sent PING
        loop {
            if !self.receiver.has_more() && !self.finish_messages() && !self.outbox.is_closing() {
                return None;
            }
            let last_byte = self.receiver.last_byte().max(self.busy_until); // who waits for us is not silent
            let ping_is_due = self.user.is_some() && pinged_at != Some(last_byte);
            let deadline = match self.stranger {
                Some(_) => self.login_deadline,
                None if ping_is_due => last_byte + patiently(PING_AFTER, patience),
                None => last_byte + patiently(IDLE_DEADLINE, patience),
            };
            let received = self.receiver.receive(&self.socket, deadline);
            match received {
                Ok(body) => {
                    body.iter().for_each(|body| self.server.traffic.came(body.len()));
                    return body;
                }
                Err(error) if error.is_timeout() && self.has_sent() => self.busy_until = Instant::now(),
                Err(error) if error.is_timeout() && ping_is_due => {
                    pinged_at = Some(last_byte);
                    self.answer(FromServer::Ping);
                }
                Err(_) => {
                    self.socket.cut(); // whatever it was, the peer is told nothing
                    return None;
                }
            }
        }
    }

    /// Whether some of a file was sent since this was last asked: who takes that is not silent.
    fn has_sent(&mut self) -> bool {
        let sent = self.socket.bytes().0;
        self.transfer.is_some() && std::mem::replace(&mut self.sent, sent) < sent
    }

    /// Queues an answer behind those that are due before. False: the connection is over.
    fn answer(&mut self, message: FromServer) -> bool {
        self.finish_messages() && self.outbox.answer(&message, self.server.config.deadline(IDLE_DEADLINE))
    }

    /// Does one request: its answer, if it has one.
    fn handle(&mut self, request: FromClient, raw: &[u8]) -> Result<Option<FromServer>, Refusal> {
        if let Some(transfer) = &mut self.transfer {
            let answer = transfer.handle(&self.server, &self.socket, request, raw);
            self.busy_until = Instant::now(); // a long part takes a while to be looked through
            return answer;
        }
        let uid = self.use_session(); // whatever is asked, PONG too
        match request {
            FromClient::Register { client_no, user } => {
                let uid = people::register(&self.server, &user, self.socket.peer().ip())?;
                Ok(Some(FromServer::Ack { client_no, id: Some(uid), send_time: None }))
            }

            FromClient::Login { client_no, login_name, pwd } => self.login(client_no, &login_name, &pwd),

            FromClient::Logout { client_no } => uid.and_then(|_| self.logout(client_no)),

            FromClient::ChatSendMsg(request) => self.chat_send_msg(uid?, request),

            FromClient::ChatReceived { ids } => self.chat_received(uid?, &ids),

            FromClient::Ping => Ok(Some(FromServer::Pong)),

            FromClient::Pong => Ok(None),

            FromClient::Resume { client_no, session_id } => self.resume(client_no, &session_id),

            FromClient::FileUpload(_)
            | FromClient::FileDownload { .. }
            | FromClient::FileChunk { .. }
            | FromClient::FileEnd { .. } => Err(Refusal::bad("type: files go over a connection of RESUME")),
        }
    }

    /// The uid of the user whose connection this is, and whose session is used by that; `notLoggedIn`.
    fn use_session(&self) -> Result<u64, Refusal> {
        let id = self.user.as_ref().map(|(_, session)| &session.id);
        let session = id.and_then(|id| self.server.sessions.use_session(id));
        session.map(|session| session.uid).ok_or_else(|| Refusal::new(Code::NotLoggedIn, "LOGIN comes first"))
    }

    /// LOGIN: from here on the user is online. The answer and what waited go into the queue in one step with that, so
    /// that nothing which arrives now gets before them or is lost between.
    fn login(&mut self, client_no: u64, login_name: &str, pwd: &str) -> Result<Option<FromServer>, Refusal> {
        if self.user.is_some() {
            return Err(Refusal::bad("type: this connection is logged in already"));
        }
        let address = self.socket.peer().ip();
        let (user, checked) = people::check_password(&self.server, login_name, pwd, address)?;
        let last_id = self.server.store.last_unhandled(user.uid)?;
        let session = people::begin_session(&self.server, user.uid, true, checked)?;
        let (session_id, http_port) = (session.id.clone(), self.server.http_port);
        let login_ok = FromServer::LoginOk { client_no, user: user.clone(), session_id, http_port, last_id };

        self.receiver.after_login();
        self.stranger = None;
        self.server.online_users.enter(&session, &self.server.sessions, &self.outbox, &login_ok);
        people::tell_state(&self.server, user.uid);
        self.user = Some((user, session));
        Ok(None)
    }

    /// RESUME: this connection transfers files of a user who is logged in on another.
    fn resume(&mut self, client_no: u64, session_id: &str) -> Result<Option<FromServer>, Refusal> {
        if self.user.is_some() {
            return Err(Refusal::bad("type: this connection is logged in already"));
        }
        self.transfer = Some(Transfer::begin(&self.server, session_id, &self.outbox)?);
        self.receiver.after_login();
        self.stranger = None;
        Ok(Some(FromServer::Ack { client_no, id: None, send_time: None }))
    }

    /// LOGOUT: the session ends; the ACK is the last word.
    fn logout(&mut self, client_no: u64) -> Result<Option<FromServer>, Refusal> {
        self.finish_messages();
        self.outbox.close(Some(&FromServer::Ack { client_no, id: None, send_time: None }));
        if let Some((_, session)) = &self.user {
            self.server.sessions.end(&session.id);
            self.server.transfers.kick(session, "loggedOut", "logged out");
        }
        self.go_offline();
        Ok(None)
    }

    /// The user is offline, unless another connection of theirs has taken the place.
    fn go_offline(&self) {
        if let Some((user, _)) = &self.user
            && self.server.online_users.leave(user.uid, &self.outbox)
        {
            people::tell_state(&self.server, user.uid);
        }
    }

    /// CHAT_RECEIVED: these are not sent again. It begins as a message does: with a flush of the disk for each, who takes many
    /// messages one by one would fall behind, and hear ever later what became of their own.
    fn chat_received(&mut self, uid: u64, ids: &[u64]) -> Result<Option<FromServer>, Refusal> {
        if !ids.is_empty() {
            self.received.push(self.server.store.mark_received(uid, ids));
        }
        Ok(None)
    }

    /// Station 3 of a message, CHAT_SEND_MSG: store, deliver, acknowledge. In this order: what is acknowledged is on the
    /// disk. Here it begins; `next_body` has `finish_messages` do the rest when all that came together has begun.
    fn chat_send_msg(&mut self, from: u64, request: ChatSendMsg) -> Result<Option<FromServer>, Refusal> {
        self.begun.push((request.client_no, self.server.store.begin_message(from, request.into())));
        Ok(None)
    }

    /// Waits for what was begun, delivers all of it, then answers it, in order: who does not read answers holds up nobody.
    /// False: the connection is over.
    fn finish_messages(&mut self) -> bool {
        let mut answers = Vec::new();
        for (client_no, begun) in std::mem::take(&mut self.begun) {
            answers.push(match self.server.store.finish(begun) {
                Ok(stored) => {
                    let Stored { envelope, .. } = self.server.online_users.deliver_stored(stored);
                    FromServer::Ack { client_no, id: Some(envelope.id), send_time: Some(envelope.send_time) }
                }
                // notFriends, noSuchUser, databaseDown …
                Err(refusal) => {
                    if refusal.code == Code::DiskFull {
                        files::give_room_back(&self.server);
                    }
                    FromServer::Error { client_no: Some(client_no), refusal }
                }
            });
            self.busy_until = Instant::now();
        }
        for begun in std::mem::take(&mut self.received) {
            let refused = self.server.store.finish(begun).err();
            answers.extend(refused.map(|refusal| FromServer::Error { client_no: None, refusal }));
            self.busy_until = Instant::now();
        }
        answers.iter().all(|answer| self.outbox.answer(answer, self.server.config.deadline(IDLE_DEADLINE)))
    }
}

/// However the reading thread ends, also by a panic: the user is offline, and the writing thread hears of it.
impl Drop for Client {
    fn drop(&mut self) {
        self.finish_messages(); // what is stored is delivered, whatever became of the sender
        self.outbox.close(None);
        self.outbox.reader_ended();
        self.go_offline();
        if let Some(transfer) = &self.transfer {
            transfer.end(&self.server);
        }
    }
}

/// The thread that writes to one client: the only one that sends on its socket after the hello.
struct Writer {
    server: Arc<Server>,
    socket: Arc<Socket>,
    sender: Sender,
    outbox: Arc<Outbox>,
}

impl Writer {
    /// Sends what is queued until the last word, then ends our side and leaves the client a moment to read it.
    fn write_all(mut self, seat: Option<Seat>) {
        let mut is_over = false;
        if self.write_queue().is_some() {
            self.socket.end();
            is_over = self.outbox.wait_for_reader(patiently(LINGER_DEADLINE, self.server.config.patience));
        }
        self.outbox.close(None);
        if !is_over {
            self.socket.cut(); // wakes the thread that reads
        }
        drop(seat); // only now there is room for another client
    }

    /// None: the socket failed.
    fn write_queue(&mut self) -> Option<()> {
        loop {
            let items = self.outbox.take_all();
            if items.is_empty() {
                return Some(());
            }
            let mut frames = Vec::new();
            for item in items {
                match item {
                    Item::Body(body) => frames.extend(self.seal(&body)),
                    Item::Download(download) => {
                        self.send(&std::mem::take(&mut frames))?;
                        self.send_file(download)?;
                    }
                    Item::Backlog(uid) => {
                        self.send(&std::mem::take(&mut frames))?;
                        self.send_backlog(uid)?;
                    }
                }
            }
            self.send(&frames)?;
        }
    }

    /// Many frames in one call: a segment on the wire can hold several.
    fn send(&mut self, frames: &[u8]) -> Option<()> {
        self.sender.send_sealed(&self.socket, frames, self.server.config.deadline(IDLE_DEADLINE)).ok()
    }

    /// All that waits for a user, by pages from the database to the socket, so that any number can wait: messages, then
    /// requests, each in order of id, and what came of either meanwhile, `BACKLOG_ROUNDS` times; last the states of the
    /// friends. A last word ends it.
    fn send_backlog(&mut self, uid: u64) -> Option<()> {
        let (mut last_message, mut last_request) = (0, 0);
        for round in 1.. {
            last_message = self.send_waiting(uid, Waiting::Messages, last_message)?;
            last_request = self.send_waiting(uid, Waiting::Requests, last_request)?;
            if self.outbox.is_closing() || self.outbox.caught_up(round >= BACKLOG_ROUNDS) {
                break;
            }
        }
        for User { uid, username, .. } in self.read(|store| store.friends(uid)).unwrap_or_default() {
            let online = self.server.online_users.is_online(uid);
            self.send_message(&FromServer::FriendState { uid, username, online })?;
        }
        Some(())
    }

    /// All of one kind above `last_id`; the last id that was sent.
    fn send_waiting(&mut self, uid: u64, kind: Waiting, mut last_id: u64) -> Option<u64> {
        while !self.outbox.is_closing() {
            let page = self.read(|store| store.unhandled(uid, kind, last_id, BACKLOG_PAGE));
            let Some(page) = page.filter(|page| !page.is_empty()) else { break };
            for (id, message) in &page {
                if self.outbox.is_closing() {
                    break;
                }
                self.send_message(message)?;
                last_id = *id;
            }
        }
        Some(last_id)
    }

    /// A file from the disk to the socket, chunk by chunk: never queued, so that it takes no memory. A last word ends it.
    fn send_file(&mut self, download: Download) -> Option<()> {
        let Download { mut file, mut offset, size, client_no } = download;
        while offset < size && !self.outbox.is_closing() {
            let mut body = encode(&FromServer::FileChunk { offset });
            body.push(b'\n');
            let json = body.len();
            let wanted = (size - offset).min(FILE_CHUNK_SIZE as u64);
            let read = file.by_ref().take(wanted).read_to_end(&mut body);
            if read.ok() != Some(wanted as usize) {
                let refusal = Refusal::new(Code::NoSuchFile, "the server can no longer read this file");
                self.outbox.close(Some(&FromServer::Error { client_no: Some(client_no), refusal }));
                return Some(()); // what comes next is the last word
            }
            offset += (body.len() - json) as u64;
            let frame = self.seal(&body);
            self.send(&frame)?;
        }
        if offset == size { self.send_message(&FromServer::FileEnd { client_no }) } else { Some(()) }
    }

    /// Reads from the database. While that is away, the connection stays: it asks again. None: the last word was said.
    fn read<T>(&self, read: impl Fn(&Store) -> Result<T, Refusal>) -> Option<T> {
        loop {
            match read(&self.server.store) {
                Ok(value) => return Some(value),
                Err(_) if self.outbox.wait_for_last_word(DATABASE_AGAIN) => return None,
                Err(_) => {} // the operator hears of it
            }
        }
    }

    fn send_message(&mut self, message: &FromServer) -> Option<()> {
        let frame = self.seal(&encode(message));
        self.send(&frame)
    }

    fn seal(&mut self, body: &[u8]) -> Vec<u8> {
        let frame = self.sender.seal(body);
        self.server.traffic.went(frame.len());
        frame
    }
}
