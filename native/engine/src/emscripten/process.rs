//! The end of a program, and what else it may ask about its process.

use super::abi::Kind::{OfFiles, Open, Own};
use super::abi::{Args, Fault, Function, Host, int};

/// Bytes of a message that are kept.
const MESSAGE: usize = 1024;

/// Bytes of a line that is printed.
const LINE: usize = 64 << 10;

/// What these calls answer where there is no such thing as other programs.
const ENOSYS: i32 = 52;

/// What prints may print to a file: the standard streams can be any.
pub(crate) const FUNCTIONS: &[Function] = &[
    Function::env("exit", "i:", Open, exit),
    Function::env("_Exit", "i:", Open, exit),
    Function::env("proc_exit", "i:", Open, exit),
    Function::env("emscripten_force_exit", "i:", Open, exit),
    Function::env("_abort_js", ":", Open, abort),
    Function::env("abort", ":", Open, abort),
    Function::env("__handle_stack_overflow", "p:", Open, stack_overflow),
    Function::env("__assert_fail", "ppip:", Open, assert_fail),
    Function::env("_emscripten_system", "p:i", Open, system),
    Function::env("emscripten_err", "p:", OfFiles, print_error),
    Function::env("emscripten_out", "p:", OfFiles, print),
    Function::env("emscripten_outn", "pp:", OfFiles, print_some),
    Function::env("emscripten_errn", "pp:", OfFiles, print_some_error),
    Function::env("emscripten_console_log", "p:", OfFiles, print),
    Function::env("emscripten_console_error", "p:", OfFiles, print_error),
    Function::env("emscripten_console_warn", "p:", OfFiles, print_error),
    Function::env("emscripten_has_asyncify", ":i", Open, no),
    Function::env("_emscripten_runtime_keepalive_clear", ":", Open, nothing),
    Function::env("emscripten_notify_memory_growth", "p:", Open, nothing),
    Function::env("getTempRet0", ":i", Own, get_temp_ret),
    Function::env("setTempRet0", "i:", Own, set_temp_ret),
];

fn exit(_: &mut Host<'_>, args: Args<'_>) -> Result<u64, Fault> {
    Err(Fault::Exit(args.int(0)))
}

fn abort(_: &mut Host<'_>, _: Args<'_>) -> Result<u64, Fault> {
    Err(Fault::Abort("native code called abort()".into()))
}

fn assert_fail(host: &mut Host<'_>, args: Args<'_>) -> Result<u64, Fault> {
    let text = |pointer, otherwise: &str| match pointer {
        0 => Ok(otherwise.to_owned()),
        pointer => host.memory.text(pointer, MESSAGE).map(|bytes| String::from_utf8_lossy(bytes).into_owned()),
    };
    let condition = text(args.pointer(0), "")?;
    let (file, function) = (text(args.pointer(1), "unknown file")?, text(args.pointer(3), "unknown function")?);
    Err(Fault::Abort(format!("assertion failed: {condition}, at {file}:{}, {function}", args.int(2))))
}

/// Called by code of the image that looks after its stack, with where that would have ended.
fn stack_overflow(_: &mut Host<'_>, args: Args<'_>) -> Result<u64, Fault> {
    Err(Fault::Abort(format!("stack overflow: the stack pointer would be {:#x}", args.pointer(0))))
}

/// `system(NULL)` asks whether there is a shell.
fn system(_: &mut Host<'_>, args: Args<'_>) -> Result<u64, Fault> {
    Ok(int(if args.pointer(0) == 0 { 0 } else { -ENOSYS }))
}

fn print(host: &mut Host<'_>, args: Args<'_>) -> Result<u64, Fault> {
    say(host, 1, args.pointer(0), LINE)
}

fn print_error(host: &mut Host<'_>, args: Args<'_>) -> Result<u64, Fault> {
    say(host, 2, args.pointer(0), LINE)
}

fn print_some(host: &mut Host<'_>, args: Args<'_>) -> Result<u64, Fault> {
    say(host, 1, args.pointer(0), most(args))
}

fn print_some_error(host: &mut Host<'_>, args: Args<'_>) -> Result<u64, Fault> {
    say(host, 2, args.pointer(0), most(args))
}

/// The second argument: how many bytes a text has at most.
fn most(args: Args<'_>) -> usize {
    usize::try_from(args.pointer(1)).unwrap_or(LINE).min(LINE)
}

/// Prints a text, up to its NUL, as a line.
fn say(host: &mut Host<'_>, descriptor: i32, text: u64, most: usize) -> Result<u64, Fault> {
    let text = host.memory.text(text, most)?;
    for bytes in [text, b"\n"] {
        // A program may have closed the descriptor; nobody is told.
        let _ = host.state.files.write(descriptor, bytes, host.now);
    }
    Ok(0)
}

fn no(_: &mut Host<'_>, _: Args<'_>) -> Result<u64, Fault> {
    Ok(0)
}

fn nothing(_: &mut Host<'_>, _: Args<'_>) -> Result<u64, Fault> {
    Ok(0)
}

/// The upper half of a result that is wider than what crosses the module's border.
fn get_temp_ret(host: &mut Host<'_>, _: Args<'_>) -> Result<u64, Fault> {
    Ok(int(host.state.temp_ret))
}

fn set_temp_ret(host: &mut Host<'_>, args: Args<'_>) -> Result<u64, Fault> {
    host.state.temp_ret = args.int(0);
    Ok(0)
}
