//! Holds an instance to its limits.
//!
//! Growth is refused (`-1`) by fixed limits only. The bounds of an operator, and a host that cannot deliver, end the call
//! with an error, as a `-1` would let the guest see on which node it runs.

use crate::declared::Declared;
use crate::error::{Limit, LimitReached};
use crate::limits::{Bounds, MEMORY_BYTES, OBJECTS_BYTES, SMALL_MEMORY_BYTES, SMALL_TABLE_ELEMENTS, TABLE_ELEMENTS};
use crate::pace::{Pace, yield_once};
use hb_wasm64_host::Failure;
use std::sync::Arc;
use wasmtime::ResourceLimiterAsync;

/// What the memories or the tables of an instance have together.
struct Total {
    kind: Limit,
    /// As the guest is held to it.
    used: u64,
    most: u64,
    /// All that there is.
    held: u64,
    bound: u64,
    /// What was granted last, of both. A host that cannot deliver reports it at once, before anything else is asked for.
    granted: (u64, u64),
}

impl Total {
    fn new(kind: Limit, used: u64, most: u64, bound: u64) -> Total {
        Total { kind, used, most, held: 0, bound, granted: (0, 0) }
    }

    /// Whether there may be `more`, of which `counted` count for the guest.
    fn grant(&mut self, more: u64, counted: u64) -> wasmtime::Result<bool> {
        self.granted = (0, 0);
        if counted > self.most.saturating_sub(self.used) {
            return Ok(false);
        }
        if more > self.bound.saturating_sub(self.held) {
            return Err(LimitReached(self.kind).into());
        }
        self.granted = (more, counted);
        (self.held, self.used) = (self.held.saturating_add(more), self.used.saturating_add(counted));
        Ok(true)
    }

    fn take_back(&mut self) {
        let (more, counted) = std::mem::take(&mut self.granted);
        (self.held, self.used) = (self.held.saturating_sub(more), self.used.saturating_sub(counted));
    }
}

/// Holds one instance to its limits.
pub(crate) struct Limiter {
    memory: Total,
    /// The maximum of memories whose growth does not count.
    fixed: Option<u64>,
    table: Total,
    pace: Arc<Pace>,
    /// Where its heap has objects, instructions may look through many of them.
    has_objects: bool,
    /// Why the heap of objects and exceptions has not grown when it last wanted to, if that was not for the guest's sake.
    refused: Option<Refused>,
}

/// Why the host does not let a heap grow.
#[derive(Clone, Copy)]
enum Refused {
    Limit,
    NoMemory,
}

impl Limiter {
    /// For an instance of an image that declares this, with a table of `own_elements` beside the declared ones.
    pub(crate) fn new(pace: Arc<Pace>, declared: &Declared, own_elements: u64, bounds: Bounds) -> Limiter {
        let elements = |bound: u64| bound.saturating_add(own_elements);
        Limiter {
            memory: Total::new(Limit::Memory, declared.fixed_bytes(), MEMORY_BYTES, bounds.memory),
            fixed: declared.has_heap.then_some(OBJECTS_BYTES),
            table: Total::new(Limit::Table, 0, elements(TABLE_ELEMENTS), elements(bounds.table)),
            pace,
            has_objects: declared.has_objects,
            refused: None,
        }
    }

    /// Why the heap could not grow, where it is full and that was not for the guest's sake.
    pub(crate) fn heap_refused(&mut self) -> Option<wasmtime::Error> {
        self.refused.take().map(|refused| match refused {
            Refused::Limit => LimitReached(Limit::Memory).into(),
            Refused::NoMemory => Failure::OutOfMemory.into(),
        })
    }

    /// From here on a single instruction can take long: goes on where that hurts nobody.
    async fn slow_down(&self) {
        if self.pace.now_large() {
            yield_once().await;
        }
    }
}

#[async_trait::async_trait]
impl ResourceLimiterAsync for Limiter {
    async fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        self.refused = None;
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        let more = desired.saturating_sub(current) as u64;
        let is_fixed = self.fixed.is_some_and(|fixed| maximum.map(|maximum| maximum as u64) == Some(fixed));
        let granted = self.memory.grant(more, if is_fixed { 0 } else { more });
        // Wasmtime keeps this to itself where the heap was to grow.
        self.refused = granted.is_err().then_some(Refused::Limit);
        let granted = granted?;
        if granted && (desired > SMALL_MEMORY_BYTES || self.has_objects && is_fixed) {
            self.slow_down().await;
        }
        Ok(granted)
    }

    /// Wasmtime asks above for every growth of a memory, and what the image does not allow has been refused there: this
    /// is about the host.
    fn memory_grow_failed(&mut self, error: wasmtime::Error) -> wasmtime::Result<()> {
        log::warn!("no memory for a guest: {error:#}");
        self.memory.take_back();
        self.refused = Some(Refused::NoMemory);
        Err(Failure::OutOfMemory.into())
    }

    async fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        let more = desired.saturating_sub(current) as u64;
        let granted = self.table.grant(more, more)?;
        if granted && desired > SMALL_TABLE_ELEMENTS {
            self.slow_down().await;
        }
        Ok(granted)
    }

    /// Wasmtime reports here only what no machine can count, without asking above; the standard refuses that. A table that
    /// the host has no room for ends the call by itself.
    fn table_grow_failed(&mut self, _: wasmtime::Error) -> wasmtime::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;

    fn declared(fields: &str) -> Declared {
        Declared::of(&wat::parse_str(format!("(module {fields})")).unwrap(), false).unwrap()
    }

    #[test]
    fn what_the_host_refuses_is_given_back_and_ends_the_call() {
        let mut limiter = Limiter::new(Arc::default(), &declared("(memory i64 1)"), 0, Bounds::default());
        let grow = |limiter: &mut Limiter, current: usize, desired: usize, maximum: Option<usize>| {
            let mut growing = limiter.memory_growing(current, desired, maximum);
            let mut context = std::task::Context::from_waker(std::task::Waker::noop());
            match growing.as_mut().poll(&mut context) {
                std::task::Poll::Ready(granted) => granted.unwrap(),
                std::task::Poll::Pending => panic!("no scheduler to leave"),
            }
        };
        let (half, all) = (8 << 30, 16 << 30);
        assert!(grow(&mut limiter, 0, half, None));
        assert!(!grow(&mut limiter, half, all + 1, None));
        assert!(!grow(&mut limiter, half, all, Some(all - 1)));
        assert!(grow(&mut limiter, half, all, None));
        assert!(limiter.memory_grow_failed(wasmtime::Error::msg("no memory")).is_err());
        assert!(grow(&mut limiter, half, all, None));
        assert!(!grow(&mut limiter, 0, 1, None));
        assert!(limiter.table_grow_failed(wasmtime::Error::msg("too many to count")).is_ok());
    }

    #[test]
    fn a_bound_ends_the_call_where_the_guests_own_limits_would_not_refuse() {
        let image = declared("(memory i64 1) (table 1 funcref)");
        let bounds = Bounds { memory: 1 << 20, table: 10 };
        assert_eq!(image.check(bounds), Ok(()));
        assert_eq!(image.check(Bounds { memory: 65_535, ..bounds }), Err(Error::Limit(Limit::Memory)));
        assert_eq!(image.check(Bounds { table: 0, ..bounds }), Err(Error::Limit(Limit::Table)));
        let mut total = Total::new(Limit::Table, 0, 100, 10);
        assert!(total.grant(10, 10).unwrap());
        assert!(!total.grant(101, 101).unwrap());
        let error = Error::from_call(&total.grant(1, 1).unwrap_err());
        assert_eq!(error, Error::Limit(Limit::Table));
        total.take_back();
        assert!(total.grant(1, 1).is_err(), "nothing was granted last");
    }
}
