//! Trace context and baggage as HTTP headers.

use std::borrow::Cow;

use pyo3::exceptions::{PyAttributeError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyBytes, PyDict, PyList, PyMapping, PySequence, PyString, PyTuple};
use scouter_propagation::{Baggage, BaggagePropagator, TraceParent, baggage, traceparent, tracestate};
use scouter_span::SpanContext;

use crate::context;
use crate::errors;
use crate::otel::otel;
use crate::report;
use crate::span::Span;

/// The headers of W3C Trace Context. Nothing else in a carrier is read.
#[derive(Clone, Copy)]
enum Header {
    Parent,
    State,
}

impl Header {
    /// Names have no case (section "Header Name"). Nearly all other names differ in length already.
    fn of(name: &[u8]) -> Option<Self> {
        match name.len() {
            11 if name.eq_ignore_ascii_case(traceparent::HEADER.as_bytes()) => Some(Self::Parent),
            10 if name.eq_ignore_ascii_case(tracestate::HEADER.as_bytes()) => Some(Self::State),
            _ => None,
        }
    }

    fn named(name: &Bound<'_, PyAny>) -> Option<Self> {
        match name.cast::<PyString>() {
            Ok(name) => Self::of(name.to_str().ok()?.as_bytes()),
            Err(_) => Self::of(name.cast::<PyBytes>().ok()?.as_bytes()),
        }
    }
}

/// What a carrier says about the sender's span.
#[derive(Default)]
struct Found {
    /// The first `traceparent`, if it is one.
    parent: Option<TraceParent>,
    /// How many there are. Several are none.
    parents: usize,
    states: Vec<String>,
}

impl Found {
    /// Reads a carrier: a mapping of names to values or to lists of values, or pairs of them as ASGI has them. Bytes or texts.
    fn read(carrier: &Bound<'_, PyAny>) -> PyResult<Self> {
        let mut found = Self::default();
        if let Ok(entries) = carrier.cast_exact::<PyDict>() {
            for (name, value) in entries.iter() {
                found.take(&name, &value)?;
            }
            return Ok(found);
        }
        let pairs = if carrier.is_exact_instance_of::<PyList>() { carrier.clone() } else { pairs(carrier)? };
        for pair in pairs.try_iter()? {
            let pair = pair?;
            match pair.cast_exact::<PyTuple>() {
                Ok(pair) if pair.len() == 2 => found.take(&pair.get_item(0)?, &pair.get_item(1)?)?,
                _ if pair.is_instance_of::<PyString>() || pair.is_instance_of::<PyBytes>() => return Err(no_pair()),
                _ => {
                    let pair = pair.cast::<PySequence>()?;
                    if pair.len()? != 2 {
                        return Err(no_pair());
                    }
                    found.take(&pair.get_item(0)?, &pair.get_item(1)?)?;
                }
            }
        }
        Ok(found)
    }

    fn take(&mut self, name: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>) -> PyResult<()> {
        let Some(header) = Header::named(name) else { return Ok(()) };
        if let Ok(value) = value.cast::<PyString>() {
            match value.to_str() {
                Ok(value) => self.add(header, value),
                // Lone surrogates: a header all the same, and not a valid one.
                Err(_) => self.add(header, &value.to_string_lossy()),
            }
        } else if let Some(value) = latin_1(value) {
            self.add(header, &value);
        } else if !value.is_none() {
            match value.try_iter() {
                Ok(values) => {
                    for value in values {
                        let value = text(&value?)?;
                        self.add(header, &value);
                    }
                }
                Err(_) => self.add(header, ""),
            }
        }
        Ok(())
    }

    fn add(&mut self, header: Header, value: &str) {
        match header {
            Header::Parent => {
                self.parents += 1;
                if self.parents == 1 {
                    // White space around a header's value is not part of it (RFC 9110, section 5.5).
                    let trimmed = || traceparent::parse(value.trim_matches([' ', '\t']));
                    self.parent = traceparent::parse(value).or_else(|_| trimmed()).ok();
                }
            }
            Header::State => self.states.push(value.to_owned()),
        }
    }

    /// The sender's span, by the strict rules of W3C Trace Context: an invalid `tracestate` costs only itself.
    fn into_context(self) -> Option<SpanContext> {
        let mut context = self.parent.filter(|_| self.parents == 1)?.to_context();
        if !self.states.is_empty() {
            context.trace_state = tracestate::parse(self.states.iter().map(String::as_str)).unwrap_or_default();
        }
        Some(context)
    }
}

/// The pairs of a carrier that is no plain dict.
fn pairs<'py>(carrier: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    if let Ok(mapping) = carrier.cast::<PyMapping>() {
        return Ok(mapping.items()?.into_any());
    }
    // Such as the messages of `http.client`, which are no mappings, but have items.
    match carrier.getattr_opt(pyo3::intern!(carrier.py(), "items"))? {
        Some(items) => items.call0(),
        None => Ok(carrier.clone()),
    }
}

fn no_pair() -> PyErr {
    PyTypeError::new_err("not a pair")
}

/// The text that bytes in a header are: HTTP's are Latin-1. What is not ASCII is refused by the parsers later.
fn latin_1<'a>(value: &'a Bound<'_, PyAny>) -> Option<Cow<'a, str>> {
    let widened = |bytes: &[u8]| Cow::Owned(bytes.iter().copied().map(char::from).collect());
    if let Ok(bytes) = value.cast::<PyBytes>() {
        let bytes = bytes.as_bytes();
        return match str::from_utf8(bytes) {
            Ok(text) if text.is_ascii() => Some(Cow::Borrowed(text)),
            _ => Some(widened(bytes)),
        };
    }
    value.cast::<PyByteArray>().ok().map(|bytes| widened(&bytes.to_vec()))
}

/// The text of a header's value, or of what baggage holds.
fn text(value: &Bound<'_, PyAny>) -> PyResult<String> {
    match latin_1(value) {
        Some(text) => Ok(text.into_owned()),
        None => Ok(value.str()?.to_string_lossy().into_owned()),
    }
}

/// The span context that a carrier holds, by the strict rules of W3C Trace Context.
pub(crate) fn extract(carrier: &Bound<'_, PyAny>) -> PyResult<Option<SpanContext>> {
    Ok(Found::read(carrier)?.into_context())
}

/// The OpenTelemetry `SpanContext` that the sender of these headers was in, or `None` when they do not hold a valid one.
///
/// Names may be in any case. Give a list of pairs where a header may come more than once.
#[pyfunction]
#[pyo3(text_signature = "(headers)")]
pub(crate) fn extract_span_context<'py>(headers: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
    match extract(headers) {
        Ok(Some(found)) => context::span_context(headers.py(), &found).map(Some),
        Ok(None) => Ok(None),
        Err(error) => Err(no_carrier(headers, error)),
    }
}

#[cold]
fn no_carrier(headers: &Bound<'_, PyAny>, error: PyErr) -> PyErr {
    let py = headers.py();
    // What the carrier's own code raises is the carrier's.
    let ours = error.is_instance_of::<PyTypeError>(py)
        || error.is_instance_of::<PyAttributeError>(py)
        || error.is_instance_of::<PyValueError>(py);
    if !ours {
        return error;
    }
    let kind = headers.get_type().name().map_or_else(|_| "object".to_owned(), |name| name.to_string());
    errors::config_type(py, &format!("headers must be a dict or a list of pairs, of str or bytes, not {kind}"))
}

fn baggage_header(py: Python<'_>, context: &Bound<'_, PyAny>) -> PyResult<String> {
    let entries = otel(py)?.get_all_baggage.bind(py).call1((context,))?;
    if entries.len()? == 0 {
        return Ok(String::new());
    }
    format_baggage(&entries)
}

/// The headers that carry a context's span on: `traceparent`, and `tracestate` where there is something to say.
#[pyfunction]
#[pyo3(signature = (context=None))]
pub(crate) fn inject<'py>(
    py: Python<'py>,
    context: Option<&Bound<'py, PyAny>>,
) -> PyResult<Vec<(&'static str, Bound<'py, PyString>)>> {
    let Some(span) = context::parent_in(py, context)? else { return Ok(Vec::new()) };
    let parent = traceparent::format(&span);
    let mut headers = vec![(traceparent::HEADER, PyString::new(py, str::from_utf8(&parent).unwrap_or_default()))];
    if !span.trace_state.is_empty() {
        headers.push((tracestate::HEADER, PyString::new(py, span.trace_state.as_str())));
    }
    Ok(headers)
}

/// The headers that continue the current trace in another service: `traceparent`, and `tracestate` and `baggage` where there
/// is something to say. Empty when no span is current.
#[pyfunction]
pub(crate) fn current_headers<'py>(py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
    let headers = PyDict::new(py);
    let current = context::current(py)?;
    let Some(span) = context::span_in(&current)? else { return Ok(headers) };
    let own = match span.cast::<Span>() {
        Ok(span) => span.get().span_context(py),
        Err(_) => context::span_context_from(&span.call_method0("get_span_context")?)?,
    };
    let Some(own) = own else { return Ok(headers) };
    let traceparent = traceparent::format(&own);
    headers.set_item(pyo3::intern!(py, "traceparent"), str::from_utf8(&traceparent).unwrap_or_default())?;
    if !own.trace_state.is_empty() {
        headers.set_item(pyo3::intern!(py, "tracestate"), own.trace_state.as_str())?;
    }
    // A context that holds nothing but the span has no baggage.
    if current.len()? > 1 {
        let baggage = baggage_header(py, &current)?;
        if !baggage.is_empty() {
            headers.set_item(pyo3::intern!(py, "baggage"), baggage)?;
        }
    }
    Ok(headers)
}

/// Key, decoded value and properties of each member of a `baggage` header. Members that the standard calls invalid are
/// left out.
#[pyfunction]
pub(crate) fn parse_baggage(header: &Bound<'_, PyString>) -> Vec<(String, String, String)> {
    let header = header.to_string_lossy();
    let owned = |entry: &baggage::Entry| (entry.key().into(), entry.value().into(), entry.metadata().into());
    BaggagePropagator.extract(&[(baggage::HEADER, header.as_ref())][..]).iter().map(owned).collect()
}

/// A `baggage` header with these entries. What cannot stand in one is reported and left out.
#[pyfunction]
pub(crate) fn format_baggage(entries: &Bound<'_, PyAny>) -> PyResult<String> {
    let py = entries.py();
    let mut baggage = Baggage::default();
    for entry in entries.cast::<PyMapping>()?.items()?.iter() {
        let (name, value): (Bound<'_, PyAny>, Bound<'_, PyAny>) = entry.extract()?;
        match member(&name, &value) {
            Ok(Ok(entry)) => {
                if let Err(error) = baggage.insert(entry) {
                    report::once(py, &format!("a baggage entry was left out: {error}"));
                }
            }
            Ok(Err(error)) => report::once(py, &format!("a baggage entry was left out: {error}")),
            Err(error) => report::error(py, "a baggage entry was left out", &error),
        }
    }
    Ok(baggage.to_header())
}

/// One entry, with the properties that it came with; an error of Python where it cannot be made a text.
fn member(
    name: &Bound<'_, PyAny>,
    value: &Bound<'_, PyAny>,
) -> PyResult<Result<baggage::Entry, scouter_propagation::BaggageError>> {
    let entry = baggage::Entry::new(text(name)?, text(value)?);
    if value.cast_exact::<PyString>().is_ok() {
        return Ok(entry);
    }
    let metadata = value.getattr_opt(pyo3::intern!(value.py(), "metadata"))?;
    match metadata.as_ref().and_then(|metadata| metadata.cast::<PyString>().ok()) {
        Some(metadata) => Ok(entry.and_then(|entry| entry.with_metadata(&metadata.to_string_lossy()))),
        None => Ok(entry),
    }
}
