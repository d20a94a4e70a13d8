"""The OpenTelemetry SDK with its batch processor and its OTLP exporter over HTTP."""

from __future__ import annotations

import functools
import inspect
import json
import time
from collections.abc import Callable
from typing import Any

from opentelemetry import propagate
from opentelemetry._logs import LogRecord
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON

from . import HEADERS, Tracer


class OpenTelemetrySdk:
    """A provider of its own, everything else at its defaults."""

    def set_up(self, endpoint: str, *, sampled: bool) -> Tracer:
        """Makes the provider; its sampler keeps all or nothing."""
        self._endpoint = endpoint
        self._logs: LoggerProvider | None = None
        self._provider = TracerProvider(
            sampler=ALWAYS_ON if sampled else ALWAYS_OFF, resource=Resource.create({"service.name": "benches"})
        )
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=f"{endpoint}/v1/traces")))
        return self._provider.get_tracer("benches")

    def decorate(self, tracer: Tracer, function: Callable[..., Any]) -> Callable[..., Any]:
        """There is no such decorator in the SDK: this is what one writes by hand."""
        signature = inspect.signature(function)

        @functools.wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            with tracer.start_as_current_span("decorated") as span:
                arguments = signature.bind(*args, **kwargs).arguments
                span.set_attribute("input", json.dumps(arguments, default=repr))
                result = function(*args, **kwargs)
                span.set_attribute("output", json.dumps(result, default=repr))
                return result

        return wrapper

    def inject(self) -> Callable[[], object]:
        """The global propagator, trace context and baggage."""

        def inject() -> dict[str, str]:
            carrier: dict[str, str] = {}
            propagate.inject(carrier)
            return carrier

        return inject

    def extract(self) -> Callable[[], object]:
        """The global propagator, trace context and baggage."""
        return lambda: propagate.extract(HEADERS)

    def record(self, metrics: dict[str, float]) -> Callable[[], object]:
        """An event with the metrics as its body, and the attributes that name the entity."""
        self._logs = LoggerProvider(resource=Resource.create({"service.name": "benches"}))
        exporter = OTLPLogExporter(endpoint=f"{self._endpoint}/v1/logs")
        self._logs.add_log_record_processor(BatchLogRecordProcessor(exporter))
        logger = self._logs.get_logger("benches")
        entity = {"space": "shop", "name": "basket", "version": "1.0.0", "alias": "basket"}
        attributes = {f"scouter.{key}": value for key, value in entity.items()}

        def emit() -> None:
            body, now = dict(metrics), time.time_ns()
            event = "scouter.record.custom"
            logger.emit(LogRecord(timestamp=now, body=body, attributes=attributes, event_name=event))

        return emit

    def finish(self) -> None:
        """Flushes and stops."""
        if self._logs is not None:
            self._logs.shutdown()
        self._provider.shutdown()
