//! Queues: made if they are not there, and used as they are if messages are safe in them.

use lapin::options::QueueDeclareOptions;
use lapin::types::FieldTable;

use super::reply::{Reply, failed};
use super::session::Session;
use crate::error::{Error, ErrorKind};

/// What a queue is wanted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    Write,
    Read,
}

/// Sees to it that a durable queue is there.
pub(super) async fn declare(session: &Session, queue: &str, purpose: Use) -> Result<(), Error> {
    let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    let Err(error) = ask(session, queue, durable).await else { return Ok(()) };
    let Some(reply) = Reply::of(&error) else { return Err(error) };
    // A message in such a queue would not outlive the broker, or the connection that made the queue.
    // Names of queues stand in these words as well.
    let says = |words: &str| reply.text.contains(words);
    let is_fleeting = says("arg 'durable'") || says("arg 'exclusive'") || says("arg 'auto_delete'");
    match reply.code {
        Reply::PRECONDITION_FAILED if is_fleeting => {
            let reason = format!(
                "the queue `{queue}` exists, but what is in it can get lost; delete it or name another ({reply})"
            );
            Err(Error::new(ErrorKind::Unavailable, reason).with_source(error))
        }
        Reply::PRECONDITION_FAILED if purpose == Use::Read && says("value 'stream'") => {
            let reason = format!(
                "the queue `{queue}` is a stream, in which nobody keeps account of what was read; name a queue ({reply})"
            );
            Err(Error::new(ErrorKind::Unavailable, reason).with_source(error))
        }
        // Its operator has chosen a type or limits for it, which is fine, or lets us use it and not make it.
        Reply::PRECONDITION_FAILED | Reply::ACCESS_REFUSED => {
            let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
            match ask(session, queue, passive).await {
                Err(missing) if Reply::of(&missing).is_some_and(|missing| missing.code == Reply::NOT_FOUND) => {
                    let reason = format!("the queue `{queue}` is not there and cannot be made: {reply}");
                    Err(Error::new(error.kind(), reason).with_source(error))
                }
                looked => looked,
            }
        }
        Reply::RESOURCE_LOCKED => {
            let reason = format!("the queue `{queue}` belongs to another connection alone; name another ({reply})");
            Err(Error::new(ErrorKind::Unavailable, reason).with_source(error))
        }
        _ => Err(error),
    }
}

/// Declares a queue on a channel of its own, since a refusal closes the channel.
async fn ask(session: &Session, queue: &str, options: QueueDeclareOptions) -> Result<(), Error> {
    let lost = |error: lapin::Error| failed(&error);
    let channel = session.channel().await?;
    channel.queue_declare(queue.into(), options, FieldTable::default()).await.map_err(lost)?;
    channel.close(200, "done".into()).await.map_err(lost)
}
