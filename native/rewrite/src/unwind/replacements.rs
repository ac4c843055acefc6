//! The functions that take the place of imports.

use super::names::Names;
use super::{ENV, Thrown};
use crate::Error;
use crate::edits::Edits;
use crate::module::Module;
use std::collections::HashMap;
use wasm_encoder::reencode::{Reencode, RoundtripReencoder};
use wasm_encoder::{BlockType, Catch, Function, InstructionSink, TagKind, TagType, ValType};
use wasmparser::FuncType;

/// The exports that an `invoke_*` requires.
#[derive(Clone, Copy)]
struct Runtime {
    stack_get: u32,
    stack_restore: u32,
    set_threw: u32,
}

impl Runtime {
    /// These exports, or the name of one that is missing.
    fn of(module: &Module<'_>, names: &Names<'_>) -> Result<Runtime, &'static str> {
        const STACK_GET: &str = "emscripten_stack_get_current";
        const STACK_RESTORE: &str = "_emscripten_stack_restore";
        const SET_THREW: &str = "setThrew";

        let (pointer, int) = (names.pointer(), wasmparser::ValType::I32);
        let get = |name| names.function(module, name, &[], &[pointer]);
        let restore = |name| names.function(module, name, &[pointer], &[]);
        Ok(Runtime {
            stack_get: get(STACK_GET).or_else(|| get("stackSave")).ok_or(STACK_GET)?,
            stack_restore: restore(STACK_RESTORE).or_else(|| restore("stackRestore")).ok_or(STACK_RESTORE)?,
            set_threw: names.function(module, SET_THREW, &[pointer, int], &[]).ok_or(SET_THREW)?,
        })
    }
}

/// The function that an `invoke_*` calls.
enum Callee {
    /// An entry of a table, by the type of the function there.
    Indirect { ty: u32, table: u32, is_64_bit: bool },
    /// A function whose first parameter is the entry's number.
    Export(u32),
}

/// The functions that take the place of imports, as they are made.
pub(super) struct Replacements<'m, 'a> {
    module: &'m Module<'a>,
    names: &'m Names<'a>,
    edits: Edits,
    /// Types to add.
    added: Vec<FuncType>,
    tags: Vec<(u32, Thrown)>,
    runtime: Result<Runtime, &'static str>,
    can_catch: bool,
    /// Where types are, the module's own and the added ones.
    types: HashMap<FuncType, u32>,
}

impl<'m, 'a> Replacements<'m, 'a> {
    pub(super) fn new(module: &'m Module<'a>, names: &'m Names<'a>) -> Replacements<'m, 'a> {
        let mut types = HashMap::new();
        for (index, ty) in module.unshared_func_types() {
            types.entry(ty.clone()).or_insert(index);
        }
        Replacements {
            module,
            names,
            edits: Edits::default(),
            added: Vec::new(),
            tags: Vec::new(),
            runtime: Runtime::of(module, names),
            can_catch: names.can_catch(module),
            types,
        }
    }

    /// The functions as edits, and the tags with which they throw and catch.
    pub(super) fn finish(mut self) -> Result<(Edits, Vec<(u32, Thrown)>), Error> {
        for ty in self.added {
            self.edits.types.push(RoundtripReencoder.func_type(ty).map_err(|error| Error::from_reencode(error, 0))?);
        }
        Ok((self.edits, self.tags))
    }

    /// Puts a function of the module in the place of an imported one that unwinds.
    ///
    /// # Errors
    /// [`Error::MissingExport`] where the module lacks an export that this requires.
    pub(super) fn replace(&mut self, import: u32) -> Result<(), Error> {
        let module = self.module;
        let index = import as usize;
        let (Some(imported), Some(index_of_ty)) = (module.imports.get(index), module.functions.get(index)) else {
            return Ok(());
        };
        let Some(ty) = module.func_type(*index_of_ty) else { return Ok(()) };
        if imported.module != ENV {
            return Ok(());
        }
        let pointer = self.names.pointer();
        let has_pointers = ty.results().is_empty() && ty.params().iter().all(|param| *param == pointer);
        let function = match (imported.name, ty.params().len()) {
            ("_emscripten_throw_longjmp", 0) if has_pointers => Some(self.thrower(Thrown::Longjmp, None)),
            (name @ "__cxa_throw", 3)
            | (name @ "__cxa_rethrow", 0)
            | (name @ ("__resumeException" | "__cxa_rethrow_primary_exception"), 1)
                if has_pointers && self.can_catch =>
            {
                Some(self.thrower(Thrown::Exception, Some((import, name, ty))))
            }
            (name, _) => match name.strip_prefix("invoke_") {
                Some(signature) => self
                    .invoke(signature, ty)
                    .map_err(|export| Error::MissingExport { import: name.to_owned(), export })?,
                None => None,
            },
        };
        if let Some(function) = function {
            self.edits.moved.insert(import, (module.functions.len() + self.edits.functions.len()) as u32);
            self.edits.functions.push((*index_of_ty, function));
        }
        Ok(())
    }

    /// A function that throws, after it has called an import of this index, name and type.
    fn thrower(&mut self, thrown: Thrown, first: Option<(u32, &str, &FuncType)>) -> Function {
        let tag = self.tag(thrown);
        let mut function = Function::new([]);
        let mut code = function.instructions();
        if let Some((import, name, ty)) = first {
            if name == "__cxa_rethrow_primary_exception" {
                // Without an exception it does nothing.
                code.local_get(0);
                match self.names.pointer() {
                    wasmparser::ValType::I64 => code.i64_eqz(),
                    _ => code.i32_eqz(),
                };
                code.if_(BlockType::Empty).return_().end();
            }
            (0..ty.params().len() as u32).for_each(|param| _ = code.local_get(param));
            code.call(import);
        }
        code.throw(tag).end();
        function
    }

    /// The function in the place of an `invoke_*` of this signature and type; none for one that is not Emscripten's.
    ///
    /// # Errors
    /// The name of an export that it requires and the module lacks.
    fn invoke(&mut self, signature: &str, ty: &FuncType) -> Result<Option<Function>, String> {
        let first = ty.params().split_first().filter(|(index, _)| **index == self.names.pointer());
        let Some((index, args)) = first else { return Ok(None) };
        let result = match ty.results() {
            [] => None,
            [result] => match RoundtripReencoder.val_type(*result) {
                Ok(result) if !matches!(result, ValType::Ref(_)) => Some(result),
                _ => return Ok(None),
            },
            _ => return Ok(None),
        };
        let called = FuncType::new(args.iter().copied(), ty.results().iter().copied());
        let natural = type_of(signature, self.names.pointer());
        // A function that is only called like one of Emscripten's requires nothing.
        let is_known = natural.as_ref().is_some_and(|natural| called == *natural || called == legalized(natural));
        match self.callee(signature, ty, called, natural) {
            Ok((runtime, callee)) => Ok(Some(self.catching(runtime, *index, ty, result, &callee))),
            Err(lacking) if is_known => Err(lacking),
            Err(_) => Ok(None),
        }
    }

    /// The exports that an `invoke_*` requires, and the function that it calls.
    fn callee(
        &mut self,
        signature: &str,
        ty: &FuncType,
        called: FuncType,
        natural: Option<FuncType>,
    ) -> Result<(Runtime, Callee), String> {
        let runtime = self.runtime?;
        // Where 64-bit integers cannot be imported, a function that has one in its type has a counterpart without.
        let callee = if natural.is_none_or(|natural| natural == called) {
            let (table, is_64_bit) = self.names.table(self.module).ok_or("__indirect_function_table")?;
            Callee::Indirect { ty: self.ty(called), table, is_64_bit }
        } else {
            let name = format!("dynCall_{signature}");
            Callee::Export(self.names.function(self.module, &name, ty.params(), ty.results()).ok_or(name)?)
        };
        Ok((runtime, callee))
    }

    /// The code of an `invoke_*` of this type.
    fn catching(
        &mut self,
        runtime: Runtime,
        index: wasmparser::ValType,
        ty: &FuncType,
        result: Option<ValType>,
        callee: &Callee,
    ) -> Function {
        let Runtime { stack_get, stack_restore, set_threw } = runtime;
        let pointer = if self.names.is_64_bit { ValType::I64 } else { ValType::I32 };
        let tags = [Thrown::Longjmp, Thrown::Exception].map(|thrown| self.tag(thrown));
        let stack = ty.params().len() as u32;

        let mut function = Function::new([(1, pointer)]);
        let mut code = function.instructions();
        code.call(stack_get).local_set(stack);
        code.block(BlockType::Empty);
        code.try_table(
            result.map_or(BlockType::Empty, BlockType::Result),
            tags.map(|tag| Catch::One { tag, label: 0 }),
        );
        if let Callee::Export(_) = callee {
            code.local_get(0);
        }
        (1..stack).for_each(|arg| {
            code.local_get(arg);
        });
        match *callee {
            Callee::Export(export) => code.call(export),
            Callee::Indirect { ty, table, is_64_bit } => {
                table_index(&mut code, index == wasmparser::ValType::I64, is_64_bit);
                code.call_indirect(table, ty)
            }
        };
        code.end().return_().end();
        code.local_get(stack).call(stack_restore);
        match pointer {
            ValType::I64 => code.i64_const(1),
            _ => code.i32_const(1),
        };
        code.i32_const(0).call(set_threw);
        match result {
            None => &mut code,
            Some(ValType::I32) => code.i32_const(0),
            Some(ValType::I64) => code.i64_const(0),
            Some(ValType::F32) => code.f32_const(0.0.into()),
            Some(ValType::F64) => code.f64_const(0.0.into()),
            Some(_) => code.v128_const(0),
        };
        code.end();
        function
    }

    /// The index of a type, which is added where the module lacks it.
    fn ty(&mut self, ty: FuncType) -> u32 {
        let next = (self.module.types.len() + self.added.len()) as u32;
        *self.types.entry(ty).or_insert_with_key(|ty| {
            self.added.push(ty.clone());
            next
        })
    }

    /// The index of a tag, which is added at its first use.
    fn tag(&mut self, thrown: Thrown) -> u32 {
        if let Some((tag, _)) = self.tags.iter().find(|(_, known)| *known == thrown) {
            return *tag;
        }
        let func_type_idx = self.ty(FuncType::new([], []));
        let tag = (self.module.tags.len() + self.tags.len()) as u32;
        self.edits.tags.push(TagType { kind: TagKind::Exception, func_type_idx });
        self.tags.push((tag, thrown));
        tag
    }
}

/// Puts the number of the table entry, which is parameter 0, on the stack. Traps where a 32-bit table cannot have it.
fn table_index(code: &mut InstructionSink<'_>, is_64_bit: bool, in_64_bit_table: bool) {
    code.local_get(0);
    match (is_64_bit, in_64_bit_table) {
        (true, false) => {
            code.i64_const(32).i64_shr_u().i64_eqz().if_(BlockType::Empty).else_().unreachable().end();
            code.local_get(0).i32_wrap_i64()
        }
        (false, true) => code.i64_extend_i32_u(),
        _ => code,
    };
}

/// The type that a signature in Emscripten's letters stands for, the result first; none where it has other letters.
fn type_of(signature: &str, pointer: wasmparser::ValType) -> Option<FuncType> {
    let of = |letter: char| match letter {
        'i' => Some(wasmparser::ValType::I32),
        'j' => Some(wasmparser::ValType::I64),
        'f' => Some(wasmparser::ValType::F32),
        'd' => Some(wasmparser::ValType::F64),
        'V' => Some(wasmparser::ValType::V128),
        'p' => Some(pointer),
        _ => None,
    };
    let mut letters = signature.chars();
    let results = match letters.next()? {
        'v' => Vec::new(),
        letter => vec![of(letter)?],
    };
    Some(FuncType::new(letters.map(of).collect::<Option<Vec<_>>>()?, results))
}

/// The same type where 64-bit integers cannot be imported or exported: each parameter is passed as two halves, and of a
/// result only the lower half is returned.
fn legalized(ty: &FuncType) -> FuncType {
    use wasmparser::ValType::{I32, I64};

    let parts = |ty: &wasmparser::ValType| if *ty == I64 { vec![I32, I32] } else { vec![*ty] };
    let lower = |ty: &wasmparser::ValType| if *ty == I64 { I32 } else { *ty };
    FuncType::new(ty.params().iter().flat_map(parts), ty.results().iter().map(lower))
}
