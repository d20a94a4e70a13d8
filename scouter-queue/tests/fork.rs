//! A child of a fork counts by itself. The only test of its program: it says that the process has forked.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

use std::sync::{Arc, Barrier};
use std::thread;

use scouter_queue::{
    Content, Entity, FinishedRecord, Metric, MetricSpec, Metrics, Outcome, Profile, RecordQueue, RecordSink,
    RecordStats,
};
use scouter_span::scope::ScopeId;
use scouter_span::{Scope, fork};

#[derive(Debug)]
struct Anywhere;

impl RecordSink for Anywhere {
    fn register(&self, _: &Arc<Scope>) -> ScopeId {
        ScopeId(0)
    }

    fn accept(&self, _: FinishedRecord<'_>) -> bool {
        true
    }
}

#[test]
fn whichever_threads_of_a_child_come_first_none_of_their_records_is_forgotten() {
    const THREADS: usize = 4;
    const ROUNDS: usize = 3000;
    let content = Content::Custom(vec![MetricSpec::new("cost")]);
    let profile = Profile::new(Entity::new("space", "name", "1"), content).unwrap();
    let queue = RecordQueue::new("alias", profile, Arc::new(Anywhere));
    let fits = Metrics(vec![Metric::new("cost", 1.0)]).into();
    let misfit = Metrics::default().into();
    let barrier = Barrier::new(THREADS + 1);
    let wrong = thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                for _ in 0..ROUNDS {
                    barrier.wait();
                    assert_eq!(queue.insert(&fits, None), Outcome::Accepted);
                    assert!(matches!(queue.insert(&misfit, None), Outcome::Rejected(_)));
                    barrier.wait();
                }
            });
        }
        // Not looked at in between, where a panic would leave threads waiting.
        let threads = THREADS as u64;
        let expected =
            RecordStats { inserted: 2 * threads, accepted: threads, rejected: threads, ..Default::default() };
        let round = |_| {
            fork::note_child();
            barrier.wait();
            barrier.wait();
            queue.stats()
        };
        (0..ROUNDS).map(round).filter(|stats| *stats != expected).collect::<Vec<_>>()
    });
    assert_eq!(wrong, []);
}
