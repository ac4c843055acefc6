//! A module, put together again with changes.

use crate::Error;
use crate::module::Module;
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;
use wasm_encoder::reencode::{self, Reencode};
use wasm_encoder::{
    CodeSection, ConstExpr, ElementSection, Elements, ExportKind, ExportSection, FuncType, Function, FunctionSection,
    GlobalSection, GlobalType, SectionId, TableSection, TableType, TagSection, TagType, TypeSection,
};
use wasmparser::{Parser, Payload, Validator, WasmFeatures};

/// The largest module that is written, in bytes: well within what the format can express.
const MAX_MODULE: usize = 1 << 31;

/// What validation allows a function body, in bytes.
pub(crate) const MAX_BODY: usize = 7_654_321;

/// What a pass changes in a module. Everything that is added comes last in its section, so that no index changes
/// meaning.
#[derive(Default)]
pub(crate) struct Edits {
    pub(crate) types: Vec<FuncType>,
    /// Types and code.
    pub(crate) functions: Vec<(u32, Function)>,
    pub(crate) tables: Vec<TableType>,
    pub(crate) tags: Vec<TagType>,
    /// Types and first values.
    pub(crate) globals: Vec<(GlobalType, ConstExpr)>,
    pub(crate) exports: Vec<(String, ExportKind, u32)>,
    /// Tables and the functions that fill them from their start.
    pub(crate) elements: Vec<(u32, Vec<u32>)>,
    /// By position among the functions that have code: the code that replaces it.
    bodies: BTreeMap<usize, Vec<u8>>,
    /// Bytes of all these.
    size: usize,
    /// By function index: the function that replaces another wherever that is named outside of code.
    pub(crate) moved: HashMap<u32, u32>,
}

impl Edits {
    /// Puts this code in the place of what the function at a position has.
    ///
    /// # Errors
    /// [`Error::TooLarge`] where that is more than a function or a module may have.
    pub(crate) fn replace_body(&mut self, position: usize, body: Vec<u8>) -> Result<(), Error> {
        if body.len() > MAX_BODY {
            return Err(Error::TooLarge(format!("a function would have {} bytes", body.len())));
        }
        self.size = self.size.saturating_add(body.len());
        if self.size > MAX_MODULE {
            return Err(Error::TooLarge(format!("its code would have {} bytes", self.size)));
        }
        self.bodies.insert(position, body);
        Ok(())
    }

    /// The module with the changes, or as it is where there are none.
    ///
    /// # Errors
    /// [`Error::TooLarge`] where the result would exceed a limit of validation.
    pub(crate) fn apply<'a>(self, module: &Module<'a>) -> Result<Cow<'a, [u8]>, Error> {
        let adds_items = !self.sections().is_empty();
        if !adds_items && self.bodies.is_empty() && self.moved.is_empty() {
            return Ok(Cow::Borrowed(module.wasm));
        }
        let added = self.functions.iter().map(|(_, function)| function.byte_len()).sum::<usize>();
        let size = module.wasm.len().saturating_add(self.size).saturating_add(added);
        if size > MAX_MODULE {
            return Err(Error::TooLarge(format!("it would have {size} bytes")));
        }
        let mut output = wasm_encoder::Module::new();
        let mut rewriter = Rewriter { missing: self.sections(), edits: self, module };
        rewriter
            .parse_core_module(&mut output, Parser::new(0), module.wasm)
            .map_err(|error| Error::from_reencode(error, 0))?;
        let output = output.finish();
        if adds_items {
            check_sections(&output)?;
        }
        Ok(Cow::Owned(output))
    }

    /// The sections that something is added to.
    fn sections(&self) -> Vec<SectionId> {
        let added = [
            (SectionId::Type, self.types.len()),
            (SectionId::Function, self.functions.len()),
            (SectionId::Table, self.tables.len()),
            (SectionId::Tag, self.tags.len()),
            (SectionId::Global, self.globals.len()),
            (SectionId::Export, self.exports.len()),
            (SectionId::Element, self.elements.len()),
            (SectionId::Code, self.functions.len()),
        ];
        added.into_iter().filter(|(_, count)| *count > 0).map(|(section, _)| section).collect()
    }

    fn moves_code(&self) -> bool {
        !self.bodies.is_empty() || !self.functions.is_empty()
    }
}

/// Validates all but the code: there may have been as many types, tables, exports or globals as there may be.
fn check_sections(wasm: &[u8]) -> Result<(), Error> {
    let mut validator = Validator::new_with_features(WasmFeatures::all());
    for payload in Parser::new(0).parse_all(wasm) {
        let payload = payload?;
        if matches!(payload, Payload::CodeSectionStart { .. }) {
            break;
        }
        validator.payload(&payload).map_err(|error| Error::TooLarge(error.message().to_owned()))?;
    }
    Ok(())
}

/// The order of the sections, custom ones apart, which may stand anywhere.
fn place(section: SectionId) -> usize {
    const ORDER: [SectionId; 13] = [
        SectionId::Type,
        SectionId::Import,
        SectionId::Function,
        SectionId::Table,
        SectionId::Memory,
        SectionId::Tag,
        SectionId::Global,
        SectionId::Export,
        SectionId::Start,
        SectionId::Element,
        SectionId::DataCount,
        SectionId::Code,
        SectionId::Data,
    ];
    ORDER.iter().position(|known| *known == section).unwrap_or_default()
}

/// Reads a module and writes it with the changes.
struct Rewriter<'m, 'a> {
    edits: Edits,
    module: &'m Module<'a>,
    /// The sections that something is added to and that have not been written, in their order.
    missing: Vec<SectionId>,
}

impl Rewriter<'_, '_> {
    fn add_types(&self, section: &mut TypeSection) {
        self.edits.types.iter().for_each(|ty| section.ty().func_type(ty));
    }

    fn add_functions(&self, section: &mut FunctionSection) {
        self.edits.functions.iter().for_each(|(ty, _)| _ = section.function(*ty));
    }

    fn add_tables(&self, section: &mut TableSection) {
        self.edits.tables.iter().for_each(|ty| _ = section.table(*ty));
    }

    fn add_tags(&self, section: &mut TagSection) {
        self.edits.tags.iter().for_each(|ty| _ = section.tag(*ty));
    }

    fn add_globals(&self, section: &mut GlobalSection) {
        self.edits.globals.iter().for_each(|(ty, value)| _ = section.global(*ty, value));
    }

    fn add_exports(&self, section: &mut ExportSection) {
        self.edits.exports.iter().for_each(|(name, kind, index)| _ = section.export(name, *kind, *index));
    }

    fn add_elements(&self, section: &mut ElementSection) {
        for (table, functions) in &self.edits.elements {
            // Wasmtime fills a table lazily from segments of this encoding: a constant place, and bare functions.
            section.active(Some(*table), &ConstExpr::i32_const(0), Elements::Functions(functions.into()));
        }
    }

    fn add_code(&self, section: &mut CodeSection) {
        self.edits.functions.iter().for_each(|(_, function)| _ = section.function(function));
    }

    /// Notes that a section has been written, with what is added to it.
    fn written(&mut self, section: SectionId) {
        self.missing.retain(|missing| *missing != section);
    }

    /// Writes a section that the module lacks.
    fn create(&self, module: &mut wasm_encoder::Module, section: SectionId) {
        macro_rules! create {
            ($section:expr, $add:ident) => {{
                let mut section = $section;
                self.$add(&mut section);
                module.section(&section);
            }};
        }
        match section {
            SectionId::Type => create!(TypeSection::new(), add_types),
            SectionId::Function => create!(FunctionSection::new(), add_functions),
            SectionId::Table => create!(TableSection::new(), add_tables),
            SectionId::Tag => create!(TagSection::new(), add_tags),
            SectionId::Global => create!(GlobalSection::new(), add_globals),
            SectionId::Export => create!(ExportSection::new(), add_exports),
            SectionId::Element => create!(ElementSection::new(), add_elements),
            SectionId::Code => create!(CodeSection::new(), add_code),
            _ => {}
        }
    }
}

/// The methods of [`Reencode`] that read a section, with what is added behind it.
macro_rules! with_additions {
    ($($method:ident $reader:ident $section:ident $id:ident $add:ident;)*) => {
        $(fn $method(
            &mut self,
            section: &mut $section,
            reader: wasmparser::$reader<'_>,
        ) -> Result<(), reencode::Error<Infallible>> {
            reencode::utils::$method(self, section, reader)?;
            self.$add(section);
            self.written(SectionId::$id);
            Ok(())
        })*
    };
}

impl Reencode for Rewriter<'_, '_> {
    type Error = Infallible;

    with_additions! {
        parse_type_section TypeSectionReader TypeSection Type add_types;
        parse_function_section FunctionSectionReader FunctionSection Function add_functions;
        parse_table_section TableSectionReader TableSection Table add_tables;
        parse_tag_section TagSectionReader TagSection Tag add_tags;
        parse_global_section GlobalSectionReader GlobalSection Global add_globals;
        parse_export_section ExportSectionReader ExportSection Export add_exports;
        parse_element_section ElementSectionReader ElementSection Element add_elements;
    }

    fn function_index(&mut self, function: u32) -> Result<u32, reencode::Error<Infallible>> {
        Ok(self.edits.moved.get(&function).copied().unwrap_or(function))
    }

    fn parse_code_section(
        &mut self,
        section: &mut CodeSection,
        _: wasmparser::CodeSectionReader<'_>,
    ) -> Result<(), reencode::Error<Infallible>> {
        for (position, body) in self.module.bodies.iter().enumerate() {
            section.raw(self.edits.bodies.get(&position).map_or(body.as_bytes(), Vec::as_slice));
        }
        self.add_code(section);
        self.written(SectionId::Code);
        Ok(())
    }

    fn intersperse_section_hook(
        &mut self,
        module: &mut wasm_encoder::Module,
        _after: Option<SectionId>,
        before: Option<SectionId>,
    ) -> Result<(), reencode::Error<Infallible>> {
        let before = before.map_or(usize::MAX, place);
        for section in std::mem::take(&mut self.missing) {
            if place(section) < before {
                self.create(module, section);
            } else {
                self.missing.push(section);
            }
        }
        Ok(())
    }

    fn parse_custom_section(
        &mut self,
        module: &mut wasm_encoder::Module,
        section: wasmparser::CustomSectionReader<'_>,
    ) -> Result<(), reencode::Error<Infallible>> {
        if !self.edits.moves_code() || !holds_code_positions(section.name()) {
            module.section(&wasm_encoder::CustomSection { name: section.name().into(), data: section.data().into() });
        }
        Ok(())
    }
}

/// Whether a custom section of this name refers to code by its position.
fn holds_code_positions(name: &str) -> bool {
    matches!(name, "linking" | "sourceMappingURL" | "external_debug_info")
        || [".debug_", "reloc.", "metadata.code."].iter().any(|prefix| name.starts_with(prefix))
}
