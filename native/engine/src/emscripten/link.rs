//! Which function of the host serves an import: by its name, and by its type, as an import that is called like one of
//! Emscripten's and is of another type is something else.

use super::abi::{Function, Kind, Plain, Width};
use super::{ENV, exceptions, library, memory, process, syscalls, time, wasi};
use crate::import::ImportInfo;
use crate::value::ValType;
use wasmtime::Val;

/// The functions that do not call the guest.
const PLAIN: [&[Function]; 5] =
    [time::FUNCTIONS, exceptions::FUNCTIONS, process::FUNCTIONS, syscalls::FUNCTIONS, wasi::FUNCTIONS];

/// What serves an import.
#[derive(Clone, Copy)]
pub(crate) enum Service {
    /// A function on the guest's memory and the host's state.
    Plain(Plain),
    /// One that calls the guest.
    Exceptions(exceptions::Operation),
    /// One that calls the guest's C library.
    Library(library::Operation),
    /// One that calls the guest, grows the memory or takes long.
    Memory(memory::Operation),
}

/// The result of a function, as the image has it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Returned {
    Nothing,
    I32,
    I64,
    F64,
    /// The lower half; the upper one goes another way.
    Halves,
}

/// A function of the host, as an image imports it.
pub(crate) struct Native {
    pub(crate) service: Service,
    params: Box<[Param]>,
    returned: Returned,
    pub(crate) kind: Kind,
}

#[derive(Clone, Copy)]
enum Param {
    Int,
    Pointer,
    Wide,
    /// A wide one as two.
    Halves,
    Double,
}

/// The functions that an image gets.
pub(crate) struct Natives {
    width: Width,
    can_catch: bool,
}

impl Natives {
    /// For an image whose pointers are so wide, and which can catch C++ exceptions or not.
    pub(crate) fn new(width: Width, can_catch: bool) -> Natives {
        Natives { width, can_catch }
    }

    /// The function that serves an import, if there is one of its name and type.
    pub(crate) fn serve(&self, import: &ImportInfo) -> Option<Native> {
        self.plain(import)
            .or_else(|| self.of_exceptions(import))
            .or_else(|| self.find(import, memory::OPERATIONS, |function| Service::Memory(function.call)))
            .or_else(|| self.find(import, library::OPERATIONS, |function| Service::Library(function.call)))
    }

    fn plain(&self, import: &ImportInfo) -> Option<Native> {
        PLAIN.iter().find_map(|table| self.find(import, table, |function| Service::Plain(self.function(function))))
    }

    fn of_exceptions(&self, import: &ImportInfo) -> Option<Native> {
        if &*import.module == ENV && import.name.starts_with(exceptions::FIND_MATCHING_CATCH) {
            let shape = "p".repeat(import.signature.params.len()) + ":p";
            let service = Service::Exceptions(exceptions::Operation::FindMatchingCatch);
            return self.native(import, &shape, Kind::Own, service);
        }
        self.find(import, exceptions::OPERATIONS, |function| Service::Exceptions(function.call))
    }

    /// The first function of a table that has the name and the type of an import.
    fn find<C>(
        &self,
        import: &ImportInfo,
        table: &[Function<C>],
        service: impl Fn(&Function<C>) -> Service,
    ) -> Option<Native> {
        let named = |function: &&Function<C>| function.module == &*import.module && function.name == &*import.name;
        table
            .iter()
            .filter(named)
            .find_map(|function| self.native(import, function.shape, function.kind, service(function)))
    }

    fn function(&self, function: &Function) -> Plain {
        if function.name == "__cxa_throw" && !self.can_catch { exceptions::throw_for_good } else { function.call }
    }

    fn native(&self, import: &ImportInfo, shape: &str, kind: Kind, service: Service) -> Option<Native> {
        let (params, result) = shape.split_once(':')?;
        let mut types = import.signature.params.iter();
        let params = params.chars().map(|letter| self.param(letter, &mut types)).collect::<Option<_>>()?;
        if types.next().is_some() {
            return None;
        }
        let returned = match (result, &*import.signature.results) {
            ("", []) => Returned::Nothing,
            ("i", [ValType::I32]) => Returned::I32,
            ("j", [ValType::I64]) => Returned::I64,
            ("j", [ValType::I32]) if self.width == Width::Narrow => Returned::Halves,
            ("p", [ValType::I32]) if self.width == Width::Narrow => Returned::I32,
            ("p", [ValType::I64]) if self.width == Width::Wide => Returned::I64,
            ("d", [ValType::F64]) => Returned::F64,
            _ => return None,
        };
        Some(Native { service, params, returned, kind })
    }

    fn param<'a>(&self, letter: char, types: &mut impl Iterator<Item = &'a ValType>) -> Option<Param> {
        Some(match (letter, types.next()?) {
            ('i', ValType::I32) => Param::Int,
            ('j', ValType::I64) => Param::Wide,
            ('j', ValType::I32) if self.width == Width::Narrow && types.next() == Some(&ValType::I32) => Param::Halves,
            ('p', ValType::I32) if self.width == Width::Narrow => Param::Pointer,
            ('p', ValType::I64) if self.width == Width::Wide => Param::Pointer,
            ('d', ValType::F64) => Param::Double,
            _ => return None,
        })
    }
}

impl Native {
    /// What a guest has passed, as host functions see it.
    pub(crate) fn args(&self, given: &[Val]) -> Vec<u64> {
        let mut given = given.iter().map(bits);
        // As many as the type that was looked at has.
        let mut next = || given.next().unwrap_or_default();
        let arg = |param: &Param| match param {
            Param::Int => i64::from(next() as i32) as u64,
            Param::Halves => next() | next() << 32,
            Param::Pointer | Param::Wide | Param::Double => next(),
        };
        self.params.iter().map(arg).collect()
    }

    /// Whether the upper half of the result goes another way.
    pub(crate) fn is_halved(&self) -> bool {
        self.returned == Returned::Halves
    }

    /// What the guest is given for a result.
    pub(crate) fn result(&self, bits: u64) -> Option<Val> {
        match self.returned {
            Returned::Nothing => None,
            Returned::I32 | Returned::Halves => Some(Val::I32(bits as i32)),
            Returned::I64 => Some(Val::I64(bits as i64)),
            Returned::F64 => Some(Val::F64(bits)),
        }
    }
}

fn bits(val: &Val) -> u64 {
    match val {
        Val::I32(n) => u64::from(*n as u32),
        Val::I64(n) => *n as u64,
        Val::F64(bits) => *bits,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::Signature;
    use std::collections::HashMap;

    fn served(width: Width, module: &str, name: &str, params: &[ValType], results: &[ValType]) -> Option<Native> {
        let signature = Signature { params: params.into(), results: results.into() };
        let info = ImportInfo {
            module: module.into(),
            name: name.into(),
            signature_text: signature.to_string(),
            signature,
            is_native: false,
        };
        Natives::new(width, true).serve(&info)
    }

    #[test]
    fn an_offset_may_be_wide_or_in_halves_or_as_wide_as_a_pointer() {
        use ValType::{I32, I64};

        let pages = 70_000_i64;
        let cases: [(Width, &[ValType], &[Val]); 4] = [
            (Width::Wide, &[I64], &[Val::I64(pages)]),
            (Width::Narrow, &[I64], &[Val::I64(pages)]),
            (Width::Narrow, &[I32, I32], &[Val::I32(pages as i32), Val::I32(0)]),
            (Width::Narrow, &[I32], &[Val::I32(pages as i32)]),
        ];
        for (width, offset, given) in cases {
            let (pointer, zero) = if width == Width::Wide { (I64, Val::I64(0)) } else { (I32, Val::I32(0)) };
            let params = [&[pointer, I32, I32, I32], offset, &[pointer, pointer]].concat();
            let native = served(width, "env", "_mmap_js", &params, &[I32]).unwrap();
            let zeros = [zero, Val::I32(0), Val::I32(0), Val::I32(0)];
            let args = native.args(&[&zeros[..], given, &[zero, zero]].concat());
            assert_eq!(args, [0, 0, 0, 0, 70_000, 0, 0]);
            for name in ["_munmap_js", "_msync_js"] {
                let params = [&[pointer, pointer, I32, I32, I32], offset].concat();
                assert!(served(width, "env", name, &params, &[I32]).is_some(), "{name}");
            }
        }
    }

    /// The first of two that are the same would hide the other.
    #[test]
    fn no_function_has_two_rows() {
        let mut rows = HashMap::new();
        let plain = PLAIN.iter().copied().flatten().map(|row| (row.module, row.name, row.shape));
        let exceptions = exceptions::OPERATIONS.iter().map(|row| (row.module, row.name, row.shape));
        let memory = memory::OPERATIONS.iter().map(|row| (row.module, row.name, row.shape));
        let library = library::OPERATIONS.iter().map(|row| (row.module, row.name, row.shape));
        for row in plain.chain(exceptions).chain(memory).chain(library) {
            assert!(rows.insert(row, ()).is_none(), "{row:?}");
        }
    }

    #[test]
    fn what_works_on_a_descriptor_takes_it_first() {
        for function in [syscalls::FUNCTIONS, wasi::FUNCTIONS].iter().copied().flatten() {
            let is_of_descriptor = function.kind == Kind::OfDescriptor;
            assert!(!is_of_descriptor || function.shape.starts_with('i'), "{}", function.name);
            let is_of_wasi = function.module != ENV;
            assert!(!is_of_wasi || is_of_descriptor == function.name.starts_with("fd_"), "{}", function.name);
        }
    }
}
