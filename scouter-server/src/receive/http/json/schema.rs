//! The messages of OTLP traces, and those they share with logs, as tables: JSON name, field number, kind.

use scouter_span::wire::field;

/// A message.
#[derive(Debug)]
pub(super) struct Schema {
    pub(super) name: &'static str,
    pub(super) fields: &'static [Field],
}

/// A field of a message.
#[derive(Debug)]
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) number: u32,
    pub(super) kind: Kind,
}

/// What a field holds.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    Text,
    Bool,
    /// A trace or span id, in hex.
    Id,
    /// Bytes, in base64.
    Bytes,
    /// A number that is an enum's.
    Enum,
    Uint32,
    Int64,
    Double,
    Fixed32,
    /// A time: nanoseconds since the Unix epoch.
    Fixed64,
    Message(&'static Schema),
    Messages(&'static Schema),
}

use Kind::{Bool, Bytes, Double, Enum, Fixed32, Fixed64, Id, Int64, Message, Messages, Text, Uint32};

pub(super) const fn f(name: &'static str, number: u32, kind: Kind) -> Field {
    Field { name, number, kind }
}

pub(super) static REQUEST: Schema = Schema {
    name: "ExportTraceServiceRequest",
    fields: &[f("resourceSpans", field::request::RESOURCE_SPANS, Messages(&RESOURCE_SPANS))],
};

static RESOURCE_SPANS: Schema = Schema {
    name: "ResourceSpans",
    fields: &[
        f("resource", field::resource_spans::RESOURCE, Message(&RESOURCE)),
        f("scopeSpans", field::resource_spans::SCOPE_SPANS, Messages(&SCOPE_SPANS)),
        f("schemaUrl", field::resource_spans::SCHEMA_URL, Text),
    ],
};

pub(super) static RESOURCE: Schema = Schema {
    name: "Resource",
    fields: &[
        f("attributes", field::resource::ATTRIBUTES, Messages(&KEY_VALUE)),
        f("droppedAttributesCount", field::resource::DROPPED_ATTRIBUTES_COUNT, Uint32),
    ],
};

static SCOPE_SPANS: Schema = Schema {
    name: "ScopeSpans",
    fields: &[
        f("scope", field::scope_spans::SCOPE, Message(&SCOPE)),
        f("spans", field::scope_spans::SPANS, Messages(&SPAN)),
        f("schemaUrl", field::scope_spans::SCHEMA_URL, Text),
    ],
};

pub(super) static SCOPE: Schema = Schema {
    name: "InstrumentationScope",
    fields: &[
        f("name", field::scope::NAME, Text),
        f("version", field::scope::VERSION, Text),
        f("attributes", field::scope::ATTRIBUTES, Messages(&KEY_VALUE)),
        f("droppedAttributesCount", field::scope::DROPPED_ATTRIBUTES_COUNT, Uint32),
    ],
};

static SPAN: Schema = Schema {
    name: "Span",
    fields: &[
        f("traceId", field::span::TRACE_ID, Id),
        f("spanId", field::span::SPAN_ID, Id),
        f("traceState", field::span::TRACE_STATE, Text),
        f("parentSpanId", field::span::PARENT_SPAN_ID, Id),
        f("flags", field::span::FLAGS, Fixed32),
        f("name", field::span::NAME, Text),
        f("kind", field::span::KIND, Enum),
        f("startTimeUnixNano", field::span::START_TIME, Fixed64),
        f("endTimeUnixNano", field::span::END_TIME, Fixed64),
        f("attributes", field::span::ATTRIBUTES, Messages(&KEY_VALUE)),
        f("droppedAttributesCount", field::span::DROPPED_ATTRIBUTES_COUNT, Uint32),
        f("events", field::span::EVENTS, Messages(&EVENT)),
        f("droppedEventsCount", field::span::DROPPED_EVENTS_COUNT, Uint32),
        f("links", field::span::LINKS, Messages(&LINK)),
        f("droppedLinksCount", field::span::DROPPED_LINKS_COUNT, Uint32),
        f("status", field::span::STATUS, Message(&STATUS)),
    ],
};

static EVENT: Schema = Schema {
    name: "Span.Event",
    fields: &[
        f("timeUnixNano", field::event::TIME, Fixed64),
        f("name", field::event::NAME, Text),
        f("attributes", field::event::ATTRIBUTES, Messages(&KEY_VALUE)),
        f("droppedAttributesCount", field::event::DROPPED_ATTRIBUTES_COUNT, Uint32),
    ],
};

static LINK: Schema = Schema {
    name: "Span.Link",
    fields: &[
        f("traceId", field::link::TRACE_ID, Id),
        f("spanId", field::link::SPAN_ID, Id),
        f("traceState", field::link::TRACE_STATE, Text),
        f("attributes", field::link::ATTRIBUTES, Messages(&KEY_VALUE)),
        f("droppedAttributesCount", field::link::DROPPED_ATTRIBUTES_COUNT, Uint32),
        f("flags", field::link::FLAGS, Fixed32),
    ],
};

static STATUS: Schema = Schema {
    name: "Status",
    fields: &[f("message", field::status::MESSAGE, Text), f("code", field::status::CODE, Enum)],
};

pub(super) static KEY_VALUE: Schema = Schema {
    name: "KeyValue",
    fields: &[f("key", field::key_value::KEY, Text), f("value", field::key_value::VALUE, Message(&ANY_VALUE))],
};

pub(super) static ANY_VALUE: Schema = Schema {
    name: "AnyValue",
    fields: &[
        f("stringValue", field::any_value::STRING, Text),
        f("boolValue", field::any_value::BOOL, Bool),
        f("intValue", field::any_value::INT, Int64),
        f("doubleValue", field::any_value::DOUBLE, Double),
        f("arrayValue", field::any_value::ARRAY, Message(&ARRAY_VALUE)),
        f("kvlistValue", field::any_value::KVLIST, Message(&KEY_VALUE_LIST)),
        f("bytesValue", field::any_value::BYTES, Bytes),
    ],
};

static ARRAY_VALUE: Schema =
    Schema { name: "ArrayValue", fields: &[f("values", field::list::VALUES, Messages(&ANY_VALUE))] };

static KEY_VALUE_LIST: Schema =
    Schema { name: "KeyValueList", fields: &[f("values", field::list::VALUES, Messages(&KEY_VALUE))] };
