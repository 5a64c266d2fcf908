//! `cargo test --test labs -- class`: the grader tried on a made-up class of ten. A part of prove.rs.
//!
//! Each folder is a copy of the project in which a student did something; the grader runs as a program, as a teacher runs it, and
//! must give the right marks, whatever is in the folder.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::{Outcome, Scratch, apply, copy_project, read, variant};

/// What a student did to a copy of the project.
type Deed = fn(&Path) -> Outcome;

/// Who, which labs under which number, what they did, and what the marks say: passed tests of each lab, and words in the line.
type Student = (&'static str, &'static [&'static str], Deed, &'static [u64], &'static str);

const LAB06: &str = "labs/06-des-by-hand";

const CLASS: [Student; 10] = [
    ("perfect", &["02", "06"], perfect, &[7, 5], "5/5"),
    ("untouched", &["02", "06"], |_| Ok(()), &[0, 0], "a1_"),
    ("half done", &["06"], half_done, &[3], "a5_"),
    ("a test ignored", &["06"], tests_ignored, &[0], "a1_"),
    ("an empty check", &["06"], empty_check, &[0], "a1_"),
    ("an early exit", &["06"], early_exit, &[3], "ended before its end"),
    ("another one's variant", &["03", "--student", "2026003"], published_recall, &[1], "a1_"), // a8: the console
    ("hanging", &["06"], hanging, &[3], "not within its time"), // a5 asks is_weak, too
    ("not compiling", &["06"], not_compiling, &[0], "error"),
    ("renamed", &["03", "--student", "2026003"], renamed, &[8], "8/8"),
];

/// All of them; an error names the first whose marks are wrong.
pub fn class() -> Outcome {
    for (who, words, deed, passed, said) in CLASS {
        let scratch = Scratch::new();
        let folder = scratch.0.join("a student");
        copy_project(&folder)?;
        deed(&folder)?;
        let program = std::env::current_exe().map_err(|error| error.to_string())?;
        let mut grader = Command::new(program);
        grader.arg("grade").arg(&folder).args(words).env("LAB_PATIENCE", "0.25");
        let output = grader.output().map_err(|error| error.to_string())?;
        let text = String::from_utf8_lossy(&output.stdout);
        let marks: Value =
            text.lines().last().and_then(|line| serde_json::from_str(line).ok()).unwrap_or_default();
        let came: Vec<u64> = marks["labs"].as_object().map_or(Vec::new(), |labs| {
            labs.values().map(|lab| lab["passed"].as_u64().unwrap_or(u64::MAX)).collect()
        });
        let is_full = ["perfect", "renamed"].contains(&who);
        if came != passed || !text.contains(said) || output.status.success() != is_full {
            let errors = String::from_utf8_lossy(&output.stderr);
            return Err(format!("{who}: expected {passed:?} and {said:?}, came\n{text}{errors}"));
        }
        println!("{who}: {}", text.lines().next().unwrap_or_default());
    }
    Ok(())
}

fn solve(folder: &Path, lab: &str) -> Outcome {
    apply(folder, &Path::new(lab).join("solution.patch"), &[])
}

/// Replaces a text in a file of the folder, which must have it.
fn change(folder: &Path, file: &str, from: &str, to: &str) -> Outcome {
    let path = folder.join(file);
    let text = read(&path)?;
    if !text.contains(from) {
        return Err(format!("{file} has no {from:?}"));
    }
    fs::write(&path, text.replace(from, to)).map_err(|error| format!("{file}: {error}"))
}

fn perfect(folder: &Path) -> Outcome {
    solve(folder, "labs/02-framing")?;
    solve(folder, LAB06)
}

fn half_done(folder: &Path) -> Outcome {
    solve(folder, LAB06)?;
    let work = format!("{LAB06}/work.rs");
    change(
        folder,
        &work,
        "pub fn partner(key: u64) -> Option<u64> {\n",
        "pub fn partner(key: u64) -> Option<u64> {\n    todo!(\"{key}\");\n",
    )?;
    change(
        folder,
        &work,
        "pub fn twin(text: &str) -> String {\n",
        "pub fn twin(text: &str) -> String {\n    todo!(\"{text}\");\n",
    )
}

fn tests_ignored(folder: &Path) -> Outcome {
    change(folder, &format!("{LAB06}/check.rs"), "#[test]", "#[test]\n#[ignore]")
}

fn empty_check(folder: &Path) -> Outcome {
    fs::write(folder.join(LAB06).join("check.rs"), "").map_err(|error| error.to_string())
}

fn early_exit(folder: &Path) -> Outcome {
    solve(folder, LAB06)?;
    let head = "pub fn round(l: u32, r: u32, subkey: u64) -> (u32, u32) {\n";
    change(folder, &format!("{LAB06}/work.rs"), head, &format!("{head}    std::process::exit(0);\n"))
}

fn hanging(folder: &Path) -> Outcome {
    solve(folder, LAB06)?;
    let head = "pub fn is_weak(key: u64) -> bool {\n";
    let ever = "    while key != 1 {\n        std::thread::yield_now();\n    }\n";
    change(folder, &format!("{LAB06}/work.rs"), head, &format!("{head}{ever}"))
}

fn not_compiling(folder: &Path) -> Outcome {
    solve(folder, LAB06)?;
    change(folder, &format!("{LAB06}/work.rs"), "pub fn round(", "pub fun round(")
}

fn published_recall(folder: &Path) -> Outcome {
    solve(folder, "labs/03-recall")
}

/// The published solution with the words of the student's own variant: it must be read for that, and earns the marks.
fn renamed(folder: &Path) -> Outcome {
    published_recall(folder)?;
    let drawn = variant::drawn("2026003");
    let word = |part: &str| {
        drawn.lines().find_map(|line| line.strip_prefix(part)?.strip_prefix(" = ")).unwrap_or_default()
    };
    let (kind, msg_type) = (word("lab03.type"), word("lab03.msgType"));
    let camel = format!("{}{}", &kind[..1], kind[1..].to_lowercase());
    for file in [
        "src/message.rs",
        "src/server/chat.rs",
        "src/store/messages.rs",
        "src/client/conversation.rs",
        "src/client/talk.rs",
    ] {
        let _ = change(folder, file, "FromServer::Recall", &format!("FromServer::{camel}"));
        let _ = change(folder, file, "FromClient::Recall", &format!("FromClient::{camel}"));
        let _ = change(folder, file, "RECALLED", msg_type);
    }
    change(folder, "src/client/files.rs", "RECALLED", msg_type)?;
    change(folder, "src/client/records.rs", "RECALLED", msg_type)?;
    change(folder, "src/message.rs", "    Recall {", &format!("    {camel} {{"))?;
    change(
        folder,
        "src/fields.rs",
        "\"RECALL\" => FromClient::Recall",
        &format!("\"{kind}\" => FromClient::{camel}"),
    )?;
    for (part, code) in [("lab03.notSender", "NotSender"), ("lab03.tooLate", "TooLate")] {
        let other = word(part);
        let variant = format!("{}{}", other[..1].to_uppercase(), &other[1..]);
        change(folder, "src/message.rs", code, &variant)?;
        change(folder, "src/store/messages.rs", &format!("Code::{code}"), &format!("Code::{variant}"))?;
        let key = format!("refused.{}{}", code[..1].to_lowercase(), &code[1..]);
        change(folder, "src/client/words.txt", &key, &format!("refused.{other}"))?;
    }
    change(folder, "src/config.rs", "recall_window: 120", &format!("recall_window: {}", word("lab03.window")))
}
