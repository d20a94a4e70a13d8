#!/usr/bin/env bash
# Tests the crates that the arguments select, with cargo-nextest where it is installed, and their documentation's examples.
set -euo pipefail
cd "$(dirname "$0")/.."

if cargo nextest --version >/dev/null 2>&1; then
    cargo nextest run --locked "$@"
    cargo test --locked --quiet --doc "$@"
else
    cargo test --locked --quiet "$@"
fi
