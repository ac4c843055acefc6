//! The state of an instance: read out, put into a fresh instance, copied from one to another.
//!
//! What a module keeps to itself is reached through the exports that `expose` has added. References to functions are told
//! by the numbers of the functions; the table of all functions that a reference can lead to is one of those exports.

use crate::emscripten;
use crate::error::{Error, Limit};
use crate::expose::{self, Layout};
use crate::image::Image;
use crate::snapshot::{self, Entries, GlobalValue, Kind, PAGE, Plan, Resolved, Rest, Segment, Snapshot, SnapshotError};
use crate::task::Data;
use crate::touched::touched;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;
use wasmtime::{Func, Global, Memory, Module, ModuleExport, Ref, RootScope, StoreContextMut, Table, V128, Val};

/// Table entries that a snapshot may have, whatever its image allows: the limit of a table.
const TABLE_ENTRIES: u64 = 10_000_000;

/// Where the state of an instance is, as exports of its module.
pub(crate) struct StateExports {
    memories: Vec<MemoryExport>,
    globals: Vec<(u32, ModuleExport)>,
    tables: Vec<(u32, ModuleExport)>,
    flags: Vec<(Segment, ModuleExport)>,
    functions: Option<ModuleExport>,
    drop: Option<ModuleExport>,
}

struct MemoryExport {
    export: ModuleExport,
    /// What the data segments of the module fill, if that is known.
    data: Option<Vec<Range<usize>>>,
    /// Whether they are all that instantiation writes.
    is_all: bool,
}

impl StateExports {
    pub(crate) fn of(module: &Module, layout: &Layout) -> StateExports {
        // Everything that a layout names is an export of its module.
        let find = |name: &str| module.get_export_index(name);
        let memories = layout.memories.iter().filter_map(|memory| {
            let to_usize =
                |range: &Range<u64>| Some(usize::try_from(range.start).ok()?..usize::try_from(range.end).ok()?);
            let data = memory.data.as_ref().and_then(|ranges| ranges.iter().map(to_usize).collect());
            Some(MemoryExport { export: find(&memory.name)?, data, is_all: !layout.has_start })
        });
        let flags = layout.segments.iter().filter_map(|at| {
            let segment = match at.segment {
                expose::Segment::Data(index) => Segment::Data(index),
                expose::Segment::Element(index) => Segment::Elem(index),
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
    fn data(&self, index: usize, bytes: usize) -> Option<&[Range<usize>]> {
        let data = self.memories.get(index)?.data.as_deref();
        data.filter(|ranges| ranges.last().is_none_or(|last| last.end <= bytes))
    }

    /// Whether that is all that instantiation writes.
    fn is_all(&self, index: usize) -> bool {
        self.memories.get(index).is_some_and(|memory| memory.is_all)
    }
}

/// The state of an instance at one moment, between two calls.
pub struct View<'a> {
    image: &'a Image,
    rest: Rest,
    memories: &'a [snapshot::Memory<'a>],
    linear: usize,
}

impl View<'_> {
    /// The linear memory that callers read and write, as the guest sees it; empty where the image has none.
    pub fn memory(&self) -> &[u8] {
        self.memories.get(self.linear).map_or(&[], |memory| memory.bytes)
    }

    /// What there is beside the linear memory, as a partial snapshot; none where it is as in a fresh instance. Partial
    /// snapshots are without the first memory: where callers read and write another one this is a whole snapshot.
    ///
    /// # Errors
    /// [`Error::InvalidSnapshot`] where the state is larger than snapshots can be.
    pub fn rest(&self) -> Result<Option<Vec<u8>>, Error> {
        let plan = self.plan(if self.linear == 0 { Kind::Partial } else { Kind::Full })?;
        let mut bytes = vec![0; plan.size()];
        plan.write(&mut bytes)?;
        Ok(Some(bytes).filter(|bytes| self.image.fresh().is_none_or(|fresh| fresh.partial != *bytes)))
    }

    /// The state on its way to becoming a snapshot.
    ///
    /// # Errors
    /// [`Error::InvalidSnapshot`] where the base of a delta is none of this image's.
    pub fn plan<'s>(&'s self, kind: Kind<'s>) -> Result<Plan<'s>, Error> {
        Plan::new(self.image.hash(), &self.rest, self.memories, kind).map_err(Error::from)
    }
}

/// Bytes that are kept somewhere else while they are needed.
pub trait Kept: Send {
    /// Lets `look` see them.
    fn with(&self, look: &mut dyn FnMut(&[&[u8]]));
}

/// Snapshots to be read: a chain of them, or the raw linear memory and the rest of the state.
pub struct Snapshots {
    kept: Box<dyn Kept>,
    raw: bool,
}

/// What snapshots hold.
struct Given<'a> {
    raw: Option<&'a [u8]>,
    state: Option<Resolved<'a>>,
}

impl Snapshots {
    /// A whole snapshot, and any number of deltas, each against the one before.
    pub fn whole(kept: impl Kept + 'static) -> Snapshots {
        Snapshots { kept: Box::new(kept), raw: false }
    }

    /// The bytes of the linear memory, and the rest of the state unless that is as in a fresh instance.
    pub fn raw(kept: impl Kept + 'static) -> Snapshots {
        Snapshots { kept: Box::new(kept), raw: true }
    }

    /// Gives `look` the state that the snapshots make together.
    ///
    /// # Errors
    /// [`Error::InvalidSnapshot`], and those of `look`.
    pub fn resolve<T>(&self, look: impl FnOnce(&Resolved<'_>) -> Result<T, Error>) -> Result<T, Error> {
        self.with(|given| match given.state {
            Some(state) => look(&state),
            None => Err(SnapshotError::NoSnapshot.into()),
        })
    }

    /// The snapshots as one whole snapshot.
    ///
    /// # Errors
    /// [`Error::InvalidSnapshot`].
    pub fn merge(&self) -> Result<Vec<u8>, Error> {
        self.resolve(|state| {
            let mut merged = vec![0; state.merged_size()?];
            state.merge_into(&mut merged)?;
            Ok(merged)
        })
    }

    fn with<T>(&self, look: impl FnOnce(Given<'_>) -> Result<T, Error>) -> Result<T, Error> {
        let (mut look, mut result) = (Some(look), None);
        self.kept.with(&mut |parts| {
            if let Some(look) = look.take() {
                result = Some(self.given(parts).and_then(look));
            }
        });
        result.unwrap_or_else(|| Err(SnapshotError::NoSnapshot.into()))
    }

    fn given<'a>(&self, parts: &[&'a [u8]]) -> Result<Given<'a>, Error> {
        let (raw, chain) = match parts {
            [raw, chain @ ..] if self.raw => (Some(*raw), chain),
            chain => (None, chain),
        };
        if raw.is_some() && chain.is_empty() {
            return Ok(Given { raw, state: None });
        }
        let limits = snapshot::Limits { table_entries: TABLE_ENTRIES };
        let parsed: Result<Vec<_>, _> = chain.iter().map(|bytes| Snapshot::parse(bytes, &limits)).collect();
        let state = snapshot::resolve(&parsed?)?;
        let first = state.rest().memories.first().copied().unwrap_or_default();
        match raw {
            Some(raw) if state.is_partial() && first != raw.len() as u64 => {
                Err(invalid("the rest of a state with another memory"))
            }
            None if state.is_partial() => Err(SnapshotError::MemoryElsewhere.into()),
            _ => Ok(Given { raw, state: Some(state) }),
        }
    }

    /// What is to be made of an instance of `image` before its memories are filled.
    pub(crate) fn outline(&self, image: &Image) -> Result<Outline, Error> {
        self.with(|given| match given {
            Given { state: Some(state), .. } if state.image() != image.hash() => Err(SnapshotError::OtherImage.into()),
            Given { state: Some(state), .. } => Ok(Outline::Snapshot(state.rest().clone())),
            Given { raw, state: None } => Ok(Outline::Memory(raw.map_or(0, |raw| raw.len() as u64))),
        })
    }

    /// Fills the memories of an instance that has been made as the outline says.
    pub(crate) fn put_memories(&self, store: &mut StoreContextMut<'_, Data>) -> Result<(), Error> {
        self.with(|given| {
            let items = Items::of(store)?;
            // Raw memory alone goes into an instance that has been initialized, so that the rest is as the image has it.
            let is_initialized = given.state.is_none() && items.image.is_emscripten();
            for index in 0..items.memories.len() {
                let (memory, initial) = items.memory_mut(store, index, is_initialized)?;
                match (given.raw, &given.state) {
                    (Some(raw), None) if index == items.linear => put_raw(memory, raw, &initial),
                    (Some(raw), Some(state)) if state.is_partial() && index == 0 => put_raw(memory, raw, &initial),
                    (_, Some(state)) => state.restore_into(index, memory, &initial).map_err(Error::from)?,
                    // Only the linear memory was asked for.
                    (_, None) => {}
                }
            }
            if let (Some(state), Some(_)) = (&given.state, &items.host) {
                put_host(store, state, items.memories.len())?;
            }
            match (given.raw, items.memories.get(items.linear)) {
                // The sizes agree already where the state is without the memory.
                (Some(raw), Some(memory))
                    if given.state.is_some_and(|state| !state.is_partial()) && memory.data(&*store) != raw =>
                {
                    Err(invalid("the rest of a state with another memory"))
                }
                _ => Ok(()),
            }
        })
    }
}

/// The most that the state of a host can take: what its files may hold, and what there is to say about them.
const HOST_BYTES: u64 = 4 << 30;

/// Gives the host the state that is the memory of this index.
fn put_host(store: &mut StoreContextMut<'_, Data>, state: &Resolved<'_>, index: usize) -> Result<(), Error> {
    let size = state.rest().memories.get(index).copied().unwrap_or_default();
    if size > HOST_BYTES {
        return Err(invalid("a state of the host that is too large"));
    }
    let mut bytes = Vec::new();
    let room = bytes.try_reserve_exact(size as usize);
    room.map_err(|_| Error::Host("no room for the state of the host".into()))?;
    bytes.resize(size as usize, 0);
    state.restore_into(index, &mut bytes, &[]).map_err(Error::from)?;
    let host = emscripten::State::decode(&bytes).map_err(invalid)?;
    store.data_mut().host = Some(Box::new(host));
    Ok(())
}

impl From<SnapshotError> for Error {
    fn from(error: SnapshotError) -> Error {
        match error {
            SnapshotError::Host(text) => Error::Host(text),
            error => Error::InvalidSnapshot(error.to_string()),
        }
    }
}

fn invalid(text: &str) -> Error {
    Error::InvalidSnapshot(text.into())
}

/// What a fresh instance has to become before its memories are filled.
pub(crate) enum Outline {
    /// This, with memories of its sizes.
    State(Rest),
    /// The same, from a snapshot: tables that are as in a fresh instance are not in it.
    Snapshot(Rest),
    /// A fresh instance whose linear memory has at least so many bytes.
    Memory(u64),
}

/// What a fresh instance of an image is like.
pub(crate) struct Fresh {
    tables: Vec<(u32, Entries)>,
    /// Its partial snapshot.
    partial: Vec<u8>,
}

impl Fresh {
    /// Where constructors fail: no state is as after a start.
    pub(crate) fn unknown(tables: Vec<(u32, Entries)>) -> Fresh {
        Fresh { tables, partial: Vec::new() }
    }
}

/// Reads out the state and lets `look` see it.
///
/// # Errors
/// [`Error::Uncapturable`] where a part of it means nothing outside of this instance.
pub(crate) fn view<T>(store: &mut StoreContextMut<'_, Data>, look: impl FnOnce(&View<'_>) -> T) -> Result<T, Error> {
    let items = Items::of(store)?;
    let mut rest = items.rest(store)?;
    if let Some(fresh) = items.image.fresh() {
        rest.tables.retain(|table| !fresh.tables.contains(table));
    }
    Ok(items.look(store, rest, look))
}

/// The tables of an instance.
///
/// # Errors
/// As [`view`].
pub(crate) fn tables(store: &mut StoreContextMut<'_, Data>) -> Result<Vec<(u32, Entries)>, Error> {
    Ok(Items::of(store)?.rest(store)?.tables)
}

/// What an instance is like that has been started and initialized, with tables that were like these before the latter.
pub(crate) fn fresh(store: &mut StoreContextMut<'_, Data>, tables: Vec<(u32, Entries)>) -> Result<Fresh, Error> {
    let items = Items::of(store)?;
    let mut rest = items.rest(store)?;
    rest.tables.retain(|table| !tables.contains(table));
    let partial = items.look(store, rest, |view| view.rest())?.unwrap_or_default();
    Ok(Fresh { tables, partial })
}

/// Everything but the contents of memories, tables as they are.
pub(crate) fn rest(store: &mut StoreContextMut<'_, Data>) -> Result<Rest, Error> {
    Items::of(store)?.rest(store)
}

/// Makes a fresh instance what the outline says.
///
/// # Errors
/// [`Error::InvalidSnapshot`] where the image has no such state, [`Error::Limit`] where it is too large.
pub(crate) async fn put(store: &mut StoreContextMut<'_, Data>, outline: &Outline) -> Result<(), Error> {
    let items = Items::of(store)?;
    match outline {
        Outline::State(rest) => items.put_rest(store, rest).await,
        Outline::Snapshot(rest) => {
            let fresh = items.rest(store)?;
            items.put_rest(store, rest).await?;
            // A state that no instance can be in would make another snapshot than the one it came from.
            let mut now = items.rest(store)?;
            now.tables.retain(|table| !fresh.tables.contains(table));
            // What the host keeps comes with the memories, and is checked there.
            now.memories.truncate(items.memories.len());
            now.memories.extend(rest.memories.get(items.memories.len()..).unwrap_or_default());
            if now == *rest { Ok(()) } else { Err(invalid("a state that no instance of this image can be in")) }
        }
        Outline::Memory(bytes) => match items.memories.get(items.linear) {
            Some(memory) => grow_memory(store, memory, *bytes).await,
            None if *bytes == 0 => Ok(()),
            None => Err(Error::Limit(Limit::Memory)),
        },
    }
}

/// Copies what memories hold to an instance with memories of the same sizes.
pub(crate) fn copy_memories(
    from: &mut StoreContextMut<'_, Data>,
    to: &mut StoreContextMut<'_, Data>,
) -> Result<(), Error> {
    let (source, target) = (Items::of(from)?, Items::of(to)?);
    let candidates = source.candidates(from);
    for (index, memory) in source.memories(from, &candidates).enumerate() {
        let (bytes, initial) = target.memory_mut(to, index, false)?;
        for range in memory.candidates {
            let (start, end) = (range.start / PAGE * PAGE, range.end.min(memory.bytes.len()));
            let pages = memory.bytes.get(start..end).unwrap_or_default();
            put_pages(bytes.get_mut(start..end).unwrap_or_default(), pages, start, &initial);
        }
    }
    Ok(())
}

/// Puts pages to their place in the memory of a fresh instance, which is zeros outside of `initial`; `start` is where the
/// place is. A page that is there already is not written, and so stays shared with other instances.
fn put_pages(place: &mut [u8], pages: &[u8], start: usize, initial: &[Range<usize>]) {
    let mut at = start;
    for (place, page) in place.chunks_mut(PAGE).zip(pages.chunks(PAGE)) {
        let first = initial.partition_point(|range| range.end <= at);
        let is_initial = initial.get(first).is_some_and(|range| range.start < at + PAGE);
        at += PAGE;
        // Reading a page that nobody has touched costs as much as a look at what is to be put there.
        let differs = if is_initial { *place != *page } else { page.iter().fold(0, |all, byte| all | byte) != 0 };
        if differs {
            place.copy_from_slice(page);
        }
    }
}

/// Makes `raw` the memory of a fresh instance, with zeros behind it. Outside of `initial` that memory is zeros.
fn put_raw(memory: &mut [u8], raw: &[u8], initial: &[Range<usize>]) {
    for range in initial {
        if let Some(behind) = memory.get_mut(range.start.max(raw.len()).min(range.end)..range.end) {
            behind.fill(0);
        }
    }
    let (whole, last) = raw.split_at(raw.len() / PAGE * PAGE);
    put_pages(memory, whole, 0, initial);
    if let Some(place) = memory.get_mut(whole.len()..raw.len()) {
        place.copy_from_slice(last);
    }
}

/// Grows a memory to at least `bytes`.
pub(crate) async fn grow_memory(
    store: &mut StoreContextMut<'_, Data>,
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

/// The items of an instance that hold state.
struct Items {
    image: Arc<Image>,
    memories: Vec<Memory>,
    globals: Vec<(u32, Global)>,
    tables: Vec<(u32, Table)>,
    flags: Vec<(Segment, Global)>,
    functions: Option<Table>,
    drop: Option<Func>,
    /// The state of the host as the bytes of a memory behind the others, where the image has such a host.
    host: Option<Vec<u8>>,
    /// Which of the memories callers read and write.
    linear: usize,
}

impl Items {
    fn of(store: &mut StoreContextMut<'_, Data>) -> Result<Items, Error> {
        let image = store.data().image().clone();
        let instance = store.data().instance()?;
        // The image has found all of these.
        let mut find = |export: &ModuleExport| instance.get_module_export(&mut *store, export).ok_or(Error::Stopped);
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
        let linear = memories.iter().position(is_linear).unwrap_or_default();
        let host =
            image.is_emscripten().then(|| store.data().host.as_ref().map_or_else(Vec::new, |host| host.encode()));
        Ok(Items { image: image.clone(), memories, globals, tables, flags, functions, drop, host, linear })
    }

    /// Where each memory may hold anything but zeros: what was written, by whomever, and what the image fills.
    fn candidates(&self, store: &StoreContextMut<'_, Data>) -> Vec<Vec<Range<usize>>> {
        let of = |(index, memory): (usize, &Memory)| {
            let bytes = memory.data(store);
            match self.image.state().data(index, bytes.len()) {
                Some(data) => union(touched(bytes), data),
                None => whole(bytes.len()),
            }
        };
        self.memories.iter().enumerate().map(of).collect()
    }

    fn memories<'a>(
        &'a self,
        store: &'a StoreContextMut<'_, Data>,
        candidates: &'a [Vec<Range<usize>>],
    ) -> impl Iterator<Item = snapshot::Memory<'a>> {
        let all = self.memories.iter().zip(candidates);
        all.map(move |(memory, candidates)| snapshot::Memory { bytes: memory.data(store), candidates })
    }

    /// A memory of a fresh instance, and where it may hold anything but zeros.
    fn memory_mut<'a>(
        &self,
        store: &'a mut StoreContextMut<'_, Data>,
        index: usize,
        is_initialized: bool,
    ) -> Result<(&'a mut [u8], Vec<Range<usize>>), Error> {
        let memory = self.memories.get(index).ok_or_else(|| invalid("a memory that the image does not have"))?;
        let bytes = memory.data_mut(store);
        let initial = match self.image.state().data(index, bytes.len()) {
            Some(data) if self.image.state().is_all(index) && !is_initialized => data.to_vec(),
            Some(data) => union(touched(bytes), data),
            None => whole(bytes.len()),
        };
        Ok((bytes, initial))
    }

    fn look<T>(&self, store: &StoreContextMut<'_, Data>, rest: Rest, look: impl FnOnce(&View<'_>) -> T) -> T {
        let candidates = self.candidates(store);
        let in_host = self.host.as_ref().map_or_else(Vec::new, |host| whole(host.len()));
        let host = self.host.as_ref().map(|host| snapshot::Memory { bytes: host, candidates: &in_host });
        let memories: Vec<_> = self.memories(store, &candidates).chain(host).collect();
        look(&View { image: &self.image, rest, memories: &memories, linear: self.linear })
    }

    fn rest(&self, store: &mut StoreContextMut<'_, Data>) -> Result<Rest, Error> {
        let host = self.host.iter().map(|host| host.len() as u64);
        let memories = self.memories.iter().map(|memory| memory.data_size(&*store) as u64).chain(host).collect();
        let names = self.names(store);
        let mut globals = Vec::with_capacity(self.globals.len());
        for (index, global) in &self.globals {
            let value = global_value(store, global, &names)
                .map_err(|what| Error::Uncapturable(format!("global {index} holds {what}")))?;
            globals.push((*index, value));
        }
        let mut tables = Vec::with_capacity(self.tables.len());
        for (index, table) in &self.tables {
            let entries = entries(store, table, &names)
                .map_err(|what| Error::Uncapturable(format!("table {index} holds {what}")))?;
            tables.push((*index, entries));
        }
        let is_up =
            |flag: &Global, store: &mut StoreContextMut<'_, Data>| matches!(flag.get(store), Val::I32(n) if n != 0);
        let dropped = self.flags.iter().filter(|(_, flag)| is_up(flag, store)).map(|(segment, _)| *segment).collect();
        Ok(Rest { memories, globals, tables, dropped })
    }

    /// The functions that references can lead to, by what tells them apart.
    fn names(&self, store: &mut StoreContextMut<'_, Data>) -> HashMap<usize, u32> {
        let Some(table) = &self.functions else { return HashMap::new() };
        let mut names = HashMap::new();
        for (entry, function) in self.image.layout().functions.iter().enumerate() {
            if let Some(Ref::Func(Some(func))) = table.get(&mut *store, entry as u64) {
                names.insert(func.to_raw(&mut *store) as usize, *function);
            }
        }
        names
    }

    async fn put_rest(&self, store: &mut StoreContextMut<'_, Data>, rest: &Rest) -> Result<(), Error> {
        if rest.memories.len() != self.memories.len() + usize::from(self.host.is_some()) {
            return Err(invalid("another number of memories"));
        }
        for (memory, bytes) in self.memories.iter().zip(&rest.memories) {
            grow_memory(store, memory, *bytes).await?;
            if memory.data_size(&*store) as u64 != *bytes {
                return Err(invalid("a memory of a size that the image does not allow"));
            }
        }
        for (index, entries) in &rest.tables {
            let table = find(&self.tables, *index).ok_or_else(|| invalid("a table that the image does not have"))?;
            self.put_table(store, &table, entries).await?;
        }
        let indices = |globals: &[(u32, GlobalValue)]| globals.iter().map(|(index, _)| *index).collect::<Vec<_>>();
        if indices(&rest.globals) != self.globals.iter().map(|(index, _)| *index).collect::<Vec<_>>() {
            return Err(invalid("other globals"));
        }
        for ((_, global), (_, value)) in self.globals.iter().zip(&rest.globals) {
            let value = self.val(store, global, *value)?;
            global.set(&mut *store, value).map_err(|_| invalid("a global of another type"))?;
        }
        for segment in &rest.dropped {
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
        store: &mut StoreContextMut<'_, Data>,
        table: &Table,
        entries: &Entries,
    ) -> Result<(), Error> {
        let null = Ref::null(table.ty(&*store).element().heap_type());
        let missing =
            entries.len().checked_sub(table.size(&*store)).ok_or_else(|| invalid("a table that has shrunk"))?;
        if missing > 0 {
            let grown = table.grow_async(&mut *store, missing, null.clone()).await;
            grown.map_err(|error| too_large(&error, Limit::Table))?;
        }
        let mut start = 0;
        for (count, function) in entries.runs() {
            let entry = match function {
                None => null.clone(),
                Some(function) => Ref::Func(Some(self.function(store, function)?)),
            };
            table.fill(&mut *store, start, entry, u64::from(count)).map_err(|_| invalid("a table of another type"))?;
            start += u64::from(count);
        }
        Ok(())
    }

    fn function(&self, store: &mut StoreContextMut<'_, Data>, index: u32) -> Result<Func, Error> {
        let entry = self.image.layout().functions.binary_search(&index).ok();
        let found = entry.zip(self.functions).and_then(|(entry, table)| table.get(&mut *store, entry as u64));
        match found {
            Some(Ref::Func(Some(func))) => Ok(func),
            _ => Err(invalid("a reference to a function that the image keeps no reference to")),
        }
    }

    fn val(&self, store: &mut StoreContextMut<'_, Data>, global: &Global, value: GlobalValue) -> Result<Val, Error> {
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

fn into<T>(item: Option<T>) -> Result<T, Error> {
    item.ok_or(Error::Stopped)
}

fn find<T: Copy>(items: &[(u32, T)], index: u32) -> Option<T> {
    items.iter().find(|(at, _)| *at == index).map(|(_, item)| *item)
}

const FOREIGN_FUNCTION: &str = "a function that is not the image's own";
const FOREIGN: &str = "an object of the host, or an exception";

fn global_value(
    store: &mut StoreContextMut<'_, Data>,
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

fn entries(
    store: &mut StoreContextMut<'_, Data>,
    table: &Table,
    names: &HashMap<usize, u32>,
) -> Result<Entries, &'static str> {
    let mut entries = Entries::new();
    let mut index = 0;
    let mut scope = RootScope::new(&mut *store);
    while let Some(entry) = table.get(&mut scope, index) {
        let entry = match entry {
            Ref::Func(Some(func)) => Some(*names.get(&(func.to_raw(&mut scope) as usize)).ok_or(FOREIGN_FUNCTION)?),
            entry if entry.is_null() => None,
            _ => return Err(FOREIGN),
        };
        entries.push_run(1, entry);
        index += 1;
    }
    Ok(entries)
}

fn whole(bytes: usize) -> Vec<Range<usize>> {
    if bytes == 0 { Vec::new() } else { std::iter::once(0..bytes).collect() }
}

/// Both lists of ascending ranges as one, in which none touch.
fn union(mut one: Vec<Range<usize>>, other: &[Range<usize>]) -> Vec<Range<usize>> {
    one.extend_from_slice(other);
    one.sort_unstable_by_key(|range| range.start);
    let mut merged: Vec<Range<usize>> = Vec::with_capacity(one.len());
    for range in one {
        match merged.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            _ => merged.push(range),
        }
    }
    merged
}
