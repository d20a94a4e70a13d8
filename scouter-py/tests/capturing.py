"""What a captured value becomes."""

from __future__ import annotations

from typing import Any

from support import Kept


def captured(kept: Kept, value: object, max_length: int = 5000) -> Any:
    """The value as it goes through a decorated function, which gives it back."""
    with kept.tracer.start_as_current_span("direct") as span:
        span.set_input(value, max_length)

    @kept.tracer.span("decorated", max_length=max_length, capture_input=False)
    def identity() -> object:
        return value

    assert identity() is value
    direct = kept.span("direct")["attributes"]["scouter.input"]
    assert kept.span("decorated")["attributes"]["scouter.output"] == direct
    kept.config.clear()
    assert len(direct) <= max_length
    return direct
