//! The parts that the specification names.

use std::borrow::Cow;
use std::sync::Arc;

use super::{Composable, Predicate, SamplingIntent};
use crate::sampler::ot::OtEntry;
use crate::sampler::threshold::{Randomness, Threshold};
use crate::sampler::{Ratio, SamplingInput};
use crate::value::OwnedValue;

/// Every span ("ComposableAlwaysOn").
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AlwaysOn;

/// No span ("ComposableAlwaysOff").
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AlwaysOff;

/// A part of all spans ("ComposableProbability"); no span for a ratio of zero.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Probability(pub Ratio);

/// What the parent was sampled by; for roots, what another part says ("ComposableParentThreshold").
#[derive(Clone, Debug)]
pub struct ParentThreshold {
    root: Arc<dyn Composable>,
}

/// The first part whose rule the span is under; dropped if there is none ("ComposableRuleBased").
#[derive(Clone, Debug)]
pub struct RuleBased {
    rules: Vec<(Predicate, Arc<dyn Composable>)>,
}

/// What another part says, and attributes for the spans that are sampled ("ComposableAnnotating").
#[derive(Clone, Debug)]
pub struct Annotating {
    attributes: Vec<(String, OwnedValue)>,
    inner: Arc<dyn Composable>,
}

impl ParentThreshold {
    /// This part for roots.
    pub fn new(root: impl Composable + 'static) -> Self {
        Self { root: Arc::new(root) }
    }
}

impl RuleBased {
    /// Rules, of which the first one that fits counts.
    pub fn new(rules: Vec<(Predicate, Arc<dyn Composable>)>) -> Self {
        Self { rules }
    }
}

impl Annotating {
    /// These attributes for what this part samples.
    pub fn new(attributes: Vec<(String, OwnedValue)>, inner: impl Composable + 'static) -> Self {
        Self { attributes, inner: Arc::new(inner) }
    }
}

impl Composable for AlwaysOn {
    fn intent(&self, _input: &SamplingInput<'_>) -> SamplingIntent<'_> {
        SamplingIntent::reliable(Threshold::ALWAYS)
    }

    fn description(&self) -> String {
        "ComposableAlwaysOn".into()
    }
}

impl Composable for AlwaysOff {
    fn intent(&self, _input: &SamplingInput<'_>) -> SamplingIntent<'_> {
        SamplingIntent::default()
    }

    fn description(&self) -> String {
        "ComposableAlwaysOff".into()
    }
}

impl Composable for Probability {
    fn intent(&self, _input: &SamplingInput<'_>) -> SamplingIntent<'_> {
        self.0.threshold().map_or_else(SamplingIntent::default, SamplingIntent::reliable)
    }

    fn description(&self) -> String {
        format!("ComposableProbability{{{}}}", self.0.get())
    }
}

impl Composable for ParentThreshold {
    fn intent(&self, input: &SamplingInput<'_>) -> SamplingIntent<'_> {
        let Some(parent) = input.parent.span else { return self.root.intent(input) };
        let entry = OtEntry::of(&parent.trace_state);
        let randomness = entry.randomness().unwrap_or_else(|| Randomness::of(parent.trace_id));
        // A threshold that contradicts the sampled flag is no one's to count by ("General requirements").
        match entry.threshold().filter(|threshold| threshold.admits(randomness) == parent.is_sampled()) {
            Some(threshold) => SamplingIntent::reliable(threshold),
            None if parent.is_sampled() => {
                SamplingIntent { threshold: Some(Threshold::ALWAYS), ..SamplingIntent::default() }
            }
            None => SamplingIntent::default(),
        }
    }

    fn description(&self) -> String {
        format!("ComposableParentThreshold{{root:{}}}", self.root.description())
    }
}

impl Composable for RuleBased {
    fn intent(&self, input: &SamplingInput<'_>) -> SamplingIntent<'_> {
        let rule = self.rules.iter().find(|(predicate, _)| predicate.matches(input));
        rule.map_or_else(SamplingIntent::default, |(_, composable)| composable.intent(input))
    }

    fn description(&self) -> String {
        let rule = |(predicate, composable): &(Predicate, Arc<dyn Composable>)| {
            format!("{}:{}", predicate.description(), composable.description())
        };
        let rules: Vec<_> = self.rules.iter().map(rule).collect();
        format!("ComposableRuleBased{{{}}}", rules.join(","))
    }
}

impl Composable for Annotating {
    fn intent(&self, input: &SamplingInput<'_>) -> SamplingIntent<'_> {
        let mut intent = self.inner.intent(input);
        intent.attributes.push(Cow::Borrowed(&self.attributes));
        intent
    }

    fn description(&self) -> String {
        let keys: Vec<_> = self.attributes.iter().map(|(key, _)| key.as_str()).collect();
        format!("ComposableAnnotating{{{},{}}}", keys.join(","), self.inner.description())
    }
}
