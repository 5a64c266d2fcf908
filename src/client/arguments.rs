//! A typed line as a text, its words, and what commands share around them: the failure for a word that is missing, and rows
//! as the answer. Not here: which commands there are (commands.rs).

use crate::client::screen::Line;
use crate::client::width::table;
use crate::client::{Client, Failure};

/// A line without its line end.
pub fn text_of(client: &Client, line: Vec<u8>) -> Result<String, Failure> {
    let line = line.strip_suffix(b"\n").unwrap_or(&line);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let is_cut = match line.len() {
        4095 => cfg!(target_os = "linux"), // what the kernel's line editor takes at most; it drops the rest
        1023 | 1024 => cfg!(target_os = "macos"),
        _ => false,
    };
    if is_cut && client.look.is_terminal {
        return Err(client.failure("mayBeCut", &[("N", &line.len())]));
    }
    let text = std::str::from_utf8(line).map_err(|_| client.failure("notUtf8", &[]))?;
    Ok(text.trim_start_matches('\u{feff}').to_owned())
}

/// The first word and what stands behind it. A name with spaces stands in `"…"` or `“…”`.
pub fn take_word(text: &str) -> Option<(&str, &str)> {
    let text = text.trim_start();
    let inner = text.strip_prefix(['"', '“', '”']);
    let quoted = inner.and_then(|inner| inner.split_once(['"', '“', '”']));
    let plain = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    quoted.or((!text.is_empty()).then_some(plain))
}

/// All words of a text.
pub fn words_of(mut text: &str) -> Vec<&str> {
    let mut words = Vec::new();
    while let Some((word, rest)) = take_word(text) {
        words.push(word);
        text = rest;
    }
    words
}

/// The failure for an argument that is missing: `/NAME needs ARGUMENT: USAGE`.
pub fn needs(client: &Client, argument: &str) -> Failure {
    let (words, name) = (client.words, client.command);
    let argument = words.say(&format!("argument.{argument}"), &[]);
    let usage = words.say(&format!("usage.{name}"), &[]);
    client.failure("needs", &[("NAME", &name), ("ARGUMENT", &argument), ("USAGE", &usage)])
}

/// Rows of a table, columns padded by width.
pub fn show_rows(client: &mut Client, rows: &[Vec<String>]) {
    client.show(table(rows).iter().map(|row| Line::new("  ", row)).collect());
}
