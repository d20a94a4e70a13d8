"""The goodbye service: answers ``GET /goodbye``. The middleware continues the caller's trace."""

from __future__ import annotations

from common import service
from opentelemetry import trace

from scouter.tracing import ScouterTracingMiddleware

app = service("goodbye-service")
app.add_middleware(ScouterTracingMiddleware)


@app.get("/health")
async def health() -> dict[str, str]:
    """Tells that the service answers."""
    return {"status": "ok"}


@app.get("/goodbye")
async def goodbye(name: str = "World") -> dict[str, str]:
    """Says farewell. The active span is a child of the orchestrator's already."""
    tracer = trace.get_tracer("goodbye-service")
    with tracer.start_as_current_span("goodbye.build_farewell") as span:
        span.set_attribute("farewell.name", name)
        return {"message": f"Goodbye, {name}!"}
