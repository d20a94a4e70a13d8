//! `resource`.

use scouter_span::wire::write_value;
use scouter_span::{OwnedValue, Value as SpanValue};

use super::section::{Complaints, Place};
use super::yaml::Value;
use crate::attribute::Attributes;
use crate::environment::pairs;
use crate::settings::Settings;

pub(super) fn read(place: &Place<'_>, settings: &mut Settings, complaints: &mut Complaints<'_>) {
    let mut section = place.section(complaints);
    let mut all = Attributes::new();
    if let Some(place) = section.get("attributes_list")
        && let Some(text) = place.text(complaints)
    {
        let name = format!("{}: {}", complaints.file, place.path());
        let listed = pairs(&name, &text, complaints.list);
        all.extend(listed.into_iter().map(|(key, value)| (key, OwnedValue::Str(value))));
    }
    if let Some(list) = section.get("attributes") {
        for item in list.list(complaints) {
            all.extend(attribute(&item, complaints));
        }
    }
    if let Some(url) = section.get("schema_url").and_then(|place| place.text(complaints)) {
        settings.environment_schema_url = url;
    }
    section.close(complaints);
    settings.environment_resource = all;
}

/// A name, a value, and perhaps a type that the value is read as.
fn attribute(place: &Place<'_>, complaints: &mut Complaints<'_>) -> Option<(String, OwnedValue)> {
    let mut section = place.section(complaints);
    let name = section.get("name").and_then(|place| place.text(complaints));
    let value = section.get("value");
    let kind = section.get("type").and_then(|place| place.text(complaints));
    section.close(complaints);
    let Some((name, value)) = name.filter(|name| !name.is_empty()).zip(value) else {
        complaints.add(place, "has a name and a value; it was ignored");
        return None;
    };
    if matches!(value.value(), Value::Null) {
        return None;
    }
    let Some(read) = typed(value.value(), kind.as_deref().unwrap_or("string")) else {
        let kinds = "string, bool, int, double, or one of these with _array";
        complaints.add(&value, &format!("does not fit its type, which is {kinds}; it was ignored"));
        return None;
    };
    Some((name, read))
}

fn typed(value: &Value, kind: &str) -> Option<OwnedValue> {
    let Some(element) = kind.strip_suffix("_array") else { return single(value, kind) };
    let Value::List(items) = value else { return None };
    let items: Vec<_> = items.iter().map(|item| single(&item.value, element)).collect::<Option<_>>()?;
    let items: Vec<_> = items.iter().map(OwnedValue::value).collect();
    let mut content = Vec::new();
    write_value(&mut content, SpanValue::Array(&items), usize::MAX);
    Some(OwnedValue::Encoded(content))
}

fn single(value: &Value, kind: &str) -> Option<OwnedValue> {
    Some(match (kind, value) {
        ("string", Value::Text(text)) => OwnedValue::Str(text.clone()),
        // What is written without quotes is meant as a text all the same.
        ("string", Value::Bool(value)) => OwnedValue::Str(value.to_string()),
        ("string", Value::Int(number)) => OwnedValue::Str(number.to_string()),
        ("string", Value::Float(number)) => OwnedValue::Str(number.to_string()),
        ("bool", Value::Bool(value)) => OwnedValue::Bool(*value),
        ("int", Value::Int(number)) => OwnedValue::I64(*number),
        ("double", Value::Float(number)) => OwnedValue::F64(*number),
        ("double", Value::Int(number)) => OwnedValue::F64(*number as f64),
        _ => return None,
    })
}
