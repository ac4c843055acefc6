//! The items of an instance that hold state: memories, globals, tables, dropped segments.

use super::pages::{union, whole};
use super::{Surroundings, View, invalid};
use crate::error::{Error, Limit};
use crate::image::{Image, StateExports};
use crate::touched::touched;
use hb_wasm64_host::Runtime;
use hb_wasm64_rewrite::meter::GAS;
use hb_wasm64_snapshot::{self as snapshot, Cancellation, Entries, GlobalValue, Segment, Skeleton};
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;
use wasmtime::{Func, Global, Memory, ModuleExport, Ref, RootScope, StoreContextMut, Table, V128, Val};

/// The items of an instance that hold state.
pub(super) struct Items {
    pub(super) image: Arc<Image>,
    pub(super) memories: Vec<Memory>,
    globals: Vec<(u32, Global)>,
    tables: Vec<(u32, Table)>,
    flags: Vec<(Segment, Global)>,
    /// The one of them that holds what is left of a meter's gas.
    meter: Option<u32>,
    functions: Option<Table>,
    drop: Option<Func>,
    /// Whose state the host has for the image: in a snapshot, a memory behind the others.
    runtime: Option<Runtime>,
    /// Which of the memories callers read and write.
    pub(super) linear: Option<usize>,
}

impl Items {
    pub(super) fn of(store: &mut StoreContextMut<'_, impl Surroundings>) -> Result<Items, Error> {
        let image = store.data().image().clone();
        let instance = store.data().instance()?;
        let mut find = |export: &ModuleExport| instance.get_module_export(&mut *store, export).ok_or_else(missing);
        let StateExports { memories, globals, tables, flags, functions, drop } = image.state();
        let memories =
            memories.iter().map(|memory| into(find(&memory.export)?.into_memory())).collect::<Result<_, _>>()?;
        let globals = globals.iter().map(|(index, export)| Ok((*index, into(find(export)?.into_global())?)));
        let globals = globals.collect::<Result<_, Error>>()?;
        let tables = tables.iter().map(|(index, export)| Ok((*index, into(find(export)?.into_table())?)));
        let tables = tables.collect::<Result<_, Error>>()?;
        let flags = flags.iter().map(|(segment, export)| Ok((*segment, into(find(export)?.into_global())?)));
        let flags = flags.collect::<Result<_, Error>>()?;
        let functions = functions.as_ref().map(|export| into(find(export)?.into_table())).transpose()?;
        let drop = drop.as_ref().map(|export| into(find(export)?.into_func())).transpose()?;
        let memories: Vec<Memory> = memories;
        let is_linear = |memory: &Memory| {
            let linear = store.data().memory();
            linear.is_some_and(|linear| linear.data_ptr(&*store) == memory.data_ptr(&*store))
        };
        let linear = memories.iter().position(is_linear);
        let meter = image.meter().map(|meter| meter.index);
        let runtime = image.runtime();
        Ok(Items { image: image.clone(), memories, globals, meter, tables, flags, functions, drop, runtime, linear })
    }

    /// Whether the state of the host, in so many bytes, is a memory of a snapshot. Of an image of Emscripten's it always is; of
    /// one of WASI's only where it is not as in an instance that has just been made, as before hosts served such images.
    fn has_host_memory(&self, bytes: u64) -> bool {
        match self.runtime {
            Some(Runtime::Emscripten) => true,
            Some(Runtime::Wasi | Runtime::AssemblyScript) => bytes > 0,
            None => false,
        }
    }

    /// The memory that callers read and write.
    pub(super) fn linear_memory(&self) -> Option<&Memory> {
        self.linear.and_then(|linear| self.memories.get(linear))
    }

    /// Where each memory may hold anything but zeros: what was written, by whomever, and what the image fills.
    ///
    /// # Errors
    /// [`Error::Host`] where there is no room for the lists.
    pub(super) fn candidates(
        &self,
        store: &StoreContextMut<'_, impl Surroundings>,
    ) -> Result<Vec<Vec<Range<usize>>>, Error> {
        let of = |(index, memory): (usize, &Memory)| {
            let bytes = memory.data(store);
            Ok(match self.image.state().data(index, bytes.len()) {
                Some(data) => union(touched(bytes)?, data)?,
                None => whole(bytes.len()),
            })
        };
        self.memories.iter().enumerate().map(of).collect()
    }

    /// How many entries all tables have.
    pub(super) fn entries(&self, store: &StoreContextMut<'_, impl Surroundings>) -> u64 {
        self.tables.iter().map(|(_, table)| table.size(store)).sum()
    }

    pub(super) fn memories<'a>(
        &'a self,
        store: &'a StoreContextMut<'_, impl Surroundings>,
        candidates: &'a [Vec<Range<usize>>],
    ) -> impl Iterator<Item = snapshot::Memory<'a>> {
        let all = self.memories.iter().zip(candidates);
        all.map(move |(memory, candidates)| snapshot::Memory { bytes: memory.data(store), candidates })
    }

    /// A memory of a fresh instance, and where it may hold anything but zeros.
    pub(super) fn memory_mut<'a>(
        &self,
        store: &'a mut StoreContextMut<'_, impl Surroundings>,
        index: usize,
        is_initialized: bool,
    ) -> Result<(&'a mut [u8], Vec<Range<usize>>), Error> {
        let memory = self.memories.get(index).ok_or_else(|| invalid("a memory that the image does not have"))?;
        let bytes = memory.data_mut(store);
        let initial = match self.image.state().data(index, bytes.len()) {
            Some(data) if self.image.state().is_all(index) && !is_initialized => data.to_vec(),
            Some(data) => union(touched(bytes)?, data)?,
            None => whole(bytes.len()),
        };
        Ok((bytes, initial))
    }

    pub(super) fn look<T>(
        &self,
        store: &StoreContextMut<'_, impl Surroundings>,
        skeleton: Skeleton,
        candidates: &[Vec<Range<usize>>],
        cancellation: Cancellation<'_>,
        look: impl FnOnce(&View<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let host = match store.data().host() {
            Some(host) => host.encode()?,
            None => Vec::new(),
        };
        let in_host = whole(host.len());
        let is_there = self.has_host_memory(host.len() as u64);
        let host = is_there.then_some(snapshot::Memory { bytes: &host, candidates: &in_host });
        let memories: Vec<_> = self.memories(store, candidates).chain(host).collect();
        look(&View { image: &self.image, skeleton, memories: &memories, linear: self.linear, cancellation })
    }

    pub(super) fn skeleton(
        &self,
        store: &mut StoreContextMut<'_, impl Surroundings>,
        cancellation: Cancellation<'_>,
    ) -> Result<Skeleton, Error> {
        if self.image.layout().constant_objects {
            return Err(Error::Uncapturable("a constant of the image holds an object".into()));
        }
        let host = store.data().host().map_or(0, |host| host.encoded_size() as u64);
        let host = Some(host).filter(|bytes| self.has_host_memory(*bytes));
        let memories = self.memories.iter().map(|memory| memory.data_size(&*store) as u64).chain(host).collect();
        let names = self.names(store);
        let mut globals = Vec::with_capacity(self.globals.len());
        for (index, global) in &self.globals {
            let value = global_value(store, global, &names)
                .map_err(|what| Error::Uncapturable(format!("global {index} holds {what}")))?;
            if !self.is_full_meter(*index, value) {
                globals.push((*index, value));
            }
        }
        let mut tables = Vec::with_capacity(self.tables.len());
        for (index, table) in &self.tables {
            let entries = entries(store, table, &names, cancellation).map_err(|error| match error {
                Unreadable::Foreign(what) => Error::Uncapturable(format!("table {index} holds {what}")),
                Unreadable::Other(error) => error,
            })?;
            tables.push((*index, entries));
        }
        let dropped = self
            .flags
            .iter()
            .filter(|(_, flag)| matches!(flag.get(&mut *store), Val::I32(up) if up != 0))
            .map(|(segment, _)| *segment)
            .collect();
        Ok(Skeleton { memories, globals, tables, dropped })
    }

    /// Whether a global is that of a meter, and nothing of its gas has been used. It is in no state then, so that states are as
    /// they are without the meter.
    fn is_full_meter(&self, index: u32, value: GlobalValue) -> bool {
        self.meter == Some(index) && value == GlobalValue::I64(GAS.cast_unsigned())
    }

    /// The functions that references can lead to, by what tells them apart.
    fn names(&self, store: &mut StoreContextMut<'_, impl Surroundings>) -> HashMap<usize, u32> {
        let Some(table) = &self.functions else { return HashMap::new() };
        let mut names = HashMap::new();
        for (entry, function) in self.image.layout().functions.iter().enumerate() {
            if let Some(Ref::Func(Some(func))) = table.get(&mut *store, entry as u64) {
                names.insert(func.to_raw(&mut *store) as usize, *function);
            }
        }
        names
    }

    pub(super) async fn put_skeleton(
        &self,
        store: &mut StoreContextMut<'_, impl Surroundings>,
        skeleton: &Skeleton,
        cancellation: Cancellation<'_>,
    ) -> Result<(), Error> {
        let host = match skeleton.memories.get(self.memories.len()..).unwrap_or_default() {
            [] => self.runtime != Some(Runtime::Emscripten),
            [bytes] => self.has_host_memory(*bytes),
            _ => false,
        };
        if skeleton.memories.len() < self.memories.len() || !host {
            return Err(invalid("another number of memories"));
        }
        for (memory, bytes) in self.memories.iter().zip(&skeleton.memories) {
            grow_memory(store, memory, *bytes).await?;
            if memory.data_size(&*store) as u64 != *bytes {
                return Err(invalid("a memory of a size that the image does not allow"));
            }
        }
        for (index, entries) in &skeleton.tables {
            let table = find(&self.tables, *index).ok_or_else(|| invalid("a table that the image does not have"))?;
            self.put_table(store, &table, entries, cancellation).await?;
        }
        let mut values = skeleton.globals.iter().peekable();
        for (index, global) in &self.globals {
            let value = match values.next_if(|(of, _)| of == index) {
                Some((_, value)) => value,
                None if self.meter == Some(*index) => &GlobalValue::I64(GAS.cast_unsigned()),
                None => return Err(invalid("other globals")),
            };
            let value = self.val(store, global, *value)?;
            global.set(&mut *store, value).map_err(|_| invalid("a global of another type"))?;
        }
        if values.next().is_some() {
            return Err(invalid("other globals"));
        }
        for segment in &skeleton.dropped {
            let position = self.flags.binary_search_by_key(segment, |(flag, _)| *flag).ok();
            let (Some(position), Some(drop)) = (position, self.drop) else {
                return Err(invalid("a dropped segment that the image does not drop"));
            };
            let position = [Val::I32(position as i32)];
            drop.call_async(&mut *store, &position, &mut []).await.map_err(|error| Error::from_call(&error))?;
        }
        Ok(())
    }

    async fn put_table(
        &self,
        store: &mut StoreContextMut<'_, impl Surroundings>,
        table: &Table,
        entries: &Entries,
        cancellation: Cancellation<'_>,
    ) -> Result<(), Error> {
        let null = Ref::null(table.ty(&*store).element().heap_type());
        let missing =
            entries.len().checked_sub(table.size(&*store)).ok_or_else(|| invalid("a table that has shrunk"))?;
        if missing > 0 {
            let filler = self.filler(store, table, entries)?;
            let grown = table.grow_async(&mut *store, missing, filler).await;
            grown.map_err(|error| too_large(&error, Limit::Table))?;
        }
        let mut start = 0;
        for (count, function) in entries.runs() {
            cancellation.check()?;
            let entry = match function {
                None => null.clone(),
                Some(function) => Ref::Func(Some(self.function(store, function)?)),
            };
            table.fill(&mut *store, start, entry, u64::from(count)).map_err(|_| invalid("a table of another type"))?;
            start += u64::from(count);
        }
        Ok(())
    }

    /// What the new entries of a table are until they have their own: null, where it may be.
    fn filler(
        &self,
        store: &mut StoreContextMut<'_, impl Surroundings>,
        table: &Table,
        entries: &Entries,
    ) -> Result<Ref, Error> {
        let element = table.ty(&*store).element().clone();
        match entries.runs().find_map(|(_, function)| function) {
            Some(function) if !element.is_nullable() => Ok(Ref::Func(Some(self.function(store, function)?))),
            _ => Ok(Ref::null(element.heap_type())),
        }
    }

    fn function(&self, store: &mut StoreContextMut<'_, impl Surroundings>, index: u32) -> Result<Func, Error> {
        let entry = self.image.layout().functions.binary_search(&index).ok();
        let found = entry.zip(self.functions).and_then(|(entry, table)| table.get(&mut *store, entry as u64));
        match found {
            Some(Ref::Func(Some(func))) => Ok(func),
            _ => Err(invalid("a reference to a function that the image keeps no reference to")),
        }
    }

    fn val(
        &self,
        store: &mut StoreContextMut<'_, impl Surroundings>,
        global: &Global,
        value: GlobalValue,
    ) -> Result<Val, Error> {
        Ok(match value {
            GlobalValue::I32(bits) => Val::I32(bits as i32),
            GlobalValue::I64(bits) => Val::I64(bits as i64),
            GlobalValue::F32(bits) => Val::F32(bits),
            GlobalValue::F64(bits) => Val::F64(bits),
            GlobalValue::V128(bits) => Val::V128(V128::from(bits)),
            GlobalValue::Func(None) => Val::FuncRef(None),
            GlobalValue::Func(Some(index)) => Val::FuncRef(Some(self.function(store, index)?)),
            GlobalValue::Null => match global.ty(&*store).content().as_ref() {
                Some(ty) => Val::null_ref(ty.heap_type()),
                None => return Err(invalid("a global of another type")),
            },
        })
    }
}

/// Grows a memory to at least `bytes`.
pub(crate) async fn grow_memory(
    store: &mut StoreContextMut<'_, impl Surroundings>,
    memory: &Memory,
    bytes: u64,
) -> Result<(), Error> {
    let missing = bytes.saturating_sub(memory.data_size(&*store) as u64);
    let pages = missing.div_ceil(memory.page_size(&*store));
    if pages == 0 {
        return Ok(());
    }
    memory.grow_async(&mut *store, pages).await.map(drop).map_err(|error| too_large(&error, Limit::Memory))
}

/// Why something could not grow.
fn too_large(error: &wasmtime::Error, limit: Limit) -> Error {
    match Error::from_call(error) {
        trap @ Error::Trap(_) => trap,
        _ => Error::Limit(limit),
    }
}

fn into<T>(item: Option<T>) -> Result<T, Error> {
    item.ok_or_else(missing)
}

/// The image has found all exports that hold state.
fn missing() -> Error {
    Error::Host("an export that holds state is missing".into())
}

fn find<T: Copy>(items: &[(u32, T)], index: u32) -> Option<T> {
    items.iter().find(|(at, _)| *at == index).map(|(_, item)| *item)
}

const FOREIGN_FUNCTION: &str = "a function that is not the image's own";

const FOREIGN: &str = "an object, or an exception";

fn global_value(
    store: &mut StoreContextMut<'_, impl Surroundings>,
    global: &Global,
    names: &HashMap<usize, u32>,
) -> Result<GlobalValue, &'static str> {
    // References to what is collected are forgotten again at once.
    let mut scope = RootScope::new(&mut *store);
    Ok(match global.get(&mut scope) {
        Val::I32(n) => GlobalValue::I32(n as u32),
        Val::I64(n) => GlobalValue::I64(n as u64),
        Val::F32(bits) => GlobalValue::F32(bits),
        Val::F64(bits) => GlobalValue::F64(bits),
        Val::V128(bits) => GlobalValue::V128(bits.as_u128()),
        Val::FuncRef(None) => GlobalValue::Func(None),
        Val::FuncRef(Some(func)) => {
            let name = names.get(&(func.to_raw(&mut scope) as usize));
            GlobalValue::Func(Some(*name.ok_or(FOREIGN_FUNCTION)?))
        }
        Val::ExternRef(None) | Val::AnyRef(None) | Val::ExnRef(None) | Val::ContRef(None) => GlobalValue::Null,
        _ => return Err(FOREIGN),
    })
}

/// Why the entries of a table cannot be read.
enum Unreadable {
    /// One of them is this, which means nothing elsewhere.
    Foreign(&'static str),
    Other(Error),
}

fn entries(
    store: &mut StoreContextMut<'_, impl Surroundings>,
    table: &Table,
    names: &HashMap<usize, u32>,
    cancellation: Cancellation<'_>,
) -> Result<Entries, Unreadable> {
    const FOREIGN_FUNCTION: Unreadable = Unreadable::Foreign(self::FOREIGN_FUNCTION);

    let mut entries = Entries::new();
    let mut index = 0;
    let mut scope = RootScope::new(&mut *store);
    while let Some(entry) = table.get(&mut scope, index) {
        cancellation.check().map_err(|error| Unreadable::Other(error.into()))?;
        let entry = match entry {
            Ref::Func(Some(func)) => Some(*names.get(&(func.to_raw(&mut scope) as usize)).ok_or(FOREIGN_FUNCTION)?),
            entry if entry.is_null() => None,
            _ => return Err(Unreadable::Foreign(FOREIGN)),
        };
        entries.push_run(1, entry).map_err(|error| Unreadable::Other(error.into()))?;
        index += 1;
    }
    Ok(entries)
}
