//! Lab 09, the stolen table: your file. The contract stands in README.md; check.rs tries it. Of minim take `md5_check::hex`, and
//! nothing else: MD5 is what `md5` gives you.

/// MD5 of bytes. The check counts how often you call it.
pub type Md5<'a> = &'a mut dyn FnMut(&[u8]) -> [u8; 16];

/// What Mallory types as her loginName, so that the museum logs her in as `victim` (letters alone), whatever her password. It
/// is a name to minim, too: at most 50 characters, no white space at either end.
pub fn bypass_name(victim: &str) -> String {
    todo!("{victim}")
}

/// What Mallory types into the museum's search, at most 900 bytes, so that among the names in the answer there is
/// `LOGINNAME:PWD` for each row of table `users`.
pub fn dump_text() -> String {
    todo!("a text")
}

/// Rows of the stolen table (loginName, pwd: MD5 of the password in 32 hex digits), and a list of words without repetition.
/// Gives (loginName, password) of each row whose password is in the list, in any order. Calls `md5` once for each word.
pub fn crack<'a>(rows: &[(&'a str, &str)], words: &[&'a str], md5: Md5) -> Vec<(&'a str, &'a str)> {
    todo!("{} rows, {} words, {:x?}", rows.len(), words.len(), md5(b""))
}

/// Such rows again. Gives the loginNames of those who share a password, known or not: a group of two or more for each such
/// password, all in any order.
pub fn same_password<'a>(rows: &[(&'a str, &str)]) -> Vec<Vec<&'a str>> {
    todo!("{} rows", rows.len())
}

/// The museum's search done right: the loginNames in table `users` that contain `text`, whatever characters it has, in any
/// order; whether `a` finds `A` is left to you. `select` takes SQL of one column and the values for its `?`, one for each, asks
/// the database, and gives the rows. The SQL is the same for every text, and what you return is what `select` gave.
pub fn find_users(select: &mut dyn FnMut(&str, &[&str]) -> Vec<String>, text: &str) -> Vec<String> {
    todo!("{text}, among {:?}", select("SELECT loginName FROM users", &[]))
}

/// What a server keeps of a password: `ROUNDS:SALT:DIGEST`, the rounds (at least 1) in decimal, the salt as it is given (16 hex
/// digits), the digest in hex: MD5 of pwd and salt, one behind the other, then MD5 of these 16 bytes, until there were `rounds`.
pub fn store_password(pwd: &str, salt: &str, rounds: u32, md5: Md5) -> String {
    todo!("{pwd}, {salt}, {rounds}, {:x?}", md5(b""))
}

/// Whether `stored` is what `store_password` gives for `pwd`: false for every other text, and no panic.
pub fn check_password(pwd: &str, stored: &str, md5: Md5) -> bool {
    todo!("{pwd}, {stored}, {:x?}", md5(b""))
}
