//! Points in time.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Nanoseconds since the Unix epoch: 0 for a time before it, and `u64::MAX` for one after the year 2554.
pub fn unix_nanoseconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}

/// The time that is so many nanoseconds after the Unix epoch.
pub fn system_time(unix_nanoseconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_nanos(unix_nanoseconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_nanosecond_comes_back() {
        for nanoseconds in [0, 1, 999_999_999, 1_700_000_000_123_456_789, u64::MAX] {
            assert_eq!(unix_nanoseconds(system_time(nanoseconds)), nanoseconds);
        }
    }

    #[test]
    fn times_outside_are_taken_to_the_nearest_end() {
        assert_eq!(unix_nanoseconds(UNIX_EPOCH - Duration::from_nanos(1)), 0);
        assert_eq!(unix_nanoseconds(UNIX_EPOCH + Duration::from_secs(u64::MAX / 1_000_000_000 + 1)), u64::MAX);
    }
}
