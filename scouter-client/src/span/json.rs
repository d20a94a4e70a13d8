//! OTLP values as JSON.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use scouter_span::view::{Attributes, ValueView};
use serde_json::{Map, Value};

/// Attributes as a JSON object. Of several values under one key the last counts.
pub fn attributes(attributes: Attributes<'_>) -> Map<String, Value> {
    attributes.iter().map(|attribute| (attribute.key.to_owned(), value(attribute.value))).collect()
}

/// A value as JSON: integers exact, bytes as base64 text, `NaN`, `Infinity` and `-Infinity` as text (JSON has no such
/// numbers; protobuf's own JSON form does the same), no content as `null`.
pub fn value(view: ValueView<'_>) -> Value {
    match view {
        ValueView::Empty => Value::Null,
        ValueView::Bool(value) => value.into(),
        ValueView::I64(value) => value.into(),
        ValueView::F64(value) if value.is_nan() => "NaN".into(),
        ValueView::F64(value) if value.is_infinite() => if value > 0.0 { "Infinity" } else { "-Infinity" }.into(),
        ValueView::F64(value) => value.into(),
        ValueView::Str(text) => text.into(),
        ValueView::Bytes(bytes) => STANDARD.encode(bytes).into(),
        ValueView::Array(values) => values.iter().map(value).collect(),
        ValueView::Map(entries) => {
            Value::Object(entries.iter().map(|entry| (entry.key.to_owned(), value(entry.value))).collect())
        }
    }
}

/// A tag's value as text: text as it is, anything else as JSON.
pub fn tag_text(view: ValueView<'_>) -> String {
    match view {
        ValueView::Str(text) => text.to_owned(),
        other => match value(other) {
            Value::String(text) => text,
            other => other.to_string(),
        },
    }
}

#[cfg(test)]
mod tests {
    use scouter_span::value::Value as Recorded;
    use scouter_span::wire::write_value;
    use serde_json::json;

    use super::*;

    #[test]
    fn values_become_json() {
        let list = [Recorded::I64(i64::MIN), Recorded::Empty, Recorded::F64(f64::NAN)];
        let map = [("list", Recorded::Array(&list)), ("bytes", Recorded::Bytes(&[0xfb, 0xff]))];
        for (recorded, expected) in [
            (Recorded::Bool(true), json!(true)),
            (Recorded::I64(i64::MAX), json!(9_223_372_036_854_775_807_i64)),
            (Recorded::F64(0.1), json!(0.1)),
            (Recorded::F64(f64::NEG_INFINITY), json!("-Infinity")),
            (Recorded::Str("é"), json!("é")),
            (Recorded::Map(&map), json!({"list": [i64::MIN, null, "NaN"], "bytes": "+/8="})),
        ] {
            let mut bytes = Vec::new();
            write_value(&mut bytes, recorded, usize::MAX);
            assert_eq!(value(ValueView::new(&bytes)), expected);
        }
    }
}
