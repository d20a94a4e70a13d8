"""One row of the Python benchmarks for one peer, in a process of its own; prints its figures as one JSON object.

    rows.py ROW PEER N ENDPOINT

`ENDPOINT` is the sink's address, such as http://127.0.0.1:4318. All figures are nanoseconds for each operation:
`caller_ns` is processor time of the calling thread, `process_ns` that of all threads until everything was sent.
"""

from __future__ import annotations

import importlib
import json
import os
import resource
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from peers import NoSuchRow, Peer, Tracer

PEERS = {
    "ours": ("peers.ours", "Ours"),
    "opentelemetry-sdk": ("peers.opentelemetry_sdk", "OpenTelemetrySdk"),
    "scouter-ml": ("peers.scouter_ml", "ScouterMl"),
}
THREADS = 4

# The parts of a request that the ten attributes hold.
ATTRIBUTES: list[tuple[str, str | int | float | bool]] = [
    ("http.request.method", "GET"),
    ("url.scheme", "https"),
    ("url.path", "/items/4711"),
    ("server.address", "shop.example.com"),
    ("http.route", "/items/{id}"),
    ("user_agent.original", "Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101 Firefox/130.0"),
    ("http.response.status_code", 200),
    ("server.port", 8443),
    ("app.price", 17.25),
    ("app.cache_hit", True),
]

# What a record holds.
METRICS = {"latency_ms": 12.5, "tokens": 431.0, "cost": 0.0042, "score": 0.87, "attempts": 2.0}


def empty(tracer: Tracer, n: int) -> None:
    """Spans with nothing inside."""
    for _ in range(n):
        with tracer.start_as_current_span("empty"):
            pass


def attributes(tracer: Tracer, n: int) -> None:
    """Spans with ten attributes and one event."""
    for _ in range(n):
        with tracer.start_as_current_span("GET /items/{id}") as span:
            for key, value in ATTRIBUTES:
                span.set_attribute(key, value)
            span.add_event("cache.lookup", {"app.attempts": 2})


def five_attributes(tracer: Tracer, n: int) -> None:
    """Spans with five attributes."""
    for i in range(n):
        with tracer.start_as_current_span("GET /items/{id}") as span:
            span.set_attribute("http.request.method", "GET")
            span.set_attribute("http.route", "/items/{id}")
            span.set_attribute("http.response.status_code", 200)
            span.set_attribute("app.item", i)
            span.set_attribute("app.price", 17.25)


def handle(order: dict[str, object], count: int, note: str = "") -> dict[str, object]:
    """What the decorated row calls."""
    return {"order": order["id"], "count": count, "accepted": True}


def decorated(peer: Peer, tracer: Tracer) -> Callable[[int], None]:
    """Calls of a decorated function whose arguments and result are captured."""
    function = peer.decorate(tracer, handle)
    order = {"id": 4711, "items": ["apple", "pear"], "express": False}

    def run(n: int) -> None:
        for i in range(n):
            function(order, i, note="by the door")

    return run


def repeated(operation: Callable[[], object]) -> Callable[[int], None]:
    """The operation, many times."""

    def run(n: int) -> None:
        for _ in range(n):
            operation()

    return run


def measured(run: Callable[[int], None], n: int, finish: Callable[[], None] | None = None) -> dict[str, float]:
    """Runs, then finishes; the caller's figure is the run's alone."""
    wall, process, caller = time.perf_counter_ns(), time.process_time_ns(), time.thread_time_ns()
    run(n)
    caller = time.thread_time_ns() - caller
    if finish is not None:
        finish()
    process = time.process_time_ns() - process
    wall = time.perf_counter_ns() - wall
    return {"caller_ns": caller / n, "process_ns": process / n, "wall_ns": wall / n}


def threaded(tracer: Tracer, n: int) -> None:
    """Empty spans from several threads at once."""
    threads = [threading.Thread(target=empty, args=(tracer, n // THREADS)) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def row(name: str, peer: Peer, n: int, endpoint: str) -> dict[str, Any]:
    """Sets the peer up, warms up where the row is about the caller, and measures."""
    tracer = peer.set_up(endpoint, sampled=name != "unsampled")
    if name == "export":
        figures = measured(lambda count: five_attributes(tracer, count), n, peer.finish)
        return {**figures, "made": n}
    runs: dict[str, Callable[[], Callable[[int], None]]] = {
        "empty": lambda: lambda count: empty(tracer, count),
        "attributes": lambda: lambda count: attributes(tracer, count),
        "unsampled": lambda: lambda count: empty(tracer, count),
        "decorated": lambda: decorated(peer, tracer),
        "threads": lambda: lambda count: threaded(tracer, count),
        "inject": lambda: repeated(peer.inject()),
        "extract": lambda: repeated(peer.extract()),
        "record": lambda: repeated(peer.record(METRICS)),
    }
    if name not in runs:
        raise SystemExit(f"no row {name}: there are {', '.join(runs)} and export")
    run = runs[name]()
    if name in ("inject", "record"):
        with tracer.start_as_current_span("current"):
            run(n // 10)
            figures = measured(run, n)
    else:
        run(n // 10)
        figures = measured(run, n)
    peer.finish()
    return {**figures, "made": n + n // 10}


def main() -> int:
    """Runs the row that the arguments name."""
    if len(sys.argv) != 5 or sys.argv[2] not in PEERS:
        print(f"usage: rows.py ROW {{{','.join(PEERS)}}} N ENDPOINT", file=sys.stderr)
        return 2
    _, name, peer_name, n, endpoint = sys.argv
    # Some peers print what they export.
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    module, kind = PEERS[peer_name]
    try:
        figures = row(name, getattr(importlib.import_module(module), kind)(), int(n), endpoint)
    except NoSuchRow as error:
        print(error, file=sys.stderr)
        return 1
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    peak_kib = peak // 1024 if sys.platform == "darwin" else peak
    json.dump({"row": name, "peer": peer_name, "n": int(n), **figures, "peak_kib": peak_kib}, answer)
    answer.write("\n")
    answer.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
