//! Lab 01, five steps: your file. The contract stands in README.md; check.rs tries it.

use std::io;
use std::net::{SocketAddr, TcpListener};

/// Serves so many clients, all at the same time, and sends each what it sends, until it ends its side: how many bytes were
/// sent back in all. An error of one client is that client's alone.
pub fn echo_server(listener: TcpListener, clients: usize) -> io::Result<u64> {
    todo!("accept {clients} clients on {listener:?}")
}

/// Asks a server: sends the question, ends its own side, and reads the answer to its end.
pub fn ask(address: SocketAddr, question: &[u8]) -> io::Result<Vec<u8>> {
    todo!("send {} bytes to {address}", question.len())
}
