//! Whether a record is wanted.

use scouter_client::filters::{ENTITY_ATTRIBUTE, TAG_PREFIX};
use scouter_client::record::{
    ALIAS_ATTRIBUTE, EVENT_PREFIX, NAME_ATTRIBUTE, RECORD_ID_ATTRIBUTE, SESSION_ATTRIBUTE, SPACE_ATTRIBUTE,
    VERSION_ATTRIBUTE,
};
use scouter_client::{RecordFilters, span};
use scouter_span::view::{Resource, ValueView};
use serde_json::Value;

use super::named;
use crate::store::embedded::block::Entry;
use crate::store::embedded::bloom;
use crate::store::embedded::failure::Failure;
use crate::store::embedded::names::find_text;
use crate::store::embedded::snapshot::Snapshot;
use crate::store::embedded::value::same;

/// Keys under which a block's filter has what is no attribute. No sender's attribute begins like this.
pub(super) const SPAN_TERM: &str = "\0span";
pub(super) const EVENT_TERM: &str = "\0event";

const SERVICE: &str = "service.name";

/// What a record must be, but for its time.
#[derive(Debug)]
pub(super) struct Wanted<'f> {
    filters: &'f RecordFilters,
    event_names: Vec<String>,
    /// Attributes of the record that must be these texts.
    texts: Vec<(&'static str, &'f str)>,
    /// Tags' attributes and their values as text.
    tag_texts: Vec<(String, &'f str)>,
    /// The numbers of the names and values of tags and of the entity.
    pub(super) tags: Vec<(i64, i64)>,
    /// All of it as pairs in the blocks' filters.
    pub(super) terms: Vec<u64>,
    /// The names among it as they stand in the filters of names.
    pub(super) names: Vec<u64>,
    /// Whether nothing but tags, an entity and a time is asked for.
    pub(super) is_only_tags: bool,
}

impl<'f> Wanted<'f> {
    /// `None` when a tag or an entity is asked for that nothing ever had.
    pub(super) fn new(snapshot: &Snapshot<'_>, filters: &'f RecordFilters) -> Result<Option<Self>, Failure> {
        let kind = filters.kind.iter().map(|kind| format!("{EVENT_PREFIX}{kind}"));
        let event_names: Vec<String> = filters.event_name.iter().cloned().chain(kind).collect();
        let texts: Vec<_> = [
            (ENTITY_ATTRIBUTE, &filters.entity_uid),
            (SPACE_ATTRIBUTE, &filters.space),
            (NAME_ATTRIBUTE, &filters.name),
            (VERSION_ATTRIBUTE, &filters.version),
            (ALIAS_ATTRIBUTE, &filters.alias),
            (RECORD_ID_ATTRIBUTE, &filters.record_id),
            (SESSION_ATTRIBUTE, &filters.session_id),
        ]
        .into_iter()
        .filter_map(|(key, text)| Some((key, text.as_deref()?)))
        .collect();
        let tag_texts: Vec<_> =
            filters.tags.iter().map(|(tag, text)| (format!("{TAG_PREFIX}{tag}"), text.as_str())).collect();
        let mut tags = Vec::new();
        let entity = filters.entity_uid.as_deref().map(|uid| (ENTITY_ATTRIBUTE, uid));
        for (key, text) in tag_texts.iter().map(|(key, text)| (key.as_str(), *text)).chain(entity) {
            match (find_text(snapshot.sql, key)?, find_text(snapshot.sql, text)?) {
                (Some(name), Some(value)) => tags.push((name, value)),
                _ => return Ok(None),
            }
        }
        let mut terms = Vec::new();
        let mut term = |key: &str, text: &str| terms.push(bloom::recorded(key, ValueView::Str(text)));
        texts.iter().for_each(|(key, text)| term(key, text));
        tag_texts.iter().for_each(|(key, text)| term(key, text));
        event_names.iter().for_each(|name| term(EVENT_TERM, name));
        filters.span_id.iter().for_each(|id| term(SPAN_TERM, &id.to_string()));
        // A service without a name has no attribute.
        filters.service_name.iter().filter(|name| !name.is_empty()).for_each(|name| term(SERVICE, name));
        terms.extend(filters.attributes.iter().map(|(key, value)| bloom::wanted(key, value)));
        let is_only_tags = !tags.is_empty()
            && texts.iter().all(|(key, _)| *key == ENTITY_ATTRIBUTE)
            && event_names.is_empty()
            && filters.span_id.is_none()
            && filters.service_name.is_none()
            && filters.attributes.is_empty();
        Ok(Some(Self {
            filters,
            event_names,
            texts,
            tag_texts,
            tags,
            terms,
            names: named::wanted(filters),
            is_only_tags,
        }))
    }

    /// Whether this record is all of it.
    pub(super) fn fits(&self, snapshot: &mut Snapshot<'_>, entry: Entry<'_>) -> Result<bool, Failure> {
        let (record, filters) = (entry.as_record(), self.filters);
        let own = record.attributes();
        let text = |key: &str, text: &str| matches!(own.get(key), Some(ValueView::Str(value)) if value == text);
        let fits = filters.trace_id.is_none_or(|id| record.trace_id() == Some(id))
            && filters.span_id.is_none_or(|id| record.span_id() == Some(id))
            && self.event_names.iter().all(|name| name == record.event_name())
            && self.texts.iter().all(|(key, value)| text(key, value))
            && self.tag_texts.iter().all(|(key, text)| own.get(key).map(span::tag_text).as_deref() == Some(*text));
        if !fits || (filters.service_name.is_none() && filters.attributes.is_empty()) {
            return Ok(fits);
        }
        let resource = snapshot.resource(entry.resource)?;
        let resource = Resource::new(&resource.bytes);
        let is = |(key, expected): (&String, &Value)| {
            let value = own.get(key).or_else(|| resource.attributes().get(key));
            value.is_some_and(|value| same(expected, &span::value(value)))
        };
        let is_from = |service: &String| span::service_name(resource) == service;
        Ok(filters.service_name.iter().all(is_from) && filters.attributes.iter().all(is))
    }
}
