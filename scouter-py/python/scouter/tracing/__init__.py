"""Tracing: set-up, spans, propagation.

The recommended set-up is two lines, and everything in the process that speaks OpenTelemetry sends its spans to Scouter::

    from opentelemetry import trace
    from scouter.tracing import ScouterInstrumentor

    ScouterInstrumentor().instrument(attributes={"service.name": "my-service"})
    tracer = trace.get_tracer("my-service")

Names are loaded when they are first used.
"""

from __future__ import annotations

import logging
import os
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .._scouter import FinishedSpan
    from .._scouter import Span as ScouterSpan
    from .._scouter import Tracer as ScouterTracer
    from ..batch import BatchConfig
    from .capture import (
        disable_local_capture,
        drain_local_spans,
        enable_local_capture,
        get_local_spans_by_trace_ids,
    )
    from .environment import EnvironmentGetter, EnvironmentSetter, context_from_environment, environment_for_child
    from .exporters import (
        GrpcSpanExporter,
        HttpSpanExporter,
        OtelExportConfig,
        StdoutSpanExporter,
        TestSpanExporter,
    )
    from .instrumentor import ScouterInstrumentor, instrument, uninstrument
    from .kinds import SpanKind
    from .manual import flush_tracer, get_tracer, init_tracer, shutdown_tracer
    from .middleware import ScouterTracingMiddleware
    from .opencensus import OpenCensusBinaryPropagator
    from .propagation import (
        BaggagePropagator,
        BaggageValue,
        TraceContextPropagator,
        extract_span_context_from_headers,
        get_tracing_headers_from_current_span,
    )
    from .provider import TracerProvider
    from .provider import TracerProvider as ScouterTracerProvider

__all__ = [
    "BaggagePropagator",
    "BaggageValue",
    "BatchConfig",
    "EnvironmentGetter",
    "EnvironmentSetter",
    "FinishedSpan",
    "GrpcSpanExporter",
    "HttpSpanExporter",
    "OpenCensusBinaryPropagator",
    "OtelExportConfig",
    "ScouterInstrumentor",
    "ScouterSpan",
    "ScouterTracer",
    "ScouterTracerProvider",
    "ScouterTracingMiddleware",
    "SpanKind",
    "StdoutSpanExporter",
    "TestSpanExporter",
    "TraceContextPropagator",
    "TracerProvider",
    "context_from_environment",
    "disable_local_capture",
    "drain_local_spans",
    "enable_local_capture",
    "environment_for_child",
    "extract_span_context_from_headers",
    "flush_tracer",
    "get_local_spans_by_trace_ids",
    "get_tracer",
    "get_tracing_headers_from_current_span",
    "init_tracer",
    "instrument",
    "shutdown_tracer",
    "uninstrument",
]

# Name: the module it lives in, and what it is called there.
_HOMES = {
    "BaggagePropagator": (".propagation", "BaggagePropagator"),
    "BaggageValue": (".propagation", "BaggageValue"),
    "BatchConfig": ("..batch", "BatchConfig"),
    "EnvironmentGetter": (".environment", "EnvironmentGetter"),
    "EnvironmentSetter": (".environment", "EnvironmentSetter"),
    "FinishedSpan": (".._scouter", "FinishedSpan"),
    "GrpcSpanExporter": (".exporters", "GrpcSpanExporter"),
    "HttpSpanExporter": (".exporters", "HttpSpanExporter"),
    "OpenCensusBinaryPropagator": (".opencensus", "OpenCensusBinaryPropagator"),
    "OtelExportConfig": (".exporters", "OtelExportConfig"),
    "ScouterInstrumentor": (".instrumentor", "ScouterInstrumentor"),
    "ScouterSpan": (".._scouter", "Span"),
    "ScouterTracer": (".._scouter", "Tracer"),
    "ScouterTracerProvider": (".provider", "TracerProvider"),
    "ScouterTracingMiddleware": (".middleware", "ScouterTracingMiddleware"),
    "SpanKind": (".kinds", "SpanKind"),
    "StdoutSpanExporter": (".exporters", "StdoutSpanExporter"),
    "TestSpanExporter": (".exporters", "TestSpanExporter"),
    "TraceContextPropagator": (".propagation", "TraceContextPropagator"),
    "TracerProvider": (".provider", "TracerProvider"),
    "context_from_environment": (".environment", "context_from_environment"),
    "disable_local_capture": (".capture", "disable_local_capture"),
    "drain_local_spans": (".capture", "drain_local_spans"),
    "enable_local_capture": (".capture", "enable_local_capture"),
    "environment_for_child": (".environment", "environment_for_child"),
    "extract_span_context_from_headers": (".propagation", "extract_span_context_from_headers"),
    "flush_tracer": (".manual", "flush_tracer"),
    "get_local_spans_by_trace_ids": (".capture", "get_local_spans_by_trace_ids"),
    "get_tracer": (".manual", "get_tracer"),
    "get_tracing_headers_from_current_span": (".propagation", "get_tracing_headers_from_current_span"),
    "init_tracer": (".manual", "init_tracer"),
    "instrument": (".instrumentor", "instrument"),
    "shutdown_tracer": (".manual", "shutdown_tracer"),
    "uninstrument": (".instrumentor", "uninstrument"),
}

# What goes wrong inside is told to this logger, and printed only where the program has set logging up.
logging.getLogger("scouter").addHandler(logging.NullHandler())


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, attribute = _HOMES[name]
    value: object = getattr(import_module(module, __name__), attribute)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


# With the name of a propagator that is not installed in it, OpenTelemetry's own module, which all its instrumentations
# import, cannot be imported; ours imports it with what there is.
if os.environ.get("OTEL_PROPAGATORS"):
    import_module(".propagation", __name__)
