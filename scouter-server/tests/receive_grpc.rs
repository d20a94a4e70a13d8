//! OTLP over gRPC, with the client that `opentelemetry-proto` generates and with bytes no client would send.

#![expect(clippy::unwrap_used, reason = "a helper that cannot go on fails its test")]

mod support;

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use prost::Message;
use support::TestServer;
use support::client::{EXPORT, PROTOBUF, frame, grpc, post_protobuf};
use support::memory::Behaviour;
use support::request::{self, encode, gzip};
use tonic::codec::CompressionEncoding;
use tonic::transport::Channel;
use tonic::{Code, Request, Response, Status};

async fn client(server: &TestServer) -> TraceServiceClient<Channel> {
    TraceServiceClient::connect(server.uri("")).await.unwrap()
}

async fn export(
    server: &TestServer,
    request: ExportTraceServiceRequest,
) -> Result<Response<ExportTraceServiceResponse>, Status> {
    client(server).await.export(request).await
}

/// `google.rpc.Status` and the parts of it that say when to try again.
#[derive(Clone, PartialEq, Message)]
struct RpcStatus {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
    #[prost(message, repeated, tag = "3")]
    details: Vec<Any>,
}

#[derive(Clone, PartialEq, Message)]
struct Any {
    #[prost(string, tag = "1")]
    type_url: String,
    #[prost(bytes = "vec", tag = "2")]
    value: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
struct RetryInfo {
    #[prost(message, tag = "1")]
    retry_delay: Option<Duration>,
}

#[derive(Clone, PartialEq, Message)]
struct Duration {
    #[prost(int64, tag = "1")]
    seconds: i64,
    #[prost(int32, tag = "2")]
    nanos: i32,
}

/// After how many seconds the status says to try again.
fn retry_delay(status: &Status) -> Option<i64> {
    let details = RpcStatus::decode(status.details()).unwrap();
    let info = details.details.iter().find(|any| any.type_url == "type.googleapis.com/google.rpc.RetryInfo")?;
    assert_eq!((details.code, details.message.as_str()), (status.code() as i32, status.message()));
    Some(RetryInfo::decode(info.value.as_slice()).unwrap().retry_delay.unwrap().seconds)
}

#[tokio::test]
async fn a_request_is_stored_unchanged_and_answered_with_nothing_more() {
    let server = TestServer::start().await;
    let sent = request::with_spans(3);
    let answer = export(&server, sent.clone()).await.unwrap().into_inner();
    assert_eq!(answer, ExportTraceServiceResponse::default());
    assert_eq!(server.store.requests(), [encode(&sent)]);
    let requests = server.metric("scouter_server_requests_total{protocol=\"grpc\",status=\"ok\"}").await;
    assert_eq!(requests, 1.0);
}

#[tokio::test]
async fn gzip_is_read_on_a_connection_that_is_used_again() {
    let server = TestServer::start().await;
    let mut client = client(&server).await.send_compressed(CompressionEncoding::Gzip);
    client = client.accept_compressed(CompressionEncoding::Gzip);
    let sent = request::with_spans(500);
    for _ in 0..3 {
        client.export(sent.clone()).await.unwrap();
    }
    assert_eq!(server.store.requests(), vec![encode(&sent); 3]);
    assert!(server.metric("scouter_server_bytes_total{stage=\"wire\"}").await > 0.0);
    assert_eq!(server.metric("scouter_server_connections_open").await, 2.0);
}

#[tokio::test]
async fn empty_requests_succeed() {
    let server = TestServer::start().await;
    export(&server, ExportTraceServiceRequest::default()).await.unwrap();
    assert!(server.store.requests().is_empty(), "nothing to write");
}

#[tokio::test]
async fn spans_with_invalid_ids_are_rejected_and_the_others_stored() {
    let server = TestServer::start().await;
    let mut sent = request::with_spans(3);
    sent.resource_spans[0].scope_spans[0].spans[2].span_id.clear();
    let partial = export(&server, sent).await.unwrap().into_inner().partial_success.unwrap();
    assert_eq!(partial.rejected_spans, 1);
    assert!(partial.error_message.contains("span 2 of the request has no valid span id"), "{partial:?}");
    assert_eq!(server.store.spans(), 2);
}

#[tokio::test]
async fn requests_that_cannot_be_decoded_are_invalid_arguments() {
    let server = TestServer::start().await;
    let message = encode(&request::with_spans(1));
    let packed = gzip(&message);
    let two = [frame(0, &message), frame(0, &message)].concat();
    let cut = frame(0, &message).slice(..message.len());
    let plain: [Bytes; 6] =
        [frame(0, b"not protobuf"), two.into(), cut, Bytes::new(), frame(1, &packed), frame(7, &message)];
    for body in plain {
        let answer = grpc(&server, EXPORT, &[], body).await;
        assert_eq!((answer.status.as_u16(), answer.header("grpc-status")), (200, "3"), "{answer:?}");
        assert_ne!(answer.header("grpc-message"), "");
    }
    for body in [frame(1, &message), frame(1, &packed[..packed.len() - 1]), frame(1, b"")] {
        let answer = grpc(&server, EXPORT, &[("grpc-encoding", "gzip")], body).await;
        assert_eq!((answer.status.as_u16(), answer.header("grpc-status")), (200, "3"), "{answer:?}");
    }
    // A call that may compress need not.
    let answer = grpc(&server, EXPORT, &[("grpc-encoding", "gzip")], frame(0, &message)).await;
    assert_eq!(answer.header("grpc-status"), "0", "{answer:?}");
    server.assert_unharmed().await;
}

#[tokio::test]
async fn what_is_not_served_is_unimplemented() {
    let server = TestServer::start().await;
    let body = frame(0, &encode(&request::with_spans(1)));
    for path in [
        "/opentelemetry.proto.collector.trace.v1.TraceService/Import",
        "/opentelemetry.proto.collector.logs.v1.LogsService/Import",
        "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
        "/grpc.health.v1.Health/Check",
    ] {
        let answer = grpc(&server, path, &[], body.clone()).await;
        assert_eq!((answer.status.as_u16(), answer.header("grpc-status")), (200, "12"), "{answer:?}");
        assert!(answer.header("grpc-message").contains(path), "{answer:?}");
    }
    let answer = grpc(&server, EXPORT, &[("grpc-encoding", "zstd")], body.clone()).await;
    assert_eq!((answer.header("grpc-status"), answer.header("grpc-accept-encoding")), ("12", "gzip,identity"));
    for content_type in ["application/grpc-web", "application/grpc+json", PROTOBUF] {
        let answer = grpc(&server, EXPORT, &[("content-type", content_type)], body.clone()).await;
        assert_eq!(answer.status, 415, "{content_type}: {answer:?}");
    }
    let answer = grpc(&server, EXPORT, &[("content-type", "application/grpc+proto")], body).await;
    assert_eq!(answer.header("grpc-status"), "0");
}

#[tokio::test]
async fn too_large_is_exhausted_and_not_to_be_tried_again() {
    let server = TestServer::start_with(|config| config.max_request_bytes = 10_000).await;
    let fits = request::of_size(10_000);
    let over = request::of_size(10_001);
    let gzipped = [("grpc-encoding", "gzip")];
    assert_eq!(grpc(&server, EXPORT, &[], frame(0, &fits)).await.header("grpc-status"), "0");
    assert_eq!(grpc(&server, EXPORT, &gzipped, frame(1, &gzip(&fits))).await.header("grpc-status"), "0");
    for (headers, body) in [(&[][..], frame(0, &over)), (&gzipped[..], frame(1, &gzip(&over)))] {
        let answer = grpc(&server, EXPORT, headers, body).await;
        assert_eq!((answer.status.as_u16(), answer.header("grpc-status")), (200, "8"), "{answer:?}");
        assert_eq!(answer.header("grpc-status-details-bin"), "");
        assert!(answer.header("grpc-message").contains("10000"), "{answer:?}");
    }
    // The length alone is enough, the message need not come.
    let answer = grpc(&server, EXPORT, &[], Bytes::from_static(&[0, 0xff, 0xff, 0xff, 0xff])).await;
    assert_eq!(answer.header("grpc-status"), "8");
    let status = export(&server, request::with_spans(1000)).await.unwrap_err();
    assert_eq!((status.code(), status.details()), (Code::ResourceExhausted, &[][..]));
    server.assert_unharmed().await;
}

#[tokio::test]
async fn a_store_that_fails_is_unavailable_with_retry_info() {
    let server = TestServer::start().await;
    server.store.behave(Behaviour::Fail);
    let sent = request::with_spans(2);
    let status = export(&server, sent.clone()).await.unwrap_err();
    assert_eq!((status.code(), retry_delay(&status)), (Code::Unavailable, Some(1)));
    assert!(!status.message().contains("secret"), "{status:?}");
    server.store.behave(Behaviour::Panic);
    assert_eq!(export(&server, sent.clone()).await.unwrap_err().code(), Code::Internal);
    server.store.behave(Behaviour::Store);
    export(&server, sent).await.unwrap();
    assert_eq!(server.store.spans(), 2);
}

#[tokio::test]
async fn overload_is_unavailable_with_retry_info() {
    let server = TestServer::start_with(|config| {
        config.max_request_bytes = 10_000;
        config.max_in_flight_bytes = 20_000;
    })
    .await;
    server.store.behave(Behaviour::Wait);
    let (first, second) = (request::of_size(10_000), request::of_size(9_900));
    let waiting = async { tokio::join!(post_protobuf(&server, first), post_protobuf(&server, second)) };
    let refused = async {
        server.store.write_began().await;
        while server.metric("scouter_server_in_flight_bytes").await < 19_900.0 {}
        let status = export(&server, request::with_spans(1)).await.unwrap_err();
        assert_eq!((status.code(), retry_delay(&status)), (Code::Unavailable, Some(1)));
        server.store.release(2);
    };
    let ((first, second), ()) = tokio::join!(waiting, refused);
    assert_eq!((first.status.as_u16(), second.status.as_u16()), (200, 200));
    server.store.behave(Behaviour::Store);
    server.assert_unharmed().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixty_four_calls_at_once_on_one_connection_are_all_stored() {
    let server = TestServer::start().await;
    let client = client(&server).await;
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..64 {
        let mut client = client.clone();
        calls.spawn(
            async move { client.export(Request::new(request::with_spans(100))).await.map(Response::into_inner) },
        );
    }
    for answer in calls.join_all().await {
        assert_eq!(answer.unwrap(), ExportTraceServiceResponse::default());
    }
    assert_eq!(server.store.spans(), 6400);
    server.assert_unharmed().await;
}
