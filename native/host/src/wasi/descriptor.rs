//! Functions on descriptors.

use super::Answer;
use super::layout::{Rights, Version, from_flags, put_fdstat, put_filestat, set_times};
use crate::context::{Args, HostCtx};
use crate::errno::Errno;
use crate::files::flags::{O_APPEND, O_NONBLOCK, S_IFDIR, S_IFMT, S_IFREG, SEEK_CUR, SEEK_END, SEEK_SET};
use crate::runtime::Runtime;

pub(super) fn close(host: &mut HostCtx<'_>, args: Args<'_>) -> Answer {
    host.state.files.close(args.int(0))
}

pub(super) fn sync(host: &mut HostCtx<'_>, args: Args<'_>) -> Answer {
    host.state.files.sync(args.int(0))
}

/// `fd`, an offset, a size and what the program is going to do there, which changes nothing.
pub(super) fn advise(host: &mut HostCtx<'_>, args: Args<'_>) -> Answer {
    let files = &host.state.files;
    files.check(args.int(0))?;
    if files.stat_open(args.int(0))?.mode & S_IFMT != S_IFREG {
        return Err(Errno::BADF);
    }
    let is_range = args.wide(1) >= 0 && args.wide(2) >= 0 && args.wide(1).checked_add(args.wide(2)).is_some();
    if is_range && (0..6).contains(&args.int(3)) { Ok(()) } else { Err(Errno::INVAL) }
}

pub(super) fn allocate(host: &mut HostCtx<'_>, args: Args<'_>) -> Answer {
    host.state.files.allocate(args.int(0), 0, args.wide(1), args.wide(2), host.now)
}

/// `fd`, `offset`, `whence` as `lseek` has it, and where the new offset is written.
pub(super) fn seek(host: &mut HostCtx<'_>, args: Args<'_>) -> Answer {
    seek_to(host, args.int(0), args.wide(1), args.int(2), args.pointer(3))
}

/// The same with the numbers of `whence` in another order.
pub(super) fn older_seek(host: &mut HostCtx<'_>, args: Args<'_>) -> Answer {
    let whence = match args.int(2) {
        0 => SEEK_CUR,
        1 => SEEK_END,
        2 => SEEK_SET,
        _ => return Err(Errno::INVAL),
    };
    seek_to(host, args.int(0), args.wide(1), whence, args.pointer(3))
}

pub(super) fn tell(host: &mut HostCtx<'_>, args: Args<'_>) -> Answer {
    seek_to(host, args.int(0), 0, SEEK_CUR, args.pointer(1))
}

/// In a directory only Emscripten's library moves: functions of WASI say where a listing goes on. They know no other places
/// to seek from than the start, the offset and the end.
fn seek_to(host: &mut HostCtx<'_>, fd: i32, offset: i64, whence: i32, into: u64) -> Answer {
    if host.state.runtime() == Runtime::Wasi {
        if host.state.files.stat_open(fd)?.mode & S_IFMT == S_IFDIR {
            return Err(Errno::BADF);
        }
        if ![SEEK_SET, SEEK_CUR, SEEK_END].contains(&whence) {
            return Err(Errno::INVAL);
        }
    }
    host.memory.get(into, 8)?;
    let offset = host.state.files.seek(fd, offset, whence)?;
    host.memory.put_u64(into, offset)?;
    Ok(())
}

/// Writes a `fdstat`: what is open, its flags, and what may be done with it. Emscripten's programs are not told of rights.
pub(super) fn fdstat_get(host: &mut HostCtx<'_>, args: Args<'_>) -> Answer {
    let (mode, open) = (host.state.files.stat_open(args.int(0))?.mode, host.state.files.flags(args.int(0))?);
    let rights = (host.state.runtime() == Runtime::Wasi).then(|| Rights::of(mode, open));
    put_fdstat(&mut host.memory, args.pointer(1), mode, open, rights)
}

/// # Errors
/// `ENOTSUP` where others than to append, and not to wait, would change.
pub(super) fn fdstat_set_flags(host: &mut HostCtx<'_>, args: Args<'_>) -> Answer {
    const CHANGEABLE: i32 = O_APPEND | O_NONBLOCK;

    let files = &mut host.state.files;
    let (old, new) = (files.flags(args.int(0))?, from_flags(args.int(1))?);
    if new & !CHANGEABLE & !old != 0 {
        return Err(Errno::NOTSUP_OF_WASI);
    }
    files.set_flags(args.int(0), old & !CHANGEABLE | new & CHANGEABLE)
}

/// Rights follow from what is open. Programs and libraries that drop some know this answer, which newer hosts give.
pub(super) fn fdstat_set_rights(host: &mut HostCtx<'_>, args: Args<'_>) -> Answer {
    host.state.files.check(args.int(0))?;
    Err(Errno::NOTSUP_OF_WASI)
}

pub(super) fn filestat_get(host: &mut HostCtx<'_>, args: Args<'_>) -> Answer {
    let stat = host.state.files.stat_open(args.int(0))?;
    put_filestat(&mut host.memory, args.pointer(1), &stat, Version::Preview1)
}

pub(super) fn older_filestat_get(host: &mut HostCtx<'_>, args: Args<'_>) -> Answer {
    let stat = host.state.files.stat_open(args.int(0))?;
    put_filestat(&mut host.memory, args.pointer(1), &stat, Version::Unstable)
}

pub(super) fn filestat_set_size(host: &mut HostCtx<'_>, args: Args<'_>) -> Answer {
    host.state.files.truncate_open(args.int(0), args.wide(1), host.now)
}

pub(super) fn filestat_set_times(host: &mut HostCtx<'_>, args: Args<'_>) -> Answer {
    let times = set_times(args.wide(1), args.wide(2), args.int(3))?;
    host.state.files.set_times(args.int(0), None, times, 0, host.now)
}

/// Writes a `prestat`: that it is a directory, and the size of its name, aligned as a pointer.
pub(super) fn prestat_get(host: &mut HostCtx<'_>, args: Args<'_>) -> Answer {
    let size = host.state.files.preopened(args.int(0))?.len() as u64;
    let at = args.pointer(1);
    let bytes = host.memory.width().bytes();
    host.memory.get_mut(at, 2 * bytes)?.fill(0);
    host.memory.put_pointer(at.checked_add(bytes).ok_or(Errno::FAULT)?, size)?;
    Ok(())
}

pub(super) fn prestat_dir_name(host: &mut HostCtx<'_>, args: Args<'_>) -> Answer {
    let name = host.state.files.preopened(args.int(0))?;
    if (name.len() as u64) > args.pointer(2) {
        return Err(Errno::NAMETOOLONG);
    }
    host.memory.put(args.pointer(1), name)?;
    Ok(())
}

pub(super) fn renumber(host: &mut HostCtx<'_>, args: Args<'_>) -> Answer {
    host.state.files.renumber(args.int(0), args.int(1))
}
