"""What an ASGI scope says about a request, in the words of OpenTelemetry's HTTP semantic conventions."""

from __future__ import annotations

import re
from collections.abc import MutableMapping
from typing import Any, TypeAlias

Scope: TypeAlias = MutableMapping[str, Any]

_METHODS = frozenset(("CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE", "QUERY"))
# Parts of a query that sign it, which the conventions ask to leave out.
_SIGNATURES = re.compile(r"(?i)(?:(?<=&)|^)(AWSAccessKeyId|Signature|sig|X-Goog-Signature)=[^&]*")
_DEFAULT_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}


def first_name(scope: Scope) -> str:
    """The name of the span as long as no route is known: the method."""
    method = _method(scope)
    return method if method in _METHODS else "HTTP"


def of_request(scope: Scope) -> dict[str, str | int]:
    """The attributes that are known before the request is handled."""
    scheme = scope.get("scheme") or ("ws" if scope["type"] == "websocket" else "http")
    method = _method(scope)
    attributes: dict[str, str | int] = {
        "http.request.method": method if method in _METHODS else "_OTHER",
        "url.scheme": scheme,
        "url.path": scope.get("path") or "/",
        "network.protocol.version": scope.get("http_version") or "1.1",
    }
    if method not in _METHODS:
        attributes["http.request.method_original"] = method
    query = scope.get("query_string") or b""
    if query:
        attributes["url.query"] = _SIGNATURES.sub(r"\1=REDACTED", query.decode("latin-1"))
    client = scope.get("client")
    if client:
        attributes["client.address"] = client[0]
    agent = _header(scope, b"user-agent")
    if agent:
        attributes["user_agent.original"] = agent
    address, port = _server(scope, scheme)
    if address:
        attributes["server.address"] = address
    if address and port:
        attributes["server.port"] = port
    return attributes


def route(scope: Scope) -> str | None:
    """The template of the route, once the framework has found it and left it in the scope; ``None`` else."""
    template = getattr(scope.get("route"), "path", None)
    if not isinstance(template, str):
        return None
    # A mounted application knows its own part of the path only; the root path grew by where it is mounted.
    root, own_root = scope.get("root_path", ""), scope.get("app_root_path")
    if isinstance(own_root, str) and root.startswith(own_root):
        template = root[len(own_root) :] + template
    return template or "/"


def qualified_name(kind: type) -> str:
    """The name of a class as OpenTelemetry writes it: with its module, unless it is one of Python's own."""
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _method(scope: Scope) -> str:
    # The handshake of a websocket is a GET, and ASGI does not repeat that.
    method: str = scope.get("method") or "GET"
    return method.upper()


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
            return match[1].strip("[]"), port
    server = scope.get("server")
    return (server[0], server[1]) if server else (None, None)
