//! The `Retry-After` header (RFC 9110, section 10.2.3).

use std::time::{Duration, SystemTime};

/// Seconds as they are, or a date counted from `date`, the answer's `Date` header, or else from now.
pub(super) fn parse(value: &str, date: Option<&str>) -> Option<Duration> {
    let value = value.trim();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        // More digits than fit mean longer than anybody waits.
        return Some(Duration::from_secs(value.parse().unwrap_or(u32::MAX.into())));
    }
    let until = httpdate::parse_http_date(value).ok()?;
    let now = date.and_then(|date| httpdate::parse_http_date(date).ok()).unwrap_or_else(wall_clock);
    Some(until.duration_since(now).unwrap_or_default())
}

#[expect(clippy::disallowed_methods, reason = "a date from outside can only be compared with the wall clock")]
fn wall_clock() -> SystemTime {
    SystemTime::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_and_dates() {
        const NOW: Option<&str> = Some("Sun, 06 Nov 1994 08:49:37 GMT");
        let table = [
            ("0", Some(0)),
            (" 120 ", Some(120)),
            ("99999999999999999999999", Some(u64::from(u32::MAX))),
            ("Sun, 06 Nov 1994 08:50:07 GMT", Some(30)),
            ("Sunday, 06-Nov-94 08:50:07 GMT", Some(30)),
            ("Sun Nov  6 08:50:07 1994", Some(30)),
            ("Sun, 06 Nov 1994 08:00:00 GMT", Some(0)),
            ("", None),
            ("-1", None),
            ("1.5", None),
            ("soon", None),
        ];
        for (value, seconds) in table {
            assert_eq!(parse(value, NOW), seconds.map(Duration::from_secs), "{value}");
        }
    }

    #[test]
    fn without_a_date_the_wall_clock_counts() {
        let soon = httpdate::fmt_http_date(wall_clock() + Duration::from_secs(60));
        let delay = parse(&soon, None).unwrap();
        assert!((50..=60).contains(&delay.as_secs()), "{delay:?}");
    }
}
