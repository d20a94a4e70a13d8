"""A SERVER span around every request of an ASGI application (FastAPI, Starlette, or bare)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeAlias

from opentelemetry import baggage, context, trace
from opentelemetry.context.context import Context
from opentelemetry.propagators.textmap import Getter

from ..errors import ConfigTypeError
from . import failure, framework_span, http_attributes
from .propagation import global_propagator

__all__ = ["ScouterTracingMiddleware"]

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
App: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]


class ScouterTracingMiddleware:
    """Continues the caller's trace, or begins one, with a SERVER span around every request and websocket connection.

    The span is named after the method and the route's template, where the framework knows one; it carries the attributes
    of OpenTelemetry's HTTP conventions, and its status is ERROR after an exception or a 5xx answer. It lasts until the
    answer is sent. The caller's baggage is current while the request is handled. Where FastAPI opens such a span itself, that
    one is used. Example::

        app.add_middleware(ScouterTracingMiddleware, tracer=tracer)

    Args:
        app: The application to wrap.
        tracer: Makes the spans; a tracer of the global provider when left out.
    """

    def __init__(self, app: App, tracer: trace.Tracer | None = None) -> None:
        if not callable(app):
            raise ConfigTypeError(f"app must be an ASGI application, not {type(app).__name__}")
        if tracer is not None and not isinstance(tracer, trace.Tracer):
            raise ConfigTypeError(f"tracer must be a tracer, not {type(tracer).__name__}")
        self.app = app
        self._tracer = tracer
        self._propagator = global_propagator()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles one request or connection."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        adopted = framework_span.take_over(scope, self._tracer)
        if adopted is not None:
            adopted.set_attributes(http_attributes.of_request(scope))
            await self._handle(scope, receive, _Exchange(scope, send, adopted, ends=False))
            return
        tracer = self._tracer or trace.get_tracer(__name__)
        caller = self._propagator.extract(scope, _nowhere(), _HEADERS)
        span = tracer.start_span(
            http_attributes.first_name(scope),
            context=caller,
            kind=trace.SpanKind.SERVER,
            attributes=http_attributes.of_request(scope),
        )
        token = context.attach(trace.set_span_in_context(span, caller))
        try:
            await self._handle(scope, receive, _Exchange(scope, send, span, ends=True))
        finally:
            context.detach(token)

    async def _handle(self, scope: Scope, receive: Receive, exchange: _Exchange) -> None:
        try:
            await self.app(scope, receive, exchange.send)
        except Exception as error:
            exchange.fail(error)
            raise
        finally:
            exchange.end()


class _Exchange:
    """Watches the answer of one request go by, and ends the span, if it is ours, when the last part of it is sent."""

    __slots__ = ("_awaits_trailers", "_ended", "_ends", "_scope", "_send", "_span", "_status")

    def __init__(self, scope: Scope, send: Send, span: trace.Span, ends: bool) -> None:
        self._ends = ends
        self._scope = scope
        self._send = send
        self._span = span
        self._status: int | None = None
        self._awaits_trailers = False
        self._ended = False

    async def send(self, message: Message) -> None:
        kind = message["type"]
        if kind in ("http.response.start", "websocket.http.response.start"):
            self._answered(message["status"])
            self._awaits_trailers = bool(message.get("trailers"))
        elif kind == "websocket.accept":
            self._answered(101)
        elif kind == "websocket.close" and self._status is None:
            # Servers answer the handshake of a connection that is closed instead of accepted with this.
            self._answered(403)
        await self._send(message)
        # After a 5xx the exception that it stands for may still come.
        if self._is_last(message) and (self._status or 0) < 500:
            self.end()

    def _is_last(self, message: Message) -> bool:
        """Whether nothing of the answer is left."""
        kind = message["type"]
        if kind in ("http.response.body", "websocket.http.response.body"):
            return not self._awaits_trailers and not message.get("more_body")
        return kind == "http.response.trailers" and not message.get("more_trailers")

    def fail(self, error: Exception) -> None:
        """Notes the exception that leaves the application. The server answers 500 if nothing was answered yet."""
        if self._ended:
            return
        if self._status is None:
            self._answered(500)
        self._span.set_attribute("error.type", http_attributes.qualified_name(type(error)))
        failure.record(self._span, error)

    def end(self) -> None:
        """Ends the span, once, with what is known by now."""
        if self._ended:
            return
        self._ended = True
        if not self._ends:
            return
        route = http_attributes.route(self._scope)
        if route:
            self._span.update_name(f"{http_attributes.first_name(self._scope)} {route}")
            self._span.set_attribute("http.route", route)
        self._span.end()

    def _answered(self, status: int) -> None:
        self._status = status
        self._span.set_attribute("http.response.status_code", status)
        if status >= 500:
            self._span.set_attribute("error.type", str(status))
            self._span.set_status(trace.Status(trace.StatusCode.ERROR))


class _HeaderGetter(Getter[Scope]):
    """Reads the headers of an ASGI scope. Their names are lower case already."""

    def get(self, carrier: Scope, key: str) -> list[str] | None:
        name = key.lower().encode("latin-1")
        return [
            value.decode("latin-1") for header, value in carrier.get("headers") or () if header.lower() == name
        ] or None

    def keys(self, carrier: Scope) -> list[str]:
        return [header.decode("latin-1") for header, _ in carrier.get("headers") or ()]


_HEADERS = _HeaderGetter()


def _nowhere() -> Context:
    """The current context without span and baggage: a request belongs to its caller, not to who started the server."""
    return trace.set_span_in_context(trace.INVALID_SPAN, baggage.clear())
