//! The proleptic Gregorian calendar in UTC: seconds since 1970 and the fields of C's `struct tm`.

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
pub(crate) const DAY: i64 = 24 * HOUR;
const MONTHS: i64 = 12;
const WEEK: i64 = 7;

/// The calendar repeats itself after as many years and days.
const CYCLE_YEARS: i64 = 400;
const CYCLE_DAYS: i64 = 146_097;

/// From the first of March of the year 0 to the first day of 1970. Years that begin in March have the leap day last.
const EPOCH: i64 = 719_468;

/// What C adds to `tm_year`.
pub(crate) const YEAR_ZERO: i64 = 1900;

/// C's `struct tm`, but for the name of the time zone: `month`, `weekday` and `yearday` count from 0, `day` counts from
/// 1, `year` from 1900, and Sunday is the weekday 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tm {
    pub(crate) second: i32,
    pub(crate) minute: i32,
    pub(crate) hour: i32,
    pub(crate) day: i32,
    pub(crate) month: i32,
    pub(crate) year: i32,
    pub(crate) weekday: i32,
    pub(crate) yearday: i32,
    pub(crate) is_dst: i32,
    /// Seconds east of UTC.
    pub(crate) offset: i64,
}

impl Tm {
    /// The year as people write it.
    pub(crate) fn full_year(&self) -> i64 {
        i64::from(self.year) + YEAR_ZERO
    }
}

pub(crate) fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % CYCLE_YEARS == 0)
}

/// The days from 1970 to the start of a month, which counts from 0 and may lie outside of its year.
///
/// Both have to be within the range of an `i32` or close to it; nothing overflows up to some 10^15.
fn month_start(year: i64, month: i64) -> i64 {
    // From here on, years begin in March.
    let shifted = month - 2;
    let year = year + shifted.div_euclid(MONTHS);
    let month = shifted.rem_euclid(MONTHS);
    // Months of 31, 30, 31, 30 and 31 days: 153 in five months, and so on until February, whose length does not matter.
    let before_month = (153 * month + 2) / 5;
    let of_cycle = year.rem_euclid(CYCLE_YEARS);
    let before_year = 365 * of_cycle + of_cycle / 4 - of_cycle / 100;
    year.div_euclid(CYCLE_YEARS) * CYCLE_DAYS + before_year + before_month - EPOCH
}

/// The days from 1970 to the first day of a year.
pub(crate) fn year_start(year: i64) -> i64 {
    month_start(year, 0)
}

/// A day's year, month from 0 and day of the month from 1.
fn date_of(days: i64) -> (i64, i64, i64) {
    let since = days + EPOCH;
    let of_cycle = since.rem_euclid(CYCLE_DAYS);
    // Takes out the leap days before it: one each 1460 days, none each 36524, one again at the end of the cycle.
    let year = (of_cycle - of_cycle / 1460 + of_cycle / 36_524 - of_cycle / (CYCLE_DAYS - 1)) / 365;
    let of_year = of_cycle - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let year = since.div_euclid(CYCLE_DAYS) * CYCLE_YEARS + year;
    // Back to years that begin in January.
    if month < 10 { (year, month + 2, day) } else { (year + 1, month - 10, day) }
}

/// The year that a day, counted from 1970, is in.
pub(crate) fn year_of(days: i64) -> i64 {
    date_of(days).0
}

/// The day of the week of a day counted from 1970: 0 for Sunday.
pub(crate) fn weekday_of(days: i64) -> i64 {
    /// The weekday of the first day of 1970.
    const THURSDAY: i64 = 4;
    (days.rem_euclid(WEEK) + THURSDAY) % WEEK
}

/// The fields of a time in seconds since 1970. `None` where the year does not fit.
pub(crate) fn broken_down(time: i64) -> Option<Tm> {
    let (days, of_day) = (time.div_euclid(DAY), time.rem_euclid(DAY));
    let (year, month, day) = date_of(days);
    let small = |value: i64| i32::try_from(value).ok();
    Some(Tm {
        second: small(of_day % MINUTE)?,
        minute: small(of_day % HOUR / MINUTE)?,
        hour: small(of_day / HOUR)?,
        day: small(day)?,
        month: small(month)?,
        year: small(year - YEAR_ZERO)?,
        weekday: small(weekday_of(days))?,
        yearday: small(days - year_start(year))?,
        is_dst: 0,
        offset: 0,
    })
}

/// The seconds since 1970 of a date and a time of day. Each field may lie outside of its usual range. The day of the
/// week and that of the year do not count.
pub(crate) fn seconds(tm: &Tm) -> i64 {
    let days = month_start(tm.full_year(), i64::from(tm.month)) + i64::from(tm.day) - 1;
    days * DAY + i64::from(tm.hour) * HOUR + i64::from(tm.minute) * MINUTE + i64::from(tm.second)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tm(year: i32, month: i32, day: i32, hour: i32, minute: i32, second: i32) -> Tm {
        Tm { second, minute, hour, day, month: month - 1, year: year - 1900, ..Tm::default() }
    }

    fn fields(time: i64) -> (i64, i32, i32, i32, i32, i32, i32, i32) {
        let tm = broken_down(time).unwrap();
        (tm.full_year(), tm.month + 1, tm.day, tm.hour, tm.minute, tm.second, tm.weekday, tm.yearday)
    }

    #[test]
    fn the_epoch_is_a_thursday() {
        assert_eq!(fields(0), (1970, 1, 1, 0, 0, 0, 4, 0));
    }

    #[test]
    fn known_times_have_their_fields() {
        assert_eq!(fields(1_234_567_890), (2009, 2, 13, 23, 31, 30, 5, 43));
        assert_eq!(fields(951_782_400), (2000, 2, 29, 0, 0, 0, 2, 59));
        assert_eq!(fields(4_107_542_400), (2100, 3, 1, 0, 0, 0, 1, 59));
        assert_eq!(fields(i64::from(i32::MAX)), (2038, 1, 19, 3, 14, 7, 2, 18));
        assert_eq!(fields(253_402_300_800), (10_000, 1, 1, 0, 0, 0, 6, 0));
    }

    #[test]
    fn times_before_the_epoch_have_their_fields() {
        assert_eq!(fields(-1), (1969, 12, 31, 23, 59, 59, 3, 364));
        assert_eq!(fields(i64::from(i32::MIN)), (1901, 12, 13, 20, 45, 52, 5, 346));
        assert_eq!(fields(-62_167_219_200), (0, 1, 1, 0, 0, 0, 6, 0));
        assert_eq!(fields(-62_167_219_201), (-1, 12, 31, 23, 59, 59, 5, 364));
    }

    #[test]
    fn every_fourth_year_is_leap_but_for_three_of_four_centuries() {
        for year in [0, 4, 1600, 1996, 2000, 2024, -4, -400] {
            assert!(is_leap(year), "{year}");
        }
        for year in [1, 100, 1900, 2023, 2100, -1, -100] {
            assert!(!is_leap(year), "{year}");
        }
    }

    #[test]
    fn a_year_starts_after_the_days_of_the_one_before() {
        for year in -1000..3000 {
            let days = if is_leap(year) { 366 } else { 365 };
            assert_eq!(year_start(year + 1) - year_start(year), days, "{year}");
        }
    }

    #[test]
    fn consecutive_days_follow_each_other() {
        let mut before = broken_down(-800_000 * DAY).unwrap();
        for days in -799_999..800_000 {
            let tm = broken_down(days * DAY).unwrap();
            assert_eq!(tm.weekday, (before.weekday + 1) % 7);
            if tm.day != 1 {
                assert_eq!((tm.day, tm.month, tm.year), (before.day + 1, before.month, before.year));
                assert_eq!(tm.yearday, before.yearday + 1);
            } else if tm.month != 0 {
                assert_eq!((tm.month, tm.year), (before.month + 1, before.year));
                assert_eq!(tm.yearday, before.yearday + 1);
            } else {
                assert_eq!((before.day, before.month, before.year), (31, 11, tm.year - 1));
                assert_eq!(tm.yearday, 0);
            }
            before = tm;
        }
    }

    #[test]
    fn the_year_has_to_fit() {
        let last =
            seconds(&Tm { year: i32::MAX, month: 11, day: 31, hour: 23, minute: 59, second: 59, ..Tm::default() });
        assert_eq!(broken_down(last).unwrap().year, i32::MAX);
        assert_eq!(broken_down(last + 1), None);
        let first = seconds(&Tm { year: i32::MIN, month: 0, day: 1, ..Tm::default() });
        assert_eq!(broken_down(first).unwrap().year, i32::MIN);
        assert_eq!(broken_down(first - 1), None);
        assert_eq!(broken_down(i64::MAX), None);
        assert_eq!(broken_down(i64::MIN), None);
    }

    #[test]
    fn fields_out_of_range_carry_over() {
        let expected = seconds(&tm(2024, 3, 1, 0, 0, 0));
        for other in [
            tm(2024, 2, 30, 0, 0, 0),
            tm(2023, 15, 1, 0, 0, 0),
            tm(2024, 4, -30, 0, 0, 0),
            tm(2024, 2, 29, 23, 59, 60),
            tm(2024, 2, 29, 24, 0, 0),
            tm(2024, 3, 1, 1, -60, 0),
            tm(2025, -9, 1, 0, 0, 0),
        ] {
            assert_eq!(seconds(&other), expected, "{other:?}");
        }
        assert_eq!(seconds(&tm(2024, 0, 0, 0, 0, 0)), seconds(&tm(2023, 11, 30, 0, 0, 0)));
    }

    #[test]
    fn extreme_fields_do_not_overflow() {
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
            assert_eq!(seconds(&tm) > 0, value > 0);
        }
    }

    proptest! {
        #[test]
        fn a_time_comes_back_from_its_fields(time in -60_000_000_000_000_000_i64..60_000_000_000_000_000) {
            let tm = broken_down(time).unwrap();
            prop_assert_eq!(seconds(&tm), time);
            prop_assert!((0..60).contains(&tm.second) && (0..60).contains(&tm.minute) && (0..24).contains(&tm.hour));
            prop_assert!((1..=31).contains(&tm.day) && (0..12).contains(&tm.month));
            prop_assert!((0..7).contains(&tm.weekday));
            prop_assert!((0..=365).contains(&tm.yearday));
            prop_assert!(tm.yearday < 365 || is_leap(tm.full_year()));
        }

        #[test]
        fn any_time_has_fields_or_none(time: i64) {
            if let Some(tm) = broken_down(time) {
                prop_assert_eq!(seconds(&tm), time);
            }
        }

        #[test]
        fn later_fields_are_later_times(day in -5000..5000, hour in -5000..5000, month in -500..500) {
            let at = |day| seconds(&tm(2000, month, day, hour, 0, 0));
            prop_assert_eq!(at(day + 1) - at(day), DAY);
        }
    }
}
