//! The SQLite driver: runs a statement with parameters, and nothing more. All SQL stands in store.rs.
//!
//! Rules: WAL with `synchronous=FULL`, so that what is committed is on the disk and reading waits for nobody. A
//! database that may not be ours is looked at without a lock, a journal or a byte written.

use std::fs;
use std::path::{Path, PathBuf};

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{ErrorCode, OpenFlags, ToSql, params_from_iter};

use super::{Failure, Row, Value};
use crate::limits::DATABASE_BUSY_DEADLINE;

/// One connection to a database file.
pub struct Connection(rusqlite::Connection);

impl Connection {
    /// Begins a transaction that writes; COMMIT and ROLLBACK are the same everywhere.
    pub const BEGIN: &str = "BEGIN IMMEDIATE";
    /// A query for the names of all tables.
    pub const TABLES: &str = "SELECT name FROM sqlite_master WHERE type = 'table'";

    /// A database of ours, for reading and writing.
    pub fn open(path: &Path) -> Result<Connection, Failure> {
        let connection = rusqlite::Connection::open(path)?;
        connection.busy_timeout(DATABASE_BUSY_DEADLINE)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "foreign_keys", "ON")?;
        connection.set_prepared_statement_cache_capacity(64);
        Ok(Connection(connection))
    }

    /// A database that may be anybody's, for a look: `immutable` reads the file alone, which holds the tables from the
    /// moment that it has its name (`create`), whatever still stands in a `-wal` beside it.
    pub fn look(path: &Path) -> Result<Connection, Failure> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
        let name = path.to_string_lossy().replace('%', "%25").replace('?', "%3f").replace('#', "%23");
        let uri = format!("file:{}?immutable=1", name.replace('\\', "/"));
        Ok(Connection(rusqlite::Connection::open_with_flags(uri, flags)?))
    }

    /// Makes a database of what `sql` says: under another name first, so that a half-made one is never taken for one.
    pub fn create(path: &Path, sql: &str) -> Result<(), Failure> {
        let new = PathBuf::from(format!("{}.new", path.display()));
        let _ = fs::remove_file(&new); // left by a start that was killed
        Connection::run_alone(&new, sql)?;
        fs::rename(&new, path).map_err(|error| Failure::Down(error.to_string()))
    }

    /// Runs statements before anybody else uses the database, and without WAL: afterwards what they wrote stands in the
    /// file itself, where `look` finds it.
    pub fn run_alone(path: &Path, sql: &str) -> Result<(), Failure> {
        let connection = rusqlite::Connection::open(path)?;
        connection.execute_batch(&format!("BEGIN; {sql} COMMIT;"))?;
        connection.close().map_err(|(_, error)| Failure::from(error))
    }

    /// Runs a statement; the number of rows that it changed.
    pub fn run(&mut self, sql: &str, parameters: &[Value]) -> Result<usize, Failure> {
        Ok(self.0.prepare_cached(sql)?.execute(params_from_iter(parameters))?)
    }

    /// Runs a query; all its rows.
    pub fn rows(&mut self, sql: &str, parameters: &[Value]) -> Result<Vec<Row>, Failure> {
        let mut statement = self.0.prepare_cached(sql)?;
        let columns = statement.column_count();
        let mut rows = statement.query(params_from_iter(parameters))?;
        let mut all = Vec::new();
        while let Some(row) = rows.next()? {
            let values: Result<Vec<Value>, _> =
                (0..columns).map(|column| row.get_ref(column).map(value)).collect();
            all.push(Row(values?));
        }
        Ok(all)
    }
}

/// Our columns are numbers and texts; whatever else a foreign file holds is no value.
fn value(value: ValueRef) -> Value {
    match value {
        ValueRef::Integer(number) => Value::Number(number),
        ValueRef::Text(text) => Value::Text(String::from_utf8_lossy(text).into_owned()),
        _ => Value::Null,
    }
}

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        match self {
            Value::Null => Ok(ToSqlOutput::Borrowed(ValueRef::Null)),
            Value::Number(number) => number.to_sql(),
            Value::Text(text) => text.to_sql(),
        }
    }
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Failure {
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Failure::DiskFull,
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                let seconds = DATABASE_BUSY_DEADLINE.as_secs();
                Failure::Down(format!("another program has held the file for more than {seconds} s"))
            }
            _ => Failure::Down(error.to_string()),
        }
    }
}
