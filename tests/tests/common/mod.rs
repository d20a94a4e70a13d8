//! What the tests with brokers have in common: how a program reaches a broker, and what a server has stored.
#![allow(dead_code, reason = "each test file uses some of it")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::HashMap;
use std::time::{Duration, Instant};

use scouter::{Connection, Environment, Settings};
use scouter_client::filters::MAX_LIMIT;
use scouter_client::{Client, ClientConfig, Record, RecordFilters, Span, Trace, TraceFilters};
use scouter_span::TraceId;
use scouter_tests::broker::{Broker, Kind};
use scouter_tests::server::Server;
use tokio::runtime::{Builder, Runtime};

/// The server that the tests kill.
pub(crate) const SERVER: &str = env!("CARGO_BIN_EXE_tests-server");

/// The way of a program to the broker.
pub(crate) fn connection(broker: &Broker) -> Connection {
    let environment: Environment = broker.settings("SCOUTER_").into_iter().collect();
    match broker.kind() {
        Kind::Tansu | Kind::Kafka => Connection::kafka(environment.kafka().unwrap()).unwrap(),
        Kind::RabbitMq => Connection::rabbitmq(environment.rabbitmq().unwrap()).unwrap(),
    }
}

/// A service of this name that sends to there.
pub(crate) fn service(name: &str, server: Connection) -> Settings {
    let mut settings = Settings::from_environment(&Environment::default()).unwrap();
    settings.server = server;
    settings.service_name = Some(name.to_owned());
    settings
}

/// Asks again and again until there is an answer.
pub(crate) fn until<T>(what: &str, limit: Duration, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "{what}: not within {limit:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Asks a server what it has stored.
pub(crate) struct Reader {
    client: Client,
    runtime: Runtime,
}

impl Reader {
    pub(crate) fn new(server: &Server) -> Self {
        let config = ClientConfig { uri: server.uri(), timeout: Duration::from_secs(60), ..ClientConfig::default() };
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        Self { client: Client::new(config).unwrap(), runtime }
    }

    /// The trace, once it has that many spans.
    pub(crate) fn trace(&self, id: TraceId, spans: usize, limit: Duration) -> Trace {
        until(&format!("{spans} spans of {id}"), limit, || {
            let trace = self.runtime.block_on(self.client.trace(id)).unwrap()?;
            assert!(trace.spans.len() <= spans, "{:?}", trace.spans);
            (trace.spans.len() == spans).then_some(trace)
        })
    }

    /// All traces, each with how many spans of it are there.
    pub(crate) fn counts(&self) -> HashMap<TraceId, u64> {
        let mut found = HashMap::new();
        let mut filters = TraceFilters { limit: Some(MAX_LIMIT), ..TraceFilters::default() };
        loop {
            let page = self.runtime.block_on(self.client.search(&filters)).unwrap();
            found.extend(page.items.iter().map(|trace| (trace.trace_id, trace.span_count)));
            filters.cursor = page.next_cursor;
            if filters.cursor.is_none() {
                return found;
            }
        }
    }

    /// All records.
    pub(crate) fn records(&self) -> Vec<Record> {
        let mut found = Vec::new();
        let mut filters = RecordFilters { limit: Some(MAX_LIMIT), ..RecordFilters::default() };
        loop {
            let page = self.runtime.block_on(self.client.records(&filters)).unwrap();
            found.extend(page.items);
            filters.cursor = page.next_cursor;
            if filters.cursor.is_none() {
                return found;
            }
        }
    }

    /// The spans of these traces.
    pub(crate) fn spans(&self, traces: &[TraceId]) -> Vec<Span> {
        let limit = u32::try_from(traces.len()).unwrap();
        let filters = TraceFilters { trace_ids: Some(traces.to_vec()), limit: Some(limit), ..TraceFilters::default() };
        self.runtime.block_on(self.client.spans(&filters)).unwrap()
    }
}
