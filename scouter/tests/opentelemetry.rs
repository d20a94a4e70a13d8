//! Programs that speak `opentelemetry` record through Scouter.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::time::Duration;

use opentelemetry::trace::{Span as _, TraceContextExt as _, Tracer as _, TracerProvider as _};
use opentelemetry::{Context, KeyValue, global};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;
use scouter::transport::Endpoint;
use scouter::transport::memory::Memory;
use scouter::{Connection, Environment, Protocol, Scouter, Settings};

fn started(memory: &Memory) -> Scouter {
    let environment: Environment = [("OTEL_SERVICE_NAME".to_owned(), "shop".to_owned())].into_iter().collect();
    let mut settings = Settings::from_environment(&environment).unwrap();
    settings.server =
        Connection::new(Protocol::Memory(memory.clone()), Endpoint::base("http://localhost:8000").unwrap());
    settings.start().unwrap()
}

#[test]
fn spans_of_the_api_nest_and_arrive_under_the_service() {
    let memory = Memory::default();
    let scouter = started(&memory);
    global::set_tracer_provider(scouter.opentelemetry());
    global::tracer("library").in_span("outer", |outer: Context| {
        outer.span().set_attribute(KeyValue::new("items", 3));
        let own = scouter.opentelemetry().tracer("own");
        own.start("inner").end();
    });
    scouter.flush(Duration::from_secs(30)).unwrap();

    let request = ExportTraceServiceRequest::decode(memory.payloads()[0].body.clone()).unwrap();
    let resource = request.resource_spans[0].resource.as_ref().unwrap();
    let service = resource.attributes.iter().find(|attribute| attribute.key == "service.name").unwrap();
    assert!(format!("{:?}", service.value).contains("shop"));
    let scopes = &request.resource_spans[0].scope_spans;
    let spans: Vec<_> = scopes.iter().flat_map(|scope| &scope.spans).collect();
    let named = |name: &str| spans.iter().find(|span| span.name == name).unwrap();
    assert_eq!(named("inner").parent_span_id, named("outer").span_id);
    assert_eq!(named("outer").attributes[0].key, "items");
    assert_eq!(scopes.len(), 2);
}

#[test]
fn dropping_the_handle_sends_what_is_left_and_ends_recording() {
    let memory = Memory::default();
    let scouter = started(&memory);
    let tracer = scouter.tracer("t");
    tracer.span("left").start().end();
    drop(scouter);
    assert_eq!(memory.payloads().len(), 1);
    assert!(!tracer.span("late").start().is_recording());
}
