//! What a call carried, in its parts: each row begins with the letter that says what it is.
//!
//! Letters: `L` length, `I` initialisation vector, `C` ciphertext, `M` MAC, `B` body, `Q` request or status line of HTTP, `H` header
//! line, `D` body of HTTP, `N` datagram, `R` a round of DES.
//! Rules: all that comes from the network passes `harmless`; long things are cut, and how much is missing is said.

use super::{Level, Note};
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
    pub body: Result<Vec<u8>, &'static str>,
}

/// The rows of a whole frame; `mac` says what is to be said of its MAC.
pub fn frame_rows(parts: &Parts, mac: &str, body: Option<&[u8]>) -> Vec<String> {
    let announced = parts.iv.len() + parts.ciphertext.len() + parts.mac.len();
    let length = format!("L {}", hex(parts.length));
    let mut rows = vec![format!("{length:53}= {announced}"), format!("I {}", hex(&parts.iv))];
    let all: Vec<String> = parts.ciphertext.chunks(ROW).map(cipher_row).collect();
    if all.len() > SHOWN_ROWS {
        rows.extend_from_slice(&all[..SHOWN_ROWS - 1]);
        rows.push(format!("C ... {} blocks more", (parts.ciphertext.len() - (SHOWN_ROWS - 1) * ROW) / 8));
    } else {
        rows.extend(all);
    }
    rows.push(format!("M {}   {mac}", hex(parts.mac)));
    rows.extend(body.into_iter().flat_map(body_rows));
    rows
}

fn cipher_row(row: &[u8]) -> String {
    let blocks: Vec<String> = row.chunks(8).map(hex).collect();
    format!("C {}", blocks.join(" "))
}

/// The JSON, and of a FILE_CHUNK how many bytes stand behind it; HTTP by its lines.
fn body_rows(body: &[u8]) -> Vec<String> {
    if kind(body) == "?" {
        return HttpView::of(body).note(Level::Frames, body, false).rows;
    }
    let json = json_of(body);
    let raw = body.len() - json.len();
    let raw = if raw > 0 { format!(" + {} raw bytes", raw - 1) } else { String::new() };
    vec![format!("B {}{raw}", shown(json))]
}

fn json_of(body: &[u8]) -> &[u8] {
    body.split(|byte| *byte == b'\n').next().unwrap_or_default()
}

fn shown(text: &[u8]) -> String {
    let cut = text.len().saturating_sub(SHOWN_BODY);
    let cut = if cut > 0 { format!(" ... {cut} bytes more") } else { String::new() };
    format!("{}{cut}", harmless(&String::from_utf8_lossy(&text[..text.len().min(SHOWN_BODY)])))
}

/// The `type` of a body, for one line about it; `?` where it has none, or one that could be a text.
pub fn kind(body: &[u8]) -> String {
    let json: serde_json::Value = serde_json::from_slice(json_of(body)).unwrap_or_default();
    let kind = json["type"].as_str().unwrap_or_default();
    let is_kind = |byte: u8| byte.is_ascii_uppercase() || byte == b'_';
    let is_shown = (1..=SHOWN_KIND).contains(&kind.len()) && kind.bytes().all(is_kind);
    if is_shown { kind.to_owned() } else { "?".to_owned() }
}

/// What is said of the frames that one call sent, or of the one that it completed.
pub fn frames(level: Level, keys: &KeySchedule, frames: &[Frame]) -> Note {
    let (Some(first), Some(last)) = (frames.first(), frames.last()) else { return Note::default() };
    let mut words = first.words();
    if frames.len() > 1 {
        words += &format!(": and {} more, to {}", frames.len() - 1, last.words());
    }
    let mut rows = Vec::new();
    for frame in frames.iter().filter(|_| level >= Level::Frames) {
        let mac = match &frame.body {
            _ if frame.is_out => format!("made: over sequence {}, I, C", frame.number),
            Ok(_) => format!("right: over sequence {}, I, C", frame.number),
            Err(wrong) => (*wrong).to_owned(),
        };
        rows.extend(frame_rows(&frame.parts, &mac, frame.body.as_deref().ok()));
        if level >= Level::Rounds {
            rows.extend(round_rows(keys, &frame.parts, frame.is_out));
        }
    }
    Note { words, rows }
}

impl Frame<'_> {
    /// `frame 1 in CHAT_SEND_MSG`.
    fn words(&self) -> String {
        let name = format!("frame {} {}", self.number, if self.is_out { "out" } else { "in" });
        match &self.body {
            Err(wrong) => format!("{name}: {wrong}"),
            Ok(body) if kind(body) == "?" => {
                format!("{name}: {}", HttpView::of(body).note(Level::Steps, body, self.is_out).words)
            }
            Ok(body) if self.is_out => format!("{name} {}", kind(body)),
            Ok(body) => format!("{name} {}: MAC right", kind(body)),
        }
    }
}

/// DES at work on the first block: as it was enciphered (out) or deciphered (in).
fn round_rows(keys: &KeySchedule, parts: &Parts, is_out: bool) -> Vec<String> {
    let number = |bytes: &[u8]| bytes.iter().take(8).fold(0, |value, &byte| value << 8 | u64::from(byte));
    let (ciphertext, iv) = (number(parts.ciphertext), number(&parts.iv));
    let deciphered = des::decrypt_block(keys, ciphertext); // the first block xor I
    let mut round_keys = keys.k;
    let (block, name, end) = if is_out {
        (deciphered, "block 1 xor I", ", the first block of C".to_owned())
    } else {
        round_keys.reverse();
        (ciphertext, "block 1 of C", format!(", xor I = {:016X}, the first block", deciphered ^ iv))
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
    rows.push(format!("R swap, IP^-1 = {:016X}{end}", des::inverse_initial_permutation(r, l)));
    rows
}

/// Where the octets of HTTP stand that come next in one direction of a connection.
#[derive(Default)]
pub struct HttpView {
    place: Place,
    /// A line of the head whose end has not come yet.
    unfinished: Vec<u8>,
}

#[derive(Default, PartialEq)]
enum Place {
    /// Before a request line or a status line.
    #[default]
    Start,
    Head,
    Body,
}

/// Whether a request line or a status line stands at the beginning.
fn starts_http(octets: &[u8]) -> bool {
    let method = octets.iter().take_while(|octet| octet.is_ascii_uppercase()).count();
    octets.starts_with(b"HTTP/1.") || method > 0 && octets.get(method) == Some(&b' ')
}

impl HttpView {
    /// For octets of which nothing is known that came before.
    fn of(octets: &[u8]) -> HttpView {
        let place = if starts_http(octets) { Place::Start } else { Place::Body };
        HttpView { place, unfinished: Vec::new() }
    }

    /// What is said of the octets that one call sent or received: the start line, with the path but never the query, in which
    /// passwords may stand; the parts by their lines.
    pub fn note(&mut self, level: Level, octets: &[u8], is_out: bool) -> Note {
        match (level, octets.len()) {
            (Level::Off, _) => return Note::default(),
            (_, 0) => return Note::new("the peer closed"),
            _ => {}
        }
        if self.place == Place::Body && starts_http(octets) {
            self.place = Place::Start;
        }
        let octets = [&std::mem::take(&mut self.unfinished), octets].concat();
        let (mut rest, mut words, mut rows) = (&octets[..], String::new(), Vec::new());
        while self.place != Place::Body
            && let Some(end) = rest.iter().position(|octet| *octet == b'\n')
        {
            let line = shown(rest[..end].strip_suffix(b"\r").unwrap_or(&rest[..end]));
            rest = &rest[end + 1..];
            match (&self.place, line.is_empty()) {
                (Place::Start, true) => {} // allowed before a request
                (Place::Start, false) => {
                    words = start_words(&line, is_out);
                    rows.push(format!("Q {line}"));
                    self.place = Place::Head;
                }
                (_, true) => {
                    rows.push("H (empty line)".to_owned());
                    self.place = Place::Body;
                }
                (_, false) => rows.push(format!("H {line}")),
            }
        }
        if self.place != Place::Body {
            self.unfinished = rest[..rest.len().min(SHOWN_BODY)].to_vec();
            words = if words.is_empty() { "a part of a head".to_owned() } else { words };
        } else if !rest.is_empty() {
            words += if words.is_empty() { "" } else { ", " };
            words += &format!("{} bytes of body", rest.len());
            let is_text = std::str::from_utf8(rest).is_ok();
            rows.push(if is_text { format!("D {}", shown(rest)) } else { format!("D {} bytes", rest.len()) });
        }
        rows.retain(|_| level >= Level::Frames);
        Note { words, rows }
    }
}

/// `request in GET /getFriendsById`, `response out 200`.
fn start_words(line: &str, is_out: bool) -> String {
    let direction = if is_out { "out" } else { "in" };
    let mut words = line.split(' ');
    let (first, second) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    match first.starts_with("HTTP/") {
        true => format!("response {direction} {second}"),
        false => format!("request {direction} {first} {}", second.split('?').next().unwrap_or_default()),
    }
}

/// What is said of a datagram.
pub fn datagram(level: Level, bytes: &[u8]) -> Note {
    if level == Level::Off || bytes.is_empty() {
        return Note::default();
    }
    let rows = if level >= Level::Frames { vec![format!("N {}", shown(bytes))] } else { Vec::new() };
    Note { words: kind(bytes), rows }
}
