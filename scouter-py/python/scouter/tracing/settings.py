"""From the arguments of a set-up call to the settings of a pipeline. Only what code gave; variables come in below."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

from .. import _scouter, arguments, transport
from ..batch import BatchConfig
from ..errors import ConfigError
from ..transport import TransportConfig
from . import exporters, plugins, resources, sampling
from .exporters import ExporterConfig
from .plugins import IdGeneratorLike, SamplerLike
from .resources import ResourceLike

__all__ = ["SpanLimitsLike", "gather"]

_SERVICE = "service."
_NO_LIMIT = 2**31 - 1

# What `OTEL_LOG_LEVEL` may be.
_LEVELS = {
    "trace": logging.DEBUG,
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warn": logging.WARNING,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "fatal": logging.CRITICAL,
    "none": logging.CRITICAL + 1,
}

# What OpenTelemetry's SDK calls a limit, and what it is called below.
_LIMITS = {
    "max_span_attributes": "attributes",
    "max_span_attribute_length": "attribute_value_length",
    "max_events": "events",
    "max_links": "links",
    "max_event_attributes": "event_attributes",
    "max_link_attributes": "link_attributes",
}


@runtime_checkable
class SpanLimitsLike(Protocol):
    """Limits as the OpenTelemetry SDK makes them (``opentelemetry.sdk.trace.SpanLimits``). ``None`` means no limit."""

    max_span_attributes: int | None
    max_events: int | None
    max_links: int | None
    max_event_attributes: int | None
    max_link_attributes: int | None


def gather(
    *,
    service_name: str | None = None,
    transport_config: TransportConfig | None = None,
    exporter: ExporterConfig | None = None,
    batch_config: BatchConfig | None = None,
    sample_ratio: float | None = None,
    scouter_queue: _scouter.ScouterQueue | None = None,
    attributes: Mapping[str, Any] | None = None,
    resource: ResourceLike | Mapping[str, Any] | None = None,
    span_limits: SpanLimitsLike | None = None,
    sampler: SamplerLike | None = None,
    id_generator: IdGeneratorLike | None = None,
) -> dict[str, Any]:
    """Checks the arguments and gathers the settings they make.

    Raises:
        ConfigError: an argument has a value that cannot work.
        ConfigTypeError: an argument is of the wrong type.
    """
    settings: dict[str, Any] = {}
    _set_log_level()
    described, defaults = _attributes(attributes)
    found, schema_url = resources.gather(resource)
    described = {**found, **described}
    if schema_url:
        settings["resource_schema_url"] = schema_url
    if service_name is not None:
        described["service.name"] = arguments.text("service_name", service_name)
    name = described.pop("service.name", None)
    if name is not None:
        settings["service_name"] = arguments.text("service.name", name)
    if described:
        settings["resource"] = described
    if defaults:
        settings["default_attributes"] = defaults
    if transport_config is not None:
        settings["transport"] = transport.described(transport_config)
    destinations = exporters.gather(exporter)
    if destinations is not None:
        settings["exporters"] = destinations
    if batch_config is not None:
        if not isinstance(batch_config, BatchConfig):
            raise plugins.wrong("batch_config", batch_config, "BatchConfig")
        settings["batch"] = batch_config._settings()
    if sample_ratio is not None:
        settings["sample_ratio"] = arguments.ratio("sample_ratio", sample_ratio)
        if sampler is not None:
            raise ConfigError("sample_ratio and sampler exclude each other: give one of the two")
    elif sampler is not None:
        expected = "opentelemetry.sdk.trace.sampling.Sampler"
        settings["sampler"] = sampling.described(
            plugins.checked("sampler", sampler, SamplerLike, expected)  # type: ignore[type-abstract]
        )
    elif (named := sampling.from_environment()) is not None:
        settings["sampler"] = named
    generator = _id_generator(id_generator)
    if generator is not None:
        settings["id_generator"] = generator
    if span_limits is not None:
        settings["limits"] = _limits(span_limits)
    if scouter_queue is not None and not isinstance(scouter_queue, _scouter.ScouterQueue):
        raise plugins.wrong("scouter_queue", scouter_queue, "scouter.queue.ScouterQueue")
    return settings


def _set_log_level() -> None:
    """Sets the level of Scouter's own logger as ``OTEL_LOG_LEVEL`` says, unless the program has set one."""
    level = _LEVELS.get(plugins.variable("OTEL_LOG_LEVEL").lower())
    logger = logging.getLogger("scouter")
    if level is not None and logger.level == logging.NOTSET:
        logger.setLevel(level)


def _attributes(given: Mapping[str, Any] | None) -> tuple[dict[str, Any], dict[str, Any]]:
    """What describes the process, and what every span gets."""
    checked = {} if given is None else arguments.attributes("attributes", given)
    described = {key: value for key, value in checked.items() if key.startswith(_SERVICE)}
    defaults = {key: value for key, value in checked.items() if not key.startswith(_SERVICE)}
    return described, defaults


def _id_generator(given: IdGeneratorLike | None) -> IdGeneratorLike | None:
    """The id generator that code gives, else the one of an installed package that a variable names."""
    if given is not None:
        expected = "opentelemetry.sdk.trace.id_generator.IdGenerator"
        return plugins.checked("id_generator", given, IdGeneratorLike, expected)  # type: ignore[type-abstract]
    name = plugins.variable("OTEL_PYTHON_ID_GENERATOR")
    if name in ("", "random"):
        return None
    return plugins.named(
        IdGeneratorLike,  # type: ignore[type-abstract]
        "opentelemetry_id_generator",
        "OTEL_PYTHON_ID_GENERATOR",
        name,
    )


def _limits(given: SpanLimitsLike) -> dict[str, int]:
    if not isinstance(given, SpanLimitsLike):
        raise plugins.wrong("span_limits", given, "opentelemetry.sdk.trace.SpanLimits")
    limits = {}
    for theirs, ours in _LIMITS.items():
        value = getattr(given, theirs, None)
        limits[ours] = _NO_LIMIT if value is None else arguments.count(f"span_limits.{theirs}", value, least=0)
    return limits
