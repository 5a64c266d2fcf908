//! MINIM/2 for the check, written from the handout alone: numbers, keys, frames, either end of a hello. DES and HMAC-MD5 are
//! minim's. Every wait has the harness's deadline.

use std::fmt::Debug;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use minim::des::{self, KeySchedule};
use minim::md5_check::{hmac_md5, random_bytes};

use crate::common::{DEADLINE, Folder, Program, connect, read_to_end};
use crate::variant::{PARTS, part};

pub const P: u64 = (1 << 63) - 4569;
/// A request before LOGIN, and its answer.
pub const PING: &str = r#"{"type":"PING"}"#;
pub const PONG: &str = r#"{"type":"PONG"}"#;
/// What `read` says of a connection that is closed without a word.
pub const CLOSED: &str = "0 bytes, then the end";
pub const MAGIC: &[u8] = b"MINIM/2\n";
/// Bytes of the client's part of the hello, and of the server's.
pub const SIZES: [usize; 2] = [8 + 16 + 8, 8 + 16 + 8 + 16];
/// Where the public number stands in both.
pub const PUBLIC: std::ops::Range<usize> = 24..32;

/// Fails with the id, what was sent, what came, what should have come, and where it is written.
#[track_caller]
pub fn expect(is_right: bool, id: &str, sent: &str, came: impl Debug, expected: &str) {
    assert!(
        is_right,
        "\n    {id} · sent: {sent}\n       came: {came:?}\n       expected: {expected}\n    Contract {id} in labs/12-key-exchange/README.md"
    );
}

/// a times b mod p.
pub fn times(a: u64, b: u64) -> u64 {
    (u128::from(a) * u128::from(b) % u128::from(P)) as u64 // below p
}

/// base^exponent mod p, from the lowest bit, which is not the way of the hints.
pub fn power(base: u64, mut exponent: u64) -> u64 {
    let (mut result, mut square) = (1, base % P);
    while exponent > 0 {
        if exponent & 1 == 1 {
            result = times(result, square);
        }
        square = times(square, square);
        exponent >>= 1;
    }
    result
}

/// What crosses the wire in a hello: the client's, then the server's.
#[derive(Debug, Clone, Copy)]
pub struct Hello {
    pub nonces: [[u8; 16]; 2],
    pub publics: [u64; 2],
}

impl Hello {
    /// From both parts; what is missing is zero.
    pub fn of(parts: [&[u8]; 2]) -> Hello {
        let whole = parts.map(|part| [part, &[0; 32]].concat());
        let nonces = [0, 1].map(|whose: usize| *whole[whose][8..].first_chunk().expect("a nonce"));
        Hello { nonces, publics: [public(&whole[0]), public(&whole[1])] }
    }

    /// HMAC-MD5(passphrase, label || what `order` names), of these words: nonces, publics, shared.
    pub fn derive(&self, passphrase: &str, label: &str, order: &str, shared: u64) -> [u8; 16] {
        let bytes = |word| match word {
            "nonces" => self.nonces.concat(),
            "publics" => self.publics.map(u64::to_be_bytes).concat(),
            _ => shared.to_be_bytes().to_vec(),
        };
        let known: Vec<u8> = order.split_whitespace().flat_map(bytes).collect();
        hmac_md5(passphrase.as_bytes(), &[label.as_bytes(), &known])
    }

    /// The server's proof.
    pub fn proof(&self, passphrase: &str, shared: u64) -> [u8; 16] {
        self.derive(passphrase, "server proof", &part("lab12.order"), shared)
    }

    /// Which other derive gives this proof, if it is one that is easily written.
    fn other_proof(&self, passphrase: &str, shared: u64, proof: [u8; 16]) -> String {
        let swapped = Hello { publics: [self.publics[1], self.publics[0]], ..*self };
        let orders =
            PARTS.iter().find(|(name, _)| *name == "lab12.order").map_or(&[][..], |(_, orders)| orders);
        for order in orders.iter().chain(&["nonces", "nonces publics", "nonces shared", "shared"]) {
            for (hello, how) in [(self, ""), (&swapped, ", the server's public number first")] {
                if hello.derive(passphrase, "server proof", order, shared) == proof {
                    return format!("the proof of label || {order}{how}");
                }
            }
        }
        "another proof than the handout's".to_owned()
    }

    /// What protects the frames of one end.
    pub fn keys(&self, passphrase: &str, end: &str, order: &str, shared: u64) -> Keys {
        let key = self.derive(passphrase, &format!("{end} key"), order, shared);
        let mac = self.derive(passphrase, &format!("{end} mac"), order, shared);
        Keys { des: des::key_schedule(key.first_chunk().expect("8 of 16 bytes")), mac, sequence: 0 }
    }
}

/// The public number of a part.
pub fn public(part: &[u8]) -> u64 {
    u64::from_be_bytes(part[PUBLIC].try_into().expect("8 bytes"))
}

/// One direction.
pub struct Keys {
    des: KeySchedule,
    mac: [u8; 16],
    sequence: u64,
}

impl Keys {
    fn tag(&self, iv: &[u8], ciphertext: &[u8]) -> [u8; 16] {
        hmac_md5(&self.mac, &[&self.sequence.to_be_bytes(), iv, ciphertext])
    }

    fn seal(&mut self, body: &str) -> Vec<u8> {
        let iv = random_bytes();
        let ciphertext = des::cbc_encrypt(&self.des, &iv, body.as_bytes());
        let tag = self.tag(&iv, &ciphertext);
        self.sequence += 1;
        let length = (8 + ciphertext.len() + 16) as u32;
        [&length.to_be_bytes()[..], &iv, &ciphertext, &tag].concat()
    }

    /// The body of the next frame; none where the MAC is another.
    pub fn open(&mut self, frame: &[u8]) -> Option<String> {
        let (iv, rest) = frame[4..].split_first_chunk()?;
        let (ciphertext, tag) = rest.split_last_chunk()?;
        if *tag != self.tag(iv, ciphertext) {
            return None;
        }
        self.sequence += 1;
        Some(String::from_utf8_lossy(&des::cbc_decrypt(&self.des, iv, ciphertext)?).into_owned())
    }
}

/// The bytes taken apart into whole frames; none where they do not end with one.
pub fn frames(mut bytes: &[u8]) -> Option<Vec<&[u8]>> {
    let mut frames = Vec::new();
    while !bytes.is_empty() {
        let length = u32::from_be_bytes(*bytes.first_chunk()?) as usize;
        let (frame, rest) = bytes.split_at_checked(4 + length).filter(|_| length >= 32)?;
        frames.push(frame);
        bytes = rest;
    }
    Some(frames)
}

/// So many bytes; an error is what came instead.
pub fn read(stream: &mut TcpStream, count: usize) -> Result<Vec<u8>, String> {
    let (mut bytes, mut length) = (vec![0; count], 0);
    let end = |length| format!("{length} bytes, then the end");
    while length < count {
        match stream.read(&mut bytes[length..]) {
            Ok(0) => return Err(end(length)),
            Ok(more) => length += more,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return Err(end(length)),
            Err(error) => return Err(format!("{length} bytes, then: {}", error.kind())),
        }
    }
    Ok(bytes)
}

/// A part of the hello of MINIM/2; the end of another version's magic is not waited for.
fn read_part(stream: &mut TcpStream, size: usize) -> Result<Vec<u8>, String> {
    let magic = read(stream, 8)?;
    if magic != MAGIC {
        return Err(format!("not MINIM/2 but {:?}", magic.escape_ascii().to_string()));
    }
    Ok([magic, read(stream, size - 8)?].concat())
}

/// A connection behind its hello.
pub struct End {
    stream: TcpStream,
    sending: Keys,
    receiving: Keys,
}

impl End {
    fn new(stream: TcpStream, hello: Hello, passphrase: &str, ends: [&str; 2], shared: u64) -> End {
        let [sending, receiving] = ends.map(|end| hello.keys(passphrase, end, &part("lab12.order"), shared));
        End { stream, sending, receiving }
    }

    pub fn send(&mut self, body: &str) {
        let frame = self.sending.seal(body);
        self.stream.write_all(&frame).expect("the peer reads");
    }

    /// The next body, or why there is none.
    pub fn receive(&mut self) -> Result<String, String> {
        let length = read(&mut self.stream, 4)?;
        let size = u32::from_be_bytes(length[..].try_into().expect("4 bytes")).min(1 << 20) as usize;
        let frame = [length, read(&mut self.stream, size)?].concat();
        self.receiving.open(&frame).ok_or("a frame whose MAC is wrong".to_owned())
    }

    /// A request and its answer.
    pub fn ask(&mut self, body: &str) -> Result<String, String> {
        self.send(body);
        self.receive()
    }
}

/// Says a client's hello with this public number: all of the hello, and the server's proof.
pub fn greet(stream: &mut TcpStream, public: u64) -> Result<(Hello, [u8; 16]), String> {
    let mine = [MAGIC, &random_bytes::<16>(), &public.to_be_bytes()].concat();
    stream.write_all(&mine).map_err(|error| error.to_string())?;
    let theirs = read_part(stream, SIZES[1])?;
    Ok((Hello::of([&mine, &theirs]), *theirs.last_chunk().expect("a proof")))
}

/// A client with this private number, who checks the proof.
pub fn client(address: SocketAddr, passphrase: &str, private: u64) -> Result<End, String> {
    let mut stream = connect(address);
    let (hello, proof) = greet(&mut stream, power(2, private))?;
    let shared = power(hello.publics[1], private);
    if proof != hello.proof(passphrase, shared) {
        return Err(hello.other_proof(passphrase, shared, proof));
    }
    Ok(End::new(stream, hello, passphrase, ["client", "server"], shared))
}

/// A client who believes that the hello was this one, and pays no heed to the proof.
pub fn believing(stream: TcpStream, hello: Hello, passphrase: &str, shared: u64) -> End {
    End::new(stream, hello, passphrase, ["client", "server"], shared)
}

/// A server's hello; of the client's public number come its own and the shared one.
pub fn answer(
    mut stream: TcpStream,
    passphrase: &str,
    numbers: impl Fn(u64) -> (u64, u64),
) -> Result<End, String> {
    let theirs = read_part(&mut stream, SIZES[0])?;
    let (own, shared) = numbers(public(&theirs));
    let mine = [MAGIC, &random_bytes::<16>(), &own.to_be_bytes()].concat();
    let hello = Hello::of([&theirs, &mine]);
    let proof = hello.proof(passphrase, shared);
    stream.write_all(&[&mine[..], &proof].concat()).map_err(|error| error.to_string())?;
    Ok(End::new(stream, hello, passphrase, ["server", "client"], shared))
}

/// A console of the server at this address, in English, with nothing typed yet, and the folder that it runs in.
pub fn console(address: SocketAddr, options: &[&str]) -> (Program, Folder) {
    let (port, folder) = (address.port().to_string(), Folder::new());
    let words = [&["client", "--chatPort", &port, "--lang", "en"], options].concat();
    (Program::start(folder.path(), &words, &[]), folder)
}

/// Starts a console and ends its input: its exit code, and what it said.
pub fn start_console(address: SocketAddr, options: &[&str]) -> (i32, String) {
    let (program, _folder) = console(address, options);
    let (code, lines, errors) = program.finish();
    (code, lines.join("\n") + &errors)
}

/// Starts a console that meets a server of ours, as `answer`: what came of that, the console's exit code, and what it said.
pub fn meet(passphrase: &str, numbers: impl Fn(u64) -> (u64, u64)) -> (Result<End, String>, i32, String) {
    let (address, streams) = listen();
    let (program, _folder) = console(address, &[]);
    let end = answer(next(&streams), passphrase, numbers);
    let (code, lines, errors) = program.finish();
    (end, code, lines.join("\n") + &errors)
}

/// What comes of a console that meets a server of MINIM/1.
#[derive(Debug)]
pub struct Old {
    pub code: i32,
    pub said: String,
    /// How many the console sent.
    pub bytes: usize,
    /// It did not connect once more.
    pub is_alone: bool,
}

/// A server of MINIM/1 takes 24 bytes. Here it closes then, with the others unread, or else gives the right answer of MINIM/1.
pub fn meet_old(passphrase: &str, answers: bool) -> Old {
    let (address, streams) = listen();
    let (program, _folder) = console(address, &[]);
    let mut stream = next(&streams);
    let hello = read(&mut stream, 24).unwrap_or_else(|error| panic!("the console's hello: {error}"));
    let proof = hmac_md5(passphrase.as_bytes(), &[b"server proof", &hello[8..], &[7; 16]]);
    let rest = if answers {
        stream.write_all(&[b"MINIM/1\n", &[7; 16][..], &proof].concat()).expect("the console reads");
        read_to_end(&mut stream).len()
    } else {
        drop(stream);
        8
    };
    let (code, lines, errors) = program.finish();
    let fence = connect(address);
    let is_alone = next(&streams).peer_addr().ok() == fence.local_addr().ok();
    Old { code, said: lines.join("\n") + &errors, bytes: 24 + rest, is_alone }
}

/// What comes next of what ends or connects.
pub fn next<T>(of: &Receiver<T>) -> T {
    of.recv_timeout(DEADLINE).expect("a connection")
}

/// A private number of 64 bits.
pub fn private() -> u64 {
    u64::from_be_bytes(random_bytes())
}

/// A port of ours, and who connects to it.
pub fn listen() -> (SocketAddr, Receiver<TcpStream>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    let (sender, accepted) = channel();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            stream.set_read_timeout(Some(DEADLINE)).expect("a deadline");
            if sender.send(stream).is_err() {
                return;
            }
        }
    });
    (address, accepted)
}

/// A client of ours gets an answer.
pub fn expect_pong(id: &str, sent: &str, end: Result<End, String>) {
    let then = if end.is_ok() { "; its answer was right; then PING" } else { "" };
    let came = end.and_then(|mut end| end.ask(PING));
    expect(
        came.as_deref() == Ok(PONG),
        id,
        &format!("{sent}{then}"),
        came,
        "the handout's proof, and PONG for PING",
    );
}
