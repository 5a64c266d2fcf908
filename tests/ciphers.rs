//! DES, MD5 and what is built on them, against published vectors (tests/vectors/README.md has their sources).

use std::collections::HashSet;
use std::thread;

use minim::des::{self, KeySchedule, cbc_decrypt, cbc_encrypt, decrypt_block, encrypt_block, key_schedule};
use minim::limits::PASSWORD_ROUNDS;
use minim::md5_check::{
    equal, hex, hmac_md5, md5, md5_of_stream, password_digest, password_matches, random_bytes,
};

const KEY: [u8; 8] = [0x13, 0x34, 0x57, 0x79, 0x9B, 0xBC, 0xDF, 0xF1];
const IV: [u8; 8] = [0xFE, 0xDC, 0xBA, 0x98, 0x76, 0x54, 0x32, 0x10];

/// The records of a file, each as its fields; `#` begins a comment line.
fn records(text: &str) -> Vec<Vec<&str>> {
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let records: Vec<Vec<&str>> = lines.map(|line| line.split_whitespace().collect()).collect();
    assert!(!records.is_empty(), "a file of vectors without a record");
    records
}

/// Hex digits as bytes; `-` is none.
fn bytes(field: &str) -> Vec<u8> {
    if field == "-" {
        return Vec::new();
    }
    assert!(field.len().is_multiple_of(2), "half a byte: {field}");
    let digits = |i| u8::from_str_radix(&field[i..i + 2], 16).expect("hex digits");
    (0..field.len()).step_by(2).map(digits).collect()
}

/// 16 hex digits as a key, an IV or a block of bytes.
fn eight(field: &str) -> [u8; 8] {
    bytes(field).try_into().expect("16 hex digits")
}

/// 16 hex digits as a number, the first digit the highest.
fn number(field: &str) -> u64 {
    u64::from_be_bytes(eight(field))
}

/// One block by the fast form, which there is for CBC alone: with an IV of zeros a text's first block is enciphered as it is.
fn fast_encrypt(keys: &KeySchedule, block: u64) -> u64 {
    let ciphertext = cbc_encrypt(keys, &[0; 8], &block.to_be_bytes());
    u64::from_be_bytes(*ciphertext.first_chunk().expect("two blocks"))
}

/// The same for decryption. The block stands at each of the three places that are deciphered side by side, and alone; the
/// ciphertext of an empty text, the block as its IV, makes the padding right. Then all four places must agree.
fn fast_decrypt(keys: &KeySchedule, block: u64) -> u64 {
    let ciphertext = block.to_be_bytes();
    let padding = cbc_encrypt(keys, &ciphertext, &[]);
    let plaintext = cbc_decrypt(keys, &ciphertext, &[&ciphertext.repeat(4), &padding[..]].concat());
    let plaintext = plaintext.expect("right padding");
    let places: Vec<u64> = plaintext.as_chunks().0.iter().map(|p| u64::from_be_bytes(*p) ^ block).collect();
    assert_eq!(places, [places[0]; 4], "each of the places");
    places[0]
}

/// Both forms of a step: the stepwise one, and what the wire runs on.
type Forms = [fn(&KeySchedule, u64) -> u64; 2];
const ENCRYPT: Forms = [encrypt_block, fast_encrypt];
const DECRYPT: Forms = [decrypt_block, fast_decrypt];

/// One block by both forms, which must agree.
fn by(forms: Forms, keys: &KeySchedule, block: u64) -> u64 {
    let [stepwise, fast] = forms.map(|form| form(keys, block));
    assert_eq!(fast, stepwise, "block {block:016X}: the fast form, the stepwise one");
    stepwise
}

fn encrypt(key: u64, block: u64) -> u64 {
    by(ENCRYPT, &key_schedule(&key.to_be_bytes()), block)
}

fn decrypt(key: u64, block: u64) -> u64 {
    by(DECRYPT, &key_schedule(&key.to_be_bytes()), block)
}

#[test]
fn every_line_of_sp_500_20_holds_in_both_directions() {
    let records = records(include_str!("vectors/des-sp500-20.txt"));
    assert_eq!(records.len(), 235);
    for record in &records {
        let ["varplain" | "invperm" | "varkey" | "permop" | "subst", _, key, plain, cipher] = record[..]
        else {
            panic!("unknown record: {record:?}");
        };
        assert_eq!(encrypt(number(key), number(plain)), number(cipher), "{record:?}");
        assert_eq!(decrypt(number(key), number(cipher)), number(plain), "{record:?}");
    }
}

/// Every step of one block, by the public functions, as lines in the format of des-rounds.txt.
fn steps(direction: &str, key: &str, block: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut round_keys = key_schedule(&eight(key)).k;
    let (mut c, mut d) = des::permuted_choice_1(number(key));
    lines.push(format!("pc1 {c:07X}{d:07X}"));
    lines.push(format!("cd 0 {c:07X} {d:07X}"));
    for n in 1..=16 {
        let shift = des::SHIFTS[n - 1];
        (c, d) = (des::left_shift(c, shift), des::left_shift(d, shift));
        lines.push(format!("cd {n} {c:07X} {d:07X}"));
        lines.push(format!("k {n} {:012X}", round_keys[n - 1]));
        assert_eq!(des::permuted_choice_2(c, d), round_keys[n - 1], "K{n} is PC-2 of C{n} D{n}");
    }
    if direction == "decrypt" {
        round_keys.reverse();
        lines.extend((1..).zip(round_keys).map(|(n, k)| format!("kused {n} {k:012X}")));
    }

    let (mut l, mut r) = des::initial_permutation(number(block));
    lines.push(format!("ip {l:08X}{r:08X}"));
    lines.push(format!("lr 0 {l:08X} {r:08X}"));
    for (n, k) in (1..).zip(round_keys) {
        let e = des::expand(r);
        let s = des::substitute(e ^ k);
        lines.push(format!("e {n} {e:012X}"));
        lines.push(format!("x {n} {:012X}", e ^ k));
        lines.push(format!("s {n} {s:08X}"));
        lines.push(format!("f {n} {:08X}", des::permutation_p(s)));
        assert_eq!(des::f(r, k), des::permutation_p(s), "f is P of S of E(R) xor K");
        (l, r) = des::round(l, r, k);
        lines.push(format!("lr {n} {l:08X} {r:08X}"));
    }
    lines.push(format!("preoutput {r:08X}{l:08X}"));
    lines.push(format!("output {:016X}", des::inverse_initial_permutation(r, l)));
    lines
}

#[test]
fn every_intermediate_value_of_a_block_is_the_standards() {
    let mut computed = Vec::new();
    for record in records(include_str!("vectors/des-rounds.txt")) {
        if let ["example", _, direction, key, input, output] = record[..] {
            let keys = key_schedule(&eight(key));
            let whole = match direction {
                "encrypt" => by(ENCRYPT, &keys, number(input)),
                "decrypt" => by(DECRYPT, &keys, number(input)),
                _ => panic!("unknown direction: {record:?}"),
            };
            assert_eq!(whole, number(output), "{record:?}");
            computed = steps(direction, key, input);
            continue;
        }
        // A record of unknown kind is among the computed lines as little as one with a wrong value.
        let line = record.join(" ");
        let start = format!("{} ", record[..record.len().min(2)].join(" "));
        let ours = computed.iter().find(|ours| ours.starts_with(&start));
        assert!(computed.contains(&line), "expected {line}, computed {ours:?}");
    }
}

/// One `iterate` line of des-monte-carlo.txt by one form; the head of that file says what each mode does.
fn iterate(form: usize, mode: &str, count: u32, key: u64, iv: &str, input: u64) -> u64 {
    let (encrypt, decrypt) = (ENCRYPT[form], DECRYPT[form]);
    let keys = key_schedule(&key.to_be_bytes());
    let mut block = input;
    match mode {
        "ecb-enc" => (0..count).for_each(|_| block = encrypt(&keys, block)),
        "ecb-dec" => (0..count).for_each(|_| block = decrypt(&keys, block)),
        "cbc-enc" => {
            let mut before = number(iv);
            for _ in 0..count {
                let cipher = encrypt(&keys, block ^ before);
                (block, before) = (before, cipher);
            }
            block = before;
        }
        "cbc-dec" => {
            let mut before = number(iv);
            for _ in 0..count {
                let plain = decrypt(&keys, block) ^ before;
                (block, before) = (plain, block);
            }
        }
        "rekey" => {
            let mut key = key;
            for _ in 0..count {
                block = encrypt(&key_schedule(&key.to_be_bytes()), block);
                key ^= block;
            }
        }
        _ => panic!("unknown mode: {mode}"),
    }
    block
}

#[test]
fn long_chains_of_blocks_end_where_the_published_ones_do() {
    let mut rivest = Vec::new();
    for record in records(include_str!("vectors/des-monte-carlo.txt")) {
        match record[..] {
            ["rivest", i, x] => {
                assert_eq!(i.parse(), Ok(rivest.len()), "{record:?}");
                rivest.push(number(x));
            }
            ["iterate", mode, count, key, iv, input, output] => {
                let count = count.parse().expect("a count");
                let (key, input, output) = (number(key), number(input), number(output));
                assert_eq!(iterate(1, mode, count, key, iv, input), output, "the fast form, {record:?}");
                // The longest chain, a million blocks, takes the stepwise form 10 s in a debug build: in a release build.
                if count <= 10_000 || !cfg!(debug_assertions) {
                    assert_eq!(iterate(0, mode, count, key, iv, input), output, "{record:?}");
                }
            }
            _ => panic!("unknown record: {record:?}"),
        }
    }
    for (i, pair) in rivest.windows(2).enumerate() {
        let step = if i % 2 == 0 { encrypt } else { decrypt };
        assert_eq!(step(pair[0], pair[0]), pair[1], "X{} from X{i}", i + 1);
    }
    assert_eq!(rivest.len(), 17, "X0 to X16");
}

#[test]
fn weak_keys_fixed_points_and_complements_are_as_the_books_say() {
    for record in records(include_str!("vectors/des-weak-keys.txt")) {
        match record[..] {
            ["weak", key, block, out] => {
                let keys = key_schedule(&eight(key));
                assert!(keys.k.iter().all(|&k| k == keys.k[0]), "16 equal keys: {record:?}");
                assert_eq!(by(ENCRYPT, &keys, number(block)), number(out), "{record:?}");
                assert_eq!(by(ENCRYPT, &keys, number(out)), number(block), "{record:?}");
            }
            ["semi", key1, key2, block, out] => {
                let k = key_schedule(&eight(key1)).k;
                let like_the_first = k.iter().filter(|&&k_n| k_n == k[0]).count();
                let different: HashSet<u64> = k.into_iter().collect();
                assert_eq!((like_the_first, different.len()), (8, 2), "{record:?}");
                assert_eq!(encrypt(number(key1), number(block)), number(out), "{record:?}");
                assert_eq!(encrypt(number(key2), number(out)), number(block), "{record:?}");
            }
            ["fixed", key, block] => {
                assert_eq!(encrypt(number(key), number(block)), number(block), "{record:?}");
            }
            ["complement", key, block, out] => {
                assert_eq!(encrypt(number(key), number(block)), number(out), "{record:?}");
                assert_eq!(encrypt(!number(key), !number(block)), !number(out), "{record:?}");
            }
            _ => panic!("unknown record: {record:?}"),
        }
    }
}

#[test]
fn parity_bits_of_a_key_do_not_matter_and_the_other_56_do() {
    let keys = key_schedule(&KEY);
    for bit in 0..64 {
        let other = key_schedule(&(u64::from_be_bytes(KEY) ^ (1 << bit)).to_be_bytes());
        let is_parity = bit % 8 == 0;
        assert_eq!(other.k == keys.k, is_parity, "bit {bit} from the right");
    }
}

#[test]
fn cbc_gives_the_published_ciphertexts_and_refuses_every_bad_padding() {
    for record in records(include_str!("vectors/des-cbc-pkcs7.txt")) {
        match record[..] {
            ["ok", key, iv, plain, cipher] => {
                let (keys, iv, plain) = (key_schedule(&eight(key)), eight(iv), bytes(plain));
                assert_eq!(cbc_encrypt(&keys, &iv, &plain), bytes(cipher), "{record:?}");
                assert_eq!(cbc_decrypt(&keys, &iv, &bytes(cipher)), Some(plain), "{record:?}");
            }
            ["raw", key, iv, plain, cipher] => {
                // Without padding: whole blocks, to which ours adds one more.
                let (plain, cipher) = (bytes(plain), bytes(cipher));
                let ours = cbc_encrypt(&key_schedule(&eight(key)), &eight(iv), &plain);
                assert_eq!(plain.len() % 8, 0, "{record:?}");
                assert_eq!(ours[..plain.len()], cipher, "{record:?}");
            }
            ["bad", key, iv, cipher, _] => {
                let plain = cbc_decrypt(&key_schedule(&eight(key)), &eight(iv), &bytes(cipher));
                assert_eq!(plain, None, "{record:?}");
            }
            _ => panic!("unknown record: {record:?}"),
        }
    }
}

/// Numbers that look random, and are the same in every run (SplitMix64).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
}

#[test]
fn the_fast_form_agrees_with_the_stepwise_one_on_100_000_blocks_and_keys() {
    let mut numbers = Numbers(1);
    for _ in 0..100_000 {
        let (key, block) = (numbers.next(), numbers.next());
        let keys = key_schedule(&key.to_be_bytes());
        let ciphertext = encrypt_block(&keys, block);
        assert_eq!(fast_encrypt(&keys, block), ciphertext, "key {key:016X}, block {block:016X}");
        assert_eq!(fast_decrypt(&keys, ciphertext), block, "key {key:016X}, block {ciphertext:016X}");
    }
}

/// CBC with padding as FIPS 81 and RFC 5652 tell it, one stepwise block after the other.
fn stepwise_cbc_encrypt(keys: &KeySchedule, iv: &[u8; 8], plaintext: &[u8]) -> Vec<u8> {
    let padding = 8 - plaintext.len() % 8;
    let mut text = plaintext.to_vec();
    text.resize(text.len() + padding, padding as u8);
    let mut before = u64::from_be_bytes(*iv);
    for block in text.as_chunks_mut().0 {
        before = encrypt_block(keys, u64::from_be_bytes(*block) ^ before);
        *block = before.to_be_bytes();
    }
    text
}

/// The same backwards; the padding stays.
fn stepwise_cbc_decrypt(keys: &KeySchedule, iv: &[u8; 8], ciphertext: &[u8]) -> Vec<u8> {
    let mut before = u64::from_be_bytes(*iv);
    let mut text = Vec::new();
    for block in ciphertext.as_chunks().0 {
        let block = u64::from_be_bytes(*block);
        text.extend((decrypt_block(keys, block) ^ before).to_be_bytes());
        before = block;
    }
    text
}

#[test]
fn cbc_of_0_to_100_bytes_is_the_stepwise_chain_both_ways() {
    let mut numbers = Numbers(2);
    for length in 0..=100 {
        let [key, iv] = [numbers.next(), numbers.next()].map(u64::to_be_bytes);
        let text: Vec<u8> = (0..length).map(|_| numbers.next() as u8).collect();
        let keys = key_schedule(&key);
        let ciphertext = cbc_encrypt(&keys, &iv, &text);
        assert_eq!(ciphertext, stepwise_cbc_encrypt(&keys, &iv, &text), "{length} bytes, key {key:?}");
        assert_eq!(cbc_decrypt(&keys, &iv, &ciphertext).as_ref(), Some(&text), "{length} bytes, key {key:?}");
        assert_eq!(
            stepwise_cbc_decrypt(&keys, &iv, &ciphertext)[..length],
            text,
            "{length} bytes, key {key:?}"
        );
    }
}

#[test]
fn every_text_of_0_to_64_bytes_comes_back_whole() {
    let keys = key_schedule(&KEY);
    for length in 0..=64_usize {
        let counted: Vec<u8> = (1..).take(length).collect();
        let ends_in = |byte: u8| {
            let mut text = counted.clone();
            text[length.saturating_sub(8)..].fill(byte);
            text
        };
        let mut begins_with_nul = counted.clone();
        begins_with_nul.iter_mut().take(1).for_each(|byte| *byte = 0);
        let nuls = vec![0; length];
        for text in [&counted, &ends_in(0), &ends_in(8), &ends_in(1), &begins_with_nul, &nuls] {
            let ciphertext = cbc_encrypt(&keys, &IV, text);
            assert_eq!(ciphertext.len(), (length / 8 + 1) * 8, "{text:?}");
            assert_eq!(cbc_decrypt(&keys, &IV, &ciphertext).as_ref(), Some(text));
        }
    }
}

#[test]
fn a_ciphertext_cut_anywhere_but_between_blocks_is_refused() {
    let keys = key_schedule(&KEY);
    let text = [3; 37];
    let ciphertext = cbc_encrypt(&keys, &IV, &text);
    for length in (0..ciphertext.len()).filter(|length| *length == 0 || length % 8 != 0) {
        assert_eq!(cbc_decrypt(&keys, &IV, &ciphertext[..length]), None, "{length} bytes");
    }
    // Between blocks CBC does not notice: 3, 3 and 3 at the end of a block are good padding. Hence the MAC.
    assert_eq!(cbc_decrypt(&keys, &IV, &ciphertext[..16]).as_deref(), Some(&text[..13]));
}

#[test]
fn md5_gives_the_published_digests() {
    for record in records(include_str!("vectors/md5.txt")) {
        let (digest, message) = match record[..] {
            ["text", digest, message] => (digest, bytes(message)),
            ["repeat", digest, count, unit] => (digest, bytes(unit).repeat(count.parse().expect("a count"))),
            _ => panic!("unknown record: {record:?}"),
        };
        assert_eq!(hex(&md5(&message)), digest, "{record:?}");
        let digest_of_stream = md5_of_stream(&mut &message[..]).expect("memory can be read");
        assert_eq!(hex(&digest_of_stream), digest, "as a stream, {record:?}");
    }
}

#[test]
fn hmac_md5_gives_the_published_tags_however_the_message_is_cut() {
    for record in records(include_str!("vectors/hmac-md5.txt")) {
        let ["hmac", _, key, message, tag] = record[..] else {
            panic!("unknown record: {record:?}");
        };
        let (key, message) = (bytes(key), bytes(message));
        assert_eq!(hex(&hmac_md5(&key, &[&message])), tag, "{record:?}");
        for cut in 0..=message.len() {
            let (front, back) = message.split_at(cut);
            assert_eq!(hex(&hmac_md5(&key, &[front, &[], back])), tag, "cut at {cut}: {record:?}");
        }
    }
}

#[test]
fn hex_has_two_lower_case_digits_for_every_byte() {
    assert_eq!(hex(&[]), "");
    assert_eq!(hex(&[0x00, 0x0A, 0xA0, 0xFF]), "000aa0ff");
}

#[test]
fn only_the_same_bytes_are_equal() {
    let bytes: Vec<u8> = (0..40).collect();
    assert!(equal(&[], &[]));
    assert!(equal(&bytes, &bytes.clone()));
    for place in 0..bytes.len() {
        for bit in 0..8 {
            let mut other = bytes.clone();
            other[place] ^= 1 << bit;
            assert!(!equal(&bytes, &other), "byte {place}, bit {bit}");
        }
        assert!(!equal(&bytes, &bytes[..place]), "{place} bytes");
        assert!(!equal(&bytes[..place], &bytes), "{place} bytes");
    }
}

#[test]
fn a_stored_password_fits_its_own_password_only() {
    let longest = "湖".repeat(128);
    for pwd in ["", "a", "hgut 2024", "湖工大", "with$dollars$10000$", &longest] {
        let stored = password_digest(pwd, PASSWORD_ROUNDS);
        assert!(stored.len() <= 100, "the column has 100 characters: {stored}");
        assert!(stored.bytes().all(|byte| byte.is_ascii_graphic()), "{stored}");
        assert!(stored.starts_with(&format!("hmac-md5${PASSWORD_ROUNDS}$")), "{stored}");
        assert!(password_matches(pwd, &stored), "{pwd}");
        for wrong in ["", "b", "A", "hgut 2024 ", "湖工", &stored] {
            assert_eq!(password_matches(wrong, &stored), wrong == pwd, "{wrong} for {pwd}");
        }
    }
}

#[test]
fn the_same_password_is_stored_differently_each_time() {
    let stored: HashSet<String> = (0..10).map(|_| password_digest("123456", PASSWORD_ROUNDS)).collect();
    assert_eq!(stored.len(), 10);
}

#[test]
fn passwords_stored_by_another_implementation_still_fit() {
    // Computed with Python's hmac module: the format is a contract with every database that exists.
    let salt = "00112233445566778899aabbccddeeff";
    let long = "p".repeat(100);
    for (pwd, rounds, digest) in [
        ("湖工大 hgut", 3, "4c99924f5c225452b4866fb3da91095e"),
        ("湖工大 hgut", 10_000, "ec855121aef767a548e7cb1438dcd10c"),
        (&long, 3, "e5430d3f6c70e374b34ff964fda5c58a"),
        (&long, 10_000, "9d28f39a54c14654c99509576046f0b4"),
    ] {
        let stored = format!("hmac-md5${rounds}${salt}${digest}");
        assert!(password_matches(pwd, &stored), "{stored}");
        assert!(!password_matches("hgut", &stored), "{stored}");
    }
}

#[test]
fn a_malformed_stored_password_fits_nothing_and_stops_nobody() {
    let salt = "00112233445566778899aabbccddeeff";
    let digest = hex(&hmac_md5(b"pwd", &[salt.as_bytes()])); // one round
    let good = format!("hmac-md5$1${salt}${digest}");
    assert!(password_matches("pwd", &good));
    for length in 0..good.len() {
        assert!(!password_matches("pwd", &good[..length]), "cut off behind {length} characters");
    }
    let malformed = [
        "pwd".to_owned(),
        "$".to_owned(),
        "$$$".to_owned(),
        "$$$$$$$$".to_owned(),
        "hmac-md5$$$".to_owned(),
        "湖$工$大$学".to_owned(),
        hex(&md5(b"pwd")),
        format!("md5$1${salt}${digest}"),
        format!("HMAC-MD5$1${salt}${digest}"),
        format!("hmac-md5$0${salt}${digest}"),
        format!("hmac-md5$-1${salt}${digest}"),
        format!("hmac-md5$+1${salt}${digest}"),
        format!("hmac-md5$01${salt}${digest}"),
        format!("hmac-md5$1.0${salt}${digest}"),
        format!("hmac-md5$ 1${salt}${digest}"),
        format!("hmac-md5$one${salt}${digest}"),
        format!("hmac-md5$4294967295${salt}${digest}"), // would take minutes
        format!("hmac-md5$4294967297${salt}${digest}"), // 1, were it cut to 32 bits
        format!("hmac-md5$99999999999999999999${salt}${digest}"),
        format!("hmac-md5$2${salt}${digest}"),
        format!("hmac-md5$1$${digest}"),
        format!("hmac-md5$1${salt}"),
        format!("hmac-md5$1${salt}$"),
        format!("hmac-md5$1${salt}${digest}$"),
        format!("hmac-md5$1${salt}${digest} "),
        format!("hmac-md5$1${salt}${}", digest.to_uppercase()),
        format!(" {good}"),
    ];
    for stored in malformed {
        for pwd in ["pwd", "", &stored] {
            assert!(!password_matches(pwd, &stored), "{pwd} for {stored}");
        }
    }
}

#[test]
fn random_bytes_never_come_twice() {
    let draw = || (0..250).map(|_| random_bytes()).collect::<Vec<[u8; 16]>>();
    let threads: Vec<_> = (0..4).map(|_| thread::spawn(draw)).collect();
    let mut all = HashSet::new();
    for thread in threads {
        all.extend(thread.join().expect("draws"));
    }
    assert_eq!(all.len(), 1000);
    assert!(!all.contains(&[0; 16]));
}

#[test]
fn random_bytes_come_in_every_size_and_take_every_value() {
    let values: HashSet<u8> = (0..10_000).flat_map(|_| random_bytes::<1>()).collect();
    assert_eq!(values.len(), 256, "10,000 draws miss one of 256 values once in 10^14 runs");
    assert_eq!(random_bytes::<0>().len(), 0);
    let long = random_bytes::<64>();
    assert_ne!(long[..32], long[32..]);
    let last_byte: HashSet<u8> = (0..100).map(|_| random_bytes::<17>()[16]).collect();
    assert!(last_byte.len() > 1, "the byte behind the first 16 changes too");
}
