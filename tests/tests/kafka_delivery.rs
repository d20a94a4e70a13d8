//! Kafka between a program and a server: what is told as delivered is stored, once, whoever dies in between.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;
#[path = "common/kafka.rs"]
mod kafka;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use common::{Reader, SERVER, connection, service, until};
use kafka::{headers, messages};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message as _;
use rdkafka::Message as _;
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
