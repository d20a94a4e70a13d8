//! The records of requests go into their tables.

use std::borrow::Cow;
use std::io;

use rusqlite::{CachedStatement, Connection, params};
use scouter_client::filters::{ENTITY_ATTRIBUTE, TAG_PREFIX};
use scouter_client::record::UID_ATTRIBUTE;
use scouter_client::span;
use scouter_span::view::{KeyValue, LogRecordView, LogsRequest, Resource, ValueView};

use super::named::{NameWriter, Names};
use super::wanted::{EVENT_TERM, SPAN_TERM};
use super::{half, number, place, time_of};
use crate::store::Written;
use crate::store::embedded::batch::Memory;
use crate::store::embedded::block::{self, Entry, Tail};
use crate::store::embedded::bloom;
use crate::store::embedded::failure::Failure;
use crate::store::embedded::snapshot::Shelf;

/// What the writer remembers of records from one transaction to the next.
pub(in crate::store::embedded) struct RecordMemory {
    tail: Tail,
    /// The names in it.
    names: Names,
    /// The block that a record was last compared with.
    compared: Option<(i64, Vec<u8>)>,
}

/// Writes records.
pub(in crate::store::embedded) struct RecordWriter<'c> {
    sql: &'c Connection,
    find_key: CachedStatement<'c>,
    insert_key: CachedStatement<'c>,
    insert_trace: CachedStatement<'c>,
    insert_tag: CachedStatement<'c>,
    names: NameWriter<'c>,
    put_block: CachedStatement<'c>,
}

/// Where records come from, once for many of them.
#[derive(Clone, Copy)]
struct Origin<'a> {
    resource: Resource<'a>,
    resource_no: i64,
    scope_no: i64,
}

impl RecordMemory {
    /// The next block is the one with this number.
    pub(in crate::store::embedded) fn new(no: i64) -> io::Result<Self> {
        Ok(Self { tail: Tail::new(no)?, names: Names::default(), compared: None })
    }
}

impl<'c> RecordWriter<'c> {
    pub(in crate::store::embedded) fn new(sql: &'c Connection) -> Result<Self, Failure> {
        Ok(Self {
            sql,
            find_key: sql.prepare_cached("SELECT record FROM record_key WHERE key = ?")?,
            insert_key: sql.prepare_cached("INSERT INTO record_key (key, record) VALUES (?1, ?2)")?,
            insert_trace: sql.prepare_cached("INSERT INTO record_trace (trace, record) VALUES (?1, ?2)")?,
            insert_tag: sql.prepare_cached(
                "INSERT OR IGNORE INTO record_tag (name, value, time, record) VALUES (?1, ?2, ?3, ?4)",
            )?,
            names: NameWriter::new(sql)?,
            put_block: sql.prepare_cached(
                "INSERT INTO record_block (no, raw_length, first, last, bloom, data) VALUES (?1, ?2, ?3, ?4, ?5, ?6) \
                 ON CONFLICT (no) DO UPDATE SET raw_length = ?2, first = ?3, last = ?4, bloom = ?5, data = ?6",
            )?,
        })
    }

    /// Puts the records of a request in.
    pub(in crate::store::embedded) fn add(
        &mut self,
        memory: &mut Memory,
        request: LogsRequest<'_>,
    ) -> Result<Written, Failure> {
        let mut written = Written::default();
        let (mut at, mut request_hash) = (0, None);
        for resource_logs in request.resource_logs() {
            let resource = resource_logs.resource();
            let resource_no = memory.resources.number(self.sql, resource.bytes(), resource_logs.schema_url())?;
            // The block whose filter has the resource's attributes already.
            let mut noted = None;
            for scope_logs in resource_logs.scope_logs() {
                let scope = scope_logs.scope();
                let scope_no = memory.scopes.number(self.sql, scope.bytes(), scope_logs.schema_url())?;
                let origin = Origin { resource, resource_no, scope_no };
                for record in scope_logs.records() {
                    let uid = uid(record);
                    let key = match uid {
                        Some(uid) => key(uid),
                        None => {
                            let hash = *request_hash.get_or_insert_with(|| bloom::content(request.bytes()));
                            bloom::content(&[hash.to_le_bytes(), u64::to_le_bytes(at)].concat()) as i64
                        }
                    };
                    at += 1;
                    if self.has(memory, key, record, origin)? {
                        written.duplicates += 1;
                    } else {
                        self.add_record(memory, key, record, origin, &mut noted)?;
                        written.stored += 1;
                    }
                }
            }
        }
        Ok(written)
    }

    /// Whether the record is there already. Different records may have the same key; their bytes tell.
    fn has(
        &mut self,
        memory: &mut Memory,
        key: i64,
        record: LogRecordView<'_>,
        origin: Origin<'_>,
    ) -> Result<bool, Failure> {
        let candidates = self.find_key.query_map([key], |row| row.get(0))?;
        for candidate in candidates.collect::<Result<Vec<i64>, _>>()? {
            let (no, at) = place(candidate);
            let RecordMemory { tail, compared, .. } = &mut memory.records;
            let raw = if no == tail.no {
                tail.raw()
            } else {
                if compared.as_ref().is_none_or(|(compared, _)| *compared != no) {
                    *compared = Some((no, Shelf::Records.read(self.sql, no)?));
                }
                compared.as_ref().map(|(_, raw)| raw.as_slice()).unwrap_or_default()
            };
            let entry = crate::store::embedded::snapshot::entry(raw, no, at)?;
            let is_same = match (uid(record), uid(entry.as_record())) {
                (Some(one), Some(other)) => one == other,
                (None, None) => {
                    entry.as_record().bytes() == record.bytes()
                        && (entry.resource, entry.scope) == (origin.resource_no, origin.scope_no)
                }
                _ => false,
            };
            if is_same {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn add_record(
        &mut self,
        memory: &mut Memory,
        key: i64,
        record: LogRecordView<'_>,
        origin: Origin<'_>,
        noted: &mut Option<i64>,
    ) -> Result<(), Failure> {
        let time = time_of(record);
        let RecordMemory { tail, names, .. } = &mut memory.records;
        let no = number(tail.no, tail.end());
        self.insert_key.execute([key, no])?;
        if let Some(id) = record.trace_id() {
            self.insert_trace.execute([half(id), no])?;
        }
        names.note(record);
        tail.push(Entry::record(record).of(origin.resource_no, origin.scope_no, 0), time);
        if *noted != Some(tail.no) {
            origin.resource.attributes().iter().for_each(|attribute| tail.note(attribute));
            *noted = Some(tail.no);
        }
        if let Some(id) = record.span_id() {
            tail.note_text(SPAN_TERM, &id.to_string());
        }
        tail.note_text(EVENT_TERM, record.event_name());
        let mut tags: Vec<KeyValue<'_>> = Vec::new();
        for attribute in record.attributes().iter() {
            tail.note(attribute);
            if attribute.key.starts_with(TAG_PREFIX) || attribute.key == ENTITY_ATTRIBUTE {
                // Of several values under one key the last counts.
                tags.retain(|tag| tag.key != attribute.key);
                tags.push(attribute);
            }
        }
        for KeyValue { key, value } in tags {
            let text = match value {
                ValueView::Str(text) => Cow::Borrowed(text),
                // An entity is named by a text, a tag's value may be anything.
                _ if key == ENTITY_ATTRIBUTE => continue,
                other => Cow::Owned(span::tag_text(other)),
            };
            tail.note_text(key, &text);
            let name = memory.names.number(self.sql, key)?;
            let value = memory.names.number(self.sql, &text)?;
            self.insert_tag.execute([name, value, time, no])?;
        }
        if tail.is_full() {
            self.put_tail(&mut memory.records)?;
            let RecordMemory { tail, names, .. } = &mut memory.records;
            tail.advance(tail.no + 1);
            names.clear();
        }
        Ok(())
    }

    fn put_tail(&mut self, memory: &mut RecordMemory) -> Result<(), Failure> {
        let no = memory.tail.no;
        let block::Stored { raw_length, first, last, bloom, data } = memory.tail.stored()?;
        self.put_block.execute(params![no, raw_length, first, last, bloom, data])?;
        self.names.put(no, &memory.names)
    }

    /// Writes what was only gathered so far. The commit is the caller's.
    pub(in crate::store::embedded) fn finish(&mut self, memory: &mut Memory) -> Result<(), Failure> {
        match memory.records.tail.is_dirty() {
            true => self.put_tail(&mut memory.records),
            false => Ok(()),
        }
    }
}

/// The id that no other record has.
fn uid(record: LogRecordView<'_>) -> Option<&str> {
    match record.attributes().get(UID_ATTRIBUTE) {
        Some(ValueView::Str(uid)) if !uid.is_empty() => Some(uid),
        _ => None,
    }
}

/// The key of a record with this id. The keys of version 7 UUIDs (RFC 9562, section 5.7) are in the order of their time: keys of new
/// records then lie together, and the index against duplicates grows at one end.
fn key(uid: &str) -> i64 {
    let hash = bloom::content(uid.as_bytes());
    let milliseconds = || {
        let (high, rest) = uid.split_once('-')?;
        let (low, rest) = rest.split_once('-')?;
        let is_version_7 = uid.len() == 36 && high.len() == 8 && low.len() == 4 && rest.starts_with('7');
        let digits = |text| u64::from_str_radix(text, 16).ok();
        is_version_7.then_some(digits(high)? << 16 | digits(low)?)
    };
    match milliseconds() {
        Some(milliseconds) => (milliseconds << 16 | hash >> 48) as i64,
        None => hash as i64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_uuids_are_in_the_order_of_their_time() {
        let uuids = ["017f22e2-79b0-7cc3-98c4-dc0c0c07398f", "017f22e2-79b1-7000-8000-000000000000"];
        assert_eq!(key(uuids[0]) >> 16, 0x017f_22e2_79b0);
        assert!(key(uuids[0]) < key(uuids[1]));
        assert_ne!(key(uuids[0]), key("017f22e2-79b0-7cc3-98c4-dc0c0c07398e"));
        for other in ["", "x", "017f22e2-79b0-4cc3-98c4-dc0c0c07398f", "+17f22e2-79b0-7cc3-98c4-dc0c0c07398", "é-7-7"]
        {
            assert_eq!(key(other), bloom::content(other.as_bytes()) as i64, "{other}");
        }
    }
}
