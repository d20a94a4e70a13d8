//! Spans that somebody is asked about: a sampler, an id generator, processors.

use super::{Ids, SpanBuilder, Tracer, new_context};
use crate::context::SpanContext;
use crate::fork;
use crate::sampler::{SamplingInput, SamplingResult};
use crate::span::{Span, WATCHED};

impl Tracer {
    /// The ids of a span below this parent; the whole span, where it is a root that no one but a ratio has a say in and that
    /// the ratio drops.
    #[inline]
    pub(crate) fn ids_unless_dropped(&self, parent: Option<&SpanContext>) -> Result<Ids, Span> {
        let shared = &*self.inner.shared;
        let ids = shared.new_ids(parent);
        let (trace_id, _, flags) = ids;
        match shared.part_of_roots {
            Some(part) if parent.is_none() && flags.is_random() && !part.contains(trace_id) => {
                Err(self.not_sampled(ids, parent))
            }
            _ => Ok(ids),
        }
    }
}

impl SpanBuilder<'_> {
    /// Begins the span, whoever has to be asked for it.
    #[inline(never)]
    pub(super) fn ask(self) -> Span {
        match self.tracer.ids_unless_dropped(self.parent.span) {
            Ok(ids) => self.ask_with(ids, |span| self.fill(span)),
            Err(dropped) => dropped,
        }
    }

    /// As [`ask`](Self::ask), for a span with these ids, with what it is given from the start set by the caller. Samplers
    /// see what the builder has.
    pub(crate) fn ask_with(&self, ids: Ids, fill: impl FnOnce(&mut Span)) -> Span {
        let shared = &*self.tracer.inner.shared;
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
            // What was refused from the builder would be refused again, and counted twice.
            let was_refused = self.attributes.iter().any(|(given, _)| given == key)
                && span.view().is_some_and(|view| view.attributes().get(key).is_none());
            if !was_refused {
                span.set_attribute(key, value.value());
            }
        }
        // A processor that came a moment ago does not see the end of a span that is not watched, and so not its start.
        if watched {
            shared.processors.each(&shared.counters, |processor| processor.on_start(&mut span, self.parent));
        }
        span
    }
}
