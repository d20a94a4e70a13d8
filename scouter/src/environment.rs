//! The environment, as OpenTelemetry's "Environment Variable Specification" reads it.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use percent_encoding::percent_decode_str;

use scouter_span::OwnedValue;

use crate::attribute::Attributes;

/// The variable that names a configuration file.
const CONFIG_FILE: &str = "OTEL_CONFIG_FILE";

/// Variables by name. Empty ones count as unset, as the specification asks.
#[derive(Clone, Default)]
pub struct Environment(HashMap<String, String>);

impl Environment {
    /// The variables of this process. All of them: a configuration file may refer to any.
    #[expect(clippy::disallowed_methods, reason = "this is the place that reads the environment")]
    pub fn process() -> Self {
        let text = |text: std::ffi::OsString| text.to_string_lossy().into_owned();
        std::env::vars_os().map(|(name, value)| (text(name), text(value))).collect()
    }

    /// The same without these variables: what code says is not read from the environment at all, so that a variable that
    /// cannot work does not matter then.
    #[must_use]
    pub fn without(mut self, names: &[&str]) -> Self {
        self.0.retain(|name, _| !names.contains(&name.as_str()));
        self
    }

    /// The same with this variable: what code says is read as if it stood in the environment.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.0.insert(name.to_owned(), value.into());
        self
    }

    /// The value, if there is one. Where a configuration file is named, the other variables of OpenTelemetry count as
    /// unset (configuration, "Declarative configuration").
    pub fn get(&self, name: &str) -> Option<&str> {
        let is_hidden = name.starts_with("OTEL_") && name != CONFIG_FILE && self.config_file().is_some();
        self.verbatim(name).map(str::trim).filter(|value| !value.is_empty() && !is_hidden)
    }

    /// The configuration file that is to be read.
    pub fn config_file(&self) -> Option<&str> {
        self.verbatim(CONFIG_FILE).map(str::trim).filter(|path| !path.is_empty())
    }

    /// The value as it is, for references in a configuration file.
    pub(crate) fn verbatim(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// The first of these names that has a value, with its name.
    pub(crate) fn first<'a>(&'a self, names: &[&'a str]) -> Option<(&'a str, &'a str)> {
        names.iter().find_map(|name| Some((*name, self.get(name)?)))
    }

    /// Whether it is `true`; anything else is not, and what is not `false` either is handed to `complain`.
    pub(crate) fn is_true(&self, name: &str, complain: &mut Vec<String>) -> bool {
        let Some(value) = self.get(name) else { return false };
        let is_true = value.eq_ignore_ascii_case("true");
        if !is_true && !value.eq_ignore_ascii_case("false") {
            complain.push(format!("{name} is true or false, not {value:?}; false was taken"));
        }
        is_true
    }

    /// The names in a list with commas, each once.
    pub(crate) fn list(&self, name: &str) -> Option<Vec<&str>> {
        Some(names(self.get(name)?))
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

    /// A time limit in milliseconds, of which zero means none.
    pub(crate) fn timeout(&self, name: &str, complain: &mut Vec<String>) -> Option<Duration> {
        self.milliseconds(name, complain).map(timeout)
    }

    /// As [`pairs`].
    pub(crate) fn pairs(&self, name: &str, complain: &mut Vec<String>) -> Vec<(String, String)> {
        self.get(name).map(|text| pairs(name, text, complain)).unwrap_or_default()
    }

    pub(crate) fn attributes(&self, name: &str, complain: &mut Vec<String>) -> Attributes {
        self.pairs(name, complain).into_iter().map(|(key, value)| (key, OwnedValue::Str(value))).collect()
    }
}

/// `key=value,key=value` with percent-encoded values, as W3C Baggage without properties. One bad member discards all, as
/// the resource specification asks. `name` is where the text stands.
pub(crate) fn pairs(name: &str, text: &str, complain: &mut Vec<String>) -> Vec<(String, String)> {
    let pair = |member: &str| {
        let (key, value) = member.split_once('=')?;
        let decode = |text: &str| Some(percent_decode_str(text.trim()).decode_utf8().ok()?.into_owned());
        Some((decode(key)?, decode(value)?)).filter(|(key, _)| !key.is_empty())
    };
    let members = text.split(',').filter(|member| !member.trim().is_empty());
    members.map(pair).collect::<Option<Vec<_>>>().unwrap_or_else(|| {
        let form = "is not of the form key=value,key=value with percent-encoded values; it was ignored";
        complain.push(format!("{name} {form}"));
        Vec::new()
    })
}

/// The names in a list with commas, each once.
pub(crate) fn names(text: &str) -> Vec<&str> {
    let mut names = Vec::new();
    for name in text.split(',').map(str::trim) {
        if !name.is_empty() && !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// A time limit, of which zero means none: then it is longer than anything takes.
pub(crate) const fn timeout(limit: Duration) -> Duration {
    if limit.is_zero() { Duration::from_secs(24 * 60 * 60) } else { limit }
}

impl FromIterator<(String, String)> for Environment {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(variables: I) -> Self {
        Self(variables.into_iter().collect())
    }
}

/// The names of what concerns tracing only: headers and tokens are values.
impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ours = |name: &&String| name.starts_with("OTEL_") || name.starts_with("SCOUTER_");
        f.debug_set().entries(self.0.keys().filter(ours)).finish()
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
