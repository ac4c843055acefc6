//! Clocks. All of them show the same: the caller's time, or that to which the program has slept, if that is later.

use super::Answer;
use crate::context::{Args, HostCtx};
use crate::errno::Errno;

/// The number of a clock: real time, monotonic, and those of the process and the thread.
pub(super) fn check(number: i32) -> Answer {
    if (0..4).contains(&number) { Ok(()) } else { Err(Errno::INVAL) }
}

/// Writes nanoseconds.
pub(super) fn time_get(host: &mut HostCtx<'_>, args: Args<'_>) -> Answer {
    check(args.int(0))?;
    let now = host.look_closely();
    host.memory.put_u64(args.pointer(2), now)?;
    Ok(())
}

/// The caller's time has milliseconds.
pub(super) fn res_get(host: &mut HostCtx<'_>, args: Args<'_>) -> Answer {
    check(args.int(0))?;
    host.memory.put_u64(args.pointer(1), 1_000_000)?;
    Ok(())
}
