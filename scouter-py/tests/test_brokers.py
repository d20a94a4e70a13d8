"""Over real brokers: the overview's Kafka example, records beside spans, and what the user sees when something is wrong."""

from __future__ import annotations

import logging
import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from brokers import Broker, fresh_name
from support import Server, until

from scouter import BatchConfig, KafkaConfig, RabbitMQConfig
from scouter.queue import AgentProfile, CustomProfile, EvalRecord, ScouterQueue
from scouter.tracing import ScouterTracer, flush_tracer, init_tracer

# A server that joins a group waits for a part of this time.
QUICK = ["--kafka-property", "session.timeout.ms=4000", "--kafka-property", "heartbeat.interval.ms=1000"]


@pytest.fixture
def topics(kafka: Broker) -> dict[str, str]:
    names = {"topic": fresh_name("spans"), "records_topic": fresh_name("records")}
    for name in names.values():
        kafka.order(f"topic {name} 3")
    return names


@pytest.fixture
def kafka_server(kafka: Broker, topics: dict[str, str], tmp_path: Path) -> Iterator[Server]:
    arguments = ["--kafka-brokers", kafka.address, "--kafka-group", fresh_name("group")]
    arguments += ["--kafka-topic", topics["topic"], "--kafka-records-topic", topics["records_topic"]]
    server = Server(tmp_path / "data", 0, *arguments, *QUICK)
    yield server
    server.stop()


@pytest.fixture
def queues() -> dict[str, str]:
    return {"queue": fresh_name("spans"), "records_queue": fresh_name("records")}


@pytest.fixture
def rabbitmq_server(rabbitmq: Broker, queues: dict[str, str], tmp_path: Path) -> Iterator[Server]:
    arguments = ["--rabbitmq-host", rabbitmq.host, "--rabbitmq-port", str(rabbitmq.port)]
    arguments += ["--rabbitmq-username", str(rabbitmq.username), "--rabbitmq-password", str(rabbitmq.password)]
    arguments += ["--rabbitmq-queue", queues["queue"], "--rabbitmq-records-queue", queues["records_queue"]]
    server = Server(tmp_path / "data", 0, *arguments)
    yield server
    server.stop()


@pytest.fixture
def silent() -> Iterator[int]:
    """The port of somebody who listens and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def send_a_tree_with_a_record(transport_config: Any, server: Server) -> None:
    """The overview's set-up by hand; a record goes the same way as its span, and comes out beside it."""
    base_tracer = init_tracer(
        service_name="my-service",
        transport_config=transport_config,
    )

    tracer = ScouterTracer(base_tracer)

    profile = AgentProfile("shop", "assistant", "1.0.0", [{"id": "polite"}])
    with ScouterQueue.from_profile(profile, transport_config) as queue:
        tracer.set_scouter_queue(queue)
        with tracer.start_as_current_span("root") as root:
            for name in ("a", "b"):
                with tracer.start_as_current_span(name) as span:
                    span.insert_queue_item("assistant", EvalRecord({"of": name}, id=name))
        assert flush_tracer(20_000)
        assert queue.flush(20)
    spans = server.trace(root.trace_id, 3)
    assert [(span.name, span.depth, span.service_name) for span in spans] == [
        ("root", 0, "my-service"),
        ("a", 1, "my-service"),
        ("b", 1, "my-service"),
    ]
    records = until(
        "two records", lambda: len(found := server.client.get_records(trace_id=root.trace_id).items) == 2 and found
    )
    assert {record.record_id: record.span_id for record in records} == {span.name: span.span_id for span in spans[1:]}


def test_over_kafka(kafka: Broker, topics: dict[str, str], kafka_server: Server) -> None:
    send_a_tree_with_a_record(KafkaConfig(brokers=kafka.address, **topics), kafka_server)


def test_over_rabbitmq(rabbitmq: Broker, queues: dict[str, str], rabbitmq_server: Server) -> None:
    config = RabbitMQConfig(
        host=rabbitmq.host, port=rabbitmq.port, username=rabbitmq.username, password=rabbitmq.password, **queues
    )
    send_a_tree_with_a_record(config, rabbitmq_server)


def test_variables_name_the_brokers(
    kafka: Broker, topics: dict[str, str], kafka_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCOUTER_KAFKA_BROKERS", kafka.address)
    monkeypatch.setenv("SCOUTER_KAFKA_TOPIC", topics["topic"])
    monkeypatch.setenv("SCOUTER_KAFKA_RECORDS_TOPIC", topics["records_topic"])
    send_a_tree_with_a_record(KafkaConfig(), kafka_server)


class TestWhatTheUserSees:
    """Nothing blocks, nothing raises; a flush ends in time, the numbers say why, and there is one line in the log."""

    def see(self, config: Any, caplog: pytest.LogCaptureFixture, words: str, seconds: float = 15.0) -> None:
        profile = CustomProfile("s", "n", "1", ["x"])
        # One line a minute for each kind: those of other tests must not be taken for ours.
        caplog.clear()
        with caplog.at_level(logging.WARNING, "scouter"):
            queue = ScouterQueue.from_profile(profile, config, BatchConfig(scheduled_delay_ms=10))
            begun = time.monotonic()
            for number in range(1000):
                queue["n"].insert({"x": number})
            assert time.monotonic() - begun < 1
            begun = time.monotonic()
            assert not queue.flush(0.5)
            assert time.monotonic() - begun < 3

            def said() -> str | None:
                return queue.stats()["destinations"]["scouter"]["last_error"]

            until("the reason is known", said, seconds)
            assert re.search(words, str(said())), said()
            begun = time.monotonic()
            queue.shutdown(0.5)
            assert time.monotonic() - begun < 3
            destination = until(
                "every record has met its fate",
                lambda: (found := queue.stats()["destinations"]["scouter"])["queued"] == 0 and found,
            )
        assert (destination["exported"], sum(destination["dropped"].values())) == (0, 1000), destination
        assert len([record for record in caplog.records if "scouter:" in record.getMessage()]) <= 1

    def test_kafka_that_never_answers(self, silent: int, caplog: pytest.LogCaptureFixture) -> None:
        self.see(KafkaConfig(f"127.0.0.1:{silent}", timeout=1), caplog, "(?i)kafka")

    def test_kafka_that_is_not_there(self, caplog: pytest.LogCaptureFixture) -> None:
        self.see(KafkaConfig("127.0.0.1:1", timeout=1), caplog, "(?i)127.0.0.1:1")

    def test_rabbitmq_that_never_answers(self, silent: int, caplog: pytest.LogCaptureFixture) -> None:
        self.see(RabbitMQConfig("127.0.0.1", silent, timeout=1), caplog, rf"127.0.0.1:{silent}")

    def test_rabbitmq_that_is_not_there(self, caplog: pytest.LogCaptureFixture) -> None:
        self.see(RabbitMQConfig("127.0.0.1", 1, timeout=1), caplog, "127.0.0.1:1")

    def test_bad_credentials_of_rabbitmq(self, rabbitmq: Broker, caplog: pytest.LogCaptureFixture) -> None:
        config = RabbitMQConfig(rabbitmq.host, rabbitmq.port, username="nobody", password="s3cret", timeout=5)
        self.see(config, caplog, "(?i)refused|credential|access|user")
        assert "s3cret" not in caplog.text

    def test_bad_credentials_of_kafka(self, caplog: pytest.LogCaptureFixture) -> None:
        broker = Broker("kafka", "--sasl", "plain")
        try:
            config = KafkaConfig(broker.address, username="nobody", password="s3cret", timeout=3)
            self.see(config, caplog, "(?i)authentication|credential", seconds=30)
            assert "s3cret" not in caplog.text
        finally:
            broker.close()

    def test_a_topic_that_is_not_there(self, caplog: pytest.LogCaptureFixture) -> None:
        broker = Broker("kafka", "--no-auto-create")
        try:
            missing = fresh_name("missing")
            config = KafkaConfig(broker.address, records_topic=missing, timeout=4)
            self.see(config, caplog, missing, seconds=30)
        finally:
            broker.close()


@pytest.mark.parametrize("kind", ["tansu", "rabbitmq"])
def test_a_child_sends_over_a_broker_by_itself(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    from support import run_script

    broker: Broker = request.getfixturevalue(kind)
    spans, records = fresh_name("spans"), fresh_name("records")
    if kind == "tansu":
        for name in (spans, records):
            broker.order(f"topic {name}")
        config = f"KafkaConfig({broker.address!r}, topic={spans!r}, records_topic={records!r})"
        flags = ["--kafka-brokers", broker.address, "--kafka-topic", spans, "--kafka-records-topic", records, *QUICK]
    else:
        login = f"username={broker.username!r}, password={broker.password!r}"
        config = f"RabbitMQConfig({broker.host!r}, {broker.port}, {spans!r}, {records!r}, {login})"
        flags = ["--rabbitmq-host", broker.host, "--rabbitmq-port", str(broker.port), "--rabbitmq-queue", spans]
        flags += ["--rabbitmq-username", str(broker.username), "--rabbitmq-password", str(broker.password)]
        flags += ["--rabbitmq-records-queue", records]
    script = f"""
import os, sys
from scouter import KafkaConfig, RabbitMQConfig
from scouter.queue import CustomProfile, ScouterQueue
from scouter.tracing import init_tracer

config = {config}
queue = ScouterQueue.from_profile(CustomProfile("s", "n", "1", ["x"]), config)
tracer = init_tracer("parent", transport_config=config, scouter_queue=queue)
def work(number):
    with tracer.start_as_current_span("work") as span:
        span.insert_queue_item("n", {{"x": number}})
work(0)
assert queue.flush(20) and tracer.flush(20_000)
children = []
for number in range(1, 4):
    child = os.fork()
    if child == 0:
        work(number)
        sys.exit(0 if queue.flush(20) and tracer.flush(20_000) else 9)
    children.append(child)
statuses = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
work(4)
assert statuses == [0, 0, 0], statuses
"""
    done = run_script(tmp_path, script, environment={"PYTHONWARNINGS": "ignore::DeprecationWarning"})
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    server = Server(tmp_path / "data", 0, *flags)
    try:
        found = until("five records", lambda: len(page := server.client.get_records().items) >= 5 and page)
        assert sorted(record.body["x"] for record in found) == [0, 1, 2, 3, 4]
        for record in found:
            assert record.trace_id is not None
            server.trace(record.trace_id, 1)
    finally:
        server.stop()
