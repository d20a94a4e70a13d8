//! A part of all traces.

use crate::id::TraceId;

/// A part of all trace ids, between none and all.
///
/// The lower 64 bits of the id, read as a number, are compared with the bound, as in the OpenTelemetry SDKs, so that
/// services with different ratios keep subsets of each other's traces.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ratio {
    ratio: f64,
    bound: u64,
}

/// A ratio is not between 0 and 1.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error("a sampling ratio is a number from 0.0 to 1.0, not {0}")]
pub struct RatioError(pub f64);

impl Ratio {
    /// Everything.
    pub const ALL: Self = Self { ratio: 1.0, bound: u64::MAX };

    /// This part of all ids.
    ///
    /// # Errors
    /// The number is not between 0 and 1.
    pub fn new(ratio: f64) -> Result<Self, RatioError> {
        if !(0.0..=1.0).contains(&ratio) {
            return Err(RatioError(ratio));
        }
        // 2^64 times the ratio; the conversion saturates, which is what 1.0 needs.
        Ok(Self { ratio, bound: (ratio * 18_446_744_073_709_551_616.0).round() as u64 })
    }

    /// The number it was made from.
    pub const fn get(self) -> f64 {
        self.ratio
    }

    /// Whether it leaves nothing out.
    pub const fn is_all(self) -> bool {
        self.bound == u64::MAX
    }

    /// Whether this trace belongs to the part.
    #[inline]
    pub const fn contains(self, trace_id: TraceId) -> bool {
        self.is_all() || (trace_id.to_int() as u64) < self.bound
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
