#!/bin/sh
# Starts AOS, the operating system of AO's processes, in the image built with Emscripten that npm has, and sends it some
# messages. IMAGE=file.wasm takes another one. Called by `make demo-aos`, which has built everything.
set -eu
cd "$(dirname "$0")/.."

if [ -z "${IMAGE:-}" ]; then
    status=0
    images=$(scripts/images.sh images) || status=$?
    if [ "$status" != 0 ]; then
        echo "demo-aos: no image. With a file of your own: make demo-aos IMAGE=file.wasm" >&2
        exit "$status"
    fi
    IMAGE=$images/aos2_0_6.wasm
    export IMAGE
fi
exec scripts/demo.sh
