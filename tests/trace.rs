//! The trace: its grammar, its story, what it never shows below `frames`, and, on Linux, that each of its lines is a call which
//! the system saw.

#![cfg(feature = "sqlite")] // where the servers of these tests keep their data, unless MINIM_TEST_DATABASE is set

mod common;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};

use common::peer::Peer;
use common::{Folder, MINIM, PASSPHRASE, Program, Server, befriend, connect, friends, read_to_end, run};
use minim::md5_check::hex;
use minim::trace::{self, Frame, HttpView, Level, View};
use minim::wire::{self, Secret};
use serde_json::json;

/// A line of the trace, taken apart.
#[derive(Debug, Clone)]
struct Line {
    thread: String,
    call: String,
    result: String,
    note: String,
}

/// A line about a call; none: it shows a part. Whatever is neither is an error.
fn parse(line: &str) -> Option<Line> {
    let wrong = || -> ! { panic!("no line of a trace: {line:?}") };
    let (thread, rest) =
        line.strip_prefix('[').and_then(|line| line.split_once("] ")).unwrap_or_else(|| wrong());
    assert!(thread.chars().count() >= 8, "the thread is padded: {line:?}");
    if let Some(part) = rest.strip_prefix("  ") {
        let (letter, _) = part.split_once(' ').unwrap_or_else(|| wrong());
        assert!(letter.len() == 1 && "LICMBQHDNR".contains(letter), "{line:?}");
        return None;
    }
    let (call, rest) = rest.split_once(" = ").unwrap_or_else(|| wrong());
    let call = call.trim_end();
    assert!(call.ends_with(')') && call.contains('('), "{line:?}");
    let (result, note) = rest.split_once("  ").unwrap_or((rest, ""));
    if thread.len() + call.len() < 38 {
        assert_eq!(line.find('='), Some(42), "in column 43: {line:?}");
    }
    if !note.is_empty() && result.len() < 11 {
        let column = line.chars().count() - note.trim_start().chars().count();
        assert!(column == 56 || thread.len() + call.len() >= 38, "in column 57: {line:?}");
    }
    let text = |text: &str| text.trim().to_owned();
    Some(Line { thread: text(thread), call: text(call), result: text(result), note: text(note) })
}

fn calls(trace: &str) -> Vec<Line> {
    trace.lines().filter_map(parse).collect()
}

/// The calls on the socket of this name, in the order of their lines: name of the call, arguments behind the socket, result.
fn on<'a>(calls: &'a [Line], socket: &str) -> Vec<(&'a str, &'a str, &'a str)> {
    let parts = |line: &'a Line| {
        let (name, arguments) = line.call.strip_suffix(')')?.split_once('(')?;
        let rest = arguments.strip_prefix(socket)?;
        (rest.is_empty() || rest.starts_with(", "))
            .then(|| (name, rest.trim_start_matches(", "), &*line.result))
    };
    calls.iter().filter_map(parts).collect()
}

/// What both ends know, with the nonces of the worked example of PROTOCOL.md.
const SECRET: Secret = Secret {
    passphrase: b"hfut",
    client_nonce: &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15],
    server_nonce: &[16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31],
};

/// The second frame of the client, with an IV that is given, in its parts.
#[test]
fn the_parts_and_rounds_of_a_frame_are_the_published_ones() {
    let body = r#"{"type":"CHAT_SEND_MSG","clientNo":2,"isFriend":true,"toId":2,"sendTime":1684500000000,"msgType":"TEXT","msgText":"你好"}"#;
    let mut sender = SECRET.sender("client");
    sender.seal(b"{}"); // LOGIN was number 0
    let frame = sender.seal_with([0xa8, 0xa9, 0xaa, 0xab, 0xac, 0xad, 0xae, 0xaf], body.as_bytes());

    let keys = minim::des::key_schedule(SECRET.derive("client key").first_chunk().expect("8 of 16 bytes"));
    let shown = |is_out| {
        let body = Ok(body.as_bytes().to_vec());
        let frame = Frame { number: 1, is_out, parts: wire::parts(&frame), body };
        trace::frames(Level::Rounds, &keys, &[frame], &mut View::Chat)
    };
    let out = shown(true);
    assert_eq!(out.words, "frame 1 out CHAT_SEND_MSG");
    let rows: Vec<&str> = out.rows.iter().map(String::as_str).collect();
    assert_eq!(rows[0], format!("{:53}= 152", "L 00000098"));
    assert_eq!(
        rows[1..12],
        [
            "I a8a9aaabacadaeaf",
            "C 76e8eb6e275b4a4e 99c3e158a76d0949 9deab647de329457",
            "C ebdf09fadfb5418f cdc296df5d3e60d6 46bef8208bc2ae59",
            "C e9f8c46ee94a87ed 38d47e57f2031bb6 7db78f2e511347e4",
            "C cfe456e9db455584 307010132b23efbe 4b3e8314829bc0a3",
            "C 1577b8fad025a251 c2eb38150a0a49a4 ba9c2b1e044bc84a",
            "C de0d58fba40d3710",
            "M d03246ba199dd25f8da435a7ba837712   made: over sequence 1, I, C",
            &format!("B {body}"),
            "R block 1 xor I = D38BDED2DCC88C95   IP: L 3D9DD483 R FF00760F",
            "R  n  K             f         L         R",
        ]
    );
    assert_eq!(rows[12], "R  1  1D34837BDD5E  05300E5A  FF00760F  38ADDAD9");
    assert_eq!(rows[27], "R 16  AA5C0DF6D66B  CCB1E7AF  061FEEFD  EF219934");
    assert_eq!(rows[28..], ["R swap, IP^-1 = 76E8EB6E275B4A4E, the first block of C"]);

    let received = shown(false);
    assert_eq!(received.words, "frame 1 in CHAT_SEND_MSG: MAC right");
    let rows: Vec<&str> = received.rows.iter().map(String::as_str).collect();
    assert_eq!(rows[8], "M d03246ba199dd25f8da435a7ba837712   right: over sequence 1, I, C");
    assert!(rows[10].starts_with("R block 1 of C = 76E8EB6E275B4A4E   IP: "), "{}", rows[10]);
    assert!(rows[12].starts_with("R  1  AA5C0DF6D66B  "), "K16 comes first: {}", rows[12]);
    let first_block = hex(&body.as_bytes()[..8]).to_uppercase();
    let end = format!("R swap, IP^-1 = D38BDED2DCC88C95, xor I = {first_block}, the first block");
    assert_eq!(rows[28..], [end]);
}

/// A long ciphertext and a long body are cut, and how much is missing is said; so are the raw bytes of a chunk.
#[test]
fn what_is_long_is_cut_and_says_so() {
    let keys = minim::des::key_schedule(SECRET.derive("client key").first_chunk().expect("8 of 16 bytes"));
    let long = format!(r#"{{"type":"CHAT_SEND_MSG","msgText":"{}"}}"#, "x".repeat(5_000));
    let chunk = [&br#"{"type":"FILE_CHUNK","offset":0}"#[..], b"\n", &[0xff; 1_000]].concat();
    for (body, ciphertext, end) in [
        (long.as_bytes(), "C ... 609 blocks more", "x ... 941 bytes more"),
        (&chunk, "C ... 109 blocks more", r#"B {"type":"FILE_CHUNK","offset":0} + 1000 raw bytes"#),
    ] {
        let frame = SECRET.sender("client").seal(body);
        let body = Ok(body.to_vec());
        let frame = Frame { number: 0, is_out: true, parts: wire::parts(&frame), body };
        let rows = trace::frames(Level::Frames, &keys, &[frame], &mut View::Chat).rows;
        assert_eq!(rows.len(), 2 + 8 + 2);
        assert_eq!(rows[9], ciphertext);
        assert!(rows[11].ends_with(end), "{}", rows[11]);
    }
}

/// Runs a server and two users with a trace at each end: the server's trace, Alice's and Bob's. Bob gets one message.
fn traced(level: &str) -> (String, String, String) {
    let server = Server::with(&["--trace", level]);
    friends(&server);
    let trace = ["--trace", level];
    let mut bob = server.console(&trace);
    bob.line("/login bob 123456");
    bob.expect("friends 1");
    bob.line("/friends"); // answered behind what LOGIN brings
    bob.expect("friends 1, online 0");
    let mut alice = server.console(&trace);
    for line in ["/login alice 123456", "/msg bob 你好"] {
        alice.line(line);
    }
    bob.expect("你好");
    alice.line("/quit"); // not before: that she left would go in one send with her text
    bob.line("/open alice"); // CHAT_RECEIVED
    bob.line("/quit");
    let (alice, bob) = (alice.finish(), bob.finish());
    assert_eq!((alice.0, bob.0), (0, 0));
    (server.errors(), alice.2, bob.2)
}

#[test]
fn one_message_can_be_followed_through_three_traces_side_by_side() {
    let (server, alice, bob) = traced("steps");
    for secret in ["123456", "你好", "alice", "Alice", "bob"] {
        for trace in [&server, &alice, &bob] {
            assert!(!trace.contains(secret), "{secret} shows at steps:\n{trace}");
        }
    }
    let (server, alice, bob) = (calls(&server), calls(&alice), calls(&bob));
    let find = |calls: &[Line], thread: &str, note: &str| -> usize {
        let is_meant = |line: &Line| line.thread.starts_with(thread) && line.note.starts_with(note);
        calls.iter().position(is_meant).unwrap_or_else(|| panic!("no {note} of {thread} in {calls:#?}"))
    };
    let size = |line: &Line| line.result.parse::<usize>().expect("a number of bytes");

    // Alice sends; the server has the length in one call and the rest in another.
    let sent = &alice[find(&alice, "main", "frame 2 out CHAT_SEND_MSG")];
    let came = find(&server, "client", "frame 2 in CHAT_SEND_MSG: MAC right");
    assert_eq!(size(sent), 4 + size(&server[came]));
    let before = server[..came].iter().rfind(|line| line.thread == server[came].thread).expect("the length");
    assert_eq!((before.call.contains(", 4 wanted"), size(before)), (true, 4));

    // Stored, committed, and only then acknowledged.
    let stored =
        server[came..].iter().position(|line| line.call == "stored(message)").expect("stored") + came;
    let committed =
        server[stored..].iter().position(|line| line.call.starts_with("commit(")).expect("a commit") + stored;
    assert_eq!(server[committed].result, "ok");
    let writer_of_alice = server[came].thread.replace("client", "write");
    let ack = server[committed..]
        .iter()
        .position(|line| line.thread == writer_of_alice && line.note.contains("out ACK"));
    let ack = &server[ack.expect("an ACK behind the commit") + committed];

    // The ACK arrives at Alice, the message at Bob, both as long as they were sent.
    let arrived = alice.iter().filter(|line| line.thread == "reader" && line.note.contains("in ACK"));
    assert!(arrived.map(|line| 4 + size(line)).any(|bytes| bytes == size(ack)));
    let pushed = server.iter().find(|line| line.note.contains("out CHAT_SEND_MSG")).expect("a push");
    let shown = &bob[find(&bob, "reader", &pushed.note.replace("out CHAT_SEND_MSG", "in CHAT_SEND_MSG"))];
    assert_eq!(size(pushed), 4 + size(shown));

    // Bob has it: that is stored too.
    find(&bob, "main", "frame 2 out CHAT_RECEIVED");
    assert!(server.iter().any(|line| line.call.starts_with("stored(handled ") && line.result == "1"));
}

#[test]
fn the_five_steps_of_the_server_and_the_four_of_the_client_stand_there_by_name() {
    let (server, alice, _) = traced("steps");
    let (server, alice) = (calls(&server), calls(&alice));
    let names = |calls: &[(&str, &str, &str)]| calls.iter().map(|call| call.0.to_owned()).collect::<Vec<_>>();
    let listener = on(&server, "L");
    assert_eq!(names(&listener)[..3], ["bind", "listen", "accept"]);
    assert_eq!(server[0].call, "socket(AF_INET, SOCK_STREAM)");
    assert_eq!(server[0].result, "L");
    assert!(listener[2].2.starts_with("1 from 127.0.0.1:"), "{:?}", listener[2]);
    let first = on(&server, "1");
    assert_eq!(names(&first)[..2], ["recv", "send"]);
    let (came, sent) = (wire::CLIENT_HELLO.to_string(), wire::SERVER_HELLO.to_string());
    let (wanted, bytes) = (format!("{came} wanted"), format!("{sent} bytes"));
    assert_eq!((first[0], first[1]), (("recv", &*wanted, &*came), ("send", &*bytes, &*sent)));
    assert_eq!(first.last(), Some(&("close", "", "ok")));

    let connection = on(&alice, "C");
    assert_eq!(
        names(&connection)[..4],
        ["connect", "send", "recv", "close"],
        "address and passphrase are right"
    );
    let http = on(&alice, "H");
    assert_eq!(names(&http)[..6], ["connect", "send", "recv", "send", "recv", "recv"]);
}

#[test]
fn with_frames_each_part_stands_behind_the_call_that_completed_it() {
    let (server, alice, _) = traced("frames");
    for trace in [&server, &alice] {
        trace.lines().for_each(|line| _ = parse(line));
        assert!(trace.contains("你好") && trace.contains("123456"), "that is the point");
        assert!(!trace.contains("   R "), "no rounds");
        let mut lines: Vec<&str> = trace.lines().filter(|line| parse(line).is_none()).collect();
        lines.sort_by_key(|line| line.split_once(']').map(|(thread, _)| thread)); // those of one thread stay in order
        let (mut length, mut sum) = (0, 0);
        for line in lines {
            let part = &line[line.find("]   ").expect("a part") + 4..];
            let fields: Vec<&str> = part.split_whitespace().collect();
            match fields[0] {
                "L" => {
                    assert_eq!(usize::from_str_radix(fields[1], 16).ok(), fields[3].parse().ok(), "{line}");
                    (length, sum) = (fields[3].parse().expect("a number"), 0);
                }
                "C" if fields[1] == "..." => sum += 8 * fields[2].parse::<usize>().expect("a number"),
                "I" | "C" => sum += fields[1..].iter().map(|block| block.len() / 2).sum::<usize>(),
                "M" => assert_eq!(sum + 16, length, "{line}"),
                _ => {}
            }
        }
    }
    let http: Vec<&str> = server.lines().filter(|line| line.starts_with("[http 1")).collect();
    let parts: Vec<&str> = http.iter().filter_map(|line| Some(line.split_once("]   ")?.1)).collect();
    let letters = |from: usize| parts[from..].iter().map(|part| &part[..1]).collect::<String>();
    let request = parts.iter().position(|part| part.starts_with("Q GET /")).expect("a request");
    assert!(letters(request).starts_with("QHHHH"), "{parts:#?}");
    assert!(parts.contains(&"H (empty line)") && parts.iter().any(|part| part.starts_with("D {\"ok\":true")));
}

/// Pieces, a forged MAC, a length that cannot be: each says so, and the peer is told nothing.
#[test]
fn what_is_cut_or_wrong_says_so() {
    let mut server = Server::with(&["--trace", "frames"]);
    let mut cut = server.peer();
    cut.register("carol");
    let frame = cut.seal(
        json!({"type": "LOGIN", "clientNo": 9, "loginName": "carol", "pwd": "carol's password"})
            .to_string()
            .as_bytes(),
    );
    cut.send_raw(&frame[..30]).expect("sent");
    server.program.expect_error_end("= 26"); // it is taken: no call brings two pieces
    cut.send_raw(&frame[30..31]).expect("sent");
    server.program.expect_error_end("= 1");
    cut.send_raw(&frame[31..]).expect("sent");
    cut.expect("LOGIN_OK");
    let mut forged = server.peer();
    let mut frame = forged.seal(b"{}");
    *frame.last_mut().expect("a MAC") ^= 1;
    forged.send_raw(&frame).expect("sent");
    forged.expect_closed_silently();
    let mut long = server.peer();
    long.send_raw(&[0xff; 4]).expect("sent");
    long.expect_closed_silently();
    for garbage in [&b"HELLO SECRET"[..], b"hello SECRET\r\n"] {
        let mut stream = connect(server.chat);
        stream.write_all(garbage).expect("sent");
        read_to_end(&mut stream);
    }
    let mut bodies = server.peer();
    for body in [
        &b"HELLO SECRET\r\n"[..],
        b"{\n \"type\": \"PING\"\n}",
        b"",
        b"{\"type\":\"hello\"}",
        b"{\"type\":\"A_TEXT_THAT_IS_LONGER_THAN_TWENTY\"}",
    ] {
        bodies.send_body(body);
        assert!(bodies.receive_body().is_some(), "the connection lives");
    }

    let trace = server.errors();
    let calls = calls(&trace);
    let notes: Vec<&str> = calls.iter().map(|line| &*line.note).collect();
    assert!(notes.contains(&"frame 1 in LOGIN: MAC right, in 3 parts; TCP is a stream"), "{notes:#?}");
    assert!(notes.contains(&"frame 0 in: MAC wrong; the peer is told nothing"), "{notes:#?}");
    assert!(
        notes.iter().any(|note| note.starts_with("frame 0 in: a frame announces 4294967295")),
        "{notes:#?}"
    );
    let parts: Vec<&str> = trace.lines().filter_map(|line| Some(line.split_once("]   ")?.1)).collect();
    assert!(parts.iter().any(|part| part.starts_with("M ") && part.ends_with("   wrong")), "{parts:#?}");
    assert!(parts.iter().any(|part| part.starts_with("L ffffffff  ") && part.ends_with(" = 4294967295")));
    for note in [
        "hello: HTTP, which has a port of its own",
        &format!("hello: {}; the peer is told nothing", wire::Error::NotMinim(Vec::new())),
        "frame 0 in: no type",
        "frame 1 in PING: MAC right",
        "frame 2 in: no type",
    ] {
        assert!(notes.contains(&note), "{note}: {notes:#?}");
    }
    assert!(notes.iter().all(|note| !note.contains("SECRET") && !note.contains("request")), "{notes:#?}");
    assert!(!notes.iter().any(|note| note.contains("hello\"") || note.contains("A_TEXT")), "{notes:#?}");
    assert!(!calls.iter().any(|line| line.call.starts_with("commit(0 ")), "nothing is committed for nothing");
    // What answers a recv comes behind it.
    let refused = calls.iter().position(|line| line.note.starts_with("hello: HTTP")).expect("it");
    let answer = calls.iter().position(|line| line.note.starts_with("response out 400")).expect("it");
    assert!(refused < answer);
}

#[test]
fn each_part_has_its_colour() {
    for (line, colour) in [
        ("[main    ]   L 00000098  = 152", "33"),
        ("[main    ]   I a8a9aaabacadaeaf", "35"),
        ("[main    ]   C 76e8eb6e275b4a4e", "36"),
        ("[main    ]   M d032   right: over sequence 1, I, C", "32"),
        ("[main    ]   M d032   wrong", "31"),
        ("[main    ]   Q GET / HTTP/1.1", "33"),
        ("[main    ]   H Host: x", "36"),
        ("[main    ]   R  1  AA", "2"),
    ] {
        assert_eq!(trace::coloured(line), format!("\x1b[{colour}m{line}\x1b[0m"));
    }
    for plain in ["[main    ] recv(1, 4 wanted) = 4", "[main    ]   B {}", "Alice: ]   L x"] {
        assert_eq!(trace::coloured(plain), plain);
    }
}

/// What a view of HTTP says of each call, and the letters that it shows.
fn http(pieces: &[&[u8]], is_out: bool) -> Vec<(String, String)> {
    let mut view = HttpView::default();
    let note = |piece: &&[u8]| view.note(Level::Frames, piece, is_out);
    let letters = |rows: &[String]| rows.iter().map(|row| &row[..1]).collect();
    pieces.iter().map(note).map(|note| (note.words, letters(&note.rows))).collect()
}

#[test]
fn http_is_followed_by_its_lengths_whatever_calls_cut_it() {
    let get = b"GET /a?pwd=SECRET HTTP/1.1\r\nHost: x\r\n\r\n";
    let post = b"POST http://u:SECRET@x:1/b?c HTTP/1.1\r\nContent-Length: 8\r\n\r\n";
    let both = [&get[..], get].concat();
    let said = |pieces: &[&[u8]]| http(pieces, false);
    let pair = |words: &str, letters: &str| (words.to_owned(), letters.to_owned());
    assert_eq!(said(&[&both]), [pair("request in GET /a: request in GET /a", "QHHQHH")]);
    assert_eq!(
        said(&[&post[..20], &post[20..], b"PWD SECR", get]),
        [
            pair("a part of a head", ""),
            pair("request in POST /b", "QHH"),
            pair("8 bytes of body", "D"),
            pair("request in GET /a", "QHH"),
        ]
    );
    let chunked = b"POST /c HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    assert_eq!(said(&[chunked, get])[1], pair("request in GET /a", "QHH"));
    for text in ["alice SECRET\r\n", "DEAR SECRET diary\r\n", "GET SECRET\r\n", "get /SECRET HTTP/1.1\r\n"] {
        assert_eq!(said(&[text.as_bytes()]), [pair("no request line", "Q")], "{text:?}");
    }
    let cut = "HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n你好你好".as_bytes();
    let answers =
        http(&[&cut[..cut.len() - 7], &cut[cut.len() - 7..], b"HTTP/1.1 404 Not Found\r\n\r\n"], true);
    assert_eq!(
        answers,
        [
            pair("response out 200: 5 bytes of body", "QHHD"),
            pair("7 bytes of body", "D"),
            pair("response out 404", "QH"),
        ]
    );
    let rows = HttpView::default().note(Level::Frames, &cut[..cut.len() - 7], true).rows;
    assert!(rows[3].starts_with("D 你"), "text, though it is cut: {rows:?}");
    let head = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"; // the answer to HEAD has none of these
    assert_eq!(http(&[head, cut], true)[1].1, "QHHD");
}

/// Plain HTTP, its head cut within a line, and a query with a password in it.
#[test]
fn plain_http_is_shown_by_its_lines_and_its_query_only_with_frames() {
    for level in ["steps", "frames"] {
        let mut server = Server::with(&["--trace", level]);
        let request = "GET /register?loginName=dora&pwd=123456&username=D&sex=0 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        let mut stream = TcpStream::connect(server.http).expect("a connection");
        let (first, rest) = request.split_at(wire::CLIENT_HELLO + 16); // it might become a hello
        for (piece, taken) in [(first, "= 16"), (&rest[..35], "= 35"), (&rest[35..], "response out")] {
            stream.write_all(piece.as_bytes()).expect("sent");
            server.program.expect_error(taken); // no call brings two pieces
        }
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        let trace = server.errors();
        let notes: Vec<String> = calls(&trace).into_iter().map(|line| line.note).collect();
        assert!(notes.contains(&"request in GET /register".to_owned()), "{trace}");
        assert!(notes.iter().any(|note| note.starts_with("response out 200: ")), "{trace}");
        let parts = trace.lines().filter_map(|line| Some(line.split_once("]   ")?.1));
        let parts: Vec<&str> = parts.take(4).collect();
        match level {
            "steps" => assert!(parts.is_empty() && !trace.contains("123456"), "{trace}"),
            _ => assert_eq!(
                parts,
                [
                    "Q GET /register?loginName=dora&pwd=123456&username=D&sex=0 HTTP/1.1",
                    "H Host: localhost",
                    "H Connection: close",
                    "H (empty line)",
                ]
            ),
        }
    }
}

#[test]
fn the_client_turns_its_trace_on_and_off() {
    let server = Server::start();
    friends(&server);
    let mut alice = server.console(&[]);
    let typed = [
        "/login alice 123456",
        "/trace steps",
        "/msg bob one",
        "/trace off",
        "/msg bob two",
        "/trace",
        "/trace x",
        "/status",
        "/quit",
    ];
    typed.iter().for_each(|line| alice.line(line));
    let (_, printed, errors) = alice.finish();
    let notes: Vec<String> =
        errors.lines().filter(|line| line.starts_with('[')).filter_map(parse).map(|line| line.note).collect();
    assert_eq!(notes.iter().filter(|note| note.contains("out CHAT_SEND_MSG")).count(), 1, "{errors}");
    assert!(!notes.iter().any(|note| note.contains("LOGIN")), "{errors}");
    let in_parts = notes.iter().find(|note| note.contains("parts; TCP is a stream"));
    assert_eq!(
        in_parts, None,
        "a recv that began without a trace wanted more than the frame: that is no part"
    );
    let needs = "! /trace needs LEVEL (off, steps, frames or rounds): /trace off|steps|frames|rounds";
    assert_eq!(printed.iter().filter(|line| *line == needs).count(), 2, "{printed:#?}");
    for line in ["  trace is steps", "  trace is off"] {
        assert!(printed.iter().any(|shown| shown == line), "{printed:#?}");
    }
    assert!(
        printed.iter().any(|line| line.starts_with("  trace ") && line.ends_with(" off")),
        "{printed:#?}"
    );
}

/// Nobody reads standard error any more: the trace ends, the program does not.
#[test]
fn a_trace_that_nobody_reads_switches_itself_off() {
    let server = Server::start();
    friends(&server);
    let (chat, http) = (server.chat.port().to_string(), server.http.port().to_string());
    let mut client = Command::new(MINIM);
    client.args(["client", "--chatPort", &chat, "--httpPort", &http, "--lang", "en", "--trace", "steps"]);
    client.current_dir(server.folder()).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut client = client.spawn().expect("the program starts");
    drop(client.stderr.take());
    let mut input = client.stdin.take().expect("piped");
    input.write_all(b"/login alice 123456\n/msg bob hello\n/status\n/quit\n").expect("it reads");
    drop(input);
    let output = client.wait_with_output().expect("it ends");
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{printed}");
    assert!(printed.contains("  sent #"), "{printed}");
    assert!(printed.lines().any(|line| line.starts_with("  trace ") && line.ends_with(" off")), "{printed}");
}

/// The calls of one login and one message are those that the system saw, one line for each, in their order.
#[cfg(target_os = "linux")]
#[test]
fn each_line_is_a_call_that_strace_saw() {
    let folder = Folder::new();
    let mut strace = Command::new("strace");
    strace.args(["-ff", "-qq", "-e", "trace=network,close", "-o", "calls", MINIM, "server"]);
    strace.args(["--chatPort", "0", "--httpPort", "0", "--udpPort", "off", "--trace", "steps"]);
    let can_trace =
        Command::new("strace").args(["-qq", "-o", "/dev/null", "true"]).stderr(Stdio::null()).status();
    if !can_trace.is_ok_and(|status| status.success()) {
        eprintln!("left out: there is no strace here, or it may not look");
        return;
    }
    let mut server = Program::run(folder.path(), strace);
    let line = server.expect("chat      listening on ");
    let address = line.rsplit(' ').next().expect("an address").parse().expect("an address");
    let http = server.expect("http      listening on ");
    let http = http.rsplit(' ').next().expect("an address").parse().expect("an address");
    let (mut alice, mut bob) = (Peer::connect(address, PASSPHRASE), Peer::connect(address, PASSPHRASE));
    for (name, peer) in [("alice", &mut alice), ("bob", &mut bob)] {
        peer.register(name);
        peer.login(name);
    }
    befriend(http, &alice, &mut bob);
    assert_eq!(alice.say(bob.uid, "你好")["type"], "ACK");
    bob.expect("CHAT_SEND_MSG");
    for (mut peer, close) in [(alice, "close(1)"), (bob, "close(2)")] {
        peer.fence(); // all is read: a clean end
        drop(peer);
        server.expect_error(close);
    }
    server.line("/quit");
    let (code, _, trace) = server.finish();
    assert_eq!(code, 0, "{trace}");

    let (traced, mut seen, mut accepted) = (calls(&trace), Vec::new(), Vec::new());
    for file in fs::read_dir(folder.path()).expect("the folder") {
        let path = file.expect("a file").path();
        if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("calls.")) {
            let calls = fs::read_to_string(path).expect("what strace wrote"); // of one thread
            seen.extend(calls.lines().map(str::to_owned));
        }
    }
    for line in &seen {
        if let Some((listener, rest)) = line.strip_prefix("accept4(").and_then(|rest| rest.split_once(',')) {
            let descriptor = rest.rsplit(' ').next().and_then(|result| result.parse::<u32>().ok());
            accepted.extend(
                descriptor.map(|descriptor| (listener.parse::<u32>().expect("a number"), descriptor)),
            );
        }
    }
    let chat = accepted.iter().map(|one| one.0).min(); // the chat's listener was opened first
    accepted.retain(|one| Some(one.0) == chat);
    assert_eq!(accepted.len(), 2);
    for ((_, descriptor), socket) in accepted.iter().zip(["1", "2"]) {
        for name in ["recv", "send", "shutdown", "close"] {
            let by_us: Vec<(String, String)> = on(&traced, socket)
                .iter()
                .filter(|call| call.0 == name)
                .map(|call| (call.1.split(' ').next().unwrap_or_default().to_owned(), call.2.to_owned()))
                .collect();
            let by_the_system: Vec<(String, String)> =
                seen.iter().filter_map(|line| call_on(&descriptor.to_string(), name, line)).collect();
            let (mut ours, mut theirs) = (by_us.clone(), by_the_system.clone());
            if name != "recv" {
                ours.sort(); // the hello was sent by another thread, and the files of threads have no order
                theirs.sort();
            }
            assert_eq!(ours, theirs, "{name} on {socket}");
            assert!(!by_us.is_empty(), "{name} on {socket}");
        }
    }
}

/// A line of strace about a call of this name on this descriptor: length or how, and result, as the trace says them.
fn call_on(fd: &str, name: &str, line: &str) -> Option<(String, String)> {
    let system = match name {
        "recv" => "recvfrom",
        "send" => "sendto",
        other => other,
    };
    let (arguments, result) = line.strip_prefix(system)?.strip_prefix('(')?.rsplit_once(" = ")?;
    let arguments = arguments.trim_end().strip_suffix(')')?;
    let rest = arguments.strip_prefix(fd).filter(|rest| rest.is_empty() || rest.starts_with(','))?;
    if result.contains("EAGAIN") || result.contains("EINTR") {
        return None; // its timeout passed, and it was made again
    }
    let fields: Vec<&str> = rest.rsplit(", ").collect();
    let result = match name {
        _ if result.starts_with("-1 ENOTCONN") => "error: not connected",
        "recv" | "send" => result,
        _ => "ok",
    };
    let argument = match name {
        "recv" | "send" => fields[3], // behind it: flags, and no address
        "shutdown" => match fields[0].trim_start_matches(", ") {
            "SHUT_WR" => "SHUT_WR",
            _ => "SHUT_RDWR",
        },
        _ => "",
    };
    Some((argument.to_owned(), result.to_owned()))
}

/// Datagrams, with their JSON.
#[test]
fn datagrams_are_shown_too() {
    let mut server = Server::with(&["--trace", "frames", "--udpPort", "0"]);
    let line = server.program.expect("udp       listening on ");
    let port = line.rsplit(':').next().expect("a port").to_owned();
    let words =
        ["broadcast", "九点验收", "--udpPort", &port, "--broadcast", "127.255.255.255", "--trace", "frames"];
    let (code, _, errors) = run(server.folder(), &words);
    assert_eq!(code, 0, "{errors}");
    let sent = calls(&errors);
    assert_eq!(sent[0].call, "socket(AF_INET, SOCK_DGRAM)");
    assert!(sent.iter().any(|line| line.call.starts_with("sendto(U, ") && line.note == "NOTICE"), "{errors}");
    assert!(errors.contains(r#"   N {"type":"NOTICE","#), "{errors}");
    server.program.expect_error("recvfrom(U, 1401 wanted)");
    server.program.expect_error(r#"   N {"type":"NOTICE","#);
}
