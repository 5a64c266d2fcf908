//! Lab 07, ECB and CBC: your file. The contract stands in README.md; check.rs tries it. Take from `minim::des` what the
//! handout allows: the key schedule and the cipher of one block.

/// How a text of many blocks is enciphered.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Mode {
    /// Each block alone.
    Ecb,
    /// Each block xored with the ciphertext of the one before, the first with the IV.
    Cbc,
}

/// A picture of 54 bytes of header and pixels behind them: gives the header as it is; in CBC 8 bytes of IV; then the pixels
/// enciphered, padded by PKCS#7 (1 to 8 bytes are always added). `random` gives a fresh IV. CBC calls it once, ECB does not.
pub fn encrypt_picture(
    bmp: &[u8],
    key: &[u8; 8],
    mode: Mode,
    random: &mut dyn FnMut() -> [u8; 8],
) -> Vec<u8> {
    let _ = random; // an IV is `random()`
    todo!("{} bytes under {key:02x?} in {mode:?}", bmp.len())
}

/// How many blocks of 8 bytes, counted from the first byte, are equal to one that stands anywhere before them.
pub fn repeats(bytes: &[u8]) -> usize {
    todo!("{} bytes", bytes.len())
}

/// Two messages of Alice (uid 1) to the museum, ciphertext as it goes over the wire: one to Bob (uid 2), one to Mallory
/// (uid 3). Gives what Mallory sends on instead of the first, as many bytes as that has: Bob's text, but to Mallory. In a6 the
/// ciphertexts of two frames to minim, of equal length, without IV and MAC.
pub fn redirect(to_bob: &[u8], to_mallory: &[u8]) -> Vec<u8> {
    todo!("{} bytes to Bob, {} to Mallory", to_bob.len(), to_mallory.len())
}
