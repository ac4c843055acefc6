#!/bin/sh
# usage: scripts/engine-test.sh [OPTION-OF-CARGO-TEST...]
# Runs the tests of the Rust crates, and tells what was not run.
set -eu
cd "$(dirname "$0")/.."

log=$(mktemp)
trap 'rm -f "$log" "$log.status"' EXIT
trap 'exit 1' INT TERM
{
    status=0
    cargo test --release --workspace --locked "$@" || status=$?
    echo "$status" >"$log.status"
} 2>&1 | tee "$log"
scripts/not-run.sh "$log" engine
exit "$(cat "$log.status")"
