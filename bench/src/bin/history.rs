//! Whether minim gets slower with every message that it keeps: the same calls of the store with 1,000 and with 1,000,000
//! messages in it, half of them in one conversation, a quarter in one group. In this folder:
//!
//!     cargo run --release --bin history                               on SQLite, in a fresh folder below TMPDIR
//!     ../tests/mariadb.sh cargo run --release --bin history           then also on the MariaDB of MINIM_TEST_DATABASE
//!
//! Both stores are asked in turn, so that whatever else the machine does hits them alike. A line has the medians, and what
//! matters: the ratio.

#[path = "messages/raw.rs"]
#[allow(dead_code)] // two programs use it, each a part
mod raw;

use std::env;
use std::fs;
use std::time::{Duration, Instant};

use minim::config::Database;
use minim::message::{ChatSendMsg, Refusal};
use minim::store::{Store, Waiting, Wanted};
use minim::trace::Trace;

use raw::Raw;

/// Messages that are kept: few and many.
const KEPT: [u64; 2] = [1_000, 1_000_000];
/// In a database; the first two wrote half of all messages.
const USERS: u64 = 200;
/// The newest messages, which nobody has received yet. For user 1 all wait.
const WAITING: u64 = 400;
/// Of the group: users 1, 2 and 3.
const MEMBERS: u64 = 3;
const ROUNDS: usize = 101;
/// Rows of one transaction while a database is filled.
const PIECE: u64 = 1_000;

type Row = (u64, ChatSendMsg);

fn main() {
    let folder = env::temp_dir().join(format!("minim-history-{}", std::process::id()));
    fs::create_dir(&folder).expect("a fresh folder");
    compare(KEPT.map(|kept| Database::Sqlite(folder.join(format!("{kept}.db")))));
    if let Ok(url) = env::var("MINIM_TEST_DATABASE") {
        let url = url.trim_end_matches('/');
        compare(KEPT.map(|kept| Database::Mysql(format!("{url}/minim_history_{kept}"))));
    }
    fs::remove_dir_all(&folder).expect("our own folder");
}

/// Message `number`: every second one between the first two users; of the others every second one in the group, where user
/// 3 speaks and each member in turn gets a row; what is left, among the other pairs in turn.
fn row(number: u64) -> Row {
    let other_pairs = USERS / 2 - 1;
    let is_friend = number % 4 != 1;
    let pair = if number.is_multiple_of(2) { 0 } else { 1 + number / 4 % other_pairs };
    let is_back = number / 4 % 2;
    let (from, to_id) = match is_friend {
        true => (2 * pair + 1 + is_back, 2 * pair + 2 - is_back),
        false => (3, 1 + number / 4 % MEMBERS),
    };
    let msg_text = format!("{number:09} {}", "a text as long as most are ".repeat(4))[..100].to_owned();
    let msg_type = "TEXT".to_owned();
    (from, ChatSendMsg { client_no: number, is_friend, to_id, send_time: 0, msg_type, msg_text })
}

fn fill(place: &Database, kept: u64) -> Store {
    let mut db = Raw::make(place, USERS as usize);
    db.run("INSERT INTO groupChat (id, createUid, gname, updateTime) VALUES (1, 3, 'g', 0)");
    let members: Vec<String> = (1..=MEMBERS).map(|uid| format!("(1, {uid}, 0)")).collect();
    db.run(&format!("INSERT INTO groupMembers (gId, uId, joinTime) VALUES {}", members.join(", ")));
    let values = |number: u64| {
        let (from, ChatSendMsg { is_friend, to_id, msg_text, .. }) = row(number);
        let handle = u8::from(to_id != 1 && number <= kept - WAITING);
        let g_id = if is_friend { "NULL" } else { "1" };
        format!("({from}, {to_id}, 1, {g_id}, {handle}, 1, {number}, 'TEXT', '{msg_text}')")
    };
    let columns = "fromUid, toUid, type, gId, handle, sendTime, clientNo, msgType, msgText";
    for first in (1..=kept).step_by(PIECE as usize) {
        let rows: Vec<String> = (first..first + PIECE).map(values).collect();
        db.run(&format!("INSERT INTO message ({columns}) VALUES {}", rows.join(", ")));
    }
    println!("{}, {kept} messages", db.version());
    drop(db);
    Store::open(place, &Trace::off()).unwrap_or_else(|error| panic!("{error}"))
}

fn compare(places: [Database; 2]) {
    let mut stores = Vec::new();
    for (place, kept) in places.iter().zip(KEPT) {
        stores.push((fill(place, kept), kept));
    }
    println!("{:44}{:>14}{:>14}{:>9}", "median, ms", KEPT[0], KEPT[1], "ratio");
    line("a message: stored and on the disk", &stores, |store, kept, round| {
        let stored = store.finish(store.begin_message(1, row(8 * (kept + round)).1.into()))?;
        assert_eq!(stored.recipients.len(), 1, "it is new");
        Ok(())
    });
    line("the same message again", &stores, |store, kept, round| {
        let stored = store.finish(store.begin_message(1, row(8 * (kept + round)).1.into()))?;
        assert!(stored.recipients.is_empty(), "it is known");
        Ok(())
    });
    line("LOGIN: user, last id, a page of what waits", &stores, |store, _, _| {
        let (user, _) = store.user_and_digest("u2")?.expect("user 2");
        assert!(store.last_unhandled(user.uid)? > 0);
        assert!(!store.unhandled(user.uid, Waiting::Messages, 0, 32)?.is_empty());
        Ok(())
    });
    line("what waits, a page in the middle", &stores, |store, kept, _| {
        assert_eq!(store.unhandled(1, Waiting::Messages, kept / 2, 32)?.len(), 32);
        Ok(())
    });
    line("unread of each friend", &stores, |store, _, _| store.unread(2).map(drop));
    let page = |store: &Store, is_friend: bool, before_id: u64| {
        let to_id = if is_friend { 2 } else { 1 };
        let wanted = Wanted { is_friend, to_id, before_id, limit: 20, ..Wanted::default() };
        assert_eq!(store.records(1, &wanted)?.len(), 20);
        Ok(())
    };
    for (whose, is_friend) in [("friend", true), ("group", false)] {
        let page_of = |which: &str, before_id: fn(u64) -> u64| {
            let name = format!("history of a {whose}, the {which} page");
            line(&name, &stores, |store, kept, _| page(store, is_friend, before_id(kept)));
        };
        page_of("newest", |_| 1 << 53);
        page_of("middle", |kept| kept / 2);
        page_of("oldest", |_| 20 * 4 * MEMBERS + 1);
    }
}

/// The medians of `call` on both stores, asked in turn.
fn line(name: &str, stores: &[(Store, u64)], call: impl Fn(&Store, u64, u64) -> Result<(), Refusal>) {
    let mut times = vec![Vec::new(); stores.len()];
    for round in 1..=ROUNDS {
        for ((store, kept), times) in stores.iter().zip(&mut times) {
            let start = Instant::now();
            call(store, *kept, round as u64).unwrap_or_else(|refusal| panic!("{name}: {}", refusal.text));
            times.push(start.elapsed());
        }
    }
    let medians: Vec<f64> = times.iter_mut().map(|times| median(times)).collect();
    println!("{name:44}{:14.3}{:14.3}{:9.2}", medians[0], medians[1], medians[1] / medians[0]);
}

fn median(times: &mut [Duration]) -> f64 {
    times.sort();
    times[times.len() / 2].as_secs_f64() * 1e3
}
