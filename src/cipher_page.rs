//! The verbs `des` and `md5`: pages for a lecture to project, or for checking what was computed on paper.
//!
//! Rules: 80 columns. What `des` shows comes from the stepwise functions of des.rs, one call for each column. Hex has
//! upper case there, as in FIPS 46-3; an MD5 has lower case, as in RFC 1321. A word that is none of what the verb
//! takes is answered with a sentence that says what it should be.
//! Not here: the options of all verbs (config.rs), printing and exit codes (main.rs). Start with `des`.

use std::fs::File;

use crate::config::Own;
use crate::des::{self, decrypt_block, encrypt_block, key_schedule};
use crate::harmless::harmless;
use crate::md5_check::{self, hex, md5_of_stream, random_bytes};

/// Why there is no page, as a sentence.
#[derive(Debug)]
pub enum Error {
    /// A word is wrong or missing; what it should be.
    CommandLine(String),
    /// A file cannot be read; which, and why.
    Unreadable(String),
}

/// `md5 TEXT` or `md5 --file PATH`: 32 hex digits and a line feed.
pub fn md5(own: &Own) -> Result<String, Error> {
    let digest = match (&own.words[..], own.value("file")) {
        ([text], None) => md5_check::md5(text.as_bytes()),
        ([], Some(path)) => {
            let digest = File::open(path).and_then(|mut file| md5_of_stream(&mut file));
            digest.map_err(|error| Error::Unreadable(format!("cannot read {path}: {error}")))?
        }
        _ => return wrong("md5 takes one text, in quotes where it has blanks, or else --file and a path"),
    };
    Ok(hex(&digest) + "\n")
}

/// `des KEY BLOCK`, or with `--text` `des KEY TEXT`, either with `--decrypt`.
pub fn des(own: &Own) -> Result<String, Error> {
    let [key, input] = &own.words[..] else {
        return wrong(
            "des takes KEY and BLOCK, 16 hex digits each, such as 133457799BBCDFF1 0123456789ABCDEF; \
             or KEY, a text in quotes, and --text",
        );
    };
    let key = sixteen_digits("KEY", key)?;
    let iv = own.value("iv").map(|digits| sixteen_digits("--iv", digits)).transpose()?;
    match (own.value("text").is_some(), own.value("decrypt").is_some(), iv) {
        (false, _, Some(_)) => wrong("--iv goes with --text: one block has no chain"),
        (false, is_decryption, None) => Ok(block_page(key, sixteen_digits("BLOCK", input)?, is_decryption)),
        (true, false, Some(iv)) => Ok(text_page(key, iv, input)),
        (true, false, None) => Ok(text_page(key, u64::from_be_bytes(random_bytes()), input)),
        (true, true, Some(iv)) => Ok(decrypted_text_page(key, iv, &blocks(input)?)),
        (true, true, None) => {
            wrong("--text --decrypt needs --iv: what the first row of the encryption has as C before (I)")
        }
    }
}

fn wrong<T>(sentence: &str) -> Result<T, Error> {
    Err(Error::CommandLine(sentence.to_owned()))
}

/// 16 hex digits as a number, the first digit the highest; `name` is what the word should have been.
fn sixteen_digits(name: &str, word: &str) -> Result<u64, Error> {
    let trouble = match word.chars().find(|c| !c.is_ascii_hexdigit()) {
        Some(other) => format!("{other:?} is none"),
        None => format!("these are {}", word.len()),
    };
    let hint = if name == "BLOCK" { "; for a text add --text" } else { "" };
    let sentence = format!("{name} {word:?}: 16 hex digits are needed (0 to 9, A to F), and {trouble}{hint}");
    let number = u64::from_str_radix(word, 16).ok(); // it would take a sign: that is no hex digit
    let is_right = word.len() == 16 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    number.filter(|_| is_right).ok_or(Error::CommandLine(sentence))
}

/// The ciphertext of --text: 16 hex digits for each block; blanks do not count.
fn blocks(word: &str) -> Result<Vec<u64>, Error> {
    let digits: Vec<char> = word.chars().filter(|c| !c.is_whitespace()).collect();
    if digits.is_empty() {
        return wrong("TEXT is empty; with --decrypt it is a ciphertext, 16 hex digits for each block");
    }
    let block = |digits: &[char]| sixteen_digits("a block of TEXT", &String::from_iter(digits));
    digits.chunks(16).map(block).collect()
}

/// Key schedule and 16 rounds; for decryption the round keys, and their rows, from K16 to K1.
fn block_page(key: u64, block: u64, is_decryption: bool) -> String {
    let direction = if is_decryption { "decryption" } else { "encryption" };
    let mut page = format!("DES (FIPS 46-3), {direction}; all in hexadecimal, bit 1 at the left\n");
    page += &key_rows(key);

    let (mut c, mut d) = des::permuted_choice_1(key);
    page += &format!("PC-1   C0 {c:07X}   D0 {d:07X}\n");
    let mut schedule = Vec::new();
    for (n, s) in (1..).zip(des::SHIFTS) {
        (c, d) = (des::left_shift(c, s), des::left_shift(d, s));
        let k = des::permuted_choice_2(c, d);
        schedule.push((k, format!("{n:2} {s}  {c:07X}  {d:07X}  {k:012X}")));
    }
    if is_decryption {
        schedule.reverse();
    }
    page += " n s  C        D        K = PC-2(C D)     n s  C        D        K\n";
    for n in 0..8 {
        page += &format!("{}      {}\n", schedule[n].1, schedule[n + 8].1);
    }

    let (mut l, mut r) = des::initial_permutation(block);
    page += &format!("BLOCK  {block:016X}   IP   L0 {l:08X}   R0 {r:08X}\n");
    page += " n  E(R)          E(R) xor K    S         P = f     L         R\n";
    for (n, (k, _)) in (1..).zip(schedule) {
        let e = des::expand(r);
        let s = des::substitute(e ^ k);
        let f = des::permutation_p(s);
        (l, r) = des::round(l, r, k);
        page += &format!("{n:2}  {e:012X}  {:012X}  {s:08X}  {f:08X}  {l:08X}  {r:08X}\n", e ^ k);
    }
    page += &format!("SWAP   R16 L16 {r:08X}{l:08X}\n");
    page + &format!("IP^-1  {:016X}\n", des::inverse_initial_permutation(r, l))
}

/// What there is to know of a key before it is used: no key is refused.
fn key_rows(key: u64) -> String {
    let has_even_parity = |(_, byte): &(usize, u8)| byte.count_ones() % 2 == 0;
    let wrong = (1..).zip(key.to_be_bytes()).filter(has_even_parity);
    let wrong: String = wrong.map(|(n, _)| format!(" {n}")).collect();
    let same = |other: u64| (key ^ other) & !0x0101_0101_0101_0101 == 0; // the lowest bit of each byte is parity
    let pair = WEAK_KEYS.iter().find(|&&(k1, k2)| same(k1) || same(k2));

    let odd = if wrong.is_empty() { "yes" } else { "no" };
    let weak = pair.map_or("no", |(k1, k2)| if k1 == k2 { "yes" } else { "semi-weak" });
    let mut rows = format!("KEY    {key:016X}   parity bits odd: {odd}   weak: {weak}\n");
    if !wrong.is_empty() {
        rows += &format!("       parity wrong in byte{wrong}: DES does not look at it\n");
    }
    if let Some(&(k1, k2)) = pair {
        let partner = if same(k1) { k2 } else { k1 };
        let itself = if k1 == k2 { " (the key itself)" } else { "" };
        rows += &format!("       partner {partner:016X}{itself}: decrypts what KEY encrypts\n");
    }
    rows
}

/// The four weak keys and the six pairs of semi-weak ones (FIPS 74, NIST SP 800-67), parity right. One key of a pair makes
/// the round keys of the other in reverse order; a weak key, whose 16 round keys are equal, makes its own.
static WEAK_KEYS: [(u64, u64); 10] = [
    (0x0101_0101_0101_0101, 0x0101_0101_0101_0101),
    (0xFEFE_FEFE_FEFE_FEFE, 0xFEFE_FEFE_FEFE_FEFE),
    (0xE0E0_E0E0_F1F1_F1F1, 0xE0E0_E0E0_F1F1_F1F1),
    (0x1F1F_1F1F_0E0E_0E0E, 0x1F1F_1F1F_0E0E_0E0E),
    (0x01FE_01FE_01FE_01FE, 0xFE01_FE01_FE01_FE01),
    (0x1FE0_1FE0_0EF1_0EF1, 0xE01F_E01F_F10E_F10E),
    (0x01E0_01E0_01F1_01F1, 0xE001_E001_F101_F101),
    (0x1FFE_1FFE_0EFE_0EFE, 0xFE1F_FE1F_FE0E_FE0E),
    (0x011F_011F_010E_010E, 0x1F01_1F01_0E01_0E01),
    (0xE0FE_E0FE_F1FE_F1FE, 0xFEE0_FEE0_FEF1_FEF1),
];

/// CBC encryption, a row for each block. Columns are one blank apart: so four times 16 digits fit in 80 columns.
fn text_page(key: u64, iv: u64, text: &str) -> String {
    let keys = key_schedule(&key.to_be_bytes());
    let padded = des::pad(text.as_bytes());
    let padding: String = padded[text.len()..].iter().map(|byte| format!(" {byte:02X}")).collect();
    let mut page = format!("CBC, {} bytes, padded with{padding} to {}\n", text.len(), padded.len());
    page += " n bytes    P                C before (I)     P xor C before   C = DES(K, that)\n";
    let mut before = iv;
    for (n, block) in (1..).zip(padded.as_chunks().0) {
        let p = u64::from_be_bytes(*block);
        let c = encrypt_block(&keys, p ^ before);
        let bytes = printable(*block);
        page += &format!("{n:2} {bytes} {p:016X} {before:016X} {:016X} {c:016X}\n", p ^ before);
        before = c;
    }
    page
}

/// CBC decryption, a row for each block, and at the end the text without its padding.
fn decrypted_text_page(key: u64, iv: u64, ciphertext: &[u64]) -> String {
    let keys = key_schedule(&key.to_be_bytes());
    let mut page = format!("CBC, decryption of {} bytes\n", 8 * ciphertext.len());
    page += " n C                D = DES^-1(K, C) C before (I)     P = D xor that   bytes\n";
    let mut before = iv;
    for (n, &c) in (1..).zip(ciphertext) {
        let d = decrypt_block(&keys, c);
        let p = d ^ before;
        let bytes = printable(p.to_be_bytes());
        page += &format!("{n:2} {c:016X} {d:016X} {before:016X} {p:016X} {bytes}\n");
        before = c;
    }
    let bytes: Vec<u8> = ciphertext.iter().flat_map(|c| c.to_be_bytes()).collect();
    match des::cbc_decrypt(&keys, &iv.to_be_bytes(), &bytes) {
        Some(text) => page + &format!("TEXT   {}\n", harmless(&String::from_utf8_lossy(&text))),
        None => page + "TEXT   none: it does not end in padding; another key, or damaged\n",
    }
}

/// ASCII as it is, anything else as a dot: a character of several bytes may be cut by a block's end.
fn printable(bytes: [u8; 8]) -> String {
    let is_shown = |byte: u8| byte.is_ascii_graphic() || byte == b' ';
    bytes.iter().map(|&byte| if is_shown(byte) { char::from(byte) } else { '.' }).collect()
}
