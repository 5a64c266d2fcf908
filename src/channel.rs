//! What HTTP runs on: a plain TCP connection, or frames, as HTTPS is HTTP inside TLS (PROTOCOL.md, 7.1).
//!
//! Rule: in the sealed channel the bodies of the frames, one after the other, are the byte stream of HTTP; where a frame
//! ends means nothing to it. Not here: HTTP itself (http.rs), which of the two a peer speaks (server/api.rs).

use std::io;
use std::time::Instant;

use crate::http::Channel;
use crate::limits::{HTTP_PIECE, MAX_FRAME_BEFORE_LOGIN};
use crate::socket::Socket;
use crate::wire::{FRAME_OVERHEAD, Receiver, Sender};

/// HTTP on a plain TCP connection.
pub struct PlainChannel(pub Socket);

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

impl Channel for PlainChannel {
    fn recv(&mut self, buffer: &mut Vec<u8>, deadline: Instant) -> io::Result<usize> {
        let mut piece = [0; HTTP_PIECE];
        let count = self.0.recv(&mut piece, deadline)?;
        buffer.extend_from_slice(&piece[..count]);
        Ok(count)
    }

    fn send(&mut self, octets: &[u8], deadline: Instant) -> io::Result<()> {
        self.0.send(octets, deadline)
    }

    fn end(&mut self) {
        self.0.end();
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
            let frame = self.sender.seal(piece);
            self.socket.send(&frame, deadline)?;
        }
        Ok(())
    }

    fn end(&mut self) {
        self.socket.end();
    }
}
