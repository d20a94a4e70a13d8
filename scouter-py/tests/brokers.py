"""Real message brokers for the tests, run by `scripts/broker.py`: one of each for the whole session.

Tests share a broker and keep apart by `fresh_name`. A test that kills its broker starts one of its own.
"""

from __future__ import annotations

import json
import subprocess
import sys
import uuid
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "broker.py"


class Broker:
    """A running broker: "rabbitmq", "tansu" or "kafka". It ends with `close`, and with this process."""

    def __init__(self, kind: str, *options: str) -> None:
        self.kind = kind
        command = [sys.executable, str(SCRIPT), "run", kind, *options]
        self._script = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._about = self._answer()
        self.host: str = self._about["host"]
        self.port: int = self._about["port"]
        self.username: str | None = self._about.get("username")
        self.password: str | None = self._about.get("password")
        self.tls_port: int | None = self._about.get("tls_port")

    @property
    def address(self) -> str:
        """Host and port, as Kafka clients want them."""
        return f"{self.host}:{self.port}"

    def order(self, order: str) -> None:
        """`kill`, `stop`, `start`, `pause`, `resume`, `topic NAME [PARTITIONS]`, `alarm`, `calm`, `control ARGUMENTS`; returns when done."""
        assert self._script.stdin is not None
        self._script.stdin.write(f"{order}\n")
        self._script.stdin.flush()
        answer = self._answer()
        assert "error" not in answer, answer

    def kill(self) -> None:
        self.order("kill")

    def start(self) -> None:
        """Starts it again, on the same port and, but for Tansu, with the same data."""
        self.order("start")

    def close(self) -> None:
        assert self._script.stdin is not None
        assert self._script.stdout is not None
        self._script.stdin.close()
        self._script.stdout.close()
        self._script.wait()

    def _answer(self) -> dict[str, Any]:
        assert self._script.stdout is not None
        line = self._script.stdout.readline()
        assert line, f"no {self.kind}: its script has ended, see its output for the reason"
        return json.loads(line)


@cache
def kafkas() -> tuple[str, ...]:
    """The brokers that speak Kafka: Apache Kafka is among them where there are Java and Maven."""
    asked = subprocess.run([sys.executable, str(SCRIPT), "available", "kafka"], check=False)
    return ("tansu", "kafka") if asked.returncode == 0 else ("tansu",)


def fresh_name(what: str = "test") -> str:
    """A name for a topic or queue that no other test uses."""
    return f"{what}-{uuid.uuid4().hex[:12]}"


@pytest.fixture(scope="session")
def rabbitmq() -> Iterator[Broker]:
    yield from _session("rabbitmq")


@pytest.fixture(scope="session")
def tansu() -> Iterator[Broker]:
    yield from _session("tansu")


@pytest.fixture(scope="session", params=kafkas())
def kafka(request: pytest.FixtureRequest) -> Iterator[Broker]:
    """Each broker that speaks Kafka; the name of the test says which."""
    yield from _session(request.param)


def _session(kind: str) -> Iterator[Broker]:
    broker = Broker(kind)
    yield broker
    broker.close()
