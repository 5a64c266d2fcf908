//! Fed: what a client sends on a connection of HTTP, one request behind the other, then its end.
//!
//! Must hold:
//! - however the octets are cut, the same requests come, and the same error ends them;
//! - where a request ends is said once: at most one of Content-Length and Transfer-Encoding, and one Host in HTTP/1.1;
//! - lengths and numbers obey limits.rs; no line end gets into a field, nor a blank to its end;
//! - written by `write_request` and read once more, it is the same request.

#![no_main]

use libfuzzer_sys::fuzz_target;
use minim::http::{Authority, BLANKS, Framing, HttpError, RequestHead, parse_form, write_request};
use minim::limits::{MAX_ARGUMENTS_BODY, MAX_FIELDS, MAX_METHOD, MAX_REQUEST_LINE};
use minim_fuzz::{connection, deliveries, with_choice};

/// A head, and its body or what is wrong with that.
type Request = (RequestHead, Result<Vec<u8>, HttpError>);

fuzz_target!(|input: &[u8]| {
    let Some((octets, choice)) = with_choice(input) else { return };
    let [whole, others @ ..] = deliveries(octets, choice).map(|pieces| requests(&pieces));
    for other in others {
        assert_eq!(other, whole);
    }
    for (head, body) in &whole.0 {
        check(head);
        if let Ok(body) = body {
            assert!(body.len() <= MAX_ARGUMENTS_BODY.min(octets.len()));
            write_and_read(head, body);
        }
    }
});

/// All requests that come in these pieces, and the error behind them, if there is one.
fn requests(pieces: &[&[u8]]) -> (Vec<Request>, Option<HttpError>) {
    let (mut connection, mut requests) = (connection(pieces), Vec::new());
    loop {
        let head = match connection.read_head() {
            Ok(Some(head)) => head,
            Ok(None) => return (requests, None),
            Err(error) => return (requests, Some(error)),
        };
        let body = connection.read_body(MAX_ARGUMENTS_BODY);
        let is_whole = body.is_ok();
        requests.push((head, body));
        if !is_whole {
            return (requests, None);
        }
    }
}

fn check(head: &RequestHead) {
    let fields = &head.header.lines;
    assert!((1..=MAX_METHOD).contains(&head.method.len()) && fields.len() <= MAX_FIELDS);
    assert!(head.path.len() + head.query.len() <= MAX_REQUEST_LINE);
    assert!(head.path.starts_with('/') || head.path == "*" && head.method == "OPTIONS");
    for (name, value) in fields {
        assert!(!name.is_empty() && !name.contains([' ', '\t', ':']));
        assert!(
            !value.starts_with(BLANKS) && !value.ends_with(BLANKS) && !value.contains(['\r', '\n', '\0'])
        );
    }
    let lengths = head.header.all("Content-Length").count();
    let codings = head.header.all("Transfer-Encoding").count();
    assert!(lengths + codings <= 1 && (codings == 1) == (head.framing == Framing::Chunked));
    assert!(head.framing != Framing::UntilClose, "a request has an end of its own");
    assert!(head.minor == 0 || head.header.all("Host").count() == 1 && head.authority.is_some());

    let _ = (head.path_segments(), parse_form(&head.query), head.header.media_type());
    for name in ["If-Match", "If-None-Match"] {
        let tags = head.header.entity_tags(name).unwrap_or_default();
        assert!(tags.iter().all(|tag| tag == "*" || tag.ends_with('"')));
    }
    assert!(head.header.cookie("sid").is_none_or(|sid| !sid.contains(';')));
}

/// As a client of ours would have sent it.
fn write_and_read(head: &RequestHead, body: &[u8]) {
    let written_anew = ["Host", "Content-Length", "Transfer-Encoding"];
    let fields: Vec<(&str, &str)> = head
        .header
        .lines
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .filter(|(name, _)| !written_anew.iter().any(|other| other.eq_ignore_ascii_case(name)))
        .collect();
    let is_ascii = head.query.is_ascii() && fields.iter().all(|(_, value)| value.is_ascii());
    let (Some(authority), true) = (&head.authority, is_ascii) else { return };
    let query = String::from_utf8_lossy(&head.query);
    let mark = if query.is_empty() { "" } else { "?" };
    let target = format!("{}{mark}{query}", head.path);
    let octets = write_request(&head.method, &target, &host(authority), &fields, body);
    if fields.len() + 2 > MAX_FIELDS || octets.len() > body.len() + MAX_REQUEST_LINE {
        return; // Host and Content-Length could be too much for it
    }

    let (requests, error) = requests(&[&octets]);
    let [(again, Ok(body_again))] = &requests[..] else { panic!("{requests:?} {error:?}") };
    assert_eq!(error, None);
    assert_eq!((&again.method, &again.path, &again.query), (&head.method, &head.path, &head.query));
    assert_eq!((&again.authority, &body_again[..]), (&head.authority, body));
    for (name, value) in fields {
        assert!(again.header.all(name).any(|other| other == value), "{name}: {value}");
    }
}

fn host(authority: &Authority) -> String {
    let Authority { host, port } = authority;
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}
