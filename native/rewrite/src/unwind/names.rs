//! What Emscripten names in a module: by its exports, and by the names of imports.

use super::ENV;
use crate::meter::is_meter;
use crate::module::Module;
use std::collections::HashMap;
use wasmparser::{ExternalKind, FuncType, Operator, ValType};

/// Begins the names of the imports by which C++ code asks its host which handler an exception has.
const FIND_MATCHING_CATCH: &str = "__cxa_find_matching_catch";

/// The exports that matter, by name.
pub(super) struct Names<'a> {
    functions: HashMap<&'a str, u32>,
    /// The table that `__indirect_function_table` names.
    table: Option<u32>,
    /// The default memory.
    pub(super) memory: u32,
    /// Whether pointers have 64 bits.
    pub(super) is_64_bit: bool,
}

impl<'a> Names<'a> {
    pub(super) fn of(module: &Module<'a>) -> Names<'a> {
        let mut names = Names { functions: HashMap::new(), table: None, memory: 0, is_64_bit: false };
        let mut memory = None;
        for export in &module.exports {
            match export.kind {
                ExternalKind::Func | ExternalKind::FuncExact => {
                    names.functions.insert(export.name, export.index);
                }
                ExternalKind::Memory if export.name == "memory" || memory.is_none() => memory = Some(export.index),
                ExternalKind::Table if export.name == "__indirect_function_table" => names.table = Some(export.index),
                _ => {}
            }
        }
        names.memory = memory.unwrap_or_default();
        names.is_64_bit = module.memories.get(names.memory as usize).is_some_and(|memory| memory.memory64);
        names
    }

    /// The type of pointers and sizes.
    pub(super) fn pointer(&self) -> ValType {
        if self.is_64_bit { ValType::I64 } else { ValType::I32 }
    }

    /// An exported function of this type.
    pub(super) fn function(
        &self,
        module: &Module<'_>,
        name: &str,
        params: &[ValType],
        results: &[ValType],
    ) -> Option<u32> {
        let index = *self.functions.get(name)?;
        let ty = module.func_type(*module.functions.get(index as usize)?)?;
        (ty.params() == params && ty.results() == results).then_some(index)
    }

    /// The table through which functions are called, and whether its indices have 64 bits.
    pub(super) fn table(&self, module: &Module<'_>) -> Option<(u32, bool)> {
        let table = match (self.table, module.tables.as_slice()) {
            (Some(table), _) => table,
            (None, [_]) => 0,
            _ => return None,
        };
        Some((table, module.tables.get(table as usize)?.table64))
    }

    /// Whether the module asks its host which handler an exception has, as C++ code that catches does.
    pub(super) fn can_catch(&self, module: &Module<'_>) -> bool {
        let pointer = self.pointer();
        let fits = |ty: &FuncType| ty.results() == [pointer] && ty.params().iter().all(|param| *param == pointer);
        let mut imports = module.imports.iter().zip(&module.functions);
        imports.any(|(import, ty)| {
            import.module == ENV
                && import.name.starts_with(FIND_MATCHING_CATCH)
                && module.func_type(*ty).is_some_and(fits)
        })
    }

    /// The global that the exported function reads which returns the stack pointer, if that function does nothing else.
    pub(super) fn stack_pointer(&self, module: &Module<'_>) -> Option<u32> {
        /// How many calls deep the function may lie that reads the global.
        const CALLS: usize = 4;

        let pointer = self.pointer();
        let get = |name| self.function(module, name, &[], &[pointer]);
        let mut function = get("emscripten_stack_get_current").or_else(|| get("stackSave"))?;
        for _ in 0..CALLS {
            let position = (function as usize).checked_sub(module.imports.len())?;
            let mut found = None;
            // An amount of gas, which a meter is called with next.
            let mut amount = false;
            for operator in module.bodies.get(position)?.get_operators_reader().ok()? {
                let was_amount = std::mem::take(&mut amount);
                match operator.ok()? {
                    Operator::Call { function_index } if was_amount && is_meter(module, function_index) => {}
                    _ if was_amount => return None,
                    Operator::I32Const { .. } | Operator::I64Const { .. } => amount = true,
                    operator @ (Operator::GlobalGet { .. } | Operator::Call { .. }) if found.is_none() => {
                        found = Some(operator);
                    }
                    Operator::LocalGet { .. } | Operator::LocalSet { .. } | Operator::Return | Operator::End => {}
                    _ => return None,
                }
            }
            match found? {
                Operator::GlobalGet { global_index: global } => {
                    let index = global as usize;
                    let ty = module.globals.get(index)?;
                    let is_own = index >= module.imported_globals;
                    return (is_own && ty.mutable && ty.content_type == pointer).then_some(global);
                }
                Operator::Call { function_index } => function = function_index,
                _ => return None,
            }
        }
        None
    }
}
