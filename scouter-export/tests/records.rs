//! Records go the way of spans: the same bounds, batches, retries, numbers and words, under another name.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod common;
#[cfg(unix)]
#[path = "common/process.rs"]
mod process;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use common::*;
use opentelemetry_proto::tonic::collector::logs::v1::{
    ExportLogsPartialSuccess, ExportLogsServiceRequest, ExportLogsServiceResponse,
};
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use prost::Message;
use scouter_export::{
    BatchConfig, CaptureLimit, Destination, DropReason, FlushError, Pipeline, Reporter, Stats, Worker,
};
use scouter_queue::{
    Content, Entity, FinishedRecord, Metric, MetricSpec, Metrics, Outcome, Profile, RecordQueue, RecordSink,
};
use scouter_span::id::{IdGenerator, RandomIds};
use scouter_span::scope::ScopeId;
use scouter_span::{FinishedSpan, Ratio, Scope, SpanContext, SpanId, SpanSink, TraceFlags, TraceId};
use scouter_transport::memory::Memory;
use scouter_transport::{Error, ErrorKind, Payload, Signal};

/// A pipeline of records with a queue in front of it.
struct Records {
    pipeline: Arc<Pipeline>,
    queue: RecordQueue,
    reports: Arc<Reports>,
}

impl Records {
    fn new(config: BatchConfig, destinations: impl IntoIterator<Item = Destination>) -> Self {
        let reports = Arc::new(Reports::default());
        let builder = Pipeline::builder(resource()).signal(Signal::Logs).batch(config);
        let builder = builder.reporter(Arc::clone(&reports) as Arc<dyn Reporter>);
        let builder = destinations.into_iter().fold(builder, |builder, to| builder.destination(to));
        let pipeline = builder.build(&Worker::start().unwrap()).unwrap();
        let content = Content::Custom(vec![MetricSpec::new("number")]);
        let profile = Profile::new(Entity::new("space", "name", "1"), content).unwrap();
        let queue = RecordQueue::new("alias", profile, Arc::clone(&pipeline) as Arc<dyn RecordSink>);
        Self { pipeline, queue, reports }
    }

    fn insert(&self, number: usize, span: Option<&SpanContext>) -> Outcome {
        self.queue.insert(&Metrics(vec![Metric::new("number", number as f64)]).into(), span)
    }

    /// Inserts so many, each in a trace of its own.
    fn records(&self, number: usize) {
        for number in 0..number {
            let _ = self.insert(number, Some(&span(RandomIds.new_trace_id())));
        }
    }

    /// What is counted at both ends agrees.
    fn stats(&self) -> Stats {
        let stats = self.pipeline.stats();
        assert_sums(&stats);
        assert_eq!(stats.signal, Signal::Logs);
        let at_the_way_in = self.queue.stats();
        assert_eq!(stats.started, at_the_way_in.accepted + at_the_way_in.turned_away);
        stats
    }
}

fn span(trace: TraceId) -> SpanContext {
    SpanContext::new(trace, SpanId::from_int(1).unwrap(), TraceFlags::SAMPLED)
}

fn decode(bytes: &[u8]) -> Vec<LogRecord> {
    let request = ExportLogsServiceRequest::decode(bytes).unwrap();
    for resource in &request.resource_logs {
        assert_eq!(resource.resource.as_ref().unwrap().attributes[0].key, "service.name");
        assert!(resource.scope_logs.iter().all(|scope| scope.scope.as_ref().unwrap().name == "scouter.queue"));
    }
    request.resource_logs.into_iter().flat_map(|logs| logs.scope_logs).flat_map(|scope| scope.log_records).collect()
}

fn arrived(memory: &Memory) -> Vec<LogRecord> {
    let payloads = memory.payloads();
    assert!(payloads.iter().all(|payload| payload.signal == Signal::Logs));
    payloads.iter().flat_map(|payload| decode(&payload.body)).collect()
}

fn uid(record: &LogRecord) -> String {
    let uid = record.attributes.iter().find(|attribute| attribute.key == "log.record.uid").unwrap();
    format!("{:?}", uid.value)
}

#[test]
fn batches_are_requests_of_logs() {
    let memory = memory();
    let rig = Records::new(batches_of(10), [to("a", &memory)]);
    rig.records(25);
    wait(memory.until_received(2));
    rig.pipeline.flush(SOON).unwrap();
    let sizes: Vec<_> = memory.payloads().iter().map(|payload| (payload.items, decode(&payload.body).len())).collect();
    assert_eq!(sizes, [(10, 10), (10, 10), (5, 5)]);
    assert_eq!(arrived(&memory).iter().map(uid).collect::<HashSet<_>>().len(), 25);
    let stats = rig.stats();
    assert_eq!((stats.ended, stats.destinations[0].exported, stats.destinations[0].queued), (25, 25, 0));
}

#[test]
fn a_simple_destination_gets_each_record_at_once() {
    let memory = memory();
    let rig = Records::new(batches_of(100), [to("a", &memory).simple(true)]);
    rig.records(7);
    wait(memory.until_received(7));
    assert!(memory.payloads().iter().all(|payload| payload.items == 1));
}

#[test]
fn a_full_queue_turns_new_records_away_and_says_so() {
    let memory = memory();
    memory.hold();
    let rig = Records::new(BatchConfig { max_queue_size: 8, ..batches_of(4) }, [to("a", &memory)]);
    rig.records(8);
    while rig.stats().pending > 0 {
        std::thread::yield_now();
    }
    assert_eq!(rig.insert(1, None), Outcome::TurnedAway);
    assert_eq!(rig.stats().destinations[0].dropped[DropReason::QueueFull], 1);
    let error = rig.pipeline.flush(Duration::from_millis(20)).unwrap_err();
    assert_eq!(error, FlushError::Timeout { signal: Signal::Logs, remaining: 8 });
    assert_eq!(error.to_string(), "8 records were still waiting when the time was up");
    memory.release();
    rig.pipeline.flush(SOON).unwrap();
    assert_eq!(arrived(&memory).len(), 8);
    let reports = rig.reports.0.lock().unwrap();
    assert_eq!(reports[0].message, "the queue is full, new records are dropped");
}

#[test]
fn what_passes_by_is_tried_again_and_what_is_final_is_counted() {
    let flaky = Scripted::new(|number, _| if number == 0 { Err(unavailable()) } else { Ok(Duration::ZERO) });
    let refusing = Scripted::new(|_, _| Err(Error::new(ErrorKind::Refused, "not here")));
    let rig = Records::new(batches_of(10), [to("flaky", &flaky), to("refusing", &refusing)]);
    rig.records(5);
    let error = rig.pipeline.flush(SOON).unwrap_err();
    assert!(error.to_string().starts_with("5 records did not arrive at refusing: "), "{error}");
    let stats = rig.stats();
    let (flaky_stats, refused) = (&stats.destinations[0], &stats.destinations[1]);
    assert_eq!((flaky_stats.exported, flaky_stats.retries), (5, 1));
    assert_eq!(refused.dropped[DropReason::Refused], 5);
    assert_eq!(arrived(&flaky.memory).len(), 5);
}

#[test]
fn rejected_records_are_counted_and_not_repeated() {
    let memory = memory();
    let partial = ExportLogsPartialSuccess { rejected_log_records: 2, error_message: "too old".to_owned() };
    memory.answer_with(ExportLogsServiceResponse { partial_success: Some(partial) }.encode_to_vec());
    let rig = Records::new(batches_of(3), [to("a", &memory)]);
    rig.records(3);
    assert!(matches!(rig.pipeline.flush(SOON), Err(FlushError::Failed { dropped: 2, signal: Signal::Logs, .. })));
    let stats = rig.stats();
    assert_eq!((stats.destinations[0].exported, stats.destinations[0].dropped[DropReason::Rejected]), (1, 2));
    assert_eq!((stats.destinations[0].requests, stats.destinations[0].retries), (1, 0));
    assert_eq!(rig.reports.0.lock().unwrap()[0].message, "the receiver rejected 2 of 3 records: too old");
}

#[test]
fn a_request_that_is_too_large_is_sent_in_halves() {
    let strict = Scripted::new(|_, payload: &Payload| match payload.items {
        0..=3 => Ok(Duration::ZERO),
        _ => Err(Error::new(ErrorKind::TooLarge, "too large")),
    });
    let rig = Records::new(batches_of(6), [to("a", &strict)]);
    rig.records(6);
    rig.pipeline.flush(SOON).unwrap();
    let sizes: Vec<_> = strict.memory.payloads().iter().map(|payload| payload.items).collect();
    assert_eq!(sizes, [3, 3]);
    assert_eq!(arrived(&strict.memory).iter().map(uid).collect::<HashSet<_>>().len(), 6);
}

#[test]
fn a_shutdown_sends_what_there_is_and_takes_no_more() {
    let memory = memory();
    let rig = Records::new(batches_of(100), [to("a", &memory)]);
    rig.records(5);
    rig.pipeline.shutdown(SOON).unwrap();
    assert!(rig.pipeline.is_closed());
    assert_eq!(arrived(&memory).len(), 5);
    assert_eq!(rig.insert(1, None), Outcome::TurnedAway);
    assert_eq!(rig.stats().destinations[0].dropped[DropReason::Shutdown], 1);

    let memory = common::memory();
    memory.hold();
    let rig = Records::new(batches_of(5), [to("a", &memory)]);
    rig.records(5);
    assert!(rig.pipeline.shutdown(Duration::from_millis(20)).is_err());
    while rig.stats().destinations[0].dropped.total() < 5 {
        std::thread::yield_now();
    }
    let message = &rig.reports.0.lock().unwrap()[0].message;
    assert_eq!(message, "the pipeline was shut down before the records could be sent");
}

/// A destination with a ratio gets whole traces, and of records without a trace a part of about that size.
#[test]
fn a_thinned_destination_gets_whole_traces() {
    let (all, part) = (memory(), memory());
    let ratio = Ratio::new(0.25).unwrap();
    let rig = Records::new(batches_of(500), [to("all", &all), to("part", &part).sample_ratio(ratio)]);
    let traces: Vec<_> = (0..300).map(|_| RandomIds.new_trace_id()).collect();
    for trace in &traces {
        let _ = rig.insert(0, Some(&span(*trace)));
        let _ = rig.insert(1, Some(&span(*trace)));
    }
    (0..2000).for_each(|number| drop(rig.insert(number, None)));
    rig.pipeline.flush(SOON).unwrap();
    let (with, without): (Vec<_>, Vec<_>) = arrived(&part).into_iter().partition(|record| !record.trace_id.is_empty());
    let expected = traces.iter().filter(|trace| ratio.contains(**trace)).count();
    assert_eq!(with.len(), 2 * expected);
    assert!(with.iter().all(|record| ratio.contains(TraceId::from_slice(&record.trace_id).unwrap())));
    assert!((400..600).contains(&without.len()), "{}", without.len());
    let stats = rig.stats();
    let counted = (stats.destinations[0].exported, stats.destinations[1].exported + stats.destinations[1].thinned);
    assert_eq!((counted, arrived(&all).len()), ((2600, 2600), 2600));
}

#[test]
fn captured_records_are_one_request_of_logs() {
    let memory = memory();
    let rig = Records::new(batches_of(100), [to("a", &memory)]);
    rig.records(1);
    let capture = rig.pipeline.capture();
    capture.enable(CaptureLimit { spans: 4, ..CaptureLimit::default() });
    let traces: Vec<_> = (0..3).map(|_| RandomIds.new_trace_id()).collect();
    traces.iter().for_each(|trace| drop(rig.insert(0, Some(&span(*trace)))));
    let _ = rig.insert(1, None);
    let _ = rig.insert(2, None);
    let found = decode(&capture.by_trace_ids(&traces[..2]));
    assert_eq!(
        found.iter().map(|record| &record.trace_id[..]).collect::<Vec<_>>(),
        traces[..2].iter().map(|trace| trace.to_bytes()).collect::<Vec<_>>()
    );
    assert_eq!((decode(&capture.drain()).len(), capture.dropped()), (4, 1));
    assert!(capture.drain().is_empty());
    rig.pipeline.flush(SOON).unwrap();
    assert_eq!(arrived(&memory).len(), 6);
}

/// What never went on its way is no copy: a test would take it for a record that was sent.
#[test]
fn a_record_that_is_turned_away_is_not_captured() {
    let memory = memory();
    let rig = Records::new(batches_of(2), [to("a", &memory)]);
    let capture = rig.pipeline.capture();
    capture.enable(CaptureLimit::default());
    rig.pipeline.shutdown(SOON).unwrap();
    assert_eq!(rig.insert(0, None), Outcome::TurnedAway);
    assert!(capture.drain().is_empty());
}

/// Spans given to a pipeline of records, and the other way round, are lost and counted: they are never sent as what they are
/// not.
#[test]
fn a_pipeline_carries_one_signal() {
    let memory = memory();
    let rig = Records::new(batches_of(10), [to("a", &memory)]);
    rig.pipeline.capture().enable(CaptureLimit::default());
    let scope = Arc::new(Scope::new("wrong", "", "", &[]));
    let number = SpanSink::register(&*rig.pipeline, &scope);
    let bytes = &[0x12, 0];
    SpanSink::accept(&*rig.pipeline, FinishedSpan { bytes, scope: number, trace_id: TraceId::from_int(1).unwrap() });
    let _ = rig.pipeline.flush(SOON);
    let stats = rig.pipeline.stats();
    assert_eq!((stats.destinations[0].dropped[DropReason::Internal], memory.received()), (1, 0));
    assert!(rig.pipeline.capture().drain().is_empty());

    let spans = Rig::new(batches_of(10), [to("a", &memory)]);
    let number = RecordSink::register(&*spans.pipeline, &scope);
    assert_eq!(number, ScopeId(u32::MAX));
    RecordSink::accept(&*spans.pipeline, FinishedRecord { bytes, scope: number, trace_id: None });
    let _ = spans.pipeline.flush(SOON);
    let stats = spans.pipeline.stats();
    assert_eq!((stats.destinations[0].dropped[DropReason::Internal], memory.received()), (1, 0));
}

#[test]
fn the_metrics_have_the_names_of_logs() {
    let memory = memory();
    let rig = Records::new(batches_of(10), [to("a", &memory)]);
    rig.records(3);
    rig.pipeline.flush(SOON).unwrap();
    let metrics = rig.stats().metrics();
    let names: HashSet<_> = metrics.iter().map(|metric| (metric.name, metric.unit)).collect();
    let records = "{log_record}";
    assert_eq!(
        names,
        HashSet::from([
            ("otel.sdk.log.created", records),
            ("otel.sdk.processor.log.queue.size", records),
            ("otel.sdk.processor.log.queue.capacity", records),
            ("otel.sdk.processor.log.processed", records),
            ("otel.sdk.exporter.log.inflight", records),
            ("otel.sdk.exporter.log.exported", records),
            ("otel.sdk.exporter.operation.duration", "s"),
        ])
    );
    let component = &metrics.last().unwrap().attributes;
    assert_eq!(component[1], ("otel.component.type", "scouter_log_exporter".to_owned()));
}

/// Threads insert while everything goes wrong in turn; at every moment the sums are right, and at the end nothing is missing.
#[test]
fn nothing_is_lost_between_threads_and_the_sums_hold_all_the_time() {
    let flaky = Scripted::new(|number, _| if number % 3 == 0 { Err(unavailable()) } else { Ok(Duration::ZERO) });
    let config = BatchConfig { max_queue_size: 2000, scheduled_delay: Duration::from_millis(1), ..batches_of(64) };
    let rig = Records::new(config, [to("flaky", &flaky)]);
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| rig.records(5000))).collect();
        while !threads.iter().all(std::thread::ScopedJoinHandle::is_finished) {
            assert_sums(&rig.pipeline.stats());
        }
    });
    let _ = rig.pipeline.flush(SOON);
    let (stats, queue) = (rig.stats(), rig.queue.stats());
    assert_eq!((queue.inserted, queue.accepted + queue.turned_away), (20_000, 20_000));
    let to = &stats.destinations[0];
    assert_eq!((to.exported + to.dropped.total(), to.queued), (20_000, 0));
    assert_eq!(arrived(&flaky.memory).iter().map(uid).collect::<HashSet<_>>().len() as u64, to.exported);
}

#[cfg(unix)]
#[expect(clippy::disallowed_methods, reason = "that is how the test knows that it is alone")]
#[test]
fn a_child_inserts_by_itself_and_counts_from_zero() {
    const NAME: &str = "SCOUTER_TEST_RECORDS_FORK";
    if std::env::var_os(NAME).is_none() {
        return process::alone("a_child_inserts_by_itself_and_counts_from_zero", NAME, "1");
    }
    let memory = memory();
    let rig = Records::new(batches_of(100), [to("a", &memory)]);
    rig.records(3);
    let child = process::in_child(|| {
        rig.records(2);
        rig.pipeline.flush(SOON).unwrap();
        let stats = rig.stats();
        assert_eq!((stats.started, stats.destinations[0].exported, rig.queue.stats().accepted), (2, 2, 2));
        // The parent's records are the parent's to send.
        assert_eq!(arrived(&memory).len(), 2);
    });
    process::join(child);
    rig.pipeline.flush(SOON).unwrap();
    assert_eq!((rig.stats().started, arrived(&memory).len()), (3, 3));
}
