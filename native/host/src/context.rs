//! What a function of the host is given.

use crate::abi::Abi;
use crate::failure::Fault;
use crate::memory::Memory;
use crate::state::State;

/// What a function of the host works on.
pub(crate) struct HostCtx<'a> {
    pub(crate) memory: Memory<'a>,
    pub(crate) state: &'a mut State,
    /// What the program's clock shows at the next look: milliseconds since 1970.
    pub(crate) now: u64,
    /// Which Emscripten has built the image.
    pub(crate) abi: Abi,
}

impl HostCtx<'_> {
    /// A `time_t` in memory.
    pub(crate) fn time_at(&self, at: u64) -> Result<i64, Fault> {
        match self.abi.time_bytes() {
            4 => self.memory.i32(at).map(i64::from),
            _ => self.memory.u64(at).map(|bits| bits as i64),
        }
    }

    /// Writes a `time_t`; of one that is too wide its lower half.
    pub(crate) fn put_time(&mut self, at: u64, time: i64) -> Result<(), Fault> {
        match self.abi.time_bytes() {
            4 => self.memory.put_i32(at, time as i32),
            _ => self.memory.put_u64(at, time as u64),
        }
    }
}

impl HostCtx<'_> {
    /// What the program's clock shows to a look, in milliseconds since 1970. One that ticks goes on.
    pub(crate) fn look(&mut self) -> u64 {
        let shown = self.now;
        if let Some(clock) = &mut self.state.program.clock {
            clock.tick(1);
            self.now = self.now.max(clock.next);
        }
        shown
    }

    /// What the clocks of the program show to a look: nanoseconds since 1970. It is the caller's time, or that to which the program
    /// has slept, if that is later.
    pub(crate) fn look_closely(&mut self) -> u64 {
        let shown = self.nanoseconds();
        self.look();
        shown
    }

    /// The same without a look.
    pub(crate) fn nanoseconds(&self) -> u64 {
        const MILLISECOND: u64 = 1_000_000;
        self.now.saturating_mul(MILLISECOND).max(self.state.program.awake)
    }

    /// Lets the program sleep until its clocks show this, where they do not already.
    pub(crate) fn sleep_until(&mut self, nanoseconds: u64) {
        if nanoseconds > self.nanoseconds() {
            self.state.program.awake = nanoseconds;
        }
    }
}

/// The arguments of a call, each 64 bits wide: an `i32` with its sign extended, a pointer with zeros, a float as bits.
#[derive(Clone, Copy)]
pub(crate) struct Args<'a>(pub(crate) &'a [u64]);

impl Args<'_> {
    /// An argument; the shape of the function says how many there are.
    fn at(&self, index: usize) -> u64 {
        self.0.get(index).copied().unwrap_or_default()
    }

    pub(crate) fn int(&self, index: usize) -> i32 {
        self.at(index) as i32
    }

    pub(crate) fn wide(&self, index: usize) -> i64 {
        self.at(index) as i64
    }

    pub(crate) fn pointer(&self, index: usize) -> u64 {
        self.at(index)
    }
}

/// The result of a function that gives an `i32`.
pub(crate) fn int(value: i32) -> u64 {
    i64::from(value) as u64
}
