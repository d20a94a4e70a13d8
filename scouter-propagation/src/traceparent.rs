//! The `traceparent` header.
//!
//! Source: W3C Trace Context level 2, section "Traceparent Header". Eight hexadecimal digits are read and written at once,
//! as one 64-bit number, so that neither way has a branch or a look-up per character.

use std::array;

use scouter_span::{SpanContext, SpanId, TraceFlags, TraceId};

/// The name of the header, in the spelling that is sent (section "Header Name").
pub const HEADER: &str = "traceparent";

/// How long a version 00 header is, and the known part of a later one, in characters.
pub const LENGTH: usize = 55;

/// What a `traceparent` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceParent {
    /// The version of the format that the sender used; never 255.
    pub version: u8,
    /// The trace.
    pub trace_id: TraceId,
    /// The sender's span.
    pub parent_id: SpanId,
    /// For version 00 all bits as received; for later versions only the sampled and the random flag.
    pub flags: TraceFlags,
}

impl TraceParent {
    /// The sender's span as a remote context without trace state.
    pub const fn to_context(self) -> SpanContext {
        let mut context = SpanContext::new(self.trace_id, self.parent_id, self.flags);
        context.is_remote = true;
        context
    }
}

/// Why a text is not a `traceparent`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TraceParentError {
    /// Sections "version-format" and "Versioning of traceparent": at least 55 characters.
    #[error("a traceparent has at least {LENGTH} characters, not {actual}")]
    TooShort {
        /// How long the text is, in bytes.
        actual: usize,
    },
    /// Section "version-format": a version 00 header ends after the flags.
    #[error("a traceparent of version 00 has exactly {LENGTH} characters, not {actual}")]
    TooLong {
        /// How long the text is, in bytes.
        actual: usize,
    },
    /// Section "Versioning of traceparent": what a later version adds starts with a dash.
    #[error("a traceparent of a later version ends or goes on with '-' after its flags, not with {:?}", char::from(*.found))]
    NotContinued {
        /// The byte after the flags.
        found: u8,
    },
    /// Section "traceparent Header Field Values": lower-case hexadecimal digits.
    #[error("the traceparent has {:?} at position {at}, where a lower-case hexadecimal digit belongs", char::from(*.found))]
    NotHex {
        /// Position of the first offending byte.
        at: usize,
        /// That byte.
        found: u8,
    },
    /// Section "traceparent Header Field Values": fields are separated by a dash.
    #[error("the traceparent has {:?} at position {at}, where '-' belongs", char::from(*.found))]
    NotDash {
        /// Position of the first offending byte.
        at: usize,
        /// That byte.
        found: u8,
    },
    /// Section "version": ff is forbidden.
    #[error("the traceparent has version ff, which is forbidden")]
    ForbiddenVersion,
    /// Section "trace-id": all zeros is invalid.
    #[error("the trace-id of the traceparent is all zeros")]
    ZeroTraceId,
    /// Section "parent-id": all zeros is invalid.
    #[error("the parent-id of the traceparent is all zeros")]
    ZeroParentId,
}

/// The flags that level 2 of the standard gives a meaning.
const KNOWN_FLAGS: u8 = TraceFlags::SAMPLED.union(TraceFlags::RANDOM).bits();

/// Reads the value of a `traceparent` header, which has no white space around it.
///
/// A version after 00 is read as far as it is known, as the section "Versioning of traceparent" asks.
pub fn parse(text: impl AsRef<[u8]>) -> Result<TraceParent, TraceParentError> {
    let text = text.as_ref();
    let Some(head) = text.first_chunk::<LENGTH>() else {
        return Err(TraceParentError::TooShort { actual: text.len() });
    };
    let eight = |at: usize| read(u64::from_le_bytes(array::from_fn(|place| head[at + place])));
    let (ends, a) = read(u64::from_le_bytes([b'0', b'0', b'0', b'0', head[0], head[1], head[53], head[54]]));
    let (trace_0, b) = eight(3);
    let (trace_1, c) = eight(11);
    let (trace_2, d) = eight(19);
    let (trace_3, e) = eight(27);
    let (parent_0, f) = eight(36);
    let (parent_1, g) = eight(44);
    let dashes = (head[2] ^ b'-') | (head[35] ^ b'-') | (head[52] ^ b'-');
    if (a & b & c & d & e & f & g) != HIGH_BITS || dashes != 0 {
        return Err(first_fault(head));
    }
    let [_, _, version, flags] = ends.to_le_bytes();
    match (version, text.get(LENGTH)) {
        (0xff, _) => return Err(TraceParentError::ForbiddenVersion),
        (0, Some(_)) => return Err(TraceParentError::TooLong { actual: text.len() }),
        (_, Some(&found)) if found != b'-' => return Err(TraceParentError::NotContinued { found }),
        _ => {}
    }
    let trace_id =
        u128::from(trace_0) | u128::from(trace_1) << 32 | u128::from(trace_2) << 64 | u128::from(trace_3) << 96;
    let parent_id = u64::from(parent_0) | u64::from(parent_1) << 32;
    Ok(TraceParent {
        version,
        trace_id: TraceId::from_int(trace_id.swap_bytes()).ok_or(TraceParentError::ZeroTraceId)?,
        parent_id: SpanId::from_int(parent_id.swap_bytes()).ok_or(TraceParentError::ZeroParentId)?,
        flags: TraceFlags::from_bits(if version == 0 { flags } else { flags & KNOWN_FLAGS }),
    })
}

/// The value of a `traceparent` header for this context, in version 00 and ASCII.
pub fn format(context: &SpanContext) -> [u8; LENGTH] {
    let mut out = *b"00-00000000000000000000000000000000-0000000000000000-00";
    let trace_id = context.trace_id.to_int().swap_bytes();
    let parent_id = context.span_id.to_int().swap_bytes();
    out[3..11].copy_from_slice(&write(trace_id as u32));
    out[11..19].copy_from_slice(&write((trace_id >> 32) as u32));
    out[19..27].copy_from_slice(&write((trace_id >> 64) as u32));
    out[27..35].copy_from_slice(&write((trace_id >> 96) as u32));
    out[36..44].copy_from_slice(&write(parent_id as u32));
    out[44..52].copy_from_slice(&write((parent_id >> 32) as u32));
    out[53..].copy_from_slice(&write(u32::from(context.flags.bits()))[..2]);
    out
}

const HIGH_BITS: u64 = each(0x80);

/// The same byte eight times.
const fn each(byte: u8) -> u64 {
    u64::from_ne_bytes([byte; 8])
}

/// The four bytes that eight lower-case hexadecimal digits stand for, and [`HIGH_BITS`] if that is what they all are. The
/// first digit and the first byte are the lowest.
///
/// Adding `0x80 - first` sets the high bit of the bytes from `first` on, adding `0x7f - last` that of the bytes after
/// `last`. Sums of ASCII bytes do not carry into the next byte. A byte that is not ASCII gets the same bit from both sums,
/// so that at least the lowest one of them is found, whatever it carries into the next one.
#[inline(always)]
const fn read(digits: u64) -> (u32, u64) {
    let numeral = digits.wrapping_add(each(0x80 - b'0')) & !digits.wrapping_add(each(0x7f - b'9'));
    let letter = (digits.wrapping_add(each(0x80 - b'a')) & !digits.wrapping_add(each(0x7f - b'f'))) & HIGH_BITS;
    let valid = (numeral | letter) & HIGH_BITS;
    let nibbles = (digits & each(0x0f)) + (letter >> 4) + (letter >> 7);
    let bytes = (nibbles << 4 | nibbles >> 8) & 0x00ff_00ff_00ff_00ff;
    let pairs = (bytes | bytes >> 8) & 0x0000_ffff_0000_ffff;
    ((pairs | pairs >> 16) as u32, valid)
}

/// The eight lower-case hexadecimal digits of four bytes; the first byte and the first digit are the lowest.
#[inline(always)]
const fn write(bytes: u32) -> [u8; 8] {
    let bytes = bytes as u64;
    let pairs = (bytes << 16 | bytes) & 0x0000_ffff_0000_ffff;
    let bytes = (pairs << 8 | pairs) & 0x00ff_00ff_00ff_00ff;
    let nibbles = (bytes << 8 | bytes >> 4) & each(0x0f);
    let letters = ((nibbles + each(6)) >> 4) & each(1);
    // Seven characters lie between '9' and 'A', and the bit 0x20, which digits have anyway, makes lower case of 'A'.
    ((nibbles + each(b'0') + ((letters << 3) - letters)) | each(0x20)).to_le_bytes()
}

/// What is wrong with a text that has a wrong character, from the left.
#[cold]
fn first_fault(head: &[u8; LENGTH]) -> TraceParentError {
    for (at, &found) in head.iter().enumerate() {
        match (at, found) {
            (2 | 35 | 52, b'-') => {}
            (2 | 35 | 52, _) => return TraceParentError::NotDash { at, found },
            (_, b'0'..=b'9' | b'a'..=b'f') => {}
            _ => return TraceParentError::NotHex { at, found },
        }
    }
    TraceParentError::TooShort { actual: LENGTH }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_two_bytes_in_every_place_of_a_block() {
        for (place, pair) in (0..7).flat_map(|place| (0..=u16::MAX).map(move |pair| (place, pair.to_le_bytes()))) {
            let mut digits = *b"09af5c0d";
            digits[place..place + 2].copy_from_slice(&pair);
            let expected = pair.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
            let (bytes, valid) = read(u64::from_le_bytes(digits));
            assert_eq!(valid == HIGH_BITS, expected, "{digits:?}");
            if expected {
                let text = str::from_utf8(&digits).unwrap();
                assert_eq!(bytes.swap_bytes(), u32::from_str_radix(text, 16).unwrap());
                assert_eq!(write(bytes), digits);
            }
        }
    }
}
