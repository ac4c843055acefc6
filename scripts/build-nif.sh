#!/bin/sh
# Builds the Rust NIF and installs it as priv/hb_wasm64_nif.so, without debug
# sections (a fifth of the size) unless DEBUG_INFO is set: backtraces of Rust
# have names of functions in any case, lines only with them.
# rebar3 runs this before it compiles, also where this library is a dependency.
set -eu
cd "$(dirname "$0")/.."

so=priv/hb_wasm64_nif.so

if ! command -v cargo >/dev/null 2>&1; then
    if [ -f "$so" ]; then
        echo "build-nif: no cargo here, keeping the $so that is there"
        exit 0
    fi
    echo "build-nif: cargo is missing. Install Rust from https://rustup.rs, or" >&2
    echo "build-nif: put a library built elsewhere at $so." >&2
    exit 1
fi

# Name the target directory, so that no cargo configuration can move the result.
target=${CARGO_TARGET_DIR:-target}
cargo build --release --locked -p hb_wasm64_nif --target-dir "$target"

# Erlang looks for .so on macOS too.
case $(uname -s) in
    Darwin) built=$target/release/libhb_wasm64_nif.dylib ;;
    *) built=$target/release/libhb_wasm64_nif.so ;;
esac

if [ -z "${DEBUG_INFO:-}" ] && command -v strip >/dev/null 2>&1; then
    stripped=$built.stripped
    if [ ! -e "$stripped" ] || [ "$built" -nt "$stripped" ]; then
        strip -S -o "$stripped.$$" "$built"
        mv -f "$stripped.$$" "$stripped"
    fi
    built=$stripped
fi

if cmp -s "$built" "$so"; then
    exit 0
fi

# A running node has the old library mapped: writing into it would kill the
# node. Put a new file in its place instead.
mkdir -p priv
tmp=$so.$$
trap 'rm -f "$tmp"' EXIT
cp "$built" "$tmp"
mv -f "$tmp" "$so"
echo "build-nif: installed $so"
