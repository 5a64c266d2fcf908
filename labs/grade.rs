//! Marks: `cargo test --test labs -- grade FOLDER [NN …] [--student NUMBER]` tries a student's project. A part of prove.rs.
//!
//! Rules: what decides is ours: checks, harness, tests, Cargo.toml are put over the student's in a copy, and the variant is that
//! of the number. Each test runs in a process of its own, with a deadline, and counts when that said "1 passed" and ended as it
//! should: who hangs, ends early or does not compile loses that test and no other. The project's own tests run where src/ was
//! changed and the checks are green: full marks need them.
//! Not here: protection. A check runs the student's program: do it in a container, or under an account that has nothing.

use std::ffi::OsStr;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::{
    Outcome, Place, built_in, cargo, copy_project, labs, labs_of, name, names, read, root, target, variant,
};

/// How long a build, one test of a check, and all of the project's tests may take, times LAB_PATIENCE.
const LIMITS: [u64; 3] = [900, 120, 1800];
/// Of what a test writes, so many bytes are kept; the rest is read and forgotten.
const MAX_OUTPUT: u64 = 1 << 20;
/// What never counts of a student's project: what was built, and what tells cargo or git to do otherwise.
const LEFT_OUT: [&str; 6] = ["target", "data", ".git", ".cargo", "build.rs", "rust-toolchain.toml"];
/// What is ours whatever the student did to it, beside the checks.
const OURS: [&str; 5] = ["Cargo.toml", "Cargo.lock", "tests", "labs/museum.rs", "labs/variant.rs"];

/// `FOLDER [NN …] [--student NUMBER]`: prints the marks; an error is anything below full ones.
pub fn grade(words: &[&str]) -> Outcome {
    let (mut folder, mut wanted, mut student) = (None, Vec::new(), None);
    let mut words = words.iter();
    while let Some(&word) = words.next() {
        match word {
            "--student" => student = words.next().copied(),
            lab if lab.len() == 2 && lab.bytes().all(|byte| byte.is_ascii_digit()) => wanted.push(lab),
            _ => folder = Some(PathBuf::from(word)),
        }
    }
    let folder = folder.ok_or("grade needs a FOLDER: the student's project")?;
    let scratch = super::Scratch::new();
    let place = Place { copy: scratch.0.join("graded"), built: built_in("labs-0") };
    let graded = labs_of(&wanted)?;
    let has_changed_minim = put_together(&folder, &place.copy, student, &graded)?;

    let mut marks = Map::new();
    let mut is_full = true;
    for lab in &graded {
        let (line, mark) = grade_lab(lab, &place)?;
        println!("{} {line}", target(lab));
        is_full &= mark["failed"] == json!({});
        marks.insert(target(lab), mark);
    }
    let tests = match (has_changed_minim, is_full) {
        (false, _) => "not run: src is as it was".to_owned(),
        (true, false) => "not run: the checks come first".to_owned(),
        (true, true) => own_tests(&place),
    };
    is_full &= !tests.starts_with("failed");
    println!("cargo test {tests}");
    println!("{}", json!({"folder": folder, "student": student, "labs": marks, "tests": tests}));
    if is_full { Ok(()) } else { Err(format!("{}: not full marks", folder.display())) }
}

/// The student's project with ours over it. Whether src/ differs.
fn put_together(folder: &Path, copy: &Path, student: Option<&str>, graded: &[PathBuf]) -> Outcome<bool> {
    let failed = |error: std::io::Error| format!("{}: {error}", folder.display());
    copy_all(folder, copy).map_err(failed)?;
    let ours = copy.with_file_name("ours");
    copy_project(&ours)?;
    let mut checks = Vec::new(); // and what stands beside them
    for lab in labs()? {
        let files =
            names(&ours.join(&lab))?.into_iter().filter(|file| file.ends_with(".rs") && file != "work.rs");
        checks.extend(files.map(|file| lab.join(file)));
    }
    let changes_tests = |lab: &PathBuf| {
        read(&root().join(lab).join("solution.patch")).is_ok_and(|patch| patch.contains("\n+++ b/tests/"))
    };
    let keeps_tests = graded.iter().all(changes_tests); // who changes the hello changes the harness with it
    let ours_of = OURS.iter().filter(|path| **path != "tests" || !keeps_tests);
    for path in ours_of.map(PathBuf::from).chain(checks) {
        let (from, to) = (ours.join(&path), copy.join(&path));
        let _ = fs::remove_dir_all(&to).or_else(|_| fs::remove_file(&to)); // ours comes whole, or not at all
        copy_all(&from, &to).map_err(failed)?;
    }
    for lab in labs()? {
        let (ours, theirs) = (ours.join(&lab).join("work.rs"), copy.join(&lab).join("work.rs"));
        if ours.exists() && !theirs.exists() {
            copy_all(&ours, &theirs).map_err(failed)?; // a file that is missing is one that was not begun
        }
    }
    let txt = copy.join("labs/variant.txt");
    match student {
        Some(number) => fs::write(&txt, variant::drawn(number)).map_err(failed)?,
        None => _ = fs::remove_file(&txt),
    }
    Ok(tree(&ours.join("src")).map_err(failed)? != tree(&copy.join("src")).map_err(failed)?)
}

/// Copies a file, or a folder without `LEFT_OUT`; what is neither is passed over.
fn copy_all(from: &Path, to: &Path) -> std::io::Result<()> {
    let kind = fs::symlink_metadata(from)?.file_type();
    if kind.is_file() {
        fs::create_dir_all(to.parent().unwrap_or(to))?;
        fs::copy(from, to)?;
    } else if kind.is_dir() {
        fs::create_dir_all(to)?;
        for entry in fs::read_dir(from)? {
            let name = entry?.file_name();
            if !LEFT_OUT.iter().any(|left_out| name == OsStr::new(left_out)) {
                copy_all(&from.join(&name), &to.join(&name))?;
            }
        }
    }
    Ok(())
}

/// All files below a folder, with what is in them, by name.
fn tree(folder: &Path) -> std::io::Result<Vec<(PathBuf, Vec<u8>)>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            let below = tree(&path)?.into_iter();
            files.extend(below.map(|(below, text)| (Path::new(name(&path)).join(below), text)));
        } else {
            files.push((PathBuf::from(name(&path)), fs::read(&path)?));
        }
    }
    files.sort();
    Ok(files)
}

/// One lab: the line that is printed, and the same for programs.
fn grade_lab(lab: &Path, place: &Place) -> Outcome<(String, Value)> {
    let check = read(&root().join(lab).join("check.rs"))?;
    let tests: Vec<&str> =
        check.lines().filter_map(|line| line.strip_prefix("fn ")?.split('(').next()).collect();
    let tests: Vec<&str> = tests.into_iter().filter(|test| is_test(test)).collect();
    let points: Vec<&str> = tests.iter().copied().filter(|test| test.starts_with('a')).collect();
    let target = target(lab);
    let mut failed = Map::new();
    let built = limited(cargo(place, &["test", "--quiet", "--no-run", "--test", &target]), LIMITS[0]);
    for test in &tests {
        let why = match &built {
            Ended { is_right: true, .. } => try_test(place, &target, test),
            _ => Some(first_line(&built, &["error"])),
        };
        failed.extend(why.map(|why| ((*test).to_owned(), Value::String(why))));
    }
    let passed = points.iter().filter(|test| !failed.contains_key(**test)).count();
    let whys = failed.iter().map(|(test, why)| format!("{test}: {}", why.as_str().unwrap_or_default()));
    let line = format!("{passed}/{}  {}", points.len(), whys.collect::<Vec<_>>().join("; "));
    Ok((line.trim_end().to_owned(), json!({"passed": passed, "of": points.len(), "failed": failed})))
}

/// `a3_…`, `g1_…`.
fn is_test(name: &str) -> bool {
    let mut letters = name.bytes();
    matches!(letters.next(), Some(b'a' | b'g')) && letters.next().is_some_and(|digit| digit.is_ascii_digit())
}

/// Runs one test: why it does not count, if it does not.
fn try_test(place: &Place, target: &str, test: &str) -> Option<String> {
    let ended =
        limited(cargo(place, &["test", "--quiet", "--test", target, "--", "--exact", test]), LIMITS[1]);
    let is_said = ended.text.contains("test result: ok. 1 passed;");
    match ended {
        Ended { is_right: true, .. } if is_said => None,
        Ended { is_right: true, .. } => Some("ended before its end".to_owned()),
        _ => Some(first_line(&ended, &["came:", "not yet implemented", "panicked"])),
    }
}

fn own_tests(place: &Place) -> String {
    let ended = limited(cargo(place, &["test", "--quiet", "--no-fail-fast"]), LIMITS[2]);
    if ended.is_right { "ok".to_owned() } else { format!("failed: {}", first_line(&ended, &["FAILED"])) }
}

/// How a program ended that was given a limit.
struct Ended {
    /// By itself, with exit code 0.
    is_right: bool,
    is_too_late: bool,
    /// What it wrote, both ways, as much as is kept.
    text: String,
}

/// The first line with the first of these words that is there, shortened.
fn first_line(ended: &Ended, words: &[&str]) -> String {
    if ended.is_too_late {
        return "not within its time".to_owned();
    }
    let with = |word: &&str| ended.text.lines().find(|line| line.contains(*word));
    let line = words.iter().find_map(with).unwrap_or("failed without a word");
    line.trim().chars().take(120).collect()
}

/// Runs a command for at most so many seconds, times LAB_PATIENCE; then it ends, with all that it has started.
fn limited(mut command: Command, seconds: u64) -> Ended {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(&mut command, 0); // so that all of it can be ended
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => return Ended { is_right: false, is_too_late: false, text: error.to_string() },
    };
    let output = [child.stdout.take().map(collect), child.stderr.take().map(collect)];
    let patience: f64 =
        std::env::var("LAB_PATIENCE").ok().and_then(|value| value.parse().ok()).unwrap_or(1.0);
    let limit = Duration::from_secs_f64(seconds as f64 * patience);
    let id = child.id();
    let (sender, status) = channel();
    thread::spawn(move || _ = sender.send(wait(child)));
    let is_right = status.recv_timeout(limit);
    end_group(id); // also what it has left behind when it ended by itself
    let text = output.into_iter().flatten().filter_map(|text| text.recv().ok()).collect::<Vec<_>>().concat();
    Ended { is_right: is_right == Ok(true), is_too_late: is_right.is_err(), text }
}

fn wait(mut child: Child) -> bool {
    child.wait().is_ok_and(|status| status.success())
}

/// Reads a pipe to its end, in a thread of its own.
fn collect(mut pipe: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, text) = channel();
    thread::spawn(move || {
        let mut kept = Vec::new();
        let _ = (&mut pipe).take(MAX_OUTPUT).read_to_end(&mut kept);
        let _ = std::io::copy(&mut pipe, &mut std::io::sink());
        sender.send(String::from_utf8_lossy(&kept).into_owned())
    });
    text
}

/// Ends a program and all that it has started.
fn end_group(id: u32) {
    let mut kill = if cfg!(windows) { Command::new("taskkill") } else { Command::new("kill") };
    match cfg!(windows) {
        true => kill.args(["/T", "/F", "/PID", &id.to_string()]),
        false => kill.args(["-9", "--", &format!("-{id}")]),
    };
    let _ = kill.stdout(Stdio::null()).stderr(Stdio::null()).status(); // who has ended cannot be ended
}
