//! The server: the five steps of a TCP server, and what all its threads share.
//!
//! Rules: one thread accepts, and each connection has threads of its own (two in chat: one reads, one writes). Out of
//! descriptors or threads the server says so, waits, and goes on. It can be ended at any moment: whatever was
//! acknowledged is on the disk. Not here: what is said on a connection (server/chat.rs, server/api.rs).
//! Start with `run`.

mod api;
mod chat;
mod files;
mod groups;
pub mod online;
mod operator;
mod people;
mod pictures;
pub mod sessions;
mod turns;

use std::collections::HashMap;
use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;

use crate::clock::now_ms;
use crate::config::{self, Config};
use crate::lan::{self, Datagram};
use crate::limits::{ACCEPT_PAUSE, STACK_SIZE, TIDY_EVERY};
use crate::md5_check::{hex, password_digest, random_bytes};
use crate::message::FromServer;
use crate::socket::{self, DatagramSocket, Listener, Socket};
use crate::store::Store;
use crate::warnings::{self, Warnings};
use crate::wire;

use files::Transfers;
use online::OnlineUsers;
use sessions::{Brake, Sessions};
use turns::Turns;

/// What all threads of the server share.
pub struct Server {
    /// The options.
    pub config: Config,
    /// The port on which the chat really listens.
    pub chat_port: u16,
    /// The one of HTTP.
    pub http_port: u16,
    /// The database.
    pub store: Store,
    /// Who is online.
    pub online_users: OnlineUsers,
    /// Who is logged in.
    pub sessions: Sessions,
    /// Against guessing passwords.
    pub brake: Brake,
    /// A digest that no password has: an unknown name costs the same work as a wrong password. Who has an account is no
    /// secret here, /checkLoginName tells; this shows how LOGIN would keep it.
    pub nobodys_digest: String,
    /// Whose password digests are computed now.
    pub digests: Turns,
    /// Chat connections before LOGIN or RESUME.
    pub strangers: Seats,
    /// Chat connections behind the hello, those before LOGIN too.
    pub clients: Seats,
    /// HTTP connections.
    pub http_connections: Seats,
    /// Connections of RESUME.
    pub transfers: Transfers,
    /// Held while a profile, a friendship or a group changes and all hear of it, so that they hear of changes in their order.
    changes: Mutex<()>,
    /// Frames that came and went.
    pub traffic: Traffic,
    /// Connections, files and pictures that the system refused, and why: for the operator.
    pub troubles: Warnings,
    /// Locked while we use the data folder.
    _data_dir_lock: File,
}

/// A server whose ports are open, and on which nobody serves yet.
pub struct Opened {
    server: Arc<Server>,
    chat_listener: Listener,
    http_listener: Listener,
    udp_socket: Option<DatagramSocket>,
    /// Where it listens for the chat.
    pub chat: SocketAddr,
    /// Where for HTTP.
    pub http: SocketAddr,
    /// Where it hears datagrams, if it does.
    pub udp: Option<SocketAddr>,
}

/// The server from its start to `/quit` on its console. An error is a sentence for the operator.
pub fn run(config: Config) -> Result<(), String> {
    let opened = open(config)?;
    opened.announce().map_err(|error| format!("cannot write to standard output: {error}"))?;
    let server = opened.server.clone();
    spawn("console".to_owned(), move || operator::serve(&server))
        .map_err(|error| format!("no thread for the console: {error}"))?;
    let (server, chat_listener) = opened.start_others()?;
    accept_all(&Arc::downgrade(&server), &chat_listener, "client", "", chat::serve);
    Ok(())
}

/// Opens the data folder, the database and the ports.
pub fn open(config: Config) -> Result<Opened, String> {
    let data_dir_lock = lock_data_dir(&config)?;
    // Step 1, socket; step 2, bind; step 3, listen: `std` makes the three calls in one.
    let chat_listener = listen(&config, config.chat_port, "--chatPort", "L")?;
    let http_listener = listen(&config, config.http_port, "--httpPort", "H")?;
    let udp_socket = config.udp_port.and_then(|port| open_udp(&config, port));
    let store = Store::open(&config.database, &config.trace)?;

    let address = |listener: &Listener| listener.address().map_err(|error| error.to_string());
    let (chat, http) = (address(&chat_listener)?, address(&http_listener)?);
    let server = Server {
        chat_port: chat.port(),
        http_port: http.port(),
        store,
        online_users: OnlineUsers::default(),
        sessions: Sessions::default(),
        brake: Brake::default(),
        digests: Turns::default(),
        nobodys_digest: password_digest(&hex(&random_bytes::<16>()), config.password_rounds),
        strangers: Seats::default(),
        clients: Seats::default(),
        http_connections: Seats::default(),
        transfers: Transfers::default(),
        changes: Mutex::default(),
        traffic: Traffic::default(),
        troubles: Warnings::default(),
        _data_dir_lock: data_dir_lock,
        config,
    };
    let udp = udp_socket.as_ref().and_then(|socket| socket.address().ok());
    Ok(Opened { server: Arc::new(server), chat_listener, http_listener, udp_socket, chat, http, udp })
}

impl Opened {
    /// Serves in threads of its own, as long as what is returned here is held: for the demo. Then the database is closed; the
    /// threads that accept end with the next connection, the one that hears datagrams with the program.
    pub fn start(self) -> Result<Arc<Server>, String> {
        let (server, chat_listener) = self.start_others()?;
        let held = Arc::downgrade(&server);
        spawn("main".to_owned(), move || accept_all(&held, &chat_listener, "client", "", chat::serve))
            .map_err(|error| format!("no thread for the chat: {error}"))?;
        Ok(server)
    }

    /// All threads but the one that accepts on the chat port.
    fn start_others(self) -> Result<(Arc<Server>, Listener), String> {
        let Opened { server, chat_listener, http_listener, udp_socket, .. } = self;
        if let Some(socket) = udp_socket {
            let held = Arc::downgrade(&server);
            let here = server.here();
            spawn("udp".to_owned(), move || hear(&held, &here, &socket))
                .map_err(|error| format!("no thread for UDP: {error}"))?;
        }
        let held = Arc::downgrade(&server);
        spawn("accept h".to_owned(), move || accept_all(&held, &http_listener, "http", "h", api::serve))
            .map_err(|error| format!("no thread for HTTP: {error}"))?;
        let held = Arc::downgrade(&server);
        spawn("tidy".to_owned(), move || tidy_all(&held)).map_err(|error| format!("no thread: {error}"))?;
        Ok((server, chat_listener))
    }

    /// The first lines, by which scripts find the server, and how to go on from here.
    fn announce(&self) -> io::Result<()> {
        let Opened { server, chat, http, udp, .. } = self;
        let mut lines = format!(
            "minim server {}\ndatabase  {}\nchat      listening on {chat}\nhttp      listening on {http}\n",
            env!("CARGO_PKG_VERSION"),
            server.config.database,
        );
        lines += &udp.map_or(String::new(), |udp| format!("udp       listening on {udp}\n"));
        lines += &format!("In another terminal: cargo run client{}\n", client_options(*chat, *http));
        if chat.ip().is_unspecified() {
            lines += "On another PC add --serverIp and the address of this one.\n";
        }
        if !chat.ip().is_loopback() && server.config.passphrase == config::PASSPHRASE {
            lines += "Everybody knows this passphrase: give your own with --passphrase, at both ends.\n";
        }
        lines += "Type /help for what can be done here; /quit ends the server.\n";
        let mut output = io::stdout().lock();
        output.write_all(lines.as_bytes())?;
        output.flush()
    }
}

/// A UDP port that cannot be had is no reason to end.
fn open_udp(config: &Config, port: u16) -> Option<DatagramSocket> {
    let opened = lan::open(config, port);
    if let Err(error) = &opened {
        let lost = "nobody will find this server by --find, nor be heard";
        warnings::warn(&format!("UDP port {port} (--udpPort): {error}; {lost}"));
    }
    opened.ok()
}

/// The thread `tidy`: old files go, at the start and every hour.
fn tidy_all(held: &Weak<Server>) {
    while let Some(server) = held.upgrade() {
        files::tidy(&server);
        drop(server);
        thread::sleep(TIDY_EVERY);
    }
}

/// The thread `udp`: who looks for a server is answered, and notices go to everybody who is online.
fn hear(held: &Weak<Server>, here: &Datagram, socket: &DatagramSocket) {
    lan::serve(socket, Some(here), |from, ip, text| {
        let Some(server) = held.upgrade() else { return };
        let (from, text, send_time) = (format!("{from} at {ip}"), text.to_owned(), now_ms());
        server.online_users.deliver_all(&FromServer::Broadcast { from, text, send_time });
    });
}

/// What a client on this PC must be told beside its defaults.
fn client_options(chat: SocketAddr, http: SocketAddr) -> String {
    let mut options = String::new();
    if !chat.ip().is_unspecified() && chat.ip() != IpAddr::V4(Ipv4Addr::LOCALHOST) {
        options += &format!(" --serverIp {}", chat.ip());
    }
    if chat.port() != 8888 {
        options += &format!(" --chatPort {}", chat.port());
    }
    if http.port() != 8080 {
        options += &format!(" --httpPort {}", http.port());
    }
    options
}

/// Makes the data folder where it is absent, and locks it: two servers in one folder would be two truths.
fn lock_data_dir(config: &Config) -> Result<File, String> {
    let folder = &config.data_dir;
    let shown = folder.display();
    let cannot = |error: io::Error| format!("cannot write to the folder {shown} (--dataDir): {error}");
    fs::create_dir_all(folder).map_err(cannot)?;
    let lock = File::create(folder.join("minim.lock")).map_err(cannot)?;
    lock.try_lock().map_err(|error| match error {
        TryLockError::WouldBlock => {
            format!("the folder {shown} is in use by another minim server: give another with --dataDir")
        }
        TryLockError::Error(error) => cannot(error),
    })?;
    Ok(lock)
}

fn listen(config: &Config, port: u16, option: &str, name: &str) -> Result<Listener, String> {
    let address = SocketAddr::new(config.server_ip, port);
    socket::listen(address, name, &config.trace).map_err(|error| match error.kind() {
        io::ErrorKind::AddrInUse => {
            format!(
                "port {port} is taken by another program: give another with {option}, or 0 for any free one"
            )
        }
        io::ErrorKind::PermissionDenied => {
            format!("port {port} may not be opened by this user: give another above 1023 with {option}")
        }
        _ => format!("cannot listen on {address} (--serverIp, {option}): {error}"),
    })
}

/// Step 4, accept, again and again; step 5, communicate, is `serve`, in a thread for each connection. `letter`: by it and the
/// number the trace knows the connection. It ends when nobody holds the server any more.
fn accept_all(
    held: &Weak<Server>,
    listener: &Listener,
    kind: &str,
    letter: &str,
    serve: fn(Arc<Server>, Socket, u64),
) {
    for number in 1.. {
        let accepted = socket::accept(listener, &format!("{letter}{number}"));
        let Some(server) = held.upgrade() else { return };
        let started = accepted.and_then(|socket| {
            let server = server.clone();
            spawn(format!("{kind} {number}"), move || serve(server, socket, number))
        });
        if let Err(error) = started {
            server.troubles.warn(&format!("cannot take a connection ({error}), trying again"));
            thread::sleep(ACCEPT_PAUSE); // out of descriptors or threads: old clients must leave first
        }
    }
}

impl Server {
    /// What it answers who looks for a server.
    fn here(&self) -> Datagram {
        let (name, chat_port, http_port) = (self.config.name.clone(), self.chat_port, self.http_port);
        Datagram::Here { name, chat_port, http_port }
    }

    /// To be held while a friendship or a group changes and all hear of it.
    pub fn one_change(&self) -> MutexGuard<'_, ()> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A thread of a name (at most 15 bytes show in a debugger) and the stack that connections need.
pub fn spawn(name: String, body: impl FnOnce() + Send + 'static) -> io::Result<()> {
    thread::Builder::new().name(name).stack_size(STACK_SIZE).spawn(body).map(drop)
}

/// How many frames of the chat there were since the start, and how many bytes they took.
#[derive(Default)]
pub struct Traffic {
    /// Frames received.
    pub frames_in: AtomicU64,
    /// Frames sent.
    pub frames_out: AtomicU64,
    /// Bytes received.
    pub bytes_in: AtomicU64,
    /// Bytes sent.
    pub bytes_out: AtomicU64,
}

impl Traffic {
    /// A frame with a body of so many bytes came.
    pub fn came(&self, body: usize) {
        self.frames_in.fetch_add(1, Relaxed);
        self.bytes_in.fetch_add(wire::frame_size(body) as u64, Relaxed);
    }

    /// A frame of so many bytes is sent.
    pub fn went(&self, frame: usize) {
        self.frames_out.fetch_add(1, Relaxed);
        self.bytes_out.fetch_add(frame as u64, Relaxed);
    }
}

/// Counts connections of one kind, by the address that they come from.
#[derive(Default)]
pub struct Seats(Arc<Mutex<HashMap<IpAddr, usize>>>);

/// One connection, counted until this is dropped.
pub struct Seat {
    seats: Arc<Mutex<HashMap<IpAddr, usize>>>,
    address: IpAddr,
}

impl Seats {
    /// A seat, where fewer than `most` are taken, and of these fewer than `most_each` from this address.
    pub fn take(&self, address: IpAddr, most: usize, most_each: usize) -> Option<Seat> {
        let mut seats = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if seats.values().sum::<usize>() >= most || seats.get(&address).is_some_and(|&n| n >= most_each) {
            return None;
        }
        *seats.entry(address).or_default() += 1;
        Some(Seat { seats: self.0.clone(), address })
    }

    /// How many are taken.
    pub fn taken(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).values().sum()
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut seats = self.seats.lock().unwrap_or_else(PoisonError::into_inner);
        seats.entry(self.address).and_modify(|taken| *taken -= 1);
        seats.retain(|_, taken| *taken > 0);
    }
}
