//! Which function of the host serves an import: by its name, and by its type, as an import that is called like one of
//! Emscripten's and is of another type is something else.

use crate::abi::Abi;
use crate::function::{Call, ENV, Flags, Function};
use crate::memory::Width;
use crate::runtime::Runtime;
use crate::wasi;
use crate::{assemblyscript, emscripten};
use smallvec::SmallVec;
use wasmtime::{Val, ValType};

/// Arguments that take no allocation: `path_open` has nine.
const SHORT_ARGS: usize = 9;

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
pub struct Binding {
    /// Both names of the import.
    pub(crate) name: Box<str>,
    pub(crate) call: Call,
    pub(crate) flags: Flags,
    params: Box<[Param]>,
    returned: Returned,
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
pub struct Functions {
    runtime: Runtime,
    width: Width,
    can_catch: bool,
    abi: Abi,
}

impl Functions {
    /// For an image of a runtime, whose pointers are so wide, and which can catch C++ exceptions or not.
    pub fn new(runtime: Runtime, width: Width, can_catch: bool, abi: Abi) -> Functions {
        Functions { runtime, width, can_catch, abi }
    }

    /// The function that serves an import, if there is one of its names and its type.
    pub fn bind(&self, module: &str, name: &str, params: &[ValType], results: &[ValType]) -> Option<Binding> {
        let binding = |shape: &str, flags: Flags, call: Call| {
            let (params, returned) = self.fit(shape, params, results)?;
            let call = if self.can_catch { call } else { emscripten::without_catching(name, call) };
            Some(Binding { name: format!("{module}.{name}").into(), call, flags, params, returned })
        };
        if self.runtime == Runtime::Emscripten
            && let Some((shape, flags, call)) = emscripten::variadic(module, name, params.len())
        {
            return binding(&shape, flags, call);
        }
        let mut rows = self.rows(module).filter(|row| row.name == name);
        rows.find_map(|row| binding(row.shape, row.flags, row.call))
    }

    /// The functions of a module, those that come first hiding others of the same name and type. An image of WASI's may
    /// import system calls from Emscripten's library, which reach the same files.
    fn rows(&self, module: &str) -> impl Iterator<Item = &'static Function> {
        let env: &[&[Function]] = match (self.runtime, module) {
            (Runtime::Emscripten, ENV) => &emscripten::FUNCTIONS,
            (Runtime::Wasi, ENV) => &[emscripten::SYSCALLS],
            (Runtime::AssemblyScript, ENV) => &[assemblyscript::FUNCTIONS],
            _ => &[],
        };
        let first = (self.runtime == Runtime::Emscripten).then(|| emscripten::first(self.abi));
        let all = first.into_iter().flatten().chain(env.iter().copied().flatten());
        all.filter(move |row| row.module == module).chain(wasi::functions(module))
    }

    /// How arguments and the result are passed, where a shape fits a type.
    fn fit(&self, shape: &str, params: &[ValType], results: &[ValType]) -> Option<(Box<[Param]>, Returned)> {
        let (letters, result) = shape.split_once(':')?;
        let mut types = params.iter();
        let params = letters.chars().map(|letter| self.param(letter, &mut types)).collect::<Option<_>>()?;
        if types.next().is_some() {
            return None;
        }
        let returned = match (result, results) {
            ("", []) => Returned::Nothing,
            ("i", [ValType::I32]) => Returned::I32,
            ("j", [ValType::I64]) => Returned::I64,
            // Of earlier versions no import returns 64 bits.
            ("j", [ValType::I32]) if self.width == Width::Narrow && !self.abi.is_narrow() => Returned::Halves,
            ("p", [ValType::I32]) if self.width == Width::Narrow => Returned::I32,
            ("p", [ValType::I64]) if self.width == Width::Wide => Returned::I64,
            ("d", [ValType::F64]) => Returned::F64,
            _ => return None,
        };
        Some((params, returned))
    }

    fn param<'a>(&self, letter: char, types: &mut impl Iterator<Item = &'a ValType>) -> Option<Param> {
        Some(match (letter, types.next()?) {
            ('i', ValType::I32) => Param::Int,
            ('j', ValType::I64) => Param::Wide,
            ('j', ValType::I32) if self.width == Width::Narrow && matches!(types.next(), Some(ValType::I32)) => {
                Param::Halves
            }
            ('p', ValType::I32) if self.width == Width::Narrow => Param::Pointer,
            ('p', ValType::I64) if self.width == Width::Wide => Param::Pointer,
            ('d', ValType::F64) => Param::Double,
            _ => return None,
        })
    }
}

impl Binding {
    /// Whether somebody outside may serve it in the place of the host.
    pub fn is_interceptable(&self) -> bool {
        self.flags.interceptable
    }

    /// Whether it gives random bytes.
    pub fn is_random(&self) -> bool {
        self.name.ends_with(".random_get")
    }

    /// What a guest has passed, as functions of the host see it.
    pub(crate) fn args(&self, given: &[Val]) -> SmallVec<[u64; SHORT_ARGS]> {
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

    /// A result as the guest has it.
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
    use std::collections::HashSet;

    fn all() -> impl Iterator<Item = &'static Function> {
        let functions = Functions::new(Runtime::Emscripten, Width::Narrow, true, Abi::Current);
        let all: Vec<_> = [ENV, wasi::PREVIEW_1].iter().flat_map(|module| functions.rows(module)).collect();
        all.into_iter()
    }

    /// The first of two that are the same would hide the other.
    #[test]
    fn no_function_has_two_rows() {
        let mut rows = HashSet::new();
        for row in all() {
            assert!(rows.insert((row.module, row.name, row.shape)), "{} {}", row.name, row.shape);
        }
    }

    #[test]
    fn what_works_on_a_descriptor_has_it_first() {
        for function in all() {
            let on_descriptor = function.flags.on_descriptor;
            assert!(!on_descriptor || function.shape.starts_with('i'), "{}", function.name);
            let is_of_wasi = function.module != ENV;
            assert!(!is_of_wasi || on_descriptor == function.name.starts_with("fd_"), "{}", function.name);
        }
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
            let functions = Functions::new(Runtime::Emscripten, width, true, Abi::Current);
            let (pointer, zero) = if width == Width::Wide { (I64, Val::I64(0)) } else { (I32, Val::I32(0)) };
            let pointers = [pointer.clone(), pointer.clone()];
            let params = [&[pointer, I32, I32, I32], offset, &pointers[..]].concat();
            let binding = functions.bind("env", "_mmap_js", &params, &[I32]).unwrap();
            let zeros = [zero, Val::I32(0), Val::I32(0), Val::I32(0)];
            let args = binding.args(&[&zeros[..], given, &[zero, zero]].concat());
            assert_eq!(args[..], [0, 0, 0, 0, 70_000, 0, 0]);
            for name in ["_munmap_js", "_msync_js"] {
                let params = [&pointers[..], &[I32, I32, I32], offset].concat();
                assert!(functions.bind("env", name, &params, &[I32]).is_some(), "{name}");
                assert!(functions.bind("other", name, &params, &[I32]).is_none(), "{name}");
            }
        }
    }
}
