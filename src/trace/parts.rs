//! A frame or a datagram in its parts: each row begins with the letter that says what it is.
//!
//! Letters: `L` length, `I` initialisation vector, `C` ciphertext, `M` MAC, `B` body, `N` datagram, `R` a round of DES;
//! those of HTTP stand in trace/http.rs.
//! Rules: all that comes from the network passes `harmless`; long things are cut, and how much is missing is said. What was
//! not deciphered is not shown deciphered.

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Deserializer;

use super::{HttpView, Level, Note};
use crate::des::{self, KeySchedule};
use crate::harmless::harmless;
use crate::limits::{SHOWN_BODY, SHOWN_KIND, SHOWN_ROWS};
use crate::md5_check::hex;

/// Three blocks of eight bytes stand in a row.
const ROW: usize = 3 * 8;

/// A frame taken apart: the four parts of PROTOCOL.md, 3.
pub struct Parts<'a> {
    /// 4 bytes.
    pub length: &'a [u8],
    /// The initialisation vector, 8 bytes.
    pub iv: [u8; 8],
    /// Blocks of 8 bytes.
    pub ciphertext: &'a [u8],
    /// 16 bytes.
    pub mac: &'a [u8],
}

/// A frame that was sent or received.
pub struct Frame<'a> {
    /// Its number in its direction, from 0, as the MAC counts.
    pub number: u64,
    /// Sent, not received.
    pub is_out: bool,
    /// What was on the wire.
    pub parts: Parts<'a>,
    /// What it holds, or what is wrong with it.
    pub body: Result<Vec<u8>, Wrong>,
}

/// Why a frame holds nothing.
#[derive(Debug, Clone, Copy, PartialEq)]
#[allow(missing_docs)]
pub enum Wrong {
    Mac,
    Padding,
}

/// What the bodies of one direction of a connection are.
pub enum View {
    /// JSON, and raw bytes of files.
    Chat,
    /// The octets of HTTP, wherever frames cut them.
    Http(HttpView),
}

/// The rows of a frame's parts; `mac` says what is to be said of its MAC.
pub fn frame_rows(parts: &Parts, mac: &str) -> Vec<String> {
    let announced = parts.iv.len() + parts.ciphertext.len() + parts.mac.len();
    let mut rows = vec![length_row(parts.length, announced), format!("I {}", hex(&parts.iv))];
    let needed = parts.ciphertext.len().div_ceil(ROW);
    let shown = if needed > SHOWN_ROWS { SHOWN_ROWS - 1 } else { needed };
    rows.extend(parts.ciphertext.chunks(ROW).take(shown).map(cipher_row));
    if shown < needed {
        rows.push(format!("C ... {} blocks more", (parts.ciphertext.len() - shown * ROW) / 8));
    }
    rows.push(format!("M {}   {mac}", hex(parts.mac)));
    rows
}

/// The row of a length field, and the number that it is.
pub fn length_row(field: &[u8], announced: usize) -> String {
    format!("{:53}= {announced}", format!("L {}", hex(field)))
}

fn cipher_row(row: &[u8]) -> String {
    let blocks: Vec<String> = row.chunks(8).map(hex).collect();
    format!("C {}", blocks.join(" "))
}

/// The JSON of a body of the chat, and how many raw bytes stand behind it.
pub fn body_row(body: &[u8]) -> String {
    let (_, end) = about(body);
    match body.len().saturating_sub(end + 1) {
        raw if raw > 0 && body[end] == b'\n' => format!("B {} + {raw} raw bytes", shown(&body[..end])),
        _ => format!("B {}", shown(body)),
    }
}

/// What is said of a body; all else in it is passed over.
#[derive(Default, Deserialize)]
struct About {
    #[serde(rename = "type")]
    kind: Option<String>,
    offset: Option<u64>,
}

/// What the JSON at the beginning of a body says, and where it ends.
fn about(body: &[u8]) -> (About, usize) {
    let mut values = Deserializer::from_slice(body).into_iter::<About>();
    match values.next() {
        Some(Ok(about)) => (about, values.byte_offset()),
        _ => (About::default(), body.len()),
    }
}

/// Text, made harmless and cut.
pub fn shown(text: &[u8]) -> String {
    let cut = text.len().saturating_sub(SHOWN_BODY);
    let cut = if cut > 0 { format!(" ... {cut} bytes more") } else { String::new() };
    format!("{}{cut}", harmless(&String::from_utf8_lossy(&text[..text.len().min(SHOWN_BODY)])))
}

/// The `type` of a body, for one line about it; none where it has none, or one that could be a text.
pub fn kind(body: &[u8]) -> Option<String> {
    let is_kind = |byte: u8| byte.is_ascii_uppercase() || byte == b'_';
    let is_shown = |kind: &String| (1..=SHOWN_KIND).contains(&kind.len()) && kind.bytes().all(is_kind);
    about(body).0.kind.filter(is_shown)
}

/// What is said of the frames that one call sent or brought.
pub fn frames(level: Level, keys: &KeySchedule, frames: &[Frame], view: &mut View) -> Note {
    let mut names = Vec::new();
    let mut rows = Vec::new();
    for frame in frames {
        let mac = match frame.body {
            Err(Wrong::Mac) => "wrong".to_owned(),
            _ if frame.is_out => format!("made: over sequence {}, I, C", frame.number),
            _ => format!("right: over sequence {}, I, C", frame.number),
        };
        rows.extend(frame_rows(&frame.parts, &mac));
        let (name, of_body) = frame.body_note(view);
        names.push(name);
        rows.extend(of_body);
        if level >= Level::Rounds && frame.body != Err(Wrong::Mac) {
            rows.extend(round_rows(keys, frame));
        }
    }
    rows.retain(|_| level >= Level::Frames);
    let words = match &names[..] {
        [] => String::new(),
        [one] => one.clone(),
        [first, .., last] => format!("{first}; and {} more, to {last}", names.len() - 1),
    };
    Note { words, rows }
}

impl Frame<'_> {
    /// `frame 1 in CHAT_SEND_MSG: MAC right`, and the rows of the body.
    fn body_note(&self, view: &mut View) -> (String, Vec<String>) {
        let name = format!("frame {} {}", self.number, if self.is_out { "out" } else { "in" });
        match (&self.body, view) {
            (Err(Wrong::Mac), _) => (format!("{name}: MAC wrong; the peer is told nothing"), Vec::new()),
            (Err(Wrong::Padding), _) => {
                (format!("{name}: padding wrong; the peer is told nothing"), Vec::new())
            }
            (Ok(body), View::Http(view)) => {
                let note = view.note(Level::Frames, body, self.is_out);
                (format!("{name}: {}", note.words), note.rows)
            }
            (Ok(body), View::Chat) => match kind(body) {
                Some(kind) => {
                    let mut words = Vec::from_iter((!self.is_out).then_some("MAC right".to_owned()));
                    words.extend(place(&kind, body));
                    let colon = if words.is_empty() { "" } else { ": " };
                    (format!("{name} {kind}{colon}{}", words.join(", ")), vec![body_row(body)])
                }
                None => (format!("{name}: no type"), vec![body_row(body)]),
            },
        }
    }
}

/// Of a file where its bytes begin and end.
fn place(kind: &str, body: &[u8]) -> Option<String> {
    let (About { offset, .. }, end) = about(body);
    match (kind, offset?) {
        ("FILE_CHUNK", offset) => {
            let raw = body.len().saturating_sub(end + 1) as u64;
            Some(format!("bytes {offset} to {}", (offset + raw).saturating_sub(1)))
        }
        ("FILE_READY" | "FILE_DOWNLOAD", offset) => Some(format!("from offset {offset}")),
        _ => None,
    }
}

/// DES at work on the first block of a body: as it is enciphered (out) or deciphered (in).
fn round_rows(keys: &KeySchedule, frame: &Frame) -> Vec<String> {
    let number = |bytes: &[u8]| bytes.iter().take(8).fold(0, |value, &byte| value << 8 | u64::from(byte));
    let iv = number(&frame.parts.iv);
    let mut round_keys = keys.k;
    let (block, name) = match &frame.body {
        Ok(body) if frame.is_out => (number(&des::pad(body)) ^ iv, "block 1 xor I"),
        _ => {
            round_keys.reverse();
            (number(frame.parts.ciphertext), "block 1 of C")
        }
    };
    let (mut l, mut r) = des::initial_permutation(block);
    let mut rows = vec![
        format!("R {name} = {block:016X}   IP: L {l:08X} R {r:08X}"),
        "R  n  K             f         L         R".to_owned(),
    ];
    for (n, k) in (1..).zip(round_keys) {
        let f = des::f(r, k);
        (l, r) = des::round(l, r, k);
        rows.push(format!("R {n:2}  {k:012X}  {f:08X}  {l:08X}  {r:08X}"));
    }
    let block = des::inverse_initial_permutation(r, l);
    let end = match frame.is_out {
        true => ", the first block of C".to_owned(),
        false => format!(", xor I = {:016X}, the first block", block ^ iv),
    };
    rows.push(format!("R swap, IP^-1 = {block:016X}{end}"));
    rows
}

/// What is said of a datagram.
pub fn datagram(level: Level, bytes: &[u8]) -> Note {
    if level == Level::Off {
        return Note::default();
    }
    let is_whole = serde_json::from_slice::<IgnoredAny>(bytes).is_ok();
    let kind = kind(bytes).filter(|_| is_whole).unwrap_or_else(|| "no datagram of minim".to_owned());
    let rows = if level >= Level::Frames { vec![format!("N {}", shown(bytes))] } else { Vec::new() };
    Note { words: kind, rows }
}
