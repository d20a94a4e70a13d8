"""OpenTelemetry's compliance matrix, "Environment Variables". One test a row; an argument beats each variable."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from collector.scripted import Say, ScriptedHttp
from opentelemetry import propagate, trace
from opentelemetry.trace import SpanContext, TraceFlags
from support import Receiver, run_script, until

from scouter import MockConfig
from scouter.tracing import HttpSpanExporter, OtelExportConfig, ScouterInstrumentor, ScouterTracer, TracerProvider

LINK = trace.Link(SpanContext(1, 2, True, TraceFlags(1)), {f"key {i}": i for i in range(10)})


@contextmanager
def tracer_of(**arguments: object) -> Iterator[tuple[ScouterTracer, MockConfig]]:
    """A tracer that takes what is not given from the environment."""
    config = MockConfig()
    provider = TracerProvider(transport_config=config, **arguments)
    yield provider.get_tracer("rows"), config
    assert provider.shutdown()


def resource() -> dict[str, object]:
    with tracer_of() as (tracer, config):
        tracer.start_span("one").end()
    return dict(config.spans[0]["resource"])


def full_span(tracer: ScouterTracer) -> None:
    """A span with ten of everything."""
    many = {f"key {i}": "x" * 100 for i in range(10)}
    span = tracer.start_span("full", attributes=many, links=[LINK] * 10)
    for i in range(10):
        span.add_event(f"event {i}", many)
    span.end()


@pytest.mark.parametrize(("value", "disabled"), [("true", True), ("TRUE", True), ("false", False), ("1", False)])
def test_m093_otel_sdk_disabled(monkeypatch: pytest.MonkeyPatch, value: str, disabled: bool) -> None:
    monkeypatch.setenv("OTEL_SDK_DISABLED", value)
    with tracer_of() as (tracer, config):
        with tracer.start_as_current_span("one") as span:
            assert span.is_recording() is not disabled
        assert propagate.get_global_textmap() is not None
    assert len(config.spans) == (0 if disabled else 1)


def test_m094_otel_resource_attributes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(
        "OTEL_RESOURCE_ATTRIBUTES", "host.name=a%20b,deployment.environment.name=test,service.name=from-list"
    )
    found = resource()
    assert (found["host.name"], found["deployment.environment.name"]) == ("a b", "test")
    assert found["service.name"] == "from-list"


def test_m095_otel_service_name(monkeypatch: pytest.MonkeyPatch) -> None:
    assert str(resource()["service.name"]).startswith("unknown_service")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "service.name=from-list")
    monkeypatch.setenv("OTEL_SERVICE_NAME", "from-name")
    assert resource()["service.name"] == "from-name"
    with tracer_of(attributes={"service.name": "from-code"}) as (tracer, config):
        tracer.start_span("one").end()
    assert config.spans[0]["resource"]["service.name"] == "from-code"


def test_m096_otel_log_level(tmp_path: Path) -> None:
    script = """
        import logging
        from scouter import MockConfig
        from scouter.tracing import init_tracer
        init_tracer(service_name="levels", transport_config=MockConfig())
        print(logging.getLevelName(logging.getLogger("scouter").getEffectiveLevel()))
    """
    levels = {"debug": "DEBUG", "info": "INFO", "warn": "WARNING", "error": "ERROR", "": "WARNING", "loud": "WARNING"}
    for value, level in levels.items():
        done = run_script(tmp_path, script, environment={"OTEL_LOG_LEVEL": value})
        assert done.stdout.split() == [level], (value, done)


@pytest.mark.parametrize("value", ["tracecontext", "baggage", "none"])
def test_m097_otel_propagators(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("OTEL_PROPAGATORS", value)
    ScouterInstrumentor().instrument(transport_config=MockConfig())
    fields = propagate.get_global_textmap().fields
    expected = {"tracecontext": {"traceparent", "tracestate"}, "baggage": {"baggage"}, "none": set[str]()}
    assert fields == expected[value]


def test_m098_otel_bsp(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "3")
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "600000")
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "10")
    with tracer_of() as (tracer, config):
        for i in range(9):
            tracer.start_span(f"{i}").end()
        assert tracer.flush(10_000)
        assert len(config.requests) == 3
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "20")
    monkeypatch.setenv("OTEL_BSP_EXPORT_TIMEOUT", "300")
    receiver = ScriptedHttp()
    receiver.script += [Say(hang=True)]
    monkeypatch.setenv("SCOUTER_SERVER_URI", receiver.uri)
    provider = TracerProvider()
    provider.get_tracer("rows").start_span("waits for the delay only").end()
    try:
        until("a second try after the first hung", lambda: receiver.names == ["waits for the delay only"])
        assert len(receiver.attempts) == 2
    finally:
        provider.shutdown(5_000)
        receiver.close()


def test_m100_otel_exporter_otlp(
    monkeypatch: pytest.MonkeyPatch, receiver: Receiver, second_receiver: Receiver
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"{receiver.uri}/base")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-team=a%20b,authorization=Bearer%20t")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "5000")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")
    with tracer_of(exporter=HttpSpanExporter()) as (tracer, _):
        tracer.start_span("general").end()
    assert receiver.paths == ["/base/v1/traces"]
    headers = receiver.headers[0]
    assert (headers["x-team"], headers["authorization"], headers["content-encoding"]) == ("a b", "Bearer t", "gzip")
    # The signal's own variable is used as it is and wins; code wins over both.
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", f"{second_receiver.uri}/as-it-is")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "x-team=traces")
    with tracer_of(exporter=HttpSpanExporter()) as (tracer, _):
        tracer.start_span("traces").end()
    assert second_receiver.paths == ["/as-it-is"]
    assert second_receiver.headers[0]["x-team"] == "traces"
    code = OtelExportConfig(endpoint=f"{receiver.uri}/v1/traces", headers={"x-team": "code"})
    with tracer_of(exporter=HttpSpanExporter(export_config=code)) as (tracer, _):
        tracer.start_span("code").end()
    assert receiver.names == ["general", "code"]
    assert receiver.headers[-1]["x-team"] == "code"


def test_m102_otel_traces_exporter(tmp_path: Path, receiver: Receiver) -> None:
    script = """
        from scouter import MockConfig
        from scouter.tracing import init_tracer, shutdown_tracer
        tracer = init_tracer(service_name="rows", transport_config=MockConfig())
        tracer.start_span("exported").end()
        assert shutdown_tracer()
    """
    where = {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.uri, "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}
    printed = {}
    for value in ("", "none", "otlp", "console", "otlp,console"):
        done = run_script(tmp_path, script, environment={**where, "OTEL_TRACES_EXPORTER": value})
        assert (done.returncode, done.stderr) == (0, ""), (value, done)
        printed[value] = json.loads(done.stdout)["name"] if done.stdout else None
    assert printed == {"": None, "none": None, "otlp": None, "console": "exported", "otlp,console": "exported"}
    assert receiver.names == ["exported", "exported"]


def limited(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> dict[str, object]:
    monkeypatch.setenv(name, value)
    with tracer_of() as (tracer, config):
        full_span(tracer)
    return dict(config.spans[0])


def test_m105_span_attribute_count_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    span = limited(monkeypatch, "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "4")
    assert len(span["attributes"]) == 4


def test_m106_span_attribute_value_length_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    span = limited(monkeypatch, "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", "7")
    assert {len(value) for value in span["attributes"].values()} == {7}


def test_m107_span_event_count_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    span = limited(monkeypatch, "OTEL_SPAN_EVENT_COUNT_LIMIT", "5")
    assert len(span["events"]) == 5


def test_m108_span_link_count_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    span = limited(monkeypatch, "OTEL_SPAN_LINK_COUNT_LIMIT", "6")
    assert len(span["links"]) == 6


def test_m109_event_attribute_count_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    span = limited(monkeypatch, "OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT", "2")
    assert {len(event["attributes"]) for event in span["events"]} == {2}


def test_m110_link_attribute_count_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    span = limited(monkeypatch, "OTEL_LINK_ATTRIBUTE_COUNT_LIMIT", "3")
    assert {len(link["attributes"]) for link in span["links"]} == {3}


SAMPLERS = {
    "always_on": (True, True),
    "always_off": (False, False),
    "traceidratio": (False, False),
    "parentbased_always_on": (True, False),
    "parentbased_always_off": (False, False),
    "parentbased_traceidratio": (False, False),
}


@pytest.mark.parametrize("value", SAMPLERS)
def test_m113_otel_traces_sampler(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", value)
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", "0.0")
    with tracer_of() as (tracer, _):
        root = tracer.start_span("root")
        unsampled = trace.set_span_in_context(trace.NonRecordingSpan(SpanContext(1, 2, True, TraceFlags(0))))
        child = tracer.start_span("child", unsampled)
        assert (root.is_recording(), child.is_recording()) == SAMPLERS[value]
        root.end()
        child.end()


def test_m114_otel_traces_sampler_arg(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "traceidratio")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", "0.25")
    with tracer_of() as (tracer, config):
        for _ in range(4000):
            tracer.start_span("one").end()
    assert 800 < len(config.spans) < 1200
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", "most")
    with caplog.at_level(logging.WARNING, "scouter"), tracer_of() as (tracer, _):
        assert tracer.start_span("one").is_recording()
    assert "OTEL_TRACES_SAMPLER_ARG" in caplog.text


def test_m115_attribute_value_length_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    span = limited(monkeypatch, "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "9")
    assert {len(value) for value in span["attributes"].values()} == {9}
    span = limited(monkeypatch, "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", "8")
    assert {len(value) for value in span["attributes"].values()} == {8}


def test_m116_attribute_count_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    span = limited(monkeypatch, "OTEL_ATTRIBUTE_COUNT_LIMIT", "4")
    assert len(span["attributes"]) == 4
    span = limited(monkeypatch, "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "3")
    assert len(span["attributes"]) == 3


def test_m122_otel_config_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, receiver: Receiver) -> None:
    file = tmp_path / "otel.yaml"
    file.write_text(
        f"""
        file_format: "1.0"
        attribute_limits:
          attribute_value_length_limit: 6
        resource:
          attributes:
            - name: service.name
              value: ${{SHOP_NAME:-unnamed}}
        tracer_provider:
          limits:
            event_count_limit: 2
          sampler:
            parent_based:
              root:
                always_on:
          processors:
            - batch:
                schedule_delay: 100
                exporter:
                  otlp_http:
                    endpoint: {receiver.uri}/v1/traces
        """
    )
    monkeypatch.setenv("OTEL_CONFIG_FILE", str(file))
    monkeypatch.setenv("SHOP_NAME", "from-file")
    # Beside a file the other variables say nothing (specification, "Declarative configuration").
    monkeypatch.setenv("OTEL_SERVICE_NAME", "ignored")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_off")
    with tracer_of() as (tracer, config):
        full_span(tracer)
    span = config.spans[0]
    assert span["resource"]["service.name"] == "from-file"
    assert {len(value) for value in span["attributes"].values()} == {6}
    assert len(span["events"]) == 2
    assert receiver.services == {"from-file"}
    monkeypatch.setenv("OTEL_CONFIG_FILE", str(tmp_path / "missing.yaml"))
    with pytest.raises(ValueError, match=r"missing\.yaml"):
        TracerProvider(transport_config=MockConfig())
