#!/usr/bin/env python3
"""Finds the browser in which the web page is tested, and provides it where there is none.

    python scripts/browser.py

prints one line of JSON: `{"program": "/usr/bin/chromium", "libraries": null}`. `libraries` is a folder for
`LD_LIBRARY_PATH`, or null. Chromium or Chrome that is installed is used; else Debian's package `chromium`, with what it
needs and this machine lacks, is unpacked into the cache beside the brokers. Needs no root.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

from brokers import cache

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
WAY_OUT = "install it: Debian `apt-get install chromium`, macOS `brew install --cask chromium`"


def provide() -> tuple[Path, Path | None]:
    """The browser's program, and where its libraries are if the system does not find them."""
    for name in NAMES:
        found = shutil.which(name)
        if found is not None:
            return Path(found), None
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        raise cache.Unavailable(f"there is no Chromium here; {WAY_OUT}")
    home = cache.provide("chromium-debian", 60, _unpack)
    (libraries,) = (folder for folder in home.glob("usr/lib/*-linux-gnu*") if folder.is_dir())
    return home / "usr/lib/chromium/chromium", libraries


def _unpack(folder: Path) -> None:
    """Debian's packages, fetched with lists of our own, so that neither root nor a fresh `apt-get update` is needed."""
    apt = folder / "apt"
    (apt / "lists" / "partial").mkdir(parents=True)
    (apt / "archives" / "partial").mkdir(parents=True)
    options = {"Dir::State::Lists": apt / "lists", "Dir::Cache": apt, "APT::Sandbox::User": "", "Debug::NoLocking": 1}
    own = [part for name, value in options.items() for part in ("-o", f"{name}={value}")]
    try:
        cache.run(["apt-get", "-qq", *own, "update"])
        install = ["--download-only", "--reinstall", "--no-install-recommends", "--yes", "install"]
        cache.run(["apt-get", "-qq", *own, *install, "chromium", "chromium-common"])
    except cache.Unavailable as error:
        raise cache.Unavailable(f"{error}\n{WAY_OUT}") from error
    for package in (apt / "archives").glob("*.deb"):
        cache.run(["dpkg-deb", "--extract", str(package), str(folder)])
    shutil.rmtree(apt)
    # A folder for them even where this machine lacks none.
    (folder / f"usr/lib/{os.uname().machine}-linux-gnu").mkdir(parents=True, exist_ok=True)
    program = folder / "usr/lib/chromium/chromium"
    libraries = ":".join(str(place) for place in (folder / "usr/lib").glob("*-linux-gnu*"))
    # What lacks is found now, with its name.
    command = [str(program), "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom", "data:text/html,works"]
    said = cache.run(command, env={**os.environ, "LD_LIBRARY_PATH": libraries})
    if "works" not in said:
        raise cache.Unavailable(f"the Chromium of Debian's packages shows nothing; {WAY_OUT}")


def main() -> int:
    try:
        program, libraries = provide()
    except (cache.Unavailable, OSError) as error:
        cache.say(f"browser.py: {error}")
        return 1
    print(json.dumps({"program": str(program), "libraries": str(libraries) if libraries else None}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
