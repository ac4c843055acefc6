//! Which function of the host serves an import: by its name, and by its type, as an import that is called like one of
//! Emscripten's and is of another type is something else.

use super::abi::{Args, Fault, Function, Host, Width};
use super::unwind::ENV;
use super::{exceptions, memory, process, syscalls, time, wasi};
use crate::import::ImportInfo;
use crate::value::ValType;
use wasmtime::Val;

/// What serves an import.
#[derive(Clone, Copy)]
pub(crate) enum Service {
    /// A function on the guest's memory and the host's state.
    Plain(fn(&mut Host<'_>, Args<'_>) -> Result<u64, Fault>),
    /// One that calls the guest.
    Exceptions(exceptions::Operation),
    /// One that may grow the memory.
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
    /// Somebody else may answer in its place.
    pub(crate) is_open: bool,
    /// It may move as much as a file holds.
    pub(crate) is_of_files: bool,
    /// Its first argument is a descriptor.
    pub(crate) is_of_descriptor: bool,
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
        let plain = [
            time::FUNCTIONS,
            exceptions::FUNCTIONS,
            memory::FUNCTIONS,
            memory::OF_FILES,
            process::FUNCTIONS,
            syscalls::FUNCTIONS,
            wasi::FUNCTIONS,
        ];
        let (module, name) = (&*import.module, &*import.name);
        let found =
            plain.iter().copied().flatten().filter(|function| function.module == module && function.name == name);
        for function in found {
            if let Some(native) = self.native(import, function.shape, Service::Plain(self.function(function))) {
                return Some(native);
            }
        }
        if module != ENV {
            return None;
        }
        if name.starts_with(exceptions::FIND_MATCHING_CATCH) {
            let shape = "p".repeat(import.signature.params.len()) + ":p";
            return self.native(import, &shape, Service::Exceptions(exceptions::Operation::FindMatchingCatch));
        }
        let named = |(known, _, _): &&(&str, &str, _)| *known == name;
        if let Some((_, shape, operation)) = exceptions::OPERATIONS.iter().find(named) {
            return self.native(import, shape, Service::Exceptions(*operation));
        }
        let named = |(known, _, _): &&(&str, &str, _)| *known == name;
        let (_, shape, operation) = memory::OPERATIONS.iter().find(named)?;
        self.native(import, shape, Service::Memory(*operation))
    }

    fn function(&self, function: &Function) -> fn(&mut Host<'_>, Args<'_>) -> Result<u64, Fault> {
        if function.name == "__cxa_throw" && !self.can_catch { exceptions::throw_for_good } else { function.call }
    }

    fn native(&self, import: &ImportInfo, shape: &str, service: Service) -> Option<Native> {
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
        // What throws, allocates or keeps the result of another call means nothing to anybody else.
        let name = &*import.name;
        let own = [exceptions::FUNCTIONS, memory::FUNCTIONS, memory::OF_FILES];
        let is_own = own.iter().copied().flatten().any(|function| function.name == name)
            || matches!(name, "getTempRet0" | "setTempRet0");
        let is_open = matches!(service, Service::Plain(_)) && !is_own;
        // A standard stream may be a file.
        let prints =
            ["emscripten_out", "emscripten_err", "emscripten_console"].iter().any(|print| name.starts_with(print));
        let of_files = [syscalls::FUNCTIONS, wasi::FUNCTIONS, memory::OF_FILES];
        let is_of_files = of_files.iter().copied().flatten().any(|function| function.name == name);
        let is_of_files = is_of_files || prints || matches!(service, Service::Memory(memory::Operation::Map));
        let is_of_descriptor = syscalls::is_of_descriptor(name) || wasi::is_of_descriptor(name);
        Some(Native { service, params, returned, is_open, is_of_files, is_of_descriptor })
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
