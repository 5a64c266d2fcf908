//! How many HTTP requests a second minim answers on connections that are kept: /checkLoginName, which asks the database;
//! beside it tiny_http, and a bare loop of `std` that knows nothing of HTTP but the empty line. These two give a fixed answer
//! of the same length. In this folder:
//!
//!     cargo run --release --bin requests
//!
//! Each server is a process of its own: this program, started again with a hidden first word. All contenders run in turn,
//! round after round. A line has the medians; compare ratios, for the clients' half of the work is done by the same processor.

use std::env;
use std::fs;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread;
use std::time::Instant;

const ROUNDS: usize = 5;
/// Connections, and how many requests go over each in a round, one after the other.
const CROWDS: [(usize, usize); 3] = [(1, 10_000), (16, 1_500), (64, 400)];
const REQUEST: &[u8] = b"GET /checkLoginName?loginName=alice HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";
/// What minim answers, so that all send as much.
const BODY: &str = r#"{"ok":true,"data":{"available":true}}"#;
const NAMES: [&str; 3] = ["minim", "tiny_http", "bare"];

fn main() {
    let words: Vec<String> = env::args().skip(1).collect();
    match words.first().map(String::as_str) {
        Some("minim") => {
            let config =
                minim::config::read("server", &words[1..]).expect("our own options").expect("no --help").0;
            minim::server::run(config).expect("a server");
        }
        Some("tiny_http") => tiny(),
        Some("bare") => bare(),
        _ => compare(),
    }
}

fn say_where(address: SocketAddr) {
    println!("http      listening on {address}");
}

/// As its documentation has it: as many threads as clients take from one queue.
fn tiny() {
    let server = tiny_http::Server::http("127.0.0.1:0").expect("a server");
    say_where(server.server_addr().to_ip().expect("an address"));
    let header = tiny_http::Header::from_bytes("Content-Type", "application/json").expect("a field");
    thread::scope(|scope| {
        for _ in 0..64 {
            scope.spawn(|| {
                for request in server.incoming_requests() {
                    let response = tiny_http::Response::from_string(BODY).with_header(header.clone());
                    let _ = request.respond(response); // a client that left
                }
            });
        }
    });
}

fn bare() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    say_where(listener.local_addr().expect("an address"));
    let answer = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{BODY}",
        BODY.len()
    );
    for stream in listener.incoming() {
        let (mut stream, answer) = (stream.expect("a client"), answer.clone());
        stream.set_nodelay(true).expect("a socket");
        thread::spawn(move || {
            let (mut came, mut piece) = (Vec::new(), [0; 4096]);
            while let Ok(count @ 1..) = stream.read(&mut piece) {
                came.extend_from_slice(&piece[..count]);
                if came.ends_with(b"\r\n\r\n") {
                    came.clear();
                    let _ = stream.write_all(answer.as_bytes()); // a client that left
                }
            }
        });
    }
}

struct Server {
    process: Child,
    address: SocketAddr,
    _output: BufReader<ChildStdout>,
}

impl Server {
    fn start(name: &str, folder: &Path) -> Server {
        let mut command = Command::new(env::current_exe().expect("our own path"));
        command.current_dir(folder).arg(name).stdin(Stdio::piped()).stdout(Stdio::piped());
        if name == "minim" {
            command.args(["--chatPort", "0", "--httpPort", "0", "--udpPort", "off"]);
        }
        let mut process = command.spawn().expect("we can be started again");
        let mut output = BufReader::new(process.stdout.take().expect("piped"));
        let lines = output.by_ref().lines().map_while(Result::ok);
        let address =
            lines.into_iter().find_map(|line| Some(line.strip_prefix("http      listening on ")?.parse()));
        let address = address.expect("it says where it listens").expect("an address");
        Server { process, address, _output: output }
    }

    /// Requests a second over so many connections.
    fn round(&self, connections: usize, of_each: usize) -> f64 {
        let connect = |_| TcpStream::connect(self.address).expect("the server listens");
        let streams: Vec<TcpStream> = (0..connections).map(connect).collect();
        let start = Instant::now();
        thread::scope(|scope| {
            for stream in streams {
                scope.spawn(move || talk(stream, of_each, connections == 1));
            }
        });
        (connections * of_each) as f64 / start.elapsed().as_secs_f64()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// One request after the other; each answer must be whole and end with the body.
/// One that is alone asks without waiting: else its own falling asleep and waking up would be most of what is measured.
fn talk(mut stream: TcpStream, requests: usize, is_alone: bool) {
    stream.set_nodelay(true).expect("a socket");
    stream.set_nonblocking(is_alone).expect("a socket");
    let mut piece = [0; 4096];
    for _ in 0..requests {
        stream.write_all(REQUEST).expect("the server reads");
        let mut came = Vec::new();
        while !came.ends_with(BODY.as_bytes()) {
            let count = match stream.read(&mut piece) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => continue,
                count => count.expect("an answer"),
            };
            assert_ne!(count, 0, "the connection is kept: {}", came.escape_ascii());
            came.extend_from_slice(&piece[..count]);
        }
        assert!(came.starts_with(b"HTTP/1.1 200 "), "{}", came.escape_ascii());
    }
}

fn compare() {
    let folder = env::temp_dir().join(format!("minim-requests-{}", std::process::id()));
    fs::create_dir(&folder).expect("a fresh folder");
    let servers = NAMES.map(|name| Server::start(name, &folder));
    println!(
        "{:>11}{:>14}{:>14}{:>14}{:>26}",
        "connections", NAMES[0], NAMES[1], NAMES[2], "minim is, of tiny_http"
    );
    for (connections, of_each) in CROWDS {
        let mut rates = NAMES.map(|_| Vec::new());
        for _ in 0..ROUNDS {
            for (server, rates) in servers.iter().zip(&mut rates) {
                rates.push(server.round(connections, of_each));
            }
        }
        let ratio = median(rates[0].iter().zip(&rates[1]).map(|(ours, theirs)| ours / theirs).collect());
        let [ours, theirs, bare] = rates.map(median);
        println!("{connections:11}{ours:14.0}{theirs:14.0}{bare:14.0}{ratio:26.2}");
    }
    drop(servers);
    fs::remove_dir_all(&folder).expect("our own folder");
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
