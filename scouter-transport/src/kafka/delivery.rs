//! Waiting for the acknowledgements of many messages at once.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use rdkafka::types::RDKafkaErrorCode as Code;
use tokio::sync::Notify;

use super::failure;
use crate::error::Error;
use crate::payload::Receipt;
use crate::wire::write_varint;

/// Which messages of a payload need not be sent again: shared by all tries, so that a late acknowledgement counts too.
#[derive(Debug)]
pub(crate) struct Progress {
    /// The transport that it belongs to.
    owner: u64,
    /// What was split, kept so that its address stays its own.
    body: Bytes,
    messages: usize,
    settled: Box<[AtomicU64]>,
    acknowledged: AtomicUsize,
    refusal: Mutex<Option<Refusal>>,
}

/// What the brokers will never take of a payload.
#[derive(Clone, Debug)]
struct Refusal {
    items: u64,
    first: Error,
}

/// One try of a payload.
#[derive(Debug)]
pub(super) struct Delivery {
    pub(super) progress: Arc<Progress>,
    topic: String,
    /// Messages that have no answer yet, and one more while messages are being handed over.
    open: AtomicUsize,
    trouble: Mutex<Trouble>,
    done: Notify,
    /// Whether every message travels in a batch of its own.
    alone: bool,
}

/// Why a try has to be repeated.
#[derive(Debug, Default)]
struct Trouble {
    /// The first error.
    error: Option<Error>,
    /// The link was given up with messages in it.
    lost: bool,
    /// A batch was refused as too large, which says nothing of the messages in it.
    crowded: bool,
}

/// Goes with a message through librdkafka and comes back with its fate.
#[derive(Debug)]
pub(super) struct Ticket {
    delivery: Arc<Delivery>,
    message: u32,
    items: u32,
}

/// How a try ended.
#[derive(Debug)]
pub(super) enum Outcome {
    Delivered(Receipt),
    Failed(Error),
    /// Why is known to the link.
    Lost,
    /// Some messages came in batches that are too large: each of them has to travel alone.
    Crowded,
}

impl Progress {
    pub(super) fn new(owner: u64, body: Bytes, messages: usize) -> Self {
        let settled = std::iter::repeat_with(AtomicU64::default).take(messages.div_ceil(64)).collect();
        Self { owner, body, messages, settled, acknowledged: AtomicUsize::new(0), refusal: Mutex::default() }
    }

    /// Whether it tells about these bytes, sent by this transport.
    pub(super) fn is_of(&self, owner: u64, body: &Bytes, messages: usize) -> bool {
        let same_bytes = self.body.as_ptr() == body.as_ptr() && self.body.len() == body.len();
        self.owner == owner && same_bytes && self.messages == messages
    }

    pub(super) fn is_settled(&self, message: usize) -> bool {
        let word = self.settled.get(message / 64).map_or(0, |word| word.load(Ordering::Acquire));
        word >> (message % 64) & 1 == 1
    }

    /// Answers whether it was not settled before.
    fn settle(&self, message: u32) -> bool {
        let bit = 1 << (message % 64);
        self.settled.get(message as usize / 64).is_some_and(|word| word.fetch_or(bit, Ordering::AcqRel) & bit == 0)
    }

    /// How many messages were acknowledged.
    pub(super) fn acknowledged(&self) -> usize {
        self.acknowledged.load(Ordering::Acquire)
    }

    fn receipt(&self) -> Result<Receipt, Error> {
        let refusal = self.refusal.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match refusal {
            None => Ok(Receipt::default()),
            Some(refusal) if self.acknowledged() == 0 => Err(refusal.first),
            Some(refusal) => Ok(Receipt { body: partial_success(&refusal).into() }),
        }
    }
}

impl Delivery {
    pub(super) fn new(progress: Arc<Progress>, topic: &str, alone: bool) -> Arc<Self> {
        let (trouble, done) = (Mutex::default(), Notify::new());
        Arc::new(Self { progress, topic: topic.to_owned(), open: AtomicUsize::new(1), trouble, done, alone })
    }

    pub(super) fn ticket(self: &Arc<Self>, message: usize, items: usize) -> Box<Ticket> {
        self.open.fetch_add(1, Ordering::Relaxed);
        let (message, items) = (message as u32, u32::try_from(items).unwrap_or(u32::MAX));
        Box::new(Ticket { delivery: Arc::clone(self), message, items })
    }

    /// All messages have been handed over: waits until each has its answer.
    pub(super) async fn settled(&self) -> Outcome {
        self.close_one();
        while self.open.load(Ordering::Acquire) > 0 {
            self.done.notified().await;
        }
        let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        match trouble.error.take() {
            _ if trouble.lost => Outcome::Lost,
            _ if trouble.crowded => Outcome::Crowded,
            Some(error) => Outcome::Failed(error),
            None => self.progress.receipt().map_or_else(Outcome::Failed, Outcome::Delivered),
        }
    }

    fn close_one(&self) {
        if self.open.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.done.notify_one();
        }
    }
}

impl Ticket {
    pub(super) fn acknowledged(self) {
        let progress = &self.delivery.progress;
        if progress.settle(self.message) {
            progress.acknowledged.fetch_add(1, Ordering::AcqRel);
        }
        self.delivery.close_one();
    }

    /// What the brokers, or librdkafka on their behalf, say.
    pub(super) fn failed(self, code: Code) {
        if matches!(code, Code::MessageSizeTooLarge | Code::MessageBatchTooLarge) && !self.delivery.alone {
            self.delivery.trouble.lock().unwrap_or_else(PoisonError::into_inner).crowded = true;
            return self.delivery.close_one();
        }
        self.refused(code);
    }

    /// The message itself was not taken.
    pub(super) fn refused(self, code: Code) {
        let error = failure::error(code, &self.delivery.topic, "");
        let progress = &self.delivery.progress;
        if matches!(code, Code::Fatal | Code::PurgeQueue | Code::PurgeInflight) {
            self.delivery.trouble.lock().unwrap_or_else(PoisonError::into_inner).lost = true;
        } else if error.is_retryable() {
            self.delivery.trouble.lock().unwrap_or_else(PoisonError::into_inner).error.get_or_insert(error);
        } else if progress.settle(self.message) {
            let mut refusal = progress.refusal.lock().unwrap_or_else(PoisonError::into_inner);
            let items = u64::from(self.items);
            refusal.get_or_insert_with(|| Refusal { items: 0, first: error }).items += items;
        }
        self.delivery.close_one();
    }
}

/// An `Export*ServiceResponse` with a partial success: the same fields for traces and logs.
fn partial_success(refusal: &Refusal) -> Vec<u8> {
    let text = refusal.first.to_string();
    let mut inner = Vec::with_capacity(text.len() + 16);
    inner.push(1 << 3);
    write_varint(&mut inner, refusal.items);
    inner.push(2 << 3 | 2);
    write_varint(&mut inner, text.len() as u64);
    inner.extend_from_slice(text.as_bytes());
    let mut out = Vec::with_capacity(inner.len() + 8);
    out.push(1 << 3 | 2);
    write_varint(&mut out, inner.len() as u64);
    out.append(&mut inner);
    out
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
    use prost::Message as _;

    use super::*;
    use crate::error::ErrorKind;

    fn progress(messages: usize) -> Arc<Progress> {
        Arc::new(Progress::new(1, Bytes::from_static(b"body"), messages))
    }

    #[tokio::test]
    async fn all_answers_are_awaited_and_the_next_try_knows_them() {
        let progress = progress(70);
        let delivery = Delivery::new(Arc::clone(&progress), "t", false);
        let tickets: Vec<_> = (0..70).map(|message| delivery.ticket(message, 1)).collect();
        let waiting = tokio::spawn({
            let delivery = Arc::clone(&delivery);
            async move { delivery.settled().await }
        });
        for (at, ticket) in tickets.into_iter().enumerate() {
            tokio::task::yield_now().await;
            assert!(!waiting.is_finished());
            if at == 66 { ticket.failed(Code::NotEnoughReplicas) } else { ticket.acknowledged() }
        }
        let Outcome::Failed(error) = waiting.await.unwrap() else { panic!("one has failed") };
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert_eq!((0..70).filter(|at| !progress.is_settled(*at)).collect::<Vec<_>>(), [66]);

        let again = Delivery::new(progress, "t", false);
        again.ticket(66, 1).acknowledged();
        assert!(matches!(again.settled().await, Outcome::Delivered(receipt) if receipt.body.is_empty()));
    }

    #[tokio::test]
    async fn what_is_refused_for_good_is_a_partial_success_or_an_error() {
        let delivery = Delivery::new(progress(3), "t", true);
        delivery.ticket(0, 5).acknowledged();
        delivery.ticket(1, 2).failed(Code::MessageSizeTooLarge);
        delivery.ticket(2, 4).failed(Code::PolicyViolation);
        let Outcome::Delivered(receipt) = delivery.settled().await else { panic!("one was taken") };
        let partial = ExportTraceServiceResponse::decode(receipt.body).unwrap().partial_success.unwrap();
        assert_eq!(partial.rejected_spans, 6);
        assert!(partial.error_message.contains("larger than max_message_bytes"), "{}", partial.error_message);

        let none = Delivery::new(progress(1), "t", true);
        none.ticket(0, 2).failed(Code::MessageSizeTooLarge);
        assert!(matches!(none.settled().await, Outcome::Failed(error) if error.kind() == ErrorKind::TooLarge));
    }

    #[tokio::test]
    async fn a_batch_that_is_too_large_says_nothing_of_its_messages() {
        let progress = progress(3);
        let delivery = Delivery::new(Arc::clone(&progress), "t", false);
        delivery.ticket(0, 1).acknowledged();
        delivery.ticket(1, 1).failed(Code::MessageSizeTooLarge);
        // This one is larger than the client itself takes.
        delivery.ticket(2, 1).refused(Code::MessageSizeTooLarge);
        assert!(matches!(delivery.settled().await, Outcome::Crowded));
        assert_eq!([0, 1, 2].map(|message| progress.is_settled(message)), [true, false, true]);
    }

    #[tokio::test]
    async fn messages_in_a_broken_link_are_lost() {
        let delivery = Delivery::new(progress(2), "t", false);
        delivery.ticket(0, 1).failed(Code::NotEnoughReplicas);
        delivery.ticket(1, 1).failed(Code::PurgeInflight);
        assert!(matches!(delivery.settled().await, Outcome::Lost));
    }

    #[test]
    fn progress_is_of_one_body_and_one_transport() {
        let progress = progress(2);
        let body = progress.body.clone();
        assert!(progress.is_of(1, &body, 2));
        assert!(!progress.is_of(2, &body, 2) && !progress.is_of(1, &body, 3));
        assert!(!progress.is_of(1, &Bytes::from_static(b"other"), 2));
    }
}
