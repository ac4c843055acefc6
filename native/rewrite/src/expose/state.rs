//! What a module says about its state.

use crate::Error;
use crate::module::Module;
use std::collections::HashMap;
use std::ops::Range;
use wasmparser::{
    AbstractHeapType, ConstExpr, DataKind, ElementItems, ElementKind, ExternalKind, HeapType, Operator, RefType,
    ValType,
};

/// The first names under which items are exported, by index.
#[derive(Default)]
pub(super) struct ExportNames<'a> {
    pub(super) memories: HashMap<u32, &'a str>,
    pub(super) tables: HashMap<u32, &'a str>,
    pub(super) globals: HashMap<u32, &'a str>,
}

impl<'a> ExportNames<'a> {
    pub(super) fn of(module: &Module<'a>) -> ExportNames<'a> {
        let mut names = ExportNames::default();
        for export in &module.exports {
            let of_kind = match export.kind {
                ExternalKind::Memory => &mut names.memories,
                ExternalKind::Table => &mut names.tables,
                ExternalKind::Global => &mut names.globals,
                ExternalKind::Func | ExternalKind::FuncExact | ExternalKind::Tag => continue,
            };
            of_kind.entry(export.index).or_insert(export.name);
        }
        names
    }
}

/// The functions that a reference in a table or global can lead to, ascending.
///
/// Validation lets code make references only to functions that are named outside of code: these are all there are.
pub(super) fn referenced_functions(module: &Module<'_>) -> Result<Vec<u32>, Error> {
    let in_globals = |ty: &wasmparser::GlobalType| {
        ty.mutable && matches!(ty.content_type, ValType::Ref(ty) if is_function(module, ty))
    };
    let in_tables = |ty: &wasmparser::TableType| is_function(module, ty.element_type);
    if !module.tables.iter().any(in_tables) && !module.globals.iter().any(in_globals) {
        return Ok(Vec::new());
    }
    let mut functions = Vec::new();
    for export in &module.exports {
        if matches!(export.kind, ExternalKind::Func | ExternalKind::FuncExact) {
            functions.push(export.index);
        }
    }
    for value in module.global_values.iter().chain(&module.table_values) {
        references(value, &mut functions)?;
    }
    for element in &module.elements {
        match &element.items {
            ElementItems::Functions(items) => {
                for function in items.clone() {
                    functions.push(function?);
                }
            }
            ElementItems::Expressions(_, values) => {
                for value in values.clone() {
                    references(&value?, &mut functions)?;
                }
            }
        }
    }
    functions.sort_unstable();
    functions.dedup();
    Ok(functions)
}

/// Whether references of a type lead to functions.
fn is_function(module: &Module<'_>, ty: RefType) -> bool {
    match ty.heap_type() {
        HeapType::Abstract { ty, .. } => ty == AbstractHeapType::Func,
        HeapType::Concrete(index) | HeapType::Exact(index) => {
            index.as_module_index().is_some_and(|index| module.func_type(index).is_some())
        }
    }
}

/// Whether constants hold objects: what is in them can change, and nothing outside reaches it.
///
/// Mutable globals and tables can be looked at, and active segments are empty once the tables have what is in them.
pub(super) fn has_constant_objects(module: &Module<'_>) -> Result<bool, Error> {
    let globals = module.globals.iter().skip(module.imported_globals).zip(&module.global_values);
    for (ty, value) in globals {
        if !ty.mutable && makes_objects(value)? {
            return Ok(true);
        }
    }
    for element in &module.elements {
        if let (ElementKind::Passive, ElementItems::Expressions(_, values)) = (&element.kind, &element.items) {
            for value in values.clone() {
                if makes_objects(&value?)? {
                    return Ok(true);
                }
            }
        }
    }
    Ok(false)
}

/// Whether the value of an expression is made with a new object.
fn makes_objects(value: &ConstExpr<'_>) -> Result<bool, Error> {
    for operator in value.get_operators_reader() {
        if matches!(
            operator?,
            Operator::StructNew { .. }
                | Operator::StructNewDefault { .. }
                | Operator::ArrayNew { .. }
                | Operator::ArrayNewDefault { .. }
                | Operator::ArrayNewFixed { .. }
        ) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Adds the functions that the value of an expression can lead to.
fn references(value: &ConstExpr<'_>, functions: &mut Vec<u32>) -> Result<(), Error> {
    for operator in value.get_operators_reader() {
        if let Operator::RefFunc { function_index } = operator? {
            functions.push(function_index);
        }
    }
    Ok(())
}

/// What active segments fill in each memory, in the order of the segments: see [`MemoryAt::data`](super::MemoryAt::data).
pub(super) fn data(module: &Module<'_>) -> Result<Vec<Option<Vec<Range<u64>>>>, Error> {
    let mut filled = vec![Some(Vec::new()); module.memories.len()];
    for segment in &module.data {
        let DataKind::Active { memory_index, offset_expr } = &segment.kind else { continue };
        let Some(memory) = filled.get_mut(*memory_index as usize) else { continue };
        match (constant(offset_expr)?, &mut *memory) {
            // A segment that does not fit ends the instantiation.
            (Some(start), Some(ranges)) if !segment.data.is_empty() => {
                ranges.push(start..start.saturating_add(segment.data.len() as u64));
            }
            (None, _) => *memory = None,
            _ => {}
        }
    }
    Ok(filled)
}

/// The value of an expression that is a number.
fn constant(value: &ConstExpr<'_>) -> Result<Option<u64>, Error> {
    let mut operators = value.get_operators_reader();
    let constant = match operators.read()? {
        Operator::I32Const { value } => u64::from(value.cast_unsigned()),
        Operator::I64Const { value } => value.cast_unsigned(),
        _ => return Ok(None),
    };
    Ok(matches!(operators.read()?, Operator::End).then_some(constant))
}
