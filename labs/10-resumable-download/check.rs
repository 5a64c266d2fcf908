//! Lab 10, the check: files over HTTP, byte by byte over real sockets. Each conversation is read to its end, and behind each
//! request goes another one, for nothing: what an answer lacks, and what it has too much, shows there.

#[path = "../../tests/common/mod.rs"]
mod common;
#[path = "../variant.rs"]
mod variant;

use std::io::{ErrorKind::ConnectionReset, Read, Write};

use common::{Server, connect};
use minim::http::percent_encode;
use minim::md5_check::{hex, md5};
use serde_json::{Value, json};
use variant::part;

/// A file of 64 bytes, no two of which are the same; here one char is one byte.
const FILE: &str = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-ÿ";
const NAME: &str = "报告 \"终\".html";
const CHUNK: &[u8] = b"{\"type\":\"FILE_CHUNK\",\"offset\":0}\n";
const PLAIN: &str = "Accept: */*"; // a line that changes nothing
const NEXT: &str = "GET /x HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

/// Fails with the id, what was sent, what came, what should have come, and where it is written.
fn expect(is_right: bool, id: &str, sent: &str, came: &str, expected: &str) {
    assert!(
        is_right,
        "\n    {id} · sent: {sent:?}\n       came: {came}\n       expected: {expected}\n    Contract {id} in labs/10-resumable-download/README.md"
    );
}

/// A server, and the file that Alice has sent to Bob.
struct Lab {
    server: Server,
    sid: String, // Bob's
    msg_id: String,
    tag: String,
}

impl Lab {
    fn new(file: &str) -> Lab {
        let bytes: Vec<u8> = file.chars().map(|char| char as u8).collect();
        let (server, size, md5) = (Server::start(), bytes.len(), hex(&md5(&bytes)));
        let ((alice, bob), mut upload) = (server.alice_and_bob(), server.peer());
        upload.resume(&alice.session_id);
        upload.request(json!({"type": "FILE_UPLOAD", "isFriend": true, "toId": bob.uid, "fileName": NAME, "fileSize": size, "fileMd5": md5, "msgType": "FILE"}));
        bytes.chunks(64).for_each(|piece| upload.send_body(&[CHUNK, piece].concat())); // of an empty file none
        let msg_id = upload.request(json!({"type": "FILE_END"}))["id"].to_string();
        Lab { server, sid: bob.session_id.clone(), msg_id, tag: format!("\"{md5}\"") }
    }

    /// A request for the file, with one more line or several.
    fn request(&self, method: &str, lines: &str) -> String {
        let (target, sid) = (format!("/{}?msgId={}", part("lab10.path"), self.msg_id), &self.sid);
        format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\nCookie: sid={sid}\r\n{lines}\r\n\r\n")
    }

    fn get(&self, id: &str, lines: &str, expected: &str) -> String {
        self.talk(id, &[&self.request("GET", lines)], 0, &format!("{expected}, 404 notFound"))
    }

    /// Sends requests and NEXT, in two parts, and reads to the end: what came, which in short is `expected`.
    fn talk(&self, id: &str, requests: &[&str], cut: usize, expected: &str) -> String {
        let (mut stream, mut came, sent) = (connect(self.server.http), Vec::new(), requests.concat() + NEXT);
        let (first, second) = sent.as_bytes().split_at(cut);
        let _ = stream.write_all(first).and_then(|()| stream.write_all(second));
        let _ = stream.read_to_end(&mut came); // a reset, or silence: what came until then is looked at all the same
        let came: String = came.iter().map(|&byte| char::from(byte)).collect();
        let answers = came.split("HTTP/1.1 ").skip(1).map(|answer| self.short(answer));
        let short = answers.collect::<Vec<_>>().join(", ");
        expect(short == expected, id, &sent, &format!("{short}\n             {came:?}"), expected);
        came
    }

    /// An answer in short: status, Content-Range, ETag, which bytes of the file, or which error.
    fn short(&self, answer: &str) -> String {
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((answer, ""));
        let field = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("");
        let (range, tag) = (field("Content-Range: "), field("ETag: ").replace(&self.tag, "ETag"));
        let (length, json) = (body.chars().count(), serde_json::from_str::<Value>(body).unwrap_or_default());
        let error = json["error"].as_str().unwrap_or("other bytes").to_owned();
        let what = FILE.find(body).map_or(error, |from| format!("{from}..{}", from + length));
        let is_whole = length == 0 || field("Content-Length: ") == length.to_string();
        let wrong = if is_whole { "" } else { "(Content-Length says otherwise)" };
        format!("{head:.3} {range} {tag} {what} {wrong}").split_whitespace().collect::<Vec<_>>().join(" ")
    }
}

#[test]
fn a1_the_whole_file_with_its_length_and_its_tag() {
    for (file, length) in [(FILE, 64), ("", 0)] {
        let came = Lab::new(file).get("a1", PLAIN, &format!("200 ETag 0..{length}"));
        for field in [&format!("Content-Length: {length}"), "Content-Type: application/octet-stream"] {
            expect(came.contains(&format!("\r\n{field}\r\n")), "a1", &format!("GET of {NAME}"), &came, field);
        }
    }
}

#[test]
fn a2_a_range_is_just_these_bytes() {
    let lab = Lab::new(FILE);
    for (range, from, to) in [("5-9", 5, 10), ("5-", 5, 64), ("-5", 59, 64), ("0-0", 0, 1), ("9-99", 9, 64)] {
        let expected = format!("206 bytes {from}-{}/64 ETag {from}..{to}", to - 1);
        lab.get("a2", &format!("Range: bytes={range}"), &expected);
    }
    for range in ["bytes=5-4", "bytes=0-1,5-6", "bytes=+1-2", "lines=1-2"] {
        lab.get("a2", &format!("Range: {range}"), "200 ETag 0..64");
    }
}

#[test]
fn a3_a_range_behind_the_end_is_refused_with_the_size() {
    let lab = Lab::new(FILE);
    lab.get("a3", "Range: bytes=63-", "206 bytes 63-63/64 ETag 63..64");
    for range in ["64-", "64-65", "99999999999999999999-", "-0"] {
        lab.get("a3", &format!("Range: bytes={range}"), "416 bytes */64 badRequest");
    }
}

#[test]
fn a4_conditions_are_about_the_same_file() {
    let lab = Lab::new(FILE);
    let get = |line: &str, expected: &str| lab.get("a4", &format!("Range: bytes=5-9\r\n{line}"), expected);
    get(&format!("If-Range: {}", lab.tag), "206 bytes 5-9/64 ETag 5..10");
    get(&format!("If-None-Match: {}", lab.tag), "304 ETag 0..0");
    for other in ["\"another\"", &format!("W/{}", lab.tag), "Sun, 06 Nov 1994 08:49:37 GMT"] {
        get(&format!("If-Range: {other}"), "200 ETag 0..64");
    }
}

#[test]
fn a5_head_is_the_head_of_get_and_no_body() {
    let lab = Lab::new(FILE);
    let undated = |came: String| came.lines().filter(|line| !line.starts_with("Date: ")).collect::<String>();
    let expected = undated(lab.get("a5", PLAIN, "200 ETag 0..64").replacen(FILE, "", 1));
    for lines in [PLAIN, "Range: bytes=5-9"] {
        let came = lab.talk("a5", &[&lab.request("HEAD", lines)], 0, "200 ETag 0..0, 404 notFound");
        expect(undated(came.clone()) == expected, "a5", &format!("HEAD, {lines}"), &came, &expected);
    }
}

#[test]
fn a6_requests_sent_together_are_answered_in_order_wherever_they_are_cut() {
    let lab = Lab::new(FILE);
    let [first, last] = ["0-9", "-10"].map(|range| lab.request("GET", &format!("Range: bytes={range}")));
    let requests = [&*first, &lab.request("HEAD", PLAIN), &last];
    let expected = "206 bytes 0-9/64 ETag 0..10, 200 ETag 0..0, 206 bytes 54-63/64 ETag 54..64, 404 notFound";
    (0..requests.concat().len()).for_each(|cut| _ = lab.talk("a6", &requests, cut, expected));
}

#[test]
fn a7_a_file_name_stays_in_its_line() {
    let lab = Lab::new(FILE);
    for name in [NAME, "a\r\nSet-Cookie: sid=x\r\n\r\n<script>"] {
        lab.server.run_sql(&[format!("UPDATE message SET fileName = '{name}'")]); // no upload has such a name
        let came = lab.get("a7", PLAIN, "200 ETag 0..64");
        let expected = format!("Content-Disposition: attachment; filename*=UTF-8''{}", percent_encode(name));
        let is_right = came.contains(&format!("\r\n{expected}\r\n"));
        expect(is_right, "a7", &format!("GET of {name:?}"), &came, &expected);
    }
}

#[test]
fn a8_nobody_else_gets_a_byte_of_it() {
    let mut lab = Lab::new(FILE);
    lab.msg_id += "&uid=2"; // Bob's, and an argument is no proof
    lab.get("a8", PLAIN, "200 ETag 0..64");
    let carol = lab.server.new_user("carol").session_id.clone();
    for (sid, expected) in [(carol, "404 noSuchMessage"), ("0".repeat(32), "401 notLoggedIn")] {
        lab.sid = sid;
        for lines in [PLAIN, "Range: bytes=5-9", "Range: bytes=99-", "If-None-Match: *"] {
            lab.get("a8", lines, expected);
        }
    }
}

#[test]
fn a9_a_long_file_goes_out_piece_by_piece_and_an_early_end_is_an_end() {
    let (lab, long, mut came) = (Lab::new(FILE), 64 << 20, vec![0; 600]);
    let file = std::fs::File::create(lab.server.data().join("files/long")).expect("a stored file");
    file.set_len(long).expect("zeros");
    lab.server.run_sql(&[format!("UPDATE message SET fileSize = {long}, filePath = 'files/long'")]);
    let (mut stream, sent) = (connect(lab.server.http), lab.request("GET", PLAIN) + NEXT);
    let begun = stream.write_all(sent.as_bytes()).and_then(|()| stream.read_exact(&mut came));
    file.set_len(long / 2).expect("it is shorter now");
    let ended = stream.read_to_end(&mut came).map_or_else(|error| error.kind() == ConnectionReset, |_| true);
    let text = String::from_utf8_lossy(&came);
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, "?"));
    let (size, strange) = (body.len(), body.replace('\0', ""));
    let is_file = head.starts_with("HTTP/1.1 200 ") && strange.is_empty() && size as u64 <= long / 2;
    let came = format!("{head:?}, {size} bytes, ended: {ended}, no zeros: {strange:.60?}");
    expect(begun.is_ok() && ended && is_file, "a9", &sent, &came, "200, at most 33554432 zeros, the end");
}

#[test]
fn g1_behind_a_request_with_two_lengths_nothing_is_read() {
    let lab = Lab::new("");
    let request = lab.request("GET", "Content-Length: 5\r\nTransfer-Encoding: chunked");
    lab.talk("g1", &[&request, "0\r\n\r\n"], 0, "400 badRequest");
}
