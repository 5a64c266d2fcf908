//! Fed: the file of a conversation; and the same text as the fields of a record.
//!
//! Must hold:
//! - a record is one line of six fields, and reads back as it was, whatever its texts are;
//! - `newest`, which reads a file backwards and in pieces, finds what is found in the same file read at once;
//! - that a file is longer than a piece, cut at any place, changes nothing;
//! - what is appended is found, also behind a line that is torn.

#![no_main]

use std::collections::BTreeMap;
use std::fs;

use libfuzzer_sys::fuzz_target;
use minim::client::conversation::Conversation;
use minim::client::records::{Log, Record, decode_msg, encode_msg};
use minim::limits::{RECORDS_DISORDER, RECORDS_PIECE};
use minim::message::Envelope;
use minim_fuzz::with_choice;

/// Whose records they are.
const ME: u64 = 2;

fuzz_target!(|input: &[u8]| {
    let Some((file, choice)) = with_choice(input) else { return };
    let with = Conversation { is_friend: choice.is_multiple_of(2), to_id: 1 };
    for line in file.split(|byte| *byte == b'\n') {
        decode_msg(line, with, ME).iter().for_each(|record| is_one_line(record, with));
    }
    let record = record_of(&String::from_utf8_lossy(file), with, choice);
    is_one_line(&record, with);

    let path = std::env::temp_dir().join(format!("minim-fuzz-{}.log", std::process::id()));
    let log = Log { path, with, me: ME };
    let (before_id, number) = (choice as u64, choice % 10);
    let newest = |bytes: &[u8]| {
        fs::write(&log.path, bytes).expect("a folder for temporary files");
        log.newest(before_id, number).expect("a file that can be read")
    };
    let expected = newest_at_once(file, with, before_id, number);
    assert_eq!(newest(&with_a_cut_at(choice % (file.len() + 1), file)), expected);
    assert_eq!(newest(file), expected);

    log.append(std::slice::from_ref(&record)).expect("a file that can be written");
    assert_eq!(log.newest(record.0.id + 1, 1).expect("a file that can be read"), [record]);
});

fn is_one_line(record: &Record, with: Conversation) {
    let line = encode_msg(record);
    assert!(!line.contains(['\n', '\r']) && line.split('\t').count() == 6, "{line:?}");
    assert_eq!(decode_msg(line.as_bytes(), with, ME).as_ref(), Some(record));
}

/// Name, kind and text are what stands between the first two vertical bars; numbers are chosen.
fn record_of(texts: &str, with: Conversation, choice: usize) -> Record {
    let mut texts = texts.splitn(3, '|').map(str::to_owned);
    let mut next = || texts.next().unwrap_or_default();
    let (from_name, msg_type, text) = (next(), next(), next());
    let from_id = [1, ME, 3][choice % 3];
    let to_id = if with.is_friend && from_id != ME { ME } else { with.to_id };
    let (id, send_time) = (choice as u64, u64::MAX - choice as u64);
    (Envelope { id, from_id, from_name, is_friend: with.is_friend, to_id, send_time, msg_type }, text)
}

/// What `Log::newest` has to find: the last `number` of the records below `before_id`, of two with one id the later.
fn newest_at_once(file: &[u8], with: Conversation, before_id: u64, number: usize) -> Vec<Record> {
    let mut found = BTreeMap::new();
    let lines = file.split(|byte| *byte == b'\n').rev().skip(1); // what stands behind the last LF is torn
    for record in lines.filter_map(|line| decode_msg(line, with, ME)) {
        if record.0.id < before_id {
            found.entry(record.0.id).or_insert(record);
        }
        if found.len() >= number + RECORDS_DISORDER {
            break;
        }
    }
    let too_many = found.len().saturating_sub(number);
    found.into_values().skip(too_many).collect()
}

/// The file with one long line behind it that is no record, so that the first piece begins at this place.
fn with_a_cut_at(place: usize, file: &[u8]) -> Vec<u8> {
    let Some(feed) = file.iter().rposition(|byte| *byte == b'\n') else { return file.to_vec() };
    let lines = &file[..=feed];
    let length = (RECORDS_PIECE as usize).saturating_sub(lines.len().saturating_sub(place) + 1);
    [lines, &vec![b'x'; length], b"\n"].concat()
}
