//! The `tracestate` entries of a span context.
//!
//! Source: W3C Trace Context level 2, section "Tracestate Header". Level 2 has one grammar for keys, in which `@` is an
//! ordinary character: `tenant@system` of level 1 is a key, and so is `tenant@` (section "Key").

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// The vendors' entries of a trace, in the order in which they travel, the latest first. Empty for most spans, and then free.
///
/// Always valid, and kept in the shortest spelling: no optional white space and no empty list-members, which the standard
/// lets a sender leave out. A clone shares the text.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct TraceState(Option<Arc<str>>);

/// Why a text is not a `tracestate`, or a key and value not an entry of one.
///
/// `member` is the offending list-member, cut after 64 characters; `at` counts bytes from the start of the text (for
/// [`TraceState::insert`], of `key=value`).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TraceStateError {
    /// Section "list": at most 32 list-members, empty ones included.
    #[error("a tracestate has at most {max} list-members, and another one starts at byte {at}", max = TraceState::MAX_MEMBERS)]
    TooManyMembers {
        /// Where the first one too many starts.
        at: usize,
    },
    /// Section "list-members": a key and a value are joined by `=`.
    #[error("the tracestate member {member:?} at byte {at} has no '=' between key and value")]
    NoEquals {
        /// The offending list-member.
        member: String,
        /// Where it starts.
        at: usize,
    },
    /// Section "Key": at least one character.
    #[error("the tracestate member {member:?} at byte {at} has no key")]
    EmptyKey {
        /// The offending list-member.
        member: String,
        /// Where it starts.
        at: usize,
    },
    /// Section "Key": at most 256 characters.
    #[error("the key of the tracestate member {member:?} at byte {at} has {length} characters, more than {max}", max = MAX_LENGTH)]
    KeyTooLong {
        /// The offending list-member.
        member: String,
        /// Where it starts.
        at: usize,
        /// How long the key is, in bytes.
        length: usize,
    },
    /// Section "Key": a lower-case letter or digit, then those and `_`, `-`, `*`, `/`, `@`.
    #[error(
        "the key of the tracestate member {member:?} has {character:?} at byte {at}; \
         a key starts with a lower-case letter or a digit and goes on with those and '_', '-', '*', '/', '@'"
    )]
    KeyCharacter {
        /// The offending list-member.
        member: String,
        /// Where the character is.
        at: usize,
        /// The character.
        character: char,
    },
    /// Section "Value": at least one character, the last one not a space.
    #[error("the tracestate member {member:?} at byte {at} has no value")]
    EmptyValue {
        /// The offending list-member.
        member: String,
        /// Where it starts.
        at: usize,
    },
    /// Section "Value": at most 256 characters.
    #[error("the value of the tracestate member {member:?} at byte {at} has {length} characters, more than {max}", max = MAX_LENGTH)]
    ValueTooLong {
        /// The offending list-member.
        member: String,
        /// Where it starts.
        at: usize,
        /// How long the value is, in bytes.
        length: usize,
    },
    /// Section "Value": printable ASCII without `,` and `=`, the last one not a space.
    #[error(
        "the value of the tracestate member {member:?} has {character:?} at byte {at}; \
         a value is printable ascii without ',' and '=', and does not end with a space"
    )]
    ValueCharacter {
        /// The offending list-member.
        member: String,
        /// Where the character is.
        at: usize,
        /// The character.
        character: char,
    },
    /// Section "Combined Header Value": only one entry per key.
    #[error(
        "the key of the tracestate member {member:?} at byte {at} occurs before it; only one entry per key is allowed"
    )]
    DuplicateKey {
        /// The offending list-member.
        member: String,
        /// Where it starts.
        at: usize,
    },
}

/// How long a key or a value may be, in characters (all of them ASCII).
const MAX_LENGTH: usize = 256;

const OWS: [char; 2] = [' ', '\t'];

impl TraceState {
    /// No entries.
    pub const EMPTY: Self = Self(None);

    /// How many list-members there may be (section "list").
    pub const MAX_MEMBERS: usize = 32;

    /// Reads the value of a `tracestate` header; several headers have to be joined with `,` first.
    ///
    /// White space around list-members and empty list-members are accepted and left out. One invalid list-member makes
    /// the whole text invalid.
    pub fn parse(text: &str) -> Result<Self, TraceStateError> {
        let mut entries = [("", ""); Self::MAX_MEMBERS];
        let mut count = 0;
        let mut next = 0;
        for (index, piece) in text.split(',').enumerate() {
            let unpadded = piece.trim_start_matches(OWS);
            let at = next + piece.len() - unpadded.len();
            next += piece.len() + 1;
            if index == Self::MAX_MEMBERS {
                return Err(TraceStateError::TooManyMembers { at });
            }
            let member = unpadded.trim_end_matches(OWS);
            if member.is_empty() {
                continue;
            }
            let Some((key, value)) = member.split_once('=') else {
                return Err(TraceStateError::NoEquals { member: excerpt(member.chars()), at });
            };
            check(key, value, at)?;
            if entries[..count].iter().any(|(earlier, _)| *earlier == key) {
                return Err(TraceStateError::DuplicateKey { member: excerpt(member.chars()), at });
            }
            entries[count] = (key, value);
            count += 1;
        }
        let entries = &entries[..count];
        let shortest = entries.iter().map(|(key, value)| key.len() + value.len() + 2).sum::<usize>().saturating_sub(1);
        if shortest == text.len() && count > 0 {
            return Ok(Self(Some(text.into())));
        }
        Ok(Self::from_valid(String::with_capacity(shortest), entries.iter().copied()))
    }

    /// The text of the header, `""` when there are no entries.
    pub fn as_str(&self) -> &str {
        self.0.as_deref().unwrap_or_default()
    }

    /// Whether there are no entries.
    pub const fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// The value of this key's entry.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.iter().find_map(|(name, value)| (name == key).then_some(value))
    }

    /// Keys and values, the latest entry first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&str, &str)> + Clone {
        self.as_str().split(',').filter_map(|member| member.split_once('='))
    }

    /// With this entry at the front, and without the key's earlier entry. When there would be more than 32 entries, the
    /// right-most one goes, which is the oldest (section "Mutating the tracestate Field").
    pub fn insert(&self, key: &str, value: &str) -> Result<Self, TraceStateError> {
        check(key, value, 0)?;
        let mut text = String::with_capacity(key.len() + value.len() + 2 + self.as_str().len());
        push(&mut text, key, value);
        let others = self.iter().filter(|(name, _)| *name != key).take(Self::MAX_MEMBERS - 1);
        Ok(Self::from_valid(text, others))
    }

    /// Without this key's entry, the order of the others kept.
    #[must_use]
    pub fn delete(&self, key: &str) -> Self {
        if self.get(key).is_none() {
            return self.clone();
        }
        let text = String::with_capacity(self.as_str().len());
        Self::from_valid(text, self.iter().filter(|(name, _)| *name != key))
    }

    fn from_valid<'a>(mut text: String, entries: impl Iterator<Item = (&'a str, &'a str)>) -> Self {
        for (key, value) in entries {
            push(&mut text, key, value);
        }
        if text.is_empty() { Self::EMPTY } else { Self(Some(text.into())) }
    }
}

impl FromStr for TraceState {
    type Err = TraceStateError;

    /// The same as [`TraceState::parse`].
    fn from_str(text: &str) -> Result<Self, TraceStateError> {
        Self::parse(text)
    }
}

impl fmt::Display for TraceState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

fn push(text: &mut String, key: &str, value: &str) {
    if !text.is_empty() {
        text.push(',');
    }
    text.push_str(key);
    text.push('=');
    text.push_str(value);
}

/// Whether `key=value`, which starts at byte `at`, is a list-member.
fn check(key: &str, value: &str, at: usize) -> Result<(), TraceStateError> {
    let member = || excerpt(key.chars().chain(['=']).chain(value.chars()));
    if key.is_empty() {
        return Err(TraceStateError::EmptyKey { member: member(), at });
    }
    if let Some((place, character)) = first_outside(key, is_key_character).or_else(|| bad_start(key)) {
        return Err(TraceStateError::KeyCharacter { member: member(), at: at + place, character });
    }
    if key.len() > MAX_LENGTH {
        return Err(TraceStateError::KeyTooLong { member: member(), at, length: key.len() });
    }
    if value.is_empty() {
        return Err(TraceStateError::EmptyValue { member: member(), at });
    }
    if let Some((place, character)) = first_outside(value, is_value_character).or_else(|| bad_end(value)) {
        return Err(TraceStateError::ValueCharacter { member: member(), at: at + key.len() + 1 + place, character });
    }
    if value.len() > MAX_LENGTH {
        return Err(TraceStateError::ValueTooLong { member: member(), at, length: value.len() });
    }
    Ok(())
}

const fn is_key_character(byte: u8) -> bool {
    matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' | b'*' | b'/' | b'@')
}

const fn is_value_character(byte: u8) -> bool {
    matches!(byte, b' '..=b'~') && byte != b',' && byte != b'='
}

/// The first character that is not allowed, and its place. Both alphabets are ASCII, so the first byte outside starts one.
fn first_outside(text: &str, allowed: fn(u8) -> bool) -> Option<(usize, char)> {
    let place = text.bytes().position(|byte| !allowed(byte))?;
    Some((place, text[place..].chars().next()?))
}

fn bad_start(key: &str) -> Option<(usize, char)> {
    key.chars().next().filter(|first| !first.is_ascii_alphanumeric()).map(|first| (0, first))
}

fn bad_end(value: &str) -> Option<(usize, char)> {
    value.ends_with(' ').then(|| (value.len() - 1, ' '))
}

fn excerpt(member: impl Iterator<Item = char>) -> String {
    member.take(64).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    fn numbered(count: usize) -> String {
        (0..count).map(|n| format!("k{n}=v{n}")).collect::<Vec<_>>().join(",")
    }

    #[test]
    fn nothing_is_empty_and_free() {
        for text in ["", " ", ",", " ,\t, "] {
            let state = TraceState::parse(text).unwrap();
            assert!(state.is_empty());
            assert_eq!(state, TraceState::EMPTY);
            assert_eq!(state.as_str(), "");
            assert_eq!(state.iter().count(), 0);
        }
    }

    #[test]
    fn padding_and_empty_members_are_left_out_and_leading_spaces_of_values_stay() {
        let state: TraceState = " congo=t61 \t,, rojo= 00f0 7 ,\t".parse().unwrap();
        assert_eq!(state.to_string(), "congo=t61,rojo= 00f0 7");
        assert_eq!(state.get("rojo"), Some(" 00f0 7"));
        assert_eq!(state.get("ro"), None);
        assert_eq!(state.iter().rev().collect::<Vec<_>>(), [("rojo", " 00f0 7"), ("congo", "t61")]);
    }

    #[test]
    fn errors_name_the_member_and_the_place() {
        let error = TraceState::parse("a=1, Bad=2").unwrap_err();
        assert_eq!(error, TraceStateError::KeyCharacter { member: "Bad=2".into(), at: 5, character: 'B' });
        assert_eq!(
            error.to_string(),
            "the key of the tracestate member \"Bad=2\" has 'B' at byte 5; \
             a key starts with a lower-case letter or a digit and goes on with those and '_', '-', '*', '/', '@'"
        );
        let error = TraceState::parse("a=1,b=xüy").unwrap_err();
        assert_eq!(error, TraceStateError::ValueCharacter { member: "b=xüy".into(), at: 7, character: 'ü' });
        let error = TraceState::parse(&format!("a=1,{}", "b".repeat(300))).unwrap_err();
        assert_eq!(error, TraceStateError::NoEquals { member: "b".repeat(64), at: 4 });
    }

    #[test]
    fn an_entry_moves_to_the_front() {
        let state = TraceState::parse("a=1,b=2,c=3").unwrap();
        assert_eq!(state.insert("b", "4").unwrap().as_str(), "b=4,a=1,c=3");
        assert_eq!(state.insert("d", "5").unwrap().as_str(), "d=5,a=1,b=2,c=3");
        assert_eq!(TraceState::EMPTY.insert("d", "5").unwrap().as_str(), "d=5");
        assert_eq!(state.as_str(), "a=1,b=2,c=3");
    }

    #[test]
    fn the_right_most_entry_goes_beyond_thirty_two() {
        let full = TraceState::parse(&numbered(32)).unwrap();
        let pushed = full.insert("new", "1").unwrap();
        assert_eq!(pushed.iter().count(), 32);
        assert_eq!((pushed.get("new"), pushed.get("k30"), pushed.get("k31")), (Some("1"), Some("v30"), None));
        let updated = full.insert("k31", "1").unwrap();
        assert_eq!((updated.iter().count(), updated.get("k31"), updated.get("k0")), (32, Some("1"), Some("v0")));
    }

    #[test]
    fn what_is_not_an_entry_is_not_inserted() {
        let insert = |key: &str, value: &str| TraceState::EMPTY.insert(key, value).unwrap_err();
        assert_eq!(insert("", "1"), TraceStateError::EmptyKey { member: "=1".into(), at: 0 });
        assert_eq!(insert("a=b", "1"), TraceStateError::KeyCharacter { member: "a=b=1".into(), at: 1, character: '=' });
        assert_eq!(insert("a", "1 "), TraceStateError::ValueCharacter { member: "a=1 ".into(), at: 3, character: ' ' });
        assert_eq!(
            insert("a", "1,2"),
            TraceStateError::ValueCharacter { member: "a=1,2".into(), at: 3, character: ',' }
        );
        assert_eq!(insert("a", ""), TraceStateError::EmptyValue { member: "a=".into(), at: 0 });
    }

    #[test]
    fn deleting_keeps_the_order_and_the_last_one_leaves_nothing() {
        let state = TraceState::parse("a=1,b=2,c=3").unwrap();
        assert_eq!(state.delete("b").as_str(), "a=1,c=3");
        assert_eq!(state.delete("x"), state);
        assert!(TraceState::parse("a=1").unwrap().delete("a").is_empty());
    }

    /// The grammar once more, a character at a time, to hold the parser against.
    fn is_tracestate(text: &str) -> bool {
        let members: Vec<&str> = text.split(',').map(|member| member.trim_matches([' ', '\t'])).collect();
        let mut keys = HashSet::new();
        members.len() <= 32
            && members.iter().filter(|member| !member.is_empty()).all(|member| {
                let key: String = member.chars().take_while(|&c| c != '=').collect();
                let value: Vec<char> = member.chars().skip(key.chars().count() + 1).collect();
                keys.insert(key.clone())
                    && (1..=256).contains(&key.chars().count())
                    && key.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
                    && key.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "_-*/@".contains(c))
                    && (1..=256).contains(&value.len())
                    && value.iter().all(|&c| (' '..='~').contains(&c) && c != '=')
            })
    }

    proptest! {
        #[test]
        fn exactly_the_grammar_is_accepted(text in "([ab1@*A]{0,3}=?[ x=~é]{0,3}[,\t]?){0,6}", many in 0_usize..40) {
            let text = if many > 30 { format!("{text},{}", numbered(many)) } else { text };
            let parsed = TraceState::parse(&text);
            prop_assert_eq!(parsed.is_ok(), is_tracestate(&text), "{:?}", parsed);
        }

        #[test]
        fn what_parses_reads_back_equal(text in "( ?[a-c][a-d0-9_@]{0,4}=[ -+a-z]{0,5}[a-z],?){0,8}") {
            if let Ok(state) = TraceState::parse(&text) {
                let again = TraceState::parse(state.as_str());
                prop_assert_eq!(again.as_ref(), Ok(&state));
                let entries: Vec<_> = state.iter().collect();
                for (key, value) in &entries {
                    prop_assert_eq!(state.get(key), Some(*value));
                    prop_assert_eq!(state.delete(key).iter().count(), entries.len() - 1);
                    let moved = state.insert(key, "moved").unwrap();
                    prop_assert_eq!(moved.iter().next(), Some((*key, "moved")));
                    prop_assert_eq!(moved.delete(key), state.delete(key));
                }
            }
        }
    }
}
