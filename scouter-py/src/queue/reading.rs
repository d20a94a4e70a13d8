//! From what a Python program hands in to the record that its profile is asked about.
//!
//! Nothing here raises for what a record holds: what cannot be read is said, and the record counts as rejected.

use std::collections::BTreeMap;

use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyString};
use pyo3::{PyTypeInfo, intern};
use scouter::queue::{EvalRecord, Feature, FeatureValue, Features, Kind, Metric, Metrics, Record, Rejected};
use serde_json::Value;

use super::records;
use crate::json::{self, Writer};
use crate::{abc, interrupt, text};

/// The most characters of a context. The profile's own limit, in bytes, is not higher.
const CONTEXT_LENGTH: usize = 512 << 10;

/// What cannot be read, what should stand there, and what does.
pub(super) struct Misfit {
    record: &'static str,
    field: String,
    expected: &'static str,
    got: String,
}

impl Misfit {
    fn new(record: &'static str, field: impl Into<String>, expected: &'static str, got: impl Into<String>) -> Self {
        Self { record, field: field.into(), expected, got: got.into() }
    }

    /// The same in the words of the profile's own checks.
    pub(super) fn rejected(self, alias: &str) -> Rejected {
        let Self { record, field, expected, got } = self;
        Rejected { record: record.to_owned(), profile: alias.to_owned(), field, expected: expected.to_owned(), got }
    }
}

type Read<T> = Result<T, Misfit>;

/// Names and values, in the order in which they were given.
type Entries<'py> = Vec<(Bound<'py, PyAny>, Bound<'py, PyAny>)>;

/// A record, and about how much text it is.
pub(super) struct Taken {
    pub(super) record: Record,
    pub(super) length: usize,
}

impl From<Record> for Taken {
    fn from(record: Record) -> Self {
        Self { record, length: 0 }
    }
}

/// Reads a record. A dict, a model or a dataclass is what the profile's kind takes.
pub(super) fn record(given: &Bound<'_, PyAny>, kind: Kind) -> Read<Taken> {
    let py = given.py();
    if let Ok(features) = given.cast_exact::<records::Features>() {
        let entries = features.get().0.iter().map(|(name, value)| (name.bind(py).clone(), value.bind(py).clone()));
        return features_of(entries);
    }
    if let Ok(metrics) = given.cast_exact::<records::Metrics>() {
        let entries = metrics.get().0.iter().map(|(name, value)| (name.bind(py).clone(), value.bind(py).clone()));
        return metrics_of(entries);
    }
    if let Ok(record) = given.cast_exact::<records::EvalRecord>() {
        return eval_of(py, record.get());
    }
    if let Ok(feature) = given.cast_exact::<records::Feature>() {
        let records::Feature { name, value } = feature.get();
        return features_of([(name.bind(py).clone(), value.bind(py).clone())].into_iter());
    }
    if let Ok(metric) = given.cast_exact::<records::Metric>() {
        let records::Metric { name, value } = metric.get();
        return metrics_of([(name.bind(py).clone(), value.bind(py).clone())].into_iter());
    }
    match kind {
        Kind::Agent => plain_context(given),
        Kind::Custom => several::<records::Metrics>(given, "Metrics", "Metrics, or a dict of names and numbers")
            .and_then(|entries| metrics_of(entries.into_iter())),
        Kind::Spc | Kind::Psi => {
            several::<records::Features>(given, "Features", "Features, or a dict of names and values")
                .and_then(|entries| features_of(entries.into_iter()))
        }
    }
}

/// The names and values of a dict, a model, a dataclass, or a list of single values.
fn several<'py, T: PyTypeInfo>(
    given: &Bound<'py, PyAny>,
    noun: &'static str,
    expected: &'static str,
) -> Read<Entries<'py>> {
    let py = given.py();
    let read = entries(given).and_then(|entries| match entries {
        Some(entries) => Ok(Some(entries)),
        None if abc::is_sequence(given) && !abc::is_text_or_bytes(given) => {
            let many = py.get_type::<T>().call1((given,))?;
            let items = many.try_iter()?.map(|item| {
                let item = item?;
                Ok((item.getattr(intern!(py, "name"))?, item.getattr(intern!(py, "value"))?))
            });
            items.collect::<PyResult<Vec<_>>>().map(Some)
        }
        None => Ok(None),
    });
    let wrong = |got: String| Misfit::new(noun, "record", expected, got);
    match read {
        Ok(Some(entries)) => Ok(entries),
        Ok(None) => Err(wrong(noun_of(given))),
        Err(error) => {
            let said = interrupt::swallow(py, error).map(|error| text::of(error.value(py).as_any()));
            Err(wrong(format!("{} that cannot be read: {}", noun_of(given), said.unwrap_or_default())))
        }
    }
}

/// The names and values of a mapping, a pydantic model, or a dataclass; nothing for anything else.
pub(super) fn entries<'py>(given: &Bound<'py, PyAny>) -> PyResult<Option<Entries<'py>>> {
    let py = given.py();
    if let Ok(entries) = given.cast_exact::<PyDict>() {
        return Ok(Some(entries.iter().collect()));
    }
    if json::is_model(given)? {
        let fields = given.call_method0(intern!(py, "model_dump"))?;
        return Ok(Some(fields.cast::<PyDict>()?.iter().collect()));
    }
    if json::is_dataclass(given)? {
        let fields = given.getattr(intern!(py, "__dataclass_fields__"))?;
        let entry = |name: PyResult<Bound<'py, PyAny>>| {
            let name = name?;
            let value = given.getattr(name.cast::<PyString>()?)?;
            Ok((name, value))
        };
        return fields.try_iter()?.map(entry).collect::<PyResult<Vec<_>>>().map(Some);
    }
    Ok(abc::is_mapping(given).then(|| abc::items(given).collect()))
}

fn features_of<'py>(entries: impl Iterator<Item = (Bound<'py, PyAny>, Bound<'py, PyAny>)>) -> Read<Taken> {
    let mut features = Vec::with_capacity(entries.size_hint().0);
    for (name, value) in entries {
        let name = name_of("Features", "feature", &name)?;
        match feature_value(&value) {
            Some(Some(value)) => features.push(Feature { name, value }),
            // What is not known is not there.
            Some(None) => {}
            None => {
                let field = format!("feature {name:?}");
                return Err(Misfit::new("Features", field, "a number, text or a truth value", noun_of(&value)));
            }
        }
    }
    Ok(Record::Features(Features(features)).into())
}

fn metrics_of<'py>(entries: impl Iterator<Item = (Bound<'py, PyAny>, Bound<'py, PyAny>)>) -> Read<Taken> {
    let mut metrics = Vec::with_capacity(entries.size_hint().0);
    for (name, value) in entries {
        let name = name_of("Metrics", "metric", &name)?;
        let number = match feature_value(&value) {
            Some(None) => continue,
            Some(Some(FeatureValue::Float(number))) => Some(number),
            Some(Some(FeatureValue::Int(number))) => Some(number as f64),
            Some(Some(FeatureValue::Text(_) | FeatureValue::Bool(_))) | None => None,
        };
        let Some(value) = number else {
            return Err(Misfit::new("Metrics", format!("metric {name:?}"), "a number", noun_of(&value)));
        };
        metrics.push(Metric { name, value });
    }
    Ok(Record::Metrics(Metrics(metrics)).into())
}

fn eval_of(py: Python<'_>, given: &records::EvalRecord) -> Read<Taken> {
    let said = |held: &Py<PyAny>| (!held.is_none(py)).then(|| text::of(held.bind(py)));
    let (context, length) = context_of(given.context.bind(py))?;
    let tags = tags_of(given.tags.bind(py))?;
    let record = EvalRecord { context, id: said(&given.id), session_id: said(&given.session_id), tags };
    Ok(Taken { record: Record::Eval(record), length })
}

fn plain_context(given: &Bound<'_, PyAny>) -> Read<Taken> {
    let has_names = || Ok(json::is_model(given)? || json::is_dataclass(given)? || abc::is_mapping(given));
    let is_dict = given.cast_exact::<PyDict>().is_ok();
    if !is_dict && !interrupt::outcome(given.py(), has_names()).unwrap_or(false) {
        return Err(Misfit::new("EvalRecord", "record", "an EvalRecord, or a dict as its context", noun_of(given)));
    }
    let (context, length) = context_of(given)?;
    Ok(Taken { record: Record::Eval(EvalRecord::new(context)), length })
}

/// The context by way of its JSON text, whose writer stops at every cycle, depth and length.
fn context_of(given: &Bound<'_, PyAny>) -> Read<(Value, usize)> {
    let mut writer = Writer::for_otlp(CONTEXT_LENGTH);
    writer.value(given);
    if writer.out.is_full() {
        return Err(Misfit::new("EvalRecord", "context", "at most 524288 characters of JSON", "more"));
    }
    let wrong = |error: serde_json::Error| Misfit::new("EvalRecord", "context", "what JSON can say", error.to_string());
    let text = writer.finish();
    let read = || serde_json::from_str(&text).map(|context| (context, text.len()));
    // Long texts do not keep other threads of the program waiting.
    if text.len() > super::LONG { given.py().detach(read) } else { read() }.map_err(wrong)
}

fn tags_of(given: &Bound<'_, PyAny>) -> Read<BTreeMap<String, String>> {
    if given.is_none() {
        return Ok(BTreeMap::new());
    }
    // A copy, because making text of a value may run code that changes the dict.
    let entries: Entries<'_> = if let Ok(entries) = given.cast_exact::<PyDict>() {
        entries.iter().collect()
    } else if abc::is_mapping(given) {
        abc::items(given).collect()
    } else {
        return Err(Misfit::new("EvalRecord", "tags", "a dict of names and texts", noun_of(given)));
    };
    Ok(entries.iter().map(|(name, value)| (text::of(name), text::of(value))).collect())
}

fn name_of(record: &'static str, noun: &str, name: &Bound<'_, PyAny>) -> Read<String> {
    match name.cast::<PyString>() {
        Ok(text) => Ok(text::lossy(text).into_owned()),
        Err(_) => Err(Misfit::new(record, format!("name of a {noun}"), "text", noun_of(name))),
    }
}

/// The value of a feature; `Some(None)` for `None`, `None` for what is no such value.
fn feature_value(value: &Bound<'_, PyAny>) -> Option<Option<FeatureValue>> {
    // The exact types first: a pointer comparison each.
    if let Ok(number) = value.cast_exact::<PyFloat>() {
        return Some(Some(FeatureValue::Float(number.value())));
    }
    if let Ok(number) = value.cast_exact::<PyInt>() {
        return Some(Some(integer(number)));
    }
    if let Ok(text) = value.cast_exact::<PyString>() {
        return Some(Some(FeatureValue::Text(text::lossy(text).into_owned())));
    }
    if let Ok(truth) = value.cast::<PyBool>() {
        return Some(Some(FeatureValue::Bool(truth.is_true())));
    }
    if value.is_none() {
        return Some(None);
    }
    interrupt::outcome(value.py(), other_value(value)).flatten().map(Some)
}

/// Subclasses, enumerations, numpy's scalars, and whatever else says which number it is.
fn other_value(value: &Bound<'_, PyAny>) -> PyResult<Option<FeatureValue>> {
    let py = value.py();
    if let Some(member) = json::enum_value(value)? {
        return Ok(feature_value(&member).flatten());
    }
    if let Ok(text) = value.cast::<PyString>() {
        return Ok(Some(FeatureValue::Text(text::lossy(text).into_owned())));
    }
    if let Ok(number) = value.cast::<PyFloat>() {
        return Ok(Some(FeatureValue::Float(number.value())));
    }
    if let Ok(number) = value.cast::<PyInt>() {
        return Ok(Some(integer(number)));
    }
    if json::is_numpy(value)? {
        // A scalar, or an array that stands for one.
        let is_scalar = value.getattr_opt(intern!(py, "shape"))?.is_some_and(|shape| shape.len().is_ok_and(|n| n == 0));
        let plain = if is_scalar { value.call_method0(intern!(py, "item"))? } else { value.clone() };
        return Ok(if plain.get_type().is(value.get_type()) { None } else { feature_value(&plain).flatten() });
    }
    if value.get_type().hasattr(intern!(py, "__index__"))? {
        return Ok(value.call_method0(intern!(py, "__index__"))?.cast::<PyInt>().ok().map(integer));
    }
    if value.get_type().hasattr(intern!(py, "__float__"))? {
        return Ok(Some(FeatureValue::Float(value.call_method0(intern!(py, "__float__"))?.extract()?)));
    }
    Ok(None)
}

/// One beyond 64 bits is not exact any more.
fn integer(number: &Bound<'_, PyInt>) -> FeatureValue {
    match number.extract::<i64>() {
        Ok(number) => FeatureValue::Int(number),
        Err(_) => FeatureValue::Float(number.extract().unwrap_or(f64::INFINITY)),
    }
}

/// The value as an `int`, if it is a whole number.
pub(super) fn whole<'py>(value: &Bound<'py, PyAny>) -> Option<Bound<'py, PyAny>> {
    let py = value.py();
    match feature_value(value).flatten()? {
        FeatureValue::Int(number) => number.into_pyobject(py).ok().map(Bound::into_any),
        // 2 to the power of 53: from there on floats leave whole numbers out.
        FeatureValue::Float(number) if number.fract() == 0.0 && number.abs() <= 9_007_199_254_740_992.0 => {
            (number as i64).into_pyobject(py).ok().map(Bound::into_any)
        }
        FeatureValue::Float(_) | FeatureValue::Text(_) | FeatureValue::Bool(_) => None,
    }
}

/// The value as a `float`, if it is a number.
pub(super) fn float<'py>(value: &Bound<'py, PyAny>) -> Option<Bound<'py, PyAny>> {
    let py = value.py();
    match feature_value(value).flatten()? {
        FeatureValue::Int(number) => Some(PyFloat::new(py, number as f64).into_any()),
        FeatureValue::Float(number) => Some(PyFloat::new(py, number).into_any()),
        FeatureValue::Text(_) | FeatureValue::Bool(_) => None,
    }
}

fn noun_of(value: &Bound<'_, PyAny>) -> String {
    if value.is_none() { "nothing".to_owned() } else { format!("a value of type {}", text::type_name(value)) }
}
