//! A thread that ends spans as fast as it can, and the default settings.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod common;

use std::time::Duration;

use common::*;
use scouter_export::BatchConfig;
use scouter_span::{FinishedSpan, Scope, SpanSink, TraceId};

#[test]
fn nothing_is_lost_to_a_receiver_that_takes_five_milliseconds() {
    let receiver = Scripted::new(|_, _| Ok(Duration::from_millis(5)));
    let rig = Rig::new(BatchConfig::default(), [to("a", &receiver)]);
    let scope = rig.pipeline.register(&Scope::new("rush", "", "", &[]).into());
    let mut bytes = vec![0x12, 0xa9, 0x02, 0x0a, 16];
    bytes.resize(300, 1);
    let trace_id = TraceId::from_int(1).unwrap();
    for _ in 0..100_000 {
        rig.pipeline.accept(FinishedSpan { bytes: &bytes, scope, trace_id });
        // A span is made first: even the fastest tracer takes longer for that than this takes for handing it on.
        std::hint::black_box((0..500u64).fold(0, |sum, number| std::hint::black_box(sum ^ number)));
    }
    rig.pipeline.flush(SOON).unwrap();
    let stats = rig.pipeline.stats();
    assert_eq!((stats.destinations[0].exported, stats.destinations[0].dropped.total()), (100_000, 0));
    assert_eq!(receiver.memory.payloads().iter().map(|payload| u64::from(payload.items)).sum::<u64>(), 100_000);
}
