//! Lists of ranges.

use std::ops::Range;

/// The same in ascending ranges that neither overlap nor touch.
pub(crate) fn merged<T: Copy + Ord>(mut ranges: Vec<Range<T>>) -> Vec<Range<T>> {
    ranges.sort_unstable_by_key(|range| range.start);
    ranges.dedup_by(|range, last| {
        let touches = range.start <= last.end;
        if touches {
            last.end = last.end.max(range.end);
        }
        touches
    });
    ranges
}
