"""The optional second destination: an OpenTelemetry collector."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike
from typing import Any, ClassVar, TypeAlias

from .. import arguments
from ..network import CompressionType, Destination

__all__ = ["GrpcSpanExporter", "HttpSpanExporter", "OtelExportConfig", "SpanExporterConfig"]


@dataclass(frozen=True, slots=True, init=False, repr=False)
class OtelExportConfig(Destination):
    """Where the collector is and how to talk to it. What is left out comes from the ``OTEL_EXPORTER_OTLP_*`` variables.

    Args:
        endpoint: The collector's address. Over HTTP, one without a path gets ``/v1/traces`` appended.
        headers: Sent with every request.
        timeout: How long one request may take, in seconds.
        compression: How requests are compressed.
        username: For basic authentication, with ``password``.
        password: For basic authentication, with ``username``.
        auth_token: Sent as ``Authorization: Bearer …``.
        ca_file: A PEM file with the authorities to trust instead of the system's.
        certificate_file: A PEM file with the client's certificate, with ``key_file``.
        key_file: A PEM file with the key of the client's certificate.
    """

    endpoint: str | None = None

    def __init__(
        self,
        endpoint: str | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
        compression: CompressionType | str | None = None,
        username: str | None = None,
        password: str | None = None,
        auth_token: str | None = None,
        ca_file: str | PathLike[str] | None = None,
        certificate_file: str | PathLike[str] | None = None,
        key_file: str | PathLike[str] | None = None,
    ) -> None:
        object.__setattr__(self, "endpoint", endpoint)
        Destination.__init__(
            self, username, password, auth_token, headers, compression, timeout, ca_file, certificate_file, key_file
        )

    def _exporter(self, kind: str) -> dict[str, Any]:
        return self._settings(kind, self.endpoint)


@dataclass(frozen=True, slots=True)
class SpanExporterConfig:
    """What :class:`HttpSpanExporter` and :class:`GrpcSpanExporter` have in common.

    Args:
        batch_export: Whether spans are sent in batches, the default, or one by one as they end.
        export_config: Where the collector is.
        sample_ratio: What share of the traces goes to the collector, from 0.0 to 1.0. Whole traces are kept or left out.
            A ``sample_ratio`` given to ``instrument()`` wins.
    """

    batch_export: bool = True
    export_config: OtelExportConfig | None = None
    sample_ratio: float | None = None

    _KIND: ClassVar[str] = ""

    def __post_init__(self) -> None:
        arguments.flag("batch_export", self.batch_export)
        if self.export_config is not None:
            arguments.instance("export_config", self.export_config, OtelExportConfig, "an OtelExportConfig")
        if self.sample_ratio is not None:
            object.__setattr__(self, "sample_ratio", arguments.ratio("sample_ratio", self.sample_ratio))

    def _exporter(self) -> dict[str, Any]:
        settings = (self.export_config or OtelExportConfig())._exporter(self._KIND)
        return {**settings, "sample_ratio": self.sample_ratio, "batch": self.batch_export, "content": "protobuf"}


@dataclass(frozen=True, slots=True)
class HttpSpanExporter(SpanExporterConfig):
    """Sends every span to an OpenTelemetry collector too, over HTTP (default address ``http://localhost:4318``).

    Args:
        batch_export: Whether spans are sent in batches, the default, or one by one as they end.
        export_config: Where the collector is.
        sample_ratio: What share of the traces goes to the collector, from 0.0 to 1.0. Whole traces are kept or left out.
            A ``sample_ratio`` given to ``instrument()`` wins.
    """

    _KIND: ClassVar[str] = "http"


@dataclass(frozen=True, slots=True)
class GrpcSpanExporter(SpanExporterConfig):
    """Sends every span to an OpenTelemetry collector too, over gRPC (default address ``http://localhost:4317``).

    Args:
        batch_export: Whether spans are sent in batches, the default, or one by one as they end.
        export_config: Where the collector is.
        sample_ratio: What share of the traces goes to the collector, from 0.0 to 1.0. Whole traces are kept or left out.
            A ``sample_ratio`` given to ``instrument()`` wins.
    """

    _KIND: ClassVar[str] = "grpc"


ExporterConfig: TypeAlias = HttpSpanExporter | GrpcSpanExporter
"""What ``exporter`` may be."""
