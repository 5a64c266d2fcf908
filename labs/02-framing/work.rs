//! Lab 02, framing: your file. The contract stands in README.md; check.rs tries it.

/// The bytes of one write: both messages whole, `a` first, nothing between. The museum understands neither of them.
pub fn stick(a: &[u8], b: &[u8]) -> Vec<u8> {
    todo!("{} and {} bytes", a.len(), b.len())
}

/// A message in two parts, for two writes: none is empty, together they are the message. The museum understands neither.
pub fn split(message: &[u8]) -> (&[u8], &[u8]) {
    todo!("{} bytes", message.len())
}

/// Why a stream of bytes is no row of frames.
#[derive(Debug, PartialEq)]
pub enum FrameError {
    /// The value of a length field: below 32, no multiple of 8, or above `minim::limits::MAX_FRAME`.
    Length(u32),
    /// The stream has ended within a frame; its length field is a part of it.
    Truncated,
}

/// Cuts a stream of bytes into frames (PROTOCOL.md, 3): a length field of 4 bytes, big endian, and as many bytes as it says.
/// These are the body here. In minim they are IV, ciphertext and MAC; a splitter does not look into them.
#[derive(Default)]
pub struct Splitter {
    // What must be remembered from one push to the next.
}

impl Splitter {
    /// Takes the bytes of one recv, 1 or more, wherever they begin and end. Returns the bodies, without their length fields,
    /// whose last byte is among them, in order: none, one or several. A length that no frame has is an error in the push that
    /// brings its fourth byte; behind an error nothing is pushed.
    pub fn push(&mut self, bytes: &[u8]) -> Result<Vec<Vec<u8>>, FrameError> {
        todo!("{} bytes", bytes.len())
    }

    /// The stream has ended: recv brought 0 bytes. Between two frames that is `Ok`, also when none has come.
    pub fn finish(self) -> Result<(), FrameError> {
        todo!("look at what is left")
    }
}
