//! The whole path: tracer, pipeline, transport, server, store, client. Real parts, over every transport.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::net::SocketAddr;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use scouter::transport::{Compression, ContentType, Endpoint};
use scouter::{Collector, Connection, Environment, Protocol, Scouter, Settings};
use scouter_client::{Client, ClientConfig, Trace};
use scouter_server::{Config, Server};
use scouter_span::{SpanKind, StatusCode, TraceId};
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;

const LONG: Duration = Duration::from_secs(30);

/// A server on a thread of its own. Dropping it stops it in order.
struct Running {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Running {
    fn start(directory: &TempDir, listen: SocketAddr) -> Self {
        let mut config = Config::new(directory.path());
        config.listen = listen;
        let (tell, told) = std::sync::mpsc::channel();
        let (stop, stopped) = oneshot::channel();
        let work = move || {
            runtime().block_on(async {
                let server = Server::bind(config).await.unwrap();
                tell.send(server.local_addr()).unwrap();
                server.serve(async { stopped.await.unwrap_or(()) }).await.unwrap();
            });
        };
        let thread = std::thread::Builder::new().spawn(work).unwrap();
        Self { address: told.recv_timeout(LONG).unwrap(), stop: Some(stop), thread: Some(thread) }
    }

    fn anywhere(directory: &TempDir) -> Self {
        Self::start(directory, SocketAddr::from(([127, 0, 0, 1], 0)))
    }

    fn trace(&self, id: TraceId) -> Option<Trace> {
        let config = ClientConfig { uri: format!("http://{}", self.address), ..ClientConfig::default() };
        let client = Client::new(config).unwrap();
        runtime().block_on(client.trace(id)).unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

fn connection(protocol: Protocol, address: SocketAddr) -> Connection {
    Connection::new(protocol, Endpoint::from_user(&format!("http://{address}")).unwrap())
}

fn settings(server: Connection) -> Settings {
    let mut settings = Settings::from_environment(&Environment::default()).unwrap();
    settings.server = server;
    settings.service_name = Some("shop".to_owned());
    settings
}

/// A root with a child that failed and a grandchild; the root has an attribute.
fn work(scouter: &Scouter) -> TraceId {
    let tracer = scouter.tracer("tests");
    let mut root = tracer.span("checkout").kind(SpanKind::Server).start();
    root.set_attribute("cart.items", 3);
    let mut child = tracer.span("pay").parent(Some(root.context())).start();
    tracer.span("book").parent(Some(child.context())).start().end();
    child.set_status(StatusCode::Error, "card declined");
    child.end();
    root.end();
    root.context().trace_id
}

/// The tree as text: depth, service, name, status.
fn shape(trace: &Trace) -> Vec<String> {
    let line = |span: &scouter_client::Span| {
        format!("{}{} {} {}", "  ".repeat(span.depth as usize), span.service_name, span.name, span.status.code.name())
    };
    trace.spans.iter().map(line).collect()
}

const EXPECTED: [&str; 3] = ["shop checkout UNSET", "  shop pay ERROR", "    shop book UNSET"];

#[test]
fn a_trace_arrives_over_every_transport() {
    use ContentType::{Json, Protobuf};
    for (protocol, content, compression) in [
        (Protocol::Http, Protobuf, Compression::None),
        (Protocol::Http, Protobuf, Compression::Gzip),
        (Protocol::Http, Json, Compression::None),
        (Protocol::Http, Json, Compression::Gzip),
        (Protocol::Grpc, Protobuf, Compression::None),
        (Protocol::Grpc, Protobuf, Compression::Gzip),
    ] {
        let directory = TempDir::new().unwrap();
        let server = Running::anywhere(&directory);
        let mut connection = connection(protocol.clone(), server.address);
        (connection.content, connection.compression) = (content, compression);
        let scouter = settings(connection).start().unwrap();
        let id = work(&scouter);
        scouter.flush(LONG).unwrap();
        let trace = server.trace(id).unwrap();
        assert_eq!(shape(&trace), EXPECTED, "{protocol:?} {content:?} {compression:?}");
        assert_eq!(trace.spans[0].attributes["cart.items"], 3);

        let stats = scouter.stats().unwrap();
        let destination = &stats.destinations[0];
        assert_eq!((stats.started, destination.exported, destination.queued), (3, 3, 0));
    }
}

#[test]
fn a_second_destination_gets_the_same_spans_and_a_dead_one_holds_nothing_up() {
    let directories = [TempDir::new().unwrap(), TempDir::new().unwrap()];
    let servers = directories.each_ref().map(Running::anywhere);
    let mut both = settings(connection(Protocol::Http, servers[0].address));
    both.collectors.push(Collector::new("otel", connection(Protocol::Grpc, servers[1].address)));
    let scouter = both.start().unwrap();
    let id = work(&scouter);
    scouter.flush(LONG).unwrap();
    for server in &servers {
        assert_eq!(shape(&server.trace(id).unwrap()), EXPECTED);
    }
    drop(scouter);

    // Port 9 discards, where anything listens on it at all.
    let mut dead = settings(connection(Protocol::Http, servers[0].address));
    let nobody = SocketAddr::from(([127, 0, 0, 1], 9));
    dead.collectors.push(Collector::new("otel", connection(Protocol::Http, nobody)));
    let scouter = dead.start().unwrap();
    let id = work(&scouter);
    let outcome = scouter.flush(Duration::from_secs(2));
    assert!(outcome.is_err(), "the dead destination cannot have answered");
    assert_eq!(shape(&servers[0].trace(id).unwrap()), EXPECTED);
    let stats = scouter.stats().unwrap();
    assert_eq!((stats.destinations[0].exported, stats.destinations[1].queued), (3, 3));
    assert!(scouter.shutdown(Duration::from_millis(100)).is_err());
    // The worker counts what it drops right after the deadline that ended the call.
    let deadline = Instant::now() + LONG;
    while scouter.stats().unwrap().destinations[1].dropped.total() < 3 {
        assert!(Instant::now() < deadline, "{:?}", scouter.stats());
        std::thread::yield_now();
    }
}

#[test]
fn spans_made_while_the_server_is_away_arrive_when_it_comes_back() {
    let directory = TempDir::new().unwrap();
    let address = Running::anywhere(&directory).address;
    let scouter = settings(connection(Protocol::Http, address)).start().unwrap();
    let id = work(&scouter);
    assert!(scouter.flush(Duration::from_millis(300)).is_err());
    let server = Running::start(&directory, address);
    scouter.flush(LONG).unwrap();
    assert_eq!(shape(&server.trace(id).unwrap()), EXPECTED);
    assert_eq!(scouter.stats().unwrap().destinations[0].exported, 3);
}
