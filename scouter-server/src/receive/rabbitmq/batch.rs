//! What has arrived, sorted: what goes to the store at once, and what has to be looked at by itself.

use std::collections::VecDeque;
use std::io::Read as _;
use std::vec::IntoIter;

use bytes::{Bytes, BytesMut};
use flate2::read::MultiGzDecoder;
use lapin::message::Delivery;

use crate::metrics::DeadLetter;
use crate::receive::http::from_json;
use crate::receive::value::{Encoding, is_joinable};
use crate::store::Signal;

/// A batch is full at so many bytes: what a write to the store is good for.
const FULL_BYTES: usize = 1024 * 1024;
/// A batch is full at so many messages.
const FULL_MESSAGES: usize = 1024;

/// Messages that have arrived and wait, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Arrived {
    deliveries: VecDeque<Delivery>,
    pub(super) bytes: usize,
}

/// Messages that arrived one after the other.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) deliveries: Vec<Delivery>,
    pub(super) bytes: usize,
}

/// A message that will not be stored, or not all of it: why, in a word and in words.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refused(pub(super) DeadLetter, pub(super) String);

impl Arrived {
    pub(super) fn add(&mut self, delivery: Delivery) {
        self.bytes += delivery.data.len();
        self.deliveries.push_back(delivery);
    }

    pub(super) fn len(&self) -> usize {
        self.deliveries.len()
    }

    /// The oldest ones, as many as one write is good for; `None` when there are none.
    pub(super) fn take(&mut self) -> Option<Batch> {
        let mut batch = Batch { deliveries: Vec::new(), bytes: 0 };
        while batch.bytes < FULL_BYTES
            && batch.deliveries.len() < FULL_MESSAGES
            && let Some(delivery) = self.deliveries.pop_front()
        {
            batch.bytes += delivery.data.len();
            batch.deliveries.push(delivery);
        }
        self.bytes -= batch.bytes;
        (!batch.deliveries.is_empty()).then_some(batch)
    }
}

/// Messages that were looked at.
#[derive(Debug, Default)]
pub(super) struct Part {
    pub(super) messages: Vec<Unpacked>,
    /// How much they hold.
    bytes: usize,
}

/// A message and the request in it.
#[derive(Debug)]
pub(super) struct Unpacked {
    /// Without its body.
    pub(super) delivery: Delivery,
    pub(super) body: Bytes,
    pub(super) request: Result<Request, Refused>,
}

/// A request in protobuf, not compressed.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) bytes: Bytes,
    /// Whether it may be stored together with others: see [`is_joinable`].
    pub(super) is_joinable: bool,
}

/// Takes messages out and looks at them, until they are enough for one write. Compressed ones may become a thousand times as
/// large, so not all are unpacked at once.
pub(super) fn unpack(signal: Signal, deliveries: &mut IntoIter<Delivery>, longest: usize) -> Part {
    let mut part = Part::default();
    while part.bytes < FULL_BYTES
        && let Some(mut delivery) = deliveries.next()
    {
        let body = Bytes::from(std::mem::take(&mut delivery.data));
        let text = |value: &Option<lapin::types::ShortString>| value.as_ref().map(|text| text.as_str().to_owned());
        let content = text(delivery.properties.content_type());
        let coding = text(delivery.properties.content_encoding());
        let request = decode(signal, content.as_deref(), coding.as_deref(), &body, longest)
            .map(|bytes| Request { is_joinable: is_joinable(signal, &bytes), bytes });
        part.bytes += body.len().max(request.as_ref().map_or(0, |request| request.bytes.len()));
        part.messages.push(Unpacked { delivery, body, request });
    }
    part
}

fn decode(
    signal: Signal,
    content: Option<&str>,
    coding: Option<&str>,
    body: &Bytes,
    longest: usize,
) -> Result<Bytes, Refused> {
    let too_large = |bytes: String| {
        Refused(DeadLetter::TooLarge, format!("{bytes} bytes are more than the longest request, {longest}"))
    };
    if body.len() > longest {
        return Err(too_large(body.len().to_string()));
    }
    let body = match coding.map(str::trim).unwrap_or_default().to_ascii_lowercase().as_str() {
        "" | "identity" => body.clone(),
        "gzip" => {
            let mut plain = Vec::new();
            let read = MultiGzDecoder::new(&body[..]).take(longest as u64 + 1).read_to_end(&mut plain);
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
    match Encoding::of(content.map(str::as_bytes), &body) {
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

/// One request of many: repeated fields of protobuf concatenate.
pub(super) fn join(requests: &[Bytes]) -> Bytes {
    match requests {
        [one] => one.clone(),
        many => {
            let mut all = BytesMut::with_capacity(many.iter().map(Bytes::len).sum());
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
        let decoded = decode(Signal::Traces, content, coding, &Bytes::copy_from_slice(body), 100);
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

    fn delivery(tag: u64, body: Vec<u8>) -> Delivery {
        Delivery::mock(tag, "".into(), "q".into(), false, body)
    }

    #[test]
    fn batches_are_as_large_as_a_write_is_good_for() {
        let mut arrived = Arrived::default();
        (0..2000).for_each(|tag| arrived.add(delivery(tag, vec![0; 10])));
        let large = FULL_BYTES / 2;
        (2000..2003).for_each(|tag| arrived.add(delivery(tag, vec![0; large])));
        assert_eq!((arrived.len(), arrived.bytes), (2003, 20_000 + 3 * large));
        let sizes: Vec<_> = std::iter::from_fn(|| arrived.take())
            .map(|batch| (batch.deliveries.len(), batch.deliveries[0].delivery_tag, batch.bytes))
            .collect();
        assert_eq!(sizes[0], (FULL_MESSAGES, 0, 10_240));
        assert_eq!(sizes[1], (978, 1024, 9760 + 2 * large));
        assert_eq!(sizes[2..], [(1, 2002, large)]);
        assert_eq!((arrived.len(), arrived.bytes), (0, 0));
    }

    #[test]
    fn what_unfolds_is_unpacked_a_little_at_a_time() {
        let bombs = (0..4).map(|tag| {
            let mut bomb = delivery(tag, gzip(&vec![0; FULL_BYTES]));
            bomb.properties = lapin::BasicProperties::default().with_content_encoding("gzip".into());
            bomb
        });
        let mut bombs = bombs.collect::<Vec<_>>().into_iter();
        let parts: Vec<_> = std::iter::from_fn(|| {
            let part = unpack(Signal::Traces, &mut bombs, 2 * FULL_BYTES);
            (!part.messages.is_empty()).then_some(part.messages.len())
        })
        .collect();
        assert_eq!(parts, [1; 4]);
    }

    #[test]
    fn what_is_joined_keeps_every_byte() {
        let parts = [Bytes::from_static(b"\x0a\x00"), Bytes::new(), Bytes::from_static(b"\x0a\x00")];
        assert_eq!(join(&parts), &b"\x0a\x00\x0a\x00"[..]);
    }
}
