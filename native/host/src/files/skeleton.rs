//! What a new instance finds: directories, devices, and three descriptors.

use super::accounting::Work;
use super::descriptors::Descriptors;
use super::flags::{AT_FDCWD, O_WRONLY};
use super::node::{Device, Kind, Node};
use super::output::Output;
use super::path::{Follow, Last};
use super::tree::{ROOT, Tree};
use super::{Errno, Files};

/// In the order in which they get their inode numbers, from 2 on.
const NODES: [(&[u8], Standard); 16] = [
    (b"/tmp", Standard::Directory),
    (b"/home", Standard::Directory),
    (b"/home/web_user", Standard::Directory),
    (b"/dev", Standard::Directory),
    (b"/dev/null", Standard::Device(Device::Null)),
    (b"/dev/tty", Standard::Device(Device::Terminal)),
    (b"/dev/tty1", Standard::Device(Device::ErrorTerminal)),
    (b"/dev/shm", Standard::Directory),
    (b"/proc", Standard::Directory),
    (b"/proc/self", Standard::Directory),
    (b"/proc/self/fd", Standard::Directory),
    (b"/dev/shm/tmp", Standard::Directory),
    (b"/dev/stdin", Standard::Link(b"/dev/tty")),
    (b"/dev/stdout", Standard::Link(b"/dev/tty")),
    (b"/dev/stderr", Standard::Link(b"/dev/tty1")),
    // Made by the loader of AO's processes, not by Emscripten.
    (b"/data", Standard::Directory),
];

enum Standard {
    Directory,
    Device(Device),
    Link(&'static [u8]),
}

impl Files {
    /// A file system as a new instance finds it. All its times are the start of 1970.
    pub(crate) fn new() -> Files {
        let mut files = Files {
            tree: Tree::new(),
            descriptors: Descriptors::default(),
            working_directory: ROOT,
            mappings: Default::default(),
            input: Default::default(),
            output: [Output::default(), Output::default()],
            stream: None,
            work: Work::default(),
        };
        // Nothing of this can fail: that all of it is there is tested.
        let _ = files.furnish();
        // That is nobody's work, and has to be none: the same file system also comes out of a snapshot.
        files.work = Work::default();
        files
    }

    fn furnish(&mut self) -> Result<(), Errno> {
        self.tree.hold(ROOT)?;
        for (path, what) in NODES {
            let node = match what {
                Standard::Directory => Node::new(Kind::Directory(Default::default()), 0o777, 0),
                Standard::Device(device) => Node::new(Kind::Device(device), 0o666, 0),
                Standard::Link(target) => Node::new(Kind::Link(target.into()), 0o777, 0),
            };
            let found = self.walk(AT_FDCWD, path, Follow::Never)?;
            if let Last::Name(name) = found.last {
                self.tree.create(found.directory, &name, node, 0)?;
            }
        }
        self.open(AT_FDCWD, b"/dev/stdin", 0, 0, 0)?;
        self.open(AT_FDCWD, b"/dev/stdout", O_WRONLY, 0, 0)?;
        self.open(AT_FDCWD, b"/dev/stderr", O_WRONLY, 0, 0)?;
        Ok(())
    }
}
