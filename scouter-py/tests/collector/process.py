"""A real OpenTelemetry collector in a process of its own."""

from __future__ import annotations

import socket
import subprocess
import sys
import tempfile
from pathlib import Path

from opentelemetry.proto.trace.v1 import trace_pb2
from support import Receiver, clean_environment, until

from .comparison import Exported, exported

PROVIDER = Path(__file__).parents[3] / "scripts" / "collector.py"


class Collector:
    """Takes OTLP over gRPC and HTTP, and hands on what it took, over HTTP, to a receiver of the test."""

    def __init__(self) -> None:
        provided = subprocess.run([sys.executable, str(PROVIDER)], capture_output=True, text=True, check=False)
        assert provided.returncode == 0, provided.stderr
        self.receiver = Receiver()
        self._folder = tempfile.TemporaryDirectory()
        self._program = provided.stdout.strip()
        self._start()

    def _start(self) -> None:
        # Ports are free when they are looked for. Somebody else may take one before the collector does.
        for _ in range(5):
            self.grpc_port, self.http_port = free_ports(2)
            log = Path(self._folder.name) / "log"
            with log.open("wb") as output:
                self.process = subprocess.Popen(
                    self._command(), env=clean_environment(), stdin=subprocess.DEVNULL, stdout=output, stderr=output
                )
            if until("the collector listens", self._listens_or_ended) == "listens":
                return
        raise AssertionError(f"the collector does not start: {log.read_text()}")

    def _command(self) -> list[str]:
        options = {
            "otlp-grpc-endpoint": f"127.0.0.1:{self.grpc_port}",
            "otlp-http-endpoint": f"127.0.0.1:{self.http_port}",
            "exporter": "otlp",
            "otlp-exporter-endpoint": self.receiver.uri,
            "otlp-exporter-protocol": "http",
            "otlp-exporter-compression": "none",
            "otlp-exporter-traces-batch-timeout": "50ms",
            # A batch that it has to split loses the resource of one half.
            "otlp-exporter-traces-batch-max-size": "1000000",
            "pid-file": f"{self._folder.name}/pid",
            "log-file": f"{self._folder.name}/own-log",
        }
        return [self._program, "start", *(f"--{name}={value}" for name, value in options.items())]

    def _listens_or_ended(self) -> str | None:
        if self.process.poll() is not None:
            return "ended"
        return "listens" if all(map(_is_open, (self.grpc_port, self.http_port))) else None

    def port(self, protocol: str) -> int:
        return self.grpc_port if protocol == "grpc" else self.http_port

    def endpoint(self, protocol: str) -> str:
        return f"http://127.0.0.1:{self.port(protocol)}"

    def spans(self, *trace_ids: str) -> list[Exported]:
        """What came out of the collector, of these traces, in no order."""
        return [span for span in exported(list(self.receiver.requests)) if span.trace_id in trace_ids]

    def trace(self, trace_id: str, count: int) -> list[Exported]:
        """The spans of a trace, once that many have come out of the collector."""

        def complete() -> list[Exported] | None:
            spans = self.spans(trace_id)
            assert len(spans) <= count, [span.name for span in spans]
            return spans if len(spans) == count else None

        return until(f"{count} spans of {trace_id} from the collector", complete)

    def raw_span(self, span_id: str) -> trace_pb2.Span:
        (span,) = [span for span in self.receiver.spans if span.span_id.hex() == span_id]
        return span

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.receiver.close()
        self._folder.cleanup()


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [found.getsockname()[1] for found in sockets]
    for found in sockets:
        found.close()
    return ports


def _is_open(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
