//! Recordings that wait for their next span, a few for each thread.

use std::cell::RefCell;

use super::Recording;

/// More open spans than this on one thread at one time are rare; the rest goes back to the allocator.
const KEPT: usize = 64;
/// A recording that held something large gives its memory back.
const LARGEST: usize = 16 * 1024;

thread_local! {
    #[expect(clippy::vec_box, reason = "a recording changes hands as one pointer, not as all its fields")]
    static FREE: RefCell<Vec<Box<Recording>>> = const { RefCell::new(Vec::new()) };
}

/// A recording from this thread's pool, as its last span left it.
#[inline]
pub(crate) fn take() -> Box<Recording> {
    FREE.try_with(|free| free.borrow_mut().pop()).ok().flatten().unwrap_or_default()
}

/// Puts a recording that nobody needs any more into the pool of this thread, which need not be the one it came from.
#[inline]
pub(crate) fn give(recording: Box<Recording>) {
    if recording.capacity() > LARGEST {
        return;
    }
    // A thread that is going away has no pool any more; then the recording goes to the allocator.
    let _ = FREE.try_with(|free| {
        let mut free = free.borrow_mut();
        if free.len() < KEPT {
            free.push(recording);
        }
    });
}
