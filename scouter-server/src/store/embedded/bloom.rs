//! Which attributes a block may have: a bloom filter of `key = value` pairs.
//!
//! A filter that says no is right; one that says yes errs once in about fifty times. Hashes are part of the file format.

use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hasher};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use scouter_span::view::ValueView;
use serde_json::Value;

use super::value::Number;

/// Bits for each pair, and how many of them a pair sets: 2 % false answers.
const BITS: usize = 8;
/// Bits for each pair where few pairs are noted and a wrong yes costs much: 0.14 % false answers.
pub(super) const MANY_BITS: usize = 16;
const PROBES: u64 = 5;

/// The hashes of the pairs a block has so far.
#[derive(Debug, Default)]
pub(super) struct Terms(HashSet<u64, BuildHasherDefault<AsIs>>);

impl Terms {
    pub(super) fn insert(&mut self, term: u64) {
        self.0.insert(term);
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// The filter as it is stored.
    pub(super) fn filter(&self) -> Vec<u8> {
        self.filter_with(BITS)
    }

    /// The filter with so many bits for each pair.
    pub(super) fn filter_with(&self, each: usize) -> Vec<u8> {
        let mut filter = vec![0; (self.0.len() * each).div_ceil(8)];
        for &term in &self.0 {
            for bit in bits(term, filter.len()) {
                filter[bit / 8] |= 1 << (bit % 8);
            }
        }
        filter
    }
}

/// Whether a block with this filter may have this pair.
pub(super) fn may_contain(filter: &[u8], term: u64) -> bool {
    !filter.is_empty() && bits(term, filter.len()).all(|bit| filter[bit / 8] & 1 << (bit % 8) != 0)
}

fn bits(term: u64, bytes: usize) -> impl Iterator<Item = usize> {
    let step = term.rotate_left(32) | 1;
    (0..PROBES).map(move |probe| {
        // The upper half of a product with the size stands for the remainder, without a division.
        let hash = term.wrapping_add(step.wrapping_mul(probe));
        ((u128::from(hash) * (bytes as u128 * 8)) >> 64) as usize
    })
}

/// The pair of a recorded attribute.
pub(super) fn recorded(key: &str, value: ValueView<'_>) -> u64 {
    let key = bytes(SEED, key.as_bytes());
    match value {
        ValueView::Bool(value) => truth(key, value),
        ValueView::I64(value) => number(key, Number::Integer(value)),
        ValueView::F64(value) if value.is_finite() => number(key, Number::from(value)),
        ValueView::F64(value) if value.is_nan() => text(key, "NaN"),
        ValueView::F64(value) => text(key, if value > 0.0 { "Infinity" } else { "-Infinity" }),
        ValueView::Str(value) => text(key, value),
        ValueView::Bytes(value) => text(key, &STANDARD.encode(value)),
        ValueView::Empty | ValueView::Array(_) | ValueView::Map(_) => other(key),
    }
}

/// The pair a search asks for; the same as that of every recorded attribute it equals.
pub(super) fn wanted(key: &str, value: &Value) -> u64 {
    let key = bytes(SEED, key.as_bytes());
    match value {
        Value::Bool(value) => truth(key, *value),
        Value::Number(value) => number(key, Number::from(value)),
        Value::String(value) => text(key, value),
        Value::Null | Value::Array(_) | Value::Object(_) => other(key),
    }
}

/// A hash of bytes that stays the same over versions and machines.
pub(super) fn content(content: &[u8]) -> u64 {
    bytes(SEED, content)
}

const SEED: u64 = 0x9e37_79b9_7f4a_7c15;

fn truth(key: u64, value: bool) -> u64 {
    mix(key ^ 1, u64::from(value))
}

fn number(key: u64, value: Number) -> u64 {
    match value {
        Number::Integer(value) => mix(key ^ 2, value as u64),
        Number::Double(bits) => mix(key ^ 3, bits),
    }
}

fn text(key: u64, value: &str) -> u64 {
    bytes(key ^ 4, value.as_bytes())
}

/// Values that are not looked into: the block has one under this key.
fn other(key: u64) -> u64 {
    mix(key ^ 5, 0)
}

fn bytes(seed: u64, content: &[u8]) -> u64 {
    let (words, rest) = content.as_chunks::<8>();
    let hash = words.iter().fold(seed, |hash, word| mix(hash, u64::from_le_bytes(*word)));
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    mix(mix(hash, u64::from_le_bytes(last)), content.len() as u64)
}

/// Multiplies into 128 bits and folds them; the odd constants keep a zero from swallowing the other side.
fn mix(hash: u64, word: u64) -> u64 {
    let product = u128::from(hash ^ 0xa076_1d64_78bd_642f) * u128::from(word ^ 0xe703_7ed1_a0b4_28db);
    (product ^ (product >> 64)) as u64
}

/// Terms are hashes already.
#[derive(Debug, Default)]
struct AsIs(u64);

impl Hasher for AsIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = content(bytes);
    }

    fn write_u64(&mut self, term: u64) {
        self.0 = term;
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_there_is_found_and_little_else() {
        let mut terms = Terms::default();
        for n in 0..1000 {
            terms.insert(recorded("http.status_code", ValueView::I64(n)));
        }
        let filter = terms.filter();
        assert_eq!(filter.len(), 1000);
        assert!((0..1000).all(|n| may_contain(&filter, wanted("http.status_code", &json!(n)))));
        let wrong = (1000..11_000).filter(|n| may_contain(&filter, wanted("http.status_code", &json!(n)))).count();
        assert!(wrong < 400, "{wrong} of 10000");
        assert!(!may_contain(&Terms::default().filter(), 0));
    }

    #[test]
    fn equal_values_make_equal_pairs() {
        for (value, json) in [
            (ValueView::Bool(true), json!(true)),
            (ValueView::I64(7), json!(7.0)),
            (ValueView::F64(7.0), json!(7)),
            (ValueView::F64(-0.0), json!(0)),
            (ValueView::F64(0.5), json!(0.5)),
            (ValueView::F64(f64::NAN), json!("NaN")),
            (ValueView::F64(1e300), json!(1e300)),
            (ValueView::Str("a longer text than eight bytes"), json!("a longer text than eight bytes")),
            (ValueView::Bytes(&[1, 2]), json!("AQI=")),
            (ValueView::Empty, json!(null)),
        ] {
            assert_eq!(recorded("k", value), wanted("k", &json), "{json}");
            assert_ne!(recorded("l", value), wanted("k", &json), "{json}");
        }
        assert_ne!(wanted("k", &json!("7")), wanted("k", &json!(7)));
        assert_ne!(wanted("k", &json!("a\0")), wanted("k", &json!("a")));
    }
}
