//! How many columns of a terminal a text takes, and what follows from it: broken rows, cut texts, tables.
//!
//! `std` does not know widths. The ranges are those of Unicode 17 (East Asian Width: wide, fullwidth; emoji presentation)
//! put together where nothing else lies between; characters that terminals disagree about count as most of them do.

use crate::harmless::is_combining_mark;

/// A row in pieces of at most `columns`; those behind the first begin with four spaces.
pub fn broken(row: &str, columns: usize) -> Vec<String> {
    let mut pieces = Vec::new();
    let (mut piece, mut used) = (String::new(), 0);
    for c in row.chars() {
        if used + width_of(c) > columns {
            pieces.push(std::mem::replace(&mut piece, "    ".to_owned()));
            used = 4;
        }
        piece.push(c);
        used += width_of(c);
    }
    pieces.push(piece);
    pieces
}

/// The columns that a text takes.
pub fn width(text: &str) -> usize {
    text.chars().map(width_of).sum()
}

/// The longest beginning of `text` within so many columns, with `...` where something is left out.
pub fn cut(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let (mut shown, mut used) = (String::new(), 3);
    for c in text.chars() {
        used += width_of(c);
        if used > columns {
            break;
        }
        shown.push(c);
    }
    shown + "..."
}

/// Rows as a table: columns two spaces apart, padded by width.
pub fn table(rows: &[Vec<String>]) -> Vec<String> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let widest = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| width(cell)).max();
    let widths: Vec<usize> = (0..columns).map(|column| widest(column).unwrap_or_default()).collect();
    let padded = |row: &Vec<String>| {
        let mut line = String::new();
        for (cell, column) in row.iter().zip(&widths) {
            line += &format!("{cell}{}", " ".repeat(column + 2 - width(cell)));
        }
        line.trim_end().to_owned()
    };
    rows.iter().map(padded).collect()
}

/// Characters of two columns: Chinese, Japanese, Korean, emoji. Ranges, sorted, ends included.
#[rustfmt::skip]
const WIDE: [(u32, u32); 58] = [
    (0x1100, 0x115f), (0x231a, 0x231b), (0x2329, 0x232a), (0x23e9, 0x23ec), (0x23f0, 0x23f0), (0x23f3, 0x23f3),
    (0x25fd, 0x25fe), (0x2614, 0x2615), (0x2648, 0x2653), (0x267f, 0x267f), (0x2693, 0x2693), (0x26a1, 0x26a1),
    (0x26aa, 0x26ab), (0x26bd, 0x26be), (0x26c4, 0x26c5), (0x26ce, 0x26ce), (0x26d4, 0x26d4), (0x26ea, 0x26ea),
    (0x26f2, 0x26f3), (0x26f5, 0x26f5), (0x26fa, 0x26fa), (0x26fd, 0x26fd), (0x2705, 0x2705), (0x270a, 0x270b),
    (0x2728, 0x2728), (0x274c, 0x274c), (0x274e, 0x274e), (0x2753, 0x2755), (0x2757, 0x2757), (0x2795, 0x2797),
    (0x27b0, 0x27b0), (0x27bf, 0x27bf), (0x2b1b, 0x2b1c), (0x2b50, 0x2b50), (0x2b55, 0x2b55), (0x2e80, 0x303e),
    (0x3041, 0xa4c6), (0xa960, 0xa97c), (0xac00, 0xd7a3), (0xf900, 0xfaff), (0xfe10, 0xfe19), (0xfe30, 0xfe6b),
    (0xff01, 0xff60), (0xffe0, 0xffe6), (0x16fe0, 0x1b2fb), (0x1f004, 0x1f004), (0x1f0cf, 0x1f0cf), (0x1f300, 0x1f320),
    (0x1f32d, 0x1f4fc), (0x1f4ff, 0x1f53d), (0x1f54b, 0x1f567), (0x1f5fb, 0x1f64f), (0x1f680, 0x1f6c5),
    (0x1f6cc, 0x1f6fc), (0x1f7e0, 0x1f7f0), (0x1f90c, 0x1faff), (0x20000, 0x2fffd), (0x30000, 0x3fffd),
];

fn width_of(c: char) -> usize {
    if is_combining_mark(c) || is_joiner(c) {
        0
    } else if is_in(u32::from(c), &WIDE) {
        2
    } else {
        1
    }
}

/// Zero-width spaces and joiners, and selectors of a variant of the character before.
fn is_joiner(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200d}' | '\u{2060}' | '\u{fe00}'..='\u{fe0f}' | '\u{e0100}'..='\u{e01ef}')
}

/// Binary search in sorted ranges.
fn is_in(code: u32, ranges: &[(u32, u32)]) -> bool {
    let after = ranges.partition_point(|&(_, last)| last < code);
    ranges.get(after).is_some_and(|&(first, _)| first <= code)
}
