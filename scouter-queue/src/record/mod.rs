//! Records as a program hands them in.

mod fit;

use std::collections::BTreeMap;

use serde_json::Value;

pub use fit::Rejected;
pub(crate) use fit::{Fit, Seen};

/// One record of any kind.
#[derive(Clone, Debug, PartialEq)]
pub enum Record {
    /// For `agent` profiles.
    Eval(EvalRecord),
    /// For `spc` and `psi` profiles.
    Features(Features),
    /// For `custom` profiles.
    Metrics(Metrics),
}

/// What is to be evaluated.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EvalRecord {
    /// What the tasks of the profile look at: an object.
    pub context: Value,
    /// The record's own id, at most 4096 bytes.
    pub id: Option<String>,
    /// The session it belongs to, at most 4096 bytes.
    pub session_id: Option<String>,
    /// Names with values to search by: at most 128, names of 1 to 256 bytes, values of at most 4096.
    pub tags: BTreeMap<String, String>,
}

/// The features of one prediction.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Features(pub Vec<Feature>);

/// A named value.
#[derive(Clone, Debug, PartialEq)]
pub struct Feature {
    /// Its name in the profile.
    pub name: String,
    /// Its value.
    pub value: FeatureValue,
}

/// The value of a feature.
#[derive(Clone, Debug, PartialEq)]
pub enum FeatureValue {
    /// A whole number.
    Int(i64),
    /// A number; finite.
    Float(f64),
    /// Text.
    Text(String),
    /// True or false.
    Bool(bool),
}

/// Metrics of one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Metrics(pub Vec<Metric>);

/// A named number.
#[derive(Clone, Debug, PartialEq)]
pub struct Metric {
    /// Its name in the profile.
    pub name: String,
    /// Its value; finite.
    pub value: f64,
}

impl Record {
    /// What it is called in messages.
    pub const fn noun(&self) -> &'static str {
        match self {
            Self::Eval(_) => "EvalRecord",
            Self::Features(_) => "Features",
            Self::Metrics(_) => "Metrics",
        }
    }

    /// The id that the program gave it.
    pub fn id(&self) -> Option<&str> {
        match self {
            Self::Eval(record) => record.id.as_deref(),
            Self::Features(_) | Self::Metrics(_) => None,
        }
    }
}

impl EvalRecord {
    /// A record with this context and nothing else.
    pub fn new(context: Value) -> Self {
        Self { context, ..Self::default() }
    }
}

impl Feature {
    /// A feature with this value.
    pub fn new(name: impl Into<String>, value: impl Into<FeatureValue>) -> Self {
        Self { name: name.into(), value: value.into() }
    }
}

impl FeatureValue {
    /// What it is, as profiles call it.
    pub const fn type_name(&self) -> &'static str {
        match self {
            Self::Int(_) => "int",
            Self::Float(_) => "float",
            Self::Text(_) => "text",
            Self::Bool(_) => "bool",
        }
    }
}

impl Metric {
    /// A metric with this value.
    pub fn new(name: impl Into<String>, value: f64) -> Self {
        Self { name: name.into(), value }
    }
}

impl FromIterator<Feature> for Features {
    fn from_iter<I: IntoIterator<Item = Feature>>(features: I) -> Self {
        Self(features.into_iter().collect())
    }
}

impl FromIterator<Metric> for Metrics {
    fn from_iter<I: IntoIterator<Item = Metric>>(metrics: I) -> Self {
        Self(metrics.into_iter().collect())
    }
}

macro_rules! from {
    ($($from:ty => $into:ident::$variant:ident),* $(,)?) => {$(
        impl From<$from> for $into {
            fn from(value: $from) -> Self {
                Self::$variant(value.into())
            }
        }
    )*};
}

from!(i64 => FeatureValue::Int, i32 => FeatureValue::Int, f64 => FeatureValue::Float, String => FeatureValue::Text,
    &str => FeatureValue::Text, bool => FeatureValue::Bool,
    EvalRecord => Record::Eval, Features => Record::Features, Metrics => Record::Metrics);
