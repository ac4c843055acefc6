//! A file system as bytes.
//!
//! ```text
//! 0   u64      VERSION
//! 8   u64      the number of the next node
//! 16  u64      the number of the working directory
//! 24  u64      N, how many nodes
//! 32  u64      D, how many open file descriptions
//! 40  u64      F, how many descriptors
//! 48           N nodes by number, D descriptions by number, F descriptors
//!  …           the contents of the files that are shorter than a page, by number, one behind the other
//!  …           the contents of the others, by number, each at a multiple of a page
//!
//! node         u64 number, u32 mode, u32 user, u32 group, u64 directory and u64 position of its place,
//!              3 times (read, written, altered) of i64 seconds and u32 nanoseconds, u64 size; then
//!   file       nothing: its contents, of `size` bytes, come later
//!   directory  u64 position of the next entry, `size` entries by name: u64 number, u64 position, u16 length, the name
//!   link       the path, `size` bytes
//!   device     nothing: `size` is its number
//! description  u32 number, u64 node, u32 flags, u64 offset
//! descriptor   u32 number, u32 description, u32 whether it is closed on exec
//! ```
//!
//! Numbers are little endian. Zeros fill the last page of the short contents and of each long one. What was printed is
//! not part of it.

use super::Files;
use super::node::{Kind, Node};

/// What an encoding starts with.
pub(super) const VERSION: u64 = u64::from_le_bytes(*b"files 01");

/// Long contents start at multiples of this.
pub(super) const PAGE: usize = 4096;

/// Bytes of a node without what depends on its kind, and of an entry without its name.
pub(super) const NODE_BYTES: usize = 80;
pub(super) const ENTRY_BYTES: usize = 18;
pub(super) const DESCRIPTION_BYTES: usize = 24;
pub(super) const DESCRIPTOR_BYTES: usize = 12;
pub(super) const HEADER_BYTES: usize = 48;

impl Files {
    /// Equal file systems give equal bytes, and [`decode`](Files::decode) gives an equal file system.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.encoded_size());
        let counts = [self.tree.nodes.len(), self.descriptors.descriptions.len(), self.descriptors.open.len()];
        for number in [VERSION, self.tree.next_inode, self.working_directory] {
            put(&mut bytes, number);
        }
        for count in counts {
            put(&mut bytes, count as u64);
        }
        for (inode, node) in &self.tree.nodes {
            put_node(&mut bytes, *inode, node);
        }
        for (number, description) in &self.descriptors.descriptions {
            bytes.extend_from_slice(&number.to_le_bytes());
            put(&mut bytes, description.inode);
            bytes.extend_from_slice(&description.flags.to_le_bytes());
            put(&mut bytes, description.offset);
        }
        for (fd, descriptor) in &self.descriptors.open {
            bytes.extend_from_slice(&fd.to_le_bytes());
            bytes.extend_from_slice(&descriptor.description.to_le_bytes());
            bytes.extend_from_slice(&u32::from(descriptor.close_on_exec).to_le_bytes());
        }
        for contents in self.contents().filter(|contents| contents.len() < PAGE) {
            bytes.extend_from_slice(contents);
        }
        for contents in self.contents().filter(|contents| contents.len() >= PAGE) {
            pad(&mut bytes);
            bytes.extend_from_slice(contents);
        }
        pad(&mut bytes);
        bytes
    }

    fn contents(&self) -> impl Iterator<Item = &[u8]> {
        self.tree.nodes.values().filter_map(|node| match &node.kind {
            Kind::File(contents) => Some(contents.as_slice()),
            _ => None,
        })
    }

    /// How many bytes an encoding takes.
    fn encoded_size(&self) -> usize {
        let node = |node: &Node| match &node.kind {
            Kind::File(_) | Kind::Device(_) => NODE_BYTES,
            Kind::Link(target) => NODE_BYTES + target.len(),
            Kind::Directory(directory) => {
                let names: usize = directory.by_name().map(|(name, _)| ENTRY_BYTES + name.len()).sum();
                NODE_BYTES + 8 + names
            }
        };
        let nodes: usize = self.tree.nodes.values().map(node).sum();
        let descriptors =
            DESCRIPTION_BYTES * self.descriptors.descriptions.len() + DESCRIPTOR_BYTES * self.descriptors.open.len();
        let (mut short, mut long) = (0, 0);
        for contents in self.contents() {
            match contents.len() {
                size if size < PAGE => short += size,
                size => long += size.next_multiple_of(PAGE),
            }
        }
        (HEADER_BYTES + nodes + descriptors + short).next_multiple_of(PAGE) + long
    }
}

fn put_node(bytes: &mut Vec<u8>, inode: u64, node: &Node) {
    put(bytes, inode);
    for number in [node.kind.format() | node.permissions, node.user, node.group] {
        bytes.extend_from_slice(&number.to_le_bytes());
    }
    put(bytes, node.place.directory);
    put(bytes, node.place.position);
    for time in [node.times.accessed, node.times.modified, node.times.changed] {
        bytes.extend_from_slice(&time.seconds.to_le_bytes());
        bytes.extend_from_slice(&time.nanoseconds.to_le_bytes());
    }
    match &node.kind {
        Kind::File(contents) => put(bytes, contents.len() as u64),
        Kind::Device(device) => put(bytes, u64::from(device.number())),
        Kind::Link(target) => {
            put(bytes, target.len() as u64);
            bytes.extend_from_slice(target);
        }
        Kind::Directory(directory) => {
            put(bytes, directory.len() as u64);
            put(bytes, directory.next());
            for (name, entry) in directory.by_name() {
                put(bytes, entry.inode);
                put(bytes, entry.position);
                // A name has at most 255 bytes.
                bytes.extend_from_slice(&(name.len() as u16).to_le_bytes());
                bytes.extend_from_slice(name);
            }
        }
    }
}

fn put(bytes: &mut Vec<u8>, number: u64) {
    bytes.extend_from_slice(&number.to_le_bytes());
}

/// Zeros up to the next page.
fn pad(bytes: &mut Vec<u8>) {
    bytes.resize(bytes.len().next_multiple_of(PAGE), 0);
}
