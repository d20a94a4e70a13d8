//! The ids that programs give to records and to their sessions. Many blocks have none of those that one asks for: a small filter of
//! nothing but names says so sooner than the block's filter of everything, and is wrong less often.

use rusqlite::{CachedStatement, Connection, OptionalExtension, params};
use scouter_client::RecordFilters;
use scouter_client::record::{RECORD_ID_ATTRIBUTE, SESSION_ATTRIBUTE};
use scouter_span::view::{LogRecordView, ValueView};

use crate::store::embedded::block;
use crate::store::embedded::bloom::{self, MANY_BITS, Terms};
use crate::store::embedded::failure::Failure;
use crate::store::embedded::snapshot::Shelf;

/// The attributes whose values are names.
const NAMED: [&str; 2] = [RECORD_ID_ATTRIBUTE, SESSION_ATTRIBUTE];

/// The names in one block so far.
#[derive(Debug, Default)]
pub(super) struct Names(Terms);

/// Puts the names of blocks into their table.
pub(super) struct NameWriter<'c>(CachedStatement<'c>);

impl Names {
    pub(super) fn note(&mut self, record: LogRecordView<'_>) {
        for attribute in NAMED {
            if let Some(name @ ValueView::Str(_)) = record.attributes().get(attribute) {
                self.0.insert(bloom::recorded(attribute, name));
            }
        }
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

impl<'c> NameWriter<'c> {
    pub(super) fn new(sql: &'c Connection) -> Result<Self, Failure> {
        let put =
            "INSERT INTO record_names (block, filter) VALUES (?1, ?2) ON CONFLICT (block) DO UPDATE SET filter = ?2";
        Ok(Self(sql.prepare_cached(put)?))
    }

    pub(super) fn put(&mut self, block: i64, names: &Names) -> Result<(), Failure> {
        self.0.execute(params![block, names.0.filter_with(MANY_BITS)])?;
        Ok(())
    }
}

/// Notes the names in all blocks that are there, as a database of version 2 needs it.
pub(in crate::store::embedded) fn name_all(sql: &Connection) -> Result<(), Failure> {
    let mut writer = NameWriter::new(sql)?;
    let mut select = sql.prepare("SELECT no FROM record_block")?;
    let blocks = select.query_map([], |row| row.get(0))?;
    for no in blocks {
        let no = no?;
        let mut names = Names::default();
        let raw = Shelf::Records.read(sql, no)?;
        block::entries_with_places(&raw).for_each(|(_, entry)| names.note(entry.as_record()));
        writer.put(no, &names)?;
    }
    Ok(())
}

/// The names that are asked for, as they stand in the filters.
pub(super) fn wanted(filters: &RecordFilters) -> Vec<u64> {
    let names = [(RECORD_ID_ATTRIBUTE, &filters.record_id), (SESSION_ATTRIBUTE, &filters.session_id)];
    let given = names.into_iter().filter_map(|(key, name)| Some((key, name.as_deref()?)));
    given.map(|(key, name)| bloom::recorded(key, ValueView::Str(name))).collect()
}

/// Whether a block may have records with all of these names.
pub(super) fn may_have(sql: &Connection, block: i64, names: &[u64]) -> Result<bool, Failure> {
    if names.is_empty() {
        return Ok(true);
    }
    let mut select = sql.prepare_cached("SELECT filter FROM record_names WHERE block = ?")?;
    let may = select.query_row([block], |row| {
        let filter = row.get_ref(0)?.as_blob()?;
        Ok(names.iter().all(|&name| bloom::may_contain(filter, name)))
    });
    // Without a filter nothing is known.
    Ok(may.optional()?.unwrap_or(true))
}
