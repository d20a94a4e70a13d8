"""OpenTelemetry's compliance matrix, "Resource". One test a row."""

from __future__ import annotations

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1 import trace_pb2
from opentelemetry.sdk import resources
from opentelemetry.sdk.resources import Resource, ResourceDetector

from scouter import MockConfig
from scouter.tracing import TracerProvider

SCHEMA = "https://opentelemetry.io/schemas/1.30.0"


def sent(**arguments: object) -> trace_pb2.ResourceSpans:
    """What travels as the resource."""
    config = MockConfig()
    provider = TracerProvider(transport_config=config, **arguments)
    provider.get_tracer("rows").start_span("one").end()
    assert provider.shutdown()
    (resource,) = ExportTraceServiceRequest.FromString(config.requests[0]).resource_spans
    return resource


def attributes(resource: trace_pb2.ResourceSpans) -> dict[str, str]:
    return {attribute.key: attribute.value.string_value for attribute in resource.resource.attributes}


def test_m067_create_from_attributes() -> None:
    assert attributes(sent(resource=Resource.create({"host.name": "a"})))["host.name"] == "a"
    assert attributes(sent(resource={"host.name": "b"}))["host.name"] == "b"


def test_m068_create_empty() -> None:
    found = attributes(sent(resource=Resource.get_empty()))
    # Beside what the SDK itself must say (resource SDK, "SDK-provided resource attributes") there is nothing.
    assert set(found) == {"service.name", "telemetry.sdk.name", "telemetry.sdk.language", "telemetry.sdk.version"}


def test_m069_merge() -> None:
    old = Resource({"kept": "old", "changed": "old", "emptied": "old"}, SCHEMA)
    merged = old.merge(Resource({"changed": "new", "emptied": ""}))
    resource = sent(resource=merged)
    found = attributes(resource)
    assert (found["kept"], found["changed"], found["emptied"]) == ("old", "new", "")
    assert resource.schema_url == SCHEMA
    # What is given on top of a resource wins over it.
    on_top = sent(resource=merged, attributes={"service.name": "on-top"})
    assert (attributes(on_top)["service.name"], on_top.schema_url) == ("on-top", SCHEMA)


def test_m070_retrieve_attributes() -> None:
    provider = TracerProvider(transport_config=MockConfig(), resource=Resource({"host.name": "a"}))
    span = provider.get_tracer("rows").start_span("one")
    for resource in (provider.resource, span.resource):
        assert resource.attributes["host.name"] == "a"
        with pytest.raises(TypeError):
            resource.attributes["host.name"] = "b"
    provider.shutdown()


def test_m071_default_value_for_service_name() -> None:
    assert attributes(sent())["service.name"].startswith("unknown_service")
    assert attributes(sent(resource=Resource.get_empty()))["service.name"].startswith("unknown_service")


class Detector(ResourceDetector):
    """What a package on cloud machines would find out."""

    def detect(self) -> Resource:
        return Resource({"cloud.provider": "ours", "service.name": "detected"}, SCHEMA)


def test_m072_resource_detectors() -> None:
    found = resources.get_aggregated_resources([Detector(), resources.ProcessResourceDetector()])
    sent_attributes = attributes(sent(resource=found))
    assert sent_attributes["cloud.provider"] == "ours"
    assert "process.runtime.version" in sent_attributes


def test_m072_resource_detectors_are_named_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPERIMENTAL_RESOURCE_DETECTORS", "process")
    assert "process.runtime.version" in attributes(sent())
    monkeypatch.delenv("OTEL_EXPERIMENTAL_RESOURCE_DETECTORS")
    assert "process.runtime.version" not in attributes(sent())


def test_m073_resource_detectors_populate_schema_url() -> None:
    assert sent(resource=Detector().detect()).schema_url == SCHEMA
