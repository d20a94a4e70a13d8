//! One transaction: the spans and records of some requests go into the tables.

use std::collections::HashMap;

use rusqlite::{CachedStatement, Connection, params};
use scouter_client::filters::{ENTITY_ATTRIBUTE, TAG_PREFIX};
use scouter_client::span;
use scouter_span::TraceId;
use scouter_span::view::{KeyValue, LogsRequest, Resource, SpanView, TraceRequest};

use super::block::{Entry, Tail};
use super::failure::Failure;
use super::glance::Glance;
use super::names::{Home, Names, Origins};
use super::records::{RecordMemory, RecordWriter};
use super::traces::{OpenTrace, Root, TraceWriter};
use crate::store::Written;

/// What the writer remembers from one transaction to the next. After one that failed it is made anew.
pub(super) struct Memory {
    pub(super) names: Names,
    pub(super) resources: Origins,
    pub(super) scopes: Origins,
    tail: Tail,
    pub(super) records: RecordMemory,
    next_trace: i64,
}

impl Memory {
    /// What the tables say. A block that is not full stays as it is; a new one is begun.
    pub(super) fn load(sql: &Connection) -> Result<Self, Failure> {
        let next = |query| sql.query_row(query, [], |row| row.get::<_, i64>(0));
        Ok(Self {
            names: Names::default(),
            resources: Origins::new(Home::Resource),
            scopes: Origins::new(Home::Scope),
            tail: Tail::new(next("SELECT ifnull(max(no), 0) + 1 FROM block")?)?,
            records: RecordMemory::new(next("SELECT ifnull(max(no), 0) + 1 FROM record_block")?)?,
            next_trace: next("SELECT ifnull(max(no), 0) + 1 FROM trace")?,
        })
    }
}

/// The transaction's work. What it did is lost unless [`finish`](Self::finish) and the commit succeed.
pub(super) struct Batch<'c> {
    sql: &'c Connection,
    memory: &'c mut Memory,
    traces: Vec<OpenTrace>,
    by_id: HashMap<TraceId, usize>,
    insert_span: CachedStatement<'c>,
    insert_tag: CachedStatement<'c>,
    put_block: CachedStatement<'c>,
    /// Made when the first records come.
    records: Option<RecordWriter<'c>>,
}

/// Where spans come from, once for many of them.
#[derive(Clone, Copy)]
struct Origin<'a> {
    resource: Resource<'a>,
    resource_no: i64,
    scope_no: i64,
    service: i64,
}

impl<'c> Batch<'c> {
    pub(super) fn new(sql: &'c Connection, memory: &'c mut Memory) -> Result<Self, Failure> {
        Ok(Self {
            sql,
            memory,
            traces: Vec::new(),
            by_id: HashMap::new(),
            insert_span: sql.prepare_cached(
                "INSERT OR IGNORE INTO span (trace, span, block, at, service, name, status) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            )?,
            insert_tag: sql
                .prepare_cached("INSERT OR IGNORE INTO trace_tag (name, value, trace) VALUES (?1, ?2, ?3)")?,
            put_block: sql.prepare_cached(
                "INSERT INTO block (no, raw_length, last, bloom, data) VALUES (?1, ?2, ?3, ?4, ?5) \
                 ON CONFLICT (no) DO UPDATE SET raw_length = ?2, last = ?3, bloom = ?4, data = ?5",
            )?,
            records: None,
        })
    }

    /// Puts the spans of a request in.
    pub(super) fn add(&mut self, request: TraceRequest<'_>) -> Result<Written, Failure> {
        let mut written = Written::default();
        for resource_spans in request.resource_spans() {
            let resource = resource_spans.resource();
            let service = self.memory.names.number(self.sql, span::service_name(resource))?;
            let resource_no = self.memory.resources.number(self.sql, resource.bytes(), resource_spans.schema_url())?;
            // The block whose filter has the resource's attributes already.
            let mut noted = None;
            for scope_spans in resource_spans.scope_spans() {
                let scope = scope_spans.scope();
                let scope_no = self.memory.scopes.number(self.sql, scope.bytes(), scope_spans.schema_url())?;
                let origin = Origin { resource, resource_no, scope_no, service };
                for span in scope_spans.spans() {
                    self.add_span(span, origin, &mut noted, &mut written)?;
                }
            }
        }
        Ok(written)
    }

    /// Puts the records of a request in.
    pub(super) fn add_records(&mut self, request: LogsRequest<'_>) -> Result<Written, Failure> {
        let writer = match &mut self.records {
            Some(writer) => writer,
            none => none.insert(RecordWriter::new(self.sql)?),
        };
        writer.add(self.memory, request)
    }

    fn add_span(
        &mut self,
        span: SpanView<'_>,
        origin: Origin<'_>,
        noted: &mut Option<i64>,
        written: &mut Written,
    ) -> Result<(), Failure> {
        let Some(seen) = Glance::at(span) else { return Ok(()) };
        let at = self.open(seen.trace_id)?;
        let no = self.traces[at].no;
        let name = self.memory.names.number(self.sql, seen.name)?;
        let tail = &mut self.memory.tail;
        let id = seen.span_id.to_int();
        let row = params![no, id as i64, tail.no, tail.end(), origin.service, name, seen.status as u8];
        if self.insert_span.execute(row)? == 0 {
            written.duplicates += 1;
            return Ok(());
        }
        written.stored += 1;
        let rank = i64::from(seen.has_parent);
        let root = Root { rank, start: seen.start, span: id, name, service: origin.service };
        self.traces[at].add(root, seen.stop, seen.status);
        let entry = Entry::new(span, seen.trace_id, seen.span_id).of(origin.resource_no, origin.scope_no, no);
        tail.push(entry, seen.start);
        if *noted != Some(tail.no) {
            origin.resource.attributes().iter().for_each(|attribute| tail.note(attribute));
            *noted = Some(tail.no);
        }
        let mut tags: Vec<KeyValue<'_>> = Vec::new();
        for attribute in span.attributes().iter() {
            self.memory.tail.note(attribute);
            if attribute.key.starts_with(TAG_PREFIX) || attribute.key == ENTITY_ATTRIBUTE {
                // Of several values under one key the last counts.
                tags.retain(|tag| tag.key != attribute.key);
                tags.push(attribute);
            }
        }
        for tag in tags {
            self.add_tag(tag, no)?;
        }
        if self.memory.tail.is_full() {
            self.put_tail()?;
            self.memory.tail.advance(self.memory.tail.no + 1);
        }
        Ok(())
    }

    fn add_tag(&mut self, attribute: KeyValue<'_>, trace: i64) -> Result<(), Failure> {
        let name = self.memory.names.number(self.sql, attribute.key)?;
        let value = self.memory.names.number(self.sql, &span::tag_text(attribute.value))?;
        self.insert_tag.execute([name, value, trace])?;
        Ok(())
    }

    /// The place in `traces` of the trace with this id.
    fn open(&mut self, id: TraceId) -> Result<usize, Failure> {
        if let Some(&at) = self.by_id.get(&id) {
            return Ok(at);
        }
        let trace = OpenTrace::find(self.sql, id, self.memory.next_trace)?;
        // A new trace gets its first span right now: nothing of it is there that could be a duplicate.
        self.memory.next_trace += i64::from(trace.is_new());
        self.traces.push(trace);
        self.by_id.insert(id, self.traces.len() - 1);
        Ok(self.traces.len() - 1)
    }

    fn put_tail(&mut self) -> Result<(), Failure> {
        let stored = self.memory.tail.stored()?;
        self.put_block.execute(params![
            self.memory.tail.no,
            stored.raw_length,
            stored.last,
            stored.bloom,
            stored.data
        ])?;
        Ok(())
    }

    /// Writes what was only gathered so far. The commit is the caller's.
    pub(super) fn finish(mut self) -> Result<(), Failure> {
        if self.memory.tail.is_dirty() {
            self.put_tail()?;
        }
        if let Some(records) = &mut self.records {
            records.finish(self.memory)?;
        }
        let mut writer = TraceWriter::new(self.sql)?;
        self.traces.iter().try_for_each(|trace| writer.write(trace))
    }
}
