//! Samplers, id generators and processors of the tests' own.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use scouter_span::id::IdGenerator;
use scouter_span::{
    Parent, Sampler, SamplingInput, SamplingResult, ShouldSample, Span, SpanId, SpanProcessor, TraceId,
};

/// A sampler that is a function.
pub(crate) struct Asked<F>(F);

impl<F> fmt::Debug for Asked<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Asked")
    }
}

impl<F: Fn(&SamplingInput<'_>) -> SamplingResult + Send + Sync> ShouldSample for Asked<F> {
    fn should_sample(&self, input: &SamplingInput<'_>) -> SamplingResult {
        (self.0)(input)
    }

    fn description(&self) -> String {
        "Asked".to_owned()
    }
}

pub(crate) fn asking(sampler: impl Fn(&SamplingInput<'_>) -> SamplingResult + Send + Sync + 'static) -> Sampler {
    Sampler::custom(Asked(sampler))
}

/// Writes down what is called, after its own name.
#[derive(Debug)]
pub(crate) struct Notes {
    pub(crate) name: &'static str,
    pub(crate) calls: Arc<Mutex<Vec<String>>>,
    /// What flush and shutdown answer.
    pub(crate) answer: bool,
}

impl Notes {
    pub(crate) fn new(name: &'static str, calls: &Arc<Mutex<Vec<String>>>) -> Arc<Self> {
        Arc::new(Self { name, calls: Arc::clone(calls), answer: true })
    }

    fn note(&self, call: &str, span: &Span) {
        let view = span.view().unwrap();
        self.calls.lock().unwrap().push(format!("{} {call} {}", self.name, view.name()));
    }
}

impl SpanProcessor for Notes {
    fn on_start(&self, span: &mut Span, _parent: Parent<'_>) {
        self.note("start", span);
    }

    fn on_ending(&self, span: &mut Span) {
        self.note("ending", span);
    }

    fn on_end(&self, span: &Span) {
        self.note("end", span);
    }

    fn force_flush(&self, timeout: Duration) -> bool {
        assert!(timeout <= Duration::from_secs(5));
        self.calls.lock().unwrap().push(format!("{} flush", self.name));
        self.answer
    }

    fn shutdown(&self, _timeout: Duration) -> bool {
        self.calls.lock().unwrap().push(format!("{} shutdown", self.name));
        self.answer
    }
}

type Start = dyn Fn(&mut Span, Parent<'_>) + Send + Sync;
type Ending = dyn Fn(&mut Span) + Send + Sync;
type End = dyn Fn(&Span) + Send + Sync;

/// A processor of functions.
pub(crate) struct Hooks {
    pub(crate) start: Box<Start>,
    pub(crate) ending: Box<Ending>,
    pub(crate) end: Box<End>,
}

impl Default for Hooks {
    fn default() -> Self {
        Self { start: Box::new(|_, _| ()), ending: Box::new(|_| ()), end: Box::new(|_| ()) }
    }
}

impl fmt::Debug for Hooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hooks")
    }
}

impl SpanProcessor for Hooks {
    fn on_start(&self, span: &mut Span, parent: Parent<'_>) {
        (self.start)(span, parent);
    }

    fn on_ending(&self, span: &mut Span) {
        (self.ending)(span);
    }

    fn on_end(&self, span: &Span) {
        (self.end)(span);
    }
}

/// Ids that count up.
#[derive(Debug, Default)]
pub(crate) struct Counting {
    pub(crate) traces: AtomicU64,
    pub(crate) spans: AtomicU64,
    pub(crate) random: bool,
}

impl IdGenerator for Counting {
    fn new_trace_id(&self) -> TraceId {
        TraceId::from_int(u128::from(self.traces.fetch_add(1, Ordering::Relaxed)) + 1).unwrap()
    }

    fn new_span_id(&self) -> SpanId {
        SpanId::from_int(self.spans.fetch_add(1, Ordering::Relaxed) + 1).unwrap()
    }

    fn is_random(&self) -> bool {
        self.random
    }
}
