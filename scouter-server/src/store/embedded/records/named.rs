//! The ids that programs give to records and to their sessions: the short way to the few records that have one.

use rusqlite::{CachedStatement, Connection, params};
use scouter_client::RecordFilters;
use scouter_client::record::{RECORD_ID_ATTRIBUTE, SESSION_ATTRIBUTE};
use scouter_span::view::{LogRecordView, ValueView};

use super::writer::key;
use super::{RARE, number};
use crate::store::embedded::block;
use crate::store::embedded::failure::Failure;
use crate::store::embedded::snapshot::Shelf;

/// The attributes whose values are names. What has the same name in both is told apart by the record itself.
const NAMED: [&str; 2] = [RECORD_ID_ATTRIBUTE, SESSION_ATTRIBUTE];

/// Puts names into their table.
pub(super) struct NameWriter<'c>(CachedStatement<'c>);

impl<'c> NameWriter<'c> {
    pub(super) fn new(sql: &'c Connection) -> Result<Self, Failure> {
        // A record may have the same name twice, as its own and as its session's.
        Ok(Self(sql.prepare_cached("INSERT OR IGNORE INTO record_name (name, record) VALUES (?, ?)")?))
    }

    /// The names of the record with this number.
    pub(super) fn add(&mut self, record: LogRecordView<'_>, no: i64) -> Result<(), Failure> {
        for attribute in NAMED {
            if let Some(ValueView::Str(name)) = record.attributes().get(attribute) {
                self.0.execute([key(name), no])?;
            }
        }
        Ok(())
    }
}

/// Names all records that are there, as a database of version 2 needs it.
pub(in crate::store::embedded) fn name_all(sql: &Connection) -> Result<(), Failure> {
    let mut writer = NameWriter::new(sql)?;
    let mut select = sql.prepare("SELECT no FROM record_block")?;
    let blocks = select.query_map([], |row| row.get(0))?;
    for no in blocks {
        let no = no?;
        let raw = Shelf::Records.read(sql, no)?;
        for (at, entry) in block::entries_with_places(&raw) {
            writer.add(entry.as_record(), number(no, at as i64))?;
        }
    }
    Ok(())
}

/// The records that may have the names that are asked for, unless no name is, or too many have it: blocks are then left out by all
/// that is asked for.
pub(super) fn few(sql: &Connection, filters: &RecordFilters) -> Result<Option<Vec<i64>>, Failure> {
    let mut select = sql.prepare_cached("SELECT record FROM record_name WHERE name = ? LIMIT ?")?;
    for name in [&filters.record_id, &filters.session_id].into_iter().flatten() {
        let records = select.query_map(params![key(name), RARE], |row| row.get(0))?;
        let records = records.collect::<Result<Vec<i64>, _>>()?;
        if records.len() < RARE as usize {
            return Ok(Some(records));
        }
    }
    Ok(None)
}
