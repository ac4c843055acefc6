#!/bin/sh
# Runs a process in the library and tells what happens: the ledger of test/guests, or with IMAGE an AOS image, to which
# EVAL is given to evaluate. Called by `make demo`, which has built everything.
set -eu
cd "$(dirname "$0")/.."
ERL_LIBS=$PWD/_build/default/lib
export ERL_LIBS
# Guests speak UTF-8, whatever the terminal was set to.
export LC_ALL=C.UTF-8
exec escript scripts/demo.escript
