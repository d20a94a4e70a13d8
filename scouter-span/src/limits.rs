//! How much a span may hold.

/// The limits of OpenTelemetry's "Span Limits" and "Attribute Limits". What goes beyond is dropped and counted in the span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpanLimits {
    /// Attributes of a span.
    pub attributes: u32,
    /// Characters of a text value, or bytes of a bytes value, of a span's, event's or link's attribute; `usize::MAX` for any.
    pub attribute_value_length: usize,
    /// Events of a span.
    pub events: u32,
    /// Links of a span.
    pub links: u32,
    /// Attributes of an event.
    pub event_attributes: u32,
    /// Attributes of a link.
    pub link_attributes: u32,
}

impl Default for SpanLimits {
    /// What the specification sets: 128 of everything, texts of any length.
    fn default() -> Self {
        Self {
            attributes: 128,
            attribute_value_length: usize::MAX,
            events: 128,
            links: 128,
            event_attributes: 128,
            link_attributes: 128,
        }
    }
}
