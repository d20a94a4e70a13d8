//! A receiver of OTLP over HTTP and gRPC on a free port of this machine: hyper for HTTP, tonic for gRPC.

use std::convert::Infallible;
use std::fmt;
use std::io::Read as _;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use bytes::{Buf as _, BufMut as _, Bytes};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, header};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use prost::Message as _;
use scouter_transport::conformance::{Arrival, Behaviour};
use scouter_transport::{ContentType, Signal};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;
use tonic::body::Body;
use tonic::codec::{Codec, CompressionEncoding, DecodeBuf, Decoder, EncodeBuf, Encoder};

use crate::desk::{Desk, Seen};

pub(crate) struct Server {
    pub(crate) desk: Arc<Desk>,
    pub(crate) address: SocketAddr,
    tls: Option<TlsAcceptor>,
    running: Mutex<Option<JoinHandle<()>>>,
}

impl Server {
    pub(crate) async fn start() -> Self {
        Self::start_with(None).await
    }

    pub(crate) async fn start_with(tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = Self { desk: Arc::new(Desk::new()), address, tls, running: Mutex::new(None) };
        server.run(listener);
        server
    }

    pub(crate) fn url(&self) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    /// Ends all connections and frees the port.
    pub(crate) async fn stop(&self) {
        let running = self.running.lock().unwrap().take();
        if let Some(running) = running {
            running.abort();
            let _ = running.await;
        }
    }

    /// Comes back on the same port.
    pub(crate) async fn restart(&self) {
        self.run(TcpListener::bind(self.address).await.unwrap());
    }

    fn run(&self, listener: TcpListener) {
        let (desk, tls) = (Arc::clone(&self.desk), self.tls.clone());
        let running = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                desk.connected();
                connections.spawn(serve(stream, tls.clone(), Arc::clone(&desk)));
            }
        });
        *self.running.lock().unwrap() = Some(running);
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("address", &self.address).finish_non_exhaustive()
    }
}

async fn serve(stream: TcpStream, tls: Option<TlsAcceptor>, desk: Arc<Desk>) {
    let service = service_fn(move |request| {
        let desk = Arc::clone(&desk);
        async move { Ok::<_, Infallible>(answer(request, desk).await) }
    });
    let server = auto::Builder::new(TokioExecutor::new());
    // A broken connection is the client's to notice.
    match tls {
        None => drop(server.serve_connection(TokioIo::new(stream), service).await),
        Some(tls) => {
            if let Ok(stream) = tls.accept(stream).await {
                drop(server.serve_connection(TokioIo::new(stream), service).await);
            }
        }
    }
}

async fn answer(request: Request<Incoming>, desk: Arc<Desk>) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    desk.saw(Seen { path: parts.uri.to_string(), headers: parts.headers.clone(), length: body.len() });
    let signal = match parts.uri.path() {
        path if path.contains("Trace") || path.ends_with("/traces") => Signal::Traces,
        path if path.contains("Logs") || path.ends_with("/logs") => Signal::Logs,
        _ => return plain(404, Bytes::new()),
    };
    if parts.headers[header::CONTENT_TYPE].as_bytes().starts_with(b"application/grpc") {
        let request = Request::from_parts(parts, Full::new(body));
        let call = Call { desk, signal };
        return tonic::server::Grpc::new(Plain)
            .accept_compressed(CompressionEncoding::Gzip)
            .max_decoding_message_size(usize::MAX)
            .unary(call, request)
            .await;
    }
    assert_eq!(parts.method, Method::POST);
    let content = match parts.headers[header::CONTENT_TYPE].as_bytes() {
        b"application/x-protobuf" => ContentType::Protobuf,
        b"application/json" => ContentType::Json,
        _ => return plain(415, Bytes::new()),
    };
    let body = match parts.headers.get(header::CONTENT_ENCODING).map(|value| value.as_bytes()) {
        None => body,
        Some(b"gzip") => unzipped(&body),
        Some(_) => return plain(415, Bytes::new()),
    };
    let echo = echo(&parts.headers);
    match desk.receive(Arrival { signal, content, body }).await {
        Behaviour::Answer(body) => plain(200, body),
        Behaviour::Refuse => plain(400, rpc_status(3, &echo, None).encode_to_vec().into()),
        Behaviour::TooLarge => plain(413, rpc_status(8, &echo, None).encode_to_vec().into()),
        Behaviour::Unavailable(delay) => {
            let mut response = plain(503, echo.into());
            response.headers_mut().insert(header::RETRY_AFTER, delay.as_secs().into());
            response
        }
        other => panic!("{other:?} is not for here"),
    }
}

fn plain(status: u16, body: Bytes) -> Response<Body> {
    let response = Response::builder().status(status).header(header::CONTENT_TYPE, "application/x-protobuf");
    response.body(Body::new(Full::new(body))).unwrap()
}

fn unzipped(body: &[u8]) -> Bytes {
    let mut plain = Vec::new();
    flate2::read::GzDecoder::new(body).read_to_end(&mut plain).unwrap();
    plain.into()
}

/// A careless receiver repeats what it was sent, credentials included.
fn echo(headers: &hyper::HeaderMap) -> String {
    let values: Vec<_> = headers.values().filter_map(|value| value.to_str().ok()).collect();
    format!("cannot take this: {}", values.join(" "))
}

#[derive(Clone)]
struct Call {
    desk: Arc<Desk>,
    signal: Signal,
}

impl tonic::server::UnaryService<Bytes> for Call {
    type Response = Bytes;
    type Future = Pin<Box<dyn Future<Output = Result<tonic::Response<Bytes>, tonic::Status>> + Send>>;

    fn call(&mut self, request: tonic::Request<Bytes>) -> Self::Future {
        let call = self.clone();
        Box::pin(async move {
            let echo = echo(&request.metadata().clone().into_headers());
            let arrival = Arrival { signal: call.signal, content: ContentType::Protobuf, body: request.into_inner() };
            match call.desk.receive(arrival).await {
                Behaviour::Answer(body) => Ok(tonic::Response::new(body)),
                Behaviour::Refuse => Err(tonic::Status::invalid_argument(echo)),
                Behaviour::TooLarge => {
                    let reason = format!("received message larger than max (6 vs. 5) {echo}");
                    Err(tonic::Status::resource_exhausted(reason))
                }
                Behaviour::Unavailable(delay) => {
                    let details = rpc_status(14, &echo, Some(delay)).encode_to_vec().into();
                    Err(tonic::Status::with_details(tonic::Code::Unavailable, echo, details))
                }
                other => panic!("{other:?} is not for here"),
            }
        })
    }
}

#[derive(Clone, Copy)]
struct Plain;

impl Codec for Plain {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Plain {
    type Item = Bytes;
    type Error = tonic::Status;

    fn encode(&mut self, item: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), tonic::Status> {
        buffer.put(item);
        Ok(())
    }
}

impl Decoder for Plain {
    type Item = Bytes;
    type Error = tonic::Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, tonic::Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining())))
    }
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct RpcStatus {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
    #[prost(message, repeated, tag = "3")]
    details: Vec<Any>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Any {
    #[prost(string, tag = "1")]
    type_url: String,
    #[prost(bytes = "vec", tag = "2")]
    value: Vec<u8>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct RetryInfo {
    #[prost(message, optional, tag = "1")]
    retry_delay: Option<Delay>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Delay {
    #[prost(int64, tag = "1")]
    seconds: i64,
    #[prost(int32, tag = "2")]
    nanos: i32,
}

pub(crate) fn rpc_status(code: i32, message: &str, delay: Option<std::time::Duration>) -> RpcStatus {
    let retry_info = delay.map(|delay| {
        let retry_delay =
            Some(Delay { seconds: delay.as_secs().cast_signed(), nanos: delay.subsec_nanos().cast_signed() });
        let value = RetryInfo { retry_delay }.encode_to_vec();
        Any { type_url: "type.googleapis.com/google.rpc.RetryInfo".to_owned(), value }
    });
    RpcStatus { code, message: message.to_owned(), details: retry_info.into_iter().collect() }
}
