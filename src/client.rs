//! The console client: the steps of a TCP client, and the threads around them.
//!
//! Threads: `main` owns all that is known, sends, and asks over HTTP; `keyboard` reads lines; `reader`, one for each
//! connection, receives; `screen` writes. The other three tell `main` what happened through one channel, and it does
//! one thing after the other: nothing is shared, so nothing is locked.
//! Rules: whoever waits for something waits in `step`, so that pushes are shown and a lost connection is made again
//! meanwhile; lines typed meanwhile are put aside. Events carry the number of their connection: those of an older one
//! come too late. Not here: what can be typed (commands.rs), what is known of whom (conversation.rs), how it looks
//! (screen.rs), a lost connection (away.rs). Start with `run` and `open`; a message begins in `send_text`.

pub mod away;
pub mod commands;
pub mod conversation;
pub mod screen;
pub mod width;
pub mod words;

use std::collections::VecDeque;
use std::io::{self, BufRead, ErrorKind, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::Instant;

use crate::clock::now_ms;
use crate::config::{Config, Lang};
use crate::limits::{
    ANSWER_DEADLINE, CONNECT_DEADLINE, IDLE_DEADLINE, LEAVE_DEADLINE, MAX_MSG_TEXT, MAX_UNSENT,
};
use crate::limits::{PING_AFTER, patiently};
use crate::message::{ChatSendMsg, Code, FromClient, FromServer, Refusal, encode};
use crate::socket::{self, Socket};
use crate::wire;

use away::Away;
use conversation::{Conversation, Session, Unsent};
use screen::{Line, Look, Screen};
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

/// A connection behind its hello.
struct Link {
    socket: Socket,
    sender: wire::Sender,
    receiver: wire::Receiver,
}

/// A connection behind its LOGIN: we send, its reader receives.
struct Connection {
    number: u64,
    socket: Arc<Socket>,
    sender: wire::Sender,
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
    typed: VecDeque<Vec<u8>>,
    input_ended: bool,
    connection: Option<Connection>,
    /// Connections so far.
    connections: u64,
    next_client_no: u64,
    /// From LOGIN to logout, lost connections included.
    session: Option<Session>,
    away: Option<Away>,
    /// Batches with messages that the screen has not reported yet.
    unreported: usize,
    /// The name of the command that runs.
    command: String,
    failed: usize,
    /// For /wait: rows shown behind the one that it found last.
    log: VecDeque<String>,
    /// What was typed as a password was said to be concealed, once.
    is_warned: bool,
    /// Set: it ends, with this exit code.
    exit_code: Option<u8>,
}

/// The client from its start to its end: the exit code. The reason of a failed start goes to standard error.
pub fn run(
    config: Config,
    input: impl BufRead + Send + 'static,
    output: impl Write + Send + 'static,
    is_terminal: bool,
) -> u8 {
    run_as(config, input, output, Look::from_environment(is_terminal))
}

/// The same with a look of the caller's choice.
pub fn run_as(
    config: Config,
    input: impl BufRead + Send + 'static,
    output: impl Write + Send + 'static,
    look: Look,
) -> u8 {
    match start(config, input, output, look) {
        Ok(client) => client.converse(),
        Err(reason) => {
            let _ = writeln!(io::stderr(), "! {reason}"); // when that is gone too, the exit code is left
            1
        }
    }
}

/// Proves by a first connection that address and passphrase are right, and starts the threads. An error is a line.
fn start(
    config: Config,
    input: impl BufRead + Send + 'static,
    output: impl Write + Send + 'static,
    look: Look,
) -> Result<Client, String> {
    let words = Words(config.lang);
    let link = open(&config, words, config.chat_port);
    drop(link.map_err(|failure| failure.to_line(words, &[]))?); // nobody types a password within LOGIN_DEADLINE

    let (to_main, events) = mpsc::channel();
    let time_zone = config.time_zone.unwrap_or(if config.lang == Lang::Zh { 8 * 60 } else { 0 });
    let no_thread = |error: io::Error| format!("no thread: {error}");
    let screen = Screen::start(output, look, time_zone, to_main.clone()).map_err(no_thread)?;
    let keyboard = thread::Builder::new().name("keyboard".to_owned());
    let to_keyboard = to_main.clone();
    keyboard.spawn(move || read_lines(input, &to_keyboard)).map_err(no_thread)?;
    Ok(Client {
        words,
        look,
        screen,
        events,
        to_main,
        typed: VecDeque::new(),
        input_ended: false,
        connection: None,
        connections: 0,
        next_client_no: now_ms() * 1000, // the microseconds since 1970: no number is used twice
        session: None,
        away: None,
        unreported: 0,
        command: String::new(),
        failed: 0,
        log: VecDeque::new(),
        is_warned: false,
        exit_code: None,
        config,
    })
}

/// Steps 1 and 2 of a TCP client: a socket, connected to a port of the server.
fn connect(config: &Config, words: Words, port: u16) -> Result<Socket, Failure> {
    let address = SocketAddr::new(config.server_ip, port);
    let connected = socket::connect(address, patiently(CONNECT_DEADLINE, config.patience)); // 1 socket, 2 connect
    connected.map_err(|error| nobody_listens(words, address, &error.kind().to_string()))
}

/// Step 3, send and recv, begins with the hello: it proves that both ends have the same passphrase.
fn open(config: &Config, words: Words, port: u16) -> Result<Link, Failure> {
    let socket = connect(config, words, port)?;
    let address = socket.peer();
    let deadline = Instant::now() + patiently(ANSWER_DEADLINE, config.patience);
    let hello = wire::hello_as_client(&socket, config.passphrase.as_bytes(), deadline);
    match hello {
        Ok((sender, receiver)) => Ok(Link { socket, sender, receiver }),
        Err(wire::Error::OtherPassphrase) => {
            let values = [("ADDRESS", &*address.to_string())];
            Err(Failure::Said(words.say("start.passphrase", &values)))
        }
        Err(wire::Error::Io(error)) => {
            Err(nobody_listens(words, address, &error.kind().to_string()))
        }
        Err(other) => Err(nobody_listens(words, address, &other.to_string())),
    }
}

fn nobody_listens(words: Words, address: SocketAddr, why: &str) -> Failure {
    let values = [("ADDRESS", &*address.to_string()), ("WHY", why)];
    Failure::Said(words.say("start.nobody", &values))
}

impl Client {
    /// From the first prompt to the goodbye.
    fn converse(mut self) -> u8 {
        let address = SocketAddr::new(self.config.server_ip, self.config.chat_port).to_string();
        let values = [("VERSION", env!("CARGO_PKG_VERSION")), ("ADDRESS", &address)];
        self.show(vec![Line::new("", &self.words.say("start.connected", &values))]);
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
        self.leave();
        if self.failed > 0 && !self.look.is_terminal {
            let failed = self.failed.to_string();
            self.show(vec![Line::new("! ", &self.words.say("commandsFailed", &[("N", &failed)]))]);
        }
        self.screen.finish();
        match self.exit_code {
            Some(0) if self.failed > 0 && !self.look.is_terminal => 1,
            code => code.unwrap_or(0),
        }
    }

    /// The next line that was typed, its line feed included; none: the input, or the client, has ended.
    fn next_line(&mut self) -> Option<Vec<u8>> {
        while self.typed.is_empty() && !self.input_ended && self.step(None) {}
        let line = self.typed.pop_front();
        if line.is_none() {
            self.screen.input_ended();
        }
        line.filter(|_| self.exit_code.is_none())
    }

    /// Waits for one event, at most until `deadline`, and does what it asks for. False: the deadline has passed, or
    /// the client is to end.
    fn step(&mut self, deadline: Option<Instant>) -> bool {
        self.look_after_connection();
        if self.exit_code.is_some() {
            return false;
        }
        let until = deadline.into_iter().chain(self.next_care()).min();
        let event = match until {
            Some(until) => {
                self.events.recv_timeout(until.saturating_duration_since(Instant::now())).ok()
            }
            None => self.events.recv().ok(),
        };
        if let Some(event) = event {
            self.happen(event);
        }
        self.exit_code.is_none() && deadline.is_none_or(|deadline| Instant::now() < deadline)
    }

    fn happen(&mut self, event: Event) {
        let current = self.connection.as_ref().map(|connection| connection.number);
        match event {
            Event::Line(line) => self.typed.push_back(line),
            Event::EndOfInput => self.input_ended = true,
            Event::Message(number, message) if current == Some(number) => {
                conversation::receive(self, message)
            }
            Event::Silent(number) if current == Some(number) => self.send(&FromClient::Ping),
            Event::Lost(number, why) if current == Some(number) => self.connection_lost(why),
            Event::Message(..) | Event::Silent(_) | Event::Lost(..) => {} // of an older connection
            Event::Shown(ids) => {
                self.unreported = self.unreported.saturating_sub(1);
                self.send(&FromClient::ChatReceived { ids });
            }
            Event::OutputGone => {
                self.unreported = 0;
                self.exit_code = Some(1);
            }
        }
    }

    /// A number that no request of this user had, on any connection.
    fn client_no(&mut self) -> u64 {
        self.next_client_no += 1;
        self.next_client_no
    }

    /// One question on a connection that has no reader: REGISTER or LOGIN, and the answer.
    fn ask(&self, link: &mut Link, request: &FromClient) -> Result<FromServer, Failure> {
        let deadline = Instant::now() + patiently(ANSWER_DEADLINE, self.config.patience);
        let frame = link.sender.seal(&encode(request));
        link.socket.send(&frame, deadline).map_err(|_| self.no_answer())?;
        loop {
            let received = link.receiver.receive(&link.socket, deadline);
            let body = received.ok().flatten().ok_or_else(|| self.no_answer())?;
            match serde_json::from_slice(&body) {
                Ok(FromServer::Error { refusal, .. }) => return Err(Failure::Refused(refusal)),
                Ok(answer @ (FromServer::Ack { .. } | FromServer::LoginOk { .. })) => {
                    return Ok(answer);
                }
                _ => {} // whatever it is, it is no answer
            }
        }
    }

    /// A connection for one user: opened, logged in, and from here on received by a thread of its own.
    fn log_in(&mut self, login_name: &str, pwd: &str) -> Result<(), Failure> {
        let mut link = open(&self.config, self.words, self.config.chat_port)?;
        let (login_name, pwd) = (login_name.to_owned(), pwd.to_owned());
        let request =
            FromClient::Login { client_no: self.client_no(), login_name, pwd: pwd.clone() };
        let answer = self.ask(&mut link, &request)?;
        let FromServer::LoginOk { user, session_id, http_port, last_id, .. } = answer else {
            return Err(self.no_answer());
        };
        match &mut self.session {
            Some(session) => {
                (session.session_id, session.http_port, session.last_id) =
                    (session_id, http_port, 0)
            }
            None => self.session = Some(Session::new(user, pwd, session_id, http_port, last_id)),
        }

        self.connections += 1;
        let Link { socket, sender, mut receiver } = link;
        let socket = Arc::new(socket);
        receiver.trust();
        let reader = Reader {
            number: self.connections,
            socket: socket.clone(),
            receiver,
            to_main: self.to_main.clone(),
        };
        let patience = self.config.patience;
        let thread = thread::Builder::new().name("reader".to_owned());
        thread.spawn(move || reader.receive_all(patience)).map_err(|error| {
            let why = error.kind().to_string();
            nobody_listens(self.words, socket.peer(), &why)
        })?;
        self.connection = Some(Connection { number: self.connections, socket, sender });
        Ok(())
    }

    /// send: one message as one frame. Where that fails, the connection is lost.
    fn send(&mut self, message: &FromClient) {
        let Some(connection) = &mut self.connection else { return };
        let deadline = Instant::now() + patiently(ANSWER_DEADLINE, self.config.patience);
        let frame = connection.sender.seal(&encode(message));
        if let Err(error) = connection.socket.send(&frame, deadline) {
            self.connection_lost(Some(wire::Error::Io(error)));
        }
    }

    /// Station 1 of a message: typed text becomes CHAT_SEND_MSG, is sent, and is kept until its answer has come.
    fn send_text(&mut self, to: Conversation, text: &str) -> Result<(), Failure> {
        if text.len() > MAX_MSG_TEXT {
            let (most, size) = (MAX_MSG_TEXT.to_string(), text.len().to_string());
            return Err(self.said("textSize", &[("M", &most), ("N", &size)]));
        }
        let client_no = self.client_no();
        let too_many = self.refused(Code::TooMany, &[]);
        let session = self.session_mut()?;
        if session.unsent.len() >= MAX_UNSENT {
            return Err(too_many);
        }
        let Conversation { is_friend, to_id } = to;
        let (msg_type, msg_text) = ("TEXT".to_owned(), text.to_owned());
        let request =
            ChatSendMsg { client_no, is_friend, to_id, send_time: now_ms(), msg_type, msg_text };
        session.unsent.push_back(Unsent { request, sent_at: None });
        self.send_unsent();

        let is_kept = |client: &Client| {
            let session = client.session.as_ref();
            session.is_some_and(|session| {
                session.unsent.iter().any(|text| text.request.client_no == client_no)
            })
        };
        while is_kept(self) && self.connection.is_some() && self.step(None) {}
        if let Some(session) = self.session.as_ref().filter(|_| is_kept(self)) {
            let number = session.unsent.len().to_string();
            self.answer("unsent", &[("N", &number)]);
        }
        Ok(())
    }

    /// Sends what was not sent on this connection, in the order in which it was typed.
    fn send_unsent(&mut self) {
        let Some(session) = self.session.as_mut().filter(|_| self.connection.is_some()) else {
            return;
        };
        let mut due = Vec::new();
        for text in session.unsent.iter_mut().filter(|text| text.sent_at.is_none()) {
            text.sent_at = Some(Instant::now());
            due.push(FromClient::ChatSendMsg(text.request.clone()));
        }
        for message in due {
            self.send(&message);
        }
    }

    /// Step 4 of a TCP client, close: what is unsent gets `LEAVE_DEADLINE`, then LOGOUT and its ACK, behind which the
    /// server closes. What remains unsent is a failure.
    fn leave(&mut self) {
        let deadline = Instant::now() + patiently(LEAVE_DEADLINE, self.config.patience);
        while self.has_unfinished() && self.step(Some(deadline)) {}
        let session = self.session.take();
        self.failed += session.map_or(0, |session| session.unsent.len());
        self.away = None;

        let client_no = self.client_no();
        self.send(&FromClient::Logout { client_no });
        let deadline = Instant::now() + patiently(ANSWER_DEADLINE, self.config.patience);
        while self.connection.is_some() {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.events.recv_timeout(left) {
                Ok(event) => self.happen(event), // without a session, pushes are passed over
                Err(_) => self.close(),
            }
        }
    }

    fn has_unfinished(&self) -> bool {
        let unsent = self.session.as_ref().is_some_and(|session| !session.unsent.is_empty());
        unsent || self.unreported > 0
    }

    /// Ends the connection; its reader notices, and so its socket is closed.
    fn close(&mut self) {
        if let Some(connection) = self.connection.take() {
            connection.socket.cut();
        }
    }
}

/// The thread `keyboard`: `read_until`, since `read_line` would fail on what is no UTF-8, and for good.
fn read_lines(mut input: impl BufRead, to_main: &Sender<Event>) {
    loop {
        let mut line = Vec::new();
        let read = input.read_until(b'\n', &mut line);
        let event = match read {
            Ok(1..) => Event::Line(line),
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            _ => Event::EndOfInput,
        };
        let is_end = matches!(event, Event::EndOfInput);
        if to_main.send(event).is_err() || is_end {
            return;
        }
    }
}

/// The thread `reader` of one connection.
struct Reader {
    number: u64,
    socket: Arc<Socket>,
    receiver: wire::Receiver,
    to_main: Sender<Event>,
}

impl Reader {
    /// recv, again and again: each body becomes an event. After silence `main` is asked for a PING; a server that does
    /// not answer that either is gone.
    fn receive_all(mut self, patience: f64) {
        let mut pinged_at = None; // the last byte before the silence in which PING was asked for
        loop {
            let last_byte = self.receiver.last_byte();
            let is_pinged = pinged_at == Some(last_byte);
            let silence = if is_pinged { IDLE_DEADLINE } else { PING_AFTER };
            let received =
                self.receiver.receive(&self.socket, last_byte + patiently(silence, patience));
            let event = match received {
                Ok(Some(body)) => {
                    let message = serde_json::from_slice(&body).unwrap_or(FromServer::Unknown);
                    Event::Message(self.number, message)
                }
                Err(error) if error.is_timeout() && !is_pinged => {
                    pinged_at = Some(last_byte);
                    Event::Silent(self.number)
                }
                Ok(None) => Event::Lost(self.number, None),
                Err(error) => Event::Lost(self.number, Some(error)),
            };
            let is_over = matches!(event, Event::Lost(..));
            if self.to_main.send(event).is_err() || is_over {
                return;
            }
        }
    }
}
