//! Queues of records, as Python sees them.

mod ends;
mod profile;
mod reading;
mod records;
mod stats;

use std::sync::Arc;

use bytes::Bytes;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use scouter::export::{CaptureLimit, LocalCapture};
use scouter::queue::{Outcome, RecordQueue as Core, Rejected};
use scouter_span::SpanContext;

use crate::arguments::{Millis, Text};
use crate::report::Logger;
use crate::{context, errors, interrupt, report, settings};

pub(crate) use ends::{_begin_ending_queues, _end_queues, Shared};
pub(crate) use profile::Profile;
pub(crate) use records::{EvalRecord, Feature, Features, Metric, Metrics};

/// A record whose text is longer is checked and encoded without the interpreter's lock.
const LONG: usize = 16 << 10;

/// Takes records by alias. The Python package's `ScouterQueue` derives from it.
#[pyclass(frozen, subclass, weakref, module = "scouter._scouter")]
pub(crate) struct ScouterQueue(Arc<Shared>);

/// The way in for the records of one profile.
#[pyclass(frozen, weakref, module = "scouter._scouter")]
pub(crate) struct RecordQueue {
    shared: Arc<Shared>,
    queue: Arc<Core>,
}

impl ScouterQueue {
    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.0
    }
}

/// Puts a record into the queue of this alias. It belongs to this span if there is one. Raises for an unknown alias, and
/// hands over what has interrupted the record's own code.
pub(crate) fn insert(
    shared: &Shared,
    alias: &str,
    record: &Bound<'_, PyAny>,
    span: Option<&SpanContext>,
) -> PyResult<()> {
    let queue = find(record.py(), shared, alias)?;
    insert_into(shared, queue, record, span)
}

fn insert_into(shared: &Shared, queue: &Core, record: &Bound<'_, PyAny>, span: Option<&SpanContext>) -> PyResult<()> {
    if shared.get().is_enabled() && !span.is_some_and(|span| queue.passes_over(span)) {
        insert_kept(queue, record, span);
    }
    interrupt::hand_over()
}

/// The same for a record of this very span; of one that stands for nothing, no record is kept.
pub(crate) fn insert_of(
    shared: &Shared,
    alias: &str,
    record: &Bound<'_, PyAny>,
    span: Option<&SpanContext>,
) -> PyResult<()> {
    match span {
        Some(span) => insert(shared, alias, record, Some(span)),
        None => find(record.py(), shared, alias).map(drop),
    }
}

fn insert_kept(queue: &Core, given: &Bound<'_, PyAny>, span: Option<&SpanContext>) {
    let py = given.py();
    let outcome = match reading::record(given, queue.profile().kind()) {
        Ok(record) if record.length > LONG => py.detach(|| queue.insert(&record.record, span)),
        Ok(record) => queue.insert(&record.record, span),
        Err(misfit) => queue.reject(misfit.rejected(queue.alias())),
    };
    if let Outcome::Rejected(why) = &outcome {
        tell(py, why);
    }
}

#[cold]
fn tell(py: Python<'_>, why: &Rejected) {
    // Not by the names that the record has: there may be any number of them, and each would be news.
    let part = why.field.split('"').next().unwrap_or_default();
    let kind = format!("record {} {part} {}", why.profile, why.expected);
    report::of_kind(py, &kind, &format!("a record was rejected: {why}"));
}

fn find<'a>(py: Python<'_>, shared: &'a Shared, alias: &str) -> PyResult<&'a Arc<Core>> {
    shared.get().queue(alias).map_err(|unknown| errors::unknown_alias(py, &unknown.to_string()))
}

/// The span that is current in OpenTelemetry, whoever made it.
fn current_span(py: Python<'_>) -> Option<SpanContext> {
    context::parent_in(py, None).unwrap_or_else(|error| {
        if let Some(error) = interrupt::swallow(py, error) {
            report::error(py, "the current span could not be read, so a record belongs to none", &error);
        }
        None
    })
}

#[pymethods]
impl ScouterQueue {
    #[new]
    fn new(profiles: Vec<(String, Py<Profile>)>, settings: &Bound<'_, PyDict>) -> PyResult<Self> {
        let py = settings.py();
        let (mut settings, _) = settings::read(settings)?;
        settings.reporter = Arc::new(Logger { noun: "records" });
        for complaint in &settings.complaints {
            report::once(py, complaint);
        }
        let profiles: Vec<_> =
            profiles.iter().map(|(alias, profile)| (alias.clone(), profile.get().core().clone())).collect();
        let made = py.detach(|| scouter::queue::ScouterQueue::from_profiles(&settings, profiles));
        let queue = made.map_err(|error| errors::config(py, &error.to_string()))?;
        Ok(Self(Shared::new(queue)))
    }

    fn __getitem__(&self, py: Python<'_>, alias: Text<'_>) -> PyResult<RecordQueue> {
        let queue = find(py, &self.0, &alias.0)?;
        Ok(RecordQueue { shared: Arc::clone(&self.0), queue: Arc::clone(queue) })
    }

    fn __contains__(&self, alias: &Bound<'_, PyAny>) -> bool {
        alias.extract::<&str>().is_ok_and(|alias| self.0.get().queue(alias).is_ok())
    }

    fn __len__(&self) -> usize {
        self.0.get().queues().count()
    }

    /// The aliases, in alphabetical order.
    #[getter]
    fn aliases(&self) -> Vec<String> {
        self.0.get().queues().map(|queue| queue.alias().to_owned()).collect()
    }

    /// Puts a record into the queue of this alias. It belongs to the current span.
    #[pyo3(signature = (alias, record, /))]
    fn insert(&self, alias: Text<'_>, record: &Bound<'_, PyAny>) -> PyResult<()> {
        insert(&self.0, &alias.0, record, current_span(record.py()).as_ref())
    }

    /// What has become of every record.
    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        stats::queue(py, self.0.get())
    }

    /// Keeps no more copies of records, and lets go of those there are.
    fn disable_capture(&self) {
        if let Some(capture) = self.0.get().capture() {
            capture.disable();
        }
    }

    fn _enable_capture(&self, limit: usize) {
        if let Some(capture) = self.0.get().capture() {
            capture.enable(CaptureLimit { spans: limit, ..CaptureLimit::default() });
        }
    }

    /// The copies as JSON text, taken out.
    fn _drain(&self, py: Python<'_>) -> PyResult<String> {
        let drain = || self.0.get().capture().map(LocalCapture::drain).unwrap_or_default();
        let request = py.detach(drain);
        crate::memory::records_json(py, [Bytes::from(request)])
    }

    fn _flush(&self, py: Python<'_>, timeout_millis: Millis) -> bool {
        py.detach(|| self.0.get().flush(timeout_millis.duration()).is_ok())
    }

    fn _shutdown(&self, py: Python<'_>, timeout_millis: Millis) -> bool {
        py.detach(|| self.0.get().shutdown(timeout_millis.duration()).is_ok())
    }
}

#[pymethods]
impl RecordQueue {
    /// Takes a record: it is checked, and sent with others. Inside a span it belongs to that span.
    #[pyo3(signature = (record, /))]
    fn insert(&self, record: &Bound<'_, PyAny>) -> PyResult<()> {
        insert_into(&self.shared, &self.queue, record, current_span(record.py()).as_ref())
    }

    /// What the program calls it.
    #[getter]
    fn alias(&self) -> &str {
        self.queue.alias()
    }

    /// What its records look like.
    #[getter]
    fn profile(&self) -> Profile {
        Profile::new_from(self.queue.profile().clone())
    }

    /// What has become of the records of this alias.
    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        stats::records(py, self.queue.stats())
    }

    fn __repr__(&self) -> String {
        format!("RecordQueue({:?})", self.queue.alias())
    }
}
