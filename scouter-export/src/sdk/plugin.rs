//! Samplers and id generators of the SDK for our tracer provider.

use opentelemetry::trace::{Link, SpanContext, TraceContextExt};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace as sdk;
use scouter_span::id::{IdGenerator, RandomIds};
use scouter_span::otel::to_value;
use scouter_span::view::ValueView;
use scouter_span::wire::write_value;
use scouter_span::{
    OwnedValue, SamplingDecision, SamplingInput, SamplingResult, ShouldSample, SpanId, TraceId, TraceState, Value,
};

use super::encode::with_values;

/// A sampler of the SDK as one of ours, for `scouter_span::Sampler::custom`.
///
/// The parent's context is the one the span was begun in where the caller gave one of the `opentelemetry` API, else one
/// with nothing but the parent in it. Values that the API has no place for are not shown to it.
#[derive(Clone, Debug)]
pub struct Sampler(Box<dyn sdk::ShouldSample>);

/// An id generator of the SDK as one of ours. Where it gives an id of zeros, which is none, a random one is taken instead.
#[derive(Clone, Debug)]
pub struct Ids<G>(G);

impl Sampler {
    /// This sampler.
    pub fn new(sampler: impl sdk::ShouldSample + 'static) -> Self {
        Self(Box::new(sampler))
    }
}

impl<G> Ids<G> {
    /// The ids of this generator.
    pub const fn new(generator: G) -> Self {
        Self(generator)
    }
}

impl ShouldSample for Sampler {
    fn should_sample(&self, input: &SamplingInput<'_>) -> SamplingResult {
        let given = input.parent.context.and_then(|context| context.downcast_ref::<Context>());
        let parent = given.cloned().or_else(|| {
            let parent = SpanContext::from(input.parent.span?);
            Some(Context::new().with_remote_span_context(parent))
        });
        let links = input.links.iter().map(|(context, given)| Link::new((*context).into(), attributes(given), 0));
        let sdk::SamplingResult { decision, attributes, trace_state } = self.0.should_sample(
            parent.as_ref(),
            input.trace_id.into(),
            input.name,
            &input.kind.into(),
            &attributes(input.attributes),
            &links.collect::<Vec<_>>(),
        );
        let decision = match decision {
            sdk::SamplingDecision::Drop => SamplingDecision::Drop,
            sdk::SamplingDecision::RecordOnly => SamplingDecision::RecordOnly,
            sdk::SamplingDecision::RecordAndSample => SamplingDecision::RecordAndSample,
        };
        let owned = |values: &[(&str, Value<'_>)]| {
            values.iter().map(|(key, value)| ((*key).to_owned(), OwnedValue::from(*value))).collect()
        };
        let attributes = with_values(&attributes, owned);
        SamplingResult { decision, attributes, trace_state: Some(TraceState::from(&trace_state)) }
    }

    fn description(&self) -> String {
        format!("{:?}", self.0)
    }
}

impl<G: sdk::IdGenerator> IdGenerator for Ids<G> {
    fn new_trace_id(&self) -> TraceId {
        self.0.new_trace_id().try_into().unwrap_or_else(|_| RandomIds.new_trace_id())
    }

    fn new_span_id(&self) -> SpanId {
        self.0.new_span_id().try_into().unwrap_or_else(|_| RandomIds.new_span_id())
    }
}

/// Attributes as the API has them.
pub(super) fn attributes(attributes: &[(&str, Value<'_>)]) -> Vec<KeyValue> {
    let one = |(key, value): &(&str, Value<'_>)| {
        let mut content = Vec::new();
        write_value(&mut content, *value, usize::MAX);
        Some(KeyValue::new((*key).to_owned(), to_value(ValueView::new(&content))?))
    };
    attributes.iter().filter_map(one).collect()
}
