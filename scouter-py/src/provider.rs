//! The tracer provider that Python sees.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use pyo3::prelude::*;
use pyo3::types::PyDict;
use scouter::Scouter;
use scouter::export::{DestinationStats, LocalCapture, Stats};
use scouter_span::Scope;

use crate::arguments::{Millis, Text};
use crate::attached::Attached;
use crate::plugins::{Hook, Plugins};
use crate::queue::{ScouterQueue, Shared};
use crate::span::{FinishedSpan, Resource};
use crate::tracer::Tracer;
use crate::{capture, report, settings};

/// Makes tracers. The Python package's `TracerProvider` derives from it.
#[pyclass(frozen, subclass, weakref, module = "scouter._scouter")]
pub(crate) struct TracerProvider {
    state: Arc<State>,
    resource: Py<Resource>,
}

/// What a provider and its tracers share.
pub(crate) struct State {
    scouter: Option<Arc<Scouter>>,
    pub(crate) plugins: Plugins,
    /// Whether the processors were told of the end.
    shut_down: AtomicBool,
    /// Where `insert_queue_item` of a span puts records.
    queue: Attached<Option<Arc<Shared>>>,
    /// Records of spans that found no queue.
    records_without_queue: AtomicU64,
}

/// Pipelines whose provider and tracers are gone, and which send what is left. Nobody waits for them before the exit.
static CLOSING: Mutex<Vec<Arc<Scouter>>> = Mutex::new(Vec::new());
/// How long such a pipeline goes on.
const CLOSING_DEADLINE: Duration = Duration::from_secs(5);

impl State {
    fn scouter(&self) -> Option<&Scouter> {
        self.scouter.as_deref()
    }

    /// Lets the processors, the pipeline and the exporters send what they have. Waits without the interpreter's lock. Who
    /// calls learns the outcome, so it is not logged.
    pub(crate) fn flush(&self, py: Python<'_>, timeout: Millis) -> PyResult<bool> {
        let Some(scouter) = self.scouter() else { return Ok(true) };
        let (timeout, begun) = (timeout.duration(), Instant::now());
        let Plugins { processors, exporters, failures, .. } = &self.plugins;
        let mut flushed = processors.force_flush(py, timeout, failures)?;
        flushed &= py.detach(|| scouter.flush(timeout.saturating_sub(begun.elapsed())).is_ok());
        for exporter in exporters {
            flushed &= exporter.force_flush(py, timeout.saturating_sub(begun.elapsed()))?;
        }
        Ok(flushed)
    }

    pub(crate) fn shutdown(&self, py: Python<'_>, timeout: Millis) -> PyResult<bool> {
        let Some(scouter) = self.scouter() else { return Ok(true) };
        let (timeout, begun) = (timeout.duration(), Instant::now());
        let Plugins { processors, failures, .. } = &self.plugins;
        if !processors.is_empty() && !self.shut_down.swap(true, Ordering::AcqRel) {
            // The pipeline sends while the processors finish.
            scouter.begin_shutdown(timeout);
            processors.shutdown(py, failures)?;
        }
        Ok(py.detach(|| scouter.shutdown(timeout.saturating_sub(begun.elapsed())).is_ok()))
    }

    /// Where spans put records from now on.
    pub(crate) fn set_queue(&self, py: Python<'_>, queue: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        let shared = |queue: &Bound<'_, PyAny>| match queue.cast::<ScouterQueue>() {
            Ok(queue) => Ok(Arc::clone(queue.get().shared())),
            Err(_) => {
                let kind = crate::text::type_name(queue);
                Err(crate::errors::config_type(py, &format!("queue must be a ScouterQueue, not {kind}")))
            }
        };
        let queue = queue.map(shared).transpose()?;
        let before = std::mem::replace(&mut *self.queue.lock(py), queue);
        drop(before);
        Ok(())
    }

    /// Where spans put records; counts one that finds none.
    pub(crate) fn queue(&self, py: Python<'_>) -> Option<Arc<Shared>> {
        let queue = self.queue.lock(py).clone();
        if queue.is_none() {
            self.records_without_queue.fetch_add(1, Ordering::Relaxed);
        }
        queue
    }

    fn capture(&self) -> Option<&LocalCapture> {
        self.scouter().and_then(Scouter::capture)
    }

    fn capture_dict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let dict = PyDict::new(py);
        dict.set_item("enabled", self.capture().is_some_and(LocalCapture::is_enabled))?;
        dict.set_item("dropped", self.capture().map_or(0, LocalCapture::dropped))?;
        Ok(dict)
    }

    pub(crate) fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        Ok(match self.scouter().and_then(Scouter::stats) {
            Some(stats) => {
                let dict = stats_dict(py, &stats)?;
                dict.set_item("queue_capacity", self.plugins.queue_capacity)?;
                dict.set_item("capture", self.capture_dict(py)?)?;
                dict.set_item("records_without_queue", self.records_without_queue.load(Ordering::Relaxed))?;
                dict.set_item("plugin_failures", self.plugins.failures.total())?;
                dict.set_item("plugin_failures_by_role", self.plugins.failures.dict(py)?)?;
                dict.into_any()
            }
            None => PyDict::new(py).into_any(),
        })
    }
}

impl Drop for State {
    /// The last provider or tracer goes away, possibly in the middle of the user's program: nothing may wait here.
    fn drop(&mut self) {
        let Some(scouter) = self.scouter.take().filter(|scouter| !scouter.provider().is_closed()) else { return };
        scouter.begin_shutdown(CLOSING_DEADLINE);
        let mut closing = CLOSING.lock().unwrap_or_else(PoisonError::into_inner);
        closing.retain(|scouter| !is_done(scouter));
        closing.push(scouter);
    }
}

/// Whether every span of a closed pipeline has met its fate.
fn is_done(scouter: &Scouter) -> bool {
    let queued = |stats: Stats| stats.destinations.iter().any(|destination| destination.queued > 0);
    !scouter.stats().is_some_and(queued)
}

/// Flushes several providers at the same time: one whose destinations hang holds up none of the others.
#[pyfunction]
pub(crate) fn _flush_all(py: Python<'_>, providers: Vec<Py<TracerProvider>>, timeout_millis: Millis) -> PyResult<bool> {
    let (timeout, begun) = (timeout_millis.duration(), Instant::now());
    let states: Vec<_> = providers.iter().map(|provider| Arc::clone(&provider.get().state)).collect();
    let left = || timeout.saturating_sub(begun.elapsed());
    let mut flushed = true;
    for State { plugins, .. } in states.iter().map(|state| &**state) {
        flushed &= plugins.processors.force_flush(py, left(), &plugins.failures)?;
    }
    let flush = |scouter: &Scouter| scouter.flush(left()).is_ok();
    let flush = &flush;
    flushed &= py.detach(|| {
        std::thread::scope(|scope| {
            let flushing: Vec<_> = states
                .iter()
                .filter_map(|state| state.scouter())
                .map(|each| scope.spawn(move || flush(each)))
                .collect();
            // Every one is waited for, also after one that did not succeed.
            flushing.into_iter().map(|each| each.join().unwrap_or(false)).fold(true, |all, each| all & each)
        })
    });
    for exporter in states.iter().flat_map(|state| &state.plugins.exporters) {
        flushed &= exporter.force_flush(py, left())?;
    }
    Ok(flushed)
}

/// Waits for the pipelines whose providers are gone. For the interpreter's exit.
#[pyfunction]
pub(crate) fn _finish_closing(py: Python<'_>) {
    let closing = std::mem::take(&mut *CLOSING.lock().unwrap_or_else(PoisonError::into_inner));
    py.detach(|| {
        for scouter in closing {
            // What does not arrive is counted; there is nobody left to tell.
            let _ = scouter.shutdown(CLOSING_DEADLINE);
        }
    });
}

fn stats_dict<'py>(py: Python<'py>, stats: &Stats) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    dict.set_item("started", stats.started)?;
    dict.set_item("sampled_out", stats.sampled_out)?;
    dict.set_item("live", stats.live)?;
    dict.set_item("ended", stats.ended)?;
    dict.set_item("pending", stats.pending)?;
    dict.set_item("pending_bytes", stats.pending_bytes)?;
    dict.set_item("panics", stats.panics)?;
    let destinations = PyDict::new(py);
    for destination in &stats.destinations {
        destinations.set_item(&destination.name, destination_dict(py, destination)?)?;
    }
    dict.set_item("destinations", destinations)?;
    Ok(dict)
}

pub(crate) fn destination_dict<'py>(py: Python<'py>, stats: &DestinationStats) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    dict.set_item("exported", stats.exported)?;
    dict.set_item("thinned", stats.thinned)?;
    dict.set_item("queued", stats.queued)?;
    let dropped = PyDict::new(py);
    for (reason, spans) in stats.dropped.iter() {
        dropped.set_item(reason.name(), spans)?;
    }
    dict.set_item("dropped", dropped)?;
    dict.set_item("requests", stats.requests)?;
    dict.set_item("retries", stats.retries)?;
    dict.set_item("bytes", stats.bytes)?;
    dict.set_item("waiting_bytes", stats.waiting_bytes)?;
    dict.set_item("export_count", stats.latency.count)?;
    dict.set_item("export_seconds", stats.latency.sum.as_secs_f64())?;
    dict.set_item("last_error", &stats.last_error)?;
    Ok(dict)
}

#[pymethods]
impl TracerProvider {
    #[new]
    fn new(settings: &Bound<'_, PyDict>) -> PyResult<Self> {
        let py = settings.py();
        let (settings, plugins) = settings::read(settings)?;
        for complaint in &settings.complaints {
            report::once(py, complaint);
        }
        let started = py.detach(|| settings.start());
        let scouter = started.map_err(|error| crate::errors::config(py, &error.to_string()))?;
        let resource = scouter.provider().resource();
        let resource = Resource::new(py, resource.view(), resource.schema_url())?;
        let state = State {
            scouter: Some(Arc::new(scouter)),
            plugins,
            shut_down: AtomicBool::new(false),
            queue: Attached::new(None),
            records_without_queue: AtomicU64::new(0),
        };
        Ok(Self { state: Arc::new(state), resource })
    }

    /// A tracer for the library or component of this name.
    #[pyo3(signature = (instrumenting_module_name, instrumenting_library_version=None, schema_url=None, attributes=None))]
    fn get_tracer(
        &self,
        py: Python<'_>,
        instrumenting_module_name: Option<Text<'_>>,
        instrumenting_library_version: Option<Text<'_>>,
        schema_url: Option<Text<'_>>,
        attributes: Option<&Bound<'_, PyAny>>,
    ) -> Option<Tracer> {
        let said = |text: Option<Text<'_>>| text.map(|text| text.0.into_owned()).unwrap_or_default();
        let attributes = settings::owned(attributes);
        let scope = Scope::new(
            &said(instrumenting_module_name),
            &said(instrumenting_library_version),
            &said(schema_url),
            &attributes.iter().map(|(key, value)| (key.as_str(), value.value())).collect::<Vec<_>>(),
        );
        // Only a provider that is being dropped has none, and nobody can ask that one.
        let tracer = self.state.scouter().map(|scouter| scouter.provider().tracer(scope));
        tracer.map(|tracer| Tracer::new(tracer, Arc::clone(&self.state), self.resource.clone_ref(py)))
    }

    /// Tells this span processor of every span from now on, after those that were added before.
    fn add_span_processor(&self, span_processor: Py<PyAny>) {
        self.state.plugins.processors.add(Hook::Processor(span_processor));
    }

    /// Sends what has ended so far; false when that did not succeed in time.
    #[pyo3(signature = (timeout_millis=Millis::default()), text_signature = "($self, timeout_millis=30000)")]
    fn force_flush(&self, py: Python<'_>, timeout_millis: Millis) -> PyResult<bool> {
        self.state.flush(py, timeout_millis)
    }

    /// Flushes, and records nothing from then on; false when not everything arrived in time.
    #[pyo3(signature = (timeout_millis=Millis::default()), text_signature = "($self, timeout_millis=30000)")]
    fn shutdown(&self, py: Python<'_>, timeout_millis: Millis) -> PyResult<bool> {
        self.state.shutdown(py, timeout_millis)
    }

    /// How many spans there are, and what became of them. For every destination, at every moment,
    /// `started == live + exported + thinned + queued + sum(dropped.values())`.
    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.state.stats(py)
    }

    /// Spans put records into this queue from now on; `None` takes it away.
    #[pyo3(signature = (queue, /))]
    fn set_scouter_queue(&self, py: Python<'_>, queue: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        self.state.set_queue(py, queue)
    }

    /// Begins to end, and waits for nothing: `shutdown` does that.
    fn _begin_shutdown(&self, timeout_millis: Millis) {
        if let Some(scouter) = self.state.scouter() {
            scouter.begin_shutdown(timeout_millis.duration());
        }
    }

    /// The names of the propagators that variables or a configuration file ask for.
    #[getter]
    fn _propagators(&self) -> Vec<String> {
        self.state.plugins.propagators.clone()
    }

    /// Keeps copies of ended spans from now on, as many as this.
    fn _enable_capture(&self, limit: usize) {
        if let Some(capture) = self.state.capture() {
            capture.enable(capture::limit(limit));
        }
    }

    /// Keeps no more copies of spans, and lets go of those there are.
    fn disable_local_capture(&self) {
        if let Some(capture) = self.state.capture() {
            capture.disable();
        }
    }

    /// Takes the copies out: of every span that ended before this call, in the order in which the spans ended.
    fn drain_local_spans(&self, py: Python<'_>) -> PyResult<Vec<Py<FinishedSpan>>> {
        self.state.capture().map_or(Ok(Vec::new()), |capture| capture::drain(py, capture))
    }

    /// The copies of these traces' spans. Takes nothing out.
    fn _captured(&self, py: Python<'_>, trace_ids: Vec<String>) -> PyResult<Vec<Py<FinishedSpan>>> {
        self.state.capture().map_or(Ok(Vec::new()), |capture| capture::of_traces(py, capture, &trace_ids))
    }

    /// Tells this function how long exports take: destination, seconds, kind of error, status of the receiver.
    fn _observe_exports(&self, observer: Py<PyAny>) {
        self.state.plugins.observer.tell(observer);
    }

    /// What the spans belong to.
    #[getter]
    fn resource(&self, py: Python<'_>) -> Py<Resource> {
        self.resource.clone_ref(py)
    }
}
