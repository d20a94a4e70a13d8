//! Settings checked, the thread started, its end awaited.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::config::{FromClientConfigAndContext as _, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use scouter_transport::Signal;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::consumer::{End, Member, read};
use super::dead_letter::DeadLetters;
use super::keeper::Keeper;
use super::source::KafkaSource;
use super::work::Work;
use crate::error::ServerError;
use crate::ingest::Ingest;
use crate::receive::Stop;

/// Properties that hold what the receiver promises, each with the way out.
const RESERVED: &[(&str, &str)] = &[
    ("bootstrap.servers", "give the brokers instead"),
    ("metadata.broker.list", "give the brokers instead"),
    ("group.id", "give the group instead"),
    ("enable.auto.commit", "offsets are committed once the store has the messages"),
    ("enable.auto.offset.store", "offsets are committed once the store has the messages"),
];

/// How long to rest before a consumer that could not go on is made anew.
const REST: Duration = Duration::from_secs(1);

/// Reads topics of Kafka into the store.
pub(crate) struct KafkaReceiver {
    consumer: ClientConfig,
    producer: ClientConfig,
    topics: [String; 2],
    max_request_bytes: usize,
}

/// Ends the thread when nobody waits for it any more.
struct Guard(Arc<Work>);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl KafkaReceiver {
    /// Checks the settings. Connects when it runs.
    ///
    /// # Errors
    /// Settings that cannot work.
    pub(crate) fn new(source: &KafkaSource, max_request_bytes: usize) -> Result<Self, ServerError> {
        let wrong = |error: &dyn std::fmt::Display| ServerError::config(format!("reading from Kafka: {error}"));
        let own = source.properties.0.iter();
        let connection =
            own.fold(source.connection.clone(), |connection, (name, value)| connection.property(name, value));
        // Those of them that are about the way to the brokers are the dead letters' as well.
        let connection = connection.client_properties().map_err(|error| wrong(&error))?;
        if source.group.is_empty() {
            return Err(wrong(&"the group has no name: give one"));
        }
        let topics = Signal::ALL.map(|signal| source.connection.topic_of(signal).to_owned());
        if topics[0] == topics[1] {
            return Err(wrong(&format!("traces and records cannot share the topic {}: give two", topics[0])));
        }
        let mut consumer: ClientConfig = connection.iter().cloned().collect();
        for (name, value) in [
            ("group.id", source.group.as_str()),
            ("enable.auto.commit", "false"),
            ("enable.auto.offset.store", "false"),
            ("auto.offset.reset", "earliest"),
            // Every server gets its part of every topic. The sticky one counts partitions only, and may give all of the spans
            // to one server and all of the records to another.
            ("partition.assignment.strategy", "roundrobin"),
            // A topic that is made later is found this soon.
            ("topic.metadata.refresh.interval.ms", "10000"),
            // What is fetched ahead.
            ("queued.max.messages.kbytes", "16384"),
            ("fetch.max.bytes", "16777216"),
        ] {
            consumer.set(name, value);
        }
        for (name, value) in &source.properties.0 {
            if let Some((_, way_out)) = RESERVED.iter().find(|(reserved, _)| reserved == name) {
                return Err(wrong(&format!("the property {name} cannot be set: {way_out}")));
            }
            consumer.set(name, value);
        }
        let mut producer: ClientConfig = connection.into_iter().collect();
        for (name, value) in [
            ("acks", "all"),
            // A letter may come twice anyhow, and an idempotent producer that is refused once is of no more use.
            ("enable.idempotence", "false"),
            ("compression.codec", "lz4"),
            ("message.timeout.ms", "10000"),
            // A topic that is not there is told before that.
            ("topic.metadata.propagation.max.ms", "3000"),
            // As large as what was read.
            ("message.max.bytes", "1000000000"),
        ] {
            producer.set(name, value);
        }
        for client in [&mut consumer, &mut producer] {
            client.set_log_level(RDKafkaLogLevel::Info);
            client.create_native_config().map_err(|error| match error {
                // The value stays unsaid: it may be a secret.
                KafkaError::ClientConfig(_, _, name, _) => {
                    wrong(&format!("the property {name} is not known, or does not take its value"))
                }
                _ => wrong(&"a property has a zero byte in it"),
            })?;
        }
        Ok(Self { consumer, producer, topics, max_request_bytes })
    }

    /// Reads until it is to stop and everything that was taken is stored and committed.
    pub(crate) async fn run(&self, ingest: Ingest, mut stop: Stop) {
        loop {
            let (end, ended) = oneshot::channel();
            let stopping = Arc::new(AtomicBool::new(false));
            let work = Arc::new(Work::default());
            let _guard = Guard(Arc::clone(&work));
            let keeper = Keeper {
                ingest: ingest.clone(),
                work,
                dead_letters: DeadLetters::new(self.producer.clone()),
                topics: self.topics.clone(),
                max_request_bytes: self.max_request_bytes,
            };
            let (config, flag) = (self.consumer.clone(), Arc::clone(&stopping));
            let member = Member::new(Arc::new(keeper), Handle::current());
            // Not one of the runtime's: the process need not wait for it when it was cut off.
            let thread = std::thread::Builder::new().name("scouter-kafka".to_owned());
            let thread = thread.spawn(move || {
                let ending = consume(&config, member, &flag);
                let _ = end.send(());
                ending
            });
            let thread = match thread {
                Ok(thread) => thread,
                Err(error) => {
                    tracing::error!("the operating system gave no thread to read from Kafka: {error}");
                    return;
                }
            };
            let mut ended = ended;
            tokio::select! {
                _ = &mut ended => {}
                () = stop.requested() => {
                    stopping.store(true, Ordering::Release);
                    let _ = ended.await;
                }
            }
            match thread.join() {
                Ok(End::Broken) if !stop.is_requested() => tokio::time::sleep(REST).await,
                Ok(_) => return,
                // Counted by whoever runs this, which then begins anew.
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
    }
}

/// The whole life of a consumer. Its end may take a while, which is why it has a thread.
fn consume(config: &ClientConfig, member: Member, stop: &AtomicBool) -> End {
    let topics = member.topics().clone();
    let consumer = match BaseConsumer::from_config_and_context(config, member) {
        Ok(consumer) => consumer,
        Err(error) => {
            tracing::error!("nothing is read from Kafka: librdkafka does not take the settings: {error}");
            return End::Stopped;
        }
    };
    if let Err(error) = consumer.subscribe(&[&topics[0], &topics[1]]) {
        tracing::error!("nothing is read from Kafka: {topics:?} cannot be subscribed to: {error}");
        return End::Stopped;
    }
    read(&consumer, stop)
}

impl std::fmt::Debug for KafkaReceiver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KafkaReceiver").field("topics", &self.topics).finish_non_exhaustive()
    }
}
