//! The search as anyone would write it: go through all spans and look.

use std::collections::{BTreeMap, BTreeSet};

use opentelemetry_proto::tonic::common::v1::any_value::Value as Recorded;
use scouter_client::{TagFilters, TraceFilters};
use scouter_span::TraceId;
use serde_json::Value;

use crate::traffic::{Given, trace_id};

/// Every span that was stored, by trace and id.
#[derive(Debug, Default)]
pub(crate) struct Model {
    traces: BTreeMap<u64, BTreeMap<u64, Given>>,
}

/// A trace the model found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Expected {
    pub(crate) id: TraceId,
    pub(crate) start: u64,
    pub(crate) duration: u64,
    pub(crate) spans: u64,
    pub(crate) errors: u64,
    pub(crate) root: u64,
}

impl Model {
    /// Whether the span was new.
    pub(crate) fn add(&mut self, span: &Given) -> bool {
        let trace = self.traces.entry(span.trace).or_default();
        let is_new = !trace.contains_key(&span.id);
        trace.entry(span.id).or_insert_with(|| span.clone());
        is_new
    }

    /// How many of the traces have a span with each tag.
    pub(crate) fn tags(&self, filters: &TagFilters) -> BTreeMap<(String, String), u64> {
        let TagFilters { trace_id, entity_uid, start_time, end_time, .. } = filters.clone();
        let among = TraceFilters { trace_id, entity_uid, start_time, end_time, ..TraceFilters::default() };
        let mut counts = BTreeMap::new();
        for (number, spans) in &self.traces {
            if expected(*number, spans, &among).is_none() {
                continue;
            }
            let tags: BTreeSet<_> = spans.values().flat_map(tags_of).collect();
            tags.into_iter().for_each(|tag| *counts.entry(tag).or_default() += 1);
        }
        counts
    }

    pub(crate) fn search(&self, filters: &TraceFilters) -> Vec<Expected> {
        let mut found: Vec<_> =
            self.traces.iter().filter_map(|(number, spans)| expected(*number, spans, filters)).collect();
        found.sort_by_key(|trace| (std::cmp::Reverse(trace.start), trace.id));
        found
    }
}

fn expected(number: u64, spans: &BTreeMap<u64, Given>, filters: &TraceFilters) -> Option<Expected> {
    let id = trace_id(number);
    let start = spans.values().map(|span| span.start).min()?;
    let end = spans.values().map(|span| span.start + span.duration).max()?;
    let errors = spans.values().filter(|span| span.status == 2).count() as u64;
    let duration = end - start;
    let root = spans.values().min_by_key(|span| (span.parent.is_some(), span.start, span.id))?.id;
    let wanted = filters.trace_id.is_none_or(|wanted| wanted == id)
        && filters.trace_ids.as_ref().is_none_or(|wanted| wanted.contains(&id))
        && filters.has_errors.is_none_or(|wanted| wanted == (errors > 0))
        && filters.start_time.is_none_or(|from| start >= from)
        && filters.end_time.is_none_or(|to| start < to)
        && filters.min_duration_ms.is_none_or(|least| duration as f64 >= least * 1e6)
        && filters.max_duration_ms.is_none_or(|most| duration as f64 <= most * 1e6)
        && spans.values().any(|span| is_wanted(span, filters));
    wanted.then_some(Expected { id, start, duration, spans: spans.len() as u64, errors, root })
}

fn is_wanted(span: &Given, filters: &TraceFilters) -> bool {
    let own = |key: &str| span.attributes.iter().rfind(|(name, _)| name == key).map(|(_, value)| json(value));
    let resource = |key: &str| match key {
        "service.name" => Some(Value::from(span.service.as_str())),
        _ => span.resource.iter().rfind(|(name, _)| name == key).map(|(_, value)| json(value)),
    };
    filters.service_name.as_ref().is_none_or(|wanted| *wanted == span.service)
        && filters.span_name.as_ref().is_none_or(|wanted| *wanted == span.name)
        && filters.status_code.is_none_or(|wanted| wanted as i32 == span.status)
        && filters
            .attributes
            .iter()
            .all(|(key, wanted)| own(key).or(resource(key)).is_some_and(|it| equal(wanted, &it)))
        && filters.tags.iter().all(|(tag, wanted)| own(&format!("scouter.tag.{tag}")).is_some_and(|it| it == **wanted))
        && filters.entity_uid.as_ref().is_none_or(|wanted| own("scouter.entity").is_some_and(|it| it == **wanted))
}

/// The tags of a span, each with its last value.
fn tags_of(span: &Given) -> BTreeMap<String, String> {
    let tag = |(key, value): &(String, Recorded)| match value {
        Recorded::StringValue(text) => Some((key.strip_prefix("scouter.tag.")?.to_owned(), text.clone())),
        _ => None,
    };
    span.attributes.iter().filter_map(tag).collect()
}

fn json(value: &Recorded) -> Value {
    match value {
        Recorded::StringValue(text) => text.as_str().into(),
        Recorded::BoolValue(value) => (*value).into(),
        Recorded::IntValue(value) => (*value).into(),
        Recorded::DoubleValue(value) => (*value).into(),
        other => panic!("the model has no {other:?}"),
    }
}

fn equal(wanted: &Value, value: &Value) -> bool {
    match (wanted.as_f64(), value.as_f64()) {
        (Some(wanted), Some(value)) => wanted == value,
        _ => wanted == value,
    }
}
