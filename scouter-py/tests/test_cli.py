from __future__ import annotations

import signal
import subprocess
import sys
import urllib.request
from importlib.metadata import version
from pathlib import Path

import pytest
from support import Server, clean_environment

from scouter.cli import main


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "scouter", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=clean_environment(), timeout=30)


def test_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    assert "scouter server --help" in capsys.readouterr().out
    assert main([]) == 2
    assert "usage: scouter" in capsys.readouterr().err


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"scouter {version('scouter')}\n"


def test_unknown_commands_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve"]) == 2
    assert "'serve' is not a command: give `server`" in capsys.readouterr().err


def test_help_of_the_server() -> None:
    done = run("server", "--help")
    assert done.returncode == 0
    assert "--listen" in done.stdout
    assert "--directory" in done.stdout


def test_options_that_make_no_sense() -> None:
    done = run("server", "--listen", "nowhere")
    assert done.returncode == 2
    assert "nowhere" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_installed_command() -> None:
    command = Path(sys.executable).with_name("scouter")
    done = subprocess.run([command, "--version"], capture_output=True, text=True, check=False, timeout=30)
    assert done.stdout == f"scouter {version('scouter')}\n"


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_the_server_starts_and_ends_in_order(tmp_path: Path, how: signal.Signals) -> None:
    server = Server(tmp_path / "data")
    with urllib.request.urlopen(f"{server.uri}/healthz") as answer:
        assert answer.status == 200
    with urllib.request.urlopen(f"{server.uri}/metrics") as answer:
        assert b"scouter" in answer.read()
    with urllib.request.urlopen(server.uri) as answer:
        assert b"<html" in answer.read().lower()
    server.process.send_signal(how)
    assert server.process.wait(20) == 0


def test_a_taken_port_is_named(server: Server, tmp_path: Path) -> None:
    done = run("server", "--listen", f"127.0.0.1:{server.port}", "--directory", str(tmp_path / "data"))
    assert done.returncode == 1
    assert f"127.0.0.1:{server.port}" in done.stderr
