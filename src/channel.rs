//! What HTTP runs on: a plain TCP connection, or frames, as HTTPS is HTTP inside TLS (PROTOCOL.md, 7.1).
//!
//! Rule: in the sealed channel the bodies of the frames, one after the other, are the byte stream of HTTP; where a frame
//! ends means nothing to it. Not here: HTTP itself (http.rs), which of the two a peer speaks (server/api.rs).

use std::io;
use std::time::Instant;

use crate::http::Channel;
use crate::limits::{HTTP_PIECE, MAX_FRAME_BEFORE_LOGIN};
use crate::socket::Socket;
use crate::trace::{HttpView, View};
use crate::wire::{FRAME_OVERHEAD, Receiver, Sender};

/// HTTP on a plain TCP connection.
pub struct PlainChannel {
    socket: Socket,
    /// For the trace: where what comes next stands.
    came: HttpView,
}

/// Frames, after a hello: HTTP runs inside them, or the chat protocol.
pub struct SealedChannel {
    /// The connection.
    pub socket: Socket,
    /// Our direction.
    pub sender: Sender,
    /// The peer's direction.
    pub receiver: Receiver,
}

/// Longest body of a frame within `MAX_FRAME_BEFORE_LOGIN`: at least one byte of its blocks is padding.
const SEALED_PIECE: usize = MAX_FRAME_BEFORE_LOGIN - FRAME_OVERHEAD - 1;

impl PlainChannel {
    /// HTTP on `socket`, from which `came` was read already.
    pub fn new(socket: Socket, came: &[u8]) -> PlainChannel {
        let mut channel = PlainChannel { socket, came: HttpView::default() };
        channel.note(came);
        channel
    }

    /// Tells the trace what came.
    fn note(&mut self, octets: &[u8]) {
        let note = self.came.note(self.socket.trace_level(), octets, false);
        self.socket.note(&note);
    }
}

impl Channel for PlainChannel {
    fn recv(&mut self, buffer: &mut Vec<u8>, deadline: Instant) -> io::Result<usize> {
        let mut piece = [0; HTTP_PIECE];
        let count = self.socket.recv(&mut piece, deadline)?;
        self.note(&piece[..count]);
        buffer.extend_from_slice(&piece[..count]);
        Ok(count)
    }

    fn send(&mut self, octets: &[u8], deadline: Instant) -> io::Result<()> {
        let note = HttpView::default().note(self.socket.trace_level(), octets, true);
        self.socket.send_noted(octets, deadline, &note)
    }

    fn end(&mut self) {
        self.socket.end();
    }
}

impl SealedChannel {
    /// From here on the frames carry HTTP.
    pub fn with_http(mut self) -> SealedChannel {
        self.sender.view = View::Http(HttpView::default());
        self.receiver.view = View::Http(HttpView::default());
        self
    }
}

impl Channel for SealedChannel {
    /// An empty body means nothing: 0 would mean the end, so it waits for the next frame.
    fn recv(&mut self, buffer: &mut Vec<u8>, deadline: Instant) -> io::Result<usize> {
        loop {
            match self.receiver.receive(&self.socket, deadline)? {
                None => return Ok(0),
                Some(body) if body.is_empty() => {}
                Some(body) => {
                    buffer.extend_from_slice(&body);
                    return Ok(body.len());
                }
            }
        }
    }

    fn send(&mut self, octets: &[u8], deadline: Instant) -> io::Result<()> {
        for piece in octets.chunks(SEALED_PIECE) {
            self.sender.send(&self.socket, piece, deadline)?;
        }
        Ok(())
    }

    fn end(&mut self) {
        self.socket.end();
    }
}
