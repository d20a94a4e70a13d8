"""Servers that are not ASGI: Flask, bare WSGI, aiohttp."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from contextlib import contextmanager
from typing import Any

import requests
from local_servers import aiohttp_app, wsgi
from opentelemetry import baggage, trace
from opentelemetry.instrumentation.aiohttp_server import AioHttpServerInstrumentor
from opentelemetry.instrumentation.flask import FlaskInstrumentor
from opentelemetry.instrumentation.requests import RequestsInstrumentor
from opentelemetry.instrumentation.wsgi import OpenTelemetryMiddleware
from scenarios import Program, Trial, instrumented

from workloads import requests_of

SCENARIOS = Program()


class Handlers:
    """What the applications do."""

    def __init__(self, trial: Trial) -> None:
        self._trial = trial
        self._tracer = trial.tracer

    def greeting(self, name: str) -> dict[str, Any]:
        with self._tracer.start_as_current_span("greet", attributes={"name": name}):
            return {"hello": name}

    def call(self) -> dict[str, Any]:
        session = requests.Session()
        session.trust_env = False
        with session, self._tracer.start_as_current_span("before the call"):
            status = session.get(f"{self._trial.uri}/ok/called").status_code
        return {"status": status, "baggage": dict(baggage.get_all())}

    def chunks(self) -> Iterable[bytes]:
        for number in range(3):
            with self._tracer.start_as_current_span(f"chunk {number}"):
                yield b"%d;" % number

    def broken_chunks(self) -> Iterable[bytes]:
        with self._tracer.start_as_current_span("breaks"):
            yield b"part"
            raise OSError("the disk is gone")

    def fail(self) -> None:
        with self._tracer.start_as_current_span("fails"):
            raise LookupError("no such thing: é")

    def annotate(self) -> dict[str, Any]:
        span: Any = trace.get_current_span()
        span.set_attributes({"annotated": True, "list": [1, 2]})
        span.add_event("seen", {"at": "handler"})
        return {"recording": span.is_recording(), "kind": str(getattr(span, "kind", None))}


def flask_app(trial: Trial) -> Any:
    import flask

    do = Handlers(trial)
    app = flask.Flask("shop")

    @app.route("/hello", methods=["GET", "POST"])
    def hello() -> Any:
        return do.greeting(flask.request.args.get("name", "World"))

    @app.route("/users/<user>")
    @app.route("/v1/users/<user>")
    def user(user: str) -> Any:
        return do.greeting(user)

    @app.route("/unavailable")
    def unavailable() -> Any:
        return {}, 503

    @app.route("/teapot")
    def teapot() -> Any:
        flask.abort(418)

    @app.route("/fail")
    def fail() -> Any:
        do.fail()

    @app.route("/stream")
    def stream() -> Any:
        return flask.Response(do.chunks())

    @app.route("/call")
    def call() -> Any:
        return do.call()

    @app.route("/annotated")
    def annotated() -> Any:
        return do.annotate()

    @app.teardown_request
    def over(_: BaseException | None) -> None:
        with trial.tracer.start_as_current_span("teardown"):
            pass

    app.logger.disabled = True
    return app


def wsgi_app(trial: Trial) -> Any:
    do = Handlers(trial)

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        if path == "/fail":
            do.fail()
        status = {"/nowhere": "404 Not Found", "/unavailable": "503 Service Unavailable"}.get(path, "200 OK")
        start_response(status, [("content-type", "text/plain"), ("x-answer", "42")])
        if path == "/stream":
            return do.chunks()
        if path == "/broken-stream":
            return do.broken_chunks()
        body = do.call() if path == "/call" else do.annotate() if path == "/annotated" else do.greeting(path)
        return [str(body).encode()]

    return OpenTelemetryMiddleware(app)


def aiohttp_server(trial: Trial) -> Any:
    from aiohttp import web

    do = Handlers(trial)
    routes = web.RouteTableDef()

    @routes.get("/hello")
    @routes.post("/hello")
    async def hello(request: web.Request) -> web.Response:
        return web.json_response(do.greeting(request.query.get("name", "World")))

    @routes.get("/users/{user}")
    @routes.get("/v1/users/{user}")
    async def user(request: web.Request) -> web.Response:
        await asyncio.sleep(0)
        return web.json_response(do.greeting(request.match_info["user"]))

    @routes.get("/unavailable")
    async def unavailable(_: web.Request) -> web.Response:
        raise web.HTTPServiceUnavailable

    @routes.get("/teapot")
    async def teapot(_: web.Request) -> web.Response:
        return web.Response(status=418, text="short and stout")

    @routes.get("/fail")
    async def fail(_: web.Request) -> web.Response:
        do.fail()
        raise AssertionError

    @routes.get("/stream")
    async def stream(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        for chunk in do.chunks():
            await answer.write(chunk)
        return answer

    @routes.get("/call")
    async def call(_: web.Request) -> web.Response:
        return web.json_response(await asyncio.to_thread(do.call))

    @routes.get("/annotated")
    async def annotated(_: web.Request) -> web.Response:
        return web.json_response(do.annotate())

    app = web.Application()
    app.add_routes(routes)
    return app


@contextmanager
def _flask(trial: Trial) -> Any:
    with instrumented(FlaskInstrumentor()), wsgi(flask_app(trial)) as port:
        yield port


@contextmanager
def _wsgi(trial: Trial) -> Any:
    with wsgi(wsgi_app(trial)) as port:
        yield port


@contextmanager
def _aiohttp(trial: Trial) -> Any:
    with instrumented(AioHttpServerInstrumentor()), aiohttp_app(aiohttp_server(trial)) as port:
        yield port


SERVERS: dict[str, Any] = {"Flask": _flask, "WSGI": _wsgi, "aiohttp": _aiohttp}

RUNS: dict[str, Callable[[str], Any]] = {
    "one by one": requests_of.one_by_one,
    "continuing": requests_of.continuing,
    "at once": requests_of.at_once,
}


def _add(name: str, serving: Any, what: str, run: Callable[[str], Any]) -> None:
    @SCENARIOS.scenario(f"{name}: {what}")
    def scenario(trial: Trial) -> Any:
        with instrumented(RequestsInstrumentor()), serving(trial) as port, trial.named(port, "server") as uri:
            return run(uri)


for _name, _serving in SERVERS.items():
    for _what, _run in RUNS.items():
        _add(_name, _serving, _what, _run)


@SCENARIOS.scenario("Flask, twice")
def flask_twice(trial: Trial) -> Any:
    seen = []
    for _ in range(2):
        with _flask(trial) as port, trial.named(port, "server") as uri:
            seen.append(requests_of.one_by_one(uri, ("/hello",)))
        trial.renew_provider()
    return seen
