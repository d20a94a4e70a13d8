"""The destinations beside Scouter: OpenTelemetry collectors, and every exporter there is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike
from typing import Any, ClassVar, TypeAlias

from .. import arguments
from ..network import CompressionType, Destination
from . import plugins
from .local_exporters import StdoutSpanExporter, TestSpanExporter
from .plugins import SpanExporterLike

__all__ = [
    "ExporterConfig",
    "GrpcSpanExporter",
    "HttpSpanExporter",
    "OtelExportConfig",
    "SpanExporterConfig",
    "StdoutSpanExporter",
    "TestSpanExporter",
]


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
        return {**settings, "name": "otel", "sample_ratio": self.sample_ratio, "batch": self.batch_export}


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


AnExporter: TypeAlias = SpanExporterConfig | StdoutSpanExporter | TestSpanExporter | SpanExporterLike
"""One exporter: of this package, or of the OpenTelemetry SDK."""

ExporterConfig: TypeAlias = AnExporter | list[AnExporter] | tuple[AnExporter, ...]
"""What ``exporter`` may be: one exporter, or several."""


def gather(given: ExporterConfig | None) -> list[dict[str, Any]] | None:
    """The settings of the exporters that code names, else ``OTEL_TRACES_EXPORTER``; ``None`` leaves it to the variables."""
    if given is None:
        return _from_environment()
    several = given if isinstance(given, (list, tuple)) else [given]
    return _with_names([_settings(exporter) for exporter in several])


def _settings(exporter: object) -> dict[str, Any]:
    if isinstance(exporter, (HttpSpanExporter, GrpcSpanExporter, StdoutSpanExporter, TestSpanExporter)):
        return exporter._exporter()
    expected = "HttpSpanExporter, GrpcSpanExporter, StdoutSpanExporter or TestSpanExporter, or any SpanExporter"
    checked: object = plugins.checked("exporter", exporter, SpanExporterLike, expected)  # type: ignore[type-abstract]
    return {"kind": "object", "object": checked, "name": type(checked).__name__}


def _with_names(exporters: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each with a name of its own, by which ``stats()`` tells them apart."""
    taken = {"scouter"}
    for exporter in exporters:
        name = first = exporter.get("name", "kept")
        number = 1
        while name in taken:
            number += 1
            name = f"{first}-{number}"
        taken.add(name)
        exporter["name"] = name
    return exporters


def types(settings: Mapping[str, Any]) -> dict[str, str]:
    """What kind of exporter each destination has, as OpenTelemetry names kinds; by the destination's name."""
    exporters = settings.get("exporters") or []
    given = [{"name": "scouter", **settings.get("transport", {"kind": "http"})}, *exporters]
    known = {"http": "otlp_http_span_exporter", "grpc": "otlp_grpc_span_exporter"}
    return {one["name"]: known.get(one["kind"]) or _class_of(one.get("object", one["kind"])) for one in given}


def _class_of(exporter: object) -> str:
    """The name of an exporter's class, with its module; a kind by itself."""
    kind = type(exporter)
    return exporter if isinstance(exporter, str) else f"{kind.__module__}.{kind.__qualname__}"


def _from_environment() -> list[dict[str, Any]] | None:
    names = [name.strip() for name in plugins.variable("OTEL_TRACES_EXPORTER").split(",") if name.strip()]
    if set(names) <= {"none", "otlp"}:
        return None
    exporters: list[dict[str, Any]] = []
    for name in dict.fromkeys(names):
        if name == "none":
            continue
        if name == "otlp":
            exporters.append(_otlp()._exporter())
        elif name == "console":
            exporters.append(StdoutSpanExporter()._exporter())
        else:
            found = plugins.named(
                SpanExporterLike,  # type: ignore[type-abstract]
                "opentelemetry_traces_exporter",
                "OTEL_TRACES_EXPORTER",
                name,
            )
            if found is not None:
                exporters.append(_settings(found))
    return _with_names(exporters)


def _otlp() -> SpanExporterConfig:
    protocol = plugins.variable("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL") or plugins.variable("OTEL_EXPORTER_OTLP_PROTOCOL")
    return GrpcSpanExporter() if protocol == "grpc" else HttpSpanExporter()
