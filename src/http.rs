//! HTTP/1.1 as text: octets become the heads and bodies of requests and responses (RFC 9112; meanings in RFC 9110).
//!
//! Rules: no socket and no clock: what octets become depends on them alone, however TCP cuts them. A message whose end is
//! not certain is refused, and its connection closes, for what follows could pass as another request. What is wrong is
//! found as soon as its line is here. Each octet is looked at once, memory grows with what came and never with what was
//! announced, and every loop has a limit from limits.rs. A line is text of which one char is one octet (ISO-8859-1), so
//! nothing is lost and `str` can be used on it.
//! Not here: when a connection waits, answers and closes (http/connection.rs), what is written (http/response.rs),
//! which paths there are and who may ask (server/api.rs). Start with `HeadParser::parse`, or with
//! `Connection::read_head`, which calls it.

mod connection;
mod form;
mod head;
mod response;

use std::io::{self, ErrorKind};
use std::mem::take;

pub use self::connection::{Channel, Connection};
pub use self::form::{parse_form, percent_encode};
pub use self::head::{Authority, Framing, Header, METHODS, RequestHead, ResponseHead};
use self::head::{field_line, is_tchar};
pub use self::response::{Response, imf_fixdate, write_request};
use crate::limits::*;

/// Why a message could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HttpError {
    /// Status and reason: grammar or a limit is broken. Where the message ends is not known any more, or not looked for.
    Refused(u16, &'static str),
    /// 400 and the reason: path, query or form are broken, but the message is whole, so the connection lives.
    BadArgument(String),
    /// 413: the body has, or announces, more octets than this limit.
    BodyTooLong(usize),
    /// The channel failed. `UnexpectedEof`: it ended before the first octet of a response, or within a frame.
    Io(ErrorKind),
}

type Result<T> = std::result::Result<T, HttpError>;

const TIMED_OUT: HttpError = HttpError::Refused(408, "the message was not whole in time");
const CUT_SHORT: HttpError = HttpError::Refused(400, "the connection ended within a message");

impl HttpError {
    /// What the peer gets: status (0: nothing would reach it), whether the connection closes, the reason.
    pub fn outcome(&self) -> (u16, bool, String) {
        match self {
            HttpError::Refused(status, text) => (*status, true, (*text).to_owned()),
            HttpError::BadArgument(text) => (400, false, text.clone()),
            HttpError::BodyTooLong(limit) => (413, true, format!("a body of over {limit} octets")),
            HttpError::Io(kind) => (0, true, format!("the connection failed: {kind}")),
        }
    }
}

impl From<io::Error> for HttpError {
    fn from(error: io::Error) -> HttpError {
        match error.kind() {
            ErrorKind::TimedOut => TIMED_OUT,
            kind => HttpError::Io(kind),
        }
    }
}

fn refused<T>(status: u16, text: &'static str) -> Result<T> {
    Err(HttpError::Refused(status, text))
}

/// What the octets are that came so far. Wrong ones are an error, whatever follows.
pub enum Parsed<T> {
    /// The whole of it.
    Complete(T),
    /// A beginning without fault. Who asked (`Connection::read`) receives more and asks again, the parser goes on where it was.
    Partial,
}
use Parsed::{Complete, Partial};

/// What came and was not used yet. It outlives a message: the next one may have come with it.
#[derive(Default)]
pub struct Input {
    octets: Vec<u8>,
    /// Where what was not used begins.
    at: usize,
    /// Where what was not looked at begins, within a line that is not whole.
    looked: usize,
}

impl Input {
    /// With what was read already, to see what the peer speaks.
    pub fn new(octets: Vec<u8>) -> Input {
        Input { octets, ..Input::default() }
    }

    /// Where what comes is to be appended.
    pub fn buffer(&mut self) -> &mut Vec<u8> {
        self.octets.drain(..self.at); // no more than one line stays
        (self.at, self.looked) = (0, self.looked - self.at);
        &mut self.octets
    }

    /// Whether what was not used begins so.
    fn begins_with(&self, octets: &[u8]) -> bool {
        self.octets[self.at..].starts_with(octets)
    }

    /// Whether all was used.
    pub fn is_empty(&self) -> bool {
        self.at == self.octets.len()
    }

    /// Up to a request's first octet, past empty lines, of which old clients send one behind a body (RFC 9112 §2.2).
    /// `skipped`: their octets so far.
    fn skip_empty_lines(&mut self, skipped: &mut usize) -> Result<Parsed<()>> {
        while let Some(&octet) = self.octets.get(self.at) {
            match (*skipped % 2, octet) {
                (0, b'\r') | (1, b'\n') if *skipped < 2 * MAX_EMPTY_LINES => *skipped += 1,
                (0, _) if is_tchar(char::from(octet)) => return Ok(Complete(())),
                _ => return refused(400, "a request begins with a method"), // a TLS hello, for one: it never becomes a line
            }
            self.at += 1;
            self.looked = self.at;
        }
        Ok(Partial)
    }

    /// The next line, without its CRLF. CR and LF alone are refused, since others take them for line ends (RFC 9112 §2.2),
    /// and so are other control octets but tab. `lines` of `std` ends at LF and has no limit.
    fn line(&mut self, limit: usize, status: u16, too_long: &'static str) -> Result<Parsed<String>> {
        let is_text = |octet: &&u8| matches!(octet, b'\t' | b' '..=b'~' | 0x80..);
        self.looked += self.octets[self.looked..].iter().take_while(is_text).count();
        let line = &self.octets[self.at..self.looked];
        if line.len() > limit {
            return refused(status, too_long);
        }
        match self.octets[self.looked..] {
            [] | [b'\r'] => Ok(Partial),
            [b'\r', b'\n', ..] => {
                let line = text(line);
                self.looked += CRLF;
                self.at = self.looked;
                Ok(Complete(line))
            }
            [b'\r', ..] => refused(400, "CR without LF behind it"),
            [b'\n', ..] => refused(400, "a line ends with LF alone"),
            _ => refused(400, "a control octet in a line"),
        }
    }

    /// Of what is here, at most `count` octets.
    fn take(&mut self, count: usize) -> &[u8] {
        let from = self.at;
        self.at = self.octets.len().min(from.saturating_add(count));
        self.looked = self.at;
        &self.octets[from..self.at]
    }
}

/// Octets of a line's end.
const CRLF: usize = 2;

/// HTTP-message = start-line CRLF *( field-line CRLF ) CRLF [ message-body ]        RFC 9112 §2.1
/// All of it but the body, on its way.
pub struct HeadParser<H> {
    head: Option<H>,
    header: HeaderParser,
}

/// start-line = request-line / status-line        what differs between the two
pub trait Head: Default {
    /// Whether a line that begins with a blank goes on with the value before it (RFC 9112 §5.2); else it is refused.
    const FOLDING: bool;
    /// The head that such a line begins.
    fn begin(start_line: &str) -> Result<Self>;
    /// Its header, and what that says of the whole.
    fn complete(&mut self, header: Header) -> Result<()>;
}

impl<H: Head> Default for HeadParser<H> {
    /// Of a head of which nothing came.
    fn default() -> HeadParser<H> {
        HeadParser { head: None, header: HeaderParser::new(MAX_HEAD, H::FOLDING) }
    }
}

impl<H: Head> HeadParser<H> {
    /// The head, once it is whole.
    pub fn parse(&mut self, input: &mut Input) -> Result<Parsed<H>> {
        let head = match &mut self.head {
            Some(head) => head,
            None => {
                let start = input.at;
                let Complete(line) = input.line(MAX_REQUEST_LINE, 414, "the first line is too long")? else {
                    return Ok(Partial);
                };
                self.header.room -= input.at - start;
                self.head.insert(H::begin(&line)?)
            }
        };
        let Complete(header) = self.header.parse(input)? else { return Ok(Partial) };
        head.complete(header)?;
        Ok(Complete(take(head)))
    }

    /// Whether its first line was used.
    fn has_begun(&self) -> bool {
        self.head.is_some()
    }
}

/// *( field-line CRLF ) CRLF        a header or trailer on its way
struct HeaderParser {
    header: Header,
    /// Octets that its lines may still have, the empty one not counted.
    room: usize,
    folding: bool,
}

impl HeaderParser {
    fn new(room: usize, folding: bool) -> HeaderParser {
        HeaderParser { header: Header::default(), room: room - CRLF, folding }
    }

    fn parse(&mut self, input: &mut Input) -> Result<Parsed<Header>> {
        let lines = &mut self.header.lines;
        while lines.len() <= MAX_FIELDS {
            let (start, limit) = (input.at, self.room.saturating_sub(CRLF));
            let Complete(line) = input.line(limit, 431, "the fields are too long")? else {
                return Ok(Partial);
            };
            if line.is_empty() {
                return Ok(Complete(take(&mut self.header)));
            }
            self.room -= input.at - start;
            match lines.last_mut() {
                Some((_, value)) if self.folding && line.starts_with(BLANKS) => {
                    let more = line.trim_matches(BLANKS);
                    if !value.is_empty() && !more.is_empty() {
                        *value += " "; // a value neither begins nor ends with one (RFC 9110 §5.5)
                    }
                    *value += more;
                }
                _ => lines.push(field_line(&line)?),
            }
        }
        refused(431, "too many fields")
    }
}

/// A body on its way, without its chunks and trailer.
pub struct BodyParser {
    framing: Framing,
    /// Octets that it may have.
    limit: usize,
    body: Vec<u8>,
    part: Part,
    /// Octets that sizes and extensions of chunks may still have.
    room: usize,
    trailer: HeaderParser,
}

/// Where we are in a chunked body.
enum Part {
    Size,
    Data(usize), // octets that are missing
    Trailer,
}

impl BodyParser {
    /// Of a body of which nothing was used.
    pub fn new(framing: Framing, limit: usize) -> BodyParser {
        let trailer = HeaderParser::new(MAX_TRAILER, false);
        BodyParser { framing, limit, body: Vec::new(), part: Part::Size, room: MAX_CHUNK_OVERHEAD, trailer }
    }

    /// The body, once it is whole.
    pub fn parse(&mut self, input: &mut Input) -> Result<Parsed<Vec<u8>>> {
        match self.framing {
            Framing::Chunked => self.parse_chunks(input),
            Framing::UntilClose => {
                // Never complete before `end`.
                self.body.extend_from_slice(input.take(usize::MAX));
                if self.body.len() > self.limit {
                    Err(HttpError::BodyTooLong(self.limit))
                } else {
                    Ok(Partial)
                }
            }
            Framing::Length(length) if length > self.limit => Err(HttpError::BodyTooLong(self.limit)),
            Framing::Length(length) => {
                self.body.extend_from_slice(input.take(length - self.body.len()));
                Ok(if self.body.len() == length { Complete(take(&mut self.body)) } else { Partial })
            }
        }
    }

    /// The body where the connection has ended: whole only if its end is the connection's.
    pub fn end(self) -> Result<Vec<u8>> {
        if self.framing == Framing::UntilClose { Ok(self.body) } else { Err(CUT_SHORT) }
    }

    /// chunked-body = *chunk last-chunk trailer-section CRLF        RFC 9112 §7.1
    /// chunk        = chunk-size [ chunk-ext ] CRLF chunk-data CRLF
    /// chunk-size   = 1*HEXDIG
    /// chunk-ext    = *( BWS ";" BWS chunk-ext-name [ … ] )         ignored, §7.1.1
    fn parse_chunks(&mut self, input: &mut Input) -> Result<Parsed<Vec<u8>>> {
        loop {
            match self.part {
                Part::Size => {
                    let (start, longest) = (input.at, MAX_CHUNK_LINE.min(self.room));
                    let Complete(line) = input.line(longest, 400, "too much between the chunks' data")?
                    else {
                        return Ok(Partial);
                    };
                    self.room = self.room.saturating_sub(input.at - start + CRLF); // that of its data, too
                    // Blanks behind the size are taken without an extension too: some servers pad it with them.
                    let digits = line.split(';').next().unwrap_or("");
                    self.part = match number(digits.trim_end_matches(BLANKS), 16) {
                        None => return refused(400, "a chunk begins with its size in hex digits"),
                        Some(0) => Part::Trailer,
                        Some(size) if size > self.limit - self.body.len() => {
                            return Err(HttpError::BodyTooLong(self.limit));
                        }
                        Some(size) => Part::Data(size),
                    };
                }
                Part::Data(0) => {
                    let Complete(_) = input.line(0, 400, "no CRLF where a chunk's data ends")? else {
                        return Ok(Partial);
                    };
                    self.part = Part::Size;
                }
                Part::Data(missing) => {
                    let data = input.take(missing);
                    if data.is_empty() {
                        return Ok(Partial);
                    }
                    self.body.extend_from_slice(data);
                    self.part = Part::Data(missing - data.len());
                }
                // Checked, then dropped: no part of the header (§7.1.2).
                Part::Trailer => {
                    let Complete(_) = self.trailer.parse(input)? else { return Ok(Partial) };
                    return Ok(Complete(take(&mut self.body)));
                }
            }
        }
    }
}

/// `None`: no digit, something else, or too large. `from_str_radix` alone would take `+5`.
fn number(text: &str, radix: u32) -> Option<usize> {
    let digits = text.chars().all(|letter| letter.is_digit(radix));
    usize::from_str_radix(text, radix).ok().filter(|_| digits)
}

/// A text of which one char is one octet (ISO-8859-1).
fn text(octets: &[u8]) -> String {
    octets.iter().map(|&octet| char::from(octet)).collect()
}

/// The octets of such a text.
fn octets(text: &str) -> Vec<u8> {
    text.chars().map(|letter| letter as u8).collect()
}

/// OWS = *( SP / HTAB )        RFC 9110 §5.6.3; `trim` alone would take VT, FF and NBSP too.
pub const BLANKS: [char; 2] = [' ', '\t'];
