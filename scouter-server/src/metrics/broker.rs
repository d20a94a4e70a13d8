//! What the receivers of brokers count.

use std::sync::atomic::AtomicU64;

use super::text::Text;
use super::{Metrics, add, read};

/// A receiver that fetches from a broker: the `receiver` label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Broker {
    Kafka,
    RabbitMq,
}

/// Why a message will never be stored. A closed list, the `reason` label of `scouter_server_dead_letters_total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DeadLetter {
    /// It is not a request of its signal.
    Malformed,
    /// It is longer than the longest request.
    TooLarge,
    /// Its content type or its compression is not one that is spoken here.
    Unsupported,
    /// Some of its spans were rejected; the others are stored.
    Rejected,
}

const BROKERS: [(Broker, &str); 2] = [(Broker::Kafka, "kafka"), (Broker::RabbitMq, "rabbitmq")];

const DEAD_LETTERS: [(DeadLetter, &str); 4] = [
    (DeadLetter::Malformed, "malformed"),
    (DeadLetter::TooLarge, "too_large"),
    (DeadLetter::Unsupported, "unsupported"),
    (DeadLetter::Rejected, "rejected"),
];

/// The counters of every broker.
#[derive(Debug, Default)]
pub(super) struct Brokers([Counters; BROKERS.len()]);

#[derive(Debug, Default)]
struct Counters {
    messages: AtomicU64,
    bytes: AtomicU64,
    redelivered: AtomicU64,
    dead_letters: [AtomicU64; DEAD_LETTERS.len()],
    dead_letters_lost: AtomicU64,
}

impl DeadLetter {
    /// The reason as a label, and as the header of the dead letter.
    pub(crate) fn name(self) -> &'static str {
        DEAD_LETTERS[self as usize].1
    }
}

impl Metrics {
    /// So many messages with so many bytes were fetched.
    pub(crate) fn fetched(&self, broker: Broker, messages: u64, bytes: u64) {
        add(&self.brokers.0[broker as usize].messages, messages);
        add(&self.brokers.0[broker as usize].bytes, bytes);
    }

    /// The broker says, or it is known otherwise, that so many of the fetched messages had been delivered before.
    pub(crate) fn redelivered(&self, broker: Broker, messages: u64) {
        add(&self.brokers.0[broker as usize].redelivered, messages);
    }

    /// A message was put where the dead letters are.
    pub(crate) fn dead_lettered(&self, broker: Broker, reason: DeadLetter) {
        add(&self.brokers.0[broker as usize].dead_letters[reason as usize], 1);
    }

    /// A message that will never be stored could not be put where the dead letters are either, and was let go.
    #[cfg_attr(not(any(test, feature = "kafka", feature = "rabbitmq")), expect(dead_code, reason = "for brokers"))]
    pub(crate) fn dead_letter_lost(&self, broker: Broker) {
        add(&self.brokers.0[broker as usize].dead_letters_lost, 1);
    }
}

impl Brokers {
    pub(super) fn render(&self, text: &mut Text) {
        let mut each = |name, help, counter: fn(&Counters) -> &AtomicU64| {
            text.counter(name, help);
            for (broker, label) in BROKERS {
                text.value(&format!("receiver=\"{label}\""), read(counter(&self.0[broker as usize])));
            }
        };
        each("scouter_server_messages_received_total", "Messages that were fetched.", |counters| &counters.messages);
        each("scouter_server_message_bytes_total", "Bytes of messages that were fetched.", |counters| &counters.bytes);
        each(
            "scouter_server_messages_redelivered_total",
            "Messages among them that had been delivered before.",
            |counters| &counters.redelivered,
        );
        each(
            "scouter_server_dead_letters_lost_total",
            "Messages that will never be stored, could not be put aside, and were let go.",
            |counters| &counters.dead_letters_lost,
        );
        text.counter("scouter_server_dead_letters_total", "Messages that will never be stored, and were put aside.");
        for (broker, label) in BROKERS {
            for (reason, name) in DEAD_LETTERS {
                let count = read(&self.0[broker as usize].dead_letters[reason as usize]);
                text.value(&format!("receiver=\"{label}\",reason=\"{name}\""), count);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_stand_where_their_variants_count() {
        for (place, (broker, _)) in BROKERS.into_iter().enumerate() {
            assert_eq!(broker as usize, place);
        }
        for (place, (reason, name)) in DEAD_LETTERS.into_iter().enumerate() {
            assert_eq!((reason as usize, reason.name()), (place, name));
        }
    }
}
