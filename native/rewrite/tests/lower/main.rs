//! Legacy exception handling, lowered and run.
//!
//! `cases` states single behaviours, `mixed` those that need features beyond what other engines run, `module` what
//! becomes of the rest of a module, `hostile` what bad and oversized input does. `random` generates functions and
//! checks that they lower to valid ones. `oracle` runs the unlowered originals of the cases and of generated modules in
//! an engine with legacy exceptions of its own, and compares. `image` lowers a module from practice.

// Helpers of tests are tests, too; `clippy.toml` excepts only what is marked as one.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod cases;
mod generator;
mod hostile;
mod image;
mod mixed;
mod module;
mod oracle;
mod random;
mod support;
