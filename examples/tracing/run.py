"""Runs the example: server and services up, one request, the trace read back and compared, everything down."""

from __future__ import annotations

import argparse
import difflib
import os
import re
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import httpx
import tree
from broker import BROKERS, start_broker
from processes import NotReadyError, Process, Processes, clean_environment, wait_for

from scouter import HttpConfig, ScouterClient, TraceFilters, TraceSpan

HERE = Path(__file__).resolve().parent
TRANSPORTS = ("http", "grpc", *BROKERS)
READY_SECONDS = 60.0
TRACE_SECONDS = 30.0

EXPECTED = [
    "orchestrator.greet             [orchestrator-service]  root        INTERNAL",
    "├── GET /hello                 [hello-service]         child       SERVER",
    "│   └── hello.build_greeting   [hello-service]         grandchild  INTERNAL",
    "└── GET /goodbye               [goodbye-service]       child       SERVER",
    "    └── goodbye.build_farewell [goodbye-service]       grandchild  INTERNAL",
]


class UnexpectedTreeError(Exception):
    """The trace that was read back is not the expected one."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs it and returns the exit status: 0 when the tree is the expected one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keep", action="store_true", help="leave everything running, and say how to stop it")
    keep = parser.parse_args(arguments).keep
    transport = os.environ.get("SCOUTER_TRANSPORT", "http")
    if transport not in TRANSPORTS:
        print(f"SCOUTER_TRANSPORT is {transport!r}: give one of {', '.join(TRANSPORTS)}", file=sys.stderr)
        return 2
    # Whoever ends us with a signal wants everything ended that we started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))

    folder = Path(tempfile.mkdtemp(prefix="scouter-example-"))
    processes = Processes(folder)
    with ExitStack() as cleaning:
        cleaning.callback(shutil.rmtree, folder, ignore_errors=True)
        cleaning.callback(processes.stop)
        try:
            run(processes, folder, transport)
        except (NotReadyError, UnexpectedTreeError, httpx.HTTPError) as error:
            print(f"\nFAILED: {error}\n\n{processes.logs()}", file=sys.stderr)
            return 1
        if keep:
            cleaning.pop_all()
            ids = " ".join(map(str, processes.ids()))
            print(f"\nstill running; stop it with:\n  kill {ids} && rm -r {folder}")
    return 0


def run(processes: Processes, folder: Path, transport: str) -> None:
    """Sends one request through the three services and prints its trace."""
    told = start_broker(processes, folder, transport)
    if told.address:
        print(f"broker              {told.address}")
    server = start_server(processes, folder, told.server)
    print(f"server              {server}")
    sending = {"SCOUTER_SERVER_URI": server, "SCOUTER_TRANSPORT": transport, **told.services}
    urls = start_services(processes, sending)
    for name, url in urls.items():
        print(f"{name:<20}{url}")
    print(f"\nPOST {urls['orchestrator']}/greet, spans sent over {transport}")
    with client() as http:
        answer = http.post(f"{urls['orchestrator']}/greet", json={"name": "Alice"}, timeout=READY_SECONDS)
    if answer.is_error:
        raise NotReadyError(f"POST /greet was answered with {answer.status_code}: {answer.text}")
    greeting = answer.json()
    trace_id = greeting["trace_id"]
    print(f"{greeting['hello']} {greeting['goodbye']}\n\ntrace {trace_id}")
    for line in tree.text(read_back(server, trace_id)):
        print(f"  {line}")
    print(f"\npage  {server}/traces/{trace_id}")


def start_server(processes: Processes, folder: Path, receiving: Mapping[str, str]) -> str:
    """Starts a Scouter server with an empty store and these settings in its environment, and returns its address."""
    command = [
        sys.executable,
        "-m",
        "scouter",
        "server",
        "--listen",
        "127.0.0.1:0",
        "--directory",
        str(folder / "data"),
    ]
    process = processes.start("server", command, clean_environment(**receiving), folder)

    def address() -> str | None:
        found = re.search(r"listening on (http://\S+)", process.output())
        return found and found[1]

    url = wait_for("waiting for the server", address, READY_SECONDS, process)
    wait_until_healthy(f"{url}/healthz", process)
    return url


def start_services(processes: Processes, sending: Mapping[str, str]) -> dict[str, str]:
    """Starts the services on free ports, waits until they answer, and returns their addresses.

    `sending` is what their environment says of how they send their spans.
    """
    names = ("hello", "goodbye", "orchestrator")
    urls = {name: f"http://127.0.0.1:{port}" for name, port in zip(names, free_ports(len(names)), strict=True)}
    environment = clean_environment(**sending, HELLO_URL=urls["hello"], GOODBYE_URL=urls["goodbye"])
    started = {}
    for name, url in urls.items():
        host, port = url.removeprefix("http://").split(":")
        command = [sys.executable, "-m", "uvicorn", f"{name}:app", "--host", host, "--port", port]
        started[name] = processes.start(name, command, environment, HERE)
    for name, process in started.items():
        wait_until_healthy(f"{urls[name]}/health", process)
    return urls


def read_back(server: str, trace_id: str) -> list[TraceSpan]:
    """Reads the trace until it is the expected one. The services send their spans a moment after they answered."""
    scouter = ScouterClient(HttpConfig(uri=server))
    expected = [re.sub(r" +", " ", line) for line in EXPECTED]
    actual: list[str] = []

    def complete() -> list[TraceSpan] | None:
        spans = scouter.get_trace_spans_from_filters(TraceFilters(trace_id=trace_id))
        actual[:] = [re.sub(r" +", " ", line) for line in tree.shape(spans)]
        return spans if actual == expected else None

    try:
        return wait_for("waiting for the trace", complete, TRACE_SECONDS)
    except NotReadyError:
        difference = "\n".join(difflib.unified_diff(expected, actual, "expected", "actual", lineterm=""))
        raise UnexpectedTreeError(f"the trace {trace_id} is not the expected one\n{difference}") from None


def wait_until_healthy(url: str, process: Process) -> None:
    """Waits until the address answers with 200."""

    def healthy() -> bool | None:
        try:
            with client() as http:
                return http.get(url).status_code == 200 or None
        except httpx.TransportError:
            return None

    wait_for(f"waiting for {process.name} at {url}", healthy, READY_SECONDS, process)


def client() -> httpx.Client:
    """A client that no proxy comes between."""
    return httpx.Client(trust_env=False, timeout=10.0)


def free_ports(count: int) -> list[int]:
    """Ports nobody listens on. All are held until all are known, so that they differ."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


if __name__ == "__main__":
    sys.exit(main())
