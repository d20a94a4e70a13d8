//! An id generator in Python, asked by the tracer.

use std::sync::Arc;

use pyo3::exceptions::PyValueError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyString;
use scouter_span::id::{IdGenerator, RandomIds};
use scouter_span::{SpanId, TraceId};

use super::{Failures, Role};

/// An object with the methods of the SDK's `IdGenerator`. What it gives that is no id is replaced by a random one.
#[derive(Debug)]
pub(crate) struct Ids {
    generator: Py<PyAny>,
    failures: Arc<Failures>,
}

impl Ids {
    pub(crate) fn new(generator: Py<PyAny>, failures: Arc<Failures>) -> Self {
        Self { generator, failures }
    }

    fn ask<T>(&self, ask: impl FnOnce(&Bound<'_, PyAny>) -> PyResult<T>) -> Option<T> {
        let asked = Python::try_attach(|py| {
            let what = "an id generator failed, and a random id was taken";
            let failed = |error| self.failures.absorb_and_keep(py, Role::IdGenerator, what, error);
            ask(self.generator.bind(py)).map_err(failed)
        });
        asked.and_then(Result::ok)
    }
}

fn wrong(kind: &str, bits: u32, given: &Bound<'_, PyAny>) -> PyErr {
    PyValueError::new_err(format!("a {kind} id is an int from 1 to 2**{bits} - 1, not {given}"))
}

fn call<'py>(generator: &Bound<'py, PyAny>, method: &Bound<'py, PyString>) -> PyResult<Bound<'py, PyAny>> {
    generator.call_method0(method)
}

impl IdGenerator for Ids {
    fn new_trace_id(&self) -> TraceId {
        let given = self.ask(|generator| {
            let given = call(generator, intern!(generator.py(), "generate_trace_id"))?;
            given.extract().ok().and_then(TraceId::from_int).ok_or_else(|| wrong("trace", 128, &given))
        });
        given.unwrap_or_else(|| RandomIds.new_trace_id())
    }

    fn new_span_id(&self) -> SpanId {
        let given = self.ask(|generator| {
            let given = call(generator, intern!(generator.py(), "generate_span_id"))?;
            given.extract().ok().and_then(SpanId::from_int).ok_or_else(|| wrong("span", 64, &given))
        });
        given.unwrap_or_else(|| RandomIds.new_span_id())
    }

    fn is_random(&self) -> bool {
        let answer = self.ask(|generator| {
            let method = generator.getattr_opt(intern!(generator.py(), "is_trace_id_random"))?;
            method.map_or(Ok(false), |method| method.call0()?.is_truthy())
        });
        answer.unwrap_or(false)
    }
}
