//! Where finished spans go.

use std::fmt;
use std::sync::Arc;

use crate::id::TraceId;
use crate::scope::{Scope, ScopeId};

/// A span that has ended, in the form in which it travels.
#[derive(Clone, Copy, Debug)]
pub struct FinishedSpan<'a> {
    /// The span as one element of `ScopeSpans.spans`: tag, length and `Span` message. Concatenations of such are valid.
    pub bytes: &'a [u8],
    /// The scope, by the name the sink gave it.
    pub scope: ScopeId,
    /// The trace, for whoever filters by it.
    pub trace_id: TraceId,
}

/// Takes the spans of a provider as they end.
pub trait SpanSink: Send + Sync + fmt::Debug {
    /// Called before the first span of a scope, once for every tracer. An equal scope gets the same id again.
    fn register(&self, scope: &Arc<Scope>) -> ScopeId;

    /// Called once for every sampled span, on the thread that ends it.
    ///
    /// It must not block, panic, take a lock that another thread can hold, or allocate in steady state: the caller is
    /// the user's program.
    fn accept(&self, span: FinishedSpan<'_>);
}
