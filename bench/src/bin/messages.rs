//! How many messages a second minim's server takes, each one encrypted, stored, acknowledged and delivered; and beside that
//! what the same database takes without network, cipher and checks. In this folder:
//!
//!     cargo run --release --bin messages            on SQLite, in a fresh folder below TMPDIR: on a real disk, please
//!     ../tests/mariadb.sh cargo run --release --bin messages    then also on the MariaDB of MINIM_TEST_DATABASE
//!     cargo run --release --bin messages -- 1 50    end to end alone, with 1 and with 50 clients: something to profile
//!
//! The server is a process of its own: this program, started again with a hidden first word. Clients are threads here, in
//! pairs of friends who are both online; each keeps `IN_FLIGHT` messages under way and never waits for its friend. Nothing
//! is believed: each number must get one ACK and reach the friend once, under the same id, and no id comes twice.
//!
//! All contenders run in turn, round after round, so that whatever else the machine does hits all of them alike. A line has
//! the medians of the rounds, also of a round's median and 99th percentile of time. COMMITs are counted by the engine: how
//! many messages share one flush of the disk. Compare ratios; the speeds are one machine's on one day, and the clients' half
//! of the work is done by the same processor.

#[path = "messages/clients.rs"]
mod clients;
#[path = "messages/process.rs"]
mod process;
#[path = "messages/raw.rs"]
#[allow(dead_code)] // two programs use it, each a part
mod raw;

use std::env;
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use minim::config::Database;
use minim::message::ChatSendMsg;
use minim::store::Store;
use minim::trace::Trace;

use process::{Folder, Process, was_server};
use raw::Raw;

const ROUNDS: usize = 3;
/// Clients that send at once, and how many messages each of them sends in a round.
const CROWDS: [(usize, usize); 4] = [(1, 3_000), (10, 800), (50, 300), (200, 100)];
/// Messages that a client may have under way.
const IN_FLIGHT: usize = 16;
/// Threads of contenders that are no clients, and how many messages each sends in a round, one at a time.
const THREADS: usize = 50;
const OF_A_THREAD: usize = 400;
/// Messages in a round of the contender that is one thread.
const ALONE: usize = 3_000;
/// The clients whose speed is compared with that of the other contenders.
const YARDSTICK: usize = THREADS;

/// What one round of one contender came to.
struct Round {
    name: String,
    messages: usize,
    seconds: f64,
    /// Transactions that the engine committed meanwhile.
    commits: u64,
    times: Times,
}

/// From sending to the answer that the message is stored, and to the moment in which the friend has it.
#[derive(Default)]
struct Times {
    stored: Vec<Duration>,
    /// Empty where nobody gets it.
    delivered: Vec<Duration>,
}

fn main() {
    let words: Vec<String> = env::args().skip(1).collect();
    if was_server(&words) {
        return;
    }
    let only: Vec<usize> = words.iter().map(|word| word.parse().expect("a number of clients")).collect();
    let folder = Folder::new("messages");
    contest(&folder.0, &only, |name| Database::Sqlite(folder.0.join(format!("{name}.db"))));
    if let Ok(url) = env::var("MINIM_TEST_DATABASE") {
        let url = url.trim_end_matches('/');
        contest(&folder.0, &only, |name| Database::Mysql(format!("{url}/minim_messages_{name}")));
    }
}

/// All contenders on one engine, of which `database` gives one of a name; `only` clients, so many of them, unless that is
/// empty.
fn contest(folder: &Path, only: &[usize], database: impl Fn(&str) -> Database) {
    let is_wanted = |clients: usize| only.is_empty() || only.contains(&clients);
    let crowds: Vec<(usize, usize)> = CROWDS.into_iter().filter(|(clients, _)| is_wanted(*clients)).collect();
    let users = crowds.iter().map(|(clients, _)| ROUNDS * people_of(*clients)).sum();
    println!("\n{}", Raw::make(&database("server"), users).version());
    let mut server = Server::start(folder, database("server"));
    let (one, batches, stored) = (database("one"), database("batches"), database("store"));
    if only.is_empty() {
        [&one, &batches, &stored].into_iter().for_each(|place| drop(Raw::make(place, THREADS)));
    }
    let store = only.is_empty().then(|| Store::open(&stored, &Trace::off()).expect("a database of ours"));

    let mut rounds = Vec::new();
    for number in 0..ROUNDS {
        let mut round: Vec<Round> =
            crowds.iter().map(|(clients, of_each)| server.round(*clients, *of_each)).collect();
        if let Some(store) = &store {
            round.push(one_by_one(&one, number));
            round.push(in_batches(&batches, number));
            round.push(through_the_store(store, &stored, number));
        }
        rounds.push(round);
    }
    print_all(&rounds);
}

/// Clients come in pairs: a single one has a friend who only listens.
fn people_of(clients: usize) -> usize {
    clients.next_multiple_of(2)
}

fn end_to_end(clients: usize) -> String {
    format!("end to end, {clients} client{}", if clients == 1 { "" } else { "s" })
}

/// Does the work of one round, and counts what the engine committed meanwhile.
fn measure(name: String, messages: usize, place: &Database, work: impl FnOnce() -> Times) -> Round {
    let commits_before = raw::commits(place);
    let start = Instant::now();
    let times = work();
    let seconds = start.elapsed().as_secs_f64();
    let commits = raw::commits(place) - commits_before;
    Round { name, messages, seconds, commits, times }
}

/// A server, and who has not talked to it yet.
struct Server {
    process: Process,
    database: Database,
    /// Users of lower uid are used up: each round has fresh ones, for whom nothing waits.
    next_uid: u64,
}

impl Server {
    fn start(folder: &Path, database: Database) -> Server {
        Server { process: Process::start(folder, &database, &[]), database, next_uid: 1 }
    }

    fn round(&mut self, clients: usize, of_each: usize) -> Round {
        let people = clients::connect(self.process.chat, self.next_uid, clients, of_each);
        self.next_uid += people_of(clients) as u64;
        let name = end_to_end(clients);
        measure(name, clients * of_each, &self.database, || people.talk())
    }
}

/// (a) Bare SQL: one thread, one transaction for each message.
fn one_by_one(place: &Database, round: usize) -> Round {
    let mut db = Raw::open(place);
    measure("(a) bare, one by one".to_owned(), ALONE, place, || {
        let mut times = Times::default();
        for number in 0..ALONE {
            let start = Instant::now();
            db.insert(&[(1, request(1, round * ALONE + number))]);
            times.stored.push(start.elapsed());
        }
        times
    })
}

/// (b) Bare SQL: one thread writes, all that gathered in one transaction; the threads that send wait for it.
fn in_batches(place: &Database, round: usize) -> Round {
    let mut db = Raw::open(place);
    let name = format!("(b) bare, {THREADS} threads in batches");
    measure(name, THREADS * OF_A_THREAD, place, || {
        let (writer, jobs): (Sender<Job>, Receiver<Job>) = channel();
        let db = &mut db; // stays open until the COMMITs are counted
        thread::scope(|scope| {
            scope.spawn(move || {
                while let Ok(first) = jobs.recv() {
                    let (rows, answers): (Vec<Row>, Vec<Sender<()>>) =
                        [first].into_iter().chain(jobs.try_iter()).unzip();
                    db.insert(&rows);
                    answers.iter().for_each(|answer| answer.send(()).expect("who sent it waits"));
                }
            });
            from_all_threads(round, move |row| {
                let (answer, answered) = channel();
                writer.send((row, answer)).expect("the thread that writes");
                answered.recv().expect("an answer");
            })
        })
    })
}

/// (c) minim's own store with its checks, from as many threads as a server with so many clients has.
fn through_the_store(store: &Store, place: &Database, round: usize) -> Round {
    let name = format!("(c) the store, {THREADS} threads");
    measure(name, THREADS * OF_A_THREAD, place, || {
        from_all_threads(round, |(from, request)| {
            let stored = store
                .finish(store.begin_message(from, request.into()))
                .map_err(|refusal| refusal.text)
                .expect("stored");
            assert_eq!(stored.recipients.len(), 1, "it is new");
        })
    })
}

/// Who sends what.
type Row = (u64, ChatSendMsg);
type Job = (Row, Sender<()>);

/// Each of `THREADS` users sends their messages, one at a time, by `send`, which waits until it is stored.
fn from_all_threads(round: usize, send: impl Fn(Row) + Send + Sync) -> Times {
    let one = |uid: usize| {
        let mut times = Vec::new();
        for number in 0..OF_A_THREAD {
            let row = (uid as u64, request(uid as u64, round * OF_A_THREAD + number));
            let start = Instant::now();
            send(row);
            times.push(start.elapsed());
        }
        times
    };
    let one = &one;
    let stored = thread::scope(|scope| {
        let threads: Vec<_> = (1..=THREADS).map(|uid| scope.spawn(move || one(uid))).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("a thread that sends")).collect()
    });
    drop(send);
    Times { stored, delivered: Vec::new() }
}

/// A message to the friend of `uid`, who is the other one of the pair.
fn request(uid: u64, client_no: usize) -> ChatSendMsg {
    let to_id = friend_of(uid);
    let msg_text = format!("{client_no:09} {}", "a text as long as most are ".repeat(4))[..100].to_owned();
    let client_no = client_no as u64;
    ChatSendMsg { client_no, is_friend: true, to_id, send_time: 0, msg_type: "TEXT".to_owned(), msg_text }
}

/// 1 and 2 are friends, 3 and 4, and so on.
fn friend_of(uid: u64) -> u64 {
    ((uid - 1) ^ 1) + 1
}

fn print_all(rounds: &[Vec<Round>]) {
    println!(
        "{:38}{:>11}{:>14}{:>9}{:>13}{:>9}{:>13}",
        "", "messages/s", "stored, ms", "99 %", "delivered", "99 %", "per COMMIT"
    );
    for (place, line) in rounds[0].iter().enumerate() {
        let of_rounds =
            |figure: &dyn Fn(&Round) -> f64| median(rounds.iter().map(|round| figure(&round[place])));
        let rate = of_rounds(&Round::rate);
        print!("{:38}{rate:11.0}", line.name);
        let stored = |share: f64| of_rounds(&|round| percentile(&round.times.stored, share));
        print!("{:14.2}{:9.2}", stored(0.5), stored(0.99));
        let delivered = |share: f64| of_rounds(&|round| percentile(&round.times.delivered, share));
        match line.times.delivered.is_empty() {
            true => print!("{:22}", ""),
            false => print!("{:13.2}{:9.2}", delivered(0.5), delivered(0.99)),
        }
        println!("{:13.1}", of_rounds(&|round| round.messages as f64 / round.commits as f64));
    }
    let Some(yardstick) = rounds[0].iter().position(|round| round.name == end_to_end(YARDSTICK)) else {
        return;
    };
    for (place, line) in rounds[0].iter().enumerate().filter(|(_, line)| line.name.starts_with('(')) {
        let ratio = median(rounds.iter().map(|round| round[yardstick].rate() / round[place].rate()));
        println!("{} is {ratio:.2} x {}", end_to_end(YARDSTICK), line.name);
    }
}

impl Round {
    fn rate(&self) -> f64 {
        self.messages as f64 / self.seconds
    }
}

/// In milliseconds: so long took `share` of all at most.
fn percentile(times: &[Duration], share: f64) -> f64 {
    let mut times = times.to_vec();
    times.sort();
    let place = ((times.len() as f64 * share).ceil() as usize).saturating_sub(1);
    times[place].as_secs_f64() * 1e3
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
