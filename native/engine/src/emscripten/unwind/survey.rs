//! What a module has, as far as unwinding is concerned.

use super::{ENV, Width};
use crate::emscripten::exceptions::FIND_MATCHING_CATCH;
use std::collections::HashMap;
use wasmparser::{
    CompositeInnerType, ExternalKind, FuncType, FunctionBody, Operator, Parser, Payload, TypeRef, ValType,
};

/// An imported function of [`ENV`].
pub(super) struct Import<'a> {
    pub(super) index: u32,
    pub(super) name: &'a str,
    pub(super) ty: u32,
}

/// What a module has, as far as unwinding is concerned.
#[derive(Default)]
pub(super) struct Survey<'a> {
    /// By type index; nothing for a type that is no function's.
    pub(super) types: Vec<Option<FuncType>>,
    pub(super) imports: Vec<Import<'a>>,
    /// By function index, the type index.
    pub(super) functions: Vec<u32>,
    exports: HashMap<&'a str, u32>,
    /// By table index, whether its indices are 64 bits wide.
    tables: Vec<bool>,
    /// The table that `__indirect_function_table` names.
    table: Option<u32>,
    pub(super) tags: u32,
    pub(super) bodies: Vec<FunctionBody<'a>>,
    /// By memory index, whether its addresses are 64 bits wide.
    memories: Vec<bool>,
    /// The memory called `memory`, or else the first one, of those that are exported.
    memory: Option<u32>,
    /// By global index, what it holds if it can be changed.
    globals: Vec<Option<ValType>>,
}

impl<'a> Survey<'a> {
    pub(super) fn of(wasm: &'a [u8]) -> wasmparser::Result<Survey<'a>> {
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
    pub(super) fn stack_pointer(&self) -> Option<u32> {
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

    pub(super) fn ty(&self, index: u32) -> Option<&FuncType> {
        self.types.get(index as usize)?.as_ref()
    }

    /// An exported function of this type.
    pub(super) fn export(&self, name: &str, params: &[ValType], results: &[ValType]) -> Option<u32> {
        let index = *self.exports.get(name)?;
        let ty = self.ty(*self.functions.get(index as usize)?)?;
        (ty.params() == params && ty.results() == results).then_some(index)
    }

    /// The memory that callers read and write: the first of a module that exports none.
    pub(super) fn memory(&self) -> u32 {
        self.memory.unwrap_or_default()
    }

    /// Pointers are as wide as the addresses of that memory.
    pub(super) fn width(&self) -> Width {
        match self.memories.get(self.memory() as usize) {
            Some(true) => Width::Wide,
            _ => Width::Narrow,
        }
    }

    pub(super) fn pointer(&self) -> ValType {
        match self.width() {
            Width::Wide => ValType::I64,
            Width::Narrow => ValType::I32,
        }
    }

    /// The table that functions are called through, and whether its indices are 64 bits wide.
    pub(super) fn table(&self) -> Option<(u32, bool)> {
        let table = match (self.table, self.tables.as_slice()) {
            (Some(table), _) => table,
            (None, [_]) => 0,
            _ => return None,
        };
        Some((table, *self.tables.get(table as usize)?))
    }

    /// C++ code that can catch asks its host which handler fits.
    pub(super) fn can_catch(&self) -> bool {
        let pointer = self.pointer();
        let fits = |ty: &FuncType| ty.results() == [pointer] && ty.params().iter().all(|param| *param == pointer);
        let mut imports = self.imports.iter().filter(|import| import.name.starts_with(FIND_MATCHING_CATCH));
        imports.any(|import| self.ty(import.ty).is_some_and(fits))
    }
}
