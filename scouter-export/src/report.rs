//! Telling someone what goes wrong, seldom.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use scouter_transport::Signal;

use crate::stats::DropReason;

/// How long there is silence after a report.
const SILENCE: Duration = Duration::from_secs(60);

/// Something went wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// Where the spans, or records, were meant to go; empty when it concerns all destinations.
    pub destination: String,
    /// Why spans were dropped; `None` when none were.
    pub reason: Option<DropReason>,
    /// How many spans this time.
    pub dropped: u64,
    /// What happened, in one sentence, free of credentials.
    pub message: String,
    /// How many reports were kept back since the one before.
    pub kept_back: u64,
}

/// Takes reports, on the worker's thread, at most one a minute from a pipeline. It should be quick; a panic is caught.
pub trait Reporter: Send + Sync + fmt::Debug {
    /// Something went wrong.
    fn report(&self, report: &Report);
}

/// Makes an event of the `tracing` crate, level WARN, target `scouter`, of every report.
#[derive(Clone, Copy, Debug, Default)]
pub struct TracingReporter;

/// What a signal's payloads hold, in the plural.
pub(crate) const fn noun(signal: Signal) -> &'static str {
    match signal {
        Signal::Traces => "spans",
        Signal::Logs => "records",
    }
}

/// Lets one report a minute through.
#[derive(Debug)]
pub(crate) struct Seldom {
    reporter: Arc<dyn Reporter>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    last: Option<Instant>,
    kept_back: u64,
}

impl Reporter for TracingReporter {
    fn report(&self, report: &Report) {
        let Report { destination, reason, dropped, message, kept_back } = report;
        let reason = reason.map_or("", DropReason::name);
        tracing::warn!(target: "scouter", destination, reason, dropped, kept_back, "{message}");
    }
}

impl Seldom {
    pub(crate) fn new(reporter: Arc<dyn Reporter>) -> Self {
        Self { reporter, state: Mutex::default() }
    }

    /// For the worker's thread only.
    pub(crate) fn report(
        &self,
        destination: &str,
        reason: Option<DropReason>,
        dropped: u64,
        message: impl fmt::Display,
    ) {
        let Some(kept_back) = self.pass(Instant::now()) else { return };
        let report =
            Report { destination: destination.to_owned(), reason, dropped, message: message.to_string(), kept_back };
        // A reporter is someone else's code; what it does must not stop the worker.
        let _ = catch_unwind(AssertUnwindSafe(|| self.reporter.report(&report)));
    }

    fn pass(&self, now: Instant) -> Option<u64> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.last.is_some_and(|last| now.saturating_duration_since(last) < SILENCE) {
            state.kept_back += 1;
            return None;
        }
        state.last = Some(now);
        Some(std::mem::take(&mut state.kept_back))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_report_a_minute_passes_and_the_others_are_counted() {
        let seldom = Seldom::new(Arc::new(TracingReporter));
        let start = Instant::now();
        let passes = [0, 1, 59, 60, 61].map(|second| seldom.pass(start + Duration::from_secs(second)));
        assert_eq!(passes, [Some(0), None, None, Some(2), None]);
    }
}
