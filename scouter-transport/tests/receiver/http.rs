//! HTTP/1.1, written by hand.

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::{Act, Seen, Shared, gzipped, huge};

pub(super) async fn serve(mut stream: impl AsyncRead + AsyncWrite + Unpin, shared: &Shared) {
    let mut read = Vec::new();
    while let Some(seen) = request(&mut stream, &mut read).await {
        let json = seen.header("content-type") == Some("application/json");
        let content = if json { "application/json" } else { "application/x-protobuf" };
        let answer = match shared.act_of_request(seen) {
            Act::Accept(_) if json => answer(200, &[("content-type", content)], b"{}"),
            Act::Accept(body) => answer(200, &[("content-type", content)], &body),
            Act::AcceptJson(body) => answer(200, &[("content-type", "application/json")], body.as_bytes()),
            Act::AcceptGzip(body) => {
                answer(200, &[("content-type", content), ("content-encoding", "gzip")], &gzipped(&body))
            }
            Act::Status(status, headers, body) => {
                let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
                answer(status, &headers, &body)
            }
            Act::Huge => answer(200, &[("content-type", content)], &huge()),
            Act::Nonsense => b"\x16\x03\x01 I am not HTTP\r\n\r\n".to_vec(),
            Act::ResetBeforeAnswer | Act::CloseBeforeAnswer => return,
            Act::ResetInAnswer | Act::CloseInAnswer => {
                let _ = stream.write_all(&half()).await;
                return;
            }
            Act::HangInAnswer => {
                let _ = stream.write_all(&half()).await;
                return std::future::pending().await;
            }
            Act::HangBeforeAnswer => return std::future::pending().await,
            other => panic!("{other:?} is not for HTTP"),
        };
        if stream.write_all(&answer).await.is_err() {
            return;
        }
    }
}

fn half() -> Vec<u8> {
    b"HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 10\r\n\r\nhalf".to_vec()
}

fn answer(status: u16, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut out = format!("HTTP/1.1 {status} As Told\r\ncontent-length: {}\r\n", body.len());
    for (name, value) in headers {
        out.push_str(&format!("{name}: {value}\r\n"));
    }
    out.push_str("\r\n");
    [out.as_bytes(), body].concat()
}

/// Reads to the end of the body that `content-length` announces; `None` when the client is gone.
async fn request(stream: &mut (impl AsyncRead + Unpin), read: &mut Vec<u8>) -> Option<Seen> {
    loop {
        if let Some(end) = read.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8(read[..end].to_vec()).unwrap();
            let mut lines = head.lines();
            let path = lines.next().unwrap().split(' ').nth(1).unwrap().to_owned();
            let headers: Vec<_> = lines
                .map(|line| line.split_once(':').unwrap())
                .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
                .collect();
            let mut seen = Seen { path, headers, body: Bytes::new() };
            let length: usize = seen.header("content-length").unwrap().parse().unwrap();
            if read.len() >= end + 4 + length {
                let rest = read.split_off(end + 4 + length);
                seen.body = Bytes::copy_from_slice(&read[end + 4..]);
                *read = rest;
                return Some(seen);
            }
        }
        if !matches!(stream.read_buf(read).await, Ok(1..)) {
            return None;
        }
    }
}
