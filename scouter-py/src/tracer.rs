//! The tracer that Python sees.

use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::{PyDict, PySequence, PyString};
use scouter_span::{SpanContext, SpanLimits, TraceFlags};

use crate::arguments::{Millis, Name, Time, Truth};
use crate::attached::Once;
use crate::context;
use crate::headers;
use crate::otel::otel;
use crate::plugins::{Asked, Plugins};
use crate::provider::State;
use crate::span::{Manner, Options, Phase, Resource, Scope, Span, end, record};
use crate::value::{Taken, TakenAttributes};
use crate::{interrupt, report, text};

/// Begins spans. What `get_tracer` returns.
#[pyclass(frozen, weakref, module = "scouter._scouter")]
pub(crate) struct Tracer {
    tracer: scouter_span::Tracer,
    state: Arc<State>,
    resource: Py<Resource>,
    scope: Once<Py<Scope>>,
}

/// The current span on loan: `with` gives the span and leaves it open.
#[pyclass(frozen, module = "scouter._scouter")]
pub(crate) struct CurrentSpan(Py<PyAny>);

impl Tracer {
    pub(crate) fn new(tracer: scouter_span::Tracer, state: Arc<State>, resource: Py<Resource>) -> Self {
        Self { tracer, state, resource, scope: Once::new() }
    }

    #[inline]
    pub(crate) fn plugins(&self) -> &Plugins {
        &self.state.plugins
    }

    pub(crate) fn state(&self) -> &State {
        &self.state
    }

    pub(crate) fn limits(&self) -> &SpanLimits {
        self.tracer.limits()
    }

    /// The resource as spans show it.
    pub(crate) fn resource(&self, py: Python<'_>) -> Py<Resource> {
        self.resource.clone_ref(py)
    }

    /// The scope as spans show it.
    pub(crate) fn scope(&self, py: Python<'_>) -> PyResult<Py<Scope>> {
        let scope = self.tracer.scope();
        let made = self.scope.get_or_try_init(py, || Scope::new(py, scope.view(), scope.schema_url()));
        made.map(|made| made.clone_ref(py))
    }

    /// Begins a span; also says the flags of its parent. `current` is the current context, if it is known already. What
    /// cannot be understood is reported and left out.
    pub(crate) fn begin(
        &self,
        py: Python<'_>,
        name: &Bound<'_, PyString>,
        options: Option<&Options>,
        current: Option<&Bound<'_, PyAny>>,
    ) -> (Phase, TraceFlags) {
        let parent = parent_of(py, options, current).unwrap_or_else(|error| {
            report::error(py, "the parent of a span could not be read, so it is a root", &error);
            None
        });
        let parent_flags = parent.as_ref().map_or(TraceFlags::NONE, |parent| parent.flags);
        let lossy;
        let name = match name.to_str() {
            Ok(name) => name,
            Err(_) => {
                lossy = text::lossy(name);
                &*lossy
            }
        };
        if self.plugins().asks {
            let span = self.begin_asking(py, name, parent.as_ref(), options);
            return (self.phase(span, parent.as_ref()), parent_flags);
        }
        let mut builder = self.tracer.span(name).parent(parent.as_ref());
        let Some(options) = options else { return (self.phase(builder.start(), parent.as_ref()), parent_flags) };
        builder = builder.kind(options.kind);
        if let Some(time) = options.start_time {
            builder = builder.start_time(time);
        }
        let mut span = builder.start();
        if span.is_recording() {
            if let Some(attributes) = &options.attributes {
                let taken = TakenAttributes::from(Some(attributes.bind(py)), self.limits().attribute_value_length);
                taken.iter().for_each(|(key, value)| span.set_attribute(key, value));
            }
            self.equip(py, &mut span, options);
        }
        (self.phase(span, parent.as_ref()), parent_flags)
    }

    #[inline]
    fn phase(&self, span: scouter_span::Span, parent: Option<&SpanContext>) -> Phase {
        if span.is_recording() || self.tracer.is_enabled() { Phase::Begun(span) } else { Self::nothing(parent) }
    }

    /// What the tracer of a provider that has ended begins: nothing. Its spans stand for their parents, so that what is
    /// called below them belongs to the trace it would belong to without them.
    #[cold]
    fn nothing(parent: Option<&SpanContext>) -> Phase {
        parent.map_or(Phase::Nothing, |parent| Phase::Begun(scouter_span::Span::not_recorded(parent.clone())))
    }

    /// Begins a span where a sampler or an id generator in Python is asked. They are shown the caller's own objects.
    #[cold]
    fn begin_asking(
        &self,
        py: Python<'_>,
        name: &str,
        parent: Option<&SpanContext>,
        options: Option<&Options>,
    ) -> scouter_span::Span {
        let copy = |object: &Option<Py<PyAny>>| object.as_ref().map(|object| object.clone_ref(py));
        let asked = Asked {
            context: context_of(py, parent, options),
            attributes: options.and_then(|options| copy(&options.attributes)),
            links: options.and_then(|options| copy(&options.links)),
            limit: self.limits().attribute_value_length,
        };
        let attributes = asked.attributes.as_ref().map(|attributes| attributes.bind(py));
        let taken = TakenAttributes::from(attributes, self.limits().attribute_value_length);
        let pairs = taken.pairs();
        let mut builder = self.tracer.span(name).parent(parent).context(&asked).attributes(&pairs);
        if let Some(options) = options {
            builder = builder.kind(options.kind);
            if let Some(time) = options.start_time {
                builder = builder.start_time(time);
            }
        }
        let mut span = builder.start();
        if let Some(options) = options
            && span.is_recording()
        {
            self.equip(py, &mut span, options);
        }
        span
    }

    /// Tells the processors that a span has begun. Raises only what interrupted a plug-in or a value, and then the span has
    /// ended: whoever asked for it gets the interrupt instead.
    #[inline]
    pub(crate) fn began(&self, span: &Bound<'_, Span>, options: Option<&Options>) -> PyResult<()> {
        let plugins = self.plugins();
        let told = if plugins.processors.is_empty() { interrupt::hand_over() } else { self.tell(span, options) };
        told.inspect_err(|_| end::of_nobody(span))
    }

    #[cold]
    fn tell(&self, span: &Bound<'_, Span>, options: Option<&Options>) -> PyResult<()> {
        let py = span.py();
        interrupt::hand_over()?;
        let Plugins { processors, failures, .. } = self.plugins();
        if !span.get().records(py) {
            return Ok(());
        }
        let parent = options.filter(|options| options.headers.is_some()).and_then(|_| span.get().parent_context(py));
        let context = context_of(py, parent.as_ref(), options);
        processors.on_start(span, context.as_ref().map(|context| context.bind(py)), failures)
    }

    /// Everything a span is begun with but its attributes.
    fn equip(&self, py: Python<'_>, span: &mut scouter_span::Span, options: &Options) {
        let limit = self.limits().attribute_value_length;
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

fn parent_of(
    py: Python<'_>,
    options: Option<&Options>,
    current: Option<&Bound<'_, PyAny>>,
) -> PyResult<Option<SpanContext>> {
    let Some(options) = options else { return context::parent_in(py, current) };
    if let Some(headers) = &options.headers {
        return headers::extract(headers.bind(py));
    }
    context::parent_in(py, options.context.as_ref().map(|context| context.bind(py)).or(current))
}

/// The context that plug-ins are shown as a span's own: the one that was given, or the one that the given headers make. None
/// means the current one, as it does in the SDK.
fn context_of(py: Python<'_>, parent: Option<&SpanContext>, options: Option<&Options>) -> Option<Py<PyAny>> {
    let options = options?;
    if options.headers.is_none() {
        return options.context.as_ref().map(|context| context.clone_ref(py));
    }
    let make = || -> PyResult<_> {
        let trace = py.import("opentelemetry.trace")?;
        let span = match parent {
            Some(parent) => trace.getattr("NonRecordingSpan")?.call1((context::span_context(py, parent)?,))?,
            None => trace.getattr("INVALID_SPAN")?,
        };
        context::with_span(&context::current(py)?, &span)
    };
    match make() {
        Ok(context) => Some(context.unbind()),
        Err(error) => {
            report::error(py, "the context of a span's headers could not be made", &error);
            None
        }
    }
}

fn add_links(span: &mut scouter_span::Span, links: &Bound<'_, PyAny>, limit: usize) -> PyResult<()> {
    for link in links.try_iter()? {
        let link = link?;
        let Some(to) = context::LinkTarget::read(&link.getattr("context")?)? else { continue };
        let taken = TakenAttributes::from(Some(&link.getattr("attributes")?), limit);
        let pairs = taken.pairs();
        if !(pairs.is_empty() && to.says_nothing()) {
            span.add_link_to(&to.target(), &pairs);
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
    ///
    /// Attributes that are known now are better given here than set later: samplers and processors see only these.
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
    ) -> PyResult<Py<Span>> {
        let py = slf.py();
        let options = options(py, context, kind, attributes, links, start_time, tags, baggage, label, headers)?;
        let manner = Manner {
            makes_current: false,
            ends: true,
            records_exception: record_exception.0,
            sets_status: set_status_on_exception.0,
        };
        let (span, parent_flags) = slf.get().begin(py, name.0.bind(py), options.as_deref(), None);
        let span = Bound::new(py, Span::begun(slf.clone().unbind(), manner, span, parent_flags))?;
        slf.get().began(&span, options.as_deref())?;
        Ok(span.unbind())
    }

    /// A span that begins with its `with` or `async with` block, is current inside, and ends with it. Also a decorator.
    ///
    /// Attributes that are known now are better given here than set later: samplers and processors see only these.
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

    /// Spans put the records of `insert_queue_item` into this queue from now on: all spans of the provider behind the tracer.
    /// `None` takes the queue away.
    #[pyo3(signature = (queue, /))]
    fn set_scouter_queue(&self, py: Python<'_>, queue: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        self.state.set_queue(py, queue)
    }

    /// Sends what has ended so far; false when that did not succeed in time. For the whole provider behind the tracer.
    #[pyo3(signature = (timeout_millis=Millis::default()), text_signature = "($self, timeout_millis=30000)")]
    fn flush(&self, py: Python<'_>, timeout_millis: Millis) -> PyResult<bool> {
        self.state.flush(py, timeout_millis)
    }

    /// Flushes, and records nothing from then on. For the whole provider behind the tracer.
    #[pyo3(signature = (timeout_millis=Millis::default()), text_signature = "($self, timeout_millis=30000)")]
    fn shutdown(&self, py: Python<'_>, timeout_millis: Millis) -> PyResult<bool> {
        self.state.shutdown(py, timeout_millis)
    }

    /// How many spans there are, and what became of them.
    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.state.stats(py)
    }

    /// Whether a span that begins now may be recorded.
    fn is_enabled(&self) -> bool {
        self.tracer.is_enabled()
    }

    /// The library or component that its spans belong to.
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
