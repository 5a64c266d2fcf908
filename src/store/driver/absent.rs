//! What stands in for the SQLite driver in a build without the feature `sqlite`: a refusal to open.

use std::path::Path;

use super::{Failure, Row, Value};

/// There is none: every way to one is refused.
pub enum Connection {}

fn refused<T>() -> Result<T, Failure> {
    Err(Failure::Down("this build has no SQLite: build it with the feature sqlite".to_owned()))
}

#[allow(missing_docs)] // as in sqlite.rs
impl Connection {
    pub const BEGIN: &str = "";
    pub const TABLES: &str = "";

    pub fn open(_: &Path) -> Result<Connection, Failure> {
        refused()
    }

    pub fn look(_: &Path) -> Result<Connection, Failure> {
        refused()
    }

    pub fn create(_: &Path, _: &str) -> Result<(), Failure> {
        refused()
    }

    pub fn run_alone(_: &Path, _: &str) -> Result<(), Failure> {
        refused()
    }

    pub fn run(&mut self, _: &str, _: &[Value]) -> Result<usize, Failure> {
        match *self {}
    }

    pub fn rows(&mut self, _: &str, _: &[Value]) -> Result<Vec<Row>, Failure> {
        match *self {}
    }
}
