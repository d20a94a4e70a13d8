//! What comes from the broker.

use std::io;

use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::sync::watch;

use super::driver::{ChannelId, End, Shared, State, Status};
use super::handshake::{Limits, broken, malformed};
use super::line::{Content, Delivery, Purpose};
use super::method::{self, Answer, Method};
use super::properties::Properties;
use super::reply::Reply;
use super::wire::{self, BODY, Frame, HEADER, HEARTBEAT, METHOD, Malformed};
use crate::error::{Error, ErrorKind};

/// Reads until the connection ends.
pub(super) async fn read(
    stream: &mut (impl AsyncRead + Unpin),
    mut buffer: BytesMut,
    shared: &Shared,
    status: &watch::Sender<Status>,
    limits: Limits,
) -> End {
    loop {
        if let Err(end) = frames(&mut buffer, shared, status, limits) {
            return end;
        }
        buffer.reserve(16 * 1024);
        let reading = stream.read_buf(&mut buffer);
        let read = match limits.heartbeat {
            None => reading.await,
            // Specification, 4.2.7: whoever hears nothing for two intervals takes the other end for dead.
            Some(heartbeat) => match tokio::time::timeout(heartbeat * 2, reading).await {
                Ok(read) => read,
                Err(_) => {
                    let reason = format!("the broker was silent for {:?}, twice the heartbeat", heartbeat * 2);
                    return End::Broken(Error::new(ErrorKind::Dropped, reason));
                }
            },
        };
        match read {
            Ok(0) => return End::Broken(broken(io::ErrorKind::UnexpectedEof.into())),
            Ok(_) => {}
            Err(error) => return End::Broken(broken(error)),
        }
    }
}

/// Handles every whole frame in the buffer.
fn frames(buffer: &mut BytesMut, shared: &Shared, status: &watch::Sender<Status>, limits: Limits) -> Result<(), End> {
    let mut state = shared.lock();
    let malformed = |error| End::Broken(malformed(error));
    while let Some((frame, length)) = wire::frame(buffer, limits.frame_max).map_err(malformed)? {
        match (frame.kind, frame.channel) {
            (METHOD, 0) => connection_method(&mut state, Method::read(frame.payload).map_err(malformed)?, status)?,
            (METHOD, _) => {
                let method = Method::read(frame.payload).map_err(malformed)?;
                channel_method(&mut state, frame.channel, method).map_err(malformed)?;
            }
            (HEADER | BODY, _) => content(&mut state, frame).map_err(malformed)?,
            (HEARTBEAT, _) => {}
            _ => return Err(malformed(Malformed("a frame of an unknown kind"))),
        }
        buffer.advance(length);
    }
    drop(state);
    shared.bell.notify_one();
    Ok(())
}

fn connection_method(state: &mut State, method: Method, status: &watch::Sender<Status>) -> Result<(), End> {
    match method {
        Method::Close { code, text } => return Err(End::Told(Reply { code, text }.error("the connection was closed"))),
        Method::CloseOk => return Err(End::Orderly),
        Method::Blocked { reason } => {
            state.blocked = true;
            status.send_replace(Status::Blocked(reason));
        }
        Method::Unblocked => {
            state.blocked = false;
            status.send_replace(Status::Open);
        }
        _ => {}
    }
    Ok(())
}

fn channel_method(state: &mut State, number: u16, method: Method) -> Result<(), Malformed> {
    let State { lines, outbox, .. } = state;
    let Some(line) = lines.get_mut(&number) else { return Ok(()) };
    match method {
        Method::ChannelClose { code, text } => {
            outbox.method(number, method::CHANNEL_CLOSE_OK, |_| {});
            let reply = Reply { code, text };
            let limit = reply.size_limit();
            let error = reply.error("");
            if let Some(mut line) = lines.remove(&number) {
                // One message was too large and took the others on the channel with it.
                line.fail(|size| match limit {
                    Some(limit) if size <= limit => {
                        let reason = "the broker closed the channel because of another message that was too large";
                        Error::new(ErrorKind::Dropped, reason).with_source(error.clone())
                    }
                    _ => error.clone(),
                });
            }
        }
        Method::ChannelCloseOk => {
            lines.remove(&number);
        }
        _ if line.closing => {}
        Method::ChannelFlow { active } => {
            line.paused = !active;
            outbox.method(number, method::CHANNEL_FLOW_OK, |output| output.u8(active.into()));
        }
        Method::Cancelled { .. } => {
            if let Some(consumer) = line.consumer.take() {
                let reason = "the broker ended the consumer: the queue was deleted, or its node went away";
                let _ = consumer.send(Err(Error::new(ErrorKind::Unavailable, reason)));
            }
        }
        Method::Return { code, text } => {
            line.content = Some(Content::new(Purpose::Return(Reply { code, text }.error(""))))
        }
        Method::Deliver { tag, redelivered } => {
            line.content = Some(Content::new(Purpose::Delivery { tag, redelivered }));
        }
        Method::Ack { tag, multiple } => settle(line.confirms.settle(tag, multiple, true))?,
        Method::Nack { tag, multiple } => settle(line.confirms.settle(tag, multiple, false))?,
        Method::Answer(answer) => {
            let question = line.questions.pop_front().ok_or(Malformed("an answer to nothing"))?;
            let opened = answer == Answer::Opened;
            let serial = line.serial;
            if question.send(Ok(answer)).is_err() && opened {
                // Whoever asked for the channel has gone away.
                let mut output = std::mem::take(&mut state.outbox);
                state.leave(ChannelId { number, serial }, &mut output);
                state.outbox = output;
            }
        }
        _ => return Err(Malformed("a method that a channel does not have")),
    }
    Ok(())
}

fn settle(known: bool) -> Result<(), Malformed> {
    if known { Ok(()) } else { Err(Malformed("a confirm for a message that was not sent")) }
}

/// A header frame or a body frame.
fn content(state: &mut State, frame: Frame<'_>) -> Result<(), Malformed> {
    let Some(line) = state.lines.get_mut(&frame.channel).filter(|line| !line.closing) else { return Ok(()) };
    let content = line.content.as_mut().ok_or(Malformed("content that belongs to nothing"))?;
    let missing = match (frame.kind, content.missing) {
        (HEADER, None) => {
            let (properties, length) = Properties::read(frame.payload)?;
            content.properties = properties;
            if matches!(content.purpose, Purpose::Delivery { .. }) {
                // What a header says is believed up to a point; beyond, memory grows with what really comes.
                content.body.reserve_exact(usize::try_from(length).unwrap_or(usize::MAX).min(1 << 20));
            }
            length
        }
        (BODY, Some(missing)) => {
            let missing = missing.checked_sub(frame.payload.len() as u64);
            if matches!(content.purpose, Purpose::Delivery { .. }) {
                content.body.extend_from_slice(frame.payload);
            }
            missing.ok_or(Malformed("more content than it announced"))?
        }
        _ => return Err(Malformed("content out of order")),
    };
    content.missing = Some(missing);
    if missing > 0 {
        return Ok(());
    }
    let Some(Content { purpose, properties, body, .. }) = line.content.take() else { return Ok(()) };
    match purpose {
        Purpose::Return(reason) => line.confirms.returned(properties.message_id.as_deref(), reason),
        Purpose::Delivery { tag, redelivered } => {
            let delivery = Delivery { tag, redelivered, properties, body: body.into() };
            if let Some(consumer) = &line.consumer {
                // A consumer that went away leaves its deliveries to the next one.
                let _ = consumer.send(Ok(delivery));
            }
        }
    }
    Ok(())
}
