"""What several tests need: a real server, a receiver of OTLP, scripts in processes of their own, waiting."""

from __future__ import annotations

import gzip
import os
import re
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, TypeVar

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.logs.v1 import logs_pb2
from opentelemetry.proto.trace.v1 import trace_pb2

from scouter import HttpConfig, MockConfig, NotFoundError, ScouterClient, TraceSpan
from scouter.tracing import ScouterTracer

T = TypeVar("T")


def until(what: str, check: Callable[[], T], seconds: float = 20.0) -> T:
    """Asks again and again until the answer is true."""
    deadline = time.monotonic() + seconds
    while True:
        answer = check()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {seconds} s, last answer {answer!r}")
        time.sleep(0.02)


@dataclass
class Kept:
    """A tracer whose spans stay in memory."""

    config: MockConfig
    tracer: ScouterTracer

    def spans(self) -> list[dict[str, Any]]:
        assert self.tracer.flush(10_000)
        return self.config.spans

    def span(self, name: str | None = None) -> dict[str, Any]:
        """The only span, or the only one of this name."""
        found = [span for span in self.spans() if name in (None, span["name"])]
        assert len(found) == 1, [span["name"] for span in self.spans()]
        return found[0]


class Server:
    """A real Scouter server in a process of its own."""

    def __init__(self, directory: Path, port: int = 0, *arguments: str) -> None:
        self.directory = directory
        self._arguments = arguments
        self._start(port)

    def _start(self, port: int) -> None:
        self._log = self.directory.with_name(f"{self.directory.name}-{time.monotonic_ns()}.log")
        command = [sys.executable, "-m", "scouter", "server", "--listen", f"127.0.0.1:{port}"]
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [*command, "--directory", str(self.directory), *self._arguments],
                env=clean_environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self.uri = until("the server listens", self._listening)
        self.port = int(self.uri.rpartition(":")[2])

    def _listening(self) -> str | None:
        output = self._log.read_text()
        assert self.process.poll() is None, f"the server ended: {output}"
        found = re.search(r"listening on (http://\S+)", output)
        return found and found[1]

    @property
    def client(self) -> ScouterClient:
        return ScouterClient(HttpConfig(uri=self.uri))

    def trace(self, trace_id: str, count: int) -> tuple[TraceSpan, ...]:
        """The spans of a trace, once there are that many."""

        def complete() -> tuple[TraceSpan, ...] | None:
            try:
                spans = self.client.get_trace(trace_id).spans
            except NotFoundError:
                return None
            assert len(spans) <= count, [span.name for span in spans]
            return spans if len(spans) == count else None

        return until(f"{count} spans of {trace_id}", complete)

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self) -> int:
        if self.process.poll() is None:
            self.process.terminate()
        return self.process.wait(20)

    def restart(self) -> None:
        """Starts again, on the same directory and port."""
        self._start(self.port)


@dataclass
class Receiver:
    """An OTLP/HTTP receiver that keeps what it gets."""

    requests: list[ExportTraceServiceRequest] = field(default_factory=list)
    record_requests: list[ExportLogsServiceRequest] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    """What to answer next; 200 when empty."""

    def __post_init__(self) -> None:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                status = receiver.statuses.pop(0) if receiver.statuses else 200
                if status == 200:
                    if self.headers.get("content-encoding") == "gzip":
                        body = gzip.decompress(body)
                    receiver.paths.append(self.path)
                    receiver.headers.append({name.lower(): value for name, value in self.headers.items()})
                    if self.path.endswith("/v1/logs"):
                        receiver.record_requests.append(ExportLogsServiceRequest.FromString(body))
                    else:
                        receiver.requests.append(ExportTraceServiceRequest.FromString(body))
                self.send_response(status)
                self.send_header("content-type", "application/x-protobuf")
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.uri = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    @property
    def spans(self) -> list[trace_pb2.Span]:
        return [
            span
            for request in list(self.requests)
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    @property
    def records(self) -> list[logs_pb2.LogRecord]:
        return [
            record
            for request in list(self.record_requests)
            for resource in request.resource_logs
            for scope in resource.scope_logs
            for record in scope.log_records
        ]

    @property
    def numbers(self) -> list[int]:
        """The first value of each record."""
        return [record.body.kvlist_value.values[0].value.int_value for record in self.records]

    @property
    def names(self) -> list[str]:
        return [span.name for span in self.spans]

    @property
    def services(self) -> set[str]:
        return {
            attribute.value.string_value
            for request in list(self.requests)
            for resource in request.resource_spans
            for attribute in resource.resource.attributes
            if attribute.key == "service.name"
        }

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def clean_environment(**additions: str) -> dict[str, str]:
    """The environment without what would set tracing up."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "SCOUTER_"))}
    return {**kept, **additions}


def run_script(
    folder: Path, script: str, *arguments: str, environment: dict[str, str] | None = None, seconds: float = 60.0
) -> subprocess.CompletedProcess[str]:
    """Runs a Python script in a process of its own, to its end."""
    file = folder / f"script_{time.monotonic_ns()}.py"
    file.write_text(textwrap.dedent(script))
    return subprocess.run(
        [sys.executable, str(file), *arguments],
        env=clean_environment(**(environment or {})),
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
