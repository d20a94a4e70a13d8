//! What the program's own code raises while it is run from here: a `__str__`, an `items()`, a sampler.
//!
//! An exception of such code is not the caller's to feel. What is no `Exception`, though, an interrupt or an exit, is not
//! that code's doing: it is kept, and handed over once the span is in order again.

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};

use pyo3::exceptions::PyException;
use pyo3::prelude::*;

thread_local! {
    static KEPT: Cell<Option<PyErr>> = const { Cell::new(None) };
}

/// How many threads keep one, so that nearly always one look tells that there is none.
static THREADS: AtomicUsize = AtomicUsize::new(0);

/// Takes the place of an error that must not be felt. Gives it back for a report, unless it is kept for [`hand_over`].
pub(crate) fn swallow(py: Python<'_>, error: PyErr) -> Option<PyErr> {
    if error.is_instance_of::<PyException>(py) {
        return Some(error);
    }
    if KEPT.replace(Some(error)).is_none() {
        THREADS.fetch_add(1, Ordering::Relaxed);
    }
    None
}

/// The outcome, or nothing.
pub(crate) fn outcome<T>(py: Python<'_>, outcome: PyResult<T>) -> Option<T> {
    outcome.map_err(|error| swallow(py, error)).ok()
}

/// Raises what this thread has kept.
#[inline]
pub(crate) fn hand_over() -> PyResult<()> {
    if THREADS.load(Ordering::Relaxed) == 0 { Ok(()) } else { take() }
}

#[cold]
fn take() -> PyResult<()> {
    let Some(error) = KEPT.take() else { return Ok(()) };
    THREADS.fetch_sub(1, Ordering::Relaxed);
    Err(error)
}
