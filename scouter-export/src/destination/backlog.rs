//! What waits to be sent to a destination.

use std::collections::{BTreeMap, VecDeque};

use crate::batch::{Batch, Singles};
use crate::queue::Held;

/// Batches in the order in which they came, and which of them have not been dealt with.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    loads: VecDeque<(u64, Load)>,
    /// The numbers of all batches that wait or are under way, each with its number of exports.
    open: BTreeMap<u64, u64>,
    next: u64,
}

/// A batch to be sent as it is, or span by span.
#[derive(Debug)]
enum Load {
    Whole(Batch),
    Singles(Singles),
}

impl Backlog {
    /// Adds a batch, with `simple` as one export for every span.
    pub(super) fn push(&mut self, batch: Batch, simple: bool) {
        let singles = if simple && batch.held.items > 1 { batch.singles() } else { None };
        let (exports, load) = match singles {
            Some(singles) => (singles.held().items, Load::Singles(singles)),
            None => (1, Load::Whole(batch)),
        };
        self.loads.push_back((self.next, load));
        self.open.insert(self.next, exports);
        self.next += 1;
    }

    /// What to export next, and the number to [settle](Self::settle) then.
    pub(super) fn pop(&mut self) -> Option<(u64, Batch)> {
        loop {
            match self.loads.pop_front()? {
                (number, Load::Whole(batch)) => return Some((number, batch)),
                (number, Load::Singles(mut singles)) => {
                    if let Some(batch) = singles.next() {
                        self.loads.push_front((number, Load::Singles(singles)));
                        return Some((number, batch));
                    }
                }
            }
        }
    }

    /// Gives up what waits longest.
    pub(super) fn give_up(&mut self) -> Option<Held> {
        let (number, load) = self.loads.pop_front()?;
        self.open.remove(&number);
        Some(match load {
            Load::Whole(batch) => batch.held,
            Load::Singles(singles) => singles.held(),
        })
    }

    /// An export of this number has come to its end.
    pub(super) fn settle(&mut self, number: u64) {
        if let Some(exports) = self.open.get_mut(&number) {
            *exports -= 1;
            if *exports == 0 {
                self.open.remove(&number);
            }
        }
    }

    /// The number that the next batch will have.
    pub(super) fn mark(&self) -> u64 {
        self.next
    }

    /// Whether every batch below this number has been dealt with.
    pub(super) fn is_past(&self, mark: u64) -> bool {
        self.open.first_key_value().is_none_or(|(oldest, _)| *oldest >= mark)
    }
}
