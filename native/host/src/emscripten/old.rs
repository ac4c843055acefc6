//! Functions that only older versions import: later ones have them in C, on top of fewer.

use crate::context::{Args, HostCtx};
use crate::errno::Errno;
use crate::failure::Fault;
use crate::function::Call::{Library, Plain};
use crate::function::{Function, OPEN, env};

/// Up to Emscripten 3.1.7, when a `time_t` has 32 bits.
pub(super) const FUNCTIONS: &[Function] = &[
    env("time", "p:i", OPEN, Plain(time)),
    env("clock", ":i", OPEN, Plain(clock)),
    env("clock_gettime", "ip:i", OPEN, Library(clock_gettime)),
    env("clock_getres", "ip:i", OPEN, Library(clock_getres)),
    env("gettimeofday", "pp:i", OPEN, Plain(gettimeofday)),
    env("difftime", "ii:d", OPEN, Plain(difftime)),
    env("dysize", "i:i", OPEN, Plain(dysize)),
];

/// The clock, in whole seconds and milliseconds.
fn now(host: &mut HostCtx<'_>) -> (i64, u32) {
    const SECOND: u64 = 1000;

    let now = host.look();
    ((now / SECOND) as i64, (now % SECOND) as u32)
}

/// Where a structure has what follows its time.
fn behind_time(host: &HostCtx<'_>, at: u64) -> Result<u64, Fault> {
    at.checked_add(host.abi.time_bytes().max(host.memory.width().bytes())).ok_or(Fault::OutOfBounds)
}

fn time(host: &mut HostCtx<'_>, args: Args<'_>) -> Result<u64, Fault> {
    let (seconds, _) = now(host);
    if args.pointer(0) != 0 {
        host.put_time(args.pointer(0), seconds)?;
    }
    Ok(seconds as u64)
}

/// Counts from the first look in a call, and the clock stands still.
fn clock(_: &mut HostCtx<'_>, _: Args<'_>) -> Result<u64, Fault> {
    Ok(0)
}

/// Real time, and the monotonic clock with its raw relative. There are no others.
fn check_clock(number: i32, clocks: &[i32]) -> Result<(), Errno> {
    if clocks.contains(&number) { Ok(()) } else { Err(Errno::INVAL) }
}

fn clock_gettime(host: &mut HostCtx<'_>, args: Args<'_>) -> Result<i32, Errno> {
    check_clock(args.int(0), &[0, 1, 4])?;
    let (seconds, milliseconds) = now(host);
    put_timespec(host, args.pointer(1), seconds, milliseconds * 1_000_000)
}

/// The clock has milliseconds.
fn clock_getres(host: &mut HostCtx<'_>, args: Args<'_>) -> Result<i32, Errno> {
    check_clock(args.int(0), &[0, 1])?;
    put_timespec(host, args.pointer(1), 0, 1_000_000)
}

fn put_timespec(host: &mut HostCtx<'_>, at: u64, seconds: i64, nanoseconds: u32) -> Result<i32, Errno> {
    host.put_time(at, seconds)?;
    let behind = behind_time(host, at)?;
    host.memory.put_pointer(behind, u64::from(nanoseconds))?;
    Ok(0)
}

/// Writes a `struct timeval`, whose second half is as wide as the first.
fn gettimeofday(host: &mut HostCtx<'_>, args: Args<'_>) -> Result<u64, Fault> {
    let (seconds, milliseconds) = now(host);
    let at = args.pointer(0);
    host.put_time(at, seconds)?;
    let behind = behind_time(host, at)?;
    host.put_time(behind, i64::from(milliseconds * 1000))?;
    Ok(0)
}

fn difftime(_: &mut HostCtx<'_>, args: Args<'_>) -> Result<u64, Fault> {
    Ok((f64::from(args.int(0)) - f64::from(args.int(1))).to_bits())
}

/// The days of a year.
fn dysize(_: &mut HostCtx<'_>, args: Args<'_>) -> Result<u64, Fault> {
    let year = args.int(0);
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    Ok(if is_leap { 366 } else { 365 })
}
