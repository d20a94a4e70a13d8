"""Samplers, id generators and resources of OpenTelemetry's SDK, and what variables name of them."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from opentelemetry import context, trace
from opentelemetry.sdk.resources import Resource, ResourceDetector
from opentelemetry.sdk.trace import TracerProvider as SdkProvider
from opentelemetry.sdk.trace import sampling
from opentelemetry.sdk.trace.id_generator import IdGenerator, RandomIdGenerator
from opentelemetry.sdk.trace.sampling import Decision, SamplingResult
from opentelemetry.trace import Link, SpanContext, SpanKind, TraceFlags, TraceState

from scouter import MockConfig
from scouter.errors import ConfigError, ConfigTypeError
from scouter.tracing import ScouterInstrumentor, TracerProvider, init_tracer, instrument
from scouter.tracing import sampling as ours

SAMPLED = SpanContext(1, 2, True, TraceFlags(1), TraceState([("vendor", "x")]))
UNSAMPLED = SpanContext(1, 3, True, TraceFlags(0))


class Custom(sampling.Sampler):
    """Does what it is told, and keeps what it was asked."""

    def __init__(self, *answers: SamplingResult | BaseException) -> None:
        self.answers, self.asked = list(answers), list[tuple[Any, ...]]()

    def should_sample(self, *asked: Any) -> SamplingResult:
        self.asked.append(asked)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def get_description(self) -> str:
        return "Custom"


def made(**arguments: Any) -> tuple[TracerProvider, Any, MockConfig]:
    config = MockConfig()
    provider = TracerProvider(transport_config=config, **arguments)
    return provider, provider.get_tracer("x"), config


def under(span_context: SpanContext) -> context.Context:
    return trace.set_span_in_context(trace.NonRecordingSpan(span_context), context.Context())


def test_a_sampler_is_asked_as_the_sdk_asks() -> None:
    """The same calls under both, object for object."""
    attributes, links = {"a": [1, 2]}, [Link(SAMPLED)]
    parent = under(SAMPLED)

    def program(tracer: trace.Tracer) -> None:
        tracer.start_span("plain").end()
        tracer.start_span("all", parent, SpanKind.SERVER, attributes, links, 5).end()
        with tracer.start_as_current_span("with", kind=SpanKind.CONSUMER):
            pass

    here = Custom(SamplingResult(Decision.RECORD_AND_SAMPLE))
    there = Custom(SamplingResult(Decision.RECORD_AND_SAMPLE))
    program(made(sampler=here)[1])
    program(SdkProvider(sampler=there, shutdown_on_exit=False).get_tracer("x"))
    for asked, theirs in zip(here.asked, there.asked, strict=True):
        assert asked[0] is theirs[0]
        assert asked[2:] == theirs[2:]
        assert isinstance(asked[1], int)
    assert here.asked[1][4] is attributes
    assert here.asked[1][1] == 1


def test_decisions() -> None:
    sampler = Custom(*(SamplingResult(decision) for decision in Decision), SamplingResult(Decision.DROP))
    provider, tracer, config = made(sampler=sampler)
    seen = []
    for decision in Decision:
        span = tracer.start_span(decision.name)
        seen.append((span.is_recording(), bool(span.get_span_context().trace_flags.sampled)))
        assert span.get_span_context().is_valid
        span.end()
    assert seen == [(False, False), (True, False), (True, True)]
    assert provider.shutdown()
    assert [span["name"] for span in config.spans] == ["RECORD_AND_SAMPLE"]
    stats = provider.stats()
    assert (stats["started"], stats["sampled_out"]) == (1, 2)


def test_a_span_that_is_only_recorded_reads_like_any_other() -> None:
    _, tracer, _ = made(sampler=Custom(SamplingResult(Decision.RECORD_ONLY)))
    span = tracer.start_span("a", attributes={"k": 1})
    span.add_event("e")
    span.end()
    assert (span.name, dict(span.attributes), [event.name for event in span.events]) == ("a", {"k": 1}, ["e"])
    assert span.end_time >= span.start_time


def test_the_samplers_attributes_are_added_and_win() -> None:
    answer = SamplingResult(Decision.RECORD_AND_SAMPLE, {"rule": "r", "both": "sampler", "list": (1, 2)})
    provider, tracer, config = made(sampler=Custom(answer), attributes={"default": True})
    tracer.start_span("a", attributes={"own": 1, "both": "caller"}, tags={"t": "v"}).end()
    assert provider.shutdown()
    assert config.spans[0]["attributes"] == {
        "default": True,
        "own": 1,
        "both": "sampler",
        "rule": "r",
        "list": (1, 2),
        "scouter.tag.t": "v",
    }


@pytest.mark.parametrize(
    ("state", "header"),
    [(TraceState([("a", "1"), ("b", "2")]), "a=1,b=2"), (None, ""), (SAMPLED.trace_state, "vendor=x")],
)
def test_the_samplers_trace_state_is_the_spans(state: TraceState | None, header: str) -> None:
    """Also none, as in the SDK: a sampler that keeps the parent's hands it back."""
    answer = SamplingResult(Decision.RECORD_AND_SAMPLE, None, state)
    _, tracer, _ = made(sampler=Custom(answer))
    theirs = SdkProvider(sampler=Custom(answer), shutdown_on_exit=False).get_tracer("x")
    for each in (tracer, theirs):
        span = each.start_span("a", under(SAMPLED))
        assert span.get_span_context().trace_state.to_header() == header


SDK_SAMPLERS = [
    sampling.ALWAYS_ON,
    sampling.ALWAYS_OFF,
    sampling.DEFAULT_ON,
    sampling.DEFAULT_OFF,
    sampling.TraceIdRatioBased(0.5),
    sampling.ParentBasedTraceIdRatio(0.5),
    sampling.ParentBased(sampling.ALWAYS_OFF, remote_parent_not_sampled=sampling.ALWAYS_ON),
    sampling.AlwaysRecordSampler(sampling.DEFAULT_OFF),
    sampling.StaticSampler(Decision.RECORD_ONLY),
    sampling.ParentBased(sampling.AlwaysRecordSampler(sampling.TraceIdRatioBased(0.5))),
]


@pytest.mark.parametrize("sampler", SDK_SAMPLERS, ids=lambda sampler: sampler.get_description())
def test_the_sdks_samplers_decide_as_under_the_sdk(sampler: sampling.Sampler) -> None:
    class Ids(IdGenerator):
        """The same ids under both, spread over all of their range."""

        def __init__(self) -> None:
            self.next = 0

        def generate_span_id(self) -> int:
            self.next += 1
            return self.next

        def generate_trace_id(self) -> int:
            self.next += 1
            return (self.next * 0x9E3779B97F4A7C15F39CC0605CEDC835) % 2**128

    def program(tracer: trace.Tracer) -> Iterator[tuple[Any, ...]]:
        for parent in (context.Context(), under(SAMPLED), under(UNSAMPLED)):
            for _ in range(20):
                with tracer.start_as_current_span("a", parent, attributes={"k": 1}) as span:
                    child: Any = tracer.start_span("child")
                    for each in (span, child):
                        found = each.get_span_context()
                        # Not its attributes: where the SDK's samplers forget those of a span that they would drop, a
                        # span that is recorded all the same keeps them here.
                        yield (found.trace_id, found.trace_flags, found.trace_state, each.is_recording())
                    child.end()

    here = list(program(made(sampler=sampler, id_generator=Ids())[1]))
    there = list(program(SdkProvider(sampler, id_generator=Ids(), shutdown_on_exit=False).get_tracer("x")))
    assert here == there


def test_the_sdks_simple_samplers_are_decided_natively() -> None:
    """And nothing else: not by ratio, where the specification has moved on, and not what derives from them."""

    class Derived(sampling.ParentBased):
        pass

    on, off = ("always_on", None), ("always_off", None)
    assert ours.described(sampling.ALWAYS_ON) == on
    assert ours.described(sampling.DEFAULT_OFF) == ("parent_based", off)
    custom = sampling.TraceIdRatioBased(0.1)
    assert ours.described(sampling.ParentBased(custom)) == ("parent_based", ("custom", custom))
    for asked in (custom, Derived(sampling.ALWAYS_ON), sampling.ParentBased(custom, sampling.ALWAYS_OFF)):
        assert ours.described(asked) == ("custom", asked)


def test_a_sampler_of_ones_own_need_not_derive() -> None:
    class Duck:
        class Answer:
            decision = SimpleNamespace(name="RECORD_AND_SAMPLE")

        def should_sample(self, *_: object) -> Any:
            return self.Answer

    provider, tracer, config = made(sampler=Duck())
    tracer.start_span("a").end()
    assert provider.shutdown()
    assert len(config.spans) == 1
    assert provider.stats()["plugin_failures"] == 0


@pytest.mark.parametrize("answer", [ValueError("no"), SamplingResult("yes"), SamplingResult(None)])  # type: ignore[arg-type]
def test_a_sampler_that_fails_leaves_it_to_the_parent(answer: Any, caplog: pytest.LogCaptureFixture) -> None:
    provider, tracer, _ = made(sampler=Custom(answer))
    with caplog.at_level(logging.WARNING, "scouter"):
        recorded = [tracer.start_span("a", under(parent)).is_recording() for parent in (SAMPLED, UNSAMPLED)]
        recorded.append(tracer.start_span("root").is_recording())
    assert recorded == [True, False, True]
    assert provider.stats()["plugin_failures_by_role"]["sampler"] == 3


def test_an_interrupt_in_a_sampler_is_the_programs() -> None:
    provider, tracer, _ = made(sampler=Custom(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        tracer.start_span("a")
    with pytest.raises(KeyboardInterrupt), tracer.start_as_current_span("a"):
        pass
    with pytest.raises(KeyboardInterrupt):
        tracer.span("a")(lambda: None)()
    assert trace.get_current_span() is trace.INVALID_SPAN
    assert provider.stats()["plugin_failures"] == 0


def test_sampler_and_sample_ratio_exclude_each_other() -> None:
    for make in (TracerProvider, init_tracer, instrument):
        with pytest.raises(ConfigError, match="sample_ratio and sampler"):
            make(transport_config=MockConfig(), sample_ratio=0.5, sampler=sampling.ALWAYS_ON)
    assert not ScouterInstrumentor().is_instrumented


@pytest.mark.parametrize("argument", ["sampler", "id_generator"])
@pytest.mark.parametrize("wrong", [1, "x", object(), sampling.TraceIdRatioBased, RandomIdGenerator])
def test_what_is_no_such_plugin_is_refused(argument: str, wrong: Any) -> None:
    with pytest.raises(ConfigTypeError, match=argument):
        made(**{argument: wrong})


class TestIds:
    class Fixed(IdGenerator):
        def __init__(self, trace_id: Any = 7, span_id: Any = 8, random: Any = True) -> None:
            self.trace_id, self.span_id, self.random = trace_id, span_id, random

        def generate_trace_id(self) -> int:
            return self._give(self.trace_id)

        def generate_span_id(self) -> int:
            return self._give(self.span_id)

        def is_trace_id_random(self) -> bool:
            return self._give(self.random)

        @staticmethod
        def _give(value: Any) -> Any:
            if isinstance(value, Exception):
                raise value
            return value

    def test_ids_and_the_random_flag(self) -> None:
        for random in (True, False):
            _, tracer, _ = made(id_generator=self.Fixed(random=random))
            found = tracer.start_span("a").get_span_context()
            assert (found.trace_id, found.span_id) == (7, 8)
            assert found.trace_flags == (3 if random else 1)
        largest = self.Fixed(2**128 - 1, 2**64 - 1)
        found = made(id_generator=largest)[1].start_span("a").get_span_context()
        assert (found.trace_id, found.span_id) == (2**128 - 1, 2**64 - 1)

    def test_children_have_their_parents_trace(self) -> None:
        found = made(id_generator=self.Fixed())[1].start_span("a", under(SAMPLED)).get_span_context()
        assert (found.trace_id, found.span_id) == (1, 8)

    def test_unsampled_spans_have_ids_too(self) -> None:
        found = made(id_generator=self.Fixed(), sample_ratio=0.0)[1].start_span("a").get_span_context()
        assert (found.trace_id, found.span_id, bool(found.trace_flags.sampled)) == (7, 8, False)

    @pytest.mark.parametrize("bad", [0, -1, 2**128, "1", None, 1.5, OSError("no entropy")])
    def test_what_is_no_id_is_replaced(self, bad: Any, caplog: pytest.LogCaptureFixture) -> None:
        provider, tracer, config = made(id_generator=self.Fixed(bad, bad, bad))
        with caplog.at_level(logging.WARNING, "scouter"):
            spans = [tracer.start_span("a") for _ in range(10)]
        ids = {span.get_span_context().span_id for span in spans}
        assert len(ids) == len({span.get_span_context().trace_id for span in spans}) == 10
        for span in spans:
            span.end()
        assert provider.shutdown()
        assert len(config.spans) == 10
        assert provider.stats()["plugin_failures_by_role"]["id_generator"] >= 20
        assert len(caplog.records) <= 3

    def test_one_that_says_nothing_about_randomness(self) -> None:
        class Own:
            def generate_trace_id(self) -> int:
                return 5

            def generate_span_id(self) -> int:
                return 6

        assert made(id_generator=Own())[1].start_span("a").get_span_context().trace_flags == 1


class Offered:
    """What installed packages offer, for one test."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._by_group: dict[str, dict[str, Any]] = {}
        monkeypatch.setattr("scouter.tracing.plugins.entry_points", self._find)
        monkeypatch.setattr("scouter.tracing.resources.entry_points", self._find)

    def offer(self, group: str, name: str, value: Any) -> None:
        self._by_group.setdefault(group, {})[name] = value

    def _find(self, group: str, name: str | None = None) -> list[Any]:
        class Entry:
            def __init__(self, name: str, value: Any) -> None:
                self.name, self._value = name, value

            def load(self) -> Any:
                if isinstance(self._value, Exception):
                    raise self._value
                return self._value

        offered = self._by_group.get(group, {})
        return [Entry(found, value) for found, value in offered.items() if name in (None, found)]


@pytest.fixture
def offered(monkeypatch: pytest.MonkeyPatch) -> Offered:
    return Offered(monkeypatch)


def test_otel_traces_sampler_names_a_sampler_of_a_package(
    offered: Offered, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    arguments = []

    def factory(argument: str | None) -> sampling.Sampler:
        arguments.append(argument)
        return Custom(SamplingResult(Decision.DROP))

    offered.offer("opentelemetry_traces_sampler", "mine", factory)
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "mine")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", "some=thing")
    with caplog.at_level(logging.WARNING, "scouter"):
        assert not made()[1].start_span("a").is_recording()
        # What code says beats the variable.
        assert made(sampler=sampling.ALWAYS_ON)[1].start_span("a").is_recording()
        assert made(sample_ratio=1.0)[1].start_span("a").is_recording()
    assert arguments == ["some=thing"]
    assert caplog.records == []


@pytest.mark.parametrize("offer", [None, RuntimeError("broken"), lambda _: "no sampler"])
def test_a_sampler_that_cannot_be_made_is_complained_about(
    offer: Any, offered: Offered, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    if offer is not None:
        offered.offer("opentelemetry_traces_sampler", "mine", offer)
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "mine")
    with caplog.at_level(logging.WARNING, "scouter"):
        tracer = made()[1]
    assert tracer.start_span("a").is_recording()
    assert not tracer.start_span("a", under(UNSAMPLED)).is_recording()
    assert any("mine" in record.getMessage() for record in caplog.records)


def test_otel_python_id_generator_names_one_of_a_package(offered: Offered, monkeypatch: pytest.MonkeyPatch) -> None:
    offered.offer("opentelemetry_id_generator", "fixed", TestIds.Fixed)
    monkeypatch.setenv("OTEL_PYTHON_ID_GENERATOR", "fixed")
    assert made()[1].start_span("a").get_span_context().trace_id == 7
    for name in ("random", "unknown", ""):
        monkeypatch.setenv("OTEL_PYTHON_ID_GENERATOR", name)
        assert made()[1].start_span("a").get_span_context().trace_id > 2**64


class TestResources:
    class Detector(ResourceDetector):
        found = Resource({"detected": 1, "service.name": "detected", "both": "detected"}, "https://detector")

        def detect(self) -> Resource:
            return self.found

    @pytest.fixture(autouse=True)
    def detectors(self, offered: Offered, monkeypatch: pytest.MonkeyPatch) -> None:
        class Fails(ResourceDetector):
            def detect(self) -> Resource:
                raise OSError("no such machine")

        class Later(ResourceDetector):
            def detect(self) -> Resource:
                return Resource({"both": "later", "later": True})

        for name, detector in {"one": self.Detector, "fails": Fails, "two": Later}.items():
            offered.offer("opentelemetry_resource_detector", name, detector)
        self.monkeypatch = monkeypatch

    def test_none_is_asked_that_is_not_named(self) -> None:
        assert "detected" not in made()[0].resource.attributes

    def test_the_later_one_wins_and_one_that_fails_is_left_out(self, caplog: pytest.LogCaptureFixture) -> None:
        self.monkeypatch.setenv("OTEL_EXPERIMENTAL_RESOURCE_DETECTORS", "one, fails,two,otel,unknown")
        with caplog.at_level(logging.WARNING, "scouter"):
            resource = made()[0].resource
        attributes = dict(resource.attributes)
        assert (attributes["detected"], attributes["both"], attributes["later"]) == (1, "later", True)
        assert attributes["service.name"] == "detected"
        assert resource.schema_url == "https://detector"
        said = " ".join(record.getMessage() for record in caplog.records)
        assert "no such machine" in said
        assert "unknown" in said

    def test_all(self) -> None:
        self.monkeypatch.setenv("OTEL_EXPERIMENTAL_RESOURCE_DETECTORS", "*")
        assert made()[0].resource.attributes["later"] is True

    def test_variables_and_code_win(self) -> None:
        self.monkeypatch.setenv("OTEL_EXPERIMENTAL_RESOURCE_DETECTORS", "one")
        self.monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "both=variable")
        assert made()[0].resource.attributes["both"] == "variable"
        self.monkeypatch.setenv("OTEL_SERVICE_NAME", "variable")
        assert made()[0].resource.attributes["service.name"] == "variable"
        given = made(resource=Resource({"both": "code", "service.name": "code"}, "https://code"))[0].resource
        assert (given.attributes["both"], given.attributes["service.name"]) == ("code", "code")
        assert given.schema_url == "https://code"

    def test_resources_of_the_sdk(self) -> None:
        merged = Resource.get_empty().merge(Resource({"a": 1, "b": [True]}, "u")).merge(Resource({"a": 2}))
        resource = made(resource=merged)[0].resource
        assert (resource.attributes["a"], resource.attributes["b"], resource.schema_url) == (2, (True,), "u")
        assert resource.attributes["service.name"] == "unknown_service:python"


def test_the_same_keywords_everywhere() -> None:
    sampler = Custom(SamplingResult(Decision.RECORD_AND_SAMPLE))
    instrument(transport_config=MockConfig(), sampler=sampler, id_generator=TestIds.Fixed())
    with trace.get_tracer("x").start_as_current_span("a") as span:
        assert span.get_span_context().trace_id == 7
    ScouterInstrumentor().uninstrument()
    tracer = init_tracer(transport_config=MockConfig(), sampler=sampler, id_generator=TestIds.Fixed())
    assert tracer.start_span("a").get_span_context().trace_id == 7
    assert len(sampler.asked) == 2
