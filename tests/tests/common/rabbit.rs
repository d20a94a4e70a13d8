//! A client of RabbitMQ of another make, and what the tests about it have in common.
#![allow(dead_code, reason = "each test file uses some of it")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::time::Duration;

use lapin::message::BasicGetMessage;
use lapin::options::{
    BasicAckOptions, BasicGetOptions, BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions,
    QueueDeleteOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Confirmation, Connection, ConnectionProperties};
use scouter::Scouter;
use scouter_span::TraceId;
use scouter_tests::broker::Broker;
use scouter_transport::rabbitmq::RabbitMqConfig;
use tokio::runtime::{Builder, Runtime};

use crate::common::until;

pub(crate) const LONG: Duration = Duration::from_secs(60);
pub(crate) const QUEUE: &str = "otlp_spans";
pub(crate) const RECORDS: &str = "otlp_logs";
pub(crate) const DEAD: &str = "otlp_spans.dead-letter";

/// Who looks after a broker by hand.
pub(crate) struct Rabbit {
    runtime: Runtime,
    channel: Channel,
    connection: Connection,
}

impl Rabbit {
    pub(crate) fn new(broker: &Broker) -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let uri = format!("amqp://{}:{}@{}/%2f", broker.username(), broker.password(), broker.address());
        let connection = runtime.block_on(Connection::connect(&uri, ConnectionProperties::default())).unwrap();
        let channel = runtime.block_on(connection.create_channel()).unwrap();
        runtime.block_on(channel.confirm_select(ConfirmSelectOptions::default())).unwrap();
        Self { runtime, channel, connection }
    }

    pub(crate) fn declare(&self, queue: &str, options: QueueDeclareOptions, arguments: FieldTable) -> u32 {
        let declaring = self.channel.queue_declare(queue.into(), options, arguments);
        self.runtime.block_on(declaring).unwrap().message_count()
    }

    /// A durable queue with these arguments.
    pub(crate) fn declare_with(&self, queue: &str, arguments: &[(&str, AMQPValue)]) {
        let mut table = FieldTable::default();
        for (name, value) in arguments {
            table.insert((*name).into(), value.clone());
        }
        self.declare(queue, durable(), table);
    }

    /// Whether there is such a queue.
    pub(crate) fn has(&self, queue: &str) -> bool {
        // To look at one that is not there closes the channel.
        let passive = QueueDeclareOptions { passive: true, ..Default::default() };
        self.runtime.block_on(async {
            let channel = self.connection.create_channel().await.unwrap();
            channel.queue_declare(queue.into(), passive, FieldTable::default()).await.is_ok()
        })
    }

    pub(crate) fn delete(&self, queue: &str) {
        self.runtime.block_on(self.channel.queue_delete(queue.into(), QueueDeleteOptions::default())).unwrap();
    }

    /// How many messages wait in a queue. Those that somebody has and has not acknowledged do not count.
    pub(crate) fn waiting(&self, queue: &str) -> u32 {
        self.declare(queue, QueueDeclareOptions { passive: true, ..Default::default() }, FieldTable::default())
    }

    pub(crate) fn publish(&self, body: &[u8], properties: BasicProperties) {
        self.publish_to(QUEUE, body, properties);
    }

    pub(crate) fn publish_to(&self, queue: &str, body: &[u8], properties: BasicProperties) {
        let options = BasicPublishOptions { mandatory: true, ..Default::default() };
        let sent = self.runtime.block_on(async {
            self.channel.basic_publish("".into(), queue.into(), options, body, properties).await?.await
        });
        assert_eq!(sent.unwrap(), Confirmation::Ack(None));
    }

    pub(crate) fn get(&self, queue: &str) -> BasicGetMessage {
        until(&format!("a message of {queue}"), LONG, || {
            let getting = self.channel.basic_get(queue.into(), BasicGetOptions::default());
            let message = self.runtime.block_on(getting).unwrap()?;
            self.runtime.block_on(message.ack(BasicAckOptions::default())).unwrap();
            Some(message)
        })
    }

    /// A message of a queue that somebody else will make.
    pub(crate) fn get_soon(&self, queue: &str) -> BasicGetMessage {
        // To look at one that is not there closes the channel; to make it does not.
        self.declare(queue, durable(), FieldTable::default());
        self.get(queue)
    }

    /// Waits until nothing waits in a queue.
    pub(crate) fn until_empty(&self, queue: &str) {
        until(&format!("{queue} is empty"), LONG, || (self.waiting(queue) == 0).then_some(()));
    }
}

pub(crate) fn durable() -> QueueDeclareOptions {
    QueueDeclareOptions { durable: true, ..Default::default() }
}

pub(crate) fn text(value: &str) -> AMQPValue {
    AMQPValue::LongString(value.into())
}

/// A header of a message, `""` without it.
pub(crate) fn header(message: &BasicGetMessage, name: &str) -> String {
    let headers = message.properties.headers().clone().unwrap_or_default();
    match headers.inner().get(name) {
        Some(AMQPValue::LongString(text)) => String::from_utf8_lossy(text.as_bytes()).into_owned(),
        _ => String::new(),
    }
}

pub(crate) fn config(broker: &Broker) -> RabbitMqConfig {
    RabbitMqConfig::new(broker.host()).port(broker.port()).username(broker.username()).password(broker.password())
}

/// Traces of five spans each.
pub(crate) fn work(scouter: &Scouter, traces: usize) -> Vec<TraceId> {
    let tracer = scouter.tracer("tests");
    let one = |_| {
        let mut root = tracer.span("root").start();
        for name in ["a", "b", "c", "d"] {
            tracer.span(name).parent(Some(root.context())).start().end();
        }
        let id = root.context().trace_id;
        root.end();
        id
    };
    (0..traces).map(one).collect()
}
