//! What HTTP/1.1 writes: responses, and a client's requests (RFC 9112 §4, §3).
//!
//! Rules: one piece each, head and body together; no value ever holds a line end, whoever gave it.
//! Not here: whether the connection closes (http/connection.rs).

use super::{Header, HttpError};
use crate::clock::{self, Civil};

/// One response: to be written, or as it was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Response {
    /// 200, 404 …
    pub status: u16,
    /// The header; a server gives all but those that `to_octets` adds to each response.
    pub header: Header,
    /// Without chunks; empty for none.
    pub body: Vec<u8>,
    /// The connection ends with it.
    pub close: bool,
}

impl Response {
    /// Without a header of its own.
    pub fn new(status: u16, body: Vec<u8>) -> Response {
        Response { status, body, ..Response::default() }
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
            // A scheme must be named (RFC 9110 §11.6.1); no browser knows this one, so none opens its password box.
            401 => response.with("WWW-Authenticate", "Minim realm=\"minim\""),
            429 | 503 => response.with("Retry-After", &limit.unwrap_or(1).max(1).to_string()),
            _ => response,
        }
    }

    /// The same with one more field.
    pub fn with(mut self, name: &str, value: &str) -> Response {
        self.header.lines.push((name.to_owned(), value.to_owned()));
        self
    }

    /// As it is sent; to a peer who sent no request (one too many, or on another port) with `(false, true)`.
    /// status-line = HTTP-version SP status-code SP [ reason-phrase ]        RFC 9112 §4
    pub fn to_octets(&self, head_only: bool, close: bool) -> Vec<u8> {
        let lines = &self.header.lines;
        if !lines.iter().all(|(_, value)| is_one_line(value)) {
            const BUG: &str = "a field of the response had a line end";
            return Response::error(500, "badRequest", BUG, None).to_octets(head_only, close);
        }
        let (status, reason) = (self.status, reason(self.status));
        let date = imf_fixdate(clock::now_ms());
        let mut head = format!("HTTP/1.1 {status} {reason}\r\nDate: {date}\r\n");
        let mut add = |name: &str, value: &str| [name, ": ", value, "\r\n"].map(|piece| head += piece);
        for (name, value) in lines {
            add(name, value);
        }
        let bodiless = matches!(status, 100..=199 | 204 | 304); // by definition (RFC 9110 §6.4.1)
        if !bodiless {
            add("Content-Length", &self.body.len().to_string()); // for HEAD, that of GET
        }
        if close {
            add("Connection", "close");
        }
        add("X-Content-Type-Options", "nosniff");
        head += "\r\n";
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

/// A line end in a value would begin a field, or a message, of somebody else's choice (RFC 9112 §11.1). Of the other control
/// characters a value has tab alone (RFC 9110 §5.5): the peer would refuse the message, as we do.
fn is_one_line(value: &str) -> bool {
    !value.contains(|letter: char| letter.is_ascii_control() && letter != '\t')
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
