//! The console client: the steps of a TCP client, and the threads around them.
//!
//! Threads: `main` owns all that is known, sends, and asks over HTTP; `keyboard` reads lines; `reader`, one for each
//! connection, receives; `screen` writes; `file N` carries a file. They tell `main` what happened through one channel, and
//! it does one thing after the other: but for a transfer's `Shared` (carrier.rs) nothing is shared, so nothing is locked.
//! Rules: whoever waits for an answer to what went over the chat connection waits in `step`, so that pushes are shown and a
//! lost connection is made again meanwhile; lines typed meanwhile are put aside. Connecting, the hello, LOGIN and HTTP are
//! waited for where they stand, each with its deadline: nothing else happens until then. Events carry the number of their
//! connection: those of an older one come too late. A reader is at most `EVENTS_AHEAD` messages ahead of `main`.
//! Not here: what can be typed (commands.rs), what is known of whom (conversation.rs), what is said (words.rs) and how it
//! looks (screen.rs), HTTP (web.rs), a lost connection (away.rs). Start with `open` and `log_in`; a message begins in
//! `send_text`.

mod account;
mod arguments;
mod away;
pub mod carrier;
mod commands;
pub mod conversation;
pub mod downloads;
mod emoji;
mod files;
mod groups;
mod history;
mod people;
pub mod picture;
mod profile;
pub mod records;
pub mod screen;
mod settings;
mod talk;
mod transfers;
mod web;
pub mod width;
pub mod words;

use std::collections::VecDeque;
use std::io::{self, BufRead, ErrorKind, IsTerminal, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender, SyncSender};
use std::thread;
use std::time::{Duration, Instant};

use crate::channel::SealedChannel;
use crate::clock::now_ms;
use crate::config::Config;
use crate::limits::{ANSWER_DEADLINE, CONNECT_DEADLINE, EVENTS_AHEAD, IDLE_DEADLINE, LEAVE_DEADLINE};
use crate::limits::{MAX_MSG_TEXT, MAX_UNSENT, PING_AFTER, patiently};
use crate::message::{ChatSendMsg, Code, FromClient, FromServer, Refusal, encode};
use crate::socket::{self, Socket};
use crate::wire;

use away::Away;
use carrier::Told;
use conversation::{Conversation, Session, Unsent};
use screen::{Line, Look, Screen};
use transfers::Transfer;
use words::Words;

/// What happens to the client.
pub enum Event {
    /// A line was typed, its line feed included.
    Line(Vec<u8>),
    /// No more lines will come.
    EndOfInput,
    /// On the connection with this number the server sent something.
    Message(u64, FromServer),
    /// On this connection nothing came for `PING_AFTER`.
    Silent(u64),
    /// This connection is over, and why; none: the server closed it.
    Lost(u64, Option<wire::Error>),
    /// These messages were shown whole.
    Shown(Vec<u64>),
    /// What the thread of a transfer has to say.
    Transfer(u64, Told),
    /// Nobody reads our output.
    OutputGone,
}

/// Why a command was not done.
#[derive(Debug)]
pub enum Failure {
    /// The server said no.
    Refused(Refusal),
    /// Another reason, as the line that says it.
    Said(String),
    /// The input ended while we asked.
    Ended,
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Failure {
        Failure::Refused(refusal)
    }
}

/// A connection behind its LOGIN: we send, its reader receives.
struct Connection {
    number: u64,
    socket: Arc<Socket>,
    sender: wire::Sender,
    /// PINGs that the server has not answered yet.
    pings: usize,
    /// Frames received; those sent are counted by `sender`.
    received: u64,
    /// Bytes that had come when that was last looked at, and when it was.
    heard: (u64, Instant),
    /// One for each message that its reader is ahead of us.
    ahead: Receiver<()>,
}

/// All that the thread `main` knows.
pub struct Client {
    config: Config,
    words: Words,
    look: Look,
    screen: Screen,
    events: Receiver<Event>,
    /// For the readers.
    to_main: Sender<Event>,
    /// Lines that nobody has taken yet.
    typed: VecDeque<Vec<u8>>,
    input_ended: bool,
    connection: Option<Connection>,
    /// How many there were.
    connections: u64,
    next_client_no: u64,
    /// From LOGIN to logout, lost connections included.
    session: Option<Session>,
    /// While there is a session without a connection.
    away: Option<Away>,
    /// Files under way, and those of this session that are over.
    transfers: Vec<Transfer>,
    /// How many threads these had.
    threads: u64,
    /// Batches with messages that the screen has not reported yet.
    unreported: usize,
    /// The name of the command that runs.
    command: &'static str,
    /// How many failed.
    failed: usize,
    /// For /wait: rows shown behind the one that it found last.
    log: VecDeque<String>,
    /// What concealing a password is worth was said, once a run.
    is_warned: bool,
    /// Set: it ends, with this exit code.
    exit_code: Option<u8>,
}

/// The client from its start to its end: the exit code. The reason of a failed start goes to standard error.
pub fn run(
    config: Config,
    input: impl BufRead + Send + 'static,
    output: impl Write + Send + 'static,
    look: Look,
) -> u8 {
    let started = start(config, Box::new(input), Box::new(output), look).and_then(|client| {
        let proof = client.open(client.config.chat_port, "C"); // nobody types a password within LOGIN_DEADLINE
        proof.map(|_| client) // it is closed again: address and passphrase are right
    });
    match started {
        Ok(client) => client.converse(),
        Err(failure) => {
            let reason = if let Failure::Said(line) = failure { line } else { String::new() };
            let _ = writeln!(io::stderr(), "! {reason}"); // when that is gone too, the exit code is left
            1
        }
    }
}

/// The threads `screen` and `keyboard`, and what `main` knows at first.
fn start(
    mut config: Config,
    input: Box<dyn BufRead + Send>,
    output: Box<dyn Write + Send>,
    look: Look,
) -> Result<Client, Failure> {
    config.time_zone = Some(config.offset()); // /lang does not move the clock
    let (to_main, events) = mpsc::channel();
    let words = Words(config.lang);
    let no_thread = |error: io::Error| Failure::Said(words.say("noThread", &[("WHY", &error)]));
    let screen = Screen::start(output, look, config.offset(), to_main.clone()).map_err(no_thread)?;
    if look.is_terminal && io::stderr().is_terminal() {
        config.trace = screen.trace(config.trace.level()); // else it would write over the typed row
    }
    let keyboard = thread::Builder::new().name("keyboard".to_owned());
    let to_keyboard = to_main.clone();
    keyboard.spawn(move || read_lines(input, &to_keyboard)).map_err(no_thread)?;
    Ok(Client {
        words,
        config,
        look,
        screen,
        events,
        to_main,
        typed: VecDeque::new(),
        input_ended: false,
        connection: None,
        connections: 0,
        next_client_no: now_ms() * 1000, // microseconds since 1970: above all numbers of earlier runs
        session: None,
        away: None,
        transfers: Vec::new(),
        threads: 0,
        unreported: 0,
        command: "",
        failed: 0,
        log: VecDeque::new(),
        is_warned: false,
        exit_code: None,
    })
}

impl Client {
    /// Steps 1 and 2 of a TCP client: a socket, connected to a port of the server. The trace calls it `name`.
    fn connect(&self, port: u16, name: &str) -> Result<Socket, Failure> {
        let address = SocketAddr::new(self.config.server_ip, port);
        let deadline = patiently(CONNECT_DEADLINE, self.config.patience);
        let connected = socket::connect(address, deadline, name, &self.config.trace); // 1 socket, 2 connect
        connected.map_err(|error| self.nobody_listens(address, &error.kind().to_string()))
    }

    /// Step 3, send and recv, begins with the hello: it proves that both ends have the same passphrase.
    fn open(&self, port: u16, name: &str) -> Result<SealedChannel, Failure> {
        let socket = self.connect(port, name)?;
        let deadline = self.config.deadline(ANSWER_DEADLINE);
        let hello = wire::hello_as_client(&socket, self.config.passphrase.as_bytes(), deadline);
        let address = socket.peer();
        match hello {
            Ok((sender, receiver)) => Ok(SealedChannel { socket, sender, receiver }),
            Err(wire::Error::OtherPassphrase) => {
                Err(self.failure("start.passphrase", &[("ADDRESS", &address)]))
            }
            Err(wire::Error::Io(error)) => Err(self.nobody_listens(address, &error.kind().to_string())),
            Err(other) => Err(self.nobody_listens(address, &other.to_string())),
        }
    }

    fn nobody_listens(&self, address: SocketAddr, why: &str) -> Failure {
        self.failure("start.nobody", &[("ADDRESS", &address), ("WHY", &why)])
    }

    /// One question on a connection that has no reader, and its answer.
    fn ask(&self, link: &mut SealedChannel, request: &FromClient) -> Result<FromServer, Failure> {
        let deadline = self.config.deadline(ANSWER_DEADLINE);
        link.sender.send(&link.socket, &encode(request), deadline).map_err(|_| self.closed())?;
        loop {
            let body = match link.receiver.receive(&link.socket, deadline) {
                Ok(Some(body)) => body,
                Err(error) if error.is_timeout() => return Err(self.no_answer()),
                Ok(None) | Err(_) => return Err(self.closed()),
            };
            match serde_json::from_slice(&body) {
                Ok(FromServer::Error { refusal, .. }) => return Err(refusal.into()),
                Ok(FromServer::Kicked { text, .. }) => return Err(self.failure("kicked", &[("TEXT", &text)])),
                Ok(answer @ (FromServer::Ack { .. } | FromServer::LoginOk { .. })) => {
                    return Ok(answer);
                }
                _ => {} // whatever it is, it is no answer
            }
        }
    }

    fn closed(&self) -> Failure {
        self.failure("closedEarly", &[("NAME", &self.command), ("ADDRESS", &self.address())])
    }

    fn no_answer(&self) -> Failure {
        let seconds = away::seconds(patiently(ANSWER_DEADLINE, self.config.patience));
        self.failure("noAnswer", &[("NAME", &self.command), ("N", &seconds)])
    }

    /// A connection for one user: opened, logged in, and from here on received by a thread of its own. With a session,
    /// it goes on.
    fn log_in(&mut self, login_name: &str, pwd: &str) -> Result<(), Failure> {
        let mut link = self.open(self.config.chat_port, "C")?;
        let (login_name, pwd) = (login_name.to_owned(), pwd.to_owned());
        let request = FromClient::Login { client_no: self.client_no(), login_name, pwd: pwd.clone() };
        let answer = self.ask(&mut link, &request)?;
        let FromServer::LoginOk { user, session_id, http_port, last_id, .. } = answer else {
            return Err(self.no_answer());
        };
        self.connection = Some(self.start_reader(link)?);
        let session = self.session.get_or_insert(Session::new(user, pwd, last_id));
        (session.session_id, session.http_port) = (session_id, http_port);
        Ok(())
    }

    fn start_reader(&mut self, mut link: SealedChannel) -> Result<Connection, Failure> {
        link.receiver.after_login();
        let (socket, sender) = (Arc::new(link.socket), link.sender);
        self.connections += 1;
        let number = self.connections;
        let (socket_of_reader, to_main, patience) =
            (socket.clone(), self.to_main.clone(), self.config.patience);
        let (one_more, ahead) = mpsc::sync_channel(EVENTS_AHEAD);
        let reader = thread::Builder::new().name("reader".to_owned());
        let started = reader.spawn(move || {
            receive_all(number, &socket_of_reader, link.receiver, (&to_main, &one_more), patience);
        });
        let heard = (0, Instant::now());
        match started {
            Ok(_) => Ok(Connection { number, socket, sender, pings: 0, received: 1, heard, ahead }),
            Err(error) => Err(self.failure("noThread", &[("WHY", &error)])),
        }
    }

    /// From the first prompt to the goodbye.
    fn converse(mut self) -> u8 {
        let (version, address) = (env!("CARGO_PKG_VERSION"), self.address());
        let connected = self.words.say("start.connected", &[("VERSION", &version), ("ADDRESS", &address)]);
        self.show(vec![Line::new("", &connected)]);
        if self.look.is_terminal {
            self.show(vec![Line::new("", &self.words.say("start.hint", &[]))]);
        }
        while self.exit_code.is_none() {
            while let Ok(event) = self.events.try_recv() {
                self.happen(event);
            }
            if self.look.is_terminal && self.typed.is_empty() && !self.input_ended {
                self.screen.prompt(self.prompt(), false);
            }
            match self.next_line() {
                Some(line) => commands::do_line(&mut self, line),
                None if self.exit_code.is_none() => commands::do_line(&mut self, b"/quit".to_vec()),
                None => {}
            }
        }
        self.leave(true);
        let has_failed = self.failed > 0 && !self.look.is_terminal;
        if has_failed {
            let failed = self.failed;
            self.trouble("commandsFailed", &[("N", &failed)]);
        }
        self.screen.finish();
        self.exit_code.unwrap_or_default().max(u8::from(has_failed))
    }

    fn address(&self) -> SocketAddr {
        SocketAddr::new(self.config.server_ip, self.config.chat_port)
    }

    /// The next line that was typed, its line feed included; none: the input, or the client, has ended.
    fn next_line(&mut self) -> Option<Vec<u8>> {
        while self.typed.is_empty() && !self.input_ended && self.step(None) {}
        let line = self.typed.pop_front().filter(|_| self.exit_code.is_none());
        if line.is_none() {
            self.screen.input_ended();
        }
        line
    }

    /// Waits for one event, at most until `deadline`, and does what it asks for. False: the deadline has passed, or
    /// the client is to end.
    fn step(&mut self, deadline: Option<Instant>) -> bool {
        self.look_after_connection();
        self.look_after_transfers();
        if self.exit_code.is_some() {
            return false;
        }
        let until = deadline.into_iter().chain(self.next_care()).chain(self.next_transfer_care()).min();
        let event = match until {
            Some(until) => self.events.recv_timeout(until.saturating_duration_since(Instant::now())).ok(),
            None => self.events.recv().ok(),
        };
        if let Some(event) = event {
            self.happen(event);
        }
        self.exit_code.is_none() && deadline.is_none_or(|deadline| Instant::now() < deadline)
    }

    /// Does what one event asks for; those of an older connection are dropped.
    fn happen(&mut self, event: Event) {
        let current = self.connection.as_ref().map(|connection| connection.number);
        match event {
            Event::Line(line) => self.typed.push_back(line),
            Event::EndOfInput => self.input_ended = true,
            Event::Message(number, message) if current == Some(number) => {
                if let Some(connection) = &mut self.connection {
                    connection.received += 1;
                    let _ = connection.ahead.try_recv(); // its reader may go on
                }
                conversation::receive(self, message);
            }
            Event::Silent(number) if current == Some(number) => self.ping(),
            Event::Lost(number, why) if current == Some(number) => self.connection_lost(why),
            Event::Message(..) | Event::Silent(_) | Event::Lost(..) => {} // of an older connection
            Event::Shown(ids) => {
                self.unreported -= 1; // one report for each batch that `show` counted
                self.send(&FromClient::ChatReceived { ids });
            }
            Event::Transfer(number, told) => transfers::told(self, number, told),
            Event::OutputGone => {
                self.unreported = 0; // the screen's thread has ended
                self.exit_code = Some(1);
            }
        }
    }

    /// A number that no request of this user had, on any connection.
    fn client_no(&mut self) -> u64 {
        self.next_client_no += 1;
        self.next_client_no
    }

    /// Station 1 of a message: typed text becomes CHAT_SEND_MSG, is sent, and is kept until its answer has come.
    fn send_text(&mut self, to: Conversation, text: &str) -> Result<(), Failure> {
        let text = emoji::with_emoji(text);
        if text.len() > MAX_MSG_TEXT {
            return Err(self.failure("textSize", &[("M", &MAX_MSG_TEXT), ("N", &text.len())]));
        }
        let client_no = self.client_no();
        let Conversation { is_friend, to_id } = to;
        let (msg_type, msg_text) = (emoji::msg_type(&text).to_owned(), text);
        let request = ChatSendMsg { client_no, is_friend, to_id, send_time: now_ms(), msg_type, msg_text };
        if self.session()?.unsent.len() >= MAX_UNSENT {
            return Err(self.refused(Code::TooMany, &[]));
        }
        self.session_mut()?.unsent.push_back(Unsent { request, sent_at: None });
        self.send_unsent();

        while self.unsent(client_no).is_some_and(|one| one.sent_at.is_some()) && self.step(None) {}
        if self.unsent(client_no).is_some() && self.exit_code.is_none() {
            let number = self.session()?.unsent.len();
            let key = if self.connection.is_some() { "unsent.database" } else { "unsent" };
            self.answer(key, &[("N", &number)]);
        }
        Ok(())
    }

    /// The text of this number, until its answer has come.
    fn unsent(&self, client_no: u64) -> Option<&Unsent> {
        let mut unsent = self.session.iter().flat_map(|session| &session.unsent);
        unsent.find(|one| one.request.client_no == client_no)
    }

    /// Sends what was not sent on this connection, in the order in which it was typed.
    fn send_unsent(&mut self) {
        self.has_heard(); // what has come until now is no sign of life behind these texts
        let (Some(session), Some(_)) = (&mut self.session, &self.connection) else { return };
        let mut due = Vec::new();
        for text in session.unsent.iter_mut().filter(|text| text.sent_at.is_none()) {
            text.sent_at = Some(Instant::now());
            due.push(FromClient::ChatSendMsg(text.request.clone()));
        }
        for message in due {
            self.send(&message);
        }
    }

    /// One message becomes one frame, and send. Where that fails, the connection is lost.
    fn send(&mut self, message: &FromClient) {
        let Some(connection) = &mut self.connection else { return };
        let deadline = self.config.deadline(ANSWER_DEADLINE);
        let sent = connection.sender.send(&connection.socket, &encode(message), deadline);
        if let Err(error) = sent {
            self.connection_lost(Some(wire::Error::Io(error)));
        }
    }

    fn ping(&mut self) {
        if let Some(connection) = &mut self.connection {
            connection.pings += 1;
        }
        self.send(&FromClient::Ping);
    }

    /// Waits until the server has answered a PING: what it had pushed before has come then. So what a command changed
    /// over HTTP is known to the next command.
    fn fence(&mut self) {
        self.ping();
        self.wait_while(ANSWER_DEADLINE, |client| {
            client.connection.as_ref().is_some_and(|connection| connection.pings > 0)
        });
    }

    /// Waits while `waits`, at most `limit`; what happens meanwhile is done.
    fn wait_while(&mut self, limit: Duration, waits: impl Fn(&Client) -> bool) {
        let deadline = self.config.deadline(limit);
        while waits(self) && self.step(Some(deadline)) {}
    }

    /// Step 4 of a TCP client, close. What is unsent gets `LEAVE_DEADLINE`, and is a failure then; so do files, where the
    /// program ends. Behind the ACK of LOGOUT the server closes, and so do we.
    fn leave(&mut self, waits_for_files: bool) {
        let files = self.active_transfers();
        if waits_for_files && files > 0 && self.look.is_terminal {
            self.trouble("waitsForFiles", &[("N", &files)]);
        }
        self.wait_while(LEAVE_DEADLINE, |client| {
            client.has_unfinished() || waits_for_files && client.active_transfers() > 0
        });
        self.end_session(); // pushes are passed over from here on

        let client_no = self.client_no();
        self.send(&FromClient::Logout { client_no });
        let deadline = self.config.deadline(ANSWER_DEADLINE);
        while self.connection.is_some() {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.events.recv_timeout(left) {
                Ok(event) => self.happen(event),
                Err(_) => self.close(),
            }
        }
    }

    fn has_unfinished(&self) -> bool {
        let unsent = self.session.as_ref().is_some_and(|session| !session.unsent.is_empty());
        unsent || self.unreported > 0
    }

    /// Nobody is logged in any more; what was not sent will not be.
    fn end_session(&mut self) {
        let unsent = self.session.take().map_or(0, |session| session.unsent.len());
        let files = self.drop_transfers();
        self.failed += unsent + files;
        self.away = None;
        if files > 0 && self.look.is_terminal {
            self.trouble("neverFinished", &[("N", &files)]);
        }
        if unsent > 0 && self.look.is_terminal {
            self.trouble("neverSent", &[("N", &unsent)]);
        }
    }

    /// Ends the connection; its reader notices, and with that the socket is closed.
    fn close(&mut self) {
        if let Some(connection) = self.connection.take() {
            connection.socket.cut();
        }
        let unsent = self.session.iter_mut().flat_map(|session| &mut session.unsent);
        unsent.for_each(|text| text.sent_at = None); // not on the next one
    }
}

/// The thread `keyboard`: `read_until`, since `read_line` fails on what is no UTF-8.
fn read_lines(mut input: Box<dyn BufRead + Send>, to_main: &Sender<Event>) {
    loop {
        let mut line = Vec::new();
        let read = input.read_until(b'\n', &mut line);
        let event = match read {
            Ok(1..) => Event::Line(line),
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Ok(0) | Err(_) => Event::EndOfInput,
        };
        let is_over = matches!(event, Event::EndOfInput);
        if to_main.send(event).is_err() || is_over {
            return;
        }
    }
}

/// The thread `reader` of one connection: recv, again and again, and each body becomes an event. After silence `main` is
/// asked for a PING; a server that does not answer that either is gone.
fn receive_all(
    number: u64,
    socket: &Socket,
    mut receiver: wire::Receiver,
    (to_main, one_more): (&Sender<Event>, &SyncSender<()>),
    patience: f64,
) {
    let mut pinged_at = None; // the last byte before the silence in which PING was asked for
    loop {
        let last_byte = receiver.last_byte();
        let is_pinged = pinged_at == Some(last_byte);
        let silence = if is_pinged { IDLE_DEADLINE } else { PING_AFTER };
        let received = receiver.receive(socket, last_byte + patiently(silence, patience));
        let event = match received {
            Ok(Some(body)) => {
                if one_more.send(()).is_err() {
                    return; // the connection is over
                }
                Event::Message(number, serde_json::from_slice(&body).unwrap_or(FromServer::Unknown))
            }
            Err(error) if error.is_timeout() && !is_pinged => {
                pinged_at = Some(last_byte);
                Event::Silent(number)
            }
            Ok(None) => Event::Lost(number, None),
            Err(error) => Event::Lost(number, Some(error)),
        };
        let is_over = matches!(event, Event::Lost(..));
        if to_main.send(event).is_err() || is_over {
            return;
        }
    }
}
