//! Structures and flags of WASI, and what they are of files.

use super::Answer;
use crate::errno::Errno;
use crate::files::flags::{
    O_ACCMODE, O_APPEND, O_DSYNC, O_NONBLOCK, O_PATH, O_RDWR, O_SYNC_ONLY, O_WRONLY, S_IFCHR, S_IFDIR, S_IFLNK, S_IFMT,
};
use crate::files::{SetTime, Stat, Time};
use crate::memory::Memory;

/// Which of the two modules a function is of.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    Unstable,
    Preview1,
}

impl Version {
    pub(super) fn subscription_bytes(self) -> u64 {
        match self {
            Version::Unstable => 56,
            Version::Preview1 => 48,
        }
    }
}

/// What a node is, of its mode.
pub(super) fn file_type(mode: u32) -> u8 {
    match mode & S_IFMT {
        S_IFCHR => 2,
        S_IFDIR => 3,
        S_IFLNK => 7,
        _ => 4,
    }
}

/// Flags as WASI has them, and as `open` has them.
const FLAGS: [(i32, i32); 4] = [(1, O_APPEND), (2, O_DSYNC), (4, O_NONBLOCK), (16, O_SYNC_ONLY)];

pub(super) fn to_flags(open: i32) -> u16 {
    FLAGS.into_iter().filter(|(_, flag)| open & flag != 0).map(|(bit, _)| bit as u16).sum()
}

/// # Errors
/// `EINVAL` where there is another one. That reads are synchronous (8) holds always.
pub(super) fn from_flags(flags: i32) -> Result<i32, Errno> {
    if flags & !0x1f != 0 {
        return Err(Errno::INVAL);
    }
    Ok(FLAGS.into_iter().filter(|(bit, _)| flags & bit != 0).map(|(_, flag)| flag).sum())
}

/// What may be done with a descriptor, bit by bit.
#[derive(Clone, Copy)]
pub(super) struct Rights {
    pub(super) base: u64,
    /// The most that what is opened at it may have.
    pub(super) inheriting: u64,
}

pub(super) const FD_READ: u64 = 1 << 1;
pub(super) const FD_WRITE: u64 = 1 << 6;

impl Rights {
    const NONE: Rights = Rights { base: 0, inheriting: 0 };

    /// They follow from what is open, and nothing takes one away.
    pub(super) fn of(mode: u32, open: i32) -> Rights {
        const SEEK_AND_TELL: u64 = 1 << 2 | 1 << 5;
        const SYNC: u64 = 1 | 1 << 4;
        const SET_FLAGS: u64 = 1 << 3;
        const ADVISE: u64 = 1 << 7;
        /// `fd_allocate` and `fd_filestat_set_size`.
        const RESIZE: u64 = 1 << 8 | 1 << 22;
        /// What can be told of it, its times set, and waited for.
        const ALWAYS: u64 = 1 << 21 | 1 << 23 | 1 << 27;
        const DEVICE: u64 = SET_FLAGS | ALWAYS;
        const FILE: u64 = SEEK_AND_TELL | SYNC | SET_FLAGS | ADVISE | ALWAYS;
        /// All of `path_*`, and listing; but not to set the size of a file by its path, which no function does.
        const DIRECTORY: u64 = (((1 << 27) - 1) & !((1 << 9) - 1) & !RESIZE & !(1 << 19)) | SYNC | SET_FLAGS | ALWAYS;
        const ALL_OF_FILE: u64 = FILE | RESIZE | FD_READ | FD_WRITE;

        if open & O_PATH != 0 {
            return Rights::NONE;
        }
        let access = match open & O_ACCMODE {
            O_WRONLY => FD_WRITE,
            O_RDWR => FD_READ | FD_WRITE,
            _ => FD_READ,
        };
        let resize = if access & FD_WRITE == 0 { 0 } else { RESIZE };
        match mode & S_IFMT {
            S_IFDIR => Rights { base: DIRECTORY, inheriting: DIRECTORY | ALL_OF_FILE },
            // Libraries take a device for a terminal that has no right to seek.
            S_IFCHR => Rights { base: DEVICE | access, inheriting: 0 },
            _ => Rights { base: FILE | access | resize, inheriting: 0 },
        }
    }
}

/// Writes a `fdstat`.
pub(super) fn put_fdstat(memory: &mut Memory<'_>, at: u64, mode: u32, open: i32, rights: Option<Rights>) -> Answer {
    let rights = rights.unwrap_or(Rights::NONE);
    let mut bytes = [0; 24];
    bytes[0] = file_type(mode);
    bytes[2..4].copy_from_slice(&to_flags(open).to_le_bytes());
    bytes[8..16].copy_from_slice(&rights.base.to_le_bytes());
    bytes[16..24].copy_from_slice(&rights.inheriting.to_le_bytes());
    memory.put(at, &bytes)?;
    Ok(())
}

/// Writes a `filestat`: of 64 bytes, or of 56 where links are counted in 32 bits.
pub(super) fn put_filestat(memory: &mut Memory<'_>, at: u64, stat: &Stat, version: Version) -> Answer {
    /// The only file system there is.
    const DEVICE: u64 = 1;

    let mut bytes = Vec::with_capacity(64);
    bytes.extend(DEVICE.to_le_bytes());
    bytes.extend(stat.inode.to_le_bytes());
    bytes.push(file_type(stat.mode));
    match version {
        Version::Unstable => {
            bytes.extend([0; 3]);
            bytes.extend(stat.links.to_le_bytes());
        }
        Version::Preview1 => {
            bytes.extend([0; 7]);
            bytes.extend(u64::from(stat.links).to_le_bytes());
        }
    }
    bytes.extend(stat.size.to_le_bytes());
    for time in [stat.times.accessed, stat.times.modified, stat.times.changed] {
        bytes.extend(nanoseconds(time).to_le_bytes());
    }
    memory.put(at, &bytes)?;
    Ok(())
}

/// A time in nanoseconds since 1970: those before are 0, and those too late the last.
fn nanoseconds(time: Time) -> u64 {
    let seconds = u64::try_from(time.seconds).ok();
    let all = |seconds: u64| seconds.saturating_mul(1_000_000_000).saturating_add(u64::from(time.nanoseconds));
    seconds.map_or(0, all)
}

/// When something was read and written last, as it is to be set: two times, and the flags that say which of them counts.
pub(super) fn set_times(accessed: i64, modified: i64, flags: i32) -> Result<[SetTime; 2], Errno> {
    let one = |nanoseconds: i64, flags: i32| match flags {
        0 => Ok(SetTime::Leave),
        1 => Ok(SetTime::To(time(nanoseconds as u64))),
        2 => Ok(SetTime::Now),
        _ => Err(Errno::INVAL),
    };
    if flags & !0xf != 0 {
        return Err(Errno::INVAL);
    }
    Ok([one(accessed, flags & 3)?, one(modified, flags >> 2)?])
}

fn time(nanoseconds: u64) -> Time {
    // The quotient is far below the greatest `i64`.
    Time { seconds: (nanoseconds / 1_000_000_000) as i64, nanoseconds: (nanoseconds % 1_000_000_000) as u32 }
}

/// Something that a program waits for.
pub(super) struct Subscription {
    /// What the program knows it by.
    data: u64,
    kind: u8,
    pub(super) to: Subscribed,
}

/// What it waits for.
pub(super) enum Subscribed {
    Clock {
        number: i32,
        /// In nanoseconds: at this time, or in so much.
        timeout: u64,
        is_absolute: bool,
    },
    Read(i32),
    Write(i32),
    /// A kind that there is not.
    Nothing,
}

impl Subscription {
    pub(super) fn read(memory: &Memory<'_>, at: u64, index: u64, version: Version) -> Result<Subscription, Errno> {
        let bytes = memory.get(at + index * version.subscription_bytes(), version.subscription_bytes())?;
        let number = |at: usize| -> u64 {
            let bytes = bytes.get(at..at + 8).and_then(|bytes| bytes.try_into().ok());
            bytes.map_or(0, u64::from_le_bytes)
        };
        // The older one has another number for the program in front of the clock.
        let clock = match version {
            Version::Unstable => 24,
            Version::Preview1 => 16,
        };
        let kind = bytes.get(8).copied().unwrap_or_default();
        let to = match kind {
            0 => Subscribed::Clock {
                number: number(clock) as i32,
                timeout: number(clock + 8),
                is_absolute: number(clock + 24) & 1 != 0,
            },
            1 => Subscribed::Read(number(16) as i32),
            2 => Subscribed::Write(number(16) as i32),
            _ => Subscribed::Nothing,
        };
        Ok(Subscription { data: number(0), kind, to })
    }

    /// What a clock shows when the time has come, where it shows `now` as the program begins to wait.
    pub(super) fn due(&self, now: u64) -> Option<u64> {
        match self.to {
            Subscribed::Clock { timeout, is_absolute: true, .. } => Some(timeout),
            Subscribed::Clock { timeout, .. } => Some(now.saturating_add(timeout)),
            _ => None,
        }
    }
}

/// Something that has come.
pub(super) struct Event {
    data: u64,
    kind: u8,
    error: u16,
    bytes: u64,
    hangs_up: bool,
}

impl Event {
    pub(super) const BYTES: u64 = 32;

    pub(super) fn of(subscription: &Subscription) -> Event {
        Event { data: subscription.data, kind: subscription.kind, error: 0, bytes: 0, hangs_up: false }
    }

    pub(super) fn failed(self, errno: Errno) -> Event {
        Event { error: errno.positive() as u16, ..self }
    }

    /// With the bytes that can be read, and whether there will be no more.
    pub(super) fn with(self, bytes: u64, hangs_up: bool) -> Event {
        Event { bytes, hangs_up, ..self }
    }

    pub(super) fn write(&self, memory: &mut Memory<'_>, at: u64, index: u64) -> Answer {
        let mut bytes = [0; Event::BYTES as usize];
        bytes[..8].copy_from_slice(&self.data.to_le_bytes());
        bytes[8..10].copy_from_slice(&self.error.to_le_bytes());
        bytes[10] = self.kind;
        bytes[16..24].copy_from_slice(&self.bytes.to_le_bytes());
        bytes[24] = u8::from(self.hangs_up);
        memory.put(at + index * Event::BYTES, &bytes)?;
        Ok(())
    }
}
