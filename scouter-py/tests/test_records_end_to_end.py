"""Records from a program to a real server and back: the overview's examples, searches, tags, and sampled programs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from opentelemetry import trace
from support import Server, until

from scouter import (
    GrpcConfig,
    HttpConfig,
    Record,
    RecordFilters,
    ScouterClient,
    ScouterError,
    TagFilters,
    TraceFilters,
)
from scouter.queue import AgentProfile, CustomProfile, EvalRecord, Features, Metrics, ScouterQueue, SpcProfile
from scouter.tracing import ScouterInstrumentor, init_tracer


def test_real_time_monitoring(fresh_server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The overview's example; its address, path and record are filled in."""
    monkeypatch.setenv("SCOUTER_SERVER_URI", fresh_server.uri)
    profile = tmp_path / "agent.json"
    AgentProfile("shop", "assistant", "1.0.0", [{"id": "polite"}], uid="u-1").save(profile)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        ScouterInstrumentor().instrument(
            transport_config=GrpcConfig(),
            attributes={"service.name": "monitoring-service"},
        )
        app.state.tracer = trace.get_tracer("monitoring-service")

        queue = ScouterQueue.from_path(
            path={"agent": profile},
            transport_config=GrpcConfig(),
        )

        # set the queue on the tracer
        app.state.tracer.set_scouter_queue(queue)
        app.state.queue = queue

        yield

        app.state.queue.shutdown()
        ScouterInstrumentor().uninstrument()

    def monitoring_task(app: FastAPI) -> None:
        tracer = app.state.tracer

        with tracer.start_as_current_span("monitoring_task") as span:
            span.insert_queue_item(
                "agent",  # identifies the queue
                EvalRecord({"question": "why?"}, id="r-1", tags={"env": "prod"}),  # any Scouter entity record type
            )

    app = FastAPI(lifespan=lifespan)

    @app.get("/")
    async def root() -> dict[str, bool]:
        monitoring_task(app)
        return {"done": True}

    async def serve() -> None:
        asgi = httpx.ASGITransport(app)
        async with lifespan(app), httpx.AsyncClient(transport=asgi, base_url="http://x") as client:
            assert (await client.get("/")).json() == {"done": True}

    asyncio.run(serve())

    # What `shutdown` and `uninstrument` have sent is stored.
    (record,) = fresh_server.client.get_records().items
    found = fresh_server.client.get_trace_spans_from_filters(TraceFilters(span_name="monitoring_task"))
    # FastAPI makes spans of its own around it.
    (span,) = [span for span in found if span.name == "monitoring_task"]
    assert (record.trace_id, record.span_id) == (span.trace_id, span.span_id)
    assert (record.body, record.record_id, record.tags) == ({"question": "why?"}, "r-1", {"env": "prod"})
    assert (record.kind, record.entity and record.entity.uid, record.service_name) == (
        "agent",
        "u-1",
        "monitoring-service",
    )


class TestReadingBack:
    @pytest.fixture
    def client(self, fresh_server: Server) -> ScouterClient:
        features = SpcProfile("shop", "model", "2", {"x": int, "city": str}, uid="u-spc")
        metrics = CustomProfile("shop", "basket", "1", ["cost"], uid="u-custom")
        agent = AgentProfile("lab", "agent", "1", [{"id": "t"}], uid="u-agent")
        config = HttpConfig(fresh_server.uri)
        with ScouterQueue.from_profile([features, metrics, agent], config, service_name="svc") as queue:
            for number in range(25):
                queue["model"].insert(Features({"x": number, "city": "Rome"}))
            queue["basket"].insert(Metrics({"cost": 2.5}))
            queue["agent"].insert(EvalRecord({"a": [1, None]}, id="r", session_id="s", tags={"env": "prod"}))
            queue["agent"].insert(EvalRecord({"a": 2}, id="q", session_id="s", tags={"env": "test", "team": "a"}))
        return fresh_server.client

    def test_every_filter(self, client: ScouterClient) -> None:
        def ids(**filters: object) -> list[str | None]:
            return sorted(str(record.record_id) for record in client.get_records(**filters).items)

        assert ids(kind="agent") == ids(entity_uid="u-agent") == ids(space="lab") == ids(session_id="s") == ["q", "r"]
        assert ids(record_id="r") == ids(tags={"env": "prod"}) == ids(attributes={"scouter.record.id": "r"}) == ["r"]
        assert ids(name="basket") == ids(alias="basket") == ids(event_name="scouter.record.custom") == ["None"]
        assert len(ids(version="2")) == 25
        assert ids(service_name="other") == ids(trace_id="1" * 32) == ids(span_id="1" * 16) == []
        now = datetime.now(timezone.utc)
        assert len(ids(start_time=now - timedelta(minutes=5), end_time=now + timedelta(minutes=1))) == 28
        assert ids(end_time=now - timedelta(minutes=5)) == []

    def test_pages(self, client: ScouterClient) -> None:
        filters = RecordFilters(entity_uid="u-spc", limit=10)
        found: list[Record] = []
        page = client.get_records(filters)
        while True:
            found += page.items
            if page.next_cursor is None:
                break
            page = client.get_records(filters, cursor=page.next_cursor)
        assert sorted(record.body["x"] for record in found) == list(range(25))
        times = [record.time for record in found]
        assert times == sorted(times, reverse=True)
        assert (found[0].scope_name, found[0].severity_number, found[0].resource["service.name"]) == (
            "scouter.queue",
            9,
            "svc",
        )

    def test_tags(self, client: ScouterClient) -> None:
        tags = [(tag.key, tag.value, tag.traces, tag.records) for tag in client.get_tags()]
        assert sorted(tags) == [("env", "prod", 0, 1), ("env", "test", 0, 1), ("team", "a", 0, 1)]
        assert [tag.value for tag in client.get_tags(key="env", value_prefix="p")] == ["prod"]
        assert client.get_tags(TagFilters(entity_uid="u-spc")) == []

    def test_what_is_no_filter(self, client: ScouterClient) -> None:
        for ask, error, words in [
            (lambda: client.get_records(entity="x"), TypeError, "RecordFilters has no filter entity: did you mean"),
            (
                lambda: client.get_records(kind="other"),
                ValueError,
                "kind is 'other': give one of spc, psi, custom, agent",
            ),
            (lambda: client.get_records(limit=5000), ValueError, "limit is 5000: give a whole number from 1 to 1000"),
            (lambda: client.get_records(trace_id="x"), ValueError, "trace_id is 'x': give 32 hexadecimal digits"),
            (lambda: client.get_records(span_id="0" * 16), ValueError, "give 16 hexadecimal digits that are not all"),
            (lambda: client.get_records(TraceFilters()), TypeError, "filters must be RecordFilters, not TraceFilters"),
            (lambda: client.get_records(start_time=2, end_time=1), ValueError, "start_time is 2, more than the 1"),
            (lambda: client.get_tags(limit=20_000), ValueError, "limit is 20000: give a whole number from 1 to 10000"),
            (lambda: client.get_tags(value=1), TypeError, "TagFilters has no filter value"),
            (lambda: client.get_records(cursor="nonsense"), ValueError, "cursor"),
        ]:
            with pytest.raises(error, match=words) as caught:
                ask()
            assert isinstance(caught.value, ScouterError)


@pytest.mark.parametrize("config", [HttpConfig, GrpcConfig])
def test_records_and_traces_of_a_sampled_program_match(fresh_server: Server, config: type[HttpConfig]) -> None:
    """A tenth of the traces is kept: every stored record's trace is stored, and the other way round."""
    profile = AgentProfile("shop", "agent", "1.0.0", [{"id": "t"}])
    queue = ScouterQueue.from_profile(profile, config(fresh_server.uri))
    tracer = init_tracer("svc", transport_config=config(fresh_server.uri), sample_ratio=0.1, scouter_queue=queue)
    for number in range(3000):
        with tracer.start_as_current_span("work") as span:
            if number % 2:
                span.insert_queue_item("agent", EvalRecord({"number": number}))
            else:
                queue["agent"].insert({"number": number})
    assert queue.shutdown(20)
    assert tracer.flush()
    client = fresh_server.client
    traces = {span.trace_id: span.span_id for span in client.get_trace_spans_from_filters(TraceFilters(limit=1000))}
    records = {record.trace_id: record.span_id for record in client.get_records(limit=1000).items}
    assert records == traces
    assert 180 < len(records) < 450
    stats = queue["agent"].stats()
    assert (stats["inserted"], stats["accepted"]) == (3000, len(records))


def test_a_server_that_comes_late_gets_every_record_once(tmp_path: Path) -> None:
    server = Server(tmp_path / "data")
    server.kill()
    queue = ScouterQueue.from_profile(CustomProfile("s", "n", "1", ["x"]), HttpConfig(server.uri, timeout=2))
    for number in range(300):
        queue["n"].insert({"x": number})
    time.sleep(0.1)
    server.restart()
    until("all are sent", lambda: queue.flush(1))
    found = [record.body["x"] for record in server.client.get_records(limit=1000).items]
    assert sorted(found) == list(range(300))
    assert queue.shutdown()
    server.stop()
