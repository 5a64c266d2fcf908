//! The verbs `des` and `md5`, asked of the real program: what they show, and what they say of a word that is none.

mod common;

use std::fs;
use std::process::Command;

use common::{Folder, run};
use minim::des::{cbc_encrypt, key_schedule};

const KEY: &str = "133457799BBCDFF1";

/// What a verb prints that ends with 0, and nothing on standard error; no line is wider than 80 columns.
fn page(words: &[&str]) -> String {
    let folder = Folder::new();
    let (code, output, errors) = run(folder.path(), words);
    assert_eq!((code, errors.as_str()), (0, ""), "{words:?}");
    for line in output.lines() {
        assert!(line.chars().count() <= 80, "{words:?}: wider than 80 columns: {line}");
    }
    output
}

/// Expects exit code 2, nothing on standard output, and one line on standard error that names all of `named`.
fn expect_refusal(words: &[&str], named: &[&str]) {
    let folder = Folder::new();
    let (code, output, errors) = run(folder.path(), words);
    assert_eq!((code, output.as_str()), (2, ""), "{words:?}: {errors}");
    assert_eq!(errors.lines().count(), 1, "one line: {errors}");
    for name in named {
        assert!(errors.contains(name), "{words:?}: {errors:?} does not name {name:?}");
    }
}

/// 16 hex digits as 8 bytes.
fn eight(digits: &str) -> [u8; 8] {
    u64::from_str_radix(digits, 16).expect("16 hex digits").to_be_bytes()
}

#[test]
fn the_page_of_the_example_in_every_course_is_the_contracts() {
    let expected = "\
DES (FIPS 46-3), encryption; all in hexadecimal, bit 1 at the left
KEY    133457799BBCDFF1   parity bits odd: yes   weak: no
PC-1   C0 F0CCAAF   D0 556678F
 n s  C        D        K = PC-2(C D)     n s  C        D        K
 1 1  E19955F  AACCF1E  1B02EFFC7072       9 1  557F866  3C7AAB3  E0DBEBEDE781
 2 1  C332ABF  5599E3D  79AED9DBC9E5      10 2  55FE199  F1EAACC  B1F347BA464F
 3 2  0CCAAFF  56678F5  55FC8A42CF99      11 2  57F8665  C7AAB33  215FD3DED386
 4 2  332ABFC  599E3D5  72ADD6DB351D      12 2  5FE1995  1EAACCF  7571F59467E9
 5 2  CCAAFF0  6678F55  7CEC07EB53A8      13 2  7F86655  7AAB33C  97C5D1FABA41
 6 2  32ABFC3  99E3D55  63A53E507B2F      14 2  FE19955  EAACCF1  5F43B7F2E73A
 7 2  CAAFF0C  678F556  EC84B7F618BC      15 2  F866557  AAB33C7  BF918D3D3F0A
 8 2  2ABFC33  9E3D559  F78A3AC13BFB      16 1  F0CCAAF  556678F  CB3D8B0E17F5
BLOCK  0123456789ABCDEF   IP   L0 CC00CCFF   R0 F0AAF0AA
 n  E(R)          E(R) xor K    S         P = f     L         R
 1  7A15557A1555  6117BA866527  5C82B597  234AA9BB  F0AAF0AA  EF4A6544
 2  75EA5430AA09  0C448DEB63EC  F8D03AAE  3CAB87A3  EF4A6544  CC017709
 3  E58002BAE853  B07C88F827CA  2710E16F  4D166EB0  CC017709  A25C0BF4
 4  5042F8057FA9  22EF2EDE4AB4  21ED9F3A  BB23774C  A25C0BF4  77220045
 5  BAE90400020A  C60503EB51A2  50C831EB  2813ADC3  77220045  8A4FA637
 6  C5425FD0C1AF  A6E76180BA80  41F34C3D  9E45CD2C  8A4FA637  E967CD69
 7  F52B0FE5AB53  19AFB813B3EF  107540AD  8C051C27  E967CD69  064ABA10
 8  00C2555F40A0  F7486F9E7B5B  6C187CAE  3C0E86F9  064ABA10  D5694B90
 9  6AAB52A57CA1  8A70B9489B20  110C5777  22367C6A  D5694B90  247CC67A
10  1083F960C3F4  A170BEDA85BB  DA045275  62BC9C22  247CC67A  B7D5D7B2
11  5AFEABEAFDA5  7BA178342E23  7305D101  E104FA02  B7D5D7B2  C5783C78
12  60ABF01F83F1  15DA058BE418  7B8B2635  C268CFEA  C5783C78  75BD1858
13  3ABDFA8F02F0  AD782B75B8B1  9AD18B4F  DDBB2922  75BD1858  18C3155A
14  0F16068AAAF4  5055B1784DCE  64799AF1  B7318E55  18C3155A  C28C960D
15  E054594AC05B  5FC5D477FF51  B2E88D3C  5B81276E  C28C960D  43423234
16  206A041A41A8  EB578F14565D  A7832429  C8C04F98  43423234  0A4CD995
SWAP   R16 L16 0A4CD99543423234
IP^-1  85E813540F0AB405";
    assert_eq!(page(&["des", KEY, "0123456789ABCDEF"]), expected);
    assert_eq!(page(&["des", "133457799bbcdff1", "0123456789abcdef"]), expected, "lower case is taken too");
}

#[test]
fn decryption_has_the_same_form_with_the_round_keys_from_16_to_1() {
    let page = page(&["des", "--decrypt", KEY, "85E813540F0AB405"]);
    let lines: Vec<&str> = page.lines().collect();
    assert_eq!(lines[0], "DES (FIPS 46-3), decryption; all in hexadecimal, bit 1 at the left");
    assert_eq!(lines[4], "16 1  F0CCAAF  556678F  CB3D8B0E17F5       8 2  2ABFC33  9E3D559  F78A3AC13BFB");
    assert_eq!(lines[11], " 9 1  557F866  3C7AAB3  E0DBEBEDE781       1 1  E19955F  AACCF1E  1B02EFFC7072");
    assert_eq!(lines[12], "BLOCK  85E813540F0AB405   IP   L0 0A4CD995   R0 43423234");
    // E(R0) xor K16 is what the encryption has in its last round.
    assert_eq!(lines[14], " 1  206A041A41A8  EB578F14565D  A7832429  C8C04F98  43423234  C28C960D");
    assert_eq!(lines[31], "IP^-1  0123456789ABCDEF");
}

#[test]
fn every_value_of_the_published_examples_stands_on_their_pages() {
    let mut shown = String::new();
    let mut checked = 0;
    for line in include_str!("vectors/des-rounds.txt").lines().filter(|line| !line.starts_with('#')) {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["example", _, "encrypt", key, block, _] => shown = page(&["des", key, block]),
            ["example", _, "decrypt", key, block, _] => shown = page(&["des", key, block, "--decrypt"]),
            ["pc1" | "ip", _] => {} // shown in halves, as cd 0 and lr 0
            [_, .., value] => {
                assert!(shown.contains(value), "{line}: not on this page:\n{shown}");
                checked += 1;
            }
            _ => panic!("unknown record: {line}"),
        }
    }
    assert!(checked > 300, "{checked}");
}

#[test]
fn weak_keys_are_said_with_their_partners_and_so_is_wrong_parity() {
    for line in include_str!("vectors/des-weak-keys.txt").lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (key, weak, partner) = match words[..] {
            ["weak", key, ..] => (key, "yes", key),
            ["semi", key, partner, ..] => (key, "semi-weak", partner),
            _ => continue,
        };
        let rows = page(&["des", key, "0000000000000000"]);
        assert!(rows.contains(&format!("parity bits odd: yes   weak: {weak}\n")), "{rows}");
        assert!(rows.contains(&format!("       partner {partner}")), "{rows}");
        assert_eq!(rows.contains("(the key itself)"), weak == "yes", "{rows}");
    }
    // Parity is looked at by nobody, so wrong parity makes no key strong.
    let rows = page(&["des", "0000000000000000", "0000000000000000"]);
    assert!(rows.contains("parity bits odd: no   weak: yes\n"), "{rows}");
    assert!(rows.contains("parity wrong in byte 1 2 3 4 5 6 7 8"), "{rows}");
    assert!(rows.contains("partner 0101010101010101"), "{rows}");
    let rows = page(&["des", "133457799BBCDFF0", "0123456789ABCDEF"]);
    assert!(rows.contains("parity bits odd: no   weak: no\n       parity wrong in byte 8"), "{rows}");
    assert!(rows.ends_with("85E813540F0AB405"), "the same cipher: {rows}");
}

#[test]
fn a_text_is_shown_as_a_chain_of_blocks() {
    let iv = "0011223344556677";
    let expected = "\
CBC, 14 bytes, padded with 02 02 to 16
 n bytes    P                C before (I)     P xor C before   C = DES(K, that)
 1 Hello, . 48656C6C6F2C20E4 0011223344556677 48744E5F2B794693 6B82F459DC112CF5
 2 .....!.. BDA0E5A5BD210202 6B82F459DC112CF5 D62211FC61302EF7 809F27A12509B4AE";
    assert_eq!(page(&["des", KEY, "Hello, 你好!", "--text", "--iv", iv]), expected);

    for text in ["", "12345678", "a \t\u{1b}[31m", &"long ".repeat(150)] {
        let rows = page(&["des", "--text", "--iv", iv, KEY, text]);
        let column: String = rows.lines().skip(2).filter_map(|row| row.split_whitespace().last()).collect();
        let ciphertext = cbc_encrypt(&key_schedule(&eight(KEY)), &eight(iv), text.as_bytes());
        let digits: String = ciphertext.iter().map(|byte| format!("{byte:02X}")).collect();
        assert_eq!(column, digits, "{text:?}");
        let decrypted = page_wide(&["des", KEY, &digits, "--decrypt", "--text", "--iv", iv]);
        let shown = text.replace('\t', " ").replace('\u{1b}', "\\x1b"); // nothing that a terminal would obey
        assert_eq!(decrypted.lines().last(), Some(format!("TEXT   {shown}").as_str()));
    }
    assert!(
        page(&["des", KEY, "12345678", "--text"]).contains("padded with 08 08 08 08 08 08 08 08 to 16\n")
    );
}

/// A page whose last line, the text, may be wide.
fn page_wide(words: &[&str]) -> String {
    let folder = Folder::new();
    let (code, output, errors) = run(folder.path(), words);
    assert_eq!((code, errors.as_str()), (0, ""), "{words:?}");
    output
}

#[test]
fn without_iv_a_fresh_one_is_drawn() {
    let words = ["des", KEY, "the same text", "--text"];
    assert_ne!(page(&words), page(&words));
}

#[test]
fn a_ciphertext_is_shown_backwards_and_wrong_padding_is_said() {
    let expected = "\
CBC, decryption of 16 bytes
 n C                D = DES^-1(K, C) C before (I)     P = D xor that   bytes
 1 6B82F459DC112CF5 48744E5F2B794693 0011223344556677 48656C6C6F2C20E4 Hello, .
 2 809F27A12509B4AE D62211FC61302EF7 6B82F459DC112CF5 BDA0E5A5BD210202 .....!..
TEXT   Hello, 你好!";
    let ciphertext = "6B82F459DC112CF5 809F27A12509B4AE";
    let words = |key, ciphertext| ["des", key, ciphertext, "--text", "--decrypt", "--iv", "0011223344556677"];
    assert_eq!(page(&words(KEY, ciphertext)), expected);
    for (key, ciphertext) in [("0123456789ABCDEF", ciphertext), (KEY, &ciphertext[..16])] {
        let rows = page(&words(key, ciphertext));
        assert!(rows.lines().last().is_some_and(|row| row.starts_with("TEXT   none: ")), "{rows}");
    }
}

#[test]
fn a_word_that_is_none_is_answered_with_what_it_should_be() {
    let block = "0123456789ABCDEF";
    expect_refusal(&["des"], &["KEY", "BLOCK", "16 hex digits", "--text"]);
    expect_refusal(&["des", KEY], &["KEY", "BLOCK", "16 hex digits"]);
    expect_refusal(&["des", KEY, block, block], &["KEY", "BLOCK", "quotes"]);
    expect_refusal(&["des", "hfut", "X"], &["KEY \"hfut\"", "16 hex digits are needed", "'h'"]);
    expect_refusal(&["des", "1334577", block], &["KEY", "16 hex digits", "7"]);
    expect_refusal(&["des", "133457799BBCDFF10", block], &["KEY", "16 hex digits", "17"]);
    expect_refusal(&["des", "", block], &["KEY", "16 hex digits", "0"]);
    expect_refusal(&["des", "+33457799BBCDFF1", block], &["KEY", "16 hex digits", "'+'"]);
    expect_refusal(&["des", "0x33457799BBCDFF", block], &["KEY", "16 hex digits", "'x'"]);
    expect_refusal(&["des", "密码密码密1", block], &["KEY", "16 hex digits", "'密'"]);
    expect_refusal(&["des", KEY, "Hello"], &["BLOCK \"Hello\"", "16 hex digits", "--text"]);
    expect_refusal(&["des", KEY, "0123456789ABCDEF0"], &["BLOCK", "16 hex digits", "17"]);
    expect_refusal(&["des", KEY, block, "--iv", block], &["--iv", "--text"]);
    expect_refusal(&["des", KEY, "text", "--text", "--iv", "0"], &["--iv \"0\"", "16 hex digits", "1"]);
    expect_refusal(&["des", KEY, "text", "--text", "--iv"], &["--iv", "value"]);
    expect_refusal(&["des", KEY, block, "--text", "--decrypt"], &["--iv", "first row"]);
    let decrypt = ["--text", "--decrypt", "--iv", block];
    expect_refusal(&[&["des", KEY, ""], &decrypt[..]].concat(), &["TEXT", "16 hex digits"]);
    expect_refusal(
        &[&["des", KEY, "6B82F459DC112CF5 809F"], &decrypt[..]].concat(),
        &["TEXT", "16 hex digits", "4"],
    );
    expect_refusal(&["des", KEY, block, "--decrpt"], &["--decrpt", "decrypt", "text", "iv", "chatPort"]);
    expect_refusal(&["md5"], &["one text", "--file"]);
    expect_refusal(&["md5", "two", "words"], &["one text", "quotes"]);
    expect_refusal(&["md5", "text", "--file", "path"], &["one text", "--file"]);
    expect_refusal(&["md5", "text", "--decrypt"], &["--decrypt", "file", "chatPort"]);
    expect_refusal(&["server", "--decrypt"], &["--decrypt", "chatPort"]);
}

#[test]
fn md5_of_a_text_is_32_hex_digits_and_a_line_feed() {
    let folder = Folder::new();
    for (text, digest) in [
        ("", "d41d8cd98f00b204e9800998ecf8427e"),
        ("abc", "900150983cd24fb0d6963f7d28e17f72"),
        ("你好", "7eca689f0d3389d9dea66ae112e5cfd7"),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_minim"));
        let output = command.args(["md5", text]).current_dir(folder.path()).output().expect("minim runs");
        assert_eq!((output.status.code(), output.stderr), (Some(0), Vec::new()), "{text}");
        assert_eq!(String::from_utf8_lossy(&output.stdout), format!("{digest}\n"), "{text}");
    }
}

#[test]
fn md5_of_a_file_is_that_of_its_bytes_and_a_file_that_cannot_be_read_is_named() {
    let folder = Folder::new();
    // RFC 1321's abc, and a million times a, as FIPS 180 has it; line ends and odd bytes are the file's own.
    for (bytes, digest) in [
        (b"abc".to_vec(), "900150983cd24fb0d6963f7d28e17f72"),
        (vec![b'a'; 1_000_000], "7707d6ae4e027c70eea2a935c2296f21"),
        (b"\r\n\0\xff".to_vec(), "8bf38f6e2b4f1462ecc73c432ac9a0be"),
        (Vec::new(), "d41d8cd98f00b204e9800998ecf8427e"),
    ] {
        fs::write(folder.path().join("文件 1"), bytes).expect("a file");
        let (code, output, errors) = run(folder.path(), &["md5", "--file", "文件 1"]);
        assert_eq!((code, output.as_str(), errors.as_str()), (0, digest, ""));
    }
    fs::create_dir(folder.path().join("a folder")).expect("a folder");
    for path in ["no such file", "a folder"] {
        let (code, output, errors) = run(folder.path(), &["md5", "--file", path]);
        assert_eq!((code, output.as_str()), (1, ""), "{errors}");
        assert!(errors.contains(path) && errors.lines().count() == 1, "{errors}");
    }
}

#[test]
fn both_verbs_know_every_option_and_help() {
    let folder = Folder::new();
    fs::write(folder.path().join("server.conf"), "chatPort = 0\nlang = zh\n").expect("a file");
    let words = ["md5", "--chatPort", "1", "--trace", "rounds", "abc", "--dataDir", "never made"];
    let (code, output, errors) = run(folder.path(), &words);
    assert_eq!((code, output.as_str(), errors.as_str()), (0, "900150983cd24fb0d6963f7d28e17f72", ""));
    assert!(!folder.path().join("never made").exists());

    for verb in ["des", "md5"] {
        let help = page_wide(&[verb, "--help"]);
        for named in
            ["cargo run des KEY BLOCK", "cargo run md5 TEXT", "--iv HEX", "--file PATH", "--chatPort"]
        {
            assert!(help.contains(named), "{named} in\n{help}");
        }
        let (code, _, errors) = run(folder.path(), &[verb, KEY, KEY, "--chatPort", "x"]);
        assert!(code == 2 && errors.contains("--chatPort x"), "{errors}");
    }
    fs::write(folder.path().join("server.conf"), "iv = 0011223344556677\n").expect("a file");
    let (code, _, errors) = run(folder.path(), &["des", KEY, KEY]);
    assert!(code == 2 && errors.contains("server.conf, line 1: iv"), "{errors}");
}
