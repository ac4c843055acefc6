#!/bin/sh
# usage: scripts/device.sh [DIRECTORY]
# Makes what HyperBEAM's packager of devices ("Forge") takes, a folder for each name of the device:
#   DIRECTORY/wasm-64    wasm-64@1.0
#   DIRECTORY/wasm64     wasm64@1.0
#   DIRECTORY/genesis-wasm  genesis-wasm@1.0
# DIRECTORY is _build/device unless it is given. See docs/hyperbeam.md; `make device` builds the library first.
#   HB_REF=commit   the commit of HyperBEAM whose packager the folders name
#   EBIN=directory  where the application is compiled: _build/default/lib/hb_wasm64/ebin
set -eu
cd "$(dirname "$0")/.."

out=${1:-_build/device}
case $out in /*) ;; *) out=$PWD/$out ;; esac
so=priv/hb_wasm64_nif.so
[ -f "$so" ] || { echo "device: $so is missing. To build it: make nif" >&2; exit 1; }

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
trap 'exit 1' INT TERM
# Without symbols, which Erlang does not need: backtraces of Rust in the log have no names then.
if command -v strip >/dev/null 2>&1; then
    strip -s -o "$tmp/hb_wasm64_nif.so" "$so" 2>/dev/null || strip -o "$tmp/hb_wasm64_nif.so" "$so"
else
    cp "$so" "$tmp/hb_wasm64_nif.so"
fi
export TMP_SO="$tmp/hb_wasm64_nif.so" OUT="$out" HB_REF="${HB_REF:-}"
escript scripts/device.escript
