//! The thread that reads: a member of the consumer group.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _, ConsumerContext, Rebalance};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::BorrowedMessage;
use rdkafka::types::RDKafkaErrorCode as Code;
use rdkafka::{Message as _, Offset, TopicPartitionList};
use tokio::runtime::Handle;

use super::batch::{Batch, Gathering};
use super::keeper::Keeper;
use super::ledger::{Partition, Position};
use super::work::Work;
use crate::metrics::Broker;
use crate::store::Signal;

/// How long the thread waits for a message before it looks around.
const TURN: Duration = Duration::from_millis(100);
/// How long the store may be busy before partitions are paused, so that the group does not lose this member.
const BUSY: Duration = Duration::from_secs(1);
/// How often offsets are committed.
const COMMIT_EVERY: Duration = Duration::from_millis(500);
/// How long a partition that is taken away is held for what is under way of it.
const HOLD: Duration = Duration::from_secs(10);

/// This member of the group, as librdkafka calls it back. Everything happens in the thread that reads.
pub(super) struct Member {
    keeper: Arc<Keeper>,
    runtime: Handle,
    gatherings: Mutex<[Gathering; 2]>,
    /// Whether no messages are to come, because the store is busy.
    paused: AtomicBool,
    /// What librdkafka said last about a broker.
    last: Mutex<String>,
}

/// Why reading ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// It was asked to.
    Stopped,
    /// librdkafka cannot go on; a new consumer can.
    Broken,
}

impl Member {
    pub(super) fn new(keeper: Arc<Keeper>, runtime: Handle) -> Self {
        let gatherings = Mutex::new([Gathering::new(Signal::Traces), Gathering::new(Signal::Logs)]);
        Self { keeper, runtime, gatherings, paused: AtomicBool::new(false), last: Mutex::default() }
    }

    pub(super) fn topics(&self) -> &[String; 2] {
        &self.keeper.topics
    }

    fn work(&self) -> &Work {
        &self.keeper.work
    }

    fn take_in(&self, message: &BorrowedMessage<'_>) {
        let Some(topic) = self.keeper.topics.iter().position(|topic| topic == message.topic()) else { return };
        let partition = Partition { topic, number: message.partition() };
        let (place, again) = self.work().begin(partition, message.offset());
        let metrics = &self.keeper.ingest.metrics;
        metrics.fetched(Broker::Kafka, 1, message.payload_len() as u64);
        metrics.redelivered(Broker::Kafka, u64::from(again));
        let mut gatherings = self.gatherings.lock().unwrap_or_else(PoisonError::into_inner);
        let gathering = &mut gatherings[topic];
        let single = gathering.add(message, place);
        let full = gathering.is_full().then(|| gathering.take()).flatten();
        drop(gatherings);
        single.into_iter().chain(full).for_each(|batch| self.hand_over(batch));
    }

    fn is_gathering(&self) -> bool {
        let gatherings = self.gatherings.lock().unwrap_or_else(PoisonError::into_inner);
        gatherings.iter().any(|gathering| !gathering.is_empty())
    }

    /// Sends off what was gathered.
    fn flush(&self) {
        let mut gatherings = self.gatherings.lock().unwrap_or_else(PoisonError::into_inner);
        let batches = gatherings.each_mut().map(Gathering::take);
        drop(gatherings);
        batches.into_iter().flatten().for_each(|batch| self.hand_over(batch));
    }

    fn hand_over(&self, batch: Batch) {
        if self.work().hand_over(&batch) {
            drop(self.runtime.spawn(Arc::clone(&self.keeper).keep(batch)));
        }
    }

    fn partitions(&self, list: &TopicPartitionList) -> Vec<Partition> {
        let topic = |name: &str| self.keeper.topics.iter().position(|topic| topic == name);
        let partition = |number: i32, name: &str| Some(Partition { topic: topic(name)?, number });
        list.elements().iter().filter_map(|element| partition(element.partition(), element.topic())).collect()
    }

    fn list(&self, positions: &[Position]) -> TopicPartitionList {
        let mut list = TopicPartitionList::with_capacity(positions.len());
        for Position { partition, offset } in positions {
            // Fails for an offset below zero only, and none is.
            let _ = list.add_partition_offset(
                &self.keeper.topics[partition.topic],
                partition.number,
                Offset::Offset(*offset),
            );
        }
        list
    }

    fn commit(&self, consumer: &BaseConsumer<Self>, mode: CommitMode) {
        let positions = self.work().commit();
        if !positions.is_empty()
            && let Err(error) = consumer.commit(&self.list(&positions), mode)
        {
            self.not_committed(&error);
        }
    }

    fn not_committed(&self, error: &KafkaError) {
        self.work().uncommit();
        if self.work().is_news("commit") {
            tracing::warn!("offsets were not committed to Kafka: {error}; what follows may be delivered again");
        }
    }

    fn trouble(&self, error: &KafkaError) {
        let topics = &self.keeper.topics;
        // One broker that goes is nothing: when all of them are gone, that is told by itself.
        if error.rdkafka_error_code() == Some(Code::BrokerTransportFailure) {
            return;
        }
        let unknown =
            [Code::UnknownTopicOrPartition, Code::UnknownTopic].map(Some).contains(&error.rdkafka_error_code());
        if !self.work().is_news(if unknown { "topic" } else { "broker" }) {
            return;
        }
        if unknown {
            tracing::warn!("not all Kafka topics of {topics:?} exist; they are read once they do");
        } else {
            let last = self.last.lock().unwrap_or_else(PoisonError::into_inner).clone();
            tracing::warn!("nothing can be read from Kafka: {error}; {last}; trying on");
        }
    }

    /// Waits for what is under way of these partitions, commits it, and forgets the rest.
    fn give_up(&self, consumer: &BaseConsumer<Self>, list: &TopicPartitionList) {
        let partitions = self.partitions(list);
        if !consumer.assignment_lost() {
            self.flush();
            let settled = self.work().wait_for(&partitions, HOLD);
            tracing::debug!(settled, "Kafka partitions are given up");
            // Also what a commit that nobody waited for was to say: it may have failed, and whoever is next begins there.
            self.work().uncommit();
            self.commit(consumer, CommitMode::Sync);
        }
        self.work().give_up(&partitions);
    }
}

/// Reads until it is to stop, then finishes what is under way and leaves the group.
pub(super) fn read(consumer: &BaseConsumer<Member>, stop: &AtomicBool) -> End {
    let member = Arc::clone(consumer.context());
    let mut committed = Instant::now();
    let end = loop {
        if stop.load(Ordering::Acquire) || member.work().is_aborted() {
            break End::Stopped;
        }
        let (paused, full) = (member.paused.load(Ordering::Relaxed), member.work().is_full());
        if paused != full && (paused || !member.work().wait_for_room(BUSY)) {
            member.paused.store(full, Ordering::Relaxed);
            set_paused(consumer, full);
        }
        let gathering = member.is_gathering();
        match consumer.poll(if gathering { Duration::ZERO } else { TURN }) {
            Some(Ok(message)) => member.take_in(&message),
            Some(Err(KafkaError::MessageConsumptionFatal(code))) => {
                tracing::error!("the Kafka consumer cannot go on ({code}) and begins anew");
                break End::Broken;
            }
            Some(Err(error)) => member.trouble(&error),
            None => member.flush(),
        }
        if committed.elapsed() >= COMMIT_EVERY {
            member.commit(consumer, CommitMode::Async);
            committed = Instant::now();
        }
    };
    member.flush();
    member.work().wait_for_all();
    if !member.work().is_aborted() {
        member.commit(consumer, CommitMode::Sync);
    }
    end
}

/// Paused partitions bring no messages, but the member still answers to the group.
fn set_paused(consumer: &BaseConsumer<Member>, paused: bool) {
    let changed = consumer.assignment().and_then(|assignment| match paused {
        true => consumer.pause(&assignment),
        false => consumer.resume(&assignment),
    });
    if let Err(error) = changed {
        tracing::debug!("Kafka partitions could not be paused or resumed: {error}");
    }
}

impl ConsumerContext for Member {
    fn pre_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        match rebalance {
            Rebalance::Assign(list) => tracing::debug!(partitions = list.count(), "Kafka partitions are assigned"),
            Rebalance::Revoke(list) => self.give_up(consumer, list),
            Rebalance::Error(error) => self.trouble(error),
        }
    }

    fn post_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        // Partitions come unpaused.
        if matches!(rebalance, Rebalance::Assign(_)) && self.paused.load(Ordering::Relaxed) {
            set_paused(consumer, true);
        }
    }

    fn commit_callback(&self, result: KafkaResult<()>, _: &TopicPartitionList) {
        match result {
            Ok(()) | Err(KafkaError::ConsumerCommit(Code::NoOffset)) => {}
            Err(error) => self.not_committed(&error),
        }
    }
}

impl ClientContext for Member {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        log(level, facility, line);
        if matches!(level, RDKafkaLogLevel::Error | RDKafkaLogLevel::Warning) {
            line.clone_into(&mut self.last.lock().unwrap_or_else(PoisonError::into_inner));
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        reason.clone_into(&mut self.last.lock().unwrap_or_else(PoisonError::into_inner));
        self.trouble(&error);
    }
}

/// What librdkafka says. Brokers that come and go are told by whoever misses them, once a minute.
pub(super) fn log(level: RDKafkaLogLevel, facility: &str, line: &str) {
    match level {
        RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical => {
            tracing::error!(facility, "{line}");
        }
        _ => tracing::debug!(facility, "{line}"),
    }
}
