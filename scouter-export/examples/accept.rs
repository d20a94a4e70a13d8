//! What handing a finished span on costs the program's thread, and what the queue's memory comes to.
//!
//! `cargo run --release -p scouter-export --example accept [threads]`

use std::sync::Arc;
use std::time::{Duration, Instant};

use scouter_export::{BatchConfig, Destination, Pipeline, Worker};
use scouter_span::scope::ScopeId;
use scouter_span::{FinishedSpan, Resource, Scope, SpanSink, TraceId};
use scouter_transport::{BoxFuture, Error, Payload, Receipt, Transport};

/// A receiver that needs its time and keeps nothing.
#[derive(Debug)]
struct Slow(Duration);

impl Transport for Slow {
    fn send(&self, payload: Payload) -> BoxFuture<'_, Result<Receipt, Error>> {
        Box::pin(async move {
            tokio::time::sleep(self.0).await;
            drop(payload);
            Ok(Receipt::default())
        })
    }

    fn flush(&self) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async { Ok(()) })
    }

    fn close(&self) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async { Ok(()) })
    }
}

#[expect(clippy::print_stdout, reason = "this program reports to a person")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let threads: usize = std::env::args().nth(1).map_or(Ok(1), |number| number.parse())?;
    let worker = Worker::start()?;
    for (what, burst, pause, answer) in [
        ("bursts of 500", 500, 0, 5),
        ("100 000 at 600 000 a second, answers in 5 ms", 100_000, 1667, 5),
        ("100 000 at 600 000 a second, answers in 10 ms", 100_000, 1667, 10),
        ("100 000 flat out, answers in 5 ms", 100_000, 0, 5),
    ] {
        let slow = move || Ok(Arc::new(Slow(Duration::from_millis(answer))) as Arc<dyn Transport>);
        let pipeline = Pipeline::builder(Resource::new(&[], ""))
            .batch(BatchConfig::default())
            .destination(Destination::new("slow", slow))
            .build(&worker)?;
        let scope = pipeline.register(&Arc::new(Scope::new("example", "", "", &[])));
        let best = std::thread::scope(|scope_| {
            let run = || (0..20).map(|_| round(&pipeline, scope, burst, pause)).min();
            let handles: Vec<_> = (0..threads).map(|_| scope_.spawn(run)).collect();
            handles.into_iter().filter_map(|handle| handle.join().ok().flatten()).max().unwrap_or_default()
        });
        let stats = pipeline.stats();
        let to = &stats.destinations[0];
        println!(
            "{what}: {:.1} ns a span at best; ended {}, exported {}, dropped {}, requests {}; peak memory of the process {}",
            best.as_nanos() as f64 / f64::from(burst),
            stats.ended,
            to.exported,
            to.dropped.total(),
            to.requests,
            peak().unwrap_or_default(),
        );
    }
    Ok(())
}

/// Ends `burst` spans, ten at once every `pause` ns times ten, waits for them to arrive, and tells what the calls took.
fn round(pipeline: &Pipeline, scope: ScopeId, burst: u32, pause: u64) -> Duration {
    let mut bytes = vec![0x12, 0xa9, 0x02, 0x0a, 16];
    bytes.resize(300, 1);
    let trace_id = TraceId::from_int(1).unwrap_or_else(|| unreachable!());
    let begin = Instant::now();
    let mut took = Duration::ZERO;
    for group in 1..=u64::from(burst / 10) {
        let start = Instant::now();
        for _ in 0..10 {
            pipeline.accept(FinishedSpan { bytes: &bytes, scope, trace_id });
        }
        took += start.elapsed();
        let due = begin + Duration::from_nanos(group * pause * 10);
        while Instant::now() < due {
            std::hint::spin_loop();
        }
    }
    let _ = pipeline.flush(Duration::from_secs(60));
    took
}

fn peak() -> Option<String> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    Some(
        status.lines().find(|line| line.starts_with("VmHWM"))?.split_whitespace().skip(1).collect::<Vec<_>>().join(" "),
    )
}
