//! Spans, or records, on their way from the queue to the destinations.

mod config;
mod pending;
mod singles;
mod split;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use bytes::Bytes;
use scouter_span::{Resource, Scope};
use scouter_transport::{Payload, Signal};

use crate::queue::Held;

pub use config::BatchConfig;
pub(crate) use pending::{Part, Pending};
pub(crate) use singles::Singles;

/// An encoded request. All destinations that take every span share the bytes.
#[derive(Clone)]
pub(crate) struct Batch {
    /// An `ExportTraceServiceRequest`, or an `ExportLogsServiceRequest`, which has the same frame.
    pub(crate) body: Bytes,
    /// The number of its spans, and their bytes without what surrounds them.
    pub(crate) held: Held,
    /// What it was made of, to make smaller ones of it.
    pub(crate) origin: Arc<Origin>,
}

/// What the spans of a batch belong to.
#[derive(Debug)]
pub(crate) struct Origin {
    pub(crate) signal: Signal,
    pub(crate) resource: Resource,
    /// In the order of the `ScopeSpans`.
    pub(crate) scopes: Vec<Arc<Scope>>,
    /// What is being sent of the batch at this moment, to whichever destination.
    sending: Mutex<Weak<Payload>>,
}

impl Origin {
    pub(crate) fn new(signal: Signal, resource: Resource, scopes: Vec<Arc<Scope>>) -> Self {
        Self { signal, resource, scopes, sending: Mutex::default() }
    }
}

impl Batch {
    /// How many spans it has.
    pub(crate) fn items(&self) -> u32 {
        u32::try_from(self.held.items).unwrap_or(u32::MAX)
    }

    /// The batch as transports take it, to be held while it is being sent.
    ///
    /// Clones of a payload share what sending makes of it, such as its compressed form. Destinations that send a batch at
    /// the same time get clones of one, so it is compressed once. Nobody else holds it: batches that wait for a slow
    /// destination keep no second form of their bytes.
    pub(crate) fn payload(&self) -> Arc<Payload> {
        let mut sending = self.origin.sending.lock().unwrap_or_else(PoisonError::into_inner);
        sending.upgrade().unwrap_or_else(|| {
            let payload = Arc::new(match self.origin.signal {
                Signal::Traces => Payload::traces(self.body.clone(), self.items()),
                Signal::Logs => Payload::logs(self.body.clone(), self.items()),
            });
            *sending = Arc::downgrade(&payload);
            payload
        })
    }
}

impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch").field("held", &self.held).field("length", &self.body.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::Held;

    #[test]
    fn those_who_send_at_the_same_time_share_a_payload() {
        let origin = Arc::new(Origin::new(Signal::Logs, Resource::new(&[], ""), Vec::new()));
        let batch = Batch { body: Bytes::from_static(b"spans"), held: Held { items: 2, bytes: 5 }, origin };
        let first = batch.payload();
        assert_eq!((&first.body[..], first.items, first.signal), (&b"spans"[..], 2, Signal::Logs));
        assert!(Arc::ptr_eq(&first, &batch.clone().payload()));
        // Nothing is kept for whoever sends it later.
        let kept = Arc::downgrade(&first);
        drop(first);
        assert!(kept.upgrade().is_none());
        assert_eq!(batch.payload().body, batch.body);
    }
}
