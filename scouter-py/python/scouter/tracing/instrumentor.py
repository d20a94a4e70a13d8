"""The recommended set-up: Scouter as the tracer provider of the whole process."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Collection, Mapping, Sequence
from threading import RLock
from typing import TYPE_CHECKING, Any

from opentelemetry.instrumentation.instrumentor import BaseInstrumentor  # type: ignore[attr-defined]

from ..errors import ConfigTypeError
from . import capture
from .at_exit import FLUSH_DEADLINE_MILLIS
from .propagation import global_propagator
from .provider import TracerProvider
from .takeover import Takeover

if TYPE_CHECKING:
    from .._scouter import FinishedSpan
    from ..batch import BatchConfig
    from ..queue import ScouterQueue
    from ..transport import TransportConfig
    from .exporters import ExporterConfig

__all__ = ["ScouterInstrumentor", "instrument", "uninstrument"]

# What `BaseInstrumentor` and `opentelemetry-instrument` give to every instrumentor.
_GENERAL = ("skip_dep_check", "raise_exception_on_conflict")

_lock = RLock()


class ScouterInstrumentor(BaseInstrumentor):  # type: ignore[misc]
    """Sends the spans of everything in this process that speaks OpenTelemetry to Scouter.

    There is one instance; making another gives the same one, until :meth:`uninstrument`. Example::

        ScouterInstrumentor().instrument(attributes={"service.name": "my-service"})
        tracer = opentelemetry.trace.get_tracer("my-service")
        ...
        ScouterInstrumentor().uninstrument()
    """

    _provider: TracerProvider | None = None
    _takeover: Takeover | None = None

    @property
    def is_instrumented(self) -> bool:
        """Whether :meth:`instrument` was called, and :meth:`uninstrument` was not since."""
        return bool(self._is_instrumented_by_opentelemetry)

    @property
    def tracer_provider(self) -> TracerProvider | None:
        """The provider that :meth:`instrument` made; ``None`` while there is none."""
        return self._provider

    def instrumentation_dependencies(self) -> Collection[str]:
        """No other package is needed."""
        return ()

    def instrument(
        self,
        transport_config: TransportConfig | None = None,
        exporter: ExporterConfig | None = None,
        batch_config: BatchConfig | None = None,
        sample_ratio: float | None = None,
        scouter_queue: ScouterQueue | None = None,
        attributes: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Makes Scouter the global tracer provider, and installs strict W3C propagators for trace context and baggage.

        A second call does nothing but warn. With ``OTEL_SDK_DISABLED=true`` nothing is recorded or sent.

        Args:
            transport_config: How spans get to Scouter; HTTP to ``http://localhost:8000`` by default.
            exporter: Who gets every span too: a collector, any exporter of the OpenTelemetry SDK, or a list of them.
            batch_config: How spans are gathered before they are sent.
            sample_ratio: What share of the traces is recorded, from 0.0 to 1.0. Beats the exporter's own ratio.
            scouter_queue: Where ``span.insert_queue_item`` puts records.
            attributes: Keys in ``service.*`` describe the process; every other one is put on every span that does not
                set it.
            **kwargs: ``resource``, ``span_limits``, ``sampler``, ``id_generator`` and ``meter_provider`` as for
                :class:`TracerProvider`, and what every OpenTelemetry instrumentor takes.

        Raises:
            ConfigError: an argument has a value that cannot work.
            ConfigTypeError: an argument is of the wrong type, or is not known.
        """
        with _lock:
            super().instrument(
                transport_config=transport_config,
                exporter=exporter,
                batch_config=batch_config,
                sample_ratio=sample_ratio,
                scouter_queue=scouter_queue,
                attributes=attributes,
                **kwargs,
            )

    def uninstrument(self, **kwargs: Any) -> None:
        """Sends what is waiting, within a deadline, ends the provider and restores what was global before.

        Tracers from before record nothing from then on. Instrumenting again works.
        """
        with _lock:
            super().uninstrument(**kwargs)

    def enable_local_capture(self, limit: int = capture.LIMIT) -> None:
        """As :func:`scouter.tracing.enable_local_capture`."""
        capture.enable_local_capture(limit)

    def disable_local_capture(self) -> None:
        """As :func:`scouter.tracing.disable_local_capture`."""
        capture.disable_local_capture()

    def drain_local_spans(self) -> list[FinishedSpan]:
        """As :func:`scouter.tracing.drain_local_spans`."""
        return capture.drain_local_spans()

    def get_local_spans_by_trace_ids(self, trace_ids: Sequence[str]) -> list[FinishedSpan]:
        """As :func:`scouter.tracing.get_local_spans_by_trace_ids`."""
        return capture.get_local_spans_by_trace_ids(trace_ids)

    def _instrument(self, **kwargs: Any) -> None:
        _refuse_unknown(kwargs)
        given = {name: value for name, value in kwargs.items() if name not in _GENERAL}
        self._provider = TracerProvider(**given)
        self._takeover = Takeover.take(self._provider, global_propagator(self._provider._propagators))

    def _uninstrument(self, **kwargs: Any) -> None:
        provider, takeover = self._provider, self._takeover
        self._provider = self._takeover = None
        type(self)._instance = None
        if takeover is not None:
            takeover.give_back()
        if provider is not None:
            provider.shutdown(FLUSH_DEADLINE_MILLIS)


def _refuse_unknown(kwargs: Mapping[str, Any]) -> None:
    known = [*inspect.signature(TracerProvider).parameters, *_GENERAL]
    for name in kwargs:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]}" if near else "there are " + ", ".join(known)
            raise ConfigTypeError(f"instrument() has no argument {name}: {hint}")


def instrument(
    transport_config: TransportConfig | None = None,
    exporter: ExporterConfig | None = None,
    batch_config: BatchConfig | None = None,
    sample_ratio: float | None = None,
    scouter_queue: ScouterQueue | None = None,
    attributes: Mapping[str, Any] | None = None,
    **kwargs: Any,
) -> None:
    """The same as :meth:`ScouterInstrumentor.instrument`."""
    ScouterInstrumentor().instrument(
        transport_config, exporter, batch_config, sample_ratio, scouter_queue, attributes, **kwargs
    )


def uninstrument() -> None:
    """The same as :meth:`ScouterInstrumentor.uninstrument`."""
    ScouterInstrumentor().uninstrument()
