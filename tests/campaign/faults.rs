//! The faults: each starts a server, puts it under load, breaks something around it again and again, and counts.
//!
//! A promise that is not kept panics, or is seen in the report.

use std::fs::{self, File};
use std::io::Write;
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use minim::limits::{IDLE_DEADLINE, LOGIN_DEADLINE};
use serde_json::json;

use crate::common::peer::Peer;
use crate::common::{IN_A_FILE, MINIM, Program, befriend, connect, read_to_end};
use crate::load::{Load, Report};
use crate::site::Site;

pub struct Fault {
    pub name: &'static str,
    pub promise: &'static str,
    pub rounds: usize,
    /// Rounds in CI.
    pub short: usize,
    pub run: fn(usize) -> Outcome,
}

pub enum Outcome {
    Counted(Report),
    /// What is missing here.
    LeftOut(&'static str),
    /// It ran in another process, which has printed its report: whether the promise was kept.
    Elsewhere(bool),
}

#[rustfmt::skip]
pub const FAULTS: [Fault; 9] = [
    Fault { name: "kill", rounds: 20, short: 3, run: kill,
        promise: "kill -9 at any moment loses and doubles nothing that was acknowledged" },
    Fault { name: "signals", rounds: 20, short: 4, run: signals,
        promise: "Ctrl-C and SIGTERM are as harmless" },
    Fault { name: "descriptors", rounds: 10, short: 2, run: descriptors,
        promise: "with 64 descriptors used up, who is online notices nothing; when some are free again, others come in" },
    Fault { name: "disk", rounds: 10, short: 2, run: disk,
        promise: "a full disk refuses messages by name; when there is room again, so it goes on" },
    Fault { name: "deaf", rounds: 5, short: 1, run: deaf,
        promise: "who never reads is cut off, keeps nobody waiting, and gets everything at the next login" },
    Fault { name: "silent", rounds: 5, short: 1, run: silent,
        promise: "300 silent connections on each port keep nobody out, and are closed in time" },
    Fault { name: "clock", rounds: 6, short: 2, run: clock,
        promise: "the wall clock a day forward and back changes neither order nor deadlines" },
    Fault { name: "database", rounds: 10, short: 2, run: database,
        promise: "MariaDB stopped and killed under it: databaseDown, and everything goes on when it is back" },
    Fault { name: "half-open", rounds: 5, short: 1, run: half_open,
        promise: "a PC whose cable is out is offline in time, and gets once, in order, what was said meanwhile" },
];

/// ACKs between two blows, of all clients together.
const ACKS: usize = 300;
/// For faults that wait for a deadline of the server: a short one.
const IMPATIENT: f64 = 0.3;

fn kill(rounds: usize) -> Outcome {
    ended_by(&["-KILL"], rounds)
}

fn signals(rounds: usize) -> Outcome {
    ended_by(&["-INT", "-TERM"], rounds)
}

/// The server, ended by these signals in turn and started again each time.
fn ended_by(signals: &[&str], rounds: usize) -> Outcome {
    let mut site = Site::start(&[], &[]);
    let load = Load::start(&site);
    for round in 0..rounds {
        load.acks(ACKS);
        site.signal(signals[round % signals.len()]);
        while site.program.next_line().is_some() {} // until its output ends, and it with it
        site.start_again();
    }
    load.acks(ACKS);
    Outcome::Counted(load.end(&site, false))
}

fn descriptors(rounds: usize) -> Outcome {
    let mut site = Site::start(&["sh", "-c", "ulimit -n 64; exec \"$0\" \"$@\""], &[]);
    let load = Load::start(&site);
    site.peer().register("newcomer");
    let mut worst = Duration::ZERO;
    for _ in 0..rounds {
        let crowd: Vec<TcpStream> = (0..100).map(|_| connect(site.chat)).collect();
        site.program.expect_error("cannot take a connection"); // once a second
        load.acks(ACKS);
        drop(crowd);
        let start = Instant::now();
        site.log_in("newcomer");
        worst = worst.max(start.elapsed());
    }
    load.acks(ACKS);
    let note = format!(" · a login behind the crowd took {worst:.1?} at most");
    Outcome::Counted(Report { note, ..load.end(&site, true) })
}

const SMALL_DISK: &str = "mount -t tmpfs -o size=16m tmpfs data && exec \"$0\" \"$@\"";

fn disk(rounds: usize) -> Outcome {
    if !may("unshare", &["-rm", "sh", "-c", "mount -t tmpfs tmpfs /mnt"]) {
        return Outcome::LeftOut("no mount namespaces here");
    }
    let site = Site::start(&["unshare", "-rm", "sh", "-c", SMALL_DISK], &IN_A_FILE);
    let load = Load::start(&site);
    let data = format!("/proc/{}/root{}/data", site.program.id(), site.folder().display());
    let filling = PathBuf::from(data).join("filling");
    for _ in 0..rounds {
        load.acks(ACKS);
        let mut file = File::create(&filling).expect("a file on the small disk");
        while file.write_all(&[0; 4096]).is_ok() {}
        load.refusal();
        fs::remove_file(&filling).expect("it goes");
        drop(file);
        load.acks(ACKS);
    }
    Outcome::Counted(load.end(&site, true))
}

fn deaf(rounds: usize) -> Outcome {
    let site = Site::start(&[], &[]);
    let load = Load::start(&site);
    let (mut deaf, mut talker) = (site.new_user("deaf"), site.new_user("talker"));
    befriend(site.http, &talker, &mut deaf);
    let (long, mut said, mut lost, mut doubled) = ("x".repeat(16_000), 0, 0, 0);
    for _ in 0..rounds {
        let mut ids = Vec::new();
        talker.take_aside();
        while !talker.put_aside().iter().any(|told| told["type"] == "FRIEND_STATE" && told["online"] == false)
        {
            let answer = talker.say(deaf.uid, &long); // who no longer hears; `deaf` reads nothing
            ids.push(answer["id"].as_u64().expect("ACK"));
        }
        deaf = site.log_in("deaf");
        let mut came = take_texts(&mut deaf);
        let all = came.len();
        came.sort_unstable();
        came.dedup();
        doubled += all - came.len();
        lost += ids.iter().filter(|id| came.binary_search(id).is_err()).count();
        said += ids.len();
    }
    load.acks(ACKS);
    drop((deaf, talker));
    let report = load.end(&site, true);
    let note = format!(" · {said} texts of 16,000 bytes to the deaf one");
    Outcome::Counted(Report { note, lost: report.lost + lost, doubled: report.doubled + doubled, ..report })
}

/// The ids of all texts that wait for a user, who says that they have come.
fn take_texts(peer: &mut Peer) -> Vec<u64> {
    let mut all = Vec::new();
    loop {
        peer.fence();
        let told = peer.take_aside();
        let texts = told.iter().filter(|message| message["type"] == "CHAT_SEND_MSG");
        let ids: Vec<u64> = texts.map(|message| message["id"].as_u64().expect("an id")).collect();
        if ids.is_empty() {
            return all;
        }
        ids.chunks(500).for_each(|ids| peer.received(ids));
        all.extend(ids);
    }
}

fn silent(rounds: usize) -> Outcome {
    let site = Site::start(&[], &["--patience", &IMPATIENT.to_string()]);
    let load = Load::start(&site);
    site.peer().register("newcomer");
    let (mut worst_login, mut last_closed) = (Duration::ZERO, Duration::ZERO);
    for _ in 0..rounds {
        let crowd =
            [site.chat, site.http].map(|port| (0..300).map(|_| connect(port)).collect::<Vec<TcpStream>>());
        let start = Instant::now(); // the queue of 128 overflows: the crowd itself takes seconds to come
        site.log_in("newcomer");
        worst_login = worst_login.max(start.elapsed());
        load.acks(ACKS);
        for mut stream in crowd.into_iter().flatten() {
            read_to_end(&mut stream);
        }
        last_closed = last_closed.max(start.elapsed());
    }
    let deadline = LOGIN_DEADLINE.mul_f64(IMPATIENT);
    let note = format!(
        " · a login took {worst_login:.1?}, the last was closed after {last_closed:.1?} ({deadline:?})"
    );
    Outcome::Counted(Report { note, ..load.end(&site, true) })
}

fn clock(rounds: usize) -> Outcome {
    let Some(library) = faketime() else { return Outcome::LeftOut("no libfaketime here") };
    let place = std::env::temp_dir().join(format!("minim-clock-{}", std::process::id()));
    let set = |shift: &str| {
        let new = place.with_extension("new");
        fs::write(&new, shift).and_then(|()| fs::rename(&new, &place)).expect("the clock's file");
    };
    set("+0");
    let preload = format!("LD_PRELOAD={}", library.display());
    let file = format!("FAKETIME_TIMESTAMP_FILE={}", place.display());
    let words = [
        "env",
        &preload,
        &file,
        "FAKETIME_NO_CACHE=1",
        "FAKETIME_DONT_FAKE_MONOTONIC=1",
        "DONT_FAKE_MONOTONIC=1",
    ];
    let site = Site::start(&words, &["--patience", &IMPATIENT.to_string()]);
    let load = Load::start(&site);
    let (mut one, mut other) = (site.new_user("one"), site.new_user("other"));
    befriend(site.http, &one, &mut other);
    let deadline = LOGIN_DEADLINE.mul_f64(IMPATIENT);
    let (mut earlier, mut earlier_id, mut note) = (0, 0, String::new());
    for round in 0..rounds {
        let (start, mut stranger) = (Instant::now(), connect(site.chat));
        let stranger = thread::spawn(move || {
            read_to_end(&mut stranger);
            start.elapsed()
        });
        load.acks(ACKS);
        set(["+1d", "-1d"][round % 2]);
        load.acks(ACKS);
        let answer = one.say(other.uid, "what time is it?");
        let (id, time) = (answer["id"].as_u64().expect("ACK"), answer["sendTime"].as_u64().expect("a time"));
        let jump = (time as f64 - earlier as f64) / 86_400_000.0;
        if round > 0 {
            assert!(id > earlier_id, "{id} behind {earlier_id}");
            note = format!(" · the server's times jumped by {:.0} days", jump.abs());
            assert!(jump.abs() > 1.5, "no jump: {jump}");
        }
        (earlier, earlier_id) = (time, id);
        let lived = stranger.join().expect("closed in time");
        assert!(
            lived > deadline.mul_f64(0.9) && lived < deadline * 2,
            "closed after {lived:?}, not {deadline:?}"
        );
    }
    drop((one, other));
    let report = load.end(&site, true);
    let _ = fs::remove_file(place);
    Outcome::Counted(Report { note, ..report })
}

/// Where Debian's package faketime keeps its library.
fn faketime() -> Option<PathBuf> {
    let folders = fs::read_dir("/usr/lib").ok()?;
    let library = |folder: fs::DirEntry| folder.path().join("faketime/libfaketime.so.1");
    folders.flatten().map(library).find(|path| path.exists())
}

fn database(rounds: usize) -> Outcome {
    let Ok(pid_file) = std::env::var("MINIM_TEST_DATABASE_PID") else {
        return Outcome::LeftOut("no database server: run this under tests/mariadb.sh");
    };
    let site = Site::start(&[], &[]);
    let load = Load::start(&site);
    for round in 0..rounds {
        load.acks(ACKS);
        let pid = fs::read_to_string(&pid_file).expect("its process id");
        let signal = ["-TERM", "-KILL"][round % 2];
        assert!(Command::new("kill").args([signal, pid.trim()]).status().expect("kill").success());
        load.refusal();
    }
    load.acks(ACKS);
    Outcome::Counted(load.end(&site, true))
}

/// Set where there are two PCs.
const INSIDE: &str = "MINIM_CAMPAIGN_INSIDE";

/// Two PCs on one cable: the server's end is `server0`, the other is in the namespace `pc`.
const TWO_PCS: &str = r#"
set -e
mount -t tmpfs none /run
mkdir -p /run/netns
ip link set lo up
ip netns add pc
ip link add server0 type veth peer name eth0 netns pc
ip addr add 10.9.0.1/24 dev server0
ip link set server0 up
ip -n pc addr add 10.9.0.2/24 dev eth0
ip -n pc link set eth0 up
exec "$0" half-open "$@"
"#;

/// Runs this program once more where there are two PCs.
fn half_open(rounds: usize) -> Outcome {
    if std::env::var_os(INSIDE).is_some() {
        return with_two_pcs(rounds);
    }
    if !may("unshare", &["-Urnm", "ip", "link", "add", "x", "type", "veth"]) {
        return Outcome::LeftOut("no network namespaces here");
    }
    let mut inside = Command::new("unshare");
    inside.args(["-Urnm", "--kill-child", "-f", "bash", "-c", TWO_PCS]);
    inside.arg(std::env::current_exe().expect("this program"));
    inside.args(std::env::args().filter(|word| word == "short")).env(INSIDE, "");
    Outcome::Elsewhere(inside.status().expect("unshare").success())
}

fn with_two_pcs(rounds: usize) -> Outcome {
    let patience = 0.1;
    let words = ["--patience", "0.1"];
    let site = Site::start(&[], &[&words[..], &["--serverIp", "10.9.0.1"], &IN_A_FILE].concat());
    let load = Load::start(&site);
    let (mut alice, mut bob) = (site.new_user("alice"), site.new_user("bob"));
    befriend(site.http, &alice, &mut bob);
    let ports = [site.chat, site.http].map(|address| address.port().to_string());
    let mut console = Command::new("ip");
    console.args(["netns", "exec", "pc", MINIM, "client", "--serverIp", "10.9.0.1", "--lang", "en"]);
    console.args(["--chatPort", &ports[0], "--httpPort", &ports[1]]).args(words);
    let mut console = Program::run(site.folder(), console);
    console.line("/login bob \"bob's password\"");
    console.expect("logged in as bob");
    console.line("/open alice");
    console.expect("talking to");
    let (mut texts, mut last_seen) = (Vec::new(), Duration::ZERO);
    for round in 0..rounds {
        alice.fence();
        alice.take_aside();
        cable("down");
        let start = Instant::now();
        say(&mut alice, bob.uid, format!("{round} when the cable is just out"), &mut texts);
        wait_until_offline(&mut alice);
        last_seen = last_seen.max(start.elapsed());
        for number in 0..20 {
            say(&mut alice, bob.uid, format!("{round}.{number} while it is out"), &mut texts);
        }
        cable("up");
        console.expect(texts.last().expect("a text"));
        load.acks(ACKS);
    }
    console.line("/quit");
    console.end_of_input();
    while console.next_line().is_some() {}
    let seen: Vec<&String> = console
        .transcript
        .iter()
        .filter(|line| line.contains(" the cable is ") || line.contains(" while it "))
        .collect();
    let lost = texts.iter().filter(|text| !seen.iter().any(|line| line.ends_with(text.as_str()))).count();
    let doubled = seen.len() - (texts.len() - lost);
    assert!(seen.iter().zip(&texts).all(|(line, text)| line.ends_with(text.as_str())), "in order: {seen:?}");
    drop((alice, bob));
    let report = load.end(&site, true);
    let deadline = IDLE_DEADLINE.mul_f64(patience);
    let note = format!(" · offline after {last_seen:.1?} at most ({deadline:?})");
    Outcome::Counted(Report { note, lost: report.lost + lost, doubled: report.doubled + doubled, ..report })
}

/// Until her friend is, and answers the server's PINGs meanwhile.
fn wait_until_offline(alice: &mut Peer) {
    loop {
        let told = alice.receive().expect("the server is there");
        match told["type"].as_str() {
            Some("FRIEND_STATE") if told["online"] == false => return,
            Some("PING") => alice.send(json!({"type": "PONG"})),
            _ => {}
        }
    }
}

fn say(alice: &mut Peer, to: u64, text: String, texts: &mut Vec<String>) {
    assert_eq!(alice.say(to, &text)["type"], "ACK");
    texts.push(text);
}

/// Pulls the cable at the client's end, or puts it in again.
fn cable(state: &str) {
    let status = Command::new("ip").args(["-n", "pc", "link", "set", "eth0", state]).status();
    assert!(status.expect("ip").success());
}

/// Whether the system lets us do this.
fn may(program: &str, words: &[&str]) -> bool {
    let tried = Command::new(program).args(words).stdout(Stdio::null()).stderr(Stdio::null()).status();
    tried.is_ok_and(|status| status.success())
}
