"""Runs the scenarios of one program with one provider: ``python harness.py scouter clients`` prints JSON.

A process of its own for each side, because OpenTelemetry lets a process have only one global provider.
"""

from __future__ import annotations

import importlib
import json
import logging
import os
import sys
import traceback
from abc import ABC, abstractmethod
from typing import Any

from canonical import Arrival, Forest, Names, seen_in
from differences import DIFFERENCES, Run
from local_servers import Echo, closed_port
from opentelemetry import baggage, context, trace
from opentelemetry.context.context import Context
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.trace import format_span_id
from scenarios import CALLER, Trial
from workloads import ENVIRONMENTS

RESOURCE = {"service.name": "shop", "service.version": "1.2.3", "deployment.environment.name": "test"}


class Provider(ABC):
    """The global provider."""

    def __init__(self) -> None:
        self.mended: set[str] = set()
        """The names of the differences that were met."""

    @abstractmethod
    def renew(self) -> None:
        """Ends the provider and sets a new one, where that is possible."""

    @abstractmethod
    def take(self, arrivals: list[Arrival]) -> list[ExportTraceServiceRequest]:
        """What was exported since the last call."""

    @abstractmethod
    def close(self) -> None: ...


class Scouter(Provider):
    def __init__(self) -> None:
        super().__init__()
        from scouter import MockConfig

        self._config = MockConfig()
        self._instrument()

    def _instrument(self) -> None:
        from scouter.tracing import ScouterInstrumentor

        attributes = {key: value for key, value in RESOURCE.items() if key.startswith("service.")}
        others = {key: value for key, value in RESOURCE.items() if key not in attributes}
        ScouterInstrumentor().instrument(transport_config=self._config, attributes=attributes, resource=others)

    def renew(self) -> None:
        self.close()
        self._instrument()

    def take(self, arrivals: list[Arrival]) -> list[ExportTraceServiceRequest]:
        assert trace.get_tracer_provider().force_flush(10_000)
        requests = [ExportTraceServiceRequest.FromString(request) for request in self._config.requests]
        self._config.clear()
        return requests

    def close(self) -> None:
        from scouter.tracing import ScouterInstrumentor

        ScouterInstrumentor().uninstrument()


class Sdk(Provider):
    def __init__(self) -> None:
        super().__init__()
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import SimpleSpanProcessor
        from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

        self._exporter = InMemorySpanExporter()
        self._provider = TracerProvider(resource=Resource.create(RESOURCE))
        self._provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        trace.set_tracer_provider(self._provider)

    def renew(self) -> None:
        pass

    def take(self, arrivals: list[Arrival]) -> list[ExportTraceServiceRequest]:
        """Mended where Scouter is meant to differ."""
        from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans

        spans = self._exporter.get_finished_spans()
        self._exporter.clear()
        run = Run(encode_spans(spans), {format_span_id(span.context.span_id): span for span in spans}, arrivals)
        self.mended |= {difference.name for difference in DIFFERENCES if difference.mend(run)}
        return [run.request]

    def close(self) -> None:
        self._provider.shutdown()


class Complaints(logging.Handler):
    """What OpenTelemetry and Scouter log."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.name.startswith(("opentelemetry", "scouter", "fastapi")):
            self.messages.append(f"{record.levelname} {record.name}: {record.getMessage()}")


def outcome(name: str, run: Any, provider: Provider, echo: Echo, complaints: Complaints) -> dict[str, Any]:
    names = Names({echo.port: "<echo>"}, set(CALLER.ids))
    trial = Trial(echo, closed_port(), names, provider.renew)
    names.ports[trial.closed_port] = "<closed>"
    try:
        seen = run(trial)
    except BaseException:  # noqa: BLE001
        return {"failed": traceback.format_exc()}
    current = [trace.get_current_span(), dict(baggage.get_all())]
    if current != [trace.INVALID_SPAN, {}]:
        context.attach(Context())
    forest = Forest(provider.take(echo.arrivals), names)
    result = forest.trees(echo.arrivals)
    result |= {"seen": seen_in(seen, forest), "left current": current != [trace.INVALID_SPAN, {}]}
    result["complaints"] = sorted(names.text(message) for message in complaints.messages)
    echo.arrivals.clear()
    complaints.messages.clear()
    return result


def main(side: str, program: str) -> None:
    complaints = Complaints()
    logging.getLogger().addHandler(complaints)
    for noisy in ("uvicorn", "asyncio", "aiohttp", "sqlalchemy"):
        logging.getLogger(noisy).setLevel(logging.CRITICAL)
        logging.getLogger(noisy).propagate = False
        logging.getLogger(noisy).addHandler(logging.NullHandler())
    os.environ.update(ENVIRONMENTS[program])
    provider: Provider = {"scouter": Scouter, "sdk": Sdk}[side]()
    echo = Echo()
    scenarios = importlib.import_module(f"workloads.{program}").SCENARIOS
    results = {name: outcome(name, run, provider, echo, complaints) for name, run in scenarios.items()}
    echo.close()
    provider.close()
    json.dump({"outcomes": results, "mended": sorted(provider.mended)}, sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
