"""Samplers and id generators that both sides are given."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Sequence
from typing import Any

from opentelemetry import trace
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import (
    ALWAYS_OFF,
    ALWAYS_ON,
    Decision,
    ParentBased,
    Sampler,
    SamplingResult,
    TraceIdRatioBased,
)
from opentelemetry.trace import SpanKind, TraceState

place = threading.local()
"""Where in the program the span is that this thread begins."""


class Ids(IdGenerator):
    """Ids that depend on nothing but the place in the program, so that both sides get the same."""

    def __init__(self, random: bool) -> None:
        self._random = random

    def generate_trace_id(self) -> int:
        return self._number(b"trace", 16)

    def generate_span_id(self) -> int:
        return self._number(b"span", 8)

    def is_trace_id_random(self) -> bool:
        return self._random

    @staticmethod
    def _number(salt: bytes, length: int) -> int:
        return int.from_bytes(hashlib.sha256(salt + place.name.encode()).digest()[:length], "big") | 1


class Asked(Sampler):
    """Decides by what it is asked, and takes that down."""

    def __init__(self, seen: dict[str, Any]) -> None:
        self._seen = seen

    def should_sample(
        self,
        parent_context: Any,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Any = None,
        links: Sequence[trace.Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        parent = trace.get_current_span(parent_context).get_span_context()
        # Scouter asks with what it will keep, the SDK with whatever was given.
        given = attributes or {}
        usual = sorted(key for key in ("a", "b", "c") if isinstance(given.get(key), (str, bool, int, float)))
        self._seen[f"{place.name} sampler"] = (
            parent,
            trace_id,
            len(name),
            kind,
            usual,
            [link.context for link in links or ()],
        )
        decision = (Decision.RECORD_AND_SAMPLE, Decision.RECORD_ONLY, Decision.DROP)[
            (len(usual) + 2 * bool(links) + (kind is SpanKind.CLIENT)) % 3
        ]
        state = parent.trace_state.add("sampler", decision.name.lower())
        added = {"sampled.by": "us", "a": "of the sampler"}
        return SamplingResult(decision, added if kind is not SpanKind.SERVER else attributes, state)

    def get_description(self) -> str:
        return "Asked"


class Clearing(Sampler):
    """Gives no attributes and no tracestate."""

    def should_sample(self, *_: Any, **__: Any) -> SamplingResult:
        return SamplingResult(Decision.RECORD_AND_SAMPLE)

    def get_description(self) -> str:
        return "Clearing"


SAMPLERS: dict[str, Callable[[dict[str, Any]], Sampler | None]] = {
    "default": lambda _: None,
    "on": lambda _: ALWAYS_ON,
    "off": lambda _: ALWAYS_OFF,
    "parent based": lambda _: ParentBased(ALWAYS_OFF),
    "parents": lambda seen: ParentBased(
        ALWAYS_ON,
        remote_parent_sampled=ALWAYS_OFF,
        remote_parent_not_sampled=Asked(seen),
        local_parent_sampled=TraceIdRatioBased(0.7),
        local_parent_not_sampled=ALWAYS_ON,
    ),
    "ratio": lambda _: TraceIdRatioBased(0.5),
    "parent based ratio": lambda _: ParentBased(TraceIdRatioBased(0.5)),
    "asked": Asked,
    "clearing": lambda _: Clearing(),
}

IDS: dict[str, Callable[[], IdGenerator | None]] = {
    "default": lambda: None,
    "by place": lambda: Ids(random=True),
    "by place, not random": lambda: Ids(random=False),
}
