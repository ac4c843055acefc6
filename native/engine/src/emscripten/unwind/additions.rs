//! The functions, types and tags that make unwinding the module's own.

use super::survey::{Import, Survey};
use super::{ENV, Thrown};
use crate::error::Error;
use std::borrow::Cow;
use std::collections::HashMap;
use wasm_encoder::reencode::{Reencode, RoundtripReencoder};
use wasm_encoder::{BlockType, Catch, Function, InstructionSink, TagKind, TagSection, TagType, ValType};
use wasmparser::FuncType;

/// What an `invoke_*` catches with.
#[derive(Clone, Copy)]
struct Catcher {
    pointer: ValType,
    stack_get: u32,
    stack_restore: u32,
    set_threw: u32,
}

impl Catcher {
    /// The exports for that, or the name of one that is missing.
    fn of(survey: &Survey<'_>) -> Result<Catcher, &'static str> {
        const STACK_GET: &str = "emscripten_stack_get_current";
        const STACK_RESTORE: &str = "_emscripten_stack_restore";
        const SET_THREW: &str = "setThrew";

        let (pointer, int) = (survey.pointer(), wasmparser::ValType::I32);
        let get = |name| survey.export(name, &[], &[pointer]);
        let restore = |name| survey.export(name, &[pointer], &[]);
        Ok(Catcher {
            pointer: if pointer == wasmparser::ValType::I64 { ValType::I64 } else { ValType::I32 },
            stack_get: get(STACK_GET).or_else(|| get("stackSave")).ok_or(STACK_GET)?,
            stack_restore: restore(STACK_RESTORE).or_else(|| restore("stackRestore")).ok_or(STACK_RESTORE)?,
            set_threw: survey.export(SET_THREW, &[pointer, int], &[]).ok_or(SET_THREW)?,
        })
    }
}

/// The functions to add, and what they need; as a reencoder it puts them in.
pub(super) struct Additions {
    first_function: u32,
    first_type: u32,
    pub(super) types: Vec<FuncType>,
    /// Type and code of each.
    pub(super) functions: Vec<(u32, Function)>,
    pub(super) tags: Vec<(u32, Thrown)>,
    tag_type: u32,
    /// For imports that are replaced, the function in their place.
    pub(super) moved: HashMap<u32, u32>,
    catcher: Result<Catcher, &'static str>,
    pub(super) can_catch: bool,
    /// Where types are, the module's own and the added ones.
    known: HashMap<FuncType, u32>,
    /// Whether the section of tags has been written.
    pub(super) has_tags: bool,
}

impl Additions {
    pub(super) fn new(survey: &Survey<'_>) -> Additions {
        let mut known = HashMap::new();
        for (index, ty) in (0..).zip(&survey.types) {
            if let Some(ty) = ty {
                known.entry(ty.clone()).or_insert(index);
            }
        }
        Additions {
            first_function: survey.functions.len() as u32,
            first_type: survey.types.len() as u32,
            types: Vec::new(),
            functions: Vec::new(),
            tags: Vec::new(),
            tag_type: 0,
            moved: HashMap::new(),
            catcher: Catcher::of(survey),
            can_catch: survey.can_catch(),
            known,
            has_tags: false,
        }
    }

    /// Puts a function of the module in the place of an import, if it is one that unwinds.
    ///
    /// # Errors
    /// [`Error::Unsupported`] where the module lacks what that takes.
    pub(super) fn replace(&mut self, survey: &Survey<'_>, import: &Import<'_>) -> Result<(), Error> {
        let Some(ty) = survey.ty(import.ty) else { return Ok(()) };
        let pointers = ty.results().is_empty() && ty.params().iter().all(|param| *param == survey.pointer());
        let function = match (import.name, ty.params().len()) {
            ("_emscripten_throw_longjmp", 0) if pointers => Some(self.thrower(survey, Thrown::Longjmp, None)),
            ("__cxa_throw", 3)
            | ("__cxa_rethrow", 0)
            | ("__resumeException" | "__cxa_rethrow_primary_exception", 1)
                if pointers && self.can_catch =>
            {
                Some(self.thrower(survey, Thrown::Exception, Some((import, ty.params().len()))))
            }
            (name, _) => match name.strip_prefix("invoke_") {
                Some(signature) => self.invoke(survey, signature, ty).map_err(|lacking| {
                    let text = format!("the import {ENV}.{name} takes {lacking}, which the image does not export");
                    Error::Unsupported(text)
                })?,
                None => None,
            },
        };
        if let Some(function) = function {
            self.moved.insert(import.index, self.first_function + self.functions.len() as u32);
            self.functions.push((import.ty, function));
        }
        Ok(())
    }

    /// A function that throws, after it has told the host what.
    fn thrower(&mut self, survey: &Survey<'_>, thrown: Thrown, told: Option<(&Import<'_>, usize)>) -> Function {
        let tag = self.tag(survey, thrown);
        let mut function = Function::new([]);
        let mut code = function.instructions();
        if let Some((import, params)) = told {
            if import.name == "__cxa_rethrow_primary_exception" {
                // Without an exception it does nothing.
                code.local_get(0);
                match survey.pointer() {
                    wasmparser::ValType::I64 => code.i64_eqz(),
                    _ => code.i32_eqz(),
                };
                code.if_(BlockType::Empty).return_().end();
            }
            (0..params as u32).for_each(|param| {
                code.local_get(param);
            });
            code.call(import.index);
        }
        code.throw(tag).end();
        function
    }

    /// The function in the place of an `invoke_*` of this signature and type; none for one that is not Emscripten's.
    ///
    /// # Errors
    /// What the module lacks for it.
    fn invoke(
        &mut self,
        survey: &Survey<'_>,
        signature: &str,
        ty: &FuncType,
    ) -> Result<Option<Function>, Cow<'static, str>> {
        let first = ty.params().split_first().filter(|(index, _)| **index == survey.pointer());
        let Some((index, args)) = first else { return Ok(None) };
        let result = match ty.results() {
            [] => None,
            [result] => match RoundtripReencoder.val_type(*result) {
                Ok(result) if !matches!(result, ValType::Ref(_)) => Some(result),
                _ => return Ok(None),
            },
            _ => return Ok(None),
        };
        let callee = FuncType::new(args.iter().copied(), ty.results().iter().copied());
        let natural = type_of(signature, survey.pointer());
        // One that is only called like Emscripten's may lack what it likes.
        let is_known = natural.as_ref().is_some_and(|natural| callee == *natural || callee == in_halves(natural));
        match self.call(survey, signature, ty, callee, natural) {
            Ok((catcher, target)) => Ok(Some(self.catching(survey, catcher, *index, ty, result, &target))),
            Err(lacking) if is_known => Err(lacking),
            Err(_) => Ok(None),
        }
    }

    /// What an `invoke_*` catches with, and what it calls.
    fn call(
        &mut self,
        survey: &Survey<'_>,
        signature: &str,
        ty: &FuncType,
        callee: FuncType,
        natural: Option<FuncType>,
    ) -> Result<(Catcher, Target), Cow<'static, str>> {
        let catcher = self.catcher?;
        // Where 64-bit integers do not cross the module's border, a function that takes or gives one has a twin for that.
        let target = if natural.is_none_or(|natural| natural == callee) {
            let (table, is_wide) = survey.table().ok_or("__indirect_function_table")?;
            Target::Entry { ty: self.ty(callee), table, is_wide }
        } else {
            let name = format!("dynCall_{signature}");
            Target::Export(survey.export(&name, ty.params(), ty.results()).ok_or(name)?)
        };
        Ok((catcher, target))
    }

    /// The code of an `invoke_*` of this type.
    fn catching(
        &mut self,
        survey: &Survey<'_>,
        catcher: Catcher,
        index: wasmparser::ValType,
        ty: &FuncType,
        result: Option<ValType>,
        target: &Target,
    ) -> Function {
        let Catcher { pointer, stack_get, stack_restore, set_threw } = catcher;
        let tags = [Thrown::Longjmp, Thrown::Exception].map(|thrown| self.tag(survey, thrown));
        let stack = ty.params().len() as u32;

        let mut function = Function::new([(1, pointer)]);
        let mut code = function.instructions();
        code.call(stack_get).local_set(stack);
        code.block(BlockType::Empty);
        code.try_table(
            result.map_or(BlockType::Empty, BlockType::Result),
            tags.map(|tag| Catch::One { tag, label: 0 }),
        );
        if let Target::Export(_) = target {
            code.local_get(0);
        }
        (1..stack).for_each(|arg| {
            code.local_get(arg);
        });
        match *target {
            Target::Export(export) => code.call(export),
            Target::Entry { ty, table, is_wide } => {
                entry(&mut code, index == wasmparser::ValType::I64, is_wide);
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

    /// The index of a type, which is added where there is none like it.
    fn ty(&mut self, ty: FuncType) -> u32 {
        let next = self.first_type + self.types.len() as u32;
        *self.known.entry(ty).or_insert_with_key(|ty| {
            self.types.push(ty.clone());
            next
        })
    }

    fn tag(&mut self, survey: &Survey<'_>, thrown: Thrown) -> u32 {
        if let Some((tag, _)) = self.tags.iter().find(|(_, known)| *known == thrown) {
            return *tag;
        }
        self.tag_type = self.ty(FuncType::new([], []));
        let tag = survey.tags + self.tags.len() as u32;
        self.tags.push((tag, thrown));
        tag
    }

    pub(super) fn add_tags(&self, section: &mut TagSection) {
        for _ in &self.tags {
            section.tag(TagType { kind: TagKind::Exception, func_type_idx: self.tag_type });
        }
    }
}

enum Target {
    /// An entry of a table, by the type of the function there.
    Entry { ty: u32, table: u32, is_wide: bool },
    /// A function that takes the entry's number first.
    Export(u32),
}

/// Puts the number of the entry, which is parameter 0, on the stack. One that a narrow table cannot have traps.
fn entry(code: &mut InstructionSink<'_>, is_wide: bool, in_wide_table: bool) {
    code.local_get(0);
    match (is_wide, in_wide_table) {
        (true, false) => {
            code.i64_const(32).i64_shr_u().i64_eqz().if_(BlockType::Empty).else_().unreachable().end();
            code.local_get(0).i32_wrap_i64()
        }
        (false, true) => code.i64_extend_i32_u(),
        _ => code,
    };
}

/// The type that a signature in Emscripten's letters says, the result first; none where it has others.
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

/// The same type where 64-bit integers do not cross the module's border: parameters become two halves, of a result the
/// lower one is left.
fn in_halves(ty: &FuncType) -> FuncType {
    use wasmparser::ValType::{I32, I64};

    let parts = |ty: &wasmparser::ValType| if *ty == I64 { vec![I32, I32] } else { vec![*ty] };
    let lower = |ty: &wasmparser::ValType| if *ty == I64 { I32 } else { *ty };
    FuncType::new(ty.params().iter().flat_map(parts), ty.results().iter().map(lower))
}
