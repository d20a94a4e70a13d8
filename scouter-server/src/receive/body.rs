//! Reading bodies: bounded before and after decompression, never held compressed, never waited for in vain.

use std::fmt;
use std::io::{self, Write};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use flate2::write::MultiGzDecoder;
use http_body_util::BodyExt;

use super::Refusal;
use crate::ingest::{Message, Reservation, Room};

/// How a body is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coding {
    Identity,
    Gzip,
}

/// Collects a body piece by piece.
pub(super) struct Collector {
    sink: Sink,
    limit: usize,
    wire: usize,
    inflated_at_last_pause: usize,
}

enum Sink {
    Plain(Buffer),
    Gzip(Box<MultiGzDecoder<Buffer>>),
}

/// Bytes in the order they come, up to the limit and as long as there is room.
struct Buffer {
    bytes: Vec<u8>,
    limit: usize,
    reservation: Reservation,
    /// Why it takes no more.
    stop: Option<Refusal>,
}

/// Compressed bytes are inflated so many at a time.
const SLICE_BYTES: usize = 16 * 1024;
/// After so many inflated bytes, other requests get their turn.
const PAUSE_BYTES: usize = 1024 * 1024;

impl Buffer {
    fn append(&mut self, bytes: &[u8]) -> Result<(), Refusal> {
        if let Some(stop) = &self.stop {
            return Err(stop.clone());
        }
        let result = if bytes.len() > self.limit - self.bytes.len() {
            Err(Refusal::TooLarge(self.limit))
        } else {
            self.reservation.grow(bytes.len()).map_err(|_| Refusal::Overloaded)
        };
        match &result {
            Ok(()) => self.bytes.extend_from_slice(bytes),
            Err(refusal) => self.stop = Some(refusal.clone()),
        }
        result
    }
}

impl Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // What stopped it is kept in `stop`; the decompressor only has to give up.
        self.append(bytes).map_err(|_| io::ErrorKind::Other)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Collector {
    pub(super) fn new(coding: Coding, limit: usize, room: &Arc<Room>) -> Self {
        let buffer = Buffer { bytes: Vec::new(), limit, reservation: room.enter(), stop: None };
        let sink = match coding {
            Coding::Identity => Sink::Plain(buffer),
            Coding::Gzip => Sink::Gzip(Box::new(MultiGzDecoder::new(buffer))),
        };
        Self { sink, limit, wire: 0, inflated_at_last_pause: 0 }
    }

    /// How many bytes came, as they came.
    pub(super) fn wire(&self) -> usize {
        self.wire
    }

    /// Takes the next piece of the body.
    pub(super) async fn push(&mut self, piece: &[u8]) -> Result<(), Refusal> {
        self.wire += piece.len();
        if self.wire > self.limit {
            return Err(Refusal::TooLarge(self.limit));
        }
        let decoder = match &mut self.sink {
            Sink::Plain(buffer) => return buffer.append(piece),
            Sink::Gzip(decoder) => decoder,
        };
        for slice in piece.chunks(SLICE_BYTES) {
            if let Err(error) = decoder.write_all(slice) {
                return Err(not_gzip(decoder, &error));
            }
            let inflated = decoder.get_ref().bytes.len();
            if inflated - self.inflated_at_last_pause > PAUSE_BYTES {
                self.inflated_at_last_pause = inflated;
                tokio::task::yield_now().await;
            }
        }
        Ok(())
    }

    /// The whole message, once the body has ended.
    pub(super) fn finish(self) -> Result<Message, Refusal> {
        let buffer = match self.sink {
            Sink::Plain(buffer) => buffer,
            Sink::Gzip(mut decoder) => {
                if let Err(error) = decoder.try_finish() {
                    return Err(not_gzip(&decoder, &error));
                }
                decoder.finish().map_err(|_| Refusal::Malformed("the body is not complete gzip data".into()))?
            }
        };
        Ok(Message { bytes: buffer.bytes.into(), reservation: buffer.reservation })
    }
}

impl fmt::Debug for Collector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Collector").field("wire", &self.wire).field("limit", &self.limit).finish_non_exhaustive()
    }
}

fn not_gzip(decoder: &MultiGzDecoder<Buffer>, error: &io::Error) -> Refusal {
    let stop = decoder.get_ref().stop.clone();
    stop.unwrap_or_else(|| Refusal::Malformed(format!("the body is not complete gzip data: {error}")))
}

/// The next piece of a body, nothing at its end. Trailers are passed over.
pub(super) async fn next_piece(body: &mut Body, idle_timeout: Duration) -> Result<Option<Bytes>, Refusal> {
    loop {
        let frame = tokio::time::timeout(idle_timeout, body.frame());
        match frame.await.map_err(|_| Refusal::TimedOut(idle_timeout))? {
            None => return Ok(None),
            Some(Ok(frame)) => {
                if let Ok(piece) = frame.into_data() {
                    return Ok(Some(piece));
                }
            }
            Some(Err(error)) => {
                return Err(Refusal::Malformed(format!("the body broke off or is not valid HTTP: {error}")));
            }
        }
    }
}

/// A body that is lent to a handler and read to its end by whoever lent it, as far as that is bearable.
///
/// A sender that is still writing when it is refused sees a reset connection rather than the refusal if the server closes on
/// it. (HTTP/1 only; HTTP/2 refuses one stream.)
#[derive(Clone, Debug)]
pub(crate) struct Lent(Arc<Mutex<Loan>>);

#[derive(Debug)]
struct Loan {
    body: Body,
    touched: bool,
}

/// So much of a refused body is read and thrown away, for so long at most.
const DRAIN_BYTES: usize = 512 * 1024 * 1024;
const DRAIN_TIME: Duration = Duration::from_secs(20);

impl Lent {
    pub(crate) fn new(body: Body) -> Self {
        Self(Arc::new(Mutex::new(Loan { body, touched: false })))
    }

    fn with<T>(&self, work: impl FnOnce(&mut Loan) -> T) -> T {
        // A body whose reader panicked is still a body.
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether anyone has asked for the first byte.
    pub(crate) fn is_touched(&self) -> bool {
        self.with(|loan| loan.touched)
    }

    /// Reads and throws away what is left.
    pub(crate) async fn drain(mut self) {
        let mut drained = 0;
        let read_on = async {
            while let Some(Ok(frame)) = self.frame().await {
                drained += frame.data_ref().map_or(0, Bytes::len);
                if drained > DRAIN_BYTES {
                    return;
                }
            }
        };
        // What is not drained in time is cut off with the connection.
        let _ = tokio::time::timeout(DRAIN_TIME, read_on).await;
    }
}

impl HttpBody for Lent {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, axum::Error>>> {
        self.with(|loan| {
            loan.touched = true;
            Pin::new(&mut loan.body).poll_frame(context)
        })
    }

    fn is_end_stream(&self) -> bool {
        self.with(|loan| loan.body.is_end_stream())
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.with(|loan| loan.body.size_hint())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        flate2::read::GzEncoder::new(bytes, flate2::Compression::fast()).read_to_end(&mut out).unwrap();
        out
    }

    async fn collect(coding: Coding, pieces: &[&[u8]], limit: usize, room: &Arc<Room>) -> Result<Message, Refusal> {
        let mut collector = Collector::new(coding, limit, room);
        for piece in pieces {
            collector.push(piece).await?;
        }
        collector.finish()
    }

    #[tokio::test]
    async fn gzip_is_read_in_pieces_of_any_size_and_in_several_members() {
        let room = Room::new(1000);
        let mut packed = gzip(b"hello ");
        packed.extend(gzip(b"world"));
        for size in 1..packed.len() {
            let pieces: Vec<&[u8]> = packed.chunks(size).collect();
            let message = collect(Coding::Gzip, &pieces, 100, &room).await.unwrap();
            assert_eq!(message.bytes, "hello world");
            assert_eq!(room.used(), 11);
        }
        assert_eq!(room.used(), 0);
    }

    #[tokio::test]
    async fn what_is_not_whole_gzip_is_malformed() {
        let room = Room::new(1000);
        let packed = gzip(b"hello");
        let mut changed = packed.clone();
        changed[12] ^= 1;
        let mut followed = packed.clone();
        followed.extend(b"more");
        let cut = (0..packed.len()).map(|end| packed[..end].to_vec());
        for bytes in cut.chain([changed, followed, b"plain text".to_vec()]) {
            let result = collect(Coding::Gzip, &[&bytes], 100, &room).await;
            assert!(matches!(result, Err(Refusal::Malformed(_))), "{bytes:?}: {result:?}");
        }
        assert_eq!(room.used(), 0);
    }

    #[tokio::test]
    async fn the_limit_holds_before_and_after_decompression() {
        let room = Room::new(1 << 30);
        for (coding, body) in [(Coding::Identity, vec![0; 101]), (Coding::Gzip, gzip(&[0; 101]))] {
            assert_eq!(collect(coding, &[&body], 100, &room).await.unwrap_err(), Refusal::TooLarge(100));
        }
        let fits = gzip(&[0; 100]);
        assert_eq!(collect(Coding::Gzip, &[&fits], 100, &room).await.unwrap().bytes.len(), 100);
        // 200 noisy bytes do not get shorter: the compressed form is over the limit by itself.
        let noise: Vec<u8> = (0..200u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        assert_eq!(collect(Coding::Gzip, &[&gzip(&noise)], 100, &room).await.unwrap_err(), Refusal::TooLarge(100));
    }

    #[tokio::test]
    async fn a_full_room_is_overload() {
        let room = Room::new(50);
        for (coding, body) in [(Coding::Identity, vec![0; 51]), (Coding::Gzip, gzip(&[0; 51]))] {
            assert_eq!(collect(coding, &[&body], 100, &room).await.unwrap_err(), Refusal::Overloaded);
        }
        assert_eq!(room.used(), 0);
    }
}
