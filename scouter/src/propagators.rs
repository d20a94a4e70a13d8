//! The propagators that the `opentelemetry` API uses.

use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::propagation::composite::TextMapCompositePropagator;
use scouter_propagation::{BaggagePropagator, TraceContext};

/// Those of these names that there are here, in one. The others are handed to `complain`.
pub fn propagator(names: &[String], complain: &mut Vec<String>) -> TextMapCompositePropagator {
    let mut known: Vec<Box<dyn TextMapPropagator + Send + Sync>> = Vec::new();
    for name in names {
        match name.as_str() {
            "tracecontext" => known.push(Box::new(TraceContext)),
            "baggage" => known.push(Box::new(BaggagePropagator)),
            other => complain.push(format!(
                "the propagators here are tracecontext, baggage and none, not {other:?}; it was ignored"
            )),
        }
    }
    TextMapCompositePropagator::new(known)
}
