//! What Python programs put into a span.

use pyo3::prelude::*;
use pyo3::types::{PyBool, PyFloat, PyInt, PyModule, PyString};
use scouter_span::Value;

use super::Span;
use crate::context;
use crate::otel::otel;
use crate::value::{self, Taken, TakenAttributes};
use crate::{interrupt, report, text};

pub(crate) const INPUT: &str = "scouter.input";
pub(crate) const OUTPUT: &str = "scouter.output";
pub(crate) const LABEL: &str = "scouter.label";
pub(crate) const ENTITY: &str = "scouter.entity";
pub(crate) const TAG: &str = "scouter.tag.";

#[inline]
pub(super) fn set_attribute(span: &Span, key: &str, value: &Bound<'_, PyAny>) {
    let py = value.py();
    // The everyday types go straight in: nothing of them calls Python, and the span is looked at once.
    if let Ok(text) = value.cast_exact::<PyString>()
        && text.len().is_ok_and(|length| length <= value::LONG)
        && let Ok(text) = text.to_str()
    {
        span.change(py, |span| span.set_attribute(key, text));
    } else if let Ok(number) = value.cast_exact::<PyInt>()
        && let Ok(number) = number.extract::<i64>()
    {
        span.change(py, |span| span.set_attribute(key, number));
    } else if let Ok(truth) = value.cast::<PyBool>() {
        span.change(py, |span| span.set_attribute(key, truth.is_true()));
    } else if let Ok(number) = value.cast_exact::<PyFloat>() {
        span.change(py, |span| span.set_attribute(key, number.value()));
    } else if span.records(py)
        && let Some(value) = Taken::from(value, span.value_limit())
    {
        span.change(py, |span| span.set_attribute(key, value.value()));
    }
}

pub(super) fn set_attributes(span: &Span, attributes: &Bound<'_, PyAny>) {
    let py = attributes.py();
    if span.records(py) {
        let taken = TakenAttributes::from(Some(attributes), span.value_limit());
        span.change(py, |span| taken.iter().for_each(|(key, value)| span.set_attribute(key, value)));
    }
}

pub(crate) fn set_tag(span: &Span, key: &str, value: &Bound<'_, PyAny>) {
    let py = value.py();
    if !span.records(py) {
        return;
    }
    if let Some(value) = Taken::from(value, span.value_limit()) {
        let key = [TAG, key].concat();
        span.change(py, |span| span.set_attribute(&key, value.value()));
    }
}

pub(super) fn add_event(
    py: Python<'_>,
    span: &Span,
    name: &str,
    attributes: Option<&Bound<'_, PyAny>>,
    time: Option<u64>,
) {
    if !span.records(py) {
        return;
    }
    let taken = TakenAttributes::from(attributes, span.value_limit());
    let pairs = taken.pairs();
    span.change(py, |span| match time {
        Some(time) => span.add_event_at(name, time, &pairs),
        None => span.add_event(name, &pairs),
    });
}

pub(crate) fn add_link(span: &Span, to: &Bound<'_, PyAny>, attributes: Option<&Bound<'_, PyAny>>) {
    let py = to.py();
    if !span.records(py) {
        return;
    }
    let taken = TakenAttributes::from(attributes, span.value_limit());
    let pairs = taken.pairs();
    match context::LinkTarget::read(to) {
        Ok(Some(to)) if pairs.is_empty() && to.says_nothing() => {}
        Ok(Some(to)) => span.change(py, |span| span.add_link_to(&to.target(), &pairs)),
        Ok(None) => {}
        Err(error) => report::error(to.py(), "a link was given something that is no span context", &error),
    }
}

pub(super) fn set_status(span: &Span, status: &Bound<'_, PyAny>, description: &str) -> PyResult<()> {
    let py = status.py();
    let otel = otel(py)?;
    if let Some(code) = otel.status_code_from(status) {
        span.change(py, |span| span.set_status(code, description));
        return Ok(());
    }
    let Some(code) = otel.status_code_from(&status.getattr("status_code")?) else { return Ok(()) };
    let words = status.getattr("description")?;
    let words = if words.is_none() { String::new() } else { text::of(&words) };
    span.change(py, |span| span.set_status(code, &words));
    Ok(())
}

/// The name with its module, without one for a builtin: semantic conventions, `exception.type`.
fn qualified_type_name(exception: &Bound<'_, PyAny>) -> String {
    let kind = exception.get_type();
    let name = match kind.qualname() {
        Ok(name) => text::lossy(&name).into_owned(),
        Err(_) => text::type_name(exception),
    };
    match kind.module() {
        Ok(module) if module != "builtins" => format!("{}.{name}", text::lossy(&module)),
        _ => name,
    }
}

/// What the status of a failed span says.
pub(super) fn exception_summary(exception: &Bound<'_, PyAny>) -> String {
    format!("{}: {}", text::type_name(exception), text::of(exception))
}

fn stack_trace(exception: &Bound<'_, PyAny>) -> PyResult<String> {
    let lines = PyModule::import(exception.py(), "traceback")?.call_method1("format_exception", (exception,))?;
    let joined = PyString::new(exception.py(), "").call_method1("join", (lines,))?;
    Ok(text::lossy(joined.cast::<PyString>()?).into_owned())
}

pub(super) fn record_exception(
    span: &Span,
    exception: &Bound<'_, PyAny>,
    attributes: Option<&Bound<'_, PyAny>>,
    time: Option<u64>,
    escaped: bool,
) {
    let py = exception.py();
    if !span.records(py) {
        return;
    }
    // All of this may run the program's own code, so it happens before the span is locked.
    let (kind, words) = (qualified_type_name(exception), text::of(exception));
    let trace = interrupt::outcome(exception.py(), stack_trace(exception)).unwrap_or_default();
    let taken = TakenAttributes::from(attributes, span.value_limit());
    let mut pairs = vec![
        ("exception.type", Value::Str(&kind)),
        ("exception.message", Value::Str(&words)),
        ("exception.stacktrace", Value::Str(&trace)),
        ("exception.escaped", Value::Str(if escaped { "True" } else { "False" })),
    ];
    pairs.extend(taken.iter());
    span.change(py, |span| match time {
        Some(time) => span.add_event_at("exception", time, &pairs),
        None => span.add_event("exception", &pairs),
    });
}
