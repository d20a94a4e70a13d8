//! The rows of the specification's compliance matrix that this crate shows, one test for each, named by its id: baggage and
//! context propagation, through its own types and through the `opentelemetry` API where both can.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![cfg(feature = "opentelemetry")]

mod baggage;
mod context;
mod environment;
mod foreign;
mod propagators;

use std::collections::HashMap;

use opentelemetry::Context;
use opentelemetry::trace::TraceContextExt;
use scouter_span::otel::active_span_context;
use scouter_span::{SpanContext, SpanId, TraceFlags, TraceId, TraceState};

type Headers = HashMap<String, String>;

/// A span context of this process.
fn local() -> SpanContext {
    let mut context = SpanContext::new(
        TraceId::from_int(0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736).unwrap(),
        SpanId::from_int(0x00f0_67aa_0ba9_02b7).unwrap(),
        TraceFlags::SAMPLED,
    );
    context.trace_state = TraceState::parse("a=1,b=2").unwrap();
    context
}

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// A context of the API that it is active in.
fn active(span: &SpanContext) -> Context {
    Context::new().with_remote_span_context(span.into())
}

/// The span context that came out of a carrier.
fn found(context: &Context) -> Option<SpanContext> {
    active_span_context(context)
}

/// What arrives where [`local`] was sent from.
fn arrived() -> SpanContext {
    SpanContext { is_remote: true, ..local() }
}
