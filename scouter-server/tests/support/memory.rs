//! A store in memory.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard};

use bytes::Bytes;
use scouter_client::{RecordFilters, RecordPage, Span, Tag, TagFilters, Trace, TraceFilters, TracePage};
use scouter_server::store::{BoxFuture, Signal, Store, StoreError, StoreErrorKind, Written};
use scouter_span::view::{LogsRequest, TraceRequest};
use scouter_span::{SpanId, TraceId};
use tokio::sync::{Notify, Semaphore};

/// What a write does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Behaviour {
    /// Store.
    #[default]
    Store,
    /// Wait for [`MemoryStore::release`], then store.
    Wait,
    /// Fail.
    Fail,
    /// Panic.
    Panic,
}

#[derive(Debug)]
pub struct MemoryStore {
    kept: Mutex<Kept>,
    gate: Semaphore,
    began: Notify,
}

#[derive(Debug, Default)]
struct Kept {
    behaviour: Behaviour,
    requests: Vec<Bytes>,
    ids: HashSet<(TraceId, SpanId)>,
    records: usize,
    closed: bool,
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self { kept: Mutex::default(), gate: Semaphore::new(0), began: Notify::new() }
    }
}

impl MemoryStore {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap()
    }

    pub fn behave(&self, behaviour: Behaviour) {
        self.kept().behaviour = behaviour;
    }

    /// Lets so many waiting writes go on.
    pub fn release(&self, writes: usize) {
        self.gate.add_permits(writes);
    }

    /// Resolves when a write has begun to wait.
    pub async fn write_began(&self) {
        self.began.notified().await;
    }

    /// The requests as they were handed over.
    pub fn requests(&self) -> Vec<Bytes> {
        self.kept().requests.clone()
    }

    /// How many different spans are stored.
    pub fn spans(&self) -> usize {
        self.kept().ids.len()
    }

    /// How many records are stored, those that came again included.
    pub fn records(&self) -> usize {
        self.kept().records
    }

    pub fn is_closed(&self) -> bool {
        self.kept().closed
    }

    fn keep(&self, signal: Signal, request: Bytes) -> Written {
        let mut kept = self.kept();
        let mut written = Written::default();
        if signal == Signal::Logs {
            let records = LogsRequest::parse(&request).expect("only checked requests are written").records().count();
            kept.records += records;
            kept.requests.push(request);
            return Written { stored: records as u64, duplicates: 0 };
        }
        for span in TraceRequest::parse(&request).expect("only checked requests are written").spans() {
            let (Ok(trace), Ok(span)) = (span.trace_id(), span.span_id()) else { continue };
            if kept.ids.insert((trace, span)) {
                written.stored += 1;
            } else {
                written.duplicates += 1;
            }
        }
        kept.requests.push(request);
        written
    }
}

fn failed() -> StoreError {
    StoreError::new(StoreErrorKind::Storage, "disk on fire at /secret/place")
}

impl Store for MemoryStore {
    fn write(&self, signal: Signal, request: Bytes) -> BoxFuture<'_, Result<Written, StoreError>> {
        Box::pin(async move {
            let behaviour = self.kept().behaviour;
            match behaviour {
                Behaviour::Store => {}
                Behaviour::Wait => {
                    self.began.notify_one();
                    self.gate.acquire().await.unwrap().forget();
                }
                Behaviour::Fail => return Err(failed()),
                Behaviour::Panic => panic!("the store was asked to panic"),
            }
            Ok(self.keep(signal, request))
        })
    }

    fn trace(&self, _: TraceId) -> BoxFuture<'_, Result<Option<Trace>, StoreError>> {
        Box::pin(async { Err(failed()) })
    }

    fn search(&self, _: TraceFilters) -> BoxFuture<'_, Result<TracePage, StoreError>> {
        Box::pin(async { Err(failed()) })
    }

    fn spans(&self, _: TraceFilters) -> BoxFuture<'_, Result<Vec<Span>, StoreError>> {
        Box::pin(async { Err(failed()) })
    }

    fn services(&self) -> BoxFuture<'_, Result<Vec<String>, StoreError>> {
        Box::pin(async { Ok(vec!["hello".into()]) })
    }

    fn records(&self, _: RecordFilters) -> BoxFuture<'_, Result<RecordPage, StoreError>> {
        Box::pin(async { Err(failed()) })
    }

    fn tags(&self, _: TagFilters) -> BoxFuture<'_, Result<Vec<Tag>, StoreError>> {
        Box::pin(async { Err(failed()) })
    }

    fn close(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async {
            self.kept().closed = true;
            Ok(())
        })
    }
}
