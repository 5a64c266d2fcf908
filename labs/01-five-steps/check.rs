//! Lab 01, the check: what `work.rs` promises, tried over real sockets. Nothing here waits for time to pass; whatever hangs is
//! waited for ten seconds (times LAB_PATIENCE) and is red.

mod work;

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

fn deadline() -> Duration {
    let patience = std::env::var("LAB_PATIENCE").ok().and_then(|value| value.parse().ok());
    Duration::from_secs_f64(10.0 * patience.unwrap_or(1.0))
}

/// Fails with the id, what was sent, what came, what should have come, and where it is written.
fn red(id: &str, sent: &str, came: &str, expected: &str) -> ! {
    panic!(
        "\n    {id} · sent: {sent}\n       came: {came}\n       expected: {expected}\n    Contract {id} in labs/01-five-steps/README.md"
    )
}

/// What `body` returns, if it does before the deadline. The thread is left to itself when it hangs.
fn within<T: Send + 'static>(body: impl FnOnce() -> T + Send + 'static) -> Receiver<T> {
    let (sender, receiver) = channel();
    thread::spawn(move || _ = sender.send(body()));
    receiver
}

/// A listener of ours, the student's server on it, and its result.
fn server(clients: usize) -> (SocketAddr, Receiver<std::io::Result<u64>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    (address, within(move || work::echo_server(listener, clients)))
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("the listener stands");
    stream.set_read_timeout(Some(deadline())).expect("a deadline");
    stream.set_write_timeout(Some(deadline())).expect("a deadline");
    stream
}

/// Reads as many bytes as that, or says what came instead.
fn read(stream: &mut TcpStream, count: usize) -> Result<Vec<u8>, String> {
    let mut bytes = vec![0; count];
    let mut length = 0;
    while length < count {
        match stream.read(&mut bytes[length..]) {
            Ok(0) => return Err(format!("{length} bytes, then the end")),
            Ok(more) => length += more,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(format!("{length} bytes, then {}", error.kind())),
        }
    }
    Ok(bytes)
}

/// How what came differs from what should have come, at its first place.
fn difference(came: &Result<Vec<u8>, String>, expected: &[u8]) -> String {
    match came {
        Err(came) => came.clone(),
        Ok(came) => match came.iter().zip(expected).position(|(came, expected)| came != expected) {
            Some(at) => {
                format!("{} bytes; byte {at} is {:#04x}, not {:#04x}", came.len(), came[at], expected[at])
            }
            None => format!("{} bytes, as they should be", came.len()),
        },
    }
}

fn all_values(count: usize) -> Vec<u8> {
    (0..count).map(|at| (at ^ at >> 8 ^ at >> 16) as u8).collect()
}

#[test]
fn a1_an_echo_comes_while_the_connection_stays_open() {
    let (address, _result) = server(1);
    let mut client = connect(address);
    client.write_all(b"hello, echo").expect("sent");
    match read(&mut client, 11) {
        Ok(came) if came == b"hello, echo" => {}
        other => red(
            "a1",
            "\"hello, echo\", the connection stays open",
            &format!("{other:?}"),
            "the same 11 bytes",
        ),
    }
}

#[test]
fn a2_sixteen_mebibytes_come_back_unchanged_while_they_are_sent() {
    let (address, _result) = server(1);
    let mut client = connect(address);
    let bytes = all_values(16 * 1024 * 1024);
    let (mut to, sent) = (client.try_clone().expect("a clone"), bytes.clone());
    thread::spawn(move || to.write_all(&sent));
    let came = read(&mut client, bytes.len());
    if !came.as_ref().is_ok_and(|came| *came == bytes) {
        red("a2", "16 MiB, and read at the same time", &difference(&came, &bytes), "the same 16777216 bytes");
    }
}

#[test]
fn a3_behind_the_end_of_the_client_the_rest_comes_and_then_an_end() {
    let (address, result) = server(1);
    let mut client = connect(address);
    let bytes = all_values(300_000);
    let (mut to, sent) = (client.try_clone().expect("a clone"), bytes.clone());
    thread::spawn(move || to.write_all(&sent).and_then(|()| to.shutdown(Shutdown::Write)));
    let came = read(&mut client, bytes.len());
    let end = client.read(&mut [0]);
    match (&came, &end, result.recv_timeout(deadline())) {
        (Ok(came), Ok(0), Ok(Ok(300_000))) if *came == bytes => {}
        (_, _, result) => red(
            "a3",
            "300,000 bytes, then shutdown(Write)",
            &format!("{}; then {end:?}; echo_server returned {result:?}", difference(&came, &bytes)),
            "the same 300000 bytes; then Ok(0), the end; echo_server returns Ok(Ok(300000))",
        ),
    }
}

#[test]
fn a4_a_silent_client_does_not_hold_up_another() {
    let (address, _result) = server(2);
    let silent = connect(address);
    let mut second = connect(address);
    second.write_all(b"are you there?").expect("sent");
    let came = read(&mut second, 14);
    if !came.as_ref().is_ok_and(|came| came == b"are you there?") {
        red(
            "a4",
            "\"are you there?\" by the second client, the first is silent",
            &format!("{came:?}"),
            "the same 14 bytes",
        );
    }
    drop(silent);
}

#[test]
fn a5_a_client_that_vanishes_ends_only_its_own_thread() {
    let (address, result) = server(3);
    let mut vanishing = connect(address);
    vanishing.write_all(b"not read").expect("sent");
    let _ = vanishing.peek(&mut [0]); // waits until something lies there unread: what closes now resets the connection
    let mut others: Vec<TcpStream> = (0..2).map(|_| connect(address)).collect();
    others[0].write_all(b"before").expect("sent");
    let before = read(&mut others[0], 6);
    drop(vanishing);
    others[1].write_all(b"behind").expect("sent");
    let behind = read(&mut others[1], 6);
    others.iter().for_each(|other| other.shutdown(Shutdown::Write).expect("an end"));
    let echoed = result.recv_timeout(deadline());
    let is_right = matches!(&echoed, Ok(Ok(12..=20)));
    if before.is_err() || behind.is_err() || !is_right {
        red(
            "a5",
            "8 bytes by a client that vanishes before it has read them; 6 bytes each by two others",
            &format!("{before:?}, {behind:?}; echo_server returned {echoed:?}"),
            "6 bytes each; echo_server returns Ok: 12 bytes, and those that the first one was sent",
        );
    }
}

#[test]
fn a6_ask_returns_the_whole_answer_of_a_server_that_waits_for_the_end() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    let answer = all_values(8 * 1024 * 1024);
    let sent = answer.clone();
    let asked = within(move || {
        let (mut client, _) = listener.accept().expect("a client");
        let mut question = Vec::new();
        let _ = client.read_to_end(&mut question);
        let _ = client.write_all(&sent); // a client that leaves early is red below
        question
    });
    let came = within(move || work::ask(address, b"how much?")).recv_timeout(deadline());
    let question =
        asked.recv_timeout(deadline()).map(|question| String::from_utf8_lossy(&question).into_owned());
    match (&came, &question) {
        (Ok(Ok(came)), Ok(question)) if *came == answer && question == "how much?" => {}
        _ => red(
            "a6",
            "ask(address, \"how much?\"); the server answers once the question has ended",
            &format!(
                "{:?} bytes; the server heard {question:?}",
                came.map(|came| came.map(|came| came.len()))
            ),
            "8388608 bytes; the server heard the question and its end",
        ),
    }
}
