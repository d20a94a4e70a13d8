"""What the trees look like, in so many words: instrumented clients inside of our spans, and across services."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, Response
from local_servers import Echo, asgi
from opentelemetry import baggage, trace
from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor
from scenarios import CALLER, called_with, instrumented
from workloads.flavours import FLAVOURS, Asynchronous, Flavour

from scouter import MockConfig
from scouter.tracing import ScouterInstrumentor, ScouterTracingMiddleware

NAMES = ("first", "second", "third")


@pytest.fixture
def echo() -> Iterator[Echo]:
    echo = Echo()
    yield echo
    echo.close()


@pytest.fixture
def config() -> MockConfig:
    """What the global provider sends."""
    config = MockConfig()
    ScouterInstrumentor().instrument(transport_config=config)
    return config


def tree(spans: list[dict[str, Any]], parent: str | None = None, depth: int = 0) -> list[str]:
    """The spans under one, a line each, in the order in which they began."""
    lines = []
    for span in sorted(spans, key=lambda span: span["start_time"]):
        if span["parent_span_id"] == parent:
            lines += [f"{'  ' * depth}{span['kind'].name} {span['name']}", *tree(spans, span["span_id"], depth + 1)]
    return lines


def service(flavour: Flavour, name: str, following: dict[str, str]) -> FastAPI:
    """Passes on what it is asked, inside of a span."""
    app = FastAPI()

    @app.get("/pass/{what:path}")
    async def pass_on(what: str) -> Response:
        with trace.get_tracer(name).start_as_current_span(f"{name} works"):
            uri = f"{following[name]}/{what}"
            if isinstance(flavour, Asynchronous):
                status = await flavour.fetch(uri)
            else:
                status = await asyncio.to_thread(flavour.ask, uri)
        return Response(str(baggage.get_all()), status)

    app.add_middleware(ScouterTracingMiddleware)
    return app


def test_httpx_spans_are_children_of_ours(config: MockConfig, echo: Echo) -> None:
    with instrumented(HTTPXClientInstrumentor()), trace.get_tracer("x").start_as_current_span("ours") as ours:
        with httpx.Client(trust_env=False) as client:
            client.get(f"{echo.uri}/ok")
        assert trace.get_current_span() is ours
    ScouterInstrumentor().uninstrument()
    spans = {span["name"]: span for span in config.spans}
    theirs = spans["GET"]
    assert theirs["parent_span_id"] == spans["ours"]["span_id"]
    assert theirs["kind"] is trace.SpanKind.CLIENT
    assert theirs["scope"] == "opentelemetry.instrumentation.httpx"
    assert [arrival.traceparent for arrival in echo.arrivals] == [f"00-{theirs['trace_id']}-{theirs['span_id']}-03"]


@pytest.mark.parametrize("name", FLAVOURS)
def test_three_services_one_tree(name: str, config: MockConfig, echo: Echo) -> None:
    """FastAPI's own span for a request is the middleware's, so that there is one SERVER span a service."""
    flavour, following = FLAVOURS[name], {"third": echo.uri}
    with (
        instrumented(flavour.instrumentor()),
        asgi(*(service(flavour, each, following) for each in NAMES)) as ports,
    ):
        first, following["first"], following["second"] = (f"http://127.0.0.1:{port}" for port in ports)
        with trace.get_tracer("x").start_as_current_span("ours"):
            assert flavour.ask(f"{first}/pass/pass/pass/ok") == 200
        with called_with(CALLER.headers("00", baggage="user=7")):
            assert flavour.ask(f"{first}/pass/pass/pass/status/404") == 404
    ScouterInstrumentor().uninstrument()
    spans = config.spans
    expected = ["INTERNAL ours"]
    for depth, each in enumerate(NAMES):
        indent = "  " * (3 * depth + 1)
        expected += [f"{indent}CLIENT GET", f"{indent}  SERVER GET /pass/{{what:path}}"]
        expected += [f"{indent}    INTERNAL {each} works"]
    assert tree(spans) == [*expected, f"{'  ' * 10}CLIENT GET"]
    sampled, unsampled = (arrival.traceparent.split("-") for arrival in echo.arrivals if arrival.traceparent)
    last = max(spans, key=lambda span: span["start_time"])
    assert sampled[1:] == [last["trace_id"], last["span_id"], "03"]
    assert unsampled[1::2] == [CALLER.trace_id, "00"]
    assert echo.arrivals[1].baggage == "user=7"
