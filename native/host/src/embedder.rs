//! What the host requires of its surroundings.

use crate::abi::Abi;
use crate::memory::Width;
use crate::state::State;
use std::ops::Range;
use wasmtime::{Func, Memory, StoreContextMut, Val};

/// The data of a store whose guest uses this host.
pub trait Embedder: Sized + Send + 'static {
    /// What the embedder knows an import by.
    type Import: Sync;

    /// Bytes that the memories of an instance may have, where its image does not say less.
    const MEMORY_BYTES: u64;

    /// How wide the pointers of the guest are.
    fn width(&self) -> Width;

    /// Which Emscripten has built the image, where one has.
    fn abi(&self) -> Abi;

    /// The memory that the guest's pointers mean.
    fn memory(&self) -> Option<Memory>;

    /// What clocks show, in milliseconds since 1970.
    fn now(&self) -> u64;

    /// The state of the host, if there is some already.
    fn state(&self) -> Option<&State>;

    /// The state of the host, made where there was none.
    fn state_mut(&mut self) -> &mut State;

    /// How many functions of the host are calling the guest, each within a call of the one before.
    fn guest_calls(&mut self) -> &mut usize;

    /// The function that the guest exports under a name.
    fn export(store: &mut StoreContextMut<'_, Self>, name: &str) -> Option<Func>;

    /// The function at a place of the table through which the guest calls functions.
    fn table_entry(store: &mut StoreContextMut<'_, Self>, index: u64) -> Option<Func>;

    /// Whether an import is to be [intercepted](Self::intercept) in the call that is in progress.
    fn is_intercepted(&self, import: &Self::Import) -> bool;

    /// Asks somebody outside to serve an import in the place of the host, and waits for the answer. The results are set
    /// where there are some.
    fn intercept(
        store: StoreContextMut<'_, Self>,
        import: &Self::Import,
        params: &[Val],
        results: &mut [Val],
    ) -> impl Future<Output = wasmtime::Result<Intercepted>> + Send;

    /// Asks somebody outside for a part of a lazy file, and waits for the answer: whoever has it [fills](State::fill_file)
    /// it in.
    fn want_file(
        store: StoreContextMut<'_, Self>,
        path: &[u8],
        bytes: Range<u64>,
    ) -> impl Future<Output = wasmtime::Result<()>> + Send;

    /// Whether the guest runs where nothing may take long. A [`pause`](Self::pause) ends that.
    fn is_on_scheduler(&self) -> bool;

    /// Whether an error of growing the memory ends the call. Otherwise the guest is told that it cannot grow.
    fn ends_call(error: &wasmtime::Error) -> bool;

    /// Lets others have the thread. The call may end here.
    fn pause() -> impl Future<Output = ()> + Send;
}

/// What has become of an import that was intercepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Intercepted {
    /// It was served: the guest has its results.
    Answered,
    /// It is left to the host.
    Passed,
}
