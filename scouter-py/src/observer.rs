//! How long exports took, told to Python once somebody wants to know.

use std::sync::OnceLock;

use pyo3::prelude::*;

use scouter::export::{ExportObserver, ExportOperation};
use scouter::transport::Status;

use crate::report;

/// Tells every finished export to a function of Python, on the worker's thread.
#[derive(Debug, Default)]
pub(crate) struct Observer(OnceLock<Py<PyAny>>);

impl Observer {
    /// Begins to tell. A second function is told nothing.
    pub(crate) fn tell(&self, observer: Py<PyAny>) {
        // The first one is the one.
        let _ = self.0.set(observer);
    }
}

impl ExportObserver for Observer {
    fn exported(&self, operation: &ExportOperation<'_>) {
        let Some(observer) = self.0.get() else { return };
        let status = operation.status.map(|status| match status {
            Status::Http(code) => ("http", code),
            Status::Grpc(code) => ("grpc", code),
        });
        let error = operation.error.map(|error| error.name());
        let arguments = (operation.destination, operation.duration.as_secs_f64(), error, status);
        Python::try_attach(|py| {
            if let Err(error) = observer.call1(py, arguments) {
                report::error(py, "the duration of an export could not be recorded", &error);
            }
        });
    }
}
