//! Borrowed reading of protobuf fields.

use super::WireType;

/// Why bytes are not a protobuf message of the expected shape.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// The bytes end inside a field.
    #[error("the message ends inside a field, {at} bytes in")]
    Truncated {
        /// Offset from the start of the message being read.
        at: usize,
    },
    /// A number takes more than ten bytes or more than 64 bits.
    #[error("a number is longer than 64 bits, {at} bytes in")]
    Overflow {
        /// Offset from the start of the message being read.
        at: usize,
    },
    /// A tag has field number 0, or a wire type that does not exist or that OTLP does not use (groups).
    #[error("{tag} is not a field tag, {at} bytes in")]
    BadTag {
        /// The tag as read.
        tag: u64,
        /// Offset from the start of the message being read.
        at: usize,
    },
    /// A known field has a wire type that the schema does not give it.
    #[error("field {field} of {message} has the wrong wire type")]
    WrongType {
        /// The message's name in the schema.
        message: &'static str,
        /// The field's number.
        field: u32,
    },
    /// A field of type `string` is not UTF-8.
    #[error("field {field} of {message} is not UTF-8 text")]
    NotUtf8 {
        /// The message's name in the schema.
        message: &'static str,
        /// The field's number.
        field: u32,
    },
    /// Values are nested deeper than any sender means.
    #[error("attribute values are nested more than {limit} deep")]
    TooDeep {
        /// The most that is read.
        limit: u32,
    },
}

/// The content of a field, not yet interpreted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldValue<'a> {
    /// A base-128 number.
    Varint(u64),
    /// Eight bytes.
    Fixed64(u64),
    /// A run of bytes: text, bytes or a message.
    Len(&'a [u8]),
    /// Four bytes.
    Fixed32(u32),
}

/// One field of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// Its number in the schema.
    pub number: u32,
    /// Its content.
    pub value: FieldValue<'a>,
}

/// Reads the fields of one message in order. Ends after the first error.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// Reads the message in `bytes`.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// How many bytes have been read.
    pub const fn position(&self) -> usize {
        self.at
    }

    #[inline]
    fn varint(&mut self) -> Result<u64, WireError> {
        let start = self.at;
        let mut value = 0u64;
        for shift in (0..70).step_by(7) {
            let byte = *self.bytes.get(self.at).ok_or(WireError::Truncated { at: self.bytes.len() })?;
            self.at += 1;
            // The tenth byte holds bit 63 only.
            if shift == 63 && byte > 1 {
                return Err(WireError::Overflow { at: start });
            }
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(WireError::Overflow { at: start })
    }

    #[inline]
    fn take(&mut self, length: usize) -> Result<&'a [u8], WireError> {
        let end = self.at.checked_add(length).filter(|end| *end <= self.bytes.len());
        let end = end.ok_or(WireError::Truncated { at: self.bytes.len() })?;
        let taken = &self.bytes[self.at..end];
        self.at = end;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], WireError> {
        let at = self.bytes.len();
        self.take(N)?.try_into().map_err(|_| WireError::Truncated { at })
    }

    #[inline]
    fn field(&mut self) -> Result<Field<'a>, WireError> {
        let at = self.at;
        let tag = self.varint()?;
        let number = u32::try_from(tag >> 3).ok().filter(|number| (1..1 << 29).contains(number));
        let number = number.ok_or(WireError::BadTag { tag, at })?;
        let value = match tag & 7 {
            0 => FieldValue::Varint(self.varint()?),
            1 => FieldValue::Fixed64(u64::from_le_bytes(self.array()?)),
            2 => {
                let length = usize::try_from(self.varint()?).map_err(|_| WireError::Overflow { at })?;
                FieldValue::Len(self.take(length)?)
            }
            5 => FieldValue::Fixed32(u32::from_le_bytes(self.array()?)),
            _ => return Err(WireError::BadTag { tag, at }),
        };
        Ok(Field { number, value })
    }
}

impl<'a> Iterator for Reader<'a> {
    type Item = Result<Field<'a>, WireError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.at >= self.bytes.len() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.at = self.bytes.len();
        }
        Some(field)
    }
}

impl<'a> FieldValue<'a> {
    /// Its wire type.
    pub const fn wire_type(&self) -> WireType {
        match self {
            Self::Varint(_) => WireType::Varint,
            Self::Fixed64(_) => WireType::Fixed64,
            Self::Len(_) => WireType::Len,
            Self::Fixed32(_) => WireType::Fixed32,
        }
    }

    /// The bytes of a length-delimited field, nothing for another type.
    pub const fn bytes(&self) -> Option<&'a [u8]> {
        match self {
            Self::Len(bytes) => Some(bytes),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Result<Vec<Field<'_>>, WireError> {
        Reader::new(bytes).collect()
    }

    #[test]
    fn every_wire_type_is_read() {
        let bytes = [0x08, 0x96, 0x01, 0x11, 1, 0, 0, 0, 0, 0, 0, 0, 0x1a, 2, b'h', b'i', 0x25, 7, 0, 0, 0];
        let fields = read(&bytes).unwrap();
        let values: Vec<_> = fields.iter().map(|field| (field.number, field.value)).collect();
        assert_eq!(
            values,
            [
                (1, FieldValue::Varint(150)),
                (2, FieldValue::Fixed64(1)),
                (3, FieldValue::Len(b"hi")),
                (4, FieldValue::Fixed32(7))
            ]
        );
    }

    #[test]
    fn bad_bytes_are_named() {
        assert_eq!(read(&[0x08]), Err(WireError::Truncated { at: 1 }));
        assert_eq!(read(&[0x0a, 5, 1]), Err(WireError::Truncated { at: 3 }));
        assert_eq!(read(&[0x00]), Err(WireError::BadTag { tag: 0, at: 0 }));
        assert_eq!(read(&[0x0b]), Err(WireError::BadTag { tag: 11, at: 0 }));
        let mut long = vec![0x08];
        long.extend([0xff; 9]);
        long.push(2);
        assert_eq!(read(&long), Err(WireError::Overflow { at: 1 }));
        let length = [0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1];
        assert_eq!(read(&length), Err(WireError::Truncated { at: 11 }));
    }
}
