//! Samplers that are put together from parts, each of which says what it would like before one decides.
//!
//! Source: trace SDK, "CompositeSampler".

mod builtin;
mod predicate;

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

pub use builtin::{AlwaysOff, AlwaysOn, Annotating, ParentThreshold, Probability, RuleBased};
pub use predicate::Predicate;

use super::probability::decide;
use super::threshold::Threshold;
use super::{SamplingInput, SamplingResult, ShouldSample};
use crate::context::TraceState;
use crate::value::OwnedValue;

/// A part of a [`CompositeSampler`]: says how likely a span should be sampled.
///
/// What it says must not depend on the trace id or on the explicit randomness of the trace: the decision would no longer be
/// one by probability.
pub trait Composable: fmt::Debug + Send + Sync {
    /// What it would like for this span.
    fn intent(&self, input: &SamplingInput<'_>) -> SamplingIntent<'_>;

    /// Its name and settings.
    fn description(&self) -> String;
}

/// What a [`Composable`] would like for a span.
#[derive(Default)]
pub struct SamplingIntent<'s> {
    /// The lower, the likelier; `None` drops the span.
    pub threshold: Option<Threshold>,
    /// Whether spans may be counted by the threshold. Only then it travels with the trace.
    pub is_reliable: bool,
    /// Attributes for the span, should it be sampled.
    pub attributes: Vec<Cow<'s, [(String, OwnedValue)]>>,
    /// What else becomes of the trace state. The `ot` entry is not its to change.
    pub trace_state: Option<TraceStateChange<'s>>,
}

/// Makes the trace state of a span from that of its parent.
pub type TraceStateChange<'s> = Box<dyn FnOnce(&TraceState) -> TraceState + 's>;

/// Decides by what a [`Composable`] would like, and keeps the threshold in the trace state.
#[derive(Clone, Debug)]
pub struct CompositeSampler(Arc<dyn Composable>);

impl CompositeSampler {
    /// A sampler that goes by this one.
    pub fn new(composable: Arc<dyn Composable>) -> Self {
        Self(composable)
    }
}

impl ShouldSample for CompositeSampler {
    fn should_sample(&self, input: &SamplingInput<'_>) -> SamplingResult {
        let SamplingIntent { threshold, is_reliable, attributes, trace_state } = self.0.intent(input);
        let changed = trace_state.map(|change| change(input.trace_state()));
        let state = changed.as_ref().unwrap_or_else(|| input.trace_state());
        let (decision, updated) = decide(input, state, threshold, is_reliable);
        let kept = if decision.is_sampled() { attributes } else { Vec::new() };
        let attributes = kept.into_iter().flat_map(Cow::into_owned).collect();
        SamplingResult { decision, attributes, trace_state: updated.or(changed) }
    }

    fn description(&self) -> String {
        format!("CompositeSampler{{{}}}", self.0.description())
    }
}

impl SamplingIntent<'_> {
    /// To sample by this threshold, by which spans may be counted.
    pub fn reliable(threshold: Threshold) -> Self {
        Self { threshold: Some(threshold), is_reliable: true, ..Self::default() }
    }
}

impl fmt::Debug for SamplingIntent<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { threshold, is_reliable, attributes, trace_state } = self;
        f.debug_struct("SamplingIntent")
            .field("threshold", threshold)
            .field("is_reliable", is_reliable)
            .field("attributes", attributes)
            .field("changes_trace_state", &trace_state.is_some())
            .finish()
    }
}
