//! What the fuzz targets share: what is chosen by the input, how it is cut, and a connection of HTTP in memory.

use std::collections::VecDeque;
use std::io;
use std::time::Instant;

use minim::http::{Channel, Connection};

/// The input without its last two bytes, and these as a number, from which a target chooses where to cut and what to try: so
/// all that stands before them can be an example of the tests as it is. None: the input is too short.
pub fn with_choice(input: &[u8]) -> Option<(&[u8], usize)> {
    let (bytes, last) = input.split_last_chunk()?;
    Some((bytes, usize::from(u16::from_be_bytes(*last))))
}

/// The three ways in which TCP may bring the same bytes: in one piece, byte by byte, in two pieces.
pub fn deliveries(bytes: &[u8], choice: usize) -> [Vec<&[u8]>; 3] {
    let (before, behind) = bytes.split_at(choice % (bytes.len() + 1));
    let two = [before, behind].into_iter().filter(|piece| !piece.is_empty());
    [vec![bytes], bytes.chunks(1).collect(), two.collect()]
}

/// A connection on which these pieces come, one with each recv, and then its end. What is sent on it is lost.
pub fn connection(pieces: &[&[u8]]) -> Connection {
    let pieces = pieces.iter().map(|piece| piece.to_vec()).collect();
    Connection::new(Box::new(Pieces(pieces)), Vec::new(), Instant::now(), 1.0)
}

struct Pieces(VecDeque<Vec<u8>>);

impl Channel for Pieces {
    fn recv(&mut self, buffer: &mut Vec<u8>, _deadline: Instant) -> io::Result<usize> {
        let piece = self.0.pop_front().unwrap_or_default();
        buffer.extend_from_slice(&piece);
        Ok(piece.len())
    }

    fn send(&mut self, _octets: &[u8], _deadline: Instant) -> io::Result<()> {
        Ok(())
    }

    fn end(&mut self) {}
}
