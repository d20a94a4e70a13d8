"""A real OpenTelemetry collector in a process of its own."""

from __future__ import annotations

import base64
import os
import socket
import subprocess
import sys
import tempfile
import textwrap
from abc import ABC, abstractmethod
from pathlib import Path

from google.protobuf import json_format
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from support import Receiver, clean_environment, until

from .comparison import Exported, exported
from .front import Front
from .tls import Authority

SCRIPTS = Path(__file__).parents[3] / "scripts"
PROTOCOLS = ("grpc", "http")


class Collector(ABC):
    """Takes OTLP over gRPC and HTTP, plain and behind TLS, and hands on what it took."""

    provider: list[str]
    """The command that prints where the collector's program is."""

    def __init__(self, authority: Authority) -> None:
        provided = subprocess.run(self.provider, capture_output=True, text=True, check=False)
        assert provided.returncode == 0, provided.stderr
        self._authority = authority
        self._folder = tempfile.TemporaryDirectory()
        self._program = provided.stdout.strip()
        self._start()

    def _start(self) -> None:
        log = Path(self._folder.name) / "log"
        # Ports are free when they are looked for. Somebody else may take one before the collector does.
        for _ in range(5):
            self._ports = self._choose_ports()
            with log.open("wb") as output:
                self.process = subprocess.Popen(
                    [self._program, *self._arguments(Path(self._folder.name))],
                    env=clean_environment(),
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                )
            if until("the collector listens", self._listens_or_ended) == "listens":
                return
        raise AssertionError(f"the collector does not start: {log.read_text()}")

    def _choose_ports(self) -> dict[tuple[str, str], int]:
        """By protocol and kind: ``plain``, ``tls``, ``mutual``."""
        return dict(zip([(protocol, "plain") for protocol in PROTOCOLS], free_ports(2), strict=True))

    @abstractmethod
    def _arguments(self, folder: Path) -> list[str]: ...

    @property
    @abstractmethod
    def requests(self) -> list[ExportTraceServiceRequest]:
        """Everything that came out so far."""

    @abstractmethod
    def behind_tls(self, protocol: str, client_certificates: bool) -> str:
        """An address where the authority's certificate is shown, and the client's wanted if so asked."""

    def _listens_or_ended(self) -> str | None:
        if self.process.poll() is not None:
            return "ended"
        return "listens" if all(map(_is_open, self._ports.values())) else None

    def endpoint(self, protocol: str) -> str:
        return f"http://127.0.0.1:{self._ports[protocol, 'plain']}"

    def spans(self, *trace_ids: str) -> list[Exported]:
        """What came out, of these traces, in no order."""
        return [span for span in exported(self.requests) if span.trace_id in trace_ids]

    def trace(self, trace_id: str, count: int) -> list[Exported]:
        """The spans of a trace, once that many have come out."""

        def complete() -> list[Exported] | None:
            spans = self.spans(trace_id)
            assert len(spans) <= count, [span.name for span in spans]
            return spans if len(spans) == count else None

        return until(f"{count} spans of {trace_id} from the collector", complete)

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._folder.cleanup()


class Rotel(Collector):
    """A small one, ready built. Hands on over HTTP; does not end TLS, so a front does, as a load balancer would."""

    provider = [sys.executable, str(SCRIPTS / "collector.py")]  # noqa: RUF012

    def __init__(self, authority: Authority) -> None:
        self._receiver = Receiver()
        self._fronts: list[Front] = []
        super().__init__(authority)

    def _arguments(self, folder: Path) -> list[str]:
        options = {
            "otlp-grpc-endpoint": f"127.0.0.1:{self._ports['grpc', 'plain']}",
            "otlp-http-endpoint": f"127.0.0.1:{self._ports['http', 'plain']}",
            "exporter": "otlp",
            "otlp-exporter-endpoint": self._receiver.uri,
            "otlp-exporter-protocol": "http",
            "otlp-exporter-compression": "none",
            "otlp-exporter-traces-batch-timeout": "50ms",
            # A batch that it has to split loses the resource of one half.
            "otlp-exporter-traces-batch-max-size": "1000000",
            "pid-file": f"{folder}/pid",
            "log-file": f"{folder}/own-log",
        }
        return ["start", *(f"--{name}={value}" for name, value in options.items())]

    @property
    def requests(self) -> list[ExportTraceServiceRequest]:
        return list(self._receiver.requests)

    def behind_tls(self, protocol: str, client_certificates: bool) -> str:
        context = self._authority.server_side(protocol, client_certificates)
        self._fronts.append(Front(self._ports[protocol, "plain"], context))
        return self._fronts[-1].uri

    def stop(self) -> None:
        for front in self._fronts:
            front.close()
        super().stop()
        self._receiver.close()


class Otelcol(Collector):
    """The one of the OpenTelemetry project. Writes what it takes into a file, as lines of JSON."""

    provider = [str(SCRIPTS / "interop-collector.sh")]  # noqa: RUF012

    def __init__(self, authority: Authority) -> None:
        self._read: list[ExportTraceServiceRequest] = []
        self._offset = 0
        super().__init__(authority)

    def _choose_ports(self) -> dict[tuple[str, str], int]:
        kinds = [(protocol, kind) for kind in ("plain", "tls", "mutual") for protocol in PROTOCOLS]
        return dict(zip(kinds, free_ports(len(kinds)), strict=True))

    def _arguments(self, folder: Path) -> list[str]:
        self._file = folder / "spans.json"
        config = folder / "config.yaml"
        config.write_text(
            textwrap.dedent("""\
            exporters:
              file: {path: %s, flush_interval: 20ms}
            service:
              telemetry: {metrics: {level: none}}
              pipelines:
                traces: {receivers: [otlp/plain, otlp/tls, otlp/mutual], exporters: [file]}
            receivers:
            """)
            % self._file
            + "".join(self._receiver_of(kind) for kind in ("plain", "tls", "mutual"))
        )
        return ["--config", f"file:{config}"]

    def _receiver_of(self, kind: str) -> str:
        files = {"cert_file": self._authority.server_certificate_file, "key_file": self._authority.server_key_file}
        if kind == "mutual":
            files["client_ca_file"] = self._authority.ca_file
        shown = ", ".join(f"{name}: {file}" for name, file in files.items())
        tls = "" if kind == "plain" else f", tls: {{{shown}}}"
        ends = [
            f"      {protocol}: {{endpoint: '127.0.0.1:{self._ports[protocol, kind]}'{tls}}}\n"
            for protocol in PROTOCOLS
        ]
        return f"  otlp/{kind}:\n    protocols:\n{''.join(ends)}"

    @property
    def requests(self) -> list[ExportTraceServiceRequest]:
        if self._file.exists():
            with self._file.open("rb") as file:
                file.seek(self._offset)
                for line in file:
                    # The last one may be half written.
                    if line.endswith(b"\n"):
                        self._read.append(_from_json(line))
                        self._offset += len(line)
        return list(self._read)

    def behind_tls(self, protocol: str, client_certificates: bool) -> str:
        return f"https://localhost:{self._ports[protocol, 'mutual' if client_certificates else 'tls']}"


def collector_of_this_run(authority: Authority) -> Collector:
    """``INTEROP_COLLECTOR=otelcol`` takes the collector of the OpenTelemetry project."""
    kinds = {"rotel": Rotel, "otelcol": Otelcol}
    return kinds[os.environ.get("INTEROP_COLLECTOR", "rotel")](authority)


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


def _from_json(line: bytes) -> ExportTraceServiceRequest:
    """OTLP's JSON is protobuf's, but that ids are in hexadecimal."""
    request = json_format.Parse(line, ExportTraceServiceRequest())
    for of_resource in request.resource_spans:
        for scope in of_resource.scope_spans:
            for span in scope.spans:
                span.parent_span_id = _hex(span.parent_span_id)
                for holder in (span, *span.links):
                    holder.trace_id, holder.span_id = _hex(holder.trace_id), _hex(holder.span_id)
    return request


def _hex(taken_for_base64: bytes) -> bytes:
    return bytes.fromhex(base64.b64encode(taken_for_base64).decode())
