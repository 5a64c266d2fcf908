//! Lab 08: Alice's connections to minim, all of them through the student's relay, and what Mallory does to a frame of hers.
//! Start with `Place::attack`.

use std::io::ErrorKind::{TimedOut, WouldBlock};
use std::io::Write;
use std::iter::from_fn;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::thread;

use minim::{limits::MAX_FRAME, wire::LENGTH_SIZE, wire::MAGIC, wire::frame_length};
use serde_json::{Value, json};

use crate::common::peer::{Peer, password};
use crate::common::{DEADLINE, PASSPHRASE, Server, connect, read_to_end};
use crate::work::{self, Direction};

/// The id of a test. However it fails, in the harness too, its last line says where the contract is written.
pub struct Contract(pub &'static str);

impl Drop for Contract {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("    Contract {} in labs/08-sniff-replay-flip/README.md", self.0);
        }
    }
}

/// Fails with the id, what was sent, what came and what should have come, unless that came.
pub fn expect<T: PartialEq + std::fmt::Debug>(id: &str, sent: &str, came: T, expected: T) {
    assert!(
        came == expected,
        "\n    {id} · sent: {sent}\n       came: {came:?}\n       expected: {expected:?}"
    );
}

/// What `body` returns. Disconnected: it panicked.
pub fn within<T: Send + 'static>(body: impl FnOnce() -> T + Send + 'static) -> Receiver<T> {
    let (sender, receiver) = channel();
    thread::spawn(move || _ = sender.send(body()));
    receiver
}

/// A port of Mallory's, for so many connections through relay, one behind the other; and the end of the last one.
pub fn relays(
    server: SocketAddr,
    connections: usize,
    meddle: impl Fn(Direction, u64, Vec<u8>) -> Vec<Vec<u8>> + Send + Sync + 'static,
) -> (SocketAddr, Receiver<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    let relayed = within(move || {
        for client in listener.incoming().take(connections).map_while(Result::ok) {
            let server = TcpStream::connect(server).expect("the server listens");
            client.set_nodelay(true).and_then(|()| server.set_nodelay(true)).expect("no delay");
            work::relay(client, server, &meddle);
        }
    });
    (address, relayed)
}

/// What replay returns.
pub fn replay(id: &str, recording: &[u8], server: SocketAddr) -> TcpStream {
    let recording = recording.to_vec();
    let replay = move || work::replay(&recording, server).map_err(|error| error.kind());
    let replayed = within(replay).recv_timeout(DEADLINE);
    let came = replayed.as_ref().map(|replayed| replayed.as_ref().map(|_| "a connection"));
    expect(id, "a recording, by replay", came, Ok(Ok("a connection")));
    let stream = replayed.expect("looked at").expect("looked at");
    stream.set_read_timeout(Some(DEADLINE)).expect("a deadline");
    stream
}

/// As meddle is given it.
type Frame = (Direction, u64, Vec<u8>);

/// A client whose connection goes through relay.
pub struct Victim {
    id: &'static str,
    pub peer: Peer,
    /// Of both directions.
    seen: Arc<Mutex<Vec<Frame>>>,
    /// What is sent on in place of the next frame to the server.
    instead: Arc<Mutex<Option<Vec<u8>>>>,
    relayed: Receiver<()>,
}

/// What Mallory does to a frame. She knows others.
pub type Change<'a> = dyn Fn(&mut Vec<u8>, &[Vec<u8>]) + 'a;

impl Victim {
    /// Both directions, in the order in which they came.
    pub fn frames(&self) -> Vec<Vec<u8>> {
        self.seen.lock().expect("no panic").iter().map(|(.., frame)| frame.clone()).collect()
    }

    /// The numbers that the whole frames of one direction had.
    pub fn numbers(&self, direction: Direction) -> Vec<u64> {
        let length = |frame: &[u8]| (frame.len() as u32).wrapping_sub(4).to_be_bytes();
        let seen = self.seen.lock().expect("no panic");
        let whole =
            seen.iter().filter(|(way, _, frame)| *way == direction && frame.starts_with(&length(frame)));
        whole.map(|seen| seen.1).collect()
    }

    /// The type of what comes next, ACKs aside.
    pub fn hears(&mut self) -> String {
        loop {
            if let Err(error) = self.peer.stream.peek(&mut [0])
                && matches!(error.kind(), TimedOut | WouldBlock)
            {
                return format!("neither a frame nor the end, within {DEADLINE:?}");
            }
            match self.peer.receive() {
                None => return "the end".to_owned(),
                Some(message) if message["type"] == "ACK" => {}
                Some(message) => return message["type"].as_str().expect("a type").to_owned(),
            }
        }
    }

    /// Sends a body, and PING behind it. Mallory changes the frame of the body; she knows those before and, as the last, that
    /// of PING. Is it another frame then, the connection ends without a word; but an ACK may come, if the body was taken.
    pub fn attack(mut self, what: &str, body: &Value, change: &Change) {
        let [frame, ping] =
            [body, &json!({"type": "PING"})].map(|body| self.peer.seal(body.to_string().as_bytes()));
        let mut instead = frame.clone();
        change(&mut instead, &[self.frames(), vec![ping.clone()]].concat());
        let expected = if instead == frame { "PONG" } else { "the end" };
        let waits =
            frame_length(&instead, MAX_FRAME).is_ok_and(|length| LENGTH_SIZE + length > instead.len());
        *self.instead.lock().expect("no panic") = Some(instead);
        self.peer.send_raw(&[frame, ping].concat()).expect("relay reads");
        if waits {
            self.peer.stream.shutdown(Shutdown::Write).expect("an end"); // the server would wait for the rest
        }
        let sent = format!("{} by the client, {what}; then PING (what the client hears)", body["type"]);
        expect(self.id, &sent, &self.hears()[..], expected);
        self.leave();
    }

    /// The client leaves, and relay returns.
    pub fn leave(self) {
        drop(self.peer);
        expect(self.id, "the ends of both sides: relay returns", self.relayed.recv_timeout(DEADLINE), Ok(()));
    }
}

/// A server, and Bob, who is online and a friend of Alice.
pub struct Place {
    pub server: Server,
    pub bob: Peer,
    contract: Contract,
}

impl Place {
    pub fn new(id: &'static str) -> Place {
        let contract = Contract(id);
        let server = Server::start();
        let (alice, mut bob) = server.alice_and_bob();
        drop(alice);
        bob.expect("FRIEND_STATE"); // she has gone
        Place { server, bob, contract }
    }

    /// Somebody who has said hello through relay.
    pub fn stranger(&self) -> Victim {
        let id = self.contract.0;
        let (seen, instead) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(None)));
        let (list, next) = (seen.clone(), instead.clone());
        let (address, relayed) = relays(self.server.chat, 1, move |direction, number, frame| {
            list.lock().expect("no panic").push((direction, number, frame.clone()));
            let instead = next.lock().expect("no panic").take_if(|_| direction == Direction::ToServer);
            vec![instead.unwrap_or(frame)]
        });
        let hello = Peer::try_connect(address, PASSPHRASE.as_bytes());
        let came = hello.as_ref().map(|_| "the server's hello");
        expect(id, "a client's hello, 24 bytes, over relay", came, Ok("the server's hello"));
        Victim { id, peer: hello.expect("looked at"), seen, instead, relayed }
    }

    /// Clients that end within their hello, and within a frame: so does the server's side, and `meddle` is asked about nothing.
    pub fn cut_short(&self) {
        let id = self.contract.0;
        let mut half = self.stranger();
        let frame = half.peer.seal(b"{}");
        half.peer.send_raw(&frame[..20]).expect("relay reads");
        half.peer.stream.shutdown(Shutdown::Write).expect("an end");
        expect(id, "20 bytes of a frame, then the end (what the client hears)", &half.hears()[..], "the end");
        expect(id, "the same (how many frames meddle was given)", half.frames().len(), 0);
        half.leave();
        let (address, relayed) = relays(self.server.chat, 1, |_, _, frame| vec![frame]);
        let mut client = connect(address);
        client.write_all(&MAGIC).and_then(|()| client.shutdown(Shutdown::Write)).expect("an end");
        expect(
            id,
            "8 bytes of a hello, then the end (what the client hears)",
            read_to_end(&mut client),
            vec![],
        );
        expect(id, "the same: relay returns", relayed.recv_timeout(DEADLINE), Ok(()));
    }

    /// Alice: LOGIN is sent; LOGIN_OK and FRIEND_STATE of Bob have come.
    pub fn alice(&self) -> Victim {
        let mut alice = self.stranger();
        let client_no = alice.peer.next_client_no();
        alice.peer.send(
            json!({"type": "LOGIN", "clientNo": client_no, "loginName": "alice", "pwd": password("alice")}),
        );
        let heard = alice.hears();
        let given = alice.frames().first().map_or("nothing".to_owned(), |frame| {
            let announced = frame.first_chunk().map(|length| u32::from_be_bytes(*length));
            format!("{} bytes that announce {announced:?} behind the length", frame.len())
        });
        let sent = format!("LOGIN by Alice, over relay; meddle was given {given} (what she hears)");
        expect(alice.id, &sent, &heard[..], "LOGIN_OK");
        alice.peer.expect("FRIEND_STATE");
        alice
    }

    /// A text from Alice to Bob, whose frame Mallory changes: so often does it come to Bob.
    pub fn attack(&mut self, what: &str, times: usize, change: &Change) {
        let mut alice = self.alice();
        let text = alice.peer.text_to(self.bob.uid, "pay 100");
        alice.attack(what, &text, change);
        self.bob.expect("FRIEND_STATE"); // she came. The next one: she went, and nothing of hers is still on its way
        let came = from_fn(|| self.bob.receive()).take_while(|message| message["type"] != "FRIEND_STATE");
        let came: Vec<Value> = came.map(|message| message["msgText"].clone()).collect();
        let sent = format!("\"pay 100\" from Alice to Bob, {what} (what Bob gets)");
        expect(self.contract.0, &sent, came, vec!["pay 100".into(); times]);
    }
}
