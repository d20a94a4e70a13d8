//! A span context in and out of carriers.

use scouter_span::SpanContext;

use crate::carrier::{Extractor, Injector};
use crate::{traceparent, tracestate, trim};

/// Carries a span context as `traceparent` and `tracestate` (W3C Trace Context level 2).
#[derive(Debug, Clone, Copy, Default)]
pub struct TraceContext;

impl TraceContext {
    /// The names of the headers that are read and written.
    pub const FIELDS: [&'static str; 2] = [traceparent::HEADER, tracestate::HEADER];

    /// The span of the sender, remote; nothing when the carrier has no `traceparent`, an invalid one, or several.
    ///
    /// An invalid `tracestate` is dropped and leaves the rest; it is not looked at without a valid `traceparent` (section
    /// "Tracestate Header"). White space around a header's value is not part of it (RFC 7230, section 3.2.4).
    pub fn extract<C: Extractor + ?Sized>(&self, carrier: &C) -> Option<SpanContext> {
        let mut parents = carrier.get_all(traceparent::HEADER);
        let parent = parents.next()?;
        if parents.next().is_some() {
            return None;
        }
        let mut context = traceparent::parse(trim(parent)).ok()?.to_context();
        context.trace_state = tracestate::parse(carrier.get_all(tracestate::HEADER)).unwrap_or_default();
        Some(context)
    }

    /// Sets `traceparent`, and `tracestate` unless it is empty.
    pub fn inject<C: Injector + ?Sized>(&self, context: &SpanContext, carrier: &mut C) {
        let parent = traceparent::format(context);
        carrier.set(traceparent::HEADER, str::from_utf8(&parent).unwrap_or_default());
        if !context.trace_state.is_empty() {
            carrier.set(tracestate::HEADER, context.trace_state.as_str());
        }
    }
}
