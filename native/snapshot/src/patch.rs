//! Patches: a page as what differs from the same page before.

use crate::PAGE;

/// Runs of differing bytes with fewer equal ones between them are one: a run of its own costs two bytes.
const APART: usize = 3;

/// Bytes that [`diff`] appends at most: those of a page, and four for each run, of which a page has room for a quarter.
pub(crate) const MOST: usize = 2 * PAGE;

/// Appends the patch that makes `now` of `before` to `out`. `None`, with some of it appended, if it would not be
/// smaller than a page.
pub(crate) fn diff(before: &[u8; PAGE], now: &[u8; PAGE], out: &mut Vec<u8>) -> Option<()> {
    let end = out.len() + PAGE;
    let mut patch = Patch { now, out, told: 0, start: 0, end: 0 };
    let blocks = before.as_chunks().0.iter().zip(now.as_chunks().0).zip((0..).step_by(BLOCK));
    for ((before, now), at) in blocks {
        let (mut at, mut different) = (at, differences(before, now));
        while different != 0 {
            let (equal, run) = (different.trailing_zeros(), (different >> different.trailing_zeros()).trailing_ones());
            at += equal as usize;
            patch.differs(at, run as usize);
            at += run as usize;
            different = (different >> equal).checked_shr(run).unwrap_or(0);
        }
        if patch.out.len() >= end {
            return None;
        }
    }
    patch.flush();
    (patch.out.len() < end).then_some(())
}

/// Bytes that are compared at once: a bit of a word for each.
const BLOCK: usize = 64;

/// Which bytes of two blocks differ, the first in the lowest bit. No branches: bytes that differ may be anywhere, and
/// each that a processor does not foresee costs as much as a block does here.
fn differences(before: &[u8; BLOCK], now: &[u8; BLOCK]) -> u64 {
    const LOW: u64 = u64::from_ne_bytes([0x7f; 8]);
    let words = before.as_chunks().0.iter().zip(now.as_chunks().0).zip((0..).step_by(8));
    words.fold(0, |all, ((before, now), at)| {
        let difference = u64::from_le_bytes(*before) ^ u64::from_le_bytes(*now);
        // The highest bit of each byte that is not zero, then these eight bits side by side.
        let high = (((difference & LOW) + LOW) | difference) & !LOW;
        all | (((high >> 7).wrapping_mul(0x0102_0408_1020_4080) >> 56) << at)
    })
}

/// A patch being made: the run from `start` to `end` is not in it yet, the one before it ended at `told`.
struct Patch<'a> {
    now: &'a [u8; PAGE],
    out: &'a mut Vec<u8>,
    told: usize,
    start: usize,
    end: usize,
}

impl Patch<'_> {
    fn differs(&mut self, at: usize, count: usize) {
        if at - self.end >= APART || self.start == self.end {
            self.flush();
            self.start = at;
        }
        self.end = at + count;
    }

    fn flush(&mut self) {
        let gap = self.start - self.told;
        match self.now.get(self.start..self.end) {
            None | Some([]) => {}
            // Most runs are like this.
            Some([byte]) if gap < 0x80 => self.out.extend_from_slice(&[gap as u8, 1, *byte]),
            Some(run) => {
                number(gap, self.out);
                number(run.len(), self.out);
                self.out.extend_from_slice(run);
            }
        }
        self.told = self.end;
    }
}

/// Unsigned LEB128; 14 bits are enough for anything within a page.
fn number(number: usize, out: &mut Vec<u8>) {
    let low = number as u8 & 0x7f;
    match (number >> 7) as u8 {
        0 => out.push(low),
        high => out.extend([low | 0x80, high]),
    }
}

/// Patches a page in place. `None` where that is no patch of this page; some of it may have changed then.
pub(crate) fn apply(mut patch: &[u8], page: &mut [u8; PAGE]) -> Option<()> {
    let (mut left, mut least) = (page.as_mut_slice(), 0);
    while !patch.is_empty() {
        let (gap, count) = (take_number(&mut patch)?, take_number(&mut patch)?);
        let (new, later) = patch.split_at_checked(count)?;
        let (old, behind) = left.split_at_mut_checked(gap)?.1.split_at_mut_checked(count)?;
        // What is equal at the ends of a run does not belong to it. An empty run has no ends.
        let differs = old.first() != new.first() && old.last() != new.last();
        if gap < least || !differs {
            return None;
        }
        match (&mut *old, new) {
            ([old], [new]) => *old = *new,
            (old, new) => old.copy_from_slice(new),
        }
        (patch, left, least) = (later, behind, APART);
    }
    Some(())
}

fn take_number(bytes: &mut &[u8]) -> Option<usize> {
    let (number, left) = match **bytes {
        [low @ ..0x80, ref left @ ..] => (usize::from(low), left),
        [low, high @ 1..0x80, ref left @ ..] => (usize::from(low & 0x7f) | usize::from(high) << 7, left),
        _ => return None,
    };
    *bytes = left;
    Some(number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    fn patch(before: &[u8; PAGE], now: &[u8; PAGE]) -> Option<Vec<u8>> {
        let mut out = vec![0xee];
        diff(before, now, &mut out).map(|()| out.split_off(1))
    }

    /// The rule as it is written, byte by byte.
    fn by_the_rule(before: &[u8; PAGE], now: &[u8; PAGE]) -> Option<Vec<u8>> {
        let mut runs: Vec<(usize, usize)> = Vec::new();
        for at in (0..PAGE).filter(|at| before[*at] != now[*at]) {
            match runs.last_mut().filter(|(_, end)| at - *end < 3) {
                Some((_, end)) => *end = at + 1,
                None => runs.push((at, at + 1)),
            }
        }
        let (mut out, mut told) = (Vec::new(), 0);
        for (start, end) in runs {
            number(start - told, &mut out);
            number(end - start, &mut out);
            out.extend_from_slice(&now[start..end]);
            told = end;
        }
        (out.len() < PAGE).then_some(out)
    }

    #[test]
    fn equal_pages_have_the_empty_patch_and_different_ones_none() {
        assert_eq!(patch(&[7; PAGE], &[7; PAGE]), Some(Vec::new()));
        assert_eq!(patch(&[7; PAGE], &[8; PAGE]), None);
        let mut page = [8; PAGE];
        page[4090..].fill(7);
        assert_eq!(patch(&[7; PAGE], &page).map(|patch| patch.len()), Some(1 + 2 + 4090));
        page[4091] = 8;
        assert_eq!(patch(&[7; PAGE], &page).map(|patch| patch.len()), Some(1 + 2 + 4092));
        page[4093] = 8;
        assert_eq!(patch(&[7; PAGE], &page), None);
    }

    #[test]
    fn runs_are_joined_over_two_equal_bytes_and_not_over_three() {
        let after = |changed: &[usize]| {
            let mut page = [0; PAGE];
            changed.iter().for_each(|at| page[*at] = 9);
            patch(&[0; PAGE], &page).unwrap()
        };
        assert_eq!(after(&[0, 4095]), [0, 1, 9, 0xfe, 0x1f, 1, 9]);
        assert_eq!(after(&[7, 10]), [7, 4, 9, 0, 0, 9]);
        assert_eq!(after(&[7, 11]), [7, 1, 9, 3, 1, 9]);
        assert_eq!(after(&[0, 3, 128]), [0, 4, 9, 0, 0, 9, 124, 1, 9]);
        assert_eq!(after(&[128]), [0x80, 1, 1, 9]);
    }

    #[test]
    fn what_is_no_patch_is_refused() {
        let wrong: [&[u8]; 17] = [
            &[0],
            &[0, 1],
            &[0, 2, 9],
            &[0, 0],
            &[0, 0, 3, 1, 9],
            &[5, 1, 9, 2, 1, 9],
            &[5, 1, 9, 0, 1, 9],
            &[5, 1, 9, 3],
            &[5, 1, 9, 3, 0],
            &[5, 1, 9, 0xfa, 0x1f, 1, 9],
            &[0xff, 0x1f, 2, 9, 9],
            &[0x80, 0x20, 1, 9],
            &[0x85, 0, 1, 9],
            &[0x85, 0x80, 1, 1, 9],
            &[0xff; 4095],
            &[5, 0x81, 0, 9],
            &[5, 3, 9, 9, 0],
        ];
        for patch in wrong {
            assert_eq!(apply(patch, &mut [0; PAGE]), None, "{patch:?}");
        }
        let mut page = [0; PAGE];
        apply(&[0xff, 0x1f, 1, 9], &mut page).unwrap();
        assert_eq!(page[4094..], [0, 9]);
    }

    proptest! {
        #[test]
        fn a_patch_is_the_one_of_the_rule_and_makes_the_page(
            changes in vec((0..PAGE, 1_usize..40, any::<u8>(), 0_usize..9), 0..60),
            fill in any::<u8>(),
        ) {
            let before = [fill; PAGE];
            let mut now = before;
            for (at, count, byte, step) in changes {
                now.iter_mut().skip(at).take(count).step_by(step + 1).for_each(|place| *place ^= byte);
            }
            let patch = patch(&before, &now);
            prop_assert_eq!(&patch, &by_the_rule(&before, &now));
            if let Some(patch) = patch {
                let mut page = before;
                prop_assert_eq!(apply(&patch, &mut page), Some(()));
                prop_assert!(page == now);
            }
        }

        #[test]
        fn no_bytes_panic(patch in vec(prop_oneof![any::<u8>(), 0_u8..6], 0..300)) {
            let _ = apply(&patch, &mut [0; PAGE]);
        }
    }
}
