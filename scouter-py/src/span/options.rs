//! What a span is asked for with.

use pyo3::prelude::*;
use pyo3::{PyTraverseError, PyVisit};
use scouter_span::SpanKind;

/// What a span can be given at its start beside its name.
#[derive(Default)]
pub(crate) struct Options {
    pub(crate) context: Option<Py<PyAny>>,
    pub(crate) kind: SpanKind,
    pub(crate) attributes: Option<Py<PyAny>>,
    pub(crate) links: Option<Py<PyAny>>,
    pub(crate) start_time: Option<u64>,
    pub(crate) tags: Option<Py<PyAny>>,
    pub(crate) baggage: Option<Py<PyAny>>,
    pub(crate) label: Option<Py<PyAny>>,
    pub(crate) headers: Option<Py<PyAny>>,
}

impl Options {
    /// Shows the collector of cycles what these hold.
    pub(crate) fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        let Self { context, attributes, links, tags, baggage, label, headers, kind: _, start_time: _ } = self;
        let held = [context, attributes, links, tags, baggage, label, headers];
        held.into_iter().flatten().try_for_each(|object| visit.call(object))
    }

    pub(super) fn copy(&self, py: Python<'_>) -> Self {
        let copy = |object: &Option<Py<PyAny>>| object.as_ref().map(|object| object.clone_ref(py));
        Self {
            context: copy(&self.context),
            kind: self.kind,
            attributes: copy(&self.attributes),
            links: copy(&self.links),
            start_time: self.start_time,
            tags: copy(&self.tags),
            baggage: copy(&self.baggage),
            label: copy(&self.label),
            headers: copy(&self.headers),
        }
    }
}
