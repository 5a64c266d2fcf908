//! Ten clients who write to each other all the time, whatever happens to the server, and the account of it in the end.
//!
//! Each client numbers its messages and sends one that was not acknowledged again, over the next connection. In the end every
//! number that was acknowledged must stand in the records once, under the id that was acknowledged, with its text, and nothing
//! else; and the friend must have got it under that id and no other.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use minim::message::{ChatSendMsg, Code, FromClient, FromServer, encode};
use minim::socket::{self, Socket};
use minim::trace::Trace;
use minim::wire;
use serde_json::Value;

use crate::common::peer::password;
use crate::common::{DEADLINE, PASSPHRASE, befriend, get};
use crate::site::{Site, Size, wait_until};

const CLIENTS: u64 = 10;
const IN_FLIGHT: usize = 8;
/// For everything: whoever is not done by then never will be.
const ALL: Duration = Duration::from_secs(600);
/// KiB that may stay: prepared statements and what the allocator keeps, which 15,000 messages fill as 300,000 do.
const STAYS: u64 = 32 * 1024;
/// Between two tries to connect: ten clients without pause would keep the server from starting.
const AGAIN: Duration = Duration::from_millis(20);

/// What the clients are to do: `GO_ON`, send what is open and end, or end at once.
const GO_ON: u8 = 0;
const ENOUGH: u8 = 1;
const LEAVE: u8 = 2;

/// What a client tells of an answer.
#[derive(PartialEq)]
enum Told {
    Ack,
    Refusal,
}

/// Ten clients at work. Dropped, they leave.
pub struct Load {
    clients: Vec<JoinHandle<Client>>,
    told: Receiver<Told>,
    order: Arc<AtomicU8>,
    start: Size,
}

/// What became of all messages.
pub struct Report {
    pub acked: usize,
    pub lost: usize,
    pub doubled: usize,
    /// The longest that a message waited for its ACK, from the first time that it was sent.
    pub worst_wait: Duration,
    /// At the start of the load and after it. None: the server was started again.
    pub sizes: Option<[Size; 2]>,
    /// Something more that was measured.
    pub note: String,
}

impl Report {
    /// Whether nothing was lost or doubled, and memory and threads have come back.
    pub fn is_kept(&self) -> bool {
        let is_back = self.sizes.is_none_or(|[before, after]| {
            after.threads <= before.threads && after.memory <= before.memory + STAYS
        });
        self.lost == 0 && self.doubled == 0 && is_back
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Report { acked, lost, doubled, worst_wait, sizes, note } = self;
        write!(f, "acknowledged {acked} · lost {lost} · doubled {doubled} · worst wait {worst_wait:.1?}")?;
        if let Some([before, after]) = sizes {
            write!(f, " · memory {} -> {} KiB", before.memory, after.memory)?;
            write!(f, " · threads {} -> {}", before.threads, after.threads)?;
        }
        write!(f, "{note}")
    }
}

impl Load {
    /// Registers the users, in pairs of friends, the first of this server, and starts them.
    pub fn start(site: &Site) -> Load {
        for uid in (1..CLIENTS).step_by(2) {
            let (one, mut other) = (site.new_user(&name(uid)), site.new_user(&name(uid + 1)));
            assert_eq!((one.uid, other.uid), (uid, uid + 1));
            befriend(site.http, &one, &mut other);
        }
        let (teller, told) = channel();
        let order = Arc::new(AtomicU8::new(GO_ON));
        let address = site.chat;
        let start = |uid| {
            let client = Client::new(uid, teller.clone(), order.clone());
            thread::spawn(move || client.live(address))
        };
        let clients = (1..=CLIENTS).map(start).collect();
        let mut load = Load { clients, told, order, start: site.size() };
        load.acks(CLIENTS as usize * IN_FLIGHT);
        load.start = site.size(); // at work
        load
    }

    /// Waits until so many more are acknowledged.
    pub fn acks(&self, count: usize) {
        (0..count).for_each(|_| while self.next() != Told::Ack {});
    }

    /// Waits until a client is refused because nothing can be stored.
    pub fn refusal(&self) {
        while self.next() != Told::Refusal {}
    }

    fn next(&self) -> Told {
        self.told.recv_timeout(DEADLINE).expect("an answer to one of ten clients")
    }

    /// Has everything sent that is open, and counts. `is_same`: it is the process that it was at the start.
    pub fn end(mut self, site: &Site, is_same: bool) -> Report {
        self.order.store(ENOUGH, Relaxed);
        let clients = std::mem::take(&mut self.clients);
        let mut clients: Vec<Client> =
            clients.into_iter().map(|client| client.join().expect("a client that got all")).collect();
        clients.iter_mut().for_each(|client| client.take_what_waits(site));
        let (mut lost, mut doubled) = (0, 0);
        for pair in clients.chunks(2) {
            let rows = records(site, &pair[0]);
            for (one, other) in [(&pair[0], &pair[1]), (&pair[1], &pair[0])] {
                let (missing, twice) = one.account(other, &rows);
                lost += missing;
                doubled += twice;
            }
        }
        let sizes = is_same.then(|| {
            wait_until("its threads end", || site.size().threads <= self.start.threads);
            [self.start, site.size()]
        });
        let worst_wait = clients.iter().map(|client| client.worst_wait).max().unwrap_or_default();
        let acked = clients.iter().map(|client| client.acked.len()).sum();
        Report { acked, lost, doubled, worst_wait, sizes, note: String::new() }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.order.store(LEAVE, Relaxed);
    }
}

/// One user, over as many connections as it takes.
struct Client {
    uid: u64,
    friend: u64,
    /// Text by clientNo, and when it was sent first: sent, or about to be.
    open: BTreeMap<u64, (String, Instant)>,
    /// id by clientNo.
    acked: HashMap<u64, u64>,
    /// What the friend wrote, by id.
    came: BTreeMap<u64, String>,
    worst_wait: Duration,
    teller: Sender<Told>,
    order: Arc<AtomicU8>,
}

fn name(uid: u64) -> String {
    format!("user{uid}")
}

fn text(uid: u64, number: u64) -> String {
    format!("{uid} says {number}")
}

impl Client {
    fn new(uid: u64, teller: Sender<Told>, order: Arc<AtomicU8>) -> Client {
        let friend = if uid % 2 == 1 { uid + 1 } else { uid - 1 };
        let (open, acked, came) = (BTreeMap::new(), HashMap::new(), BTreeMap::new());
        Client { uid, friend, open, acked, came, worst_wait: Duration::ZERO, teller, order }
    }

    fn live(mut self, server: SocketAddr) -> Client {
        let end = Instant::now() + ALL;
        while self.session(server).is_err() && self.order() != LEAVE {
            assert!(Instant::now() < end, "user {} still has {} open", self.uid, self.open.len());
            thread::sleep(AGAIN);
        }
        self
    }

    fn order(&self) -> u8 {
        self.order.load(Relaxed)
    }

    /// One connection. An error: it broke, which is what happens here.
    fn session(&mut self, server: SocketAddr) -> io::Result<()> {
        let deadline = Instant::now() + ALL;
        let socket = socket::connect(server, DEADLINE, "C", &Trace::off())?;
        let (mut sender, mut receiver) = wire::hello_as_client(&socket, PASSPHRASE.as_bytes(), deadline)?;
        let (login_name, pwd) = (name(self.uid), password(&name(self.uid)));
        self.send(&socket, &mut sender, &FromClient::Login { client_no: 0, login_name, pwd })?;
        receiver.after_login();
        let mut is_logged_in = false;
        loop {
            if is_logged_in && self.order() != GO_ON && self.open.is_empty() {
                return Ok(());
            }
            let body = receiver.receive(&socket, deadline)?.ok_or(io::ErrorKind::UnexpectedEof)?;
            match serde_json::from_slice(&body)? {
                FromServer::LoginOk { .. } => {
                    is_logged_in = true;
                    for number in self.open.keys().copied().collect::<Vec<_>>() {
                        self.say(&socket, &mut sender, number)?;
                    }
                }
                FromServer::Ack { client_no, id, .. } => {
                    self.take_ack(client_no, id.expect("the id of a message"))
                }
                FromServer::Error { client_no, refusal } => {
                    let is_passing = matches!(refusal.code, Code::DatabaseDown | Code::DiskFull);
                    assert!(is_passing, "{refusal:?}");
                    let _ = self.teller.send(Told::Refusal);
                    match client_no {
                        Some(number @ 1..) => self.say(&socket, &mut sender, number)?,
                        _ => return Err(io::ErrorKind::NotConnected.into()), // LOGIN
                    }
                }
                FromServer::ChatSendMsg { envelope, msg_text } => {
                    self.came.insert(envelope.id, msg_text);
                    self.send(&socket, &mut sender, &FromClient::ChatReceived { ids: vec![envelope.id] })?;
                }
                FromServer::Ping => self.send(&socket, &mut sender, &FromClient::Pong)?,
                _ => {}
            }
            while is_logged_in && self.open.len() < IN_FLIGHT && self.order() == GO_ON {
                let number = (self.acked.len() + self.open.len() + 1) as u64;
                self.open.insert(number, (text(self.uid, number), Instant::now()));
                self.say(&socket, &mut sender, number)?;
            }
        }
    }

    fn take_ack(&mut self, number: u64, id: u64) {
        let earlier = self.acked.insert(number, id);
        assert!(earlier.is_none_or(|earlier| earlier == id), "{number}: {earlier:?} and {id}");
        if let Some((_, sent)) = self.open.remove(&number) {
            self.worst_wait = self.worst_wait.max(sent.elapsed());
        }
        let _ = self.teller.send(Told::Ack);
    }

    fn say(&self, socket: &Socket, sender: &mut wire::Sender, number: u64) -> io::Result<()> {
        let request = ChatSendMsg {
            client_no: number,
            is_friend: true,
            to_id: self.friend,
            send_time: 0,
            msg_type: "TEXT".to_owned(),
            msg_text: self.open[&number].0.clone(),
        };
        self.send(socket, sender, &FromClient::ChatSendMsg(request))
    }

    fn send(&self, socket: &Socket, sender: &mut wire::Sender, request: &FromClient) -> io::Result<()> {
        socket.send(&sender.seal(&encode(request)), Instant::now() + DEADLINE)
    }

    /// What was pushed to nobody comes at the next login.
    fn take_what_waits(&mut self, site: &Site) {
        let mut peer = site.log_in(&name(self.uid));
        for message in peer.take_aside().iter().filter(|message| message["type"] == "CHAT_SEND_MSG") {
            let (id, text) = id_and_text(message);
            self.came.insert(id, text);
        }
    }

    /// How many of our acknowledged messages are missing in the records or at the friend's, and how many are there twice.
    fn account(&self, friend: &Client, rows: &[(u64, u64, String)]) -> (usize, usize) {
        let sent: BTreeMap<u64, String> =
            self.acked.iter().map(|(&number, &id)| (id, text(self.uid, number))).collect();
        let stored: BTreeMap<u64, &String> =
            rows.iter().filter(|row| row.1 == self.uid).map(|(id, _, text)| (*id, text)).collect();
        let is_there = |id, text| stored.get(id) == Some(&text) && friend.came.get(id) == Some(text);
        let under_one_id = self.acked.len() - sent.len();
        let lost = sent.iter().filter(|(id, text)| !is_there(*id, *text)).count() + under_one_id;
        let more = |came: usize| came.saturating_sub(sent.len());
        (lost, more(stored.len()) + more(friend.came.len()))
    }
}

fn id_and_text(message: &Value) -> (u64, String) {
    (message["id"].as_u64().expect("an id"), message["msgText"].as_str().expect("a text").to_owned())
}

/// All records of a client with its friend, oldest first: id, who wrote it, text.
fn records(site: &Site, client: &Client) -> Vec<(u64, u64, String)> {
    let reader = site.log_in(&name(client.uid));
    let (mut all, mut before) = (Vec::new(), String::new());
    loop {
        let target = format!("/getChatRecords?isFriend=true&toId={}&limit=100{before}", client.friend);
        let answer = get(site.http, &target, Some(&reader.session_id));
        let page = answer["data"].as_array().expect("a list").clone();
        let Some(oldest) = page.first() else { break };
        before = format!("&beforeId={}", oldest["id"]);
        all.splice(0..0, page);
    }
    let ids: Vec<u64> = all.iter().map(|row| id_and_text(row).0).collect();
    assert!(ids.is_sorted(), "the records stand in the order of their ids");
    all.iter()
        .map(|row| (id_and_text(row).0, row["fromId"].as_u64().expect("a uid"), id_and_text(row).1))
        .collect()
}
