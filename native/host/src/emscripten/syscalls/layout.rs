//! Structures of C as the library of the program lays them out.

use super::Answer;
use crate::context::HostCtx;
use crate::errno::Errno;
use crate::files::{Space, Stat};
use crate::limits::PAGE;
use crate::memory::{Memory, Width};

/// Writes a `struct stat`. With 32-bit pointers it has 96 bytes, and up to Emscripten 3.1.41 112, or 88 where a time has 32
/// bits; with 64-bit ones 104 and 120.
pub(super) fn put_stat(host: &mut HostCtx<'_>, at: u64, stat: &Stat) -> Answer {
    /// The only file system there is.
    const DEVICE: u32 = 1;
    const BLOCK: u32 = PAGE as u32;
    /// Bytes of what blocks are counted in.
    const SECTOR: u64 = 512;

    let is_padded = host.abi.is_narrow();
    let mut bytes = Struct::new(host.memory.width());
    bytes.int(DEVICE);
    if is_padded {
        bytes.int(0);
        bytes.long(stat.inode);
    }
    bytes.int(stat.mode);
    bytes.long(u64::from(stat.links));
    for number in [stat.user, stat.group, stat.device] {
        bytes.int(number);
    }
    if is_padded {
        bytes.int(0);
    }
    bytes.wide(stat.size);
    bytes.int(BLOCK);
    // No file is so large that this were cut off.
    bytes.int(stat.size.div_ceil(SECTOR) as u32);
    for time in [stat.times.accessed, stat.times.modified, stat.times.changed] {
        match host.abi.time_bytes() {
            4 => bytes.int(time.seconds as u32),
            _ => bytes.wide(time.seconds as u64),
        }
        bytes.long(u64::from(time.nanoseconds));
    }
    bytes.wide(stat.inode);
    host.memory.put(at, &bytes.bytes)?;
    Ok(0)
}

/// How a `struct statfs` counts blocks and files.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Counts {
    /// In 32 bits, up to Emscripten 4.0.11.
    Narrow,
    /// In 64 bits.
    Wide,
}

impl Counts {
    /// Of the structure that has so many bytes.
    ///
    /// # Errors
    /// `EINVAL` where none does, as by Linux. Emscripten's JavaScript knows one size and does not look.
    pub(super) fn of(bytes: u64, width: Width) -> Result<Counts, Errno> {
        match (width, bytes) {
            (Width::Narrow, 64) | (Width::Wide, 104) => Ok(Counts::Narrow),
            (Width::Narrow, 88) | (Width::Wide, 120) => Ok(Counts::Wide),
            _ => Err(Errno::INVAL),
        }
    }
}

/// Writes a `struct statfs`.
pub(super) fn put_statfs(memory: &mut Memory<'_>, at: u64, counts: Counts, space: &Space) -> Answer {
    const TMPFS: u64 = 0x0102_1994;
    const BLOCK: u64 = PAGE as u64;
    const NAME: u64 = 255;
    const IDENTITY: u32 = 42;
    const ST_NOSUID: u64 = 2;

    let mut bytes = Struct::new(memory.width());
    bytes.long(TMPFS);
    bytes.long(BLOCK);
    let free = space.free_bytes / BLOCK;
    for number in [space.most_bytes / BLOCK, free, free, space.most_nodes, space.free_nodes] {
        match counts {
            // All of them are below 2^32: the limits are.
            Counts::Narrow => bytes.int(number as u32),
            Counts::Wide => bytes.wide(number),
        }
    }
    bytes.int(IDENTITY);
    bytes.int(0);
    for number in [NAME, BLOCK, ST_NOSUID, 0, 0, 0, 0] {
        bytes.long(number);
    }
    if counts == Counts::Wide {
        bytes.align();
    }
    memory.put(at, &bytes.bytes)?;
    Ok(0)
}

/// The settings of every terminal: `struct termios`, up to its control characters.
pub(super) fn termios() -> [u8; 49] {
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

/// A structure of C that is written from its start. Each number is aligned to its size.
struct Struct {
    bytes: Vec<u8>,
    width: Width,
}

impl Struct {
    fn new(width: Width) -> Struct {
        Struct { bytes: Vec::with_capacity(120), width }
    }

    fn int(&mut self, number: u32) {
        self.bytes.extend_from_slice(&number.to_le_bytes());
    }

    fn wide(&mut self, number: u64) {
        self.align();
        self.bytes.extend_from_slice(&number.to_le_bytes());
    }

    /// One as wide as a pointer.
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
