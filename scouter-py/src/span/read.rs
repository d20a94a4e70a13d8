//! Python objects from a span's bytes, while it runs and afterwards. Nothing here is called under a lock, because making
//! Python objects may run anybody's code.

use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyDict, PyFloat, PyInt, PyMappingProxy, PyString, PyTuple};
use scouter_span::view::{self, SpanView, ValueView};
use scouter_span::{SpanContext, StatusCode, TraceFlags, TraceState};

use crate::otel::otel;

/// Bit 9 of OTLP's flags: the parent came from elsewhere.
const REMOTE: u32 = 0x200;

/// Something that happened while a span ran.
#[pyclass(frozen, get_all, module = "scouter._scouter")]
pub(crate) struct Event {
    /// What happened.
    name: String,
    /// When, in nanoseconds since 1970.
    timestamp: u64,
    /// Its attributes.
    attributes: Py<PyAny>,
    /// How many attributes went beyond the limits.
    dropped_attributes: u32,
}

fn value<'py>(py: Python<'py>, value: ValueView<'_>) -> PyResult<Bound<'py, PyAny>> {
    Ok(match value {
        ValueView::Empty => py.None().into_bound(py),
        ValueView::Bool(value) => PyBool::new(py, value).to_owned().into_any(),
        ValueView::I64(value) => PyInt::new(py, value).into_any(),
        ValueView::F64(value) => PyFloat::new(py, value).into_any(),
        ValueView::Str(text) => PyString::new(py, text).into_any(),
        ValueView::Bytes(bytes) => PyBytes::new(py, bytes).into_any(),
        ValueView::Array(values) => {
            let values: Vec<_> = values.iter().map(|item| self::value(py, item)).collect::<PyResult<_>>()?;
            PyTuple::new(py, values)?.into_any()
        }
        ValueView::Map(entries) => {
            let dict = PyDict::new(py);
            for entry in entries.iter() {
                dict.set_item(entry.key, self::value(py, entry.value)?)?;
            }
            dict.into_any()
        }
    })
}

/// Attributes as a dict.
pub(crate) fn attributes_dict<'py>(py: Python<'py>, attributes: view::Attributes<'_>) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    for attribute in attributes.iter() {
        dict.set_item(attribute.key, value(py, attribute.value)?)?;
    }
    Ok(dict)
}

/// Attributes as a mapping that cannot be changed.
pub(crate) fn proxy<'py>(py: Python<'py>, attributes: view::Attributes<'_>) -> PyResult<Bound<'py, PyAny>> {
    let dict = attributes_dict(py, attributes)?;
    Ok(PyMappingProxy::new(py, dict.as_mapping()).into_any())
}

/// The context of a span, from its bytes. `None` for bytes without ids, which no span of this process has.
pub(super) fn context(view: SpanView<'_>) -> Option<SpanContext> {
    let flags = TraceFlags::from_bits(view.flags() as u8);
    let mut context = SpanContext::new(view.trace_id().ok()?, view.span_id().ok()?, flags);
    context.trace_state = TraceState::parse(view.trace_state()).unwrap_or_default();
    Some(context)
}

/// The context of a span's parent. OTLP does not say the parent's flags.
pub(super) fn parent(view: SpanView<'_>, flags: TraceFlags) -> Option<SpanContext> {
    let mut parent = SpanContext::new(view.trace_id().ok()?, view.parent_span_id()?, flags);
    parent.is_remote = view.flags() & REMOTE != 0;
    parent.trace_state = TraceState::parse(view.trace_state()).unwrap_or_default();
    Some(parent)
}

pub(super) fn events<'py>(py: Python<'py>, view: SpanView<'_>) -> PyResult<Bound<'py, PyTuple>> {
    let event = |event: view::Event<'_>| {
        Bound::new(
            py,
            Event {
                name: event.name().to_owned(),
                timestamp: event.time(),
                attributes: proxy(py, event.attributes())?.unbind(),
                dropped_attributes: event.dropped_attributes_count(),
            },
        )
    };
    let events: Vec<_> = view.events().map(event).collect::<PyResult<_>>()?;
    PyTuple::new(py, events)
}

pub(super) fn links<'py>(py: Python<'py>, view: SpanView<'_>) -> PyResult<Bound<'py, PyTuple>> {
    let mut links = Vec::new();
    for link in view.links() {
        let ids = (link.trace_id().map_or(0, |id| id.to_int()), link.span_id().map_or(0, |id| id.to_int()));
        let flags = TraceFlags::from_bits(link.flags() as u8);
        let trace_state = TraceState::parse(link.trace_state()).unwrap_or_default();
        let to = otel(py)?.span_context_of(py, ids, link.is_remote(), flags, &trace_state)?;
        let mut attributes = attributes_dict(py, link.attributes())?.into_any();
        let dropped = link.dropped_attributes_count();
        if dropped > 0 {
            // The one kind of mapping of which a link of OpenTelemetry's says how many attributes it lacks.
            attributes = otel(py)?.bounded_attributes.bind(py).call1((py.None(), attributes))?;
            attributes.setattr("dropped", dropped)?;
        }
        links.push(otel(py)?.link.bind(py).call1((to, attributes))?);
    }
    PyTuple::new(py, links)
}

pub(super) fn status<'py>(py: Python<'py>, code: StatusCode, words: &str) -> PyResult<Bound<'py, PyAny>> {
    let otel = otel(py)?;
    let words = Some(words).filter(|words| !words.is_empty());
    otel.status.bind(py).call1((otel.status_code(code), words))
}

/// The span as JSON text, in the form in which OpenTelemetry's console exporter prints it.
pub(super) fn to_json<'py>(span: &Bound<'py, PyAny>, indent: Option<i32>) -> PyResult<Bound<'py, PyAny>> {
    span.py().import("scouter.tracing._readable")?.getattr("to_json")?.call1((span, indent))
}
