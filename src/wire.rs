//! Hello and frames: how bytes on a TCP connection become bodies, and back (PROTOCOL.md, 2 and 3).
//!
//! Rules: length, then MAC, then decryption. Whatever is wrong, the peer sees only that the connection
//! closes. Memory grows with the bytes that came, never with the length that was announced.
//! Not here: what a body means (message.rs), who may send it (server/chat.rs), what the trace says (wire/notes.rs).
//! Start with `Sender::seal`; `Receiver::receive` is the same steps backwards.

mod notes;

use std::fmt;
use std::io::{self, ErrorKind};
use std::time::Instant;

use crate::des::{self, KeySchedule};
use crate::limits::{MAX_FRAME, MAX_FRAME_BEFORE_LOGIN, RECEIVE_PIECE};
use crate::md5_check::{equal, hmac_md5, random_bytes};
use crate::socket::Socket;
use crate::trace::{Level, Note, Parts, View};

use notes::hello_note;

/// The first 8 bytes of either side: name and version of the protocol.
pub const MAGIC: [u8; 8] = *b"MINIM/1\n";
/// Bytes of a nonce.
pub const NONCE_SIZE: usize = 16;
/// Bytes of a frame's length field.
pub const LENGTH_SIZE: usize = 4;
/// Bytes of an initialisation vector.
pub const IV_SIZE: usize = 8;
/// Bytes of a MAC, and of the server's proof.
pub const MAC_SIZE: usize = 16;
/// Bytes of the client's half of the hello.
pub const CLIENT_HELLO: usize = MAGIC.len() + NONCE_SIZE;
/// Bytes of the server's half.
pub const SERVER_HELLO: usize = CLIENT_HELLO + MAC_SIZE;
/// What `length` counts beside the ciphertext: IV and MAC.
pub const FRAME_OVERHEAD: usize = IV_SIZE + MAC_SIZE;

/// Why no body came. The peer is told none of it.
#[derive(Debug)]
pub enum Error {
    /// The first bytes are not `MAGIC`; here they are, as many as came.
    NotMinim(Vec<u8>),
    /// The server's proof is wrong: it has another passphrase, or somebody changed the hello on its way.
    OtherPassphrase,
    /// A frame announces a length below 32, no multiple of 8, or above the limit (all in bytes).
    FrameLength {
        /// The length that came.
        announced: usize,
        /// The longest that is taken here.
        limit: usize,
    },
    /// The MAC does not fit: damaged, forged, replayed, or out of order.
    WrongMac,
    /// The MAC is right and the padding is not: the sender has a bug.
    WrongPadding,
    /// The connection failed, ended in the middle of something, or a deadline passed.
    Io(io::Error),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Error::NotMinim(_) => {
                write!(f, "the peer does not begin with {}", MAGIC.trim_ascii().escape_ascii())
            }
            Error::OtherPassphrase => write!(f, "the server has another passphrase"),
            Error::FrameLength { announced, limit } => {
                write!(f, "a frame announces {announced} bytes: no multiple of 8 from 32 to {limit}")
            }
            Error::WrongMac => write!(f, "the MAC of a frame is wrong"),
            Error::WrongPadding => write!(f, "the padding of a frame is wrong"),
            Error::Io(error) => write!(f, "{error}"),
        }
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Error {
        Error::Io(error)
    }
}

/// For who reads bytes and knows no frames (channel.rs).
impl From<Error> for io::Error {
    fn from(error: Error) -> io::Error {
        match error {
            Error::Io(error) => error,
            other => io::Error::new(ErrorKind::InvalidData, other.to_string()),
        }
    }
}

impl Error {
    /// Whether only a deadline passed: what came so far is kept, and `receive` can be called again.
    pub fn is_timeout(&self) -> bool {
        matches!(self, Error::Io(error) if error.kind() == ErrorKind::TimedOut)
    }
}

/// Both halves of the hello at the client: sends its part, checks the server's proof.
pub fn hello_as_client(
    socket: &Socket,
    passphrase: &[u8],
    deadline: Instant,
) -> Result<(Sender, Receiver), Error> {
    let client_nonce = random_bytes::<NONCE_SIZE>();
    let note = hello_note(socket, &[("clientNonce", &client_nonce)]);
    socket.send_noted(&[&MAGIC[..], &client_nonce].concat(), deadline, &note)?;

    let mut hello = [0; SERVER_HELLO];
    receive_hello(socket, &mut hello, deadline)?;
    let (server_nonce, proof) = hello[MAGIC.len()..].split_at(NONCE_SIZE);
    let mut note = hello_note(socket, &[("serverNonce", server_nonce), ("proof", proof)]);

    let secret = Secret { passphrase, client_nonce: &client_nonce, server_nonce };
    let is_right = equal(proof, &secret.derive("server proof"));
    note.words += if is_right { ": right" } else { ": wrong, another passphrase" };
    socket.note(&note);
    if !is_right {
        return Err(Error::OtherPassphrase);
    }
    Ok((secret.sender("client"), secret.receiver("server")))
}

/// Both halves of the hello at the server. The client's proof is the MAC of its first frame. `NotMinim` leaves what came to whoever speaks that.
pub fn hello_as_server(
    socket: &Socket,
    passphrase: &[u8],
    deadline: Instant,
) -> Result<(Sender, Receiver), Error> {
    let mut hello = [0; CLIENT_HELLO];
    receive_hello(socket, &mut hello, deadline)?;
    let client_nonce = &hello[MAGIC.len()..];
    socket.note(&hello_note(socket, &[("clientNonce", client_nonce)]));

    let server_nonce = random_bytes::<NONCE_SIZE>();
    let secret = Secret { passphrase, client_nonce, server_nonce: &server_nonce };
    let proof = secret.derive("server proof");
    let note = hello_note(socket, &[("serverNonce", &server_nonce), ("proof", &proof)]);
    socket.send_noted(&[&MAGIC[..], &server_nonce, &proof].concat(), deadline, &note)?;
    Ok((secret.sender("server"), secret.receiver("client")))
}

/// Fills `hello`. The first byte that is not one of `MAGIC` ends the waiting, so that a peer of another kind gets its
/// answer at once. A peer that began and then stays silent is of another kind too.
fn receive_hello(socket: &Socket, hello: &mut [u8], deadline: Instant) -> Result<(), Error> {
    let mut length = 0;
    while length < hello.len() {
        let count = match socket.recv(&mut hello[length..], deadline) {
            Err(error) if error.kind() == ErrorKind::TimedOut && (1..MAGIC.len()).contains(&length) => 0,
            received => received?,
        };
        length += count;
        let begun = length.min(MAGIC.len());
        if hello[..begun] != MAGIC[..begun] || count == 0 && length < MAGIC.len() {
            return Err(Error::NotMinim(hello[..length].to_vec()));
        }
        if count == 0 {
            socket.note(&Note::new("hello: the peer closed"));
            return Err(Error::Io(ErrorKind::UnexpectedEof.into()));
        }
    }
    Ok(())
}

/// Fills `buffer`; the end of the connection before that is an error.
pub fn receive_exactly(socket: &Socket, buffer: &mut [u8], deadline: Instant) -> Result<(), Error> {
    let mut length = 0;
    while length < buffer.len() {
        let count = socket.recv(&mut buffer[length..], deadline)?;
        socket.note(&Note::default());
        if count == 0 {
            return Err(Error::Io(ErrorKind::UnexpectedEof.into()));
        }
        length += count;
    }
    Ok(())
}

/// What both ends know after the hello, and all keys come from.
pub struct Secret<'a> {
    /// The exact bytes that both ends agreed on beforehand.
    pub passphrase: &'a [u8],
    /// 16 bytes, in clear on the wire.
    pub client_nonce: &'a [u8],
    /// 16 bytes, in clear on the wire.
    pub server_nonce: &'a [u8],
}

impl Secret<'_> {
    /// HMAC-MD5(passphrase, label || clientNonce || serverNonce), 16 bytes; the label is ASCII.
    pub fn derive(&self, label: &str) -> [u8; 16] {
        hmac_md5(self.passphrase, &[label.as_bytes(), self.client_nonce, self.server_nonce])
    }

    /// The DES key is the first half of its derived value.
    fn key_schedule(&self, label: &str) -> KeySchedule {
        let [k1, k2, k3, k4, k5, k6, k7, k8, ..] = self.derive(label);
        des::key_schedule(&[k1, k2, k3, k4, k5, k6, k7, k8])
    }

    /// `end` is who sends: "client" or "server". One key for each direction, or a frame could be sent back.
    pub fn sender(&self, end: &str) -> Sender {
        let keys = self.key_schedule(&format!("{end} key"));
        Sender { keys, mac_key: self.derive(&format!("{end} mac")), sequence: 0, view: View::Chat }
    }

    /// `end` is whose frames are received.
    pub fn receiver(&self, end: &str) -> Receiver {
        let keys = self.key_schedule(&format!("{end} key"));
        let mac_key = self.derive(&format!("{end} mac"));
        let (came, last_byte) = (Vec::new(), Instant::now());
        let (limit, view) = (MAX_FRAME_BEFORE_LOGIN, View::Chat);
        Receiver { keys, mac_key, sequence: 0, limit, came, last_byte, view }
    }
}

/// One direction of a connection, at its sending end.
pub struct Sender {
    keys: KeySchedule,
    mac_key: [u8; 16],
    /// The number of the next frame, which the MAC covers; 0 for the first.
    pub sequence: u64,
    /// For the trace: what the bodies are.
    pub view: View,
}

impl Sender {
    /// Sends one body as one frame. An error: the connection is of no more use.
    pub fn send(&mut self, socket: &Socket, body: &[u8], deadline: Instant) -> io::Result<()> {
        let frame = self.seal(body);
        self.send_sealed(socket, &frame, deadline)
    }

    /// Sends the frames that were sealed last, one behind the other, in one call.
    pub fn send_sealed(&mut self, socket: &Socket, frames: &[u8], deadline: Instant) -> io::Result<()> {
        let note = match socket.trace_level() {
            Level::Off => Note::default(),
            level => self.note(level, frames),
        };
        socket.send_noted(frames, deadline, &note)
    }

    /// Station 2 of a message: a body as a frame: length (4 bytes, big endian), IV (8), ciphertext (a multiple of 8), MAC (16).
    pub fn seal(&mut self, body: &[u8]) -> Vec<u8> {
        self.seal_with(random_bytes::<IV_SIZE>(), body)
    }

    /// The same with an IV that is given: for tests against published frames, and for nothing else.
    pub fn seal_with(&mut self, iv: [u8; IV_SIZE], body: &[u8]) -> Vec<u8> {
        let ciphertext = des::cbc_encrypt(&self.keys, &iv, body);
        let mac = tag(&self.mac_key, self.sequence, &iv, &ciphertext);
        self.sequence += 1; // 2^64 frames do not happen
        let length = (FRAME_OVERHEAD + ciphertext.len()) as u32; // far below 2^32: bodies come from us
        [&length.to_be_bytes()[..], &iv, &ciphertext, &mac].concat()
    }
}

/// One direction of a connection, at its receiving end.
pub struct Receiver {
    keys: KeySchedule,
    mac_key: [u8; 16],
    /// The number of the next frame, which the MAC covers; 0 for the first.
    pub sequence: u64,
    limit: usize,
    /// What was received and is no body yet: less than a frame and `RECEIVE_PIECE` bytes.
    came: Vec<u8>,
    last_byte: Instant,
    /// For the trace: what the bodies are.
    pub view: View,
}

impl Receiver {
    /// Longer frames are taken from here on: up to `MAX_FRAME`.
    pub fn after_login(&mut self) {
        self.limit = MAX_FRAME;
    }

    /// When the last byte came, or the hello ended.
    pub fn last_byte(&self) -> Instant {
        self.last_byte
    }

    /// Waits for one whole frame and returns its body. `None`: the peer ended its side between two frames.
    /// After an error that is no timeout the connection is to be closed without a word.
    pub fn receive(&mut self, socket: &Socket, deadline: Instant) -> Result<Option<Vec<u8>>, Error> {
        let mut pieces = 1;
        let size = loop {
            match self.whole_frame() {
                Ok(Some(size)) => break size,
                Ok(None) => match self.receive_more(socket, deadline)? {
                    Came::Nothing => return Ok(None),
                    Came::AllThatWasWanted => {}
                    Came::Less => pieces += usize::from(!self.has_more()),
                },
                Err(error) => {
                    socket.note(&self.note_on_length(socket.trace_level(), &error));
                    return Err(error);
                }
            }
        };
        if socket.trace_level() != Level::Off {
            let note = self.note(socket.trace_level(), pieces);
            socket.note(&note);
        }
        self.take(size).map(Some)
    }

    /// The same where somebody else received `bytes`: no socket, no trace. `None`: the next frame is not whole yet.
    pub fn receive_bytes(&mut self, bytes: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        self.came.extend_from_slice(bytes);
        self.whole_frame()?.map(|size| self.take(size)).transpose()
    }

    /// The body of the first frame, which takes so many bytes and is whole.
    fn take(&mut self, size: usize) -> Result<Vec<u8>, Error> {
        let frame: Vec<u8> = self.came.drain(..size).collect();
        if self.came.capacity() > 2 * RECEIVE_PIECE {
            self.came.shrink_to(RECEIVE_PIECE); // the room of a long frame is not kept
        }
        self.open(&frame)
    }

    /// The body of the next frame, which is whole: MAC, then decryption. Its length was checked.
    pub fn open(&mut self, frame: &[u8]) -> Result<Vec<u8>, Error> {
        let Parts { iv, ciphertext, mac, .. } = parts(frame);
        if !equal(mac, &tag(&self.mac_key, self.sequence, &iv, ciphertext)) {
            return Err(Error::WrongMac);
        }
        self.sequence += 1;
        des::cbc_decrypt(&self.keys, &iv, ciphertext).ok_or(Error::WrongPadding)
    }

    /// Whether another body can be had without waiting: one `recv` may have brought several.
    pub fn has_more(&self) -> bool {
        matches!(self.whole_frame(), Ok(Some(_)))
    }

    /// The bytes that the first frame takes, when all of it is there.
    fn whole_frame(&self) -> Result<Option<usize>, Error> {
        let size = self.size()?;
        Ok((size > LENGTH_SIZE && size <= self.came.len()).then_some(size))
    }

    /// The bytes that the first frame takes; while its length has not come, those of the length field.
    fn size(&self) -> Result<usize, Error> {
        match self.came.len() {
            0..LENGTH_SIZE => Ok(LENGTH_SIZE),
            _ => Ok(LENGTH_SIZE + frame_length(&self.came, self.limit)?),
        }
    }

    /// Waits for bytes, whatever frames they belong to; when the deadline passes, what came is kept. `Nothing`: the peer
    /// ended its side between two frames. Under a trace it takes no more than the frame still needs, first its length, then
    /// the rest: so each line belongs to one frame.
    fn receive_more(&mut self, socket: &Socket, deadline: Instant) -> Result<Came, Error> {
        let mut piece = [0; RECEIVE_PIECE];
        let wanted = match socket.trace_level() {
            Level::Off => RECEIVE_PIECE,
            _ => RECEIVE_PIECE.min(self.size()? - self.came.len()),
        };
        let count = socket.recv(&mut piece[..wanted], deadline)?;
        if count == 0 {
            let place = if self.came.is_empty() { "between frames, a clean end" } else { "within a frame" };
            socket.note(&Note::new(format!("the peer closed: {place}")));
        }
        if count == 0 && !self.came.is_empty() {
            return Err(Error::Io(ErrorKind::UnexpectedEof.into()));
        }
        self.came.extend_from_slice(&piece[..count]);
        self.last_byte = Instant::now();
        Ok(match count {
            0 => Came::Nothing,
            _ if count < wanted => Came::Less,
            _ => Came::AllThatWasWanted,
        })
    }
}

/// What one recv brought.
enum Came {
    Nothing,
    Less,
    AllThatWasWanted,
}

/// A frame in its four parts; it is whole.
pub fn parts(frame: &[u8]) -> Parts<'_> {
    let (length, rest) = frame.split_at(LENGTH_SIZE);
    let mut iv = [0; IV_SIZE];
    iv.copy_from_slice(&rest[..IV_SIZE]);
    let (ciphertext, mac) = rest[IV_SIZE..].split_at(rest.len() - FRAME_OVERHEAD);
    Parts { length, iv, ciphertext, mac }
}

/// Bytes of the frame that a body of so many bytes becomes: it is padded to the next multiple of 8 above.
pub fn frame_size(body: usize) -> usize {
    LENGTH_SIZE + FRAME_OVERHEAD + (body / 8 + 1) * 8
}

/// The length that a frame's first 4 bytes announce: what follows them, in bytes.
pub fn frame_length(frame: &[u8], limit: usize) -> Result<usize, Error> {
    let announced = frame[..LENGTH_SIZE].iter().fold(0, |value, &byte| value << 8 | usize::from(byte));
    if announced < FRAME_OVERHEAD + 8 || announced % 8 != 0 || announced > limit {
        return Err(Error::FrameLength { announced, limit });
    }
    Ok(announced)
}

/// Tag of one frame, 16 bytes: HMAC-MD5 (RFC 2104) over the sequence number (8 bytes, big endian), IV, ciphertext.
/// The sequence number is not sent: a frame left out, doubled or swapped does not fit where it arrives.
fn tag(key: &[u8; 16], sequence: u64, iv: &[u8], ciphertext: &[u8]) -> [u8; 16] {
    hmac_md5(key, &[&sequence.to_be_bytes(), iv, ciphertext])
}
