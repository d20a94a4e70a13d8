//! The batch that is being filled.

use std::sync::Arc;

use bytes::Bytes;
use scouter_queue::{attribute, sampling};
use scouter_span::request::{self, Group};
use scouter_span::scope::ScopeId;
use scouter_span::view::LogRecordView;
use scouter_span::wire::Reader;
use scouter_span::{Ratio, Resource, Scope};
use scouter_transport::Signal;

use super::{Batch, BatchConfig, Origin};
use crate::queue::Held;

/// A buffer that a rush has made larger than this is given back.
const KEPT: usize = 1 << 20;

/// Spans that wait for company, by scope.
#[derive(Debug)]
pub(crate) struct Pending {
    signal: Signal,
    max: Held,
    /// By scope id; the spans of a scope one after the other.
    groups: Vec<PendingGroup>,
    held: Held,
    /// What has come since the last [`Pending::age`].
    fresh: Held,
}

/// Which of the spans.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// All that are there.
    Whole,
    /// Those that have come since the last [`Pending::age`].
    Fresh,
}

#[derive(Debug)]
struct PendingGroup {
    scope: Arc<Scope>,
    spans: Vec<u8>,
    /// Where the fresh ones begin.
    aged: usize,
}

impl Pending {
    pub(crate) fn new(signal: Signal, config: &BatchConfig) -> Self {
        let max = Held { items: config.max_export_batch_size as u64, bytes: config.max_export_batch_bytes as u64 };
        Self { signal, max, groups: Vec::new(), held: Held::default(), fresh: Held::default() }
    }

    pub(crate) fn held(&self, part: Part) -> Held {
        match part {
            Part::Whole => self.held,
            Part::Fresh => self.fresh,
        }
    }

    /// Whether all of it is fresh.
    pub(crate) fn is_fresh(&self) -> bool {
        self.fresh == self.held
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.held.items == 0
    }

    /// Adds neighbours of one scope, and calls `full` whenever a batch is complete; `full` empties it. `scope_of` is asked
    /// for a scope that has not been seen before.
    pub(crate) fn add(
        &mut self,
        scope: ScopeId,
        items: u32,
        bytes: &[u8],
        scopes_from: impl FnOnce(usize) -> Vec<Arc<Scope>>,
        mut full: impl FnMut(&mut Self),
    ) -> bool {
        let at = scope.0 as usize;
        if at >= self.groups.len() {
            let new = scopes_from(self.groups.len());
            self.groups.extend(new.into_iter().map(|scope| PendingGroup { scope, spans: Vec::new(), aged: 0 }));
        }
        if at >= self.groups.len() {
            return false;
        }
        let run = Held { items: u64::from(items), bytes: bytes.len() as u64 };
        if self.held.plus(run).fits(self.max) {
            self.push(at, run, bytes);
        } else {
            for span in request::spans(bytes) {
                let one = Held { items: 1, bytes: span.len() as u64 };
                if !self.is_empty() && !self.held.plus(one).fits(self.max) {
                    full(self);
                }
                self.push(at, one, span);
            }
        }
        if self.held.items >= self.max.items || self.held.bytes >= self.max.bytes {
            full(self);
        }
        true
    }

    fn push(&mut self, at: usize, run: Held, bytes: &[u8]) {
        self.groups[at].spans.extend_from_slice(bytes);
        self.held = self.held.plus(run);
        self.fresh = self.fresh.plus(run);
    }

    /// Encodes this part of what is there.
    pub(crate) fn encode(&self, part: Part, resource: &Resource) -> Batch {
        encode(self.signal, resource, self.groups(part), self.held(part))
    }

    /// Encodes of this part the traces of a part of all trace ids.
    pub(crate) fn encode_sample(&self, part: Part, ratio: Ratio, resource: &Resource) -> Batch {
        let mut held = Held::default();
        let mut kept = Vec::with_capacity(self.groups.len());
        for (scope, bytes) in self.groups(part) {
            let mut spans = Vec::new();
            for span in request::spans(bytes) {
                if belongs(self.signal, ratio, span) {
                    spans.extend_from_slice(span);
                    held = held.plus(Held { items: 1, bytes: span.len() as u64 });
                }
            }
            kept.push((scope, spans));
        }
        encode(self.signal, resource, kept.iter().map(|(scope, spans)| (*scope, spans.as_slice())), held)
    }

    fn groups(&self, part: Part) -> impl Iterator<Item = (&Arc<Scope>, &[u8])> {
        self.groups.iter().map(move |group| {
            let from = if part == Part::Fresh { group.aged } else { 0 };
            (&group.scope, &group.spans[from..])
        })
    }

    /// What is there now is fresh no more.
    pub(crate) fn age(&mut self) {
        for group in &mut self.groups {
            group.aged = group.spans.len();
        }
        self.fresh = Held::default();
    }

    /// Empties it and keeps its buffers.
    pub(crate) fn clear(&mut self) {
        for group in &mut self.groups {
            if group.spans.capacity() > KEPT {
                group.spans = Vec::new();
            }
            group.spans.clear();
            group.aged = 0;
        }
        self.held = Held::default();
        self.fresh = Held::default();
    }
}

/// Whether a span, or a record, is in this part of all traces. A record that belongs to no trace is judged by its own id.
fn belongs(signal: Signal, ratio: Ratio, element: &[u8]) -> bool {
    match (request::trace_id(element), signal) {
        (Some(trace_id), _) => ratio.contains(trace_id),
        (None, Signal::Traces) => false,
        (None, Signal::Logs) => {
            let record = Reader::new(element).next().and_then(Result::ok).and_then(|field| field.value.bytes());
            let uid = LogRecordView::new(record.unwrap_or_default()).attributes().get(attribute::UID);
            sampling::keeps_id(ratio, uid.and_then(|uid| uid.as_str()).unwrap_or_default())
        }
    }
}

/// Encodes the groups that have spans.
pub(super) fn encode<'a>(
    signal: Signal,
    resource: &Resource,
    groups: impl Iterator<Item = (&'a Arc<Scope>, &'a [u8])>,
    held: Held,
) -> Batch {
    let (scopes, groups): (Vec<_>, Vec<_>) = groups
        .filter(|(_, spans)| !spans.is_empty())
        .map(|(scope, spans)| (Arc::clone(scope), Group { scope, spans }))
        .unzip();
    let mut body = Vec::with_capacity(request::encoded_len(resource, &groups));
    request::encode(&mut body, resource, &groups);
    Batch { body: Bytes::from(body), held, origin: Arc::new(Origin::new(signal, resource.clone(), scopes)) }
}
