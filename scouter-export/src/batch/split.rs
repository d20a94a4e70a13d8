//! Two batches out of one that was too large.

use std::sync::Arc;

use scouter_span::Scope;
use scouter_span::request;
use scouter_span::wire::field::{request as request_field, resource_spans, scope_spans};
use scouter_span::wire::{FieldValue, Reader};

use super::pending::encode;
use super::{Batch, Origin};
use crate::queue::Held;

impl Batch {
    /// Both halves; nothing when there is only one span.
    pub(crate) fn split(&self) -> Option<[Self; 2]> {
        if self.held.items < 2 {
            return None;
        }
        let groups = self.groups();
        let (mut halves, mut held) = ([Vec::new(), Vec::new()], [Held::default(); 2]);
        for (scope, spans) in groups {
            let mut parts = [Vec::new(), Vec::new()];
            for span in request::spans(spans) {
                let half = usize::from(held[0].items >= self.held.items / 2);
                parts[half].extend_from_slice(span);
                held[half] = held[half].plus(Held { items: 1, bytes: span.len() as u64 });
            }
            for (half, part) in halves.iter_mut().zip(parts) {
                half.push((Arc::clone(scope), part));
            }
        }
        let whole = held[0].plus(held[1]) == self.held;
        let half = |at: usize| {
            let groups = halves[at].iter().map(|(scope, spans)| (scope, spans.as_slice()));
            encode(self.origin.signal, &self.origin.resource, groups, held[at])
        };
        whole.then(|| [half(0), half(1)])
    }

    /// The spans of every scope, found in the encoded request.
    pub(super) fn groups(&self) -> Vec<(&Arc<Scope>, &[u8])> {
        let Origin { scopes, .. } = &*self.origin;
        let resource_spans = messages(&self.body, request_field::RESOURCE_SPANS);
        let scope_spans = resource_spans.into_iter().flat_map(|bytes| messages(bytes, resource_spans::SCOPE_SPANS));
        scopes.iter().zip(scope_spans.map(elements)).collect()
    }
}

/// The messages in one field.
fn messages(bytes: &[u8], number: u32) -> Vec<&[u8]> {
    let fields = Reader::new(bytes).map_while(Result::ok);
    fields.filter(|field| field.number == number).filter_map(|field| field.value.bytes()).collect()
}

/// The spans of a `ScopeSpans` message with their tags and lengths. They lie one after the other.
fn elements(bytes: &[u8]) -> &[u8] {
    let mut reader = Reader::new(bytes);
    let (mut start, mut range) = (0, None);
    while let Some(Ok(field)) = reader.next() {
        if field.number == scope_spans::SPANS && matches!(field.value, FieldValue::Len(_)) {
            let from = range.map_or(start, |(from, _)| from);
            range = Some((from, reader.position()));
        }
        start = reader.position();
    }
    range.and_then(|(from, to)| bytes.get(from..to)).unwrap_or_default()
}
