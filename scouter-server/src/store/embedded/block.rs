//! Spans' bytes, many together: alike as they are, they compress well.
//!
//! A block is a row of entries, each three protobuf fields: the number of the resource, the number of the scope, and the
//! span's message as it was received. A span is found by the offset of its entry.

use std::io;

use scouter_span::view::{Attributes, SpanView};
use scouter_span::wire::{FieldValue, Reader, len_delimited, uint};
use zstd::bulk::{Compressor, Decompressor};

use super::bloom::{self, Terms};

/// A block is closed when it has this many bytes.
pub(super) const BLOCK_BYTES: usize = 256 << 10;

/// The compression of a block that still grows and is written again with every commit, and of one that is finished.
const GROWING: i32 = 1;
const FINISHED: i32 = 3;

const RESOURCE: u32 = 1;
const SCOPE: u32 = 2;
const SPAN: u32 = 3;

/// The block that is being filled. It is stored with every commit, so what is in it is durable and can be read.
pub(super) struct Tail {
    pub(super) no: i64,
    raw: Vec<u8>,
    /// How much of `raw` the table has.
    stored: usize,
    terms: Terms,
    fast: Compressor<'static>,
    thorough: Compressor<'static>,
}

/// A span and what it belongs to, in a block that was read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry<'a> {
    pub(super) resource: i64,
    pub(super) scope: i64,
    pub(super) span: SpanView<'a>,
}

/// A block as it goes into its table.
#[derive(Debug)]
pub(super) struct Stored {
    pub(super) raw_length: i64,
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

    pub(super) fn push(&mut self, resource: i64, scope: i64, span: SpanView<'_>) {
        uint(&mut self.raw, RESOURCE, resource as u64);
        uint(&mut self.raw, SCOPE, scope as u64);
        len_delimited(&mut self.raw, SPAN, span.bytes());
    }

    /// Makes attributes of the block's spans, or of their resources, findable.
    pub(super) fn note(&mut self, attributes: Attributes<'_>) {
        for attribute in attributes.iter() {
            self.terms.insert(bloom::recorded(attribute.key, attribute.value));
        }
    }

    /// The block as it goes into the table now.
    pub(super) fn stored(&mut self) -> io::Result<Stored> {
        let compressor = if self.is_full() { &mut self.thorough } else { &mut self.fast };
        let data = compressor.compress(&self.raw)?;
        self.stored = self.raw.len();
        Ok(Stored { raw_length: self.raw.len() as i64, bloom: self.terms.filter(), data })
    }

    /// Goes on with an empty block.
    pub(super) fn advance(&mut self, no: i64) {
        self.no = no;
        self.stored = 0;
        self.raw.clear();
        self.raw.shrink_to(2 * BLOCK_BYTES);
        self.terms.clear();
    }
}

/// The bytes of a stored block.
pub(super) fn read(data: &[u8], raw_length: usize) -> io::Result<Vec<u8>> {
    Decompressor::new()?.decompress(data, raw_length)
}

/// The entry at an offset, unless there is none.
pub(super) fn entry(raw: &[u8], at: usize) -> Option<Entry<'_>> {
    let mut fields = Reader::new(raw.get(at..)?);
    let mut next = |number| fields.next()?.ok().filter(|field| field.number == number).map(|field| field.value);
    let FieldValue::Varint(resource) = next(RESOURCE)? else { return None };
    let FieldValue::Varint(scope) = next(SCOPE)? else { return None };
    let FieldValue::Len(span) = next(SPAN)? else { return None };
    Some(Entry { resource: resource as i64, scope: scope as i64, span: SpanView::new(span) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_where_they_were_put() {
        let mut tail = Tail::new(1).unwrap();
        let spans: Vec<Vec<u8>> = (0..300u16).map(|n| n.to_le_bytes().repeat(usize::from(n))).collect();
        let mut places = Vec::new();
        for (n, span) in spans.iter().enumerate() {
            places.push(tail.end());
            tail.push(n as i64 * 7, n as i64, SpanView::new(span));
        }
        assert!(tail.is_dirty());
        let stored = tail.stored().unwrap();
        assert!(!tail.is_dirty());
        assert!(stored.data.len() < stored.raw_length as usize / 4);
        let raw = read(&stored.data, stored.raw_length as usize).unwrap();
        for (n, (span, at)) in spans.iter().zip(places).enumerate() {
            let entry = entry(&raw, at as usize).unwrap();
            assert_eq!((entry.resource, entry.scope), (n as i64 * 7, n as i64));
            assert_eq!(entry.span.bytes(), span);
        }
        assert!(entry(&raw, raw.len()).is_none() && entry(&raw, raw.len() + 1).is_none());
        tail.advance(2);
        assert!(!tail.is_dirty() && !tail.is_full() && tail.no == 2);
    }
}
