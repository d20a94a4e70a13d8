//! What produced spans, encoded once.

mod detector;

use std::sync::Arc;

pub use detector::ResourceDetector;

use crate::value::{Attribute, Value};
use crate::view;
use crate::wire::field::resource;
use crate::wire::{Reader, len_delimited};

/// The attributes that describe what produces spans, such as the process, as an OTLP `Resource` message. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    encoded: Arc<[u8]>,
    schema_url: Arc<str>,
}

/// Two resources name their attributes by different schemas, so that together they have none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a resource with the schema {old} cannot be merged with one with the schema {updating}; give both one schema, or one none"
)]
pub struct SchemaConflict {
    /// The schema URL so far.
    pub old: String,
    /// The schema URL of what was to be merged into it.
    pub updating: String,
    /// Both merged all the same, without a schema URL, for whoever would rather go on.
    pub merged: Resource,
}

impl Resource {
    /// A resource without attributes.
    pub fn empty() -> Self {
        Self::new(&[], "")
    }

    /// What every resource begins with where nobody says otherwise: this library as the SDK, and a service whose name is not
    /// known (resource SDK, "SDK-provided resource attributes").
    ///
    /// `language` is what the program is written in, as `telemetry.sdk.language` spells it.
    pub fn of_sdk(language: &str) -> Self {
        let service = format!("unknown_service:{language}");
        let attributes = [
            ("telemetry.sdk.name", Value::Str("scouter")),
            ("telemetry.sdk.language", Value::Str(language)),
            ("telemetry.sdk.version", Value::Str(env!("CARGO_PKG_VERSION"))),
            ("service.name", Value::Str(&service)),
        ];
        Self::new(&attributes, "")
    }

    /// A resource with these attributes. Of several with one key the last one counts; nameless ones are left out.
    pub fn new<'a>(attributes: &[(&'a str, Value<'a>)], schema_url: &str) -> Self {
        let mut encoded = Vec::new();
        write_unique(&mut encoded, resource::ATTRIBUTES, attributes);
        Self { encoded: encoded.into(), schema_url: schema_url.into() }
    }

    /// Both in one: where both have an attribute, the updating one's value counts, even an empty one (resource SDK, "Merge").
    ///
    /// # Errors
    /// The schema URLs are different, and neither is empty.
    pub fn merge(&self, updating: &Self) -> Result<Self, SchemaConflict> {
        let attributes: Vec<_> = self.written().chain(updating.written()).collect();
        let mut encoded = Vec::new();
        write_unique(&mut encoded, resource::ATTRIBUTES, &attributes);
        let merged = |schema_url: &str| Self { encoded: encoded.into(), schema_url: schema_url.into() };
        match (self.schema_url(), updating.schema_url()) {
            (one, "") => Ok(merged(one)),
            ("", other) => Ok(merged(other)),
            (one, other) if one == other => Ok(merged(one)),
            (one, other) => Err(SchemaConflict { old: one.to_owned(), updating: other.to_owned(), merged: merged("") }),
        }
    }

    fn written(&self) -> impl Iterator<Item = Written<'_>> {
        let attributes = Reader::new(&self.encoded).map_while(Result::ok);
        attributes
            .filter(|field| field.number == resource::ATTRIBUTES)
            .filter_map(|field| field.value.bytes().map(Written))
    }

    /// The attributes, read back.
    pub fn view(&self) -> view::Resource<'_> {
        view::Resource::new(&self.encoded)
    }

    /// The encoded `Resource` message.
    pub fn encoded(&self) -> &[u8] {
        &self.encoded
    }

    /// Where the attributes' names are defined, `""` when not said.
    pub fn schema_url(&self) -> &str {
        &self.schema_url
    }
}

/// An attribute in the form in which it was written.
struct Written<'a>(&'a [u8]);

impl Attribute for Written<'_> {
    fn key(&self) -> &str {
        view::KeyValue::new(self.0).key
    }

    fn write(&self, out: &mut Vec<u8>, field: u32, _limit: usize) {
        len_delimited(out, field, self.0);
    }
}

/// Writes attributes whose keys are unique within a message: the last of equal keys, no empty ones.
pub(crate) fn write_unique(out: &mut Vec<u8>, field: u32, attributes: &[impl Attribute]) {
    for (at, attribute) in attributes.iter().enumerate() {
        let key = attribute.key();
        let again = attributes[at + 1..].iter().any(|later| later.key() == key);
        if !key.is_empty() && !again {
            attribute.write(out, field, usize::MAX);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::ValueView;

    #[test]
    fn the_last_of_equal_keys_counts() {
        let attributes = [("a", Value::I64(1)), ("", Value::I64(2)), ("b", Value::Str("x")), ("a", Value::I64(3))];
        let resource = Resource::new(&attributes, "");
        let read: Vec<_> = resource.view().attributes().iter().map(|a| (a.key, a.value)).collect();
        assert_eq!(read, [("b", ValueView::Str("x")), ("a", ValueView::I64(3))]);
    }
}
