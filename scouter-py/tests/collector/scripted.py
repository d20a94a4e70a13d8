"""Receivers of OTLP that answer as a script says, over both protocols and in the same words."""

from __future__ import annotations

import gzip
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import grpc
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2, status_pb2
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1 import trace_pb2

from .comparison import Exported, exported

METHOD = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
NONSENSE = b"\xff<html>this is no answer</html>"


@dataclass(frozen=True)
class Say:
    """One answer. As numbers the protocols' own codes; whichever receiver gets this takes what it understands."""

    http: int = 200
    code: grpc.StatusCode = grpc.StatusCode.OK
    delay: float | None = None
    """Seconds that the sender is asked to wait: ``Retry-After``, or ``RetryInfo``."""
    message: str = ""
    body: bytes = b""
    hang: bool = False
    """No answer until the receiver is closed."""


UNAVAILABLE = Say(503, grpc.StatusCode.UNAVAILABLE, message="come back later")
THROTTLED = Say(429, grpc.StatusCode.RESOURCE_EXHAUSTED, delay=0.2, message="slow down")
INVALID = Say(400, grpc.StatusCode.INVALID_ARGUMENT, message="that is nothing")
UNAUTHENTICATED = Say(401, grpc.StatusCode.UNAUTHENTICATED, message="who are you")
TOO_LARGE = Say(413, grpc.StatusCode.RESOURCE_EXHAUSTED, message="received message larger than max (5 vs. 4)")
HANG = Say(hang=True)
NO_SENSE = Say(body=NONSENSE)


def partly(rejected: int, message: str) -> Say:
    answer = ExportTraceServiceResponse()
    answer.partial_success.rejected_spans = rejected
    answer.partial_success.error_message = message
    return Say(body=answer.SerializeToString())


class Scripted:
    """What both receivers have in common. Without a script left every request is taken."""

    port: int

    def __init__(self) -> None:
        self.times: list[float] = []
        """When each request came."""
        self.script: list[Say] = []
        self.always: Say | None = None
        """What to say when the script is at its end; ``None`` takes."""
        self.attempts: list[ExportTraceServiceRequest] = []
        """Every request, also those that were turned away."""
        self.taken: list[ExportTraceServiceRequest] = []
        self.metadata: list[dict[str, str]] = []
        """Headers, or metadata, of every request; over HTTP also its path, as ``:path``."""
        self._lock = threading.Lock()
        self._closing = threading.Event()

    def _next(self, body: bytes, metadata: dict[str, str]) -> Say | None:
        request = ExportTraceServiceRequest.FromString(body)
        with self._lock:
            self.times.append(time.monotonic())
            self.attempts.append(request)
            self.metadata.append(metadata)
            say = self.script.pop(0) if self.script else self.always
            if say is None or (say.http == 200 and not say.hang):
                self.taken.append(request)
        if say is not None and say.hang:
            self._closing.wait()
        return say

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def spans(self) -> list[Exported]:
        return exported(list(self.taken))

    @property
    def raw(self) -> list[trace_pb2.Span]:
        return [
            span
            for request in list(self.taken)
            for of_resource in request.resource_spans
            for scope in of_resource.scope_spans
            for span in scope.spans
        ]

    @property
    def names(self) -> list[str]:
        return [span.name for span in self.raw]

    def close(self) -> None:
        raise NotImplementedError


class ScriptedHttp(Scripted):
    def __init__(self, port: int = 0) -> None:
        super().__init__()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                if self.headers.get("content-encoding") == "gzip":
                    body = gzip.decompress(body)
                headers = {name.lower(): value for name, value in self.headers.items()}
                say = receiver._next(body, {":path": self.path, **headers}) or Say()
                if say.hang:
                    self.close_connection = True
                    return
                answer = say.body or (
                    status_pb2.Status(message=say.message).SerializeToString() if say.message else b""
                )
                self.send_response(say.http)
                self.send_header("content-type", "text/html" if answer == NONSENSE else "application/x-protobuf")
                self.send_header("content-length", str(len(answer)))
                if say.delay is not None:
                    self.send_header("retry-after", str(round(say.delay + 0.49)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            block_on_close = False

            def handle_error(self, *_: object) -> None:
                """Senders that go away in the middle are part of the game."""

        self._server = Server(("127.0.0.1", port), Handler)
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class ScriptedGrpc(Scripted):
    def __init__(self, port: int = 0) -> None:
        super().__init__()
        handler = grpc.method_handlers_generic_handler(
            METHOD[1:].rpartition("/")[0], {"Export": grpc.unary_unary_rpc_method_handler(self._export)}
        )
        self._server = grpc.server(ThreadPoolExecutor(16), handlers=[handler])
        self.port = self._server.add_insecure_port(f"127.0.0.1:{port}")
        self._server.start()

    def _export(self, body: bytes, context: Any) -> bytes:
        say = self._next(body, dict(context.invocation_metadata())) or Say()
        if say.hang:
            context.abort(grpc.StatusCode.UNKNOWN, "the test is over")
        if say.code != grpc.StatusCode.OK:
            if say.delay is not None:
                context.set_trailing_metadata([("grpc-status-details-bin", _retry_info(say))])
            context.abort(say.code, say.message)
        return say.body

    def close(self) -> None:
        self._closing.set()
        self._server.stop(0).wait()


def _retry_info(say: Say) -> bytes:
    status = status_pb2.Status(code=say.code.value[0], message=say.message)
    delay = Duration()
    delay.FromNanoseconds(int((say.delay or 0) * 1e9))
    status.details.add().Pack(error_details_pb2.RetryInfo(retry_delay=delay))
    return status.SerializeToString()


SCRIPTED: dict[str, Callable[..., Scripted]] = {"http": ScriptedHttp, "grpc": ScriptedGrpc}
