//! Reading and writing in parts.

use super::Answer;
use crate::context::{Args, HostCtx};
use crate::errno::Errno;
use crate::files::Files;
use crate::limits::{BUFFERS, STEP_BYTES};
use crate::runtime::Runtime;

pub(super) fn read(host: &mut HostCtx<'_>, args: Args<'_>) -> Answer {
    let call = Parts { fd: args.int(0), at: args.pointer(1), count: args.pointer(2), into: args.pointer(3) };
    call.read(host, |_| Ok(None), |files, fd, _, bytes| files.read(fd, bytes))
}

pub(super) fn pread(host: &mut HostCtx<'_>, args: Args<'_>) -> Answer {
    let call = Parts { fd: args.int(0), at: args.pointer(1), count: args.pointer(2), into: args.pointer(4) };
    let start = args.wide(3);
    let offset = |done| behind(start, done);
    call.read(host, |done| offset(done).map(Some), |files, fd, done, bytes| files.pread(fd, offset(done)?, bytes))
}

pub(super) fn write(host: &mut HostCtx<'_>, args: Args<'_>) -> Answer {
    let call = Parts { fd: args.int(0), at: args.pointer(1), count: args.pointer(2), into: args.pointer(3) };
    call.write(host, |files, fd, _, bytes, now| files.write(fd, bytes, now))
}

pub(super) fn pwrite(host: &mut HostCtx<'_>, args: Args<'_>) -> Answer {
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
            let count = host.state.files.count(self.fd, offset(done)?, size).map_err(|errno| match errno {
                // Programs of WASI know it so.
                Errno::ISDIR if host.state.runtime() == Runtime::Wasi => Errno::BADF,
                other => other,
            })?;
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
