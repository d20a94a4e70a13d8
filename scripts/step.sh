#!/usr/bin/env bash
# Runs one step of the Makefile: says what is being done, and afterwards how long it took and whether it worked.
#
#   scripts/step.sh "what is being done" command arguments...
set -uo pipefail

what=$1
shift
printf '\n==> %s\n' "$what"
started=$SECONDS
"$@"
status=$?
if [ "$status" -eq 0 ]; then
    printf '==> done in %d s: %s\n' "$((SECONDS - started))" "$what"
else
    printf '==> FAILED after %d s (exit status %d): %s\n    command: %s\n' \
        "$((SECONDS - started))" "$status" "$what" "$*" >&2
fi
exit "$status"
