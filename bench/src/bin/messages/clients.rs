//! The clients: a thread each, in pairs of friends, on minim's own wire. Start with `connect`.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::{Arc, Barrier};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use minim::config::PASSPHRASE;
use minim::message::{FromClient, FromServer, encode};
use minim::socket::{self, Socket};
use minim::trace::Trace;
use minim::wire::{Receiver, Sender, hello_as_client};

use crate::raw::PASSWORD;
use crate::{IN_FLIGHT, Times, friend_of, people_of, request};

/// For all that a client does in a round: whatever is missing by then is lost.
const DEADLINE: Duration = Duration::from_secs(60);

/// Clients that are logged in and wait for each other.
pub struct People {
    threads: Vec<JoinHandle<Client>>,
    start: Arc<Barrier>,
}

struct Client {
    uid: u64,
    socket: Socket,
    sender: Sender,
    receiver: Receiver,
    deadline: Instant,
    /// When message `n` was sent: its number is the place.
    sent: Vec<Instant>,
    /// Its id, and when that came.
    acked: Vec<Option<(u64, Instant)>>,
    /// The same of the friend's messages: the id under which message `n` came.
    came: Vec<Option<(u64, Instant)>>,
}

/// Logs in users from `first_uid` on, of whom the first `clients` will send `of_each` messages.
pub fn connect(server: SocketAddr, first_uid: u64, clients: usize, of_each: usize) -> People {
    let people = people_of(clients);
    let start = Arc::new(Barrier::new(people + 1));
    let sends = move |place: usize| if place < clients { of_each } else { 0 };
    let mut threads = Vec::new();
    for place in 0..people {
        let start = start.clone();
        let talk = move || {
            let mut client = Client::log_in(server, first_uid + place as u64);
            start.wait(); // all are online
            start.wait(); // the clock runs
            client.talk(sends(place), sends(place ^ 1));
            client
        };
        threads.push(thread::Builder::new().stack_size(512 * 1024).spawn(talk).expect("a thread"));
    }
    start.wait();
    People { threads, start }
}

impl People {
    /// All talk until everybody has everything.
    pub fn talk(self) -> Times {
        self.start.wait();
        let join = |thread: JoinHandle<Client>| thread.join().expect("a client that got all");
        let clients: Vec<Client> = self.threads.into_iter().map(join).collect();
        let (mut times, mut ids) = (Times::default(), HashSet::new());
        for pair in clients.chunks(2) {
            for (from, to) in [(&pair[0], &pair[1]), (&pair[1], &pair[0])] {
                assert_eq!((from.sent.len(), from.acked.len()), (to.came.len(), to.came.len()), "all came");
                for (number, sent) in from.sent.iter().enumerate() {
                    let (id, acked) = from.acked[number].expect("an ACK for each number");
                    let (pushed_id, came) = to.came[number].expect("each number reached the friend");
                    assert_eq!(id, pushed_id, "number {number} of {} has one id", from.uid);
                    assert!(ids.insert(id), "id {id} is there once");
                    times.stored.push(acked - *sent);
                    times.delivered.push(came - *sent);
                }
            }
        }
        times
    }
}

impl Client {
    fn log_in(server: SocketAddr, uid: u64) -> Client {
        let deadline = Instant::now() + DEADLINE;
        let socket = socket::connect(server, DEADLINE, "C", &Trace::off()).expect("a server");
        let (sender, receiver) =
            hello_as_client(&socket, PASSPHRASE.as_bytes(), deadline).expect("a server of minim");
        let (sent, acked, came) = (Vec::new(), Vec::new(), Vec::new());
        let mut client = Client { uid, socket, sender, receiver, deadline, sent, acked, came };
        let (login_name, pwd) = (format!("u{uid}"), PASSWORD.to_owned());
        client.send(&[FromClient::Login { client_no: 0, login_name, pwd }]);
        assert!(matches!(client.receive(), FromServer::LoginOk { .. }), "{uid} logs in");
        client.receiver.after_login();
        client.send(&[FromClient::Ping]); // its answer stands behind all that waited
        while !matches!(client.receive(), FromServer::Pong) {}
        client
    }

    /// Several requests in one call, as a client sends that has them all.
    fn send(&mut self, requests: &[FromClient]) {
        let frames: Vec<Vec<u8>> = requests.iter().map(|one| self.sender.seal(&encode(one))).collect();
        self.socket.send(&frames.concat(), self.deadline).expect("the server reads");
    }

    fn receive(&mut self) -> FromServer {
        let body = self.receiver.receive(&self.socket, self.deadline);
        let body = body.unwrap_or_else(|error| panic!("{error}; {}", self.standing()));
        let body = body.unwrap_or_else(|| panic!("the server has closed; {}", self.standing()));
        serde_json::from_slice(&body).expect("a message of minim")
    }

    fn standing(&self) -> String {
        let count = |list: &[Option<_>]| format!("{} of {}", list.iter().flatten().count(), list.len());
        format!(
            "user {}: sent {}, ACKs {}, came {}",
            self.uid,
            self.sent.len(),
            count(&self.acked),
            count(&self.came)
        )
    }

    /// Sends `sends` messages, with `IN_FLIGHT` under way, until each has its ACK and `awaits` of the friend's came.
    fn talk(&mut self, sends: usize, awaits: usize) {
        self.deadline = Instant::now() + DEADLINE;
        self.acked = vec![None; sends];
        self.came = vec![None; awaits];
        self.send_next(IN_FLIGHT.min(sends));
        let mut missing = sends + awaits;
        while missing > 0 {
            match self.receive() {
                FromServer::Ack { client_no, id, .. } => {
                    note(&mut self.acked, client_no, id.expect("an id"));
                    if self.sent.len() < sends {
                        self.send_next(1);
                    }
                }
                FromServer::ChatSendMsg { envelope, msg_text } => {
                    assert_eq!(envelope.from_id, friend_of(self.uid), "a message of the friend's");
                    let number = msg_text[..9].parse().expect("a text begins with its number");
                    note(&mut self.came, number, envelope.id);
                }
                FromServer::FriendState { .. } => continue,
                other => panic!("{other:?}; {}", self.standing()),
            }
            missing -= 1;
        }
    }

    fn send_next(&mut self, count: usize) {
        let first = self.sent.len();
        let requests: Vec<FromClient> =
            (first..first + count).map(|number| FromClient::ChatSendMsg(request(self.uid, number))).collect();
        self.sent.extend(vec![Instant::now(); count]);
        self.send(&requests);
    }
}

/// Message `number` has come, for the first time.
fn note(list: &mut [Option<(u64, Instant)>], number: u64, id: u64) {
    let place = list.get_mut(number as usize).unwrap_or_else(|| panic!("nobody sent number {number}"));
    assert!(place.is_none(), "number {number} came twice: as {place:?} and as id {id}");
    *place = Some((id, Instant::now()));
}
