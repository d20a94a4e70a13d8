//! Where each attribute stands in a recording, for upsert and for the limit.

use std::ops::Range;

use crate::limits::SpanLimits;
use crate::value::Value;
use crate::wire::field::span;
use crate::wire::{varint_len, write_attribute};

/// The attributes of a recording, in no particular order.
#[derive(Debug, Default)]
pub(super) struct AttributeIndex(Vec<Entry>);

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
    entries: Vec<Entry>,
}

/// Tells keys apart quickly: their length, their first and their last eight bytes.
#[inline]
fn hash(key: &[u8]) -> u32 {
    const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
    let word = |bytes: &[u8]| bytes.try_into().map_or(0, u64::from_le_bytes);
    let (first, last) = if key.len() >= 8 {
        (word(&key[..8]), word(&key[key.len() - 8..]))
    } else {
        (key.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)), 0)
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
        for (key, value) in attributes {
            index.set(&mut bytes, key, *value, limits);
        }
        Self { bytes, entries: index.0 }
    }
}

impl AttributeIndex {
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    #[inline]
    pub(super) fn adopt(&mut self, buffer: &mut Vec<u8>, defaults: &Defaults) {
        if defaults.entries.is_empty() {
            return;
        }
        let base = buffer.len() as u32;
        buffer.extend_from_slice(&defaults.bytes);
        self.0.extend(defaults.entries.iter().map(|entry| Entry { start: entry.start + base, ..*entry }));
    }

    /// Sets an attribute; false when it is refused, for an empty key or for the limit.
    #[inline]
    pub(super) fn set(&mut self, buffer: &mut Vec<u8>, key: &str, value: Value<'_>, limits: &SpanLimits) -> bool {
        let hash = hash(key.as_bytes());
        for at in 0..self.0.len() {
            if self.0[at].hash == hash && self.0[at].key(buffer) == key.as_bytes() {
                self.replace(at, buffer, key, value, limits);
                return true;
            }
        }
        if key.is_empty() || self.0.len() >= limits.attributes as usize {
            return false;
        }
        let start = buffer.len();
        write_attribute(buffer, span::ATTRIBUTES, key, value, limits.attribute_value_length);
        let length = (buffer.len() - start) as u32;
        self.0.push(Entry { hash, start: start as u32, length, key_length: key.len() as u32 });
        true
    }

    #[cold]
    fn replace(&mut self, at: usize, buffer: &mut Vec<u8>, key: &str, value: Value<'_>, limits: &SpanLimits) {
        let old = self.0[at].range();
        let end = buffer.len();
        write_attribute(buffer, span::ATTRIBUTES, key, value, limits.attribute_value_length);
        let length = buffer.len() - end;
        if length == old.len() {
            buffer.copy_within(end.., old.start);
            buffer.truncate(end);
            return;
        }
        buffer.drain(old.clone());
        for entry in &mut self.0 {
            if entry.start as usize > old.start {
                entry.start -= old.len() as u32;
            }
        }
        self.0[at].start = (end - old.len()) as u32;
        self.0[at].length = length as u32;
    }

    /// Everything behind the name moves when the name's length changes; every attribute stands behind it.
    pub(super) fn shift(&mut self, old: usize, new: usize) {
        for entry in &mut self.0 {
            entry.start = (entry.start as usize + new - old) as u32;
        }
    }
}
