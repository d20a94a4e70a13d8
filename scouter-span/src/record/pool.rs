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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_recordings_are_not_kept_and_others_are() {
        for (size, kept) in [(LARGEST, true), (LARGEST + 1, false)] {
            FREE.with_borrow_mut(Vec::clear);
            let mut recording = take();
            recording.buffer.reserve_exact(size);
            give(recording);
            assert_eq!(take().buffer.capacity() == size, kept);
        }
    }

    #[test]
    fn a_thread_keeps_no_more_than_so_many() {
        let taken: Vec<_> = (0..2 * KEPT).map(|_| take()).collect();
        taken.into_iter().for_each(give);
        assert_eq!(FREE.with_borrow(Vec::len), KEPT);
    }
}
