//! The Wireshark dissector, by tshark: a real conversation, recorded, cut into segments at awkward places, and written as a
//! capture. Where there is no tshark this is left out, and says so.

#![cfg(feature = "sqlite")] // where the servers of these tests keep their data, unless MINIM_TEST_DATABASE is set

mod common;

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

use common::peer::Peer;
use common::{PASSPHRASE, Server};
use minim::md5_check::hex;
use minim::wire::{CLIENT_HELLO, MAGIC, SERVER_HELLO};
use serde_json::json;

/// Bytes that passed: on which connection, whether from the server, and what.
type Passed = Arc<Mutex<Vec<(u16, bool, Vec<u8>)>>>;

/// A relay that keeps all that passes, in order.
fn record(server: SocketAddr) -> (SocketAddr, Passed) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let passed = Passed::default();
    let all = passed.clone();
    thread::spawn(move || {
        for (number, client) in (0..).zip(listener.incoming().map_while(Result::ok)) {
            let Ok(server) = TcpStream::connect(server) else { return };
            for is_server in [false, true] {
                let (from, to) = if is_server { (&server, &client) } else { (&client, &server) };
                let (from, to) = (from.try_clone().expect("a clone"), to.try_clone().expect("a clone"));
                let passed = passed.clone();
                thread::spawn(move || pass(from, to, number, is_server, &passed));
            }
        }
    });
    (address, all)
}

fn pass(mut from: TcpStream, mut to: TcpStream, number: u16, is_server: bool, passed: &Passed) {
    let mut piece = [0; 4096];
    while let Ok(count @ 1..) = from.read(&mut piece) {
        passed.lock().expect("no panic").push((number, is_server, piece[..count].to_vec()));
        if to.write_all(&piece[..count]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}

/// A capture file (libpcap): Ethernet, IPv4, TCP or UDP, checksums left out.
struct Capture {
    bytes: Vec<u8>,
    /// Next TCP sequence number, by connection and direction.
    next: std::collections::HashMap<(u16, bool), u32>,
}

impl Capture {
    fn new() -> Capture {
        let header = [0xa1b2_c3d4_u32, 0x0002_0004, 0, 0, 65_535, 1]; // version 2.4, Ethernet
        let bytes = header.iter().flat_map(|word| word.to_be_bytes()).collect();
        Capture { bytes, next: Default::default() }
    }

    fn packet(&mut self, protocol: u8, transport: &[u8]) {
        let number = self.bytes.len() as u32;
        let length = 20 + transport.len() as u16;
        let mut packet = [[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2].as_slice(), &[8, 0, 0x45, 0]].concat();
        packet.extend(length.to_be_bytes());
        packet.extend([0, 0, 0x40, 0, 64, protocol, 0, 0, 127, 0, 0, 1, 127, 0, 0, 1]);
        packet.extend(transport);
        let size = packet.len() as u32;
        self.bytes.extend([0, number, size, size].iter().flat_map(|word| word.to_be_bytes()));
        self.bytes.extend(packet);
    }

    fn segment(&mut self, connection: u16, is_server: bool, port: u16, data: &[u8]) {
        let client = 40_000 + connection;
        let (from, to) = if is_server { (port, client) } else { (client, port) };
        let sequence = *self.next.entry((connection, is_server)).or_insert(1);
        self.next.insert((connection, is_server), sequence + data.len() as u32);
        let ack = *self.next.entry((connection, !is_server)).or_insert(1);
        let mut segment = [from.to_be_bytes(), to.to_be_bytes()].concat();
        segment.extend([sequence.to_be_bytes(), ack.to_be_bytes()].concat());
        segment.extend([0x50, 0x18, 0xff, 0xff, 0, 0, 0, 0]); // 20 bytes of header, PSH and ACK
        segment.extend(data);
        self.packet(6, &segment);
    }

    fn datagram(&mut self, port: u16, data: &[u8]) {
        let mut datagram = [40_000_u16, port, 8 + data.len() as u16, 0]
            .iter()
            .flat_map(|word| word.to_be_bytes())
            .collect::<Vec<u8>>();
        datagram.extend(data);
        self.packet(17, &datagram);
    }
}

/// The frames of one direction, behind its hello.
fn frames(bytes: &[u8], hello: usize) -> Vec<Vec<u8>> {
    let mut rest = &bytes[hello..];
    let mut frames = Vec::new();
    while !rest.is_empty() {
        let length = u32::from_be_bytes(rest[..4].try_into().expect("four bytes")) as usize;
        let (frame, behind) = rest.split_at(4 + length);
        frames.push(frame.to_vec());
        rest = behind;
    }
    frames
}

fn tshark(capture: &Path, words: &[&str]) -> String {
    let script = format!("lua_script:{}/labs/wireshark/minim.lua", env!("CARGO_MANIFEST_DIR"));
    let mut tshark = Command::new("tshark");
    tshark.args(["-X", &script, "-r"]).arg(capture).args(words);
    let output = tshark.output().expect("tshark");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && !errors.contains("Lua"), "{errors}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The rows that tshark shows of the frames of a capture: port of the client, direction, number, length, and the parts.
fn frames_seen(capture: &Path) -> Vec<String> {
    let wanted =
        ["minim.direction", "minim.sequence", "minim.length", "minim.iv", "minim.ciphertext", "minim.mac"];
    let mut words = vec![
        "-Y",
        "minim.length",
        "-T",
        "fields",
        "-E",
        "aggregator=;",
        "-e",
        "tcp.srcport",
        "-e",
        "tcp.dstport",
    ];
    wanted.iter().for_each(|name| words.extend(["-e", name]));
    let mut seen = Vec::new();
    for line in tshark(capture, &words).lines() {
        let columns: Vec<Vec<&str>> = line.split('\t').map(|column| column.split(';').collect()).collect();
        let client =
            columns[..2].iter().map(|port| port[0].parse::<u16>().expect("a port")).max().expect("two");
        for place in 0..columns[2].len() {
            let row: Vec<&str> = columns[2..].iter().map(|column| column[place]).collect();
            seen.push(format!("{client}\t{}", row.join("\t")));
        }
    }
    seen.sort();
    seen
}

#[test]
fn tshark_sees_the_frames_that_were_sent_each_part_in_its_place() {
    let there = Command::new("tshark").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if !there.is_ok_and(|status| status.success()) {
        eprintln!("left out: there is no tshark here");
        return;
    }
    let server = Server::start();
    let (chat, passed) = record(server.chat);
    let (http, passed_http) = record(server.http);
    common::friends(&server);
    let mut alice = Peer::connect(chat, PASSPHRASE);
    alice.log_in_with("alice", "123456");
    let long = "很长的消息。".repeat(700);
    for text in ["你好", &long, "x"] {
        assert_eq!(alice.say(2, text)["type"], "ACK");
    }
    alice.request(json!({"type": "LOGOUT"}));
    alice.expect_closed();
    let ask = format!("GET /checkLoginName?loginName=y HTTP/1.1\r\nHost: {http}\r\n\r\n");
    let mut sealed = Peer::connect(http, PASSPHRASE);
    for piece in [ask.as_bytes(), &ask.as_bytes()[..20], &ask.as_bytes()[20..]] {
        sealed.send_body(piece); // where a frame ends means nothing to HTTP
    }
    for _ in 0..2 {
        assert!(sealed.receive_body().is_some_and(|body| body.starts_with(b"HTTP/1.1 200 ")));
    }
    drop(sealed);
    let plain =
        format!("GET /checkLoginName?loginName=x HTTP/1.1\r\nHost: {http}\r\nConnection: close\r\n\r\n");
    common::raw_http(http, plain.as_bytes());

    let mut capture = Capture::new();
    let cuts = [1, 3, 5, 7, 40, 2, 100, 1000, 4, 8, 60];
    let mut cut = cuts.iter().cycle();
    let mut sent = std::collections::BTreeMap::new();
    for (port, offset, passed) in [(8888, 0, &passed), (8080, 1000, &passed_http)] {
        for (connection, is_server, bytes) in passed.lock().expect("no panic").iter() {
            let key = (connection + offset, *is_server);
            sent.entry(key).or_insert_with(Vec::new).extend(bytes);
            let is_ours = sent.get(&(key.0, false)).is_some_and(|bytes| bytes.starts_with(&MAGIC));
            let mut rest = &bytes[..];
            if !is_ours {
                capture.segment(key.0, *is_server, port, rest); // how HTTP is cut is not our affair
                continue;
            }
            while !rest.is_empty() {
                let (piece, behind) = rest.split_at(rest.len().min(*cut.next().expect("for ever")));
                capture.segment(connection + offset, *is_server, port, piece);
                rest = behind;
            }
        }
    }
    capture.datagram(8889, br#"{"type":"WHO"}"#);
    let file = server.folder().join("minim.pcap");
    fs::write(&file, &capture.bytes).expect("written");

    let mut expected = Vec::new();
    for ((connection, is_server), bytes) in &sent {
        if !bytes.starts_with(&MAGIC) {
            continue; // plain HTTP
        }
        let direction = if *is_server { "server" } else { "client" };
        let hello = if *is_server { SERVER_HELLO } else { CLIENT_HELLO };
        for (number, frame) in frames(bytes, hello).iter().enumerate() {
            let (length, mac) = (frame.len() - 4, frame.len() - 16);
            let parts = [&frame[4..12], &frame[12..mac], &frame[mac..]].map(hex).join("\t");
            expected.push(format!("{}\t{direction}\t{number}\t{length}\t{parts}", 40_000 + connection));
        }
    }
    assert!(expected.len() > 12 && sent.values().any(|bytes| bytes.starts_with(b"GET ")), "{expected:?}");
    expected.sort();
    assert_eq!(frames_seen(&file), expected);
    // One segment that ends a frame and holds all that come behind it.
    let mut other_cut = Capture::new();
    for ((connection, is_server), bytes) in &sent {
        if bytes.starts_with(&MAGIC) {
            let (start, rest) = bytes.split_at(50);
            let port = if *connection < 1000 { 8888 } else { 8080 };
            other_cut.segment(*connection, *is_server, port, start);
            other_cut.segment(*connection, *is_server, port, rest);
        }
    }
    let other_file = server.folder().join("other.pcap");
    fs::write(&other_file, &other_cut.bytes).expect("written");
    assert_eq!(frames_seen(&other_file), expected);
    assert_eq!(tshark(&file, &["-Y", "_ws.malformed || minim.length.bad"]), "", "nothing is malformed");
    let hellos = tshark(&file, &["-Y", "minim.proof", "-T", "fields", "-e", "minim.serverNonce"]);
    let sealed = sent.iter().filter(|((_, is_server), bytes)| *is_server && bytes.starts_with(&MAGIC));
    assert_eq!(hellos.lines().count(), sealed.count());
    assert_eq!(
        tshark(&file, &["-Y", "http.request", "-T", "fields", "-e", "http.request.uri"]).trim(),
        "/checkLoginName?loginName=x"
    );
    assert!(tshark(&file, &["-Y", "minimudp && json.value.string == \"WHO\""]).contains("minim"));
}
