//! The system calls that Emscripten's library makes: `__syscall_*`. They return what Linux does, errors as negative
//! numbers of WASI. An address outside of the memory is `EFAULT`.

mod control;
mod layout;

use crate::context::{Args, HostCtx, int};
use crate::errno::Errno;
use crate::failure::Fault;
use crate::files::flags::{AT_FDCWD, AT_REMOVEDIR, AT_SYMLINK_NOFOLLOW, O_CREAT};
use crate::files::{SetTime, Time};
use crate::function::Call::Syscall;
use crate::function::{DESCRIPTOR, FILE, Function, OPEN, env};
use crate::limits::{PATH_BYTES, STEP_BYTES};
use crate::memory::Memory;
use control::{fcntl, ioctl, poll};
use layout::{Counts, put_stat, put_statfs};

/// The longest path and its NUL, in bytes.
const PATH_MAX: usize = PATH_BYTES + 1;

pub(super) const FUNCTIONS: &[Function] = &[
    env("__syscall_openat", "ipip:i", FILE, Syscall(openat)),
    // What is said relative to the working directory, up to Emscripten 3.1.7 or 3.1.8.
    env("__syscall_open", "pip:i", FILE, Syscall(|host, args| openat(host, Args(&here(args))))),
    env("__syscall_unlink", "p:i", FILE, Syscall(|host, args| unlinkat(host, Args(&here(args))))),
    env("__syscall_mkdir", "pi:i", FILE, Syscall(|host, args| mkdirat(host, Args(&here(args))))),
    env("__syscall_mknod", "pii:i", FILE, Syscall(|host, args| mknodat(host, Args(&here(args))))),
    env("__syscall_access", "pi:i", FILE, Syscall(|host, args| faccessat(host, Args(&here(args))))),
    env("__syscall_readlink", "ppp:i", FILE, Syscall(|host, args| readlinkat(host, Args(&here(args))))),
    env("__syscall_fstatat64", "ippi:i", FILE, Syscall(fstatat)),
    env("__syscall_fadvise64_64", "ijji:i", DESCRIPTOR, Syscall(fadvise)),
    env("__syscall_dup", "i:i", DESCRIPTOR, Syscall(dup)),
    env("__syscall_dup3", "iii:i", DESCRIPTOR, Syscall(dup3)),
    env("__syscall_fcntl64", "iip:i", DESCRIPTOR, Syscall(fcntl)),
    env("__syscall_ioctl", "iip:i", DESCRIPTOR, Syscall(ioctl)),
    env("__syscall_fstat64", "ip:i", DESCRIPTOR, Syscall(fstat)),
    env("__syscall_stat64", "pp:i", FILE, Syscall(stat)),
    env("__syscall_lstat64", "pp:i", FILE, Syscall(lstat)),
    env("__syscall_newfstatat", "ippi:i", FILE, Syscall(fstatat)),
    env("__syscall_statfs64", "ppp:i", FILE, Syscall(statfs)),
    env("__syscall_fstatfs64", "ipp:i", DESCRIPTOR, Syscall(fstatfs)),
    env("__syscall_truncate64", "pj:i", FILE, Syscall(truncate)),
    env("__syscall_ftruncate64", "ij:i", DESCRIPTOR, Syscall(ftruncate)),
    env("__syscall_fallocate", "iijj:i", DESCRIPTOR, Syscall(fallocate)),
    env("__syscall_fadvise64", "ijji:i", DESCRIPTOR, Syscall(fadvise)),
    env("__syscall_getcwd", "pp:i", FILE, Syscall(getcwd)),
    env("__syscall_chdir", "p:i", FILE, Syscall(chdir)),
    env("__syscall_fchdir", "i:i", DESCRIPTOR, Syscall(fchdir)),
    env("__syscall_mkdirat", "ipi:i", FILE, Syscall(mkdirat)),
    env("__syscall_mknodat", "ipii:i", FILE, Syscall(mknodat)),
    env("__syscall_rmdir", "p:i", FILE, Syscall(rmdir)),
    env("__syscall_unlinkat", "ipi:i", FILE, Syscall(unlinkat)),
    env("__syscall_rename", "pp:i", FILE, Syscall(rename)),
    env("__syscall_renameat", "ipip:i", FILE, Syscall(renameat)),
    env("__syscall_linkat", "ipipi:i", FILE, Syscall(linkat)),
    env("__syscall_symlink", "pp:i", FILE, Syscall(symlink)),
    env("__syscall_symlinkat", "pip:i", FILE, Syscall(symlinkat)),
    env("__syscall_readlinkat", "ippp:i", FILE, Syscall(readlinkat)),
    env("__syscall_faccessat", "ipii:i", FILE, Syscall(faccessat)),
    env("__syscall_chmod", "pi:i", FILE, Syscall(chmod)),
    env("__syscall_fchmod", "ii:i", DESCRIPTOR, Syscall(fchmod)),
    env("__syscall_fchmodat", "ipip:i", FILE, Syscall(fchmodat)),
    env("__syscall_fchmodat2", "ipii:i", FILE, Syscall(fchmodat2)),
    env("__syscall_chown32", "pii:i", FILE, Syscall(chown)),
    env("__syscall_lchown32", "pii:i", FILE, Syscall(lchown)),
    env("__syscall_fchown32", "iii:i", DESCRIPTOR, Syscall(fchown)),
    env("__syscall_fchownat", "ipiii:i", FILE, Syscall(fchownat)),
    env("__syscall_utimensat", "ippi:i", FILE, Syscall(utimensat)),
    env("__syscall_getdents64", "ipp:i", DESCRIPTOR, Syscall(getdents)),
    env("__syscall_fsync", "i:i", DESCRIPTOR, Syscall(fsync)),
    env("__syscall_fdatasync", "i:i", DESCRIPTOR, Syscall(fsync)),
    env("__syscall_sync", ":i", FILE, Syscall(sync)),
    env("__syscall_poll", "pii:i", FILE, Syscall(poll)),
    env("__syscall_pipe", "p:i", FILE, Syscall(pipe)),
    env("__syscall_pipe2", "pi:i", FILE, Syscall(pipe2)),
    env("__syscall_umask", "i:i", OPEN, Syscall(zero)),
    env("__syscall_getuid32", ":i", OPEN, Syscall(zero)),
    env("__syscall_geteuid32", ":i", OPEN, Syscall(zero)),
    env("__syscall_getgid32", ":i", OPEN, Syscall(zero)),
    env("__syscall_getegid32", ":i", OPEN, Syscall(zero)),
];

type Answer = Result<i32, Errno>;

/// The path at an address.
fn path<'a>(memory: &'a Memory<'_>, at: u64) -> Result<&'a [u8], Errno> {
    if at == 0 {
        return Err(Errno::FAULT);
    }
    // No further than a path can reach.
    let path = memory.string(at, PATH_MAX)?;
    if path.len() >= PATH_MAX {
        return Err(Errno::NAMETOOLONG);
    }
    // It is read once here and once as it is walked along.
    memory.pay(path.len() as u64)?;
    Ok(path)
}

/// The answer of what only succeeds or fails.
fn done(result: Result<(), Errno>) -> Answer {
    result.map(|()| 0)
}

/// The answer of what counts; counts are of things in memory or bounded ones.
fn count(number: u64) -> Answer {
    i32::try_from(number).map_err(|_| Errno::OVERFLOW)
}

/// The arguments of a call that does not say where a path starts, with that in front.
fn here(args: Args<'_>) -> Vec<u64> {
    [&[int(AT_FDCWD)], args.0].concat()
}

/// Opens a file: `dirfd`, `path`, `flags`, and where there is one, the mode.
fn openat(host: &mut HostCtx<'_>, args: Args<'_>) -> Answer {
    let path = path(&host.memory, args.pointer(1))?;
    let (flags, rest) = (args.int(2), args.pointer(3));
    let mode = if flags & O_CREAT == 0 || rest == 0 { 0 } else { host.memory.i32(rest)? };
    host.state.files.open(args.int(0), path, flags, mode as u32, host.now)
}

fn dup(host: &mut HostCtx<'_>, args: Args<'_>) -> Answer {
    host.state.files.duplicate(args.int(0), 0, false)
}

fn dup3(host: &mut HostCtx<'_>, args: Args<'_>) -> Answer {
    host.state.files.duplicate_as(args.int(0), args.int(1), args.int(2))
}

fn fstat(host: &mut HostCtx<'_>, args: Args<'_>) -> Answer {
    let stat = host.state.files.stat_open(args.int(0))?;
    put_stat(host, args.pointer(1), &stat)
}

fn stat(host: &mut HostCtx<'_>, args: Args<'_>) -> Answer {
    stat_at(host, (AT_FDCWD, args.pointer(0)), args.pointer(1), 0)
}

fn lstat(host: &mut HostCtx<'_>, args: Args<'_>) -> Answer {
    stat_at(host, (AT_FDCWD, args.pointer(0)), args.pointer(1), AT_SYMLINK_NOFOLLOW)
}

fn fstatat(host: &mut HostCtx<'_>, args: Args<'_>) -> Answer {
    stat_at(host, (args.int(0), args.pointer(1)), args.pointer(2), args.int(3))
}

fn stat_at(host: &mut HostCtx<'_>, (at, name): (i32, u64), into: u64, flags: i32) -> Answer {
    let stat = host.state.files.stat(at, path(&host.memory, name)?, flags)?;
    put_stat(host, into, &stat)
}

/// A path, the size of the structure, and where it is written.
fn statfs(host: &mut HostCtx<'_>, args: Args<'_>) -> Answer {
    let counts = Counts::of(args.pointer(1), host.memory.width())?;
    let space = host.state.files.space(path(&host.memory, args.pointer(0))?)?;
    put_statfs(&mut host.memory, args.pointer(2), counts, &space)
}

/// As [`statfs`], of a descriptor.
fn fstatfs(host: &mut HostCtx<'_>, args: Args<'_>) -> Answer {
    let counts = Counts::of(args.pointer(1), host.memory.width())?;
    let space = host.state.files.space_of_open(args.int(0))?;
    put_statfs(&mut host.memory, args.pointer(2), counts, &space)
}

fn truncate(host: &mut HostCtx<'_>, args: Args<'_>) -> Answer {
    done(host.state.files.truncate(path(&host.memory, args.pointer(0))?, args.wide(1), host.now))
}

fn ftruncate(host: &mut HostCtx<'_>, args: Args<'_>) -> Answer {
    done(host.state.files.truncate_open(args.int(0), args.wide(1), host.now))
}

fn fallocate(host: &mut HostCtx<'_>, args: Args<'_>) -> Answer {
    done(host.state.files.allocate(args.int(0), args.int(1), args.wide(2), args.wide(3), host.now))
}

/// Advice is not taken.
fn fadvise(host: &mut HostCtx<'_>, args: Args<'_>) -> Answer {
    host.state.files.readable(args.int(0)).map(|_| 0).or_else(|errno| match errno {
        Errno::NOTTY => Ok(0),
        errno => Err(errno),
    })
}

/// Writes the working directory and a NUL: how many bytes that are.
fn getcwd(host: &mut HostCtx<'_>, args: Args<'_>) -> Answer {
    let (at, size) = (args.pointer(0), args.pointer(1));
    if size == 0 {
        return Err(Errno::INVAL);
    }
    let mut path = host.state.files.working_directory()?;
    path.push(0);
    if (path.len() as u64) > size {
        return Err(Errno::RANGE);
    }
    host.memory.put(at, &path)?;
    count(path.len() as u64)
}

fn chdir(host: &mut HostCtx<'_>, args: Args<'_>) -> Answer {
    done(host.state.files.change_directory(path(&host.memory, args.pointer(0))?))
}

fn fchdir(host: &mut HostCtx<'_>, args: Args<'_>) -> Answer {
    done(host.state.files.change_directory_to(args.int(0)))
}

fn mkdirat(host: &mut HostCtx<'_>, args: Args<'_>) -> Answer {
    let path = path(&host.memory, args.pointer(1))?;
    done(host.state.files.make_directory(args.int(0), path, args.int(2) as u32, host.now))
}

fn mknodat(host: &mut HostCtx<'_>, args: Args<'_>) -> Answer {
    let path = path(&host.memory, args.pointer(1))?;
    let (mode, device) = (args.int(2) as u32, args.int(3) as u32);
    done(host.state.files.make_node(args.int(0), path, mode, device, host.now))
}

fn rmdir(host: &mut HostCtx<'_>, args: Args<'_>) -> Answer {
    let path = path(&host.memory, args.pointer(0))?;
    done(host.state.files.remove_directory(AT_FDCWD, path, host.now))
}

fn unlinkat(host: &mut HostCtx<'_>, args: Args<'_>) -> Answer {
    let path = path(&host.memory, args.pointer(1))?;
    let files = &mut host.state.files;
    done(match args.int(2) {
        0 => files.unlink(args.int(0), path, host.now),
        AT_REMOVEDIR => files.remove_directory(args.int(0), path, host.now),
        _ => Err(Errno::INVAL),
    })
}

fn renameat(host: &mut HostCtx<'_>, args: Args<'_>) -> Answer {
    let (from, to) = (path(&host.memory, args.pointer(1))?, path(&host.memory, args.pointer(3))?);
    done(host.state.files.rename((args.int(0), from), (args.int(2), to), host.now))
}

fn rename(host: &mut HostCtx<'_>, args: Args<'_>) -> Answer {
    let (from, to) = (path(&host.memory, args.pointer(0))?, path(&host.memory, args.pointer(1))?);
    done(host.state.files.rename((AT_FDCWD, from), (AT_FDCWD, to), host.now))
}

fn linkat(host: &mut HostCtx<'_>, args: Args<'_>) -> Answer {
    let (from, to) = (path(&host.memory, args.pointer(1))?, path(&host.memory, args.pointer(3))?);
    done(host.state.files.link((args.int(0), from), (args.int(2), to), args.int(4), host.now))
}

fn symlink(host: &mut HostCtx<'_>, args: Args<'_>) -> Answer {
    let (target, link) = (path(&host.memory, args.pointer(0))?, path(&host.memory, args.pointer(1))?);
    done(host.state.files.make_symlink(target, AT_FDCWD, link, host.now))
}

fn symlinkat(host: &mut HostCtx<'_>, args: Args<'_>) -> Answer {
    let (target, link) = (path(&host.memory, args.pointer(0))?, path(&host.memory, args.pointer(2))?);
    done(host.state.files.make_symlink(target, args.int(1), link, host.now))
}

/// Writes as much of the path as there is room for, without a NUL: how many bytes that are.
fn readlinkat(host: &mut HostCtx<'_>, args: Args<'_>) -> Answer {
    let (at, size) = (args.pointer(2), args.pointer(3));
    if size == 0 {
        return Err(Errno::INVAL);
    }
    let target = host.state.files.read_link(args.int(0), path(&host.memory, args.pointer(1))?)?;
    let shown = usize::try_from(size).ok().and_then(|size| target.get(..size)).unwrap_or(&target);
    host.memory.put(at, shown)?;
    count(shown.len() as u64)
}

fn faccessat(host: &mut HostCtx<'_>, args: Args<'_>) -> Answer {
    let path = path(&host.memory, args.pointer(1))?;
    done(host.state.files.access(args.int(0), path, args.int(2), args.int(3)))
}

fn chmod(host: &mut HostCtx<'_>, args: Args<'_>) -> Answer {
    let path = path(&host.memory, args.pointer(0))?;
    done(host.state.files.change_mode(AT_FDCWD, path, args.int(1) as u32, 0, host.now))
}

fn fchmod(host: &mut HostCtx<'_>, args: Args<'_>) -> Answer {
    done(host.state.files.change_mode_of_open(args.int(0), args.int(1) as u32, host.now))
}

/// Up to Emscripten 3.1.56. It has no flags, which the library looks after itself: the last argument is where they would
/// be, and means nothing.
fn fchmodat(host: &mut HostCtx<'_>, args: Args<'_>) -> Answer {
    let path = path(&host.memory, args.pointer(1))?;
    done(host.state.files.change_mode(args.int(0), path, args.int(2) as u32, 0, host.now))
}

/// The same with flags.
fn fchmodat2(host: &mut HostCtx<'_>, args: Args<'_>) -> Answer {
    let path = path(&host.memory, args.pointer(1))?;
    done(host.state.files.change_mode(args.int(0), path, args.int(2) as u32, args.int(3), host.now))
}

/// A user and a group, from an argument on.
fn owner(args: Args<'_>, index: usize) -> (u32, u32) {
    (args.int(index) as u32, args.int(index + 1) as u32)
}

fn chown(host: &mut HostCtx<'_>, args: Args<'_>) -> Answer {
    let path = path(&host.memory, args.pointer(0))?;
    done(host.state.files.change_owner(AT_FDCWD, path, owner(args, 1), 0, host.now))
}

fn lchown(host: &mut HostCtx<'_>, args: Args<'_>) -> Answer {
    let path = path(&host.memory, args.pointer(0))?;
    done(host.state.files.change_owner(AT_FDCWD, path, owner(args, 1), AT_SYMLINK_NOFOLLOW, host.now))
}

fn fchown(host: &mut HostCtx<'_>, args: Args<'_>) -> Answer {
    done(host.state.files.change_owner_of_open(args.int(0), owner(args, 1), host.now))
}

fn fchownat(host: &mut HostCtx<'_>, args: Args<'_>) -> Answer {
    let path = path(&host.memory, args.pointer(1))?;
    done(host.state.files.change_owner(args.int(0), path, owner(args, 2), args.int(4), host.now))
}

/// Without times, both are set to now; without a path, those of the descriptor.
fn utimensat(host: &mut HostCtx<'_>, args: Args<'_>) -> Answer {
    let (name, times) = (args.pointer(1), args.pointer(2));
    let times = match times {
        0 => [SetTime::Now; 2],
        at => {
            let second = at.checked_add(2 * behind_seconds(host)).ok_or(Errno::FAULT)?;
            [time(host, at)?, time(host, second)?]
        }
    };
    let path = if name == 0 { None } else { Some(path(&host.memory, name)?) };
    done(host.state.files.set_times(args.int(0), path, times, args.int(3), host.now))
}

/// Where a `struct timespec` has its nanoseconds: half of it.
fn behind_seconds(host: &HostCtx<'_>) -> u64 {
    host.abi.time_bytes().max(host.memory.width().bytes())
}

fn time(host: &HostCtx<'_>, at: u64) -> Result<SetTime, Errno> {
    const UTIME_NOW: i32 = 0x3fff_ffff;
    const UTIME_OMIT: i32 = 0x3fff_fffe;

    let seconds = host.time_at(at)?;
    match host.memory.i32(at.checked_add(behind_seconds(host)).ok_or(Errno::FAULT)?)? {
        UTIME_NOW => Ok(SetTime::Now),
        UTIME_OMIT => Ok(SetTime::Leave),
        nanoseconds => match u32::try_from(nanoseconds) {
            Ok(nanoseconds) if nanoseconds < Time::NANOSECONDS => Ok(SetTime::To(Time { seconds, nanoseconds })),
            _ => Err(Errno::INVAL),
        },
    }
}

/// Writes as many `struct dirent` as there is room for: how many bytes that are, 0 at the end.
fn getdents(host: &mut HostCtx<'_>, args: Args<'_>) -> Answer {
    /// Bytes of an entry: those of Emscripten are all as long as the longest.
    const RECORD: u64 = 280;
    let (at, size) = (args.pointer(1), args.pointer(2).min(STEP_BYTES));
    let mut written = 0;
    let mut failure = None;
    let memory = &mut host.memory;
    host.state.files.list(args.int(0), |entry| {
        if RECORD > size - written {
            failure = Some(Errno::INVAL);
            return false;
        }
        let mut bytes = Vec::with_capacity(RECORD as usize);
        bytes.extend_from_slice(&entry.inode.to_le_bytes());
        bytes.extend_from_slice(&entry.position.to_le_bytes());
        bytes.extend_from_slice(&(RECORD as u16).to_le_bytes());
        // What a mode has there.
        bytes.push((entry.format >> 12) as u8);
        bytes.extend_from_slice(entry.name);
        bytes.resize(RECORD as usize, 0);
        let put = at.checked_add(written).ok_or(Fault::OutOfBounds).and_then(|at| memory.put(at, &bytes));
        match put {
            Ok(()) => {
                written += RECORD;
                true
            }
            Err(_) => {
                failure = Some(Errno::FAULT);
                false
            }
        }
    })?;
    match failure {
        Some(errno) if written == 0 => Err(errno),
        _ => count(written),
    }
}

fn fsync(host: &mut HostCtx<'_>, args: Args<'_>) -> Answer {
    done(host.state.files.sync(args.int(0)))
}

fn sync(_: &mut HostCtx<'_>, _: Args<'_>) -> Answer {
    Ok(0)
}

/// The program runs as the one user that there is, and no bit of a mode is masked.
fn zero(_: &mut HostCtx<'_>, _: Args<'_>) -> Answer {
    Ok(0)
}

/// Where the two descriptors are written, the reading one first.
fn pipe(host: &mut HostCtx<'_>, args: Args<'_>) -> Answer {
    make_pipe(host, args.pointer(0), 0)
}

/// The same with flags.
fn pipe2(host: &mut HostCtx<'_>, args: Args<'_>) -> Answer {
    make_pipe(host, args.pointer(0), args.int(1))
}

fn make_pipe(host: &mut HostCtx<'_>, at: u64, flags: i32) -> Answer {
    host.memory.get(at, 8)?;
    let [read, write] = host.state.files.make_pipe(flags, host.now)?;
    host.memory.put(at, &(u64::from(read as u32) | u64::from(write as u32) << 32).to_le_bytes())?;
    Ok(0)
}
