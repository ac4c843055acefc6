#!/bin/sh
# Compares the answers of the AO images built with Emscripten in this library with those in JavaScript, where ao-loader runs
# them on Node. See parity/README.md. Called by `make parity`, which has built everything.
#   IMAGES=directory, LOADER=directory   see scripts/images.sh
#   LEGACY=directory                     images of AO's first year; those that are not there are not run
#   PARITY_IMAGES='aos2_0_6 sqlite'      only these; 'none' for none
#   PARITY_OPTIONS='snapshot 100'        each message to an instance started from a snapshot, time slices of 100 us
#   PARITY_UNITS='aos2_0_6'              only these as in compute units; '' for none
#   PARITY_SLOTS=401                     so many slots of each, that of the process included
#   PARITY_REQUIRED=1                    fail where it cannot be run; otherwise that is said and no failure
set -eu
cd "$(dirname "$0")/.."

not_run() {
    printf 'parity: not run: %s\n' "$@"
    exit "${PARITY_REQUIRED:-0}"
}

# The file of an image.
image() {
    if [ -f "$LEGACY/$1.wasm" ]; then echo "$LEGACY/$1.wasm"; else echo "$IMAGES/$1.wasm"; fi
}

# Runs ao-loader or the library: the arguments are what to run and the image.
if [ "${1:-}" = --run ]; then
    case $2 in
        loader)
            format=$(node parity/images.mjs "$3")
            # shellcheck disable=SC2086 # none or one
            TZ=UTC node $PARITY_NODE_FLAG parity/loader.mjs "$LOADER" "$format" "$(image "$3")" \
                "$PARITY_TMP/$3.sequence" "$PARITY_TMP/$3.loader" </dev/null
            ;;
        engine)
            # Their loaders give texts on the stack more room.
            case $(node parity/images.mjs "$3") in
                wasm32-unknown-emscripten | wasm32-unknown-emscripten2) PARITY_OPTIONS="roomy $PARITY_OPTIONS" ;;
            esac
            # shellcheck disable=SC2086 # words
            erl +Bd -noinput -pa _build/default/lib/hb_wasm64/ebin "$PARITY_TMP" -run parity main \
                "$(image "$3")" "$PARITY_TMP/$3.sequence" "$PARITY_TMP/$3.engine" $PARITY_OPTIONS
            ;;
        unit)
            # The loader, then the library, which goes on from the loader's checkpoints, and the loader from the library's.
            unit=$PARITY_TMP/$3.unit
            mkdir "$unit"
            format=$(node parity/images.mjs "$3")
            node parity/slots.mjs "$3" "$PARITY_SLOTS" >"$unit/slots"
            wasm=$(image "$3")
            # shellcheck disable=SC2086 # none or one
            TZ=UTC node --expose-gc $PARITY_NODE_FLAG parity/unit.mjs "$LOADER" "$format" "$wasm" "$unit/slots" "$unit/loader" "$unit" </dev/null
            erl +Bd -noinput -pa _build/default/lib/hb_wasm64/ebin "$PARITY_TMP" -run parity_unit main \
                "$format" "$wasm" "$unit/slots" "$unit/engine" "$unit"
            # shellcheck disable=SC2086 # none or one
            TZ=UTC node --expose-gc $PARITY_NODE_FLAG parity/unit.mjs "$LOADER" "$format" "$wasm" "$unit/slots" "$unit/taken" "$unit" take </dev/null
            ;;
    esac
    exit
fi

command -v node >/dev/null 2>&1 || not_run "node is missing; version 20 is needed."
# A 64-bit memory grows. In Node 20 that takes a flag; in later versions sizes are of another type, which ao-loader does
# not know.
memory64="new WebAssembly.Instance(new WebAssembly.Module(new Uint8Array(
    [0, 97, 115, 109, 1, 0, 0, 0, 5, 3, 1, 4, 0, 7, 5, 1, 1, 109, 2, 0]))).exports.m.grow(1)"
PARITY_NODE_FLAG=
if ! node -e "$memory64" 2>/dev/null; then
    PARITY_NODE_FLAG=--experimental-wasm-memory64
    node "$PARITY_NODE_FLAG" -e "$memory64" 2>/dev/null ||
        not_run "node $(node --version) has no 64-bit memories as ao-loader needs them; version 20 has."
fi

status=0
IMAGES=$(scripts/images.sh images) || status=$?
[ "$status" = 0 ] && { LOADER=$(scripts/images.sh loader) || status=$?; }
case $status in
    0) ;;
    3) not_run "the images or ao-loader are not here and cannot be downloaded, see above." ;;
    *) exit "$status" ;;
esac

PARITY_TMP=$(mktemp -d)
trap 'rm -rf "$PARITY_TMP"' EXIT
trap 'exit 1' INT TERM
PARITY_OPTIONS=${PARITY_OPTIONS:-}
LEGACY=${LEGACY:-../shared/data/legacy}
PARITY_SLOTS=${PARITY_SLOTS:-201}
export PARITY_TMP PARITY_NODE_FLAG PARITY_OPTIONS PARITY_SLOTS IMAGES LOADER LEGACY

# Compiled: an interpreter would add to what is measured.
erlc -Werror -o "$PARITY_TMP" -pa _build/default/lib/hb_wasm64/ebin parity/parity.erl parity/parity_unit.erl

# The long ones first.
names=${PARITY_IMAGES:-}
if [ -z "$names" ]; then
    names="aos2_0_1 sqlite aos aos2_0_6 aos2_0_3 aos2_0_4_32 process llama"
    for name in metered_aos old_stat_sqlite wd_process old_time_t minified; do
        if [ -f "$LEGACY/$name.wasm" ]; then
            names="$names $name"
        else
            echo "parity: not run: $name, as there is no $LEGACY/$name.wasm" >&2
        fi
    done
fi
# As in compute units: those of AO's own images, where nobody chooses others.
default=
if [ -z "${PARITY_IMAGES:-}" ] || [ "$names" = none ]; then default="llama aos2_0_6 aos2_0_1 aos2_0_3 aos2_0_4_32 sqlite"; fi
units=${PARITY_UNITS-$default}
if [ "$names" = none ]; then names=; fi
begin=$(date +%s)
for name in $names; do
    node parity/messages.mjs "$name" >"$PARITY_TMP/$name.sequence"
done
# Two at a time: an image may take a gigabyte and more.
failed=0
{
    for name in $units; do printf 'unit %s\n' "$name"; done
    for name in $names; do printf 'loader %s\nengine %s\n' "$name" "$name"; done
} | xargs -P 2 -n 2 sh scripts/parity.sh --run || failed=1

for name in $names; do
    if [ -f "$PARITY_TMP/$name.loader" ] && [ -f "$PARITY_TMP/$name.engine" ]; then
        node parity/compare.mjs "$name" "$PARITY_TMP/$name.loader" "$PARITY_TMP/$name.engine" || failed=1
    else
        echo "$name: did not run"
        failed=1
    fi
done
for name in $units; do
    unit=$PARITY_TMP/$name.unit
    if [ -f "$unit/loader" ] && [ -f "$unit/engine" ] && [ -f "$unit/taken" ]; then
        node parity/compare-units.mjs "$name" "$unit" || failed=1
    else
        echo "$name, as in a compute unit: did not run"
        failed=1
    fi
done
echo "parity: $(($(date +%s) - begin)) s"
if [ "$failed" != 0 ]; then
    echo "parity: there are differences that parity/explained.txt does not explain" >&2
    exit 1
fi
