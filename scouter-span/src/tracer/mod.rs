//! Providers and tracers: what spans begin with.

mod asked;
mod known;
mod provider;

use std::any::Any;
use std::sync::Arc;

pub use provider::{TracerProvider, TracerProviderBuilder};

use crate::clock::Clock;
use crate::context::{SpanContext, TraceFlags, TraceState};
use crate::counters::Counters;
use crate::fork;
use crate::id::{SpanId, TraceId};
use crate::limits::SpanLimits;
use crate::processor::Processors;
use crate::record::pool;
use crate::resource::Resource;
use crate::sampler::Parent;
use crate::scope::{Scope, ScopeId};
use crate::sink::SpanSink;
use crate::span::{Active, Span};
use crate::value::Value;
use crate::view::SpanKind;

use provider::{Shared, random_ids};

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
    parent: Parent<'a>,
    start_time: Option<u64>,
    attributes: &'a [(&'a str, Value<'a>)],
    links: &'a [(&'a SpanContext, &'a [(&'a str, Value<'a>)])],
}

/// The ids of a new span, and the flags that go with its trace id.
pub(crate) type Ids = (TraceId, SpanId, TraceFlags);

/// One allocation that a span holds on to while it records.
#[derive(Debug)]
pub(crate) struct TracerInner {
    shared: Arc<Shared>,
    scope: Arc<Scope>,
    scope_id: ScopeId,
}

impl Tracer {
    /// A span of this name, to be given what it has from the start.
    pub const fn span<'a>(&'a self, name: &'a str) -> SpanBuilder<'a> {
        SpanBuilder {
            tracer: self,
            name,
            kind: SpanKind::Internal,
            parent: Parent { span: None, context: None },
            start_time: None,
            attributes: &[],
            links: &[],
        }
    }

    /// The scope.
    pub fn scope(&self) -> &Scope {
        self.inner.scope()
    }

    /// What the spans belong to.
    pub fn resource(&self) -> &Resource {
        self.inner.resource()
    }

    /// How much its spans may hold.
    pub fn limits(&self) -> &SpanLimits {
        &self.inner.shared.limits
    }

    /// Whether spans that begin now may be recorded.
    pub fn is_enabled(&self) -> bool {
        !self.inner.shared.known.is_closed()
    }

    /// Whether a span below this parent is known to be sampled.
    #[inline(always)]
    pub(crate) fn is_known_sampled(&self, parent: Option<&SpanContext>) -> bool {
        self.inner.shared.known.is_sampled(parent)
    }

    /// Whether somebody has to be asked about a span below this parent. Where that is not so either, it is not sampled.
    #[inline(always)]
    pub(crate) fn asks(&self, parent: Option<&SpanContext>) -> bool {
        self.inner.shared.known.asks(parent)
    }

    /// A span that is known to be sampled. Not inlined: the builder around it is, so that its fields come as arguments and
    /// not through memory.
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
        let context = new_context(random_ids(parent), parent, true);
        self.inner.shared.counters.started.increment();
        self.record(name, kind, context, parent, start_time, fork::generation())
    }

    /// A span that is known not to be sampled.
    #[inline(never)]
    pub(crate) fn pass(&self, parent: Option<&SpanContext>) -> Span {
        self.not_sampled(random_ids(parent), parent)
    }

    #[inline(always)]
    fn not_sampled(&self, ids: Ids, parent: Option<&SpanContext>) -> Span {
        self.inner.shared.counters.sampled_out.increment();
        Span::not_recorded(new_context(ids, parent, false))
    }

    #[inline(always)]
    fn record(
        &self,
        name: &str,
        kind: SpanKind,
        context: SpanContext,
        parent: Option<&SpanContext>,
        start_time: Option<u64>,
        course: u64,
    ) -> Span {
        let shared = &*self.inner.shared;
        let start_time = start_time.unwrap_or_else(|| shared.clock.now());
        let mut recording = pool::take();
        let parent = parent.map(|parent| (parent.span_id, parent.is_remote));
        recording.begin(name, kind, &context, parent, start_time, &shared.defaults);
        Span::recorded(context, Active { recording, tracer: Arc::clone(&self.inner), course })
    }
}

/// The context of a new span that keeps its parent's trace state.
#[inline(always)]
fn new_context(ids: Ids, parent: Option<&SpanContext>, sampled: bool) -> SpanContext {
    let (trace_id, span_id, flags) = ids;
    let trace_state = parent.map_or(TraceState::EMPTY, |parent| parent.trace_state.clone());
    // Flags that this version of the standard does not know belong to whoever set them, and travel on.
    SpanContext { trace_id, span_id, flags: flags.with_sampled(sampled), is_remote: false, trace_state }
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

    pub(crate) fn processors(&self) -> &Processors {
        &self.shared.processors
    }

    pub(crate) fn scope(&self) -> &Scope {
        &self.scope
    }

    pub(crate) fn resource(&self) -> &Resource {
        &self.shared.resource
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
        self.parent.span = parent;
        self
    }

    /// The whole context it begins in, for samplers and processors to look into; see [`Parent::context`].
    pub const fn context(mut self, context: &'a dyn Any) -> Self {
        self.parent.context = Some(context);
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
        let Self { tracer, name, kind, parent, start_time, .. } = self;
        if !tracer.is_known_sampled(parent.span) {
            return if tracer.asks(parent.span) { self.ask() } else { tracer.pass(parent.span) };
        }
        if self.attributes.is_empty() && self.links.is_empty() {
            // Said once more, because a span that is filled here is copied to where the caller wants it.
            return tracer.begin(name, kind, parent.span, start_time);
        }
        let mut span = tracer.begin(name, kind, parent.span, start_time);
        self.fill(&mut span);
        span
    }

    #[inline(always)]
    fn fill(&self, span: &mut Span) {
        for (key, value) in self.attributes {
            span.set_attribute(key, *value);
        }
        for (context, attributes) in self.links {
            span.add_link(context, attributes);
        }
    }
}
