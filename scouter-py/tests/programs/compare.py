"""Runs a program under both, and compares."""

from __future__ import annotations

import difflib
import pprint
from typing import Any

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanLimits
from opentelemetry.sdk.trace import TracerProvider as SdkProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import DEFAULT_ON

from scouter import MockConfig
from scouter.tracing import TracerProvider

from . import normal
from .differences import Difference, mend, mended_sdk
from .model import Program
from .runner import SCOPES, Run
from .samplers import IDS, SAMPLERS

RESOURCE = Resource.create({"service.name": "programs", "deployment": "test", "n": 1}, "https://example.org/resource")


def agree(program: Program, but: Difference | None = None) -> None:
    """Asserts that a program exports the same under both, apart from the listed differences, or from all but one of them."""
    expected, expected_seen = _under_sdk(program, but)
    exported, read, found_seen = _under_scouter(program)
    for what, found in (("exported", exported), ("read in Python", read)):
        _same(f"what is {what}", program, expected, found)
    _same("what the program saw", program, expected_seen, found_seen)


def _under_sdk(program: Program, but: Difference | None) -> tuple[Any, Any]:
    exporter, run = InMemorySpanExporter(), Run()
    with mended_sdk(but):
        provider = SdkProvider(
            SAMPLERS[program.sampler](run.seen) or DEFAULT_ON,
            RESOURCE,
            shutdown_on_exit=False,
            id_generator=IDS[program.ids](),
            span_limits=SpanLimits(**dict(program.limits)),
        )
        provider.add_span_processor(SimpleSpanProcessor(exporter))
        run(program, [provider.get_tracer(*scope) for scope in SCOPES])
        provider.shutdown()
    return mend(normal.of_sdk(run, exporter.get_finished_spans()), but), normal.seen(run)


def _under_scouter(program: Program) -> tuple[Any, Any, Any]:
    config, run = MockConfig(), Run()
    provider = TracerProvider(
        transport_config=config,
        resource=RESOURCE,
        sampler=SAMPLERS[program.sampler](run.seen),
        id_generator=IDS[program.ids](),
        span_limits=SpanLimits(**dict(program.limits)),
    )
    run(program, [provider.get_tracer(*scope) for scope in SCOPES])
    assert provider.shutdown(10_000)
    stats = provider.stats()
    exported = normal.of_otlp(run, config.requests)
    assert stats["started"] == stats["live"] + stats["ended"], stats
    assert stats["destinations"]["scouter"]["exported"] == len(exported), stats
    namer = normal.Namer(run)
    spans = {namer.span(span.get_span_context().span_id): span for span in run.spans.values()}
    return exported, {place: normal.readable(namer, spans[place]) for place in exported}, normal.seen(run)


def _same(what: str, program: Program, expected: Any, found: Any) -> None:
    expected, found = (_comparable(side, program) for side in (expected, found))
    if expected == found:
        return
    theirs, ours = (pprint.pformat(side, width=120).splitlines() for side in (expected, found))
    lines = difflib.unified_diff(theirs, ours, "opentelemetry-sdk", "scouter", lineterm="", n=4)
    raise AssertionError(f"{what} differs:\n" + "\n".join(line[:500] for line in lines))


def _comparable(side: Any, program: Program) -> Any:
    """Without what cannot be compared.

    A stack trace that was cut: the frames of whoever traces are different in length.
    """
    is_cut = any("length" in name for name, _ in program.limits)
    if isinstance(side, dict):
        comparable = {key: _comparable(value, program) for key, value in side.items()}
        if is_cut and "exception.stacktrace" in comparable:
            comparable["exception.stacktrace"] = "cut"
        return comparable
    return [_comparable(item, program) for item in side] if isinstance(side, list) else side
