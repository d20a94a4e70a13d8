//! What Kafka itself says: messages, offsets, what a group has committed.
#![allow(dead_code, reason = "each test file uses some of it")]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::{Header, Headers as _, OwnedHeaders, OwnedMessage};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rdkafka::{ClientConfig, Message as _, Offset, TopicPartitionList};
use scouter_tests::broker::Broker;

const LONG: Duration = Duration::from_secs(60);

fn client(broker: &Broker, group: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", broker.address()).set("group.id", group).set("auto.offset.reset", "earliest");
    config
}

/// So many messages of a topic, from its beginning.
pub(crate) fn messages(broker: &Broker, topic: &str, partitions: i32, count: usize) -> Vec<OwnedMessage> {
    read(&broker.address(), topic, partitions, |found| found.len() >= count)
}

/// Messages of a topic, from its beginning, until they are enough.
pub(crate) fn read(
    brokers: &str,
    topic: &str,
    partitions: i32,
    enough: impl Fn(&[OwnedMessage]) -> bool,
) -> Vec<OwnedMessage> {
    let mut config = ClientConfig::new();
    let consumer: BaseConsumer = config.set("bootstrap.servers", brokers).set("group.id", "reader").create().unwrap();
    let mut list = TopicPartitionList::new();
    for partition in 0..partitions {
        list.add_partition_offset(topic, partition, Offset::Beginning).unwrap();
    }
    consumer.assign(&list).unwrap();
    let mut found = Vec::new();
    let deadline = Instant::now() + LONG;
    while !enough(&found) {
        assert!(Instant::now() < deadline, "{} messages of {topic} are not enough", found.len());
        if let Some(Ok(message)) = consumer.poll(Duration::from_millis(100)) {
            found.push(message.detach());
        }
    }
    found
}

/// A message to be sent: key, value, header `content-type`.
#[derive(Clone, Copy, Default)]
pub(crate) struct Sent<'a> {
    pub(crate) key: &'a str,
    pub(crate) value: Option<&'a [u8]>,
    pub(crate) content: Option<&'a str>,
}

/// Sends messages as they are, each with one more header, and waits until the broker has them.
pub(crate) fn produce(broker: &Broker, topic: &str, all: &[Sent<'_>]) {
    let producer: BaseProducer = client(broker, "writer").create().unwrap();
    for Sent { key, value, content } in all {
        let mut headers = OwnedHeaders::new().insert(Header { key: "own", value: Some("kept") });
        if content.is_some() {
            headers = headers.insert(Header { key: "content-type", value: *content });
        }
        let mut record = BaseRecord::<str, [u8]>::to(topic).key(*key).headers(headers);
        record.payload = *value;
        producer.send(record).map_err(|(error, _)| error).unwrap();
    }
    producer.flush(LONG).unwrap();
}

/// Sends one message with settings of one's own.
pub(crate) fn produce_with(settings: &[(&str, &str)], topic: &str, value: &[u8]) {
    let mut config = ClientConfig::new();
    for (name, value) in settings {
        config.set(*name, *value);
    }
    let producer: BaseProducer = config.create().unwrap();
    producer.send(BaseRecord::<str, [u8]>::to(topic).payload(value)).map_err(|(error, _)| error).unwrap();
    producer.flush(LONG).unwrap();
}

/// The headers of a message.
pub(crate) fn headers(message: &OwnedMessage) -> BTreeMap<String, String> {
    let headers = message.headers().into_iter().flat_map(|headers| headers.iter());
    let text = |value: Option<&[u8]>| String::from_utf8(value.unwrap_or_default().to_vec()).unwrap();
    headers.map(|header| (header.key.to_owned(), text(header.value))).collect()
}

/// Waits until the group has committed everything there is of the topic. Gives how many messages that are.
pub(crate) fn no_lag(broker: &Broker, group: &str, topic: &str, partitions: i32) -> i64 {
    let consumer: BaseConsumer = client(broker, group).create().unwrap();
    let mut list = TopicPartitionList::new();
    for partition in 0..partitions {
        list.add_partition(topic, partition);
    }
    let deadline = Instant::now() + LONG * 2;
    loop {
        let committed = consumer.committed_offsets(list.clone(), LONG).unwrap();
        let offset = |element: Offset| if let Offset::Offset(offset) = element { offset } else { 0 };
        let committed = committed.elements().into_iter().map(|element| (element.partition(), offset(element.offset())));
        // What is committed of each partition, and what there is.
        let state: Vec<_> = committed
            .map(|(partition, offset)| (offset, consumer.fetch_watermarks(topic, partition, LONG).unwrap().1))
            .collect();
        if state.iter().all(|(offset, end)| offset >= end) {
            return state.iter().map(|(offset, _)| offset).sum();
        }
        assert!(Instant::now() < deadline, "{topic} has not been read to its end: {state:?}");
        std::thread::sleep(Duration::from_millis(100));
    }
}
