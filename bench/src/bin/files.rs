//! How fast files go over loopback, beside what the ciphers alone do in the same run, and what a chat feels of it. In this folder:
//!
//!     cargo run --release --bin files             in a fresh folder below TMPDIR: on a real disk, please
//!
//! The server is a process of its own: this program, started again with a hidden first word. The client's half is the one of
//! the console (client/carrier.rs), its MD5 before the first byte and the check of the whole included. A line has the
//! median of the rounds; compare ratios.

use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use minim::client::carrier::{Carrier, Download, Shared, Told, Upload};
use minim::client::screen::Look;
use minim::config::{self, Config, PASSPHRASE};
use minim::message::{ChatSendMsg, File, FileUpload, FromClient, FromServer, encode};
use minim::socket::{self, Socket};
use minim::trace::Trace;
use minim::wire::{Receiver, Secret, Sender, hello_as_client};

const SERVER: &str = "server";
const SIZE: usize = 200 * 1024 * 1024;
const ROUNDS: usize = 3;
const DEADLINE: Duration = Duration::from_secs(60);

fn main() {
    let words: Vec<String> = env::args().skip(1).collect();
    if words.first().is_some_and(|word| word == SERVER) {
        let config = config::read("server", &words[1..]).expect("our own options").expect("no --help").0;
        return minim::server::run(config).expect("a server");
    }
    let folder = env::temp_dir().join(format!("minim-files-{}", std::process::id()));
    fs::create_dir(&folder).expect("a fresh folder");
    let server = Server::start(&folder);
    server.script(&["/register alice 123456", "/register bob 123456", "/add bob"]);
    server.script(&["/login bob 123456", "/accept"]);
    let (mut alice, mut bob) = (Chat::new(&server, "alice"), Chat::new(&server, "bob"));

    let (seal, open) = (median(|| rate(seal_all)), median(|| rate(open_all)));
    let least = seal.min(open);
    println!("seal {seal:.1} MB/s, open {open:.1} MB/s: the lesser {least:.1}");
    let mut number = 0;
    let mut file = || {
        number += 1;
        let path = folder.join(format!("file{number}"));
        let line = |at: usize| format!("{number} {at:>30}\n").into_bytes();
        fs::write(&path, (0..SIZE / 32).flat_map(line).take(SIZE).collect::<Vec<u8>>()).expect("written");
        path
    };
    let (mut up, mut down) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let path = file();
        let start = Instant::now();
        let id = upload(&server, &alice, &bob, &path);
        up.push(SIZE as f64 / 1e6 / start.elapsed().as_secs_f64());
        let start = Instant::now();
        download(&server, &bob, id, &folder.join(format!("came{id}")));
        down.push(SIZE as f64 / 1e6 / start.elapsed().as_secs_f64());
    }
    for (name, rates) in [("one upload", &mut up), ("one download", &mut down)] {
        rates.sort_by(f64::total_cmp);
        let rate = rates[ROUNDS / 2];
        println!("{name:14} {rate:6.1} MB/s  {:.2} of the lesser", rate / least);
    }
    for (count, name) in [(2, "two uploads"), (4, "four uploads")] {
        let paths: Vec<PathBuf> = (0..count).map(|_| file()).collect();
        let start = Instant::now();
        thread::scope(|scope| {
            for path in &paths {
                let (server, alice, bob) = (&server, &alice, &bob);
                scope.spawn(move || upload(server, alice, bob, path));
            }
        });
        let rate = (count * SIZE) as f64 / 1e6 / start.elapsed().as_secs_f64();
        println!("{name:14} {rate:6.1} MB/s together, {:.2} of the lesser", rate / least);
    }
    let before = alice.latencies(&bob, 500);
    let paths: Vec<PathBuf> = (0..4).map(|_| file()).collect();
    let session = (alice.session_id.clone(), bob.uid);
    let beside = thread::scope(|scope| {
        let (server, session) = (&server, &session);
        for path in &paths {
            scope.spawn(move || upload_as(server, &session.0, session.1, path));
        }
        alice.latencies(&bob, 500)
    });
    for (name, mut times) in [("alone", before), ("beside four uploads", beside)] {
        times.sort();
        let ms = |at: usize| times[at].as_secs_f64() * 1000.0;
        println!(
            "a message stored, {name}: median {:.2} ms, worst {:.1} ms",
            ms(times.len() / 2),
            ms(times.len() - 1)
        );
    }
    println!("the server's memory at its peak: {}", server.peak());
    drop(bob.socket.take());
    let _ = fs::remove_dir_all(&folder);
}

/// 64 KiB, as a chunk has them.
fn body() -> Vec<u8> {
    vec![b'x'; 64 * 1024 + 40]
}

fn secret() -> Secret<'static> {
    Secret { passphrase: b"hfut", client_nonce: &[1; 16], server_nonce: &[2; 16] }
}

/// Bytes that were sealed in a while.
fn seal_all(until: Instant) -> usize {
    let (mut sender, body) = (secret().sender("client"), body());
    let mut count = 0;
    while Instant::now() < until {
        sender.seal(&body);
        count += body.len();
    }
    count
}

fn open_all(until: Instant) -> usize {
    let (mut sender, body) = (secret().sender("client"), body());
    let frames: Vec<Vec<u8>> = (0..64).map(|_| sender.seal(&body)).collect();
    let mut count = 0;
    while Instant::now() < until {
        let mut receiver = secret().receiver("client");
        for frame in &frames {
            receiver.open(frame).expect("a frame of ours");
            count += body.len();
        }
    }
    count
}

/// MB a second.
fn rate(work: fn(Instant) -> usize) -> f64 {
    let start = Instant::now();
    let bytes = work(start + Duration::from_millis(700));
    bytes as f64 / 1e6 / start.elapsed().as_secs_f64()
}

fn median(measure: impl Fn() -> f64) -> f64 {
    let mut values: Vec<f64> = (0..ROUNDS).map(|_| measure()).collect();
    values.sort_by(f64::total_cmp);
    values[ROUNDS / 2]
}

struct Server {
    child: Child,
    config: Config,
    folder: PathBuf,
}

impl Server {
    fn start(folder: &Path) -> Server {
        let mut command = Command::new(env::current_exe().expect("this program"));
        command.args([SERVER, "--chatPort", "0", "--httpPort", "0", "--udpPort", "off"]);
        command.current_dir(folder).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("this program again");
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines().map_while(Result::ok);
        let mut port = |start: &str| {
            let line = lines.find(|line| line.starts_with(start)).expect("a line of ours");
            line.rsplit(':').next().expect("a port").to_owned()
        };
        let words = ["--chatPort".to_owned(), port("chat"), "--httpPort".to_owned(), port("http")];
        thread::spawn(move || lines.for_each(drop)); // whatever else it says
        let (mut config, _) = config::read("client", &words).expect("our own options").expect("no --help");
        config.data_dir = folder.join("client");
        Server { child, config, folder: folder.to_owned() }
    }

    /// A console that does these lines.
    fn script(&self, lines: &[&str]) {
        let input = std::io::Cursor::new(lines.join("\n").into_bytes());
        let look = Look { is_terminal: false, has_escapes: false, has_colours: false, width: 80 };
        assert_eq!(minim::client::run(self.config.clone(), input, std::io::sink(), look), 0, "{lines:?}");
    }

    fn address(&self) -> SocketAddr {
        SocketAddr::new(self.config.server_ip, self.config.chat_port)
    }

    /// As Linux counts it.
    fn peak(&self) -> String {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let line = status.lines().find(|line| line.starts_with("VmHWM"));
        line.map_or("unknown", |line| line.trim_start_matches("VmHWM:").trim()).to_owned()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Somebody who is logged in.
struct Chat {
    socket: Option<Arc<Socket>>,
    sender: Sender,
    receiver: Receiver,
    uid: u64,
    session_id: String,
    next_no: u64,
}

impl Chat {
    fn new(server: &Server, name: &str) -> Chat {
        let deadline = Instant::now() + DEADLINE;
        let socket = socket::connect(server.address(), DEADLINE, "C", &Trace::off()).expect("a server");
        let (sender, receiver) = hello_as_client(&socket, PASSPHRASE.as_bytes(), deadline).expect("hello");
        let next_no = minim::clock::now_ms() * 1000;
        let socket = Some(Arc::new(socket));
        let mut chat = Chat { socket, sender, receiver, uid: 0, session_id: String::new(), next_no };
        chat.receiver.after_login();
        let (login_name, pwd) = (name.to_owned(), "123456".to_owned());
        let answer = chat.ask(&FromClient::Login { client_no: 1, login_name, pwd });
        if let FromServer::LoginOk { user, session_id, .. } = answer {
            (chat.uid, chat.session_id) = (user.uid, session_id);
        }
        chat
    }

    /// The answer, whatever is pushed before.
    fn ask(&mut self, request: &FromClient) -> FromServer {
        let (socket, deadline) = (self.socket.clone().expect("open"), Instant::now() + DEADLINE);
        self.sender.send(&socket, &encode(request), deadline).expect("the server reads");
        loop {
            let body = self.receiver.receive(&socket, deadline).expect("a frame").expect("no end");
            let answer = serde_json::from_slice(&body).expect("a message");
            if matches!(
                answer,
                FromServer::Ack { .. } | FromServer::LoginOk { .. } | FromServer::Error { .. }
            ) {
                return answer;
            }
        }
    }

    /// From sending to the ACK, one message after the other.
    fn latencies(&mut self, to: &Chat, count: usize) -> Vec<Duration> {
        let one = |_| {
            self.next_no += 1;
            let (client_no, to_id) = (self.next_no, to.uid);
            let (msg_type, msg_text) = ("TEXT".to_owned(), "beside files".to_owned());
            let text = ChatSendMsg { client_no, is_friend: true, to_id, send_time: 0, msg_type, msg_text };
            let start = Instant::now();
            assert!(matches!(self.ask(&FromClient::ChatSendMsg(text)), FromServer::Ack { .. }));
            start.elapsed()
        };
        (0..count).map(one).collect()
    }
}

fn carrier(server: &Server, session_id: &str) -> Carrier {
    let (config, session_id) = (server.config.clone(), session_id.to_owned());
    Carrier {
        config,
        session_id,
        name: "F".to_owned(),
        shared: Arc::new(Shared::default()),
        tell: Box::new(|_| ()),
    }
}

fn upload(server: &Server, from: &Chat, to: &Chat, path: &Path) -> u64 {
    upload_as(server, &from.session_id, to.uid, path)
}

fn upload_as(server: &Server, session_id: &str, to_id: u64, path: &Path) -> u64 {
    let file_name = path.file_name().expect("a name").to_string_lossy().into_owned();
    let file = File { file_name, file_size: SIZE as u64, file_md5: String::new() };
    let client_no = minim::clock::now_ms() * 1000 + u64::from(path.to_string_lossy().len() as u32) + unique();
    let announced = FileUpload { client_no, is_friend: true, to_id, file, msg_type: "FILE".to_owned() };
    let upload = Upload { path: path.to_owned(), announced };
    match carrier(server, session_id).upload(&upload) {
        Told::Sent(id, _) => id,
        _ => panic!("not sent"),
    }
}

/// Numbers that no other upload has.
fn unique() -> u64 {
    static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    NEXT.fetch_add(1_000_000, std::sync::atomic::Ordering::Relaxed)
}

fn download(server: &Server, who: &Chat, id: u64, folder: &Path) {
    let download = Download { id, folder: folder.to_owned(), part: folder.join("part"), most: u64::MAX };
    match carrier(server, &who.session_id).download(&download) {
        Told::Saved(path) => {
            let mut start = [0; 2];
            fs::File::open(path).and_then(|mut file| file.read_exact(&mut start)).expect("a file");
        }
        _ => panic!("not fetched"),
    }
}
