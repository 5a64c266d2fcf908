//! What stands in for the SQLite driver in a build without the feature `sqlite`: a refusal to open.

use std::path::Path;

use super::driver::{Connection, Failure};

fn refused<T>() -> Result<T, Failure> {
    let text = "this build has no SQLite: build it with the feature sqlite, or give --database mysql://…";
    Err(Failure::Down(text.to_owned()))
}

pub fn look(_: &Path) -> Result<Option<Connection>, Failure> {
    refused()
}

pub fn open_to_write(_: &Path, _: &str) -> Result<Connection, Failure> {
    refused()
}

pub fn open_to_read(_: &Path) -> Result<Connection, Failure> {
    refused()
}
