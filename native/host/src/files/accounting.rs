//! What the file system has done for a call, which pays for it, and what it could not do.

use super::Errno;
use super::lazy::Wanted;
use super::pages::NoRoom;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// What a call cannot see of an operation: how much it cost, and why it was given up where the program is not to blame.
/// Looking does not change the file system, so this is noted on a shared reference.
#[derive(Debug)]
pub(super) struct Work {
    bytes: AtomicU64,
    budget: AtomicU64,
    is_spent: AtomicBool,
    is_short: AtomicBool,
    /// How often something was given the time.
    stamps: AtomicU64,
    /// What an operation has failed for: inode number, start and end. An end of 0 is nothing.
    wanted: [AtomicU64; 3],
}

/// Why an operation was given up. The program does not see that: its call ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GivenUp {
    /// The call cannot pay for it.
    Spent,
    /// This computer has no room for it.
    NoRoom,
}

impl Default for Work {
    fn default() -> Work {
        Work {
            bytes: AtomicU64::new(0),
            budget: AtomicU64::new(u64::MAX),
            is_spent: false.into(),
            is_short: false.into(),
            stamps: AtomicU64::new(0),
            wanted: [const { AtomicU64::new(0) }; 3],
        }
    }
}

impl Work {
    /// From here on at most so many bytes are paid for.
    pub(super) fn begin(&mut self, budget: u64) {
        *self = Work { budget: AtomicU64::new(budget), ..Work::default() };
    }

    /// Pays for bytes that are going to be looked at.
    ///
    /// # Errors
    /// Any: [`given_up`](Self::given_up) is asked before the program is told.
    pub(super) fn pay(&self, bytes: u64) -> Result<(), Errno> {
        let paid = self.bytes.load(Ordering::Relaxed).saturating_add(bytes);
        if paid > self.budget.load(Ordering::Relaxed) {
            self.is_spent.store(true, Ordering::Relaxed);
            return Err(Errno::NOMEM);
        }
        self.bytes.store(paid, Ordering::Relaxed);
        Ok(())
    }

    /// Bytes that were paid for.
    pub(super) fn paid(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    pub(super) fn given_up(&self) -> Option<GivenUp> {
        match (self.is_short.load(Ordering::Relaxed), self.is_spent.load(Ordering::Relaxed)) {
            (true, _) => Some(GivenUp::NoRoom),
            (_, true) => Some(GivenUp::Spent),
            _ => None,
        }
    }

    /// Notes that something was given the time.
    pub(super) fn stamp(&self) {
        self.stamps.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn stamps(&self) -> u64 {
        self.stamps.load(Ordering::Relaxed)
    }

    /// Notes what an operation fails for.
    pub(super) fn want(&self, Wanted { inode, bytes }: Wanted) {
        for (place, number) in self.wanted.iter().zip([inode, bytes.start, bytes.end]) {
            place.store(number, Ordering::Relaxed);
        }
    }

    pub(super) fn wanted(&self) -> Option<Wanted> {
        let [inode, start, end] = self.wanted.each_ref().map(|number| number.load(Ordering::Relaxed));
        (end > 0).then_some(Wanted { inode, bytes: start..end })
    }

    pub(super) fn forget_wanted(&self) {
        self.want(Wanted { inode: 0, bytes: 0..0 });
    }

    /// Notes where there was no room.
    ///
    /// # Errors
    /// As of [`pay`](Self::pay).
    pub(super) fn noted<T>(&self, result: Result<T, NoRoom>) -> Result<T, Errno> {
        result.map_err(|NoRoom| {
            self.is_short.store(true, Ordering::Relaxed);
            Errno::NOMEM
        })
    }
}

/// A copy has done nothing yet.
impl Clone for Work {
    fn clone(&self) -> Work {
        Work::default()
    }
}
