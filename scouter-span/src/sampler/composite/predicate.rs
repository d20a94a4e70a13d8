//! Which spans a rule is for.

use std::fmt;
use std::sync::Arc;

use crate::sampler::SamplingInput;
use crate::value::Value;
use crate::view::SpanKind;

type Test = dyn Fn(&SamplingInput<'_>) -> bool + Send + Sync;

/// A property that spans about to begin have or have not.
#[derive(Clone)]
pub struct Predicate {
    description: Arc<str>,
    test: Arc<Test>,
}

impl Predicate {
    /// What this function says. It must not look at the trace id or at the randomness of the trace.
    pub fn new(description: &str, test: impl Fn(&SamplingInput<'_>) -> bool + Send + Sync + 'static) -> Self {
        Self { description: description.into(), test: Arc::new(test) }
    }

    /// Every span.
    pub fn any() -> Self {
        Self::new("any", |_| true)
    }

    /// Spans without a parent.
    pub fn root() -> Self {
        Self::new("root", |input| input.parent.span.is_none())
    }

    /// Spans below one of another process.
    pub fn remote_parent() -> Self {
        Self::new("remote parent", |input| input.parent.span.is_some_and(|parent| parent.is_remote))
    }

    /// Spans below one of this process.
    pub fn local_parent() -> Self {
        Self::new("local parent", |input| input.parent.span.is_some_and(|parent| !parent.is_remote))
    }

    /// Spans of this kind.
    pub fn kind(kind: SpanKind) -> Self {
        Self::new(kind.name(), move |input| input.kind == kind)
    }

    /// Spans of this name.
    pub fn name(name: &str) -> Self {
        let wanted = name.to_owned();
        Self::new(&format!("name={name}"), move |input| input.name == wanted)
    }

    /// Spans that begin with an attribute of this key whose value, written as text, this function likes. Lists, maps and
    /// bytes are no text.
    pub fn attribute(key: &str, likes: impl Fn(&str) -> bool + Send + Sync + 'static) -> Self {
        let wanted = key.to_owned();
        Self::new(&format!("attribute {key}"), move |input| {
            // Of equal keys the last one counts.
            let found = input.attributes.iter().rev().find(|(key, _)| *key == wanted);
            found.is_some_and(|(_, value)| match value {
                Value::Str(text) => likes(text),
                Value::Bool(value) => likes(&value.to_string()),
                Value::I64(value) => likes(&value.to_string()),
                Value::F64(value) => likes(&value.to_string()),
                Value::Empty | Value::Bytes(_) | Value::Array(_) | Value::Map(_) | Value::Encoded(_) => false,
            })
        })
    }

    /// What has this property and the other one.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let description = format!("{} and {}", self.description, other.description);
        Self::new(&description, move |input| self.matches(input) && other.matches(input))
    }

    /// Whether this span has the property.
    pub fn matches(&self, input: &SamplingInput<'_>) -> bool {
        (self.test)(input)
    }

    /// In words.
    pub fn description(&self) -> &str {
        &self.description
    }
}

impl fmt::Debug for Predicate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Predicate").field(&self.description).finish()
    }
}
