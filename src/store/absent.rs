//! What stands in for the SQLite driver in a build without the feature `sqlite`: a refusal to open.

use std::convert::Infallible;
use std::path::Path;

use super::{Failure, Row, Value};

/// Never made: every way to one is refused.
pub struct Connection(Infallible);

fn refused<T>() -> Result<T, Failure> {
    Err(Failure::Down("this build has no SQLite: build it with the feature sqlite".to_owned()))
}

#[allow(missing_docs)] // as in sqlite.rs
impl Connection {
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

    pub fn tables(&mut self) -> Result<Vec<String>, Failure> {
        match self.0 {}
    }

    pub fn begin(&mut self) -> Result<(), Failure> {
        match self.0 {}
    }

    pub fn run(&mut self, _: &str, _: &[Value]) -> Result<usize, Failure> {
        match self.0 {}
    }

    pub fn rows(&mut self, _: &str, _: &[Value]) -> Result<Vec<Row>, Failure> {
        match self.0 {}
    }
}
