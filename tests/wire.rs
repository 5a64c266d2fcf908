//! Hello and frames against published values: tests/vectors/frame.txt, and the worked frame of PROTOCOL.md.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use minim::md5_check::hex;
use minim::socket::{self, Socket};
use minim::trace::Trace;
use minim::wire::{Error, MAGIC, Secret, hello_as_client, hello_as_server};

const VECTORS: &str = include_str!("vectors/frame.txt");
const PROTOCOL: &str = include_str!("../PROTOCOL.md");

/// Bytes of a field: hexadecimal digits, or `-` for none.
fn bytes(field: &str) -> Vec<u8> {
    let digits = if field == "-" { "" } else { field };
    assert!(digits.len().is_multiple_of(2), "{field}");
    let byte = |place| u8::from_str_radix(&digits[place..place + 2], 16).expect("hexadecimal");
    (0..digits.len()).step_by(2).map(byte).collect()
}

fn array<const N: usize>(field: &str) -> [u8; N] {
    bytes(field).try_into().expect("as many bytes as are wanted")
}

/// Two ends of a TCP connection.
fn pair() -> (Socket, Socket) {
    let listener =
        socket::listen(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), "L", &Trace::off()).expect("a free port");
    let address = listener.address().expect("an address");
    let connecting =
        std::thread::spawn(move || socket::connect(address, Duration::from_secs(30), "C", &Trace::off()));
    let accepted = socket::accept(&listener, "1").expect("a connection");
    (connecting.join().expect("connects").expect("connects"), accepted)
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(30)
}

/// What both ends know after a hello with these nonces.
fn secret<'a>(passphrase: &'a [u8], client_nonce: &'a [u8], server_nonce: &'a [u8]) -> Secret<'a> {
    Secret { passphrase, client_nonce, server_nonce }
}

/// The value of the first record of that kind.
fn value(kind: &str) -> Vec<u8> {
    let line = VECTORS.lines().find_map(|line| line.strip_prefix(kind)?.strip_prefix(' '));
    bytes(line.unwrap_or_else(|| panic!("no record {kind}")))
}

#[test]
fn keys_proofs_frames_and_refusals_are_the_published_ones() {
    let (passphrase, client_nonce, server_nonce) =
        (value("passphrase"), value("clientNonce"), value("serverNonce"));
    let secret = secret(&passphrase, &client_nonce, &server_nonce);
    let (mut frames, mut refusals, mut derived, mut proofs) = (0, 0, 0, 0);
    for line in VECTORS.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        match line.split_whitespace().collect::<Vec<_>>()[..] {
            ["passphrase" | "clientNonce" | "serverNonce", _] => {}
            ["key", name, key] => {
                let label = name.replace("-des", " key").replace("-mac", " mac");
                assert!(hex(&secret.derive(&label)).starts_with(key), "{name}");
            }
            ["badHello", first_bytes, reason] => {
                let (from, to) = pair();
                from.send(&bytes(first_bytes), soon()).expect("sends");
                let refused = hello_as_server(&to, &passphrase, soon());
                assert!(matches!(refused, Err(Error::NotMinim(_))), "{reason}");
            }
            ["derive", name, label, result] => {
                let label = String::from_utf8(bytes(label)).expect("ASCII");
                assert_eq!(hex(&secret.derive(&label)), result, "{name}");
                derived += 1;
            }
            ["frame", end, sequence, iv, body, _, _, whole] => {
                let sequence = sequence.parse().expect("a number");
                let mut sender = secret.sender(end);
                sender.sequence = sequence;
                assert_eq!(hex(&sender.seal_with(array(iv), &bytes(body))), whole, "{line}");
                let mut receiver = secret.receiver(end);
                receiver.sequence = sequence;
                let (from, to) = pair();
                from.send(&bytes(whole), soon()).expect("sends");
                assert_eq!(receiver.receive(&to, soon()).expect("a frame"), Some(bytes(body)), "{line}");
                frames += 1;
            }
            ["reject", end, sequence, whole, reason] => {
                let mut receiver = secret.receiver(end);
                receiver.sequence = sequence.parse().expect("a number");
                receiver.after_login();
                let (from, to) = pair();
                from.send(&bytes(whole), soon()).expect("sends");
                let error = receiver.receive(&to, soon()).expect_err(reason);
                let is_right = match error {
                    Error::FrameLength { .. } => reason.starts_with("length"),
                    Error::WrongPadding => reason.starts_with("padding"),
                    Error::WrongMac => !reason.starts_with("length") && !reason.starts_with("padding"),
                    _ => false,
                };
                assert!(is_right, "{reason}: {error:?}");
                refusals += 1;
            }
            ["badProof", passphrase, proof] => {
                let passphrase = bytes(passphrase);
                let other = Secret { passphrase: &passphrase, ..secret };
                assert_eq!(hex(&other.derive("server proof")), proof);
                assert_ne!(other.derive("server proof"), secret.derive("server proof"));
                proofs += 1;
            }
            _ => panic!("an unknown record: {line}"),
        }
    }
    assert!(
        frames > 20 && refusals > 8 && derived == 5 && proofs > 3,
        "{frames} {refusals} {derived} {proofs}"
    );
}

#[test]
fn the_worked_hello_and_frame_of_the_protocol_are_right() {
    let block = PROTOCOL.split_once("```text worked-frame\n").expect("the block").1;
    let block = block.split_once("```").expect("its end").0;
    let values: HashMap<&str, &str> = block.lines().filter_map(|line| line.split_once(' ')).collect();
    let (passphrase, client_nonce, server_nonce) =
        (bytes(values["passphrase"]), bytes(values["clientNonce"]), bytes(values["serverNonce"]));
    let secret = secret(&passphrase, &client_nonce, &server_nonce);
    for (name, label) in [
        ("proof", "server proof"),
        ("clientKey", "client key"),
        ("clientMac", "client mac"),
        ("serverKey", "server key"),
        ("serverMac", "server mac"),
    ] {
        assert_eq!(hex(&secret.derive(label)), values[name], "{name}");
    }
    let hello = |names: &[&str]| hex(&MAGIC) + &names.iter().map(|name| values[name]).collect::<String>();
    assert_eq!(values["clientHello"], hello(&["clientNonce"]));
    assert_eq!(values["serverHello"], hello(&["serverNonce", "proof"]));
    assert_eq!(values["sequence"], "0000000000000000");
    let frame = hex(&secret.sender("client").seal_with(array(values["iv"]), &bytes(values["body"])));
    assert_eq!(frame, values["frame"]);
    let parts = ["iv", "ciphertext", "mac"].map(|name| values[name]).concat();
    assert_eq!(frame, format!("{:08x}{parts}", parts.len() / 2));
}

#[test]
fn both_halves_of_the_hello_understand_each_other_and_iv_and_nonce_are_never_the_same() {
    let mut seen = std::collections::HashSet::new();
    for _ in 0..50 {
        let (client, server) = pair();
        let serving = std::thread::spawn(move || {
            let (mut sender, mut receiver) = hello_as_server(&server, b"hfut", soon()).expect("a hello");
            let body = receiver.receive(&server, soon()).expect("a frame").expect("a body");
            server.send(&sender.seal(&body), soon()).expect("sends");
        });
        let (mut sender, mut receiver) = hello_as_client(&client, b"hfut", soon()).expect("a hello");
        let frame = sender.seal("你好".as_bytes());
        assert!(seen.insert(frame[4..].to_vec()), "the same frame twice");
        client.send(&frame, soon()).expect("sends");
        assert_eq!(receiver.receive(&client, soon()).expect("a frame").expect("a body"), "你好".as_bytes());
        serving.join().expect("served");
    }
}

#[test]
fn what_came_before_a_deadline_is_kept_for_the_next_try() {
    let secret = secret(b"x", &[1; 16], &[1; 16]);
    let (mut sender, mut receiver) = (secret.sender("client"), secret.receiver("client"));
    let (from, to) = pair();
    let frame = sender.seal(b"half and half");
    for piece in frame.chunks(7) {
        let error = receiver.receive(&to, Instant::now() + Duration::from_millis(1));
        assert!(error.expect_err("not whole yet").is_timeout());
        from.send(piece, soon()).expect("sends");
    }
    assert_eq!(receiver.receive(&to, soon()).expect("a frame").expect("a body"), b"half and half");
    drop(from);
    assert!(receiver.receive(&to, soon()).expect("a clean end").is_none());
}
