//! Decisions by threshold, and the sampler for a part of all traces.

use super::ot::OtEntry;
use super::threshold::{Randomness, Threshold};
use super::{Ratio, SamplingDecision, SamplingInput, SamplingResult, ShouldSample};
use crate::context::TraceState;

/// Samples a part of all traces, whatever their parents are (trace SDK, "TraceIdRatioBased").
#[derive(Clone, Debug)]
pub(super) struct TraceIdRatio {
    ratio: Ratio,
    /// What most roots that are sampled get: the threshold and nothing else.
    of_roots: TraceState,
}

impl TraceIdRatio {
    pub(super) fn new(ratio: Ratio) -> Self {
        let of_roots = OtEntry::default().updated(&TraceState::EMPTY, ratio.threshold(), None);
        Self { ratio, of_roots: of_roots.unwrap_or_default() }
    }
}

impl ShouldSample for TraceIdRatio {
    fn should_sample(&self, input: &SamplingInput<'_>) -> SamplingResult {
        let state = input.trace_state();
        let (decision, trace_state) = if state.is_empty() && presumes_randomness(input) {
            let sampled = self.ratio.contains(input.trace_id);
            (SamplingDecision::sampled(sampled), sampled.then(|| self.of_roots.clone()))
        } else {
            decide(input, state, self.ratio.threshold(), true)
        };
        SamplingResult { trace_state, ..decision.into() }
    }

    fn description(&self) -> String {
        format!("TraceIdRatioBased{{{}}}", self.ratio.get())
    }
}

/// Whether the trace id is what a decision goes by, where there is no explicit randomness: for all but the roots whose id is
/// known not to be random (trace SDK, "Presumption of TraceID randomness").
const fn presumes_randomness(input: &SamplingInput<'_>) -> bool {
    input.is_random || input.parent.span.is_some()
}

/// Decides by threshold, and says what becomes of the trace state (`None` leaves it as it is): the threshold of a sampled
/// span is written there, that of any other erased. A root whose trace id is not random gets an explicit randomness.
///
/// A threshold that nobody may count by is not written, and not held against the trace's randomness but a new one.
pub(super) fn decide(
    input: &SamplingInput<'_>,
    state: &TraceState,
    threshold: Option<Threshold>,
    is_reliable: bool,
) -> (SamplingDecision, Option<TraceState>) {
    let entry = OtEntry::of(state);
    let explicit = entry.randomness();
    let new = (explicit.is_none() && !presumes_randomness(input)).then(Randomness::new);
    let sampled = threshold.is_some_and(|threshold| {
        threshold.admits(match explicit.or(new) {
            _ if !is_reliable => Randomness::new(),
            Some(randomness) => randomness,
            None => Randomness::of(input.trace_id),
        })
    });
    let written = threshold.filter(|_| sampled && is_reliable);
    (SamplingDecision::sampled(sampled), entry.updated(state, written, new))
}
