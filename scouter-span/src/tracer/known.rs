//! What is known about new spans without asking anybody.

use std::sync::atomic::{AtomicU16, Ordering};

use crate::context::SpanContext;
use crate::sampler::{ParentKind, Sampler};

/// For each kind of parent, whether spans below it are sampled, or that somebody has to be asked. One load tells.
///
/// Bit `n` is set where spans below parents of kind `n` are known to be sampled, bit `n + 5` where somebody has to be asked:
/// a sampler, an id generator, or processors that want to see the span.
#[derive(Debug)]
pub(super) struct Known(AtomicU16);

const KINDS: u16 = ParentKind::ALL.len() as u16;
const ASK: u16 = 1 << KINDS;
const ASK_ALL: u16 = (ASK << KINDS) - ASK;
const CLOSED: u16 = ASK << KINDS;

impl Known {
    /// What this sampler makes known; nothing where something else asks for every span.
    pub(super) fn new(sampler: &Sampler, ask_always: bool) -> Self {
        let bits = ParentKind::ALL.map(|kind| match sampler.known(kind) {
            Some(sampled) if !ask_always => u16::from(sampled) << kind as u16,
            _ => ASK << kind as u16,
        });
        Self(AtomicU16::new(bits.into_iter().fold(0, |all, bit| all | bit)))
    }

    /// Whether a span below this parent is known to be sampled.
    #[inline(always)]
    pub(super) fn is_sampled(&self, parent: Option<&SpanContext>) -> bool {
        self.0.load(Ordering::Relaxed) >> ParentKind::of(parent) as u16 & 1 != 0
    }

    /// Whether somebody has to be asked about a span below this parent.
    #[inline(always)]
    pub(super) fn asks(&self, parent: Option<&SpanContext>) -> bool {
        self.0.load(Ordering::Relaxed) >> ParentKind::of(parent) as u16 & ASK != 0
    }

    /// From now on everything is asked, unless all is over.
    pub(super) fn ask_always(&self) {
        let _ = self
            .0
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |bits| (bits & CLOSED == 0).then_some(bits | ASK_ALL));
    }

    /// From now on no span is sampled, and nobody is asked.
    pub(super) fn close(&self) {
        self.0.store(CLOSED, Ordering::Release);
    }

    pub(super) fn is_closed(&self) -> bool {
        self.0.load(Ordering::Acquire) & CLOSED != 0
    }
}
