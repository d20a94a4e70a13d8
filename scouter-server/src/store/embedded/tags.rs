//! The tags that are known, and how much carries each.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use rusqlite::types::Value;
use rusqlite::{Connection, Row, Rows, params_from_iter};
use scouter_client::filters::{ENTITY_ATTRIBUTE, TAG_PREFIX};
use scouter_client::{RecordFilters, Tag, TagFilters, TraceFilters};

use super::failure::Failure;
use super::names::find_text;
use super::records;
use super::search;
use super::snapshot::Snapshot;

/// The tags that satisfy the filters: by key, the values that most traces and records have first.
pub(super) fn find(snapshot: &mut Snapshot<'_>, filters: &TagFilters) -> Result<Vec<Tag>, Failure> {
    filters.validate()?;
    let most = filters.most() as usize;
    if filters.trace_id.is_some() {
        return of_trace(snapshot, filters, most);
    }
    let entity = match &filters.entity_uid {
        Some(uid) => match (find_text(snapshot.sql, ENTITY_ATTRIBUTE)?, find_text(snapshot.sql, uid)?) {
            (Some(name), Some(value)) => Some((name, value)),
            _ => return Ok(Vec::new()),
        },
        None => None,
    };
    let mut tags = Vec::new();
    for (key, name) in keys(snapshot.sql, filters)? {
        if tags.len() >= most {
            break;
        }
        tags.extend(values(snapshot.sql, filters, &key, name, entity, most - tags.len())?);
    }
    Ok(tags)
}

/// Every tag that anything has, in alphabetical order, with the number of its attribute's name. Leaps from one to the next in the
/// indices, however much carries each.
fn keys(sql: &Connection, filters: &TagFilters) -> Result<BTreeMap<String, i64>, Failure> {
    let mut keys = BTreeMap::new();
    for table in ["trace_tag", "record_tag"] {
        let mut statement = sql.prepare_cached(&format!(
            "WITH RECURSIVE met (name) AS ( \
             SELECT min(name) FROM {table} \
             UNION ALL \
             SELECT (SELECT min(name) FROM {table} WHERE name > met.name) FROM met WHERE met.name IS NOT NULL) \
             SELECT text, name FROM met JOIN text ON text.id = met.name"
        ))?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let attribute = row.get_ref(0)?.as_str().map_err(rusqlite::Error::from)?;
            if let Some(key) = attribute.strip_prefix(TAG_PREFIX)
                && filters.key.as_deref().is_none_or(|wanted| wanted == key)
            {
                keys.insert(key.to_owned(), row.get(1)?);
            }
        }
    }
    Ok(keys)
}

/// The values of a tag, in the order of their numbers, and how often each stands in a table.
struct Counts<'s> {
    rows: Rows<'s>,
    next: Option<(i64, u64)>,
}

impl<'s> Counts<'s> {
    fn new(mut rows: Rows<'s>) -> Result<Self, Failure> {
        let next = rows.next()?.map(Self::read).transpose()?;
        Ok(Self { rows, next })
    }

    fn read(row: &Row<'_>) -> Result<(i64, u64), Failure> {
        Ok((row.get(0)?, row.get::<_, i64>(1)? as u64))
    }

    /// How often this value stands there, if it is the next.
    fn take(&mut self, value: i64) -> Result<u64, Failure> {
        match self.next {
            Some((next, count)) if next == value => {
                self.next = self.rows.next()?.map(Self::read).transpose()?;
                Ok(count)
            }
            _ => Ok(0),
        }
    }
}

/// The values of one tag that are carried most, so many at most.
fn values(
    sql: &Connection,
    filters: &TagFilters,
    key: &str,
    name: i64,
    entity: Option<(i64, i64)>,
    most: usize,
) -> Result<Vec<Tag>, Failure> {
    let bounds = Bounds::new(filters);
    let (trace_query, trace_values) = trace_query(name, entity, bounds);
    let (record_query, record_values) = record_query(name, entity, bounds);
    let mut statements = (sql.prepare_cached(&trace_query)?, sql.prepare_cached(&record_query)?);
    let mut traces = Counts::new(statements.0.query(params_from_iter(trace_values))?)?;
    let mut records = Counts::new(statements.1.query(params_from_iter(record_values))?)?;
    let mut select_text = sql.prepare_cached("SELECT text FROM text WHERE id = ?")?;
    let mut tags = Vec::new();
    while let Some(value) = [traces.next, records.next].into_iter().flatten().map(|(value, _)| value).min() {
        let (traces, records) = (traces.take(value)?, records.take(value)?);
        let text: String = select_text.query_row([value], |row| row.get(0))?;
        if filters.value_prefix.as_deref().is_some_and(|prefix| !text.starts_with(prefix)) {
            continue;
        }
        tags.push(Tag { key: key.to_owned(), value: text, traces, records });
        // A tag may have a value for every trace. Only the ones that will be returned are kept, and as many again.
        if tags.len() >= 2 * most {
            put_in_order(&mut tags, most);
        }
    }
    put_in_order(&mut tags, most);
    Ok(tags)
}

/// Times as the tables hold them.
#[derive(Clone, Copy)]
struct Bounds {
    is_bounded: bool,
    earliest: i64,
    latest: i64,
}

impl Bounds {
    fn new(filters: &TagFilters) -> Self {
        let earliest = filters.start_time.map_or(0, |time| i64::try_from(time).unwrap_or(i64::MAX));
        // As for traces: the end is not part of the range, but the greatest number stands for all that is beyond it.
        let latest = filters.end_time.map_or(i64::MAX, |end| i64::try_from(end).map_or(i64::MAX, |end| end - 1));
        Self { is_bounded: filters.start_time.is_some() || filters.end_time.is_some(), earliest, latest }
    }
}

fn trace_query(name: i64, entity: Option<(i64, i64)>, bounds: Bounds) -> (String, Vec<Value>) {
    let mut query = "SELECT d.value, count(*) FROM trace_tag d".to_owned();
    if bounds.is_bounded {
        query += " CROSS JOIN trace t ON t.no = d.trace";
    }
    query += " WHERE d.name = ?";
    let mut values = vec![Value::from(name)];
    if let Some((name, value)) = entity {
        query += " AND EXISTS (SELECT 1 FROM trace_tag e WHERE e.name = ? AND e.value = ? AND e.trace = d.trace)";
        values.extend([name.into(), value.into()]);
    }
    if bounds.is_bounded {
        query += " AND t.start BETWEEN ? AND ?";
        values.extend([bounds.earliest.into(), bounds.latest.into()]);
    }
    (query + " GROUP BY d.value ORDER BY d.value", values)
}

fn record_query(name: i64, entity: Option<(i64, i64)>, bounds: Bounds) -> (String, Vec<Value>) {
    let mut query = "SELECT d.value, count(*) FROM record_tag d WHERE d.name = ?".to_owned();
    let mut values = vec![Value::from(name)];
    if let Some((name, value)) = entity {
        query += " AND EXISTS (SELECT 1 FROM record_tag e \
                  WHERE e.name = ? AND e.value = ? AND e.time = d.time AND e.record = d.record)";
        values.extend([name.into(), value.into()]);
    }
    if bounds.is_bounded {
        query += " AND d.time BETWEEN ? AND ?";
        values.extend([bounds.earliest.into(), bounds.latest.into()]);
    }
    (query + " GROUP BY d.value ORDER BY d.value", values)
}

fn put_in_order(tags: &mut Vec<Tag>, most: usize) {
    tags.sort_by(|one, other| {
        let order = |tag: &Tag| (Reverse(tag.traces + tag.records), Reverse(tag.traces));
        one.key.cmp(&other.key).then_with(|| order(one).cmp(&order(other))).then_with(|| one.value.cmp(&other.value))
    });
    tags.truncate(most);
}

/// The tags of one trace and of its records. There are few enough to look at each.
fn of_trace(snapshot: &mut Snapshot<'_>, filters: &TagFilters, most: usize) -> Result<Vec<Tag>, Failure> {
    let TagFilters { trace_id, entity_uid, start_time, end_time, .. } = filters.clone();
    let asked = RecordFilters { trace_id, entity_uid, start_time, end_time, ..RecordFilters::default() };
    let mut counts: BTreeMap<(String, String), (u64, u64)> = BTreeMap::new();
    for (tag, count) in records::tags_of_trace(snapshot, &asked)? {
        counts.entry(tag).or_default().1 = count;
    }
    let RecordFilters { trace_id, entity_uid, start_time, end_time, .. } = asked;
    let asked = TraceFilters { trace_id, entity_uid, start_time, end_time, ..TraceFilters::default() };
    for trace in search::find(snapshot, &asked)?.traces {
        for span in snapshot.spans(&trace)? {
            for (key, value) in span.attributes {
                if let Some(key) = key.strip_prefix(TAG_PREFIX) {
                    let value = match value {
                        serde_json::Value::String(text) => text,
                        other => other.to_string(),
                    };
                    counts.entry((key.to_owned(), value)).or_default().0 = 1;
                }
            }
        }
    }
    let wanted = |(key, value): &(String, String)| {
        filters.key.as_ref().is_none_or(|wanted| wanted == key)
            && filters.value_prefix.as_deref().is_none_or(|prefix| value.starts_with(prefix))
    };
    let tags = counts.into_iter().filter(|(tag, _)| wanted(tag));
    let mut tags: Vec<Tag> =
        tags.map(|((key, value), (traces, records))| Tag { key, value, traces, records }).collect();
    put_in_order(&mut tags, most);
    Ok(tags)
}
