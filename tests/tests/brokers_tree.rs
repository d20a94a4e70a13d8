//! One trace of three services is the same tree, whatever way its spans took.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use std::time::Duration;

use common::{Reader, SERVER, connection, service};
use scouter::transport::Endpoint;
use scouter::{Connection, Protocol, Scouter};
use scouter_client::{Span, Trace};
use scouter_span::{SpanContext, SpanKind, StatusCode, TraceId};
use scouter_tests::broker::{Broker, Kind};
use scouter_tests::server::Server;
use tempfile::TempDir;

const LONG: Duration = Duration::from_secs(60);

/// The three services of the example, all sending the same way.
struct Services {
    orchestrator: Scouter,
    hello: Scouter,
    goodbye: Scouter,
}

impl Services {
    fn start(connection: &Connection) -> Self {
        let start = |name| service(name, connection.clone()).start().unwrap();
        Self { orchestrator: start("orchestrator"), hello: start("hello"), goodbye: start("goodbye") }
    }

    /// One request through all three.
    fn greet(&self) -> TraceId {
        let mut root = self.orchestrator.tracer("tests").span("greet").start();
        root.set_attribute("name", "Alice");
        answer(&self.hello, "hello", root.context(), StatusCode::Ok);
        answer(&self.goodbye, "goodbye", root.context(), StatusCode::Error);
        root.end();
        for service in [&self.orchestrator, &self.hello, &self.goodbye] {
            service.flush(LONG).unwrap();
        }
        root.context().trace_id
    }
}

fn answer(service: &Scouter, name: &str, caller: &SpanContext, status: StatusCode) {
    let tracer = service.tracer("tests");
    let mut request = tracer.span(&format!("GET /{name}")).kind(SpanKind::Server).parent(Some(caller)).start();
    request.set_attribute("http.response.status_code", 200);
    let mut inner = tracer.span(&format!("{name}.build")).parent(Some(request.context())).start();
    inner.set_attribute("words", 2.5);
    inner.add_event("built", &[("polite", true.into())]);
    inner.set_status(status, if status == StatusCode::Error { "no words" } else { "" });
    inner.end();
    request.end();
}

/// All of a trace that is the same every time: not ids and times.
fn shape(trace: &Trace) -> Vec<String> {
    let line = |span: &Span| {
        let events: Vec<&str> = span.events.iter().map(|event| &*event.name).collect();
        let attributes = serde_json::to_string(&span.attributes).unwrap();
        format!(
            "{}{} {} {:?} {:?} {:?} {attributes} {events:?} {}",
            "  ".repeat(span.depth as usize),
            span.service_name,
            span.name,
            span.kind,
            span.status.code,
            span.status.message,
            span.scope.name,
        )
    };
    trace.spans.iter().map(line).collect()
}

fn over_a_protocol(protocol: Protocol) -> Vec<String> {
    let directory = TempDir::new().unwrap();
    let server = Server::start(SERVER, directory.path(), Vec::<(String, String)>::new());
    let services = Services::start(&Connection::new(protocol, Endpoint::from_user(&server.uri()).unwrap()));
    shape(&Reader::new(&server).trace(services.greet(), 5, LONG))
}

fn over_a_broker(kind: Kind) -> Vec<String> {
    let broker = Broker::start_with(kind, &["--topic", "otlp_spans", "--topic", "otlp_logs"]);
    let directory = TempDir::new().unwrap();
    let server = Server::start(SERVER, directory.path(), broker.settings("SCOUTER_SERVER_"));
    let services = Services::start(&connection(&broker));
    shape(&Reader::new(&server).trace(services.greet(), 5, LONG))
}

#[test]
fn the_tree_is_the_same_over_http_grpc_and_every_broker() {
    let expected = over_a_protocol(Protocol::Http);
    assert_eq!(expected.len(), 5);
    let names = ["greet", "GET /hello", "hello.build", "GET /goodbye", "goodbye.build"];
    for (line, name) in expected.iter().zip(names) {
        assert!(line.contains(name), "{expected:#?}");
    }
    assert_eq!(over_a_protocol(Protocol::Grpc), expected, "gRPC");
    for kind in Kind::kafkas().into_iter().chain([Kind::RabbitMq]) {
        assert_eq!(over_a_broker(kind), expected, "{kind:?}");
    }
}
