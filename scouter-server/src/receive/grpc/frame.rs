//! The frame around a gRPC message: a compression flag, four bytes of length, the message (gRPC over HTTP/2,
//! "Length-Prefixed-Message").

use bytes::{BufMut, Bytes, BytesMut};

use crate::receive::Refusal;

const HEADER: usize = 5;

/// Takes the frame of a unary call's one message apart while it arrives.
#[derive(Debug)]
pub(super) struct Frame {
    limit: usize,
    header: [u8; HEADER],
    /// How many bytes came so far, the header's included.
    seen: usize,
}

impl Frame {
    /// A frame whose message has at most so many bytes.
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, header: [0; HEADER], seen: 0 }
    }

    /// Whether the message is compressed, once the header has come.
    pub(super) fn is_compressed(&self) -> Option<bool> {
        (self.seen >= HEADER).then_some(self.header[0] == 1)
    }

    fn length(&self) -> usize {
        let [_, a, b, c, d] = self.header;
        u32::from_be_bytes([a, b, c, d]) as usize
    }

    /// The part of a piece of the body that belongs to the message.
    pub(super) fn take<'a>(&mut self, piece: &'a [u8]) -> Result<&'a [u8], Refusal> {
        let mut rest = piece;
        if self.seen < HEADER {
            let (head, tail) = piece.split_at(piece.len().min(HEADER - self.seen));
            self.header[self.seen..self.seen + head.len()].copy_from_slice(head);
            self.seen += head.len();
            rest = tail;
            if self.seen == HEADER {
                self.check()?;
            }
        }
        self.seen += rest.len();
        if self.seen >= HEADER && self.seen - HEADER > self.length() {
            return Err(Refusal::Malformed("the call has more than one message; Export takes one".into()));
        }
        Ok(rest)
    }

    fn check(&self) -> Result<(), Refusal> {
        match self.header[0] {
            0 | 1 if self.length() > self.limit => Err(Refusal::TooLarge(self.limit)),
            0 | 1 => Ok(()),
            flag => {
                Err(Refusal::Malformed(format!("{flag} is not a compression flag, the message begins with 0 or 1")))
            }
        }
    }

    /// Whether the body ended where the message does.
    pub(super) fn finish(&self) -> Result<(), Refusal> {
        if self.seen == 0 || self.seen == HEADER + self.length() {
            return Ok(());
        }
        Err(Refusal::Malformed("the call ends inside its message".into()))
    }
}

/// A message in its frame, not compressed.
pub(super) fn of(message: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(HEADER + message.len());
    out.put_u8(0);
    out.put_u32(message.len() as u32);
    out.put_slice(message);
    out.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_taken_out_of_pieces_of_any_size() {
        let framed = of(b"some message");
        for size in 1..=framed.len() {
            let mut frame = Frame::new(12);
            let mut message: Vec<u8> = Vec::new();
            for piece in framed.chunks(size) {
                message.extend(frame.take(piece).unwrap());
            }
            assert_eq!(message, b"some message");
            assert_eq!(frame.is_compressed(), Some(false));
            assert_eq!(frame.finish(), Ok(()));
        }
    }

    #[test]
    fn bad_frames_are_refused() {
        assert_eq!(Frame::new(2).take(&[0, 0, 0, 0, 3]), Err(Refusal::TooLarge(2)));
        assert!(matches!(Frame::new(9).take(&[2, 0, 0, 0, 0]), Err(Refusal::Malformed(_))));
        assert!(matches!(Frame::new(9).take(&[0, 0, 0, 0, 1, 7, 0]), Err(Refusal::Malformed(_))));
        for short in [&[0][..], &[0, 0, 0, 0, 2, 7]] {
            let mut frame = Frame::new(9);
            frame.take(short).unwrap();
            assert!(matches!(frame.finish(), Err(Refusal::Malformed(_))), "{short:?}");
        }
    }
}
