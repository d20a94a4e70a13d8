//! The methods that are used, by class and method number (RabbitMQ's `amqp0-9-1.extended.xml`).

use super::wire::{Input, Malformed};

type Id = (u16, u16);

pub(super) const START_OK: Id = (10, 11);
pub(super) const TUNE_OK: Id = (10, 31);
pub(super) const OPEN: Id = (10, 40);
pub(super) const CLOSE: Id = (10, 50);
pub(super) const CLOSE_OK: Id = (10, 51);
pub(super) const CHANNEL_OPEN: Id = (20, 10);
pub(super) const CHANNEL_FLOW_OK: Id = (20, 21);
pub(super) const CHANNEL_CLOSE: Id = (20, 40);
pub(super) const CHANNEL_CLOSE_OK: Id = (20, 41);
pub(super) const QUEUE_DECLARE: Id = (50, 10);
pub(super) const QOS: Id = (60, 10);
pub(super) const CONSUME: Id = (60, 20);
pub(super) const CANCEL: Id = (60, 30);
pub(super) const CANCEL_OK: Id = (60, 31);
pub(super) const PUBLISH: Id = (60, 40);
pub(super) const ACK: Id = (60, 80);
pub(super) const NACK: Id = (60, 120);
pub(super) const CONFIRM_SELECT: Id = (85, 10);

/// The class that messages belong to, in their headers.
pub(super) const BASIC: u16 = 60;

/// The code of an orderly end.
pub(super) const REPLY_SUCCESS: u16 = 200;

/// What a broker says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Method {
    Start {
        major: u8,
        minor: u8,
        mechanisms: Vec<u8>,
    },
    Tune {
        channel_max: u16,
        frame_max: u32,
        heartbeat: u16,
    },
    Close {
        code: u16,
        text: String,
    },
    CloseOk,
    Blocked {
        reason: String,
    },
    Unblocked,
    ChannelFlow {
        active: bool,
    },
    ChannelClose {
        code: u16,
        text: String,
    },
    ChannelCloseOk,
    /// `basic.cancel`: the queue is gone, or its node is.
    Cancelled {
        tag: String,
    },
    Return {
        code: u16,
        text: String,
    },
    Deliver {
        tag: u64,
        redelivered: bool,
    },
    Ack {
        tag: u64,
        multiple: bool,
    },
    Nack {
        tag: u64,
        multiple: bool,
    },
    /// Answers the oldest question on its channel.
    Answer(Answer),
    /// One that nobody has asked for.
    Other(Id),
}

/// The answers to what this client asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Opened,
    Declared { messages: u32, consumers: u32 },
    Limited,
    Consuming,
    Cancelled,
    Confirming,
}

impl Method {
    /// Reads the payload of a method frame.
    pub(super) fn read(payload: &[u8]) -> Result<Self, Malformed> {
        let mut input = Input(payload);
        let id = (input.u16()?, input.u16()?);
        Ok(match id {
            (10, 10) => {
                let (major, minor) = (input.u8()?, input.u8()?);
                input.long()?;
                Self::Start { major, minor, mechanisms: input.long()?.to_vec() }
            }
            (10, 30) => Self::Tune { channel_max: input.u16()?, frame_max: input.u32()?, heartbeat: input.u16()? },
            (10, 41) | (20, 11) => Self::Answer(Answer::Opened),
            CLOSE => Self::Close { code: input.u16()?, text: input.short()? },
            CLOSE_OK => Self::CloseOk,
            (10, 60) => Self::Blocked { reason: input.short()? },
            (10, 61) => Self::Unblocked,
            (20, 20) => Self::ChannelFlow { active: input.u8()? & 1 == 1 },
            CHANNEL_CLOSE => Self::ChannelClose { code: input.u16()?, text: input.short()? },
            CHANNEL_CLOSE_OK => Self::ChannelCloseOk,
            (50, 11) => {
                input.short()?;
                Self::Answer(Answer::Declared { messages: input.u32()?, consumers: input.u32()? })
            }
            (60, 11) => Self::Answer(Answer::Limited),
            (60, 21) => Self::Answer(Answer::Consuming),
            CANCEL => Self::Cancelled { tag: input.short()? },
            CANCEL_OK => Self::Answer(Answer::Cancelled),
            (60, 50) => Self::Return { code: input.u16()?, text: input.short()? },
            (60, 60) => {
                input.short()?;
                Self::Deliver { tag: input.u64()?, redelivered: input.u8()? & 1 == 1 }
            }
            ACK => Self::Ack { tag: input.u64()?, multiple: input.u8()? & 1 == 1 },
            NACK => Self::Nack { tag: input.u64()?, multiple: input.u8()? & 1 == 1 },
            (85, 11) => Self::Answer(Answer::Confirming),
            other => Self::Other(other),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn methods_are_read_as_they_are_written() {
        let close = [0, 20, 0, 40, 1, 0x94, 2, b'n', b'o', 0, 50, 0, 10];
        assert_eq!(Method::read(&close), Ok(Method::ChannelClose { code: 404, text: "no".to_owned() }));
        let mut ack = vec![0, 60, 0, 80];
        ack.extend([0, 0, 0, 0, 0, 0, 1, 0, 1]);
        assert_eq!(Method::read(&ack), Ok(Method::Ack { tag: 256, multiple: true }));
        assert_eq!(Method::read(&[0, 99, 0, 1]), Ok(Method::Other((99, 1))));
        assert!(Method::read(&ack[..8]).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(class in 0u16..100, method in 0u16..130, rest in prop::collection::vec(any::<u8>(), 0..64)) {
            let mut bytes = [class.to_be_bytes(), method.to_be_bytes()].concat();
            bytes.extend(rest);
            let _ = Method::read(&bytes);
        }
    }
}
