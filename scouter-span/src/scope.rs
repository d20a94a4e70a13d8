//! The library or component that records spans, encoded once.

use crate::resource::write_unique;
use crate::value::{Attribute, Value};
use crate::view;
use crate::wire::field::scope;
use crate::wire::len_delimited;

/// An instrumentation scope, as an OTLP `InstrumentationScope` message.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Scope {
    encoded: Box<[u8]>,
    schema_url: Box<str>,
}

/// What a sink calls a scope that was registered with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ScopeId(pub u32);

impl Scope {
    /// A scope with this name and, where they are not empty, version, schema URL and attributes.
    pub fn new<'a>(name: &str, version: &str, schema_url: &str, attributes: &[(&'a str, Value<'a>)]) -> Self {
        Self::encode(name, version, schema_url, attributes)
    }

    pub(crate) fn encode(name: &str, version: &str, schema_url: &str, attributes: &[impl Attribute]) -> Self {
        let mut encoded = Vec::new();
        if !name.is_empty() {
            len_delimited(&mut encoded, scope::NAME, name.as_bytes());
        }
        if !version.is_empty() {
            len_delimited(&mut encoded, scope::VERSION, version.as_bytes());
        }
        write_unique(&mut encoded, scope::ATTRIBUTES, attributes);
        Self { encoded: encoded.into(), schema_url: schema_url.into() }
    }

    /// The scope, read back.
    pub fn view(&self) -> view::Scope<'_> {
        view::Scope::new(&self.encoded)
    }

    /// The encoded `InstrumentationScope` message.
    pub fn encoded(&self) -> &[u8] {
        &self.encoded
    }

    /// Where the spans' attribute names are defined, `""` when not said.
    pub fn schema_url(&self) -> &str {
        &self.schema_url
    }
}
