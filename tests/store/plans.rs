//! A test: every statement that the store runs finds its rows by an index, on either engine. It asks the engine itself,
//! with EXPLAIN, in a database of 20,000 messages; what is meant to look at a whole table stands in `MAY_SCAN`.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use super::messages::{Addressed, friendships, rows_by_key};
use super::*;
use crate::limits::MAX_IDS;
use crate::message::{ChatSendMsg, NewUser};

/// Statements and parameters, as the drivers ran them.
static NOTED: Mutex<Vec<(String, Vec<Value>)>> = Mutex::new(Vec::new());

/// A driver runs this.
pub fn note(sql: &str, parameters: &[Value]) {
    NOTED.lock().unwrap().push((sql.to_owned(), parameters.to_vec()));
}

/// Runs once at the start, or is a search among all users for a part of a name.
const MAY_SCAN: [&str; 5] =
    ["sqlite_master", "information_schema", "minimSchema", "INSTR(u.loginKey", "GET_LOCK"];
/// Parts of statements that run per message, per login or per page of history; the index that each must use, by its name
/// in SQLite, which numbers those of constraints, and in MySQL.
const INDEXES: [[&str; 3]; 12] = [
    ["(m.fromUid, m.clientNo)", "sqlite_autoindex_message_1", "messageOnce"],
    ["WHERE (uid, friendId)", "sqlite_autoindex_friends_1", "friendOnce"],
    ["toUid = ? AND handle = 0 AND type = ? AND id > ?", INBOX, "messageInbox 20"], // its length in bytes: all, and the id
    ["type = ? ORDER BY id DESC LIMIT 1", INBOX, "messageInbox"],
    ["COUNT(*)", INBOX, "messageInbox"],
    ["toUid = ? AND gId IS NULL AND type", PAIR, "messagePair 25"],
    ["gId = ? AND type = ? AND toUid = ? AND id < ?", IN_GROUP, "messageGroup 21"],
    ["UPDATE message SET handle = 1, handleTime = ? WHERE gId", "messageGroup", "messageGroup"],
    ["FROM groupMembers WHERE gId = ?", "sqlite_autoindex_groupMembers_1", "memberOnce"],
    ["WHERE mine.uId = ?", "memberOf", "memberOf"],
    ["toUid <> fromUid", "sqlite_autoindex_message_1", "messageOnce"],
    ["u.pwd FROM users", "sqlite_autoindex_users_1", "loginKeyOnce"],
];
/// All columns of the index: a page of requests in a full inbox reads no messages.
const PAIR: &str = "COVERING INDEX messagePair (fromUid=? AND toUid=? AND gId=? AND type=? AND rowid<?)";
const IN_GROUP: &str = "COVERING INDEX messageGroup (gId=? AND type=? AND toUid=? AND rowid<?)";
const INBOX: &str = "messageInbox (toUid=? AND handle=? AND type=?";
/// Sorts the friends of one user, the members of a group, the requests to a group, or who was found by a part of the name;
/// counts what waits for one user; puts a found page in order.
const MAY_SORT: [&str; 6] = [
    "FROM friends f",
    "FROM groupMembers",
    "m.gId = ? AND m.type = ? AND m.toUid = ?",
    "GROUP BY fromUid",
    "FROM (SELECT id",
    "INSTR(u.loginKey",
];

const USERS: u64 = 40;
const ROWS: u64 = 20_000;

#[test]
#[cfg(feature = "sqlite")]
fn every_statement_finds_its_rows_by_an_index_in_sqlite() {
    let folder = std::env::temp_dir().join(format!("minim-plans-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let place = Database::Sqlite(folder.join("minim.db"));
    explain_all(&place, "EXPLAIN QUERY PLAN", 3, |plan| {
        let scans = plan.iter().any(|line| line.contains("SCAN") && line != "SCAN page");
        (scans, plan.iter().any(|line| line.contains("TEMP B-TREE")))
    });
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
#[ignore = "needs a database server: tests/mariadb.sh runs it"]
fn every_statement_finds_its_rows_by_an_index_in_mysql() {
    let server = std::env::var("MINIM_TEST_DATABASE").expect("MINIM_TEST_DATABASE");
    let name = format!("minim_plans_{}", std::process::id());
    let place = Database::Mysql(format!("{server}{name}"));
    explain_all(&place, "EXPLAIN", 2, |plan| {
        let tables = plan.iter().filter(|line| !line.starts_with('<')); // those are results of the statement itself
        let mut accesses = tables.map(|line| line.split(' ').nth(1)); // behind the table's name
        let scans = accesses.any(|access| access == Some("ALL") || access == Some("index"));
        (scans, plan.iter().any(|line| line.contains("filesort")))
    });
    let mut db = driver::open_to_read(&place).unwrap();
    db.run_plain(&format!("DROP DATABASE {name}")).unwrap();
}

/// Fills a database, has the store do everything it can, and looks at the plan of each different statement: the columns
/// of `explain` from number `column` on, a line for each row. `verdict`: whether it scans, and whether it sorts.
fn explain_all(place: &Database, explain: &str, column: usize, verdict: impl Fn(&[String]) -> (bool, bool)) {
    static ONE_ENGINE_AT_A_TIME: Mutex<()> = Mutex::new(()); // NOTED is for all
    let _guard = ONE_ENGINE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let store = Store::open(place, &crate::trace::Trace::off()).unwrap();
    use_everything(&store);
    fill(place);
    NOTED.lock().unwrap().clear();
    use_everything(&store);
    drop(store);
    let mut db = driver::open_to_read(place).unwrap();
    let from = |number: u64| number % USERS + 1;
    rows_by_key(&mut db, &(0..100).map(|number| [from(number), number]).collect::<Vec<_>>()).unwrap();
    let to = |number: u64| Addressed { from: from(number), is_friend: true, to_id: 2 };
    friendships(&mut db, &(0..100).map(to).collect::<Vec<_>>()).unwrap();
    let noted = std::mem::take(&mut *NOTED.lock().unwrap());

    let mut seen = HashSet::new();
    let mut indexes_used = HashSet::new();
    let mut wrong = String::new();
    let mut count = 0;
    for (sql, parameters) in noted {
        if sql.starts_with("INSERT") || !sql.contains(' ') || !seen.insert((sql.clone(), parameters.clone()))
        {
            continue;
        }
        count += 1;
        let rows = db.rows(&format!("{explain} {sql}"), &parameters);
        let rows = rows.unwrap_or_else(|failure| panic!("{failure} in {sql}"));
        let line =
            |row: &Row| (column..row.0.len()).map(|column| row.text(column)).collect::<Vec<_>>().join(" ");
        let plan: Vec<String> = rows.iter().map(line).collect();
        let (scans, sorts) = verdict(&plan);
        let plan = plan.join("\n    ");
        println!("{sql}\n    {plan}");
        if plan.contains("Impossible WHERE noticed after reading const tables") {
            continue; // by a unique index there is nothing, as MySQL has seen while it planned
        }
        for [part, in_sqlite, in_mysql] in INDEXES.iter().filter(|[part, ..]| sql.contains(part)) {
            let index = if matches!(place, Database::Sqlite(_)) { in_sqlite } else { in_mysql };
            assert!(plan.contains(index), "not by {index}: {sql}\n    {plan}");
            indexes_used.insert(part);
        }
        let is_meant = |list: &[&str]| list.iter().any(|part| sql.contains(part));
        if (scans && !is_meant(&MAY_SCAN)) || (sorts && !is_meant(&MAY_SORT)) || plan.contains("MULTI-INDEX")
        {
            wrong += &format!("{sql}\n    {plan}\n");
        }
    }
    assert!(count > 20, "{count} statements are too few: is everything used?");
    assert_eq!(indexes_used.len(), INDEXES.len(), "{indexes_used:?}");
    assert!(wrong.is_empty(), "{wrong}");
}

/// A message to `to_id`.
fn hello(client_no: u64, to_id: u64) -> ChatSendMsg {
    let (msg_type, msg_text) = ("TEXT".to_owned(), "hello".to_owned());
    ChatSendMsg { client_no, is_friend: true, to_id, send_time: 0, msg_type, msg_text }
}

/// Every function of the store at least once, with what it finds and with what it refuses.
fn use_everything(store: &Store) {
    for number in 1..=USERS {
        let name = format!("user{number}");
        let (login_name, username) = (name.clone(), name);
        let new = NewUser { login_name, username, pwd: String::new(), sex: 0, pic_url: String::new() };
        let _ = store.add_user(&new, "digest");
    }
    let (id, _) = store.ask_friend(1, 2).unwrap_or((0, None));
    let _ = store.answer_request(2, id, true);
    let _ = store.ask_friend(3, 1);
    let id = store.unhandled(1, Waiting::Requests, 0, 10).unwrap()[0].0;
    let _ = store.can_add_friend(1, 4);
    let _ = store.answer_request(1, id, false);
    let _ = store.delete_friend(5, 6);
    for to_id in [2, 2, 3, 999] {
        let _ = store.finish(store.begin_message(1, hello(now_ms() * 1000 + to_id, to_id).into()));
    }
    use_groups(store);
    for kind in [Waiting::Messages, Waiting::Requests, Waiting::All] {
        store.unhandled(2, kind, 0, 32).unwrap();
        store.unhandled(2, kind, ROWS / 2, 32).unwrap();
    }
    store.finish(store.mark_received(2, &[1])).unwrap();
    let all: Vec<u64> = (1..=MAX_IDS as u64).collect();
    store.finish(store.mark_received(2, &all)).unwrap();
    store.last_unhandled(2).unwrap();
    store.may_send(1, true, 2).unwrap();
    let _ = store.sent_file(1, 7);
    let _ = store.file_of(2, 1);
    let _ = store.file_arrived(2, 1);
    store.unread(2).unwrap();
    store.friends(1).unwrap();
    store.user(1).unwrap();
    store.user_and_digest("user1").unwrap();
    store.search_users("user").unwrap();
    for text in ["", "hello"] {
        let text = (!text.is_empty()).then(|| text.to_owned());
        let mut wanted =
            Wanted { is_friend: true, to_id: 2, before_id: 1 << 53, limit: 20, text, ..Wanted::default() };
        store.records(1, &wanted).unwrap();
        wanted.before_id = ROWS / 2;
        store.records(1, &wanted).unwrap();
        (wanted.is_friend, wanted.to_id) = (false, 1);
        let _ = store.records(1, &wanted);
    }
}

fn use_groups(store: &Store) {
    let (group, requests) = store.create_group(1, "group", &[2]).unwrap();
    let g_id = group.g_id;
    assert_eq!(requests.len(), 1);
    let _ = store.invite(1, g_id, 2);
    let (id, _) = store.ask_to_join(4, g_id).unwrap();
    store.answer_request(1, id, true).unwrap();
    store.ask_to_join(5, g_id).unwrap();
    let message = ChatSendMsg { is_friend: false, ..hello(now_ms() * 1000 + 7, g_id) };
    store.finish(store.begin_message(1, message.into())).unwrap();
    store.rename_group(1, g_id, "renamed").unwrap();
    store.groups(1).unwrap();
    store.group_members(1, g_id).unwrap();
    let (id, _) = store.ask_to_join(6, g_id).unwrap();
    store.answer_request(1, id, true).unwrap();
    store.remove_member(1, g_id, 6).unwrap();
    store.quit_group(1, g_id).unwrap();
    store.delete_group(4, g_id).unwrap();
}

/// Half of all messages between two users, the others of every user to two others; a third not handled yet; friendships.
fn fill(place: &Database) {
    let mut db = driver::open_to_read(place).unwrap();
    db.begin().unwrap();
    let insert =
        "INSERT INTO message (fromUid, toUid, type, handle, sendTime, clientNo, msgType, msgText) VALUES";
    let row = |number: u64| {
        let (from, to) = match number % 4 {
            0 => (1, 2),
            1 => (2, 1),
            _ => (number % USERS + 1, (number + 1 + number % 2) % USERS + 1),
        };
        let numbers = [from, to, SAID, u64::from(!number.is_multiple_of(3)), 1, number].map(Value::from);
        [&numbers[..], &["TEXT".into(), "hello".into()]].concat()
    };
    for start in (0..ROWS).step_by(500) {
        db.insert(insert, &(start..start + 500).map(row).collect::<Vec<_>>()).unwrap();
    }
    for uid in 7..USERS {
        let row = |friend_id: u64| [uid, friend_id, 1].map(Value::from).to_vec();
        let rows: Vec<_> = (uid + 1..=USERS).map(row).collect();
        db.insert("INSERT INTO friends (uid, friendId, updateTime) VALUES", &rows).unwrap();
    }
    for g_id in 1000..1100 {
        let row = [g_id, 7, 1].map(Value::from).to_vec();
        db.insert(
            "INSERT INTO groupChat (id, createUid, updateTime, gname) VALUES",
            &[[row, vec!["g".into()]].concat()],
        )
        .unwrap();
        let rows: Vec<_> = (7..USERS).map(|uid| [g_id, uid, 1].map(Value::from).to_vec()).collect();
        db.insert("INSERT INTO groupMembers (gId, uId, joinTime) VALUES", &rows).unwrap();
    }
    db.run_plain("COMMIT").unwrap();
    if matches!(place, Database::Mysql(_)) {
        db.rows("ANALYZE TABLE users, friends, message, groupChat, groupMembers", &[]).unwrap();
    }
}
