//! A file system as bytes.
//!
//! ```text
//! 0   u64      the version
//! 8   u64      the number of the next node
//! 16  u64      the number of the working directory
//! 24  u64      N, how many nodes
//! 32  u64      D, how many open file descriptions
//! 40  u64      F, how many descriptors
//! 48  u64      only where there are mappings, lazy files or pipes: how many mappings, M
//! 56  u64      only where there are lazy files or pipes: how many lazy files, L
//!  …           N nodes by number, D descriptions by number, F descriptors, M mappings by address, L lazy files by number
//!  …           the contents of the files and pipes that are shorter than a page, by number, one behind the other
//!  …           the pages of the others, by number, each at a multiple of a page
//!
//! node         u64 number, u32 mode, u32 user, u32 group, u64 directory and u64 position of its place,
//!              3 times (read, written, altered) of i64 seconds and u32 nanoseconds, u64 size; then
//!   file       u64 P, how many of its pages are not all zeros, P u64 numbers of these; its contents come later
//!   directory  u64 position of the next entry, `size` entries by name: u64 number, u64 position, u16 length, the name
//!   link       the path, `size` bytes
//!   device     nothing: `size` is its number
//!   pipe       u64 how many bytes of the contents have been read, which are zeros; then as a file
//! description  u32 number, u64 node, u32 flags, u64 offset
//! descriptor   u32 number, u32 description, u32 flags: 1 it is closed on exec, 2 the program was given it at its start;
//!              where 2 is set u16 length and the name of the directory
//! mapping      u64 address, u64 size, u64 node, u64 offset
//! lazy file    u64 node, u64 R, then R runs of pages that nobody has given yet: u64 first, u64 behind the last
//! ```
//!
//! With pipes it is version 4, else with lazy files version 3, else with mappings version 2, and without them version 1. A
//! file that is shorter than a page has its `size` bytes among the contents, or none if they are all zeros. Numbers are
//! little endian. Zeros fill the last page of the short contents. What was printed is not part of it.

use super::Files;
use super::node::{Kind, Node};
use super::pages::Contents;
use crate::encoding::{Counted, Sink};
use crate::limits::PAGE;

/// What an encoding starts with that has no mappings.
pub(super) const VERSION: u64 = u64::from_le_bytes(*b"files 01");
/// What one starts with that has some.
pub(super) const VERSION_2: u64 = u64::from_le_bytes(*b"files 02");

/// What one starts with that has lazy files.
pub(super) const VERSION_3: u64 = u64::from_le_bytes(*b"files 03");

/// What one starts with that has pipes.
pub(super) const VERSION_4: u64 = u64::from_le_bytes(*b"files 04");

/// Bytes of a node without what depends on its kind, and of an entry without its name.
pub(super) const NODE_BYTES: usize = 80;
pub(super) const ENTRY_BYTES: usize = 18;
pub(super) const DESCRIPTION_BYTES: usize = 24;
pub(super) const DESCRIPTOR_BYTES: usize = 12;
pub(super) const MAPPING_BYTES: usize = 32;
/// Of a lazy file without its runs, and of a run.
pub(super) const LAZY_BYTES: usize = 16;
pub(super) const RUN_BYTES: usize = 16;
pub(super) const HEADER_BYTES: usize = 48;

/// Flags of a descriptor.
pub(super) const CLOSE_ON_EXEC: u32 = 1;
pub(super) const PREOPENED: u32 = 2;

impl Files {
    /// Equal file systems give equal bytes, and [`decode`](Files::decode) gives an equal file system.
    pub(crate) fn encode(&self, into: &mut impl Sink) {
        let mut out = Counted::new(into);
        let counts = [self.tree.nodes.len(), self.descriptors.descriptions.len(), self.descriptors.open.len()];
        let version = self.version();
        for number in [version, self.tree.next_inode, self.working_directory] {
            out.u64(number);
        }
        for count in counts {
            out.u64(count as u64);
        }
        if version != VERSION {
            out.u64(self.mappings.len() as u64);
        }
        if [VERSION_3, VERSION_4].contains(&version) {
            out.u64(self.tree.unknown.len() as u64);
        }
        for (inode, node) in &self.tree.nodes {
            put_node(&mut out, *inode, node);
        }
        for (number, description) in &self.descriptors.descriptions {
            out.u32(*number);
            out.u64(description.inode);
            out.u32(description.flags as u32);
            out.u64(description.offset);
        }
        for (fd, descriptor) in &self.descriptors.open {
            out.u32(*fd as u32);
            out.u32(descriptor.description);
            let preopened = if descriptor.preopen.is_some() { PREOPENED } else { 0 };
            out.u32(preopened | if descriptor.close_on_exec { CLOSE_ON_EXEC } else { 0 });
            if let Some(name) = &descriptor.preopen {
                // A path has at most 4095 bytes.
                out.u16(name.len() as u16);
                out.put(name);
            }
        }
        for (address, mapping) in &self.mappings {
            for number in [*address, mapping.size, mapping.inode, mapping.offset] {
                out.u64(number);
            }
        }
        for (inode, unknown) in &self.tree.unknown {
            out.u64(*inode);
            out.u64(unknown.runs().len() as u64);
            for run in unknown.runs() {
                out.u64(run.start);
                out.u64(run.end);
            }
        }
        for contents in self.contents().filter(|contents| is_short(contents.size())) {
            for page in contents.pages().values() {
                out.put(page.get(..contents.size() as usize).unwrap_or_default());
            }
        }
        out.pad(PAGE);
        for contents in self.contents().filter(|contents| !is_short(contents.size())) {
            for page in contents.pages().values() {
                out.put(page);
            }
        }
    }

    /// The least version that has all that there is.
    fn version(&self) -> u64 {
        let has_pipes =
            self.descriptors.descriptions.values().any(|description| {
                self.tree.node(description.inode).is_ok_and(|node| matches!(node.kind, Kind::Pipe(_)))
            });
        match (has_pipes, self.tree.unknown.is_empty(), self.mappings.is_empty()) {
            (true, ..) => VERSION_4,
            (false, false, _) => VERSION_3,
            (false, true, false) => VERSION_2,
            (false, true, true) => VERSION,
        }
    }

    fn contents(&self) -> impl Iterator<Item = &Contents> {
        self.tree.nodes.values().filter_map(Node::contents)
    }

    /// How many bytes an encoding takes.
    pub(crate) fn encoded_size(&self) -> usize {
        let node = |node: &Node| match &node.kind {
            Kind::File(contents) => NODE_BYTES + 8 + 8 * contents.pages().len(),
            Kind::Pipe(pipe) => NODE_BYTES + 16 + 8 * pipe.contents().pages().len(),
            Kind::Device(_) => NODE_BYTES,
            Kind::Link(target) => NODE_BYTES + target.len(),
            Kind::Directory(directory) => {
                let names: usize = directory.by_name().map(|(name, _)| ENTRY_BYTES + name.len()).sum();
                NODE_BYTES + 8 + names
            }
        };
        let nodes: usize = self.tree.nodes.values().map(node).sum();
        let descriptors =
            DESCRIPTION_BYTES * self.descriptors.descriptions.len() + DESCRIPTOR_BYTES * self.descriptors.open.len();
        let preopens: usize = self
            .descriptors
            .open
            .values()
            .filter_map(|descriptor| descriptor.preopen.as_ref())
            .map(|name| 2 + name.len())
            .sum();
        let lazy: usize = self.tree.unknown.values().map(|unknown| LAZY_BYTES + RUN_BYTES * unknown.runs().len()).sum();
        let counts = match self.version() {
            VERSION => 0,
            VERSION_2 => 8,
            _ => 16,
        };
        let mappings = counts + MAPPING_BYTES * self.mappings.len();
        let (mut short, mut long) = (0, 0);
        for contents in self.contents() {
            match contents.size() {
                size if is_short(size) => short += size as usize * contents.pages().len(),
                _ => long += contents.taken() as usize,
            }
        }
        (HEADER_BYTES + nodes + descriptors + preopens + mappings + lazy + short).next_multiple_of(PAGE) + long
    }
}

/// Whether contents of a size are among the short ones.
pub(super) fn is_short(size: u64) -> bool {
    size < PAGE as u64
}

fn put_node(out: &mut Counted<'_, impl Sink>, inode: u64, node: &Node) {
    out.u64(inode);
    for number in [node.kind.format() | node.permissions, node.user, node.group] {
        out.u32(number);
    }
    out.u64(node.place.directory);
    out.u64(node.place.position);
    for time in [node.times.accessed, node.times.modified, node.times.changed] {
        out.u64(time.seconds as u64);
        out.u32(time.nanoseconds);
    }
    match &node.kind {
        Kind::File(contents) => {
            out.u64(contents.size());
            put_pages(out, contents);
        }
        Kind::Pipe(pipe) => {
            out.u64(pipe.contents().size());
            out.u64(pipe.read());
            put_pages(out, pipe.contents());
        }
        Kind::Device(device) => out.u64(u64::from(device.number())),
        Kind::Link(target) => {
            out.u64(target.len() as u64);
            out.put(target);
        }
        Kind::Directory(directory) => {
            out.u64(directory.len() as u64);
            out.u64(directory.next());
            for (name, entry) in directory.by_name() {
                out.u64(entry.inode);
                out.u64(entry.position);
                // A name has at most 255 bytes.
                out.u16(name.len() as u16);
                out.put(name);
            }
        }
    }
}

/// The numbers of the pages.
fn put_pages(out: &mut Counted<'_, impl Sink>, contents: &Contents) {
    out.u64(contents.pages().len() as u64);
    contents.pages().keys().for_each(|page| out.u64(*page));
}
