from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from types import MappingProxyType, TracebackType
from typing import Any, Literal, TypeVar, final, overload

from opentelemetry import trace
from opentelemetry.context.context import Context
from typing_extensions import Self, disjoint_base

from .queue.native import (
    EvalRecord,
    Feature,
    Features,
    Metric,
    Metrics,
    Profile,
    RecordQueue,
    ScouterQueue,
)

_F = TypeVar("_F", bound=Callable[..., Any])

__all__ = [
    "Body",
    "CallPlan",
    "Client",
    "CurrentSpan",
    "EvalRecord",
    "Event",
    "Feature",
    "Features",
    "FinishedSpan",
    "InstrumentationScope",
    "MemoryTransport",
    "Metric",
    "Metrics",
    "Profile",
    "RecordQueue",
    "Resource",
    "ScouterQueue",
    "Span",
    "Tracer",
    "TracerProvider",
    "__version__",
    "_begin_ending_queues",
    "_check_transport",
    "_end_queues",
    "_finish_closing",
    "_flush_all",
    "current_headers",
    "extract_span_context",
    "format_baggage",
    "inject",
    "parse_baggage",
    "run_server",
    "to_json_text",
]

__version__: str

@final
class Span(trace.Span):
    """A unit of work. Has everything that an OpenTelemetry span has, and reads like a finished one at any time."""

    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, exception: BaseException | None, traceback: TracebackType | None, /
    ) -> None: ...
    def __aenter__(self) -> Awaitable[Self]: ...
    def __aexit__(
        self, kind: type[BaseException] | None, exception: BaseException | None, traceback: TracebackType | None, /
    ) -> Awaitable[None]: ...
    def __call__(self, function: _F) -> _F: ...
    def end(self, end_time: int | None = None) -> None: ...
    def get_span_context(self) -> trace.SpanContext: ...
    def is_recording(self) -> bool: ...
    def set_attribute(self, key: str, value: Any) -> None: ...
    def set_attributes(self, attributes: Mapping[str, Any]) -> None: ...
    def add_event(
        self, name: str, attributes: Mapping[str, Any] | None = None, timestamp: int | None = None
    ) -> None: ...
    def add_link(self, context: trace.SpanContext, attributes: Mapping[str, Any] | None = None) -> None: ...
    def update_name(self, name: str) -> None: ...
    def set_status(self, status: trace.Status | trace.StatusCode, description: str | None = None) -> None: ...
    def record_exception(
        self,
        exception: BaseException,
        attributes: Mapping[str, Any] | None = None,
        timestamp: int | None = None,
        escaped: bool = False,
    ) -> None: ...
    def set_tag(self, key: str, value: Any) -> None:
        """Sets a tag: an attribute that Scouter indexes, exported as ``scouter.tag.<key>``."""
    def set_input(self, value: Any, max_length: int = ...) -> None:
        """Sets what went into this piece of work, as JSON text of at most ``max_length`` characters."""
    def set_output(self, value: Any, max_length: int = ...) -> None:
        """Sets what came out of this piece of work, as JSON text of at most ``max_length`` characters."""
    def insert_queue_item(self, alias: str, record: Any) -> None:
        """Puts a record that belongs to the span into the queue of this alias.

        Of a span that is not sampled no record is kept. Without a queue there is one warning.

        Raises:
            UnknownAliasError: the queue has no such alias.
        """
    def set_entity(self, uid: str) -> None:
        """Ties the span to a Scouter entity."""
    def _set_output_text(self, text: str, max_length: int) -> None: ...
    @property
    def trace_id(self) -> str:
        """The trace's id, 32 lower-case hexadecimal digits."""
    @property
    def span_id(self) -> str:
        """The span's id, 16 lower-case hexadecimal digits."""
    @property
    def name(self) -> str: ...
    @property
    def context(self) -> trace.SpanContext: ...
    @property
    def parent(self) -> trace.SpanContext | None: ...
    @property
    def kind(self) -> trace.SpanKind: ...
    @property
    def start_time(self) -> int | None: ...
    @property
    def end_time(self) -> int | None: ...
    @property
    def attributes(self) -> MappingProxyType[str, Any]: ...
    @property
    def events(self) -> tuple[Event, ...]: ...
    @property
    def links(self) -> tuple[trace.Link, ...]: ...
    @property
    def status(self) -> trace.Status: ...
    @property
    def resource(self) -> Resource: ...
    @property
    def instrumentation_scope(self) -> InstrumentationScope: ...
    @property
    def dropped_attributes(self) -> int: ...
    @property
    def dropped_events(self) -> int: ...
    @property
    def dropped_links(self) -> int: ...
    def to_json(self, indent: int | None = ...) -> str:
        """The span as JSON text, as OpenTelemetry's console exporter prints it."""

@final
class FinishedSpan:
    """A span that has ended. Reads like the OpenTelemetry SDK's ``ReadableSpan``."""

    def get_span_context(self) -> trace.SpanContext: ...
    def is_recording(self) -> bool: ...
    @property
    def trace_id(self) -> str: ...
    @property
    def span_id(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def context(self) -> trace.SpanContext: ...
    @property
    def parent(self) -> trace.SpanContext | None: ...
    @property
    def kind(self) -> trace.SpanKind: ...
    @property
    def start_time(self) -> int: ...
    @property
    def end_time(self) -> int: ...
    @property
    def attributes(self) -> MappingProxyType[str, Any]: ...
    @property
    def events(self) -> tuple[Event, ...]: ...
    @property
    def links(self) -> tuple[trace.Link, ...]: ...
    @property
    def status(self) -> trace.Status: ...
    @property
    def resource(self) -> Resource: ...
    @property
    def instrumentation_scope(self) -> InstrumentationScope: ...
    @property
    def dropped_attributes(self) -> int: ...
    @property
    def dropped_events(self) -> int: ...
    @property
    def dropped_links(self) -> int: ...
    def to_json(self, indent: int | None = ...) -> str: ...

@final
class CurrentSpan:
    """The current span on loan: ``with`` gives the span and leaves it open. Everything else goes to the span."""

    def __enter__(self) -> Span: ...
    def __exit__(
        self,
        kind: type[BaseException] | None = None,
        exception: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> Literal[False]: ...
    def __getattribute__(self, name: str, /) -> Any: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class Event:
    """Something that happened while a span ran."""
    @property
    def name(self) -> str: ...
    @property
    def timestamp(self) -> int: ...
    @property
    def attributes(self) -> MappingProxyType[str, Any]: ...
    @property
    def dropped_attributes(self) -> int: ...

@final
class Resource:
    """What spans belong to."""
    @property
    def attributes(self) -> MappingProxyType[str, Any]: ...
    @property
    def schema_url(self) -> str: ...
    def to_json(self, indent: int | None = ...) -> str: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class InstrumentationScope:
    """The library or component that records spans."""
    @property
    def name(self) -> str: ...
    @property
    def version(self) -> str | None: ...
    @property
    def schema_url(self) -> str | None: ...
    @property
    def attributes(self) -> MappingProxyType[str, Any]: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class Tracer(trace.Tracer):
    """Begins spans."""

    def __new__(cls, base_tracer: Tracer) -> Self: ...
    def start_span(
        self,
        name: str,
        context: Context | None = None,
        kind: trace.SpanKind | None = None,
        attributes: Mapping[str, Any] | None = None,
        links: Any = None,
        start_time: int | None = None,
        record_exception: bool = True,
        set_status_on_exception: bool = True,
        *,
        tags: Mapping[str, Any] | None = None,
        baggage: Mapping[str, str] | None = None,
        label: str | None = None,
        headers: Mapping[str, str] | list[tuple[str | bytes, str | bytes]] | None = None,
    ) -> Span: ...
    def start_as_current_span(  # type: ignore[override]
        self,
        name: str,
        context: Context | None = None,
        kind: trace.SpanKind | None = None,
        attributes: Mapping[str, Any] | None = None,
        links: Any = None,
        start_time: int | None = None,
        record_exception: bool = True,
        set_status_on_exception: bool = True,
        end_on_exit: bool = True,
        *,
        tags: Mapping[str, Any] | None = None,
        baggage: Mapping[str, str] | None = None,
        label: str | None = None,
        headers: Mapping[str, str] | list[tuple[str | bytes, str | bytes]] | None = None,
    ) -> Span: ...
    @overload
    def span(self, name: _F) -> _F: ...
    @overload
    def span(
        self,
        name: str | None = None,
        *,
        kind: trace.SpanKind = ...,
        attributes: Mapping[str, Any] | None = ...,
        tags: Mapping[str, str] | None = ...,
        baggage: Mapping[str, str] | None = ...,
        label: str | None = ...,
        max_length: int = ...,
        capture_input: bool = ...,
        capture_output: bool = ...,
        capture_last_stream_item: bool = ...,
        join_stream_items: bool = ...,
    ) -> Callable[[_F], _F]:
        """A decorator: every call of the function runs in a span that holds its arguments and its result."""
    @property
    def current_span(self) -> CurrentSpan:
        """The active span. A ``with`` over it gives the span itself and does not end it."""
    @property
    def instrumentation_scope(self) -> InstrumentationScope: ...
    def is_enabled(self) -> bool: ...
    def set_scouter_queue(self, queue: ScouterQueue | None, /) -> None:
        """Spans put the records of ``insert_queue_item`` into this queue from now on: all spans of the tracer's provider.

        ``None`` takes the queue away.

        Raises:
            ConfigTypeError: it is no queue.
        """
    def flush(self, timeout_millis: int = 30000) -> bool: ...
    def shutdown(self, timeout_millis: int = 30000) -> bool: ...
    def stats(self) -> dict[str, Any]: ...

@disjoint_base
class TracerProvider(trace.TracerProvider):
    """Makes tracers."""

    def __new__(cls, settings: dict[str, Any]) -> Self: ...
    def get_tracer(
        self,
        instrumenting_module_name: str,
        instrumenting_library_version: str | None = None,
        schema_url: str | None = None,
        attributes: Mapping[str, Any] | None = None,
    ) -> Tracer: ...
    def add_span_processor(self, span_processor: Any) -> None:
        """Tells this span processor of every span from now on, after those that were added before."""
    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Sends what has ended so far; false when that did not succeed in time."""
    def shutdown(self, timeout_millis: int = 30000) -> bool:
        """Flushes, and records nothing from then on; false when not everything arrived in time."""
    def stats(self) -> dict[str, Any]:
        """How many spans there are, and what became of them."""
    def disable_local_capture(self) -> None:
        """Keeps no more copies of spans, and lets go of those there are."""
    def drain_local_spans(self) -> list[FinishedSpan]:
        """Takes the copies out: of every span that ended before this call, in the order in which the spans ended."""
    def set_scouter_queue(self, queue: ScouterQueue | None, /) -> None:
        """Spans put records into this queue from now on; ``None`` takes it away."""
    def _begin_shutdown(self, timeout_millis: int) -> None: ...
    @property
    def _propagators(self) -> list[str]: ...
    def _enable_capture(self, limit: int) -> None: ...
    def _captured(self, trace_ids: list[str]) -> list[FinishedSpan]: ...
    def _observe_exports(self, observer: Callable[[str, float, str | None, tuple[str, int] | None], None]) -> None: ...
    @property
    def resource(self) -> Resource: ...

@final
class Body:
    """The context in which a generator's own code runs: entered for every step, and kept as the code left it."""

    def __new__(cls, span: Span, baggage: Mapping[str, str] | None = None) -> Self: ...
    def __enter__(self) -> None: ...
    def __exit__(
        self, kind: type[BaseException] | None, exception: BaseException | None, traceback: TracebackType | None, /
    ) -> None: ...

@final
class CallPlan:
    EMPTY: Any
    def __new__(
        cls,
        name: str,
        kind: trace.SpanKind | None,
        attributes: Mapping[str, Any] | None,
        tags: Mapping[str, str] | None,
        baggage: Mapping[str, str] | None,
        label: str | None,
        max_length: int,
        capture_input: bool,
        parameters: tuple[tuple[str, int, Any], ...],
    ) -> Self: ...
    def begin(self, tracer: Tracer, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Span: ...

@final
class MemoryTransport:
    def __new__(cls) -> Self: ...
    @property
    def requests(self) -> list[bytes]: ...
    @property
    def record_requests(self) -> list[bytes]: ...
    def spans(self) -> list[dict[str, Any]]: ...
    def records(self) -> str: ...
    def clear(self) -> None: ...

@final
class Client:
    def __new__(cls, base_url: str, token: str | None = None, timeout: float = 30.0) -> Self: ...
    def trace(self, trace_id: str) -> str: ...
    def search(self, filters: str) -> str: ...
    def spans(self, filters: str) -> str: ...
    def records(self, filters: str) -> str: ...
    def tags(self, filters: str) -> str: ...
    def services(self) -> str: ...

def current_headers() -> dict[str, str]: ...
def inject(context: Context | None = None) -> list[tuple[str, str]]: ...
def extract_span_context(
    headers: Mapping[Any, Any] | Iterable[tuple[str | bytes, str | bytes]] | Iterable[Sequence[str]],
) -> trace.SpanContext | None:
    """The span context that the sender of these headers was in, or ``None`` when they do not hold a valid one.

    Names may be in any case. Give a list of pairs where a header may come more than once.

    Raises:
        ConfigTypeError: what was given is neither a dict nor pairs.
    """

def parse_baggage(header: str) -> list[tuple[str, str, str]]: ...
def format_baggage(entries: Mapping[Any, Any]) -> str: ...
def to_json_text(value: Any, max_length: int = ...) -> str: ...
def run_server(arguments: list[str]) -> int: ...
def _begin_ending_queues(timeout_millis: int) -> None: ...
def _check_transport(transport: dict[str, Any]) -> None: ...
def _end_queues(timeout_millis: int) -> None: ...
def _finish_closing() -> None: ...
def _flush_all(providers: Sequence[TracerProvider], timeout_millis: int) -> bool: ...
