//! Lab 07, the check: what `work.rs` promises, tried on a picture, in the museum and on minim. Nothing here waits for time to
//! pass; what hangs is waited for ten seconds (times LAB_PATIENCE) and is red.

#[path = "../../tests/common/mod.rs"]
mod common;
#[path = "../museum.rs"]
mod museum;
mod work;

use std::collections::HashSet;
use std::io::{Read, Write};
use std::sync::mpsc::{RecvTimeoutError::Timeout, channel};

use minim::des::{decrypt_block, key_schedule, pad};
use minim::md5_check::{hex, random_bytes};
use museum::{Cipher, Event, Museum};
use work::Mode::{self, Cbc, Ecb};

/// Fails with the id, what was asked, what came, what should have come, and where it is written.
fn expect<T: PartialEq + std::fmt::Debug>(id: &str, asked: &str, came: T, expected: T) {
    assert!(
        came == expected,
        "\n    {id} · asked: {asked}\n       came: {came:?}\n       expected: {expected:?}\n    Contract {id} in labs/07-ecb-and-cbc/README.md"
    );
}

/// What the student's code returns. Its thread is left to itself when it hangs; what it was given must stay then: hence `leak`.
fn run<T: Send + 'static>(id: &str, asked: &str, body: impl FnOnce() -> T + Send + 'static) -> T {
    let (sender, receiver) = channel();
    std::thread::spawn(move || _ = sender.send(body()));
    let patience = std::env::var("LAB_PATIENCE").ok().and_then(|value| value.parse().ok());
    let came = receiver.recv_timeout(std::time::Duration::from_secs_f64(10.0 * patience.unwrap_or(1.0)));
    let came = came.map_err(|error| if error == Timeout { "nothing in time" } else { "a panic, see above" });
    expect(id, asked, came.as_ref().err(), None);
    came.expect("no error")
}

/// What `encrypt_picture` makes of a picture while `random` gives this IV, and how often it calls `random`.
fn encrypt(id: &str, bmp: &'static [u8], key: [u8; 8], mode: Mode, iv: [u8; 8]) -> (&'static [u8], usize) {
    run(id, &format!("encrypt_picture of {} bytes in {mode:?}", bmp.len()), move || {
        let mut calls = 0;
        let picture = work::encrypt_picture(bmp, &key, mode, &mut || (calls += 1, iv).1);
        (&*picture.leak(), calls)
    })
}

/// The header, and what stands behind it.
fn parts(picture: &[u8]) -> (&[u8], &[u8]) {
    picture.split_at(picture.len().min(54))
}

/// Deciphers a picture and compares its blocks (from 0) with what it was made from, padding too.
fn expect_pixels(id: &str, picture: &[u8], key: [u8; 8], mode: Mode, bmp: &[u8]) {
    let keys = key_schedule(&key);
    let blocks: Vec<u64> = parts(picture).1.as_chunks().0.iter().copied().map(u64::from_be_bytes).collect();
    let before = |at: usize| if mode == Cbc { blocks[at - 1] } else { 0 };
    let clear = |at: usize| format!("{:016x}", decrypt_block(&keys, blocks[at]) ^ before(at));
    let clear: Vec<String> = (usize::from(mode == Cbc)..blocks.len()).map(clear).collect();
    let expected: Vec<String> = pad(parts(bmp).1).chunks(8).map(hex).collect();
    for at in 0..clear.len().max(expected.len()) {
        let asked = format!("{} bytes in {mode:?}, deciphered, with padding: block {at}", bmp.len() - 54);
        expect(id, &asked, clear.get(at), expected.get(at));
    }
}

/// 128 by 128 pixels: the header; then the rows, the lowest first; of each pixel blue, green and red.
fn penguin() -> &'static [u8] {
    let (white, black, orange, sky) = (0xFFFFFF, 0x282828, 0xFF8C00, 0x87CEEB_i32);
    #[rustfmt::skip]
    let ellipses = [ // centre from the left and from below, half of width and height; the first over a pixel colours it
        [56, 99, 3, 4, black], [72, 99, 3, 4, black], [64, 88, 7, 5, orange], [56, 98, 8, 10, white],
        [72, 98, 8, 10, white], [64, 46, 24, 34, white], [64, 96, 24, 24, black], [64, 52, 38, 46, black],
        [44, 9, 17, 6, orange], [84, 9, 17, 6, orange], [64, 64, 200, 200, sky],
    ];
    let header = [54 + 49152, 0, 54, 40, 128, 128, 24 << 16 | 1, 0, 49152, 2835, 2835, 0, 0];
    let mut bmp = [b"BM", header.map(i32::to_le_bytes).as_flattened()].concat();
    for (x, y) in (0..128 * 128).map(|at| (at % 128, at / 128)) {
        let is_over = |[left, up, width, height, _]: &&[i32; 5]| {
            ((x - left) * height).pow(2) + ((y - up) * width).pow(2) <= (width * height).pow(2)
        };
        bmp.extend(&ellipses.iter().find(is_over).expect("the sky")[4].to_le_bytes()[..3]);
    }
    bmp.leak()
}

#[test]
fn a1_the_header_stays_and_no_pixels_do() {
    let (header, pixels) = parts(penguin());
    for mode in [Ecb, Cbc] {
        let came = parts(encrypt("a1", penguin(), random_bytes(), mode, random_bytes()).0);
        expect("a1", &format!("the header in {mode:?}"), hex(came.0), hex(header));
        let clear = came.1.windows(8).any(|bytes| bytes == &pixels[..8]);
        expect("a1", &format!("whether pixels can still be read in {mode:?}"), clear, false);
    }
}

#[test]
fn a2_ecb_shows_the_penguin_and_cbc_does_not() {
    let (bmp, key) = (penguin(), random_bytes());
    let [ecb, cbc] = [Ecb, Cbc].map(|mode| encrypt("a2", bmp, key, mode, random_bytes()).0);
    if let Ok(folder) = std::env::var("LAB_PICTURES") {
        for (name, picture) in [("penguin", bmp), ("ecb", ecb), ("cbc", cbc)] {
            std::fs::write(format!("{folder}/{name}.bmp"), picture).expect("LAB_PICTURES is a folder");
        }
    }
    expect_pixels("a2", ecb, key, Ecb, bmp);
    expect_pixels("a2", cbc, key, Cbc, bmp);
    let repeats = |asked: &str, bytes, expected| {
        expect("a2", asked, run("a2", asked, move || work::repeats(bytes)), expected);
    };
    repeats("repeats(\"penguinspenguinsicebergspenguins\")", b"penguinspenguinsicebergspenguins", 2);
    repeats("repeats(\"-penguinspenguins\")", b"-penguinspenguins", 0);
    let (pixels, distinct) = (parts(bmp).1.chunks(8), parts(bmp).1.chunks(8).collect::<HashSet<_>>());
    repeats("repeats behind the header in ECB", parts(ecb).1, pixels.len() - distinct.len());
    repeats("repeats behind the header in CBC", parts(cbc).1, 0);
}

#[test]
fn a3_each_picture_has_an_iv_of_its_own() {
    let (bmp, key) = (penguin(), random_bytes());
    for iv in [random_bytes(), random_bytes()] {
        let (came, calls) = encrypt("a3", bmp, key, Cbc, iv);
        let behind = parts(came).1.chunks(8).next().map(hex);
        expect("a3", "the IV behind the header, as random gave it", behind, Some(hex(&iv)));
        expect("a3", "how often CBC calls random", calls, 1);
    }
    expect("a3", "how often ECB calls random", encrypt("a3", bmp, key, Ecb, [0; 8]).1, 0);
}

#[test]
fn a4_the_padding_says_how_long_it_is() {
    for (size, mode) in (1..=17).flat_map(|size| [(size, Ecb), (size, Cbc)]) {
        let (bmp, key) = (&penguin()[..54 + size], random_bytes());
        expect_pixels("a4", encrypt("a4", bmp, key, mode, random_bytes()).0, key, mode, bmp);
    }
}

/// What `redirect` makes of two recordings.
fn redirect(id: &str, to_bob: &'static [u8], to_mallory: &'static [u8]) -> Vec<u8> {
    let changed = run(id, "redirect", move || work::redirect(to_bob, to_mallory));
    expect(id, "how many bytes redirect gives, if it gets so many to Bob", changed.len(), to_bob.len());
    changed
}

#[test]
fn a5_in_the_museum_mallory_hears_what_was_for_bob() {
    let cipher = Cipher::Ecb(random_bytes());
    let museum = Museum::open(&["alice", "bob", "mallory"], cipher);
    let hear = |mut stream: &std::net::TcpStream| {
        let mut buffer = [0; 1024];
        let count = stream.read(&mut buffer).expect("a message: the museum writes each in one piece");
        cipher.open(&buffer[..count]).expect("JSON of the museum")
    };
    let [mut alice, _bob, mallory] = ["alice", "bob", "mallory"].map(|name| {
        let mut stream = common::connect(museum.address);
        stream.write_all(&cipher.login(name)).expect("the museum reads");
        assert_eq!(hear(&stream)["type"], "LOGIN_OK");
        stream
    });
    let text = format!("the treasure is in cave {}", hex(&random_bytes::<4>()));
    let (to_bob, to_mallory) = (cipher.chat_send_msg(1, 2, &text), cipher.chat_send_msg(1, 3, "hello"));
    alice.write_all(&to_mallory).expect("the museum reads");
    assert_eq!(hear(&mallory)["msgText"], "hello");
    let changed = redirect("a5", to_bob.leak(), to_mallory.leak());
    alice.write_all(&changed).expect("the museum reads");
    let mut events = std::iter::from_fn(|| museum.events.recv_timeout(common::DEADLINE).ok());
    let _ = events.find(|event| *event == Event::Recv(changed.len()));
    let asked = format!("what the museum does with {text:?} for 2 (Bob), as redirect has changed it");
    expect("a5", &asked, events.next(), Some(Event::Delivered(3, text.clone())));
    expect("a5", "what Mallory hears", &hear(&mallory)["msgText"], &text.into());
}

#[test]
fn a6_on_minim_the_same_trick_ends_the_connection() {
    let server = common::Server::start();
    let (mut alice, mut bob) = server.alice_and_bob();
    let mut mallory = server.new_user("mallory");
    server.befriend(&mut alice, &mut mallory);
    let mut seal = |to, text| {
        let mut body = Cipher::None.chat_send_msg(alice.uid, to, text);
        body.pop(); // the bracket at its end: minim wants two fields more
        body.extend(format!(r#","clientNo":{},"msgType":"TEXT"}}"#, alice.next_client_no()).bytes());
        &*alice.seal(&body).leak()
    };
    let (to_mallory, to_bob) = (seal(mallory.uid, "hello"), seal(bob.uid, "hi 42"));
    alice.send_raw(to_mallory).expect("the server reads");
    expect("a6", "an honest frame to Mallory", &mallory.expect("CHAT_SEND_MSG")["msgText"], &"hello".into());
    alice.expect("ACK");
    let end = to_bob.len() - 16; // of the ciphertext, which begins behind 4 bytes of length and 8 of IV; then comes the MAC
    let changed = redirect("a6", &to_bob[12..end], &to_mallory[12..end]);
    expect("a6", "does redirect change the ciphertext of a frame to Bob?", changed != to_bob[12..end], true);
    alice.send_raw(&[&to_bob[..12], &changed, &to_bob[end..]].concat()).expect("the server reads");
    expect("a6", "minim's answer to the changed frame (None: closed)", alice.receive(), None);
    let mut again = server.log_in("alice");
    for (name, other) in [("Bob", &mut bob), ("Mallory", &mut mallory)] {
        again.say(other.uid, "later");
        let came = &other.expect("CHAT_SEND_MSG")["msgText"];
        expect("a6", &format!("what {name} hears first: what Alice says later"), came, &"later".into());
    }
}
