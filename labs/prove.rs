//! `cargo test --test labs [-- NN …]`: proves the labs. `-- changed` proves those that are not as they were when they were proved
//! (labs/PROVED keeps that), and looks whether all patches still apply. `-- refresh NN` writes the patches of a lab anew where what
//! they stand on has changed. `-- grade FOLDER` marks a student's project (grade.rs; `-- class` tries that), `-- variant NUMBER`
//! draws what is called otherwise in a student's copy (variant.rs). `-- translations` tells a translation that is behind its
//! English text; `-- translated FILE` marks one that was revised.
//!
//! A lab is proved when, in a fresh copy of the project, every test `aN_…` of its check is red and every guard `gN_…` green;
//! when with `solution.patch` all are green; when each `wrong/*.patch` on top of that turns red the test that its first line
//! names (`kills: …`); and when each `aN` is killed by one of them. A lab without `work.rs` changes minim itself: there the
//! project's own tests, format and lints must hold with the solution, too. As many labs are proved side by side as there are
//! processors, each with a folder of its own for what is built: two copies of minim must not take each other's program.
//!
//! Needs git and cargo.

mod class;
mod grade;
mod variant;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use md5::{Digest, Md5};

/// Lines of a check, and of museum.rs; added lines of a solution that changes minim, and of one that fills work.rs.
const MAX_LINES: [usize; 3] = [200, 150, 100];

type Outcome<T = ()> = Result<T, String>;

/// A copy of the project, and where cargo puts what it builds of it.
struct Place {
    copy: PathBuf,
    built: PathBuf,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match words[..] {
        ["translations"] => translations(),
        ["changed"] => labs().and_then(|labs| applies(&labs)).and_then(|()| prove_all(&changed()?)),
        ["translated", file] => stamp(&root().join(file)),
        ["grade", ref words @ ..] => grade::grade(words),
        ["class"] => class::class(),
        ["variant", student] => draw(student),
        ["refresh", number] => lab(number).and_then(|lab| refresh(&lab)),
        ref numbers => labs_of(numbers).and_then(|labs| prove_all(&labs)),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The folders `labs/NN-name`, as paths from the root, in their order.
fn labs() -> Outcome<Vec<PathBuf>> {
    let mut labs: Vec<PathBuf> = names(&root().join("labs"))?
        .into_iter()
        .filter(|name| name.starts_with(|first: char| first.is_ascii_digit()))
        .map(|name| Path::new("labs").join(name))
        .collect();
    labs.sort();
    Ok(labs)
}

/// The labs with these numbers; all of them where there are none.
fn labs_of(numbers: &[&str]) -> Outcome<Vec<PathBuf>> {
    if numbers.is_empty() { labs() } else { numbers.iter().map(|number| lab(number)).collect() }
}

fn lab(number: &str) -> Outcome<PathBuf> {
    let start = format!("{number}-");
    let found = labs()?.into_iter().find(|lab| name(lab).starts_with(&start));
    found.ok_or_else(|| format!("there is no lab {number:?}: it takes two digits, as in 01"))
}

/// Where each lab has a line `NN MD5`: what it consisted of when it was proved last.
fn proved() -> PathBuf {
    root().join("labs/PROVED")
}

/// The labs that are not as they were when they were proved. Those that never were are named: a proof of each comes first.
fn changed() -> Outcome<Vec<PathBuf>> {
    let proved = read(&proved())?;
    let (mut changed, mut never) = (Vec::new(), Vec::new());
    for lab in labs()? {
        let line = proved_line(&lab)?;
        match proved.lines().find(|proved| proved.starts_with(&line[..2])) {
            Some(proved) if proved == line => {}
            Some(_) => changed.push(lab),
            None => never.push(line[..2].to_owned()),
        }
    }
    println!("{} labs have changed since they were proved; never proved: {}", changed.len(), never.join(" "));
    Ok(changed)
}

/// The line of a lab: over its files but the handouts, and what it shares with others. Not over minim itself.
fn proved_line(lab: &Path) -> Outcome<String> {
    let folders = [lab.to_owned(), lab.join("wrong"), PathBuf::from("tests/common")];
    let mut files = vec![PathBuf::from("labs/museum.rs"), PathBuf::from("labs/variant.rs")];
    for folder in folders {
        let names = names(&root().join(&folder))?;
        files.extend(
            names
                .iter()
                .filter(|name| name.ends_with(".rs") || name.ends_with(".patch"))
                .map(|name| folder.join(name)),
        );
    }
    files.sort();
    let mut sum = Md5::new();
    for file in files {
        sum.update(format!("{}\n{}", file.to_string_lossy().replace('\\', "/"), read(&root().join(&file))?));
    }
    Ok(format!("{} {:x}", &name(lab)[..2], sum.finalize()))
}

/// Takes down that a lab was proved.
fn take_down(line: &str) -> Outcome {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _held = ONE_AT_A_TIME.lock();
    let before = fs::read_to_string(proved()).unwrap_or_default();
    let mut lines: BTreeSet<&str> = before.lines().filter(|other| !other.starts_with(&line[..2])).collect();
    lines.insert(line);
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    fs::write(proved(), text).map_err(|error| format!("{}: {error}", proved().display()))
}

/// Every patch of these labs still fits what it stands on.
fn applies(labs: &[PathBuf]) -> Outcome {
    let scratch = Scratch::new();
    let copy = scratch.0.join("patched");
    copy_project(&copy)?;
    for lab in labs {
        let solution = lab.join("solution.patch");
        apply(&copy, &solution, &[])?;
        for patch in patches(&root().join(lab))? {
            apply(&copy, &patch, &[])?;
            apply(&copy, &patch, &["--reverse"])?;
        }
        apply(&copy, &solution, &["--reverse"])?;
    }
    println!("the patches of {} labs apply", labs.len());
    Ok(())
}

fn names(folder: &Path) -> Outcome<Vec<String>> {
    let entries = fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    Ok(entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect())
}

fn name(path: &Path) -> &str {
    path.file_name().and_then(OsStr::to_str).unwrap_or_default()
}

/// `lab01`: the name of the check in Cargo.toml.
fn target(lab: &Path) -> String {
    format!("lab{}", &name(lab)[..2])
}

/// A folder for what is built, beside that of the project.
fn built_in(name: &str) -> PathBuf {
    let built = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    root().join(built).join(name)
}

fn prove_all(labs: &[PathBuf]) -> Outcome {
    let scratch = Scratch::new();
    let waiting = Mutex::new(labs.iter());
    let failed = AtomicUsize::new(0);
    let work = |number: usize| {
        let built = built_in(&format!("labs-{number}"));
        while let Some(lab) = waiting.lock().ok().and_then(|mut labs| labs.next()) {
            let place = Place { copy: scratch.0.join(name(lab)), built: built.clone() };
            let begun = Instant::now();
            let outcome = prove(lab, &place);
            let seconds = begun.elapsed().as_secs();
            match outcome {
                Ok(sentence) => println!("{}: {sentence}, {seconds} s", name(lab)),
                Err(error) => {
                    failed.fetch_add(1, Ordering::Relaxed);
                    println!("{}: NOT PROVED, {seconds} s\n{error}", name(lab));
                }
            }
        }
    };
    let processors = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for number in 0..processors.min(labs.len()) {
            scope.spawn(move || work(number));
        }
    });
    match failed.into_inner() {
        0 => Ok(()),
        failed => Err(format!("{failed} of {} labs are not proved", labs.len())),
    }
}

/// A folder of ours in the system's one for temporary files, gone with the program.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Scratch {
        Scratch(std::env::temp_dir().join(format!("minim-labs-{}", std::process::id())))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn prove(lab: &Path, place: &Place) -> Outcome<String> {
    require_short(lab)?;
    let line = proved_line(lab)?; // of what is copied: the project may change meanwhile
    copy_project(&place.copy)?;
    let before = check(lab, place, None)?;
    for (test, passed) in &before {
        match (test.as_bytes()[0], passed) {
            (b'a', false) | (b'g', true) => {}
            (b'a', true) => return Err(format!("{test} passes on the project as it stands")),
            _ => {
                return Err(format!(
                    "{test} fails on the project as it stands, or is named neither aN_ nor gN_"
                ));
            }
        }
    }
    apply(&place.copy, &lab.join("solution.patch"), &[])?;
    let red: Vec<String> =
        check(lab, place, None)?.into_iter().filter(|(_, passed)| !passed).map(|(test, _)| test).collect();
    if !red.is_empty() {
        return Err(format!("red with solution.patch: {}", red.join(", ")));
    }
    lint(lab, place)?;
    let mut alive: BTreeSet<&String> = before.keys().filter(|test| test.starts_with('a')).collect();
    let wrong = patches(&root().join(lab))?;
    for patch in &wrong {
        let killer = killer(patch)?;
        apply(&place.copy, patch, &[])?;
        match check(lab, place, Some(&killer))?.get(&killer) {
            Some(false) => alive.remove(&killer),
            Some(true) => return Err(format!("{} survives {killer}", patch.display())),
            None => return Err(format!("{}: there is no test {killer}", patch.display())),
        };
        apply(&place.copy, patch, &["--reverse"])?;
    }
    if let Some(test) = alive.first() {
        return Err(format!("no wrong answer is killed by {test}"));
    }
    take_down(&line)?;
    Ok(format!("{} tests red before and green after, {} wrong answers killed", before.len(), wrong.len()))
}

/// A lab that changes minim: it has no file to fill.
fn is_build_lab(lab: &Path) -> bool {
    !root().join(lab).join("work.rs").exists()
}

/// What is read in class is short.
fn require_short(lab: &Path) -> Outcome {
    let [of_file, of_build, of_bench] = MAX_LINES;
    let is_added = |line: &&str| line.starts_with('+') && !line.starts_with("+++");
    for file in [lab.join("check.rs"), PathBuf::from("labs/museum.rs")] {
        let lines = read(&root().join(&file))?.lines().count();
        if lines > of_file {
            return Err(format!("{} has {lines} lines, at most {of_file}", file.display()));
        }
    }
    let added = read(&root().join(lab).join("solution.patch"))?.lines().filter(is_added).count();
    let most = if is_build_lab(lab) { of_build } else { of_bench };
    if added > most { Err(format!("solution.patch adds {added} lines, at most {most}")) } else { Ok(()) }
}

/// Copies what git knows or would add, outside every git tree: inside one, `git apply` would do nothing and report success.
fn copy_project(copy: &Path) -> Outcome {
    let listing = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
    for file in run(Command::new("git").args(listing).current_dir(root()))?.split_terminator('\0') {
        let (from, to) = (root().join(file), copy.join(file));
        if from.is_file() {
            let done = to.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::copy(&from, &to));
            done.map_err(|error| format!("{file}: {error}"))?;
        }
    }
    Ok(())
}

/// Runs the check in the copy, or one test of it: which tests passed.
fn check(lab: &Path, place: &Place, only: Option<&str>) -> Outcome<BTreeMap<String, bool>> {
    let mut command = cargo(place, &["test", "--quiet", "--test", &target(lab), "--", "--format=pretty"]);
    command.args(only.iter().flat_map(|test| [*test, "--exact"]));
    let output = command.output().map_err(|error| format!("cargo: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let result = |line: &str| {
        let (test, outcome) = line.strip_prefix("test ")?.split_once(" ... ")?;
        Some((test.to_owned(), outcome == "ok"))
    };
    let results: BTreeMap<String, bool> = text.lines().filter_map(result).collect();
    if results.is_empty() {
        return Err(format!(
            "{} ran no test:\n{text}{}",
            target(lab),
            String::from_utf8_lossy(&output.stderr)
        ));
    }
    Ok(results)
}

/// Format and lints of the solved copy; the project's own tests where the solution changes minim.
fn lint(lab: &Path, place: &Place) -> Outcome {
    run(&mut cargo(place, &["fmt", "--check"]))?;
    run(&mut cargo(place, &["clippy", "--quiet", "--test", &target(lab), "--", "-D", "warnings"]))?;
    if is_build_lab(lab) {
        run(&mut cargo(place, &["clippy", "--quiet", "--all-targets", "--", "-D", "warnings"]))?;
        run(&mut cargo(place, &["build", "--quiet", "--no-default-features"]))?;
        run(&mut cargo(place, &["test", "--quiet"]))?;
    }
    Ok(())
}

fn cargo(place: &Place, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO"));
    command.args(arguments).current_dir(&place.copy).env("CARGO_TARGET_DIR", &place.built);
    command
}

/// What a command that succeeds wrote.
fn run(command: &mut Command) -> Outcome<String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(text);
    }
    Err(format!("{command:?} failed:\n{text}{}", String::from_utf8_lossy(&output.stderr)))
}

/// Applies a patch of the project to the copy, and makes sure that it changed something.
fn apply(copy: &Path, patch: &Path, options: &[&str]) -> Outcome {
    let text = read(&root().join(patch))?;
    let files: Vec<PathBuf> =
        text.lines().filter_map(|line| line.strip_prefix("+++ b/")).map(|file| copy.join(file)).collect();
    let state =
        |files: &[PathBuf]| files.iter().map(|file| fs::read(file).unwrap_or_default()).collect::<Vec<_>>();
    let before = state(&files);
    let mut git = Command::new("git");
    git.arg("apply").args(options).arg(root().join(patch)).current_dir(copy);
    run(git.env("GIT_CEILING_DIRECTORIES", std::env::temp_dir()))?;
    if state(&files) == before {
        return Err(format!("{} changed nothing", patch.display()));
    }
    Ok(())
}

/// Writes the patches of a lab anew, against what is committed. What git cannot merge by itself is left in a copy, to be mended
/// there by hand; the same command again takes it from there.
fn refresh(lab: &Path) -> Outcome {
    let copy = std::env::temp_dir().join(format!("minim-refresh-{}", name(lab)));
    let git = |arguments: &[&str]| run(Command::new("git").args(arguments).current_dir(&copy));
    let mended = |patch: &Path| {
        let text = read(patch)?;
        let words = text.split("diff --git ").next().and_then(|words| words.split("--- a/").next());
        let diff = git(&["diff", "--full-index", "HEAD"])?;
        if diff.is_empty() || diff.contains("\n+<<<<<<< ") {
            let state =
                if diff.is_empty() { "holds no change: remove it" } else { "holds conflicts: mend them" };
            return Err(format!("{} {state}, then refresh again", copy.display()));
        }
        fs::write(patch, format!("{}{diff}", words.unwrap_or_default()))
            .map_err(|error| format!("{}: {error}", patch.display()))
    };
    let solution = root().join(lab).join("solution.patch");
    if !copy.exists() {
        run(Command::new("git").args(["clone", "--quiet", "--shared"]).arg(root()).arg(&copy))?;
        let applied = run(Command::new("git").args(["apply", "--3way"]).arg(&solution).current_dir(&copy));
        applied.map_err(|error| format!("mend it in {}, then refresh again: {error}", copy.display()))?;
    }
    mended(&solution)?;
    let author = ["-c", "user.name=minim", "-c", "user.email=minim@localhost"];
    git(&[&author[..], &["commit", "--quiet", "--all", "--message", "the solution"]].concat())?;
    let mut failed = Vec::new();
    for patch in patches(&root().join(lab))? {
        let applied = run(Command::new("git").args(["apply", "-C1"]).arg(&patch).current_dir(&copy));
        match applied {
            Ok(_) => mended(&patch)?,
            Err(error) => failed.push(format!("{}: {error}", patch.display())),
        }
        git(&["checkout", "--quiet", "--", "."])?;
    }
    if failed.is_empty() {
        return fs::remove_dir_all(&copy).map_err(|error| format!("{}: {error}", copy.display()));
    }
    Err(format!("make these anew, on top of the solution in {}:\n{}", copy.display(), failed.join("\n")))
}

/// The wrong answers of a lab.
fn patches(lab: &Path) -> Outcome<Vec<PathBuf>> {
    let mut patches: Vec<PathBuf> =
        names(&lab.join("wrong"))?.iter().map(|name| lab.join("wrong").join(name)).collect();
    patches.sort();
    Ok(patches)
}

/// The test that a wrong answer is killed by: `kills: …` in its first line.
fn killer(patch: &Path) -> Outcome<String> {
    let text = read(patch)?;
    let first = text.lines().next().unwrap_or_default();
    let test = first.strip_prefix("kills: ").map(str::to_owned);
    test.ok_or_else(|| format!("{}: its first line is no `kills: TEST`", patch.display()))
}

fn read(file: &Path) -> Outcome<String> {
    fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))
}

/// Prints a student's variant, and writes it where the checks look.
fn draw(student: &str) -> Outcome {
    let lines = variant::drawn(student);
    print!("{lines}");
    fs::write(variant::FILE, lines).map_err(|error| format!("{}: {error}", variant::FILE))
}

/// Compares each translation, `NAME.zh.md`, with the English text that it was made from, `NAME.md`.
fn translations() -> Outcome {
    let mut folders = vec![root().to_owned(), root().join("labs")];
    let below = names(&folders[1])?;
    folders.extend(below.iter().map(|name| root().join("labs").join(name)).filter(|path| path.is_dir()));
    let mut chinese = Vec::new();
    for folder in &folders {
        let names = names(folder)?.into_iter().filter(|name| name.ends_with(".zh.md"));
        chinese.extend(names.map(|name| folder.join(name)));
    }
    for file in &chinese {
        let text = read(file)?;
        if text.lines().next() != Some(&stamp_of(file)?) {
            return Err(format!(
                "{}: the English text has changed. Revise it, then cargo test --test labs -- translated {}",
                file.display(),
                file.strip_prefix(root()).unwrap_or(file).display()
            ));
        }
    }
    println!("{} translations are up to date", chinese.len());
    Ok(())
}

/// The first line of a translation: the MD5 of the English text beside it.
fn stamp_of(chinese: &Path) -> Outcome<String> {
    let english = read(&chinese.with_file_name(name(chinese).replace(".zh.md", ".md")))?;
    Ok(format!("<!-- source-md5: {:x} -->", Md5::digest(english)))
}

fn stamp(chinese: &Path) -> Outcome {
    let text = read(chinese)?;
    let body = if text.starts_with("<!-- source-md5") {
        text.split_once('\n').map_or("", |(_, body)| body)
    } else {
        &text
    };
    fs::write(chinese, format!("{}\n{body}", stamp_of(chinese)?))
        .map_err(|error| format!("{}: {error}", chinese.display()))
}
