//! Single values: what JSON may hold for each kind of field.

use std::fmt;

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use scouter_span::wire::{fixed32, fixed64, len_delimited, uint};
use serde::Deserializer;
use serde::de::{DeserializeSeed, Error, Visitor};

use super::schema::{Field, Kind};

/// A field that is not a message; `null` leaves it out.
pub(super) struct Scalar<'o> {
    pub(super) field: &'static Field,
    pub(super) out: &'o mut Vec<u8>,
}

/// The protobuf JSON mapping lets bytes come with or without padding.
const STANDARD: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Whole numbers up to this size are exact as floating point.
const EXACT: f64 = 9_007_199_254_740_992.0;

impl Scalar<'_> {
    fn wrong<E: Error>(&self, what: impl fmt::Display) -> E {
        E::custom(format_args!("{what} is not a value of {}", self.field.name))
    }

    /// Writes a whole number if the field can hold it.
    fn integer<E: Error>(self, value: i128) -> Result<(), E> {
        let number = self.field.number;
        let fits = match self.field.kind {
            Kind::Uint32 => u32::try_from(value).map(|value| uint(self.out, number, value.into())).is_ok(),
            Kind::Fixed32 => u32::try_from(value).map(|value| fixed32(self.out, number, value)).is_ok(),
            Kind::Fixed64 => u64::try_from(value).map(|value| fixed64(self.out, number, value)).is_ok(),
            // Negative numbers travel as the two's complement of their 64 bits.
            Kind::Enum => i32::try_from(value).map(|value| uint(self.out, number, i64::from(value) as u64)).is_ok(),
            Kind::Int64 => i64::try_from(value).map(|value| uint(self.out, number, value as u64)).is_ok(),
            Kind::Double => {
                fixed64(self.out, number, (value as f64).to_bits());
                true
            }
            _ => false,
        };
        if fits { Ok(()) } else { Err(self.wrong(value)) }
    }

    fn float<E: Error>(self, value: f64) -> Result<(), E> {
        match self.field.kind {
            Kind::Double => {
                fixed64(self.out, self.field.number, value.to_bits());
                Ok(())
            }
            // `1e3` and `1.0` are whole numbers too.
            _ if value.fract() == 0.0 && value.abs() <= EXACT => self.integer(value as i128),
            _ => Err(self.wrong(value)),
        }
    }

    fn number_in_text<E: Error>(self, text: &str) -> Result<(), E> {
        // Rust's own parser takes `+1`, `inf` and `nan`, which JSON numbers are not.
        let plain = text.starts_with(|first: char| first.is_ascii_digit() || first == '-')
            && text.ends_with(|last: char| last.is_ascii_digit());
        let special = match (self.field.kind, text) {
            (Kind::Double, "NaN") => Some(f64::NAN),
            (Kind::Double, "Infinity") => Some(f64::INFINITY),
            (Kind::Double, "-Infinity") => Some(f64::NEG_INFINITY),
            _ => None,
        };
        if let Some(value) = special {
            return self.float(value);
        }
        if !plain {
            return Err(self.wrong(format_args!("{text:?}")));
        }
        if let (Kind::Double, Ok(value)) = (self.field.kind, text.parse()) {
            return self.float(value);
        }
        if let Ok(value) = text.parse() {
            return self.integer(value);
        }
        match text.parse() {
            Ok(value) => self.float(value),
            Err(_) => Err(self.wrong(format_args!("{text:?}"))),
        }
    }
}

/// The bytes of an id. Its length is not looked at: a span with an id of the wrong length is rejected, not its request.
fn hex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    if !digits.len().is_multiple_of(2) || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let byte = |pair: &[u8]| u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok();
    digits.chunks_exact(2).map(byte).collect()
}

fn base64(text: &str) -> Option<Vec<u8>> {
    // The mapping allows the URL's alphabet as well.
    let standard: String = text
        .chars()
        .map(|digit| match digit {
            '-' => '+',
            '_' => '/',
            digit => digit,
        })
        .collect();
    STANDARD.decode(standard).ok()
}

impl<'de> DeserializeSeed<'de> for Scalar<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Visitor<'_> for Scalar<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.field.kind {
            Kind::Text => "text",
            Kind::Bool => "true or false",
            Kind::Id => "an id in hexadecimal digits",
            Kind::Bytes => "bytes in base64",
            Kind::Enum => "an enum's number",
            _ => "a number",
        };
        write!(f, "{kind} for {}", self.field.name)
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        match self.field.kind {
            Kind::Bool => {
                uint(self.out, self.field.number, value.into());
                Ok(())
            }
            _ => Err(self.wrong(value)),
        }
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        self.integer(value.into())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        self.integer(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        self.float(value)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        let bytes = match self.field.kind {
            Kind::Text => {
                len_delimited(self.out, self.field.number, text.as_bytes());
                return Ok(());
            }
            Kind::Id => hex(text).ok_or_else(|| self.wrong(format_args!("{text:?}, not hexadecimal,")))?,
            Kind::Bytes => base64(text).ok_or_else(|| self.wrong("text that is not base64"))?,
            // OTLP: an enum's name must not be used.
            Kind::Bool | Kind::Enum => return Err(self.wrong(format_args!("{text:?}"))),
            _ => return self.number_in_text(text),
        };
        len_delimited(self.out, self.field.number, &bytes);
        Ok(())
    }
}
