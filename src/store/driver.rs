//! What runs statements with parameters, on either engine. It knows no SQL of ours.
//!
//! Rules: both engines answer alike; what they do not have in common (how a database is found, made and locked, how
//! many rows go in one statement) stays in sqlite.rs and mysql.rs, two files of one shape.

use std::fmt;

#[cfg(not(feature = "sqlite"))]
use super::absent as sqlite;
use super::mysql;
#[cfg(feature = "sqlite")]
use super::sqlite;
use crate::config::Database;

/// A value of a row or a parameter.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Value {
    Null,
    Number(i64),
    Text(String),
}

impl From<u64> for Value {
    fn from(number: u64) -> Value {
        Value::Number(i64::try_from(number).unwrap_or(i64::MAX)) // ids and times lie below 2^53
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Value {
        Value::Text(text.to_owned())
    }
}

/// The places of so many parameters: `?, ?, ?`.
pub fn places(count: usize) -> String {
    vec!["?"; count].join(", ")
}

/// A row of a query. A column of another kind than was asked for reads as 0 or empty.
pub struct Row(pub Vec<Value>);

impl Row {
    /// An id, a time, a count: our numbers are never negative. Columns count from 0.
    pub fn number(&self, column: usize) -> u64 {
        match self.0.get(column) {
            Some(Value::Number(number)) => u64::try_from(*number).unwrap_or(0),
            _ => 0,
        }
    }

    /// A text.
    pub fn text(&self, column: usize) -> String {
        match self.0.get(column) {
            Some(Value::Text(text)) => text.clone(),
            _ => String::new(),
        }
    }
}

/// What a driver reports.
#[derive(Debug, Clone)]
pub enum Failure {
    /// No room left where the database stands.
    DiskFull,
    /// The connection was lost, and with it whatever was not committed; a fresh one may be had.
    Gone(String),
    /// The same with COMMIT under way: nobody knows whether that was done.
    InDoubt(String),
    /// The database cannot be used now, or is none of ours: no statement would go through.
    Down(String),
    /// This statement failed; another may go through.
    Statement(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Failure::DiskFull => f.write_str("no room left on the disk of the database"),
            Failure::Gone(why) | Failure::InDoubt(why) | Failure::Down(why) | Failure::Statement(why) => {
                f.write_str(why)
            }
        }
    }
}

/// One connection to the database, to a file or to a server.
pub type Connection = Box<dyn Driver + Send>;

/// What either engine does in its own way.
pub trait Driver {
    /// The names of all tables.
    fn tables(&mut self) -> Result<Vec<String>, Failure>;
    /// Begins a transaction that writes.
    fn begin(&mut self) -> Result<(), Failure>;
    /// Runs a statement without parameters or rows, COMMIT or ROLLBACK for instance.
    fn run_plain(&mut self, sql: &str) -> Result<(), Failure>;
    /// Runs a statement; the number of rows that it found and, where they were not so before, changed.
    fn run(&mut self, sql: &str, parameters: &[Value]) -> Result<u64, Failure>;
    /// Runs `INSERT INTO … VALUES`, the rows being all of one length.
    fn insert(&mut self, sql: &str, rows: &[Vec<Value>]) -> Result<(), Failure>;
    /// Rows that `run` and `insert` have changed since this was asked last.
    fn changed(&mut self) -> u64;
    /// Runs a query; all its rows.
    fn rows(&mut self, sql: &str, parameters: &[Value]) -> Result<Vec<Row>, Failure>;
    /// All rows of a query that ends with `WHERE (column, column)`, for each pair of numbers that these may have.
    fn rows_of_pairs(&mut self, sql: &str, pairs: &[[u64; 2]]) -> Result<Vec<Row>, Failure>;
}

/// A database that may be anybody's, for a look that changes nothing. None: there is none yet, or an empty one.
pub fn look(place: &Database) -> Result<Option<Connection>, Failure> {
    match place {
        Database::Sqlite(path) => sqlite::look(path),
        Database::Mysql(url) => mysql::look(url),
    }
}

/// The one connection that writes: with it the database is ours, and a second server is refused. First runs what
/// is `missing` of tables and rows; the database itself is made when it is absent.
pub fn open_to_write(place: &Database, missing: &str) -> Result<Connection, Failure> {
    match place {
        Database::Sqlite(path) => sqlite::open_to_write(path, missing),
        Database::Mysql(url) => mysql::open_to_write(url, missing),
    }
}

/// A connection that reads what is committed and waits for no writer.
pub fn open_to_read(place: &Database) -> Result<Connection, Failure> {
    match place {
        Database::Sqlite(path) => sqlite::open_to_read(path),
        Database::Mysql(url) => mysql::open_to_read(url),
    }
}
