//! Weeks of the year, as `strftime` counts them: from the fields alone, whether they fit each other or not.

use super::calendar::{self, Tm};
use super::date;

/// Weeks that have begun in the year, by Sundays.
pub(crate) fn from_sundays(tm: &Tm) -> i64 {
    (i64::from(tm.yearday) + 7 - i64::from(tm.weekday)).div_euclid(7)
}

/// Weeks that have begun in the year, by Mondays.
pub(crate) fn from_mondays(tm: &Tm) -> i64 {
    let since_monday = (i64::from(tm.weekday) + 6) % 7;
    (i64::from(tm.yearday) + 7 - since_monday).div_euclid(7)
}

/// The number of the ISO week. The leap years are those of years that are 1900 too low, which makes no difference to
/// fields that fit each other.
pub(crate) fn iso_week(tm: &Tm) -> i64 {
    const THURSDAY: i64 = 4;
    const FRIDAY: i64 = 5;
    const WEDNESDAY: i64 = 3;
    let (weekday, yearday, year) = (i64::from(tm.weekday), i64::from(tm.yearday), i64::from(tm.year));
    // The weekday of the first of January, and from which weekday on the days before the first Monday are a week.
    let first = (weekday + 371 - yearday) % 7;
    let begins_early = (weekday + 371 - yearday - 2) % 7 <= 2;
    match from_mondays(tm) + i64::from(begins_early) {
        0 => {
            // The last week of the year before.
            let last = (weekday + 7 - yearday - 1) % 7;
            let is_long = last == THURSDAY || last == FRIDAY && calendar::is_leap(year % 400 - 1);
            if is_long { 53 } else { 52 }
        }
        53 if first != THURSDAY && (first != WEDNESDAY || !calendar::is_leap(year)) => 1,
        week => week,
    }
}

/// The year of the ISO week, from year and day of the year.
pub(crate) fn iso_year(tm: &Tm) -> i64 {
    let day = calendar::year_start(date::year(tm.full_year())) + i64::from(tm.yearday).max(0);
    let year = calendar::year_of(day);
    if day < first_week(year) {
        year - 1
    } else if day < first_week(year + 1) {
        year
    } else {
        year + 1
    }
}

/// The Monday of the first ISO week of a year, which has the fourth of January.
fn first_week(year: i64) -> i64 {
    let fourth = calendar::year_start(date::year(year)) + 3;
    fourth - (calendar::weekday_of(fourth) + 6) % 7
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn day(year: i32, month: i32, day: i32) -> Tm {
        let tm = Tm { year: year - 1900, month: month - 1, day, ..Tm::default() };
        calendar::broken_down(calendar::seconds(&tm)).unwrap()
    }

    #[test]
    fn iso_weeks_are_of_the_year_of_their_thursday() {
        for (date, expected) in [
            (day(2005, 1, 1), (2004, 53)),
            (day(2005, 1, 3), (2005, 1)),
            (day(2006, 1, 1), (2005, 52)),
            (day(2007, 12, 31), (2008, 1)),
            (day(2008, 12, 28), (2008, 52)),
            (day(2008, 12, 29), (2009, 1)),
            (day(2009, 12, 31), (2009, 53)),
            (day(2010, 1, 3), (2009, 53)),
            (day(2012, 1, 1), (2011, 52)),
            (day(2020, 12, 31), (2020, 53)),
            (day(10_000, 1, 1), (9999, 52)),
        ] {
            assert_eq!((iso_year(&date), iso_week(&date)), expected);
        }
    }

    #[test]
    fn weeks_begin_with_their_first_day() {
        // A Sunday.
        let sunday = day(2023, 1, 1);
        assert_eq!((from_sundays(&sunday), from_mondays(&sunday)), (1, 0));
        let monday = day(2023, 1, 2);
        assert_eq!((from_sundays(&monday), from_mondays(&monday)), (1, 1));
        let last = day(2023, 12, 31);
        assert_eq!((from_sundays(&last), from_mondays(&last)), (53, 52));
    }

    #[test]
    fn the_first_hundred_years_are_of_the_twentieth_century() {
        assert_eq!(iso_year(&day(50, 6, 1)), 1950);
        assert_eq!(iso_year(&day(100, 6, 1)), 100);
        assert_eq!(iso_year(&day(-1, 6, 1)), -1);
    }

    proptest! {
        #[test]
        fn all_days_of_an_iso_week_have_its_number(time in -50_000_000_000_i64..200_000_000_000) {
            let tm = calendar::broken_down(time).unwrap();
            let from_thursday = i64::from((tm.weekday + 6) % 7) - 3;
            let thursday = calendar::broken_down(time - from_thursday * calendar::DAY).unwrap();
            prop_assert_eq!(iso_week(&tm), i64::from(thursday.yearday / 7 + 1));
            prop_assert_eq!(iso_year(&tm), thursday.full_year());
        }

        #[test]
        fn any_fields_have_weeks(year: i32, yearday: i32, weekday: i32) {
            let tm = Tm { year, yearday, weekday, ..Tm::default() };
            prop_assert!(from_sundays(&tm).abs() < 1 << 31);
            prop_assert!(from_mondays(&tm).abs() < 1 << 31);
            prop_assert!(iso_week(&tm).abs() < 1 << 31);
            prop_assert!(iso_year(&tm).abs() < 1 << 32);
        }
    }
}
