//! The tracer that Python sees.

use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PySequence, PyString};
use scouter_span::{SpanContext, SpanLimits, TraceFlags};

use crate::arguments::{Millis, Name, Time, Truth};
use crate::context;
use crate::headers;
use crate::otel::otel;
use crate::provider::State;
use crate::report;
use crate::span::{Manner, Options, Resource, Scope, Span, read, record};
use crate::value::{Taken, TakenAttributes};

/// Begins spans. What `get_tracer` returns.
#[pyclass(frozen, weakref, module = "scouter._scouter")]
pub(crate) struct Tracer {
    tracer: scouter_span::Tracer,
    state: Arc<State>,
    resource: PyOnceLock<Py<Resource>>,
    scope: PyOnceLock<Py<Scope>>,
}

/// The current span on loan: `with` gives the span and leaves it open.
#[pyclass(frozen, module = "scouter._scouter")]
pub(crate) struct CurrentSpan(Py<PyAny>);

impl Tracer {
    pub(crate) fn new(tracer: scouter_span::Tracer, state: Arc<State>) -> Self {
        Self { tracer, state, resource: PyOnceLock::new(), scope: PyOnceLock::new() }
    }

    pub(crate) fn limits(&self) -> &SpanLimits {
        self.tracer.limits()
    }

    /// The resource as spans show it.
    pub(crate) fn resource(&self, py: Python<'_>) -> PyResult<Py<Resource>> {
        let made = self.resource.get_or_try_init(py, || {
            let resource = self.tracer.resource();
            let attributes = read::proxy(py, resource.view().attributes())?.unbind();
            Py::new(py, Resource { attributes, schema_url: resource.schema_url().to_owned() })
        });
        made.map(|made| made.clone_ref(py))
    }

    /// The scope as spans show it.
    pub(crate) fn scope(&self, py: Python<'_>) -> PyResult<Py<Scope>> {
        let made = self.scope.get_or_try_init(py, || {
            let scope = self.tracer.scope();
            let said = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
            let attributes = read::proxy(py, scope.view().attributes())?.unbind();
            let name = scope.view().name().to_owned();
            let (version, schema_url) = (said(scope.view().version()), said(scope.schema_url()));
            Py::new(py, Scope { name, version, schema_url, attributes })
        });
        made.map(|made| made.clone_ref(py))
    }

    /// Begins a span; also says the flags of its parent. What cannot be understood is reported and left out.
    pub(crate) fn begin(
        &self,
        py: Python<'_>,
        name: &Bound<'_, PyString>,
        options: Option<&Options>,
    ) -> (scouter_span::Span, TraceFlags) {
        let parent = parent_of(py, options).unwrap_or_else(|error| {
            report::error(py, "the parent of a span could not be read, so it is a root", &error);
            None
        });
        let parent_flags = parent.as_ref().map_or(TraceFlags::NONE, |parent| parent.flags);
        let lossy;
        let name = match name.to_str() {
            Ok(name) => name,
            Err(_) => {
                lossy = name.to_string_lossy().into_owned();
                &lossy
            }
        };
        let mut builder = self.tracer.span(name).parent(parent.as_ref());
        let Some(options) = options else { return (builder.start(), parent_flags) };
        builder = builder.kind(options.kind);
        if let Some(time) = options.start_time {
            builder = builder.start_time(time);
        }
        let mut span = builder.start();
        if span.is_recording() {
            self.equip(py, &mut span, options);
        }
        (span, parent_flags)
    }

    fn equip(&self, py: Python<'_>, span: &mut scouter_span::Span, options: &Options) {
        let limit = self.limits().attribute_value_length;
        if let Some(attributes) = &options.attributes {
            let taken = TakenAttributes::from(Some(attributes.bind(py)), limit);
            taken.iter().for_each(|(key, value)| span.set_attribute(key, value));
        }
        if let Some(tags) = &options.tags {
            let taken = TakenAttributes::from(Some(tags.bind(py)), limit);
            taken.iter().for_each(|(key, value)| span.set_attribute(&[record::TAG, key].concat(), value));
        }
        if let Some(label) = &options.label
            && let Some(label) = Taken::from(label.bind(py), limit)
        {
            span.set_attribute(record::LABEL, label.value());
        }
        if let Some(links) = &options.links
            && let Err(error) = add_links(span, links.bind(py), limit)
        {
            report::error(py, "a link of a span could not be read, and was left out", &error);
        }
    }
}

fn parent_of(py: Python<'_>, options: Option<&Options>) -> PyResult<Option<SpanContext>> {
    let Some(options) = options else { return context::parent_in(py, None) };
    if let Some(headers) = &options.headers {
        return headers::extract(headers.bind(py));
    }
    context::parent_in(py, options.context.as_ref().map(|context| context.bind(py)))
}

fn add_links(span: &mut scouter_span::Span, links: &Bound<'_, PyAny>, limit: usize) -> PyResult<()> {
    for link in links.try_iter()? {
        let link = link?;
        if let Some(to) = context::span_context_from(&link.getattr("context")?)? {
            let taken = TakenAttributes::from(Some(&link.getattr("attributes")?), limit);
            span.add_link(&to, &taken.pairs());
        }
    }
    Ok(())
}

/// The options that were given, or nothing at all when only the usual was asked for.
#[expect(clippy::too_many_arguments, reason = "the signature of OpenTelemetry's start_span")]
fn options(
    py: Python<'_>,
    context: Option<Py<PyAny>>,
    kind: Option<&Bound<'_, PyAny>>,
    attributes: Option<Py<PyAny>>,
    links: Option<Py<PyAny>>,
    start_time: Option<Time>,
    tags: Option<Py<PyAny>>,
    baggage: Option<Py<PyAny>>,
    label: Option<Py<PyAny>>,
    headers: Option<Py<PyAny>>,
) -> PyResult<Option<Box<Options>>> {
    let start_time = start_time.and_then(|time| time.0);
    let links = match links {
        Some(links) if links.bind(py).cast::<PySequence>().is_ok_and(|links| links.len().is_ok_and(|n| n == 0)) => None,
        links => links,
    };
    let given = [&context, &attributes, &links, &tags, &baggage, &label, &headers];
    if kind.is_none() && start_time.is_none() && given.iter().all(|option| option.is_none()) {
        return Ok(None);
    }
    let kind = match kind {
        Some(kind) => otel(py)?.kind_from(kind),
        None => scouter_span::SpanKind::Internal,
    };
    Ok(Some(Box::new(Options { context, kind, attributes, links, start_time, tags, baggage, label, headers })))
}

#[pymethods]
impl Tracer {
    /// The same tracer: what `init_tracer` makes has OpenTelemetry's shape already.
    #[new]
    fn new_from(base_tracer: Py<Self>) -> Py<Self> {
        base_tracer
    }

    /// Begins a span and leaves the current one as it is.
    #[pyo3(signature = (name, context=None, kind=None, attributes=None, links=None, start_time=None,
        record_exception=Truth(true), set_status_on_exception=Truth(true), *,
        tags=None, baggage=None, label=None, headers=None),
        text_signature = "($self, name, context=None, kind=None, attributes=None, links=None, start_time=None, \
        record_exception=True, set_status_on_exception=True, *, tags=None, baggage=None, label=None, headers=None)")]
    #[expect(clippy::too_many_arguments, reason = "the signature is OpenTelemetry's")]
    fn start_span(
        slf: &Bound<'_, Self>,
        name: Name,
        context: Option<Py<PyAny>>,
        kind: Option<&Bound<'_, PyAny>>,
        attributes: Option<Py<PyAny>>,
        links: Option<Py<PyAny>>,
        start_time: Option<Time>,
        record_exception: Truth,
        set_status_on_exception: Truth,
        tags: Option<Py<PyAny>>,
        baggage: Option<Py<PyAny>>,
        label: Option<Py<PyAny>>,
        headers: Option<Py<PyAny>>,
    ) -> PyResult<Span> {
        let py = slf.py();
        let options = options(py, context, kind, attributes, links, start_time, tags, baggage, label, headers)?;
        let manner = Manner {
            makes_current: false,
            ends: true,
            records_exception: record_exception.0,
            sets_status: set_status_on_exception.0,
        };
        let (span, parent_flags) = slf.get().begin(py, name.0.bind(py), options.as_deref());
        Ok(Span::begun(slf.clone().unbind(), manner, span, parent_flags))
    }

    /// A span that begins with its `with` or `async with` block, is current inside, and ends with it. Also a decorator.
    #[pyo3(signature = (name, context=None, kind=None, attributes=None, links=None, start_time=None,
        record_exception=Truth(true), set_status_on_exception=Truth(true), end_on_exit=Truth(true), *,
        tags=None, baggage=None, label=None, headers=None),
        text_signature = "($self, name, context=None, kind=None, attributes=None, links=None, start_time=None, \
        record_exception=True, set_status_on_exception=True, end_on_exit=True, *, \
        tags=None, baggage=None, label=None, headers=None)")]
    #[expect(clippy::too_many_arguments, reason = "the signature is OpenTelemetry's")]
    fn start_as_current_span(
        slf: &Bound<'_, Self>,
        name: Name,
        context: Option<Py<PyAny>>,
        kind: Option<&Bound<'_, PyAny>>,
        attributes: Option<Py<PyAny>>,
        links: Option<Py<PyAny>>,
        start_time: Option<Time>,
        record_exception: Truth,
        set_status_on_exception: Truth,
        end_on_exit: Truth,
        tags: Option<Py<PyAny>>,
        baggage: Option<Py<PyAny>>,
        label: Option<Py<PyAny>>,
        headers: Option<Py<PyAny>>,
    ) -> PyResult<Span> {
        let options = options(slf.py(), context, kind, attributes, links, start_time, tags, baggage, label, headers)?;
        let manner = Manner {
            makes_current: true,
            ends: end_on_exit.0,
            records_exception: record_exception.0,
            sets_status: set_status_on_exception.0,
        };
        Ok(Span::waiting(slf.clone().unbind(), manner, name.0, options))
    }

    /// A decorator: every call of the function runs in a span that holds its arguments and its result.
    #[pyo3(signature = (name=None, **options))]
    fn span<'py>(
        slf: &Bound<'py, Self>,
        name: Option<&Bound<'py, PyAny>>,
        options: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let decorate = slf.py().import("scouter.tracing.decorator")?.getattr("decorate")?;
        decorate.call((slf, name), options)
    }

    /// The active span. A `with` over it gives the span itself and does not end it.
    #[getter]
    fn current_span(&self, py: Python<'_>) -> PyResult<CurrentSpan> {
        let span = match context::span_in(&context::current(py)?)? {
            Some(span) => span,
            None => py.import("opentelemetry.trace")?.getattr("INVALID_SPAN")?,
        };
        Ok(CurrentSpan(span.unbind()))
    }

    /// Sends what has ended so far; false when that did not succeed in time. For the whole provider behind the tracer.
    #[pyo3(signature = (timeout_millis=Millis::default()), text_signature = "($self, timeout_millis=30000)")]
    fn flush(&self, py: Python<'_>, timeout_millis: Millis) -> bool {
        self.state.flush(py, timeout_millis.0)
    }

    /// Flushes, and records nothing from then on. For the whole provider behind the tracer.
    #[pyo3(signature = (timeout_millis=Millis::default()), text_signature = "($self, timeout_millis=30000)")]
    fn shutdown(&self, py: Python<'_>, timeout_millis: Millis) -> bool {
        self.state.shutdown(py, timeout_millis.0)
    }

    /// How many spans there are, and what became of them.
    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.state.stats(py)
    }

    /// Whether a span that begins now may be recorded.
    fn is_enabled(&self) -> bool {
        self.tracer.is_enabled()
    }

    #[getter]
    fn instrumentation_scope(&self, py: Python<'_>) -> PyResult<Py<Scope>> {
        self.scope(py)
    }

    fn __repr__(&self) -> String {
        format!("Tracer(name={:?})", self.tracer.scope().view().name())
    }
}

#[pymethods]
impl CurrentSpan {
    fn __enter__(&self, py: Python<'_>) -> Py<PyAny> {
        self.0.clone_ref(py)
    }

    #[pyo3(signature = (*_args))]
    fn __exit__(&self, _args: &Bound<'_, PyAny>) -> bool {
        false
    }

    fn __getattr__<'py>(&self, py: Python<'py>, name: &Bound<'py, PyString>) -> PyResult<Bound<'py, PyAny>> {
        self.0.bind(py).getattr(name)
    }

    fn __eq__(&self, py: Python<'_>, other: &Bound<'_, PyAny>) -> bool {
        match other.cast::<Self>() {
            Ok(other) => self.0.is(&other.get().0),
            Err(_) => other.is(self.0.bind(py)),
        }
    }

    fn __hash__(&self, py: Python<'_>) -> PyResult<isize> {
        self.0.bind(py).hash()
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        Ok(format!("CurrentSpan({})", self.0.bind(py).repr()?.to_string_lossy()))
    }
}
