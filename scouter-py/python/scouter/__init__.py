"""Scouter: OpenTelemetry-compatible distributed tracing.

Two lines set a program up; everything that speaks OpenTelemetry in it then sends its spans to Scouter::

    from scouter.tracing import ScouterInstrumentor

    ScouterInstrumentor().instrument(attributes={"service.name": "my-service"})

Names are loaded when they are first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .batch import BatchConfig
    from .client import ScouterClient
    from .errors import (
        ConfigError,
        ConfigTypeError,
        ConnectionFailedError,
        NotFoundError,
        ProfileNotFoundError,
        ScouterError,
        ServerError,
        TimeoutExceededError,
        UnknownAliasError,
    )
    from .filters import RecordFilters, TagFilters, TraceFilters
    from .records import Entity, Record, RecordPage, Tag
    from .traces import SpanEvent, SpanLink, Trace, TracePage, TraceSpan, TraceSummary
    from .transport import CompressionType, GrpcConfig, HttpConfig, KafkaConfig, MockConfig, RabbitMQConfig

    __version__: str

__all__ = [
    "BatchConfig",
    "CompressionType",
    "ConfigError",
    "ConfigTypeError",
    "ConnectionFailedError",
    "Entity",
    "GrpcConfig",
    "HttpConfig",
    "KafkaConfig",
    "MockConfig",
    "NotFoundError",
    "ProfileNotFoundError",
    "RabbitMQConfig",
    "Record",
    "RecordFilters",
    "RecordPage",
    "ScouterClient",
    "ScouterError",
    "ServerError",
    "SpanEvent",
    "SpanLink",
    "Tag",
    "TagFilters",
    "TimeoutExceededError",
    "Trace",
    "TraceFilters",
    "TracePage",
    "TraceSpan",
    "TraceSummary",
    "UnknownAliasError",
    "__version__",
]

_HOMES = {
    "BatchConfig": "batch",
    **dict.fromkeys(
        ("CompressionType", "GrpcConfig", "HttpConfig", "KafkaConfig", "MockConfig", "RabbitMQConfig"), "transport"
    ),
    "ScouterClient": "client",
    **dict.fromkeys(("RecordFilters", "TagFilters", "TraceFilters"), "filters"),
    **dict.fromkeys(("Entity", "Record", "RecordPage", "Tag"), "records"),
    **dict.fromkeys(("SpanEvent", "SpanLink", "Trace", "TracePage", "TraceSpan", "TraceSummary"), "traces"),
    **dict.fromkeys(
        (
            "ConfigError",
            "ConfigTypeError",
            "ConnectionFailedError",
            "NotFoundError",
            "ProfileNotFoundError",
            "ScouterError",
            "ServerError",
            "TimeoutExceededError",
            "UnknownAliasError",
        ),
        "errors",
    ),
}


def _refuse_subinterpreters() -> None:
    """The native part has one state for the process, which a second interpreter must not share."""
    for name in ("_interpreters", "_xxsubinterpreters"):
        try:
            interpreters = import_module(name)
        except ImportError:
            continue
        if interpreters.get_current() != interpreters.get_main():
            raise ImportError(
                "scouter works in the main interpreter only, and this is a subinterpreter: trace there, "
                "or use a process instead of an interpreter"
            )
        return


_refuse_subinterpreters()


def __getattr__(name: str) -> object:
    if name == "__version__":
        from importlib.metadata import version

        return version(__name__)
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
