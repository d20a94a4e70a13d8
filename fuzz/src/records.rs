//! Profiles that people write, log records that others send, and records that programs insert.

use std::sync::{Arc, Mutex};

use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ScopeLogs};
use prost::Message;
use scouter_queue::{
    Content, Entity, EvalRecord, FinishedRecord, Outcome, Profile, Record, RecordQueue, RecordSink, Task,
};
use scouter_span::scope::ScopeId;
use scouter_span::view::LogsRequest;
use scouter_span::{Scope, request};
use serde_json::{Map, Value, json};

/// A profile file: what is read is written so that it is read again, equal.
pub fn profile(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    let Ok(profile) = Profile::from_json(text) else { return };
    let written = profile.to_json();
    assert!(written.len() <= Profile::MAX_BYTES);
    assert_eq!(Profile::from_json(&written).expect("what was written can be read"), profile);
}

/// A request of logs: what is checked is read to its last field.
pub fn logs_request(data: &[u8]) {
    let Ok(request) = LogsRequest::parse(data) else { return };
    let mut count = 0;
    for resource in request.resource_logs() {
        let _ = (resource.schema_url(), format!("{:?}", resource.resource().attributes()));
        for scope in resource.scope_logs() {
            let _ = (scope.schema_url(), scope.scope().name(), scope.scope().version());
            count += scope.records().count();
        }
    }
    assert_eq!(request.records().count(), count);
    for record in request.records() {
        let _ = (record.time(), record.observed_time(), record.flags(), record.trace_id(), record.span_id());
        let _ = (record.event_name(), record.severity(), record.severity_text(), record.dropped_attributes_count());
        // Printing walks over every value.
        let _ = format!("{:?}{:?}", record.attributes(), record.body());
    }
}

/// A record with any context: it is rejected, or another implementation reads it as it was inserted.
pub fn record(data: &[u8]) {
    let Ok(context) = serde_json::from_slice::<Value>(data) else { return };
    let sink = Arc::new(Kept::default());
    let profile = Profile::new(Entity::new("space", "name", "1"), Content::Agent(vec![Task::new("t", Map::new())]));
    let queue = RecordQueue::new("alias", profile.expect("it is one"), Arc::clone(&sink) as Arc<dyn RecordSink>);
    let record = Record::from(EvalRecord::new(context));
    let outcome = queue.insert(&record, None);
    let kept = sink.0.lock().expect("nobody has panicked").clone();
    if outcome != Outcome::Accepted {
        assert!(kept.is_empty());
        return;
    }
    assert_eq!(request::spans(&kept).count(), 1);
    let logs = ScopeLogs::decode(&kept[..]).expect("it is an element of ScopeLogs");
    let [LogRecord { body: Some(body), .. }] = &logs.log_records[..] else { panic!("one record with a body") };
    let Record::Eval(record) = record else { return };
    assert_eq!(to_json(body.value.as_ref()), as_sent(record.context));
}

#[derive(Debug, Default)]
struct Kept(Mutex<Vec<u8>>);

impl RecordSink for Kept {
    fn register(&self, _scope: &Arc<Scope>) -> ScopeId {
        ScopeId(0)
    }

    fn accept(&self, record: FinishedRecord<'_>) -> bool {
        *self.0.lock().expect("nobody has panicked") = record.bytes.to_vec();
        true
    }
}

/// Whole numbers that OTLP has no place for are their digits.
fn as_sent(value: Value) -> Value {
    match value {
        Value::Number(number) if number.is_u64() && !number.is_i64() => json!(number.to_string()),
        Value::Array(items) => items.into_iter().map(as_sent).collect(),
        Value::Object(members) => members.into_iter().map(|(key, value)| (key, as_sent(value))).collect(),
        other => other,
    }
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
            let entries = list.values.iter();
            let value = |entry: &opentelemetry_proto::tonic::common::v1::KeyValue| {
                (entry.key.clone(), to_json(entry.value.as_ref().and_then(|value| value.value.as_ref())))
            };
            Value::Object(entries.map(value).collect())
        }
        Some(other) => panic!("{other:?} is nothing that JSON has"),
    }
}
