//! The row of a trace: what a list of traces shows, kept up to date with every span that arrives.

use rusqlite::{CachedStatement, Connection, OptionalExtension, Row, params};
use scouter_span::TraceId;
use scouter_span::view::StatusCode;
use scouter_span::wire::{FieldValue, Reader, uint};

use super::failure::Failure;

/// Begins a query that [`TraceRow::read`] understands; what follows says where `t` comes from.
macro_rules! select_traces {
    ($rest:literal) => {
        concat!(
            "SELECT t.no, t.id, t.start, t.stop, t.spans, t.errors, t.services, ",
            "t.root_rank, t.root_start, t.root_span, t.root_name, t.root_service ",
            $rest
        )
    };
}
pub(super) use select_traces;

/// A trace as it is stored.
#[derive(Clone, Debug)]
pub(super) struct TraceRow {
    pub(super) no: i64,
    pub(super) id: TraceId,
    pub(super) start: i64,
    pub(super) stop: i64,
    pub(super) spans: i64,
    pub(super) errors: i64,
    /// The numbers of their names, in the order they arrived.
    pub(super) services: Vec<i64>,
    pub(super) root: Root,
}

/// The span that stands for its trace: of all spans the least in the order of these fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Root {
    /// 0 for a span without a parent, 1 for any other.
    pub(super) rank: i64,
    pub(super) start: i64,
    pub(super) span: u64,
    pub(super) name: i64,
    pub(super) service: i64,
}

impl TraceRow {
    pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        let id: Vec<u8> = row.get(1)?;
        let id = TraceId::from_slice(&id).map_err(|error| {
            rusqlite::Error::FromSqlConversionFailure(1, rusqlite::types::Type::Blob, Box::new(error))
        })?;
        let services = row.get_ref(6)?.as_blob()?;
        let services = Reader::new(services).map_while(Result::ok).filter_map(|field| match field.value {
            FieldValue::Varint(number) => Some(number as i64),
            _ => None,
        });
        let root = Root {
            rank: row.get(7)?,
            start: row.get(8)?,
            span: row.get::<_, i64>(9)? as u64,
            name: row.get(10)?,
            service: row.get(11)?,
        };
        Ok(Self {
            no: row.get(0)?,
            id,
            start: row.get(2)?,
            stop: row.get(3)?,
            spans: row.get(4)?,
            errors: row.get(5)?,
            services: services.collect(),
            root,
        })
    }

    fn services_blob(&self) -> Vec<u8> {
        let mut blob = Vec::with_capacity(3 * self.services.len());
        self.services.iter().for_each(|&service| uint(&mut blob, 1, service as u64));
        blob
    }
}

/// A trace that gets spans in the current transaction.
#[derive(Debug)]
pub(super) struct OpenTrace {
    pub(super) no: i64,
    id: TraceId,
    /// As it is in its table; `None` for a trace that is new.
    before: Option<TraceRow>,
    now: Option<TraceRow>,
}

impl OpenTrace {
    /// The trace with this id, or a new one with this number.
    pub(super) fn find(sql: &Connection, id: TraceId, new: i64) -> Result<Self, Failure> {
        let before = find(sql, id)?;
        let no = before.as_ref().map_or(new, |row| row.no);
        Ok(Self { no, id, now: before.clone(), before })
    }

    /// Whether no span of it was ever stored.
    pub(super) const fn is_new(&self) -> bool {
        self.now.is_none()
    }

    /// Counts a span that was not there before. It is a candidate for the root.
    pub(super) fn add(&mut self, span: Root, stop: i64, status: StatusCode) {
        let Root { start, service, .. } = span;
        let row = self.now.get_or_insert(TraceRow {
            no: self.no,
            id: self.id,
            start,
            stop,
            spans: 0,
            errors: 0,
            services: Vec::new(),
            root: span,
        });
        row.start = row.start.min(start);
        row.stop = row.stop.max(stop);
        row.spans += 1;
        row.errors += i64::from(status == StatusCode::Error);
        row.root = row.root.min(span);
        if !row.services.contains(&service) {
            row.services.push(service);
        }
    }
}

/// The row of a trace.
pub(super) fn find(sql: &Connection, id: TraceId) -> Result<Option<TraceRow>, Failure> {
    const FIND: &str = select_traces!("FROM trace t WHERE t.id = ?");
    Ok(sql.prepare_cached(FIND)?.query_row([id.to_bytes()], TraceRow::read).optional()?)
}

/// Writes the rows of traces.
pub(super) struct TraceWriter<'c> {
    insert: CachedStatement<'c>,
    update: CachedStatement<'c>,
    add_service: CachedStatement<'c>,
    drop_service: CachedStatement<'c>,
}

impl<'c> TraceWriter<'c> {
    pub(super) fn new(sql: &'c Connection) -> Result<Self, Failure> {
        Ok(Self {
            insert: sql.prepare_cached(
                "INSERT INTO trace (no, id, start, stop, spans, errors, services, root_rank, root_start, root_span, \
                 root_name, root_service) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
            )?,
            update: sql.prepare_cached(
                "UPDATE trace SET start = ?2, stop = ?3, spans = ?4, errors = ?5, services = ?6, root_rank = ?7, \
                 root_start = ?8, root_span = ?9, root_name = ?10, root_service = ?11 WHERE no = ?1",
            )?,
            add_service: sql.prepare_cached("INSERT INTO trace_service (service, start, trace) VALUES (?1, ?2, ?3)")?,
            drop_service: sql
                .prepare_cached("DELETE FROM trace_service WHERE service = ?1 AND start = ?2 AND trace = ?3")?,
        })
    }

    pub(super) fn write(&mut self, trace: &OpenTrace) -> Result<(), Failure> {
        let Some(now) = &trace.now else { return Ok(()) };
        let TraceRow { no, start, stop, spans, errors, ref root, .. } = *now;
        let services = now.services_blob();
        let root_span = root.span as i64;
        let mut known: &[i64] = &[];
        match &trace.before {
            None => {
                let id = now.id.to_bytes();
                self.insert.execute(params![
                    no,
                    id,
                    start,
                    stop,
                    spans,
                    errors,
                    services,
                    root.rank,
                    root.start,
                    root_span,
                    root.name,
                    root.service
                ])?;
            }
            Some(before) if before.spans == spans => return Ok(()),
            Some(before) => {
                self.update.execute(params![
                    no,
                    start,
                    stop,
                    spans,
                    errors,
                    services,
                    root.rank,
                    root.start,
                    root_span,
                    root.name,
                    root.service
                ])?;
                if before.start == start {
                    known = &before.services;
                } else {
                    for service in &before.services {
                        self.drop_service.execute([*service, before.start, no])?;
                    }
                }
            }
        }
        // Services are only ever added behind the ones that were there.
        for service in &now.services[known.len()..] {
            self.add_service.execute([*service, start, no])?;
        }
        Ok(())
    }
}
