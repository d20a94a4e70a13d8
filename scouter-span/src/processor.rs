//! What sees the spans of a provider as they begin and end.

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use crate::counters::Counters;
use crate::sampler::Parent;
use crate::span::Span;

/// Sees every recorded span begin and end, those that are not sampled too (trace SDK, "Span processor").
///
/// The hooks of all processors are called in the order in which they were added, on the thread that begins or ends the span,
/// while that thread waits: they must not block. A hook that panics is counted in
/// [`Counters::plugin_failures`](crate::counters::Counters), and everything goes on as if it had returned. Of a fork's
/// copy of a span no hook is called.
pub trait SpanProcessor: fmt::Debug + Send + Sync {
    /// The span has begun, with its attributes and links and those of the sampler; more can be set here.
    fn on_start(&self, span: &mut Span, parent: Parent<'_>);

    /// The span's end time is set, and it still takes everything in. To end it once more has no effect.
    fn on_ending(&self, span: &mut Span) {
        let _ = span;
    }

    /// The span has ended and can only be read. What is sampled has been handed to the sink before.
    fn on_end(&self, span: &Span);

    /// Finishes with all spans that have ended; whether it did within this time.
    fn force_flush(&self, timeout: Duration) -> bool {
        let _ = timeout;
        true
    }

    /// Finishes with all spans that have ended and lets go of whatever it holds; whether it did within this time. Called
    /// once; hooks of spans that are open then may still follow.
    fn shutdown(&self, timeout: Duration) -> bool {
        let _ = timeout;
        true
    }
}

/// Processors in order. Only grows, and is read without a lock.
#[derive(Debug, Default)]
pub(crate) struct Processors(OnceLock<Box<Link>>);

#[derive(Debug)]
struct Link {
    processor: Arc<dyn SpanProcessor>,
    next: Processors,
}

impl Processors {
    pub(crate) fn push(&self, processor: Arc<dyn SpanProcessor>) {
        let mut link = Box::new(Link { processor, next: Self::default() });
        let mut end = self;
        while let Err(refused) = end.0.set(link) {
            link = refused;
            if let Some(taken) = end.0.get() {
                end = &taken.next;
            }
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.get().is_none()
    }

    fn iter(&self) -> impl Iterator<Item = &dyn SpanProcessor> {
        std::iter::successors(self.0.get(), |link| link.next.0.get()).map(|link| &*link.processor)
    }

    /// Calls a hook of every processor.
    pub(crate) fn each(&self, counters: &Counters, mut hook: impl FnMut(&dyn SpanProcessor)) {
        for processor in self.iter() {
            guarded(counters, || hook(processor));
        }
    }

    /// Calls something that takes time of every processor; whether all of them did it, in this time together.
    pub(crate) fn all_within(
        &self,
        counters: &Counters,
        timeout: Duration,
        done: impl Fn(&dyn SpanProcessor, Duration) -> bool,
    ) -> bool {
        let begun = Instant::now();
        let mut all = true;
        for processor in self.iter() {
            let left = timeout.saturating_sub(begun.elapsed());
            all &= guarded(counters, || done(processor, left)).unwrap_or(false);
        }
        all
    }
}

/// What the plug-in returns; `None`, counted, if it panics.
pub(crate) fn guarded<T>(counters: &Counters, call: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(call))
        .map_err(|payload: Box<dyn Any + Send>| {
            counters.plugin_failures.increment();
            // Its drop is the plug-in's code too.
            std::mem::forget(payload);
        })
        .ok()
}
