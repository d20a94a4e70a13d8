"""What an ASGI scope says about a request, in the words of OpenTelemetry's HTTP semantic conventions.

Proxies are not looked behind here: a server or a middleware that knows which proxy to trust puts the client's address and
scheme into the scope.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterable, MutableMapping, Sequence
from typing import Any, TypeAlias
from urllib.parse import unquote_plus

Scope: TypeAlias = MutableMapping[str, Any]
Headers: TypeAlias = Iterable[tuple[bytes, bytes]]
Attributes: TypeAlias = dict[str, "str | int | list[str]"]

_log = logging.getLogger("scouter")

_METHODS = frozenset(("CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE", "QUERY"))
# Parts of a query that sign it: what the conventions ask to leave out today, and what they asked for before.
_SIGNATURES = frozenset(
    (
        "awsaccesskeyid",
        "sig",
        "signature",
        "x-amz-credential",
        "x-amz-security-token",
        "x-amz-signature",
        "x-goog-signature",
    )
)
_DEFAULT_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}
# Hidden unless the environment says which ones are.
_SENSITIVE = ("authorization", "proxy-authorization", "cookie", "set-cookie", "x-api-key", "x-auth-token")
_HIDDEN = "[REDACTED]"


class HttpReader:
    """Reads requests and answers as the environment wants it.

    ``OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS``, ``OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_REQUEST``,
    ``..._SERVER_RESPONSE`` and ``..._SANITIZE_FIELDS`` are looked up once; the last three hold regular expressions.
    """

    def __init__(self) -> None:
        prefix = "OTEL_INSTRUMENTATION_HTTP_"
        self._methods = frozenset(listed(prefix + "KNOWN_METHODS")) or _METHODS
        self._request_headers = pattern(listed(prefix + "CAPTURE_HEADERS_SERVER_REQUEST"))
        self._response_headers = pattern(listed(prefix + "CAPTURE_HEADERS_SERVER_RESPONSE"))
        self._sensitive = pattern(listed(prefix + "CAPTURE_HEADERS_SANITIZE_FIELDS")) or pattern(_SENSITIVE)

    def first_name(self, scope: Scope) -> str:
        """The name of the span as long as no route is known: the method."""
        return self._known(_method(scope)) or "HTTP"

    def of_request(self, scope: Scope) -> Attributes:
        """The attributes that are known before the request is handled."""
        scheme = scope.get("scheme") or ("ws" if scope["type"] == "websocket" else "http")
        method = _method(scope)
        known = self._known(method)
        attributes: Attributes = {
            "http.request.method": known or "_OTHER",
            "url.scheme": scheme,
            "url.path": scope.get("path") or "/",
        }
        if known != method:
            attributes["http.request.method_original"] = method
        version = scope.get("http_version")
        if version:
            attributes["network.protocol.version"] = version
        query = scope.get("query_string")
        if query:
            attributes["url.query"] = _without_signatures(query.decode("latin-1"))
        client = scope.get("client")
        if client and client[0]:
            attributes["client.address"] = client[0]
        agent = _header(scope, b"user-agent")
        if agent:
            attributes["user_agent.original"] = agent
        address, port = _server(scope, scheme)
        if address:
            attributes["server.address"] = address
        if address and port:
            attributes["server.port"] = port
        if self._request_headers is not None:
            attributes |= self._captured("http.request.header.", self._request_headers, scope.get("headers") or ())
        return attributes

    def of_answer(self, headers: Headers | None) -> Attributes:
        """The headers of the answer that are wanted."""
        if self._response_headers is None:
            return {}
        return self._captured("http.response.header.", self._response_headers, headers or ())

    def _known(self, method: str) -> str | None:
        """The known method that this one is; ASGI's are in upper case, if the server keeps to it."""
        if method in self._methods:
            return method
        return method.upper() if method.upper() in self._methods else None

    def _captured(self, prefix: str, wanted: re.Pattern[str], headers: Headers) -> Attributes:
        found: dict[str, list[str]] = {}
        for name, value in headers:
            key = name.decode("latin-1").lower()
            if wanted.fullmatch(key):
                hidden = self._sensitive is not None and self._sensitive.search(key)
                found.setdefault(prefix + key, []).append(_HIDDEN if hidden else value.decode("latin-1"))
        return dict(found)


def listed(variable: str) -> list[str]:
    """The items of a variable, without the empty ones."""
    return [item.strip() for item in os.environ.get(variable, "").split(",") if item.strip()]


def pattern(expressions: Sequence[str], flags: int = re.IGNORECASE) -> re.Pattern[str] | None:
    """One pattern for all; what is no regular expression is left out with a warning. ``None`` for nothing."""
    usable = []
    for expression in expressions:
        try:
            re.compile(expression)
        except re.error as error:
            _log.warning("%r is not a regular expression and is left out: %s", expression, error)
        else:
            usable.append(f"(?:{expression})")
    return re.compile("|".join(usable), flags) if usable else None


def url(scope: Scope) -> str:
    """The URL of a request without its query, for telling requests apart."""
    scheme = scope.get("scheme") or ("ws" if scope["type"] == "websocket" else "http")
    address, port = _server(scope, scheme)
    if address and ":" in address:
        address = f"[{address}]"
    place = "" if not port or port == _DEFAULT_PORTS.get(scheme) else f":{port}"
    return f"{scheme}://{address or ''}{place}{scope.get('path') or '/'}"


def qualified_name(kind: type) -> str:
    """The name of a class as OpenTelemetry writes it: with its module, unless it is one of Python's own."""
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _method(scope: Scope) -> str:
    # The handshake of a websocket is a GET, and ASGI does not repeat that.
    method: str = scope.get("method") or "GET"
    return method


def _without_signatures(query: str) -> str:
    parts = query.split("&")
    for place, part in enumerate(parts):
        name, equals, _ = part.partition("=")
        if equals and unquote_plus(name).lower() in _SIGNATURES:
            parts[place] = f"{name}=REDACTED"
    return "&".join(parts)


def _header(scope: Scope, name: bytes) -> str | None:
    for header, value in scope.get("headers") or ():
        if header.lower() == name:
            text: str = value.decode("latin-1")
            return text
    return None


def _server(scope: Scope, scheme: str) -> tuple[str | None, int | None]:
    """Host and port that the client asked, or else those of the socket."""
    host = _header(scope, b"host")
    if host:
        match = re.fullmatch(r"(\[[^\]]*\]|[^:]*)(?::(\d{1,5}))?", host.strip())
        if match and match[1]:
            port = int(match[2]) if match[2] else _DEFAULT_PORTS.get(scheme)
            return match[1].strip("[]"), port if port is None or port < 65536 else None
    server = scope.get("server")
    return (server[0], server[1]) if server else (None, None)
