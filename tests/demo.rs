//! The guided tour: all of it happens, nothing is left behind, and a step that fails is named.

#![cfg(feature = "sqlite")] // where its server keeps its data

mod common;

use std::fs;
use std::process::Command;

use common::{Folder, MINIM, Program};

/// Runs the tour; its folder for temporary files is `folder`.
fn tour(folder: &Folder, words: &[&str]) -> (i32, Vec<String>, String) {
    let mut demo = Command::new(MINIM);
    demo.args(["demo", "--fast"]).args(words).env("TMPDIR", folder.path()).env("TEMP", folder.path());
    Program::run(folder.path(), demo).finish()
}

#[test]
fn the_tour_happens_with_all_sides_and_their_calls_and_leaves_nothing() {
    for lang in ["en", "zh"] {
        let folder = Folder::new();
        let (code, rows, errors) = tour(&folder, &["--lang", lang]);
        assert_eq!((code, &*errors), (0, ""), "{rows:#?}");
        assert_eq!(rows.iter().filter(|row| row.starts_with("== ")).count(), 9);
        let has = |start: &str, part: &str| {
            let found = rows.iter().any(|row| row.starts_with(start) && row.contains(part));
            assert!(found, "no {part:?} behind {start:?} in {rows:#?}");
        };
        for (start, part) in [
            ("server | [main    ] accept(L) ", " = 1 from 127.0.0.1:"),
            ("server | [store   ] stored(message) ", " = 3"),
            ("alice  | [main    ] send(C, ", "out CHAT_SEND_MSG"),
            ("bob    | [reader  ] recv(C, ", "in CHAT_SEND_MSG"),
            ("carol  | [main    ] send(H, ", "request out GET /messageHandle"),
            ("alice  | [file 1  ] send(F1, ", "out FILE_CHUNK: bytes 0 to 31"),
            ("bob    | * #11 plan.txt ", "plan.txt"),
            ("udp    | [main    ] sendto(U, ", "NOTICE"),
            ("bob    | Alice: ", "read this later"),
            ("carol  | * ", "the lab closes at nine"),
        ] {
            has(start, part);
        }
        let left = fs::read_dir(folder.path()).expect("the folder").count();
        assert_eq!(left, 0, "nothing is left");
    }
}

/// No room for a further connection; nobody hears UDP: the step is named, and what did not happen.
#[test]
fn a_step_that_fails_is_named() {
    for (words, step, why) in [
        (["--maxClients", "2"], "demo: step 2 (", "too many at once"),
        (["--udpPort", "off"], "demo: step 8 (", "--udpPort is off"),
    ] {
        let folder = Folder::new();
        let (code, _, errors) = tour(&folder, &[&words[..], &["--patience", "1", "--lang", "en"]].concat());
        assert_eq!(code, 1, "{errors}");
        assert!(errors.starts_with(&format!("minim: {step}")) && errors.contains(why), "{errors}");
        assert_eq!(fs::read_dir(folder.path()).expect("the folder").count(), 0, "nothing is left");
    }
}

#[test]
fn rounds_can_be_asked_for() {
    let (code, rows, errors) = tour(&Folder::new(), &["--trace", "rounds"]);
    assert_eq!(code, 0, "{errors}");
    assert!(rows.iter().any(|row| row.starts_with("bob    | [reader  ]   R 16  ")), "{errors}");
}
