//! Exposed modules, run.

use crate::expose::Layout;
use crate::testing;
use wasmtime::{ExternType, Func, Instance, Linker, Module, Ref, Store, Table, Val};

/// An instance of a module, whose imports all do nothing.
pub(super) struct Guest {
    pub(super) store: Store<()>,
    pub(super) instance: Instance,
}

impl Guest {
    pub(super) fn new(module: &Module) -> Result<Guest, String> {
        let engine = testing::unmetered();
        let mut store = Store::new(engine, ());
        let mut linker = Linker::new(engine);
        for import in module.imports() {
            let ExternType::Func(ty) = import.ty() else { panic!("imports are functions") };
            linker.func_new(import.module(), import.name(), ty, |_, _, _| Ok(())).unwrap();
        }
        let instance = linker.instantiate(&mut store, module).map_err(trap)?;
        Ok(Guest { store, instance })
    }

    pub(super) fn of(wasm: &[u8]) -> Guest {
        Guest::new(&compiled(wasm)).unwrap()
    }

    pub(super) fn call(&mut self, name: &str, args: &[i32]) -> Result<Option<i32>, String> {
        let func = self.instance.get_func(&mut self.store, name).unwrap();
        let args: Vec<Val> = args.iter().map(|arg| Val::I32(*arg)).collect();
        let mut results = vec![Val::I32(0); func.ty(&self.store).results().len()];
        func.call(&mut self.store, &args, &mut results).map_err(trap)?;
        Ok(results.first().map(Val::unwrap_i32))
    }

    pub(super) fn memory(&mut self, name: &str) -> &mut [u8] {
        self.instance.get_memory(&mut self.store, name).unwrap().data_mut(&mut self.store)
    }

    pub(super) fn global(&mut self, name: &str) -> Val {
        self.instance.get_global(&mut self.store, name).unwrap().get(&mut self.store)
    }

    pub(super) fn table(&mut self, name: &str) -> Table {
        self.instance.get_table(&mut self.store, name).unwrap()
    }

    /// The functions in a table, by their addresses, which are as good as identities within a store.
    pub(super) fn functions(&mut self, name: &str) -> Vec<Option<usize>> {
        let table = self.table(name);
        let entries = (0..table.size(&self.store)).map(|index| match table.get(&mut self.store, index) {
            Some(Ref::Func(Some(func))) => Some(func.to_raw(&mut self.store) as usize),
            _ => None,
        });
        entries.collect()
    }

    pub(super) fn address_of(&mut self, func: &Func) -> usize {
        func.to_raw(&mut self.store) as usize
    }

    /// The flags of a layout, in its order.
    pub(super) fn flags(&mut self, layout: &Layout) -> Vec<i32> {
        layout.segments.iter().map(|segment| self.global(&segment.flag).unwrap_i32()).collect()
    }
}

pub(super) fn compiled(wasm: &[u8]) -> Module {
    Module::new(testing::unmetered(), wasm).unwrap()
}

fn trap(error: wasmtime::Error) -> String {
    error.downcast_ref::<wasmtime::Trap>().map_or_else(|| format!("{error:#}"), |trap| trap.to_string())
}

/// Whether a fresh memory holds nothing but what data segments fill.
pub(super) fn written(guest: &mut Guest, layout: &Layout) -> bool {
    layout.memories.iter().all(|at| {
        let Some(ranges) = &at.data else { return true };
        let mut bytes = guest.memory(&at.name).to_vec();
        for range in ranges {
            bytes[range.start as usize..range.end as usize].fill(0);
        }
        bytes.iter().all(|byte| *byte == 0)
    })
}
