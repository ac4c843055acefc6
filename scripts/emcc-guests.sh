#!/bin/sh
# Builds the guests in test/guests/emcc with Emscripten 3.1.6, as Debian 12 has it, and writes down what they print in JavaScript:
# NAME.wasm and NAME.expected. The clock shows 1,700,000,000,123 there, and the program has its name and no arguments. The files
# are committed, so only somebody who changes a guest needs the tools: apt-get install emscripten nodejs
#
#   scripts/emcc-guests.sh           build all
#   scripts/emcc-guests.sh --check   build all elsewhere and say which differ
set -eu
LC_ALL=C
export LC_ALL

case ${1:-} in
    '') check=no ;;
    --check) check=yes ;;
    *) echo "usage: $0 [--check]" >&2; exit 2 ;;
esac
command -v emcc >/dev/null 2>&1 && command -v node >/dev/null 2>&1 || {
    echo "emcc-guests.sh: emcc or node is missing: apt-get install emscripten nodejs" >&2
    exit 1
}
case $(emcc -dumpversion) in
    3.1.6*) ;;
    *) echo "emcc-guests.sh: not Emscripten 3.1.6: other versions are another guest." >&2; exit 1 ;;
esac

cd "$(dirname "$0")/../test/guests/emcc"
new=$(mktemp -d)
trap 'rm -rf "$new"' EXIT
trap 'exit 1' INT TERM
cat >"$new/still.cjs" <<'END'
const now = 1700000000123;
const RealDate = Date;
globalThis.Date = class extends RealDate {
  constructor(...parts) { super(...(parts.length > 0 ? parts : [now])); }
  static now() { return now; }
};
process.argv = [process.argv[0], './this.program'];
// It takes files for addresses.
delete globalThis.fetch;
END

changed=0
for source in *.c *.cc; do
    name=${source%.*}
    case $source in
        *.cc) compile="em++ -fexceptions" ;;
        *) compile=emcc ;;
    esac
    # More optimization would shorten the names of imports.
    # shellcheck disable=SC2086 # words
    $compile -O1 -Wall -Werror -sEXIT_RUNTIME=1 "$source" -o "$new/$name.js"
    TZ=UTC node -e 'const [, still, program] = process.argv; require(still); require(program);' \
        "$new/still.cjs" "$new/$name.js" >"$new/$name.expected"
    for file in "$name.wasm" "$name.expected"; do
        cmp -s "$new/$file" "$file" && continue
        changed=$((changed + 1))
        echo "$file differs"
        [ "$check" = yes ] || { cat "$new/$file" >"$file"; chmod 644 "$file"; }
    done
done
echo "$changed files changed"
[ "$check" = no ] || [ "$changed" -eq 0 ]
