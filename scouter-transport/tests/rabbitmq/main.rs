//! RabbitMQ against a broker of this process that behaves as it is told.

#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod peer;

use std::time::{Duration, Instant};

use bytes::Bytes;
use scouter_transport::conformance::{self, Arrival, Behaviour, FarEnd};
use scouter_transport::rabbitmq::{RabbitMq, RabbitMqConfig};
use scouter_transport::{BoxFuture, ContentType, Error, ErrorKind, Payload, Signal, Transport};
use tokio::net::TcpListener;

use self::peer::{Door, Peer, Verdict};

#[derive(Debug)]
struct OverRabbitMq(Peer);

fn config(peer: &Peer) -> RabbitMqConfig {
    let address = peer.address;
    RabbitMqConfig::new(address.ip().to_string()).port(address.port()).username("me").password("pass-word")
}

fn transport(peer: &Peer) -> RabbitMq {
    RabbitMq::new(config(peer)).unwrap()
}

impl FarEnd for OverRabbitMq {
    fn transport(&self, timeout: Duration) -> Box<dyn Transport> {
        Box::new(RabbitMq::new(config(&self.0).timeout(timeout)).unwrap())
    }

    fn contents(&self) -> Vec<ContentType> {
        vec![ContentType::Protobuf]
    }

    fn answers(&self) -> bool {
        false
    }

    fn secrets(&self) -> Vec<String> {
        vec!["pass-word".to_owned()]
    }

    fn behave(&self, behaviour: Behaviour) {
        self.0.behave(behaviour);
    }

    fn arrived(&self) -> Vec<Arrival> {
        self.0.state.borrow().arrived.clone()
    }

    fn until_arrived(&self, payloads: usize) -> BoxFuture<'_, ()> {
        Box::pin(self.0.until(move |state| state.arrived.len() >= payloads))
    }

    fn stop(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.0.stop())
    }

    fn start(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.0.restart())
    }
}

#[tokio::test]
async fn passes_the_suite() {
    conformance::all(&OverRabbitMq(Peer::start().await)).await;
}

async fn failure(transport: &RabbitMq) -> Error {
    transport.send(Payload::traces("spans", 1)).await.unwrap_err()
}

#[tokio::test]
async fn messages_are_persistent_and_queues_are_declared_once() {
    let peer = Peer::start().await;
    let transport = RabbitMq::new(config(&peer).queue(Signal::Traces, "mine")).unwrap();
    for _ in 0..3 {
        transport.send(Payload::traces("spans", 1)).await.unwrap();
        transport.send(Payload::logs("records", 1)).await.unwrap();
    }
    let state = peer.state.borrow();
    assert_eq!(state.modes, [2; 6]);
    assert_eq!(state.declared, [("mine".to_owned(), false), ("otlp_logs".to_owned(), false)]);
    assert_eq!(state.connections, 1);
    assert!(state.logins[0].contains("PLAIN"), "{:?}", state.logins);
}

#[tokio::test]
async fn an_exchange_of_the_users_is_left_as_it_is() {
    let peer = Peer::start().await;
    let transport = RabbitMq::new(config(&peer).exchange("telemetry")).unwrap();
    transport.send(Payload::traces("spans", 1)).await.unwrap();
    assert!(peer.state.borrow().declared.is_empty());
    peer.set(|state| state.verdict = Some(Verdict::Return));
    let error = failure(&transport).await;
    assert!(error.is_retryable(), "{error}");
    let reason = "no queue is bound to the exchange `telemetry` for the routing key `otlp_spans`: bind one";
    assert!(error.to_string().ends_with(reason), "{error}");
}

#[tokio::test]
async fn who_is_not_let_in_is_told_why_and_the_password_stays_secret() {
    let peer = Peer::start().await;
    let refused = |code, text| Door::Refused(code, text);
    for (door, kind, reason) in [
        (refused(403, "ACCESS_REFUSED - Login was refused, not pass-word"), ErrorKind::Refused, "log in as user `me`"),
        (
            Door::NoVhost(530, "NOT_ALLOWED - vhost team not found"),
            ErrorKind::Refused,
            "cannot open the virtual host `team` as user `me`: the broker says: vhost team not found (code 530)",
        ),
        (Door::NoVhost(530, "NOT_ALLOWED - connection limit (1) is reached"), ErrorKind::Unavailable, "limit"),
        (Door::Foreign(b"HTTP/1.1 400 Bad Request\r\n\r\n"), ErrorKind::BadResponse, "is not AMQP 0-9-1"),
        (Door::Foreign(b"AMQP\x03\x01\x00\x00"), ErrorKind::BadResponse, "is not AMQP 0-9-1"),
        (Door::Foreign(b""), ErrorKind::Dropped, "the broker closed the connection"),
    ] {
        peer.set(|state| state.door = door.clone());
        let transport = RabbitMq::new(config(&peer).vhost("team")).unwrap();
        let error = failure(&transport).await;
        assert_eq!(error.kind(), kind, "{door:?}: {error}");
        assert!(error.to_string().contains(reason), "{error}");
        assert!(!format!("{error:?} {transport:?}").contains("pass-word"), "{error:?}");
    }
}

#[tokio::test]
async fn a_broker_that_is_silent_costs_the_timeout_and_no_thread() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent = RabbitMqConfig::new("127.0.0.1").port(listener.local_addr().unwrap().port());
    let transport = RabbitMq::new(silent.timeout(Duration::from_millis(300))).unwrap();
    for _ in 0..3 {
        let begun = Instant::now();
        let error = failure(&transport).await;
        assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
        assert!(error.to_string().contains("does not let us in") || error.to_string().contains("did not let us in"));
        assert!(begun.elapsed() < Duration::from_secs(5));
    }
    drop(listener);
    // One that takes the connection and the first words, and is silent then.
    let peer = Peer::start().await;
    peer.set(|state| state.door = Door::Silent);
    let transport = RabbitMq::new(config(&peer).timeout(Duration::from_millis(300))).unwrap();
    for _ in 0..3 {
        let error = failure(&transport).await;
        assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
    }
    until_threads(|names| !names.iter().any(|name| name == "lapin-io-loop")).await;
}

/// Waits until the threads of this process are as they should be. There is no event for the end of a thread.
async fn until_threads(met: impl Fn(&[String]) -> bool) {
    let begun = Instant::now();
    loop {
        let threads = std::fs::read_dir("/proc/self/task").unwrap();
        let names: Vec<_> = threads
            .filter_map(|thread| std::fs::read_to_string(thread.ok()?.path().join("comm")).ok())
            .map(|name| name.trim().to_owned())
            .collect();
        if met(&names) {
            return;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "{names:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn sends_share_one_attempt_to_connect() {
    let peer = Peer::start().await;
    let transport = transport(&peer);
    let sends = (0..16).map(|_| transport.send(Payload::traces("spans", 1)));
    for outcome in join(sends).await {
        outcome.unwrap();
    }
    assert_eq!(peer.state.borrow().connections, 1);
}

#[tokio::test]
async fn a_broker_that_lets_nobody_in_is_not_stormed() {
    let peer = Peer::start().await;
    peer.set(|state| state.door = Door::Foreign(b""));
    let transport = transport(&peer);
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(2) {
        let sends = (0..8).map(|_| transport.send(Payload::traces("spans", 1)));
        assert!(join(sends).await.iter().all(Result::is_err));
    }
    // Waits of at least 0.05, 0.1, 0.2, 0.4 and 0.8 s lie between.
    let attempts = peer.state.borrow().connections;
    assert!((3..=6).contains(&attempts), "{attempts} attempts within 2 s");
    peer.set(|state| state.door = Door::Open);
    transport.send(Payload::traces("spans", 1)).await.unwrap();
}

async fn join<F: Future<Output = Result<scouter_transport::Receipt, Error>>>(
    futures: impl Iterator<Item = F>,
) -> Vec<F::Output> {
    let mut futures: Vec<_> = futures.map(|future| (Box::pin(future), None)).collect();
    std::future::poll_fn(|context| {
        for (future, outcome) in futures.iter_mut().filter(|(_, outcome)| outcome.is_none()) {
            if let std::task::Poll::Ready(value) = future.as_mut().poll(context) {
                *outcome = Some(value);
            }
        }
        match futures.iter().all(|(_, outcome)| outcome.is_some()) {
            true => std::task::Poll::Ready(()),
            false => std::task::Poll::Pending,
        }
    })
    .await;
    futures.into_iter().filter_map(|(_, outcome)| outcome).collect()
}

#[tokio::test]
async fn verdicts_on_messages_become_kinds() {
    let peer = Peer::start().await;
    let transport = transport(&peer);
    for (verdict, kind, reason) in [
        (Verdict::Return, ErrorKind::Unavailable, "the queue `otlp_spans` was deleted"),
        (Verdict::CloseChannel(404, "NOT_FOUND - no exchange 'x'"), ErrorKind::Refused, "no exchange 'x' (code 404)"),
        (Verdict::CloseConnection(320, "CONNECTION_FORCED - shutdown"), ErrorKind::Unavailable, "shutdown (code 320)"),
    ] {
        peer.set(|state| state.verdict = Some(verdict));
        let error = failure(&transport).await;
        assert_eq!(error.kind(), kind, "{verdict:?}: {error}");
        assert!(error.to_string().contains(reason), "{error}");
        peer.set(|state| state.verdict = None);
        transport.send(Payload::traces("spans", 1)).await.unwrap();
    }
}

#[tokio::test]
async fn a_deleted_queue_is_declared_again() {
    let peer = Peer::start().await;
    let transport = transport(&peer);
    transport.send(Payload::traces("spans", 1)).await.unwrap();
    peer.set(|state| state.verdict = Some(Verdict::Return));
    assert!(failure(&transport).await.is_retryable());
    peer.set(|state| state.verdict = None);
    transport.send(Payload::traces("spans", 1)).await.unwrap();
    assert_eq!(peer.state.borrow().declared.len(), 2);
}

#[tokio::test]
async fn what_the_broker_takes_at_most_is_remembered_for_the_connection() {
    let peer = Peer::start().await;
    let transport = transport(&peer);
    let text = "PRECONDITION_FAILED - message size 5 is larger than configured max size 4";
    peer.set(|state| state.verdict = Some(Verdict::CloseChannel(406, text)));
    assert_eq!(failure(&transport).await.kind(), ErrorKind::TooLarge);
    peer.set(|state| state.verdict = None);
    let error = failure(&transport).await;
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    assert!(error.to_string().contains("5 bytes"), "{error}");
    assert_eq!(peer.state.borrow().arrived.len(), 1);
    transport.send(Payload::traces("span", 1)).await.unwrap();
    let small = RabbitMq::new(config(&peer).max_message_bytes(3)).unwrap();
    assert_eq!(failure(&small).await.kind(), ErrorKind::TooLarge);
}

#[tokio::test]
async fn queues_that_are_there_are_used_unless_messages_can_get_lost_in_them() {
    let peer = Peer::start().await;
    let queue = "otlp_spans".to_owned();
    let inequivalent = |name: &'static str| (406, name);
    for (declared, looked, expected) in [
        (
            inequivalent("PRECONDITION_FAILED - inequivalent arg 'x-queue-type' for queue 'durable' in vhost"),
            None,
            None,
        ),
        ((403, "ACCESS_REFUSED - configure access refused"), None, None),
        (
            (403, "ACCESS_REFUSED - configure access refused"),
            Some((404, "NOT_FOUND - no queue")),
            Some((ErrorKind::Refused, "is not there and cannot be made")),
        ),
        (
            inequivalent("PRECONDITION_FAILED - inequivalent arg 'durable' for queue"),
            None,
            Some((ErrorKind::Unavailable, "exists, but what is in it can get lost")),
        ),
        ((405, "RESOURCE_LOCKED - exclusive"), None, Some((ErrorKind::Unavailable, "belongs to another connection"))),
    ] {
        peer.set(|state| {
            state.refusals.clear();
            state.refusals.insert((queue.clone(), false), declared);
            if let Some(looked) = looked {
                state.refusals.insert((queue.clone(), true), looked);
            }
        });
        let outcome = transport(&peer).send(Payload::traces("spans", 1)).await;
        match (outcome, expected) {
            (Ok(_), None) => {}
            (Err(error), Some((kind, reason))) => {
                assert_eq!(error.kind(), kind, "{error}");
                assert!(error.to_string().contains(reason), "{error}");
            }
            (outcome, expected) => panic!("{outcome:?} instead of {expected:?}"),
        }
    }
}

#[tokio::test]
async fn while_the_broker_blocks_sends_wait_and_say_why() {
    let peer = Peer::start().await;
    let patient = transport(&peer);
    let hasty = RabbitMq::new(config(&peer).timeout(Duration::from_millis(300))).unwrap();
    for transport in [&patient, &hasty] {
        transport.send(Payload::traces("spans", 1)).await.unwrap();
    }
    peer.block(true);
    // The word is on its way; it is there when a send has to wait.
    let mut error = None;
    while error.is_none() {
        error = hasty.send(Payload::traces("spans", 1)).await.err();
    }
    let error = error.unwrap();
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
    assert!(error.to_string().contains("the broker takes no messages now (low memory)"), "{error}");
    // Another connection would be no better, and would let one more message in.
    assert_eq!(failure(&hasty).await.kind(), ErrorKind::Timeout);
    assert_eq!(peer.state.borrow().connections, 2);

    let before = peer.state.borrow().arrived.len();
    let mut waiting = patient.send(Payload::traces("later", 1));
    let early = tokio::time::timeout(Duration::from_millis(200), &mut waiting).await;
    assert!(early.is_err(), "sent to a broker that takes nothing: {early:?}");
    assert_eq!(peer.state.borrow().arrived.len(), before);
    peer.block(false);
    waiting.await.unwrap();
    hasty.send(Payload::traces("spans", 1)).await.unwrap();
    assert_eq!(peer.state.borrow().connections, 2);
}

#[tokio::test]
async fn sends_wait_for_a_channel_where_the_broker_allows_few() {
    let peer = Peer::start().await;
    peer.set(|state| state.most_channels = Some(4));
    let transport = transport(&peer);
    for round in 1..=3 {
        let sends = (0..16).map(|_| transport.send(Payload::traces("spans", 1)));
        for outcome in join(sends).await {
            outcome.unwrap();
        }
        assert_eq!(peer.state.borrow().arrived.len(), round * 16);
    }
}

#[tokio::test]
async fn why_a_channel_was_closed_does_not_haunt_later_ones() {
    let peer = Peer::start().await;
    peer.set(|state| state.most_channels = Some(8));
    let transport = transport(&peer);
    peer.set(|state| state.verdict = Some(Verdict::CloseChannel(404, "NOT_FOUND - no exchange 'x'")));
    for _ in 0..20 {
        assert!(matches!(failure(&transport).await.kind(), ErrorKind::Refused | ErrorKind::Unavailable));
    }
    peer.set(|state| state.verdict = None);
    for _ in 0..20 {
        transport.send(Payload::traces("spans", 1)).await.unwrap();
    }
    assert!(peer.state.borrow().connections < 8, "{} connections", peer.state.borrow().connections);
}

#[tokio::test]
async fn a_message_of_which_nobody_knows_whether_it_was_taken_is_sent_again() {
    let peer = Peer::start().await;
    let transport = transport(&peer);
    peer.behave(Behaviour::Hang);
    let mut sending = transport.send(Payload::traces("spans", 1));
    let taken = peer.until(|state| !state.arrived.is_empty());
    tokio::select! {
        outcome = &mut sending => panic!("ended before the confirm: {outcome:?}"),
        () = taken => {}
    }
    peer.stop().await;
    let error = sending.await.unwrap_err();
    assert!(error.is_retryable(), "{error}");
    peer.behave(Behaviour::Answer(Bytes::new()));
    peer.restart().await;
    transport.send(Payload::traces("spans", 1)).await.unwrap();
}

#[tokio::test]
async fn a_connection_that_hangs_is_left() {
    let peer = Peer::start().await;
    let transport = RabbitMq::new(config(&peer).timeout(Duration::from_millis(300))).unwrap();
    peer.behave(Behaviour::Hang);
    let error = failure(&transport).await;
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
    assert!(error.to_string().contains("the broker does not confirm the message"), "{error}");
    peer.behave(Behaviour::Answer(Bytes::new()));
    transport.send(Payload::traces("spans", 1)).await.unwrap();
    assert_eq!(peer.state.borrow().connections, 2);
}

#[tokio::test]
async fn json_is_told_to_go_elsewhere() {
    let peer = Peer::start().await;
    let payload = Payload::traces("{}", 1).with_content(ContentType::Json);
    assert_eq!(transport(&peer).send(payload).await.unwrap_err().kind(), ErrorKind::Unsupported);
    assert_eq!(peer.state.borrow().connections, 0);
}

#[test]
fn a_transport_is_made_without_a_runtime_and_outlives_one() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let elsewhere = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let peer = elsewhere.block_on(Peer::start());
    let transport = transport(&peer);
    for _ in 0..2 {
        let runtime = runtime();
        for body in ["one", "two"] {
            runtime.block_on(transport.send(Payload::traces(Bytes::from(body), 1))).unwrap();
        }
    }
    assert_eq!(peer.state.borrow().arrived.len(), 4);
    let last = runtime();
    last.block_on(transport.send(Payload::traces("three", 1))).unwrap();
    last.block_on(transport.close()).unwrap();
    drop(last);
    elsewhere.block_on(until_threads(|names| !names.iter().any(|name| name == "lapin-io-loop")));
}
