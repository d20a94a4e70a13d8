//! Spans of the SDK to bytes and back.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use opentelemetry::trace::{Event, Link, SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState};
use opentelemetry::{Array, InstrumentationScope, KeyValue, StringValue, Value};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::transform::common::tonic::ResourceAttributesWithSchema;
use opentelemetry_proto::transform::trace::tonic::group_spans_by_resource_and_scope;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use prost::Message;
use scouter_export::sdk;
use scouter_span::Scope;
use scouter_span::request::{self, Group};

fn value() -> impl Strategy<Value = Value> {
    let number = any::<f64>().prop_filter("is equal to itself", |number| !number.is_nan());
    let text = ".{0,200}".prop_map(StringValue::from);
    prop_oneof![
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::I64),
        number.clone().prop_map(Value::F64),
        text.clone().prop_map(Value::String),
        vec(any::<bool>(), 1..5).prop_map(|values| Value::Array(Array::Bool(values))),
        vec(any::<i64>(), 1..60).prop_map(|values| Value::Array(Array::I64(values))),
        vec(number, 1..5).prop_map(|values| Value::Array(Array::F64(values))),
        // An empty array has no kind on the wire, and comes back as one of texts.
        vec(text, 0..5).prop_map(|values| Value::Array(Array::String(values))),
    ]
}

fn attributes() -> impl Strategy<Value = Vec<KeyValue>> {
    vec(("\\PC{0,20}", value()).prop_map(|(key, value)| KeyValue::new(key, value)), 0..6)
}

/// With keys that are there once, which is what scopes and resources keep.
fn unique() -> impl Strategy<Value = Vec<KeyValue>> {
    vec(value(), 0..4).prop_map(|values| {
        values.into_iter().enumerate().map(|(at, value)| KeyValue::new(format!("key {at}"), value)).collect()
    })
}

fn time() -> impl Strategy<Value = SystemTime> {
    any::<u64>().prop_map(|nanoseconds| UNIX_EPOCH + Duration::from_nanos(nanoseconds))
}

fn trace_state() -> impl Strategy<Value = TraceState> {
    vec("[a-z0-9]([a-z0-9*/_-]{0,10})", 0..4).prop_flat_map(|mut keys| {
        keys.sort();
        keys.dedup();
        vec("[!-+\\--<>-~]{1,20}", keys.len())
            .prop_map(move |values| TraceState::from_key_value(keys.iter().zip(values)).unwrap())
    })
}

fn context(is_remote: impl Strategy<Value = bool>) -> impl Strategy<Value = SpanContext> {
    (1..=u128::MAX, 1..=u64::MAX, any::<u8>(), is_remote, trace_state()).prop_map(
        |(trace, span, flags, remote, state)| {
            SpanContext::new(TraceId::from(trace), SpanId::from(span), TraceFlags::new(flags), remote, state)
        },
    )
}

fn scope() -> impl Strategy<Value = InstrumentationScope> {
    (".{0,20}", option::of(".{1,9}"), option::of(".{1,30}"), unique()).prop_map(
        |(name, version, schema_url, attributes)| {
            let mut builder = InstrumentationScope::builder(name).with_attributes(attributes);
            if let Some(version) = version {
                builder = builder.with_version(version);
            }
            if let Some(schema_url) = schema_url {
                builder = builder.with_schema_url(schema_url);
            }
            builder.build()
        },
    )
}

fn events() -> impl Strategy<Value = SpanEvents> {
    let event = (".{0,20}", time(), attributes(), any::<u32>())
        .prop_map(|(name, time, attributes, dropped)| Event::new(name, time, attributes, dropped));
    (vec(event, 0..4), any::<u32>()).prop_map(|(list, dropped)| {
        let mut events = SpanEvents::default();
        events.events = list;
        events.dropped_count = dropped;
        events
    })
}

fn links() -> impl Strategy<Value = SpanLinks> {
    let link = (context(any::<bool>()), attributes(), any::<u32>())
        .prop_map(|(context, attributes, dropped)| Link::new(context, attributes, dropped));
    (vec(link, 0..4), any::<u32>()).prop_map(|(list, dropped)| {
        let mut links = SpanLinks::default();
        links.links = list;
        links.dropped_count = dropped;
        links
    })
}

prop_compose! {
    fn span_data()(
        span_context in context(Just(false)),
        parent in any::<u64>(),
        parent_span_is_remote: bool,
        span_kind in prop::sample::select(vec![
            SpanKind::Internal, SpanKind::Server, SpanKind::Client, SpanKind::Producer, SpanKind::Consumer,
        ]),
        name in ".{0,200}",
        times in (time(), time()),
        attributes in attributes(),
        dropped_attributes_count: u32,
        events in events(),
        links in links(),
        status in prop_oneof![Just(Status::Unset), Just(Status::Ok), ".{0,40}".prop_map(Status::error)],
        instrumentation_scope in scope(),
    ) -> SpanData {
        SpanData {
            span_context,
            parent_span_id: SpanId::from(parent),
            parent_span_is_remote,
            span_kind,
            name: name.into(),
            start_time: times.0,
            end_time: times.1,
            attributes,
            dropped_attributes_count,
            events,
            links,
            status,
            instrumentation_scope,
        }
    }
}

/// The request that a pipeline would make of one span.
fn request(data: &SpanData, resource: &Resource) -> Vec<u8> {
    let (mut spans, mut request) = (Vec::new(), Vec::new());
    sdk::encode(&mut spans, data);
    let scope = Scope::from(&data.instrumentation_scope);
    request::encode(&mut request, &sdk::resource(resource), &[Group { scope: &scope, spans: &spans }]);
    request
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    #[test]
    fn spans_come_back_as_they_were(data in span_data(), given in unique(), schema in option::of(".{1,20}")) {
        let builder = Resource::builder_empty();
        let resource = match schema {
            Some(schema) => builder.with_schema_url(given, schema).build(),
            None => builder.with_attributes(given).build(),
        };
        let batches = sdk::decode(&request(&data, &resource)).unwrap();
        prop_assert_eq!(batches.len(), 1);
        prop_assert_eq!(&batches[0].resource, &resource);
        prop_assert_eq!(&batches[0].spans, &[data]);
    }

    /// What the SDK's own exporter would send says the same.
    #[test]
    fn the_bytes_say_what_the_sdk_s_own_exporter_says(data in span_data()) {
        let resource = Resource::builder_empty().build();
        let ours = ExportTraceServiceRequest::decode(request(&data, &resource).as_slice()).unwrap();
        let theirs = group_spans_by_resource_and_scope(vec![data], &ResourceAttributesWithSchema::from(&resource));
        let (mut ours, mut theirs) = (ours.resource_spans[0].clone(), theirs[0].clone());
        for group in [&mut ours, &mut theirs] {
            let scope = &mut group.scope_spans[0];
            // In either order.
            scope.scope.as_mut().unwrap().attributes.sort_by(|first, second| first.key.cmp(&second.key));
            // A status that says nothing may be left out.
            let span = &mut scope.spans[0];
            span.status = span.status.take().filter(|status| status.code != 0);
        }
        prop_assert_eq!(ours.scope_spans, theirs.scope_spans);
    }
}

#[test]
fn times_outside_of_what_otlp_holds_go_to_its_ends() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut data = span_data().new_tree(&mut runner).unwrap().current();
    data.start_time = UNIX_EPOCH - Duration::from_secs(5);
    let batches = sdk::decode(&request(&data, &Resource::builder_empty().build())).unwrap();
    assert_eq!(batches[0].spans[0].start_time, UNIX_EPOCH);
}

#[test]
fn what_is_no_request_is_refused() {
    assert!(sdk::decode(&[0x0a, 0xff]).is_err());
    assert!(sdk::decode(&[]).unwrap().is_empty());
}
