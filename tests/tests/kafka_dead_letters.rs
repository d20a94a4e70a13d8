//! Messages in Kafka that will never be stored: each is put aside with the reason, or counted where it cannot be, and the others go on.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;
#[path = "common/kafka.rs"]
mod kafka;

use std::collections::BTreeMap;
use std::time::Duration;

use common::{Reader, SERVER, connection, service, until};
use kafka::{Sent, headers, messages, no_lag, produce};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, any_value};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use prost::Message as _;
use rdkafka::Message as _;
use scouter::Scouter;
use scouter_span::TraceId;
use scouter_tests::broker::{Broker, Kind};
use scouter_tests::server::Server;
use tempfile::TempDir;

const LONG: Duration = Duration::from_secs(90);
const TOPIC: &str = "otlp_spans";
const DEAD: &str = "otlp_spans.dead-letter";
const GROUP: &str = "scouter";
const PUT_ASIDE: &str = "scouter_server_dead_letters_total";
const LET_GO: &str = "scouter_server_dead_letters_lost_total";

fn traces(scouter: &Scouter, count: usize) -> Vec<TraceId> {
    let tracer = scouter.tracer("tests");
    let one = |_| {
        let mut span = tracer.span("one").start();
        let id = span.context().trace_id;
        span.end();
        id
    };
    let all = (0..count).map(one).collect();
    scouter.flush(LONG).unwrap();
    all
}

fn server(broker: &Broker, directory: &TempDir, more: &[(&str, &str)]) -> Server {
    let mut settings = broker.settings("SCOUTER_SERVER_");
    settings.extend(more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    Server::start(SERVER, directory.path(), settings)
}

/// A record without an id of its own, as other programs send them.
fn record(text: &str, time: u64) -> LogRecord {
    let body = Some(AnyValue { value: Some(any_value::Value::StringValue(text.to_owned())) });
    LogRecord { body, time_unix_nano: time, ..LogRecord::default() }
}

fn logs(log_records: Vec<LogRecord>) -> Vec<u8> {
    let scope_logs = vec![ScopeLogs { log_records, ..ScopeLogs::default() }];
    let resource_logs = vec![ResourceLogs { scope_logs, ..ResourceLogs::default() }];
    ExportLogsServiceRequest { resource_logs }.encode_to_vec()
}

fn is_there(reader: &Reader, ids: &[TraceId]) {
    for id in ids {
        reader.trace(*id, 1, LONG);
    }
}

#[test]
fn each_kind_of_poison_is_put_aside_with_its_reason_and_the_partition_goes_on() {
    for kind in Kind::kafkas() {
        let (broker, directory) = (Broker::start(kind), TempDir::new().unwrap());
        [TOPIC, "otlp_logs", DEAD].iter().for_each(|topic| broker.topic(topic, 1));
        let scouter = service("shop", connection(&broker)).start().unwrap();
        let mut good = traces(&scouter, 3);
        let json = br#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"5b8efff798038103d269b633813fc60c","spanId":"eee19b7ec3c1b174","name":"json"}]}]}]}"#;
        let no_id = br#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"00000000000000000000000000000000","spanId":"eee19b7ec3c1b174","name":"json"}]}]}]}"#;
        let (large, other) = (vec![0x0a; 70_000], logs(vec![record("in the wrong topic", 1)]));
        let value = |key, value| Sent { key, value: Some(value), content: None };
        let poison = [
            value("garbage", b"not OTLP at all"),
            value("json", b"{\"resourceSpans\":7}"),
            value("large", &large),
            value("signal", &other),
            value("ids", no_id),
            Sent { key: "content", value: Some(b"\x0a\x00"), content: Some("text/plain") },
            Sent { key: "tombstone", value: None, content: None },
            value("fine", json),
            // A request that asks for nothing (OTLP, "Export requests").
            value("empty", b""),
        ];
        produce(&broker, TOPIC, &poison);
        good.extend(traces(&scouter, 3));
        let server = server(&broker, &directory, &[("SCOUTER_SERVER_MAX_REQUEST_BYTES", "65536")]);
        let reader = Reader::new(&server);
        is_there(&reader, &good);
        is_there(&reader, &["5b8efff798038103d269b633813fc60c".parse().unwrap()]);
        until("all is committed", LONG, || (no_lag(&broker, GROUP, TOPIC, 1) == 15).then_some(()));

        let letters = messages(&broker, DEAD, 1, 7);
        let mut letters: BTreeMap<_, _> = letters
            .iter()
            .map(|letter| (std::str::from_utf8(letter.key().unwrap()).unwrap().to_owned(), letter))
            .collect();
        for (place, (Sent { key, value, content }, reason)) in poison[..7]
            .iter()
            .zip([
                "malformed: the body is not an ExportTraceServiceRequest",
                "malformed: ",
                "too_large: 70000 bytes are more than the longest request, 65536",
                "malformed: the body is not an ExportTraceServiceRequest",
                "rejected: 1 span was rejected",
                "unsupported: the content type is neither",
                "malformed: the message has no value",
            ])
            .enumerate()
        {
            let letter = letters.remove(*key).unwrap();
            assert_eq!(letter.payload(), *value, "{kind:?}: {key}");
            let said = headers(letter);
            assert!(said["scouter.reason"].starts_with(reason), "{said:?}");
            assert_eq!(said["scouter.source"], format!("{TOPIC}/0/{}", place + 3));
            assert_eq!((&*said["own"], said.get("content-type").map(|text| &**text)), ("kept", *content));
        }
        assert_eq!(server.metric(PUT_ASIDE), 7);
        assert_eq!(server.metric(LET_GO), 0);
        assert_eq!(server.metric("scouter_server_messages_received_total"), 15);
    }
}

#[test]
fn where_no_letters_are_taken_the_partition_goes_on_after_a_while_and_counts() {
    // Tansu makes every topic that it hears of.
    for kind in Kind::kafkas().into_iter().filter(|kind| *kind == Kind::Kafka) {
        let (broker, directory) = (Broker::start_with(kind, &["--no-auto-create"]), TempDir::new().unwrap());
        [TOPIC, "otlp_logs"].iter().for_each(|topic| broker.topic(topic, 1));
        let server = server(&broker, &directory, &[]);
        let scouter = service("shop", connection(&broker)).start().unwrap();
        let reader = Reader::new(&server);
        let poison = vec![Sent { key: "", value: Some(b"garbage"), content: None }; 40];
        // More than may be under way at once, so that the partition has to wait for them.
        produce(&broker, TOPIC, &poison);
        let good = traces(&scouter, 3);
        is_there(&reader, &good);
        no_lag(&broker, GROUP, TOPIC, 1);
        assert_eq!((server.metric(PUT_ASIDE), server.metric(LET_GO)), (0, 40));

        // Once somebody mends it, letters are put aside.
        broker.topic(DEAD, 1);
        until("letters are put aside again", LONG, || {
            produce(&broker, TOPIC, &poison[..1]);
            (server.metric(PUT_ASIDE) > 0).then_some(())
        });
        no_lag(&broker, GROUP, TOPIC, 1);
        let aside = server.metric(PUT_ASIDE);
        assert_eq!(messages(&broker, DEAD, 1, aside.try_into().unwrap()).len() as u64, aside);
        let received = server.metric("scouter_server_messages_received_total");
        assert_eq!(aside + server.metric(LET_GO), received - 3);
    }
}

#[test]
fn a_letter_that_its_topic_does_not_take_is_counted_at_once() {
    for kind in Kind::kafkas().into_iter().filter(|kind| *kind == Kind::Kafka) {
        let (broker, directory) = (Broker::start_with(kind, &["--message-bytes", "20000"]), TempDir::new().unwrap());
        let server = server(&broker, &directory, &[]);
        let scouter = service("shop", connection(&broker)).start().unwrap();
        // It just fits into its topic, and does not with the headers of a letter. No compression makes it smaller.
        let mut state = 1_u64;
        let noise: Vec<u8> = std::iter::repeat_with(|| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        })
        .take(19_880)
        .collect();
        produce(&broker, TOPIC, &[Sent { key: "", value: Some(&noise), content: None }]);
        let good = traces(&scouter, 1);
        is_there(&Reader::new(&server), &good);
        no_lag(&broker, GROUP, TOPIC, 1);
        assert_eq!((server.metric(PUT_ASIDE), server.metric(LET_GO)), (0, 1));
    }
}

#[test]
fn records_without_ids_of_their_own_are_stored_once_however_they_come_again() {
    for kind in Kind::kafkas() {
        let (broker, directory) = (Broker::start(kind), TempDir::new().unwrap());
        [TOPIC, "otlp_logs"].iter().for_each(|topic| broker.topic(topic, 1));
        let send = |numbers: std::ops::Range<u64>| {
            let all: Vec<_> = numbers.map(|number| logs(vec![record(&number.to_string(), number + 1)])).collect();
            let all: Vec<_> = all.iter().map(|value| Sent { key: "", value: Some(value), content: None }).collect();
            produce(&broker, "otlp_logs", &all);
        };
        send(0..7);
        let mut server = server(&broker, &directory, &[]);
        let stored = |server: &Server| server.metric("scouter_server_records_stored_total");
        until("they are stored", LONG, || (stored(&server) == 7).then_some(()));
        server.kill();
        send(7..20);
        // They come again, now together with others.
        let group = [("SCOUTER_SERVER_KAFKA_GROUP", "another")];
        let server = self::server(&broker, &directory, &group);
        until("the others are stored", LONG, || (stored(&server) >= 13).then_some(()));
        no_lag(&broker, "another", "otlp_logs", 1);
        assert_eq!(Reader::new(&server).records().len(), 20, "{kind:?}");
    }
}
