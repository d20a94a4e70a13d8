//! A part of all traces.

use super::threshold::{Randomness, Threshold};
use crate::id::TraceId;

/// A part of all traces, between none and all.
///
/// Decided as OpenTelemetry's "TraceState: Probability Sampling" says, by the last 56 bits of the trace id, so that whoever
/// keeps a smaller part keeps a subset. The part is rounded to four significant digits of its [`Threshold`]: 0.1 keeps
/// 10.0006 % of the traces.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ratio {
    ratio: f64,
    threshold: Option<Threshold>,
}

/// A ratio is not between 0 and 1.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error("a sampling ratio is a number from 0.0 to 1.0, not {0}")]
pub struct RatioError(pub f64);

impl Ratio {
    /// Everything.
    pub const ALL: Self = Self { ratio: 1.0, threshold: Some(Threshold::ALWAYS) };

    /// This part of all traces.
    ///
    /// # Errors
    /// The number is not between 0 and 1.
    pub fn new(ratio: f64) -> Result<Self, RatioError> {
        if !(0.0..=1.0).contains(&ratio) {
            return Err(RatioError(ratio));
        }
        Ok(Self { ratio, threshold: Threshold::from_probability(ratio) })
    }

    /// The number it was made from.
    pub const fn get(self) -> f64 {
        self.ratio
    }

    /// What the randomness of a trace is compared with; `None` for the part that is nothing.
    pub const fn threshold(self) -> Option<Threshold> {
        self.threshold
    }

    /// Whether it leaves nothing out.
    pub const fn is_all(self) -> bool {
        matches!(self.threshold, Some(Threshold::ALWAYS))
    }

    /// Whether this trace belongs to the part, if it has no explicit randomness.
    #[inline]
    pub const fn contains(self, trace_id: TraceId) -> bool {
        match self.threshold {
            Some(threshold) => threshold.admits(Randomness::of(trace_id)),
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{IdGenerator, RandomIds};

    #[test]
    fn ratios_outside_are_refused() {
        for bad in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
            assert!(Ratio::new(bad).is_err(), "{bad}");
        }
        assert!(Ratio::new(1.0).is_ok_and(Ratio::is_all));
        assert_eq!(Ratio::new(1.0), Ok(Ratio::ALL));
    }

    #[test]
    fn a_ratio_keeps_its_part_and_smaller_ones_are_subsets() {
        let (tenth, half) = (Ratio::new(0.1).unwrap(), Ratio::new(0.5).unwrap());
        let ids: Vec<_> = (0..20_000).map(|_| RandomIds.new_trace_id()).collect();
        let kept = ids.iter().filter(|id| tenth.contains(**id)).count();
        assert!((1700..2300).contains(&kept), "{kept}");
        assert!(ids.iter().all(|id| !tenth.contains(*id) || half.contains(*id)));
        assert!(!ids.iter().any(|id| Ratio::new(0.0).unwrap().contains(*id)));
    }
}
