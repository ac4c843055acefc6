//! A file system from bytes, and all that has to hold for it: no operation relies on what has not been looked at here.

use super::Files;
use super::accounting::Work;
use super::descriptors::{Description, Descriptor, Descriptors};
use super::directory::{Directory, Entry, FIRST_POSITION, is_name};
use super::encode::{
    CLOSE_ON_EXEC, DESCRIPTION_BYTES, DESCRIPTOR_BYTES, ENTRY_BYTES, LAZY_BYTES, MAPPING_BYTES, NODE_BYTES, PREOPENED,
    RUN_BYTES, VERSION, VERSION_2, VERSION_3, VERSION_4, is_short,
};
use super::flags::{KEPT, KEPT_OF_PATH, O_PATH, S_IFCHR, S_IFDIR, S_IFIFO, S_IFLNK, S_IFMT, S_IFREG};
use super::input::Input;
use super::lazy::Unknown;
use super::mappings::{Mapping, Mappings};
use super::node::{Device, Kind, Node, PERMISSIONS, Place, Time, Times};
use super::output::Output;
use super::pages::{Contents, NoRoom, Page};
use super::pipe::Pipe;
use super::tree::{FD_DIRECTORY, ROOT, Tree, cost, name_cost};
use crate::encoding::DecodeError;
use crate::limits::{DESCRIPTORS, FILE_BYTES, FILES, FILES_BYTES, MAPPINGS, PAGE, PATH_BYTES, UNKNOWN_RUNS};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Numbers that only ever grow are below this: no program counts on to where they end.
const MOST_NUMBER: u64 = 1 << 60;

const OTHER: &str = "the files are not of the version that they say";
const CUT: &str = "the files are cut off";
const MANY: &str = "the files are more than there may be";
const ORDER: &str = "the files are not in order";
const DANGLING: &str = "the files refer to one that is not there";
const NODE: &str = "invalid inode";
const ENTRY: &str = "invalid directory entry";
const TREE: &str = "the directories are no tree";
const UNUSED: &str = "nothing refers to one of the files";
const OPEN: &str = "invalid descriptor";
const MAPPING: &str = "invalid mapping";
const LAZY: &str = "invalid lazy file";
const PIPE: &str = "invalid pipe";
const PADDING: &str = "the files have something between them";

impl Files {
    /// The file system that [`encode`](Files::encode) has made these bytes of. Nothing has been printed.
    ///
    /// # Errors
    /// What is wrong with the bytes.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Files, DecodeError> {
        let mut from = Reader { bytes, position: 0 };
        let version = from.u64()?;
        if ![VERSION, VERSION_2, VERSION_3, VERSION_4].contains(&version) {
            return Err("the files are of another version".into());
        }
        let (next_inode, working_directory) = (from.u64()?, from.u64()?);
        let nodes = from.count(NODE_BYTES, FILES)?;
        let descriptions = from.count(DESCRIPTION_BYTES, DESCRIPTORS as usize)?;
        let descriptors = from.count(DESCRIPTOR_BYTES, DESCRIPTORS as usize)?;
        let mappings = if version == VERSION { 0 } else { from.count(MAPPING_BYTES, MAPPINGS)? };
        let lazy = if [VERSION_3, VERSION_4].contains(&version) { from.count(LAZY_BYTES, FILES)? } else { 0 };
        if version == VERSION_2 && mappings == 0 || version == VERSION_3 && lazy == 0 {
            return Err(OTHER.into());
        }
        if next_inode > MOST_NUMBER {
            return Err(MANY.into());
        }
        expect_room(nodes)?;
        let mut files = Vec::new();
        let nodes = read_nodes(&mut from, nodes, &mut files)?;
        if files.iter().any(|file| file.read.is_some()) != (version == VERSION_4) {
            return Err(OTHER.into());
        }
        let mut tree = Tree { nodes, next_inode, bytes: 0, names: 0, unknown: BTreeMap::new() };
        if tree.nodes.last_key_value().is_some_and(|(last, _)| *last >= next_inode) {
            return Err(ORDER.into());
        }
        let descriptors = read_descriptors(&mut from, descriptions, descriptors)?;
        let mappings = read_mappings(&mut from, mappings)?;
        let unknown = read_unknown(&mut from, lazy)?;
        read_contents(&mut from, &mut tree, files)?;
        tree.set_unknown(unknown).ok_or(LAZY)?;
        check_entries(&mut tree)?;
        check_tree(&tree)?;

        for description in descriptors.descriptions.values() {
            tree.hold_open(description).map_err(|_| DANGLING)?;
        }
        let mapped = mappings.values().map(|mapping| mapping.inode);
        for inode in mapped.clone().chain([working_directory]) {
            tree.hold(inode).map_err(|_| DANGLING)?;
        }
        tree.directory(working_directory).map_err(|_| DANGLING)?;
        if tree.nodes.values().any(|node| node.names == 0 && node.holders == 0) {
            return Err(UNUSED.into());
        }
        let preopened = descriptors.open.values().filter(|descriptor| descriptor.preopen.is_some());
        let mut preopened = preopened.filter_map(|descriptor| descriptors.descriptions.get(&descriptor.description));
        if preopened.any(|description| tree.directory(description.inode).is_err()) {
            return Err(OPEN.into());
        }
        let is_file = |inode| tree.nodes.get(&inode).is_some_and(|node| matches!(node.kind, Kind::File(_)));
        if !mapped.clone().all(is_file) {
            return Err(MAPPING.into());
        }
        let output = [Output::default(), Output::default()];
        let input = Input::default();
        Ok(Files { tree, descriptors, working_directory, mappings, input, output, stream: None, work: Work::default() })
    }
}

impl From<NoRoom> for DecodeError {
    fn from(_: NoRoom) -> DecodeError {
        DecodeError::NoRoom
    }
}

/// Whether there is room for so many nodes. They are made of small allocations, none of which may fail: so this asks for
/// all of it at once.
pub(super) fn expect_room(nodes: usize) -> Result<(), NoRoom> {
    /// What a node, a name and their places in maps take, at most about.
    const BYTES: usize = 1024;

    Vec::<u8>::new().try_reserve_exact(nodes.saturating_mul(BYTES)).map_err(|_| NoRoom)
}

/// A file or a pipe whose contents come later.
struct File {
    inode: u64,
    /// Of a pipe, how much has been read.
    read: Option<u64>,
    size: u64,
    /// The numbers of its pages.
    pages: Vec<u64>,
}

/// The nodes, with files empty, and what is known of these.
fn read_nodes(from: &mut Reader<'_>, count: usize, files: &mut Vec<File>) -> Result<BTreeMap<u64, Node>, DecodeError> {
    let mut nodes = BTreeMap::new();
    let (mut last, mut names) = (0, 0);
    for _ in 0..count {
        let inode = from.u64()?;
        if inode <= last {
            return Err(ORDER.into());
        }
        last = inode;
        let (mode, user, group) = (from.u32()?, from.u32()?, from.u32()?);
        let place = Place { directory: from.u64()?, position: from.u64()? };
        let times = Times { accessed: from.time()?, modified: from.time()?, changed: from.time()? };
        let size = from.u64()?;
        let permissions = mode & PERMISSIONS;
        if mode & !(PERMISSIONS | S_IFMT) != 0 {
            return Err(NODE.into());
        }
        let kind = match mode & S_IFMT {
            S_IFREG => {
                files.push(File { inode, read: None, size, pages: read_numbers(from)? });
                Kind::File(Contents::default())
            }
            S_IFIFO => {
                files.push(File { inode, read: Some(from.u64()?), size, pages: read_numbers(from)? });
                Kind::Pipe(Pipe::default())
            }
            S_IFDIR => {
                let directory = read_directory(from, size)?;
                names += directory.len();
                if names > FILES {
                    return Err(MANY.into());
                }
                Kind::Directory(directory)
            }
            S_IFLNK => match from.take(size)? {
                target if target.is_empty() || target.len() > PATH_BYTES || target.contains(&0) => {
                    return Err(NODE.into());
                }
                target => Kind::Link(target.into()),
            },
            S_IFCHR => Kind::Device(Device::from_number(size).ok_or(NODE)?),
            _ => return Err(NODE.into()),
        };
        nodes.insert(inode, Node { kind, permissions, user, group, times, place, names: 0, holders: 0 });
    }
    Ok(nodes)
}

fn read_directory(from: &mut Reader<'_>, count: u64) -> Result<Directory, &'static str> {
    let next = from.u64()?;
    if !(FIRST_POSITION..=MOST_NUMBER).contains(&next) {
        return Err(ENTRY);
    }
    from.expect(count, ENTRY_BYTES)?;
    let mut directory = Directory::starting_at(next);
    let mut last: &[u8] = b"";
    for _ in 0..count {
        let entry = Entry { inode: from.u64()?, position: from.u64()? };
        let size = from.u16()?;
        let name = from.take(u64::from(size))?;
        if name <= last || !is_name(name) || !(FIRST_POSITION..next).contains(&entry.position) {
            return Err(ENTRY);
        }
        last = name;
        // Which of them are directories is known when all nodes are.
        if !directory.place(Arc::from(name), entry, false) {
            return Err(ENTRY);
        }
    }
    Ok(directory)
}

fn read_descriptors(
    from: &mut Reader<'_>,
    descriptions: usize,
    descriptors: usize,
) -> Result<Descriptors, &'static str> {
    let mut read = Descriptors::default();
    let mut least = 0;
    for _ in 0..descriptions {
        let (number, inode, flags, offset) = (from.u32()?, from.u64()?, from.u32()? as i32, from.u64()?);
        let kept = if flags & O_PATH == 0 { KEPT } else { KEPT_OF_PATH };
        if number < least || number >= DESCRIPTORS as u32 || flags & !kept != 0 || i64::try_from(offset).is_err() {
            return Err(OPEN);
        }
        least = number + 1;
        read.descriptions.insert(number, Description { inode, flags, offset, descriptors: 0 });
    }
    let mut least = 0;
    for _ in 0..descriptors {
        let (fd, description, flags) = (from.u32()? as i32, from.u32()?, from.u32()?);
        if fd < least || fd >= DESCRIPTORS || flags & !(CLOSE_ON_EXEC | PREOPENED) != 0 {
            return Err(OPEN);
        }
        let preopen = if flags & PREOPENED == 0 {
            None
        } else {
            let size = from.u16()?;
            let name = from.take(u64::from(size))?;
            let is_one = !name.is_empty() && name.len() <= PATH_BYTES && !name.contains(&0);
            Some(Arc::from(Some(name).filter(|_| is_one).ok_or(OPEN)?))
        };
        least = fd + 1;
        read.descriptions.get_mut(&description).ok_or(OPEN)?.descriptors += 1;
        let close_on_exec = flags & CLOSE_ON_EXEC != 0;
        read.open.insert(fd, Descriptor { description, close_on_exec, preopen });
    }
    if read.descriptions.values().any(|description| description.descriptors == 0) {
        return Err(OPEN);
    }
    Ok(read)
}

fn read_mappings(from: &mut Reader<'_>, count: usize) -> Result<Mappings, &'static str> {
    let mut mappings = Mappings::new();
    for _ in 0..count {
        let (address, size, inode, offset) = (from.u64()?, from.u64()?, from.u64()?, from.u64()?);
        let is_one = size > 0 && address.checked_add(size).is_some() && i64::try_from(offset).is_ok();
        if !is_one || mappings.last_key_value().is_some_and(|(last, _)| *last >= address) {
            return Err(MAPPING);
        }
        mappings.insert(address, Mapping { size, inode, offset });
    }
    Ok(mappings)
}

fn read_unknown(from: &mut Reader<'_>, count: usize) -> Result<BTreeMap<u64, Unknown>, DecodeError> {
    /// Runs that take as much as a node, with their places in maps.
    const RUNS: usize = 16;

    expect_room(count)?;
    let mut files: BTreeMap<u64, Unknown> = BTreeMap::new();
    for _ in 0..count {
        let (inode, runs) = (from.u64()?, from.count(RUN_BYTES, UNKNOWN_RUNS)?);
        expect_room(runs / RUNS)?;
        let mut unknown = Unknown::default();
        for _ in 0..runs {
            let run = from.u64()?..from.u64()?;
            if !unknown.push(run) {
                return Err(LAZY.into());
            }
        }
        if unknown.is_empty() || files.last_key_value().is_some_and(|(last, _)| *last >= inode) {
            return Err(LAZY.into());
        }
        files.insert(inode, unknown);
    }
    Ok(files)
}

/// The numbers of a file's pages, in order.
fn read_numbers(from: &mut Reader<'_>) -> Result<Vec<u64>, DecodeError> {
    let count = from.count(8, FILES_BYTES as usize / PAGE)?;
    let mut numbers = Vec::new();
    numbers.try_reserve_exact(count).map_err(|_| NoRoom)?;
    for _ in 0..count {
        let number = from.u64()?;
        if numbers.last().is_some_and(|last| *last >= number) {
            return Err(ORDER.into());
        }
        numbers.push(number);
    }
    Ok(numbers)
}

/// Gives the files their contents.
fn read_contents(from: &mut Reader<'_>, tree: &mut Tree, files: Vec<File>) -> Result<(), DecodeError> {
    let (short, long): (Vec<File>, Vec<File>) = files.into_iter().partition(|file| is_short(file.size));
    for file in short {
        let size = file.size;
        put_contents(tree, file, || from.take(size))?;
    }
    from.skip_padding()?;
    for file in long {
        put_contents(tree, file, || from.take(PAGE as u64))?;
    }
    if from.position == from.bytes.len() { Ok(()) } else { Err(PADDING.into()) }
}

fn put_contents<'a>(
    tree: &mut Tree,
    file: File,
    mut next: impl FnMut() -> Result<&'a [u8], &'static str>,
) -> Result<(), DecodeError> {
    let pages = file.pages.into_iter().map(|number| Ok((number, Page::new(next()?)?)));
    let contents = Contents::of(file.size, pages.collect::<Result<_, DecodeError>>()?);
    let contents = contents.filter(|contents| contents.size() <= FILE_BYTES).ok_or(NODE)?;
    tree.nodes.get_mut(&file.inode).ok_or(DANGLING)?.kind = match file.read {
        None => Kind::File(contents),
        Some(read) => Kind::Pipe(Pipe::of(contents, read).ok_or(PIPE)?),
    };
    Ok(())
}

/// Looks at all entries, and counts what comes from them: names, subdirectories, and the bytes that all takes.
fn check_entries(tree: &mut Tree) -> Result<(), &'static str> {
    let mut subdirectories = Vec::new();
    let mut names = BTreeMap::new();
    let mut bytes = 0_u64;
    for (inode, node) in &tree.nodes {
        bytes = bytes.saturating_add(cost(node));
        if let Some(directory) = node.directory() {
            let mut below = 0;
            for (name, entry) in directory.by_name() {
                bytes = bytes.saturating_add(name_cost(name));
                *names.entry(entry.inode).or_insert(0_u32) += 1;
                let named = tree.nodes.get(&entry.inode).ok_or(DANGLING)?;
                if named.is_directory() {
                    below += 1;
                    if named.place != (Place { directory: *inode, position: entry.position }) {
                        return Err(TREE);
                    }
                }
            }
            subdirectories.push((*inode, below));
            tree.names += directory.len();
        }
    }
    if bytes > FILES_BYTES {
        return Err(MANY);
    }
    tree.bytes = bytes;
    for (inode, count) in names {
        let node = tree.nodes.get_mut(&inode).ok_or(DANGLING)?;
        if matches!(node.kind, Kind::Pipe(_)) {
            return Err(PIPE);
        }
        node.names = count;
    }
    for (inode, count) in subdirectories {
        if let Some(Node { kind: Kind::Directory(directory), .. }) = tree.nodes.get_mut(&inode) {
            directory.set_subdirectories(count);
        }
    }
    let root = tree.nodes.get_mut(&ROOT).ok_or(TREE)?;
    if root.names != 0 || root.place != (Place { directory: ROOT, position: 0 }) {
        return Err(TREE);
    }
    root.names = 1;
    Ok(())
}

/// Looks whether all directories with a name hang together from the root on, and all nodes are where they say.
fn check_tree(tree: &Tree) -> Result<(), &'static str> {
    let mut named = 0;
    for (inode, node) in &tree.nodes {
        match &node.kind {
            Kind::Directory(_) if *inode == ROOT => named += 1,
            // The entry it has says the same: that has been looked at.
            Kind::Directory(_) if node.names == 1 => named += 1,
            Kind::Directory(directory) => {
                let is_gone = node.names == 0 && directory.is_empty() && node.place.position == 0;
                let parent = tree.nodes.get(&node.place.directory);
                let has_parent = (ROOT..tree.next_inode).contains(&node.place.directory)
                    && parent.is_none_or(Node::is_directory)
                    && node.place.directory != *inode;
                if !is_gone || !has_parent {
                    return Err(TREE);
                }
            }
            _ if node.place == Place::default() => {}
            _ => {
                let directory = tree.directory(node.place.directory).map_err(|_| TREE)?;
                if directory.at(node.place.position).is_none_or(|(_, found)| found != *inode) {
                    return Err(TREE);
                }
            }
        }
    }
    // Each has one entry, so that none is reached twice.
    let (mut reached, mut left) = (0, vec![ROOT]);
    while let Some(inode) = left.pop() {
        reached += 1;
        let directory = tree.directory(inode).map_err(|_| TREE)?;
        let below = directory.by_name().map(|(_, entry)| entry.inode);
        left.extend(below.filter(|below| tree.nodes.get(below).is_some_and(Node::is_directory)));
    }
    let descriptors = tree.nodes.get(&FD_DIRECTORY).filter(|node| node.names == 1).and_then(Node::directory);
    if reached == named && descriptors.is_some_and(Directory::is_empty) { Ok(()) } else { Err(TREE) }
}

/// Bytes that are read one after the other.
struct Reader<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, size: u64) -> Result<&'a [u8], &'static str> {
        let size = usize::try_from(size).map_err(|_| CUT)?;
        let end = self.position.checked_add(size).ok_or(CUT)?;
        let taken = self.bytes.get(self.position..end).ok_or(CUT)?;
        self.position = end;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], &'static str> {
        self.take(N as u64)?.try_into().map_err(|_| CUT)
    }

    fn u16(&mut self) -> Result<u16, &'static str> {
        self.array().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Result<u32, &'static str> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, &'static str> {
        self.array().map(u64::from_le_bytes)
    }

    fn time(&mut self) -> Result<Time, &'static str> {
        let time = Time { seconds: self.u64()? as i64, nanoseconds: self.u32()? };
        if time.nanoseconds < Time::NANOSECONDS { Ok(time) } else { Err(NODE) }
    }

    /// How many there are of something that takes at least `size` bytes each.
    fn count(&mut self, size: usize, most: usize) -> Result<usize, &'static str> {
        let count = self.u64()?;
        self.expect(count, size)?;
        usize::try_from(count).ok().filter(|count| *count <= most).ok_or(MANY)
    }

    /// Whether there can still be so many.
    fn expect(&self, count: u64, size: usize) -> Result<(), &'static str> {
        let left = self.bytes.len().saturating_sub(self.position) as u64;
        if count.checked_mul(size as u64).is_some_and(|bytes| bytes <= left) { Ok(()) } else { Err(CUT) }
    }

    /// Goes on at the next page.
    fn skip_padding(&mut self) -> Result<(), &'static str> {
        let padding = self.position.next_multiple_of(PAGE) - self.position;
        if self.take(padding as u64)?.iter().all(|byte| *byte == 0) { Ok(()) } else { Err(PADDING) }
    }
}
