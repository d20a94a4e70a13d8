//! Queues of records from settings to what a receiver sees.
#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

#[path = "../../scouter-transport/tests/receiver/mod.rs"]
mod receiver;
mod support;

use std::time::Duration;

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use prost::Message as _;
use receiver::{Receiver, Speaks};
use scouter::export::CaptureLimit;
use scouter::queue::{Content, Entity, Metric, MetricSpec, Metrics, Outcome, Profile, Record, ScouterQueue};
use scouter::transport::memory::Memory;
use scouter::transport::{Endpoint, Payload, Signal};
use scouter::{Connection, Protocol, Settings};
use support::{PATIENT, Written, settings, started};

fn profile(alias: &str) -> Profile {
    let entity = Entity { alias: alias.to_owned(), ..Entity::new("shop", "basket", "1.0.0") };
    Profile::new(entity, Content::Custom(vec![MetricSpec::new("cost")])).unwrap()
}

fn cost() -> Record {
    Metrics(vec![Metric::new("cost", 1.0)]).into()
}

/// These settings with the server in this memory.
fn into(mut settings: Settings, memory: &Memory) -> Settings {
    let nowhere = Endpoint::base("http://localhost:8000").unwrap();
    settings.server = Connection::new(Protocol::Memory(memory.clone()), nowhere);
    settings
}

fn insert(queue: &ScouterQueue, alias: &str) {
    assert_eq!(queue.insert(alias, &cost(), None).unwrap(), Outcome::Accepted);
}

fn decode(payloads: &[Payload]) -> Vec<LogRecord> {
    let requests = payloads.iter().filter(|payload| payload.signal == Signal::Logs);
    let requests = requests.map(|payload| ExportLogsServiceRequest::decode(payload.body.clone()).unwrap());
    requests
        .flat_map(|request| request.resource_logs)
        .flat_map(|logs| logs.scope_logs)
        .flat_map(|s| s.log_records)
        .collect()
}

fn text<'a>(record: &'a LogRecord, key: &str) -> &'a str {
    use opentelemetry_proto::tonic::common::v1::any_value::Value;
    let found = record.attributes.iter().find(|attribute| attribute.key == key).unwrap();
    match found.value.as_ref().unwrap().value.as_ref().unwrap() {
        Value::StringValue(text) => text,
        other => panic!("{other:?} is no text"),
    }
}

#[test]
fn records_carry_the_resource_and_the_alias_the_program_uses() {
    let memory = Memory::default();
    let settings = into(settings(&[("OTEL_SERVICE_NAME", "shop")]), &memory);
    let queue = ScouterQueue::from_profiles(&settings, [("mine".to_owned(), profile("theirs"))]).unwrap();
    assert_eq!(queue.aliases().collect::<Vec<_>>(), ["mine"]);
    insert(&queue, "mine");
    assert!(queue.insert("theirs", &cost(), None).is_err());
    queue.flush(PATIENT).unwrap();
    let payloads = memory.take();
    let request = ExportLogsServiceRequest::decode(payloads[0].body.clone()).unwrap();
    let resource = request.resource_logs[0].resource.as_ref().unwrap();
    assert!(resource.attributes.iter().any(|attribute| attribute.key == "service.name"));
    let [record] = decode(&payloads).try_into().unwrap();
    assert_eq!((text(&record, "scouter.alias"), text(&record, "scouter.name")), ("mine", "basket"));
}

#[test]
fn what_is_left_is_sent_when_the_queue_is_dropped() {
    let memory = Memory::default();
    let queue = ScouterQueue::of(&into(settings(&[]), &memory), [profile("a"), profile("b")]).unwrap();
    insert(&queue, "a");
    insert(&queue, "b");
    drop(queue);
    assert_eq!(decode(&memory.take()).len(), 2);
}

#[test]
fn a_disabled_sdk_takes_records_and_does_nothing() {
    let memory = Memory::default();
    let settings = into(settings(&[("OTEL_SDK_DISABLED", "true")]), &memory);
    let queue = ScouterQueue::of(&settings, [profile("a")]).unwrap();
    assert_eq!(queue.insert("a", &cost(), None).unwrap(), Outcome::SampledOut);
    assert!(queue.insert("b", &cost(), None).is_err());
    assert!(!queue.is_enabled() && queue.stats().is_none() && queue.capture().is_none());
    queue.flush(PATIENT).unwrap();
    queue.shutdown(PATIENT).unwrap();
    assert_eq!(memory.received(), 0);
}

#[test]
fn accepted_records_are_captured_for_tests() {
    let memory = Memory::default();
    let queue = ScouterQueue::of(&into(settings(&[]), &memory), [profile("a")]).unwrap();
    let capture = queue.capture().unwrap();
    capture.enable(CaptureLimit::default());
    insert(&queue, "a");
    let request = ExportLogsServiceRequest::decode(&capture.drain()[..]).unwrap();
    assert_eq!(request.resource_logs[0].scope_logs[0].log_records.len(), 1);
}

/// One worker thread for spans and records of a process.
#[cfg(target_os = "linux")]
#[test]
fn records_and_spans_share_the_worker() {
    let memory = Memory::default();
    let scouter = started(settings(&[]), &memory);
    let one = ScouterQueue::of(&into(settings(&[]), &memory), [profile("a")]).unwrap();
    let two = ScouterQueue::of(&into(settings(&[]), &memory), [profile("a")]).unwrap();
    insert(&one, "a");
    insert(&two, "a");
    scouter.tracer("t").span("s").start().end();
    one.flush(PATIENT).unwrap();
    two.flush(PATIENT).unwrap();
    scouter.flush(PATIENT).unwrap();
    assert_eq!((decode(&memory.payloads()).len(), memory.received()), (2, 3));
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let names = tasks.map(|task| std::fs::read_to_string(task.unwrap().path().join("comm")).unwrap_or_default());
    assert_eq!(names.filter(|name| name.trim() == "scouter-worker").count(), 1);
}

/// Records go to a collector only where somebody asks for it, with the variables of the logs signal.
#[tokio::test(flavor = "multi_thread")]
async fn a_collector_gets_records_when_it_is_asked_for() {
    let (traces, logs) =
        (Receiver::start(Speaks::Http, Vec::new()).await, Receiver::start(Speaks::Http, Vec::new()).await);
    let (traces_url, logs_url) = (traces.url(), format!("{}/own/path", logs.url()));
    let general = [("OTEL_TRACES_EXPORTER", "otlp"), ("OTEL_EXPORTER_OTLP_ENDPOINT", &*traces_url)];
    let memory = Memory::default();
    let not_asked = into(settings(&general), &memory);
    assert!(not_asked.record_collectors.is_empty());
    let queue = ScouterQueue::of(&not_asked, [profile("a")]).unwrap();
    insert(&queue, "a");
    tokio::task::block_in_place(|| queue.flush(PATIENT)).unwrap();
    assert_eq!((traces.connections(), decode(&memory.take()).len()), (0, 1));

    let asked = [("OTEL_LOGS_EXPORTER", "otlp"), ("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", &*logs_url)];
    let asked = into(settings(&[general, asked].concat()), &memory);
    assert_eq!((asked.collectors.len(), asked.record_collectors.len()), (1, 1));
    let queue = ScouterQueue::of(&asked, [profile("a")]).unwrap();
    insert(&queue, "a");
    tokio::task::block_in_place(|| queue.flush(PATIENT)).unwrap();
    assert_eq!((traces.connections(), decode(&memory.take()).len()), (0, 1));
    let [seen] = logs.accepted().try_into().unwrap_or_else(|_| panic!("one request"));
    assert_eq!(seen.path, "/own/path");
    let request = ExportLogsServiceRequest::decode(&seen.message()[..]).unwrap();
    assert_eq!(request.resource_logs[0].scope_logs[0].log_records.len(), 1);

    let complaints = settings(&[("OTEL_LOGS_EXPORTER", "otpl")]).complaints;
    assert_eq!(complaints, ["OTEL_LOGS_EXPORTER is a list of otlp, console or none, not of \"otpl\"; it was ignored"]);
}

#[test]
fn records_on_a_console_are_lines_of_otlp() {
    let (memory, written) = (Memory::default(), Written::default());
    let mut settings = into(settings(&[("OTEL_LOGS_EXPORTER", "console")]), &memory);
    settings.console = written.output();
    let queue = ScouterQueue::of(&settings, [profile("a")]).unwrap();
    insert(&queue, "a");
    insert(&queue, "a");
    queue.shutdown(PATIENT).unwrap();
    let lines = written.lines();
    assert_eq!(lines.len(), 2);
    let line: serde_json::Value = serde_json::from_str(&lines[0]).unwrap();
    assert_eq!(line["resourceLogs"][0]["scopeLogs"][0]["logRecords"][0]["eventName"], "scouter.record.custom");
    assert_eq!(queue.flush(Duration::from_secs(1)), Ok(()));
}
