//! How fast minim's ciphers are, beside the crates `des` 0.8 and `cbc` 0.1 and beside OpenSSL 3. In this folder:
//!
//!     cargo run --release                       what users should run; half a minute
//!     cargo run                                 a development build: minim and the crates unoptimised, OpenSSL as ever
//!     cargo run --release --features openssl    with OpenSSL, where its library, headers and legacy provider are installed
//!
//! All rivals run in one process and in turn, round after round, so that whatever else the machine does hits all of them
//! alike; first they must agree. A line has time and speed in the best round (MB = 10^6 bytes), then the speed in parts of each
//! yardstick's: best by best, and in brackets the median of the ratios of all rounds. On a quiet machine the two are the
//! same. Compare ratios; the speeds are one machine's on one day.

use std::hint::black_box;
use std::time::{Duration, Instant};

use cipher::block_padding::Pkcs7;
use cipher::{BlockDecryptMut, BlockEncryptMut, KeyIvInit};
use des::cipher;
use minim::des::{cbc_decrypt, cbc_encrypt, decrypt_block, encrypt_block, key_schedule};
use minim::limits::PASSWORD_ROUNDS;
use minim::md5_check::{equal, hmac_md5, password_digest};
use minim::wire::Secret;

#[cfg(feature = "openssl")]
mod openssl_rival;

const KEY: [u8; 8] = [0x13, 0x34, 0x57, 0x79, 0x9B, 0xBC, 0xDF, 0xF1];
const IV: [u8; 8] = [0xFE, 0xDC, 0xBA, 0x98, 0x76, 0x54, 0x32, 0x10];
/// As long as a file chunk of minim.
const CHUNK: usize = 64 * 1024;
const ROUNDS: usize = 51;
/// In each round a rival runs for so long, as often as fits in.
const TURN: Duration = Duration::from_millis(3);

/// Who takes part in a race: a name and the work.
type Rival<'a> = (&'static str, Box<dyn FnMut() + 'a>);

fn main() {
    let build = if cfg!(debug_assertions) { "development build" } else { "release build" };
    println!("{build}, {}", processor());
    let text: Vec<u8> = (0..CHUNK).map(|i| (i * i % 251) as u8).collect();
    encryption(&text);
    decryption(&text);
    for size in [100, 1024, CHUNK] {
        frame(&text[..size]);
    }
    hmac(&text);
    let password: Rival = ("password digest", Box::new(|| drop(black_box(password_digest("123456", PASSWORD_ROUNDS)))));
    race("passwords, 10,000 rounds each", (1.0, "a second"), vec![password], &[]);
}

/// What Linux calls it; elsewhere the architecture.
fn processor() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    model.map_or(std::env::consts::ARCH, |(_, name)| name).to_owned()
}

fn encryption(text: &[u8]) {
    let keys = key_schedule(&KEY);
    let stepwise = || {
        let mut before = u64::from_be_bytes(IV);
        let mut ciphertext = Vec::with_capacity(text.len());
        for block in text.as_chunks().0 {
            before = encrypt_block(&keys, u64::from_be_bytes(*block) ^ before);
            ciphertext.extend(before.to_be_bytes());
        }
        ciphertext
    };
    let crates =
        || cbc::Encryptor::<des::Des>::new(&KEY.into(), &IV.into()).encrypt_padded_vec_mut::<Pkcs7>(text);
    let ours = cbc_encrypt(&keys, &IV, text);
    assert!(ours == crates() && ours.starts_with(&stepwise()), "all encrypt alike");
    let rivals: Vec<Rival> = vec![
        ("crates des, cbc", Box::new(move || drop(black_box(crates())))),
        ("minim", Box::new(|| drop(black_box(cbc_encrypt(&keys, &IV, text))))),
        ("minim, stepwise", Box::new(move || drop(black_box(stepwise())))),
    ];
    #[cfg(feature = "openssl")]
    let rivals = openssl_rival::encryption(rivals, &KEY, &IV, text, &ours);
    race("DES-CBC, encryption, 64 KiB", megabytes(text), rivals, &["crates des, cbc", "OpenSSL"]);
}

fn decryption(text: &[u8]) {
    let keys = key_schedule(&KEY);
    let ciphertext = &cbc_encrypt(&keys, &IV, text);
    let stepwise = || {
        let mut before = u64::from_be_bytes(IV);
        let mut plaintext = Vec::with_capacity(ciphertext.len());
        for block in ciphertext.as_chunks().0 {
            let block = u64::from_be_bytes(*block);
            plaintext.extend((decrypt_block(&keys, block) ^ before).to_be_bytes());
            before = block;
        }
        plaintext
    };
    let crates = || {
        cbc::Decryptor::<des::Des>::new(&KEY.into(), &IV.into()).decrypt_padded_vec_mut::<Pkcs7>(ciphertext)
    };
    let ours = cbc_decrypt(&keys, &IV, ciphertext);
    assert!(
        ours.as_deref() == Some(text) && ours == crates().ok() && stepwise().starts_with(text),
        "all decrypt alike"
    );
    let rivals: Vec<Rival> = vec![
        ("crates des, cbc", Box::new(move || drop(black_box(crates())))),
        ("minim", Box::new(|| drop(black_box(cbc_decrypt(&keys, &IV, ciphertext))))),
        ("minim, stepwise", Box::new(move || drop(black_box(stepwise())))),
    ];
    #[cfg(feature = "openssl")]
    let rivals = openssl_rival::decryption(rivals, &KEY, &IV, ciphertext, text);
    race("DES-CBC, decryption, 64 KiB", megabytes(text), rivals, &["crates des, cbc", "OpenSSL"]);
}

/// A frame sealed by wire.rs, IV drawn afresh; and opened by the same three calls as in wire.rs, without the socket.
fn frame(body: &[u8]) {
    let secret = Secret { passphrase: b"hfut", client_nonce: &[1; 16], server_nonce: &[2; 16] };
    let mut sender = secret.sender("client");
    let key = &secret.derive("client mac");
    let des_key = secret.derive("client key");
    let keys = key_schedule(des_key.first_chunk().expect("8 of 16 bytes"));
    let frame = sender.seal(body);
    let open = move || {
        let (content, mac) = frame[4..].split_last_chunk::<16>().expect("a frame");
        let (iv, ciphertext) = content.split_first_chunk::<8>().expect("a frame");
        assert!(equal(mac, &hmac_md5(key, &[&[0; 8], iv, ciphertext])), "the MAC is right");
        cbc_decrypt(&keys, iv, ciphertext).expect("the padding is right")
    };
    assert_eq!(open(), body);
    let rivals: Vec<Rival> = vec![
        ("HMAC-MD5 alone", Box::new(|| _ = black_box(hmac_md5(key, &[body])))),
        ("seal", Box::new(|| drop(black_box(sender.seal(body))))),
        ("open", Box::new(move || drop(black_box(open())))),
    ];
    race(&format!("a frame around {} bytes", body.len()), megabytes(body), rivals, &["HMAC-MD5 alone"]);
}

fn hmac(text: &[u8]) {
    let rivals: Vec<Rival> =
        vec![("minim (crate md-5)", Box::new(|| _ = black_box(hmac_md5(&KEY, &[text]))))];
    #[cfg(feature = "openssl")]
    let rivals = openssl_rival::hmac(rivals, &KEY, text, &hmac_md5(&KEY, &[text]));
    race("HMAC-MD5, 64 KiB", megabytes(text), rivals, &["OpenSSL"]);
}

/// What one run does, and its unit.
type Amount = (f64, &'static str);

fn megabytes(bytes: &[u8]) -> Amount {
    (bytes.len() as f64 / 1e6, "MB/s")
}

/// Runs all rivals in turn, `ROUNDS` times, and prints a line for each; yardsticks that do not take part are left out.
fn race(title: &str, (amount, unit): Amount, mut rivals: Vec<Rival>, yardsticks: &[&str]) {
    let place = |name: &&str| rivals.iter().position(|(rival, _)| rival == name);
    let yardsticks: Vec<usize> = yardsticks.iter().filter_map(place).collect();
    let often: Vec<u32> = rivals.iter_mut().map(|(_, work)| runs_in_a_turn(work)).collect();
    let mut seconds = vec![Vec::new(); rivals.len()];
    for _ in 0..ROUNDS {
        for (number, (_, work)) in rivals.iter_mut().enumerate() {
            let start = Instant::now();
            (0..often[number]).for_each(|_| work());
            seconds[number].push(start.elapsed().as_secs_f64() / f64::from(often[number]));
        }
    }

    print!("\n{title:32} {:>9} {unit:>9}", "us");
    yardsticks.iter().for_each(|&yardstick| print!("{:>24}", rivals[yardstick].0));
    println!();
    for (number, (name, _)) in rivals.iter().enumerate() {
        let best = lowest(&seconds[number]);
        print!("  {name:30} {:9.2} {:9.2}", best * 1e6, amount / best);
        for &yardstick in &yardsticks {
            let ratios = seconds[yardstick].iter().zip(&seconds[number]).map(|(other, own)| other / own);
            let ratio_of_bests = lowest(&seconds[yardstick]) / best;
            print!("{:>24}", format!("{ratio_of_bests:.2} x ({:.2})", median(ratios.collect())));
        }
        println!();
    }
}

/// How often `work` fits in a turn, at least once; this also warms it up.
fn runs_in_a_turn(work: &mut dyn FnMut()) -> u32 {
    let start = Instant::now();
    let mut count = 0;
    while count == 0 || start.elapsed() < TURN {
        work();
        count += 1;
    }
    count
}

fn lowest(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::INFINITY, f64::min)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
