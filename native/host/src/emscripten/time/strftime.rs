//! `strftime` in the C locale, byte for byte as Emscripten's JavaScript has it: nodes compare what guests print.
//!
//! That is C's, with these differences:
//! - Years have no fixed width, and the two digits of `%y` and `%g` are all those after the second one.
//! - What is not C's (`%s`, `%P`, `%+`, flags, widths) stays as it is written.
//! - Abbreviations are expanded before `%%` is looked at: after `%%c` the date follows, less its first percent sign.
//!   `%Ec` comes to `%c` when that has been expanded already.
//! - `%G` and `%g` take the years 0 to 99 as `Date` does.
//! - The day of the month in `%c` has a zero before it, not a space.

use super::calendar::{self, Tm};
use super::names::{DAYS, MONTHS, SHORT};
use super::weeks;
use std::iter::Peekable;

/// What stands for a name that there is not.
const UNKNOWN: &str = "-";

/// The text of a time, without a NUL. `None` where it is of more than `most` bytes.
pub(crate) fn strftime(format: &[u8], tm: &Tm, zone: &[u8], most: usize) -> Option<Vec<u8>> {
    // One byte more than fits is as much as it takes to see that it does not.
    let zone = zone.get(..=most).unwrap_or(zone);
    let mut text = Vec::new();
    let mut rest = Abbreviations { rest: format, expansion: b"" }.peekable();
    while let Some(byte) = rest.next() {
        if byte != b'%' || !convert(&mut rest, tm, zone, &mut text) {
            text.push(byte);
        }
        if text.len() > most {
            return None;
        }
    }
    Some(text)
}

/// The bytes of a format with its abbreviations expanded.
struct Abbreviations<'a> {
    rest: &'a [u8],
    expansion: &'static [u8],
}

impl Iterator for Abbreviations<'_> {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        if let Some((byte, rest)) = self.expansion.split_first() {
            self.expansion = rest;
            return Some(*byte);
        }
        let (byte, rest) = self.rest.split_first()?;
        self.rest = rest;
        if *byte == b'%'
            && let Some((expansion, size)) = abbreviation(rest)
        {
            self.rest = rest.get(size..).unwrap_or_default();
            // Each starts with the percent sign that is given now.
            self.expansion = expansion;
        }
        Some(*byte)
    }
}

/// What the letters after a percent sign stand for, without the percent sign that it starts with, and how many they are.
fn abbreviation(rest: &[u8]) -> Option<(&'static [u8], usize)> {
    const DATE: &[u8] = b"m/%d/%y";
    const TIME: &[u8] = b"H:%M:%S";
    let long: &[u8] = match rest {
        [b'c', ..] => b"a %b %d %H:%M:%S %Y",
        [b'D' | b'x', ..] => DATE,
        [b'F', ..] => b"Y-%m-%d",
        [b'h', ..] => b"b",
        [b'r', ..] => b"I:%M:%S %p",
        [b'R', ..] => b"H:%M",
        [b'T' | b'X', ..] => TIME,
        [b'E', b'x', ..] => return Some((DATE, 2)),
        [b'E', b'X', ..] => return Some((TIME, 2)),
        // `%c` among them, which comes too late to be expanded itself.
        [b'E', letter, ..] => return same(*letter, b"cCyY"),
        [b'O', letter, ..] => return same(*letter, b"deHImMSuUVwWy"),
        _ => return None,
    };
    Some((long, 1))
}

/// A letter that may have a modifier, without it.
fn same(letter: u8, letters: &'static [u8]) -> Option<(&'static [u8], usize)> {
    let at = letters.iter().position(|known| *known == letter)?;
    Some((letters.get(at..=at)?, 2))
}

/// Adds what the letter after a percent sign stands for. `false` where it stands for nothing; it is kept then.
fn convert(rest: &mut Peekable<Abbreviations<'_>>, tm: &Tm, zone: &[u8], text: &mut Vec<u8>) -> bool {
    let Some(letter) = rest.peek().copied() else { return false };
    let wide = |value: i32| i64::from(value);
    match letter {
        b'%' => text.push(b'%'),
        b'n' => text.push(b'\n'),
        b't' => text.push(b'\t'),
        b'a' => text.extend(name(&DAYS, tm.weekday).bytes().take(SHORT)),
        b'A' => text.extend(name(&DAYS, tm.weekday).bytes()),
        b'b' => text.extend(name(&MONTHS, tm.month).bytes().take(SHORT)),
        b'B' => text.extend(name(&MONTHS, tm.month).bytes()),
        b'p' => text.extend(if (0..12).contains(&tm.hour) { b"AM" } else { b"PM" }),
        b'Z' => text.extend(zone),
        b'z' => text.extend(offset(tm.offset).bytes()),
        b'C' => text.extend(zeros(tm.full_year() / 100, 2).bytes()),
        b'd' => text.extend(zeros(wide(tm.day), 2).bytes()),
        b'e' => text.extend(format!("{:>2}", tm.day).bytes()),
        b'g' => text.extend(after_century(weeks::iso_year(tm)).bytes()),
        b'G' => text.extend(weeks::iso_year(tm).to_string().bytes()),
        b'H' => text.extend(zeros(wide(tm.hour), 2).bytes()),
        b'I' => text.extend(zeros(wide(twelve_hour(tm.hour)), 2).bytes()),
        b'j' => text.extend(zeros(yearday(tm), 3).bytes()),
        b'm' => text.extend(zeros(wide(tm.month) + 1, 2).bytes()),
        b'M' => text.extend(zeros(wide(tm.minute), 2).bytes()),
        b'S' => text.extend(zeros(wide(tm.second), 2).bytes()),
        b'u' => text.extend(if tm.weekday == 0 { 7 } else { tm.weekday }.to_string().bytes()),
        b'w' => text.extend(tm.weekday.to_string().bytes()),
        b'U' => text.extend(zeros(weeks::from_sundays(tm), 2).bytes()),
        b'V' => text.extend(zeros(weeks::iso_week(tm), 2).bytes()),
        b'W' => text.extend(zeros(weeks::from_mondays(tm), 2).bytes()),
        b'y' => text.extend(after_century(tm.full_year()).bytes()),
        b'Y' => text.extend(tm.full_year().to_string().bytes()),
        _ => return false,
    }
    rest.next();
    true
}

fn name(names: &[&'static str], index: i32) -> &'static str {
    usize::try_from(index).ok().and_then(|index| names.get(index)).copied().unwrap_or(UNKNOWN)
}

/// A number with zeros before it, and before its sign.
fn zeros(value: i64, width: usize) -> String {
    format!("{:0>width$}", value.to_string())
}

/// A year without its first two characters.
fn after_century(year: i64) -> String {
    year.to_string().chars().skip(2).collect()
}

fn twelve_hour(hour: i32) -> i32 {
    match hour {
        0 => 12,
        13.. => hour - 12,
        _ => hour,
    }
}

/// The day of the year, from 1: by month and day, and by itself only where there is no such month.
fn yearday(tm: &Tm) -> i64 {
    const LENGTHS: [i64; 12] = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    if tm.month > 12 {
        return i64::from(tm.yearday) + 1;
    }
    let months = usize::try_from(tm.month).unwrap_or_default();
    let leap_day = i64::from(tm.month > 1 && calendar::is_leap(tm.full_year()));
    i64::from(tm.day) + LENGTHS.iter().take(months).sum::<i64>() + leap_day
}

/// Hours and minutes east of UTC.
fn offset(seconds: i64) -> String {
    let minutes = seconds.unsigned_abs() / 60;
    let sign = if seconds < 0 { '-' } else { '+' };
    // Of more than four digits the last ones.
    format!("{sign}{:02}{:02}", minutes / 60 % 100, minutes % 60)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A time's text.
    fn at(time: i64, format: &str) -> String {
        let tm = calendar::broken_down(time).unwrap();
        text(format, &tm)
    }

    fn text(format: &str, tm: &Tm) -> String {
        String::from_utf8(strftime(format.as_bytes(), tm, b"GMT", 10_000).unwrap()).unwrap()
    }

    fn day(year: i32, month: i32, day: i32) -> Tm {
        let tm = Tm { year: year - 1900, month: month - 1, day, ..Tm::default() };
        calendar::broken_down(calendar::seconds(&tm)).unwrap()
    }

    /// Friday.
    const TIME: i64 = 1_234_567_890;

    #[test]
    fn every_conversion_of_c_is_known() {
        for (format, expected) in [
            ("%a %A", "Fri Friday"),
            ("%b %B %h", "Feb February Feb"),
            ("%c", "Fri Feb 13 23:31:30 2009"),
            ("%C %y %Y", "20 09 2009"),
            ("%d %e", "13 13"),
            ("%D %x", "02/13/09 02/13/09"),
            ("%F", "2009-02-13"),
            ("%g %G %V", "09 2009 07"),
            ("%H %I %M %S %p", "23 11 31 30 PM"),
            ("%j", "044"),
            ("%m", "02"),
            ("%n%t%%", "\n\t%"),
            ("%r", "11:31:30 PM"),
            ("%R", "23:31"),
            ("%T %X", "23:31:30 23:31:30"),
            ("%u %w", "5 5"),
            ("%U %W", "06 06"),
            ("%z %Z", "+0000 GMT"),
            ("%EC %Ex %EX %Ey %EY", "20 02/13/09 23:31:30 09 2009"),
            ("%Od %Oe %OH %OI %Om %OM %OS", "13 13 23 11 02 31 30"),
            ("%Ou %OU %OV %Ow %OW %Oy", "5 06 07 5 06 09"),
        ] {
            assert_eq!(at(TIME, format), expected, "{format}");
        }
    }

    #[test]
    fn what_is_unknown_stays() {
        for format in
            ["%", "%q", "%+", "%s", "%P", "%k", "%l", "%-d", "%_d", "%05Y", "%Oq", "%OY", "%Ed", "%E", "%O", "é"]
        {
            assert_eq!(at(TIME, format), format);
        }
        assert_eq!(at(TIME, "%E%d"), "%E13");
    }

    #[test]
    fn percent_signs_pair_up_after_abbreviations_are_expanded() {
        assert_eq!(at(TIME, "%%d"), "%d");
        assert_eq!(at(TIME, "%%%d"), "%13");
        assert_eq!(at(TIME, "%%%%"), "%%");
        assert_eq!(at(TIME, "%%%"), "%%");
        assert_eq!(at(TIME, "%%F"), "%Y-02-13");
        assert_eq!(at(TIME, "%%%F"), "%2009-02-13");
        assert_eq!(at(TIME, "%Ec %%Ec"), "%c %c");
    }

    #[test]
    fn hours_are_of_two_halves() {
        for (hour, expected) in [(0, "12 AM"), (1, "01 AM"), (11, "11 AM"), (12, "12 PM"), (13, "01 PM"), (23, "11 PM")]
        {
            assert_eq!(text("%I %p", &Tm { hour, ..Tm::default() }), expected);
        }
    }

    #[test]
    fn years_are_as_wide_as_they_are() {
        for (year, expected) in
            [(10_000, "10000 100 000"), (999, "999 09 9"), (5, "5 00 "), (-1, "-1 00 "), (-1234, "-1234 -12 234")]
        {
            assert_eq!(text("%Y %C %y", &Tm { year: year - 1900, ..Tm::default() }), expected);
        }
    }

    #[test]
    fn names_that_there_are_not_have_a_sign() {
        let tm = Tm { month: 12, weekday: -1, ..Tm::default() };
        assert_eq!(text("%a %A %b %B", &tm), "- - - -");
    }

    #[test]
    fn fields_out_of_range_are_printed_as_they_are() {
        let tm = Tm { day: 123, hour: -5, minute: -50, second: 61, month: 12, ..Tm::default() };
        assert_eq!(text("%d %H %I %M %S %m %p", &tm), "123 -5 -5 -50 61 13 PM");
    }

    #[test]
    fn offsets_are_hours_and_minutes() {
        for (offset, expected) in
            [(0, "+0000"), (3600, "+0100"), (-18_000, "-0500"), (19_800, "+0530"), (i64::MIN, "-")]
        {
            assert!(text("%z", &Tm { offset, ..Tm::default() }).starts_with(expected));
        }
    }

    #[test]
    fn the_day_of_the_year_comes_from_the_month() {
        assert_eq!(text("%j", &Tm { yearday: 0, ..day(2024, 12, 31) }), "366");
        assert_eq!(text("%j", &Tm { yearday: 0, ..day(2023, 3, 1) }), "060");
        assert_eq!(text("%j", &Tm { month: 13, yearday: 76, ..Tm::default() }), "077");
    }

    #[test]
    fn text_has_to_fit() {
        let tm = day(2024, 1, 1);
        assert_eq!(strftime(b"%Y", &tm, b"", 4), Some(b"2024".to_vec()));
        assert_eq!(strftime(b"%Y", &tm, b"", 3), None);
        assert_eq!(strftime(b"", &tm, b"", 0), Some(Vec::new()));
        assert_eq!(strftime(b"%Z", &tm, b"zone", 3), None);
    }

    proptest! {
        #[test]
        fn any_fields_have_a_text(
            fields in prop::array::uniform9(any::<i32>()),
            offset: i64,
            letters in "(%?[%a-zA-Z +-]){0,12}",
        ) {
            let [second, minute, hour, day, month, year, weekday, yearday, is_dst] = fields;
            let tm = Tm { second, minute, hour, day, month, year, weekday, yearday, is_dst, offset };
            prop_assert!(strftime(letters.as_bytes(), &tm, b"UTC", 100_000).is_some());
        }
    }
}
