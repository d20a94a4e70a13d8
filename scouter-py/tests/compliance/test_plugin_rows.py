"""OpenTelemetry's compliance matrix, "Traces / Sampling" and span processors: the SDK's plug-ins on our spans. One test a row."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import pytest
from opentelemetry import context, trace
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, SpanProcessor
from opentelemetry.sdk.trace._sampling_experimental import (
    composable_always_off,
    composable_parent_threshold,
    composable_rule_based,
    composable_traceid_ratio_based,
    composite_sampler,
)
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import (
    ALWAYS_OFF,
    AlwaysRecordSampler,
    Decision,
    ParentBased,
    Sampler,
    SamplingResult,
    TraceIdRatioBased,
)
from opentelemetry.trace import Link, SpanContext, SpanKind, TraceFlags, TraceState

from scouter import MockConfig
from scouter.tracing import ScouterTracer, TracerProvider

REMOTE = SpanContext(0x0AF7651916CD43DD8448EB211C80319C, 0xB7AD6B7169203331, True, TraceFlags(1))


class Processor(SpanProcessor):
    """Notes what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, Any]] = []

    def on_start(self, span: Any, parent_context: context.Context | None = None) -> None:
        span.set_attribute("by.start", True)
        self.told.append(("start", parent_context))

    def _on_ending(self, span: Any) -> None:
        span.set_attribute("by.ending", True)
        self.told.append(("ending", span.is_recording()))

    def on_end(self, span: ReadableSpan) -> None:
        self.told.append(("end", span.name))


class Choosing(Sampler):
    """A sampler that answers with what it is given, and keeps what it is asked."""

    def __init__(self, decision: Decision = Decision.RECORD_AND_SAMPLE, **answer: Any) -> None:
        self.decision, self.answer, self.asked = decision, answer, list[dict[str, Any]]()

    def should_sample(
        self,
        parent_context: context.Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Any = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        asked = {"parent": parent_context, "trace_id": trace_id, "name": name, "kind": kind, "links": links}
        self.asked.append({**asked, "attributes": dict(attributes or {})})
        return SamplingResult(self.decision, **self.answer)

    def get_description(self) -> str:
        return "Choosing"


class Counting(IdGenerator):
    """Ids that are easy to tell."""

    def __init__(self) -> None:
        self.last = 0

    def generate_span_id(self) -> int:
        self.last += 1
        return self.last

    def generate_trace_id(self) -> int:
        self.last += 1
        return self.last << 64 | 1


def provider_of(**arguments: Any) -> tuple[TracerProvider, ScouterTracer, MockConfig]:
    config = MockConfig()
    provider = TracerProvider(transport_config=config, **arguments)
    return provider, provider.get_tracer("rows"), config


def test_m024_on_start_receives_parent_context() -> None:
    provider, tracer, _ = provider_of()
    processor = Processor()
    provider.add_span_processor(processor)
    given = context.set_value("mine", 1, trace.set_span_in_context(trace.NonRecordingSpan(REMOTE)))
    tracer.start_span("child", given).end()
    (received,) = (told for what, told in processor.told if what == "start")
    assert received is given
    assert provider.shutdown()


def test_m036_on_ending() -> None:
    provider, tracer, config = provider_of()
    processor = Processor()
    provider.add_span_processor(processor)
    tracer.start_span("one").end()
    assert [what for what, _ in processor.told] == ["start", "ending", "end"]
    # While it is ending a span can still be changed (trace SDK, "OnEnding").
    assert ("ending", True) in processor.told
    assert provider.shutdown()
    assert config.spans[0]["attributes"] == {"by.start": True, "by.ending": True}


def test_m053_samplers_modify_tracestate() -> None:
    sampler = Choosing(trace_state=TraceState([("sampled", "by-us")]))
    provider, tracer, config = provider_of(sampler=sampler)
    span = tracer.start_span("one")
    assert span.get_span_context().trace_state.to_header() == "sampled=by-us"
    span.end()
    assert provider.shutdown()
    assert config.spans[0]["trace_state"] == "sampled=by-us"


def test_m054_should_sample_gets_full_parent_context() -> None:
    sampler = Choosing(attributes={"chosen": "yes"})
    provider, tracer, config = provider_of(sampler=sampler)
    given = context.set_value("mine", 1, trace.set_span_in_context(trace.NonRecordingSpan(REMOTE)))
    links = [Link(REMOTE)]
    tracer.start_span("one", given, SpanKind.CLIENT, {"a": 1}, links).end()
    (asked,) = sampler.asked
    assert asked["parent"] is given
    assert (asked["trace_id"], asked["name"], asked["kind"]) == (REMOTE.trace_id, "one", SpanKind.CLIENT)
    assert asked["attributes"] == {"a": 1}
    assert [link.context.span_id for link in asked["links"]] == [REMOTE.span_id]
    assert provider.shutdown()
    assert config.spans[0]["attributes"] == {"a": 1, "chosen": "yes"}


def test_m055_jaeger_remote_sampler() -> None:
    """Any sampler object is taken, also one whose mind changes while the program runs, as a remote one's does."""

    class Remote(Choosing):
        def told_by_the_agent(self, ratio: float) -> None:
            self.decision = Decision.RECORD_AND_SAMPLE if ratio else Decision.DROP

    sampler = Remote()
    provider, tracer, config = provider_of(sampler=sampler)
    for ratio in (1.0, 0.0, 1.0):
        sampler.told_by_the_agent(ratio)
        tracer.start_span(f"at {ratio}").end()
    assert provider.shutdown()
    assert [span["name"] for span in config.spans] == ["at 1.0", "at 1.0"]


def test_m057_id_generators() -> None:
    provider, tracer, config = provider_of(id_generator=Counting())
    with tracer.start_as_current_span("root"):
        tracer.start_span("child").end()
    assert provider.shutdown()
    child, root = config.spans
    assert (root["trace_id"], child["trace_id"]) == (f"{1:016x}{1:016x}",) * 2
    assert (root["span_id"], child["span_id"], child["parent_span_id"]) == (f"{2:016x}", f"{3:016x}", f"{2:016x}")
    # Nobody says that they are random, so the flag of level 2 is not set.
    assert root["flags"] & 0x02 == 0


def test_m058_span_limits() -> None:
    limits = SpanLimits(max_span_attributes=2, max_events=1, max_links=1, max_span_attribute_length=3)
    provider, tracer, _ = provider_of(span_limits=limits)
    span = tracer.start_span("one", attributes={f"key {i}": "value" for i in range(4)}, links=[Link(REMOTE)] * 3)
    for _ in range(4):
        span.add_event("event")
    span.end()
    assert list(span.attributes.values()) == ["val", "val"]
    assert (span.dropped_attributes, span.dropped_events, span.dropped_links) == (2, 3, 2)
    assert provider.shutdown()


def test_m059_built_in_span_processors_implement_force_flush() -> None:
    """The SDK's built-in processors behind our provider, and our own pipeline, are flushed by one call."""
    simple, batch = InMemorySpanExporter(), InMemorySpanExporter()
    provider, tracer, config = provider_of()
    provider.add_span_processor(SimpleSpanProcessor(simple))
    provider.add_span_processor(BatchSpanProcessor(batch, schedule_delay_millis=3_600_000))
    tracer.start_span("one").end()
    assert provider.force_flush(20_000)
    assert [span.name for span in simple.get_finished_spans()] == ["one"]
    assert [span.name for span in batch.get_finished_spans()] == ["one"]
    assert [span["name"] for span in config.spans] == ["one"]
    assert provider.shutdown()


def test_m060_attribute_limits() -> None:
    limits = SpanLimits(max_event_attributes=1, max_link_attributes=2, max_attribute_length=4)
    provider, tracer, config = provider_of(span_limits=limits)
    many = {f"key {i}": "value" for i in range(5)}
    span = tracer.start_span("one", attributes=many, links=[Link(REMOTE, many)])
    span.add_event("event", many)
    span.end()
    assert provider.shutdown()
    (sent,) = config.spans
    assert set(sent["attributes"].values()) == {"valu"}
    assert len(sent["events"][0]["attributes"]) == 1
    assert len(sent["links"][0]["attributes"]) == 2
    assert (span.events[0].dropped_attributes, span.links[0].dropped_attributes) == (4, 3)


def test_m062_trace_id_ratio_writes_th() -> None:
    # OpenTelemetry's tracestate entry, "th": half of the traces are kept, so the rejection threshold is 8.
    provider, tracer, config = provider_of(sample_ratio=0.5)
    for _ in range(64):
        tracer.start_span("one").end()
    assert provider.shutdown()
    assert 8 < len(config.spans) < 56
    assert {span["trace_state"] for span in config.spans} == {"ot=th:8"}
    assert all(int(span["trace_id"], 16) & ((1 << 56) - 1) >= 1 << 55 for span in config.spans)


def test_m063_composite_samplers() -> None:
    rules = composable_rule_based([(Matches("drop me"), composable_always_off())])
    half = composite_sampler(composable_parent_threshold(composable_traceid_ratio_based(0.5)))
    for sampler, names, most in ((composite_sampler(rules), ["drop me"], 0), (half, ["keep half"] * 64, 56)):
        provider, tracer, config = provider_of(sampler=sampler)
        for name in names:
            tracer.start_span(name).end()
        assert provider.shutdown()
        assert (len(config.spans) > 8) is (most > 0)
        assert len(config.spans) <= most
        assert {span["trace_state"] for span in config.spans} <= {"ot=th:8"}


class Matches:
    """A rule's condition: the name."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, parent_ctx: Any, name: str, *_: Any, **__: Any) -> bool:
        return name == self.name

    def __str__(self) -> str:
        return self.name


def test_m064_always_record() -> None:
    processor = Processor()
    provider, tracer, config = provider_of(sampler=AlwaysRecordSampler(ALWAYS_OFF))
    provider.add_span_processor(processor)
    span = tracer.start_span("recorded, not sampled")
    assert span.is_recording()
    assert not span.get_span_context().trace_flags.sampled
    span.end()
    assert ("end", "recorded, not sampled") in processor.told
    assert provider.shutdown()
    assert config.spans == []


@pytest.mark.parametrize("plugin", ["sampler", "id_generator", "processor"])
def test_a_plugin_that_raises_is_counted_and_not_felt(plugin: str, caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Choosing, IdGenerator, SpanProcessor):
        def fail(self, *_: Any, **__: Any) -> Any:
            raise RuntimeError("broken plug-in")

        should_sample = generate_span_id = generate_trace_id = on_start = _on_ending = on_end = fail

    arguments = {} if plugin == "processor" else {plugin: Broken()}
    provider, tracer, config = provider_of(**arguments)
    if plugin == "processor":
        provider.add_span_processor(Broken())
    with caplog.at_level(logging.WARNING, "scouter"), tracer.start_as_current_span("one") as span:
        assert span.get_span_context().is_valid
    assert provider.stats()["plugin_failures"] >= 1
    assert provider.shutdown()
    assert [span["name"] for span in config.spans] == ["one"]


def test_samplers_of_the_sdk_decide_as_they_do_there() -> None:
    sampler = ParentBased(TraceIdRatioBased(0.3))
    provider, tracer, _ = provider_of(sampler=sampler)
    for _ in range(300):
        span = tracer.start_span("one")
        expected = sampler.should_sample(None, span.get_span_context().trace_id, "one")
        assert span.is_recording() is expected.decision.is_recording()
        span.end()
    assert provider.shutdown()
