//! What produced spans, encoded once.

use std::sync::Arc;

use crate::value::{Attribute, Value};
use crate::view;
use crate::wire::field::resource;

/// The attributes that describe the process, as an OTLP `Resource` message. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    encoded: Arc<[u8]>,
    schema_url: Arc<str>,
}

impl Resource {
    /// A resource with these attributes. Of several with one key the last one counts; nameless ones are left out.
    pub fn new<'a>(attributes: &[(&'a str, Value<'a>)], schema_url: &str) -> Self {
        let mut encoded = Vec::new();
        write_unique(&mut encoded, resource::ATTRIBUTES, attributes);
        Self { encoded: encoded.into(), schema_url: schema_url.into() }
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
