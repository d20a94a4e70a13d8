//! A pipeline behind a provider of the SDK.

use std::sync::Arc;
use std::time::Duration;

use opentelemetry::trace::{Span, TraceContextExt, Tracer, TracerProvider};
use opentelemetry::{Context, InstrumentationScope, KeyValue};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkError;
use opentelemetry_sdk::trace::{BatchSpanProcessor, Sampler, SdkTracerProvider, SpanProcessor};
use scouter_export::{BatchConfig, DropReason, Pipeline, Stats, Worker, sdk};
use scouter_transport::memory::Memory;

use super::common::*;

fn pipeline(config: BatchConfig, memory: &Memory) -> Arc<Pipeline> {
    let worker = Worker::start().unwrap();
    Pipeline::builder(resource()).batch(config).destination(to("a", memory)).build(&worker).unwrap()
}

fn service() -> Resource {
    Resource::builder_empty().with_attribute(KeyValue::new("service.name", "shop")).build()
}

/// What the payloads say the resource is.
fn services(memory: &Memory) -> Vec<String> {
    let resources = memory.payloads().into_iter().flat_map(|payload| decode(&payload).resource_spans);
    resources.map(|group| format!("{:?}", group.resource.unwrap().attributes[0].value)).collect()
}

fn exported(stats: &Stats) -> (u64, u64) {
    (stats.started, stats.destinations[0].exported)
}

#[test]
fn a_pipeline_is_a_processor_of_the_sdk() {
    let memory = memory();
    let pipeline = pipeline(batches_of(1000), &memory);
    let provider = SdkTracerProvider::builder()
        .with_resource(service())
        .with_span_processor(sdk::Processor::new(Arc::clone(&pipeline)))
        .build();
    let scope = |name| InstrumentationScope::builder(name).with_version("2").with_schema_url("https://schema").build();
    for name in ["one", "two", "one"] {
        let tracer = provider.tracer_with_scope(scope(name));
        tracer.start("parent").set_attribute(KeyValue::new("key", "value"));
    }
    provider.force_flush().unwrap();
    assert_eq!(exported(&pipeline.stats()), (3, 3));
    let request = decode(&memory.payloads()[0]);
    let groups: Vec<_> = request.resource_spans[0]
        .scope_spans
        .iter()
        .map(|group| (group.scope.as_ref().unwrap().name.clone(), group.schema_url.clone(), group.spans.len()))
        .collect();
    assert_eq!(groups, [("one".into(), "https://schema".into(), 2), ("two".into(), "https://schema".into(), 1)]);
    assert!(services(&memory).iter().all(|service| service.contains("shop")), "{:?}", services(&memory));

    provider.tracer("late").start("late").end();
    provider.shutdown().unwrap();
    assert_eq!(exported(&pipeline.stats()), (4, 4));
    assert_eq!(pipeline.shutdown(SOON), Ok(()));
}

#[test]
fn what_the_sdk_does_not_sample_stays_away() {
    let memory = memory();
    let pipeline = pipeline(batches_of(1000), &memory);
    let provider = SdkTracerProvider::builder()
        .with_sampler(Sampler::AlwaysOff)
        .with_span_processor(sdk::Processor::new(Arc::clone(&pipeline)))
        .build();
    provider.tracer("t").start("span").end();
    provider.force_flush().unwrap();
    assert_eq!(exported(&pipeline.stats()), (0, 0));
}

#[test]
fn parents_and_children_of_many_threads_arrive_whole() {
    let memory = memory();
    let pipeline = pipeline(batches_of(64), &memory);
    let provider = SdkTracerProvider::builder().with_span_processor(sdk::Processor::new(Arc::clone(&pipeline))).build();
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let tracer = provider.tracer("t");
                for _ in 0..300 {
                    let parent = Context::new().with_span(tracer.start("parent"));
                    tracer.start_with_context("child", &parent).end();
                    parent.span().end();
                }
            });
        }
    });
    provider.force_flush().unwrap();
    let spans: Vec<_> = memory.payloads().iter().flat_map(|payload| sdk::decode(&payload.body).unwrap()).collect();
    let spans: Vec<_> = spans.into_iter().flat_map(|batch| batch.spans).collect();
    assert_eq!(spans.len(), 1800);
    for child in spans.iter().filter(|span| span.name == "child") {
        let parent = spans.iter().find(|span| span.span_context.span_id() == child.parent_span_id).unwrap();
        assert_eq!((&*parent.name, parent.span_context.trace_id()), ("parent", child.span_context.trace_id()));
    }
}

#[test]
fn a_pipeline_is_an_exporter_of_the_sdk() {
    let memory = memory();
    let pipeline = pipeline(batches_of(1000), &memory);
    let exporter = sdk::Exporter::new(Arc::clone(&pipeline));
    let provider = SdkTracerProvider::builder()
        .with_resource(service())
        .with_span_processor(BatchSpanProcessor::builder(exporter).build())
        .build();
    let tracer = provider.tracer("t");
    (0..5).for_each(|_| tracer.start("span").end());
    provider.shutdown().unwrap();
    assert_eq!(exported(&pipeline.stats()), (5, 5));
    assert!(services(&memory)[0].contains("shop"));
}

#[test]
fn an_exporter_says_when_there_was_no_room() {
    use opentelemetry_sdk::trace::SpanExporter;
    let memory = memory();
    let pipeline = pipeline(batches_of(1000), &memory);
    let exporter = sdk::Exporter::new(Arc::clone(&pipeline));
    let span = {
        let keeper = super::Keeper::default();
        let provider = SdkTracerProvider::builder().with_simple_exporter(keeper.clone()).build();
        provider.tracer("t").start("span").end();
        keeper.spans().remove(0)
    };
    wait(exporter.export(vec![span.clone()])).unwrap();
    assert_eq!(memory.received(), 0);
    exporter.force_flush().unwrap();
    assert_eq!(memory.received(), 1);
    exporter.shutdown().unwrap();
    let Err(OTelSdkError::InternalFailure(text)) = wait(exporter.export(vec![span.clone(), span])) else {
        panic!("there is no room any more")
    };
    assert!(text.contains("2 of 2"), "{text}");
    assert_eq!(pipeline.stats().destinations[0].dropped[DropReason::Shutdown], 2);
}

#[test]
fn deadlines_of_the_sdk_hold() {
    let memory = memory();
    memory.hold();
    let pipeline = pipeline(batches_of(1), &memory);
    let processor = sdk::Processor::new(pipeline);
    let provider = SdkTracerProvider::builder().with_simple_exporter(super::Keeper::default()).build();
    let span = provider.tracer("t").start("span");
    processor.on_end(span.exported_data().unwrap());
    let short = Duration::from_millis(30);
    let outcome = processor.shutdown_with_timeout(short);
    assert!(matches!(outcome, Err(OTelSdkError::Timeout(time)) if time == short), "{outcome:?}");
}
