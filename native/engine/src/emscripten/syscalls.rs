//! The system calls that Emscripten's library makes: `__syscall_*`. They answer what Linux does, errors as negative
//! numbers of WASI. An address outside of the memory is `EFAULT`.

use super::abi::{Args, Fault, Function, Host, Memory, Width, int};
use super::files::flags::*;
use super::files::{Errno, MOST_DESCRIPTORS, SetTime, Space, Stat, Time};

/// The longest path and its NUL, in bytes.
const PATH_MAX: u64 = 4096;

macro_rules! functions {
    ($($name:literal $shape:literal $call:ident,)*) => {
        &[$(Function {
            module: "env",
            name: $name,
            shape: $shape,
            call: |host, args| Ok(int($call(host, args).unwrap_or_else(Errno::negative))),
        },)*]
    };
}

pub(crate) const FUNCTIONS: &[Function] = functions! {
    "__syscall_openat" "ipip:i" openat,
    "__syscall_dup" "i:i" dup,
    "__syscall_dup3" "iii:i" dup3,
    "__syscall_fcntl64" "iip:i" fcntl,
    "__syscall_ioctl" "iip:i" ioctl,
    "__syscall_fstat64" "ip:i" fstat,
    "__syscall_stat64" "pp:i" stat,
    "__syscall_lstat64" "pp:i" lstat,
    "__syscall_newfstatat" "ippi:i" fstatat,
    "__syscall_statfs64" "ppp:i" statfs,
    "__syscall_fstatfs64" "ipp:i" fstatfs,
    "__syscall_truncate64" "pj:i" truncate,
    "__syscall_ftruncate64" "ij:i" ftruncate,
    "__syscall_fallocate" "iijj:i" fallocate,
    "__syscall_fadvise64" "ijji:i" fadvise,
    "__syscall_getcwd" "pp:i" getcwd,
    "__syscall_chdir" "p:i" chdir,
    "__syscall_fchdir" "i:i" fchdir,
    "__syscall_mkdirat" "ipi:i" mkdirat,
    "__syscall_mknodat" "ipii:i" mknodat,
    "__syscall_rmdir" "p:i" rmdir,
    "__syscall_unlinkat" "ipi:i" unlinkat,
    "__syscall_renameat" "ipip:i" renameat,
    "__syscall_linkat" "ipipi:i" linkat,
    "__syscall_symlink" "pp:i" symlink,
    "__syscall_symlinkat" "pip:i" symlinkat,
    "__syscall_readlinkat" "ippp:i" readlinkat,
    "__syscall_faccessat" "ipii:i" faccessat,
    "__syscall_chmod" "pi:i" chmod,
    "__syscall_fchmod" "ii:i" fchmod,
    "__syscall_fchmodat" "ipii:i" fchmodat,
    "__syscall_fchmodat" "ipi:i" fchmodat,
    "__syscall_fchmodat2" "ipii:i" fchmodat,
    "__syscall_chown32" "pii:i" chown,
    "__syscall_lchown32" "pii:i" lchown,
    "__syscall_fchown32" "iii:i" fchown,
    "__syscall_fchownat" "ipiii:i" fchownat,
    "__syscall_utimensat" "ippi:i" utimensat,
    "__syscall_getdents64" "ipp:i" getdents,
    "__syscall_fsync" "i:i" fsync,
    "__syscall_fdatasync" "i:i" fsync,
    "__syscall_sync" ":i" sync,
    "__syscall_poll" "pii:i" poll,
    "__syscall_pipe" "p:i" pipe,
    "__syscall_pipe2" "pi:i" pipe,
};

/// Whether the first argument of a function is a descriptor that the function works on. Where a path starts at a
/// descriptor, that does not count.
pub(crate) fn is_of_descriptor(name: &str) -> bool {
    const NAMES: [&str; 15] = [
        "__syscall_dup",
        "__syscall_dup3",
        "__syscall_fcntl64",
        "__syscall_ioctl",
        "__syscall_fstat64",
        "__syscall_fstatfs64",
        "__syscall_ftruncate64",
        "__syscall_fallocate",
        "__syscall_fadvise64",
        "__syscall_fchdir",
        "__syscall_fchmod",
        "__syscall_fchown32",
        "__syscall_getdents64",
        "__syscall_fsync",
        "__syscall_fdatasync",
    ];
    NAMES.contains(&name)
}

impl From<Fault> for Errno {
    /// What is wrong with what a call was given is told to the program.
    fn from(_: Fault) -> Errno {
        Errno::FAULT
    }
}

type Answer = Result<i32, Errno>;

/// The path at an address.
fn path<'a>(memory: &'a Memory<'_>, at: u64) -> Result<&'a [u8], Errno> {
    if at == 0 {
        return Err(Errno::FAULT);
    }
    // No further than a path can reach; where the memory ends before, up to its end.
    match memory.get(at, PATH_MAX) {
        Ok(bytes) => {
            let end = memchr::memchr(0, bytes).ok_or(Errno::NAMETOOLONG)?;
            bytes.get(..end).ok_or(Errno::NAMETOOLONG)
        }
        Err(_) => Ok(memory.string(at)?),
    }
}

/// The answer of what only succeeds or fails.
fn done(result: Result<(), Errno>) -> Answer {
    result.map(|()| 0)
}

/// The answer of what counts; counts are of things in memory or bounded ones.
fn count(number: u64) -> Answer {
    i32::try_from(number).map_err(|_| Errno::OVERFLOW)
}

/// Opens a file: `dirfd`, `path`, `flags`, and where there is one, the mode.
fn openat(host: &mut Host<'_>, args: Args<'_>) -> Answer {
    let path = path(&host.memory, args.pointer(1))?;
    let (flags, rest) = (args.int(2), args.pointer(3));
    let mode = if flags & O_CREAT == 0 || rest == 0 { 0 } else { host.memory.i32(rest)? };
    host.state.files.open(args.int(0), path, flags, mode as u32, host.now)
}

fn dup(host: &mut Host<'_>, args: Args<'_>) -> Answer {
    host.state.files.duplicate(args.int(0), 0, false)
}

fn dup3(host: &mut Host<'_>, args: Args<'_>) -> Answer {
    host.state.files.duplicate_as(args.int(0), args.int(1), args.int(2))
}

/// `fd`, `command`, and a pointer to the rest. There are no locks: nothing else runs that could hold one.
fn fcntl(host: &mut Host<'_>, args: Args<'_>) -> Answer {
    const DUPFD: i32 = 0;
    const GETFD: i32 = 1;
    const SETFD: i32 = 2;
    const GETFL: i32 = 3;
    const SETFL: i32 = 4;
    const GETLK: i32 = 5;
    const SETLK: i32 = 6;
    const SETLKW: i32 = 7;
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
        GETLK | OFD_GETLK => {
            files.check(fd)?;
            let lock = host.memory.pointer(rest)?;
            host.memory.put_u16(lock, F_UNLCK)?;
            Ok(0)
        }
        SETLK | SETLKW | OFD_SETLK | OFD_SETLKW => done(files.check(fd)),
        _ => Err(Errno::INVAL),
    }
}

/// `fd`, `operation`, and a pointer to the rest.
fn ioctl(host: &mut Host<'_>, args: Args<'_>) -> Answer {
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
                    let at = memory.pointer(rest)?;
                    let mut size = [0; 8];
                    // 24 rows, 80 columns, and no pixels.
                    size[0] = 24;
                    size[2] = 80;
                    memory.put(at, &size)?;
                }
                _ => return Err(Errno::NOTTY),
            }
            Ok(0)
        }
    }
}

/// The settings of every terminal: `struct termios`, up to its control characters.
fn termios() -> [u8; 49] {
    /// Input, output, control and local modes.
    const MODES: [u32; 4] = [0o62400, 0o5, 0o277, 0o105073];
    const CHARACTERS: [u8; 16] = [3, 28, 127, 21, 4, 0, 1, 0, 17, 19, 26, 0, 18, 15, 23, 22];
    /// Behind the modes and the line discipline.
    const AT: usize = 17;

    let mut bytes = [0; 49];
    let modes = MODES.into_iter().flat_map(u32::to_le_bytes);
    bytes.iter_mut().zip(modes).for_each(|(byte, mode)| *byte = mode);
    bytes.iter_mut().skip(AT).zip(CHARACTERS).for_each(|(byte, character)| *byte = character);
    bytes
}

fn fstat(host: &mut Host<'_>, args: Args<'_>) -> Answer {
    let stat = host.state.files.stat_open(args.int(0))?;
    put_stat(&mut host.memory, args.pointer(1), &stat)
}

fn stat(host: &mut Host<'_>, args: Args<'_>) -> Answer {
    stat_at(host, (AT_FDCWD, args.pointer(0)), args.pointer(1), 0)
}

fn lstat(host: &mut Host<'_>, args: Args<'_>) -> Answer {
    stat_at(host, (AT_FDCWD, args.pointer(0)), args.pointer(1), AT_SYMLINK_NOFOLLOW)
}

fn fstatat(host: &mut Host<'_>, args: Args<'_>) -> Answer {
    stat_at(host, (args.int(0), args.pointer(1)), args.pointer(2), args.int(3))
}

fn stat_at(host: &mut Host<'_>, (at, name): (i32, u64), into: u64, flags: i32) -> Answer {
    let stat = host.state.files.stat(at, path(&host.memory, name)?, flags)?;
    put_stat(&mut host.memory, into, &stat)
}

/// Writes a `struct stat`: of 96 bytes with 32-bit pointers, of 104 with 64-bit ones.
fn put_stat(memory: &mut Memory<'_>, at: u64, stat: &Stat) -> Answer {
    /// The only file system there is.
    const DEVICE: u32 = 1;
    const BLOCK: u32 = 4096;
    /// Bytes of what blocks are counted in.
    const SECTOR: u64 = 512;

    let width = memory.width();
    let mut bytes = Struct::new(width);
    bytes.int(DEVICE);
    bytes.int(stat.mode);
    bytes.long(u64::from(stat.links));
    for number in [stat.user, stat.group, stat.device] {
        bytes.int(number);
    }
    bytes.align();
    bytes.wide(stat.size);
    bytes.int(BLOCK);
    // No file is so large that this were cut off.
    bytes.int(stat.size.div_ceil(SECTOR) as u32);
    for time in [stat.times.accessed, stat.times.modified, stat.times.changed] {
        bytes.align();
        bytes.wide(time.seconds as u64);
        bytes.long(u64::from(time.nanoseconds));
    }
    bytes.align();
    bytes.wide(stat.inode);
    memory.put(at, &bytes.bytes)?;
    Ok(0)
}

/// A structure of C that is written from its start.
struct Struct {
    bytes: Vec<u8>,
    width: Width,
}

impl Struct {
    fn new(width: Width) -> Struct {
        Struct { bytes: Vec::with_capacity(104), width }
    }

    fn int(&mut self, number: u32) {
        self.bytes.extend_from_slice(&number.to_le_bytes());
    }

    fn wide(&mut self, number: u64) {
        self.bytes.extend_from_slice(&number.to_le_bytes());
    }

    /// One as wide as a pointer. It must be aligned.
    fn long(&mut self, number: u64) {
        match self.width {
            // Those that are written here are small.
            Width::Narrow => self.int(number as u32),
            Width::Wide => self.wide(number),
        }
    }

    /// To where a 64-bit number may be.
    fn align(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(8), 0);
    }
}

fn statfs(host: &mut Host<'_>, args: Args<'_>) -> Answer {
    let space = host.state.files.space(path(&host.memory, args.pointer(0))?)?;
    put_statfs(&mut host.memory, args.pointer(2), &space)
}

fn fstatfs(host: &mut Host<'_>, args: Args<'_>) -> Answer {
    let space = host.state.files.space_of_open(args.int(0))?;
    put_statfs(&mut host.memory, args.pointer(2), &space)
}

/// Writes a `struct statfs`: of 64 bytes with 32-bit pointers, of 104 with 64-bit ones.
fn put_statfs(memory: &mut Memory<'_>, at: u64, space: &Space) -> Answer {
    const TMPFS: u64 = 0x0102_1994;
    const BLOCK: u64 = 4096;
    const NAME: u64 = 255;
    const IDENTITY: u32 = 42;
    const ST_NOSUID: u64 = 2;

    let mut bytes = Struct::new(memory.width());
    bytes.long(TMPFS);
    bytes.long(BLOCK);
    let free = space.free_bytes / BLOCK;
    // All of them are below 2^32: the limits are.
    for number in [space.most_bytes / BLOCK, free, free, space.most_nodes, space.free_nodes] {
        bytes.int(number as u32);
    }
    bytes.int(IDENTITY);
    bytes.int(0);
    if bytes.width == Width::Wide {
        bytes.align();
    }
    for number in [NAME, BLOCK, ST_NOSUID, 0, 0, 0, 0] {
        bytes.long(number);
    }
    memory.put(at, &bytes.bytes)?;
    Ok(0)
}

fn truncate(host: &mut Host<'_>, args: Args<'_>) -> Answer {
    done(host.state.files.truncate(path(&host.memory, args.pointer(0))?, args.wide(1), host.now))
}

fn ftruncate(host: &mut Host<'_>, args: Args<'_>) -> Answer {
    done(host.state.files.truncate_open(args.int(0), args.wide(1), host.now))
}

fn fallocate(host: &mut Host<'_>, args: Args<'_>) -> Answer {
    done(host.state.files.allocate(args.int(0), args.int(1), args.wide(2), args.wide(3), host.now))
}

/// Advice is not taken.
fn fadvise(host: &mut Host<'_>, args: Args<'_>) -> Answer {
    host.state.files.readable(args.int(0)).map(|_| 0).or_else(|errno| match errno {
        Errno::NOTTY => Ok(0),
        errno => Err(errno),
    })
}

/// Writes the working directory and a NUL: how many bytes that are.
fn getcwd(host: &mut Host<'_>, args: Args<'_>) -> Answer {
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

fn chdir(host: &mut Host<'_>, args: Args<'_>) -> Answer {
    done(host.state.files.change_directory(path(&host.memory, args.pointer(0))?))
}

fn fchdir(host: &mut Host<'_>, args: Args<'_>) -> Answer {
    done(host.state.files.change_directory_to(args.int(0)))
}

fn mkdirat(host: &mut Host<'_>, args: Args<'_>) -> Answer {
    let path = path(&host.memory, args.pointer(1))?;
    done(host.state.files.make_directory(args.int(0), path, args.int(2) as u32, host.now))
}

fn mknodat(host: &mut Host<'_>, args: Args<'_>) -> Answer {
    let path = path(&host.memory, args.pointer(1))?;
    let (mode, device) = (args.int(2) as u32, args.int(3) as u32);
    done(host.state.files.make_node(args.int(0), path, mode, device, host.now))
}

fn rmdir(host: &mut Host<'_>, args: Args<'_>) -> Answer {
    let path = path(&host.memory, args.pointer(0))?;
    done(host.state.files.remove_directory(AT_FDCWD, path, host.now))
}

fn unlinkat(host: &mut Host<'_>, args: Args<'_>) -> Answer {
    let path = path(&host.memory, args.pointer(1))?;
    let files = &mut host.state.files;
    done(match args.int(2) {
        0 => files.unlink(args.int(0), path, host.now),
        AT_REMOVEDIR => files.remove_directory(args.int(0), path, host.now),
        _ => Err(Errno::INVAL),
    })
}

fn renameat(host: &mut Host<'_>, args: Args<'_>) -> Answer {
    let (from, to) = (path(&host.memory, args.pointer(1))?, path(&host.memory, args.pointer(3))?);
    done(host.state.files.rename((args.int(0), from), (args.int(2), to), host.now))
}

fn linkat(host: &mut Host<'_>, args: Args<'_>) -> Answer {
    let (from, to) = (path(&host.memory, args.pointer(1))?, path(&host.memory, args.pointer(3))?);
    done(host.state.files.link((args.int(0), from), (args.int(2), to), args.int(4), host.now))
}

fn symlink(host: &mut Host<'_>, args: Args<'_>) -> Answer {
    let (target, link) = (path(&host.memory, args.pointer(0))?, path(&host.memory, args.pointer(1))?);
    done(host.state.files.make_symlink(target, AT_FDCWD, link, host.now))
}

fn symlinkat(host: &mut Host<'_>, args: Args<'_>) -> Answer {
    let (target, link) = (path(&host.memory, args.pointer(0))?, path(&host.memory, args.pointer(2))?);
    done(host.state.files.make_symlink(target, args.int(1), link, host.now))
}

/// Writes as much of the path as there is room for, without a NUL: how many bytes that are.
fn readlinkat(host: &mut Host<'_>, args: Args<'_>) -> Answer {
    let (at, size) = (args.pointer(2), args.pointer(3));
    if size == 0 {
        return Err(Errno::INVAL);
    }
    let target = host.state.files.read_link(args.int(0), path(&host.memory, args.pointer(1))?)?;
    let shown = usize::try_from(size).ok().and_then(|size| target.get(..size)).unwrap_or(&target);
    host.memory.put(at, shown)?;
    count(shown.len() as u64)
}

fn faccessat(host: &mut Host<'_>, args: Args<'_>) -> Answer {
    let path = path(&host.memory, args.pointer(1))?;
    done(host.state.files.access(args.int(0), path, args.int(2), args.int(3)))
}

fn chmod(host: &mut Host<'_>, args: Args<'_>) -> Answer {
    let path = path(&host.memory, args.pointer(0))?;
    done(host.state.files.change_mode(AT_FDCWD, path, args.int(1) as u32, 0, host.now))
}

fn fchmod(host: &mut Host<'_>, args: Args<'_>) -> Answer {
    done(host.state.files.change_mode_of_open(args.int(0), args.int(1) as u32, host.now))
}

/// Without its last argument, which the older type does not have, there are no flags.
fn fchmodat(host: &mut Host<'_>, args: Args<'_>) -> Answer {
    let path = path(&host.memory, args.pointer(1))?;
    done(host.state.files.change_mode(args.int(0), path, args.int(2) as u32, args.int(3), host.now))
}

/// A user and a group, from an argument on.
fn owner(args: Args<'_>, index: usize) -> (u32, u32) {
    (args.int(index) as u32, args.int(index + 1) as u32)
}

fn chown(host: &mut Host<'_>, args: Args<'_>) -> Answer {
    let path = path(&host.memory, args.pointer(0))?;
    done(host.state.files.change_owner(AT_FDCWD, path, owner(args, 1), 0, host.now))
}

fn lchown(host: &mut Host<'_>, args: Args<'_>) -> Answer {
    let path = path(&host.memory, args.pointer(0))?;
    done(host.state.files.change_owner(AT_FDCWD, path, owner(args, 1), AT_SYMLINK_NOFOLLOW, host.now))
}

fn fchown(host: &mut Host<'_>, args: Args<'_>) -> Answer {
    done(host.state.files.change_owner_of_open(args.int(0), owner(args, 1), host.now))
}

fn fchownat(host: &mut Host<'_>, args: Args<'_>) -> Answer {
    let path = path(&host.memory, args.pointer(1))?;
    done(host.state.files.change_owner(args.int(0), path, owner(args, 2), args.int(4), host.now))
}

/// Without times, both are set to now; without a path, those of the descriptor.
fn utimensat(host: &mut Host<'_>, args: Args<'_>) -> Answer {
    /// Bytes of a `struct timespec` in either width.
    const TIMESPEC: u64 = 16;

    let (name, times) = (args.pointer(1), args.pointer(2));
    let times = match times {
        0 => [SetTime::Now; 2],
        at => [time(&host.memory, at)?, time(&host.memory, at.checked_add(TIMESPEC).ok_or(Errno::FAULT)?)?],
    };
    let path = if name == 0 { None } else { Some(path(&host.memory, name)?) };
    done(host.state.files.set_times(args.int(0), path, times, args.int(3), host.now))
}

fn time(memory: &Memory<'_>, at: u64) -> Result<SetTime, Errno> {
    const UTIME_NOW: i32 = 0x3fff_ffff;
    const UTIME_OMIT: i32 = 0x3fff_fffe;

    let seconds = memory.u64(at)? as i64;
    match memory.i32(at.checked_add(8).ok_or(Errno::FAULT)?)? {
        UTIME_NOW => Ok(SetTime::Now),
        UTIME_OMIT => Ok(SetTime::Leave),
        nanoseconds => match u32::try_from(nanoseconds) {
            Ok(nanoseconds) if nanoseconds < Time::NANOSECONDS => Ok(SetTime::To(Time { seconds, nanoseconds })),
            _ => Err(Errno::INVAL),
        },
    }
}

/// Writes as many `struct dirent` as there is room for: how many bytes that are, 0 at the end.
fn getdents(host: &mut Host<'_>, args: Args<'_>) -> Answer {
    /// Bytes before the name.
    const NAME: u64 = 19;
    /// More than this is never written at once, so that the count fits.
    const MOST: u64 = 1 << 30;

    let (at, size) = (args.pointer(1), args.pointer(2).min(MOST));
    let mut written = 0;
    let mut failure = None;
    let memory = &mut host.memory;
    host.state.files.list(args.int(0), |entry| {
        let record = (NAME + entry.name.len() as u64 + 1).next_multiple_of(8);
        if record > size - written {
            failure = Some(Errno::INVAL);
            return false;
        }
        let mut bytes = Vec::with_capacity(record as usize);
        bytes.extend_from_slice(&entry.inode.to_le_bytes());
        bytes.extend_from_slice(&entry.position.to_le_bytes());
        // Names have at most 255 bytes; the type is what a mode has there.
        bytes.extend_from_slice(&(record as u16).to_le_bytes());
        bytes.push((entry.format >> 12) as u8);
        bytes.extend_from_slice(entry.name);
        bytes.resize(record as usize, 0);
        let put = at.checked_add(written).ok_or(Fault::OutOfBounds).and_then(|at| memory.put(at, &bytes));
        match put {
            Ok(()) => {
                written += record;
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

fn fsync(host: &mut Host<'_>, args: Args<'_>) -> Answer {
    done(host.state.files.check(args.int(0)))
}

fn sync(_: &mut Host<'_>, _: Args<'_>) -> Answer {
    Ok(0)
}

/// Says of every descriptor that it is ready for what is asked: nothing here waits.
fn poll(host: &mut Host<'_>, args: Args<'_>) -> Answer {
    const READY: u16 = 0x1 | 0x4 | 0x40 | 0x100;
    const POLLNVAL: u16 = 0x20;
    const POLLFD: u64 = 8;

    let (at, size) = (args.pointer(0), args.int(1));
    if !(0..=MOST_DESCRIPTORS).contains(&size) {
        return Err(Errno::INVAL);
    }
    host.memory.get(at, size as u64 * POLLFD)?;
    let mut ready = 0;
    for index in 0..size as u64 {
        let at = at + index * POLLFD;
        let (fd, asked) = (host.memory.i32(at)?, host.memory.u16(at + 4)?);
        let told = match fd {
            fd if fd < 0 => 0,
            fd if host.state.files.is_open(fd) => asked & READY,
            _ => POLLNVAL,
        };
        host.memory.put_u16(at + 6, told)?;
        ready += i32::from(told != 0);
    }
    Ok(ready)
}

/// There are no pipes.
fn pipe(_: &mut Host<'_>, _: Args<'_>) -> Answer {
    Err(Errno::NOSYS)
}
