//! Plug-ins of the SDK on our tracer provider.

use std::sync::{Arc, Mutex};

use opentelemetry::baggage::BaggageExt;
use opentelemetry::trace::{self as api, Link, SpanKind, TraceContextExt, TraceState};
use opentelemetry::{Context, KeyValue, Value as ApiValue};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{self as sdk_trace, SamplingDecision, SamplingResult, SpanData};
use scouter_export::sdk;
use scouter_span::view::ValueView;
use scouter_span::{FinishedSpan, Sampler, Scope, SpanContext, SpanSink, TraceFlags, TracerProvider, Value};
use scouter_span::{SpanId, StatusCode, TraceId};

use super::common::resource;

/// Takes spans and keeps their bytes.
#[derive(Debug, Default)]
struct Sink(Mutex<Vec<Vec<u8>>>);

impl SpanSink for Sink {
    fn register(&self, _: &Arc<Scope>) -> scouter_span::scope::ScopeId {
        scouter_span::scope::ScopeId(0)
    }

    fn accept(&self, span: FinishedSpan<'_>) {
        self.0.lock().unwrap().push(span.bytes.to_vec());
    }
}

/// What a sampler was asked.
type Asked = (Option<api::SpanContext>, Option<String>, api::TraceId, String, SpanKind, Vec<KeyValue>, usize);

#[derive(Clone, Debug, Default)]
struct Curious(Arc<Mutex<Vec<Asked>>>);

impl sdk_trace::ShouldSample for Curious {
    fn should_sample(
        &self,
        parent: Option<&Context>,
        trace_id: api::TraceId,
        name: &str,
        kind: &SpanKind,
        attributes: &[KeyValue],
        links: &[Link],
    ) -> SamplingResult {
        let context = parent.map(|parent| parent.span().span_context().clone());
        let baggage = parent.and_then(|parent| parent.baggage().get("user").map(ToString::to_string));
        let asked = (context, baggage, trace_id, name.to_owned(), kind.clone(), attributes.to_vec(), links.len());
        self.0.lock().unwrap().push(asked);
        let decision = match name {
            "drop" => SamplingDecision::Drop,
            "record" => SamplingDecision::RecordOnly,
            _ => SamplingDecision::RecordAndSample,
        };
        let trace_state = TraceState::from_key_value([("sampler", "was-here")]).unwrap();
        SamplingResult { decision, attributes: vec![KeyValue::new("sampled.by", "curious")], trace_state }
    }
}

#[test]
fn a_sampler_of_the_sdk_decides() {
    let curious = Curious::default();
    let provider = TracerProvider::builder(resource(), Arc::new(Sink::default()))
        .sampler(Sampler::custom(sdk::Sampler::new(curious.clone())))
        .build();
    let tracer = provider.tracer(Scope::new("scope", "", "", &[]));
    let parent = SpanContext {
        is_remote: true,
        ..SpanContext::new(TraceId::from_int(7).unwrap(), SpanId::from_int(8).unwrap(), TraceFlags::SAMPLED)
    };
    let list = [Value::I64(1), Value::I64(2)];
    let attributes = [("text", Value::Str("x")), ("list", Value::Array(&list)), ("bytes", Value::Bytes(b"x"))];
    let span = tracer.span("span").parent(Some(&parent)).attributes(&attributes).start();
    assert_eq!(span.context().trace_state.to_string(), "sampler=was-here");
    assert_eq!(span.view().unwrap().attributes().get("sampled.by"), Some(ValueView::Str("curious")));
    let (context, _, trace_id, name, kind, attributes, links) = curious.0.lock().unwrap().remove(0);
    assert_eq!(context, Some(api::SpanContext::from(&parent)));
    assert_eq!((trace_id, name.as_str(), kind, links), (api::TraceId::from(7), "span", SpanKind::Internal, 0));
    // The API has no bytes.
    let list = ApiValue::Array(vec![1_i64, 2].into());
    assert_eq!(attributes, [KeyValue::new("text", "x"), KeyValue::new("list", list)]);

    let context = Context::new().with_baggage([KeyValue::new("user", "ann")]);
    let record = tracer.span("record").context(&context).start();
    assert!(record.is_recording() && !record.context().is_sampled());
    assert_eq!(curious.0.lock().unwrap().remove(0).1.as_deref(), Some("ann"));
    assert!(!tracer.span("drop").start().is_recording());
}

#[test]
fn the_sdk_s_own_samplers_work() {
    let sampler = sdk_trace::Sampler::ParentBased(Box::new(sdk_trace::Sampler::AlwaysOff));
    let provider = TracerProvider::builder(resource(), Arc::new(Sink::default()))
        .sampler(Sampler::custom(sdk::Sampler::new(sampler)))
        .build();
    let tracer = provider.tracer(Scope::new("scope", "", "", &[]));
    assert!(!tracer.span("root").start().is_recording());
    let below = |flags| SpanContext::new(TraceId::from_int(7).unwrap(), SpanId::from_int(8).unwrap(), flags);
    assert!(tracer.span("child").parent(Some(&below(TraceFlags::SAMPLED))).start().context().is_sampled());
    assert!(!tracer.span("child").parent(Some(&below(TraceFlags::NONE))).start().is_recording());
}

/// Counts, and gives no id every other time.
#[derive(Debug, Default)]
struct Counting(Mutex<u64>);

impl sdk_trace::IdGenerator for Counting {
    fn new_trace_id(&self) -> api::TraceId {
        api::TraceId::from(u128::from(*self.0.lock().unwrap()))
    }

    fn new_span_id(&self) -> api::SpanId {
        let mut number = self.0.lock().unwrap();
        *number += 1;
        api::SpanId::from(*number - 1)
    }
}

#[test]
fn an_id_generator_of_the_sdk_gives_ids() {
    let provider = TracerProvider::builder(resource(), Arc::new(Sink::default()))
        .ids(Arc::new(sdk::Ids::new(Counting::default())))
        .build();
    let tracer = provider.tracer(Scope::new("scope", "", "", &[]));
    // The generator's zeros are no ids.
    assert!(tracer.span("span").start().context().trace_id.to_int() > 1);
    let ids: Vec<_> = (0..2).map(|_| tracer.span("span").start().context().span_id.to_int()).collect();
    assert_eq!(ids, [1, 2]);
}

/// Does in both hooks what processors of the SDK do.
#[derive(Clone, Debug, Default)]
struct Busy(Arc<Mutex<Vec<SpanData>>>);

impl sdk_trace::SpanProcessor for Busy {
    fn on_start(&self, span: &mut sdk_trace::Span, context: &Context) {
        use opentelemetry::trace::Span;
        let seen = span.exported_data().unwrap();
        assert_eq!(seen.span_context, *span.span_context());
        self.0.lock().unwrap().push(seen);
        let user = context.baggage().get("user").map(ToString::to_string);
        span.set_attribute(KeyValue::new("user", user.unwrap_or_default()));
        span.set_attribute(KeyValue::new("tier", "gold"));
        span.add_event("begun", vec![KeyValue::new("by", "busy")]);
        span.update_name("renamed");
        span.set_status(api::Status::error("not yet"));
    }

    fn on_end(&self, span: SpanData) {
        self.0.lock().unwrap().push(span);
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: std::time::Duration) -> OTelSdkResult {
        Err(opentelemetry_sdk::error::OTelSdkError::AlreadyShutdown)
    }
}

#[test]
fn a_processor_of_the_sdk_sees_and_changes_our_spans() {
    let (busy, sink) = (Busy::default(), Arc::new(Sink::default()));
    let provider = TracerProvider::builder(resource(), Arc::clone(&sink) as Arc<dyn SpanSink>)
        .processor(Arc::new(sdk::OwnProcessor::new(busy.clone(), &resource())))
        .build();
    let tracer = provider.tracer(Scope::new("scope", "1", "https://schema", &[]));
    let parent = SpanContext {
        is_remote: true,
        ..SpanContext::new(TraceId::from_int(7).unwrap(), SpanId::from_int(8).unwrap(), TraceFlags::SAMPLED)
    };
    let context = Context::new()
        .with_remote_span_context(api::SpanContext::from(&parent))
        .with_baggage([KeyValue::new("user", "ann")]);
    let given = [("tier", Value::Str("silver")), ("kept", Value::I64(1))];
    let mut span = tracer.span("span").parent(Some(&parent)).context(&context).attributes(&given).start();
    let id = api::SpanContext::from(span.context());
    assert_eq!(span.status(), (StatusCode::Error, "not yet"));
    span.set_attribute("later", 2);
    span.end();
    let [begun, ended] = <[SpanData; 2]>::try_from(std::mem::take(&mut *busy.0.lock().unwrap())).unwrap();
    assert_eq!((&begun.span_context, &ended.span_context), (&id, &id));
    assert_eq!((&*begun.name, begun.parent_span_id, begun.parent_span_is_remote), ("span", api::SpanId::from(8), true));
    assert_eq!(begun.attributes, [KeyValue::new("tier", "silver"), KeyValue::new("kept", 1)]);
    assert_eq!((begun.instrumentation_scope.name(), begun.start_time), ("scope", ended.start_time));
    assert_eq!(&*ended.name, "renamed");
    let mut keys: Vec<_> = ended.attributes.iter().map(|one| (one.key.as_str(), one.value.to_string())).collect();
    keys.sort();
    let expected = [("kept", "1"), ("later", "2"), ("tier", "gold"), ("user", "ann")];
    assert_eq!(keys, expected.map(|(key, value)| (key, value.to_owned())));
    assert_eq!(
        (ended.events[0].name.as_ref(), &ended.events[0].attributes[0]),
        ("begun", &KeyValue::new("by", "busy"))
    );
    assert_eq!((ended.status, sink.0.lock().unwrap().len()), (api::Status::error("not yet"), 1));
    assert!(provider.force_flush(super::common::SOON));
    assert!(!provider.shutdown(super::common::SOON));
}

#[test]
fn a_span_that_is_recorded_only_reaches_the_processor_too() {
    let busy = Busy::default();
    let provider = TracerProvider::builder(resource(), Arc::new(Sink::default()))
        .sampler(Sampler::always_record(Sampler::AlwaysOff))
        .processor(Arc::new(sdk::OwnProcessor::new(busy.clone(), &resource())))
        .build();
    provider.tracer(Scope::new("scope", "", "", &[])).span("span").start().end();
    let seen = busy.0.lock().unwrap();
    assert!(seen.len() == 2 && seen.iter().all(|span| !span.span_context.is_sampled()));
}
