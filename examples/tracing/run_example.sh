#!/usr/bin/env bash
# One distributed trace through three services, stored by a Scouter server and printed as a tree.
#
#   bash examples/tracing/run_example.sh           runs it, and stops everything it started
#   bash examples/tracing/run_example.sh --keep    leaves it running, and says how to stop it
#
# SCOUTER_TRANSPORT=http (the default), grpc, kafka or rabbitmq chooses how the services send their spans; for the last two a
# broker is started too. PYTHON chooses the interpreter.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

can_run() {
    "$1" -c 'import fastapi, httpx, scouter, uvicorn' 2>/dev/null
}

for python in ${PYTHON:+"$PYTHON"} python "$here/../../.venv/bin/python" python3; do
    if can_run "$python"; then
        exec "$python" "$here/run.py" "$@"
    fi
    if [ -n "${PYTHON:-}" ]; then
        break
    fi
done
echo "no Python here has the packages scouter, fastapi, httpx and uvicorn: run \`make example.tracing\`, which installs them" >&2
exit 1
