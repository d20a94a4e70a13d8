"""The span that FastAPI itself opens for a request, where it does.

Newer versions of FastAPI trace requests on their own as soon as a tracer provider is set, outside of every middleware.
Without care a request would have two SERVER spans. So the middleware takes that span over where it stands inside of FastAPI,
and tells FastAPI that the request is taken care of where it stands outside.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

from opentelemetry import trace

from .. import _scouter
from .provider import TracerProvider, provider_of

# FastAPI's record of a request in the ASGI scope. `None` says that there is nothing for FastAPI to trace.
_KEY = "fastapi.telemetry"


def take_over(scope: MutableMapping[str, Any], tracer: trace.Tracer | None) -> _scouter.Span | None:
    """FastAPI's span for this request, if it goes where the tracer's spans go; ``None`` when one must be opened.

    FastAPI's further spans, for single steps of handling the request, are left out, so that what a handler records stands
    directly under the request.
    """
    current = trace.get_tracer_provider()
    if not isinstance(current, TracerProvider):
        return None
    is_global = tracer is None or isinstance(tracer, trace.ProxyTracer) or provider_of(tracer) is current
    record: Any = scope.get(_KEY)
    span = getattr(record, "span", None)
    if is_global and isinstance(span, _scouter.Span):
        if hasattr(record, "tracer"):
            record.tracer = None
        return span
    if is_global:
        scope.setdefault(_KEY, None)
    return None
