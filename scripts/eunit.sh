#!/bin/sh
# usage: scripts/eunit.sh [OPTION-OF-REBAR3-EUNIT...]
# Runs the eunit suites: without options all of them, in two VMs at a time (LANES=1: in one). What has failed and what was
# not run is told once more at the end: there it is found, among thousands of lines.
set -eu
cd "$(dirname "$0")/.."

# What tests have compiled is not to be kept.
export ERL_AFLAGS="${ERL_AFLAGS:-} -hb_wasm64 disk_cache false"

log=$(mktemp)
trap 'rm -f "$log" "$log.status"' EXIT
trap 'exit 1' INT TERM
all() {
    lib=$PWD/_build/test/lib/hb_wasm64
    rebar3 as test compile && scripts/eunit.escript "${LANES:-2}" "$lib/ebin" "$lib/test"
}
{
    status=0
    if [ $# = 0 ]; then all; else rebar3 eunit "$@"; fi || status=$?
    echo "$status" >"$log.status"
} 2>&1 | tee "$log"
status=$(cat "$log.status")
# A failed test is followed by its reason, up to an empty line.
failed=$(awk '/\*(failed|timed out|skipped|unexpected|cancelled)/ { on = 1 } on { print } /^ *$/ { on = 0 }' "$log")
if [ "$status" != 0 ] && [ -n "$failed" ]; then
    printf '\n==== what has failed:\n%s\n' "$failed"
fi
scripts/not-run.sh "$log" erlang
exit "$status"
