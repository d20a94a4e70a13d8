//! The content header of a message (specification, 4.2.6.1).

use bytes::Bytes;

use super::method::BASIC;
use super::wire::{Input, Malformed, Output};

/// Which properties a header has, from the highest bit down.
const CONTENT_TYPE: u16 = 1 << 15;
const CONTENT_ENCODING: u16 = 1 << 14;
const HEADERS: u16 = 1 << 13;
const DELIVERY_MODE: u16 = 1 << 12;
const PRIORITY: u16 = 1 << 11;
const CORRELATION_ID: u16 = 1 << 10;
const REPLY_TO: u16 = 1 << 9;
const EXPIRATION: u16 = 1 << 8;
const MESSAGE_ID: u16 = 1 << 7;

/// Kept on disk.
const PERSISTENT: u8 = 2;

/// The properties of a message that count here. The others are read over.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Properties {
    /// The type of the body, such as `application/x-protobuf`.
    pub content_type: Option<String>,
    /// How the body is compressed, such as `gzip`.
    pub content_encoding: Option<String>,
    /// What the sender calls the message.
    pub message_id: Option<String>,
    /// The headers.
    pub headers: Headers,
}

/// The headers of a message as they travel, so that they can be handed on unchanged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers(Bytes);

impl Headers {
    /// These headers and one more with a text.
    #[must_use]
    pub fn with(&self, name: &str, text: &str) -> Self {
        let mut output = Output(self.0.to_vec());
        output.short(name);
        output.u8(b'S');
        output.long(text.as_bytes());
        Self(output.0.into())
    }
}

impl Properties {
    /// Writes the payload of a header frame for a persistent message.
    pub(super) fn write(&self, body: u64, output: &mut Output) {
        let has = |present: bool, flag: u16| if present { flag } else { 0 };
        output.u16(BASIC);
        output.u16(0);
        output.u64(body);
        output.u16(
            has(self.content_type.is_some(), CONTENT_TYPE)
                | has(self.content_encoding.is_some(), CONTENT_ENCODING)
                | has(!self.headers.0.is_empty(), HEADERS)
                | DELIVERY_MODE
                | has(self.message_id.is_some(), MESSAGE_ID),
        );
        for text in [&self.content_type, &self.content_encoding].into_iter().flatten() {
            output.short(text);
        }
        if !self.headers.0.is_empty() {
            output.long(&self.headers.0);
        }
        output.u8(PERSISTENT);
        if let Some(id) = &self.message_id {
            output.short(id);
        }
    }

    /// Reads the payload of a header frame: the properties and the length of the body.
    pub(super) fn read(payload: &[u8]) -> Result<(Self, u64), Malformed> {
        let mut input = Input(payload);
        let (_class, _weight) = (input.u16()?, input.u16()?);
        let body = input.u64()?;
        let flags = input.u16()?;
        let mut more = flags;
        // The lowest bit says that more flags follow; there are none for this class, so they mean nothing here.
        while more & 1 == 1 {
            more = input.u16()?;
        }
        let mut properties = Self::default();
        if flags & CONTENT_TYPE != 0 {
            properties.content_type = Some(input.short()?);
        }
        if flags & CONTENT_ENCODING != 0 {
            properties.content_encoding = Some(input.short()?);
        }
        if flags & HEADERS != 0 {
            properties.headers = Headers(Bytes::copy_from_slice(input.long()?));
        }
        for flag in [DELIVERY_MODE, PRIORITY] {
            if flags & flag != 0 {
                input.u8()?;
            }
        }
        for flag in [CORRELATION_ID, REPLY_TO, EXPIRATION] {
            if flags & flag != 0 {
                input.short()?;
            }
        }
        if flags & MESSAGE_ID != 0 {
            properties.message_id = Some(input.short()?);
        }
        Ok((properties, body))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_written_is_read() {
        for bits in 0..16u8 {
            let text = |bit: u8, text: &str| (bits & bit != 0).then(|| text.to_owned());
            let headers = Headers::default();
            let properties = Properties {
                content_type: text(1, "application/x-protobuf"),
                content_encoding: text(2, "gzip"),
                message_id: text(4, "id"),
                headers: if bits & 8 != 0 { headers.with("scouter.reason", "why") } else { headers },
            };
            let mut output = Output::default();
            properties.write(77, &mut output);
            assert_eq!(Properties::read(&output.0), Ok((properties, 77)));
        }
    }

    #[test]
    fn foreign_properties_are_read_over() {
        let mut output = Output::default();
        output.u16(BASIC);
        output.u16(0);
        output.u64(1);
        output.u16(DELIVERY_MODE | PRIORITY | CORRELATION_ID | REPLY_TO | EXPIRATION | MESSAGE_ID | 1 << 6 | 1 << 5);
        output.u8(1);
        output.u8(9);
        for text in ["correlation", "reply", "1000", "id"] {
            output.short(text);
        }
        output.u64(0);
        output.short("type");
        let (read, _) = Properties::read(&output.0).unwrap();
        assert_eq!(read, Properties { message_id: Some("id".to_owned()), ..Properties::default() });
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = Properties::read(&bytes);
        }
    }
}
