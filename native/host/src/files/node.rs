//! What a name in the file system leads to: files, directories, symbolic links and devices. And pipes, which have no name.

use super::directory::Directory;
use super::flags::{S_IFCHR, S_IFDIR, S_IFIFO, S_IFLNK, S_IFREG};
use super::pages::Contents;
use super::pipe::Pipe;

/// A point in time as files have it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Time {
    /// Since 1970.
    pub(crate) seconds: i64,
    /// Below 1,000,000,000.
    pub(crate) nanoseconds: u32,
}

impl Time {
    pub(crate) const NANOSECONDS: u32 = 1_000_000_000;

    /// Of milliseconds since 1970.
    pub(crate) fn from_milliseconds(milliseconds: u64) -> Time {
        // The quotient is far below the greatest `i64`, the remainder below 1000.
        Time { seconds: (milliseconds / 1000) as i64, nanoseconds: (milliseconds % 1000) as u32 * 1_000_000 }
    }
}

/// When a node was last read, written and altered. Reading does not set the first: files are as on a file system that
/// is mounted with `noatime`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Times {
    pub(crate) accessed: Time,
    pub(crate) modified: Time,
    pub(crate) changed: Time,
}

impl Times {
    pub(super) fn all(time: Time) -> Times {
        Times { accessed: time, modified: time, changed: time }
    }
}

/// The devices there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Device {
    /// Reads as empty and forgets what it is given.
    Null,
    /// Reads as the standard input; what is written becomes the output.
    Terminal,
    /// Cannot be read; what is written becomes the error output.
    ErrorTerminal,
}

impl Device {
    /// The device number that `stat` tells: the major number times 256 plus the minor one.
    pub(crate) fn number(self) -> u32 {
        match self {
            Device::Null => 0x103,
            Device::Terminal => 0x500,
            Device::ErrorTerminal => 0x600,
        }
    }

    pub(super) fn from_number(number: u64) -> Option<Device> {
        [Device::Null, Device::Terminal, Device::ErrorTerminal]
            .into_iter()
            .find(|device| u64::from(device.number()) == number)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    File(Contents),
    Directory(Directory),
    /// A symbolic link and the path that it holds.
    Link(Box<[u8]>),
    Device(Device),
    Pipe(Pipe),
}

impl Kind {
    /// The bits of the mode that tell the kind.
    pub(super) fn format(&self) -> u32 {
        match self {
            Kind::File(_) => S_IFREG,
            Kind::Directory(_) => S_IFDIR,
            Kind::Link(_) => S_IFLNK,
            Kind::Device(_) => S_IFCHR,
            Kind::Pipe(_) => S_IFIFO,
        }
    }
}

/// An entry of a directory: the directory's inode number, and the entry's position in it. Position 0 is no entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) directory: u64,
    pub(super) position: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Node {
    pub(super) kind: Kind,
    /// The permissions, with the set-id and sticky bits: 12 bits.
    pub(super) permissions: u32,
    pub(super) user: u32,
    pub(super) group: u32,
    pub(super) times: Times,
    /// The last entry that was made for this node, if it is still there. A directory that was removed keeps its parent.
    pub(super) place: Place,
    /// Entries that lead here.
    pub(super) names: u32,
    /// Open descriptions, and the working directory, that keep this node.
    pub(super) holders: u32,
}

impl Node {
    pub(super) fn new(kind: Kind, permissions: u32, now: u64) -> Node {
        Node {
            kind,
            permissions: permissions & PERMISSIONS,
            user: 0,
            group: 0,
            times: Times::all(Time::from_milliseconds(now)),
            place: Place::default(),
            names: 0,
            holders: 0,
        }
    }

    pub(super) fn directory(&self) -> Option<&Directory> {
        match &self.kind {
            Kind::Directory(directory) => Some(directory),
            _ => None,
        }
    }

    pub(super) fn is_directory(&self) -> bool {
        self.directory().is_some()
    }

    /// How many pages its contents have.
    pub(super) fn pages(&self) -> usize {
        self.contents().map_or(0, |contents| contents.pages().len())
    }

    /// What a file or a pipe holds.
    pub(super) fn contents(&self) -> Option<&Contents> {
        match &self.kind {
            Kind::File(contents) => Some(contents),
            Kind::Pipe(pipe) => Some(pipe.contents()),
            Kind::Directory(_) | Kind::Link(_) | Kind::Device(_) => None,
        }
    }

    /// Whether all that is wanted (bits as of `access`) is allowed. There is one user, so a permission counts whomever
    /// it is given to; as on Emscripten, it counts for the superuser as well.
    pub(super) fn permits(&self, wanted: u32) -> bool {
        [1, 2, 4].into_iter().all(|bit| wanted & bit == 0 || self.permissions & (bit * 0o111) != 0)
    }

    /// Notes that the contents, or the entries, are others now.
    pub(super) fn touch(&mut self, now: u64) {
        let time = Time::from_milliseconds(now);
        self.times.modified = time;
        self.times.changed = time;
    }

    /// Notes that what is told about the node is different now.
    pub(super) fn alter(&mut self, now: u64) {
        self.times.changed = Time::from_milliseconds(now);
    }

    /// What `stat` tells.
    pub(super) fn stat(&self, inode: u64) -> Stat {
        let (size, links, device) = match &self.kind {
            Kind::File(contents) => (contents.size(), self.names, 0),
            Kind::Link(target) => (target.len() as u64, self.names, 0),
            Kind::Device(device) => (0, self.names, device.number()),
            // As Linux has it of what has no name.
            Kind::Pipe(_) => (0, 1, 0),
            // Its entry, its own "." and the ".." of those below.
            Kind::Directory(_) if self.names == 0 => (DIRECTORY_BYTES, 0, 0),
            Kind::Directory(directory) => (DIRECTORY_BYTES, directory.subdirectories().saturating_add(2), 0),
        };
        let mode = self.kind.format() | self.permissions;
        Stat { inode, mode, links, user: self.user, group: self.group, device, size, times: self.times }
    }
}

/// The bits of a mode that are permissions.
pub(super) const PERMISSIONS: u32 = 0o7777;

/// What directories tell as their size.
const DIRECTORY_BYTES: u64 = 4096;

/// What `stat` tells of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stat {
    pub(crate) inode: u64,
    /// What it is, and the permissions.
    pub(crate) mode: u32,
    pub(crate) links: u32,
    pub(crate) user: u32,
    pub(crate) group: u32,
    /// The number of the device that the node is, or 0.
    pub(crate) device: u32,
    pub(crate) size: u64,
    pub(crate) times: Times,
}
