//! What a broker has acknowledged is stored exactly once, though brokers and servers are killed meanwhile.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use common::{Reader, SERVER, connection, service, until};
use scouter::Scouter;
use scouter_span::{SpanContext, SpanId, TraceId};
use scouter_tests::broker::{Broker, Kind};
use scouter_tests::server::Server;
use tempfile::TempDir;

const THREADS: u64 = 4;
const SPANS_IN_TRACE: u64 = 20;
const TRACES: u64 = 10_000;
const SPANS: u64 = TRACES * SPANS_IN_TRACE;
const LONG: Duration = Duration::from_secs(60);
/// Far above what a busy machine takes from a thread, far below how long a broker is away.
const LONGEST_CALL: Duration = Duration::from_secs(1);

/// How many traces may be recorded by now: lets the test say when things happen without making anybody sleep.
#[derive(Default)]
struct Gate {
    open: Mutex<u64>,
    changed: Condvar,
}

impl Gate {
    fn open(&self, traces: u64) {
        *self.open.lock().unwrap() = traces;
        self.changed.notify_all();
    }

    fn pass(&self, trace: u64) {
        drop(self.changed.wait_while(self.open.lock().unwrap(), |open| *open <= trace).unwrap());
    }
}

/// What one thread recorded, and the longest that any single call kept it.
struct Recorded {
    spans: Vec<(TraceId, SpanId)>,
    longest: Duration,
}

fn record(scouter: &Scouter, gate: &Gate, next: &AtomicU64, done: &AtomicU64) -> Recorded {
    let tracer = scouter.tracer("tests");
    let mut recorded = Recorded { spans: Vec::new(), longest: Duration::ZERO };
    loop {
        let trace = next.fetch_add(1, Ordering::Relaxed);
        if trace >= TRACES {
            return recorded;
        }
        gate.pass(trace);
        let mut parent: Option<SpanContext> = None;
        for at in 0..SPANS_IN_TRACE {
            let before = Instant::now();
            let mut span = tracer.span("work").parent(parent.as_ref()).start();
            span.set_attribute("trace.number", i64::try_from(trace).unwrap());
            span.set_attribute("span.number", i64::try_from(at).unwrap());
            let context = span.context().clone();
            span.end();
            drop(span);
            recorded.longest = recorded.longest.max(before.elapsed());
            recorded.spans.push((context.trace_id, context.span_id));
            parent = parent.or(Some(context));
            done.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn exported(scouter: &Scouter) -> u64 {
    scouter.stats().unwrap().destinations[0].exported
}

fn endures(kind: Kind) {
    let started = Instant::now();
    let broker = Broker::start_with(kind, &["--topic", "otlp_spans", "--topic", "otlp_logs"]);
    let directory = TempDir::new().unwrap();
    let mut server = Server::start(SERVER, directory.path(), broker.settings("SCOUTER_SERVER_"));
    let mut settings = service("endurance", connection(&broker));
    settings.batch.max_queue_size = 2 * usize::try_from(SPANS).unwrap();
    settings.batch.max_queue_bytes = 512 << 20;
    settings.batch.scheduled_delay = Duration::from_millis(100);
    let scouter = Arc::new(settings.start().unwrap());

    let (gate, next, done) = (Arc::<Gate>::default(), Arc::<AtomicU64>::default(), Arc::<AtomicU64>::default());
    let thread = |_| {
        let (scouter, gate, next, done) = (scouter.clone(), gate.clone(), next.clone(), done.clone());
        std::thread::Builder::new().spawn(move || record(&scouter, &gate, &next, &done)).unwrap()
    };
    let threads: Vec<JoinHandle<Recorded>> = (0..THREADS).map(thread).collect();
    let share = |percent: u64| SPANS * percent / 100;
    let open = |percent| gate.open(TRACES * percent / 100);
    let exports = |percent| until("exporting", LONG, || (exported(&scouter) >= share(percent)).then_some(()));
    // Nothing holds the recording threads up but the gate, whoever is dead.
    let records = |percent| {
        until("recording", LONG, || (done.load(Ordering::Relaxed) >= share(percent)).then_some(()));
    };

    open(20);
    exports(5);
    broker.kill();
    open(40);
    records(40);
    broker.restart();
    exports(25);
    server.kill();
    open(60);
    records(60);
    exports(45);
    server.restart();
    open(80);
    exports(65);
    broker.kill();
    open(100);
    records(100);
    broker.restart();
    scouter.flush(LONG).unwrap();
    let sent = started.elapsed();

    let recorded: Vec<Recorded> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
    let stats = scouter.stats().unwrap();
    let destination = &stats.destinations[0];
    assert_eq!((stats.started, stats.ended, stats.live), (SPANS, SPANS, 0));
    assert_eq!(
        stats.started,
        destination.exported + destination.dropped.total() + destination.queued,
        "{destination:?}"
    );
    assert_eq!(destination.dropped.total(), 0, "{destination:?}");

    let reader = Reader::new(&server);
    let counts = until("everything is stored", LONG, || {
        let counts = reader.counts();
        let sum: u64 = counts.iter().map(|(_, spans)| spans).sum();
        assert!(sum <= SPANS, "{sum} spans are stored of {SPANS}");
        (sum == SPANS).then_some(counts)
    });
    let traces: Vec<TraceId> = counts.into_iter().map(|(trace, _)| trace).collect();
    let mut stored = HashSet::new();
    for some in traces.chunks(250) {
        for span in reader.spans(some) {
            assert!(stored.insert((span.trace_id, span.span_id)), "stored twice: {span:?}");
        }
    }
    let wanted: HashSet<(TraceId, SpanId)> = recorded.iter().flat_map(|part| part.spans.iter().copied()).collect();
    assert_eq!(stored.len(), wanted.len());
    assert!(stored == wanted, "other spans are stored than were recorded");

    let [received, kept, again] =
        ["received", "stored", "duplicate"].map(|what| server.metric(&format!("scouter_server_spans_{what}_total")));
    assert_eq!(received, kept + again, "what the server received is stored or was there already");
    assert_eq!(server.metric("scouter_server_dead_letters_total"), 0);
    let longest = recorded.iter().map(|part| part.longest).max().unwrap();
    assert!(longest < LONGEST_CALL, "a call of a recording thread took {longest:?}");
    println!(
        "{kind:?}: {SPANS} spans, sent after {sent:.1?}, checked after {:.1?}; longest call {longest:.1?}, retries {}, \
         duplicates after the server's death {again}",
        started.elapsed(),
        destination.retries,
    );
}

#[test]
fn what_rabbitmq_acknowledged_is_stored_exactly_once() {
    endures(Kind::RabbitMq);
}

#[test]
fn what_apache_kafka_acknowledged_is_stored_exactly_once() {
    for kind in Kind::kafkas().into_iter().filter(|kind| *kind == Kind::Kafka) {
        endures(kind);
    }
}
