//! minim's server as a process of its own, on a fresh folder: the bench itself, started again with a hidden first word.

use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use minim::config::{self, Database};

/// The word by which this program becomes the server.
const SERVER: &str = "--be-the-server";

/// Whether these words make this program the server; it has been that then, until it was ended.
pub fn was_server(words: &[String]) -> bool {
    let is_server = words.first().is_some_and(|word| word == SERVER);
    if is_server {
        let config = config::read("server", &words[1..]).expect("our own options").expect("no --help").0;
        minim::server::run(config).expect("a server");
    }
    is_server
}

/// Gone with all that is in it at the end, however that comes.
pub struct Folder(pub PathBuf);

impl Folder {
    pub fn new(name: &str) -> Folder {
        let folder = Folder(env::temp_dir().join(format!("minim-{name}-{}", std::process::id())));
        fs::create_dir(&folder.0).expect("a fresh folder");
        folder
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A server that runs.
pub struct Process {
    pub child: Child,
    pub chat: SocketAddr,
    /// Open, so that the server can say what it wants to.
    _output: BufReader<ChildStdout>,
}

impl Process {
    pub fn start(folder: &Path, database: &Database, options: &[&str]) -> Process {
        let database = match database {
            Database::Sqlite(path) => format!("sqlite:{}", path.display()),
            Database::Mysql(url) => url.clone(),
        };
        let mut command = Command::new(env::current_exe().expect("our own path"));
        command.args([SERVER, "--chatPort", "0", "--httpPort", "0", "--udpPort", "off"]).args(options);
        command.args(["--database", &database, "--dataDir"]).arg(folder.join("data"));
        command.current_dir(folder); // no server.conf there
        let spawned = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = spawned.expect("we can be started again");
        let mut output = BufReader::new(child.stdout.take().expect("piped"));
        let mut said = output.by_ref().lines().map_while(Result::ok);
        let chat = said.find_map(|line| Some(line.strip_prefix("chat      listening on ")?.parse()));
        let chat = chat.expect("the server says where it listens").expect("an address");
        Process { child, chat, _output: output }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
