//! Writes `corpus/`: what the fuzzers begin with is what the tests have. Every text of a test is a seed of the targets that it
//! suits, and so is every published vector. In the folder `fuzz`:
//!
//!     rustc -O corpus.rs -o target/seeds && target/seeds      as `run` does; or: cargo run --example corpus

use std::fs;
use std::path::Path;

const CHAT: &str = include_str!("../tests/chat.rs");
const CONFIG: &str = include_str!("../tests/config.rs");
const FRAMES: &str = include_str!("../tests/frames.rs");
const HTTP_PARSE: &str = include_str!("../tests/http_parse.rs");
const MUTATED: &str = include_str!("../tests/mutated.rs");
const RECORDS: &str = include_str!("../tests/records.rs");
const PROTOCOL: &str = include_str!("../PROTOCOL.md");
const FRAME_VECTORS: &str = include_str!("../tests/vectors/frame.txt");
const REQUEST_VECTORS: &str = include_str!("../tests/vectors/http-requests.txt");

type Seeds = Vec<Vec<u8>>;

fn main() {
    let requests = request_vectors();
    let (bodies, frames) = frame_vectors();
    let chunked = requests.iter().filter_map(|request| body(request));
    let http = literals(HTTP_PARSE);
    let json = [literals(FRAMES), literals(CHAT), json_of_the_protocol(), bodies.clone()].concat();

    write("frame", true, [frames, bodies].concat());
    write("body", false, [json, http.clone()].concat());
    write("request", true, [requests.clone(), http.clone(), literals(MUTATED)].concat());
    write("response", true, http.clone());
    write("chunked", true, [chunked.collect(), http.clone()].concat());
    write("percent", false, http);
    write("conf", true, options(&literals(CONFIG)));
    write("records", true, literals(RECORDS));
}

/// One file for each. `choice`: the target takes the last two bytes for a number (src/lib.rs).
fn write(target: &str, choice: bool, seeds: Seeds) {
    let folder = Path::new("corpus").join(target);
    fs::create_dir_all(&folder).expect("a folder");
    for (number, mut seed) in (0_u16..).zip(seeds) {
        if choice {
            seed.extend(number.to_be_bytes());
        }
        fs::write(folder.join(format!("seed-{number:03}")), seed).expect("a file");
    }
}

/// What stands behind the head of a request.
fn body(request: &[u8]) -> Option<Vec<u8>> {
    let end = request.windows(4).position(|four| four == b"\r\n\r\n")?;
    Some(request[end + 4..].to_vec())
}

/// The texts between quotation marks in a Rust file, as bytes.
fn literals(source: &str) -> Seeds {
    let (mut found, mut rest) = (Vec::new(), source);
    while let Some(next) = rest.chars().next() {
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("'\"'") {
            "'\"'".len()
        } else if rest.starts_with("r#\"") {
            let end = rest.find("\"#").expect("the end of a raw text");
            found.push(rest.as_bytes()["r#\"".len()..end].to_vec());
            end + "\"#".len()
        } else if next == '"' {
            let end = end_of_text(&rest[1..]) + 1;
            found.push(unescape(&rest[1..end]));
            end + 1
        } else {
            next.len_utf8()
        };
        rest = &rest[length..];
    }
    found
}

/// Where the quotation mark stands that ends a text.
fn end_of_text(text: &str) -> usize {
    let mut escaped = false;
    let end = text.bytes().position(|byte| {
        let is_end = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        is_end
    });
    end.expect("the end of a text")
}

/// `\r \n \t \0 \xNN \u{N}`, and any other escaped character as it is.
fn unescape(text: &str) -> Vec<u8> {
    let (mut bytes, mut rest) = (Vec::new(), text);
    while let Some((before, escaped)) = rest.split_once('\\') {
        bytes.extend(before.as_bytes());
        let letter = escaped.chars().next().expect("what is escaped");
        rest = &escaped[letter.len_utf8()..];
        match letter {
            'r' => bytes.push(b'\r'),
            'n' => bytes.push(b'\n'),
            't' => bytes.push(b'\t'),
            '0' => bytes.push(0),
            'x' => {
                bytes.push(u8::from_str_radix(&rest[..2], 16).expect("two hex digits"));
                rest = &rest[2..];
            }
            'u' => {
                let (digits, behind) = rest[1..].split_once('}').expect("a brace");
                let number = u32::from_str_radix(digits, 16).expect("hex digits");
                let character = char::from_u32(number).expect("a character");
                bytes.extend(character.to_string().as_bytes());
                rest = behind;
            }
            '\n' => rest = rest.trim_start(),
            other => bytes.extend(other.to_string().as_bytes()),
        }
    }
    [bytes, rest.into()].concat()
}

/// The requests of http-requests.txt; `{X*N}` is X, N times.
fn request_vectors() -> Seeds {
    let is_record = |line: &&str| !line.is_empty() && !line.starts_with('#');
    let mut requests = Vec::new();
    for line in REQUEST_VECTORS.lines().filter(is_record) {
        let mut text = line.splitn(3, ' ').nth(2).expect("status, keep or close, octets").to_owned();
        while let Some(end) = text.find('}') {
            let start = text[..end].rfind('{').expect("an opening brace");
            let (piece, count) = text[start + 1..end].rsplit_once('*').expect("a star");
            let pieces = piece.repeat(count.parse().expect("a number"));
            text.replace_range(start..=end, &pieces);
        }
        requests.push(unescape(&text));
    }
    requests
}

/// Bodies and whole frames of frame.txt, those that are refused too.
fn frame_vectors() -> (Seeds, Seeds) {
    let (mut bodies, mut frames) = (Vec::new(), Vec::new());
    for line in FRAME_VECTORS.lines() {
        match line.split_whitespace().collect::<Vec<_>>()[..] {
            ["frame", _, _, _, body, _, _, whole] => {
                bodies.push(bytes(body));
                frames.push(bytes(whole));
            }
            ["reject", _, _, whole, _] => frames.push(bytes(whole)),
            _ => {}
        }
    }
    bodies.sort();
    bodies.dedup();
    (bodies, frames)
}

/// Hexadecimal digits, or `-` for none.
fn bytes(field: &str) -> Vec<u8> {
    let digits = if field == "-" { "" } else { field };
    let byte = |place| u8::from_str_radix(&digits[place..place + 2], 16).expect("hex digits");
    (0..digits.len()).step_by(2).map(byte).collect()
}

fn json_of_the_protocol() -> Seeds {
    let json = PROTOCOL.lines().filter_map(|line| line.get(line.find("{\"")?..=line.rfind('}')?));
    json.map(|json| json.as_bytes().to_vec()).collect()
}

/// Of a test's command lines, each option as a line of server.conf; beside all its other texts.
fn options(texts: &[Vec<u8>]) -> Seeds {
    let line = |pair: &[Vec<u8>]| Some([pair[0].strip_prefix(b"--")?, b" = ", &pair[1]].concat());
    texts.windows(2).filter_map(line).chain(texts.iter().cloned()).collect()
}
