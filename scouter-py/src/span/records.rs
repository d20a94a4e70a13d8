//! Records that are inserted by way of a span.

use pyo3::prelude::*;

use super::Span;
use crate::{interrupt, queue, report};

/// Puts a record into a queue of the span's provider. Of a span that is not sampled, or that stands for nothing, no record is
/// kept, so that every record has its trace.
pub(super) fn insert(span: &Span, alias: &str, record: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = record.py();
    let Some(shared) = span.tracer().state().queue(py) else {
        report::once(
            py,
            "a span was given a record, but its tracer has no queue, so the record was left out: \
             give instrument() a scouter_queue, or call tracer.set_scouter_queue(queue)",
        );
        return interrupt::hand_over();
    };
    queue::insert_of(&shared, alias, record, span.span_context(py).as_ref())
}
