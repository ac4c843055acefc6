#!/bin/sh
# usage: scripts/eunit.sh [OPTION-OF-REBAR3-EUNIT...]
# Runs the eunit suites. What has failed is told once more at the end: there it is found, among thousands of lines.
set -eu
cd "$(dirname "$0")/.."

log=$(mktemp)
trap 'rm -f "$log" "$log.status"' EXIT
trap 'exit 1' INT TERM
{
    status=0
    rebar3 eunit "$@" || status=$?
    echo "$status" >"$log.status"
} 2>&1 | tee "$log"
status=$(cat "$log.status")
# A failed test is followed by its reason, up to an empty line.
failed=$(awk '/\*(failed|timed out|skipped|unexpected|cancelled)/ { on = 1 } on { print } /^ *$/ { on = 0 }' "$log")
if [ "$status" != 0 ] && [ -n "$failed" ]; then
    printf '\n==== what has failed:\n%s\n' "$failed"
fi
exit "$status"
