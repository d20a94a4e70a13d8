//! The program's threads do not allocate for a span that has ended.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use common::*;
use scouter_export::BatchConfig;
use scouter_span::{FinishedSpan, Scope, SpanSink, TraceId};

/// Counts what each thread allocates.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

fn count() {
    let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
}

#[expect(unsafe_code, reason = "an allocator is unsafe by nature; this one only hands on")]
// SAFETY: every call is handed to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: as promised by the caller.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as promised by the caller.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: as promised by the caller.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

#[test]
fn accepting_a_span_allocates_nothing() {
    let memory = memory();
    let rig = Rig::new(BatchConfig { max_export_batch_size: 512, ..batches_of(512) }, [to("a", &memory)]);
    let scopes = ["one", "two"].map(|name| rig.pipeline.register(&Scope::new(name, "", "", &[]).into()));
    let mut bytes = vec![0x12, 0xff, 0x01, 0x0a, 16];
    bytes.resize(3 + 255, 1);
    let trace_id = TraceId::from_int(1).unwrap();
    let round = || {
        let before = ALLOCATIONS.get();
        for number in 0..400 {
            let scope = scopes[number / 4 % 2];
            rig.pipeline.accept(FinishedSpan { bytes: &bytes, scope, trace_id });
        }
        let allocations = ALLOCATIONS.get() - before;
        rig.pipeline.flush(SOON).unwrap();
        allocations
    };
    // The buffers that go round find their sizes.
    (0..4).map(|_| round()).for_each(|_| ());
    assert_eq!((0..100).map(|_| round()).sum::<u64>(), 0);
    assert_eq!(rig.pipeline.stats().destinations[0].exported, 104 * 400);
}
