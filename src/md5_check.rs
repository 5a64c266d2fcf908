//! MD5 and what is made of it: HMAC, stored passwords, random bytes.
//!
//! Rules: bytes go in and bytes come out, except where "text" is said; hex is lower case. A secret is compared with
//! `equal`. MD5 is here because the course speaks of it. Who makes two files can give them one MD5 in seconds (a
//! collision); a second file for a given MD5 nobody can make yet. So it tells a damaged file; don't trust it against
//! forgers. HMAC-MD5 is not broken by that, but programs of today use HMAC-SHA-256.
//! Not here: MD5 itself (the md-5 crate), which keys there are (wire.rs), the brake (server/sessions.rs).
//! Start with `hmac_md5`; the rest is built on it.

use std::hash::{BuildHasher, RandomState};
use std::hint::black_box;
use std::io::{self, Read, Write};

use md5::{Digest, Md5};

use crate::limits::MAX_PASSWORD_ROUNDS;

/// Bytes of a block of MD5: what its compression function takes at a time.
const BLOCK_SIZE: usize = 64;
/// RFC 2104, 2: the byte 0x36, repeated to a block.
const IPAD: [u8; BLOCK_SIZE] = [0x36; BLOCK_SIZE];
/// RFC 2104, 2: the byte 0x5C, repeated to a block.
const OPAD: [u8; BLOCK_SIZE] = [0x5C; BLOCK_SIZE];

/// The first field of a stored password: how the others were made.
const SCHEME: &str = "hmac-md5";
/// Bytes of a salt: enough that no two users ever have the same.
const SALT_SIZE: usize = 16;

/// MD5 (RFC 1321) of `bytes`, 16 bytes.
pub fn md5(bytes: &[u8]) -> [u8; 16] {
    Md5::digest(bytes).into()
}

/// MD5 of all that `reader` gives until its end, in pieces of 8 KiB: a file of any size takes no more memory than that.
pub fn md5_of_stream(reader: &mut impl Read) -> io::Result<[u8; 16]> {
    let mut md5 = Md5::new();
    io::copy(reader, &mut md5)?;
    Ok(md5.finalize().into())
}

/// MD5 of what comes piece by piece.
#[derive(Clone, Default)]
pub struct Md5Sum(Md5);

impl Md5Sum {
    /// The next piece.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// MD5 (RFC 1321) of all pieces, 16 bytes.
    pub fn finish(self) -> [u8; 16] {
        self.0.finalize().into()
    }
}

impl Write for Md5Sum {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Two lower-case hex digits for each byte, the high one first.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// HMAC-MD5 (RFC 2104), 16 bytes, over the parts of `message`, one after the other; where one ends makes no difference.
/// A key may have any length; zero bytes at the end of one under 64 bytes make no difference either.
pub fn hmac_md5(key: &[u8], message: &[&[u8]]) -> [u8; 16] {
    HmacKey::new(key).tag(message)
}

/// A key made ready: its block has gone through MD5 already, which halves the work where a key is used often.
struct HmacKey {
    /// MD5 after K xor ipad.
    inner: Md5,
    /// MD5 after K xor opad.
    outer: Md5,
}

impl HmacKey {
    fn new(key: &[u8]) -> HmacKey {
        let mut k = [0; BLOCK_SIZE]; // shorter keys: zeros are appended
        if key.len() > BLOCK_SIZE {
            k[..16].copy_from_slice(&md5(key)); // longer keys: their MD5 is the key
        } else {
            k[..key.len()].copy_from_slice(key);
        }
        HmacKey { inner: Md5::new_with_prefix(xor(k, IPAD)), outer: Md5::new_with_prefix(xor(k, OPAD)) }
    }

    /// H(K xor opad, H(K xor ipad, text))
    fn tag(&self, text: &[&[u8]]) -> [u8; 16] {
        let mut inner = self.inner.clone();
        for part in text {
            inner.update(part);
        }
        self.outer.clone().chain_update(inner.finalize()).finalize().into()
    }
}

fn xor(mut block: [u8; BLOCK_SIZE], pad: [u8; BLOCK_SIZE]) -> [u8; BLOCK_SIZE] {
    for (byte, pad_byte) in block.iter_mut().zip(pad) {
        *byte ^= pad_byte;
    }
    block
}

/// Whether `a` and `b` are the same bytes. `==` may stop at the first difference, and the time it took tells a forger how
/// many bytes were right already; this looks at all of them. Lengths are no secret: other ones are told apart at once.
pub fn equal(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    let mut difference = 0;
    for (x, y) in a.iter().zip(b) {
        difference |= x ^ y;
    }
    // black_box: for all that the compiler knows, someone reads the value itself. Otherwise it could see that only
    // "0 or not" is asked, and stop early after all. `std` calls that a best effort.
    black_box(difference) == 0
}

/// What is stored for `pwd`, by 10,000 rounds the text `hmac-md5$10000$SALT$DIGEST`: salt and digest are 32 hex digits each.
///
/// One MD5 would be weak: a thief tries a list of common passwords at billions of guesses a second, and one list of their
/// MD5s, made once, opens every user who has one of them. The salt, other for each user, makes the thief begin anew for
/// each; the rounds make each guess cost as many HMACs. Real programs do the same with PBKDF2, which these rounds
/// resemble, or better with Argon2, which needs memory too: a thousand guesses at the same time do not fit in.
pub fn password_digest(pwd: &str, rounds: u32) -> String {
    let salt = hex(&random_bytes::<SALT_SIZE>());
    stored_password(pwd, rounds, &salt)
}

/// Whether `stored` was made of `pwd`. Never panics: a text that `password_digest` does not write is no password's.
pub fn password_matches(pwd: &str, stored: &str) -> bool {
    let mut fields = stored.split('$');
    let (Some(SCHEME), Some(rounds), Some(salt)) = (fields.next(), fields.next(), fields.next()) else {
        return false;
    };
    let rounds = rounds.parse().unwrap_or(0); // no number, or none of 32 bits: refused in the next line
    if rounds == 0 || rounds > MAX_PASSWORD_ROUNDS {
        return false;
    }
    // The whole text is made again, not the digest alone: so a number's zeros in front, or a fifth field, are refused too.
    equal(stored_password(pwd, rounds, salt).as_bytes(), stored.as_bytes())
}

/// digest = HMAC-MD5(pwd, salt), then digest = HMAC-MD5(pwd, digest) until there were `rounds`; the salt as its hex digits.
fn stored_password(pwd: &str, rounds: u32, salt: &str) -> String {
    let key = HmacKey::new(pwd.as_bytes());
    let mut digest = key.tag(&[salt.as_bytes()]);
    for _ in 1..rounds {
        digest = key.tag(&[&digest]);
    }
    format!("{SCHEME}${rounds}${salt}${}", hex(&digest))
}

/// `N` bytes for nonces, IVs, salts and ids. `std` has no call for random bytes. The nearest is `RandomState`, there to key
/// hash tables: 16 bytes that the system draws for each thread, and that change with each call. They stay hidden: two
/// hashes under them are the key of an HMAC-MD5, which counts out the bytes. `std` promises no cryptographic strength for
/// this, so a real program takes the getrandom crate.
pub fn random_bytes<const N: usize>() -> [u8; N] {
    let state = RandomState::new();
    let key = [state.hash_one(0).to_be_bytes(), state.hash_one(1).to_be_bytes()].concat();
    let mut bytes = [0; N];
    for (number, piece) in bytes.chunks_mut(16).enumerate() {
        let block = hmac_md5(&key, &[&number.to_be_bytes()]);
        piece.copy_from_slice(&block[..piece.len()]);
    }
    bytes
}
