"""A trace as a printed tree."""

from __future__ import annotations

from collections.abc import Sequence

from scouter import TraceSpan

_GENERATIONS = ("root", "child", "grandchild")


def shape(spans: Sequence[TraceSpan]) -> list[str]:
    """The tree without its durations, one line for a span: what must be the same every time."""
    return _table([(*row[:-1],) for row in _rows(spans)])


def text(spans: Sequence[TraceSpan]) -> list[str]:
    """The tree, one line for a span."""
    return _table(_rows(spans))


def _rows(spans: Sequence[TraceSpan]) -> list[tuple[str, ...]]:
    by_id = {span.span_id: span for span in spans}
    tops = [span for span in spans if span.depth == 0]
    rows: list[tuple[str, ...]] = []

    def add(span: TraceSpan, branch: str, below: str) -> None:
        if span.orphan:
            place = "orphan"
        else:
            place = _GENERATIONS[span.depth] if span.depth < len(_GENERATIONS) else f"depth {span.depth}"
        columns = (f"[{span.service_name}]", place, span.kind.name, f"{span.duration_ms:.1f} ms")
        rows.append((branch + span.name, *columns))
        children = [by_id[child] for child in span.children]
        for child in children:
            last = child is children[-1]
            add(child, below + ("└── " if last else "├── "), below + ("    " if last else "│   "))

    for top in tops:
        add(top, "", "")
    return rows


def _table(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
