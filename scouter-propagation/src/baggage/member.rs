//! One list-member, read and written.

use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};

use super::{BaggageError, Entry};
use crate::trim;

/// What a value cannot hold as it is: everything that is not a baggage-octet, and `%` (section 3.3.1.3 "value").
const ENCODED: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'%').add(b',').add(b';').add(b'\\');

/// The list-members of one `baggage` header, each read or refused by itself; empty ones are passed over (RFC 7230,
/// section 7).
pub fn members(header: &str) -> impl Iterator<Item = Result<Entry, BaggageError>> {
    header.split(',').map(trim).filter(|member| !member.is_empty()).map(read)
}

impl Entry {
    /// A value under a key, which has to be a token (section 3.3.1.2 "key"); the value may be any text.
    pub fn new(key: impl Into<String>, value: impl Into<String>) -> Result<Self, BaggageError> {
        let key = key.into();
        check_key(&key)?;
        Ok(Self { key, value: value.into(), metadata: String::new() })
    }

    /// With these properties instead, such as `secret;ttl=5` (section 3.3.1.4 "property").
    pub fn with_metadata(mut self, metadata: &str) -> Result<Self, BaggageError> {
        self.metadata = String::new();
        if !trim(metadata).is_empty() {
            self.metadata = read_properties(&self.key, metadata)?;
        }
        Ok(self)
    }

    /// The name.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The value, decoded.
    pub fn value(&self) -> &str {
        &self.value
    }

    /// The properties as they travel, `;` between them, `""` without any.
    pub fn metadata(&self) -> &str {
        &self.metadata
    }

    /// The keys of the properties, and their values as they travel where they have one.
    pub fn properties(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        self.metadata.split(';').filter(|property| !property.is_empty()).map(|property| {
            match property.split_once('=') {
                Some((key, value)) => (key, Some(value)),
                None => (property, None),
            }
        })
    }

    /// How long it is in the header, in bytes.
    pub(super) fn length(&self) -> usize {
        let value: usize = self.value.bytes().map(|byte| if is_plain(byte) { 1 } else { 3 }).sum();
        let metadata = if self.metadata.is_empty() { 0 } else { 1 + self.metadata.len() };
        self.key.len() + 1 + value + metadata
    }

    pub(super) fn write(&self, out: &mut String) {
        out.push_str(&self.key);
        out.push('=');
        out.extend(utf8_percent_encode(&self.value, ENCODED));
        if !self.metadata.is_empty() {
            out.push(';');
            out.push_str(&self.metadata);
        }
    }
}

fn read(member: &str) -> Result<Entry, BaggageError> {
    let (pair, properties) = match member.split_once(';') {
        Some((pair, properties)) => (pair, Some(properties)),
        None => (member, None),
    };
    let (key, value) = pair.split_once('=').ok_or(BaggageError::NoEquals)?;
    let (key, value) = (trim(key), trim(value));
    check_key(key)?;
    check_value(key, value)?;
    check_percent(key, value)?;
    let metadata = properties.map(|properties| read_properties(key, properties)).transpose()?;
    Ok(Entry {
        key: key.to_owned(),
        value: percent_decode_str(value).decode_utf8_lossy().into_owned(),
        metadata: metadata.unwrap_or_default(),
    })
}

/// The properties without the white space around their parts.
fn read_properties(of: &str, text: &str) -> Result<String, BaggageError> {
    let mut metadata = String::with_capacity(text.len());
    for property in text.split(';') {
        let (key, value) = match property.split_once('=') {
            Some((key, value)) => (trim(key), Some(trim(value))),
            None => (trim(property), None),
        };
        check_key(key)
            .and_then(|()| check_value(key, value.unwrap_or_default()))
            .map_err(|reason| BaggageError::Property { key: of.to_owned(), reason: Box::new(reason) })?;
        if !metadata.is_empty() {
            metadata.push(';');
        }
        metadata.push_str(key);
        if let Some(value) = value {
            metadata.push('=');
            metadata.push_str(value);
        }
    }
    Ok(metadata)
}

fn check_key(key: &str) -> Result<(), BaggageError> {
    if key.is_empty() {
        return Err(BaggageError::EmptyKey);
    }
    match first_outside(key, is_token_character) {
        Some(character) => Err(BaggageError::KeyCharacter { key: key.chars().take(64).collect(), character }),
        None => Ok(()),
    }
}

fn check_value(key: &str, value: &str) -> Result<(), BaggageError> {
    match first_outside(value, is_baggage_octet) {
        Some(character) => Err(BaggageError::ValueCharacter { key: key.to_owned(), character }),
        None => Ok(()),
    }
}

fn check_percent(key: &str, value: &str) -> Result<(), BaggageError> {
    let is_encoded = |rest: &str| rest.len() >= 2 && rest.bytes().take(2).all(|digit| digit.is_ascii_hexdigit());
    if value.split('%').skip(1).all(is_encoded) { Ok(()) } else { Err(BaggageError::Percent { key: key.to_owned() }) }
}

/// The first character that is not allowed. All alphabets are ASCII, so the first byte outside starts one.
fn first_outside(text: &str, allowed: fn(u8) -> bool) -> Option<char> {
    text[text.bytes().position(|byte| !allowed(byte))?..].chars().next()
}

/// `tchar` of RFC 7230, section 3.2.6.
const fn is_token_character(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~'
        )
}

/// `baggage-octet` of section 3.3.1.
const fn is_baggage_octet(byte: u8) -> bool {
    matches!(byte, b'!'..=b'~') && !matches!(byte, b'"' | b',' | b';' | b'\\')
}

/// Whether a byte of a value travels as it is; the others are those of [`ENCODED`] and all that is not ASCII.
const fn is_plain(byte: u8) -> bool {
    is_baggage_octet(byte) && byte != b'%'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exactly_what_has_to_be_encoded_is_encoded() {
        for byte in 0..=0x7f_u8 {
            let value = char::from(byte).to_string();
            let mut text = String::new();
            Entry::new("k", value.clone()).unwrap().write(&mut text);
            assert_eq!(text, if is_plain(byte) { format!("k={value}") } else { format!("k=%{byte:02X}") });
        }
    }

    #[test]
    fn the_length_is_known_before_writing() {
        let entry = Entry::new("k", "Amélie, \"%\"").unwrap().with_metadata(" a ; b = c").unwrap();
        let mut text = String::new();
        entry.write(&mut text);
        assert_eq!(text, "k=Am%C3%A9lie%2C%20%22%25%22;a;b=c");
        assert_eq!(entry.length(), text.len());
        assert_eq!(entry.properties().collect::<Vec<_>>(), [("a", None), ("b", Some("c"))]);
    }
}
