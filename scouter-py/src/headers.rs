//! Trace context and baggage as HTTP headers.

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyMapping, PyString};
use scouter_propagation::{Baggage, BaggagePropagator, TraceContext, baggage::Entry};
use scouter_span::SpanContext;

use crate::context;
use crate::otel::otel;
use crate::report;
use crate::span::Span;

/// The headers that concern tracing. Nothing else in a carrier is read.
const NAMES: [&str; 3] = ["traceparent", "tracestate", "baggage"];

type Headers = Vec<(&'static str, String)>;

/// Reads a carrier: a mapping of names to values or to lists of values, or pairs of them as ASGI has them. Bytes or texts.
fn read(carrier: &Bound<'_, PyAny>) -> PyResult<Headers> {
    let mut headers = Headers::new();
    if let Ok(entries) = carrier.cast_exact::<PyDict>() {
        for (name, value) in entries.iter() {
            take(&mut headers, &name, &value)?;
        }
        return Ok(headers);
    }
    let pairs = match carrier.cast::<PyMapping>() {
        Ok(mapping) => mapping.items()?.into_any(),
        Err(_) => carrier.clone(),
    };
    for pair in pairs.try_iter()? {
        let (name, value): (Bound<'_, PyAny>, Bound<'_, PyAny>) = pair?.extract()?;
        take(&mut headers, &name, &value)?;
    }
    Ok(headers)
}

fn take(headers: &mut Headers, name: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>) -> PyResult<()> {
    let known = |name: &[u8]| NAMES.into_iter().find(|known| known.as_bytes().eq_ignore_ascii_case(name));
    let name = match name.cast::<PyBytes>() {
        Ok(name) => known(name.as_bytes()),
        Err(_) => known(name.cast::<PyString>()?.to_str().unwrap_or_default().as_bytes()),
    };
    let Some(name) = name else { return Ok(()) };
    if value.cast::<PyString>().is_ok() || value.cast::<PyBytes>().is_ok() {
        headers.push((name, text(value)?));
    } else {
        for value in value.try_iter()? {
            headers.push((name, text(&value?)?));
        }
    }
    Ok(())
}

/// A header's text. HTTP's bytes are Latin-1; what is not ASCII is refused by the parsers later.
fn text(value: &Bound<'_, PyAny>) -> PyResult<String> {
    match value.cast::<PyBytes>() {
        Ok(bytes) => Ok(bytes.as_bytes().iter().copied().map(char::from).collect()),
        Err(_) => Ok(value.str()?.to_string_lossy().into_owned()),
    }
}

/// The span context that a carrier holds, by the strict rules of W3C Trace Context.
pub(crate) fn extract(carrier: &Bound<'_, PyAny>) -> PyResult<Option<SpanContext>> {
    Ok(TraceContext.extract(&read(carrier)?))
}

/// The OpenTelemetry `SpanContext` in a carrier of headers, or `None`.
#[pyfunction]
pub(crate) fn extract_span_context<'py>(headers: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
    extract(headers)?.map(|found| context::span_context(headers.py(), &found)).transpose()
}

fn baggage_header(py: Python<'_>, context: &Bound<'_, PyAny>) -> PyResult<String> {
    let entries = otel(py)?.get_all_baggage.bind(py).call1((context,))?;
    if entries.len()? == 0 {
        return Ok(String::new());
    }
    format_baggage(&entries)
}

/// The headers that carry a context on: `traceparent`, and `tracestate` and `baggage` where there is something to say.
#[pyfunction]
#[pyo3(signature = (context=None))]
pub(crate) fn inject(py: Python<'_>, context: Option<&Bound<'_, PyAny>>) -> PyResult<Vec<(String, String)>> {
    let current;
    let context = match context.filter(|context| !context.is_none()) {
        Some(context) => context,
        None => {
            current = context::current(py)?;
            &current
        }
    };
    let mut headers = Vec::new();
    if let Some(parent) = context::parent_in(py, Some(context))? {
        TraceContext.inject(&parent, &mut headers);
    }
    let baggage = baggage_header(py, context)?;
    if !baggage.is_empty() {
        headers.push(("baggage".to_owned(), baggage));
    }
    Ok(headers)
}

/// The headers that carry the current span on; `{}` without one.
#[pyfunction]
pub(crate) fn current_headers<'py>(py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
    let headers = PyDict::new(py);
    let current = context::current(py)?;
    let Some(span) = context::span_in(&current)? else { return Ok(headers) };
    let own = match span.cast::<Span>() {
        Ok(span) => span.get().span_context(),
        Err(_) => context::span_context_from(&span.call_method0("get_span_context")?)?,
    };
    let Some(own) = own else { return Ok(headers) };
    let traceparent = scouter_propagation::traceparent::format(&own);
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

/// The entries of a `baggage` header, decoded. Members that the standard calls invalid are left out.
#[pyfunction]
pub(crate) fn parse_baggage<'py>(py: Python<'py>, header: &str) -> PyResult<Bound<'py, PyDict>> {
    let entries = PyDict::new(py);
    for entry in BaggagePropagator.extract(&[("baggage", header)][..]).iter() {
        entries.set_item(entry.key(), entry.value())?;
    }
    Ok(entries)
}

/// A `baggage` header with these entries. What cannot stand in one is reported and left out.
#[pyfunction]
pub(crate) fn format_baggage(entries: &Bound<'_, PyAny>) -> PyResult<String> {
    let mut baggage = Baggage::default();
    for entry in entries.cast::<PyMapping>()?.items()?.iter() {
        let (name, value): (Bound<'_, PyAny>, Bound<'_, PyAny>) = entry.extract()?;
        let added = Entry::new(text(&name)?, text(&value)?).and_then(|entry| baggage.insert(entry));
        if let Err(error) = added {
            report::once(entries.py(), &format!("a baggage entry was left out: {error}"));
        }
    }
    Ok(baggage.to_header())
}
