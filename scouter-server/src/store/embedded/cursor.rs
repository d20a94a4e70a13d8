//! Where a page of traces, or of records, ends.

use std::fmt;

use scouter_client::FilterError;

/// The place behind a trace or a record, in the order newest first and, of one time, latest arrival first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cursor {
    /// When the trace began, or the record happened.
    pub(super) time: i64,
    pub(super) no: i64,
}

impl Cursor {
    pub(super) fn parse(text: &str) -> Result<Self, FilterError> {
        let parse = || {
            let (time, no) = text.split_once('-')?;
            let number = |text| i64::from_str_radix(text, 16).ok().filter(|number| *number >= 0);
            Some(Self { time: number(time)?, no: number(no)? })
        };
        parse().ok_or_else(|| {
            FilterError::new("cursor", text, "give the next_cursor of the page before, or none for the first page")
        })
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}-{:x}", self.time, self.no)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_print_as_they_parse() {
        let cursor = Cursor { time: 1_700_000_000_000_000_000, no: 42 };
        assert_eq!(Cursor::parse(&cursor.to_string()), Ok(cursor));
        for bad in ["", "-", "1", "1-", "-1", "x-1", "-1-1", "1-1-1", "8000000000000000-1"] {
            assert_eq!(Cursor::parse(bad).unwrap_err().field, "cursor", "{bad}");
        }
    }
}
