//! The messages of OTLP that travel as requests, as far as JSON needs to know them (`opentelemetry/proto/*.proto`).

/// A message and its fields.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) fields: &'static [Field],
    /// Whether all fields are one `oneof`, of which the last one counts, and is written even if it is zero or empty.
    pub(super) is_choice: bool,
}

/// One field.
#[derive(Debug)]
pub(super) struct Field {
    pub(super) number: u64,
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    /// Whether it is written even if it is empty, as some readers demand.
    pub(super) is_required: bool,
}

/// What a field holds, and how JSON writes it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    /// An object, or a list of objects.
    One(&'static Message),
    Many(&'static Message),
    Text,
    /// Bytes in hexadecimal digits.
    Id,
    /// Bytes in base64.
    Bytes,
    Bool,
    /// `int32`, `uint32`, enums: a number.
    Int32,
    /// `fixed32`: a number.
    Fixed32,
    /// `int64`: a string.
    Int64,
    /// `fixed64`: a string.
    Fixed64,
    Double,
}

const fn message(fields: &'static [Field]) -> Message {
    Message { fields, is_choice: false }
}

const fn field(number: u64, name: &'static str, kind: Kind) -> Field {
    Field { number, name, kind, is_required: false }
}

const fn required(number: u64, name: &'static str, kind: Kind) -> Field {
    Field { number, name, kind, is_required: true }
}

pub(super) static TRACES: Message = message(&[field(1, "resourceSpans", Kind::Many(&RESOURCE_SPANS))]);

static RESOURCE_SPANS: Message = message(&[
    field(1, "resource", Kind::One(&RESOURCE)),
    field(2, "scopeSpans", Kind::Many(&SCOPE_SPANS)),
    field(3, "schemaUrl", Kind::Text),
]);

static SCOPE_SPANS: Message = message(&[
    field(1, "scope", Kind::One(&SCOPE)),
    field(2, "spans", Kind::Many(&SPAN)),
    field(3, "schemaUrl", Kind::Text),
]);

static SPAN: Message = message(&[
    field(1, "traceId", Kind::Id),
    field(2, "spanId", Kind::Id),
    field(3, "traceState", Kind::Text),
    field(4, "parentSpanId", Kind::Id),
    field(16, "flags", Kind::Fixed32),
    field(5, "name", Kind::Text),
    field(6, "kind", Kind::Int32),
    field(7, "startTimeUnixNano", Kind::Fixed64),
    field(8, "endTimeUnixNano", Kind::Fixed64),
    field(9, "attributes", Kind::Many(&KEY_VALUE)),
    field(10, "droppedAttributesCount", Kind::Int32),
    field(11, "events", Kind::Many(&EVENT)),
    field(12, "droppedEventsCount", Kind::Int32),
    field(13, "links", Kind::Many(&LINK)),
    field(14, "droppedLinksCount", Kind::Int32),
    field(15, "status", Kind::One(&STATUS)),
]);

static EVENT: Message = message(&[
    field(1, "timeUnixNano", Kind::Fixed64),
    field(2, "name", Kind::Text),
    field(3, "attributes", Kind::Many(&KEY_VALUE)),
    field(4, "droppedAttributesCount", Kind::Int32),
]);

static LINK: Message = message(&[
    field(1, "traceId", Kind::Id),
    field(2, "spanId", Kind::Id),
    field(3, "traceState", Kind::Text),
    field(4, "attributes", Kind::Many(&KEY_VALUE)),
    field(5, "droppedAttributesCount", Kind::Int32),
    field(6, "flags", Kind::Fixed32),
]);

static STATUS: Message = message(&[field(2, "message", Kind::Text), field(3, "code", Kind::Int32)]);

pub(super) static LOGS: Message = message(&[field(1, "resourceLogs", Kind::Many(&RESOURCE_LOGS))]);

static RESOURCE_LOGS: Message = message(&[
    field(1, "resource", Kind::One(&RESOURCE)),
    field(2, "scopeLogs", Kind::Many(&SCOPE_LOGS)),
    field(3, "schemaUrl", Kind::Text),
]);

static SCOPE_LOGS: Message = message(&[
    field(1, "scope", Kind::One(&SCOPE)),
    field(2, "logRecords", Kind::Many(&LOG_RECORD)),
    field(3, "schemaUrl", Kind::Text),
]);

static LOG_RECORD: Message = message(&[
    field(1, "timeUnixNano", Kind::Fixed64),
    field(11, "observedTimeUnixNano", Kind::Fixed64),
    field(2, "severityNumber", Kind::Int32),
    field(3, "severityText", Kind::Text),
    field(5, "body", Kind::One(&ANY_VALUE)),
    field(6, "attributes", Kind::Many(&KEY_VALUE)),
    field(7, "droppedAttributesCount", Kind::Int32),
    field(8, "flags", Kind::Fixed32),
    field(9, "traceId", Kind::Id),
    field(10, "spanId", Kind::Id),
    field(12, "eventName", Kind::Text),
]);

/// Without the references to entities, which are in development and which nothing here writes.
static RESOURCE: Message =
    message(&[field(1, "attributes", Kind::Many(&KEY_VALUE)), field(2, "droppedAttributesCount", Kind::Int32)]);

static SCOPE: Message = message(&[
    field(1, "name", Kind::Text),
    field(2, "version", Kind::Text),
    field(3, "attributes", Kind::Many(&KEY_VALUE)),
    field(4, "droppedAttributesCount", Kind::Int32),
]);

static KEY_VALUE: Message = message(&[required(1, "key", Kind::Text), field(2, "value", Kind::One(&ANY_VALUE))]);

static ANY_VALUE: Message = Message {
    fields: &[
        field(1, "stringValue", Kind::Text),
        field(2, "boolValue", Kind::Bool),
        field(3, "intValue", Kind::Int64),
        field(4, "doubleValue", Kind::Double),
        field(5, "arrayValue", Kind::One(&ARRAY_VALUE)),
        field(6, "kvlistValue", Kind::One(&KEY_VALUE_LIST)),
        field(7, "bytesValue", Kind::Bytes),
    ],
    is_choice: true,
};

static ARRAY_VALUE: Message = message(&[required(1, "values", Kind::Many(&ANY_VALUE))]);

static KEY_VALUE_LIST: Message = message(&[required(1, "values", Kind::Many(&KEY_VALUE))]);
