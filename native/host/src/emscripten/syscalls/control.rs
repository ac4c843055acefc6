//! `fcntl`, `ioctl` and `poll`.

use super::layout::termios;
use super::{Answer, done};
use crate::context::{Args, HostCtx};
use crate::errno::Errno;
use crate::files::flags::O_NONBLOCK;
use crate::limits::DESCRIPTORS;

/// `fd`, `command`, and a pointer to the rest. There are no locks: nothing else runs that could hold one.
pub(super) fn fcntl(host: &mut HostCtx<'_>, args: Args<'_>) -> Answer {
    const DUPFD: i32 = 0;
    const GETFD: i32 = 1;
    const SETFD: i32 = 2;
    const GETFL: i32 = 3;
    const SETFL: i32 = 4;
    const GETLK: i32 = 5;
    const SETLK: i32 = 6;
    const SETLKW: i32 = 7;
    // The same three in 32-bit images since Emscripten 3.1.52. Nothing else has these numbers.
    const GETLK_NARROW: i32 = 12;
    const SETLK_NARROW: i32 = 13;
    const SETLKW_NARROW: i32 = 14;
    const OFD_GETLK: i32 = 36;
    const OFD_SETLK: i32 = 37;
    const OFD_SETLKW: i32 = 38;
    const DUPFD_CLOEXEC: i32 = 1030;
    const FD_CLOEXEC: i32 = 1;
    const F_UNLCK: u16 = 2;

    let (fd, command, rest) = (args.int(0), args.int(1), args.pointer(2));
    let files = &mut host.state.files;
    files.flags(fd)?;
    match command {
        DUPFD | DUPFD_CLOEXEC => {
            let least = host.memory.i32(rest)?;
            files.duplicate(fd, least, command == DUPFD_CLOEXEC)
        }
        GETFD => Ok(if files.is_closed_on_exec(fd)? { FD_CLOEXEC } else { 0 }),
        SETFD => done(files.set_closed_on_exec(fd, host.memory.i32(rest)? & FD_CLOEXEC != 0)),
        GETFL => files.flags(fd),
        SETFL => done(files.set_flags(fd, host.memory.i32(rest)?)),
        GETLK | GETLK_NARROW | OFD_GETLK => {
            files.check(fd)?;
            let lock = host.memory.pointer(rest)?;
            host.memory.put_u16(lock, F_UNLCK)?;
            Ok(0)
        }
        SETLK | SETLKW | SETLK_NARROW | SETLKW_NARROW | OFD_SETLK | OFD_SETLKW => done(files.check(fd)),
        _ => Err(Errno::INVAL),
    }
}

/// `fd`, `operation`, and a pointer to the rest.
pub(super) fn ioctl(host: &mut HostCtx<'_>, args: Args<'_>) -> Answer {
    const TCGETS: i32 = 0x5401;
    const TCSETS: i32 = 0x5402;
    const TCFLSH: i32 = 0x540b;
    const TIOCGPGRP: i32 = 0x540f;
    const TIOCSPGRP: i32 = 0x5410;
    const TIOCGWINSZ: i32 = 0x5413;
    const TIOCSWINSZ: i32 = 0x5414;
    const FIONREAD: i32 = 0x541b;
    const FIONBIO: i32 = 0x5421;
    const FIONCLEX: i32 = 0x5450;
    const FIOCLEX: i32 = 0x5451;

    let (fd, operation, rest) = (args.int(0), args.int(1), args.pointer(2));
    let (files, memory) = (&mut host.state.files, &mut host.memory);
    files.check(fd)?;
    match operation {
        FIOCLEX | FIONCLEX => done(files.set_closed_on_exec(fd, operation == FIOCLEX)),
        FIONBIO => {
            let blocks = memory.i32(memory.pointer(rest)?)? == 0;
            let flags = files.flags(fd)?;
            done(files.set_flags(fd, if blocks { flags & !O_NONBLOCK } else { flags | O_NONBLOCK }))
        }
        FIONREAD => {
            let bytes = i32::try_from(files.readable(fd)?).unwrap_or(i32::MAX);
            memory.put_i32(memory.pointer(rest)?, bytes)?;
            Ok(0)
        }
        _ => {
            files.terminal(fd)?;
            match operation {
                TCGETS => memory.put(memory.pointer(rest)?, &termios())?,
                // Settings of a terminal are taken and change nothing.
                TCSETS..=TCFLSH | TIOCSWINSZ => {}
                TIOCGPGRP => memory.put_i32(memory.pointer(rest)?, 0)?,
                TIOCSPGRP => return Err(Errno::INVAL),
                TIOCGWINSZ => {
                    // 24 rows, 80 columns, and no pixels.
                    memory.put(memory.pointer(rest)?, &[24, 0, 80, 0, 0, 0, 0, 0])?;
                }
                _ => return Err(Errno::NOTTY),
            }
            Ok(0)
        }
    }
}

/// Says of every descriptor that it is ready for what is asked, but for pipes that are not: nothing here waits.
pub(super) fn poll(host: &mut HostCtx<'_>, args: Args<'_>) -> Answer {
    /// `POLLIN` and `POLLRDNORM`, `POLLOUT` and `POLLWRNORM`.
    const READS: u16 = 0x1 | 0x40;
    const WRITES: u16 = 0x4 | 0x100;
    const POLLERR: u16 = 0x8;
    const POLLHUP: u16 = 0x10;
    const POLLNVAL: u16 = 0x20;
    const POLLFD: u64 = 8;

    let (at, size) = (args.pointer(0), args.int(1));
    if !(0..=DESCRIPTORS).contains(&size) {
        return Err(Errno::INVAL);
    }
    host.memory.get(at, size as u64 * POLLFD)?;
    let mut ready = 0;
    for index in 0..size as u64 {
        let at = at + index * POLLFD;
        let (fd, asked) = (host.memory.i32(at)?, host.memory.u16(at + 4)?);
        let told = match fd {
            fd if fd < 0 => 0,
            fd => host.state.files.ready(fd).map_or(POLLNVAL, |ready| {
                let bits = |is: bool, bits: u16| if is { bits } else { 0 };
                let asked = asked & (bits(ready.reads, READS) | bits(ready.writes, WRITES));
                asked | bits(ready.hung_up, POLLHUP) | bits(ready.broken, POLLERR)
            }),
        };
        host.memory.put_u16(at + 6, told)?;
        ready += i32::from(told != 0);
    }
    Ok(ready)
}
