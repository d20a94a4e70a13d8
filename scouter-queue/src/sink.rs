//! Where finished records go.

use std::fmt;
use std::sync::Arc;

use scouter_span::scope::ScopeId;
use scouter_span::{Scope, TraceId};

/// A record in the form in which it travels.
#[derive(Clone, Copy, Debug)]
pub struct FinishedRecord<'a> {
    /// The record as one element of `ScopeLogs.log_records`: tag, length and `LogRecord` message, which begins with the trace
    /// id if there is one. Concatenations of such are valid.
    pub bytes: &'a [u8],
    /// The scope, by the name the sink gave it.
    pub scope: ScopeId,
    /// The trace it belongs to, for whoever filters by it.
    pub trace_id: Option<TraceId>,
}

/// Takes records as they are inserted.
pub trait RecordSink: Send + Sync + fmt::Debug {
    /// Called once for every queue, before its first record. An equal scope gets the same id again.
    fn register(&self, scope: &Arc<Scope>) -> ScopeId;

    /// Called for every record that is kept, on the thread that inserts it. Tells whether it was taken; if not, the record is
    /// lost, and the sink has counted it.
    ///
    /// It must not block, panic, or take a lock that another thread can hold: the caller is the user's program.
    fn accept(&self, record: FinishedRecord<'_>) -> bool;
}
