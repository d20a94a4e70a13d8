"""The overview's examples, as a reader would copy them; only addresses and bodies that it leaves open are filled in."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from opentelemetry import trace
from pydantic import BaseModel
from support import Kept, Receiver

from scouter import BatchConfig, GrpcConfig, HttpConfig
from scouter.tracing import (
    GrpcSpanExporter,
    HttpSpanExporter,
    OtelExportConfig,
    ScouterInstrumentor,
    ScouterTracer,
    ScouterTracingMiddleware,
    SpanKind,
    TracerProvider,
    get_tracing_headers_from_current_span,
    init_tracer,
    instrument,
)


def attributes(kept: Kept, name: str) -> dict[str, Any]:
    return {span["name"]: span["attributes"] for span in kept.config.spans}[name]


def test_set_up_with_a_collector(receiver: Receiver, second_receiver: Receiver) -> None:
    ScouterInstrumentor().instrument(
        transport_config=HttpConfig(uri=receiver.uri),
        exporter=HttpSpanExporter(export_config=OtelExportConfig(endpoint=second_receiver.uri)),
        attributes={"service.name": "my-service"},
    )
    tracer = trace.get_tracer("my-service")
    with tracer.start_as_current_span("x"):
        pass
    ScouterInstrumentor().uninstrument()
    assert receiver.names == second_receiver.names == ["x"]


def test_manual_set_up(receiver: Receiver) -> None:
    base_tracer = init_tracer(service_name="my-service", transport_config=HttpConfig(receiver.uri))
    tracer = ScouterTracer(base_tracer)
    with tracer.start_as_current_span("x"):
        pass
    assert tracer.flush()
    assert receiver.services == {"my-service"}


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"transport_config": GrpcConfig(), "batch_config": BatchConfig(scheduled_delay_ms=200)},
        {
            "transport_config": GrpcConfig(),
            "exporter": HttpSpanExporter(export_config=OtelExportConfig(endpoint="http://127.0.0.1:1")),
        },
        {"exporter": HttpSpanExporter(sample_ratio=0.25), "attributes": {"service.name": "sampled-service"}},
        {"exporter": GrpcSpanExporter(sample_ratio=0.25), "attributes": {"service.name": "sampled-service-grpc"}},
        {
            "sample_ratio": 0.1,
            "exporter": HttpSpanExporter(),
            "attributes": {"service.name": "globally-sampled-service"},
        },
        {
            "batch_config": BatchConfig(max_queue_size=4096, scheduled_delay_ms=1000, max_export_batch_size=1024),
            "exporter": GrpcSpanExporter(batch_export=True),
            "attributes": {"service.name": "high-throughput-service"},
        },
    ],
    ids=str,
)
def test_all_ways_of_instrumenting(arguments: dict[str, Any]) -> None:
    instrument(**arguments)
    instrumentor = ScouterInstrumentor()
    assert instrumentor.is_instrumented
    ScouterInstrumentor().uninstrument()
    assert not instrumentor.is_instrumented


def test_a_provider_of_one_s_own() -> None:
    provider = TracerProvider(transport_config=GrpcConfig())
    trace.set_tracer_provider(provider)
    try:
        tracer = trace.get_tracer(__name__)
        with tracer.start_as_current_span("my-span") as span:
            span.set_attribute("key", "value")
            assert span.attributes == {"key": "value"}
    finally:
        trace._TRACER_PROVIDER = None
        trace._TRACER_PROVIDER_SET_ONCE._done = False
        provider.shutdown(0)


def test_functions(kept: Kept) -> None:
    instrument(transport_config=kept.config)
    tracer = trace.get_tracer("sync-service")

    @tracer.span("process_data")
    def process_data(items: list[dict]) -> dict:
        result = {"processed": len(items)}
        return result

    process_data([{"a": 1}])
    with tracer.start_as_current_span("manual_work") as span:
        span.set_attribute("worker_id", "123")
        span.set_output({"status": "complete"})
    ScouterInstrumentor().uninstrument()
    assert attributes(kept, "process_data") == {
        "scouter.input": '{"items": [{"a": 1}]}',
        "scouter.output": '{"processed": 1}',
    }
    assert attributes(kept, "manual_work") == {"worker_id": "123", "scouter.output": '{"status": "complete"}'}


class UserInput(BaseModel):
    user_id: int
    action: str
    metadata: dict


def test_attributes_tags_and_events(kept: Kept) -> None:
    tracer = kept.tracer

    @tracer.span("process_user_action")
    def handle_action(input: UserInput):
        with tracer.current_span as span:
            span.set_tag("user_id", str(input.user_id))
            span.set_attribute("action_type", input.action)

            span.add_event("validation_completed", {"checks_passed": 5, "duration_ms": 23})

    handle_action(UserInput(user_id=7, action="buy", metadata={"a": [1]}))
    with tracer.start_as_current_span("api_request") as span:
        span.set_tag("environment", "production")
        span.set_tag("customer_tier", "enterprise")
        span.set_attribute("request_size_bytes", 1024)
        span.set_attribute("cache_hit", True)
    kept.spans()
    found = attributes(kept, "process_user_action")
    assert json.loads(found["scouter.input"]) == {"input": {"user_id": 7, "action": "buy", "metadata": {"a": [1]}}}
    assert (found["scouter.tag.user_id"], found["action_type"]) == ("7", "buy")
    assert attributes(kept, "api_request") == {
        "scouter.tag.environment": "production",
        "scouter.tag.customer_tier": "enterprise",
        "request_size_bytes": 1024,
        "cache_hit": True,
    }


def test_kinds_labels_and_errors(kept: Kept) -> None:
    tracer = kept.tracer
    with tracer.start_as_current_span("handle_request", kind=SpanKind.Server):
        pass

    @tracer.span("train_model", label="ml-training")
    def train_model():
        pass

    @tracer.span("risky_operation")
    def process():
        try:
            int("might fail")
        except ValueError as e:  # noqa: F841, TRY203
            raise

    train_model()
    with pytest.raises(ValueError, match="invalid literal"):
        process()
    found = {span["name"]: span for span in kept.spans()}
    assert found["handle_request"]["kind"] is trace.SpanKind.SERVER
    assert found["train_model"]["attributes"]["scouter.label"] == "ml-training"
    assert found["risky_operation"]["status"].upper() == "ERROR"


def test_three_services_in_one_process(kept: Kept) -> None:
    """Tracers of their own, so that nothing but headers can connect the services."""
    tracer = kept.tracer

    def service(path: str, work: str) -> FastAPI:
        app = FastAPI()
        app.add_middleware(ScouterTracingMiddleware, tracer=tracer)

        @app.get(path)
        async def handler(name: str = "World") -> dict:
            with tracer.start_as_current_span(work) as span:
                span.set_attribute("greeting.name", name)
                return {"message": f"Hello, {name}!"}

        return app

    services = {"/hello": service("/hello", "hello.build_greeting"), "/bye": service("/bye", "bye.build_farewell")}

    async def greet() -> None:
        with tracer.start_as_current_span("orchestrator.greet"):
            propagation_headers = get_tracing_headers_from_current_span()
            for path, app in services.items():
                async with httpx.AsyncClient(transport=httpx.ASGITransport(app)) as client:
                    response = await client.get(
                        f"http://service-b{path}", params={"name": "Alice"}, headers=propagation_headers
                    )
                assert response.json() == {"message": "Hello, Alice!"}

    asyncio.run(greet())
    spans = kept.spans()
    names = {span["span_id"]: span["name"] for span in spans}
    assert {span["name"]: names.get(span["parent_span_id"]) for span in spans} == {
        "orchestrator.greet": None,
        "GET /hello": "orchestrator.greet",
        "hello.build_greeting": "GET /hello",
        "GET /bye": "orchestrator.greet",
        "bye.build_farewell": "GET /bye",
    }
    assert len({span["trace_id"] for span in spans}) == 1


def test_truncation(kept: Kept) -> None:
    tracer = kept.tracer

    @tracer.span("process_large_data")
    def process(data: str):
        pass

    process("x" * 6000)
    with tracer.start_as_current_span("manual") as span:
        span.set_input("x" * 20_000, max_length=10_000)
    kept.spans()
    assert len(attributes(kept, "process_large_data")["scouter.input"]) == 5000
    assert len(attributes(kept, "manual")["scouter.input"]) == 10_000
