//! The environment of a program, where it has one without being given one: AO's loader has Emscripten's own for its first
//! three formats, and none for the others.

use crate::abi::Abi;
use crate::context::{Args, HostCtx};
use crate::errno::Errno;
use crate::function::Call::Wasi;
use crate::function::{Call, Function, OPEN};
use crate::wasi::{put_sizes, put_strings};

/// Each variable with its NUL.
const VARIABLES: [&[u8]; 7] = [
    b"USER=web_user\0",
    b"LOGNAME=web_user\0",
    b"PATH=/\0",
    b"PWD=/\0",
    b"HOME=/home/web_user\0",
    b"LANG=C.UTF-8\0",
    b"_=./this.program\0",
];

const FUNCTIONS: &[Function] =
    &[wasi("environ_get", Wasi(environ_get)), wasi("environ_sizes_get", Wasi(environ_sizes_get))];

const fn wasi(name: &'static str, call: Call) -> Function {
    Function { module: "wasi_snapshot_preview1", name, shape: "pp:i", flags: OPEN, call }
}

/// The functions of an image that has an environment.
pub(super) fn functions(abi: Abi) -> &'static [Function] {
    if abi <= Abi::Until3_1_58 { FUNCTIONS } else { &[] }
}

fn environ_sizes_get(host: &mut HostCtx<'_>, args: Args<'_>) -> Result<(), Errno> {
    let variables = variables(host);
    put_sizes(host, args, &variables)
}

/// Writes pointers to the variables, and these.
fn environ_get(host: &mut HostCtx<'_>, args: Args<'_>) -> Result<(), Errno> {
    let variables = variables(host);
    put_strings(host, args, &variables)
}

/// Those that the program is given take the place of all others.
fn variables(host: &HostCtx<'_>) -> Vec<Vec<u8>> {
    host.state.program.environment().unwrap_or_else(|| VARIABLES.map(<[u8]>::to_vec).to_vec())
}
