//! Random bytes.

use crate::context::{Args, int};
use crate::embedder::Embedder;
use crate::errno::Errno;
use crate::guest::{in_steps, with_host};
use crate::limits::WORK_STEP_BYTES;
use wasmtime::StoreContextMut;

/// Fills a buffer: its address and its size. Without a seed there is no randomness, and bytes that are not random must not
/// pass for it.
pub(crate) async fn get<T: Embedder>(store: &mut StoreContextMut<'_, T>, args: Args<'_>) -> wasmtime::Result<u64> {
    let (at, size) = (args.pointer(0), args.pointer(1));
    let begun = with_host(store, |host| {
        if host.state.program.random.is_none() {
            return Ok(Err(Errno::NOSYS));
        }
        if host.memory.check(at, size).is_err() {
            return Ok(Err(Errno::FAULT));
        }
        host.memory.pay(size).map(Ok)
    })?;
    let filled = match begun {
        Ok(()) => {
            let filled = in_steps(store, size, WORK_STEP_BYTES, |host, done, count| {
                let Some(random) = &mut host.state.program.random else { return Ok(Err(Errno::NOSYS)) };
                random.fill(host.memory.room(at + done, count)?);
                Ok(Ok(()))
            });
            filled.await?
        }
        Err(errno) => Err(errno),
    };
    Ok(int(filled.map_or_else(Errno::positive, |()| 0)))
}
