//! The environment of a program, where it has one without being given one: AO's loader has Emscripten's own for its first
//! three formats, and none for the others.

use crate::abi::Abi;
use crate::context::{Args, HostCtx};
use crate::errno::Errno;
use crate::function::Call::Wasi;
use crate::function::{Call, Flags, Function, LONG, OPEN};
use crate::program::Program;
use crate::strings::Vector;
use crate::wasi::{put_sizes, put_strings};

/// Each variable with its NUL.
const VARIABLES: Vector<'_> = Vector::of(
    7,
    b"USER=web_user\0LOGNAME=web_user\0PATH=/\0PWD=/\0HOME=/home/web_user\0LANG=C.UTF-8\0_=./this.program\0",
);

const FUNCTIONS: &[Function] =
    &[wasi("environ_get", LONG, Wasi(environ_get)), wasi("environ_sizes_get", OPEN, Wasi(environ_sizes_get))];

const fn wasi(name: &'static str, flags: Flags, call: Call) -> Function {
    Function { module: "wasi_snapshot_preview1", name, shape: "pp:i", flags, call }
}

/// The functions of an image that has an environment.
pub(super) fn functions(abi: Abi) -> &'static [Function] {
    if abi <= Abi::Until3_1_58 { FUNCTIONS } else { &[] }
}

fn environ_sizes_get(host: &mut HostCtx<'_>, args: Args<'_>) -> Result<(), Errno> {
    put_sizes(&mut host.memory, args, variables(&host.state.program))
}

/// Writes pointers to the variables, and these.
fn environ_get(host: &mut HostCtx<'_>, args: Args<'_>) -> Result<(), Errno> {
    put_strings(&mut host.memory, args, variables(&host.state.program))
}

/// Those that the program is given take the place of all others.
fn variables(program: &Program) -> Vector<'_> {
    program.environment().unwrap_or(VARIABLES)
}
