//! Brokers: whole batches of spans to a broker and every one of them confirmed, by our transports and by the bare clients
//! underneath, which are handed the very same messages ready made.
//!
//! Everybody has as many batches under way as the pipeline has, and the same settings.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::{FuturesUnordered, iter};
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions, QueuePurgeOptions};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Confirmation, Connection, ConnectionProperties};
use rdkafka::ClientConfig;
use rdkafka::client::ClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer, ProducerContext, ThreadedProducer};
use scouter_benches::batch::{Batch, SPANS};
use scouter_benches::clock::{Figures, measure_once};
use scouter_transport::kafka::KafkaConfig;
use scouter_transport::rabbitmq::RabbitMqConfig;
use scouter_transport::{Config, Payload, Transport, connect};
use tokio::runtime::{Builder, Runtime};

use crate::{Row, no_such_row};

/// As many batches as the pipeline has under way at a time.
const UNDER_WAY: usize = 4;
/// Different batches; they are sent again and again.
const BATCHES: usize = 16;
const TOPIC: &str = "otlp_spans";
const CONTENT: &str = "application/x-protobuf";
const LONG: Duration = Duration::from_secs(60);

/// `address` is `host:port` for Kafka and `host:port:user:password` for RabbitMQ.
pub(crate) fn run(row: Row, peer: &str, n: u64, address: &str) -> Result<Figures, String> {
    match (row, peer) {
        (Row::Kafka, "ours") => ours(KafkaConfig::new(address).into(), n),
        (Row::Kafka, "rdkafka") => rdkafka(address, n),
        (Row::RabbitMq, "ours") => {
            let broker = Amqp::parse(address)?;
            let config = RabbitMqConfig::new(broker.host).port(broker.port).username(broker.user);
            ours(config.password(broker.password).into(), n)
        }
        (Row::RabbitMq, "lapin") => lapin(&Amqp::parse(address)?, n),
        (row, peer) => no_such_row(row, peer),
    }
}

struct Amqp<'a> {
    host: &'a str,
    port: u16,
    user: &'a str,
    password: &'a str,
}

impl<'a> Amqp<'a> {
    fn parse(address: &'a str) -> Result<Self, String> {
        let mut parts = address.splitn(4, ':');
        let mut part = || parts.next().ok_or(format!("{address} is not host:port:user:password"));
        let (host, port, user, password) = (part()?, part()?, part()?, part()?);
        Ok(Self { host, port: port.parse().map_err(text)?, user, password })
    }

    fn uri(&self) -> String {
        format!("amqp://{}:{}@{}:{}/%2f", self.user, self.password, self.host, self.port)
    }
}

fn ours(config: Config, n: u64) -> Result<Figures, String> {
    let bodies: Vec<Bytes> = (0..BATCHES).map(|at| Bytes::from(Batch::new(at).whole())).collect();
    let runtime = runtime()?;
    let transport = connect(config).map_err(text)?;
    let transport: &dyn Transport = &*transport;
    let send = async |count: u64| {
        let bodies = bodies.iter().cycle().take(batches(count)).cloned();
        let mut answers =
            iter(bodies).map(|body| transport.send(Payload::traces(body, SPANS as u32))).buffer_unordered(UNDER_WAY);
        while let Some(answer) = answers.next().await {
            answer.map_err(text)?;
        }
        Ok::<(), String>(())
    };
    runtime.block_on(send(n / 10))?;
    let mut outcome = Ok(());
    let figures = measure_once(batches(n) as u64 * SPANS as u64, || outcome = runtime.block_on(send(n)));
    runtime.block_on(transport.close()).map_err(text)?;
    outcome.map(|()| figures)
}

/// A batch whose messages are under way.
struct Pending {
    left: AtomicUsize,
    failed: AtomicUsize,
    done: Sender<usize>,
}

struct Confirmations;

impl ClientContext for Confirmations {}

impl ProducerContext for Confirmations {
    type DeliveryOpaque = Arc<Pending>;

    fn delivery(&self, result: &DeliveryResult<'_>, batch: Arc<Pending>) {
        batch.failed.fetch_add(usize::from(result.is_err()), Ordering::Relaxed);
        if batch.left.fetch_sub(1, Ordering::AcqRel) == 1 {
            let _ = batch.done.send(batch.failed.load(Ordering::Relaxed));
        }
    }
}

fn rdkafka(address: &str, n: u64) -> Result<Figures, String> {
    let batches_of_messages: Vec<Vec<(String, Vec<u8>)>> = (0..BATCHES).map(|at| Batch::new(at).by_trace()).collect();
    let mut config = ClientConfig::new();
    let settings = [
        ("bootstrap.servers", address),
        ("acks", "all"),
        ("enable.idempotence", "true"),
        ("compression.codec", "lz4"),
        ("linger.ms", "5"),
        ("partitioner", "murmur2_random"),
        ("queue.buffering.max.kbytes", "131072"),
    ];
    for (name, value) in settings {
        config.set(name, value);
    }
    let producer: ThreadedProducer<Confirmations> = config.create_with_context(Confirmations).map_err(text)?;
    let send = |count: u64| -> Result<(), String> {
        let (done, confirmed) = channel();
        let mut under_way = 0;
        for messages in batches_of_messages.iter().cycle().take(batches(count)) {
            if under_way == UNDER_WAY {
                confirm(&confirmed)?;
                under_way -= 1;
            }
            produce(&producer, messages, &done)?;
            under_way += 1;
        }
        (0..under_way).try_for_each(|_| confirm(&confirmed))
    };
    send(n / 10)?;
    let mut outcome = Ok(());
    let figures = measure_once(batches(n) as u64 * SPANS as u64, || outcome = send(n));
    producer.flush(LONG).map_err(text)?;
    outcome.map(|()| figures)
}

fn produce(
    producer: &ThreadedProducer<Confirmations>,
    messages: &[(String, Vec<u8>)],
    done: &Sender<usize>,
) -> Result<(), String> {
    let (left, failed) = (AtomicUsize::new(messages.len()), AtomicUsize::new(0));
    let batch = Arc::new(Pending { left, failed, done: done.clone() });
    let headers = OwnedHeaders::new().insert(Header { key: "content-type", value: Some(CONTENT) });
    for (key, body) in messages {
        let mut record = BaseRecord::with_opaque_to(TOPIC, Arc::clone(&batch)).key(key).payload(body);
        record = record.headers(headers.clone());
        while let Err((error, returned)) = producer.send(record) {
            if error != KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull) {
                return Err(text(error));
            }
            record = returned;
            std::thread::yield_now();
        }
    }
    Ok(())
}

fn confirm(confirmed: &Receiver<usize>) -> Result<(), String> {
    match confirmed.recv_timeout(LONG) {
        Ok(0) => Ok(()),
        Ok(failed) => Err(format!("{failed} messages were not delivered")),
        Err(error) => Err(text(error)),
    }
}

fn lapin(broker: &Amqp<'_>, n: u64) -> Result<Figures, String> {
    let bodies: Vec<Bytes> = (0..BATCHES).map(|at| Bytes::from(Batch::new(at).whole())).collect();
    let runtime = runtime()?;
    let channel = runtime.block_on(open(broker)).map_err(text)?;
    let publish = |body: &Bytes| {
        let (channel, body) = (channel.clone(), body.clone());
        async move {
            let properties = BasicProperties::default().with_delivery_mode(2).with_content_type(CONTENT.into());
            let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
            let confirm = channel.basic_publish("".into(), TOPIC.into(), options, &body, properties).await?;
            confirm.await
        }
    };
    let send = async |count: u64| {
        let mut under_way = FuturesUnordered::new();
        for body in bodies.iter().cycle().take(batches(count)) {
            if under_way.len() == UNDER_WAY {
                check(under_way.next().await)?;
            }
            under_way.push(publish(body));
        }
        while !under_way.is_empty() {
            check(under_way.next().await)?;
        }
        Ok::<(), String>(())
    };
    runtime.block_on(send(n / 10))?;
    let mut outcome = Ok(());
    let figures = measure_once(batches(n) as u64 * SPANS as u64, || outcome = runtime.block_on(send(n)));
    outcome.map(|()| figures)
}

fn check(answer: Option<lapin::Result<Confirmation>>) -> Result<(), String> {
    match answer {
        Some(Ok(Confirmation::Ack(None))) => Ok(()),
        other => Err(format!("a message was not taken: {other:?}")),
    }
}

async fn open(broker: &Amqp<'_>) -> lapin::Result<Channel> {
    let connection = Connection::connect(&broker.uri(), ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    channel.queue_declare(TOPIC.into(), QueueDeclareOptions::durable(), FieldTable::default()).await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    Ok(channel)
}

/// Empties the queue, so that every process finds the broker alike.
pub(crate) fn tidy(row: Row, address: &str) -> Result<(), String> {
    if row != Row::RabbitMq {
        return Ok(());
    }
    let broker = Amqp::parse(address)?;
    runtime()?.block_on(async {
        let channel = open(&broker).await.map_err(text)?;
        channel.queue_purge(TOPIC.into(), QueuePurgeOptions::default()).await.map(drop).map_err(text)
    })
}

fn batches(spans: u64) -> usize {
    (spans as usize).div_ceil(SPANS)
}

fn runtime() -> Result<Runtime, String> {
    Builder::new_current_thread().enable_all().build().map_err(text)
}

fn text(error: impl ToString) -> String {
    error.to_string()
}
