//! From OTLP bytes to the record.

use scouter_span::view::{self, Attributes, ValueView};

use super::{
    ALIAS_ATTRIBUTE, EVENT_PREFIX, Entity, NAME_ATTRIBUTE, RECORD_ID_ATTRIBUTE, Record, SESSION_ATTRIBUTE,
    SPACE_ATTRIBUTE, VERSION_ATTRIBUTE,
};
use crate::Scope;
use crate::filters::{ENTITY_ATTRIBUTE, TAG_PREFIX};
use crate::span::{attributes, service_name, tag_text, value};

impl Record {
    /// Reads a record with the resource and scope it belongs to.
    pub fn read(
        record: view::LogRecordView<'_>,
        resource: view::Resource<'_>,
        scope: view::Scope<'_>,
        schema_url: &str,
    ) -> Self {
        let own = record.attributes();
        let event_name = record.event_name();
        let tags = own.iter().filter_map(|attribute| {
            Some((attribute.key.strip_prefix(TAG_PREFIX)?.to_owned(), tag_text(attribute.value)))
        });
        Self {
            time: time(record),
            observed_time: record.observed_time(),
            event_name: event_name.to_owned(),
            kind: event_name.strip_prefix(EVENT_PREFIX).map(str::to_owned),
            trace_id: record.trace_id(),
            span_id: record.span_id(),
            flags: record.flags(),
            entity: Entity::read(own),
            record_id: text(own, RECORD_ID_ATTRIBUTE),
            session_id: text(own, SESSION_ATTRIBUTE),
            tags: tags.collect(),
            body: value(record.body()),
            attributes: attributes(own),
            dropped_attributes_count: record.dropped_attributes_count(),
            severity_number: record.severity().0,
            severity_text: record.severity_text().to_owned(),
            service_name: service_name(resource).to_owned(),
            resource: attributes(resource.attributes()),
            scope: Scope {
                name: scope.name().to_owned(),
                version: scope.version().to_owned(),
                attributes: attributes(scope.attributes()),
                schema_url: schema_url.to_owned(),
            },
        }
    }
}

impl Entity {
    fn read(attributes: Attributes<'_>) -> Option<Self> {
        let read = |key| text(attributes, key);
        let [uid, space, name, version, alias] =
            [ENTITY_ATTRIBUTE, SPACE_ATTRIBUTE, NAME_ATTRIBUTE, VERSION_ATTRIBUTE, ALIAS_ATTRIBUTE].map(read);
        let some = [&uid, &space, &name, &version, &alias].into_iter().any(Option::is_some);
        let [uid, space, name, version, alias] = [uid, space, name, version, alias].map(Option::unwrap_or_default);
        some.then_some(Self { uid, space, name, version, alias })
    }
}

/// When a record happened: its time, or else when it was observed; nanoseconds since the Unix epoch.
pub fn time(record: view::LogRecordView<'_>) -> u64 {
    match record.time() {
        0 => record.observed_time(),
        time => time,
    }
}

/// The attribute when it is text.
fn text(attributes: Attributes<'_>, key: &str) -> Option<String> {
    match attributes.get(key) {
        Some(ValueView::Str(text)) => Some(text.to_owned()),
        _ => None,
    }
}
