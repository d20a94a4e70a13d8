"""Instrumentation that outlives the provider it was set up with."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import httpx
import pytest
import requests
from local_servers import Echo
from opentelemetry import trace
from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor
from opentelemetry.instrumentation.requests import RequestsInstrumentor

from scouter import MockConfig
from scouter.tracing import ScouterInstrumentor


@pytest.fixture
def echo() -> Iterator[Echo]:
    echo = Echo()
    yield echo
    echo.close()


def _asks(echo: Echo) -> None:
    with httpx.Client(trust_env=False) as client:
        assert client.get(f"{echo.uri}/ok").status_code == 200
    with requests.Session() as session:
        session.trust_env = False
        assert session.get(f"{echo.uri}/ok").status_code == 200


def test_instrumented_clients_outlive_the_provider(echo: Echo, caplog: pytest.LogCaptureFixture) -> None:
    """They go on working, record nothing, and record again once they ask a new provider for a tracer."""
    first, second = MockConfig(), MockConfig()
    clients = [HTTPXClientInstrumentor(), RequestsInstrumentor()]
    ScouterInstrumentor().instrument(transport_config=first)
    for client in clients:
        client.instrument()
    try:
        _asks(echo)
        ScouterInstrumentor().uninstrument()
        assert len(first.spans) == 2
        _asks(echo)
        ScouterInstrumentor().instrument(transport_config=second)
        with trace.get_tracer("test").start_as_current_span("ours"):
            _asks(echo)
        for client in clients:
            client.uninstrument()
            client.instrument()
        _asks(echo)
        ScouterInstrumentor().uninstrument()
    finally:
        for client in clients:
            client.uninstrument()
    assert len(first.spans) == 2
    assert [(span["name"], span["scope"]) for span in second.spans] == [
        ("ours", "test"),
        ("GET", "opentelemetry.instrumentation.httpx"),
        ("GET", "opentelemetry.instrumentation.requests"),
    ]
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []
