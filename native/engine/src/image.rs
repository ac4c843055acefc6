//! From bytes to a module that can be instantiated in microseconds.

mod compiled;
mod exports;
mod stack;
mod validate;

pub(crate) use compiled::{Abandoned, Compiled, Known};
use exports::default_table;
pub(crate) use exports::{MeterAt, StateExports};

use crate::declared::Declared;
use crate::error::Error;
use crate::import::{self, Import, ImportInfo, Server};
use crate::value::Signature;
use hb_wasm64_host::{Abi, Functions, Runtime, Shown, Width};
use hb_wasm64_rewrite::expose::{self, Layout};
use hb_wasm64_rewrite::unwind::Thrown;
use hb_wasm64_snapshot::Entries;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use wasmtime::{ExternType, Module, ModuleExport};

/// SHA-256 of the bytes that an image was made of, before anything was done to them.
pub type Hash = [u8; 32];

/// A compiled module, and what is known of it.
pub struct Image {
    hash: Hash,
    source: Box<[u8]>,
    module: Module,
    declared: Declared,
    imports: Vec<Arc<ImportInfo>>,
    interceptable_modules: Vec<Arc<str>>,
    exports: Vec<Export>,
    funcs: HashMap<Box<str>, FuncExport>,
    memory: Option<ModuleExport>,
    table: Option<ModuleExport>,
    layout: Layout,
    state: StateExports,
    fresh: OnceLock<Fresh>,
    runtime: Option<Runtime>,
    width: Width,
    abi: Abi,
    thrown: Vec<(ModuleExport, Thrown)>,
    stack_pointer: Option<ModuleExport>,
    meter: Option<MeterAt>,
    uses_random: bool,
}

/// What a fresh instance of an image is like.
pub(crate) struct Fresh {
    pub(crate) tables: Vec<(u32, Entries)>,
    /// Its partial snapshot.
    pub(crate) partial: Vec<u8>,
}

impl Fresh {
    /// Where constructors fail: no state is as after a start.
    pub(crate) fn unknown(tables: Vec<(u32, Entries)>) -> Fresh {
        Fresh { tables, partial: Vec::new() }
    }
}

/// What an image exports under one name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Export {
    /// `func`, `memory`, `table`, `global` or `tag`.
    pub kind: &'static str,
    /// Its name.
    pub name: String,
    /// Its type, if it is a function.
    pub signature: Option<String>,
}

/// A function that can be called by name.
#[derive(Clone)]
pub(crate) struct FuncExport {
    pub(crate) index: ModuleExport,
    pub(crate) signature: Arc<Signature>,
}

impl Image {
    /// What a compiled module is, and its imports.
    pub(crate) fn of(hash: Hash, bytes: &[u8], compiled: Compiled) -> Result<(Image, Vec<Import>), Error> {
        let Compiled { module, known } = compiled;
        let Known { facts, meter, layout, declared, stack_pointer, .. } = known;
        // The memory image is made here, or the first instance would make it on a scheduler.
        module.initialize_copy_on_write_image().map_err(|error| Error::Host(format!("memory image: {error:#}")))?;

        let width = Width::of_64_bit(facts.is_64_bit);
        let imported = import::imported(&module);
        let runtime = Runtime::of(&imported);
        let exported = module.exports().map(|export| export.name()).collect();
        let shown = Shown { imports: &imported, exports: exported, width, extends_time: facts.extends_time };
        let abi = Abi::of(&shown);
        let functions = runtime.map(|runtime| Functions::new(runtime, width, facts.can_catch, abi));
        let found = import::all(&module, functions.as_ref(), meter.as_ref(), &facts.replaced)?;
        let imports: Vec<_> = found.iter().map(|import| import.info.clone()).collect();
        let mut interceptable_modules: Vec<Arc<str>> = Vec::new();
        for import in imports.iter().filter(|import| import.interceptable) {
            if !interceptable_modules.contains(&import.module) {
                interceptable_modules.push(import.module.clone());
            }
        }
        let is_random = |import: &Import| matches!(&import.server, Server::Host(binding) if binding.is_random());
        let uses_random = found.iter().any(is_random);
        let thrown = facts
            .tags
            .iter()
            .filter_map(|(tag, thrown)| Some((module.get_export_index(&expose::tag_name(*tag))?, *thrown)));
        let thrown = thrown.collect();
        let (exports, funcs) = exports(&module);
        let memory =
            layout.memories.get(facts.memory as usize).and_then(|memory| module.get_export_index(&memory.name));
        let table = default_table(&module, &layout);
        let state = StateExports::of(&module, &layout);
        let meter = meter.and_then(|meter| MeterAt::of(&module, &layout, &meter));
        let (source, fresh) = (bytes.into(), OnceLock::new());
        let stack_pointer = match runtime {
            Some(Runtime::Wasi) => facts.stack_pointer.or(stack_pointer),
            Some(Runtime::Emscripten) => facts.stack_pointer,
            Some(Runtime::AssemblyScript) | None => None,
        };
        let stack_pointer = layout.globals.iter().find(|global| Some(global.index) == stack_pointer);
        let stack_pointer = stack_pointer.and_then(|global| module.get_export_index(&global.name));
        let image = Image {
            hash,
            source,
            module,
            declared,
            imports,
            interceptable_modules,
            exports,
            funcs,
            memory,
            table,
            layout,
            state,
            fresh,
            runtime,
            width,
            abi,
            thrown,
            stack_pointer,
            meter,
            uses_random,
        };
        Ok((image, found))
    }

    /// The hash that names the image.
    pub fn hash(&self) -> &Hash {
        &self.hash
    }

    /// The module as it came.
    pub fn source(&self) -> &[u8] {
        &self.source
    }

    /// Memory that the image takes while it is kept, in bytes: its code with what the engine knows of it, the module as
    /// it came, and names and types, roughly.
    pub(crate) fn resident_bytes(&self) -> usize {
        let code = self.module.image_range();
        let code = (code.end as usize).saturating_sub(code.start as usize);
        code + self.source.len()
    }

    /// What the image imports, in the order of the module.
    pub fn imports(&self) -> &[Arc<ImportInfo>] {
        &self.imports
    }

    /// The modules with imports that can be intercepted.
    pub fn interceptable_modules(&self) -> &[Arc<str>] {
        &self.interceptable_modules
    }

    /// What the image exports, in the order of the module.
    pub fn exports(&self) -> &[Export] {
        &self.exports
    }

    /// The runtime that the image was built for, of those that the host serves.
    pub fn runtime(&self) -> Option<Runtime> {
        self.runtime
    }

    /// How wide pointers are.
    pub(crate) fn width(&self) -> Width {
        self.width
    }

    /// Which Emscripten has built it.
    pub(crate) fn abi(&self) -> Abi {
        self.abi
    }

    /// The global that points to the end of the guest's own stack, if a host serves the image and the image tells which it is.
    pub(crate) fn stack_pointer(&self) -> Option<&ModuleExport> {
        self.stack_pointer.as_ref()
    }

    /// Whether the image has a gas meter.
    pub fn is_metered(&self) -> bool {
        self.meter.is_some()
    }

    pub(crate) fn meter(&self) -> Option<&MeterAt> {
        self.meter.as_ref()
    }

    /// Whether it imports random bytes.
    pub(crate) fn uses_random(&self) -> bool {
        self.uses_random
    }

    /// The tags that Emscripten's scheme throws with.
    pub(crate) fn thrown(&self) -> &[(ModuleExport, Thrown)] {
        &self.thrown
    }

    pub(crate) fn module(&self) -> &Module {
        &self.module
    }

    /// What it declares of memories and tables.
    pub(crate) fn declared(&self) -> &Declared {
        &self.declared
    }

    /// The function that is exported under a name.
    ///
    /// # Errors
    /// [`Error::UnknownFunction`]; [`Error::Unsupported`] where nobody outside can call it.
    pub(crate) fn find_func(&self, name: &str) -> Result<&FuncExport, Error> {
        let is_func = || self.exports.iter().any(|export| export.kind == "func" && export.name == name);
        self.funcs.get(name).ok_or_else(|| match is_func() {
            true => Error::cannot_cross(name),
            false => Error::UnknownFunction(name.to_owned()),
        })
    }

    pub(crate) fn func(&self, name: &str) -> Option<&FuncExport> {
        self.funcs.get(name)
    }

    pub(crate) fn memory(&self) -> Option<&ModuleExport> {
        self.memory.as_ref()
    }

    pub(crate) fn table(&self) -> Option<&ModuleExport> {
        self.table.as_ref()
    }

    /// Where the state of an instance is to be found.
    pub(crate) fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The same as exports of the module.
    pub(crate) fn state(&self) -> &StateExports {
        &self.state
    }

    /// What a fresh instance is like, once that is known.
    pub(crate) fn fresh(&self) -> Option<&Fresh> {
        self.fresh.get()
    }

    /// It is a function of the image: whoever finds out first is right.
    pub(crate) fn set_fresh(&self, fresh: Fresh) {
        let _ = self.fresh.set(fresh);
    }
}

/// The name of an image.
pub fn hash(bytes: &[u8]) -> Hash {
    Sha256::digest(bytes).into()
}

fn exports(module: &Module) -> (Vec<Export>, HashMap<Box<str>, FuncExport>) {
    let mut exports = Vec::new();
    let mut funcs = HashMap::new();
    for export in module.exports().filter(|export| !is_reserved(export.name())) {
        let (kind, signature) = match export.ty() {
            ExternType::Func(ty) => ("func", Signature::of(&ty)),
            ExternType::Memory(_) => ("memory", None),
            ExternType::Table(_) => ("table", None),
            ExternType::Global(_) => ("global", None),
            ExternType::Tag(_) => ("tag", None),
        };
        let text = signature.as_ref().map(ToString::to_string);
        exports.push(Export { kind, name: export.name().to_owned(), signature: text });
        if let (Some(signature), Some(index)) = (signature, module.get_export_index(export.name())) {
            funcs.insert(export.name().into(), FuncExport { index, signature: Arc::new(signature) });
        }
    }
    (exports, funcs)
}

fn is_reserved(name: &str) -> bool {
    name.starts_with(expose::RESERVED)
}

#[cfg(test)]
mod tests {
    use super::*;
    use wasmtime::Store;

    /// The pages of the default memory and the entries of the default table.
    fn defaults(fields: &str) -> (Option<u64>, Option<u64>) {
        let bytes = wat::parse_str(format!("(module {fields} (func) (elem declare func 0))")).unwrap();
        let (image, _) =
            Image::of(hash(&bytes), &bytes, Compiled::new(&bytes, &Abandoned::default()).unwrap()).unwrap();
        let module = image.module();
        let mut store = Store::new(module.engine(), ());
        store.set_fuel(1_000_000).unwrap();
        store.set_epoch_deadline(1 << 40);
        let instance = wasmtime::Instance::new(&mut store, module, &[]).unwrap();
        let memory = image.memory().and_then(|export| instance.get_module_export(&mut store, export));
        let table = image.table().and_then(|export| instance.get_module_export(&mut store, export));
        assert!(image.exports().iter().all(|export| !is_reserved(&export.name)), "{fields}");
        let pages = memory.map(|memory| memory.into_memory().unwrap().size(&store));
        (pages, table.map(|table| table.into_table().unwrap().size(&store)))
    }

    #[test]
    fn the_default_memory_and_table_are_what_they_are_without_reserved_exports() {
        // The memory with so many pages, the table with so many entries.
        let cases = [
            ("(memory 1) (memory 2)", Some(1), None),
            (r#"(memory 1) (memory 2) (export "b" (memory 1))"#, Some(2), None),
            (r#"(memory 1) (memory 2) (export "b" (memory 1)) (export "memory" (memory 0))"#, Some(1), None),
            ("(table 3 funcref)", None, Some(3)),
            ("(table 3 funcref) (table 4 funcref)", None, None),
            (r#"(table 3 funcref) (table 4 funcref) (export "x" (table 1))"#, None, Some(4)),
            (r#"(table 3 funcref) (export "x" (table 0)) (export "y" (table 0))"#, None, None),
            (
                r#"(table 3 funcref) (table 4 funcref)
                    (export "x" (table 1)) (export "__indirect_function_table" (table 0))"#,
                None,
                Some(3),
            ),
        ];
        for (fields, pages, entries) in cases {
            assert_eq!(defaults(fields), (pages, entries), "{fields}");
        }
    }
}
