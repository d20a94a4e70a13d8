from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import httpx
import pytest
from opentelemetry import trace
from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor
from support import Kept

from scouter.tracing import ScouterInstrumentor


@pytest.fixture
def echo_server() -> Iterator[str]:
    """Answers with the traceparent it was asked with."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = (self.headers.get("traceparent") or "").encode()
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_httpx_spans_are_children_of_ours(kept: Kept, echo_server: str) -> None:
    ScouterInstrumentor().instrument(transport_config=kept.config)
    HTTPXClientInstrumentor().instrument()
    try:
        tracer = trace.get_tracer("x")
        with tracer.start_as_current_span("ours") as ours, httpx.Client(trust_env=False) as client:
            seen = client.get(echo_server).text
            assert trace.get_current_span() is ours
    finally:
        HTTPXClientInstrumentor().uninstrument()
        ScouterInstrumentor().uninstrument()
    spans = {span["name"]: span for span in kept.config.spans}
    theirs = spans["GET"]
    assert theirs["parent_span_id"] == spans["ours"]["span_id"]
    assert theirs["kind"] is trace.SpanKind.CLIENT
    assert theirs["scope"] == "opentelemetry.instrumentation.httpx"
    assert seen == f"00-{theirs['trace_id']}-{theirs['span_id']}-03"
