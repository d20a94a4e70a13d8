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


def destination(tracer: trace.Tracer | None) -> object:
    """Where the spans of this tracer go: the same object for two tracers whose spans go to the same place."""
    if tracer is None or isinstance(tracer, trace.ProxyTracer):
        return trace.get_tracer_provider()
    return provider_of(tracer) or tracer


def take_over(scope: MutableMapping[str, Any], goes_to: object) -> trace.Span | None:
    """FastAPI's span for this request, if it goes to this destination; ``None`` when one must be opened.

    FastAPI's further spans, for single steps of handling the request, are left out, so that what a handler records stands
    directly under the request.
    """
    if goes_to is not trace.get_tracer_provider():
        return None
    record: Any = scope.get(_KEY)
    span = getattr(record, "span", None)
    # Spans of another provider that was given to FastAPI are not ours to take.
    if isinstance(span, _scouter.Span if isinstance(goes_to, TracerProvider) else trace.Span):
        if hasattr(record, "tracer"):
            record.tracer = None
        return span
    leave_alone(scope)
    return None


def leave_alone(scope: MutableMapping[str, Any]) -> None:
    """Keeps FastAPI from opening a span for this request."""
    scope.setdefault(_KEY, None)


def tell_route(scope: MutableMapping[str, Any], template: str) -> None:
    """Tells FastAPI the route that its span is named after, which it sets once more as it ends the span."""
    record: Any = scope.get(_KEY)
    if hasattr(record, "route"):
        record.route = template
