//! Where spans and records are kept: one narrow trait, and the stores that implement it.

pub mod embedded;

mod error;

use std::fmt::Debug;
use std::pin::Pin;

use bytes::Bytes;
use scouter_client::{RecordFilters, RecordPage, Span, Tag, TagFilters, Trace, TraceFilters, TracePage};
use scouter_span::TraceId;

pub use embedded::{EmbeddedConfig, open};
pub use error::{StoreError, StoreErrorKind};

/// A future whose type is not named, as traits that are used as objects need it.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What a message carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Signal {
    /// Spans: an `ExportTraceServiceRequest`.
    Traces,
    /// Records: an `ExportLogsServiceRequest`.
    Logs,
}

impl Signal {
    /// What a message of this signal is called (OTLP, `opentelemetry.proto.collector`).
    pub const fn request(self) -> &'static str {
        match self {
            Self::Traces => "ExportTraceServiceRequest",
            Self::Logs => "ExportLogsServiceRequest",
        }
    }
}

/// Keeps spans and records, once each, and finds them again.
///
/// What a [`write`](Self::write) has answered is durable and is seen by every read that begins afterwards. Futures run on a
/// Tokio runtime; dropping the future of a write does not take the write back.
pub trait Store: Send + Sync + Debug + 'static {
    /// Keeps the spans of one `ExportTraceServiceRequest`, or the records of one `ExportLogsServiceRequest`, that
    /// [`TraceRequest::parse`](scouter_span::view::TraceRequest::parse) or
    /// [`LogsRequest::parse`](scouter_span::view::LogsRequest::parse) accepts. Resolves when they are durable.
    ///
    /// A span whose trace and span id are there already changes nothing; spans with invalid ids are passed over. A record with the
    /// `log.record.uid` of one that is there already changes nothing; one without that attribute is known by the request's bytes
    /// and its place in them, so that a request that is delivered again changes nothing.
    ///
    /// # Errors
    /// None of the request's spans or records is kept. [`StoreError::is_retryable`] says whether it may work later.
    fn write(&self, signal: Signal, request: Bytes) -> BoxFuture<'_, Result<Written, StoreError>>;

    /// One trace with all its spans; `None` when there is none with this id.
    ///
    /// # Errors
    /// The storage could not be read.
    fn trace(&self, id: TraceId) -> BoxFuture<'_, Result<Option<Trace>, StoreError>>;

    /// Traces that satisfy the filters, newest first, a page at a time.
    ///
    /// # Errors
    /// [`StoreErrorKind::InvalidFilter`] for filters that cannot be used; the storage could not be read.
    fn search(&self, filters: TraceFilters) -> BoxFuture<'_, Result<TracePage, StoreError>>;

    /// All spans of the traces that [`search`](Self::search) finds with the same filters, in the same order of traces, each
    /// trace as a tree.
    ///
    /// # Errors
    /// As [`search`](Self::search).
    fn spans(&self, filters: TraceFilters) -> BoxFuture<'_, Result<Vec<Span>, StoreError>>;

    /// The names of the services that sent a span, in alphabetical order.
    ///
    /// # Errors
    /// The storage could not be read.
    fn services(&self) -> BoxFuture<'_, Result<Vec<String>, StoreError>>;

    /// Records that satisfy the filters, newest first, a page at a time. A page goes on where the one before ended, whatever arrived
    /// in between.
    ///
    /// # Errors
    /// As [`search`](Self::search).
    fn records(&self, filters: RecordFilters) -> BoxFuture<'_, Result<RecordPage, StoreError>>;

    /// The tags of spans and records with each of their values: by key, the values that most traces and records have first.
    ///
    /// # Errors
    /// As [`search`](Self::search).
    fn tags(&self, filters: TagFilters) -> BoxFuture<'_, Result<Vec<Tag>, StoreError>>;

    /// Waits for what is being written and lets go of the storage. Later writes and reads fail.
    ///
    /// # Errors
    /// The storage could not be closed in order. What was answered before is durable all the same.
    fn close(&self) -> BoxFuture<'_, Result<(), StoreError>>;
}

/// What became of the spans, or records, of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Those that are now kept and were not before.
    pub stored: u64,
    /// Those that had been kept already.
    pub duplicates: u64,
}
