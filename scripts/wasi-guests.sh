#!/bin/sh
# Builds the programs for WASI in test/guests/wasi, each with the compiler of its
# language, and has Node.js say what they print. The .wasm.gz and .out files are
# committed, so only somebody who changes a program needs the tools.
#
#   scripts/wasi-guests.sh           build those whose compiler is here
#   scripts/wasi-guests.sh --check   build them elsewhere and say which differ
#
# Compilers, and how to get them:
#   C and C++        apt-get install clang-16 lld-16 wasi-libc libc++-16-dev-wasm32
#                      libc++abi-16-dev-wasm32 libclang-rt-16-dev-wasm32
#   Rust             rustup target add wasm32-wasip1, or on Debian
#                      apt-get install rustc libstd-rust-dev-wasm32
#   Zig              pip install ziglang==0.17.1
#   Go 1.24          apt-get install golang-1.24-go (Debian 13)
#   AssemblyScript   npm install assemblyscript@0.28.20 @assemblyscript/wasi-shim@0.1.0,
#                      in the directory that ASC_DIR names
set -eu
LC_ALL=C
export LC_ALL

here=$(cd "$(dirname "$0")/.." && pwd)
source=$here/test/guests/wasi
check=no
case ${1:-} in
    '') ;;
    --check) check=yes ;;
    *) echo "usage: $0 [--check]" >&2; exit 2 ;;
esac

new=$(mktemp -d)
trap 'rm -rf "$new"' EXIT
trap 'exit 1' INT TERM
cd "$source"

have() { command -v "$1" >/dev/null 2>&1; }
left_out() { echo "wasi-guests.sh: no $1: $2 not built" >&2; }

# Compiled and linked apart: with -O, what links runs wasm-opt if it finds one.
C="--target=wasm32-wasi"
CFLAGS="-O2 -fno-ident -Wall -Werror"
if have clang-16; then
    # shellcheck disable=SC2086
    {
        clang-16 $C $CFLAGS -c files.c -o "$new/files.o"
        clang-16 $C -Wl,--strip-all "$new/files.o" -o "$new/files.wasm"
        clang++-16 $C $CFLAGS -stdlib=libc++ -fno-exceptions -isystem /usr/include/wasm32-wasi/c++/v1 \
            -c streams.cc -o "$new/streams.o"
        clang++-16 $C -stdlib=libc++ -Wl,--strip-all "$new/streams.o" -o "$new/streams.wasm"
    }
else
    left_out clang-16 "C and C++"
fi

if have rustc && [ -d "$(rustc --print sysroot)/lib/rustlib/wasm32-wasip1" ]; then
    rustc --target wasm32-wasip1 --edition 2024 -C opt-level=s -C strip=symbols -C panic=abort \
        --remap-path-prefix "$(rustc --print sysroot)=rust" program.rs -o "$new/program_rs.wasm"
else
    left_out "rustc with the target wasm32-wasip1" Rust
fi

if python3 -m ziglang version >/dev/null 2>&1; then
    for bits in 32 64; do
        python3 -m ziglang build-exe program.zig -target "wasm$bits-wasi" -O ReleaseSmall \
            -femit-bin="$new/program_zig$bits.wasm"
    done
else
    left_out ziglang Zig
fi

if have go; then
    GOOS=wasip1 GOARCH=wasm GOFLAGS=-buildvcs=false
    export GOOS GOARCH GOFLAGS
    go build -trimpath -ldflags='-s -w -buildid=' -o "$new/program_go.wasm" program.go
    go build -trimpath -ldflags='-s -w -buildid=' -buildmode=c-shared -o "$new/reactor_go.wasm" reactor.go
else
    left_out go Go
fi

ASC_DIR=${ASC_DIR:-.}
asc=$ASC_DIR/node_modules
if [ -x "$asc/.bin/asc" ]; then
    # By bare names: they are in what the programs say.
    cp throws.ts program.ts "$ASC_DIR"
    (
        cd "$ASC_DIR"
        npx asc throws.ts -O --runtime stub -o "$new/throws.wasm"
        npx asc program.ts -O --config node_modules/@assemblyscript/wasi-shim/asconfig.json \
            -o "$new/program_ts.wasm"
    )
else
    left_out "asc in ASC_DIR" AssemblyScript
fi

changed=0
count=0
for out in "$new"/*.wasm; do
    [ -e "$out" ] || continue
    name=$(basename "$out").gz
    gzip -9n "$out"
    count=$((count + 1))
    if ! cmp -s "$out.gz" "$name"; then
        changed=$((changed + 1))
        echo "$name differs"
        [ "$check" = yes ] || cat "$out.gz" >"$name"
    fi
done
echo "$count programs, $changed changed"

# What they print, and their status, as Node.js has it; hb_wasi_programs_tests
# reads the same list.
if have node; then
    while read -r name file arguments; do
        [ -e "$file.wasm.gz" ] || continue
        status=0
        # shellcheck disable=SC2086
        node --no-warnings node.mjs "$file.wasm.gz" --env GREETING=hello $arguments \
            <input.txt >"$new/out" 2>"$new/err" || status=$?
        {
            cat "$new/out"
            echo "---- error output"
            cat "$new/err"
            echo "---- status $status"
        } >"$new/$name.out"
        if ! cmp -s "$new/$name.out" "$name.out"; then
            changed=$((changed + 1))
            echo "$name.out differs"
            [ "$check" = yes ] || cat "$new/$name.out" >"$name.out"
        fi
    done <runs.txt
else
    left_out node "what they print"
fi
[ "$check" = no ] || [ "$changed" -eq 0 ]
