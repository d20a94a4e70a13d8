"""Tracers that touch nothing global, for tests and special set-ups: :func:`init_tracer` and what goes with it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from opentelemetry import trace

from .. import _scouter, arguments
from ..errors import ConfigError
from .at_exit import FLUSH_DEADLINE_MILLIS, shut_down
from .provider import TracerProvider

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider

    from .._scouter import Tracer
    from ..batch import BatchConfig
    from ..queue import ScouterQueue
    from ..transport import TransportConfig
    from .exporters import ExporterConfig
    from .plugins import IdGeneratorLike, SamplerLike
    from .resources import ResourceLike
    from .settings import SpanLimitsLike

__all__ = ["flush_tracer", "get_tracer", "init_tracer", "shutdown_tracer"]

_made: WeakSet[TracerProvider] = WeakSet()
_latest: list[TracerProvider] = []


def init_tracer(
    service_name: str | None = None,
    scope: str | None = None,
    transport_config: TransportConfig | None = None,
    exporter: ExporterConfig | None = None,
    batch_config: BatchConfig | None = None,
    sample_ratio: float | None = None,
    scouter_queue: ScouterQueue | None = None,
    attributes: Mapping[str, Any] | None = None,
    *,
    resource: ResourceLike | Mapping[str, Any] | None = None,
    span_limits: SpanLimitsLike | None = None,
    sampler: SamplerLike | None = None,
    id_generator: IdGeneratorLike | None = None,
    meter_provider: MeterProvider | None = None,
) -> Tracer:
    """A tracer with a pipeline of its own. Nothing global changes; every call makes another, independent pipeline.

    Args:
        service_name: The service that spans belong to.
        scope: The name of the instrumentation scope; the service's name when left out, else ``scouter``.
        transport_config, exporter, batch_config, sample_ratio, scouter_queue, attributes, resource, span_limits, sampler,
            id_generator, meter_provider: As for :class:`TracerProvider`.

    Raises:
        ConfigError: an argument has a value that cannot work.
        ConfigTypeError: an argument is of the wrong type.
    """
    attributes = {} if attributes is None else arguments.attributes("attributes", attributes)
    if service_name is not None:
        arguments.text("service_name", service_name)
        if attributes.get("service.name", service_name) != service_name:
            raise ConfigError(
                f"service_name is {service_name!r} and attributes say service.name is "
                f"{attributes['service.name']!r}: give one of the two"
            )
        attributes = {**attributes, "service.name": service_name}
    name = service_name or "scouter" if scope is None else arguments.text("scope", scope)
    provider = TracerProvider(
        transport_config,
        exporter,
        batch_config,
        sample_ratio,
        scouter_queue,
        attributes,
        resource=resource,
        span_limits=span_limits,
        sampler=sampler,
        id_generator=id_generator,
        meter_provider=meter_provider,
    )
    _made.add(provider)
    _latest[:] = [provider]
    return provider.get_tracer(name)


def get_tracer(
    name: str,
    version: str | None = None,
    schema_url: str | None = None,
    attributes: Mapping[str, Any] | None = None,
) -> trace.Tracer:
    """Another tracer of the pipeline that :func:`init_tracer` made last; of the global provider when there is none."""
    for provider in _latest:
        return provider.get_tracer(name, version, schema_url, attributes)
    return trace.get_tracer(name, version, schema_url=schema_url, attributes=attributes)


def flush_tracer(timeout_millis: int = FLUSH_DEADLINE_MILLIS) -> bool:
    """Sends what has ended so far in every pipeline of :func:`init_tracer`, and in the global one if it is Scouter's.

    Returns whether all of it was sent in time.
    """
    current = trace.get_tracer_provider()
    providers = [*_made, *([current] if isinstance(current, TracerProvider) and current not in _made else [])]
    return _scouter._flush_all(providers, arguments.count("timeout_millis", timeout_millis, least=0))


def shutdown_tracer(timeout_millis: int = FLUSH_DEADLINE_MILLIS) -> bool:
    """Flushes and ends every pipeline of :func:`init_tracer`. Their tracers record nothing from then on.

    Returns whether everything was sent in time. The global provider ends with ``uninstrument()``.
    """
    timeout = arguments.count("timeout_millis", timeout_millis, least=0)
    providers = list(_made)
    _made.clear()
    _latest.clear()
    return shut_down(providers, timeout)
