//! What a picture's first octets tell: its format and its size.
//!
//! Rules: the octets are somebody else's; what is cut short or makes no sense has no size. Not here: the picture itself.
//! Sources: PNG specification 11.2.1 (IHDR), GIF89a 17 and 18, ISO/IEC 10918-1 B.1.1 and B.2.2 (SOF).

/// Format, width and height in pixels; none where this is no JPEG, PNG or GIF.
pub fn measure(octets: &[u8]) -> Option<(&'static str, usize, usize)> {
    let big = |at: usize, count: usize| number(octets.get(at..at + count)?.iter());
    let little = |at: usize| number(octets.get(at..at + 2)?.iter().rev());
    match octets {
        [0x89, b'P', b'N', b'G', ..] => Some(("PNG", big(16, 4)?, big(20, 4)?)),
        [b'G', b'I', b'F', b'8', ..] => Some(("GIF", little(6)?, little(8)?)),
        [0xff, 0xd8, ..] => {
            let frame = frame_header(octets)?;
            Some(("JPEG", big(frame + 7, 2)?, big(frame + 5, 2)?))
        }
        _ => None,
    }
}

/// Where a JPEG's frame header stands: a marker SOF0 to SOF15, which is none of DHT, JPG and DAC that share its numbers.
/// A segment is a marker of two octets, and its length, which counts its own two octets but not the marker.
fn frame_header(octets: &[u8]) -> Option<usize> {
    let mut at = 2; // behind SOI
    loop {
        match octets.get(at..at + 4)? {
            [0xff, 0xff, ..] => at += 1, // fill octets may stand before a marker
            [0xff, 0xc0..=0xcf, ..] if !matches!(octets[at + 1], 0xc4 | 0xc8 | 0xcc) => return Some(at),
            [0xff, _, length @ ..] => at += 2 + number(length.iter())?.max(2),
            _ => return None,
        }
    }
}

fn number<'a>(octets: impl Iterator<Item = &'a u8>) -> Option<usize> {
    Some(octets.fold(0, |number, octet| number << 8 | usize::from(*octet)))
}
