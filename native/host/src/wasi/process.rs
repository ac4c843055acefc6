//! What a program asks about itself, and its end.

use super::Answer;
use crate::context::{Args, HostCtx, int};
use crate::errno::Errno;
use crate::failure::Fault;
use crate::limits::BYTES_PER_FUEL;
use crate::memory::Memory;
use crate::strings::Vector;

const NONE: Vector<'_> = Vector::of(0, b"");

pub(super) fn args_sizes_get(host: &mut HostCtx<'_>, args: Args<'_>) -> Answer {
    put_sizes(&mut host.memory, args, host.state.program.arguments())
}

pub(super) fn args_get(host: &mut HostCtx<'_>, args: Args<'_>) -> Answer {
    put_strings(&mut host.memory, args, host.state.program.arguments())
}

/// Without what a caller gives there are no variables, as under the loader of AO's processes.
pub(super) fn environ_sizes_get(host: &mut HostCtx<'_>, args: Args<'_>) -> Answer {
    put_sizes(&mut host.memory, args, host.state.program.environment().unwrap_or(NONE))
}

pub(super) fn environ_get(host: &mut HostCtx<'_>, args: Args<'_>) -> Answer {
    put_strings(&mut host.memory, args, host.state.program.environment().unwrap_or(NONE))
}

/// How many strings there are, and how many bytes they have with their NULs. It costs as if somebody counted.
pub(crate) fn put_sizes(memory: &mut Memory<'_>, args: Args<'_>, strings: Vector<'_>) -> Answer {
    memory.pay(strings.bytes())?;
    memory.put_pointer(args.pointer(0), strings.count())?;
    memory.put_pointer(args.pointer(1), strings.bytes())?;
    Ok(())
}

/// Where each string is, and the strings one behind the other.
pub(crate) fn put_strings(memory: &mut Memory<'_>, args: Args<'_>, strings: Vector<'_>) -> Answer {
    strings.put(memory, args.pointer(0), args.pointer(1))?;
    Ok(())
}

pub(super) fn exit(_: &mut HostCtx<'_>, args: Args<'_>) -> Result<u64, Fault> {
    Err(Fault::Exit(args.int(0)))
}

/// A signal that ends a program ends the call; nobody handles one.
pub(super) fn raise(_: &mut HostCtx<'_>, args: Args<'_>) -> Result<u64, Fault> {
    const SIGNALS: [&str; 31] = [
        "NONE", "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE",
        "ALRM", "TERM", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ", "VTALRM", "PROF",
        "WINCH", "POLL", "PWR", "SYS",
    ];
    /// What a program does not notice that does not ask for it. It cannot be stopped either.
    const IGNORED: [&str; 9] = ["NONE", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "WINCH"];

    match usize::try_from(args.int(0)).ok().and_then(|number| SIGNALS.get(number)) {
        None => Ok(int(Errno::INVAL.positive())),
        Some(name) if IGNORED.contains(name) => Ok(0),
        Some(name) => Err(Fault::Abort(format!("the program raised SIG{name}"))),
    }
}

/// There is nobody else who could run. It costs fuel, so that a loop of it ends.
pub(super) fn sched_yield(host: &mut HostCtx<'_>, _: Args<'_>) -> Answer {
    host.memory.pay(BYTES_PER_FUEL)?;
    Ok(())
}
