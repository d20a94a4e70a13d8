from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from brokers import kafka, rabbitmq, tansu  # noqa: F401 - fixtures.
from opentelemetry import baggage, context, trace
from support import Kept, Receiver, Server

from scouter import MockConfig
from scouter.tracing import ScouterInstrumentor, init_tracer, shutdown_tracer

# Shells start what runs in their background with this signal ignored, and programs inherit that. Tests interrupt some.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every test starts without settings in the environment, and ends with nothing global and no span current."""
    for name in list(os.environ):
        if name.startswith(("OTEL_", "SCOUTER_")):
            monkeypatch.delenv(name)
    yield
    if ScouterInstrumentor().is_instrumented:
        ScouterInstrumentor().uninstrument()
    shutdown_tracer(2_000)
    left = trace.get_current_span()
    baggage_left = dict(baggage.get_all())
    if left is not trace.INVALID_SPAN or baggage_left:
        context.attach(context.Context())
        raise AssertionError(f"left current: {left}, {baggage_left}")


@pytest.fixture
def kept() -> Kept:
    config = MockConfig()
    return Kept(config, init_tracer(service_name="test", transport_config=config))


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.close()


@pytest.fixture
def second_receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.close()


@pytest.fixture
def fresh_server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path / "data")
    yield server
    server.stop()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("server") / "data")
    yield server
    server.stop()
