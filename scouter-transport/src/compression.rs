//! Making bodies smaller on their way.

/// How request bodies are compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Compression {
    /// As they are.
    #[default]
    None,
    /// gzip at level 1: telemetry shrinks several times already there, and higher levels cost far more than they save.
    Gzip,
}

/// Compresses `body` behind the bytes that `out` holds already.
#[cfg(any(feature = "http", feature = "grpc"))]
pub(crate) fn gzip(body: &[u8], out: Vec<u8>) -> std::io::Result<Vec<u8>> {
    use std::io::Write as _;

    let mut encoder = flate2::write::GzEncoder::new(out, flate2::Compression::fast());
    encoder.write_all(body)?;
    encoder.finish()
}

/// Decompresses at most `limit` bytes; `None` when there are more.
#[cfg(any(feature = "http", feature = "grpc"))]
pub(crate) fn gunzip(body: &[u8], limit: usize) -> std::io::Result<Option<Vec<u8>>> {
    use std::io::Read as _;

    let mut plain = Vec::new();
    let mut decoder = flate2::read::MultiGzDecoder::new(body).take(limit as u64 + 1);
    decoder.read_to_end(&mut plain)?;
    Ok((plain.len() <= limit).then_some(plain))
}

#[cfg(test)]
#[cfg(any(feature = "http", feature = "grpc"))]
mod tests {
    use super::*;

    #[test]
    fn gzip_goes_both_ways_and_keeps_what_stood_before() {
        let packed = gzip(b"hello", b"head".to_vec()).unwrap();
        assert_eq!(&packed[..4], b"head");
        assert_eq!(gunzip(&packed[4..], 5).unwrap().as_deref(), Some(&b"hello"[..]));
        assert_eq!(gunzip(&packed[4..], 4).unwrap(), None);
        assert!(gunzip(&packed[4..12], 5).is_err());
    }
}
