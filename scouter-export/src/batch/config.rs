//! How spans are gathered.

use std::time::Duration;

use crate::error::{Error, ErrorKind};
use crate::queue::Held;

/// How many spans wait, for how long, and how they are sent (trace SDK specification, "Batching processor").
///
/// The defaults are chosen so that a thread that ends spans as fast as it can, some 600 000 a second, loses none to a
/// receiver that takes 10 ms for an answer: four requests at a time with 2048 spans each carry 800 000 spans a second. The
/// specification's 512 spans, one request at a time, carry 50 000. The queue is larger than the specification's 2048 spans,
/// so that 100 000 spans of everyday size fit while the receiver, or the worker's thread, has a bad moment. It takes memory
/// only when it is filled, and `max_queue_bytes` is what bounds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchConfig {
    /// The most spans that wait: from the end of a span until a destination has answered for it. 131 072 by default, at
    /// most 8 388 608. What comes on top is dropped and counted.
    pub max_queue_size: usize,
    /// The most bytes of spans that wait; 32 MiB by default.
    ///
    /// Each destination has this bound, and the one above, for itself. New spans are turned away when the destination that
    /// holds least has no room; one that holds more misses whole batches instead. All destinations that get every span
    /// share its bytes, so memory grows with the slowest one, not with their number.
    pub max_queue_bytes: usize,
    /// How long the first span of a batch waits at most; 5 seconds by default.
    pub scheduled_delay: Duration,
    /// The most spans in a request; 2048 by default. That many are sent without waiting.
    pub max_export_batch_size: usize,
    /// The most bytes of spans in a request, so that it stays below the receiver's limit; 4 MiB by default. That many are
    /// sent without waiting, and a larger span is sent alone.
    pub max_export_batch_bytes: usize,
    /// How many requests to one destination are under way at a time; 4 by default. Those that wait to be sent again count.
    pub max_concurrent_exports: usize,
}

impl BatchConfig {
    pub(crate) fn bounds(&self) -> Held {
        Held { items: self.max_queue_size as u64, bytes: self.max_queue_bytes as u64 }
    }

    /// Checks every value, and lowers a batch to what the queue holds, as the specification asks.
    pub(crate) fn checked(mut self) -> Result<Self, Error> {
        let values = [
            ("max_queue_size", self.max_queue_size, Held::LARGEST.items),
            ("max_queue_bytes", self.max_queue_bytes, Held::LARGEST.bytes),
            ("max_export_batch_size", self.max_export_batch_size, Held::LARGEST.items),
            ("max_export_batch_bytes", self.max_export_batch_bytes, 1 << 31),
            ("max_concurrent_exports", self.max_concurrent_exports, 1024),
        ];
        for (name, value, most) in values {
            if !(1..=most).contains(&(value as u64)) {
                let text = format!("{name} is a number from 1 to {most}, not {value}");
                return Err(Error::new(ErrorKind::Config, text));
            }
        }
        let day = Duration::from_secs(24 * 60 * 60);
        if self.scheduled_delay > day {
            let text = format!("scheduled_delay is at most a day, not {:?}", self.scheduled_delay);
            return Err(Error::new(ErrorKind::Config, text));
        }
        self.max_export_batch_size = self.max_export_batch_size.min(self.max_queue_size);
        Ok(self)
    }
}

impl Default for BatchConfig {
    fn default() -> Self {
        Self {
            max_queue_size: 131_072,
            max_queue_bytes: 32 << 20,
            scheduled_delay: Duration::from_secs(5),
            max_export_batch_size: 2048,
            max_export_batch_bytes: 4 << 20,
            max_concurrent_exports: 4,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_values_are_named() {
        let cases = [
            (BatchConfig { max_queue_size: 0, ..BatchConfig::default() }, "max_queue_size"),
            (BatchConfig { max_queue_size: usize::MAX, ..BatchConfig::default() }, "max_queue_size"),
            (BatchConfig { max_queue_bytes: 0, ..BatchConfig::default() }, "max_queue_bytes"),
            (BatchConfig { max_export_batch_size: 0, ..BatchConfig::default() }, "max_export_batch_size"),
            (BatchConfig { max_export_batch_bytes: 0, ..BatchConfig::default() }, "max_export_batch_bytes"),
            (BatchConfig { max_concurrent_exports: 0, ..BatchConfig::default() }, "max_concurrent_exports"),
            (BatchConfig { scheduled_delay: Duration::MAX, ..BatchConfig::default() }, "scheduled_delay"),
        ];
        for (config, name) in cases {
            let error = config.checked().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config);
            assert!(error.to_string().contains(name), "{error}");
        }
    }

    #[test]
    fn a_batch_is_no_larger_than_the_queue() {
        let config = BatchConfig { max_queue_size: 100, ..BatchConfig::default() }.checked().unwrap();
        assert_eq!(config.max_export_batch_size, 100);
    }
}
