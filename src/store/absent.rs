//! What stands in for the SQLite driver in a build without the feature `sqlite`: a refusal to open.

use std::path::Path;

use super::driver::{Failure, Row, Value};

/// There is none: every way to one is refused.
pub enum Connection {}

fn refused<T>() -> Result<T, Failure> {
    let text = "this build has no SQLite: build it with the feature sqlite, or give --database mysql://…";
    Err(Failure::Down(text.to_owned()))
}

// What each of these does stands in driver.rs.
impl Connection {
    pub const TABLES: &str = "";

    pub fn look(_: &Path) -> Result<Option<Connection>, Failure> {
        refused()
    }

    pub fn open_to_write(_: &Path, _: &str) -> Result<Connection, Failure> {
        refused()
    }

    pub fn open_to_read(_: &Path) -> Result<Connection, Failure> {
        refused()
    }

    pub fn run_plain(&mut self, _: &str) -> Result<(), Failure> {
        match *self {}
    }

    pub fn run(&mut self, _: &str, _: &[Value]) -> Result<u64, Failure> {
        match *self {}
    }

    pub fn insert(&mut self, _: &str, _: &[Vec<Value>]) -> Result<(), Failure> {
        match *self {}
    }

    pub fn rows(&mut self, _: &str, _: &[Value]) -> Result<Vec<Row>, Failure> {
        match *self {}
    }

    pub fn rows_of_pairs(&mut self, _: &str, _: &[[Value; 2]]) -> Result<Vec<Row>, Failure> {
        match *self {}
    }
}
