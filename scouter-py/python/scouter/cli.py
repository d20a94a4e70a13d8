"""The ``scouter`` command."""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence

_HELP = """\
Scouter: OpenTelemetry-compatible distributed tracing.

usage: scouter <command> [options]

commands:
  server       receive spans, store them, answer queries, serve the web page
               (`scouter server --help` prints its options)

options:
  -h, --help     print this
  -V, --version  print the version
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit status: 0, or 2 for arguments that are not understood."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    match given[:1]:
        case ["server"]:
            from ._scouter import run_server

            # The server ends in order by itself; Python's own handler would add a KeyboardInterrupt.
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            return run_server(["scouter server", *given[1:]])
        case ["-h" | "--help" | "help"]:
            sys.stdout.write(_HELP)
            return 0
        case ["-V" | "--version"]:
            from . import __version__

            sys.stdout.write(f"scouter {__version__}\n")
            return 0
        case []:
            sys.stderr.write(_HELP)
            return 2
        case _:
            sys.stderr.write(f"scouter: {given[0]!r} is not a command: give `server`, or `--help` for all of them\n")
            return 2
