"""The middleware behind a real server: parallel requests, streams, clients that leave, websockets, other middleware."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import http.client
import json
import socket
import threading
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from asgi_service import Service
from fastapi import FastAPI
from opentelemetry import baggage, propagate, trace
from opentelemetry.propagators.b3 import B3MultiFormat
from opentelemetry.propagators.composite import CompositePropagator
from opentelemetry.sdk.trace import TracerProvider as SdkProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket
from support import Kept, until
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from scouter.tracing import ScouterTracingMiddleware, get_tracing_headers_from_current_span, instrument, uninstrument

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


def traced(kept: Kept, *routes: Any, **options: Any) -> Starlette:
    return Starlette(
        routes=list(routes), middleware=[Middleware(ScouterTracingMiddleware, tracer=kept.tracer)], **options
    )


def spans(kept: Kept, count: int) -> list[dict[str, Any]]:
    """The server tells the client that the answer is complete a moment before the application hears of it."""
    return until(f"{count} spans", lambda: found if len(found := kept.spans()) >= count else None)


class TestParallel:
    def test_a_thousand_requests(self, kept: Kept) -> None:
        """All of them inside at once, half of them in threads; each one in its own trace with its own baggage."""
        inside = 0
        all_inside = asyncio.Event()

        async def handler(request: Request) -> JSONResponse:
            nonlocal inside
            with kept.tracer.start_as_current_span("inner") as span:
                span.set_attribute("number", request.path_params["number"])
                inside += 1
                if inside == 1000:
                    all_inside.set()
                await all_inside.wait()
                await asyncio.sleep(0)
                in_thread = contextvars.copy_context().run
                seen = await asyncio.get_running_loop().run_in_executor(None, in_thread, baggage.get_baggage, "number")
                return JSONResponse({"seen": seen, **get_tracing_headers_from_current_span()})

        async def main() -> list[dict[str, str]]:
            transport = httpx.ASGITransport(traced(kept, Route("/{number:int}", handler)))
            async with httpx.AsyncClient(transport=transport, base_url="http://x", timeout=60) as client:

                async def one(number: int) -> dict[str, str]:
                    headers = {
                        "traceparent": f"00-{number + 1:032x}-{number + 1:016x}-01",
                        "baggage": f"number={number}",
                    }
                    return (await client.get(f"/{number}", headers=headers)).json()

                return await asyncio.gather(*map(one, range(1000)))

        answers = asyncio.run(main())
        servers, inner = {}, {}
        for span in kept.spans():
            (inner if span["name"] == "inner" else servers)[int(span["trace_id"], 16) - 1] = span
        assert len(servers) == len(inner) == 1000
        for number, answer in enumerate(answers):
            assert answer["seen"] == str(number)
            assert answer["baggage"] == f"number={number}"
            assert answer["traceparent"].split("-")[1] == f"{number + 1:032x}"
            assert servers[number]["parent_span_id"] == f"{number + 1:016x}"
            assert inner[number]["parent_span_id"] == servers[number]["span_id"]
            assert inner[number]["attributes"]["number"] == number

    def test_over_connections(self, kept: Kept) -> None:
        app = FastAPI()
        app.add_middleware(ScouterTracingMiddleware, tracer=kept.tracer)

        @app.get("/sync/{number}")
        def sync(number: int) -> dict[str, str]:
            """Handlers that are no coroutines run in a pool of threads, under the span of their request."""
            assert trace.get_current_span().is_recording()
            return get_tracing_headers_from_current_span()

        wrong = []

        def client(first: int) -> None:
            with httpx.Client(base_url=service.uri, trust_env=False) as client:
                for number in range(first, first + 25):
                    headers = {"traceparent": f"00-{number + 1:032x}-{number + 1:016x}-01"}
                    got = client.get(f"/sync/{number}", headers=headers).json()
                    if got["traceparent"].split("-")[1] != f"{number + 1:032x}":
                        wrong.append((number, got))

        with Service(app) as service:
            threads = [threading.Thread(target=client, args=(worker * 25,)) for worker in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        assert wrong == []
        assert len({span["trace_id"] for span in spans(kept, 200)}) == 200


class TestStreams:
    def test_the_span_lasts_as_long_as_the_answer(self, kept: Kept) -> None:
        go_on = threading.Event()

        async def body() -> AsyncIterator[str]:
            yield "first"
            await asyncio.to_thread(go_on.wait, 20)
            with kept.tracer.start_as_current_span("late part"):
                yield "last"

        async def handler(request: Request) -> StreamingResponse:
            return StreamingResponse(body())

        with (
            Service(traced(kept, Route("/s", handler))) as service,
            httpx.stream("GET", f"{service.uri}/s", trust_env=False) as answer,
        ):
            parts = answer.iter_text()
            assert next(parts) == "first"
            assert kept.spans() == []
            go_on.set()
            assert "".join(parts) == "last"
            spans(kept, 2)
        server, late = kept.span("GET /s"), kept.span("late part")
        assert late["parent_span_id"] == server["span_id"]
        assert server["start_time"] < late["start_time"] <= late["end_time"] <= server["end_time"]
        assert server["status"].upper() == "UNSET"

    def test_server_sent_events_until_the_client_leaves(self, kept: Kept) -> None:
        async def events() -> AsyncIterator[str]:
            number = 0
            while True:
                yield f"data: {number}\n\n"
                number += 1
                await asyncio.sleep(0.01)

        async def handler(request: Request) -> StreamingResponse:
            return StreamingResponse(events(), media_type="text/event-stream")

        with Service(traced(kept, Route("/events", handler))) as service:
            with httpx.stream("GET", f"{service.uri}/events", trust_env=False) as answer:
                lines = answer.iter_lines()
                assert next(lines) == "data: 0"
                assert kept.spans() == []
            (span,) = spans(kept, 1)
        assert span["name"] == "GET /events"
        assert span["attributes"]["http.response.status_code"] == 200

    def test_a_client_that_leaves_while_it_is_waited_for(self, kept: Kept) -> None:
        async def handler(request: Request) -> PlainTextResponse:
            while not await request.is_disconnected():
                await asyncio.sleep(0.01)
            return PlainTextResponse("nobody reads this")

        with Service(traced(kept, Route("/wait", handler, methods=["POST"]))) as service:
            connection = socket.create_connection(("127.0.0.1", service.port))
            connection.sendall(b"POST /wait HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n")
            connection.close()
            (span,) = spans(kept, 1)
        assert span["name"] == "POST /wait"
        assert span["status"].upper() == "UNSET"

    def test_a_client_that_leaves_in_the_middle_of_its_request(self, kept: Kept) -> None:
        """Reading the rest of the body raises in the application: an exception like any other."""

        async def handler(request: Request) -> PlainTextResponse:
            return PlainTextResponse(await request.body())

        with Service(traced(kept, Route("/upload", handler, methods=["POST"]))) as service:
            connection = socket.create_connection(("127.0.0.1", service.port))
            connection.sendall(b"POST /upload HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\npart")
            connection.close()
            (span,) = spans(kept, 1)
        assert span["status"].upper() == "ERROR"
        assert span["attributes"]["error.type"] == "starlette.requests.ClientDisconnect"

    def test_a_stream_that_breaks(self, kept: Kept) -> None:
        async def body() -> AsyncIterator[str]:
            yield "first"
            raise ValueError("broken")

        async def handler(request: Request) -> StreamingResponse:
            return StreamingResponse(body())

        with (
            Service(traced(kept, Route("/s", handler))) as service,
            pytest.raises(httpx.RemoteProtocolError),
        ):
            httpx.get(f"{service.uri}/s", trust_env=False)
        (span,) = spans(kept, 1)
        assert span["status"].upper() == "ERROR"
        # The status had gone out already.
        assert span["attributes"]["http.response.status_code"] == 200
        assert span["attributes"]["error.type"] == "ValueError"

    @pytest.mark.parametrize("method", ["HEAD", "OPTIONS"])
    def test_answers_without_a_body(self, kept: Kept, method: str) -> None:
        async def handler(request: Request) -> PlainTextResponse:
            return PlainTextResponse("body")

        with Service(traced(kept, Route("/x", handler, methods=["GET", "OPTIONS"]))) as service:
            connection = http.client.HTTPConnection("127.0.0.1", service.port)
            connection.request(method, "/x")
            assert connection.getresponse().status == 200
            connection.close()
            (span,) = spans(kept, 1)
        assert span["name"] == f"{method} /x"

    def test_a_background_task_that_fails(self, kept: Kept) -> None:
        """The answer was fine; what is done afterwards stands under it, and is not part of it."""

        def later() -> None:
            with kept.tracer.start_as_current_span("later"):
                raise ValueError("later")

        async def handler(request: Request) -> PlainTextResponse:
            return PlainTextResponse("ok", background=BackgroundTask(later))

        with Service(traced(kept, Route("/x", handler))) as service:
            assert httpx.get(f"{service.uri}/x", trust_env=False).text == "ok"
            spans(kept, 2)
        server, later_span = kept.span("GET /x"), kept.span("later")
        assert later_span["parent_span_id"] == server["span_id"]
        assert server["end_time"] <= later_span["end_time"]
        assert server["status"].upper() == "UNSET"


class TestWebsockets:
    @pytest.fixture
    def talk(self, kept: Kept) -> Any:
        """Does what it is told: closes with a code, raises, or reads on until the client leaves."""

        async def handler(websocket: WebSocket) -> None:
            if websocket.path_params["room"] == "closed":
                await websocket.close(1008)
                return
            if websocket.path_params["room"] == "early":
                raise ValueError("before it was accepted")
            await websocket.accept(headers=[(b"x-room", b"1")])
            while True:
                told = await websocket.receive_text()
                with kept.tracer.start_as_current_span(told):
                    await websocket.send_text(json.dumps(get_tracing_headers_from_current_span()))
                if told == "raise":
                    raise ValueError("broken")
                if told.isdigit():
                    await websocket.close(int(told))
                    return

        return traced(kept, WebSocketRoute("/ws/{room}", handler))

    @pytest.mark.parametrize(
        ("told", "status", "error"),
        [
            ("1000", "UNSET", None),
            ("3000", "UNSET", None),
            ("1008", "UNSET", None),
            ("1011", "ERROR", "1011"),
            ("raise", "ERROR", "ValueError"),
        ],
    )
    def test_the_server_ends_it(self, kept: Kept, talk: Any, told: str, status: str, error: str | None) -> None:
        headers = {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}
        with Service(talk) as service, connect(f"ws{service.uri[4:]}/ws/a", additional_headers=headers) as client:
            for message in ("hello", told):
                client.send(message)
                assert json.loads(client.recv())["traceparent"].split("-")[1] == TRACE
            with pytest.raises(ConnectionClosed):
                client.recv()
            spans(kept, 3)
        server = kept.span("GET /ws/{room}")
        assert server["parent_span_id"] == "00f067aa0ba902b7"
        assert {kept.span(name)["parent_span_id"] for name in ("hello", told)} == {server["span_id"]}
        assert server["status"].upper() == status
        assert server["attributes"].get("error.type") == error
        assert server["attributes"]["http.response.status_code"] == 101
        assert server["attributes"]["url.scheme"] == "ws"
        assert [event["name"] for event in server["events"]] == (["exception"] if told == "raise" else [])

    @pytest.mark.parametrize(("code", "status"), [(1000, "UNSET"), (1001, "UNSET"), (3001, "ERROR"), (1011, "ERROR")])
    def test_the_client_ends_it(self, kept: Kept, talk: Any, code: int, status: str) -> None:
        """Starlette raises `WebSocketDisconnect` in the handler. For an ordinary end that is no error."""
        with Service(talk) as service:
            with connect(f"ws{service.uri[4:]}/ws/a") as client:
                client.close(code)
            (span,) = spans(kept, 1)
        assert span["status"].upper() == status
        assert len(span["events"]) == (status == "ERROR")

    def test_a_connection_that_breaks(self, kept: Kept, talk: Any) -> None:
        with Service(talk) as service:
            with connect(f"ws{service.uri[4:]}/ws/a") as client:
                client.socket.shutdown(socket.SHUT_RDWR)
            (span,) = spans(kept, 1)
        assert span["name"] == "GET /ws/{room}"

    @pytest.mark.parametrize(("room", "answer", "error"), [("closed", 403, None), ("early", 500, "ValueError")])
    def test_it_never_opens(self, kept: Kept, talk: Any, room: str, answer: int, error: str | None) -> None:
        with Service(talk) as service, pytest.raises(InvalidStatus) as refused:
            connect(f"ws{service.uri[4:]}/ws/{room}")
        assert refused.value.response.status_code == answer
        (span,) = spans(kept, 1)
        assert span["attributes"]["http.response.status_code"] == answer
        assert span["attributes"].get("error.type") == error


class TestOtherMiddleware:
    @pytest.mark.parametrize("inside", [True, False])
    def test_one_that_raises(self, kept: Kept, inside: bool) -> None:
        class Raising:
            def __init__(self, app: Any) -> None:
                self.app = app

            async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
                await self.app(scope, receive, send) if not inside else None
                raise ValueError("in a middleware")

        async def handler(request: Request) -> PlainTextResponse:
            return PlainTextResponse("ok")

        ours, theirs = Middleware(ScouterTracingMiddleware, tracer=kept.tracer), Middleware(Raising)
        app = Starlette(routes=[Route("/x", handler)], middleware=[ours, theirs] if inside else [theirs, ours])
        with Service(app) as service:
            assert httpx.get(f"{service.uri}/x", trust_env=False).status_code == (500 if inside else 200)
        (span,) = spans(kept, 1)
        assert span["status"].upper() == ("ERROR" if inside else "UNSET")
        assert span["attributes"]["http.response.status_code"] == (500 if inside else 200)

    def test_one_that_moves_the_application_to_a_task(self, kept: Kept) -> None:
        """`BaseHTTPMiddleware` does. Attributes that it sets on the current span, a live one, are kept."""

        async def dispatch(request: Request, call_next: Any) -> Any:
            span = trace.get_current_span()
            assert (span.name, span.kind) == ("GET", trace.SpanKind.SERVER)
            assert span.attributes["url.path"] == "/x"
            span.set_attribute("seen", True)
            return await call_next(request)

        async def handler(request: Request) -> JSONResponse:
            with kept.tracer.start_as_current_span("inner"):
                return JSONResponse(dict(baggage.get_all()))

        app = traced(kept, Route("/x", handler))
        app.user_middleware.append(Middleware(BaseHTTPMiddleware, dispatch=dispatch))
        with Service(app) as service:
            assert httpx.get(f"{service.uri}/x", headers={"baggage": "a=1"}, trust_env=False).json() == {"a": "1"}
            spans(kept, 2)
        server = kept.span("GET /x")
        assert server["attributes"]["seen"] is True
        assert kept.span("inner")["parent_span_id"] == server["span_id"]


def test_the_lifespan_is_not_touched(kept: Kept) -> None:
    seen = []

    async def lifespan(app: Any) -> AsyncIterator[None]:
        seen.append(trace.get_current_span() is trace.INVALID_SPAN)
        yield
        seen.append("ended")

    app = traced(kept, lifespan=contextlib.asynccontextmanager(lifespan))
    with Service(app, lifespan="on"):
        pass
    assert seen == [True, "ended"]
    assert kept.spans() == []


class TestGlobalSettings:
    def test_a_provider_of_the_sdk(self) -> None:
        """Whoever is the global provider when a request comes, gets the span, and FastAPI opens no second one."""
        exporter = InMemorySpanExporter()
        provider = SdkProvider(shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(exporter))
        app = FastAPI()
        app.add_middleware(ScouterTracingMiddleware)
        app.get("/x/{y}")(lambda y: y)
        once = trace._TRACER_PROVIDER_SET_ONCE
        before = trace._TRACER_PROVIDER
        trace._TRACER_PROVIDER = provider
        try:
            with Service(app) as service:
                httpx.get(f"{service.uri}/x/1", trust_env=False)
                until("a span", exporter.get_finished_spans)
        finally:
            trace._TRACER_PROVIDER = before
        assert not once._done
        (span,) = exporter.get_finished_spans()
        assert span.name == "GET /x/{y}"
        assert span.attributes["http.response.status_code"] == 200

    def test_instrumented_later_and_once_more(self, kept: Kept) -> None:
        async def handler(request: Request) -> JSONResponse:
            return JSONResponse(get_tracing_headers_from_current_span())

        def sent() -> int:
            trace.get_tracer_provider().force_flush()
            return len(kept.config.spans)

        app = ScouterTracingMiddleware(Starlette(routes=[Route("/x", handler)]))
        with Service(app) as service:
            assert httpx.get(f"{service.uri}/x", trust_env=False).json() == {}
            for count in (1, 2):
                instrument(transport_config=kept.config)
                assert httpx.get(f"{service.uri}/x", trust_env=False).json().keys() == {"traceparent"}
                until("the span", lambda count=count: sent() == count)
                uninstrument()
            assert httpx.get(f"{service.uri}/x", trust_env=False).json() == {}
        assert [span["name"] for span in kept.config.spans] == ["GET /x", "GET /x"]

    def test_another_propagator_that_was_installed(self, kept: Kept) -> None:
        """What the program has chosen is used, and what reads W3C headers is strict all the same."""
        before = propagate.get_global_textmap()
        app = traced(kept)
        headers = {"x-b3-traceid": TRACE, "x-b3-spanid": "00f067aa0ba902b7", "x-b3-sampled": "1", "baggage": "a=1;p"}
        repeated = [("traceparent", f"00-{TRACE}-00f067aa0ba902b7-01")] * 2
        with Service(app) as service:
            try:
                propagate.set_global_textmap(B3MultiFormat())
                httpx.get(service.uri, headers=headers, trust_env=False)
                propagate.set_global_textmap(CompositePropagator([*before._propagators, B3MultiFormat()]))
                httpx.get(service.uri, headers=[*repeated, *headers.items()], trust_env=False)
                httpx.get(service.uri, headers=repeated, trust_env=False)
            finally:
                propagate.set_global_textmap(before)
        assert [span["trace_id"] == TRACE for span in spans(kept, 3)] == [True, True, False]
