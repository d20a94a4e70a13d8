//! Which process this is, in a line of forks.

use std::sync::atomic::{AtomicU64, Ordering};

static FORKS: AtomicU64 = AtomicU64::new(0);

/// Says that this process is the child of a fork: threads seed their ids anew, and spans that the parent began are the
/// parent's to export.
///
/// Only touches an atomic, so it may run in a `pthread_atfork` handler.
pub fn note_child() {
    FORKS.fetch_add(1, Ordering::Relaxed);
}

/// How many forks lie between the first process and this one, as far as they were [noted](note_child). What counts for each
/// process by itself begins anew when it changes.
#[inline]
pub fn generation() -> u64 {
    FORKS.load(Ordering::Relaxed)
}
