//! Arguments as a form or query has them (RFC 3986 §2.1, WHATWG URL §5.1).

use super::{HttpError, Result, number, octets, text};
use crate::limits::{MAX_ARGUMENTS, MAX_REPEATED};

/// pct-encoded = "%" HEXDIG HEXDIG        RFC 3986 §2.1; decoded once, then strictly UTF-8. The error says what is wrong.
pub fn percent_decode(text: &str) -> std::result::Result<String, &'static str> {
    const WRONG: &str = "% without two hex digits behind it";
    let mut pieces = text.split('%');
    let mut decoded = octets(pieces.next().unwrap_or(""));
    for piece in pieces {
        let (digits, rest) = piece.split_at_checked(2).ok_or(WRONG)?;
        decoded.push(number(digits, 16).ok_or(WRONG)? as u8);
        decoded.extend(octets(rest));
    }
    String::from_utf8(decoded).map_err(|_| "text that is not UTF-8")
}

/// The arguments of a query or form, decoded (WHATWG URL §5.1). Equal names stay, for the caller to name.
pub fn parse_form(form: &[u8]) -> Result<Vec<(String, String)>> {
    let form = text(form).replace('+', " ");
    let mut arguments = Vec::new();
    for piece in form.split('&').filter(|piece| !piece.is_empty()) {
        if arguments.len() == MAX_ARGUMENTS {
            return Err(HttpError::BadArgument("too many arguments".to_owned()));
        }
        let (name, value) = piece.split_once('=').unwrap_or((piece, ""));
        let wrong = |of: &str, why: &str| HttpError::BadArgument(format!("{of}: {why}"));
        let name = percent_decode(name).map_err(|why| wrong("the name of an argument", why))?;
        let shown: String = name.chars().take(MAX_REPEATED).collect();
        arguments.push((name, percent_decode(value).map_err(|why| wrong(&shown, why))?));
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
