"""Medians and ratios, as the page that is committed."""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
from dataclasses import dataclass, field
from typing import Any

from .plan import Row


@dataclass
class Result:
    """All that was measured of one peer in one row."""

    answers: list[dict[str, Any]] = field(default_factory=list)
    failure: str | None = None
    instructions: float | None = None

    def median(self, name: str) -> float | None:
        """The median of a field over all rounds."""
        values = [float(answer[name]) for answer in self.answers if name in answer]
        return statistics.median(values) if values else None

    def figure(self, row: Row) -> float | None:
        """The median of the row's figure over all rounds, in the row's unit."""
        values = [row.value(answer) for answer in self.answers]
        return statistics.median(values) if values else None


# What the rows about brokers measure.
BROKERS = (
    "Whole batches of 2000 spans (100 traces of 20) through the transport, against the client library underneath that is "
    "handed the same messages ready made: the same bytes, settings and broker, four batches under way at a time, every "
    "message acknowledged (Kafka: all replicas, idempotent producer; RabbitMQ: publisher confirm of a persistent message in "
    "a durable queue). Time on the wall of a fresh process that has sent a tenth before; the broker was warmed up by a "
    "round that does not count, and every other round goes backwards. Broker and sender share the machine.\n"
)

Results = dict[tuple[Row, str], Result]


def page(results: Results, rounds: int, *, valgrind: bool) -> str:
    """The whole page."""
    rows = list(dict.fromkeys(row for row, _ in results))
    introduction = (
        "Written by `make bench`; do not edit. Each figure is the median over "
        f"{rounds} fresh processes, rounds interleaved over all rows and peers. Figures are processor time for each "
        "operation, of the calling thread or, for whole processes, of all threads until everything was answered. "
        "Compare figures within one run only: *times ours* is the peer's figure over ours, above 1 means that ours is "
        "better. Rows in M/s are throughput by time on the wall, and there a share above 1 of the target is the better.\n"
    )
    parts = ["# Results\n", introduction, f"Machine: {machine()}.\n"]
    if not valgrind:
        parts.append("valgrind was not installed: no instruction counts.\n")
    for language in ("rust", "python"):
        chosen = [row for row in rows if row.language == language]
        if chosen:
            parts += [f"## {language.capitalize()}\n", table(chosen, results)]
    sending = [row for row in rows if row.sends]
    if sending:
        parts += ["## Delivery and memory of the whole processes\n", delivery(sending, results)]
    through = [row for row in rows if row.broker]
    if through:
        parts += ["## Into brokers\n", BROKERS, broker_table(through, results)]
    return "\n".join(parts)


def table(rows: list[Row], results: Results) -> str:
    """One line for each peer of each row."""
    lines = ["| row | who | figure | target | of target | times ours | instructions |"]
    lines.append("|---|---|---:|---:|---:|---:|---:|")
    for row in rows:
        own = results[row, row.peers[0]].figure(row)
        target, wanted = goal(row, results)
        for peer in row.peers:
            result = results[row, peer]
            figure = result.figure(row)
            first = peer == row.peers[0]
            cells = [
                row.title if first else "",
                f"**{peer}**" if first else peer,
                f"{number(figure)} {row.unit}" if figure is not None else f"none: {result.failure}",
                target if first else "",
                f"{figure / wanted:.2f}" if first and figure is not None and wanted else "",
                "" if first else ratio(row, own, figure),
                f"{result.instructions:,.0f}" if result.instructions is not None else "",
            ]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def goal(row: Row, results: Results) -> tuple[str, float | None]:
    """What the row is to reach, in words and in its unit."""
    sign = "≥" if row.higher_is_better else "≤"
    if not row.share:
        return f"{sign} {row.target:g} {row.unit}", row.target
    peer = row.peers[1]
    theirs = results[row, peer].figure(row)
    return f"{sign} {row.target:.0%} of {peer}", theirs and theirs * row.target


def delivery(rows: list[Row], results: Results) -> str:
    """What arrived, what was lost, and how much memory it took."""
    lines = ["| row | who | spans made | received | lost | spans/s | peak memory |"]
    lines.append("|---|---|---:|---:|---:|---:|---:|")
    for row in rows:
        for peer in row.peers:
            result = results[row, peer]
            made, received = result.median("made"), result.median("received")
            wall, peak = result.median("wall_ns"), result.median("peak_kib")
            if made is None or received is None or wall is None or peak is None:
                continue
            lost = (made - received) / made
            cells = [f"{row.language}: {row.name}", peer, f"{made:,.0f}", f"{received:,.0f}", f"{lost:.1%}"]
            cells += [f"{1e9 / wall:,.0f}", f"{peak / 1024:.1f} MiB"]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def broker_table(rows: list[Row], results: Results) -> str:
    """Throughput, and what of the processor the sending process took."""
    lines = [
        "| row | who | spans/s, each round | median | processor time a span | peak memory |",
        "|---|---|---|---:|---:|---:|",
    ]
    for row in rows:
        for peer in row.peers:
            result = results[row, peer]
            rates = [1e9 / answer["wall_ns"] for answer in result.answers]
            processor, peak = result.median("process_ns"), result.median("peak_kib")
            if not rates or processor is None or peak is None:
                continue
            each = ", ".join(f"{rate / 1e3:,.0f}k" for rate in rates)
            cells = [row.name, peer, each, f"{statistics.median(rates):,.0f}", f"{processor:,.0f} ns"]
            lines.append(f"| {' | '.join([*cells, f'{peak / 1024:.1f} MiB'])} |")
    return "\n".join(lines) + "\n"


def ratio(row: Row, own: float | None, other: float | None) -> str:
    """How many times better ours is."""
    if not own or not other:
        return ""
    return f"{own / other if row.higher_is_better else other / own:.1f}"


def number(value: float) -> str:
    """A figure with as many places as it deserves."""
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def machine() -> str:
    """The machine, by what matters for the figures and nothing that names it."""
    rustc = subprocess.run(["rustc", "--version"], capture_output=True, text=True, check=True).stdout.split()[1]
    return (
        f"{os.cpu_count()} CPUs, {platform.system()} {platform.machine()}, "
        f"rustc {rustc}, {platform.python_implementation()} {platform.python_version()}"
    )
