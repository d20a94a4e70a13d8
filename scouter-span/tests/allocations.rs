//! What allocates: in steady state a span does not, from its start to the sink.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::hint::black_box;
use std::sync::Arc;

use scouter_span::scope::ScopeId;
use scouter_span::{
    FinishedSpan, Parent, Ratio, Resource, Sampler, Scope, Span, SpanContext, SpanProcessor, SpanSink, StatusCode,
    TraceState, Tracer, TracerProvider, Value,
};

/// Counts what each thread allocates.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

fn count() {
    let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
}

#[expect(unsafe_code, reason = "an allocator is unsafe by nature; this one counts and hands on")]
// SAFETY: every call goes to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller's promise.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

#[derive(Debug)]
struct Nowhere;

impl SpanSink for Nowhere {
    fn register(&self, _scope: &Arc<Scope>) -> ScopeId {
        ScopeId(0)
    }

    fn accept(&self, span: FinishedSpan<'_>) {
        black_box(span.bytes);
    }
}

fn provider(sampler: Sampler) -> TracerProvider {
    let defaults = [("deployment.environment.name", Value::Str("test"))];
    let builder = TracerProvider::builder(Resource::new(&[], ""), Arc::new(Nowhere));
    builder.sampler(sampler).default_attributes(&defaults).build()
}

fn tracer(sampler: Sampler) -> Tracer {
    provider(sampler).tracer(Scope::new("test", "", "", &[]))
}

/// How many allocations a thousand rounds take, after enough of them for every buffer to have found its size.
fn allocations(mut round: impl FnMut()) -> u64 {
    for _ in 0..100 {
        round();
    }
    let before = ALLOCATIONS.get();
    for _ in 0..1000 {
        round();
    }
    ALLOCATIONS.get() - before
}

/// Longer than what one byte of length can tell.
const LONG: &str = "01234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789";

/// Ten attributes and an event.
fn record(tracer: &Tracer, parent: Option<&SpanContext>) -> Span {
    let mut span = tracer.span("GET /items/{id}").parent(parent).start();
    span.set_attribute("http.request.method", "GET");
    span.set_attribute("url.path", "/items/4711");
    span.set_attribute("url.scheme", "https");
    span.set_attribute("user_agent.original", "Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101 Firefox/130.0");
    span.set_attribute("http.response.status_code", 200);
    span.set_attribute("server.port", 8443_i64);
    span.set_attribute("app.price", 17.25);
    span.set_attribute("app.cache_hit", true);
    span.set_attribute("app.tags", &[Value::Str("a"), Value::Str("b")][..]);
    span.set_attribute("app.note", LONG);
    span.add_event("cache.lookup", &[("app.attempts", Value::I64(2))]);
    span
}

#[test]
fn the_counter_counts() {
    assert_eq!(allocations(|| drop(black_box(Box::new(1)))), 1000);
}

#[test]
fn spans_allocate_nothing() {
    let tracer = tracer(Sampler::AlwaysOn);
    assert_eq!(allocations(|| record(&tracer, None).end()), 0);
    // Dropped without an end, and let go of.
    assert_eq!(allocations(|| drop(record(&tracer, None))), 0);
    assert_eq!(allocations(|| record(&tracer, None).abandon()), 0);
}

#[test]
fn nested_spans_allocate_nothing() {
    let tracer = tracer(Sampler::parent_based(Sampler::AlwaysOn));
    let mut remote = record(&tracer, None).context().clone();
    remote.trace_state = TraceState::parse("vendor=1,other=2").unwrap();
    let nested = || {
        let outer = record(&tracer, Some(&remote));
        let inner = record(&tracer, Some(outer.context()));
        let _innermost = record(&tracer, Some(inner.context()));
    };
    assert_eq!(allocations(nested), 0);
}

#[test]
fn spans_that_are_not_sampled_allocate_nothing() {
    let tracer = tracer(Sampler::AlwaysOff);
    assert_eq!(allocations(|| record(&tracer, None).end()), 0);
}

#[test]
fn deciding_by_a_ratio_allocates_nothing() {
    let tracer = tracer(Sampler::ratio(Ratio::new(0.5).unwrap()));
    let nested = || {
        let outer = record(&tracer, None);
        drop(record(&tracer, Some(outer.context())));
    };
    assert_eq!(allocations(nested), 0);
}

#[test]
fn processors_cost_no_allocation_of_ours() {
    /// Looks on.
    #[derive(Debug)]
    struct Looks;
    impl SpanProcessor for Looks {
        fn on_start(&self, span: &mut Span, parent: Parent<'_>) {
            black_box((span, parent));
        }

        fn on_end(&self, span: &Span) {
            black_box(span);
        }
    }
    let provider = provider(Sampler::always_record(Sampler::ratio(Ratio::new(0.5).unwrap())));
    provider.add_processor(Arc::new(Looks));
    let tracer = provider.tracer(Scope::new("test", "", "", &[]));
    assert_eq!(allocations(|| record(&tracer, None).end()), 0);
}

#[test]
fn changing_a_span_allocates_nothing() {
    let tracer = tracer(Sampler::AlwaysOn);
    let change = || {
        let mut span = record(&tracer, None);
        let to = span.context().clone();
        // Of equal size, shorter, longer, and a default's own value.
        span.set_attribute("http.request.method", "PUT");
        span.set_attribute("url.path", "/");
        span.set_attribute("url.scheme", "https+insecure");
        span.set_attribute("deployment.environment.name", "elsewhere");
        span.add_link(&to, &[("why", Value::Str("because"))]);
        span.update_name("another name, and a longer one");
        span.update_name("short");
        span.set_status(StatusCode::Error, "it went wrong");
        span.end();
    };
    assert_eq!(allocations(change), 0);
}

#[cfg(feature = "opentelemetry")]
#[test]
fn through_the_api_only_its_own_lists_are_allocated() {
    use opentelemetry::trace::{Span as _, Status, Tracer as _, TracerProvider as _};
    use opentelemetry::{Context, KeyValue};

    let tracer = scouter_span::otel::Provider::new(provider(Sampler::AlwaysOn)).tracer("test");
    let record = || {
        let mut span = tracer.start("GET /items/{id}");
        span.set_attribute(KeyValue::new("http.request.method", "GET"));
        span.set_attribute(KeyValue::new("server.port", 8443_i64));
        span.set_attribute(KeyValue::new("app.price", 17.25));
        span.set_attribute(KeyValue::new("app.cache_hit", true));
        span.set_status(Status::error("why"));
        span.update_name("other");
        span.end();
    };
    assert_eq!(allocations(record), 0);

    // The list of an event's attributes.
    let with_event = || tracer.start("x").add_event("e", vec![KeyValue::new("app.attempts", 2_i64)]);
    assert_eq!(allocations(with_event), 1000);

    let silent = Context::new().with_telemetry_suppressed();
    assert_eq!(allocations(|| tracer.start_with_context("x", &silent).end()), 0);

    let off = scouter_span::otel::Provider::new(provider(Sampler::AlwaysOff)).tracer("test");
    assert_eq!(allocations(|| off.start("x").end()), 0);
}
