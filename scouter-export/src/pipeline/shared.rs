//! What the program's threads and the worker know together, in one process.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, OnceLock};

use scouter_span::counters::Counters;
use scouter_transport::Signal;
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::Instant;

use super::Settings;
use crate::batch::BatchConfig;
use crate::destination::{Destination, Outlet};
use crate::error::FlushError;
use crate::observer::{ExportObserver, ExportOperation};
use crate::queue::{Held, Queue};
use crate::report::{Seldom, noun};
use crate::stats::{DropReason, Stage, Stats};

/// The state of a pipeline in one process.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) signal: Signal,
    pub(crate) config: BatchConfig,
    pub(crate) queue: Queue,
    pub(crate) outlets: Vec<Outlet>,
    pub(crate) reports: Seldom,
    pub(crate) commands: UnboundedSender<Command>,
    /// What a shutdown came to.
    pub(crate) outcome: OnceLock<Result<(), FlushError>>,
    observer: Option<Arc<dyn ExportObserver>>,
    panics: AtomicU64,
    /// What the tracer has counted in processes before this one.
    base: Base,
}

/// What the batcher is asked for.
#[derive(Debug)]
pub(crate) enum Command {
    /// Send everything, and tell.
    Flush(Arc<Ticket>),
    /// Send everything until then, close, and tell.
    Shutdown(Instant, SyncSender<()>),
}

/// Tells a waiting caller when the last destination is done.
#[derive(Debug)]
pub(crate) struct Ticket {
    left: AtomicUsize,
    reply: SyncSender<()>,
}

/// Spans that belong to a parent: those it had ended or abandoned when this process began. What was open then is open here too.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Base {
    ended: u64,
    abandoned: u64,
    sampled_out: u64,
}

impl Base {
    /// What a tracer has counted before this pipeline was there.
    pub(crate) fn before(counters: Option<&Counters>) -> Self {
        let count = |count: fn(&Counters) -> u64| counters.map_or(0, count);
        Self {
            ended: count(|counters| counters.ended.get()),
            abandoned: count(|counters| counters.abandoned.get()),
            sampled_out: count(|counters| counters.sampled_out.get()),
        }
    }
}

impl Ticket {
    pub(crate) fn new(destinations: usize, reply: SyncSender<()>) -> Arc<Self> {
        Arc::new(Self { left: AtomicUsize::new(destinations), reply })
    }

    /// One destination is done.
    pub(crate) fn done(&self) {
        if self.left.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.finish();
        }
    }

    /// There is nothing left to wait for.
    pub(crate) fn finish(&self) {
        // A caller whose time is up does not listen any more.
        let _ = self.reply.try_send(());
    }
}

impl Shared {
    pub(super) fn new(settings: &Settings, commands: UnboundedSender<Command>, base: Base, open: bool) -> Self {
        let Settings { signal, batch, destinations, reporter, observer, .. } = settings;
        let hasty = destinations.iter().any(|destination| destination.simple);
        Self {
            signal: *signal,
            config: batch.clone(),
            queue: Queue::new(batch.bounds(), batch.max_export_batch_size as u64, hasty, open),
            outlets: destinations.iter().cloned().map(Outlet::new).collect(),
            reports: Seldom::new(Arc::clone(reporter)),
            commands,
            outcome: OnceLock::new(),
            observer: observer.clone(),
            panics: AtomicU64::new(0),
            base,
        }
    }

    /// What the child of this process leaves to its parent.
    pub(crate) fn base_of_child(&self, counters: Option<&Counters>) -> Base {
        Base {
            ended: self.base.ended + self.queue.accepted() + self.queue.turned_away().total(),
            abandoned: counters.map_or(0, |counters| counters.abandoned.get()),
            sampled_out: counters.map_or(0, |counters| counters.sampled_out.get()),
        }
    }

    /// What it carries, in the plural.
    pub(crate) const fn noun(&self) -> &'static str {
        noun(self.signal)
    }

    pub(crate) fn count_panic(&self) {
        self.panics.fetch_add(1, Ordering::Relaxed);
    }

    /// Tells the observer. What it does must not stop the worker.
    pub(crate) fn observe(&self, operation: &ExportOperation<'_>) {
        if let Some(observer) = &self.observer
            && catch_unwind(AssertUnwindSafe(|| observer.exported(operation))).is_err()
        {
            self.count_panic();
        }
    }

    /// Counts spans that a destination loses, and tells why.
    pub(crate) fn lose(&self, at: usize, stage: Stage, reason: DropReason, items: u64, message: String) {
        let Outlet { destination, counters } = &self.outlets[at];
        self.reports.report(&destination.name, Some(reason), items, &message);
        counters.fail(message);
        counters.drop_spans(stage, reason, items);
    }

    /// Tells what went wrong at a destination without a loss.
    pub(crate) fn warn(&self, at: usize, message: String) {
        let Outlet { destination, counters } = &self.outlets[at];
        self.reports.report(&destination.name, None, 0, &message);
        counters.fail(message);
    }

    /// Notes that a destination has dealt with this much. For the worker's thread only.
    pub(crate) fn release(&self, at: usize, held: Held) {
        let counters = &self.outlets[at].counters;
        counters.set_held(counters.held().minus(held));
        self.raise_floor();
    }

    /// Tells the queue how much the destination holds that holds least. For the worker's thread only.
    pub(crate) fn raise_floor(&self) {
        let held = self.outlets.iter().map(|outlet| outlet.counters.held()).reduce(Held::least);
        self.queue.set_floor(held.unwrap_or_default());
    }

    /// Spans lost at each destination after they were accepted.
    pub(crate) fn losses(&self) -> Vec<u64> {
        self.outlets.iter().map(|outlet| outlet.counters.fates().dropped.total()).collect()
    }

    /// Whether anything was lost since the losses were `before`.
    pub(crate) fn outcome_since(&self, before: &[u64]) -> Result<(), FlushError> {
        let lost = self.outlets.iter().zip(self.losses()).zip(before);
        match lost.map(|((outlet, now), before)| (outlet, now - before)).find(|(_, dropped)| *dropped > 0) {
            None => Ok(()),
            Some((outlet, dropped)) => Err(FlushError::Failed {
                signal: self.signal,
                destination: outlet.destination.name.to_string(),
                dropped,
                reason: outlet.counters.last_error().unwrap_or_default(),
            }),
        }
    }

    /// What a shutdown came to that began when the losses were `before`.
    pub(crate) fn outcome_of_shutdown(&self, before: &[u64]) -> Result<(), FlushError> {
        let cut_off = self.outlets.iter().map(|outlet| outlet.counters.fates().dropped[DropReason::Shutdown]).max();
        match cut_off {
            Some(remaining) if remaining > 0 => Err(FlushError::Timeout { signal: self.signal, remaining }),
            _ => self.outcome_since(before),
        }
    }

    /// The largest number of accepted spans that a destination has not dealt with.
    pub(crate) fn remaining(&self) -> u64 {
        let settled: Vec<_> = self.outlets.iter().map(|outlet| outlet.counters.fates().total()).collect();
        let accepted = self.queue.accepted();
        settled.into_iter().map(|settled| accepted.saturating_sub(settled)).max().unwrap_or(0)
    }

    /// The order of reading makes the sums right while everything goes on. A span is counted as started, then as ended
    /// (accepted or turned away) or abandoned, then under its fate, each with `Release`; here fates are read first and starts
    /// last, each with `Acquire`. So no number can run ahead of the one it is taken from, see [`DestinationCounters`].
    ///
    /// [`DestinationCounters`]: crate::stats::DestinationCounters
    pub(crate) fn stats(&self, counters: Option<&Counters>) -> Stats {
        let fates: Vec<_> = self.outlets.iter().map(|outlet| outlet.counters.fates()).collect();
        let turned_away = self.queue.turned_away();
        let accepted = self.queue.accepted();
        let ended = accepted + turned_away.total();
        let base = self.base;
        let abandoned = counters.map_or(0, |counters| counters.abandoned.get().saturating_sub(base.abandoned));
        let sampled_out = counters.map_or(0, |counters| counters.sampled_out.get().saturating_sub(base.sampled_out));
        let before = base.ended + base.abandoned;
        let started = counters.map_or(ended, |counters| counters.started.get().saturating_sub(before));
        let destinations = self.outlets.iter().zip(fates).map(|(outlet, fates)| {
            let Destination { name, simple, .. } = &outlet.destination;
            let mut stats = outlet.counters.stats(name, *simple, fates, accepted);
            stats.dropped.add(DropReason::QueueFull, turned_away.full);
            stats.dropped.add(DropReason::Shutdown, turned_away.shut);
            stats.dropped.add(DropReason::NeverEnded, abandoned);
            stats
        });
        let pending = self.queue.held();
        Stats {
            signal: self.signal,
            started,
            sampled_out,
            live: started.saturating_sub(ended + abandoned),
            ended,
            pending: pending.items,
            pending_bytes: pending.bytes,
            queue_capacity: self.config.max_queue_size as u64,
            panics: self.panics.load(Ordering::Relaxed),
            destinations: destinations.collect(),
        }
    }
}
