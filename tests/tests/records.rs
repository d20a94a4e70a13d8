//! Records from a program to the server and back, with the spans they belong to, while the server is killed.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use std::collections::HashSet;
use std::time::Duration;

use common::{SERVER, service};
use scouter::queue::{
    Content, Entity, EvalRecord, Feature, FeatureSpec, FeatureType, Features, Metric, MetricSpec, Metrics, Outcome,
    Profile, Record, ScouterQueue, Task,
};
use scouter::span::{Ratio, SpanContext, TraceId};
use scouter::transport::{Compression, ContentType, Endpoint};
use scouter::{Connection, Protocol, Settings};
use scouter_client::{Client, ClientConfig, RecordFilters, TagFilters, TraceFilters};
use scouter_tests::server::Server;
use serde_json::{Map, json};
use tempfile::TempDir;
use tokio::runtime::Builder;

const LONG: Duration = Duration::from_secs(60);

fn start(directory: &TempDir) -> Server {
    Server::start::<&str, &str>(SERVER, directory.path(), [])
}

fn settings(server: &Server, protocol: Protocol) -> Settings {
    service("shop", Connection::new(protocol, Endpoint::from_user(&server.uri()).unwrap()))
}

fn ask<T, E: std::fmt::Debug>(server: &Server, ask: impl AsyncFnOnce(Client) -> Result<T, E>) -> T {
    let config = ClientConfig { uri: server.uri(), timeout: LONG, ..ClientConfig::default() };
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(ask(Client::new(config).unwrap())).unwrap()
}

/// Every record that the filters find, page by page.
fn records(server: &Server, filters: &RecordFilters) -> Vec<scouter_client::Record> {
    let mut filters = RecordFilters { limit: Some(1000), ..filters.clone() };
    let mut all = Vec::new();
    loop {
        let page = ask(server, async |client: Client| client.records(&filters).await);
        all.extend(page.items);
        match page.next_cursor {
            Some(cursor) => filters.cursor = Some(cursor),
            None => return all,
        }
    }
}

/// The ids of every trace that is stored.
fn traces(server: &Server) -> HashSet<TraceId> {
    let mut filters = TraceFilters { limit: Some(1000), ..TraceFilters::default() };
    let mut all = HashSet::new();
    loop {
        let page = ask(server, async |client: Client| client.search(&filters).await);
        all.extend(page.items.iter().map(|trace| trace.trace_id));
        match page.next_cursor {
            Some(cursor) => filters.cursor = Some(cursor),
            None => return all,
        }
    }
}

fn profiles(ratio: f64) -> Vec<Profile> {
    let entity = |alias: &str| Entity { uid: format!("uid-{alias}"), ..Entity::new("shop", alias, "1.0.0") };
    let features = || vec![FeatureSpec::new("age", FeatureType::Int), FeatureSpec::new("city", FeatureType::Text)];
    let contents = [
        ("spc", Content::Spc(features())),
        ("psi", Content::Psi(features())),
        ("custom", Content::Custom(vec![MetricSpec::new("cost")])),
        ("agent", Content::Agent(vec![Task::new("polite", Map::new())])),
    ];
    let profile =
        |(alias, content)| Profile::new(entity(alias), content).unwrap().with_sample_ratio(Ratio::new(ratio).unwrap());
    contents.map(profile).into()
}

fn cost(value: f64) -> Record {
    Metrics(vec![Metric::new("cost", value)]).into()
}

fn insert(queue: &ScouterQueue, alias: &str, record: impl Into<Record>, span: Option<&SpanContext>) {
    assert_eq!(queue.insert(alias, &record.into(), span).unwrap(), Outcome::Accepted, "{alias}");
}

#[test]
fn records_arrive_with_their_spans_over_every_transport() {
    for (protocol, content, compression) in [
        (Protocol::Http, ContentType::Protobuf, Compression::None),
        (Protocol::Http, ContentType::Json, Compression::Gzip),
        (Protocol::Grpc, ContentType::Protobuf, Compression::Gzip),
    ] {
        let directory = TempDir::new().unwrap();
        let server = start(&directory);
        let mut settings = settings(&server, protocol.clone());
        (settings.server.content, settings.server.compression) = (content, compression);
        let queue = ScouterQueue::of(&settings, profiles(1.0)).unwrap();
        let scouter = settings.start().unwrap();
        let mut span = scouter.tracer("tests").span("answer").start();
        let context = span.context().clone();
        let features = || [Feature::new("age", 41), Feature::new("city", "Köln")].into_iter().collect::<Features>();
        insert(&queue, "spc", features(), Some(&context));
        insert(&queue, "psi", features(), None);
        insert(&queue, "custom", cost(0.5), Some(&context));
        let eval = EvalRecord {
            context: json!({"question": "why?", "parts": [1, null, {"deep": true}]}),
            id: Some("r-1".to_owned()),
            session_id: Some("s-1".to_owned()),
            tags: [("tier".to_owned(), "gold".to_owned())].into(),
        };
        insert(&queue, "agent", eval.clone(), Some(&context));
        span.end();
        queue.flush(LONG).unwrap();
        scouter.flush(LONG).unwrap();

        let of_trace = RecordFilters { trace_id: Some(context.trace_id), ..RecordFilters::default() };
        let found = records(&server, &of_trace);
        assert_eq!(found.len(), 3, "{protocol:?} {content:?}");
        assert!(found.iter().all(|record| record.span_id == Some(context.span_id)));
        let of_entity = RecordFilters { entity_uid: Some("uid-agent".to_owned()), ..RecordFilters::default() };
        let [record] = records(&server, &of_entity).try_into().unwrap();
        assert_eq!((record.kind.as_deref(), &*record.event_name), (Some("agent"), "scouter.record.agent"));
        assert_eq!((record.record_id.as_deref(), record.session_id.as_deref()), (Some("r-1"), Some("s-1")));
        assert_eq!((&record.body, &*record.service_name), (&eval.context, "shop"));
        let entity = record.entity.unwrap();
        assert_eq!(
            (&*entity.space, &*entity.name, &*entity.version, &*entity.alias),
            ("shop", "agent", "1.0.0", "agent")
        );
        let [tag] = ask(&server, async |client: Client| client.tags(&TagFilters::default()).await).try_into().unwrap();
        assert_eq!((&*tag.key, &*tag.value, tag.records), ("tier", "gold", 1));
        let of_kind = RecordFilters { kind: Some("psi".to_owned()), ..RecordFilters::default() };
        let [record] = records(&server, &of_kind).try_into().unwrap();
        assert_eq!((record.trace_id, record.body), (None, json!({"age": 41, "city": "Köln"})));
        assert!(traces(&server).contains(&context.trace_id));

        let stats = queue.stats().unwrap();
        assert_eq!((stats.export.started, stats.export.destinations[0].exported), (4, 4));
        assert!(stats.records.values().all(|records| records.accepted == 1 && records.inserted == 1));
    }
}

/// What was accepted arrives, once, although the server is killed in the middle of it, twice.
#[test]
fn records_survive_a_server_that_is_killed() {
    for protocol in [Protocol::Http, Protocol::Grpc] {
        let directory = TempDir::new().unwrap();
        let mut server = start(&directory);
        let mut settings = settings(&server, protocol.clone());
        settings.batch.max_export_batch_size = 50;
        settings.batch.scheduled_delay = Duration::from_millis(5);
        let queue = ScouterQueue::of(&settings, profiles(1.0)).unwrap();
        const RECORDS: usize = 6000;
        for number in 0..RECORDS {
            if number == 2000 || number == 4000 {
                // In the middle of requests: something has been sent, and something more is under way.
                let stored = common::until("the server stores", LONG, || {
                    let stored = queue.stats().unwrap().export.destinations[0].exported;
                    (stored >= number as u64 / 2).then_some(stored)
                });
                assert!(stored > 0);
                server.kill();
            }
            insert(&queue, "custom", cost(number as f64), None);
            if number == 2500 || number == 4500 {
                server.restart();
            }
        }
        queue.flush(LONG).unwrap();
        let found = records(&server, &RecordFilters::default());
        let values: HashSet<_> = found.iter().map(|record| record.body["cost"].as_f64().unwrap() as usize).collect();
        assert_eq!((found.len(), values.len()), (RECORDS, RECORDS), "{protocol:?}: every record once");
        let stats = queue.stats().unwrap();
        let to = &stats.export.destinations[0];
        assert_eq!((stats.records["custom"].accepted, to.exported, to.dropped.total()), (6000, 6000, 0));
        assert!(to.retries > 0, "{protocol:?}: nothing was killed in the middle");
    }
}

/// A program that samples a tenth: every stored record's trace is stored, and every stored trace has its records, as far as
/// the profile keeps it.
#[test]
fn records_and_traces_match_when_spans_are_sampled() {
    let directory = TempDir::new().unwrap();
    let server = start(&directory);
    let mut settings = settings(&server, Protocol::Http);
    settings.sample_ratio(Ratio::new(0.1).unwrap());
    let half = Ratio::new(0.05).unwrap();
    let mut all = profiles(1.0);
    let custom = all.remove(2).with_sample_ratio(half);
    let queue = ScouterQueue::of(&settings, all.into_iter().chain([custom])).unwrap();
    let scouter = settings.start().unwrap();
    let tracer = scouter.tracer("tests");
    for number in 0..5000 {
        let root = tracer.span("root").start();
        let child = tracer.span("child").parent(Some(root.context())).start();
        let eval = Record::from(EvalRecord::new(json!({"number": number})));
        let eval = queue.insert("agent", &eval, Some(child.context())).unwrap();
        assert_eq!(eval == Outcome::Accepted, root.context().is_sampled());
        let _ = queue.insert("custom", &cost(1.0), Some(root.context())).unwrap();
    }
    queue.flush(LONG).unwrap();
    scouter.flush(LONG).unwrap();
    let traces = traces(&server);
    let of = |kind: &str| -> Vec<TraceId> {
        let filters = RecordFilters { kind: Some(kind.to_owned()), ..RecordFilters::default() };
        records(&server, &filters).iter().map(|record| record.trace_id.unwrap()).collect()
    };
    let (agent, custom) = (of("agent"), of("custom"));
    assert!((350..650).contains(&traces.len()), "{}", traces.len());
    assert_eq!((agent.len(), agent.into_iter().collect::<HashSet<_>>()), (traces.len(), traces.clone()));
    let expected: HashSet<_> = traces.iter().copied().filter(|trace| half.contains(*trace)).collect();
    assert_eq!((custom.len(), custom.into_iter().collect::<HashSet<_>>()), (expected.len(), expected));
    let stats = queue.stats().unwrap();
    let agent = stats.records["agent"];
    assert_eq!((agent.inserted, agent.accepted + agent.sampled_out), (5000, 5000));
}

#[test]
fn what_cannot_work_is_told_at_once() {
    let directory = TempDir::new().unwrap();
    let server = start(&directory);
    let settings = settings(&server, Protocol::Http);
    let error = ScouterQueue::of(&settings, []).unwrap_err();
    assert_eq!(error.to_string(), "a queue has at least one profile, give one");
    let twice = profiles(1.0).into_iter().chain(profiles(1.0));
    let error = ScouterQueue::of(&settings, twice).unwrap_err();
    assert_eq!(error.to_string(), "two profiles have the alias \"spc\", rename one");
    let path = directory.path().join("none.json");
    let error = ScouterQueue::from_paths(&settings, [("agent".to_owned(), path)]).unwrap_err();
    assert!(error.to_string().contains("agent: ") && error.to_string().contains("none.json cannot be read"), "{error}");

    let queue = ScouterQueue::of(&settings, profiles(1.0)).unwrap();
    let error = queue.insert("agnet", &cost(1.0), None).unwrap_err();
    assert_eq!(error.to_string(), r#"no queue has the alias "agnet": known are "agent", "custom", "psi", "spc""#);
    queue.shutdown(LONG).unwrap();
    assert!(queue.is_shut_down());
    assert_eq!(queue.insert("custom", &cost(1.0), None).unwrap(), Outcome::TurnedAway);
}
