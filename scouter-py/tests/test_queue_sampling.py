"""Records and traces at a real server, for every way of keeping a part: a stored record's trace is stored, and the other
way round."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from support import Receiver, Server

from scouter import HttpConfig, MockConfig, TraceFilters
from scouter.queue import AgentProfile, EvalRecord, ScouterQueue
from scouter.tracing import (
    HttpSpanExporter,
    OtelExportConfig,
    ScouterInstrumentor,
    TracerProvider,
    init_tracer,
    instrument,
)

Headers = Callable[[], Mapping[str, str]]


def work(server: Server, count: int, *, headers: Headers = dict, profile_ratio: float = 1.0, **arguments: Any) -> Kept:
    """Instruments, and inserts one record into each of so many spans, by turns in both ways."""
    profile = AgentProfile("shop", "agent", "1.0.0", [{"id": "t"}], sample_ratio=profile_ratio)
    transport = HttpConfig(server.uri)
    queue = ScouterQueue.from_profile(profile, transport)
    instrument(transport_config=transport, scouter_queue=queue, attributes={"service.name": "svc"}, **arguments)
    tracer = trace.get_tracer("work")
    for number in range(count):
        with tracer.start_as_current_span("work", headers=dict(headers())) as span:
            if number % 2:
                span.insert_queue_item("agent", EvalRecord({"number": number}))
            else:
                queue["agent"].insert(EvalRecord({"number": number}))
    ScouterInstrumentor().uninstrument()
    assert queue.shutdown(20)
    stats = queue["agent"].stats()
    assert (stats["inserted"], stats["rejected"], stats["turned_away"]) == (count, 0, 0)
    kept = Kept(server)
    assert stats["accepted"] == len(kept.records)
    return kept


class Kept:
    """Spans by their traces, at the server; of records the same. Of each there is one for a trace."""

    def __init__(self, server: Server) -> None:
        spans = server.client.get_trace_spans_from_filters(TraceFilters(limit=1000))
        records = server.client.get_records(limit=1000)
        assert records.next_cursor is None
        self.spans = {span.trace_id: span.span_id for span in spans}
        self.records = {str(record.trace_id): record.span_id for record in records.items}
        assert (len(self.spans), len(self.records)) == (len(spans), len(records.items))


def remote(flags: str) -> Headers:
    return lambda: {"traceparent": f"00-{os.urandom(16).hex()}-{os.urandom(8).hex()}-{flags}"}


def test_a_tenth_of_all(fresh_server: Server) -> None:
    kept = work(fresh_server, 3000, sample_ratio=0.1)
    assert kept.records == kept.spans
    assert 180 < len(kept.records) < 450


def test_an_exporter_s_ratio_thins_only_what_goes_to_the_collector(fresh_server: Server, receiver: Receiver) -> None:
    exporter = HttpSpanExporter(export_config=OtelExportConfig(endpoint=receiver.uri), sample_ratio=0.1)
    kept = work(fresh_server, 800, exporter=exporter)
    assert kept.records == kept.spans
    assert len(kept.records) == 800
    assert 30 < len(receiver.spans) < 170
    assert receiver.records == []


@pytest.mark.parametrize(("flags", "count"), [("01", 400), ("00", 0)])
def test_a_remote_parent_decides(fresh_server: Server, flags: str, count: int) -> None:
    kept = work(fresh_server, 400, sample_ratio=0.1, headers=remote(flags))
    assert kept.records == kept.spans
    assert len(kept.records) == count


def test_a_profile_that_keeps_less_has_records_of_a_part_of_the_traces(fresh_server: Server) -> None:
    kept = work(fresh_server, 800, profile_ratio=0.25)
    assert len(kept.spans) == 800
    assert 120 < len(kept.records) < 290
    assert kept.records.items() <= kept.spans.items()
    # It is the part that a tracer of this ratio keeps, whoever asks and whenever.
    assert decisions(0.25, list(kept.spans)) == {trace_id: trace_id in kept.records for trace_id in kept.spans}


def test_a_profile_that_keeps_more_takes_nothing_away(fresh_server: Server) -> None:
    kept = work(fresh_server, 2000, sample_ratio=0.1, profile_ratio=0.5)
    assert kept.records == kept.spans
    assert 110 < len(kept.records) < 310


class Repeated(RandomIdGenerator):
    """Begins these traces again."""

    def __init__(self, traces: Iterable[str]) -> None:
        self._traces = iter([int(trace_id, 16) for trace_id in traces])

    def generate_trace_id(self) -> int:
        return next(self._traces)


def decisions(ratio: float, traces: Iterable[str]) -> dict[str, bool]:
    """What a tracer of this ratio says of these traces."""
    provider = TracerProvider(transport_config=MockConfig(), sample_ratio=ratio, id_generator=Repeated(traces))
    spans = [provider.get_tracer("again").start_span("work") for _ in traces]
    return {span.trace_id: span.get_span_context().trace_flags.sampled for span in spans}


def test_records_of_a_span_go_on_after_its_end(fresh_server: Server) -> None:
    """A record that comes late, from another thread or a callback, still finds its trace."""
    queue = ScouterQueue.from_profile(AgentProfile("s", "agent", "1", [{"id": "t"}]), HttpConfig(fresh_server.uri))
    tracer = init_tracer(transport_config=HttpConfig(fresh_server.uri), sample_ratio=0.5, scouter_queue=queue)
    spans = []
    for _ in range(100):
        with tracer.start_as_current_span("work") as span:
            spans.append(span)
    for span in spans:
        span.insert_queue_item("agent", {"late": True})
    assert tracer.flush()
    assert queue.shutdown(20)
    kept = Kept(fresh_server)
    assert kept.records == kept.spans
    assert 20 < len(kept.records) < 80
