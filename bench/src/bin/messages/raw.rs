//! The databases without minim: the bench's own SQL, through the same crates. SQLite as minim opens it, WAL with
//! `synchronous=FULL`; MySQL and MariaDB as they are.

use std::fs;

use minim::config::Database;
use minim::limits::PASSWORD_ROUNDS;
use minim::md5_check::{hex, md5, password_digest};
use minim::message::ChatSendMsg;
use mysql::prelude::Queryable;
use mysql::{Conn, Opts, OptsBuilder, Params};

use crate::Row;

const SCHEMA: &str = include_str!("../../../../schema.sql");
/// What all users log in with.
pub const PASSWORD: &str = "123456";
const INSERT: &str =
    "INSERT INTO message (fromUid, toUid, type, sendTime, clientNo, msgType, msgText) VALUES";
const PLACES: &str = "(?, ?, 1, ?, ?, ?, ?)";
/// Any time will do.
const NOW: u64 = 1_700_000_000_000;

/// One connection.
pub enum Raw {
    Sqlite(rusqlite::Connection),
    Mysql(Conn),
}

impl Raw {
    /// A fresh database with minim's tables and so many users: `u1` and `u2` are friends, `u3` and `u4`, and so on.
    pub fn make(place: &Database, users: usize) -> Raw {
        let script = format!("{SCHEMA}{}", rows(users));
        match place {
            Database::Sqlite(path) => {
                let db = rusqlite::Connection::open(path).expect("a file");
                db.execute_batch(&format!("BEGIN; {script} COMMIT;")).expect("tables and users");
                Raw::Sqlite(db)
            }
            Database::Mysql(url) => {
                let (mut db, name) = connect(url);
                db.query_drop(format!("DROP DATABASE IF EXISTS {name}")).expect("the right to drop");
                let create = format!("CREATE DATABASE {name} CHARACTER SET utf8mb4 COLLATE utf8mb4_bin");
                db.query_drop(create).expect("the right to create");
                db.select_db(&name).expect("the new database");
                for statement in script.split_inclusive(";\n") {
                    db.query_drop(statement).expect("tables and users");
                }
                Raw::Mysql(db)
            }
        }
    }

    pub fn open(place: &Database) -> Raw {
        match place {
            Database::Sqlite(path) => {
                let db = rusqlite::Connection::open(path).expect("a file");
                db.pragma_update(None, "journal_mode", "WAL").expect("WAL");
                db.pragma_update(None, "synchronous", "FULL").expect("FULL");
                db.pragma_update(None, "foreign_keys", "ON").expect("foreign keys");
                db.execute_batch("SELECT md5 FROM minimSchema").expect("our tables"); // this makes NAME-shm
                Raw::Sqlite(db)
            }
            Database::Mysql(url) => {
                let (mut db, name) = connect(url);
                db.select_db(&name).expect("the database");
                Raw::Mysql(db)
            }
        }
    }

    pub fn version(&mut self) -> String {
        match self {
            Raw::Sqlite(_) => format!("SQLite {}", rusqlite::version()),
            Raw::Mysql(db) => {
                let version: Option<String> = db.query_first("SELECT VERSION()").expect("a server");
                format!("MySQL or MariaDB, {}", version.expect("a version"))
            }
        }
    }

    /// One statement.
    pub fn run(&mut self, sql: &str) {
        match self {
            Raw::Sqlite(db) => db.execute_batch(sql).expect("SQL"),
            Raw::Mysql(db) => db.query_drop(sql).expect("SQL"),
        }
    }

    /// All `rows` in one transaction: SQLite takes a statement for each, MySQL one for all.
    pub fn insert(&mut self, rows: &[Row]) {
        match self {
            Raw::Sqlite(db) => {
                db.execute_batch("BEGIN IMMEDIATE").expect("BEGIN");
                for (from, ChatSendMsg { client_no, to_id, msg_type, msg_text, .. }) in rows {
                    let mut insert = db.prepare_cached(&format!("{INSERT} {PLACES}")).expect("INSERT");
                    let values =
                        (*from as i64, *to_id as i64, NOW as i64, *client_no as i64, msg_type, msg_text);
                    insert.execute(values).expect("a row");
                }
                db.execute_batch("COMMIT").expect("COMMIT");
            }
            Raw::Mysql(db) => {
                let sql = format!("{INSERT} {}", vec![PLACES; rows.len()].join(", "));
                let mut values: Vec<mysql::Value> = Vec::new();
                for (from, ChatSendMsg { client_no, to_id, msg_type, msg_text, .. }) in rows {
                    values.extend([from, to_id, &NOW, client_no].map(|&number| number.into()));
                    values.extend([msg_type.as_str().into(), msg_text.as_str().into()]);
                }
                db.query_drop("BEGIN").expect("BEGIN");
                db.exec_drop(sql, Params::Positional(values)).expect("rows");
                db.query_drop("COMMIT").expect("COMMIT");
            }
        }
    }
}

/// The mark by which minim knows its database, users, and friendships.
fn rows(users: usize) -> String {
    let digest = password_digest(PASSWORD, PASSWORD_ROUNDS);
    let mark = format!("INSERT INTO minimSchema VALUES ('{}');\n", hex(&md5(SCHEMA.as_bytes())));
    let user = |uid: usize| format!("({uid}, '{digest}', 'u{uid}', 'u{uid}', 'User {uid}', 0, '', {NOW})");
    let all: Vec<String> = (1..=users).map(user).collect();
    let columns = "id, pwd, loginName, loginKey, username, sex, picUrl, updateTime";
    let people = format!("INSERT INTO users ({columns}) VALUES {};\n", all.join(", "));
    let pair = |uid: usize| format!("({uid}, {}, {NOW})", uid + 1);
    let all: Vec<String> = (1..=users).step_by(2).map(pair).collect();
    let friends = format!("INSERT INTO friends (uid, friendId, updateTime) VALUES {};\n", all.join(", "));
    mark + &people + &friends
}

/// A connection to the server, and the name of the database.
fn connect(url: &str) -> (Conn, String) {
    let opts = Opts::from_url(url).expect("a mysql:// URL");
    let name = opts.get_db_name().expect("a URL with a name").to_owned();
    let builder =
        OptsBuilder::from_opts(opts).db_name(None::<String>).prefer_socket(false).stmt_cache_size(256);
    (Conn::new(builder).expect("a database server"), name)
}

/// How many transactions were committed so far; of a server in all its databases, those that began with BEGIN.
///
/// SQLite counts them in the index of its WAL, bytes 8 to 11 of the file NAME-shm, in the byte order of the machine
/// (<https://sqlite.org/walformat.html>, 2.1: iChange).
pub fn commits(place: &Database) -> u64 {
    match place {
        Database::Sqlite(path) => {
            let index =
                fs::read(format!("{}-shm", path.display())).expect("somebody has it open in WAL mode");
            let counter = index[8..].first_chunk().expect("a header of 136 bytes");
            u64::from(u32::from_ne_bytes(*counter))
        }
        Database::Mysql(url) => {
            let (mut db, _) = connect(url);
            let found: Option<(String, u64)> =
                db.query_first("SHOW GLOBAL STATUS LIKE 'Com_commit'").expect("a status");
            found.expect("MySQL counts COMMITs").1
        }
    }
}
