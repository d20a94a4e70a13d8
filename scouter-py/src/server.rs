//! `scouter server`.

use pyo3::prelude::*;

/// Runs the server until it is told to stop, and returns its exit code.
#[pyfunction]
pub(crate) fn run_server(py: Python<'_>, arguments: Vec<String>) -> u8 {
    py.detach(|| scouter_server::run(arguments))
}
