//! Makes all mutable state of a module accessible from outside, as snapshots require, and the default memory and table
//! where the module does not export them.
//!
//! An item that the module exports is found under its own name. For the others this adds, under reserved names:
//!
//! - exports of the memories, the tables and the mutable globals;
//! - a table with all functions that a reference can lead to, so that a reference has a number;
//! - for each segment that some instruction drops, a global that says whether that has happened, and functions, of
//!   which one does the same.
//!
//! No index changes meaning: items are added at the end of their section. A function body changes only where it drops a
//! segment.

mod drops;
mod layout;
mod state;
#[cfg(test)]
mod tests;

pub use layout::{GlobalAt, Layout, MemoryAt, SegmentAt, TableAt};

use crate::Error;
use crate::edits::Edits;
use crate::module::{Module, Segment};
use drops::Flags;
use state::ExportNames;
use std::borrow::Cow;
use wasm_encoder::{ConstExpr, ExportKind, FuncType, GlobalType, RefType, TableType, ValType};

/// Begins the names that are added. A module may not export anything under such a name.
pub const RESERVED: &str = "hb_wasm64:";
/// The function that drops the segment at a position of [`Layout::segments`] and sets its flag. Traps where there is no
/// such position. Only there when there are such segments.
pub const DROP: &str = "hb_wasm64:drop";
/// The table whose entries are the functions of [`Layout::functions`], in that order. Only there when there are some.
pub const FUNCTIONS: &str = "hb_wasm64:functions";

/// A module that exports all its state.
#[derive(Debug)]
pub struct Exposed<'a> {
    /// The module.
    pub module: Cow<'a, [u8]>,
    /// Where its state is.
    pub layout: Layout,
}

/// The reserved name under which [`expose`] exports a tag.
pub fn tag_name(tag: u32) -> String {
    format!("{RESERVED}tag:{tag}")
}

/// Exports all state of a module, and these tags.
///
/// The module must be valid, without legacy exception handling. A module that exports all of it is returned as it is.
///
/// # Errors
/// [`Error::ReservedName`] where the module uses a reserved name, [`Error::TooLarge`] where the result would exceed a limit
/// of validation, and [`Error::Malformed`].
pub fn expose<'a>(wasm: &'a [u8], tags: &[u32]) -> Result<Exposed<'a>, Error> {
    run(&Module::parse(wasm)?, tags)
}

pub(crate) fn run<'a>(module: &Module<'a>, tags: &[u32]) -> Result<Exposed<'a>, Error> {
    if let Some(export) = module.exports.iter().find(|export| export.name.starts_with(RESERVED)) {
        return Err(Error::ReservedName(export.name.to_owned()));
    }
    let mut edits = Edits::default();
    tags.iter().for_each(|tag| edits.exports.push((tag_name(*tag), ExportKind::Tag, *tag)));
    let mut layout = Layout { has_start: module.has_start, ..Layout::default() };
    export_all(module, &mut edits, &mut layout)?;
    layout.functions = state::referenced_functions(module)?;
    layout.constant_objects = state::has_constant_objects(module)?;
    if !layout.functions.is_empty() {
        add_function_table(module, &layout.functions, &mut edits);
    }
    let segments = drops::segments(module)?;
    if !segments.is_empty() {
        let flags = Flags { segments: &segments, first: module.globals.len() as u32 };
        drops::set_flags(module, flags, &mut edits)?;
        add_drop(module, flags, &mut edits);
        layout.segments = add_flags(flags, &mut edits);
    }
    Ok(Exposed { module: edits.apply(module)?, layout })
}

/// Exports the memories, the tables and the mutable globals that the module does not export.
fn export_all(module: &Module<'_>, edits: &mut Edits, layout: &mut Layout) -> Result<(), Error> {
    let names = ExportNames::of(module);
    let mut name = |own: Option<&str>, what: &str, kind: ExportKind, index: u32| {
        own.map(str::to_owned).unwrap_or_else(|| {
            let name = format!("{RESERVED}{what}:{index}");
            edits.exports.push((name.clone(), kind, index));
            name
        })
    };
    for (index, data) in (0..).zip(state::data(module)?) {
        let name = name(names.memories.get(&index).copied(), "memory", ExportKind::Memory, index);
        layout.memories.push(MemoryAt { name, data });
    }
    for (index, _) in (0..).zip(&module.tables) {
        let name = name(names.tables.get(&index).copied(), "table", ExportKind::Table, index);
        layout.tables.push(TableAt { index, name });
    }
    for (index, ty) in (0..).zip(&module.globals).skip(module.imported_globals) {
        if ty.mutable {
            let name = name(names.globals.get(&index).copied(), "global", ExportKind::Global, index);
            layout.globals.push(GlobalAt { index, name });
        }
    }
    Ok(())
}

fn add_function_table(module: &Module<'_>, functions: &[u32], edits: &mut Edits) {
    let index = module.tables.len() as u32;
    let size = functions.len() as u64;
    edits.tables.push(TableType {
        element_type: RefType::FUNCREF,
        table64: false,
        minimum: size,
        maximum: Some(size),
        shared: false,
    });
    edits.elements.push((index, functions.to_vec()));
    edits.exports.push((FUNCTIONS.into(), ExportKind::Table, index));
}

fn add_drop(module: &Module<'_>, flags: Flags<'_>, edits: &mut Edits) {
    let (params, results) = ([wasmparser::ValType::I32], []);
    let mut known = module.unshared_func_types();
    let known = known.find(|(_, ty)| ty.params() == params && ty.results() == results).map(|(index, _)| index);
    let ty = known.unwrap_or(module.types.len() as u32);
    if known.is_none() {
        edits.types.push(FuncType::new([ValType::I32], []));
    }
    let first = module.functions.len() as u32;
    let functions = drops::functions(flags, first);
    // The last one calls the others.
    let index = (first + functions.len() as u32).saturating_sub(1);
    edits.functions.extend(functions.into_iter().map(|function| (ty, function)));
    edits.exports.push((DROP.into(), ExportKind::Func, index));
}

fn add_flags(flags: Flags<'_>, edits: &mut Edits) -> Vec<SegmentAt> {
    let ty = GlobalType { val_type: ValType::I32, mutable: true, shared: false };
    let flags = (flags.first..).zip(flags.segments).map(|(index, &segment)| {
        let flag = match segment {
            Segment::Data(index) => format!("{RESERVED}dropped:data:{index}"),
            Segment::Element(index) => format!("{RESERVED}dropped:elem:{index}"),
        };
        edits.globals.push((ty, ConstExpr::i32_const(0)));
        edits.exports.push((flag.clone(), ExportKind::Global, index));
        SegmentAt { segment, flag }
    });
    flags.collect()
}
