//! `Span` and its events, links and status.

use super::value::Attributes;
use super::{bytes, last, messages, number, text};
use crate::id::{IdError, SpanId, TraceId};
use crate::wire::field::{event, link, span, status};

/// The bit of the flags field that says that a parent, or a link's other span, is remote (`trace.proto`, `SpanFlags`).
const REMOTE: u32 = 0x200;

/// A `Span` message.
#[derive(Clone, Copy, Debug)]
pub struct SpanView<'a>(&'a [u8]);

/// What part a span plays in its trace. Numbers as in OTLP's `SpanKind`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum SpanKind {
    /// Not said, or a number this version does not know.
    Unspecified = 0,
    /// Work inside one process.
    #[default]
    Internal = 1,
    /// The handling of a request from elsewhere.
    Server = 2,
    /// A request to elsewhere.
    Client = 3,
    /// The sending of a message.
    Producer = 4,
    /// The handling of a message.
    Consumer = 5,
}

/// How a span ended. Numbers as in OTLP's `StatusCode`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum StatusCode {
    /// Nobody said.
    #[default]
    Unset = 0,
    /// Declared a success by the program's author.
    Ok = 1,
    /// Failed.
    Error = 2,
}

/// How a span ended, with words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Status<'a> {
    /// How.
    pub code: StatusCode,
    /// Why, `""` when not said.
    pub message: &'a str,
}

/// Something that happened while a span ran.
#[derive(Clone, Copy, Debug)]
pub struct Event<'a>(&'a [u8]);

/// A reference to another span.
#[derive(Clone, Copy, Debug)]
pub struct Link<'a>(&'a [u8]);

impl SpanKind {
    /// The kind with this OTLP number, [`Unspecified`](Self::Unspecified) for a number this version does not know.
    pub const fn from_number(number: u64) -> Self {
        match number {
            1 => Self::Internal,
            2 => Self::Server,
            3 => Self::Client,
            4 => Self::Producer,
            5 => Self::Consumer,
            _ => Self::Unspecified,
        }
    }

    /// The name OpenTelemetry gives it, in upper case.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unspecified => "UNSPECIFIED",
            Self::Internal => "INTERNAL",
            Self::Server => "SERVER",
            Self::Client => "CLIENT",
            Self::Producer => "PRODUCER",
            Self::Consumer => "CONSUMER",
        }
    }
}

impl StatusCode {
    /// The code with this OTLP number, [`Unset`](Self::Unset) for a number this version does not know.
    pub const fn from_number(number: u64) -> Self {
        match number {
            1 => Self::Ok,
            2 => Self::Error,
            _ => Self::Unset,
        }
    }

    /// The name OpenTelemetry gives it, in upper case.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unset => "UNSET",
            Self::Ok => "OK",
            Self::Error => "ERROR",
        }
    }
}

impl<'a> SpanView<'a> {
    /// A `Span` message that was checked before: one of this process, or one from a store.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The message's bytes.
    pub const fn bytes(&self) -> &'a [u8] {
        self.0
    }

    /// The trace.
    ///
    /// # Errors
    /// The sender's bytes are not a trace id.
    pub fn trace_id(&self) -> Result<TraceId, IdError> {
        TraceId::from_slice(bytes(self.0, span::TRACE_ID))
    }

    /// The span.
    ///
    /// # Errors
    /// The sender's bytes are not a span id.
    pub fn span_id(&self) -> Result<SpanId, IdError> {
        SpanId::from_slice(bytes(self.0, span::SPAN_ID))
    }

    /// The parent; `None` for a root and for bytes that are no id.
    pub fn parent_span_id(&self) -> Option<SpanId> {
        SpanId::from_slice(bytes(self.0, span::PARENT_SPAN_ID)).ok()
    }

    /// The vendors' entries, as in the `tracestate` header.
    pub fn trace_state(&self) -> &'a str {
        text(self.0, span::TRACE_STATE)
    }

    /// Its name.
    pub fn name(&self) -> &'a str {
        text(self.0, span::NAME)
    }

    /// Its kind.
    pub fn kind(&self) -> SpanKind {
        SpanKind::from_number(number(self.0, span::KIND))
    }

    /// Nanoseconds since the Unix epoch.
    pub fn start_time(&self) -> u64 {
        number(self.0, span::START_TIME)
    }

    /// Nanoseconds since the Unix epoch; 0 while the span runs.
    pub fn end_time(&self) -> u64 {
        number(self.0, span::END_TIME)
    }

    /// Its attributes.
    pub const fn attributes(&self) -> Attributes<'a> {
        Attributes::new(self.0, span::ATTRIBUTES)
    }

    /// How many attributes were left out.
    pub fn dropped_attributes_count(&self) -> u32 {
        number(self.0, span::DROPPED_ATTRIBUTES_COUNT) as u32
    }

    /// Its events, in order.
    pub fn events(&self) -> impl Iterator<Item = Event<'a>> + Clone + use<'a> {
        messages(self.0, span::EVENTS).map(Event)
    }

    /// How many events were left out.
    pub fn dropped_events_count(&self) -> u32 {
        number(self.0, span::DROPPED_EVENTS_COUNT) as u32
    }

    /// Its links, in order.
    pub fn links(&self) -> impl Iterator<Item = Link<'a>> + Clone + use<'a> {
        messages(self.0, span::LINKS).map(Link)
    }

    /// How many links were left out.
    pub fn dropped_links_count(&self) -> u32 {
        number(self.0, span::DROPPED_LINKS_COUNT) as u32
    }

    /// How it ended.
    pub fn status(&self) -> Status<'a> {
        let status = bytes(self.0, span::STATUS);
        Status { code: StatusCode::from_number(number(status, status::CODE)), message: text(status, status::MESSAGE) }
    }

    /// Bits 0 to 7: the W3C flags. Bits 8 and 9: whether it is known that the parent is remote, and whether it is.
    pub fn flags(&self) -> u32 {
        number(self.0, span::FLAGS) as u32
    }

    /// Whether the message has a status at all.
    pub fn has_status(&self) -> bool {
        last(self.0, span::STATUS).is_some()
    }
}

impl<'a> Event<'a> {
    /// The message's bytes.
    pub const fn bytes(&self) -> &'a [u8] {
        self.0
    }

    /// Nanoseconds since the Unix epoch.
    pub fn time(&self) -> u64 {
        number(self.0, event::TIME)
    }

    /// Its name.
    pub fn name(&self) -> &'a str {
        text(self.0, event::NAME)
    }

    /// Its attributes.
    pub const fn attributes(&self) -> Attributes<'a> {
        Attributes::new(self.0, event::ATTRIBUTES)
    }

    /// How many attributes were left out.
    pub fn dropped_attributes_count(&self) -> u32 {
        number(self.0, event::DROPPED_ATTRIBUTES_COUNT) as u32
    }
}

impl<'a> Link<'a> {
    /// The message's bytes.
    pub const fn bytes(&self) -> &'a [u8] {
        self.0
    }

    /// The other span's trace.
    ///
    /// # Errors
    /// The sender's bytes are not a trace id.
    pub fn trace_id(&self) -> Result<TraceId, IdError> {
        TraceId::from_slice(bytes(self.0, link::TRACE_ID))
    }

    /// The other span.
    ///
    /// # Errors
    /// The sender's bytes are not a span id.
    pub fn span_id(&self) -> Result<SpanId, IdError> {
        SpanId::from_slice(bytes(self.0, link::SPAN_ID))
    }

    /// The other span's `tracestate`.
    pub fn trace_state(&self) -> &'a str {
        text(self.0, link::TRACE_STATE)
    }

    /// Its attributes.
    pub const fn attributes(&self) -> Attributes<'a> {
        Attributes::new(self.0, link::ATTRIBUTES)
    }

    /// How many attributes were left out.
    pub fn dropped_attributes_count(&self) -> u32 {
        number(self.0, link::DROPPED_ATTRIBUTES_COUNT) as u32
    }

    /// As [`SpanView::flags`], for the other span.
    pub fn flags(&self) -> u32 {
        number(self.0, link::FLAGS) as u32
    }

    /// Whether the other span is known to be one of another process.
    pub fn is_remote(&self) -> bool {
        self.flags() & REMOTE != 0
    }
}
