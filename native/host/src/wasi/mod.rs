//! The functions of WASI preview 1 that programs import: on descriptors, arguments, the environment, the clock and the
//! end of the program. They return 0 or an error's number. An address outside of the memory is `EFAULT`.

use crate::context::{Args, HostCtx};
use crate::errno::Errno;
use crate::failure::Fault;
use crate::files::Files;
use crate::files::flags::{O_APPEND, O_DSYNC, O_NONBLOCK, O_SYNC_ONLY, S_IFCHR, S_IFDIR, S_IFLNK, S_IFMT};
use crate::files::flags::{SEEK_CUR, SEEK_END, SEEK_SET};
use crate::function::Call::{self, Plain, Wasi};
use crate::function::{DESCRIPTOR, Flags, Function, OPEN};
use crate::limits::{BUFFERS, STEP_BYTES};
use crate::program::PROGRAM;

mod startup;

pub(crate) use startup::initialize;

/// The module of preview 1.
pub(crate) const PREVIEW_1: &str = "wasi_snapshot_preview1";
/// The module of the snapshot before it.
const UNSTABLE: &str = "wasi_unstable";
/// The modules that programs of WASI import from.
pub(crate) const MODULES: [&str; 2] = [PREVIEW_1, UNSTABLE];

/// The functions of one of these modules; those that differ in the older one come first.
pub(crate) fn functions(module: &str) -> impl Iterator<Item = &'static Function> + use<> {
    let (older, all): (&[Function], &[Function]) = match module {
        PREVIEW_1 => (&[], FUNCTIONS),
        UNSTABLE => (OLDER, FUNCTIONS),
        _ => (&[], &[]),
    };
    older.iter().chain(all)
}

const OLDER: &[Function] = &[wasi("fd_seek", "ijip:i", DESCRIPTOR, Wasi(older_fd_seek))];

pub(crate) const FUNCTIONS: &[Function] = &[
    wasi("args_get", "pp:i", OPEN, Wasi(args_get)),
    wasi("args_sizes_get", "pp:i", OPEN, Wasi(args_sizes_get)),
    wasi("clock_res_get", "ip:i", OPEN, Wasi(clock_res_get)),
    wasi("clock_time_get", "ijp:i", OPEN, Wasi(clock_time_get)),
    wasi("environ_get", "pp:i", OPEN, Wasi(environ_get)),
    wasi("environ_sizes_get", "pp:i", OPEN, Wasi(environ_sizes_get)),
    wasi("fd_close", "i:i", DESCRIPTOR, Wasi(fd_close)),
    wasi("fd_datasync", "i:i", DESCRIPTOR, Wasi(fd_sync)),
    wasi("fd_fdstat_get", "ip:i", DESCRIPTOR, Wasi(fd_fdstat_get)),
    wasi("fd_pread", "ippjp:i", DESCRIPTOR, Wasi(fd_pread)),
    wasi("fd_pwrite", "ippjp:i", DESCRIPTOR, Wasi(fd_pwrite)),
    wasi("fd_read", "ippp:i", DESCRIPTOR, Wasi(fd_read)),
    wasi("fd_seek", "ijip:i", DESCRIPTOR, Wasi(fd_seek)),
    wasi("fd_sync", "i:i", DESCRIPTOR, Wasi(fd_sync)),
    wasi("fd_write", "ippp:i", DESCRIPTOR, Wasi(fd_write)),
    wasi("random_get", "pp:i", OPEN, Wasi(random_get)),
    wasi("sched_yield", ":i", OPEN, Wasi(sched_yield)),
    wasi("proc_exit", "i:", OPEN, Plain(proc_exit)),
];

const fn wasi(name: &'static str, shape: &'static str, flags: Flags, call: Call) -> Function {
    Function { module: PREVIEW_1, name, shape, flags, call }
}

type Answer = Result<(), Errno>;

fn args_sizes_get(host: &mut HostCtx<'_>, args: Args<'_>) -> Answer {
    host.memory.put_pointer(args.pointer(0), 1)?;
    host.memory.put_pointer(args.pointer(1), PROGRAM.len() as u64)?;
    Ok(())
}

fn args_get(host: &mut HostCtx<'_>, args: Args<'_>) -> Answer {
    host.memory.put(args.pointer(1), PROGRAM)?;
    host.memory.put_pointer(args.pointer(0), args.pointer(1))?;
    Ok(())
}

/// There are no variables, as under the loader of AO's processes.
fn environ_sizes_get(host: &mut HostCtx<'_>, args: Args<'_>) -> Answer {
    host.memory.put_pointer(args.pointer(0), 0)?;
    host.memory.put_pointer(args.pointer(1), 0)?;
    Ok(())
}

fn environ_get(_: &mut HostCtx<'_>, _: Args<'_>) -> Answer {
    Ok(())
}

/// The number of a clock: real time, monotonic, and those of the process and the thread. All of them tell the same.
fn clock(number: i32) -> Answer {
    if (0..4).contains(&number) { Ok(()) } else { Err(Errno::INVAL) }
}

/// Writes the caller's time in nanoseconds.
fn clock_time_get(host: &mut HostCtx<'_>, args: Args<'_>) -> Answer {
    const NANOSECONDS: u64 = 1_000_000;

    clock(args.int(0))?;
    host.memory.put_u64(args.pointer(2), host.now.saturating_mul(NANOSECONDS))?;
    Ok(())
}

/// The caller's time has milliseconds.
fn clock_res_get(host: &mut HostCtx<'_>, args: Args<'_>) -> Answer {
    clock(args.int(0))?;
    host.memory.put_u64(args.pointer(1), 1_000_000)?;
    Ok(())
}

/// There is no randomness, and bytes that are not random must not pass for it.
fn random_get(_: &mut HostCtx<'_>, _: Args<'_>) -> Answer {
    Err(Errno::NOSYS)
}

fn sched_yield(_: &mut HostCtx<'_>, _: Args<'_>) -> Answer {
    Ok(())
}

fn proc_exit(_: &mut HostCtx<'_>, args: Args<'_>) -> Result<u64, Fault> {
    Err(Fault::Exit(args.int(0)))
}

fn fd_close(host: &mut HostCtx<'_>, args: Args<'_>) -> Answer {
    host.state.files.close(args.int(0))
}

fn fd_sync(host: &mut HostCtx<'_>, args: Args<'_>) -> Answer {
    host.state.files.check(args.int(0))
}

/// `fd`, `offset`, `whence` as `lseek` has it, and where the new offset is written.
fn fd_seek(host: &mut HostCtx<'_>, args: Args<'_>) -> Answer {
    seek(host, args, args.int(2))
}

/// The same with the numbers of `whence` in another order.
fn older_fd_seek(host: &mut HostCtx<'_>, args: Args<'_>) -> Answer {
    let whence = match args.int(2) {
        0 => SEEK_CUR,
        1 => SEEK_END,
        2 => SEEK_SET,
        _ => return Err(Errno::INVAL),
    };
    seek(host, args, whence)
}

fn seek(host: &mut HostCtx<'_>, args: Args<'_>, whence: i32) -> Answer {
    let into = args.pointer(3);
    host.memory.get(into, 8)?;
    let offset = host.state.files.seek(args.int(0), args.wide(1), whence)?;
    host.memory.put_u64(into, offset)?;
    Ok(())
}

/// Writes a `fdstat`: what is open, and its flags. Of rights none are told, as by Emscripten.
fn fd_fdstat_get(host: &mut HostCtx<'_>, args: Args<'_>) -> Answer {
    const FDSTAT: u64 = 24;
    /// Flags as WASI has them, and as `open` has them.
    const FLAGS: [(u8, i32); 4] = [(1, O_APPEND), (2, O_DSYNC), (4, O_NONBLOCK), (16, O_SYNC_ONLY)];

    let fd = args.int(0);
    let files = &host.state.files;
    let kind = match files.stat_open(fd)?.mode & S_IFMT {
        S_IFCHR => 2,
        S_IFDIR => 3,
        S_IFLNK => 7,
        _ => 4,
    };
    let open = files.flags(fd)?;
    let flags = FLAGS.into_iter().filter(|(_, flag)| open & flag != 0).map(|(bit, _)| bit).sum();
    let at = args.pointer(1);
    let bytes = host.memory.get_mut(at, FDSTAT)?;
    bytes.fill(0);
    host.memory.put(at, &[kind, 0, flags])?;
    Ok(())
}

fn fd_read(host: &mut HostCtx<'_>, args: Args<'_>) -> Answer {
    let call = Parts { fd: args.int(0), at: args.pointer(1), count: args.pointer(2), into: args.pointer(3) };
    call.read(host, |_| Ok(None), |files, fd, _, bytes| files.read(fd, bytes))
}

fn fd_pread(host: &mut HostCtx<'_>, args: Args<'_>) -> Answer {
    let call = Parts { fd: args.int(0), at: args.pointer(1), count: args.pointer(2), into: args.pointer(4) };
    let start = args.wide(3);
    let offset = |done| behind(start, done);
    call.read(host, |done| offset(done).map(Some), |files, fd, done, bytes| files.pread(fd, offset(done)?, bytes))
}

fn fd_write(host: &mut HostCtx<'_>, args: Args<'_>) -> Answer {
    let call = Parts { fd: args.int(0), at: args.pointer(1), count: args.pointer(2), into: args.pointer(3) };
    call.write(host, |files, fd, _, bytes, now| files.write(fd, bytes, now))
}

fn fd_pwrite(host: &mut HostCtx<'_>, args: Args<'_>) -> Answer {
    let call = Parts { fd: args.int(0), at: args.pointer(1), count: args.pointer(2), into: args.pointer(4) };
    let start = args.wide(3);
    call.write(host, |files, fd, done, bytes, now| files.pwrite(fd, behind(start, done)?, bytes, now))
}

fn behind(start: i64, done: u64) -> Result<i64, Errno> {
    i64::try_from(done).ok().and_then(|done| start.checked_add(done)).ok_or(Errno::INVAL)
}

/// A call that reads or writes in parts, and where it says how much that was.
struct Parts {
    fd: i32,
    /// An array of addresses and sizes, each as wide as a pointer.
    at: u64,
    count: u64,
    into: u64,
}

impl Parts {
    /// `offset` is where a part is read, given what was read before; none is where the descriptor is.
    fn read(
        &self,
        host: &mut HostCtx<'_>,
        offset: impl Fn(u64) -> Result<Option<i64>, Errno>,
        mut read: impl FnMut(&mut Files, i32, u64, &mut [u8]) -> Result<usize, Errno>,
    ) -> Answer {
        self.each(host, |host, done, at, size| {
            if size > 0 {
                host.memory.check(at, size)?;
            }
            let count = host.state.files.count(self.fd, offset(done)?, size)?;
            host.memory.pay(count)?;
            let bytes = if count == 0 { &mut [][..] } else { host.memory.room(at, count)? };
            read(&mut host.state.files, self.fd, done, bytes)
        })
    }

    fn write(
        &self,
        host: &mut HostCtx<'_>,
        mut write: impl FnMut(&mut Files, i32, u64, &[u8], u64) -> Result<usize, Errno>,
    ) -> Answer {
        self.each(host, |host, done, at, size| {
            let bytes = if size == 0 { &[][..] } else { host.memory.get(at, size)? };
            write(&mut host.state.files, self.fd, done, bytes, host.now)
        })
    }

    /// Does `part` for each part (what was done before, address, size) until one is not done whole. What fails after
    /// something was done is not told: the program sees how far it came.
    fn each(
        &self,
        host: &mut HostCtx<'_>,
        mut part: impl FnMut(&mut HostCtx<'_>, u64, u64, u64) -> Result<usize, Errno>,
    ) -> Answer {
        if self.count > BUFFERS {
            return Err(Errno::INVAL);
        }
        let width = host.memory.width().bytes();
        host.memory.get(self.into, width)?;
        // Looks at the descriptor even where there is nothing to do.
        let mut done = part(host, 0, 0, 0)? as u64;
        for index in 0..self.count {
            let step = index * 2 * width;
            let result = self.part(host, step, width).and_then(|(at, size)| {
                let most = size.min(STEP_BYTES - done);
                Ok((part(host, done, at, most)?, size))
            });
            match result {
                Ok((count, size)) => {
                    done += count as u64;
                    if (count as u64) < size {
                        break;
                    }
                }
                Err(_) if done > 0 => {
                    host.state.files.forget_wanted();
                    break;
                }
                Err(errno) => return Err(errno),
            }
        }
        host.memory.put_pointer(self.into, done)?;
        Ok(())
    }

    /// Address and size of a part.
    fn part(&self, host: &HostCtx<'_>, step: u64, width: u64) -> Result<(u64, u64), Errno> {
        let at = self.at.checked_add(step).ok_or(Errno::FAULT)?;
        let size = host.memory.pointer(at.checked_add(width).ok_or(Errno::FAULT)?)?;
        Ok((host.memory.pointer(at)?, size))
    }
}
