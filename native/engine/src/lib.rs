//! WebAssembly instances as suspendable tasks.
//!
//! The engine of `hb_wasm64`. It knows wasmtime and knows no BEAM: an embedder prepares a [`LinkedImage`],
//! makes an [`Instance`] of it, and moves the instance on from whichever thread it likes, one slice at a time. Guests
//! stop at imports and at the end of their slices; everything that waits costs nothing but its memory.

#![deny(missing_docs)]

pub mod background;
mod complexity;
pub mod config;
mod declared;
pub mod error;
pub mod image;
pub mod images;
mod import;
mod instance;
mod limiter;
pub mod limits;
mod pace;
mod queue;
mod ranges;
pub mod reaper;
mod state;
mod task;
mod ticker;
mod touched;
pub mod value;

pub use declared::engine_kind;
pub use hb_wasm64_host::{Clock, FileKind, Given, Initialize, NotGiven, Runtime, Standard, Unserved};
pub use hb_wasm64_rewrite::meter::MODULE as METER_MODULE;
pub use import::{ImportInfo, Served};
pub use instance::{
    Access, CallRequest, Caller, FuncName, GivenUp, Instance, Progress, Request, Response, Slice, Step,
};
pub use queue::{Notifications, Scope, Status, TicketId};
pub use state::{Files, Snapshots, View};
pub use task::{CallOptions, Contents, LinkedImage, StartRequest, Usage};
pub use ticker::{SLICES, set_slice};
