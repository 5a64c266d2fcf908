//! DES, step by step as FIPS 46-3 describes it, and CBC with padding on top of it.
//!
//! Rules: the tables stand as the standard prints them, and each of its steps is a function under its name. Bit 1 is the
//! leftmost. A value of fewer bits than its type lies in the low ones: 28 or 32 in a `u32`, 48 in a `u64`.
//! FIPS 46-3 and 81 were withdrawn in 2005: a key of 56 bits is found by trying them all. Programs use AES or ChaCha20.
//! What FIPS calls an iteration is a round here, and its key a round key, as in the textbooks.
//! Not here: the same rounds made fast for the wire (des/fast.rs), where keys come from, and the MAC that must be checked
//! before anything is decrypted (both wire.rs).
//! Start with `encrypt_block`; `f` is the heart of it, `key_schedule` makes the keys. `minim des` shows every step.

mod fast;

/// Bytes of a block.
const BLOCK_SIZE: usize = 8;

/// IP, the initial permutation: 64 bits in, 64 out.
#[rustfmt::skip]
static INITIAL_PERMUTATION: [u8; 64] = [
    58, 50, 42, 34, 26, 18, 10,  2,
    60, 52, 44, 36, 28, 20, 12,  4,
    62, 54, 46, 38, 30, 22, 14,  6,
    64, 56, 48, 40, 32, 24, 16,  8,
    57, 49, 41, 33, 25, 17,  9,  1,
    59, 51, 43, 35, 27, 19, 11,  3,
    61, 53, 45, 37, 29, 21, 13,  5,
    63, 55, 47, 39, 31, 23, 15,  7,
];

/// IP^-1: 64 bits in, 64 out.
#[rustfmt::skip]
static INVERSE_INITIAL_PERMUTATION: [u8; 64] = [
    40,  8, 48, 16, 56, 24, 64, 32,
    39,  7, 47, 15, 55, 23, 63, 31,
    38,  6, 46, 14, 54, 22, 62, 30,
    37,  5, 45, 13, 53, 21, 61, 29,
    36,  4, 44, 12, 52, 20, 60, 28,
    35,  3, 43, 11, 51, 19, 59, 27,
    34,  2, 42, 10, 50, 18, 58, 26,
    33,  1, 41,  9, 49, 17, 57, 25,
];

/// E bit-selection table: 32 bits in, 48 out; the outer columns repeat the neighbours' bits.
#[rustfmt::skip]
pub static E: [u8; 48] = [
    32,  1,  2,  3,  4,  5,
     4,  5,  6,  7,  8,  9,
     8,  9, 10, 11, 12, 13,
    12, 13, 14, 15, 16, 17,
    16, 17, 18, 19, 20, 21,
    20, 21, 22, 23, 24, 25,
    24, 25, 26, 27, 28, 29,
    28, 29, 30, 31, 32,  1,
];

/// P: 32 bits in, 32 out.
#[rustfmt::skip]
pub static P: [u8; 32] = [
    16,  7, 20, 21,
    29, 12, 28, 17,
     1, 15, 23, 26,
     5, 18, 31, 10,
     2,  8, 24, 14,
    32, 27,  3,  9,
    19, 13, 30,  6,
    22, 11,  4, 25,
];

/// The selection functions S1 to S8: `S[box][row][column]`, all three counted from 0; 6 bits in, 4 out.
#[rustfmt::skip]
pub static S: [[[u8; 16]; 4]; 8] = [
    [   [14,  4, 13,  1,  2, 15, 11,  8,  3, 10,  6, 12,  5,  9,  0,  7], // S1
        [ 0, 15,  7,  4, 14,  2, 13,  1, 10,  6, 12, 11,  9,  5,  3,  8],
        [ 4,  1, 14,  8, 13,  6,  2, 11, 15, 12,  9,  7,  3, 10,  5,  0],
        [15, 12,  8,  2,  4,  9,  1,  7,  5, 11,  3, 14, 10,  0,  6, 13],
    ], [[15,  1,  8, 14,  6, 11,  3,  4,  9,  7,  2, 13, 12,  0,  5, 10], // S2
        [ 3, 13,  4,  7, 15,  2,  8, 14, 12,  0,  1, 10,  6,  9, 11,  5],
        [ 0, 14,  7, 11, 10,  4, 13,  1,  5,  8, 12,  6,  9,  3,  2, 15],
        [13,  8, 10,  1,  3, 15,  4,  2, 11,  6,  7, 12,  0,  5, 14,  9],
    ], [[10,  0,  9, 14,  6,  3, 15,  5,  1, 13, 12,  7, 11,  4,  2,  8], // S3
        [13,  7,  0,  9,  3,  4,  6, 10,  2,  8,  5, 14, 12, 11, 15,  1],
        [13,  6,  4,  9,  8, 15,  3,  0, 11,  1,  2, 12,  5, 10, 14,  7],
        [ 1, 10, 13,  0,  6,  9,  8,  7,  4, 15, 14,  3, 11,  5,  2, 12],
    ], [[ 7, 13, 14,  3,  0,  6,  9, 10,  1,  2,  8,  5, 11, 12,  4, 15], // S4
        [13,  8, 11,  5,  6, 15,  0,  3,  4,  7,  2, 12,  1, 10, 14,  9],
        [10,  6,  9,  0, 12, 11,  7, 13, 15,  1,  3, 14,  5,  2,  8,  4],
        [ 3, 15,  0,  6, 10,  1, 13,  8,  9,  4,  5, 11, 12,  7,  2, 14],
    ], [[ 2, 12,  4,  1,  7, 10, 11,  6,  8,  5,  3, 15, 13,  0, 14,  9], // S5
        [14, 11,  2, 12,  4,  7, 13,  1,  5,  0, 15, 10,  3,  9,  8,  6],
        [ 4,  2,  1, 11, 10, 13,  7,  8, 15,  9, 12,  5,  6,  3,  0, 14],
        [11,  8, 12,  7,  1, 14,  2, 13,  6, 15,  0,  9, 10,  4,  5,  3],
    ], [[12,  1, 10, 15,  9,  2,  6,  8,  0, 13,  3,  4, 14,  7,  5, 11], // S6
        [10, 15,  4,  2,  7, 12,  9,  5,  6,  1, 13, 14,  0, 11,  3,  8],
        [ 9, 14, 15,  5,  2,  8, 12,  3,  7,  0,  4, 10,  1, 13, 11,  6],
        [ 4,  3,  2, 12,  9,  5, 15, 10, 11, 14,  1,  7,  6,  0,  8, 13],
    ], [[ 4, 11,  2, 14, 15,  0,  8, 13,  3, 12,  9,  7,  5, 10,  6,  1], // S7
        [13,  0, 11,  7,  4,  9,  1, 10, 14,  3,  5, 12,  2, 15,  8,  6],
        [ 1,  4, 11, 13, 12,  3,  7, 14, 10, 15,  6,  8,  0,  5,  9,  2],
        [ 6, 11, 13,  8,  1,  4, 10,  7,  9,  5,  0, 15, 14,  2,  3, 12],
    ], [[13,  2,  8,  4,  6, 15, 11,  1, 10,  9,  3, 14,  5,  0, 12,  7], // S8
        [ 1, 15, 13,  8, 10,  3,  7,  4, 12,  5,  6, 11,  0, 14,  9,  2],
        [ 7, 11,  4,  1,  9, 12, 14,  2,  0,  6, 10, 13, 15,  3,  5,  8],
        [ 2,  1, 14,  7,  4, 10,  8, 13, 15, 12,  9,  0,  3,  5,  6, 11],
    ],
];

/// PC-1: the 64 bits of a key in, 56 out. 8, 16 … 64, the parity bits, do not occur.
#[rustfmt::skip]
static PERMUTED_CHOICE_1: [u8; 56] = [
    57, 49, 41, 33, 25, 17,  9, // C
     1, 58, 50, 42, 34, 26, 18,
    10,  2, 59, 51, 43, 35, 27,
    19, 11,  3, 60, 52, 44, 36,

    63, 55, 47, 39, 31, 23, 15, // D
     7, 62, 54, 46, 38, 30, 22,
    14,  6, 61, 53, 45, 37, 29,
    21, 13,  5, 28, 20, 12,  4,
];

/// PC-2: the 56 bits of C and D in, 48 out.
#[rustfmt::skip]
static PERMUTED_CHOICE_2: [u8; 48] = [
    14, 17, 11, 24,  1,  5,
     3, 28, 15,  6, 21, 10,
    23, 19, 12,  4, 26,  8,
    16,  7, 27, 20, 13,  2,
    41, 52, 31, 37, 47, 55,
    30, 40, 51, 45, 33, 48,
    44, 49, 39, 56, 34, 53,
    46, 42, 50, 36, 29, 32,
];

/// Number of left shifts before each of the 16 round keys is taken; together 28, so that C16 = C0.
pub static SHIFTS: [u32; 16] = [1, 1, 2, 2, 2, 2, 2, 2, 1, 2, 2, 2, 2, 2, 2, 1];

/// Bit `i` of the result is bit `table[i]` of `input`; both count from 1, the leftmost of `width` bits first.
const fn permute(input: u64, width: u32, table: &[u8]) -> u64 {
    let mut output = 0;
    let mut i = 0; // `while`: there is no `for` in a `const fn`, which the compiler can run to make the tables of des/fast.rs
    while i < table.len() {
        let bit = (input >> (width - table[i] as u32)) & 1;
        output = output << 1 | bit;
        i += 1;
    }
    output
}

/// The round keys K1 to K16, made once for each key.
#[derive(Clone)]
pub struct KeySchedule {
    /// K1 is `k[0]`; 48 bits each.
    pub k: [u64; 16],
    /// The same for des/fast.rs.
    fast: [fast::RoundKey; 16],
}

/// KS (Appendix 1). The last bit of each key byte is parity and not looked at; no key is refused, weak ones neither.
pub fn key_schedule(key: &[u8; 8]) -> KeySchedule {
    let (mut c, mut d) = permuted_choice_1(u64::from_be_bytes(*key));
    let mut k = [0; 16];
    for n in 0..16 {
        c = left_shift(c, SHIFTS[n]);
        d = left_shift(d, SHIFTS[n]);
        k[n] = permuted_choice_2(c, d);
    }
    KeySchedule { k, fast: k.map(fast::round_key) }
}

/// PC-1 of a key: C0 and D0, 28 bits each.
pub fn permuted_choice_1(key: u64) -> (u32, u32) {
    let cd = permute(key, 64, &PERMUTED_CHOICE_1);
    ((cd >> 28) as u32, cd as u32 & 0x0FFF_FFFF)
}

/// C or D, 28 bits, moved left by 1 or 2; what falls out at the left comes in at the right.
pub fn left_shift(half: u32, count: u32) -> u32 {
    ((half << count) | (half >> (28 - count))) & 0x0FFF_FFFF
}

/// PC-2 of C and D: a round key, 48 bits.
pub fn permuted_choice_2(c: u32, d: u32) -> u64 {
    permute((u64::from(c) << 28) | u64::from(d), 56, &PERMUTED_CHOICE_2)
}

/// Enciphers one block; its first byte is the leftmost.
pub fn encrypt_block(keys: &KeySchedule, block: u64) -> u64 {
    let (mut l, mut r) = initial_permutation(block);
    for &k in &keys.k {
        (l, r) = round(l, r, k);
    }
    inverse_initial_permutation(r, l)
}

/// Deciphers one block: the same steps with the round keys from K16 to K1.
pub fn decrypt_block(keys: &KeySchedule, block: u64) -> u64 {
    let (mut l, mut r) = initial_permutation(block);
    for &k in keys.k.iter().rev() {
        (l, r) = round(l, r, k);
    }
    inverse_initial_permutation(r, l)
}

/// IP of a block: L0 and R0.
pub fn initial_permutation(block: u64) -> (u32, u32) {
    let lr = permute(block, 64, &INITIAL_PERMUTATION);
    ((lr >> 32) as u32, lr as u32)
}

/// From L and R to the next two: L' = R, R' = L xor f(R, K).
pub fn round(l: u32, r: u32, k: u64) -> (u32, u32) {
    (r, l ^ f(r, k))
}

/// The cipher function f(R, K) = P(S(E(R) xor K)).
pub fn f(r: u32, k: u64) -> u32 {
    permutation_p(substitute(expand(r) ^ k))
}

/// E(R): 32 bits become 48, eight groups of six.
pub fn expand(r: u32) -> u64 {
    permute(u64::from(r), 32, &E)
}

/// S1(B1) to S8(B8): 48 bits become 32, each group of six four. B1 is the leftmost group.
pub const fn substitute(groups: u64) -> u32 {
    let mut output = 0;
    let mut number = 0;
    while number < 8 {
        let b = (groups >> (42 - 6 * number)) as usize & 0b11_1111;
        let row = ((b >> 4) & 0b10) | (b & 1); // the first and the last bit
        let column = (b >> 1) & 0b1111; // the four between them
        output = output << 4 | S[number][row][column] as u32;
        number += 1;
    }
    output
}

/// P of what the S boxes gave.
pub const fn permutation_p(s: u32) -> u32 {
    permute(s as u64, 32, &P) as u32
}

/// IP^-1 of the preoutput R16 L16. R stands first: so the same steps, with the keys in reverse order, decipher.
pub fn inverse_initial_permutation(r16: u32, l16: u32) -> u64 {
    permute((u64::from(r16) << 32) | u64::from(l16), 64, &INVERSE_INITIAL_PERMUTATION)
}

/// CBC (FIPS 81) over `plaintext`, padded: C1 = DES(P1 xor IV), C2 = DES(P2 xor C1) and so on. The IV must be fresh and
/// unpredictable; it is no secret and not part of the result.
pub fn cbc_encrypt(keys: &KeySchedule, iv: &[u8; 8], plaintext: &[u8]) -> Vec<u8> {
    let mut text = pad(plaintext);
    fast::cbc_encrypt(&keys.fast, iv, text.as_chunks_mut().0);
    text
}

/// PKCS#7 (RFC 5652, 6.3): n bytes of value n, 1 to 8, behind the plaintext, up to the next multiple of 8 bytes.
pub fn pad(plaintext: &[u8]) -> Vec<u8> {
    let padding = BLOCK_SIZE - plaintext.len() % BLOCK_SIZE;
    [plaintext, &vec![padding as u8; padding]].concat()
}

/// The plaintext of `cbc_encrypt`, its padding taken off. None when the length is 0 or no multiple of 8, or the padding is
/// wrong: one answer for all. Check a MAC first: who may send forged blocks, and learns which of them are padded well,
/// reads a message byte by byte without the key (Vaudenay's padding oracle).
pub fn cbc_decrypt(keys: &KeySchedule, iv: &[u8; 8], ciphertext: &[u8]) -> Option<Vec<u8>> {
    let mut text = ciphertext.to_vec();
    let (blocks, rest) = text.as_chunks_mut();
    if !rest.is_empty() {
        return None;
    }
    fast::cbc_decrypt(&keys.fast, iv, blocks);
    let last = *text.last()?;
    let padding = usize::from(last);
    if padding == 0 || padding > BLOCK_SIZE {
        return None;
    }
    let padded = text.split_off(text.len() - padding); // there is a block, so this is not negative
    padded.iter().all(|&byte| byte == last).then_some(text)
}
