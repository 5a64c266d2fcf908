//! Fed: a file server.conf; and the same text as a part of a database's password.
//!
//! Must hold:
//! - what is taken obeys limits.rs; what is refused is refused with the file's name and the number of a line that is there;
//! - line ends of Windows change nothing, and neither does the same file once more behind itself;
//! - the same options on the command line give the same configuration;
//! - no error, and nothing that is shown of a database, repeats a password.

#![no_main]

use std::fs;
use std::path::PathBuf;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use minim::config::{self, Config};
use minim::limits::{MAX_CLIENTS, MAX_NAME, MAX_NUMBER};
use minim_fuzz::with_choice;

/// The file that `--config` names: `config` has no other way in.
static FILE: LazyLock<PathBuf> =
    LazyLock::new(|| std::env::temp_dir().join(format!("minim-fuzz-{}.conf", std::process::id())));
/// A file without a line.
const NOTHING: &str = "/dev/null";
/// Stands in no message of ours.
const SECRET: &str = "geheim";

fuzz_target!(|input: &[u8]| {
    let Some((file, choice)) = with_choice(input) else { return };
    let outcome = read(file);
    assert_eq!(shown(&read(&with_crlf(file))), shown(&outcome));
    match &outcome {
        Ok(config) => {
            check(config);
            assert_eq!(shown(&read(&[file, b"\n", file].concat())), shown(&outcome));
            let words = command_line(std::str::from_utf8(file).expect("what is no UTF-8 was refused"));
            assert_eq!(shown(&read_words(words)), shown(&outcome));
        }
        Err(error) => {
            let place = error.strip_prefix(&format!("{}, line ", FILE.display()));
            let number = place.and_then(|rest| rest.split_once(": ")?.0.parse().ok());
            let lines = file.split(|byte| *byte == b'\n').count();
            assert!(number.is_some_and(|number: usize| (1..=lines).contains(&number)), "{error}");
        }
    }
    a_password_that_is_anything(file, choice);
});

/// The configuration that a file of these bytes makes, or what is wrong with it.
fn read(file: &[u8]) -> Result<Config, String> {
    fs::write(&*FILE, file).expect("a folder for temporary files");
    read_words(vec!["--config".to_owned(), FILE.display().to_string()])
}

fn read_words(words: Vec<String>) -> Result<Config, String> {
    config::read("server", &words).map(|read| read.expect("nobody asked for help").0)
}

/// As something that can be compared.
fn shown(outcome: &Result<Config, String>) -> String {
    format!("{outcome:?}")
}

fn with_crlf(file: &[u8]) -> Vec<u8> {
    file.split(|byte| *byte == b'\n').collect::<Vec<_>>().join(&b"\r\n"[..])
}

fn check(config: &Config) {
    assert!((1..=MAX_CLIENTS).contains(&(config.max_clients as u64)) && config.max_file_size < MAX_NUMBER);
    assert!((1..=MAX_NAME).contains(&config.name.chars().count()) && !config.name.contains(char::is_control));
    assert!(!config.passphrase.is_empty() && !config.data_dir.as_os_str().is_empty());
    assert!((0.001..=1_000_000.0).contains(&config.patience));
    assert!(config.offset().abs() < 15 * 60 && !config.broadcast.is_empty());
}

/// The options of a good file as words: `name = value` is `--name value`.
fn command_line(file: &str) -> Vec<String> {
    let mut words = vec!["--config".to_owned(), NOTHING.to_owned()];
    for line in file.split('\n') {
        let line = line.trim_start_matches('\u{feff}').split('#').next().unwrap_or_default();
        if let Some((name, value)) = line.split_once('=') {
            words.extend([format!("--{}", name.trim()), value.trim().to_owned()]);
        }
    }
    words
}

fn a_password_that_is_anything(input: &[u8], choice: usize) {
    let (before, behind) = input.split_at(choice % (input.len() + 1));
    let [before, behind] =
        [before, behind].map(|part| String::from_utf8_lossy(part).replace(['\n', '#'], ""));
    let url = format!("mysql://root:{before}{SECRET}{behind}@127.0.0.1");
    for url in [url.clone(), url + "/minim"] {
        let shown = match read(format!("database = {url}").as_bytes()) {
            Ok(config) => config.database.to_string(),
            Err(error) => error,
        };
        assert!(!shown.contains(SECRET), "{shown}");
    }
}
