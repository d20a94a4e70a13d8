//! Entering and leaving a span's block.

use pyo3::exceptions::{PyException, PyStopIteration};
use pyo3::prelude::*;
use pyo3::types::PyMapping;
use scouter_span::StatusCode;

use super::{Entered, Phase, Span, end, record};
use crate::context;
use crate::otel::otel;
use crate::{interrupt, report};

/// Begins the span if it waits, and makes it current if that is its manner. What fails is reported, never raised; only what
/// interrupted the program's own code is, and then the span has ended and nothing is current.
#[inline]
pub(super) fn enter(slf: &Bound<'_, Span>) -> PyResult<()> {
    let (py, span) = (slf.py(), slf.get());
    let current = context::current(py).map_err(|error| report::error(py, "the context could not be read", &error)).ok();
    let waiting = match &mut span.lock(py).phase {
        // The name stays, for a second use of the object as a decorator it is still waiting for.
        Phase::Waiting { name, options } => Some((name.clone_ref(py), options.take())),
        Phase::Begun(_) | Phase::Nothing => None,
    };
    let mut baggage = None;
    if let Some((name, options)) = waiting {
        let tracer = span.tracer.get();
        let (begun, parent_flags) = tracer.begin(py, name.bind(py), options.as_deref(), current.as_ref());
        let mut inner = span.lock(py);
        inner.parent_flags = parent_flags;
        let before = std::mem::replace(&mut inner.phase, begun);
        drop(inner);
        drop(before);
        tracer.began(slf, options.as_deref())?;
        baggage = options.and_then(|options| options.baggage);
    } else if span.lock(py).baggage.is_some() {
        baggage = span.lock(py).baggage.take();
    }
    if span.manner.makes_current
        && let Some(current) = current
    {
        match make_current(slf, &current, baggage.as_ref()) {
            Ok(entered) => span.lock(py).push(entered),
            Err(error) => report::error(py, "a span could not be made current", &error),
        }
    }
    // Whose `__enter__` raises is never asked to `__exit__`.
    interrupt::hand_over().inspect_err(|_| leave(slf, None))
}

fn make_current(slf: &Bound<'_, Span>, current: &Bound<'_, PyAny>, baggage: Option<&Py<PyAny>>) -> PyResult<Entered> {
    let py = slf.py();
    let mut context = context::with_span(current, slf.as_any())?;
    if let Some(baggage) = baggage {
        match with_baggage(&context, baggage.bind(py)) {
            Ok(with) => context = with,
            Err(error) => {
                if let Some(error) = interrupt::swallow(py, error) {
                    report::error(py, "the baggage of a span could not be read, and was left out", &error);
                }
            }
        }
    }
    let token = context::attach(&context)?.unbind();
    Ok(Entered { token, context: context.unbind() })
}

pub(super) fn with_baggage<'py>(
    context: &Bound<'py, PyAny>,
    baggage: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    let set = otel(context.py())?.set_baggage.bind(context.py());
    let mut with = context.clone();
    for entry in baggage.cast::<PyMapping>()?.items()?.iter() {
        let (name, value) = entry.extract::<(Bound<'_, PyAny>, Bound<'_, PyAny>)>()?;
        with = set.call1((name, value, &with))?;
    }
    Ok(with)
}

/// Makes the former context current again, records an exception that leaves the block, and ends the span.
#[inline]
pub(super) fn exit(slf: &Bound<'_, Span>, exception: &Bound<'_, PyAny>) -> PyResult<()> {
    leave(slf, (!exception.is_none()).then_some(exception));
    interrupt::hand_over()
}

#[inline]
fn leave(slf: &Bound<'_, Span>, exception: Option<&Bound<'_, PyAny>>) {
    let (py, span) = (slf.py(), slf.get());
    let entered = span.lock(py).pop();
    if let Some(Entered { token, context }) = entered {
        if let Err(error) = context::detach(token.bind(py)) {
            report::error(py, "the context from before a span could not be made current again", &error);
        }
        drop(token);
        context::recycle(context.into_bound(py));
    }
    // What derives from BaseException only (an exit, a cancellation, a closed generator) is no error.
    if let Some(exception) = exception
        && exception.is_instance_of::<PyException>()
        && span.records(py)
    {
        if span.manner.records_exception {
            // As in the SDK, where only leaving the block of a span that is not current says so.
            record::record_exception(span, exception, None, None, !span.manner.makes_current);
        }
        if span.manner.sets_status {
            let words = record::exception_summary(exception);
            span.change(py, |span| span.set_status(StatusCode::Error, &words));
        }
    }
    if span.manner.ends
        && let Err(error) = end::end(slf, None)
    {
        // An interrupt of a processor; it is handed over with the others.
        interrupt::swallow(py, error);
    }
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
