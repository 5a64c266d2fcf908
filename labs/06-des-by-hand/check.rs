//! Lab 06, the check: what `work.rs` promises, against the published vectors and the cipher of minim.

mod work;

use minim::des::{encrypt_block, initial_permutation, inverse_initial_permutation, key_schedule, round};
use minim::md5_check::random_bytes;

/// What the published list of keys has in its second and third column, by its first: `weak` or `semi`.
fn published(kind: &str) -> Vec<(u64, u64)> {
    let list = include_str!("../../tests/vectors/des-weak-keys.txt");
    let row = |line: &str| {
        let mut words =
            line.split(' ').skip(1).map(|word| u64::from_str_radix(word, 16).expect("a number of 64 bits"));
        (words.next().expect("a key"), words.next().expect("a second column"))
    };
    list.lines().filter(|line| line.split(' ').next() == Some(kind)).map(row).collect()
}

fn random() -> u64 {
    u64::from_be_bytes(random_bytes())
}

/// Fails with the id, what was asked, what came, what should have come, and where it is written.
fn expect<T: PartialEq + std::fmt::Debug>(id: &str, asked: &str, came: T, expected: T) {
    assert!(
        came == expected,
        "\n    {id} · asked: {asked}\n       came: {came:x?}\n       expected: {expected:x?}\n    Contract {id} in labs/06-des-by-hand/README.md"
    );
}

#[test]
fn a1_sixteen_rounds_encipher() {
    let keys = key_schedule(&0x1334_5779_9BBC_DFF1_u64.to_be_bytes());
    let (l, r) = initial_permutation(0x0123_4567_89AB_CDEF);
    let asked = format!("round 1 of the example of the handout: round({l:08x}, {r:08x}, {:012x})", keys.k[0]);
    expect("a1", &asked, work::round(l, r, keys.k[0]), (0xF0AA_F0AA, 0xEF4A_6544));
    for _ in 0..1000 {
        let (key, block) = (random(), random());
        let keys = key_schedule(&key.to_be_bytes());
        let (mut l, mut r) = initial_permutation(block);
        for (number, &subkey) in keys.k.iter().enumerate() {
            let asked =
                format!("round {} of block {block:016x}, key {key:016x}: {l:08x} {r:08x}", number + 1);
            let came = work::round(l, r, subkey);
            expect("a1", &asked, came, round(l, r, subkey));
            (l, r) = came;
        }
        let asked = format!("16 rounds of block {block:016x} under key {key:016x}");
        expect("a1", &asked, inverse_initial_permutation(r, l), encrypt_block(&keys, block));
    }
}

#[test]
fn a2_one_bit_becomes_half_of_them() {
    for _ in 0..100 {
        let (key, block, bit) = (random(), random(), (random() % 64) as u32 + 1);
        let mut halves = initial_permutation(block);
        let mut others = initial_permutation(block ^ (1 << 63 >> (bit - 1)));
        let expected = key_schedule(&key.to_be_bytes()).k.map(|subkey| {
            halves = round(halves.0, halves.1, subkey);
            others = round(others.0, others.1, subkey);
            (halves.0 ^ others.0).count_ones() + (halves.1 ^ others.1).count_ones()
        });
        let asked = format!("avalanche({key:#018x}, {block:#018x}, {bit})");
        expect("a2", &asked, work::avalanche(key, block, bit).map(Decimal), expected.map(Decimal));
    }
}

/// A number that is shown in decimal among the others.
#[derive(PartialEq)]
struct Decimal(u32);

impl std::fmt::Debug for Decimal {
    fn fmt(&self, formatter: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(formatter, "{}", self.0)
    }
}

#[test]
fn a3_the_four_weak_keys_and_no_others() {
    let asked = |key: u64| format!("is_weak({key:#018x})");
    for (key, _) in published("weak") {
        for parity in [0, 0x0101_0101_0101_0101, random() & 0x0101_0101_0101_0101] {
            expect("a3", &asked(key ^ parity), work::is_weak(key ^ parity), true);
        }
    }
    for (key, _) in published("semi") {
        expect("a3", &asked(key), work::is_weak(key), false);
    }
    for key in (0..10_000).map(|_| random()) {
        expect("a3", &asked(key), work::is_weak(key), false);
    }
}

#[test]
fn a4_two_texts_are_one_key() {
    for number in 0..1000 {
        let letters: [u8; 4] = random_bytes().map(|byte: u8| b'b' + byte % 24); // of b to y each has a neighbour
        let text = if number == 0 { "hfut" } else { std::str::from_utf8(&letters).expect("letters") };
        let twin = work::twin(text);
        let schedule = |text: &str| {
            let mut key = [0; 8];
            key.iter_mut().zip(text.bytes()).for_each(|(byte, letter)| *byte = letter);
            key_schedule(&key)
        };
        let is_other =
            twin != text && twin.len() == 4 && twin.bytes().all(|letter| letter.is_ascii_alphabetic());
        expect("a4", &format!("twin({text:?}) = {twin:?}: another text of four letters?"), is_other, true);
        let block = random();
        let asked = format!("block {block:016x} under {twin:?}, which should be as under {text:?}");
        expect("a4", &asked, encrypt_block(&schedule(&twin), block), encrypt_block(&schedule(text), block));
    }
}

#[test]
fn a5_six_pairs_encipher_each_others_work_back() {
    for (key, _) in published("semi") {
        let asked = format!("partner({key:#018x})");
        let Some(partner) = work::partner(key) else {
            expect("a5", &asked, "None", "Some(the other key of the pair)");
            return;
        };
        let block = random();
        let once = encrypt_block(&key_schedule(&key.to_be_bytes()), block);
        let twice = encrypt_block(&key_schedule(&partner.to_be_bytes()), once);
        expect("a5", &format!("{block:016x} under {key:016x}, then under {partner:016x}"), twice, block);
    }
    let others = published("weak").into_iter().map(|(key, _)| key).chain((0..1000).map(|_| random()));
    for key in others {
        expect("a5", &format!("partner({key:#018x})"), work::partner(key), None);
    }
}
