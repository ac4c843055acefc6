//! Imports that are asked for: the guest stops until somebody answers.

use super::{Command, Data, Outcome, publish_size, serve};
use crate::error::{HostFailure, ImportFailure};
use crate::import::{ImportInfo, Reply};
use crate::ticker::SLICE_TICKS;
use crate::unserved::Unserved;
use crate::value;
use std::sync::Arc;
use wasmtime::{AsContextMut, StoreContextMut, Val};

/// The body of an import that the host does not serve.
pub(crate) async fn suspend(
    store: StoreContextMut<'_, Data>,
    import: &Arc<ImportInfo>,
    params: &[Val],
    results: &mut [Val],
) -> wasmtime::Result<()> {
    match ask(store, import, params, results).await? {
        Asked::Answered => Ok(()),
        // `instance` takes such an answer for imports only that the host serves.
        Asked::LeftToHost => Err(HostFailure::Import(ImportFailure::Refused(Arc::from([]))).into()),
    }
}

/// How an import was answered.
pub(crate) enum Asked {
    /// With results, which the guest has.
    Answered,
    /// The host is to serve it.
    LeftToHost,
}

/// Stops the task until the answer to an import comes, and serves what the one who answers asks for.
pub(crate) async fn ask(
    mut store: StoreContextMut<'_, Data>,
    import: &Arc<ImportInfo>,
    params: &[Val],
    results: &mut [Val],
) -> wasmtime::Result<Asked> {
    let answer = if store.data().stub {
        let first = params.first().map(|val| value::from_val(&mut store, val));
        match Unserved::of(&import.module, &import.name).answer(&import.signature, first.as_ref()) {
            Ok(results) => Ok(Reply::Results(results)),
            Err(status) => return Err(HostFailure::Exit(status).into()),
        }
    } else {
        let args = params.iter().map(|val| value::from_val(&mut store, val)).collect();
        publish_size(&mut store);
        let data = store.data();
        let port = data.port.clone();
        port.stop_with(Outcome::Import(data.ticket, import.clone(), args));
        let answer = loop {
            match port.next().await {
                Command::Answer(answer) => break answer,
                command => Box::pin(serve(store.as_context_mut(), command)).await,
            }
        };
        // Only who really stopped has a new slice: a loop of imports answered at once would never come to the end of one.
        store.set_epoch_deadline(SLICE_TICKS);
        answer
    };
    let Reply::Results(values) = answer.map_err(HostFailure::Import)? else { return Ok(Asked::LeftToHost) };
    for (result, value) in results.iter_mut().zip(values) {
        *result = value::to_val(&mut store, value).await?;
    }
    Ok(Asked::Answered)
}
