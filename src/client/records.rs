//! Chat records: what was said, in one file for each conversation, one line for each message.
//!
//! Rules: a line is written by one call, at the end of the file, when a message comes or is acknowledged. What is in a
//! file is in the order of the ids, but for a few neighbours; a line that is torn or no record is passed over, and of two
//! with one id the later counts, so two programs may write one file. The server has all of it too: a file that lacks
//! something is completed, once a session, before the first line of that session; one that cannot be written costs nothing
//! but itself. Not here: what is shown of it (history.rs). Start with `encode_msg`, then `Log`.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::client::conversation::Conversation;
use crate::client::files::why_of;
use crate::client::history::fetch;
use crate::client::{Client, Failure};
use crate::limits::{MAX_GAP, MAX_NUMBER, MAX_RECORDS, RECORDS_DISORDER, RECORDS_PIECE};
use crate::message::Envelope;

/// A message as it is kept: who, when, what kind, and the text.
pub type Record = (Envelope, String);

/// `id sendTime fromId fromName msgType text`, tabs between them. In a field `\\`, `\t`, `\n` and `\r` stand for a
/// backslash, a tab, LF and CR, so that a message is one line whatever it says.
pub fn encode_msg((envelope, text): &Record) -> String {
    let Envelope { id, send_time, from_id, from_name, msg_type, .. } = envelope;
    let fields = [&id.to_string(), &send_time.to_string(), &from_id.to_string(), from_name, msg_type, text];
    fields.map(|field| escape(field)).join("\t")
}

/// The message of a line; none where it is no record. `with`: the conversation; `me`: whose records they are.
pub fn decode_msg(line: &[u8], with: Conversation, me: u64) -> Option<Record> {
    let fields: Vec<String> = std::str::from_utf8(line).ok()?.split('\t').map(unescape).collect();
    let [id, send_time, from_id, from_name, msg_type, text] = <[String; 6]>::try_from(fields).ok()?;
    let (id, send_time, from_id) = (id.parse().ok()?, send_time.parse().ok()?, from_id.parse().ok()?);
    let to_id = if with.is_friend && from_id != me { me } else { with.to_id };
    Some((Envelope { id, from_id, from_name, is_friend: with.is_friend, to_id, send_time, msg_type }, text))
}

fn escape(field: &str) -> String {
    field.replace('\\', "\\\\").replace('\t', "\\t").replace('\n', "\\n").replace('\r', "\\r")
}

fn unescape(field: &str) -> String {
    let (mut text, mut rest) = (String::new(), field);
    while let Some((before, behind)) = rest.split_once('\\') {
        text += before;
        let mut letters = behind.chars();
        match letters.next() {
            Some('t') => text.push('\t'),
            Some('n') => text.push('\n'),
            Some('r') => text.push('\r'),
            other => text.extend(other),
        }
        rest = letters.as_str();
    }
    text + rest
}

/// The file of one conversation.
pub struct Log {
    /// Where it stands.
    pub path: PathBuf,
    /// The conversation.
    pub with: Conversation,
    /// The uid of the user whose records they are.
    pub me: u64,
}

impl Log {
    /// Writes records at its end. Behind a torn line they begin a line of their own.
    pub fn append(&self, records: &[Record]) -> io::Result<()> {
        if records.is_empty() {
            return Ok(());
        }
        make_private_folder(self.path.parent().unwrap_or(&self.path))?;
        let mut file = OpenOptions::new().create(true).append(true).read(true).open(&self.path)?;
        let mut last = [b'\n'];
        if file.seek(SeekFrom::End(-1)).is_ok() {
            file.read_exact(&mut last)?;
        }
        for record in records {
            let start = if last == *b"\n" { "" } else { "\n" };
            file.write_all(format!("{start}{}\n", encode_msg(record)).as_bytes())?;
            last = *b"\n";
        }
        Ok(())
    }

    /// The newest records below `before_id`, at most `number`, oldest first; none where there is no file.
    pub fn newest(&self, before_id: u64, number: usize) -> io::Result<Vec<Record>> {
        let mut found = BTreeMap::new();
        let lines = match Backwards::open(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            lines => lines?,
        };
        for line in lines {
            let Some((envelope, text)) = decode_msg(&line?, self.with, self.me) else { continue };
            if envelope.id < before_id {
                found.entry(envelope.id).or_insert((envelope, text));
            }
            if found.len() >= number + RECORDS_DISORDER {
                break;
            }
        }
        let too_many = found.len().saturating_sub(number);
        Ok(found.into_values().skip(too_many).collect())
    }

    /// The newest id in it; 0 where there is none.
    fn last_id(&self) -> io::Result<u64> {
        let newest = self.newest(MAX_NUMBER, 1)?;
        Ok(newest.first().map_or(0, |(envelope, _)| envelope.id))
    }

    /// These records are of another server, or too old to be completed.
    fn put_aside(&self) -> io::Result<()> {
        fs::rename(&self.path, self.path.with_extension("log.old"))
    }
}

/// Which files were fetched, one in a line: id, MD5, where it is, tabs between them. The MD5 tells whether it is that file: a
/// server may have begun anew.
pub struct SavedList(PathBuf);

impl SavedList {
    /// One more.
    pub fn append(&self, id: u64, md5: &str, path: &Path) -> io::Result<()> {
        make_private_folder(self.0.parent().unwrap_or(&self.0))?;
        let mut file = OpenOptions::new().create(true).append(true).open(&self.0)?;
        file.write_all(format!("{id}\t{md5}\t{}\n", escape(&path.to_string_lossy())).as_bytes())
    }

    /// Where each is, by id and MD5; nowhere where there is no list.
    pub fn read(&self) -> BTreeMap<(u64, String), PathBuf> {
        let bytes = fs::read(&self.0).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes); // a damaged line hides no other
        let entry = |line: &str| {
            let mut fields = line.split('\t');
            let (id, md5, path) = (fields.next()?, fields.next()?, fields.next()?);
            Some(((id.parse().ok()?, md5.to_owned()), PathBuf::from(unescape(path))))
        };
        text.lines().filter_map(entry).collect()
    }
}

/// What people write to each other is nobody else's business on this computer.
fn make_private_folder(path: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.recursive(true).create(path)
}

/// The lines of a file that end in LF, the last one first, read by pieces of `RECORDS_PIECE` bytes.
struct Backwards {
    file: File,
    /// Where what was not read yet ends.
    end: u64,
    /// What was read and not given out; none behind the first line.
    came: Option<Vec<u8>>,
}

impl Backwards {
    fn open(path: &Path) -> io::Result<Backwards> {
        let mut file = File::open(path)?;
        let mut lines = Backwards { end: file.seek(SeekFrom::End(0))?, file, came: Some(Vec::new()) };
        lines.line()?; // what stands behind the last LF: nothing, or a torn line
        Ok(lines)
    }

    fn line(&mut self) -> io::Result<Option<Vec<u8>>> {
        let Some(came) = &mut self.came else { return Ok(None) };
        loop {
            if let Some(feed) = came.iter().rposition(|byte| *byte == b'\n') {
                let line = came.split_off(feed + 1);
                came.pop();
                return Ok(Some(line));
            }
            if self.end == 0 {
                return Ok(self.came.take());
            }
            let start = self.end.saturating_sub(RECORDS_PIECE);
            let mut piece = vec![0; (self.end - start) as usize];
            self.file.seek(SeekFrom::Start(start))?;
            self.file.read_exact(&mut piece)?;
            piece.append(came);
            (self.end, *came) = (start, piece);
        }
    }
}

impl Iterator for Backwards {
    type Item = io::Result<Vec<u8>>;

    fn next(&mut self) -> Option<Self::Item> {
        self.line().transpose()
    }
}

impl Client {
    /// The file of a conversation, below `--dataDir`.
    pub(super) fn log_of(&self, with: Conversation) -> Result<Log, Failure> {
        let kind = if with.is_friend { "friend" } else { "group" };
        let path = self.records_folder()?.join(format!("{kind}-{}.log", with.to_id));
        Ok(Log { path, with, me: self.session()?.me.uid })
    }

    /// The files that were fetched.
    pub(super) fn saved_list(&self) -> Result<SavedList, Failure> {
        Ok(SavedList(self.records_folder()?.join("saved.log")))
    }

    /// Where the records of this user at this server stand.
    fn records_folder(&self) -> Result<PathBuf, Failure> {
        let me = self.session()?.me.uid;
        Ok(self.config.data_dir.join("records").join(self.server_name()).join(me.to_string()))
    }

    /// The server, as it stands in names of files.
    pub(super) fn server_name(&self) -> String {
        let plain = |c: char| if c.is_ascii_alphanumeric() || ".-".contains(c) { c } else { '_' };
        format!("{}_{}", self.config.server_ip, self.config.chat_port).chars().map(plain).collect()
    }

    /// Keeps a message that came or was acknowledged.
    pub(super) fn record(&mut self, with: Conversation, record: Record) {
        let Some(session) = &self.session else { return };
        let up_to = match session.recorded.get(&with) {
            Some(up_to) => *up_to,
            None => self.complete_records(with),
        };
        if up_to.is_none_or(|up_to| record.0.id <= up_to) {
            return; // it is there, or comes when the file is completed
        }
        if let Ok(log) = self.log_of(with)
            && let Err(error) = log.append(&[record])
        {
            self.cannot_record(&log, &error);
            self.session.iter_mut().for_each(|session| _ = session.recorded.insert(with, None)); // it lacks one now
        }
    }

    /// Writes what a file lacks, if there is one: up to which id it is complete then; none if that cannot be said.
    pub(super) fn complete_records(&mut self, with: Conversation) -> Option<u64> {
        let session = self.session.as_ref()?;
        if let Some(Some(up_to)) = session.recorded.get(&with) {
            return Some(*up_to);
        }
        let log = self.log_of(with).ok()?;
        let newer = log.last_id().map_err(Trouble::File).and_then(|last| self.newer(&log, last));
        let newest = newer.and_then(|(last, newer)| {
            log.append(&newer).map_err(Trouble::File)?;
            Ok(newer.last().map_or(last, |(envelope, _)| envelope.id))
        });
        if let Err(Trouble::File(error)) = &newest {
            self.cannot_record(&log, error);
        }
        let up_to = newest.ok();
        self.session_mut().ok()?.recorded.insert(with, up_to);
        up_to
    }

    /// What the server has behind `last`, and the last id of the file before it. An empty file lacks nothing.
    fn newer(&self, log: &Log, last: u64) -> Result<(u64, Vec<Record>), Trouble> {
        if last == 0 {
            return Ok((0, Vec::new()));
        }
        let mut newer: Vec<Record> = Vec::new();
        let mut before_id = MAX_NUMBER - 1;
        let is_new = |(envelope, _): &Record| envelope.id > last;
        loop {
            let page =
                fetch(self, log.with, before_id, MAX_RECORDS as usize, &[]).map_err(|_| Trouble::Server)?;
            let is_other = newer.is_empty() && page.last().is_none_or(|(newest, _)| newest.id < last);
            if is_other || newer.len() > MAX_GAP {
                log.put_aside().map_err(Trouble::File)?;
                return Ok((0, newer));
            }
            let is_last = page.len() < MAX_RECORDS as usize || !page.first().is_some_and(is_new);
            before_id = page.first().map_or(0, |(oldest, _)| oldest.id);
            newer.splice(..0, page.into_iter().filter(is_new));
            if is_last {
                return Ok((last, newer));
            }
        }
    }

    /// Said once a session; nothing else depends on records.
    fn cannot_record(&mut self, log: &Log, error: &io::Error) {
        let (path, why) = (log.path.display().to_string(), why_of(self.words, error.kind()));
        let Some(session) = &mut self.session else { return };
        if !std::mem::replace(&mut session.cannot_record, true) {
            self.trouble("cannotWrite", &[("PATH", &path), ("WHY", &why)]);
        }
    }
}

/// Why records could not be completed.
enum Trouble {
    File(io::Error),
    Server,
}
