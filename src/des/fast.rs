//! The rounds of des.rs made fast: what the wire runs on. tests/ciphers.rs proves them by the stepwise form.
//!
//! Rules: the one table is derived from S and P while compiling; each trick has its reason beside it, and bench/ its gain.
//! A look-up takes longer when the cache lacks the entry, so its time tells something of key and text. Ciphers of today
//! are made without tables for that; DES has worse weaknesses.
//! Not here: padding, and which key is used (both des.rs). Start with `f`.

use super::{permutation_p, substitute};

/// P(S(…)) of one group of six bits: P sends each box's four bits to places of their own. `SP[box][byte]`, boxes from 0;
/// the byte's two high bits make no difference, which costs 8 KiB instead of 2 and saves `f` the masking.
/// `static`: unoptimised code copies a `const`, all of it, each time that it is indexed.
static SP: [[u32; 256]; 8] = sp_boxes();

const fn sp_boxes() -> [[u32; 256]; 8] {
    let mut sp = [[0; 256]; 8];
    let mut i = 0;
    while i < 8 * 256 {
        let (number, byte) = (i / 256, i % 256);
        let of_this_box = 0xF000_0000 >> (4 * number);
        sp[number][byte] = permutation_p(substitute((byte as u64 & 63) << (42 - 6 * number)) & of_this_box);
        i += 1;
    }
    sp
}

/// A round key with its groups of six bits where `f` has those of E(R): in the low bits of the four bytes.
#[derive(Clone, Copy)]
pub struct RoundKey {
    /// Groups 1, 3, 5, 7.
    odd: u32,
    /// Groups 2, 4, 6, 8.
    even: u32,
}

/// From the 48 bits of FIPS 46-3, in which group 1 is the leftmost.
pub fn round_key(k: u64) -> RoundKey {
    let group = |number: u32| (k >> (48 - 6 * number)) as u32 & 63;
    let four = |first| group(first) << 24 | group(first + 2) << 16 | group(first + 4) << 8 | group(first + 6);
    RoundKey { odd: four(1), even: four(2) }
}

/// CBC over whole blocks, in place. IP(P xor C) = IP(P) xor IP(C), and IP of the C before is the preoutput that was just
/// computed: the chain goes on from there, and no block waits for the IP^-1 of the one before.
pub fn cbc_encrypt(keys: &[RoundKey; 16], iv: &[u8; 8], blocks: &mut [[u8; 8]]) {
    let (mut l, mut r) = initial_permutation(u64::from_be_bytes(*iv));
    for block in blocks {
        let (l_of_p, r_of_p) = initial_permutation(u64::from_be_bytes(*block));
        (l, r) = rounds(keys, (l ^ l_of_p, r ^ r_of_p));
        *block = inverse_initial_permutation((l, r)).to_be_bytes();
    }
}

/// The same backwards. Here no block waits for another: three go through the rounds side by side, and while one waits for
/// a table the processor works on the others. (A fourth brings 4 % more; without the rows of 256, for want of registers, it
/// loses.)
pub fn cbc_decrypt(keys: &[RoundKey; 16], iv: &[u8; 8], blocks: &mut [[u8; 8]]) {
    let mut keys = *keys;
    keys.reverse(); // from K16 to K1
    let mut before = u64::from_be_bytes(*iv);
    let (threes, rest) = blocks.as_chunks_mut();
    for three in threes {
        let c = three.map(u64::from_be_bytes);
        let p = rounds_of_three(&keys, c.map(initial_permutation)).map(inverse_initial_permutation);
        *three = [p[0] ^ before, p[1] ^ c[0], p[2] ^ c[1]].map(u64::to_be_bytes);
        before = c[2];
    }
    for block in rest {
        let c = u64::from_be_bytes(*block);
        let p = inverse_initial_permutation(rounds(&keys, initial_permutation(c)));
        *block = (p ^ before).to_be_bytes();
        before = c;
    }
}

/// From L0 and R0 to the preoutput, R16 and L16. Two rounds a turn, so that L and R need not change places.
fn rounds(keys: &[RoundKey; 16], (mut l, mut r): (u32, u32)) -> (u32, u32) {
    for [k1, k2] in keys.as_chunks().0 {
        l ^= f(r, k1);
        r ^= f(l, k2);
    }
    (r, l)
}

fn rounds_of_three(keys: &[RoundKey; 16], lr: [(u32, u32); 3]) -> [(u32, u32); 3] {
    let [(mut l1, mut r1), (mut l2, mut r2), (mut l3, mut r3)] = lr;
    for [k1, k2] in keys.as_chunks().0 {
        (l1, l2, l3) = (l1 ^ f(r1, k1), l2 ^ f(r2, k1), l3 ^ f(r3, k1));
        (r1, r2, r3) = (r1 ^ f(l1, k2), r2 ^ f(l2, k2), r3 ^ f(l3, k2));
    }
    [(r1, l1), (r2, l2), (r3, l3)]
}

/// f(R, K). E costs nothing: turned right by 3, R has groups 1, 3, 5, 7 in the low bits of its bytes; turned left by 1, the
/// others.
fn f(r: u32, key: &RoundKey) -> u32 {
    let odd = r.rotate_right(3) ^ key.odd;
    let even = r.rotate_left(1) ^ key.even;
    // No two boxes set the same bit, so `|` and `^` give the same. But eight values joined by `^` the compiler makes one
    // chain, each waiting for the one before; pairs joined by `|` it leaves alone, and the processor joins them side by side.
    let s1_s2 = SP[0][(odd >> 24) as u8 as usize] | SP[1][(even >> 24) as u8 as usize];
    let s3_s4 = SP[2][(odd >> 16) as u8 as usize] | SP[3][(even >> 16) as u8 as usize];
    let s5_s6 = SP[4][(odd >> 8) as u8 as usize] | SP[5][(even >> 8) as u8 as usize];
    let s7_s8 = SP[6][odd as u8 as usize] | SP[7][even as u8 as usize];
    (s1_s2 ^ s3_s4) ^ (s5_s6 ^ s7_s8)
}

/// IP in five steps instead of 64. Count the places from 0, in binary: IP only puts the six digits of a bit's place in
/// another order and turns some over. Each step exchanges two digits, for all 64 bits at once.
fn initial_permutation(block: u64) -> (u32, u32) {
    let (mut l, mut r) = ((block >> 32) as u32, block as u32);
    exchange(&mut l, &mut r, 4, 0x0F0F_0F0F);
    exchange(&mut l, &mut r, 16, 0x0000_FFFF);
    exchange(&mut r, &mut l, 2, 0x3333_3333);
    exchange(&mut r, &mut l, 8, 0x00FF_00FF);
    exchange(&mut l, &mut r, 1, 0x5555_5555);
    (l, r)
}

/// IP^-1 of the preoutput: an exchange undoes itself, so the same five from the last to the first undo IP.
fn inverse_initial_permutation((mut r16, mut l16): (u32, u32)) -> u64 {
    exchange(&mut r16, &mut l16, 1, 0x5555_5555);
    exchange(&mut l16, &mut r16, 8, 0x00FF_00FF);
    exchange(&mut l16, &mut r16, 2, 0x3333_3333);
    exchange(&mut r16, &mut l16, 16, 0x0000_FFFF);
    exchange(&mut r16, &mut l16, 4, 0x0F0F_0F0F);
    (u64::from(r16) << 32) | u64::from(l16)
}

/// Each bit of `b` under `mask` changes places with the one of `a` that stands `shift` further left.
fn exchange(a: &mut u32, b: &mut u32, shift: u32, mask: u32) {
    let different = ((*a >> shift) ^ *b) & mask;
    *a ^= different << shift;
    *b ^= different;
}
