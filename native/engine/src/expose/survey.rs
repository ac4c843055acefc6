//! What a module has, as far as its state is concerned.

use super::{RESERVED, malformed};
use crate::error::Error;
use std::ops::Range;
use wasmparser::{
    CompositeInnerType, ConstExpr, DataKind, DataSectionReader, ElementItems, ElementSectionReader,
    ExportSectionReader, ExternalKind, FuncType, GlobalType, ImportSectionReader, Operator, Parser, Payload, RefType,
    TableInit, TableType, TypeRef, TypeSectionReader, ValType,
};

/// A module, taken apart.
#[derive(Default)]
pub(super) struct Survey<'a> {
    pub(super) sections: Vec<Section<'a>>,
    /// How many types there are.
    pub(super) types: u32,
    /// The type of a function that takes an i32 and gives nothing, if there is one.
    pub(super) drop_type: Option<u32>,
    /// By function index: whether a reference can lead to it.
    pub(super) functions: Vec<bool>,
    pub(super) memories: Vec<Memory<'a>>,
    pub(super) tables: Vec<Table<'a>>,
    pub(super) globals: Vec<Global<'a>>,
    pub(super) has_start: bool,
    /// Contents of the code section, empty where there is none.
    pub(super) code: &'a [u8],
}

pub(super) struct Section<'a> {
    pub(super) id: u8,
    pub(super) contents: &'a [u8],
}

#[derive(Default)]
pub(super) struct Memory<'a> {
    /// The first name under which it is exported.
    pub(super) name: Option<&'a str>,
    /// What active segments write, in their order; `None` where one has a place that is computed.
    pub(super) written: Option<Vec<Range<u64>>>,
}

pub(super) struct Table<'a> {
    pub(super) name: Option<&'a str>,
    pub(super) of_functions: bool,
}

pub(super) struct Global<'a> {
    pub(super) name: Option<&'a str>,
    pub(super) is_own: bool,
    pub(super) is_mutable: bool,
    pub(super) of_functions: bool,
}

impl<'a> Survey<'a> {
    pub(super) fn of(wasm: &'a [u8]) -> Result<Survey<'a>, Error> {
        let mut survey = Survey::default();
        for payload in Parser::new(0).parse_all(wasm) {
            let payload = payload.map_err(malformed)?;
            if let Some((id, range)) = payload.as_section() {
                let contents = wasm.get(range).ok_or_else(|| Error::InvalidModule("a section is cut off".into()))?;
                survey.sections.push(Section { id, contents });
                if matches!(payload, Payload::CodeSectionStart { .. }) {
                    survey.code = contents;
                }
            }
            survey.section(payload).map_err(|stop| match stop {
                Stop::Malformed(error) => malformed(error),
                Stop::Reserved(name) => Error::Unsupported(format!("the export {name:?}: its name is reserved")),
            })?;
        }
        Ok(survey)
    }

    fn section(&mut self, payload: Payload<'a>) -> Result<(), Stop> {
        match payload {
            Payload::TypeSection(types) => self.types(types)?,
            Payload::ImportSection(imports) => self.imports(imports)?,
            Payload::FunctionSection(functions) => {
                for function in functions {
                    function?;
                    self.functions.push(false);
                }
            }
            Payload::TableSection(tables) => {
                for table in tables {
                    let table = table?;
                    self.table(&table.ty);
                    if let TableInit::Expr(value) = table.init {
                        self.references(&value)?;
                    }
                }
            }
            Payload::MemorySection(memories) => {
                for memory in memories {
                    memory?;
                    self.memories.push(Memory { name: None, written: Some(Vec::new()) });
                }
            }
            Payload::GlobalSection(globals) => {
                for global in globals {
                    let global = global?;
                    self.global(&global.ty, true);
                    self.references(&global.init_expr)?;
                }
            }
            Payload::ExportSection(exports) => self.exports(exports)?,
            Payload::StartSection { .. } => self.has_start = true,
            Payload::ElementSection(elements) => self.elements(elements)?,
            Payload::DataSection(segments) => self.data(segments)?,
            _ => {}
        }
        Ok(())
    }

    fn types(&mut self, types: TypeSectionReader<'_>) -> Result<(), Stop> {
        for group in types {
            for ty in group?.into_types() {
                if let CompositeInnerType::Func(function) = &ty.composite_type.inner
                    && !ty.composite_type.shared
                    && takes_an_i32(function)
                {
                    self.drop_type.get_or_insert(self.types);
                }
                self.types = self.types.saturating_add(1);
            }
        }
        Ok(())
    }

    fn imports(&mut self, imports: ImportSectionReader<'_>) -> Result<(), Stop> {
        for import in imports.into_imports() {
            match import?.ty {
                TypeRef::Func(_) | TypeRef::FuncExact(_) => self.functions.push(false),
                TypeRef::Table(ty) => self.table(&ty),
                TypeRef::Memory(_) => self.memories.push(Memory::default()),
                TypeRef::Global(ty) => self.global(&ty, false),
                TypeRef::Tag(_) => {}
            }
        }
        Ok(())
    }

    fn table(&mut self, ty: &TableType) {
        self.tables.push(Table { name: None, of_functions: leads_to_functions(ty.element_type) });
    }

    fn global(&mut self, ty: &GlobalType, is_own: bool) {
        let of_functions = matches!(ty.content_type, ValType::Ref(ty) if leads_to_functions(ty));
        self.globals.push(Global { name: None, is_own, is_mutable: ty.mutable, of_functions });
    }

    fn exports(&mut self, exports: ExportSectionReader<'a>) -> Result<(), Stop> {
        for export in exports {
            let export = export?;
            if export.name.starts_with(RESERVED) {
                return Err(Stop::Reserved(export.name.into()));
            }
            let index = export.index as usize;
            let name = match export.kind {
                ExternalKind::Memory => self.memories.get_mut(index).map(|memory| &mut memory.name),
                ExternalKind::Table => self.tables.get_mut(index).map(|table| &mut table.name),
                ExternalKind::Global => self.globals.get_mut(index).map(|global| &mut global.name),
                ExternalKind::Func | ExternalKind::FuncExact => {
                    self.reference(export.index);
                    None
                }
                ExternalKind::Tag => None,
            };
            if let Some(name) = name {
                name.get_or_insert(export.name);
            }
        }
        Ok(())
    }

    fn elements(&mut self, elements: ElementSectionReader<'_>) -> Result<(), Stop> {
        for element in elements {
            match element?.items {
                ElementItems::Functions(functions) => {
                    for function in functions {
                        self.reference(function?);
                    }
                }
                ElementItems::Expressions(_, values) => {
                    for value in values {
                        self.references(&value?)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Notes the functions that the value of an expression can lead to.
    fn references(&mut self, value: &ConstExpr<'_>) -> Result<(), Stop> {
        for operator in value.get_operators_reader() {
            if let Operator::RefFunc { function_index } = operator? {
                self.reference(function_index);
            }
        }
        Ok(())
    }

    fn reference(&mut self, function: u32) {
        if let Some(referenced) = self.functions.get_mut(function as usize) {
            *referenced = true;
        }
    }

    fn data(&mut self, segments: DataSectionReader<'_>) -> Result<(), Stop> {
        for segment in segments {
            let segment = segment?;
            let DataKind::Active { memory_index, offset_expr } = segment.kind else { continue };
            let Some(memory) = self.memories.get_mut(memory_index as usize) else { continue };
            match (constant(&offset_expr)?, &mut memory.written) {
                // One that does not fit ends the instantiation.
                (Some(start), Some(written)) if !segment.data.is_empty() => {
                    written.push(start..start.saturating_add(segment.data.len() as u64));
                }
                (None, written) => *written = None,
                _ => {}
            }
        }
        Ok(())
    }
}

/// What ends the survey.
enum Stop {
    Malformed(wasmparser::Error),
    Reserved(String),
}

impl From<wasmparser::Error> for Stop {
    fn from(error: wasmparser::Error) -> Stop {
        Stop::Malformed(error)
    }
}

fn takes_an_i32(function: &FuncType) -> bool {
    function.params() == [ValType::I32] && function.results().is_empty()
}

/// Whether a reference of this type can be one to a function.
fn leads_to_functions(ty: RefType) -> bool {
    ty.is_func_ref()
}

/// The value of an expression that is just a number.
fn constant(value: &ConstExpr<'_>) -> Result<Option<u64>, wasmparser::Error> {
    let mut operators = value.get_operators_reader();
    let constant = match operators.read()? {
        Operator::I32Const { value } => u64::from(value.cast_unsigned()),
        Operator::I64Const { value } => value.cast_unsigned(),
        _ => return Ok(None),
    };
    Ok(matches!(operators.read()?, Operator::End).then_some(constant))
}
