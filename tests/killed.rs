//! Nothing acknowledged is lost or doubled, whatever is killed: no part of `cargo test`, since it takes a minute. It kills
//! the server 20 times and, where there is one, the database server 5 times, under the load of 10 clients:
//!
//!     cargo test --test killed -- --nocapture
//!     tests/mariadb.sh cargo test --test killed -- --nocapture
//!
//! Each client numbers its messages, and sends one that was not acknowledged again, over the next connection. In the end
//! every number that was acknowledged must stand in the records once, under the id that was acknowledged, with its text,
//! and nothing else; and the friend must have got it under that id and no other.

#![cfg(feature = "sqlite")] // the database of the server where no other is named

mod common;

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use common::peer::{Peer, password};
use common::{DEADLINE, PASSPHRASE, Server};
use minim::message::{ChatSendMsg, Code, FromClient, FromServer, encode};
use minim::socket::{self, Socket};
use minim::trace::Trace;
use minim::wire;
use serde_json::Value;

const CLIENTS: u64 = 10;
const IN_FLIGHT: usize = 8;
const KILLS_OF_SERVER: usize = 20;
const KILLS_OF_DATABASE: usize = 5;
/// ACKs between two kills, of all clients together.
const ACKS: usize = 300;
/// For everything: whoever is not done by then never will be.
const ALL: Duration = Duration::from_secs(300);

/// One user, over as many connections as it takes.
struct Client {
    uid: u64,
    friend: u64,
    /// Text by clientNo: sent, or about to be.
    open: BTreeMap<u64, String>,
    /// id by clientNo.
    acked: HashMap<u64, u64>,
    /// What the friend wrote, by id.
    came: HashMap<u64, String>,
    told: Sender<()>,
}

fn name(uid: u64) -> String {
    format!("user{uid}")
}

fn text(uid: u64, number: u64) -> String {
    format!("{uid} says {number}")
}

impl Client {
    fn live(mut self, server: SocketAddr, is_enough: &AtomicBool) -> Client {
        let end = Instant::now() + ALL;
        while self.session(server, is_enough).is_err() {
            assert!(Instant::now() < end, "user {} still has {} open", self.uid, self.open.len());
            thread::yield_now();
        }
        self
    }

    /// One connection. An error: it broke, which is what happens here.
    fn session(&mut self, server: SocketAddr, is_enough: &AtomicBool) -> io::Result<()> {
        let deadline = Instant::now() + ALL;
        let socket = socket::connect(server, DEADLINE, "C", &Trace::off())?;
        let (mut sender, mut receiver) = wire::hello_as_client(&socket, PASSPHRASE.as_bytes(), deadline)?;
        let (login_name, pwd) = (name(self.uid), password(&name(self.uid)));
        self.send(&socket, &mut sender, &FromClient::Login { client_no: 0, login_name, pwd })?;
        receiver.after_login();
        let mut is_logged_in = false;
        loop {
            if is_logged_in && is_enough.load(Ordering::Relaxed) && self.open.is_empty() {
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
                    let id = id.expect("the id of a message");
                    let earlier = self.acked.insert(client_no, id);
                    assert!(earlier.is_none_or(|earlier| earlier == id), "{client_no}: {earlier:?} and {id}");
                    self.open.remove(&client_no);
                    let _ = self.told.send(());
                }
                FromServer::Error { client_no, refusal } => {
                    assert_eq!(refusal.code, Code::DatabaseDown, "{}", refusal.text);
                    match client_no {
                        Some(number @ 1..) => self.say(&socket, &mut sender, number)?,
                        _ => return Err(io::ErrorKind::NotConnected.into()), // LOGIN
                    }
                }
                FromServer::ChatSendMsg { envelope, msg_text } => {
                    let earlier = self.came.insert(envelope.id, msg_text.clone());
                    assert!(earlier.is_none_or(|earlier| earlier == msg_text), "id {} twice", envelope.id);
                    self.send(&socket, &mut sender, &FromClient::ChatReceived { ids: vec![envelope.id] })?;
                }
                FromServer::Ping => self.send(&socket, &mut sender, &FromClient::Pong)?,
                _ => {}
            }
            while is_logged_in && self.open.len() < IN_FLIGHT && !is_enough.load(Ordering::Relaxed) {
                let number = (self.acked.len() + self.open.len() + 1) as u64;
                self.open.insert(number, text(self.uid, number));
                self.say(&socket, &mut sender, number)?;
            }
        }
    }

    fn say(&self, socket: &Socket, sender: &mut wire::Sender, number: u64) -> io::Result<()> {
        let request = ChatSendMsg {
            client_no: number,
            is_friend: true,
            to_id: self.friend,
            send_time: 0,
            msg_type: "TEXT".to_owned(),
            msg_text: self.open[&number].clone(),
        };
        self.send(socket, sender, &FromClient::ChatSendMsg(request))
    }

    fn send(&self, socket: &Socket, sender: &mut wire::Sender, request: &FromClient) -> io::Result<()> {
        socket.send(&sender.seal(&encode(request)), Instant::now() + DEADLINE)
    }
}

/// Waits until so many more are acknowledged.
fn wait_for(acks: usize, told: &Receiver<()>) {
    for _ in 0..acks {
        told.recv_timeout(DEADLINE).expect("an ACK");
    }
}

/// All records of a conversation, oldest first.
fn records(server: &Server, reader: &Peer, with: u64) -> Vec<Value> {
    let (mut all, mut before) = (Vec::new(), String::new());
    loop {
        let target = format!("/getChatRecords?isFriend=true&toId={with}&limit=100{before}");
        let answer = server.get(&target, Some(&reader.session_id));
        let page = answer["data"].as_array().expect("a list").clone();
        let Some(oldest) = page.first() else { return all };
        before = format!("&beforeId={}", oldest["id"]);
        all.splice(0..0, page);
    }
}

#[test]
fn nothing_acknowledged_is_lost_or_doubled_whatever_is_killed() {
    let mut server = Server::start();
    let mut peers: Vec<Peer> = (1..=CLIENTS).map(|uid| server.new_user(&name(uid))).collect();
    for pair in peers.chunks_mut(2) {
        let [one, other] = pair else { panic!("an even number") };
        server.befriend(one, other);
    }
    drop(peers);

    let (told, tellings) = channel();
    let is_enough = Arc::new(AtomicBool::new(false));
    let address = server.chat;
    let clients: Vec<_> = (1..=CLIENTS)
        .map(|uid| {
            let (told, is_enough) = (told.clone(), is_enough.clone());
            let friend = if uid % 2 == 1 { uid + 1 } else { uid - 1 };
            let (open, acked, came) = (BTreeMap::new(), HashMap::new(), HashMap::new());
            let client = Client { uid, friend, open, acked, came, told };
            thread::spawn(move || client.live(address, &is_enough))
        })
        .collect();
    for _ in 0..KILLS_OF_SERVER {
        wait_for(ACKS, &tellings);
        server.start_again(); // kill -9 first
    }
    let mut kills_of_database = 0;
    if let Ok(pid_file) = std::env::var("MINIM_TEST_DATABASE_PID") {
        while kills_of_database < KILLS_OF_DATABASE {
            wait_for(ACKS, &tellings);
            let pid = std::fs::read_to_string(&pid_file).expect("a process");
            assert!(Command::new("kill").args(["-9", pid.trim()]).status().expect("kill").success());
            kills_of_database += 1;
        }
    }
    wait_for(ACKS, &tellings);
    is_enough.store(true, Ordering::Relaxed);
    let mut clients: Vec<Client> =
        clients.into_iter().map(|client| client.join().expect("a client that got all")).collect();

    for client in &mut clients {
        let mut peer = server.log_in(&name(client.uid));
        peer.fence(); // what waited has come
        for message in peer.put_aside().iter().filter(|message| message["type"] == "CHAT_SEND_MSG") {
            let (id, text) = (message["id"].as_u64().unwrap(), message["msgText"].as_str().unwrap());
            client.came.insert(id, text.to_owned());
        }
    }
    let mut all = 0;
    for pair in clients.chunks(2) {
        let mut wanted: BTreeMap<u64, String> = BTreeMap::new();
        for (one, other) in [(&pair[0], &pair[1]), (&pair[1], &pair[0])] {
            let sent: BTreeMap<u64, String> =
                one.acked.iter().map(|(&number, &id)| (id, text(one.uid, number))).collect();
            assert_eq!(sent.len(), one.acked.len(), "an id for each number of user {}", one.uid);
            let came: BTreeMap<u64, String> = other.came.clone().into_iter().collect();
            assert_eq!(came, sent, "user {} got what user {} sent", other.uid, one.uid);
            wanted.extend(sent);
        }
        let reader = server.log_in(&name(pair[0].uid));
        let stored: Vec<(u64, String)> = records(&server, &reader, pair[1].uid)
            .iter()
            .map(|row| (row["id"].as_u64().unwrap(), row["msgText"].as_str().unwrap().to_owned()))
            .collect();
        assert_eq!(
            stored,
            wanted.into_iter().collect::<Vec<_>>(),
            "users {} and {}",
            pair[0].uid,
            pair[1].uid
        );
        all += stored.len();
    }
    println!(
        "{all} messages acknowledged, none lost, none doubled: server killed {KILLS_OF_SERVER} times, \
         database server {kills_of_database} times"
    );
}
