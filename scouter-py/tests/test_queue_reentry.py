"""Inserts in the middle of inserts: from finalizers, from signal handlers, from what a record runs, from log handlers."""

from __future__ import annotations

import gc
import itertools
import logging
import signal
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import BaseModel

from scouter import BatchConfig, MockConfig
from scouter.queue import AgentProfile, CustomProfile, EvalRecord, Features, FeatureSpec, ScouterQueue, SpcProfile
from scouter.tracing import init_tracer

AGENT = AgentProfile("shop", "agent", "1.0.0", [{"id": "polite"}])
METRICS = CustomProfile("shop", "basket", "1.0.0", ["cost"])
FEATURES = SpcProfile("shop", "model", "1.0.0", [FeatureSpec("x", float)])


@pytest.fixture
def sent() -> MockConfig:
    return MockConfig()


@pytest.fixture
def queue(sent: MockConfig) -> Iterator[ScouterQueue]:
    with ScouterQueue.from_profile([AGENT, METRICS, FEATURES], transport_config=sent) as queue:
        yield queue


class Finalized:
    """Garbage that only the collector finds, and that inserts when it goes."""

    def __init__(self, queue: ScouterQueue, number: int) -> None:
        self.me, self.queue, self.number = self, queue, number

    def __del__(self) -> None:
        self.queue["agent"].insert(EvalRecord({"inner": self.number}))
        self.queue["basket"].insert({"cost": self.number})


def test_a_finalizer_in_the_middle_of_an_insert(queue: ScouterQueue, sent: MockConfig) -> None:
    class Collects:
        """Text and number by running the collector."""

        def __str__(self) -> str:
            gc.collect()
            return "collected"

        def __float__(self) -> float:
            gc.collect()
            return 1.0

    for number in range(10):
        Finalized(queue, number)
        queue["agent"].insert(EvalRecord({"outer": number}, id=Collects(), tags={"a": Collects()}))
    Finalized(queue, 10)
    queue["model"].insert(Features({"x": Collects()}))
    assert queue.flush(10)
    bodies = [record["body"] for record in sent.records]
    assert sorted(body["inner"] for body in bodies if "inner" in body) == list(range(11))
    assert sorted(body["cost"] for body in bodies if "cost" in body) == list(range(11))
    assert [body["outer"] for body in bodies if "outer" in body] == list(range(10))
    assert {"x": 1.0} in bodies


def test_the_last_reference_to_a_queue_goes_in_the_middle_of_an_insert(queue: ScouterQueue, sent: MockConfig) -> None:
    class Drops:
        def __init__(self) -> None:
            self.other: ScouterQueue | None = ScouterQueue.from_profile(METRICS, sent)
            self.other["basket"].insert({"cost": 7})

        def __str__(self) -> str:
            self.other = None
            gc.collect()
            return "dropped"

    queue["agent"].insert(EvalRecord({"a": 1}, id=Drops()))
    assert queue.flush(10)
    assert any(record["record_id"] == "dropped" for record in sent.records)


def test_signal_handlers_insert_at_any_time(sent: MockConfig) -> None:
    batch = BatchConfig(max_queue_size=1_000_000, scheduled_delay_ms=1)
    queue = ScouterQueue.from_profile([AGENT, METRICS], sent, batch)
    tracer = init_tracer(transport_config=MockConfig(), scouter_queue=queue)
    handled = itertools.count()
    done = threading.Event()

    def handler(*_: object) -> None:
        number = next(handled)
        queue["agent"].insert(EvalRecord({"signal": number}, tags={"from": "handler"}))
        queue["basket"].insert({"wrong": 1})
        if number >= 300:
            done.set()

    before = signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
    inserted = 0
    try:
        while not done.is_set():
            with tracer.start_as_current_span("work") as span:
                span.insert_queue_item("agent", EvalRecord({"work": inserted, "text": "x" * 200}))
                queue["agent"].insert({"work": inserted})
            inserted += 2
            if inserted % 500 == 0:
                assert queue.flush(10)
                queue.stats()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert queue.shutdown(20)
    signals = next(handled)
    found = [record["body"] for record in sent.records]
    assert sorted(body["signal"] for body in found if "signal" in body) == list(range(signals))
    assert len(found) == inserted + signals
    assert queue["basket"].stats()["rejected"] == signals


def test_records_that_insert_while_they_are_read(queue: ScouterQueue, sent: MockConfig) -> None:
    class Model(BaseModel):
        x: float

        def model_dump(self, **arguments: Any) -> dict[str, Any]:
            queue["basket"].insert({"cost": self.x})
            return super().model_dump(**arguments)

    class Raises(Model):
        def model_dump(self, **arguments: Any) -> dict[str, Any]:
            super().model_dump(**arguments)
            raise RecursionError

    class Endless(Model):
        def model_dump(self, **arguments: Any) -> dict[str, Any]:
            return self.model_dump(**arguments)

    queue["model"].insert(Model(x=1.0))
    queue["model"].insert(Raises(x=2.0))
    queue["model"].insert(Endless(x=3.0))
    queue["agent"].insert(EvalRecord({"model": Raises(x=4.0)}))
    queue["agent"].insert(EvalRecord(Endless(x=5.0)))
    queue["model"].insert({"x": 6.0})
    assert queue.flush(10)
    bodies = [record["body"] for record in sent.records]
    assert [body for body in bodies if list(body) == ["x"]] == [{"x": 1.0}, {"x": 6.0}]
    assert {"cost": 1.0} in bodies
    assert {"cost": 2.0} in bodies
    stats = queue.stats()["records"]
    assert (stats["model"]["rejected"], stats["model"]["accepted"]) == (2, 2)
    assert stats["agent"]["inserted"] == stats["agent"]["accepted"] + stats["agent"]["rejected"] == 2


def test_a_log_handler_that_inserts_what_does_not_fit_either(queue: ScouterQueue, sent: MockConfig) -> None:
    class Inserts(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            queue["agent"].insert(EvalRecord({"message": record.getMessage()}))
            queue["agent"].insert(EvalRecord(5))
            queue["basket"].insert({"cost": "no number"})

    handler = Inserts()
    logger = logging.getLogger("scouter")
    logger.addHandler(handler)
    try:
        # Names of their own, so that their messages are news.
        queue["model"].insert({"a name of this test": 1.0})
        queue["model"].insert({"another name of this test": 1.0})
    finally:
        logger.removeHandler(handler)
    assert queue.flush(10)
    messages = [record["body"]["message"] for record in sent.records if "message" in record["body"]]
    assert any("a name of this test" in message for message in messages)
    assert queue["model"].stats()["rejected"] == 2
