//! Recordings that wait for their next span, a few for each thread.

use std::cell::RefCell;
use std::ops::{Deref, DerefMut};

use super::Recording;

/// More open spans than this on one thread at one time are rare; the rest goes back to the allocator.
const KEPT: usize = 64;
/// A recording that held something large gives its memory back.
const LARGEST: usize = 16 * 1024;

thread_local! {
    #[expect(clippy::vec_box, reason = "a recording changes hands as one pointer, not as all its fields")]
    static FREE: RefCell<Vec<Box<Recording>>> = const { RefCell::new(Vec::new()) };
}

/// A recording on loan from its thread's pool; it goes to the pool of the thread that drops it.
#[derive(Debug)]
pub(crate) struct Pooled(Option<Box<Recording>>);

impl Pooled {
    #[inline]
    pub(crate) fn take() -> Self {
        let free = FREE.try_with(|free| free.borrow_mut().pop()).ok().flatten();
        Self(Some(free.unwrap_or_default()))
    }
}

impl Deref for Pooled {
    type Target = Recording;

    #[inline]
    fn deref(&self) -> &Recording {
        // Only `drop` takes the box out.
        match &self.0 {
            Some(recording) => recording,
            None => unreachable!("a recording is there until it is dropped"),
        }
    }
}

impl DerefMut for Pooled {
    #[inline]
    fn deref_mut(&mut self) -> &mut Recording {
        match &mut self.0 {
            Some(recording) => recording,
            None => unreachable!("a recording is there until it is dropped"),
        }
    }
}

impl Drop for Pooled {
    #[inline]
    fn drop(&mut self) {
        let Some(recording) = self.0.take() else { return };
        if recording.buffer.capacity() > LARGEST || recording.status_message.capacity() > LARGEST {
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
}
