//! From a received message to the store: check it, hand its bytes on unchanged, answer when they are durable.

mod room;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use scouter_span::view::{LogsRequest, TraceRequest};
use scouter_span::wire::WireError;

pub(crate) use room::{Reservation, Room};

use crate::metrics::{Metrics, Rejection};
use crate::store::{Signal, Store, StoreError, StoreErrorKind, Written};

/// The one way into the store, shared by every receiver.
#[derive(Clone, Debug)]
pub(crate) struct Ingest {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) room: Arc<Room>,
}

/// A whole `ExportTraceServiceRequest` or `ExportLogsServiceRequest`, decompressed, in protobuf, not yet looked at.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) bytes: Bytes,
    /// Held until the store is done with the bytes.
    pub(crate) reservation: Reservation,
}

/// What an accepted request's sender is told: nothing more when nothing of it was rejected.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Accepted {
    /// How many spans will never be stored. Records are never rejected.
    pub(crate) rejected: u64,
    /// Why, `""` when none was rejected.
    pub(crate) message: String,
}

/// Why a request was not accepted. Nothing of it is stored.
#[derive(Debug)]
pub(crate) enum IngestError {
    /// The bytes are not a request of this signal, and never will be.
    Malformed(Signal, WireError),
    /// The store could not keep it; sending it again is right.
    Store(StoreError),
}

/// What a look at the message tells.
#[derive(Debug, Default)]
struct Census {
    items: u64,
    bad_trace_ids: u64,
    bad_span_ids: u64,
    first: Option<String>,
}

/// Items that were received and of which nobody knows yet what becomes. Those that the store never answers for, even because it
/// panicked, are counted as rejected.
struct Unsettled {
    metrics: Arc<Metrics>,
    signal: Signal,
    items: u64,
}

/// Longer work than this many bytes need is moved off the threads that serve connections.
const HEAVY_BYTES: usize = 256 * 1024;

/// Runs `work` over so many bytes, here or, when it would hold up other requests, elsewhere.
pub(crate) async fn off_the_loop<T: Send + 'static>(bytes: usize, work: impl FnOnce() -> T + Send + 'static) -> T {
    if bytes < HEAVY_BYTES {
        return work();
    }
    joined(tokio::task::spawn_blocking(work)).await
}

/// Waits for a task; its panic goes on in the waiter, where the server catches it.
async fn joined<T>(task: tokio::task::JoinHandle<T>) -> T {
    match task.await {
        Ok(value) => value,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // Only the end of the runtime cancels tasks, and it cancels this waiter as well.
            Err(_) => std::future::pending().await,
        },
    }
}

fn census(signal: Signal, bytes: &[u8]) -> Result<Census, WireError> {
    match signal {
        Signal::Traces => spans(TraceRequest::parse(bytes)?),
        // A record may be without ids, and one with ids that are none is without (OTLP, `LogRecord.trace_id`).
        Signal::Logs => Ok(Census { items: LogsRequest::parse(bytes)?.records().count() as u64, ..Census::default() }),
    }
}

fn spans(request: TraceRequest<'_>) -> Result<Census, WireError> {
    let mut census = Census::default();
    for (place, span) in request.spans().enumerate() {
        census.items += 1;
        let (kind, error) = match (span.trace_id(), span.span_id()) {
            (Err(error), _) => {
                census.bad_trace_ids += 1;
                ("trace", error)
            }
            (_, Err(error)) => {
                census.bad_span_ids += 1;
                ("span", error)
            }
            _ => continue,
        };
        census.first.get_or_insert_with(|| format!("span {place} of the request has no valid {kind} id: {error}"));
    }
    Ok(census)
}

impl Census {
    fn accepted(self) -> Accepted {
        let rejected = self.bad_trace_ids + self.bad_span_ids;
        let message = match self.first {
            Some(first) if rejected == 1 => format!("1 span was rejected: {first}"),
            Some(first) => format!("{rejected} spans were rejected; the first: {first}"),
            None => String::new(),
        };
        Accepted { rejected, message }
    }
}

impl Unsettled {
    fn settle(&mut self, written: &Written, took: Duration) {
        self.items = 0;
        self.metrics.stored(self.signal, written.stored, written.duplicates, took);
    }
}

impl Drop for Unsettled {
    fn drop(&mut self) {
        self.metrics.rejected(self.signal, Rejection::StoreError, self.items);
    }
}

impl IngestError {
    /// Whether the same message may be accepted later. What is not is refused for good: a dead letter.
    #[cfg_attr(not(any(test, feature = "kafka", feature = "rabbitmq")), expect(dead_code, reason = "for brokers"))]
    pub(crate) fn is_retryable(&self) -> bool {
        // Whatever a store says of itself may be mended, even damage: that is no reason to throw messages away.
        matches!(self, Self::Store(error) if error.kind() != StoreErrorKind::InvalidRequest)
    }
}

impl fmt::Display for IngestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(signal, error) => write!(f, "the body is not an {} in protobuf: {error}", signal.request()),
            Self::Store(error) => error.fmt(f),
        }
    }
}

impl Ingest {
    /// A message that a receiver fetched by itself: waits until there is room for it.
    #[cfg_attr(not(any(feature = "kafka", feature = "rabbitmq")), expect(dead_code, reason = "for brokers"))]
    pub(crate) async fn message(&self, bytes: Bytes) -> Message {
        let reservation = self.room.reserve(bytes.len()).await;
        Message { bytes, reservation }
    }

    /// Stores a message. Returns when what is valid in it is durable.
    ///
    /// Once the store has begun, it finishes even if the sender goes away meanwhile; what it holds stays counted.
    ///
    /// # Errors
    /// Nothing of the message is stored. See [`IngestError::is_retryable`].
    pub(crate) async fn accept(&self, signal: Signal, message: Message) -> Result<Accepted, IngestError> {
        let begun = Instant::now();
        let Message { bytes, reservation } = message;
        let looked_at = bytes.clone();
        let census = off_the_loop(bytes.len(), move || census(signal, &looked_at)).await;
        let census = census.map_err(|error| IngestError::Malformed(signal, error))?;
        let valid = census.items - census.bad_trace_ids - census.bad_span_ids;
        self.metrics.received(signal, census.items);
        self.metrics.rejected(signal, Rejection::TraceId, census.bad_trace_ids);
        self.metrics.rejected(signal, Rejection::SpanId, census.bad_span_ids);
        if valid == 0 {
            return Ok(census.accepted());
        }
        let store = Arc::clone(&self.store);
        let mut unsettled = Unsettled { metrics: Arc::clone(&self.metrics), signal, items: valid };
        let task = tokio::spawn(async move {
            let written = store.write(signal, bytes).await;
            drop(reservation);
            match &written {
                Ok(written) => unsettled.settle(written, begun.elapsed()),
                Err(error) => {
                    unsettled.metrics.store_failed();
                    tracing::error!(items = valid, error = %error, "the store could not keep a request");
                }
            }
            written
        });
        joined(task).await.map_err(IngestError::Store)?;
        Ok(census.accepted())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_no_request_is_refused_for_good() {
        for (kind, is_retryable) in [
            (StoreErrorKind::Full, true),
            (StoreErrorKind::Closed, true),
            (StoreErrorKind::Corrupt, true),
            (StoreErrorKind::InvalidRequest, false),
        ] {
            assert_eq!(IngestError::Store(StoreError::new(kind, "no")).is_retryable(), is_retryable, "{kind:?}");
        }
        for signal in [Signal::Traces, Signal::Logs] {
            let error = IngestError::Malformed(signal, census(signal, &[0x0a, 0xff]).unwrap_err());
            assert!(!error.is_retryable());
            assert!(error.to_string().starts_with(&format!("the body is not an {}", signal.request())), "{error}");
        }
    }
}
