"""Records and tags as they come back: from the server, and from a queue that keeps copies."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Entity", "Record", "RecordPage", "Tag"]


@dataclass(frozen=True, slots=True)
class Entity:
    """What a record is about. Each text is ``""`` where nobody has said it."""

    uid: str
    """The one id that nothing else has."""
    space: str
    name: str
    version: str
    alias: str
    """What the program calls its queue."""


@dataclass(frozen=True, slots=True)
class Record:
    """A record: an OpenTelemetry log record, with what Scouter's attributes say of it."""

    time: int
    """Nanoseconds since the Unix epoch."""
    observed_time: int
    """When it was first collected; 0 where nobody has said it."""
    event_name: str
    """``scouter.record.`` and the kind; ``""`` for a log line."""
    kind: str | None
    """``spc``, ``psi``, ``custom`` or ``agent``; ``None`` for records of other tools."""
    trace_id: str | None
    """The trace it belongs to, lower-case hex."""
    span_id: str | None
    """The span it belongs to, lower-case hex."""
    flags: int
    entity: Entity | None
    record_id: str | None
    """The id that the program gave it."""
    session_id: str | None
    tags: Mapping[str, str]
    body: Any
    """What it says: the context, the features by name, the metrics by name."""
    attributes: Mapping[str, Any]
    dropped_attributes_count: int
    severity_number: int
    severity_text: str
    service_name: str
    resource: Mapping[str, Any]
    """The attributes of what produced it."""
    scope_name: str
    """The library that recorded it."""
    scope_version: str

    @classmethod
    def _from_json(cls, record: Mapping[str, Any]) -> Record:
        told = dict(record)
        scope, entity = told.pop("scope"), told.pop("entity")
        return cls(
            **{name: told[name] for name in cls.__slots__ if name in told},
            entity=None if entity is None else Entity(**entity),
            scope_name=scope["name"],
            scope_version=scope["version"],
        )


@dataclass(frozen=True, slots=True)
class RecordPage:
    """Some records, newest first, and where to go on."""

    items: tuple[Record, ...]
    next_cursor: str | None
    """What to give as ``cursor`` for the next page; ``None`` on the last one."""


@dataclass(frozen=True, slots=True)
class Tag:
    """A tag with one of its values, and how much carries it."""

    key: str
    value: str
    traces: int
    """How many traces have a span with it."""
    records: int
    """How many records have it."""


def read_records(text: str) -> list[Record]:
    """Records from the JSON text of a list of them."""
    return [Record._from_json(record) for record in json.loads(text)]
