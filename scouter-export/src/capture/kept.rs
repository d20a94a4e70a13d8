//! The copies.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use scouter_span::TraceId;
use scouter_span::request::{self, Group};
use scouter_span::scope::ScopeId;

use crate::pipeline::Headers;
use crate::queue::{Budget, Held, Lanes, Offer, Taker};

/// What one process has captured.
#[derive(Debug)]
pub(super) struct Kept {
    /// Where threads put their spans. They are emptied into the store by readers only, so they have no bound of their own.
    lanes: Lanes,
    /// Of lanes and store together.
    budget: Budget,
    dropped: AtomicU64,
    /// Locked by readers only.
    store: Mutex<Store>,
}

/// What readers have taken from the lanes.
#[derive(Debug, Default)]
struct Store {
    taker: Taker,
    /// Spans by scope id.
    groups: Vec<Vec<u8>>,
    held: Held,
}

impl Default for Kept {
    fn default() -> Self {
        Self {
            lanes: Lanes::new(usize::MAX, false),
            budget: Budget::default(),
            dropped: AtomicU64::new(0),
            store: Mutex::default(),
        }
    }
}

impl Kept {
    pub(super) fn keep(&self, scope: ScopeId, span: &[u8], max: Held) {
        let bytes = span.len() as u64;
        if scope == Headers::UNKNOWN || self.budget.take(bytes, max).is_none() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        } else if !matches!(self.lanes.append(scope, span), Offer::Taken { .. }) {
            self.budget.give(Held { items: 1, bytes });
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    pub(super) fn clear(&self) {
        self.give_up(&mut self.store());
    }

    pub(super) fn drain(&self, headers: &Headers) -> Vec<u8> {
        let mut store = self.store();
        let request = encode(headers, &store.groups);
        self.give_up(&mut store);
        request
    }

    pub(super) fn of_traces(&self, trace_ids: &[TraceId], headers: &Headers) -> Vec<u8> {
        let wanted: HashSet<_> = trace_ids.iter().copied().collect();
        let is_wanted = |span: &&[u8]| request::trace_id(span).is_some_and(|trace_id| wanted.contains(&trace_id));
        let store = self.store();
        let groups: Vec<_> = store
            .groups
            .iter()
            .map(|group| request::spans(group).filter(is_wanted).flatten().copied().collect())
            .collect();
        drop(store);
        encode(headers, &groups)
    }

    /// The store with everything in it that has been appended to a lane before.
    fn store(&self) -> MutexGuard<'_, Store> {
        let mut guard = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        let Store { taker, groups, held } = &mut *guard;
        self.lanes.take(taker, false, |scope, items, bytes| {
            let at = scope.0 as usize;
            if at >= groups.len() {
                groups.resize_with(at + 1, Vec::new);
            }
            groups[at].extend_from_slice(bytes);
            *held = held.plus(Held { items: u64::from(items), bytes: bytes.len() as u64 });
        });
        guard
    }

    fn give_up(&self, store: &mut Store) {
        self.budget.give(std::mem::take(&mut store.held));
        store.groups = Vec::new();
    }
}

/// One request of these spans, grouped by scope id; nothing for nothing.
fn encode(headers: &Headers, groups: &[Vec<u8>]) -> Vec<u8> {
    let scopes = headers.scopes_from(0);
    let groups: Vec<_> = scopes
        .iter()
        .zip(groups)
        .filter(|(_, spans)| !spans.is_empty())
        .map(|(scope, spans)| Group { scope, spans })
        .collect();
    let mut out = Vec::new();
    if !groups.is_empty() {
        request::encode(&mut out, &headers.resource(), &groups);
    }
    out
}
