//! Protobuf in, JSON out, along the tables of the schema.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::schema::{Field, Kind, Message};
use crate::wire::{Fields, Value};

/// Deeper messages are refused, so that no input exhausts the stack.
const DEPTH_LIMIT: u32 = 256;

/// Writes a message as an object; `None` when the bytes are not that message.
pub(super) fn message(out: &mut Vec<u8>, message: &Message, bytes: &[u8], depth: u32) -> Option<()> {
    if depth > DEPTH_LIMIT || Fields::new(bytes).any(|field| field.is_none()) {
        return None;
    }
    out.push(b'{');
    let mut is_first = true;
    let chosen = message.is_choice.then(|| choice(message, bytes));
    for field in message.fields {
        if chosen.is_some_and(|chosen| chosen != Some(field.number)) {
            continue;
        }
        if let Kind::Many(element) = field.kind {
            list(out, &mut is_first, field, element, bytes, depth)?;
        } else if let Some(value) = values(bytes, field.number).last()
            && (message.is_choice || field.is_required || !is_default(field.kind, value))
        {
            name(out, &mut is_first, field);
            single(out, field.kind, value, depth)?;
        } else if field.is_required {
            name(out, &mut is_first, field);
            text(out, "");
        }
    }
    out.push(b'}');
    Some(())
}

/// The number of the field of a `oneof` that counts: the last one.
fn choice(message: &Message, bytes: &[u8]) -> Option<u64> {
    let numbers = Fields::new(bytes).flatten().map(|(number, _)| number);
    numbers.filter(|number| message.fields.iter().any(|field| field.number == *number)).last()
}

fn values(bytes: &[u8], number: u64) -> impl Iterator<Item = Value<'_>> {
    Fields::new(bytes).flatten().filter(move |(found, _)| *found == number).map(|(_, value)| value)
}

fn list(
    out: &mut Vec<u8>,
    is_first: &mut bool,
    field: &Field,
    element: &Message,
    bytes: &[u8],
    depth: u32,
) -> Option<()> {
    let mut any = field.is_required;
    if any {
        name(out, is_first, field);
        out.push(b'[');
    }
    let mut is_next = false;
    for value in values(bytes, field.number) {
        let Value::Bytes(bytes) = value else { return None };
        if is_next {
            out.push(b',');
        } else if !any {
            name(out, is_first, field);
            out.push(b'[');
            any = true;
        }
        is_next = true;
        message(out, element, bytes, depth + 1)?;
    }
    if any {
        out.push(b']');
    }
    Some(())
}

fn name(out: &mut Vec<u8>, is_first: &mut bool, field: &Field) {
    out.extend_from_slice(if std::mem::take(is_first) { b"\"" } else { b",\"" });
    out.extend_from_slice(field.name.as_bytes());
    out.extend_from_slice(b"\":");
}

/// Values that protobuf leaves out, and JSON too. An empty message is not the same as none.
fn is_default(kind: Kind, value: Value<'_>) -> bool {
    match value {
        Value::Varint(number) | Value::Fixed64(number) => number == 0,
        Value::Fixed32(number) => number == 0,
        Value::Bytes(bytes) => bytes.is_empty() && !matches!(kind, Kind::One(_)),
    }
}

fn single(out: &mut Vec<u8>, kind: Kind, value: Value<'_>, depth: u32) -> Option<()> {
    match (kind, value) {
        (Kind::One(inner), Value::Bytes(bytes)) => message(out, inner, bytes, depth + 1)?,
        (Kind::Text, Value::Bytes(bytes)) => text(out, str::from_utf8(bytes).ok()?),
        (Kind::Id, Value::Bytes(bytes)) => {
            const DIGITS: &[u8; 16] = b"0123456789abcdef";
            out.push(b'"');
            out.extend(bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]).map(|digit| DIGITS[usize::from(digit)]));
            out.push(b'"');
        }
        (Kind::Bytes, Value::Bytes(bytes)) => text(out, &BASE64.encode(bytes)),
        (Kind::Bool, Value::Varint(number)) => {
            out.extend_from_slice(if number == 0 { b"false" } else { b"true" });
        }
        (Kind::Int32, Value::Varint(number)) => out.extend_from_slice((number as u32).to_string().as_bytes()),
        (Kind::Fixed32, Value::Fixed32(number)) => out.extend_from_slice(number.to_string().as_bytes()),
        (Kind::Int64, Value::Varint(number)) => text(out, &number.cast_signed().to_string()),
        (Kind::Fixed64, Value::Fixed64(number)) => text(out, &number.to_string()),
        (Kind::Double, Value::Fixed64(bits)) => double(out, f64::from_bits(bits)),
        _ => return None,
    }
    Some(())
}

/// The shortest digits that read back the same; what JSON has no number for is a string.
fn double(out: &mut Vec<u8>, number: f64) {
    if number.is_finite() {
        out.extend_from_slice(format!("{number:?}").as_bytes());
    } else if number.is_nan() {
        text(out, "NaN");
    } else {
        text(out, if number > 0.0 { "Infinity" } else { "-Infinity" });
    }
}

/// A string (RFC 8259, section 7).
fn text(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    let mut plain = 0;
    for (at, byte) in text.bytes().enumerate() {
        let escape: &[u8] = match byte {
            b'"' => b"\\\"",
            b'\\' => b"\\\\",
            b'\n' => b"\\n",
            b'\r' => b"\\r",
            b'\t' => b"\\t",
            0..0x20 => &format!("\\u{byte:04x}").into_bytes(),
            _ => continue,
        };
        out.extend_from_slice(&text.as_bytes()[plain..at]);
        out.extend_from_slice(escape);
        plain = at + 1;
    }
    out.extend_from_slice(&text.as_bytes()[plain..]);
    out.push(b'"');
}
