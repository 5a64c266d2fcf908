//! The socket calls of TCP and UDP, each by its name in the textbook: socket, bind, listen, accept, connect,
//! send, recv, sendto, recvfrom, shutdown, close. Every socket call of either side is made here and nowhere else.
//!
//! Rules: a deadline is a point in time, not a timeout of one call: a peer that sends a byte a second
//! restarts no clock. Reader and writer share one `Socket` in an `Arc`; `try_clone` would cost a
//! second descriptor. Not here: what the bytes mean (wire.rs, http.rs).

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use crate::limits::MAX_DATAGRAM;

/// One TCP connection. Dropping it is close().
#[derive(Debug)]
pub struct Socket {
    stream: TcpStream,
    peer: SocketAddr,
    /// How long the system lets a recv or send wait, in milliseconds; at first for ever.
    recv_timeout: AtomicU64,
    send_timeout: AtomicU64,
    /// Bytes so far.
    sent: AtomicU64,
    received: AtomicU64,
}

/// socket, bind and listen: `std` makes the three calls in one, with a queue of 128 that wait for accept.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    TcpListener::bind(address)
}

/// accept: waits until a client connects; then there is a second socket, for this client alone.
pub fn accept(listener: &TcpListener) -> io::Result<Socket> {
    let (stream, peer) = listener.accept()?;
    Ok(prepared(stream, peer))
}

/// socket and connect: a connection to `address`, or an error after `deadline`.
pub fn connect(address: SocketAddr, deadline: Duration) -> io::Result<Socket> {
    let stream = TcpStream::connect_timeout(&address, deadline)?;
    Ok(prepared(stream, address))
}

/// Nagle's algorithm off: it would hold back a small frame for 40 ms, to fill a segment with the next.
fn prepared(stream: TcpStream, peer: SocketAddr) -> Socket {
    let _ = stream.set_nodelay(true); // an error: the connection is gone already, as recv will find
    let never = || AtomicU64::new(u64::MAX);
    let (sent, received) = (AtomicU64::new(0), AtomicU64::new(0));
    Socket { stream, peer, recv_timeout: never(), send_timeout: never(), sent, received }
}

impl Socket {
    /// Address and port of the other end.
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// recv: waits until at least one byte came and takes at most `buffer.len()`. 0: the peer ended its
    /// side. `TimedOut` when `deadline` passes first; nothing is lost by that.
    pub fn recv(&self, buffer: &mut [u8], deadline: Instant) -> io::Result<usize> {
        loop {
            wait_until(deadline, &self.recv_timeout, |timeout| self.stream.set_read_timeout(Some(timeout)))?;
            let received = (&self.stream).read(buffer);
            match received {
                Err(error) if is_pause(&error) => continue,
                other => {
                    self.received.fetch_add(*other.as_ref().unwrap_or(&0) as u64, Relaxed);
                    return other;
                }
            }
        }
    }

    /// send: all of `bytes`, in as many calls as the system wants. `TimedOut` when the peer takes too little
    /// of it until `deadline`; then nobody knows how much arrived, and the connection is of no more use.
    pub fn send(&self, bytes: &[u8], deadline: Instant) -> io::Result<()> {
        let mut rest = bytes;
        while !rest.is_empty() {
            wait_until(deadline, &self.send_timeout, |timeout| self.stream.set_write_timeout(Some(timeout)))?;
            let sent = (&self.stream).write(rest);
            match sent {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(count) => {
                    self.sent.fetch_add(count as u64, Relaxed);
                    rest = &rest[count..];
                }
                Err(error) if is_pause(&error) => continue,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Bytes sent and received so far.
    pub fn bytes(&self) -> (u64, u64) {
        (self.sent.load(Relaxed), self.received.load(Relaxed))
    }

    /// shutdown(SHUT_WR): the peer reads what was sent, then an end; it can still send.
    pub fn end(&self) {
        let _ = self.stream.shutdown(Shutdown::Write); // an error: the connection is gone already
    }

    /// shutdown(SHUT_RDWR): wakes whoever waits in recv or send on this connection.
    pub fn cut(&self) {
        let _ = self.stream.shutdown(Shutdown::Both);
    }

    /// Sends a last word, ends our side, and reads on until the peer closes or `deadline` passes: a close with unread
    /// bytes would send a reset, and that makes some systems throw away the last word too.
    pub fn last_word(&self, bytes: &[u8], deadline: Instant) {
        if self.send(bytes, deadline).is_ok() {
            self.end();
            let mut forgotten = [0; 4096];
            while matches!(self.recv(&mut forgotten, deadline), Ok(1..)) {}
        }
    }
}

/// A UDP socket: datagrams, each whole, to and from anybody.
pub struct DatagramSocket(UdpSocket);

impl DatagramSocket {
    /// socket and bind; datagrams to broadcast addresses may be sent.
    pub fn bind(address: SocketAddr) -> io::Result<DatagramSocket> {
        let socket = UdpSocket::bind(address)?;
        socket.set_broadcast(true)?;
        Ok(DatagramSocket(socket))
    }

    /// Where it hears.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }

    /// sendto: one datagram.
    pub fn send_to(&self, bytes: &[u8], address: SocketAddr) -> io::Result<()> {
        self.0.send_to(bytes, address).map(drop)
    }

    /// recvfrom: waits for one datagram, at most for `time`, and takes `MAX_DATAGRAM` bytes and one of it: a longer one is
    /// told from one of just that length. Also who sent it.
    pub fn recv_from(&self, time: Option<Duration>) -> io::Result<(Vec<u8>, SocketAddr)> {
        self.0.set_read_timeout(time)?;
        let mut bytes = vec![0; MAX_DATAGRAM + 1];
        let (count, sender) = self.0.recv_from(&mut bytes)?;
        bytes.truncate(count);
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
