//! What a fork means here.
//!
//! A child inherits memory, but only the thread that forked. Threads that were running are gone, and a lock one of them
//! held stays locked for ever. So nothing a parent made is used again in a child: whatever has threads, locks or sockets
//! lives in a [`PerProcess`] and is made anew by the first use in the child. What the parent made is left untouched.
//!
//! The few locks that outlive a process, and every renewal, are only taken inside the [`Gate`]. A fork waits until the
//! gate is free, so no child begins with one of them locked.

use std::hint;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

/// How many forks lie between this process and the one that began the program.
static GENERATION: AtomicU64 = AtomicU64::new(0);
/// Whether a thread is inside the gate, or a fork is under way.
static SHUT: AtomicBool = AtomicBool::new(false);

/// While it lives, no fork begins and no other thread is inside. Held for moments only; it cannot be entered twice.
#[derive(Debug)]
pub(crate) struct Gate(());

/// A value of which every process of a family of forks has its own.
#[derive(Debug)]
pub(crate) struct PerProcess<T> {
    generation: u64,
    value: T,
    /// The value of the child in which this list goes on.
    next: OnceLock<Box<PerProcess<T>>>,
}

/// The number of this process in its line of forks.
#[inline]
pub(crate) fn generation() -> u64 {
    GENERATION.load(Ordering::Relaxed)
}

impl Gate {
    pub(crate) fn enter() -> Self {
        shut();
        Self(())
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        open();
    }
}

impl<T> PerProcess<T> {
    /// The value of this process.
    pub(crate) fn new(value: T) -> Self {
        install();
        Self { generation: generation(), value, next: OnceLock::new() }
    }

    /// The value of this process, if it has one already. As many steps as there were forks before it, usually none.
    #[inline]
    pub(crate) fn get(&self) -> Option<&T> {
        let last = self.last();
        (last.generation == generation()).then_some(&last.value)
    }

    /// The value of this process, made from its parent's if it has none. `make` runs inside the gate.
    pub(crate) fn renew(&self, make: impl FnOnce(&T) -> T) -> &T {
        let _gate = Gate::enter();
        let last = self.last();
        let generation = generation();
        if last.generation == generation {
            return &last.value;
        }
        let child = || Box::new(Self { generation, value: make(&last.value), next: OnceLock::new() });
        &last.next.get_or_init(child).value
    }

    #[inline]
    fn last(&self) -> &Self {
        let mut last = self;
        while let Some(next) = last.next.get() {
            last = next;
        }
        last
    }
}

fn shut() {
    let mut tries = 0u32;
    while SHUT.compare_exchange_weak(false, true, Ordering::Acquire, Ordering::Relaxed).is_err() {
        tries += 1;
        if tries.is_multiple_of(64) { thread::yield_now() } else { hint::spin_loop() }
    }
}

fn open() {
    SHUT.store(false, Ordering::Release);
}

#[cfg(unix)]
#[expect(unsafe_code, reason = "only the C library tells when a process forks")]
fn install() {
    use std::sync::Once;

    extern "C" fn before() {
        shut();
    }
    extern "C" fn in_parent() {
        open();
    }
    extern "C" fn in_child() {
        GENERATION.fetch_add(1, Ordering::Relaxed);
        scouter_span::fork::note_child();
        open();
    }

    static INSTALLED: Once = Once::new();
    // SAFETY: the three functions live as long as the program, take and return nothing, do not unwind, and touch
    // nothing but atomics, which is all that a child of a program with threads may do. Without memory for the entry
    // the call fails; then a child behaves like any program that was not told of the fork.
    INSTALLED.call_once(|| unsafe {
        libc::pthread_atfork(Some(before), Some(in_parent), Some(in_child));
    });
}

#[cfg(not(unix))]
fn install() {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_value_for_one_process() {
        let value = PerProcess::new(1);
        assert_eq!(value.get(), Some(&1));
        assert_eq!(value.renew(|_| 2), &1);
    }

    #[test]
    fn one_thread_at_a_time_passes_the_gate() {
        let mut counted = 0u64;
        let place = std::sync::Mutex::new(&mut counted);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..1000 {
                        let _gate = Gate::enter();
                        **place.try_lock().expect("nobody else is inside") += 1;
                    }
                });
            }
        });
        assert_eq!(counted, 4000);
    }
}
