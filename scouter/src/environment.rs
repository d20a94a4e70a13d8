//! The environment, as OpenTelemetry's "Environment Variable Specification" reads it.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use percent_encoding::percent_decode_str;

use crate::attribute::{Attribute, Attributes};

/// Variables by name. Empty ones count as unset, as the specification asks.
#[derive(Clone, Default)]
pub struct Environment(HashMap<String, String>);

impl Environment {
    /// The variables of this process that concern tracing.
    #[expect(clippy::disallowed_methods, reason = "this is the place that reads the environment")]
    pub fn process() -> Self {
        let text = |text: std::ffi::OsString| text.to_string_lossy().into_owned();
        let ours = |name: &str| name.starts_with("OTEL_") || name.starts_with("SCOUTER_");
        let all = std::env::vars_os().map(|(name, value)| (text(name), text(value)));
        Self::from_iter(all.filter(|(name, _)| ours(name)))
    }

    /// The same without these variables: what code says is not read from the environment at all, so that a variable that
    /// cannot work does not matter then.
    #[must_use]
    pub fn without(mut self, names: &[&str]) -> Self {
        self.0.retain(|name, _| !names.contains(&name.as_str()));
        self
    }

    /// The value, if there is one.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|value| value.trim()).filter(|value| !value.is_empty())
    }

    /// The first of these names that has a value, with its name.
    pub(crate) fn first<'a>(&'a self, names: &[&'a str]) -> Option<(&'a str, &'a str)> {
        names.iter().find_map(|name| Some((*name, self.get(name)?)))
    }

    /// Whether it is `true`; anything else is not.
    pub(crate) fn is_true(&self, name: &str) -> bool {
        self.get(name).is_some_and(|value| value.eq_ignore_ascii_case("true"))
    }

    /// A number; what is none is handed to `complain`.
    pub(crate) fn number<T: std::str::FromStr>(&self, name: &str, complain: &mut Vec<String>) -> Option<T> {
        let value = self.get(name)?;
        let number = value.parse().ok();
        if number.is_none() {
            complain.push(format!("{name} is a number, not {value:?}; it was ignored"));
        }
        number
    }

    /// A number of milliseconds.
    pub(crate) fn milliseconds(&self, name: &str, complain: &mut Vec<String>) -> Option<Duration> {
        self.number(name, complain).map(Duration::from_millis)
    }

    /// `key=value,key=value` with percent-encoded values, as W3C Baggage without properties. One bad member discards all,
    /// as the resource specification asks.
    pub(crate) fn pairs(&self, name: &str, complain: &mut Vec<String>) -> Vec<(String, String)> {
        let Some(value) = self.get(name) else { return Vec::new() };
        let pair = |member: &str| {
            let (key, value) = member.split_once('=')?;
            let decode = |text: &str| Some(percent_decode_str(text.trim()).decode_utf8().ok()?.into_owned());
            Some((decode(key)?, decode(value)?)).filter(|(key, _)| !key.is_empty())
        };
        let members = value.split(',').filter(|member| !member.trim().is_empty());
        members.map(pair).collect::<Option<Vec<_>>>().unwrap_or_else(|| {
            complain.push(format!(
                "{name} is not of the form key=value,key=value with percent-encoded values; it was ignored"
            ));
            Vec::new()
        })
    }

    pub(crate) fn attributes(&self, name: &str, complain: &mut Vec<String>) -> Attributes {
        self.pairs(name, complain).into_iter().map(|(key, value)| (key, Attribute::Str(value))).collect()
    }
}

impl FromIterator<(String, String)> for Environment {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(variables: I) -> Self {
        Self(variables.into_iter().collect())
    }
}

/// The names only: headers and tokens are values.
impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(variables: &[(&str, &str)]) -> Environment {
        variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn empty_is_unset_and_names_only_are_shown() {
        let environment = environment(&[("OTEL_A", " "), ("OTEL_B", "secret")]);
        assert_eq!(environment.get("OTEL_A"), None);
        assert!(!format!("{environment:?}").contains("secret"));
    }

    #[test]
    fn pairs_are_decoded_and_bad_ones_discard_all() {
        let environment = environment(&[("A", "k=v%20w, l=1,"), ("B", "k=v,nonsense"), ("C", "k=%ff")]);
        let mut said = Vec::new();
        let pairs = environment.pairs("A", &mut said);
        assert_eq!(pairs, [("k".to_owned(), "v w".to_owned()), ("l".to_owned(), "1".to_owned())]);
        assert!(said.is_empty());
        assert!(environment.pairs("B", &mut said).is_empty());
        assert!(environment.pairs("C", &mut said).is_empty());
        assert_eq!(said.len(), 2);
    }

    #[test]
    fn what_is_no_number_is_named() {
        let mut said = Vec::new();
        assert_eq!(environment(&[("N", "12")]).number("N", &mut said), Some(12));
        assert_eq!(environment(&[("N", "x")]).number::<u32>("N", &mut said), None);
        assert_eq!(said, ["N is a number, not \"x\"; it was ignored"]);
    }
}
