"""What a user of Kafka sees when it does not work, and what is left behind when a program ends."""

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
from collector.tls import Authority
from cryptography.hazmat.primitives import serialization
from support import run_script

from scouter import BatchConfig, KafkaConfig
from scouter.tracing import TracerProvider

SECRET = "s3cret"


def send(config: KafkaConfig, sizes: list[int], flush: bool = True) -> dict[str, Any]:
    """Sends a span of each size, each a trace, and answers what became of them by the end of the program."""
    provider = TracerProvider(transport_config=config, batch_config=BatchConfig(scheduled_delay_ms=10))
    tracer = provider.get_tracer("tests")
    begun = time.monotonic()
    for size in sizes:
        with tracer.start_as_current_span("work") as span:
            span.set_attribute("payload", "x" * size)
    assert time.monotonic() - begun < 1, "the program was held up"
    if flush:
        provider.force_flush(30_000)
    provider.shutdown()
    destination = provider.stats()["destinations"]["scouter"]
    assert destination["queued"] == 0
    assert destination["exported"] + sum(destination["dropped"].values()) == len(sizes)
    return destination


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> Iterator[Any]:
    """The lines that the user's log got, which never hold the password."""
    caplog.clear()
    with caplog.at_level(logging.WARNING, "scouter"):
        yield lambda: [record.getMessage() for record in caplog.records if record.name.startswith("scouter")]
    assert SECRET not in caplog.text


@pytest.fixture
def tls_broker(tmp_path: Path) -> Iterator[tuple[Broker, Authority]]:
    authority = Authority(tmp_path)
    key = serialization.load_pem_private_key(authority.server_key_file.read_bytes(), None)
    # Java reads no other form.
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    authority.server_key_file.write_bytes(key.private_bytes(*form))
    files = ["--tls-cert", str(authority.server_certificate_file), "--tls-key", str(authority.server_key_file)]
    broker = Broker("kafka", "--sasl", "scram", "--topic", "otlp_spans", *files)
    yield broker, authority
    broker.close()


def test_tls_and_scram(tls_broker: tuple[Broker, Authority], tmp_path: Path, said: Any) -> None:
    broker, authority = tls_broker
    user: dict[str, Any] = {"username": broker.username, "password": broker.password}
    user["sasl_mechanism"] = "SCRAM-SHA-512"
    right = KafkaConfig(broker.address, **user, ca_file=authority.ca_file)
    assert send(right, [1, 2])["exported"] == 2
    assert said() == []

    other = tmp_path / "other"
    other.mkdir()
    wrong = KafkaConfig(broker.address, **user, ca_file=Authority(other).ca_file)
    destination = send(wrong, [1, 2])
    assert destination["exported"] == 0
    assert re.search("do not agree on TLS.*certificate verify failed", destination["last_error"]), destination
    assert len(said()) <= 1, said()

    destination = send(KafkaConfig(broker.address, **(user | {"password": SECRET}), ca_file=authority.ca_file), [1, 2])
    assert "do not accept the user name and the password" in destination["last_error"], destination
    assert SECRET not in destination["last_error"]


def test_what_is_too_large_for_the_broker_is_counted_and_the_rest_arrives(said: Any) -> None:
    broker = Broker("kafka", "--message-bytes", "20000", "--topic", "otlp_spans")
    try:
        config = KafkaConfig(broker.address, compression="none")
        destination = send(config, [1_000] * 100 + [30_000] + [1_000] * 100)
        assert destination["exported"] == 200, destination
        assert destination["dropped"]["rejected"] == 1, destination
        assert "larger than max_message_bytes or than the topic otlp_spans takes" in destination["last_error"]
        assert len(said()) == 1, said()
    finally:
        broker.close()


def test_a_broker_that_comes_later_gets_everything() -> None:
    broker = Broker("kafka", "--topic", "otlp_spans")
    try:
        broker.kill()
        provider = TracerProvider(
            transport_config=KafkaConfig(broker.address), batch_config=BatchConfig(scheduled_delay_ms=10)
        )
        with provider.get_tracer("tests").start_as_current_span("early"):
            pass
        assert not provider.force_flush(1_000)
        broker.start()
        assert provider.force_flush(60_000)
        provider.shutdown()
        destination = provider.stats()["destinations"]["scouter"]
        assert (destination["exported"], destination["queued"]) == (1, 0), destination
    finally:
        broker.close()


# What a process still has of librdkafka: threads by their names, connections.
LOOK = """
import os, sys, time
def left():
    names = [open(f"/proc/self/task/{task}/comm").read().strip() for task in os.listdir("/proc/self/task")]
    links = [os.path.join("/proc/self/fd", fd) for fd in os.listdir("/proc/self/fd")]
    links = {os.readlink(link) for link in links if os.path.lexists(link)}
    connections = {f"socket:[{line.split()[9]}]" for line in open("/proc/self/net/tcp").readlines()[1:]}
    return [name for name in names if name.startswith("rdk") or name == "scouter-kafka"], links & connections
def gone(seconds):
    deadline = time.monotonic() + seconds
    while any(left()):
        if time.monotonic() > deadline:
            sys.exit(f"left behind: {left()}")
        time.sleep(0.01)
"""


class TestTheEnd:
    """A shutdown leaves no thread and no socket of librdkafka, an exit is in time, and nothing is printed."""

    def run(self, folder: Path, config: str, end: str, seconds: float) -> None:
        script = f"""{LOOK}
from scouter import BatchConfig, KafkaConfig
from scouter.tracing import TracerProvider
provider = TracerProvider(transport_config={config}, batch_config=BatchConfig(scheduled_delay_ms=10))
def work():
    for _ in range(100):
        with provider.get_tracer("tests").start_as_current_span("work"):
            pass
work()
begun = time.monotonic()
{end}
took = time.monotonic() - begun
assert took < {seconds}, took
"""
        begun = time.monotonic()
        done = run_script(folder, script)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        # Python's own start and end included.
        assert time.monotonic() - begun < seconds + 12

    def test_over_a_broker(self, tansu: Broker, tmp_path: Path) -> None:
        topic = fresh_name("spans")
        tansu.order(f"topic {topic}")
        end = "assert provider.force_flush(20_000)\nassert any(left())\nprovider.shutdown()\ngone(1)"
        self.run(tmp_path, f"KafkaConfig({tansu.address!r}, topic={topic!r})", end, 25)

    @pytest.mark.parametrize("how", ["shutdown", "exit"])
    @pytest.mark.parametrize("away", ["refusing", "silent"])
    def test_without_a_broker(self, tmp_path: Path, away: str, how: str) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1] if away == "silent" else 1
            shut = "provider.force_flush(300)\nprovider.shutdown(2_000)\ngone(5)"
            self.run(tmp_path, f"KafkaConfig('127.0.0.1:{port}', timeout=2)", shut if how == "shutdown" else "", 8)
