//! Entering and leaving a span's block.

use pyo3::exceptions::{PyException, PyStopIteration};
use pyo3::prelude::*;
use pyo3::types::PyMapping;
use scouter_span::StatusCode;

use super::{Phase, Span, end, record};
use crate::context;
use crate::otel::otel;
use crate::report;

/// Begins the span if it waits, and makes it current if that is its manner. What fails is reported, never raised; only an
/// interrupt in the middle of a plug-in is, and then nothing is current.
#[inline]
pub(super) fn enter(slf: &Bound<'_, Span>) -> PyResult<()> {
    let py = slf.py();
    let span = slf.get();
    let waiting = match &mut span.lock().phase {
        // The name stays, for a second use of the object as a decorator it is still waiting for.
        Phase::Waiting { name, options } => Some((name.clone_ref(py), options.take())),
        Phase::Begun(_) => None,
    };
    if let Some((name, options)) = waiting {
        let tracer = span.tracer.get();
        let (begun, parent_flags) = tracer.begin(py, name.bind(py), options.as_deref());
        let mut inner = span.lock();
        inner.parent_flags = parent_flags;
        let before = std::mem::replace(&mut inner.phase, Phase::Begun(begun));
        if let Some(options) = &options {
            inner.baggage = options.baggage.as_ref().map(|baggage| baggage.clone_ref(py));
        }
        drop(inner);
        drop(before);
        tracer.began(slf, options.as_deref())?;
    }
    if !span.manner.makes_current {
        return Ok(());
    }
    let baggage = span.lock().baggage.take();
    match make_current(slf, baggage.as_ref()) {
        Ok(token) => {
            let before = span.lock().token.replace(token);
            drop(before);
        }
        Err(error) => report::error(py, "a span could not be made current", &error),
    }
    Ok(())
}

fn make_current(slf: &Bound<'_, Span>, baggage: Option<&Py<PyAny>>) -> PyResult<Py<PyAny>> {
    let py = slf.py();
    let mut current = context::with_span(&context::current(py)?, slf.as_any())?;
    if let Some(baggage) = baggage {
        match with_baggage(&current, baggage.bind(py)) {
            Ok(with) => current = with,
            Err(error) => report::error(py, "the baggage of a span could not be read, and was left out", &error),
        }
    }
    context::attach(&current).map(Bound::unbind)
}

fn with_baggage<'py>(context: &Bound<'py, PyAny>, baggage: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let set = otel(context.py())?.set_baggage.bind(context.py());
    let mut with = context.clone();
    for entry in baggage.cast::<PyMapping>()?.items()?.iter() {
        let (name, value) = entry.extract::<(Bound<'_, PyAny>, Bound<'_, PyAny>)>()?;
        with = set.call1((name, value, &with))?;
    }
    Ok(with)
}

/// Makes the former context current again, records an exception that leaves the block, and ends the span.
pub(super) fn exit(slf: &Bound<'_, Span>, exception: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = slf.py();
    let span = slf.get();
    let token = span.lock().token.take();
    if let Some(token) = token
        && let Err(error) = context::detach(token.bind(py))
    {
        report::error(py, "the context from before a span could not be made current again", &error);
    }
    // What derives from BaseException only (an exit, a cancellation, a closed generator) is no error.
    if !exception.is_none() && exception.is_instance_of::<PyException>() && span.records() {
        if span.manner.records_exception {
            record::record_exception(span, exception, None, None, false);
        }
        if span.manner.sets_status {
            let words = record::exception_summary(exception);
            span.change(|span| span.set_status(StatusCode::Error, &words));
        }
    }
    if span.manner.ends { end::end(slf, None) } else { Ok(()) }
}

/// An awaitable that has its result already.
#[pyclass(module = "scouter._scouter")]
pub(crate) struct Ready(Option<Py<PyAny>>);

impl Ready {
    pub(super) const fn new(result: Option<Py<PyAny>>) -> Self {
        Self(result)
    }
}

#[pymethods]
impl Ready {
    fn __await__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__(&mut self) -> PyResult<()> {
        Err(PyStopIteration::new_err((self.0.take(),)))
    }
}
