#!/bin/sh
# usage: [ROWS=name,...] [BASE=directory] [KERNEL=packages] scripts/bench.sh
# Measures the library, which "make" has built: against references, or against another build of it, that in BASE, a
# checkout with its own _build. ROWS names the rows or groups of rows to measure; one that does not exist lists them.
# KERNEL=packages measures the rows of the device on a kernel that loads packages.
# See bench/hb_wasm64_bench.erl for what is measured and how.
set -eu
base=
if [ -n "${BASE:-}" ]; then
    base=$(cd "$BASE" && pwd)
fi
cd "$(dirname "$0")/.."

reference=
if [ -z "$base" ]; then
    # Cargo puts a hash into the name of a benchmark: let it say where it is. The whole workspace, as with the features
    # of the NIF the dependencies are those that are built already.
    built=$(cargo build --release --locked --workspace --bench reference \
        --target-dir "${CARGO_TARGET_DIR:-target}" --message-format json-render-diagnostics)
    reference=$(printf '%s\n' "$built" | sed -n 's/.*"executable":"\([^"]*\)".*/\1/p')
fi

ebin=_build/default/lib/hb_wasm64/ebin
beams=$(mktemp -d)
trap 'rm -rf "$beams"' EXIT
trap 'exit 1' INT TERM
# What rows leave behind goes with it.
export TMPDIR="$beams"
# Compiled: the shell's and "erl -eval"'s interpreter costs more than what is measured.
packages=
[ "${KERNEL:-}" != packages ] || packages=-DPACKAGES
# shellcheck disable=SC2086
erlc -Werror $packages -o "$beams" -pa "$ebin" bench/*.erl test/ao_core/*.erl

# AO's images built with Emscripten, and the JavaScript that else runs them: where they can be had.
node=$(command -v node || true)
images='' loader=''
if [ -n "$node" ] && "$node" --experimental-wasm-memory64 -e 0 2>/dev/null; then
    images=$(scripts/images.sh images) && loader=$(scripts/images.sh loader) || images=''
fi
# With BASE the library is in VMs that this one starts.
[ -n "$base" ] || set -- -pa "$ebin"
erl +Bd -hb_wasm64 disk_cache false -noinput "$@" -pa "$beams" -run hb_wasm64_bench main "${ROWS:-}" "$base" "$PWD" "$beams" \
    "$reference" test/guests ../shared/data/aos-2-pure-xs.wasm "$node" "$loader" "$images" \
    ../shared/data/legacy/metered_aos.wasm
