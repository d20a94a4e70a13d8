//! Numbers of queues, as dicts.

use pyo3::prelude::*;
use pyo3::types::PyDict;
use scouter::queue::{RecordStats, ScouterQueue};

use crate::provider::destination_dict;

/// Nothing when the SDK is disabled.
pub(super) fn queue<'py>(py: Python<'py>, queue: &ScouterQueue) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    let Some(stats) = queue.stats() else { return Ok(dict) };
    let records_by_alias = PyDict::new(py);
    for (alias, stats) in &stats.records {
        records_by_alias.set_item(alias, records(py, *stats)?)?;
    }
    dict.set_item("records", records_by_alias)?;
    dict.set_item("started", stats.export.started)?;
    dict.set_item("pending", stats.export.pending)?;
    dict.set_item("pending_bytes", stats.export.pending_bytes)?;
    dict.set_item("panics", stats.export.panics)?;
    let destinations = PyDict::new(py);
    for destination in &stats.export.destinations {
        destinations.set_item(&destination.name, destination_dict(py, destination)?)?;
    }
    dict.set_item("destinations", destinations)?;
    let capture = PyDict::new(py);
    capture.set_item("enabled", queue.capture().is_some_and(|capture| capture.is_enabled()))?;
    capture.set_item("dropped", queue.capture().map_or(0, |capture| capture.dropped()))?;
    dict.set_item("capture", capture)?;
    Ok(dict)
}

/// `inserted == accepted + sampled_out + rejected + turned_away`.
pub(super) fn records<'py>(py: Python<'py>, stats: RecordStats) -> PyResult<Bound<'py, PyDict>> {
    let RecordStats { inserted, accepted, sampled_out, rejected, turned_away } = stats;
    let dict = PyDict::new(py);
    for (name, number) in [
        ("inserted", inserted),
        ("accepted", accepted),
        ("sampled_out", sampled_out),
        ("rejected", rejected),
        ("turned_away", turned_away),
    ] {
        dict.set_item(name, number)?;
    }
    Ok(dict)
}
