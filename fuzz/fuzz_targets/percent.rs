//! Fed: a form or query as it comes; and the same text as what is to be encoded.
//!
//! Must hold:
//! - a decoder that is written here, octet by octet, takes the same forms and finds the same arguments;
//! - what is encoded has nothing but unreserved characters and %XX, and is the same text when it is decoded;
//! - the arguments of a form, encoded and decoded once more, are the same arguments;
//! - they take no more bytes than the form; there are at most `MAX_ARGUMENTS`; what is refused is not repeated at length;
//! - in a path `%2F` separates nothing.

#![no_main]

use libfuzzer_sys::fuzz_target;
use minim::http::{HttpError, RequestHead, parse_form, percent_encode};
use minim::limits::{MAX_ARGUMENTS, MAX_REPEATED};

type Arguments = Vec<(String, String)>;

fuzz_target!(|form: &[u8]| {
    let outcome = parse_form(form);
    assert_eq!(outcome.clone().ok(), reference(form));
    match outcome {
        Ok(arguments) => {
            let bytes: usize = arguments.iter().map(|(name, value)| name.len() + value.len()).sum();
            assert!(bytes <= form.len() && arguments.len() <= MAX_ARGUMENTS);
            let pairs = arguments.iter().map(|(name, value)| encoded(name) + "=" + &encoded(value));
            let again = pairs.collect::<Vec<_>>().join("&");
            assert_eq!(parse_form(again.as_bytes()), Ok(arguments));
        }
        Err(HttpError::BadArgument(text)) => assert!(text.chars().count() < MAX_REPEATED + 100),
        Err(other) => panic!("{other:?}"),
    }

    let text = String::from_utf8_lossy(form).into_owned();
    let one = format!("{0}={0}", encoded(&text));
    assert_eq!(parse_form(one.as_bytes()), Ok(vec![(text.clone(), text.clone())]));

    let segments: Vec<&str> = text.split('\n').collect();
    let path: String = segments.iter().map(|segment| format!("/{}", encoded(segment))).collect();
    let head = RequestHead { path, ..RequestHead::default() };
    assert!(head.path_segments().is_ok_and(|decoded| decoded == segments));
});

fn encoded(text: &str) -> String {
    let encoded = percent_encode(text);
    assert!(encoded.chars().all(|c| c.is_ascii_alphanumeric() || "-._~%".contains(c)));
    encoded
}

/// Split first, then decoded.
fn reference(form: &[u8]) -> Option<Arguments> {
    let mut arguments = Arguments::new();
    for piece in form.split(|octet| *octet == b'&').filter(|piece| !piece.is_empty()) {
        let equals = piece.iter().position(|octet| *octet == b'=');
        let (name, value) = match equals {
            Some(place) => (&piece[..place], &piece[place + 1..]),
            None => (piece, &[][..]),
        };
        arguments.push((decoded(name)?, decoded(value)?));
    }
    Some(arguments).filter(|arguments| arguments.len() <= MAX_ARGUMENTS)
}

fn decoded(text: &[u8]) -> Option<String> {
    let digit = |octet: Option<&u8>| char::from(*octet?).to_digit(16);
    let (mut bytes, mut octets) = (Vec::new(), text.iter());
    while let Some(octet) = octets.next() {
        bytes.push(match octet {
            b'+' => b' ',
            b'%' => (digit(octets.next())? * 16 + digit(octets.next())?) as u8,
            other => *other,
        });
    }
    String::from_utf8(bytes).ok()
}
