//! RabbitMQ between a program and a server: what is told as delivered is stored, once, whoever dies in between.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use common::{Reader, SERVER, connection, service, until};
use lapin::message::BasicGetMessage;
use lapin::options::{
    BasicAckOptions, BasicGetOptions, BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Confirmation, Connection, ConnectionProperties};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use prost::Message as _;
use scouter::Scouter;
use scouter_span::TraceId;
use scouter_tests::broker::{Broker, Kind};
use scouter_tests::server::Server;
use scouter_transport::rabbitmq::{RabbitMq, RabbitMqConfig};
use scouter_transport::{ErrorKind, Payload, Signal, TlsConfig, Transport as _};
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

const LONG: Duration = Duration::from_secs(60);
const QUEUE: &str = "otlp_spans";
const DEAD: &str = "otlp_spans.dead-letter";

fn server(broker: &Broker, directory: &TempDir) -> Server {
    Server::start(SERVER, directory.path(), broker.settings("SCOUTER_SERVER_"))
}

fn config(broker: &Broker) -> RabbitMqConfig {
    RabbitMqConfig::new(broker.host()).port(broker.port()).username(broker.username()).password(broker.password())
}

/// Traces of five spans each.
fn work(scouter: &Scouter, traces: usize) -> Vec<TraceId> {
    let tracer = scouter.tracer("tests");
    let one = |_| {
        let mut root = tracer.span("root").start();
        for name in ["a", "b", "c", "d"] {
            tracer.span(name).parent(Some(root.context())).start().end();
        }
        let id = root.context().trace_id;
        root.end();
        id
    };
    (0..traces).map(one).collect()
}

/// All of these traces are there, with five spans each, and nothing else.
fn assert_stored(server: &Server, traces: &[TraceId]) {
    let counts = Reader::new(server).counts();
    assert!(counts.iter().all(|(_, spans)| *spans == 5), "{counts:?}");
    let stored: BTreeSet<_> = counts.into_keys().collect();
    assert_eq!(stored, traces.iter().copied().collect(), "which traces are stored");
}

/// A client of another make.
struct Rabbit {
    runtime: Runtime,
    channel: Channel,
    _connection: Connection,
}

impl Rabbit {
    fn new(broker: &Broker) -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let uri = format!("amqp://{}:{}@{}/%2f", broker.username(), broker.password(), broker.address());
        let connection = runtime.block_on(Connection::connect(&uri, ConnectionProperties::default())).unwrap();
        let channel = runtime.block_on(connection.create_channel()).unwrap();
        runtime.block_on(channel.confirm_select(ConfirmSelectOptions::default())).unwrap();
        Self { runtime, channel, _connection: connection }
    }

    fn declare(&self, queue: &str, options: QueueDeclareOptions, arguments: FieldTable) -> u32 {
        let declaring = self.channel.queue_declare(queue.into(), options, arguments);
        self.runtime.block_on(declaring).unwrap().message_count()
    }

    /// How many messages wait in a queue.
    fn waiting(&self, queue: &str) -> u32 {
        self.declare(queue, QueueDeclareOptions { passive: true, ..Default::default() }, FieldTable::default())
    }

    fn publish(&self, body: &[u8], properties: BasicProperties) {
        let options = BasicPublishOptions { mandatory: true, ..Default::default() };
        let sent = self.runtime.block_on(async {
            self.channel.basic_publish("".into(), QUEUE.into(), options, body, properties).await?.await
        });
        assert_eq!(sent.unwrap(), Confirmation::Ack(None));
    }

    fn get(&self, queue: &str) -> BasicGetMessage {
        until(&format!("a message of {queue}"), LONG, || {
            let getting = self.channel.basic_get(queue.into(), BasicGetOptions::default());
            let message = self.runtime.block_on(getting).unwrap()?;
            self.runtime.block_on(message.ack(BasicAckOptions::default())).unwrap();
            Some(message)
        })
    }
}

fn durable() -> QueueDeclareOptions {
    QueueDeclareOptions { durable: true, ..Default::default() }
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
    let both = |scouter: &Scouter, traces: &mut Vec<TraceId>| {
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
    let text = |message: &BasicGetMessage, name: &str| {
        let headers = message.properties.headers().clone().unwrap_or_default();
        match headers.inner().get(name) {
            Some(AMQPValue::LongString(text)) => String::from_utf8_lossy(text.as_bytes()).into_owned(),
            _ => String::new(),
        }
    };
    let malformed = letters.iter().find(|letter| letter.data == b"\xff\xffno OTLP").unwrap();
    let reason = text(malformed, "scouter.reason");
    assert!(reason.starts_with("malformed: the body is not an ExportTraceServiceRequest"), "{reason}");
    assert_eq!((text(malformed, "scouter.source"), text(malformed, "own")), (QUEUE.to_owned(), "kept".to_owned()));
    let foreign = letters.iter().find(|letter| letter.data == b"text").unwrap();
    assert!(text(foreign, "scouter.reason").starts_with("unsupported: "), "{foreign:?}");

    until("the queue is empty", LONG, || (rabbit.waiting(QUEUE) == 0).then_some(()));
    until("all is stored", LONG, || (Reader::new(&server).counts().len() == traces.len()).then_some(()));
    assert_stored(&server, &traces);
    assert_eq!(server.metric("scouter_server_dead_letters_total"), 2);
    scouter.shutdown(LONG).unwrap();
}

impl Rabbit {
    /// A message of a queue that somebody else will make.
    fn get_soon(&self, queue: &str) -> BasicGetMessage {
        // To look at one that is not there closes the channel; to make it does not.
        self.declare(queue, durable(), FieldTable::default());
        self.get(queue)
    }
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
