//! What travels from span to span: ids, flags and trace state.

mod trace_state;

use std::fmt;

pub use trace_state::{TraceState, TraceStateError};

use crate::id::{SpanId, TraceId};

/// The flag byte of W3C Trace Context level 2, section "trace-flags".
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct TraceFlags(u8);

impl TraceFlags {
    /// No flag is set.
    pub const NONE: Self = Self(0);
    /// The caller may have recorded this trace.
    pub const SAMPLED: Self = Self(1);
    /// The trace id has at least 56 random bits at its right end.
    pub const RANDOM: Self = Self(2);

    /// These flags, unknown ones included.
    pub const fn from_bits(bits: u8) -> Self {
        Self(bits)
    }

    /// The byte.
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// Whether the sampled flag is set.
    pub const fn is_sampled(self) -> bool {
        self.0 & Self::SAMPLED.0 != 0
    }

    /// Whether the random flag is set.
    pub const fn is_random(self) -> bool {
        self.0 & Self::RANDOM.0 != 0
    }

    /// The same flags with the sampled flag as given.
    #[must_use]
    pub const fn with_sampled(self, sampled: bool) -> Self {
        if sampled { Self(self.0 | Self::SAMPLED.0) } else { Self(self.0 & !Self::SAMPLED.0) }
    }

    /// The flags of both.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl fmt::Debug for TraceFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TraceFlags({:#04x})", self.0)
    }
}

/// The part of a span that other spans, and other processes, refer to. Always valid: ids cannot be zero.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SpanContext {
    /// The trace.
    pub trace_id: TraceId,
    /// The span within the trace.
    pub span_id: SpanId,
    /// Sampled, random, and what later levels of the standard add.
    pub flags: TraceFlags,
    /// Whether it came from another process.
    pub is_remote: bool,
    /// The vendors' entries, usually none.
    pub trace_state: TraceState,
}

impl SpanContext {
    /// A context of this process without trace state.
    pub const fn new(trace_id: TraceId, span_id: SpanId, flags: TraceFlags) -> Self {
        Self { trace_id, span_id, flags, is_remote: false, trace_state: TraceState::EMPTY }
    }

    /// Whether the sampled flag is set.
    pub const fn is_sampled(&self) -> bool {
        self.flags.is_sampled()
    }
}
