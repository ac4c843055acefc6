#!/bin/sh
# Compiles a WebAssembly module for this machine: the artifact IMAGE.aot, sealed with the key of this user, or of the file KEY. Called by
# `make aot`, which has built everything.
set -eu
cd "$(dirname "$0")/.."
export LC_ALL=C.UTF-8

if [ ! -f "${IMAGE:-}" ]; then
    echo "usage: make aot IMAGE=file.wasm [KEY=file]" >&2
    exit 2
fi
exec erl -noinput -pa _build/default/lib/hb_wasm64/ebin -eval '
    ok = application:load(hb_wasm64),
    [ok = application:set_env(hb_wasm64, code_key, Key) || Key <- [os:getenv("KEY", "")], Key =/= ""],
    Path = os:getenv("IMAGE"),
    {ok, Image} = file:read_file(Path),
    Artifact = filename:rootname(Path, ".wasm") ++ ".aot",
    halt(case hb_wasm64:compile(Image, #{}) of
        {ok, Bytes} ->
            ok = file:write_file(Artifact, Bytes),
            io:format("~ts: ~b bytes~n", [Artifact, byte_size(Bytes)]),
            0;
        {error, Reason} ->
            io:format(standard_error, "~ts: ~tp~n", [Path, Reason]),
            1
    end).'
