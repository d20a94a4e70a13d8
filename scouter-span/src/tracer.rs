//! Providers and tracers: what spans begin with.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::clock::Clock;
use crate::context::{SpanContext, TraceFlags, TraceState};
use crate::counters::Counters;
use crate::fork;
use crate::id::{IdGenerator, RandomIds};
use crate::limits::SpanLimits;
use crate::record::{Defaults, pool};
use crate::resource::Resource;
use crate::sampler::Sampler;
use crate::scope::{Scope, ScopeId};
use crate::sink::SpanSink;
use crate::span::{Active, Span};
use crate::value::Value;
use crate::view::SpanKind;

/// What all tracers of a program share. Cheap to clone.
#[derive(Clone, Debug)]
pub struct TracerProvider {
    shared: Arc<Shared>,
}

/// The settings of a [`TracerProvider`]; everything but resource and sink has a default.
#[derive(Debug)]
pub struct TracerProviderBuilder<'a> {
    resource: Resource,
    sink: Arc<dyn SpanSink>,
    counters: Arc<Counters>,
    sampler: Sampler,
    limits: SpanLimits,
    ids: Option<Arc<dyn IdGenerator>>,
    clock: Clock,
    default_attributes: &'a [(&'a str, Value<'a>)],
}

/// Begins the spans of one instrumentation scope. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Tracer {
    inner: Arc<TracerInner>,
}

/// A span about to begin.
#[derive(Clone, Debug)]
#[must_use = "nothing begins before `start`"]
pub struct SpanBuilder<'a> {
    tracer: &'a Tracer,
    name: &'a str,
    kind: SpanKind,
    parent: Option<&'a SpanContext>,
    start_time: Option<u64>,
    attributes: &'a [(&'a str, Value<'a>)],
    links: &'a [(&'a SpanContext, &'a [(&'a str, Value<'a>)])],
}

#[derive(Debug)]
struct Shared {
    resource: Resource,
    sink: Arc<dyn SpanSink>,
    counters: Arc<Counters>,
    sampler: Sampler,
    limits: SpanLimits,
    /// `None` is [`RandomIds`], without the detour through a table of functions.
    ids: Option<Arc<dyn IdGenerator>>,
    clock: Clock,
    defaults: Defaults,
    closed: AtomicBool,
}

/// One allocation that a span holds on to while it records.
#[derive(Debug)]
pub(crate) struct TracerInner {
    shared: Arc<Shared>,
    scope: Arc<Scope>,
    scope_id: ScopeId,
}

impl TracerProvider {
    /// A provider whose spans end in this sink.
    pub fn builder<'a>(resource: Resource, sink: Arc<dyn SpanSink>) -> TracerProviderBuilder<'a> {
        TracerProviderBuilder {
            resource,
            sink,
            counters: Arc::default(),
            sampler: Sampler::parent_based(Sampler::AlwaysOn),
            limits: SpanLimits::default(),
            ids: None,
            clock: Clock::System,
            default_attributes: &[],
        }
    }

    /// A tracer for this scope.
    pub fn tracer(&self, scope: Scope) -> Tracer {
        let scope = Arc::new(scope);
        let scope_id = self.shared.sink.register(&scope);
        Tracer { inner: Arc::new(TracerInner { shared: Arc::clone(&self.shared), scope, scope_id }) }
    }

    /// What the spans belong to.
    pub fn resource(&self) -> &Resource {
        &self.shared.resource
    }

    /// The numbers of spans.
    pub fn counters(&self) -> &Arc<Counters> {
        &self.shared.counters
    }

    /// From now on no tracer of this provider records a span. Spans that are open still end in the sink.
    pub fn close(&self) {
        self.shared.closed.store(true, Ordering::Release);
    }

    /// Whether [`close`](Self::close) was called.
    pub fn is_closed(&self) -> bool {
        self.shared.closed.load(Ordering::Acquire)
    }
}

impl<'a> TracerProviderBuilder<'a> {
    /// Where spans are counted; a set of its own by default.
    #[must_use]
    pub fn counters(mut self, counters: Arc<Counters>) -> Self {
        self.counters = counters;
        self
    }

    /// Which spans are recorded; by default what the parent's flag says, and every root.
    #[must_use]
    pub fn sampler(mut self, sampler: Sampler) -> Self {
        self.sampler = sampler;
        self
    }

    /// How much a span may hold.
    #[must_use]
    pub const fn limits(mut self, limits: SpanLimits) -> Self {
        self.limits = limits;
        self
    }

    /// Where ids come from; [`RandomIds`] by default.
    #[must_use]
    pub fn ids(mut self, ids: Arc<dyn IdGenerator>) -> Self {
        self.ids = Some(ids);
        self
    }

    /// Where the time comes from.
    #[must_use]
    pub const fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Attributes that every span begins with. They count towards the limit, and a span's own value replaces them.
    #[must_use]
    pub const fn default_attributes(mut self, attributes: &'a [(&'a str, Value<'a>)]) -> Self {
        self.default_attributes = attributes;
        self
    }

    /// The provider.
    pub fn build(self) -> TracerProvider {
        let defaults = Defaults::new(self.default_attributes, &self.limits);
        TracerProvider {
            shared: Arc::new(Shared {
                resource: self.resource,
                sink: self.sink,
                counters: self.counters,
                sampler: self.sampler,
                limits: self.limits,
                ids: self.ids,
                clock: self.clock,
                defaults,
                closed: AtomicBool::new(false),
            }),
        }
    }
}

impl Tracer {
    /// A span of this name, to be given what it has from the start.
    pub const fn span<'a>(&'a self, name: &'a str) -> SpanBuilder<'a> {
        SpanBuilder {
            tracer: self,
            name,
            kind: SpanKind::Internal,
            parent: None,
            start_time: None,
            attributes: &[],
            links: &[],
        }
    }

    /// The scope.
    pub fn scope(&self) -> &Scope {
        &self.inner.scope
    }

    /// What the spans belong to.
    pub fn resource(&self) -> &Resource {
        &self.inner.shared.resource
    }

    /// How much its spans may hold.
    pub fn limits(&self) -> &SpanLimits {
        &self.inner.shared.limits
    }

    /// Whether spans that begin now may be recorded.
    pub fn is_enabled(&self) -> bool {
        !self.inner.shared.closed.load(Ordering::Acquire)
    }

    /// Not inlined: the builder around it is, so that its fields come as arguments and not through memory.
    #[inline(never)]
    fn begin(&self, name: &str, kind: SpanKind, parent: Option<&SpanContext>, start_time: Option<u64>) -> Span {
        self.begin_here(name, kind, parent, start_time)
    }

    #[inline(always)]
    pub(crate) fn begin_here(
        &self,
        name: &str,
        kind: SpanKind,
        parent: Option<&SpanContext>,
        start_time: Option<u64>,
    ) -> Span {
        let shared = &*self.inner.shared;
        let context = shared.new_context(parent);
        if !context.flags.is_sampled() {
            shared.counters.sampled_out.increment();
            return Span::not_recorded(context);
        }
        shared.counters.started.increment();
        let start_time = start_time.unwrap_or_else(|| shared.clock.now());
        let mut recording = pool::take();
        let parent = parent.map(|parent| (parent.span_id, parent.is_remote));
        recording.begin(name, kind, &context, parent, start_time, &shared.defaults);
        Span::recorded(context, Active { recording, tracer: Arc::clone(&self.inner), generation: fork::generation() })
    }
}

impl Shared {
    /// The context of a new span: ids and, in its sampled flag, the decision.
    #[inline]
    fn new_context(&self, parent: Option<&SpanContext>) -> SpanContext {
        let closed = self.closed.load(Ordering::Relaxed);
        let (trace_id, span_id, flags, trace_state) = match (parent, &self.ids) {
            (Some(parent), ids) => {
                let span_id = ids.as_ref().map_or_else(|| RandomIds.new_span_id(), |ids| ids.new_span_id());
                (parent.trace_id, span_id, parent.flags, parent.trace_state.clone())
            }
            (None, None) => {
                let (trace_id, span_id) = RandomIds.new_root();
                (trace_id, span_id, TraceFlags::RANDOM, TraceState::EMPTY)
            }
            (None, Some(ids)) => {
                let random = if ids.is_random() { TraceFlags::RANDOM } else { TraceFlags::NONE };
                (ids.new_trace_id(), ids.new_span_id(), random, TraceState::EMPTY)
            }
        };
        let sampled = !closed && self.sampler.is_sampled(parent, trace_id);
        // Flags that this version of the standard does not know belong to whoever set them, and travel on.
        SpanContext { trace_id, span_id, flags: flags.with_sampled(sampled), is_remote: false, trace_state }
    }
}

impl TracerInner {
    pub(crate) fn limits(&self) -> &SpanLimits {
        &self.shared.limits
    }

    pub(crate) fn clock(&self) -> Clock {
        self.shared.clock
    }

    pub(crate) fn counters(&self) -> &Counters {
        &self.shared.counters
    }

    pub(crate) fn sink(&self) -> &dyn SpanSink {
        &*self.shared.sink
    }

    pub(crate) fn scope_id(&self) -> ScopeId {
        self.scope_id
    }
}

impl<'a> SpanBuilder<'a> {
    /// The part it plays; internal by default.
    pub const fn kind(mut self, kind: SpanKind) -> Self {
        self.kind = kind;
        self
    }

    /// Its parent; without one it is the root of a new trace.
    pub const fn parent(mut self, parent: Option<&'a SpanContext>) -> Self {
        self.parent = parent;
        self
    }

    /// When it began, in nanoseconds since the Unix epoch; now by default.
    pub const fn start_time(mut self, nanoseconds: u64) -> Self {
        self.start_time = Some(nanoseconds);
        self
    }

    /// What it knows from the start. Preferred to setting the same later: samplers and processors see it.
    pub const fn attributes(mut self, attributes: &'a [(&'a str, Value<'a>)]) -> Self {
        self.attributes = attributes;
        self
    }

    /// The spans it refers to, with what there is to say about each.
    pub const fn links(mut self, links: &'a [(&'a SpanContext, &'a [(&'a str, Value<'a>)])]) -> Self {
        self.links = links;
        self
    }

    /// Begins the span.
    #[inline(always)]
    pub fn start(self) -> Span {
        let mut span = self.tracer.begin(self.name, self.kind, self.parent, self.start_time);
        for (key, value) in self.attributes {
            span.set_attribute(key, *value);
        }
        for (context, attributes) in self.links {
            span.add_link(context, attributes);
        }
        span
    }
}
