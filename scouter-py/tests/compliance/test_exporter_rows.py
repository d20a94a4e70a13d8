"""OpenTelemetry's compliance matrix, "Exporters": the interface, the ones for development, and OTLP. One test a row."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import grpc
import pytest
from collector.scripted import SCRIPTED, Say, Scripted, ScriptedGrpc, ScriptedHttp, partly
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from support import Receiver, run_script, until

from scouter import BatchConfig, HttpConfig, MockConfig
from scouter.tracing import (
    GrpcSpanExporter,
    HttpSpanExporter,
    OtelExportConfig,
    StdoutSpanExporter,
    TestSpanExporter,
    TracerProvider,
)

EXPORTERS = {"http": HttpSpanExporter, "grpc": GrpcSpanExporter}
REFUSALS = [
    Say(400, grpc.StatusCode.INVALID_ARGUMENT, message="no"),
    Say(403, grpc.StatusCode.PERMISSION_DENIED, message="no"),
    Say(501, grpc.StatusCode.UNIMPLEMENTED, message="no"),
    Say(500, grpc.StatusCode.INTERNAL, message="no"),
]
PASSING = [
    Say(503, grpc.StatusCode.UNAVAILABLE, message="later"),
    Say(502, grpc.StatusCode.ABORTED, message="later"),
    Say(504, grpc.StatusCode.DEADLINE_EXCEEDED, message="later"),
]


@pytest.fixture(params=["http", "grpc"])
def protocol(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def collector(protocol: str) -> Iterator[Scripted]:
    receiver = SCRIPTED[protocol]()
    yield receiver
    receiver.close()


def provider_to(collector: Scripted, protocol: str, **options: object) -> TracerProvider:
    """A provider that keeps Scouter's share in memory and sends to the collector too."""
    batch = options.pop("batch_config", None)
    exporter = EXPORTERS[protocol](export_config=OtelExportConfig(endpoint=collector.uri, **options))
    return TracerProvider(transport_config=MockConfig(), exporter=exporter, batch_config=batch)


def send(provider: TracerProvider, *names: str) -> None:
    tracer = provider.get_tracer("rows")
    for name in names:
        tracer.start_span(name).end()
    provider.force_flush(20_000)


class Own(SpanExporter):
    """A user's exporter."""

    def __init__(self) -> None:
        self.spans: list[ReadableSpan] = []
        self.flushes = self.shutdowns = 0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.spans += spans
        return SpanExportResult.SUCCESS

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        self.flushes += 1
        return True

    def shutdown(self) -> None:
        self.shutdowns += 1


def test_m136_exporter_interface() -> None:
    own = Own()
    provider = TracerProvider(transport_config=MockConfig(), exporter=own)
    send(provider, "one", "two")
    assert [span.name for span in own.spans] == ["one", "two"]
    assert provider.shutdown()
    assert own.shutdowns == 1


def test_m137_exporter_interface_has_force_flush() -> None:
    own = Own()
    provider = TracerProvider(transport_config=MockConfig(), exporter=own)
    send(provider, "one")
    assert own.flushes >= 1
    provider.shutdown()


def test_m138_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    provider = TracerProvider(transport_config=MockConfig(), exporter=StdoutSpanExporter())
    send(provider, "one")
    assert json.loads(capsys.readouterr().out)["name"] == "one"
    provider.shutdown()


def test_m139_in_memory() -> None:
    kept = TestSpanExporter()
    provider = TracerProvider(transport_config=MockConfig(), exporter=kept)
    provider.get_tracer("rows").start_span("one").end()
    assert [span.name for span in kept.spans] == ["one"]
    provider.shutdown()


def test_m140_otlp_grpc_exporter() -> None:
    collector = ScriptedGrpc()
    provider = provider_to(collector, "grpc")
    send(provider, "one")
    assert collector.names == ["one"]
    provider.shutdown()
    collector.close()


def test_m141_otlp_http_binary_protobuf_exporter() -> None:
    collector = ScriptedHttp()
    provider = provider_to(collector, "http")
    send(provider, "one")
    assert collector.names == ["one"]
    assert collector.metadata[0]["content-type"] == "application/x-protobuf"
    provider.shutdown()
    collector.close()


class Plain:
    """An HTTP receiver that keeps bodies as they came, and answers with what it is given."""

    def __init__(self, answer: bytes = b"{}") -> None:
        receiver = self
        self.bodies: list[bytes] = []
        self.types: list[str] = []

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                receiver.bodies.append(self.rfile.read(int(self.headers["content-length"])))
                receiver.types.append(self.headers["content-type"])
                self.send_response(200)
                self.send_header("content-type", self.headers["content-type"])
                self.send_header("content-length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            def handle_error(self, *_: object) -> None:
                """A sender may go away before it has read all of a huge answer."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self.uri = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def test_m142_otlp_http_json_exporter(monkeypatch: pytest.MonkeyPatch) -> None:
    collector = Plain()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/json")
    exporter = HttpSpanExporter(export_config=OtelExportConfig(endpoint=collector.uri))
    provider = TracerProvider(transport_config=MockConfig(), exporter=exporter)
    span = provider.get_tracer("rows").start_span("one", attributes={"count": 2**60, "ok": True})
    span.end()
    assert provider.shutdown()
    collector.close()
    assert collector.types == ["application/json"]
    sent = json.loads(collector.bodies[0])["resourceSpans"][0]["scopeSpans"][0]["spans"][0]
    # OTLP, "JSON Protobuf Encoding": ids are hex, 64-bit numbers are text, enumerations are numbers.
    assert (sent["traceId"], sent["spanId"], sent["name"], sent["kind"]) == (span.trace_id, span.span_id, "one", 1)
    values = {pair["key"]: pair["value"] for pair in sent["attributes"]}
    assert values == {"count": {"intValue": str(2**60)}, "ok": {"boolValue": True}}


def test_m143_gzip_content_encoding(receiver: Receiver) -> None:
    exporter = HttpSpanExporter(export_config=OtelExportConfig(endpoint=receiver.uri, compression="gzip"))
    provider = TracerProvider(transport_config=MockConfig(), exporter=exporter)
    send(provider, "one")
    assert receiver.names == ["one"]
    assert receiver.headers[0]["content-encoding"] == "gzip"
    provider.shutdown()


def test_m144_request_size_limit(collector: Scripted, protocol: str) -> None:
    collector.script += [Say(413, grpc.StatusCode.RESOURCE_EXHAUSTED, message="received message larger than max")]
    provider = provider_to(collector, protocol)
    send(provider, "a", "b", "c", "d")
    # What is too large for the receiver comes again in two parts.
    assert sorted(collector.names) == ["a", "b", "c", "d"]
    assert len(collector.attempts) == 3
    provider.shutdown()


def test_m145_response_size_limit() -> None:
    collector = Plain(b"x" * (5 << 20))
    exporter = HttpSpanExporter(export_config=OtelExportConfig(endpoint=collector.uri))
    provider = TracerProvider(transport_config=MockConfig(), exporter=exporter)
    send(provider, "one")
    stats = provider.stats()["destinations"]["otel"]
    assert (stats["exported"], sum(stats["dropped"].values())) in {(1, 0), (0, 1)}
    assert "4" in stats["last_error"]
    provider.shutdown()
    collector.close()


def test_m146_concurrent_sending(collector: Scripted, protocol: str) -> None:
    collector.always = Say(hang=True)
    batch = BatchConfig(max_export_batch_size=1, scheduled_delay_ms=1)
    provider = provider_to(collector, protocol, batch_config=batch)
    tracer = provider.get_tracer("rows")
    for i in range(3):
        tracer.start_span(f"{i}").end()
    # None of them is answered, so they are on their way at the same time.
    until("three requests at once", lambda: len(collector.attempts) == 3)
    provider.shutdown(1)


@pytest.mark.parametrize("say", PASSING, ids=["503", "502", "504"])
def test_m147_retryable_responses_with_backoff(collector: Scripted, protocol: str, say: Say) -> None:
    collector.script += [say]
    provider = provider_to(collector, protocol)
    send(provider, "one")
    assert collector.names == ["one"]
    assert len(collector.attempts) == 2
    provider.shutdown()


@pytest.mark.parametrize("say", REFUSALS, ids=["400", "403", "501", "500"])
def test_m148_non_retryable_responses(collector: Scripted, protocol: str, say: Say) -> None:
    collector.script += [say]
    provider = provider_to(collector, protocol)
    send(provider, "lost")
    send(provider, "next")
    assert collector.names == ["next"]
    assert len(collector.attempts) == 2
    assert sum(provider.stats()["destinations"]["otel"]["dropped"].values()) == 1
    provider.shutdown()


def test_m149_throttling_response(collector: Scripted, protocol: str) -> None:
    collector.script += [Say(429, grpc.StatusCode.RESOURCE_EXHAUSTED, delay=0.4, message="slow down")]
    provider = provider_to(collector, protocol)
    send(provider, "one")
    assert collector.names == ["one"]
    assert collector.times[1] - collector.times[0] >= 0.4
    provider.shutdown()


def test_m150_multiple_destinations() -> None:
    over_http, over_grpc, own = ScriptedHttp(), ScriptedGrpc(), Own()
    kept = MockConfig()
    provider = TracerProvider(
        transport_config=kept,
        exporter=[
            HttpSpanExporter(export_config=OtelExportConfig(endpoint=over_http.uri, headers={"x-team": "a"})),
            GrpcSpanExporter(export_config=OtelExportConfig(endpoint=over_grpc.uri, headers={"x-team": "b"})),
            own,
        ],
    )
    over_http.always = Say(400, message="never")
    send(provider, "one")
    assert over_grpc.names == [span.name for span in own.spans] == [span["name"] for span in kept.spans] == ["one"]
    assert [receiver.metadata[0]["x-team"] for receiver in (over_http, over_grpc)] == ["a", "b"]
    provider.shutdown()
    over_http.close()
    over_grpc.close()


def test_m151_schema_url_in_resource_spans_and_scope_spans() -> None:
    from opentelemetry.sdk.resources import Resource

    config = MockConfig()
    provider = TracerProvider(transport_config=config, resource=Resource({"a": 1}, "https://example.com/resource"))
    provider.get_tracer("rows", schema_url="https://example.com/scope").start_span("one").end()
    assert provider.shutdown()
    (resource,) = ExportTraceServiceRequest.FromString(config.requests[0]).resource_spans
    assert resource.schema_url == "https://example.com/resource"
    assert resource.scope_spans[0].schema_url == "https://example.com/scope"


def test_m154_user_agent(collector: Scripted, protocol: str) -> None:
    provider = provider_to(collector, protocol)
    send(provider, "one")
    # OTLP exporter, "User Agent": the exporter's name, its language and its version.
    assert collector.metadata[0]["user-agent"].startswith("OTel-OTLP-Exporter-")
    provider.shutdown()


PARTIAL = """
    import logging, sys
    from scouter import MockConfig
    from scouter.tracing import GrpcSpanExporter, HttpSpanExporter, OtelExportConfig, TracerProvider

    logging.basicConfig(stream=sys.stdout, format="%(levelname)s %(name)s %(message)s")
    exporter = {"http": HttpSpanExporter, "grpc": GrpcSpanExporter}[sys.argv[1]]
    exporter = exporter(export_config=OtelExportConfig(endpoint=sys.argv[2]))
    provider = TracerProvider(transport_config=MockConfig(), exporter=exporter)
    tracer = provider.get_tracer("rows")
    tracer.start_span("one").end()
    tracer.start_span("two").end()
    provider.force_flush()
    stats = provider.stats()["destinations"]["otel"]
    print(stats["exported"], sum(stats["dropped"].values()), stats["requests"])
    provider.shutdown()
"""


def partial_success(protocol: str, folder: Path) -> None:
    """In a process of its own, as the same is logged once a minute only."""
    collector = SCRIPTED[protocol]()
    collector.script += [partly(1, "one was too old")]
    done = run_script(folder, PARTIAL, protocol, collector.uri)
    collector.close()
    logged, counted = done.stdout.splitlines()
    assert logged.startswith("WARNING scouter otel: ")
    assert "one was too old" in logged
    assert counted == "1 1 1"
    assert done.stderr == ""


def test_m155_partial_success_over_grpc(tmp_path: Path) -> None:
    partial_success("grpc", tmp_path)


def test_m156_partial_success_over_http(tmp_path: Path) -> None:
    partial_success("http", tmp_path)


def test_scouter_itself_is_an_otlp_destination() -> None:
    """The rows hold for the destination that is always there, too."""
    receiver = ScriptedHttp()
    receiver.script += [PASSING[0]]
    provider = TracerProvider(transport_config=HttpConfig(receiver.uri))
    send(provider, "one")
    assert receiver.names == ["one"]
    provider.shutdown()
    receiver.close()
