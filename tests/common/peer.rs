//! A client for tests, written from PROTOCOL.md alone: hello, frames and JSON are its own. Ciphers are the library's.
//!
//! Rules: what the server sends is checked like a stranger's; whatever is wrong, or late, panics. A test that fails
//! prints what each of its peers sent and got. Messages that nobody asked for yet are put aside, in order.
//! Not here: answers to the server's PING (send PONG yourself), and what a message means.
//! Start with `Peer::request`; `Peer::frame` and `Peer::encrypt` make frames that no honest client would send.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted, TimedOut, WouldBlock};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Instant, SystemTime};

use minim::des::{self, KeySchedule};
use minim::md5_check::hmac_md5;
use serde_json::{Value, json};

const MAGIC: &[u8; 8] = b"MINIM/1\n";
const HELLO_OF_SERVER: usize = 8 + 16 + 16; // magic, nonce, proof
const SHORTEST_FRAME: usize = 8 + 8 + 16; // IV, one block, MAC
const MAX_FRAME_BEFORE_LOGIN: usize = 8192;
const MAX_FRAME: usize = 1_048_576;

pub type Nonce = [u8; 16];

/// What protects one direction, and the sequence number of its next frame.
pub struct Direction {
    pub des: KeySchedule,
    pub mac: [u8; 16],
    pub sequence: u64,
}

impl Direction {
    /// `side` is `client` or `server`: whose keys.
    pub fn new(passphrase: &[u8], side: &str, client: &Nonce, server: &Nonce) -> Direction {
        let key = derive(passphrase, &format!("{side} key"), client, server);
        let mac = derive(passphrase, &format!("{side} mac"), client, server);
        let des = des::key_schedule(key.first_chunk().expect("8 of 16 bytes"));
        Direction { des, mac, sequence: 0 }
    }

    pub fn tag(&self, sequence: u64, iv: &[u8; 8], ciphertext: &[u8]) -> [u8; 16] {
        hmac_md5(&self.mac, &[&sequence.to_be_bytes(), iv, ciphertext])
    }
}

pub fn derive(passphrase: &[u8], label: &str, client: &Nonce, server: &Nonce) -> [u8; 16] {
    hmac_md5(passphrase, &[label.as_bytes(), client, server])
}

/// The password that `register` and `login` use.
pub fn password(login_name: &str) -> String {
    format!("{login_name}'s password")
}

/// Fails unless `answer` is ERROR with this code.
#[track_caller]
pub fn expect_error(answer: &Value, code: &str) {
    let right = answer["type"] == "ERROR" && answer["code"] == code && answer["text"].is_string();
    assert!(right, "wanted ERROR {code} with a text, came {answer}");
}

pub struct Peer {
    pub stream: TcpStream,
    pub client_nonce: Nonce,
    pub server_nonce: Nonce,
    pub sending: Direction,
    pub receiving: Direction,
    /// The longest frame that the server may send now; grows at LOGIN_OK, which also gives the next two.
    pub frame_limit: usize,
    pub uid: u64,
    pub session_id: String,
    /// What was sent and what came, long texts cut.
    pub transcript: Vec<String>,
    put_aside: Vec<Value>,
}

impl Peer {
    pub fn connect(address: SocketAddr, passphrase: &str) -> Peer {
        Peer::over(super::connect(address), passphrase)
    }

    /// Says hello on a stream that is connected already: a sealed HTTP port begins like a chat port.
    pub fn over(stream: TcpStream, passphrase: &str) -> Peer {
        hello(stream, passphrase.as_bytes()).unwrap_or_else(|error| panic!("no hello: {error}"))
    }

    /// The same for any bytes as passphrase; an error says how the hello failed.
    pub fn try_connect(address: SocketAddr, passphrase: &[u8]) -> Result<Peer, String> {
        hello(super::connect(address), passphrase)
    }

    /// The next frame, whole. The server expects it next, so send it.
    pub fn seal(&mut self, body: &[u8]) -> Vec<u8> {
        let (sequence, iv) = (self.sending.sequence, random_bytes());
        self.sending.sequence += 1;
        self.frame(sequence, &iv, &self.encrypt(&iv, body))
    }

    /// A frame with the right length and MAC around any ciphertext. Counts nothing.
    pub fn frame(&self, sequence: u64, iv: &[u8; 8], ciphertext: &[u8]) -> Vec<u8> {
        let tag = self.sending.tag(sequence, iv, ciphertext);
        let length = (iv.len() + ciphertext.len() + tag.len()) as u32;
        [&length.to_be_bytes()[..], iv, ciphertext, &tag].concat()
    }

    /// The ciphertext of a body, padded.
    pub fn encrypt(&self, iv: &[u8; 8], body: &[u8]) -> Vec<u8> {
        des::cbc_encrypt(&self.sending.des, iv, body)
    }

    /// The ciphertext of whole blocks alone: their last bytes stand where the padding should be.
    pub fn encrypt_unpadded(&self, iv: &[u8; 8], blocks: &[u8]) -> Vec<u8> {
        let mut ciphertext = self.encrypt(iv, blocks);
        ciphertext.truncate(blocks.len()); // CBC: no block depends on a later one
        ciphertext
    }

    pub fn send(&mut self, body: Value) {
        self.send_body(body.to_string().as_bytes());
    }

    pub fn send_body(&mut self, body: &[u8]) {
        let frame = self.seal(body);
        self.note("sent", &shown(body));
        self.stream.write_all(&frame).expect("the server reads");
    }

    /// Sends bytes as they are. An error is no failure of the test: the server may have closed.
    pub fn send_raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        let start = &bytes[..bytes.len().min(60)];
        self.note("sent", &format!("{} raw bytes: {start:02x?}", bytes.len()));
        self.stream.write_all(bytes)
    }

    /// The next message, first of those put aside; none when the server has closed.
    pub fn receive(&mut self) -> Option<Value> {
        self.next_message(soon())
    }

    /// The next body as it is, for HTTP in the sealed channel. Looks at nothing put aside.
    pub fn receive_body(&mut self) -> Option<Vec<u8>> {
        self.read_body(soon())
    }

    /// The next message of this type. Others on the way are dropped.
    pub fn expect(&mut self, kind: &str) -> Value {
        let deadline = soon();
        loop {
            match self.next_message(deadline) {
                Some(message) if message["type"] == kind => return message,
                Some(_) => {}
                None => panic!("the server closed before {kind}"),
            }
        }
    }

    /// Sends a request, with a fresh `clientNo` where it has none, and waits for its answer, ERROR included.
    /// What comes before the answer is put aside.
    pub fn request(&mut self, mut body: Value) -> Value {
        if body.get("clientNo").is_none() {
            body["clientNo"] = self.next_client_no().into();
        }
        let client_no = body["clientNo"].clone();
        self.send(body);
        self.put_aside_until("clientNo", &client_no)
    }

    /// Never the same twice in this process: two peers of one user must not share a number either.
    pub fn next_client_no(&mut self) -> u64 {
        static NEXT: LazyLock<AtomicU64> = LazyLock::new(|| {
            let since_1970 = SystemTime::UNIX_EPOCH.elapsed().expect("a clock after 1970");
            AtomicU64::new(since_1970.as_micros() as u64)
        });
        NEXT.fetch_add(1, Ordering::Relaxed)
    }

    /// Registers a user and gives the uid. The username is the login name with a capital letter.
    pub fn register(&mut self, login_name: &str) -> u64 {
        let mut rest = login_name.chars();
        let first = rest.next().expect("a login name").to_uppercase().to_string();
        let answer = self.request(json!({
            "type": "REGISTER", "loginName": login_name, "pwd": password(login_name),
            "username": first + rest.as_str(), "sex": 0,
        }));
        assert_eq!(answer["type"], "ACK", "REGISTER {login_name}: {answer}");
        answer["id"].as_u64().expect("ACK has the uid")
    }

    /// Gives LOGIN_OK. What the server pushes behind it is still to be read.
    pub fn login(&mut self, login_name: &str) -> Value {
        let answer = self.log_in_with(login_name, &password(login_name));
        assert_eq!(answer["type"], "LOGIN_OK", "LOGIN {login_name}: {answer}");
        answer
    }

    /// Gives LOGIN_OK or ERROR.
    pub fn log_in_with(&mut self, login_name: &str, pwd: &str) -> Value {
        self.request(json!({"type": "LOGIN", "loginName": login_name, "pwd": pwd}))
    }

    /// From here on this connection transfers files of a session; longer frames are taken.
    pub fn resume(&mut self, session_id: &str) {
        let answer = self.request(json!({"type": "RESUME", "sessionId": session_id}));
        assert_eq!(answer["type"], "ACK", "RESUME: {answer}");
        self.frame_limit = MAX_FRAME;
    }

    /// A text to a friend, with a number of its own: the same request can be sent again.
    pub fn text_to(&mut self, to_id: u64, text: &str) -> Value {
        json!({"type": "CHAT_SEND_MSG", "clientNo": self.next_client_no(), "isFriend": true, "toId": to_id,
            "msgType": "TEXT", "msgText": text})
    }

    /// A text to a friend: ACK or ERROR.
    pub fn say(&mut self, to_id: u64, text: &str) -> Value {
        let message = self.text_to(to_id, text);
        self.request(message)
    }

    /// Several requests in one write, so that they come together.
    pub fn send_together(&mut self, requests: &[Value]) {
        let seal = |request: &Value| self.seal(request.to_string().as_bytes());
        let frames: Vec<u8> = requests.iter().flat_map(seal).collect();
        self.send_raw(&frames).expect("the server reads");
    }

    pub fn received(&mut self, ids: &[u64]) {
        self.send(json!({"type": "CHAT_RECEIVED", "ids": ids}));
    }

    /// PING, PONG: what the server had queued for this peer before has come, and is put aside.
    pub fn fence(&mut self) {
        self.send(json!({"type": "PING"}));
        self.put_aside_until("type", &"PONG".into());
    }

    /// What came and was not asked for yet. After `fence`, what is not here did not come.
    pub fn put_aside(&self) -> &[Value] {
        &self.put_aside
    }

    /// The same, and it is put aside no longer.
    pub fn take_aside(&mut self) -> Vec<Value> {
        std::mem::take(&mut self.put_aside)
    }

    /// Reads until the server closes. Messages on the way are dropped.
    pub fn expect_closed(&mut self) {
        let deadline = soon();
        while self.read_body(deadline).is_some() {}
    }

    /// The next thing that comes is the end of the connection.
    pub fn expect_closed_silently(&mut self) {
        if let Some(body) = self.read_body(soon()) {
            panic!("a word before the end: {}", String::from_utf8_lossy(&body));
        }
    }

    fn put_aside_until(&mut self, field: &str, wanted: &Value) -> Value {
        let deadline = soon();
        loop {
            match self.read_message(deadline) {
                Some(message) if message.get(field) == Some(wanted) => return message,
                Some(message) => self.put_aside.push(message),
                None => panic!("the server closed before {field} {wanted}"),
            }
        }
    }

    fn next_message(&mut self, deadline: Instant) -> Option<Value> {
        if self.put_aside.is_empty() {
            return self.read_message(deadline);
        }
        Some(self.put_aside.remove(0))
    }

    fn read_message(&mut self, deadline: Instant) -> Option<Value> {
        let body = self.read_body(deadline)?;
        let message: Value = serde_json::from_slice(&body).expect("JSON from the server");
        assert!(message["type"].is_string(), "no object with a type: {message}");
        if message["type"] == "LOGIN_OK" {
            self.frame_limit = MAX_FRAME;
            self.uid = message["uid"].as_u64().expect("a uid");
            self.session_id = message["sessionId"].as_str().expect("a sessionId").to_owned();
            assert!(message["httpPort"].is_u64(), "no httpPort: {message}");
        }
        Some(message)
    }

    /// The body of the next frame, checked in the order of the protocol: length, MAC, padding.
    fn read_body(&mut self, deadline: Instant) -> Option<Vec<u8>> {
        let length = self.read(4, deadline)?;
        let length = u32::from_be_bytes(length.try_into().expect("4 bytes")) as usize;
        let allowed = (SHORTEST_FRAME..=self.frame_limit).contains(&length);
        assert!(allowed && length.is_multiple_of(8), "the server's frame announces {length} bytes");
        let frame = self.read(length, deadline)?;
        let (iv, rest) = frame.split_first_chunk().expect("at least 32 bytes");
        let (ciphertext, tag) = rest.split_last_chunk().expect("at least 24 bytes");
        let keys = &mut self.receiving;
        assert_eq!(*tag, keys.tag(keys.sequence, iv, ciphertext), "MAC of frame {}", keys.sequence);
        keys.sequence += 1;
        let body = des::cbc_decrypt(&keys.des, iv, ciphertext).expect("right padding");
        self.note("came", &shown(&body));
        Some(body)
    }

    /// So many bytes; none when the server closes before, within a frame too: it may have been killed.
    fn read(&mut self, count: usize, deadline: Instant) -> Option<Vec<u8>> {
        let bytes = read_up_to(count, &mut self.stream, deadline).expect("bytes or an end");
        if bytes.len() < count {
            self.note("came", &format!("the end, {} bytes into a length or frame", bytes.len()));
            return None;
        }
        Some(bytes)
    }

    fn note(&mut self, what: &str, text: &str) {
        self.transcript.push(format!("{what} {text:.300}")); // at most 300 characters
    }
}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let first = self.transcript.len().saturating_sub(60);
        let lines = self.transcript[first..].join("\n  ");
        write!(f, "uid {}, after {first} other lines:\n  {lines}", self.uid)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{self:?}"); // whichever line failed, of the test or of this file
        }
    }
}

fn hello(mut stream: TcpStream, passphrase: &[u8]) -> Result<Peer, String> {
    let client_nonce = random_bytes();
    let sent = stream.write_all(&[&MAGIC[..], &client_nonce].concat());
    let answer = sent.and_then(|()| read_up_to(HELLO_OF_SERVER, &mut stream, soon()));
    let answer = answer.map_err(|error| error.to_string())?;
    if answer.len() < HELLO_OF_SERVER || !answer.starts_with(MAGIC) {
        return Err(format!("the server said {:?}", String::from_utf8_lossy(&answer)));
    }
    let (server_nonce, proof) = answer[MAGIC.len()..].split_first_chunk().expect("32 bytes");
    if proof != derive(passphrase, "server proof", &client_nonce, server_nonce) {
        return Err("the server's proof is not of this passphrase".to_owned());
    }
    Ok(Peer {
        stream,
        client_nonce,
        server_nonce: *server_nonce,
        sending: Direction::new(passphrase, "client", &client_nonce, server_nonce),
        receiving: Direction::new(passphrase, "server", &client_nonce, server_nonce),
        frame_limit: MAX_FRAME_BEFORE_LOGIN,
        uid: 0,
        session_id: String::new(),
        transcript: Vec::new(),
        put_aside: Vec::new(),
    })
}

/// `count` bytes, or fewer where the other side closes before; a reset counts as a close.
fn read_up_to(count: usize, stream: &mut TcpStream, deadline: Instant) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; count];
    let mut have = 0;
    while have < count {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::Error::new(TimedOut, format!("not within {:?}", super::DEADLINE)));
        }
        stream.set_read_timeout(Some(left))?;
        match stream.read(&mut bytes[have..]) {
            Ok(0) => break,
            Ok(more) => have += more,
            Err(error) => match error.kind() {
                ConnectionReset | ConnectionAborted => break,
                WouldBlock | TimedOut | Interrupted => {} // the clock decides
                _ => return Err(error),
            },
        }
    }
    bytes.truncate(have);
    Ok(bytes)
}

/// A body for the transcript: of a FILE_CHUNK the JSON, and how many bytes follow it.
fn shown(body: &[u8]) -> String {
    let end =
        body.iter().position(|byte| *byte == b'\n').filter(|_| body.starts_with(b"{")).unwrap_or(body.len());
    let more = if end < body.len() { format!(" and {} bytes", body.len() - end - 1) } else { String::new() };
    String::from_utf8_lossy(&body[..end]).into_owned() + &more
}

/// Unpredictable without the seed that std takes from the system; each RandomState is another.
fn random_bytes<const N: usize>() -> [u8; N] {
    std::array::from_fn(|_| RandomState::new().hash_one(0) as u8)
}

fn soon() -> Instant {
    Instant::now() + super::DEADLINE
}
