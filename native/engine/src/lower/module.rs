//! The sections of a module: taken apart, and put together again.

use std::borrow::Cow;
use std::ops::Range;

use wasm_encoder::reencode::{Reencode, RoundtripReencoder};
use wasm_encoder::{CodeSection, RawSection, SectionId};
use wasmparser::{Encoding, FunctionBody, Parser, Payload, TypeRef};

use super::LowerError;
use super::plan::Plan;
use super::rewrite::rewrite;
use super::types::Types;

/// A bound on the size of the code, well within what the format can express.
const MAX_CODE: usize = 1 << 31;

/// A module with the parts that lowering looks into set apart.
pub(super) struct Module<'a> {
    wasm: &'a [u8],
    sections: Vec<Section<'a>>,
    types: Option<wasmparser::TypeSectionReader<'a>>,
    imports: Option<wasmparser::ImportSectionReader<'a>>,
    functions: Option<wasmparser::FunctionSectionReader<'a>>,
    tags: Option<wasmparser::TagSectionReader<'a>>,
    bodies: Vec<FunctionBody<'a>>,
}

struct Section<'a> {
    id: u8,
    contents: Range<usize>,
    /// The name, of a custom section.
    name: Option<&'a str>,
}

impl<'a> Module<'a> {
    pub(super) fn parse(wasm: &'a [u8]) -> Result<Self, LowerError> {
        let mut module = Module {
            wasm,
            sections: Vec::new(),
            types: None,
            imports: None,
            functions: None,
            tags: None,
            bodies: Vec::new(),
        };
        for payload in Parser::new(0).parse_all(wasm) {
            let payload = payload?;
            if let Some((id, contents)) = payload.as_section() {
                let name = match &payload {
                    Payload::CustomSection(custom) => Some(custom.name()),
                    _ => None,
                };
                module.sections.push(Section { id, contents, name });
            }
            match payload {
                Payload::Version { encoding: Encoding::Component, range, .. } => {
                    return Err(LowerError::new("a component is not a core module", range.start));
                }
                Payload::TypeSection(reader) => module.types = Some(reader),
                Payload::ImportSection(reader) => module.imports = Some(reader),
                Payload::FunctionSection(reader) => module.functions = Some(reader),
                Payload::TagSection(reader) => module.tags = Some(reader),
                Payload::CodeSectionEntry(body) => module.bodies.push(body),
                _ => {}
            }
        }
        Ok(module)
    }

    /// The lowered module, or nothing when no function has a legacy instruction.
    pub(super) fn lower(&self) -> Result<Option<Vec<u8>>, LowerError> {
        let plans = self.bodies.iter().map(Plan::of).collect::<Result<Vec<_>, _>>()?;
        if plans.iter().all(Option::is_none) {
            return Ok(None);
        }

        let mut types = Types::parse(self.types.clone(), self.tag_types()?)?;
        let functions = self.function_types()?;
        let mut code = CodeSection::new();
        for (index, (body, plan)) in self.bodies.iter().zip(&plans).enumerate() {
            let start = body.range().start;
            let body = match plan {
                None => Cow::Borrowed(body.as_bytes()),
                Some(plan) => {
                    let params = functions
                        .get(index)
                        .and_then(|&ty| types.function(ty))
                        .map(|ty| ty.params().len())
                        .ok_or_else(|| LowerError::new("the function has no type", start))?;
                    Cow::Owned(rewrite(self.wasm, body, plan, params, &mut types)?)
                }
            };
            if code.byte_len().saturating_add(body.len()) > MAX_CODE {
                return Err(LowerError::new("the code becomes too large", start));
            }
            code.raw(&body);
        }
        self.assemble(&code, &types).map(Some)
    }

    /// The types of the tags, imported ones first.
    fn tag_types(&self) -> Result<Vec<u32>, LowerError> {
        let mut tags = Vec::new();
        if let Some(imports) = self.imports.clone() {
            for import in imports.into_imports() {
                if let TypeRef::Tag(tag) = import?.ty {
                    tags.push(tag.func_type_idx);
                }
            }
        }
        if let Some(section) = self.tags.clone() {
            for tag in section {
                tags.push(tag?.func_type_idx);
            }
        }
        Ok(tags)
    }

    /// The types of the functions that have a body.
    fn function_types(&self) -> Result<Vec<u32>, LowerError> {
        match self.functions.clone() {
            Some(section) => Ok(section.into_iter().collect::<Result<_, _>>()?),
            None => Ok(Vec::new()),
        }
    }

    fn assemble(&self, code: &CodeSection, types: &Types) -> Result<Vec<u8>, LowerError> {
        let mut module = wasm_encoder::Module::new();
        for section in &self.sections {
            if section.name.is_some_and(holds_code_positions) {
                continue;
            }
            if section.id == u8::from(SectionId::Code) {
                module.section(code);
                continue;
            }
            if let Some(reader) = &self.types
                && section.id == u8::from(SectionId::Type)
                && !types.added().is_empty()
            {
                let mut section = wasm_encoder::TypeSection::new();
                let offset = reader.range().start;
                RoundtripReencoder
                    .parse_type_section(&mut section, reader.clone())
                    .map_err(|error| LowerError::from_reencode(error, offset))?;
                for ty in types.added() {
                    section.ty().func_type(ty);
                }
                module.section(&section);
                continue;
            }
            let offset = section.contents.start;
            let data = self
                .wasm
                .get(section.contents.clone())
                .ok_or_else(|| LowerError::new("the section exceeds the module", offset))?;
            module.section(&RawSection { id: section.id, data });
        }
        Ok(module.finish())
    }
}

/// Whether a custom section of this name refers to code by its position.
pub(crate) fn holds_code_positions(name: &str) -> bool {
    matches!(name, "linking" | "sourceMappingURL" | "external_debug_info")
        || [".debug_", "reloc.", "metadata.code."].iter().any(|prefix| name.starts_with(prefix))
}
