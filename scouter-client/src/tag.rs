//! The tags that are known.

use serde::{Deserialize, Serialize};

/// A tag with one of its values, and how much carries it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tag {
    /// The tag.
    pub key: String,
    /// One of its values.
    pub value: String,
    /// How many traces have a span with it.
    pub traces: u64,
    /// How many records have it.
    pub records: u64,
}
