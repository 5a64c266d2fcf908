//! Lab 02, the check: `stick` and `split` against the museum, `Splitter` against a stream that is cut everywhere. Nothing here
//! waits for time to pass; what hangs is waited for ten seconds (times LAB_PATIENCE) and is red.

#[path = "../../tests/common/mod.rs"]
mod common;
#[path = "../museum.rs"]
mod museum;
mod work;

use std::fmt::Debug;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use minim::limits::MAX_FRAME;
use minim::wire::SERVER_HELLO;
use museum::{Cipher, Event, Museum};
use work::{FrameError, Splitter};

/// Runs code of yours, in a thread of its own: it must return this. Red says what was sent, what came, what should have come,
/// and where that is written.
fn expect<T>(id: &str, sent: &str, expected: T, code: impl FnOnce() -> T + Send + 'static)
where
    T: PartialEq + Debug + Send + 'static,
{
    let patience = std::env::var("LAB_PATIENCE").ok().and_then(|value| value.parse().ok());
    let deadline = Duration::from_secs_f64(10.0 * patience.unwrap_or(1.0));
    let (sender, result) = channel();
    thread::spawn(move || _ = sender.send(code()));
    let came = match result.recv_timeout(deadline) {
        Ok(came) if came == expected => return,
        Ok(came) => format!("{came:?}"),
        Err(RecvTimeoutError::Timeout) => {
            format!("nothing within {deadline:?}: it hangs, or is far too slow")
        }
        Err(RecvTimeoutError::Disconnected) => "nothing: it panicked, as shown above".to_owned(),
    };
    panic!(
        "\n    {id} · sent: {sent}\n       came: {came}\n       expected: {expected:?}\n    Contract {id} in labs/02-framing/README.md"
    );
}

/// A text to Bob, for good (a thread that hangs may keep it), and what becomes of it when it comes alone.
fn message(text: &str) -> (&'static [u8], Event) {
    (Cipher::None.chat_send_msg(1, 2, text).leak(), Event::Delivered(2, text.to_owned()))
}

/// Shows the museum these bytes, each in a write of its own when it is done with the one before: what becomes of each.
fn in_the_museum(writes: &[&[u8]]) -> Vec<Event> {
    let museum = Museum::open(&["alice", "bob"], Cipher::None);
    let [alice, mut bob] = [0; 2].map(|_| common::connect(museum.address));
    let next = || museum.events.recv_timeout(common::DEADLINE).expect("an event");
    bob.write_all(&Cipher::None.login("bob")).expect("the museum reads");
    while next() != Event::LoggedIn("bob".to_owned()) {}
    let becomes = |bytes: &&[u8]| {
        (&alice).write_all(bytes).expect("the museum reads");
        assert_eq!(next(), Event::Recv(bytes.len()), "one write, one recv");
        next()
    };
    writes.iter().map(becomes).collect()
}

#[test]
fn a1_two_messages_in_one_write_are_none() {
    let ((a, of_a), (b, of_b)) = (message("你好🙂"), message("are you there?"));
    let text = String::from_utf8;
    expect("a1", "stick(a, b)", text([a, b].concat()), move || text(work::stick(a, b)));
    let expected = vec![of_a.clone(), of_b, Event::BadJson, of_a];
    let sent = "to the museum, each in one write: a, b, stick(a, b), a";
    expect("a1", sent, expected, move || in_the_museum(&[a, b, &work::stick(a, b), a]));
}

#[test]
fn a2_one_message_in_two_writes_is_none() {
    let (whole, of_whole) = message("你好🙂");
    let asked = "split(message): is a part empty, and what are they together?";
    expect("a2", asked, (false, String::from_utf8(whole.to_vec())), move || {
        let (first, second) = work::split(whole);
        (first.is_empty() || second.is_empty(), String::from_utf8([first, second].concat()))
    });
    let expected = vec![of_whole.clone(), Event::BadJson, Event::BadJson, of_whole];
    let sent = "to the museum, each in one write: the message, both parts of split(message), the message";
    expect("a2", sent, expected, move || {
        let (first, second) = work::split(whole);
        in_the_museum(&[whole, first, second, whole])
    });
}

/// A body of so many bytes of a text, over and over.
fn body(text: &str, size: usize) -> Vec<u8> {
    text.bytes().cycle().take(size).collect()
}

/// Frames with these bodies, one behind the other.
fn frames(bodies: &[Vec<u8>]) -> Vec<u8> {
    bodies.iter().flat_map(|body| [&(body.len() as u32).to_be_bytes(), &body[..]].concat()).collect()
}

/// How many bodies came and how many are right; of the next, how it differs from what was sent.
fn compared(came: &[Vec<u8>], sent: &[Vec<u8>]) -> String {
    let right = came.iter().zip(sent).take_while(|(came, sent)| came == sent).count();
    let words = format!("bodies: {}, of which the first {right} as they were sent", came.len());
    if came == sent {
        return words;
    }
    let [came, sent] = [came, sent].map(|bodies| bodies.get(right).map_or(&[][..], Vec::as_slice));
    let byte = came.iter().zip(sent).take_while(|(came, sent)| came == sent).count();
    format!("{words}; the next: {} bytes, not {}, wrong from byte {byte} on", came.len(), sent.len())
}

/// What a splitter makes of a stream that comes over a socket: so many bytes, and the rest when these have been pushed.
fn over_a_socket(stream: &[u8], cut: usize) -> Result<Vec<Vec<u8>>, FrameError> {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let mut client = common::connect(listener.local_addr().expect("an address"));
    let (server, _) = listener.accept().expect("a client");
    let (mut splitter, mut bodies, mut buffer) = (Splitter::default(), Vec::new(), [0; 16 * 1024]);
    let (first, rest) = stream.split_at(cut);
    for sent in [first].into_iter().chain(rest.chunks(buffer.len())) {
        client.write_all(sent).expect("room for it"); // nothing else is on its way
        let mut reader = (&server).take(sent.len() as u64);
        while let count @ 1.. = reader.read(&mut buffer).expect("bytes") {
            bodies.extend(splitter.push(&buffer[..count])?);
        }
    }
    Ok(bodies)
}

#[test]
fn a3_a_stream_cut_anywhere_gives_the_same_bodies() {
    let bodies: &[Vec<u8>] = [40, 304, 70_000].map(|size| body("你好🙂", size)).to_vec().leak();
    let stream: &[u8] = frames(bodies).leak();
    for cut in 1..=400 {
        let sent =
            format!("bodies of 40, 304, 70000; cut behind byte {cut}, the rest in pushes of up to 16384");
        let code = move || over_a_socket(stream, cut).map(|came| compared(&came, bodies));
        expect("a3", &sent, Ok(compared(bodies, bodies)), code);
    }
}

#[test]
fn a4_five_hundred_frames_in_one_push_are_five_hundred_bodies() {
    let numbered = |number: usize| body(&format!("第{number}帧，"), 32 + number % 5 * 8);
    let bodies: Vec<Vec<u8>> = (1..=500).map(numbered).collect();
    let (stream, right) = (frames(&bodies), compared(&bodies, &bodies));
    let code = move || Splitter::default().push(&stream).map(|came| compared(&came, &bodies));
    expect("a4", "500 frames in one push", Ok(right), code);
}

/// A length must be taken, or refused when its fourth byte comes and not before.
fn expect_length(id: &str, length: u32, is_taken: bool) {
    let fourth = if is_taken { Ok(vec![]) } else { Err(FrameError::Length(length)) };
    let sent = format!("three bytes of the length {length}; in the next push the fourth");
    expect(id, &sent, (Ok(vec![]), fourth), move || {
        let (mut splitter, field) = (Splitter::default(), length.to_be_bytes());
        (splitter.push(&field[..3]), splitter.push(&field[3..]))
    });
}

#[test]
fn a5_the_longest_frame_is_taken_and_a_longer_one_refused_at_its_fourth_byte() {
    expect_length("a5", MAX_FRAME as u32, true);
    expect_length("a5", MAX_FRAME as u32 + 8, false);
    expect_length("a5", 0xFFFF_FFF8, false);
}

#[test]
fn a6_a_length_below_32_or_no_multiple_of_8_is_refused() {
    for length in [32, 40, 0, 8, 24, 31, 33, 36, 47] {
        expect_length("a6", length, length == 32 || length == 40);
    }
}

#[test]
fn a7_an_end_between_frames_is_clean_and_one_within_a_frame_is_not() {
    let stream: &[u8] = frames(&[body("one ", 32), body("two ", 40)]).leak();
    for size in 0..=stream.len() {
        let expected = if [0, 36, 36 + 44].contains(&size) { Ok(()) } else { Err(FrameError::Truncated) };
        let sent = format!("{size} of the 36 + 44 bytes of two frames, at most 5 in a push; then finish");
        expect("a7", &sent, expected, move || {
            let mut splitter = Splitter::default();
            stream[..size].chunks(5).try_for_each(|bytes| splitter.push(bytes).map(drop))?;
            splitter.finish()
        });
    }
}

#[test]
fn g1_minim_answers_a_login_cut_at_each_byte() {
    let mut server = common::Server::with(&["--trace", "steps"]);
    server.new_user("alice");
    let mut alice = server.peer();
    server.program.expect_error(&format!("send(2, {SERVER_HELLO} bytes)")); // the hello: what comes next is LOGIN
    for byte in alice.seal(br#"{"type":"LOGIN","clientNo":1,"loginName":"alice","pwd":"alice's password"}"#) {
        alice.send_raw(&[byte]).expect("minim reads");
        server.program.expect_error("recv(2, "); // that took it
    }
    alice.expect("LOGIN_OK");
}
