"""The Python code of the pages runs as it stands there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from support import Receiver, run_script

from scouter.queue import AgentProfile

ROOT = Path(__file__).parents[2]
BLOCKS = [
    pytest.param(code, id=f"{page}-{number}")
    for page in ("README.md", "docs/tracing.md", "docs/queue.md")
    for number, code in enumerate(
        re.findall(r"^```python\n(.*?)^```", (ROOT / page).read_text(), re.DOTALL | re.MULTILINE)
    )
]


def test_there_is_code() -> None:
    assert len(BLOCKS) >= 6


@pytest.mark.parametrize("code", BLOCKS)
def test_code_runs(code: str, tmp_path: Path, receiver: Receiver) -> None:
    """Nobody listens where the pages say, so the collector's address becomes one where somebody does; and the profile that
    they name is there.
    """
    AgentProfile("shop", "agent", "1.0.0", [{"id": "polite"}]).save(tmp_path / "agent.json")
    code = code.replace("http://otel-collector:4318", receiver.uri)
    done = run_script(tmp_path, code, environment={"SCOUTER_SERVER_URI": receiver.uri})
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
