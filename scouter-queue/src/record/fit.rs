//! Whether a record fits its profile. What a record comes to in bytes is bounded here, before anything is encoded.

use std::collections::HashMap;

use serde_json::Value;

use super::{EvalRecord, Feature, FeatureValue, Features, Metric, Metrics, Record};
use crate::profile::{Content, FeatureType, Profile};

/// The most bytes of a record. Brokers take messages of a megabyte by default, with what surrounds the record.
pub(crate) const MAX_RECORD: usize = 512 << 10;
/// The deepest nesting of a context. Readers of OTLP stop at about 100 messages, and a level takes three.
const MAX_DEPTH: usize = 24;
/// The most bytes of an id, a session's id, or the value of a tag.
const MAX_TEXT: usize = 4096;
/// The most bytes of a tag's name.
const MAX_TAG: usize = 256;
/// The most tags.
const MAX_TAGS: usize = 128;
/// More than what surrounds a value: tags and lengths of it, of its entry and of its key.
const AROUND: usize = 24;
/// How many characters of a value are shown.
const SHOWN: usize = 64;

/// Why a record does not fit its profile.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{record} does not fit the profile {profile:?}: {field}: expected {expected}, got {got}")]
pub struct Rejected {
    /// What the record is, and its id if it has one.
    pub record: String,
    /// The alias of the profile.
    pub profile: String,
    /// The part that does not fit.
    pub field: String,
    /// What the profile expects there.
    pub expected: String,
    /// What is there.
    pub got: String,
}

/// What records of a profile have to be.
#[derive(Debug)]
pub(crate) enum Fit {
    Features(Names<FeatureFit>),
    Metrics(Names<()>),
    Context,
}

#[derive(Debug)]
pub(crate) struct FeatureFit {
    r#type: FeatureType,
    required: bool,
}

/// Names in the order of the profile, and where to find them.
#[derive(Debug)]
pub(crate) struct Names<T> {
    all: Vec<(String, T)>,
    places: HashMap<String, usize>,
}

/// Which names of a profile a record has. Kept from record to record, so that it is not allocated for each.
#[derive(Debug, Default)]
pub(crate) struct Seen(Vec<bool>);

/// A part that does not fit: the field, what was expected, what is there.
struct Misfit(String, String, String);

type Result = std::result::Result<(), Misfit>;

impl Fit {
    pub(crate) fn of(profile: &Profile) -> Self {
        match profile.content() {
            Content::Spc(specs) | Content::Psi(specs) => Self::Features(Names::new(
                specs
                    .iter()
                    .map(|spec| (spec.name.clone(), FeatureFit { r#type: spec.r#type, required: spec.required })),
            )),
            Content::Custom(specs) => Self::Metrics(Names::new(specs.iter().map(|spec| (spec.name.clone(), ())))),
            Content::Agent(_) => Self::Context,
        }
    }

    /// Whether the record fits. One that does has at most [`MAX_RECORD`] bytes of its own when it is encoded.
    pub(crate) fn check(&self, alias: &str, record: &Record, seen: &mut Seen) -> std::result::Result<(), Rejected> {
        let fits = match (self, record) {
            (Self::Features(names), Record::Features(record)) => features(names, record, seen),
            (Self::Metrics(names), Record::Metrics(record)) => metrics(names, record, seen),
            (Self::Context, Record::Eval(record)) => eval(record),
            (Self::Features(_), _) => Err(misfit("record", "Features", record.noun())),
            (Self::Metrics(_), _) => Err(misfit("record", "Metrics", record.noun())),
            (Self::Context, _) => Err(misfit("record", "an EvalRecord", record.noun())),
        };
        fits.map_err(|Misfit(field, expected, got)| Rejected {
            record: match record.id() {
                Some(id) => format!("{} {}", record.noun(), quoted(id)),
                None => record.noun().to_owned(),
            },
            profile: alias.to_owned(),
            field,
            expected,
            got,
        })
    }
}

impl<T> Names<T> {
    fn new(all: impl Iterator<Item = (String, T)>) -> Self {
        let all: Vec<_> = all.collect();
        let places = all.iter().enumerate().map(|(at, (name, _))| (name.clone(), at)).collect();
        Self { all, places }
    }

    /// Where the name stands. Most records have the order of their profile.
    fn find(&self, name: &str, guess: usize) -> Option<usize> {
        match self.all.get(guess) {
            Some((known, _)) if known == name => Some(guess),
            _ => self.places.get(name).copied(),
        }
    }

    /// What the profile says about the name, which a record has once.
    fn take(&self, what: &str, name: &str, guess: usize, seen: &mut Seen) -> std::result::Result<&T, Misfit> {
        let Some(at) = self.find(name, guess) else {
            let known: Vec<_> = self.all.iter().take(8).map(|(name, _)| name.as_str()).collect();
            let more = if self.all.len() > known.len() { ", …" } else { "" };
            let expected = format!("one of the {what}s of the profile ({}{more})", known.join(", "));
            return Err(misfit(&format!("{what} {}", quoted(name)), &expected, "a name that is not among them"));
        };
        if std::mem::replace(&mut seen.0[at], true) {
            return Err(misfit(&format!("{what} {name:?}"), "one value", "two"));
        }
        Ok(&self.all[at].1)
    }
}

impl Seen {
    fn begin(&mut self, names: usize) {
        self.0.clear();
        self.0.resize(names, false);
    }
}

fn features(names: &Names<FeatureFit>, Features(features): &Features, seen: &mut Seen) -> Result {
    seen.begin(names.all.len());
    let mut size = 0;
    for (number, Feature { name, value }) in features.iter().enumerate() {
        let fit = names.take("feature", name, number, seen)?;
        let whole = match (value, fit.r#type) {
            (FeatureValue::Int(_), FeatureType::Int | FeatureType::Float)
            | (FeatureValue::Text(_), FeatureType::Text)
            | (FeatureValue::Bool(_), FeatureType::Bool) => true,
            (FeatureValue::Float(value), FeatureType::Float) => value.is_finite(),
            _ => false,
        };
        if !whole {
            let got = match value {
                FeatureValue::Int(value) => value.to_string(),
                FeatureValue::Float(value) => format!("{value:?}"),
                FeatureValue::Text(text) => quoted(text),
                FeatureValue::Bool(value) => value.to_string(),
            };
            let got = format!("{} {got}", value.type_name());
            let expected = match fit.r#type {
                FeatureType::Float => "float, finite",
                other => other.name(),
            };
            return Err(misfit(&format!("feature {name:?}"), expected, &got));
        }
        let length = if let FeatureValue::Text(text) = value { text.len() } else { 0 };
        size = fits(size, name.len() + length + AROUND)?;
    }
    match names.all.iter().zip(&seen.0).find(|((_, fit), seen)| fit.required && !**seen) {
        Some(((name, fit), _)) => Err(misfit(&format!("feature {name:?}"), fit.r#type.name(), "nothing")),
        None => Ok(()),
    }
}

fn metrics(names: &Names<()>, Metrics(metrics): &Metrics, seen: &mut Seen) -> Result {
    seen.begin(names.all.len());
    // Programs learn their metrics at different times, so a record may have some of them only.
    if metrics.is_empty() {
        return Err(misfit("metrics", "at least one", "none"));
    }
    let mut size = 0;
    for (number, Metric { name, value }) in metrics.iter().enumerate() {
        names.take("metric", name, number, seen)?;
        if !value.is_finite() {
            return Err(misfit(&format!("metric {name:?}"), "a finite number", &value.to_string()));
        }
        size = fits(size, name.len() + AROUND)?;
    }
    Ok(())
}

fn eval(record: &EvalRecord) -> Result {
    let EvalRecord { context, id, session_id, tags } = record;
    for (what, text) in [("id", id), ("session_id", session_id)] {
        short(what, text.as_deref().unwrap_or_default(), MAX_TEXT)?;
    }
    if tags.len() > MAX_TAGS {
        return Err(misfit("tags", &format!("at most {MAX_TAGS}"), &tags.len().to_string()));
    }
    let mut size = 0;
    for (name, value) in tags {
        if name.is_empty() {
            return Err(misfit("tags", "names", "an empty name"));
        }
        short("name of a tag", name, MAX_TAG)?;
        short(&format!("tag {name:?}"), value, MAX_TEXT)?;
        size = fits(size, name.len() + value.len() + 2 * AROUND)?;
    }
    match context {
        Value::Object(_) => measure(context, MAX_DEPTH, size).map(|_| ()),
        other => Err(misfit("context", "an object", noun(other))),
    }
}

/// The size after this value, which is at least what it comes to encoded.
fn measure(value: &Value, levels: usize, mut size: usize) -> std::result::Result<usize, Misfit> {
    size = fits(size, AROUND)?;
    if levels == 0 && matches!(value, Value::Array(_) | Value::Object(_)) {
        return Err(misfit("context", &format!("at most {MAX_DEPTH} levels"), "more, flatten it"));
    }
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => Ok(size),
        Value::String(text) => fits(size, text.len()),
        Value::Array(values) => values.iter().try_fold(size, |size, value| measure(value, levels - 1, size)),
        Value::Object(entries) => entries
            .iter()
            .try_fold(size, |size, (key, value)| measure(value, levels - 1, fits(size, key.len() + AROUND)?)),
    }
}

/// The sum, if a record may have as many bytes.
fn fits(size: usize, more: usize) -> std::result::Result<usize, Misfit> {
    let size = size + more;
    if size <= MAX_RECORD {
        return Ok(size);
    }
    Err(misfit("record", &format!("at most {MAX_RECORD} bytes"), "more"))
}

fn short(field: &str, text: &str, most: usize) -> Result {
    if text.len() <= most {
        return Ok(());
    }
    Err(misfit(field, &format!("at most {most} bytes"), &text.len().to_string()))
}

fn misfit(field: &str, expected: &str, got: &str) -> Misfit {
    Misfit(field.to_owned(), expected.to_owned(), got.to_owned())
}

fn noun(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "a truth value",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

fn quoted(text: &str) -> String {
    let short: String = text.chars().take(SHOWN).collect();
    format!("{short:?}{}", if short.len() < text.len() { "…" } else { "" })
}
