//! One connection of HTTP/1.1: when it waits, until when, what closes it (RFC 9112 §9).
//!
//! Rules: a deadline is a point in time, so a peer that sends an octet a second restarts no clock. What follows a message
//! whose end is not certain is never looked at. Not here: what octets mean (http.rs), sockets and frames (channel.rs).
//! A server calls `read_head`, `read_body`, `write_response`, again and again; a client `send`, `read_response`.

use std::io::{self, ErrorKind};
use std::mem::take;
use std::time::{Duration, Instant};

use super::{
    BodyParser, CUT_SHORT, Framing, HeadParser, HttpError, Input, Parsed, RequestHead, Response,
    ResponseHead, Result, TIMED_OUT, refused,
};
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

/// One connection, of a server or a client. A server calls `discard_body` in place of `read_body` before a refusal.
pub struct Connection {
    channel: Box<dyn Channel>,
    input: Input,
    deadline: Instant,
    patience: f64,
    requests: usize,
    /// Of the body that was not read yet. As long as there is one, what follows is no request.
    framing: Framing,
    /// The client sends the body once we say `100 Continue` (RFC 9110 §10.1.1).
    continue_due: bool,
    /// The request is a HEAD: no response to it has a body.
    head_only: bool,
    close_asked: bool,
}

impl Connection {
    /// `came`: what was read already, to see what the client speaks. `patience` (above 0, at most a million)
    /// multiplies each deadline; the one for the first head runs from `since`, when the connection was accepted.
    pub fn new(channel: Box<dyn Channel>, came: Vec<u8>, since: Instant, patience: f64) -> Self {
        Connection {
            channel,
            input: Input::new(came),
            deadline: since + patiently(HEADER_DEADLINE, patience),
            patience,
            requests: 0,
            framing: Framing::Length(0),
            continue_due: false,
            head_only: false,
            close_asked: false,
        }
    }

    /// The next request's head. `None`: the client ended or was silent between two; close without a word.
    pub fn read_head(&mut self) -> Result<Option<RequestHead>> {
        self.head_only = false;
        if self.requests > 0 {
            self.deadline = self.after(HTTP_IDLE_DEADLINE);
        }
        let mut skipped = 0;
        match self.read(|input| input.skip_empty_lines(&mut skipped)) {
            Err(CUT_SHORT | TIMED_OUT) => return Ok(None),
            begun => begun?,
        }
        if self.requests > 0 {
            self.deadline = self.after(HEADER_DEADLINE);
        }
        self.requests += 1;
        let mut parser = HeadParser::<RequestHead>::default();
        let mut head_only = false; // the answer to HEAD has no body, also where something is wrong with it
        let head = self.read(|input| {
            head_only |= !parser.has_begun() && input.begins_with(b"HEAD ");
            parser.parse(input)
        });
        self.head_only = head_only;
        let head = head?;
        self.framing = head.framing;
        self.continue_due = head.expects_continue && self.body_left() && self.input.is_empty();
        self.close_asked = head.minor == 0 || head.header.has_token("Connection", "close");
        Ok(Some(head))
    }

    /// Whether the client sends the body only when asked for it; a refusal can come first.
    pub fn waits_to_be_asked(&self) -> bool {
        self.continue_due
    }

    /// The body, at most `limit` octets, without chunks and trailer.
    pub fn read_body(&mut self, limit: usize) -> Result<Vec<u8>> {
        self.deadline = self.after(BODY_DEADLINE);
        let mut parser = BodyParser::new(self.framing, limit);
        let body = match self.read(|input| parser.parse(input)) {
            Err(CUT_SHORT) => parser.end()?,
            body => body?,
        };
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

    /// Writes the answer. Here it is decided whether the connection lives, from all that asks for a close; false: it is over.
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
            let mut dropped = Vec::new();
            match self.channel.recv(&mut dropped, deadline) {
                Ok(0) | Err(_) => return,
                Ok(count) => discarded += count,
            }
        }
    }

    /// Client: the response to a request with that `method`; its body has at most `limit` octets. `to_end`:
    /// where no length is given, believe the connection's end, which an attacker can bring about.
    pub fn read_response(&mut self, method: &str, limit: usize, to_end: bool) -> Result<Response> {
        self.deadline = self.after(HEADER_DEADLINE);
        if self.input.is_empty() && self.recv() == Err(CUT_SHORT) {
            return Err(HttpError::Io(ErrorKind::UnexpectedEof));
        }
        for _ in 0..=MAX_INTERIM_RESPONSES {
            let mut parser = HeadParser::<ResponseHead>::default();
            let head = self.read(|input| parser.parse(input))?;
            self.framing = head.framing(method)?;
            if self.framing == Framing::UntilClose && !to_end {
                return refused(400, "a response without a length");
            }
            if head.status >= 200 {
                let doubtful = match self.framing {
                    Framing::Length(_) => false,
                    Framing::Chunked => head.header.all("Content-Length").next().is_some(), // §6.3 rule 3
                    Framing::UntilClose => true,
                };
                let mut response = Response::new(head.status, self.read_body(limit)?);
                response.close = doubtful || head.minor == 0 || head.header.has_token("Connection", "close");
                response.close |= !self.input.is_empty();
                response.header = head.header;
                return Ok(response);
            }
        }
        refused(400, "too many interim responses")
    }

    /// Sends octets in one piece: a request of `write_request`.
    pub fn send(&mut self, octets: &[u8]) -> Result<()> {
        let deadline = self.after(WRITE_DEADLINE);
        Ok(self.channel.send(octets, deadline)?)
    }

    /// Receives until `parse` has what it wants.
    fn read<T>(&mut self, mut parse: impl FnMut(&mut Input) -> Result<Parsed<T>>) -> Result<T> {
        loop {
            if let Parsed::Complete(value) = parse(&mut self.input)? {
                return Ok(value);
            }
            self.recv()?;
        }
    }

    fn recv(&mut self) -> Result<()> {
        if take(&mut self.continue_due) {
            self.send(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        match self.channel.recv(self.input.buffer(), self.deadline)? {
            0 => Err(CUT_SHORT),
            _ => Ok(()),
        }
    }

    fn body_left(&self) -> bool {
        self.framing != Framing::Length(0)
    }

    fn after(&self, limit: Duration) -> Instant {
        Instant::now() + patiently(limit, self.patience)
    }
}
