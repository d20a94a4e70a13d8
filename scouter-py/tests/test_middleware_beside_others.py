"""One SERVER span for a request, whoever else traces requests: OpenTelemetry's instrumentations, and requests within requests."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from opentelemetry import baggage, trace
from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from support import Kept

from scouter import MockConfig
from scouter.tracing import ScouterTracingMiddleware, instrument

CALLER = {"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "baggage": "a=1"}


async def handler(request: Request) -> JSONResponse:
    with trace.get_tracer("x").start_as_current_span("inner"):
        return JSONResponse(dict(baggage.get_all()))


def ask(app: Any, url: str, **options: Any) -> httpx.Response:
    async def main() -> httpx.Response:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
            return await client.get(url, **options)

    return asyncio.run(main())


def recorded(config: MockConfig) -> dict[str, dict[str, Any]]:
    trace.get_tracer_provider().force_flush()
    spans = {span["name"]: span for span in config.spans}
    assert len(spans) == len(config.spans), [span["name"] for span in config.spans]
    return spans


@pytest.mark.parametrize("headers", [{}, CALLER], ids=["first", "called"])
@pytest.mark.parametrize("given", [True, False], ids=["a tracer", "no tracer"])
def test_instrumentation_of_fastapi(kept: Kept, headers: dict[str, str], given: bool) -> None:
    instrument(transport_config=kept.config)
    app = FastAPI()
    app.add_middleware(ScouterTracingMiddleware, tracer=trace.get_tracer("ours") if given else None)
    app.add_api_route("/x/{y}", handler)
    FastAPIInstrumentor.instrument_app(app, exclude_spans=["receive", "send"])
    assert ask(app, "/x/1", headers=headers).json() == ({"a": "1"} if headers else {})
    FastAPIInstrumentor.uninstrument_app(app)
    spans = recorded(kept.config)
    assert sorted(spans) == ["GET /x/{y}", "inner"]
    server = spans["GET /x/{y}"]
    assert server["kind"] is trace.SpanKind.SERVER
    assert server["parent_span_id"] == ("00f067aa0ba902b7" if headers else None)
    assert server["attributes"]["url.path"] == "/x/1"
    assert server["attributes"]["http.response.status_code"] == 200
    assert spans["inner"]["parent_span_id"] == server["span_id"]


@pytest.mark.parametrize("outside", [False, True])
def test_instrumentation_of_asgi(kept: Kept, outside: bool) -> None:
    instrument(transport_config=kept.config)
    theirs = Middleware(OpenTelemetryMiddleware, exclude_spans=["receive", "send"])
    ours = Middleware(ScouterTracingMiddleware)
    app = Starlette(routes=[Route("/x", handler)], middleware=[ours, theirs] if outside else [theirs, ours])
    ask(app, "/x", headers=CALLER)
    trace.get_tracer_provider().force_flush()
    servers = [span for span in kept.config.spans if span["kind"] is trace.SpanKind.SERVER]
    assert [span["name"] for span in servers] == ["GET /x"]
    assert servers[0]["parent_span_id"] == "00f067aa0ba902b7"


@pytest.mark.parametrize("headers", [{}, CALLER], ids=["first", "called"])
def test_a_request_within_a_request_is_another_one(kept: Kept, headers: dict[str, str]) -> None:
    """A handler that calls an application in the same process, without or with the caller's headers."""
    inner = Starlette(routes=[Route("/inner", handler)], middleware=[Middleware(ScouterTracingMiddleware)])

    async def outer_handler(request: Request) -> JSONResponse:
        transport = httpx.ASGITransport(inner)
        async with httpx.AsyncClient(transport=transport, base_url="http://inner") as client:
            return JSONResponse((await client.get("/inner", headers=headers)).json())

    instrument(transport_config=kept.config)
    outer = Starlette(routes=[Route("/outer", outer_handler)], middleware=[Middleware(ScouterTracingMiddleware)])
    ask(outer, "/outer", headers=headers)
    spans = recorded(kept.config)
    assert sorted(spans) == ["GET /inner", "GET /outer", "inner"]
    assert spans["GET /inner"]["span_id"] != spans["GET /outer"]["span_id"]
    assert spans["inner"]["parent_span_id"] == spans["GET /inner"]["span_id"]
    assert spans["GET /inner"]["parent_span_id"] == ("00f067aa0ba902b7" if headers else None)


@pytest.mark.parametrize("kind", [trace.SpanKind.INTERNAL, trace.SpanKind.SERVER])
def test_a_span_around_the_server_is_not_the_request_s(kept: Kept, kind: trace.SpanKind) -> None:
    instrument(transport_config=kept.config)
    app = Starlette(routes=[Route("/x", handler)], middleware=[Middleware(ScouterTracingMiddleware)])
    with trace.get_tracer("x").start_as_current_span("around", kind=kind):
        ask(app, "/x", headers=CALLER)
    spans = recorded(kept.config)
    assert spans["GET /x"]["parent_span_id"] == "00f067aa0ba902b7"
    assert "url.path" not in spans["around"]["attributes"]


def test_other_pipelines_have_their_own(kept: Kept) -> None:
    globally = MockConfig()
    instrument(transport_config=globally)
    theirs = Middleware(OpenTelemetryMiddleware, exclude_spans=["receive", "send"])
    both = Middleware(ScouterTracingMiddleware, tracer=kept.tracer)
    app = Starlette(routes=[Route("/x", handler)], middleware=[theirs, Middleware(ScouterTracingMiddleware), both])
    ask(app, "/x", headers=CALLER)
    assert kept.span("GET /x")["parent_span_id"] == "00f067aa0ba902b7"
    assert sorted(recorded(globally)) == ["GET /x", "inner"]
