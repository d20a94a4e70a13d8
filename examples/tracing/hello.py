"""The hello service: answers ``GET /hello``. The middleware continues the caller's trace."""

from __future__ import annotations

from common import service
from opentelemetry import trace

from scouter.tracing import ScouterTracingMiddleware

app = service("hello-service")
app.add_middleware(ScouterTracingMiddleware)


@app.get("/health")
async def health() -> dict[str, str]:
    """Tells that the service answers."""
    return {"status": "ok"}


@app.get("/hello")
async def hello(name: str = "World") -> dict[str, str]:
    """Greets. The active span is a child of the orchestrator's already."""
    tracer = trace.get_tracer("hello-service")
    with tracer.start_as_current_span("hello.build_greeting") as span:
        span.set_attribute("greeting.name", name)
        return {"message": f"Hello, {name}!"}
