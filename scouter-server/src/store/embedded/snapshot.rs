//! One read: the tables as they are at one moment, and what was fetched from them so far.

use std::collections::HashMap;
use std::rc::Rc;

use rusqlite::{Connection, OptionalExtension};
use scouter_client::{Record, Span, Trace, TraceSummary};
use scouter_span::view::{Resource, Scope, SpanView};
use scouter_span::{SpanId, TraceId};

use super::block::{self, Entry};
use super::failure::Failure;
use super::names::Home;
use super::records;
use super::traces::{self, TraceRow};

/// Whose blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Shelf {
    Spans,
    Records,
}

/// How many blocks one read keeps unpacked.
const BLOCKS: usize = 32;

/// A message spans belong to, and its schema.
#[derive(Debug)]
pub(super) struct Origin {
    pub(super) bytes: Vec<u8>,
    pub(super) schema_url: String,
}

/// One read.
#[derive(Debug)]
pub(super) struct Snapshot<'c> {
    pub(super) sql: &'c Connection,
    texts: HashMap<i64, String>,
    resources: HashMap<i64, Rc<Origin>>,
    scopes: HashMap<i64, Rc<Origin>>,
    blocks: HashMap<(Shelf, i64), Rc<Vec<u8>>>,
}

impl<'c> Snapshot<'c> {
    /// The connection must be in a transaction, or else the tables may change between two questions.
    pub(super) fn new(sql: &'c Connection) -> Self {
        Self { sql, texts: HashMap::new(), resources: HashMap::new(), scopes: HashMap::new(), blocks: HashMap::new() }
    }

    /// One trace with all its spans.
    pub(super) fn trace(&mut self, id: TraceId) -> Result<Option<Trace>, Failure> {
        let Some(row) = traces::find(self.sql, id)? else { return Ok(None) };
        Ok(Trace::new(self.spans(&row)?))
    }

    /// The spans of a trace, in the order in which they arrived.
    pub(super) fn spans(&mut self, trace: &TraceRow) -> Result<Vec<Span>, Failure> {
        let sql = self.sql;
        let mut statement = sql.prepare_cached("SELECT block, at, span FROM span WHERE trace = ?")?;
        let places = statement.query_map([trace.no], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        let mut places: Vec<(i64, i64, i64)> = places.collect::<Result<_, _>>()?;
        places.sort_unstable();
        places.into_iter().map(|(no, at, id)| self.span(no, at, trace.id, id as u64)).collect()
    }

    fn span(&mut self, no: i64, at: i64, trace_id: TraceId, span_id: u64) -> Result<Span, Failure> {
        let bad = |what: String| Failure::Corrupt(format!("block {no} at {at}: {what}"));
        let block = self.block(Shelf::Spans, no)?;
        let entry = entry(&block, no, at)?;
        let resource = self.resource(entry.resource)?;
        let scope = self.origin(Home::Scope, entry.scope)?;
        let schema_url = scope.schema_url_in(&resource);
        let span_id = SpanId::from_int(span_id).ok_or_else(|| bad("the span's id is zero".to_owned()))?;
        let message = entry.message(trace_id, span_id);
        let (resource, scope) = (Resource::new(&resource.bytes), Scope::new(&scope.bytes));
        Span::read(SpanView::new(&message), resource, scope, schema_url).map_err(|error| bad(error.to_string()))
    }

    /// The record with this number.
    pub(super) fn record(&mut self, no: i64) -> Result<Record, Failure> {
        let (no, at) = records::place(no);
        let block = self.block(Shelf::Records, no)?;
        let entry = entry(&block, no, at)?;
        let resource = self.resource(entry.resource)?;
        let scope = self.origin(Home::Scope, entry.scope)?;
        let schema_url = scope.schema_url_in(&resource);
        Ok(Record::read(entry.as_record(), Resource::new(&resource.bytes), Scope::new(&scope.bytes), schema_url))
    }

    /// What a list of traces shows of one.
    pub(super) fn summary(&mut self, row: &TraceRow) -> Result<TraceSummary, Failure> {
        let mut services = Vec::with_capacity(row.services.len());
        for service in &row.services {
            services.push(self.text(*service)?);
        }
        services.sort_unstable();
        let root_span_id = SpanId::from_int(row.root.span);
        Ok(TraceSummary {
            trace_id: row.id,
            root_span_id: root_span_id
                .ok_or_else(|| Failure::Corrupt(format!("trace {} has a root without an id", row.id)))?,
            root_name: self.text(row.root.name)?,
            root_service: self.text(row.root.service)?,
            start_time: row.start as u64,
            end_time: row.stop as u64,
            duration_ns: (row.stop - row.start) as u64,
            span_count: row.spans as u64,
            error_count: row.errors as u64,
            services,
        })
    }

    /// The names of the services. Leaps from one to the next in the index, however many traces each has.
    pub(super) fn services(&mut self) -> Result<Vec<String>, Failure> {
        let mut statement = self.sql.prepare_cached(
            "WITH RECURSIVE met (service) AS ( \
             SELECT min(service) FROM trace_service \
             UNION ALL \
             SELECT (SELECT min(service) FROM trace_service WHERE service > met.service) FROM met \
             WHERE met.service IS NOT NULL) \
             SELECT text FROM met JOIN text ON text.id = met.service WHERE text <> '' ORDER BY text",
        )?;
        let names = statement.query_map([], |row| row.get(0))?;
        Ok(names.collect::<Result<_, _>>()?)
    }

    /// The text with this number.
    fn text(&mut self, number: i64) -> Result<String, Failure> {
        if let Some(text) = self.texts.get(&number) {
            return Ok(text.clone());
        }
        let text = self.sql.prepare_cached("SELECT text FROM text WHERE id = ?")?.query_row([number], |row| row.get(0));
        let text: Option<String> = text.optional()?;
        let text = text.ok_or_else(|| Failure::Corrupt(format!("text {number} is missing")))?;
        self.texts.insert(number, text.clone());
        Ok(text)
    }

    /// The resource with this number.
    pub(super) fn resource(&mut self, number: i64) -> Result<Rc<Origin>, Failure> {
        self.origin(Home::Resource, number)
    }

    fn origin(&mut self, home: Home, number: i64) -> Result<Rc<Origin>, Failure> {
        let known = match home {
            Home::Resource => &mut self.resources,
            Home::Scope => &mut self.scopes,
        };
        if let Some(origin) = known.get(&number) {
            return Ok(Rc::clone(origin));
        }
        let read = |row: &rusqlite::Row<'_>| Ok(Origin { bytes: row.get(0)?, schema_url: row.get(1)? });
        let origin = self.sql.prepare_cached(home.select())?.query_row([number], read).optional()?;
        let origin = origin.ok_or_else(|| Failure::Corrupt(format!("{home:?} {number} is missing")))?;
        let origin = Rc::new(origin);
        known.insert(number, Rc::clone(&origin));
        Ok(origin)
    }

    /// The bytes of a block.
    pub(super) fn block(&mut self, shelf: Shelf, no: i64) -> Result<Rc<Vec<u8>>, Failure> {
        if let Some(raw) = self.blocks.get(&(shelf, no)) {
            return Ok(Rc::clone(raw));
        }
        let raw = Rc::new(shelf.read(self.sql, no)?);
        if self.blocks.len() >= BLOCKS {
            self.blocks.clear();
        }
        self.blocks.insert((shelf, no), Rc::clone(&raw));
        Ok(raw)
    }
}

impl Shelf {
    /// The bytes of a block.
    pub(super) fn read(self, sql: &Connection, no: i64) -> Result<Vec<u8>, Failure> {
        let select = match self {
            Self::Spans => "SELECT raw_length, data FROM block WHERE no = ?",
            Self::Records => "SELECT raw_length, data FROM record_block WHERE no = ?",
        };
        let mut statement = sql.prepare_cached(select)?;
        let mut rows = statement.query([no])?;
        let row = rows.next()?.ok_or_else(|| Failure::Corrupt(format!("block {no} of {self:?} is missing")))?;
        let raw_length: i64 = row.get(0)?;
        let data = row.get_ref(1)?.as_blob().map_err(rusqlite::Error::from)?;
        Ok(block::read(data, raw_length as usize)?)
    }
}

impl Origin {
    /// The schema of what lies in this scope: the scope's own, or else the resource's.
    fn schema_url_in<'a>(&'a self, resource: &'a Self) -> &'a str {
        if self.schema_url.is_empty() { &resource.schema_url } else { &self.schema_url }
    }
}

/// The entry at an offset of a block.
pub(super) fn entry(raw: &[u8], no: i64, at: i64) -> Result<Entry<'_>, Failure> {
    let entry = usize::try_from(at).ok().and_then(|at| block::entry(raw, at));
    entry.ok_or_else(|| Failure::Corrupt(format!("block {no} has nothing at {at}")))
}
