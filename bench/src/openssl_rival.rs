//! OpenSSL 3 as a rival, through the `openssl` crate. It has DES in its legacy provider, which must be loaded.

use std::hint::black_box;
use std::sync::LazyLock;

use openssl::hash::MessageDigest;
use openssl::pkey::PKey;
use openssl::provider::Provider;
use openssl::sign::Signer;
use openssl::symm::{Cipher, decrypt, encrypt};

use crate::Rival;

static LEGACY: LazyLock<Provider> = LazyLock::new(|| {
    Provider::try_load(None, "legacy", true).expect("OpenSSL's legacy provider is installed")
});

/// Adds OpenSSL, once it has given the same ciphertext.
pub fn encryption<'a>(
    mut rivals: Vec<Rival<'a>>,
    key: &'a [u8; 8],
    iv: &'a [u8; 8],
    text: &'a [u8],
    ours: &[u8],
) -> Vec<Rival<'a>> {
    LazyLock::force(&LEGACY);
    let run = move || encrypt(Cipher::des_cbc(), key, Some(iv), text).expect("OpenSSL encrypts");
    assert_eq!(run(), ours);
    rivals.push(("OpenSSL", Box::new(move || drop(black_box(run())))));
    rivals
}

/// Adds OpenSSL, once it has given the same plaintext.
pub fn decryption<'a>(
    mut rivals: Vec<Rival<'a>>,
    key: &'a [u8; 8],
    iv: &'a [u8; 8],
    text: &'a [u8],
    ours: &[u8],
) -> Vec<Rival<'a>> {
    LazyLock::force(&LEGACY);
    let run = move || decrypt(Cipher::des_cbc(), key, Some(iv), text).expect("OpenSSL decrypts");
    assert_eq!(run(), ours);
    rivals.push(("OpenSSL", Box::new(move || drop(black_box(run())))));
    rivals
}

/// Adds OpenSSL, once it has given the same tag.
pub fn hmac<'a>(mut rivals: Vec<Rival<'a>>, key: &[u8], text: &'a [u8], ours: &[u8]) -> Vec<Rival<'a>> {
    let key = PKey::hmac(key).expect("a key of any length");
    let run = move || {
        let mut signer = Signer::new(MessageDigest::md5(), &key).expect("OpenSSL has MD5");
        signer.sign_oneshot_to_vec(text).expect("OpenSSL signs")
    };
    assert_eq!(run(), ours);
    rivals.push(("OpenSSL", Box::new(move || drop(black_box(run())))));
    rivals
}
