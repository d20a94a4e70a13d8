//! Python's standard output, for what prints to the console from below.

use std::io::{self, Write};

use pyo3::prelude::*;

/// Whatever `sys.stdout` is at the moment of writing: programs and tests replace it.
#[derive(Debug)]
pub(crate) struct Stdout;

fn call(method: &str, arguments: impl FnOnce(Python<'_>) -> PyResult<Vec<Py<PyAny>>>) -> io::Result<()> {
    let called = Python::try_attach(|py| -> PyResult<()> {
        let stdout = py.import("sys")?.getattr("stdout")?;
        // A program without a console has none.
        if stdout.is_none() {
            return Ok(());
        }
        let arguments = pyo3::types::PyTuple::new(py, arguments(py)?)?;
        stdout.call_method1(method, arguments).map(drop)
    });
    match called {
        Some(Ok(())) => Ok(()),
        Some(Err(error)) => Err(io::Error::other(error.to_string())),
        None => Err(io::Error::other("the interpreter is going away")),
    }
}

impl Write for Stdout {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(bytes);
        call("write", |py| Ok(vec![text.into_pyobject(py)?.into_any().unbind()]))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        call("flush", |_| Ok(Vec::new()))
    }
}
