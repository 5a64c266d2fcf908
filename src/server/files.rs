//! Files: what a connection of RESUME does. An upload goes to a part file, a part that is whole becomes a stored file, and only
//! then is there a message; a download is sent by the thread that writes (server/chat.rs: `send_file`).
//!
//! Rules: a part belongs to one upload (user, receiver, MD5, size) and to one connection at a time, so that it can go on where
//! it ended. What is announced is never exceeded. A file is on the disk before its message is, and its message before the
//! sender is told. Memory does not grow with the file. No name of a user is ever a path here.
//! Not here: who is told of it (online.rs), names on the receiver's disk (client/downloads.rs). Start with `Transfer::handle`.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::limits::{FILE_CHUNK_SIZE, FILE_LIFE, HASHED_AT_ONCE, LINGER_DEADLINE, MAX_TRANSFERS, PART_LIFE};
use crate::md5_check::{Md5Sum, hex, md5};
use crate::message::{Code, FileUpload, FromClient, FromServer, Refusal, StoredFile};
use crate::server::Server;
use crate::server::online::{Outbox, kicked};
use crate::server::sessions::Session;
use crate::socket::Socket;
use crate::store::{Content, NewMessage};

/// Where uploads go, below the data folder.
const PARTS: &str = "parts";
/// Where whole files are, below the data folder.
const FILES: &str = "files";

/// Connections of RESUME, and the parts that they write.
#[derive(Default)]
pub struct Transfers {
    /// By session. Held to look up or change; a queue's lock is taken meanwhile.
    by_session: Mutex<HashMap<String, Vec<Arc<Outbox>>>>,
    /// The parts that are written now, each with the connection that does. Held to look up or change, and while old parts go.
    writers: Mutex<HashMap<PathBuf, Arc<Socket>>>,
    released: Condvar,
}

/// What a connection of RESUME is about.
pub struct Transfer {
    session: Session,
    outbox: Arc<Outbox>,
    /// A connection makes one transfer: who asks for many at once would take a descriptor for each.
    has_begun: bool,
    upload: Option<Upload>,
}

/// An upload under way.
struct Upload {
    announced: FileUpload,
    part: Part,
    file: File,
    md5: Md5Sum,
    /// Bytes that the part has.
    offset: u64,
    /// It has its last name already, and no message yet: the database was away.
    is_kept: bool,
}

/// A part that this connection alone writes, until this is dropped.
struct Part {
    path: PathBuf,
    server: Arc<Server>,
}

/// A download, as the thread that writes does it.
pub struct Download {
    /// Stands at `offset`.
    pub file: File,
    /// Where the next chunk begins.
    pub offset: u64,
    /// Bytes of the whole file.
    pub size: u64,
    /// Of FILE_DOWNLOAD; FILE_END repeats it.
    pub client_no: u64,
}

impl Transfers {
    fn by_session(&self) -> MutexGuard<'_, HashMap<String, Vec<Arc<Outbox>>>> {
        self.by_session.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the transfers of a session, with the reason as their last word.
    pub fn kick(&self, session: &Session, code: &str, text: &str) {
        let of_session = self.by_session().remove(&session.id).unwrap_or_default();
        of_session.iter().for_each(|outbox| outbox.close(Some(&kicked(code, text))));
    }

    /// Ends all of them.
    pub fn close_all(&self) {
        self.by_session().values().flatten().for_each(|outbox| outbox.close(None));
    }

    /// The part at `path` for `socket` alone: another connection that writes it is cut, and waited for. `tooMany` where it
    /// does not end before `deadline`.
    fn take_part(&self, path: &Path, socket: &Arc<Socket>, deadline: Instant) -> Result<(), Refusal> {
        let mut writers = self.writers.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(other) = writers.get(path) {
            other.cut();
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Refusal::new(Code::TooMany, "this upload is busy on another connection"));
            }
            writers = self.released.wait_timeout(writers, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        writers.insert(path.to_owned(), socket.clone());
        Ok(())
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if fs::metadata(&self.path).is_ok_and(|part| part.len() == 0) {
            self.remove(); // nothing to go on with
        }
        let transfers = &self.server.transfers;
        transfers.writers.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.path);
        transfers.released.notify_all();
    }
}

impl Transfer {
    /// RESUME: from here on the connection of `outbox` is one of this session. `notLoggedIn`, `tooMany`.
    pub fn begin(server: &Server, session_id: &str, outbox: &Arc<Outbox>) -> Result<Transfer, Refusal> {
        let no_session = || Refusal::new(Code::NotLoggedIn, "sessionId: no session, LOGIN comes first");
        let session = server.sessions.use_session(session_id).ok_or_else(no_session)?;
        let mut by_session = server.transfers.by_session();
        let of_session = by_session.entry(session.id.clone()).or_default();
        if of_session.len() >= MAX_TRANSFERS {
            return Err(Refusal::new(Code::TooMany, "too many transfers of this session at once"));
        }
        of_session.push(outbox.clone());
        drop(by_session);
        let transfer = Transfer { session, outbox: outbox.clone(), has_begun: false, upload: None };
        match server.sessions.use_session(session_id) {
            Some(_) => Ok(transfer),
            None => {
                transfer.end(server); // it ended meanwhile, and nobody told this connection
                Err(no_session())
            }
        }
    }

    /// The connection is over.
    pub fn end(&self, server: &Server) {
        let mut by_session = server.transfers.by_session();
        if let Some(of_session) = by_session.get_mut(&self.session.id) {
            of_session.retain(|outbox| !Arc::ptr_eq(outbox, &self.outbox));
            if of_session.is_empty() {
                by_session.remove(&self.session.id);
            }
        }
    }

    /// Does one request; `raw` are the bytes behind a FILE_CHUNK's JSON.
    pub fn handle(
        &mut self,
        server: &Arc<Server>,
        socket: &Arc<Socket>,
        request: FromClient,
        raw: &[u8],
    ) -> Result<Option<FromServer>, Refusal> {
        if server.sessions.use_session(&self.session.id).is_none() {
            return Err(Refusal::new(Code::NotLoggedIn, "this session has ended: LOGIN"));
        }
        match request {
            FromClient::FileUpload(announced) => self.begin_upload(server, socket, announced).map(Some),

            FromClient::FileChunk { offset } => {
                let written = match &mut self.upload {
                    Some(upload) => upload.write(offset, raw),
                    None => Err(Refusal::bad("FILE_CHUNK: FILE_UPLOAD comes first")),
                };
                if let Err(refusal) = written {
                    self.upload = None;
                    self.outbox.close(Some(&FromServer::Error { client_no: None, refusal }));
                }
                Ok(None)
            }

            FromClient::FileEnd { client_no } => self.end_upload(server, client_no).map(Some),

            FromClient::FileDownload { client_no, msg_id, offset } => {
                self.require_fresh()?;
                let stored = server.store.file_of(self.session.uid, msg_id)?;
                let (file, download) = open_download(server, stored, client_no, offset)?;
                self.has_begun = true;
                let ready = FromServer::FileReady { client_no, offset, file: Some(file) };
                self.outbox.answer_with_file(&ready, download);
                Ok(None)
            }

            FromClient::Ping => Ok(Some(FromServer::Pong)),

            FromClient::Pong => Ok(None),

            _ => Err(Refusal::bad("type: a connection of RESUME takes FILE_* and PING alone")),
        }
    }

    fn require_fresh(&self) -> Result<(), Refusal> {
        if self.has_begun { Err(Refusal::bad("type: one transfer for each connection")) } else { Ok(()) }
    }

    /// FILE_UPLOAD: whether it may be, and where it goes on.
    fn begin_upload(
        &mut self,
        server: &Arc<Server>,
        socket: &Arc<Socket>,
        announced: FileUpload,
    ) -> Result<FromServer, Refusal> {
        self.require_fresh()?;
        let (client_no, size) = (announced.client_no, announced.file.file_size);
        if size > server.config.max_file_size {
            let text = format!("fileSize: at most {} bytes (--maxFileSize)", server.config.max_file_size);
            return Err(Refusal { code: Code::TooLarge, text, limit: Some(server.config.max_file_size) });
        }
        server.store.may_send(self.session.uid, announced.is_friend, announced.to_id)?;
        let path = server.config.data_dir.join(PARTS).join(part_name(self.session.uid, &announced));
        server.transfers.take_part(&path, socket, server.config.deadline(LINGER_DEADLINE))?;
        let part = Part { path, server: server.clone() };
        let is_over = || self.outbox.is_closing() || socket.has_input(); // it has closed, or lost the part to another
        let opened = open_part(&part.path, size, is_over);
        let (file, md5, offset) = opened.map_err(|error| part.failed(&error))?;
        self.upload = Some(Upload { announced, part, file, md5, offset, is_kept: false });
        self.has_begun = true;
        Ok(FromServer::FileReady { client_no, offset, file: None })
    }

    /// FILE_END: the part is whole and right, so it becomes a file, and then a message. Where the database is away the part
    /// stays, and the same FILE_END can come again.
    fn end_upload(&mut self, server: &Server, client_no: u64) -> Result<FromServer, Refusal> {
        let ack = |id| FromServer::Ack { client_no, id: Some(id), send_time: None };
        let uid = self.session.uid;
        let Some(upload) = &mut self.upload else {
            return server.store.sent_file(uid, client_no).map(|(id, _)| ack(id));
        };
        let FileUpload { is_friend, to_id, file, msg_type, .. } = upload.announced.clone();
        if upload.offset < file.file_size {
            let text = format!("FILE_END: {} of {} bytes came", upload.offset, file.file_size);
            return Err(Refusal::bad(text));
        }
        if hex(&upload.md5.clone().finish()) != file.file_md5 {
            upload.part.remove();
            self.upload = None;
            return Err(Refusal::new(Code::FileDamaged, "fileMd5: the bytes that came have another one"));
        }
        // Known beforehand: the same FILE_END again, after an answer that was lost, means the same file; any other one has
        // another name.
        let name = hex(&md5(format!("{uid} {client_no} {}", part_name(uid, &upload.announced)).as_bytes()));
        let (file_path, path) = (format!("{FILES}/{name}"), server.config.data_dir.join(FILES).join(&name));
        if let Err(error) = upload.keep_as(&path) {
            let refusal = upload.part.failed(&error);
            self.upload = None; // whatever it was, another connection finds out how much there is
            return Err(refusal);
        }
        let content = Content::File(StoredFile { file, file_path: file_path.clone() });
        let new = NewMessage { client_no, is_friend, to_id, msg_type, content };
        match server.store.finish(server.store.begin_message(uid, new)) {
            Ok(stored) => {
                self.upload = None;
                Ok(ack(server.online_users.deliver_stored(stored).envelope.id))
            }
            Err(refusal) if refusal.code == Code::DatabaseDown => {
                let _ = fs::hard_link(&path, &upload.part.path); // it may be stored, and it may have to go on
                Err(refusal)
            }
            Err(refusal) => {
                let a_message_has_it = match server.store.sent_file(uid, client_no) {
                    Ok((_, other)) => other.file_path == file_path,
                    Err(no) => no.code != Code::BadRequest, // nobody knows
                };
                if !a_message_has_it {
                    let _ = fs::remove_file(&path);
                }
                self.upload = None;
                Err(refusal)
            }
        }
    }
}

impl Upload {
    /// FILE_CHUNK.
    fn write(&mut self, offset: u64, raw: &[u8]) -> Result<(), Refusal> {
        if offset != self.offset {
            return Err(Refusal::bad(format!("offset: the next byte is {}", self.offset)));
        }
        if !(1..=FILE_CHUNK_SIZE).contains(&raw.len()) {
            let text = format!("FILE_CHUNK: 1 to {FILE_CHUNK_SIZE} bytes behind the line feed");
            return Err(Refusal::bad(text));
        }
        if raw.len() as u64 > self.announced.file.file_size - self.offset {
            return Err(Refusal::bad("FILE_CHUNK: more than fileSize announced"));
        }
        self.file.write_all(raw).map_err(|error| self.part.failed(&error))?;
        self.md5.update(raw);
        self.offset += raw.len() as u64;
        Ok(())
    }

    /// On the disk, under its last name, before its message is.
    fn keep_as(&mut self, path: &Path) -> io::Result<()> {
        if self.is_kept {
            return Ok(());
        }
        let folder = path.parent().unwrap_or(path);
        self.file.sync_all()?;
        fs::create_dir_all(folder)?;
        fs::rename(&self.part.path, path)?;
        self.is_kept = true;
        if cfg!(unix) {
            File::open(folder)?.sync_all()?; // the name too
        }
        Ok(())
    }
}

impl Part {
    fn remove(&self) {
        let _ = fs::remove_file(&self.path); // what is left is looked through later
    }

    /// What the sender hears of a trouble with the disk; a full one gets back what the part took.
    fn failed(&self, error: &io::Error) -> Refusal {
        self.server.troubles.warn(&format!("cannot store a file below {}: {error}", self.path.display()));
        match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
                self.remove();
                give_room_back(&self.server);
                Refusal::new(Code::DiskFull, "no room left on the server")
            }
            _ => Refusal::new(Code::DatabaseDown, "the server cannot store files now, try again"),
        }
    }
}

/// The same upload has the same name, and no other has it.
fn part_name(uid: u64, announced: &FileUpload) -> String {
    let FileUpload { is_friend, to_id, file, .. } = announced;
    let upload = format!("{uid} {is_friend} {to_id} {} {}", file.file_md5, file.file_size);
    hex(&md5(upload.as_bytes()))
}

/// Parts that nobody writes now go: the disk is full, and the chat comes first.
pub fn give_room_back(server: &Server) {
    let writers = server.transfers.writers.lock().unwrap_or_else(PoisonError::into_inner);
    let Ok(entries) = fs::read_dir(server.config.data_dir.join(PARTS)) else { return };
    for path in entries.flatten().map(|entry| entry.path()).filter(|path| !writers.contains_key(path)) {
        let _ = fs::remove_file(path);
    }
}

/// A part, open behind what it has, the MD5 of that, and its length. Of a long one `is_over` is asked now and then.
fn open_part(path: &Path, size: u64, is_over: impl Fn() -> bool) -> io::Result<(File, Md5Sum, u64)> {
    fs::create_dir_all(path.parent().unwrap_or(path))?;
    let mut file = File::options().read(true).append(true).create(true).open(path)?;
    if file.metadata()?.len() > size {
        file.set_len(0)?;
    }
    let (mut md5, mut offset) = (Md5Sum::default(), 0);
    loop {
        match io::copy(&mut (&mut file).take(HASHED_AT_ONCE), &mut md5)? {
            0 => return Ok((file, md5, offset)),
            _ if is_over() => return Err(ErrorKind::ConnectionAborted.into()),
            count => offset += count,
        }
    }
}

/// What FILE_READY says, and what is to be sent. `noSuchFile`, `badRequest`.
fn open_download(
    server: &Server,
    stored: StoredFile,
    client_no: u64,
    offset: u64,
) -> Result<(crate::message::File, Download), Refusal> {
    let size = stored.file.file_size;
    if offset > size {
        return Err(Refusal::bad(format!("offset: the file has {size} bytes")));
    }
    let opened = File::open(server.config.data_dir.join(&stored.file_path)).and_then(|mut file| {
        file.seek(SeekFrom::Start(offset))?;
        if file.metadata()?.len() == size { Ok(file) } else { Err(ErrorKind::NotFound.into()) } // cut by somebody
    });
    let file = opened.map_err(|error| match error.kind() {
        ErrorKind::NotFound => Refusal::new(Code::NoSuchFile, "the server no longer has this file"),
        _ => {
            server.troubles.warn(&format!("cannot read {}: {error}", stored.file_path));
            Refusal::new(Code::DatabaseDown, "the server cannot read files now, try again")
        }
    })?;
    Ok((stored.file, Download { file, offset, size, client_no }))
}

/// Removes what is too old: files `FILE_LIFE` after they came, parts `PART_LIFE` after their last byte. Messages stay.
pub fn tidy(server: &Server) {
    for (folder, life) in [(FILES, FILE_LIFE), (PARTS, PART_LIFE)] {
        let Ok(entries) = fs::read_dir(server.config.data_dir.join(folder)) else { continue }; // nobody has sent a file yet
        for path in entries.flatten().map(|entry| entry.path()) {
            let writers = server.transfers.writers.lock().unwrap_or_else(PoisonError::into_inner);
            if !writers.contains_key(&path) && age(&path).is_some_and(|age| age > life) {
                let _ = fs::remove_file(path); // an error: the next time
            }
        }
    }
}

fn age(path: &Path) -> Option<Duration> {
    fs::metadata(path).ok()?.modified().ok()?.elapsed().ok()
}
