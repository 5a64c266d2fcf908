//! The socket calls of TCP and UDP, each by its name in the textbook: socket, bind, listen, accept, connect,
//! send, recv, sendto, recvfrom, shutdown, close. Every socket call of either side is made here and nowhere else.
//!
//! Rules: a deadline is a point in time, not a timeout of one call: a peer that sends a byte a second
//! restarts no clock. Reader and writer share one `Socket` in an `Arc`; `try_clone` would cost a
//! second descriptor. Each call writes its line of the trace (trace/lines.rs); one whose timeout passed and that is made
//! again has none.
//! Not here: what the bytes mean (wire.rs, http.rs).

use std::fmt::Display;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use crate::limits::MAX_DATAGRAM;
use crate::trace::{self, HttpView, Level, Lines, Note, Outcome, Trace};

/// A TCP socket that waits for clients.
pub struct Listener {
    listener: TcpListener,
    lines: Lines,
}

/// One TCP connection. Dropping it is close().
#[derive(Debug)]
pub struct Socket {
    stream: TcpStream,
    /// Behind the stream, and so dropped behind it: its last line says that the socket is closed.
    lines: Lines,
    peer: SocketAddr,
    /// How long the system lets a recv or send wait, in milliseconds; at first for ever.
    recv_timeout: AtomicU64,
    send_timeout: AtomicU64,
    /// Bytes so far.
    sent: AtomicU64,
    received: AtomicU64,
}

/// socket, bind and listen: `std` makes the three calls in one, with a queue of 128 that wait for accept. The trace calls it
/// `name`.
pub fn listen(address: SocketAddr, name: &str, trace: &Arc<Trace>) -> io::Result<Listener> {
    let lines = Lines::new(name, trace);
    let listener = TcpListener::bind(address);
    lines.say_socket(address.is_ipv4(), "SOCK_STREAM");
    lines.say("bind", format_args!("{address}"), done(&listener), &Note::default());
    let listener = listener?;
    lines.say("listen", format_args!("128"), Ok(&"ok"), &Note::new("std: TcpListener::bind did all three"));
    Ok(Listener { listener, lines })
}

/// accept: waits until a client connects; then there is a second socket, for this client alone, which the trace calls
/// `name`.
pub fn accept(listener: &Listener, name: &str) -> io::Result<Socket> {
    let accepted = listener.listener.accept();
    let say = |outcome: Outcome| listener.lines.say("accept", format_args!(""), outcome, &Note::default());
    match &accepted {
        Ok((_, peer)) => say(Ok(&format_args!("{name} from {peer}"))),
        Err(error) => say(Err(error)),
    }
    let (stream, peer) = accepted?;
    Ok(prepared(stream, peer, Lines::new(name, &listener.lines.trace)))
}

/// socket and connect: a connection to `address`, or an error after `deadline`. The trace calls it `name`.
pub fn connect(
    address: SocketAddr,
    deadline: Duration,
    name: &str,
    trace: &Arc<Trace>,
) -> io::Result<Socket> {
    let lines = Lines::new(name, trace);
    lines.say_socket(address.is_ipv4(), "SOCK_STREAM");
    let connected = TcpStream::connect_timeout(&address, deadline);
    lines.say("connect", format_args!("{address}"), done(&connected), &Note::default());
    Ok(prepared(connected?, address, lines))
}

/// For a call that returns nothing worth saying.
fn done<T>(result: &io::Result<T>) -> Outcome<'_> {
    result.as_ref().map(|_| &"ok" as &dyn Display)
}

/// For a call that returns how many bytes it has moved.
fn count(result: &io::Result<usize>) -> Outcome<'_> {
    result.as_ref().map(|count| count as &dyn Display)
}

/// Nagle's algorithm off: it would hold back a small frame for 40 ms, to fill a segment with the next.
fn prepared(stream: TcpStream, peer: SocketAddr, lines: Lines) -> Socket {
    let _ = stream.set_nodelay(true); // an error: the connection is gone already, as recv will find
    let never = || AtomicU64::new(u64::MAX);
    let (sent, received) = (AtomicU64::new(0), AtomicU64::new(0));
    Socket { stream, lines, peer, recv_timeout: never(), send_timeout: never(), sent, received }
}

impl Listener {
    /// Where it listens.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

impl Socket {
    /// Address and port of the other end.
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// How much of it the trace shows.
    pub fn trace_level(&self) -> Level {
        self.lines.trace.level()
    }

    /// recv: waits until at least one byte came and takes at most `buffer.len()`. 0: the peer ended its
    /// side. `TimedOut` when `deadline` passes first; nothing is lost by that. Behind it comes `note`, once it is known
    /// what came.
    pub fn recv(&self, buffer: &mut [u8], deadline: Instant) -> io::Result<usize> {
        self.note(&Note::default()); // nobody had anything to say of the last one
        let received = loop {
            let timeout = |timeout| self.stream.set_read_timeout(Some(timeout));
            let received = match wait_until(deadline, &self.recv_timeout, timeout) {
                Ok(()) => (&self.stream).read(buffer),
                Err(error) => break Err(error),
            };
            if !received.as_ref().is_err_and(is_pause) {
                break received;
            }
        };
        self.lines.received(buffer.len(), &received);
        self.received.fetch_add(*received.as_ref().unwrap_or(&0) as u64, Relaxed);
        received
    }

    /// Tells the trace what the last recv has brought.
    pub fn note(&self, note: &Note) {
        self.lines.note(note);
    }

    /// send: all of `bytes`, in as many calls as the system wants. `TimedOut` when the peer takes too little
    /// of it until `deadline`; then nobody knows how much arrived, and the connection is of no more use.
    pub fn send(&self, bytes: &[u8], deadline: Instant) -> io::Result<()> {
        self.send_noted(bytes, deadline, &Note::default())
    }

    /// The same; `note` says what they are, behind the call that takes the last of them.
    pub fn send_noted(&self, bytes: &[u8], deadline: Instant, note: &Note) -> io::Result<()> {
        let mut rest = bytes;
        while !rest.is_empty() {
            wait_until(deadline, &self.send_timeout, |timeout| self.stream.set_write_timeout(Some(timeout)))?;
            let sent = (&self.stream).write(rest);
            if sent.as_ref().is_err_and(is_pause) {
                continue;
            }
            let is_last = sent.as_ref().is_ok_and(|count| *count == rest.len());
            let note = if is_last { note } else { &Note::default() };
            self.lines.say("send", format_args!("{} bytes", rest.len()), count(&sent), note);
            let sent = sent?;
            if sent == 0 {
                return Err(ErrorKind::WriteZero.into());
            }
            self.sent.fetch_add(sent as u64, Relaxed);
            rest = &rest[sent..];
        }
        Ok(())
    }

    /// Whether a recv would return at once. It looks (MSG_PEEK) and takes nothing, so the trace has no line for it. For
    /// the thread that receives; a send of another one may find the socket non-blocking meanwhile, and is made again.
    pub fn has_input(&self) -> bool {
        let is_set = self.stream.set_nonblocking(true).is_ok();
        let looked = self.stream.peek(&mut [0]);
        let _ = self.stream.set_nonblocking(false); // an error: the next call finds it
        is_set && !looked.is_err_and(|error| is_pause(&error))
    }

    /// Bytes sent and received so far.
    pub fn bytes(&self) -> (u64, u64) {
        (self.sent.load(Relaxed), self.received.load(Relaxed))
    }

    /// shutdown(SHUT_WR): the peer reads what was sent, then an end; it can still send.
    pub fn end(&self) {
        let ended = self.stream.shutdown(Shutdown::Write); // an error: the connection is gone already
        self.lines.say("shutdown", format_args!("SHUT_WR"), done(&ended), &Note::default());
    }

    /// shutdown(SHUT_RDWR): wakes whoever waits in recv or send on this connection.
    pub fn cut(&self) {
        let cut = self.stream.shutdown(Shutdown::Both);
        self.lines.say("shutdown", format_args!("SHUT_RDWR"), done(&cut), &Note::default());
    }

    /// Sends a last word, ends our side, and reads on until the peer closes or `deadline` passes: a close with unread
    /// bytes would send a reset, and that makes some systems throw away the last word too.
    pub fn last_word(&self, bytes: &[u8], deadline: Instant) {
        self.note(&Note::default()); // of the recv that had to be answered so
        let note = HttpView::default().note(self.trace_level(), bytes, true);
        if self.send_noted(bytes, deadline, &note).is_ok() {
            self.end();
            let mut forgotten = [0; 4096];
            while matches!(self.recv(&mut forgotten, deadline), Ok(1..)) {}
        }
    }
}

/// A UDP socket: datagrams, each whole, to and from anybody. The trace calls it `U`.
pub struct DatagramSocket {
    socket: UdpSocket,
    lines: Lines,
}

impl DatagramSocket {
    /// socket and bind; datagrams to broadcast addresses may be sent.
    pub fn bind(address: SocketAddr, trace: &Arc<Trace>) -> io::Result<DatagramSocket> {
        let lines = Lines::new("U", trace);
        let socket = UdpSocket::bind(address);
        lines.say_socket(address.is_ipv4(), "SOCK_DGRAM");
        lines.say("bind", format_args!("{address}"), done(&socket), &Note::default());
        let socket = socket?;
        socket.set_broadcast(true)?;
        Ok(DatagramSocket { socket, lines })
    }

    /// Where it hears.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// sendto: one datagram.
    pub fn send_to(&self, bytes: &[u8], address: SocketAddr) -> io::Result<()> {
        let sent = self.socket.send_to(bytes, address);
        let note = trace::datagram(self.lines.trace.level(), bytes);
        self.lines.say("sendto", format_args!("{} bytes, {address}", bytes.len()), count(&sent), &note);
        sent.map(drop)
    }

    /// recvfrom: waits for one datagram, at most for `time`, and takes `MAX_DATAGRAM` bytes and one of it: a longer one is
    /// told from one of just that length. Also who sent it.
    pub fn recv_from(&self, time: Option<Duration>) -> io::Result<(Vec<u8>, SocketAddr)> {
        self.socket.set_read_timeout(time)?;
        let mut bytes = vec![0; MAX_DATAGRAM + 1];
        let wanted = bytes.len();
        let received = self.socket.recv_from(&mut bytes);
        bytes.truncate(received.as_ref().map_or(0, |(count, _)| *count));
        let note = trace::datagram(self.lines.trace.level(), &bytes);
        let say =
            |outcome: Outcome| self.lines.say("recvfrom", format_args!("{wanted} wanted"), outcome, &note);
        match &received {
            Ok((count, sender)) => say(Ok(&format_args!("{count} from {sender}"))),
            Err(error) => say(Err(error)),
        }
        let (_, sender) = received?;
        Ok((bytes, sender))
    }
}

/// Makes the next call end before `deadline`. A timeout that `is` between the half and the whole of what is left stays, for
/// to set it is a call too: who asks again and again for the same time sets it once. What ends too early is made again.
fn wait_until(deadline: Instant, is: &AtomicU64, set: impl Fn(Duration) -> io::Result<()>) -> io::Result<()> {
    let left = deadline.saturating_duration_since(Instant::now()).as_millis() as u64;
    if left == 0 {
        return Err(ErrorKind::TimedOut.into());
    }
    if !(left / 2..=left).contains(&is.load(Relaxed)) {
        let timeout = left - left / 8; // never zero, which `std` refuses
        set(Duration::from_millis(timeout))?;
        is.store(timeout, Relaxed);
    }
    Ok(())
}

/// A call that ended without result: its timeout passed (`WouldBlock` on Unix, `TimedOut` on Windows), or
/// a signal came. The deadline decides whether it is made again.
fn is_pause(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}
