//! Ids for records, made without asking the operating system.

use scouter_span::id::{IdGenerator, RandomIds};

/// A ULID: 48 bits of time in milliseconds, then 80 random bits, as 26 characters of Crockford's base 32. Of two that were
/// made at different milliseconds the later one is greater.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Uid([u8; LENGTH]);

const LENGTH: usize = 26;
const DIGITS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const RANDOM_BITS: u32 = 80;

impl Uid {
    /// A new id, at this time in nanoseconds since the Unix epoch.
    pub(crate) fn new(now: u64) -> Self {
        Self::of(now / 1_000_000, RandomIds.new_trace_id().to_int())
    }

    fn of(milliseconds: u64, random: u128) -> Self {
        let mut rest = u128::from(milliseconds) << RANDOM_BITS | (random & ((1 << RANDOM_BITS) - 1));
        let mut text = [0; LENGTH];
        for place in text.iter_mut().rev() {
            *place = DIGITS[(rest & 31) as usize];
            rest >>= 5;
        }
        Self(text)
    }

    pub(crate) fn as_str(&self) -> &str {
        str::from_utf8(&self.0).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn the_text_is_that_of_the_specification() {
        // The example of the ULID specification: 01ARZ3NDEK is this millisecond.
        let uid = Uid::of(1_469_922_850_259, 0);
        assert_eq!(uid.as_str(), "01ARZ3NDEK0000000000000000");
        assert_eq!(&Uid::of((1 << 48) - 1, u128::MAX).as_str(), &"7ZZZZZZZZZZZZZZZZZZZZZZZZZ");
    }

    #[test]
    fn ids_differ_within_a_millisecond_and_grow_with_time() {
        let ids: HashSet<_> = (0..10_000).map(|_| Uid::new(5_000_000).as_str().to_owned()).collect();
        assert_eq!(ids.len(), 10_000);
        assert!(ids.iter().all(|id| **id < *Uid::new(6_000_000).as_str()));
    }
}
