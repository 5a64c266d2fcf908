//! The MySQL driver, for MySQL 5.7 and 8 and MariaDB: runs a statement with parameters, and nothing more. It
//! knows no SQL of ours.
//!
//! Rules: every connection speaks utf8mb4 in its `_bin` collation and the same strict mode, however the server is set
//! up; every wait has a limit. Who writes holds a lock in the server, named after the database. The password is in no
//! error.

use mysql::consts::CapabilityFlags;
use mysql::prelude::Queryable;
use mysql::{Conn, DriverError, Opts, OptsBuilder, Params};

use super::driver::{Connection, Driver, Failure, Row, Value, places};
use crate::limits::{
    DATABASE_CONNECT_DEADLINE, DATABASE_DEADLINE, DATABASE_LOCK_DEADLINE, DATABASE_READERS, DATABASE_ROWS,
    DATABASE_STATEMENTS, DATABASE_WRITER_LIFE,
};
use crate::md5_check::{hex, md5};

/// One connection to a database server.
struct Mysql {
    connection: Conn,
    changed: u64,
}

// What each of these does stands in driver.rs.

pub fn look(url: &str) -> Result<Option<Connection>, Failure> {
    let (opts, database) = opts(url)?;
    let mut db = Mysql::connect(opts)?;
    match db.connection.select_db(&database) {
        Err(error) if code(&error) == Some(UNKNOWN_DATABASE) => return Ok(None),
        other => other?,
    }
    let is_empty = db.tables()?.is_empty();
    Ok(if is_empty { None } else { Some(Box::new(db)) })
}

pub fn open_to_write(url: &str, missing: &str) -> Result<Connection, Failure> {
    let (opts, database) = opts(url)?;
    let mut db = Mysql::connect(opts)?;
    // Should the network break, the server notices, and the lock is free for our next connection.
    db.run_plain(&format!("SET SESSION wait_timeout = {}", DATABASE_WRITER_LIFE.as_secs()))?;
    db.lock(&database)?;
    if !missing.is_empty() {
        let name = format!("`{}`", database.replace('`', "``"));
        let create =
            format!("CREATE DATABASE IF NOT EXISTS {name} CHARACTER SET utf8mb4 COLLATE utf8mb4_bin");
        db.run_plain(&create)?;
    }
    db.connection.select_db(&database)?;
    for statement in missing.split_inclusive(";\n") {
        db.run_plain(statement)?;
    }
    Ok(Box::new(db))
}

pub fn open_to_read(url: &str) -> Result<Connection, Failure> {
    let (opts, database) = opts(url)?;
    Ok(Box::new(Mysql::connect(OptsBuilder::from_opts(opts).db_name(Some(database)).into())?))
}

impl Mysql {
    fn connect(opts: Opts) -> Result<Mysql, Failure> {
        Ok(Mysql { connection: Conn::new(opts)?, changed: 0 })
    }

    /// Held until this connection ends. Its name has at most 64 bytes, whatever the database is called.
    fn lock(&mut self, database: &str) -> Result<(), Failure> {
        let name = format!("minim {}", hex(&md5(database.to_lowercase().as_bytes())));
        let wait = Value::from(DATABASE_LOCK_DEADLINE.as_secs());
        let rows = self.rows("SELECT GET_LOCK(?, ?)", &[name.as_str().into(), wait])?;
        match rows.first() {
            Some(row) if row.number(0) == 1 => Ok(()),
            _ => Err(Failure::Down("another server has it open: one at a time".to_owned())),
        }
    }
}

impl Driver for Mysql {
    fn tables(&mut self) -> Result<Vec<String>, Failure> {
        let sql = "SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE()";
        Ok(self.rows(sql, &[])?.iter().map(|row| row.text(0)).collect())
    }

    fn begin(&mut self) -> Result<(), Failure> {
        self.run_plain("BEGIN")
    }

    fn run_plain(&mut self, sql: &str) -> Result<(), Failure> {
        Ok(self.connection.query_drop(sql)?)
    }

    fn run(&mut self, sql: &str, parameters: &[Value]) -> Result<u64, Failure> {
        #[cfg(test)]
        super::plans::note(sql, parameters);
        let changed = self.connection.exec_iter(sql, params(parameters))?.affected_rows();
        self.changed += changed;
        Ok(changed)
    }

    fn changed(&mut self) -> u64 {
        std::mem::take(&mut self.changed)
    }

    /// Many rows in a statement: one way to the server and back.
    fn insert(&mut self, sql: &str, rows: &[Vec<Value>]) -> Result<(), Failure> {
        for rows in rows.chunks(DATABASE_ROWS) {
            let lists: Vec<String> = rows.iter().map(|row| format!("({})", places(row.len()))).collect();
            self.run(&format!("{sql} {}", lists.join(", ")), &rows.concat())?;
        }
        Ok(())
    }

    fn rows(&mut self, sql: &str, parameters: &[Value]) -> Result<Vec<Row>, Failure> {
        #[cfg(test)]
        super::plans::note(sql, parameters);
        let rows: Vec<mysql::Row> = self.connection.exec(sql, params(parameters))?;
        let values = |row: &mysql::Row| Row((0..row.len()).map(|column| value(row.as_ref(column))).collect());
        Ok(rows.iter().map(values).collect())
    }

    /// Many pairs in a query.
    fn rows_of_pairs(&mut self, sql: &str, pairs: &[[u64; 2]]) -> Result<Vec<Row>, Failure> {
        let mut all = Vec::new();
        for pairs in pairs.chunks(DATABASE_ROWS) {
            let list = vec!["(?, ?)"; pairs.len()].join(", ");
            let values: Vec<Value> = pairs.concat().into_iter().map(Value::from).collect();
            all.extend(self.rows(&format!("{sql} IN ({list})"), &values)?);
        }
        Ok(all)
    }
}

/// How to connect, without the name of the database; and that name.
fn opts(url: &str) -> Result<(Opts, String), Failure> {
    let opts = Opts::from_url(url).map_err(|_| Failure::Down("not a mysql:// URL".to_owned()))?;
    let database = opts.get_db_name().unwrap_or_default().to_owned();
    let lock_wait = DATABASE_LOCK_DEADLINE.as_secs();
    let init = [
        "SET NAMES utf8mb4 COLLATE utf8mb4_bin".to_owned(),
        "SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION'".to_owned(),
        format!("SET SESSION innodb_lock_wait_timeout = {lock_wait}, lock_wait_timeout = {lock_wait}"),
    ];
    let builder = OptsBuilder::from_opts(opts)
        .db_name(None::<String>)
        .prefer_socket(false) // the address that was asked for, and no other
        .tcp_connect_timeout(Some(DATABASE_CONNECT_DEADLINE))
        .read_timeout(Some(DATABASE_DEADLINE))
        .write_timeout(Some(DATABASE_DEADLINE))
        .stmt_cache_size(DATABASE_STATEMENTS)
        .additional_capabilities(CapabilityFlags::CLIENT_FOUND_ROWS) // UPDATE counts as SQLite does
        .init(init.to_vec());
    Ok((builder.into(), database))
}

fn params(values: &[Value]) -> Params {
    let value = |value: &Value| match value {
        Value::Null => mysql::Value::NULL,
        Value::Number(number) => mysql::Value::Int(*number),
        Value::Text(text) => mysql::Value::Bytes(text.clone().into_bytes()),
    };
    if values.is_empty() { Params::Empty } else { Params::Positional(values.iter().map(value).collect()) }
}

/// Our columns are numbers and texts; whatever else a foreign table holds is no value.
fn value(value: Option<&mysql::Value>) -> Value {
    match value {
        Some(mysql::Value::Int(number)) => Value::Number(*number),
        Some(mysql::Value::UInt(number)) => Value::Number(i64::try_from(*number).unwrap_or(i64::MAX)),
        Some(mysql::Value::Bytes(bytes)) => Value::Text(String::from_utf8_lossy(bytes).into_owned()),
        _ => Value::Null,
    }
}

/// The number of an error that the server reported.
fn code(error: &mysql::Error) -> Option<u16> {
    match error {
        mysql::Error::MySqlError(error) => Some(error.code),
        _ => None,
    }
}

/// ER_BAD_DB_ERROR.
const UNKNOWN_DATABASE: u16 = 1049;

/// The numbers stand in the reference manuals of MySQL and MariaDB, in the lists of server errors.
impl From<mysql::Error> for Failure {
    fn from(error: mysql::Error) -> Failure {
        let text = error.to_string();
        match &error {
            mysql::Error::MySqlError(error) => match error.code {
                1021 | 1114 => Failure::DiskFull,
                1030 if text.contains("error 28") => Failure::DiskFull, // "No space left on device"
                // Shutting down, killed, silent for too long, packets lost.
                1053 | 1152 | 1158..=1161 | 1184 | 1927 | 4031 => Failure::Gone(text),
                1040 | 1203 | 1226 => Failure::Down(format!(
                    "{text}: the database server has no connection left; minim takes up to {}",
                    2 + DATABASE_READERS // one writes, one searches
                )),
                1044 | 1142 => {
                    Failure::Down(format!("{text}: this user may not make or use it, give another"))
                }
                1045 | 1698 => Failure::Down(format!("{text}: give the right user and password")),
                // A cluster that is not ready, an error while committing; and what only an administrator can mend.
                1047 | 1049 | 1129 | 1130 | 1146 | 1180 | 1290 | 1836 => Failure::Down(text),
                // A row twice, a lock that was not had, a deadlock, and whatever else is wrong with one statement.
                _ => Failure::Statement(text),
            },
            mysql::Error::DriverError(DriverError::CouldNotConnect(_) | DriverError::ConnectTimeout) => {
                Failure::Down(format!("{text}: is a database server running there?"))
            }
            mysql::Error::DriverError(DriverError::PacketTooLarge) => Failure::Statement(text),
            mysql::Error::IoError(_) | mysql::Error::CodecError(_) | mysql::Error::DriverError(_) => {
                Failure::Gone(text)
            }
            _ => Failure::Statement(text),
        }
    }
}
