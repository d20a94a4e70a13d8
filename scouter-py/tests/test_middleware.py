from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import APIRouter, FastAPI, WebSocket
from opentelemetry import baggage, trace
from opentelemetry.sdk.trace import TracerProvider as SdkProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Mount, Route
from support import Kept

from scouter import MockConfig
from scouter.errors import ConfigTypeError
from scouter.tracing import ScouterTracingMiddleware, instrument

HEADER = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def ask(app: object, method: str, url: str, **options: object) -> httpx.Response:
    async def main() -> httpx.Response:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False, client=("10.1.2.3", 4567))
        async with httpx.AsyncClient(transport=transport, base_url="http://service:8080") as client:
            return await client.request(method, url, **options)

    return asyncio.run(main())


@pytest.fixture
def app(kept: Kept) -> FastAPI:
    app = FastAPI()
    app.add_middleware(ScouterTracingMiddleware, tracer=kept.tracer)
    router = APIRouter(prefix="/v1")

    @router.get("/users/{user}")
    async def read_user(user: str) -> dict:
        return {"user": user}

    @app.get("/hello")
    async def hello(name: str = "World") -> dict:
        with kept.tracer.start_as_current_span("hello.build_greeting") as span:
            span.set_attribute("greeting.name", name)
            return {"message": f"Hello, {name}!", "baggage": dict(baggage.get_all())}

    @app.get("/sync")
    def sync() -> dict:
        with kept.tracer.start_as_current_span("in a thread"):
            return {}

    @app.get("/fail")
    async def fail() -> dict:
        raise ValueError("broken")

    @app.get("/unavailable", status_code=503)
    async def unavailable() -> dict:
        return {}

    @app.get("/stream")
    async def stream() -> StreamingResponse:
        async def chunks() -> AsyncIterator[str]:
            for item in range(3):
                with kept.tracer.start_as_current_span(f"chunk {item}"):
                    yield str(item)

        return StreamingResponse(chunks())

    app.include_router(router)
    return app


def test_the_caller_s_trace_goes_on(app: FastAPI, kept: Kept) -> None:
    answer = ask(app, "GET", "/hello?name=Alice", headers={"traceparent": HEADER, "baggage": "user=7"})
    assert answer.json() == {"message": "Hello, Alice!", "baggage": {"user": "7"}}
    server, inner = kept.span("GET /hello"), kept.span("hello.build_greeting")
    assert server["trace_id"] == "4bf92f3577b34da6a3ce929d0e0e4736"
    assert server["parent_span_id"] == "00f067aa0ba902b7"
    assert inner["parent_span_id"] == server["span_id"]
    assert server["kind"] is trace.SpanKind.SERVER
    assert server["status"].upper() == "UNSET"
    attributes = server["attributes"]
    agent = attributes.pop("user_agent.original")
    assert agent.startswith("python-httpx/")
    assert attributes == {
        "http.request.method": "GET",
        "http.response.status_code": 200,
        "http.route": "/hello",
        "url.scheme": "http",
        "url.path": "/hello",
        "url.query": "name=Alice",
        "network.protocol.version": "1.1",
        "server.address": "service",
        "server.port": 8080,
        "client.address": "10.1.2.3",
    }


def test_without_a_caller_a_trace_begins(app: FastAPI, kept: Kept) -> None:
    """Also when the server itself was started inside a span, or the caller sent nonsense."""
    with kept.tracer.start_as_current_span("around the server", baggage={"not": "theirs"}):
        assert ask(app, "GET", "/hello").json()["baggage"] == {}
        ask(app, "GET", "/sync", headers={"traceparent": HEADER.upper()})
    assert kept.span("GET /hello")["parent_span_id"] is None
    assert kept.span("GET /sync")["parent_span_id"] is None
    assert kept.span("in a thread")["parent_span_id"] == kept.span("GET /sync")["span_id"]


def test_a_repeated_traceparent_is_invalid(app: FastAPI, kept: Kept) -> None:
    ask(app, "GET", "/hello", headers=[("traceparent", HEADER), ("traceparent", HEADER)])
    assert kept.span("GET /hello")["parent_span_id"] is None


def test_the_route_s_template_names_the_span(app: FastAPI, kept: Kept) -> None:
    ask(app, "GET", "/v1/users/42")
    found = kept.span()
    assert found["name"] == "GET /v1/users/{user}"
    assert found["attributes"]["http.route"] == "/v1/users/{user}"
    assert found["attributes"]["url.path"] == "/v1/users/42"


def test_without_a_route_the_method_names_it(app: FastAPI, kept: Kept) -> None:
    assert ask(app, "DELETE", "/nowhere").status_code == 404
    found = kept.span()
    assert found["name"] == "DELETE"
    assert found["attributes"]["http.response.status_code"] == 404
    assert "http.route" not in found["attributes"]
    assert found["status"].upper() == "UNSET"


def test_unknown_methods(app: FastAPI, kept: Kept) -> None:
    ask(app, "BREW", "/hello")
    attributes = kept.span()["attributes"]
    assert (attributes["http.request.method"], attributes["http.request.method_original"]) == ("_OTHER", "BREW")
    assert kept.span()["name"].startswith("HTTP")


def test_exceptions_and_5xx_are_errors(app: FastAPI, kept: Kept) -> None:
    assert ask(app, "GET", "/fail").status_code == 500
    assert ask(app, "GET", "/unavailable").status_code == 503
    failed, refused = kept.span("GET /fail"), kept.span("GET /unavailable")
    assert (failed["status"].upper(), failed["status_message"]) == ("ERROR", "ValueError: broken")
    assert failed["attributes"]["error.type"] == "ValueError"
    assert failed["attributes"]["http.response.status_code"] == 500
    assert [event["name"] for event in failed["events"]] == ["exception"]
    assert refused["status"].upper() == "ERROR"
    assert refused["attributes"]["error.type"] == "503"
    assert refused["events"] == []


def test_streams_are_inside(app: FastAPI, kept: Kept) -> None:
    assert ask(app, "GET", "/stream").text == "012"
    server = kept.span("GET /stream")
    for item in range(3):
        chunk = kept.span(f"chunk {item}")
        assert chunk["parent_span_id"] == server["span_id"]
        assert chunk["end_time"] <= server["end_time"]


def test_signed_queries_are_not_kept(app: FastAPI, kept: Kept) -> None:
    ask(app, "GET", "/hello?sig=s3cret&name=A&X-Goog-Signature=s3cret")
    assert kept.span("GET /hello")["attributes"]["url.query"] == "sig=REDACTED&name=A&X-Goog-Signature=REDACTED"


def test_starlette_and_mounts(kept: Kept) -> None:
    async def user(request: object) -> PlainTextResponse:
        return PlainTextResponse("ok")

    users = Starlette(routes=[Route("/users/{user:int}", user)])
    app = Starlette(routes=[Mount("/api", app=users), Route("/", user)])
    app.add_middleware(ScouterTracingMiddleware, tracer=kept.tracer)
    assert ask(app, "GET", "/api/users/7").status_code == 200
    assert ask(app, "GET", "/").status_code == 200
    assert [span["name"] for span in kept.spans()] == ["GET /api/users/{user:int}", "GET /"]


def test_background_tasks_come_after_the_answer(kept: Kept) -> None:
    async def later() -> None:
        with kept.tracer.start_as_current_span("later"):
            seen.append(len(kept.spans()))

    async def answer(request: object) -> PlainTextResponse:
        return PlainTextResponse("ok", background=BackgroundTask(later))

    seen: list[int] = []
    app = Starlette(routes=[Route("/", answer)])
    app.add_middleware(ScouterTracingMiddleware, tracer=kept.tracer)
    ask(app, "GET", "/")
    assert seen == [1]
    assert kept.span("later")["parent_span_id"] == kept.span("GET /")["span_id"]


async def bare_app(scope: dict, receive: object, send: object) -> None:
    assert trace.get_current_span().is_recording()
    await send({"type": "http.response.start", "status": 200, "headers": [], "trailers": True})
    await send({"type": "http.response.body", "body": b"a", "more_body": True})
    await send({"type": "http.response.body", "body": b"b"})
    assert trace.get_current_span().is_recording()
    await send({"type": "http.response.trailers", "headers": []})
    assert not trace.get_current_span().is_recording()


def exchange(app: object, scope: dict, messages: list[dict] | None = None) -> list[dict]:
    sent: list[dict] = []
    incoming = iter(messages or [])

    async def receive() -> dict:
        return next(incoming)

    async def send(message: dict) -> None:
        sent.append(message)

    asyncio.run(app(scope, receive, send))
    return sent


def test_bare_asgi(kept: Kept) -> None:
    wrapped = ScouterTracingMiddleware(bare_app, tracer=kept.tracer)
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/x",
        "headers": [],
        "server": ("127.0.0.1", 80),
        "scheme": "http",
    }
    assert [message["type"].rpartition(".")[2] for message in exchange(wrapped, scope)] == [
        "start",
        "body",
        "body",
        "trailers",
    ]
    found = kept.span()
    assert found["name"] == "POST"
    assert found["attributes"]["server.address"] == "127.0.0.1"


def test_other_scopes_pass(kept: Kept) -> None:
    seen = []

    async def app(scope: dict, receive: object, send: object) -> None:
        seen.append(scope["type"])

    exchange(ScouterTracingMiddleware(app, tracer=kept.tracer), {"type": "lifespan"})
    assert seen == ["lifespan"]
    assert kept.spans() == []


def test_websockets(kept: Kept) -> None:
    app = FastAPI()
    app.add_middleware(ScouterTracingMiddleware, tracer=kept.tracer)

    @app.websocket("/ws/{room}")
    async def talk(websocket: WebSocket, room: str) -> None:
        await websocket.accept()
        with kept.tracer.start_as_current_span("message"):
            text = await websocket.receive_text()
            await websocket.send_text(f"{room}: {text}")
        await websocket.close()

    scope = {
        "type": "websocket",
        "path": "/ws/lobby",
        "raw_path": b"/ws/lobby",
        "query_string": b"",
        "headers": [(b"traceparent", HEADER.encode()), (b"host", b"[::1]:9000")],
        "scheme": "ws",
        "subprotocols": [],
    }
    incoming = [{"type": "websocket.connect"}, {"type": "websocket.receive", "text": "hi"}]
    sent = exchange(app, scope, incoming)
    assert [message["type"] for message in sent] == ["websocket.accept", "websocket.send", "websocket.close"]
    found = kept.span("GET /ws/{room}")
    assert found["parent_span_id"] == "00f067aa0ba902b7"
    assert found["attributes"]["http.response.status_code"] == 101
    assert found["attributes"]["url.scheme"] == "ws"
    assert (found["attributes"]["server.address"], found["attributes"]["server.port"]) == ("::1", 9000)
    assert kept.span("message")["parent_span_id"] == found["span_id"]


def test_refused_websockets(kept: Kept) -> None:
    async def app(scope: dict, receive: object, send: object) -> None:
        await send({"type": "websocket.close", "code": 1008})

    scope = {"type": "websocket", "path": "/", "headers": []}
    exchange(ScouterTracingMiddleware(app, tracer=kept.tracer), scope)
    assert kept.span()["attributes"]["http.response.status_code"] == 403


def test_a_cancelled_request_ends_without_an_error(kept: Kept) -> None:
    async def app(scope: dict, receive: object, send: object) -> None:
        raise asyncio.CancelledError

    async def main() -> None:
        wrapped = ScouterTracingMiddleware(app, tracer=kept.tracer)
        with pytest.raises(asyncio.CancelledError):
            await wrapped({"type": "http", "method": "GET", "path": "/", "headers": []}, None, None)

    asyncio.run(main())
    assert kept.span()["status"].upper() == "UNSET"


def test_without_a_tracer_it_uses_the_global_provider(kept: Kept) -> None:
    app = FastAPI()
    app.add_middleware(ScouterTracingMiddleware)
    ask(app, "GET", "/early")
    instrument(transport_config=kept.config)
    ask(app, "GET", "/x")
    trace.get_tracer_provider().force_flush()
    (found,) = kept.config.spans
    assert found["attributes"]["url.path"] == "/x"


def test_where_fastapi_opens_a_span_itself_there_is_still_one(kept: Kept) -> None:
    """Newer versions trace requests on their own when a global provider is set."""
    instrument(transport_config=kept.config)
    inside, outside = FastAPI(), FastAPI()
    inside.add_middleware(ScouterTracingMiddleware, tracer=trace.get_tracer("ours"))

    async def hello() -> dict:
        with trace.get_tracer("ours").start_as_current_span("handler"):
            return dict(baggage.get_all())

    async def fail() -> None:
        raise ValueError("broken")

    for app in (inside, outside):
        app.get("/hello/{name}")(hello)
        app.get("/fail")(fail)
    for app in (inside, ScouterTracingMiddleware(outside)):
        kept.config.clear()
        answer = ask(app, "GET", "/hello/you", headers={"traceparent": HEADER, "baggage": "a=1"})
        assert answer.json() == {"a": "1"}
        assert ask(app, "GET", "/fail").status_code == 500
        trace.get_tracer_provider().force_flush()
        spans = {span["name"]: span for span in kept.config.spans}
        assert sorted(spans) == ["GET /fail", "GET /hello/{name}", "handler"]
        server, failed = spans["GET /hello/{name}"], spans["GET /fail"]
        assert len(kept.config.spans) == 3
        assert server["parent_span_id"] == "00f067aa0ba902b7"
        assert spans["handler"]["parent_span_id"] == server["span_id"]
        assert server["kind"] is trace.SpanKind.SERVER
        expected = {"http.route": "/hello/{name}", "http.response.status_code": 200, "client.address": "10.1.2.3"}
        assert expected.items() <= server["attributes"].items()
        assert failed["status"].upper() == "ERROR"
        assert [event["name"] for event in failed["events"]] == ["exception"]
        assert failed["attributes"]["http.response.status_code"] == 500
        assert failed["attributes"]["error.type"] == "ValueError"


def test_a_tracer_of_another_pipeline_gets_a_span_of_its_own(kept: Kept) -> None:
    globally = MockConfig()
    instrument(transport_config=globally)
    app = FastAPI()
    app.add_middleware(ScouterTracingMiddleware, tracer=kept.tracer)
    ask(app, "GET", "/nowhere", headers={"traceparent": HEADER})
    assert kept.span()["parent_span_id"] == "00f067aa0ba902b7"


def test_tracers_of_the_sdk_work_too() -> None:
    exporter = InMemorySpanExporter()
    provider = SdkProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    app = FastAPI()
    app.add_middleware(ScouterTracingMiddleware, tracer=provider.get_tracer("x"))
    ask(app, "GET", "/nowhere", headers={"traceparent": HEADER})
    (span,) = exporter.get_finished_spans()
    assert span.parent.span_id == 0x00F067AA0BA902B7


def test_bad_arguments() -> None:
    with pytest.raises(ConfigTypeError, match="app must be an ASGI application"):
        ScouterTracingMiddleware(None)
    with pytest.raises(ConfigTypeError, match="tracer must be a tracer"):
        ScouterTracingMiddleware(bare_app, tracer="x")
