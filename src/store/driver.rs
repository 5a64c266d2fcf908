//! What a driver runs statements with, and which driver this build has. It knows no SQL of ours: store.rs has it all.

#![cfg_attr(not(feature = "sqlite"), allow(dead_code))] // without a driver nobody makes values and rows

use std::fmt;

#[cfg(not(feature = "sqlite"))]
mod absent;
#[cfg(feature = "sqlite")]
mod sqlite;

#[cfg(not(feature = "sqlite"))]
pub use absent::Connection;
#[cfg(feature = "sqlite")]
pub use sqlite::Connection;

/// A value of a row or a parameter.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
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
#[derive(Debug)]
pub enum Failure {
    /// No room left where the database stands.
    DiskFull,
    /// The database is away, or no database; why.
    Down(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Failure::DiskFull => f.write_str("no room left on the disk of the database"),
            Failure::Down(why) => f.write_str(why),
        }
    }
}
