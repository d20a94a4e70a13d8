//! OTLP in JSON (OTLP specification, "JSON Protobuf Encoding"): requests out of their protobuf bytes, and answers back.
//!
//! Ids are hexadecimal, other bytes base64, enums numbers, 64-bit integers strings, and names in lower camel case. What
//! the tables in `schema` do not know is passed over, as a receiver would do.

#[cfg(feature = "http")]
mod answer;
mod schema;
mod write;

use crate::error::{Error, ErrorKind};
use crate::payload::Signal;

#[cfg(feature = "http")]
pub(crate) use self::answer::{message, to_protobuf};

/// The JSON of an encoded request: an `ExportTraceServiceRequest` or an `ExportLogsServiceRequest`, which are also
/// `TracesData` and `LogsData`. One line, without a line break at its end.
///
/// ```
/// use scouter_transport::{Signal, json};
///
/// let request = b"\x0a\x0b\x12\x09\x12\x07\x2a\x01s\x30\x02\x60\x00";
/// let json = json::encode(Signal::Traces, request)?;
/// assert_eq!(json, br#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"name":"s","kind":2}]}]}]}"#);
/// # Ok::<(), scouter_transport::Error>(())
/// ```
///
/// # Errors
///
/// [`ErrorKind::Refused`] for bytes that are no such request.
pub fn encode(signal: Signal, request: &[u8]) -> Result<Vec<u8>, Error> {
    let message = match signal {
        Signal::Traces => &schema::TRACES,
        Signal::Logs => &schema::LOGS,
    };
    // JSON takes about twice the room.
    let mut out = Vec::with_capacity(request.len() * 2);
    match write::message(&mut out, message, request, 0) {
        Some(()) => Ok(out),
        None => {
            let reason = format!("the payload is not OTLP {signal} in protobuf, so it cannot be written as JSON");
            Err(Error::new(ErrorKind::Refused, reason))
        }
    }
}
