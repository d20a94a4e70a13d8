//! The context in which a generator's own code runs.

use pyo3::prelude::*;
use pyo3::{PyTraverseError, PyVisit};

use super::Span;
use super::enter::with_baggage;
use crate::attached::Attached;
use crate::{context, interrupt, report};

/// Entered for every step of a generator, and kept as its code left it. The span is current inside, and nowhere else.
#[pyclass(frozen, module = "scouter._scouter")]
pub(crate) struct Body(Attached<Inner>);

struct Inner {
    /// The context for the next step.
    context: Option<Py<PyAny>>,
    /// Makes the context current again that was current before this step.
    token: Option<Py<PyAny>>,
}

#[pymethods]
impl Body {
    #[new]
    #[pyo3(signature = (span, baggage=None))]
    fn new(span: &Bound<'_, Span>, baggage: Option<&Bound<'_, PyAny>>) -> PyResult<Self> {
        let py = span.py();
        let mut context = context::with_span(&context::current(py)?, span.as_any())?;
        if let Some(baggage) = baggage {
            match with_baggage(&context, baggage) {
                Ok(with) => context = with,
                Err(error) => {
                    if let Some(error) = interrupt::swallow(py, error) {
                        report::error(py, "the baggage of a span could not be read, and was left out", &error);
                    }
                }
            }
        }
        Ok(Self(Attached::new(Inner { context: Some(context.unbind()), token: None })))
    }

    fn __enter__(&self, py: Python<'_>) -> PyResult<()> {
        let context = self.0.lock(py).context.as_ref().map(|context| context.clone_ref(py));
        let Some(context) = context else { return Ok(()) };
        let token = context::attach(context.bind(py))?.unbind();
        let before = self.0.lock(py).token.replace(token);
        drop(before);
        Ok(())
    }

    fn __exit__(
        &self,
        py: Python<'_>,
        _kind: &Bound<'_, PyAny>,
        _exception: &Bound<'_, PyAny>,
        _traceback: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        let left = context::current(py)?.unbind();
        let mut inner = self.0.lock(py);
        let before = inner.context.replace(left);
        let token = inner.token.take();
        drop(inner);
        drop(before);
        if let Some(token) = token
            && let Err(error) = context::detach(token.bind(py))
        {
            report::error(py, "the context from before a generator's step could not be made current again", &error);
        }
        Ok(())
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.0.traverse(|inner| {
            [&inner.context, &inner.token].into_iter().flatten().try_for_each(|held| visit.call(held))
        })
    }

    fn __clear__(&self, py: Python<'_>) {
        let mut inner = self.0.lock(py);
        let held = (inner.context.take(), inner.token.take());
        drop(inner);
        drop(held);
    }
}
