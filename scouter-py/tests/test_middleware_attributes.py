"""What the middleware says about a request, in the words of OpenTelemetry's HTTP conventions."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
from support import Kept

from scouter.errors import ConfigError, ConfigTypeError
from scouter.tracing import ScouterTracingMiddleware

CAPTURE = "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_"


async def answer(scope: dict[str, Any], receive: Any, send: Any) -> None:
    headers = [(b"Content-Type", b"text/plain"), (b"set-cookie", b"id=secret"), (b"x-b", b"1"), (b"x-b", b"2")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"ok"})


def handle(kept: Kept, scope: dict[str, Any], app: Any = answer, **options: Any) -> list[dict[str, Any]]:
    """What is recorded of one request to a bare application."""

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        pass

    asyncio.run(ScouterTracingMiddleware(app, tracer=kept.tracer, **options)(scope, receive, send))
    return kept.spans()


def request(**given: Any) -> dict[str, Any]:
    return {"type": "http", "method": "GET", "path": "/", "headers": [], **given}


def test_only_what_is_required_in_a_scope(kept: Kept) -> None:
    """The specification of ASGI lets a server leave out everything else; what is not known is not claimed."""
    (span,) = handle(kept, {"type": "http", "method": "GET", "path": "/x"})
    assert span["attributes"] == {
        "http.request.method": "GET",
        "http.response.status_code": 200,
        "url.path": "/x",
        "url.scheme": "http",
    }
    assert span["name"] == "GET"


def test_everything_that_may_be_in_a_scope(kept: Kept) -> None:
    scope = request(
        asgi={"version": "3.0", "spec_version": "2.4"},
        http_version="2",
        method="POST",
        scheme="https",
        path="/a b/é",
        raw_path=b"/a%20b/%C3%A9",
        query_string=b"q=%C3%A9&empty=",
        root_path="",
        headers=[(b"host", b"example.com"), (b"user-agent", b"agent/1 \xe9")],
        client=("2001:db8::1", 4567),
        server=("10.0.0.1", 8443),
        extensions={},
        state={},
    )
    (span,) = handle(kept, scope)
    assert span["attributes"] == {
        "http.request.method": "POST",
        "http.response.status_code": 200,
        "url.path": "/a b/é",
        "url.query": "q=%C3%A9&empty=",
        "url.scheme": "https",
        "network.protocol.version": "2",
        "server.address": "example.com",
        "server.port": 443,
        "client.address": "2001:db8::1",
        "user_agent.original": "agent/1 é",
    }


@pytest.mark.parametrize(
    ("method", "known", "original", "name"),
    [
        *((method, method, None, method) for method in ("GET", "HEAD", "OPTIONS", "PATCH", "TRACE", "QUERY")),
        ("get", "GET", "get", "GET"),
        ("BREW", "_OTHER", "BREW", "HTTP"),
        ("PROPFIND", "_OTHER", "PROPFIND", "HTTP"),
    ],
)
def test_methods(kept: Kept, method: str, known: str, original: str | None, name: str) -> None:
    (span,) = handle(kept, request(method=method))
    assert span["name"] == name
    assert span["attributes"]["http.request.method"] == known
    assert span["attributes"].get("http.request.method_original") == original


def test_the_environment_says_which_methods_are_known(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS", "PROPFIND, GET")
    handle(kept, request(method="PROPFIND"))
    handle(kept, request(method="POST"))
    assert [span["name"] for span in kept.spans()] == ["PROPFIND", "HTTP"]


@pytest.mark.parametrize(
    ("headers", "server", "address", "port"),
    [
        ([(b"host", b"example.com:8080")], None, "example.com", 8080),
        ([(b"Host", b"example.com")], None, "example.com", 80),
        ([(b"host", b"[2001:db8::1]:9000")], None, "2001:db8::1", 9000),
        ([(b"host", b"[::1]")], ("127.0.0.1", 1), "::1", 80),
        ([(b"host", b"10.0.0.1")], None, "10.0.0.1", 80),
        ([(b"host", b"")], ("127.0.0.1", 8000), "127.0.0.1", 8000),
        ([(b"host", b"a:b:c")], ("127.0.0.1", 8000), "127.0.0.1", 8000),
        ([(b"host", b"example.com:99999")], None, "example.com", None),
        ([], ("127.0.0.1", 8000), "127.0.0.1", 8000),
        ([], ("/run/app.sock", None), "/run/app.sock", None),
        ([], ["::1", 80, 0, 0], "::1", 80),
        ([], None, None, None),
    ],
)
def test_the_server(
    kept: Kept, headers: list[tuple[bytes, bytes]], server: Any, address: str | None, port: int | None
) -> None:
    (span,) = handle(kept, request(headers=headers, server=server))
    assert span["attributes"].get("server.address") == address
    assert span["attributes"].get("server.port") == port


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        (b"a=1&sig=s3cret&b=2", "a=1&sig=REDACTED&b=2"),
        (b"AWSAccessKeyId=s3cret", "AWSAccessKeyId=REDACTED"),
        (b"Signature=s3cret&X-Goog-Signature=s3cret", "Signature=REDACTED&X-Goog-Signature=REDACTED"),
        (
            b"X-Amz-Signature=s3cret&X-Amz-Credential=s3cret&X-Amz-Security-Token=s3cret",
            "X-Amz-Signature=REDACTED&X-Amz-Credential=REDACTED&X-Amz-Security-Token=REDACTED",
        ),
        (b"%73ig=s3cret&SIG=s3cret", "%73ig=REDACTED&SIG=REDACTED"),
        (b"sig=s3cret&sig=s3cret=x", "sig=REDACTED&sig=REDACTED"),
        (b"sig&signal=1&xsig=2&=3", "sig&signal=1&xsig=2&=3"),
        (b"\xff=\xe9", "ÿ=é"),
    ],
)
def test_queries_lose_what_signs_them(kept: Kept, query: bytes, shown: str) -> None:
    (span,) = handle(kept, request(query_string=query))
    assert span["attributes"]["url.query"] == shown


def test_no_headers_unless_asked_for(kept: Kept) -> None:
    (span,) = handle(kept, request(headers=[(b"x-a", b"1")]))
    assert not [key for key in span["attributes"] if ".header." in key]


def test_headers_that_were_asked_for(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CAPTURE + "SERVER_REQUEST", "Content-Type, x-.*")
    monkeypatch.setenv(CAPTURE + "SERVER_RESPONSE", "content-type,x-b")
    headers = [(b"content-type", b"a/b"), (b"X-A", b"1"), (b"x-a", b"2"), (b"accept", b"*/*"), (b"not-x-a", b"3")]
    (span,) = handle(kept, request(headers=headers))
    assert {key: value for key, value in span["attributes"].items() if ".header." in key} == {
        "http.request.header.content-type": ("a/b",),
        "http.request.header.x-a": ("1", "2"),
        "http.response.header.content-type": ("text/plain",),
        "http.response.header.x-b": ("1", "2"),
    }


def test_credentials_are_hidden(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CAPTURE + "SERVER_REQUEST", ".*")
    monkeypatch.setenv(CAPTURE + "SERVER_RESPONSE", ".*")
    headers = [(b"Authorization", b"Bearer secret"), (b"cookie", b"secret"), (b"x-api-key", b"secret"), (b"x", b"1")]
    (span,) = handle(kept, request(headers=headers))
    assert "secret" not in str(span["attributes"])
    assert span["attributes"]["http.request.header.authorization"] == ("[REDACTED]",)
    assert span["attributes"]["http.response.header.set-cookie"] == ("[REDACTED]",)
    assert span["attributes"]["http.request.header.x"] == ("1",)


def test_the_environment_says_what_is_hidden(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CAPTURE + "SERVER_REQUEST", "x-.*,cookie")
    monkeypatch.setenv(CAPTURE + "SANITIZE_FIELDS", "session,X-Pass.*")
    headers = [(b"x-session-id", b"s"), (b"x-password", b"s"), (b"x-other", b"1"), (b"cookie", b"shown")]
    (span,) = handle(kept, request(headers=headers))
    assert span["attributes"]["http.request.header.x-session-id"] == ("[REDACTED]",)
    assert span["attributes"]["http.request.header.x-password"] == ("[REDACTED]",)
    assert span["attributes"]["http.request.header.x-other"] == ("1",)
    assert span["attributes"]["http.request.header.cookie"] == ("shown",)


def test_what_is_no_regular_expression_is_told(
    kept: Kept, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv(CAPTURE + "SERVER_REQUEST", "x-a,[")
    monkeypatch.setenv(CAPTURE + "SANITIZE_FIELDS", "(")
    with caplog.at_level(logging.WARNING, "scouter"):
        (span,) = handle(kept, request(headers=[(b"x-a", b"1"), (b"[", b"2")]))
    assert span["attributes"]["http.request.header.x-a"] == ("1",)
    assert "'[' is not a regular expression" in caplog.text
    assert "'(' is not a regular expression" in caplog.text


class TestExcluded:
    @pytest.mark.parametrize(
        ("excluded", "scope", "recorded"),
        [
            ("healthz", request(path="/healthz"), False),
            ("healthz", request(path="/health"), True),
            ("a,healthz", request(path="/v1/healthz/live"), False),
            (["^http://localhost:8000/x$"], request(path="/x", server=("localhost", 8000)), False),
            (["^http://localhost/x$"], request(path="/x", headers=[(b"host", b"localhost:80")]), False),
            (["^http://\\[::1\\]:9/x$"], request(path="/x", headers=[(b"host", b"[::1]:9")]), False),
            ("secret", request(path="/x", query_string=b"secret"), True),
            ("", request(path="/x"), True),
            ([], request(path="/x"), True),
        ],
    )
    def test_by_argument(self, kept: Kept, excluded: Any, scope: dict[str, Any], recorded: bool) -> None:
        assert bool(handle(kept, scope, excluded_urls=excluded)) is recorded

    def test_by_the_environment(self, kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("OTEL_PYTHON_EXCLUDED_URLS", "healthz, /metrics$")
        for path in ("/healthz", "/metrics", "/metrics/x"):
            handle(kept, request(path=path))
        assert [span["attributes"]["url.path"] for span in kept.spans()] == ["/metrics/x"]
        # The argument beats the variable.
        handle(kept, request(path="/healthz"), excluded_urls=())
        assert len(kept.spans()) == 2

    def test_bad_arguments(self) -> None:
        with pytest.raises(ConfigTypeError, match="excluded_urls must be a list"):
            ScouterTracingMiddleware(answer, excluded_urls=7)
        with pytest.raises(ConfigTypeError, match="excluded_urls must be a list"):
            ScouterTracingMiddleware(answer, excluded_urls=[7])
        with pytest.raises(ConfigError, match=r"excluded_urls has '\['"):
            ScouterTracingMiddleware(answer, excluded_urls="a,[")


def test_paths_that_are_no_text(kept: Kept) -> None:
    """A server may hand on bytes that are not UTF-8 as lone surrogates."""
    (span,) = handle(kept, request(path="/\udcff", root_path="/\udcff"))
    assert span["attributes"]["url.path"].startswith("/")


@pytest.mark.parametrize("kind", ["http.response.zerocopysend", "http.response.pathsend"])
def test_extensions_that_end_an_answer(kept: Kept, kind: str) -> None:
    seen = []

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200})
        await send({"type": kind, "file": 0, "path": "/x"})
        seen.append(len(kept.spans()))

    handle(kept, request(), app)
    assert seen == [1]


def test_messages_before_the_answer_are_no_answer(kept: Kept) -> None:
    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await send({"type": "http.response.push", "path": "/x", "headers": []})
        await send({"type": "http.response.early_hint", "links": []})
        await answer(scope, receive, send)

    (span,) = handle(kept, request(), app)
    assert span["attributes"]["http.response.status_code"] == 200


def test_an_answer_of_5xx_lasts_as_long_as_the_answer(kept: Kept) -> None:
    """And not as long as what the application does afterwards, though its exception is waited for."""

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 503})
        await send({"type": "http.response.body"})
        with kept.tracer.start_as_current_span("afterwards"):
            pass

    handle(kept, request(), app)
    server, afterwards = kept.span("GET"), kept.span("afterwards")
    assert server["end_time"] <= afterwards["end_time"]
    assert server["status"].upper() == "ERROR"
    assert server["attributes"]["error.type"] == "503"
    assert server["status_message"] == ""


def test_the_same_scope_again(kept: Kept) -> None:
    scope = request()
    handle(kept, scope)
    handle(kept, scope)
    assert len(kept.spans()) == 2
    assert "scouter.traced" not in scope
