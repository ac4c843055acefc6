#!/bin/sh
# usage: scripts/setup.sh NEED...
# Checks that the tools named are here, and says nothing if they are.
#   erlang headers rebar3 cc rust      to build
#   rustlint eunit dialyzer proper     to run the tests
#   debootstrap                        to run them on another OTP release
# What is missing is installed by apt-get if we are root (NO_INSTALL=1 stops
# that), otherwise the command to do so is printed. Rust is never installed:
# the distributions' own is too old.
set -eu
cd "$(dirname "$0")/.."

otp_min=25
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
rust_min=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)

have() { command -v "$1" >/dev/null 2>&1; }
die() {
    printf 'setup: %s\n' "$@" >&2
    exit 1
}
# at_least VERSION MINIMUM
at_least() {
    awk -v v="$1" -v m="$2" 'BEGIN {
        split(v, a, "."); split(m, b, ".")
        for (i = 1; i <= 3; i++) if (a[i] + 0 != b[i] + 0) exit a[i] + 0 < b[i] + 0
    }'
}

# Starting Erlang takes longer than all the rest, so all it knows is asked at
# once: the OTP release, then the libraries that are there.
ask_erlang() {
    erl -noinput -boot start_clean -eval '
        Has = fun(App, File) ->
            case code:lib_dir(App) of
                {error, _} -> false;
                Dir -> filelib:is_regular(filename:join(Dir, File))
            end
        end,
        io:format("~s~s~n", [erlang:system_info(otp_release),
            [[" ", atom_to_list(Need)] || {Need, App, File} <- [
                {headers, kernel, "include/file.hrl"},
                {eunit, eunit, "ebin/eunit.beam"},
                {dialyzer, dialyzer, "ebin/dialyzer.beam"},
                {proper, proper, "ebin/proper.beam"}], Has(App, File)]]),
        halt().'
}

# What of the needs is missing? Sets "packages" to what Debian calls it.
look() {
    packages=
    otp=
    libs=
    if have erl; then
        libs=" $(ask_erlang) "
        otp=${libs# }
        otp=${otp%% *}
    fi
    for need in "$@"; do
        case $need in
            erlang) have erl || want erlang-nox ;;
            headers) in_erlang headers || want erlang-dev ;;
            eunit | dialyzer | proper) in_erlang "$need" || want "erlang-$need" ;;
            debootstrap) { have debootstrap && [ -f "$keyring" ]; } || want "debootstrap debian-archive-keyring" ;;
            rebar3) have rebar3 || want rebar3 ;;
            cc) have cc || want "gcc libc6-dev" ;;
            rust | rustlint) ;;
            *) die "unknown need: $need" ;;
        esac
    done
}
in_erlang() { case $libs in *" $1 "*) true ;; *) false ;; esac }
want() { packages="$packages $1"; }

# Rust first: without it the rest would be installed for nothing.
check_rust() {
    how="Install Rust $rust_min or later from https://rustup.rs:
    curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- -y
and start again."
    if ! have cargo || ! have rustc; then
        # build-nif.sh keeps a library that was built elsewhere.
        if [ "$1" = rust ] && [ -f priv/hb_wasm64_nif.so ]; then return; fi
        die "Rust is missing. $how"
    fi
    version=$(rustc --version) || die "rustc is there but does not run."
    version=${version#rustc }
    version=${version%% *}
    at_least "$version" "$rust_min" || die "Rust $version is too old. $how
If rustup has it already: rustup update stable"
    if [ "$1" = rustlint ]; then
        if ! cargo clippy --version >/dev/null 2>&1 || ! cargo fmt --version >/dev/null 2>&1; then
            die "clippy or rustfmt is missing: rustup component add clippy rustfmt"
        fi
    fi
}

for need in "$@"; do
    case $need in rust | rustlint) check_rust "$need" ;; esac
done

look "$@"
if [ -n "$packages" ]; then
    install="apt-get install -y --no-install-recommends$packages"
    if ! have apt-get; then
        die "missing (by their Debian names):$packages"
    elif [ "$(id -u)" != 0 ]; then
        die "missing:$packages. To install:" "sudo apt-get update && sudo $install"
    elif [ -n "${NO_INSTALL:-}" ]; then
        die "missing:$packages. To install:" "apt-get update && $install"
    fi
    echo "setup: installing$packages"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq </dev/null >/dev/null
    # shellcheck disable=SC2086 # a list of words
    $install -qq </dev/null >/dev/null
    look "$@"
    if [ -n "$packages" ]; then die "still missing:$packages"; fi
fi

if [ -n "$otp" ] && ! at_least "$otp" "$otp_min"; then
    die "Erlang/OTP $otp is too old, $otp_min or later is needed."
fi
