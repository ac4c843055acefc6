#!/bin/sh
# Measures the library, which "make" has built, against Rust without Erlang.
# See bench/hb_wasm64_bench.erl for what is measured and how.
set -eu
cd "$(dirname "$0")/.."

# Cargo puts a hash into the name of a benchmark: let it say where it is.
built=$(cargo build --release --locked -p hb_wasm64_engine --bench reference \
    --target-dir "${CARGO_TARGET_DIR:-target}" --message-format json-render-diagnostics)
reference=$(printf '%s\n' "$built" | sed -n 's/.*"executable":"\([^"]*\)".*/\1/p')

beams=$(mktemp -d)
trap 'rm -rf "$beams"' EXIT
trap 'exit 1' INT TERM
# Compiled: the shell's and "erl -eval"'s interpreter costs more than what is measured.
erlc -Werror -o "$beams" -pa _build/default/lib/hb_wasm64/ebin bench/*.erl test/ao_core/*.erl

# AO's images built with Emscripten, and the JavaScript that else runs them: where they can be had.
node=$(command -v node || true)
images='' loader=''
if [ -n "$node" ] && "$node" --experimental-wasm-memory64 -e 0 2>/dev/null; then
    images=$(scripts/images.sh images) && loader=$(scripts/images.sh loader) || images=''
fi
erl +Bd -noinput -pa _build/default/lib/hb_wasm64/ebin "$beams" \
    -run hb_wasm64_bench main "$reference" test/guests ../shared/data/aos-2-pure-xs.wasm "$node" "$loader" "$images"
