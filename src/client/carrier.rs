//! One transfer, on a thread and a connection of its own: hello, RESUME, then FILE_UPLOAD or FILE_DOWNLOAD (PROTOCOL.md, 5).
//!
//! Rules: memory does not grow with the file. Where a connection breaks, the next one goes on: an upload where the server
//! says, a download behind what the part file has. The MD5 of the whole decides; what is damaged is thrown away.
//! Not here: what is shown of it, and when it is tried again (transfers.rs). Start with `Carrier::upload`.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use crate::client::downloads;
use crate::config::Config;
use crate::limits::{ANSWER_DEADLINE, CONNECT_DEADLINE, FILE_CHUNK_SIZE, IDLE_DEADLINE, patiently};
use crate::md5_check::{Md5Sum, hex};
use crate::message::{self, Code, FileUpload, FromClient, FromServer, Refusal, encode};
use crate::socket::{self, Socket};
use crate::wire;

/// What `main` and the thread of a transfer both see.
#[derive(Default)]
pub struct Shared {
    /// Bytes of the file that went or came so far, those of earlier connections included.
    pub done: AtomicU64,
    /// `/cancel` was typed.
    pub is_cancelled: AtomicBool,
    /// FILE_END was sent: it may be stored.
    pub is_end_sent: AtomicBool,
    /// The connection, to be cut.
    socket: Mutex<Option<Arc<Socket>>>,
}

/// What is to be sent.
#[derive(Clone)]
pub struct Upload {
    /// Where it is.
    pub path: PathBuf,
    /// As FILE_UPLOAD says it; size and MD5 are found out anew. The number behind its own is that of FILE_END.
    pub announced: FileUpload,
}

/// What is to be fetched.
#[derive(Clone)]
pub struct Download {
    /// The id of the message.
    pub id: u64,
    /// Where it goes.
    pub folder: PathBuf,
    /// What came of it so far, in that folder.
    pub part: PathBuf,
    /// Bytes that it may have.
    pub most: u64,
}

/// What a thread tells `main`.
pub enum Told {
    /// The first byte goes or comes now; what file it is.
    Begun(message::File),
    /// Stored, under this id.
    Sent(u64, message::File),
    /// It stands there now.
    Saved(PathBuf),
    /// The server said no.
    Refused(Refusal),
    /// The file here cannot be read or written: where, and why.
    Broken(PathBuf, io::Error),
    /// It was another file at the end than at the beginning.
    Changed,
    /// The connection broke; another one may go on.
    Lost,
}

/// What a step brought, or why the transfer ends here.
type Outcome<T> = Result<T, Told>;

/// What a transfer needs, as it stood when the thread began.
pub struct Carrier {
    /// The options.
    pub config: Config,
    /// Of LOGIN_OK.
    pub session_id: String,
    /// What the trace calls the connection: `F1`, `F2`.
    pub name: String,
    /// What `main` looks at.
    pub shared: Arc<Shared>,
    /// For what is to be told before the end.
    pub tell: Box<dyn Fn(Told) + Send>,
}

impl Shared {
    /// Ends the connection: the thread notices.
    pub fn cut(&self) {
        if let Some(socket) = &*self.socket.lock().unwrap_or_else(PoisonError::into_inner) {
            socket.cut();
        }
    }
}

/// The connection of one transfer.
struct Link {
    socket: Arc<Socket>,
    sender: wire::Sender,
    receiver: wire::Receiver,
}

impl Carrier {
    /// Sends a file.
    pub fn upload(&self, upload: &Upload) -> Told {
        self.try_upload(upload).unwrap_or_else(|why| why)
    }

    /// Fetches a file.
    pub fn download(&self, download: &Download) -> Told {
        let mut part = match open_part(download) {
            Ok(part) => part,
            Err(why) => return why,
        };
        let told = self.try_download(download, &mut part).unwrap_or_else(|why| why);
        if part.metadata().is_ok_and(|part| part.len() == 0) && is_at(&part, &download.part) {
            let _ = fs::remove_file(&download.part); // nothing to go on with; while it is locked, it is ours
        }
        told
    }

    fn try_upload(&self, upload: &Upload) -> Outcome<Told> {
        let broken = |error| Told::Broken(upload.path.clone(), error);
        let mut opened = File::open(&upload.path).map_err(broken)?;
        let before = opened.metadata().map_err(broken)?;
        let mut announced = upload.announced.clone();
        announced.file.file_size = before.len();
        announced.file.file_md5 = hex(&self.md5_of(&mut opened).map_err(broken)?.0.finish());
        let file = announced.file.clone();

        let mut link = self.resume()?;
        let end = FromClient::FileEnd { client_no: announced.client_no + 1 };
        if self.shared.is_end_sent.load(Relaxed)
            && let Ok(FromServer::Ack { id: Some(id), .. }) = self.ask(&mut link, &end)
        {
            return Ok(Told::Sent(id, file)); // it was stored, and the answer was lost
        }
        let ready = self.ask(&mut link, &FromClient::FileUpload(announced))?;
        let FromServer::FileReady { mut offset, .. } = ready else { return Err(Told::Lost) };
        self.shared.done.store(offset, Relaxed);
        (self.tell)(Told::Begun(file.clone()));

        opened.seek(SeekFrom::Start(offset)).map_err(broken)?;
        while offset < file.file_size {
            self.shared.done.store(offset, Relaxed);
            let mut body = encode(&FromClient::FileChunk { offset });
            body.push(b'\n');
            let json = body.len();
            let wanted = (file.file_size - offset).min(FILE_CHUNK_SIZE as u64);
            (&opened).take(wanted).read_to_end(&mut body).map_err(broken)?;
            if body.len() == json {
                return Err(Told::Changed); // it has become shorter
            }
            if link.socket.has_input() {
                return Err(self.refusal(&mut link)); // no chunk has an answer but a refusal
            }
            self.send(&mut link, &body)?;
            offset += (body.len() - json) as u64;
        }
        self.shared.done.store(offset, Relaxed);
        self.shared.is_end_sent.store(true, Relaxed);
        match self.ask(&mut link, &end) {
            Ok(FromServer::Ack { id: Some(id), .. }) => Ok(Told::Sent(id, file)),
            Ok(_) => Err(Told::Lost),
            Err(Told::Refused(refusal)) if refusal.code == Code::FileDamaged => {
                let after = fs::metadata(&upload.path).map_err(broken)?;
                let has_changed =
                    after.len() != before.len() || after.modified().ok() != before.modified().ok();
                Err(if has_changed { Told::Changed } else { Told::Refused(refusal) })
            }
            Err(other) => Err(other),
        }
    }

    fn try_download(&self, download: &Download, part: &mut File) -> Outcome<Told> {
        let broken = |error| Told::Broken(download.part.clone(), error);
        let (mut md5, mut offset) = self.md5_of(part).map_err(broken)?;

        let mut link = self.resume()?;
        let ask = |offset| FromClient::FileDownload { client_no: 1, msg_id: download.id, offset };
        let mut ready = self.ask(&mut link, &ask(offset));
        if offset > 0 && matches!(&ready, Err(Told::Refused(refusal)) if refusal.code == Code::BadRequest) {
            part.set_len(0).map_err(broken)?; // a part of another file, longer than this one
            (md5, offset) = (Md5Sum::default(), 0);
            ready = self.ask(&mut link, &ask(0));
        }
        if matches!(&ready, Err(Told::Refused(refusal)) if refusal.code == Code::NoSuchFile) {
            let _ = fs::remove_file(&download.part); // there is nothing more to come
        }
        let FromServer::FileReady { offset: at, file: Some(file), .. } = ready? else {
            return Err(Told::Lost);
        };
        if file.file_size > download.most {
            let (text, limit) = (String::new(), Some(download.most));
            return Err(Told::Refused(Refusal { code: Code::TooLarge, text, limit }));
        }
        if at != offset || offset > file.file_size {
            return Err(Told::Lost);
        }
        self.shared.done.store(offset, Relaxed);
        (self.tell)(Told::Begun(file.clone()));
        while let Some(raw) = self.next_chunk(&mut link, offset, &file)? {
            part.write_all(&raw).map_err(broken)?;
            md5.update(&raw);
            offset += raw.len() as u64;
            self.shared.done.store(offset, Relaxed);
        }
        if hex(&md5.finish()) != file.file_md5 {
            let _ = fs::remove_file(&download.part); // the next try begins anew
            return Err(Told::Refused(Refusal::new(Code::FileDamaged, "")));
        }
        part.sync_all().map_err(broken)?;
        let saved = save_part(&download.part, &download.folder, &file.file_name);
        let place = || download.folder.join(downloads::safe_name(&file.file_name));
        saved.map(Told::Saved).map_err(|error| Told::Broken(place(), error))
    }

    /// The bytes that follow `offset`; none: that was all.
    fn next_chunk(&self, link: &mut Link, offset: u64, file: &message::File) -> Outcome<Option<Vec<u8>>> {
        let mut body = self.receive(link)?;
        let end = body.iter().position(|byte| *byte == b'\n').unwrap_or(body.len());
        match serde_json::from_slice(&body[..end]) {
            Ok(FromServer::FileChunk { offset: at }) if at == offset => {
                let raw = body.split_off((end + 1).min(body.len()));
                let is_right = !raw.is_empty() && raw.len() as u64 <= file.file_size - offset;
                if is_right { Ok(Some(raw)) } else { Err(Told::Lost) }
            }
            Ok(FromServer::FileEnd { .. }) if offset == file.file_size => Ok(None),
            Ok(FromServer::Error { refusal, .. }) => Err(Told::Refused(refusal)),
            _ => Err(Told::Lost),
        }
    }

    /// Reads all of a file: its MD5 and its length. A cancelled transfer ends here.
    fn md5_of(&self, file: &mut File) -> io::Result<(Md5Sum, u64)> {
        let (mut md5, mut length) = (Md5Sum::default(), 0);
        loop {
            let count = io::copy(&mut (&*file).take(FILE_CHUNK_SIZE as u64), &mut md5)?;
            if count == 0 || self.shared.is_cancelled.load(Relaxed) {
                return Ok((md5, length));
            }
            length += count;
        }
    }

    /// A connection that acts for our user.
    fn resume(&self) -> Outcome<Link> {
        let config = &self.config;
        let address = SocketAddr::new(config.server_ip, config.chat_port);
        let deadline = patiently(CONNECT_DEADLINE, config.patience);
        let socket = socket::connect(address, deadline, &self.name, &config.trace).map_err(|_| Told::Lost)?;
        let socket = Arc::new(socket);
        *self.shared.socket.lock().unwrap_or_else(PoisonError::into_inner) = Some(socket.clone());
        let hello =
            wire::hello_as_client(&socket, config.passphrase.as_bytes(), config.deadline(ANSWER_DEADLINE));
        let (sender, receiver) = hello.map_err(|_| Told::Lost)?;
        let mut link = Link { socket, sender, receiver };
        link.receiver.after_login();
        let resume = FromClient::Resume { client_no: 0, session_id: self.session_id.clone() };
        match self.ask(&mut link, &resume) {
            Ok(_) => Ok(link),
            Err(Told::Refused(refusal)) if refusal.code == Code::NotLoggedIn => Err(Told::Lost), // a new session comes
            Err(why) => Err(why),
        }
    }

    /// A request and its answer. It may take long: of a part that goes on the server reads all that it has.
    fn ask(&self, link: &mut Link, request: &FromClient) -> Outcome<FromServer> {
        self.send(link, &encode(request))?;
        let body = self.receive(link)?;
        match serde_json::from_slice(&body) {
            Ok(FromServer::Error { refusal, .. }) => Err(Told::Refused(refusal)),
            Ok(FromServer::Kicked { .. }) | Err(_) => Err(Told::Lost),
            Ok(answer) => Ok(answer),
        }
    }

    /// What came though nothing was asked.
    fn refusal(&self, link: &mut Link) -> Told {
        let body = self.receive(link).unwrap_or_default();
        match serde_json::from_slice(&body) {
            Ok(FromServer::Error { refusal, .. }) => Told::Refused(refusal),
            _ => Told::Lost,
        }
    }

    fn send(&self, link: &mut Link, body: &[u8]) -> Outcome<()> {
        if self.shared.is_cancelled.load(Relaxed) {
            return Err(Told::Lost);
        }
        let sent = link.sender.send(&link.socket, body, self.config.deadline(IDLE_DEADLINE));
        sent.map_err(|_| self.refusal(link)) // the server may have said why it closed
    }

    fn receive(&self, link: &mut Link) -> Outcome<Vec<u8>> {
        if self.shared.is_cancelled.load(Relaxed) {
            return Err(Told::Lost); // what came before the connection was cut could still be read
        }
        let received = link.receiver.receive(&link.socket, self.config.deadline(IDLE_DEADLINE));
        received.ok().flatten().ok_or(Told::Lost)
    }
}

/// The part of a file, ours alone. `Lost`: another thread, or another client, has it; a cancelled one is about to end.
fn open_part(download: &Download) -> Outcome<File> {
    fs::create_dir_all(&download.folder).map_err(|error| Told::Broken(download.folder.clone(), error))?;
    let opened = File::options().read(true).append(true).create(true).open(&download.part);
    let part = opened.map_err(|error| Told::Broken(download.part.clone(), error))?;
    let is_ours = part.try_lock().is_ok() && is_at(&part, &download.part);
    if is_ours { Ok(part) } else { Err(Told::Lost) }
}

/// Whether a path leads to this open file: who had it before may have removed or renamed it.
fn is_at(file: &File, path: &Path) -> bool {
    let (Ok(opened), Ok(found)) = (file.metadata(), fs::metadata(path)) else { return false };
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        (opened.dev(), opened.ino()) == (found.dev(), found.ino())
    }
    #[cfg(not(unix))]
    {
        opened.created().ok() == found.created().ok()
    }
}

/// Gives a whole part its name: a new one is taken first, so that nobody else has it.
fn save_part(part: &Path, folder: &Path, name: &str) -> io::Result<PathBuf> {
    let (_, path) = downloads::create(folder, name)?;
    let renamed = fs::rename(part, &path);
    if renamed.is_err() {
        let _ = fs::remove_file(&path); // an empty file is not what was asked for
    }
    renamed.map(|()| path)
}
