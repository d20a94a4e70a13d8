"""Third parties' instrumentation gives the same spans under Scouter as under ``opentelemetry-sdk``."""

from __future__ import annotations

import difflib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from differences import DIFFERENCES
from support import clean_environment
from workloads import ENVIRONMENTS

HERE = Path(__file__).parent
SIDES = ("scouter", "sdk")


@pytest.fixture(scope="module")
def results() -> dict[str, dict[str, Any]]:
    """What each side gave, by program."""
    return {}


@pytest.mark.parametrize("program", list(ENVIRONMENTS))
def test_program(program: str, results: dict[str, Any], subtests: pytest.Subtests) -> None:
    """Names, kinds, parents, attributes, status, events, links, scopes, resource, and the headers that were sent."""
    ours, theirs = results[program] = _run_both(program)
    assert list(ours["outcomes"]) == list(theirs["outcomes"])
    for scenario, expected in theirs["outcomes"].items():
        with subtests.test(scenario):
            found = ours["outcomes"][scenario]
            assert "failed" not in expected, expected["failed"]
            assert "failed" not in found, found["failed"]
            assert expected["traces"], "nothing was compared"
            assert found == expected, "\n".join(_difference(expected, found))


def test_every_difference_is_met(results: dict[str, Any]) -> None:
    """The list does not hold what is no longer so."""
    for program in ENVIRONMENTS:
        results.setdefault(program, _run_both(program) if program not in results else None)
    met = {name for _, theirs in results.values() for name in theirs["mended"]}
    assert met == {difference.name for difference in DIFFERENCES}


def _run_both(program: str) -> tuple[dict[str, Any], dict[str, Any]]:
    running = [
        subprocess.Popen(
            [sys.executable, str(HERE / "harness.py"), side, program],
            env=clean_environment(**ENVIRONMENTS[program]),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for side in SIDES
    ]
    outputs = [process.communicate(timeout=120) for process in running]
    for side, process, (_, errors) in zip(SIDES, running, outputs, strict=True):
        assert process.returncode == 0, f"{side}: {errors}"
    ours, theirs = (json.loads(output) for output, _ in outputs)
    return ours, theirs


def _difference(expected: Any, found: Any) -> Iterator[str]:
    before, after = (json.dumps(value, indent=1, sort_keys=True).splitlines() for value in (expected, found))
    lines = list(difflib.unified_diff(before, after, *reversed(SIDES), lineterm="", n=4))
    yield from lines[:150]
    if len(lines) > 150:
        yield f"... and {len(lines) - 150} lines more"
