//! How many clients one server holds: threads, memory, the time to log all in, and how long a message takes across the others.
//! In this folder, on Linux (it reads /proc), with as many descriptors as clients (`ulimit -n 16384`):
//!
//!     cargo run --release --bin capacity                 1, 100, 1,000 and 4,000 clients
//!     cargo run --release --bin capacity -- 7000         so many alone
//!
//! The server is a process of its own: this program, started again with a hidden first word. All clients are held by one more
//! process, and wait without a thread. Of them `SAMPLES` send a text to their friend, one after the other, while the rest
//! is online and silent: from `send` to the ACK, and to the moment in which the friend has it. Then every other client sends one
//! at once. SQLite, in a fresh folder below TMPDIR: on a real disk, please.

#[path = "messages/process.rs"]
mod process;
#[path = "messages/raw.rs"]
#[allow(dead_code)] // two programs use it, each a part
mod raw;

use std::env;
use std::fs;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use minim::config::{Database, PASSPHRASE};
use minim::message::{ChatSendMsg, FromClient, FromServer, encode};
use minim::socket::{self, Socket};
use minim::trace::Trace;
use minim::wire::{Receiver, Sender, hello_as_client};

use process::{Folder, Process, was_server};
use raw::{PASSWORD, Raw};

const SIZES: [usize; 4] = [1, 100, 1_000, 4_000];
/// Clients that log in at the same time.
const AT_ONCE: usize = 16;
const SAMPLES: usize = 500;
/// For any answer.
const DEADLINE: Duration = Duration::from_secs(60);

type Row = (u64, ChatSendMsg);

/// What one size came to.
struct Line {
    clients: usize,
    threads: u64,
    /// KiB.
    memory: u64,
    /// KiB more for each client than before the first.
    memory_each: f64,
    /// Seconds.
    all_in: f64,
    /// Milliseconds, in order.
    acked: Vec<f64>,
    /// The same; empty where there is one client.
    delivered: Vec<f64>,
    /// Milliseconds until the last of a message from every other client was delivered.
    burst: f64,
}

fn main() {
    let words: Vec<String> = env::args().skip(1).collect();
    if was_server(&words) {
        return;
    }
    let named: Vec<usize> = words.iter().map(|word| word.parse().expect("a number of clients")).collect();
    let sizes = if named.is_empty() { SIZES.to_vec() } else { named };
    let lines: Vec<Line> = sizes.into_iter().map(measure).collect();
    print_table(&lines);
    plot("memory, MiB", &lines, |line| line.memory as f64 / 1024.0);
    plot("all logged in, s", &lines, |line| line.all_in);
    plot("ACK of a message, ms, median", &lines, |line| percentile(&line.acked, 0.5));
}

fn measure(clients: usize) -> Line {
    let folder = Folder::new("capacity");
    let database = Database::Sqlite(folder.0.join("minim.db"));
    drop(Raw::make(&database, clients.next_multiple_of(2)));
    let options = ["--maxClients", "7000", "--patience", "100"]; // nobody answers a PING here
    let server = Process::start(&folder.0, &database, &options);
    let before = size(&server, "VmRSS:");
    let start = Instant::now();
    let mut people = log_all_in(server.chat, clients);
    let all_in = start.elapsed().as_secs_f64();
    let (threads, memory) = (size(&server, "Threads:"), size(&server, "VmRSS:"));
    let (mut acked, mut delivered) = (Vec::new(), Vec::new());
    for sample in 0..SAMPLES {
        // Spread over all pairs; the first of a pair sends.
        let place = sample * (clients / 2).max(1) / SAMPLES * 2;
        let start = Instant::now();
        people[place].say(sample as u64 + 1);
        people[place].wait_for(|message| matches!(message, FromServer::Ack { .. }));
        acked.push(start.elapsed().as_secs_f64() * 1e3);
        if let Some(friend) = people.get_mut(place + 1) {
            friend.wait_for(|message| matches!(message, FromServer::ChatSendMsg { .. }));
            delivered.push(start.elapsed().as_secs_f64() * 1e3);
        }
    }
    let start = Instant::now();
    for pair in people.chunks_exact_mut(2) {
        pair[0].say(1_000_000);
    }
    for pair in people.chunks_exact_mut(2) {
        pair[1].wait_for(|message| matches!(message, FromServer::ChatSendMsg { .. }));
    }
    let burst = start.elapsed().as_secs_f64() * 1e3;
    [&mut acked, &mut delivered].into_iter().for_each(|times| times.sort_by(f64::total_cmp));
    let memory_each = (memory - before) as f64 / clients as f64;
    Line { clients, threads, memory, memory_each, all_in, acked, delivered, burst }
}

/// A number of the server's /proc/PID/status.
fn size(server: &Process, name: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", server.child.id())).expect("its status");
    let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("a line of status");
    line.split_whitespace().next().and_then(|word| word.parse().ok()).expect("a number")
}

/// One user who is online: `uid` counts from 1, and so does the friend's.
struct Client {
    uid: u64,
    socket: Socket,
    sender: Sender,
    receiver: Receiver,
}

/// All of them, in the order of their uids.
fn log_all_in(chat: SocketAddr, clients: usize) -> Vec<Client> {
    let next = AtomicUsize::new(1);
    let work = || {
        let mut mine = Vec::new();
        loop {
            let uid = next.fetch_add(1, Relaxed);
            if uid > clients {
                return mine;
            }
            mine.push(Client::log_in(chat, uid as u64));
        }
    };
    let mut people: Vec<Client> = thread::scope(|scope| {
        let threads: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(work)).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("all log in")).collect()
    });
    people.sort_by_key(|client| client.uid);
    people
}

impl Client {
    fn log_in(chat: SocketAddr, uid: u64) -> Client {
        let socket = socket::connect(chat, DEADLINE, "C", &Trace::off()).expect("a server");
        let hello = hello_as_client(&socket, PASSPHRASE.as_bytes(), Instant::now() + DEADLINE);
        let (sender, receiver) = hello.expect("a server of minim");
        let mut client = Client { uid, socket, sender, receiver };
        let (login_name, pwd) = (format!("u{uid}"), PASSWORD.to_owned());
        client.send(&FromClient::Login { client_no: 0, login_name, pwd });
        client.wait_for(|message| matches!(message, FromServer::LoginOk { .. }));
        client.receiver.after_login();
        client.send(&FromClient::Ping); // its answer stands behind all that LOGIN brings
        client.wait_for(|message| matches!(message, FromServer::Pong));
        client
    }

    fn send(&mut self, request: &FromClient) {
        self.sender
            .send(&self.socket, &encode(request), Instant::now() + DEADLINE)
            .expect("the server reads");
    }

    /// A text of 100 bytes to the friend: 1 and 2 are friends, 3 and 4, and so on.
    fn say(&mut self, client_no: u64) {
        let to_id = ((self.uid - 1) ^ 1) + 1;
        let (msg_type, msg_text) = ("TEXT".to_owned(), "x".repeat(100));
        let text = ChatSendMsg { client_no, is_friend: true, to_id, send_time: 0, msg_type, msg_text };
        self.send(&FromClient::ChatSendMsg(text));
    }

    /// Passes over what is not wanted, such as who came online.
    fn wait_for(&mut self, is_wanted: impl Fn(&FromServer) -> bool) {
        loop {
            let body = self.receiver.receive(&self.socket, Instant::now() + DEADLINE);
            let body = body.expect("an answer in time").expect("the server is there");
            let message = serde_json::from_slice(&body).expect("a message of minim");
            if is_wanted(&message) {
                return;
            }
            assert!(!matches!(message, FromServer::Error { .. }), "user {}: {message:?}", self.uid);
        }
    }
}

fn print_table(lines: &[Line]) {
    println!("clients  threads  memory, KiB   each  all in, s  ACK, ms  99 %  delivered  99 %  all at once");
    for line in lines {
        let Line { clients, threads, memory, memory_each, all_in, acked, delivered, burst } = line;
        print!("{clients:7}{threads:9}{memory:13}{memory_each:7.0}{all_in:11.2}");
        print!("{:9.2}{:6.2}", percentile(acked, 0.5), percentile(acked, 0.99));
        match delivered.is_empty() {
            true => println!("{:>11}{:>6}{:>13}", "-", "-", "-"),
            false => {
                println!(
                    "{:11.2}{:6.2}{burst:10.0} ms",
                    percentile(delivered, 0.5),
                    percentile(delivered, 0.99)
                )
            }
        }
    }
}

/// A bar for each size, the longest of 50 columns.
fn plot(title: &str, lines: &[Line], figure: impl Fn(&Line) -> f64) {
    let most = lines.iter().map(&figure).fold(f64::MIN_POSITIVE, f64::max);
    println!("\n{title}");
    for line in lines {
        let value = figure(line);
        println!("{:7} | {} {value:.2}", line.clients, "#".repeat((value / most * 50.0).round() as usize));
    }
}

/// So long, in milliseconds, took `share` of all at most; `times` are in order.
fn percentile(times: &[f64], share: f64) -> f64 {
    times[((times.len() as f64 * share).ceil() as usize).saturating_sub(1)]
}
