//! What a span keeps between two calls.

use pyo3::prelude::*;
use pyo3::types::PyString;
use scouter_span::TraceFlags;

use super::options::Options;

/// What leaving its block does to a span.
#[derive(Clone, Copy)]
pub(crate) struct Manner {
    pub(crate) makes_current: bool,
    pub(crate) ends: bool,
    pub(crate) records_exception: bool,
    pub(crate) sets_status: bool,
}

/// What changes in a span.
pub(super) struct Inner {
    pub(super) phase: Phase,
    /// The parent's flags. The rest of the parent stands in the span's own bytes.
    pub(super) parent_flags: TraceFlags,
    /// Somebody is ending it: its processors are told once.
    pub(super) ending: bool,
    /// Where `__enter__` has made it current; and where it did so again before `__exit__`, of which nobody makes a habit.
    pub(super) entered: Option<Entered>,
    pub(super) entered_again: Vec<Entered>,
    /// Becomes current together with the span.
    pub(super) baggage: Option<Py<PyAny>>,
}

/// What `__exit__` needs to make the former context current again.
pub(super) struct Entered {
    pub(super) token: Py<PyAny>,
    pub(super) context: Py<PyAny>,
}

/// How far a span has come.
pub(crate) enum Phase {
    /// Asked for, and waiting for its `with`.
    Waiting {
        name: Py<PyString>,
        options: Option<Box<Options>>,
    },
    Begun(scouter_span::Span),
    /// Begun by a tracer whose provider has ended, and without a parent to stand for.
    Nothing,
}

impl Inner {
    /// Notes that the span was made current.
    pub(super) fn push(&mut self, entered: Entered) {
        match &self.entered {
            None => self.entered = Some(entered),
            Some(_) => self.entered_again.push(entered),
        }
    }

    /// Where the span was made current the last time that was not undone.
    pub(super) fn pop(&mut self) -> Option<Entered> {
        self.entered_again.pop().or_else(|| self.entered.take())
    }
}
