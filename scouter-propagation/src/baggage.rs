//! The `baggage` header.
//!
//! Source: W3C Baggage, section 3 "Baggage HTTP Header Format". Decisions that the standard leaves open:
//!
//! - A list-member that is not in the format is removed, the others stay (section 3.5 "Mutating baggage").
//! - At most 180 list-members (the grammar of section 3.3.1) and 8192 bytes (section 3.3.2 "Limits") are kept; a
//!   list-member that does not fit is dropped whole, later ones that fit stay.
//! - A `%` that is not followed by two hexadecimal digits is not in the format, as section 3.3.1.3 "value" demands its
//!   encoding. Encoded bytes that are not UTF-8 become U+FFFD, as the same section demands.
//! - Keys and properties have no meaning here and stay as they are, `%` included (sections 3.3.1.2 "key" and 3.3.1.4
//!   "property"). Repeated keys stay, in order (section 3.3.1.1); the last one is read.

mod member;
mod propagator;

use std::fmt;

pub use member::members;
pub use propagator::BaggagePropagator;

/// The name of the header, in the spelling that is sent (section 3.2 "Header Name").
pub const HEADER: &str = "baggage";

/// Named values that travel with a request, in the order in which they travel. Never more than the header may hold.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Baggage {
    entries: Vec<Entry>,
    /// The length of the header's value, in bytes.
    length: usize,
}

/// One named value.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Entry {
    key: String,
    value: String,
    metadata: String,
}

/// Why a text is not an entry of baggage, or an entry cannot be added. Values are not shown, as they may be private.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BaggageError {
    /// Section 3.3.1: a key and a value are joined by `=`.
    #[error("a baggage member has no '=' between key and value")]
    NoEquals,
    /// Section 3.3.1.2: at least one character.
    #[error("a baggage member has an empty key")]
    EmptyKey,
    /// Section 3.3.1.2: a token of RFC 7230, section 3.2.6.
    #[error("the baggage key {key:?} has {character:?}; a key has letters, digits and !#$%&'*+-.^_`|~")]
    KeyCharacter {
        /// The key.
        key: String,
        /// The first character that is not allowed.
        character: char,
    },
    /// Section 3.3.1.3: printable ASCII without `"`, `,`, `;` and `\`, everything else encoded.
    #[error("the value of the baggage member {key:?} has {character:?}, which has to be percent-encoded")]
    ValueCharacter {
        /// The key.
        key: String,
        /// The first character that is not allowed.
        character: char,
    },
    /// Section 3.3.1.3: `%` is followed by two hexadecimal digits.
    #[error("the value of the baggage member {key:?} has '%' without two hexadecimal digits after it")]
    Percent {
        /// The key.
        key: String,
    },
    /// Section 3.3.1.4: a property is a key, or a key and a value.
    #[error("the baggage member {key:?} has an invalid property: {reason}")]
    Property {
        /// The key of the list-member.
        key: String,
        /// What is wrong with the property.
        #[source]
        reason: Box<BaggageError>,
    },
    /// Section 3.3.1: at most 180 list-members.
    #[error("baggage has at most {max} members; remove one to add {key:?}", max = Baggage::MAX_MEMBERS)]
    TooManyMembers {
        /// The key that found no place.
        key: String,
    },
    /// Section 3.3.2: 8192 bytes.
    #[error("baggage would have {length} bytes with {key:?}, more than {max}", max = Baggage::MAX_BYTES)]
    TooLong {
        /// The key that found no place.
        key: String,
        /// How long the header's value would be, in bytes.
        length: usize,
    },
}

impl Baggage {
    /// How many list-members are kept and sent (section 3.3.1; section 3.3.2 demands 64).
    pub const MAX_MEMBERS: usize = 180;

    /// How long the header's value may be, in bytes (section 3.3.2).
    pub const MAX_BYTES: usize = 8192;

    /// No entries.
    pub const fn new() -> Self {
        Self { entries: Vec::new(), length: 0 }
    }

    /// Reads the values of all `baggage` headers of a message, in their order; the limits hold for all of them together.
    /// What is invalid or does not fit is left out; [`members`] tells why.
    pub fn parse<'a>(headers: impl IntoIterator<Item = &'a str>) -> Self {
        let mut baggage = Self::new();
        for entry in headers.into_iter().flat_map(members).flatten() {
            if baggage.entries.len() == Self::MAX_MEMBERS {
                break;
            }
            let length = baggage.length + usize::from(!baggage.is_empty()) + entry.length();
            if length <= Self::MAX_BYTES {
                baggage.entries.push(entry);
                baggage.length = length;
            }
        }
        baggage
    }

    /// The value of the header, `""` when there are no entries.
    pub fn to_header(&self) -> String {
        let mut text = String::with_capacity(self.length);
        for entry in &self.entries {
            if !text.is_empty() {
                text.push(',');
            }
            entry.write(&mut text);
        }
        text
    }

    /// Whether there are no entries.
    pub const fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// How many entries there are, repeated keys counted each time.
    pub const fn len(&self) -> usize {
        self.entries.len()
    }

    /// The entries in order.
    pub fn iter(&self) -> std::slice::Iter<'_, Entry> {
        self.entries.iter()
    }

    /// The value of the last entry with this key.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.entry(key).map(Entry::value)
    }

    /// The last entry with this key.
    pub fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries.iter().rfind(|entry| entry.key == key)
    }

    /// Sets the only entry with this key, at the place of its first one, or at the end.
    ///
    /// An error leaves the baggage as it was.
    pub fn insert(&mut self, entry: Entry) -> Result<(), BaggageError> {
        let others = || self.entries.iter().filter(|earlier| earlier.key != entry.key);
        if others().count() == Self::MAX_MEMBERS {
            return Err(BaggageError::TooManyMembers { key: entry.key });
        }
        let length = others().map(|other| other.length() + 1).sum::<usize>() + entry.length();
        if length > Self::MAX_BYTES {
            return Err(BaggageError::TooLong { key: entry.key, length });
        }
        let place = self.entries.iter().position(|earlier| earlier.key == entry.key).unwrap_or(self.entries.len());
        self.entries.retain(|earlier| earlier.key != entry.key);
        self.entries.insert(place, entry);
        self.length = length;
        Ok(())
    }

    /// Removes every entry with this key; whether there was one.
    pub fn remove(&mut self, key: &str) -> bool {
        let before = self.entries.len();
        self.entries.retain(|entry| entry.key != key);
        self.length = self.entries.iter().map(|entry| entry.length() + 1).sum::<usize>().saturating_sub(1);
        self.entries.len() < before
    }
}

impl fmt::Display for Baggage {
    /// The value of the header.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.to_header())
    }
}

impl<'a> IntoIterator for &'a Baggage {
    type Item = &'a Entry;
    type IntoIter = std::slice::Iter<'a, Entry>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}
