//! What is called otherwise in a student's own variant of the labs, so that a solution that was copied fails: the check of a lab
//! asks here, and `cargo test --test labs -- variant NUMBER` draws by MD5 of the student's number, prints, and writes
//! labs/variant.txt. Without that file all is as published, which `solution.patch` solves.

#![allow(dead_code)] // each lab uses a part of it

use std::fs;

use md5::{Digest, Md5};

/// Where the variant stands, a line `name = value` for each part.
pub const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/labs/variant.txt");

/// The parts: lab and name, and what is drawn from; what is published stands first.
pub const PARTS: [(&str, &[&str]); 11] = [
    ("lab03.msgType", &["RECALLED", "GONE", "VOID", "DELETED", "EMPTY"]),
    ("lab03.notSender", &["notSender", "notAuthor", "notYours", "otherSender"]),
    ("lab03.tooLate", &["tooLate", "tooOld", "expired", "pastWindow"]),
    ("lab03.type", &["RECALL", "RETRACT", "WITHDRAW", "REVOKE", "UNSEND"]),
    ("lab03.window", &["120", "60", "90", "180", "240"]),
    ("lab04.nonce", &["nonce", "token", "ticket", "challenge", "once"]),
    ("lab05.msgType", &["NOTICE", "ANNOUNCE", "BULLETIN", "HEADLINE", "POSTER"]),
    ("lab09.separator", &[":", "/", "|", "~", "$"]),
    ("lab10.path", &["downloadFile", "fetchFile", "fileContent", "attachment", "getFile"]),
    ("lab11.type", &["TYPING", "WRITING", "COMPOSING", "SCRIBBLING", "DRAFTING"]),
    (
        "lab12.order",
        &[
            "nonces publics shared",
            "publics nonces shared",
            "nonces shared publics",
            "shared nonces publics",
            "publics shared nonces",
            "shared publics nonces",
        ],
    ),
];

/// The value of a part in this copy of the project.
pub fn part(name: &str) -> String {
    let text = fs::read_to_string(FILE).unwrap_or_default();
    let lines = text.lines().filter_map(|line| line.split_once(" = "));
    let found = lines.filter(|(part, _)| *part == name).map(|(_, value)| value.to_owned()).next();
    found.unwrap_or_else(|| {
        let (_, values) = PARTS.iter().find(|(part, _)| *part == name).expect("a part of the table");
        values[0].to_owned()
    })
}

/// The lines of a student's variant.
pub fn drawn(student: &str) -> String {
    let line = |&(name, values): &(&str, &[&str])| {
        let digest = Md5::digest(format!("{student}|{name}"));
        let place = usize::from(digest[0]) % values.len();
        format!("{name} = {}\n", values[place])
    };
    PARTS.iter().map(line).collect()
}
