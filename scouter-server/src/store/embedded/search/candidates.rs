//! The query that leads to the traces that may be wanted, in the order they are to be shown.

use std::collections::BTreeSet;

use rusqlite::Connection;
use rusqlite::types::Value;
use scouter_client::TraceFilters;

use super::Wanted;
use crate::store::embedded::cursor::Cursor;
use crate::store::embedded::failure::Failure;
use crate::store::embedded::snapshot::{Shelf, Snapshot};
use crate::store::embedded::traces::select_traces;
use crate::store::embedded::{block, bloom};

/// A tag with more traces than this is no short cut: the newest of them are found sooner by going through all traces.
const RARE: i64 = 20_000;

/// So many blocks are looked into at any rate. Where attributes may be in more of them than this, and in more than an eighth of
/// all, the newest traces that have them are found sooner by going through traces.
const FEW_BLOCKS: usize = 64;

/// A query and what to bind to it.
#[derive(Debug)]
pub(super) struct Query {
    pub(super) sql: String,
    pub(super) values: Vec<Value>,
    /// Whether it yields only traces with a span of the wanted service.
    pub(super) tells_service: bool,
}

pub(super) fn query(
    snapshot: &mut Snapshot<'_>,
    filters: &TraceFilters,
    wanted: &Wanted,
    cursor: Option<Cursor>,
) -> Result<Query, Failure> {
    // The columns to compare and to sort by, the ones of the index that leads the way.
    let (mut start, mut no) = ("t.start", "t.no");
    let mut query = Query { sql: String::new(), values: Vec::new(), tells_service: false };
    if filters.trace_id.is_some() || filters.trace_ids.is_some() {
        query.sql += select_traces!("FROM trace t WHERE t.id IN (SELECT unhex(value) FROM json_each(?))");
        query.values.push(ids(filters).into());
    } else if let Some(tag) = rare_tag(snapshot.sql, wanted)? {
        query.sql +=
            select_traces!("FROM trace_tag d CROSS JOIN trace t ON t.no = d.trace WHERE d.name = ? AND d.value = ?");
        query.values.extend([tag.0.into(), tag.1.into()]);
    } else if let Some(traces) = rare_attributes(snapshot, filters, wanted)? {
        query.sql += select_traces!("FROM trace t WHERE t.no IN (SELECT value FROM json_each(?))");
        query.values.push(traces.into());
    } else if let Some(service) = wanted.service {
        query.sql += select_traces!("FROM trace_service d CROSS JOIN trace t ON t.no = d.trace WHERE d.service = ?");
        query.values.push(service.into());
        query.tells_service = true;
        (start, no) = ("d.start", "d.trace");
    } else if filters.has_errors == Some(true) {
        query.sql += select_traces!("FROM trace t INDEXED BY trace_with_errors WHERE t.errors > 0");
    } else {
        query.sql += select_traces!("FROM trace t INDEXED BY trace_by_start WHERE true");
    }
    let clamp = |time: u64| i64::try_from(time).unwrap_or(i64::MAX);
    let earliest = filters.start_time.map_or(0, clamp);
    // The end is not part of the range. A start beyond 63 bits is stored as the greatest number, so that one is.
    let latest = filters.end_time.map_or(i64::MAX, |end| i64::try_from(end).map_or(i64::MAX, |end| end - 1));
    let latest = cursor.map_or(latest, |cursor| latest.min(cursor.time));
    query.sql += &format!(" AND {start} BETWEEN ? AND ?");
    query.values.extend([earliest.into(), latest.into()]);
    if let Some(cursor) = cursor {
        query.sql += &format!(" AND ({start} < ? OR {no} < ?)");
        query.values.extend([cursor.time.into(), cursor.no.into()]);
    }
    match filters.has_errors {
        Some(true) => query.sql += " AND t.errors > 0",
        Some(false) => query.sql += " AND t.errors = 0",
        None => {}
    }
    for (comparison, milliseconds) in [(">=", filters.min_duration_ms), ("<=", filters.max_duration_ms)] {
        if let Some(milliseconds) = milliseconds {
            query.sql += &format!(" AND t.stop - t.start {comparison} ?");
            query.values.push((milliseconds * 1e6).into());
        }
    }
    query.sql += &format!(" ORDER BY {start} DESC, {no} DESC");
    Ok(query)
}

/// The ids as a JSON list: those that both filters name.
fn ids(filters: &TraceFilters) -> String {
    let several = filters.trace_ids.as_deref();
    let ids: Vec<_> = match (filters.trace_id, several) {
        (Some(id), several) => Vec::from_iter(several.is_none_or(|ids| ids.contains(&id)).then_some(id)),
        (None, several) => several.unwrap_or_default().to_vec(),
    };
    let ids: Vec<_> = ids.iter().map(|id| format!("\"{id}\"")).collect();
    format!("[{}]", ids.join(","))
}

/// The tag with the fewest traces, if they are few.
fn rare_tag(sql: &Connection, wanted: &Wanted) -> Result<Option<(i64, i64)>, Failure> {
    let mut rarest: Option<(i64, (i64, i64))> = None;
    for tag in &wanted.tags {
        let count = "SELECT count(*) FROM (SELECT 1 FROM trace_tag WHERE name = ? AND value = ? LIMIT ?)";
        let count = sql.prepare_cached(count)?.query_row([tag.name, tag.value, RARE], |row| row.get::<_, i64>(0))?;
        if count < rarest.map_or(RARE, |(least, _)| least) {
            rarest = Some((count, (tag.name, tag.value)));
        }
    }
    Ok(rarest.map(|(_, tag)| tag))
}

/// The traces that have a span with the attributes, as a JSON list, if the blocks' filters leave few blocks to look into.
fn rare_attributes(
    snapshot: &mut Snapshot<'_>,
    filters: &TraceFilters,
    wanted: &Wanted,
) -> Result<Option<String>, Failure> {
    if wanted.terms.is_empty() {
        return Ok(None);
    }
    // No span of a trace begins before the trace.
    let earliest = filters.start_time.map_or(0, |time| i64::try_from(time).unwrap_or(i64::MAX));
    let sql = snapshot.sql;
    let mut statement = sql.prepare_cached("SELECT no, bloom FROM block WHERE last >= ?")?;
    let mut rows = statement.query([earliest])?;
    let (mut all, mut hopeful) = (0, Vec::new());
    while let Some(row) = rows.next()? {
        all += 1;
        let filter = row.get_ref(1)?.as_blob().map_err(rusqlite::Error::from)?;
        if wanted.terms.iter().all(|&term| bloom::may_contain(filter, term)) {
            hopeful.push(row.get(0)?);
        }
    }
    if hopeful.len() > FEW_BLOCKS.max(all / 8) {
        return Ok(None);
    }
    let mut traces = BTreeSet::new();
    for no in hopeful {
        let block = snapshot.block(Shelf::Spans, no)?;
        for entry in block::entries(&block) {
            if !traces.contains(&entry.trace) && wanted.fits(snapshot, entry)? {
                traces.insert(entry.trace);
            }
        }
    }
    let traces: Vec<_> = traces.iter().map(i64::to_string).collect();
    Ok(Some(format!("[{}]", traces.join(","))))
}
