//! Fed: bytes behind the hello of tests/vectors/frame.txt, with whose keys its frames open.
//!
//! Must hold:
//! - however the bytes are cut, the same bodies come, and the same error ends them;
//! - a body that came, sealed once more, is the frame that it came in; no frame is longer than its limit;
//! - bodies that are sealed are opened again, all and in order;
//! - where one bit is flipped, neither that frame nor one behind it is opened;
//! - a right MAC does not help wrong padding: what is opened is what `seal` would have made.

#![no_main]

use libfuzzer_sys::fuzz_target;
use minim::limits::{MAX_FRAME, MAX_FRAME_BEFORE_LOGIN};
use minim::md5_check::hmac_md5;
use minim::wire::{Error, FRAME_OVERHEAD, IV_SIZE, LENGTH_SIZE, Secret, frame_size};
use minim_fuzz::{deliveries, with_choice};

const SECRET: Secret = Secret {
    passphrase: b"hfut",
    client_nonce: &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15],
    server_nonce: &[16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31],
};

fuzz_target!(|input: &[u8]| {
    let Some((bytes, choice)) = with_choice(input) else { return };
    frames_from_a_stranger(bytes, choice);
    frames_of_ours(bytes, choice);
    a_right_mac_over_anything(bytes);
});

fn frames_from_a_stranger(bytes: &[u8], choice: usize) {
    let is_logged_in = choice.is_multiple_of(2);
    let [whole, others @ ..] = deliveries(bytes, choice).map(|pieces| received(&pieces, is_logged_in));
    for other in others {
        assert_eq!(other, whole);
    }
    let limit = if is_logged_in { MAX_FRAME } else { MAX_FRAME_BEFORE_LOGIN };
    let (mut sender, mut rest) = (SECRET.sender("client"), bytes);
    for body in whole.0 {
        let iv = rest[LENGTH_SIZE..].first_chunk().expect("a whole frame");
        let frame = sender.seal_with(*iv, &body);
        assert!(rest.starts_with(&frame) && frame.len() <= LENGTH_SIZE + limit);
        rest = &rest[frame.len()..];
    }
}

/// The lines of the input as bodies.
fn frames_of_ours(bytes: &[u8], choice: usize) {
    let mut sender = SECRET.sender("client");
    let bodies: Vec<&[u8]> = bytes.split(|byte| *byte == b'\n').collect();
    let frames: Vec<Vec<u8>> =
        bodies.iter().map(|body| sender.seal_with([choice as u8; IV_SIZE], body)).collect();
    for (body, frame) in bodies.iter().zip(&frames) {
        assert_eq!(frame.len(), frame_size(body.len()));
    }
    let mut stream = frames.concat();
    for pieces in deliveries(&stream, choice) {
        assert_eq!(received(&pieces, true).0, bodies);
    }

    let place = choice % stream.len();
    stream[place] ^= 1 << (choice / 8 % 8);
    let ends = frames.iter().scan(0, |end, frame| {
        *end += frame.len();
        Some(*end)
    });
    let unhurt = ends.take_while(|end| *end <= place).count();
    assert_eq!(received(&[&stream], true).0, bodies[..unhurt]);
}

/// The input as IV and ciphertext of a frame whose MAC fits.
fn a_right_mac_over_anything(bytes: &[u8]) {
    let Some((iv, rest)) = bytes.split_first_chunk::<IV_SIZE>() else { return };
    let ciphertext = &rest[..rest.len() / 8 * 8];
    if ciphertext.is_empty() {
        return;
    }
    let mac = hmac_md5(&SECRET.derive("client mac"), &[&0_u64.to_be_bytes(), iv, ciphertext]);
    let length = (FRAME_OVERHEAD + ciphertext.len()) as u32;
    let frame = [&length.to_be_bytes()[..], iv, ciphertext, &mac].concat();
    match SECRET.receiver("client").open(&frame) {
        Ok(body) => assert_eq!(SECRET.sender("client").seal_with(*iv, &body), frame),
        Err(error) => assert!(matches!(error, Error::WrongPadding), "{error}"),
    }
}

/// The bodies that these pieces bring, and the error behind them, or nothing.
fn received(pieces: &[&[u8]], is_logged_in: bool) -> (Vec<Vec<u8>>, String) {
    let mut receiver = SECRET.receiver("client");
    if is_logged_in {
        receiver.after_login();
    }
    let mut bodies = Vec::new();
    for piece in pieces {
        let mut outcome = receiver.receive_bytes(piece);
        while let Ok(Some(body)) = outcome {
            bodies.push(body);
            outcome = receiver.receive_bytes(&[]); // one piece may bring several
        }
        if let Err(error) = outcome {
            return (bodies, error.to_string());
        }
    }
    (bodies, String::new())
}
