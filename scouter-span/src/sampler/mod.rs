//! Which spans are recorded, and which of those are exported.
//!
//! A [`Sampler`] is asked when a span begins, after its trace id is known and before anything is recorded (trace SDK,
//! "Sampling"). The built-in ones that only look at the parent's flags cost nothing; all others are asked span by span.

mod choice;
pub mod composite;
mod ot;
mod probability;
mod ratio;
mod threshold;

use std::any::Any;
use std::fmt;

pub(crate) use choice::ParentKind;
pub use choice::{ParentBased, Sampler};
pub use composite::{Composable, CompositeSampler};
pub use ot::OtEntry;
pub use ratio::{Ratio, RatioError};
pub use threshold::{Randomness, Threshold};

use crate::context::{SpanContext, TraceState};
use crate::id::TraceId;
use crate::value::{OwnedValue, Value};
use crate::view::SpanKind;

/// Decides whether a span is recorded and exported.
///
/// Called on the thread that begins the span, once for each, except where a built-in sampler around it knows the answer.
/// It must not block. One that panics is counted in [`Counters::plugin_failures`](crate::counters::Counters), and the
/// parent's decision holds, or that every root is sampled.
pub trait ShouldSample: fmt::Debug + Send + Sync {
    /// What becomes of the span that is about to begin.
    fn should_sample(&self, input: &SamplingInput<'_>) -> SamplingResult;

    /// Its name and settings, such as `TraceIdRatioBased{0.1}`; always the same.
    fn description(&self) -> String;
}

/// Where a span comes from.
#[derive(Clone, Copy, Debug, Default)]
pub struct Parent<'a> {
    /// The parent; `None` for the root of a trace.
    pub span: Option<&'a SpanContext>,
    /// The whole context the span was begun in, as the caller knows it: an `opentelemetry::Context` where the span was
    /// begun through the API, `None` where there is no more than the parent. Whoever knows its type may downcast it.
    pub context: Option<&'a dyn Any>,
}

/// What is known about a span that is about to begin.
#[derive(Clone, Copy, Debug)]
pub struct SamplingInput<'a> {
    /// Where it comes from.
    pub parent: Parent<'a>,
    /// The trace it belongs to: the parent's, or a new one.
    pub trace_id: TraceId,
    /// Whether the trace id is known to have 56 random bits at its right end: by the parent's random flag, or for a root
    /// by what the id generator promises.
    pub is_random: bool,
    /// Its name.
    pub name: &'a str,
    /// The part it plays.
    pub kind: SpanKind,
    /// What it was given from the start. Values that are not one scalar or text may be
    /// [`Encoded`](crate::Value::Encoded).
    pub attributes: &'a [(&'a str, Value<'a>)],
    /// The spans it refers to from the start.
    pub links: &'a [(&'a SpanContext, &'a [(&'a str, Value<'a>)])],
}

/// What becomes of a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SamplingDecision {
    /// Not recorded: it carries its context on and nothing else.
    Drop,
    /// Recorded, so that processors see it, but not sampled: it is not exported, and its children see no sampled flag.
    RecordOnly,
    /// Recorded and exported.
    RecordAndSample,
}

/// A sampler's answer.
#[derive(Clone, Debug, PartialEq)]
pub struct SamplingResult {
    /// What becomes of the span.
    pub decision: SamplingDecision,
    /// Attributes for the span, added after those it was begun with.
    pub attributes: Vec<(String, OwnedValue)>,
    /// The span's trace state, instead of the parent's, which `None` keeps.
    pub trace_state: Option<TraceState>,
}

impl SamplingInput<'_> {
    /// The parent's trace state, which the span keeps unless the sampler says otherwise; empty for a root.
    pub fn trace_state(&self) -> &TraceState {
        static EMPTY: TraceState = TraceState::EMPTY;
        self.parent.span.map_or(&EMPTY, |parent| &parent.trace_state)
    }
}

impl SamplingDecision {
    /// Recorded and exported, or neither.
    pub const fn sampled(sampled: bool) -> Self {
        if sampled { Self::RecordAndSample } else { Self::Drop }
    }

    /// Whether the span is recorded.
    pub const fn is_recording(self) -> bool {
        !matches!(self, Self::Drop)
    }

    /// Whether the span is exported and its sampled flag set.
    pub const fn is_sampled(self) -> bool {
        matches!(self, Self::RecordAndSample)
    }
}

impl From<SamplingDecision> for SamplingResult {
    /// This decision; no attributes, and the parent's trace state.
    fn from(decision: SamplingDecision) -> Self {
        Self { decision, attributes: Vec::new(), trace_state: None }
    }
}
