#!/usr/bin/env bash
# Runs a command in a folder: scripts/in.sh folder command arguments...
set -euo pipefail

cd "$1"
shift
exec "$@"
