"""Measures every row for every peer and writes RESULTS.md beside this file.

    run.py [--rounds 5] [--only WORD] [--quick] [--out FILE]

Rounds are interleaved: the first round runs every row for every peer, then the second does, so that a busy minute of
the machine falls on all alike. Every other round goes backwards, so that nobody always comes first. Brokers are warmed up
by a round that does not count.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

from harness import processes
from harness.plan import OURS, ROWS, Row
from harness.report import Result, Results, page


def arguments() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(description="measure beside the peers")
    parser.add_argument("--rounds", type=int, default=5, help="fresh processes for each figure (default 5)")
    parser.add_argument("--only", default="", metavar="WORD", help="only rows with this in language:name")
    parser.add_argument("--quick", action="store_true", help="one round of a tenth of the work, to see whether it runs")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("RESULTS.md"), help="the page to write")
    return parser.parse_args()


def main() -> int:
    """Builds, measures, counts instructions, writes the page; says so on the way."""
    options = arguments()
    rounds = 1 if options.quick else options.rounds
    rows = [row for row in ROWS if options.only in f"{row.language}:{row.name}"]
    if not rows:
        print(f"no row with {options.only!r} in its name", file=sys.stderr)
        return 2
    processes.build()
    results: Results = {(row, peer): Result() for row in rows for peer in row.peers}
    with processes.sink() as sink, processes.brokers(rows) as brokers:
        for row, peer in results:
            if row.broker and not options.quick:
                measure(row, peer, Result(), row.n, sink, brokers[row.broker], "warm-up")
        for turn in range(rounds):
            for (row, peer), result in list(results.items())[:: -1 if turn % 2 else 1]:
                n = row.n // 10 if options.quick else row.n
                measure(row, peer, result, n, sink, brokers.get(row.broker), f"{turn + 1}/{rounds}")
    valgrind = shutil.which("valgrind") is not None
    print("counting instructions" if valgrind else "valgrind is not installed: no instruction counts", flush=True)
    for (row, peer), result in results.items():
        if result.answers:
            result.instructions = processes.instructions(row, peer)
    options.out.write_text(page(results, rounds, valgrind=valgrind), encoding="utf-8")
    print(f"wrote {options.out}")
    missing = {(row, peer): result.failure for (row, peer), result in results.items() if result.failure}
    for (row, peer), failure in missing.items():
        print(f"no figure: {row.language}:{row.name} {peer}: {failure}", file=sys.stderr)
    # A peer that cannot do a row is a finding, and stands in the table; that we cannot is a failure.
    return 1 if any(peer.startswith(OURS) for _, peer in missing) else 0


def measure(
    row: Row, peer: str, result: Result, n: int, sink: processes.Sink, broker: processes.Broker | None, turn: str
) -> None:
    """One figure; a peer that failed once is not asked again."""
    if result.failure is not None:
        return
    try:
        answer = processes.run(row, peer, n, sink, broker)
    except processes.Failed as failure:
        result.failure = str(failure)
        print(f"{turn} {row.language}:{row.name} {peer}: {failure}", flush=True)
        return
    result.answers.append(answer)
    received = f", received {answer['received']} of {answer['made']}" if row.sends else ""
    print(f"{turn} {row.language}:{row.name} {peer}: {row.value(answer):.3g} {row.unit}{received}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
