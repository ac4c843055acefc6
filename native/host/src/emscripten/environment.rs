//! The environment of a program, where it has one without being given one: AO's loader has Emscripten's own for its first
//! three formats, and none for the others.

use crate::abi::Abi;
use crate::context::{Args, HostCtx};
use crate::errno::Errno;
use crate::function::Call::Wasi;
use crate::function::{Call, Function, OPEN};

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
    host.memory.put_pointer(args.pointer(0), VARIABLES.len() as u64)?;
    host.memory.put_pointer(args.pointer(1), VARIABLES.concat().len() as u64)?;
    Ok(())
}

/// Writes pointers to the variables, and these.
fn environ_get(host: &mut HostCtx<'_>, args: Args<'_>) -> Result<(), Errno> {
    let (mut pointer, mut text) = (args.pointer(0), args.pointer(1));
    for variable in VARIABLES {
        host.memory.put(text, variable)?;
        host.memory.put_pointer(pointer, text)?;
        text = text.saturating_add(variable.len() as u64);
        pointer = pointer.saturating_add(host.memory.width().bytes());
    }
    Ok(())
}
