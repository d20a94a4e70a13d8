//! The newest of the records that were found, as many as a page has.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use scouter_client::RecordPage;

use crate::store::embedded::cursor::Cursor;
use crate::store::embedded::failure::Failure;
use crate::store::embedded::snapshot::Snapshot;

/// The times that are wanted, and the end of the page before.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) earliest: i64,
    pub(super) latest: i64,
    cursor: Option<Cursor>,
}

/// The places of the newest records, and of one more that tells whether there is another page.
#[derive(Debug)]
pub(super) struct Page {
    bounds: Bounds,
    size: usize,
    /// The oldest is on top.
    places: BinaryHeap<Reverse<(i64, i64)>>,
}

impl Bounds {
    pub(super) fn new(start: Option<u64>, end: Option<u64>, cursor: Option<Cursor>) -> Self {
        let earliest = start.map_or(0, |time| i64::try_from(time).unwrap_or(i64::MAX));
        // The end is not part of the range. A time beyond 63 bits is stored as the greatest number, so that one is.
        let latest = end.map_or(i64::MAX, |end| i64::try_from(end).map_or(i64::MAX, |end| end - 1));
        let latest = cursor.map_or(latest, |cursor| latest.min(cursor.time));
        Self { earliest, latest, cursor }
    }

    pub(super) fn has(&self, place: Cursor) -> bool {
        (self.earliest..=self.latest).contains(&place.time)
            && self.cursor.is_none_or(|cursor| (place.time, place.no) < (cursor.time, cursor.no))
    }
}

impl Page {
    pub(super) fn new(bounds: Bounds, size: usize) -> Self {
        Self { bounds, size, places: BinaryHeap::with_capacity(size + 2) }
    }

    pub(super) const fn bounds(&self) -> &Bounds {
        &self.bounds
    }

    /// Whether it has its records and the one more.
    pub(super) fn is_full(&self) -> bool {
        self.places.len() > self.size
    }

    /// Whether a record at this place would be one of the newest.
    pub(super) fn takes(&self, place: Cursor) -> bool {
        let newer = |&Reverse(oldest): &Reverse<(i64, i64)>| (place.time, place.no) > oldest;
        self.bounds.has(place) && (!self.is_full() || self.places.peek().is_none_or(newer))
    }

    pub(super) fn add(&mut self, place: Cursor) {
        self.places.push(Reverse((place.time, place.no)));
        if self.places.len() > self.size + 1 {
            self.places.pop();
        }
    }

    /// Whether no record of this time or an earlier one is needed any more.
    pub(super) fn is_done_before(&self, time: i64) -> bool {
        self.is_full() && self.places.peek().is_some_and(|Reverse((oldest, _))| time < *oldest)
    }

    /// The records themselves.
    pub(super) fn read(self, snapshot: &mut Snapshot<'_>) -> Result<RecordPage, Failure> {
        let is_full = self.is_full();
        let mut places = self.places.into_sorted_vec();
        places.truncate(self.size);
        let last = places.last().map(|&Reverse((time, no))| Cursor { time, no }.to_string());
        let items = places.into_iter().map(|Reverse((_, no))| snapshot.record(no)).collect::<Result<_, _>>()?;
        Ok(RecordPage { items, next_cursor: last.filter(|_| is_full) })
    }
}
