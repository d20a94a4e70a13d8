//! Attributes that settings own.

use scouter_span::Value;

/// An attribute's value, owned.
#[derive(Clone, Debug, PartialEq)]
pub enum Attribute {
    /// A truth value.
    Bool(bool),
    /// An integer.
    I64(i64),
    /// A double.
    F64(f64),
    /// Text.
    Str(String),
    /// The content of an OTLP `AnyValue` in wire form, for lists and maps.
    Encoded(Vec<u8>),
}

/// Attributes in order; of equal keys the last one counts.
pub type Attributes = Vec<(String, Attribute)>;

impl Attribute {
    /// As recording takes it.
    pub fn value(&self) -> Value<'_> {
        match self {
            Self::Bool(value) => Value::Bool(*value),
            Self::I64(value) => Value::I64(*value),
            Self::F64(value) => Value::F64(*value),
            Self::Str(text) => Value::Str(text),
            Self::Encoded(content) => Value::Encoded(content),
        }
    }
}

impl From<&str> for Attribute {
    fn from(text: &str) -> Self {
        Self::Str(text.to_owned())
    }
}

impl From<String> for Attribute {
    fn from(text: String) -> Self {
        Self::Str(text)
    }
}

pub(crate) fn pairs(attributes: &[(String, Attribute)]) -> Vec<(&str, Value<'_>)> {
    attributes.iter().map(|(key, value)| (key.as_str(), value.value())).collect()
}
