//! What the transport brings into Kafka, and how: codecs, limits of brokers, leaders that are away, TLS.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;
#[path = "common/kafka.rs"]
mod kafka;

use std::collections::{BTreeMap, BTreeSet};
use std::net::TcpListener;
use std::time::{Duration, Instant};

use common::{Reader, SERVER, until};
use kafka::messages;
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message as _;
use rdkafka::Message as _;
use rdkafka::message::OwnedMessage;
use rdkafka::mocking::MockCluster;
use scouter::transport::kafka::{KafkaCompression, KafkaConfig, SaslMechanism};
use scouter::transport::{Error, ErrorKind, Payload, Receipt, Signal, TlsConfig, Transport, connect};
use scouter_tests::broker::{Broker, Kind};
use scouter_tests::server::Server;
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

const LONG: Duration = Duration::from_secs(60);
const TOPIC: &str = "otlp_spans";

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

/// Letters that no compression makes much smaller.
fn noise(length: usize, seed: u64) -> String {
    let mut state = seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        char::from(b'!' + (state % 90) as u8)
    };
    std::iter::repeat_with(next).take(length).collect()
}

/// A span of a trace with so many bytes in an attribute.
fn span(trace: usize, number: usize, bytes: usize) -> Span {
    let value =
        Some(AnyValue { value: Some(any_value::Value::StringValue(noise(bytes, (trace * 1000 + number) as u64))) });
    Span {
        trace_id: ((trace + 1) as u128).to_be_bytes().to_vec(),
        span_id: ((number + 1) as u64).to_be_bytes().to_vec(),
        name: "span".to_owned(),
        attributes: vec![KeyValue { key: "noise".to_owned(), value, ..KeyValue::default() }],
        ..Span::default()
    }
}

fn payload(spans: Vec<Span>) -> Payload {
    let items = spans.len() as u32;
    let scope_spans = vec![ScopeSpans { spans, ..ScopeSpans::default() }];
    let resource_spans = vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }];
    Payload::traces(ExportTraceServiceRequest { resource_spans }.encode_to_vec(), items)
}

fn traces(count: usize, bytes: usize) -> Payload {
    payload((0..count).map(|trace| span(trace, 0, bytes)).collect())
}

/// Sends over a transport of its own.
fn send(config: KafkaConfig, payload: Payload) -> Result<Receipt, Error> {
    runtime().block_on(async {
        let transport = connect(config).unwrap();
        let outcome = transport.send(payload).await;
        transport.close().await.unwrap();
        outcome
    })
}

fn spans(message: &OwnedMessage) -> Vec<Span> {
    let request = ExportTraceServiceRequest::decode(message.payload().unwrap()).unwrap();
    request.resource_spans.into_iter().flat_map(|part| part.scope_spans).flat_map(|part| part.spans).collect()
}

/// Numbers of the traces in these messages, each with how many messages hold it.
fn held(messages: &[OwnedMessage]) -> BTreeMap<usize, usize> {
    let mut held = BTreeMap::new();
    for message in messages {
        let id: [u8; 16] = spans(message)[0].trace_id.clone().try_into().unwrap();
        *held.entry(u128::from_be_bytes(id) as usize - 1).or_default() += 1;
    }
    held
}

#[test]
fn every_codec_goes_there_and_back() {
    for kind in Kind::kafkas() {
        let (broker, directory) = (Broker::start_with(kind, &["--topic", "otlp_spans:1"]), TempDir::new().unwrap());
        let server = Server::start(SERVER, directory.path(), broker.settings("SCOUTER_SERVER_"));
        let codecs = [KafkaCompression::None, KafkaCompression::Gzip, KafkaCompression::Snappy, KafkaCompression::Lz4];
        for (at, codec) in codecs.into_iter().enumerate() {
            let all = (at * 50..(at + 1) * 50).map(|trace| span(trace, 0, 200)).collect();
            send(KafkaConfig::new(broker.address()).compression(codec), payload(all)).unwrap();
        }
        let found = messages(&broker, TOPIC, 1, 200);
        for (at, message) in found.iter().enumerate() {
            assert_eq!(spans(message), [span(at, 0, 200)], "{kind:?}");
        }
        until("all are stored", LONG, || (server.metric("scouter_server_spans_stored_total") == 200).then_some(()));
        assert_eq!(Reader::new(&server).counts().len(), 200);
    }
}

#[test]
fn a_broker_that_takes_less_at_once_gets_all_that_it_takes() {
    for kind in Kind::kafkas().into_iter().filter(|kind| *kind == Kind::Kafka) {
        let broker = Broker::start_with(kind, &["--message-bytes", "20000", "--topic", "otlp_spans:1"]);
        runtime().block_on(async {
            let transport = connect(KafkaConfig::new(broker.address()).timeout(LONG)).unwrap();
            let mut all: Vec<_> = (0..300).map(|trace| span(trace, 0, 1_000)).collect();
            all.insert(150, span(300, 0, 30_000));
            let receipt = transport.send(payload(all)).await.unwrap();
            let answer = ExportTraceServiceResponse::decode(receipt.body).unwrap().partial_success.unwrap();
            assert_eq!(answer.rejected_spans, 1, "{answer:?}");
            assert!(answer.error_message.contains("larger than max_message_bytes or than the topic otlp_spans takes"));
            // By now batches are smaller, so that most of them are taken.
            for _ in 0..3 {
                assert!(transport.send(traces(300, 1_000)).await.unwrap().body.is_empty());
            }
            transport.close().await.unwrap();
        });
        let held = held(&messages(&broker, TOPIC, 1, 1_200));
        assert_eq!(held.keys().copied().collect::<Vec<_>>(), (0..300).collect::<Vec<_>>());
        assert!(held.values().all(|count| *count == 4), "{held:?}");
    }
}

#[test]
fn a_queue_that_is_short_holds_up_and_loses_nothing() {
    let broker = Broker::start_with(Kind::Tansu, &["--topic", "otlp_spans:1"]);
    let config = KafkaConfig::new(broker.address()).property("queue.buffering.max.messages", "7").timeout(LONG);
    assert!(send(config, traces(500, 10)).unwrap().body.is_empty());
    let held = held(&messages(&broker, TOPIC, 1, 500));
    assert!(held.len() == 500 && held.values().all(|count| *count == 1), "{held:?}");
}

#[test]
fn a_large_trace_stays_in_one_partition_and_in_order() {
    let broker = Broker::start_with(Kind::Tansu, &["--topic", "otlp_spans:4"]);
    let all = (0..200).map(|number| span(number % 5, number, 500)).collect();
    send(KafkaConfig::new(broker.address()).max_message_bytes(3_000), payload(all)).unwrap();
    // Ten spans to a message would be too large, so there are more than one for each trace.
    let count = |found: &[OwnedMessage]| found.iter().map(|message| spans(message).len()).sum::<usize>();
    let found = kafka::read(&broker.address(), TOPIC, 4, |found| count(found) == 200);
    assert!(found.len() > 5 * 5, "{} messages", found.len());
    let mut places = BTreeMap::<Vec<u8>, (BTreeSet<i32>, Vec<Vec<u8>>)>::new();
    for message in &found {
        let (partitions, ids) = places.entry(message.key().unwrap().to_vec()).or_default();
        partitions.insert(message.partition());
        ids.extend(spans(message).into_iter().map(|span| span.span_id));
    }
    assert_eq!(places.len(), 5);
    for (partitions, ids) in places.values() {
        assert_eq!((partitions.len(), ids.len()), (1, 40));
        assert!(ids.is_sorted(), "{ids:?}");
    }
}

#[test]
fn a_partition_whose_leader_is_away_leaves_no_hole_and_the_others_get_nothing_twice() {
    let cluster = MockCluster::new(3).unwrap();
    cluster.create_topic(TOPIC, 3, 1).unwrap();
    for partition in 0..3 {
        cluster.partition_leader(TOPIC, partition, Some(partition + 1)).unwrap();
    }
    let config = KafkaConfig::new(cluster.bootstrap_servers()).timeout(Duration::from_secs(3));
    runtime().block_on(async {
        let transport = connect(config).unwrap();
        // The producer knows everybody before one goes.
        transport.send(payload(vec![span(1_000, 0, 10)])).await.unwrap();
        cluster.broker_down(2).unwrap();
        let all = traces(60, 100);
        let error = transport.send(all.clone()).await.unwrap_err();
        assert!(error.is_retryable(), "{error}");
        cluster.broker_up(2).unwrap();
        until_async(LONG, || transport.send(all.clone())).await;
        transport.close().await.unwrap();
    });
    let found = kafka::read(&cluster.bootstrap_servers(), TOPIC, 3, |found| held(found).len() == 61);
    let reached = found.iter().filter(|message| message.partition() != 1).cloned().collect::<Vec<_>>();
    let held = held(&reached);
    assert!(held.len() > 20, "the traces are spread: {held:?}");
    assert!(held.values().all(|count| *count == 1), "what was acknowledged was sent again: {held:?}");
}

/// Sends until it succeeds.
async fn until_async<F: Future<Output = Result<Receipt, Error>>>(limit: Duration, mut send: impl FnMut() -> F) {
    let deadline = Instant::now() + limit;
    while let Err(error) = send().await {
        assert!(error.is_retryable() && Instant::now() < deadline, "{error}");
    }
}

#[test]
fn a_broker_that_comes_later_gets_everything() {
    for kind in Kind::kafkas() {
        let broker = Broker::start_with(kind, &["--topic", "otlp_spans:1"]);
        broker.kill();
        let config = KafkaConfig::new(broker.address()).timeout(Duration::from_secs(5));
        runtime().block_on(async {
            let transport = connect(config).unwrap();
            let all = traces(20, 100);
            let error = transport.send(all.clone()).await.unwrap_err();
            assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Unreachable, true), "{error}");
            broker.restart();
            until_async(LONG, || transport.send(all.clone())).await;
            transport.close().await.unwrap();
        });
        assert_eq!(held(&messages(&broker, TOPIC, 1, 20)).len(), 20, "{kind:?}");
    }
}

#[test]
fn tls_and_scram_lead_from_the_sender_to_the_store() {
    for kind in Kind::kafkas().into_iter().filter(|kind| *kind == Kind::Kafka) {
        let files = TempDir::new().unwrap();
        let pem = |names: &[&str]| {
            let made =
                rcgen::generate_simple_self_signed(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
            let made = made.unwrap();
            (made.cert.pem(), made.signing_key.serialize_pem())
        };
        let (certificate, key) = pem(&["127.0.0.1"]);
        let path = |name: &str, text: &str| {
            let path = files.path().join(name);
            std::fs::write(&path, text).unwrap();
            path.to_str().unwrap().to_owned()
        };
        let (ca, secret) = (path("certificate.pem", &certificate), path("key.pem", &key));
        let broker = Broker::start_with(
            kind,
            &[
                "--sasl",
                "scram",
                "--tls-cert",
                &ca,
                "--tls-key",
                &secret,
                "--topic",
                "otlp_spans:1",
                "--topic",
                "otlp_logs",
            ],
        );
        let plain = KafkaConfig::new(broker.address()).sasl_mechanism(SaslMechanism::ScramSha512).timeout(LONG);
        let user = plain.username(broker.username()).password(broker.password());
        let right = user.clone().tls(TlsConfig::new().ca(certificate));
        send(right.clone(), traces(10, 100)).unwrap();

        let failure = |config: KafkaConfig| {
            let begun = Instant::now();
            let error = send(config, traces(1, 10)).unwrap_err();
            assert!(begun.elapsed() < Duration::from_secs(20), "{:?}: {error}", begun.elapsed());
            assert!(!format!("{error} {error:?}").contains(broker.password()), "the password shows");
            error
        };
        // Of another authority, of the system's, and without TLS.
        let wrong = [TlsConfig::new().ca(pem(&["127.0.0.1"]).0), TlsConfig::new()];
        for tls in wrong {
            let error = failure(user.clone().tls(tls));
            assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Tls, false), "{error}");
            assert!(error.to_string().contains("certificate"), "{error}");
        }
        let error = failure(right.password("another"));
        assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
        let error = failure(user);
        assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Unreachable, true), "{error}");

        let directory = TempDir::new().unwrap();
        let mut settings = broker.settings("SCOUTER_SERVER_");
        for (name, value) in [
            ("USERNAME", broker.username()),
            ("PASSWORD", broker.password()),
            ("SASL_MECHANISM", "SCRAM-SHA-512"),
            ("CA_FILE", &ca),
        ] {
            settings.push((format!("SCOUTER_SERVER_KAFKA_{name}"), value.to_owned()));
        }
        let server = Server::start(SERVER, directory.path(), settings);
        until("all are stored", LONG, || (server.metric("scouter_server_spans_stored_total") == 10).then_some(()));
        // Letters go the same way.
        kafka::produce_with(
            &[
                ("bootstrap.servers", &*broker.address()),
                ("security.protocol", "SASL_SSL"),
                ("sasl.mechanism", "SCRAM-SHA-512"),
                ("sasl.username", broker.username()),
                ("sasl.password", broker.password()),
                ("ssl.ca.location", &ca),
            ],
            TOPIC,
            b"garbage",
        );
        until("a letter is put aside", LONG, || {
            (server.metric("scouter_server_dead_letters_total") == 1).then_some(())
        });
    }
}

#[test]
fn tls_to_a_port_without_is_told() {
    // Tansu waits for the rest of what it takes for a very long request.
    for kind in Kind::kafkas().into_iter().filter(|kind| *kind == Kind::Kafka) {
        let broker = Broker::start(kind);
        let config = KafkaConfig::new(broker.address()).tls(TlsConfig::new()).timeout(LONG);
        let error = send(config, traces(1, 10)).unwrap_err();
        assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Unreachable, true), "{error}");
        assert!(error.to_string().contains("SSL connection closed by peer"), "{error}");
    }
}

#[test]
fn secrets_of_properties_stay_in_the_transport() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap().to_string();
    let hush = "hush-hush";
    let config = KafkaConfig::new(address).property("ssl.key.password", hush).timeout(Duration::from_millis(300));
    let config = config.topic(Signal::Traces, "t");
    assert!(!format!("{config:?}").contains(hush));
    let transport = connect(config.clone()).unwrap();
    let error = runtime().block_on(transport.send(traces(1, 1))).unwrap_err();
    assert!(!format!("{transport:?} {error} {error:?}").contains(hush));
    runtime().block_on(transport.close()).unwrap();
    let error = send(config.tls(TlsConfig::new()).property("ssl.keystore.location", "/nowhere"), traces(1, 1));
    assert!(!format!("{error:?}").contains(hush), "{error:?}");
}
