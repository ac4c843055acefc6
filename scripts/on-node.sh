#!/bin/sh
# usage: HB=checkout scripts/on-node.sh [SUITE...]
# Runs suites of the device on the modules of a real HyperBEAM: a checkout of 2025 that rebar3 has compiled. Those of
# test/ao_core, on which `make test` runs them, are not used. See test/ao_core/README.md.
set -eu

if [ -z "${HB:-}" ]; then
    echo "usage: make on-node HB=checkout" >&2
    echo "  HB=checkout   the directory of a HyperBEAM checkout of 2025, compiled with rebar3" >&2
    exit 2
fi
# Not every shell expands this behind HB=.
# shellcheck disable=SC2088
case $HB in "~/"*) HB=$HOME/${HB#"~/"} ;; esac
HB=$(cd "$HB" && pwd -P)
cd "$(dirname "$0")/.."
ROOT=$(pwd -P)
export HB ROOT
[ -n "${NO_BUILD:-}" ] || rebar3 as test compile
if [ $# = 0 ]; then
    set -- dev_wasm64_compute_tests dev_wasm64_errors_tests dev_wasm64_import_errors_tests dev_wasm64_imports_tests \
        dev_wasm64_init_errors_tests dev_wasm64_init_tests dev_wasm64_records_tests dev_wasm64_snapshot_state_tests \
        dev_wasm64_snapshots_tests dev_wasm64_stacks_tests
fi
# A node writes its key and its caches where it runs.
cd "$(mktemp -d)"
exec escript "$ROOT/scripts/on-node.escript" "$@"
