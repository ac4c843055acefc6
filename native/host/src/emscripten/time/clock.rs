//! Clocks and calendar functions. All clocks are the caller's, which counts milliseconds, and the time zone is UTC.
//!
//! The shapes are of several versions of Emscripten, the first that fits an import serves it.

use super::calendar::Tm;
use super::date;
use super::layout::{self, IS_DST, WEEKDAY, YEARDAY, field};
use super::strftime::strftime;
use super::strptime::strptime;
use crate::abi::Abi;
use crate::context::{Args, HostCtx, int};
use crate::failure::Fault;
use crate::function::Call::{self, Plain};
use crate::function::{Function, OPEN, OWN, Operation, env};
use crate::limits::TIME_BYTES;

pub(crate) const FUNCTIONS: &[Function] = &[
    env("emscripten_date_now", ":d", OPEN, Plain(now)),
    env("_emscripten_date_now", ":d", OPEN, Plain(now)),
    env("emscripten_get_now", ":d", OPEN, Plain(now)),
    env("emscripten_performance_now", ":d", OPEN, Plain(now)),
    env("_emscripten_get_now_is_monotonic", ":i", OPEN, Plain(is_monotonic)),
    env("emscripten_get_now_is_monotonic", ":i", OPEN, Plain(is_monotonic)),
    env("emscripten_get_now_res", ":d", OPEN, Plain(resolution)),
    env("_gmtime_js", "jp:", OPEN, Plain(|host, args| gmtime(host, args.wide(0), args.pointer(1)))),
    env("_gmtime_js", "jp:i", OPEN, Plain(|host, args| gmtime(host, args.wide(0), args.pointer(1)))),
    env("_gmtime_js", "pp:", OPEN, Plain(|host, args| gmtime(host, host.time_at(args.pointer(0))?, args.pointer(1)))),
    env("_localtime_js", "jp:", OPEN, Plain(|host, args| localtime(host, args.wide(0), args.pointer(1)))),
    env("_localtime_js", "jp:i", OPEN, Plain(|host, args| localtime(host, args.wide(0), args.pointer(1)))),
    env(
        "_localtime_js",
        "pp:",
        OPEN,
        Plain(|host, args| localtime(host, host.time_at(args.pointer(0))?, args.pointer(1))),
    ),
    env("_mktime_js", "p:j", OPEN, Plain(mktime)),
    env("_mktime_js", "p:i", OPEN, Plain(mktime)),
    env("_timegm_js", "p:j", OPEN, Plain(timegm)),
    env("_timegm_js", "p:i", OPEN, Plain(timegm)),
    env("_tzset_js", "pppp:", OPEN, Plain(tzset)),
    env("_tzset_js", "ppp:", OWN, Call::Operation(Operation::ZoneNames)),
    env("strftime", "pppp:p", OPEN, Plain(write_time)),
    env("strftime_l", "ppppp:p", OPEN, Plain(write_time)),
    env("strptime", "ppp:p", OPEN, Plain(read_time)),
    env("strptime_l", "pppp:p", OPEN, Plain(read_time)),
];

/// The time zone, as the C library calls it.
const ZONE: &[u8] = b"UTC\0";

/// What functions give for a time that cannot be: where they give 32 bits, those of JavaScript's `NaN`.
fn no_time(host: &HostCtx<'_>) -> u64 {
    if host.abi.is_narrow() { 0 } else { int(-1) }
}

fn now(host: &mut HostCtx<'_>, _: Args<'_>) -> Result<u64, Fault> {
    Ok((host.look() as f64).to_bits())
}

fn is_monotonic(_: &mut HostCtx<'_>, _: Args<'_>) -> Result<u64, Fault> {
    Ok(int(1))
}

/// Nanoseconds between two readings of the clock that differ.
fn resolution(_: &mut HostCtx<'_>, _: Args<'_>) -> Result<u64, Fault> {
    Ok(1e6_f64.to_bits())
}

/// Gives 1 for a time that cannot be, which only images of later versions look at. Those of earlier ones read fields
/// of zeros.
fn gmtime(host: &mut HostCtx<'_>, time: i64, at: u64) -> Result<u64, Fault> {
    let tm = date::broken_down(time);
    let counted = tm.map(|tm| Tm { yearday: date::counted_yearday(time, &tm), ..tm });
    layout::write_date(&mut host.memory, at, &counted.unwrap_or_default())?;
    Ok(int(i32::from(tm.is_none())))
}

/// As [`gmtime`].
fn localtime(host: &mut HostCtx<'_>, time: i64, at: u64) -> Result<u64, Fault> {
    let tm = date::broken_down(time);
    layout::write(&mut host.memory, at, &tm.unwrap_or_default())?;
    Ok(int(i32::from(tm.is_none())))
}

fn mktime(host: &mut HostCtx<'_>, args: Args<'_>) -> Result<u64, Fault> {
    let at = args.pointer(0);
    let given = layout::read_date(&host.memory, at)?;
    let time = date::seconds(&given);
    let tm = time.and_then(date::broken_down).unwrap_or_default();
    // Up to Emscripten 3.1.20 the year stays as it is given.
    let year = if host.abi > Abi::Until3_1_20 { tm.year } else { given.year };
    layout::write_date(&mut host.memory, at, &Tm { year, ..tm })?;
    if given.is_dst < 0 {
        host.memory.put_i32(field(at, IS_DST)?, 0)?;
    }
    Ok(time.map_or_else(|| no_time(host), |time| time as u64))
}

/// Sets the day of the week and that of the year only.
fn timegm(host: &mut HostCtx<'_>, args: Args<'_>) -> Result<u64, Fault> {
    let at = args.pointer(0);
    let time = date::seconds(&layout::read_date(&host.memory, at)?);
    let Some((time, tm)) = time.and_then(|time| Some((time, date::broken_down(time)?))) else {
        return Ok(no_time(host));
    };
    host.memory.put_i32(field(at, WEEKDAY)?, tm.weekday)?;
    host.memory.put_i32(field(at, YEARDAY)?, date::counted_yearday(time, &tm))?;
    Ok(time as u64)
}

/// Where to write: the offset in seconds, whether there is summer time, and the names without and with it.
fn tzset(host: &mut HostCtx<'_>, args: Args<'_>) -> Result<u64, Fault> {
    host.memory.put_pointer(args.pointer(0), 0)?;
    host.memory.put_i32(args.pointer(1), 0)?;
    host.memory.put(args.pointer(2), ZONE)?;
    host.memory.put(args.pointer(3), ZONE)?;
    Ok(0)
}

/// Where to write, how much fits, the format and the time. What does not fit is not written at all.
fn write_time(host: &mut HostCtx<'_>, args: Args<'_>) -> Result<u64, Fault> {
    const DOES_NOT_FIT: u64 = 0;
    let (to, size, format, at) = (args.pointer(0), args.pointer(1), args.pointer(2), args.pointer(3));
    let memory = &host.memory;
    let tm = layout::read(memory, at)?;
    let zone = layout::zone(memory, at)?;
    let format = memory.string(format, TIME_BYTES + 1)?;
    let most = usize::try_from(size).unwrap_or(TIME_BYTES).min(TIME_BYTES);
    let Some(most) = most.checked_sub(1) else { return Ok(DOES_NOT_FIT) };
    if format.len() > TIME_BYTES {
        return Ok(DOES_NOT_FIT);
    }
    let Some(mut text) = strftime(format, &tm, zone, most) else { return Ok(DOES_NOT_FIT) };
    let length = text.len() as u64;
    text.push(0);
    host.memory.put(to, &text)?;
    Ok(length)
}

/// The text, the format and where the time is written: what follows what was read, or 0.
fn read_time(host: &mut HostCtx<'_>, args: Args<'_>) -> Result<u64, Fault> {
    let (text, at) = (args.pointer(0), args.pointer(2));
    let memory = &mut host.memory;
    let given = layout::read_date(memory, at)?;
    match strptime(memory.string(text, TIME_BYTES)?, memory.string(args.pointer(1), TIME_BYTES)?, &given) {
        None => Ok(0),
        Some((length, tm)) => {
            layout::write(memory, at, &tm)?;
            Ok(text + length as u64)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::{Memory, Width};
    use crate::state::State;

    const WIDTHS: [Width; 2] = [Width::Narrow, Width::Wide];
    const NOW: u64 = 1_700_000_000_123;
    const TM: u64 = 64;
    const FORMAT: u64 = 256;
    const ZONE_NAME: u64 = 320;
    const OUT: u64 = 512;

    /// Calls the first function of a name.
    fn call(bytes: &mut [u8], width: Width, name: &str, args: &[u64]) -> Result<u64, Fault> {
        call_as(Abi::Current, bytes, width, name, args)
    }

    fn call_as(abi: Abi, bytes: &mut [u8], width: Width, name: &str, args: &[u64]) -> Result<u64, Fault> {
        let function = FUNCTIONS.iter().find(|function| function.name == name).unwrap();
        let mut host =
            HostCtx { memory: Memory::new(bytes, width, u64::MAX), state: &mut State::default(), now: NOW, abi };
        let Call::Plain(function) = function.call else { panic!("{name} calls the guest") };
        function(&mut host, Args(args))
    }

    fn ints(bytes: &[u8], at: u64, count: usize) -> Vec<i32> {
        let at = at as usize;
        bytes[at..at + count * 4].chunks(4).map(|int| i32::from_le_bytes(int.try_into().unwrap())).collect()
    }

    fn put_ints(bytes: &mut [u8], at: u64, ints: &[i32]) {
        let flat: Vec<u8> = ints.iter().flat_map(|int| int.to_le_bytes()).collect();
        put(bytes, at, &flat);
    }

    fn put(bytes: &mut [u8], at: u64, data: &[u8]) {
        bytes[at as usize..][..data.len()].copy_from_slice(data);
    }

    #[test]
    fn every_clock_is_the_callers() {
        for name in ["emscripten_date_now", "emscripten_get_now", "emscripten_performance_now"] {
            assert_eq!(call(&mut [], Width::Wide, name, &[]).map(f64::from_bits), Ok(1_700_000_000_123.0));
        }
        assert_eq!(call(&mut [], Width::Wide, "_emscripten_get_now_is_monotonic", &[]), Ok(1));
        assert_eq!(call(&mut [], Width::Wide, "emscripten_get_now_res", &[]).map(f64::from_bits), Ok(1e6));
    }

    #[test]
    fn gmtime_writes_eight_fields() {
        for width in WIDTHS {
            let mut bytes = vec![0xee; 1024];
            assert_eq!(call(&mut bytes, width, "_gmtime_js", &[1_234_567_890, TM]), Ok(0));
            assert_eq!(ints(&bytes, TM, 8), [30, 31, 23, 13, 1, 109, 5, 43]);
            assert!(bytes[TM as usize + 32..].iter().all(|byte| *byte == 0xee));
        }
    }

    #[test]
    fn localtime_writes_the_offset_where_the_width_has_it() {
        for (width, offset, size) in [(Width::Narrow, 36, 4), (Width::Wide, 40, 8)] {
            let mut bytes = vec![0xee; 1024];
            assert_eq!(call(&mut bytes, width, "_localtime_js", &[-1_i64 as u64, TM]), Ok(0));
            assert_eq!(ints(&bytes, TM, 9), [59, 59, 23, 31, 11, 69, 3, 364, 0]);
            let rest = &bytes[TM as usize..];
            assert!(rest[offset..offset + size].iter().all(|byte| *byte == 0));
            assert!(rest[36..offset].iter().chain(&rest[offset + size..]).all(|byte| *byte == 0xee));
        }
    }

    #[test]
    fn times_that_cannot_be_have_fields_of_zeros() {
        for name in ["_gmtime_js", "_localtime_js"] {
            for time in [i64::MAX, i64::MIN, 8_640_000_000_001] {
                let mut bytes = vec![0xee; 1024];
                assert_eq!(call(&mut bytes, Width::Wide, name, &[time as u64, TM]), Ok(1));
                assert_eq!(ints(&bytes, TM, 8), [0; 8]);
            }
        }
    }

    #[test]
    fn mktime_puts_fields_into_their_range() {
        let mut bytes = vec![0; 1024];
        // The 30th of February.
        put_ints(&mut bytes, TM, &[60, 59, 23, 30, 1, 124, 0, 0, -1]);
        assert_eq!(call(&mut bytes, Width::Wide, "_mktime_js", &[TM]), Ok(1_709_337_600));
        assert_eq!(ints(&bytes, TM, 9), [0, 0, 0, 2, 2, 124, 6, 61, 0]);
    }

    #[test]
    fn mktime_gives_minus_one_for_what_is_no_time() {
        let mut bytes = vec![0; 1024];
        put_ints(&mut bytes, TM, &[1, 2, 3, 4, 5, i32::MAX, 6, 7, 1]);
        assert_eq!(call(&mut bytes, Width::Wide, "_mktime_js", &[TM]), Ok(u64::MAX));
        assert_eq!(ints(&bytes, TM, 9), [0, 0, 0, 0, 0, 0, 0, 0, 1]);
    }

    #[test]
    fn what_mktime_gave_in_32_bits_it_gives_still() {
        for (abi, year) in [(Abi::Until3_1_15, 119), (Abi::Until3_1_20, 119), (Abi::Until3_1_41, 120)] {
            let mut bytes = vec![0; 1024];
            // The first of the thirteenth month.
            put_ints(&mut bytes, TM, &[0, 0, 0, 1, 12, 119, 0, 0, 0]);
            assert_eq!(call_as(abi, &mut bytes, Width::Narrow, "_mktime_js", &[TM]), Ok(1_577_836_800));
            assert_eq!(ints(&bytes, TM, 9), [0, 0, 0, 1, 0, year, 3, 0, 0]);
            put_ints(&mut bytes, TM, &[1, 2, 3, 4, 5, i32::MAX, 6, 7, 1]);
            assert_eq!(call_as(abi, &mut bytes, Width::Narrow, "_mktime_js", &[TM]), Ok(0));
            put_ints(&mut bytes, TM, &[1, 2, 3, 4, 5, i32::MAX, 6, 7, 1]);
            assert_eq!(call_as(abi, &mut bytes, Width::Narrow, "_timegm_js", &[TM]), Ok(0));
        }
    }

    #[test]
    fn timegm_leaves_most_fields() {
        let mut bytes = vec![0; 1024];
        put_ints(&mut bytes, TM, &[60, 59, 23, 30, 1, 124, 0, 0, 5]);
        assert_eq!(call(&mut bytes, Width::Wide, "_timegm_js", &[TM]), Ok(1_709_337_600));
        assert_eq!(ints(&bytes, TM, 9), [60, 59, 23, 30, 1, 124, 6, 61, 5]);
        put_ints(&mut bytes, TM, &[0, 0, 0, 1, 0, i32::MIN, 8, 9, 5]);
        assert_eq!(call(&mut bytes, Width::Wide, "_timegm_js", &[TM]), Ok(u64::MAX));
        assert_eq!(ints(&bytes, TM, 9), [0, 0, 0, 1, 0, i32::MIN, 8, 9, 5]);
    }

    #[test]
    fn the_time_zone_is_utc() {
        for width in WIDTHS {
            let mut bytes = vec![0xee; 1024];
            assert_eq!(call(&mut bytes, width, "_tzset_js", &[0, 16, 32, 64]), Ok(0));
            assert!(bytes[..width.bytes() as usize].iter().all(|byte| *byte == 0));
            assert_eq!(bytes[width.bytes() as usize], 0xee);
            assert_eq!(ints(&bytes, 16, 1), [0]);
            assert_eq!((&bytes[32..37], &bytes[64..69]), (&b"UTC\0\xee"[..], &b"UTC\0\xee"[..]));
        }
    }

    /// A memory with a time in UTC and a format.
    fn with_format(width: Width, format: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0; 1024];
        call(&mut bytes, width, "_localtime_js", &[1_234_567_890, TM]).unwrap();
        Memory::new(&mut bytes, width, u64::MAX).put_pointer(TM + layout::zone_field(width), ZONE_NAME).unwrap();
        put(&mut bytes, FORMAT, format);
        put(&mut bytes, ZONE_NAME, b"GMT");
        bytes[OUT as usize..].fill(0xee);
        bytes
    }

    #[test]
    fn strftime_writes_a_string() {
        for width in WIDTHS {
            for name in ["strftime", "strftime_l"] {
                let mut bytes = with_format(width, b"%F %T %z %Z");
                assert_eq!(call(&mut bytes, width, name, &[OUT, 100, FORMAT, TM, 0]), Ok(29));
                assert_eq!(&bytes[OUT as usize..][..31], b"2009-02-13 23:31:30 +0000 GMT\0\xee");
            }
        }
    }

    #[test]
    fn strftime_writes_nothing_where_the_string_does_not_fit() {
        let mut bytes = with_format(Width::Wide, b"%F");
        for size in [0, 1, 10] {
            assert_eq!(call(&mut bytes, Width::Wide, "strftime", &[OUT, size, FORMAT, TM]), Ok(0));
            assert!(bytes[OUT as usize..].iter().all(|byte| *byte == 0xee));
        }
        assert_eq!(call(&mut bytes, Width::Wide, "strftime", &[OUT, 11, FORMAT, TM]), Ok(10));
        assert_eq!(call(&mut bytes, Width::Wide, "strftime", &[OUT, u64::MAX, FORMAT, TM]), Ok(10));
    }

    #[test]
    fn the_zone_of_a_time_need_not_be_readable() {
        let mut bytes = with_format(Width::Wide, b"[%Z]");
        for zone in [0, 1 << 40, u64::MAX] {
            Memory::new(&mut bytes, Width::Wide, u64::MAX).put_pointer(TM + 48, zone).unwrap();
            assert_eq!(call(&mut bytes, Width::Wide, "strftime", &[OUT, 100, FORMAT, TM]), Ok(2));
        }
    }

    #[test]
    fn addresses_outside_of_the_memory_end_the_call() {
        let last = u64::MAX - 8;
        for (name, args) in [
            ("_gmtime_js", vec![0, 1000]),
            ("_gmtime_js", vec![0, last]),
            ("_localtime_js", vec![0, 990]),
            ("_localtime_js", vec![0, last]),
            ("_mktime_js", vec![1000]),
            ("_timegm_js", vec![last]),
            ("_tzset_js", vec![0, 0, 0, 1021]),
            ("strftime", vec![1023, 100, FORMAT, TM]),
            ("strftime", vec![OUT, 100, 2000, TM]),
            ("strftime", vec![OUT, 100, FORMAT, 990]),
            ("strftime", vec![OUT, 100, FORMAT, last]),
        ] {
            for width in WIDTHS {
                let mut bytes = with_format(width, b"%F");
                assert_eq!(call(&mut bytes, width, name, &args), Err(Fault::OutOfBounds), "{name} {args:?}");
            }
        }
    }
}
