//! The `tracestate` header; its grammar lives with [`TraceState`].
//!
//! Source: W3C Trace Context level 2, section "Tracestate Header".

use scouter_span::TraceState;
use scouter_span::context::TraceStateError;

/// The name of the header, in the spelling that is sent (section "Header Name").
pub const HEADER: &str = "tracestate";

/// Reads the values of all `tracestate` headers of a message, in their order, as one joined with `,` (section "tracestate
/// Header Field Values", and RFC 7230, section 3.2.2). Positions in errors count in the joined text.
pub fn parse<'a>(values: impl IntoIterator<Item = &'a str>) -> Result<TraceState, TraceStateError> {
    let mut values = values.into_iter();
    let Some(first) = values.next() else {
        return Ok(TraceState::EMPTY);
    };
    let Some(second) = values.next() else {
        return TraceState::parse(first);
    };
    let mut joined = [first, ",", second].concat();
    for value in values {
        joined.push(',');
        joined.push_str(value);
    }
    TraceState::parse(&joined)
}
