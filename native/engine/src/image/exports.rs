//! Where the state of an instance is: exports of its module, the image's own and those that `expose` has added.

use super::is_reserved;
use crate::ranges::merged;
use hb_wasm64_rewrite::Segment as Dropped;
use hb_wasm64_rewrite::expose::{self, Layout};
use hb_wasm64_rewrite::meter::Meter;
use hb_wasm64_snapshot::Segment;
use std::ops::Range;
use wasmtime::{ExternType, Module, ModuleExport};

/// The table through which functions are called by number, if the image exports more than one.
const FUNCTION_TABLE: &str = "__indirect_function_table";

/// Where the state of an instance is, as exports of its module.
pub(crate) struct StateExports {
    pub(crate) memories: Vec<MemoryExport>,
    pub(crate) globals: Vec<(u32, ModuleExport)>,
    pub(crate) tables: Vec<(u32, ModuleExport)>,
    pub(crate) flags: Vec<(Segment, ModuleExport)>,
    pub(crate) functions: Option<ModuleExport>,
    pub(crate) drop: Option<ModuleExport>,
}

pub(crate) struct MemoryExport {
    pub(crate) export: ModuleExport,
    /// What the data segments of the module fill, if that is known.
    data: Option<Vec<Range<usize>>>,
    /// Whether they are all that instantiation writes.
    is_all: bool,
}

/// The global of a meter: what is left of its gas.
pub(crate) struct MeterAt {
    pub(crate) index: u32,
    pub(crate) export: ModuleExport,
}

impl MeterAt {
    pub(crate) fn of(module: &Module, layout: &Layout, meter: &Meter) -> Option<MeterAt> {
        let global = layout.globals.iter().find(|global| global.index == meter.global)?;
        Some(MeterAt { index: meter.global, export: module.get_export_index(&global.name)? })
    }
}

impl StateExports {
    pub(crate) fn of(module: &Module, layout: &Layout) -> StateExports {
        // Everything that a layout names is an export of its module.
        let find = |name: &str| module.get_export_index(name);
        let memories = layout.memories.iter().filter_map(|memory| {
            let to_usize =
                |range: &Range<u64>| Some(usize::try_from(range.start).ok()?..usize::try_from(range.end).ok()?);
            let data = memory.data.as_ref().and_then(|ranges| ranges.iter().map(to_usize).collect()).map(merged);
            Some(MemoryExport { export: find(&memory.name)?, data, is_all: !layout.has_start })
        });
        let flags = layout.segments.iter().filter_map(|at| {
            let segment = match at.segment {
                Dropped::Data(index) => Segment::Data(index),
                Dropped::Element(index) => Segment::Elem(index),
            };
            Some((segment, find(&at.flag)?))
        });
        StateExports {
            memories: memories.collect(),
            globals: layout.globals.iter().filter_map(|at| Some((at.index, find(&at.name)?))).collect(),
            tables: layout.tables.iter().filter_map(|at| Some((at.index, find(&at.name)?))).collect(),
            flags: flags.collect(),
            functions: find(expose::FUNCTIONS),
            drop: find(expose::DROP),
        }
    }

    /// Where a memory of `bytes` bytes holds what the data segments of the module filled.
    pub(crate) fn data(&self, index: usize, bytes: usize) -> Option<&[Range<usize>]> {
        let data = self.memories.get(index)?.data.as_deref();
        data.filter(|ranges| ranges.last().is_none_or(|last| last.end <= bytes))
    }

    /// Whether that is all that instantiation writes.
    pub(crate) fn is_all(&self, index: usize) -> bool {
        self.memories.get(index).is_some_and(|memory| memory.is_all)
    }
}

/// A table that is the only one of the image need not be exported.
pub(super) fn default_table(module: &Module, layout: &Layout) -> Option<ModuleExport> {
    let exports = module.exports().filter(|export| matches!(export.ty(), ExternType::Table(_)));
    let names: Vec<&str> = exports.map(|export| export.name()).filter(|name| !is_reserved(name)).collect();
    let name = match (names.as_slice(), layout.tables.as_slice()) {
        ([], [only]) => only.name.as_str(),
        ([only], _) => only,
        (many, _) => many.iter().find(|name| **name == FUNCTION_TABLE)?,
    };
    module.get_export_index(name)
}
