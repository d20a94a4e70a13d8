//! Reading a span back, while it runs and afterwards.
//!
//! The bytes are copied out under the lock and read without it, because making Python objects may run anybody's code.

use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyDict, PyFloat, PyInt, PyMappingProxy, PyString, PyTuple};
use scouter_span::view::{self, SpanView, ValueView};
use scouter_span::{SpanContext, SpanKind, StatusCode, TraceFlags, TraceState};

use super::Span;
use crate::context::span_context;
use crate::otel::otel;

/// Something that happened while a span ran.
#[pyclass(frozen, get_all, module = "scouter._scouter")]
pub(crate) struct Event {
    name: String,
    /// Nanoseconds since the Unix epoch.
    timestamp: u64,
    attributes: Py<PyAny>,
    dropped_attributes: u32,
}

/// What spans belong to.
#[pyclass(frozen, get_all, module = "scouter._scouter")]
pub(crate) struct Resource {
    pub(crate) attributes: Py<PyAny>,
    pub(crate) schema_url: String,
}

/// The library or component that records spans.
#[pyclass(frozen, get_all, name = "InstrumentationScope", module = "scouter._scouter")]
pub(crate) struct Scope {
    pub(crate) name: String,
    pub(crate) version: Option<String>,
    pub(crate) schema_url: Option<String>,
    pub(crate) attributes: Py<PyAny>,
}

#[pymethods]
impl Resource {
    /// The resource as JSON text.
    #[pyo3(signature = (indent=Some(4)))]
    fn to_json<'py>(slf: &Bound<'py, Self>, indent: Option<u32>) -> PyResult<Bound<'py, PyAny>> {
        slf.py().import("scouter.tracing._readable")?.getattr("resource_to_json")?.call1((slf, indent))
    }
}

fn bytes_of(span: &Span) -> Vec<u8> {
    span.read(|_, view| view.bytes().to_vec()).unwrap_or_default()
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

pub(super) fn attributes<'py>(span: &Span, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
    proxy(py, SpanView::new(&bytes_of(span)).attributes())
}

pub(super) fn kind(span: &Span, py: Python<'_>) -> PyResult<Py<PyAny>> {
    let kind = span.read(|_, view| view.kind()).unwrap_or(SpanKind::Internal);
    Ok(otel(py)?.kind(kind).clone_ref(py))
}

pub(super) fn parent<'py>(span: &Span, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
    let flags = span.lock().parent_flags;
    let parent = span.read(|own, view| {
        let mut parent = SpanContext::new(own.context().trace_id, view.parent_span_id()?, flags);
        // Bit 9 of OTLP's flags: the parent came from elsewhere.
        parent.is_remote = view.flags() & 0x200 != 0;
        parent.trace_state = own.context().trace_state.clone();
        Some(parent)
    });
    parent.flatten().map(|parent| span_context(py, &parent)).transpose()
}

pub(super) fn events<'py>(span: &Span, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
    let bytes = bytes_of(span);
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
    let events: Vec<_> = SpanView::new(&bytes).events().map(event).collect::<PyResult<_>>()?;
    PyTuple::new(py, events)
}

pub(super) fn links<'py>(span: &Span, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
    let bytes = bytes_of(span);
    let mut links = Vec::new();
    for link in SpanView::new(&bytes).links() {
        let (Ok(trace_id), Ok(span_id)) = (link.trace_id(), link.span_id()) else { continue };
        let mut to = SpanContext::new(trace_id, span_id, TraceFlags::from_bits(link.flags() as u8));
        to.is_remote = link.flags() & 0x200 != 0;
        to.trace_state = TraceState::parse(link.trace_state()).unwrap_or_default();
        let attributes = attributes_dict(py, link.attributes())?;
        links.push(otel(py)?.link.bind(py).call1((span_context(py, &to)?, attributes))?);
    }
    PyTuple::new(py, links)
}

pub(super) fn status<'py>(span: &Span, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
    let (code, words) = span
        .read(|span, _| {
            let (code, words) = span.status();
            (code, words.to_owned())
        })
        .unwrap_or((StatusCode::Unset, String::new()));
    let otel = otel(py)?;
    let words = Some(words).filter(|words| !words.is_empty());
    otel.status.bind(py).call1((otel.status_code(code), words))
}
