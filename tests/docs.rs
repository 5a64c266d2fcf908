//! What the documents say of the source is true: a place that they name is there.

#![cfg(feature = "sqlite")] // where the servers of the transcripts keep their data

mod common;

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use common::Server;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// All files of one kind below a folder.
fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()) {
        if entry.is_dir() {
            found.extend(files(&entry, extension));
        } else if entry.extension().is_some_and(|found| found == extension) {
            found.push(entry);
        }
    }
    found
}

/// Texts between single backticks, outside of fenced blocks.
fn code_spans(text: &str) -> Vec<String> {
    let mut spans = Vec::new();
    let mut fenced = false;
    for line in text.lines() {
        fenced ^= line.trim_start().starts_with("```");
        if !fenced && !line.trim_start().starts_with("```") {
            spans.extend(line.split('`').skip(1).step_by(2).map(str::to_owned));
        }
    }
    spans
}

/// All documents, as paths from the root.
fn documents() -> Vec<String> {
    let of_root = fs::read_dir(root()).expect("a folder").map(|entry| entry.expect("an entry").path());
    let mut found: Vec<PathBuf> =
        of_root.filter(|path| path.extension().is_some_and(|extension| extension == "md")).collect();
    found.extend(files(&root().join("labs"), "md"));
    let from_root = |path: &PathBuf| path.strip_prefix(root()).expect("below the root").display().to_string();
    found.iter().map(from_root).collect()
}

#[test]
fn every_function_that_a_document_names_is_in_the_file_that_it_names() {
    let mut named = 0;
    for document in documents() {
        let text = fs::read_to_string(root().join(&document)).expect(&document);
        for span in code_spans(&text) {
            let Some((file, name)) = span.split_once(": ") else { continue };
            if !file.ends_with(".rs") {
                continue;
            }
            let path = root().join("src").join(file);
            let source = fs::read_to_string(&path).unwrap_or_else(|_| panic!("{document}: no file {file}"));
            let name = name.rsplit("::").next().expect("a name");
            let kinds = ["fn", "struct", "enum", "const", "static"];
            let is_defined = kinds.iter().any(|kind| {
                let start = format!("{kind} {name}");
                source.match_indices(&start).any(|(place, _)| {
                    let behind = source[place + start.len()..].chars().next();
                    behind.is_none_or(|c| !c.is_alphanumeric() && c != '_')
                })
            });
            assert!(is_defined, "{document}: {file} has no {name}");
            named += 1;
        }
    }
    assert!(named >= 6, "the way of one message has six stations, {named} are named");
}

#[test]
fn every_file_that_a_document_names_is_there() {
    for document in documents() {
        let text = fs::read_to_string(root().join(&document)).expect(&document);
        for span in code_spans(&text) {
            let file = span.split(": ").next().unwrap_or_default();
            if file.ends_with(".rs") && !file.contains(' ') {
                let beside = root().join(&document).with_file_name(file);
                let places = [root().join("src").join(file), root().join(file), beside];
                assert!(places.iter().any(|place| place.exists()), "{document}: no file {file}");
            }
        }
    }
}

#[test]
fn every_source_file_begins_with_its_purpose_and_the_map_has_every_module() {
    let map = fs::read_to_string(root().join("src/lib.rs")).expect("the map");
    for path in files(&root().join("src"), "rs") {
        let source = fs::read_to_string(&path).expect("a source file");
        assert!(source.starts_with("//! "), "{} does not say what it is for", path.display());
        let name = path.file_stem().and_then(|name| name.to_str()).expect("a name");
        let is_top = path.parent() == Some(&root().join("src")) && name != "main" && name != "lib";
        let is_shown = map.lines().any(|line| line.starts_with(&format!("pub mod {name};")));
        assert!(!is_top || is_shown, "lib.rs does not show {name}");
    }
}

#[test]
fn every_limit_is_used_and_nothing_unsafe_or_unproved_stands_in_the_source() {
    let limits = fs::read_to_string(root().join("src/limits.rs")).expect("limits.rs");
    let mut others = String::new();
    for path in files(&root().join("src"), "rs").into_iter().filter(|path| !path.ends_with("limits.rs")) {
        others += &fs::read_to_string(&path).expect("a source file");
    }
    let words: HashSet<&str> = others.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
    for line in limits.lines().filter_map(|line| line.strip_prefix("pub const ")) {
        let name = line.split(':').next().expect("a name");
        assert!(words.contains(name), "nobody uses {name}");
    }
    for forbidden in ["unsafe {", "macro_rules!", ".unwrap()", ".expect(", "panic!(", "todo!("] {
        assert!(!others.contains(forbidden), "{forbidden} in the source");
    }
}

/// Blocks of a document that are fenced as `text NAME`: name and lines, in order.
fn transcripts(document: &str) -> Vec<(String, Vec<String>)> {
    let readme = fs::read_to_string(root().join(document)).expect(document);
    let mut blocks: Vec<(String, Vec<String>)> = Vec::new();
    let mut inside = false;
    for line in readme.lines() {
        match line.strip_prefix("```") {
            Some(name) => {
                inside = name.starts_with("text ");
                if inside {
                    blocks.push((name["text ".len()..].to_owned(), Vec::new()));
                }
            }
            None if inside => blocks.last_mut().expect("a block").1.push(line.to_owned()),
            None => {}
        }
    }
    blocks
}

#[test]
fn the_transcripts_of_the_readmes_are_what_the_programs_print() {
    for (document, lang) in [("README.md", "en"), ("README.zh.md", "zh")] {
        prints_its_transcripts(document, lang);
    }
}

fn prints_its_transcripts(document: &str, lang: &str) {
    let mut server = Server::start();
    let options = ["--lang", lang];
    let (mut alice, mut bob) = (server.console(&options), server.console(&options));
    for program in [&mut alice, &mut bob] {
        program.expect("minim ");
    }
    let mut typed = 0;
    for (name, lines) in transcripts(document) {
        let program = match name.as_str() {
            "alice" => &mut alice,
            "bob" => &mut bob,
            "server" => {
                assert_eq!(lines[0], server.program.transcript[0]);
                let last = server.program.expect("/help");
                assert_eq!(*lines.last().expect("lines"), last);
                continue;
            }
            other => panic!("a transcript of {other}"),
        };
        for line in lines.iter().filter(|line| !line.starts_with("-- ")) {
            let prompt = line.split_once("> ").filter(|(prompt, _)| ["minim", &name].contains(prompt));
            let in_conversation =
                line.split_once(": ").filter(|(prompt, _)| prompt.starts_with(&format!("{name} > ")));
            if let Some((_, input)) = prompt.or(in_conversation) {
                program.line(input);
                typed += 1;
                continue;
            }
            let shown = line.strip_prefix("[21:30] ").unwrap_or(line); // only a terminal is told the time
            assert_eq!(program.next_line().as_deref(), Some(shown), "{name}");
        }
    }
    assert!(typed >= 8, "{typed} lines were typed");
}

/// Where MySQL keeps tables as files, `users` and `Users` are two; on Windows they are one.
#[test]
fn each_table_is_written_one_way() {
    let schema = fs::read_to_string(root().join("schema.sql")).expect("schema.sql");
    let behind = |text: &str, word: &str| -> Vec<String> {
        let name =
            |rest: &str| rest.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default().to_owned();
        text.split(word).skip(1).map(name).collect()
    };
    let tables: HashSet<String> = behind(&schema, "CREATE TABLE ").into_iter().collect();
    assert_eq!(tables.len(), 6, "{tables:?}");
    let mut named = 0;
    for path in files(&root().join("src"), "rs").into_iter().chain([root().join("schema.sql")]) {
        let text = fs::read_to_string(&path).expect("a source file");
        for word in ["FROM ", "JOIN ", "INTO ", "UPDATE ", "REFERENCES ", "ON "] {
            for name in behind(&text, word) {
                let is_table = tables.iter().any(|table| table.eq_ignore_ascii_case(&name));
                assert!(!is_table || tables.contains(&name), "{}: {word}{name}", path.display());
                named += usize::from(is_table);
            }
        }
    }
    assert!(named > 30, "{named} places");
}

/// What of a document has no language: its headings' levels, code that is set apart (without remarks), and of each section
/// the code between backticks, the links, and how many rows and items it has.
fn skeleton(document: &str) -> Vec<String> {
    let text = fs::read_to_string(root().join(document)).expect(document);
    let mut skeleton = Vec::new();
    for section in text.split("\n## ") {
        let mut spans = code_spans(section);
        spans.sort();
        let count = |start: &str| section.lines().filter(|line| line.starts_with(start)).count();
        let links = section.matches("](").count();
        skeleton.push(format!("{} rows, {} items, {links} links, {spans:?}", count("|"), count("- ")));
        let indented = section.lines().filter_map(|line| line.strip_prefix("    "));
        skeleton
            .extend(indented.map(|line| line.split("  #").next().unwrap_or_default().trim_end().to_owned()));
        let fenced = section.split("```").skip(1).step_by(2);
        skeleton.extend(fenced.filter(|block| !block.starts_with("text ")).map(str::to_owned));
        let transcripts = section.split("```text ").skip(1);
        skeleton
            .extend(transcripts.map(|block| {
                format!("{} lines", block.split("```").next().map_or(0, |b| b.lines().count()))
            }));
    }
    skeleton
}

#[test]
fn both_languages_say_the_same() {
    let documents = documents();
    let chinese: Vec<&String> = documents.iter().filter(|document| document.ends_with(".zh.md")).collect();
    assert!(chinese.len() >= 5, "{chinese:?}");
    for chinese in chinese {
        let english = &chinese.replace(".zh.md", ".md");
        let (english, chinese) = (skeleton(english), skeleton(chinese));
        for (english, chinese) in english.iter().zip(&chinese) {
            assert_eq!(english, chinese);
        }
        assert_eq!(english.len(), chinese.len());
    }
}

/// File and function of each numbered row of a document's table.
fn stations(document: &str) -> Vec<(String, String)> {
    let text = fs::read_to_string(root().join(document)).expect(document);
    let row = |line: &str| {
        let mut columns = line.strip_prefix("| ")?.split(" | ");
        columns.next()?.parse::<u8>().ok()?;
        let (file, function) = columns.next()?.strip_prefix('`')?.split_once('`')?.0.split_once(": ")?;
        Some((file.to_owned(), function.to_owned()))
    };
    text.lines().filter_map(row).collect()
}

/// The README, the walk and its breakpoints go the same way; the cipher lies beneath wire.rs.
#[test]
fn the_walk_goes_the_way_of_one_message() {
    let way: Vec<String> = stations("README.md").into_iter().map(|(file, _)| file).collect();
    let stops = stations("DEBUGGING.md");
    assert_eq!((way.len(), stops.len()), (6, 8));
    let mut walk: Vec<String> =
        stops.iter().map(|(file, _)| file.clone()).filter(|file| file != "des.rs").collect();
    walk.dedup();
    assert_eq!(walk, way);
    let script = fs::read_to_string(root().join("debug/breakpoints.gdb")).expect("the breakpoints");
    let breaks: Vec<&str> = script.lines().filter_map(|line| line.strip_prefix("break ")).collect();
    assert_eq!(breaks.len(), stops.len());
    // The store wakes by itself now and then, with nothing to do: whoever thinks that long must not miss a stop.
    assert!(breaks[5].ends_with("add_messages if messages.length > 0"), "{}", breaks[5]);
    for (place, (file, function)) in breaks.iter().zip(&stops) {
        let place = place.split(' ').next().expect("a name");
        let module = format!("minim::{}::", file.trim_end_matches(".rs").replace('/', "::"));
        assert!(place.starts_with(&module), "{place} is not in {file}");
        assert_eq!(place.rsplit("::").next(), function.rsplit("::").next(), "{place}");
    }
}

/// The examples of the README, as printed, by curl itself, against a server on other ports.
#[test]
fn what_the_readme_says_of_curl_works_as_printed() {
    let server = Server::start();
    let readme = fs::read_to_string(root().join("README.md")).expect("README.md");
    let block =
        readme.split("```sh curl\n").nth(1).and_then(|rest| rest.split("```").next()).expect("a block");
    let mut answers = Vec::new();
    for line in block.lines() {
        let line = line.replace("127.0.0.1:8080", &server.http.to_string());
        let output =
            std::process::Command::new("sh").args(["-c", &line]).current_dir(server.folder()).output();
        let output = output.expect("a shell and curl");
        let text = String::from_utf8(output.stdout).expect("UTF-8");
        let answer: serde_json::Value =
            serde_json::from_str(&text).unwrap_or_else(|error| panic!("{line}: {error}: {text:?}"));
        assert_eq!(answer["ok"], true, "{line}: {answer}");
        answers.push(answer["data"].clone());
    }
    assert_eq!(answers.len(), 8);
    assert_eq!(answers[1]["loginName"], "dora");
    assert_eq!(answers[3]["username"], "多拉");
    assert_eq!(answers[5][0]["gname"], "net");
}
