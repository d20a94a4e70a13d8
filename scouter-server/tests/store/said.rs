//! Records for tests, encoded by `opentelemetry-proto`, and the search for them as anyone would write it.

#![allow(dead_code, reason = "several test programs use parts of this")]

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message;
use scouter_client::{RecordFilters, TagFilters};

use crate::traffic::{BASE, Pairs, pair, text, trace_id};

/// A record before it is encoded.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Said {
    /// What it says; tells it from every other in the tests.
    pub(crate) body: i64,
    pub(crate) uid: Option<String>,
    pub(crate) time: u64,
    pub(crate) observed: u64,
    pub(crate) trace: Option<u64>,
    pub(crate) span: Option<u64>,
    pub(crate) event: String,
    pub(crate) service: String,
    pub(crate) attributes: Pairs,
}

impl Said {
    pub(crate) fn new(body: i64) -> Self {
        Self {
            body,
            uid: Some(format!("uid {body}")),
            time: BASE + body as u64 * 1_000_000,
            observed: 0,
            trace: None,
            span: None,
            event: "scouter.record.custom".to_owned(),
            service: "shop".to_owned(),
            attributes: Vec::new(),
        }
    }

    pub(crate) fn with(mut self, key: &str, value: Value) -> Self {
        self.attributes.push((key.to_owned(), value));
        self
    }

    pub(crate) fn encode(&self) -> LogRecord {
        let uid = self.uid.iter().map(|uid| ("log.record.uid".to_owned(), text(uid)));
        LogRecord {
            time_unix_nano: self.time,
            observed_time_unix_nano: self.observed,
            severity_number: 9,
            severity_text: "INFO".to_owned(),
            body: Some(AnyValue { value: Some(Value::IntValue(self.body)) }),
            attributes: uid.chain(self.attributes.iter().cloned()).map(|attribute| pair(&attribute)).collect(),
            dropped_attributes_count: 0,
            flags: 1,
            trace_id: self.trace.map(|trace| trace_id(trace).to_bytes().to_vec()).unwrap_or_default(),
            span_id: self.span.map(|span| span.to_be_bytes().to_vec()).unwrap_or_default(),
            event_name: self.event.clone(),
        }
    }

    fn when(&self) -> u64 {
        if self.time == 0 { self.observed } else { self.time }
    }

    fn text(&self, key: &str) -> Option<&str> {
        match self.attributes.iter().rfind(|(name, _)| name == key).map(|(_, value)| value) {
            Some(Value::StringValue(text)) => Some(text),
            _ => None,
        }
    }

    /// The tags, each with its last value.
    fn tags(&self) -> BTreeMap<String, String> {
        let tag = |(key, _): &(String, Value)| {
            Some((key.strip_prefix("scouter.tag.")?.to_owned(), self.text(key)?.to_owned()))
        };
        self.attributes.iter().filter_map(tag).collect()
    }
}

/// The records as one request, each service under a resource of its own.
pub(crate) fn said(records: &[Said]) -> Bytes {
    let mut groups: Vec<(String, Vec<LogRecord>)> = Vec::new();
    for record in records {
        match groups.iter_mut().find(|(service, _)| *service == record.service) {
            Some((_, group)) => group.push(record.encode()),
            None => groups.push((record.service.clone(), vec![record.encode()])),
        }
    }
    let groups = groups.into_iter().map(|(service, log_records)| ResourceLogs {
        resource: Some(Resource {
            attributes: vec![pair(&("service.name".to_owned(), text(&service)))],
            ..Resource::default()
        }),
        scope_logs: vec![ScopeLogs {
            scope: Some(InstrumentationScope { name: "queue".to_owned(), ..Default::default() }),
            log_records,
            schema_url: String::new(),
        }],
        schema_url: "https://example.com/schema".to_owned(),
    });
    ExportLogsServiceRequest { resource_logs: groups.collect() }.encode_to_vec().into()
}

/// Every record that was stored, in the order they arrived.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    records: Vec<Said>,
    uids: BTreeSet<String>,
    requests: BTreeSet<Vec<u8>>,
}

impl Heard {
    /// Takes a request; says how many of its records are new.
    pub(crate) fn add(&mut self, records: &[Said]) -> u64 {
        let again = !self.requests.insert(said(records).to_vec());
        // The order in which they stand in the request.
        let mut services: Vec<&str> = Vec::new();
        records.iter().for_each(|record| {
            if !services.contains(&&*record.service) {
                services.push(&record.service);
            }
        });
        let mut new = 0;
        for service in services {
            for record in records.iter().filter(|record| record.service == service) {
                let is_new = match &record.uid {
                    Some(uid) => self.uids.insert(uid.clone()),
                    None => !again,
                };
                if is_new {
                    self.records.push(record.clone());
                    new += 1;
                }
            }
        }
        new
    }

    /// The bodies of the wanted records, newest first and, of one time, the last that arrived first.
    pub(crate) fn search(&self, filters: &RecordFilters) -> Vec<i64> {
        let mut found: Vec<_> =
            self.records.iter().enumerate().filter(|(_, record)| is_wanted(record, filters)).collect();
        found.sort_by_key(|(place, record)| Reverse((record.when(), *place)));
        found.into_iter().map(|(_, record)| record.body).collect()
    }

    /// How many of the records have each tag.
    pub(crate) fn tags(&self, filters: &TagFilters) -> BTreeMap<(String, String), u64> {
        let TagFilters { trace_id, entity_uid, start_time, end_time, .. } = filters.clone();
        let among = RecordFilters { trace_id, entity_uid, start_time, end_time, ..RecordFilters::default() };
        let mut counts = BTreeMap::new();
        for record in self.records.iter().filter(|record| is_wanted(record, &among)) {
            for tag in record.tags() {
                *counts.entry(tag).or_default() += 1;
            }
        }
        counts
    }
}

fn is_wanted(record: &Said, filters: &RecordFilters) -> bool {
    let is = |key: &str, wanted: &Option<String>| wanted.is_none() || record.text(key) == wanted.as_deref();
    let tags = record.tags();
    let attribute =
        |(key, wanted): (&String, &serde_json::Value)| match record.attributes.iter().rfind(|(name, _)| name == key) {
            Some((_, Value::StringValue(text))) => *wanted == **text,
            Some((_, Value::IntValue(number))) => wanted.as_f64() == Some(*number as f64),
            Some(_) => false,
            None => key == "service.name" && *wanted == *record.service,
        };
    filters.trace_id.is_none_or(|wanted| record.trace.map(trace_id) == Some(wanted))
        && filters.span_id.is_none_or(|wanted| record.span == Some(wanted.to_int()))
        && is("scouter.entity", &filters.entity_uid)
        && is("scouter.space", &filters.space)
        && is("scouter.name", &filters.name)
        && is("scouter.version", &filters.version)
        && is("scouter.alias", &filters.alias)
        && is("scouter.record.id", &filters.record_id)
        && is("session.id", &filters.session_id)
        && filters.event_name.as_ref().is_none_or(|wanted| *wanted == record.event)
        && filters.kind.as_ref().is_none_or(|wanted| format!("scouter.record.{wanted}") == record.event)
        && filters.service_name.as_ref().is_none_or(|wanted| *wanted == record.service)
        && filters.start_time.is_none_or(|from| record.when() >= from)
        && filters.end_time.is_none_or(|to| record.when() < to)
        && filters.tags.iter().all(|(tag, wanted)| tags.get(tag) == Some(wanted))
        && filters.attributes.iter().all(attribute)
}
