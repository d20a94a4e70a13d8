//! Several servers in one consumer group: who comes, goes and dies costs nothing.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;
#[path = "common/kafka.rs"]
mod kafka;

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::{Reader, SERVER, connection, service, until};
use kafka::no_lag;
use scouter::Settings;
use scouter::queue::{Content, Entity, Metric, MetricSpec, Metrics, Outcome, Profile, ScouterQueue};
use scouter_span::TraceId;
use scouter_tests::broker::{Broker, Kind};
use scouter_tests::server::Server;
use tempfile::TempDir;

const LONG: Duration = Duration::from_secs(120);
const GROUP: &str = "scouter";
const TOPICS: [&str; 2] = ["otlp_spans", "otlp_logs"];
const PARTITIONS: u32 = 6;
const SPANS_IN_TRACE: usize = 5;
const STORED: &str = "scouter_server_spans_stored_total";

fn member(broker: &Broker, directory: &TempDir) -> Server {
    Server::start(SERVER, directory.path(), broker.settings("SCOUTER_SERVER_"))
}

fn settings(broker: &Broker) -> Settings {
    let mut settings = service("shop", connection(broker));
    settings.batch.max_queue_size = 1_000_000;
    settings.batch.max_queue_bytes = 256 << 20;
    settings.batch.scheduled_delay = Duration::from_millis(50);
    settings
}

/// A program that goes on sending until it is told to stop: a trace, and a record beside it, again and again.
struct Program {
    stop: Arc<AtomicBool>,
    traces: Arc<Mutex<Vec<TraceId>>>,
    thread: std::thread::JoinHandle<()>,
}

impl Program {
    fn start(broker: &Broker) -> Self {
        let metrics = Content::Custom(vec![MetricSpec::new("number")]);
        let profile = Profile::new(Entity::new("tests", "numbers", "1"), metrics).unwrap();
        let queue = ScouterQueue::from_profiles(&settings(broker), [("numbers".to_owned(), profile)]).unwrap();
        let scouter = settings(broker).start().unwrap();
        let (stop, traces) = (Arc::<AtomicBool>::default(), Arc::<Mutex<Vec<TraceId>>>::default());
        let (stopping, sent) = (Arc::clone(&stop), Arc::clone(&traces));
        let work = move || {
            let tracer = scouter.tracer("tests");
            while !stopping.load(Ordering::Relaxed) {
                for _ in 0..10 {
                    let mut root = tracer.span("root").start();
                    for _ in 1..SPANS_IN_TRACE {
                        tracer.span("part").parent(Some(root.context())).start().end();
                    }
                    let context = root.context().clone();
                    let record = Metrics(vec![Metric::new("number", 1.0)]).into();
                    assert_eq!(queue.insert("numbers", &record, Some(&context)), Ok(Outcome::Accepted));
                    root.end();
                    sent.lock().unwrap().push(context.trace_id);
                }
                // The pace of a program, not a wait.
                std::thread::sleep(Duration::from_millis(20));
            }
            scouter.flush(LONG).unwrap();
            queue.flush(LONG).unwrap();
            for stats in [scouter.stats().unwrap(), queue.stats().unwrap().export] {
                let destination = &stats.destinations[0];
                assert_eq!((stats.started, destination.queued), (destination.exported, 0), "{destination:?}");
            }
        };
        Self { stop, traces, thread: std::thread::Builder::new().spawn(work).unwrap() }
    }

    /// Waits until so many more traces were made.
    fn goes_on(&self, traces: usize) {
        let made = || self.traces.lock().unwrap().len();
        let before = made();
        until("the program goes on", LONG, || (made() >= before + traces).then_some(()));
    }

    /// Everything is delivered. Gives the traces.
    fn end(self) -> Vec<TraceId> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap();
        Arc::into_inner(self.traces).unwrap().into_inner().unwrap()
    }
}

/// Waits until every one of them stores something more.
fn all_work(servers: &[Server]) {
    let before: Vec<_> = servers.iter().map(|server| server.metric(STORED)).collect();
    until("every server gets its part", LONG, || {
        servers.iter().zip(&before).all(|(server, before)| server.metric(STORED) > *before).then_some(())
    });
}

/// Every span and record is in one of the stores, none is twice in any. Gives how many are in more than one.
fn complete(servers: &[Server], traces: &[TraceId]) -> usize {
    let mut spans = HashMap::<TraceId, u64>::new();
    let (mut records, mut records_kept) = (HashSet::new(), 0);
    let mut spans_kept = 0;
    for server in servers {
        let reader = Reader::new(server);
        let counts = reader.counts();
        spans_kept += counts.values().sum::<u64>();
        for (trace, count) in counts {
            assert!(count <= SPANS_IN_TRACE as u64, "{count} spans of a trace in one store");
            let most = spans.entry(trace).or_default();
            *most = count.max(*most);
        }
        let found = reader.records();
        records_kept += found.len();
        // There is one for each trace.
        let own: HashSet<_> = found.iter().map(|record| record.trace_id.unwrap()).collect();
        assert_eq!(own.len(), found.len(), "a record is twice in one store");
        records.extend(own);
    }
    // A trace may be in parts: its spans came in two batches, and a partition changed hands in between.
    let parted: Vec<_> =
        traces.iter().copied().filter(|trace| spans.get(trace) != Some(&(SPANS_IN_TRACE as u64))).collect();
    let mut parts = HashSet::new();
    for traces in parted.chunks(500) {
        let all = servers.iter().flat_map(|server| Reader::new(server).spans(traces));
        parts.extend(all.map(|span| (span.trace_id, span.span_id)));
    }
    assert_eq!(parts.len(), parted.len() * SPANS_IN_TRACE, "spans of the {} traces that are in parts", parted.len());
    assert_eq!((spans.len(), records.len()), (traces.len(), traces.len()));
    spans_kept as usize - traces.len() * SPANS_IN_TRACE + records_kept - records.len()
}

/// Nothing is left in the topics that the group has not committed, so everything is stored.
fn caught_up(broker: &Broker, servers: &[Server], traces: usize) {
    for topic in TOPICS {
        assert!(no_lag(broker, GROUP, topic, PARTITIONS.try_into().unwrap()) > 0);
    }
    if broker.kind() == Kind::Tansu {
        // It tells the ends of its topics late.
        let stored = |server: &Server| Reader::new(server).counts().values().sum::<u64>();
        until("all are stored", LONG, || {
            (servers.iter().map(stored).sum::<u64>() as usize >= traces * SPANS_IN_TRACE).then_some(())
        });
        until("all records are stored", LONG, || {
            let records: usize = servers.iter().map(|server| Reader::new(server).records().len()).sum();
            (records >= traces).then_some(())
        });
    }
}

fn broker(kind: Kind) -> Broker {
    let broker = Broker::start(kind);
    TOPICS.iter().for_each(|topic| broker.topic(topic, PARTITIONS));
    broker
}

#[test]
fn servers_that_come_and_go_in_order_hand_over_without_a_repeat() {
    for kind in Kind::kafkas() {
        let broker = broker(kind);
        let directories = [(); 3].map(|()| TempDir::new().unwrap());
        let program = Program::start(&broker);
        let mut servers = vec![member(&broker, &directories[0])];
        all_work(&servers);
        for directory in &directories[1..] {
            servers.push(member(&broker, directory));
            all_work(&servers);
        }
        // Two of three leave, one of them while the other is about to take over.
        for leaving in [0, 1] {
            servers[leaving].stop();
            program.goes_on(200);
            all_work(&servers[leaving + 1..]);
        }
        servers[0].restart();
        until("it works again", LONG, || (servers[0].metric(STORED) > 0).then_some(()));
        servers[1].restart();
        let traces = program.end();
        caught_up(&broker, &servers, traces.len());
        let twice = complete(&servers, &traces);
        println!("{kind:?}: {} traces, {twice} spans and records in two stores", traces.len());
        // Whoever leaves has committed what it stored, so nothing comes to another one a second time.
        assert_eq!(twice, 0, "{kind:?}");
    }
}

#[test]
fn a_server_and_a_broker_that_die_in_mid_stream_cost_nothing() {
    for kind in Kind::kafkas().into_iter().filter(|kind| *kind == Kind::Kafka) {
        let broker = broker(kind);
        let directories = [(); 3].map(|()| TempDir::new().unwrap());
        let program = Program::start(&broker);
        let mut servers: Vec<_> = directories.iter().map(|directory| member(&broker, directory)).collect();
        all_work(&servers);
        servers[1].kill();
        program.goes_on(300);
        broker.kill();
        program.goes_on(300);
        broker.restart();
        let dead = servers.remove(1);
        all_work(&servers);
        servers.push(dead);
        servers[2].restart();
        // Another dies with work under way, and stays dead while everything else comes to an end.
        all_work(&servers);
        servers[0].kill();
        let traces = program.end();
        caught_up(&broker, &servers[1..], 0);
        servers[0].restart();
        let twice = complete(&servers, &traces);
        println!("{kind:?}: {} traces, {twice} spans and records in two stores", traces.len());
        let letters: u64 = servers.iter().map(|server| server.metric("scouter_server_dead_letters_total")).sum();
        assert_eq!(letters, 0);
    }
}
