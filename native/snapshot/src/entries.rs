//! The entries of a table, held as runs of equal ones: ten million nulls take as much room as one.

use crate::room;
use std::collections::TryReserveError;
use std::iter::repeat_n;

/// The entries of a table: indices of functions in the module, or null. Tables of other references hold only nulls.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entries {
    runs: Vec<(u32, Option<u32>)>,
    length: u64,
}

impl Entries {
    /// No entries.
    pub fn new() -> Entries {
        Entries::default()
    }

    /// Adds `count` times `entry` at the end.
    ///
    /// # Errors
    /// Where there is no room for one more run.
    pub fn push_run(&mut self, count: u32, entry: Option<u32>) -> Result<(), TryReserveError> {
        if count == 0 {
            return Ok(());
        }
        if let Some((last, same)) = self.runs.last_mut()
            && *same == entry
            && let Some(sum) = last.checked_add(count)
        {
            *last = sum;
        } else {
            room::push(&mut self.runs, (count, entry))?;
        }
        self.length = self.length.saturating_add(u64::from(count));
        Ok(())
    }

    /// How many entries there are.
    pub fn len(&self) -> u64 {
        self.length
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// How often in a row, and what: as in `table.fill`. Neighbouring runs differ.
    pub fn runs(&self) -> impl ExactSizeIterator<Item = (u32, Option<u32>)> {
        self.runs.iter().copied()
    }

    /// One entry after the other.
    pub fn iter(&self) -> impl Iterator<Item = Option<u32>> {
        self.runs().flat_map(|(count, entry)| repeat_n(entry, count as usize))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_neighbours_are_one_run_however_they_came() {
        let mut entries = Entries::new();
        for entry in [None, None, Some(7), Some(7), Some(8)] {
            entries.push_run(1, entry).unwrap();
        }
        assert_eq!(entries.runs().collect::<Vec<_>>(), [(2, None), (2, Some(7)), (1, Some(8))]);
        assert_eq!(entries.iter().collect::<Vec<_>>(), [None, None, Some(7), Some(7), Some(8)]);
        let mut runs = Entries::new();
        for (count, entry) in [(1, None), (0, Some(1)), (1, None), (2, Some(7)), (1, Some(8))] {
            runs.push_run(count, entry).unwrap();
        }
        assert_eq!((&runs, runs.len(), runs.is_empty()), (&entries, 5, false));
    }

    #[test]
    fn more_entries_than_a_run_can_count_are_no_overflow() {
        let mut entries = Entries::new();
        entries.push_run(u32::MAX, None).unwrap();
        entries.push_run(u32::MAX, None).unwrap();
        assert_eq!((entries.len(), entries.runs().len()), (2 * u64::from(u32::MAX), 2));
    }
}
