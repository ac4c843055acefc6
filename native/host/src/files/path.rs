//! From paths to nodes.

use super::Files;
use super::flags::{AT_EMPTY_PATH, AT_FDCWD, AT_SYMLINK_NOFOLLOW, X_OK};
use super::node::{Kind, Node};
use super::tree::{FD_DIRECTORY, ROOT};
use crate::errno::Errno;
use crate::limits::{LINKS, NAME_BYTES, PATH_BYTES, PATH_STEP_COST};

/// What becomes of a symbolic link at the end of a path. Those before are followed always.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Follow {
    /// It is what the path means, even with a slash behind: for operations on the entry.
    Never,
    /// It is followed only with a slash behind.
    WithSlash,
    Always,
}

impl Follow {
    /// As the flags of a call say that follows unless told otherwise.
    pub(super) fn from_flags(flags: i32) -> Follow {
        if flags & AT_SYMLINK_NOFOLLOW == 0 { Follow::Always } else { Follow::WithSlash }
    }
}

/// Where a path starts, and how far it may lead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum At {
    /// At a directory, or [`AT_FDCWD`]. It may lead anywhere, and an absolute one starts at the root.
    Anywhere(i32),
    /// At a directory, and it may not lead out of it: not by being absolute, not by "..", and not by a link.
    Beneath(i32),
}

impl From<i32> for At {
    fn from(directory: i32) -> At {
        At::Anywhere(directory)
    }
}

impl At {
    /// The descriptor of the directory.
    pub(super) fn descriptor(self) -> i32 {
        match self {
            At::Anywhere(directory) | At::Beneath(directory) => directory,
        }
    }
}

/// The last part of a path, after links.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Last {
    /// A name in a directory.
    Name(Vec<u8>),
    /// "."
    Dot,
    /// ".."
    DotDot,
    /// Nothing but slashes.
    Root,
}

/// What there is under a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    Missing,
    Node(u64),
    /// An entry of `/proc/self/fd`: it acts as a symbolic link to what the descriptor has open.
    Descriptor(i32),
}

impl Target {
    pub(super) fn exists(self) -> bool {
        self != Target::Missing
    }

    /// The inode number of a node.
    pub(super) fn node(self) -> Result<u64, Errno> {
        match self {
            Target::Node(inode) => Ok(inode),
            Target::Missing => Err(Errno::NOENT),
            Target::Descriptor(_) => Err(Errno::PERM),
        }
    }
}

pub(super) struct Found {
    /// The directory that the last name is in.
    pub(super) directory: u64,
    pub(super) last: Last,
    pub(super) target: Target,
    /// There is a slash behind the last name.
    pub(super) slash: bool,
}

impl Files {
    /// Walks along a path. Relative ones start at the directory that `at` has open, or at the working directory.
    ///
    /// # Errors
    /// `EPERM` for a path that would lead out of where it has to stay, among others.
    pub(super) fn walk(&self, at: impl Into<At>, path: &[u8], follow: Follow) -> Result<Found, Errno> {
        let at = at.into();
        if path.is_empty() {
            return Err(Errno::NOENT);
        }
        if path.len() > PATH_BYTES {
            return Err(Errno::NAMETOOLONG);
        }
        // The directory that it must not leave.
        let top = match at {
            At::Anywhere(_) => None,
            At::Beneath(directory) => Some(self.base(directory)?),
        };
        let start = match (path.starts_with(b"/"), top) {
            (true, Some(_)) => return Err(Errno::PERM),
            (true, None) => ROOT,
            (false, _) => self.base(at.descriptor())?,
        };
        let mut found = Found { directory: start, last: Last::Root, target: Target::Node(start), slash: false };
        let mut rest = path.to_vec();
        let (mut position, mut links) = (0, 0);
        loop {
            let left = rest.get(position..).unwrap_or_default();
            let skipped = slashes(left);
            let left = left.get(skipped..).unwrap_or_default();
            if left.is_empty() {
                return Ok(found);
            }
            let size = memchr::memchr(b'/', left).unwrap_or(left.len());
            let name = left.get(..size).unwrap_or_default();
            let behind = left.get(size..).unwrap_or_default();
            let is_last = slashes(behind) == behind.len();
            let slash = is_last && !behind.is_empty();

            self.work.pay(PATH_STEP_COST + (skipped + size) as u64)?;
            let directory = found.target.node()?;
            if name == b".." && top == Some(directory) {
                return Err(Errno::PERM);
            }
            let (last, mut target) = self.step(directory, name)?;
            if !is_last || follow == Follow::Always || follow == Follow::WithSlash && slash {
                if let Target::Node(inode) = target
                    && let Kind::Link(path) = &self.tree.node(inode)?.kind
                {
                    links += 1;
                    if links > LINKS {
                        return Err(Errno::LOOP);
                    }
                    let start = match (path.starts_with(b"/"), top) {
                        // Nothing leads out of the root.
                        (true, None | Some(ROOT)) => ROOT,
                        (true, Some(_)) => return Err(Errno::PERM),
                        (false, _) => directory,
                    };
                    found = Found { directory: start, last: Last::Root, target: Target::Node(start), slash: false };
                    self.work.pay((path.len() + behind.len()) as u64)?;
                    rest = [path, behind].concat();
                    position = 0;
                    continue;
                }
                if let Target::Descriptor(fd) = target {
                    if top.is_some_and(|top| top != ROOT) {
                        return Err(Errno::PERM);
                    }
                    target = Target::Node(self.descriptors.get(fd)?.inode);
                }
            }
            if !is_last && !target.exists() {
                return Err(Errno::NOENT);
            }
            if slash && follow != Follow::Never {
                self.expect_directory(target)?;
            }
            position += skipped + size;
            found = Found { directory, last, target, slash };
        }
    }

    /// What a name in a directory leads to.
    fn step(&self, inode: u64, name: &[u8]) -> Result<(Last, Target), Errno> {
        let node = self.tree.node(inode)?;
        let directory = node.directory().ok_or(Errno::NOTDIR)?;
        if !node.permits(X_OK) {
            return Err(Errno::ACCES);
        }
        if name.len() > NAME_BYTES {
            return Err(Errno::NAMETOOLONG);
        }
        Ok(match name {
            b"." => (Last::Dot, Target::Node(inode)),
            b".." => {
                // The parent of a directory that was removed may be gone, too.
                let parent = node.place.directory;
                self.tree.node(parent)?;
                (Last::DotDot, Target::Node(parent))
            }
            name if inode == FD_DIRECTORY => {
                let target = number(name).filter(|fd| self.is_open(*fd)).map_or(Target::Missing, Target::Descriptor);
                (Last::Name(name.to_vec()), target)
            }
            name => {
                let target = directory.get(name).map_or(Target::Missing, |entry| Target::Node(entry.inode));
                (Last::Name(name.to_vec()), target)
            }
        })
    }

    /// `ENOTDIR` for what exists and is no directory.
    pub(super) fn expect_directory(&self, target: Target) -> Result<(), Errno> {
        match target {
            Target::Missing => Ok(()),
            Target::Node(inode) if self.tree.node(inode)?.is_directory() => Ok(()),
            Target::Node(_) | Target::Descriptor(_) => Err(Errno::NOTDIR),
        }
    }

    /// What a descriptor stands for at the start of a path.
    fn base(&self, at: i32) -> Result<u64, Errno> {
        if at == AT_FDCWD { Ok(self.working_directory) } else { Ok(self.descriptors.get(at)?.inode) }
    }

    /// What there is under a path, with the flags of calls: `AT_SYMLINK_NOFOLLOW`, and `AT_EMPTY_PATH`, with which an
    /// empty path means what `at` has open.
    pub(super) fn target(&self, at: impl Into<At>, path: &[u8], flags: i32) -> Result<Target, Errno> {
        let at = at.into();
        if path.is_empty() && flags & AT_EMPTY_PATH != 0 {
            return Ok(Target::Node(self.base(at.descriptor())?));
        }
        match self.walk(at, path, Follow::from_flags(flags))?.target {
            Target::Missing => Err(Errno::NOENT),
            target => Ok(target),
        }
    }

    /// The node under a path, to be altered.
    pub(super) fn node_mut(&mut self, at: impl Into<At>, path: &[u8], flags: i32) -> Result<&mut Node, Errno> {
        let inode = self.target(at, path, flags)?.node()?;
        self.tree.node_mut(inode)
    }
}

/// How many slashes come first.
fn slashes(bytes: &[u8]) -> usize {
    bytes.iter().take_while(|byte| **byte == b'/').count()
}

/// A descriptor as `/proc/self/fd` names it.
fn number(name: &[u8]) -> Option<i32> {
    let number: i32 = std::str::from_utf8(name).ok()?.parse().ok()?;
    (number.to_string().as_bytes() == name).then_some(number)
}
