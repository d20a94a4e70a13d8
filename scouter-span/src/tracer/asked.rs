//! Spans that somebody is asked about: a sampler, an id generator, processors.

use super::{SpanBuilder, new_context};
use crate::fork;
use crate::sampler::{SamplingInput, SamplingResult};
use crate::span::{Span, WATCHED};

impl SpanBuilder<'_> {
    /// Begins the span, whoever has to be asked for it.
    #[inline(never)]
    pub(super) fn ask(self) -> Span {
        let own = self.clone();
        self.ask_with(|span| own.fill(span))
    }

    /// As [`ask`](Self::ask), with what the span is given from the start set by the caller. Samplers see what the builder
    /// has.
    pub(crate) fn ask_with(self, fill: impl FnOnce(&mut Span)) -> Span {
        let shared = &*self.tracer.inner.shared;
        let ids = shared.new_ids(self.parent.span);
        let SamplingResult { decision, attributes, trace_state } = shared.decide(&SamplingInput {
            parent: self.parent,
            trace_id: ids.0,
            is_random: ids.2.is_random(),
            name: self.name,
            kind: self.kind,
            attributes: self.attributes,
            links: self.links,
        });
        let mut context = new_context(ids, self.parent.span, decision.is_sampled());
        if let Some(trace_state) = trace_state {
            context.trace_state = trace_state;
        }
        if decision.is_sampled() {
            shared.counters.started.increment();
        } else {
            shared.counters.sampled_out.increment();
        }
        if !decision.is_recording() {
            return Span::not_recorded(context);
        }
        let watched = !decision.is_sampled() || !shared.processors.is_empty();
        let course = fork::generation() | if watched { WATCHED } else { 0 };
        let mut span = self.tracer.record(self.name, self.kind, context, self.parent.span, self.start_time, course);
        fill(&mut span);
        for (key, value) in &attributes {
            span.set_attribute(key, value.value());
        }
        shared.processors.each(&shared.counters, |processor| processor.on_start(&mut span, self.parent));
        span
    }
}
