//! Kafka between a program and a server: what is told as delivered is stored, once, whoever dies in between.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use common::{Reader, SERVER, connection, service, until};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message as _;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::{Header, Headers as _, OwnedHeaders, OwnedMessage};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rdkafka::{ClientConfig, Message as _, Offset, TopicPartitionList};
use scouter::Scouter;
use scouter_span::TraceId;
use scouter_tests::broker::{Broker, Kind};
use scouter_tests::server::Server;
use tempfile::TempDir;

const LONG: Duration = Duration::from_secs(60);
const TOPIC: &str = "otlp_spans";

fn broker(kind: Kind, partitions: u32) -> Broker {
    let broker = Broker::start(kind);
    for topic in [TOPIC, "otlp_logs", "otlp_spans.dead-letter"] {
        broker.topic(topic, partitions);
    }
    broker
}

fn server(broker: &Broker, directory: &TempDir) -> Server {
    member(broker, directory, "scouter")
}

fn member(broker: &Broker, directory: &TempDir, group: &str) -> Server {
    let mut settings = broker.settings("SCOUTER_SERVER_");
    settings.push(("SCOUTER_SERVER_KAFKA_GROUP".to_owned(), group.to_owned()));
    // A broker waits for members that are gone as long as this.
    settings.push(("SCOUTER_SERVER_KAFKA_PROPERTY".to_owned(), "session.timeout.ms=6000".to_owned()));
    Server::start(SERVER, directory.path(), settings)
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

fn client(broker: &Broker, group: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", broker.address()).set("group.id", group).set("auto.offset.reset", "earliest");
    config
}

/// So many messages of a topic with one partition, from its beginning.
fn messages(broker: &Broker, topic: &str, partitions: i32, count: usize) -> Vec<OwnedMessage> {
    let consumer: BaseConsumer = client(broker, "reader").create().unwrap();
    let mut list = TopicPartitionList::new();
    for partition in 0..partitions {
        list.add_partition_offset(topic, partition, Offset::Beginning).unwrap();
    }
    consumer.assign(&list).unwrap();
    let mut found = Vec::new();
    let deadline = Instant::now() + LONG;
    while found.len() < count {
        assert!(Instant::now() < deadline, "{} of {count} messages of {topic}", found.len());
        if let Some(Ok(message)) = consumer.poll(Duration::from_millis(100)) {
            found.push(message.detach());
        }
    }
    found
}

fn produce(broker: &Broker, values: &[(&str, &[u8])]) {
    let producer: BaseProducer = client(broker, "writer").create().unwrap();
    for (key, value) in values {
        let headers = OwnedHeaders::new().insert(Header { key: "own", value: Some("kept") });
        let record = BaseRecord::to(TOPIC).key(*key).payload(*value).headers(headers);
        producer.send(record).map_err(|(error, _)| error).unwrap();
    }
    producer.flush(LONG).unwrap();
}

fn headers(message: &OwnedMessage) -> BTreeMap<String, String> {
    let headers = message.headers().into_iter().flat_map(|headers| headers.iter());
    let text = |value: Option<&[u8]>| String::from_utf8(value.unwrap_or_default().to_vec()).unwrap();
    headers.map(|header| (header.key.to_owned(), text(header.value))).collect()
}

#[test]
fn every_message_is_one_trace_as_any_otlp_reader_reads_it() {
    for kind in Kind::kafkas() {
        let broker = broker(kind, 3);
        let scouter = service("shop", connection(&broker)).start().unwrap();
        let sent: BTreeSet<_> = work(&scouter, 20).into_iter().collect();
        scouter.flush(LONG).unwrap();
        let mut found = BTreeSet::new();
        for message in messages(&broker, TOPIC, 3, 20) {
            let request = ExportTraceServiceRequest::decode(message.payload().unwrap()).unwrap();
            let [resource] = &request.resource_spans[..] else { panic!("{request:?}") };
            let attributes = &resource.resource.as_ref().unwrap().attributes;
            assert!(attributes.iter().any(|attribute| attribute.key == "service.name"));
            let [scope] = &resource.scope_spans[..] else { panic!("{request:?}") };
            assert_eq!((&*scope.scope.as_ref().unwrap().name, scope.spans.len()), ("tests", 5));
            let key = std::str::from_utf8(message.key().unwrap()).unwrap();
            for span in &scope.spans {
                let id: String = span.trace_id.iter().map(|byte| format!("{byte:02x}")).collect();
                assert_eq!(id, key);
            }
            assert_eq!(headers(&message)["content-type"], "application/x-protobuf");
            found.insert(key.parse::<TraceId>().unwrap());
        }
        assert_eq!(found, sent, "{kind:?}");
    }
}

#[test]
fn what_was_stored_and_not_committed_is_stored_once() {
    for kind in Kind::kafkas() {
        let (broker, directory) = (broker(kind, 1), TempDir::new().unwrap());
        let scouter = service("shop", connection(&broker)).start().unwrap();
        let mut traces = work(&scouter, 10);
        scouter.flush(LONG).unwrap();
        let mut server = server(&broker, &directory);
        until("all are stored", LONG, || (server.metric("scouter_server_spans_stored_total") == 50).then_some(()));
        // Offsets are committed twice a second, so some of it comes again, or nothing.
        server.kill();
        server.restart();
        traces.extend(work(&scouter, 10));
        scouter.flush(LONG).unwrap();
        until("the new ones are stored", LONG, || {
            (server.metric("scouter_server_spans_stored_total") == 50).then_some(())
        });
        server.kill();
        // As if nothing had been committed: another group begins from the beginning.
        let server = member(&broker, &directory, "another");
        until("all come again", LONG, || (server.metric("scouter_server_spans_duplicate_total") == 100).then_some(()));
        assert_eq!(server.metric("scouter_server_spans_stored_total"), 0, "{kind:?}");
        let reader = Reader::new(&server);
        for trace in traces {
            reader.trace(trace, 5, LONG);
        }
    }
}

#[test]
fn servers_share_a_group_and_one_takes_over_from_another() {
    for kind in Kind::kafkas() {
        let broker = broker(kind, 4);
        let directories = [TempDir::new().unwrap(), TempDir::new().unwrap()];
        let mut servers = directories.each_ref().map(|directory| server(&broker, directory));
        let scouter = service("shop", connection(&broker)).start().unwrap();
        let stored = |server: &Server| server.metric("scouter_server_spans_stored_total");
        let mut traces = Vec::new();
        until("both servers get their part", LONG * 2, || {
            traces.extend(work(&scouter, 20));
            scouter.flush(LONG).unwrap();
            servers.iter().all(|server| stored(server) > 0).then_some(())
        });
        servers[0].kill();
        traces.extend(work(&scouter, 200));
        scouter.flush(LONG).unwrap();
        // What the dead one had stored is still on its disk; everything else comes to the other.
        servers[0].restart();
        let mut readers: Vec<_> = servers.iter().map(Reader::new).collect();
        until(&format!("all traces are in one of the stores of {kind:?}"), LONG * 2, || {
            let mut spans = BTreeMap::<TraceId, u64>::new();
            for (trace, count) in readers.iter_mut().flat_map(|reader| reader.counts()) {
                assert!(count <= 5, "{count} spans of a trace in one store");
                let most = spans.entry(trace).or_default();
                *most = count.max(*most);
            }
            traces.iter().all(|trace| spans.get(trace) == Some(&5)).then_some(())
        });
    }
}

#[test]
fn a_poisoned_message_goes_to_the_dead_letters_and_the_partition_goes_on() {
    for kind in Kind::kafkas() {
        let (broker, directory) = (broker(kind, 1), TempDir::new().unwrap());
        let scouter = service("shop", connection(&broker)).start().unwrap();
        let mut traces = work(&scouter, 3);
        scouter.flush(LONG).unwrap();
        let json = br#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"5b8efff798038103d269b633813fc60c","spanId":"eee19b7ec3c1b174","name":"json"}]}]}]}"#;
        produce(&broker, &[("poison", b"not OTLP at all"), ("", b"{\"resourceSpans\":7}"), ("", json)]);
        traces.extend(work(&scouter, 3));
        scouter.flush(LONG).unwrap();
        let server = server(&broker, &directory);
        let reader = Reader::new(&server);
        for trace in traces {
            reader.trace(trace, 5, LONG);
        }
        reader.trace("5b8efff798038103d269b633813fc60c".parse().unwrap(), 1, LONG);
        let letters = messages(&broker, "otlp_spans.dead-letter", 1, 2);
        let mut letters: Vec<_> = letters.iter().map(|letter| (letter.payload().unwrap(), letter)).collect();
        letters.sort_by_key(|(value, _)| value.len());
        let (value, poison) = letters[0];
        assert_eq!((value, poison.key().unwrap()), (&b"not OTLP at all"[..], &b"poison"[..]));
        let said = headers(poison);
        assert!(said["scouter.reason"].starts_with("malformed: "), "{said:?}");
        assert_eq!((&*said["scouter.source"], &*said["own"]), ("otlp_spans/0/3", "kept"));
        assert_eq!(server.metric("scouter_server_dead_letters_total"), 2);
        assert_eq!(server.metric("scouter_server_messages_received_total"), 9);
    }
}

#[test]
fn a_broker_that_goes_away_costs_nothing() {
    for kind in Kind::kafkas() {
        let (broker, directory) = (broker(kind, 2), TempDir::new().unwrap());
        let server = server(&broker, &directory);
        let scouter = service("shop", connection(&broker)).start().unwrap();
        let mut traces = work(&scouter, 200);
        scouter.flush(LONG).unwrap();
        // Tansu forgets what it holds when it is killed.
        let lasting = Kind::lasting().contains(&kind);
        if lasting {
            broker.kill()
        } else {
            broker.pause()
        }
        let begun = Instant::now();
        traces.extend(work(&scouter, 200));
        assert!(begun.elapsed() < Duration::from_secs(5), "the program was held up");
        let flushed = scouter.flush(Duration::from_secs(2));
        assert!(flushed.is_err(), "nothing could be delivered");
        if lasting {
            broker.restart()
        } else {
            broker.resume()
        }
        traces.extend(work(&scouter, 200));
        scouter.flush(LONG).unwrap();
        let stats = scouter.stats().unwrap();
        let destination = &stats.destinations[0];
        assert_eq!((stats.started, destination.exported, destination.queued), (3000, 3000, 0), "{kind:?}");
        until("all are stored", LONG, || (server.metric("scouter_server_spans_stored_total") == 3000).then_some(()));
        let counts: BTreeMap<_, _> = Reader::new(&server).counts().into_iter().collect();
        assert!(traces.iter().all(|trace| counts.get(trace) == Some(&5)), "{kind:?}");
    }
}
