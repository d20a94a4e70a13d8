//! Asking a Scouter server.

use std::fmt::Display;
use std::future::Future;
use std::time::Duration;

use pyo3::prelude::*;
use scouter_client::{Client as HttpClient, ClientConfig, Error, ErrorKind, RecordFilters, TagFilters, TraceFilters};
use scouter_span::TraceId;
use serde::Serialize;
use serde_json::{Map, Value};
use tokio::runtime::{Builder, Runtime};

use crate::errors;

/// Asks one server. Answers are JSON texts, which the Python package makes objects of.
#[pyclass(frozen, module = "scouter._scouter")]
pub(crate) struct Client(ClientConfig);

impl Client {
    /// Asks without the interpreter's lock, on a runtime for this one question: a client may be used after a fork.
    fn ask<T: Serialize + Send, F: Future<Output = Result<T, Error>>>(
        &self,
        py: Python<'_>,
        question: impl FnOnce(HttpClient) -> F + Send,
    ) -> PyResult<String> {
        let config = self.0.clone();
        let answer = py.detach(move || {
            let runtime = runtime()?;
            let client = HttpClient::new(config).map_err(Failure::Client)?;
            let answer = runtime.block_on(question(client)).map_err(Failure::Client)?;
            serde_json::to_string(&answer).map_err(|error| Failure::Other(error.to_string()))
        });
        answer.map_err(|failure| match failure {
            Failure::Client(error) => raised(py, &error),
            Failure::Other(text) => errors::server(py, &text),
        })
    }
}

enum Failure {
    Client(Error),
    Other(String),
}

fn runtime() -> Result<Runtime, Failure> {
    let made = Builder::new_current_thread().enable_all().build();
    made.map_err(|error| Failure::Other(format!("no runtime for the question: {error}")))
}

fn raised(py: Python<'_>, error: &Error) -> PyErr {
    let text = error.to_string();
    match error.kind() {
        ErrorKind::Unreachable => errors::connection(py, &text),
        ErrorKind::Timeout => errors::timeout(py, &text),
        ErrorKind::NotFound => errors::not_found(py, &text),
        ErrorKind::InvalidConfig | ErrorKind::BadRequest => errors::config(py, &text),
        _ => errors::server(py, &text),
    }
}

fn filters<T, E: Display>(
    py: Python<'_>,
    json: &str,
    read: impl FnOnce(&Map<String, Value>) -> Result<T, E>,
) -> PyResult<T> {
    let fail = |text: String| errors::config(py, &text);
    let object = serde_json::from_str(json).map_err(|error| fail(error.to_string()))?;
    read(&object).map_err(|error| fail(error.to_string()))
}

#[pymethods]
impl Client {
    #[new]
    #[pyo3(signature = (base_url, token=None, timeout=30.0))]
    fn new(py: Python<'_>, base_url: String, token: Option<String>, timeout: f64) -> PyResult<Self> {
        let limit = Duration::try_from_secs_f64(timeout).ok().filter(|limit| !limit.is_zero());
        let text = || errors::config(py, &format!("timeout is a number of seconds above 0, not {timeout}"));
        let config = ClientConfig { uri: base_url, token, timeout: limit.ok_or_else(text)? };
        // Whatever cannot work is told at once, not at the first question.
        HttpClient::new(config.clone()).map_err(|error| raised(py, &error))?;
        Ok(Self(config))
    }

    /// One trace as JSON text.
    fn trace(&self, py: Python<'_>, trace_id: &str) -> PyResult<String> {
        let id: TraceId = trace_id.parse().map_err(|error| {
            errors::config(py, &format!("trace_id is 32 hexadecimal digits, not {trace_id:?}: {error}"))
        })?;
        self.ask(py, move |client| async move { client.trace(id).await })
    }

    /// A page of traces as JSON text.
    fn search(&self, py: Python<'_>, filters: &str) -> PyResult<String> {
        let filters = self::filters(py, filters, TraceFilters::from_json)?;
        self.ask(py, move |client| async move { client.search(&filters).await })
    }

    /// The spans of the traces that match, as JSON text.
    fn spans(&self, py: Python<'_>, filters: &str) -> PyResult<String> {
        let filters = self::filters(py, filters, TraceFilters::from_json)?;
        self.ask(py, move |client| async move { client.spans(&filters).await })
    }

    /// A page of records as JSON text.
    fn records(&self, py: Python<'_>, filters: &str) -> PyResult<String> {
        let filters = self::filters(py, filters, RecordFilters::from_json)?;
        self.ask(py, move |client| async move { client.records(&filters).await })
    }

    /// Tags as JSON text.
    fn tags(&self, py: Python<'_>, filters: &str) -> PyResult<String> {
        let filters = self::filters(py, filters, TagFilters::from_json)?;
        self.ask(py, move |client| async move { client.tags(&filters).await })
    }

    /// The names of all services, as JSON text.
    fn services(&self, py: Python<'_>) -> PyResult<String> {
        self.ask(py, |client| async move { client.services().await })
    }

    fn __repr__(&self) -> &'static str {
        "Client(...)"
    }
}
