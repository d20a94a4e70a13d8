//! `KeyValue` and `AnyValue`.

use std::fmt;

use super::{messages, text};
use crate::wire::field::{any_value, key_value, list};
use crate::wire::{FieldValue, Reader};

/// The attributes of a resource, scope, span, event or link, in the order they travel.
#[derive(Clone, Copy)]
pub struct Attributes<'a> {
    message: &'a [u8],
    field: u32,
}

/// One attribute.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct KeyValue<'a> {
    /// Its name.
    pub key: &'a str,
    /// Its value.
    pub value: ValueView<'a>,
}

/// An `AnyValue`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ValueView<'a> {
    /// No content.
    Empty,
    /// A truth value.
    Bool(bool),
    /// A signed 64-bit integer.
    I64(i64),
    /// A double.
    F64(f64),
    /// Text.
    Str(&'a str),
    /// Bytes.
    Bytes(&'a [u8]),
    /// A list.
    Array(ArrayView<'a>),
    /// Keys with values.
    Map(MapView<'a>),
}

/// An `ArrayValue`.
#[derive(Clone, Copy, PartialEq)]
pub struct ArrayView<'a>(&'a [u8]);

/// A `KeyValueList`.
#[derive(Clone, Copy, PartialEq)]
pub struct MapView<'a>(&'a [u8]);

impl<'a> Attributes<'a> {
    pub(super) const fn new(message: &'a [u8], field: u32) -> Self {
        Self { message, field }
    }

    /// Every attribute, in order.
    pub fn iter(&self) -> impl Iterator<Item = KeyValue<'a>> + Clone + use<'a> {
        messages(self.message, self.field).map(KeyValue::new)
    }

    /// The value under this key, if there is one.
    pub fn get(&self, key: &str) -> Option<ValueView<'a>> {
        self.iter().filter(|attribute| attribute.key == key).last().map(|attribute| attribute.value)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }
}

impl fmt::Debug for Attributes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter().map(|attribute| (attribute.key, attribute.value))).finish()
    }
}

impl<'a> KeyValue<'a> {
    /// A `KeyValue` message that was checked before.
    pub fn new(bytes: &'a [u8]) -> Self {
        let value = super::bytes(bytes, key_value::VALUE);
        Self { key: text(bytes, key_value::KEY), value: ValueView::new(value) }
    }
}

impl<'a> ValueView<'a> {
    /// An `AnyValue` message that was checked before. Of several contents the last one counts, as in any `oneof`.
    pub fn new(bytes: &'a [u8]) -> Self {
        let mut value = Self::Empty;
        for field in Reader::new(bytes).map_while(Result::ok) {
            value = match (field.number, field.value) {
                (any_value::STRING, FieldValue::Len(text)) => Self::Str(str::from_utf8(text).unwrap_or_default()),
                (any_value::BOOL, FieldValue::Varint(number)) => Self::Bool(number != 0),
                (any_value::INT, FieldValue::Varint(number)) => Self::I64(number as i64),
                (any_value::DOUBLE, FieldValue::Fixed64(bits)) => Self::F64(f64::from_bits(bits)),
                (any_value::ARRAY, FieldValue::Len(bytes)) => Self::Array(ArrayView(bytes)),
                (any_value::KVLIST, FieldValue::Len(bytes)) => Self::Map(MapView(bytes)),
                (any_value::BYTES, FieldValue::Len(bytes)) => Self::Bytes(bytes),
                _ => value,
            };
        }
        value
    }

    /// The text, if it is text.
    pub const fn as_str(&self) -> Option<&'a str> {
        match self {
            Self::Str(text) => Some(text),
            _ => None,
        }
    }
}

impl<'a> ArrayView<'a> {
    /// The elements, in order.
    pub fn iter(&self) -> impl Iterator<Item = ValueView<'a>> + Clone + use<'a> {
        messages(self.0, list::VALUES).map(ValueView::new)
    }
}

impl fmt::Debug for ArrayView<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl<'a> MapView<'a> {
    /// The entries, in order.
    pub fn iter(&self) -> impl Iterator<Item = KeyValue<'a>> + Clone + use<'a> {
        messages(self.0, list::VALUES).map(KeyValue::new)
    }
}

impl fmt::Debug for MapView<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter().map(|entry| (entry.key, entry.value))).finish()
    }
}
