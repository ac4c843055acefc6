# make          build the library
# make demo     run a program in it        [IMAGE=file.wasm] [EVAL='code'] [ARGS='a b']
# make demo-aos run AOS, from npm          [IMAGE=file.wasm] [EVAL='code']
# make test     check everything
# make help     the other targets
#
# rebar3 calls "make nif" (see rebar.config), so the library also builds as a
# dependency of another rebar3 project.

# rustup puts cargo here; a shell that was open before does not know it yet.
export PATH := $(PATH):$(or $(CARGO_HOME),$(HOME)/.cargo)/bin

# Code given to the demo may hold a $: hand it over as it was written.
override IMAGE := $(value IMAGE)
override EVAL := $(value EVAL)
override ARGS := $(value ARGS)
override KEY := $(value KEY)
override IMAGES := $(value IMAGES)
override LOADER := $(value LOADER)
export IMAGE KEY EVAL ARGS IMAGES LOADER

# So may the names that make hyperbeam is given.
override HB := $(value HB)
override SOURCE := $(value SOURCE)
override REF := $(value REF)
export HB SOURCE REF DRY_RUN

# And those of make bench.
override ROWS := $(value ROWS)
override BASE := $(value BASE)
override KERNEL := $(value KERNEL)
export ROWS BASE KERNEL

BUILD_NEEDS := erlang headers rebar3 cc rust
TEST_NEEDS := $(BUILD_NEEDS) rustlint eunit dialyzer proper

heading = @printf '\n==== %s\n' '$@: $(1)'

MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := build
# The steps of "make test" run one after the other, in the order written.
.NOTPARALLEL:
.PHONY: all build nif debug-info demo demo-aos aot parity bench device hyperbeam hyperbeam-undo on-node guests test help fmt clean distclean \
	setup setup-test fmt-check clippy engine-test compile xref dialyzer eunit test-otp27

help: ## this list
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/  \1	\2/p' Makefile | expand -t 18

all: build

build: setup compile ## build the NIF and the Erlang library (the default)

nif: ## build only the NIF, into priv/
	@scripts/build-nif.sh

debug-info: ## the same with debug sections: backtraces of Rust have lines then
	@DEBUG_INFO=1 scripts/build-nif.sh

demo: build ## run a process on AO-Core: [IMAGE=file.wasm] [EVAL='code'], or a program of WASI [ARGS='a b']
	@scripts/demo.sh

demo-aos: build ## run AOS, which npm has: [IMAGE=file.wasm] [EVAL='code']
	@scripts/demo-aos.sh

parity: build ## compare AO's images with JavaScript: [IMAGES=directory] [LOADER=directory]
	@scripts/parity.sh

bench: build ## measure: [ROWS=name,...] [BASE=directory] [KERNEL=packages]
	@scripts/bench.sh

device: build ## make packages of the device for HyperBEAM, in _build/device
	@scripts/device.sh

aot: build ## compile a module for this machine: IMAGE=file.wasm [KEY=file]
	@scripts/aot.sh

hyperbeam: ## make a HyperBEAM checkout run on this: HB=directory [DRY_RUN=1]
	@scripts/hyperbeam.sh install

hyperbeam-undo: ## take that back: HB=directory [DRY_RUN=1]
	@scripts/hyperbeam.sh undo

on-node: nif ## Erlang tests of the device on a real HyperBEAM of 2025: HB=directory
	@scripts/on-node.sh

guests: ## rebuild the guest programs used in tests
	@scripts/guests.sh

setup: ## check for the tools to build with, install them if root
	@scripts/setup.sh $(BUILD_NEEDS)

setup-test:
	@scripts/setup.sh $(TEST_NEEDS)

test: setup-test fmt-check clippy engine-test compile xref dialyzer eunit ## check everything
	@printf '\n==== make test: all passed (fmt, clippy, engine tests, compile, xref, dialyzer, eunit)\n'
	@scripts/not-run.sh

fmt-check: ## is the Rust code formatted?
	$(call heading,Rust formatting)
	cargo fmt --all --check

clippy: ## lint the Rust code
	$(call heading,Rust lints)
	cargo clippy --release --workspace --all-targets --locked -- -D warnings

# The whole workspace, though only the engine has tests: with the NIF's features
# the dependencies are those "make nif" builds, and are not built twice.
engine-test: ## tests of the engine alone
	$(call heading,tests of the engine)
	@scripts/engine-test.sh

compile:
	$(call heading,NIF and Erlang)
	rebar3 compile

xref: ## calls to functions that do not exist
	$(call heading,cross references)
	rebar3 as ao_core xref

dialyzer: ## type analysis
	$(call heading,type analysis)
	rebar3 as ao_core dialyzer

eunit: ## Erlang tests
	$(call heading,Erlang tests)
	@scripts/eunit.sh

test-otp27: setup nif ## Erlang tests on OTP 27: in a chroot, as root, if it is not here
	$(call heading,Erlang tests on OTP 27)
	@scripts/otp27.sh

fmt: ## format the Rust code
	cargo fmt --all

clean: ## remove what was built, but not Rust's target/
	rm -rf _build priv/hb_wasm64_nif.so priv/hb_wasm64_nif.so.*
	rm -f erl_crash.dump rebar3.crashdump

distclean: clean ## remove Rust's target/ too
	rm -rf target
