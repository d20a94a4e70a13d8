//! Span processors: told when spans begin and end.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use bytes::Bytes;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};
use scouter_span::Ratio;

use super::{Failures, Role};
use crate::attached::Once;
use crate::context::variable;
use crate::span::Span;

/// Somebody to be told.
pub(crate) enum Hook {
    /// A span processor as the SDK has them.
    Processor(Py<PyAny>),
    /// A list that every sampled span of this part of the traces is put on as it ends.
    Keeper(Py<PyList>, Ratio),
}

/// The processors of a provider, in the order in which they came. The list grows at its end and never shrinks, so that a
/// span reads it without a lock.
#[derive(Default)]
pub(crate) struct Processors(OnceLock<Box<Link>>);

struct Link {
    hook: Hook,
    next: Processors,
}

/// True in whoever is called from here. Spans made there are not told to processors: that would have no end.
static CALLED: Once<Py<PyAny>> = Once::new();

fn called(py: Python<'_>) -> PyResult<&Bound<'_, PyAny>> {
    let make = || -> PyResult<_> {
        let arguments = PyDict::new(py);
        arguments.set_item("default", false)?;
        let variable = py.import("contextvars")?.getattr("ContextVar")?;
        Ok(variable.call(("scouter_processors_called",), Some(&arguments))?.unbind())
    };
    CALLED.get_or_try_init(py, make).map(|variable| variable.bind(py))
}

impl Processors {
    /// Whether there is nobody to be told: all that a program without processors pays for them.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.0.get().is_none()
    }

    pub(crate) fn add(&self, hook: Hook) {
        let mut link = Box::new(Link { hook, next: Self::default() });
        let mut end = self;
        while let Err(back) = end.0.set(link) {
            link = back;
            if let Some(taken) = end.0.get() {
                end = &taken.next;
            }
        }
    }

    fn iter(&self) -> impl Iterator<Item = &Hook> {
        std::iter::successors(self.0.get(), |link| link.next.0.get()).map(|link| &link.hook)
    }

    /// Calls every processor, one after the other, unless this is called by one.
    fn tell<'py>(
        &self,
        py: Python<'py>,
        failures: &Failures,
        what: &str,
        mut call: impl FnMut(&Bound<'py, PyAny>) -> PyResult<()>,
    ) -> PyResult<()> {
        let called = called(py)?;
        if variable::get(called)?.is_truthy()? {
            return Ok(());
        }
        let token = variable::set(called, true.into_pyobject(py)?.as_any())?;
        let mut told = Ok(());
        for hook in self.iter() {
            if let Hook::Processor(processor) = hook
                && let Err(error) = call(processor.bind(py))
            {
                told = failures.absorb(py, Role::Processor, what, error);
                if told.is_err() {
                    break;
                }
            }
        }
        variable::reset(called, &token)?;
        told
    }

    pub(crate) fn on_start(
        &self,
        span: &Bound<'_, Span>,
        parent: Option<&Bound<'_, PyAny>>,
        failures: &Failures,
    ) -> PyResult<()> {
        let py = span.py();
        let arguments = PyDict::new(py);
        arguments.set_item(intern!(py, "parent_context"), parent)?;
        self.tell(py, failures, "a span processor raised in on_start", |processor| {
            processor.call_method(intern!(py, "on_start"), (span,), Some(&arguments)).map(drop)
        })
    }

    /// The last moment in which a span can be changed. The SDK's name for it begins with an underscore, the
    /// specification's does not.
    pub(crate) fn on_ending(&self, span: &Bound<'_, Span>, failures: &Failures) -> PyResult<()> {
        let py = span.py();
        self.tell(py, failures, "a span processor raised in on_ending", |processor| {
            let method = match processor.getattr_opt(intern!(py, "_on_ending"))? {
                Some(method) => Some(method),
                None => processor.getattr_opt(intern!(py, "on_ending"))?,
            };
            method.map_or(Ok(()), |method| method.call1((span,)).map(drop))
        })
    }

    pub(crate) fn on_end(&self, span: &Bound<'_, Span>, failures: &Failures) -> PyResult<()> {
        let py = span.py();
        for hook in self.iter() {
            if let Hook::Keeper(list, ratio) = hook
                && let Some(context) = span.get().span_context(py)
                && context.is_sampled()
                && ratio.contains(context.trace_id)
            {
                list.bind(py).append(span.get().finished(py)?)?;
            }
        }
        self.tell(py, failures, "a span processor raised in on_end", |processor| {
            processor.call_method1(intern!(py, "on_end"), (span,)).map(drop)
        })
    }

    /// Flushes one after the other, each within what time is left; false when one says so, fails or has no time left.
    pub(crate) fn force_flush(&self, py: Python<'_>, timeout: Duration, failures: &Failures) -> PyResult<bool> {
        let begun = Instant::now();
        let mut flushed = true;
        for hook in self.iter() {
            let Hook::Processor(processor) = hook else { continue };
            flushed &=
                flush(py, processor.bind(py), timeout.saturating_sub(begun.elapsed()), failures, Role::Processor)?;
        }
        Ok(flushed)
    }

    pub(crate) fn shutdown(&self, py: Python<'_>, failures: &Failures) -> PyResult<()> {
        for hook in self.iter() {
            let Hook::Processor(processor) = hook else { continue };
            if let Some(method) = processor.bind(py).getattr_opt(intern!(py, "shutdown"))?
                && let Err(error) = method.call0()
            {
                failures.absorb(py, Role::Processor, "a span processor raised in shutdown", error)?;
            }
        }
        Ok(())
    }
}

/// Calls a plug-in's `force_flush`. One without has nothing to flush; one that answers nothing has flushed.
pub(super) fn flush(
    py: Python<'_>,
    plugin: &Bound<'_, PyAny>,
    timeout: Duration,
    failures: &Failures,
    role: Role,
) -> PyResult<bool> {
    let Some(method) = plugin.getattr_opt(intern!(py, "force_flush"))? else { return Ok(true) };
    if timeout.is_zero() {
        return Ok(false);
    }
    let millis = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX).max(1);
    match method.call1((millis,)).and_then(|answer| Ok(answer.is_none() || answer.is_truthy()?)) {
        Ok(flushed) => Ok(flushed),
        Err(error) => {
            failures.absorb(py, role, "a plug-in raised in force_flush", error)?;
            Ok(false)
        }
    }
}

impl Span {
    /// The span as it ended.
    fn finished(&self, py: Python<'_>) -> PyResult<crate::span::FinishedSpan> {
        let tracer = self.tracer();
        let bytes = Bytes::from(self.bytes(py));
        Ok(crate::span::FinishedSpan::new(bytes, tracer.resource(py), tracer.scope(py)?, Some(self.parent_flags(py))))
    }
}
