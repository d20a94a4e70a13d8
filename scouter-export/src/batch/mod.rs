//! Spans on their way from the queue to the destinations.

mod config;
mod pending;
mod singles;
mod split;

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use scouter_span::{Resource, Scope};

use crate::queue::Held;

pub use config::BatchConfig;
pub(crate) use pending::{Part, Pending};
pub(crate) use singles::Singles;

/// An encoded request. All destinations that take every span share the bytes.
#[derive(Clone)]
pub(crate) struct Batch {
    /// An `ExportTraceServiceRequest`.
    pub(crate) body: Bytes,
    /// The number of its spans, and their bytes without what surrounds them.
    pub(crate) held: Held,
    /// What it was made of, to make smaller ones of it.
    pub(crate) origin: Arc<Origin>,
}

/// What the spans of a batch belong to.
#[derive(Debug)]
pub(crate) struct Origin {
    pub(crate) resource: Resource,
    /// In the order of the `ScopeSpans`.
    pub(crate) scopes: Vec<Arc<Scope>>,
}

impl Batch {
    /// How many spans it has.
    pub(crate) fn items(&self) -> u32 {
        u32::try_from(self.held.items).unwrap_or(u32::MAX)
    }
}

impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch").field("held", &self.held).field("length", &self.body.len()).finish_non_exhaustive()
    }
}
