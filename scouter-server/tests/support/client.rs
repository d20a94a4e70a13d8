//! Plain clients: HTTP requests with any header, raw connections, and gRPC calls with any bytes.

use std::fmt;
use std::net::SocketAddr;

use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::TestServer;

pub const PROTOBUF: &str = "application/x-protobuf";
pub const JSON: &str = "application/json";

/// A whole answer. For gRPC the trailers are among the headers.
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub fn text(&self) -> String {
        String::from_utf8(self.body.to_vec()).unwrap()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?} {:?}", self.status, self.headers, String::from_utf8_lossy(&self.body))
    }
}

pub fn client() -> Client<HttpConnector, Full<Bytes>> {
    Client::builder(TokioExecutor::new()).build_http()
}

async fn whole(response: http::Response<hyper::body::Incoming>) -> Answer {
    let (parts, body) = response.into_parts();
    let body = body.collect().await.unwrap();
    let mut headers = parts.headers;
    if let Some(trailers) = body.trailers() {
        headers.extend(trailers.clone());
    }
    Answer { status: parts.status, headers, body: body.to_bytes() }
}

pub async fn send(request: Request<Full<Bytes>>) -> Answer {
    whole(client().request(request).await.unwrap()).await
}

pub async fn call(server: &TestServer, method: Method, path: &str, headers: &[(&str, &str)], body: Bytes) -> Answer {
    let mut request = Request::builder().method(method).uri(server.uri(path));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    send(request.body(body.into()).unwrap()).await
}

pub async fn get(server: &TestServer, path: &str) -> Answer {
    call(server, Method::GET, path, &[], Bytes::new()).await
}

pub async fn post(server: &TestServer, content_type: &str, body: impl Into<Bytes>) -> Answer {
    call(server, Method::POST, "/v1/traces", &[("content-type", content_type)], body.into()).await
}

pub async fn post_gzip(server: &TestServer, content_type: &str, body: impl Into<Bytes>) -> Answer {
    let headers = [("content-type", content_type), ("content-encoding", "gzip")];
    call(server, Method::POST, "/v1/traces", &headers, body.into()).await
}

pub async fn post_protobuf(server: &TestServer, body: impl Into<Bytes>) -> Answer {
    post(server, PROTOBUF, body).await
}

/// Sends bytes as they are and reads until the server closes or `enough` says so.
pub async fn raw(addr: SocketAddr, bytes: &[u8], enough: impl Fn(&str) -> bool) -> String {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    read_until(&mut stream, enough).await
}

pub async fn read_until(stream: &mut TcpStream, enough: impl Fn(&str) -> bool) -> String {
    let mut read = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&read).into_owned();
        if enough(&text) || stream.read_buf(&mut read).await.unwrap() == 0 {
            return text;
        }
    }
}

pub const EXPORT: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

/// A gRPC message's frame.
pub fn frame(compressed: u8, message: &[u8]) -> Bytes {
    let mut out = BytesMut::new();
    out.put_u8(compressed);
    out.put_u32(u32::try_from(message.len()).unwrap());
    out.put_slice(message);
    out.freeze()
}

/// HTTP/2 without an upgrade, as gRPC speaks it.
pub async fn http2(addr: SocketAddr, request: Request<Full<Bytes>>) -> Answer {
    let stream = TcpStream::connect(addr).await.unwrap();
    let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
    let (mut sender, connection) = handshake.await.unwrap();
    tokio::spawn(connection);
    whole(sender.send_request(request).await.unwrap()).await
}

/// A unary gRPC call whose body is any bytes.
pub async fn grpc(server: &TestServer, path: &str, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Answer {
    let mut request = Request::builder().method(Method::POST).uri(server.uri(path)).header("te", "trailers");
    if !headers.iter().any(|(name, _)| *name == "content-type") {
        request = request.header("content-type", "application/grpc");
    }
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    http2(server.addr, request.body(Full::new(body.into())).unwrap()).await
}
