//! Propagators of others, beside ours: small ones, which read and write one header.

use std::str::FromStr;
use std::sync::LazyLock;

use opentelemetry::Context;
use opentelemetry::propagation::text_map_propagator::FieldIter;
use opentelemetry::propagation::{Extractor, Injector, TextMapCompositePropagator, TextMapPropagator};
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState};
use scouter_propagation::TraceContext;

use crate::{Headers, PARENT, active, arrived, found, local};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const SPAN: &str = "00f067aa0ba902b7";

/// One header.
#[derive(Debug)]
struct Foreign {
    fields: LazyLock<[String; 1]>,
    write: fn(&SpanContext) -> String,
    read: fn(&str) -> Option<(TraceId, SpanId, bool)>,
}

impl TextMapPropagator for Foreign {
    fn inject_context(&self, context: &Context, injector: &mut dyn Injector) {
        if context.span().span_context().is_valid() {
            injector.set(&self.fields[0], (self.write)(context.span().span_context()));
        }
    }

    fn extract_with_context(&self, context: &Context, extractor: &dyn Extractor) -> Context {
        let Some((trace, span, sampled)) = extractor.get(&self.fields[0]).and_then(self.read) else {
            return context.clone();
        };
        let flags = TraceFlags::default().with_sampled(sampled);
        context.with_remote_span_context(SpanContext::new(trace, span, flags, true, TraceState::NONE))
    }

    fn fields(&self) -> FieldIter<'_> {
        FieldIter::new(&*self.fields)
    }
}

fn ids(trace: &str, span: &str) -> Option<(TraceId, SpanId)> {
    Some((TraceId::from_hex(trace).ok()?, SpanId::from_hex(span).ok()?))
}

/// The only header, `b3: trace-span-sampled`.
fn b3() -> Foreign {
    Foreign {
        fields: LazyLock::new(|| ["b3".to_owned()]),
        write: |span| format!("{}-{}-{}", span.trace_id(), span.span_id(), u8::from(span.is_sampled())),
        read: |text| {
            let mut parts = text.split('-');
            let (trace, span) = ids(parts.next()?, parts.next()?)?;
            Some((trace, span, matches!(parts.next(), Some("1" | "d"))))
        },
    }
}

/// Jaeger's, `uber-trace-id: trace:span:0:flags`.
fn jaeger() -> Foreign {
    Foreign {
        fields: LazyLock::new(|| ["uber-trace-id".to_owned()]),
        write: |span| format!("{}:{}:0:{:x}", span.trace_id(), span.span_id(), u8::from(span.is_sampled())),
        read: |text| {
            let parts: Vec<_> = text.split(':').collect();
            let (trace, span) = ids(parts.first()?, parts.get(1)?)?;
            Some((trace, span, u8::from_str(parts.get(3)?).ok()? & 1 == 1))
        },
    }
}

/// Of OpenTracing's three headers the ids in one, which is enough to stand beside ours.
fn opentracing() -> Foreign {
    Foreign {
        fields: LazyLock::new(|| ["ot-tracer-ids".to_owned()]),
        write: |span| format!("{},{},{}", span.trace_id(), span.span_id(), span.is_sampled()),
        read: |text| {
            let parts: Vec<_> = text.split(',').collect();
            let (trace, span) = ids(parts.first()?, parts.get(1)?)?;
            Some((trace, span, *parts.get(2)? == "true"))
        },
    }
}

/// OpenCensus's bytes (version, then each field behind its number), in hexadecimal digits.
fn opencensus() -> Foreign {
    Foreign {
        fields: LazyLock::new(|| ["grpc-trace-bin".to_owned()]),
        write: |span| format!("0000{}01{}02{:02x}", span.trace_id(), span.span_id(), u8::from(span.is_sampled())),
        read: |text| {
            let (trace, rest) = text.strip_prefix("0000")?.split_at_checked(32)?;
            let (span, flags) = rest.strip_prefix("01")?.split_at_checked(16)?;
            let (trace, span) = ids(trace, span)?;
            Some((trace, span, flags == "0201"))
        },
    }
}

/// Alone, and in a composite with ours, a foreign propagator carries our span contexts.
fn assert_works(make: fn() -> Foreign, header: &str, expected: &str) {
    let alone = make();
    let mut carrier = Headers::new();
    alone.inject_context(&active(&local()), &mut carrier);
    assert_eq!(carrier, Headers::from([(header.to_owned(), expected.to_owned())]));
    let seen = found(&alone.extract_with_context(&Context::new(), &carrier)).unwrap();
    // It has no place for a trace state.
    assert_eq!(seen, scouter_span::SpanContext { trace_state: scouter_span::TraceState::EMPTY, ..arrived() });

    let composite = TextMapCompositePropagator::new(vec![Box::new(make()), Box::new(TraceContext)]);
    let mut carrier = Headers::new();
    composite.inject_context(&active(&local()), &mut carrier);
    assert_eq!((carrier[header].as_str(), carrier["traceparent"].as_str(), carrier.len()), (expected, PARENT, 3));
    // Whichever is there is read; of both the later one counts.
    for gone in [vec![], vec![header], vec!["traceparent"]] {
        let mut carrier = carrier.clone();
        carrier.retain(|name, _| !gone.contains(&name.as_str()));
        let seen = found(&composite.extract_with_context(&Context::new(), &carrier)).unwrap();
        assert_eq!((seen.trace_id, seen.span_id, seen.is_remote), (local().trace_id, local().span_id, true));
        assert_eq!(seen.trace_state.is_empty(), gone == ["traceparent"]);
    }
    let mut fields: Vec<_> = composite.fields().collect();
    fields.sort_unstable();
    let mut expected = vec![header, "traceparent", "tracestate"];
    expected.sort_unstable();
    assert_eq!(fields, expected);
}

#[test]
fn m083_b3_works_beside_ours() {
    assert_works(b3, "b3", &format!("{TRACE}-{SPAN}-1"));
}

#[test]
fn m084_jaeger_s_works_beside_ours() {
    assert_works(jaeger, "uber-trace-id", &format!("{TRACE}:{SPAN}:0:1"));
}

#[test]
fn m085_opentracing_s_works_beside_ours() {
    assert_works(opentracing, "ot-tracer-ids", &format!("{TRACE},{SPAN},true"));
}

#[test]
fn m086_opencensus_s_works_beside_ours() {
    assert_works(opencensus, "grpc-trace-bin", &format!("0000{TRACE}01{SPAN}0201"));
}
