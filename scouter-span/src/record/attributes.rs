//! Where each attribute stands in a recording, for upsert and for the limit.

use std::ops::Range;

use crate::limits::SpanLimits;
use crate::value::{Attribute, Value};
use crate::wire::field::span;
use crate::wire::varint_len;

/// The attributes of a recording, in no particular order.
#[derive(Debug, Default)]
pub(super) struct AttributeIndex {
    entries: Vec<Entry>,
    /// A bit for every key that is there; keys share bits. Most keys are new, and most of those meet no set bit.
    known: u64,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    hash: u32,
    /// The whole field, from its tag on.
    start: u32,
    length: u32,
    key_length: u32,
}

/// Attributes that every span of a tracer begins with, encoded once.
#[derive(Debug, Default)]
pub(crate) struct Defaults {
    bytes: Vec<u8>,
    index: AttributeIndex,
    /// How many were refused, which every span has to tell.
    pub(super) dropped: u32,
}

/// Tells keys apart quickly: their length, their first and their last eight bytes.
#[inline]
fn hash(key: &[u8]) -> u32 {
    const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
    let (first, last) = match (key.first_chunk(), key.last_chunk()) {
        (Some(first), Some(last)) => (u64::from_le_bytes(*first), u64::from_le_bytes(*last)),
        _ => (key.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)), 0),
    };
    let mixed = (first ^ key.len() as u64).wrapping_mul(ODD) ^ last.rotate_left(23).wrapping_mul(ODD);
    (mixed >> 32) as u32
}

impl Entry {
    fn range(&self) -> Range<usize> {
        let start = self.start as usize;
        start..start + self.length as usize
    }

    /// Behind the tag and length of the field and of the key in it.
    fn key<'a>(&self, buffer: &'a [u8]) -> &'a [u8] {
        let length = self.key_length as usize;
        // A field of n bytes was given a length of one byte while n - 2 < 128.
        let mut head = 2;
        while varint_len(self.length as u64 - head as u64) != head - 1 {
            head += 1;
        }
        let start = self.start as usize + head + 1 + varint_len(length as u64);
        buffer.get(start..start + length).unwrap_or_default()
    }
}

impl Defaults {
    /// Encodes the attributes; of equal keys the last one counts.
    pub(crate) fn new(attributes: &[(&str, Value<'_>)], limits: &SpanLimits) -> Self {
        let mut index = AttributeIndex::default();
        let mut bytes = Vec::new();
        let mut dropped = 0;
        for attribute in attributes {
            dropped += u32::from(!index.set(&mut bytes, attribute, limits));
        }
        Self { bytes, index, dropped }
    }
}

impl AttributeIndex {
    pub(super) fn clear(&mut self) {
        self.entries.clear();
        self.known = 0;
    }

    /// How much memory it holds on to, in bytes.
    pub(super) const fn capacity(&self) -> usize {
        self.entries.capacity() * size_of::<Entry>()
    }

    #[inline]
    pub(super) fn adopt(&mut self, buffer: &mut Vec<u8>, defaults: &Defaults) {
        if defaults.bytes.is_empty() {
            return;
        }
        let base = buffer.len() as u32;
        buffer.extend_from_slice(&defaults.bytes);
        let moved = |entry: &Entry| Entry { start: entry.start + base, ..*entry };
        self.entries.extend(defaults.index.entries.iter().map(moved));
        self.known = defaults.index.known;
    }

    /// Sets an attribute; false when it is refused, for an empty key or for the limit.
    #[inline(always)]
    pub(super) fn set(&mut self, buffer: &mut Vec<u8>, attribute: &impl Attribute, limits: &SpanLimits) -> bool {
        let key = attribute.key();
        let hash = hash(key.as_bytes());
        let bit = 1 << (hash >> 26);
        if self.known & bit != 0
            && let Some(at) = self.find(buffer, key, hash)
        {
            self.replace(at, buffer, attribute, limits);
            return true;
        }
        if key.is_empty() || self.entries.len() >= limits.attributes as usize {
            return false;
        }
        let start = buffer.len();
        attribute.write(buffer, span::ATTRIBUTES, limits.attribute_value_length);
        let length = (buffer.len() - start) as u32;
        self.entries.push(Entry { hash, start: start as u32, length, key_length: key.len() as u32 });
        self.known |= bit;
        true
    }

    #[inline(never)]
    fn find(&self, buffer: &[u8], key: &str, hash: u32) -> Option<usize> {
        self.entries.iter().position(|entry| entry.hash == hash && entry.key(buffer) == key.as_bytes())
    }

    /// Not generic, so that the common way through [`set`](Self::set) stays short.
    #[cold]
    fn replace(&mut self, at: usize, buffer: &mut Vec<u8>, attribute: &dyn Attribute, limits: &SpanLimits) {
        let old = self.entries[at].range();
        let new = buffer.len();
        attribute.write(buffer, span::ATTRIBUTES, limits.attribute_value_length);
        let length = buffer.len() - new;
        if length == old.len() {
            buffer.copy_within(new.., old.start);
            buffer.truncate(new);
            return;
        }
        buffer.drain(old.clone());
        for entry in &mut self.entries {
            if entry.start as usize > old.start {
                entry.start -= old.len() as u32;
            }
        }
        self.entries[at].start = (new - old.len()) as u32;
        self.entries[at].length = length as u32;
    }

    /// Everything behind the name moves when the name's length changes; every attribute stands behind it.
    pub(super) fn shift(&mut self, old: usize, new: usize) {
        for entry in &mut self.entries {
            entry.start = (entry.start as usize + new - old) as u32;
        }
    }
}
