//! The same program under this crate and under `opentelemetry_sdk` gives the same spans.
//!
//! Where the two differ on purpose, [`agreed`] takes the difference out of what the SDK exported. The reasons:
//!
//! - The SDK keeps every value that a key was set to, and keys without a name. The specification has keys unique, with
//!   the last value, and names not empty; we drop a nameless one and count it.
//! - The SDK exports a link to nowhere that says nothing; the specification lets it be ignored.
//! - The SDK forgets how many attributes a builder's event or link had dropped already; we add to it.
//! - The SDK lets a span end before it begins; we end it at its start.
//! - The SDK does not set the random flag of W3C Trace Context level 2, on its roots or below.
//! - Of two errors the SDK keeps the one whose words sort later; the specification says the last one. The programs here
//!   give their errors words that sort in their order.
//! - The SDK's sampler goes by the flags of an invalid parent; here that one is no parent. The programs have none.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use opentelemetry::trace::{
    Event, Link, Span as _, SpanBuilder, SpanContext, SpanId, SpanKind, Status, TraceContextExt, TraceFlags, TraceId,
    TraceState, TracerProvider,
};
use opentelemetry::{Context, KeyValue, StringValue, Value};
use opentelemetry_proto::tonic::common::v1::KeyValue as ProtoKeyValue;
use opentelemetry_proto::tonic::trace::v1::Span as ProtoSpan;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider, SpanData, SpanExporter};
use proptest::prelude::*;
use proptest::sample::Index;

use crate::Api;

type Attributes = Vec<(String, Value)>;

/// Another span: one of another program, or one that this program began before.
#[derive(Clone, Debug)]
enum Other {
    Foreign { trace: u8, span: u8, flags: u8, remote: bool, state: bool },
    Earlier(Index),
}

#[derive(Clone, Debug)]
struct Begin {
    name: String,
    kind: Option<SpanKind>,
    parent: Option<Other>,
    /// Whether the parent is active, instead of given.
    active: bool,
    start: u64,
    attributes: Option<Attributes>,
    events: Option<Vec<(String, u64, Attributes, u32)>>,
    links: Option<Vec<(Other, Attributes)>>,
}

/// Something a program does; the index says to which of its spans.
#[derive(Clone, Debug)]
enum Step {
    Begin(Box<Begin>),
    Attribute(Index, String, Value),
    Attributes(Index, Attributes),
    Event(Index, String, u64, Attributes),
    Link(Index, Other, Attributes),
    Status(Index, u8, String),
    Name(Index, String),
    End(Index, u64),
}

/// Keeps what the SDK exports.
#[derive(Clone, Debug, Default)]
struct Exported(Arc<Mutex<Vec<SpanData>>>);

impl SpanExporter for Exported {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        self.0.lock().unwrap().extend(batch);
        Ok(())
    }
}

fn time(nanoseconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_nanos(nanoseconds)
}

fn key_values(attributes: &Attributes) -> Vec<KeyValue> {
    attributes.iter().map(|(key, value)| KeyValue::new(key.clone(), value.clone())).collect()
}

fn resolve(other: &Other, begun: &[SpanContext]) -> SpanContext {
    match other {
        Other::Earlier(index) if !begun.is_empty() => index.get(begun).clone(),
        Other::Earlier(_) => SpanContext::empty_context(),
        Other::Foreign { trace, span, flags, remote, state } => {
            let state = if *state { "vendor=1,other=2".parse().unwrap() } else { TraceState::default() };
            let (trace, span) = (TraceId::from(u128::from(*trace)), SpanId::from(u64::from(*span)));
            SpanContext::new(trace, span, TraceFlags::new(*flags), *remote, state)
        }
    }
}

fn begin<T: opentelemetry::trace::Tracer>(tracer: &T, begin: &Begin, begun: &[SpanContext]) -> T::Span {
    let mut builder = SpanBuilder::from_name(begin.name.clone()).with_start_time(time(begin.start));
    builder.span_kind = begin.kind.clone();
    builder.attributes = begin.attributes.as_ref().map(key_values);
    let event = |(name, at, attributes, dropped): &(String, u64, Attributes, u32)| {
        Event::new(name.clone(), time(*at), key_values(attributes), *dropped)
    };
    builder.events = begin.events.as_ref().map(|events| events.iter().map(event).collect());
    let link = |(to, attributes): &(Other, Attributes)| Link::new(resolve(to, begun), key_values(attributes), 0);
    builder.links = begin.links.as_ref().map(|links| links.iter().map(link).collect());
    let parent = begin.parent.as_ref().map(|parent| resolve(parent, begun)).filter(SpanContext::is_valid);
    let context = match parent {
        Some(parent) => Context::new().with_remote_span_context(parent),
        None => Context::new(),
    };
    if begin.active {
        let _active = context.attach();
        tracer.build(builder)
    } else {
        tracer.build_with_context(builder, &context)
    }
}

/// Runs a program and returns the ids of its spans, in the order in which they began.
fn run<P: TracerProvider>(provider: &P, steps: &[Step]) -> Vec<SpanId> {
    let tracer = provider.tracer("test");
    let mut begun: Vec<SpanContext> = Vec::new();
    let mut spans = Vec::new();
    for (at, step) in steps.iter().enumerate() {
        if let Step::Begin(it) = step {
            let span = begin(&tracer, it, &begun);
            begun.push(span.span_context().clone());
            spans.push(span);
            continue;
        }
        if spans.is_empty() {
            continue;
        }
        let span = |index: &Index| index.index(begun.len());
        match step {
            Step::Begin(_) => {}
            Step::Attribute(index, key, value) => {
                spans[span(index)].set_attribute(KeyValue::new(key.clone(), value.clone()));
            }
            Step::Attributes(index, attributes) => spans[span(index)].set_attributes(key_values(attributes)),
            Step::Event(index, name, at, attributes) => {
                spans[span(index)].add_event_with_timestamp(name.clone(), time(*at), key_values(attributes));
            }
            Step::Link(index, to, attributes) => {
                spans[span(index)].add_link(resolve(to, &begun), key_values(attributes));
            }
            Step::Status(index, 0, _) => spans[span(index)].set_status(Status::Unset),
            Step::Status(index, 1, _) => spans[span(index)].set_status(Status::Ok),
            Step::Status(index, _, words) => spans[span(index)].set_status(Status::error(format!("{at:03}{words}"))),
            Step::Name(index, name) => spans[span(index)].update_name(name.clone()),
            Step::End(index, at) => spans[span(index)].end_with_timestamp(time(*at)),
        }
    }
    for (at, span) in spans.iter_mut().enumerate() {
        span.end_with_timestamp(time(10_000 + at as u64));
    }
    begun.iter().map(SpanContext::span_id).collect()
}

/// Ids made by chance become the place in the program; ids from outside stay.
fn renumbered(mut span: ProtoSpan, begun: &[SpanId], roots: &mut Vec<Vec<u8>>) -> ProtoSpan {
    let number = |id: &mut Vec<u8>| {
        if let Some(at) = begun.iter().position(|begun| begun.to_bytes() == id[..]) {
            *id = format!("span {at}").into_bytes();
        }
    };
    let mut trace = |id: &mut Vec<u8>| {
        // Foreign trace ids are small.
        if id[..15].iter().any(|byte| *byte != 0) {
            let at = roots.iter().position(|root| root == id).unwrap_or_else(|| {
                roots.push(id.clone());
                roots.len() - 1
            });
            *id = format!("trace {at}").into_bytes();
        }
    };
    number(&mut span.span_id);
    number(&mut span.parent_span_id);
    trace(&mut span.trace_id);
    for link in &mut span.links {
        number(&mut link.span_id);
        trace(&mut link.trace_id);
    }
    span
}

/// Unique keys with the last value, no nameless ones, in order of the keys.
fn unique(attributes: &mut Vec<ProtoKeyValue>) {
    let all = std::mem::take(attributes);
    for attribute in all {
        attributes.retain(|other| other.key != attribute.key);
        if !attribute.key.is_empty() {
            attributes.push(attribute);
        }
    }
    attributes.sort_by(|a, b| a.key.cmp(&b.key));
}

/// A span without what the two disagree about on purpose.
fn agreed(mut span: ProtoSpan) -> ProtoSpan {
    const RANDOM: u32 = 2;
    unique(&mut span.attributes);
    span.dropped_attributes_count = 0;
    span.flags &= !RANDOM;
    span.end_time_unix_nano = span.end_time_unix_nano.max(span.start_time_unix_nano);
    span.status = Some(span.status.unwrap_or_default());
    for event in &mut span.events {
        unique(&mut event.attributes);
        event.dropped_attributes_count = 0;
    }
    for link in &mut span.links {
        unique(&mut link.attributes);
        link.dropped_attributes_count = 0;
        link.flags &= !RANDOM;
    }
    let nowhere = |id: &[u8]| id.iter().all(|byte| *byte == 0);
    span.links.retain(|link| {
        let valid = !nowhere(&link.trace_id) && !nowhere(&link.span_id);
        valid || !link.attributes.is_empty() || !link.trace_state.is_empty()
    });
    span
}

fn values() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-1e300..1e300_f64).prop_map(Value::from),
        ".{0,20}|[a-z]{100,200}".prop_map(Value::from),
        prop::collection::vec(any::<bool>(), 0..4).prop_map(|values| Value::Array(values.into())),
        prop::collection::vec(any::<i64>(), 0..40).prop_map(|values| Value::Array(values.into())),
        prop::collection::vec(-1e300..1e300_f64, 0..4).prop_map(|values| Value::Array(values.into())),
        prop::collection::vec(".{0,9}".prop_map(StringValue::from), 0..4)
            .prop_map(|values| Value::Array(values.into())),
    ]
}

/// Some without a name.
fn attributes() -> impl Strategy<Value = Attributes> {
    prop::collection::vec(("[a-c]{0,1}|[a-z.]{3,9}", values()), 0..4)
}

/// For links: whether one to nowhere says something must not hang on a nameless key.
fn named_attributes() -> impl Strategy<Value = Attributes> {
    prop::collection::vec(("[a-c]|[a-z.]{3,9}", values()), 0..4)
}

fn others() -> impl Strategy<Value = Other> {
    let flags = prop_oneof![Just(0_u8), Just(1), Just(1)];
    let foreign = (0_u8..3, 0_u8..3, flags, any::<bool>(), any::<bool>());
    prop_oneof![
        foreign.prop_map(|(trace, span, flags, remote, state)| Other::Foreign { trace, span, flags, remote, state }),
        any::<Index>().prop_map(Other::Earlier),
    ]
}

fn kinds() -> impl Strategy<Value = SpanKind> {
    prop::sample::select(vec![
        SpanKind::Internal,
        SpanKind::Server,
        SpanKind::Client,
        SpanKind::Producer,
        SpanKind::Consumer,
    ])
}

fn begins() -> impl Strategy<Value = Begin> {
    let events = prop::collection::vec((".{0,9}", any::<u64>(), attributes(), 0_u32..3), 0..3);
    let links = prop::collection::vec((others(), named_attributes()), 0..3);
    (
        (".{0,20}", prop::option::of(kinds()), prop::option::of(others()), any::<bool>(), 0_u64..20_000),
        (prop::option::of(attributes()), prop::option::of(events), prop::option::of(links)),
    )
        .prop_map(|((name, kind, parent, active, start), (attributes, events, links))| Begin {
            name,
            kind,
            parent,
            active,
            start,
            attributes,
            events,
            links,
        })
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => begins().prop_map(|begin| Step::Begin(Box::new(begin))),
        3 => (any::<Index>(), "[a-c]{0,1}|[a-z.]{3,9}", values()).prop_map(|(i, key, value)| Step::Attribute(i, key, value)),
        1 => (any::<Index>(), attributes()).prop_map(|(i, attributes)| Step::Attributes(i, attributes)),
        1 => (any::<Index>(), ".{0,9}", any::<u64>(), attributes()).prop_map(|(i, n, t, a)| Step::Event(i, n, t, a)),
        1 => (any::<Index>(), others(), named_attributes()).prop_map(|(i, to, a)| Step::Link(i, to, a)),
        1 => (any::<Index>(), 0_u8..3, ".{0,9}").prop_map(|(i, code, words)| Step::Status(i, code, words)),
        1 => (any::<Index>(), ".{0,20}").prop_map(|(i, name)| Step::Name(i, name)),
        1 => (any::<Index>(), 0_u64..20_000).prop_map(|(i, at)| Step::End(i, at)),
    ];
    prop::collection::vec(step, 0..40)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn programs_give_the_same_spans(steps in steps()) {
        let api = Api::new();
        let begun = run(&api.provider, &steps);
        let mut roots = Vec::new();
        let ours: Vec<_> = api.spans().into_iter().map(|span| agreed(renumbered(span, &begun, &mut roots))).collect();

        let exported = Exported::default();
        let sampler = Sampler::ParentBased(Box::new(Sampler::AlwaysOn));
        let sdk = SdkTracerProvider::builder().with_sampler(sampler).with_simple_exporter(exported.clone()).build();
        let begun = run(&sdk, &steps);
        let mut roots = Vec::new();
        let theirs = exported.0.lock().unwrap().clone();
        let theirs: Vec<_> =
            theirs.into_iter().map(|span| agreed(renumbered(span.into(), &begun, &mut roots))).collect();

        prop_assert_eq!(ours, theirs);
    }
}
