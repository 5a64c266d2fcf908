//! A server whose surroundings a fault can change: the words in front of `minim server` set limits, mounts or the clock.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use crate::common::peer::Peer;
use crate::common::{DEADLINE, Folder, MINIM, PASSPHRASE, Program, TestDatabase, listening};

pub struct Site {
    pub program: Program,
    pub chat: SocketAddr,
    pub http: SocketAddr,
    /// The words up to `minim`; the first is it, or a program that becomes it.
    before: Vec<String>,
    options: Vec<String>,
    folder: Folder,
    _database: Option<TestDatabase>,
}

/// What the system says of the server's process.
#[derive(Clone, Copy)]
pub struct Size {
    /// Memory that it holds, in KiB.
    pub memory: u64,
    pub threads: u64,
}

impl Site {
    pub fn start(before: &[&str], options: &[&str]) -> Site {
        let owned = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect::<Vec<String>>();
        let before = owned(&[before, &[MINIM]].concat());
        let (folder, mut options) = (Folder::new(), owned(options));
        fs::create_dir(folder.path().join("data")).expect("a folder"); // a fault may mount something there
        let database = TestDatabase::unless_given(&mut options);
        let (program, chat, http) = start(&folder, &before, &options, [0, 0]);
        Site { program, chat, http, before, options, folder, _database: database }
    }

    /// The same server once more: same folder, same ports. Whatever is left of the first is killed.
    pub fn start_again(&mut self) {
        self.program.kill();
        let ports = [self.chat.port(), self.http.port()];
        self.program = start(&self.folder, &self.before, &self.options, ports).0;
    }

    /// Sends a signal to the server.
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill").args([name, &self.program.id().to_string()]).status();
        assert!(status.expect("kill").success());
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A client that has said hello.
    pub fn peer(&self) -> Peer {
        Peer::connect(self.chat, PASSPHRASE)
    }

    /// Registers a user, who then logs in.
    pub fn new_user(&self, login_name: &str) -> Peer {
        self.peer().register(login_name);
        self.log_in(login_name)
    }

    /// Logs in over a new connection, and waits until all that this tells others is told.
    pub fn log_in(&self, login_name: &str) -> Peer {
        let mut peer = self.peer();
        peer.login(login_name);
        peer.fence();
        peer
    }

    pub fn size(&self) -> Size {
        let status = fs::read_to_string(format!("/proc/{}/status", self.program.id())).expect("its status");
        let number = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("a line of status");
            line.split_whitespace().next().and_then(|word| word.parse().ok()).expect("a number")
        };
        Size { memory: number("VmRSS:"), threads: number("Threads:") }
    }
}

fn start(
    folder: &Folder,
    before: &[String],
    options: &[String],
    ports: [u16; 2],
) -> (Program, SocketAddr, SocketAddr) {
    let [chat, http] = ports.map(|port| port.to_string());
    let words = ["server", "--chatPort", &chat, "--httpPort", &http, "--udpPort", "off", "--patience", "5"];
    let mut command = Command::new(&before[0]);
    command.args(&before[1..]).args(words).args(options);
    listening(Program::run(folder.path(), command))
}

/// Asks again and again, for what nobody tells.
pub fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !is_so() {
        assert!(Instant::now() < deadline, "not within {DEADLINE:?}: {what}");
        std::thread::yield_now();
    }
}
