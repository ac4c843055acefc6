#!/bin/sh
# Builds the test guests: every .wat and .c in test/guests becomes a .wasm
# beside it, and those in test/guests/emscripten several. The same tools give
# the same bytes each time; the .wasm files are committed, so only somebody who
# changes a guest needs the tools.
#
#   scripts/guests.sh           build all
#   scripts/guests.sh --check   build all elsewhere and say which differ
#
# Tools, and how to get them:
#   wasm-tools 1.263.0   cargo install wasm-tools --locked --version 1.263.0
#   clang and wasm-ld 16 apt-get install clang-16 lld-16
# WASM_TOOLS and WASM_CC name other programs in their place.
set -eu
LC_ALL=C
export LC_ALL

WASM_TOOLS=${WASM_TOOLS:-wasm-tools}
WASM_CC=${WASM_CC:-clang-16}
TOOLS_VERSION=1.263.0
CC_VERSION=16

# -fno-inline-functions keeps the functions' names in backtraces.
# --stack-first puts the stack at the bottom, so that an overflow traps
# instead of running into the data.
CFLAGS="-O2 -nostdlib -ffreestanding -fno-builtin -fno-strict-aliasing
 -fno-inline-functions -fno-ident -mbulk-memory -Wall -Wextra -Werror
 -Wl,--no-entry -Wl,--stack-first -Wl,-z,stack-size=65536"
# These have LLVM make setjmp and throw as it does for Emscripten. host.txt has
# the imports that are known, so that a misspelt function is no import.
EMFLAGS="$CFLAGS -mllvm -enable-emscripten-sjlj -Wl,--export-table
 -Wl,--export=__wasm_call_ctors -Wl,--export=__THREW__ -Wl,--export=__threwValue
 -Wl,--allow-undefined-file=host.txt"
EMFLAGS_THROW="-fexceptions -mllvm -enable-emscripten-cxx-exceptions"

here=$(cd "$(dirname "$0")/.." && pwd)
source=$here/test/guests

check=no
case ${1:-} in
    '') ;;
    --check) check=yes ;;
    *) echo "usage: $0 [--check]" >&2; exit 2 ;;
esac

new=$(mktemp -d)
trap 'rm -rf "$new"' EXIT
trap 'exit 1' INT TERM

missing=no
if ! command -v "$WASM_TOOLS" >/dev/null 2>&1; then
    echo "guests.sh: no $WASM_TOOLS (for the .wat files)." >&2
    echo "  cargo install wasm-tools --locked --version $TOOLS_VERSION" >&2
    missing=yes
fi
if ! command -v "$WASM_CC" >/dev/null 2>&1; then
    echo "guests.sh: no $WASM_CC (for the .c files)." >&2
    echo "  apt-get install clang-$CC_VERSION lld-$CC_VERSION" >&2
    missing=yes
elif ! echo 'int x;' | "$WASM_CC" --target=wasm64-unknown-unknown -nostdlib \
        -Wl,--no-entry -x c - -o "$new/probe"; then
    echo "guests.sh: $WASM_CC cannot link 64-bit WebAssembly (for the .c files)." >&2
    echo "  apt-get install lld-$CC_VERSION" >&2
    missing=yes
fi
[ "$missing" = no ] || exit 1

# Another version is no error, but its bytes may differ.
case $("$WASM_TOOLS" --version) in
    "wasm-tools $TOOLS_VERSION"*) ;;
    *) echo "guests.sh: not wasm-tools $TOOLS_VERSION, the bytes may differ." >&2 ;;
esac
case $("$WASM_CC" -dumpversion) in
    $CC_VERSION.*) ;;
    *) echo "guests.sh: not clang $CC_VERSION, the bytes may differ." >&2 ;;
esac

# Bare names only, so that no path of this machine can get into a guest.
cd "$source"
mkdir "$new/emscripten"
for file in *.wat emscripten/*.wat; do
    out=$new/${file%.wat}.wasm
    "$WASM_TOOLS" parse "$file" -o "$out"
    # Everything this validator knows is allowed: it takes both kinds of
    # exceptions in exceptions_mixed, and shared_memory.
    "$WASM_TOOLS" validate --features all "$out"
done
for file in *.c; do
    out=$new/${file%.c}.wasm
    # shellcheck disable=SC2086
    "$WASM_CC" --target=wasm64-unknown-unknown -std=c11 $CFLAGS "$file" -o "$out"
    "$WASM_TOOLS" validate --features all "$out"
done

# Three of each: 32 and 64 bits, and 32 bits as older versions of Emscripten
# have them.
cd emscripten
# shellcheck disable=SC2086
build() { # name, bits, guest, more flags
    name=$1 bits=$2 guest=$3
    shift 3
    sources="runtime.c $guest.c"
    if [ "$guest" = throw ]; then
        sources="runtime.c cxxabi.cc throw.cc"
        set -- "$@" $EMFLAGS_THROW
    fi
    out=$new/emscripten/$name.wasm
    "$WASM_CC" --target="wasm$bits-unknown-unknown" $EMFLAGS "$@" $sources -o "$out"
    "$WASM_TOOLS" validate --features all "$out"
}
for guest in longjmp throw files clock; do
    build "$guest" 32 "$guest"
    build "${guest}64" 64 "$guest"
    build "${guest}_old" 32 "$guest" -DOLD -DHALVES
done
# As later versions have it.
build throw_new64 64 throw -DNEW
# LLVM 16 gives 64-bit modules a table with 32-bit indices, later ones do not:
# the same code with the other kind of table.
for guest in longjmp throw; do
    out=$new/emscripten/${guest}_table64.wasm
    "$WASM_TOOLS" print "$new/emscripten/${guest}64.wasm" |
        sed -e 's/^\( *\)call_indirect /\1i64.extend_i32_u\n&/' \
            -e 's/^\( *(table (;0;)\) /\1 i64 /' \
            -e 's/^\( *(elem (;0;) (\)i32/\1i64/' > "$new/table64.wat"
    "$WASM_TOOLS" parse "$new/table64.wat" -o "$out"
    "$WASM_TOOLS" validate --features all "$out"
done
cd ..
# The head of a component, which is no module: layer 1 in place of 0.
printf '\000asm\015\000\001\000' > "$new/component.wasm"

count=0
changed=0
for out in "$new"/*.wasm "$new"/emscripten/*.wasm; do
    name=${out#"$new"/}
    count=$((count + 1))
    if ! cmp -s "$out" "$name"; then
        changed=$((changed + 1))
        echo "$name differs"
        if [ "$check" = no ]; then
            cat "$out" > "$name"
            chmod 644 "$name"
        fi
    fi
done
echo "$count guests, $changed changed"
[ "$check" = no ] || [ "$changed" -eq 0 ]
