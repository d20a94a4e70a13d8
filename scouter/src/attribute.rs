//! Attributes that settings own.

use scouter_span::{OwnedValue, Value};

/// Attributes in order; of equal keys the last one counts.
pub type Attributes = Vec<(String, OwnedValue)>;

pub(crate) fn pairs(attributes: &[(String, OwnedValue)]) -> Vec<(&str, Value<'_>)> {
    attributes.iter().map(|(key, value)| (key.as_str(), value.value())).collect()
}
