//! What a span may hold: whatever a program does, a span shows what a plain model of the limits says it should.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue, KeyValueList, any_value};
use proptest::prelude::*;
use scouter_span::span::Dropped;
use scouter_span::view::{SpanView, ValueView};
use scouter_span::{Span, SpanContext, SpanId, SpanLimits, TraceFlags, TraceId, Value};
use support::Fixture;

/// A value that owns what [`Value`] borrows; enough kinds for every way in which a limit applies.
#[derive(Clone, Debug)]
enum Sample {
    Int(i64),
    Text(String),
    Bytes(Vec<u8>),
    Texts(Vec<String>),
    Map(String, String),
}

type Attributes = Vec<(String, Sample)>;

/// Something a program does to a span.
#[derive(Clone, Debug)]
enum Step {
    Attribute(String, Sample),
    Event(String, Attributes),
    Link(Attributes),
    Name(String),
}

/// What a span should hold, kept in the plainest way.
#[derive(Debug, Default)]
struct Model {
    name: String,
    attributes: Attributes,
    /// Names, attributes, and how many of these were dropped.
    events: Vec<(String, Attributes, u32)>,
    links: Vec<(Attributes, u32)>,
    dropped: Dropped,
}

/// The elements and the entries that a borrowed value points to.
type Parts<'a> = (Vec<Value<'a>>, Vec<(&'a str, Value<'a>)>);

impl Sample {
    fn parts(&self) -> Parts<'_> {
        match self {
            Self::Texts(texts) => (texts.iter().map(Value::from).collect(), Vec::new()),
            Self::Map(key, text) => (Vec::new(), vec![(key, Value::Str(text))]),
            _ => Parts::default(),
        }
    }

    fn value<'a>(&'a self, (elements, entries): &'a Parts<'a>) -> Value<'a> {
        match self {
            Self::Int(value) => Value::I64(*value),
            Self::Text(text) => Value::Str(text),
            Self::Bytes(bytes) => Value::Bytes(bytes),
            Self::Texts(_) => Value::Array(elements),
            Self::Map(..) => Value::Map(entries),
        }
    }

    /// The value as it should be exported: text cut by characters and bytes by bytes, at any depth.
    fn cut(&self, limit: usize) -> AnyValue {
        use any_value::Value as V;
        let text = |text: &String| V::StringValue(text.chars().take(limit).collect());
        let any = |value| AnyValue { value: Some(value) };
        any(match self {
            Self::Int(value) => V::IntValue(*value),
            Self::Text(value) => text(value),
            Self::Bytes(bytes) => V::BytesValue(bytes.iter().copied().take(limit).collect()),
            Self::Texts(texts) => {
                V::ArrayValue(ArrayValue { values: texts.iter().map(|value| any(text(value))).collect() })
            }
            Self::Map(key, value) => {
                let entry = KeyValue { key: key.clone(), value: Some(any(text(value))), ..KeyValue::default() };
                V::KvlistValue(KeyValueList { values: vec![entry] })
            }
        })
    }
}

fn lend_all<T>(attributes: &Attributes, take: impl FnOnce(&[(&str, Value<'_>)]) -> T) -> T {
    let parts: Vec<_> = attributes.iter().map(|(_, value)| value.parts()).collect();
    let lend = |((key, value), parts)| (String::as_str(key), Sample::value(value, parts));
    take(&attributes.iter().map(|(key, value)| (key, value)).zip(&parts).map(lend).collect::<Vec<_>>())
}

/// The attributes of an event or a link: no empty keys, of equal keys the last value in the first place, and no more than
/// the limit.
fn limited(attributes: &Attributes, limit: u32) -> (Attributes, u32) {
    let nameless = attributes.iter().filter(|(key, _)| key.is_empty()).count();
    let mut unique = Attributes::new();
    for (key, value) in attributes.iter().filter(|(key, _)| !key.is_empty()) {
        match unique.iter_mut().find(|(other, _)| other == key) {
            Some((_, old)) => *old = value.clone(),
            None => unique.push((key.clone(), value.clone())),
        }
    }
    let beyond = unique.len().saturating_sub(limit as usize);
    unique.truncate(limit as usize);
    (unique, (nameless + beyond) as u32)
}

impl Model {
    fn set(&mut self, key: &str, value: &Sample, limits: &SpanLimits) {
        if let Some((_, old)) = self.attributes.iter_mut().find(|(other, _)| other == key) {
            *old = value.clone();
        } else if key.is_empty() || self.attributes.len() >= limits.attributes as usize {
            self.dropped.attributes += 1;
        } else {
            self.attributes.push((key.to_owned(), value.clone()));
        }
    }

    fn apply(&mut self, step: &Step, limits: &SpanLimits) {
        match step {
            Step::Attribute(key, value) => self.set(key, value, limits),
            Step::Event(..) if self.events.len() >= limits.events as usize => self.dropped.events += 1,
            Step::Event(name, attributes) => {
                let (attributes, dropped) = limited(attributes, limits.event_attributes);
                self.events.push((name.clone(), attributes, dropped));
            }
            Step::Link(_) if self.links.len() >= limits.links as usize => self.dropped.links += 1,
            Step::Link(attributes) => self.links.push(limited(attributes, limits.link_attributes)),
            Step::Name(name) => self.name.clone_from(name),
        }
    }
}

fn apply(span: &mut Span, step: &Step) {
    let (trace, id) = (TraceId::from_int(5).unwrap(), SpanId::from_int(6).unwrap());
    match step {
        Step::Attribute(key, value) => span.set_attribute(key, value.value(&value.parts())),
        Step::Event(name, attributes) => lend_all(attributes, |attributes| span.add_event(name, attributes)),
        Step::Link(attributes) => {
            let to = SpanContext::new(trace, id, TraceFlags::NONE);
            lend_all(attributes, |attributes| span.add_link(&to, attributes));
        }
        Step::Name(name) => span.update_name(name),
    }
}

fn proto(attributes: &Attributes, limit: usize) -> Vec<KeyValue> {
    let proto = |(key, value): &(String, Sample)| KeyValue {
        key: key.clone(),
        value: Some(value.cut(limit)),
        ..KeyValue::default()
    };
    attributes.iter().map(proto).collect()
}

fn by_key(mut attributes: Vec<KeyValue>) -> Vec<KeyValue> {
    attributes.sort_by(|a, b| a.key.cmp(&b.key));
    attributes
}

/// The kinds that have a plain text form, which is enough to see that a live span points at the right bytes.
fn texts(view: SpanView<'_>) -> Vec<(String, String)> {
    let text = |value: ValueView<'_>| format!("{value:?}");
    let mut all: Vec<_> = view.attributes().iter().map(|a| (a.key.to_owned(), text(a.value))).collect();
    all.sort();
    all
}

fn samples() -> impl Strategy<Value = Sample> {
    prop_oneof![
        any::<i64>().prop_map(Sample::Int),
        "[a-cé雪]{0,9}".prop_map(Sample::Text),
        "x{90,140}".prop_map(Sample::Text),
        prop::collection::vec(any::<u8>(), 0..9).prop_map(Sample::Bytes),
        prop::collection::vec("[a-cé雪]{0,9}", 0..4).prop_map(Sample::Texts),
        ("[a-z]", "[a-cé雪]{0,9}").prop_map(|(key, text)| Sample::Map(key, text)),
    ]
}

/// Short ones, long ones, and ones that differ in the middle only.
fn keys() -> impl Strategy<Value = String> {
    prop_oneof!["[ab]{0,2}", "aaaaaaaa[ab]{1,2}aaaaaaaa", "k{120,130}"]
}

fn attributes() -> impl Strategy<Value = Attributes> {
    prop::collection::vec((keys(), samples()), 0..6)
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (keys(), samples()).prop_map(|(key, value)| Step::Attribute(key, value)),
        1 => (".{0,9}", attributes()).prop_map(|(name, attributes)| Step::Event(name, attributes)),
        1 => attributes().prop_map(Step::Link),
        1 => ".{0,5}|n{120,135}|n{16380,16390}".prop_map(Step::Name),
    ];
    prop::collection::vec(step, 0..40)
}

fn limits() -> impl Strategy<Value = SpanLimits> {
    let length = prop_oneof![Just(usize::MAX), 0_usize..6, Just(100)];
    (0_u32..9, length, 0_u32..4, 0_u32..4, 0_u32..5, 0_u32..5).prop_map(|(a, length, e, l, ea, la)| SpanLimits {
        attributes: a,
        attribute_value_length: length,
        events: e,
        links: l,
        event_attributes: ea,
        link_attributes: la,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn spans_hold_what_the_model_holds(limits in limits(), defaults in attributes(), steps in steps()) {
        let length = limits.attribute_value_length;
        let mut model = Model { name: "first".to_owned(), ..Model::default() };
        for (key, value) in &defaults {
            model.set(key, value, &limits);
        }
        let fixture = lend_all(&defaults, |defaults| {
            Fixture::with(|builder| builder.limits(limits).default_attributes(defaults))
        });
        let mut span = fixture.tracer.span("first").start();
        for step in &steps {
            model.apply(step, &limits);
            apply(&mut span, step);

            let view = span.view().unwrap();
            prop_assert_eq!(view.name(), &model.name);
            prop_assert_eq!(view.attributes().iter().count(), model.attributes.len());
            prop_assert_eq!(view.events().count(), model.events.len());
            prop_assert_eq!(span.dropped(), model.dropped);
        }
        let live = texts(span.view().unwrap());
        span.end();
        prop_assert_eq!(texts(span.view().unwrap()), live);

        let spans = fixture.spans();
        let seen = &spans[0];
        prop_assert_eq!(&seen.name, &model.name);
        prop_assert_eq!(by_key(seen.attributes.clone()), by_key(proto(&model.attributes, length)));
        prop_assert_eq!(seen.dropped_attributes_count, model.dropped.attributes);
        prop_assert_eq!(seen.dropped_events_count, model.dropped.events);
        prop_assert_eq!(seen.dropped_links_count, model.dropped.links);
        prop_assert_eq!(seen.events.len(), model.events.len());
        for (seen, (name, attributes, dropped)) in seen.events.iter().zip(&model.events) {
            prop_assert_eq!((&seen.name, seen.dropped_attributes_count), (name, *dropped));
            prop_assert_eq!(&seen.attributes, &proto(attributes, length));
        }
        prop_assert_eq!(seen.links.len(), model.links.len());
        for (seen, (attributes, dropped)) in seen.links.iter().zip(&model.links) {
            prop_assert_eq!(seen.dropped_attributes_count, *dropped);
            prop_assert_eq!(&seen.attributes, &proto(attributes, length));
        }
    }
}

#[test]
fn a_span_begins_at_128_of_everything() {
    let fixture = Fixture::new();
    let mut span = fixture.tracer.span("x").start();
    let to = span.context().clone();
    let keys: Vec<_> = (0..130).map(|n| format!("key.{n}")).collect();
    let all: Vec<_> = keys.iter().map(|key| (key.as_str(), Value::I64(1))).collect();
    for (key, value) in &all {
        span.set_attribute(key, *value);
        span.add_event(key, &all);
        span.add_link(&to, &all);
    }
    assert_eq!(span.dropped(), Dropped { attributes: 2, events: 2, links: 2 });
    // A key that is there can still be set.
    span.set_attribute("key.0", "again");
    span.end();
    let spans = fixture.spans();
    assert_eq!((spans[0].attributes.len(), spans[0].events.len(), spans[0].links.len()), (128, 128, 128));
    assert!(spans[0].events.iter().all(|event| event.attributes.len() == 128 && event.dropped_attributes_count == 2));
    assert!(spans[0].links.iter().all(|link| link.attributes.len() == 128 && link.dropped_attributes_count == 2));
    let first = spans[0].attributes.iter().find(|attribute| attribute.key == "key.0").unwrap();
    assert_eq!(first.value, Some(Sample::Text("again".to_owned()).cut(9)));
}
