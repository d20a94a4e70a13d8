"""What goes out to the next service from instrumentation whose provider was shut down."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
import requests
from local_servers import Echo
from opentelemetry import trace
from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor
from opentelemetry.instrumentation.requests import RequestsInstrumentor
from scenarios import instrumented

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


def test_what_a_stale_tracer_sends_is_its_parent(echo: Echo) -> None:
    """A no-op tracer hands the parent on (trace API, "Behavior of the API in the absence of an installed SDK").

    Ids of its own would make the next service drop the trace, or record it under a span that nobody has.
    """
    config = MockConfig()
    ScouterInstrumentor().instrument(transport_config=MockConfig())
    with instrumented(HTTPXClientInstrumentor(), RequestsInstrumentor()):
        ScouterInstrumentor().uninstrument()
        _asks(echo)
        ScouterInstrumentor().instrument(transport_config=config)
        with trace.get_tracer("test").start_as_current_span("ours"):
            _asks(echo)
        ScouterInstrumentor().uninstrument()
    [ours] = config.spans
    expected = f"00-{ours['trace_id']}-{ours['span_id']}-03"
    assert [arrival.traceparent for arrival in echo.arrivals] == [None, None, expected, expected]
