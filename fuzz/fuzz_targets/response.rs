//! Fed: what a server answers to a client of ours; and the same text as the value of a field that a server of ours writes.
//!
//! Must hold:
//! - however the octets are cut, the same responses come, and the same error ends them;
//! - bodies and fields obey limits.rs; no line end gets into a field, nor a blank to its end, folded or not;
//! - written by `to_octets` and read once more, it is the same response;
//! - whatever stands in a value, what is written is one response, which a client of ours can read.

#![no_main]

use libfuzzer_sys::fuzz_target;
use minim::http::{BLANKS, HttpError, Response};
use minim::limits::MAX_FIELDS;
use minim_fuzz::{connection, deliveries, with_choice};

/// Longest body that this client wants, in octets; short, so that the limit is met.
const LONGEST_BODY: usize = 1000;
/// What `to_octets` writes by itself, and what says how a body came.
const WRITTEN_ANEW: [&str; 5] =
    ["Date", "Content-Length", "Transfer-Encoding", "Connection", "X-Content-Type-Options"];

fuzz_target!(|input: &[u8]| {
    let Some((octets, choice)) = with_choice(input) else { return };
    let method = ["GET", "HEAD", "POST"][choice % 3];
    let to_end = choice.is_multiple_of(2);
    let [whole, others @ ..] = deliveries(octets, choice).map(|pieces| responses(&pieces, method, to_end));
    for other in others {
        assert_eq!(other, whole);
    }
    for response in whole.0 {
        check(&response, octets);
        write_and_read(response);
    }
    a_value_that_is_anything(octets);
});

/// All responses that come in these pieces, and the error behind them.
fn responses(pieces: &[&[u8]], method: &str, to_end: bool) -> (Vec<Response>, HttpError) {
    let (mut connection, mut responses) = (connection(pieces), Vec::new());
    loop {
        match connection.read_response(method, LONGEST_BODY, to_end) {
            // It closes too when more has come, which depends on the pieces.
            Ok(response) => responses.push(Response { close: false, ..response }),
            Err(error) => return (responses, error),
        }
    }
}

fn check(response: &Response, octets: &[u8]) {
    assert!((200..=999).contains(&response.status));
    assert!(response.body.len() <= LONGEST_BODY.min(octets.len()));
    assert!(response.header.lines.len() <= MAX_FIELDS);
    for (name, value) in &response.header.lines {
        assert!(!name.is_empty() && !name.contains([' ', '\t', ':']));
        assert!(!value.starts_with(BLANKS) && !value.ends_with(BLANKS), "{name}: {value:?}");
        assert!(!value.contains(['\r', '\n', '\0']));
    }
}

/// As a server of ours would have sent it.
fn write_and_read(mut response: Response) {
    let is_written_anew = |name: &str| WRITTEN_ANEW.iter().any(|other| other.eq_ignore_ascii_case(name));
    let lines = &mut response.header.lines;
    lines.retain(|(name, value)| !is_written_anew(name) && value.is_ascii());
    lines.truncate(MAX_FIELDS - WRITTEN_ANEW.len());
    if matches!(response.status, 204 | 304) {
        response.body.clear();
    }
    let again = read(&response.to_octets(false, false));
    assert_eq!((again.status, &again.body), (response.status, &response.body));
    assert_eq!(of_the_server(&again), response.header.lines);
}

/// A handler can put anything into a field, but no second field and no second response.
fn a_value_that_is_anything(octets: &[u8]) {
    let value = String::from_utf8_lossy(&octets[..octets.len().min(LONGEST_BODY)]);
    let response =
        read(&Response::new(200, b"body".to_vec()).with("Location", &value).to_octets(false, false));
    let one_char_an_octet: String = value.bytes().map(char::from).collect();
    match response.status {
        200 => {
            let location = ("Location".to_owned(), one_char_an_octet.trim_matches(BLANKS).to_owned());
            assert_eq!((of_the_server(&response), &response.body[..]), (vec![location], &b"body"[..]));
        }
        status => assert!(status == 500 && response.header.all("Location").next().is_none()),
    }
}

/// The fields that a handler gave.
fn of_the_server(response: &Response) -> Vec<(String, String)> {
    let given = |(name, _): &&(String, String)| !WRITTEN_ANEW.contains(&name.as_str());
    response.header.lines.iter().filter(given).cloned().collect()
}

/// The one response that these octets are.
fn read(octets: &[u8]) -> Response {
    let (mut responses, error) = responses(&[octets], "GET", false);
    assert!(responses.len() == 1, "{responses:?} {error:?} in {}", octets.escape_ascii());
    responses.remove(0)
}
