"""The orchestrator: ``POST /greet`` asks the hello and the goodbye service, all in one trace."""

from __future__ import annotations

import httpx
from common import GOODBYE_URL, HELLO_URL, service
from opentelemetry import trace
from pydantic import BaseModel

from scouter.tracing import get_tracing_headers_from_current_span

app = service("orchestrator-service")


class Greeting(BaseModel):
    """Whom to greet."""

    name: str = "World"


@app.get("/health")
async def health() -> dict[str, str]:
    """Tells that the service answers."""
    return {"status": "ok"}


@app.post("/greet")
async def greet(greeting: Greeting) -> dict[str, str]:
    """Greets through the two other services, and tells the trace's id."""
    tracer = trace.get_tracer("orchestrator-service")
    async with httpx.AsyncClient() as client:
        with tracer.start_as_current_span("orchestrator.greet") as span:
            # The W3C headers of this span make the other services' spans its children.
            headers = get_tracing_headers_from_current_span()
            params = {"name": greeting.name}
            hello = await client.get(f"{HELLO_URL}/hello", params=params, headers=headers)
            goodbye = await client.get(f"{GOODBYE_URL}/goodbye", params=params, headers=headers)
            return {
                "trace_id": span.trace_id,
                "hello": hello.raise_for_status().json()["message"],
                "goodbye": goodbye.raise_for_status().json()["message"],
            }
