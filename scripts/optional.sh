#!/usr/bin/env bash
# Runs a check whose tool a machine may lack. Without the tool it says so and how to get it; that is a failure where
# CI=true says that the machine has to have it, except for tools that are no part of a Rust installation.
#
#   scripts/optional.sh "cargo fmt" "how to install it" command arguments...
set -euo pipefail

tool=$1
way_out=$2
shift 2
# shellcheck disable=SC2086 # The tool may be two words.
if $tool --version >/dev/null 2>&1; then
    exec "$@"
fi
if [ "${CI:-}" = true ] && [[ $way_out == rustup* ]]; then
    printf '%s is missing: %s\n' "$tool" "$way_out" >&2
    exit 1
fi
printf 'LEFT OUT: %s is not installed here; to run this check: %s\n' "$tool" "$way_out"
