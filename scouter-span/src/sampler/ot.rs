//! The `ot` entry of a trace state, where OpenTelemetry keeps what belongs to a trace.
//!
//! Source: OpenTelemetry, "TraceState Handling".

use std::fmt::Write as _;

use super::threshold::{Randomness, Threshold};
use crate::context::TraceState;

/// The `ot` entry: a list of keys and values, such as `th:c;rv:6e6d1a75832a2f`.
///
/// An entry that breaks the grammar, or that has a key twice, reads as if it were not there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OtEntry<'a>(&'a str);

impl<'a> OtEntry<'a> {
    /// The key of the entry.
    pub const KEY: &'static str = "ot";

    const THRESHOLD: &'static str = "th";
    const RANDOMNESS: &'static str = "rv";

    /// How long the list may be, in characters.
    pub const MAX_LENGTH: usize = 256;

    /// The entry of this trace state.
    pub fn of(state: &'a TraceState) -> Self {
        if state.is_empty() { Self::default() } else { state.get(Self::KEY).and_then(Self::parse).unwrap_or_default() }
    }

    /// Reads the value of an entry; `None` where it is not a list of keys and values.
    pub fn parse(text: &'a str) -> Option<Self> {
        let entry = Self(text);
        let mut keys = entry.members().map(|(key, _)| key);
        let well_formed = text.len() <= Self::MAX_LENGTH && text.split(';').all(is_member);
        let unique = (1..).zip(keys.clone()).all(|(at, key)| !entry.members().skip(at).any(|(other, _)| other == key));
        (well_formed && unique && keys.next().is_some()).then_some(entry)
    }

    /// The value of this key.
    pub fn get(&self, key: &str) -> Option<&'a str> {
        self.members().find_map(|(name, value)| (name == key).then_some(value))
    }

    /// The threshold that the span was sampled by, if it is there and is one.
    pub fn threshold(&self) -> Option<Threshold> {
        self.get(Self::THRESHOLD).and_then(Threshold::parse)
    }

    /// The explicit randomness of the trace, if it is there and is some.
    pub fn randomness(&self) -> Option<Randomness> {
        self.get(Self::RANDOMNESS).and_then(Randomness::parse)
    }

    fn members(&self) -> impl Iterator<Item = (&'a str, &'a str)> + Clone + use<'a> {
        self.0.split(';').filter_map(|member| member.split_once(':'))
    }

    /// The trace state this is the entry of, with another threshold or without one, and with a randomness for a trace that
    /// has none. All other keys stay. `None` where that is what the trace state says already.
    ///
    /// What does not fit into the entry is left out: first the randomness, then the threshold.
    pub fn updated(
        self,
        state: &TraceState,
        threshold: Option<Threshold>,
        randomness: Option<Randomness>,
    ) -> Option<TraceState> {
        let randomness = randomness.filter(|_| self.get(Self::RANDOMNESS).is_none());
        let written = self.get(Self::THRESHOLD);
        if written.is_some() == threshold.is_some() && self.threshold() == threshold && randomness.is_none() {
            return None;
        }
        let mut text = String::new();
        for (key, value) in self.members().filter(|(key, _)| *key != Self::THRESHOLD) {
            let _ = write!(text, ";{key}:{value}");
        }
        if let Some(threshold) = threshold {
            // In front, as other SDKs write it.
            let new = format!(";{}:{threshold}", Self::THRESHOLD);
            if new.len() + text.len() - 1 <= Self::MAX_LENGTH {
                text.insert_str(0, &new);
            }
        }
        if let Some(randomness) = randomness {
            let new = format!(";{}:{randomness}", Self::RANDOMNESS);
            if new.len() + text.len() - 1 <= Self::MAX_LENGTH {
                text.push_str(&new);
            }
        }
        let text = text.trim_start_matches(';');
        Some(if text.is_empty() {
            state.delete(Self::KEY)
        } else {
            state.insert(Self::KEY, text).unwrap_or_else(|_| state.clone())
        })
    }
}

/// `key:value`, the key beginning with a lower-case letter and going on with those and digits.
fn is_member(member: &str) -> bool {
    let Some((key, value)) = member.split_once(':') else { return false };
    key.starts_with(|first: char| first.is_ascii_lowercase())
        && key.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
        && value.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    fn state(text: &str) -> TraceState {
        TraceState::parse(text).unwrap()
    }

    fn updated(text: &str, threshold: Option<&str>, randomness: Option<&str>) -> Option<String> {
        let state = state(text);
        let threshold = threshold.map(|text| Threshold::parse(text).unwrap());
        let randomness = randomness.map(|text| Randomness::parse(text).unwrap());
        OtEntry::of(&state).updated(&state, threshold, randomness).map(|state| state.to_string())
    }

    #[test]
    fn entries_are_read_strictly() {
        // "TraceState Handling": list, "Key" and "Value".
        for good in ["p:8;r:62", "foo:bar;k1:13", "a:", "th:c;rv:6e6d1a75832a2f", "k:A.z_-9"] {
            assert!(OtEntry::parse(good).is_some(), "{good:?}");
        }
        for bad in
            ["", ";", "a", "a:1;", ";a:1", "A:1", "1a:1", "a_b:1", ":1", "a:1;a:2", "a:b:c", "a:ü", "a: 1", "a:+"]
        {
            assert!(OtEntry::parse(bad).is_none(), "{bad:?}");
        }
        let long = format!("a:{}", "x".repeat(254));
        assert!(OtEntry::parse(&long).is_some());
        assert!(OtEntry::parse(&format!("{long}x")).is_none());
    }

    #[test]
    fn known_keys_are_found() {
        let found = state("x=1,ot=a:b;rv:6e6d1a75832a2f;th:c");
        let entry = OtEntry::of(&found);
        assert_eq!(
            (entry.threshold(), entry.randomness()),
            (Threshold::parse("c"), Randomness::parse("6e6d1a75832a2f"))
        );
        assert_eq!((entry.get("a"), entry.get("b")), (Some("b"), None));
        for none in ["", "x=1", "ot=th", "ot=th:C;rv:1", "ot=th:c;th:d"] {
            let none = state(none);
            let entry = OtEntry::of(&none);
            assert_eq!((entry.threshold(), entry.randomness()), (None, None), "{none:?}");
        }
    }

    #[test]
    fn the_threshold_is_replaced_and_the_rest_stays() {
        assert_eq!(updated("", Some("c"), None).unwrap(), "ot=th:c");
        assert_eq!(
            updated("x=1,ot=a:b;th:8;rv:6e6d1a75832a2f,y=2", Some("c"), None).unwrap(),
            "ot=th:c;a:b;rv:6e6d1a75832a2f,x=1,y=2"
        );
        assert_eq!(updated("x=1,ot=a:b;th:8", None, None).unwrap(), "ot=a:b,x=1");
        assert_eq!(updated("x=1,ot=th:8", None, None).unwrap(), "x=1");
        assert_eq!(updated("ot=th:8", None, None).unwrap(), "");
        assert_eq!(updated("x=1,ot=th:x", None, None).unwrap(), "x=1");
        assert_eq!(updated("ot=broken,x=1", Some("8"), None).unwrap(), "ot=th:8,x=1");
    }

    #[test]
    fn what_is_said_already_is_not_written_again() {
        for (text, threshold) in [("x=1,ot=a:b;th:c", Some("c")), ("", None), ("x=1,ot=a:b", None), ("ot=broken", None)]
        {
            assert_eq!(updated(text, threshold, None), None, "{text}");
        }
    }

    #[test]
    fn a_randomness_that_is_there_is_never_replaced() {
        let (old, new) = ("6e6d1a75832a2f", "00000000000001");
        assert_eq!(updated("", None, Some(new)).unwrap(), "ot=rv:00000000000001");
        assert_eq!(updated("ot=a:b", Some("8"), Some(new)).unwrap(), "ot=th:8;a:b;rv:00000000000001");
        assert_eq!(updated(&format!("ot=rv:{old}"), None, Some(new)), None);
        assert_eq!(updated("ot=rv:odd", Some("8"), Some(new)).unwrap(), "ot=th:8;rv:odd");
    }

    #[test]
    fn what_does_not_fit_is_left_out() {
        let fill = |length: usize| format!("ot=th:8;a:{}", "x".repeat(length - 2));
        assert_eq!(updated(&fill(251), Some("c"), None).unwrap(), fill(251).replace("th:8", "th:c"));
        assert_eq!(updated(&fill(251), Some("cc"), None).unwrap(), fill(251).replace("th:8;", ""));
        assert_eq!(updated(&fill(251), Some("8"), Some("00000000000001")).unwrap(), fill(251));
    }

    proptest! {
        /// Whatever there is, the new entry is valid, says what was asked for, and has lost no other key.
        #[test]
        fn an_update_keeps_what_it_does_not_change(
            text in "([a-c]{0,2}|th|rv)[:;]?([a-f0-9;:]{0,20}|x{230,250})(;[a-d]{1,2}:[x-z]{0,3}){0,3}",
            others in prop::collection::vec("[a-z]{3}=[a-z]{1,3}", 0..4),
            threshold in prop::option::of(0_u64..1 << 56),
            randomness in prop::option::of(0_u64..1 << 56),
        ) {
            let members: HashSet<String> = others.into_iter().collect();
            let members: Vec<String> = std::iter::once(format!("ot={text}")).chain(members).collect();
            let Ok(state) = TraceState::parse(&members.join(",")) else { return Ok(()) };
            let before = OtEntry::of(&state);
            let (threshold, randomness) = (threshold.and_then(Threshold::from_int), randomness.and_then(Randomness::from_int));
            let after = before.updated(&state, threshold, randomness).unwrap_or_else(|| state.clone());
            prop_assert!(TraceState::parse(after.as_str()).is_ok());
            let entry = OtEntry::of(&after);
            prop_assert!(entry.threshold() == threshold || entry.threshold().is_none());
            if before.0.len() < 200 {
                prop_assert_eq!(entry.threshold(), threshold);
                prop_assert_eq!(entry.get("rv").is_some(), before.get("rv").is_some() || randomness.is_some());
            }
            for (key, value) in before.members().filter(|(key, _)| *key != "th") {
                prop_assert_eq!(entry.get(key), Some(value));
            }
            for (key, value) in state.iter().filter(|(key, _)| *key != "ot") {
                prop_assert_eq!(after.get(key), Some(value));
            }
        }

        #[test]
        fn exactly_the_grammar_is_read(text in "[ab1A:;.é ]{0,8}") {
            let mut keys = HashSet::new();
            let valid = text.split(';').all(|member| {
                let mut parts = member.split(':');
                let (key, value) = (parts.next().unwrap_or_default(), parts.next());
                keys.insert(key.to_owned())
                    && parts.next().is_none()
                    && key.chars().next().is_some_and(|c| c.is_ascii_lowercase())
                    && key.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit())
                    && value.is_some_and(|value| value.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c)))
            });
            prop_assert_eq!(OtEntry::parse(&text).is_some(), valid);
        }
    }
}
