//! What a user sees when Kafka does not work: which error, how soon, and what a server does meanwhile.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use std::net::TcpListener;
use std::time::{Duration, Instant};

use common::{SERVER, until};
use scouter::transport::kafka::{KafkaConfig, SaslMechanism};
use scouter::transport::{Error, ErrorKind, Payload, Signal, Transport, connect};
use scouter_tests::broker::{Broker, Kind};
use scouter_tests::server::Server;
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

const LONG: Duration = Duration::from_secs(60);
const PASSWORD: &str = "not-the-right-one";

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

/// One trace of one span without attributes.
fn payload() -> Payload {
    let span = [&[0x0a, 16][..], &[7; 16], &[0x12, 8], &[9; 8]].concat();
    let nested = |field: u8, inner: Vec<u8>| [vec![field, inner.len() as u8], inner].concat();
    Payload::traces(nested(0x0a, nested(0x12, nested(0x12, span))), 1)
}

/// Sends once, and tells how long that took.
fn send(config: KafkaConfig) -> (Result<(), Error>, Duration) {
    runtime().block_on(async {
        let transport = connect(config).unwrap();
        let begun = Instant::now();
        let outcome = transport.send(payload()).await;
        let took = begun.elapsed();
        transport.close().await.unwrap();
        (outcome.map(drop), took)
    })
}

fn failure(config: KafkaConfig) -> (Error, Duration) {
    let (outcome, took) = send(config);
    let error = outcome.unwrap_err();
    assert!(!format!("{error} {error:?}").contains(PASSWORD), "the password shows");
    (error, took)
}

#[test]
fn a_topic_that_is_not_there_is_named_and_the_server_reads_it_once_it_is() {
    // Tansu makes every topic that it hears of.
    for kind in Kind::kafkas().into_iter().filter(|kind| *kind == Kind::Kafka) {
        let broker = Broker::start_with(kind, &["--no-auto-create"]);
        let config = KafkaConfig::new(broker.address()).topic(Signal::Traces, "no_such_topic");
        let (error, took) = failure(config.clone().timeout(Duration::from_secs(6)));
        assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
        let place = format!("cannot send traces to Kafka topic no_such_topic at {}: ", broker.address());
        let words = format!("{place}the topic no_such_topic does not exist: create it or set another one");
        assert!(error.to_string().starts_with(&words), "{error}");
        assert!(took < Duration::from_secs(6), "{took:?}");

        let directory = TempDir::new().unwrap();
        let mut settings = broker.settings("SCOUTER_SERVER_");
        settings.push(("SCOUTER_SERVER_KAFKA_TOPIC".to_owned(), "no_such_topic".to_owned()));
        settings.push(("SCOUTER_SERVER_KAFKA_PROPERTY".to_owned(), "session.timeout.ms=6000".to_owned()));
        let server = Server::start(SERVER, directory.path(), settings);
        broker.topic("no_such_topic", 1);
        until("the topic takes messages", LONG, || send(config.clone()).0.ok());
        until("the topic is read", LONG, || (server.metric("scouter_server_spans_stored_total") > 0).then_some(()));
    }
}

#[test]
fn a_broker_that_never_answers_costs_no_more_than_the_timeout() {
    // Connections are taken by the kernel, and by nobody else.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap().to_string();
    let limit = Duration::from_secs(1);
    let (error, took) = failure(KafkaConfig::new(&address).timeout(limit));
    assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Timeout, true), "{error}");
    assert!(took >= limit && took < limit * 2, "{took:?}");

    // A server answers others all the while, and ends in order.
    let directory = TempDir::new().unwrap();
    let server = Server::start(SERVER, directory.path(), [("SCOUTER_SERVER_KAFKA_BROKERS", &*address)]);
    assert_eq!(server.metric("scouter_server_messages_received_total"), 0);
}

#[test]
fn a_broker_that_is_not_there_is_told_soon() {
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (error, took) = failure(KafkaConfig::new(gone.to_string()).timeout(LONG));
    assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Unreachable, true), "{error}");
    assert!(error.to_string().contains("Connection refused"), "{error}");
    assert!(took < Duration::from_secs(10), "{took:?}");
    let (error, _) = failure(KafkaConfig::new("no.such.host.invalid:9092").timeout(LONG));
    assert_eq!(error.kind(), ErrorKind::Unreachable, "{error}");
    assert!(error.to_string().contains("resolve"), "{error}");
}

#[test]
fn credentials_let_in_or_are_refused_at_once_and_never_shown() {
    // Tansu lets everybody in.
    if !Kind::kafkas().contains(&Kind::Kafka) {
        return;
    }
    for (sasl, mechanism) in [("plain", SaslMechanism::Plain), ("scram", SaslMechanism::ScramSha512)] {
        let broker = Broker::start_with(Kind::Kafka, &["--sasl", sasl, "--topic", "otlp_spans"]);
        let config = KafkaConfig::new(broker.address()).sasl_mechanism(mechanism).timeout(LONG);
        let right = config.clone().username(broker.username()).password(broker.password());
        send(right).0.unwrap();
        let (error, took) = failure(config.clone().username(broker.username()).password(PASSWORD));
        assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Refused, false), "{error}");
        let words = "the brokers do not accept the user name and the password";
        assert!(error.to_string().contains(words), "{error}");
        assert!(took < Duration::from_secs(30), "{took:?}");
        // Without any, the broker just hangs up.
        let (error, _) = failure(KafkaConfig::new(broker.address()).timeout(Duration::from_secs(20)));
        assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Unreachable, true), "{error}");
    }
}
