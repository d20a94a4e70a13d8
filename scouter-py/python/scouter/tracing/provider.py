"""The tracer provider, and the pipelines that nothing global knows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from .. import _scouter, arguments
from ..errors import ConfigTypeError
from . import at_exit, capture, exporters, metrics, plugins, settings
from .plugins import SpanProcessorLike

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider
    from typing_extensions import Self

    from ..batch import BatchConfig
    from ..queue import ScouterQueue
    from ..transport import TransportConfig
    from .exporters import ExporterConfig
    from .plugins import IdGeneratorLike, SamplerLike
    from .resources import ResourceLike
    from .settings import SpanLimitsLike

__all__ = ["TracerProvider"]

# Whoever has a tracer can still make spans, so its provider stays, and is flushed when the process ends.
_providers: WeakKeyDictionary[_scouter.Tracer, TracerProvider] = WeakKeyDictionary()


class TracerProvider(_scouter.TracerProvider):
    """An OpenTelemetry tracer provider whose spans go to Scouter, and to a collector when there is an ``exporter``.

    Every argument may be left out. What is not given comes from the ``OTEL_*`` and ``SCOUTER_*`` variables, else from the
    defaults. An argument beats a variable.

    Args:
        transport_config: How spans get to Scouter; HTTP to ``http://localhost:8000`` by default.
        exporter: Who gets every span too: an :class:`HttpSpanExporter` or :class:`GrpcSpanExporter` for a collector, a
            :class:`StdoutSpanExporter`, a :class:`TestSpanExporter`, any exporter of the OpenTelemetry SDK, or a list.
        batch_config: How spans are gathered before they are sent.
        sample_ratio: What share of the traces is recorded, from 0.0 to 1.0; a trace that has begun elsewhere follows
            what was decided there. Beats the exporter's own ratio.
        scouter_queue: Where ``span.insert_queue_item`` puts records.
        attributes: Keys in ``service.*`` describe the process; every other one is put on every span that does not set it.
        resource: What describes the process, as a dict or as an OpenTelemetry ``Resource``.
        span_limits: Limits as the OpenTelemetry SDK makes them.
        sampler: Which spans are recorded, instead of ``sample_ratio``: any sampler of the OpenTelemetry SDK, or an object
            with the methods of one.
        id_generator: Where trace and span ids come from: any id generator of the OpenTelemetry SDK, or an object with
            the methods of one.
        meter_provider: Where the metrics go that tell how tracing is doing; OpenTelemetry's global meter provider by
            default.

    Raises:
        ConfigError: an argument has a value that cannot work.
        ConfigTypeError: an argument is of the wrong type.
    """

    def __new__(
        cls,
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
    ) -> Self:
        gathered = settings.gather(
            transport_config=transport_config,
            exporter=exporter,
            batch_config=batch_config,
            sample_ratio=sample_ratio,
            scouter_queue=scouter_queue,
            attributes=attributes,
            resource=resource,
            span_limits=span_limits,
            sampler=sampler,
            id_generator=id_generator,
        )
        provider = super().__new__(cls, gathered)
        at_exit.watch(provider)
        metrics.watch(provider, meter_provider, exporters.types(gathered))
        if scouter_queue is not None:
            provider.set_scouter_queue(scouter_queue)
        return provider

    def add_span_processor(self, span_processor: SpanProcessorLike) -> None:
        """Tells a span processor of every span from now on, in the order in which processors were added.

        Any processor of the OpenTelemetry SDK works, and any object with ``on_start`` and ``on_end``. What one raises is
        counted in :meth:`stats` and logged, and goes no further. Spans that a processor makes while it is told of another
        one are exported, but processors are not told of them.

        Raises:
            ConfigTypeError: it is no span processor.
        """
        expected = "opentelemetry.sdk.trace.SpanProcessor"
        plugins.checked("span_processor", span_processor, SpanProcessorLike, expected)  # type: ignore[type-abstract]
        super().add_span_processor(span_processor)
        # A processor may hold spans back, so its provider is not just forgotten with the last reference to it.
        at_exit.hold(self)

    def enable_local_capture(self, limit: int = capture.LIMIT) -> None:
        """Keeps a copy of every sampled span that ends from now on, beside sending it.

        When there are ``limit`` copies, further ones are left out and counted in ``stats()["capture"]``.

        Raises:
            ConfigError: the limit is below 1.
        """
        self._enable_capture(arguments.count("limit", limit))

    def get_local_spans_by_trace_ids(self, trace_ids: Sequence[str]) -> list[_scouter.FinishedSpan]:
        """The copies of these traces' spans, in the order in which the spans ended. Takes nothing out.

        Args:
            trace_ids: As 32 hexadecimal digits each.

        Raises:
            ConfigError: one of these is no trace id.
        """
        if isinstance(trace_ids, str):
            raise ConfigTypeError("trace_ids is a str: give a list of them")
        return self._captured([arguments.text("trace_ids", trace_id) for trace_id in trace_ids])

    def shutdown(self, timeout_millis: int = 30_000) -> bool:
        """Flushes, and records nothing from then on; false when not everything arrived in time."""
        at_exit.let_go(self)
        return super().shutdown(timeout_millis)

    def get_tracer(
        self,
        instrumenting_module_name: str,
        instrumenting_library_version: str | None = None,
        schema_url: str | None = None,
        attributes: Mapping[str, Any] | None = None,
    ) -> _scouter.Tracer:
        """A tracer whose spans carry this name, version, schema URL and these attributes as their instrumentation scope."""
        tracer = super().get_tracer(instrumenting_module_name, instrumenting_library_version, schema_url, attributes)
        _providers[tracer] = self
        return tracer


def provider_of(tracer: object) -> TracerProvider | None:
    """The provider that made a tracer."""
    return _providers.get(tracer) if isinstance(tracer, _scouter.Tracer) else None
