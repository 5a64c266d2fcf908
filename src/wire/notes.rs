//! What the trace says of hello and frames (trace.rs). A message does not pass here: without a trace nothing of it runs.

use super::{Error, LENGTH_SIZE, Receiver, Sender, equal, frame_length, parts, tag};
use crate::des;
use crate::limits::MAX_FRAME;
use crate::md5_check::hex;
use crate::socket::Socket;
use crate::trace::{self, Frame, Level, Note, Wrong, length_row};

/// The parts of a hello, each by its name.
pub fn hello_note(socket: &Socket, parts: &[(&str, &[u8])]) -> Note {
    if socket.trace_level() == Level::Off {
        return Note::default();
    }
    let parts: Vec<String> = parts.iter().map(|(name, bytes)| format!("{name} {}", hex(bytes))).collect();
    Note::new(format!("hello: {}", parts.join(", ")))
}

impl Sender {
    /// What the trace says of frames that were sealed last.
    pub(super) fn note(&mut self, level: Level, frames: &[u8]) -> Note {
        let first = self.sequence - whole_frames(frames).count() as u64;
        let mut shown = Vec::new();
        for (number, frame) in (first..).zip(whole_frames(frames)) {
            let parts = parts(frame);
            let body = des::cbc_decrypt(&self.keys, &parts.iv, parts.ciphertext).ok_or(Wrong::Padding);
            shown.push(Frame { number, is_out: true, parts, body });
        }
        trace::frames(level, &self.keys, &shown, &mut self.view)
    }
}

impl Receiver {
    /// What the trace says of the frames that are whole: with a trace one, without it perhaps more.
    pub(super) fn note(&mut self, level: Level, pieces: usize) -> Note {
        let mut shown = Vec::new();
        for (number, frame) in (self.sequence..).zip(whole_frames(&self.came)) {
            let parts = parts(frame);
            let is_right = equal(parts.mac, &tag(&self.mac_key, number, &parts.iv, parts.ciphertext));
            let body = match is_right {
                true => des::cbc_decrypt(&self.keys, &parts.iv, parts.ciphertext).ok_or(Wrong::Padding),
                false => Err(Wrong::Mac),
            };
            shown.push(Frame { number, is_out: false, parts, body });
        }
        let mut note = trace::frames(level, &self.keys, &shown, &mut self.view);
        if pieces > 1 {
            note.words += &format!(", in {pieces} parts; TCP is a stream");
        }
        note
    }

    /// What the trace says of a length that cannot be.
    pub(super) fn note_on_length(&self, level: Level, error: &Error) -> Note {
        let mut note = Note::new(format!("frame {} in: {error}; the peer is told nothing", self.sequence));
        if let Error::FrameLength { announced, .. } = error
            && level >= Level::Frames
        {
            note.rows.push(length_row(&self.came[..LENGTH_SIZE], *announced));
        }
        note
    }
}

/// The whole frames with which `bytes` begin; their lengths were checked.
fn whole_frames(mut bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let length = frame_length(bytes.get(..LENGTH_SIZE)?, MAX_FRAME).ok()?;
        let (frame, rest) = bytes.split_at_checked(LENGTH_SIZE + length)?;
        bytes = rest;
        Some(frame)
    })
}
