//! The primitive types of AMQP 0-9-1 (specification, 4.2) and its frames (2.3.5), to and from bytes.

/// The frame types.
pub(super) const METHOD: u8 = 1;
pub(super) const HEADER: u8 = 2;
pub(super) const BODY: u8 = 3;
pub(super) const HEARTBEAT: u8 = 8;
/// Ends every frame.
const FRAME_END: u8 = 0xCE;
/// Type, channel and length in front of a payload.
const FRAME_HEAD: usize = 7;
/// What a frame costs beside its payload.
pub(super) const FRAME_COST: usize = FRAME_HEAD + 1;

/// The bytes are not what the protocol allows. Says what was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed(pub(super) &'static str);

/// One frame. The payload borrows from what was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame<'a> {
    pub(super) kind: u8,
    pub(super) channel: u16,
    pub(super) payload: &'a [u8],
}

/// The first frame in `bytes` and its whole length, `None` while it is not complete. No frame is longer than `max`.
pub(super) fn frame(bytes: &[u8], max: usize) -> Result<Option<(Frame<'_>, usize)>, Malformed> {
    let mut head = Input(bytes);
    let (Ok(kind), Ok(channel), Ok(length)) = (head.u8(), head.u16(), head.u32()) else { return Ok(None) };
    let total = (length as usize).checked_add(FRAME_COST).filter(|total| *total <= max);
    let total = total.ok_or(Malformed("a frame that is larger than was agreed"))?;
    match bytes.get(total - 1) {
        None => Ok(None),
        Some(&FRAME_END) => Ok(Some((Frame { kind, channel, payload: &bytes[FRAME_HEAD..total - 1] }, total))),
        Some(_) => Err(Malformed("a frame without its end")),
    }
}

/// What is still to be read of some bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Input<'a>(pub(super) &'a [u8]);

impl<'a> Input<'a> {
    pub(super) fn take(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(Malformed("a value that breaks off"))?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (taken, rest) = self.0.split_first_chunk::<N>().ok_or(Malformed("a number that breaks off"))?;
        self.0 = rest;
        Ok(*taken)
    }

    pub(super) fn u8(&mut self) -> Result<u8, Malformed> {
        self.array().map(u8::from_be_bytes)
    }

    pub(super) fn u16(&mut self) -> Result<u16, Malformed> {
        self.array().map(u16::from_be_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, Malformed> {
        self.array().map(u32::from_be_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, Malformed> {
        self.array().map(u64::from_be_bytes)
    }

    /// A short string: one byte of length.
    pub(super) fn short(&mut self) -> Result<String, Malformed> {
        let length = self.u8()?;
        Ok(String::from_utf8_lossy(self.take(length.into())?).into_owned())
    }

    /// A long string or a table: four bytes of length.
    pub(super) fn long(&mut self) -> Result<&'a [u8], Malformed> {
        let length = self.u32()?;
        self.take(length as usize)
    }
}

/// Writes frames one behind the other.
#[derive(Debug, Default)]
pub(super) struct Output(pub(super) Vec<u8>);

impl Output {
    /// One frame with what `payload` writes into it.
    pub(super) fn frame(&mut self, kind: u8, channel: u16, payload: impl FnOnce(&mut Self)) {
        self.u8(kind);
        self.u16(channel);
        self.counted(payload);
        self.u8(FRAME_END);
    }

    /// A method frame.
    pub(super) fn method(&mut self, channel: u16, id: (u16, u16), arguments: impl FnOnce(&mut Self)) {
        self.frame(METHOD, channel, |output| {
            output.u16(id.0);
            output.u16(id.1);
            arguments(output);
        });
    }

    /// What `content` writes, behind its length in four bytes.
    pub(super) fn counted(&mut self, content: impl FnOnce(&mut Self)) {
        let at = self.0.len();
        self.u32(0);
        content(self);
        // Frames are limited to what was agreed, which is less than 4 GiB.
        let length = u32::try_from(self.0.len() - at - 4).unwrap_or(u32::MAX);
        self.0[at..at + 4].copy_from_slice(&length.to_be_bytes());
    }

    pub(super) fn u8(&mut self, value: u8) {
        self.0.push(value);
    }

    pub(super) fn u16(&mut self, value: u16) {
        self.0.extend_from_slice(&value.to_be_bytes());
    }

    pub(super) fn u32(&mut self, value: u32) {
        self.0.extend_from_slice(&value.to_be_bytes());
    }

    pub(super) fn u64(&mut self, value: u64) {
        self.0.extend_from_slice(&value.to_be_bytes());
    }

    /// A short string, cut at its longest.
    pub(super) fn short(&mut self, value: &str) {
        let length = value.floor_char_boundary(255);
        self.0.push(u8::try_from(length).unwrap_or(u8::MAX));
        self.0.extend_from_slice(&value.as_bytes()[..length]);
    }

    pub(super) fn long(&mut self, value: &[u8]) {
        self.counted(|output| output.0.extend_from_slice(value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_frame_is_read_when_it_is_complete() {
        let mut output = Output::default();
        output.frame(BODY, 7, |output| output.0.extend_from_slice(b"spans"));
        let bytes = output.0;
        for cut in 0..bytes.len() {
            assert_eq!(frame(&bytes[..cut], 4096), Ok(None), "{cut} bytes");
        }
        let whole = Frame { kind: BODY, channel: 7, payload: b"spans" };
        assert_eq!(frame(&bytes, 4096), Ok(Some((whole, bytes.len()))));
        assert!(frame(&bytes, bytes.len() - 1).is_err());
        let mut endless = bytes.clone();
        *endless.last_mut().unwrap() = 0;
        assert!(frame(&endless, 4096).is_err());
    }

    #[test]
    fn a_string_is_cut_between_characters() {
        let mut output = Output::default();
        output.short(&"ä".repeat(200));
        assert_eq!(output.0[0], 254);
        assert_eq!(Input(&output.0).short().unwrap(), "ä".repeat(127));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), max in 0usize..300) {
            if let Ok(Some((found, length))) = frame(&bytes, max) {
                prop_assert!(length <= max && length <= bytes.len() && found.payload.len() + FRAME_COST == length);
            }
        }

        #[test]
        fn what_is_written_is_read(kind: u8, channel: u16, payload in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut output = Output::default();
            output.frame(kind, channel, |output| output.0.extend_from_slice(&payload));
            let length = output.0.len();
            prop_assert_eq!(frame(&output.0, length), Ok(Some((Frame { kind, channel, payload: &payload }, length))));
        }
    }
}
