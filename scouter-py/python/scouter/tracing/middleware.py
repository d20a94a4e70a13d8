"""A SERVER span around every request of an ASGI application (FastAPI, Starlette, or bare)."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from contextvars import ContextVar
from time import time_ns
from typing import Any, TypeAlias

from opentelemetry import baggage, context, trace
from opentelemetry.context.context import Context
from opentelemetry.propagators.textmap import Getter, TextMapPropagator

from ..errors import ConfigError, ConfigTypeError
from . import failure, framework_span, http_attributes, http_route
from .propagation import current_propagator, global_propagator

__all__ = ["ScouterTracingMiddleware"]

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
App: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

# In the scope while a request is handled: where the spans of it go that are open already.
_TRACED = "scouter.traced"
_EXCLUDED = "OTEL_PYTHON_EXCLUDED_URLS"

# The span of the request that is being handled. A request that a handler makes within the process is another one.
_handled: ContextVar[trace.Span | None] = ContextVar("scouter_handled_request", default=None)

# What of an answer is the last part, unless it says that more comes.
_PARTS = {
    "http.response.body": "more_body",
    "http.response.trailers": "more_trailers",
    "http.response.zerocopysend": "more_body",
    "http.response.pathsend": "",
    "websocket.http.response.body": "more_body",
}
# Websockets that ended as they should: normally, as one side went away, or without a code (RFC 6455, section 7.4.1).
_FINE_CLOSES = (1000, 1001, 1005)
# Websockets that the server ended because it could not go on: what 5xx is to a request (IANA's registry of close codes).
_FAILED_CLOSES = range(1011, 1015)


class ScouterTracingMiddleware:
    """Continues the caller's trace, or begins one, with a SERVER span around every request and websocket connection.

    The span is named after the method and the route's template, where the framework knows one; it carries the attributes
    of OpenTelemetry's HTTP conventions, and its status is ERROR after an exception or a 5xx answer. It lasts until the
    answer is sent. The caller's baggage is current while the request is handled. Where FastAPI opens such a span itself, that
    one is used, and a request that passes two of these middlewares has one span. Example::

        app.add_middleware(ScouterTracingMiddleware, tracer=tracer)

    Args:
        app: The application to wrap.
        tracer: Makes the spans; a tracer of the global provider when left out, also of one that is set later.
        excluded_urls: Requests that have no span: regular expressions, as a list or separated by commas, one of which is
            found in the URL without its query. ``OTEL_PYTHON_EXCLUDED_URLS`` when left out.

    Headers are kept as attributes where ``OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_REQUEST`` and ``..._RESPONSE``
    name them; ``OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SANITIZE_FIELDS`` says whose values are hidden.
    """

    def __init__(
        self,
        app: App,
        tracer: trace.Tracer | None = None,
        excluded_urls: str | Sequence[str] | None = None,
    ) -> None:
        if not callable(app):
            raise ConfigTypeError(f"app must be an ASGI application, not {type(app).__name__}")
        if tracer is not None and not isinstance(tracer, trace.Tracer):
            raise ConfigTypeError(f"tracer must be a tracer, not {type(tracer).__name__}")
        self.app = app
        self._tracer = tracer
        self._reader = http_attributes.HttpReader()
        self._excluded = _excluded(excluded_urls)
        self._default_propagator = global_propagator()
        self._own_tracer: tuple[trace.TracerProvider, trace.Tracer] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles one request or connection."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        goes_to = framework_span.destination(self._tracer)
        outer = scope.get(_TRACED, ())
        if any(goes_to is other for other in outer):
            await self.app(scope, receive, send)
            return
        if self._excluded is not None and self._excluded.search(http_attributes.url(scope)):
            framework_span.leave_alone(scope)
            await self.app(scope, receive, send)
            return
        scope[_TRACED] = (*outer, goes_to)
        try:
            await self._trace(scope, receive, send, goes_to)
        finally:
            # The same scope may be handled again, by a test for example.
            if outer:
                scope[_TRACED] = outer
            else:
                scope.pop(_TRACED, None)

    async def _trace(self, scope: Scope, receive: Receive, send: Send, goes_to: object) -> None:
        adopted = framework_span.take_over(scope, goes_to)
        caller = None if adopted is not None else self._propagator().extract(scope, _nowhere(), _HEADERS)
        if caller is not None and _handled.get() is not trace.get_current_span():
            adopted = framework_span.current_server(goes_to, caller)
        if adopted is not None:
            adopted.set_attributes(self._reader.of_request(scope))
            await self._handle(receive, _Exchange(scope, send, adopted, self._reader, ends=False))
            return
        span = self._get_tracer().start_span(
            self._reader.first_name(scope),
            context=caller,
            kind=trace.SpanKind.SERVER,
            attributes=self._reader.of_request(scope),
        )
        token = context.attach(trace.set_span_in_context(span, caller))
        try:
            if span.is_recording():
                await self._handle(receive, _Exchange(scope, send, span, self._reader, ends=True))
            else:
                await self.app(scope, receive, send)
        finally:
            context.detach(token)

    async def _handle(self, receive: Receive, exchange: _Exchange) -> None:
        if exchange.scope["type"] == "websocket":
            receive = exchange.listening(receive)
        token = _handled.set(exchange.span)
        try:
            await self.app(exchange.scope, receive, exchange.send)
        except Exception as error:
            exchange.fail(error)
            raise
        finally:
            exchange.end()
            _handled.reset(token)

    def _propagator(self) -> TextMapPropagator:
        return current_propagator(self._default_propagator)

    def _get_tracer(self) -> trace.Tracer:
        if self._tracer is not None:
            return self._tracer
        provider = trace.get_tracer_provider()
        known = self._own_tracer
        if known is None or known[0] is not provider:
            known = self._own_tracer = (provider, provider.get_tracer(__name__))
        return known[1]


class _Exchange:
    """Watches the answer of one request go by, and ends the span, if it is ours, when the last part of it is sent."""

    __slots__ = (
        "_answered_at",
        "_awaits_trailers",
        "_closed_with",
        "_ended",
        "_ends",
        "_named",
        "_path",
        "_reader",
        "_root",
        "_send",
        "_status",
        "scope",
        "span",
    )

    def __init__(
        self, scope: Scope, send: Send, span: trace.Span, reader: http_attributes.HttpReader, *, ends: bool
    ) -> None:
        self.scope = scope
        self._ends = ends
        self._send = send
        self.span = span
        self._reader = reader
        self._path: str = scope.get("path") or "/"
        self._root: str = scope.get("root_path") or ""
        self._status: int | None = None
        self._awaits_trailers = False
        self._closed_with: int | None = None
        self._answered_at: int | None = None
        self._named = False
        self._ended = False

    async def send(self, message: Message) -> None:
        kind = message["type"]
        if kind in ("http.response.start", "websocket.http.response.start"):
            self._answered(message["status"], message.get("headers"))
            self._awaits_trailers = bool(message.get("trailers"))
        elif kind == "websocket.accept":
            self._answered(101, message.get("headers"))
        elif kind == "websocket.close":
            self._closed(message.get("code", 1000))
        await self._send(message)
        if self._is_last(kind, message):
            if (self._status or 0) < 500:
                self.end()
            else:
                # The exception that it stands for may still come.
                self._answered_at = time_ns()

    def listening(self, receive: Receive) -> Receive:
        """The same, noting with which code the client closes the connection."""

        async def listen() -> Message:
            message = await receive()
            if message["type"] == "websocket.disconnect":
                self._closed_with = message.get("code", 1005)
            return message

        return listen

    def fail(self, error: Exception) -> None:
        """Notes the exception that leaves the application. The server answers 500 if nothing was answered yet."""
        if self._ended:
            return
        # How frameworks tell a handler that the client is gone. That is how connections end.
        if self._closed_with in _FINE_CLOSES and getattr(error, "code", None) == self._closed_with:
            return
        if self._status is None:
            self._answered(500, None)
        self.span.set_attribute("error.type", http_attributes.qualified_name(type(error)))
        failure.record(self.span, error)

    def end(self) -> None:
        """Ends the span, once, with what is known by now."""
        if self._ended:
            return
        self._ended = True
        self._name()
        if self._ends:
            self.span.end(self._answered_at)

    def _is_last(self, kind: str, message: Message) -> bool:
        """Whether nothing of the answer is left."""
        more = _PARTS.get(kind)
        if more is None or message.get(more):
            return False
        return not self._awaits_trailers or kind == "http.response.trailers"

    def _name(self) -> None:
        """Names the span after the route, once there is one."""
        if self._named:
            return
        template = http_route.route(self.scope, self._path, self._root)
        if template:
            self._named = True
            self.span.update_name(f"{self._reader.first_name(self.scope)} {template}")
            self.span.set_attribute("http.route", template)
            if not self._ends:
                framework_span.tell_route(self.scope, template)

    def _answered(self, status: int, headers: http_attributes.Headers | None) -> None:
        # Now, as FastAPI ends its own span before the answer has come back to here.
        self._name()
        self._status = status
        self.span.set_attribute("http.response.status_code", status)
        if headers is not None:
            self.span.set_attributes(self._reader.of_answer(headers))
        if status >= 500:
            self._failed_with(status)

    def _closed(self, code: int) -> None:
        if self._status is None:
            # Servers answer the handshake of a connection that is closed instead of accepted with this.
            self._answered(403, None)
        elif code in _FAILED_CLOSES:
            self._failed_with(code)

    def _failed_with(self, code: int) -> None:
        self.span.set_attribute("error.type", str(code))
        self.span.set_status(trace.Status(trace.StatusCode.ERROR))


class _HeaderGetter(Getter[Scope]):
    """Reads the headers of an ASGI scope."""

    def get(self, carrier: Scope, key: str) -> list[str] | None:
        name = key.lower().encode("latin-1")
        return [
            value.decode("latin-1") for header, value in carrier.get("headers") or () if header.lower() == name
        ] or None

    def keys(self, carrier: Scope) -> list[str]:
        return [header.decode("latin-1") for header, _ in carrier.get("headers") or ()]


_HEADERS = _HeaderGetter()


def _excluded(urls: str | Sequence[str] | None) -> re.Pattern[str] | None:
    if urls is None:
        return http_attributes.pattern(http_attributes.listed(_EXCLUDED), 0)
    if isinstance(urls, str):
        urls = [url.strip() for url in urls.split(",") if url.strip()]
    if not isinstance(urls, Sequence) or not all(isinstance(url, str) for url in urls):
        raise ConfigTypeError("excluded_urls must be a list of regular expressions, or one string of them")
    for url in urls:
        try:
            re.compile(url)
        except re.error as error:
            raise ConfigError(f"excluded_urls has {url!r}, which is not a regular expression: {error}") from None
    return http_attributes.pattern(urls, 0)


def _nowhere() -> Context:
    """The current context without span and baggage: a request belongs to its caller, not to who started the server."""
    return trace.set_span_in_context(trace.INVALID_SPAN, baggage.clear())
