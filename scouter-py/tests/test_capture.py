"""Local capture: copies of ended spans for whoever wants to look at them in this process."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace.sampling import Decision, StaticSampler
from support import run_script

from scouter import HttpConfig, MockConfig
from scouter.errors import ConfigError, ConfigTypeError
from scouter.tracing import (
    ScouterInstrumentor,
    TracerProvider,
    disable_local_capture,
    drain_local_spans,
    enable_local_capture,
    get_local_spans_by_trace_ids,
)


def made(**arguments: Any) -> tuple[TracerProvider, Any, MockConfig]:
    config = MockConfig()
    provider = TracerProvider(transport_config=config, **arguments)
    return provider, provider.get_tracer("x"), config


def names(spans: Any) -> list[str]:
    return [span.name for span in spans]


def test_every_span_that_ended_before_is_seen() -> None:
    provider, tracer, config = made()
    tracer.start_span("before").end()
    provider.enable_local_capture()
    with tracer.start_as_current_span("outer", attributes={"k": 1}) as outer:
        tracer.start_span("inner").end()
        assert names(provider.drain_local_spans()) == ["inner"]
    (span,) = provider.drain_local_spans()
    assert (span.name, span.attributes, span.context) == ("outer", {"k": 1}, outer.get_span_context())
    assert span.resource == provider.resource
    assert span.instrumentation_scope.name == "x"
    assert provider.drain_local_spans() == []
    # Beside sending, not instead of it.
    assert provider.force_flush(10_000)
    assert names_sent(config) == ["before", "inner", "outer"]


def names_sent(config: MockConfig) -> list[str]:
    return [span["name"] for span in config.spans]


def test_the_order_is_that_of_the_ends_over_all_scopes() -> None:
    provider, tracer, _ = made()
    other = provider.get_tracer("y")
    provider.enable_local_capture()
    for number in range(6):
        (tracer, other)[number % 2].start_span(str(number), start_time=1).end(number + 10)
    assert names(provider.drain_local_spans()) == ["0", "1", "2", "3", "4", "5"]


def test_many_threads() -> None:
    provider, tracer, _ = made()
    provider.enable_local_capture()
    threads = [threading.Thread(target=lambda: [tracer.start_span("a").end() for _ in range(500)]) for _ in range(8)]
    seen = 0
    for thread in threads:
        thread.start()
    for thread in threads:
        seen += len(provider.drain_local_spans())
        thread.join()
    assert seen + len(provider.drain_local_spans()) == 4_000


def test_by_trace_ids() -> None:
    provider, tracer, _ = made()
    provider.enable_local_capture()
    spans = [tracer.start_span(name) for name in "abc"]
    for span in spans:
        span.end()
    wanted = [spans[2].trace_id, spans[0].trace_id.upper()]
    for _ in range(2):
        assert names(provider.get_local_spans_by_trace_ids(wanted)) == ["a", "c"]
    assert provider.get_local_spans_by_trace_ids([]) == []
    assert provider.get_local_spans_by_trace_ids(["f" * 32]) == []
    assert names(provider.drain_local_spans()) == ["a", "b", "c"]


@pytest.mark.parametrize("wrong", ["", "xyz", "0" * 32, "f" * 31])
def test_what_is_no_trace_id_is_named(wrong: str) -> None:
    with pytest.raises(ConfigError, match="trace_ids"):
        made()[0].get_local_spans_by_trace_ids([wrong])


def test_wrong_types_are_named() -> None:
    provider = made()[0]
    for wrong in ("f" * 32, [1], [None]):
        with pytest.raises(ConfigTypeError, match="trace_ids"):
            provider.get_local_spans_by_trace_ids(wrong)  # type: ignore[arg-type]
    for wrong_limit in (0, -1, "1", True, 1.5):
        with pytest.raises((ConfigError, ConfigTypeError), match="limit"):
            provider.enable_local_capture(wrong_limit)  # type: ignore[arg-type]


def test_it_is_bounded_and_says_what_it_left_out() -> None:
    provider, tracer, config = made()
    provider.enable_local_capture(limit=3)
    for name in "abcde":
        tracer.start_span(name).end()
    assert provider.stats()["capture"] == {"enabled": True, "dropped": 2}
    assert names(provider.drain_local_spans()) == ["a", "b", "c"]
    tracer.start_span("f").end()
    assert names(provider.drain_local_spans()) == ["f"]
    assert provider.force_flush(10_000)
    assert len(config.spans) == 6


def test_disabled_it_keeps_nothing() -> None:
    provider, tracer, _ = made()
    provider.enable_local_capture()
    tracer.start_span("a").end()
    provider.disable_local_capture()
    assert provider.drain_local_spans() == []
    tracer.start_span("b").end()
    provider.enable_local_capture()
    assert provider.drain_local_spans() == []
    assert provider.stats()["capture"]["enabled"]


def test_only_sampled_spans_are_captured() -> None:
    for arguments in ({"sample_ratio": 0.0}, {"sampler": StaticSampler(Decision.RECORD_ONLY)}):
        provider, tracer, _ = made(**arguments)
        provider.enable_local_capture()
        tracer.start_span("a").end()
        assert provider.drain_local_spans() == []


def test_the_server_need_not_be_there() -> None:
    provider = TracerProvider(transport_config=HttpConfig(uri="http://127.0.0.1:1"))
    provider.enable_local_capture()
    provider.get_tracer("x").start_span("a").end()
    provider.shutdown(0)
    assert names(provider.drain_local_spans()) == ["a"]


def test_the_functions_and_the_instrumentors_methods() -> None:
    instrumentor = ScouterInstrumentor()
    instrumentor.instrument(transport_config=MockConfig())
    enable_local_capture(limit=10)
    with trace.get_tracer("x").start_as_current_span("a") as span:
        pass
    trace_ids = [f"{span.get_span_context().trace_id:032x}"]
    assert names(get_local_spans_by_trace_ids(trace_ids)) == ["a"]
    assert names(instrumentor.get_local_spans_by_trace_ids(trace_ids)) == ["a"]
    assert names(drain_local_spans()) == ["a"]
    disable_local_capture()
    instrumentor.enable_local_capture()
    trace.get_tracer("x").start_span("b").end()
    assert names(instrumentor.drain_local_spans()) == ["b"]
    instrumentor.disable_local_capture()
    assert instrumentor.drain_local_spans() == []


@pytest.mark.parametrize(
    "call",
    [enable_local_capture, disable_local_capture, drain_local_spans, lambda: get_local_spans_by_trace_ids(["f" * 32])],
)
def test_without_a_provider_it_says_what_to_do(call: Any) -> None:
    with pytest.raises(ConfigError, match="instrument"):
        call()


def test_a_disabled_sdk_captures_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    provider, tracer, _ = made()
    provider.enable_local_capture()
    tracer.start_span("a").end()
    assert provider.drain_local_spans() == []
    provider.disable_local_capture()


def test_a_forked_child_captures_its_own(tmp_path: Path) -> None:
    script = """
        import os
        from scouter import MockConfig
        from scouter.tracing import TracerProvider

        provider = TracerProvider(transport_config=MockConfig())
        tracer = provider.get_tracer("x")
        provider.enable_local_capture()
        tracer.start_span("parent").end()
        child = os.fork()
        if not child:
            tracer.start_span("child").end()
            os._exit(0 if [span.name for span in provider.drain_local_spans()] == ["child"] else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert [span.name for span in provider.drain_local_spans()] == ["parent"]
    """
    done = run_script(tmp_path, script)
    assert (done.stderr, done.returncode) == ("", 0)
