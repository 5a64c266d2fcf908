//! Lab 09, the check: what `work.rs` promises, tried in the museum, on a database of its own, and on minim. Nothing here waits
//! for time to pass; what hangs is waited for ten seconds (times LAB_PATIENCE) and is red.

#[path = "../../tests/common/mod.rs"]
mod common;
#[path = "../museum.rs"]
mod museum;
#[path = "../variant.rs"]
mod variant;
mod work;

use minim::md5_check::{hex, md5, random_bytes};
use museum::{Cipher, Museum, PWD};
use rusqlite::params_from_iter;
use serde_json::{Value, json};
use work::Md5;

/// Fails with the id, what was asked, what came, what should have come, and where it is written.
fn expect<T: PartialEq + std::fmt::Debug>(id: &str, asked: &str, came: T, expected: T) {
    assert!(
        came == expected,
        "\n    {id} · asked: {asked}\n       came: {came:?}\n       expected: {expected:?}\n    Contract {id} in labs/09-stolen-table/README.md"
    );
}

/// What the student's code gives, and how often it called MD5. Its thread is left to itself when it hangs.
fn run<T: Send + 'static>(id: &str, asked: &str, code: impl FnOnce(Md5) -> T + Send + 'static) -> (T, u32) {
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let mut calls = 0;
        sender.send((code(&mut |bytes| (calls += 1, md5(bytes)).1), calls))
    });
    let patience = std::env::var("LAB_PATIENCE").ok().and_then(|value| value.parse().ok());
    let came = receiver.recv_timeout(std::time::Duration::from_secs_f64(10.0 * patience.unwrap_or(1.0)));
    let why = "its trouble (Disconnected: a panic, shown above; Timeout: a loop without an end)";
    expect(id, &format!("{asked}: {why}"), came.as_ref().err(), None);
    came.expect("no error")
}

/// Ten hex digits, which nobody can guess, and a number.
fn new_name(number: usize) -> &'static str {
    format!("{}{number}", hex(&random_bytes::<5>())).leak()
}

fn sorted<T: Ord>(items: impl IntoIterator<Item = T>) -> Vec<T> {
    let mut items = Vec::from_iter(items);
    items.sort();
    items
}

/// Parts with the sign between them that this copy of the project has there.
fn joined(parts: &[&str]) -> String {
    parts.join(&variant::part("lab09.separator"))
}

/// What is to be stored.
fn stored(pwd: &str, salt: &str, rounds: u32) -> String {
    let digest = (1..rounds).fold(md5(format!("{pwd}{salt}").as_bytes()), |digest, _| md5(&digest));
    joined(&[&rounds.to_string(), salt, &hex(&digest)])
}

/// The museum's answer to one message.
fn ask(museum: &Museum, message: &Value) -> Value {
    let mut stream = common::connect(museum.address);
    std::io::Write::write_all(&mut stream, message.to_string().as_bytes()).expect("the museum reads");
    let answer = serde_json::Deserializer::from_reader(stream).into_iter().next();
    answer.and_then(Result::ok).unwrap_or("none: was the message longer than 1024 bytes?".into())
}

#[test]
fn a1_the_museum_logs_in_whoever_is_named() {
    let names = ["mallory", "alice", "bob"];
    let museum = Museum::open(&names, Cipher::None);
    for (name, uid) in names.into_iter().zip(1..) {
        let (bypass, wrong) = (work::bypass_name(name), new_name(0));
        let (ok, error) = ((Some("LOGIN_OK"), Some(uid)), (Some("ERROR"), None));
        for (typed, pwd, expected) in [(name, PWD, ok), (name, wrong, error), (&bypass, wrong, ok)] {
            let login = json!({"type": "LOGIN", "loginName": typed, "pwd": pwd});
            let answer = ask(&museum, &login);
            let asked = format!("{login}, to be {name}; answered {answer}: its type and uid");
            expect("a1", &asked, (answer["type"].as_str(), answer["uid"].as_u64()), expected);
        }
    }
}

#[test]
fn a2_one_search_lists_every_name_with_its_hash() {
    let users: Vec<_> = (0..12).map(|number| (new_name(number), new_name(number))).collect();
    let museum = Museum::open_with(&users, Cipher::None);
    let search = |text: &str| ask(&museum, &json!({"type": "SEARCH", "text": text}));
    let honest = json!({"type": "FOUND", "names": [users[3].0]});
    expect("a2", &format!("SEARCH {:?}, a user's name", users[3].0), search(users[3].0), honest);
    let text = work::dump_text();
    let answer = search(&text).to_string();
    let rows = users.iter().map(|(name, pwd)| joined(&[name, &hex(&md5(pwd.as_bytes()))]));
    let lacking: Vec<_> = rows.filter(|row| !answer.contains(row)).collect();
    expect("a2", &format!("SEARCH {text:?}, answered {answer}: which rows are lacking?"), lacking, vec![]);
}

#[test]
fn a3_one_list_of_words_opens_whoever_chose_from_it() {
    let mut passwords: Vec<&str> = (0..505).map(new_name).collect();
    passwords[7] = "密码";
    let words = passwords[..502].to_vec(); // the last three are not in the list
    let users = [0, 501, 7, 502, 7, 503, 502, 9, 504, 502, 504, 7].map(|at| (new_name(at), passwords[at]));
    let rows = users.map(|(name, pwd)| (name, &*hex(&md5(pwd.as_bytes())).leak()));
    let with = |at: usize| sorted(users.into_iter().filter(|row| row.1 == passwords[at]).map(|row| row.0));
    let asked = "same_password of 12 rows: the groups, sorted";
    let came = run("a3", asked, move |_| work::same_password(&rows)).0.into_iter().map(sorted);
    expect("a3", asked, sorted(came), sorted([7, 502, 504].map(with)));
    let asked = "crack of 12 rows with 502 words: what it gives, sorted, and how often it called md5";
    let found = sorted(users.into_iter().filter(|row| words.contains(&row.1)));
    let came = run("a3", asked, move |md5| sorted(work::crack(&rows, &words, md5)));
    expect("a3", asked, came, (found, 502));
}

#[test]
fn a4_a_salt_for_each_user_and_many_rounds_make_every_guess_dear() {
    for (rounds, salt) in [1, 1, 2, 1000].map(|rounds| (rounds, hex(&random_bytes::<8>()))) {
        let text = stored("hfut", &salt, rounds);
        let asked = format!("store_password(hfut, {salt}, {rounds}); check_password: hfut, HFUT; md5 calls");
        let came = run("a4", &asked, move |md5| {
            let text = work::store_password("hfut", &salt, rounds, md5);
            let [right, wrong] = ["hfut", "HFUT"].map(|pwd| work::check_password(pwd, &text, md5));
            (text, right, wrong)
        });
        expect("a4", &asked, came, ((text, true, false), 3 * rounds));
    }
    let words: Vec<&str> = (0..20).map(new_name).collect();
    let rows = [3, 3, 19, 0, 7].map(|at| stored(words[at], &hex(&random_bytes::<8>()), 100));
    let asked = "check_password of 20 words with 5 rows of 100 rounds each: how many fit, and calls of md5";
    let came = run("a4", asked, move |md5| {
        let guesses = rows.iter().flat_map(|row| words.iter().map(move |word| (word, row)));
        guesses.filter(|(word, row)| work::check_password(word, row, md5)).count()
    });
    expect("a4", asked, came, (5, 20 * 5 * 100));
}

#[test]
fn a5_a_search_takes_every_character_literally() {
    let names = ["al", "o'b", "a''b", "100%", "1000", "a_b", "a-b", r"a\b", r"\_", "\"", "张三", "%_\\'\"李"];
    let database = rusqlite::Connection::open_in_memory().expect("a database in memory");
    database.execute("CREATE TABLE users (id INTEGER, loginName TEXT, pwd TEXT)", []).expect("a table");
    for name in names {
        database.execute("INSERT INTO users VALUES (1, ?, '')", [name]).expect("a row");
    }
    let mut ways = std::collections::BTreeSet::new();
    for text in ["a", "'", "''", "%", "_", r"\", "\"", "三", "0%", "a_b", r"\_", "%_", "a%b", "' --", ""] {
        let mut given = Vec::new();
        let mut select = |sql: &str, values: &[&str]| {
            ways.insert(sql.to_owned());
            let call = format!("a5 · find_users({text:?}): select({sql:?}, {values:?}), a ? for each");
            let mut query = database.prepare(sql).expect(&call);
            let rows = query.query_map(params_from_iter(values), |row| row.get(0));
            given = rows.and_then(Iterator::collect).expect(&call);
            given.clone()
        };
        let came = sorted(work::find_users(&mut select, text));
        let expected = sorted(names.into_iter().filter(|name| name.contains(text)).map(str::to_owned));
        let asked = format!("find_users({text:?}): what it gives, and what select gave, both sorted");
        expect("a5", &asked, (came, sorted(given)), (expected.clone(), expected));
    }
    expect("a5", &format!("how many different texts of SQL for all these searches? {ways:?}"), ways.len(), 1);
}

#[test]
fn a6_to_minim_the_same_texts_are_only_texts() {
    let server = common::Server::start();
    let (sid, mut guest) = (server.new_user("alice").session_id.clone(), server.peer());
    let search = |text: &str| {
        let text: String = text.bytes().map(|byte| format!("%{byte:02X}")).collect();
        server.get(&format!("/searchUserByLoginname?loginName={text}"), Some(&sid))["data"].clone()
    };
    let (name, text) = (work::bypass_name("alice"), work::dump_text());
    let answer = guest.log_in_with(&name, "a wrong one");
    let asked = format!("the code in minim's answer to LOGIN of {name:?}: {answer}");
    expect("a6", &asked, &answer["code"], &json!("badLogin"));
    expect("a6", &format!("whom minim finds for {text:?}"), search(&text), json!([]));
    expect("a6", "whom minim finds for \"lic\"", &search("lic")[0]["loginName"], &json!("alice"));
    let uid = json!(guest.register(&name)); // a name like any other
    expect("a6", &format!("the uid at the LOGIN of {name:?}"), &guest.login(&name)["uid"], &uid);
    expect("a6", &format!("whom minim finds for {name:?}"), &search(&name)[0]["uid"], &uid);
}

#[test]
fn a7_no_other_text_matches() {
    let right = stored("secret", "00c0ffee00abcdef", 100);
    let other = |at| if right[at..].starts_with('0') { "1" } else { "0" };
    let changed = |at| [right[..at].to_owned(), [&right[..at], other(at), &right[at + 1..]].concat()];
    let around = [("", "0"), ("0", ""), ("+", ""), ("99999999999999999", ""), ("", &joined(&["", "x"]))];
    let longer = around.map(|(before, behind)| format!("{before}{right}{behind}"));
    let odd = [joined(&[""; 3]), joined(&["密码"; 3]), right.to_uppercase()];
    let texts = (0..right.len()).flat_map(changed).chain(longer).chain(odd);
    let passwords = ["secret", "", "secre", "secret ", "Secret"].map(|pwd| (pwd, right.clone()));
    for (number, (pwd, text)) in passwords.into_iter().chain(texts.map(|text| ("secret", text))).enumerate() {
        let asked = format!("check_password({pwd:?}, {text:?})");
        let (came, _) = run("a7", &asked, move |md5| work::check_password(pwd, &text, md5));
        expect("a7", &asked, came, number == 0);
    }
}
