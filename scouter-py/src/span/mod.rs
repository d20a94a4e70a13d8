//! The span that Python sees: context manager, asynchronous context manager, decorator, and readable at any time.
//!
//! What changes in a span is guarded by the interpreter's lock, and its guard is held only for moments in which nothing
//! calls Python: a finaliser or a `__str__` that comes back to the span finds it free.

mod body;
pub(crate) mod end;
mod enter;
mod finished;
mod options;
mod origin;
pub(crate) mod read;
pub(crate) mod record;
mod records;
mod state;

use pyo3::prelude::*;
use pyo3::types::{PyString, PyTuple};
use pyo3::{PyTraverseError, PyVisit};
use scouter_span::view::SpanView;
use scouter_span::{SpanContext, SpanKind, TraceFlags};

use crate::arguments::{AttributeName, Length, Text, Time, Truth};
use crate::attached::{Attached, Guard, Once};
use crate::otel::otel;
use crate::tracer::Tracer;
use crate::{context, interrupt, json, report, text};

pub(crate) use body::Body;
pub(crate) use finished::{FinishedSpan, read_request};
pub(crate) use options::Options;
pub(crate) use origin::{Resource, Scope};
pub(crate) use read::Event;
use state::{Entered, Inner};
pub(crate) use state::{Manner, Phase};

/// A unit of work. Has everything that an OpenTelemetry span has, and reads like a finished one at any time.
#[pyclass(frozen, weakref, name = "Span", module = "scouter._scouter")]
pub(crate) struct Span {
    tracer: Py<Tracer>,
    manner: Manner,
    inner: Attached<Inner>,
    /// The OpenTelemetry `SpanContext`, made when somebody first asks.
    context: Once<Py<PyAny>>,
}

impl Span {
    pub(crate) fn waiting(
        tracer: Py<Tracer>,
        manner: Manner,
        name: Py<PyString>,
        options: Option<Box<Options>>,
    ) -> Self {
        Self::new(tracer, manner, Phase::Waiting { name, options }, TraceFlags::NONE, None)
    }

    pub(crate) fn begun(tracer: Py<Tracer>, manner: Manner, phase: Phase, parent_flags: TraceFlags) -> Self {
        Self::new(tracer, manner, phase, parent_flags, None)
    }

    pub(crate) fn begun_with_baggage(
        tracer: Py<Tracer>,
        manner: Manner,
        phase: Phase,
        parent_flags: TraceFlags,
        baggage: Option<Py<PyAny>>,
    ) -> Self {
        Self::new(tracer, manner, phase, parent_flags, baggage)
    }

    fn new(
        tracer: Py<Tracer>,
        manner: Manner,
        phase: Phase,
        parent_flags: TraceFlags,
        baggage: Option<Py<PyAny>>,
    ) -> Self {
        let inner = Attached::new(Inner {
            phase,
            parent_flags,
            ending: false,
            entered: None,
            entered_again: Vec::new(),
            baggage,
        });
        Self { tracer, manner, inner, context: Once::new() }
    }

    pub(crate) fn tracer(&self) -> &Tracer {
        self.tracer.get()
    }

    pub(crate) fn parent_flags(&self, py: Python<'_>) -> TraceFlags {
        self.lock(py).parent_flags
    }

    /// What is known about the parent.
    pub(crate) fn parent_context(&self, py: Python<'_>) -> Option<SpanContext> {
        let flags = self.parent_flags(py);
        self.read(py, |_, view| read::parent(view, flags)).flatten()
    }

    fn lock<'a>(&'a self, py: Python<'a>) -> Guard<'a, Inner> {
        self.inner.lock(py)
    }

    /// The context, once the span has begun.
    pub(crate) fn span_context(&self, py: Python<'_>) -> Option<SpanContext> {
        match &self.lock(py).phase {
            Phase::Begun(span) => Some(span.context().clone()),
            Phase::Waiting { .. } | Phase::Nothing => None,
        }
    }

    /// Does something to the span if it takes anything in. `change` must not call Python.
    pub(crate) fn change(&self, py: Python<'_>, change: impl FnOnce(&mut scouter_span::Span)) {
        if let Phase::Begun(span) = &mut self.lock(py).phase {
            change(span);
        }
    }

    pub(crate) fn records(&self, py: Python<'_>) -> bool {
        matches!(&self.lock(py).phase, Phase::Begun(span) if span.is_recording())
    }

    /// Reads what the span holds. `read` must not call Python.
    fn read<T>(&self, py: Python<'_>, read: impl FnOnce(&scouter_span::Span, SpanView<'_>) -> T) -> Option<T> {
        match &self.lock(py).phase {
            Phase::Begun(span) => span.view().map(|view| read(span, view)),
            Phase::Waiting { .. } | Phase::Nothing => None,
        }
    }

    /// A copy of its message, to be read without the lock; empty for a span that is not recorded.
    pub(crate) fn bytes(&self, py: Python<'_>) -> Vec<u8> {
        self.read(py, |_, view| view.bytes().to_vec()).unwrap_or_default()
    }

    fn value_limit(&self) -> usize {
        self.tracer.get().limits().attribute_value_length
    }

    /// Sets an attribute whose value is JSON text of at most `max_length` characters.
    pub(crate) fn set_json(&self, key: &str, value: &Bound<'_, PyAny>, max_length: usize) {
        let py = value.py();
        if self.records(py) {
            let text = json::to_text(value, max_length);
            self.change(py, |span| span.set_attribute(key, text.as_str()));
        }
    }

    pub(crate) fn set_text(&self, py: Python<'_>, key: &str, text: &str) {
        self.change(py, |span| span.set_attribute(key, text));
    }
}

impl Drop for Span {
    fn drop(&mut self) {
        let inner = self.inner.get_mut();
        // Nobody ended it, and nobody can any more. OpenTelemetry does not export such a span; it is counted.
        if let Phase::Begun(span) = std::mem::replace(&mut inner.phase, Phase::Nothing) {
            span.abandon();
        }
    }
}

#[pymethods]
impl Span {
    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.tracer)?;
        // The collector runs between two instructions of the interpreter, when nobody has a guard.
        self.inner.traverse(|inner| {
            for Entered { token, context } in inner.entered.iter().chain(&inner.entered_again) {
                visit.call(token)?;
                visit.call(context)?;
            }
            if let Phase::Waiting { options: Some(options), .. } = &inner.phase {
                options.traverse(&visit)?;
            }
            inner.baggage.as_ref().map_or(Ok(()), |baggage| visit.call(baggage))
        })
    }

    fn __clear__(&self, py: Python<'_>) {
        let mut inner = self.lock(py);
        let entered = (inner.entered.take(), std::mem::take(&mut inner.entered_again));
        let baggage = inner.baggage.take();
        let options = match &mut inner.phase {
            Phase::Waiting { options, .. } => options.take(),
            Phase::Begun(_) | Phase::Nothing => None,
        };
        drop(inner);
        drop((entered, baggage, options));
    }

    fn __enter__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, Self>> {
        enter::enter(slf)?;
        Ok(slf.clone())
    }

    fn __exit__(
        slf: &Bound<'_, Self>,
        _kind: &Bound<'_, PyAny>,
        exception: &Bound<'_, PyAny>,
        _traceback: &Bound<'_, PyAny>,
    ) -> PyResult<bool> {
        enter::exit(slf, exception)?;
        Ok(false)
    }

    fn __aenter__<'py>(slf: &Bound<'py, Self>) -> PyResult<enter::Ready> {
        enter::enter(slf)?;
        Ok(enter::Ready::new(Some(slf.clone().into_any().unbind())))
    }

    fn __aexit__(
        slf: &Bound<'_, Self>,
        _kind: &Bound<'_, PyAny>,
        exception: &Bound<'_, PyAny>,
        _traceback: &Bound<'_, PyAny>,
    ) -> PyResult<enter::Ready> {
        enter::exit(slf, exception)?;
        Ok(enter::Ready::new(None))
    }

    /// Makes the span's options a decorator: every call of the function runs in a new span.
    fn __call__<'py>(slf: &Bound<'py, Self>, function: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let again = slf.getattr("_again")?;
        slf.py().import("scouter.tracing._scoped")?.call_method1("decorate", (again, function))
    }

    /// A new span that waits for its `with`, with the options of this one.
    fn _again(&self, py: Python<'_>) -> PyResult<Self> {
        let (name, options) = match &self.lock(py).phase {
            Phase::Waiting { name, options } => {
                (name.clone_ref(py), options.as_ref().map(|options| Box::new(options.copy(py))))
            }
            Phase::Begun(_) | Phase::Nothing => {
                return Err(pyo3::exceptions::PyRuntimeError::new_err(
                    "this span has begun and cannot decorate a function; use tracer.start_as_current_span(...) for that",
                ));
            }
        };
        Ok(Self::waiting(self.tracer.clone_ref(py), self.manner, name, options))
    }

    /// Its context: ids, flags and trace state.
    fn get_span_context<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let context = self.span_context(py);
        let Some(context) = context else {
            return py.import("opentelemetry.trace")?.getattr("INVALID_SPAN_CONTEXT");
        };
        let made = self.context.get_or_try_init(py, || context::span_context(py, &context).map(Bound::unbind))?;
        Ok(made.bind(py).clone())
    }

    /// Whether it still takes anything in.
    fn is_recording(&self, py: Python<'_>) -> bool {
        self.records(py)
    }

    /// Sets an attribute, or replaces the one of this key: text, a number, a truth value, or a list of one of these.
    /// `None` is no value and is left out with a warning.
    fn set_attribute(&self, key: AttributeName<'_>, value: &Bound<'_, PyAny>) -> PyResult<()> {
        record::set_attribute(self, &key.0, value);
        interrupt::hand_over()
    }

    /// Sets several attributes, as `set_attribute` does.
    fn set_attributes(&self, attributes: &Bound<'_, PyAny>) -> PyResult<()> {
        record::set_attributes(self, attributes);
        interrupt::hand_over()
    }

    /// Adds something that happened, now or at `timestamp`, in nanoseconds since 1970.
    #[pyo3(signature = (name, attributes=None, timestamp=None))]
    fn add_event(
        &self,
        py: Python<'_>,
        name: Text<'_>,
        attributes: Option<&Bound<'_, PyAny>>,
        timestamp: Option<Time>,
    ) -> PyResult<()> {
        record::add_event(py, self, &name.0, attributes, timestamp.and_then(|time| time.0));
        interrupt::hand_over()
    }

    /// Adds a reference to another span.
    #[pyo3(signature = (context, attributes=None))]
    fn add_link(&self, context: &Bound<'_, PyAny>, attributes: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        record::add_link(self, context, attributes);
        interrupt::hand_over()
    }

    /// Gives it another name.
    fn update_name(&self, py: Python<'_>, name: Text<'_>) -> PyResult<()> {
        self.change(py, |span| span.update_name(&name.0));
        interrupt::hand_over()
    }

    /// Says how it went. OK is final, and only ERROR has a description.
    #[pyo3(signature = (status, description=None))]
    fn set_status(&self, status: &Bound<'_, PyAny>, description: Option<Text<'_>>) -> PyResult<()> {
        let description = description.map(|text| text.0).unwrap_or_default();
        if let Err(error) = record::set_status(self, status, &description)
            && let Some(error) = interrupt::swallow(status.py(), error)
        {
            report::error(status.py(), "a status was given that is neither a Status nor a StatusCode", &error);
        }
        interrupt::hand_over()
    }

    #[pyo3(signature = (exception, attributes=None, timestamp=None, escaped=Truth(false)),
        text_signature = "($self, exception, attributes=None, timestamp=None, escaped=False)")]
    /// Adds an event that tells of an exception: its type, its message and its stack trace.
    fn record_exception(
        &self,
        exception: &Bound<'_, PyAny>,
        attributes: Option<&Bound<'_, PyAny>>,
        timestamp: Option<Time>,
        escaped: Truth,
    ) -> PyResult<()> {
        record::record_exception(self, exception, attributes, timestamp.and_then(|time| time.0), escaped.0);
        interrupt::hand_over()
    }

    /// Ends it, now or at `end_time`, in nanoseconds since 1970. A second end has no effect.
    #[pyo3(signature = (end_time=None))]
    fn end(slf: &Bound<'_, Self>, end_time: Option<Time>) -> PyResult<()> {
        end::end(slf, end_time.and_then(|time| time.0))
    }

    /// Sets a tag: an attribute that the backend indexes, exported as `scouter.tag.<key>`.
    fn set_tag(&self, key: Text<'_>, value: &Bound<'_, PyAny>) -> PyResult<()> {
        record::set_tag(self, &key.0, value);
        interrupt::hand_over()
    }

    /// Sets what went into this piece of work, as JSON text of at most `max_length` characters.
    #[pyo3(signature = (value, max_length=Length::default()), text_signature = "($self, value, max_length=5000)")]
    fn set_input(&self, value: &Bound<'_, PyAny>, max_length: Length) -> PyResult<()> {
        self.set_json(record::INPUT, value, max_length.0);
        interrupt::hand_over()
    }

    /// Sets what came out of this piece of work, as JSON text of at most `max_length` characters.
    #[pyo3(signature = (value, max_length=Length::default()), text_signature = "($self, value, max_length=5000)")]
    fn set_output(&self, value: &Bound<'_, PyAny>, max_length: Length) -> PyResult<()> {
        self.set_json(record::OUTPUT, value, max_length.0);
        interrupt::hand_over()
    }

    /// Sets what came out to text that is JSON already; longer text is cut and says so.
    fn _set_output_text(&self, py: Python<'_>, text: Text<'_>, max_length: Length) {
        let mut cut = json::Text::new(max_length.0);
        cut.push(&text.0);
        self.set_text(py, record::OUTPUT, &cut.finish());
    }

    /// Puts a record that belongs to the span into the queue of this alias.
    fn insert_queue_item(&self, alias: Text<'_>, record: &Bound<'_, PyAny>) -> PyResult<()> {
        records::insert(self, &alias.0, record)
    }

    /// Ties the span to a Scouter entity.
    fn set_entity(&self, py: Python<'_>, uid: Text<'_>) {
        self.set_text(py, record::ENTITY, &uid.0);
    }

    /// The trace id, 32 lower-case hexadecimal digits.
    #[getter]
    fn trace_id(&self, py: Python<'_>) -> String {
        self.span_context(py).map_or_else(|| "0".repeat(32), |context| context.trace_id.to_string())
    }

    /// The span id, 16 lower-case hexadecimal digits.
    #[getter]
    fn span_id(&self, py: Python<'_>) -> String {
        self.span_context(py).map_or_else(|| "0".repeat(16), |context| context.span_id.to_string())
    }

    /// Its context: ids, flags and trace state.
    #[getter]
    fn context<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        slf.get().get_span_context(slf.py())
    }

    /// Its name.
    #[getter]
    fn name(&self, py: Python<'_>) -> Py<PyString> {
        let waiting = match &self.lock(py).phase {
            Phase::Waiting { name, .. } => Some(name.clone_ref(py)),
            Phase::Begun(_) | Phase::Nothing => None,
        };
        waiting.unwrap_or_else(|| {
            let name = self.read(py, |_, view| view.name().to_owned()).unwrap_or_default();
            PyString::new(py, &name).unbind()
        })
    }

    /// The part it plays.
    #[getter]
    fn kind(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let kind = self.read(py, |_, view| view.kind()).unwrap_or(SpanKind::Internal);
        Ok(otel(py)?.kind(kind).clone_ref(py))
    }

    /// The context of its parent; `None` for a root.
    #[getter]
    fn parent<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.parent_context(py).map(|parent| context::span_context(py, &parent)).transpose()
    }

    /// When it began, in nanoseconds since 1970.
    #[getter]
    fn start_time(&self, py: Python<'_>) -> Option<u64> {
        self.read(py, |_, view| view.start_time())
    }

    /// When it ended, in nanoseconds since 1970.
    #[getter]
    fn end_time(&self, py: Python<'_>) -> Option<u64> {
        self.read(py, |span, view| (!span.is_recording()).then(|| view.end_time())).flatten()
    }

    /// Its attributes.
    #[getter]
    fn attributes<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        read::proxy(py, SpanView::new(&self.bytes(py)).attributes())
    }

    /// What happened while it ran, in order.
    #[getter]
    fn events<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        read::events(py, SpanView::new(&self.bytes(py)))
    }

    /// The spans it refers to, in order.
    #[getter]
    fn links<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        read::links(py, SpanView::new(&self.bytes(py)))
    }

    /// How it went so far.
    #[getter]
    fn status<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let status = self.read(py, |span, _| {
            let (code, words) = span.status();
            (code, words.to_owned())
        });
        let (code, words) = status.unwrap_or_default();
        read::status(py, code, &words)
    }

    /// What it belongs to.
    #[getter]
    fn resource(&self, py: Python<'_>) -> Py<Resource> {
        self.tracer.get().resource(py)
    }

    /// The library or component that records it.
    #[getter]
    fn instrumentation_scope(&self, py: Python<'_>) -> PyResult<Py<Scope>> {
        self.tracer.get().scope(py)
    }

    /// How many attributes went beyond the limits.
    #[getter]
    fn dropped_attributes(&self, py: Python<'_>) -> u32 {
        self.read(py, |span, _| span.dropped().attributes).unwrap_or_default()
    }

    /// How many events went beyond the limits.
    #[getter]
    fn dropped_events(&self, py: Python<'_>) -> u32 {
        self.read(py, |span, _| span.dropped().events).unwrap_or_default()
    }

    /// How many links went beyond the limits.
    #[getter]
    fn dropped_links(&self, py: Python<'_>) -> u32 {
        self.read(py, |span, _| span.dropped().links).unwrap_or_default()
    }

    /// The span as JSON text, in the form in which OpenTelemetry's console exporter prints it.
    #[pyo3(signature = (indent=Some(4)))]
    fn to_json<'py>(slf: &Bound<'py, Self>, indent: Option<i32>) -> PyResult<Bound<'py, PyAny>> {
        read::to_json(slf.as_any(), indent)
    }

    fn __repr__(&self, py: Python<'_>) -> String {
        let name = self.name(py);
        let name = text::lossy(name.bind(py));
        match self.span_context(py) {
            Some(context) => format!("Span(name={name:?}, trace_id={}, span_id={})", context.trace_id, context.span_id),
            None => format!("Span(name={name:?}, waiting for its with block)"),
        }
    }
}
