//! Lab 08, the check: what `work.rs` promises, against the museum (a1, a2) and against minim, to which all connections go
//! through your relay (mallory.rs). Nothing here waits for time to pass; whatever hangs is red after the 30 seconds that the
//! tests' harness waits for anything.

#[path = "../../tests/common/mod.rs"]
mod common;
mod mallory;
#[path = "../museum.rs"]
mod museum;
mod work;

use std::io::{Read, Write};
use std::iter::repeat_with;
use std::net::Shutdown;
use std::sync::{Arc, Mutex};
use std::thread;

use common::{DEADLINE, connect, read_to_end};
use mallory::{Change, Contract, Place, expect, relays, replay};
use minim::limits::MAX_FRAME;
use minim::md5_check::random_bytes;
use minim::wire::{FRAME_OVERHEAD, MAGIC, SERVER_HELLO, frame_size};
use museum::{Cipher, Event, Museum};
use serde_json::{Value, json};
use work::Direction::{ToClient, ToServer};

/// The next two things that happen to the museum.
fn events(museum: &Museum) -> [Option<Event>; 2] {
    [(); 2].map(|()| museum.events.recv_timeout(DEADLINE).ok())
}

#[test]
fn a1_the_museum_logs_the_replayer_in_as_alice() {
    let _contract = Contract("a1");
    let cipher = Cipher::Ecb(random_bytes()); // Mallory knows no key
    let museum = Museum::open(&["alice"], cipher);
    let recording = cipher.login("alice");
    let mut mallory = replay("a1", &recording, museum.address);
    let logged_in = [Event::Recv(recording.len()), Event::LoggedIn("alice".to_owned())].map(Some);
    expect("a1", "LOGIN of Alice, by replay (what happens to the museum)", events(&museum), logged_in);
    let mut answer = [0; 32];
    let came = mallory.read_exact(&mut answer).ok().and_then(|()| cipher.open(&answer));
    let login_ok = json!({"type": "LOGIN_OK", "uid": 1});
    expect("a1", "LOGIN of Alice, by replay (what its connection then says)", came, Some(login_ok));
}

#[test]
fn a2_one_changed_byte_of_the_iv_changes_the_amount() {
    let _contract = Contract("a2");
    let cipher = Cipher::Cbc(random_bytes());
    let museum = Museum::open(&["alice", "bob"], cipher);
    let [mut alice, mut bob] = [(); 2].map(|()| connect(museum.address));
    bob.write_all(&cipher.login("bob")).expect("sent");
    expect("a2", "LOGIN by Bob", &events(&museum)[1], &Some(Event::LoggedIn("bob".to_owned())));
    for has_line_feed in [false, true] {
        let iv = |message: &Vec<u8>| message[message.len() - 24..][..8].contains(&b'\n');
        let mut messages = repeat_with(|| cipher.chat_send_msg(1, 2, "amount=0000100"));
        let mut message = messages.find(|message| iv(message) == has_line_feed).expect("one comes");
        work::flip_amount(&mut message);
        alice.write_all(&message).expect("sent");
        let expected = [Event::Recv(message.len()), Event::Delivered(2, "amount=9000100".to_owned())];
        let sent = format!("amount=0000100 by Alice, through flip_amount; 0a in the IV: {has_line_feed}");
        expect("a2", &sent, events(&museum), expected.map(Some));
    }
}

#[test]
fn a3_an_honest_relay_carries_both_ways_at_once_and_both_ends() {
    let mut place = Place::new("a3");
    let mut alice = place.alice();
    let ping = format!(r#"{{"type":"PING","x":"{}"}}"#, "x".repeat(MAX_FRAME - FRAME_OVERHEAD - 23));
    let pings: Vec<u8> = (0..4).flat_map(|_| alice.peer.seal(ping.as_bytes())).collect();
    let mut stream = alice.peer.stream.try_clone().expect("a clone");
    let sending = thread::spawn(move || stream.write_all(&pings));
    let said: Vec<String> = (0..20).map(|number| format!("{number} {}", "x".repeat(16_000))).collect();
    said.iter().for_each(|text| _ = place.bob.say(alice.peer.uid, text));
    let came: Vec<Value> =
        said.iter().map(|_| alice.peer.expect("CHAT_SEND_MSG")["msgText"].clone()).collect();
    expect("a3", "4 PINGs of 1 MiB by Alice, meanwhile 20 texts by Bob (all there?)", came == said, true);
    sending.join().expect("no panic").expect("all is read");
    alice.peer.send(json!({"type": "SHOUT"}));
    alice.peer.stream.shutdown(Shutdown::Write).expect("an end");
    let answer = repeat_with(|| alice.hears()).find(|heard| heard != "PONG").expect("it ends");
    let sent = "an unknown type by Alice, then shutdown(Write) (what she hears)";
    expect("a3", sent, [answer, alice.hears()], ["ERROR", "the end"].map(str::to_owned));
    for (direction, count) in [(ToServer, 6), (ToClient, 27)] {
        let sent = format!("{count} frames {direction:?} (the numbers of those that meddle was given whole)");
        expect("a3", &sent, alice.numbers(direction), (0..count).collect());
    }
    alice.leave();
    place.cut_short();
}

#[test]
fn a4_a_replayed_session_gets_no_frame_of_minim() {
    let mut place = Place::new("a4");
    let mut alice = place.alice();
    expect("a4", "a text by Alice", &alice.peer.say(place.bob.uid, "pay 100")["type"], &"ACK".into());
    place.bob.expect("CHAT_SEND_MSG");
    let frames = alice.frames();
    let recording = [&MAGIC[..], &alice.peer.client_nonce[..], &frames[0], &frames[3]].concat();
    let sent = "hello, LOGIN and text of Alice, by replay";
    let mut mallory = replay("a4", &recording, place.server.chat);
    let _ = mallory.shutdown(Shutdown::Write); // minim may have closed
    expect("a4", &format!("{sent} (bytes: a hello)"), read_to_end(&mut mallory).len(), SERVER_HELLO);
    for (who, peer) in [("Alice", &mut alice.peer), ("Bob", &mut place.bob)] {
        peer.fence();
        expect("a4", &format!("{sent} (what {who} hears of it)"), peer.take_aside(), vec![]);
    }
    alice.leave();
}

#[test]
fn a5_each_flipped_bit_ends_the_connection_and_nothing_is_delivered() {
    let mut place = Place::new("a5");
    let what = |bit| format!("bit {bit} of its frame flipped");
    let flip = |bit: usize| move |frame: &mut Vec<u8>, _: &[Vec<u8>]| frame[bit / 8] ^= 0x80 >> (bit % 8);
    let ping = json!({"type": "PING"});
    place.stranger().attack("its frame as it is", &ping, &|_, _| ());
    for bit in 0..8 * frame_size(ping.to_string().len()) {
        place.stranger().attack(&what(bit), &ping, &flip(bit));
    }
    place.attack("its frame as it is", 1, &|_, _| ());
    for bit in (0..8 * frame_size(place.bob.text_to(2, "pay 100").to_string().len())).step_by(13) {
        place.attack(&what(bit), 0, &flip(bit)); // a LOGIN costs 10,000 rounds: so one bit in 13, of every part
    }
}

#[test]
fn a6_a_frame_dropped_doubled_or_swapped_ends_the_connection_and_the_next_login_brings_it() {
    let mut place = Place::new("a6");
    place.attack("its frame as it is", 1, &|_, _| ());
    place.attack("its frame dropped", 0, &|frame, known| frame.clone_from(&known[3]));
    place.attack("its frame doubled", 1, &|frame, _| *frame = frame.repeat(2));
    let swap = |frame: &mut Vec<u8>, known: &[Vec<u8>]| *frame = [&known[3], &frame[..]].concat();
    place.attack("swapped with the frame of PING", 0, &swap);

    let accident = Arc::new(Mutex::new(None::<&[usize]>));
    let (next, held) = (accident.clone(), Mutex::new(Vec::new()));
    let (address, relayed) = relays(place.server.chat, 5, move |_, _, frame| {
        let (mut next, mut held) = (next.lock().expect("no panic"), held.lock().expect("no panic"));
        if next.is_none() || frame.len() < 300 {
            return vec![frame]; // it is too short for a text
        }
        held.push(frame);
        let Some(order) = next.take_if(|_| held.len() == 2) else { return vec![] };
        let both = std::mem::take(&mut *held);
        order.iter().map(|at| both[*at].clone()).collect()
    });
    let mut console = place.server.console(&["--chatPort", &address.port().to_string()]);
    console.line("/login alice \"alice's password\"");
    console.line("/open bob");
    console.expect("talking to Bob");
    for (what, order) in [("dropped", &[1][..]), ("doubled", &[0, 0, 1]), ("swapped", &[1, 0])] {
        *accident.lock().expect("no panic") = Some(order);
        let texts = ["one", "two"].map(|text| format!("Bob: {text} {what} {}", "x".repeat(300)));
        texts.iter().for_each(|text| _ = place.bob.say(1, &text["Bob: ".len()..]));
        let sent = format!("two texts by Bob, the first one {what} (what Alice's console shows)");
        println!("    a6 · {sent}");
        let mut shown = Vec::new();
        while shown.last() != texts.last() {
            shown.push(console.expect("Bob: "));
        }
        expect("a6", &sent, shown, texts.to_vec());
    }
    let lost = "! connection lost (the MAC of a frame is wrong), trying again in 1 s";
    let lost = console.transcript.iter().filter(|line| *line == lost).count();
    expect("a6", "the same (how often her console says: the MAC of a frame is wrong)", lost, 3);
    drop(console);
    expect("a6", "the ends of both sides: relay returns", relayed.recv_timeout(DEADLINE), Ok(()));
}

#[test]
fn a7_a_frame_of_the_server_that_is_sent_back_to_it_ends_the_connection() {
    let mut place = Place::new("a7");
    place.attack("its frame as it is", 1, &|_, _| ());
    let what = "the server's frame 1 in place of its frame, which is the client's frame 1";
    place.attack(what, 0, &|frame, known| frame.clone_from(&known[2]));
}

#[test]
fn a8_every_refusal_looks_the_same_from_outside() {
    let mut place = Place::new("a8");
    place.attack("its frame as it is", 1, &|_, _| ());
    let changes: [(&str, &Change); 8] = [
        ("a bit of its IV flipped", &|frame, _| frame[4] ^= 1),
        ("a bit of its last block flipped", &|frame, _| {
            *frame.iter_mut().nth_back(16).expect("a block") ^= 1
        }),
        ("a bit of its MAC flipped", &|frame, _| *frame.last_mut().expect("a MAC") ^= 1),
        ("a length of 0", &|frame, _| frame[..4].fill(0)),
        ("a length that is no multiple of 8", &|frame, _| frame[3] += 1),
        ("a length of 1,048,584", &|frame, _| frame[..4].copy_from_slice(&[0, 16, 0, 8])),
        ("LOGIN again in place of its frame", &|frame, known| frame.clone_from(&known[0])),
        ("LOGIN_OK in place of its frame", &|frame, known| frame.clone_from(&known[1])),
    ];
    for (what, change) in changes {
        place.attack(what, 0, change);
    }
}
