//! HTTP/1.1 for both sides: octets become requests and responses, and back (RFC 9112; meanings in RFC 9110).
//!
//! Rules: a message whose end is not certain is refused and its connection closed, for what follows could pass
//! as another request. What is wrong is found as soon as its line is here. Each octet is looked at once, memory
//! grows with what came and never with what was announced, and every loop has a limit from limits.rs.
//! A line is text of which one char is one octet (ISO-8859-1), so nothing is lost and `str` can be used on it.
//! Not here: which paths there are and who may ask (server/api.rs); sockets and frames (wire.rs).
//! Start with `Connection::read_head`; the client's half is `write_request` and `Connection::read_response`.

use std::io::{self, ErrorKind};
use std::net::Ipv6Addr;
use std::time::{Duration, Instant};

use crate::clock::{self, Civil};
use crate::limits::*;

/// What HTTP runs on: a TCP connection, plain or sealed.
pub trait Channel {
    /// Waits for octets until `deadline` and appends what came to `buffer`. 0: the peer ended its side.
    /// A passed deadline is an error of kind `TimedOut`.
    fn recv(&mut self, buffer: &mut Vec<u8>, deadline: Instant) -> io::Result<usize>;
    /// Sends all octets until `deadline`, in one call where it can.
    fn send(&mut self, octets: &[u8], deadline: Instant) -> io::Result<()>;
    /// Ends our side (nothing more is sent), the other can still be read: shutdown(SHUT_WR).
    fn end(&mut self);
}

/// Why a message could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HttpError {
    /// Status and reason: grammar or a limit is broken, and nobody knows where the message ends.
    Refused(u16, &'static str),
    /// 400 and the reason: path, query or form are broken, but the message is whole, so the connection lives.
    BadArgument(&'static str),
    /// 413: the body has, or announces, more octets than this limit.
    BodyTooLong(usize),
    /// The channel failed. `UnexpectedEof`: it ended before the first octet of a response.
    Io(ErrorKind),
}

type Result<T> = std::result::Result<T, HttpError>;

const TIMED_OUT: HttpError = HttpError::Refused(408, "the message was not whole in time");
const CUT_SHORT: HttpError = HttpError::Refused(400, "the connection ended within a message");

impl HttpError {
    /// What the peer gets: status (0: nothing would reach it), whether the connection closes, the reason.
    pub fn outcome(self) -> (u16, bool, String) {
        match self {
            HttpError::Refused(status, text) => (status, true, text.into()),
            HttpError::BadArgument(text) => (400, false, text.into()),
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

/// One connection, of a server or a client. A server calls again and again `read_head`, then `read_body` or,
/// before a refusal, `discard_body`, then `write_response`, until one of them says that it is over.
pub struct Connection {
    channel: Box<dyn Channel>,
    /// What came last, used up to `at`. It outlives the request: the next one may have come with it.
    buffer: Vec<u8>,
    at: usize,
    deadline: Instant,
    patience: f64,
    requests: usize,
    /// Octets that lines may still have in this head, trailer or body.
    room: usize,
    /// Of the body that was not read yet. As long as there is one, what follows is no request.
    framing: Framing,
    /// The client sends the body once we say `100 Continue` (RFC 9110 §10.1.1).
    continue_due: bool,
    /// The request is a HEAD: no response to it has a body.
    head_only: bool,
    close_asked: bool,
}

impl Connection {
    /// `buffer`: what was read already, to see what the client speaks. `patience` (above 0, at most a million)
    /// multiplies each deadline; the one for the first head runs from `since`, when the connection was accepted.
    pub fn new(channel: Box<dyn Channel>, buffer: Vec<u8>, since: Instant, patience: f64) -> Self {
        Connection {
            channel,
            buffer,
            at: 0,
            deadline: since + patiently(HEADER_DEADLINE, patience),
            patience,
            requests: 0,
            room: 0,
            framing: Framing::Length(0),
            continue_due: false,
            head_only: false,
            close_asked: false,
        }
    }

    /// The next request's head. `None`: the client ended or was silent between two; close without a word.
    pub fn read_head(&mut self) -> Result<Option<RequestHead>> {
        let first = self.requests == 0;
        self.head_only = false;
        if !first {
            self.deadline = self.after(HTTP_IDLE_DEADLINE);
        }
        if !self.wait_for_request()? {
            return Ok(None);
        }
        if !first {
            self.deadline = self.after(HEADER_DEADLINE);
        }
        self.requests += 1;
        self.room = MAX_HEAD;
        let line = self.line(MAX_REQUEST_LINE, 414, "the request line is too long")?;
        let mut head = request_line(&line)?;
        self.head_only = head.method == "HEAD"; // from here on, errors too are answered without a body
        head.fields = self.field_lines(false)?;
        self.framing = framing(&head.fields, head.minor, true)?;
        let host = host(&head)?;
        head.authority = head.authority.or(host); // an absolute target overrules Host (RFC 9112 §3.2.2)
        let body_waits = self.body_left() && self.at == self.buffer.len();
        self.continue_due = expects_continue(&head)? && body_waits;
        self.close_asked = head.minor == 0 || head.fields.has_token("Connection", "close");
        Ok(Some(head))
    }

    /// Waits for a request's first octet, past empty lines, which old clients send (RFC 9112 §2.2).
    fn wait_for_request(&mut self) -> Result<bool> {
        let mut empty = 0; // octets of empty lines
        loop {
            let octet = match self.available() {
                Ok(here) => here[0],
                Err(CUT_SHORT | TIMED_OUT) => return Ok(false),
                Err(error) => return Err(error),
            };
            match (empty % 2, octet) {
                (0, b'\r') | (1, b'\n') if empty < 2 * MAX_EMPTY_LINES => empty += 1,
                (0, _) if is_tchar(char::from(octet)) => return Ok(true),
                _ => return refused(400, "a request begins with a method"), // TLS has no lines to wait for
            }
            self.at += 1;
        }
    }

    /// The body, at most `limit` octets, without chunks and trailer.
    pub fn read_body(&mut self, limit: usize) -> Result<Vec<u8>> {
        self.deadline = self.after(BODY_DEADLINE);
        let mut body = Vec::new();
        match self.framing {
            Framing::Length(length) if length > limit => return Err(HttpError::BodyTooLong(limit)),
            Framing::Length(length) => self.take(length, &mut body)?,
            Framing::Chunked => self.take_chunks(limit, &mut body)?,
            Framing::UntilClose => match self.take(limit + 1, &mut body) {
                Err(CUT_SHORT) => {}
                taken => return Err(taken.err().unwrap_or(HttpError::BodyTooLong(limit))),
            },
        }
        self.framing = Framing::Length(0);
        Ok(body)
    }

    /// Before a refusal: reads the body, so that the connection can live. One of more than `limit` octets, or
    /// one that the client keeps until asked for it, stays where it is, and the answer closes.
    pub fn discard_body(&mut self, limit: usize) {
        if !self.continue_due {
            let _ = self.read_body(limit); // the refusal is the answer, also where the body is broken
        }
    }

    /// Writes the answer. The only place that decides whether the connection lives; false: it is over.
    pub fn write_response(&mut self, response: &Response) -> bool {
        let close_asked = response.close || self.close_asked;
        let close = close_asked || self.body_left() || self.requests >= MAX_REQUESTS;
        let sent = self.send(&response.to_octets(self.head_only, close));
        if close && sent.is_ok() {
            self.close_in_stages();
        }
        sent.is_ok() && !close
    }

    /// Answers what `read_head` or `read_body` found wrong, if that can reach the client; then it is over.
    pub fn refuse(mut self, error: HttpError) {
        if !matches!(error, HttpError::Io(_)) {
            self.write_response(&Response::from(error));
        }
    }

    /// Ends our side and waits for the client to end its own (RFC 9112 §9.6): a socket that is dropped with
    /// unread input sends a reset, which can destroy the answer before the client has read it.
    fn close_in_stages(&mut self) {
        self.channel.end();
        let deadline = self.after(LINGER_DEADLINE);
        let mut discarded = 0;
        while discarded < LINGER_BYTES {
            self.buffer.clear();
            match self.channel.recv(&mut self.buffer, deadline) {
                Ok(0) | Err(_) => return,
                Ok(count) => discarded += count,
            }
        }
    }

    /// Sends octets in one piece: a request of `write_request`.
    pub fn send(&mut self, octets: &[u8]) -> Result<()> {
        let deadline = self.after(WRITE_DEADLINE);
        Ok(self.channel.send(octets, deadline)?)
    }

    fn body_left(&self) -> bool {
        self.framing != Framing::Length(0)
    }

    fn after(&self, limit: Duration) -> Instant {
        Instant::now() + patiently(limit, self.patience)
    }

    /// What is here and not used; where nothing is, waits for it.
    fn available(&mut self) -> Result<&[u8]> {
        if self.at == self.buffer.len() {
            if std::mem::take(&mut self.continue_due) {
                self.send(b"HTTP/1.1 100 Continue\r\n\r\n")?;
            }
            (self.at, self.buffer) = (0, Vec::new());
            if self.channel.recv(&mut self.buffer, self.deadline)? == 0 {
                return Err(CUT_SHORT);
            }
        }
        Ok(&self.buffer[self.at..])
    }

    /// The next line, without its CRLF. CR and LF alone are refused, since others take them for line ends (RFC
    /// 9112 §2.2), and so are other control octets but tab. `lines` of `std` ends at LF and has no limit.
    fn line(&mut self, limit: usize, status: u16, too_long: &'static str) -> Result<String> {
        let mut line = Vec::new();
        loop {
            let octet = self.available()?[0];
            self.at += 1;
            match octet {
                b'\n' if line.ends_with(b"\r") => break,
                b'\n' => return refused(400, "a line ends with LF alone"),
                _ if line.ends_with(b"\r") => return refused(400, "CR without LF behind it"),
                b'\r' => {}
                _ if line.len() >= limit || self.room == 0 => return refused(status, too_long),
                b'\t' | b' '..=b'~' | 0x80.. => {}
                _ => return refused(400, "a control octet in a line"),
            }
            line.push(octet);
            self.room = self.room.saturating_sub(1);
        }
        line.pop();
        Ok(text(&line))
    }

    /// Fields of a header or trailer, and the empty line behind them. `folding`: a line that begins with a
    /// blank goes on with the value before it (RFC 9112 §5.2); in a request that is refused.
    fn field_lines(&mut self, folding: bool) -> Result<Fields> {
        let mut fields = Fields::default();
        while fields.lines.len() <= MAX_FIELDS {
            let line = self.line(self.room, 431, "the fields are too long")?;
            match fields.lines.last_mut() {
                _ if line.is_empty() => return Ok(fields),
                Some((_, value)) if folding && line.starts_with(BLANKS) => {
                    *value += " ";
                    *value += line.trim_matches(BLANKS);
                }
                _ => fields.lines.push(field_line(&line)?),
            }
        }
        refused(431, "too many fields")
    }

    fn take(&mut self, mut left: usize, body: &mut Vec<u8>) -> Result<()> {
        while left > 0 {
            let here = self.available()?;
            let count = left.min(here.len());
            body.extend_from_slice(&here[..count]);
            self.at += count;
            left -= count;
        }
        Ok(())
    }

    /// chunked-body = *chunk last-chunk trailer-section CRLF        RFC 9112 §7.1
    /// chunk        = chunk-size [ chunk-ext ] CRLF chunk-data CRLF
    /// chunk-size   = 1*HEXDIG
    /// chunk-ext    = *( BWS ";" BWS chunk-ext-name [ … ] )         ignored, §7.1.1
    fn take_chunks(&mut self, limit: usize, body: &mut Vec<u8>) -> Result<()> {
        self.room = MAX_CHUNK_OVERHEAD;
        loop {
            let line = self.line(MAX_CHUNK_LINE, 400, "too much between the chunks' data")?;
            let digits = line.split(';').next().unwrap_or("");
            let Some(size) = number(digits.trim_end_matches(BLANKS), 16) else {
                return refused(400, "a chunk begins with its size in hex digits");
            };
            if size == 0 {
                break;
            }
            if size > limit - body.len() {
                return Err(HttpError::BodyTooLong(limit));
            }
            self.take(size, body)?;
            self.line(0, 400, "no CRLF where a chunk's data ends")?;
        }
        self.room = MAX_TRAILER;
        self.field_lines(false)?; // checked, then dropped: no part of the header (§7.1.2)
        Ok(())
    }

    /// Client: the response to a request with that `method`; its body has at most `limit` octets. `to_end`:
    /// where no length is given, believe the connection's end, which an attacker can bring about.
    pub fn read_response(&mut self, method: &str, limit: usize, to_end: bool) -> Result<Response> {
        self.deadline = self.after(HEADER_DEADLINE);
        if self.available() == Err(CUT_SHORT) {
            return Err(HttpError::Io(ErrorKind::UnexpectedEof));
        }
        for _ in 0..=MAX_INTERIM_RESPONSES {
            self.room = MAX_HEAD;
            let line = self.line(MAX_REQUEST_LINE, 400, "the status line is too long")?;
            let (minor, status) = status_line(&line)?;
            let fields = self.field_lines(true)?;
            self.framing = match method {
                _ if matches!(status, 100..=199 | 204 | 304) => Framing::Length(0),
                "HEAD" => Framing::Length(0),
                _ => framing(&fields, minor, false)?,
            };
            if self.framing == Framing::UntilClose && !to_end {
                return refused(400, "a response without a length");
            }
            if status >= 200 {
                let doubtful = match self.framing {
                    Framing::Length(_) => false,
                    Framing::Chunked => fields.all("Content-Length").next().is_some(), // §6.3 rule 3
                    Framing::UntilClose => true,
                };
                let mut response = Response::new(status, self.read_body(limit)?);
                response.close = doubtful || minor == 0 || fields.has_token("Connection", "close");
                response.close |= self.at < self.buffer.len();
                response.fields = fields;
                return Ok(response);
            }
        }
        refused(400, "too many interim responses")
    }
}

/// The methods of RFC 9110 §9 and RFC 5789. Another gets 501; one of these that a path doesn't take, 405.
#[rustfmt::skip]
pub const METHODS: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];

/// Request line and header of one request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestHead {
    /// As it came: its case matters, and it may be none of `METHODS`.
    pub method: String,
    /// As it came, percent-encoded; `*` only with OPTIONS, `/` with CONNECT.
    pub path: String,
    /// What stood behind the first `?`, for `parse_form`; may hold octets from 0x80.
    pub query: Vec<u8>,
    /// 0 is HTTP/1.0, all others are served as HTTP/1.1.
    pub minor: u8,
    /// `host` or `host:port` of an absolute target, else of Host; may be empty. `None`: HTTP/1.0 without Host.
    pub authority: Option<String>,
    /// The header.
    pub fields: Fields,
}

impl RequestHead {
    /// The path split at `/`, then decoded once: `%2F` is a part of its segment and separates nothing.
    pub fn path_segments(&self) -> Result<Vec<String>> {
        self.path.split('/').skip(1).map(percent_decode).collect()
    }

    /// request-target = origin-form / absolute-form / authority-form / asterisk-form        RFC 9112 §3.2
    /// origin-form    = absolute-path [ "?" query ]
    /// absolute-form  = "http://" authority path-abempty [ "?" query ]
    /// authority-form = uri-host ":" port                               CONNECT alone
    /// asterisk-form  = "*"                                             OPTIONS alone
    fn set_target(&mut self, target: &str) -> Result<()> {
        let (before, query) = target.split_once('?').unwrap_or((target, ""));
        if !before.chars().all(|c| c.is_ascii_graphic()) || target.contains(['#', '\t']) {
            return refused(400, "an octet in the target must be percent-encoded");
        }
        let (scheme, rest) = before.split_at_checked(7).unwrap_or(("", ""));
        let (authority, path) = match before {
            _ if before.starts_with('/') => (None, before),
            "*" if self.method == "OPTIONS" => (None, before),
            _ if scheme.eq_ignore_ascii_case("http://") => {
                let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
                (Some(authority), path)
            }
            _ if self.method == "CONNECT" && before.contains(':') => (Some(before), ""),
            _ => return refused(400, "a target is /path or http://host/path"),
        };
        if authority.is_some_and(|name| !is_authority(name) || name.split(':').next() == Some("")) {
            return refused(400, "a target names host or host:port");
        }
        self.authority = authority.map(str::to_owned);
        self.path = if path.is_empty() { "/" } else { path }.to_owned();
        self.query = octets(query);
        Ok(())
    }
}

/// request-line = method SP request-target SP HTTP-version        RFC 9112 §3
fn request_line(line: &str) -> Result<RequestHead> {
    let words: Vec<&str> = line.splitn(4, ' ').collect();
    let [method, target, version] = words[..] else {
        return refused(400, "a request line has three words, one space between");
    };
    if !is_token(method) {
        return refused(400, "a character that no method has");
    }
    if method.len() > MAX_METHOD {
        return refused(501, "no method is so long");
    }
    let (major, minor) = http_version(version)?;
    if major != 1 {
        return refused(505, "this is an HTTP/1.1 server");
    }
    let mut head = RequestHead::default();
    (head.method, head.minor) = (method.to_owned(), minor);
    head.set_target(target)?;
    Ok(head)
}

/// token = 1*tchar        RFC 9110 §5.6.2
fn is_token(text: &str) -> bool {
    !text.is_empty() && text.chars().all(is_tchar)
}

/// tchar = "!" / "#" / … / DIGIT / ALPHA
fn is_tchar(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(letter)
}

/// HTTP-version = "HTTP" "/" DIGIT "." DIGIT        RFC 9112 §2.3
fn http_version(word: &str) -> Result<(u8, u8)> {
    match word.strip_prefix("HTTP/").map(str::as_bytes) {
        Some([major @ b'0'..=b'9', b'.', minor @ b'0'..=b'9']) => Ok((major - b'0', minor - b'0')),
        _ => refused(400, "a version is HTTP/ digit . digit"),
    }
}

/// uri-host [ ":" port ], no user information                                RFC 9112 §3.2, RFC 3986 §3.2.2
/// uri-host = "[" IPv6address "]" / *( unreserved / pct-encoded / sub-delims )
fn is_authority(text: &str) -> bool {
    let is_named = |c: char| c.is_ascii_alphanumeric() || "-._~%!$&'()*+,;=".contains(c);
    let (host, port) = match text.rfind([':', ']']) {
        Some(at) if text[at..].starts_with(':') => (&text[..at], &text[at + 1..]),
        _ => (text, ""),
    };
    let is_host = match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(address) => address.parse::<Ipv6Addr>().is_ok(),
        None => host.chars().all(is_named),
    };
    is_host && port.chars().all(|c| c.is_ascii_digit())
}

/// One line of Host, well formed (RFC 9112 §3.2); whose name it is, others decide.
fn host(head: &RequestHead) -> Result<Option<String>> {
    let hosts: Vec<&str> = head.fields.all("Host").collect();
    match hosts[..] {
        [host] if is_authority(host) => Ok(Some(host.to_owned())),
        [] if head.minor == 0 => Ok(None),
        _ => refused(400, "a request has one Host: host or host:port"),
    }
}

fn expects_continue(head: &RequestHead) -> Result<bool> {
    let expectations: Vec<&str> = head.fields.all("Expect").collect();
    match expectations[..] {
        [] => Ok(false),
        [one] if one.eq_ignore_ascii_case("100-continue") => Ok(head.minor > 0),
        _ => refused(417, "Expect can only be 100-continue"),
    }
}

/// Where a body ends (RFC 9112 §6.3).
#[derive(Clone, Copy, PartialEq)]
enum Framing {
    Length(usize), // 0: there is none
    Chunked,
    UntilClose, // a response alone
}

/// Two answers to the question where a request ends are how one is smuggled past the other (RFC 9112 §11.2).
fn framing(fields: &Fields, minor: u8, request: bool) -> Result<Framing> {
    let codings: Vec<&str> = fields.all("Transfer-Encoding").collect();
    let lengths: Vec<&str> = fields.all("Content-Length").collect();
    let is_number = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_digit());
    match (&codings[..], &lengths[..]) {
        ([], []) if request => Ok(Framing::Length(0)),
        ([], []) => Ok(Framing::UntilClose),
        // 1*DIGIT (RFC 9110 §8.6). What overflows becomes the largest number, which no limit allows.
        ([], [text]) if is_number(text) => Ok(Framing::Length(text.parse().unwrap_or(usize::MAX))),
        ([], _) => refused(400, "Content-Length stands once and has digits alone"),
        (_, [_, ..]) if request => refused(400, "Content-Length with Transfer-Encoding"),
        _ if minor == 0 => refused(400, "Transfer-Encoding in HTTP/1.0"),
        ([coding], _) if coding.eq_ignore_ascii_case("chunked") => Ok(Framing::Chunked),
        // Without chunked at its end nobody knows where the request ends: 400 (§6.3 rule 4). Else a coding that we lack.
        ([.., last], _) if ends_in_chunked(last) => refused(501, "Transfer-Encoding can only be chunked"),
        _ => refused(400, "Transfer-Encoding must end in chunked"),
    }
}

fn ends_in_chunked(codings: &str) -> bool {
    let last = codings.rsplit(',').next().unwrap_or_default();
    last.trim_matches(BLANKS).eq_ignore_ascii_case("chunked")
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
const BLANKS: [char; 2] = [' ', '\t'];

/// The fields of a header in the order in which they came; a map would lose the second of two `Host`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fields {
    /// Name as it came, value without the blanks around it; one char is one octet.
    pub lines: Vec<(String, String)>,
}

impl Fields {
    /// The values of all lines with that name, in any case.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        let lines = self.lines.iter();
        let named = lines.filter(move |(other, _)| other.eq_ignore_ascii_case(name));
        named.map(|(_, value)| value.as_str())
    }

    /// Whether a list, perhaps in several lines, has that member in any case (RFC 9110 §5.6.1).
    pub fn has_token(&self, name: &str, token: &str) -> bool {
        let is_it = |member: &str| member.trim_matches(BLANKS).eq_ignore_ascii_case(token);
        self.all(name).any(|value| value.split(',').any(is_it))
    }

    /// entity-tag = opaque-tag / "W/" opaque-tag        RFC 9110 §8.8.3
    /// opaque-tag = DQUOTE *etagc DQUOTE        a comma is an etagc
    /// The tags of If-Match or If-None-Match as they stand there, or `*`. None: there is no such field.
    pub fn entity_tags(&self, name: &str) -> Option<Vec<String>> {
        let values: Vec<&str> = self.all(name).collect();
        let list = values.join(",");
        let pieces: Vec<&str> = list.split('"').collect(); // between tags, and within, in turn
        let tag = |pair: &[&str]| {
            let weak = if pair[0].ends_with("W/") { "W/" } else { "" };
            format!("{weak}\"{}\"", pair[1])
        };
        let star = (list.trim() == "*").then(|| "*".to_owned());
        (!values.is_empty()).then(|| pieces.chunks_exact(2).map(tag).chain(star).collect())
    }

    /// Cookie = cookie-pair *( ";" SP cookie-pair )        RFC 6265 §4.2.1; of several of that name the first. Junk is skipped.
    pub fn cookie(&self, name: &str) -> Option<&str> {
        let mut pairs = self.all("Cookie").flat_map(|value| value.split(';'));
        pairs.find_map(|pair| pair.trim_matches(BLANKS).strip_prefix(name)?.strip_prefix('='))
    }
}

/// field-line = field-name ":" OWS field-value OWS        RFC 9112 §5
/// A blank before the colon would show Content-Length to one program and hide it from another (§5.1).
fn field_line(line: &str) -> Result<(String, String)> {
    match line.split_once(':') {
        Some((name, value)) if is_token(name) => Ok((name.into(), value.trim_matches(BLANKS).into())),
        _ => refused(400, "a field line is a name, a colon at once, a value"),
    }
}

/// pct-encoded = "%" HEXDIG HEXDIG        RFC 3986 §2.1; decoded once, then strictly UTF-8.
fn percent_decode(text: &str) -> Result<String> {
    const WRONG: HttpError = HttpError::BadArgument("% without two hex digits behind it");
    let mut pieces = text.split('%');
    let mut decoded = octets(pieces.next().unwrap_or(""));
    for piece in pieces {
        let (digits, rest) = piece.split_at_checked(2).ok_or(WRONG)?;
        decoded.push(number(digits, 16).ok_or(WRONG)? as u8);
        decoded.extend(octets(rest));
    }
    String::from_utf8(decoded).map_err(|_| HttpError::BadArgument("text that is not UTF-8"))
}

/// The arguments of a query or form, decoded (WHATWG URL §5.1). Equal names stay, for the caller to name.
pub fn parse_form(form: &[u8]) -> Result<Vec<(String, String)>> {
    let form = text(form).replace('+', " ");
    let mut arguments = Vec::new();
    for piece in form.split('&').filter(|piece| !piece.is_empty()) {
        if arguments.len() == MAX_ARGUMENTS {
            return Err(HttpError::BadArgument("too many arguments"));
        }
        let (name, value) = piece.split_once('=').unwrap_or((piece, ""));
        arguments.push((percent_decode(name)?, percent_decode(value)?));
    }
    Ok(arguments)
}

/// For names and values of a query or form: all but unreserved characters becomes `%XX` (RFC 3986 §2.3).
pub fn percent_encode(text: &str) -> String {
    let encode = |octet: u8| match octet {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' => char::from(octet).into(),
        b'-' | b'.' | b'_' | b'~' => char::from(octet).into(),
        _ => format!("%{octet:02X}"),
    };
    text.bytes().map(encode).collect()
}

/// One response: to be written, or as it was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Response {
    /// 200, 404 …
    pub status: u16,
    /// The header; a server gives all but those that `to_octets` adds to each response.
    pub fields: Fields,
    /// Without chunks; empty for none.
    pub body: Vec<u8>,
    /// The connection ends with it.
    pub close: bool,
}

impl Response {
    /// Without fields of its own.
    pub fn new(status: u16, body: Vec<u8>) -> Response {
        let mut response = Response::default();
        (response.status, response.body) = (status, body);
        response
    }

    /// With a body of JSON. No cache may keep it for the next user of a browser.
    pub fn json(status: u16, body: Vec<u8>) -> Response {
        let response = Response::new(status, body);
        let response = response.with("Content-Type", "application/json");
        response.with("Cache-Control", "no-store")
    }

    /// A refusal. `limit`: the octets (413) or the seconds (429) that it is about.
    pub fn error(status: u16, code: &str, text: &str, limit: Option<u64>) -> Response {
        let [code, text] = [code, text].map(|text| serde_json::Value::from(text).to_string());
        let limit_member = limit.map_or(String::new(), |limit| format!(",\"limit\":{limit}"));
        let members = format!("\"ok\":false,\"error\":{code},\"text\":{text}{limit_member}");
        let response = Response::json(status, format!("{{{members}}}").into_bytes());
        match status {
            401 => response.with("WWW-Authenticate", "Minim realm=\"minim\""), // a scheme must be named (RFC 9110 §11.6.1); no browser knows this one, so none opens its password box
            429 | 503 => response.with("Retry-After", &limit.unwrap_or(1).max(1).to_string()),
            _ => response,
        }
    }

    /// The same with one more field.
    pub fn with(mut self, name: &str, value: &str) -> Response {
        self.fields.lines.push((name.to_owned(), value.to_owned()));
        self
    }

    /// As it is sent; to a peer who sent no request (one too many, or on another port) with `(false, true)`.
    /// status-line = HTTP-version SP status-code SP [ reason-phrase ]        RFC 9112 §4
    pub fn to_octets(&self, head_only: bool, close: bool) -> Vec<u8> {
        let lines = &self.fields.lines;
        if !lines.iter().all(|(_, value)| is_one_line(value)) {
            const BUG: &str = "a field of the response had a line end";
            return Response::error(500, "badRequest", BUG, None).to_octets(head_only, close);
        }
        let (status, reason) = (self.status, reason(self.status));
        let date = imf_fixdate(clock::now_ms());
        let mut head = format!("HTTP/1.1 {status} {reason}\r\nDate: {date}\r\n");
        for (name, value) in lines {
            head += &format!("{name}: {value}\r\n");
        }
        let bodiless = matches!(status, 100..=199 | 204 | 304); // by definition (RFC 9110 §6.4.1)
        if !bodiless {
            head += &format!("Content-Length: {}\r\n", self.body.len()); // for HEAD, that of GET
        }
        if close {
            head += "Connection: close\r\n";
        }
        head += "X-Content-Type-Options: nosniff\r\n\r\n";
        let mut octets = head.into_bytes();
        if !bodiless && !head_only {
            octets.extend_from_slice(&self.body);
        }
        octets
    }
}

impl From<HttpError> for Response {
    fn from(error: HttpError) -> Response {
        let (status, close, text) = error.outcome();
        let (code, limit) = match error {
            HttpError::BodyTooLong(limit) => ("tooLarge", Some(limit as u64)),
            _ => ("badRequest", None),
        };
        let mut response = Response::error(status, code, &text, limit);
        response.close = close;
        response
    }
}

/// A line end in a value would begin a field, or a message, of somebody else's choice (RFC 9112 §11.1).
fn is_one_line(value: &str) -> bool {
    !value.contains(['\r', '\n', '\0'])
}

/// The phrases of RFC 9110 §15 and RFC 6585; another status has none, as it may.
#[rustfmt::skip]
fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",                    204 => "No Content",             304 => "Not Modified",
        400 => "Bad Request",           401 => "Unauthorized",           403 => "Forbidden",
        404 => "Not Found",             405 => "Method Not Allowed",     408 => "Request Timeout",
        409 => "Conflict",              412 => "Precondition Failed",    413 => "Content Too Large",
        414 => "URI Too Long",          415 => "Unsupported Media Type", 417 => "Expectation Failed",
        429 => "Too Many Requests",     431 => "Request Header Fields Too Large",
        500 => "Internal Server Error", 501 => "Not Implemented",        503 => "Service Unavailable",
        505 => "HTTP Version Not Supported",
        _ => "",
    }
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`        RFC 9110 §5.6.7; `ms`: milliseconds since 1970.
pub fn imf_fixdate(ms: u64) -> String {
    const DAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
    #[rustfmt::skip]
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let Civil { year, month, day, hour, minute, second, weekday } = clock::civil(ms, 0);
    let (weekday, month) = (DAYS[weekday as usize], MONTHS[month as usize - 1]);
    format!("{weekday}, {day:02} {month} {year:04} {hour:02}:{minute:02}:{second:02} GMT")
}

/// status-line = HTTP-version SP 3DIGIT SP [ reason-phrase ]        RFC 9112 §4
fn status_line(line: &str) -> Result<(u8, u16)> {
    let mut words = line.splitn(3, ' ');
    let (major, minor) = http_version(words.next().unwrap_or(""))?;
    let status = words.next().filter(|word| word.len() == 3 && major == 1);
    match status.and_then(|digits| number(digits, 10)) {
        Some(status @ 100..) => Ok((minor, status as u16)),
        _ => refused(400, "a status line is HTTP/1.1, three digits, a reason"),
    }
}

/// A request as it is sent. `target` is encoded already; a field that would not stay in its line is left out.
pub fn write_request(
    method: &str,
    target: &str,
    host: &str,
    fields: &[(&str, &str)],
    body: &[u8],
) -> Vec<u8> {
    let mut head = format!("{method} {target} HTTP/1.1\r\nHost: {host}\r\n");
    for (name, value) in fields.iter().filter(|(_, value)| is_one_line(value)) {
        head += &format!("{name}: {value}\r\n");
    }
    if method == "POST" || !body.is_empty() {
        head += &format!("Content-Length: {}\r\n", body.len());
    }
    [head.as_bytes(), b"\r\n", body].concat()
}
