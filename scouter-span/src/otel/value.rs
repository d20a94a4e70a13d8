//! Attribute values.

use opentelemetry::{Array, KeyValue, StringValue, Value};

use crate::value::{self, Attribute};
use crate::view::{self, ArrayView, ValueView};
use crate::wire::field::{any_value, key_value, list};
use crate::wire::{len_delimited, nested, write_attribute, write_value};

impl Attribute for KeyValue {
    #[inline]
    fn key(&self) -> &str {
        self.key.as_str()
    }

    #[inline]
    fn write(&self, out: &mut Vec<u8>, field: u32, limit: usize) {
        let key = self.key.as_str();
        match &self.value {
            Value::Bool(value) => write_attribute(out, field, key, value::Value::Bool(*value), limit),
            Value::I64(value) => write_attribute(out, field, key, value::Value::I64(*value), limit),
            Value::F64(value) => write_attribute(out, field, key, value::Value::F64(*value), limit),
            Value::String(value) => write_attribute(out, field, key, value::Value::Str(value.as_str()), limit),
            Value::Array(array) => write_array_attribute(out, field, key, array, limit),
            other => write_attribute(out, field, key, value::Value::Str(&other.as_str()), limit),
        }
    }
}

/// Attributes of the API as ours.
pub(super) struct Values<'a>(Vec<(&'a KeyValue, Vec<u8>)>);

impl<'a> Values<'a> {
    pub(super) fn of(attributes: &'a [KeyValue]) -> Self {
        // What is neither a scalar nor text goes in wire form.
        let encoded = |value: &Value| {
            let mut content = Vec::new();
            match value {
                Value::Bool(_) | Value::I64(_) | Value::F64(_) | Value::String(_) => {}
                Value::Array(array) => write_array(&mut content, array, usize::MAX),
                other => write_value(&mut content, value::Value::Str(&other.as_str()), usize::MAX),
            }
            content
        };
        Self(attributes.iter().map(|attribute| (attribute, encoded(&attribute.value))).collect())
    }

    pub(super) fn borrowed(&self) -> Vec<(&str, value::Value<'_>)> {
        let borrowed = self.0.iter().map(|(attribute, encoded)| {
            let value = match &attribute.value {
                Value::Bool(value) => value::Value::Bool(*value),
                Value::I64(value) => value::Value::I64(*value),
                Value::F64(value) => value::Value::F64(*value),
                Value::String(text) => value::Value::Str(text.as_str()),
                _ => value::Value::Encoded(encoded),
            };
            (attribute.key.as_str(), value)
        });
        borrowed.collect()
    }
}

/// An attribute whose value is a list.
#[cold]
fn write_array_attribute(out: &mut Vec<u8>, field: u32, key: &str, array: &Array, limit: usize) {
    nested(out, field, |out| {
        len_delimited(out, key_value::KEY, key.as_bytes());
        nested(out, key_value::VALUE, |out| write_array(out, array, limit));
    });
}

/// The content of a value that is a list, written element by element.
fn write_array(out: &mut Vec<u8>, array: &Array, limit: usize) {
    fn elements<'a>(out: &mut Vec<u8>, values: impl Iterator<Item = value::Value<'a>>, limit: usize) {
        nested(out, any_value::ARRAY, |out| {
            for value in values {
                nested(out, list::VALUES, |out| write_value(out, value, limit));
            }
        });
    }
    match array {
        Array::Bool(values) => elements(out, values.iter().map(|value| value::Value::Bool(*value)), limit),
        Array::I64(values) => elements(out, values.iter().map(|value| value::Value::I64(*value)), limit),
        Array::F64(values) => elements(out, values.iter().map(|value| value::Value::F64(*value)), limit),
        Array::String(values) => elements(out, values.iter().map(|value| value::Value::Str(value.as_str())), limit),
        other => write_value(out, value::Value::Str(&other.to_string()), limit),
    }
}

/// A value that was read, as one of the API; `None` for what the API has no place for: no value, bytes, maps, and arrays
/// of anything but booleans, integers, doubles or texts, all of one kind.
///
/// An array without elements comes out as one of texts.
pub fn to_value(value: ValueView<'_>) -> Option<Value> {
    match value {
        ValueView::Bool(value) => Some(value.into()),
        ValueView::I64(value) => Some(value.into()),
        ValueView::F64(value) => Some(value.into()),
        ValueView::Str(value) => Some(value.to_owned().into()),
        ValueView::Array(values) => to_array(values).map(Value::Array),
        ValueView::Empty | ValueView::Bytes(_) | ValueView::Map(_) => None,
    }
}

/// An attribute that was read, as one of the API; `None` where [`to_value`] is.
pub fn to_key_value(attribute: view::KeyValue<'_>) -> Option<KeyValue> {
    to_value(attribute.value).map(|value| KeyValue::new(attribute.key.to_owned(), value))
}

fn to_array(values: ArrayView<'_>) -> Option<Array> {
    fn all<T>(values: ArrayView<'_>, take: impl Fn(ValueView<'_>) -> Option<T>) -> Option<Vec<T>> {
        values.iter().map(take).collect()
    }
    match values.iter().next() {
        Some(ValueView::Bool(_)) => {
            all(values, |value| if let ValueView::Bool(value) = value { Some(value) } else { None }).map(Array::Bool)
        }
        Some(ValueView::I64(_)) => {
            all(values, |value| if let ValueView::I64(value) = value { Some(value) } else { None }).map(Array::I64)
        }
        Some(ValueView::F64(_)) => {
            all(values, |value| if let ValueView::F64(value) = value { Some(value) } else { None }).map(Array::F64)
        }
        Some(ValueView::Str(_)) | None => {
            all(values, |value| value.as_str().map(|text| StringValue::from(text.to_owned()))).map(Array::String)
        }
        Some(ValueView::Empty | ValueView::Bytes(_) | ValueView::Array(_) | ValueView::Map(_)) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::Resource;

    fn written(value: Value) -> Vec<u8> {
        let mut out = Vec::new();
        KeyValue::new("k", value).write(&mut out, 1, usize::MAX);
        out
    }

    fn read(attribute: &[u8]) -> Option<Value> {
        view::Resource::new(attribute).attributes().get("k").and_then(to_value)
    }

    #[test]
    fn values_come_back() {
        let values = [
            Value::from(true),
            Value::from(-3_i64),
            Value::from(0.25),
            Value::from("ü"),
            Value::from("x".repeat(500)),
            Value::Array(vec![true, false].into()),
            Value::Array(vec![1_i64, -1].into()),
            Value::Array(vec![0.5, 1e300].into()),
            Value::Array((0..200).map(|n| StringValue::from(n.to_string())).collect::<Vec<_>>().into()),
            Value::Array(Vec::<StringValue>::new().into()),
        ];
        for value in values {
            assert_eq!(read(&written(value.clone())), Some(value));
        }
    }

    #[test]
    fn arrays_are_written_as_our_own_are() {
        let api = written(Value::Array(vec![1_i64, 2].into()));
        let own = Resource::new(&[("k", value::Value::Array(&[value::Value::I64(1), value::Value::I64(2)]))], "");
        assert_eq!(api, own.encoded());
    }

    #[test]
    fn texts_are_cut_inside_arrays_too() {
        let mut out = Vec::new();
        let texts = vec![StringValue::from("grüße"), StringValue::from("ab")];
        KeyValue::new("k", Value::Array(texts.into())).write(&mut out, 1, 3);
        let expected: Vec<StringValue> = vec!["grü".into(), "ab".into()];
        assert_eq!(read(&out), Some(Value::Array(expected.into())));
    }

    #[test]
    fn what_the_api_has_no_place_for_is_nothing() {
        let mixed = [value::Value::I64(1), value::Value::Str("a")];
        let nulls = [value::Value::Str("a"), value::Value::Empty];
        let outside = [
            value::Value::Empty,
            value::Value::Bytes(b"x"),
            value::Value::Map(&[]),
            value::Value::Array(&mixed),
            value::Value::Array(&nulls),
            value::Value::Array(&[value::Value::Empty]),
        ];
        for value in outside {
            let resource = Resource::new(&[("k", value)], "");
            assert_eq!(read(resource.encoded()), None, "{value:?}");
        }
    }
}
