//! The `tracestate` entries of a span context.

use std::sync::Arc;

/// The vendors' entries of a trace, in the order and spelling in which they travel. Empty for most spans, and then free.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct TraceState(Option<Arc<str>>);

/// Why a text is not a `tracestate`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("placeholder")]
pub struct TraceStateError;

impl TraceState {
    /// No entries.
    pub const EMPTY: Self = Self(None);

    /// The text of the header, `""` when there are no entries.
    pub fn as_str(&self) -> &str {
        self.0.as_deref().unwrap_or_default()
    }

    /// Whether there are no entries.
    pub const fn is_empty(&self) -> bool {
        self.0.is_none()
    }
}
