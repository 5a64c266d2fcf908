//! HTTP as a stranger sees it: octets in, octets out. Most conversations run over a channel in memory that hands out
//! its octets in the pieces a test wants; the last few run over TCP. The many requests stand in vectors/http-requests.txt.

use minim::channel::PlainChannel;
use minim::http::{
    Authority, Channel, Connection, HttpError, METHODS, RequestHead, Response, imf_fixdate, parse_form,
    percent_encode, write_request,
};
use minim::limits::*;
use minim::socket;
use minim::trace::Trace;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::rc::Rc;
use std::thread;
use std::time::{Duration, Instant};

/// The longest picture that the test server takes, in octets.
const MAX_PICTURE: usize = 1024 * 1024;

// ---- the server under test: what server/api.rs does, in small ----

fn serve(mut connection: Connection) {
    loop {
        let head = match connection.read_head() {
            Ok(Some(head)) => head,
            Ok(None) => return,
            Err(error) => return connection.refuse(error),
        };
        let response = match route(&head) {
            Ok(body_limit) => match connection.read_body(body_limit) {
                Ok(body) => echo(&head, &body),
                Err(error) => return connection.refuse(error),
            },
            Err(refusal) => {
                connection.discard_body(MAX_ARGUMENTS_BODY);
                refusal
            }
        };
        if !connection.write_response(&response) {
            return;
        }
    }
}

/// The limit of the body, or a refusal.
fn route(head: &RequestHead) -> Result<usize, Response> {
    let method = head.method.as_str();
    if !METHODS.contains(&method) {
        return Err(Response::error(501, "badRequest", "no such method", None));
    }
    if head.path == "*" {
        return Err(Response::new(204, Vec::new()).with("Allow", "GET, HEAD, POST, OPTIONS"));
    }
    let segments = head.path_segments().map_err(Response::from)?;
    let taken = ["GET", "HEAD", "POST"].contains(&method);
    match (segments.as_slice(), method) {
        (_, "CONNECT") => Err(Response::error(405, "badRequest", "no proxy", None).with("Allow", "GET")),
        ([name], _) if name == "echo" && taken => Ok(MAX_ARGUMENTS_BODY),
        ([name], "POST") if name == "picture" => Ok(MAX_PICTURE),
        ([name], _) if name == "echo" => {
            Err(Response::error(405, "badRequest", "GET, HEAD or POST", None)
                .with("Allow", "GET, HEAD, POST"))
        }
        _ => Err(Response::error(404, "notFound", "no such path", None)),
    }
}

/// What came, as JSON: a test sees with which octets a body ended.
fn echo(head: &RequestHead, body: &[u8]) -> Response {
    let arguments = match parse_form(&head.query) {
        Ok(arguments) => arguments,
        Err(error) => return Response::from(error),
    };
    let authority = head.authority.as_ref().map(|Authority { host, port }| format!("{host}:{port}"));
    let body = body.escape_ascii().to_string();
    Response::json(200, format!("{:?} {authority:?} {arguments:?} {body}", head.method).into_bytes())
}

// ---- the channel in memory ----

/// What a channel in memory saw.
#[derive(Default)]
struct Log {
    sent: Vec<u8>,
    sends: usize,
    ended: bool,
    /// The deadline of each recv, and how far away it was.
    deadlines: Vec<(Instant, Duration)>,
}

/// Hands out one piece per recv; behind the last the end of input, or silence.
struct Wire {
    pieces: VecDeque<Vec<u8>>,
    silent: bool,
    log: Rc<RefCell<Log>>,
}

impl Channel for Wire {
    fn recv(&mut self, buffer: &mut Vec<u8>, deadline: Instant) -> io::Result<usize> {
        let left = deadline.saturating_duration_since(Instant::now());
        self.log.borrow_mut().deadlines.push((deadline, left));
        match self.pieces.pop_front() {
            Some(piece) => {
                buffer.extend_from_slice(&piece);
                Ok(piece.len())
            }
            None if self.silent => Err(ErrorKind::TimedOut.into()),
            None => Ok(0),
        }
    }

    fn send(&mut self, octets: &[u8], _deadline: Instant) -> io::Result<()> {
        let mut log = self.log.borrow_mut();
        assert!(!log.ended, "nothing is sent after the end");
        log.sent.extend_from_slice(octets);
        log.sends += 1;
        Ok(())
    }

    fn end(&mut self) {
        self.log.borrow_mut().ended = true;
    }
}

fn wire<P: AsRef<[u8]>>(pieces: &[P], silent: bool) -> (Connection, Rc<RefCell<Log>>) {
    let log = Rc::new(RefCell::new(Log::default()));
    let pieces = pieces.iter().map(|piece| piece.as_ref().to_vec()).collect();
    let channel = Wire { pieces, silent, log: log.clone() };
    (Connection::new(Box::new(channel), Vec::new(), Instant::now(), 1.0), log)
}

/// One conversation: the pieces go in, the answers come out.
fn talk<P: AsRef<[u8]>>(pieces: &[P], silent: bool) -> Vec<Answer> {
    let (connection, log) = wire(pieces, silent);
    serve(connection);
    let log = log.borrow();
    let answers = answers(&log.sent);
    let announced = answers.last().is_some_and(|answer| answer.close);
    assert_eq!(announced, log.ended, "who says close ends its side, and nobody else");
    answers
}

/// One answer, taken apart without the help of the code under test.
#[derive(Clone, Debug, PartialEq)]
struct Answer {
    status: u16,
    close: bool,
    /// Without `Date`.
    head: String,
    body: String,
}

impl Answer {
    fn has(&self, field: &str) -> bool {
        self.head.split("\r\n").any(|line| line == field)
    }
}

fn answers(mut sent: &[u8]) -> Vec<Answer> {
    let mut answers = Vec::new();
    while !sent.is_empty() {
        let end = sent.windows(4).position(|four| four == b"\r\n\r\n").expect("a whole head");
        let head = std::str::from_utf8(&sent[..end]).expect("ASCII");
        let field = |name: &str| head.split("\r\n").find_map(|line| line.strip_prefix(name));
        let length = field("Content-Length: ").map_or(0, |digits| digits.parse().expect("a number"));
        let body = &sent[end + 4..][..length];
        answers.push(Answer {
            status: head[9..12].parse().expect("three digits"),
            close: head.contains("\r\nConnection: close"),
            head: head
                .split("\r\n")
                .filter(|line| !line.starts_with("Date: "))
                .collect::<Vec<_>>()
                .join("\r\n"),
            body: String::from_utf8(body.to_vec()).expect("UTF-8"),
        });
        sent = &sent[end + 4 + length..];
    }
    answers
}

fn statuses(answers: &[Answer]) -> Vec<u16> {
    answers.iter().map(|answer| answer.status).collect()
}

fn one_by_one(octets: &[u8]) -> Vec<Vec<u8>> {
    octets.iter().map(|&octet| vec![octet]).collect()
}

const GET: &str = "GET /echo HTTP/1.1\r\nHost: a\r\n\r\n";

// ---- the corpus ----

struct Case {
    line: usize,
    status: u16,
    keep: bool,
    octets: Vec<u8>,
}

fn corpus() -> Vec<Case> {
    let text = include_str!("vectors/http-requests.txt");
    let lines = text.lines().enumerate().filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    let case = |(at, line): (usize, &str)| {
        let words: Vec<&str> = line.splitn(3, ' ').collect();
        let [status, keep @ ("keep" | "close"), request] = words[..] else { panic!("line {}", at + 1) };
        let (status, keep) = (status.parse().expect("a status"), keep == "keep");
        Case { line: at + 1, status, keep, octets: unescape(request.as_bytes()) }
    };
    lines.map(case).collect()
}

/// `\r \n \t \\ \xNN`, and `{X*N}`: X, N times.
fn unescape(mut text: &[u8]) -> Vec<u8> {
    let mut octets = Vec::new();
    while let Some((&first, rest)) = text.split_first() {
        text = rest;
        match (first, rest.first()) {
            (b'\\', Some(b'x')) => {
                let digits = std::str::from_utf8(&rest[1..3]).expect("ASCII");
                octets.push(u8::from_str_radix(digits, 16).expect("two hex digits"));
                text = &rest[3..];
            }
            (b'\\', Some(letter)) => {
                octets.push(match letter {
                    b'r' => b'\r',
                    b'n' => b'\n',
                    b't' => b'\t',
                    other => *other,
                });
                text = &rest[1..];
            }
            (b'{', _) => {
                let mut depth = 1;
                let end = rest.iter().position(|octet| {
                    depth += match octet {
                        b'{' => 1,
                        b'}' => -1,
                        _ => 0,
                    };
                    depth == 0
                });
                let (inner, behind) = rest.split_at(end.expect("a closing brace"));
                let star = inner.iter().rposition(|&octet| octet == b'*').expect("a star");
                let count = std::str::from_utf8(&inner[star + 1..]).expect("ASCII").parse().expect("a count");
                octets.extend(unescape(&inner[..star]).repeat(count));
                text = &behind[1..];
            }
            _ => octets.push(first),
        }
    }
    octets
}

/// Every position of a short request; of a long one some, and those at its ends.
fn cuts(length: usize) -> impl Iterator<Item = usize> {
    let step = if length < 600 { 1 } else { length / 16 };
    (1..length).filter(move |at| at % step == 0 || *at < 20 || at + 20 > length)
}

#[test]
fn each_request_of_the_corpus_gets_its_status_and_its_connection_lives_or_dies_as_it_says() {
    for case in corpus() {
        let both = [&case.octets[..], b"GET /echo?then HTTP/1.1\r\nHost: a\r\n\r\n"].concat();
        let answers = talk(&[both], false);
        let expected = if case.keep { vec![case.status, 200] } else { vec![case.status] };
        assert_eq!(statuses(&answers), expected, "line {}: {answers:#?}", case.line);
        assert_eq!(answers[0].close, !case.keep, "line {}: {answers:#?}", case.line);
        assert!(!case.keep || answers[1].body.contains("then"), "line {}: {answers:#?}", case.line);
    }
}

#[test]
fn it_makes_no_difference_where_tcp_cuts() {
    for case in corpus() {
        let both = [&case.octets[..], GET.as_bytes()].concat();
        let whole = talk(&[&both], false);
        assert_eq!(talk(&one_by_one(&both), false), whole, "line {}, octet by octet", case.line);
        for at in cuts(both.len()) {
            let (before, behind) = both.split_at(at);
            assert_eq!(talk(&[before, behind], false), whole, "line {}, cut at {at}", case.line);
        }
    }
}

#[test]
fn two_requests_in_one_segment_are_two_requests() {
    for case in corpus().iter().filter(|case| case.keep) {
        let answers = talk(&[case.octets.repeat(2)], false);
        assert_eq!(statuses(&answers), [case.status; 2], "line {}", case.line);
        assert_eq!(answers[0], answers[1], "line {}", case.line);
    }
}

#[test]
fn a_part_of_a_request_is_never_carried_out() {
    for case in corpus() {
        for at in cuts(case.octets.len()) {
            let before = &case.octets[..at];
            let begun = before.iter().any(|octet| !b"\r\n".contains(octet)) || case.status == 400;
            for silent in [false, true] {
                let found = statuses(&talk(&[before], silent));
                let missing = if silent { 408 } else { 400 };
                let fits = match found[..] {
                    [] => !begun || case.octets.starts_with(b"\r"),
                    [status] => status == missing || status == case.status && status != 200,
                    _ => false,
                };
                assert!(fits, "line {}, cut at {at}: {found:?}", case.line);
            }
        }
    }
}

#[test]
fn what_is_wrong_in_a_line_is_answered_when_the_line_is_here() {
    let early = [
        ("\x16", 400),
        ("{", 400),
        ("GET /echo\r\n", 400),
        ("GET /echo\n", 400),
        ("GET /echo HTTP/2.0\r\n", 505),
        ("GET /echo HTTP/1.1\r\nHost : a\r\n", 400),
        ("GET /echo HTTP/1.1\r\n ", 408), // perhaps it goes on with something
        ("GET /echo HTTP/1.1\r\n x\r\n", 400),
        ("GET /\0", 400),
    ];
    for (beginning, status) in early {
        assert_eq!(statuses(&talk(&[beginning], true)), [status], "{beginning:?}");
    }
}

// ---- bodies and connections ----

fn post(more: &str) -> String {
    format!("POST /echo HTTP/1.1\r\nHost: a\r\n{more}")
}

#[test]
fn a_body_arrives_as_it_was_sent_and_without_its_chunks() {
    let chunked = "Transfer-Encoding: chunked\r\n\r\n5;x=\"\\\"\"\r\na\r\nb\0\r\n0A\r\n0123456789\r\n0\r\nHost: evil\r\n\r\n";
    let answers = talk(&[post(chunked)], false);
    assert_eq!(answers[0].body, r#""POST" Some("a:80") [] a\r\nb\x000123456789"#);
    let answers = talk(&[post("Content-Length: 4\r\n\r\na\r\n\0GET")], false);
    assert_eq!(answers[0].body, r#""POST" Some("a:80") [] a\r\n\x00"#);
}

#[test]
fn an_absolute_target_overrules_host() {
    let answers = talk(&["GET http://b:8/echo?x=%2B+ HTTP/1.1\r\nHost: a\r\n\r\n"], false);
    assert_eq!(answers[0].body, r#""GET" Some("b:8") [("x", "+ ")] "#);
    let answers = talk(&["GET /echo HTTP/1.0\r\n\r\n"], false);
    assert_eq!(answers[0].body, r#""GET" None [] "#);
}

#[test]
fn a_client_that_waits_for_100_gets_it_when_its_body_is_wanted() {
    let expects = "Expect: 100-Continue\r\n";
    let head = post(&format!("{expects}Content-Length: 3\r\n\r\n"));
    let answers = talk(&[&*head, "abc", GET], false);
    assert_eq!(statuses(&answers), [100, 200, 200]);
    assert_eq!(answers[0].head, "HTTP/1.1 100 Continue");
    let chunked = post(&format!("{expects}Transfer-Encoding: chunked\r\n\r\n"));
    assert_eq!(statuses(&talk(&[&*chunked, "1\r\na\r\n", "0\r\n\r\n"], false)), [100, 200]);

    assert_eq!(statuses(&talk(&[format!("{head}abc")], false)), [200], "here already");
    assert_eq!(statuses(&talk(&[&*format!("{head}a"), "bc"], false)), [200], "begun already");
    let none = post(&format!("{expects}Content-Length: 0\r\n\r\n"));
    assert_eq!(statuses(&talk(&[&*none, GET], false)), [200, 200], "nothing to wait for, not later either");
    let old = head.replace("HTTP/1.1", "HTTP/1.0");
    assert_eq!(statuses(&talk(&[&*old, "abc"], false)), [200], "HTTP/1.0 knows no 100");
}

#[test]
fn a_client_that_waits_for_100_and_is_refused_gets_the_refusal_at_once_and_a_close() {
    let long = post("Expect: 100-continue\r\nContent-Length: 65537\r\n\r\n");
    let unknown = long.replace("/echo", "/x").replace("65537", "3");
    for (head, status) in [(long, 413), (unknown, 404)] {
        let answers = talk(&[&*head, GET], false);
        assert_eq!(statuses(&answers), [status]);
        assert!(answers[0].close);
    }
}

#[test]
fn each_path_has_its_own_limit_of_body() {
    let picture =
        |length: usize| format!("POST /picture HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n");
    let body = "x".repeat(MAX_PICTURE);
    assert_eq!(statuses(&talk(&[&*picture(MAX_PICTURE), &body[..]], false)), [200]);
    let answers = talk(&[&*picture(MAX_PICTURE + 1), &body[..]], false);
    assert_eq!(statuses(&answers), [413]);
    assert!(answers[0].body.contains(r#""error":"tooLarge""#), "{answers:?}");
    assert!(answers[0].body.ends_with(r#","limit":1048576}"#), "{answers:?}");
}

#[test]
fn a_connection_takes_so_many_requests_and_says_when_it_was_the_last() {
    let answers = talk(&[GET.repeat(MAX_REQUESTS + 1)], false);
    assert_eq!(answers.len(), MAX_REQUESTS);
    assert_eq!(answers.iter().position(|answer| answer.close), Some(MAX_REQUESTS - 1));
}

#[test]
fn empty_lines_and_silence_between_requests_are_closed_without_a_word() {
    for pieces in [vec![], vec!["\r\n"], vec!["\r"], vec!["\r\n", "\r\n\r"]] {
        for silent in [false, true] {
            assert_eq!(talk(&pieces, silent), [], "{pieces:?}");
        }
    }
    assert_eq!(statuses(&talk(&[GET, "\r\n"], true)), [200]);
    assert_eq!(statuses(&talk(&[GET, "\r\nG"], true)), [200, 408]);
}

#[test]
fn what_was_read_to_see_what_the_client_speaks_is_part_of_the_request() {
    let log = Rc::new(RefCell::new(Log::default()));
    let pieces = VecDeque::from([GET.as_bytes()[5..].to_vec()]);
    let channel = Wire { pieces, silent: false, log: log.clone() };
    serve(Connection::new(Box::new(channel), GET.as_bytes()[..5].to_vec(), Instant::now(), 1.0));
    assert_eq!(statuses(&answers(&log.borrow().sent)), [200]);
}

// ---- deadlines ----

/// How far away the deadlines of the recvs were, each different one once, in seconds.
fn deadlines(pieces: &[Vec<u8>], silent: bool) -> Vec<u64> {
    let (connection, log) = wire(pieces, silent);
    serve(connection);
    let mut deadlines = log.borrow().deadlines.clone();
    deadlines.dedup_by_key(|(deadline, _)| *deadline);
    deadlines.iter().map(|(_, left)| left.as_secs_f64().round() as u64).collect()
}

#[test]
fn a_client_that_sends_an_octet_a_second_restarts_no_clock() {
    let request = post("Content-Length: 3\r\n\r\nabc");
    let slow = one_by_one(request.as_bytes());
    assert_eq!(deadlines(&slow[..slow.len() - 3], true)[..2], [10, 30], "head, body");
    assert_eq!(deadlines(&slow, true), [10, 30, 30], "head, body, idle");
    let twice = one_by_one(format!("{GET}\r\n\r\n{GET}").as_bytes());
    assert_eq!(deadlines(&twice, true), [10, 30, 10, 30], "head, idle and empty lines, head, idle");
}

#[test]
fn patience_multiplies_deadlines() {
    let log = Rc::new(RefCell::new(Log::default()));
    let channel = Wire { pieces: VecDeque::new(), silent: true, log: log.clone() };
    serve(Connection::new(Box::new(channel), Vec::new(), Instant::now(), 1000.0));
    assert!(log.borrow().deadlines[0].1 > Duration::from_secs(9_990));
}

// ---- what is written ----

#[test]
fn every_answer_is_one_send_with_length_date_and_nosniff() {
    let requests =
        [GET, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "DELETE /echo HTTP/1.1\r\nHost: a\r\n\r\n", "{"];
    for request in requests {
        let (connection, log) = wire(&[request], false);
        serve(connection);
        let log = log.borrow();
        let text = String::from_utf8(log.sent.clone()).expect("UTF-8");
        assert_eq!(log.sends, 1, "{text}");
        let answer = &answers(&log.sent)[0];
        assert!(answer.has("X-Content-Type-Options: nosniff"), "{text}");
        assert!(answer.has("Content-Type: application/json"), "{text}");
        assert!(answer.has("Cache-Control: no-store"), "{text}");
        assert!(answer.has(&format!("Content-Length: {}", answer.body.len())), "{text}");
        let date = text.split("\r\n").find_map(|line| line.strip_prefix("Date: "));
        assert_eq!(date.map(str::len), Some("Sun, 06 Nov 1994 08:49:37 GMT".len()), "{text}");
    }
    let refused = &talk(&["DELETE /echo HTTP/1.1\r\nHost: a\r\n\r\n"], false)[0];
    assert!(refused.has("Allow: GET, HEAD, POST"));
    assert_eq!(refused.body, r#"{"ok":false,"error":"badRequest","text":"GET, HEAD or POST"}"#);
}

#[test]
fn an_error_names_what_its_status_asks_for() {
    let head = |response: Response| answers(&response.to_octets(false, true)).remove(0);
    assert!(
        head(Response::error(401, "notLoggedIn", "log in", None))
            .has("WWW-Authenticate: Minim realm=\"minim\"")
    );
    assert!(head(Response::error(503, "databaseDown", "later", None)).has("Retry-After: 1"));
    assert!(head(Response::error(429, "tooMany", "later", None)).has("Retry-After: 1"));
    let brake = head(Response::error(429, "tooManyTries", "a \"quoted\"\n\u{1b} text", Some(32)));
    assert!(brake.has("Retry-After: 32") && brake.has("HTTP/1.1 429 Too Many Requests") && brake.close);
    let body = r#"{"ok":false,"error":"tooManyTries","text":"a \"quoted\"\n\u001b text","limit":32}"#;
    assert_eq!(brake.body, body);
}

#[test]
fn head_gets_the_head_of_get_and_no_body_for_errors_too() {
    for target in ["/echo", "/x", "/%zz"] {
        let request = |method| format!("{method} {target} HTTP/1.1\r\nHost: a\r\n\r\n");
        let get = talk(&[request("GET")], false);
        let (connection, log) = wire(&[request("HEAD"), request("HEAD")], false);
        serve(connection);
        let sent = String::from_utf8(log.borrow().sent.clone()).expect("UTF-8");
        let heads: Vec<&str> = sent.split("\r\n\r\n").collect();
        assert_eq!(heads.len(), 3, "two heads and nothing between them: {sent}");
        let without_date = |head: &str| head.split("\r\n").filter(|line| !line.starts_with("Date")).count();
        assert_eq!(without_date(heads[0]), get[0].head.split("\r\n").count());
        let length = format!("Content-Length: {}", get[0].body.len() + usize::from(target == "/echo"));
        assert!(heads[0].contains(&length), "{sent}"); // the echo says HEAD, which is one letter longer
    }
    let (connection, log) = wire(&["HEAD /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 65537\r\n\r\n"], false);
    serve(connection);
    assert!(log.borrow().sent.ends_with(b"\r\n\r\n"), "a refusal without body");
    let long = format!("HEAD /{}", "a".repeat(MAX_REQUEST_LINE));
    let wrong =
        ["HEAD /echo HTTP/1.1\r\nHost: a b\r\n\r\n", "HEAD / HTTP/2.0\r\n", "HEAD /a b HTTP/1.1\r\n", &long];
    for request in wrong {
        for pieces in [vec![request.as_bytes().to_vec()], one_by_one(request.as_bytes())] {
            let (connection, log) = wire(&pieces, false);
            serve(connection);
            assert!(log.borrow().sent.ends_with(b"\r\n\r\n"), "an error without body: {request:.30}");
        }
    }
    let (connection, log) = wire(&["HEAD /echo HTTP/1.1\r\nHost: a\r\n\r\n{"], false);
    serve(connection);
    assert!(log.borrow().sent.ends_with(b"}"), "what is no request is no HEAD");
}

#[test]
fn answers_204_and_304_have_neither_length_nor_body() {
    for status in [204, 304] {
        let text = Response::new(status, b"x".to_vec()).to_octets(false, false);
        let text = String::from_utf8(text).expect("UTF-8");
        assert!(!text.contains("Content-Length") && text.ends_with("\r\n\r\n"), "{text}");
    }
}

#[test]
fn no_handler_can_split_an_answer() {
    for evil in ["a\r\nX: y", "a\nb", "a\rb", "a\0b", "a\u{1b}b", "a\u{7f}"] {
        let octets = Response::new(200, Vec::new()).with("Location", evil).to_octets(false, false);
        let answer = &answers(&octets)[0];
        assert_eq!(answer.status, 500);
        assert!(!answer.head.contains("Location"), "{answer:?}");
        let request = write_request("GET", "/", "a", &[("Cookie", evil), ("X", "y")], b"");
        assert_eq!(request, b"GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\n");
    }
}

#[test]
fn dates_are_those_of_the_calendar() {
    let date = |seconds: u64| imf_fixdate(seconds * 1000);
    assert_eq!(date(784_111_777), "Sun, 06 Nov 1994 08:49:37 GMT"); // the example of RFC 9110 5.6.7
    assert_eq!(date(0), "Thu, 01 Jan 1970 00:00:00 GMT");
    assert_eq!(date(951_782_400 + 86_399), "Tue, 29 Feb 2000 23:59:59 GMT");
    let is_leap = |year: u64| year.is_multiple_of(4) && !year.is_multiple_of(100) || year.is_multiple_of(400);
    let mut days = 0;
    for year in 1970..2500 {
        let february = if is_leap(year) { 29 } else { 28 };
        for (month, length) in (1..).zip([31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]) {
            for day in 1..=length {
                let civil = minim::clock::civil(days * 86_400_000, 0);
                assert_eq!((civil.year, civil.month, civil.day), (year as i64, month, day));
                assert_eq!(minim::clock::since_1970(civil, 0), Some(days * 86_400_000));
                days += 1;
            }
        }
    }
}

// ---- arguments and cookies ----

#[test]
fn arguments_are_split_and_then_decoded_once() {
    let form = |text: &str| parse_form(text.as_bytes());
    let pairs =
        |pairs: &[(&str, &str)]| Ok(pairs.iter().map(|(a, b)| (a.to_string(), b.to_string())).collect());
    assert_eq!(form(""), pairs(&[]));
    assert_eq!(form("&a=1&&b&=c&a=2;d=3&"), pairs(&[("a", "1"), ("b", ""), ("", "c"), ("a", "2;d=3")]));
    assert_eq!(form("a+b=1+%2B+1%3D2&c==%26"), pairs(&[("a b", "1 + 1=2"), ("c", "=&")]));
    assert_eq!(form("x=%2541"), pairs(&[("x", "%41")]));
    assert_eq!(form("x=你%e5%A5%BD"), pairs(&[("x", "你好")]));
    assert_eq!(form("x=%00%0d%0a"), pairs(&[("x", "\0\r\n")]));
    assert_eq!(form(&"a=1&".repeat(MAX_ARGUMENTS)).expect("64 are taken").len(), MAX_ARGUMENTS);
    for wrong in [
        "x=%",
        "x=%4",
        "x=%+4",
        "x=%4\u{e9}",
        "x=%\u{e9}",
        "x=%ff",
        "%c0%80",
        &"a=1&".repeat(MAX_ARGUMENTS + 1),
    ] {
        assert!(matches!(form(wrong), Err(HttpError::BadArgument(_))), "{wrong}");
        let names_it = format!("{:?}", form(wrong));
        assert!(!wrong.starts_with('x') || names_it.contains("\"x: "), "{names_it}");
    }
    assert_eq!(
        parse_form(b"x=\xff").map_err(|error| error.outcome()).map_err(|(status, close, _)| (status, close)),
        Err((400, false))
    );
}

#[test]
fn what_was_encoded_is_decoded_to_the_same() {
    assert_eq!(percent_encode("aZ09-._~"), "aZ09-._~");
    assert_eq!(percent_encode("a b+c&d=%你"), "a%20b%2Bc%26d%3D%25%E4%BD%A0");
    let all: String = (0..=0x2ff_u32).filter_map(char::from_u32).collect();
    let form = format!("{0}={0}", percent_encode(&all));
    assert_eq!(parse_form(form.as_bytes()), Ok(vec![(all.clone(), all)]));
}

#[test]
fn the_cookie_is_found_among_junk() {
    let cookie = |lines: &[&str]| {
        let lines: String = lines.iter().map(|line| format!("cookie: {line}\r\n")).collect();
        let (mut connection, _) = wire(&[format!("GET / HTTP/1.1\r\nHost: a\r\n{lines}\r\n")], false);
        let head = connection.read_head().expect("a good request").expect("a request");
        head.header.cookie("sid").map(str::to_owned)
    };
    assert_eq!(cookie(&["sid=1"]).as_deref(), Some("1"));
    assert_eq!(
        cookie(&["a=\"b;c\"; ; =; sid; xsid=0; Sid=0; sidx=0;\tsid=1=2 ; sid=3"]).as_deref(),
        Some("1=2")
    );
    assert_eq!(cookie(&["a=1", "\u{e9}; sid=2", "sid=3"]).as_deref(), Some("2"));
    assert_eq!(cookie(&["sid =1", "xsid=1"]), None);
    assert_eq!(cookie(&[]), None);
}

// ---- the client's half ----

#[test]
fn a_request_is_one_piece_with_host_first() {
    let request = write_request("POST", "/login", "127.0.0.1:8080", &[("Cookie", "sid=1")], b"a=1");
    let expected =
        "POST /login HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nCookie: sid=1\r\nContent-Length: 3\r\n\r\na=1";
    assert_eq!(String::from_utf8(request).expect("UTF-8"), expected);
    let empty = write_request("POST", "/logout", "a", &[], b"");
    assert!(empty.ends_with(b"Content-Length: 0\r\n\r\n"));
    assert_eq!(statuses(&talk(&[write_request("GET", "/echo", "a", &[], b"")], false)), [200]);
}

/// The response to `method`, read whole and octet by octet with the same outcome: status, body, close.
fn read(method: &str, to_end: bool, octets: &str) -> Result<(u16, String, bool), HttpError> {
    let outcome = |pieces: &[Vec<u8>]| {
        let (mut connection, _) = wire(pieces, false);
        let response = connection.read_response(method, 100, to_end)?;
        Ok((response.status, String::from_utf8(response.body).expect("UTF-8"), response.close))
    };
    let whole = outcome(&[octets.as_bytes().to_vec()]);
    let slow = outcome(&one_by_one(octets.as_bytes()));
    // What stands behind the body may not have come yet, so nothing is known of it then.
    assert_eq!(
        slow.clone().map(|(status, body, _)| (status, body)),
        whole.clone().map(|(status, body, _)| (status, body))
    );
    whole
}

fn good(status: u16, body: &str, close: bool) -> Result<(u16, String, bool), HttpError> {
    Ok((status, body.to_owned(), close))
}

#[test]
fn a_response_ends_where_its_fields_say() {
    let get = |octets: &str| read("GET", true, octets);
    assert_eq!(get("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab"), good(200, "ab", false));
    assert_eq!(get("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nabc"), good(200, "ab", true));
    assert_eq!(get("HTTP/1.1 404 \r\nContent-Length: 0\r\n\r\n"), good(404, "", false));
    assert_eq!(get("HTTP/1.1 404\r\nContent-Length: 0\r\n\r\n"), good(404, "", false));
    assert_eq!(get("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nab"), good(200, "ab", true));
    assert_eq!(get("HTTP/1.1 200 OK\r\nConnection: Close\r\nContent-Length: 0\r\n\r\n"), good(200, "", true));
    let chunks = "Transfer-Encoding: Chunked\r\n\r\n1\r\na\r\n2;x\r\nbc\r\n0\r\nX: y\r\n\r\n";
    assert_eq!(get(&format!("HTTP/1.1 200 OK\r\n{chunks}")), good(200, "abc", false));
    assert_eq!(get(&format!("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n{chunks}")), good(200, "abc", true));
    assert_eq!(get("HTTP/1.1 200 OK\r\n\r\nuntil the end"), good(200, "until the end", true));
    for bodiless in ["204 No Content", "304 Not Modified"] {
        let status = bodiless[..3].parse().expect("digits");
        let octets = format!("HTTP/1.1 {bodiless}\r\nContent-Length: 5\r\n\r\n");
        assert_eq!(get(&octets), good(status, "", false));
    }
    assert_eq!(read("HEAD", false, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"), good(200, "", false));
}

#[test]
fn interim_responses_are_skipped_but_not_for_ever() {
    let responses = |count| {
        let interim = "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n".repeat(count);
        read("GET", false, &format!("{interim}HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na"))
    };
    assert_eq!(responses(MAX_INTERIM_RESPONSES), good(200, "a", false));
    assert!(responses(MAX_INTERIM_RESPONSES + 1).is_err());
}

#[test]
fn a_doubtful_response_is_an_error() {
    let doubtful = [
        "HTTP/1.1 200 OK\r\n\r\nx", // no length, and the end of the connection is not to be believed
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 101\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\na",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na",
        "HTTP/1.1 200 OK\r\nContent-Length : 1\r\n\r\na",
        "HTTP/1.1 200 OK\r\n Content-Length: 1\r\n\r\na",
        "HTTP/1.1 200 OK\nContent-Length: 1\n\na",
        "HTTP/1.1 2000 OK\r\nContent-Length: 1\r\n\r\na",
        "HTTP/1.1 +20 OK\r\nContent-Length: 1\r\n\r\na",
        "HTTP/1.1 099 OK\r\nContent-Length: 1\r\n\r\na",
        "HTTP/1.1  200 OK\r\nContent-Length: 1\r\n\r\na",
        "HTTP/2.0 200 OK\r\nContent-Length: 1\r\n\r\na",
        "HTTP/1.1 200 OK\r\nContent-Le",
    ];
    for octets in doubtful {
        assert!(read("GET", false, octets).is_err(), "{octets:?}");
    }
    let long = format!("HTTP/1.1 200 OK\r\n\r\n{}", "x".repeat(101));
    assert_eq!(read("GET", true, &long), Err(HttpError::BodyTooLong(100)));
    assert_eq!(read("GET", true, &long[..long.len() - 1]), good(200, &"x".repeat(100), true));
    assert_eq!(read("GET", true, ""), Err(HttpError::Io(ErrorKind::UnexpectedEof)));
}

#[test]
fn a_folded_field_of_a_response_becomes_one_line() {
    let octets =
        "HTTP/1.1 200 OK\r\nX: a \r\n\t b\r\n c\r\nY:\r\n \r\n d\r\n\t\r\nContent-Length:\r\n 0\r\n\r\n";
    let (mut connection, _) = wire(&[octets], false);
    let response = connection.read_response("GET", 0, false).expect("a response");
    assert_eq!(response.header.all("x").collect::<Vec<_>>(), ["a b c"]);
    assert_eq!(response.header.all("y").collect::<Vec<_>>(), ["d"]);
}

// ---- over TCP ----

/// A server for one connection on a free port.
fn serve_one(patience: f64) -> SocketAddr {
    let listener =
        socket::listen("127.0.0.1:0".parse().expect("an address"), "L", &Trace::off()).expect("a free port");
    let address = listener.address().expect("an address");
    thread::spawn(move || {
        let channel = PlainChannel::new(socket::accept(&listener, "1").expect("a connection"), b"");
        serve(Connection::new(Box::new(channel), Vec::new(), Instant::now(), patience));
    });
    address
}

/// The client's end of a connection to such a server.
fn connect(patience: f64) -> TcpStream {
    TcpStream::connect(serve_one(patience)).expect("a connection")
}

fn read_to_end(client: &mut TcpStream) -> Vec<Answer> {
    let mut octets = Vec::new();
    client.read_to_end(&mut octets).expect("an end without reset");
    answers(&octets)
}

#[test]
fn over_tcp_a_refusal_survives_the_body_that_the_client_is_still_sending() {
    let mut client = connect(1.0);
    client.write_all(post("Content-Length: 8000000\r\n\r\n").as_bytes()).expect("sent");
    client.write_all(&vec![b'x'; 8_000_000]).expect("the server reads on, so all can be sent");
    client.shutdown(Shutdown::Write).expect("shut down");
    assert_eq!(statuses(&read_to_end(&mut client)), [413]);
}

#[test]
fn over_tcp_a_client_that_ends_its_side_still_gets_its_answers() {
    let mut client = connect(1.0);
    client.write_all(GET.repeat(2).as_bytes()).expect("sent");
    client.shutdown(Shutdown::Write).expect("shut down");
    assert_eq!(statuses(&read_to_end(&mut client)), [200, 200]);
}

#[test]
fn over_tcp_a_slow_head_gets_408_and_silence_gets_nothing() {
    let mut slow = connect(0.01);
    slow.write_all(b"GET /ec").expect("sent");
    assert_eq!(statuses(&read_to_end(&mut slow)), [408]);
    assert_eq!(read_to_end(&mut connect(0.01)), []);
    let mut idle = connect(0.01);
    idle.write_all(GET.as_bytes()).expect("sent");
    let answers = read_to_end(&mut idle);
    assert_eq!(statuses(&answers), [200]);
    assert!(!answers[0].close, "nobody knew then that no request would follow");
}

#[test]
fn over_tcp_client_and_server_understand_each_other() {
    let socket =
        socket::connect(serve_one(1.0), Duration::from_secs(30), "C", &Trace::off()).expect("a connection");
    let mut client =
        Connection::new(Box::new(PlainChannel::new(socket, b"")), Vec::new(), Instant::now(), 1.0);
    for text in ["first", "second 你好"] {
        let target = format!("/echo?text={}", percent_encode(text));
        client.send(&write_request("POST", &target, "localhost", &[], text.as_bytes())).expect("sent");
        let response = client.read_response("POST", MAX_ARGUMENTS_BODY, false).expect("a response");
        assert_eq!((response.status, response.close), (200, false));
        let body = String::from_utf8(response.body).expect("UTF-8");
        assert!(body.starts_with(&format!(r#""POST" Some("localhost:80") [("text", "{text}")]"#)), "{body}");
    }
}
