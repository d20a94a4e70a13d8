//! The store that needs nothing: one directory, one SQLite database, one thread that writes.
//!
//! Spans' and records' bytes are kept as they were received, in compressed blocks; narrow rows lead to them. Writes that wait
//! while one commits are committed together, so durability costs one sync for many requests.

mod batch;
mod block;
mod bloom;
mod cursor;
mod failure;
mod glance;
mod names;
mod readers;
mod records;
mod schema;
mod search;
mod snapshot;
mod tags;
mod traces;
mod value;
mod writer;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use bytes::Bytes;
use scouter_client::{RecordFilters, RecordPage, Span, Tag, TagFilters, Trace, TraceFilters, TracePage};
use scouter_span::TraceId;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::spawn_blocking;

use super::{BoxFuture, Signal, Store, StoreError, StoreErrorKind, Written};
use failure::closed;
use readers::Readers;
use schema::Home;
use writer::Job;

/// How the embedded store works.
#[derive(Clone, Debug)]
pub struct EmbeddedConfig {
    /// Holds everything; made where it is missing. One server at a time can have it.
    pub directory: PathBuf,
    /// So many bytes of requests may wait to be written; further writes wait for room.
    pub queue_bytes: usize,
    /// So many reads may run at the same time.
    pub readers: usize,
    /// The most memory the writer uses for pages of the database. Each reader uses an eighth of that.
    pub cache_bytes: usize,
}

/// Opens the store in its directory, and makes it there where it is missing.
///
/// # Errors
/// [`StoreErrorKind::InUse`] when another server has the directory, [`StoreErrorKind::UnknownFormat`] for a file of a newer
/// server or of another program, and whatever the operating system says of the directory.
pub fn open(config: EmbeddedConfig) -> Result<Arc<dyn Store>, StoreError> {
    let home = Home::take(&config.directory)?;
    let sql = home.writer(config.cache_bytes)?;
    let readers = Readers::new(home.file().to_owned(), config.readers, config.cache_bytes / 8);
    let (sender, jobs) = mpsc::channel(writer::WAITING);
    let thread = writer::start(sql, jobs)?;
    let queue_bytes = config.queue_bytes.clamp(1, u32::MAX as usize).min(Semaphore::MAX_PERMITS);
    Ok(Arc::new(Embedded {
        sender: Mutex::new(Some(sender)),
        room: Arc::new(Semaphore::new(queue_bytes)),
        queue_bytes,
        readers,
        held: Mutex::new(Some(Held { thread, home })),
    }))
}

/// The store.
#[derive(Debug)]
struct Embedded {
    /// `None` once it is closed.
    sender: Mutex<Option<mpsc::Sender<Job>>>,
    room: Arc<Semaphore>,
    queue_bytes: usize,
    readers: Arc<Readers>,
    held: Mutex<Option<Held>>,
}

/// What is given back when the store is closed.
#[derive(Debug)]
struct Held {
    thread: JoinHandle<Result<(), StoreError>>,
    home: Home,
}

impl EmbeddedConfig {
    /// The usual settings: 64 MiB may wait, four reads at a time, 64 MiB of cache.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self { directory: directory.into(), queue_bytes: 64 << 20, readers: 4, cache_bytes: 64 << 20 }
    }
}

impl Held {
    /// Waits until everything is written, then lets another server have the directory.
    fn release(self) -> Result<(), StoreError> {
        let outcome = self.thread.join();
        drop(self.home);
        outcome.unwrap_or_else(|_| Err(StoreError::new(StoreErrorKind::Storage, "the writing thread panicked")))
    }
}

impl Embedded {
    async fn write_request(&self, signal: Signal, request: Bytes) -> Result<Written, StoreError> {
        let sender = lock(&self.sender).clone().ok_or_else(closed)?;
        // A request larger than all the room waits until it has it for itself.
        let bytes = request.len().clamp(1, self.queue_bytes) as u32;
        let permit = Arc::clone(&self.room).acquire_many_owned(bytes).await.map_err(|_| closed())?;
        let (answer, answered) = oneshot::channel();
        sender.send(Job { signal, request, answer, _permit: permit }).await.map_err(|_| closed())?;
        drop(sender);
        answered.await.map_err(|_| closed())?
    }

    async fn close_all(&self) -> Result<(), StoreError> {
        drop(lock(&self.sender).take());
        let held = lock(&self.held).take();
        self.readers.close().await;
        let Some(held) = held else { return Ok(()) };
        let released = spawn_blocking(|| held.release()).await;
        released.unwrap_or_else(|_| Err(StoreError::new(StoreErrorKind::Storage, "closing the store broke off")))
    }
}

impl Store for Embedded {
    fn write(&self, signal: Signal, request: Bytes) -> BoxFuture<'_, Result<Written, StoreError>> {
        Box::pin(self.write_request(signal, request))
    }

    fn trace(&self, id: TraceId) -> BoxFuture<'_, Result<Option<Trace>, StoreError>> {
        Box::pin(self.readers.read("reading a trace", move |snapshot| snapshot.trace(id)))
    }

    fn search(&self, filters: TraceFilters) -> BoxFuture<'_, Result<TracePage, StoreError>> {
        Box::pin(self.readers.read("searching for traces", move |snapshot| {
            let found = search::find(snapshot, &filters)?;
            let items = found.traces.iter().map(|trace| snapshot.summary(trace)).collect::<Result<_, _>>()?;
            Ok(TracePage { items, next_cursor: found.next_cursor })
        }))
    }

    fn spans(&self, filters: TraceFilters) -> BoxFuture<'_, Result<Vec<Span>, StoreError>> {
        Box::pin(self.readers.read("searching for spans", move |snapshot| {
            let mut spans = Vec::new();
            for trace in search::find(snapshot, &filters)?.traces {
                spans.extend(Trace::new(snapshot.spans(&trace)?).map(|trace| trace.spans).unwrap_or_default());
            }
            Ok(spans)
        }))
    }

    fn services(&self) -> BoxFuture<'_, Result<Vec<String>, StoreError>> {
        Box::pin(self.readers.read("reading the services", |snapshot| snapshot.services()))
    }

    fn records(&self, filters: RecordFilters) -> BoxFuture<'_, Result<RecordPage, StoreError>> {
        Box::pin(self.readers.read("searching for records", move |snapshot| records::find(snapshot, &filters)))
    }

    fn tags(&self, filters: TagFilters) -> BoxFuture<'_, Result<Vec<Tag>, StoreError>> {
        Box::pin(self.readers.read("reading the tags", move |snapshot| tags::find(snapshot, &filters)))
    }

    fn close(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(self.close_all())
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        drop(lock(&self.sender).take());
        if let Some(held) = lock(&self.held).take() {
            // Nobody is left to tell; whoever wants to know calls `close`.
            let _ = held.release();
        }
    }
}

/// What a panicking thread held is still whole: the guarded values are replaced, never changed in place.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
