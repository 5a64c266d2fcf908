//! The commands about files and pictures, and what is shown of a file that came.
//!
//! Rules: a command answers at once, whatever the file's size; how it goes on is said when it happens (transfers.rs). A path may
//! have blanks without quotes, as long as it is a file; `~` is the home folder. Not here: names of others on this disk
//! (downloads.rs), the connection of a transfer (carrier.rs). Start with `file` and `get`.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};

use crate::client::arguments::{needs, show_rows, take_word};
use crate::client::carrier::{Download, Upload};
use crate::client::conversation::Conversation;
use crate::client::groups::take_conversation;
use crate::client::picture::measure;
use crate::client::records::Record;
use crate::client::transfers::{State, Task};
use crate::client::words::{Values, Words};
use crate::client::{Client, Failure, downloads};
use crate::harmless::harmless_name;
use crate::limits::{
    ANSWER_DEADLINE, AUTOMATIC_PICTURES, MAX_NUMBER, MAX_PICTURE, RECORDS_LOOKED_AT, SHOWN_FILES,
};
use crate::message::{self, Code, Envelope, FileUpload};

/// The text of a file in records: `name/size/MD5`.
pub fn file_text(file: &message::File) -> String {
    format!("{}/{}/{}", file.file_name, file.file_size, file.file_md5)
}

/// A file in records; none where this is no file.
fn file_of(envelope: &Envelope, text: &str) -> Option<message::File> {
    let is_file = ["FILE", "PICTURE"].contains(&&*envelope.msg_type);
    let mut fields = text.rsplitn(3, '/').filter(|_| is_file);
    let (file_md5, size, name) = (fields.next()?.to_owned(), fields.next()?, fields.next()?);
    Some(message::File { file_name: name.to_owned(), file_size: size.parse().ok()?, file_md5 })
}

/// What is shown of a message: its text, or what file it is.
pub fn shown_text(words: Words, envelope: &Envelope, text: &str) -> String {
    let Some(file) = file_of(envelope, text) else { return text.to_owned() };
    let name = harmless_name(&file.file_name);
    words.say("file.came", &[("FILE", &name), ("N", &file.file_size), ("ID", &envelope.id)])
}

/// `/file PATH [WHO|GROUP]`.
pub fn file(client: &mut Client, rest: &str) -> Result<(), Failure> {
    send(client, rest, "FILE")
}

/// `/picture PATH [WHO|GROUP]`: only what is one.
pub fn picture(client: &mut Client, rest: &str) -> Result<(), Failure> {
    send(client, rest, "PICTURE")
}

fn send(client: &mut Client, rest: &str, msg_type: &str) -> Result<(), Failure> {
    let (path, who) = split_path(rest).ok_or_else(|| needs(client, "PATH"))?;
    let path = local_path(path);
    let file_size = size_of(&path).map_err(|error| cannot_read(client, &path, error.kind()))?;
    let name = path.file_name().and_then(|name| name.to_str());
    let name = name.ok_or_else(|| cannot_read(client, &path, ErrorKind::InvalidFilename))?.to_owned();
    if msg_type == "PICTURE" && picture_format(&path).is_none() {
        return Err(client.failure("noPicture", &[("PATH", &shown(&path))]));
    }
    let with = match who {
        "" => client.session()?.open.ok_or_else(|| client.failure("file.noneOpen", &[]))?,
        _ => match take_conversation(client, who)? {
            (with, behind) if behind.trim().is_empty() => with,
            _ => return Err(needs(client, "WHO")),
        },
    };
    require_room(client)?;
    let client_no = client.client_no();
    client.client_no(); // of FILE_END
    let session = client.session_mut()?;
    session.uploads += 1;
    let label = format!("u{}", session.uploads);
    let who = if with.is_friend { session.username(with.to_id) } else { session.conversation_name(with) };
    let shown_name = harmless_name(&name);
    let values: Values = &[("FILE", &shown_name), ("WHO", &who), ("N", &file_size), ("ID", &label)];
    client.answer("file.sending", values);
    let file = message::File { file_name: name, file_size, file_md5: String::new() };
    let Conversation { is_friend, to_id } = with;
    let announced = FileUpload { client_no, is_friend, to_id, file, msg_type: msg_type.to_owned() };
    client.begin_transfer(label, Task::Upload(Upload { path, announced }), shown_name, file_size, false)?;
    Ok(())
}

/// A path, and to whom it goes. In quotes, or as much of the line as is a file, so that names with blanks need no quotes.
fn split_path(rest: &str) -> Option<(&str, &str)> {
    if rest.starts_with(['"', '“', '”']) {
        return take_word(rest).map(|(path, who)| (path, who.trim()));
    }
    let mut ends: Vec<usize> = rest.match_indices(char::is_whitespace).map(|(at, _)| at).collect();
    ends.push(rest.len());
    let whole = ends.iter().rev().find(|end| local_path(&rest[..**end]).exists());
    let end = whole.or(ends.first()).copied().filter(|end| *end > 0)?;
    Some((&rest[..end], rest[end..].trim()))
}

/// A path as it was typed: a shell would replace `~` by the home folder.
pub fn local_path(text: &str) -> PathBuf {
    let home = std::env::var_os("HOME").or_else(|| std::env::var_os("USERPROFILE"));
    match (text.strip_prefix('~'), home) {
        (Some(""), Some(home)) => home.into(),
        (Some(rest), Some(home)) if rest.starts_with(['/', '\\']) => Path::new(&home).join(&rest[1..]),
        _ => PathBuf::from(text),
    }
}

/// Bytes of a file; a folder or a device is none, and is not opened: that could take for ever.
pub fn size_of(path: &Path) -> io::Result<u64> {
    let about = fs::metadata(path)?;
    match about.is_file() {
        true => File::open(path).map(|_| about.len()),
        false if about.is_dir() => Err(ErrorKind::IsADirectory.into()),
        false => Err(ErrorKind::Unsupported.into()),
    }
}

/// `PNG 640x480`; none where it is no picture.
pub fn picture_format(path: &Path) -> Option<String> {
    let mut octets = Vec::new();
    File::open(path).ok()?.take(MAX_PICTURE as u64).read_to_end(&mut octets).ok()?;
    measure(&octets).map(|(format, width, height)| format!("{format} {width}x{height}"))
}

/// A path as it is shown.
pub fn shown(path: &Path) -> String {
    harmless_name(&path.to_string_lossy())
}

/// As the line that a command fails with.
pub fn cannot_read(client: &Client, path: &Path, why: ErrorKind) -> Failure {
    client.failure("cannotRead", &[("PATH", &shown(path)), ("WHY", &why_of(client.words, why))])
}

/// The usual troubles with a file in words, the others as `std` has them.
pub fn why_of(words: Words, why: ErrorKind) -> String {
    let key = match why {
        ErrorKind::NotFound => "why.notFound",
        ErrorKind::PermissionDenied => "why.denied",
        ErrorKind::IsADirectory => "why.folder",
        ErrorKind::Unsupported => "why.noFile",
        ErrorKind::StorageFull => "why.full",
        other => return other.to_string(),
    };
    words.say(key, &[])
}

fn require_room(client: &Client) -> Result<(), Failure> {
    if client.has_room() { Ok(()) } else { Err(client.refused(Code::TooMany, &[])) }
}

/// `/get ID [FOLDER]`: the answer says what file it is, once the server has said so.
pub fn get(client: &mut Client, rest: &str) -> Result<(), Failure> {
    let (id, folder) = take_word(rest).ok_or_else(|| needs(client, "ID"))?;
    let id: u64 = id.trim_start_matches('#').parse().map_err(|_| needs(client, "MESSAGE"))?;
    let folder = match take_word(folder) {
        None => downloads::folder(&client.config),
        Some((quoted, "")) => local_path(quoted),
        Some(_) => local_path(folder.trim()),
    };
    if client.connection.is_none() {
        return Err(client.failure("away", &[("NAME", &client.command)]));
    }
    let label = format!("#{id}");
    if client.transfers.iter().any(|transfer| transfer.label == label && transfer.is_active()) {
        return Err(client.failure("file.again", &[("ID", &label)]));
    }
    require_room(client)?;
    let number = fetch(client, id, folder, false)?;
    let waits = move |client: &Client| {
        client.transfer(number).is_some_and(|one| one.shown_name.is_empty() && one.is_active())
    };
    client.wait_while(ANSWER_DEADLINE, waits);
    if waits(client) { Err(client.no_answer()) } else { Ok(()) }
}

/// Fetches a small picture that has just come, unless it was before; when there is no room now, later.
pub fn fetch_picture(client: &mut Client, (envelope, text): &Record) {
    let (Some(file), Ok(list)) = (file_of(envelope, text), client.saved_list()) else { return };
    let is_small = envelope.msg_type == "PICTURE" && file.file_size <= MAX_PICTURE as u64;
    let Ok(session) = client.session_mut() else { return };
    if is_small
        && session.pictures < AUTOMATIC_PICTURES
        && !list.read().contains_key(&(envelope.id, file.file_md5))
    {
        session.pictures += 1;
        let folder = downloads::folder(&client.config);
        let _ = fetch(client, envelope.id, folder, true); // else /get
    }
}

fn fetch(client: &mut Client, id: u64, folder: PathBuf, is_automatic: bool) -> Result<u64, Failure> {
    let part = folder.join(format!(".{}-{}-{id}.part", client.server_name(), client.session()?.me.uid));
    let most = if is_automatic { MAX_PICTURE as u64 } else { u64::MAX };
    let download = Download { id, folder, part, most };
    client.begin_transfer(format!("#{id}"), Task::Download(download), String::new(), 0, is_automatic)
}

/// `/cancel ID`.
pub fn cancel(client: &mut Client, rest: &str) -> Result<(), Failure> {
    let word = rest.trim();
    if word.is_empty() {
        return Err(needs(client, "ID"));
    }
    let is_meant = |label: &str| label.trim_start_matches('#') == word.trim_start_matches('#');
    let place = client.transfers.iter().position(|one| one.is_active() && is_meant(&one.label));
    let place = place.ok_or_else(|| client.failure("file.none", &[("ID", &word)]))?;
    let transfer = &mut client.transfers[place];
    transfer.state = State::Cancelled;
    transfer.cut();
    let name = if transfer.shown_name.is_empty() { &transfer.label } else { &transfer.shown_name };
    let (name, percent) = (name.clone(), transfer.percent());
    client.answer("file.cancelled", &[("FILE", &name), ("PERCENT", &percent)]);
    Ok(())
}

/// `/files`: what came and was sent, the newest `SHOWN_FILES`, and what is and was under way in this session.
pub fn files(client: &mut Client, _: &str) -> Result<(), Failure> {
    let words = client.words;
    let saved = client.saved_list()?.read();
    let mut rows = BTreeMap::new();
    for (envelope, text) in known_messages(client)? {
        let (Some(file), session) = (file_of(&envelope, &text), client.session()?) else { continue };
        let id = envelope.id;
        let state = match saved.get(&(id, file.file_md5)) {
            Some(path) => words.say("file.state.saved", &[("PATH", &path.display())]),
            None if envelope.from_id == session.me.uid => words.say("file.state.sent", &[("ID", &id)]),
            None => words.say("file.state.waits", &[]),
        };
        let from = session.username(envelope.from_id);
        let name = harmless_name(&file.file_name);
        rows.insert(id, row(words, &format!("#{id}"), &name, file.file_size, &from, state));
    }
    let too_many = rows.len().saturating_sub(SHOWN_FILES);
    let mut rows: Vec<Vec<String>> = rows.into_values().skip(too_many).collect();
    let me = client.session()?.me.username.clone();
    for transfer in &client.transfers {
        let percent = transfer.percent();
        let state = match (&transfer.state, &client.connection) {
            (State::UnderWay, _) => format!("{percent}%"),
            (State::Waits(_), None) => words.say("file.state.away", &[("PERCENT", &percent)]),
            (State::Waits(_), Some(_)) => words.say("file.state.again", &[("PERCENT", &percent)]),
            (State::Cancelled, _) => words.say("file.state.cancelled", &[]),
            (State::Failed, _) => words.say("file.state.failed", &[]),
            (State::Saved, _) => continue, // the row says where, also if a later try failed
        };
        let known = rows.iter_mut().find(|row| row[0] == transfer.label);
        match (known, &transfer.task) {
            (Some(row), _) => row[4] = state,
            (None, Task::Upload(_)) => {
                let name = harmless_name(&me);
                rows.push(row(words, &transfer.label, &transfer.shown_name, transfer.size, &name, state));
            }
            (None, Task::Download(_)) => {}
        }
    }
    let number = rows.len();
    show_rows(client, &rows);
    client.answer("files", &[("N", &number)]);
    Ok(())
}

fn row(words: Words, label: &str, name: &str, size: u64, from: &str, state: String) -> Vec<String> {
    vec![label.to_owned(), name.to_owned(), words.say("file.size", &[("N", &size)]), from.to_owned(), state]
}

/// What is unread, and the end of the records of each conversation.
fn known_messages(client: &Client) -> Result<Vec<Record>, Failure> {
    let session = client.session()?;
    let mut messages: Vec<Record> = session.unread.values().flatten().cloned().collect();
    let friends = session.people.keys().map(|uid| Conversation { is_friend: true, to_id: *uid });
    let groups = session.groups.keys().map(|g_id| Conversation { is_friend: false, to_id: *g_id });
    for with in friends.chain(groups) {
        messages.extend(client.log_of(with)?.newest(MAX_NUMBER, RECORDS_LOOKED_AT).unwrap_or_default());
    }
    Ok(messages)
}

/// The name of the file of message `id`, as far as it is known here; else `#ID`.
pub fn name_of(client: &Client, id: u64) -> String {
    let messages = known_messages(client).unwrap_or_default();
    let found = messages.iter().find(|(envelope, _)| envelope.id == id);
    let file = found.and_then(|(envelope, text)| file_of(envelope, text));
    file.map_or(format!("#{id}"), |file| harmless_name(&file.file_name))
}

/// Bytes a second as it is said: `4.1 MB/s`, `12 kB/s`.
pub fn rate(rate: u64) -> String {
    match rate {
        1_000_000.. => format!("{:.1} MB/s", rate as f64 / 1e6),
        _ => format!("{} kB/s", rate / 1000),
    }
}

/// `2 s`, `3 min`, `2 h`.
pub fn time(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        _ => format!("{} h", seconds / 3600),
    }
}
