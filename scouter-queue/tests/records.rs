//! Records as another implementation reads them, and which of them are taken.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex};

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use proptest::prelude::*;
use prost::Message;
use scouter_queue::{
    Content, Entity, EvalRecord, Feature, FeatureSpec, FeatureType, FeatureValue, Features, FinishedRecord, Metric,
    MetricSpec, Metrics, Outcome, Profile, Record, RecordQueue, RecordSink, RecordStats, Rejected, Task,
};
use scouter_span::clock::Clock;
use scouter_span::scope::ScopeId;
use scouter_span::view::{LogsRequest, Severity};
use scouter_span::{Ratio, Resource, Scope, SpanContext, SpanId, TraceFlags, TraceId, request};
use serde_json::{Map, Value, json};

const NOW: u64 = 1_700_000_000_000_000_000;

/// Keeps records, up to so many.
#[derive(Debug)]
struct Kept {
    room: usize,
    scope: Mutex<Option<Arc<Scope>>>,
    records: Mutex<Vec<(Vec<u8>, Option<TraceId>)>>,
}

impl RecordSink for Kept {
    fn register(&self, scope: &Arc<Scope>) -> ScopeId {
        *self.scope.lock().unwrap() = Some(Arc::clone(scope));
        ScopeId(7)
    }

    fn accept(&self, record: FinishedRecord<'_>) -> bool {
        assert_eq!(record.scope, ScopeId(7));
        let mut records = self.records.lock().unwrap();
        if records.len() == self.room {
            return false;
        }
        records.push((record.bytes.to_vec(), record.trace_id));
        true
    }
}

impl Kept {
    fn new() -> Arc<Self> {
        Arc::new(Self { room: usize::MAX, scope: Mutex::default(), records: Mutex::default() })
    }

    fn len(&self) -> usize {
        self.records.lock().unwrap().len()
    }

    /// One request of everything, as another implementation reads it.
    fn decoded(&self) -> Vec<LogRecord> {
        let scope = self.scope.lock().unwrap().clone().unwrap();
        let records: Vec<u8> = self.records.lock().unwrap().iter().flat_map(|(bytes, _)| bytes.clone()).collect();
        let mut request = Vec::new();
        request::encode(&mut request, &Resource::empty(), &[request::Group { scope: &scope, spans: &records }]);
        assert_eq!(LogsRequest::parse(&request).unwrap().records().count(), self.len());
        let request = ExportLogsServiceRequest::decode(&request[..]).unwrap();
        request.resource_logs[0].scope_logs[0].log_records.clone()
    }

    fn last(&self) -> LogRecord {
        self.decoded().pop().unwrap()
    }
}

fn entity() -> Entity {
    Entity { uid: "uid-1".to_owned(), ..Entity::new("shop", "basket", "1.0.0") }
}

fn features() -> Content {
    let optional = FeatureSpec { required: false, ..FeatureSpec::new("note", FeatureType::Text) };
    Content::Psi(vec![
        FeatureSpec::new("age", FeatureType::Int),
        FeatureSpec::new("score", FeatureType::Float),
        FeatureSpec::new("city", FeatureType::Text),
        FeatureSpec::new("new", FeatureType::Bool),
        optional,
    ])
}

fn metrics() -> Content {
    Content::Custom(vec![MetricSpec::new("latency"), MetricSpec::new("cost")])
}

fn agent() -> Content {
    Content::Agent(vec![Task::new("polite", Map::new())])
}

fn queue_of(content: Content, ratio: f64, sink: &Arc<Kept>) -> RecordQueue {
    let profile = Profile::new(entity(), content).unwrap().with_sample_ratio(Ratio::new(ratio).unwrap());
    RecordQueue::new("alias", profile, Arc::clone(sink) as Arc<dyn RecordSink>).with_clock(Clock::Custom(|| NOW))
}

fn queue(content: Content) -> (RecordQueue, Arc<Kept>) {
    let sink = Kept::new();
    (queue_of(content, 1.0, &sink), sink)
}

fn four() -> Vec<Feature> {
    vec![Feature::new("age", 41), Feature::new("score", 0.5), Feature::new("city", "Köln"), Feature::new("new", true)]
}

fn cost() -> Record {
    Metrics(vec![Metric::new("cost", 1.0)]).into()
}

fn span(trace: u128, flags: TraceFlags) -> SpanContext {
    SpanContext::new(TraceId::from_int(trace).unwrap(), SpanId::from_int(7).unwrap(), flags)
}

fn attributes(record: &LogRecord) -> BTreeMap<String, String> {
    let text = |value: &Any| match value {
        Any::StringValue(text) => text.clone(),
        other => panic!("{other:?} is no text"),
    };
    let pair = |pair: &opentelemetry_proto::tonic::common::v1::KeyValue| {
        (pair.key.clone(), text(pair.value.as_ref().unwrap().value.as_ref().unwrap()))
    };
    record.attributes.iter().map(pair).collect()
}

fn to_json(value: Option<&Any>) -> Value {
    match value {
        None => Value::Null,
        Some(Any::BoolValue(value)) => json!(value),
        Some(Any::IntValue(value)) => json!(value),
        Some(Any::DoubleValue(value)) => json!(value),
        Some(Any::StringValue(text)) => json!(text),
        Some(Any::ArrayValue(list)) => list.values.iter().map(|value| to_json(value.value.as_ref())).collect(),
        Some(Any::KvlistValue(list)) => {
            let entry = |entry: &opentelemetry_proto::tonic::common::v1::KeyValue| {
                (entry.key.clone(), to_json(entry.value.as_ref().and_then(|value| value.value.as_ref())))
            };
            Value::Object(list.values.iter().map(entry).collect())
        }
        Some(other) => panic!("{other:?} is nothing that JSON has"),
    }
}

fn body(record: &LogRecord) -> Value {
    to_json(record.body.as_ref().unwrap().value.as_ref())
}

/// Each of them is short enough, all together are not.
#[test]
fn tags_count_for_the_size_of_a_record() {
    let (queue, sink) = queue(agent());
    let tags = |count| (0..count).map(|number| (format!("{number:0>256}"), "x".repeat(4096))).collect();
    let record = |count| EvalRecord { tags: tags(count), ..EvalRecord::new(json!({})) }.into();
    assert_eq!(queue.insert(&record(119), None), Outcome::Accepted);
    let Outcome::Rejected(why) = queue.insert(&record(120), None) else { panic!("it fits") };
    assert_eq!((&*why.field, &*why.expected), ("record", "at most 524288 bytes"));
    assert_eq!(sink.len(), 1);
}

#[test]
fn an_eval_record_has_all_that_is_known_about_it() {
    let (queue, sink) = queue(agent());
    let record = EvalRecord {
        context: json!({"question": "why?", "big": u64::MAX, "parts": [1, null, {"a": 0.5}]}),
        id: Some("r-1".to_owned()),
        session_id: Some("s-1".to_owned()),
        tags: BTreeMap::from([("env".to_owned(), "prod".to_owned()), ("tier".to_owned(), "gold".to_owned())]),
    };
    let span = span(0xabc, TraceFlags::SAMPLED.union(TraceFlags::RANDOM));
    assert_eq!(queue.insert(&record.into(), Some(&span)), Outcome::Accepted);
    let seen = sink.last();
    assert_eq!((seen.time_unix_nano, seen.observed_time_unix_nano), (NOW, NOW));
    assert_eq!((seen.severity_number, &*seen.severity_text), (Severity::INFO.0, ""));
    assert_eq!((&*seen.event_name, seen.flags), ("scouter.record.agent", 3));
    assert_eq!((&seen.trace_id[..], &seen.span_id[..]), (&span.trace_id.to_bytes()[..], &span.span_id.to_bytes()[..]));
    // A number beyond 64 signed bits travels as its digits.
    let expected = json!({"question": "why?", "big": "18446744073709551615", "parts": [1, null, {"a": 0.5}]});
    assert_eq!(body(&seen), expected);
    let mut attributes = attributes(&seen);
    let uid = attributes.remove("log.record.uid").unwrap();
    assert_eq!((uid.len(), &uid[..10]), (26, "01HF7YAT00"));
    let expected = [
        ("scouter.entity", "uid-1"),
        ("scouter.space", "shop"),
        ("scouter.name", "basket"),
        ("scouter.version", "1.0.0"),
        ("scouter.alias", "alias"),
        ("scouter.record.id", "r-1"),
        ("session.id", "s-1"),
        ("scouter.tag.env", "prod"),
        ("scouter.tag.tier", "gold"),
    ];
    assert_eq!(attributes, expected.map(|(key, value)| (key.to_owned(), value.to_owned())).into());
    assert_eq!(sink.scope.lock().unwrap().as_ref().unwrap().view().name(), "scouter.queue");
}

#[test]
fn features_and_metrics_are_keys_with_values() {
    let (features, sink) = queue(features());
    assert_eq!(features.insert(&Features(four()).into(), None), Outcome::Accepted);
    let seen = sink.last();
    assert_eq!(body(&seen), json!({"age": 41, "score": 0.5, "city": "Köln", "new": true}));
    assert_eq!((&*seen.event_name, seen.flags), ("scouter.record.psi", 0));
    assert!(seen.trace_id.is_empty() && seen.span_id.is_empty());
    assert_eq!(sink.records.lock().unwrap()[0].1, None);
    // In any order, a whole number for a number, and what is not required.
    let mut other: Vec<_> = four().into_iter().rev().collect();
    other[2].value = FeatureValue::Int(-3);
    other.push(Feature::new("note", "x"));
    assert_eq!(features.insert(&Features(other).into(), None), Outcome::Accepted);
    assert_eq!(body(&sink.last()), json!({"age": 41, "score": -3, "city": "Köln", "new": true, "note": "x"}));

    let (metrics, sink) = queue(metrics());
    assert_eq!(metrics.insert(&cost(), None), Outcome::Accepted);
    assert_eq!((body(&sink.last()), &*sink.last().event_name), (json!({"cost": 1.0}), "scouter.record.custom"));
}

/// What the outcome says, in one sentence.
fn sentence(outcome: Outcome) -> String {
    match outcome {
        Outcome::Rejected(rejected) => rejected.to_string(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_record_that_does_not_fit_says_why_and_costs_no_other() {
    let (features, sink) = queue(features());
    let changed = |at: usize, value: FeatureValue| {
        let mut all = four();
        all[at].value = value;
        Record::from(Features(all))
    };
    let with = |feature: Feature| Record::from(four().into_iter().chain([feature]).collect::<Features>());
    let record = "Features does not fit the profile \"alias\": ";
    for (bad, words) in [
        (Features(four()[1..].to_vec()).into(), "feature \"age\": expected int, got nothing"),
        (with(Feature::new("age", 1)), "feature \"age\": expected one value, got two"),
        (
            with(Feature::new("height", 1)),
            "feature \"height\": expected one of the features of the profile (age, score, city, new, note), got a name \
             that is not among them",
        ),
        (changed(0, 0.5.into()), "feature \"age\": expected int, got float 0.5"),
        (changed(0, "old".into()), "feature \"age\": expected int, got text \"old\""),
        (changed(0, true.into()), "feature \"age\": expected int, got bool true"),
        (changed(1, f64::NAN.into()), "feature \"score\": expected float, finite, got float NaN"),
        (changed(1, "0.5".into()), "feature \"score\": expected float, finite, got text \"0.5\""),
        (changed(2, 1.into()), "feature \"city\": expected text, got int 1"),
        (changed(3, 1.into()), "feature \"new\": expected bool, got int 1"),
        (changed(2, "x".repeat(600_000).into()), "record: expected at most 524288 bytes, got more"),
        (cost(), "record: expected Features, got Metrics"),
    ] {
        let words = format!("{}{words}", record.replace("Features", bad.noun()));
        assert_eq!(sentence(features.insert(&bad, None)), words);
    }
    assert_eq!(features.insert(&Features(four()).into(), None), Outcome::Accepted);
    assert_eq!((features.stats().rejected, features.stats().accepted, sink.len()), (12, 1, 1));

    let (custom, _) = queue(metrics());
    let metric = |name: &str, value| Record::from(Metrics(vec![Metric::new("latency", 1.0), Metric::new(name, value)]));
    for (bad, words) in [
        (Metrics::default().into(), "metrics: expected at least one, got none"),
        (metric("cost", f64::INFINITY), "metric \"cost\": expected a finite number, got inf"),
        (metric("latency", 1.0), "metric \"latency\": expected one value, got two"),
        (metric(&"x".repeat(100), 1.0), "x\"…: expected one of the metrics of the profile (latency, cost), got a name"),
        (EvalRecord::new(json!({})).into(), "expected Metrics, got EvalRecord"),
    ] {
        let found = sentence(custom.insert(&bad, None));
        assert!(found.contains(words), "{found}");
    }

    let (agent, _) = queue(agent());
    let deep = (0..30).fold(json!(1), |inner, _| json!([inner]));
    let tags = |pairs: &[(&str, String)]| {
        let tags = pairs.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
        Record::from(EvalRecord { context: json!({}), id: Some("r-1".to_owned()), tags, ..EvalRecord::default() })
    };
    let many = (0..129).map(|number| (number.to_string(), String::new())).collect();
    for (bad, words) in [
        (
            EvalRecord::new(json!([1])).into(),
            "EvalRecord does not fit the profile \"alias\": context: expected an object, got a list",
        ),
        (EvalRecord::new(json!({"a": deep})).into(), "context: expected at most 24 levels, got more, flatten it"),
        (EvalRecord::new(json!({"a": vec![0; 30_000]})).into(), "record: expected at most 524288 bytes, got more"),
        (
            tags(&[("", String::new())]),
            "EvalRecord \"r-1\" does not fit the profile \"alias\": tags: expected names, got an empty name",
        ),
        (tags(&[("k", "x".repeat(5000))]), "tag \"k\": expected at most 4096 bytes, got 5000"),
        (tags(&[(&"k".repeat(300), String::new())]), "name of a tag: expected at most 256 bytes, got 300"),
        (
            EvalRecord { context: json!({}), tags: many, ..EvalRecord::default() }.into(),
            "tags: expected at most 128, got 129",
        ),
        (
            EvalRecord { context: json!({}), session_id: Some("s".repeat(5000)), ..EvalRecord::default() }.into(),
            "session_id: expected at most 4096 bytes, got 5000",
        ),
        (Features(four()).into(), "record: expected an EvalRecord, got Features"),
    ] {
        let found = sentence(agent.insert(&bad, None));
        assert!(found.contains(words), "{found}");
    }
}

#[test]
fn every_record_is_counted_once() {
    let sink = Arc::new(Kept { room: 2, scope: Mutex::default(), records: Mutex::default() });
    let queue = queue_of(metrics(), 1.0, &sink);
    let unsampled = span(1, TraceFlags::NONE);
    for _ in 0..3 {
        let _ = queue.insert(&cost(), None);
    }
    assert_eq!(queue.insert(&cost(), None), Outcome::TurnedAway);
    assert_eq!(queue.insert(&cost(), Some(&unsampled)), Outcome::SampledOut);
    assert!(matches!(queue.insert(&Metrics::default().into(), None), Outcome::Rejected(_)));
    assert!(queue.passes_over(&unsampled) && !queue.passes_over(&span(1, TraceFlags::SAMPLED)));
    let text = || "x".to_owned();
    let made = Rejected { record: text(), profile: text(), field: text(), expected: text(), got: text() };
    assert_eq!(queue.reject(made.clone()), Outcome::Rejected(made));
    let expected = RecordStats { inserted: 8, accepted: 2, sampled_out: 2, rejected: 2, turned_away: 2 };
    assert_eq!(queue.stats(), expected);
}

#[test]
fn threads_insert_side_by_side() {
    let (queue, sink) = queue(metrics());
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| (0..500).for_each(|_| assert_eq!(queue.insert(&cost(), None), Outcome::Accepted)));
        }
    });
    let uids: HashSet<_> = sink.decoded().iter().map(|record| attributes(record)["log.record.uid"].clone()).collect();
    assert_eq!((uids.len(), queue.stats().accepted), (4000, 4000));
}

#[test]
fn records_without_a_span_are_sampled_by_their_ids() {
    let sink = Kept::new();
    let (one, other) = (queue_of(agent(), 0.25, &sink), queue_of(agent(), 0.25, &sink));
    let mut kept = 0;
    for number in 0..4000 {
        let id = Some(format!("record-{number}"));
        let record = Record::from(EvalRecord { context: json!({}), id, ..EvalRecord::default() });
        let outcome = one.insert(&record, None);
        assert_eq!(other.insert(&record, None), outcome, "two processes decide alike");
        kept += usize::from(outcome == Outcome::Accepted);
    }
    assert!((850..1150).contains(&kept), "{kept}");
    let none = queue_of(metrics(), 0.25, &sink);
    let kept = (0..4000).filter(|_| none.insert(&cost(), None) == Outcome::Accepted).count();
    assert!((850..1150).contains(&kept), "{kept}");
}

fn context() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-1e300..1e300).prop_map(|number: f64| json!(number)),
        ".{0,200}".prop_map(Value::from),
    ];
    let value = leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(".{0,8}", inner, 0..6).prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    });
    prop::collection::btree_map(".{0,8}", value, 0..6).prop_map(|map| Value::Object(map.into_iter().collect()))
}

proptest! {
    #[test]
    fn what_is_inserted_is_read_by_another_implementation(
        contexts in prop::collection::vec(context(), 1..8), tag in ".{0,20}", id in prop::option::of(".{0,20}"),
        trace in prop::option::of(1u128..),
    ) {
        let (queue, sink) = queue(agent());
        let span = trace.map(|trace| span(trace, TraceFlags::SAMPLED));
        for context in &contexts {
            let tags = BTreeMap::from([("t".to_owned(), tag.clone())]);
            let record = EvalRecord { context: context.clone(), id: id.clone(), session_id: None, tags };
            prop_assert_eq!(queue.insert(&record.into(), span.as_ref()), Outcome::Accepted);
        }
        for (record, context) in sink.decoded().iter().zip(&contexts) {
            prop_assert_eq!(&body(record), context);
            prop_assert_eq!(record.trace_id.clone(), trace.map(|id| id.to_be_bytes().to_vec()).unwrap_or_default());
            let attributes = attributes(record);
            prop_assert_eq!(&attributes["scouter.tag.t"], &tag);
            prop_assert_eq!(attributes.get("scouter.record.id"), id.as_ref());
        }
        for (element, trace_id) in &*sink.records.lock().unwrap() {
            prop_assert_eq!(request::trace_id(element), *trace_id);
            prop_assert_eq!(trace_id.map(TraceId::to_int), trace);
        }
    }

    /// The bound is on what travels, and it is known before anything is encoded.
    #[test]
    fn nothing_that_fits_is_larger_than_the_bound(
        length in 0_usize..60_000, lists in prop::collection::vec(0_usize..3000, 0..12), text in 0_usize..600_000,
    ) {
        let (queue, sink) = queue(agent());
        let context = json!({"numbers": vec![-1; length], "lists": lists.iter().map(|n| vec![json!({}); *n]).collect::<Vec<_>>(),
            "text": "x".repeat(text)});
        let outcome = queue.insert(&EvalRecord::new(context).into(), None);
        match outcome {
            Outcome::Accepted => {
                let (bytes, _) = sink.records.lock().unwrap().pop().unwrap();
                prop_assert!(bytes.len() <= (512 << 10) + 500, "{}", bytes.len());
            }
            _ => prop_assert!(length * 24 + text + lists.iter().sum::<usize>() * 24 > 400 << 10),
        }
    }

    /// A record is kept if and only if its span is sampled and the profile's ratio contains the trace.
    #[test]
    fn records_follow_their_traces(traces in prop::collection::vec((1u128.., any::<bool>()), 1..200), ratio in 0.0..=1.0) {
        let sink = Kept::new();
        let queue = queue_of(metrics(), ratio, &sink);
        let ratio = Ratio::new(ratio).unwrap();
        for (trace, sampled) in traces {
            let span = span(trace, TraceFlags::NONE.with_sampled(sampled));
            let kept = queue.insert(&cost(), Some(&span)) == Outcome::Accepted;
            prop_assert_eq!(kept, sampled && ratio.contains(span.trace_id));
        }
        prop_assert_eq!(queue.stats().accepted as usize, sink.len());
    }
}
