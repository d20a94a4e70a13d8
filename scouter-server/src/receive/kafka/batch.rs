//! Messages on their way to the store, many of them at once.

use bytes::{Bytes, BytesMut};
use rdkafka::Message as _;
use rdkafka::message::{BorrowedMessage, Headers as _, OwnedMessage};

use super::ledger::Place;
use crate::receive::value::{Encoding, is_joinable};
use crate::store::Signal;

/// A batch is full at so many bytes: what a write to the store is good for.
const FULL_BYTES: usize = 1024 * 1024;
/// A batch is full at so many messages.
const FULL_MESSAGES: usize = 4096;

/// What goes to the store at once.
#[derive(Debug)]
pub(super) enum Batch {
    /// One request made of whole ones that are all right: repeated fields of protobuf concatenate.
    Joined {
        signal: Signal,
        bytes: Bytes,
        /// Each message with where it ends in the bytes.
        messages: Vec<(Place, usize)>,
    },
    /// A message that has to be looked at by itself.
    Single { signal: Signal, message: Box<OwnedMessage>, place: Place },
}

/// Messages of one signal that are being gathered.
#[derive(Debug)]
pub(super) struct Gathering {
    signal: Signal,
    bytes: BytesMut,
    messages: Vec<(Place, usize)>,
}

impl Batch {
    /// How many bytes it holds.
    pub(super) fn length(&self) -> usize {
        match self {
            Self::Joined { bytes, .. } => bytes.len(),
            Self::Single { message, .. } => message.payload().map_or(0, <[u8]>::len),
        }
    }

    /// The messages in it.
    pub(super) fn places(&self) -> Vec<Place> {
        match self {
            Self::Joined { messages, .. } => messages.iter().map(|(place, _)| *place).collect(),
            Self::Single { place, .. } => vec![*place],
        }
    }
}

impl Gathering {
    pub(super) fn new(signal: Signal) -> Self {
        Self { signal, bytes: BytesMut::new(), messages: Vec::new() }
    }

    /// Takes a message in, or makes a batch of its own for one that is not plainly right.
    pub(super) fn add(&mut self, message: &BorrowedMessage<'_>, place: Place) -> Option<Batch> {
        if let Some(value) = message.payload()
            && encoding(message, value) == Encoding::Protobuf
            && is_joinable(self.signal, value)
        {
            self.bytes.extend_from_slice(value);
            self.messages.push((place, self.bytes.len()));
            return None;
        }
        Some(Batch::Single { signal: self.signal, message: Box::new(message.detach()), place })
    }

    pub(super) fn is_full(&self) -> bool {
        self.bytes.len() >= FULL_BYTES || self.messages.len() >= FULL_MESSAGES
    }

    pub(super) fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// Hands out what was gathered.
    pub(super) fn take(&mut self) -> Option<Batch> {
        if self.messages.is_empty() {
            return None;
        }
        let bytes = self.bytes.split().freeze();
        Some(Batch::Joined { signal: self.signal, bytes, messages: std::mem::take(&mut self.messages) })
    }
}

/// How the value of a message is encoded.
pub(super) fn encoding<M: rdkafka::Message>(message: &M, value: &[u8]) -> Encoding {
    let headers = message.headers().into_iter().flat_map(|headers| headers.iter());
    let content = headers.filter(|header| header.key.eq_ignore_ascii_case("content-type")).last();
    Encoding::of(content.and_then(|header| header.value), value)
}

#[cfg(test)]
mod tests {
    use rdkafka::Timestamp;
    use rdkafka::message::{Header, OwnedHeaders};

    use super::*;

    fn message(content: Option<&str>, value: &[u8]) -> OwnedMessage {
        let headers =
            content.map(|content| OwnedHeaders::new().insert(Header { key: "Content-Type", value: Some(content) }));
        OwnedMessage::new(Some(value.to_vec()), None, "t".to_owned(), Timestamp::NotAvailable, 0, 0, headers)
    }

    #[test]
    fn the_last_header_tells_the_encoding() {
        for (content, value, expected) in [
            (None, &b"\x0a\x00"[..], Encoding::Protobuf),
            (None, b"{}", Encoding::Json),
            (Some("application/x-protobuf"), b"{}", Encoding::Protobuf),
            (Some("application/json"), b"", Encoding::Json),
            (Some("text/plain"), b"\x0a\x00", Encoding::Other),
        ] {
            assert_eq!(encoding(&message(content, value), value), expected, "{content:?}");
        }
    }
}
