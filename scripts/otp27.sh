#!/bin/sh
# usage: scripts/otp27.sh [OPTION-OF-REBAR3-EUNIT...]
# Runs the eunit suites on OTP 27, with the NIF that is in priv/: one file for
# every OTP release. An Erlang of the host that is recent enough is used as it
# is; otherwise that of Debian trixie, in a chroot, which takes root.
#
# The chroot is built once (in about a minute, 225 MB) and kept for all clones:
#   OTP27_ROOT    where         ~/.cache/hb_wasm64/otp27
#   OTP27_MIRROR  built from    the Debian mirror of this host's apt, or
#                               http://deb.debian.org/debian
# Tests with AO's images run where scripts/images.sh has brought them, or with
#   IMAGES        a directory with them
set -eu

otp_min=27
suite=trixie
# erlang-dev has the .hrl files. make is for rebar3's hook; git and, of
# erlang-base, escript are for tests.
packages=erlang-base,erlang-crypto,erlang-dev,erlang-eunit,erlang-inets,erlang-proper,erlang-tools,make,git
# A chroot of another recipe is built anew. The number stands for create(),
# below: count it up with each change there.
recipe="1 $suite $(uname -m) $packages"
attempts=3

root=${OTP27_ROOT:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/hb_wasm64/otp27}
case $root in /*) ;; *) root=$PWD/$root ;; esac
images=${IMAGES:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/hb_wasm64/images}
case $images in /*) ;; *) images=$PWD/$images ;; esac
stamp=etc/hb_wasm64-recipe
so=priv/hb_wasm64_nif.so

cd "$(dirname "$0")/.."
# Where debootstrap, chroot and mount are: not in everybody's PATH, even with sudo.
PATH=$PATH:/usr/sbin:/sbin
export PATH

say() { printf 'otp27: %s\n' "$@"; }
die() {
    printf 'otp27: %s\n' "$@" >&2
    exit 1
}
have() { command -v "$1" >/dev/null 2>&1; }

# chrooted DIR COMMAND...: in the chroot DIR, with nothing of this environment.
chrooted() {
    chroot_dir=$1
    shift
    chroot "$chroot_dir" env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 \
        TERM="${TERM:-dumb}" "$@"
}

# Which Erlang is this? "27.3.4, Erlang/OTP 27 [erts-15.2.7] ...". The arguments
# come before erl.
version() {
    "$@" erl -noinput -boot start_clean -eval '
        Release = erlang:system_info(otp_release),
        File = filename:join([code:root_dir(), "releases", Release, "OTP_VERSION"]),
        Version = case file:read_file(File) of
            {ok, Text} -> Text;
            {error, _} -> Release
        end,
        io:format("~s, ~s~n", [string:trim(Version), string:trim(erlang:system_info(system_version))]),
        halt().'
}
recent() { [ "${1%%[!0-9]*}" -ge "$otp_min" ]; }

sha256() {
    sum=$(sha256sum <"$1")
    echo "${sum%% *}"
}

# The NIF at the path $2 must be what had the sha256 $1.
same_nif() {
    after=$(sha256 "$2")
    [ "$after" = "$1" ] || die "$so has changed during the tests: sha256 $1 before, $after after."
}

# The next two run in namespaces of their own: what they mount and start is gone
# when they end, however they end.

# Builds the chroot beside its place. The recipe comes last: with it, it is whole.
create() {
    new=$root.unfinished
    # A mirror that hangs is one that fails.
    timeout 600 debootstrap --variant=minbase --force-check-gpg --include="$packages" \
        "$suite" "$new" "$OTP27_MIRROR" >"$root.log" 2>&1 </dev/null || {
        tail -n 15 "$root.log" >&2
        exit 1
    }

    # rebar3 is one file, but its package depends on the whole of a graphical
    # desktop. The index that debootstrap has checked says what it is.
    uri=$(chrooted "$new" apt-get download --print-uris rebar3)
    sum=${uri##*SHA256:}
    uri=${uri#\'}
    uri=${uri%%\'*}
    deb=$new/tmp/rebar3.deb
    wget -q --timeout=60 --tries=3 -O "$deb" "$uri" || die "could not download $uri"
    echo "$sum  $deb" | sha256sum --check --quiet
    chrooted "$new" dpkg-deb --extract /tmp/rebar3.deb /

    rm -rf "$deb" "$new"/var/cache/apt/* "$new"/var/lib/apt/lists/* \
        "$new"/usr/share/doc/* "$new"/usr/share/locale/* "$new"/usr/share/man/*

    otp=$(version chrooted "$new")
    recent "$otp" || die "$OTP27_MIRROR has OTP $otp in $suite."
    chrooted "$new" rebar3 version >/dev/null
    echo "$recipe" >"$new/$stamp"
}

# A directory of the host, if it is there, as one that cannot be changed.
borrow() { # DIRECTORY PLACE
    [ -d "$1" ] || return 0
    mkdir -p "$2"
    mount --bind "$1" "$2"
    mount -o remount,bind,ro "$2"
}

# Runs the tests in a copy of the project.
run() {
    # Nothing can change the chroot: others use it, now and later. All that is
    # written goes into memory, and so leaves nothing to be removed.
    mount --bind "$root" "$root"
    mount -o remount,bind,ro "$root"
    mount -t proc proc "$root/proc"
    for dir in dev/shm tmp root; do
        mount -t tmpfs tmpfs "$root/$dir"
    done

    copy=$root/root/hb_wasm64
    mkdir -p "$copy/priv"
    if [ -e .git ] && have git; then
        # The clone may belong to somebody else than root.
        git -c safe.directory="$PWD" ls-files -z --cached --others --exclude-standard >"$root/tmp/files"
        # Files that git tracks may have been deleted.
        tar -cf "$root/tmp/project.tar" --no-recursion --ignore-failed-read --null -T "$root/tmp/files"
    else
        tar -cf "$root/tmp/project.tar" --exclude=./target --exclude=./_build .
    fi
    tar -xf "$root/tmp/project.tar" --no-same-owner -C "$copy"
    rm -f "$root/tmp/files" "$root/tmp/project.tar"
    before=$(sha256 "$so")
    cp "$so" "$copy/$so"

    # Images that are no part of the project lie beside it; those from npm are where the tests are told.
    borrow ../shared/data "$root/root/shared/data"
    borrow "$images" "$root/root/images"

    otp=$(version chrooted "$root")
    say "OTP $otp" "$so, sha256 $before"
    status=0
    chrooted "$root" env --chdir=/root/hb_wasm64 IMAGES=/root/images scripts/eunit.sh "$@" || status=$?
    same_nif "$before" "$copy/$so"
    if [ "$status" != 0 ]; then
        say "eunit failed on OTP ${otp%%,*}" >&2
        exit "$status"
    fi
    say "eunit passed on OTP ${otp%%,*}, $so is the same file"
}

case ${1:-} in
    --create) create; exit ;;
    --run) shift; run "$@"; exit ;;
esac

[ -f "$so" ] || die "$so is missing. To build it: make nif"

if have erl; then
    otp=$(version)
    if recent "$otp"; then
        scripts/setup.sh rebar3 headers eunit proper
        before=$(sha256 "$so")
        say "OTP $otp, on this host: no chroot is needed" "$so, sha256 $before"
        scripts/eunit.sh "$@"
        same_nif "$before" "$so"
        exit
    fi
fi

[ "$(id -u)" = 0 ] || die "OTP $otp_min is not here, and a chroot with it needs root:" "sudo scripts/otp27.sh"
unshare --mount --pid --fork mount -t proc proc /proc 2>/dev/null ||
    die "mounting is not permitted here, though this is root. In a container: allow it (docker" \
        "run --cap-add SYS_ADMIN --security-opt apparmor=unconfined), or run make eunit in one with OTP $otp_min."
# As /proc/self/mountinfo has it, without symbolic links.
root=$(realpath -m "$root")
case $root in
    / | *[[:space:]\\]*) die "not a place for a chroot: $root" ;;
esac
OTP27_ROOT=$root
IMAGES=$images
export OTP27_ROOT IMAGES

# Runs this script in new namespaces. In the background, as only then a signal
# is answered at once; whatever runs in there is killed with unshare.
child=
stop() { [ -z "$child" ] || kill -KILL "$child" 2>/dev/null || :; }
trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
in_namespaces() {
    unshare --mount --pid --fork --kill-child sh scripts/otp27.sh "$@" &
    child=$!
    result=0
    wait "$child" || result=$?
    child=
    return "$result"
}

# What is mounted below would be removed with it, and is not ours.
remove() {
    if awk -v dir="$1" '$5 == dir || index($5, dir "/") == 1 { found = 1 } END { exit !found }' \
            /proc/self/mountinfo; then
        die "$1 is to be removed, but something is mounted there: umount it first."
    fi
    rm -rf --one-file-system "$1"
}

up_to_date() { [ -f "$root/$stamp" ] && [ "$(cat "$root/$stamp")" = "$recipe" ]; }

build() {
    if [ -e "$root" ] && [ ! -f "$root/$stamp" ]; then
        die "$root is there, but was not made by this script."
    fi
    scripts/setup.sh debootstrap
    if have apt-config; then
        # debootstrap downloads with wget, which does not know of apt's proxies.
        eval "$(apt-config shell apt_http Acquire::http::Proxy apt_https Acquire::https::Proxy)"
        case ${apt_http:-} in http*) export http_proxy="${http_proxy:-$apt_http}" ;; esac
        case ${apt_https:-} in http*) export https_proxy="${https_proxy:-$apt_https}" ;; esac
        # shellcheck disable=SC2016 # apt's own dollar
        host_mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' \
            'Origin: Debian' 'Label: Debian' 2>/dev/null | sed -n '/^https*:/{p;q;}')
    fi
    OTP27_MIRROR=${OTP27_MIRROR:-${host_mirror:-http://deb.debian.org/debian}}
    export OTP27_MIRROR

    say "building a chroot with OTP $otp_min, once: $root from $OTP27_MIRROR ($suite)"
    # What is left of one that was interrupted, then what is out of date.
    new=$root.unfinished
    remove "$new"
    if [ -e "$root" ]; then
        mv "$root" "$new"
        remove "$new"
    fi
    attempt=1
    until in_namespaces --create; do
        [ "$attempt" -lt "$attempts" ] ||
            die "no chroot after $attempts attempts, see above and $root.log." \
                "Is $OTP27_MIRROR reachable and has it $suite? OTP27_MIRROR=http://... names another."
        attempt=$((attempt + 1))
        say "attempt $attempt of $attempts in 20 seconds"
        sleep 20
        remove "$new"
    done
    mv "$new" "$root"
}

# Who builds has the lock alone, those who run share it. It is passed on to the
# processes in the namespaces, and so lasts as long as one of them lives.
lock() { flock --nonblock "$1" 9 || { say "waiting for another run"; flock "$1" 9; }; }
mkdir -p "$(dirname "$root")"
exec 9>"$root.lock"
lock --shared
until up_to_date; do
    # Between the two locks another may have built it.
    lock --exclusive
    up_to_date || build
    lock --shared
done

in_namespaces --run "$@"
