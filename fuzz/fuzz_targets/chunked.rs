//! Fed: a body in chunks, with what follows it; and the same octets as what is to be cut into chunks.
//!
//! Must hold:
//! - however the octets are cut, the outcome is the same;
//! - a decoder that is written here from RFC 9112 §7.1, for octets that are all here, finds the same body and the same end of it:
//!   where one program ends a body too early or too late, the rest is read as the next request;
//! - the body takes no more memory than what came;
//! - what is cut into chunks and read is as it was.

#![no_main]

use libfuzzer_sys::fuzz_target;
use minim::http::{BodyParser, Framing, HttpError, Input, Parsed};
use minim::limits::{MAX_CHUNK_LINE, MAX_CHUNK_OVERHEAD, MAX_FIELDS, MAX_TRAILER};
use minim_fuzz::{deliveries, with_choice};

const CRLF: &[u8] = b"\r\n";

fuzz_target!(|input: &[u8]| {
    let Some((octets, choice)) = with_choice(input) else { return };
    let limit = if choice.is_multiple_of(2) { 100 } else { octets.len() };
    let [whole, byte_by_byte, in_two] = deliveries(octets, choice).map(|pieces| parse(&pieces, limit));
    let only_body = |outcome: &Outcome| outcome.clone().map(|whole| whole.map(|(body, _)| body));
    assert_eq!(only_body(&byte_by_byte), only_body(&whole));
    assert_eq!(only_body(&in_two), only_body(&whole));
    assert_eq!(byte_by_byte.ok().flatten(), reference(octets, limit));
    if let Ok(Some((body, _))) = whole {
        assert!(body.len() <= limit && body.capacity() <= 2 * octets.len());
    }

    let encoded = encode(octets, choice);
    let expected = (octets.to_vec(), encoded.len());
    assert_eq!(reference(&encoded, octets.len()), Some(expected.clone()));
    assert_eq!(parse(&[&encoded], octets.len()), Ok(Some(expected)));
});

/// The body, and how many octets had been handed in when it was whole; or none, where more octets are missing.
type Outcome = Result<Option<(Vec<u8>, usize)>, HttpError>;

fn parse(pieces: &[&[u8]], limit: usize) -> Outcome {
    let mut parser = BodyParser::new(Framing::Chunked, limit);
    let (mut input, mut count) = (Input::default(), 0);
    for piece in pieces {
        input.buffer().extend_from_slice(piece);
        count += piece.len();
        if let Parsed::Complete(body) = parser.parse(&mut input)? {
            return Ok(Some((body, count)));
        }
    }
    Ok(None)
}

/// The body, and how many octets it takes; none where it is wrong or not whole.
fn reference(octets: &[u8], limit: usize) -> Option<(Vec<u8>, usize)> {
    let (mut body, mut rest, mut room) = (Vec::new(), octets, MAX_CHUNK_OVERHEAD);
    loop {
        let line = line(&mut rest, MAX_CHUNK_LINE.min(room))?;
        room = room.saturating_sub(line.len() + 2 * CRLF.len());
        let digits = line.split(|octet| *octet == b';').next()?.trim_ascii_end();
        let size = digits.iter().try_fold(0_usize, |size, octet| {
            let digit = char::from(*octet).to_digit(16)?;
            Some(size.saturating_mul(16).saturating_add(digit as usize))
        });
        match size.filter(|_| !digits.is_empty())? {
            0 => break,
            size if size > limit - body.len() => return None,
            size => {
                let (data, behind) = rest.split_at_checked(size)?;
                body.extend_from_slice(data);
                rest = behind.strip_prefix(CRLF)?;
            }
        }
    }
    let mut room = MAX_TRAILER - CRLF.len();
    for _ in 0..=MAX_FIELDS {
        let line = line(&mut rest, room.saturating_sub(CRLF.len()))?;
        if line.is_empty() {
            return Some((body, octets.len() - rest.len()));
        }
        room -= line.len() + CRLF.len();
        let name = line.split(|octet| *octet == b':').next()?;
        let is_token = |octet: &u8| octet.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(octet);
        if name.is_empty() || name.len() == line.len() || !name.iter().all(is_token) {
            return None;
        }
    }
    None
}

/// The next line without its CRLF, if it is no longer than that and has no control octets but tabs.
fn line<'a>(rest: &mut &'a [u8], longest: usize) -> Option<&'a [u8]> {
    let end = rest.windows(CRLF.len()).position(|two| two == CRLF)?;
    let line = &rest[..end];
    *rest = &rest[end + CRLF.len()..];
    let is_text = |octet: &u8| *octet == b'\t' || !octet.is_ascii_control();
    (line.len() <= longest && line.iter().all(is_text)).then_some(line)
}

/// In chunks of a length that is chosen, each with an extension.
fn encode(body: &[u8], choice: usize) -> Vec<u8> {
    let longest = body.len() / 1000 + 1 + choice % 100; // so that sizes and extensions do not outgrow their limit
    let chunks = body.chunks(longest).map(|chunk| {
        let size = format!("{:X} ;name=value\r\n", chunk.len());
        [size.as_bytes(), chunk, CRLF].concat()
    });
    chunks.chain([b"0\r\nTrailer: value\r\n\r\n".to_vec()]).flatten().collect()
}
