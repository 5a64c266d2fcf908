//! HTTP in its parts, line by line: `Q` request or status line, `H` header line, `D` body.
//!
//! Rules: a line is shown when its end has come, whatever calls brought its pieces; where a body ends, Content-Length says, or
//! the last chunk. The words behind a call hold a method, a path or a status and no other text, since a query and a body may
//! hold passwords. Not here: whether the message is right (http.rs).

use std::mem::take;

use super::parts::shown;
use super::{Level, Note};
use crate::limits::SHOWN_BODY;

/// Where the octets of one direction of a connection stand.
#[derive(Default)]
pub struct HttpView {
    place: Place,
    /// A line of the head whose end has not come yet.
    unfinished: Vec<u8>,
    /// Octets of the body that are still to come.
    body: Body,
}

#[derive(Default, Clone, Copy, PartialEq)]
enum Place {
    /// Before a request line or a status line.
    #[default]
    Start,
    Head,
    Body,
}

#[derive(Clone, Copy, PartialEq)]
enum Body {
    Length(usize),
    /// Chunks, the last of which is empty; shown with their sizes.
    Chunked,
}

impl Default for Body {
    fn default() -> Body {
        Body::Length(0)
    }
}

impl HttpView {
    /// What is said of the octets that one call sent or brought.
    pub fn note(&mut self, level: Level, octets: &[u8], is_out: bool) -> Note {
        match (level, octets.len()) {
            (Level::Off, _) => return Note::default(),
            (_, 0) => return Note::new("the peer closed"),
            _ => {}
        }
        if self.place == Place::Body && octets.starts_with(b"HTTP/1.") {
            *self = HttpView::default(); // the answer before it was one to HEAD
        }
        let begun = self.place;
        let octets = [&take(&mut self.unfinished), octets].concat();
        let (mut rest, mut starts, mut rows, mut in_body) = (&octets[..], Vec::new(), Vec::new(), 0);
        while !rest.is_empty() {
            if self.place == Place::Body {
                let (piece, behind) = rest.split_at(self.body_piece(rest));
                in_body += piece.len();
                rows.push(body_row(piece));
                rest = behind;
                continue;
            }
            let Some(end) = rest.iter().position(|octet| *octet == b'\n') else { break };
            let line = rest[..end].strip_suffix(b"\r").unwrap_or(&rest[..end]);
            rest = &rest[end + 1..];
            if self.place == Place::Head || !line.is_empty() {
                rows.push(self.line(line, is_out, &mut starts)); // empty ones are allowed before a request
            }
        }
        if self.place != Place::Body {
            self.unfinished = rest[..rest.len().min(SHOWN_BODY)].to_vec();
        }
        if starts.is_empty() && in_body == 0 {
            starts
                .push(if begun == Place::Start { "a part of a head" } else { "more of the head" }.to_owned());
        }
        if in_body > 0 {
            starts.push(format!("{in_body} bytes of body"));
        }
        rows.retain(|_| level >= Level::Frames);
        let words = match &starts[..] {
            [first, rest @ ..] if !rest.is_empty() => format!("{first}: {}", rest.join(", ")),
            _ => starts.concat(),
        };
        Note { words, rows }
    }

    /// One line of the head.
    fn line(&mut self, line: &[u8], is_out: bool, starts: &mut Vec<String>) -> String {
        if self.place == Place::Start {
            starts.push(start_words(line, is_out));
            (self.place, self.body) = (Place::Head, Body::default());
            return format!("Q {}", shown(line));
        }
        if line.is_empty() {
            self.place = if self.body == Body::Length(0) { Place::Start } else { Place::Body };
            return "H (empty line)".to_owned();
        }
        let text = String::from_utf8_lossy(line).to_ascii_lowercase();
        match text.split_once(':').map(|(name, value)| (name, value.trim())) {
            Some(("content-length", length)) => self.body = Body::Length(length.parse().unwrap_or(0)),
            Some(("transfer-encoding", _)) => self.body = Body::Chunked,
            _ => {}
        }
        format!("H {}", shown(line))
    }

    /// How much of `rest` belongs to the body.
    fn body_piece(&mut self, rest: &[u8]) -> usize {
        let (count, is_over) = match &mut self.body {
            Body::Length(left) => {
                let count = rest.len().min(*left);
                *left -= count;
                (count, *left == 0)
            }
            Body::Chunked => (rest.len(), rest.ends_with(b"0\r\n\r\n")),
        };
        if is_over {
            self.place = Place::Start;
        }
        count
    }
}

/// Text, even where a call cut a character; else how many octets.
fn body_row(octets: &[u8]) -> String {
    let is_rest_of_character = |octet: &&u8| **octet & 0xC0 == 0x80;
    let cut = octets.iter().take(3).take_while(is_rest_of_character).count();
    match std::str::from_utf8(&octets[cut..]) {
        Err(error) if error.error_len().is_some() => format!("D {} bytes", octets.len()),
        _ => format!("D {}", shown(octets)),
    }
}

/// `request in GET /getFriendsById`, `response out 200`: never the query, nor a user before the host. Whatever is no such line
/// could be a text.
fn start_words(line: &[u8], is_out: bool) -> String {
    let direction = if is_out { "out" } else { "in" };
    let line = String::from_utf8_lossy(line);
    let words: Vec<&str> = line.split(' ').collect();
    let is_method = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_uppercase());
    match words[..] {
        [version, status, ..] if version.starts_with("HTTP/1.") && status.parse::<u16>().is_ok() => {
            format!("response {direction} {status}")
        }
        [method, target, version] if is_method(method) && version.starts_with("HTTP/1.") => {
            let target = target.split(['?', '#']).next().unwrap_or_default();
            let path = target
                .split_once("://")
                .map_or(target, |(_, rest)| rest.find('/').map_or("/", |at| &rest[at..]));
            format!("request {direction} {method} {}", shown(path.as_bytes()))
        }
        _ => "no request line".to_owned(),
    }
}
