//! gRPC over `h2`.

use std::future::poll_fn;
use std::task::Poll;

use bytes::{Bytes, BytesMut};
use h2::server::{Connection, SendResponse};
use h2::{Reason, RecvStream};
use hyper::{HeaderMap, Request, Response};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinSet;

use super::{Act, Seen, Shared, gzipped, huge, status};

/// What a request does to its whole connection.
#[derive(Debug, PartialEq)]
enum After {
    GoOn,
    GoAway,
    /// Ended as it is, with what has been written.
    End,
}

pub(super) async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin + Send, shared: &Shared) {
    let Ok(mut connection) = h2::server::handshake(stream).await else { return };
    let mut running = JoinSet::new();
    loop {
        let after = tokio::select! {
            next = connection.accept() => match next {
                Some(Ok((request, respond))) => {
                    running.spawn(read(request, respond));
                    continue;
                }
                _ => return,
            },
            Some(read) = running.join_next() => {
                let Ok(Some((seen, respond))) = read else { continue };
                perform(shared.act_of_request(seen), respond)
            }
        };
        match after {
            After::GoOn => {}
            After::GoAway => connection.abrupt_shutdown(Reason::NO_ERROR),
            After::End => return flush(&mut connection).await,
        }
    }
}

/// Lets go what waits to be written; the kernel takes it at once.
async fn flush<T: AsyncRead + AsyncWrite + Unpin>(connection: &mut Connection<T, Bytes>) {
    for _ in 0..3 {
        poll_fn(|context| {
            let _ = connection.poll_closed(context);
            Poll::Ready(())
        })
        .await;
    }
}

async fn read(request: Request<RecvStream>, respond: SendResponse<Bytes>) -> Option<(Seen, SendResponse<Bytes>)> {
    let (parts, mut body) = request.into_parts();
    let mut read = BytesMut::new();
    while let Some(data) = body.data().await {
        let data = data.ok()?;
        body.flow_control().release_capacity(data.len()).ok()?;
        read.extend_from_slice(&data);
    }
    let text = |value: &hyper::header::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let headers = parts.headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect();
    Some((Seen { path: parts.uri.path().to_owned(), headers, body: read.freeze() }, respond))
}

fn perform(act: Act, respond: SendResponse<Bytes>) -> After {
    match act {
        Act::Accept(message) => answer(respond, 200, &[GRPC], &frame(0, &message), Some(&[OK])),
        Act::AcceptGzip(message) => {
            let headers = [GRPC, ("grpc-encoding", "gzip")];
            answer(respond, 200, &headers, &frame(1, &gzipped(&message)), Some(&[OK]))
        }
        Act::Status(status, headers, body) => {
            let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
            answer(respond, status, &headers, &body, None)
        }
        Act::Verdict(code, message, delay) => {
            let (code, details) = (code.to_string(), status::details(code, message, delay));
            let mut headers = vec![GRPC, ("grpc-status", &*code), ("grpc-message", message)];
            if delay.is_some() {
                headers.push(("grpc-status-details-bin", &details));
            }
            answer(respond, 200, &headers, b"", None)
        }
        Act::Huge => answer(respond, 200, &[GRPC], &frame(0, &huge()), Some(&[OK])),
        Act::Nonsense => answer(respond, 200, &[GRPC], b"I am no gRPC at all", Some(&[OK])),
        Act::GoAway => After::GoAway,
        Act::ResetBeforeAnswer | Act::CloseBeforeAnswer => After::End,
        Act::ResetInAnswer | Act::CloseInAnswer => {
            half(respond);
            After::End
        }
        Act::HangInAnswer => {
            half(respond);
            After::GoOn
        }
        Act::HangBeforeAnswer => {
            std::mem::forget(respond);
            After::GoOn
        }
        other => panic!("{other:?} is not for gRPC"),
    }
}

const GRPC: (&str, &str) = ("content-type", "application/grpc");
const OK: (&str, &str) = ("grpc-status", "0");

fn frame(flag: u8, message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    [&[flag], &length[..], message].concat()
}

fn map(headers: &[(&str, &str)]) -> HeaderMap {
    headers
        .iter()
        .map(|(name, value)| (hyper::header::HeaderName::try_from(*name).unwrap(), value.parse().unwrap()))
        .collect()
}

fn head(status: u16, headers: &[(&str, &str)]) -> Response<()> {
    let mut head = Response::new(());
    *head.status_mut() = status.try_into().unwrap();
    *head.headers_mut() = map(headers);
    head
}

fn answer(
    mut respond: SendResponse<Bytes>,
    status: u16,
    headers: &[(&str, &str)],
    body: &[u8],
    trailers: Option<&[(&str, &str)]>,
) -> After {
    let is_end = body.is_empty() && trailers.is_none();
    // The client may be gone already.
    let Ok(mut stream) = respond.send_response(head(status, headers), is_end) else { return After::GoOn };
    if !body.is_empty() {
        let _ = stream.send_data(Bytes::copy_from_slice(body), trailers.is_none());
    }
    if let Some(trailers) = trailers {
        let _ = stream.send_trailers(map(trailers));
    }
    After::GoOn
}

/// The head, and half a message.
fn half(mut respond: SendResponse<Bytes>) {
    if let Ok(mut stream) = respond.send_response(head(200, &[GRPC]), false) {
        let _ = stream.send_data(Bytes::from_static(&[0, 0, 0, 0, 9, b'h']), false);
        // Dropped, the stream would be reset.
        std::mem::forget(stream);
    }
}
