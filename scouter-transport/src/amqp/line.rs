//! What is under way on one channel.

use std::collections::VecDeque;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

use super::method::Answer;
use super::properties::Properties;
use crate::error::{Error, ErrorKind};

/// How a question ends.
pub(super) type Outcome = Result<Answer, Error>;

/// A message that a consumer gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Names it in acknowledgements, on its channel only.
    pub tag: u64,
    /// Whether it may have been delivered before.
    pub redelivered: bool,
    /// What the sender said about it.
    pub properties: Properties,
    /// Its bytes.
    pub body: Bytes,
}

/// One channel that is open, or being opened.
#[derive(Debug, Default)]
pub(super) struct Line {
    /// Tells channels with the same number apart.
    pub(super) serial: u64,
    /// Who waits for answers, oldest first: a broker answers in order.
    pub(super) questions: VecDeque<oneshot::Sender<Outcome>>,
    pub(super) confirms: Confirms,
    /// Where deliveries go. Dropped when the broker ends the consumer.
    pub(super) consumer: Option<mpsc::UnboundedSender<Result<Delivery, Error>>>,
    /// The content that is being received.
    pub(super) content: Option<Content>,
    /// The broker asked not to be sent content (`channel.flow`).
    pub(super) paused: bool,
    /// `channel.close` was sent: whatever still comes counts no more.
    pub(super) closing: bool,
}

/// Messages that the broker has not confirmed yet.
#[derive(Debug, Default)]
pub(super) struct Confirms {
    /// The tag of the first; tags count up by one from 1.
    first: u64,
    waiting: VecDeque<Option<Waiting>>,
}

#[derive(Debug)]
struct Waiting {
    id: Option<String>,
    returned: Option<Error>,
    size: usize,
    done: oneshot::Sender<Result<(), Error>>,
}

impl Content {
    pub(super) fn new(purpose: Purpose) -> Self {
        Self { purpose, properties: Properties::default(), missing: None, body: Vec::new() }
    }
}

/// Content whose header or body is still to come.
#[derive(Debug)]
pub(super) struct Content {
    pub(super) purpose: Purpose,
    pub(super) properties: Properties,
    /// How much is missing; `None` before the header.
    pub(super) missing: Option<u64>,
    pub(super) body: Vec<u8>,
}

/// What content is for.
#[derive(Debug)]
pub(super) enum Purpose {
    Delivery {
        tag: u64,
        redelivered: bool,
    },
    /// It could not be routed, for this reason.
    Return(Error),
}

impl Confirms {
    /// Takes the next tag for a message.
    pub(super) fn add(&mut self, id: Option<String>, size: usize, done: oneshot::Sender<Result<(), Error>>) {
        self.waiting.push_back(Some(Waiting { id, returned: None, size, done }));
    }

    /// The tag that the next message gets.
    pub(super) fn next(&self) -> u64 {
        self.first + self.waiting.len() as u64 + 1
    }

    /// Remembers that a message came back. It is confirmed all the same, later.
    pub(super) fn returned(&mut self, id: Option<&str>, reason: Error) {
        let same = |waiting: &&mut Waiting| waiting.id.as_deref() == id && waiting.returned.is_none();
        if let Some(waiting) = self.waiting.iter_mut().flatten().find(same) {
            waiting.returned = Some(reason);
        }
    }

    /// The broker has decided about one message, or about all up to it. False for a tag that is not waiting.
    pub(super) fn settle(&mut self, tag: u64, multiple: bool, taken: bool) -> bool {
        // Tag 0 with `multiple` stands for all.
        let tag = if tag == 0 && multiple { self.next() - 1 } else { tag };
        let Some(at) = tag.checked_sub(self.first + 1).and_then(|at| usize::try_from(at).ok()) else {
            return multiple;
        };
        if at >= self.waiting.len() {
            return false;
        }
        let from = if multiple { 0 } else { at };
        for waiting in self.waiting.range_mut(from..=at).filter_map(Option::take) {
            waiting.end(taken);
        }
        while let Some(None) = self.waiting.front() {
            self.waiting.pop_front();
            self.first += 1;
        }
        true
    }

    /// The channel is gone: nothing will be confirmed any more. `reason` may depend on the message's size.
    pub(super) fn fail(&mut self, reason: impl Fn(usize) -> Error) {
        for waiting in self.waiting.drain(..).flatten() {
            // Whoever gave up does not mind.
            let _ = waiting.done.send(Err(reason(waiting.size)));
        }
    }
}

impl Waiting {
    fn end(self, taken: bool) {
        let outcome = match (self.returned, taken) {
            (Some(reason), _) => Err(reason),
            (None, true) => Ok(()),
            (None, false) => {
                Err(Error::new(ErrorKind::Unavailable, "the broker could not keep the message (basic.nack)"))
            }
        };
        // Whoever gave up does not mind.
        let _ = self.done.send(outcome);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn add(confirms: &mut Confirms) -> oneshot::Receiver<Result<(), Error>> {
        let (done, outcome) = oneshot::channel();
        let id = confirms.next().to_string();
        confirms.add(Some(id), 1, done);
        outcome
    }

    fn ended(outcome: &mut oneshot::Receiver<Result<(), Error>>) -> Option<Result<(), ErrorKind>> {
        outcome.try_recv().ok().map(|outcome| outcome.map_err(|error| error.kind()))
    }

    #[test]
    fn a_returned_message_is_the_one_that_fails() {
        let mut confirms = Confirms::default();
        let mut outcomes: Vec<_> = (0..3).map(|_| add(&mut confirms)).collect();
        confirms.returned(Some("2"), Error::new(ErrorKind::Refused, "no route"));
        assert!(confirms.settle(3, true, true));
        let kinds: Vec<_> = outcomes.iter_mut().map(ended).collect();
        assert_eq!(kinds, [Some(Ok(())), Some(Err(ErrorKind::Refused)), Some(Ok(()))]);
    }

    #[test]
    fn tags_that_nobody_has_are_told() {
        let mut confirms = Confirms::default();
        assert!(!confirms.settle(1, false, true));
        let _outcome = add(&mut confirms);
        assert!(confirms.settle(1, false, true));
        assert!(!confirms.settle(1, false, true), "a second time");
        assert!(!confirms.settle(9, true, true));
        assert!(confirms.settle(0, true, true), "all of none");
    }

    proptest! {
        /// Whatever the order of confirms, each message ends once, as the broker said, and the tags stay right.
        #[test]
        fn every_message_ends_as_the_broker_said(count in 1usize..40, settles in prop::collection::vec((1u64..50, any::<bool>(), any::<bool>()), 0..60)) {
            let mut confirms = Confirms::default();
            let mut outcomes: Vec<_> = (0..count).map(|_| add(&mut confirms)).collect();
            let mut model = vec![None; count];
            for (tag, multiple, taken) in settles {
                confirms.settle(tag, multiple, taken);
                let at = tag as usize - 1;
                if at < count {
                    let from = if multiple { 0 } else { at };
                    for state in model[from..=at].iter_mut().filter(|state| state.is_none()) {
                        *state = Some(taken);
                    }
                }
            }
            for (outcome, state) in outcomes.iter_mut().zip(&model) {
                let expected = state.map(|taken| if taken { Ok(()) } else { Err(ErrorKind::Unavailable) });
                prop_assert_eq!(ended(outcome), expected);
            }
            prop_assert_eq!(confirms.next(), count as u64 + 1);
        }
    }
}
