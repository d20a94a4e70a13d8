"""The templates of routes that name spans: plain, included, mounted, and found by nobody."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import APIRouter, FastAPI, HTTPException, WebSocket
from opentelemetry import trace
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Host, Mount, Route, Router, WebSocketRoute
from starlette.staticfiles import StaticFiles
from support import Kept

from scouter.tracing import ScouterTracingMiddleware, http_route, instrument


async def ok(request: Request) -> PlainTextResponse:
    return PlainTextResponse("ok")


def ask(app: Any, method: str, url: str, **scope: Any) -> int:
    async def given(asked: dict[str, Any], receive: Any, send: Any) -> None:
        asked.update(scope)
        await app(asked, receive, send)

    async def main() -> int:
        transport = httpx.ASGITransport(given, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
            return (await client.request(method, url)).status_code

    return asyncio.run(main())


def fastapi_app() -> FastAPI:
    inner = APIRouter(prefix="/inner")

    @inner.get("/items/{item:int}")
    async def read_item(item: int) -> int:
        return item

    @inner.websocket("/ws/{room}")
    async def talk(websocket: WebSocket, room: str) -> None:
        await websocket.accept()
        await websocket.close()

    @inner.get("/forbidden/{user}")
    async def forbidden(user: str) -> None:
        raise HTTPException(403)

    outer = APIRouter()
    outer.include_router(inner, prefix="/outer")
    sub = FastAPI()
    sub.get("/things/{thing}")(ok)
    sub.get("/")(ok)
    sub.include_router(inner, prefix="/again")
    app = FastAPI()
    app.include_router(inner)
    app.include_router(outer, prefix="/v{version}")
    app.add_route("/plain/{name}", ok)
    app.get("/", name="root")(ok)
    app.mount("/sub", sub)
    app.mount("/tenants/{tenant}", sub)
    return app


FASTAPI = [
    ("GET", "/", "GET /"),
    ("GET", "/inner/items/7", "GET /inner/items/{item:int}"),
    ("GET", "/v2/outer/inner/items/7", "GET /v{version}/outer/inner/items/{item:int}"),
    ("GET", "/inner/forbidden/me", "GET /inner/forbidden/{user}"),
    ("POST", "/inner/items/7", "POST /inner/items/{item:int}"),
    ("GET", "/plain/x", "GET /plain/{name}"),
    ("GET", "/sub/things/1", "GET /sub/things/{thing}"),
    ("GET", "/sub/", "GET /sub/"),
    ("GET", "/tenants/acme/things/1", "GET /tenants/{tenant}/things/{thing}"),
    ("GET", "/tenants/acme/again/inner/items/3", "GET /tenants/{tenant}/again/inner/items/{item:int}"),
    ("GET", "/tenants/acme/nothing", "GET /tenants/{tenant}"),
    ("GET", "/nothing", "GET"),
    ("GET", "/inner/items/not-a-number", "GET"),
    ("GET", "/docs", "GET /docs"),
]


@pytest.mark.parametrize("outside", [False, True], ids=["inside", "outside"])
@pytest.mark.parametrize("globally", [False, True], ids=["a tracer", "instrumented"])
@pytest.mark.parametrize(("method", "url", "name"), FASTAPI, ids=[row[1] for row in FASTAPI])
def test_fastapi(kept: Kept, outside: bool, globally: bool, method: str, url: str, name: str) -> None:
    """The same name inside and outside of the application, and where FastAPI opens a span by itself."""
    app: Any = fastapi_app()
    tracer: Any = kept.tracer
    if globally:
        instrument(transport_config=kept.config)
        tracer = None
    if outside:
        app = ScouterTracingMiddleware(app, tracer=tracer)
    else:
        app.add_middleware(ScouterTracingMiddleware, tracer=tracer)
    ask(app, method, url)
    if globally:
        trace.get_tracer_provider().force_flush()
        (span,) = kept.config.spans
    else:
        span = kept.span()
    assert span["name"] == name
    assert span["attributes"].get("http.route") == (name.partition(" ")[2] or None)
    assert span["attributes"]["url.path"] == url


def test_starlette(kept: Kept, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a")

    async def bare(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await PlainTextResponse("bare")(scope, receive, send)

    async def hidden(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await Router([Route("/{name}", ok)])(scope, receive, send)

    deep = Mount("/deep/{level:int}", routes=[Route("/{leaf}", ok), Mount("/static", StaticFiles(directory=tmp_path))])
    routes = [
        Route("/", ok),
        Route("/users/{user:int}", ok, methods=["GET"]),
        Route("/files/{file:path}", ok),
        Mount("/api", routes=[Route("/", ok), Route("/x/{y}", ok), deep]),
        Mount("/bare", bare),
        Mount("/hidden", hidden),
        Mount("", routes=[Route("/rootless/{z}", ok)]),
    ]
    app = Starlette(routes=routes, middleware=[Middleware(ScouterTracingMiddleware, tracer=kept.tracer)])
    expected = {
        "/": "GET /",
        "/users/7": "GET /users/{user:int}",
        "/files/a/b/c": "GET /files/{file:path}",
        "/api/": "GET /api/",
        "/api/x/1": "GET /api/x/{y}",
        "/api/deep/3/leaf": "GET /api/deep/{level:int}/{leaf}",
        "/api/deep/3/static/a.txt": "GET /api/deep/{level:int}/static",
        "/bare/anything": "GET /bare",
        "/hidden/name": "GET /hidden/{name}",
        "/rootless/1": "GET /rootless/{z}",
        "/nowhere": "GET",
    }
    for url in expected:
        ask(app, "GET", url)
    assert {span["attributes"]["url.path"]: span["name"] for span in kept.spans()} == expected


def test_405_and_redirects(kept: Kept) -> None:
    app = Starlette(routes=[Route("/users/{user}", ok, methods=["GET"])])
    app.add_middleware(ScouterTracingMiddleware, tracer=kept.tracer)
    assert ask(app, "DELETE", "/users/7") == 405
    assert ask(app, "GET", "/users/7/") == 307
    assert [(span["name"], span["status"].upper()) for span in kept.spans()] == [
        ("DELETE /users/{user}", "UNSET"),
        ("GET", "UNSET"),
    ]


def test_hosts(kept: Kept) -> None:
    app = Starlette(routes=[Host("{name}", Router([Route("/x/{y}", ok)]))])
    app.add_middleware(ScouterTracingMiddleware, tracer=kept.tracer)
    assert ask(app, "GET", "/x/1") == 200
    assert kept.span()["name"] == "GET /x/{y}"


@pytest.mark.parametrize("mounted", [False, True])
def test_the_root_path_of_the_server(kept: Kept, mounted: bool) -> None:
    """The application's root is part of the route (conventions, `http.route`), as it is part of the path."""
    routes = [Route("/users/{user}", ok)]
    app = Starlette(routes=[Mount("/sub", routes=routes)] if mounted else routes)
    app.add_middleware(ScouterTracingMiddleware, tracer=kept.tracer)
    inner = "/sub" if mounted else ""
    assert ask(app, "GET", f"/root{inner}/users/7", root_path="/root") == 200
    assert kept.span()["attributes"]["http.route"] == f"/root{inner}/users/{{user}}"


def test_a_root_path_that_the_server_has_taken_off(kept: Kept) -> None:
    app = Starlette(routes=[Route("/users/{user}", ok)])
    app.add_middleware(ScouterTracingMiddleware, tracer=kept.tracer)
    assert ask(app, "GET", "/users/7", root_path="/elsewhere") == 200
    assert kept.span()["attributes"]["http.route"] == "/users/{user}"


def test_a_middleware_of_a_mounted_application(kept: Kept) -> None:
    sub = Starlette(routes=[Route("/users/{user}", ok)])
    sub.add_middleware(ScouterTracingMiddleware, tracer=kept.tracer)
    app = Starlette(routes=[Mount("/tenants/{tenant}", sub)])
    assert ask(app, "GET", "/tenants/acme/users/7") == 200
    assert kept.span()["name"] == "GET /tenants/{tenant}/users/{user}"


def test_twice_is_once(kept: Kept) -> None:
    """Around the application and in it, and around what is mounted in it."""
    sub = Starlette(routes=[Route("/users/{user}", ok)])
    sub.add_middleware(ScouterTracingMiddleware, tracer=kept.tracer)
    app = Starlette(routes=[Mount("/sub", sub)])
    app.add_middleware(ScouterTracingMiddleware, tracer=kept.tracer)
    assert ask(ScouterTracingMiddleware(app, tracer=kept.tracer), "GET", "/sub/users/7") == 200
    assert kept.span()["name"] == "GET /sub/users/{user}"


def test_websocket_routes(kept: Kept) -> None:
    async def talk(websocket: Any) -> None:
        await websocket.accept()
        await websocket.close()

    fast = FastAPI()
    fast.router.routes.append(WebSocketRoute("/plain/{room}", talk))
    fast.mount("/in/{place}", Starlette(routes=[WebSocketRoute("/ws/{room}", talk)]))
    for app, path in [
        (fastapi_app(), "/v1/outer/inner/ws/lobby"),
        (fastapi_app(), "/tenants/acme/again/inner/ws/lobby"),
        (fast, "/plain/lobby"),
        (fast, "/in/there/ws/lobby"),
    ]:
        app.add_middleware(ScouterTracingMiddleware, tracer=kept.tracer)
        connect(app, path)
        del app.user_middleware[:]
        app.middleware_stack = None
    assert [span["name"] for span in kept.spans()] == [
        "GET /v{version}/outer/inner/ws/{room}",
        "GET /tenants/{tenant}/again/inner/ws/{room}",
        "GET /plain/{room}",
        "GET /in/{place}/ws/{room}",
    ]


def connect(app: Any, path: str) -> None:
    async def receive() -> dict[str, Any]:
        return {"type": "websocket.connect"}

    async def send(message: dict[str, Any]) -> None:
        pass

    scope = {"type": "websocket", "path": path, "headers": [], "query_string": b"", "subprotocols": []}
    asyncio.run(app(scope, receive, send))


def test_routes_that_raise_cost_only_the_name(kept: Kept) -> None:
    class Broken:
        @property
        def path(self) -> str:
            raise RuntimeError("no path")

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        scope["route"] = Broken()
        await PlainTextResponse("ok")(scope, receive, send)

    assert ask(ScouterTracingMiddleware(app, tracer=kept.tracer), "GET", "/x") == 200
    assert kept.span()["name"] == "GET"


@pytest.mark.parametrize("found", [None, object(), 7, "text"])
def test_what_is_no_route(found: object) -> None:
    assert http_route.route({"type": "http", "route": found}, "/", "") is None
