//! One pass over a message that proves every view below it sound.

use crate::wire::field::{
    any_value, entity_ref, event, key_value, link, list, log_record, request, resource, resource_spans, scope,
    scope_spans, span, status,
};
use crate::wire::{Field, FieldValue, Reader, WireError, WireType};

/// Deeper values are refused; the protobuf libraries of most languages stop at 100 messages too.
const DEPTH_LIMIT: u32 = 90;

/// Calls `known` with each field. It says for a field of the schema whether its content is right.
fn message<'a>(bytes: &'a [u8], mut known: impl FnMut(Field<'a>) -> Result<(), WireError>) -> Result<(), WireError> {
    for field in Reader::new(bytes) {
        known(field?)?;
    }
    Ok(())
}

fn expect(name: &'static str, field: Field<'_>, wire_type: WireType) -> Result<(), WireError> {
    if field.value.wire_type() == wire_type {
        return Ok(());
    }
    Err(WireError::WrongType { message: name, field: field.number })
}

fn len<'a>(name: &'static str, field: Field<'a>) -> Result<&'a [u8], WireError> {
    field.value.bytes().ok_or(WireError::WrongType { message: name, field: field.number })
}

fn text(name: &'static str, field: Field<'_>) -> Result<(), WireError> {
    match str::from_utf8(len(name, field)?) {
        Ok(_) => Ok(()),
        Err(_) => Err(WireError::NotUtf8 { message: name, field: field.number }),
    }
}

/// The names of the messages around spans, or around records. Their field numbers are the same.
struct Frame {
    request: &'static str,
    resource: &'static str,
    scope: &'static str,
}

const TRACES: Frame = Frame { request: "ExportTraceServiceRequest", resource: "ResourceSpans", scope: "ScopeSpans" };
const LOGS: Frame = Frame { request: "ExportLogsServiceRequest", resource: "ResourceLogs", scope: "ScopeLogs" };

pub(super) fn trace_request(bytes: &[u8]) -> Result<(), WireError> {
    request(bytes, &TRACES, span)
}

pub(super) fn logs_request(bytes: &[u8]) -> Result<(), WireError> {
    request(bytes, &LOGS, log_record)
}

/// `element` proves a span or a record sound.
fn request(bytes: &[u8], frame: &Frame, element: impl Fn(&[u8]) -> Result<(), WireError>) -> Result<(), WireError> {
    message(bytes, |field| match field.number {
        request::RESOURCE_SPANS => resource_spans(len(frame.request, field)?, frame, &element),
        _ => Ok(()),
    })
}

fn resource_spans(
    bytes: &[u8],
    frame: &Frame,
    element: &impl Fn(&[u8]) -> Result<(), WireError>,
) -> Result<(), WireError> {
    let name = frame.resource;
    message(bytes, |field| match field.number {
        resource_spans::RESOURCE => message(len(name, field)?, |field| match field.number {
            resource::ATTRIBUTES => key_value(len("Resource", field)?, 0),
            resource::DROPPED_ATTRIBUTES_COUNT => expect("Resource", field, WireType::Varint),
            resource::ENTITY_REFS => message(len("Resource", field)?, |field| match field.number {
                entity_ref::SCHEMA_URL..=entity_ref::DESCRIPTION_KEYS => text("EntityRef", field),
                _ => Ok(()),
            }),
            _ => Ok(()),
        }),
        resource_spans::SCOPE_SPANS => scope_spans(len(name, field)?, frame, element),
        resource_spans::SCHEMA_URL => text(name, field),
        _ => Ok(()),
    })
}

fn scope_spans(
    bytes: &[u8],
    frame: &Frame,
    element: &impl Fn(&[u8]) -> Result<(), WireError>,
) -> Result<(), WireError> {
    let name = frame.scope;
    message(bytes, |field| match field.number {
        scope_spans::SCOPE => message(len(name, field)?, |field| match field.number {
            scope::NAME | scope::VERSION => text("InstrumentationScope", field),
            scope::ATTRIBUTES => key_value(len("InstrumentationScope", field)?, 0),
            scope::DROPPED_ATTRIBUTES_COUNT => expect("InstrumentationScope", field, WireType::Varint),
            _ => Ok(()),
        }),
        scope_spans::SPANS => element(len(name, field)?),
        scope_spans::SCHEMA_URL => text(name, field),
        _ => Ok(()),
    })
}

fn log_record(bytes: &[u8]) -> Result<(), WireError> {
    const NAME: &str = "LogRecord";
    message(bytes, |field| match field.number {
        log_record::TIME | log_record::OBSERVED_TIME => expect(NAME, field, WireType::Fixed64),
        log_record::SEVERITY_NUMBER | log_record::DROPPED_ATTRIBUTES_COUNT => expect(NAME, field, WireType::Varint),
        log_record::SEVERITY_TEXT | log_record::EVENT_NAME => text(NAME, field),
        log_record::BODY => any_value(len(NAME, field)?, 0),
        log_record::ATTRIBUTES => key_value(len(NAME, field)?, 0),
        log_record::FLAGS => expect(NAME, field, WireType::Fixed32),
        log_record::TRACE_ID | log_record::SPAN_ID => expect(NAME, field, WireType::Len),
        _ => Ok(()),
    })
}

fn span(bytes: &[u8]) -> Result<(), WireError> {
    const NAME: &str = "Span";
    message(bytes, |field| match field.number {
        span::TRACE_ID | span::SPAN_ID | span::PARENT_SPAN_ID => expect(NAME, field, WireType::Len),
        span::TRACE_STATE | span::NAME => text(NAME, field),
        span::KIND | span::DROPPED_ATTRIBUTES_COUNT | span::DROPPED_EVENTS_COUNT | span::DROPPED_LINKS_COUNT => {
            expect(NAME, field, WireType::Varint)
        }
        span::START_TIME | span::END_TIME => expect(NAME, field, WireType::Fixed64),
        span::FLAGS => expect(NAME, field, WireType::Fixed32),
        span::ATTRIBUTES => key_value(len(NAME, field)?, 0),
        span::EVENTS => message(len(NAME, field)?, |field| match field.number {
            event::TIME => expect("Event", field, WireType::Fixed64),
            event::NAME => text("Event", field),
            event::ATTRIBUTES => key_value(len("Event", field)?, 0),
            event::DROPPED_ATTRIBUTES_COUNT => expect("Event", field, WireType::Varint),
            _ => Ok(()),
        }),
        span::LINKS => message(len(NAME, field)?, |field| match field.number {
            link::TRACE_ID | link::SPAN_ID => expect("Link", field, WireType::Len),
            link::TRACE_STATE => text("Link", field),
            link::ATTRIBUTES => key_value(len("Link", field)?, 0),
            link::DROPPED_ATTRIBUTES_COUNT => expect("Link", field, WireType::Varint),
            link::FLAGS => expect("Link", field, WireType::Fixed32),
            _ => Ok(()),
        }),
        span::STATUS => message(len(NAME, field)?, |field| match field.number {
            status::MESSAGE => text("Status", field),
            status::CODE => expect("Status", field, WireType::Varint),
            _ => Ok(()),
        }),
        _ => Ok(()),
    })
}

fn key_value(bytes: &[u8], depth: u32) -> Result<(), WireError> {
    message(bytes, |field| match field.number {
        key_value::KEY => text("KeyValue", field),
        key_value::VALUE => any_value(len("KeyValue", field)?, depth),
        key_value::KEY_STRINDEX => expect("KeyValue", field, WireType::Varint),
        _ => Ok(()),
    })
}

fn any_value(bytes: &[u8], depth: u32) -> Result<(), WireError> {
    const NAME: &str = "AnyValue";
    if depth > DEPTH_LIMIT {
        return Err(WireError::TooDeep { limit: DEPTH_LIMIT });
    }
    message(bytes, |field| match (field.number, field.value) {
        (any_value::STRING, _) => text(NAME, field),
        (any_value::BOOL | any_value::INT | any_value::STRING_STRINDEX, _) => expect(NAME, field, WireType::Varint),
        (any_value::DOUBLE, _) => expect(NAME, field, WireType::Fixed64),
        (any_value::BYTES, _) => expect(NAME, field, WireType::Len),
        (any_value::ARRAY, FieldValue::Len(bytes)) => message(bytes, |field| match field.number {
            list::VALUES => any_value(len("ArrayValue", field)?, depth + 1),
            _ => Ok(()),
        }),
        (any_value::KVLIST, FieldValue::Len(bytes)) => message(bytes, |field| match field.number {
            list::VALUES => key_value(len("KeyValueList", field)?, depth + 1),
            _ => Ok(()),
        }),
        (any_value::ARRAY | any_value::KVLIST, _) => Err(WireError::WrongType { message: NAME, field: field.number }),
        _ => Ok(()),
    })
}
