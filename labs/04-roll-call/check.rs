//! Lab 04, the check: ROLL asked of a real server, and `minim roll` answered by servers that the check plays. That a datagram gets
//! no answer is shown by the answer to one that was sent behind it from the same socket, never by waiting.

#[path = "../../tests/common/mod.rs"]
mod common;
#[path = "../variant.rs"]
mod variant;

use std::net::{SocketAddr, UdpSocket};
use std::panic::{AssertUnwindSafe, catch_unwind};

use common::{DEADLINE, Folder, Program, Server, run};
use serde_json::{Value, from_slice, json};
use variant::part;

const WHO: &[u8] = br#"{"type":"WHO"}"#;
const LINE: &str = "exit code 0\nlab at 127.0.0.1:9000, HTTP 1, 2 online";

/// Fails with the id, what was sent, what came, what should have come, and where it is written.
fn expect(is_right: bool, id: &str, sent: &str, came: impl std::fmt::Display, expected: &str) {
    assert!(
        is_right,
        "\n    {id} · sent: {sent}\n       came: {came}\n       expected: {expected}\n    Contract {id} in labs/04-roll-call/README.md"
    );
}

/// A server that hears datagrams, and where.
fn server(name: &str) -> (Server, SocketAddr) {
    let mut server = Server::with(&["--udpPort", "0", "--name", name, "--trace", "steps"]);
    let line = server.program.expect("udp       listening on ");
    (server, line.rsplit(' ').next().expect("an address").parse().expect("an address"))
}

fn socket(address: &str) -> UdpSocket {
    let socket = UdpSocket::bind(address).expect("a port");
    socket.set_read_timeout(Some(DEADLINE / 3)).expect("a deadline");
    socket
}

/// A ROLL of so many bytes.
fn roll(nonce: impl Into<Value>, length: usize) -> Vec<u8> {
    let mut roll = json!({"type": "ROLL", part("lab04.nonce"): nonce.into(), "pad": ""});
    roll["pad"] = "x".repeat(length - roll.to_string().len()).into();
    roll.to_string().into_bytes()
}

/// `server`: its name, chatPort and httpPort.
fn present(nonce: &str, server: &Value, online: u64) -> Value {
    json!({"type": "PRESENT", part("lab04.nonce"): nonce, "name": server[0], "chatPort": server[1],
        "httpPort": server[2], "online": online})
}

/// Sends these, and WHO behind them: a PRESENT must come with each of these nonces, then HERE, and nothing else. That HERE.
fn ask(id: &str, to: SocketAddr, sent: &str, questions: &[Vec<u8>], nonces: &[&str], online: u64) -> Value {
    let (asker, mut bytes, mut came) = (socket("127.0.0.1:0"), [0; 2000], Vec::<Value>::new());
    for question in questions.iter().map(Vec::as_slice).chain([WHO]) {
        let _ = asker.send_to(question, to); // some systems send no 65,000 bytes
    }
    while came.last().is_none_or(|last| last["type"] != "HERE")
        && let Ok((length, _)) = asker.recv_from(&mut bytes)
    {
        let answer = &bytes[..length.min(1400)]; // what is longer is no JSON any more
        came.push(from_slice(answer).unwrap_or_else(|_| String::from_utf8_lossy(answer).into()));
    }
    let here = came.last().filter(|last| last["type"] == "HERE").cloned().unwrap_or(json!("HERE"));
    let server = json!([here["name"], here["chatPort"], here["httpPort"]]);
    let expected = nonces.iter().map(|nonce| present(nonce, &server, online)).chain([here]).collect();
    let (came, expected): (Value, Value) = (came.into(), expected);
    expect(came == expected, id, &format!("{sent}; then WHO"), came, &expected.to_string());
    server
}

/// `minim roll` asks the first of `at`. From there come junk and lies, and then the answers of servers: number of the socket; name,
/// chatPort and httpPort; online. It must end with this code and these lines. Its nonce, and what it says on standard error.
fn call(id: &str, at: &[UdpSocket], until: &str, servers: &[(usize, Value, u64)], end: &str) -> [String; 2] {
    let (own, mut bytes) = (at[0].local_addr().expect("an address"), [0; 2000]);
    let words = format!("roll --to {own} {until}");
    let program = Program::start(Folder::new().path(), &words.split(' ').collect::<Vec<_>>(), &[]);
    let (length, asker) = at[0].recv_from(&mut bytes).unwrap_or((0, own)); // nothing came: its end shows why
    let question: Value = from_slice(&bytes[..length]).unwrap_or_default();
    let nonce = question[part("lab04.nonce")].as_str().unwrap_or_default();
    _ = [&b""[..], b"\xff\xfe", b"[]", WHO, &bytes[..length]].map(|junk| at[0].send_to(junk, asker));
    let wrong = [&*"0".repeat(32), &format!("{nonce}x"), nonce.get(1..).unwrap_or("x"), ""];
    let lies = wrong.map(|wrong| (0, present(wrong, &json!(["liar", 1, 2]), 3))).into_iter();
    let truth = servers.iter().map(|(number, server, online)| (*number, present(nonce, server, *online)));
    let mut sent = format!("minim {words}, whose nonce was {nonce:?}; it got junk, and");
    for (number, answer) in lies.chain(truth) {
        sent += &format!("\n         from {} {answer}", at[number].local_addr().expect("an address"));
        at[number].send_to(answer.to_string().as_bytes(), asker).expect("sent");
    }
    let ended = catch_unwind(AssertUnwindSafe(|| program.finish())); // the harness panics where nothing ends
    let (code, lines, errors) = ended.unwrap_or((-1, Vec::new(), "it does not end".to_owned()));
    let came = format!("exit code {code}\n{}", lines.join("\n"));
    expect(came == end, id, &sent, format!("{came}\n{errors}"), end);
    [nonce.to_owned(), errors]
}

#[test]
fn a1_who_asks_is_answered_at_the_port_that_asked_with_its_nonce() {
    let (_server, to) = server("lab-server");
    let bare =
        |nonce| json!({"type": "ROLL", part("lab04.nonce"): nonce, "more": 5}).to_string().into_bytes();
    let (some, others) = (["n", "课设 \"\\\n"], ["another", &"n".repeat(64)]);
    ask("a1", to, "two ROLL", &some.map(|nonce| roll(nonce, 200)), &some, 0);
    ask("a1", to, "two ROLL without pad", &others.map(bare), &others, 0);
}

#[test]
fn a2_junk_gets_no_answer_and_hurts_nothing() {
    let (_server, to) = server("lab-server");
    let bad = roll("ff", 200).iter().map(|byte| if *byte == b'f' { 0xff } else { *byte }).collect();
    let no_question = present("no question", &json!(["other", 1, 2]), 3).to_string().into_bytes();
    let junk = [vec![], vec![b'x'; 65_000], b"[]".to_vec(), bad, no_question, roll("1,401 bytes", 1401)];
    let nonces = [json!(5), json!(null), json!(""), json!("课".repeat(22))].map(|nonce| roll(nonce, 300));
    for junk in junk.into_iter().chain(nonces) {
        let sent = format!("{:.90} …; then ROLL with \"right\"", String::from_utf8_lossy(&junk));
        ask("a2", to, &sent, &[junk, roll("right", 200)], &["right"], 0);
    }
}

#[test]
fn a3_the_longest_name_and_nonce_fit() {
    let (_server, to) = server(&"𠮷".repeat(50));
    let nonces = [&*"课".repeat(21), &"\u{1}".repeat(64)];
    ask("a3", to, "two ROLL of 1,400 bytes", &nonces.map(|nonce| roll(nonce, 1400)), &nonces, 0);
}

#[test]
fn a4_online_counts_users() {
    let (server, to) = server("lab-server");
    let online = |online, sent: &str| _ = ask("a4", to, sent, &[roll("n", 200)], &["n"], online);
    let mut stranger = server.peer();
    online(0, "ROLL; one connection, not logged in");
    let (_elsewhere, mut bob) = server.alice_and_bob();
    let mut alice = server.log_in("alice");
    stranger.resume(&alice.session_id);
    alice.expect("FRIEND_STATE"); // Bob is online
    online(2, "ROLL; Bob, and Alice, who has logged in twice, and has a connection for files");
    bob.request(json!({"type": "LOGOUT"}));
    alice.expect("FRIEND_STATE"); // he is offline
    online(1, "ROLL; Bob has logged out");
}

#[test]
fn a5_each_server_is_one_line_by_name_then_port() {
    let servers = [
        (0, json!(["lab", 10000, 1]), 3),
        (0, json!(["lab", 10000, 1]), 4),
        (0, json!(["again", 10000, 1]), 3),
        (1, json!(["lab", 10000, 2]), 0),
        (0, json!(["lab", 9001, 3]), 1),
        (0, json!(["exam\u{1b}[2J", 9002, 4]), 7000),
    ];
    let lines = "exit code 0\n\"exam\\x1b[2J\" at 127.0.0.1:9002, HTTP 4, 7000 online\n\
        lab at 127.0.0.1:9001, HTTP 3, 1 online\nlab at 127.0.0.1:10000, HTTP 1, 3 online\n\
        lab at 127.0.0.2:10000, HTTP 2, 0 online";
    call("a5", &[socket("127.0.0.1:0"), socket("127.0.0.2:0")], "--count 4 --wait 100000", &servers, lines);
}

#[test]
fn a6_wrong_nonces_and_junk_are_ignored() {
    let (at, lab) = ([socket("127.0.0.1:0")], [(0, json!(["lab", 9000, 1]), 2)]);
    let [first, second] = [(); 2].map(|()| call("a6", &at, "--count 1 --wait 100000", &lab, LINE));
    expect(first[0] != second[0], "a6", "minim roll, twice", &first[0], "another nonce each time");
}

#[test]
fn a7_where_nobody_answers_that_is_said_and_a_few_are_shown() {
    let [_, errors] = call("a7", &[socket("127.0.0.1:0")], "--count 1 --wait 1", &[], "exit code 1\n");
    expect(errors.contains("127.0.0.1:"), "a7", "minim roll, unheard", errors, "a sentence with the address");
    call("a7", &[socket("127.0.0.1:0")], "--count 2 --wait 3000", &[(0, json!(["lab", 9000, 1]), 2)], LINE);
}

#[test]
fn a8_no_answer_is_longer_than_three_times_the_question() {
    let (_server, to) = server(&"𠮷".repeat(50));
    let server = ask("a8", to, "nothing", &[], &[], 0);
    for nonce in ["n", "nn", "nnn"] {
        let third = present(nonce, &server, 0).to_string().len().div_ceil(3);
        let questions = [roll(nonce.to_uppercase(), third - 1), roll(nonce, third)];
        ask("a8", to, &format!("ROLL of {} bytes, then of {third}", third - 1), &questions, &[nonce], 0);
    }
    let words = ["roll", "--to", &to.to_string(), "--count", "1", "--wait", "10000"];
    let end = run(Folder::new().path(), &words);
    expect(end.0 == 0, "a8", &words.join(" "), format!("{end:?}"), "a line: its ROLL has room for any name");
}

#[test]
fn a9_the_brake_counts_who_and_roll_together() {
    let (asker, (mut server, to)) = (socket("127.0.0.1:0"), server("lab-server"));
    for _ in 0..40 {
        let questions = [vec![roll("n", 200)], vec![WHO.to_vec(); 49]].concat();
        questions.iter().for_each(|question| _ = asker.send_to(question, to).expect("sent"));
        questions.iter().for_each(|_| server.program.expect_error("recvfrom(U, ")); // more at once could be lost
    }
    let is_answer = |line: &&str| line.contains("sendto(U, ") && line.ends_with("PRESENT");
    let count = server.errors().lines().filter(is_answer).count();
    let expected = "some, but not 40: there are 100 answers a second, to WHO and ROLL together";
    expect((1..40).contains(&count), "a9", "40 times ROLL and 49 WHO", format!("{count} PRESENT"), expected);
}
