//! What a broker has acknowledged is stored exactly once, though brokers and servers are killed meanwhile.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use common::{Reader, SERVER, connection, service, until};
use scouter::Scouter;
use scouter::export::Stats;
use scouter::queue::{Content, Entity, Metric, MetricSpec, Metrics, Outcome, Profile, ScouterQueue};
use scouter_span::{SpanContext, SpanId, TraceId};
use scouter_tests::broker::{Broker, Kind};
use scouter_tests::server::Server;
use tempfile::TempDir;

const THREADS: u64 = 4;
const SPANS_IN_TRACE: u64 = 20;
const TRACES: u64 = 10_000;
const SPANS: u64 = TRACES * SPANS_IN_TRACE;
/// One beside each of the first spans of a trace.
const RECORDS_IN_TRACE: u64 = 2;
const RECORDS: u64 = TRACES * RECORDS_IN_TRACE;
/// The server's count of spans that it has stored in this life.
const STORED: &str = "scouter_server_spans_stored_total";
/// What to wait for at most, on a busy machine.
const LONG: Duration = Duration::from_secs(120);
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
    /// By their numbers, with the span beside which each was inserted.
    records: Vec<(u64, TraceId, SpanId)>,
    longest: Duration,
}

/// A program that traces and inserts records.
struct Program {
    scouter: Scouter,
    queue: ScouterQueue,
    gate: Gate,
    next: AtomicU64,
    done: AtomicU64,
}

fn record(program: &Program) -> Recorded {
    let Program { scouter, queue, gate, next, done } = program;
    let tracer = scouter.tracer("tests");
    let mut recorded = Recorded { spans: Vec::new(), records: Vec::new(), longest: Duration::ZERO };
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
            if at < RECORDS_IN_TRACE {
                let number = trace * RECORDS_IN_TRACE + at;
                let metrics = Metrics(vec![Metric::new("number", number as f64)]).into();
                assert_eq!(queue.insert("numbers", &metrics, Some(&context)), Ok(Outcome::Accepted));
                recorded.records.push((number, context.trace_id, context.span_id));
            }
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

/// Gives what it saw, in one line.
fn endures(kind: Kind) -> String {
    let started = Instant::now();
    let broker = Broker::start_with(kind, &["--topic", "otlp_spans", "--topic", "otlp_logs"]);
    let directory = TempDir::new().unwrap();
    let mut server = Server::start(SERVER, directory.path(), broker.settings("SCOUTER_SERVER_"));
    let mut settings = service("endurance", connection(&broker));
    settings.batch.max_queue_size = 2 * usize::try_from(SPANS).unwrap();
    settings.batch.max_queue_bytes = 512 << 20;
    settings.batch.scheduled_delay = Duration::from_millis(100);
    let profile = Profile::new(Entity::new("tests", "numbers", "1"), Content::Custom(vec![MetricSpec::new("number")]));
    let queue = ScouterQueue::from_profiles(&settings, [("numbers".to_owned(), profile.unwrap())]).unwrap();
    let scouter = settings.start().unwrap();
    let program = Program { scouter, queue, gate: Gate::default(), next: AtomicU64::new(0), done: AtomicU64::new(0) };
    let program = Arc::new(program);
    let Program { scouter, queue, gate, done, .. } = &*program;

    let thread = |_| {
        let program = Arc::clone(&program);
        std::thread::Builder::new().spawn(move || record(&program)).unwrap()
    };
    let threads: Vec<JoinHandle<Recorded>> = (0..THREADS).map(thread).collect();
    let share = |percent: u64| SPANS * percent / 100;
    let open = |percent| gate.open(TRACES * percent / 100);
    let exports = |percent| until("exporting", LONG, || (exported(scouter) >= share(percent)).then_some(()));
    // Nothing holds the recording threads up but the gate, whoever is dead.
    let records = |percent| {
        until("recording", LONG, || (done.load(Ordering::Relaxed) >= share(percent)).then_some(()));
    };

    // It dies in mid-stream: some was acknowledged before, and there is more to send than could be meanwhile. While it is away
    // everybody goes on recording.
    let broker_dies = |before, recorded| {
        exports(before);
        open(recorded);
        broker.kill();
        records(recorded);
        let acknowledged = exported(scouter);
        assert!((share(before)..share(recorded)).contains(&acknowledged), "{acknowledged} of {recorded} %");
        broker.restart();
    };
    open(20);
    broker_dies(5, 40);
    exports(25);
    until("storing", LONG, || (server.metric(STORED) > 0).then_some(()));
    open(60);
    let first_life = server.metric(STORED);
    server.kill();
    assert!(first_life < share(60), "the server was killed when it had nothing to do");
    records(60);
    exports(45);
    server.restart();
    open(80);
    broker_dies(65, 100);
    scouter.flush(LONG).unwrap();
    queue.flush(LONG).unwrap();
    let sent = started.elapsed();

    let recorded: Vec<Recorded> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
    let stats = scouter.stats().unwrap();
    balance(&stats, SPANS);
    balance(&queue.stats().unwrap().export, RECORDS);
    let stored = stored_once(&Reader::new(&server), &recorded);
    let kept = started.elapsed() - sent;
    let again = ["spans", "records"].map(|what| {
        let [received, kept, again, rejected] = ["received", "stored", "duplicate", "rejected"]
            .map(|fate| server.metric(&format!("scouter_server_{what}_{fate}_total")));
        assert_eq!(received, kept + again, "what the server received is stored or was there already");
        assert_eq!(rejected, 0);
        again
    });
    // What was stored between the look at the numbers and the kill is in nobody's numbers.
    let second_life = server.metric(STORED);
    assert!(first_life + second_life <= SPANS, "{first_life} and {second_life} spans are more than there are");
    assert!(second_life >= SPANS - share(60), "{second_life} spans are less than there were after the kill");
    assert_eq!(server.metric("scouter_server_dead_letters_total"), 0);
    let longest = recorded.iter().map(|part| part.longest).max().unwrap();
    assert!(longest < LONGEST_CALL, "a call of a recording thread took {longest:?}");
    assert!(stats.destinations[0].retries > 0, "the sender has not noticed that the broker was away");
    format!(
        "{kind:?}: {stored} spans and {RECORDS} records sent in {sent:.1?}, seen in the store {kept:.1?} later; \
         longest call {longest:.1?}, retries {}, duplicates after the server's death {again:?}",
        stats.destinations[0].retries,
    )
}

/// Everything that was started is accounted for, and nothing was lost.
fn balance(stats: &Stats, made: u64) {
    let destination = &stats.destinations[0];
    assert_eq!((stats.started, stats.ended, stats.live), (made, made, 0));
    assert_eq!(stats.started, destination.exported + destination.dropped.total() + destination.queued);
    assert_eq!((destination.dropped.total(), destination.queued), (0, 0), "{destination:?}");
}

/// Waits until everything is stored, and checks that it is what was recorded, once. Gives the number of spans.
fn stored_once(reader: &Reader, recorded: &[Recorded]) -> u64 {
    let counts = until("everything is stored", LONG, || {
        let counts = reader.counts();
        let sum: u64 = counts.values().sum();
        assert!(sum <= SPANS, "{sum} spans are stored of {SPANS}");
        (sum == SPANS).then_some(counts)
    });
    let mut wanted: HashMap<TraceId, HashSet<SpanId>> = HashMap::new();
    for (trace, span) in recorded.iter().flat_map(|part| &part.spans) {
        wanted.entry(*trace).or_default().insert(*span);
    }
    assert_eq!(counts.len(), wanted.len());
    for trace in wanted.keys() {
        assert_eq!(counts.get(trace), Some(&SPANS_IN_TRACE), "spans of {trace}");
    }
    let traces: Vec<TraceId> = wanted.keys().copied().collect();
    for traces in traces.chunks(500) {
        let spans = reader.spans(traces);
        assert_eq!(spans.len() as u64, traces.len() as u64 * SPANS_IN_TRACE);
        for span in spans {
            assert!(wanted.get_mut(&span.trace_id).unwrap().remove(&span.span_id), "another, or twice: {span:?}");
        }
    }
    assert!(wanted.values().all(HashSet::is_empty));
    let mut records: HashMap<u64, (TraceId, SpanId)> = HashMap::new();
    for part in recorded {
        records.extend(part.records.iter().map(|(number, trace, span)| (*number, (*trace, *span))));
    }
    let found =
        until("all records are stored", LONG, || Some(reader.records()).filter(|found| found.len() as u64 >= RECORDS));
    assert_eq!(found.len() as u64, RECORDS);
    for record in found {
        let number = record.body["number"].as_f64().unwrap() as u64;
        let place = record.trace_id.zip(record.span_id);
        assert_eq!(records.remove(&number), place, "another, or twice: {record:?}");
    }
    counts.values().sum()
}

#[test]
fn what_rabbitmq_acknowledged_is_stored_exactly_once() {
    println!("{}", endures(Kind::RabbitMq));
}

#[test]
fn what_apache_kafka_acknowledged_is_stored_exactly_once() {
    for kind in Kind::kafkas().into_iter().filter(|kind| *kind == Kind::Kafka) {
        println!("{}", endures(kind));
    }
}
