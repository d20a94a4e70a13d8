//! Which records are kept.

use scouter_span::sampler::Randomness;
use scouter_span::{Ratio, SpanContext};

/// Whether the record of this span belongs to the part: the span is sampled, and the part contains its trace.
pub fn keeps_span(ratio: Ratio, span: &SpanContext) -> bool {
    span.is_sampled() && ratio.contains(span.trace_id)
}

/// Whether a record that has no span belongs to the part, by an id of its own. Every process decides alike about one id, and
/// whoever keeps a smaller part keeps a subset.
pub fn keeps_id(ratio: Ratio, id: &str) -> bool {
    let Some(threshold) = ratio.threshold() else { return false };
    ratio.is_all() || Randomness::from_int(hash(id.as_bytes()) >> 8).is_some_and(|it| threshold.admits(it))
}

/// FNV-1a with the last steps of splitmix64, which spread it over all bits. It has to stay as it is, because processes of
/// different versions decide alike.
fn hash(bytes: &[u8]) -> u64 {
    let add = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    let mixed = bytes.iter().fold(0xcbf2_9ce4_8422_2325, add);
    let mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ mixed >> 31
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_spread_evenly_and_smaller_parts_are_subsets() {
        let (tenth, half) = (Ratio::new(0.1).unwrap(), Ratio::new(0.5).unwrap());
        let ids: Vec<_> = (0..20_000).map(|number| format!("record-{number}")).collect();
        let kept = ids.iter().filter(|id| keeps_id(tenth, id)).count();
        assert!((1800..2200).contains(&kept), "{kept}");
        assert!(ids.iter().all(|id| !keeps_id(tenth, id) || keeps_id(half, id)));
        assert!(ids.iter().all(|id| keeps_id(Ratio::ALL, id)));
        assert!(!ids.iter().any(|id| keeps_id(Ratio::new(0.0).unwrap(), id)));
    }

    #[test]
    fn the_hash_stays_as_it_is() {
        assert_eq!([hash(b""), hash(b"a")], [0xf52a_15e9_a9b5_e89b, 0x02c0_bdbf_4814_20f8]);
    }
}
