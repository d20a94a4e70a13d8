"""The tables of `w3c_cases` against a real service, the propagators, and the function that reads headers."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from asgi_service import Service
from opentelemetry import baggage, trace
from opentelemetry.propagators.textmap import Getter
from starlette.applications import Starlette
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from support import Kept
from w3c_cases import BAGGAGE, GOOD, PARENT, TRACE, TRACE_CONTEXT, Case, Pairs

from scouter import MockConfig
from scouter.tracing import (
    BaggagePropagator,
    ScouterTracingMiddleware,
    TraceContextPropagator,
    TracerProvider,
    extract_span_context_from_headers,
    get_tracing_headers_from_current_span,
)


class PairGetter(Getter[Pairs]):
    """Reads a list of pairs, as servers have them."""

    def get(self, carrier: Pairs, key: str) -> list[str] | None:
        return [value for name, value in carrier if name.lower() == key] or None

    def keys(self, carrier: Pairs) -> list[str]:
        return [name for name, _ in carrier]


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    """Calls every address that it is told to call, with the headers of its current span, and answers with them."""
    provider = TracerProvider(transport_config=MockConfig())
    tracer = provider.get_tracer("service")

    async def call(request: Request) -> JSONResponse:
        sent = []
        body = await request.body()
        async with httpx.AsyncClient(trust_env=False) as client:
            for step in json.loads(body) if body else [{}]:
                with tracer.start_as_current_span("call"):
                    headers = get_tracing_headers_from_current_span()
                    if "url" in step:
                        await client.post(step["url"], json=step["arguments"], headers=headers)
                sent.append(headers)
        return JSONResponse(sent)

    app = Starlette(routes=[Route("/test", call, methods=["POST"])])
    app.add_middleware(ScouterTracingMiddleware, tracer=tracer)
    with Service(app) as running:
        yield running
    provider.shutdown()


def ask(service: Service, headers: Pairs, body: str = "") -> list[dict[str, str]]:
    """Sends exactly these headers, repeated ones too."""
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=20)
    connection.putrequest("POST", "/test", skip_accept_encoding=True)
    for name, value in headers:
        connection.putheader(name, value.encode("latin-1"))
    connection.putheader("content-length", str(len(body)))
    connection.endheaders(body.encode())
    answer = connection.getresponse()
    text = answer.read()
    connection.close()
    assert answer.status == 200, text
    return json.loads(text)


@pytest.mark.parametrize("case", [case for case in TRACE_CONTEXT if case.over_http], ids=str)
def test_the_service(service: Service, case: Case) -> None:
    (sent,) = ask(service, case.headers)
    version, trace_id, parent_id, flags = sent["traceparent"].split("-")
    assert version == "00"
    assert parent_id != PARENT
    assert sent.get("tracestate", "") == case.state
    assert "baggage" not in sent
    if case.flags is None:
        assert TRACE not in (trace_id, *(value for name, value in case.headers if name == trace_id))
        assert int(trace_id, 16)
        assert int(parent_id, 16)
        # Its own decision: all are recorded, and the identifier is random.
        assert flags == "03"
    else:
        assert trace_id == TRACE
        assert int(flags, 16) == case.flags


class TestTheServiceCallingSeveralTimes:
    @pytest.mark.parametrize(
        ("headers", "continues"),
        [
            ([("traceparent", GOOD)], True),
            ([], False),
            ([("traceparent", f"00-{'0' * 32}-{PARENT}-01")], False),
        ],
        ids=["valid", "none", "illegal"],
    )
    def test_every_call_has_a_parent_of_its_own(self, service: Service, headers: Pairs, continues: bool) -> None:
        got: list[dict[str, str]] = []

        async def harness(scope: dict[str, Any], receive: Any, send: Any) -> None:
            if scope["type"] == "http":
                got.append({name.decode(): value.decode() for name, value in scope["headers"]})
                await send({"type": "http.response.start", "status": 200, "headers": []})
                await send({"type": "http.response.body"})

        with Service(harness) as callback:
            steps = [{"url": f"{callback.uri}/{step}", "arguments": []} for step in range(3)]
            sent = ask(service, headers, json.dumps(steps))
        parents = [headers["traceparent"].split("-") for headers in got]
        assert [headers["traceparent"] for headers in got] == [headers["traceparent"] for headers in sent]
        assert len({parent[2] for parent in parents}) == 3
        (trace_id,) = {parent[1] for parent in parents}
        assert (trace_id == TRACE) is continues
        assert int(trace_id, 16)

    def test_random_flag_of_new_traces(self, service: Service) -> None:
        """Section "Random Trace ID Flag": set where the identifier is made, handed on as it came everywhere else."""
        traces = {ask(service, [])[0]["traceparent"].split("-")[1] for _ in range(20)}
        assert len({trace_id[-14:] for trace_id in traces}) == 20


def found(span: trace.SpanContext | None) -> tuple[int, int, int, str] | None:
    if span is None or not span.is_valid:
        return None
    assert span.is_remote
    return span.trace_id, span.span_id, int(span.trace_flags), span.trace_state.to_header()


def expected(case: Case) -> tuple[int, int, int, str] | None:
    return None if case.flags is None else (int(TRACE, 16), int(PARENT, 16), case.flags, case.state)


def carriers(pairs: Pairs) -> Iterator[tuple[str, Any]]:
    """The same headers in everything that frameworks and clients keep them in."""
    yield "pairs", pairs
    yield "pairs as lists", [list(pair) for pair in pairs]
    yield "an iterator", iter(pairs)
    raw = [(name.encode(), value.encode("latin-1")) for name, value in pairs]
    yield "bytes", raw
    yield "bytearrays", [(name, bytearray(value)) for name, value in raw]
    yield "upper case", [(name.upper(), value) for name, value in pairs]
    lists: dict[str, list[str]] = {}
    for name, value in pairs:
        lists.setdefault(name, []).append(value)
    yield "a dict of lists", lists
    yield "a dict of tuples", {name: tuple(values) for name, values in lists.items()}
    if len(lists) == len(pairs):
        yield "a dict", dict(pairs)
        yield "a dict of bytes", dict(raw)
        yield "a dict with other headers", {"host": "x", **dict(pairs), "accept": "*/*"}
    yield "Starlette's headers", Headers(raw=[(name.lower(), value) for name, value in raw])
    yield "Starlette's mutable headers", MutableHeaders(raw=raw)
    if not any(character in value for _, value in pairs for character in "\n\0"):
        yield "httpx's headers", httpx.Headers(raw)
        message = http.client.HTTPMessage()
        for name, value in pairs:
            message.add_header(name, value)
        yield "headers of http.client", message


@pytest.mark.parametrize("case", TRACE_CONTEXT, ids=str)
def test_reading_headers(case: Case) -> None:
    for kind, carrier in carriers(case.headers):
        if kind == "httpx's headers" and len({name.lower() for name, _ in case.headers}) < len(case.headers):
            # Its items have repeated headers joined with a comma.
            carrier = carrier.multi_items()
        assert found(extract_span_context_from_headers(carrier)) == expected(case), kind


@pytest.mark.parametrize("case", TRACE_CONTEXT, ids=str)
def test_the_propagator(case: Case) -> None:
    propagator = TraceContextPropagator()

    def extracted(*arguments: Any) -> tuple[int, int, int, str] | None:
        return found(trace.get_current_span(propagator.extract(*arguments)).get_span_context())

    assert extracted(case.headers, None, PairGetter()) == expected(case)
    lists: dict[str, list[str]] = {}
    for name, value in case.headers:
        lists.setdefault(name, []).append(value)
    assert extracted(lists) == expected(case)
    assert extracted(
        Headers(raw=[(name.lower().encode(), value.encode("latin-1")) for name, value in case.headers])
    ) == (expected(case))
    if case.flags is not None:
        carrier: dict[str, str] = {}
        propagator.inject(carrier, propagator.extract(lists))
        assert carrier.pop("traceparent") == f"00-{TRACE}-{PARENT}-{case.flags:02x}"
        assert carrier.pop("tracestate", "") == case.state
        assert not carrier


@pytest.mark.parametrize("case", [case for case in TRACE_CONTEXT if case.flags is not None], ids=str)
def test_a_span_under_it(kept: Kept, case: Case) -> None:
    """What came in travels on through a span of ours, also when the parent is OpenTelemetry's."""
    parent = TraceContextPropagator().extract(case.headers, None, PairGetter())
    with kept.tracer.start_as_current_span("x", context=parent):
        below = get_tracing_headers_from_current_span()
    with kept.tracer.start_as_current_span("x", headers=case.headers):
        beside = get_tracing_headers_from_current_span()
    for headers in (below, beside):
        assert headers["traceparent"].split("-")[1] == TRACE
        assert headers.get("tracestate", "") == case.state


@pytest.mark.parametrize(("headers", "entries", "travels", "section"), BAGGAGE, ids=[row[3] for row in BAGGAGE])
def test_baggage(headers: list[str], entries: dict[str, str], travels: str, section: str) -> None:
    propagator = BaggagePropagator()
    pairs = [("Baggage", value) for value in headers]
    for carrier, getter in ((pairs, PairGetter()), ({"BAGGAGE": headers}, None)):
        context = propagator.extract(carrier, None, *([getter] if getter else []))
        assert baggage.get_all(context) == entries
        onward: dict[str, str] = {}
        propagator.inject(onward, context)
        assert onward.get("baggage", "") == travels


@pytest.mark.parametrize(("headers", "entries", "travels", "section"), BAGGAGE, ids=[row[3] for row in BAGGAGE])
def test_baggage_through_the_service(
    service: Service, headers: list[str], entries: dict[str, str], travels: str, section: str
) -> None:
    (sent,) = ask(service, [("baggage", value) for value in headers])
    assert sent.get("baggage", "") == travels


def test_the_service_s_answers_do_not_mix(service: Service) -> None:
    def client(number: int) -> None:
        for step in range(20):
            trace_id = f"{number + 1:016x}{step + 1:016x}"
            (sent,) = ask(service, [("traceparent", f"00-{trace_id}-{PARENT}-01"), ("baggage", f"n={number}.{step}")])
            if sent["traceparent"].split("-")[1] != trace_id or sent["baggage"] != f"n={number}.{step}":
                wrong.append((number, step, sent))

    wrong: list[object] = []
    threads = [threading.Thread(target=client, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
