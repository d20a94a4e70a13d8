//! Trace and span ids, and where new ones come from.
//!
//! Ids are bytes that cannot be all zero. Hex exists only in [`Display`](std::fmt::Display), [`FromStr`] and [`TraceId::to_hex`].
//! Source: W3C Trace Context level 2, sections "trace-id" and "parent-id".

mod random;

use std::fmt;
use std::num::{NonZeroU64, NonZeroU128};
use std::str::{self, FromStr};

pub use random::RandomIds;

/// Sixteen bytes that name a trace; never all zero.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TraceId(NonZeroU128);

/// Eight bytes that name a span within its trace; never all zero.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SpanId(NonZeroU64);

/// Why a text or a byte string is not an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// The text or byte string has the wrong length for this id.
    #[error("an id of this kind has {expected} characters or bytes, not {actual}")]
    Length {
        /// What the id has to have.
        expected: usize,
        /// What was given.
        actual: usize,
    },
    /// The character at this place is not a hexadecimal digit.
    #[error("the character at position {at} is not a hexadecimal digit")]
    NotHex {
        /// Position of the first offending character.
        at: usize,
    },
    /// Every digit is zero, which the standard reserves for "no id".
    #[error("an id must not be all zeros")]
    Zero,
}

/// Where a tracer takes new ids from. Called once for every root (trace id) and every span (span id), sampled or not.
pub trait IdGenerator: Send + Sync + fmt::Debug {
    /// A new trace id.
    fn new_trace_id(&self) -> TraceId;
    /// A new span id.
    fn new_span_id(&self) -> SpanId;
    /// Whether the trace ids have at least 56 random bits at their right end, which is what the `random` flag of
    /// W3C Trace Context level 2 promises.
    fn is_random(&self) -> bool {
        false
    }
}

const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// Writes `bytes` as lower-case hex into `out`, which must be twice as long.
pub(crate) fn write_hex(bytes: &[u8], out: &mut [u8]) {
    for (byte, pair) in bytes.iter().zip(out.chunks_exact_mut(2)) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
}

fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

fn parse_hex<const N: usize>(text: &[u8]) -> Result<[u8; N], IdError> {
    if text.len() != 2 * N {
        return Err(IdError::Length { expected: 2 * N, actual: text.len() });
    }
    let mut bytes = [0; N];
    for (at, (byte, pair)) in bytes.iter_mut().zip(text.chunks_exact(2)).enumerate() {
        let high = nibble(pair[0]).ok_or(IdError::NotHex { at: 2 * at })?;
        let low = nibble(pair[1]).ok_or(IdError::NotHex { at: 2 * at + 1 })?;
        *byte = high << 4 | low;
    }
    Ok(bytes)
}

macro_rules! id {
    ($name:ident, $int:ty, $nonzero:ty, $bytes:literal) => {
        impl $name {
            /// The id with these bytes, unless all are zero.
            pub const fn from_bytes(bytes: [u8; $bytes]) -> Option<Self> {
                Self::from_int(<$int>::from_be_bytes(bytes))
            }

            /// The id whose big-endian value is this number, unless it is zero.
            pub const fn from_int(value: $int) -> Option<Self> {
                match <$nonzero>::new(value) {
                    Some(value) => Some(Self(value)),
                    None => None,
                }
            }

            /// The id in a byte string of the right length, as OTLP carries it.
            pub fn from_slice(bytes: &[u8]) -> Result<Self, IdError> {
                let bytes = <[u8; $bytes]>::try_from(bytes)
                    .map_err(|_| IdError::Length { expected: $bytes, actual: bytes.len() })?;
                Self::from_bytes(bytes).ok_or(IdError::Zero)
            }

            /// The bytes, most significant first.
            pub const fn to_bytes(self) -> [u8; $bytes] {
                self.0.get().to_be_bytes()
            }

            /// The big-endian value.
            pub const fn to_int(self) -> $int {
                self.0.get()
            }

            /// Lower-case hexadecimal text.
            pub fn to_hex(self) -> [u8; 2 * $bytes] {
                let mut out = [0; 2 * $bytes];
                write_hex(&self.to_bytes(), &mut out);
                out
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(str::from_utf8(&self.to_hex()).unwrap_or_default())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            /// Reads hexadecimal digits of either case. (`traceparent` is stricter and has a parser of its own.)
            fn from_str(text: &str) -> Result<Self, IdError> {
                Self::from_bytes(parse_hex(text.as_bytes())?).ok_or(IdError::Zero)
            }
        }
    };
}

id!(TraceId, u128, NonZeroU128, 16);
id!(SpanId, u64, NonZeroU64, 8);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_print_as_they_parse() {
        let text = "4bf92f3577b34da6a3ce929d0e0e4736";
        let id: TraceId = text.parse().unwrap();
        assert_eq!(id.to_string(), text);
        assert_eq!(TraceId::from_slice(&id.to_bytes()), Ok(id));
        assert_eq!(format!("{:?}", "00F067aa0ba902b7".parse::<SpanId>().unwrap()), "SpanId(00f067aa0ba902b7)");
    }

    #[test]
    fn bad_ids_say_what_is_wrong() {
        assert_eq!("0000000000000000".parse::<SpanId>(), Err(IdError::Zero));
        assert_eq!("00f067aa0ba902b".parse::<SpanId>(), Err(IdError::Length { expected: 16, actual: 15 }));
        assert_eq!("00f067aa0bx902b7".parse::<SpanId>(), Err(IdError::NotHex { at: 10 }));
        assert_eq!(SpanId::from_slice(&[0; 8]), Err(IdError::Zero));
        assert_eq!(TraceId::from_slice(&[1; 8]), Err(IdError::Length { expected: 16, actual: 8 }));
    }
}
