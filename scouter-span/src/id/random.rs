//! Random ids from a generator per thread, seeded by the operating system.

use std::cell::RefCell;

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};

use super::{IdGenerator, SpanId, TraceId};
use crate::fork;

/// Random trace and span ids. Each thread has its own generator (256 bits of state), so there is nothing to share or lock.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RandomIds;

struct Source {
    forks: u64,
    numbers: Xoshiro256PlusPlus,
}

impl Source {
    #[cold]
    fn seeded(forks: u64) -> Self {
        let mut seed = [0; 32];
        // An operating system without randomness is not a reason to harm the host: the address of a local, the thread
        // and the count of forks still tell threads and processes apart.
        if getrandom::fill(&mut seed).is_err() {
            let place = std::ptr::from_ref(&seed).addr() as u64;
            seed[..8].copy_from_slice(&place.to_le_bytes());
            seed[8..16].copy_from_slice(&forks.to_le_bytes());
            seed[16..20].copy_from_slice(&std::process::id().to_le_bytes());
        }
        Self { forks, numbers: Xoshiro256PlusPlus::from_seed(seed) }
    }
}

thread_local! {
    static SOURCE: RefCell<Option<Source>> = const { RefCell::new(None) };
}

#[inline]
fn with_numbers<T>(draw: impl FnOnce(&mut Xoshiro256PlusPlus) -> T) -> T {
    SOURCE.with_borrow_mut(|source| {
        let forks = fork::generation();
        match source {
            Some(source) if source.forks == forks => draw(&mut source.numbers),
            _ => draw(&mut source.insert(Source::seeded(forks)).numbers),
        }
    })
}

#[inline]
fn trace_id(numbers: &mut Xoshiro256PlusPlus) -> TraceId {
    loop {
        let value = u128::from(numbers.next_u64()) << 64 | u128::from(numbers.next_u64());
        if let Some(id) = TraceId::from_int(value) {
            return id;
        }
    }
}

#[inline]
fn span_id(numbers: &mut Xoshiro256PlusPlus) -> SpanId {
    loop {
        if let Some(id) = SpanId::from_int(numbers.next_u64()) {
            return id;
        }
    }
}

impl RandomIds {
    /// The ids of a root, for one visit to the generator.
    #[inline]
    pub(crate) fn new_root(self) -> (TraceId, SpanId) {
        with_numbers(|numbers| (trace_id(numbers), span_id(numbers)))
    }
}

impl IdGenerator for RandomIds {
    #[inline]
    fn new_trace_id(&self) -> TraceId {
        with_numbers(trace_id)
    }

    #[inline]
    fn new_span_id(&self) -> SpanId {
        with_numbers(span_id)
    }

    fn is_random(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn ids_do_not_repeat_within_or_across_threads() {
        let draw = || (0..1000).map(|_| RandomIds.new_trace_id()).collect::<Vec<_>>();
        let other = std::thread::scope(|scope| scope.spawn(draw).join().unwrap());
        let all: HashSet<_> = draw().into_iter().chain(other).collect();
        assert_eq!(all.len(), 2000);
    }

    #[test]
    fn a_reseeded_generator_takes_another_path() {
        let before = SOURCE.with_borrow_mut(|source| source.insert(Source::seeded(0)).numbers.clone());
        fork::note_child();
        let mut repeated = before;
        assert_ne!(RandomIds.new_span_id().to_int(), repeated.next_u64());
    }
}
