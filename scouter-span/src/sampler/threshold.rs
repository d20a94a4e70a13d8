//! The two numbers of a consistent sampling decision, 56 bits each.
//!
//! Source: OpenTelemetry, "TraceState: Probability Sampling" and "TraceState Handling", sub-keys `th` and `rv`.

use std::fmt;

use crate::id::{IdGenerator, RandomIds, TraceId};

/// How many hexadecimal digits 56 bits have.
const DIGITS: usize = 14;
const BITS: u32 = 4 * DIGITS as u32;
const MASK: u64 = (1 << BITS) - 1;

/// A rejection threshold: a span is sampled if its [`Randomness`] is not less. Prints as the value of `th`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Threshold(u64);

/// What is compared with a [`Threshold`], the same for all spans of a trace. Prints as the value of `rv`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Randomness(u64);

impl Threshold {
    /// Every span is sampled.
    pub const ALWAYS: Self = Self(0);

    /// The significant digits that SDKs write by default ("Converting floating-point probability to threshold value").
    const PRECISION: u32 = 4;

    /// This number, if it fits 56 bits.
    pub const fn from_int(value: u64) -> Option<Self> {
        if value <= MASK { Some(Self(value)) } else { None }
    }

    /// The number.
    pub const fn to_int(self) -> u64 {
        self.0
    }

    /// The threshold for a probability from 0 to 1, rounded to four significant digits; `None` below 2⁻⁵⁶, where nothing is
    /// sampled.
    pub(super) fn from_probability(probability: f64) -> Option<Self> {
        // A double times a power of two is exact, and the conversion takes what it is given to the nearest end.
        let kept = (probability * (MASK + 1) as f64).round() as u64;
        let exact = (MASK + 1).checked_sub(kept).filter(|_| kept > 0)?;
        // Near 1 a threshold begins with digits f, which say nothing about a small probability.
        let leading = (exact << (64 - BITS)).leading_ones() / 4;
        let cut = BITS.saturating_sub(4 * (leading + Self::PRECISION));
        let half = (1 << cut) >> 1;
        Some(Self((exact + half) >> cut << cut))
    }

    /// Whether a trace of this randomness is sampled.
    #[inline]
    pub const fn admits(self, randomness: Randomness) -> bool {
        randomness.0 >= self.0
    }

    /// Reads the value of `th`: one to fourteen lower-case hexadecimal digits, with the zeros behind them left out.
    pub fn parse(text: &str) -> Option<Self> {
        let value = hex(text)?;
        Some(Self(value << (4 * (DIGITS - text.len()))))
    }
}

impl Randomness {
    /// What the trace id has to give: its last seven bytes, presumed to be random.
    #[inline]
    pub const fn of(trace_id: TraceId) -> Self {
        Self(trace_id.to_int() as u64 & MASK)
    }

    /// A new number.
    pub(super) fn new() -> Self {
        Self::of(RandomIds.new_trace_id())
    }

    /// This number, if it fits 56 bits.
    pub const fn from_int(value: u64) -> Option<Self> {
        if value <= MASK { Some(Self(value)) } else { None }
    }

    /// The number.
    pub const fn to_int(self) -> u64 {
        self.0
    }

    /// Reads the value of `rv`: exactly fourteen lower-case hexadecimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() == DIGITS { hex(text).map(Self) } else { None }
    }
}

/// One to fourteen lower-case hexadecimal digits.
fn hex(text: &str) -> Option<u64> {
    let all = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if all && (1..=DIGITS).contains(&text.len()) { u64::from_str_radix(text, 16).ok() } else { None }
}

impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{:0width$x}", self.0, width = DIGITS);
        let shortest = text.trim_end_matches('0');
        f.write_str(if shortest.is_empty() { "0" } else { shortest })
    }
}

impl fmt::Display for Randomness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:0width$x}", self.0, width = DIGITS)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn probabilities_have_the_thresholds_of_the_specification() {
        // The table of "Converting floating-point probability to threshold value", precision 4.
        let table = [
            (1.0, "0"),
            (0.5, "8"),
            (1.0 / 3.0, "aaab"),
            (0.25, "c"),
            (0.2, "cccd"),
            (0.125, "e"),
            (0.1, "e666"),
            (0.0625, "f"),
            (0.01, "fd70a"),
            (0.001, "ffbe77"),
            (0.0001, "fff9724"),
            (0.00001, "ffff583a"),
            (0.000_001, "ffffef39"),
        ];
        for (probability, expected) in table {
            assert_eq!(Threshold::from_probability(probability).unwrap().to_string(), expected, "{probability}");
        }
    }

    #[test]
    fn the_smallest_probability_is_two_to_the_minus_56() {
        let smallest = (-56.0_f64).exp2();
        assert_eq!(Threshold::from_probability(smallest).unwrap().to_string(), "ffffffffffffff");
        assert_eq!(Threshold::from_probability(smallest / 4.0), None);
        assert_eq!(Threshold::from_probability(0.0), None);
    }

    #[test]
    fn texts_are_read_strictly() {
        assert_eq!(Threshold::parse("c"), Threshold::from_int(0xc0_0000_0000_0000));
        assert_eq!(Threshold::parse("0"), Some(Threshold::ALWAYS));
        assert_eq!(Threshold::parse("00000000000001"), Threshold::from_int(1));
        for bad in ["", "C", "g", "+1", " 1", "1_", "000000000000001", "ü"] {
            assert_eq!(Threshold::parse(bad), None, "{bad:?}");
        }
        assert_eq!(Randomness::parse("6e6d1a75832a2f"), Randomness::from_int(0x6e_6d1a_7583_2a2f));
        for bad in ["", "6e6d1a75832a2", "6e6d1a75832a2f0", "6e6d1a75832a2F", "+e6d1a75832a2f"] {
            assert_eq!(Randomness::parse(bad), None, "{bad:?}");
        }
        assert_eq!((Threshold::from_int(1 << 56), Randomness::from_int(1 << 56)), (None, None));
    }

    proptest! {
        #[test]
        fn numbers_read_back(value in 0_u64..1 << 56) {
            let threshold = Threshold::from_int(value).unwrap();
            prop_assert_eq!(Threshold::parse(&threshold.to_string()), Some(threshold));
            let randomness = Randomness::from_int(value).unwrap();
            prop_assert_eq!(Randomness::parse(&randomness.to_string()), Some(randomness));
            prop_assert!(threshold.admits(randomness) && Threshold::ALWAYS.admits(randomness));
        }

        /// Smaller probabilities keep subsets, rounded as they are, and close to what was asked for.
        #[test]
        fn rounding_keeps_the_order(one in 0.0_f64..1.0, other in 0.0_f64..1.0, shrink in 0..50) {
            let (one, other) = (one * (-f64::from(shrink)).exp2(), other * (-f64::from(shrink)).exp2());
            let never = Threshold(1 << 56);
            let threshold = |probability| Threshold::from_probability(probability).unwrap_or(never);
            if one <= other {
                prop_assert!(threshold(one) >= threshold(other));
            } else {
                prop_assert!(threshold(one) <= threshold(other));
            }
            let kept = ((1_u64 << 56) - threshold(one).0) as f64 / (1_u64 << 56) as f64;
            prop_assert!((kept - one).abs() <= one.max(1.0 / 16.0) / 4096.0 + (-56.0_f64).exp2(), "{one} {kept}");
        }
    }
}
