"""Exporters that stay in the process: onto the standard output, and into a list for tests."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .. import arguments

if TYPE_CHECKING:
    from .._scouter import FinishedSpan

__all__ = ["StdoutSpanExporter", "TestSpanExporter"]


def _ratio(sample_ratio: float | None) -> float | None:
    return None if sample_ratio is None else arguments.ratio("sample_ratio", sample_ratio)


class StdoutSpanExporter:
    """Prints every span too, as one line of JSON.

    Args:
        batch_export: Whether spans are printed in batches, the default, or one by one as they end.
        sample_ratio: What share of the traces is printed, from 0.0 to 1.0. Whole traces are kept or left out.
            A ``sample_ratio`` given to ``instrument()`` wins.
    """

    __slots__ = ("_batch_export", "_sample_ratio")

    def __init__(self, batch_export: bool = True, sample_ratio: float | None = None) -> None:
        self._batch_export = arguments.flag("batch_export", batch_export)
        self._sample_ratio = _ratio(sample_ratio)

    def __repr__(self) -> str:
        return f"StdoutSpanExporter(batch_export={self._batch_export}, sample_ratio={self._sample_ratio})"

    def export(self, spans: Sequence[FinishedSpan]) -> None:
        """Prints spans. Also works as the exporter of one of the SDK's span processors."""
        lines = [span.to_json(indent=None) + "\n" for span in spans]
        # Looked up now: programs and tests replace it. A program without a console has none.
        if sys.stdout is not None:
            sys.stdout.write("".join(lines))
            sys.stdout.flush()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Nothing is held back."""
        return True

    def shutdown(self) -> None:
        """Nothing is left to do."""

    def _exporter(self) -> dict[str, Any]:
        return {
            "name": "stdout",
            "kind": "object",
            "object": self,
            "batch": self._batch_export,
            "sample_ratio": self._sample_ratio,
        }


class TestSpanExporter:
    """Keeps every span in memory as it ends, for tests. Nothing has to be flushed.

    Example::

        exporter = TestSpanExporter()
        tracer = init_tracer(service_name="test", transport_config=MockConfig(), exporter=exporter)
        with tracer.start_as_current_span("work"):
            pass
        assert [span.name for span in exporter.spans] == ["work"]

    Args:
        sample_ratio: What share of the traces is kept, from 0.0 to 1.0. Whole traces are kept or left out.
            A ``sample_ratio`` given to ``instrument()`` wins.
    """

    __slots__ = ("_kept", "_sample_ratio")

    # pytest takes classes of such names for tests.
    __test__ = False

    def __init__(self, sample_ratio: float | None = None) -> None:
        self._kept: list[FinishedSpan] = []
        self._sample_ratio = _ratio(sample_ratio)

    @property
    def spans(self) -> list[FinishedSpan]:
        """The spans that have ended so far, in the order in which they ended."""
        return self._kept.copy()

    def clear(self) -> None:
        """Forgets the spans so far."""
        self._kept.clear()

    def __repr__(self) -> str:
        return f"TestSpanExporter(sample_ratio={self._sample_ratio}, spans={len(self._kept)})"

    def _exporter(self) -> dict[str, Any]:
        return {"kind": "keeper", "object": self._kept, "sample_ratio": self._sample_ratio}
