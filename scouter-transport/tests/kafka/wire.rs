//! As much of Kafka's protocol as a producer needs, in its oldest forms (Kafka protocol guide).

use bytes::{Buf, BufMut};

/// What a producer sent in one record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) value: Vec<u8>,
    pub(crate) headers: Vec<(String, Vec<u8>)>,
}

/// `STRING` and `NULLABLE_STRING`.
pub(crate) fn string(from: &mut &[u8]) -> String {
    let length = from.get_i16();
    let length = usize::try_from(length).unwrap_or(0);
    String::from_utf8(from.copy_to_bytes(length).to_vec()).unwrap()
}

/// `BYTES`.
pub(crate) fn bytes(from: &mut &[u8]) -> Vec<u8> {
    let length = usize::try_from(from.get_i32()).unwrap_or(0);
    from.copy_to_bytes(length).to_vec()
}

pub(crate) fn put_string(out: &mut Vec<u8>, text: &str) {
    out.put_i16(text.len() as i16);
    out.put_slice(text.as_bytes());
}

pub(crate) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// A zigzag varint.
fn varint(from: &mut &[u8]) -> i64 {
    let (mut value, mut shift) = (0u64, 0);
    loop {
        let byte = from.get_u8();
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return (value >> 1) as i64 ^ -((value & 1) as i64);
        }
        shift += 7;
    }
}

/// Bytes behind a length that is a varint; `None` for a negative one.
fn sized(from: &mut &[u8]) -> Option<Vec<u8>> {
    let length = usize::try_from(varint(from)).ok()?;
    Some(from.copy_to_bytes(length).to_vec())
}

/// The records of a record batch of version 2, not compressed.
pub(crate) fn records(mut batch: &[u8]) -> Vec<Record> {
    let batch = &mut batch;
    // Base offset, length, leader epoch.
    batch.advance(8 + 4 + 4);
    assert_eq!(batch.get_i8(), 2, "the version of the record batch");
    batch.advance(4);
    assert_eq!(batch.get_i16() & 7, 0, "the batch is compressed");
    // Last offset delta, timestamps, producer id and epoch, sequence.
    batch.advance(4 + 8 + 8 + 8 + 2 + 4);
    let count = batch.get_i32();
    let record = |_| {
        let _length = varint(batch);
        batch.advance(1);
        let (_time, _offset) = (varint(batch), varint(batch));
        let (key, value) = (sized(batch), sized(batch).unwrap());
        let headers = varint(batch);
        let header = |_| (String::from_utf8(sized(batch).unwrap()).unwrap(), sized(batch).unwrap());
        Record { key, value, headers: (0..headers).map(header).collect() }
    };
    (0..count).map(record).collect()
}
