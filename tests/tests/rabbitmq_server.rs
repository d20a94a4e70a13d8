//! Servers that read one RabbitMQ queue: they come and go, the store fails, messages are poison, queues are of the operator's making.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;
#[path = "common/local.rs"]
mod local;
#[path = "common/rabbit.rs"]
mod rabbit;

use std::collections::HashMap;
use std::io::Write as _;
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use common::{connection, service, until};
use lapin::BasicProperties;
use lapin::options::QueueDeclareOptions;
use lapin::types::{AMQPValue, FieldTable};
use local::{Local, Mood, Moody};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, any_value::Value};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message as _;
use rabbit::{DEAD, LONG, QUEUE, RECORDS, Rabbit, config, durable, header, text, work};
use scouter_client::filters::MAX_LIMIT;
use scouter_client::{RecordFilters, TraceFilters};
use scouter_server::store::Store as _;
use scouter_span::TraceId;
use scouter_tests::broker::{Broker, Kind};
use tokio::runtime::Builder;

const LONGEST: usize = 64 * 1024 * 1024;

fn start(broker: &Broker, store: &Arc<Moody>) -> Local {
    Local::start(store, config(broker), LONGEST)
}

/// How many spans each trace has in the store.
fn counts(store: &Moody) -> HashMap<TraceId, u64> {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let mut found = HashMap::new();
    let mut filters = TraceFilters { limit: Some(MAX_LIMIT), ..TraceFilters::default() };
    loop {
        let page = runtime.block_on(store.search(filters.clone())).unwrap();
        found.extend(page.items.iter().map(|trace| (trace.trace_id, trace.span_count)));
        filters.cursor = page.next_cursor;
        if filters.cursor.is_none() {
            return found;
        }
    }
}

/// Waits until these traces are stored, with five spans each, and nothing else.
fn until_stored(store: &Moody, traces: &[TraceId]) {
    until("all is stored", LONG, || (counts(store).len() >= traces.len()).then_some(()));
    let expected: HashMap<_, _> = traces.iter().map(|id| (*id, 5)).collect();
    assert_eq!(counts(store), expected);
}

fn request(id: u8, name: usize) -> Vec<u8> {
    let span = Span {
        trace_id: vec![id.max(1); 16],
        span_id: vec![id.max(1); 8],
        name: "n".repeat(name),
        start_time_unix_nano: 1,
        ..Span::default()
    };
    let scope_spans = vec![ScopeSpans { spans: vec![span], ..ScopeSpans::default() }];
    let resource_spans = vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }];
    ExportTraceServiceRequest { resource_spans }.encode_to_vec()
}

fn records(bodies: &[&str]) -> Vec<u8> {
    let record = |body: &&str| LogRecord {
        time_unix_nano: 1,
        body: Some(AnyValue { value: Some(Value::StringValue((*body).to_owned())) }),
        ..LogRecord::default()
    };
    let scope_logs = vec![ScopeLogs { log_records: bodies.iter().map(record).collect(), ..ScopeLogs::default() }];
    let resource_logs = vec![ResourceLogs { scope_logs, ..ResourceLogs::default() }];
    ExportLogsServiceRequest { resource_logs }.encode_to_vec()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn servers_join_leave_and_die_and_the_broker_too_and_everything_is_stored_once() {
    let (broker, store) = (Broker::start(Kind::RabbitMq), Moody::new());
    let scouter = service("shop", connection(&broker)).start().unwrap();
    let mut traces = Vec::new();
    let send = |traces: &mut Vec<TraceId>| {
        for _ in 0..20 {
            traces.extend(work(&scouter, 10));
            scouter.flush(LONG).unwrap();
        }
    };
    let first = start(&broker, &store);
    send(&mut traces);
    let second = start(&broker, &store);
    send(&mut traces);
    // One leaves in order in the middle of it.
    std::thread::scope(|scope| {
        scope.spawn(|| first.stop());
        send(&mut traces);
    });
    let third = start(&broker, &store);
    // One dies with messages that are stored, and of which the broker does not know it.
    store.set(Mood::KeepsInSilence);
    let before = store.writes();
    send(&mut traces);
    until("both have something", LONG, || (store.writes() >= before + 2).then_some(()));
    drop(second);
    let again = || third.metric("scouter_server_messages_redelivered_total{receiver=\"rabbitmq\"}");
    until("what it had is delivered again", LONG, || (again() > 0).then_some(()));
    store.set(Mood::Keeps);
    // The other waits for an answer that never comes, until the broker dies.
    broker.kill();
    broker.restart();
    send(&mut traces);
    let fourth = start(&broker, &store);
    send(&mut traces);
    until_stored(&store, &traces);
    third.stop();
    fourth.stop();
    // Who has left has given back what it had not acknowledged: nothing.
    assert_eq!(Rabbit::new(&broker).waiting(QUEUE), 0);
    scouter.shutdown(LONG).unwrap();
}

#[test]
fn a_store_that_fails_for_a_while_costs_no_message_and_is_not_stormed() {
    let (broker, store) = (Broker::start(Kind::RabbitMq), Moody::new());
    let scouter = service("shop", connection(&broker)).start().unwrap();
    let server = start(&broker, &store);
    store.set(Mood::Fails);
    let mut traces = Vec::new();
    for _ in 0..5 {
        traces.extend(work(&scouter, 10));
        scouter.flush(LONG).unwrap();
    }
    until("it is tried", LONG, || (store.writes() > 0).then_some(()));
    let before = store.writes();
    // Waits of 0.1, 0.2, 0.4, 0.8 s lie between the tries.
    sleep(Duration::from_millis(1500));
    let tries = store.writes() - before;
    assert!((1..=5).contains(&tries), "{tries} tries within 1.5 s");
    store.set(Mood::Keeps);
    until_stored(&store, &traces);
    assert_eq!(server.metric("scouter_server_dead_letters_total"), 0);
    server.stop();
    assert_eq!(Rabbit::new(&broker).waiting(QUEUE), 0);
    scouter.shutdown(LONG).unwrap();
}

#[test]
fn a_server_that_ends_while_its_store_fails_gives_everything_back() {
    let (broker, store) = (Broker::start(Kind::RabbitMq), Moody::new());
    let rabbit = Rabbit::new(&broker);
    rabbit.declare_with(QUEUE, &[]);
    (1..=40).for_each(|id| rabbit.publish(&request(id, 1), BasicProperties::default()));
    store.set(Mood::Fails);
    let server = start(&broker, &store);
    until("it is tried", LONG, || (store.writes() > 0).then_some(()));
    server.stop();
    assert_eq!(rabbit.waiting(QUEUE), 40);
}

#[test]
fn a_broker_that_stands_still_keeps_no_server_from_its_end_and_nothing_is_lost() {
    let (broker, store) = (Broker::start(Kind::RabbitMq), Moody::new());
    let rabbit = Rabbit::new(&broker);
    rabbit.declare_with(QUEUE, &[]);
    let server = start(&broker, &store);
    rabbit.publish(&request(1, 1), BasicProperties::default());
    until("it is stored", LONG, || (counts(&store).len() == 1).then_some(()));
    broker.pause();
    let begun = Instant::now();
    server.stop();
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
    broker.resume();
    let server = start(&broker, &store);
    rabbit.publish(&request(2, 1), BasicProperties::default());
    until("the next is stored", LONG, || (counts(&store).len() == 2).then_some(()));
    server.stop();
    assert_eq!(rabbit.waiting(QUEUE), 0);
}

#[test]
fn records_without_an_id_of_their_own_are_stored_once_however_they_are_delivered_again() {
    let (broker, store) = (Broker::start(Kind::RabbitMq), Moody::new());
    let rabbit = Rabbit::new(&broker);
    rabbit.declare_with(RECORDS, &[]);
    let publish = |body: &str| rabbit.publish_to(RECORDS, &records(&[body, body]), BasicProperties::default());
    ["a", "b", "c"].into_iter().for_each(publish);
    store.set(Mood::KeepsInSilence);
    let first = start(&broker, &store);
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let stored = || runtime.block_on(store.records(RecordFilters::default())).unwrap().items.len();
    until("they are stored", LONG, || (stored() >= 6).then_some(()));
    drop(first);
    until("they are given back", LONG, || (rabbit.waiting(RECORDS) == 3).then_some(()));
    ["d", "e"].into_iter().for_each(publish);
    store.set(Mood::Keeps);
    let second = start(&broker, &store);
    until("all are stored", LONG, || (second.metric("scouter_server_records_received_total") >= 10).then_some(()));
    second.stop();
    assert_eq!((stored(), rabbit.waiting(RECORDS)), (10, 0));
}

#[test]
fn every_poison_is_put_aside_unchanged_with_its_reason() {
    let (broker, store) = (Broker::start(Kind::RabbitMq), Moody::new());
    let rabbit = Rabbit::new(&broker);
    for queue in [QUEUE, RECORDS] {
        rabbit.declare_with(queue, &[]);
    }
    let plain = BasicProperties::default;
    let json = || plain().with_content_type("application/json".into());
    let unpacked = || plain().with_content_encoding("gzip".into());
    let rejected = ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            scope_spans: vec![ScopeSpans { spans: vec![Span::default()], ..ScopeSpans::default() }],
            ..ResourceSpans::default()
        }],
    };
    let mut copies = FieldTable::default();
    copies.insert("CC".into(), AMQPValue::FieldArray(vec![text(RECORDS)].into()));
    let poison = [
        (QUEUE, b"\xff\xffgarbage".to_vec(), plain(), "malformed: the body is not an ExportTraceServiceRequest"),
        (QUEUE, b"{garbage".to_vec(), json(), "malformed: "),
        (QUEUE, b"not gzip".to_vec(), unpacked(), "malformed: the body is not gzip"),
        (QUEUE, b"text".to_vec(), plain().with_content_type("text/plain".into()), "unsupported: the content type"),
        (QUEUE, b"x".to_vec(), plain().with_content_encoding("br".into()), "unsupported: the compression"),
        (QUEUE, vec![0; 5000], plain(), "too_large: 5000 bytes are more than"),
        (QUEUE, gzip(&vec![0; 5000]), unpacked(), "too_large: more than 4096 bytes"),
        (QUEUE, records(&["of the wrong signal"]), plain(), "malformed: the body is not an ExportTraceServiceRequest"),
        (QUEUE, rejected.encode_to_vec(), plain(), "rejected: 1 span was rejected"),
        // What the broker would obey must not end the letter, keep it from being put aside, or send it back.
        (QUEUE, b"\xffmine".to_vec(), plain().with_expiration("600000".into()), "malformed: "),
        (QUEUE, b"\xffcopied".to_vec(), plain().with_headers(copies), "malformed: "),
        (RECORDS, request(1, 1), plain(), "malformed: the body is not an ExportLogsServiceRequest"),
    ];
    for (queue, body, properties, _) in &poison {
        rabbit.publish_to(queue, body, properties.clone());
    }
    // Nothing, and nothing in JSON, are requests; so is this.
    rabbit.publish(b"", plain());
    rabbit.publish(b"{}", json());
    rabbit.publish(&request(7, 1), plain());
    // The copy in the other queue is poison as well.
    let expected = poison.len() as u64 + 1;
    let server = Local::start(&store, config(&broker), 4096);
    let dead = || server.metric("scouter_server_dead_letters_total");
    until("all is put aside", LONG, || (dead() >= expected).then_some(()));
    let mut letters: Vec<_> = (1..poison.len()).map(|_| rabbit.get(DEAD)).collect();
    letters.extend((0..2).map(|_| rabbit.get("otlp_logs.dead-letter")));
    for (queue, body, _, reason) in &poison {
        let at = letters.iter().position(|letter| letter.data == *body && header(letter, "scouter.source") == *queue);
        let letter = letters.swap_remove(at.unwrap_or_else(|| panic!("no letter of {reason}")));
        assert!(header(&letter, "scouter.reason").starts_with(reason), "{letter:?}");
        assert_eq!((letter.properties.expiration(), *letter.properties.delivery_mode()), (&None, Some(2)));
    }
    assert_eq!(letters[0].data, b"\xffcopied");
    until("the good one is stored", LONG, || (counts(&store).len() == 1).then_some(()));
    server.stop();
    for queue in [QUEUE, RECORDS, DEAD] {
        assert_eq!(rabbit.waiting(queue), 0, "{queue}");
    }
}

#[test]
fn a_sender_who_names_itself_is_no_obstacle_to_its_dead_letters() {
    let (broker, store) = (Broker::start(Kind::RabbitMq), Moody::new());
    let rabbit = Rabbit::new(&broker);
    rabbit.declare_with(QUEUE, &[]);
    // The broker lets nobody write in the name of another: the server is another here.
    rabbit.publish(b"\xff", BasicProperties::default().with_user_id(broker.username().into()));
    broker.control("add_user server pass-word");
    broker.control("set_permissions server .* .* .*");
    let server = Local::start(&store, config(&broker).username("server").password("pass-word"), LONGEST);
    assert_eq!(rabbit.get_soon(DEAD).data, b"\xff");
    server.stop();
    assert_eq!(rabbit.waiting(QUEUE), 0);
}

#[test]
fn dead_letters_that_nobody_takes_wait_in_bounds_and_block_nothing() {
    let (broker, store) = (Broker::start(Kind::RabbitMq), Moody::new());
    let rabbit = Rabbit::new(&broker);
    rabbit.declare_with(QUEUE, &[]);
    // This queue confirms nothing.
    rabbit.declare_with(DEAD, &[("x-max-length", AMQPValue::LongInt(0)), ("x-overflow", text("reject-publish"))]);
    (0..=255).for_each(|n| rabbit.publish(&[255, n], BasicProperties::default()));
    rabbit.publish(&request(1, 1), BasicProperties::default());
    let server = start(&broker, &store);
    until("what follows is stored", LONG, || (counts(&store).len() == 1).then_some(()));
    assert_eq!(server.metric("scouter_server_dead_letters"), 0);
    // No more than these are held. The rest is let go, and told.
    (0..10).for_each(|n| rabbit.publish(&[255, 255, n], BasicProperties::default()));
    rabbit.publish(&request(2, 1), BasicProperties::default());
    let lost = || server.metric("scouter_server_dead_letters_lost_total");
    until("the rest is let go", LONG, || (lost() == 10).then_some(()));
    until("what follows is stored", LONG, || (counts(&store).len() == 2).then_some(()));
    // Once there is a queue that takes them, those that waited are put aside.
    rabbit.delete(DEAD);
    until("they are put aside", LONG, || (server.metric("scouter_server_dead_letters_total") == 256).then_some(()));
    assert_eq!(rabbit.waiting(DEAD), 256);
    server.stop();
    assert_eq!(rabbit.waiting(QUEUE), 0);
}

#[test]
fn dead_letters_that_wait_leave_room_for_other_messages() {
    let (broker, store) = (Broker::start(Kind::RabbitMq), Moody::new());
    let rabbit = Rabbit::new(&broker);
    rabbit.declare_with(QUEUE, &[]);
    rabbit.declare_with(DEAD, &[("x-max-length", AMQPValue::LongInt(0)), ("x-overflow", text("reject-publish"))]);
    // Of messages of this size the server asks for 16 at a time, so these would be all that it ever gets.
    (0..17).for_each(|_| rabbit.publish(&[255; 900_000], BasicProperties::default()));
    rabbit.publish(&request(1, 1), BasicProperties::default());
    let server = start(&broker, &store);
    until("what follows is stored", LONG, || (counts(&store).len() == 1).then_some(()));
    assert_eq!(server.metric("scouter_server_dead_letters"), 0);
    server.stop();
    assert_eq!(rabbit.waiting(QUEUE), 17);
}

#[test]
fn dead_letters_that_wait_are_not_lost_with_their_server() {
    let (broker, store) = (Broker::start(Kind::RabbitMq), Moody::new());
    let rabbit = Rabbit::new(&broker);
    rabbit.declare_with(QUEUE, &[]);
    rabbit.declare_with(DEAD, &[("x-max-length", AMQPValue::LongInt(0)), ("x-overflow", text("reject-publish"))]);
    (0..3).for_each(|n| rabbit.publish(&[255, n], BasicProperties::default()));
    let server = start(&broker, &store);
    for id in 1..=3 {
        rabbit.publish(&request(id, 1), BasicProperties::default());
        until("it is stored", LONG, || (counts(&store).len() == usize::from(id)).then_some(()));
    }
    drop(server);
    until("they are given back", LONG, || (rabbit.waiting(QUEUE) >= 3).then_some(()));
    let server = start(&broker, &store);
    rabbit.delete(DEAD);
    until("they are put aside", LONG, || (server.metric("scouter_server_dead_letters_total") == 3).then_some(()));
    // In order, too: what waits is given back, and what is done with is not.
    server.stop();
    assert_eq!((rabbit.waiting(QUEUE), rabbit.waiting(DEAD)), (0, 3));
}

#[test]
fn a_queue_that_cannot_be_read_does_not_keep_the_other_from_it() {
    let (broker, store) = (Broker::start(Kind::RabbitMq), Moody::new());
    let rabbit = Rabbit::new(&broker);
    rabbit.declare(RECORDS, QueueDeclareOptions::default(), FieldTable::default());
    rabbit.declare_with(QUEUE, &[]);
    let server = start(&broker, &store);
    rabbit.publish(&request(1, 1), BasicProperties::default());
    until("the other is read", LONG, || (counts(&store).len() == 1).then_some(()));
    rabbit.delete(RECORDS);
    // It is made as it should be, and read. So is one that is deleted under the server's hands.
    until("it is made", LONG, || rabbit.has(RECORDS).then_some(()));
    rabbit.publish_to(RECORDS, &records(&["a"]), BasicProperties::default());
    until("it is read", LONG, || (server.metric("scouter_server_records_stored_total") == 1).then_some(()));
    rabbit.delete(QUEUE);
    rabbit.declare(QUEUE, durable(), FieldTable::default());
    rabbit.publish(&request(2, 1), BasicProperties::default());
    until("it is read again", LONG, || (counts(&store).len() == 2).then_some(()));
    server.stop();
}

#[test]
fn quorum_queues_of_the_operator_are_used_at_both_ends_and_streams_are_not_read() {
    let (broker, store) = (Broker::start(Kind::RabbitMq), Moody::new());
    let rabbit = Rabbit::new(&broker);
    for queue in [QUEUE, DEAD] {
        rabbit.declare_with(queue, &[("x-queue-type", text("quorum"))]);
    }
    rabbit.declare_with(RECORDS, &[("x-queue-type", text("stream"))]);
    let server = start(&broker, &store);
    let scouter = service("shop", connection(&broker)).start().unwrap();
    let traces = work(&scouter, 100);
    scouter.flush(LONG).unwrap();
    rabbit.publish(b"\xff", BasicProperties::default());
    rabbit.publish_to(RECORDS, &records(&["a"]), BasicProperties::default());
    until_stored(&store, &traces);
    assert_eq!(rabbit.get(DEAD).data, b"\xff");
    // Nobody would know after a restart what was read of a stream, so nothing of it is.
    assert_eq!(server.metric("scouter_server_records_received_total"), 0);
    server.stop();
    assert_eq!(rabbit.waiting(QUEUE), 0);
    scouter.shutdown(LONG).unwrap();
}

#[test]
fn what_comes_while_another_number_of_messages_is_asked_for_is_stored() {
    let (broker, store) = (Broker::start(Kind::RabbitMq), Moody::new());
    let rabbit = Rabbit::new(&broker);
    rabbit.declare_with(QUEUE, &[]);
    // The first of them tells that there may be more of them on their way, and others are already.
    (1..=100).for_each(|id| rabbit.publish(&request(id, 200_000), BasicProperties::default()));
    let server = start(&broker, &store);
    until("all are stored", LONG, || (counts(&store).len() == 100).then_some(()));
    server.stop();
    assert_eq!(rabbit.waiting(QUEUE), 0);
}

#[test]
fn messages_that_are_suddenly_large_do_not_fill_the_memory() {
    let (broker, store) = (Broker::start(Kind::RabbitMq), Moody::new());
    let rabbit = Rabbit::new(&broker);
    rabbit.declare_with(QUEUE, &[]);
    let server = start(&broker, &store);
    let received = || server.metric("scouter_server_messages_received_total");
    // So many small ones that many are asked for at once.
    (0..100).for_each(|_| rabbit.publish(&request(1, 1), BasicProperties::default()));
    until("they are read", LONG, || (received() >= 100).then_some(()));
    store.set(Mood::Waits);
    let before = store.writes();
    rabbit.publish(&request(1, 2), BasicProperties::default());
    until("the store is busy", LONG, || (store.writes() > before).then_some(()));
    (0..200).for_each(|id| rabbit.publish(&request(id, 1024 * 1024), BasicProperties::default()));
    let again = || server.metric("scouter_server_messages_redelivered_total");
    until("they are asked for again", LONG, || (again() > 0).then_some(()));
    assert!(received() < 101 + 140 + 20, "{} were taken", received());
    store.set(Mood::Keeps);
    until("all are stored", LONG, || (counts(&store).len() == 199).then_some(()));
    server.stop();
    assert_eq!(rabbit.waiting(QUEUE), 0);
}
