#!/bin/sh
# Runs a process on AO-Core through the device and tells what happens: the ledger of test/guests, or with IMAGE an AOS
# image, to which EVAL is given to evaluate, or a program of WASI with the arguments ARGS. Called by `make demo`, which has built everything.
set -eu
cd "$(dirname "$0")/.."
# Guests speak UTF-8, whatever the terminal was set to.
export LC_ALL=C.UTF-8

DEMO_DIR=$(mktemp -d)
export DEMO_DIR
trap 'rm -rf "$DEMO_DIR"' EXIT
trap 'exit 1' INT TERM
# The AO-Core of the tests is no part of the application.
erlc -o "$DEMO_DIR" -pa _build/default/lib/hb_wasm64/ebin test/ao_core/*.erl demo/*.erl
erl -noinput -pa _build/default/lib/hb_wasm64/ebin "$DEMO_DIR" -run demo main
