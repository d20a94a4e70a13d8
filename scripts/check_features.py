"""Checks that every crate builds by itself, without features and with each single one.

Built together, crates borrow features from each other, and one that forgot to ask for what it needs goes unnoticed.
"""

import json
import subprocess
import sys
from typing import Any

# The binding needs a Python interpreter and is built by `make build`; the tests have no features.
LEFT_OUT = {"scouter-py", "scouter-tests"}


def builds(packages: list[dict[str, Any]]) -> list[list[str]]:
    """The arguments of `cargo check`, one list for each build worth looking at."""
    found = []
    for package in packages:
        if package["name"] in LEFT_OUT:
            continue
        alone = ["--package", package["name"], "--no-default-features"]
        found.append(alone)
        found.extend([*alone, "--features", feature] for feature in sorted(package["features"]) if feature != "default")
    return found


def main() -> int:
    """Runs every build, names those that fail, and returns the exit status."""
    metadata = subprocess.run(
        ["cargo", "metadata", "--no-deps", "--format-version", "1"], check=True, stdout=subprocess.PIPE
    )
    # clippy, where it is installed, also complains about what is unused without the others' features.
    clippy = subprocess.run(["cargo", "clippy", "--version"], check=False, capture_output=True).returncode == 0
    command, last = ("clippy", ["--", "-D", "warnings"]) if clippy else ("check", [])
    failed = []
    todo = builds(json.loads(metadata.stdout)["packages"])
    for arguments in todo:
        print(f"cargo {command}", *arguments, flush=True)
        if subprocess.run(["cargo", command, "--quiet", *arguments, *last], check=False).returncode != 0:
            failed.append(" ".join(arguments))
    for build in failed:
        print(f"does not build by itself: cargo {command} {build}", file=sys.stderr)
    print(f"{len(todo) - len(failed)} of {len(todo)} builds work")
    return 1 if failed or not todo else 0


if __name__ == "__main__":
    sys.exit(main())
