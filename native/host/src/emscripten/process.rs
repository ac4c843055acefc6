//! The end of a program, and what else it may ask about its process and its system.

use crate::context::{Args, HostCtx, int};
use crate::errno::Errno;
use crate::failure::Fault;
use crate::function::Call::{Library, Plain};
use crate::function::{FILE, Function, OPEN, OWN, env};
use crate::limits::{LINE_BYTES, MESSAGE_BYTES};

/// What prints may print to a file: the standard streams can be any.
pub(super) const FUNCTIONS: &[Function] = &[
    env("exit", "i:", OPEN, Plain(exit)),
    env("_Exit", "i:", OPEN, Plain(exit)),
    env("proc_exit", "i:", OPEN, Plain(exit)),
    env("emscripten_force_exit", "i:", OPEN, Plain(exit)),
    env("_abort_js", ":", OPEN, Plain(abort)),
    env("abort", ":", OPEN, Plain(abort)),
    env("__handle_stack_overflow", "p:", OPEN, Plain(stack_overflow)),
    env("__assert_fail", "ppip:", OPEN, Plain(assert_fail)),
    env("_emscripten_system", "p:i", OPEN, Plain(system)),
    // Up to Emscripten 3.1.51 JavaScript is all of it.
    env("system", "p:i", OPEN, Library(old_system)),
    env("emscripten_err", "p:", FILE, Plain(print_error)),
    env("emscripten_out", "p:", FILE, Plain(print)),
    env("emscripten_outn", "pp:", FILE, Plain(print_some)),
    env("emscripten_errn", "pp:", FILE, Plain(print_some_error)),
    env("emscripten_console_log", "p:", FILE, Plain(print)),
    env("emscripten_console_error", "p:", FILE, Plain(print_error)),
    env("emscripten_console_warn", "p:", FILE, Plain(print_error)),
    env("emscripten_has_asyncify", ":i", OPEN, Plain(no)),
    env("_emscripten_runtime_keepalive_clear", ":", OPEN, Plain(nothing)),
    env("emscripten_notify_memory_growth", "p:", OPEN, Plain(nothing)),
    // Sets up dynamic linking, of which there is none.
    env("_dlinit", "p:", OPEN, Plain(nothing)),
    env("getTempRet0", ":i", OWN, Plain(get_temp_ret)),
    env("setTempRet0", "i:", OWN, Plain(set_temp_ret)),
    env("getentropy", "pp:i", OPEN, Library(entropy)),
];

fn exit(_: &mut HostCtx<'_>, args: Args<'_>) -> Result<u64, Fault> {
    Err(Fault::Exit(args.int(0)))
}

fn abort(_: &mut HostCtx<'_>, _: Args<'_>) -> Result<u64, Fault> {
    Err(Fault::Abort("native code called abort()".into()))
}

fn assert_fail(host: &mut HostCtx<'_>, args: Args<'_>) -> Result<u64, Fault> {
    let text = |pointer, otherwise: &str| match pointer {
        0 => Ok(otherwise.to_owned()),
        pointer => host.memory.text(pointer, MESSAGE_BYTES).map(|bytes| String::from_utf8_lossy(bytes).into_owned()),
    };
    let condition = text(args.pointer(0), "")?;
    let (file, function) = (text(args.pointer(1), "unknown file")?, text(args.pointer(3), "unknown function")?);
    Err(Fault::Abort(format!("assertion failed: {condition}, at {file}:{}, {function}", args.int(2))))
}

/// Called by code of the image that looks after its stack, with where that would have ended.
fn stack_overflow(_: &mut HostCtx<'_>, args: Args<'_>) -> Result<u64, Fault> {
    Err(Fault::Abort(format!("stack overflow: the stack pointer would be {:#x}", args.pointer(0))))
}

/// `system(NULL)` asks whether there is a shell.
fn system(_: &mut HostCtx<'_>, args: Args<'_>) -> Result<u64, Fault> {
    Ok(int(if args.pointer(0) == 0 { 0 } else { Errno::NOSYS.negative() }))
}

fn old_system(_: &mut HostCtx<'_>, args: Args<'_>) -> Result<i32, Errno> {
    if args.pointer(0) == 0 { Ok(0) } else { Err(Errno::NOSYS) }
}

fn print(host: &mut HostCtx<'_>, args: Args<'_>) -> Result<u64, Fault> {
    say(host, 1, args.pointer(0), LINE_BYTES)
}

fn print_error(host: &mut HostCtx<'_>, args: Args<'_>) -> Result<u64, Fault> {
    say(host, 2, args.pointer(0), LINE_BYTES)
}

fn print_some(host: &mut HostCtx<'_>, args: Args<'_>) -> Result<u64, Fault> {
    say(host, 1, args.pointer(0), most(args))
}

fn print_some_error(host: &mut HostCtx<'_>, args: Args<'_>) -> Result<u64, Fault> {
    say(host, 2, args.pointer(0), most(args))
}

/// The second argument: how many bytes a text has at most.
fn most(args: Args<'_>) -> usize {
    usize::try_from(args.pointer(1)).unwrap_or(LINE_BYTES).min(LINE_BYTES)
}

/// Prints a text, up to its NUL, as a line.
fn say(host: &mut HostCtx<'_>, descriptor: i32, text: u64, most: usize) -> Result<u64, Fault> {
    let text = host.memory.text(text, most)?;
    for bytes in [text, b"\n"] {
        // A program may have closed the descriptor; nobody is told.
        let _ = host.state.files.write(descriptor, bytes, host.now);
    }
    Ok(0)
}

fn no(_: &mut HostCtx<'_>, _: Args<'_>) -> Result<u64, Fault> {
    Ok(0)
}

fn nothing(_: &mut HostCtx<'_>, _: Args<'_>) -> Result<u64, Fault> {
    Ok(0)
}

/// The upper half of a result that is wider than what crosses the module's border.
fn get_temp_ret(host: &mut HostCtx<'_>, _: Args<'_>) -> Result<u64, Fault> {
    Ok(int(host.state.temp_ret))
}

fn set_temp_ret(host: &mut HostCtx<'_>, args: Args<'_>) -> Result<u64, Fault> {
    host.state.temp_ret = args.int(0);
    Ok(0)
}

/// There is no randomness: fails as on a system without it.
fn entropy(_: &mut HostCtx<'_>, _: Args<'_>) -> Result<i32, Errno> {
    Err(Errno::NOSYS)
}
