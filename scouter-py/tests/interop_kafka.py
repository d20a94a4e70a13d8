"""The collector of the OpenTelemetry project reads what we send to Kafka, and we read what it sends there.

Part of ``make test.interop``, which names this file: the collector is built from source.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from brokers import Broker, fresh_name
from collector.comparison import exported, in_order, stored
from collector.process import SCRIPTS, free_ports
from opentelemetry.trace import SpanKind, StatusCode
from support import Receiver, Server, clean_environment, until

from scouter import HttpConfig, KafkaConfig
from scouter.tracing import TracerProvider


@pytest.fixture(scope="module")
def program() -> str:
    provided = subprocess.run(
        [str(SCRIPTS / "interop-collector.sh"), "kafka"], capture_output=True, text=True, check=False
    )
    assert provided.returncode == 0, provided.stderr
    return provided.stdout.strip()


@contextmanager
def collector(program: str, folder: Path, config: str) -> Iterator[None]:
    file, log = folder / "config.yaml", folder / "log"
    file.write_text(config)
    with log.open("wb") as output:
        process = subprocess.Popen(
            [program, "--config", f"file:{file}"],
            env=clean_environment(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        until("the collector is ready", lambda: "Everything is ready" in log.read_text() or process.poll() is not None)
        assert process.poll() is None, log.read_text()
        yield
    finally:
        process.terminate()
        process.wait(20)


def record(provider: TracerProvider) -> tuple[str, int]:
    """A trace with something of everything; its id and how many spans it has."""
    tracer = provider.get_tracer("interop", "1.2")
    with tracer.start_as_current_span("outer", kind=SpanKind.SERVER, attributes={"a": [1, 2], "b": "text"}) as outer:
        for number in range(9):
            with tracer.start_as_current_span(f"inner {number}") as inner:
                inner.add_event("happened", {"at": number})
        inner.set_status(StatusCode.ERROR, "no")
    return outer.trace_id, 10


def test_the_collector_reads_what_we_send(program: str, kafka: Broker, receiver: Receiver, tmp_path: Path) -> None:
    topic = fresh_name("spans")
    kafka.order(f"topic {topic} 3")
    config = f"""
receivers:
  kafka:
    brokers: ["{kafka.address}"]
    group_id: {topic}
    initial_offset: earliest
    session_timeout: 6s
    traces: {{topics: [{topic}], encoding: otlp_proto}}
exporters:
  otlphttp: {{endpoint: "{receiver.uri}", compression: none}}
service:
  telemetry: {{metrics: {{level: none}}}}
  pipelines:
    traces: {{receivers: [kafka], exporters: [otlphttp]}}
"""
    config_of_ours = KafkaConfig(brokers=kafka.address, topic=topic)
    provider = TracerProvider(transport_config=config_of_ours, attributes={"service.name": "ours"})
    trace_id, count = record(provider)
    assert provider.force_flush(30_000)
    with collector(program, tmp_path, config):
        until("the collector has handed everything on", lambda: len(receiver.spans) >= count, 60)
    assert provider.shutdown()
    spans = in_order(exported(receiver.requests))
    assert {span.trace_id for span in spans} == {trace_id}
    assert len(spans) == count
    assert {span.resource["service.name"] for span in spans} == {"ours"}
    (outer,) = [span for span in spans if span.name == "outer"]
    assert (outer.kind, outer.attributes["a"], outer.attributes["b"]) == ("SERVER", [1, 2], "text")


def test_we_read_what_the_collector_sends(program: str, kafka: Broker, tmp_path: Path) -> None:
    topic = fresh_name("spans")
    kafka.order(f"topic {topic} 3")
    (port,) = free_ports(1)
    config = f"""
receivers:
  otlp: {{protocols: {{http: {{endpoint: "127.0.0.1:{port}"}}}}}}
exporters:
  kafka:
    brokers: ["{kafka.address}"]
    partition_traces_by_id: true
    traces: {{topic: {topic}, encoding: otlp_proto}}
service:
  telemetry: {{metrics: {{level: none}}}}
  pipelines:
    traces: {{receivers: [otlp], exporters: [kafka]}}
"""
    # Tansu lets who joins wait for half of this.
    quick = ("--kafka-property", "session.timeout.ms=4000", "--kafka-property", "heartbeat.interval.ms=1000")
    server = Server(tmp_path / "data", 0, "--kafka-brokers", kafka.address, "--kafka-topic", topic, *quick)
    try:
        with collector(program, tmp_path, config):
            provider = TracerProvider(transport_config=HttpConfig(f"http://127.0.0.1:{port}"))
            trace_id, count = record(provider)
            assert provider.force_flush(30_000)
            from_server = in_order(stored(server.trace(trace_id, count)))
            assert provider.shutdown()
        assert [span.trace_id for span in from_server] == [trace_id] * count
        assert {span.name for span in from_server} == {"outer", *(f"inner {number}" for number in range(9))}
    finally:
        server.stop()
