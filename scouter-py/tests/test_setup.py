from __future__ import annotations

import logging
import re

import pytest
from opentelemetry import baggage, context, propagate, trace
from opentelemetry.instrumentation.instrumentor import BaseInstrumentor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider as SdkProvider
from support import Kept

from scouter import BatchConfig, MockConfig
from scouter.errors import ConfigError, ConfigTypeError
from scouter.tracing import (
    ScouterInstrumentor,
    ScouterSpan,
    ScouterTracer,
    ScouterTracerProvider,
    TracerProvider,
    flush_tracer,
    get_tracer,
    init_tracer,
    instrument,
    shutdown_tracer,
    uninstrument,
)


def names(config: MockConfig) -> list[str]:
    return [span["name"] for span in config.spans]


class TestInstrumentor:
    def test_the_recommended_set_up(self) -> None:
        config = MockConfig()
        ScouterInstrumentor().instrument(transport_config=config, attributes={"service.name": "my-service"})
        tracer = trace.get_tracer("my-service")
        with tracer.start_as_current_span("work"):
            assert trace.get_current_span().get_span_context().is_valid
        assert flush_tracer()
        assert names(config) == ["work"]
        assert config.spans[0]["resource"]["service.name"] == "my-service"
        assert config.spans[0]["scope"] == "my-service"

    def test_it_is_a_singleton_that_follows_base_instrumentor(self) -> None:
        first = ScouterInstrumentor()
        assert isinstance(first, BaseInstrumentor)
        assert ScouterInstrumentor() is first
        assert not first.is_instrumented
        first.instrument(transport_config=MockConfig())
        assert first.is_instrumented
        assert first.is_instrumented_by_opentelemetry
        assert isinstance(first.tracer_provider, TracerProvider)
        first.uninstrument()
        assert not first.is_instrumented
        assert ScouterInstrumentor() is not first

    def test_the_functions_do_the_same(self) -> None:
        instrument(transport_config=MockConfig())
        assert ScouterInstrumentor().is_instrumented
        uninstrument()
        assert not ScouterInstrumentor().is_instrumented

    def test_the_general_arguments_of_instrumentors_are_taken(self) -> None:
        instrument(transport_config=MockConfig(), skip_dep_check=True, raise_exception_on_conflict=True)
        assert ScouterInstrumentor().is_instrumented

    def test_a_second_call_does_nothing_but_warn_once(self, caplog: pytest.LogCaptureFixture) -> None:
        first, second = MockConfig(), MockConfig()
        instrument(transport_config=first)
        provider = trace.get_tracer_provider()
        with caplog.at_level(logging.WARNING):
            instrument(transport_config=second)
        assert len(caplog.records) == 1
        assert trace.get_tracer_provider() is provider
        trace.get_tracer("x").start_span("one").end()
        flush_tracer()
        assert (names(first), names(second)) == (["one"], [])

    def test_uninstrument_restores_that_nothing_was_set(self) -> None:
        before = propagate.get_global_textmap()
        assert isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider)
        for _ in range(2):
            instrument(transport_config=MockConfig())
            assert isinstance(trace.get_tracer_provider(), TracerProvider)
            assert propagate.get_global_textmap() is not before
            uninstrument()
            assert isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider)
            assert propagate.get_global_textmap() is before

    def test_uninstrument_restores_a_provider_of_somebody_else(self) -> None:
        other = SdkProvider()
        trace.set_tracer_provider(other)
        try:
            instrument(transport_config=MockConfig())
            assert isinstance(trace.get_tracer_provider(), TracerProvider)
            uninstrument()
            assert trace.get_tracer_provider() is other
        finally:
            trace._TRACER_PROVIDER = None
            trace._TRACER_PROVIDER_SET_ONCE._done = False

    def test_a_provider_can_still_be_set_once_after_uninstrument(self) -> None:
        instrument(transport_config=MockConfig())
        uninstrument()
        provider = TracerProvider(transport_config=MockConfig())
        trace.set_tracer_provider(provider)
        try:
            assert trace.get_tracer_provider() is provider
        finally:
            trace._TRACER_PROVIDER = None
            trace._TRACER_PROVIDER_SET_ONCE._done = False

    def test_tracers_from_before_begin_to_work_and_go_stale(self) -> None:
        proxy = trace.get_tracer("early")
        assert not proxy.start_span("too early").is_recording()
        config = MockConfig()
        instrument(transport_config=config)
        tracer = trace.get_tracer("x")
        for working in (proxy, tracer):
            working.start_span("works").end()
        running = tracer.start_span("still running")
        uninstrument()
        assert names(config) == ["works", "works"]
        for stale in (proxy, tracer):
            with stale.start_as_current_span("stale") as span:
                assert not span.is_recording()
                span.set_attribute("a", 1)
        running.set_attribute("a", 1)
        running.end()

        again = MockConfig()
        instrument(transport_config=again)
        trace.get_tracer("x").start_span("again").end()
        uninstrument()
        assert (names(config), names(again)) == (["works", "works"], ["again"])

    def test_decorated_functions_outlive_uninstrument(self) -> None:
        instrument(transport_config=MockConfig())

        @trace.get_tracer("x").span("work")
        def work(a: int) -> int:
            return a + 1

        uninstrument()
        assert work(1) == 2

    def test_uninstrument_sends_what_waits(self) -> None:
        config = MockConfig()
        instrument(transport_config=config, batch_config=BatchConfig(scheduled_delay_ms=3_600_000))
        trace.get_tracer("x").start_span("waiting").end()
        uninstrument()
        assert names(config) == ["waiting"]

    def test_failed_set_up_leaves_nothing(self) -> None:
        with pytest.raises(ConfigError, match="sample_ratio"):
            instrument(sample_ratio=2)
        assert not ScouterInstrumentor().is_instrumented
        assert isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider)
        instrument(transport_config=MockConfig())
        assert ScouterInstrumentor().is_instrumented

    def test_unknown_arguments_are_named(self) -> None:
        with pytest.raises(ConfigTypeError, match="sample_rate: did you mean sample_ratio"):
            instrument(sample_rate=0.1)

    def test_disabled_by_the_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
        config = MockConfig()
        instrument(transport_config=config)
        tracer = trace.get_tracer("x")

        @tracer.span("work")
        def work() -> bool:
            return trace.get_current_span().is_recording()

        assert work() is False
        with tracer.start_as_current_span("also") as span:
            assert not span.is_recording()
        uninstrument()
        assert config.spans == []


class TestPropagators:
    def test_w3c_by_default(self) -> None:
        instrument(transport_config=MockConfig())
        assert propagate.get_global_textmap().fields == {"traceparent", "tracestate", "baggage"}

    @pytest.mark.parametrize(
        ("asked", "fields"),
        [("tracecontext", {"traceparent", "tracestate"}), ("baggage", {"baggage"}), ("none", set()), ("", None)],
    )
    def test_the_environment_chooses(
        self, monkeypatch: pytest.MonkeyPatch, asked: str, fields: set[str] | None
    ) -> None:
        monkeypatch.setenv("OTEL_PROPAGATORS", asked)
        instrument(transport_config=MockConfig())
        expected = {"traceparent", "tracestate", "baggage"} if fields is None else fields
        assert propagate.get_global_textmap().fields == expected

    def test_they_are_strict_both_ways(self) -> None:
        instrument(transport_config=MockConfig())
        good = {"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "baggage": "a=1"}
        found = propagate.extract(good)
        assert trace.get_current_span(found).get_span_context().span_id == 0x00F067AA0BA902B7
        assert baggage.get_all(found) == {"a": "1"}
        bad = {"traceparent": good["traceparent"].upper()}
        assert not trace.get_current_span(propagate.extract(bad)).get_span_context().is_valid
        carrier: dict[str, str] = {}
        propagate.inject(carrier, found)
        assert carrier == good


class TestProvider:
    def test_it_is_a_provider_of_one_s_own(self) -> None:
        config = MockConfig()
        provider = TracerProvider(transport_config=config, attributes={"service.name": "own"})
        assert isinstance(provider, trace.TracerProvider)
        assert TracerProvider is ScouterTracerProvider
        tracer = provider.get_tracer("lib", "1.2", "https://example.com/schema", {"a": 1})
        assert isinstance(tracer, trace.Tracer)
        span = tracer.start_span("x")
        assert isinstance(span, trace.Span)
        assert isinstance(span, ScouterSpan)
        scope = span.instrumentation_scope
        assert (scope.name, scope.version, scope.schema_url, dict(scope.attributes)) == (
            "lib",
            "1.2",
            "https://example.com/schema",
            {"a": 1},
        )
        span.end()
        assert provider.force_flush()
        assert provider.shutdown()
        assert names(config) == ["x"]

    def test_counters_account_for_every_span(self) -> None:
        provider = TracerProvider(transport_config=MockConfig())
        tracer = provider.get_tracer("x")
        running = tracer.start_span("running")
        for _ in range(5):
            tracer.start_span("ended").end()
        stats = provider.stats()
        assert (stats["started"], stats["live"]) == (6, 1)
        assert account(stats) == {6}
        assert provider.force_flush()
        (destination,) = provider.stats()["destinations"].values()
        assert destination["exported"] == 5
        running.end()
        assert provider.shutdown()
        assert account(provider.stats()) == {6}

    def test_resource(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert TracerProvider().resource.attributes["service.name"] == "unknown_service:python"
        monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "service.name=from-attributes,team=a%20b,region=eu")
        assert TracerProvider().resource.attributes["service.name"] == "from-attributes"
        monkeypatch.setenv("OTEL_SERVICE_NAME", "from-variable")
        assert TracerProvider().resource.attributes["service.name"] == "from-variable"
        resource = Resource({"region": "us", "service.name": "from-resource"}, schema_url="https://example.com/1")
        provider = TracerProvider(resource=resource)
        assert provider.resource.schema_url == "https://example.com/1"
        found = dict(provider.resource.attributes)
        assert (found["service.name"], found["region"], found["team"]) == ("from-resource", "us", "a b")
        provider = TracerProvider(
            resource={"service.name": "b"}, attributes={"service.name": "a", "service.version": "3"}
        )
        assert provider.resource.attributes["service.name"] == "a"
        assert provider.resource.attributes["service.version"] == "3"

    def test_other_attributes_go_on_every_span_and_its_own_win(self) -> None:
        config = MockConfig()
        provider = TracerProvider(
            transport_config=config, attributes={"service.name": "s", "env": "prod", "cell": 7, "own": "default"}
        )
        provider.get_tracer("x").start_span("x", attributes={"own": "mine"}).end()
        provider.shutdown()
        span = config.spans[0]
        assert span["attributes"] == {"env": "prod", "cell": 7, "own": "mine"}
        assert "env" not in span["resource"]

    def test_a_provider_lives_as_long_as_its_tracers(self) -> None:
        config = MockConfig()
        tracer = TracerProvider(transport_config=config).get_tracer("x")
        tracer.start_span("x").end()
        assert tracer.flush()
        assert names(config) == ["x"]


class TestManualTracers:
    def test_they_touch_nothing_global(self) -> None:
        before = trace.get_tracer_provider(), propagate.get_global_textmap()
        init_tracer(service_name="s", transport_config=MockConfig())
        assert (trace.get_tracer_provider(), propagate.get_global_textmap()) == before

    def test_two_are_independent(self) -> None:
        one, two = MockConfig(), MockConfig()
        first = init_tracer(service_name="one", transport_config=one, sample_ratio=1.0)
        second = init_tracer(service_name="two", transport_config=two, sample_ratio=0.0)
        first.start_span("first").end()
        second.start_span("second").end()
        assert flush_tracer()
        assert (names(one), names(two)) == (["first"], [])
        assert second.stats()["sampled_out"] == 1

    def test_scouter_tracer_is_a_tracer_over_it(self) -> None:
        config = MockConfig()
        tracer = ScouterTracer(init_tracer(service_name="s", transport_config=config))
        assert isinstance(tracer, ScouterTracer)
        assert isinstance(tracer, trace.Tracer)
        with tracer.start_as_current_span("x"):
            pass
        assert shutdown_tracer()
        assert names(config) == ["x"]
        assert not tracer.start_span("stale").is_recording()

    def test_get_tracer_uses_the_same_pipeline(self, kept: Kept) -> None:
        get_tracer("other", "2").start_span("x").end()
        assert kept.span()["scope"] == "other"

    def test_get_tracer_without_one_is_the_global_one(self) -> None:
        shutdown_tracer()
        assert isinstance(get_tracer("x"), trace.ProxyTracer)

    def test_conflicting_names_are_refused(self) -> None:
        with pytest.raises(ConfigError, match="give one of the two"):
            init_tracer(service_name="a", attributes={"service.name": "b"})


class TestSampling:
    def test_nothing_and_everything(self) -> None:
        for ratio, expected in ((0.0, 0), (1.0, 50)):
            config = MockConfig()
            tracer = init_tracer(transport_config=config, sample_ratio=ratio)
            for _ in range(50):
                tracer.start_span("x").end()
            tracer.flush()
            assert len(config.spans) == expected

    def test_the_ratio_is_roughly_kept_and_traces_stay_whole(self) -> None:
        config = MockConfig()
        tracer = init_tracer(transport_config=config, sample_ratio=0.3)
        for _ in range(2000):
            with tracer.start_as_current_span("parent"), tracer.start_as_current_span("child"):
                pass
        tracer.flush()
        parents = {span["trace_id"] for span in config.spans if span["name"] == "parent"}
        children = {span["trace_id"] for span in config.spans if span["name"] == "child"}
        assert parents == children
        assert 450 < len(parents) < 750

    def test_what_was_decided_elsewhere_holds(self) -> None:
        config = MockConfig()
        tracer = init_tracer(transport_config=config, sample_ratio=0.0)
        header = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0{}"
        with tracer.start_as_current_span("sampled", headers={"traceparent": header.format(1)}):
            pass
        tracer = init_tracer(transport_config=config, sample_ratio=1.0)
        with tracer.start_as_current_span("not sampled", headers={"traceparent": header.format(0)}) as span:
            assert not span.is_recording()
            assert span.trace_id == "4bf92f3577b34da6a3ce929d0e0e4736"
            assert not span.get_span_context().trace_flags.sampled
        flush_tracer()
        assert names(config) == ["sampled"]

    def test_by_the_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_off")
        assert not init_tracer(transport_config=MockConfig()).start_span("x").is_recording()
        assert init_tracer(transport_config=MockConfig(), sample_ratio=1.0).start_span("x").is_recording()


def test_the_logger_prints_nothing_by_itself() -> None:
    assert any(isinstance(handler, logging.NullHandler) for handler in logging.getLogger("scouter").handlers)


def test_contexts_of_a_custom_runtime_are_left_alone() -> None:
    token = context.attach(context.set_value("mine", 1))
    tracer = init_tracer(transport_config=MockConfig())
    with tracer.start_as_current_span("x"):
        assert context.get_value("mine") == 1
    context.detach(token)


def test_ids_are_hex(kept: Kept) -> None:
    span = kept.tracer.start_span("x")
    assert re.fullmatch(r"[0-9a-f]{32}", span.trace_id)
    assert re.fullmatch(r"[0-9a-f]{16}", span.span_id)
    assert span.get_span_context().trace_id == int(span.trace_id, 16)
    span.end()


def account(stats: dict) -> set[int]:
    """What every destination's sum is; it must be the number of started spans."""
    return {
        stats["live"]
        + destination["exported"]
        + destination["thinned"]
        + destination["queued"]
        + sum(destination["dropped"].values())
        for destination in stats["destinations"].values()
    }
