//! RabbitMQ between a program and a server: what is told as delivered is stored, once, whoever dies in between.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;
#[path = "common/rabbit.rs"]
mod rabbit;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use common::{Reader, SERVER, connection, service, until};
use lapin::BasicProperties;
use lapin::options::QueueDeclareOptions;
use lapin::types::{AMQPValue, FieldTable};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use prost::Message as _;
use rabbit::{DEAD, LONG, QUEUE, Rabbit, config, durable, header, work};
use scouter_span::TraceId;
use scouter_tests::broker::{Broker, Kind};
use scouter_tests::server::Server;
use scouter_transport::rabbitmq::{RabbitMq, RabbitMqConfig};
use scouter_transport::{ErrorKind, Payload, Signal, TlsConfig, Transport as _};
use tempfile::TempDir;
use tokio::runtime::Builder;

fn server(broker: &Broker, directory: &TempDir) -> Server {
    Server::start(SERVER, directory.path(), broker.settings("SCOUTER_SERVER_"))
}

/// All of these traces are there, with five spans each, and nothing else.
fn assert_stored(server: &Server, traces: &[TraceId]) {
    let counts = Reader::new(server).counts();
    assert!(counts.iter().all(|(_, spans)| *spans == 5), "{counts:?}");
    let stored: BTreeSet<_> = counts.into_keys().collect();
    assert_eq!(stored, traces.iter().copied().collect(), "which traces are stored");
}

#[test]
fn what_is_delivered_again_is_stored_once_though_the_server_is_killed() {
    let (broker, directory) = (Broker::start(Kind::RabbitMq), TempDir::new().unwrap());
    let mut server = server(&broker, &directory);
    let scouter = service("shop", connection(&broker)).start().unwrap();
    let mut traces = Vec::new();
    for _ in 0..3 {
        // Many messages, so that the kill finds some stored and not acknowledged, and some neither.
        for _ in 0..20 {
            traces.extend(work(&scouter, 5));
            scouter.flush(LONG).unwrap();
        }
        server.kill();
        server.restart();
    }
    let rabbit = Rabbit::new(&broker);
    until("the queue is empty", LONG, || (rabbit.waiting(QUEUE) == 0).then_some(()));
    until("all is stored", LONG, || (Reader::new(&server).counts().len() == traces.len()).then_some(()));
    assert_stored(&server, &traces);
    scouter.shutdown(LONG).unwrap();
}

#[test]
fn servers_share_a_queue_and_one_takes_over_from_another() {
    let broker = Broker::start(Kind::RabbitMq);
    let (here, there) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let (mut first, second) = (server(&broker, &here), server(&broker, &there));
    let scouter = service("shop", connection(&broker)).start().unwrap();
    let mut traces = Vec::new();
    let both = |scouter: &scouter::Scouter, traces: &mut Vec<TraceId>| {
        traces.extend(work(scouter, 5));
        scouter.flush(LONG).unwrap();
        [&first, &second].iter().all(|server| server.metric("scouter_server_spans_stored_total") > 0)
    };
    until("both take a share", LONG, || both(&scouter, &mut traces).then_some(()));
    for round in 0..20 {
        traces.extend(work(&scouter, 5));
        scouter.flush(LONG).unwrap();
        if round == 10 {
            first.kill();
        }
    }
    first.restart();
    let rabbit = Rabbit::new(&broker);
    until("the queue is empty", LONG, || (rabbit.waiting(QUEUE) == 0).then_some(()));
    let expected: BTreeSet<_> = traces.into_iter().collect();
    until("everything is in one store or the other", LONG, || {
        let counts: Vec<_> = [&first, &second].iter().flat_map(|server| Reader::new(server).counts()).collect();
        assert!(counts.iter().all(|(_, spans)| *spans == 5), "{counts:?}");
        let stored: BTreeSet<_> = counts.into_iter().map(|(id, _)| id).collect();
        (stored == expected).then_some(())
    });
    scouter.shutdown(LONG).unwrap();
}

#[test]
fn a_poison_message_is_put_aside_and_the_next_ones_pass() {
    let (broker, directory) = (Broker::start(Kind::RabbitMq), TempDir::new().unwrap());
    let scouter = service("shop", connection(&broker)).start().unwrap();
    let rabbit = Rabbit::new(&broker);
    let mut traces = work(&scouter, 3);
    scouter.flush(LONG).unwrap();
    let mut own = FieldTable::default();
    own.insert("own".into(), AMQPValue::LongString("kept".into()));
    let properties = BasicProperties::default().with_content_type("application/x-protobuf".into()).with_headers(own);
    rabbit.publish(b"\xff\xffno OTLP", properties);
    rabbit.publish(b"text", BasicProperties::default().with_content_type("text/plain".into()));
    traces.extend(work(&scouter, 3));
    scouter.flush(LONG).unwrap();

    let server = server(&broker, &directory);
    let letters = [rabbit.get_soon(DEAD), rabbit.get(DEAD)];
    let malformed = letters.iter().find(|letter| letter.data == b"\xff\xffno OTLP").unwrap();
    let reason = header(malformed, "scouter.reason");
    assert!(reason.starts_with("malformed: the body is not an ExportTraceServiceRequest"), "{reason}");
    assert_eq!((header(malformed, "scouter.source"), header(malformed, "own")), (QUEUE.to_owned(), "kept".to_owned()));
    let foreign = letters.iter().find(|letter| letter.data == b"text").unwrap();
    assert!(header(foreign, "scouter.reason").starts_with("unsupported: "), "{foreign:?}");

    until("the queue is empty", LONG, || (rabbit.waiting(QUEUE) == 0).then_some(()));
    until("all is stored", LONG, || (Reader::new(&server).counts().len() == traces.len()).then_some(()));
    assert_stored(&server, &traces);
    assert_eq!(server.metric("scouter_server_dead_letters_total"), 2);
    scouter.shutdown(LONG).unwrap();
}

#[test]
fn a_broker_that_is_killed_while_spans_come_loses_none() {
    let (broker, directory) = (Broker::start(Kind::RabbitMq), TempDir::new().unwrap());
    let server = server(&broker, &directory);
    let scouter = service("shop", connection(&broker)).start().unwrap();
    let mut traces = Vec::new();
    for _ in 0..2 {
        traces.extend(work(&scouter, 100));
        broker.kill();
        // Nothing blocks, and nothing is lost, while it is away.
        let begun = Instant::now();
        traces.extend(work(&scouter, 100));
        assert!(begun.elapsed() < Duration::from_secs(1));
        broker.restart();
        traces.extend(work(&scouter, 100));
    }
    scouter.flush(LONG).unwrap();
    until("all is stored", LONG, || (Reader::new(&server).counts().len() == traces.len()).then_some(()));
    assert_stored(&server, &traces);
    scouter.shutdown(LONG).unwrap();
}

#[test]
fn what_cannot_work_is_told() {
    let broker = Broker::start(Kind::RabbitMq);
    let rabbit = Rabbit::new(&broker);
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let send = |config: RabbitMqConfig| {
        let transport = RabbitMq::new(config).unwrap();
        let sent = runtime.block_on(transport.send(Payload::traces("spans", 1)));
        runtime.block_on(transport.close()).unwrap();
        sent.map(drop)
    };
    let told = |config: RabbitMqConfig, kind: ErrorKind, words: &str| {
        let error = send(config).unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(words), "{error}");
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains("hush-hush") && !shown.contains(broker.password()), "{shown}");
    };
    told(config(&broker).password("hush-hush"), ErrorKind::Refused, "log in as user");
    told(config(&broker).vhost("nowhere"), ErrorKind::Refused, "cannot open the virtual host `nowhere`");
    told(config(&broker).exchange("nowhere"), ErrorKind::Refused, "no exchange 'nowhere'");
    told(config(&broker).exchange("amq.direct"), ErrorKind::Unavailable, "no queue is bound");
    rabbit.declare("fleeting", QueueDeclareOptions::default(), FieldTable::default());
    told(config(&broker).queue(Signal::Traces, "fleeting"), ErrorKind::Unavailable, "can get lost");

    let mut limited = FieldTable::default();
    limited.insert("x-max-length".into(), AMQPValue::LongInt(1000));
    rabbit.declare("limited", durable(), limited);
    send(config(&broker).queue(Signal::Traces, "limited")).unwrap();
    assert_eq!(rabbit.waiting("limited"), 1);

    broker.stop();
    told(config(&broker), ErrorKind::Unreachable, "onnection refused");
}

#[test]
fn records_have_a_queue_of_their_own() {
    let (broker, directory) = (Broker::start(Kind::RabbitMq), TempDir::new().unwrap());
    let server = server(&broker, &directory);
    let record = LogRecord {
        time_unix_nano: 1_700_000_000_000_000_000,
        event_name: "scouter.record.custom".to_owned(),
        ..LogRecord::default()
    };
    let scope = ScopeLogs { log_records: vec![record; 3], ..ScopeLogs::default() };
    let resource = ResourceLogs { scope_logs: vec![scope], ..ResourceLogs::default() };
    let request = ExportLogsServiceRequest { resource_logs: vec![resource] }.encode_to_vec();
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let transport = RabbitMq::new(config(&broker)).unwrap();
    // The same request twice is the same three records.
    for _ in 0..2 {
        runtime.block_on(transport.send(Payload::logs(request.clone(), 3))).unwrap();
    }
    until("both messages have come", LONG, || {
        (server.metric("scouter_server_messages_received_total") >= 2).then_some(())
    });
    let rabbit = Rabbit::new(&broker);
    until("the queue is empty", LONG, || (rabbit.waiting("otlp_logs") == 0).then_some(()));
    until("the records are stored", LONG, || (server.metric("scouter_server_records_stored_total") == 3).then_some(()));
    runtime.block_on(transport.close()).unwrap();
}

#[test]
fn tls_is_spoken_and_checked() {
    let files = TempDir::new().unwrap();
    let authority = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let (certificate, key) = (files.path().join("certificate.pem"), files.path().join("key.pem"));
    std::fs::write(&certificate, authority.cert.pem()).unwrap();
    std::fs::write(&key, authority.signing_key.serialize_pem()).unwrap();
    let (certificate, key) = (certificate.to_str().unwrap(), key.to_str().unwrap());
    let broker = Broker::start_with(Kind::RabbitMq, &["--tls-cert", certificate, "--tls-key", key]);
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let send = |config: RabbitMqConfig| {
        let transport = RabbitMq::new(config.timeout(Duration::from_secs(5))).unwrap();
        let sent = runtime.block_on(transport.send(Payload::traces("spans", 1)));
        runtime.block_on(transport.close()).unwrap();
        sent.map(drop)
    };
    let ours = TlsConfig::new().ca(authority.cert.pem());
    send(config(&broker).port(broker.tls_port()).tls(ours.clone())).unwrap();
    let error = send(config(&broker).port(broker.tls_port()).tls(TlsConfig::new())).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Tls, "{error}");
    let error = send(config(&broker).tls(ours)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Tls, "TLS to a port without: {error}");
    let error = send(config(&broker).port(broker.tls_port())).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Dropped | ErrorKind::BadResponse), "no TLS to a port with: {error}");
    assert!(error.to_string().contains("is this the port of TLS"), "{error}");
}

#[test]
fn a_broker_short_of_memory_is_waited_for() {
    let (broker, directory) = (Broker::start(Kind::RabbitMq), TempDir::new().unwrap());
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let transport = RabbitMq::new(config(&broker).timeout(Duration::from_secs(2))).unwrap();
    let scouter = service("shop", connection(&broker)).start().unwrap();
    Rabbit::new(&broker).declare(QUEUE, durable(), FieldTable::default());
    Rabbit::new(&broker).publish(b"\xff", BasicProperties::default());
    let traces = work(&scouter, 10);
    scouter.flush(LONG).unwrap();
    broker.alarm();
    // The broker blocks a connection when it publishes, so the first message may pass.
    let refused = || runtime.block_on(transport.send(Payload::logs("", 0))).err();
    let error = until("messages are not taken", LONG, refused);
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
    assert!(error.is_retryable() && error.to_string().contains("low on memory"), "{error}");
    // Who only reads is not blocked, and a dead letter that cannot be put aside blocks nothing.
    let server = server(&broker, &directory);
    until("all is stored", LONG, || (Reader::new(&server).counts().len() == traces.len()).then_some(()));
    assert_eq!(until("messages are not taken", LONG, refused).kind(), ErrorKind::Timeout);
    broker.calm();
    until("messages are taken again", LONG, || runtime.block_on(transport.send(Payload::logs("", 0))).ok());
    until("the letter is put aside", LONG, || (server.metric("scouter_server_dead_letters_total") == 1).then_some(()));
    scouter.shutdown(LONG).unwrap();
}

#[test]
fn a_server_waits_for_a_broker_that_is_not_there_and_leaves_in_order() {
    let (broker, directory) = (Broker::start(Kind::RabbitMq), TempDir::new().unwrap());
    broker.stop();
    let server = server(&broker, &directory);
    assert_eq!(server.metric("scouter_server_messages_received_total"), 0);
    broker.restart();
    let scouter = service("shop", connection(&broker)).start().unwrap();
    let traces = work(&scouter, 10);
    scouter.flush(LONG).unwrap();
    until("all is stored", LONG, || (Reader::new(&server).counts().len() == traces.len()).then_some(()));
    assert_stored(&server, &traces);
    let messages = server.metric("scouter_server_messages_received_total");
    assert!(messages > 0 && server.metric("scouter_server_messages_redelivered_total") <= messages);
    scouter.shutdown(LONG).unwrap();
}
