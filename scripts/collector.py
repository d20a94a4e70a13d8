#!/usr/bin/env python3
"""Provides an OpenTelemetry collector for the tests and prints where its program is.

    python scripts/collector.py

The collector is Rotel, a small one that comes ready built from PyPI: OTLP over gRPC and HTTP in, OTLP out. This version
and no other, in exactly these files; it needs nothing of the machine but its C library. It is fetched once, into
target/collector. The tests' set-up runs this, so nobody else has to.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

VERSION = "0.0.1a8"
# Linux on x86_64, Linux on aarch64, macOS on arm64.
SHA256 = (
    "1f46581987ab0e4571b8deaeb271d656d6ae07398ae01169249a0ce73b65eae7",
    "049e3992d251318e9638a014d3e6b2d697c28ae873e3a2c43e6878c670cb59a2",
    "f597d750d7719c48d0372d7feeb0c8736c52971db26b60ff6c53d310a4b24bf2",
)
CACHE = Path(__file__).resolve().parent.parent / "target" / "collector"


def main() -> int:
    try:
        print(provide())
    except (OSError, subprocess.CalledProcessError, zipfile.BadZipFile) as error:
        output = getattr(error, "stderr", None) or ""
        print(f"the collector rotel {VERSION} cannot be had: {error}\n{output}", file=sys.stderr)
        return 1
    return 0


def provide() -> Path:
    """The collector's program; fetched if it is not there yet."""
    program = CACHE / f"rotel-{VERSION}" / "rotel-agent"
    if not program.exists():
        program.parent.mkdir(parents=True, exist_ok=True)
        # Next to its place, so that moving it there takes no time and two runs at once do not meet.
        with tempfile.TemporaryDirectory(dir=CACHE) as folder:
            os.replace(_fetch(Path(folder)), program)
    return program


def _fetch(folder: Path) -> Path:
    wanted = folder / "wanted.txt"
    wanted.write_text(" ".join([f"rotel=={VERSION}", *(f"--hash=sha256:{digest}" for digest in SHA256)]))
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--only-binary=:all:", "--require-hashes", "--requirement", str(wanted), "--dest", str(folder)]
    subprocess.run(command, check=True, capture_output=True, text=True)
    (wheel,) = folder.glob("*.whl")
    program = folder / "rotel-agent"
    with zipfile.ZipFile(wheel) as files, files.open("rotel/rotel-agent") as source, program.open("wb") as target:
        shutil.copyfileobj(source, target)
    program.chmod(0o755)
    # One that does not run here is found now and not in the middle of a test.
    subprocess.run([str(program), "version"], check=True, capture_output=True, text=True)
    return program


if __name__ == "__main__":
    sys.exit(main())
