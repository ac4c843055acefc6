//! `strptime` in the C locale, as Emscripten's JavaScript has it.
//!
//! That is C's, with these differences:
//! - Letters of either case are the same, also outside of names.
//! - Spaces of the format, `%n` and `%t` stand for any number of them. Those before a conversion have to be in the format.
//! - What has no meaning (`%s`, flags, widths) stands for its letters, and `%%` for one percent sign.
//! - All fields are written: those that the text does not tell are what they were, put into their range. The day of the
//!   week and that of the year follow from them.
//! - With `%I` and `%p`, twelve is added to any hour of the afternoon. `%j` is taken for a day of December. `%U` and `%W`
//!   count only where `%a` comes with them.
//! - `%x` has two digits for the year.

use super::calendar::{self, Tm, YEAR_ZERO};
use super::date;
use super::names::{DAYS, MONTHS, SHORT};
use std::ops::RangeInclusive;

/// How many bytes of a text are as a format says, and the time that they tell. `given` has the fields that they do not.
pub(crate) fn strptime(text: &[u8], format: &[u8], given: &Tm) -> Option<(usize, Tm)> {
    let mut reader = Reader { rest: text, told: Told::default() };
    reader.all(format)?;
    Some((text.len() - reader.rest.len(), reader.told.time(given)))
}

/// What a text tells. What it tells twice counts the first time.
#[derive(Default)]
struct Told {
    second: Option<i32>,
    minute: Option<i32>,
    hour: Option<i32>,
    hour_of_half: Option<i32>,
    is_afternoon: Option<bool>,
    day: Option<i32>,
    yearday: Option<i32>,
    weekday: Option<i32>,
    week_from_sunday: Option<i32>,
    week_from_monday: Option<i32>,
    month: Option<i32>,
    named_month: Option<i32>,
    year: Option<i32>,
    year_of_century: Option<i32>,
    century: Option<i32>,
    offset: Option<i64>,
}

struct Reader<'a> {
    rest: &'a [u8],
    told: Told,
}

impl Reader<'_> {
    fn all(&mut self, mut format: &[u8]) -> Option<()> {
        while let Some((byte, rest)) = format.split_first() {
            format = rest;
            match (byte, rest.split_first()) {
                (b'%', Some((letter, rest))) if !matches!(letter, b'\n' | b'\r') => {
                    format = rest;
                    self.conversion(*letter)?;
                }
                (byte, _) => self.literal(*byte)?,
            }
        }
        Some(())
    }

    fn conversion(&mut self, letter: u8) -> Option<()> {
        match letter {
            b'a' | b'A' => note(&mut self.told.weekday, name(&mut self.rest, &DAYS)?),
            b'b' | b'B' | b'h' => note(&mut self.told.named_month, name(&mut self.rest, &MONTHS)?),
            b'c' => self.all(b"%a %b %d %H:%M:%S %Y")?,
            b'C' => note(&mut self.told.century, digits(&mut self.rest, 2)?),
            b'd' | b'e' => note(&mut self.told.day, number(&mut self.rest, 1..=31)?),
            b'D' | b'x' => self.all(b"%m/%d/%y")?,
            b'F' => self.all(b"%Y-%m-%d")?,
            b'H' => note(&mut self.told.hour, number(&mut self.rest, 0..=23)?),
            b'I' => note(&mut self.told.hour_of_half, number(&mut self.rest, 0..=12)?),
            b'j' => note(&mut self.told.yearday, yearday(&mut self.rest)?),
            b'm' => note(&mut self.told.month, number(&mut self.rest, 1..=12)? - 1),
            b'M' => note(&mut self.told.minute, number(&mut self.rest, 0..=59)?),
            b'n' | b't' => self.spaces(),
            b'p' => note(&mut self.told.is_afternoon, half_of_day(&mut self.rest)?),
            b'r' => {
                self.all(b"%I:%M:%S")?;
                take(&mut self.rest, |byte| is_space(*byte))?;
                self.all(b"%p")?;
            }
            b'R' => self.all(b"%H:%M")?,
            b'S' => note(&mut self.told.second, number(&mut self.rest, 0..=60)?),
            b'T' | b'X' => self.all(b"%H:%M:%S")?,
            b'U' => note(&mut self.told.week_from_sunday, number(&mut self.rest, 0..=53)?),
            b'w' => drop(take(&mut self.rest, |byte| matches!(byte, b'0'..=b'6'))?),
            b'W' => note(&mut self.told.week_from_monday, number(&mut self.rest, 0..=53)?),
            b'y' => note(&mut self.told.year_of_century, digits(&mut self.rest, 2)?),
            b'Y' => note(&mut self.told.year, digits(&mut self.rest, 4)?),
            b'z' => note(&mut self.told.offset, offset(&mut self.rest)?),
            byte => self.literal(byte)?,
        }
        Some(())
    }

    fn literal(&mut self, byte: u8) -> Option<()> {
        if is_space(byte) {
            self.spaces();
            return Some(());
        }
        take(&mut self.rest, |next| next.eq_ignore_ascii_case(&byte)).map(drop)
    }

    fn spaces(&mut self) {
        while take(&mut self.rest, |byte| is_space(*byte)).is_some() {}
    }
}

fn note<T>(field: &mut Option<T>, value: T) {
    field.get_or_insert(value);
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

/// The next byte, if it is one of those.
fn take(rest: &mut &[u8], is_one: impl Fn(&u8) -> bool) -> Option<u8> {
    let (byte, behind) = rest.split_first()?;
    is_one(byte).then(|| {
        *rest = behind;
        *byte
    })
}

/// Takes a word, if it comes next.
fn word(rest: &mut &[u8], word: &str) -> Option<()> {
    let (start, behind) = rest.split_at_checked(word.len())?;
    start.eq_ignore_ascii_case(word.as_bytes()).then(|| *rest = behind)
}

/// Which of the names comes next, whole or in short.
fn name(rest: &mut &[u8], names: &[&str]) -> Option<i32> {
    let start = rest.get(..SHORT)?;
    let short = |name: &&str| name.as_bytes().get(..SHORT).is_some_and(|short| short.eq_ignore_ascii_case(start));
    let index = names.iter().position(short)?;
    let name = names.get(index)?;
    if word(rest, name).is_none() {
        *rest = rest.get(SHORT..)?;
    }
    i32::try_from(index).ok()
}

/// The digits that come next, and how many they are; three at most.
fn next_digits(rest: &[u8]) -> (usize, i32) {
    let digits = rest.iter().take(3).take_while(|byte| byte.is_ascii_digit());
    digits.fold((0, 0), |(count, number), digit| (count + 1, 10 * number + i32::from(digit - b'0')))
}

/// Exactly as many digits.
fn digits(rest: &mut &[u8], count: usize) -> Option<i32> {
    (0..count).try_fold(0, |number, _| Some(10 * number + i32::from(take(rest, u8::is_ascii_digit)? - b'0')))
}

/// A number of two digits, or of one where no other follows.
fn number(rest: &mut &[u8], range: RangeInclusive<i32>) -> Option<i32> {
    let count = next_digits(rest).0.clamp(1, 2);
    digits(rest, count).filter(|number| range.contains(number))
}

/// A number of up to three digits, of which one of two digits and a zero before them has to be the last.
fn yearday(rest: &mut &[u8]) -> Option<i32> {
    let (count, day) = next_digits(rest);
    let is_followed = rest.get(count).is_some_and(u8::is_ascii_digit);
    if !(1..370).contains(&day) || count == 3 && is_followed && (10..100).contains(&day) {
        return None;
    }
    *rest = rest.get(count..)?;
    Some(day)
}

/// Whether it is the second half of the day.
fn half_of_day(rest: &mut &[u8]) -> Option<bool> {
    let words = [("AM", false), ("PM", true), ("A.M.", false), ("P.M.", true)];
    words.into_iter().find_map(|(text, is_second)| word(rest, text).map(|()| is_second))
}

/// Seconds east of UTC, as hours and, if they follow, minutes. Those behind `+00` are taken as behind `-00`.
fn offset(rest: &mut &[u8]) -> Option<i64> {
    if word(rest, "Z").is_some() {
        return Some(0);
    }
    let sign = if take(rest, |byte| matches!(byte, b'+' | b'-'))? == b'+' { 1 } else { -1 };
    let hours = sign * i64::from(digits(rest, 2)?) * 3600;
    let _ = word(rest, ":");
    let mut behind = *rest;
    let Some(minutes) = digits(&mut behind, 2) else { return Some(hours) };
    *rest = behind;
    let minutes = i64::from(minutes) * 60;
    Some(if hours > 0 { hours + minutes } else { hours - minutes })
}

impl Told {
    fn time(&self, given: &Tm) -> Tm {
        let year = self.year(given);
        let (month, day) = self.month_and_day(given, year);
        let fields = Tm {
            second: self.second.unwrap_or(given.second.clamp(0, 59)),
            minute: self.minute.unwrap_or(given.minute.clamp(0, 59)),
            hour: self.hour(given),
            day,
            month,
            year: year - YEAR_ZERO as i32,
            ..Tm::default()
        };
        let time = date::seconds(&fields).and_then(date::broken_down).unwrap_or_default();
        Tm { offset: self.offset.unwrap_or_default(), ..time }
    }

    fn hour(&self, given: &Tm) -> i32 {
        let of_half = self.hour_of_half.map(|hour| hour + if self.is_afternoon == Some(true) { 12 } else { 0 });
        self.hour.or(of_half).unwrap_or(given.hour.clamp(0, 23))
    }

    /// The year as people write it.
    fn year(&self, given: &Tm) -> i32 {
        /// Two digits below this are of the next century.
        const TURN: i32 = 69;

        let of_century = self.year_of_century.map(|year| match self.century {
            Some(century) => 100 * century + year,
            None if year < TURN => 2000 + year,
            None => 1900 + year,
        });
        self.year.or(of_century).unwrap_or_else(|| given.full_year().clamp(1970, 9999) as i32)
    }

    fn month_and_day(&self, given: &Tm, year: i32) -> (i32, i32) {
        let month = self.month.or(self.named_month).unwrap_or(given.month.clamp(0, 11));
        let unchanged = (month, given.day.clamp(1, 31));
        if let Some(day) = self.day {
            return (month, day);
        }
        if let Some(day) = self.yearday {
            let leap = i32::from(calendar::is_leap(i64::from(year)));
            return if day <= 365 + leap { (month, day - 334 - leap) } else { unchanged };
        }
        let Some(weekday) = self.weekday else { return unchanged };
        // The first day of the first week, in days from the start of the year, and the day of the week.
        let start = calendar::year_start(date::year(i64::from(year)));
        let first = calendar::weekday_of(start) as i32;
        let (week, first_week, weekday) = match (self.week_from_sunday, self.week_from_monday) {
            (Some(week), _) => (week, (7 - first) % 7, weekday),
            (None, Some(week)) => (week, (8 - first) % 7, (weekday + 6) % 7),
            (None, None) => return unchanged,
        };
        let days = (first_week + weekday + 7 * (week - 1)).max(0);
        let found = calendar::broken_down((start + i64::from(days)) * calendar::DAY).unwrap_or_default();
        (found.month, found.day)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIVEN: Tm =
        Tm { second: 1, minute: 2, hour: 3, day: 4, month: 5, year: 106, weekday: 0, yearday: 0, is_dst: 7, offset: 8 };

    /// How much is read, and year, month, day, hour, minute, second, day of the week and of the year.
    fn read(text: &str, format: &str) -> Option<(usize, [i64; 8])> {
        strptime(text.as_bytes(), format.as_bytes(), &GIVEN).map(|(length, tm)| {
            let date = [tm.full_year(), i64::from(tm.month) + 1, i64::from(tm.day)];
            let rest = [tm.hour, tm.minute, tm.second, tm.weekday, tm.yearday].map(i64::from);
            let [year, month, day] = date;
            let [hour, minute, second, weekday, yearday] = rest;
            (length, [year, month, day, hour, minute, second, weekday, yearday])
        })
    }

    #[test]
    fn what_a_text_tells_is_read_and_the_rest_is_as_it_was() {
        assert_eq!(read("2024-02-15 12:34:56", "%Y-%m-%d %H:%M:%S"), Some((19, [2024, 2, 15, 12, 34, 56, 4, 45])));
        assert_eq!(read("", ""), Some((0, [2006, 6, 4, 3, 2, 1, 0, 154])));
        assert_eq!(read("7:8, and more", "%H:%M"), Some((3, [2006, 6, 4, 7, 8, 1, 0, 154])));
        assert_eq!(read("Thu feb 15 01:02:03 2024", "%c"), Some((24, [2024, 2, 15, 1, 2, 3, 4, 45])));
        assert_eq!(read("THURSDAY, march 1", "%a, %B %e"), Some((17, [2006, 3, 1, 3, 2, 1, 3, 59])));
        assert_eq!(read("12/31/99", "%D"), Some((8, [1999, 12, 31, 3, 2, 1, 5, 364])));
        assert_eq!(read("01:02:03 pm", "%r"), Some((11, [2006, 6, 4, 13, 2, 3, 0, 154])));
    }

    #[test]
    fn a_text_that_is_not_as_the_format_says_is_none() {
        for (text, format) in [
            ("2024", "%Y-"),
            ("32", "%d"),
            ("0", "%d"),
            ("24", "%H"),
            ("61", "%S"),
            ("13", "%m"),
            ("x", "%Y"),
            ("Foo", "%a"),
            ("Xm", "%p"),
            ("", "%Y"),
            ("000", "%j"),
            ("0123", "%j"),
            ("+1", "%z"),
            ("010203pm", "%r"),
        ] {
            assert_eq!(read(text, format), None, "{text} {format}");
        }
    }

    #[test]
    fn fields_that_do_not_fit_are_put_into_their_range() {
        let wild = Tm { second: -1, minute: 99, hour: 24, day: 0, month: 12, year: i32::MIN, ..Tm::default() };
        let (_, tm) = strptime(b"", b"", &wild).unwrap();
        assert_eq!((tm.full_year(), tm.month, tm.day, tm.hour, tm.minute, tm.second), (1970, 11, 1, 23, 59, 0));
        let (_, tm) = strptime(b"", b"", &Tm { year: i32::MAX, ..wild }).unwrap();
        assert_eq!(tm.full_year(), 9999);
    }

    #[test]
    fn offsets_are_seconds_east() {
        for (text, offset) in [("Z", 0), ("+02", 7200), ("-0230", -9000), ("+02:30", 9000), ("+00:30", -1800)] {
            assert_eq!(
                strptime(text.as_bytes(), b"%z", &GIVEN).unwrap(),
                (text.len(), Tm { offset, ..time_of_given() })
            );
        }
    }

    fn time_of_given() -> Tm {
        Tm { weekday: 0, yearday: 154, is_dst: 0, offset: 0, ..GIVEN }
    }

    #[test]
    fn weeks_count_with_a_day_of_the_week() {
        assert_eq!(read("2024 07 Thu", "%Y %W %a").map(|(_, at)| at[..3].to_vec()), Some(vec![2024, 2, 15]));
        assert_eq!(read("2024 06 Thu", "%Y %U %a").map(|(_, at)| at[..3].to_vec()), Some(vec![2024, 2, 15]));
        assert_eq!(read("2024 07", "%Y %W").map(|(_, at)| at[..3].to_vec()), Some(vec![2024, 6, 4]));
    }

    #[test]
    fn what_has_no_meaning_stands_for_itself() {
        assert_eq!(read("-d s%", "%-d %s%%").map(|(length, _)| length), Some(5));
        assert_eq!(read("%", "%").map(|(length, _)| length), Some(1));
        assert_eq!(read("\u{e9}", "%\u{e9}").map(|(length, _)| length), Some(2));
        assert_eq!(read("a  b", "A%tB").map(|(length, _)| length), Some(4));
    }
}
