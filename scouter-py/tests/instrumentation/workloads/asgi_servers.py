"""ASGI frameworks: by their instrumentation, by what FastAPI and Starlette bring themselves, and by both."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import contextmanager
from typing import Any

import requests
from fastapi import APIRouter, FastAPI, HTTPException, WebSocket
from local_servers import asgi
from opentelemetry import baggage, trace
from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
from opentelemetry.instrumentation.requests import RequestsInstrumentor
from opentelemetry.instrumentation.starlette import StarletteInstrumentor
from scenarios import CALLER, Program, Trial, instrumented
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.middleware import Middleware
from starlette.middleware.opentelemetry import OpenTelemetryMiddleware as StarletteMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Mount, Route, WebSocketRoute
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from workloads import requests_of

SCENARIOS = Program()


class Handlers:
    """What the applications do, the same in each framework."""

    def __init__(self, trial: Trial) -> None:
        self._trial = trial
        self._tracer = trial.tracer

    def greeting(self, name: str) -> dict[str, Any]:
        with self._tracer.start_as_current_span("greet", attributes={"name": name}):
            return {"hello": name}

    def call(self) -> dict[str, Any]:
        """Asks another service, in the caller's trace."""
        session = requests.Session()
        session.trust_env = False
        with session, self._tracer.start_as_current_span("before the call"):
            status = session.get(f"{self._trial.uri}/ok/called").status_code
        return {"status": status, "baggage": dict(baggage.get_all())}

    async def chunks(self) -> AsyncIterator[str]:
        for number in range(3):
            with self._tracer.start_as_current_span(f"chunk {number}"):
                await asyncio.sleep(0)
                yield f"{number};"

    async def broken_chunks(self) -> AsyncIterator[str]:
        with self._tracer.start_as_current_span("breaks"):
            yield "part"
            raise OSError("the disk is gone")

    async def endless(self) -> AsyncIterator[str]:
        while True:
            yield "x" * 1000
            await asyncio.sleep(0)

    def later(self) -> None:
        with self._tracer.start_as_current_span("after the answer"):
            pass

    def fail(self) -> None:
        with self._tracer.start_as_current_span("fails"):
            raise LookupError("no such thing: é")

    def annotate(self) -> dict[str, Any]:
        """Reads and changes the span of the request itself."""
        span: Any = trace.get_current_span()
        span.set_attributes({"annotated": True, "list": [1, 2]})
        span.add_event("seen", {"at": "handler"})
        return {"recording": span.is_recording(), "kind": str(getattr(span, "kind", None))}

    async def talk(self, socket: Any) -> None:
        await socket.accept()
        with self._tracer.start_as_current_span("conversation"):
            while (said := await socket.receive_text()) != "bye":
                if said == "fail":
                    raise LookupError("cannot say that")
                await socket.send_text(said.upper())
        await socket.close()


def fastapi_app(trial: Trial, **options: Any) -> FastAPI:
    do = Handlers(trial)
    app = FastAPI(**options)
    router = APIRouter(prefix="/v1")

    @app.get("/hello")
    async def hello(name: str = "World") -> dict:
        return do.greeting(name)

    @app.post("/hello")
    async def posted() -> dict:
        return do.greeting("poster")

    @app.get("/users/{user}")
    @router.get("/users/{user}")
    async def user(user: str) -> dict:
        await asyncio.sleep(0)
        return do.greeting(user)

    @app.get("/unavailable", status_code=503)
    async def unavailable() -> dict:
        return {}

    @app.get("/teapot")
    async def teapot() -> dict:
        raise HTTPException(418, "short and stout")

    @app.get("/fail")
    async def fail() -> None:
        do.fail()

    @app.get("/stream")
    async def stream() -> StreamingResponse:
        return StreamingResponse(do.chunks())

    @app.get("/broken-stream")
    async def broken_stream() -> StreamingResponse:
        return StreamingResponse(do.broken_chunks())

    @app.get("/endless")
    async def endless() -> StreamingResponse:
        return StreamingResponse(do.endless())

    @app.get("/background")
    async def background() -> Response:
        return PlainTextResponse("done", background=BackgroundTask(do.later))

    @app.get("/call")
    def call() -> dict:
        return do.call()

    @app.get("/sync")
    def sync() -> dict:
        return do.greeting("thread")

    @app.get("/annotated")
    async def annotated() -> dict:
        return do.annotate()

    @app.get("/hidden")
    async def hidden() -> dict:
        return do.greeting("hidden")

    @app.websocket("/talk")
    async def talk(socket: WebSocket) -> None:
        await do.talk(socket)

    app.include_router(router)
    return app


def starlette_app(trial: Trial, **options: Any) -> Starlette:
    do = Handlers(trial)

    async def hello(request: Request) -> Response:
        return JSONResponse(do.greeting(request.query_params.get("name", "World")))

    async def user(request: Request) -> Response:
        await asyncio.sleep(0)
        return JSONResponse(do.greeting(request.path_params["user"]))

    async def unavailable(_: Request) -> Response:
        return PlainTextResponse("", 503)

    async def teapot(_: Request) -> Response:
        raise StarletteHTTPException(418, "short and stout")

    async def fail(_: Request) -> Response:
        do.fail()
        raise AssertionError

    async def stream(_: Request) -> Response:
        return StreamingResponse(do.chunks())

    async def broken_stream(_: Request) -> Response:
        return StreamingResponse(do.broken_chunks())

    async def endless(_: Request) -> Response:
        return StreamingResponse(do.endless())

    async def background(_: Request) -> Response:
        return PlainTextResponse("done", background=BackgroundTask(do.later))

    def call(_: Request) -> Response:
        return JSONResponse(do.call())

    def sync(_: Request) -> Response:
        return JSONResponse(do.greeting("thread"))

    async def annotated(_: Request) -> Response:
        return JSONResponse(do.annotate())

    async def hidden(_: Request) -> Response:
        return JSONResponse(do.greeting("hidden"))

    functions = [unavailable, teapot, fail, stream, broken_stream, endless, background, call, sync, annotated, hidden]
    routes = [
        Route("/hello", hello, methods=["GET", "POST"]),
        Route("/users/{user}", user),
        *(Route(f"/{function.__name__.replace('_', '-')}", function) for function in functions),
        Mount("/v1", routes=[Route("/users/{user}", user)]),
        WebSocketRoute("/talk", do.talk),
    ]
    return Starlette(routes=routes, **options)


def fastapi_by_itself(trial: Trial) -> Any:
    return fastapi_app(trial)


def fastapi_instrumented(trial: Trial) -> Any:
    app = fastapi_app(trial)
    FastAPIInstrumentor.instrument_app(app, excluded_urls="hidden")
    return app


def fastapi_quiet_instrumented(trial: Trial) -> Any:
    app = fastapi_app(trial, telemetry={"tracing": False})
    FastAPIInstrumentor.instrument_app(app, exclude_spans=["receive", "send"])
    return app


def starlette_instrumented(trial: Trial) -> Any:
    app = starlette_app(trial)
    StarletteInstrumentor.instrument_app(app)
    return app


def starlette_own(trial: Trial) -> Any:
    return starlette_app(trial, middleware=[Middleware(StarletteMiddleware, excluded_urls="hidden")])


def bare_asgi(trial: Trial) -> Any:
    def named(span: trace.Span, scope: Any) -> None:
        if span.is_recording():
            span.set_attribute("hook.path", scope["path"])

    return OpenTelemetryMiddleware(starlette_app(trial), server_request_hook=named, excluded_urls="hidden")


APPS: dict[str, Callable[[Trial], Any]] = {
    "FastAPI by itself": fastapi_by_itself,
    "FastAPI instrumented": fastapi_instrumented,
    "FastAPI quiet and instrumented": fastapi_quiet_instrumented,
    "Starlette instrumented": starlette_instrumented,
    "Starlette's middleware": starlette_own,
    "ASGI": bare_asgi,
}


@contextmanager
def _serving(make: Callable[[Trial], Any], trial: Trial) -> Any:
    with instrumented(RequestsInstrumentor()):
        app = make(trial)
        with asgi(app) as [port], trial.named(port, "server") as uri:
            yield uri
        if make in (fastapi_instrumented, fastapi_quiet_instrumented):
            FastAPIInstrumentor.uninstrument_app(app)


def _talks(uri: str) -> list[Any]:
    """Websockets: a conversation, one that fails, one that is broken off, and one that nobody listens to."""
    address = f"ws{uri.removeprefix('http')}"
    with connect(f"{address}/talk", additional_headers=CALLER.headers(baggage="user=7"), proxy=None) as socket:
        socket.send("hello")
        heard: list[Any] = [socket.recv()]
        socket.send("bye")
        heard.append(_closing(socket))
    with connect(f"{address}/talk", proxy=None) as socket:
        socket.send("fail")
        heard.append(_closing(socket))
    with connect(f"{address}/talk", proxy=None) as socket:
        socket.send("hello")
        heard.append(socket.recv())
    try:
        connect(f"{address}/nowhere", proxy=None)
    except InvalidStatus as error:
        heard.append(error.response.status_code)
    return heard


def _closing(socket: Any) -> int | None:
    try:
        return socket.recv()
    except ConnectionClosed as closed:
        return closed.rcvd and closed.rcvd.code


def _add(name: str, make: Callable[[Trial], Any]) -> None:
    @SCENARIOS.scenario(f"{name}: one by one")
    def one_by_one(trial: Trial) -> Any:
        with _serving(make, trial) as uri:
            return requests_of.one_by_one(uri)

    @SCENARIOS.scenario(f"{name}: continuing")
    def continuing(trial: Trial) -> Any:
        with _serving(make, trial) as uri:
            return requests_of.continuing(uri)

    @SCENARIOS.scenario(f"{name}: at once")
    def at_once(trial: Trial) -> Any:
        with _serving(make, trial) as uri:
            return requests_of.at_once(uri)

    @SCENARIOS.scenario(f"{name}: websockets")
    def websockets(trial: Trial) -> Any:
        with _serving(make, trial) as uri:
            return _talks(uri)


for _name, _make in APPS.items():
    _add(_name, _make)


# Not those that have a span for every part of the answer: how many were sent is not known.
for _name in ("FastAPI by itself", "FastAPI quiet and instrumented", "Starlette's middleware"):

    @SCENARIOS.scenario(f"{_name}: left early")
    def left_early(trial: Trial, make: Callable[[Trial], Any] = APPS[_name]) -> Any:
        with _serving(make, trial) as uri:
            return requests_of.left_early(uri)


@SCENARIOS.scenario("FastAPI instrumented as a class, twice")
def fastapi_class(trial: Trial) -> Any:
    import fastapi

    seen = []
    for _ in range(2):
        with instrumented(FastAPIInstrumentor()):
            app = fastapi.FastAPI()

            @app.get("/hello")
            async def hello() -> dict:
                return {"kind": str(getattr(trace.get_current_span(), "kind", None))}

            with asgi(app) as [port], trial.named(port, "server") as uri:
                seen.append(requests_of.one_by_one(uri, ("/hello",)))
        trial.renew_provider()
    return seen
