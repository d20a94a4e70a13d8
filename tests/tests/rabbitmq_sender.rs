//! What a program sees when RabbitMQ does not do as it should: its spans wait, or are counted with the reason.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![allow(clippy::disallowed_methods, reason = "the proxy between a program and its broker needs threads of its own")]

mod common;
#[path = "common/rabbit.rs"]
mod rabbit;

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use common::{Reader, SERVER, connection, service, until};
use lapin::types::AMQPValue;
use rabbit::{LONG, QUEUE, Rabbit, config, text, work};
use scouter::export::{DestinationStats, DropReason};
use scouter::{Connection, Scouter};
use scouter_tests::broker::{Broker, Kind};
use scouter_tests::server::Server;
use scouter_transport::rabbitmq::{RabbitMq, RabbitMqConfig};
use scouter_transport::{Error, ErrorKind, Payload, Signal, Transport as _};
use tempfile::TempDir;
use tokio::runtime::Builder;

fn send(config: RabbitMqConfig) -> Result<(), Error> {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let transport = RabbitMq::new(config).unwrap();
    let sent = runtime.block_on(transport.send(Payload::traces("spans", 1)));
    runtime.block_on(transport.close()).unwrap();
    sent.map(drop)
}

fn program(config: RabbitMqConfig) -> Scouter {
    service("shop", Connection::rabbitmq(config).unwrap()).start().unwrap()
}

fn destination(scouter: &Scouter) -> DestinationStats {
    scouter.stats().unwrap().destinations[0].clone()
}

#[test]
fn a_queue_that_is_full_is_tried_again_until_it_is_not() {
    let broker = Broker::start(Kind::RabbitMq);
    let rabbit = Rabbit::new(&broker);
    rabbit.declare_with(QUEUE, &[("x-max-length", AMQPValue::LongInt(1)), ("x-overflow", text("reject-publish"))]);
    send(config(&broker)).unwrap();
    let scouter = program(config(&broker));
    work(&scouter, 1);
    assert!(scouter.flush(Duration::from_millis(500)).is_err());
    let error = until("the reason is known", LONG, || destination(&scouter).last_error);
    assert!(error.to_string().contains("the broker could not keep the message"), "{error}");
    assert_eq!(destination(&scouter).queued, 5);
    rabbit.get(QUEUE);
    scouter.flush(LONG).unwrap();
    assert_eq!((destination(&scouter).exported, rabbit.waiting(QUEUE)), (5, 1));
    scouter.shutdown(LONG).unwrap();
}

#[test]
fn a_queue_that_is_deleted_under_a_programs_hands_is_made_again() {
    let broker = Broker::start(Kind::RabbitMq);
    let rabbit = Rabbit::new(&broker);
    let scouter = program(config(&broker));
    for _ in 0..2 {
        work(&scouter, 1);
        scouter.flush(LONG).unwrap();
        assert_eq!(rabbit.waiting(QUEUE), 1);
        rabbit.delete(QUEUE);
    }
    let destination = destination(&scouter);
    assert_eq!((destination.exported, destination.retries), (10, 1), "{destination:?}");
    scouter.shutdown(LONG).unwrap();
}

#[test]
fn a_broker_that_comes_later_gets_everything() {
    let broker = Broker::start(Kind::RabbitMq);
    broker.stop();
    let scouter = program(config(&broker));
    let begun = Instant::now();
    work(&scouter, 100);
    assert!(begun.elapsed() < Duration::from_secs(1), "it blocks");
    assert!(scouter.flush(Duration::from_millis(500)).is_err());
    broker.restart();
    scouter.flush(LONG).unwrap();
    assert_eq!(destination(&scouter).exported, 500);
    scouter.shutdown(LONG).unwrap();
}

#[test]
fn a_broker_that_stands_still_for_longer_than_the_timeout_gets_everything_when_it_goes_on() {
    let broker = Broker::start(Kind::RabbitMq);
    let scouter = program(config(&broker).timeout(Duration::from_secs(1)));
    work(&scouter, 1);
    scouter.flush(LONG).unwrap();
    broker.pause();
    work(&scouter, 10);
    assert!(scouter.flush(Duration::from_millis(500)).is_err());
    let error = until("the reason is known", LONG, || destination(&scouter).last_error);
    assert!(error.to_string().contains("not done within 1s"), "{error}");
    broker.resume();
    scouter.flush(LONG).unwrap();
    assert_eq!(destination(&scouter).exported, 55);
    scouter.shutdown(LONG).unwrap();
}

#[test]
fn what_the_user_may_not_do_is_told_and_what_it_may_is_enough() {
    let broker = Broker::start(Kind::RabbitMq);
    let rabbit = Rabbit::new(&broker);
    broker.control("add_user limited pass-word");
    let limited = || config(&broker).username("limited").password("pass-word");
    let told = |config: RabbitMqConfig, words: &str| {
        let error = send(config).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
        assert!(error.to_string().contains(words), "{error}");
        assert!(!format!("{error} {error:?}").contains("pass-word"));
    };
    told(limited(), "cannot open the virtual host `/` as user `limited`");
    broker.control("set_permissions limited ^$ .* ^$");
    told(limited(), "the queue `otlp_spans` is not there and cannot be made");
    rabbit.declare_with(QUEUE, &[]);
    send(limited()).unwrap();
    broker.control("set_permissions limited ^$ ^$ ^$");
    told(limited(), "access");
    // In a program: not tried again, counted with the reason, and nothing is held up.
    let scouter = program(limited());
    work(&scouter, 2);
    assert!(scouter.flush(LONG).is_err(), "a flush tells that spans were dropped");
    let destination = destination(&scouter);
    assert_eq!((destination.exported, destination.queued, destination.retries), (0, 0, 0), "{destination:?}");
    assert_eq!((destination.dropped[DropReason::Refused], destination.dropped.total()), (10, 10));
    scouter.shutdown(LONG).unwrap();
}

#[test]
fn queues_of_the_operator_are_used_as_they_are() {
    let broker = Broker::start(Kind::RabbitMq);
    let rabbit = Rabbit::new(&broker);
    for (name, arguments) in [
        ("quorum", vec![("x-queue-type", text("quorum"))]),
        ("stream", vec![("x-queue-type", text("stream"))]),
        ("limited", vec![("x-max-length", AMQPValue::LongInt(1000)), ("x-message-ttl", AMQPValue::LongInt(60_000))]),
        ("lazy", vec![("x-queue-mode", text("lazy"))]),
    ] {
        rabbit.declare_with(name, &arguments);
        send(config(&broker).queue(Signal::Traces, name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    assert_eq!(rabbit.waiting("quorum"), 1);
}

/// Between a program and a broker: lets everything through, or keeps what the broker says to itself.
struct Proxy {
    port: u16,
    is_deaf: Arc<AtomicBool>,
    open: Arc<Mutex<Vec<TcpStream>>>,
}

impl Proxy {
    fn new(broker: &Broker) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let proxy = Self { port, is_deaf: Arc::default(), open: Arc::default() };
        let (is_deaf, open, address) = (Arc::clone(&proxy.is_deaf), Arc::clone(&proxy.open), broker.address());
        std::thread::spawn(move || {
            for program in listener.incoming().map_while(Result::ok) {
                let broker = TcpStream::connect(&address).unwrap();
                open.lock().unwrap().extend([program.try_clone().unwrap(), broker.try_clone().unwrap()]);
                let way_back = (broker.try_clone().unwrap(), program.try_clone().unwrap());
                let is_deaf = Arc::clone(&is_deaf);
                std::thread::spawn(move || pass(program, broker, || true));
                std::thread::spawn(move || pass(way_back.0, way_back.1, || !is_deaf.load(Ordering::SeqCst)));
            }
        });
        proxy
    }

    fn cut(&self) {
        for stream in self.open.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, may: impl Fn() -> bool) {
    let mut buffer = [0; 4096];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        if may() && to.write_all(&buffer[..length]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
}

#[test]
fn what_is_sent_again_because_its_confirm_got_lost_is_stored_once() {
    let (broker, directory) = (Broker::start(Kind::RabbitMq), TempDir::new().unwrap());
    let rabbit = Rabbit::new(&broker);
    let proxy = Proxy::new(&broker);
    let scouter = program(config(&broker).port(proxy.port));
    let mut traces = work(&scouter, 1);
    scouter.flush(LONG).unwrap();
    proxy.is_deaf.store(true, Ordering::SeqCst);
    traces.extend(work(&scouter, 3));
    assert!(scouter.flush(Duration::from_millis(200)).is_err());
    until("the broker has it", LONG, || (rabbit.waiting(QUEUE) == 2).then_some(()));
    proxy.is_deaf.store(false, Ordering::SeqCst);
    proxy.cut();
    scouter.flush(LONG).unwrap();
    assert_eq!(rabbit.waiting(QUEUE), 3, "sent again");
    let server = Server::start(SERVER, directory.path(), broker.settings("SCOUTER_SERVER_"));
    rabbit.until_empty(QUEUE);
    let stored = |name| server.metric(name);
    until("all is stored", LONG, || (stored("scouter_server_spans_stored_total") == 20).then_some(()));
    until("the repeat is seen", LONG, || (stored("scouter_server_spans_duplicate_total") == 15).then_some(()));
    assert_eq!(Reader::new(&server).counts(), traces.iter().map(|id| (*id, 5)).collect());
    scouter.shutdown(LONG).unwrap();
}

#[test]
fn programs_that_leave_while_the_broker_is_away_leave_nothing_behind() {
    let broker = Broker::start(Kind::RabbitMq);
    let threads = || std::fs::read_dir("/proc/self/task").unwrap().count();
    let sockets = || {
        let files = std::fs::read_dir("/proc/self/fd").unwrap().filter_map(Result::ok);
        let target = |file: std::fs::DirEntry| std::fs::read_link(file.path()).ok();
        files.filter_map(target).filter(|target| target.to_string_lossy().starts_with("socket:")).count()
    };
    let before = (threads(), sockets());
    for is_away in [false, true] {
        let scouter = service("shop", connection(&broker)).start().unwrap();
        work(&scouter, 1);
        scouter.flush(LONG).unwrap();
        if is_away {
            broker.kill();
            work(&scouter, 1);
        }
        let begun = Instant::now();
        let ended = scouter.shutdown(Duration::from_secs(1));
        assert_eq!(ended.is_err(), is_away, "{ended:?}");
        assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
        until("threads and sockets end", LONG, || {
            let now = (threads(), sockets());
            (now.0 <= before.0 && now.1 <= before.1).then_some(())
        });
    }
}
