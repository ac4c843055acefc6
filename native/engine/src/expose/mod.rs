//! Makes all mutable state of a module reachable from outside, as snapshots need it, and the memory and the table that
//! callers use where the image keeps them to itself.
//!
//! What an image exports is found under its own name. For the rest this adds, under reserved names that no description
//! shows:
//!
//! - exports of the memories, the tables and the mutable globals;
//! - a table with all functions that a reference can lead to, so that a reference has a number;
//! - for each segment that some instruction drops, a global that says whether that has happened, and functions, of
//!   which one does the same.
//!
//! No index changes meaning: what is added comes last in its section. A function body changes only where it drops a
//! segment. Custom sections are copied; those that hold positions in code do not know of what was inserted there, and
//! nothing here reads them. A module that needs nothing comes out byte for byte.

mod drops;
mod sections;
mod survey;
#[cfg(test)]
mod tests;

use crate::config;
use crate::error::Error;
use crate::ranges::merged;
use sections::Additions;
use std::borrow::Cow;
use std::ops::Range;
use survey::Survey;
use wasm_encoder::{ConstExpr, Encode, ExportKind, GlobalType, RefType, SectionId, TableType, ValType};
use wasmparser::{Parser, Payload, Validator};

/// Begins the names that are added. An image may not use it.
pub(crate) const RESERVED: &str = "hb_wasm64:";
/// The function that drops the segment at a position of [`Layout::segments`] and sets its flag. Traps where there is no
/// such position. Only there when there are such segments.
pub(crate) const DROP: &str = "hb_wasm64:drop";
/// The table whose entries are the functions of [`Layout::functions`], in that order. Only there when there are some.
pub(crate) const FUNCTIONS: &str = "hb_wasm64:functions";

/// A module with the exports that it lacked.
#[derive(Debug)]
pub(crate) struct Exposed<'a> {
    pub(crate) module: Cow<'a, [u8]>,
    pub(crate) layout: Layout,
}

/// Where the state of a module is to be found.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Layout {
    /// All memories, by index.
    pub(crate) memories: Vec<MemoryAt>,
    /// The mutable globals that the module defines, in the order of their indices.
    pub(crate) globals: Vec<GlobalAt>,
    /// All tables, by index. The table of functions is not among them.
    pub(crate) tables: Vec<TableAt>,
    /// The functions that a reference in a table or global can lead to, ascending. Empty where the module has neither a
    /// table nor a mutable global of type funcref.
    pub(crate) functions: Vec<u32>,
    /// The segments that some instruction of the module drops: data before elements, each ascending.
    pub(crate) segments: Vec<SegmentAt>,
    /// Whether instantiation runs a function, which may write anything.
    pub(crate) has_start: bool,
}

/// A memory.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct MemoryAt {
    /// Name of its export.
    pub(crate) name: String,
    /// The bytes that data segments fill as it is instantiated, as sorted ranges that neither overlap nor touch. `None`
    /// where the module does not tell: the place of one is computed.
    pub(crate) data: Option<Vec<Range<u64>>>,
}

/// A mutable global.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct GlobalAt {
    /// Its index in the module.
    pub(crate) index: u32,
    /// Name of its export.
    pub(crate) name: String,
}

/// A table.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TableAt {
    /// Its index in the module.
    pub(crate) index: u32,
    /// Name of its export.
    pub(crate) name: String,
}

/// A segment that some instruction drops.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct SegmentAt {
    /// Which segment.
    pub(crate) segment: Segment,
    /// Name of the export of its flag: an i32 that is 1 once the segment was dropped by an instruction, and 0 before.
    pub(crate) flag: String,
}

/// A data or element segment, by its index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Segment {
    Data(u32),
    Element(u32),
}

/// The name under which a tag is exported.
pub(crate) fn tag_name(tag: u32) -> String {
    format!("{RESERVED}tag:{tag}")
}

/// The module with all its state exported, and these tags. It must be valid, and lowered.
///
/// # Errors
/// [`Error::Unsupported`] where the image uses a reserved name, or is so close to the limits of validation that nothing
/// can be added.
pub(crate) fn expose<'a>(wasm: &'a [u8], tags: &[u32]) -> Result<Exposed<'a>, Error> {
    let survey = Survey::of(wasm)?;
    let segments = drops::segments(survey.code)?;
    let mut additions = Additions::default();
    tags.iter().for_each(|tag| additions.export(&tag_name(*tag), ExportKind::Tag, *tag));
    let mut layout = Layout {
        memories: memories(&survey, &mut additions),
        tables: tables(&survey, &mut additions),
        globals: globals(&survey, &mut additions),
        functions: functions(&survey),
        segments: Vec::new(),
        has_start: survey.has_start,
    };
    if !layout.functions.is_empty() {
        add_function_table(&layout.functions, len(&survey.tables)?, &mut additions)?;
    }
    let mut code = None;
    if !segments.is_empty() {
        let first_flag = len(&survey.globals)?;
        code = Some(drops::rewrite(survey.code, &segments, first_flag)?);
        add_drop(&survey, &segments, first_flag, &mut additions)?;
        layout.segments = add_flags(&segments, first_flag, &mut additions);
    }
    if additions.is_empty() {
        return Ok(Exposed { module: Cow::Borrowed(wasm), layout });
    }
    let module = sections::assemble(&survey.sections, additions, code)?;
    check_limits(&module)?;
    Ok(Exposed { module: Cow::Owned(module), layout })
}

fn memories(survey: &Survey<'_>, additions: &mut Additions) -> Vec<MemoryAt> {
    let memories = (0..).zip(&survey.memories);
    let place = |(index, memory): (u32, &survey::Memory<'_>)| MemoryAt {
        name: additions.export_if_hidden(memory.name, ExportKind::Memory, index),
        data: memory.written.clone().map(merged),
    };
    memories.map(place).collect()
}

fn tables(survey: &Survey<'_>, additions: &mut Additions) -> Vec<TableAt> {
    let tables = (0..).zip(&survey.tables);
    let place = |(index, table): (u32, &survey::Table<'_>)| TableAt {
        index,
        name: additions.export_if_hidden(table.name, ExportKind::Table, index),
    };
    tables.map(place).collect()
}

fn globals(survey: &Survey<'_>, additions: &mut Additions) -> Vec<GlobalAt> {
    let globals = (0..).zip(&survey.globals).filter(|(_, global)| global.is_own && global.is_mutable);
    let place = |(index, global): (u32, &survey::Global<'_>)| GlobalAt {
        index,
        name: additions.export_if_hidden(global.name, ExportKind::Global, index),
    };
    globals.map(place).collect()
}

/// Validation lets code make references only to functions that are named outside of code: what the survey has found is
/// all there is.
fn functions(survey: &Survey<'_>) -> Vec<u32> {
    let in_tables = survey.tables.iter().any(|table| table.of_functions);
    let in_globals = survey.globals.iter().any(|global| global.is_mutable && global.of_functions);
    if !in_tables && !in_globals {
        return Vec::new();
    }
    let referenced = (0..).zip(&survey.functions).filter(|(_, referenced)| **referenced);
    referenced.map(|(index, _)| index).collect()
}

fn add_function_table(functions: &[u32], index: u32, additions: &mut Additions) -> Result<(), Error> {
    /// An active segment that names its table, and the kind of its items: functions.
    const ACTIVE: u32 = 2;
    const OF_FUNCTIONS: u8 = 0;

    let size = u64::from(len(functions)?);
    let table =
        TableType { element_type: RefType::FUNCREF, table64: false, minimum: size, maximum: Some(size), shared: false };
    additions.add(SectionId::Table, |bytes| table.encode(bytes));
    // Wasmtime fills a table lazily from segments of this encoding.
    additions.add(SectionId::Element, |bytes| {
        ACTIVE.encode(bytes);
        index.encode(bytes);
        ConstExpr::i32_const(0).encode(bytes);
        bytes.push(OF_FUNCTIONS);
        functions.encode(bytes);
    });
    additions.export(FUNCTIONS, ExportKind::Table, index);
    Ok(())
}

fn add_drop(
    survey: &Survey<'_>,
    segments: &[Segment],
    first_flag: u32,
    additions: &mut Additions,
) -> Result<(), Error> {
    let ty = survey.drop_type.unwrap_or(survey.types);
    if survey.drop_type.is_none() {
        additions.add(SectionId::Type, |bytes| bytes.extend_from_slice(&drops::TYPE));
    }
    let mut index = len(&survey.functions)?;
    for body in drops::functions(segments, first_flag, index) {
        additions.add(SectionId::Function, |bytes| ty.encode(bytes));
        additions.add(SectionId::Code, |bytes| body.encode(bytes));
        index += 1;
    }
    additions.export(DROP, ExportKind::Func, index - 1);
    Ok(())
}

fn add_flags(segments: &[Segment], first_flag: u32, additions: &mut Additions) -> Vec<SegmentAt> {
    let ty = GlobalType { val_type: ValType::I32, mutable: true, shared: false };
    let flags = (first_flag..).zip(segments).map(|(flag, &segment)| {
        let name = match segment {
            Segment::Data(index) => format!("{RESERVED}dropped:data:{index}"),
            Segment::Element(index) => format!("{RESERVED}dropped:elem:{index}"),
        };
        additions.add(SectionId::Global, |bytes| {
            ty.encode(bytes);
            ConstExpr::i32_const(0).encode(bytes);
        });
        additions.export(&name, ExportKind::Global, flag);
        SegmentAt { segment, flag: name }
    });
    flags.collect()
}

/// Validates all but the code, where only sizes could have become too large: a module may have had as many tables,
/// exports or globals as there may be.
fn check_limits(module: &[u8]) -> Result<(), Error> {
    let mut validator = Validator::new_with_features(config::features());
    for payload in Parser::new(0).parse_all(module) {
        let payload = payload.map_err(malformed)?;
        if matches!(payload, Payload::CodeSectionStart { .. }) {
            break;
        }
        validator.payload(&payload).map_err(|error| too_large(error.message()))?;
    }
    Ok(())
}

fn malformed(error: wasmparser::Error) -> Error {
    Error::InvalidModule(error.to_string())
}

fn too_large(what: &str) -> Error {
    Error::Unsupported(format!("with what snapshots need, {what}"))
}

/// How many items there are, as the format counts them.
fn len<T>(items: &[T]) -> Result<u32, Error> {
    u32::try_from(items.len()).map_err(|_| too_large("there are too many items"))
}
