//! The wire made visible: a frame in its parts, each row with a letter that says what it is.
//!
//! Letters: `L` length, `I` initialisation vector, `C` ciphertext, `M` MAC, `B` body. Whoever shows frames shows them so.
//! Rules: all that comes from the network passes `harmless`; long things are cut, and how much is missing is said.

use crate::harmless::harmless;
use crate::limits::{SHOWN_BODY, SHOWN_ROWS};
use crate::md5_check::hex;
use crate::wire::{IV_SIZE, LENGTH_SIZE, MAC_SIZE};

/// Three blocks of eight bytes stand in a row.
const ROW: usize = 3 * 8;

/// The rows of a whole frame, with the length before it. `body`: what it holds; none where the MAC is wrong.
pub fn frame_rows(frame: &[u8], body: Option<&[u8]>) -> Vec<String> {
    let (length, rest) = frame.split_at(LENGTH_SIZE.min(frame.len()));
    let (iv, rest) = rest.split_at(IV_SIZE.min(rest.len()));
    let (ciphertext, mac) = rest.split_at(rest.len().saturating_sub(MAC_SIZE));
    let mut rows =
        vec![format!("L {} = {}", hex(length), frame.len() - length.len()), format!("I {}", hex(iv))];
    let all: Vec<String> = ciphertext.chunks(ROW).map(cipher_row).collect();
    if all.len() > SHOWN_ROWS {
        rows.extend_from_slice(&all[..SHOWN_ROWS - 1]);
        rows.push(format!("C ... {} blocks more", (ciphertext.len() - (SHOWN_ROWS - 1) * ROW) / 8));
    } else {
        rows.extend(all);
    }
    rows.push(format!("M {} {}", hex(mac), if body.is_some() { "right" } else { "wrong" }));
    rows.extend(body.map(body_row));
    rows
}

fn cipher_row(row: &[u8]) -> String {
    let blocks: Vec<String> = row.chunks(8).map(hex).collect();
    format!("C {}", blocks.join(" "))
}

/// The JSON; of a FILE_CHUNK how many bytes stand behind it.
fn body_row(body: &[u8]) -> String {
    let json = body.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let shown = harmless(&String::from_utf8_lossy(&json[..json.len().min(SHOWN_BODY)]));
    let cut = json.len().saturating_sub(SHOWN_BODY);
    let cut = if cut > 0 { format!(" ... {cut} bytes more") } else { String::new() };
    match body.len() - json.len() {
        0 => format!("B {shown}{cut}"),
        raw => format!("B {shown}{cut} + {} raw bytes", raw - 1),
    }
}

/// The `type` of a body, for one line about it; `?` where it has none.
pub fn kind(body: &[u8]) -> String {
    let json = body.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let json: serde_json::Value = serde_json::from_slice(json).unwrap_or_default();
    harmless(json["type"].as_str().unwrap_or("?"))
}
