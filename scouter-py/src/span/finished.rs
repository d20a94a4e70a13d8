//! Spans that have ended, read from OTLP bytes: what exporters are given, what local capture answers, what tests keep.

use bytes::Bytes;
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use scouter_span::TraceFlags;
use scouter_span::view::{SpanView, TraceRequest};

use super::read;
use super::{Resource, Scope};
use crate::attached::Once;
use crate::context::span_context;
use crate::otel::otel;

/// A span that has ended. Reads like the SDK's `ReadableSpan`, from the very bytes that are sent.
#[pyclass(frozen, weakref, module = "scouter._scouter")]
pub(crate) struct FinishedSpan {
    /// The `Span` message, checked.
    bytes: Bytes,
    resource: Py<Resource>,
    scope: Py<Scope>,
    /// Where it is known. OTLP does not carry it, and a parent has its child's flags as a rule.
    parent_flags: Option<TraceFlags>,
    context: Once<Py<PyAny>>,
}

impl FinishedSpan {
    pub(crate) fn new(
        bytes: Bytes,
        resource: Py<Resource>,
        scope: Py<Scope>,
        parent_flags: Option<TraceFlags>,
    ) -> Self {
        Self { bytes, resource, scope, parent_flags, context: Once::new() }
    }

    /// When it ended, in nanoseconds since the Unix epoch.
    pub(crate) fn ended(&self) -> u64 {
        self.view().end_time()
    }

    fn view(&self) -> SpanView<'_> {
        SpanView::new(&self.bytes)
    }
}

/// The spans of an OTLP `ExportTraceServiceRequest`, in its order. They share its bytes.
pub(crate) fn read_request(py: Python<'_>, body: &Bytes) -> PyResult<Vec<Py<FinishedSpan>>> {
    let request = TraceRequest::parse(body).map_err(|error| {
        pyo3::exceptions::PyValueError::new_err(format!("these bytes are no trace request: {error}"))
    })?;
    let mut spans = Vec::new();
    for of_resource in request.resource_spans() {
        let resource = Resource::new(py, of_resource.resource(), of_resource.schema_url())?;
        for of_scope in of_resource.scope_spans() {
            let scope = Scope::new(py, of_scope.scope(), of_scope.schema_url())?;
            for span in of_scope.spans() {
                let bytes = body.slice_ref(span.bytes());
                let (resource, scope) = (resource.clone_ref(py), scope.clone_ref(py));
                spans.push(Py::new(py, FinishedSpan::new(bytes, resource, scope, None))?);
            }
        }
    }
    Ok(spans)
}

#[pymethods]
impl FinishedSpan {
    /// Its context: ids, flags and trace state.
    fn get_span_context<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let make = || match read::context(self.view()) {
            Some(context) => span_context(py, &context).map(Bound::unbind),
            None => py.import("opentelemetry.trace")?.getattr("INVALID_SPAN_CONTEXT").map(Bound::unbind),
        };
        Ok(self.context.get_or_try_init(py, make)?.bind(py).clone())
    }

    /// Always false: it has ended.
    fn is_recording(&self) -> bool {
        false
    }

    /// The trace id, 32 lower-case hexadecimal digits.
    #[getter]
    fn trace_id(&self) -> String {
        self.view().trace_id().map_or_else(|_| "0".repeat(32), |id| id.to_string())
    }

    /// The span id, 16 lower-case hexadecimal digits.
    #[getter]
    fn span_id(&self) -> String {
        self.view().span_id().map_or_else(|_| "0".repeat(16), |id| id.to_string())
    }

    /// Its context: ids, flags and trace state.
    #[getter]
    fn context<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.get_span_context(py)
    }

    /// The context of its parent; `None` for a root.
    #[getter]
    fn parent<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let view = self.view();
        let flags = self.parent_flags.unwrap_or_else(|| TraceFlags::from_bits(view.flags() as u8));
        read::parent(view, flags).map(|parent| span_context(py, &parent)).transpose()
    }

    /// Its name.
    #[getter]
    fn name(&self) -> &str {
        self.view().name()
    }

    /// The part it plays.
    #[getter]
    fn kind(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        Ok(otel(py)?.kind(self.view().kind()).clone_ref(py))
    }

    /// When it began, in nanoseconds since 1970.
    #[getter]
    fn start_time(&self) -> u64 {
        self.view().start_time()
    }

    /// When it ended, in nanoseconds since 1970.
    #[getter]
    fn end_time(&self) -> u64 {
        self.view().end_time()
    }

    /// Its attributes.
    #[getter]
    fn attributes<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        read::proxy(py, self.view().attributes())
    }

    /// What happened while it ran, in order.
    #[getter]
    fn events<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        read::events(py, self.view())
    }

    /// The spans it refers to, in order.
    #[getter]
    fn links<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        read::links(py, self.view())
    }

    /// How it went so far.
    #[getter]
    fn status<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let status = self.view().status();
        read::status(py, status.code, status.message)
    }

    /// What it belongs to.
    #[getter]
    fn resource(&self, py: Python<'_>) -> Py<Resource> {
        self.resource.clone_ref(py)
    }

    /// The library or component that records it.
    #[getter]
    fn instrumentation_scope(&self, py: Python<'_>) -> Py<Scope> {
        self.scope.clone_ref(py)
    }

    /// How many attributes went beyond the limits.
    #[getter]
    fn dropped_attributes(&self) -> u32 {
        self.view().dropped_attributes_count()
    }

    /// How many events went beyond the limits.
    #[getter]
    fn dropped_events(&self) -> u32 {
        self.view().dropped_events_count()
    }

    /// How many links went beyond the limits.
    #[getter]
    fn dropped_links(&self) -> u32 {
        self.view().dropped_links_count()
    }

    /// The span as JSON text, in the form in which OpenTelemetry's console exporter prints it.
    #[pyo3(signature = (indent=Some(4)))]
    fn to_json<'py>(slf: &Bound<'py, Self>, indent: Option<i32>) -> PyResult<Bound<'py, PyAny>> {
        read::to_json(slf.as_any(), indent)
    }

    fn __repr__(&self) -> String {
        format!("FinishedSpan(name={:?}, trace_id={}, span_id={})", self.name(), self.trace_id(), self.span_id())
    }
}
