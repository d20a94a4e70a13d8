//! What this crate writes, `opentelemetry-proto` reads, and the views agree; whatever a program does to a span.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use proptest::prelude::*;
use prost::Message;
use scouter_span::context::TraceFlags;
use scouter_span::view::{self, TraceRequest, ValueView};
use scouter_span::{Resource, Scope, SpanContext, SpanId, SpanKind, StatusCode, TraceId, Value, request};

use support::{Fixture, decode};

/// A value that owns what [`Value`] borrows.
#[derive(Clone, Debug)]
enum Owned {
    Empty,
    Bool(bool),
    I64(i64),
    F64(f64),
    Str(String),
    Bytes(Vec<u8>),
    Array(Vec<Owned>),
    Map(Vec<(String, Owned)>),
}

/// Something a program does to a span.
#[derive(Clone, Debug)]
enum Step {
    Attribute(String, Owned),
    Event(String, u64, Vec<(String, Owned)>),
    Link(u128, u64, u8, bool, Vec<(String, Owned)>),
    Status(u8, String),
    Name(String),
}

/// What is done with attributes that are lent.
type TakeEntries<'a, T> = dyn FnMut(&[(&str, Value<'_>)]) -> T + 'a;

impl Owned {
    fn lend<T>(&self, take: &mut dyn FnMut(Value<'_>) -> T) -> T {
        match self {
            Self::Empty => take(Value::Empty),
            Self::Bool(value) => take(Value::Bool(*value)),
            Self::I64(value) => take(Value::I64(*value)),
            Self::F64(value) => take(Value::F64(*value)),
            Self::Str(value) => take(Value::Str(value)),
            Self::Bytes(value) => take(Value::Bytes(value)),
            Self::Array(values) => lend_all(values, &mut |values| take(Value::Array(values))),
            Self::Map(entries) => lend_entries(entries, &mut |entries| take(Value::Map(entries))),
        }
    }

    fn to_proto(&self) -> AnyValue {
        use any_value::Value as V;
        let value = match self {
            Self::Empty => return AnyValue { value: None },
            Self::Bool(value) => V::BoolValue(*value),
            Self::I64(value) => V::IntValue(*value),
            Self::F64(value) => V::DoubleValue(*value),
            Self::Str(value) => V::StringValue(value.clone()),
            Self::Bytes(value) => V::BytesValue(value.clone()),
            Self::Array(values) => V::ArrayValue(opentelemetry_proto::tonic::common::v1::ArrayValue {
                values: values.iter().map(Self::to_proto).collect(),
            }),
            Self::Map(entries) => V::KvlistValue(opentelemetry_proto::tonic::common::v1::KeyValueList {
                values: to_proto_attributes(entries),
            }),
        };
        AnyValue { value: Some(value) }
    }
}

fn lend_all<T>(values: &[Owned], take: &mut dyn FnMut(&[Value<'_>]) -> T) -> T {
    fn go<T>(rest: &[Owned], lent: &mut Vec<Value<'_>>, take: &mut dyn FnMut(&[Value<'_>]) -> T) -> T {
        match rest.split_first() {
            None => take(lent),
            Some((first, rest)) => first.lend(&mut |value| {
                let mut lent = lent.clone();
                lent.push(value);
                go(rest, &mut lent, take)
            }),
        }
    }
    go(values, &mut Vec::new(), take)
}

fn lend_entries<T>(entries: &[(String, Owned)], take: &mut TakeEntries<'_, T>) -> T {
    let values: Vec<_> = entries.iter().map(|(_, value)| value.clone()).collect();
    lend_all(&values, &mut |values| {
        let pairs: Vec<_> = entries.iter().map(|(key, _)| key.as_str()).zip(values.iter().copied()).collect();
        take(&pairs)
    })
}

fn to_proto_attributes(entries: &[(String, Owned)]) -> Vec<KeyValue> {
    let to_proto = |(key, value): &(String, Owned)| KeyValue {
        key: key.clone(),
        value: Some(value.to_proto()),
        ..KeyValue::default()
    };
    entries.iter().map(to_proto).collect()
}

/// Of equal keys the last value in the first place, as attributes of events and links are kept.
fn unique(entries: &[(String, Owned)]) -> Vec<(String, Owned)> {
    let mut unique: Vec<(String, Owned)> = Vec::new();
    for (key, value) in entries.iter().filter(|(key, _)| !key.is_empty()) {
        match unique.iter_mut().find(|(other, _)| other == key) {
            Some((_, old)) => *old = value.clone(),
            None => unique.push((key.clone(), value.clone())),
        }
    }
    unique
}

fn by_key(mut attributes: Vec<KeyValue>) -> Vec<KeyValue> {
    attributes.sort_by(|a, b| a.key.cmp(&b.key));
    attributes
}

/// What a view says, as a value that owns it.
fn read(value: ValueView<'_>) -> AnyValue {
    fn owned(value: ValueView<'_>) -> Owned {
        match value {
            ValueView::Empty => Owned::Empty,
            ValueView::Bool(value) => Owned::Bool(value),
            ValueView::I64(value) => Owned::I64(value),
            ValueView::F64(value) => Owned::F64(value),
            ValueView::Str(value) => Owned::Str(value.to_owned()),
            ValueView::Bytes(value) => Owned::Bytes(value.to_vec()),
            ValueView::Array(values) => Owned::Array(values.iter().map(owned).collect()),
            ValueView::Map(entries) => {
                Owned::Map(entries.iter().map(|entry| (entry.key.to_owned(), owned(entry.value))).collect())
            }
        }
    }
    owned(value).to_proto()
}

fn read_all(attributes: view::Attributes<'_>) -> Vec<KeyValue> {
    let read = |attribute: view::KeyValue<'_>| KeyValue {
        key: attribute.key.to_owned(),
        value: Some(read(attribute.value)),
        ..KeyValue::default()
    };
    attributes.iter().map(read).collect()
}

fn values() -> impl Strategy<Value = Owned> {
    let leaf = prop_oneof![
        Just(Owned::Empty),
        any::<bool>().prop_map(Owned::Bool),
        any::<i64>().prop_map(Owned::I64),
        (-1e300..1e300f64).prop_map(Owned::F64),
        ".{0,40}".prop_map(Owned::Str),
        "[a-z]{100,300}".prop_map(Owned::Str),
        prop::collection::vec(any::<u8>(), 0..200).prop_map(Owned::Bytes),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Owned::Array),
            prop::collection::vec(("[a-z]{1,9}", inner), 0..4).prop_map(Owned::Map),
        ]
    })
}

fn attributes() -> impl Strategy<Value = Vec<(String, Owned)>> {
    prop::collection::vec(("[a-c]{0,2}|[a-z.]{10,140}", values()), 0..5)
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => ("[a-e]{1,2}|[a-z.]{1,30}|[a-z]{120,140}", values()).prop_map(|(key, value)| Step::Attribute(key, value)),
        1 => (".{0,20}", any::<u64>(), attributes()).prop_map(|(name, time, attributes)| Step::Event(name, time, attributes)),
        1 => (1u128.., 1u64.., 0u8..4, any::<bool>(), attributes()).prop_map(|(t, s, f, r, a)| Step::Link(t, s, f, r, a)),
        1 => (0u8..3, ".{0,9}").prop_map(|(code, message)| Step::Status(code, message)),
        1 => ".{0,200}".prop_map(Step::Name),
    ];
    prop::collection::vec(step, 0..30)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn spans_read_as_they_were_made(steps in steps(), parent in any::<Option<(u128, u64, bool)>>(), kind in 1u64..6) {
        let fixture = Fixture::new();
        let parent = parent.and_then(|(trace, span, remote)| {
            let mut context = SpanContext::new(TraceId::from_int(trace)?, SpanId::from_int(span)?, TraceFlags::SAMPLED);
            context.is_remote = remote;
            Some(context)
        });
        let mut span = fixture.tracer.span("first").kind(SpanKind::from_number(kind)).parent(parent.as_ref()).start();
        let context = span.context().clone();

        let mut name = "first".to_owned();
        let mut expected: Vec<(String, Owned)> = Vec::new();
        let (mut events, mut links) = (Vec::new(), Vec::new());
        let (mut code, mut message) = (0, String::new());
        for step in &steps {
            match step {
                Step::Attribute(key, value) => {
                    value.lend(&mut |value| span.set_attribute(key, value));
                    expected.retain(|(other, _)| other != key);
                    expected.push((key.clone(), value.clone()));
                }
                Step::Event(event, time, attributes) => {
                    lend_entries(attributes, &mut |attributes| span.add_event_at(event, *time, attributes));
                    events.push((event.clone(), *time, unique(attributes)));
                }
                Step::Link(trace, id, flags, remote, attributes) => {
                    let (trace, id) = (TraceId::from_int(*trace).unwrap(), SpanId::from_int(*id).unwrap());
                    let mut to = SpanContext::new(trace, id, TraceFlags::from_bits(*flags));
                    to.is_remote = *remote;
                    lend_entries(attributes, &mut |attributes| span.add_link(&to, attributes));
                    links.push((to, unique(attributes)));
                }
                Step::Status(new, words) => {
                    span.set_status(StatusCode::from_number(u64::from(*new)), words);
                    if code != 1 && *new != 0 {
                        code = i32::from(*new);
                        message = if *new == 2 { words.clone() } else { String::new() };
                    }
                }
                Step::Name(new) => {
                    span.update_name(new);
                    name.clone_from(new);
                }
            }
        }
        span.end_at(u64::MAX);
        drop(span);

        let bytes = fixture.request();
        let request = decode(&bytes);
        let seen = &request.resource_spans[0].scope_spans[0].spans[0];
        prop_assert_eq!(&seen.trace_id, &context.trace_id.to_bytes());
        prop_assert_eq!(&seen.span_id, &context.span_id.to_bytes());
        prop_assert_eq!(&seen.name, &name);
        prop_assert_eq!(seen.kind, kind as i32);
        prop_assert_eq!(seen.end_time_unix_nano, u64::MAX);
        let remote = parent.as_ref().is_some_and(|parent| parent.is_remote);
        prop_assert_eq!(seen.flags, u32::from(context.flags.bits()) | 0x100 | if remote { 0x200 } else { 0 });
        prop_assert_eq!(&seen.parent_span_id, &parent.map_or_else(Vec::new, |parent| parent.span_id.to_bytes().to_vec()));
        prop_assert_eq!(by_key(seen.attributes.clone()), by_key(to_proto_attributes(&expected)));
        prop_assert_eq!(seen.events.len(), events.len());
        for (seen, (name, time, attributes)) in seen.events.iter().zip(&events) {
            prop_assert_eq!((&seen.name, seen.time_unix_nano), (name, *time));
            prop_assert_eq!(&seen.attributes, &to_proto_attributes(attributes));
        }
        prop_assert_eq!(seen.links.len(), links.len());
        for (seen, (to, attributes)) in seen.links.iter().zip(&links) {
            prop_assert_eq!(&seen.trace_id, &to.trace_id.to_bytes());
            prop_assert_eq!(&seen.span_id, &to.span_id.to_bytes());
            prop_assert_eq!(seen.flags, u32::from(to.flags.bits()) | 0x100 | if to.is_remote { 0x200 } else { 0 });
            prop_assert_eq!(&seen.attributes, &to_proto_attributes(attributes));
        }
        let status = seen.status.clone().unwrap_or_default();
        prop_assert_eq!((status.code, &status.message), (code, &message));

        // The views say the same as the other implementation.
        let view = TraceRequest::parse(&bytes).unwrap();
        let view = view.spans().next().unwrap();
        prop_assert_eq!(view.name(), &seen.name);
        prop_assert_eq!(view.start_time(), seen.start_time_unix_nano);
        prop_assert_eq!(read_all(view.attributes()), seen.attributes.clone());
        prop_assert_eq!(view.status().message, &status.message);
        for (view, seen) in view.events().zip(&seen.events) {
            prop_assert_eq!((view.name(), view.time()), (seen.name.as_str(), seen.time_unix_nano));
            prop_assert_eq!(read_all(view.attributes()), seen.attributes.clone());
        }
        for (view, seen) in view.links().zip(&seen.links) {
            prop_assert_eq!(view.trace_id().unwrap().to_bytes().to_vec(), seen.trace_id.clone());
            prop_assert_eq!(read_all(view.attributes()), seen.attributes.clone());
        }
    }

    /// The check agrees with the reference decoder about what is a request at all.
    #[test]
    fn damaged_requests_are_refused_where_the_reference_refuses_them(
        steps in steps(), place in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<prop::sample::Index>(),
    ) {
        let fixture = Fixture::new();
        let mut span = fixture.tracer.span("x").start();
        for step in &steps {
            if let Step::Attribute(key, value) = step {
                value.lend(&mut |value| span.set_attribute(key, value));
            }
        }
        span.add_event_at("e", 1, &[("k", Value::Str("v"))]);
        span.end();
        let mut bytes = fixture.request();
        let at = place.index(bytes.len());
        bytes[at] = byte;
        bytes.truncate(1 + cut.index(bytes.len()));
        if let Ok(request) = TraceRequest::parse(&bytes) {
            let names: Vec<_> = request.spans().map(|span| span.name().to_owned()).collect();
            let reference = ExportTraceServiceRequest::decode(&bytes[..]);
            prop_assert!(reference.is_ok(), "accepted {bytes:?}: {reference:?}");
            let reference = reference.unwrap();
            let spans = reference.resource_spans.iter().flat_map(|r| &r.scope_spans).flat_map(|s| &s.spans);
            prop_assert_eq!(names, spans.map(|span| span.name.clone()).collect::<Vec<_>>());
        }
    }

    #[test]
    fn any_bytes_are_read_without_harm(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        if let Ok(request) = TraceRequest::parse(&bytes) {
            for span in request.spans() {
                let _ = (span.trace_id(), span.attributes().iter().count(), span.events().count(), span.status());
            }
        }
    }
}

#[test]
fn headers_carry_resource_scope_and_schemas() {
    let resource = Resource::new(&[("service.name", Value::Str("shop"))], "https://resource.example/1");
    let attributes = [("team", Value::Array(&[Value::Str("a"), Value::Empty]))];
    let scopes = [Scope::new("lib", "1.2", "https://scope.example/1", &attributes), Scope::new("", "", "", &[])];
    let groups = scopes.each_ref().map(|scope| request::Group { scope, spans: &[] });
    let mut bytes = Vec::new();
    request::encode(&mut bytes, &resource, &groups);
    assert_eq!(bytes.len(), request::encoded_len(&resource, &groups));

    let decoded = decode(&bytes);
    let spans = &decoded.resource_spans[0];
    assert_eq!(spans.schema_url, "https://resource.example/1");
    assert_eq!(spans.resource.as_ref().unwrap().attributes[0].key, "service.name");
    let scope = spans.scope_spans[0].scope.as_ref().unwrap();
    assert_eq!((scope.name.as_str(), scope.version.as_str()), ("lib", "1.2"));
    assert_eq!(spans.scope_spans[0].schema_url, "https://scope.example/1");
    assert_eq!(spans.scope_spans.len(), 2);

    let view = TraceRequest::parse(&bytes).unwrap();
    let view = view.resource_spans().next().unwrap();
    assert_eq!(view.resource().attributes().get("service.name"), Some(ValueView::Str("shop")));
    let scopes: Vec<_> = view.scope_spans().map(|spans| spans.scope().name()).collect();
    assert_eq!(scopes, ["lib", ""]);
}
