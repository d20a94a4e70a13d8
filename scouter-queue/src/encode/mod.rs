//! A record as an OTLP `LogRecord` (`logs.proto`), an element of `ScopeLogs.log_records`.

mod uid;

use scouter_span::view::Severity;
use scouter_span::wire::field::{any_value, key_value, list, log_record, scope_logs};
use scouter_span::wire::{fixed32, fixed64, len_delimited, nested, uint, write_attribute, write_value};
use scouter_span::{SpanContext, Value};
use serde_json::Value as Json;

use crate::attribute;
use crate::profile::{Kind, Profile};
use crate::record::{EvalRecord, FeatureValue, Record};

pub(crate) use uid::Uid;

/// Records are checked before, so nothing is cut here.
const WHOLE: usize = usize::MAX;

/// What all records of a profile have in common, encoded once.
#[derive(Debug)]
pub(crate) struct Head {
    attributes: Vec<u8>,
    event_name: &'static str,
}

impl Head {
    pub(crate) fn new(alias: &str, profile: &Profile) -> Self {
        let (entity, kind): (_, Kind) = (profile.entity(), profile.kind());
        let mut attributes = Vec::new();
        for (key, text) in [
            (attribute::ENTITY, &*entity.uid),
            (attribute::SPACE, &*entity.space),
            (attribute::NAME, &*entity.name),
            (attribute::VERSION, &*entity.version),
            (attribute::ALIAS, alias),
        ] {
            write_attribute(&mut attributes, log_record::ATTRIBUTES, key, Value::Str(text), WHOLE);
        }
        Self { attributes, event_name: kind.event_name() }
    }

    /// Appends the record. The ids come first, so that the trace is found without reading on.
    ///
    /// Severity is INFO: the logs data model has it for events that are no errors ("SeverityNumber", "Event").
    pub(crate) fn write(&self, out: &mut Vec<u8>, record: &Record, span: Option<&SpanContext>, uid: &Uid, now: u64) {
        nested(out, scope_logs::LOG_RECORDS, |out| {
            if let Some(span) = span {
                len_delimited(out, log_record::TRACE_ID, &span.trace_id.to_bytes());
                len_delimited(out, log_record::SPAN_ID, &span.span_id.to_bytes());
                fixed32(out, log_record::FLAGS, u32::from(span.flags.bits()));
            }
            fixed64(out, log_record::TIME, now);
            fixed64(out, log_record::OBSERVED_TIME, now);
            uint(out, log_record::SEVERITY_NUMBER, Severity::INFO.0 as u64);
            len_delimited(out, log_record::EVENT_NAME, self.event_name.as_bytes());
            out.extend_from_slice(&self.attributes);
            write_attribute(out, log_record::ATTRIBUTES, attribute::UID, Value::Str(uid.as_str()), WHOLE);
            if let Record::Eval(record) = record {
                eval_attributes(out, record);
            }
            nested(out, log_record::BODY, |out| body(out, record));
        });
    }
}

fn eval_attributes(out: &mut Vec<u8>, record: &EvalRecord) {
    let ids = [(attribute::RECORD_ID, &record.id), (attribute::SESSION_ID, &record.session_id)];
    for (key, id) in ids {
        if let Some(id) = id {
            write_attribute(out, log_record::ATTRIBUTES, key, Value::Str(id), WHOLE);
        }
    }
    let mut key = String::from(attribute::TAG_PREFIX);
    for (name, value) in &record.tags {
        key.truncate(attribute::TAG_PREFIX.len());
        key.push_str(name);
        write_attribute(out, log_record::ATTRIBUTES, &key, Value::Str(value), WHOLE);
    }
}

fn body(out: &mut Vec<u8>, record: &Record) {
    match record {
        Record::Eval(record) => json(out, &record.context),
        Record::Features(features) => nested(out, any_value::KVLIST, |out| {
            for feature in &features.0 {
                let value = match &feature.value {
                    FeatureValue::Int(value) => Value::I64(*value),
                    FeatureValue::Float(value) => Value::F64(*value),
                    FeatureValue::Text(text) => Value::Str(text),
                    FeatureValue::Bool(value) => Value::Bool(*value),
                };
                write_attribute(out, list::VALUES, &feature.name, value, WHOLE);
            }
        }),
        Record::Metrics(metrics) => nested(out, any_value::KVLIST, |out| {
            for metric in &metrics.0 {
                write_attribute(out, list::VALUES, &metric.name, Value::F64(metric.value), WHOLE);
            }
        }),
    }
}

/// The content of an `AnyValue`. A whole number beyond 64 signed bits travels as its decimal digits ("Mapping Arbitrary Data
/// to OTLP AnyValue", "Integer Values").
fn json(out: &mut Vec<u8>, value: &Json) {
    match value {
        Json::Null => {}
        Json::Bool(value) => write_value(out, Value::Bool(*value), WHOLE),
        Json::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(value), _) => write_value(out, Value::I64(value), WHOLE),
            (None, Some(value)) => write_value(out, Value::Str(&value.to_string()), WHOLE),
            (None, None) => write_value(out, Value::F64(number.as_f64().unwrap_or_default()), WHOLE),
        },
        Json::String(text) => write_value(out, Value::Str(text), WHOLE),
        Json::Array(values) => nested(out, any_value::ARRAY, |out| {
            for value in values {
                nested(out, list::VALUES, |out| json(out, value));
            }
        }),
        Json::Object(entries) => nested(out, any_value::KVLIST, |out| {
            for (key, value) in entries {
                nested(out, list::VALUES, |out| {
                    len_delimited(out, key_value::KEY, key.as_bytes());
                    nested(out, key_value::VALUE, |out| json(out, value));
                });
            }
        }),
    }
}
