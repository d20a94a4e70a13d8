from __future__ import annotations

import time
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from opentelemetry.trace import Link, SpanContext, SpanKind, StatusCode
from support import Server, until

from scouter import (
    ConnectionFailedError,
    GrpcConfig,
    HttpConfig,
    NotFoundError,
    ScouterClient,
    ServerError,
    TraceFilters,
    TracePage,
    TraceSummary,
)
from scouter.errors import ConfigError, ConfigTypeError
from scouter.tracing import init_tracer, shutdown_tracer


@pytest.fixture(scope="module")
def stored(server: Server) -> dict[str, str]:
    """Three traces on the server, by what is special about them."""
    ids: dict[str, str] = {}
    tracer = init_tracer(
        service_name="client-tests", transport_config=HttpConfig(uri=server.uri), attributes={"service.version": "3"}
    )
    link = Link(SpanContext(0xA, 0xB, is_remote=False), {"why": "test"})
    with tracer.start_as_current_span(
        "tree", kind=SpanKind.SERVER, links=[link], tags={"env": "prod"}, label="group", attributes={"n": 7}
    ) as root:
        ids["tree"] = root.trace_id
        root.set_input({"a": 1})
        root.set_output([2])
        root.add_event("event", {"k": True})
        with tracer.start_as_current_span("first"), tracer.start_as_current_span("deep"):
            pass
        with tracer.start_as_current_span("second"):
            pass
    with suppress(ValueError), tracer.start_as_current_span("failing") as span:
        ids["failing"] = span.trace_id
        raise ValueError("no")
    now = time.time_ns()
    slow = tracer.start_span("slow", start_time=now - 90_000_000_000)
    ids["slow"] = slow.trace_id
    slow.end(now)
    orphan = tracer.start_span("orphan", headers={"traceparent": f"00-{'ab' * 16}-{'cd' * 8}-01"})
    ids["orphan"] = orphan.trace_id
    orphan.end()
    assert shutdown_tracer()
    for trace_id, count in ((ids["tree"], 4), (ids["failing"], 1), (ids["slow"], 1), (ids["orphan"], 1)):
        server.trace(trace_id, count)
    return ids


def test_a_trace_is_a_tree_in_start_order(server: Server, stored: dict[str, str]) -> None:
    spans = server.client.get_trace_spans_from_filters(TraceFilters(trace_id=stored["tree"]))
    assert [(span.name, span.depth) for span in spans] == [("tree", 0), ("first", 1), ("deep", 2), ("second", 1)]
    root, first, deep, second = spans
    assert root.children == (first.span_id, second.span_id)
    assert deep.path == (root.span_id, first.span_id, deep.span_id)
    assert (root.parent_span_id, first.parent_span_id) == (None, root.span_id)
    assert not any(span.orphan for span in spans)


def test_everything_recorded_comes_back(server: Server, stored: dict[str, str]) -> None:
    root = server.client.get_trace(stored["tree"]).spans[0]
    assert root.trace_id == stored["tree"]
    assert root.kind is SpanKind.SERVER
    assert root.service_name == "client-tests"
    assert root.status_code is StatusCode.UNSET
    assert root.duration_ns == root.end_time - root.start_time > 0
    assert root.duration_ms == root.duration_ns / 1e6
    assert root.attributes["n"] == 7
    assert (root.input, root.output, root.label, root.tags) == ('{"a": 1}', "[2]", "group", {"env": "prod"})
    assert (root.events[0].name, root.events[0].attributes) == ("event", {"k": True})
    assert (root.links[0].span_id, root.links[0].attributes) == ("000000000000000b", {"why": "test"})
    assert root.resource["service.version"] == "3"
    assert root.scope_name == "client-tests"
    with pytest.raises(AttributeError):
        root.name = "other"


def test_errors(server: Server, stored: dict[str, str]) -> None:
    found = server.client.get_trace(stored["failing"])
    assert found.summary.error_count == 1
    assert (found.spans[0].status_code, found.spans[0].status_message) == (StatusCode.ERROR, "ValueError: no")
    assert found.spans[0].events[0].attributes["exception.type"] == "ValueError"


def test_orphans_are_marked_and_not_lost(server: Server, stored: dict[str, str]) -> None:
    (span,) = server.client.get_trace(stored["orphan"]).spans
    assert span.orphan
    assert (span.depth, span.parent_span_id) == (0, "cd" * 8)


def test_summaries(server: Server, stored: dict[str, str]) -> None:
    page = server.client.get_traces(TraceFilters(trace_id=stored["tree"]))
    assert isinstance(page, TracePage)
    (summary,) = page.items
    assert isinstance(summary, TraceSummary)
    assert (summary.trace_id, summary.root_name, summary.root_service) == (stored["tree"], "tree", "client-tests")
    assert (summary.span_count, summary.error_count, summary.services) == (4, 0, ("client-tests",))
    assert page.next_cursor is None


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"span_name": "deep"}, ["tree"]),
        ({"has_errors": True}, ["failing"]),
        ({"status_code": StatusCode.ERROR}, ["failing"]),
        ({"status_code": "error"}, ["failing"]),
        ({"status_code": 2}, ["failing"]),
        ({"min_duration_ms": 60_000}, ["slow"]),
        ({"max_duration_ms": 60_000, "span_name": "slow"}, []),
        ({"attributes": {"n": 7}}, ["tree"]),
        ({"attributes": {"n": 8}}, []),
        ({"attributes": {"n": 7}, "tags": {"env": "prod"}}, ["tree"]),
        ({"tags": {"env": "test"}}, []),
        ({"entity_uid": "nobody"}, []),
    ],
    ids=str,
)
def test_filters(server: Server, stored: dict[str, str], filters: dict[str, Any], expected: list[str]) -> None:
    page = server.client.get_traces(TraceFilters(service_name="client-tests", **filters))
    assert [summary.trace_id for summary in page.items] == [stored[name] for name in expected]


def test_filters_by_time(server: Server, stored: dict[str, str]) -> None:
    now = datetime.now(timezone.utc)
    ids = tuple(stored.values())
    minute_ago = now - timedelta(seconds=60)
    older = server.client.get_traces(TraceFilters(trace_ids=ids, end_time=minute_ago))
    assert [summary.trace_id for summary in older.items] == [stored["slow"]]
    newer = server.client.get_traces(TraceFilters(trace_ids=ids, start_time=minute_ago, end_time=now))
    assert {summary.trace_id for summary in newer.items} == set(ids) - {stored["slow"]}


def test_pages(server: Server, stored: dict[str, str]) -> None:
    seen: list[str] = []
    cursor = None
    while True:
        page = server.client.get_traces(TraceFilters(trace_ids=stored.values(), limit=1, cursor=cursor))
        seen += [summary.trace_id for summary in page.items]
        cursor = page.next_cursor
        if cursor is None:
            break
    assert sorted(seen) == sorted(stored.values())


def test_services(server: Server, stored: dict[str, str]) -> None:
    assert "client-tests" in server.client.get_services()


def test_what_is_not_there(server: Server) -> None:
    with pytest.raises(NotFoundError, match="ff" * 16):
        server.client.get_trace("ff" * 16)
    assert server.client.get_trace_spans_from_filters(TraceFilters(trace_id="ff" * 16)) == []


def test_no_server() -> None:
    with pytest.raises(ConnectionFailedError) as caught:
        ScouterClient(HttpConfig(uri="http://127.0.0.1:1")).get_services()
    assert "127.0.0.1:1" in str(caught.value)
    assert isinstance(caught.value, ConnectionError)


def test_the_address_comes_from_the_environment(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCOUTER_SERVER_URI", server.uri)
    assert isinstance(ScouterClient().get_services(), list)
    assert server.uri in repr(ScouterClient())


@pytest.mark.parametrize(
    ("filters", "error", "words"),
    [
        ({"trace_id": "xyz"}, ConfigError, "trace_id is 'xyz'"),
        ({"trace_id": "0" * 32}, ConfigError, "not all zero"),
        ({"trace_ids": "ab" * 16}, ConfigTypeError, "trace_ids must be a list"),
        ({"trace_ids": ["x"]}, ConfigError, "trace_ids is 'x'"),
        ({"status_code": "FINE"}, ConfigError, "status_code is 'FINE'"),
        ({"start_time": datetime(2024, 1, 1)}, ConfigError, "without a time zone"),
        ({"start_time": 2, "end_time": 1}, ConfigError, "start_time is 2, more than the 1 of end_time"),
        ({"start_time": "now"}, ConfigTypeError, "start_time must be an int"),
        ({"min_duration_ms": -1}, ConfigError, "min_duration_ms is -1"),
        ({"limit": 0}, ConfigError, "limit is 0"),
        ({"limit": 1001}, ConfigError, "limit is 1001"),
        ({"tags": {"a": 1}}, ConfigTypeError, "tags\\['a'\\] must be a str"),
        ({"service_name": 1}, ConfigTypeError, "service_name must be a str"),
        ({"has_errors": 1}, ConfigTypeError, "has_errors must be True or False"),
        ({"service": "x"}, TypeError, "service"),
    ],
    ids=str,
)
def test_bad_filters(filters: dict[str, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        TraceFilters(**filters)


def test_values_that_json_cannot_carry(server: Server) -> None:
    with pytest.raises(ConfigTypeError, match="attributes hold a value"):
        server.client.get_traces(TraceFilters(attributes={"a": object()}))


def test_bad_cursors_are_refused_by_the_server(server: Server) -> None:
    with pytest.raises(ConfigError, match="cursor"):
        server.client.get_traces(TraceFilters(cursor="nonsense"))


def test_bad_configurations() -> None:
    with pytest.raises(ConfigTypeError, match="config must be an HttpConfig, not GrpcConfig"):
        ScouterClient(GrpcConfig())
    with pytest.raises(ConfigError, match="config has username"):
        ScouterClient(HttpConfig(username="a", password="b"))
    with pytest.raises(ConfigTypeError, match="filters must be TraceFilters"):
        ScouterClient().get_traces({"limit": 1})


def test_a_token_is_asked_for(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("closed")
    tokens = folder / "tokens"
    tokens.write_text("s3cret\n")
    server = Server(folder / "data", 0, "--token-file", str(tokens))
    try:
        tracer = init_tracer(transport_config=HttpConfig(uri=server.uri, auth_token="s3cret"))
        tracer.start_span("x").end()
        assert shutdown_tracer()
        client = ScouterClient(HttpConfig(uri=server.uri, auth_token="s3cret"))
        until("the trace is there", lambda: client.get_traces().items)
        with pytest.raises(ServerError, match="401") as caught:
            server.client.get_services()
        assert "s3cret" not in str(caught.value)
    finally:
        server.stop()
