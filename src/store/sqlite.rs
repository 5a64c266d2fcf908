//! The SQLite driver: runs a statement with parameters, and nothing more. It knows no SQL of ours.
//!
//! Rules: WAL with `synchronous=FULL`, so that what is committed is on the disk and reading waits for nobody. A
//! database that may not be ours is looked at without a lock, a journal or a byte written. Who writes holds the lock
//! file beside the database.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use rusqlite::config::DbConfig;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{ErrorCode, OpenFlags, ToSql, params_from_iter};

use super::driver::{Connection, Driver, Failure, Row, Value, places};
use crate::limits::{DATABASE_BUSY_DEADLINE, DATABASE_STATEMENTS};

/// One connection to a database file.
struct Sqlite {
    db: rusqlite::Connection,
    changed: u64,
    /// Of the connection that writes: locked for as long as it is open.
    _lock: Option<File>,
}

// What each of these does stands in driver.rs.

/// `immutable` reads the file alone, which holds the tables from the moment that it has its name (`create`),
/// whatever still stands in a `-wal` beside it.
pub fn look(path: &Path) -> Result<Option<Connection>, Failure> {
    if is_new(path) {
        return Ok(None);
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
    let name = path.to_string_lossy().replace('%', "%25").replace('?', "%3f").replace('#', "%23");
    let uri = format!("file:{}?immutable=1", name.replace('\\', "/"));
    let db = rusqlite::Connection::open_with_flags(uri, flags)?;
    Ok(Some(Box::new(Sqlite { db, changed: 0, _lock: None })))
}

pub fn open_to_write(path: &Path, missing: &str) -> Result<Connection, Failure> {
    let lock = lock(path)?;
    if is_new(path) {
        create(path, missing)?;
    } else if !missing.is_empty() {
        run_alone(path, missing)?;
    }
    Ok(Box::new(Sqlite { _lock: Some(lock), changed: 0, db: open(path)? }))
}

pub fn open_to_read(path: &Path) -> Result<Connection, Failure> {
    Ok(Box::new(Sqlite { _lock: None, changed: 0, db: open(path)? }))
}

fn open(path: &Path) -> Result<rusqlite::Connection, Failure> {
    let db = rusqlite::Connection::open(path)?;
    db.busy_timeout(DATABASE_BUSY_DEADLINE)?;
    db.pragma_update(None, "journal_mode", "WAL")?;
    db.pragma_update(None, "synchronous", "FULL")?;
    db.pragma_update(None, "foreign_keys", "ON")?;
    // Or SQLite plans a statement anew for the values of each call, which takes longer than running it.
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    db.set_prepared_statement_cache_capacity(DATABASE_STATEMENTS);
    Ok(db)
}

impl Driver for Sqlite {
    fn tables(&mut self) -> Result<Vec<String>, Failure> {
        let rows = self.rows("SELECT name FROM sqlite_master WHERE type = 'table'", &[])?;
        Ok(rows.iter().map(|row| row.text(0)).collect())
    }

    fn begin(&mut self) -> Result<(), Failure> {
        self.run_plain("BEGIN IMMEDIATE") // else another program can come between
    }

    fn run_plain(&mut self, sql: &str) -> Result<(), Failure> {
        self.db.prepare_cached(sql)?.execute([])?;
        Ok(())
    }

    fn run(&mut self, sql: &str, parameters: &[Value]) -> Result<u64, Failure> {
        #[cfg(test)]
        super::plans::note(sql, parameters);
        let changed = self.db.prepare_cached(sql)?.execute(params_from_iter(parameters))? as u64;
        self.changed += changed;
        Ok(changed)
    }

    fn changed(&mut self) -> u64 {
        std::mem::take(&mut self.changed)
    }

    /// One statement a row: there is no way to a server to save.
    fn insert(&mut self, sql: &str, rows: &[Vec<Value>]) -> Result<(), Failure> {
        let sql = format!("{sql} ({})", places(rows.first().map_or(0, Vec::len)));
        for row in rows {
            self.run(&sql, row)?;
        }
        Ok(())
    }

    fn rows(&mut self, sql: &str, parameters: &[Value]) -> Result<Vec<Row>, Failure> {
        #[cfg(test)]
        super::plans::note(sql, parameters);
        let mut statement = self.db.prepare_cached(sql)?;
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

    /// One query a pair: for a list of pairs SQLite would read the whole index.
    fn rows_of_pairs(&mut self, sql: &str, pairs: &[[u64; 2]]) -> Result<Vec<Row>, Failure> {
        let sql = format!("{sql} = (?, ?)");
        let mut all = Vec::new();
        for pair in pairs {
            all.extend(self.rows(&sql, &pair.map(Value::from))?);
        }
        Ok(all)
    }
}

/// Whether there is no database yet: no file, or an empty one, and no `-wal` that would belong to it.
fn is_new(path: &Path) -> bool {
    let is_empty = |path: &Path| fs::metadata(path).map_or(true, |file| file.len() == 0);
    is_empty(path) && is_empty(Path::new(&format!("{}-wal", path.display())))
}

/// Locks the file beside the database that says whose it is while a server runs.
fn lock(path: &Path) -> Result<File, Failure> {
    let name = format!("{}.lock", path.display());
    let file = File::create(&name).map_err(|error| Failure::Down(format!("cannot write {name}: {error}")))?;
    file.try_lock().map_err(|error| match error {
        TryLockError::WouldBlock => Failure::Down("another server has it open: one at a time".to_owned()),
        TryLockError::Error(error) => Failure::Down(format!("cannot lock {name}: {error}")),
    })?;
    Ok(file)
}

/// Makes a database of what `sql` says: under another name first, so that a half-made one is never taken for one.
fn create(path: &Path, sql: &str) -> Result<(), Failure> {
    let new = PathBuf::from(format!("{}.new", path.display()));
    let _ = fs::remove_file(&new); // left by a start that was killed
    run_alone(&new, sql)?;
    fs::rename(&new, path).map_err(|error| Failure::Down(error.to_string()))
}

/// Runs statements before anybody else uses the database, and without WAL: afterwards what they wrote stands in the
/// file itself, where `look` finds it.
fn run_alone(path: &Path, sql: &str) -> Result<(), Failure> {
    let db = rusqlite::Connection::open(path)?;
    db.execute_batch(&format!("BEGIN; {sql} COMMIT;"))?;
    db.close().map_err(|(_, error)| Failure::from(error))
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
            Some(ErrorCode::ConstraintViolation) => Failure::Statement(error.to_string()),
            _ => Failure::Down(error.to_string()),
        }
    }
}
