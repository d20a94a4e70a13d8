//! A request for every span of a batch.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use scouter_span::{Scope, request};

use super::pending::encode;
use super::{Batch, Origin};
use crate::queue::Held;

/// The spans of a batch, of which each gets a request of its own when its turn comes. Until then they share the batch's
/// bytes.
#[derive(Debug)]
pub(crate) struct Singles {
    origin: Arc<Origin>,
    /// What is left, each with its scope.
    spans: VecDeque<(Arc<Scope>, Bytes)>,
    held: Held,
}

impl Batch {
    /// Every span alone.
    pub(crate) fn singles(&self) -> Option<Singles> {
        let mut spans = VecDeque::with_capacity(self.held.items as usize);
        let mut held = Held::default();
        for (scope, elements) in self.groups() {
            for span in request::spans(elements) {
                held = held.plus(Held { items: 1, bytes: span.len() as u64 });
                spans.push_back((Arc::clone(scope), self.body.slice_ref(span)));
            }
        }
        (held == self.held).then(|| Singles { origin: Arc::clone(&self.origin), spans, held })
    }
}

impl Singles {
    /// What is left.
    pub(crate) fn held(&self) -> Held {
        self.held
    }

    /// The next span's request.
    pub(crate) fn next(&mut self) -> Option<Batch> {
        let (scope, span) = self.spans.pop_front()?;
        let held = Held { items: 1, bytes: span.len() as u64 };
        self.held = self.held.minus(held);
        Some(encode(self.origin.signal, &self.origin.resource, [(&scope, &*span)].into_iter(), held))
    }
}
