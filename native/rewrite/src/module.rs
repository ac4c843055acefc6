//! A module, taken apart.

use crate::Error;
use serde_derive::{Deserialize, Serialize};
use wasmparser::{
    CompositeInnerType, ConstExpr, Data, Element, Encoding, Export, FuncType, FunctionBody, GlobalType, MemoryType,
    Parser, Payload, SubType, TableInit, TableType, TypeRef,
};

/// A data or element segment, by its index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Segment {
    /// A data segment.
    Data(u32),
    /// An element segment.
    Element(u32),
}

/// An imported function.
pub(crate) struct ImportedFunction<'a> {
    pub(crate) module: &'a str,
    pub(crate) name: &'a str,
}

/// A module with the parts that the passes look into. Lists have what is imported first, as indices do.
#[derive(Default)]
pub(crate) struct Module<'a> {
    pub(crate) wasm: &'a [u8],
    pub(crate) types: Vec<SubType>,
    /// By function index.
    pub(crate) imports: Vec<ImportedFunction<'a>>,
    /// How many imports there are, of functions and of others.
    pub(crate) imported_items: usize,
    /// By function index, the type index.
    pub(crate) functions: Vec<u32>,
    pub(crate) tables: Vec<TableType>,
    pub(crate) memories: Vec<MemoryType>,
    /// By tag index, the type index.
    pub(crate) tags: Vec<u32>,
    pub(crate) globals: Vec<GlobalType>,
    /// How many of the globals are imported.
    pub(crate) imported_globals: usize,
    /// The first values of the globals that are not imported.
    pub(crate) global_values: Vec<ConstExpr<'a>>,
    /// The first values of the entries of tables, where a table says one.
    pub(crate) table_values: Vec<ConstExpr<'a>>,
    pub(crate) exports: Vec<Export<'a>>,
    pub(crate) has_start: bool,
    pub(crate) elements: Vec<Element<'a>>,
    pub(crate) data: Vec<Data<'a>>,
    /// The code of the functions that are not imported.
    pub(crate) bodies: Vec<FunctionBody<'a>>,
}

impl<'a> Module<'a> {
    pub(crate) fn parse(wasm: &'a [u8]) -> Result<Module<'a>, Error> {
        let mut module = Module { wasm, ..Module::default() };
        for payload in Parser::new(0).parse_all(wasm) {
            match payload? {
                Payload::Version { encoding: Encoding::Component, range, .. } => {
                    return Err(Error::malformed("a component is not a core module", range.start));
                }
                Payload::TypeSection(types) => {
                    for group in types {
                        module.types.extend(group?.into_types());
                    }
                }
                Payload::ImportSection(imports) => {
                    for import in imports.into_imports() {
                        let import = import?;
                        module.imported_items += 1;
                        match import.ty {
                            TypeRef::Func(ty) | TypeRef::FuncExact(ty) => {
                                module.imports.push(ImportedFunction { module: import.module, name: import.name });
                                module.functions.push(ty);
                            }
                            TypeRef::Table(ty) => module.tables.push(ty),
                            TypeRef::Memory(ty) => module.memories.push(ty),
                            TypeRef::Global(ty) => module.globals.push(ty),
                            TypeRef::Tag(ty) => module.tags.push(ty.func_type_idx),
                        }
                    }
                    module.imported_globals = module.globals.len();
                }
                Payload::FunctionSection(functions) => collect(&mut module.functions, functions)?,
                Payload::TableSection(tables) => {
                    for table in tables {
                        let table = table?;
                        module.tables.push(table.ty);
                        if let TableInit::Expr(value) = table.init {
                            module.table_values.push(value);
                        }
                    }
                }
                Payload::MemorySection(memories) => collect(&mut module.memories, memories)?,
                Payload::TagSection(tags) => {
                    for tag in tags {
                        module.tags.push(tag?.func_type_idx);
                    }
                }
                Payload::GlobalSection(globals) => {
                    for global in globals {
                        let global = global?;
                        module.globals.push(global.ty);
                        module.global_values.push(global.init_expr);
                    }
                }
                Payload::ExportSection(exports) => collect(&mut module.exports, exports)?,
                Payload::StartSection { .. } => module.has_start = true,
                Payload::ElementSection(elements) => collect(&mut module.elements, elements)?,
                Payload::DataSection(segments) => collect(&mut module.data, segments)?,
                Payload::CodeSectionEntry(body) => module.bodies.push(body),
                _ => {}
            }
        }
        Ok(module)
    }

    /// The function type at a type index.
    pub(crate) fn func_type(&self, ty: u32) -> Option<&FuncType> {
        match &self.types.get(ty as usize)?.composite_type.inner {
            CompositeInnerType::Func(function) => Some(function),
            _ => None,
        }
    }

    /// The type of the function whose body is at a position.
    pub(crate) fn type_of_body(&self, position: usize) -> Option<&FuncType> {
        self.func_type(*self.functions.get(self.imports.len().checked_add(position)?)?)
    }

    /// The function types that an instruction or a function can name, with their indices.
    pub(crate) fn unshared_func_types(&self) -> impl Iterator<Item = (u32, &FuncType)> {
        (0..).zip(&self.types).filter_map(|(index, ty)| match &ty.composite_type.inner {
            CompositeInnerType::Func(function) if !ty.composite_type.shared => Some((index, function)),
            _ => None,
        })
    }
}

fn collect<T>(items: &mut Vec<T>, section: impl IntoIterator<Item = wasmparser::Result<T>>) -> Result<(), Error> {
    for item in section {
        items.push(item?);
    }
    Ok(())
}
