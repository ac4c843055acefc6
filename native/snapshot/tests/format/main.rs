//! Snapshots as files: states that come back as they went, and files that do not mean a state.
//!
//! `round_trips` writes random states and chains and reads them; `damage` breaks files at random; `hostile` builds
//! files that no writer makes, with checks and ids of their own; `vectors` holds what `docs/snapshot.md` shows against
//! what is written and read.

// Helpers of tests are tests, too; `clippy.toml` excepts only what is marked as one.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod damage;
mod hostile;
mod round_trips;
mod states;
mod support;
mod vectors;
