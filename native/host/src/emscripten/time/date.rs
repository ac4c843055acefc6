//! Where JavaScript's `Date`, which Emscripten's functions are made of, is not the calendar: it ends some 270,000 years
//! from 1970, and takes the years 0 to 99 as of the twentieth century. Guests of other hosts see both.

use super::calendar::{self, DAY, Tm, YEAR_ZERO};

/// The farthest that a `Date` may be from 1970, in seconds.
const FARTHEST: i64 = 100_000_000 * DAY;

/// The year that a `Date` takes a number for.
pub(crate) fn year(number: i64) -> i64 {
    if (0..100).contains(&number) { number + YEAR_ZERO } else { number }
}

fn in_range(time: i64) -> Option<i64> {
    (-FARTHEST..=FARTHEST).contains(&time).then_some(time)
}

/// The fields of a time in seconds since 1970, if a `Date` can be that time.
pub(crate) fn broken_down(time: i64) -> Option<Tm> {
    calendar::broken_down(in_range(time)?)
}

/// The seconds since 1970 of a date and a time of day, with fields in any range, if a `Date` can be that time. One
/// cannot whose month or year is far out, even if other fields make up for that.
pub(crate) fn seconds(tm: &Tm) -> Option<i64> {
    const MONTHS: u32 = 10_000_000;
    const YEARS: u64 = 1_000_000;
    if tm.month.unsigned_abs() > MONTHS || tm.full_year().unsigned_abs() > YEARS {
        return None;
    }
    let year = i32::try_from(year(tm.full_year()) - YEAR_ZERO).ok()?;
    in_range(calendar::seconds(&Tm { year, ..*tm }))
}

/// The day of the year as it is counted where the start of the year comes from its number: wrong in the years 0 to 99,
/// which start elsewhere, and 0 in the year that starts before there are dates.
pub(crate) fn counted_yearday(time: i64, tm: &Tm) -> i32 {
    let start = calendar::year_start(year(tm.full_year())) * DAY;
    in_range(start).and_then(|start| i32::try_from((time - start) / DAY).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first_of(year: i32) -> Tm {
        Tm { day: 1, year: year - 1900, ..Tm::default() }
    }

    #[test]
    fn the_first_hundred_years_are_of_the_twentieth_century() {
        assert_eq!(seconds(&first_of(70)), Some(0));
        assert_eq!(seconds(&first_of(0)), seconds(&first_of(1900)));
        assert_eq!(seconds(&first_of(99)), seconds(&first_of(1999)));
        assert_eq!(seconds(&first_of(100)), Some(calendar::year_start(100) * DAY));
        assert_eq!(seconds(&first_of(-1)), Some(calendar::year_start(-1) * DAY));
    }

    #[test]
    fn a_year_that_months_carry_to_is_what_it_is() {
        let tm = Tm { month: 24, ..first_of(-2) };
        assert_eq!(seconds(&tm), Some(calendar::year_start(0) * DAY));
    }

    #[test]
    fn dates_end() {
        let last = broken_down(FARTHEST).unwrap();
        assert_eq!((last.full_year(), last.month, last.day, last.hour), (275_760, 8, 13, 0));
        assert_eq!(seconds(&last), Some(FARTHEST));
        assert_eq!(seconds(&Tm { second: 1, ..last }), None);
        let first = broken_down(-FARTHEST).unwrap();
        assert_eq!((first.full_year(), first.month, first.day, first.hour), (-271_821, 3, 20, 0));
        assert_eq!(seconds(&Tm { second: -1, ..first }), None);
        for time in [FARTHEST + 1, -FARTHEST - 1, i64::MAX, i64::MIN] {
            assert_eq!(broken_down(time), None);
        }
    }

    #[test]
    fn days_do_not_make_up_for_years_that_are_far_out() {
        let tm = Tm { year: 999_000 - 1900, day: 1 - 365_000_000, ..Tm::default() };
        assert!(seconds(&tm).is_some());
        assert_eq!(seconds(&Tm { year: 1_000_001 - 1900, ..tm }), None);
        assert!(seconds(&Tm { month: 12_000_000, day: -365_000_000, ..Tm::default() }).is_none());
    }

    #[test]
    fn extreme_fields_are_no_date() {
        for value in [i32::MIN, i32::MAX] {
            let tm = Tm {
                second: value,
                minute: value,
                hour: value,
                day: value,
                month: value,
                year: value,
                ..Tm::default()
            };
            assert_eq!(seconds(&tm), None);
        }
    }

    #[test]
    fn the_yearday_is_counted_from_where_the_year_is_taken_to_start() {
        let yearday = |time| counted_yearday(time, &broken_down(time).unwrap());
        assert_eq!(yearday(0), 0);
        assert_eq!(yearday(1_234_567_890), 43);
        assert_eq!(yearday(-1), 364);
        assert_eq!(yearday(calendar::year_start(50) * DAY), -693_960);
        assert_eq!(yearday(-FARTHEST), 0);
    }
}
