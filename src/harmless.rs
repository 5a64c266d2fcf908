//! What comes from the network, made harmless for a terminal: whoever can send an escape sequence can move the cursor,
//! rewrite lines, or turn the rest of a row around.
//!
//! Rule: every name and text of somebody else passes here before it is shown. What is stored keeps the original.

/// Combining marks in a row that are shown; more of them would grow over the rows above and below.
const MARKS_IN_A_ROW: usize = 4;

/// One line of text with nothing in it that a terminal would obey: control characters as `\x1b`, characters that
/// change the direction of writing or hide as `\u{202e}`, TAB and line feed as a space.
pub fn harmless(text: &str) -> String {
    let mut shown = String::new();
    let mut marks = 0;
    for c in text.chars() {
        marks = if is_combining_mark(c) { marks + 1 } else { 0 };
        match c {
            '\t' | '\n' => shown.push(' '),
            _ if c.is_control() => shown += &format!("\\x{:02x}", u32::from(c)),
            _ if is_hidden(c) => shown += &format!("\\u{{{:x}}}", u32::from(c)),
            _ if marks > MARKS_IN_A_ROW => {}
            _ => shown.push(c),
        }
    }
    shown
}

/// Whether an output obeys escape sequences: a terminal does, unless it is a console of Windows as it was before 2019.
pub fn obeys_escapes(is_terminal: bool) -> bool {
    let is_set = |name: &str| std::env::var_os(name).is_some();
    let is_old_windows = cfg!(windows) && !is_set("WT_SESSION") && !is_set("TERM");
    is_terminal && !is_old_windows && std::env::var("TERM").unwrap_or_default() != "dumb"
}

/// Whether it also may get colours: `NO_COLOR` forbids them.
pub fn obeys_colours(is_terminal: bool) -> bool {
    obeys_escapes(is_terminal) && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// A name as it is shown: in quotes, where it has anything but letters, digits, `_`, `-`, `.` and single inner spaces,
/// so that no name can look like an event, an error, a time or a group.
pub fn harmless_name(name: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | ' ');
    let spaces = name.contains("  ") || name.starts_with(' ') || name.ends_with(' ');
    let shown = harmless(name);
    if name.chars().all(is_plain) && !spaces && !name.is_empty() { shown } else { format!("\"{shown}\"") }
}

/// Bidi controls, line and paragraph separators, the byte order mark, tags, the soft hyphen, fillers of Hangul.
pub fn is_hidden(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
        | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}'
        | '\u{ad}' | '\u{115f}' | '\u{1160}' | '\u{3164}' | '\u{ffa0}')
}

/// Marks that stand over or under the character before them.
pub fn is_combining_mark(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{36f}' | '\u{483}'..='\u{489}' | '\u{591}'..='\u{5bd}' | '\u{610}'..='\u{61a}'
        | '\u{64b}'..='\u{65f}' | '\u{1ab0}'..='\u{1aff}' | '\u{20d0}'..='\u{20ff}'
        | '\u{3099}'..='\u{309a}' | '\u{fe20}'..='\u{fe2f}')
}
