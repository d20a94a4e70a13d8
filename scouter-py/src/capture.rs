//! Copies of ended spans, for whoever wants to look at them in this process.

use bytes::Bytes;
use pyo3::prelude::*;
use scouter::export::{CaptureLimit, LocalCapture};
use scouter_span::TraceId;

use crate::errors;
use crate::span::{FinishedSpan, read_request};

/// As many spans as this; of bytes as many as the pipeline keeps by default.
pub(crate) fn limit(spans: usize) -> CaptureLimit {
    CaptureLimit { spans, ..CaptureLimit::default() }
}

/// Everything that is kept, taken out.
pub(crate) fn drain(py: Python<'_>, capture: &LocalCapture) -> PyResult<Vec<Py<FinishedSpan>>> {
    let request = py.detach(|| capture.drain());
    in_order(py, request)
}

/// A copy of what is kept of these traces.
pub(crate) fn of_traces(
    py: Python<'_>,
    capture: &LocalCapture,
    trace_ids: &[String],
) -> PyResult<Vec<Py<FinishedSpan>>> {
    let parsed = trace_ids.iter().map(|text| {
        text.parse::<TraceId>().map_err(|error| {
            errors::config(py, &format!("trace_ids has {text:?}: {error}; give 32 hexadecimal digits each"))
        })
    });
    let parsed = parsed.collect::<PyResult<Vec<_>>>()?;
    let request = py.detach(|| capture.by_trace_ids(&parsed));
    in_order(py, request)
}

/// The spans of a request in the order in which they ended.
fn in_order(py: Python<'_>, request: Vec<u8>) -> PyResult<Vec<Py<FinishedSpan>>> {
    let request = Bytes::from(request);
    let mut spans: Vec<_> = read_request(py, &request)?.into_iter().map(|span| (span.get().ended(), span)).collect();
    spans.sort_by_key(|(ended, _)| *ended);
    Ok(spans.into_iter().map(|(_, span)| span).collect())
}
