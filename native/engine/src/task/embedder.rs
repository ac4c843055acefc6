//! What the host and the state require of their surroundings, as a task provides it.

use super::Data;
use super::ask::{ask, suspend};
use crate::error::{Error, LimitReached};
use crate::image::Image;
use crate::import::ImportInfo;
use crate::limits;
use crate::pace::yield_once;
use crate::state::Surroundings;
use hb_wasm64_host::{Abi, Embedder, Failure, Intercepted, Runtime, State, Width};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use wasmtime::{Func, Instance, Memory, StoreContextMut, Val};

impl Embedder for Data {
    type Import = Arc<ImportInfo>;

    const MEMORY_BYTES: u64 = limits::MEMORY_BYTES;

    fn width(&self) -> Width {
        self.image.width()
    }

    fn abi(&self) -> Abi {
        self.image.abi()
    }

    fn memory(&self) -> Option<Memory> {
        self.memory
    }

    fn now(&self) -> u64 {
        self.now
    }

    fn state(&self) -> Option<&State> {
        self.host.as_deref()
    }

    fn state_mut(&mut self) -> &mut State {
        let runtime = self.image.runtime().unwrap_or(Runtime::Emscripten);
        self.host.get_or_insert_with(|| Box::new(State::new(runtime)))
    }

    fn guest_calls(&mut self) -> &mut usize {
        &mut self.guest_calls
    }

    fn export(store: &mut StoreContextMut<'_, Data>, name: &str) -> Option<Func> {
        let (image, instance) = (store.data().image.clone(), store.data().instance?);
        let export = image.func(name)?;
        instance.get_module_export(&mut *store, &export.index).and_then(wasmtime::Extern::into_func)
    }

    fn table_entry(store: &mut StoreContextMut<'_, Data>, index: u64) -> Option<Func> {
        let (image, instance) = (store.data().image.clone(), store.data().instance?);
        let table = instance.get_module_export(&mut *store, image.table()?)?.into_table()?;
        table.get(&mut *store, index)?.as_func().flatten().copied()
    }

    fn is_intercepted(&self, import: &Arc<ImportInfo>) -> bool {
        !self.stub && self.intercept.iter().any(|module| Arc::ptr_eq(module, &import.module))
    }

    async fn intercept(
        store: StoreContextMut<'_, Data>,
        import: &Arc<ImportInfo>,
        params: &[Val],
        results: &mut [Val],
    ) -> wasmtime::Result<Intercepted> {
        ask(store, import, params, results).await
    }

    async fn want_file(store: StoreContextMut<'_, Data>, path: &[u8], bytes: Range<u64>) -> wasmtime::Result<()> {
        let request = Arc::new(ImportInfo::of_file(path));
        let args = [bytes.start, bytes.end.saturating_sub(bytes.start)].map(|number| Val::I64(number as i64));
        suspend(store, &request, &args, &mut []).await
    }

    fn is_on_scheduler(&self) -> bool {
        self.port.pace.on_scheduler.load(Ordering::Relaxed)
    }

    fn ends_call(error: &wasmtime::Error) -> bool {
        error.is::<Failure>() || error.is::<LimitReached>()
    }

    async fn pause() {
        yield_once().await;
    }
}

impl Surroundings for Data {
    fn image(&self) -> &Arc<Image> {
        self.image.image()
    }

    fn instance(&self) -> Result<Instance, Error> {
        self.instance.ok_or(Error::Stopped)
    }

    fn memory(&self) -> Option<Memory> {
        self.memory
    }

    fn host(&self) -> Option<&State> {
        self.host.as_deref()
    }

    fn set_host(&mut self, host: State) {
        self.host = Some(Box::new(host));
    }
}
