//! C's `struct tm` in the memory of a guest.

use super::calendar::Tm;
use crate::failure::Fault;
use crate::limits::TIME_BYTES;
use crate::memory::{Memory, Width};

// There are nine fields of an `int` each, then a `long` and a pointer, aligned to their size.
pub(crate) const WEEKDAY: u64 = 24;
pub(crate) const YEARDAY: u64 = 28;
pub(crate) const IS_DST: u64 = 32;

fn offset_field(width: Width) -> u64 {
    match width {
        Width::Narrow => 36,
        Width::Wide => 40,
    }
}

pub(crate) fn zone_field(width: Width) -> u64 {
    offset_field(width) + width.bytes()
}

/// The address of a field.
pub(crate) fn field(tm: u64, offset: u64) -> Result<u64, Fault> {
    tm.checked_add(offset).ok_or(Fault::OutOfBounds)
}

/// The fields of date and time of day, without the offset, which programs need not set.
pub(crate) fn read_date(memory: &Memory<'_>, at: u64) -> Result<Tm, Fault> {
    let int = |offset| memory.i32(field(at, offset)?);
    Ok(Tm {
        second: int(0)?,
        minute: int(4)?,
        hour: int(8)?,
        day: int(12)?,
        month: int(16)?,
        year: int(20)?,
        weekday: int(WEEKDAY)?,
        yearday: int(YEARDAY)?,
        is_dst: int(IS_DST)?,
        offset: 0,
    })
}

/// All fields but the name of the zone.
pub(crate) fn read(memory: &Memory<'_>, at: u64) -> Result<Tm, Fault> {
    let bits = memory.pointer(field(at, offset_field(memory.width()))?)?;
    let offset = match memory.width() {
        Width::Narrow => i64::from(bits as i32),
        Width::Wide => bits as i64,
    };
    Ok(Tm { offset, ..read_date(memory, at)? })
}

/// The name of the zone. Programs that fill in a time themselves leave there what was: what is not readable is empty.
pub(crate) fn zone<'a>(memory: &'a Memory<'_>, at: u64) -> Result<&'a [u8], Fault> {
    match memory.pointer(field(at, zone_field(memory.width()))?)? {
        0 => Ok(&[]),
        zone => Ok(memory.string(zone, TIME_BYTES).unwrap_or_default()),
    }
}

/// Writes all fields up to that of the day of the year.
pub(crate) fn write_date(memory: &mut Memory<'_>, at: u64, tm: &Tm) -> Result<(), Fault> {
    let fields = [tm.second, tm.minute, tm.hour, tm.day, tm.month, tm.year, tm.weekday, tm.yearday];
    memory.put(at, fields.map(i32::to_le_bytes).as_flattened())
}

/// Writes all fields but the name of the zone, or none.
pub(crate) fn write(memory: &mut Memory<'_>, at: u64, tm: &Tm) -> Result<(), Fault> {
    let offset_at = offset_field(memory.width());
    memory.get(at, offset_at + memory.width().bytes())?;
    write_date(memory, at, tm)?;
    memory.put_i32(field(at, IS_DST)?, tm.is_dst)?;
    memory.put_pointer(field(at, offset_at)?, tm.offset as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const AT: u64 = 8;

    #[test]
    fn fields_lie_where_c_has_them() {
        for (width, offset, zone, size) in [(Width::Narrow, 36, 40, 44), (Width::Wide, 40, 48, 56)] {
            assert_eq!((offset_field(width), zone_field(width)), (offset, zone));
            assert_eq!(zone_field(width) + width.bytes(), size);
        }
    }

    #[test]
    fn nothing_is_written_where_not_all_of_it_fits() {
        for (width, size) in [(Width::Narrow, 40), (Width::Wide, 48)] {
            let mut bytes = vec![0xee; size + AT as usize - 1];
            let mut memory = Memory::new(&mut bytes, width, u64::MAX);
            assert_eq!(write(&mut memory, AT, &Tm::default()), Err(Fault::OutOfBounds));
            assert_eq!(write(&mut memory, u64::MAX, &Tm::default()), Err(Fault::OutOfBounds));
            assert!(bytes.iter().all(|byte| *byte == 0xee));
        }
    }

    proptest! {
        #[test]
        fn fields_are_read_as_written(ints in prop::array::uniform9(any::<i32>()), offset: i32, is_wide: bool) {
            let [second, minute, hour, day, month, year, weekday, yearday, is_dst] = ints;
            let offset = i64::from(offset);
            let tm = Tm { second, minute, hour, day, month, year, weekday, yearday, is_dst, offset };
            let mut bytes = vec![0; 64];
            let mut memory = Memory::new(&mut bytes, if is_wide { Width::Wide } else { Width::Narrow }, u64::MAX);
            write(&mut memory, AT, &tm).unwrap();
            prop_assert_eq!(read(&memory, AT), Ok(tm));
        }
    }
}
