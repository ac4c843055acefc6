//! What an image declares of memories and tables, and what follows: its engine, and what it needs at the start.

use crate::config::{EngineKind, Reservation};
use crate::error::{Error, Limit};
use crate::limits::{ADDRESS_SPACE_BYTES, Bounds, MEMORY_BYTES, MEMORY32_BYTES, OBJECTS_BYTES, TABLE_ELEMENTS};
use serde_derive::{Deserialize, Serialize};
use std::sync::atomic::{AtomicU64, Ordering};
use wasmparser::{CompositeInnerType, Parser, Payload, SubType};

/// The kind of engine that compiles and runs a valid module.
///
/// # Errors
/// [`Error::InvalidModule`] where it is not valid.
pub fn engine_kind(module: &[u8]) -> Result<EngineKind, Error> {
    Ok(Declared::of(module, false)?.engine_kind())
}

/// What an image declares of memories and tables.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Declared {
    memories: u64,
    /// Bytes that they have at the start, together.
    initial_bytes: u64,
    /// Those of them that may grow to exactly 4 GiB.
    memories_of_4_gib: u64,
    /// Bytes that these have at the start, together.
    initial_bytes_of_4_gib: u64,
    /// Bytes that the largest memory may grow to.
    most_bytes: u64,
    /// One of them has 32-bit addresses.
    has_memory32: bool,
    /// Elements that the tables have at the start, together.
    initial_elements: u64,
    /// It has structs or arrays.
    pub(crate) has_objects: bool,
    /// It has these or throws exceptions, which live on a heap that grows, too.
    pub(crate) has_heap: bool,
}

impl Declared {
    /// What a valid module declares. `throws` is whether it throws exceptions even without a tag of its own.
    ///
    /// # Errors
    /// [`Error::InvalidModule`] where it is not valid.
    pub(crate) fn of(module: &[u8], throws: bool) -> Result<Declared, Error> {
        let malformed = |error: wasmparser::Error| Error::InvalidModule(error.to_string());
        let mut declared = Declared { has_heap: throws, ..Declared::default() };
        for payload in Parser::new(0).parse_all(module) {
            match payload.map_err(malformed)? {
                Payload::TypeSection(types) => {
                    for group in types {
                        let mut types = group.map_err(malformed)?.into_types();
                        declared.has_objects |= types.any(|ty| is_object(&ty));
                    }
                    declared.has_heap |= declared.has_objects;
                }
                Payload::MemorySection(memories) => {
                    for memory in memories {
                        declared.memory(&memory.map_err(malformed)?);
                    }
                }
                Payload::TableSection(tables) => {
                    for table in tables {
                        let initial = table.map_err(malformed)?.ty.initial;
                        declared.initial_elements = declared.initial_elements.saturating_add(initial);
                    }
                }
                Payload::TagSection(_) => declared.has_heap = true,
                // All of these come before it.
                Payload::CodeSectionStart { .. } => break,
                _ => {}
            }
        }
        Ok(declared)
    }

    fn memory(&mut self, memory: &wasmparser::MemoryType) {
        let page = 1 << memory.page_size_log2.unwrap_or(16);
        let initial = memory.initial.saturating_mul(page);
        let representable = if memory.memory64 { u64::MAX } else { MEMORY32_BYTES };
        let most = memory.maximum.map_or(representable, |pages| pages.saturating_mul(page));
        self.memories += 1;
        self.initial_bytes = self.initial_bytes.saturating_add(initial);
        self.most_bytes = self.most_bytes.max(most);
        self.has_memory32 |= !memory.memory64;
        if most == MEMORY32_BYTES {
            self.memories_of_4_gib += 1;
            self.initial_bytes_of_4_gib = self.initial_bytes_of_4_gib.saturating_add(initial);
        }
    }

    /// The kind of engine that the image needs.
    pub(crate) fn engine_kind(&self) -> EngineKind {
        let fits = |reservation: Reservation| self.most_bytes <= reservation.bytes();
        let memory = if self.memories > 0 && !self.has_memory32 && fits(Reservation::Gib2) {
            Reservation::Gib2
        } else if fits(Reservation::Gib4) {
            Reservation::Gib4
        } else {
            Reservation::Gib16
        };
        EngineKind { memory, objects: self.has_objects, ..EngineKind::default() }
    }

    /// Bytes that count as used from the start to the end.
    ///
    /// Wasmtime asks for the growth of the heap of objects and exceptions, which is no memory of the image, as for that of a memory that
    /// may grow to 4 GiB. Where there can be such a heap, the memories that may be mistaken for it count as full.
    pub(crate) fn fixed_bytes(&self) -> u64 {
        if self.has_heap { self.memories_of_4_gib.saturating_mul(MEMORY32_BYTES) } else { 0 }
    }

    /// Whether an instance stays within its limits at the start.
    ///
    /// # Errors
    /// [`Error::Limit`].
    pub(crate) fn check(&self, bounds: Bounds) -> Result<(), Error> {
        let fixed = self.fixed_bytes();
        let not_fixed = self.initial_bytes.saturating_sub(if fixed > 0 { self.initial_bytes_of_4_gib } else { 0 });
        if fixed.saturating_add(not_fixed) > MEMORY_BYTES || self.initial_bytes > bounds.memory {
            return Err(Error::Limit(Limit::Memory));
        }
        if self.initial_elements > TABLE_ELEMENTS.min(bounds.table) { Err(Error::Limit(Limit::Table)) } else { Ok(()) }
    }

    /// Reserves the address space of the memories of one more instance.
    ///
    /// # Errors
    /// [`Error::Limit`] where the instances there are have all of it.
    pub(crate) fn reserve(&self) -> Result<AddressSpace, Error> {
        let memories = self.memories.saturating_mul(self.engine_kind().memory.bytes());
        let objects = if self.has_objects { OBJECTS_BYTES } else { 0 };
        AddressSpace::reserve(memories.saturating_add(objects)).ok_or(Error::Limit(Limit::Instances))
    }
}

fn is_object(ty: &SubType) -> bool {
    matches!(ty.composite_type.inner, CompositeInnerType::Struct(_) | CompositeInnerType::Array(_))
}

static RESERVED: AtomicU64 = AtomicU64::new(0);

/// Address space of one instance, as long as it lives.
#[derive(Debug)]
pub(crate) struct AddressSpace(u64);

impl AddressSpace {
    fn reserve(bytes: u64) -> Option<AddressSpace> {
        let more = |reserved: u64| reserved.checked_add(bytes).filter(|sum| *sum <= ADDRESS_SPACE_BYTES);
        RESERVED.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok()?;
        Some(AddressSpace(bytes))
    }
}

impl Drop for AddressSpace {
    fn drop(&mut self) {
        RESERVED.fetch_sub(self.0, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn declared(fields: &str) -> Declared {
        Declared::of(&wat::parse_str(format!("(module {fields})")).unwrap(), false).unwrap()
    }

    fn kind(fields: &str) -> EngineKind {
        declared(fields).engine_kind()
    }

    #[test]
    fn an_image_reserves_what_its_memories_may_grow_to() {
        let both = "(memory i64 1 1) (memory 1 1)";
        for (fields, memory) in [
            ("", Reservation::Gib4),
            ("(memory 1)", Reservation::Gib4),
            ("(memory 1 1)", Reservation::Gib4),
            (both, Reservation::Gib4),
            ("(memory i64 1 32768)", Reservation::Gib2),
            ("(memory i64 1 32769)", Reservation::Gib4),
            ("(memory i64 1 65536)", Reservation::Gib4),
            ("(memory i64 1 65537)", Reservation::Gib16),
            ("(memory i64 1)", Reservation::Gib16),
            ("(memory 1) (memory i64 0 262144)", Reservation::Gib16),
        ] {
            assert_eq!(kind(fields).memory, memory, "{fields}");
        }
    }

    #[test]
    fn what_an_image_starts_with_is_added_up() {
        assert_eq!(declared("(memory i64 131072) (memory i64 131072)").check(Bounds::default()), Ok(()));
        assert_eq!(
            declared("(memory i64 131072) (memory i64 131073)").check(Bounds::default()),
            Err(Error::Limit(Limit::Memory))
        );
        let many = "(memory i64 281474976710656)".repeat(3);
        assert_eq!(declared(&many).check(Bounds::default()), Err(Error::Limit(Limit::Memory)));
        assert_eq!(declared("(table 5000000 funcref) (table 5000000 externref)").check(Bounds::default()), Ok(()));
        assert_eq!(
            declared("(table 5000000 funcref) (table 5000001 externref)").check(Bounds::default()),
            Err(Error::Limit(Limit::Table))
        );
    }

    #[test]
    fn memories_that_may_be_mistaken_for_the_heap_of_exceptions_count_as_full() {
        let four = "(memory 1) (memory 1) (memory 1 65536) (memory i64 1 65536)";
        assert_eq!(declared(four).fixed_bytes(), 0);
        assert_eq!(declared(&format!("{four} (tag)")).fixed_bytes(), MEMORY_BYTES);
        assert_eq!(declared(&format!("{four} (tag)")).check(Bounds::default()), Ok(()));
        assert_eq!(
            declared(&format!("{four} (memory 1 1) (tag)")).check(Bounds::default()),
            Err(Error::Limit(Limit::Memory))
        );
        assert_eq!(declared("(memory 1) (memory i64 196608) (tag)").check(Bounds::default()), Ok(()));
        assert_eq!(
            declared("(memory 1) (memory i64 196609) (tag)").check(Bounds::default()),
            Err(Error::Limit(Limit::Memory))
        );
    }

    #[test]
    fn address_space_is_given_back_with_the_instance() {
        let image = declared("(memory i64 1)");
        let (first, second) = (image.reserve().unwrap(), image.reserve().unwrap());
        assert_eq!((first.0, second.0), (16 << 30, 16 << 30));
        drop((first, second));
        assert!(AddressSpace::reserve(ADDRESS_SPACE_BYTES + 1).is_none());
        assert!(AddressSpace::reserve(u64::MAX).is_none());
    }
}
