//! What has arrived, sorted: what goes to the store at once, and what has to be looked at by itself.

use std::io::Read as _;

use bytes::{Bytes, BytesMut};
use flate2::read::MultiGzDecoder;
use lapin::message::Delivery;
use scouter_span::view::{LogsRequest, TraceRequest};

use crate::metrics::DeadLetter;
use crate::receive::http::from_json;
use crate::store::Signal;

/// A batch is full at so many bytes: what a write to the store is good for.
pub(super) const FULL_BYTES: usize = 1024 * 1024;
/// A batch is full at so many messages.
pub(super) const FULL_MESSAGES: usize = 1024;

/// Messages that were delivered one after the other.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) deliveries: Vec<Delivery>,
    pub(super) bytes: usize,
}

/// How a body is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Encoding {
    Protobuf,
    Json,
    Other,
}

/// A message that will not be stored, or not all of it: why, in a word and in words.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refused(pub(super) DeadLetter, pub(super) String);

impl Batch {
    pub(super) fn add(&mut self, delivery: Delivery) {
        self.bytes += delivery.data.len();
        self.deliveries.push(delivery);
    }

    pub(super) fn is_full(&self) -> bool {
        self.bytes >= FULL_BYTES || self.deliveries.len() >= FULL_MESSAGES
    }

    pub(super) fn redelivered(&self) -> u64 {
        self.deliveries.iter().filter(|delivery| delivery.redelivered).count() as u64
    }
}

/// The request in a message: protobuf, not compressed.
pub(super) fn request(signal: Signal, delivery: &Delivery, longest: usize) -> Result<Bytes, Refused> {
    let text = |value: &Option<lapin::types::ShortString>| value.as_ref().map(|text| text.as_str().to_owned());
    let content = text(delivery.properties.content_type());
    let coding = text(delivery.properties.content_encoding());
    decode(signal, content.as_deref(), coding.as_deref(), &delivery.data, longest)
}

fn decode(
    signal: Signal,
    content: Option<&str>,
    coding: Option<&str>,
    body: &[u8],
    longest: usize,
) -> Result<Bytes, Refused> {
    let too_large = |bytes: String| {
        Refused(DeadLetter::TooLarge, format!("{bytes} bytes are more than the longest request, {longest}"))
    };
    if body.len() > longest {
        return Err(too_large(body.len().to_string()));
    }
    let body = match coding.map(str::trim).unwrap_or_default().to_ascii_lowercase().as_str() {
        "" | "identity" => Bytes::copy_from_slice(body),
        "gzip" => {
            let mut plain = Vec::new();
            let read = MultiGzDecoder::new(body).take(longest as u64 + 1).read_to_end(&mut plain);
            read.map_err(|error| Refused(DeadLetter::Malformed, format!("the body is not gzip: {error}")))?;
            if plain.len() > longest {
                return Err(too_large(format!("more than {longest}")));
            }
            plain.into()
        }
        other => {
            let words = format!("the compression {other:?} is not spoken here: send gzip, or none");
            return Err(Refused(DeadLetter::Unsupported, words));
        }
    };
    match encoding(content, &body) {
        Encoding::Protobuf => Ok(body),
        Encoding::Json => match from_json(signal, &body) {
            Ok(translated) => Ok(translated.into()),
            Err(error) => Err(Refused(DeadLetter::Malformed, error.to_string())),
        },
        Encoding::Other => {
            let words = "the content type is neither application/x-protobuf nor application/json";
            Err(Refused(DeadLetter::Unsupported, words.to_owned()))
        }
    }
}

/// What a message says of its encoding. Without a word it is protobuf, unless it plainly is JSON.
fn encoding(content: Option<&str>, body: &[u8]) -> Encoding {
    let Some(content) = content.filter(|content| !content.trim().is_empty()) else {
        // No request in protobuf begins with this byte: it would be field 15 with a wire type that is a group's.
        return if body.first() == Some(&b'{') { Encoding::Json } else { Encoding::Protobuf };
    };
    let content = content.split(';').next().unwrap_or_default().trim();
    let is = |name: &str| content.eq_ignore_ascii_case(name);
    if is("application/x-protobuf") || is("application/protobuf") || is("application/octet-stream") {
        Encoding::Protobuf
    } else if is("application/json") {
        Encoding::Json
    } else {
        Encoding::Other
    }
}

/// Whether nothing of a request will be rejected.
pub(super) fn is_clean(signal: Signal, request: &[u8]) -> bool {
    match signal {
        Signal::Traces => TraceRequest::parse(request)
            .is_ok_and(|request| request.spans().all(|span| span.trace_id().is_ok() && span.span_id().is_ok())),
        Signal::Logs => LogsRequest::parse(request).is_ok(),
    }
}

/// One request of many: repeated fields of protobuf concatenate.
pub(super) fn join(requests: &[&Bytes]) -> Bytes {
    match requests {
        [one] => (*one).clone(),
        many => {
            let mut all = BytesMut::with_capacity(many.iter().map(|request| request.len()).sum());
            many.iter().for_each(|request| all.extend_from_slice(request));
            all.freeze()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn outcome(content: Option<&str>, coding: Option<&str>, body: &[u8]) -> Result<Vec<u8>, DeadLetter> {
        let decoded = decode(Signal::Traces, content, coding, body, 100);
        decoded.map(|bytes| bytes.to_vec()).map_err(|Refused(reason, _)| reason)
    }

    #[test]
    fn bodies_are_unpacked_or_refused_with_a_reason() {
        let protobuf = Some("application/x-protobuf");
        assert_eq!(outcome(protobuf, None, b"\x0a\x00"), Ok(b"\x0a\x00".to_vec()));
        assert_eq!(outcome(None, Some("identity"), b"\x0a\x00"), Ok(b"\x0a\x00".to_vec()));
        assert_eq!(outcome(protobuf, Some("GZIP"), &gzip(b"\x0a\x00")), Ok(b"\x0a\x00".to_vec()));
        assert_eq!(outcome(Some("Application/JSON; charset=utf-8"), None, b"{}"), Ok(Vec::new()));
        assert_eq!(outcome(None, None, b"{}"), Ok(Vec::new()));
        for (content, coding, body, reason) in [
            (protobuf, None, vec![0; 101], DeadLetter::TooLarge),
            (protobuf, Some("gzip"), gzip(&[0; 101]), DeadLetter::TooLarge),
            (protobuf, Some("gzip"), b"no".to_vec(), DeadLetter::Malformed),
            (protobuf, Some("br"), Vec::new(), DeadLetter::Unsupported),
            (Some("text/plain"), None, Vec::new(), DeadLetter::Unsupported),
            (Some("application/json"), None, b"{".to_vec(), DeadLetter::Malformed),
        ] {
            assert_eq!(outcome(content, coding, &body), Err(reason), "{content:?} {coding:?}");
        }
    }

    #[test]
    fn what_is_joined_keeps_every_byte() {
        let parts = [Bytes::from_static(b"\x0a\x00"), Bytes::new(), Bytes::from_static(b"\x0a\x00")];
        assert_eq!(join(&parts.iter().collect::<Vec<_>>()), &b"\x0a\x00\x0a\x00"[..]);
        assert!(is_clean(Signal::Traces, b"\x0a\x00\x0a\x00") && !is_clean(Signal::Logs, b"\xff"));
    }
}
