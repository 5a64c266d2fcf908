//! Names on this computer's disk for what somebody else has named.
//!
//! Rules: whatever a name says, the file stands in the folder that was meant, and nothing that exists is overwritten. What
//! is forbidden on one system is so on all: folders are copied between them. Start with `create`.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use crate::config::Config;
use crate::harmless::is_hidden;
use crate::limits::{MAX_COPIES, MAX_ENDING, MAX_FILE_NAME};

/// Names that Windows has given to devices, whatever stands behind a dot.
const DEVICES: [&str; 6] = ["con", "prn", "aux", "nul", "conin$", "conout$"];

/// Where what is fetched goes, unless another folder is said.
pub fn folder(config: &Config) -> PathBuf {
    config.data_dir.join("downloads")
}

/// Makes a new file in `folder`: `name`, or `name (2).ext` and so on where there is one already. Also the folder.
pub fn create(folder: &Path, name: &str) -> io::Result<(File, PathBuf)> {
    fs::create_dir_all(folder)?;
    let name = safe_name(name);
    let (stem, ending) = match name.rsplit_once('.') {
        Some((stem, ending)) if ending.len() < MAX_ENDING && !stem.is_empty() => (stem, format!(".{ending}")),
        _ => (&*name, String::new()),
    };
    for copy in 1..=MAX_COPIES {
        let number = if copy == 1 { String::new() } else { format!(" ({copy})") };
        let room = MAX_FILE_NAME - number.len() - ending.len();
        let path = folder.join(format!("{}{number}{ending}", shortened(stem, room)));
        match File::create_new(&path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            made => return made.map(|file| (file, path)),
        }
    }
    Err(ErrorKind::AlreadyExists.into())
}

/// A name that leads nowhere and that every system takes.
pub fn safe_name(name: &str) -> String {
    let is_forbidden = |c: char| c.is_control() || is_hidden(c) || "/\\:*?\"<>|".contains(c);
    let name: String = name.chars().map(|c| if is_forbidden(c) { '_' } else { c }).collect();
    let name = name.trim_end_matches(['.', ' ']); // which Windows drops
    let stem = name.split('.').next().unwrap_or_default().trim_end().to_lowercase();
    let is_port = |of: &str| stem.strip_prefix(of).is_some_and(|number| number.chars().count() == 1);
    let is_device = DEVICES.contains(&&*stem) || is_port("com") || is_port("lpt");
    match name {
        "" => "file".to_owned(),
        _ if name.starts_with('.') || is_device => format!("_{name}"),
        _ => name.to_owned(),
    }
}

/// At most so many bytes of `text`, no character cut.
fn shortened(text: &str, bytes: usize) -> &str {
    let end = (0..=bytes.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    &text[..end.unwrap_or_default()]
}
