//! Which messages are durable, and so how far each partition may be committed.

use std::collections::{HashMap, VecDeque};

/// A partition of one of the topics, by the number of the topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Partition {
    pub(super) topic: usize,
    pub(super) number: i32,
}

/// A message that was fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) partition: Partition,
    pub(super) offset: i64,
    /// Which of several assignments of the partition it came in.
    pub(super) term: u64,
}

/// How far a partition may be committed: the offset of the first message that is not durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Position {
    pub(super) partition: Partition,
    pub(super) offset: i64,
}

/// Every message under way, by partition.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    partitions: HashMap<Partition, Page>,
    terms: u64,
    /// The offset behind the furthest message ever seen, also of partitions that were given up.
    seen: HashMap<Partition, i64>,
}

#[derive(Debug)]
struct Page {
    term: u64,
    /// Offsets in their order, and whether they are durable.
    messages: VecDeque<(i64, bool)>,
    position: Option<i64>,
    committed: Option<i64>,
}

impl Ledger {
    /// Notes a message that was fetched, and tells whether it had been fetched here before. Within a partition they come
    /// in their order.
    pub(super) fn begin(&mut self, partition: Partition, offset: i64) -> (Place, bool) {
        let seen = self.seen.entry(partition).or_default();
        let again = offset < *seen;
        *seen = (*seen).max(offset + 1);
        let terms = &mut self.terms;
        let page = self.partitions.entry(partition).or_insert_with(|| {
            *terms += 1;
            Page { term: *terms, messages: VecDeque::new(), position: None, committed: None }
        });
        if page.messages.back().is_some_and(|(last, _)| offset <= *last) {
            // The topic was made anew, or read again from further in front: what was under way counts no more.
            *terms += 1;
            *page = Page { term: *terms, messages: VecDeque::new(), position: None, committed: None };
        }
        page.messages.push_back((offset, false));
        (Place { partition, offset, term: page.term }, again)
    }

    /// Notes that a message is durable. Nothing happens when its partition has been given up meanwhile.
    pub(super) fn finish(&mut self, place: &Place) {
        let Some(page) = self.partitions.get_mut(&place.partition).filter(|page| page.term == place.term) else {
            return;
        };
        if let Ok(at) = page.messages.binary_search_by_key(&place.offset, |(offset, _)| *offset)
            && let Some(message) = page.messages.get_mut(at)
        {
            message.1 = true;
        }
        while let Some((offset, true)) = page.messages.front().copied() {
            page.position = Some(offset + 1);
            page.messages.pop_front();
        }
    }

    /// Whether any message of these partitions is under way.
    pub(super) fn is_busy(&self, partitions: &[Partition]) -> bool {
        let pages = partitions.iter().filter_map(|partition| self.partitions.get(partition));
        pages.into_iter().any(|page| !page.messages.is_empty())
    }

    /// Forgets partitions that were taken away. What is under way of them counts no more.
    pub(super) fn give_up(&mut self, partitions: &[Partition]) {
        for partition in partitions {
            self.partitions.remove(partition);
        }
    }

    /// Whether a message is of a partition that is still ours.
    pub(super) fn holds(&self, place: &Place) -> bool {
        self.partitions.get(&place.partition).is_some_and(|page| page.term == place.term)
    }

    /// What may be committed and was not yet. Counts as committed from now on.
    pub(super) fn commit(&mut self) -> Vec<Position> {
        let mut positions = Vec::new();
        for (partition, page) in &mut self.partitions {
            if let Some(offset) = page.position.filter(|_| page.position != page.committed) {
                positions.push(Position { partition: *partition, offset });
                page.committed = page.position;
            }
        }
        positions
    }

    /// The last commit failed: everything is to be committed again.
    pub(super) fn uncommit(&mut self) {
        for page in self.partitions.values_mut() {
            page.committed = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PARTITION: Partition = Partition { topic: 0, number: 3 };

    #[test]
    fn what_was_given_up_counts_no_more() {
        let mut ledger = Ledger::default();
        let (old, again) = ledger.begin(PARTITION, 5);
        assert!(!again);
        assert!(ledger.is_busy(&[PARTITION]) && ledger.holds(&old));
        ledger.give_up(&[PARTITION]);
        assert!(!ledger.is_busy(&[PARTITION]) && !ledger.holds(&old));
        // The partition comes back, and the same message with it.
        let (new, again) = ledger.begin(PARTITION, 5);
        assert!(again);
        ledger.finish(&old);
        assert!(ledger.commit().is_empty());
        ledger.finish(&new);
        assert_eq!(ledger.commit(), [Position { partition: PARTITION, offset: 6 }]);
        assert!(ledger.commit().is_empty());
        ledger.uncommit();
        assert_eq!(ledger.commit(), [Position { partition: PARTITION, offset: 6 }]);
    }

    #[test]
    fn a_topic_that_begins_anew_does_not_stop_its_partition() {
        let mut ledger = Ledger::default();
        let old: Vec<_> = [100, 101].map(|offset| ledger.begin(PARTITION, offset).0).into();
        let new: Vec<_> = [0, 1].map(|offset| ledger.begin(PARTITION, offset).0).into();
        ledger.finish(&old[1]);
        ledger.finish(&new[1]);
        assert!(ledger.commit().is_empty());
        ledger.finish(&new[0]);
        ledger.finish(&old[0]);
        assert_eq!(ledger.commit(), [Position { partition: PARTITION, offset: 2 }]);
        assert!(!ledger.is_busy(&[PARTITION]));
    }

    proptest! {
        #[test]
        fn no_position_passes_a_message_that_is_not_durable(
            gaps in proptest::collection::vec(1..4i64, 1..40),
            order in proptest::collection::vec(any::<proptest::sample::Index>(), 0..80),
        ) {
            let mut ledger = Ledger::default();
            let mut offset = 0;
            let mut open: Vec<Place> = gaps.iter().map(|gap| {
                offset += gap;
                ledger.begin(PARTITION, offset).0
            }).collect();
            let last = offset;
            let mut committed = None;
            for index in order {
                if open.is_empty() {
                    break;
                }
                let place = open.swap_remove(index.index(open.len()));
                ledger.finish(&place);
                if let Some(position) = ledger.commit().first() {
                    prop_assert!(committed < Some(position.offset));
                    committed = Some(position.offset);
                }
                let first_open = open.iter().map(|place| place.offset).min();
                prop_assert!(committed <= Some(first_open.unwrap_or(last + 1)));
                if first_open.is_none() {
                    prop_assert_eq!(committed, Some(last + 1));
                }
            }
            prop_assert_eq!(ledger.is_busy(&[PARTITION]), !open.is_empty());
        }
    }
}
