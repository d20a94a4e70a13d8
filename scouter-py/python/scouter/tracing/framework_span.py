"""The span that somebody else has opened for a request already: FastAPI itself, or OpenTelemetry's instrumentation of it.

Newer versions of FastAPI trace requests on their own as soon as a tracer provider is set, outside of every middleware.
Without care a request would have two SERVER spans. So the middleware takes that span over where it stands inside of FastAPI,
and tells FastAPI that the request is taken care of where it stands outside. The same goes for a SERVER span that is
current and can be nothing but this request's.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any, cast

from opentelemetry import trace
from opentelemetry.context.context import Context

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
    """FastAPI's span for this request, if it goes to this destination; ``None`` when there is none.

    FastAPI's further spans, for single steps of handling the request, are left out, so that what a handler records stands
    directly under the request.
    """
    if goes_to is not trace.get_tracer_provider():
        return None
    record: Any = scope.get(_KEY)
    span: Any = getattr(record, "span", None)
    if _is_of(span, goes_to):
        if hasattr(record, "tracer"):
            record.tracer = None
        return cast("trace.Span", span)
    leave_alone(scope)
    return None


def current_server(goes_to: object, caller: Context) -> trace.Span | None:
    """The current span, if it is a SERVER span of this destination which continues the caller as this request does."""
    span: Any = trace.get_current_span()
    if goes_to is not trace.get_tracer_provider() or not _is_of(span, goes_to) or not span.is_recording():
        return None
    if getattr(span, "kind", None) is not trace.SpanKind.SERVER:
        return None
    sender, parent = trace.get_current_span(caller).get_span_context(), getattr(span, "parent", None)
    if sender.is_valid:
        continues = parent is not None and (parent.trace_id, parent.span_id) == (sender.trace_id, sender.span_id)
    else:
        continues = parent is None
    return cast("trace.Span", span) if continues else None


def leave_alone(scope: MutableMapping[str, Any]) -> None:
    """Keeps FastAPI from opening a span for this request."""
    scope.setdefault(_KEY, None)


def tell_route(scope: MutableMapping[str, Any], template: str) -> None:
    """Tells FastAPI the route that its span is named after, which it sets once more as it ends the span."""
    record: Any = scope.get(_KEY)
    if hasattr(record, "route"):
        record.route = template


def _is_of(span: object, goes_to: object) -> bool:
    """Whether a span can be one of this provider's. Those of others are not ours to take."""
    return isinstance(span, _scouter.Span if isinstance(goes_to, TracerProvider) else trace.Span)
