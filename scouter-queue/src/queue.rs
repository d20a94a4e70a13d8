//! The way in for the records of one profile.

use std::cell::RefCell;
use std::sync::Arc;

use scouter_span::clock::Clock;
use scouter_span::scope::ScopeId;
use scouter_span::{Scope, SpanContext};

use crate::count::OwnCounter;
use crate::encode::{Head, Uid};
use crate::profile::Profile;
use crate::record::{Fit, Record, Rejected, Seen};
use crate::sampling;
use crate::sink::{FinishedRecord, RecordSink};

/// A buffer that a large record has made larger than this is given back.
const KEPT: usize = 64 << 10;

/// What became of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a record that was rejected is lost, and the outcome says why"]
pub enum Outcome {
    /// It is on its way.
    Accepted,
    /// It is not in the part that is kept, or its span is not sampled.
    SampledOut,
    /// It does not fit its profile.
    Rejected(Rejected),
    /// The sink has no room for it, or is shut down.
    TurnedAway,
}

/// What became of all records of a queue: `inserted = accepted + sampled_out + rejected + turned_away`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RecordStats {
    /// All that were handed in.
    pub inserted: u64,
    /// Those that went on their way.
    pub accepted: u64,
    /// Those outside the part that is kept.
    pub sampled_out: u64,
    /// Those that do not fit the profile.
    pub rejected: u64,
    /// Those that the sink has not taken.
    pub turned_away: u64,
}

/// Takes the records of one profile, on any thread. Threads share nothing here but counters, each in a place of its own.
#[derive(Debug)]
pub struct RecordQueue {
    alias: String,
    profile: Profile,
    fit: Fit,
    head: Head,
    sink: Arc<dyn RecordSink>,
    scope: ScopeId,
    clock: Clock,
    counters: Counters,
}

#[derive(Debug, Default)]
struct Counters {
    accepted: OwnCounter,
    sampled_out: OwnCounter,
    rejected: OwnCounter,
    turned_away: OwnCounter,
}

/// What a thread keeps from record to record.
#[derive(Debug, Default)]
struct Scratch {
    seen: Seen,
    bytes: Vec<u8>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

impl RecordQueue {
    /// A queue of this profile, which the program calls by this alias, in front of a sink.
    pub fn new(alias: impl Into<String>, profile: Profile, sink: Arc<dyn RecordSink>) -> Self {
        let alias = alias.into();
        let scope = Arc::new(Scope::new("scouter.queue", env!("CARGO_PKG_VERSION"), "", &[]));
        Self {
            fit: Fit::of(&profile),
            head: Head::new(&alias, &profile),
            scope: sink.register(&scope),
            sink,
            clock: Clock::System,
            counters: Counters::default(),
            alias,
            profile,
        }
    }

    /// The same with another clock.
    #[must_use]
    pub fn with_clock(self, clock: Clock) -> Self {
        Self { clock, ..self }
    }

    /// What the program calls it.
    pub fn alias(&self) -> &str {
        &self.alias
    }

    /// What its records look like.
    pub const fn profile(&self) -> &Profile {
        &self.profile
    }

    /// Takes a record, which belongs to this span if there is one. Never blocks.
    ///
    /// Whether a record fits is looked at first, so that one that never fits is seen at any ratio.
    pub fn insert(&self, record: &Record, span: Option<&SpanContext>) -> Outcome {
        // Not borrowed while others' code runs, which may insert a record too.
        let mut scratch = SCRATCH.try_with(|scratch| scratch.take()).unwrap_or_default();
        let outcome = self.insert_with(&mut scratch, record, span);
        if scratch.bytes.capacity() <= KEPT {
            let _ = SCRATCH.try_with(|kept| kept.replace(scratch));
        }
        self.count(outcome)
    }

    /// Whether no record of this span is kept, whatever it holds. If so, one counts as sampled out. For callers to whom making
    /// the record is work.
    pub fn passes_over(&self, span: &SpanContext) -> bool {
        let passes = !sampling::keeps_span(self.profile.sample_ratio(), span);
        if passes {
            self.counters.sampled_out.increment();
        }
        passes
    }

    /// Counts a record that could not even be made, such as one of another language's values.
    pub fn reject(&self, rejected: Rejected) -> Outcome {
        self.count(Outcome::Rejected(rejected))
    }

    /// What became of the records so far, in this process: a forked child begins at zero.
    pub fn stats(&self) -> RecordStats {
        let Counters { accepted, sampled_out, rejected, turned_away } = &self.counters;
        let [accepted, sampled_out, rejected, turned_away] =
            [accepted, sampled_out, rejected, turned_away].map(OwnCounter::get);
        let inserted = accepted + sampled_out + rejected + turned_away;
        RecordStats { inserted, accepted, sampled_out, rejected, turned_away }
    }

    fn count(&self, outcome: Outcome) -> Outcome {
        let counters = &self.counters;
        let counter = match outcome {
            Outcome::Accepted => &counters.accepted,
            Outcome::SampledOut => &counters.sampled_out,
            Outcome::Rejected(_) => &counters.rejected,
            Outcome::TurnedAway => &counters.turned_away,
        };
        counter.increment();
        outcome
    }

    fn insert_with(&self, scratch: &mut Scratch, record: &Record, span: Option<&SpanContext>) -> Outcome {
        if let Err(rejected) = self.fit.check(&self.alias, record, &mut scratch.seen) {
            return Outcome::Rejected(rejected);
        }
        let ratio = self.profile.sample_ratio();
        if span.is_some_and(|span| !sampling::keeps_span(ratio, span)) {
            return Outcome::SampledOut;
        }
        let now = self.clock.now();
        let uid = Uid::new(now);
        if span.is_none() && !sampling::keeps_id(ratio, record.id().unwrap_or(uid.as_str())) {
            return Outcome::SampledOut;
        }
        scratch.bytes.clear();
        self.head.write(&mut scratch.bytes, record, span, &uid, now);
        let trace_id = span.map(|span| span.trace_id);
        match self.sink.accept(FinishedRecord { bytes: &scratch.bytes, scope: self.scope, trace_id }) {
            true => Outcome::Accepted,
            false => Outcome::TurnedAway,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{Content, Entity, EvalRecord, Task};

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

    fn kept() -> usize {
        SCRATCH.with(|scratch| scratch.borrow().bytes.capacity())
    }

    #[test]
    fn a_thread_keeps_a_buffer_for_small_records_and_none_for_large_ones() {
        let tasks = Content::Agent(vec![Task::new("task", serde_json::Map::new())]);
        let profile = Profile::new(Entity::new("space", "name", "1"), tasks).unwrap();
        let queue = RecordQueue::new("alias", profile, Arc::new(Anywhere));
        let insert = |length| queue.insert(&EvalRecord::new(json!({"text": "x".repeat(length)})).into(), None);
        assert_eq!(insert(10), Outcome::Accepted);
        assert!((1..KEPT).contains(&kept()), "{}", kept());
        assert_eq!(insert(4 * KEPT), Outcome::Accepted);
        assert!(kept() <= KEPT, "{}", kept());
    }
}
