//! Environment variables as carriers, for processes that start each other.
//!
//! Source: OpenTelemetry, "Environment Variables as Context Propagation Carriers".

use std::collections::BTreeMap;

use crate::carrier::{Extractor, Injector};

/// The variables of a process, or those for a process that is about to be started. Whoever makes one reads the environment.
///
/// Headers are found and set under the name that [`variable_name`] gives them: `traceparent` as `TRACEPARENT`. Values are
/// left as they are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Environment(BTreeMap<String, String>);

impl Environment {
    /// No variables.
    pub const fn new() -> Self {
        Self(BTreeMap::new())
    }

    /// Names and values, in order of the names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

/// The name of the variable for a header: ASCII letters in upper case, `_` for everything that is not a letter, a digit or
/// `_`, and `_` in front of a digit (section "Key Name Normalization").
pub fn variable_name(header: &str) -> String {
    let digit = header.starts_with(|first: char| first.is_ascii_digit());
    let mut name = String::with_capacity(header.len() + usize::from(digit));
    if digit {
        name.push('_');
    }
    name.extend(
        header.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter.to_ascii_uppercase() } else { '_' }),
    );
    name
}

impl Extractor for Environment {
    fn get_all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.get(&variable_name(name)).map(String::as_str).into_iter()
    }

    /// Only the names that a header can have.
    fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str).filter(|name| variable_name(name) == *name)
    }
}

impl Injector for Environment {
    fn set(&mut self, name: &str, value: &str) {
        self.0.insert(variable_name(name), value.to_owned());
    }
}

impl<K: Into<String>, V: Into<String>> FromIterator<(K, V)> for Environment {
    fn from_iter<T: IntoIterator<Item = (K, V)>>(variables: T) -> Self {
        Self(variables.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}

impl IntoIterator for Environment {
    type Item = (String, String);
    type IntoIter = std::collections::btree_map::IntoIter<String, String>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_that_every_system_takes() {
        let table = [
            ("traceparent", "TRACEPARENT"),
            ("x-b3-traceid", "X_B3_TRACEID"),
            ("uber-trace-id", "UBER_TRACE_ID"),
            ("a.b c", "A_B_C"),
            ("1a", "_1A"),
            ("é", "_"),
            ("A_9", "A_9"),
            ("", ""),
        ];
        for (header, expected) in table {
            assert_eq!(variable_name(header), expected);
        }
    }

    #[test]
    fn only_the_exact_name_is_read() {
        let environment: Environment =
            [("TRACEPARENT", "1"), ("traceparent", "2"), ("Path", "3")].into_iter().collect();
        assert_eq!(environment.get_all("traceparent").collect::<Vec<_>>(), ["1"]);
        assert_eq!(environment.get_all("path").count(), 0);
        assert_eq!(Extractor::keys(&environment).collect::<Vec<_>>(), ["TRACEPARENT"]);
    }
}
