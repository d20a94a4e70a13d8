//! Finding traces: which index leads to them, and whether one found there is wanted.

mod candidates;

use std::collections::HashMap;

use rusqlite::{OptionalExtension, params_from_iter};
use scouter_client::filters::{ENTITY_ATTRIBUTE, TAG_PREFIX};
use scouter_client::{TraceFilters, span};
use scouter_span::view::Resource;
use serde_json::Value;

use super::block::Entry;
use super::bloom;
use super::cursor::Cursor;
use super::failure::Failure;
use super::names::find_text;
use super::snapshot::{self, Shelf, Snapshot};
use super::traces::TraceRow;
use super::value::same;

/// Traces that are wanted, newest first.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) traces: Vec<TraceRow>,
    pub(super) next_cursor: Option<String>,
}

/// The page of traces that satisfy the filters.
pub(super) fn find(snapshot: &mut Snapshot<'_>, filters: &TraceFilters) -> Result<Found, Failure> {
    filters.validate()?;
    let cursor = filters.cursor.as_deref().map(Cursor::parse).transpose()?;
    let mut found = Found::default();
    let Some(mut wanted) = Wanted::new(snapshot, filters)? else { return Ok(found) };
    let query = candidates::query(snapshot, filters, &wanted, cursor)?;
    wanted.service_is_certain = query.tells_service;
    let mut statement = snapshot.sql.prepare_cached(&query.sql)?;
    let mut rows = statement.query(params_from_iter(query.values))?;
    while let Some(row) = rows.next()? {
        let trace = TraceRow::read(row)?;
        if !wanted.has(snapshot, trace.no)? {
            continue;
        }
        if found.traces.len() == filters.page_size() as usize {
            found.next_cursor = found.traces.last().map(|last| Cursor { time: last.start, no: last.no }.to_string());
            break;
        }
        found.traces.push(trace);
    }
    Ok(found)
}

/// What one span of the trace must be.
#[derive(Debug)]
struct Wanted {
    service: Option<i64>,
    name: Option<i64>,
    status: Option<i64>,
    /// The names and values of tags and of the entity, as texts and by their numbers.
    tags: Vec<Tag>,
    attributes: Vec<(String, Value)>,
    /// The attributes' pairs in the blocks' filters.
    terms: Vec<u64>,
    /// The answers of the filters of the blocks met so far.
    blocks: HashMap<i64, bool>,
    /// Whether every candidate has a span of the service, so that nobody needs to look when nothing else is asked.
    service_is_certain: bool,
}

#[derive(Debug)]
struct Tag {
    key: String,
    text: String,
    name: i64,
    value: i64,
}

impl Wanted {
    /// `None` when a service, name or tag is asked for that no span ever had.
    fn new(snapshot: &Snapshot<'_>, filters: &TraceFilters) -> Result<Option<Self>, Failure> {
        let mut unknown = false;
        let mut number = |text: Option<&str>| -> Result<Option<i64>, Failure> {
            let number = text.map(|text| find_text(snapshot.sql, text)).transpose()?;
            unknown |= number == Some(None);
            Ok(number.flatten())
        };
        let service = number(filters.service_name.as_deref())?;
        let name = number(filters.span_name.as_deref())?;
        let mut texts: Vec<(String, String)> = Vec::new();
        texts.extend(filters.tags.iter().map(|(tag, text)| (format!("{TAG_PREFIX}{tag}"), text.clone())));
        texts.extend(filters.entity_uid.iter().map(|uid| (ENTITY_ATTRIBUTE.to_owned(), uid.clone())));
        let mut tags = Vec::with_capacity(texts.len());
        for (key, text) in texts {
            if let (Some(name), Some(value)) = (number(Some(&key))?, number(Some(&text))?) {
                tags.push(Tag { key, text, name, value });
            }
        }
        if unknown {
            return Ok(None);
        }
        let attributes: Vec<_> = filters.attributes.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
        let terms = attributes.iter().map(|(key, value)| bloom::wanted(key, value)).collect();
        let status = filters.status_code.map(|code| code as i64);
        let blocks = HashMap::new();
        Ok(Some(Self { service, name, status, tags, attributes, terms, blocks, service_is_certain: false }))
    }

    /// Whether the trace has a span that is all of it.
    fn has(&mut self, snapshot: &mut Snapshot<'_>, trace: i64) -> Result<bool, Failure> {
        let content = !(self.tags.is_empty() && self.attributes.is_empty());
        let index = self.name.is_some() || self.status.is_some();
        if !content && !index && (self.service.is_none() || self.service_is_certain) {
            return Ok(true);
        }
        if !self.has_tags(snapshot, trace)? {
            return Ok(false);
        }
        let sql = snapshot.sql;
        let mut statement = sql.prepare_cached("SELECT block, at, service, name, status FROM span WHERE trace = ?")?;
        let mut rows = statement.query([trace])?;
        while let Some(row) = rows.next()? {
            let is = |wanted: Option<i64>, column: usize| -> Result<bool, Failure> {
                Ok(wanted.is_none_or(|wanted| row.get_ref(column).and_then(|it| Ok(it.as_i64()?)) == Ok(wanted)))
            };
            if !(is(self.service, 2)? && is(self.name, 3)? && is(self.status, 4)?) {
                continue;
            }
            if !content || self.is_at(snapshot, row.get(0)?, row.get(1)?)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether spans of the trace have the tags, maybe not all the same span.
    fn has_tags(&self, snapshot: &Snapshot<'_>, trace: i64) -> Result<bool, Failure> {
        for tag in &self.tags {
            let query = "SELECT 1 FROM trace_tag WHERE name = ? AND value = ? AND trace = ?";
            if !snapshot.sql.prepare_cached(query)?.exists([tag.name, tag.value, trace])? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether the span at this place has the attributes and tags.
    fn is_at(&mut self, snapshot: &mut Snapshot<'_>, no: i64, at: i64) -> Result<bool, Failure> {
        if !self.may_be_in(snapshot, no)? {
            return Ok(false);
        }
        let block = snapshot.block(Shelf::Spans, no)?;
        self.fits(snapshot, snapshot::entry(&block, no, at)?)
    }

    /// Whether this span has the attributes and tags.
    fn fits(&self, snapshot: &mut Snapshot<'_>, entry: Entry<'_>) -> Result<bool, Failure> {
        let own = entry.span().attributes();
        for tag in &self.tags {
            let value = own.get(&tag.key).map(span::tag_text);
            if value.as_ref() != Some(&tag.text) {
                return Ok(false);
            }
        }
        for (key, expected) in &self.attributes {
            let value = match own.get(key) {
                Some(value) => Some(span::value(value)),
                None => {
                    let resource = snapshot.resource(entry.resource)?;
                    Resource::new(&resource.bytes).attributes().get(key).map(span::value)
                }
            };
            if !value.is_some_and(|value| same(expected, &value)) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether the block's filter leaves hope for all attributes.
    fn may_be_in(&mut self, snapshot: &Snapshot<'_>, no: i64) -> Result<bool, Failure> {
        if let Some(&answer) = self.blocks.get(&no) {
            return Ok(answer);
        }
        let mut statement = snapshot.sql.prepare_cached("SELECT bloom FROM block WHERE no = ?")?;
        let terms = &self.terms;
        let answer = statement.query_row([no], |row| {
            let filter = row.get_ref(0)?.as_blob()?;
            Ok(terms.iter().all(|&term| bloom::may_contain(filter, term)))
        });
        let answer = answer.optional()?.unwrap_or(true);
        self.blocks.insert(no, answer);
        Ok(answer)
    }
}
