#!/bin/sh
# usage: HB=checkout [DRY_RUN=1] [SOURCE=url] [REF=commit] scripts/hyperbeam.sh install|undo
# Turns a HyperBEAM checkout into one that runs on this library, or back. See docs/hyperbeam.md; `make hyperbeam` and
# `make hyperbeam-undo` call this. Needs Erlang and nothing that is built.
set -eu

what=${1:-}
case $what in
    install) target=hyperbeam ;;
    undo) target=hyperbeam-undo ;;
    *) echo "usage: HB=checkout [DRY_RUN=1] [SOURCE=url] [REF=commit] $0 install|undo" >&2; exit 2 ;;
esac
if [ -z "${HB:-}" ]; then
    cat >&2 <<EOF
usage: make $target HB=checkout [DRY_RUN=1]
  HB=checkout   the directory of a HyperBEAM checkout
  DRY_RUN=1     only say what would change
EOF
    if [ "$what" = install ]; then
        cat >&2 <<EOF
  SOURCE=url    let rebar3 fetch the library from this git repository
  REF=commit    let rebar3 fetch this commit of it
EOF
    fi
    exit 2
fi
# Not every shell expands this behind HB=.
# shellcheck disable=SC2088
case $HB in "~/"*) HB=$HOME/${HB#"~/"} ;; esac
if ! dir=$(cd "$HB" 2>/dev/null && pwd -P); then
    echo "hyperbeam: HB=$HB is not a directory that can be entered." >&2
    exit 1
fi
HB=$dir

cd "$(dirname "$0")/.."
LIBRARY=$(pwd -P)
if [ "$HB" = "$LIBRARY" ] || [ -f "$HB/erl_src/hb_wasm64.app.src" ]; then
    echo "hyperbeam: $HB is hb_wasm64, HB has to be a checkout of HyperBEAM." >&2
    exit 1
fi
# Nothing is written in a dry run, not even Erlang.
[ "${DRY_RUN:-0}" = 0 ] || export NO_INSTALL=1
scripts/setup.sh erlang

# The commit that this is; none where this is no git repository of its own.
COMMIT=
if top=$(git rev-parse --show-toplevel 2>/dev/null) && [ "$(cd "$top" && pwd -P)" = "$LIBRARY" ]; then
    COMMIT=$(git rev-parse --verify HEAD 2>/dev/null) || COMMIT=
fi

HYPERBEAM_TMP=$(mktemp -d)
trap 'rm -rf "$HYPERBEAM_TMP"' EXIT
trap 'exit 1' INT TERM
export HB LIBRARY COMMIT HYPERBEAM_TMP
# Names of files are UTF-8, whatever the terminal was set to. One VM compiles and runs: to start one takes longer.
erl +fnu -noinput -boot start_clean -eval '
    [begin
        {ok, Module, Beam} = compile:file(Source, [binary, report]),
        {module, Module} = code:load_binary(Module, Source, Beam)
    end || Source <- filelib:wildcard("scripts/hyperbeam/*.erl")],
    hyperbeam:main(init:get_plain_arguments())' -extra "$what"
