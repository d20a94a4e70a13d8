//! Providers: what all tracers of a program share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::known::Known;
use super::{Ids, Tracer, TracerInner};
use crate::clock::Clock;
use crate::context::{SpanContext, TraceFlags};
use crate::counters::Counters;
use crate::id::{IdGenerator, RandomIds};
use crate::limits::SpanLimits;
use crate::processor::{Processors, SpanProcessor, guarded};
use crate::record::Defaults;
use crate::resource::Resource;
use crate::sampler::{Ratio, Sampler, SamplingDecision, SamplingInput, SamplingResult, ShouldSample};
use crate::scope::Scope;
use crate::sink::SpanSink;
use crate::value::Value;

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
    processors: Processors,
    clock: Clock,
    default_attributes: &'a [(&'a str, Value<'a>)],
}

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) known: Known,
    pub(super) resource: Resource,
    pub(super) sink: Arc<dyn SpanSink>,
    pub(super) counters: Arc<Counters>,
    sampler: Sampler,
    /// The part of all roots that is sampled, where that is all there is to it.
    pub(super) part_of_roots: Option<Ratio>,
    pub(super) limits: SpanLimits,
    /// `None` is [`RandomIds`].
    ids: Option<Arc<dyn IdGenerator>>,
    pub(super) processors: Processors,
    pub(super) clock: Clock,
    pub(super) defaults: Defaults,
    shut_down: AtomicBool,
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
            processors: Processors::default(),
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

    /// Who decides which spans are recorded.
    pub fn sampler(&self) -> &dyn ShouldSample {
        &self.shared.sampler
    }

    /// The numbers of spans.
    pub fn counters(&self) -> &Arc<Counters> {
        &self.shared.counters
    }

    /// One more processor, behind those that are there. Sees the spans that begin from now on; of spans that other
    /// processors saw begin, it sees the end.
    pub fn add_processor(&self, processor: Arc<dyn SpanProcessor>) {
        self.shared.processors.push(processor);
        self.shared.known.ask_always();
    }

    /// Has every processor finish with the spans that have ended; whether all of them did within this time together.
    ///
    /// The sink is not asked: whoever made it flushes it.
    pub fn force_flush(&self, timeout: Duration) -> bool {
        self.shared.processors.all_within(&self.shared.counters, timeout, |processor, left| processor.force_flush(left))
    }

    /// [Closes](Self::close) the provider and shuts its processors down; whether all of them did that within this time
    /// together. Only the first call does; those after it do nothing, and are false.
    pub fn shutdown(&self, timeout: Duration) -> bool {
        let Shared { known, counters, processors, .. } = &*self.shared;
        known.close();
        !self.shared.shut_down.swap(true, Ordering::AcqRel)
            && processors.all_within(counters, timeout, |processor, left| processor.shutdown(left))
    }

    /// From now on no tracer of this provider records a span, and neither sampler nor id generator is asked. Spans that
    /// are open still end in the processors and the sink.
    pub fn close(&self) {
        self.shared.known.close();
    }

    /// Whether [`close`](Self::close) or [`shutdown`](Self::shutdown) was called.
    pub fn is_closed(&self) -> bool {
        self.shared.known.is_closed()
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

    /// One more processor, behind those that are there.
    #[must_use]
    pub fn processor(self, processor: Arc<dyn SpanProcessor>) -> Self {
        self.processors.push(processor);
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
        let Self { resource, sink, counters, sampler, limits, ids, processors, clock, default_attributes } = self;
        let part_of_roots = sampler.part_of_roots();
        let sampler = sampler.prepared();
        let known = Known::new(&sampler, ids.is_some() || !processors.is_empty());
        let shut_down = AtomicBool::new(false);
        let defaults = Defaults::new(default_attributes, &limits);
        let shared = Shared {
            known,
            resource,
            sink,
            counters,
            sampler,
            part_of_roots,
            limits,
            ids,
            processors,
            clock,
            defaults,
            shut_down,
        };
        TracerProvider { shared: Arc::new(shared) }
    }
}

impl Shared {
    /// What the sampler says. Where it fails, the parent's decision holds, and every root is sampled.
    pub(super) fn decide(&self, input: &SamplingInput<'_>) -> SamplingResult {
        guarded(&self.counters, || self.sampler.should_sample(input))
            .unwrap_or_else(|| SamplingDecision::sampled(input.parent.span.is_none_or(SpanContext::is_sampled)).into())
    }

    #[inline]
    pub(super) fn new_ids(&self, parent: Option<&SpanContext>) -> Ids {
        match &self.ids {
            None => random_ids(parent),
            Some(ids) => self.asked_ids(&**ids, parent),
        }
    }

    /// What the generator makes, and random ids where it fails.
    fn asked_ids(&self, ids: &dyn IdGenerator, parent: Option<&SpanContext>) -> Ids {
        let span_id = || guarded(&self.counters, || ids.new_span_id()).unwrap_or_else(|| RandomIds.new_span_id());
        if let Some(parent) = parent {
            return (parent.trace_id, span_id(), parent.flags);
        }
        let given = guarded(&self.counters, || (ids.new_trace_id(), ids.is_random()));
        let (trace_id, is_random) = given.unwrap_or_else(|| (RandomIds.new_trace_id(), true));
        (trace_id, span_id(), if is_random { TraceFlags::RANDOM } else { TraceFlags::NONE })
    }
}

#[inline(always)]
pub(super) fn random_ids(parent: Option<&SpanContext>) -> Ids {
    match parent {
        Some(parent) => (parent.trace_id, RandomIds.new_span_id(), parent.flags),
        None => {
            let (trace_id, span_id) = RandomIds.new_root();
            (trace_id, span_id, TraceFlags::RANDOM)
        }
    }
}
