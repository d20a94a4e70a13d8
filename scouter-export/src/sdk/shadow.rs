//! A span processor of the SDK for our tracer provider.

use std::cell::RefCell;
use std::time::Duration;

use opentelemetry::trace::{
    Link, SpanBuilder, SpanContext, SpanId, SpanKind, Status, TraceContextExt, TraceId, Tracer, TracerProvider,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::{
    self as sdk, IdGenerator, SamplingDecision, SamplingResult, SdkTracerProvider, ShouldSample, SpanData, SpanLimits,
};
use scouter_span::otel::unix_nanoseconds;
use scouter_span::{Parent, Resource, Scope, Span, SpanProcessor, StatusCode};

use super::decode::{self, to_scope};
use super::encode::with_values;

/// A span processor that was written for the SDK, for `TracerProviderBuilder::processor`.
///
/// The SDK lets a processor see its own kind of span only. So `on_start` is given one that is made for the call, with our
/// span's ids, parent, name, kind, start, attributes and links; what the processor sets on it is set on our span
/// afterwards. Ending it in there has no effect. `on_end` is given the finished span's data. All of that takes some
/// microseconds a span: it is for processors that exist already, new ones should speak [`SpanProcessor`].
#[derive(Debug)]
pub struct OwnProcessor<P> {
    processor: P,
    /// Makes the spans for `on_start`; nobody takes what they record.
    provider: SdkTracerProvider,
}

thread_local! {
    /// What the next span of such a provider is to be like.
    static LIKENESS: RefCell<SpanContext> = const { RefCell::new(SpanContext::NONE) };
}

/// Gives the ids and the decision of the likeness.
#[derive(Clone, Debug)]
struct Imitator;

impl<P: sdk::SpanProcessor> OwnProcessor<P> {
    /// This processor, told that its spans belong to this resource.
    pub fn new(mut processor: P, resource: &Resource) -> Self {
        let sdk_resource = decode::to_resource(resource.view().attributes(), resource.schema_url());
        processor.set_resource(&sdk_resource);
        // Ours have been applied already, and will be.
        let limits = SpanLimits {
            max_events_per_span: u32::MAX,
            max_attributes_per_span: u32::MAX,
            max_links_per_span: u32::MAX,
            max_attributes_per_event: u32::MAX,
            max_attributes_per_link: u32::MAX,
        };
        let provider = SdkTracerProvider::builder()
            .with_resource(sdk_resource)
            .with_id_generator(Imitator)
            .with_sampler(Imitator)
            .with_span_limits(limits)
            .build();
        Self { processor, provider }
    }

    /// What is behind it.
    pub const fn processor(&self) -> &P {
        &self.processor
    }
}

impl<P: sdk::SpanProcessor> SpanProcessor for OwnProcessor<P> {
    fn on_start(&self, span: &mut Span, parent: Parent<'_>) {
        let Some(before) = data(span) else { return };
        let context = parent.context.and_then(|context| context.downcast_ref::<Context>()).cloned();
        let context = context.unwrap_or_else(|| match parent.span {
            Some(parent) => Context::new().with_remote_span_context(parent.into()),
            None => Context::new(),
        });
        LIKENESS.set(SpanContext::from(span.context()));
        let tracer = self.provider.tracer_with_scope(before.instrumentation_scope.clone());
        let builder = SpanBuilder::from_name(before.name.clone())
            .with_kind(before.span_kind.clone())
            .with_start_time(before.start_time)
            .with_attributes(before.attributes.clone())
            .with_links(before.links.links.clone());
        let mut shadow = tracer.build_with_context(builder, &context);
        LIKENESS.set(SpanContext::NONE);
        self.processor.on_start(&mut shadow, &context);
        if let Some(after) = shadow.exported_data() {
            carry_over(span, &before, &after);
        }
    }

    fn on_end(&self, span: &Span) {
        if let Some(data) = data(span) {
            self.processor.on_end(data);
        }
    }

    fn force_flush(&self, _: Duration) -> bool {
        self.processor.force_flush().is_ok()
    }

    fn shutdown(&self, timeout: Duration) -> bool {
        self.processor.shutdown_with_timeout(timeout).is_ok()
    }
}

fn data(span: &Span) -> Option<SpanData> {
    let scope = to_scope(span.scope()?.view(), span.scope().map_or("", Scope::schema_url));
    decode::span(&span.view()?, &scope)
}

/// Does to our span what was done to its likeness.
fn carry_over(span: &mut Span, before: &SpanData, after: &SpanData) {
    if after.name != before.name {
        span.update_name(&after.name);
    }
    let last = |attributes: &[KeyValue], key| {
        attributes.iter().rfind(|known| known.key == key).map(|known| known.value.clone())
    };
    for (at, attribute) in after.attributes.iter().enumerate() {
        let again = after.attributes[at + 1..].iter().any(|later| later.key == attribute.key);
        if !again && last(&before.attributes, attribute.key.clone()).as_ref() != Some(&attribute.value) {
            with_values(std::slice::from_ref(attribute), |values| {
                values.iter().for_each(|(key, value)| span.set_attribute(key, *value));
            });
        }
    }
    for event in after.events.iter().skip(before.events.len()) {
        with_values(&event.attributes, |values| {
            span.add_event_at(&event.name, unix_nanoseconds(event.timestamp), values);
        });
    }
    for link in after.links.iter().skip(before.links.len()) {
        if let Ok(to) = (&link.span_context).try_into() {
            with_values(&link.attributes, |values| span.add_link(&to, values));
        }
    }
    match &after.status {
        Status::Unset => {}
        Status::Ok => span.set_status(StatusCode::Ok, ""),
        Status::Error { description } => span.set_status(StatusCode::Error, description),
    }
}

impl IdGenerator for Imitator {
    fn new_trace_id(&self) -> TraceId {
        LIKENESS.with_borrow(SpanContext::trace_id)
    }

    fn new_span_id(&self) -> SpanId {
        LIKENESS.with_borrow(SpanContext::span_id)
    }
}

impl ShouldSample for Imitator {
    fn should_sample(
        &self,
        _: Option<&Context>,
        _: TraceId,
        _: &str,
        _: &SpanKind,
        _: &[KeyValue],
        _: &[Link],
    ) -> SamplingResult {
        let context = LIKENESS.with_borrow(SpanContext::clone);
        let decision =
            if context.is_sampled() { SamplingDecision::RecordAndSample } else { SamplingDecision::RecordOnly };
        SamplingResult { decision, attributes: Vec::new(), trace_state: context.trace_state().clone() }
    }
}
