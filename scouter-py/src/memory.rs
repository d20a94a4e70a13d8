//! A destination in memory, for users' tests.

use bytes::Bytes;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList};
use scouter::transport::Signal;
use scouter::transport::memory::Memory;
use scouter_client::Record;
use scouter_span::view::{LogsRequest, SpanView, TraceRequest};

use crate::errors;
use crate::otel::otel;
use crate::span::read;

/// Keeps what is sent to it. Stands behind `MockConfig`.
#[pyclass(frozen, module = "scouter._scouter")]
pub(crate) struct MemoryTransport(Memory);

impl MemoryTransport {
    pub(crate) fn memory(&self) -> Memory {
        self.0.clone()
    }

    fn bodies(&self, signal: Signal) -> Vec<Bytes> {
        let payloads = self.0.payloads().into_iter();
        payloads.filter(|payload| payload.signal == signal).map(|payload| payload.body).collect()
    }
}

/// The records of these requests as a list in JSON, each as the server answers it.
pub(crate) fn records_json(py: Python<'_>, requests: impl IntoIterator<Item = Bytes> + Send) -> PyResult<String> {
    let written = py.detach(|| {
        let mut records = Vec::new();
        for body in requests {
            let Ok(request) = LogsRequest::parse(&body) else { continue };
            for resource in request.resource_logs() {
                for scope in resource.scope_logs() {
                    let read = |record| Record::read(record, resource.resource(), scope.scope(), scope.schema_url());
                    records.extend(scope.records().map(read));
                }
            }
        }
        serde_json::to_string(&records)
    });
    written.map_err(|error| errors::server(py, &error.to_string()))
}

#[pymethods]
impl MemoryTransport {
    #[new]
    fn new() -> Self {
        Self(Memory::default())
    }

    /// The bodies of all requests with spans so far, each an OTLP `ExportTraceServiceRequest`.
    #[getter]
    fn requests<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        PyList::new(py, self.bodies(Signal::Traces).iter().map(|body| PyBytes::new(py, body)))
    }

    /// The bodies of all requests with records so far, each an OTLP `ExportLogsServiceRequest`.
    #[getter]
    fn record_requests<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        PyList::new(py, self.bodies(Signal::Logs).iter().map(|body| PyBytes::new(py, body)))
    }

    /// All records so far, as JSON text.
    fn records(&self, py: Python<'_>) -> PyResult<String> {
        records_json(py, self.bodies(Signal::Logs))
    }

    /// All spans so far, as dicts.
    fn spans<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let spans = PyList::empty(py);
        for body in self.bodies(Signal::Traces) {
            let Ok(request) = TraceRequest::parse(&body) else { continue };
            for resource in request.resource_spans() {
                for scope in resource.scope_spans() {
                    for span in scope.spans() {
                        let dict = span_dict(py, span)?;
                        dict.set_item("resource", read::attributes_dict(py, resource.resource().attributes())?)?;
                        dict.set_item("scope", scope.scope().name())?;
                        spans.append(dict)?;
                    }
                }
            }
        }
        Ok(spans)
    }

    /// Forgets everything so far.
    fn clear(&self) {
        self.0.take();
    }
}

fn span_dict<'py>(py: Python<'py>, span: SpanView<'_>) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    dict.set_item("trace_id", span.trace_id().map_or_else(|_| String::new(), |id| id.to_string()))?;
    dict.set_item("span_id", span.span_id().map_or_else(|_| String::new(), |id| id.to_string()))?;
    dict.set_item("parent_span_id", span.parent_span_id().map(|id| id.to_string()))?;
    dict.set_item("trace_state", span.trace_state())?;
    dict.set_item("name", span.name())?;
    dict.set_item("kind", otel(py)?.kind(span.kind()))?;
    dict.set_item("start_time", span.start_time())?;
    dict.set_item("end_time", span.end_time())?;
    dict.set_item("attributes", read::attributes_dict(py, span.attributes())?)?;
    let events = PyList::empty(py);
    for event in span.events() {
        let entry = PyDict::new(py);
        entry.set_item("name", event.name())?;
        entry.set_item("time", event.time())?;
        entry.set_item("attributes", read::attributes_dict(py, event.attributes())?)?;
        events.append(entry)?;
    }
    dict.set_item("events", events)?;
    let links = PyList::empty(py);
    for link in span.links() {
        let entry = PyDict::new(py);
        entry.set_item("trace_id", link.trace_id().map_or_else(|_| String::new(), |id| id.to_string()))?;
        entry.set_item("span_id", link.span_id().map_or_else(|_| String::new(), |id| id.to_string()))?;
        entry.set_item("attributes", read::attributes_dict(py, link.attributes())?)?;
        links.append(entry)?;
    }
    dict.set_item("links", links)?;
    dict.set_item("status", span.status().code.name())?;
    dict.set_item("status_message", span.status().message)?;
    dict.set_item("flags", span.flags())?;
    Ok(dict)
}
