//! `invoke_*`, `longjmp` and thrown C++ exceptions as instructions of the module itself.
//!
//! Emscripten leaves unwinding to its host: code that may throw calls `invoke_*`, which calls an entry of the table and
//! catches what is thrown there; what throws are imports, too. A host function that calls back into the guest costs a
//! stack of its own for each call, and a trap passed on through it a backtrace for each level. The final exception
//! handling proposal says the same in instructions, so these imports become functions of the module:
//!
//! ```text
//! (func $invoke_SIG (param $index ptr) (param $args…) (result R)
//!   (local $stack ptr)
//!   (local.set $stack (call $emscripten_stack_get_current))
//!   block $caught
//!     try_table (result R) (catch $longjmp $caught) (catch $throw $caught)
//!       (call_indirect (type SIG) $args… $index)
//!     end
//!     return
//!   end
//!   (call $_emscripten_stack_restore (local.get $stack))
//!   (call $setThrew 1 0)
//!   zero)
//!
//! (func $_emscripten_throw_longjmp throw $longjmp)
//!
//! (func $__cxa_throw (param …) (call $the_import (local.get …)) throw $throw)
//! ```
//!
//! Nothing else is caught: traps, the end of fuel, failed imports and exceptions with tags of the module's own pass
//! through, as they pass through Emscripten's JavaScript. What a throwing import has to note it still notes, as a
//! function of the host that is called first.
//!
//! The functions come last, so that no index changes meaning; whatever named one of the imports names its function
//! instead. The imports stay, unused or called by their functions alone.

use super::abi::Width;
use super::exceptions::FIND_MATCHING_CATCH;
use crate::error::Error;
use crate::lower::holds_code_positions;
use crate::task::Data;
use crate::value::Value;
use std::borrow::Cow;
use std::collections::HashMap;
use std::convert::Infallible;
use wasm_encoder::reencode::{self, Reencode, RoundtripReencoder};
use wasm_encoder::{
    BlockType, Catch, CodeSection, Function, FunctionSection, InstructionSink, Module, SectionId, TagKind, TagSection,
    TagType, TypeSection, ValType,
};
use wasmparser::{CompositeInnerType, ExternalKind, FuncType, FunctionBody, Operator, Parser, Payload, TypeRef};

/// The module whose functions Emscripten's runtime gives.
pub(crate) const ENV: &str = "env";

/// What is thrown, by the names that LLVM gives these tags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Thrown {
    /// By `longjmp`.
    Longjmp,
    /// By `throw` of C++.
    Exception,
}

impl Thrown {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Thrown::Longjmp => "__c_longjmp",
            Thrown::Exception => "__cpp_exception",
        }
    }

    /// What was thrown, as a pointer of the image's width: tags carry nothing, as the host has it.
    pub(crate) fn value(self, data: &Data) -> Option<Value> {
        if self == Thrown::Longjmp {
            return None;
        }
        let exception = data.host.as_ref().map_or(0, |host| host.exceptions.last());
        Some(match data.image().width() {
            Width::Narrow => Value::I32(exception as i32),
            Width::Wide => Value::I64(exception as i64),
        })
    }
}

/// A module whose unwinding is its own.
pub(crate) struct Unwound<'a> {
    pub(crate) module: Cow<'a, [u8]>,
    /// The tags that were added, by index.
    pub(crate) tags: Vec<(u32, Thrown)>,
    /// The global that is the pointer of the guest's own stack, where an export tells it.
    pub(crate) stack_pointer: Option<u32>,
    /// Whether catching of C++ exceptions is compiled in.
    pub(crate) can_catch: bool,
}

/// Rewrites the imports that unwind. The module must be valid, and without legacy exception handling. One without such
/// imports comes out byte for byte; so does an `invoke_*` for which the module lacks what it takes.
///
/// # Errors
/// [`Error::InvalidModule`] where the module is not well formed.
pub(crate) fn unwind(wasm: &[u8]) -> Result<Unwound<'_>, Error> {
    let survey = Survey::of(wasm).map_err(|error| Error::InvalidModule(error.to_string()))?;
    let (stack_pointer, can_catch) = (survey.stack_pointer(), survey.can_catch());
    let mut additions = Additions::new(&survey);
    // A module without code of its own has nothing to unwind.
    for import in survey.imports.iter().filter(|_| !survey.bodies.is_empty()) {
        additions.replace(&survey, import);
    }
    if additions.functions.is_empty() {
        return Ok(Unwound { module: Cow::Borrowed(wasm), tags: Vec::new(), stack_pointer, can_catch });
    }
    let tags = additions.tags.clone();
    let mut module = Module::new();
    additions
        .parse_core_module(&mut module, Parser::new(0), wasm)
        .map_err(|error| Error::InvalidModule(error.to_string()))?;
    Ok(Unwound { module: Cow::Owned(module.finish()), tags, stack_pointer, can_catch })
}

/// An imported function of [`ENV`].
struct Import<'a> {
    index: u32,
    name: &'a str,
    ty: u32,
}

/// What a module has, as far as unwinding is concerned.
#[derive(Default)]
struct Survey<'a> {
    /// By type index; nothing for a type that is no function's.
    types: Vec<Option<FuncType>>,
    imports: Vec<Import<'a>>,
    /// By function index, the type index.
    functions: Vec<u32>,
    exports: HashMap<&'a str, u32>,
    /// By table index, whether its indices are 64 bits wide.
    tables: Vec<bool>,
    /// The table that `__indirect_function_table` names.
    table: Option<u32>,
    tags: u32,
    bodies: Vec<FunctionBody<'a>>,
    /// By memory index, whether its addresses are 64 bits wide.
    memories: Vec<bool>,
    /// The memory that callers read and write, where it is exported.
    memory: Option<u32>,
    /// By global index, what it holds if it can be changed.
    globals: Vec<Option<wasmparser::ValType>>,
}

impl<'a> Survey<'a> {
    fn of(wasm: &'a [u8]) -> wasmparser::Result<Survey<'a>> {
        let mut survey = Survey::default();
        for payload in Parser::new(0).parse_all(wasm) {
            match payload? {
                Payload::TypeSection(types) => {
                    for group in types {
                        survey.types.extend(group?.into_types().map(|ty| match ty.composite_type.inner {
                            CompositeInnerType::Func(function) if !ty.composite_type.shared => Some(function),
                            _ => None,
                        }));
                    }
                }
                Payload::ImportSection(imports) => {
                    for import in imports.into_imports() {
                        let import = import?;
                        match import.ty {
                            TypeRef::Func(ty) | TypeRef::FuncExact(ty) => {
                                if import.module == ENV {
                                    let index = survey.functions.len() as u32;
                                    survey.imports.push(Import { index, name: import.name, ty });
                                }
                                survey.functions.push(ty);
                            }
                            TypeRef::Table(ty) => survey.tables.push(ty.table64),
                            TypeRef::Tag(_) => survey.tags += 1,
                            TypeRef::Memory(ty) => survey.memories.push(ty.memory64),
                            TypeRef::Global(_) => survey.globals.push(None),
                        }
                    }
                }
                Payload::FunctionSection(functions) => {
                    for ty in functions {
                        survey.functions.push(ty?);
                    }
                }
                Payload::TableSection(tables) => {
                    for table in tables {
                        survey.tables.push(table?.ty.table64);
                    }
                }
                Payload::MemorySection(memories) => {
                    for memory in memories {
                        survey.memories.push(memory?.memory64);
                    }
                }
                Payload::GlobalSection(globals) => {
                    for global in globals {
                        let ty = global?.ty;
                        survey.globals.push(ty.mutable.then_some(ty.content_type));
                    }
                }
                Payload::TagSection(tags) => survey.tags += tags.count(),
                Payload::CodeSectionEntry(body) => survey.bodies.push(body),
                Payload::ExportSection(exports) => {
                    for export in exports {
                        let export = export?;
                        match export.kind {
                            ExternalKind::Func | ExternalKind::FuncExact => {
                                survey.exports.insert(export.name, export.index);
                            }
                            ExternalKind::Memory if export.name == "memory" || survey.memory.is_none() => {
                                survey.memory = Some(export.index);
                            }
                            ExternalKind::Table if export.name == "__indirect_function_table" => {
                                survey.table = Some(export.index);
                            }
                            _ => {}
                        }
                    }
                }
                _ => {}
            }
        }
        Ok(survey)
    }

    /// The global that the function gives which tells the stack's end, if it does nothing else.
    fn stack_pointer(&self) -> Option<u32> {
        /// How deep the functions may lie that it calls for that.
        const CALLS: usize = 4;

        let pointer = self.pointer();
        let get = |name| self.export(name, &[], &[pointer]);
        let mut function = get("emscripten_stack_get_current").or_else(|| get("stackSave"))?;
        for _ in 0..CALLS {
            let own = (function as usize).checked_sub(self.functions.len().checked_sub(self.bodies.len())?)?;
            let mut found = None;
            for operator in self.bodies.get(own)?.get_operators_reader().ok()? {
                match operator.ok()? {
                    operator @ (Operator::GlobalGet { .. } | Operator::Call { .. }) if found.is_none() => {
                        found = Some(operator);
                    }
                    Operator::LocalGet { .. } | Operator::LocalSet { .. } | Operator::Return | Operator::End => {}
                    _ => return None,
                }
            }
            match found? {
                Operator::GlobalGet { global_index: global } => {
                    return (self.globals.get(global as usize)? == &Some(pointer)).then_some(global);
                }
                Operator::Call { function_index } => function = function_index,
                _ => return None,
            }
        }
        None
    }

    fn ty(&self, index: u32) -> Option<&FuncType> {
        self.types.get(index as usize)?.as_ref()
    }

    /// An exported function of this type.
    fn export(&self, name: &str, params: &[wasmparser::ValType], results: &[wasmparser::ValType]) -> Option<u32> {
        let index = *self.exports.get(name)?;
        let ty = self.ty(*self.functions.get(index as usize)?)?;
        (ty.params() == params && ty.results() == results).then_some(index)
    }

    fn pointer(&self) -> wasmparser::ValType {
        match self.memories.get(self.memory.unwrap_or_default() as usize) {
            Some(true) => wasmparser::ValType::I64,
            _ => wasmparser::ValType::I32,
        }
    }

    /// The table that functions are called through, and whether its indices are 64 bits wide.
    fn table(&self) -> Option<(u32, bool)> {
        let table = match (self.table, self.tables.as_slice()) {
            (Some(table), _) => table,
            (None, [_]) => 0,
            _ => return None,
        };
        Some((table, *self.tables.get(table as usize)?))
    }

    /// C++ code that can catch asks its host which handler fits.
    fn can_catch(&self) -> bool {
        let pointer = self.pointer();
        let fits = |ty: &FuncType| ty.results() == [pointer] && ty.params().iter().all(|param| *param == pointer);
        let mut imports = self.imports.iter().filter(|import| import.name.starts_with(FIND_MATCHING_CATCH));
        imports.any(|import| self.ty(import.ty).is_some_and(fits))
    }
}

/// What an `invoke_*` catches with.
struct Catcher {
    pointer: ValType,
    stack_get: u32,
    stack_restore: u32,
    set_threw: u32,
}

impl Catcher {
    fn of(survey: &Survey<'_>) -> Option<Catcher> {
        let (pointer, int) = (survey.pointer(), wasmparser::ValType::I32);
        let get = |name| survey.export(name, &[], &[pointer]);
        let restore = |name| survey.export(name, &[pointer], &[]);
        Some(Catcher {
            pointer: if pointer == wasmparser::ValType::I64 { ValType::I64 } else { ValType::I32 },
            stack_get: get("emscripten_stack_get_current").or_else(|| get("stackSave"))?,
            stack_restore: restore("_emscripten_stack_restore").or_else(|| restore("stackRestore"))?,
            set_threw: survey.export("setThrew", &[pointer, int], &[])?,
        })
    }
}

/// The functions to add, and what they need; as a reencoder it puts them in.
struct Additions {
    first_function: u32,
    first_type: u32,
    types: Vec<FuncType>,
    /// Type and code of each.
    functions: Vec<(u32, Function)>,
    tags: Vec<(u32, Thrown)>,
    tag_type: u32,
    /// For imports that are replaced, the function in their place.
    moved: HashMap<u32, u32>,
    catcher: Option<Catcher>,
    can_catch: bool,
    /// Where types are, the module's own and the added ones.
    known: HashMap<FuncType, u32>,
    /// Whether the section of tags has been written.
    has_tags: bool,
}

impl Additions {
    fn new(survey: &Survey<'_>) -> Additions {
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

    fn replace(&mut self, survey: &Survey<'_>, import: &Import<'_>) {
        let Some(ty) = survey.ty(import.ty) else { return };
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
            (name, _) => name.strip_prefix("invoke_").and_then(|signature| self.invoke(survey, signature, ty)),
        };
        if let Some(function) = function {
            self.moved.insert(import.index, self.first_function + self.functions.len() as u32);
            self.functions.push((import.ty, function));
        }
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

    /// The function in the place of an `invoke_*` of this signature and type.
    fn invoke(&mut self, survey: &Survey<'_>, signature: &str, ty: &FuncType) -> Option<Function> {
        let catcher = self.catcher.as_ref()?;
        let (pointer, stack_get) = (catcher.pointer, catcher.stack_get);
        let (stack_restore, set_threw) = (catcher.stack_restore, catcher.set_threw);
        let (index, args) = ty.params().split_first().filter(|(index, _)| **index == survey.pointer())?;
        let result = match ty.results() {
            [] => None,
            [result] if !matches!(result, wasmparser::ValType::Ref(_)) => {
                Some(RoundtripReencoder.val_type(*result).ok()?)
            }
            _ => return None,
        };
        let callee = FuncType::new(args.iter().copied(), ty.results().iter().copied());
        // Where 64-bit integers do not cross the module's border, a function that takes or gives one has a twin for that.
        let target = if type_of(signature, survey.pointer()).is_none_or(|natural| natural == callee) {
            let (table, is_wide) = survey.table()?;
            Target::Entry { ty: self.ty(callee), table, is_wide }
        } else {
            Target::Export(survey.export(&format!("dynCall_{signature}"), ty.params(), ty.results())?)
        };
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
        match target {
            Target::Export(export) => code.call(export),
            Target::Entry { ty, table, is_wide } => {
                entry(&mut code, *index == wasmparser::ValType::I64, is_wide);
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
        Some(function)
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

    fn add_tags(&self, section: &mut TagSection) {
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

impl Reencode for Additions {
    type Error = Infallible;

    fn function_index(&mut self, function: u32) -> Result<u32, reencode::Error<Infallible>> {
        Ok(*self.moved.get(&function).unwrap_or(&function))
    }

    fn parse_type_section(
        &mut self,
        types: &mut TypeSection,
        section: wasmparser::TypeSectionReader<'_>,
    ) -> Result<(), reencode::Error<Infallible>> {
        reencode::utils::parse_type_section(self, types, section)?;
        for ty in &self.types {
            types.ty().func_type(&RoundtripReencoder.func_type(ty.clone())?);
        }
        Ok(())
    }

    fn parse_function_section(
        &mut self,
        functions: &mut FunctionSection,
        section: wasmparser::FunctionSectionReader<'_>,
    ) -> Result<(), reencode::Error<Infallible>> {
        reencode::utils::parse_function_section(self, functions, section)?;
        self.functions.iter().for_each(|(ty, _)| {
            functions.function(*ty);
        });
        Ok(())
    }

    fn parse_tag_section(
        &mut self,
        tags: &mut TagSection,
        section: wasmparser::TagSectionReader<'_>,
    ) -> Result<(), reencode::Error<Infallible>> {
        reencode::utils::parse_tag_section(self, tags, section)?;
        self.add_tags(tags);
        self.has_tags = true;
        Ok(())
    }

    fn parse_code_section(
        &mut self,
        code: &mut CodeSection,
        section: wasmparser::CodeSectionReader<'_>,
    ) -> Result<(), reencode::Error<Infallible>> {
        reencode::utils::parse_code_section(self, code, section)?;
        self.functions.iter().for_each(|(_, function)| {
            code.function(function);
        });
        Ok(())
    }

    /// Where a module has no tags, their section comes before the first of those that follow it.
    fn intersperse_section_hook(
        &mut self,
        module: &mut Module,
        _after: Option<SectionId>,
        before: Option<SectionId>,
    ) -> Result<(), reencode::Error<Infallible>> {
        let follows = !matches!(
            before,
            Some(
                SectionId::Type
                    | SectionId::Import
                    | SectionId::Function
                    | SectionId::Table
                    | SectionId::Memory
                    | SectionId::Tag
            )
        );
        if follows && !std::mem::replace(&mut self.has_tags, true) {
            let mut tags = TagSection::new();
            self.add_tags(&mut tags);
            module.section(&tags);
        }
        Ok(())
    }

    fn parse_custom_section(
        &mut self,
        module: &mut Module,
        section: wasmparser::CustomSectionReader<'_>,
    ) -> Result<(), reencode::Error<Infallible>> {
        if holds_code_positions(section.name()) {
            return Ok(());
        }
        module.section(&wasm_encoder::CustomSection { name: section.name().into(), data: section.data().into() });
        Ok(())
    }
}
