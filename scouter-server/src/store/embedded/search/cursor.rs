//! Where a page of traces ends.

use std::fmt;

use scouter_client::FilterError;

use crate::store::embedded::traces::TraceRow;

/// The place behind a trace, in the order newest start first and, of one start, latest arrival first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cursor {
    pub(super) start: i64,
    pub(super) no: i64,
}

impl Cursor {
    pub(super) const fn after(trace: &TraceRow) -> Self {
        Self { start: trace.start, no: trace.no }
    }

    pub(super) fn parse(text: &str) -> Result<Self, FilterError> {
        let parse = || {
            let (start, no) = text.split_once('-')?;
            let number = |text| i64::from_str_radix(text, 16).ok().filter(|number| *number >= 0);
            Some(Self { start: number(start)?, no: number(no)? })
        };
        parse().ok_or_else(|| {
            FilterError::new("cursor", text, "give the next_cursor of the page before, or none for the first page")
        })
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}-{:x}", self.start, self.no)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_print_as_they_parse() {
        let cursor = Cursor { start: 1_700_000_000_000_000_000, no: 42 };
        assert_eq!(Cursor::parse(&cursor.to_string()), Ok(cursor));
        for bad in ["", "-", "1", "1-", "-1", "x-1", "-1-1", "1-1-1", "8000000000000000-1"] {
            assert_eq!(Cursor::parse(bad).unwrap_err().field, "cursor", "{bad}");
        }
    }
}
