"""Records and spans: which span a record belongs to, and that both are kept or neither."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider as SdkProvider

from scouter import MockConfig
from scouter.queue import AgentProfile, CustomProfile, EvalRecord, ScouterQueue, SpcProfile
from scouter.tracing import TracerProvider, init_tracer, instrument, uninstrument

FEATURES = SpcProfile("shop", "model", "1.0.0", {"age": int})
METRICS = CustomProfile("shop", "basket", "1.0.0", ["cost"])
AGENT = AgentProfile("shop", "agent", "1.0.0", [{"id": "polite"}])
FIT = {"age": 30}


@pytest.fixture
def sent() -> MockConfig:
    return MockConfig()


@pytest.fixture
def queue(sent: MockConfig) -> Iterator[ScouterQueue]:
    with ScouterQueue.from_profile([FEATURES, METRICS, AGENT], transport_config=sent) as queue:
        yield queue


def arrived(queue: ScouterQueue, sent: MockConfig) -> list[dict[str, Any]]:
    assert queue.flush(10)
    return sent.records


def test_a_record_inside_a_span_belongs_to_it(queue: ScouterQueue, sent: MockConfig) -> None:
    tracer = init_tracer(service_name="t", transport_config=MockConfig())
    with tracer.start_as_current_span("outer") as span:
        queue["model"].insert(FIT)
    (record,) = arrived(queue, sent)
    assert (record["trace_id"], record["span_id"], record["flags"]) == (span.trace_id, span.span_id, 3)


def test_whoever_made_the_span(queue: ScouterQueue, sent: MockConfig) -> None:
    with SdkProvider().get_tracer("other").start_as_current_span("theirs") as span:
        queue["model"].insert(FIT)
        context = span.get_span_context()
    (record,) = arrived(queue, sent)
    assert record["trace_id"] == trace.format_trace_id(context.trace_id)
    assert record["span_id"] == trace.format_span_id(context.span_id)


def test_by_way_of_the_span_wherever_it_is(queue: ScouterQueue, sent: MockConfig) -> None:
    tracer = init_tracer(service_name="t", transport_config=MockConfig())
    tracer.set_scouter_queue(queue)
    span, other = tracer.start_span("a"), tracer.start_span("b")
    with trace.use_span(other):
        assert span.insert_queue_item("model", FIT) is None
        with tracer.current_span as current:
            current.insert_queue_item("basket", {"cost": 1})
    span.end()
    span.insert_queue_item("model", FIT)
    found = [(record["entity"]["alias"], record["span_id"]) for record in arrived(queue, sent)]
    assert found == [("model", span.span_id), ("basket", other.span_id), ("model", span.span_id)]
    with pytest.raises(KeyError, match="known are"):
        span.insert_queue_item("modle", FIT)
    other.end()


def test_a_queue_given_at_set_up(queue: ScouterQueue, sent: MockConfig) -> None:
    instrument(transport_config=MockConfig(), scouter_queue=queue)
    with trace.get_tracer("a").start_as_current_span("x") as span:
        span.insert_queue_item("model", FIT)
    uninstrument()
    provider = TracerProvider(transport_config=MockConfig(), scouter_queue=queue)
    with provider.get_tracer("a").start_as_current_span("y") as span:
        span.insert_queue_item("model", FIT)
    tracer = init_tracer(transport_config=MockConfig(), scouter_queue=queue)
    with tracer.start_as_current_span("z") as span:
        span.insert_queue_item("model", FIT)
    assert len({record["trace_id"] for record in arrived(queue, sent)}) == 3


def test_a_queue_of_one_tracer_serves_all_of_its_provider(queue: ScouterQueue, sent: MockConfig) -> None:
    provider = TracerProvider(transport_config=MockConfig())
    provider.get_tracer("a").set_scouter_queue(queue)
    provider.get_tracer("b").start_span("x").insert_queue_item("model", FIT)
    assert len(arrived(queue, sent)) == 1
    provider.get_tracer("c").set_scouter_queue(None)
    provider.get_tracer("b").start_span("x").insert_queue_item("model", FIT)
    assert provider.stats()["records_without_queue"] == 1
    with pytest.raises(TypeError, match="queue must be a ScouterQueue, not dict"):
        provider.get_tracer("a").set_scouter_queue({})
    with pytest.raises(TypeError, match="scouter_queue is of type dict"):
        TracerProvider(scouter_queue={})


def test_a_span_without_a_queue_warns_once_and_counts(caplog: pytest.LogCaptureFixture) -> None:
    tracer = init_tracer(transport_config=MockConfig())
    with caplog.at_level(logging.WARNING, "scouter"):
        for _ in range(10):
            tracer.start_span("x").insert_queue_item("model", FIT)
    assert tracer.stats()["records_without_queue"] == 10
    assert sum("set_scouter_queue" in record.getMessage() for record in caplog.records) <= 1


def test_of_a_span_that_is_not_sampled_nothing_is_kept(queue: ScouterQueue, sent: MockConfig) -> None:
    class NeverRead:
        @property
        def __dict__(self) -> Any:  # type: ignore[override]
            raise AssertionError("was read")

    tracer = init_tracer(transport_config=MockConfig(), sample_ratio=0.0, scouter_queue=queue)
    with tracer.start_as_current_span("x") as span:
        span.insert_queue_item("agent", EvalRecord({"a": NeverRead()}))
        queue["agent"].insert(EvalRecord({"a": NeverRead()}))
    assert arrived(queue, sent) == []
    assert queue["agent"].stats()["sampled_out"] == 2


def test_of_a_tracer_that_has_ended_nothing_is_kept(queue: ScouterQueue, sent: MockConfig) -> None:
    tracer = init_tracer(transport_config=MockConfig(), scouter_queue=queue)
    tracer.shutdown()
    with tracer.start_as_current_span("x") as span:
        span.insert_queue_item("model", FIT)
    assert arrived(queue, sent) == []


def test_records_and_traces_are_the_same_part(sent: MockConfig) -> None:
    spans = MockConfig()
    half = SpcProfile("shop", "half", "1", {"x": int}, sample_ratio=0.5)
    queue = ScouterQueue.from_profile([half, AGENT], transport_config=sent)
    tracer = init_tracer(transport_config=spans, sample_ratio=0.1, scouter_queue=queue)
    for number in range(2000):
        with tracer.start_as_current_span("x") as span:
            span.insert_queue_item("agent", EvalRecord({"n": number}))
            queue["half"].insert({"x": number})
    assert queue.shutdown(10)
    assert tracer.flush()
    kept = [record for record in sent.records if record["entity"]["alias"] == "agent"]
    assert {span["trace_id"] for span in spans.spans} == {record["trace_id"] for record in kept}
    assert 100 < len(kept) < 320
    # All of a tenth lies within the half.
    assert len(sent.records) == 2 * len(kept)
