//! Wasmtime without this project around it, but with its settings: the same code, the same checks in it.

use crate::Result;
use hb_wasm64_engine::{config, engine_kind};
use hb_wasm64_rewrite::lower::lower;
use std::collections::HashMap;
use wasmtime::{Engine, ExternType, Instance, InstancePre, Linker, Memory, Module, Store, TypedFunc, Val, WasmParams};

/// An instance on the stack of this thread, which never yields.
pub struct Plain {
    pre: InstancePre<()>,
    store: Store<()>,
    instance: Instance,
    /// Files whose text is in the memory, and where.
    texts: HashMap<String, i64>,
}

impl Plain {
    pub fn load(path: &str) -> Result<Plain> {
        let bytes = std::fs::read(path)?;
        let engine = config::engine(engine_kind(&bytes)?)?;
        let module = Module::new(engine, lower(&bytes)?)?;
        let mut linker = Linker::new(engine);
        for import in module.imports() {
            let ExternType::Func(ty) = import.ty() else { return Err("an import that is no function".into()) };
            let zeros = ty.results().map(|ty| Val::default_for_ty(&ty)).collect::<Option<Vec<Val>>>();
            let zeros = zeros.ok_or("an import without a zero to answer")?;
            linker.func_new(import.module(), import.name(), ty, move |_, _, results| {
                results.copy_from_slice(&zeros);
                Ok(())
            })?;
        }
        let pre = linker.instantiate_pre(&module)?;
        let mut store = store(engine)?;
        let instance = pre.instantiate(&mut store)?;
        Ok(Plain { pre, store, instance, texts: HashMap::new() })
    }

    /// One more instance, which ends at once.
    pub fn instantiate(&self) -> Result<()> {
        self.pre.instantiate(store(self.pre.module().engine())?)?;
        Ok(())
    }

    pub fn func<P: WasmParams>(&mut self, name: &str) -> Result<TypedFunc<P, i64>> {
        Ok(self.instance.get_typed_func(&mut self.store, name)?)
    }

    pub fn call<P: WasmParams>(&mut self, func: &TypedFunc<P, i64>, arguments: P) -> Result<i64> {
        Ok(func.call(&mut self.store, arguments)?)
    }

    /// Where the text of a file stands in the memory.
    pub fn text(&mut self, path: &str) -> Result<i64> {
        if let Some(pointer) = self.texts.get(path) {
            return Ok(*pointer);
        }
        let mut bytes = std::fs::read(path)?;
        bytes.push(0);
        let malloc = self.func("malloc")?;
        let pointer = self.call(&malloc, i64::try_from(bytes.len())?)?;
        self.memory()?.write(&mut self.store, usize::try_from(pointer)?, &bytes)?;
        self.texts.insert(path.to_owned(), pointer);
        Ok(pointer)
    }

    /// The text at a pointer, up to its NUL.
    pub fn string(&mut self, pointer: i64) -> Result<String> {
        let memory = self.memory()?;
        let rest = memory.data(&self.store).get(usize::try_from(pointer)?..).ok_or("a pointer to nowhere")?;
        let text = rest.split(|byte| *byte == 0).next().unwrap_or_default();
        Ok(String::from_utf8(text.to_vec())?)
    }

    fn memory(&mut self) -> Result<Memory> {
        Ok(self.instance.get_memory(&mut self.store, "memory").ok_or("no memory")?)
    }
}

/// A store whose guests run to their end.
fn store(engine: &Engine) -> Result<Store<()>> {
    let mut store = Store::new(engine, ());
    store.set_fuel(u64::MAX)?;
    // Far beyond every beat of the engine's clock.
    store.set_epoch_deadline(1 << 40);
    Ok(store)
}
