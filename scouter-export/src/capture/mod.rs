//! Copies of ended spans, or of inserted records, kept in memory for whoever wants to look at them in this process.

mod kept;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use scouter_span::TraceId;
use scouter_span::scope::ScopeId;

use crate::fork::PerProcess;
use crate::pipeline::Headers;
use crate::queue::Held;
use kept::Kept;

/// How much a [`LocalCapture`] keeps. What comes on top is left out and counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CaptureLimit {
    /// The most spans; 100 000 by default, at most 8 388 608.
    pub spans: usize,
    /// The most bytes of spans; 64 MiB by default.
    pub bytes: usize,
}

/// Keeps a copy of every sampled span that ends while it is [enabled](Self::enable), whatever becomes of the span on its way
/// to the destinations.
///
/// It belongs to a [`Pipeline`](crate::Pipeline) and goes on after the pipeline's shutdown. That of a pipeline of records keeps
/// the records that were accepted, and only those. A thread that ends a span never waits for one that reads. While it is
/// disabled, as it is at first, an ended span costs one look at a flag.
///
/// After a fork, the child begins with an empty one that is enabled if the parent's was.
#[derive(Debug)]
pub struct LocalCapture {
    enabled: AtomicBool,
    max_spans: AtomicU64,
    max_bytes: AtomicU64,
    headers: Arc<Headers>,
    kept: PerProcess<Kept>,
}

impl Default for CaptureLimit {
    fn default() -> Self {
        Self { spans: 100_000, bytes: 64 << 20 }
    }
}

impl LocalCapture {
    pub(crate) fn new(headers: Arc<Headers>) -> Self {
        Self {
            enabled: AtomicBool::new(false),
            max_spans: AtomicU64::new(0),
            max_bytes: AtomicU64::new(0),
            headers,
            kept: PerProcess::new(Kept::default()),
        }
    }

    /// Keeps copies from now on, as many as this. If it was enabled already, only the limit changes; else it begins empty.
    pub fn enable(&self, limit: CaptureLimit) {
        self.max_spans.store((limit.spans as u64).min(Held::LARGEST.items), Ordering::Relaxed);
        self.max_bytes.store((limit.bytes as u64).min(Held::LARGEST.bytes), Ordering::Relaxed);
        if !self.enabled.load(Ordering::Relaxed) {
            self.kept().clear();
            self.enabled.store(true, Ordering::Release);
        }
    }

    /// Keeps no more copies, and lets go of those it has.
    pub fn disable(&self) {
        self.enabled.store(false, Ordering::Release);
        self.kept().clear();
    }

    /// Whether copies are kept.
    #[inline]
    pub fn is_enabled(&self) -> bool {
        self.enabled.load(Ordering::Relaxed)
    }

    /// Takes out what is kept: at least every span that ended before this call, on any thread. The answer is one OTLP
    /// `ExportTraceServiceRequest`, or `ExportLogsServiceRequest`, with resource and scopes; empty when there is nothing. Within a
    /// scope, the spans that one thread ended stand in the order of their ends.
    pub fn drain(&self) -> Vec<u8> {
        self.kept().drain(&self.headers)
    }

    /// A copy of what is kept of these traces, in the form of [`drain`](Self::drain). Takes nothing out.
    pub fn by_trace_ids(&self, trace_ids: &[TraceId]) -> Vec<u8> {
        self.kept().of_traces(trace_ids, &self.headers)
    }

    /// How many spans have been left out because there was no room for them, in this process.
    pub fn dropped(&self) -> u64 {
        self.kept().dropped()
    }

    /// Keeps a copy of this span, if there is room.
    #[cold]
    pub(crate) fn keep(&self, scope: ScopeId, span: &[u8]) {
        let (items, bytes) = (self.max_spans.load(Ordering::Relaxed), self.max_bytes.load(Ordering::Relaxed));
        self.kept().keep(scope, span, Held { items, bytes });
    }

    fn kept(&self) -> &Kept {
        self.kept.get().unwrap_or_else(|| self.kept.renew(|_| Kept::default()))
    }
}
