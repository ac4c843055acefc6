//! Functions on paths. A path starts at a directory, and does not lead out of it.

use super::Answer;
use super::layout::{FD_READ, FD_WRITE, Version, from_flags, put_filestat, set_times};
use crate::context::{Args, HostCtx};
use crate::errno::Errno;
use crate::files::At;
use crate::files::flags::{AT_SYMLINK_NOFOLLOW, O_CREAT, O_DIRECTORY, O_EXCL, O_NOFOLLOW, O_RDWR, O_TRUNC, O_WRONLY};
use crate::limits::PATH_BYTES;
use crate::memory::Memory;

/// A path and where it starts: the argument with the descriptor, and the one with the address, which its size is behind.
fn path<'m>(memory: &'m Memory<'_>, args: Args<'_>, directory: usize, address: usize) -> Result<(At, &'m [u8]), Errno> {
    Ok((At::Beneath(args.int(directory)), text(memory, args, address)?))
}

fn text<'m>(memory: &'m Memory<'_>, args: Args<'_>, address: usize) -> Result<&'m [u8], Errno> {
    let size = args.pointer(address + 1);
    if size > PATH_BYTES as u64 {
        return Err(Errno::NAMETOOLONG);
    }
    let text = memory.get(args.pointer(address), size)?;
    if text.contains(&0) || std::str::from_utf8(text).is_err() { Err(Errno::ILSEQ) } else { Ok(text) }
}

/// Whether a link at the end of a path is followed.
fn follow(flags: i32) -> Result<i32, Errno> {
    match flags {
        0 => Ok(AT_SYMLINK_NOFOLLOW),
        1 => Ok(0),
        _ => Err(Errno::INVAL),
    }
}

pub(super) fn create_directory(host: &mut HostCtx<'_>, args: Args<'_>) -> Answer {
    let (at, path) = path(&host.memory, args, 0, 1)?;
    host.state.files.make_directory(at, path, 0o777, host.now)
}

pub(super) fn filestat_get(host: &mut HostCtx<'_>, args: Args<'_>) -> Answer {
    stat(host, args, Version::Preview1)
}

pub(super) fn older_filestat_get(host: &mut HostCtx<'_>, args: Args<'_>) -> Answer {
    stat(host, args, Version::Unstable)
}

fn stat(host: &mut HostCtx<'_>, args: Args<'_>, version: Version) -> Answer {
    let (at, path) = path(&host.memory, args, 0, 2)?;
    let stat = host.state.files.stat(at, path, follow(args.int(1))?)?;
    put_filestat(&mut host.memory, args.pointer(4), &stat, version)
}

pub(super) fn filestat_set_times(host: &mut HostCtx<'_>, args: Args<'_>) -> Answer {
    let times = set_times(args.wide(4), args.wide(5), args.int(6))?;
    let (at, path) = path(&host.memory, args, 0, 2)?;
    host.state.files.set_times(at, Some(path), times, follow(args.int(1))?, host.now)
}

/// A second name for a file. The file is where its path says: to follow a link there is refused, as newer hosts do.
pub(super) fn link(host: &mut HostCtx<'_>, args: Args<'_>) -> Answer {
    if args.int(1) != 0 {
        return Err(Errno::INVAL);
    }
    let (from, to) = (path(&host.memory, args, 0, 2)?, path(&host.memory, args, 4, 5)?);
    host.state.files.link(from, to, 0, host.now)
}

/// The directory, whether links are followed, the path and its size, how it is opened, the rights to the file and those that
/// what is opened at it may have, flags of the descriptor, and where that is written.
pub(super) fn open(host: &mut HostCtx<'_>, args: Args<'_>) -> Answer {
    const FLAGS: [(i32, i32); 4] = [(1, O_CREAT), (2, O_DIRECTORY), (4, O_EXCL), (8, O_TRUNC)];

    let (how, rights, into) = (args.int(4), args.wide(5) as u64, args.pointer(8));
    if how & !0xf != 0 {
        return Err(Errno::INVAL);
    }
    let mut flags: i32 = FLAGS.into_iter().filter(|(bit, _)| how & bit != 0).map(|(_, flag)| flag).sum();
    flags |= from_flags(args.int(7))?;
    if follow(args.int(1))? != 0 {
        flags |= O_NOFOLLOW;
    }
    let (at, path) = path(&host.memory, args, 0, 2)?;
    host.memory.get(into, 4)?;
    let files = &mut host.state.files;
    flags |= match (rights & FD_READ != 0, rights & FD_WRITE != 0) {
        (true, true) => O_RDWR,
        (false, true) => O_WRONLY,
        (_, false) => 0,
    };
    let fd = files.open(at, path, flags, 0o666, host.now)?;
    host.memory.put_i32(into, fd)?;
    Ok(())
}

/// What a link holds, as much as there is room for, and how much that is.
pub(super) fn readlink(host: &mut HostCtx<'_>, args: Args<'_>) -> Answer {
    let (at, path) = path(&host.memory, args, 0, 1)?;
    let target = host.state.files.read_link(at, path)?;
    let room = usize::try_from(args.pointer(4)).unwrap_or(usize::MAX);
    let shown = target.get(..room).unwrap_or(&target);
    host.memory.get(args.pointer(5), host.memory.width().bytes())?;
    host.memory.put(args.pointer(3), shown)?;
    host.memory.put_pointer(args.pointer(5), shown.len() as u64)?;
    Ok(())
}

pub(super) fn remove_directory(host: &mut HostCtx<'_>, args: Args<'_>) -> Answer {
    let (at, path) = path(&host.memory, args, 0, 1)?;
    host.state.files.remove_directory(at, path, host.now)
}

pub(super) fn rename(host: &mut HostCtx<'_>, args: Args<'_>) -> Answer {
    let (from, to) = (path(&host.memory, args, 0, 1)?, path(&host.memory, args, 3, 4)?);
    host.state.files.rename(from, to, host.now)
}

/// # Errors
/// `EPERM` for a link to an absolute path, which would lead out of every directory.
pub(super) fn symlink(host: &mut HostCtx<'_>, args: Args<'_>) -> Answer {
    let target = text(&host.memory, args, 0)?;
    if target.starts_with(b"/") {
        return Err(Errno::PERM);
    }
    let (at, path) = path(&host.memory, args, 2, 3)?;
    host.state.files.make_symlink(target, at, path, host.now)
}

pub(super) fn unlink_file(host: &mut HostCtx<'_>, args: Args<'_>) -> Answer {
    let (at, path) = path(&host.memory, args, 0, 1)?;
    host.state.files.unlink(at, path, host.now)
}
