//! The database file: what is in it, how it is opened, and who may.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior};

use super::failure::{Failure, failed};
use super::records;
use crate::store::{StoreError, StoreErrorKind};

/// Counted up with every change that an older server could not read.
const VERSION: i64 = 3;

/// How long a directory may still be held by another server.
const PATIENCE: Duration = Duration::from_secs(1);

/// Marks the file as ours: "Scou".
const APPLICATION_ID: i64 = 0x5363_6f75;

/// Times are nanoseconds since the Unix epoch, those beyond 63 bits cut to that; the exact ones are in the spans' bytes.
///
/// - `text`: every service, span name, tag name and tag value, once; other tables hold its number.
/// - `resource`, `scope`: the messages spans belong to, once each, found by the hash of their content.
/// - `block`: spans' bytes, compressed together (see `block.rs`), the latest start among them, and the bloom filter of their
///   attributes (see `bloom.rs`).
/// - `trace`: what a list of traces shows. `no` counts up in the order of arrival, so that the spans of a trace lie together.
/// - `span`: where a span's bytes are, and what searches ask for most. Its key is what keeps a redelivered span out.
/// - `trace_service`: the traces of a service, by start. `trace_tag`: the traces of a tag.
const TABLES: &str = "
CREATE TABLE text (id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE);
CREATE TABLE resource (id INTEGER PRIMARY KEY, hash INTEGER NOT NULL, bytes BLOB NOT NULL, schema_url TEXT NOT NULL);
CREATE INDEX resource_by_hash ON resource (hash);
CREATE TABLE scope (id INTEGER PRIMARY KEY, hash INTEGER NOT NULL, bytes BLOB NOT NULL, schema_url TEXT NOT NULL);
CREATE INDEX scope_by_hash ON scope (hash);
CREATE TABLE block (
    no INTEGER PRIMARY KEY, raw_length INTEGER NOT NULL, last INTEGER NOT NULL, bloom BLOB NOT NULL, data BLOB NOT NULL);
CREATE TABLE trace (
    no INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, start INTEGER NOT NULL, stop INTEGER NOT NULL,
    spans INTEGER NOT NULL, errors INTEGER NOT NULL, services BLOB NOT NULL,
    root_rank INTEGER NOT NULL, root_start INTEGER NOT NULL, root_span INTEGER NOT NULL,
    root_name INTEGER NOT NULL, root_service INTEGER NOT NULL);
CREATE INDEX trace_by_start ON trace (start);
CREATE INDEX trace_with_errors ON trace (start) WHERE errors > 0;
CREATE TABLE span (
    trace INTEGER NOT NULL, span INTEGER NOT NULL, block INTEGER NOT NULL, at INTEGER NOT NULL,
    service INTEGER NOT NULL, name INTEGER NOT NULL, status INTEGER NOT NULL,
    PRIMARY KEY (trace, span)) WITHOUT ROWID;
CREATE TABLE trace_service (
    service INTEGER NOT NULL, start INTEGER NOT NULL, trace INTEGER NOT NULL,
    PRIMARY KEY (service, start, trace)) WITHOUT ROWID;
CREATE TABLE trace_tag (
    name INTEGER NOT NULL, value INTEGER NOT NULL, trace INTEGER NOT NULL,
    PRIMARY KEY (name, value, trace)) WITHOUT ROWID;
";

/// What came with version 2: records.
///
/// - `record_block`: as `block`, for records; `first` is the earliest time among them. A record's number is that of its block and the
///   offset of its entry in there (see `records.rs`), so that nothing else needs to say where it is.
/// - `record_key`: hashes of what tells a record from every other, to keep a redelivered one out.
/// - `record_trace`: the records of a trace, by half of its id; the whole one is in the record's bytes.
/// - `record_tag`: the records of a tag, and of an entity, by time.
const RECORD_TABLES: &str = "
CREATE TABLE record_block (
    no INTEGER PRIMARY KEY, raw_length INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL,
    bloom BLOB NOT NULL, data BLOB NOT NULL);
CREATE INDEX record_block_by_last ON record_block (last, first);
CREATE TABLE record_key (key INTEGER NOT NULL, record INTEGER NOT NULL, PRIMARY KEY (key, record)) WITHOUT ROWID;
CREATE TABLE record_trace (trace INTEGER NOT NULL, record INTEGER NOT NULL, PRIMARY KEY (trace, record)) WITHOUT ROWID;
CREATE TABLE record_tag (
    name INTEGER NOT NULL, value INTEGER NOT NULL, time INTEGER NOT NULL, record INTEGER NOT NULL,
    PRIMARY KEY (name, value, time, record)) WITHOUT ROWID;
";

/// What came with version 3: `record_names`, for each block of records the bloom filter of the ids that programs gave to its records
/// and to their sessions (see `records/named.rs`).
const NAME_TABLE: &str = "
CREATE TABLE record_names (block INTEGER PRIMARY KEY, filter BLOB NOT NULL);
";

/// A directory that holds a store, and the proof that no other server has it.
#[derive(Debug)]
pub(super) struct Home {
    file: PathBuf,
    /// Locked by the operating system until it is dropped, however the process ends.
    _lock: File,
}

/// Locks, and waits a moment for one that is on its way out: a server that is just being replaced, or a process that was
/// forked a moment ago and holds a copy of the lock until it runs its own program.
fn lock_soon(lock: &File) -> Result<(), TryLockError> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match lock.try_lock() {
            Err(TryLockError::WouldBlock) if Instant::now() < deadline => thread::sleep(Duration::from_millis(10)),
            outcome => return outcome,
        }
    }
}

impl Home {
    /// Makes the directory where it is missing, and takes it.
    pub(super) fn take(directory: &Path) -> Result<Self, StoreError> {
        let cannot = |error: std::io::Error| {
            let message = format!("the data directory {} cannot be used: {error}", directory.display());
            StoreError::new(StoreErrorKind::Storage, message).with_source(error)
        };
        fs::create_dir_all(directory).map_err(cannot)?;
        let lock = File::options().create(true).truncate(false).write(true).open(directory.join("lock"));
        let lock = lock.map_err(cannot)?;
        match lock_soon(&lock) {
            Ok(()) => Ok(Self { file: directory.join("spans.db"), _lock: lock }),
            Err(TryLockError::WouldBlock) => {
                let message = format!(
                    "another scouter server uses the data directory {}: stop it, or give this one a directory of its own",
                    directory.display()
                );
                Err(StoreError::new(StoreErrorKind::InUse, message))
            }
            Err(TryLockError::Error(error)) => Err(cannot(error)),
        }
    }

    /// The connection that writes. Makes the tables in an empty file, adds the newer ones in one of an older server, refuses a file it does not understand.
    pub(super) fn writer(&self, cache_bytes: usize) -> Result<Connection, StoreError> {
        let connect = || -> Result<Connection, rusqlite::Error> {
            let flags =
                OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
            let connection = Connection::open_with_flags(&self.file, flags)?;
            connection.set_prepared_statement_cache_capacity(64);
            connection.busy_timeout(Duration::from_secs(10))?;
            // Takes effect in an empty file only, and has to come before anything is written.
            connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
            Ok(connection)
        };
        let connection = connect().map_err(|error| failed("opening the database", error))?;
        self.check(&connection)?;
        let prepare = || -> Result<(), rusqlite::Error> {
            connection.pragma_update(None, "journal_mode", "WAL")?;
            // Every commit is on the disk before it is answered.
            connection.pragma_update(None, "synchronous", "FULL")?;
            // Pages go from the log into the database 16 MiB at a time; the log file is cut back to twice that.
            connection.pragma_update(None, "wal_autocheckpoint", 4096)?;
            connection.pragma_update(None, "journal_size_limit", 32 << 20)?;
            connection.pragma_update(None, "cache_size", -((cache_bytes >> 10) as i64))?;
            connection.pragma_update(None, "temp_store", "MEMORY")
        };
        prepare().map_err(|error| failed("setting up the database", error))?;
        Ok(connection)
    }

    /// The database file.
    pub(super) fn file(&self) -> &Path {
        &self.file
    }

    fn check(&self, connection: &Connection) -> Result<(), StoreError> {
        let pragma = |name: &str| {
            let value = connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
            value.map_err(|error| failed("reading the database's version", error))
        };
        let tables = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get::<_, i64>(0));
        let tables = tables.map_err(|error| failed("reading the database", error))?;
        let unknown = |message: String| Err(StoreError::new(StoreErrorKind::UnknownFormat, message));
        let file = self.file.display();
        match (pragma("application_id")?, pragma("user_version")?, tables) {
            (0, 0, 0) => {
                let tables = [TABLES, RECORD_TABLES, NAME_TABLE].concat();
                let mark = format!("PRAGMA application_id = {APPLICATION_ID};");
                grow(connection, &(tables + &mark), false).map_err(|failure| failure.during("making the tables"))
            }
            (APPLICATION_ID, version @ 1..VERSION, _) => {
                let tables = if version == 1 { [RECORD_TABLES, NAME_TABLE].concat() } else { NAME_TABLE.to_owned() };
                grow(connection, &tables, version == 2)
                    .map_err(|failure| failure.during(&format!("bringing {file} from format {version} to {VERSION}")))
            }
            (APPLICATION_ID, VERSION, _) => Ok(()),
            (APPLICATION_ID, version, _) if version > VERSION => unknown(format!(
                "{file} has format {version} and this server knows up to {VERSION}: start the newer server that wrote it, \
                 or give this one another data directory"
            )),
            _ => unknown(format!("{file} was not written by a scouter server: give it another data directory")),
        }
    }
}

/// Makes tables and fills the new ones, all of it or nothing.
fn grow(connection: &Connection, tables: &str, has_records: bool) -> Result<(), Failure> {
    let transaction = Transaction::new_unchecked(connection, TransactionBehavior::Immediate)?;
    transaction.execute_batch(tables)?;
    if has_records {
        records::name_all(&transaction)?;
    }
    transaction.pragma_update(None, "user_version", VERSION)?;
    Ok(transaction.commit()?)
}

/// A connection that only reads.
pub(super) fn reader(file: &Path, cache_bytes: usize) -> Result<Connection, rusqlite::Error> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(file, flags)?;
    connection.set_prepared_statement_cache_capacity(64);
    connection.busy_timeout(Duration::from_secs(10))?;
    connection.pragma_update(None, "query_only", true)?;
    connection.pragma_update(None, "cache_size", -((cache_bytes >> 10) as i64))?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    Ok(connection)
}
