//! Lazy files: their size is known from the beginning, and their pages as somebody outside gives them.
//!
//! Programs may only read them. What a read wants and is not there is [noted](Work::want), and the read is done again once it
//! has been given.

use super::flags::AT_FDCWD;
use super::node::{Kind, Node};
use super::path::Follow;
use super::{Errno, Files};
use crate::limits::{FILE_BYTES, PAGE, UNKNOWN_RUNS};
use std::collections::BTreeMap;
use std::ops::Range;

/// Pages of a file that are not known: where a run of them begins and ends.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Unknown(BTreeMap<u64, u64>);

impl Unknown {
    /// All pages of a file of so many bytes.
    fn of(size: u64) -> Unknown {
        let pages = size.div_ceil(PAGE as u64);
        Unknown((pages > 0).then_some((0, pages)).into_iter().collect())
    }

    /// Adds a run, which lies behind all others and does not touch them.
    pub(super) fn push(&mut self, run: Range<u64>) -> bool {
        let is_behind = self.0.last_key_value().is_none_or(|(_, end)| *end < run.start);
        let is_one = run.start < run.end && is_behind;
        if is_one {
            self.0.insert(run.start, run.end);
        }
        is_one
    }

    pub(super) fn runs(&self) -> impl ExactSizeIterator<Item = Range<u64>> {
        self.0.iter().map(|(start, end)| *start..*end)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The first run of unknown pages among some.
    fn first(&self, pages: Range<u64>) -> Option<Range<u64>> {
        let before = self.0.range(..pages.start).next_back().filter(|(_, end)| **end > pages.start);
        let (start, end) = before.or_else(|| self.0.range(pages.clone()).next())?;
        let found = (*start).max(pages.start)..(*end).min(pages.end);
        (found.start < found.end).then_some(found)
    }

    /// From here on these pages are known.
    fn remove(&mut self, pages: Range<u64>) {
        while let Some(found) = self.first(pages.clone()) {
            let Some((start, end)) = self.0.range(..=found.start).next_back().map(|(start, end)| (*start, *end)) else {
                return;
            };
            self.0.remove(&start);
            if start < found.start {
                self.0.insert(start, found.start);
            }
            if found.end < end {
                self.0.insert(found.end, end);
            }
        }
    }
}

/// A part of a file that a program wants to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) inode: u64,
    /// Bytes; whole pages, up to the end of the file.
    pub(crate) bytes: Range<u64>,
}

impl Files {
    /// Makes a lazy file of so many bytes, in the place of one that is there.
    pub(crate) fn put_lazy_file(&mut self, path: &[u8], size: u64, now: u64) -> Result<(), Errno> {
        // Whoever is asked for it is told its path as text.
        if std::str::from_utf8(path).is_err() {
            return Err(Errno::INVAL);
        }
        if size > FILE_BYTES {
            return Err(Errno::FBIG);
        }
        self.put_file(path, &[], now)?;
        let inode = self.walk(AT_FDCWD, path, Follow::Always)?.target.node()?;
        let resized = self.tree.change(inode, |contents, _| contents.resize(size))?;
        self.work.noted(resized)?;
        let unknown = Unknown::of(size);
        if !unknown.is_empty() {
            self.tree.unknown.insert(inode, unknown);
        }
        Ok(())
    }

    /// Gives a lazy file bytes from an offset on: whole pages, the last one of the file apart.
    ///
    /// # Errors
    /// `EINVAL` where the bytes are not that, `ENOSPC`, and those of paths.
    pub(crate) fn fill_file(&mut self, path: &[u8], offset: u64, bytes: &[u8]) -> Result<(), Errno> {
        let page = PAGE as u64;
        let inode = self.walk(AT_FDCWD, path, Follow::Always)?.target.node()?;
        let Kind::File(contents) = &self.tree.node(inode)?.kind else { return Err(Errno::ISDIR) };
        let end = offset.checked_add(bytes.len() as u64).filter(|end| *end <= contents.size()).ok_or(Errno::INVAL)?;
        let is_whole = offset.is_multiple_of(page) && (end.is_multiple_of(page) || end == contents.size());
        if !is_whole || !self.tree.unknown.contains_key(&inode) {
            return Err(Errno::INVAL);
        }
        // What is known stays as it is.
        let pages = offset / page..end.div_ceil(page);
        while let Some(run) = self.tree.unknown.get(&inode).and_then(|unknown| unknown.first(pages.clone())) {
            if self.tree.unknown.get(&inode).is_some_and(|unknown| unknown.runs().len() >= UNKNOWN_RUNS) {
                return Err(Errno::NOSPC);
            }
            let range = (run.start * page - offset) as usize..(run.end * page).min(end).saturating_sub(offset) as usize;
            let part = bytes.get(range).unwrap_or_default();
            let written = self.tree.fill(inode, |contents, room| {
                let written = contents.write(run.start * page, part, room);
                if written.is_ok_and(|count| count == part.len()) {
                    return written;
                }
                // What is not known is zeros.
                contents.zero(run.start * page..run.end * page)?;
                written
            })?;
            if self.work.noted(written)? < part.len() {
                return Err(Errno::NOSPC);
            }
            if let Some(unknown) = self.tree.unknown.get_mut(&inode) {
                unknown.remove(run);
            }
        }
        if self.tree.unknown.get(&inode).is_some_and(Unknown::is_empty) {
            self.tree.unknown.remove(&inode);
        }
        Ok(())
    }

    /// Whether all of a part is known; where it is not, what is wanted is noted.
    ///
    /// # Errors
    /// `EIO`.
    pub(super) fn expect_known(&self, inode: u64, node: &Node, offset: u64, count: usize) -> Result<(), Errno> {
        let (Some(unknown), Kind::File(contents)) = (self.tree.unknown.get(&inode), &node.kind) else { return Ok(()) };
        let page = PAGE as u64;
        let count = contents.count(offset, count as u64);
        if count == 0 {
            return Ok(());
        }
        match unknown.first(offset / page..(offset + count).div_ceil(page)) {
            Some(run) => {
                self.work.want(Wanted { inode, bytes: run.start * page..(run.end * page).min(contents.size()) });
                Err(Errno::IO)
            }
            None => Ok(()),
        }
    }

    /// What the operation since [`begin_work`](Files::begin_work) has failed for, if that was a part of a lazy file: its
    /// path and bytes.
    pub(crate) fn wanted(&self) -> Option<(Vec<u8>, Wanted)> {
        let wanted = self.work.wanted()?;
        let path = self.tree.path(wanted.inode, || Ok(())).ok()?;
        Some((path, wanted))
    }

    /// Forgets what is wanted: the program is told something else.
    pub(crate) fn forget_wanted(&self) {
        self.work.forget_wanted();
    }

    /// Whether a part of a file is known.
    pub(crate) fn is_known(&self, wanted: &Wanted) -> bool {
        let page = PAGE as u64;
        let pages = wanted.bytes.start / page..wanted.bytes.end.div_ceil(page);
        self.tree.unknown.get(&wanted.inode).is_none_or(|unknown| unknown.first(pages).is_none())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_become_known_in_any_order() {
        let mut unknown = Unknown::of(10 * PAGE as u64 - 1);
        assert_eq!(unknown.first(3..5), Some(3..5));
        unknown.remove(4..6);
        unknown.remove(0..1);
        assert_eq!(unknown.runs().collect::<Vec<_>>(), [1..4, 6..10]);
        assert_eq!((unknown.first(0..10), unknown.first(4..7), unknown.first(4..6)), (Some(1..4), Some(6..7), None));
        unknown.remove(3..8);
        assert_eq!(unknown.runs().collect::<Vec<_>>(), [1..3, 8..10]);
        unknown.remove(0..100);
        assert!(unknown.is_empty());
        assert!(Unknown::of(0).is_empty());
    }

    #[test]
    fn runs_are_apart_and_in_order() {
        let mut unknown = Unknown::default();
        assert!(unknown.push(2..4));
        assert!(!unknown.push(4..5) && !unknown.push(1..2) && !unknown.push(6..6));
        assert!(unknown.push(5..6));
    }
}
