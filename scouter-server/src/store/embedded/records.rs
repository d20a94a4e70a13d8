//! Records: how they are numbered, and how the wanted ones are found.

mod named;
mod page;
mod wanted;
mod writer;

use std::collections::HashMap;

use rusqlite::{Connection, params};
use scouter_client::{RecordFilters, RecordPage, record};
use scouter_span::TraceId;
use scouter_span::view::LogRecordView;

use super::bloom;
use super::cursor::Cursor;
use super::failure::Failure;
use super::snapshot::{self, Shelf, Snapshot};
use crate::store::embedded::block;
pub(super) use named::name_all;
use page::{Bounds, Page};
use wanted::Wanted;
pub(super) use writer::{RecordMemory, RecordWriter};

/// How many bits the offset of an entry needs: entries begin before a block is full.
const OFFSET_BITS: u32 = block::BLOCK_BYTES.trailing_zeros();

/// A tag with more records than this may be no short cut where something else is asked for, too.
const RARE: i64 = 1000;

/// The number of the record at this place: its block, and the offset of its entry in there. Later records have greater numbers.
pub(super) const fn number(block: i64, at: i64) -> i64 {
    block << OFFSET_BITS | at
}

/// Where the record with this number is.
pub(super) const fn place(number: i64) -> (i64, i64) {
    (number >> OFFSET_BITS, number & ((1 << OFFSET_BITS) - 1))
}

/// The page of records that satisfy the filters.
pub(super) fn find(snapshot: &mut Snapshot<'_>, filters: &RecordFilters) -> Result<RecordPage, Failure> {
    filters.validate()?;
    let cursor = filters.cursor.as_deref().map(Cursor::parse).transpose()?;
    let bounds = Bounds::new(filters.start_time, filters.end_time, cursor);
    let mut page = Page::new(bounds, filters.page_size() as usize);
    let Some(wanted) = Wanted::new(snapshot, filters)? else { return page.read(snapshot) };
    if let Some(id) = filters.trace_id {
        for no in of_trace(snapshot.sql, id)? {
            consider(snapshot, &wanted, no, &mut page)?;
        }
    } else if let Some(tag) = leading_tag(snapshot.sql, &wanted)? {
        by_tag(snapshot, &wanted, tag, &mut page)?;
    } else {
        by_block(snapshot, &wanted, &mut page)?;
    }
    page.read(snapshot)
}

/// When a record happened, as the tables hold it: cut to 63 bits.
fn time_of(view: LogRecordView<'_>) -> i64 {
    i64::try_from(record::time(view)).unwrap_or(i64::MAX)
}

/// The half of a trace's id that the table has.
fn half(id: TraceId) -> i64 {
    id.to_int() as i64
}

/// The records that are of the trace, and maybe some that are not.
pub(super) fn of_trace(sql: &Connection, id: TraceId) -> Result<Vec<i64>, Failure> {
    let mut statement = sql.prepare_cached("SELECT record FROM record_trace WHERE trace = ?")?;
    let records = statement.query_map([half(id)], |row| row.get(0))?;
    Ok(records.collect::<Result<_, _>>()?)
}

fn consider(snapshot: &mut Snapshot<'_>, wanted: &Wanted<'_>, no: i64, page: &mut Page) -> Result<(), Failure> {
    let (block, at) = place(no);
    let raw = snapshot.block(Shelf::Records, block)?;
    let entry = snapshot::entry(&raw, block, at)?;
    let place = Cursor { time: time_of(entry.as_record()), no };
    if page.takes(place) && wanted.fits(snapshot, entry)? {
        page.add(place);
    }
    Ok(())
}

/// The tag that leads to the wanted records soonest: the one with the fewest of them, unless more is asked for than tags and it has
/// many. Blocks are then left out by all that is asked for.
fn leading_tag(sql: &Connection, wanted: &Wanted<'_>) -> Result<Option<(i64, i64)>, Failure> {
    let mut rarest: Option<(i64, (i64, i64))> = None;
    for &(name, value) in &wanted.tags {
        let count = "SELECT count(*) FROM (SELECT 1 FROM record_tag WHERE name = ? AND value = ? LIMIT ?)";
        let count = sql.prepare_cached(count)?.query_row([name, value, RARE], |row| row.get::<_, i64>(0))?;
        if rarest.is_none_or(|(least, _)| count < least) {
            rarest = Some((count, (name, value)));
        }
    }
    Ok(rarest.filter(|(count, _)| *count < RARE || wanted.is_only_tags).map(|(_, tag)| tag))
}

/// Goes through the records of a tag, newest first.
fn by_tag(
    snapshot: &mut Snapshot<'_>,
    wanted: &Wanted<'_>,
    (name, value): (i64, i64),
    page: &mut Page,
) -> Result<(), Failure> {
    let sql = snapshot.sql;
    let mut statement = sql.prepare_cached(
        "SELECT record FROM record_tag WHERE name = ? AND value = ? AND time BETWEEN ? AND ? \
         ORDER BY time DESC, record DESC",
    )?;
    let Bounds { earliest, latest, .. } = *page.bounds();
    let mut rows = statement.query([name, value, earliest, latest])?;
    while !page.is_full()
        && let Some(row) = rows.next()?
    {
        consider(snapshot, wanted, row.get(0)?, page)?;
    }
    Ok(())
}

/// Goes through the blocks that may have wanted records, the ones with the latest records first.
fn by_block(snapshot: &mut Snapshot<'_>, wanted: &Wanted<'_>, page: &mut Page) -> Result<(), Failure> {
    let sql = snapshot.sql;
    let mut statement =
        sql.prepare_cached("SELECT no, last FROM record_block WHERE last >= ?1 AND first <= ?2 ORDER BY last DESC")?;
    let mut select_bloom = sql.prepare_cached("SELECT bloom FROM record_block WHERE no = ?")?;
    let Bounds { earliest, latest, .. } = *page.bounds();
    let mut rows = statement.query(params![earliest, latest])?;
    while let Some(row) = rows.next()? {
        let (no, last): (i64, i64) = (row.get(0)?, row.get(1)?);
        if page.is_done_before(last) {
            break;
        }
        let is_hopeful = named::may_have(sql, no, &wanted.names)?
            && (wanted.terms.is_empty()
                || select_bloom.query_row([no], |row| {
                    let filter = row.get_ref(0)?.as_blob()?;
                    Ok(wanted.terms.iter().all(|&term| bloom::may_contain(filter, term)))
                })?);
        if !is_hopeful {
            continue;
        }
        let raw = snapshot.block(Shelf::Records, no)?;
        for (at, entry) in block::entries_with_places(&raw) {
            let place = Cursor { time: time_of(entry.as_record()), no: number(no, at as i64) };
            if page.takes(place) && wanted.fits(snapshot, entry)? {
                page.add(place);
            }
        }
    }
    Ok(())
}

/// How often each tag of the trace's records stands among those that are counted.
pub(super) fn tags_of_trace(
    snapshot: &mut Snapshot<'_>,
    filters: &RecordFilters,
) -> Result<HashMap<(String, String), u64>, Failure> {
    let bounds = Bounds::new(filters.start_time, filters.end_time, None);
    let mut counts = HashMap::new();
    let Some((id, wanted)) = filters.trace_id.zip(Wanted::new(snapshot, filters)?) else { return Ok(counts) };
    for no in of_trace(snapshot.sql, id)? {
        let (block, at) = place(no);
        let raw = snapshot.block(Shelf::Records, block)?;
        let entry = snapshot::entry(&raw, block, at)?;
        if bounds.has(Cursor { time: time_of(entry.as_record()), no }) && wanted.fits(snapshot, entry)? {
            for tag in snapshot.record(no)?.tags {
                *counts.entry(tag).or_default() += 1;
            }
        }
    }
    Ok(counts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_say_where_records_are() {
        for (block, at) in [(1, 0), (1, 262_143), (70_000_000, 1)] {
            assert_eq!(place(number(block, at)), (block, at));
        }
        assert!(number(2, 0) > number(1, 262_143));
    }
}
