"""Reading traces and records back from a Scouter server."""

from __future__ import annotations

import json
import os
from typing import Any

from . import _scouter, arguments
from .errors import ConfigError, ConfigTypeError, NotFoundError
from .filters import RecordFilters, TagFilters, TraceFilters, checked_trace_id, combined
from .records import Entity, Record, RecordPage, Tag
from .traces import SpanEvent, SpanLink, Trace, TracePage, TraceSpan, TraceSummary
from .transport import HttpConfig

__all__ = [
    "Entity",
    "Record",
    "RecordFilters",
    "RecordPage",
    "ScouterClient",
    "SpanEvent",
    "SpanLink",
    "Tag",
    "TagFilters",
    "Trace",
    "TraceFilters",
    "TracePage",
    "TraceSpan",
    "TraceSummary",
]

_DEFAULT_URI = "http://localhost:8000"
_DEFAULT_TIMEOUT = 30.0


class ScouterClient:
    """Asks a Scouter server for traces and records. May be used from several threads.

    Example::

        client = ScouterClient()
        for span in client.get_trace_spans_from_filters(TraceFilters(trace_id=trace_id)):
            print("  " * span.depth, span.name, span.duration_ms)

    Args:
        config: Where the server is; ``SCOUTER_SERVER_URI``, else ``http://localhost:8000`` when left out.

    Raises:
        ConfigError: the address cannot work, or the configuration asks for what the client cannot do.
    """

    def __init__(self, config: HttpConfig | None = None) -> None:
        if config is None:
            config = HttpConfig()
        if not isinstance(config, HttpConfig):
            raise ConfigTypeError(f"config must be an HttpConfig, not {type(config).__name__}")
        for name in ("username", "headers", "ca_file", "certificate_file"):
            if getattr(config, name):
                raise ConfigError(f"config has {name}, which the client cannot use: give auth_token only")
        self._address = config.uri or os.environ.get("SCOUTER_SERVER_URI") or _DEFAULT_URI
        timeout = _DEFAULT_TIMEOUT if config.timeout is None else config.timeout
        self._client = _scouter.Client(self._address, config.auth_token, timeout)

    def get_trace_spans_from_filters(self, filters: TraceFilters) -> list[TraceSpan]:
        """The spans of the traces that satisfy the filters: newest trace first, each as a tree in start order.

        Raises:
            ServerError: the server refused or failed.
            ConnectionFailedError: nothing answers at the address.
            TimeoutExceededError: the answer did not come in time.
        """
        return [TraceSpan._from_json(span) for span in json.loads(self._client.spans(_checked(filters)._json()))]

    def get_traces(self, filters: TraceFilters | None = None) -> TracePage:
        """A page of the traces that satisfy the filters, newest first. Raises as :meth:`get_trace_spans_from_filters`."""
        page = json.loads(self._client.search(_checked(filters or TraceFilters())._json()))
        return TracePage(tuple(TraceSummary._from_json(trace) for trace in page["items"]), page["next_cursor"])

    def get_trace(self, trace_id: str) -> Trace:
        """One trace with all its spans.

        Raises:
            NotFoundError: the server does not have it, or not yet.
            ServerError, ConnectionFailedError, TimeoutExceededError: as :meth:`get_trace_spans_from_filters`.
        """
        found = json.loads(self._client.trace(checked_trace_id("trace_id", trace_id)))
        if found is None:
            raise NotFoundError(f"the server has no trace {trace_id}: it was not sampled, or has not arrived yet")
        spans = tuple(TraceSpan._from_json(span) for span in found["spans"])
        return Trace(TraceSummary._from_json(found), spans)

    def get_records(self, filters: RecordFilters | None = None, **given: Any) -> RecordPage:
        """A page of the records that satisfy the filters, newest first.

        Example::

            for record in client.get_records(trace_id=trace_id).items:
                print(record.entity.name, record.body)

        Args:
            filters: Which records; all when left out.
            **given: Filters by their names, as :class:`RecordFilters` has them, on top of these.

        Raises:
            ConfigError: a filter has a value that cannot work.
            ConfigTypeError: a filter is of the wrong type, or is not known.
            ServerError, ConnectionFailedError, TimeoutExceededError: as :meth:`get_trace_spans_from_filters`.
        """
        page = json.loads(self._client.records(combined(RecordFilters, filters, given)._json()))
        return RecordPage(tuple(Record._from_json(record) for record in page["items"]), page["next_cursor"])

    def get_tags(self, filters: TagFilters | None = None, **given: Any) -> list[Tag]:
        """The tags of spans and records that satisfy the filters, by key; of each key the most used values first.

        Args:
            filters: Which tags; all when left out.
            **given: Filters by their names, as :class:`TagFilters` has them, on top of these.

        Raises:
            As :meth:`get_records`.
        """
        return [Tag(**tag) for tag in json.loads(self._client.tags(combined(TagFilters, filters, given)._json()))]

    def get_services(self) -> list[str]:
        """The names of the services that ever sent a span, in alphabetical order. Raises as
        :meth:`get_trace_spans_from_filters`.
        """
        services: list[str] = json.loads(self._client.services())
        return services

    def __repr__(self) -> str:
        return f"ScouterClient({arguments.shown_url(self._address)!r})"


def _checked(filters: TraceFilters) -> TraceFilters:
    return arguments.instance("filters", filters, TraceFilters, "TraceFilters")
