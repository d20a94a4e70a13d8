//! Spans' bytes, many together, and records' bytes: alike as they are, they compress well.
//!
//! A block is a row of entries, each four protobuf fields: the numbers of the resource, the scope and the trace, and the
//! span's message as it was received. A span is found by the offset of its entry. The blocks of records are of the same make; the
//! number of their trace is 0.
//!
//! Ids do not compress, and the tables have them already. So a message that begins with its two ids, as every known sender
//! writes it, is kept without them; they are put back when it is read.

use std::borrow::Cow;
use std::io;

use scouter_span::view::{KeyValue, LogRecordView, SpanView, ValueView};
use scouter_span::wire::field::span;
use scouter_span::wire::{Field, FieldValue, Reader, len_delimited, uint};
use scouter_span::{SpanId, TraceId};
use zstd::bulk::{Compressor, Decompressor};

use super::bloom::{self, Terms};

/// A block is closed when it has this many bytes.
pub(super) const BLOCK_BYTES: usize = 256 << 10;

/// The compression of a block that still grows and is written again with every commit, and of one that is finished.
const GROWING: i32 = 1;
const FINISHED: i32 = 3;

const RESOURCE: u32 = 1;
const SCOPE: u32 = 2;
const TRACE: u32 = 3;
const WHOLE: u32 = 4;
const REST: u32 = 5;

/// The tag and length before each id, and the length of both fields.
const TRACE_ID: [u8; 2] = [(span::TRACE_ID << 3 | 2) as u8, 16];
const SPAN_ID: [u8; 2] = [(span::SPAN_ID << 3 | 2) as u8, 8];
const IDS: usize = 2 + 16 + 2 + 8;

/// The block that is being filled. It is stored with every commit, so what is in it is durable and can be read.
pub(super) struct Tail {
    pub(super) no: i64,
    raw: Vec<u8>,
    /// How much of `raw` the table has.
    stored: usize,
    terms: Terms,
    first: i64,
    last: i64,
    fast: Compressor<'static>,
    thorough: Compressor<'static>,
}

/// A span and what it belongs to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry<'a> {
    pub(super) resource: i64,
    pub(super) scope: i64,
    pub(super) trace: i64,
    content: &'a [u8],
    is_whole: bool,
}

/// A block as it goes into its table.
#[derive(Debug)]
pub(super) struct Stored {
    pub(super) raw_length: i64,
    /// The earliest start of its spans, or time of its records, and the latest.
    pub(super) first: i64,
    pub(super) last: i64,
    pub(super) bloom: Vec<u8>,
    pub(super) data: Vec<u8>,
}

impl Tail {
    pub(super) fn new(no: i64) -> io::Result<Self> {
        Ok(Self {
            no,
            raw: Vec::with_capacity(BLOCK_BYTES + (BLOCK_BYTES >> 2)),
            stored: 0,
            terms: Terms::default(),
            first: i64::MAX,
            last: 0,
            fast: Compressor::new(GROWING)?,
            thorough: Compressor::new(FINISHED)?,
        })
    }

    /// Where the next span will be.
    pub(super) fn end(&self) -> i64 {
        self.raw.len() as i64
    }

    /// Whether something was added since the block was last [`stored`](Self::stored).
    pub(super) fn is_dirty(&self) -> bool {
        self.raw.len() > self.stored
    }

    pub(super) fn is_full(&self) -> bool {
        self.raw.len() >= BLOCK_BYTES
    }

    pub(super) fn push(&mut self, entry: Entry<'_>, start: i64) {
        uint(&mut self.raw, RESOURCE, entry.resource as u64);
        uint(&mut self.raw, SCOPE, entry.scope as u64);
        uint(&mut self.raw, TRACE, entry.trace as u64);
        len_delimited(&mut self.raw, if entry.is_whole { WHOLE } else { REST }, entry.content);
        self.first = self.first.min(start);
        self.last = self.last.max(start);
    }

    /// What it holds so far.
    pub(super) fn raw(&self) -> &[u8] {
        &self.raw
    }

    /// Makes an attribute of one of the block's spans, or of their resources, findable.
    pub(super) fn note(&mut self, attribute: KeyValue<'_>) {
        self.terms.insert(bloom::recorded(attribute.key, attribute.value));
    }

    /// As [`note`](Self::note), for a text.
    pub(super) fn note_text(&mut self, key: &str, text: &str) {
        self.terms.insert(bloom::recorded(key, ValueView::Str(text)));
    }

    /// The block as it goes into the table now.
    pub(super) fn stored(&mut self) -> io::Result<Stored> {
        let compressor = if self.is_full() { &mut self.thorough } else { &mut self.fast };
        let data = compressor.compress(&self.raw)?;
        self.stored = self.raw.len();
        let (raw_length, bloom) = (self.raw.len() as i64, self.terms.filter());
        Ok(Stored { raw_length, first: self.first, last: self.last, bloom, data })
    }

    /// Goes on with an empty block.
    pub(super) fn advance(&mut self, no: i64) {
        self.no = no;
        self.stored = 0;
        self.raw.clear();
        self.raw.shrink_to(2 * BLOCK_BYTES);
        self.terms.clear();
        self.first = i64::MAX;
        self.last = 0;
    }
}

/// The bytes of a stored block.
pub(super) fn read(data: &[u8], raw_length: usize) -> io::Result<Vec<u8>> {
    Decompressor::new()?.decompress(data, raw_length)
}

impl<'a> Entry<'a> {
    /// The entry of a span that has these ids, not yet said [`of`](Self::of) what.
    pub(super) fn new(span: SpanView<'a>, trace_id: TraceId, span_id: SpanId) -> Self {
        let ids = ids(trace_id, span_id);
        let (content, is_whole) = match span.bytes().strip_prefix(&ids) {
            Some(rest) => (rest, false),
            None => (span.bytes(), true),
        };
        Self { resource: 0, scope: 0, trace: 0, content, is_whole }
    }

    /// The entry of a record, not yet said [`of`](Self::of) what.
    pub(super) const fn record(record: LogRecordView<'a>) -> Self {
        Self { resource: 0, scope: 0, trace: 0, content: record.bytes(), is_whole: true }
    }

    /// The same entry with the numbers of what the span belongs to.
    pub(super) const fn of(self, resource: i64, scope: i64, trace: i64) -> Self {
        Self { resource, scope, trace, ..self }
    }

    /// The span, maybe without its ids.
    pub(super) const fn span(&self) -> SpanView<'a> {
        SpanView::new(self.content)
    }

    /// The record.
    pub(super) const fn as_record(&self) -> LogRecordView<'a> {
        LogRecordView::new(self.content)
    }

    /// The span's message as it was received.
    pub(super) fn message(&self, trace_id: TraceId, span_id: SpanId) -> Cow<'a, [u8]> {
        if self.is_whole {
            return Cow::Borrowed(self.content);
        }
        Cow::Owned([&ids(trace_id, span_id), self.content].concat())
    }
}

/// The two fields of the ids, as senders write them.
fn ids(trace_id: TraceId, span_id: SpanId) -> [u8; IDS] {
    let mut ids = [0; IDS];
    ids[..2].copy_from_slice(&TRACE_ID);
    ids[2..18].copy_from_slice(&trace_id.to_bytes());
    ids[18..20].copy_from_slice(&SPAN_ID);
    ids[20..].copy_from_slice(&span_id.to_bytes());
    ids
}

/// The entry at an offset, unless there is none.
pub(super) fn entry(raw: &[u8], at: usize) -> Option<Entry<'_>> {
    entries(raw.get(at..)?).next()
}

/// The entries from here on.
pub(super) fn entries(raw: &[u8]) -> impl Iterator<Item = Entry<'_>> {
    entries_with_places(raw).map(|(_, entry)| entry)
}

/// The entries from here on, each with its offset.
pub(super) fn entries_with_places(raw: &[u8]) -> impl Iterator<Item = (usize, Entry<'_>)> {
    let mut fields = Reader::new(raw);
    std::iter::from_fn(move || {
        let at = fields.position();
        let mut number = |expected| match fields.next()?.ok()? {
            Field { number, value: FieldValue::Varint(value) } if number == expected => Some(value as i64),
            _ => None,
        };
        let (resource, scope, trace) = (number(RESOURCE)?, number(SCOPE)?, number(TRACE)?);
        match fields.next()?.ok()? {
            Field { number: number @ (WHOLE | REST), value: FieldValue::Len(content) } => {
                Some((at, Entry { resource, scope, trace, content, is_whole: number == WHOLE }))
            }
            _ => None,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_as_they_were_received() {
        let (trace_id, span_id) = (TraceId::from_int(7).unwrap(), SpanId::from_int(9).unwrap());
        let usual = ids(trace_id, span_id);
        let mut tail = Tail::new(1).unwrap();
        let spans: Vec<Vec<u8>> = (0..300u16)
            .map(|n| {
                let rest = n.to_le_bytes().repeat(usize::from(n));
                if n % 3 == 0 { rest } else { [&usual, &*rest].concat() }
            })
            .collect();
        let mut places = Vec::new();
        for (n, span) in spans.iter().enumerate() {
            places.push(tail.end());
            let entry = Entry::new(SpanView::new(span), trace_id, span_id);
            assert_eq!(entry.is_whole, n % 3 == 0);
            let n = n as i64;
            tail.push(entry.of(n * 7, n, n * n), n);
        }
        assert!(tail.is_dirty());
        let stored = tail.stored().unwrap();
        assert!(!tail.is_dirty());
        assert!(stored.data.len() < stored.raw_length as usize / 4);
        assert_eq!((stored.first, stored.last), (0, 299));
        let raw = read(&stored.data, stored.raw_length as usize).unwrap();
        assert_eq!(entries(&raw).count(), spans.len());
        for (n, (span, at)) in spans.iter().zip(places).enumerate() {
            let entry = entry(&raw, at as usize).unwrap();
            assert_eq!((entry.resource, entry.scope, entry.trace), (n as i64 * 7, n as i64, (n * n) as i64));
            assert_eq!(*entry.message(trace_id, span_id), **span);
        }
        assert!(entry(&raw, raw.len()).is_none() && entry(&raw, raw.len() + 1).is_none());
        tail.advance(2);
        assert!(!tail.is_dirty() && !tail.is_full() && tail.no == 2);
    }
}
