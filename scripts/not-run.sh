#!/bin/sh
# usage: scripts/not-run.sh LOG NAME    tells which tests were not run, by what a log says, and keeps it
#        scripts/not-run.sh             tells what is kept of the last logs
# Tests say "NOT RUN: COUNT, WHY (FUNCTION)" where something is missing that they need: they have not passed.
set -eu
cd "$(dirname "$0")/.."
kept=_build/not-run
if [ $# = 2 ]; then
    mkdir -p "$kept"
    sed -n 's/^.*NOT RUN: \([0-9]*, .*\)/\1/p' "$1" | sort -u >"$kept/$2"
    set -- "$kept/$2"
else
    set -- "$kept"/*
    [ -f "$1" ] || exit 0
fi
awk '{ count = $1 + 0; sub(/^[0-9]*, /, ""); sub(/ \([^()]*\)$/, ""); total += count; by[$0] += count }
    END {
        if (total == 0) exit
        printf "\n==== %d %s not run:\n", total, total == 1 ? "test" : "tests"
        for (why in by) printf "  %d: %s\n", by[why], why
    }' "$@"
