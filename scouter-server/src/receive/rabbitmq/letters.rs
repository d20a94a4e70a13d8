//! Dead letters that wait to be put aside, while other messages go on.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::task::JoinSet;

use super::dead_letter::{DeadLetters, Letter};
use super::keeper::{FIRST_WAIT, Keeper, LONGEST_WAIT};
use crate::metrics::Broker;

/// So many letters of a queue may wait, with so many bytes.
const MOST: usize = 256;
const MOST_BYTES: usize = 16 * 1024 * 1024;

/// The letters of one channel. Dropped, they are not put aside any more, and the broker delivers their messages again.
#[derive(Debug)]
pub(super) struct Letters {
    queue: String,
    dead_letters: Arc<DeadLetters>,
    keeper: Arc<Keeper>,
    tasks: JoinSet<(u64, usize)>,
    waiting: BTreeSet<u64>,
    bytes: usize,
}

impl Letters {
    pub(super) fn new(queue: String, dead_letters: Arc<DeadLetters>, keeper: Arc<Keeper>) -> Self {
        let (tasks, waiting) = (JoinSet::new(), BTreeSet::new());
        Self { queue, dead_letters, keeper, tasks, waiting, bytes: 0 }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// How many of the messages from this tag on wait.
    pub(super) fn since(&self, tag: u64) -> usize {
        self.waiting.range(tag..).count()
    }

    /// Begins to put a message aside. Answers its tag if too many wait already: then it is not, and has to be let go.
    pub(super) fn begin(&mut self, letter: Letter) -> Option<u64> {
        let length = letter.body.len();
        if !self.is_empty() && (self.waiting.len() >= MOST || self.bytes + length > MOST_BYTES) {
            self.keeper.ingest.metrics.dead_letter_lost(Broker::RabbitMq);
            if self.keeper.news.is_new("lost dead letter") {
                tracing::error!(
                    "a message of {} was let go: it cannot be stored ({}), nor put aside ({} wait for that)",
                    self.queue,
                    letter.words,
                    self.waiting.len()
                );
            }
            return Some(letter.tag);
        }
        self.bytes += length;
        self.waiting.insert(letter.tag);
        let task = put_aside(Arc::clone(&self.dead_letters), Arc::clone(&self.keeper), self.queue.clone(), letter);
        self.tasks.spawn(async move { (task.await, length) });
        None
    }

    /// The tag of the next message that has been put aside; never resolves while none is on its way.
    pub(super) async fn next(&mut self) -> u64 {
        loop {
            match self.tasks.join_next().await {
                Some(Ok((tag, length))) => {
                    self.waiting.remove(&tag);
                    self.bytes -= length;
                    return tag;
                }
                Some(Err(error)) => {
                    if let Ok(panic) = error.try_into_panic() {
                        std::panic::resume_unwind(panic);
                    }
                }
                None => std::future::pending().await,
            }
        }
    }
}

/// Puts a message aside until it is. It is acknowledged then, and not before.
async fn put_aside(dead_letters: Arc<DeadLetters>, keeper: Arc<Keeper>, queue: String, letter: Letter) -> u64 {
    let mut wait = FIRST_WAIT;
    while let Err(error) = dead_letters.put(&letter).await {
        if keeper.news.is_new("dead letter") {
            tracing::error!("a dead letter of {queue} waits to be put aside: {error}; trying on");
        }
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(LONGEST_WAIT);
    }
    keeper.ingest.metrics.dead_lettered(Broker::RabbitMq, letter.reason);
    if keeper.news.is_new(letter.reason.name()) {
        tracing::warn!(queue, "a message was put aside as a dead letter: {}", letter.words);
    }
    letter.tag
}
