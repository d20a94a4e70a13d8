//! The messages of OTLP logs as tables.

use scouter_span::wire::field;

use super::schema::Kind::{Enum, Fixed32, Fixed64, Id, Message, Messages, Text, Uint32};
use super::schema::{ANY_VALUE, KEY_VALUE, RESOURCE, SCOPE, Schema, f};

pub(super) static REQUEST: Schema = Schema {
    name: "ExportLogsServiceRequest",
    fields: &[f("resourceLogs", field::logs_request::RESOURCE_LOGS, Messages(&RESOURCE_LOGS))],
};

static RESOURCE_LOGS: Schema = Schema {
    name: "ResourceLogs",
    fields: &[
        f("resource", field::resource_logs::RESOURCE, Message(&RESOURCE)),
        f("scopeLogs", field::resource_logs::SCOPE_LOGS, Messages(&SCOPE_LOGS)),
        f("schemaUrl", field::resource_logs::SCHEMA_URL, Text),
    ],
};

static SCOPE_LOGS: Schema = Schema {
    name: "ScopeLogs",
    fields: &[
        f("scope", field::scope_logs::SCOPE, Message(&SCOPE)),
        f("logRecords", field::scope_logs::LOG_RECORDS, Messages(&LOG_RECORD)),
        f("schemaUrl", field::scope_logs::SCHEMA_URL, Text),
    ],
};

static LOG_RECORD: Schema = Schema {
    name: "LogRecord",
    fields: &[
        f("timeUnixNano", field::log_record::TIME, Fixed64),
        f("observedTimeUnixNano", field::log_record::OBSERVED_TIME, Fixed64),
        f("severityNumber", field::log_record::SEVERITY_NUMBER, Enum),
        f("severityText", field::log_record::SEVERITY_TEXT, Text),
        f("eventName", field::log_record::EVENT_NAME, Text),
        f("body", field::log_record::BODY, Message(&ANY_VALUE)),
        f("attributes", field::log_record::ATTRIBUTES, Messages(&KEY_VALUE)),
        f("droppedAttributesCount", field::log_record::DROPPED_ATTRIBUTES_COUNT, Uint32),
        f("flags", field::log_record::FLAGS, Fixed32),
        f("traceId", field::log_record::TRACE_ID, Id),
        f("spanId", field::log_record::SPAN_ID, Id),
    ],
};
