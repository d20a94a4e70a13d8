//! Appending protobuf fields.

use super::WireType;
use super::field::{any_value, key_value, list};
use crate::value::Value;

/// Appends a base-128 number.
#[inline]
pub fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Writes a base-128 number over all of `place`, which must be [as long as the number needs](varint_len).
#[inline]
pub(crate) fn fill_varint(place: &mut [u8], mut value: u64) {
    let Some((last, rest)) = place.split_last_mut() else { return };
    for byte in rest {
        *byte = value as u8 | 0x80;
        value >>= 7;
    }
    *last = value as u8;
}

/// How many bytes [`varint`] appends.
#[inline]
pub const fn varint_len(value: u64) -> usize {
    // Every seven bits, rounded up; zero takes one byte too. 9/64 is close enough to 1/7 for 64 bits and needs no division.
    ((64 - (value | 1).leading_zeros() as usize) * 9 + 64) / 64
}

/// Appends a field's tag.
#[inline]
pub fn tag(out: &mut Vec<u8>, field: u32, wire_type: WireType) {
    varint(out, u64::from(field) << 3 | wire_type as u64);
}

/// Appends a number field.
#[inline]
pub fn uint(out: &mut Vec<u8>, field: u32, value: u64) {
    tag(out, field, WireType::Varint);
    varint(out, value);
}

/// Appends a four-byte field.
#[inline]
pub fn fixed32(out: &mut Vec<u8>, field: u32, value: u32) {
    tag(out, field, WireType::Fixed32);
    out.extend_from_slice(&value.to_le_bytes());
}

/// Appends an eight-byte field.
#[inline]
pub fn fixed64(out: &mut Vec<u8>, field: u32, value: u64) {
    tag(out, field, WireType::Fixed64);
    out.extend_from_slice(&value.to_le_bytes());
}

/// Appends a text, bytes or message field whose content is at hand.
#[inline]
pub fn len_delimited(out: &mut Vec<u8>, field: u32, content: &[u8]) {
    tag(out, field, WireType::Len);
    varint(out, content.len() as u64);
    out.extend_from_slice(content);
}

/// Appends a message field whose content `fill` appends. One byte is set aside for the length; a message of 128 bytes or
/// more moves up by what its length needs beyond that, which is cheaper than measuring the content first.
#[inline]
pub fn nested(out: &mut Vec<u8>, field: u32, fill: impl FnOnce(&mut Vec<u8>)) {
    tag(out, field, WireType::Len);
    out.push(0);
    let start = out.len();
    fill(out);
    let length = out.len() - start;
    if length < 0x80 {
        out[start - 1] = length as u8;
        return;
    }
    let extra = varint_len(length as u64) - 1;
    let end = out.len();
    out.resize(end + extra, 0);
    out.copy_within(start..end, start + extra);
    fill_varint(&mut out[start - 1..start + extra], length as u64);
}

/// The longest start of `text` that has at most `limit` characters.
#[inline]
fn cut(text: &str, limit: usize) -> &str {
    // A text of at most `limit` bytes has at most `limit` characters.
    if text.len() <= limit {
        return text;
    }
    text.char_indices().nth(limit).map_or(text, |(at, _)| &text[..at])
}

/// Appends the content of an `AnyValue`. Text (characters) and bytes longer than `limit` are cut, inside arrays too.
pub fn write_value(out: &mut Vec<u8>, value: Value<'_>, limit: usize) {
    match value {
        Value::Empty => {}
        Value::Encoded(content) => out.extend_from_slice(content),
        Value::Bool(value) => uint(out, any_value::BOOL, u64::from(value)),
        // int64 travels as the two's complement of its 64 bits.
        Value::I64(value) => uint(out, any_value::INT, value as u64),
        Value::F64(value) => fixed64(out, any_value::DOUBLE, value.to_bits()),
        Value::Str(text) => len_delimited(out, any_value::STRING, cut(text, limit).as_bytes()),
        Value::Bytes(bytes) => len_delimited(out, any_value::BYTES, &bytes[..bytes.len().min(limit)]),
        Value::Array(values) => nested(out, any_value::ARRAY, |out| {
            for value in values {
                nested(out, list::VALUES, |out| write_value(out, *value, limit));
            }
        }),
        Value::Map(entries) => nested(out, any_value::KVLIST, |out| {
            for (key, value) in entries {
                nested(out, list::VALUES, |out| write_key_value(out, key, *value, limit));
            }
        }),
    }
}

/// Appends the content of a `KeyValue`.
#[inline]
pub fn write_key_value(out: &mut Vec<u8>, key: &str, value: Value<'_>, limit: usize) {
    len_delimited(out, key_value::KEY, key.as_bytes());
    nested(out, key_value::VALUE, |out| write_value(out, value, limit));
}

/// Appends one element of a repeated `KeyValue` field.
///
/// Numbers, truth values and text of everyday length know their size beforehand and are written without a second look.
#[inline]
pub fn write_attribute(out: &mut Vec<u8>, field: u32, key: &str, value: Value<'_>, limit: usize) {
    match value {
        Value::Str(text) => write_text(out, field, key, text, limit),
        Value::Bool(value) => write_scalar::<{ any_value::BOOL }>(out, field, key, u64::from(value)),
        Value::I64(value) => write_scalar::<{ any_value::INT }>(out, field, key, value as u64),
        Value::F64(value) => write_scalar::<{ any_value::DOUBLE }>(out, field, key, value.to_bits()),
        value => write_large_attribute(out, field, key, value, limit),
    }
}

/// As [`write_attribute`], for text.
#[inline(always)]
pub(crate) fn write_text(out: &mut Vec<u8>, field: u32, key: &str, text: &str, limit: usize) {
    let total = key.len() + text.len() + 6;
    if total >= 0x80 || text.len() > limit {
        return write_large_attribute(out, field, key, Value::Str(text), limit);
    }
    attribute_head(out, field, key, total);
    let length = text.len() as u8;
    let string = (any_value::STRING << 3 | 2) as u8;
    out.extend_from_slice(&[(key_value::VALUE << 3 | 2) as u8, length + 2, string, length]);
    out.extend_from_slice(text.as_bytes());
}

/// As [`write_attribute`], for the value of this field of `AnyValue`, which is `BOOL`, `INT` or `DOUBLE`.
#[inline(always)]
pub(crate) fn write_scalar<const FIELD: u32>(out: &mut Vec<u8>, field: u32, key: &str, bits: u64) {
    let (wire_type, size) = match FIELD {
        any_value::DOUBLE => (WireType::Fixed64, 9),
        _ => (WireType::Varint, 1 + varint_len(bits)),
    };
    let total = key.len() + size + 4;
    if total >= 0x80 {
        let value = match FIELD {
            any_value::DOUBLE => Value::F64(f64::from_bits(bits)),
            any_value::BOOL => Value::Bool(bits != 0),
            _ => Value::I64(bits as i64),
        };
        return write_large_attribute(out, field, key, value, usize::MAX);
    }
    attribute_head(out, field, key, total);
    out.extend_from_slice(&[(key_value::VALUE << 3 | 2) as u8, size as u8, (FIELD << 3) as u8 | wire_type as u8]);
    match FIELD {
        any_value::DOUBLE => out.extend_from_slice(&bits.to_le_bytes()),
        _ => varint(out, bits),
    }
}

/// The start of an attribute of less than 128 bytes, up to and with its key.
#[inline]
fn attribute_head(out: &mut Vec<u8>, field: u32, key: &str, total: usize) {
    debug_assert!(field < 16 && total < 0x80, "a tag and a length of one byte each");
    out.extend_from_slice(&[(field << 3 | 2) as u8, total as u8, (key_value::KEY << 3 | 2) as u8, key.len() as u8]);
    out.extend_from_slice(key.as_bytes());
}

/// An attribute whose size shows only once it is written.
#[inline(never)]
fn write_large_attribute(out: &mut Vec<u8>, field: u32, key: &str, value: Value<'_>, limit: usize) {
    nested(out, field, |out| write_key_value(out, key, value, limit));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn varint_len_agrees_with_varint() {
        for shift in 0..64 {
            for value in [1u64 << shift, (1 << shift) - 1, u64::MAX >> shift] {
                let mut out = Vec::new();
                varint(&mut out, value);
                assert_eq!(out.len(), varint_len(value), "{value}");
            }
        }
    }

    #[test]
    fn nested_lengths_are_canonical() {
        for length in [0, 1, 127, 128, 300, 16383, 16384, 70000] {
            let mut patched = vec![9];
            nested(&mut patched, 11, |out| out.extend((0..length).map(|n| n as u8)));
            let mut direct = vec![9];
            len_delimited(&mut direct, 11, &(0..length).map(|n| n as u8).collect::<Vec<_>>());
            assert_eq!(patched, direct, "{length}");
        }
    }

    #[test]
    fn text_is_cut_at_characters() {
        assert_eq!(cut("grüße", 3), "grü");
        assert_eq!(cut("grüße", 5), "grüße");
        assert_eq!(cut("grüße", 0), "");
    }

    #[test]
    fn the_short_way_writes_what_the_long_way_writes() {
        let text = "x".repeat(0x70);
        let values = [
            Value::Bool(true),
            Value::Bool(false),
            Value::I64(-1),
            Value::I64(7),
            Value::I64(1 << 40),
            Value::F64(0.5),
            Value::Str(""),
            Value::Str("é"),
            Value::Str(&text[1..]),
            Value::Str(&text),
        ];
        for value in values {
            // 127 is the largest total that takes one byte, and these keys come to it from both sides with every value.
            for key in (0..128).chain([200]).map(|length| "k".repeat(length)) {
                let key = key.as_str();
                let (mut short, mut long) = (Vec::new(), Vec::new());
                write_attribute(&mut short, 9, key, value, usize::MAX);
                nested(&mut long, 9, |out| write_key_value(out, key, value, usize::MAX));
                assert_eq!(short, long);
            }
        }
    }
}
