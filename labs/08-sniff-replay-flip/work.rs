//! Lab 08, sniff, replay, flip: your file. The contract stands in README.md; check.rs tries it. You are Mallory: no function
//! here knows a key, a passphrase or a password.

use std::io;
use std::net::{SocketAddr, TcpStream};

/// Which way a frame goes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Direction {
    ToServer,
    ToClient,
}

/// Stands between a client and a server of minim until both directions have ended, and then returns.
/// The hello is passed on as it is: 24 bytes to the server, 40 to the client. Behind it, each direction is cut into whole
/// frames (4 bytes of length, big endian, and so many more). As soon as a frame has come, `meddle` is asked: the direction,
/// the frame's number in that direction (from 0), the frame, its length field included. What it returns is sent on in place
/// of the frame. Nothing else waits: one direction goes on while the other is silent.
/// The end of one side, or an error, is passed on as the end of that direction (shutdown of writing) and leaves the other
/// direction alone; what has come of a frame that is not whole is dropped.
pub fn relay(
    client: TcpStream,
    server: TcpStream,
    meddle: impl Fn(Direction, u64, Vec<u8>) -> Vec<Vec<u8>> + Sync,
) {
    let instead = meddle(Direction::ToServer, 0, Vec::new());
    todo!("pass on what comes from {client:?} and {server:?}, {instead:?} in place of a frame")
}

/// Sends what a client once sent, byte for byte in one write, over a connection of its own. That connection is returned: what
/// the server says on it is still to be read.
pub fn replay(recording: &[u8], server: SocketAddr) -> io::Result<TcpStream> {
    todo!("send {} bytes to {server}", recording.len())
}

/// Changes a CHAT_SEND_MSG of the museum on its way: the text `amount=0…` arrives as `amount=9…`, and nothing else changes.
/// The message is JSON in clear, one line feed (0a), 8 bytes of IV, then the text's CBC blocks.
pub fn flip_amount(message: &mut [u8]) {
    todo!("one byte of these {}", message.len())
}
