//! The connections that read, a few of them, each used by one read at a time.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::{Connection, Transaction, TransactionBehavior};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use super::failure::{Failure, closed};
use super::schema;
use super::snapshot::Snapshot;
use crate::store::{StoreError, StoreErrorKind};

/// The connections that read.
#[derive(Debug)]
pub(super) struct Readers {
    file: PathBuf,
    count: usize,
    cache_bytes: usize,
    idle: Mutex<Vec<Connection>>,
    permits: Arc<Semaphore>,
}

impl Readers {
    /// So many connections, each opened when it is first needed.
    pub(super) fn new(file: PathBuf, count: usize, cache_bytes: usize) -> Arc<Self> {
        let count = count.max(1);
        let permits = Arc::new(Semaphore::new(count));
        Arc::new(Self { file, count, cache_bytes, idle: Mutex::default(), permits })
    }

    /// Reads from the tables as they are now, off the threads that serve connections.
    pub(super) async fn read<T: Send + 'static>(
        self: &Arc<Self>,
        doing: &'static str,
        read: impl FnOnce(&mut Snapshot<'_>) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, StoreError> {
        let permit = Arc::clone(&self.permits).acquire_owned().await.map_err(|_| closed())?;
        let readers = Arc::clone(self);
        let reading = spawn_blocking(move || {
            let answer = readers.with_connection(|sql| {
                let transaction = Transaction::new_unchecked(sql, TransactionBehavior::Deferred)?;
                read(&mut Snapshot::new(&transaction))
            });
            drop(permit);
            answer
        });
        match reading.await {
            Ok(answer) => answer.map_err(|failure| failure.during(doing)),
            Err(error) => {
                Err(StoreError::new(StoreErrorKind::Storage, format!("{doing} broke off: {error}")).with_source(error))
            }
        }
    }

    /// Waits for the reads under way and closes the connections.
    pub(super) async fn close(&self) {
        // Fails only when they are closed already.
        let _all = self.permits.acquire_many(u32::try_from(self.count).unwrap_or(u32::MAX)).await;
        self.permits.close();
        self.idle().clear();
    }

    fn with_connection<T>(&self, read: impl FnOnce(&Connection) -> Result<T, Failure>) -> Result<T, Failure> {
        let idle = self.idle().pop();
        let connection = match idle {
            Some(connection) => connection,
            None => schema::reader(&self.file, self.cache_bytes)?,
        };
        let answer = read(&connection);
        self.idle().push(connection);
        answer
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
