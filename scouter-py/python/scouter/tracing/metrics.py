"""How Scouter is doing, as metrics of OpenTelemetry (semantic conventions, "SDK metrics").

What :meth:`TracerProvider.stats` counts is read when somebody collects, so it costs nothing in between. Only the durations
of exports are recorded as they happen, and only once somebody has collected or has given a meter provider.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from importlib.util import find_spec
from itertools import count
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary, ref

from opentelemetry.util.types import AttributeValue

from . import plugins

if TYPE_CHECKING:
    from opentelemetry.metrics import CallbackOptions, Histogram, Meter, MeterProvider, Observation

    from .provider import TracerProvider

__all__ = ["watch"]

_SWITCH = "OTEL_PYTHON_SDK_INTERNAL_METRICS_ENABLED"
_RESULT = "otel.span.sampling_result"
_PROCESSOR = "batching_span_processor"
# What became of spans before any exporter had them.
_NOT_EXPORTED = ("queue_full", "never_ended")
_BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10]

Stats = Mapping[str, Any]
Attributes = dict[str, AttributeValue]
Value = tuple[int, Attributes]


@dataclass(slots=True)
class _Watched:
    """A provider, and what it counted when somebody last looked."""

    provider: ref[TracerProvider]
    number: int
    types: Mapping[str, str]
    last: Stats = field(default_factory=dict)

    def look(self) -> Stats | None:
        provider = self.provider()
        if provider is None:
            return None
        self.last = provider.stats() or self.last
        return self.last

    def component(self, destination: str) -> Attributes:
        kind = self.types.get(destination, destination)
        return {"otel.component.type": kind, "otel.component.name": f"{destination}/{self.number}"}

    @property
    def processor(self) -> Attributes:
        return {"otel.component.type": _PROCESSOR, "otel.component.name": f"{_PROCESSOR}/{self.number}"}


class _Instruments:
    """The instruments of one meter provider, for any number of tracer providers."""

    def __init__(self, meter: Meter, *, is_collected: bool) -> None:
        self._watched: dict[int, _Watched] = {}
        self._numbers = count()
        self._is_collected = is_collected
        # Spans of providers that are gone: a sum over all must not fall.
        self._gone = {"started": 0, "sampled_out": 0}
        self._create(meter)

    def _create(self, meter: Meter) -> None:
        counter, up_down = meter.create_observable_counter, meter.create_observable_up_down_counter
        for create, name, read, what in (
            (counter, "otel.sdk.span.started", self._started, "The number of created spans."),
            (up_down, "otel.sdk.span.live", self._live, "The number of spans that are recorded and have not ended."),
            (up_down, "otel.sdk.processor.span.queue.size", self._size, "The number of spans in the queue."),
            (
                up_down,
                "otel.sdk.processor.span.queue.capacity",
                self._capacity,
                "The number of spans the queue can hold.",
            ),
            (counter, "otel.sdk.processor.span.processed", self._processed, "The number of spans that left the queue."),
            (up_down, "otel.sdk.exporter.span.inflight", self._inflight, "The number of spans that are on their way."),
            (
                counter,
                "otel.sdk.exporter.span.exported",
                self._exported,
                "The number of spans whose export has finished.",
            ),
        ):
            create(name, callbacks=[_callback(read)], unit="{span}", description=what)
        self._duration: Histogram = meter.create_histogram(
            "otel.sdk.exporter.operation.duration",
            unit="s",
            description="How long exporting a batch took.",
            explicit_bucket_boundaries_advisory=_BUCKETS,
        )

    def add(self, provider: TracerProvider, types: Mapping[str, str]) -> None:
        """Counts this provider too."""
        number = next(self._numbers)
        watched = _Watched(ref(provider, lambda _: self._forget(number)), number, types)
        self._watched[number] = watched
        if self._is_collected:
            self._record_exports(watched)

    def _forget(self, number: int) -> None:
        """A provider is gone; what it last counted stays counted."""
        watched = self._watched.pop(number)
        for name in self._gone:
            self._gone[name] += watched.last.get(name, 0)

    def _record_exports(self, watched: _Watched) -> None:
        duration = self._duration

        def record(destination: str, seconds: float, error: str | None, status: tuple[str, int] | None) -> None:
            attributes = watched.component(destination)
            if error is not None:
                attributes["error.type"] = error
            if status is not None:
                protocol, code = status
                name = "http.response.status_code" if protocol == "http" else "rpc.grpc.status_code"
                attributes[name] = code
            duration.record(seconds, attributes)

        provider = watched.provider()
        if provider is not None:
            provider._observe_exports(record)

    def _looks(self) -> Iterator[tuple[_Watched, Stats]]:
        if not self._is_collected:
            self._is_collected = True
            for watched in list(self._watched.values()):
                self._record_exports(watched)
        for watched in list(self._watched.values()):
            stats = watched.look()
            if stats:
                yield watched, stats

    def _started(self) -> Iterator[Value]:
        looks = [stats for _, stats in self._looks()]
        for name, result in (("started", "RECORD_AND_SAMPLE"), ("sampled_out", "DROP")):
            yield self._gone[name] + sum(stats[name] for stats in looks), {_RESULT: result}

    def _live(self) -> Iterator[Value]:
        yield sum(stats["live"] for _, stats in self._looks()), {_RESULT: "RECORD_AND_SAMPLE"}

    def _size(self) -> Iterator[Value]:
        for watched, stats in self._looks():
            yield stats["pending"], watched.processor

    def _capacity(self) -> Iterator[Value]:
        for watched, stats in self._looks():
            yield stats["queue_capacity"], watched.processor

    def _processed(self) -> Iterator[Value]:
        for watched, stats in self._looks():
            full, late = _before_batches(stats, "queue_full"), _before_batches(stats, "shutdown")
            yield stats["ended"] - stats["pending"] - full - late, watched.processor
            for lost, error in ((full, "queue_full"), (late, "already_shutdown")):
                if lost:
                    yield lost, {**watched.processor, "error.type": error}

    def _inflight(self) -> Iterator[Value]:
        for watched, stats in self._looks():
            for name, destination in stats["destinations"].items():
                yield max(0, destination["queued"] - stats["pending"]), watched.component(name)

    def _exported(self) -> Iterator[Value]:
        for watched, stats in self._looks():
            for name, destination in stats["destinations"].items():
                yield destination["exported"], watched.component(name)
                for reason, spans in destination["dropped"].items():
                    lost = spans - (_before_batches(stats, reason) if reason == "shutdown" else 0)
                    if lost and reason not in _NOT_EXPORTED:
                        yield lost, {**watched.component(name), "error.type": reason}


def _before_batches(stats: Stats, reason: str) -> int:
    """Spans that were lost for this reason before they were in a batch: that is, at every destination."""
    return min((destination["dropped"][reason] for destination in stats["destinations"].values()), default=0)


def _callback(read: Callable[[], Iterator[Value]]) -> Callable[[CallbackOptions], Iterable[Observation]]:
    def observe(_options: CallbackOptions) -> Iterable[Observation]:
        from opentelemetry.metrics import Observation

        return [Observation(value, attributes) for value, attributes in read()]

    return observe


_global: list[_Instruments] = []
_given: WeakKeyDictionary[MeterProvider, _Instruments] = WeakKeyDictionary()


def watch(provider: TracerProvider, meter_provider: MeterProvider | None, types: Mapping[str, str]) -> None:
    """Lets a meter provider, by default the global one, tell how this tracer provider is doing.

    Does nothing where no metrics SDK is installed, or where the SDK's own switch for such metrics is off.

    Args:
        provider: Who is watched.
        meter_provider: Who tells.
        types: The kind of exporter of each destination, by the destination's name.
    """
    if meter_provider is None:
        instruments = _of_global()
    else:
        if meter_provider not in _given:
            _given[meter_provider] = _Instruments(_meter(meter_provider.get_meter), is_collected=True)
        instruments = _given[meter_provider]
    if instruments is not None:
        instruments.add(provider, types)


def _of_global() -> _Instruments | None:
    if plugins.variable(_SWITCH).lower() == "false":
        return None
    if not _global:
        if not _is_installed():
            return None
        from opentelemetry.metrics import get_meter

        # Made before a provider is set, these begin to work with it.
        _global.append(_Instruments(_meter(get_meter), is_collected=False))
    return _global[0]


def _is_installed() -> bool:
    try:
        return find_spec("opentelemetry.sdk.metrics") is not None
    except ModuleNotFoundError:
        return False


def _meter(get_meter: Callable[..., Meter]) -> Meter:
    return get_meter("scouter", version("scouter"))
