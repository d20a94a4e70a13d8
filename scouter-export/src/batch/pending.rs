//! The batch that is being filled.

use std::sync::Arc;

use bytes::Bytes;
use scouter_span::request::{self, Group};
use scouter_span::scope::ScopeId;
use scouter_span::{Ratio, Resource, Scope};

use super::{Batch, BatchConfig, Origin};
use crate::queue::Held;

/// A buffer that a rush has made larger than this is given back.
const KEPT: usize = 1 << 20;

/// Spans that wait for company, by scope.
#[derive(Debug)]
pub(crate) struct Pending {
    resource: Resource,
    max: Held,
    /// By scope id; the spans of a scope one after the other.
    groups: Vec<PendingGroup>,
    held: Held,
}

#[derive(Debug)]
struct PendingGroup {
    scope: Arc<Scope>,
    spans: Vec<u8>,
}

impl Pending {
    pub(crate) fn new(resource: Resource, config: &BatchConfig) -> Self {
        let max = Held { items: config.max_export_batch_size as u64, bytes: config.max_export_batch_bytes as u64 };
        Self { resource, max, groups: Vec::new(), held: Held::default() }
    }

    pub(crate) fn held(&self) -> Held {
        self.held
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
            self.groups.extend(new.into_iter().map(|scope| PendingGroup { scope, spans: Vec::new() }));
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
    }

    /// Encodes what is there.
    pub(crate) fn encode(&self) -> Batch {
        let groups = self.groups.iter().map(|group| (&group.scope, group.spans.as_slice()));
        encode(&self.resource, groups, self.held)
    }

    /// Encodes the traces of a part of all trace ids.
    pub(crate) fn encode_part(&self, ratio: Ratio) -> Batch {
        let mut held = Held::default();
        let mut kept = Vec::with_capacity(self.groups.len());
        for group in &self.groups {
            let mut spans = Vec::new();
            for span in request::spans(&group.spans) {
                if request::trace_id(span).is_some_and(|trace_id| ratio.contains(trace_id)) {
                    spans.extend_from_slice(span);
                    held = held.plus(Held { items: 1, bytes: span.len() as u64 });
                }
            }
            kept.push((&group.scope, spans));
        }
        encode(&self.resource, kept.iter().map(|(scope, spans)| (*scope, spans.as_slice())), held)
    }

    /// Empties it and keeps its buffers.
    pub(crate) fn clear(&mut self) {
        for group in &mut self.groups {
            if group.spans.capacity() > KEPT {
                group.spans = Vec::new();
            }
            group.spans.clear();
        }
        self.held = Held::default();
    }
}

/// Encodes the groups that have spans.
pub(super) fn encode<'a>(
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
    Batch { body: Bytes::from(body), held, origin: Arc::new(Origin { resource: resource.clone(), scopes }) }
}
