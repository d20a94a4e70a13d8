//! The child of a fork and the spans that were open before. A file of its own, because the fork is the whole process's.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use scouter_span::{Parent, Span, SpanProcessor, fork};
use support::Fixture;

/// Counts the hooks that are called.
#[derive(Debug, Default)]
struct Counting([AtomicUsize; 3]);

impl SpanProcessor for Counting {
    fn on_start(&self, _span: &mut Span, _parent: Parent<'_>) {
        self.0[0].fetch_add(1, Ordering::Relaxed);
    }

    fn on_ending(&self, _span: &mut Span) {
        self.0[1].fetch_add(1, Ordering::Relaxed);
    }

    fn on_end(&self, _span: &Span) {
        self.0[2].fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn copies_in_a_child_go_nowhere() {
    let processor = Arc::new(Counting::default());
    let (plain, watched) = (Fixture::new(), Fixture::with(|builder| builder.processor(processor.clone())));
    for fixture in [&plain, &watched] {
        let mut copy = fixture.tracer.span("copy").start();
        fork::note_child();
        copy.end();
        assert!(!copy.is_recording());
        fixture.tracer.span("own").start().end();
        let names: Vec<_> = fixture.spans().into_iter().map(|span| span.name).collect();
        assert_eq!(names, ["own"]);
        let counters = fixture.provider.counters();
        assert_eq!((counters.abandoned.get(), counters.ended.get()), (1, 1));
    }
    let calls = processor.0.each_ref().map(|count| count.load(Ordering::Relaxed));
    assert_eq!(calls, [2, 1, 1]);
}
