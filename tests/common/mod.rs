//! The harness of all tests: real programs, on free ports, in folders of their own, and one deadline for every wait.
//!
//! Nothing here sleeps: whoever waits, waits for an event. What a test starts ends with it, however the test ends.

#![allow(dead_code)] // each test program uses a part of it

pub mod peer;
pub mod relay;

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use mysql::prelude::Queryable;
use serde_json::Value;

use peer::Peer;

/// The longest that anything here waits for an event that should come at once.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// SQLite, also when the other tests run on a database server.
pub const IN_A_FILE: [&str; 2] = ["--database", "sqlite:data/minim.db"];

/// The program under test.
pub const MINIM: &str = env!("CARGO_BIN_EXE_minim");

/// The passphrase of servers that are not given another.
pub const PASSPHRASE: &str = "hfut";

/// A fresh folder, removed with all that is in it at the end.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new() -> Folder {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("minim-test-{}-{number}", std::process::id()));
        fs::create_dir_all(&path).expect("a temporary folder");
        Folder(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A program under test, with its output line by line and an end that cannot be forgotten.
pub struct Program {
    child: Child,
    input: Option<ChildStdin>,
    lines: Receiver<String>,
    errors: Option<thread::JoinHandle<String>>,
    error_lines: Receiver<String>,
    /// All lines of standard output that were waited for or passed over.
    pub transcript: Vec<String>,
}

impl Program {
    /// Starts `minim` with these words, in `folder`, so that no server.conf of somebody else is read.
    pub fn start<S: AsRef<OsStr>>(folder: &Path, words: &[S], variables: &[(&str, &str)]) -> Program {
        let mut command = Command::new(MINIM);
        command.args(words).envs(variables.iter().copied());
        Program::run(folder, command)
    }

    /// Starts a command that is, or becomes, `minim`.
    pub fn run(folder: &Path, mut command: Command) -> Program {
        command.current_dir(folder);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program starts");
        let input = child.stdin.take();
        let output = BufReader::new(child.stdout.take().expect("piped"));
        let mut stderr = BufReader::new(child.stderr.take().expect("piped"));
        let (sender, lines) = channel();
        thread::spawn(move || {
            let lines = output.split(b'\n').map_while(Result::ok);
            for line in lines.map(|line| String::from_utf8_lossy(&line).trim_end_matches('\r').to_owned()) {
                let _ = sender.send(line);
            }
        });
        let (sender, error_lines) = channel();
        let errors = thread::spawn(move || {
            let mut bytes = Vec::new();
            loop {
                let start = bytes.len();
                if !matches!(stderr.read_until(b'\n', &mut bytes), Ok(1..)) {
                    return String::from_utf8_lossy(&bytes).into_owned();
                }
                let _ = sender.send(String::from_utf8_lossy(&bytes[start..]).trim_end().to_owned());
            }
        });
        Program { child, input, lines, errors: Some(errors), error_lines, transcript: Vec::new() }
    }

    /// Types a line.
    pub fn line(&mut self, line: &str) {
        self.bytes(format!("{line}\n").as_bytes());
    }

    pub fn bytes(&mut self, bytes: &[u8]) {
        let input = self.input.as_mut().expect("standard input is open");
        input.write_all(bytes).and_then(|()| input.flush()).expect("the program reads");
    }

    /// Closes standard input.
    pub fn end_of_input(&mut self) {
        self.input = None;
    }

    /// The next line of standard output; none when it was closed.
    pub fn next_line(&mut self) -> Option<String> {
        match self.lines.recv_timeout(DEADLINE) {
            Ok(line) => {
                self.transcript.push(line.clone());
                Some(line)
            }
            Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => None,
            Err(_) => {
                panic!("nothing came within {DEADLINE:?}; so far:\n{}", self.transcript.join("\n"))
            }
        }
    }

    /// Waits for a line that contains `part`, and returns it.
    pub fn expect(&mut self, part: &str) -> String {
        while let Some(line) = self.next_line() {
            if line.contains(part) {
                return line;
            }
        }
        self.kill(); // so that its errors end
        let errors: Vec<String> = self.error_lines.iter().collect();
        panic!("ended without {part:?}; so far:\n{}\n{}", self.transcript.join("\n"), errors.join("\n"));
    }

    /// Waits for a line of standard error that contains `part`.
    pub fn expect_error(&mut self, part: &str) {
        self.wait_for_error(part, |line| line.contains(part));
    }

    /// The same of one that ends so.
    pub fn expect_error_end(&mut self, end: &str) {
        self.wait_for_error(end, |line| line.ends_with(end));
    }

    fn wait_for_error(&mut self, what: &str, is_it: impl Fn(&str) -> bool) {
        while let Ok(line) = self.error_lines.recv_timeout(DEADLINE) {
            if is_it(&line) {
                return;
            }
        }
        panic!("no {what:?} on standard error");
    }

    /// Waits for the end: exit code, the lines not yet waited for, and standard error.
    pub fn finish(mut self) -> (i32, Vec<String>, String) {
        self.input = None;
        let mut rest = Vec::new();
        while let Some(line) = self.next_line() {
            rest.push(line);
        }
        let status = self.child.wait().expect("a child of ours"); // its output is closed: it has ended
        let errors = self.errors.take().expect("finished once").join().expect("reads to the end");
        (status.code().unwrap_or(-1), rest, errors)
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// kill -9.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.kill();
    }
}

/// What `minim WORDS` does with no input: exit code, standard output, standard error.
pub fn run(folder: &Path, words: &[&str]) -> (i32, String, String) {
    let (code, lines, errors) = Program::start(folder, words, &[]).finish();
    (code, lines.join("\n"), errors)
}

/// Runs a server that must not start: exit code and standard error.
pub fn refused(folder: &Path, words: &[&str]) -> (i32, String) {
    let mut all = vec!["server", "--chatPort", "0", "--httpPort", "0", "--udpPort", "off"];
    all.extend(words);
    let (code, output, errors) = run(folder, &all);
    assert_eq!(output, "", "nothing on standard output");
    assert_eq!(errors.lines().count(), 1, "one line: {errors}");
    (code, errors)
}

/// A database of its own on the server that MINIM_TEST_DATABASE names (`mysql://user:password@host:port/`; see
/// tests/mariadb.sh), made by whoever opens it first and dropped at the end.
pub struct TestDatabase {
    pub url: String,
}

impl TestDatabase {
    /// None: the tests run on SQLite.
    pub fn new() -> Option<TestDatabase> {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let server = std::env::var("MINIM_TEST_DATABASE").ok()?;
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        Some(TestDatabase { url: format!("{server}minim_test_{}_{number}", std::process::id()) })
    }

    /// For a server with these options, unless they name a database.
    pub fn unless_given(options: &mut Vec<String>) -> Option<TestDatabase> {
        let database = if options.contains(&"--database".to_owned()) { None } else { TestDatabase::new() };
        options.extend(database.iter().flat_map(|one| ["--database".to_owned(), one.url.clone()]));
        database
    }

    /// A connection to the server, with no database selected.
    pub fn connect(&self) -> mysql::Result<mysql::Conn> {
        let opts = mysql::Opts::from_url(&self.url).expect("MINIM_TEST_DATABASE is a URL");
        mysql::Conn::new(mysql::OptsBuilder::from_opts(opts).db_name(None::<String>).prefer_socket(false))
    }

    pub fn name(&self) -> &str {
        self.url.rsplit('/').next().expect("a name behind the last slash")
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        if let Ok(mut connection) = self.connect() {
            let _ = connection.query_drop(format!("DROP DATABASE IF EXISTS {}", self.name()));
        }
    }
}

/// A server in a folder of its own, and with a database of its own.
pub struct Server {
    pub program: Program,
    pub chat: SocketAddr,
    pub http: SocketAddr,
    pub options: Vec<String>,
    folder: Folder,
    pub database: Option<TestDatabase>,
}

impl Server {
    pub fn start() -> Server {
        Server::with(&[])
    }

    /// With further options, such as `["--patience", "0.02"]`.
    pub fn with(options: &[&str]) -> Server {
        Server::start_in(Folder::new(), options)
    }

    pub fn start_in(folder: Folder, options: &[&str]) -> Server {
        let mut options: Vec<String> = options.iter().map(|&option| option.to_owned()).collect();
        let database = TestDatabase::unless_given(&mut options);
        let (program, chat, http) = start_server(&folder, &options, 0, 0);
        Server { program, chat, http, options, folder, database }
    }

    /// The data folder.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// kill -9.
    pub fn kill(&mut self) {
        self.program.kill();
    }

    /// What it has said on standard error, after kill -9.
    pub fn errors(self) -> String {
        let Server { mut program, .. } = self;
        program.kill();
        program.finish().2
    }

    /// The same server once more: same folder, same ports.
    pub fn start_again(&mut self) {
        self.program.kill();
        let (chat, http) = (self.chat.port(), self.http.port());
        self.program = start_server(&self.folder, &self.options, chat, http).0;
    }

    /// Runs statements beside the server, in its database.
    #[cfg(feature = "sqlite")]
    pub fn run_sql(&self, statements: &[String]) {
        let Some(database) = &self.database else {
            let file = rusqlite::Connection::open(self.data().join("minim.db")).expect("the database");
            return file.execute_batch(&format!("BEGIN; {}; COMMIT", statements.join("; "))).expect("SQL");
        };
        let mut connection = database.connect().expect("a connection");
        connection.query_drop(format!("USE {}", database.name())).expect("the database");
        for statement in statements {
            connection.query_drop(statement).expect("SQL");
        }
    }

    /// A client that has said hello.
    pub fn peer(&self) -> Peer {
        Peer::connect(self.chat, PASSPHRASE)
    }

    /// Registers a user (password `NAME's password`, username with a capital letter), who then logs in.
    pub fn new_user(&self, login_name: &str) -> Peer {
        let mut peer = self.peer();
        peer.register(login_name);
        peer.login(login_name);
        peer.fence(); // all that LOGIN tells others is told: who becomes a friend now has not heard of it twice
        peer
    }

    /// Logs in a user who was registered before, over a new connection.
    pub fn log_in(&self, login_name: &str) -> Peer {
        let mut peer = self.peer();
        peer.login(login_name);
        peer
    }

    /// Alice and Bob, friends and online; what was pushed until then is read.
    pub fn alice_and_bob(&self) -> (Peer, Peer) {
        let (mut alice, mut bob) = (self.new_user("alice"), self.new_user("bob"));
        self.befriend(&mut alice, &mut bob);
        (alice, bob)
    }

    /// Makes two users friends, over HTTP, and reads what both are told of it.
    pub fn befriend(&self, asker: &mut Peer, other: &mut Peer) {
        befriend(self.http, asker, other);
        for peer in [asker, other] {
            peer.expect("FRIENDS_CHANGED");
            peer.expect("FRIEND_STATE");
        }
    }

    /// A group of `owner`'s with all others in it, who are her friends; what they were told of it is read. Its gId.
    pub fn make_group(&self, owner: &Peer, others: &mut [&mut Peer]) -> u64 {
        let uids: Vec<String> = others.iter().map(|other| other.uid.to_string()).collect();
        let made = format!("/createGroup?gname=lab&members={}", uids.join(","));
        let g_id = self.get(&made, Some(&owner.session_id))["data"]["gId"].as_u64().expect("a group");
        for other in others {
            let id = other.expect("REQUEST")["id"].clone();
            let accept = format!("/messageHandle?msgId={id}&accept=true");
            assert_eq!(self.get(&accept, Some(&other.session_id))["ok"], true);
            other.expect("GROUP_CHANGED");
        }
        g_id
    }

    /// GET over plain HTTP, as `get`.
    pub fn get(&self, target: &str, sid: Option<&str>) -> Value {
        get(self.http, target, sid)
    }

    /// Sends bytes to the HTTP port, as `raw_http`.
    pub fn raw_http(&self, request: &[u8]) -> (String, String) {
        raw_http(self.http, request)
    }

    /// A console client of this server, on pipes, in English.
    pub fn console(&self, options: &[&str]) -> Program {
        self.console_with(options, &[])
    }

    pub fn console_with(&self, options: &[&str], variables: &[(&str, &str)]) -> Program {
        let (chat, http) = (self.chat.port().to_string(), self.http.port().to_string());
        let mut words = vec!["client", "--chatPort", &chat, "--httpPort", &http, "--lang", "en"];
        words.extend(options);
        Program::start(self.folder.path(), &words, variables)
    }
}

fn start_server(
    folder: &Folder,
    options: &[String],
    chat: u16,
    http: u16,
) -> (Program, SocketAddr, SocketAddr) {
    let (chat, http) = (chat.to_string(), http.to_string());
    let mut words = vec!["server", "--chatPort", &chat, "--httpPort", &http, "--udpPort", "off"];
    words.extend(["--patience", "5"]); // a busy machine is no reason to fail; a test can say otherwise
    words.extend(["--passwordRounds", "1"]); // nobody guesses here, and a debug build takes 40 ms for the usual 10,000
    words.extend(options.iter().map(String::as_str));
    listening(Program::start(folder.path(), &words, &[]))
}

/// A server that has just been started, and where it says that it listens.
pub fn listening(mut program: Program) -> (Program, SocketAddr, SocketAddr) {
    let mut address = |prefix: &str| {
        let line = program.expect(prefix);
        line[prefix.len()..].parse().unwrap_or_else(|_| panic!("no address in {line:?}"))
    };
    let (chat, http) = (address("chat      listening on "), address("http      listening on "));
    (program, chat, http)
}

/// Sends bytes and reads until the peer closes: head and body, split at the first empty line.
pub fn raw_http(address: SocketAddr, request: &[u8]) -> (String, String) {
    let mut stream = connect(address);
    stream.write_all(request).expect("the server reads");
    let text = String::from_utf8(read_to_end(&mut stream)).expect("UTF-8");
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    (head.to_owned(), body.to_owned())
}

/// GET over plain HTTP: the JSON of the answer, whatever its status.
pub fn get(host: SocketAddr, target: &str, sid: Option<&str>) -> Value {
    let cookie = sid.map_or(String::new(), |sid| format!("Cookie: sid={sid}\r\n"));
    let request = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n{cookie}Connection: close\r\n\r\n");
    let (_, body) = raw_http(host, request.as_bytes());
    serde_json::from_str(&body).unwrap_or_else(|error| panic!("{error}: {body:?} to {target}"))
}

/// A plain TCP connection with the deadline of all waits.
pub fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("the server listens");
    stream.set_read_timeout(Some(DEADLINE)).expect("a deadline");
    stream.set_write_timeout(Some(DEADLINE)).expect("a deadline");
    stream.set_nodelay(true).expect("no delay");
    stream
}

/// Sends a byte every third of a second until the other side closes: what came from it, and how long that took.
pub fn dribble(stream: &mut TcpStream, byte: u8) -> (Vec<u8>, Duration) {
    let start = Instant::now();
    stream.set_read_timeout(Some(Duration::from_millis(333))).expect("a deadline");
    let (mut bytes, mut piece) = (Vec::new(), [0; 4096]);
    while start.elapsed() < DEADLINE {
        let _ = stream.write_all(&[byte]);
        match stream.read(&mut piece) {
            Ok(0) => return (bytes, start.elapsed()),
            Ok(count) => bytes.extend_from_slice(&piece[..count]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(_) => return (bytes, start.elapsed()), // a reset
        }
    }
    panic!("still open after {DEADLINE:?}");
}

/// All bytes until the other side closes; a reset counts as a close.
pub fn read_to_end(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut piece = [0; 4096];
    loop {
        match stream.read(&mut piece) {
            Ok(0) => return bytes,
            Ok(count) => bytes.extend_from_slice(&piece[..count]),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return bytes,
            Err(error) => panic!("{error}; so far {bytes:?}"),
        }
    }
}

/// Runs a script to its end: exit code and lines.
pub fn script(server: &Server, options: &[&str], lines: &[&str]) -> (i32, Vec<String>) {
    let mut console = server.console(options);
    for line in lines {
        console.line(line);
    }
    let (code, lines, errors) = console.finish();
    assert_eq!(errors, "", "nothing on standard error");
    (code, lines)
}

/// Alice and Bob, registered and friends.
pub fn friends(server: &Server) {
    let asks = ["/register alice 123456 Alice", "/register bob 123456 Bob", "/add bob"];
    assert_eq!(script(server, &[], &asks).0, 0);
    let accepts = ["/login bob 123456", "/accept"];
    assert_eq!(script(server, &[], &accepts).0, 0);
}

/// A console in which NAME is logged in and talks to OTHER.
pub fn talking(server: &Server, options: &[&str], name: &str, other: &str) -> Program {
    let mut console = server.console(options);
    console.line(&format!("/login {name} 123456"));
    console.line(&format!("/open {other}"));
    console.expect("talking to");
    console
}

/// A group with both in it: Alice makes it, Bob accepts; both consoles have said so.
pub fn make_group(alice: &mut Program, bob: &mut Program, gname: &str) {
    alice.line(&format!("/create {gname} bob"));
    bob.expect("* request #");
    bob.line("/accept");
    alice.expect(&format!("* Bob joined #{gname}"));
    bob.expect(&format!("* you are in #{gname} now"));
}

/// So many bytes, none of which says where it stands.
pub fn noise(size: usize) -> Vec<u8> {
    let mut x = 0x9E37_79B9_u32;
    let byte = |_| {
        x ^= x << 13;
        x ^= x >> 17;
        x ^= x << 5;
        x as u8
    };
    (0..size).map(byte).collect()
}

/// Makes two peers, who are logged in, friends over the HTTP of their server.
pub fn befriend(http: SocketAddr, asker: &Peer, other: &mut Peer) {
    let asked = get(http, &format!("/addFriendsOrGroup?friendId={}", other.uid), Some(&asker.session_id));
    let accept = format!("/messageHandle?msgId={}&accept=true", asked["data"]["id"]);
    assert_eq!(get(http, &accept, Some(&other.session_id))["ok"], true);
    other.expect("REQUEST");
}
