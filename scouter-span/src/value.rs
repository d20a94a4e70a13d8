//! Attribute values as they are recorded and as they are read back.

use crate::wire::{write_attribute, write_scalar, write_text, write_value};

/// A value as OTLP's `AnyValue` knows it, borrowed from whoever holds it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// No value: an `AnyValue` without content, which is what `null` is inside lists and maps. As the value of an attribute
    /// itself `null` is not valid in OpenTelemetry, and what a receiver makes of it is undefined: leave the attribute out.
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
    Array(&'a [Value<'a>]),
    /// Keys with values, in order.
    Map(&'a [(&'a str, Value<'a>)]),
    /// The content of an `AnyValue` in wire form, for callers that write nested values themselves, with
    /// [`write_value`], instead of building slices of slices. Must be valid; is not cut to a limit.
    Encoded(&'a [u8]),
}

/// A value that owns what it holds, for attributes that outlive a call: those of settings, and those that samplers add.
#[derive(Clone, Debug, PartialEq)]
pub enum OwnedValue {
    /// A truth value.
    Bool(bool),
    /// A signed 64-bit integer.
    I64(i64),
    /// A double.
    F64(f64),
    /// Text.
    Str(String),
    /// The content of an OTLP `AnyValue` in wire form, for everything else. Must be valid; is not cut to a limit.
    Encoded(Vec<u8>),
}

/// A key and a value that can be recorded, whoever's type it is.
pub(crate) trait Attribute {
    /// Its name.
    fn key(&self) -> &str;
    /// Appends it as an element of a repeated `KeyValue` field, text and bytes cut to the limit.
    fn write(&self, out: &mut Vec<u8>, field: u32, limit: usize);
}

impl Attribute for (&str, Value<'_>) {
    #[inline]
    fn key(&self) -> &str {
        self.0
    }

    #[inline]
    fn write(&self, out: &mut Vec<u8>, field: u32, limit: usize) {
        write_attribute(out, field, self.0, self.1, limit);
    }
}

/// An attribute that is known to be text.
pub(crate) struct Text<'a> {
    pub(crate) key: &'a str,
    pub(crate) text: &'a str,
}

impl Attribute for Text<'_> {
    #[inline(always)]
    fn key(&self) -> &str {
        self.key
    }

    #[inline(always)]
    fn write(&self, out: &mut Vec<u8>, field: u32, limit: usize) {
        write_text(out, field, self.key, self.text, limit);
    }
}

/// An attribute that is known to be in this field of `AnyValue`: `BOOL`, `INT` or `DOUBLE`.
pub(crate) struct Scalar<'a, const FIELD: u32> {
    pub(crate) key: &'a str,
    pub(crate) bits: u64,
}

impl<const FIELD: u32> Attribute for Scalar<'_, FIELD> {
    #[inline(always)]
    fn key(&self) -> &str {
        self.key
    }

    #[inline(always)]
    fn write(&self, out: &mut Vec<u8>, field: u32, _limit: usize) {
        write_scalar::<FIELD>(out, field, self.key, self.bits);
    }
}

#[cfg(feature = "opentelemetry")]
impl<A: Attribute> Attribute for &A {
    fn key(&self) -> &str {
        (**self).key()
    }

    fn write(&self, out: &mut Vec<u8>, field: u32, limit: usize) {
        (**self).write(out, field, limit);
    }
}

impl OwnedValue {
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

impl From<Value<'_>> for OwnedValue {
    fn from(value: Value<'_>) -> Self {
        match value {
            Value::Bool(value) => Self::Bool(value),
            Value::I64(value) => Self::I64(value),
            Value::F64(value) => Self::F64(value),
            Value::Str(text) => Self::Str(text.to_owned()),
            Value::Encoded(content) => Self::Encoded(content.to_owned()),
            value => {
                let mut content = Vec::new();
                write_value(&mut content, value, usize::MAX);
                Self::Encoded(content)
            }
        }
    }
}

macro_rules! owned_from {
    ($($type:ty),* $(,)?) => {$(
        impl From<$type> for OwnedValue {
            fn from(value: $type) -> Self {
                Self::from(Value::from(value))
            }
        }
    )*};
}

owned_from!(bool, i64, f64, &str);

impl From<String> for OwnedValue {
    fn from(text: String) -> Self {
        Self::Str(text)
    }
}

macro_rules! from {
    ($($type:ty => $variant:ident as $into:ty),* $(,)?) => {$(
        impl From<$type> for Value<'_> {
            fn from(value: $type) -> Self {
                Self::$variant(<$into>::from(value))
            }
        }
    )*};
}

from!(bool => Bool as bool, i8 => I64 as i64, i16 => I64 as i64, i32 => I64 as i64, i64 => I64 as i64,
    u8 => I64 as i64, u16 => I64 as i64, u32 => I64 as i64, f32 => F64 as f64, f64 => F64 as f64);

impl<'a> From<&'a str> for Value<'a> {
    fn from(value: &'a str) -> Self {
        Self::Str(value)
    }
}

impl<'a> From<&'a String> for Value<'a> {
    fn from(value: &'a String) -> Self {
        Self::Str(value)
    }
}

impl<'a> From<&'a [u8]> for Value<'a> {
    fn from(value: &'a [u8]) -> Self {
        Self::Bytes(value)
    }
}

impl<'a> From<&'a [Value<'a>]> for Value<'a> {
    fn from(value: &'a [Value<'a>]) -> Self {
        Self::Array(value)
    }
}
