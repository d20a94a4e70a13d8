//! Where spans are kept.

use std::fmt::Debug;
use std::pin::Pin;

use bytes::Bytes;

/// A future whose type is not named, as traits that are used as objects need it.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Keeps spans.
pub trait Store: Send + Sync + Debug + 'static {
    /// Keeps the spans of one `ExportTraceServiceRequest` that [`TraceRequest::parse`](scouter_span::view::TraceRequest::parse)
    /// has accepted. Resolves when they are durable. Spans with invalid ids are passed over.
    fn write(&self, request: Bytes) -> BoxFuture<'_, Result<Written, StoreError>>;

    /// Waits for what is being written and lets go of the storage. Later writes fail.
    fn close(&self) -> BoxFuture<'_, Result<(), StoreError>>;
}

/// What became of the spans of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Spans that are now kept and were not before.
    pub stored: u64,
    /// Spans that had been kept already.
    pub duplicates: u64,
}

/// Why the store did not do what it was asked to.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct StoreError {
    message: String,
}

impl StoreError {
    /// An error with these words.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into() }
    }
}
