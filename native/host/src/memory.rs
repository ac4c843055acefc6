//! The memory of a guest, with pointers of 32 or 64 bits. What is read and written there is paid for before.

use crate::failure::Fault;
use std::cell::Cell;

/// How wide the pointers of an image are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Width {
    /// 32 bits.
    Narrow,
    /// 64 bits.
    Wide,
}

impl Width {
    /// By whether memories have 64-bit addresses.
    pub fn of_64_bit(is_64_bit: bool) -> Width {
        if is_64_bit { Width::Wide } else { Width::Narrow }
    }

    /// Bytes of a pointer, a `long` and a `size_t`.
    pub fn bytes(self) -> u64 {
        match self {
            Width::Narrow => 4,
            Width::Wide => 8,
        }
    }
}

/// The linear memory of a guest.
pub(crate) struct Memory<'a> {
    bytes: &'a mut [u8],
    width: Width,
    /// Bytes that have been paid for.
    used: Cell<u64>,
    /// Bytes that can be paid for.
    budget: u64,
    is_spent: Cell<bool>,
}

impl<'a> Memory<'a> {
    /// A memory of which at most `budget` bytes may be read and written.
    pub(crate) fn new(bytes: &'a mut [u8], width: Width, budget: u64) -> Memory<'a> {
        Memory { bytes, width, used: Cell::new(0), budget, is_spent: Cell::new(false) }
    }

    /// How many bytes have been paid for.
    pub(crate) fn used(&self) -> u64 {
        self.used.get()
    }

    /// Whether something was refused because it could not be paid for. Whatever the function made of that, the call ends.
    pub(crate) fn is_spent(&self) -> bool {
        self.is_spent.get()
    }

    /// Pays for bytes that are going to be read or written.
    ///
    /// # Errors
    /// [`Fault::OutOfFuel`]: they must not be.
    pub(crate) fn pay(&self, bytes: u64) -> Result<(), Fault> {
        match self.used.get().checked_add(bytes).filter(|used| *used <= self.budget) {
            Some(used) => {
                self.used.set(used);
                Ok(())
            }
            None => {
                self.is_spent.set(true);
                Err(Fault::OutOfFuel)
            }
        }
    }

    pub(crate) fn width(&self) -> Width {
        self.width
    }

    /// The bytes of a range, which are paid for.
    ///
    /// # Errors
    /// [`Fault::OutOfBounds`] and [`Fault::OutOfFuel`], as for everything else here.
    pub(crate) fn get(&self, at: u64, size: u64) -> Result<&[u8], Fault> {
        let bytes = self.bytes.get(range(at, size)?).ok_or(Fault::OutOfBounds)?;
        self.pay(size)?;
        Ok(bytes)
    }

    pub(crate) fn get_mut(&mut self, at: u64, size: u64) -> Result<&mut [u8], Fault> {
        self.check(at, size)?;
        self.pay(size)?;
        self.room(at, size)
    }

    /// Whether a range is in the memory.
    pub(crate) fn check(&self, at: u64, size: u64) -> Result<(), Fault> {
        self.bytes.get(range(at, size)?).map(drop).ok_or(Fault::OutOfBounds)
    }

    /// The bytes of a range. What is used of them has to be [paid](Self::pay) for before.
    pub(crate) fn room(&mut self, at: u64, size: u64) -> Result<&mut [u8], Fault> {
        self.bytes.get_mut(range(at, size)?).ok_or(Fault::OutOfBounds)
    }

    /// Copies between places that may overlap, and have been paid for.
    pub(crate) fn copy(&mut self, to: u64, from: u64, size: u64) -> Result<(), Fault> {
        self.check(to, size)?;
        self.check(from, size)?;
        self.bytes.copy_within(range(from, size)?, usize::try_from(to).map_err(|_| Fault::OutOfBounds)?);
        Ok(())
    }

    /// The bytes of a string, up to its NUL; of one that is longer than `most`, so many.
    ///
    /// # Errors
    /// [`Fault::OutOfBounds`] where the memory ends before the string does.
    pub(crate) fn string(&self, at: u64, most: usize) -> Result<&[u8], Fault> {
        let text = self.text(at, most)?;
        let end = at.saturating_add(text.len() as u64);
        if text.len() < most && end >= self.bytes.len() as u64 { Err(Fault::OutOfBounds) } else { Ok(text) }
    }

    fn from(&self, at: u64) -> Result<&[u8], Fault> {
        usize::try_from(at).ok().and_then(|at| self.bytes.get(at..)).ok_or(Fault::OutOfBounds)
    }

    /// The bytes of a string, up to its NUL, and no more than `most`.
    pub(crate) fn text(&self, at: u64, most: usize) -> Result<&[u8], Fault> {
        let from = self.from(at)?;
        let from = from.get(..most).unwrap_or(from);
        let text = memchr::memchr(0, from).and_then(|end| from.get(..end)).unwrap_or(from);
        self.pay(text.len() as u64)?;
        Ok(text)
    }

    pub(crate) fn put(&mut self, at: u64, bytes: &[u8]) -> Result<(), Fault> {
        self.get_mut(at, bytes.len() as u64)?.copy_from_slice(bytes);
        Ok(())
    }

    fn array<const N: usize>(&self, at: u64) -> Result<[u8; N], Fault> {
        self.get(at, N as u64)?.try_into().map_err(|_| Fault::OutOfBounds)
    }

    pub(crate) fn u8(&self, at: u64) -> Result<u8, Fault> {
        self.array(at).map(u8::from_le_bytes)
    }

    pub(crate) fn u16(&self, at: u64) -> Result<u16, Fault> {
        self.array(at).map(u16::from_le_bytes)
    }

    pub(crate) fn i32(&self, at: u64) -> Result<i32, Fault> {
        self.array(at).map(i32::from_le_bytes)
    }

    pub(crate) fn u64(&self, at: u64) -> Result<u64, Fault> {
        self.array(at).map(u64::from_le_bytes)
    }

    /// A pointer, `size_t` or `unsigned long`.
    pub(crate) fn pointer(&self, at: u64) -> Result<u64, Fault> {
        match self.width {
            Width::Narrow => self.array(at).map(|bytes| u64::from(u32::from_le_bytes(bytes))),
            Width::Wide => self.u64(at),
        }
    }

    pub(crate) fn put_u8(&mut self, at: u64, value: u8) -> Result<(), Fault> {
        self.put(at, &[value])
    }

    pub(crate) fn put_u16(&mut self, at: u64, value: u16) -> Result<(), Fault> {
        self.put(at, &value.to_le_bytes())
    }

    pub(crate) fn put_i32(&mut self, at: u64, value: i32) -> Result<(), Fault> {
        self.put(at, &value.to_le_bytes())
    }

    pub(crate) fn put_u64(&mut self, at: u64, value: u64) -> Result<(), Fault> {
        self.put(at, &value.to_le_bytes())
    }

    /// Writes a pointer, `size_t` or `long`; of one that is too wide its lower half.
    pub(crate) fn put_pointer(&mut self, at: u64, value: u64) -> Result<(), Fault> {
        match self.width {
            Width::Narrow => self.put(at, &(value as u32).to_le_bytes()),
            Width::Wide => self.put_u64(at, value),
        }
    }
}

fn range(at: u64, size: u64) -> Result<std::ops::Range<usize>, Fault> {
    let end = at.checked_add(size).ok_or(Fault::OutOfBounds)?;
    match (usize::try_from(at), usize::try_from(end)) {
        (Ok(start), Ok(end)) => Ok(start..end),
        _ => Err(Fault::OutOfBounds),
    }
}
